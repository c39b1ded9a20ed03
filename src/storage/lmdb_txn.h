/* lmdb_txn.h - a write transaction that remembers its first failure.
 *
 * After a call has failed, every further one does nothing, so the caller writes straight on
 * and looks once: at commit. */
#ifndef HOLDFAST_STORAGE_LMDB_TXN_H
#define HOLDFAST_STORAGE_LMDB_TXN_H

#include "lmdb_env.h"

struct lmdb_txn {
    MDB_txn *txn; /* NULL once it has failed or ended */
    int code;     /* of the first failure; 0: none */
};

void lmdb_txn_begin(struct lmdb_txn *txn, MDB_env *env);
/* `flags` of mdb_dbi_open; 0 after a failure. */
MDB_dbi lmdb_txn_database(struct lmdb_txn *txn, const char *name, unsigned flags);
void lmdb_txn_put(struct lmdb_txn *txn, MDB_dbi dbi, struct slice key, struct slice value,
                  unsigned flags);
/* Room for a value, to be filled before the next call; NULL after a failure. */
unsigned char *lmdb_txn_reserve(struct lmdb_txn *txn, MDB_dbi dbi, struct slice key, size_t size);
void lmdb_txn_delete(struct lmdb_txn *txn, MDB_dbi dbi, struct slice key); /* or it is absent */
void lmdb_txn_empty(struct lmdb_txn *txn, MDB_dbi dbi); /* all its keys at once */
void lmdb_txn_put_meta(struct lmdb_txn *txn, MDB_dbi dbi, const struct meta_put *row);
uint64_t lmdb_txn_used_bytes(struct lmdb_txn *txn, const MDB_dbi *dbis, size_t n);
/* Durable when it returns 0; else nothing of it has happened, and the code is the failure's. */
MUST_CHECK int lmdb_txn_commit(struct lmdb_txn *txn);

/* A commit that failed is the end of the process: the next one would succeed, though what
 * this one wrote never reached the disk.  `what` is "log" or "state". */
_Noreturn void lmdb_txn_panic(MDB_env *env, int code, const char *what);

#endif
