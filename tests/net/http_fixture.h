/* http_fixture.h - one HTTP server under attack, and what its tests share. */
#ifndef TESTS_NET_HTTP_FIXTURE_H
#define TESTS_NET_HTTP_FIXTURE_H

#include "net_tool.h"

#include <holdfast/http.h>

#include <check.h>

enum {
    HEADERS_MAX = 4096,
    BODY_MAX = 1536 * 1024,
    CONNECTIONS = 6,
    HEADERS_MS = 300,
    BODY_MS = 400,
    IDLE_MS = 600,
    WRITE_MS = 300,
    STILL_MS = 300,
    WAIT_MS = 5000,
    BIG = 32 * 1024 * 1024,
    HELD = 40 * 1024 * 1024,
};

#define HOST "Host: a\r\n"
#define GET(path) "GET " path " HTTP/1.1\r\n" HOST "\r\n"
#define POST(path, size, body) \
    "POST " path " HTTP/1.1\r\n" HOST "Content-Length: " size "\r\n\r\n" body

extern struct event_base *base;
extern struct http_server *server;
extern uint16_t port;
extern uint32_t n_handled;             /* requests that the handler has seen */
extern char last_path[256];
extern struct http_request *held[16];  /* by /hold: to be answered by the test */
extern uint32_t n_held;
extern char got[256 * 1024];           /* what was read last */

void fixture_setup(void);
void fixture_restart(size_t held_max); /* with another bound, and more patience */
void fixture_teardown(void);
http_handler_fn fixture_handle;
http_error_body_fn fixture_error_body;
void reply(struct http_request *request, int status, struct slice body);
struct http_stats stats(void);

/* Sends, then reads until `until` or the end. True if the server closed the connection. */
bool exchange(int fd, const void *data, size_t size, const char *until);
void check_status(const char *what, int status);
/* The server refuses with JSON, closes, and the handler never sees it. */
void check_refused(const void *data, size_t size, int status);
void check_refused_text(const char *text, int status);
void check_alive(void);
uint32_t count_text(const char *needle);
void wait_held(uint32_t n);
void wait_open(uint64_t n);

#endif
