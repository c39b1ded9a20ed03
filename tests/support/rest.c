/* rest.c - the server and its client, taking turns in one thread. */
#include "rest.h"

#include <holdfast/clock.h>
#include <holdfast/panic.h>

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

enum { PATIENCE_MS = 10 * 1000 };

static uint64_t now_ms(void *arg)
{
    (void)arg;
    return clock_monotonic_ms();
}

static uint64_t now_us(void *arg)
{
    (void)arg;
    return clock_monotonic_us();
}

static struct rest_answer last;

static void forget_last(void)
{
    free(last.head);
    free(last.body);
    cJSON_Delete(last.json);
    memset(&last, 0, sizeof last);
}

void rest_init(struct rest *rest, const struct rest_backend *backend,
               void (*change)(struct server_config *config))
{
    char message[HTTP_MESSAGE_MAX];

    memset(rest, 0, sizeof *rest);
    rest->fd = -1;
    rest->backend = *backend;
    rest->base = event_base_new();
    ck_assert(event_base_priority_init(rest->base, 2) == 0);
    rest->config = (struct server_config) {
        .http_addr = "127.0.0.1:0",
        .default_timeout_ms = 5000,
        .max_timeout_ms = 60000,
        .connections_max = 100,
        .now_ms = now_ms,
        .now_us = now_us,
        .storage = "memory",
        .lmdb_version = "0.9.24",
    };
    if (change != NULL)
        change(&rest->config);
    enum err err = server_new(rest->base, &rest->config, backend->node, &rest->server, message);
    ck_assert_msg(err == OK, "%s", message);
}

void rest_fini(struct rest *rest)
{
    if (rest->fd >= 0)
        close(rest->fd);
    server_free(rest->server);
    event_base_free(rest->base);
    forget_last();
}

void rest_turn(struct rest *rest)
{
    if (rest->backend.turn != NULL)
        rest->backend.turn(rest->backend.arg);
    event_base_loop(rest->base, EVLOOP_NONBLOCK);
}

void rest_until(struct rest *rest, bool (*condition)(void *arg), void *arg)
{
    uint64_t until = clock_monotonic_ms() + PATIENCE_MS;
    while (!condition(arg)) {
        ck_assert_msg(clock_monotonic_ms() < until, "waited too long");
        rest_turn(rest);
        poll(NULL, 0, 1);
    }
}

/* ---- bytes to and fro */

static int connect_to(const struct rest *rest)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons(server_port(rest->server)) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    ck_assert_int_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    ck_assert_int_eq(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int) { 1 }, sizeof(int)), 0);
    return fd;
}

static void wait_a_little(struct rest *rest, int fd, short events)
{
    struct pollfd poll_fd = { .fd = fd, .events = events };
    rest_turn(rest);
    poll(&poll_fd, 1, 1);
}

static void send_all(struct rest *rest, int fd, struct slice bytes)
{
    uint64_t until = clock_monotonic_ms() + PATIENCE_MS;
    const char *from = bytes.data;
    while (bytes.size > 0) {
        ssize_t n = send(fd, from, bytes.size, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN)
            return; /* refused halfway: the answer says why */
        if (n > 0) {
            from += n;
            bytes.size -= (size_t)n;
        }
        ck_assert_msg(clock_monotonic_ms() < until, "the server takes no more bytes");
        wait_a_little(rest, fd, POLLOUT | POLLIN);
    }
}

/* Complete by Content-Length, or (without one) with the headers.  False: not yet. */
static bool complete(const char *bytes, size_t size, bool head_only, size_t *head_size)
{
    const char *end = memmem(bytes, size, "\r\n\r\n", 4);
    if (end == NULL)
        return false;
    *head_size = (size_t)(end - bytes) + 4;
    const char *length = strcasestr(bytes, "\r\nContent-Length: ");
    if (head_only || length == NULL || length > end)
        return true;
    return size - *head_size >= strtoul(length + 18, NULL, 10);
}

static const struct rest_answer *receive(struct rest *rest, int fd, bool head_only)
{
    uint64_t until = clock_monotonic_ms() + PATIENCE_MS;
    size_t size = 0, capacity = 64 * 1024, head_size = 0;
    char *bytes = malloc(capacity + 1);

    bytes[0] = '\0';
    while (!complete(bytes, size, head_only, &head_size)) {
        if (capacity - size < 4096)
            bytes = realloc(bytes, (capacity *= 2) + 1);
        ssize_t n = recv(fd, bytes + size, capacity - size, 0);
        ck_assert_msg(n != 0, "the connection was closed after: %s", bytes);
        ck_assert_msg(n > 0 || errno == EAGAIN, "%s", strerror(errno));
        if (n > 0)
            size += (size_t)n;
        bytes[size] = '\0';
        ck_assert_msg(clock_monotonic_ms() < until, "no answer came; so far: %s", bytes);
        if (n < 0)
            wait_a_little(rest, fd, POLLIN);
    }
    forget_last();
    last.status = atoi(bytes + 9);
    last.body_size = size - head_size;
    last.body = malloc(last.body_size + 1);
    memcpy(last.body, bytes + head_size, last.body_size);
    last.body[last.body_size] = '\0';
    bytes[head_size] = '\0';
    last.head = bytes;
    last.json = cJSON_ParseWithLength(last.body, last.body_size);
    return &last;
}

static bool head_only;

void rest_begin(struct rest *rest, const char *method, const char *target, const char *headers,
                struct slice body)
{
    char length[64] = "";
    char *head;

    if (rest->fd < 0)
        rest->fd = connect_to(rest);
    if (body.data != NULL)
        snprintf(length, sizeof length, "Content-Length: %zu\r\n", body.size);
    int size = asprintf(&head, "%s %s HTTP/1.1\r\nHost: localhost\r\n%s%s\r\n", method, target,
                        headers != NULL ? headers : "", length);
    ck_assert_int_gt(size, 0);
    send_all(rest, rest->fd, slice_of(head, (size_t)size));
    send_all(rest, rest->fd, body);
    free(head);
    head_only = strcmp(method, "HEAD") == 0;
}

const struct rest_answer *rest_end(struct rest *rest)
{
    const struct rest_answer *answer = receive(rest, rest->fd, head_only);
    if (strcasecmp(rest_header(answer, "Connection"), "close") == 0) {
        close(rest->fd);
        rest->fd = -1;
    }
    return answer;
}

const struct rest_answer *rest_ask(struct rest *rest, const char *method, const char *target,
                                   const char *headers, struct slice body)
{
    rest_begin(rest, method, target, headers, body);
    return rest_end(rest);
}

const struct rest_answer *rest_get(struct rest *rest, const char *target)
{
    return rest_ask(rest, "GET", target, NULL, slice_of(NULL, 0));
}

const struct rest_answer *rest_delete(struct rest *rest, const char *target)
{
    return rest_ask(rest, "DELETE", target, NULL, slice_of(NULL, 0));
}

/* As curl sends it. */
static const char form[] = "Content-Type: application/x-www-form-urlencoded\r\n";

const struct rest_answer *rest_put(struct rest *rest, const char *target, const char *body)
{
    return rest_ask(rest, "PUT", target, form, slice_text(body));
}

const struct rest_answer *rest_post(struct rest *rest, const char *target, const char *body)
{
    return rest_ask(rest, "POST", target, form, slice_text(body));
}

const struct rest_answer *rest_raw(struct rest *rest, struct slice bytes)
{
    int fd = connect_to(rest);
    send_all(rest, fd, bytes);
    const struct rest_answer *answer = receive(rest, fd, false);
    close(fd);
    return answer;
}

/* ---- what came */

const char *rest_header(const struct rest_answer *answer, const char *name)
{
    static char value[16 * 1024];
    size_t length = strlen(name);

    for (const char *line = strstr(answer->head, "\r\n"); line != NULL;
         line = strstr(line, "\r\n")) {
        line += 2;
        if (strncasecmp(line, name, length) != 0 || line[length] != ':')
            continue;
        line += length + 1 + strspn(line + length + 1, " ");
        snprintf(value, sizeof value, "%.*s", (int)strcspn(line, "\r"), line);
        return value;
    }
    return "";
}

void rest_expect(const struct rest_answer *answer, int status)
{
    ck_assert_msg(answer->status == status, "expected %d, got %s%.400s", status, answer->head,
                  answer->body);
}

void rest_expect_body(const struct rest_answer *answer, int status, const char *body)
{
    size_t size = strlen(body);
    bool same = strncmp(answer->body, body, size) == 0;
    bool json = strcmp(rest_header(answer, "Content-Type"), "application/json") == 0;

    rest_expect(answer, status);
    ck_assert_msg(same && strcmp(answer->body + size, json ? "\n" : "") == 0, "expected %s\ngot %s",
                  body, answer->body);
}

const cJSON *rest_member(const struct rest_answer *answer, const char *name)
{
    const cJSON *node = cJSON_GetObjectItemCaseSensitive(answer->json, name);
    ck_assert_msg(node != NULL, "there is no %s in %s", name, answer->body);
    return node;
}

double rest_number(const struct rest_answer *answer, const char *name)
{
    const cJSON *node = rest_member(answer, name);
    ck_assert_msg(cJSON_IsNumber(node), "%s is no number in %s", name, answer->body);
    return node->valuedouble;
}

const char *rest_text(const struct rest_answer *answer, const char *name)
{
    const char *text = cJSON_GetStringValue(rest_member(answer, name));
    ck_assert_msg(text != NULL, "%s is no text in %s", name, answer->body);
    return text;
}

static void expect_words(const cJSON *node, const char *words, const struct rest_answer *answer)
{
    const char *text = cJSON_GetStringValue(node);
    ck_assert_msg(text != NULL && (words != NULL ? strstr(text, words) != NULL : text[0] != '\0'),
                  "expected \"%s\" in the %s of %s", words != NULL ? words : "something",
                  node->string, answer->body);
}

void rest_expect_error(const struct rest_answer *answer, int status, const char *code,
                       const char *outcome, const char *message, const char *hint)
{
    static const char *const names[] = { "code", "message", "hint", "retryable", "outcome" };

    rest_expect(answer, status);
    const cJSON *error = rest_member(answer, "error"), *node = error->child;
    ck_assert_str_eq(rest_header(answer, "Content-Type"), "application/json");
    for (size_t i = 0; i < 5; i++, node = node->next)
        ck_assert_msg(node != NULL && strcmp(node->string, names[i]) == 0,
                      "no \"%s\" at its place: %s", names[i], answer->body);
    ck_assert_str_eq(cJSON_GetObjectItem(error, "code")->valuestring, code);
    ck_assert_str_eq(cJSON_GetObjectItem(error, "outcome")->valuestring, outcome);
    expect_words(cJSON_GetObjectItem(error, "message"), message, answer);
    expect_words(cJSON_GetObjectItem(error, "hint"), hint, answer);
    ck_assert(cJSON_IsBool(cJSON_GetObjectItem(error, "retryable")));
}
