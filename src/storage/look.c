/* look.c - an environment opened for looking at it alone; see look.h. */
#include "lmdb_env.h"
#include "meta.h"
#include "snapshot_check.h"
#include "state_env.h"
#include "value.h"

#include <holdfast/look.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

struct look {
    enum look_env which;
    char path[ENV_PATH_MAX];
    MDB_env *env;
    MDB_txn *txn; /* NULL outside of begin and end */
    MDB_dbi dbis[STATE_TABLES];
};

/* In the order of look_stats.entries. */
static const char *const log_databases[] = { "meta", "log" };

static size_t databases(const struct look *look, const char *const **names)
{
    *names = look->which == LOOK_LOG ? log_databases : state_table_names;
    return look->which == LOOK_LOG ? 2 : STATE_TABLES;
}

/* ---- opening */

static enum err open_env(struct look *look, char *message)
{
    char file[ENV_PATH_MAX + 16];
    struct stat found;
    snprintf(file, sizeof file, "%s/data.mdb", look->path);
    if (stat(file, &found) != 0 && (errno == ENOENT || errno == ENOTDIR))
        return storage_fail(message, ERR_NOT_FOUND, "there is no %.300s", file);
    if (stat(file, &found) == 0 && found.st_size == 0)
        return storage_fail(message, ERR_CORRUPT, "%.300s is empty", file);
    int code = lmdb_open_existing(look->path, MDB_RDONLY, 0, &look->env);
    if (code == ENOMEM || code == EINVAL) /* little address space: as much as the file needs */
        code = lmdb_open_existing(look->path, MDB_RDONLY, 1, &look->env);
    return code == 0 ? OK : storage_fail_code(message, code, "read", look->path);
}

static enum err check_format(struct look *look, char *message)
{
    const char *known = look->which == LOOK_LOG ? LOG_FORMAT : STATE_FORMAT;
    char format[META_TEXT_MAX];
    enum err err = look_begin(look);
    if (err == ERR_NOT_FOUND)
        return storage_fail(message, ERR_FOREIGN, "%.300s is an LMDB environment, but not Holdfast's",
                            look->path);
    if (err != OK)
        return storage_fail(message, err, "cannot read %.300s: %s", look->path, err_text(err));
    if (!look_row(look, "format", format, sizeof format))
        err = storage_fail(message, ERR_FOREIGN, "%.300s is an LMDB environment, but not Holdfast's",
                           look->path);
    else if (strcmp(format, known) != 0)
        err = storage_fail(message, ERR_FOREIGN,
                           "%.200s is in format \"%.60s\", this program reads \"%s\"; use the version "
                           "of the program that wrote it",
                           look->path, format, known);
    look_end(look);
    return err;
}

enum err look_open(const char *path, enum look_env which, struct look **out, char *message)
{
    struct look *look = memory_new(sizeof *look);
    look->which = which;
    *out = NULL;
    int size = snprintf(look->path, sizeof look->path, "%s/%s", path,
                        which == LOOK_LOG ? "log" : "state");
    enum err err = size < (int)sizeof look->path ? open_env(look, message)
                                                 : storage_fail_code(message, ENAMETOOLONG, "read",
                                                                     path);
    if (err == OK)
        err = check_format(look, message);
    if (err != OK) {
        look_close(look);
        return err;
    }
    *out = look;
    return OK;
}

void look_close(struct look *look)
{
    if (look == NULL)
        return;
    look_end(look);
    if (look->env != NULL)
        mdb_env_close(look->env);
    free(look);
}

/* ---- one view */

enum err look_begin(struct look *look)
{
    const char *const *names;
    size_t n = databases(look, &names);
    int code = mdb_txn_begin(look->env, NULL, MDB_RDONLY, &look->txn);
    if (code == MDB_MAP_RESIZED) { /* the node has a larger map since */
        code = mdb_env_set_mapsize(look->env, 0);
        if (code == 0)
            code = mdb_txn_begin(look->env, NULL, MDB_RDONLY, &look->txn);
    }
    if (code != 0) {
        look->txn = NULL;
        return lmdb_err(code);
    }
    for (size_t i = 0; code == 0 && i < n; i++)
        code = mdb_dbi_open(look->txn, names[i], 0, &look->dbis[i]);
    if (code != 0)
        look_end(look);
    return lmdb_err(code);
}

void look_end(struct look *look)
{
    if (look->txn != NULL)
        mdb_txn_abort(look->txn);
    look->txn = NULL;
}

static raft_index index_of(MDB_val key)
{
    raft_index index = 0;
    if (key.mv_size == sizeof index)
        memcpy(&index, key.mv_data, sizeof index);
    return index;
}

enum { LOG_DATABASE = 1 };

/* A page that is damaged may lead anywhere, also in a circle. */
static bool rises(const struct look *look, MDB_dbi dbi, MDB_val before, MDB_val key)
{
    if (look->which == LOOK_LOG && dbi == look->dbis[LOG_DATABASE])
        return index_of(key) > index_of(before);
    return slice_compare(slice_of_val(key), slice_of_val(before)) > 0;
}

/* Calls `visit` for what stands in a database from `first` on; size 0: from its beginning. */
typedef bool visit_fn(void *arg, MDB_val key, MDB_val value);

static enum err visit_all(struct look *look, MDB_dbi dbi, struct slice first, visit_fn *visit,
                          void *arg)
{
    MDB_cursor *cursor;
    MDB_val key = val_of(first), value, before = { 0, NULL };
    int code = mdb_cursor_open(look->txn, dbi, &cursor);
    if (code != 0)
        return lmdb_err(code);
    code = mdb_cursor_get(cursor, &key, &value, first.size > 0 ? MDB_SET_RANGE : MDB_FIRST);
    while (code == 0) {
        if (!rises(look, dbi, before, key)) {
            code = MDB_CORRUPTED;
            break;
        }
        before = key;
        if (!visit(arg, key, value))
            break;
        code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    return code == MDB_NOTFOUND ? OK : lmdb_err(code);
}

/* ---- meta */

struct rows_visit {
    look_row_fn *fn;
    void *arg;
};

static bool visit_row(void *arg, MDB_val key, MDB_val value)
{
    struct rows_visit *visit = arg;
    return visit->fn(visit->arg, slice_of_val(key), slice_of_val(value));
}

enum err look_rows(struct look *look, look_row_fn *fn, void *arg)
{
    struct rows_visit visit = { fn, arg };
    return visit_all(look, look->dbis[TABLE_META], slice_of(NULL, 0), visit_row, &visit);
}

bool look_row(struct look *look, const char *key, char *out, size_t size)
{
    MDB_val k = val_of(slice_text(key)), v;
    if (mdb_get(look->txn, look->dbis[TABLE_META], &k, &v) != 0 || v.mv_size >= size)
        return false;
    memcpy(out, v.mv_data, v.mv_size);
    out[v.mv_size] = '\0';
    return true;
}

bool look_number(struct look *look, const char *key, uint64_t *out)
{
    char text[META_TEXT_MAX];
    return look_row(look, key, text, sizeof text) && meta_parse_decimal(text, out);
}

bool look_id(struct look *look, const char *key, uint64_t *out)
{
    char text[META_TEXT_MAX];
    return look_row(look, key, text, sizeof text) && meta_parse_id(text, out);
}

/* ---- the log */

struct entries_visit {
    look_entry_fn *fn;
    void *arg;
};

static bool visit_entry(void *arg, MDB_val key, MDB_val value)
{
    struct entries_visit *visit = arg;
    struct look_entry entry = { .index = index_of(key), .bytes = slice_of_val(value) };
    entry.err = record_decode(entry.index, entry.bytes, &entry.record);
    return visit->fn(visit->arg, &entry);
}

enum err look_entries(struct look *look, raft_index first, look_entry_fn *fn, void *arg)
{
    struct entries_visit visit = { fn, arg };
    return visit_all(look, look->dbis[LOG_DATABASE], slice_of(&first, sizeof first), visit_entry,
                     &visit);
}

enum err look_bounds(struct look *look, raft_index *first, raft_index *last, uint64_t *count)
{
    MDB_cursor *cursor;
    MDB_val key, value;
    MDB_stat stat;
    *first = *last = *count = 0;
    int code = mdb_cursor_open(look->txn, look->dbis[LOG_DATABASE], &cursor);
    if (code != 0)
        return lmdb_err(code);
    code = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
    if (code == 0) {
        *first = index_of(key);
        code = mdb_cursor_get(cursor, &key, &value, MDB_LAST);
    }
    if (code == 0) {
        *last = index_of(key);
        code = mdb_stat(look->txn, look->dbis[LOG_DATABASE], &stat);
    }
    if (code == 0)
        *count = stat.ms_entries;
    mdb_cursor_close(cursor);
    return code == MDB_NOTFOUND ? OK : lmdb_err(code);
}

/* ---- the state */

struct items_visit {
    enum state_table table;
    struct slice behind; /* size 0: nothing to be left out */
    look_item_fn *fn;
    void *arg;
};

static bool visit_item(void *arg, MDB_val key, MDB_val value)
{
    struct items_visit *visit = arg;
    struct look_item item = { .table = visit->table, .key = slice_of_val(key) };
    if (visit->behind.size > 0 && slice_equal(item.key, visit->behind))
        return true;
    item.err = value_load_sum(item.table, item.key, slice_of_val(value), &item.content, &item.sum);
    if (item.err != OK)
        item.content = slice_of_val(value);
    return visit->fn(visit->arg, &item);
}

enum err look_items(struct look *look, enum state_table table, struct slice first, bool behind,
                    look_item_fn *fn, void *arg)
{
    struct items_visit visit = { table, behind ? first : slice_of(NULL, 0), fn, arg };
    return visit_all(look, look->dbis[table], first, visit_item, &visit);
}

uint64_t look_digest(uint64_t sum, uint64_t revision, uint64_t keys)
{
    return snapshot_digest(sum, revision, keys);
}

/* ---- figures */

enum err look_stats(struct look *look, struct look_stats *out)
{
    const char *const *names;
    size_t n = databases(look, &names);
    MDB_envinfo info;
    MDB_stat stat;
    struct stat file;
    int fd;
    *out = (struct look_stats){ 0 };
    int code = mdb_env_info(look->env, &info);
    if (code == 0)
        code = mdb_env_stat(look->env, &stat);
    if (code == 0)
        code = mdb_env_get_fd(look->env, &fd);
    if (code == 0 && fstat(fd, &file) != 0)
        code = errno;
    if (code != 0)
        return lmdb_err(code);
    out->map_bytes = info.me_mapsize;
    out->transaction = info.me_last_txnid;
    out->page_bytes = stat.ms_psize;
    out->file_bytes = (uint64_t)file.st_size;
    out->used_bytes = lmdb_used_bytes(look->txn, look->dbis, n);
    for (size_t i = 0; code == 0 && i < n; i++) {
        code = mdb_stat(look->txn, look->dbis[i], &stat);
        out->entries[i] = stat.ms_entries;
    }
    return lmdb_err(code);
}

struct readers_visit {
    look_reader_fn *fn;
    void *arg;
};

/* A line as mdb_stat -r prints it: process, thread, transaction or "-". */
static int visit_reader(const char *line, void *arg)
{
    struct readers_visit *visit = arg;
    long pid;
    char transaction[24];
    if (sscanf(line, "%ld %*s %23s", &pid, transaction) == 2) {
        bool reads = transaction[0] != '-';
        visit->fn(visit->arg, pid, reads, reads ? strtoull(transaction, NULL, 10) : 0);
    }
    return 0;
}

void look_readers(struct look *look, look_reader_fn *fn, void *arg)
{
    struct readers_visit visit = { fn, arg };
    mdb_reader_list(look->env, visit_reader, &visit);
}
