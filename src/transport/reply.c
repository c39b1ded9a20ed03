/* reply.c - the one way to answer.
 *
 * An answer is written to the connection's output in one piece, and evhttp is then told that
 * the request is done.  That spares evhttp's own making of headers: three allocations and a
 * printf for each, a Date computed anew for each answer. */
#include "http_internal.h"

#include <holdfast/panic.h>

#include <event2/http_struct.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    FIXED_SIZE_MAX = 256, /* status line, Date, Content-Length, Connection, empty line */
    ERROR_BODY_MAX = 2048,
    WRITE_AT_ONCE_MAX = 64 * 1024,
    ERROR_HEADERS_MAX = 8,
};

static const char *reason_of(int status)
{
    static const struct {
        int status;
        const char *reason;
    } reasons[] = {
        { 200, "OK" },
        { 201, "Created" },
        { 202, "Accepted" },
        { 204, "No Content" },
        { 304, "Not Modified" },
        { 307, "Temporary Redirect" },
        { 400, "Bad Request" },
        { 401, "Unauthorized" },
        { 403, "Forbidden" },
        { 404, "Not Found" },
        { 405, "Method Not Allowed" },
        { 406, "Not Acceptable" },
        { 408, "Request Timeout" },
        { 409, "Conflict" },
        { 411, "Length Required" },
        { 412, "Precondition Failed" },
        { 413, "Content Too Large" },
        { 414, "URI Too Long" },
        { 415, "Unsupported Media Type" },
        { 417, "Expectation Failed" },
        { 429, "Too Many Requests" },
        { 431, "Request Header Fields Too Large" },
        { 500, "Internal Server Error" },
        { 501, "Not Implemented" },
        { 502, "Bad Gateway" },
        { 503, "Service Unavailable" },
        { 504, "Gateway Timeout" },
        { 505, "HTTP Version Not Supported" },
    };
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    return "Unknown";
}

static bool status_has_body(int status)
{
    return status >= 200 && status != 204 && status != 304;
}

static char *put(char *at, const char *text, size_t size)
{
    memcpy(at, text, size);
    return at + size;
}

static char *put_text(char *at, const char *text)
{
    return put(at, text, strlen(text));
}

static char *put_number(char *at, size_t number)
{
    char digits[24];
    size_t n = 0;
    do {
        digits[sizeof digits - ++n] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    return put(at, digits + sizeof digits - n, n);
}

static char *put_header(char *at, const char *name, const char *value)
{
    at = put_text(at, name);
    at = put(at, ": ", 2);
    at = put_text(at, value);
    return put(at, "\r\n", 2);
}

static size_t header_size(const char *name, const char *value)
{
    ASSERT(strpbrk(name, "\r\n:") == NULL && strpbrk(value, "\r\n") == NULL);
    return strlen(name) + strlen(value) + 4;
}

static char *put_head(char *at, const char *date, const struct reply *reply)
{
    at = put(at, "HTTP/1.1 ", 9);
    at = put_number(at, (size_t)reply->status);
    *at++ = ' ';
    at = put_text(at, reason_of(reply->status));
    at = put(at, "\r\nDate: ", 8);
    at = put_text(at, date);
    at = put(at, "\r\n", 2);
    if (reply->content_type != NULL && status_has_body(reply->status))
        at = put_header(at, "Content-Type", reply->content_type);
    if (status_has_body(reply->status)) {
        at = put(at, "Content-Length: ", 16);
        at = put_number(at, reply->body_size);
        at = put(at, "\r\n", 2);
    }
    for (size_t i = 0; i < reply->n_headers; i++)
        at = put_header(at, reply->headers[i].name, reply->headers[i].value);
    if (reply->close)
        at = put(at, "Connection: close\r\n", 19);
    else if (reply->keep_alive10)
        at = put(at, "Connection: keep-alive\r\n", 24);
    return put(at, "\r\n", 2);
}

void reply_write(struct evbuffer *out, const char *date, const struct reply *reply,
                 struct slice body)
{
    struct evbuffer_iovec space;
    size_t size = FIXED_SIZE_MAX + body.size;
    if (reply->content_type != NULL)
        size += header_size("Content-Type", reply->content_type);
    for (size_t i = 0; i < reply->n_headers; i++)
        size += header_size(reply->headers[i].name, reply->headers[i].value);
    if (evbuffer_reserve_space(out, (ev_ssize_t)size, &space, 1) != 1)
        panic(EXIT_STATUS_IO, "out of memory");
    char *end = put_head(space.iov_base, date, reply);
    if (body.size > 0)
        end = put(end, body.data, body.size);
    space.iov_len = (size_t)(end - (char *)space.iov_base);
    ASSERT(space.iov_len <= size);
    if (evbuffer_commit_space(out, &space, 1) != 0)
        panic(EXIT_STATUS_IO, "out of memory");
}

static void unref_blob(const void *data, size_t size, void *blob)
{
    (void)data;
    (void)size;
    blob_unref(blob);
}

bool reply_to_nobody(struct http_request *request)
{
    if (request->server == NULL) {
        free(request);
        return true;
    }
    request->server->pending--;
    if (request->connection != NULL)
        return false;
    /* evhttp left it to us when it lost the connection; without one this only frees. */
    evhttp_send_reply_end(request->ev);
    free(request);
    return true;
}

/* Most answers fit into the socket's buffer: then the turn of the loop, and the two changes to
 * the epoll set, that waiting for room costs are saved (a fifth of a small request's CPU time).
 * What fails here fails again there.  A TLS connection must not come this way. */
static void write_at_once(struct connection *connection, struct evbuffer *out)
{
    if (evbuffer_get_length(out) > WRITE_AT_ONCE_MAX)
        return;
    evbuffer_unfreeze(out, 1);
    (void)evbuffer_write(out, connection->fd);
    evbuffer_freeze(out, 1);
}

/* A small body goes with the head in `copied`, a large one behind it in `moved`. */
static void answer(struct http_request *request, struct reply *reply, struct slice copied,
                   struct evbuffer *moved)
{
    ASSERT(request->state == REQUEST_PENDING);
    request->state = REQUEST_ANSWERED;
    if (reply_to_nobody(request))
        return;
    struct connection *connection = request->connection;
    struct evhttp_request *ev = request->ev;
    struct evbuffer *out = bufferevent_get_output(connection->bev);
    bool body = status_has_body(reply->status) && request->method != HTTP_HEAD;
    size_t before = evbuffer_get_length(out);

    reply->close = connection->head.close || connection->server->stopping;
    reply->keep_alive10 = connection->head.http10;
    reply_write(out, connection->server->date, reply, body ? copied : slice_of(NULL, 0));
    if (moved != NULL && body && evbuffer_add_buffer(out, moved) != 0)
        panic(EXIT_STATUS_IO, "out of memory");
    connection->server->stats.bytes_out += evbuffer_get_length(out) - before;
    connection->request = NULL;
    connection->unwritten = SIZE_MAX;
    connection_set_phase(connection, PHASE_WRITING);
    free(request);

    ev->chunked = 0; /* the request was, perhaps; evhttp would end the answer with a chunk */
    evhttp_request_set_on_complete_cb(ev, connection_answered, connection);
    write_at_once(connection, out);
    if (evbuffer_get_length(out) > 0)
        bufferevent_enable(connection->bev, EV_WRITE);
    if (evbuffer_get_length(out) > HELD_SMALL)
        room_hold(connection, evbuffer_get_length(out));
    evhttp_send_reply_end(ev);
}

void http_reply(struct http_request *request, int status, const char *content_type,
                const struct http_header *headers, size_t n_headers, struct slice body)
{
    struct reply reply = { .status = status,
                           .content_type = content_type,
                           .headers = headers,
                           .n_headers = n_headers,
                           .body_size = body.size };
    answer(request, &reply, body, NULL);
}

static void reply_moved(struct http_request *request, struct reply *reply, struct evbuffer *body)
{
    reply->body_size = evbuffer_get_length(body);
    answer(request, reply, slice_of(NULL, 0), body);
    evbuffer_free(body);
}

void http_reply_blob(struct http_request *request, int status, const char *content_type,
                     const struct http_header *headers, size_t n_headers, struct blob *body)
{
    struct reply reply = { .status = status,
                           .content_type = content_type,
                           .headers = headers,
                           .n_headers = n_headers };
    struct evbuffer *moved = evbuffer_new();
    if (moved == NULL ||
        (body->size > 0 &&
         evbuffer_add_reference(moved, body->data, body->size, unref_blob, body) != 0))
        panic(EXIT_STATUS_IO, "out of memory");
    if (body->size == 0)
        blob_unref(body);
    reply_moved(request, &reply, moved);
}

void reply_buffer(struct http_request *request, int status, const char *content_type,
                  struct evbuffer *body)
{
    struct reply reply = { .status = status, .content_type = content_type };
    reply_moved(request, &reply, body);
}

bool http_reply_has_room(struct http_request *request, size_t size)
{
    return size <= HELD_SMALL || request->server == NULL || request->connection == NULL ||
           room_for_bytes(request->connection, size);
}

static size_t error_body(const struct http_server *server, const struct refusal *refusal,
                         char body[ERROR_BODY_MAX])
{
    return server->error_body(server->arg, refusal->status, refusal->code, refusal->message, body,
                              ERROR_BODY_MAX);
}

static size_t error_headers(const struct http_server *server,
                            struct http_header headers[ERROR_HEADERS_MAX])
{
    if (server->error_headers == NULL)
        return 0;
    return server->error_headers(server->arg, headers, ERROR_HEADERS_MAX);
}

void reply_refusal(struct connection *connection, const struct refusal *refusal)
{
    struct http_server *server = connection->server;
    struct evbuffer *out = bufferevent_get_output(connection->bev);
    char body[ERROR_BODY_MAX];
    struct http_header headers[ERROR_HEADERS_MAX];
    size_t size = error_body(server, refusal, body), before = evbuffer_get_length(out);
    struct reply reply = { .status = refusal->status,
                           .content_type = "application/json",
                           .headers = headers,
                           .n_headers = error_headers(server, headers),
                           .body_size = size,
                           .close = true };
    if (refusal->status == 429 && reply.n_headers < ERROR_HEADERS_MAX)
        headers[reply.n_headers++] = (struct http_header){ "Retry-After", "1" };
    reply_write(out, server->date, &reply, slice_of(body, size));
    server->stats.bytes_out += evbuffer_get_length(out) - before;
}

void reply_refused_request(struct http_request *request, const struct refusal *refusal)
{
    char body[ERROR_BODY_MAX];
    struct http_header headers[ERROR_HEADERS_MAX];
    size_t size = error_body(request->server, refusal, body);
    size_t n_headers = error_headers(request->server, headers);
    request->server->stats.guard_rejections++;
    request->connection->head.close = true;
    http_reply(request, refusal->status, "application/json", headers, n_headers,
               slice_of(body, size));
}
