/* fake_http.h - a scripted HTTP server for tests of clients: it says what it is told to say, in
 * order, and remembers what it was asked.
 *
 * Each request takes the next step of the script; without one it is answered 500.  Requests for
 * /cluster/info stand outside the script and the memory: they get what fake_set_info gave, else
 * 404.  A server has threads of its own; all functions may be called from any thread. */
#ifndef TESTS_SUPPORT_FAKE_HTTP_H
#define TESTS_SUPPORT_FAKE_HTTP_H

#include <stdbool.h>
#include <stddef.h>

enum fake_kind {
    FAKE_ANSWER,
    FAKE_CLOSE,  /* read the whole request, then close without a word */
    FAKE_SILENT, /* read it and never answer */
    FAKE_CUT,    /* announce ten bytes more than are sent, then close */
};

struct fake_step {
    enum fake_kind kind;
    int status;
    const char *headers; /* whole lines, each ending in \r\n; or NULL */
    const char *body;    /* text, or NULL for `filler` times 'x' */
    size_t filler;
    bool forever; /* never used up */
};

struct fake_request {
    char method[16];
    char target[4096];
    char headers[4096];
    size_t body_size;
    char body[4096]; /* the first bytes of it, NUL-terminated */
};

struct fake;

struct fake *fake_start(void); /* on 127.0.0.1, on a port that the kernel chose */
const char *fake_url(const struct fake *fake);
void fake_add(struct fake *fake, struct fake_step step);
void fake_answer(struct fake *fake, int status, const char *headers, const char *body);
void fake_set_info(struct fake *fake, const char *json);
unsigned fake_count(struct fake *fake);                          /* requests of the script so far */
unsigned fake_info_count(struct fake *fake);                     /* requests for /cluster/info */
unsigned fake_connections(struct fake *fake);                    /* accepted so far */
struct fake_request fake_request(struct fake *fake, unsigned i); /* i < fake_count */
void fake_stop(struct fake *fake); /* cuts all connections; new ones are refused */
void fake_free(struct fake *fake);

/* A port that refuses connections for as long as the descriptor is open. */
int refusing_port(char url[64]);

#endif
