/* call.h - one request on its way through the server, and what all handlers share.
 *
 * A handler reads the request, then either answers at once (call_reply*, call_fail*) or submits
 * one operation to the node, whose end calls `finish`, which answers.  The answer ends the call:
 * after call_reply*, call_fail* or call_submit* it must not be touched. */
#ifndef HOLDFAST_SERVER_CALL_H
#define HOLDFAST_SERVER_CALL_H

#include "json_out.h"
#include "options.h"
#include "problem.h"

#include <holdfast/histogram.h>
#include <holdfast/http.h>
#include <holdfast/limits.h>
#include <holdfast/node.h>
#include <holdfast/server.h>

#include <sys/queue.h>

enum route_class { CLASS_READ, CLASS_WRITE, CLASS_LIST, CLASS_BATCH, CLASS_OTHER, ROUTE_CLASSES };

struct call;

struct route {
    uint32_t methods; /* bits of enum http_method */
    const char *path;
    bool prefix;       /* the path goes on behind this one */
    const char *shown; /* how people write it: "PUT /kv/{key}" */
    enum route_class class;
    uint32_t options; /* bits of enum option_bit */
    void (*handle)(struct call *call);
};

enum {
    ROUTES_MAX = 32,
    STATUS_SLOTS = 24,
    HEALTH_TIMEOUT_MS = 1000, /* for the read in /health and the question to the leader */
    RETRY_AFTER_S = 1,
};

/* The headers of one answer, and the room for their values. */
struct reply_headers {
    struct http_header at[16];
    size_t n;
    char leader[ADDRESS_MAX + sizeof "http://"];
    char revision[21], term[21], etag[24], staleness[32];
};

/* Answers by route and status.  One row more, for requests that match no route. */
struct route_counts {
    uint64_t by_status[STATUS_SLOTS];
};

/* The copy of the state that a client is taking; there is one at a time. */
struct backup {
    bool active;
    struct node_copy copy;
    struct http_stream *stream; /* NULL: the copy is being made */
    uint64_t offset;            /* of the part that comes next */
    uint64_t began_ms;
};

struct server {
    struct server_config config;
    struct node *node;
    struct http_server *http;
    struct option_defaults defaults;
    bool stopping;
    uint64_t started_ms;
    TAILQ_HEAD(call_list, call) calls; /* not answered yet */
    uint64_t n_calls;
    struct reply_headers guard_headers;
    struct kv_op *ops; /* BATCH_OPS_MAX places, scratch within one function */
    struct route_counts counts[ROUTES_MAX + 1];
    struct histogram latency[ROUTE_CLASSES];
    struct backup backup;
};

struct call {
    TAILQ_ENTRY(call) link;
    struct server *server;
    struct http_request *http; /* NULL: answered (only a call whose op is still out) */
    const struct route *route; /* NULL: none matches */
    uint64_t started_us;
    struct options options;
    struct slice key; /* borrowed from the request */

    struct op op;
    struct member_change change; /* of an OP_CHANGE */
    bool op_out;          /* the node has the op */
    struct blob *command; /* a reference of our own to what was submitted */
    void (*finish)(struct call *call);

    /* headers of the answer, beside those that every answer has */
    uint64_t etag; /* a revision; 0: none */
    bool is_read;  /* Holdfast-Consistency */
    bool nosniff;
    const char *allow;
    const char *location;
};

/* ---- call.c: begin, submit, end */

void call_begin(struct server *server, struct http_request *request);
/* Frees a call that is answered and whose op is not out. */
void call_end(struct call *call);
/* The server goes away: answers what is still open and forgets it. */
void call_abandon(struct call *call);

/* Encodes `ops`, submits, and calls `finish` at the end, whatever it is. */
void call_submit_write(struct call *call, const struct kv_op *ops, uint32_t n,
                       void (*finish)(struct call *));
void call_submit_read(struct call *call, void (*finish)(struct call *));
/* Makes a copy of the state; no deadline ends that. */
void call_submit_copy(struct call *call, struct node_copy *copy, void (*finish)(struct call *));
void call_submit_info(struct call *call, uint32_t timeout_ms, void (*finish)(struct call *));
void call_submit_change(struct call *call, void (*finish)(struct call *)); /* call->change */
void call_submit_transfer(struct call *call, raft_id to, void (*finish)(struct call *));

/* The key of /kv/{key} or ?key=, into call->key.  False: the call has been answered. */
bool call_read_key(struct call *call);

/* ---- reply.c: answers */

void call_reply(struct call *call, int status, const char *content_type, struct slice body);
/* 200 with `more` headers (their strings live until then) and a body in parts (http.h), which goes
 * on after the call.  NULL: nobody is there any more. */
struct http_stream *call_reply_stream(struct call *call, const char *content_type,
                                      const struct http_header *more, size_t n_more, uint64_t size,
                                      const struct http_stream_events *events);
/* Takes what `out` holds. */
void call_reply_json(struct call *call, int status, struct json_out *out);

/* What an error object may hold beside its five members. */
struct failure {
    const struct problem *problem;
    enum outcome outcome;
    bool has_revision; /* condition failed: the key's current one */
    uint64_t revision;
    bool has_operation; /* of a batch, from 0 */
    uint32_t operation;
    struct slice key; /* of that operation */
};

void call_fail_with(struct call *call, const struct failure *failure);
void call_fail(struct call *call, const struct problem *problem); /* nothing was applied */
void call_fail_err(struct call *call, enum err err, const char *message);
/* The same for what the state machine could not read: the node is to stop. */
void call_fail_damaged(struct call *call, enum err err, const char *message);
/* An op that did not end with OK, by the node's word or by the state machine's. */
void call_fail_op(struct call *call);

/* Adds those that every answer has. */
void reply_common_headers(const struct server *server, struct reply_headers *headers);

/* The body of an error for which there is no call. */
size_t reply_error_body(const char *code, const char *message, char *out, size_t size);

/* One slot for each status that this server sends; the last one counts the rest. */
extern const int reply_statuses[STATUS_SLOTS];

/* ---- routes.c */

const struct route *route_find(enum http_method method, struct slice path);
size_t route_count(void);
const struct route *route_at(size_t i);
size_t route_index(const struct route *route); /* NULL: route_count() */
/* Answers 404 or 405, as it may be. */
void route_refuse(struct call *call, enum http_method method, struct slice path);
void root_get(struct call *call);

/* ---- the handlers */

void kv_get(struct call *call);
void kv_put(struct call *call);
void kv_delete(struct call *call);
void kv_collection_get(struct call *call);    /* GET /kv: one key by ?key=, or a list */
void kv_collection_delete(struct call *call); /* DELETE /kv: ?key= or ?prefix= */
void list_get(struct call *call);
void batch_post(struct call *call);
void members_get(struct call *call);
void members_add(struct call *call);
void members_delete(struct call *call);
void members_post(struct call *call);
void members_leader(struct call *call);
/* On the raft port alone, so without a call. */
void whois_get(struct server *server, struct http_request *request);
void info_cluster(struct call *call);
void info_status(struct call *call);
void info_version(struct call *call);
void stats_get(struct call *call);
void health_get(struct call *call);
void health_livez(struct call *call);
void health_readyz(struct call *call);
void health_leader(struct call *call);

void snapshot_get(struct call *call);

/* ---- snapshot.c, for others */

void snapshot_cut(struct server *server); /* the answer under way, if there is one */

/* ---- info.c, for others */

const char *info_state_name(enum raft_role role); /* leader, follower or candidate */

#endif
