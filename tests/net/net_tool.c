/* net_tool.c - sockets and a loop for tests. */
#include "net_tool.h"

#include <holdfast/clock.h>

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct event_base *tool_base_new(void)
{
    signal(SIGPIPE, SIG_IGN);
    struct event_base *base = event_base_new();
    ck_assert_ptr_nonnull(base);
    ck_assert_int_eq(event_base_priority_init(base, 3), 0);
    return base;
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg;
}

bool tool_wait(struct event_base *base, tool_condition *condition, void *arg, uint64_t limit_ms)
{
    struct event *tick = event_new(base, -1, EV_PERSIST, on_tick, NULL);
    struct timeval interval = { 0, 2000 };
    uint64_t start = clock_monotonic_ms();
    bool met;
    event_add(tick, &interval);
    while (!(met = condition(arg)) && clock_monotonic_ms() - start < limit_ms)
        event_base_loop(base, EVLOOP_ONCE);
    event_free(tick);
    return met;
}

static bool never(void *arg)
{
    (void)arg;
    return false;
}

void tool_turn(struct event_base *base, uint64_t ms)
{
    (void)tool_wait(base, never, NULL, ms);
}

static struct sockaddr_in loopback(uint16_t port)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

int tool_connect(uint16_t port)
{
    struct sockaddr_in address = loopback(port);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    evutil_make_socket_nonblocking(fd);
    return fd;
}

int tool_listen(uint16_t *port)
{
    struct sockaddr_in address = loopback(0);
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq(listen(fd, 16), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    *port = ntohs(address.sin_port);
    return fd;
}

bool tool_send(struct event_base *base, int fd, const void *data, size_t size)
{
    const char *at = data;
    uint64_t start = clock_monotonic_ms();
    while (size > 0) {
        ssize_t sent = send(fd, at, size, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN)
            return false;
        if (sent < 0) {
            if (clock_monotonic_ms() - start > 20000)
                return false;
            tool_turn(base, 2);
            continue;
        }
        at += sent;
        size -= (size_t)sent;
    }
    return true;
}

bool tool_send_text(struct event_base *base, int fd, const char *text)
{
    return tool_send(base, fd, text, strlen(text));
}

struct reading {
    int fd;
    char *out;
    size_t size, n;
    const char *until;
    bool closed;
};

static bool enough(void *arg)
{
    struct reading *reading = arg;
    for (;;) {
        if (reading->n == reading->size - 1)
            return true;
        ssize_t got =
            recv(reading->fd, reading->out + reading->n, reading->size - 1 - reading->n, 0);
        if (got < 0 && errno == EAGAIN)
            break;
        if (got <= 0) {
            reading->closed = true;
            return true;
        }
        reading->n += (size_t)got;
    }
    reading->out[reading->n] = '\0';
    return reading->until != NULL && strstr(reading->out, reading->until) != NULL;
}

size_t tool_read(struct event_base *base, int fd, char *out, size_t size, const char *until,
                 uint64_t limit_ms, bool *closed)
{
    struct reading reading = { .fd = fd, .out = out, .size = size, .until = until };
    (void)tool_wait(base, enough, &reading, limit_ms);
    out[reading.n] = '\0';
    if (closed != NULL)
        *closed = reading.closed;
    return reading.n;
}
