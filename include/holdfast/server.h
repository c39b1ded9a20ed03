/* server.h - the REST API over one node: routes, JSON, errors.  The contract: holdfast-api(7).
 * Loop thread only. */
#ifndef HOLDFAST_SERVER_H
#define HOLDFAST_SERVER_H

#include <holdfast/err.h>
#include <holdfast/http.h>
#include <holdfast/node.h>
#include <holdfast/transport.h>

struct event_base;

struct server_config {
    const char *http_addr;           /* host:port to listen on */
    bool redirect;                   /* answer 307 instead of forwarding */
    uint32_t default_timeout_ms, max_timeout_ms; /* of a request; ?timeout= chooses */
    uint32_t connections_max;
    uint64_t (*now_ms)(void *arg);   /* the node's clock */
    uint64_t (*now_us)(void *arg);   /* monotonic, for latencies only */
    /* Statistics of the peer network for /stats; or NULL. */
    void (*network_stats)(void *arg, struct network_stats *out);
    void *arg;
    const char *storage;             /* "lmdb" or "memory", as /status shows it */
    const char *lmdb_version;        /* as /version shows it; NULL: not known */
};

struct server;

/* Listens at once.  What `config` points at and the node are borrowed.  ERR_IO with a sentence in
 * `message` (HTTP_MESSAGE_MAX). */
MUST_CHECK enum err server_new(struct event_base *base, const struct server_config *config,
                               struct node *node, struct server **out, char *message);
/* Takes a request that came elsewhere, on the raft port: a node that wants to join knows that one
 * alone.  An http_handler_fn; `server` as from server_new. */
void server_handle(void *server, struct http_request *request);
uint16_t server_port(const struct server *server); /* the one listened on */
/* New requests are answered 503 shutting_down and their connections closed. */
void server_stop(struct server *server);
bool server_idle(const struct server *server); /* no request is waiting for its answer */
/* Requests still open are answered shutting_down, writes among them with outcome unknown; the
 * node may be freed before (its waiting ops then answer these) or after, in the same loop turn. */
void server_free(struct server *server); /* NULL is fine */

#endif
