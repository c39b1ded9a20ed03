/* batch.c - POST /batch: operations in order, in one log entry, all or nothing. */
#include "batch_in.h"
#include "call.h"

#include "json_in.h"

#include <holdfast/limits.h>

#include <stdio.h>
#include <strings.h>

/* ---- the answer */

static void write_result(struct json_out *out, const struct kv_op *op,
                         const struct kv_result *result, uint64_t revision)
{
    json_open(out, '{');
    json_member_text(out, "type", batch_type_name(op->type));
    json_member_bytes(out, batch_key_member(op->type), op->key);
    json_member_bool(out, "ok", true);
    switch (op->type) {
    case KV_SET:
        json_member_u64(out, "revision", result->revision);
        json_member_u64(out, "version", result->version);
        json_member_bool(out, "created", result->created);
        break;
    case KV_GET:
        json_member_bool(out, "found", result->found);
        if (!result->found)
            break;
        json_member_bytes(out, "value", result->value);
        json_member_u64(out, "revision", result->revision);
        json_member_u64(out, "create_revision", result->create_revision);
        json_member_u64(out, "version", result->version);
        break;
    case KV_DELETE:
    case KV_DELETE_PREFIX:
        json_member_u64(out, "deleted", result->deleted);
        json_member_u64(out, "revision", revision);
        break;
    }
    json_close(out, '}');
}

static void batch_done(struct call *call)
{
    const struct command_result *result = call->op.result;
    struct command command;
    struct json_out out;

    if (call->op.err != OK) {
        call_fail_op(call);
        return;
    }
    /* What was asked, once more from the command: the body's tree is gone. */
    if (command_decode(blob_slice(call->command), call->server->ops, &command) != OK ||
        command.n != result->n) {
        struct problem problem;
        problem_set(&problem, ERR_INTERNAL, "",
                    "the batch was applied, but its results are damaged");
        call_fail_with(call, &(struct failure) { .problem = &problem, .outcome = OUTCOME_APPLIED });
        return;
    }
    json_init(&out);
    json_open(&out, '{');
    json_member_u64(&out, "revision", result->revision);
    json_name(&out, "results");
    json_open(&out, '[');
    for (uint32_t i = 0; i < result->n; i++)
        write_result(&out, &command.ops[i], &result->results[i], result->revision);
    json_close(&out, ']');
    json_close(&out, '}');
    call_reply_json(call, 200, &out);
}

void batch_post(struct call *call)
{
    static const char example[] =
        "curl http://localhost:8001/batch -d '{\"operations\":[{\"type\":\"set\","
        "\"key\":\"a\",\"value\":\"1\"},{\"type\":\"get\",\"key\":\"a\"}]}'";
    const char *encoding = http_request_header(call->http, "Content-Encoding");
    struct problem problem;
    uint32_t n;

    if (encoding != NULL && strcasecmp(encoding, "identity") != 0) {
        problem_set(&problem, ERR_UNSUPPORTED_MEDIA_TYPE, "send the body as it is",
                    "bodies with Content-Encoding are not understood here");
        call_fail(call, &problem);
        return;
    }
    struct cJSON *tree = json_parse(http_request_body(call->http), &problem);
    if (tree != NULL && batch_read(tree, call->server->ops, &n, &problem)) {
        call_submit_write(call, call->server->ops, n, batch_done);
    } else {
        if (problem.hint[0] == '\0' && problem.err == ERR_BAD_REQUEST)
            snprintf(problem.hint, sizeof problem.hint, "%s", example);
        call_fail(call, &problem);
    }
    json_free(tree);
}
