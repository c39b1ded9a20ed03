/* trail.c - index -> term in runs.  A log of a million entries written under three leaders is
 * three runs, so every question about terms is answered from memory, without a log read. */
#include "trail.h"

#include <holdfast/panic.h>

static struct raft_run *run_at(struct trail *trail, uint32_t i)
{
    return &trail->runs[(trail->head + i) % RAFT_RUNS_MAX];
}

static const struct raft_run *run_read(const struct trail *trail, uint32_t i)
{
    return &trail->runs[(trail->head + i) % RAFT_RUNS_MAX];
}

/* The run that holds `index`, base < index <= last. */
static uint32_t run_of(const struct trail *trail, raft_index index)
{
    uint32_t low = 0, high = trail->n - 1;
    if (run_read(trail, high)->first <= index) /* most questions are about the end */
        return high;
    while (low < high) {
        uint32_t middle = low + (high - low + 1) / 2;
        if (run_read(trail, middle)->first <= index)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

/* Moves base to the end of the oldest run.  Never the only one. */
static void forget_oldest(struct trail *trail)
{
    ASSERT(trail->n > 1);
    trail->base_term = run_at(trail, 0)->term;
    trail->base = run_at(trail, 1)->first - 1;
    trail->head = (trail->head + 1) % RAFT_RUNS_MAX;
    trail->n--;
}

bool trail_init(struct trail *trail, raft_index base, raft_term base_term, raft_index last,
                const struct raft_run *runs, uint32_t n)
{
    ASSERT(last >= base);
    ASSERT((n == 0) == (last == base));
    trail_reset(trail, base, base_term);
    bool forgot = false;
    for (uint32_t i = 0; i < n; i++) {
        raft_index end = i + 1 < n ? runs[i + 1].first - 1 : last;
        ASSERT(runs[i].first == trail->last + 1 && end >= runs[i].first);
        /* base may lie within a term */
        ASSERT(runs[i].term > trail_last_term(trail) || (i == 0 && runs[i].term == base_term));
        forgot |= trail_append(trail, runs[i].term, end - runs[i].first + 1);
    }
    return forgot;
}

raft_term trail_last_term(const struct trail *trail)
{
    return trail->n == 0 ? trail->base_term : run_read(trail, trail->n - 1)->term;
}

raft_term trail_term(const struct trail *trail, raft_index index)
{
    if (index == trail->base)
        return trail->base_term;
    if (index < trail->base || index > trail->last)
        return 0;
    return run_read(trail, run_of(trail, index))->term;
}

bool trail_append(struct trail *trail, raft_term term, uint64_t count)
{
    ASSERT(count > 0 && term >= trail_last_term(trail) && term > 0);
    bool forgot = false;
    if (trail->n == 0 || run_at(trail, trail->n - 1)->term != term) {
        if (trail->n == RAFT_RUNS_MAX) {
            forget_oldest(trail);
            forgot = true;
        }
        trail->n++;
        *run_at(trail, trail->n - 1) = (struct raft_run){ trail->last + 1, term };
    }
    trail->last += count;
    return forgot;
}

void trail_truncate(struct trail *trail, raft_index first)
{
    ASSERT(first > trail->base);
    if (first > trail->last)
        return;
    while (trail->n > 0 && run_at(trail, trail->n - 1)->first >= first)
        trail->n--;
    trail->last = first - 1;
}

void trail_compact(struct trail *trail, raft_index index)
{
    ASSERT(index >= trail->base && index <= trail->last);
    if (index == trail->base)
        return;
    uint32_t gone = run_of(trail, index);
    trail->base_term = run_at(trail, gone)->term;
    trail->base = index;
    bool ends_there = index == (gone + 1 < trail->n ? run_at(trail, gone + 1)->first - 1
                                                    : trail->last);
    if (ends_there)
        gone++;
    trail->head = (trail->head + gone) % RAFT_RUNS_MAX;
    trail->n -= gone;
    if (!ends_there)
        run_at(trail, 0)->first = index + 1;
}

void trail_reset(struct trail *trail, raft_index base, raft_term base_term)
{
    ASSERT((base == 0) == (base_term == 0));
    trail->base = trail->last = base;
    trail->base_term = base_term;
    trail->head = trail->n = 0;
}

raft_index trail_find(const struct trail *trail, raft_index index, raft_term term)
{
    if (index > trail->last)
        index = trail->last;
    if (index <= trail->base || trail->n == 0)
        return trail->base;
    uint32_t i = run_of(trail, index);
    while (run_read(trail, i)->term > term) { /* jumps back by whole terms */
        index = run_read(trail, i)->first - 1;
        if (i == 0 || index <= trail->base)
            return trail->base;
        i--;
    }
    return index;
}
