/* step.h - places where a crash is interesting.
 *
 * In the product a step is nothing.  The crash tests compile the storage sources a second
 * time with HOLDFAST_CRASH_POINTS and bring a storage_step of their own, which counts and
 * kills. */
#ifndef HOLDFAST_STORAGE_STEP_H
#define HOLDFAST_STORAGE_STEP_H

#ifdef HOLDFAST_CRASH_POINTS
void storage_step(const char *name);
#else
#define storage_step(name) ((void)0)
#endif

#endif
