/* trail.h - what the core knows of its log: index -> term, as runs of equal terms. */
#ifndef HOLDFAST_RAFT_TRAIL_H
#define HOLDFAST_RAFT_TRAIL_H

#include <holdfast/raft.h>

/* Covers base+1 .. last; of `base` itself it knows the term.  Runs lie in a ring, oldest at
 * `head`; firsts and terms rise strictly from run to run. */
struct trail {
    raft_index base;
    raft_term base_term; /* 0 if base is 0 */
    raft_index last;     /* base if there is no entry */
    uint32_t head, n;
    struct raft_run runs[RAFT_RUNS_MAX];
};

/* `runs` as in struct raft_boot.  Keeps the newest RAFT_RUNS_MAX; true if it left out others,
 * so that base is higher than asked for. */
bool trail_init(struct trail *trail, raft_index base, raft_term base_term, raft_index last,
                const struct raft_run *runs, uint32_t n);

/* The term of the entry at `index`; 0 if index is 0 or not between base and last. */
raft_term trail_term(const struct trail *trail, raft_index index);
raft_term trail_last_term(const struct trail *trail);

/* Adds `count` entries of `term` at the end.  True if the oldest run had to be forgotten: base
 * is then higher than before. */
bool trail_append(struct trail *trail, raft_term term, uint64_t count);

/* Forgets the entries up to `index`, base <= index <= last, but for the term of the last. */
void trail_compact(struct trail *trail, raft_index index);

/* Forgets everything: the log begins after `base`. */
void trail_reset(struct trail *trail, raft_index base, raft_term base_term);

/* Erases the entries from `first` on, base < first. */
void trail_truncate(struct trail *trail, raft_index first);

/* The last entry at or before `index` whose term is at most `term`; base if there is none. */
raft_index trail_find(const struct trail *trail, raft_index index, raft_term term);

#endif
