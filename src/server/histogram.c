/* histogram.c - log-linear buckets: sixteen to each doubling. */
#include "histogram.h"

static unsigned bucket_of(uint64_t us)
{
    if (us < HISTOGRAM_STEPS)
        return (unsigned)us;
    unsigned doubling = 63 - (unsigned)__builtin_clzll(us) - 3; /* 1 for 16..31 */
    if (doubling > HISTOGRAM_DOUBLINGS)
        return HISTOGRAM_BUCKETS - 1;
    return doubling * HISTOGRAM_STEPS + (unsigned)(us >> (doubling - 1) & (HISTOGRAM_STEPS - 1));
}

/* The largest value that falls into the bucket. */
static uint64_t bucket_bound(unsigned bucket)
{
    unsigned doubling = bucket / HISTOGRAM_STEPS;
    uint64_t step = bucket % HISTOGRAM_STEPS;
    if (doubling == 0)
        return step;
    return ((HISTOGRAM_STEPS + step + 1) << (doubling - 1)) - 1;
}

void histogram_add(struct histogram *histogram, uint64_t us)
{
    histogram->count++;
    histogram->total_us += us;
    if (us > histogram->max_us)
        histogram->max_us = us;
    histogram->buckets[bucket_of(us)]++;
}

uint64_t histogram_quantile_us(const struct histogram *histogram, unsigned per_mille)
{
    if (histogram->count == 0)
        return 0;
    uint64_t rank = (histogram->count * per_mille + 999) / 1000;
    uint64_t seen = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS - 1; i++) {
        seen += histogram->buckets[i];
        if (seen >= rank && seen > 0) {
            uint64_t bound = bucket_bound(i);
            return bound < histogram->max_us ? bound : histogram->max_us;
        }
    }
    return histogram->max_us;
}
