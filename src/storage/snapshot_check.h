/* snapshot_check.h - is a file a whole and sound state? */
#ifndef HOLDFAST_STORAGE_SNAPSHOT_CHECK_H
#define HOLDFAST_STORAGE_SNAPSHOT_CHECK_H

#include "lmdb_env.h"

/* What the state's own `meta` says. */
struct snapshot_rows {
    struct snapshot_info info; /* but size and checksum; an absent number is 0, of revision 1 */
    bool has_digest, has_cluster;
    uint64_t cluster;
};

/* The number that two states must agree in: of the checksums behind their values, added up
 * (`sum`), revision and number of keys.  src/statemachine/digest.c tells why so. */
uint64_t snapshot_digest(uint64_t sum, uint64_t revision, uint64_t keys);

/* Opens the environment in directory `path`, or in the file itself with MDB_NOSUBDIR in `flags`;
 * ERR_CORRUPT if LMDB does not take it, or pages are missing at its end. */
MUST_CHECK enum err snapshot_open(const char *path, unsigned flags, uint64_t map_bytes,
                                  MDB_env **out);
/* ERR_CORRUPT: not a state, or rows that cannot be read. */
MUST_CHECK enum err snapshot_read_rows(MDB_env *env, struct snapshot_rows *out);
/* Walks all values with their checksums, counts the keys, makes the digest anew.  ERR_CORRUPT if
 * something does not match. */
MUST_CHECK enum err snapshot_walk(MDB_env *env, const struct snapshot_rows *rows);

/* As snapshot_file_check; `cluster` not NULL: ERR_FOREIGN if the file says another. */
MUST_CHECK enum err snapshot_file_examine(const char *file, const uint64_t *cluster,
                                          struct snapshot_info *info, char *message);

#endif
