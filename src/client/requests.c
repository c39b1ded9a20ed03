/* requests.c - the calls of the library: each is an HTTP request written down, run, and its
 * answer read. */
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- what the calls share */

static struct holdfast_call read_call(const struct holdfast_call *call)
{
    struct holdfast_call c = HOLDFAST_CALL_INIT;
    if (call != NULL)
        memcpy(&c, call, call->size < sizeof(c) ? call->size : sizeof(c));
    return c;
}

/* Writes ?name= or &name= in front of a parameter's value. */
static void add_param(struct buffer *target, const char *name)
{
    buffer_text(target, strchr(target->data == NULL ? "" : target->data, '?') == NULL ? "?" : "&");
    buffer_text(target, name);
}

static void add_number(struct buffer *target, const char *name, uint64_t value, const char *unit)
{
    add_param(target, name);
    buffer_format(target, "=%llu%s", (unsigned long long)value, unit);
}

static void add_bytes(struct buffer *target, const char *name, struct holdfast_bytes bytes)
{
    add_param(target, name);
    buffer_text(target, "=");
    buffer_percent(target, bytes, true);
}

/* What software between us and the node may change in a path: dot segments, doubled and outer
 * slashes; and NUL, which some refuse. */
static bool key_needs_query(struct holdfast_bytes key)
{
    const char *p = key.data;
    size_t segment = 0; /* where the current one begins */
    for (size_t i = 0; i <= key.size; i++) {
        if (i < key.size && p[i] == '\0')
            return true;
        if (i < key.size && p[i] != '/')
            continue;
        size_t n = i - segment;
        if (n == 0 || (n == 1 && p[segment] == '.') ||
            (n == 2 && p[segment] == '.' && p[segment + 1] == '.'))
            return true;
        segment = i + 1;
    }
    return false;
}

static void add_key(struct buffer *target, struct holdfast_bytes key)
{
    if (key_needs_query(key)) {
        buffer_text(target, "/kv");
        add_bytes(target, "key", key);
    } else {
        buffer_text(target, "/kv/");
        buffer_percent(target, key, true);
    }
}

static void add_condition(struct buffer *target, const struct holdfast_call *call)
{
    if (call->conditional)
        add_number(target, "if_revision", call->if_revision, "");
}

static void add_consistency(struct buffer *target, const struct holdfast_call *call)
{
    if (call->consistency != HOLDFAST_LINEARIZABLE) {
        add_param(target, "consistency");
        buffer_text(target, call->consistency == HOLDFAST_LEASE ? "=lease" : "=stale");
    }
    if (call->max_stale_ms != 0)
        add_number(target, "max_stale", call->max_stale_ms, "ms");
    if (call->min_revision != 0)
        add_number(target, "min_revision", call->min_revision, "");
}

static struct holdfast_result *refuse(struct result *result, enum holdfast_error error,
                                      const char *text)
{
    if (result == NULL)
        return result_no_memory(HOLDFAST_NOT_APPLIED);
    result_error(result, error, "%s", text);
    return result_give(result);
}

static bool key_in_order(struct holdfast_bytes key)
{
    return key.size > 0 && key.size <= HOLDFAST_KEY_MAX && key.data != NULL;
}

/* For bytes that are no key, or no prefix to delete. */
static struct holdfast_result *refuse_key(struct holdfast_bytes key)
{
    if (key.size <= HOLDFAST_KEY_MAX)
        return refuse(result_new(), HOLDFAST_BAD_ARGUMENT,
                      "the key is empty, it must have 1 to 511 bytes");
    return refuse(result_new(), HOLDFAST_TOO_LARGE, "the key is longer than 511 bytes");
}

/* Runs the request whose target (and body) were written; frees both. */
static struct holdfast_result *finish(struct holdfast *db, struct request *request,
                                      struct buffer *target, struct buffer *body,
                                      const struct holdfast_call *call, enum answer_kind kind)
{
    struct result *result = result_new();
    if (result == NULL || target->failed || (body != NULL && body->failed)) {
        if (result != NULL)
            result->failed = true;
    } else {
        request->target = target->data;
        call_run(db, request, call, result);
        if (result->public.error == HOLDFAST_OK && !result->failed)
            answer_fill(result, kind);
    }
    buffer_free(target);
    if (body != NULL)
        buffer_free(body);
    return result == NULL ? result_no_memory(HOLDFAST_NOT_APPLIED) : result_give(result);
}

/* ---- keys and values */

struct holdfast_result *holdfast_get(struct holdfast *db, struct holdfast_bytes key,
                                     const struct holdfast_call *call)
{
    struct holdfast_call c = read_call(call);
    struct buffer target = { 0 };
    if (!key_in_order(key))
        return refuse_key(key);
    add_key(&target, key);
    add_consistency(&target, &c);
    struct request request = { .method = "GET",
                               .takes_timeout = true,
                               .wants_leader = c.consistency != HOLDFAST_STALE };
    return finish(db, &request, &target, NULL, &c, ANSWER_GET);
}

struct holdfast_result *holdfast_put(struct holdfast *db, struct holdfast_bytes key,
                                     struct holdfast_bytes value, const struct holdfast_call *call)
{
    struct holdfast_call c = read_call(call);
    struct buffer target = { 0 };
    if (!key_in_order(key))
        return refuse_key(key);
    if (value.data == NULL && value.size > 0)
        return refuse(result_new(), HOLDFAST_BAD_ARGUMENT, "the value has a size but no bytes");
    if (value.size > HOLDFAST_VALUE_MAX)
        return refuse(result_new(), HOLDFAST_TOO_LARGE, "the value is larger than 1 MiB");
    add_key(&target, key);
    add_param(&target, "raw");
    add_condition(&target, &c);
    struct request request = { .method = "PUT",
                               .content_type = "application/octet-stream",
                               .body = value,
                               .has_body = true,
                               .is_write = true,
                               .takes_timeout = true,
                               .wants_leader = true };
    return finish(db, &request, &target, NULL, &c, ANSWER_PUT);
}

struct holdfast_result *holdfast_delete(struct holdfast *db, struct holdfast_bytes key,
                                        const struct holdfast_call *call)
{
    struct holdfast_call c = read_call(call);
    struct buffer target = { 0 };
    if (!key_in_order(key))
        return refuse_key(key);
    add_key(&target, key);
    add_condition(&target, &c);
    struct request request = {
        .method = "DELETE", .is_write = true, .takes_timeout = true, .wants_leader = true
    };
    return finish(db, &request, &target, NULL, &c, ANSWER_DELETE);
}

struct holdfast_result *holdfast_delete_prefix(struct holdfast *db, struct holdfast_bytes prefix,
                                               const struct holdfast_call *call)
{
    struct holdfast_call c = read_call(call);
    struct buffer target = { 0 };
    if (!key_in_order(prefix))
        return refuse_key(prefix);
    buffer_text(&target, "/kv");
    add_bytes(&target, "prefix", prefix);
    struct request request = {
        .method = "DELETE", .is_write = true, .takes_timeout = true, .wants_leader = true
    };
    return finish(db, &request, &target, NULL, &c, ANSWER_DELETE);
}

struct holdfast_result *holdfast_list(struct holdfast *db, const struct holdfast_range *range,
                                      const struct holdfast_call *call)
{
    struct holdfast_call c = read_call(call);
    struct holdfast_range all = HOLDFAST_RANGE_INIT;
    struct buffer target = { 0 };
    if (range != NULL)
        memcpy(&all, range, range->size < sizeof(all) ? range->size : sizeof(all));
    buffer_text(&target, "/kv");
    if (all.prefix.size > 0)
        add_bytes(&target, "prefix", all.prefix);
    if (all.start.size > 0)
        add_bytes(&target, "start", all.start);
    if (all.end.size > 0)
        add_bytes(&target, "end", all.end);
    if (all.cursor != NULL && all.cursor[0] != '\0')
        add_bytes(&target, "cursor", holdfast_text(all.cursor));
    if (all.limit != 0)
        add_number(&target, "limit", all.limit, "");
    if (all.keys_only)
        add_number(&target, "keys_only", 1, "");
    if (all.count_only)
        add_number(&target, "count_only", 1, "");
    if (all.descending) {
        add_param(&target, "order");
        buffer_text(&target, "=desc");
    }
    add_consistency(&target, &c);
    struct request request = { .method = "GET",
                               .takes_timeout = true,
                               .wants_leader = c.consistency != HOLDFAST_STALE };
    return finish(db, &request, &target, NULL, &c, ANSWER_LIST);
}

/* ---- batches */

static struct holdfast_result *post_batch(struct holdfast *db, struct buffer *body,
                                          struct holdfast_bytes json, bool is_write,
                                          const struct holdfast_call *call)
{
    struct buffer target = { 0 };
    buffer_text(&target, "/batch");
    struct request request = { .method = "POST",
                               .content_type = "application/json",
                               .body = json,
                               .has_body = true,
                               .is_write = is_write,
                               .takes_timeout = true,
                               .wants_leader = true };
    return finish(db, &request, &target, body, call, ANSWER_BATCH);
}

struct holdfast_result *holdfast_batch_json(struct holdfast *db, struct holdfast_bytes json,
                                            const struct holdfast_call *call)
{
    struct holdfast_call c = read_call(call);
    if (json.size == 0 || json.data == NULL)
        return refuse(result_new(), HOLDFAST_BAD_ARGUMENT, "the batch is empty");
    return post_batch(db, NULL, json, true, &c);
}

static void add_op(struct buffer *body, const struct holdfast_op *op, bool first)
{
    buffer_format(body, "%s{\"type\":\"%s\"", first ? "" : ",", op_type_names[op->type]);
    buffer_json_bytes(body, op->type == HOLDFAST_OP_DELETE_PREFIX ? "prefix" : "key", op->key);
    if (op->type == HOLDFAST_OP_SET)
        buffer_json_bytes(body, "value", op->value);
    if (op->conditional)
        buffer_format(body, ",\"if_revision\":%llu", (unsigned long long)op->if_revision);
    buffer_text(body, "}");
}

static bool op_in_order(const struct holdfast_op *op)
{
    return key_in_order(op->key) && (int)op->type >= HOLDFAST_OP_SET &&
           op->type <= HOLDFAST_OP_DELETE_PREFIX &&
           (op->value.size == 0 || op->value.data != NULL) &&
           !(op->conditional && op->type == HOLDFAST_OP_DELETE_PREFIX);
}

struct holdfast_result *holdfast_batch(struct holdfast *db, const struct holdfast_op *ops,
                                       size_t n_ops, const struct holdfast_call *call)
{
    struct holdfast_call c = read_call(call);
    struct buffer body = { 0 };
    bool is_write = false;
    buffer_text(&body, "{\"operations\":[");
    for (size_t i = 0; i < n_ops; i++) {
        if (!op_in_order(&ops[i])) {
            char why[HOLDFAST_MESSAGE_MAX];
            snprintf(why, sizeof(why),
                     "operation %zu of the batch has no key of 1 to 511 bytes, or its type, value "
                     "or condition is wrong",
                     i);
            buffer_free(&body);
            return refuse(result_new(), HOLDFAST_BAD_ARGUMENT, why);
        }
        add_op(&body, &ops[i], i == 0);
        is_write = is_write || ops[i].type != HOLDFAST_OP_GET;
    }
    buffer_text(&body, "]}");
    struct holdfast_bytes json = holdfast_bytes(body.data, body.size);
    return post_batch(db, &body, json, is_write, &c);
}

/* ---- the node and the cluster */

static struct holdfast_result *get_document(struct holdfast *db, const char *path,
                                            const struct holdfast_call *call, bool is_document,
                                            enum answer_kind kind)
{
    struct holdfast_call c = read_call(call);
    struct buffer target = { 0 };
    struct request request = { .method = "GET", .is_document = is_document };
    buffer_text(&target, path);
    return finish(db, &request, &target, NULL, &c, kind);
}

struct holdfast_result *holdfast_status(struct holdfast *db, const struct holdfast_call *call)
{
    return get_document(db, "/status", call, false, ANSWER_STATUS);
}

struct holdfast_result *holdfast_info(struct holdfast *db, const struct holdfast_call *call)
{
    struct holdfast_result *r = get_document(db, "/cluster/info", call, false, ANSWER_INFO);
    if (r->error == HOLDFAST_OK)
        learn_members(db, (struct result *)r);
    return r;
}

struct holdfast_result *holdfast_document(struct holdfast *db, const char *path,
                                          const struct holdfast_call *call)
{
    bool in_order = path != NULL && path[0] == '/';
    for (const char *p = path; in_order && *p != '\0'; p++)
        in_order = *p > ' ' && *p < 0x7f && *p != '#';
    if (!in_order)
        return refuse(result_new(), HOLDFAST_BAD_ARGUMENT,
                      "the path of a document begins with / and is percent-encoded");
    return get_document(db, path, call, true, ANSWER_DOCUMENT);
}

struct holdfast_result *holdfast_request(struct holdfast *db, const char *method, const char *path,
                                         struct holdfast_bytes json,
                                         const struct holdfast_call *call)
{
    struct holdfast_call c = read_call(call);
    struct buffer target = { 0 };
    bool in_order = path != NULL && path[0] == '/';
    for (const char *p = path; in_order && *p != '\0'; p++)
        in_order = *p > ' ' && *p < 0x7f && *p != '#';
    if (!in_order || (strcmp(method, "POST") != 0 && strcmp(method, "DELETE") != 0))
        return refuse(result_new(), HOLDFAST_BAD_ARGUMENT,
                      "the method is POST or DELETE, the path begins with / and is percent-encoded");
    struct request request = { .method = method,
                               .content_type = json.data != NULL ? "application/json" : NULL,
                               .body = json,
                               .has_body = json.data != NULL,
                               .is_write = true,
                               .takes_timeout = true,
                               .wants_leader = true };
    buffer_text(&target, path);
    return finish(db, &request, &target, NULL, &c, ANSWER_DOCUMENT);
}

struct holdfast_result *holdfast_get_snapshot(struct holdfast *db, const struct holdfast_sink *sink,
                                              const struct holdfast_call *call)
{
    struct holdfast_call c = read_call(call);
    struct buffer target = { 0 };
    struct request request = { .method = "GET", .takes_timeout = true, .sink = sink };
    if (sink == NULL || sink->begin == NULL || sink->data == NULL)
        return refuse(result_new(), HOLDFAST_BAD_ARGUMENT, "a snapshot needs a sink");
    buffer_text(&target, "/snapshot");
    add_consistency(&target, &c);
    return finish(db, &request, &target, NULL, &c, ANSWER_DOCUMENT);
}

const char *holdfast_library_version(void)
{
    return PACKAGE_VERSION;
}

const char *holdfast_curl_version(void)
{
    return curl_version_info(CURLVERSION_NOW)->version;
}
