/* server.c - the server as a whole: it listens, it stops, it goes away. */
#include "call.h"

#include <holdfast/limits.h>

#include <event2/event.h>
#include <stdlib.h>

enum {
    HEADERS_TIMEOUT_MS = 10 * 1000,
    BODY_TIMEOUT_MS = 30 * 1000,
    IDLE_TIMEOUT_MS = 120 * 1000,
    WRITE_TIMEOUT_MS = 30 * 1000,
    STILL_MS = 1000,
};

static void on_request(void *arg, struct http_request *request)
{
    call_begin(arg, request);
}

static size_t on_guard_error(void *arg, int status, const char *code, const char *message,
                             char *out, size_t size)
{
    (void)arg;
    (void)status;
    return reply_error_body(code, message, out, size);
}

static size_t on_guard_headers(void *arg, struct http_header *out, size_t max)
{
    struct server *server = arg;

    server->guard_headers.n = 0;
    reply_common_headers(server, &server->guard_headers);
    size_t n = server->guard_headers.n < max ? server->guard_headers.n : max;
    memcpy(out, server->guard_headers.at, n * sizeof *out);
    return n;
}

enum err server_new(struct event_base *base, const struct server_config *config, struct node *node,
                    struct server **out, char *message)
{
    struct server *server = memory_new(sizeof *server);
    struct http_config http = {
        .address = config->http_addr,
        .headers_max = REQUEST_HEADERS_MAX,
        .body_max = REQUEST_BODY_MAX,
        .connections_max = config->connections_max,
        .still_ms = STILL_MS,
        .held_max = HTTP_HELD_MAX,
        .headers_timeout_ms = HEADERS_TIMEOUT_MS,
        .body_timeout_ms = BODY_TIMEOUT_MS,
        .idle_timeout_ms = IDLE_TIMEOUT_MS,
        .write_timeout_ms = WRITE_TIMEOUT_MS,
        .priority = event_base_get_npriorities(base) - 1, /* peers come first */
    };

    server->config = *config;
    server->node = node;
    server->defaults.timeout_ms = config->default_timeout_ms;
    server->defaults.timeout_max_ms = config->max_timeout_ms;
    server->defaults.redirect = config->redirect;
    server->started_ms = config->now_ms(config->arg);
    server->ops = memory_new_array(BATCH_OPS_MAX, sizeof *server->ops);
    TAILQ_INIT(&server->calls);
    enum err err =
        http_server_new(base, &http, on_request, on_guard_error, server, &server->http, message);
    if (err != OK) {
        free(server->ops);
        free(server);
        return err;
    }
    http_server_set_error_headers(server->http, on_guard_headers);
    *out = server;
    return OK;
}

void server_handle(void *server, struct http_request *request)
{
    char body[1024];
    bool joins = http_request_method(request) == HTTP_POST &&
                 slice_equal(http_request_path(request), slice_text("/cluster/members"));
    if (joins) {
        call_begin(server, request);
        return;
    }
    if (http_request_method(request) == HTTP_GET &&
        slice_equal(http_request_path(request), slice_text("/raft/whois"))) {
        whois_get(server, request);
        return;
    }
    size_t size = reply_error_body("no_route", "this port is for the nodes of the cluster", body,
                                   sizeof body);
    http_reply(request, 404, "application/json", NULL, 0, slice_of(body, size));
}

uint16_t server_port(const struct server *server)
{
    return http_server_port(server->http);
}

void server_stop(struct server *server)
{
    server->stopping = true;
    snapshot_cut(server);
    http_server_stop(server->http);
}

bool server_idle(const struct server *server)
{
    return server->n_calls == 0;
}

void server_free(struct server *server)
{
    struct call *call;

    if (server == NULL)
        return;
    server->stopping = true;
    snapshot_cut(server);
    while ((call = TAILQ_FIRST(&server->calls)) != NULL)
        call_abandon(call);
    http_server_free(server->http);
    free(server->ops);
    free(server);
}
