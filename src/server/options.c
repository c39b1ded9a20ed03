/* options.c - one table: parameter, bit, and the function that reads it. */
#include "options.h"

#include <holdfast/limits.h>

#include <stdio.h>

bool options_parse_u64(struct slice text, uint64_t *number)
{
    const unsigned char *digits = text.data;
    uint64_t value = 0;

    if (text.size == 0 || text.size > 20)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        if (digits[i] < '0' || digits[i] > '9')
            return false;
        uint64_t digit = (uint64_t)(digits[i] - '0');
        if (value > (UINT64_MAX - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *number = value;
    return true;
}

bool options_parse_duration(struct slice text, uint64_t *ms)
{
    static const struct {
        const char *name;
        uint64_t ms;
    } units[] = { { "ms", 1 }, { "s", 1000 }, { "m", 60 * 1000 }, { "h", 3600 * 1000 } };
    const unsigned char *bytes = text.data;
    size_t digits = 0;
    uint64_t number;

    while (digits < text.size && bytes[digits] >= '0' && bytes[digits] <= '9')
        digits++;
    if (!options_parse_u64(slice_of(bytes, digits), &number))
        return false;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (slice_equal(slice_of(bytes + digits, text.size - digits), slice_text(units[i].name))) {
            if (number > UINT64_MAX / 2 / units[i].ms)
                return false;
            *ms = number * units[i].ms;
            return true;
        }
    }
    return false;
}

/* What one parameter's reader works on. */
struct parameter {
    const char *name;
    struct slice value;
    const struct option_defaults *defaults;
    struct options *out;
    struct problem *problem;
};

static bool wrong(const struct parameter *p, const char *right)
{
    return problem_set(p->problem, ERR_BAD_REQUEST, "", "parameter \"%s\" is %s; it must be %s",
                       p->name, problem_quote(p->value).text, right);
}

static bool read_flag(const struct parameter *p, bool *flag)
{
    if (p->value.size == 0 || slice_equal(p->value, slice_text("1")) ||
        slice_equal(p->value, slice_text("true")))
        *flag = true;
    else if (slice_equal(p->value, slice_text("0")) || slice_equal(p->value, slice_text("false")))
        *flag = false;
    else
        return wrong(p, "1 or 0 (nothing means 1)");
    return true;
}

/* Keys, prefixes and bounds; only a key must not be empty. */
static bool read_bytes(const struct parameter *p, struct slice *bytes)
{
    if (p->value.size > KEY_SIZE_MAX)
        return problem_set(p->problem, ERR_TOO_LARGE, "",
                           "parameter \"%s\" has %zu bytes; at most %d are allowed", p->name,
                           p->value.size, KEY_SIZE_MAX);
    *bytes = p->value;
    return true;
}

static bool read_timeout(const struct parameter *p)
{
    uint64_t ms;
    if (!options_parse_duration(p->value, &ms) || ms == 0)
        return wrong(p, "a duration such as 500ms or 30s");
    if (ms > p->defaults->timeout_max_ms)
        return problem_set(p->problem, ERR_BAD_REQUEST, "",
                           "parameter \"timeout\" is %s; at most %ums are allowed",
                           problem_quote(p->value).text, p->defaults->timeout_max_ms);
    p->out->timeout_ms = (uint32_t)ms;
    return true;
}

static bool read_redirect(const struct parameter *p)
{
    return read_flag(p, &p->out->redirect);
}

static bool read_consistency(const struct parameter *p)
{
    if (slice_equal(p->value, slice_text("linearizable")))
        p->out->consistency = CONSISTENCY_LINEARIZABLE;
    else if (slice_equal(p->value, slice_text("lease")))
        p->out->consistency = CONSISTENCY_LEASE;
    else if (slice_equal(p->value, slice_text("stale")))
        p->out->consistency = CONSISTENCY_STALE;
    else
        return wrong(p, "linearizable, lease or stale");
    return true;
}

static bool read_max_stale(const struct parameter *p)
{
    return options_parse_duration(p->value, &p->out->max_stale_ms) ||
           wrong(p, "a duration such as 500ms or 30s");
}

static bool read_min_revision(const struct parameter *p)
{
    return options_parse_u64(p->value, &p->out->min_revision) || wrong(p, "a revision, such as 58");
}

static bool read_if_revision(const struct parameter *p)
{
    return options_parse_u64(p->value, &p->out->if_revision) ||
           wrong(p, "a revision, such as 58, or 0 for a key that must not exist");
}

static bool read_key(const struct parameter *p)
{
    if (p->value.size == 0)
        return problem_set(p->problem, ERR_BAD_REQUEST, "",
                           "the key is empty; a key has 1 to %d bytes", KEY_SIZE_MAX);
    return read_bytes(p, &p->out->key);
}

static bool read_raw(const struct parameter *p)
{
    return read_flag(p, &p->out->raw);
}

static bool read_prefix(const struct parameter *p)
{
    return read_bytes(p, &p->out->prefix);
}

static bool read_start(const struct parameter *p)
{
    return read_bytes(p, &p->out->start);
}

static bool read_end(const struct parameter *p)
{
    return read_bytes(p, &p->out->end);
}

static bool read_limit(const struct parameter *p)
{
    uint64_t limit;
    if (!options_parse_u64(p->value, &limit) || limit == 0 || limit > PAGE_KEYS_MAX) {
        char right[64];
        snprintf(right, sizeof right, "a number from 1 to %d", PAGE_KEYS_MAX);
        return wrong(p, right);
    }
    p->out->limit = (uint32_t)limit;
    return true;
}

static bool read_cursor(const struct parameter *p)
{
    p->out->cursor = p->value;
    return true;
}

static bool read_keys_only(const struct parameter *p)
{
    return read_flag(p, &p->out->keys_only);
}

static bool read_order(const struct parameter *p)
{
    if (slice_equal(p->value, slice_text("asc")))
        p->out->descending = false;
    else if (slice_equal(p->value, slice_text("desc")))
        p->out->descending = true;
    else
        return wrong(p, "asc or desc");
    return true;
}

static bool read_count_only(const struct parameter *p)
{
    return read_flag(p, &p->out->count_only);
}

static bool read_force(const struct parameter *p)
{
    return read_flag(p, &p->out->force);
}

static bool read_verbose(const struct parameter *p)
{
    return read_flag(p, &p->out->verbose);
}

static const struct {
    const char *name;
    enum option_bit bit;
    bool (*read)(const struct parameter *);
} table[] = {
    { "timeout", OPTION_TIMEOUT, read_timeout },
    { "redirect", OPTION_REDIRECT, read_redirect },
    { "consistency", OPTION_CONSISTENCY, read_consistency },
    { "max_stale", OPTION_MAX_STALE, read_max_stale },
    { "min_revision", OPTION_MIN_REVISION, read_min_revision },
    { "if_revision", OPTION_IF_REVISION, read_if_revision },
    { "key", OPTION_KEY, read_key },
    { "raw", OPTION_RAW, read_raw },
    { "prefix", OPTION_PREFIX, read_prefix },
    { "start", OPTION_START, read_start },
    { "end", OPTION_END, read_end },
    { "limit", OPTION_LIMIT, read_limit },
    { "cursor", OPTION_CURSOR, read_cursor },
    { "keys_only", OPTION_KEYS_ONLY, read_keys_only },
    { "order", OPTION_ORDER, read_order },
    { "count_only", OPTION_COUNT_ONLY, read_count_only },
    { "verbose", OPTION_VERBOSE, read_verbose },
    { "force", OPTION_FORCE, read_force },
};

enum { PARAMETERS = sizeof table / sizeof table[0] };

static bool refuse_unknown(const struct http_request *request, uint32_t accepted,
                           struct problem *problem)
{
    const char *known[PARAMETERS + 1];
    char hint[PROBLEM_TEXT_MAX];
    size_t n = 0, used;

    used = (size_t)snprintf(hint, sizeof hint, "known here:");
    for (size_t i = 0; i < PARAMETERS; i++) {
        if ((accepted & table[i].bit) == 0)
            continue;
        used += (size_t)snprintf(hint + used, sizeof hint - used, "%s %s", n > 0 ? "," : "",
                                 table[i].name);
        known[n++] = table[i].name;
    }
    known[n] = NULL;
    const char *unknown = http_request_unknown_query(request, known);
    if (unknown == NULL)
        return true;
    return problem_set(problem, ERR_BAD_REQUEST, n > 0 ? hint : "this path takes no parameters",
                       "there is no parameter %s here", problem_quote(slice_text(unknown)).text);
}

/* Parameters that are right each by itself and yet not together. */
static bool check_together(struct options *o, struct problem *problem)
{
    if (o->given & OPTION_MAX_STALE) {
        if ((o->given & OPTION_CONSISTENCY) == 0)
            o->consistency = CONSISTENCY_STALE;
        else if (o->consistency != CONSISTENCY_STALE)
            return problem_set(problem, ERR_BAD_REQUEST, "",
                               "parameter \"max_stale\" goes with consistency=stale only");
    }
    if (o->count_only && (o->given & OPTION_CURSOR))
        return problem_set(problem, ERR_BAD_REQUEST, "",
                           "parameters \"count_only\" and \"cursor\" cannot be combined");
    return true;
}

bool options_parse(const struct http_request *request, uint32_t accepted,
                   const struct option_defaults *defaults, struct options *out,
                   struct problem *problem)
{
    *out = (struct options) {
        .timeout_ms = defaults->timeout_ms,
        .redirect = defaults->redirect && (accepted & OPTION_REDIRECT) != 0,
        .max_stale_ms = UINT64_MAX,
        .limit = PAGE_KEYS_MAX,
    };
    struct slice target = http_request_target(request);
    if (memchr(target.data, '?', target.size) == NULL)
        return true;
    if (!refuse_unknown(request, accepted, problem))
        return false;
    for (size_t i = 0; i < PARAMETERS; i++) {
        struct parameter parameter = { table[i].name, { NULL, 0 }, defaults, out, problem };
        if ((accepted & table[i].bit) == 0 ||
            !http_request_query(request, table[i].name, &parameter.value))
            continue;
        out->given |= table[i].bit;
        if (!table[i].read(&parameter))
            return false;
    }
    return check_together(out, problem);
}

/* ---- conditions */

/* In the words of If-Match: a revision in double quotes, or *. */
static bool read_if_match(struct slice text, struct kv_op *op, struct problem *problem)
{
    const char *bytes = text.data;

    if (slice_equal(text, slice_text("*"))) {
        op->condition = CONDITION_EXISTS;
        return true;
    }
    if (text.size > 2 && bytes[0] == '"' && bytes[text.size - 1] == '"' &&
        options_parse_u64(slice_of(bytes + 1, text.size - 2), &op->revision) && op->revision > 0) {
        op->condition = CONDITION_REVISION;
        return true;
    }
    return problem_set(problem, ERR_BAD_REQUEST,
                       "a revision above 0 in double quotes, as GET gives it in ETag: If-Match: "
                       "\"58\"; or * for any; for a key that must not exist: If-None-Match: *",
                       "If-Match is %s; it must be one revision in double quotes, or *",
                       problem_quote(text).text);
}

static bool same_condition(const struct kv_op *a, const struct kv_op *b)
{
    return a->condition == b->condition &&
           (a->condition != CONDITION_REVISION || a->revision == b->revision);
}

bool options_condition(const struct http_request *request, const struct options *options,
                       struct kv_op *op, struct problem *problem)
{
    const char *if_match = http_request_header(request, "If-Match");
    const char *if_none_match = http_request_header(request, "If-None-Match");
    struct kv_op found[3];
    size_t n = 0;

    memset(found, 0, sizeof found);
    if (if_match != NULL && !read_if_match(slice_text(if_match), &found[n++], problem))
        return false;
    if (if_none_match != NULL) {
        if (strcmp(if_none_match, "*") != 0)
            return problem_set(problem, ERR_BAD_REQUEST, "If-None-Match: * means: must not exist",
                               "If-None-Match is %s; on a write it must be *",
                               problem_quote(slice_text(if_none_match)).text);
        found[n++].condition = CONDITION_REVISION; /* revision 0: absent */
    }
    if (options->given & OPTION_IF_REVISION) {
        found[n].condition = CONDITION_REVISION;
        found[n++].revision = options->if_revision;
    }
    for (size_t i = 1; i < n; i++) {
        if (!same_condition(&found[0], &found[i]))
            return problem_set(problem, ERR_BAD_REQUEST,
                               "give one of If-Match, If-None-Match and ?if_revision",
                               "the request's conditions differ from each other");
    }
    if (n > 0) {
        op->condition = found[0].condition;
        op->revision = found[0].revision;
    }
    return true;
}
