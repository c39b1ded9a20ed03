/* transport.c - the peer links: the table of peers, and what happens at the end of a turn.
 *
 * Frames that the node queues during one turn of the event loop leave together: sending only
 * queues and wakes `flush`, which runs when the turn's callbacks are through. */
#include "peer.h"

#include "http_internal.h"

#include <holdfast/clock.h>
#include <holdfast/log.h>
#include <holdfast/panic.h>

#include <event2/dns.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    ANSWERS_MAX = 1024,
    ANSWERS_BYTES_MAX = 16 * 1024 * 1024,
    SERVER_CONNECTIONS_MAX = 256,
    SERVER_STILL_MS = 600, /* a peer that connects has something to say */
    SERVER_HEADERS_MAX = 8 * 1024,
    SERVER_HEADERS_TIMEOUT_MS = 5000,
    SERVER_IDLE_TIMEOUT_MS = 600 * 1000, /* longer than the askers' own */
    LOG_INTERVAL_MS = 10 * 1000,
};

static struct transport *transport_of(struct network *network)
{
    return (struct transport *)(void *)network; /* its first member */
}

bool log_due(uint64_t *last_ms)
{
    uint64_t now_ms = clock_monotonic_ms();
    if (*last_ms != 0 && now_ms - *last_ms < LOG_INTERVAL_MS)
        return false;
    *last_ms = now_ms;
    return true;
}

struct peer *peer_find(struct transport *transport, raft_id id)
{
    for (uint32_t i = 0; i < transport->n_peers; i++)
        if (transport->peers[i]->id == id)
            return transport->peers[i];
    return NULL;
}

void transport_wake(struct transport *transport)
{
    event_active(transport->flush, EV_TIMEOUT, 0);
}

static void flush_peer(struct transport *transport, struct peer *peer)
{
    parking_flush(peer);
    for (int i = 0; i < LANES; i++) {
        struct link *link = &peer->links[i];
        if (link->lost && transport->started) {
            link->lost = false;
            transport->events.on_unreachable(transport->events.arg, peer->id, link->lane);
        }
        link_kick(link);
    }
}

static void free_gone(struct transport *transport);

static void on_flush(evutil_socket_t fd, short what, void *arg)
{
    struct transport *transport = arg;
    (void)fd;
    (void)what;
    free_gone(transport);
    for (uint32_t i = 0; i < transport->n_peers; i++)
        flush_peer(transport, transport->peers[i]);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    parking_tick(arg);
}

/* ---- struct network_ops */

static void send_frame(struct network *network, raft_id to, enum lane lane, bool answer,
                       struct blob *frame)
{
    struct transport *transport = transport_of(network);
    struct peer *peer = peer_find(transport, to);
    if (peer == NULL || frame->size > FRAMES_SIZE_MAX) {
        log_debug("a frame is not sent", "to=%016" PRIx64 " bytes=%zu", to, frame->size);
        transport->stats.frames_dropped++;
        blob_unref(frame);
        return;
    }
    struct link *link = &peer->links[answer ? LANE_CONTROL : lane];
    uint32_t dropped = frame_queue_push(answer ? &peer->answers : &link->queue, frame);
    if (answer)
        peer->n_answers_for[lane]++;
    if (dropped > 0) {
        transport->stats.frames_dropped += dropped;
        link->lost = link->lost || !link->overflowed;
        link->overflowed = true;
    }
    transport_wake(transport);
}

static struct peer *peer_new(struct transport *transport, raft_id id)
{
    struct peer *peer = memory_new(sizeof *peer);
    peer->transport = transport;
    peer->id = id;
    frame_queue_init(&peer->answers, ANSWERS_MAX, ANSWERS_BYTES_MAX);
    for (int i = 0; i < LANES; i++)
        link_init(&peer->links[i], peer, (enum lane)i);
    return peer;
}

static void set_peer(struct network *network, raft_id id, const char *address)
{
    struct transport *transport = transport_of(network);
    struct peer *peer = peer_find(transport, id);
    char why[HTTP_MESSAGE_MAX], host[256];
    uint16_t port;
    ASSERT(id != transport->config.self);
    if (strlen(address) > ADDRESS_MAX || !address_parse(address, false, host, &port, why)) {
        log_error("a peer's address is not usable", "peer=%016" PRIx64, id);
        return;
    }
    if (peer == NULL) {
        ASSERT(transport->n_peers < TRANSPORT_PEERS_MAX);
        peer = peer_new(transport, id);
        transport->peers[transport->n_peers++] = peer;
    } else if (strcmp(peer->address, address) == 0) {
        return;
    }
    memcpy(peer->address, address, strlen(address) + 1);
    memcpy(peer->host, host, sizeof host);
    peer->port = port;
    for (int i = 0; i < LANES; i++)
        link_reset(&peer->links[i]);
}

static void peer_free(struct peer *peer)
{
    for (int lane = 0; lane < LANES; lane++) {
        parking_drop(peer, (enum lane)lane);
        link_fini(&peer->links[lane]);
    }
    frame_queue_fini(&peer->answers);
    free(peer);
}

/* Perhaps we are inside a callback of one of its connections: it goes at the end of the turn. */
static void forget_peer(struct network *network, raft_id id)
{
    struct transport *transport = transport_of(network);
    for (uint32_t i = 0; i < transport->n_peers; i++) {
        struct peer *peer = transport->peers[i];
        if (peer->id != id)
            continue;
        transport->peers[i] = transport->peers[--transport->n_peers];
        peer->next_gone = transport->gone;
        transport->gone = peer;
        transport_wake(transport);
        return;
    }
}

static void free_gone(struct transport *transport)
{
    while (transport->gone != NULL) {
        struct peer *peer = transport->gone;
        transport->gone = peer->next_gone;
        peer_free(peer);
    }
}

static const struct network_ops ops = { .send = send_frame, .set_peer = set_peer,
                                        .forget_peer = forget_peer };

/* ---- birth and death */

static struct event *new_event(struct transport *transport, short what, event_callback_fn callback)
{
    struct event *event = event_new(transport->base, -1, what, callback, transport);
    if (event == NULL)
        panic(EXIT_STATUS_IO, "out of memory");
    event_priority_set(event, 0);
    return event;
}

/* Names are looked up without stopping the loop: /etc/hosts first, then the name servers. */
static struct evdns_base *new_resolver(struct event_base *base)
{
    struct evdns_base *dns = evdns_base_new(base, EVDNS_BASE_DISABLE_WHEN_INACTIVE);
    if (dns == NULL)
        panic(EXIT_STATUS_IO, "out of memory");
    /* A machine without either file still has numeric addresses. */
    (void)evdns_base_resolv_conf_parse(dns, DNS_OPTIONS_ALL, "/etc/resolv.conf");
    (void)evdns_base_load_hosts(dns, "/etc/hosts");
    return dns;
}

enum err transport_new(struct event_base *base, const struct transport_config *config,
                       const char *raft_addr, struct transport **out, char *message)
{
    struct transport *transport = memory_new(sizeof *transport);
    struct http_config http = {
        .address = raft_addr,
        .headers_max = SERVER_HEADERS_MAX,
        .body_max = PEER_BODY_MAX,
        .connections_max =
            config->connections_max > 0 ? config->connections_max : SERVER_CONNECTIONS_MAX,
        .still_ms = SERVER_STILL_MS,
        .held_max = PEER_HELD_MAX,
        .headers_timeout_ms = SERVER_HEADERS_TIMEOUT_MS,
        .body_timeout_ms = config->exchange_timeout_ms,
        .idle_timeout_ms = SERVER_IDLE_TIMEOUT_MS,
        .write_timeout_ms = config->exchange_timeout_ms,
        .priority = 0,
        .large_io = true,
    };
    transport->network.ops = &ops;
    transport->config = *config;
    snprintf(transport->raft_addr, sizeof transport->raft_addr, "%s", raft_addr);
    transport->base = base;
    if (http_server_new(base, &http, parking_on_request, parking_error_body, transport,
                        &transport->server, message) != OK) {
        free(transport);
        return ERR_IO;
    }
    server_hold(transport->server);
    transport->dns = new_resolver(base);
    transport->flush = new_event(transport, 0, on_flush);
    transport->tick = new_event(transport, EV_PERSIST, on_tick);
    *out = transport;
    return OK;
}

struct network *transport_network(struct transport *transport)
{
    return &transport->network;
}

uint16_t transport_port(const struct transport *transport)
{
    return http_server_port(transport->server);
}

void transport_start(struct transport *transport, const struct network_events *events)
{
    ASSERT(!transport->started);
    transport->events = *events;
    transport->started = true;
    server_unhold(transport->server);
    transport_wake(transport);
}

void transport_set_handler(struct transport *transport, http_handler_fn *handler, void *arg)
{
    transport->handler = handler;
    transport->handler_arg = arg;
}

void transport_stats(const struct transport *transport, struct network_stats *out)
{
    *out = transport->stats;
}

void transport_free(struct transport *transport)
{
    if (transport == NULL)
        return;
    free_gone(transport);
    for (uint32_t i = 0; i < transport->n_peers; i++)
        peer_free(transport->peers[i]);
    http_server_free(transport->server);
    evdns_base_free(transport->dns, 1);
    event_free(transport->flush);
    event_free(transport->tick);
    free(transport);
}
