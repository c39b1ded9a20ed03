/* peer.h - what the files of the peer links share.
 *
 * transport.c owns the table of peers and the end of the loop turn, exchange.c asks (the client
 * half), parking.c answers (the server half), body.c puts bodies together. */
#ifndef TRANSPORT_PEER_H
#define TRANSPORT_PEER_H

#include "frame_queue.h"

#include <holdfast/http.h>
#include <holdfast/transport.h>

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>

enum lane_state {
    LANE_FREE,
    LANE_ASKING, /* an exchange is in flight */
    LANE_RESTING, /* after a failure, for a moment */
};

/* The client half of one lane to one peer. */
struct link {
    struct peer *peer;
    enum lane lane;
    enum lane_state state;
    struct evhttp_connection *connection; /* NULL: none yet, or lost */
    struct evhttp_connection *retired;    /* to be freed outside of its own callback */
    bool established;                     /* it has carried a whole exchange */
    bool tuned;                           /* its socket has TCP_NODELAY */
    struct event *timer;                  /* ASKING: the deadline; RESTING: the end of the rest */
    uint64_t asked_ms;
    uint32_t rest_ms;                     /* the next rest */
    struct frame_queue queue;
    struct frame_queue asked;             /* bulk: the frames of the exchange in flight */
    bool left;                            /* bytes of it were handed to the socket */
    bool overflowed;                      /* frames were dropped since the last exchange */
    bool lost;                            /* on_unreachable is due */
};

struct parked {
    struct http_request *request; /* NULL: none */
    uint64_t since_ms;
    bool due;                     /* to be released at the end of this turn */
};

struct peer {
    struct transport *transport;
    raft_id id;
    char address[ADDRESS_MAX + 1];
    char host[256];
    uint16_t port;
    struct link links[LANES];
    struct parked parked[LANES];
    struct asker {
        uint64_t connection, last_ms;
    } askers[LANES];                   /* who speaks for it */
    uint64_t contested_until_ms;       /* two do: until then answers take our own connection */
    struct frame_queue answers;        /* ride in whatever leaves first */
    uint32_t n_answers_for[LANES];     /* of those, by the lane whose request they answer */
    bool reachable;                    /* as last logged */
    uint64_t refusal_logged_ms;
    struct peer *next_gone;            /* forgotten, to be freed at the end of the turn */
};

/* Members, and as many who were until lately or are not known to the configuration yet. */
enum { TRANSPORT_PEERS_MAX = 2 * MEMBERS_MAX };
#define RAFT_ADDR_HEADER "Holdfast-Raft-Addr"

struct transport {
    struct network network;
    struct transport_config config;
    struct event_base *base;
    struct evdns_base *dns;
    struct http_server *server;
    struct network_events events;
    bool started;
    struct event *flush; /* activated by hand: the end of the turn */
    struct event *tick;  /* releases what is parked too long */
    bool ticking;
    uint64_t refusal_logged_ms; /* of strangers */
    uint32_t n_peers;
    struct peer *peers[TRANSPORT_PEERS_MAX];
    struct peer *gone;
    char raft_addr[ADDRESS_MAX + 1]; /* our own, as the others are told */
    http_handler_fn *handler;        /* of what is not for the peer links; may be NULL */
    void *handler_arg;
    struct network_stats stats;
};

enum { FRAMES_SIZE_MAX = PEER_BODY_MAX - ENVELOPE_SIZE };

struct peer *peer_find(struct transport *transport, raft_id id);
void transport_wake(struct transport *transport); /* flush at the end of this turn */
/* At most one line in a while. */
bool log_due(uint64_t *last_ms);

/* ---- body.c */

/* Appends an envelope to `peer` and as many frames as fit from `first`, then `second` (may be
 * NULL).  Keeps references to them in `kept`, unless NULL.  Returns their number. */
uint32_t body_write(struct peer *peer, struct frame_queue *first, struct frame_queue *second,
                    struct frame_queue *kept, struct evbuffer *out);
/* What came in answer to an exchange; false if the node will have none of it. */
bool body_deliver(struct peer *peer, struct evbuffer *in);

/* ---- exchange.c */

void link_init(struct link *link, struct peer *peer, enum lane lane);
void link_fini(struct link *link);
/* Starts an exchange if there is something to say and nothing in flight. */
void link_kick(struct link *link);
/* Its peer is there: no need to rest. */
void link_rested(struct link *link);
/* The address has changed. */
void link_reset(struct link *link);

/* ---- parking.c */

void parking_on_request(void *transport, struct http_request *request);
size_t parking_error_body(void *transport, int status, const char *code, const char *message,
                          char *out, size_t size);
/* Lets answers ride home. */
void parking_flush(struct peer *peer);
void parking_tick(struct transport *transport);
void parking_drop(struct peer *peer, enum lane lane);

#endif
