/* fuzz_http.c - bytes of a connection, into the real HTTP server: guard, evhttp and answers.
 *
 * Each input goes in twice, over two connections: at once, and in pieces.  The server must see the
 * same requests in it and answer the same, once for each, in order; it must end the connection
 * when the client does, and nothing may stay behind.  The first byte of an input chooses when the
 * handler answers, the second how the bytes are cut. */
#include "src/transport/guard.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/pipe.h"

#include <holdfast/log.h>

#include <event2/event.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    HEADERS_MAX = 1024,
    BODY_MAX = 2048,
    SEEN_MAX = 512,
    ANSWERS_MAX = 4 * 1024 * 1024,
    TURNS_MAX = 20000,
    QUIET_TURNS = 3,
    FOREVER_MS = 3600 * 1000,
};

static struct event_base *base;
static struct http_server *server;

/* ---- what the server saw and said */

struct story {
    uint32_t n_seen, n_answers;
    struct {
        enum http_method method;
        uint64_t what; /* of target and body */
    } seen[SEEN_MAX];
    int status[SEEN_MAX];
    size_t size;
    unsigned char *answers;
};

static struct story *telling;
static struct http_request *waiting;
static bool late;

static uint64_t hash(uint64_t h, struct slice bytes)
{
    const unsigned char *at = bytes.data;
    for (size_t i = 0; i < bytes.size; i++)
        h = (h ^ at[i]) * UINT64_C(0x100000001b3);
    return h + bytes.size;
}

static void answer(struct http_request *request)
{
    struct slice body = http_request_body(request);
    http_reply(request, 200, "text/plain", NULL, 0, body);
}

static void handle(void *arg, struct http_request *request)
{
    struct slice target = http_request_target(request), path = http_request_path(request);
    struct slice body = http_request_body(request);
    (void)arg;
    FUZZ_MUST(target.size > 0 && target.size <= TARGET_SIZE_MAX && body.size <= BODY_MAX);
    FUZZ_MUST(path.size > 0 && path.size <= target.size && *(const char *)path.data == '/');
    FUZZ_MUST(waiting == NULL && telling->n_seen < SEEN_MAX);
    telling->seen[telling->n_seen].method = http_request_method(request);
    telling->seen[telling->n_seen++].what = hash(hash(1, target), body);
    if (late)
        waiting = request;
    else
        answer(request);
}

static size_t error_body(void *arg, int status, const char *code, const char *message, char *out,
                         size_t size)
{
    (void)arg;
    int n = snprintf(out, size, "{\"status\":%d,\"code\":\"%s\",\"message\":\"%s\"}", status, code,
                     message);
    FUZZ_MUST(n > 0 && (size_t)n < size);
    return (size_t)n;
}

static void set_up(void)
{
    struct http_config config = { .address = "",
                                  .headers_max = HEADERS_MAX,
                                  .body_max = BODY_MAX,
                                  .connections_max = 8,
                                  .headers_timeout_ms = FOREVER_MS,
                                  .body_timeout_ms = FOREVER_MS,
                                  .idle_timeout_ms = FOREVER_MS,
                                  .write_timeout_ms = FOREVER_MS,
                                  .still_ms = FOREVER_MS,
                                  .held_max = 8 * BODY_MAX,
                                  .priority = 1 };
    char message[HTTP_MESSAGE_MAX];
    signal(SIGPIPE, SIG_IGN);
    log_setup(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT, "fuzz");
    base = event_base_new();
    FUZZ_MUST(base != NULL && event_base_priority_init(base, 3) == 0);
    FUZZ_MUST(http_server_new(base, &config, handle, error_body, NULL, &server, message) == OK);
}

/* ---- the client */

/* Turns the loop until nothing moves any more; false: the server has ended the connection. */
static bool settle(int fd, struct story *story)
{
    struct http_stats before, now;
    bool open = true;
    http_server_stats(server, &before);
    for (int quiet = 0, turns = 0; quiet < QUIET_TURNS; quiet++) {
        size_t size = story->size;
        FUZZ_MUST(turns++ < TURNS_MAX);
        event_base_loop(base, EVLOOP_NONBLOCK);
        open = pipe_read(fd, story->answers, &story->size, ANSWERS_MAX) && open;
        if (waiting != NULL && quiet > 0) {
            struct http_request *request = waiting;
            waiting = NULL;
            answer(request);
            quiet = -1;
        }
        http_server_stats(server, &now);
        if (memcmp(&before, &now, sizeof now) != 0 || story->size != size)
            quiet = -1;
        before = now;
    }
    return open;
}

static void send_all(int fd, struct slice bytes, unsigned cut, struct story *story)
{
    struct fuzz_input in = { bytes.data, bytes.size };
    uint32_t random = cut * 2654435761u + 1;
    while (in.left > 0) {
        random = random * 1664525u + 1013904223u;
        size_t size = cut == 0 ? in.left : 1 + (random >> 16) % (1u + cut);
        struct slice piece = fuzz_bytes(&in, size);
        ssize_t sent = write(fd, piece.data, piece.size);
        if (sent < 0)
            return; /* the server has enough */
        FUZZ_MUST((size_t)sent == piece.size);
        if (!settle(fd, story))
            return;
    }
}

/* ---- the answers, taken apart */

static size_t number_after(const char *head, const char *name)
{
    const char *at = strstr(head, name);
    return at != NULL ? strtoul(at + strlen(name), NULL, 10) : 0;
}

static void take_apart(struct story *story)
{
    char *at = (char *)story->answers, *stop = at + story->size;
    *stop = '\0';
    while (at < stop) {
        char *end = strstr(at, "\r\n\r\n");
        FUZZ_MUST(strncmp(at, "HTTP/1.1 ", 9) == 0 && end != NULL);
        int status = atoi(at + 9);
        *end = '\0';
        size_t length = number_after(at, "\r\nContent-Length: ");
        at = end + 4;
        if (status == 100) /* whether the client had to wait is its own affair */
            continue;
        FUZZ_MUST(story->n_answers < SEEN_MAX && (status == 200 || (status >= 400 && status <= 599)));
        bool head = story->n_answers < story->n_seen &&
                    story->seen[story->n_answers].method == HTTP_HEAD;
        story->status[story->n_answers++] = status;
        FUZZ_MUST(story->n_answers <= story->n_seen || status >= 400);
        if (head || (at == stop && status >= 400))
            continue;
        FUZZ_MUST((size_t)(stop - at) >= length);
        at += length;
    }
}

static void tell(struct slice bytes, unsigned cut, struct story *story)
{
    static unsigned char answers[ANSWERS_MAX + 1];
    struct http_stats before, after;
    int fd = pipe_connect();
    story->n_seen = story->n_answers = 0;
    story->size = 0;
    story->answers = answers;
    telling = story;
    http_server_stats(server, &before);
    send_all(fd, bytes, cut, story);
    settle(fd, story);
    FUZZ_MUST(http_server_pending(server) == 0);
    (void)shutdown(fd, SHUT_WR);
    FUZZ_MUST(!settle(fd, story));
    close(fd);
    settle(fd = -1, story);
    http_server_stats(server, &after);
    FUZZ_MUST(after.connections_open == 0 && after.timeouts == before.timeouts);
    take_apart(story);
    uint64_t refused = after.guard_rejections - before.guard_rejections;
    FUZZ_MUST(refused <= 1 && story->n_answers == story->n_seen + refused);
    telling = NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct story whole, pieces;
    struct fuzz_input in = { data, size };
    unsigned mode = fuzz_u8(&in), cut = fuzz_u8(&in);
    struct slice bytes = slice_of(in.at, in.left);
    if (base == NULL)
        set_up();
    late = false;
    tell(bytes, 0, &whole);
    late = mode % 2 != 0;
    tell(bytes, 1 + cut, &pieces);
    FUZZ_MUST(whole.n_seen == pieces.n_seen && whole.n_answers == pieces.n_answers);
    for (uint32_t i = 0; i < whole.n_seen; i++)
        FUZZ_MUST(whole.seen[i].method == pieces.seen[i].method &&
                  whole.seen[i].what == pieces.seen[i].what);
    /* A head that is wrong in two ways is refused for what is seen first. */
    for (uint32_t i = 0; i < whole.n_answers; i++)
        FUZZ_MUST(whole.status[i] == pieces.status[i] ||
                  (i >= whole.n_seen && whole.status[i] >= 400 && pieces.status[i] >= 400));
    return 0;
}
