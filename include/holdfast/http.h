/* http.h - the guarded HTTP server: evhttp with every door shut that it leaves open.
 *
 * Parsing, limits, deadlines and refusals happen here; a handler sees only requests that are
 * whole, unambiguous and within bounds, and answers each exactly once, now or later.  Loop
 * thread only. */
#ifndef HOLDFAST_HTTP_H
#define HOLDFAST_HTTP_H

#include <holdfast/blob.h>
#include <holdfast/err.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct event_base;

enum http_method {
    HTTP_GET = 1 << 0,
    HTTP_HEAD = 1 << 1,
    HTTP_PUT = 1 << 2,
    HTTP_POST = 1 << 3,
    HTTP_DELETE = 1 << 4,
    HTTP_OTHER = 1 << 5, /* OPTIONS, TRACE, CONNECT, PATCH: to be answered 405 */
};

struct http_config {
    const char *address;          /* host:port; host may be a name, an IPv4 address or [IPv6] */
    size_t headers_max, body_max; /* bytes */
    uint32_t connections_max;     /* at this number the longest still make room, or accepting pauses */
    uint32_t still_ms;            /* who has not moved for so long may have to make room */
    size_t held_max;              /* bytes of bodies and unsent answers that are not small, in all */
    uint32_t headers_timeout_ms;  /* from the first byte of a request to the end of its headers */
    uint32_t body_timeout_ms;     /* from there to the end of its body */
    uint32_t idle_timeout_ms;     /* between requests of a connection */
    uint32_t write_timeout_ms;    /* a reader that takes nothing for so long is cut */
    int priority;                 /* libevent priority of its connections */
    bool large_io;                /* peer connections: 1 MiB reads and writes */
};

struct http_request;
struct http_server;

typedef void http_handler_fn(void *arg, struct http_request *request);
/* The body of an error that the guard itself finds (400, 405, 408, 411, 413, 414, 431 ...):
 * writes JSON, at most `size` bytes, and returns how many. */
typedef size_t http_error_body_fn(void *arg, int status, const char *code, const char *message,
                                  char *out, size_t size);

enum { HTTP_MESSAGE_MAX = 512 };

/* Listens at once.  ERR_IO with a sentence in `message` (HTTP_MESSAGE_MAX bytes) if the address
 * does not parse, does not resolve, or is taken. */
MUST_CHECK enum err http_server_new(struct event_base *base, const struct http_config *config,
                                    http_handler_fn *handler, http_error_body_fn *error_body,
                                    void *arg, struct http_server **out, char *message);
/* The port listened on: the kernel's choice if port 0 was asked for. */
uint16_t http_server_port(const struct http_server *server);
/* Stops accepting; open connections are closed after their current answer. */
void http_server_stop(struct http_server *server);
uint32_t http_server_pending(const struct http_server *server); /* requests not yet answered */
void http_server_free(struct http_server *server); /* after every request was answered, or cuts them */

struct http_stats {
    uint64_t connections_open, connections_total;
    uint64_t connections_refused; /* times that accepting paused: at the cap, or out of descriptors */
    uint64_t connections_yielded; /* ended to make room for others */
    uint64_t bytes_held;          /* of held_max */
    uint64_t requests, guard_rejections, timeouts, bytes_in, bytes_out;
};
void http_server_stats(const struct http_server *server, struct http_stats *out);

/* ---- one request; everything lent lives until the reply */

enum http_method http_request_method(const struct http_request *request);
/* Percent-decoded bytes of the path, without query; begins with '/'.  May hold any byte. */
struct slice http_request_path(const struct http_request *request);
/* The path and query as they came, for redirects. */
struct slice http_request_target(const struct http_request *request);
struct slice http_request_body(struct http_request *request);
/* A header's value or NULL; names without regard to case. */
const char *http_request_header(const struct http_request *request, const char *name);
/* A decoded query parameter; false if absent.  `?flag` without '=' gives size 0. A parameter
 * given twice was refused before. */
bool http_request_query(const struct http_request *request, const char *name, struct slice *value);
/* Name of a query parameter that is not among `known` (NULL-terminated), or NULL. */
const char *http_request_unknown_query(const struct http_request *request,
                                       const char *const *known);

struct http_header {
    const char *name, *value; /* copied by http_reply; no CR, LF or NUL in them (ASSERT) */
};

/* The one way to answer; exactly once per request; frees it.  `body` is copied.  A HEAD
 * request gets the headers alone. */
void http_reply(struct http_request *request, int status, const char *content_type,
                const struct http_header *headers, size_t n_headers, struct slice body);
/* The same with a body whose reference is taken, without a copy. */
void http_reply_blob(struct http_request *request, int status, const char *content_type,
                     const struct http_header *headers, size_t n_headers, struct blob *body);

/* An answer whose body comes in parts, so that none of it has to be in memory long before it can
 * leave.  The head goes at once, with `size` as the length; `more` is called, from the event loop,
 * whenever little is left to send, and asks for one http_stream_send, now or later.  With the last
 * byte the stream ends by itself and must not be touched again.  `lost`: nobody takes it any more;
 * it remains to call http_stream_abort, at once or later.  A reader that stands still is cut. */
struct http_stream;
struct http_stream_events {
    void (*more)(void *arg);
    void (*lost)(void *arg);
    void *arg;
};
enum { HTTP_STREAM_PART = 256 * 1024 }; /* a good size of a part; about two are in memory */
/* NULL: nobody is there any more.  Otherwise as http_reply; `size` > 0, and not for HEAD. */
struct http_stream *http_reply_begin(struct http_request *request, int status,
                                     const char *content_type, const struct http_header *headers,
                                     size_t n_headers, uint64_t size,
                                     const struct http_stream_events *events);
/* Takes the reference; not empty, and not more than is still to come.  True: that was all. */
bool http_stream_send(struct http_stream *stream, struct blob *bytes);
/* Ends it before its time: the connection is cut, so the client sees that bytes are missing. */
void http_stream_abort(struct http_stream *stream);

/* Whether a body of this size may be answered now: within held_max, if need be after connections
 * that hold much and do not move have ended.  A handler that does not ask is not stopped. */
bool http_reply_has_room(struct http_request *request, size_t size);
/* Its connection comes from one of us: the last to make room, and never refused for want of it. */
void http_request_trust(struct http_request *request);

/* A number for the connection that it came on, never used again; 0 if that is gone. */
uint64_t http_request_connection(const struct http_request *request);

/* Headers for the guard's own answers, so that they look like the handler's: fills at most `max`
 * places and returns how many; the strings live until the next call.  None by default. */
typedef size_t http_error_headers_fn(void *arg, struct http_header *out, size_t max);
void http_server_set_error_headers(struct http_server *server, http_error_headers_fn *headers);

/* Free use by the handler while the request is pending. */
void http_request_set_user(struct http_request *request, void *user);
void *http_request_user(const struct http_request *request);

/* ---- addresses */

/* Splits host:port ("localhost:8001", "127.0.0.1:8001", "[::1]:8001").  False with a sentence
 * in `why` (HTTP_MESSAGE_MAX) if it is none; port 0 only if allowed. */
bool address_parse(const char *address, bool port_zero, char host[256], uint16_t *port, char *why);

#endif
