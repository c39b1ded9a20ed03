/* request.c - one request as the handler sees it: decoded, with lengths. */
#include "http_internal.h"

#include "percent.h"

#include <holdfast/panic.h>

#include <stdlib.h>

static void refuse(struct refusal *refusal, const char *sentence)
{
    refusal_set(refusal, 400, "bad_request", "%s", sentence);
}

static void decode_target(struct http_request *request, struct refusal *refusal)
{
    const char *target = request->target.data;
    const char *mark = memchr(target, '?', request->target.size);
    size_t path_size = mark != NULL ? (size_t)(mark - target) : request->target.size;
    size_t size;
    if (!percent_decode(slice_of(target, path_size), false, request->space, &size)) {
        refuse(refusal, "a percent sign in the path must be followed by two hex digits");
        return;
    }
    request->path = slice_of(request->space, size);
    if (mark == NULL)
        return;
    const char *wrong = query_parse(slice_of(mark + 1, request->target.size - path_size - 1),
                                    &request->query, request->space + size);
    if (wrong != NULL)
        refuse(refusal, wrong);
}

struct http_request *request_new(struct connection *connection, struct evhttp_request *ev,
                                 struct refusal *refusal)
{
    const char *uri = evhttp_request_get_uri(ev);
    size_t size = strlen(uri);
    /* Not zeroed: `query` and `space` are large, and few of them used. */
    struct http_request *request = memory_grow(NULL, 1, sizeof *request + size + 1);
    request->state = REQUEST_PENDING;
    request->server = connection->server;
    request->connection = connection;
    request->ev = ev;
    request->method = connection->head.method;
    request->target = slice_of(uri, size);
    request->path = slice_of(NULL, 0);
    request->user = NULL;
    request->query.n = 0;
    refusal->status = 0;
    decode_target(request, refusal);
    connection->request = request;
    connection->server->pending++;
    return request;
}

enum http_method http_request_method(const struct http_request *request)
{
    return request->method;
}

struct slice http_request_path(const struct http_request *request)
{
    return request->path;
}

struct slice http_request_target(const struct http_request *request)
{
    return request->target;
}

struct slice http_request_body(struct http_request *request)
{
    if (request->ev == NULL)
        return slice_of(NULL, 0);
    struct evbuffer *body = evhttp_request_get_input_buffer(request->ev);
    size_t size = evbuffer_get_length(body);
    return slice_of(size > 0 ? evbuffer_pullup(body, -1) : NULL, size);
}

struct blob *evbuffer_blob(struct evbuffer *bytes)
{
    struct blob *blob = blob_new(evbuffer_get_length(bytes));
    if (evbuffer_copyout(bytes, blob->data, blob->size) != (ev_ssize_t)blob->size)
        panic(EXIT_STATUS_BUG, "an evbuffer holds less than it says");
    return blob;
}

struct blob *request_body_blob(const struct http_request *request)
{
    return evbuffer_blob(evhttp_request_get_input_buffer(request->ev));
}

const char *http_request_header(const struct http_request *request, const char *name)
{
    if (request->ev == NULL)
        return NULL;
    return evhttp_find_header(evhttp_request_get_input_headers(request->ev), name);
}

bool http_request_query(const struct http_request *request, const char *name, struct slice *value)
{
    const struct query_parameter *parameter = query_find(&request->query, name);
    if (parameter == NULL)
        return false;
    *value = parameter->value;
    return true;
}

const char *http_request_unknown_query(const struct http_request *request, const char *const *known)
{
    for (unsigned i = 0; i < request->query.n; i++) {
        const char *name = request->query.parameters[i].name;
        const char *const *at = known;
        while (*at != NULL && strcmp(*at, name) != 0)
            at++;
        if (*at == NULL)
            return name;
    }
    return NULL;
}

void http_request_trust(struct http_request *request)
{
    if (request->connection != NULL)
        request->connection->trusted = true;
}

uint64_t http_request_connection(const struct http_request *request)
{
    return request->connection != NULL ? request->connection->number : 0;
}

void http_request_set_user(struct http_request *request, void *user)
{
    request->user = user;
}

void *http_request_user(const struct http_request *request)
{
    return request->user;
}
