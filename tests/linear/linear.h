/* linear.h - is a history of client operations linearizable?
 *
 * The algorithm is Wing and Gong's, as Lowe improved it ("Testing for linearizability", 2016):
 * search for an order of the operations that respects real time and that a single copy of the
 * data could have answered, and remember every (set of operations placed, state) that has been
 * tried.  Linearizability is compositional, so each key is searched alone; a batch over several
 * keys joins them into one component.
 *
 * Revisions are the store's: each change of any key has a higher one than the change before.  Where
 * answers tell them, they say in which order writes took effect, which makes the search short.
 *
 * The state of a key is its value, its revision and its version (how often it was set since it
 * was created).  A revision that no answer told is unknown and agrees with any; versions are
 * computed, so a write that is applied twice is seen even though it wrote the same value. */
#ifndef TESTS_LINEAR_LINEAR_H
#define TESTS_LINEAR_LINEAR_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum linear_kind { LINEAR_GET, LINEAR_SET, LINEAR_DELETE };

enum linear_condition {
    LINEAR_ALWAYS,
    LINEAR_IF_REVISION, /* the key's revision equals `expected`; 0: it does not exist */
    LINEAR_IF_EXISTS,
};

enum linear_outcome {
    LINEAR_OK,        /* applied, answered */
    LINEAR_FAILED,    /* certainly not applied, and nothing learned */
    LINEAR_CONDITION, /* not applied, because the condition of step `failed_step` did not hold */
    LINEAR_UNKNOWN,   /* may have been applied at any time since the call, or never */
};

#define LINEAR_NOT_TOLD UINT64_MAX

/* One operation on one key. */
struct linear_step {
    enum linear_kind kind;
    const char *key;
    const char *value;     /* set: what is written; get: what was read, NULL: absent */
    enum linear_condition condition;
    uint64_t expected;
    bool found;            /* delete, OK: the key was there */
    bool found_told;
    uint64_t revision;     /* set and get, OK: the key's after it, delete: the store's;
                              or LINEAR_NOT_TOLD */
    uint64_t version;      /* the same; or LINEAR_NOT_TOLD */
};

/* One or more steps, all or nothing, in order. */
struct linear_op {
    uint64_t process;
    uint64_t call, end;    /* any clock that all share; end means nothing if unknown */
    enum linear_outcome outcome;
    uint32_t failed_step;
    uint64_t failed_revision; /* condition: the key's then; 0: absent; or LINEAR_NOT_TOLD */
    uint32_t n;
    struct linear_step *steps;
};

struct linear_history;

struct linear_history *linear_new(void);
void linear_free(struct linear_history *history);
void linear_add(struct linear_history *history, const struct linear_op *op /* copied */);
uint32_t linear_size(const struct linear_history *history);

enum linear_verdict {
    LINEAR_GOOD,
    LINEAR_BAD,
    LINEAR_UNDECIDED, /* the search grew beyond its bound */
};

/* On LINEAR_BAD writes the smallest offending piece to `report`, if that is not NULL. */
enum linear_verdict linear_check(const struct linear_history *history, FILE *report);

/* Reads JSON lines (docs/TESTING.md) and adds them.  False: `message` (256 bytes) says what is
 * wrong in which line. */
bool linear_read(struct linear_history *history, FILE *in, char *message);
/* Writes them in the same form. */
void linear_write(const struct linear_history *history, FILE *out);

#endif
