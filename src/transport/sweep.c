/* sweep.c - deadlines, by one timer that looks at every connection.
 *
 * evhttp's timeouts are of inactivity only: one byte now and then outlives them.  Here each
 * phase has a deadline.  Times are kept to the interval of the sweep, an eighth of the shortest
 * deadline, so that a request costs no look at the clock and no timer of its own. */
#include "http_internal.h"

#include <holdfast/clock.h>

#include <stdio.h>

enum { INTERVAL_MIN_MS = 5, INTERVAL_MAX_MS = 500, LINGER_MS = 2000 };

uint32_t sweep_interval_ms(const struct http_config *config)
{
    const uint32_t timeouts[] = { config->headers_timeout_ms, config->body_timeout_ms,
                                  config->idle_timeout_ms, config->write_timeout_ms };
    uint32_t interval = INTERVAL_MAX_MS;
    for (size_t i = 0; i < sizeof timeouts / sizeof timeouts[0]; i++)
        if (timeouts[i] / 8 < interval)
            interval = timeouts[i] / 8;
    return interval > INTERVAL_MIN_MS ? interval : INTERVAL_MIN_MS;
}

void sweep_tick(struct http_server *server)
{
    server->now_ms = clock_monotonic_ms();
    evutil_date_rfc1123(server->date, sizeof server->date, NULL);
}

static void refuse_late(struct connection *connection, const char *what, uint32_t limit_ms)
{
    struct refusal refusal;
    refusal_set(&refusal, 408, "request_timeout", "%s did not come within %u ms", what, limit_ms);
    connection->server->stats.timeouts++;
    connection_refuse(connection, &refusal);
}

static void cut_late(struct connection *connection)
{
    connection->server->stats.timeouts++;
    connection_cut(connection);
}

/* A reader may be slow, but not still. */
static void look_at_output(struct connection *connection)
{
    struct http_server *server = connection->server;
    size_t left = evbuffer_get_length(bufferevent_get_output(connection->bev));
    bool waits_for_us = connection->stream != NULL && left == 0;
    if (left != connection->unwritten || waits_for_us) {
        connection->unwritten = left;
        connection->since_ms = server->now_ms;
    } else if (server->now_ms - connection->since_ms > server->config.write_timeout_ms) {
        cut_late(connection);
    }
}

static void look_at(struct connection *connection)
{
    const struct http_config *config = &connection->server->config;
    uint64_t passed = connection->server->now_ms - connection->since_ms;
    switch (connection->phase) {
    case PHASE_IDLE:
        if (passed > config->idle_timeout_ms)
            cut_late(connection);
        break;
    case PHASE_HEAD:
        if (passed > config->headers_timeout_ms)
            refuse_late(connection, "the headers", config->headers_timeout_ms);
        break;
    case PHASE_BODY:
        if (passed > config->body_timeout_ms)
            refuse_late(connection, "the body", config->body_timeout_ms);
        break;
    case PHASE_HANDLING:
        /* The handler has its own deadline.  Without a request evhttp and the gate differ in
         * what a whole request is; nobody else would ever close this connection. */
        if (connection->request == NULL && passed > config->headers_timeout_ms)
            cut_late(connection);
        break;
    case PHASE_WRITING:
        look_at_output(connection);
        break;
    case PHASE_LEAVING:
        if (passed > LINGER_MS)
            connection_cut(connection);
        break;
    }
}

void sweep(evutil_socket_t fd, short what, void *arg)
{
    struct http_server *server = arg;
    struct connection *next;
    (void)fd;
    (void)what;
    sweep_tick(server);
    for (struct connection *c = TAILQ_FIRST(&server->connections); c != NULL; c = next) {
        next = TAILQ_NEXT(c, entry);
        if (!c->on_fresh && !c->on_leaving)
            look_at(c);
    }
    room_sweep(server);
    if (server->paused && !server->held_off)
        room_for_connections(server);
    server_resume(server);
}
