/* answer.c - what nodes answer, from JSON into results.  Nothing in an answer is trusted: each
 * member is looked at for its type, and what is missing makes a BROKEN_ANSWER. */
#include "internal.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>

struct cJSON *answer_parse(const struct buffer *body)
{
    const char *end = NULL;
    if (body->size == 0)
        return NULL;
    cJSON *json = cJSON_ParseWithLengthOpts(body->data, body->size, &end, false);
    if (json == NULL)
        return NULL;
    while (end < body->data + body->size && strchr(" \t\r\n", *end) != NULL && *end != '\0')
        end++;
    if (end == body->data + body->size && cJSON_IsObject(json))
        return json;
    cJSON_Delete(json);
    return NULL;
}

static const cJSON *member(const cJSON *json, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(json, name);
}

static bool read_number(const cJSON *json, const char *name, uint64_t *out)
{
    const cJSON *item = member(json, name);
    if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0) ||
        item->valuedouble > 9007199254740992.0)
        return false;
    *out = (uint64_t)item->valuedouble;
    return true;
}

static bool read_bool(const cJSON *json, const char *name)
{
    return cJSON_IsTrue(member(json, name));
}

/* Text, or a number as text; "" for anything else. */
static const char *read_text(struct result *result, const cJSON *json, const char *name)
{
    const cJSON *item = member(json, name);
    char digits[32];
    if (cJSON_IsNumber(item)) {
        snprintf(digits, sizeof(digits), "%.0f", item->valuedouble);
        return result_text(result, digits);
    }
    return result_text(result, cJSON_GetStringValue(item));
}

/* `name` as text or `name`_b64; false if neither is there in order. */
static bool read_bytes(struct result *result, const cJSON *json, const char *name,
                       struct holdfast_bytes *out)
{
    char b64[32];
    const char *text = cJSON_GetStringValue(member(json, name));
    if (text != NULL) {
        size_t size = strlen(text);
        *out = holdfast_bytes(result_copy(result, text, size), size);
        return true;
    }
    snprintf(b64, sizeof(b64), "%s_b64", name);
    text = cJSON_GetStringValue(member(json, b64));
    if (text == NULL)
        return false;
    size_t size = strlen(text), decoded = 0;
    unsigned char *bytes = result_alloc(result, size / 4 * 3 + 1, 1);
    if (bytes == NULL || !client_base64_decode(text, size, bytes, &decoded))
        return false;
    *out = holdfast_bytes(bytes, decoded);
    return true;
}

/* ---- errors */

static const struct {
    const char *code;
    enum holdfast_error error;
} error_codes[] = {
    { "bad_request", HOLDFAST_BAD_REQUEST },
    { "no_route", HOLDFAST_BAD_REQUEST },
    { "method_not_allowed", HOLDFAST_BAD_REQUEST },
    { "length_required", HOLDFAST_BAD_REQUEST },
    { "uri_too_long", HOLDFAST_BAD_REQUEST },
    { "unsupported_media_type", HOLDFAST_BAD_REQUEST },
    { "key_not_found", HOLDFAST_NOT_FOUND },
    { "condition_failed", HOLDFAST_CONDITION_FAILED },
    { "too_large", HOLDFAST_TOO_LARGE },
    { "overloaded", HOLDFAST_OVERLOADED },
    { "no_leader", HOLDFAST_NO_LEADER },
    { "too_stale", HOLDFAST_TOO_STALE },
    { "no_space", HOLDFAST_NO_SPACE },
    { "shutting_down", HOLDFAST_SHUTTING_DOWN },
    { "state_differs", HOLDFAST_STATE_DIFFERS },
    { "timeout", HOLDFAST_TIMEOUT },
    { "no_such_member", HOLDFAST_NOT_FOUND },
    { "member_exists", HOLDFAST_CONFLICT },
    { "quorum_at_risk", HOLDFAST_CONFLICT },
    { "change_under_way", HOLDFAST_CONFLICT },
};

static bool read_outcome(const cJSON *error, enum holdfast_outcome *out)
{
    const char *text = cJSON_GetStringValue(member(error, "outcome"));
    for (int i = HOLDFAST_NOT_APPLIED; text != NULL && i <= HOLDFAST_UNKNOWN; i++) {
        if (strcmp(text, holdfast_outcome_name((enum holdfast_outcome)i)) == 0) {
            *out = (enum holdfast_outcome)i;
            return true;
        }
    }
    return false;
}

bool answer_error(struct result *result, const struct cJSON *json, bool *retryable)
{
    struct holdfast_result *r = &result->public;
    const cJSON *error = member(json, "error");
    const char *code = cJSON_GetStringValue(member(error, "code"));
    if (code == NULL || !read_outcome(error, &r->outcome))
        return false;
    const char *message = cJSON_GetStringValue(member(error, "message"));
    result_error(result, HOLDFAST_SERVER_ERROR, "%s", message == NULL ? code : message);
    for (size_t i = 0; i < sizeof(error_codes) / sizeof(error_codes[0]); i++) {
        if (strcmp(error_codes[i].code, code) == 0)
            r->error = error_codes[i].error;
    }
    r->code = result_text(result, code);
    r->hint = read_text(result, error, "hint");
    *retryable = read_bool(error, "retryable");
    /* A failed condition tells what it found. */
    uint64_t failed_op;
    if (!read_number(error, "revision", &r->revision))
        read_number(json, "revision", &r->revision);
    if (read_number(error, "operation", &failed_op))
        r->failed_op = (size_t)failed_op;
    return true;
}

/* ---- keys and values */

const char *const op_type_names[] = {
    [HOLDFAST_OP_SET] = "set",
    [HOLDFAST_OP_GET] = "get",
    [HOLDFAST_OP_DELETE] = "delete",
    [HOLDFAST_OP_DELETE_PREFIX] = "delete_prefix",
};

static bool read_kv(struct result *result, const cJSON *json, struct holdfast_kv *kv)
{
    if (!cJSON_IsObject(json) || !read_bytes(result, json, "key", &kv->key))
        return false;
    read_bytes(result, json, "value", &kv->value);
    read_number(json, "revision", &kv->revision);
    read_number(json, "create_revision", &kv->create_revision);
    read_number(json, "version", &kv->version);
    return true;
}

static bool fill_kv(struct result *result, const cJSON *json)
{
    struct holdfast_kv *kv = result_alloc(result, 1, sizeof(*kv));
    if (kv == NULL || !read_kv(result, json, kv))
        return false;
    result->public.kvs = kv;
    result->public.n_kvs = 1;
    return true;
}

static bool fill_get(struct result *result, const cJSON *json)
{
    return fill_kv(result, json) && result->public.kvs->value.data != NULL &&
           result->public.kvs->revision > 0;
}

static bool fill_put(struct result *result, const cJSON *json)
{
    struct holdfast_result *r = &result->public;
    r->created = read_bool(json, "created");
    return read_number(json, "revision", &r->revision) && fill_kv(result, json);
}

static bool fill_delete(struct result *result, const cJSON *json)
{
    struct holdfast_result *r = &result->public;
    return read_number(json, "revision", &r->revision) && read_number(json, "deleted", &r->deleted);
}

static bool fill_list(struct result *result, const cJSON *json)
{
    struct holdfast_result *r = &result->public;
    const cJSON *list = member(json, "kvs"), *item;
    size_t n = 0;
    if (!read_number(json, "revision", &r->revision) || !read_number(json, "count", &r->count))
        return false;
    if (list == NULL) /* count_only */
        return true;
    if (!cJSON_IsArray(list))
        return false;
    cJSON_ArrayForEach(item, list) n++;
    struct holdfast_kv *kvs = result_alloc(result, n, sizeof(*kvs));
    if (kvs == NULL)
        return false;
    r->kvs = kvs;
    cJSON_ArrayForEach(item, list)
    {
        if (!read_kv(result, item, &kvs[r->n_kvs++]))
            return false;
    }
    r->more = read_bool(json, "more");
    r->cursor = read_text(result, json, "cursor");
    return !r->more || r->cursor[0] != '\0';
}

static bool read_op_type(const cJSON *json, enum holdfast_op_type *type)
{
    const char *name = cJSON_GetStringValue(member(json, "type"));
    for (int i = HOLDFAST_OP_SET; name != NULL && i <= HOLDFAST_OP_DELETE_PREFIX; i++) {
        if (strcmp(op_type_names[i], name) == 0) {
            *type = (enum holdfast_op_type)i;
            return true;
        }
    }
    return false;
}

static bool read_op(struct result *result, const cJSON *json, struct holdfast_op_result *op)
{
    if (!read_op_type(json, &op->type))
        return false;
    if (op->type == HOLDFAST_OP_DELETE_PREFIX)
        return read_bytes(result, json, "prefix", &op->kv.key) &&
               read_number(json, "deleted", &op->deleted);
    if (!read_kv(result, json, &op->kv))
        return false;
    read_number(json, "deleted", &op->deleted);
    op->created = read_bool(json, "created");
    op->ok = op->type == HOLDFAST_OP_SET ||
             (op->type == HOLDFAST_OP_GET ? op->kv.value.data != NULL : op->deleted > 0);
    return true;
}

static bool fill_batch(struct result *result, const cJSON *json)
{
    struct holdfast_result *r = &result->public;
    const cJSON *list = member(json, "results"), *item;
    size_t n = 0;
    if (!read_number(json, "revision", &r->revision) || !cJSON_IsArray(list))
        return false;
    cJSON_ArrayForEach(item, list) n++;
    struct holdfast_op_result *ops = result_alloc(result, n, sizeof(*ops));
    if (ops == NULL)
        return false;
    r->ops = ops;
    cJSON_ArrayForEach(item, list)
    {
        if (!read_op(result, item, &ops[r->n_ops++]))
            return false;
    }
    return true;
}

/* ---- the node and the cluster */

static const char *read_alarms(struct result *result, const cJSON *json)
{
    const cJSON *item;
    char text[256] = "";
    size_t used = 0;
    cJSON_ArrayForEach(item, member(json, "alarms"))
    {
        const char *name = cJSON_GetStringValue(item);
        if (name != NULL && used + strlen(name) + 2 <= sizeof text)
            used += (size_t)sprintf(text + used, "%s%s", used > 0 ? "," : "", name);
    }
    return result_text(result, text);
}

static bool fill_status(struct result *result, const cJSON *json)
{
    struct holdfast_status *status = result_alloc(result, 1, sizeof(*status));
    if (status == NULL || !cJSON_IsString(member(json, "state")))
        return false;
    status->id = read_text(result, json, "id");
    status->name = read_text(result, json, "name");
    status->state = read_text(result, json, "state");
    status->leader = read_text(result, json, "leader");
    status->leader_name = read_text(result, json, "leader_name");
    status->version = read_text(result, json, "version");
    read_number(json, "term", &status->term);
    read_number(json, "commit_index", &status->commit_index);
    read_number(json, "applied_index", &status->applied_index);
    read_number(json, "log_first_index", &status->log_first_index);
    read_number(json, "log_last_index", &status->log_last_index);
    read_number(json, "revision", &status->revision);
    read_number(json, "keys", &status->keys);
    read_number(json, "uptime_ms", &status->uptime_ms);
    status->digest = read_text(result, json, "digest");
    status->alarms = read_alarms(result, json);
    result->public.status = status;
    return true;
}

void answer_members(struct result *result, const struct cJSON *json)
{
    struct holdfast_result *r = &result->public;
    const cJSON *list = member(json, "members"), *item;
    size_t n = 0;
    if (!cJSON_IsArray(list))
        return;
    cJSON_ArrayForEach(item, list) n++;
    struct holdfast_member *members = result_alloc(result, n, sizeof(*members));
    if (members == NULL)
        return;
    r->members = members;
    cJSON_ArrayForEach(item, list)
    {
        struct holdfast_member *m = &members[r->n_members++];
        m->id = read_text(result, item, "id");
        m->name = read_text(result, item, "name");
        m->role = read_text(result, item, "role");
        m->raft_addr = read_text(result, item, "raft_addr");
        m->http_addr = read_text(result, item, "http_addr");
        m->leader = strcmp(m->role, "leader") == 0;
        m->match_index = m->lag = m->last_contact_ms = UINT64_MAX;
        read_number(item, "match_index", &m->match_index);
        read_number(item, "lag", &m->lag);
        read_number(item, "last_contact_ms", &m->last_contact_ms);
    }
}

static bool fill_info(struct result *result, const cJSON *json)
{
    answer_members(result, json);
    return result->public.members != NULL;
}

static bool fill(struct result *result, enum answer_kind kind, const cJSON *json)
{
    switch (kind) {
    case ANSWER_GET:
        return fill_get(result, json);
    case ANSWER_PUT:
        return fill_put(result, json);
    case ANSWER_DELETE:
        return fill_delete(result, json);
    case ANSWER_LIST:
        return fill_list(result, json);
    case ANSWER_BATCH:
        return fill_batch(result, json);
    case ANSWER_STATUS:
        return fill_status(result, json);
    case ANSWER_INFO:
        return fill_info(result, json);
    case ANSWER_DOCUMENT:
        break;
    }
    return true;
}

void answer_fill(struct result *result, enum answer_kind kind)
{
    struct holdfast_result *r = &result->public;
    if (kind == ANSWER_DOCUMENT)
        return;
    struct buffer body = { .data = (char *)r->json.data, .size = r->json.size };
    cJSON *json = answer_parse(&body);
    if ((json == NULL || !fill(result, kind, json)) && !result->failed) {
        bool is_write = kind == ANSWER_PUT || kind == ANSWER_DELETE || kind == ANSWER_BATCH;
        r->outcome = is_write ? HOLDFAST_UNKNOWN : HOLDFAST_NOT_APPLIED;
        result_error(result, HOLDFAST_BROKEN_ANSWER,
                     "%s answered %d with JSON that is not Holdfast's", r->node, r->http_status);
    }
    cJSON_Delete(json);
}
