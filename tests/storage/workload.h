/* workload.h - a stream of log jobs and flushes that can be replayed, so that what is found
 * on a disk can be compared with what was written. */
#ifndef HOLDFAST_TESTS_STORAGE_WORKLOAD_H
#define HOLDFAST_TESTS_STORAGE_WORKLOAD_H

#include "crash.h"

enum { WORKLOAD_ENTRIES_MAX = 400, WORKLOAD_KEYS = 40 };

/* What a log is after some number of jobs. */
struct log_model {
    raft_term term;
    raft_id vote;
    raft_index last;
    struct {
        raft_term term;
        size_t size; /* of the payload */
    } entries[WORKLOAD_ENTRIES_MAX + 1]; /* by index */
    unsigned mark; /* text of meta "mark" */
};

/* What the state is after some number of flushes. */
struct state_model {
    struct {
        unsigned flush; /* that set it; 0: absent */
        size_t size;
    } keys[WORKLOAD_KEYS];
};

struct workload {
    const char *dir;
    uint64_t seed;
    unsigned log_from, log_to;     /* jobs numbered log_from + 1 .. log_to */
    unsigned state_from, state_to; /* flushes, likewise; one after every few jobs */
    struct storage_options options;
    int fail_flush, fail_write;    /* as in crash_shared, once the stores are open */
};

/* The child's: opens the directory and does the jobs, telling crash_shared. */
void workload_run(void *workload);

/* Opens the directory and compares.  *log_at, *state_at: how far it got; must lie in
 * durable .. submitted and flushed .. handed of `shared`, counted from the workload's start. */
void workload_verify(const struct workload *workload, const struct crash_shared *shared,
                     unsigned *log_at, unsigned *state_at);

#endif
