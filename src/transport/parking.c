/* parking.c - the answering half: takes bodies from peers and parks their requests until there
 * is something to answer.
 *
 * One HTTP exchange then carries a batch and its acknowledgement.  A request is released by an
 * answer for its lane, else by any answer that finds no better way, else after park_ms with
 * an empty envelope.  When two connections speak for one peer on one lane, as with replayed bodies,
 * nothing is parked and no answer rides. */
#include "peer.h"

#include "http_internal.h"

#include <holdfast/clock.h>
#include <holdfast/log.h>
#include <holdfast/panic.h>

#include <inttypes.h>
#include <stdio.h>
#include <strings.h>

enum { CONTEST_MS = 1000 };

static const char json[] = "application/json";
static const char octets[] = "application/octet-stream";

/* Messages are our own sentences: nothing in them needs escaping. */
size_t parking_error_body(void *transport, int status, const char *code, const char *message,
                          char *out, size_t size)
{
    (void)transport;
    (void)status;
    int n = snprintf(out, size,
                     "{\"error\":{\"code\":\"%s\",\"message\":\"%s\",\"hint\":\"this port is for "
                     "the nodes of the cluster; clients use the HTTP address\"}}\n",
                     code, message);
    return n < 0 ? 0 : (size_t)n < size ? (size_t)n : size - 1;
}

static void reply_error(struct http_request *request, int status, const char *code,
                        const char *message)
{
    static const struct http_header allow = { "Allow", "POST" };
    char body[512];
    size_t size = parking_error_body(NULL, status, code, message, body, sizeof body);
    http_reply(request, status, json, &allow, status == 405 ? 1 : 0, slice_of(body, size));
}

static bool lane_of(struct slice path, enum lane *lane)
{
    if (slice_equal(path, slice_text("/raft/control")))
        *lane = LANE_CONTROL;
    else if (slice_equal(path, slice_text("/raft/bulk")))
        *lane = LANE_BULK;
    else
        return false;
    return true;
}

static bool is_for_nodes(struct http_request *request, enum lane *lane)
{
    const char *type = http_request_header(request, "Content-Type");
    if (!lane_of(http_request_path(request), lane))
        reply_error(request, 404, "no_route", "there is nothing at this path");
    else if (http_request_method(request) != HTTP_POST)
        reply_error(request, 405, "method_not_allowed", "this path takes POST");
    else if (type == NULL || strcasecmp(type, octets) != 0)
        reply_error(request, 415, "unsupported_media_type",
                    "the content type must be application/octet-stream");
    else
        return true;
    return false;
}

static void respond(struct peer *peer, struct http_request *request, struct frame_queue *answers)
{
    struct evbuffer *body = evbuffer_new();
    if (body == NULL)
        panic(EXIT_STATUS_IO, "out of memory");
    body_write(peer, answers, NULL, NULL, body);
    reply_buffer(request, 200, octets, body);
}

static void release(struct peer *peer, enum lane lane)
{
    struct http_request *request = peer->parked[lane].request;
    peer->parked[lane] = (struct parked){ 0 };
    respond(peer, request, &peer->answers);
    if (peer->answers.n == 0)
        memset(peer->n_answers_for, 0, sizeof peer->n_answers_for);
}

/* Whether somebody else speaks for this peer too, on a connection of his own: then no answer may
 * ride in a response, it could be to the wrong one.  After a connection was lost, a false alarm. */
static bool is_contested(struct peer *peer, enum lane lane, const struct http_request *request)
{
    struct asker *asker = &peer->askers[lane];
    uint64_t now_ms = clock_monotonic_ms(), number = http_request_connection(request);
    if (asker->connection != 0 && asker->connection != number &&
        now_ms < asker->last_ms + CONTEST_MS)
        peer->contested_until_ms = now_ms + CONTEST_MS;
    *asker = (struct asker){ number, now_ms };
    return now_ms < peer->contested_until_ms;
}

/* Nobody who waits is told anything; answers leave on the control lane. */
static void respond_empty(struct peer *peer, struct http_request *request)
{
    struct frame_queue none = { 0 };
    for (int i = 0; i < LANES; i++) {
        struct http_request *parked = peer->parked[i].request;
        peer->parked[i] = (struct parked){ 0 };
        if (parked != NULL)
            respond(peer, parked, &none);
    }
    respond(peer, request, &none);
    transport_wake(peer->transport);
}

static void park(struct peer *peer, enum lane lane, struct http_request *request, bool due)
{
    struct transport *transport = peer->transport;
    if (peer->parked[lane].request != NULL)
        release(peer, lane); /* its sender has given it up, or it would not ask again */
    peer->parked[lane] =
        (struct parked){ .request = request, .since_ms = clock_monotonic_ms(), .due = due };
    transport_wake(transport);
    if (!transport->ticking) {
        uint32_t ms = transport->config.park_ms / 8 > 1 ? transport->config.park_ms / 8 : 1;
        struct timeval interval = { ms / 1000, ms % 1000 * 1000 };
        event_add(transport->tick, &interval);
        transport->ticking = true;
    }
}

static void refuse(struct transport *transport, struct http_request *request,
                   const struct envelope *envelope, const char *why)
{
    struct peer *peer = peer_find(transport, envelope->from);
    transport->stats.refused_in++;
    if (log_due(peer != NULL ? &peer->refusal_logged_ms : &transport->refusal_logged_ms))
        log_warn("refused a peer", "peer=%016" PRIx64 " why=\"%s\"", envelope->from, why);
    http_reply(request, 409, "text/plain", NULL, 0, slice_text(why));
}

static void accept_body(struct transport *transport, struct http_request *request, enum lane lane,
                        raft_id from)
{
    struct peer *peer = peer_find(transport, from);
    struct slice flag;
    if (peer == NULL) { /* the node takes it, but has named no address for it */
        reply_error(request, 503, "later", "this node does not know the sender yet");
        return;
    }
    for (int i = 0; i < LANES; i++)
        link_rested(&peer->links[i]);
    http_request_trust(request);
    if (is_contested(peer, lane, request)) {
        respond_empty(peer, request);
        return;
    }
    park(peer, lane, request, http_request_query(request, "answers", &flag));
}

void parking_on_request(void *arg, struct http_request *request)
{
    struct transport *transport = arg;
    struct envelope envelope = { 0 };
    char why[REFUSAL_MAX] = "";
    const char *trouble;
    enum lane lane;
    if (transport->handler != NULL && !lane_of(http_request_path(request), &lane)) {
        transport->handler(transport->handler_arg, request);
        return;
    }
    if (!is_for_nodes(request, &lane))
        return;
    struct blob *body = request_body_blob(request);
    if (envelope_decode(blob_slice(body), &envelope, &trouble) != OK) {
        blob_unref(body);
        refuse(transport, request, &envelope, trouble);
        return;
    }
    const char *raft_addr = http_request_header(request, RAFT_ADDR_HEADER);
    if (raft_addr != NULL && address_valid(slice_text(raft_addr)))
        envelope.raft_addr = raft_addr;
    transport->stats.exchanges_in++;
    transport->stats.frames_in += envelope.n_frames;
    transport->stats.bytes_in += body->size;
    struct slice frames = slice_of(body->data + ENVELOPE_SIZE, body->size - ENVELOPE_SIZE);
    enum verdict verdict =
        transport->events.on_body(transport->events.arg, &envelope, body, frames, why);
    blob_unref(body);
    switch (verdict) {
    case VERDICT_ACCEPTED:
        accept_body(transport, request, lane, envelope.from);
        break;
    case VERDICT_LATER:
        reply_error(request, 503, "later", "this node is not ready for it");
        break;
    case VERDICT_REFUSED:
        refuse(transport, request, &envelope, why);
        break;
    }
}

/* Answers ride in the request that they answer, or in any that waits; each releases one, so
 * that two of them which leave together do not strand the second request. */
void parking_flush(struct peer *peer)
{
    uint32_t n_for[LANES], due = peer->answers.n;
    memcpy(n_for, peer->n_answers_for, sizeof n_for);
    for (int i = 0; i < LANES; i++) {
        if (peer->parked[i].request != NULL && (n_for[i] > 0 || peer->parked[i].due)) {
            release(peer, (enum lane)i);
            due -= due > 0 ? 1 : 0;
        }
    }
    for (int i = 0; i < LANES && due > 0; i++) {
        if (peer->parked[i].request != NULL) {
            release(peer, (enum lane)i);
            due--;
        }
    }
}

void parking_drop(struct peer *peer, enum lane lane)
{
    if (peer->parked[lane].request != NULL)
        reply_error(peer->parked[lane].request, 503, "shutting_down", "this node is stopping");
    peer->parked[lane].request = NULL;
}

void parking_tick(struct transport *transport)
{
    uint64_t now_ms = clock_monotonic_ms();
    bool any = false;
    for (uint32_t i = 0; i < transport->n_peers; i++) {
        struct peer *peer = transport->peers[i];
        for (int lane = 0; lane < LANES; lane++) {
            struct parked *parked = &peer->parked[lane];
            if (parked->request != NULL &&
                now_ms - parked->since_ms >= transport->config.park_ms)
                release(peer, (enum lane)lane);
            any = any || parked->request != NULL;
        }
    }
    if (any)
        return;
    event_del(transport->tick);
    transport->ticking = false;
}
