/* fuzz_apply.c - commands of all kinds, applied to a state machine that flushes, dies and comes
 * back as the input says, to one that does not, and to the model (tests/support/kv_model.h): all
 * answers, lists and digests must be the same. */
#include "tests/fuzz/fuzz.h"
#include "tests/support/kv_model.h"
#include "tests/unit/test_statemachine_support.h"

enum { OPS_MAX = 12, ENTRIES_MAX = 400 };

/* The assertions of the support code end here: there is no runner. */
void _ck_assert_failed(const char *file, int line, const char *expr, const char *msg, ...)
{
    fprintf(stderr, "%s:%d: broken promise: %s %s\n", file, line, expr, msg != NULL ? msg : "");
    abort();
}

void _mark_point(const char *file, int line)
{
    (void)file;
    (void)line;
}

static struct machine busy, calm;
static struct model model;

/* ---- commands */

static struct slice take_key(struct fuzz_input *in, size_t size_min)
{
    return fuzz_bytes(in, size_min + fuzz_below(in, MODEL_KEY_SIZE_MAX + 1 - (uint32_t)size_min));
}

static uint64_t take_revision(struct fuzz_input *in)
{
    uint8_t how = fuzz_u8(in);
    return how < 64 ? 0 : model.revision - how % 8;
}

static struct blob *take_batch(struct fuzz_input *in)
{
    struct kv_op ops[OPS_MAX];
    uint32_t n = 0, wanted = 1 + fuzz_below(in, OPS_MAX);
    while (n < wanted) {
        struct kv_op *op = &ops[n];
        uint8_t what = fuzz_u8(in);
        *op = (struct kv_op){ .type = (enum kv_op_type)(KV_SET + what % 4) };
        op->key = take_key(in, op->type == KV_DELETE_PREFIX ? 0 : 1);
        if (op->key.size == 0 && op->type != KV_DELETE_PREFIX)
            op->key = slice_text("k");
        if (op->type == KV_SET)
            op->value = fuzz_bytes(in, what >> 6 == 3 ? what : what >> 6);
        if (op->type != KV_DELETE_PREFIX && (what >> 2) % 8 == 1)
            op->condition = CONDITION_EXISTS;
        if (op->type != KV_DELETE_PREFIX && (what >> 2) % 8 == 2) {
            op->condition = CONDITION_REVISION;
            op->revision = take_revision(in);
        }
        n++;
    }
    return batch_of(ops, n);
}

static struct blob *take_announce(struct fuzz_input *in)
{
    char name[8], address[16];
    uint64_t id = 1 + fuzz_below(in, 20);
    snprintf(name, sizeof name, "n%u", (unsigned)fuzz_u8(in));
    snprintf(address, sizeof address, "h:%u", (unsigned)fuzz_u8(in));
    struct member_info member = { id, slice_text(name), slice_text(address), slice_text(address) };
    return command_encode_announce(&member);
}

/* ---- the three */

static void check_same_answer(const struct command_result *a, const struct command_result *b)
{
    struct blob *one = result_encode(a), *other = result_encode(b);
    FUZZ_MUST(slice_equal(blob_slice(one), blob_slice(other)));
    blob_unref(one);
    blob_unref(other);
}

static void apply(struct blob *payload, bool batch)
{
    struct command_result a = *machine_apply(&busy, blob_ref(payload));
    struct command_result b = *machine_apply(&calm, payload);
    check_same_answer(&a, &b);
    if (batch) {
        struct command_result wanted = model_apply(&model, blob_slice(payload));
        wanted.index = a.index;
        wanted.term = a.term;
        check_same_answer(&a, &wanted);
    }
    FUZZ_MUST(statemachine_revision(busy.sm) == model.revision);
    FUZZ_MUST(statemachine_keys(busy.sm) == model.n);
    FUZZ_MUST(statemachine_digest(busy.sm) == statemachine_digest(calm.sm));
}

/* Any bytes at all. */
static void apply_bytes(struct fuzz_input *in)
{
    static struct kv_op ops[BATCH_OPS_MAX];
    struct command command;
    struct slice bytes = fuzz_bytes(in, fuzz_u8(in));
    if (command_decode(bytes, ops, &command) == OK)
        return; /* fuzz_command's affair; its keys may be too long for the model */
    struct blob *payload = blob_copy(bytes);
    FUZZ_MUST(machine_apply(&busy, blob_ref(payload))->err == ERR_BAD_REQUEST);
    FUZZ_MUST(machine_apply(&calm, payload)->err == ERR_BAD_REQUEST);
}

/* ---- what is a node's own affair */

static void stir(struct fuzz_input *in)
{
    uint8_t what = fuzz_u8(in);
    switch (what % 4) {
    case 0:
        if (!statemachine_sealed(busy.sm))
            machine_submit(&busy);
        break;
    case 1:
        memory_disk_write(busy.disk, what & 4);
        break;
    case 2:
        machine_drain(&busy);
        break;
    case 3:
        machine_crash(&busy, what >> 2 & 1);
        machine_replay(&busy);
        break;
    }
}

/* ---- lists */

struct listed {
    size_t size;
    uint64_t hash;
};

static void on_item(void *arg, const struct kv_item *item)
{
    struct listed *listed = arg;
    uint64_t numbers[3] = { item->revision, item->create_revision, item->version };
    listed->size++;
    listed->hash = checksum(checksum(listed->hash, item->key), item->value);
    listed->hash = checksum(listed->hash, slice_of(numbers, sizeof numbers));
}

static void list(struct fuzz_input *in)
{
    uint8_t how = fuzz_u8(in);
    struct list_query query = { .descending = how & 1, .keys_only = how & 2, .count_only = how & 4,
                                .limit = 1 + (how >> 6) * 300u };
    query.prefix = how & 8 ? take_key(in, 0) : slice_of(NULL, 0);
    query.start = how & 16 ? take_key(in, 0) : slice_of(NULL, 0);
    query.end = how & 32 ? take_key(in, 0) : slice_of(NULL, 0);
    query.after = how & 4 ? slice_of(NULL, 0) : take_key(in, 0);
    struct machine *machines[2] = { &busy, &calm };
    struct listed listed[2] = { { 0, 0 }, { 0, 0 } };
    struct list_result result[2];
    for (int i = 0; i < 2; i++) {
        FUZZ_MUST(statemachine_read_begin(machines[i]->sm) == OK);
        FUZZ_MUST(statemachine_list(machines[i]->sm, &query, on_item, &listed[i], &result[i]) == OK);
        statemachine_read_end(machines[i]->sm);
        FUZZ_MUST(listed[i].size <= query.limit);
    }
    FUZZ_MUST(listed[0].size == listed[1].size && listed[0].hash == listed[1].hash);
    FUZZ_MUST(result[0].count == result[1].count && result[0].more == result[1].more);
    model_check_list(&model, busy.sm, &query);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in = { data, size };
    uint64_t walked[2];
    model_init(&model);
    machine_init(&busy);
    machine_init(&calm);
    memory_disk_hold(busy.disk, true);
    while (in.left > 0 && busy.last < ENTRIES_MAX) {
        uint8_t what = fuzz_u8(&in) % 16;
        if (what < 8)
            apply(take_batch(&in), true);
        else if (what < 12)
            stir(&in);
        else if (what < 14)
            list(&in);
        else if (what == 14)
            apply(take_announce(&in), false);
        else
            apply_bytes(&in);
    }
    model_check_all(&model, busy.sm);
    model_check_all(&model, calm.sm);
    FUZZ_MUST(statemachine_walk_digest(busy.sm, &walked[0]) == OK);
    FUZZ_MUST(statemachine_walk_digest(calm.sm, &walked[1]) == OK);
    FUZZ_MUST(walked[0] == walked[1] && walked[0] == statemachine_digest(busy.sm));
    memory_disk_hold(busy.disk, false);
    while (memory_disk_write(busy.disk, true))
        ;
    machine_drain(&busy);
    machine_fini(&busy);
    machine_fini(&calm);
    return 0;
}
