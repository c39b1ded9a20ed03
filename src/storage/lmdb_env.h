/* lmdb_env.h - an LMDB environment, opened the one way in which we use it. */
#ifndef HOLDFAST_STORAGE_LMDB_ENV_H
#define HOLDFAST_STORAGE_LMDB_ENV_H

#include <holdfast/storage.h>

#include <lmdb.h>

/* Of the disk, for what must go on: votes, deletions, pages that are written anew. */
enum { DISK_RESERVE_BYTES = 16 * 1024 * 1024 };

enum { ENV_DBS_MAX = 8, ENV_READERS_MAX = 64, ENV_PATH_MAX = 4096 };

/* The only place where LMDB's codes (and errno's, which LMDB returns too) become ours. */
enum err lmdb_err(int code);

/* Writes a sentence to `message` (STORAGE_MESSAGE_MAX bytes) and returns `err`. */
enum err storage_fail(char *message, enum err err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same for a code of LMDB or errno: "cannot <what> <path>: <why>; <what to do>". */
enum err storage_fail_code(char *message, int code, const char *what, const char *path);

/* Opens the environment in directory `path`, which must hold one already unless `create`.
 * Full synchronous commits, read transactions not tied to threads. `map_bytes` 0: the default;
 * less if the address space does not give so much. */
MUST_CHECK enum err lmdb_env_open(const char *path, uint64_t map_bytes, bool create, MDB_env **out,
                                  char *message);

/* Opens what is there, with LMDB's answer: a directory, or with MDB_NOSUBDIR a file; `flags` beside
 * MDB_NOTLS.  map_bytes 0: as large as the file says.  Checks the length. */
int lmdb_open_existing(const char *path, unsigned flags, uint64_t map_bytes, MDB_env **out);

/* 0, or MDB_CORRUPTED: the file is shorter than the pages that it tells of. */
int lmdb_check_length(MDB_env *env);

/* Bytes of the pages in use by the databases, the free list and the root. */
uint64_t lmdb_used_bytes(MDB_txn *txn, const MDB_dbi *dbis, size_t n);
uint64_t lmdb_map_bytes(MDB_env *env);
/* How much more may be stored when `used` bytes are: a tenth of the map, and DISK_RESERVE_BYTES
 * of the disk, are kept. */
uint64_t lmdb_room_bytes(MDB_env *env, uint64_t used);

/* A read transaction that is renewed for each use and keeps its place in the lock table. */
struct lmdb_reader {
    MDB_env *env;
    MDB_txn *txn; /* NULL before the first use */
};
MUST_CHECK enum err lmdb_reader_begin(struct lmdb_reader *reader);
void lmdb_reader_end(struct lmdb_reader *reader);
void lmdb_reader_fini(struct lmdb_reader *reader);

static inline MDB_val val_of(struct slice slice)
{
    return (MDB_val){ .mv_size = slice.size, .mv_data = (void *)(uintptr_t)slice.data };
}

static inline struct slice slice_of_val(MDB_val val)
{
    return slice_of(val.mv_data, val.mv_size);
}

#endif
