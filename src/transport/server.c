/* server.c - the HTTP server: listening, accepting within bounds, handing requests out. */
#include "http_internal.h"

#include "address.h"

#include <holdfast/log.h>
#include <holdfast/panic.h>

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* A listener's error callback gets evhttp's pointer, not ours: look the server up. */
static struct http_server *servers;

/* evhttp warns on standard error of what any client can cause. */
static void on_libevent_log(int severity, const char *message)
{
    if (severity == EVENT_LOG_ERR)
        log_error("libevent failed", "message=\"%s\"", message);
    else
        log_debug("libevent", "message=\"%s\"", message);
}

/* ---- accepting */

static void disable(struct http_server *server)
{
    server->paused = true;
    for (unsigned i = 0; i < server->n_sockets; i++)
        evconnlistener_disable(evhttp_bound_socket_get_listener(server->sockets[i]));
}

void server_pause(struct http_server *server)
{
    if (server->paused || server->stopping)
        return;
    server->stats.connections_refused++;
    disable(server);
}

void server_hold(struct http_server *server)
{
    server->held_off = true;
    disable(server);
}

void server_unhold(struct http_server *server)
{
    server->held_off = false;
    server_resume(server);
}

void server_resume(struct http_server *server)
{
    if (!server->paused || server->stopping || server->held_off ||
        server->stats.connections_open >= server->config.connections_max)
        return;
    server->paused = false;
    for (unsigned i = 0; i < server->n_sockets; i++)
        evconnlistener_enable(evhttp_bound_socket_get_listener(server->sockets[i]));
}

static void on_accept_error(struct evconnlistener *listener, void *evhttp)
{
    struct http_server *server = servers;
    int error = EVUTIL_SOCKET_ERROR();
    (void)listener;
    while (server != NULL && server->evhttp != evhttp)
        server = server->next;
    ASSERT(server != NULL);
    /* Out of descriptors, mostly: it would fail again at once, and spin.  The next sweep, or
     * the next connection that ends, accepts again. */
    log_warn("accepting paused", "error=\"%s\" open=%llu", strerror(error),
             (unsigned long long)server->stats.connections_open);
    server_pause(server);
    server->starved = true;
    event_active(server->adopt, EV_TIMEOUT, 0);
}

static void on_adopt(evutil_socket_t fd, short what, void *arg)
{
    struct http_server *server = arg;
    (void)fd;
    (void)what;
    while (!TAILQ_EMPTY(&server->fresh))
        connection_adopt(TAILQ_FIRST(&server->fresh));
    if (server->starved || server->stats.connections_open >= server->config.connections_max)
        room_for_connections(server);
    server->starved = false;
}

static void on_leave(evutil_socket_t fd, short what, void *arg)
{
    struct http_server *server = arg;
    (void)fd;
    (void)what;
    while (!TAILQ_EMPTY(&server->leaving))
        connection_take_over(TAILQ_FIRST(&server->leaving));
}

/* ---- dispatch */

static struct connection *connection_of(const struct http_server *server, struct evhttp_request *ev)
{
    struct evhttp_connection *evcon = evhttp_request_get_connection(ev);
    int fd = bufferevent_getfd(evhttp_connection_get_bufferevent(evcon));
    ASSERT(fd >= 0 && (size_t)fd < server->by_fd_size && server->by_fd[fd] != NULL);
    ASSERT(server->by_fd[fd]->evcon == evcon);
    return server->by_fd[fd];
}

static void on_request(struct evhttp_request *ev, void *arg)
{
    struct http_server *server = arg;
    struct connection *connection = connection_of(server, ev);
    struct refusal refusal;
    ASSERT(connection->phase == PHASE_HANDLING && connection->request == NULL);
    struct http_request *request = request_new(connection, ev, &refusal);
    if (refusal.status != 0) {
        reply_refused_request(request, &refusal);
        return;
    }
    server->stats.requests++;
    server->handler(server->arg, request);
}

/* ---- birth and death */

static struct event *new_event(struct http_server *server, event_callback_fn callback)
{
    struct event *event = event_new(server->base, -1, EV_PERSIST, callback, server);
    if (event == NULL)
        panic(EXIT_STATUS_IO, "out of memory");
    /* The highest: adoption must come before any event of the adopted. */
    event_priority_set(event, 0);
    return event;
}

static void start_listening(struct http_server *server, const struct listeners *listeners)
{
    for (unsigned i = 0; i < listeners->n; i++) {
        server->sockets[i] = evhttp_accept_socket_with_handle(server->evhttp, listeners->fds[i]);
        if (server->sockets[i] == NULL)
            panic(EXIT_STATUS_IO, "out of memory");
        evconnlistener_set_error_cb(evhttp_bound_socket_get_listener(server->sockets[i]),
                                    on_accept_error);
    }
    server->n_sockets = listeners->n;
    server->port = listeners->port;
}

/* Our limits come first; evhttp's stand a little above them, should ours ever miss. */
static void set_up_evhttp(struct http_server *server)
{
    server->evhttp = evhttp_new(server->base);
    if (server->evhttp == NULL)
        panic(EXIT_STATUS_IO, "out of memory");
    evhttp_set_max_headers_size(server->evhttp, (ev_ssize_t)server->config.headers_max + 1024);
    evhttp_set_max_body_size(server->evhttp, (ev_ssize_t)server->config.body_max + 1024);
    evhttp_set_allowed_methods(server->evhttp, UINT16_MAX); /* the handler answers 405 */
    evhttp_set_bevcb(server->evhttp, connection_new, server);
    evhttp_set_gencb(server->evhttp, on_request, server);
}

enum err http_server_new(struct event_base *base, const struct http_config *config,
                         http_handler_fn *handler, http_error_body_fn *error_body, void *arg,
                         struct http_server **out, char *message)
{
    struct listeners listeners;
    if (address_listen(config->address, &listeners, message) != OK)
        return ERR_IO;
    event_set_log_callback(on_libevent_log);

    struct http_server *server = memory_new(sizeof *server);
    int priorities = event_base_get_npriorities(base);
    server->base = base;
    server->config = *config;
    server->config.address = NULL;
    server->priority = config->priority < priorities ? config->priority : priorities - 1;
    server->handler = handler;
    server->error_body = error_body;
    server->arg = arg;
    TAILQ_INIT(&server->connections);
    TAILQ_INIT(&server->fresh);
    TAILQ_INIT(&server->leaving);
    server->adopt = new_event(server, on_adopt);
    server->leave = new_event(server, on_leave);
    server->sweep = new_event(server, sweep);
    sweep_tick(server);
    set_up_evhttp(server);
    start_listening(server, &listeners);
    uint32_t interval_ms = sweep_interval_ms(config);
    struct timeval interval = { interval_ms / 1000, interval_ms % 1000 * 1000 };
    event_add(server->sweep, &interval);
    server->next = servers;
    servers = server;
    *out = server;
    return OK;
}

void http_server_set_error_headers(struct http_server *server, http_error_headers_fn *headers)
{
    server->error_headers = headers;
}

uint16_t http_server_port(const struct http_server *server)
{
    return server->port;
}

void http_server_stop(struct http_server *server)
{
    struct connection *next;
    if (server->stopping)
        return;
    on_adopt(-1, 0, server);
    server->stopping = true;
    for (unsigned i = 0; i < server->n_sockets; i++)
        evhttp_del_accept_socket(server->evhttp, server->sockets[i]);
    server->n_sockets = 0;
    for (struct connection *c = TAILQ_FIRST(&server->connections); c != NULL; c = next) {
        next = TAILQ_NEXT(c, entry);
        if (c->phase == PHASE_IDLE)
            connection_cut(c);
    }
}

uint32_t http_server_pending(const struct http_server *server)
{
    return server->pending;
}

void http_server_free(struct http_server *server)
{
    if (server == NULL)
        return;
    http_server_stop(server);
    struct connection *connection;
    TAILQ_FOREACH(connection, &server->connections, entry) {
        struct http_request *request = connection->request;
        if (request == NULL)
            continue;
        /* evhttp frees its half with the connection; ours waits for its http_reply. */
        request->server = NULL;
        request->ev = NULL;
        request->target = slice_of(NULL, 0);
    }
    evhttp_free(server->evhttp);
    ASSERT(TAILQ_EMPTY(&server->connections));
    event_free(server->adopt);
    event_free(server->leave);
    event_free(server->sweep);
    struct http_server **link = &servers;
    while (*link != server)
        link = &(*link)->next;
    *link = server->next;
    free(server->by_fd);
    free(server);
}

void http_server_stats(const struct http_server *server, struct http_stats *out)
{
    *out = server->stats;
}
