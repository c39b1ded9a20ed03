/* fuzz_json.c - the JSON bodies of PUT and of a batch.
 *
 * What is accepted is within limits, and says the same when it is written down anew.  The first
 * byte of an input chooses. */
#include "src/client/internal.h"
#include "src/server/batch_in.h"
#include "src/server/json_in.h"
#include "tests/fuzz/fuzz.h"

#include <unistr.h>

static void check_problem(const struct problem *problem)
{
    size_t size = strlen(problem->message);
    FUZZ_MUST(problem->err != OK && size > 0 && size < PROBLEM_TEXT_MAX);
    FUZZ_MUST(strlen(problem->hint) < PROBLEM_TEXT_MAX);
    FUZZ_MUST(u8_check((const uint8_t *)problem->message, size) == NULL);
}

/* ---- PUT */

static void fuzz_value(struct slice body)
{
    struct problem problem = { .err = OK };
    struct cJSON *tree, *slow_tree;
    struct slice value, slow;
    bool fine = json_read_value(body, &tree, &value, &problem);
    bool slow_fine = json_read_value_slowly(body, &slow_tree, &slow, &problem);
    FUZZ_MUST(fine == slow_fine);
    if (fine) {
        FUZZ_MUST(slice_equal(value, slow) && value.size <= body.size);
        FUZZ_MUST(json_looks_like_object(body));
        struct buffer text = { NULL, 0, 0, false };
        struct cJSON *again_tree;
        struct slice again;
        buffer_json_bytes(&text, "value", holdfast_bytes(value.data, value.size));
        text.data[0] = '{'; /* instead of the comma */
        buffer_text(&text, "}");
        FUZZ_MUST(json_read_value(slice_of(text.data, text.size), &again_tree, &again, &problem));
        FUZZ_MUST(slice_equal(again, value));
        json_free(again_tree);
        buffer_free(&text);
    } else {
        check_problem(&problem);
    }
    json_free(tree);
    json_free(slow_tree);
}

/* ---- batch */

static void write_op(struct buffer *text, const struct kv_op *op)
{
    buffer_format(text, "%s{\"type\":\"%s\"", text->data[text->size - 1] == '[' ? "" : ",",
                  batch_type_name(op->type));
    buffer_json_bytes(text, batch_key_member(op->type), holdfast_bytes(op->key.data, op->key.size));
    if (op->type == KV_SET)
        buffer_json_bytes(text, "value", holdfast_bytes(op->value.data, op->value.size));
    if (op->condition == CONDITION_EXISTS)
        buffer_text(text, ",\"if_match\":\"*\"");
    else if (op->condition == CONDITION_REVISION && op->revision == 0)
        buffer_text(text, ",\"if_none_match\":\"*\"");
    else if (op->condition == CONDITION_REVISION)
        buffer_format(text, ",\"if_match\":\"%llu\"", (unsigned long long)op->revision);
    buffer_text(text, "}");
}

static void check_same(const struct kv_op *a, const struct kv_op *b, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        FUZZ_MUST(a[i].type == b[i].type && a[i].condition == b[i].condition);
        FUZZ_MUST(a[i].revision == b[i].revision);
        FUZZ_MUST(slice_equal(a[i].key, b[i].key) && slice_equal(a[i].value, b[i].value));
    }
}

/* The command that goes into the log holds these very operations. */
static void check_command(const struct kv_op *ops, uint32_t n)
{
    static struct kv_op decoded[BATCH_OPS_MAX];
    struct command command;
    size_t size = command_batch_size(ops, n);
    FUZZ_MUST(size <= COMMAND_SIZE_MAX);
    struct blob *blob = blob_new(size);
    command_encode_batch(ops, n, blob->data);
    FUZZ_MUST(command_decode(blob_slice(blob), decoded, &command) == OK && command.n == n);
    check_same(ops, decoded, n);
    blob_unref(blob);
}

static void check_written_anew(const struct kv_op *ops, uint32_t n)
{
    static struct kv_op again[BATCH_OPS_MAX];
    struct problem problem;
    struct buffer text = { NULL, 0, 0, false };
    uint32_t n_again;
    buffer_text(&text, "{\"operations\":[");
    for (uint32_t i = 0; i < n; i++)
        write_op(&text, &ops[i]);
    buffer_text(&text, "]}");
    struct cJSON *tree = json_parse(slice_of(text.data, text.size), &problem);
    FUZZ_MUST(tree != NULL && batch_read(tree, again, &n_again, &problem) && n_again == n);
    check_same(ops, again, n);
    json_free(tree);
    buffer_free(&text);
}

static void fuzz_batch(struct slice body)
{
    static struct kv_op ops[BATCH_OPS_MAX];
    struct problem problem = { .err = OK };
    uint32_t n;
    struct cJSON *tree = json_parse(body, &problem);
    if (tree != NULL && batch_read(tree, ops, &n, &problem)) {
        FUZZ_MUST(n >= 1 && n <= BATCH_OPS_MAX);
        for (uint32_t i = 0; i < n; i++) {
            FUZZ_MUST(ops[i].key.size <= KEY_SIZE_MAX && ops[i].value.size <= VALUE_SIZE_MAX);
            FUZZ_MUST(ops[i].key.size > 0 || ops[i].type == KV_DELETE_PREFIX);
        }
        check_command(ops, n);
        check_written_anew(ops, n);
    } else {
        check_problem(&problem);
    }
    json_free(tree);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct slice body = slice_of(data + 1, size - 1);
    if (data[0] % 2 == 0)
        fuzz_value(body);
    else
        fuzz_batch(body);
    return 0;
}
