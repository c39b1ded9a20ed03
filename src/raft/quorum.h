/* quorum.h - majorities; knows numbers only. */
#ifndef HOLDFAST_RAFT_QUORUM_H
#define HOLDFAST_RAFT_QUORUM_H

#include <stdint.h>

enum { QUORUM_VALUES_MAX = 16 };

/* How many of n make a majority. */
uint32_t quorum_size(uint32_t n);

/* The largest number that a majority of the n values, 1 <= n <= QUORUM_VALUES_MAX, has reached:
 *
 *     values   1  4  9  9  12      n = 5, majority 3
 *     answer         9             (9, 9 and 12 are >= 9; only two are >= 10) */
uint64_t quorum_reached(const uint64_t *values, uint32_t n);

#endif
