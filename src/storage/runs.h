/* runs.h - the terms of a stored log, without reading all of it. */
#ifndef HOLDFAST_STORAGE_RUNS_H
#define HOLDFAST_STORAGE_RUNS_H

#include <holdfast/storage.h>

typedef enum err runs_term_fn(void *arg, raft_index index, raft_term *term);

/* Fills out->runs for entries out->first .. out->last.  ERR_CORRUPT if terms fall (below the base's, too), or what
 * term_at answers. */
MUST_CHECK enum err runs_find(struct log_boot *out, runs_term_fn *term_at, void *arg);

#endif
