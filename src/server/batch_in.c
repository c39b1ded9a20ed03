/* batch_in.c - the body of POST /batch: which members each type of operation takes, and what they
 * may say. */
#include "batch_in.h"

#include "json_in.h"
#include "options.h"

#include <holdfast/limits.h>

#include <stdio.h>

enum {
    MEMBER_TYPE,
    MEMBER_KEY,
    MEMBER_KEY_B64,
    MEMBER_PREFIX,
    MEMBER_PREFIX_B64,
    MEMBER_VALUE,
    MEMBER_VALUE_B64,
    MEMBER_IF_REVISION,
    MEMBER_IF_MATCH,
    MEMBER_IF_NONE_MATCH,
    MEMBERS
};

static const struct json_member_spec members[MEMBERS] = {
    [MEMBER_TYPE] = { "type", JSON_STRING },
    [MEMBER_KEY] = { "key", JSON_STRING },
    [MEMBER_KEY_B64] = { "key_b64", JSON_BASE64 },
    [MEMBER_PREFIX] = { "prefix", JSON_STRING },
    [MEMBER_PREFIX_B64] = { "prefix_b64", JSON_BASE64 },
    [MEMBER_VALUE] = { "value", JSON_STRING },
    [MEMBER_VALUE_B64] = { "value_b64", JSON_BASE64 },
    [MEMBER_IF_REVISION] = { "if_revision", JSON_COUNT },
    [MEMBER_IF_MATCH] = { "if_match", JSON_STRING },
    [MEMBER_IF_NONE_MATCH] = { "if_none_match", JSON_STRING },
};

#define BIT(member) (1u << (member))
#define EITHER(member) (3u << (member)) /* the member or its _b64 twin, which stands behind it */
#define CONDITIONS (BIT(MEMBER_IF_REVISION) | BIT(MEMBER_IF_MATCH) | BIT(MEMBER_IF_NONE_MATCH))

static const struct {
    const char *name;
    enum kv_op_type type;
    unsigned key;     /* the member that names the key, or the prefix */
    unsigned allowed; /* members, as bits */
} types[] = {
    { "set", KV_SET, MEMBER_KEY, EITHER(MEMBER_KEY) | EITHER(MEMBER_VALUE) | CONDITIONS },
    { "get", KV_GET, MEMBER_KEY, EITHER(MEMBER_KEY) | CONDITIONS },
    { "delete", KV_DELETE, MEMBER_KEY, EITHER(MEMBER_KEY) | CONDITIONS },
    { "delete_prefix", KV_DELETE_PREFIX, MEMBER_PREFIX, EITHER(MEMBER_PREFIX) },
};

enum { TYPES = sizeof types / sizeof types[0] };

/* One operation that is being read. */
struct reading {
    char where[32]; /* "operation 3: " */
    struct json_value values[MEMBERS];
    struct problem *problem;
};

/* The member or its _b64 twin; exactly one of them. */
static bool read_either(struct reading *r, unsigned member, struct slice *bytes)
{
    const struct json_value *plain = &r->values[member], *coded = &r->values[member + 1];

    if (plain->present == coded->present)
        return problem_set(r->problem, ERR_BAD_REQUEST, "", "%s%s \"%s\" %s \"%s\" %s", r->where,
                           plain->present ? "both" : "member", members[member].name,
                           plain->present ? "and" : "or", members[member + 1].name,
                           plain->present ? "are given; one of them is needed" : "is missing");
    *bytes = plain->present ? plain->text : coded->text;
    return true;
}

static bool read_conditions(struct reading *r, struct kv_op *op)
{
    unsigned n = 0;

    if (r->values[MEMBER_IF_REVISION].present) {
        n++;
        op->condition = CONDITION_REVISION;
        op->revision = r->values[MEMBER_IF_REVISION].count;
    }
    if (r->values[MEMBER_IF_NONE_MATCH].present) {
        n++;
        if (!slice_equal(r->values[MEMBER_IF_NONE_MATCH].text, slice_text("*")))
            return problem_set(r->problem, ERR_BAD_REQUEST, "",
                               "%smember \"if_none_match\" must be \"*\"", r->where);
        op->condition = CONDITION_REVISION;
        op->revision = 0;
    }
    if (r->values[MEMBER_IF_MATCH].present) {
        struct slice text = r->values[MEMBER_IF_MATCH].text;
        uint64_t revision = 0;
        n++;
        if (slice_equal(text, slice_text("*"))) {
            op->condition = CONDITION_EXISTS;
        } else if (options_parse_u64(text, &revision) && revision > 0) {
            op->condition = CONDITION_REVISION;
            op->revision = revision;
        } else {
            return problem_set(
                r->problem, ERR_BAD_REQUEST, "",
                "%smember \"if_match\" must be a revision above 0 such as \"58\", or \"*\"",
                r->where);
        }
    }
    return n <= 1 || problem_set(r->problem, ERR_BAD_REQUEST, "",
                                 "%sgive one of if_revision, if_match and if_none_match", r->where);
}

static bool check_sizes(struct reading *r, const struct kv_op *op)
{
    if (op->key.size == 0 && op->type != KV_DELETE_PREFIX)
        return problem_set(r->problem, ERR_BAD_REQUEST, "",
                           "%sthe key is empty; a key has 1 to %d bytes", r->where, KEY_SIZE_MAX);
    if (op->key.size > KEY_SIZE_MAX)
        return problem_set(
            r->problem, ERR_TOO_LARGE, "", "%sthe %s has %zu bytes; at most %d are allowed",
            r->where, op->type == KV_DELETE_PREFIX ? "prefix" : "key", op->key.size, KEY_SIZE_MAX);
    if (op->value.size > VALUE_SIZE_MAX)
        return problem_set(r->problem, ERR_TOO_LARGE, "",
                           "%sthe value has %zu bytes; at most %d are allowed", r->where,
                           op->value.size, VALUE_SIZE_MAX);
    return true;
}

static bool read_operation(const struct cJSON *element, uint32_t number, struct kv_op *op,
                           struct problem *problem)
{
    struct reading reading = { .problem = problem };
    struct reading *r = &reading;
    unsigned i = 0;

    snprintf(r->where, sizeof r->where, "operation %u: ", number);
    if (!json_read_object(element, members, MEMBERS, r->where, r->values, problem))
        return false;
    if (!r->values[MEMBER_TYPE].present)
        return problem_set(problem, ERR_BAD_REQUEST, "", "%smember \"type\" is missing", r->where);
    while (i < TYPES && !slice_equal(r->values[MEMBER_TYPE].text, slice_text(types[i].name)))
        i++;
    if (i == TYPES)
        return problem_set(problem, ERR_BAD_REQUEST, "known types: set, get, delete, delete_prefix",
                           "%sthere is no type %s", r->where,
                           problem_quote(r->values[MEMBER_TYPE].text).text);
    for (unsigned member = MEMBER_KEY; member < MEMBERS; member++) {
        if (r->values[member].present && (types[i].allowed & BIT(member)) == 0)
            return problem_set(problem, ERR_BAD_REQUEST, "", "%sa %s takes no member \"%s\"",
                               r->where, types[i].name, members[member].name);
    }
    memset(op, 0, sizeof *op);
    op->type = types[i].type;
    if (!read_either(r, types[i].key, &op->key))
        return false;
    if (op->type == KV_SET && !read_either(r, MEMBER_VALUE, &op->value))
        return false;
    return read_conditions(r, op) && check_sizes(r, op);
}

bool batch_read(const struct cJSON *tree, struct kv_op *ops, uint32_t *n, struct problem *problem)
{
    static const struct json_member_spec specs[] = { { "operations", JSON_ARRAY } };
    struct json_value operations;

    if (!json_read_object(tree, specs, 1, "", &operations, problem))
        return false;
    if (!operations.present)
        return problem_set(problem, ERR_BAD_REQUEST, "", "member \"operations\" is missing");
    *n = 0;
    for (const struct cJSON *at = operations.first; at != NULL; at = json_next(at)) {
        if (*n == BATCH_OPS_MAX)
            return problem_set(problem, ERR_TOO_LARGE, "split the batch",
                               "the batch has more than %d operations", BATCH_OPS_MAX);
        if (!read_operation(at, *n, &ops[*n], problem))
            return false;
        ++*n;
    }
    return *n > 0 || problem_set(problem, ERR_BAD_REQUEST, "",
                                 "the batch is empty; it must have at least one operation");
}

static unsigned type_of(enum kv_op_type type)
{
    unsigned i = 0;
    while (i < TYPES - 1 && types[i].type != type)
        i++;
    return i;
}

const char *batch_type_name(enum kv_op_type type)
{
    return types[type_of(type)].name;
}

const char *batch_key_member(enum kv_op_type type)
{
    return members[types[type_of(type)].key].name;
}
