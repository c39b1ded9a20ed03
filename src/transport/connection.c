/* connection.c - one connection of the HTTP server, and the gate before evhttp.
 *
 * The bufferevent reads into its input; before evhttp's own read callback runs, an evbuffer
 * callback lands here and judges the new bytes.  What is fine stays where it is, so a good
 * request costs one scan and no copy.  A head that has not come whole is hidden in `partial`
 * until it has.  What is refused is taken out, and the connection is taken over: evhttp's
 * callbacks are replaced by ours, the JSON answer leaves, the client gets a moment to read it,
 * and then evhttp is told that the peer is gone, upon which it frees the connection.
 *
 * While a request is handled or answered nothing is read, so what a client sends ahead stays
 * bounded by the read watermark and the kernel's buffers. */
#include "http_internal.h"

#include <holdfast/panic.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>

enum {
    INPUT_SLACK = 4 * 1024,  /* above headers_max: what a client may send ahead */
    CHUNK_SLACK = 64 * 1024, /* framing of a chunked body */
    IO_SIZE = 64 * 1024,     /* one read or write of a client's connection */
    IO_SIZE_LARGE = 1024 * 1024,
};

static void on_input(struct evbuffer *input, const struct evbuffer_cb_info *info, void *arg)
{
    struct connection *connection = arg;
    (void)input;
    if (info->n_added == 0 || connection->editing)
        return;
    connection->server->stats.bytes_in += info->n_added;
    connection_gate(connection, info->n_added);
}

/* evhttp asks for the bufferevent of an accepted socket. */
struct bufferevent *connection_new(struct event_base *base, void *arg)
{
    struct http_server *server = arg;
    struct connection *connection = memory_new(sizeof *connection);
    /* evhttp would serve plainly, by its own means, if it got NULL. */
    connection->bev = bufferevent_socket_new(base, -1, 0);
    if (connection->bev == NULL)
        panic(EXIT_STATUS_IO, "out of memory");
    size_t io = server->config.large_io ? IO_SIZE_LARGE : IO_SIZE;
    bufferevent_priority_set(connection->bev, server->priority);
    bufferevent_set_max_single_read(connection->bev, io);
    bufferevent_set_max_single_write(connection->bev, io);
    connection->server = server;
    connection->fd = -1;
    connection->since_ms = server->now_ms;
    connection_watch_size(connection, 0);
    connection->input_watch =
        evbuffer_add_cb(bufferevent_get_input(connection->bev), on_input, connection);
    if (connection->input_watch == NULL)
        panic(EXIT_STATUS_IO, "out of memory");

    TAILQ_INSERT_TAIL(&server->connections, connection, entry);
    TAILQ_INSERT_TAIL(&server->fresh, connection, pending);
    connection->on_fresh = true;
    server->stats.connections_open++;
    connection->number = ++server->stats.connections_total;
    /* evhttp's side of it does not exist yet; see to the rest before any of its events. */
    event_active(server->adopt, EV_TIMEOUT, 0);
    if (server->stats.connections_open >= server->config.connections_max)
        server_pause(server);
    return connection->bev;
}

void connection_adopt(struct connection *connection)
{
    struct http_server *server = connection->server;
    void *evcon;
    int on = 1;
    TAILQ_REMOVE(&server->fresh, connection, pending);
    connection->on_fresh = false;
    bufferevent_getcb(connection->bev, NULL, NULL, &connection->evhttp_event, &evcon);
    connection->evcon = evcon;
    ASSERT(evhttp_connection_get_bufferevent(connection->evcon) == connection->bev);
    evhttp_connection_set_closecb(connection->evcon, connection_gone, connection);
    connection->fd = bufferevent_getfd(connection->bev);
    ASSERT(connection->fd >= 0);
    /* Best effort: an answer that is late is still an answer. */
    (void)setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if ((size_t)connection->fd >= server->by_fd_size) {
        size_t size = (size_t)connection->fd * 2 + 64;
        server->by_fd = memory_grow(server->by_fd, size, sizeof *server->by_fd);
        for (size_t i = server->by_fd_size; i < size; i++)
            server->by_fd[i] = NULL;
        server->by_fd_size = size;
    }
    server->by_fd[connection->fd] = connection;
}

/* evhttp is about to free the connection, whoever closed it. */
void connection_gone(struct evhttp_connection *evcon, void *arg)
{
    struct connection *connection = arg;
    struct http_server *server = connection->server;
    struct http_stream *stream = connection->stream;
    (void)evcon;
    evbuffer_remove_cb_entry(bufferevent_get_input(connection->bev), connection->input_watch);
    room_release(connection);
    if (connection->request != NULL)
        connection->request->connection = NULL;
    if (connection->fd >= 0)
        server->by_fd[connection->fd] = NULL;
    if (connection->on_fresh)
        TAILQ_REMOVE(&server->fresh, connection, pending);
    if (connection->on_leaving)
        TAILQ_REMOVE(&server->leaving, connection, pending);
    TAILQ_REMOVE(&server->connections, connection, entry);
    server->stats.connections_open--;
    server_resume(server);
    free(connection->partial);
    free(connection);
    if (stream != NULL)
        stream_lost(stream);
}

/* The answer to the current request has left; evhttp turns to the next. */
void connection_answered(struct evhttp_request *ev, void *arg)
{
    struct connection *connection = arg;
    (void)ev;
    room_release(connection);
    if (connection->wide)
        connection_watch_size(connection, 0);
    if (connection->head.close || connection->server->stopping) {
        connection_leave(connection);
        return;
    }
    connection_set_phase(connection, PHASE_IDLE);
    size_t ahead = evbuffer_get_length(bufferevent_get_input(connection->bev));
    if (ahead > 0)
        connection_gate(connection, ahead);
}

void connection_set_phase(struct connection *connection, enum phase phase)
{
    connection->phase = phase;
    connection->since_ms = connection->server->now_ms;
}

/* Lets the input grow to a head and a body of this size, and little more. */
void connection_watch_size(struct connection *connection, uint64_t body_size)
{
    size_t high = connection->server->config.headers_max + INPUT_SLACK + (size_t)body_size;
    connection->wide = body_size > 0;
    bufferevent_setwatermark(connection->bev, EV_READ, 0, high);
}

/* ---- the gate */

static void drop_input(struct connection *connection)
{
    struct evbuffer *input = bufferevent_get_input(connection->bev);
    connection->editing = true;
    evbuffer_drain(input, evbuffer_get_length(input));
    connection->editing = false;
}

static void give_back(struct connection *connection, size_t size)
{
    connection->editing = true;
    if (evbuffer_prepend(bufferevent_get_input(connection->bev), connection->partial, size) != 0)
        panic(EXIT_STATUS_IO, "out of memory");
    connection->editing = false;
    free(connection->partial);
    connection->partial = NULL;
    connection->partial_size = 0;
}

static void hide_input(struct connection *connection)
{
    struct evbuffer *input = bufferevent_get_input(connection->bev);
    size_t size = evbuffer_get_length(input);
    connection->partial = memory_grow(connection->partial, connection->partial_size + size, 1);
    connection->editing = true;
    if (evbuffer_remove(input, connection->partial + connection->partial_size, size) != (int)size)
        panic(EXIT_STATUS_BUG, "an evbuffer holds less than it says");
    connection->editing = false;
    connection->partial_size += size;
}

/* Counts what has come of a body, once it is no longer small. */
static bool count_body(struct connection *connection, size_t added)
{
    struct refusal refusal;
    connection->body_size += added;
    if (connection->body_size <= HELD_SMALL)
        return true;
    size_t more = (size_t)connection->body_size - connection->held;
    if (room_for_bytes(connection, more)) {
        room_hold(connection, more);
        return true;
    }
    refusal_set(&refusal, 429, "overloaded",
                "large bodies and answers under way take all of their %zu bytes",
                connection->server->config.held_max);
    connection_refuse(connection, &refusal);
    return false;
}

/* The last `added` bytes of the input belong to a body. */
static void gate_body(struct connection *connection, size_t added)
{
    struct evbuffer *input = bufferevent_get_input(connection->bev);
    struct refusal refusal;
    if (!count_body(connection, added))
        return;
    if (!connection->head.chunked) {
        connection->body_left -= added < connection->body_left ? added : connection->body_left;
        if (connection->body_left == 0)
            connection_set_phase(connection, PHASE_HANDLING);
        return;
    }
    struct evbuffer_ptr at;
    size_t length = evbuffer_get_length(input);
    if (evbuffer_ptr_set(input, &at, length - added, EVBUFFER_PTR_SET) != 0)
        panic(EXIT_STATUS_BUG, "an evbuffer holds less than it says");
    struct evbuffer_iovec parts[64];
    while (added > 0) {
        int n = evbuffer_peek(input, (ev_ssize_t)added, &at, parts, 64);
        size_t looked = 0;
        for (int i = 0; i < n && i < 64; i++) {
            size_t size = parts[i].iov_len < added - looked ? parts[i].iov_len : added - looked;
            size_t used;
            enum scan scan = chunk_scan(&connection->chunks, parts[i].iov_base, size,
                                        connection->server->config.body_max, &used, &refusal);
            if (scan == SCAN_REFUSED) {
                connection_refuse(connection, &refusal);
                return;
            }
            if (scan == SCAN_END) {
                connection_set_phase(connection, PHASE_HANDLING);
                return;
            }
            looked += size;
        }
        added -= looked;
        if (added > 0 && evbuffer_ptr_set(input, &at, looked, EVBUFFER_PTR_ADD) != 0)
            panic(EXIT_STATUS_BUG, "an evbuffer holds less than it says");
    }
}

/* A head has passed; `size` of it, and perhaps more, is at the front of the input. */
static void head_passed(struct connection *connection, size_t size)
{
    struct evbuffer *input = bufferevent_get_input(connection->bev);
    struct head *head = &connection->head;
    size_t rest = evbuffer_get_length(input) - size;
    if (!head->has_body) {
        connection_set_phase(connection, PHASE_HANDLING);
        return;
    }
    /* A body where none belongs: answered, but nothing after it can be trusted. */
    if (head->method == HTTP_GET || head->method == HTTP_HEAD || head->method == HTTP_OTHER)
        head->close = true;
    if (head->body_unread) {
        /* evhttp would read the body as the next request. */
        if (rest > 0) {
            hide_input(connection);
            give_back(connection, size);
        }
        connection_set_phase(connection, PHASE_HANDLING);
        return;
    }
    connection->chunks = (struct chunk_scanner){ 0 };
    connection->body_left = head->content_length;
    connection->body_size = 0;
    connection_watch_size(connection, head->chunked
                                          ? connection->server->config.body_max + CHUNK_SLACK
                                          : head->content_length);
    connection_set_phase(connection, PHASE_BODY);
    if (rest > 0)
        gate_body(connection, rest);
}

static void gate_head(struct connection *connection)
{
    struct evbuffer *input = bufferevent_get_input(connection->bev);
    const struct http_config *config = &connection->server->config;
    struct refusal refusal;
    size_t end = 0, seen = connection->partial_size;
    bool hidden = seen > 0;
    if (hidden)
        hide_input(connection);
    size_t size = hidden ? connection->partial_size : evbuffer_get_length(input);
    const unsigned char *data = hidden ? connection->partial : evbuffer_pullup(input, -1);
    switch (head_scan(data, size, seen, config->headers_max, &end, &refusal)) {
    case SCAN_MORE:
        if (!hidden)
            hide_input(connection);
        if (connection->phase == PHASE_IDLE)
            connection_set_phase(connection, PHASE_HEAD);
        return;
    case SCAN_REFUSED:
        connection_refuse(connection, &refusal);
        return;
    case SCAN_END:
        break;
    }
    if (!head_parse(data, end, config->body_max, &connection->head, &refusal)) {
        connection_refuse(connection, &refusal);
        return;
    }
    if (hidden)
        give_back(connection, size);
    head_passed(connection, end);
}

void connection_gate(struct connection *connection, size_t added)
{
    switch (connection->phase) {
    case PHASE_IDLE:
    case PHASE_HEAD:
        gate_head(connection);
        break;
    case PHASE_BODY:
        gate_body(connection, added);
        break;
    case PHASE_HANDLING:
    case PHASE_WRITING:
        break; /* sent ahead: looked at when its turn comes */
    case PHASE_LEAVING:
        drop_input(connection);
        break;
    }
}

/* ---- the end of a connection */

void connection_refuse(struct connection *connection, const struct refusal *refusal)
{
    connection->server->stats.guard_rejections++;
    reply_refusal(connection, refusal);
    connection_leave(connection);
}

void connection_leave(struct connection *connection)
{
    struct http_server *server = connection->server;
    drop_input(connection);
    connection_set_phase(connection, PHASE_LEAVING);
    if (!connection->on_leaving) {
        connection->on_leaving = true;
        TAILQ_INSERT_TAIL(&server->leaving, connection, pending);
        event_active(server->leave, EV_TIMEOUT, 0);
    }
}

static void on_leaving_read(struct bufferevent *bev, void *arg)
{
    (void)bev;
    drop_input(arg);
}

static void on_leaving_written(struct bufferevent *bev, void *arg)
{
    struct connection *connection = arg;
    (void)bev;
    if (connection->deaf) {
        connection_cut(connection);
        return;
    }
    /* Closing now could reset the connection under the answer, if the client still sends. */
    if (!connection->shut)
        (void)shutdown(connection->fd, SHUT_WR);
    connection->shut = true;
}

static void on_leaving_event(struct bufferevent *bev, short what, void *arg)
{
    struct connection *connection = arg;
    bool last_words = evbuffer_get_length(bufferevent_get_output(bev)) > 0;
    if ((what & BEV_EVENT_EOF) != 0 && last_words) {
        /* It says no more, but may still listen. */
        connection->deaf = true;
        bufferevent_disable(bev, EV_READ);
        return;
    }
    connection_cut(connection);
}

void connection_take_over(struct connection *connection)
{
    struct evbuffer *output = bufferevent_get_output(connection->bev);
    TAILQ_REMOVE(&connection->server->leaving, connection, pending);
    connection->on_leaving = false;
    bufferevent_setcb(connection->bev, on_leaving_read, on_leaving_written, on_leaving_event,
                      connection);
    bufferevent_enable(connection->bev, EV_READ | EV_WRITE);
    if (evbuffer_get_length(output) == 0)
        on_leaving_written(connection->bev, connection);
}

void connection_cut(struct connection *connection)
{
    connection->evhttp_event(connection->bev, BEV_EVENT_EOF | BEV_EVENT_READING,
                             connection->evcon);
}
