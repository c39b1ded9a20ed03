/* histogram.c - log-linear buckets: sixteen to each doubling. */
#include <holdfast/histogram.h>

static unsigned bucket_of(uint64_t value)
{
    if (value < HISTOGRAM_STEPS)
        return (unsigned)value;
    unsigned doubling = 63 - (unsigned)__builtin_clzll(value) - 3; /* 1 for 16..31 */
    if (doubling > HISTOGRAM_DOUBLINGS)
        return HISTOGRAM_BUCKETS - 1;
    return doubling * HISTOGRAM_STEPS +
           (unsigned)(value >> (doubling - 1) & (HISTOGRAM_STEPS - 1));
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

void histogram_add(struct histogram *histogram, uint64_t value)
{
    histogram_add_times(histogram, value, 1);
}

void histogram_add_times(struct histogram *histogram, uint64_t value, uint64_t times)
{
    if (times == 0)
        return;
    histogram->count += times;
    histogram->total += value * times;
    if (value > histogram->max)
        histogram->max = value;
    histogram->buckets[bucket_of(value)] += times;
}

void histogram_merge(struct histogram *histogram, const struct histogram *from)
{
    histogram->count += from->count;
    histogram->total += from->total;
    if (from->max > histogram->max)
        histogram->max = from->max;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        histogram->buckets[i] += from->buckets[i];
}

uint64_t histogram_quantile(const struct histogram *histogram, unsigned per_mille)
{
    if (histogram->count == 0)
        return 0;
    uint64_t rank = (histogram->count * per_mille + 999) / 1000;
    uint64_t seen = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS - 1; i++) {
        seen += histogram->buckets[i];
        if (seen >= rank && seen > 0) {
            uint64_t bound = bucket_bound(i);
            return bound < histogram->max ? bound : histogram->max;
        }
    }
    return histogram->max;
}
