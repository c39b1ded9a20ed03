/* transport.h - how nodes reach each other: frames to a peer, frames from a peer.
 *
 * A table of functions with two implementations: evhttp, and a memory twin for tests and the
 * simulator.  Delivery may fail, repeat and reorder silently; Raft is built for it.  Loop
 * thread only.  Frames queued during one loop turn leave together in one exchange; the answer
 * rides back in its response, or in whatever exchange is open to that peer. */
#ifndef HOLDFAST_TRANSPORT_H
#define HOLDFAST_TRANSPORT_H

#include <holdfast/blob.h>
#include <holdfast/err.h>
#include <holdfast/limits.h>
#include <holdfast/wire.h>

/* Each lane is a connection of its own, so that what is small never queues behind what is not. */
enum lane {
    LANE_CONTROL, /* votes, heartbeats, reads, replies */
    LANE_BULK,    /* entries, forwarded writes */
    LANES
};

struct network;

struct network_ops {
    /* Queues one encoded frame (takes the reference).  A full queue drops its oldest frame.
     * `answer`: it answers something from that peer and may ride in an open response; `lane` is
     * then the one on which that something came, so that it releases the right one. */
    void (*send)(struct network *, raft_id to, enum lane, bool answer, struct blob *frame);
    /* Who can be reached.  `address` (host:port) is copied.  A known id gets the new address. */
    void (*set_peer)(struct network *, raft_id id, const char *address);
    /* What is queued for it is dropped.  An id that is not known is fine. */
    void (*forget_peer)(struct network *, raft_id id);
};

struct network {
    const struct network_ops *ops;
};

/* What a node says to a body that has come. */
enum verdict {
    VERDICT_ACCEPTED,
    VERDICT_LATER,   /* ignored for now; the sender will come again */
    VERDICT_REFUSED, /* the sender is told `why` and passes it to its own on_refused */
};

/* What the network tells its node.  All on the loop thread. */
struct network_events {
    /* A body of `frames` from `envelope->from`; the envelope is well-formed, nothing else has
     * been checked.  `body` keeps the frames alive: take a reference to keep slices of it.
     * When refusing, write a sentence to `why` (REFUSAL_MAX bytes). */
    enum verdict (*on_body)(void *arg, const struct envelope *envelope, struct blob *body,
                            struct slice frames, char *why);
    /* An exchange with this peer failed or was dropped; frames sent may or may not have come. */
    void (*on_unreachable)(void *arg, raft_id peer, enum lane lane);
    /* This frame, queued for this peer, certainly never left. May be NULL. */
    void (*on_unsent)(void *arg, raft_id peer, struct slice frame);
    /* The peer refused our envelope and says why. */
    void (*on_refused)(void *arg, raft_id peer, const char *why);
    void *arg;
};

enum { REFUSAL_MAX = 1024 };

struct network_stats {
    uint64_t exchanges_out, exchanges_in, frames_out, frames_in, bytes_out, bytes_in;
    uint64_t frames_dropped, exchanges_failed, refused_in, refused_out;
};

/* ---- evhttp */

struct event_base;
struct http_request;

struct transport_config {
    uint64_t cluster;
    raft_id self;
    unsigned char incarnation[INCARNATION_SIZE];
    uint32_t connect_timeout_ms;  /* of a peer connection */
    uint32_t exchange_timeout_ms; /* whole exchange */
    uint32_t connections_max;     /* that others may have open to this node; 0: 256 */
    uint32_t park_ms;             /* a request whose answer is not ready is released after this */
};

struct transport;

/* Takes raft_addr (host:port) for peers.  ERR_IO with a sentence in `message`
 * (HTTP_MESSAGE_MAX of http.h) when the address does not parse or is taken. */
MUST_CHECK enum err transport_new(struct event_base *base, const struct transport_config *config,
                                  const char *raft_addr, struct transport **out, char *message);
struct network *transport_network(struct transport *transport);
/* From here on bodies are accepted and delivered, and what is queued leaves. */
void transport_start(struct transport *transport, const struct network_events *events);
/* Requests that are not for the peer links go to this handler (http.h), which answers them; NULL:
 * they are refused with 404.  Set to NULL only when none is unanswered. */
void transport_set_handler(struct transport *transport,
                           void (*handler)(void *arg, struct http_request *request), void *arg);
/* The port listened on: the kernel's choice if port 0 was asked for. */
uint16_t transport_port(const struct transport *transport);
void transport_stats(const struct transport *transport, struct network_stats *out);
void transport_free(struct transport *transport);

#endif
