/* runner.h - many seeds, over several processes. */
#ifndef TESTS_SIM_RUNNER_H
#define TESTS_SIM_RUNNER_H

#include "tests/sim/sim.h"

struct runner_options {
    enum sim_tier tier;
    uint64_t from, seeds; /* seeds 0: until the time is over */
    uint32_t minutes, jobs;
};

/* Exit status: 0, or 1 when a seed failed or a mark stayed 0. */
int runner_seeds(const struct runner_options *options);

#endif
