/* mutant.h - bugs planted on purpose, to prove that the tests find them.
 *
 * Each `mutant("name")` stands where a real system once had that bug; tests/sim/mutants.c lists
 * them.  In the product it is the constant false and leaves no trace.  The simulator compiles
 * the sources a second time with HOLDFAST_MUTANTS and switches one on at a time. */
#ifndef HOLDFAST_MUTANT_H
#define HOLDFAST_MUTANT_H

#include <stdbool.h>
#include <string.h>

#ifdef HOLDFAST_MUTANTS
extern const char *mutant_on; /* NULL: none */
#define mutant(name) (mutant_on != NULL && strcmp(mutant_on, name) == 0)
#else
#define mutant(name) false
#endif

#endif
