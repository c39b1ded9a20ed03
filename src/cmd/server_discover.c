/* server_discover.c - a node without a data directory finds the others by name: looks up, asks,
 * answers those who ask, until it is to begin a cluster or to join one.
 *
 * What to do is discover_judge.c's.  Nothing is written and nothing else is served meanwhile. */
#include "discover.h"
#include "server_process.h"

#include <holdfast/clock.h>
#include <holdfast/panic.h>

#include <cjson/cJSON.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    LOOK_MS = 10,         /* how often it is looked whether a lookup or the answers are there */
    PAUSE_MIN_MS = 250,   /* between rounds while something changes */
    PAUSE_MAX_MS = 4000,
    ASK_TIMEOUT_MS = 2000,
    TELL_AGAIN_MS = 10 * 1000,
    WHOIS_MAX = 16 * 1024,
};

struct asking {
    struct seeker *seeker;
    struct answer *answer;
    struct evhttp_connection *connection;
};

struct seeker {
    const struct options *options;
    struct event_base *base;
    struct http_server *server;
    struct event *sigterm, *sigint;
    bool ending;
    struct discovery discovery;
    struct round round;
    struct asking askings[ANSWERS_MAX];
    uint32_t n_pending;
    char told[WHY_MAX];
    uint64_t told_ms;
};

static void turn(struct seeker *seeker, uint32_t ms)
{
    struct timeval time = { ms / 1000, (ms % 1000) * 1000 };
    event_base_loopexit(seeker->base, &time);
    event_base_dispatch(seeker->base);
}

/* ---- what this node answers */

static void reply_json(struct http_request *request, int status, cJSON *json)
{
    char *text = cJSON_PrintUnformatted(json);
    http_reply(request, status, "application/json", NULL, 0, slice_text(text));
    cJSON_free(text);
    cJSON_Delete(json);
}

static cJSON *whois(const struct discovery *discovery)
{
    char nonce[17];
    cJSON *json = cJSON_CreateObject();
    snprintf(nonce, sizeof nonce, "%016" PRIx64, discovery->nonce);
    cJSON_AddStringToObject(json, "waits", nonce);
    cJSON_AddStringToObject(json, "raft_addr", discovery->raft_addr);
    cJSON_AddNumberToObject(json, "expect", discovery->expect);
    cJSON *ready = cJSON_AddArrayToObject(json, "ready");
    for (uint32_t i = 0; i < discovery->ready.n; i++)
        cJSON_AddItemToArray(ready, cJSON_CreateString(discovery->ready.at[i]));
    return json;
}

static void on_request(void *arg, struct http_request *request)
{
    struct seeker *seeker = arg;
    if (http_request_method(request) == HTTP_GET &&
        slice_equal(http_request_path(request), slice_text("/raft/whois"))) {
        reply_json(request, 200, whois(&seeker->discovery));
        return;
    }
    cJSON *json = cJSON_CreateObject(), *error = cJSON_AddObjectToObject(json, "error");
    cJSON_AddStringToObject(error, "code", "no_leader");
    cJSON_AddStringToObject(error, "message", "this node belongs to no cluster yet");
    cJSON_AddStringToObject(error, "outcome", "not_applied");
    reply_json(request, 503, json);
}

static size_t no_error_body(void *arg, int status, const char *code, const char *message, char *out,
                            size_t size)
{
    (void)arg, (void)status, (void)code, (void)message, (void)out, (void)size;
    return 0;
}

static bool open_port(struct seeker *seeker, char *why)
{
    struct http_config config = {
        .address = seeker->options->raft_addr, .headers_max = 4096, .body_max = 64 * 1024,
        .connections_max = 64, .still_ms = 1000, .held_max = 1024 * 1024,
        .headers_timeout_ms = 2000, .body_timeout_ms = 2000, .idle_timeout_ms = 2000,
        .write_timeout_ms = 2000,
    };
    char message[HTTP_MESSAGE_MAX];
    if (http_server_new(seeker->base, &config, on_request, no_error_body, seeker, &seeker->server,
                        message) == OK)
        return true;
    snprintf(why, WHY_MAX, "--raft-addr: %s", message);
    return false;
}

/* ---- what the others answer */

static bool read_hex(const cJSON *json, const char *name, uint64_t *out)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, name));
    return text != NULL && strlen(text) == 16 && strspn(text, "0123456789abcdef") == 16 &&
           sscanf(text, "%" SCNx64, out) == 1;
}

static bool read_address(const cJSON *item, char out[ADDRESS_MAX + 1])
{
    const char *text = cJSON_GetStringValue(item);
    if (text == NULL || !address_valid(slice_text(text)))
        return false;
    snprintf(out, ADDRESS_MAX + 1, "%s", text);
    return true;
}

static bool read_set(const cJSON *json, const char *name, struct address_list *out)
{
    const cJSON *item, *array = cJSON_GetObjectItemCaseSensitive(json, name);
    bool good = cJSON_IsArray(array);
    out->n = 0;
    cJSON_ArrayForEach(item, array)
        good = good && out->n < MEMBERS_MAX && read_address(item, out->at[out->n]) && ++out->n > 0;
    return good;
}

static void read_answer(const struct discovery *discovery, const char *text, size_t size,
                        struct answer *out)
{
    cJSON *json = cJSON_ParseWithLength(text, size);
    const cJSON *expect = cJSON_GetObjectItemCaseSensitive(json, "expect"), *item;
    if (!read_address(cJSON_GetObjectItemCaseSensitive(json, "raft_addr"), out->raft_addr)) {
        cJSON_Delete(json);
        return;
    }
    if (read_hex(json, "waits", &out->nonce) && read_set(json, "ready", &out->set) &&
        cJSON_IsNumber(expect)) {
        out->kind = ANSWER_WAITS;
        out->expect = expect->valuedouble >= 0 && expect->valuedouble <= VOTERS_MAX
                          ? (uint32_t)expect->valuedouble : 0;
    } else if (read_hex(json, "cluster_id", &out->cluster) &&
               read_set(json, "first_members", &out->set)) {
        out->kind = ANSWER_MEMBER;
        cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(json, "vacant")) {
            const char *address = cJSON_GetStringValue(item);
            if (address != NULL && strcmp(address, discovery->raft_addr) == 0)
                out->vacant = true;
        }
    }
    cJSON_Delete(json);
}

static void on_answer(struct evhttp_request *request, void *arg)
{
    struct asking *asking = arg;
    asking->seeker->n_pending--;
    if (request == NULL || evhttp_request_get_response_code(request) != 200)
        return;
    struct evbuffer *body = evhttp_request_get_input_buffer(request);
    size_t size = evbuffer_get_length(body);
    if (size > 0 && size <= WHOIS_MAX)
        read_answer(&asking->seeker->discovery, (const char *)evbuffer_pullup(body, -1), size,
                    asking->answer);
}

static void ask(struct seeker *seeker, const char *contact)
{
    struct round *round = &seeker->round;
    char host[256], message[HTTP_MESSAGE_MAX];
    uint16_t port;
    for (uint32_t i = 0; i < round->n; i++)
        if (strcmp(round->answers[i].contact, contact) == 0)
            return;
    if (round->n == ANSWERS_MAX || !address_parse(contact, false, host, &port, message))
        return;
    struct asking *asking = &seeker->askings[round->n];
    struct answer *answer = &round->answers[round->n++];
    snprintf(answer->contact, sizeof answer->contact, "%s", contact);
    *asking = (struct asking){ .seeker = seeker, .answer = answer };
    asking->connection = evhttp_connection_base_new(seeker->base, NULL, host, port);
    struct evhttp_request *request = evhttp_request_new(on_answer, asking);
    if (asking->connection == NULL || request == NULL)
        panic(EXIT_STATUS_IO, "no connection could be made");
    struct timeval time = { ASK_TIMEOUT_MS / 1000, 0 };
    evhttp_connection_set_timeout_tv(asking->connection, &time);
    evhttp_connection_set_max_body_size(asking->connection, WHOIS_MAX);
    evhttp_add_header(evhttp_request_get_output_headers(request), "Host", contact);
    seeker->n_pending++;
    if (evhttp_make_request(asking->connection, request, EVHTTP_REQ_GET, "/raft/whois") != 0)
        seeker->n_pending--;
}

/* ---- a lookup, on a thread of its own: others are answered meanwhile */

struct lookup_job {
    const struct options *options;
    struct contacts found;
    char why[WHY_MAX];
    bool good;
    atomic_bool done;
};

static void *run_lookup(void *arg)
{
    struct lookup_job *job = arg;
    job->good = discover_look_up(&job->options->discover, job->options->dns_server, &job->found, job->why);
    atomic_store(&job->done, true);
    return NULL;
}

static bool look_up(struct seeker *seeker, struct contacts *out, char *why)
{
    struct lookup_job *job = memory_new(sizeof *job);
    pthread_t thread;
    job->options = seeker->options;
    if (pthread_create(&thread, NULL, run_lookup, job) != 0)
        panic(EXIT_STATUS_IO, "no thread could be made");
    while (!atomic_load(&job->done))
        turn(seeker, LOOK_MS);
    pthread_join(thread, NULL);
    bool good = job->good;
    *out = job->found;
    snprintf(why, WHY_MAX, "%s", job->why);
    free(job);
    return good;
}

/* ---- rounds */

static void run_round(struct seeker *seeker, const struct contacts *seen)
{
    struct round *round = &seeker->round;
    const struct contacts *known = &seeker->discovery.known;
    memset(round, 0, sizeof *round);
    round->seen = *seen;
    seeker->n_pending = 0;
    for (uint32_t i = 0; i < seen->n; i++)
        ask(seeker, seen->at[i]);
    for (uint32_t i = 0; i < known->n; i++)
        ask(seeker, known->at[i]);
    uint64_t deadline_ms = clock_monotonic_ms() + ASK_TIMEOUT_MS;
    while (seeker->n_pending > 0 && clock_monotonic_ms() < deadline_ms)
        turn(seeker, LOOK_MS);
    for (uint32_t i = 0; i < round->n; i++)
        evhttp_connection_free(seeker->askings[i].connection);
}

/* When the reason changes, and now and then. */
static bool tell(struct seeker *seeker, const char *why)
{
    uint64_t now_ms = clock_monotonic_ms();
    bool fresh = strcmp(why, seeker->told) != 0;
    if (fresh || now_ms - seeker->told_ms >= TELL_AGAIN_MS) {
        log_info("looking for the other nodes", "at=%s why=\"%s\"", seeker->options->discover.name, why);
        snprintf(seeker->told, sizeof seeker->told, "%s", why);
        seeker->told_ms = now_ms;
    }
    return fresh;
}

static enum discovery_verdict seek(struct seeker *seeker)
{
    uint32_t pause_ms = PAUSE_MIN_MS;
    while (!seeker->ending) {
        char why[WHY_MAX];
        struct contacts seen;
        enum discovery_verdict verdict = DISCOVERY_WAIT;
        if (look_up(seeker, &seen, why)) {
            run_round(seeker, &seen);
            verdict = discovery_judge(&seeker->discovery, &seeker->round, why);
        }
        if (verdict != DISCOVERY_WAIT)
            return verdict;
        bool fresh = tell(seeker, why);
        pause_ms = fresh ? PAUSE_MIN_MS : pause_ms * 3 / 2 < PAUSE_MAX_MS ? pause_ms * 3 / 2 : PAUSE_MAX_MS;
        uint64_t until_ms = clock_monotonic_ms() + pause_ms;
        while (!seeker->ending && clock_monotonic_ms() < until_ms)
            turn(seeker, LOOK_MS);
    }
    return DISCOVERY_WAIT;
}

static void on_signal(int number, short what, void *arg)
{
    (void)number, (void)what;
    ((struct seeker *)arg)->ending = true;
}

static void close_seeker(struct seeker *seeker)
{
    if (seeker->server != NULL)
        http_server_free(seeker->server);
    if (seeker->sigterm != NULL)
        event_free(seeker->sigterm);
    if (seeker->sigint != NULL)
        event_free(seeker->sigint);
    event_base_free(seeker->base);
    free(seeker);
}

static struct seeker *open_seeker(const struct process *process, char *why)
{
    struct seeker *seeker = memory_new(sizeof *seeker);
    seeker->options = &process->options;
    seeker->discovery.raft_addr = process->options.raft_addr;
    seeker->discovery.expect = (uint32_t)process->options.expect;
    random_bytes(&seeker->discovery.nonce, sizeof seeker->discovery.nonce);
    seeker->base = event_base_new();
    if (seeker->base == NULL)
        panic(EXIT_STATUS_IO, "no event loop could be made");
    seeker->sigterm = evsignal_new(seeker->base, SIGTERM, on_signal, seeker);
    seeker->sigint = evsignal_new(seeker->base, SIGINT, on_signal, seeker);
    if (seeker->sigterm == NULL || seeker->sigint == NULL || event_add(seeker->sigterm, NULL) != 0 ||
        event_add(seeker->sigint, NULL) != 0)
        panic(EXIT_STATUS_IO, "signals could not be watched");
    if (open_port(seeker, why))
        return seeker;
    close_seeker(seeker);
    return NULL;
}

bool server_discover(struct process *process, bool *stopped, char *why)
{
    struct options *options = &process->options;
    struct seeker *seeker = open_seeker(process, why);
    *stopped = false;
    if (seeker == NULL)
        return false;
    enum discovery_verdict verdict = seek(seeker);
    *stopped = verdict == DISCOVERY_WAIT;
    options->join.n = options->peers.n = 0;
    if (verdict == DISCOVERY_BEGIN)
        for (uint32_t i = 0; i < seeker->discovery.ready.n; i++)
            if (strcmp(seeker->discovery.ready.at[i], options->raft_addr) != 0)
                memcpy(options->peers.at[options->peers.n++], seeker->discovery.ready.at[i],
                       sizeof options->peers.at[0]);
    for (uint32_t i = 0; verdict == DISCOVERY_JOIN && i < seeker->round.n; i++)
        if (seeker->round.answers[i].kind == ANSWER_MEMBER && options->join.n < VOTERS_MAX)
            memcpy(options->join.at[options->join.n++], seeker->round.answers[i].contact,
                   sizeof options->join.at[0]);
    close_seeker(seeker);
    if (verdict == DISCOVERY_BEGIN)
        log_info("all are ready: a cluster begins", "nodes=%u", options->peers.n + 1);
    else if (verdict == DISCOVERY_JOIN)
        log_info("a cluster is found", "at=%s", options->join.at[0]);
    process->must_join = verdict == DISCOVERY_JOIN;
    return verdict != DISCOVERY_BEGIN || server_begin(process, why);
}
