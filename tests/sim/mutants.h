/* mutants.h - the planted bugs and how soon each is found. */
#ifndef TESTS_SIM_MUTANTS_H
#define TESTS_SIM_MUTANTS_H

#include "tests/sim/sim.h"

/* Runs each of the named mutants (all, if none is named) and prints the table.  Exit status: 0 if
 * every one was found within its budget. */
int mutants_table(uint32_t jobs, char **names, uint32_t n);

#endif
