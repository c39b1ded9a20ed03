/* histogram.h - how values are spread, such as times in microseconds or sizes of batches: counts
 * in buckets that grow with the value, so that a quantile is never off by more than a sixteenth.
 *
 * All numbers only grow.  Costs a few nanoseconds a value and no memory beyond the struct; one
 * thread at a time. */
#ifndef HOLDFAST_HISTOGRAM_H
#define HOLDFAST_HISTOGRAM_H

#include <stdint.h>

enum {
    HISTOGRAM_STEPS = 16,     /* buckets for each doubling; below 16 each value has its own */
    HISTOGRAM_DOUBLINGS = 32, /* larger than 2^35 counts as that large */
    HISTOGRAM_BUCKETS = HISTOGRAM_STEPS * (HISTOGRAM_DOUBLINGS + 1),
};

struct histogram {
    uint64_t count, total, max;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *histogram, uint64_t value);
/* The same value `times` times; 0 times is nothing. */
void histogram_add_times(struct histogram *histogram, uint64_t value, uint64_t times);
/* As if all that was added to `from` had been added here too. */
void histogram_merge(struct histogram *histogram, const struct histogram *from);

/* The least bound that at least `per_mille` thousandths of the values do not exceed; 0 if
 * there are none. */
uint64_t histogram_quantile(const struct histogram *histogram, unsigned per_mille);

#endif
