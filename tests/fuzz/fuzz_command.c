/* fuzz_command.c - the payload of a log entry, and what applying one answers.
 *
 * What is accepted is within limits and encodes to the very same bytes. */
#include "tests/fuzz/fuzz.h"

#include <holdfast/wire.h>

static void check_op(const struct kv_op *op)
{
    FUZZ_MUST(op->type >= KV_SET && op->type <= KV_GET);
    FUZZ_MUST(op->key.size <= KEY_SIZE_MAX);
    FUZZ_MUST(op->key.size > 0 || op->type == KV_DELETE_PREFIX);
    FUZZ_MUST(op->value.size <= (op->type == KV_SET ? VALUE_SIZE_MAX : 0));
    FUZZ_MUST(op->condition <= CONDITION_EXISTS);
    FUZZ_MUST(op->condition == CONDITION_NONE || op->type != KV_DELETE_PREFIX);
    FUZZ_MUST(op->condition == CONDITION_REVISION || op->revision == 0);
}

static void fuzz_command(struct slice bytes)
{
    static struct kv_op ops[BATCH_OPS_MAX];
    struct command command;
    struct blob *again;
    if (command_decode(bytes, ops, &command) != OK)
        return;
    FUZZ_MUST(bytes.size <= COMMAND_SIZE_MAX);
    if (command.type == COMMAND_BATCH) {
        FUZZ_MUST(command.n >= 1 && command.n <= BATCH_OPS_MAX && command.ops == ops);
        for (uint32_t i = 0; i < command.n; i++)
            check_op(&ops[i]);
        again = blob_new(command_batch_size(ops, command.n));
        FUZZ_MUST(command_encode_batch(ops, command.n, again->data) == again->size);
    } else {
        FUZZ_MUST(command.type == COMMAND_ANNOUNCE && command.member.id != 0);
        FUZZ_MUST(node_name_valid(command.member.name));
        FUZZ_MUST(address_valid(command.member.raft_addr));
        FUZZ_MUST(address_valid(command.member.http_addr));
        again = command_encode_announce(&command.member);
    }
    FUZZ_MUST(slice_equal(blob_slice(again), bytes));
    blob_unref(again);
}

static void fuzz_result(struct slice bytes)
{
    static struct kv_result results[BATCH_OPS_MAX];
    struct command_result result;
    size_t values = 0;
    if (result_decode(bytes, results, &result) != OK)
        return;
    FUZZ_MUST(result.n <= BATCH_OPS_MAX && result.failed_op < BATCH_OPS_MAX);
    for (uint32_t i = 0; i < result.n; i++) {
        FUZZ_MUST(results[i].value.size <= VALUE_SIZE_MAX);
        values += results[i].value.size;
    }
    FUZZ_MUST(values <= BATCH_RESULT_MAX);
    struct blob *again = result_encode(&result);
    FUZZ_MUST(slice_equal(blob_slice(again), bytes));
    blob_unref(again);
}

/* The first byte chooses. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct slice bytes = slice_of(data + 1, size - 1);
    if (data[0] % 2 == 0)
        fuzz_command(bytes);
    else
        fuzz_result(bytes);
    return 0;
}
