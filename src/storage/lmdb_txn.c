/* lmdb_txn.c - the sticky transaction. */
#include "lmdb_txn.h"

#include <holdfast/panic.h>

#include <errno.h>

/* Keeps the first failure and gives the transaction up. */
static void check(struct lmdb_txn *txn, int code)
{
    if (code == 0)
        return;
    txn->code = code;
    if (txn->txn != NULL)
        mdb_txn_abort(txn->txn);
    txn->txn = NULL;
}

void lmdb_txn_begin(struct lmdb_txn *txn, MDB_env *env)
{
    *txn = (struct lmdb_txn){ 0 };
    check(txn, mdb_txn_begin(env, NULL, 0, &txn->txn));
}

MDB_dbi lmdb_txn_database(struct lmdb_txn *txn, const char *name, unsigned flags)
{
    MDB_dbi dbi = 0;
    if (txn->code == 0)
        check(txn, mdb_dbi_open(txn->txn, name, flags, &dbi));
    return dbi;
}

void lmdb_txn_put(struct lmdb_txn *txn, MDB_dbi dbi, struct slice key, struct slice value,
                  unsigned flags)
{
    if (txn->code != 0)
        return;
    MDB_val k = val_of(key), v = val_of(value);
    check(txn, mdb_put(txn->txn, dbi, &k, &v, flags));
}

unsigned char *lmdb_txn_reserve(struct lmdb_txn *txn, MDB_dbi dbi, struct slice key, size_t size)
{
    if (txn->code != 0)
        return NULL;
    MDB_val k = val_of(key), v = { .mv_size = size };
    check(txn, mdb_put(txn->txn, dbi, &k, &v, MDB_RESERVE));
    return txn->code == 0 ? v.mv_data : NULL;
}

void lmdb_txn_delete(struct lmdb_txn *txn, MDB_dbi dbi, struct slice key)
{
    if (txn->code != 0)
        return;
    MDB_val k = val_of(key);
    int code = mdb_del(txn->txn, dbi, &k, NULL);
    check(txn, code == MDB_NOTFOUND ? 0 : code);
}

void lmdb_txn_empty(struct lmdb_txn *txn, MDB_dbi dbi)
{
    if (txn->code == 0)
        check(txn, mdb_drop(txn->txn, dbi, 0));
}

void lmdb_txn_put_meta(struct lmdb_txn *txn, MDB_dbi dbi, const struct meta_put *row)
{
    lmdb_txn_put(txn, dbi, slice_text(row->key), slice_text(row->text), 0);
}

uint64_t lmdb_txn_used_bytes(struct lmdb_txn *txn, const MDB_dbi *dbis, size_t n)
{
    return txn->code == 0 ? lmdb_used_bytes(txn->txn, dbis, n) : 0;
}

int lmdb_txn_commit(struct lmdb_txn *txn)
{
    if (txn->code != 0)
        return txn->code;
    MDB_txn *ending = txn->txn;
    txn->txn = NULL; /* mdb_txn_commit frees it whatever it answers */
    check(txn, mdb_txn_commit(ending));
    return txn->code;
}

_Noreturn void lmdb_txn_panic(MDB_env *env, int code, const char *what)
{
    const char *path = "?";
    mdb_env_get_path(env, &path);
    if (code == MDB_MAP_FULL)
        panic(EXIT_STATUS_IO,
              "cannot write the %s in %s: its map of %llu bytes is full; nothing of this write was "
              "acknowledged; start with a larger map",
              what, path, (unsigned long long)lmdb_map_bytes(env));
    if (code == ENOSPC || code == EDQUOT)
        panic(EXIT_STATUS_IO,
              "cannot write the %s in %s: the disk is full; nothing of this write was "
              "acknowledged; free some space and start again",
              what, path);
    panic(lmdb_err(code) == ERR_CORRUPT ? EXIT_STATUS_CORRUPT : EXIT_STATUS_IO,
          "cannot write the %s in %s: %s; nothing of this write was acknowledged", what, path,
          mdb_strerror(code));
}
