/* snapshot_check.c - see snapshot_check.h. */
#include "snapshot_check.h"
#include "files.h"
#include "meta.h"
#include "state_env.h"
#include "value.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

uint64_t snapshot_digest(uint64_t sum, uint64_t revision, uint64_t keys)
{
    unsigned char bytes[8];
    for (unsigned i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(keys >> (8 * i));
    return sum + checksum(revision, slice_of(bytes, sizeof bytes));
}

enum err snapshot_open(const char *path, unsigned flags, uint64_t map_bytes, MDB_env **out)
{
    int code = lmdb_open_existing(path, flags, map_bytes, out);
    return code == 0 ? OK : lmdb_err(code);
}

/* ---- rows */

static enum err get_row(MDB_txn *txn, MDB_dbi meta, const char *key, char text[META_TEXT_MAX])
{
    MDB_val k = val_of(slice_text(key)), v;
    int code = mdb_get(txn, meta, &k, &v);
    if (code == 0 && v.mv_size >= META_TEXT_MAX)
        return ERR_CORRUPT;
    if (code != 0)
        return lmdb_err(code);
    memcpy(text, v.mv_data, v.mv_size);
    text[v.mv_size] = '\0';
    return OK;
}

typedef bool parse_fn(const char *text, uint64_t *out);

/* `*found` NULL: it may be absent, and *out stays. */
static enum err get_number(MDB_txn *txn, MDB_dbi meta, const char *key, parse_fn *parse,
                           uint64_t *out, bool *found)
{
    char text[META_TEXT_MAX];
    enum err err = get_row(txn, meta, key, text);
    if (found != NULL)
        *found = err == OK;
    if (err == ERR_NOT_FOUND)
        return OK;
    return err == OK && !parse(text, out) ? ERR_CORRUPT : err;
}

static enum err rows_within(MDB_txn *txn, MDB_dbi meta, struct snapshot_rows *out)
{
    char format[META_TEXT_MAX];
    struct snapshot_info *info = &out->info;
    *out = (struct snapshot_rows){ .info = { .revision = 1 } };
    enum err err = get_row(txn, meta, "format", format);
    if (err == OK && strcmp(format, STATE_FORMAT) != 0)
        err = ERR_CORRUPT;
    if (err == OK)
        err = get_number(txn, meta, "applied_index", meta_parse_decimal, &info->index, NULL);
    if (err == OK)
        err = get_number(txn, meta, "applied_term", meta_parse_decimal, &info->term, NULL);
    if (err == OK)
        err = get_number(txn, meta, "revision", meta_parse_decimal, &info->revision, NULL);
    if (err == OK)
        err = get_number(txn, meta, "keys", meta_parse_decimal, &info->keys, NULL);
    if (err == OK)
        err = get_number(txn, meta, "digest", meta_parse_id, &info->digest, &out->has_digest);
    if (err == OK)
        err = get_number(txn, meta, "cluster", meta_parse_id, &out->cluster, &out->has_cluster);
    return err == ERR_NOT_FOUND ? ERR_CORRUPT : err;
}

enum err snapshot_read_rows(MDB_env *env, struct snapshot_rows *out)
{
    MDB_txn *txn;
    MDB_dbi meta;
    int code = mdb_txn_begin(env, NULL, MDB_RDONLY, &txn);
    if (code != 0)
        return lmdb_err(code);
    code = mdb_dbi_open(txn, state_table_names[TABLE_META], 0, &meta);
    enum err err = code == 0 ? rows_within(txn, meta, out)
                             : code == MDB_NOTFOUND ? ERR_CORRUPT : lmdb_err(code);
    mdb_txn_abort(txn);
    return err;
}

/* ---- walking */

static enum err walk_table(MDB_txn *txn, enum state_table table, uint64_t *sum, uint64_t *count)
{
    MDB_dbi dbi;
    MDB_cursor *cursor;
    MDB_val key, value;
    int code = mdb_dbi_open(txn, state_table_names[table], 0, &dbi);
    if (code == 0)
        code = mdb_cursor_open(txn, dbi, &cursor);
    if (code != 0)
        return code == MDB_NOTFOUND ? ERR_CORRUPT : lmdb_err(code);
    enum err err = OK;
    while (err == OK && (code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
        struct slice content;
        uint64_t item;
        err = value_load_sum(table, slice_of_val(key), slice_of_val(value), &content, &item);
        *sum += item;
        ++*count;
    }
    mdb_cursor_close(cursor);
    return err == OK && code != MDB_NOTFOUND ? lmdb_err(code) : err;
}

enum err snapshot_walk(MDB_env *env, const struct snapshot_rows *rows)
{
    MDB_txn *txn;
    uint64_t sum = 0, keys = 0, members = 0;
    int code = mdb_txn_begin(env, NULL, MDB_RDONLY, &txn);
    if (code != 0)
        return lmdb_err(code);
    enum err err = walk_table(txn, TABLE_KV, &sum, &keys);
    if (err == OK)
        err = walk_table(txn, TABLE_MEMBERS, &sum, &members);
    mdb_txn_abort(txn);
    if (err != OK)
        return err;
    if (keys != rows->info.keys)
        return ERR_CORRUPT;
    if (rows->has_digest && rows->info.digest != snapshot_digest(sum, rows->info.revision, keys))
        return ERR_CORRUPT;
    return OK;
}

/* ---- a file by itself */

static enum err sum_file(const char *file, struct snapshot_info *info)
{
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return lmdb_err(errno);
    int code = files_checksum(fd, &info->size, &info->checksum);
    close(fd);
    return lmdb_err(code);
}

enum err snapshot_file_examine(const char *file, const uint64_t *cluster,
                               struct snapshot_info *info, char *message)
{
    struct snapshot_rows rows = { 0 };
    struct stat found;
    MDB_env *env;
    memset(info, 0, sizeof *info);
    if (stat(file, &found) != 0)
        return storage_fail(message, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO,
                            "cannot read %.300s: %s; give the path of a snapshot", file,
                            mdb_strerror(errno));
    enum err err = found.st_size == 0
                       ? ERR_CORRUPT
                       : snapshot_open(file, MDB_NOSUBDIR | MDB_RDONLY | MDB_NOLOCK, 0, &env);
    if (err == OK) {
        err = snapshot_read_rows(env, &rows);
        if (err == OK)
            err = snapshot_walk(env, &rows);
        mdb_env_close(env);
        *info = rows.info;
    }
    if (err == OK)
        err = sum_file(file, info);
    if (err != OK)
        return storage_fail(message, err, "%.300s is not a whole and sound snapshot: %s; take "
                            "another one", file, err_text(err));
    if (cluster != NULL && rows.has_cluster && rows.cluster != *cluster)
        return storage_fail(message, ERR_FOREIGN,
                            "%.200s is of cluster %016" PRIx64 ", not of %016" PRIx64
                            "; take another one, or say that it is to be adopted",
                            file, rows.cluster, *cluster);
    return OK;
}

enum err snapshot_file_check(const char *file, struct snapshot_info *info, char *message)
{
    return snapshot_file_examine(file, NULL, info, message);
}
