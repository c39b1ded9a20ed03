/* history.h - a history inside the checker: names are numbers, useless operations are left out. */
#ifndef TESTS_LINEAR_HISTORY_H
#define TESTS_LINEAR_HISTORY_H

#include "tests/linear/linear.h"

#include <stddef.h>

enum { ABSENT = 0 }; /* the value of a key that is not there; texts begin at 1 */

struct step {
    enum linear_kind kind;
    enum linear_condition condition;
    uint32_t key, place; /* number of the key; its place in its component */
    uint32_t value;
    uint64_t expected, revision, version;
    bool found, found_told;
};

struct operation {
    uint64_t process, call, end;
    enum linear_outcome outcome;
    uint32_t failed_step;
    uint64_t failed_revision;
    uint32_t n;
    struct step *steps;
};

struct names {
    char **text;
    uint32_t n;
    uint32_t *table; /* open addressing, number + 1 */
    uint32_t table_size;
};

struct linear_history {
    struct operation *ops;
    uint32_t n, room;
    struct names keys, values;
};

/* Operations that must be searched together. */
struct component {
    const struct operation **ops; /* by time of call */
    uint32_t n;
    uint32_t n_keys;
    uint32_t *keys; /* place -> key */
};

const char *history_value(const struct linear_history *history, uint32_t value);

/* ---- search.c */
struct search_answer {
    enum linear_verdict verdict;
    uint32_t *order;   /* bad: the longest order found, then what could not follow; owned */
    uint32_t n_order;
};
/* Only operations called before `horizon` take part, and what had not returned by then is open;
 * where `skip` is not NULL, skip[i] leaves operation i out. */
void search(const struct component *component, uint64_t horizon, const bool *skip,
            struct search_answer *answer);

/* ---- report.c */
void report_bad(const struct linear_history *history, const struct component *component, FILE *out);

/* ---- apply: the model, in search.c, used by the report too */
struct key_state {
    uint64_t revision; /* 0: absent; LINEAR_NOT_TOLD: nobody told */
    uint64_t version;
    uint32_t value;
    uint32_t unused; /* zero: states are compared bytewise */
};
bool model_apply(const struct operation *op, bool open, struct key_state *state, struct key_state *undo);

#endif
