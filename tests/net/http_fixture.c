/* http_fixture.c - the server that the tests attack. */
#include "http_fixture.h"

#include <holdfast/log.h>

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct event_base *base;
struct http_server *server;
uint16_t port;
uint32_t n_handled, n_held;
char last_path[256], got[256 * 1024];
struct http_request *held[16];

/* ---- the server under test */

size_t fixture_error_body(void *arg, int status, const char *code, const char *message, char *out,
                         size_t size)
{
    (void)arg;
    int n = snprintf(out, size, "{\"status\":%d,\"code\":\"%s\",\"message\":\"%s\"}", status, code,
                     message);
    return n < (int)size ? (size_t)n : size - 1;
}

void reply(struct http_request *request, int status, struct slice body)
{
    http_reply(request, status, "text/plain", NULL, 0, body);
}

static void reply_query(struct http_request *request)
{
    struct slice value;
    char text[256];
    bool flag = http_request_query(request, "flag", &value);
    if (!http_request_query(request, "v", &value))
        value = slice_of("none", 4);
    int n = snprintf(text, sizeof text, "flag=%d v=%zu:", flag, value.size);
    memcpy(text + n, value.data, value.size);
    reply(request, 200, slice_of(text, (size_t)n + value.size));
}

/* What each path does stands in the tests. */
void fixture_handle(void *arg, struct http_request *request)
{
    struct slice path = http_request_path(request), body = http_request_body(request);
    (void)arg;
    n_handled++;
    snprintf(last_path, sizeof last_path, "%.*s", (int)path.size, (const char *)path.data);
    if (http_request_method(request) == HTTP_OTHER) {
        reply(request, 405, slice_text("other"));
    } else if (strcmp(last_path, "/hold") == 0) {
        held[n_held++] = request;
    } else if (strcmp(last_path, "/204") == 0) {
        reply(request, 204, slice_text("never sent"));
    } else if (strcmp(last_path, "/304") == 0) {
        reply(request, 304, slice_text("never sent"));
    } else if (strcmp(last_path, "/query") == 0) {
        reply_query(request);
    } else if (strcmp(last_path, "/trust") == 0) {
        http_request_trust(request);
        reply(request, 200, path);
    } else if (strcmp(last_path, "/big") == 0) {
        struct blob *blob = blob_new(BIG);
        memset(blob->data, 'b', blob->size);
        http_reply_blob(request, 200, "text/plain", NULL, 0, blob);
    } else if (body.size > 0) {
        struct blob *blob = blob_copy(body);
        http_reply_blob(request, 200, "text/plain", NULL, 0, blob);
    } else {
        reply(request, 200, path);
    }
}

static void open_server(size_t held_max, uint32_t patience)
{
    struct http_config config = { .address = "127.0.0.1:0",
                                  .headers_max = HEADERS_MAX,
                                  .body_max = BODY_MAX,
                                  .connections_max = CONNECTIONS,
                                  .still_ms = STILL_MS,
                                  .held_max = held_max,
                                  .headers_timeout_ms = HEADERS_MS,
                                  .body_timeout_ms = BODY_MS * patience,
                                  .idle_timeout_ms = IDLE_MS * patience,
                                  .write_timeout_ms = WRITE_MS * patience,
                                  .priority = 1 };
    char message[HTTP_MESSAGE_MAX];
    ck_assert_msg(http_server_new(base, &config, fixture_handle, fixture_error_body, NULL, &server, message) == OK,
                  "%s", message);
    port = http_server_port(server);
}

void fixture_setup(void)
{
    log_setup(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT, "test");
    base = tool_base_new();
    n_handled = n_held = 0;
    last_path[0] = '\0';
    open_server(HELD, 1);
}

void fixture_restart(size_t held_max)
{
    http_server_free(server);
    open_server(held_max, 20);
}

void fixture_teardown(void)
{
    http_server_free(server);
    event_base_free(base);
}

struct http_stats stats(void)
{
    struct http_stats stats;
    http_server_stats(server, &stats);
    return stats;
}

/* ---- helpers */

bool exchange(int fd, const void *data, size_t size, const char *until)
{
    bool closed = false;
    (void)tool_send(base, fd, data, size);
    tool_read(base, fd, got, sizeof got, until, WAIT_MS, &closed);
    return closed;
}

void check_status(const char *what, int status)
{
    char line[32];
    snprintf(line, sizeof line, "HTTP/1.1 %d ", status);
    ck_assert_msg(strncmp(got, line, strlen(line)) == 0, "%s: wanted %d, got '%.200s'", what,
                  status, got);
}

void check_refused(const void *data, size_t size, int status)
{
    uint32_t before = n_handled;
    int fd = tool_connect(port);
    bool closed = exchange(fd, data, size, NULL);
    check_status(data, status);
    ck_assert_msg(closed, "the connection stays open after %s", (const char *)data);
    ck_assert_ptr_nonnull(strstr(got, "\r\nConnection: close\r\n"));
    ck_assert_ptr_nonnull(strstr(got, "\r\nContent-Type: application/json\r\n"));
    ck_assert_ptr_nonnull(strstr(got, "\"message\":\""));
    ck_assert_ptr_null(strcasestr(got, "<html"));
    ck_assert_uint_eq(n_handled, before);
    close(fd);
}

void check_refused_text(const char *text, int status)
{
    check_refused(text, strlen(text), status);
}

void check_alive(void)
{
    int fd = tool_connect(port);
    exchange(fd, GET("/alive"), strlen(GET("/alive")), "/alive");
    check_status("after it", 200);
    close(fd);
}

uint32_t count_text(const char *needle)
{
    uint32_t n = 0;
    for (const char *at = got; (at = strstr(at, needle)) != NULL; at += strlen(needle))
        n++;
    return n;
}

static bool is_held(void *arg)
{
    return n_held >= *(uint32_t *)arg;
}

void wait_held(uint32_t n)
{
    ck_assert(tool_wait(base, is_held, &n, WAIT_MS));
}

static bool none_open(void *arg)
{
    return stats().connections_open == *(uint64_t *)arg;
}

void wait_open(uint64_t n)
{
    ck_assert_msg(tool_wait(base, none_open, &n, WAIT_MS), "%llu connections are open, not %llu",
                  (unsigned long long)stats().connections_open, (unsigned long long)n);
}
