/* http_internal.h - what the files of the HTTP server share.
 *
 * The way of a request: bufferevent input -> connection.c (gate: nothing unjudged stays in
 * evhttp's sight) -> evhttp's parser -> server.c (dispatch) -> handler -> reply.c. */
#ifndef TRANSPORT_HTTP_INTERNAL_H
#define TRANSPORT_HTTP_INTERNAL_H

#include "guard.h"
#include "query.h"

#include <holdfast/http.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <sys/queue.h>

enum { HELD_SMALL = 16 * 1024 }; /* what is not larger is not counted */

enum phase {
    PHASE_IDLE,     /* nothing of a request has come */
    PHASE_HEAD,     /* a part of a head has */
    PHASE_BODY,
    PHASE_HANDLING, /* the handler has the request, or will get it in this loop turn */
    PHASE_WRITING,  /* the answer is leaving */
    PHASE_LEAVING,  /* refused or to be closed: says its last words, then waits for the client */
};

struct connection {
    TAILQ_ENTRY(connection) entry;   /* of server->connections */
    TAILQ_ENTRY(connection) pending; /* of server->fresh, then of server->leaving */
    bool on_fresh, on_leaving;
    struct http_server *server;
    struct bufferevent *bev;
    struct evhttp_connection *evcon; /* NULL until adopted */
    bufferevent_event_cb evhttp_event; /* evhttp's own event callback */
    struct evbuffer_cb_entry *input_watch;
    int fd;
    uint64_t number;                 /* of this connection, never used again */

    enum phase phase;
    uint64_t since_ms;               /* when the phase began, or its last progress */
    struct http_request *request;    /* HANDLING: the one that the handler has; and of a stream */
    struct http_stream *stream;      /* WRITING, in parts */
    bool editing;                    /* we change the input ourselves */
    bool shut;                       /* LEAVING: the last words are out */
    bool deaf;                       /* LEAVING: the client has said all; they are not out yet */
    bool wide;                       /* the read watermark is raised for a body */
    size_t unwritten;                /* WRITING: output left at the last sweep */

    unsigned char *partial;          /* a head that has not come whole: hidden from evhttp */
    size_t partial_size;
    struct head head;                /* of the current request; head.target is not valid */
    uint64_t body_left;              /* BODY, with a length */
    struct chunk_scanner chunks;     /* BODY, chunked */
    uint64_t body_size;              /* of it so much has come */
    size_t held;                     /* bytes of it that count in server->held */
    bool trusted;                    /* the handler knows who it is */
};

TAILQ_HEAD(connection_list, connection);

struct http_server {
    struct http_server *next;        /* of all servers, to be found by a listener */
    struct event_base *base;
    struct evhttp *evhttp;
    struct http_config config;       /* without `address` */
    int priority;
    http_handler_fn *handler;
    http_error_body_fn *error_body;
    http_error_headers_fn *error_headers; /* or NULL */
    void *arg;

    struct evhttp_bound_socket *sockets[8];
    unsigned n_sockets;
    uint16_t port;
    bool stopping;
    bool held_off;                   /* not to accept yet */
    bool paused;                     /* accepting is, at the cap or for want of descriptors */
    bool starved;                    /* for want of descriptors */

    struct connection_list connections, fresh, leaving;
    struct connection **by_fd;
    size_t by_fd_size;
    struct event *adopt, *leave;     /* activated by hand */
    struct event *sweep;             /* the one timer */
    uint64_t now_ms;                 /* of the last sweep: deadlines need no more */
    char date[40];                   /* the Date header's value, of the last sweep */
    uint32_t pending;
    size_t held;                     /* by connections: large bodies and unsent answers */
    size_t held_most;                /* since memory was last given back */
    struct http_stats stats;
};

enum request_state { REQUEST_PENDING, REQUEST_ANSWERED };

struct http_request {
    enum request_state state;
    struct http_server *server;      /* NULL once the server was freed */
    struct connection *connection;   /* NULL once it is gone */
    struct evhttp_request *ev;       /* NULL once the server was freed */
    enum http_method method;
    struct slice target, path;
    void *user;
    struct query query;
    unsigned char space[];           /* decoded path and query */
};

/* ---- connection.c */

struct bufferevent *connection_new(struct event_base *base, void *server);
void connection_adopt(struct connection *connection);
void connection_gone(struct evhttp_connection *evcon, void *connection);
void connection_answered(struct evhttp_request *ev, void *connection);
/* Takes a look at what is in the input: of a new request, if the connection is between two. */
void connection_gate(struct connection *connection, size_t added);
/* The current request is refused, with an answer; or the connection is closed, without. */
void connection_refuse(struct connection *connection, const struct refusal *refusal);
void connection_leave(struct connection *connection);
/* Deferred from the two above: takes the connection away from evhttp. */
void connection_take_over(struct connection *connection);
/* Its end: evhttp frees everything. */
void connection_cut(struct connection *connection);
void connection_set_phase(struct connection *connection, enum phase phase);
void connection_watch_size(struct connection *connection, uint64_t body_size);

/* ---- server.c */

void server_pause(struct http_server *server);
void server_resume(struct http_server *server); /* if there is room again */
/* Who connects waits in the kernel's queue until it is let go. */
void server_hold(struct http_server *server);
void server_unhold(struct http_server *server);

/* ---- room.c */

/* Connections that are of least use end, if there are such; from the event loop only. */
void room_for_connections(struct http_server *server);
/* False: no, and those that hold the bytes are all at work.  Others may end, never this one. */
bool room_for_bytes(struct connection *connection, size_t bytes);
void room_hold(struct connection *connection, size_t bytes);
void room_release(struct connection *connection);
void room_sweep(struct http_server *server);

/* ---- sweep.c */

void sweep_tick(struct http_server *server); /* time and Date */
void sweep(evutil_socket_t fd, short what, void *server);
uint32_t sweep_interval_ms(const struct http_config *config);

/* ---- request.c */

/* `refusal` is set if the target is wrong; the request then wants that as its answer. */
struct http_request *request_new(struct connection *connection, struct evhttp_request *ev,
                                 struct refusal *refusal);
/* The one copy of a body, for those who keep it. */
struct blob *request_body_blob(const struct http_request *request);
struct blob *evbuffer_blob(struct evbuffer *bytes);

/* ---- reply.c */

struct reply {
    int status;
    const char *content_type; /* NULL: no such header */
    const struct http_header *headers;
    size_t n_headers, body_size;
    bool head_only, close, keep_alive10;
};

/* Appends status line and headers, and `body` if it is to be sent and not empty. */
void reply_write(struct evbuffer *out, const char *date, const struct reply *reply,
                 struct slice body);
/* True: its server or its connection is gone, and so is the request now. */
bool reply_to_nobody(struct http_request *request);
/* http_reply with a body that is moved out of an evbuffer, which it frees. */
void reply_buffer(struct http_request *request, int status, const char *content_type,
                  struct evbuffer *body);
/* To a request that the handler never saw: before evhttp knows of it, and after. */
void reply_refusal(struct connection *connection, const struct refusal *refusal);
void reply_refused_request(struct http_request *request, const struct refusal *refusal);

/* ---- stream.c */

void stream_lost(struct http_stream *stream); /* its connection is gone */

#endif
