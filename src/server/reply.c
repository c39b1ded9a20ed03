/* reply.c - answers: the headers that each one has, and the one error object. */
#include "call.h"

#include <holdfast/panic.h>

#include <stdio.h>
#include <stdlib.h>

const int reply_statuses[STATUS_SLOTS] = {
    200, 307, 400, 404, 405, 409, 411, 412, 413, 414, 415, 429, 500, 503, 504,
};

static void count(struct call *call, int status)
{
    struct server *server = call->server;
    struct route_counts *counts = &server->counts[route_index(call->route)];
    enum route_class class = call->route != NULL ? call->route->class : CLASS_OTHER;
    size_t slot = 0;

    while (slot < STATUS_SLOTS - 1 && reply_statuses[slot] != status)
        slot++;
    counts->by_status[slot]++;
    histogram_add(&server->latency[class],
                  server->config.now_us(server->config.arg) - call->started_us);
}

static const char *consistency_name(enum consistency consistency)
{
    static const char *const names[] = { "linearizable", "lease", "stale" };
    return names[consistency];
}

/* Decimal digits and a NUL; returns where they begin. */
static const char *digits_of(uint64_t number, char out[21])
{
    size_t at = 20;
    out[at] = '\0';
    do {
        out[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    return out + at;
}

static void add(struct reply_headers *h, const char *name, const char *value)
{
    ASSERT(h->n < sizeof h->at / sizeof h->at[0]);
    h->at[h->n++] = (struct http_header) { name, value };
}

void reply_common_headers(const struct server *server, struct reply_headers *h)
{
    struct node_status status;

    node_status(server->node, &status);
    add(h, "Holdfast-Node", node_identity(server->node)->name);
    if (status.leader_http[0] != '\0') {
        memcpy(h->leader, "http://", 7);
        memcpy(h->leader + 7, status.leader_http, strlen(status.leader_http) + 1);
        add(h, "Holdfast-Leader", h->leader);
    }
    add(h, "Holdfast-Revision", digits_of(status.revision, h->revision));
    add(h, "Holdfast-Term", digits_of(status.term, h->term));
}

static void add_own(const struct call *call, int status, struct reply_headers *h)
{
    if (call->is_read) {
        add(h, "Holdfast-Consistency", consistency_name(call->options.consistency));
        if (call->options.consistency == CONSISTENCY_STALE && call->op.err == OK && status == 200) {
            if (call->op.staleness_ms == UINT64_MAX)
                snprintf(h->staleness, sizeof h->staleness, "unknown");
            else
                snprintf(h->staleness, sizeof h->staleness, "%llums",
                         (unsigned long long)call->op.staleness_ms);
            add(h, "Holdfast-Staleness", h->staleness);
        }
    }
    if (call->etag > 0) {
        char digits[21];
        const char *begin = digits_of(call->etag, digits);
        size_t size = strlen(begin);
        h->etag[0] = '"';
        memcpy(h->etag + 1, begin, size);
        memcpy(h->etag + 1 + size, "\"", 2);
        add(h, "ETag", h->etag);
    }
    if (call->nosniff)
        add(h, "X-Content-Type-Options", "nosniff");
    if (call->allow != NULL)
        add(h, "Allow", call->allow);
    if (call->location != NULL)
        add(h, "Location", call->location);
    if (status == 429 || status == 503)
        add(h, "Retry-After", "1");
}

/* Says so instead of the answer. */
static void fail_for_room(struct call *call)
{
    struct problem problem;
    struct failure failure = { .problem = &problem, .outcome = OUTCOME_NOT_APPLIED };
    bool applied = call->command != NULL;

    if (applied)
        failure.outcome = OUTCOME_APPLIED;
    problem_set(&problem, ERR_OVERLOADED, "",
                "%slarge bodies and answers under way take all of their %d bytes",
                applied ? "the operations were applied, but their results cannot be sent: " : "",
                HTTP_HELD_MAX);
    call->etag = 0;
    call->nosniff = false;
    call_fail_with(call, &failure);
}

void call_reply(struct call *call, int status, const char *content_type, struct slice body)
{
    struct server *server = call->server;
    struct http_request *request = call->http;
    struct reply_headers headers;

    ASSERT(request != NULL);
    if (!http_reply_has_room(request, body.size)) {
        fail_for_room(call);
        return;
    }
    headers.n = 0;
    reply_common_headers(server, &headers);
    add_own(call, status, &headers);
    count(call, status);
    TAILQ_REMOVE(&server->calls, call, link);
    server->n_calls--;
    call->http = NULL;
    http_reply(request, status, content_type, headers.at, headers.n, body);
    if (!call->op_out)
        call_end(call);
}

struct http_stream *call_reply_stream(struct call *call, const char *content_type,
                                      const struct http_header *more, size_t n_more, uint64_t size,
                                      const struct http_stream_events *events)
{
    struct server *server = call->server;
    struct http_request *request = call->http;
    struct reply_headers headers;

    headers.n = 0;
    reply_common_headers(server, &headers);
    add_own(call, 200, &headers);
    for (size_t i = 0; i < n_more; i++)
        add(&headers, more[i].name, more[i].value);
    count(call, 200);
    TAILQ_REMOVE(&server->calls, call, link);
    server->n_calls--;
    call->http = NULL;
    call_end(call);
    return http_reply_begin(request, 200, content_type, headers.at, headers.n, size, events);
}

void call_reply_json(struct call *call, int status, struct json_out *out)
{
    json_end(out);
    call_reply(call, status, "application/json", json_slice(out));
    json_fini(out);
}

/* ---- errors */

/* What to do about it, where the message does not say so already. */
static const char *default_hint(enum err err, enum outcome outcome)
{
    if (outcome == OUTCOME_UNKNOWN)
        return "read the keys to learn whether the write was applied, or write with If-Match";
    switch (err) {
    case ERR_TOO_LARGE:
        return "holdfast-api(7) lists the limits";
    case ERR_KEY_NOT_FOUND:
        return "GET /kv?prefix= lists the keys that are there";
    case ERR_NO_MEMBER:
        return "GET /cluster/members lists them";
    case ERR_NO_ROUTE:
        return "GET / lists the paths that are there";
    case ERR_CONDITION_FAILED:
        return "read the key, decide anew, and write with the revision that it has then";
    case ERR_OVERLOADED:
        return "try again in a second, and send less at once";
    case ERR_NO_LEADER:
        return "try again shortly; more than half of the members must run and reach each other";
    case ERR_TOO_STALE:
        return "allow more with max_stale, or ask another node, or use consistency=linearizable";
    case ERR_NO_SPACE:
        return "make room on the disk, or let the storage grow; reads go on";
    case ERR_SHUTTING_DOWN:
        return "ask another node";
    case ERR_STATE_DIFFERS:
        return "ask another node; this one has to be replaced: its log and /status say more";
    case ERR_TIMEOUT:
        return "try again, or allow more time with ?timeout=";
    case ERR_INTERNAL:
        return "the node's log says more";
    default:
        return "holdfast-api(7) has the whole contract";
    }
}

/* Those that never travel are this node's own trouble. */
static enum err public_err(enum err err)
{
    return err >= ERR_INTERNAL ? ERR_INTERNAL : err;
}

static const char *outcome_name(enum outcome outcome)
{
    switch (outcome) {
    case OUTCOME_APPLIED:
        return "applied";
    case OUTCOME_NOT_APPLIED:
        return "not_applied";
    case OUTCOME_UNKNOWN:
        break;
    }
    return "unknown";
}

static void write_error(struct json_out *out, const char *code, const char *message,
                        const char *hint, bool retryable, enum outcome outcome,
                        const struct failure *failure)
{
    json_open(out, '{');
    json_name(out, "error");
    json_open(out, '{');
    json_member_text(out, "code", code);
    json_member_text(out, "message", message);
    json_member_text(out, "hint", hint);
    json_member_bool(out, "retryable", retryable);
    json_member_text(out, "outcome", outcome_name(outcome));
    if (failure != NULL && failure->has_operation) {
        json_member_u64(out, "operation", failure->operation);
        json_member_bytes(out, "key", failure->key);
    }
    if (failure != NULL && failure->has_revision)
        json_member_u64(out, "revision", failure->revision);
    json_close(out, '}');
    json_close(out, '}');
}

void call_fail_with(struct call *call, const struct failure *failure)
{
    const struct problem *problem = failure->problem;
    enum err err = public_err(problem->err);
    const char *hint =
        problem->hint[0] != '\0' ? problem->hint : default_hint(err, failure->outcome);
    struct json_out out;

    json_init(&out);
    /* The same write again is not safe while the first one may still be applied. */
    write_error(&out, err_name(err), problem->message, hint,
                err_retryable(err) && failure->outcome == OUTCOME_NOT_APPLIED, failure->outcome,
                failure);
    call_reply_json(call, err_http_status(err), &out);
}

void call_fail(struct call *call, const struct problem *problem)
{
    call_fail_with(call, &(struct failure) { .problem = problem, .outcome = OUTCOME_NOT_APPLIED });
}

void call_fail_err(struct call *call, enum err err, const char *message)
{
    struct problem problem;
    problem_set(&problem, err, "", "%s", message);
    call_fail(call, &problem);
}

void call_fail_damaged(struct call *call, enum err err, const char *message)
{
    struct node *node = call->server->node;
    call_fail_err(call, err, message);
    node_damaged(node, err);
}

/* The state machine refused the command: which operation, and what it found. */
static void fail_result(struct call *call)
{
    const struct command_result *result = call->op.result;
    struct problem problem;
    struct failure failure = { .problem = &problem, .outcome = OUTCOME_NOT_APPLIED };
    struct command command;
    const struct kv_op *op = NULL;
    char where[32] = "";

    if (command_decode(blob_slice(call->command), call->server->ops, &command) == OK &&
        result->failed_op < command.n)
        op = &command.ops[result->failed_op];
    if (call->route->class == CLASS_BATCH && op != NULL) {
        failure.has_operation = true;
        failure.operation = result->failed_op;
        failure.key = op->key;
        snprintf(where, sizeof where, "operation %u: ", result->failed_op);
    }
    problem_set(&problem, result->err, "", "%s%s", where, err_text(public_err(result->err)));
    if (result->err == ERR_CONDITION_FAILED && op != NULL) {
        struct problem_quote quote = problem_quote(op->key);
        unsigned long long now = result->failed_revision;
        failure.has_revision = true;
        failure.revision = result->failed_revision;
        call->etag = call->route->class == CLASS_BATCH ? 0 : result->failed_revision;
        if (now == 0)
            problem_set(&problem, result->err, "", "%skey %s does not exist", where, quote.text);
        else if (op->condition == CONDITION_REVISION && op->revision == 0)
            problem_set(&problem, result->err, "", "%skey %s exists, with revision %llu", where,
                        quote.text, now);
        else
            problem_set(&problem, result->err, "", "%skey %s has revision %llu, not %llu", where,
                        quote.text, now, (unsigned long long)op->revision);
    }
    call_fail_with(call, &failure);
}

/* The quota is named where it may be the reason; whoever forwarded the write knows only its own. */
static void say_no_space(const struct call *call, struct problem *problem)
{
    struct node_status status;
    node_status(call->server->node, &status);
    if (status.quota == 0 || (status.role == RAFT_LEADER && !status.at_quota))
        return;
    problem_set(problem, ERR_NO_SPACE,
                "delete what is not needed, or start the nodes with a larger --quota; reads and "
                "deletes go on",
                status.role == RAFT_LEADER
                    ? "the data has used up its quota of %llu bytes"
                    : "the leader's storage is full, or the quota of %llu bytes is used up",
                (unsigned long long)status.quota);
}

void call_fail_op(struct call *call)
{
    const struct op *op = &call->op;
    if (op->type == OP_WRITE && op->result != NULL) {
        fail_result(call);
        return;
    }
    struct problem problem;
    struct failure failure = { .problem = &problem, .outcome = OUTCOME_NOT_APPLIED };

    if (op->type == OP_WRITE)
        failure.outcome = op->outcome;
    problem_set(&problem, op->err, "", "%s", err_text(public_err(op->err)));
    if (op->err == ERR_NO_SPACE)
        say_no_space(call, &problem);
    const struct server_config *config = &call->server->config;
    uint64_t waited_ms = (config->now_us(config->arg) - call->started_us) / 1000;
    if (op->err == ERR_TIMEOUT && op->type == OP_WRITE && op->outcome == OUTCOME_UNKNOWN)
        problem_set(&problem, op->err, "",
                    waited_ms + 2 < call->options.timeout_ms /* clocks are rounded */
                        ? "the leader changed before the write was confirmed; it may still be applied"
                        : "the write was not confirmed in %ums; it may still be applied",
                    call->options.timeout_ms);
    else if (op->err == ERR_TIMEOUT)
        problem_set(&problem, op->err, "", "the request was not done in %ums",
                    call->options.timeout_ms);
    call_fail_with(call, &failure);
}

size_t reply_error_body(const char *code, const char *message, char *out, size_t size)
{
    struct json_out json;
    size_t used = 0;

    json_init(&json);
    write_error(&json, code, message, default_hint(ERR_BAD_REQUEST, OUTCOME_NOT_APPLIED), false,
                OUTCOME_NOT_APPLIED, NULL);
    json_end(&json);
    if (json.size <= size) {
        memcpy(out, json.data, json.size);
        used = json.size;
    }
    json_fini(&json);
    return used;
}
