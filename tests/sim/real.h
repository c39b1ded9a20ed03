/* real.h - tier 2. */
#ifndef TESTS_SIM_REAL_H
#define TESTS_SIM_REAL_H

#include "tests/sim/sim.h"

#endif
