/* histogram.h - how long things took: counts in buckets that grow with the value, so that a
 * quantile is never off by more than a sixteenth. */
#ifndef HOLDFAST_SERVER_HISTOGRAM_H
#define HOLDFAST_SERVER_HISTOGRAM_H

#include <stdint.h>

enum {
    HISTOGRAM_STEPS = 16,     /* buckets for each doubling */
    HISTOGRAM_DOUBLINGS = 32, /* longer than 2^35 us counts as that long */
    HISTOGRAM_BUCKETS = HISTOGRAM_STEPS * (HISTOGRAM_DOUBLINGS + 1),
};

struct histogram {
    uint64_t count, total_us, max_us;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *histogram, uint64_t us);

/* The least bound that at least `per_mille` thousandths of the values do not exceed; 0 if
 * there are none. */
uint64_t histogram_quantile_us(const struct histogram *histogram, unsigned per_mille);

#endif
