/* directory_view.c - a data directory, looked at from outside: read-only, no lock of ours. */
#include "lmdb_env.h"
#include "state_env.h"
#include "value.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

struct directory_view {
    MDB_env *envs[2]; /* log, state */
};

/* LMDB's own reader table is used when it may be written, so that a running node keeps the pages
 * that are read here; on a read-only disk nobody writes anyway. */
static int open_env(const char *path, MDB_env **out)
{
    MDB_env *env;
    int code = mdb_env_create(&env);
    if (code != 0)
        return code;
    code = mdb_env_set_maxdbs(env, ENV_DBS_MAX);
    if (code == 0)
        code = mdb_env_open(env, path, MDB_RDONLY | MDB_NOTLS, 0640);
    if (code != 0) {
        mdb_env_close(env);
        return code;
    }
    *out = env;
    return 0;
}

enum err directory_view_open(const char *path, struct directory_view **out, char *message)
{
    static const char *const names[2] = { "log", "state" };
    struct directory_view *view = memory_new(sizeof *view);
    enum err err = OK;
    for (unsigned i = 0; i < 2 && err == OK; i++) {
        char full[ENV_PATH_MAX], file[ENV_PATH_MAX + 16];
        struct stat found;
        snprintf(full, sizeof full, "%s/%s", path, names[i]);
        snprintf(file, sizeof file, "%s/data.mdb", full);
        int code = stat(file, &found) == 0 ? open_env(full, &view->envs[i]) : errno;
        if (code == ENOENT)
            err = storage_fail(message, ERR_NOT_FOUND,
                               "%.300s is not a data directory, it has no %s/data.mdb; give the "
                               "directory of one node, as in --data-dir and --id",
                               path, names[i]);
        else if (code != 0)
            err = storage_fail_code(message, code, "open", full);
    }
    if (err != OK) {
        directory_view_close(view);
        return err;
    }
    *out = view;
    return OK;
}

void directory_view_close(struct directory_view *view)
{
    if (view == NULL)
        return;
    for (unsigned i = 0; i < 2; i++)
        if (view->envs[i] != NULL)
            mdb_env_close(view->envs[i]);
    free(view);
}

/* ---- walking */

struct walk {
    MDB_txn *txn;
    MDB_cursor *cursor;
};

static int walk_begin(struct walk *walk, MDB_env *env, const char *database)
{
    MDB_dbi dbi;
    *walk = (struct walk){ 0 };
    int code = mdb_txn_begin(env, NULL, MDB_RDONLY, &walk->txn);
    if (code == 0)
        code = mdb_dbi_open(walk->txn, database, 0, &dbi);
    if (code == 0)
        code = mdb_cursor_open(walk->txn, dbi, &walk->cursor);
    return code == MDB_NOTFOUND ? MDB_INCOMPATIBLE : code;
}

/* The answer of the whole walk, whose last step said `code`. */
static enum err walk_end(struct walk *walk, int code)
{
    if (walk->cursor != NULL)
        mdb_cursor_close(walk->cursor);
    if (walk->txn != NULL)
        mdb_txn_abort(walk->txn);
    return code == MDB_NOTFOUND ? OK : lmdb_err(code);
}

static enum err walk_table(MDB_env *env, enum state_table table, view_row_fn *fn, void *arg)
{
    struct walk walk;
    MDB_val key, value;
    int code = walk_begin(&walk, env, state_table_names[table]);
    while (code == 0 && (code = mdb_cursor_get(walk.cursor, &key, &value, MDB_NEXT)) == 0) {
        struct slice content = slice_of_val(value);
        enum err err = value_load(table, slice_of_val(key), slice_of_val(value), &content);
        if (!fn(arg, slice_of_val(key), content, err))
            break;
    }
    return walk_end(&walk, code);
}

enum err directory_view_log_meta(struct directory_view *view, view_row_fn *fn, void *arg)
{
    return walk_table(view->envs[0], TABLE_META, fn, arg);
}

enum err directory_view_table(struct directory_view *view, enum state_table table, view_row_fn *fn,
                              void *arg)
{
    return walk_table(view->envs[1], table, fn, arg);
}

enum err directory_view_log(struct directory_view *view, raft_index first, view_record_fn *fn,
                            void *arg)
{
    struct walk walk;
    MDB_val key = { sizeof first, &first }, value;
    int code = walk_begin(&walk, view->envs[0], "log");
    if (code == 0)
        code = mdb_cursor_get(walk.cursor, &key, &value, MDB_SET_RANGE);
    for (; code == 0; code = mdb_cursor_get(walk.cursor, &key, &value, MDB_NEXT)) {
        raft_index index;
        struct record record;
        if (key.mv_size != sizeof index)
            return walk_end(&walk, MDB_CORRUPTED);
        memcpy(&index, key.mv_data, sizeof index);
        if (!fn(arg, index, slice_of_val(value), record_decode(index, slice_of_val(value), &record)))
            break;
    }
    return walk_end(&walk, code);
}

/* ---- space */

static int count_database(MDB_txn *txn, MDB_dbi dbi, struct view_space *out)
{
    MDB_stat stat;
    int code = mdb_stat(txn, dbi, &stat);
    if (code != 0)
        return code;
    uint64_t pages = stat.ms_branch_pages + stat.ms_leaf_pages + stat.ms_overflow_pages;
    out->used_bytes += pages * stat.ms_psize;
    out->page_bytes = stat.ms_psize;
    if (dbi > 1) /* 0: the free list, 1: the root, whose rows are the databases */
        out->entries += stat.ms_entries;
    return 0;
}

enum err directory_view_space(struct directory_view *view, bool state, struct view_space *out)
{
    static const char *const names[2][4] = { { "log", "meta" }, { "meta", "kv", "members" } };
    MDB_env *env = view->envs[state];
    MDB_envinfo info;
    MDB_txn *txn;
    MDB_dbi dbi;
    *out = (struct view_space){ 0 };
    int code = mdb_txn_begin(env, NULL, MDB_RDONLY, &txn);
    if (code != 0)
        return lmdb_err(code);
    code = count_database(txn, 0, out);
    if (code == 0)
        code = count_database(txn, 1, out);
    for (unsigned i = 0; code == 0 && names[state][i] != NULL; i++) {
        code = mdb_dbi_open(txn, names[state][i], 0, &dbi);
        if (code == 0)
            code = count_database(txn, dbi, out);
    }
    if (code == 0)
        code = mdb_env_info(env, &info);
    mdb_txn_abort(txn);
    if (code != 0)
        return code == MDB_NOTFOUND ? ERR_CORRUPT : lmdb_err(code);
    out->map_bytes = info.me_mapsize;
    out->file_bytes = (info.me_last_pgno + 1) * (uint64_t)out->page_bytes;
    out->readers = info.me_numreaders;
    return OK;
}
