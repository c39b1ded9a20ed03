/* rest.h - one server on a port of its own, and a client in the same thread: each step turns the
 * server's loop a little and moves what the sockets take and give.  Nothing sleeps blindly; all
 * that waits has a deadline and fails the test at it. */
#ifndef TESTS_SUPPORT_REST_H
#define TESTS_SUPPORT_REST_H

#include <holdfast/server.h>

#include <cjson/cJSON.h>

struct event_base;

/* What is served, and what must run besides the loop. */
struct rest_backend {
    struct node *node;
    void (*turn)(void *arg); /* or NULL */
    void *arg;
};

struct rest {
    struct event_base *base;
    struct server *server;
    struct rest_backend backend;
    struct server_config config;
    int fd; /* the kept connection, or -1 */
};

struct rest_answer {
    int status;
    char *head; /* status line and headers, NUL-terminated */
    char *body; /* NUL-terminated behind body_size */
    size_t body_size;
    cJSON *json; /* NULL if the body is not JSON */
};

/* `change` may edit the configuration before the server is made; or NULL. */
void rest_init(struct rest *rest, const struct rest_backend *backend,
               void (*change)(struct server_config *config));
void rest_fini(struct rest *rest); /* without the backend */

void rest_turn(struct rest *rest);
/* Turns until `condition` holds; fails the test after ten seconds. */
void rest_until(struct rest *rest, bool (*condition)(void *arg), void *arg);

/* One request on the kept connection.  `headers` are whole lines, each ending in \r\n, or NULL.
 * Content-Length is added for a body whose data is not NULL.  The answer lives until the next
 * request or rest_fini. */
const struct rest_answer *rest_ask(struct rest *rest, const char *method, const char *target,
                                   const char *headers, struct slice body);
const struct rest_answer *rest_get(struct rest *rest, const char *target);
const struct rest_answer *rest_put(struct rest *rest, const char *target, const char *body);
const struct rest_answer *rest_delete(struct rest *rest, const char *target);
const struct rest_answer *rest_post(struct rest *rest, const char *target, const char *body);
/* Any bytes, on a connection of their own. */
const struct rest_answer *rest_raw(struct rest *rest, struct slice bytes);

/* In two steps: the request leaves, the answer comes later. */
void rest_begin(struct rest *rest, const char *method, const char *target, const char *headers,
                struct slice body);
const struct rest_answer *rest_end(struct rest *rest);

/* A header's value ("" if it is absent), valid until the next call. */
const char *rest_header(const struct rest_answer *answer, const char *name);

/* Fail with the whole answer shown. */
void rest_expect(const struct rest_answer *answer, int status);
/* The body is exactly this, byte for byte; JSON ends in a line feed besides. */
void rest_expect_body(const struct rest_answer *answer, int status, const char *body);
/* An error object with the five members in order; message and hint contain these words (NULL:
 * anything, but not nothing). */
void rest_expect_error(const struct rest_answer *answer, int status, const char *code,
                       const char *outcome, const char *message, const char *hint);
const cJSON *rest_member(const struct rest_answer *answer, const char *name);
double rest_number(const struct rest_answer *answer, const char *name);
const char *rest_text(const struct rest_answer *answer, const char *name);

#endif
