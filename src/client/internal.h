/* internal.h - what the files of libholdfast share.  See include/holdfast/client.h for the
 * library's contract. */
#ifndef HOLDFAST_CLIENT_INTERNAL_H
#define HOLDFAST_CLIENT_INTERNAL_H

#include <holdfast/client.h>

#include <curl/curl.h>
#include <pthread.h>

enum {
    DEFAULT_TIMEOUT_MS = 5000,
    DEFAULT_PORT = 8001,
    CONNECTIONS_IDLE_MAX = 16, /* connections that wait for the next call */
    CONNECTION_AGE_MAX_S = 20, /* an older idle one is not used: nodes close theirs later */
    DOWN_MS = 2000,            /* a node that refused is asked last for so long */
    BACKOFF_MIN_MS = 20,
    BACKOFF_MAX_MS = 400,
    REDIRECTS_MAX = 4,
    NODE_TIMEOUT_MAX_MS = 60 * 1000, /* more than this a node does not grant */
    WRITE_AGAIN_MIN_MS = 50,         /* with less time left a write is not tried again */
    LEARN_MS = 500,                  /* the most that asking for the members may take */
    LEARN_EVERY_MS = 30 * 1000,
    SILENCE_MAX_S = 60, /* of an answer that takes its time */
};

/* ---- buffer.c: bytes that grow.  Sticky: after a failed allocation every append does nothing;
 * look at `failed` once, at the end. */

struct buffer {
    char *data; /* always followed by a NUL when not NULL */
    size_t size, capacity;
    bool failed;
};

void buffer_free(struct buffer *buffer);
void buffer_add(struct buffer *buffer, const void *data, size_t size);
void buffer_text(struct buffer *buffer, const char *text);
void buffer_format(struct buffer *buffer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Percent-encodes all but letters, digits and -._~ and, if asked, slashes. */
void buffer_percent(struct buffer *buffer, struct holdfast_bytes bytes, bool keep_slash);
/* A JSON member `,"name":"..."`, or `,"name_b64":"..."` for what JSON text cannot carry. */
void buffer_json_bytes(struct buffer *buffer, const char *name, struct holdfast_bytes bytes);

/* True for valid UTF-8 without NUL: what a JSON string carries unharmed. */
bool bytes_are_text(struct holdfast_bytes bytes);
/* Decodes standard base64 with padding into `out` (3 bytes for each 4 of text). */
bool client_base64_decode(const char *text, size_t size, unsigned char *out, size_t *out_size);

/* ---- result.c: a result and all memory that it points to */

struct result {
    struct holdfast_result public; /* first: it is what the caller holds */
    struct chunk *chunks;
    struct buffer body; /* the answer's, to which `json` points */
    bool failed;        /* memory ran out while filling it */
};

struct result *result_new(void); /* or NULL */
/* Zeroed memory that lives as long as the result; NULL (and failed) if there is none. */
void *result_alloc(struct result *result, size_t n, size_t size);
/* A copy with a NUL after it; "" if memory ran out. */
const char *result_copy(struct result *result, const void *data, size_t size);
const char *result_text(struct result *result, const char *text); /* NULL: "" */
void result_error(struct result *result, enum holdfast_error error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* As new, but for the number of attempts. */
void result_reset(struct result *result);
/* What the caller gets: the result, or a constant NO_MEMORY one in place of a failed one. */
struct holdfast_result *result_give(struct result *result);
/* The same, when a write may have been sent. */
struct holdfast_result *result_no_memory(enum holdfast_outcome outcome);

/* ---- nodes.c: which nodes there are, and who leads.  Callers hold the handle's lock. */

struct known_node {
    uint64_t id; /* 0: free slot */
    char url[HOLDFAST_URL_MAX];
    uint64_t down_until_ms; /* monotonic */
};

struct nodes {
    struct known_node slots[HOLDFAST_NODES_MAX]; /* endpoints first, then learned ones */
    uint32_t n_endpoints;
    uint64_t next_id;
    uint64_t preferred;            /* id of the node that answered last */
    char leader[HOLDFAST_URL_MAX]; /* "" if not known */
    bool only_endpoints;
};

/* Reads an entry of an endpoints list into `out`, in canonical form; what it leaves out comes
 * from `before` ("" or an earlier result).  False with a sentence in `why`. */
bool url_parse(const char *text, size_t size, const char *before, char out[HOLDFAST_URL_MAX],
               char why[HOLDFAST_MESSAGE_MAX]);
bool nodes_init(struct nodes *nodes, const char *endpoints, bool only_endpoints,
                char why[HOLDFAST_MESSAGE_MAX]);
/* A URL that the node at `from` named: canonical in `out` if it may be asked, else false. */
bool nodes_accept(const struct nodes *nodes, const char *from, const char *text,
                  char out[HOLDFAST_URL_MAX]);
void nodes_learn(struct nodes *nodes, const char *url); /* a member; already accepted */
void nodes_set_leader(struct nodes *nodes, const char *url);
void nodes_on_answer(struct nodes *nodes, const char *url);
void nodes_on_failure(struct nodes *nodes, const char *url, uint64_t now_ms);

/* The nodes that one round of one call has asked. */
struct round {
    char asked[HOLDFAST_NODES_MAX + 1][HOLDFAST_URL_MAX];
    uint32_t n_asked;
};
bool round_has(const struct round *round, const char *url);
void round_add(struct round *round, const char *url);
/* The best node not asked yet; false when all were. */
bool nodes_pick(const struct nodes *nodes, const struct round *round, bool leader_first,
                uint64_t now_ms, char out[HOLDFAST_URL_MAX]);
uint32_t nodes_count(const struct nodes *nodes);

/* ---- transfer.c: one HTTP exchange with one node */

struct connection {
    CURL *curl;
    struct connection *next;
};

struct request {
    const char *method;
    const char *target; /* path and query, encoded */
    const char *content_type;
    struct holdfast_bytes body;
    bool has_body;
    bool is_write;      /* must not be sent twice */
    bool takes_timeout; /* the node understands ?timeout= here */
    bool is_document;   /* any answer will do, JSON or not, and ends the call */
    bool wants_leader;
    const struct holdfast_sink *sink; /* takes the body of a 200; NULL: it is kept in memory */
};

enum exchange_end {
    EXCHANGE_ANSWERED,
    EXCHANGE_NOT_SENT, /* nothing of it left this machine */
    EXCHANGE_LOST,     /* it may have arrived; there is no whole answer */
    EXCHANGE_TOO_BIG,  /* the answer was larger than allowed, and was cut */
    EXCHANGE_NO_MEMORY,
};

struct exchange {
    enum exchange_end end;
    bool timed_out;
    int status;
    struct buffer body;
    char leader[HOLDFAST_URL_MAX];   /* headers; "" if absent */
    char location[HOLDFAST_URL_MAX]; /* scheme and authority alone */
    uint64_t revision;
    uint32_t retry_after_ms;
    struct holdfast_snapshot snapshot;
    bool sink_ended; /* it took no more */
    char error[CURL_ERROR_SIZE];
};

void exchange_run(struct connection *connection, const char *user_agent,
                  const struct request *request, const char *node, uint32_t timeout_ms,
                  uint32_t connect_ms, size_t answer_max, struct exchange *out);
void exchange_fini(struct exchange *exchange);

/* ---- handle.c */

struct holdfast {
    /* Held for moments only, never during an exchange. */
    pthread_mutex_t lock;
    struct nodes nodes;
    struct connection *idle;
    uint32_t n_idle;
    uint64_t random;
    uint64_t learn_at_ms; /* when to ask for the members next; 0: after the first answer */

    /* constant */
    uint32_t timeout_ms;
    size_t answer_max;
    char *user_agent;
};

struct connection *connection_take(struct holdfast *db); /* NULL: no memory */
void connection_give(struct holdfast *db, struct connection *connection);

/* ---- call.c: a request until its end */

/* Does the request and fills in what every answer has: error, outcome, message, json ...  Ends
 * with result->error OK only for a 2xx answer that is Holdfast's. */
void call_run(struct holdfast *db, const struct request *request, const struct holdfast_call *call,
              struct result *result);
/* Remembers the members that an answer to /cluster/info named. */
void learn_members(struct holdfast *db, struct result *info);
uint64_t monotonic_ms(void);

/* ---- answer.c: JSON into results */

extern const char *const op_type_names[];
struct cJSON;
/* The body parsed, or NULL. */
struct cJSON *answer_parse(const struct buffer *body);
/* What an error answer says; false if it is not one of Holdfast's. */
bool answer_error(struct result *result, const struct cJSON *json, bool *retryable);
/* The URL of each member, for learning; the result is unused for that. */
void answer_members(struct result *result, const struct cJSON *json);
/* One for each kind of request; a missing or misshapen member is a BROKEN_ANSWER. */
enum answer_kind {
    ANSWER_DOCUMENT,
    ANSWER_GET,
    ANSWER_PUT,
    ANSWER_DELETE,
    ANSWER_LIST,
    ANSWER_BATCH,
    ANSWER_STATUS,
    ANSWER_INFO,
};
void answer_fill(struct result *result, enum answer_kind kind);

#endif
