/* clock.h - the time, and chance.  Only src/cmd and the writer threads ask; all else is told. */
#ifndef HOLDFAST_CLOCK_H
#define HOLDFAST_CLOCK_H

#include <stdint.h>

uint64_t clock_monotonic_ms(void);
uint64_t clock_monotonic_us(void);
uint64_t clock_wall_ms(void); /* since 1970-01-01 UTC */

/* `size` bytes from the kernel's random source; ends the process if there is none. */
void random_bytes(void *out, uint64_t size);

#endif
