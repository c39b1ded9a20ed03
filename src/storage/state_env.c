/* state_env.c - see state_env.h. */
#include "state_env.h"
#include "lmdb_txn.h"
#include "meta.h"

#include <stdlib.h>

const char *const state_table_names[STATE_TABLES] = {
    [TABLE_META] = "meta", [TABLE_KV] = "kv", [TABLE_MEMBERS] = "members"
};

static void put_cluster(struct lmdb_txn *txn, MDB_dbi meta, uint64_t cluster)
{
    struct meta_put row;
    MDB_val key = val_of(slice_text("cluster")), value;
    meta_of_cluster(cluster, &row);
    if (txn->code == 0 && mdb_get(txn->txn, meta, &key, &value) == MDB_NOTFOUND)
        lmdb_txn_put_meta(txn, meta, &row);
}

enum err state_env_open(const char *path, uint64_t map_bytes, uint64_t cluster,
                        struct state_env **out, char *message)
{
    MDB_env *lmdb;
    enum err err = lmdb_env_open(path, map_bytes, false, &lmdb, message);
    if (err != OK)
        return err;
    struct state_env *env = memory_new(sizeof *env);
    atomic_store(&env->references, 1);
    env->env = lmdb;
    struct lmdb_txn txn;
    lmdb_txn_begin(&txn, lmdb);
    for (unsigned i = 0; i < STATE_TABLES; i++)
        env->dbis[i] = lmdb_txn_database(&txn, state_table_names[i], 0);
    put_cluster(&txn, env->dbis[TABLE_META], cluster);
    env->used_bytes = lmdb_txn_used_bytes(&txn, env->dbis, STATE_TABLES);
    int code = lmdb_txn_commit(&txn);
    if (code != 0) {
        state_env_unref(env);
        return storage_fail_code(message, code, "read", path);
    }
    *out = env;
    return OK;
}

struct state_env *state_env_ref(struct state_env *env)
{
    atomic_fetch_add_explicit(&env->references, 1, memory_order_relaxed);
    return env;
}

void state_env_unref(struct state_env *env)
{
    if (env == NULL || atomic_fetch_sub_explicit(&env->references, 1, memory_order_acq_rel) > 1)
        return;
    mdb_env_close(env->env);
    free(env);
}
