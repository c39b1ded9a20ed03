/* state_env.h - a state environment, shared by the loop, the state's writer and the copier: each
 * holds a reference, and the last one to let go closes it. */
#ifndef HOLDFAST_STORAGE_STATE_ENV_H
#define HOLDFAST_STORAGE_STATE_ENV_H

#include "lmdb_env.h"

#include <stdatomic.h>

struct state_env {
    atomic_uint references;
    MDB_env *env;
    MDB_dbi dbis[STATE_TABLES];
    uint64_t used_bytes; /* when it was opened */
};

extern const char *const state_table_names[STATE_TABLES];

/* The environment in directory `path`, with one reference.  `cluster` is written into its `meta`
 * if no cluster stands there: it was made before that was written. */
MUST_CHECK enum err state_env_open(const char *path, uint64_t map_bytes, uint64_t cluster,
                                   struct state_env **out, char *message);
struct state_env *state_env_ref(struct state_env *env); /* returns its argument */
void state_env_unref(struct state_env *env);            /* NULL is fine */

/* Of the store's environment, as the loop sees it; the caller owns the reference. Loop thread. */
struct state_env *state_lmdb_env(struct state_store *store);

#endif
