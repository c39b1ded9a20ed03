/* kv.c - one key: GET, HEAD, PUT, DELETE; and DELETE by prefix. */
#include "call.h"

#include "json_in.h"

#include <holdfast/limits.h>

#include <stdio.h>
#include <strings.h>

/* ---- GET */

/* Names `application/octet-stream` as something the client takes. */
static bool accepts_bytes(const struct http_request *request)
{
    static const char type[] = "application/octet-stream";
    const char *accept = http_request_header(request, "Accept");

    while (accept != NULL && *accept != '\0') {
        accept += strspn(accept, " \t,");
        size_t length = strcspn(accept, " \t,;");
        if (length == sizeof type - 1 && strncasecmp(accept, type, length) == 0)
            return true;
        accept += strcspn(accept, ",");
    }
    return false;
}

static void reply_item(struct call *call, const struct kv_item *item)
{
    struct json_out out;

    call->etag = item->revision;
    if (call->options.raw) {
        call->nosniff = true;
        call_reply(call, 200, "application/octet-stream", item->value);
        return;
    }
    json_init(&out);
    json_open(&out, '{');
    json_member_bytes(&out, "key", item->key);
    json_member_bytes(&out, "value", item->value);
    json_member_u64(&out, "revision", item->revision);
    json_member_u64(&out, "create_revision", item->create_revision);
    json_member_u64(&out, "version", item->version);
    json_close(&out, '}');
    call_reply_json(call, 200, &out);
}

static void fail_not_found(struct call *call)
{
    struct problem problem;
    problem_set(&problem, ERR_KEY_NOT_FOUND, "", "there is no key %s",
                problem_quote(call->key).text);
    call_fail(call, &problem);
}

static void get_done(struct call *call)
{
    struct statemachine *sm = node_statemachine(call->server->node);
    struct kv_item item;

    if (call->op.err != OK) {
        call_fail_op(call);
        return;
    }
    enum err err = statemachine_read_begin(sm);
    if (err != OK) {
        call_fail_damaged(call, err, "the storage could not be read");
        return;
    }
    err = statemachine_get(sm, call->key, &item);
    if (err == OK)
        reply_item(call, &item);
    else if (err == ERR_KEY_NOT_FOUND)
        fail_not_found(call);
    else
        call_fail_damaged(call, err, "the stored value could not be read");
    statemachine_read_end(sm);
}

void kv_get(struct call *call)
{
    if (!call_read_key(call))
        return;
    if ((call->options.given & OPTION_RAW) == 0)
        call->options.raw = accepts_bytes(call->http);
    call_submit_read(call, get_done);
}

void kv_collection_get(struct call *call)
{
    struct problem problem;

    if ((call->options.given & (OPTION_KEY | OPTION_RAW)) == 0) {
        list_get(call);
    } else if ((call->options.given & OPTION_KEY) == 0) {
        problem_set(&problem, ERR_BAD_REQUEST, "",
                    "parameter \"raw\" is for a single key, not for a list");
        call_fail(call, &problem);
    } else if (call->options.given & OPTIONS_LIST) {
        problem_set(
            &problem, ERR_BAD_REQUEST, "",
            "parameter \"key\" asks for one key; those of a list cannot be combined with it");
        call_fail(call, &problem);
    } else {
        kv_get(call);
    }
}

/* ---- PUT */

static void put_done(struct call *call)
{
    struct json_out out;

    if (call->op.err != OK) {
        call_fail_op(call);
        return;
    }
    const struct kv_result *result = &call->op.result->results[0];
    json_init(&out);
    json_open(&out, '{');
    json_member_bytes(&out, "key", call->key);
    json_member_u64(&out, "revision", result->revision);
    json_member_u64(&out, "version", result->version);
    json_member_bool(&out, "created", result->created);
    json_close(&out, '}');
    call->etag = result->revision;
    call_reply_json(call, 200, &out);
}

/* A type that says "these bytes are the value".  curl's own default says nothing. */
static bool body_is_raw(const struct call *call)
{
    static const char stream[] = "application/octet-stream";
    const char *type = http_request_header(call->http, "Content-Type");

    if (call->options.given & OPTION_RAW)
        return call->options.raw;
    if (type == NULL)
        return false;
    size_t length = strcspn(type, " \t;");
    return (length == sizeof stream - 1 && strncasecmp(type, stream, length) == 0) ||
           strncasecmp(type, "text/", 5) == 0;
}

/* A line that works, for this very key if a shell would take it. */
static void show_put(const struct call *call, struct problem *problem)
{
    struct slice target = http_request_target(call->http);
    bool plain = target.size > 0 && target.size < 80;
    const char *host = http_request_header(call->http, "Host");

    for (size_t i = 0; i < target.size && plain; i++) {
        char c = ((const char *)target.data)[i];
        plain = c > ' ' && c < 0x7f && c != '\'' && c != '"' && c != '\\';
    }
    bool host_plain =
        host != NULL && strlen(host) < 80 &&
        strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:[]") ==
            strlen(host);
    snprintf(problem->hint, sizeof problem->hint,
             "curl -X PUT 'http://%s%.*s' -d '{\"value\":\"world\"}'",
             host_plain ? host : "localhost:8001", plain ? (int)target.size : 9,
             plain ? (const char *)target.data : "/kv/hello");
}

/* The value that the body carries.  False: `problem` says why not. */
static bool read_value(struct call *call, struct cJSON **tree, struct slice *value,
                       struct problem *problem)
{
    struct slice body = http_request_body(call->http);
    const char *encoding = http_request_header(call->http, "Content-Encoding");

    *tree = NULL;
    if (encoding != NULL && strcasecmp(encoding, "identity") != 0)
        return problem_set(problem, ERR_UNSUPPORTED_MEDIA_TYPE, "send the body as it is",
                           "bodies with Content-Encoding are not understood here");
    if (body_is_raw(call)) {
        *value = body;
    } else if (!json_looks_like_object(body)) {
        problem_set(problem, ERR_BAD_REQUEST, "",
                    body.size == 0
                        ? "the body is empty; it must be a JSON object that holds the value"
                        : "the body must be a JSON object that holds the value, or raw bytes "
                          "with Content-Type: application/octet-stream");
        show_put(call, problem);
        return false;
    } else if (!json_read_value(body, tree, value, problem)) {
        if (problem->hint[0] == '\0')
            show_put(call, problem);
        return false;
    }
    if (value->size > VALUE_SIZE_MAX)
        return problem_set(problem, ERR_TOO_LARGE, "split the value over several keys",
                           "the value has %zu bytes; at most %d are allowed", value->size,
                           VALUE_SIZE_MAX);
    return true;
}

void kv_put(struct call *call)
{
    struct kv_op op = { .type = KV_SET };
    struct problem problem;
    struct cJSON *tree = NULL;

    if (!call_read_key(call))
        return;
    op.key = call->key;
    if (!options_condition(call->http, &call->options, &op, &problem) ||
        !read_value(call, &tree, &op.value, &problem))
        call_fail(call, &problem);
    else
        call_submit_write(call, &op, 1, put_done);
    json_free(tree);
}

/* ---- DELETE */

static void delete_done(struct call *call)
{
    struct json_out out;

    if (call->op.err != OK) {
        call_fail_op(call);
        return;
    }
    const struct kv_result *result = &call->op.result->results[0];
    if (result->type == KV_DELETE && !result->found) {
        fail_not_found(call);
        return;
    }
    json_init(&out);
    json_open(&out, '{');
    if (result->type == KV_DELETE)
        json_member_bytes(&out, "key", call->key);
    json_member_u64(&out, "deleted", result->deleted);
    json_member_u64(&out, "revision", call->op.result->revision);
    json_close(&out, '}');
    call_reply_json(call, 200, &out);
}

void kv_delete(struct call *call)
{
    struct kv_op op = { .type = KV_DELETE };
    struct problem problem;

    if (!call_read_key(call))
        return;
    op.key = call->key;
    if (!options_condition(call->http, &call->options, &op, &problem))
        call_fail(call, &problem);
    else
        call_submit_write(call, &op, 1, delete_done);
}

static void delete_prefix(struct call *call)
{
    struct kv_op op = { .type = KV_DELETE_PREFIX, .key = call->options.prefix };
    struct kv_op condition = { .type = KV_DELETE_PREFIX };
    struct problem problem;

    if (!options_condition(call->http, &call->options, &condition, &problem)) {
        call_fail(call, &problem);
    } else if (condition.condition != CONDITION_NONE) {
        problem_set(&problem, ERR_BAD_REQUEST, "",
                    "a condition is for a single key; a delete by prefix takes none");
        call_fail(call, &problem);
    } else {
        call_submit_write(call, &op, 1, delete_done);
    }
}

void kv_collection_delete(struct call *call)
{
    struct problem problem;
    uint32_t given = call->options.given & (OPTION_KEY | OPTION_PREFIX);

    if (given == OPTION_KEY) {
        kv_delete(call);
    } else if (given == OPTION_PREFIX) {
        delete_prefix(call);
    } else {
        problem_set(&problem, ERR_BAD_REQUEST,
                    "DELETE /kv/hello deletes one key, DELETE /kv?prefix=app/ all that begin so, "
                    "DELETE /kv?prefix= all there are",
                    given == 0 ? "the request does not say what to delete"
                               : "parameters \"key\" and \"prefix\" cannot be combined");
        call_fail(call, &problem);
    }
}
