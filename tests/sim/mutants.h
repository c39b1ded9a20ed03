/* mutants.h - the planted bugs and how soon each is found. */
#ifndef TESTS_SIM_MUTANTS_H
#define TESTS_SIM_MUTANTS_H

#include "tests/sim/sim.h"

/* Runs each of the named mutants (if none is named: all, but the slow ones only if asked) and
 * prints the table.  Exit status: 0 if every one was found within its budget. */
int mutants_table(uint32_t jobs, bool slow_too, char **names, uint32_t n);

#endif
