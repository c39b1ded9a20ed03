/* client.h - libholdfast: a C client of the Holdfast key-value store.
 *
 *     char why[HOLDFAST_MESSAGE_MAX];
 *     struct holdfast *db;
 *     if (holdfast_open("http://localhost:8001,8002,8003", NULL, &db, why) != HOLDFAST_OK)
 *         errx(1, "%s", why);
 *     struct holdfast_result *r =
 *         holdfast_put(db, holdfast_text("hello"), holdfast_text("world"), NULL);
 *     if (r->error != HOLDFAST_OK)
 *         warnx("%s", r->message);
 *     holdfast_result_free(r);
 *     holdfast_close(db);
 *
 * Compile and link with `pkg-config --cflags --libs libholdfast`.  See libholdfast(3).
 *
 * THREADS.  A handle may be used by any number of threads at once; calls run side by side, each
 * on a connection of its own.  holdfast_close comes after every other call has returned.  A
 * result belongs to the caller that got it.  After fork(2) the child opens a handle of its own.
 *
 * OWNERSHIP.  What is passed in is borrowed for the call.  Every call returns a result, never
 * NULL, also when memory ran out; the caller frees it with holdfast_result_free, and with it
 * all that it points to.
 *
 * UNITS.  Sizes are bytes, times milliseconds.  Keys (1 to 511 bytes) and values (0 bytes to
 * 1 MiB) are bytes of any kind.  Bytes in a result are followed by a NUL that is not counted.
 *
 * BLOCKING.  A call returns at its deadline at the latest (5 s unless said otherwise).  Until
 * then it tries other nodes and waits, growing and with jitter, between rounds.  It repeats
 * only what is safe to repeat: what never left this machine, what a node says was not applied,
 * and reads.  A write that may have been applied is never sent again: it ends in
 * HOLDFAST_UNKNOWN, and only the caller can know whether repeating it does harm (a condition,
 * see `if_revision`, makes it harmless).
 *
 * NODES.  Any node serves any request.  The library learns the leader from the nodes' answers
 * and asks it first; it learns the other members too, so that a handle outlives the nodes that
 * it was opened with, unless `only_endpoints` is set.  It sends nothing to a loopback address
 * that a distant node named, and nothing from https to http.  Proxies in the environment are not
 * used.  The library raises no signals and needs no initialisation. */
#ifndef HOLDFAST_CLIENT_H
#define HOLDFAST_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    HOLDFAST_MESSAGE_MAX = 512, /* bytes, NUL included */
    HOLDFAST_URL_MAX = 280,     /* of a node's base URL, NUL included */
    HOLDFAST_NODES_MAX = 64,    /* nodes that a handle remembers; the first 32 are endpoints */
    HOLDFAST_ENDPOINTS_MAX = 32,
    HOLDFAST_KEY_MAX = 511,
    HOLDFAST_VALUE_MAX = 1024 * 1024,
};

/* ---- errors */

enum holdfast_error {
    HOLDFAST_OK = 0,
    /* the request */
    HOLDFAST_BAD_ARGUMENT,     /* refused by the library; nothing was sent */
    HOLDFAST_BAD_REQUEST,      /* refused by the node: 400, 405, 411, 414, 415 */
    HOLDFAST_NOT_FOUND,        /* no such key: 404 */
    HOLDFAST_CONDITION_FAILED, /* the key is at another revision: 412 */
    HOLDFAST_TOO_LARGE,        /* key, value, batch or answer; the message names the limit */
    /* the cluster; the same call may succeed later */
    HOLDFAST_OVERLOADED,    /* 429 */
    HOLDFAST_NO_LEADER,     /* no leader until the deadline */
    HOLDFAST_TOO_STALE,     /* max_stale_ms or min_revision could not be met */
    HOLDFAST_NO_SPACE,      /* the nodes' quota is used up; deletes still work */
    HOLDFAST_SHUTTING_DOWN, /* the last node asked is going down */
    HOLDFAST_STATE_DIFFERS, /* its data differs from the other members' */
    HOLDFAST_TIMEOUT,       /* no answer before the deadline */
    HOLDFAST_UNREACHABLE,   /* no node accepted a connection */
    /* surprises */
    HOLDFAST_BROKEN_ANSWER, /* the connection broke, or the answer is not Holdfast's */
    HOLDFAST_SERVER_ERROR,  /* 500, or an error that this library does not know; see `code` */
    HOLDFAST_NO_MEMORY,
    HOLDFAST_CONFLICT, /* 409: a change of the members that cannot be made now, or not so */
};

/* How a call ended.  For reads: applied when answered, else not applied. */
enum holdfast_outcome {
    HOLDFAST_NOT_APPLIED = 0, /* certainly nothing changed, nor will it */
    HOLDFAST_APPLIED,
    HOLDFAST_UNKNOWN, /* it may have been applied, or may yet be */
};

/* "no_leader", "unknown" ...; never NULL. */
const char *holdfast_error_name(enum holdfast_error error);
const char *holdfast_outcome_name(enum holdfast_outcome outcome);

/* ---- bytes */

struct holdfast_bytes {
    const void *data; /* may be NULL if size is 0 */
    size_t size;
};

static inline struct holdfast_bytes holdfast_bytes(const void *data, size_t size)
{
    struct holdfast_bytes bytes = { data, size };
    return bytes;
}

static inline struct holdfast_bytes holdfast_text(const char *text)
{
    return holdfast_bytes(text, strlen(text));
}

/* ---- opening */

struct holdfast;

/* All zero but `size` is the default.  Start with HOLDFAST_OPTIONS_INIT: `size` lets a program
 * built against an older header work with a newer library. */
struct holdfast_options {
    size_t size;
    uint32_t timeout_ms;    /* of a call; 0: 5,000 */
    size_t answer_max;      /* bytes of one answer; 0: 32 MiB */
    bool only_endpoints;    /* speak to no node but the endpoints (tunnels, port forwarding) */
    const char *user_agent; /* put before the library's own; NULL: nothing */
};
#define HOLDFAST_OPTIONS_INIT                                                                      \
    {                                                                                              \
        sizeof(struct holdfast_options), 0, 0, false, NULL                                         \
    }

/* `endpoints` lists nodes, separated by commas or spaces: "http://db1:8001,http://db2:8001".
 * Scheme (http, https), host and port may be left out; they are then those of the entry before,
 * at first http, localhost and 8001: "localhost:8001,8002,8003".  No path, no user name.  Some
 * of the nodes suffice.  Connects to nothing yet.  On failure (BAD_ARGUMENT, NO_MEMORY) a
 * sentence is left in `message`, which may be NULL, and *out is NULL. */
enum holdfast_error holdfast_open(const char *endpoints, const struct holdfast_options *options,
                                  struct holdfast **out, char message[HOLDFAST_MESSAGE_MAX]);
void holdfast_close(struct holdfast *db); /* NULL is allowed */

/* ---- how a call is made */

enum holdfast_consistency {
    HOLDFAST_LINEARIZABLE = 0, /* sees every write that was acknowledged before */
    HOLDFAST_LEASE,            /* the same while clocks run evenly; without a round of messages */
    HOLDFAST_STALE,            /* whatever the asked node has */
};

/* NULL in its place, or all zero but `size`, is the default. */
struct holdfast_call {
    size_t size;
    uint32_t timeout_ms; /* 0: the handle's */
    /* reads */
    enum holdfast_consistency consistency;
    uint32_t max_stale_ms; /* with HOLDFAST_STALE: refuse what is older; 0: any age */
    uint64_t min_revision; /* wait until the node has this revision; 0: do not */
    /* put and delete of one key */
    bool conditional;
    uint64_t if_revision; /* apply only if the key is at this revision; 0: only if absent */
    /* Ask this node alone (a base URL), whoever leads, and once; NULL: the library chooses. */
    const char *node;
};
#define HOLDFAST_CALL_INIT                                                                         \
    {                                                                                              \
        sizeof(struct holdfast_call), 0, HOLDFAST_LINEARIZABLE, 0, 0, false, 0, NULL               \
    }

/* ---- results */

struct holdfast_kv {
    struct holdfast_bytes key;
    struct holdfast_bytes value; /* data is NULL if it was not asked for */
    uint64_t revision;           /* of the last change */
    uint64_t create_revision;
    uint64_t version; /* changes since it was created, from 1 */
};

enum holdfast_op_type {
    HOLDFAST_OP_SET,
    HOLDFAST_OP_GET,
    HOLDFAST_OP_DELETE,
    HOLDFAST_OP_DELETE_PREFIX, /* the key is the prefix */
};

struct holdfast_op_result {
    enum holdfast_op_type type;
    bool ok;               /* set: always; get: found; delete: there was something to delete */
    struct holdfast_kv kv; /* get: what was found; else key and revision */
    uint64_t deleted;      /* delete and delete by prefix: keys removed */
    bool created;          /* set: the key is new */
};

struct holdfast_member {
    const char *id;        /* 64 bits, as the node writes them */
    const char *name;      /* of people, "" if not announced */
    const char *role;      /* leader, voter, learner */
    const char *raft_addr; /* host:port */
    const char *http_addr; /* "" if not announced */
    bool leader;
    /* As the leader sees it; UINT64_MAX: not known. */
    uint64_t match_index, lag, last_contact_ms;
};

struct holdfast_status {
    const char *id, *name;
    const char *state;  /* leader, follower, candidate */
    const char *leader; /* id of the leader, "" if none */
    const char *version;
    const char *leader_name;
    uint64_t term, commit_index, applied_index, log_first_index, log_last_index;
    uint64_t revision, keys, uptime_ms;
    const char *digest; /* of all data after the applied entry, 16 hexadecimal digits */
    const char *alarms; /* names, by commas; "" if all is well */
};

/* Filled by the library.  Strings are "" when there is nothing to say, never NULL. */
struct holdfast_result {
    enum holdfast_error error;
    enum holdfast_outcome outcome;
    int http_status;     /* of the last answer; 0: there was none */
    unsigned attempts;   /* requests made, connections refused included */
    const char *code;    /* the node's stable code, "no_leader"; see holdfast-api(7) */
    const char *message; /* one sentence for people, without a full stop */
    const char *hint;    /* what to do about it */
    const char *node;    /* base URL of the node that answered last, or was asked last */
    const char *leader;  /* base URL of the leader as that node sees it */

    /* The store's revision: that a write made, that a read saw, that a failed condition found. */
    uint64_t revision;
    const struct holdfast_kv *kvs; /* get: one; list: n_kvs */
    size_t n_kvs;
    bool created;     /* put: the key is new */
    uint64_t deleted; /* delete, delete by prefix: keys removed */
    uint64_t count;   /* list: keys in this page, with count_only in the whole range */
    bool more;        /* list: there is another page; ask with this cursor */
    const char *cursor;
    const struct holdfast_op_result *ops; /* batch: one for each operation */
    size_t n_ops;
    size_t failed_op; /* batch: the operation whose condition failed; SIZE_MAX: none */

    const struct holdfast_status *status;  /* holdfast_status; else NULL */
    const struct holdfast_member *members; /* holdfast_info */
    size_t n_members;

    struct holdfast_bytes json; /* the answer's body as it came */
};

void holdfast_result_free(struct holdfast_result *result); /* NULL is allowed */

/* ---- keys and values */

struct holdfast_result *holdfast_get(struct holdfast *db, struct holdfast_bytes key,
                                     const struct holdfast_call *call);

struct holdfast_result *holdfast_put(struct holdfast *db, struct holdfast_bytes key,
                                     struct holdfast_bytes value, const struct holdfast_call *call);

/* NOT_FOUND if there is no such key. */
struct holdfast_result *holdfast_delete(struct holdfast *db, struct holdfast_bytes key,
                                        const struct holdfast_call *call);

/* Deletes all keys that begin with `prefix` (1 to 511 bytes), at once. */
struct holdfast_result *holdfast_delete_prefix(struct holdfast *db, struct holdfast_bytes prefix,
                                               const struct holdfast_call *call);

/* Which keys to list: all zero but `size` lists everything, in pages. */
struct holdfast_range {
    size_t size;
    struct holdfast_bytes prefix;
    struct holdfast_bytes start; /* first key */
    struct holdfast_bytes end;   /* first key beyond */
    const char *cursor;          /* of the page before; NULL: the first page */
    uint32_t limit;              /* keys in a page; 0: the node's, 1,000 */
    bool keys_only;
    bool count_only;
    bool descending;
};
#define HOLDFAST_RANGE_INIT                                                                        \
    {                                                                                              \
        sizeof(struct holdfast_range), { NULL, 0 }, { NULL, 0 }, { NULL, 0 }, NULL, 0, false,      \
            false, false                                                                           \
    }

/* One page; a page may hold fewer keys than `limit` though there are more: look at `more`. */
struct holdfast_result *holdfast_list(struct holdfast *db, const struct holdfast_range *range,
                                      const struct holdfast_call *call);

struct holdfast_op {
    enum holdfast_op_type type;
    struct holdfast_bytes key;
    struct holdfast_bytes value; /* of a set */
    bool conditional;            /* not with a delete by prefix */
    uint64_t if_revision;
};

/* All or nothing, in order, as one entry of the log; gets see the sets before them.  One failed
 * condition applies nothing. */
struct holdfast_result *holdfast_batch(struct holdfast *db, const struct holdfast_op *ops,
                                       size_t n_ops, const struct holdfast_call *call);

/* The same with the body of POST /batch as the caller wrote it. */
struct holdfast_result *holdfast_batch_json(struct holdfast *db, struct holdfast_bytes json,
                                            const struct holdfast_call *call);

/* ---- the node and the cluster */

struct holdfast_result *holdfast_status(struct holdfast *db, const struct holdfast_call *call);
struct holdfast_result *holdfast_info(struct holdfast *db, const struct holdfast_call *call);

/* GET of any other document, "/stats", "/health", "/version": the text is in `json`. */
struct holdfast_result *holdfast_document(struct holdfast *db, const char *path,
                                          const struct holdfast_call *call);

/* Any other request of holdfast-api(7) that changes something: POST or DELETE, with a JSON body or
 * without one (NULL data).  The text of the answer is in `json`. */
struct holdfast_result *holdfast_request(struct holdfast *db, const char *method, const char *path,
                                         struct holdfast_bytes json,
                                         const struct holdfast_call *call);

/* ---- a copy of all data */

struct holdfast_snapshot {
    uint64_t size;     /* bytes */
    uint64_t checksum; /* XXH3, 64 bits, seed 0, of all of them */
    uint64_t index, term, revision, keys;
    uint64_t digest;   /* as in `holdfast_status.digest` */
    const char *node;  /* who gives it */
};

/* Where it goes.  `begin` comes before the first byte, and again if the library begins anew with
 * another node: what came before is then void.  Either returns false to end the call, which then
 * ends in BAD_ARGUMENT. */
struct holdfast_sink {
    size_t size; /* of this struct */
    bool (*begin)(void *arg, const struct holdfast_snapshot *snapshot);
    bool (*data)(void *arg, const void *data, size_t size);
    void *arg;
};

/* A consistent copy of the state, an LMDB file; any node gives it.  OK: all `size` bytes have come;
 * the checksum is the caller's to compare.  The timeout is for finding a node; the copying and the
 * sending take as long as they take, but for a minute of silence. */
struct holdfast_result *holdfast_get_snapshot(struct holdfast *db, const struct holdfast_sink *sink,
                                              const struct holdfast_call *call);

/* The base URLs that the handle knows, endpoints first.  Returns how many there are. */
size_t holdfast_nodes(struct holdfast *db, char (*urls)[HOLDFAST_URL_MAX], size_t max);

/* "0.1.0" */
const char *holdfast_library_version(void);

/* Of libcurl, as it runs: "7.88.1". */
const char *holdfast_curl_version(void);

#ifdef __cplusplus
}
#endif

#endif
