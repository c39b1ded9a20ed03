/* commit_stats.h - what a writer thread counts and the loop reads: relaxed atomics, since each
 * number stands for itself. */
#ifndef HOLDFAST_STORAGE_COMMIT_STATS_H
#define HOLDFAST_STORAGE_COMMIT_STATS_H

#include <stdatomic.h>
#include <stdint.h>

struct commit_stats {
    atomic_uint_fast64_t commits, items, bytes, commit_us_total, commit_us_max, used_bytes;
};

static inline void commit_stats_add(struct commit_stats *stats, uint64_t items, uint64_t bytes,
                                    uint64_t commit_us, uint64_t used_bytes)
{
    atomic_fetch_add_explicit(&stats->commits, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&stats->items, items, memory_order_relaxed);
    atomic_fetch_add_explicit(&stats->bytes, bytes, memory_order_relaxed);
    atomic_fetch_add_explicit(&stats->commit_us_total, commit_us, memory_order_relaxed);
    /* The writer is the only one to store these two. */
    if (commit_us > atomic_load_explicit(&stats->commit_us_max, memory_order_relaxed))
        atomic_store_explicit(&stats->commit_us_max, commit_us, memory_order_relaxed);
    atomic_store_explicit(&stats->used_bytes, used_bytes, memory_order_relaxed);
}

static inline uint64_t commit_stats_get(const atomic_uint_fast64_t *number)
{
    return atomic_load_explicit(number, memory_order_relaxed);
}

#endif
