/* call.c - a request's way from node to node until it has an end.
 *
 * The rule that everything here serves: a write that may have been applied is not sent again. */
#include "internal.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

uint64_t monotonic_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

struct call {
    struct holdfast *db;
    const struct request *request;
    struct result *result;
    struct connection *connection;
    const char *only; /* the node that the caller named, or NULL */
    uint64_t deadline_ms;
    struct round round;
    unsigned rounds; /* finished ones */
    unsigned redirects;
    char next[HOLDFAST_URL_MAX]; /* where a redirect points; "" if nowhere */
    uint32_t wait_ms;            /* what the node asked us to wait */
};

enum verdict { CALL_DONE, CALL_TRY_NEXT };

/* After an exchange: what it taught us about the nodes. */
static void learn_from(struct call *call, const char *node, const struct exchange *exchange)
{
    struct holdfast *db = call->db;
    char url[HOLDFAST_URL_MAX];
    call->next[0] = '\0';
    pthread_mutex_lock(&db->lock);
    if (exchange->end != EXCHANGE_ANSWERED) {
        if (exchange->end != EXCHANGE_NO_MEMORY && exchange->end != EXCHANGE_TOO_BIG)
            nodes_on_failure(&db->nodes, node, monotonic_ms());
    } else {
        nodes_on_answer(&db->nodes, node);
        if (nodes_accept(&db->nodes, node, exchange->leader, url))
            nodes_set_leader(&db->nodes, url);
        else if (strcmp(db->nodes.leader, node) == 0)
            nodes_set_leader(&db->nodes, "");
        bool redirect = exchange->status == 307 || exchange->status == 308;
        if (redirect && nodes_accept(&db->nodes, node, exchange->location, url))
            memcpy(call->next, url, sizeof(call->next));
    }
    pthread_mutex_unlock(&db->lock);
}

/* No whole answer came. */
static enum verdict judge_failure(struct call *call, const char *node,
                                  const struct exchange *exchange)
{
    struct result *result = call->result;
    bool is_write = call->request->is_write;
    result->public.http_status = 0;
    result->public.outcome =
        is_write && exchange->end != EXCHANGE_NOT_SENT ? HOLDFAST_UNKNOWN : HOLDFAST_NOT_APPLIED;
    switch (exchange->end) {
    case EXCHANGE_NOT_SENT:
        result_error(result, HOLDFAST_UNREACHABLE, "cannot reach %s: %s", node, exchange->error);
        return CALL_TRY_NEXT;
    case EXCHANGE_TOO_BIG:
        result_error(result, HOLDFAST_TOO_LARGE, "the answer of %s is larger than %zu bytes", node,
                     call->db->answer_max);
        return CALL_DONE;
    case EXCHANGE_NO_MEMORY:
        result->failed = true;
        return CALL_DONE;
    case EXCHANGE_LOST:
    case EXCHANGE_ANSWERED:
        break;
    }
    if (exchange->sink_ended) {
        result_error(result, HOLDFAST_BAD_ARGUMENT, "the caller took no more of the answer of %s",
                     node);
        return CALL_DONE;
    }
    if (exchange->body.failed)
        result->failed = true;
    result_error(result, exchange->timed_out ? HOLDFAST_TIMEOUT : HOLDFAST_BROKEN_ANSWER,
                 exchange->timed_out ? "%s did not answer in time: %s"
                                     : "the connection to %s broke before its answer: %s",
                 node, exchange->error);
    return is_write || result->failed ? CALL_DONE : CALL_TRY_NEXT;
}

static enum verdict judge_garbage(struct call *call, const char *node, int status)
{
    bool is_write = call->request->is_write;
    result_error(call->result, HOLDFAST_BROKEN_ANSWER,
                 "%s answered %d with something that is not Holdfast's", node, status);
    call->result->public.outcome = is_write ? HOLDFAST_UNKNOWN : HOLDFAST_NOT_APPLIED;
    return is_write ? CALL_DONE : CALL_TRY_NEXT;
}

static enum verdict judge_error(struct call *call, const char *node, cJSON *json,
                                const struct exchange *exchange)
{
    struct holdfast_result *r = &call->result->public;
    bool retryable = false;
    if (!answer_error(call->result, json, &retryable)) {
        if (!call->request->is_document)
            return judge_garbage(call, node, exchange->status);
        /* Such as /health, which says 503 in words of its own. */
        result_error(call->result, HOLDFAST_SERVER_ERROR, "%s answered %d", node, exchange->status);
    }
    if (call->request->is_document)
        return CALL_DONE;
    if (!call->request->is_write)
        r->outcome = HOLDFAST_NOT_APPLIED;
    if (r->error == HOLDFAST_OVERLOADED)
        call->wait_ms = exchange->retry_after_ms;
    bool timed_out_read = r->error == HOLDFAST_TIMEOUT && !call->request->is_write;
    bool again = r->outcome == HOLDFAST_NOT_APPLIED && (retryable || timed_out_read);
    return again ? CALL_TRY_NEXT : CALL_DONE;
}

static enum verdict judge_answer(struct call *call, const char *node, struct exchange *exchange)
{
    struct result *result = call->result;
    struct holdfast_result *r = &result->public;
    r->http_status = exchange->status;
    result->body = exchange->body; /* owned by the result from here */
    r->json =
        holdfast_bytes(exchange->body.size == 0 ? "" : exchange->body.data, exchange->body.size);
    memset(&exchange->body, 0, sizeof(exchange->body));
    r->leader = result_text(result, exchange->leader);
    r->revision = exchange->revision;
    if (exchange->status == 307 || exchange->status == 308) {
        r->outcome = HOLDFAST_NOT_APPLIED;
        result_error(result, HOLDFAST_NO_LEADER, "%s points to %s, where no answer was found", node,
                     exchange->location[0] == '\0' ? "nowhere" : exchange->location);
        if (call->next[0] != '\0' && call->redirects++ >= REDIRECTS_MAX)
            call->next[0] = '\0';
        return CALL_TRY_NEXT;
    }
    cJSON *json = answer_parse(&result->body);
    enum verdict verdict = CALL_DONE;
    bool any = call->request->is_document || call->request->sink != NULL;
    if (exchange->status < 200 || exchange->status > 299) {
        verdict = judge_error(call, node, json, exchange);
    } else if (json == NULL && !any) {
        verdict = judge_garbage(call, node, exchange->status);
    } else {
        result_error(result, HOLDFAST_OK, "%s", "");
        r->code = "";
        r->hint = "";
        r->outcome = HOLDFAST_APPLIED;
    }
    cJSON_Delete(json);
    return verdict;
}

static enum verdict try_node(struct call *call, const char *node, uint64_t now)
{
    struct holdfast *db = call->db;
    uint32_t remaining = (uint32_t)(call->deadline_ms - now), timeout = remaining;
    struct exchange exchange;
    pthread_mutex_lock(&db->lock);
    bool alone = call->only != NULL || nodes_count(&db->nodes) == 1;
    pthread_mutex_unlock(&db->lock);
    /* One node that is silent must not cost a read, nor a connect, all of its time. */
    if (!alone && !call->request->is_write && remaining / 2 > 300)
        timeout = remaining / 2;
    uint32_t connect = !alone && remaining / 4 > 200 ? remaining / 4 : remaining;
    exchange_run(call->connection, db->user_agent, call->request, node, timeout, connect,
                 db->answer_max, &exchange);
    result_reset(call->result);
    call->result->public.attempts++;
    call->result->public.node = result_text(call->result, node);
    call->wait_ms = 0;
    learn_from(call, node, &exchange);
    enum verdict verdict = exchange.end == EXCHANGE_ANSWERED ? judge_answer(call, node, &exchange)
                                                             : judge_failure(call, node, &exchange);
    exchange_fini(&exchange);
    return verdict;
}

static uint32_t random_below(struct holdfast *db, uint32_t n)
{
    pthread_mutex_lock(&db->lock);
    db->random ^= db->random << 13;
    db->random ^= db->random >> 7;
    db->random ^= db->random << 17;
    uint64_t x = db->random;
    pthread_mutex_unlock(&db->lock);
    return (uint32_t)((x >> 32) * n >> 32);
}

/* Between rounds: doubles each time, half of it by chance.  False if the deadline comes first. */
static bool back_off(struct call *call)
{
    uint32_t most = call->rounds < 5 ? (uint32_t)BACKOFF_MIN_MS << call->rounds : BACKOFF_MAX_MS;
    if (most > BACKOFF_MAX_MS)
        most = BACKOFF_MAX_MS;
    uint32_t wait = most / 2 + random_below(call->db, most / 2 + 1);
    if (wait < call->wait_ms)
        wait = call->wait_ms;
    uint64_t now = monotonic_ms();
    if (now + wait >= call->deadline_ms)
        return false;
    struct timespec time = { .tv_sec = wait / 1000, .tv_nsec = (long)(wait % 1000) * 1000000 };
    clock_nanosleep(CLOCK_MONOTONIC, 0, &time, NULL); /* cut short by a signal: no harm */
    call->rounds++;
    call->round.n_asked = 0;
    return true;
}

/* The node to ask next, or false when the deadline comes before another try. */
static bool choose(struct call *call, char node[HOLDFAST_URL_MAX])
{
    struct holdfast *db = call->db;
    if (call->only != NULL) {
        snprintf(node, HOLDFAST_URL_MAX, "%s", call->only);
        return call->result->public.attempts == 0;
    }
    if (call->next[0] != '\0') {
        memcpy(node, call->next, HOLDFAST_URL_MAX);
        return true;
    }
    /* A node that is overloaded is not helped by our asking the others at once. */
    if (call->wait_ms > 0 && !back_off(call))
        return false;
    for (;;) {
        pthread_mutex_lock(&db->lock);
        bool found =
            nodes_pick(&db->nodes, &call->round, call->request->wants_leader, monotonic_ms(), node);
        pthread_mutex_unlock(&db->lock);
        if (found)
            return true;
        if (!back_off(call))
            return false;
    }
}

static void run(struct call *call)
{
    char node[HOLDFAST_URL_MAX];
    while (choose(call, node)) {
        uint64_t now = monotonic_ms();
        /* The last moments are not for writes: an end that is known would become unknown. */
        bool again = call->result->public.attempts > 0 && call->request->is_write;
        if (now + (again ? WRITE_AGAIN_MIN_MS : 0) >= call->deadline_ms)
            break;
        round_add(&call->round, node);
        if (try_node(call, node, now) == CALL_DONE || call->result->failed)
            return;
    }
    if (call->result->public.attempts == 0)
        result_error(call->result, HOLDFAST_TIMEOUT, "no time was left to ask a node");
}

/* ---- the members, so that a handle outlives its endpoints */

void learn_members(struct holdfast *db, struct result *info)
{
    struct holdfast_result *r = &info->public;
    pthread_mutex_lock(&db->lock);
    for (size_t i = 0; i < r->n_members; i++) {
        char text[HOLDFAST_URL_MAX + 16], url[HOLDFAST_URL_MAX];
        int n = snprintf(text, sizeof(text), "http%s://%s",
                         strncmp(r->node, "https:", 6) == 0 ? "s" : "", r->members[i].http_addr);
        if (r->members[i].http_addr[0] == '\0' || n < 0 || (size_t)n >= sizeof(text) ||
            !nodes_accept(&db->nodes, r->node, text, url))
            continue;
        nodes_learn(&db->nodes, url);
        if (r->members[i].leader)
            nodes_set_leader(&db->nodes, url);
    }
    db->learn_at_ms = monotonic_ms() + LEARN_EVERY_MS;
    pthread_mutex_unlock(&db->lock);
}

/* Asks for the members when it is time: from the second call on, so that a handle for one
 * call makes one request.  What goes wrong here does not matter. */
static void ask_members(struct holdfast *db, struct connection *connection, uint64_t deadline_ms)
{
    static const struct request request = { .method = "GET", .target = "/cluster/info" };
    uint64_t now = monotonic_ms();
    pthread_mutex_lock(&db->lock);
    bool due = !db->nodes.only_endpoints && db->learn_at_ms != 0 && now >= db->learn_at_ms;
    if (due)
        db->learn_at_ms = now + LEARN_EVERY_MS;
    pthread_mutex_unlock(&db->lock);
    struct result *result = due && deadline_ms > now + 40 ? result_new() : NULL;
    if (result == NULL)
        return;
    uint64_t most_ms = (deadline_ms - now) / 4 < LEARN_MS ? (deadline_ms - now) / 4 : LEARN_MS;
    struct call call = { .db = db,
                         .request = &request,
                         .result = result,
                         .connection = connection,
                         .deadline_ms = now + most_ms };
    char node[HOLDFAST_URL_MAX];
    pthread_mutex_lock(&db->lock);
    bool found = nodes_pick(&db->nodes, &call.round, false, now, node);
    pthread_mutex_unlock(&db->lock);
    if (found && try_node(&call, node, now) == CALL_DONE && result->public.error == HOLDFAST_OK) {
        answer_fill(result, ANSWER_INFO);
        learn_members(db, result);
    }
    holdfast_result_free(&result->public);
}

static bool call_init(struct call *call, const struct holdfast_call *asked,
                      char only[HOLDFAST_URL_MAX])
{
    struct holdfast *db = call->db;
    char why[HOLDFAST_MESSAGE_MAX];
    call->deadline_ms =
        monotonic_ms() + (asked->timeout_ms == 0 ? db->timeout_ms : asked->timeout_ms);
    if (asked->node != NULL) {
        if (!url_parse(asked->node, strlen(asked->node), "", only, why)) {
            result_error(call->result, HOLDFAST_BAD_ARGUMENT, "%s", why);
            return false;
        }
        call->only = only;
    }
    call->connection = connection_take(db);
    if (call->connection == NULL)
        call->result->failed = true;
    return call->connection != NULL;
}

void call_run(struct holdfast *db, const struct request *request, const struct holdfast_call *asked,
              struct result *result)
{
    struct call call = { .db = db, .request = request, .result = result };
    char only[HOLDFAST_URL_MAX];
    if (!call_init(&call, asked, only))
        return;
    if (call.only == NULL)
        ask_members(db, call.connection, call.deadline_ms);
    run(&call);
    connection_give(db, call.connection);
    if (result->public.error == HOLDFAST_OK) {
        pthread_mutex_lock(&db->lock);
        if (db->learn_at_ms == 0)
            db->learn_at_ms = monotonic_ms();
        pthread_mutex_unlock(&db->lock);
    }
}
