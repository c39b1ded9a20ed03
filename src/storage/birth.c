/* birth.c - makes a data directory so that a crash at any point leaves nothing or all of it.
 *
 * Everything is built in `creating/`, flushed, and then moved up: `state` first, `log` last.
 * The name `log` is the commit point: a directory without it holds no node.  What an
 * unfinished creation leaves is recognised by `creating/`, which goes last of all. */
#include "birth.h"
#include "files.h"
#include "lmdb_txn.h"
#include "meta.h"
#include "snapshot_check.h"
#include "step.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static void move_up(int *code, const char *path, const char *name)
{
    char inner[32];
    snprintf(inner, sizeof inner, BIRTH_DIRECTORY "/%s", name);
    files_move(code, path, inner, name);
}

static void put_rows(struct lmdb_txn *txn, MDB_dbi dbi, const struct meta_put *rows, size_t n)
{
    for (size_t i = 0; i < n; i++)
        lmdb_txn_put_meta(txn, dbi, &rows[i]);
}

static void write_log(struct lmdb_txn *txn, const struct birth *birth)
{
    struct meta_put rows[IDENTITY_ROWS + VOTE_ROWS], base[BASE_ROWS];
    meta_of_identity(birth->identity, rows);
    meta_of_vote(birth->info.term, 0, rows + IDENTITY_ROWS);
    meta_of_base(birth->info.index, birth->info.term, base);
    lmdb_txn_database(txn, "log", MDB_CREATE | MDB_INTEGERKEY);
    MDB_dbi meta = lmdb_txn_database(txn, "meta", MDB_CREATE);
    put_rows(txn, meta, rows, IDENTITY_ROWS + VOTE_ROWS);
    if (birth->info.index > 0)
        put_rows(txn, meta, base, BASE_ROWS);
    if (birth->adopt) {
        struct meta_put origin;
        char text[META_TEXT_MAX];
        snprintf(text, sizeof text, "restored from %016" PRIx64, birth->info.checksum);
        meta_put_text(&origin, META_ORIGIN, text);
        lmdb_txn_put_meta(txn, meta, &origin);
    }
}

/* Rows of the state that tell of its cluster's members. */
static const char *const of_members[] = { "configuration", "first", "removed",
                                          "doubt" };

static void write_state(struct lmdb_txn *txn, const struct birth *birth)
{
    struct meta_put rows[3];
    char incarnation[INCARNATION_TEXT];
    meta_incarnation_text(birth->identity->incarnation, incarnation);
    meta_put_text(&rows[0], "format", STATE_FORMAT);
    meta_put_text(&rows[1], "incarnation", incarnation); /* ties it to its log */
    meta_of_cluster(birth->identity->cluster, &rows[2]);
    MDB_dbi meta = lmdb_txn_database(txn, "meta", MDB_CREATE);
    put_rows(txn, meta, rows, 3);
    for (unsigned i = 0; birth->adopt && i < sizeof of_members / sizeof *of_members; i++)
        lmdb_txn_delete(txn, meta, slice_text(of_members[i]));
    lmdb_txn_database(txn, "kv", MDB_CREATE);
    lmdb_txn_database(txn, "members", MDB_CREATE);
}

typedef void fill_fn(struct lmdb_txn *txn, const struct birth *birth);

/* An environment, committed; LMDB flushes the data file, but not the names that lead to it. */
static enum err make_environment(const char *path, fill_fn *fill, const struct birth *birth,
                                 char *message)
{
    MDB_env *env;
    struct lmdb_txn txn;
    enum err err = lmdb_env_open(path, 0, true, &env, message);
    if (err != OK)
        return err;
    storage_step("create: environment opened");
    lmdb_txn_begin(&txn, env);
    fill(&txn, birth);
    storage_step("create: before commit");
    int code = lmdb_txn_commit(&txn);
    storage_step("create: after commit");
    mdb_env_close(env);
    files_sync(&code, path, "data.mdb");
    files_sync(&code, path, ".");
    return code == 0 ? OK : storage_fail_code(message, code, "create", path);
}

/* The snapshot's pages become the state's file. */
static enum err copy_snapshot(const char *state, const char *snapshot, char *message)
{
    char file[ENV_PATH_MAX];
    MDB_env *env;
    enum err err = snapshot_open(snapshot, MDB_NOSUBDIR | MDB_RDONLY | MDB_NOLOCK, 0, &env);
    if (err != OK)
        return storage_fail(message, err, "cannot read %.300s: %s", snapshot, err_text(err));
    int code = files_join(file, state, "data.mdb");
    int fd = code == 0 ? open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640) : -1;
    if (fd < 0 && code == 0)
        code = errno;
    if (code == 0)
        code = mdb_env_copyfd2(env, fd, 0);
    mdb_env_close(env);
    if (fd >= 0)
        close(fd);
    return code == 0 ? OK : storage_fail_code(message, code, "write", state);
}

static enum err build(const char *path, const struct birth *birth, char *message)
{
    char log[ENV_PATH_MAX], state[ENV_PATH_MAX];
    int code = 0;
    files_make_directory(&code, path, BIRTH_DIRECTORY);
    files_make_directory(&code, path, BIRTH_DIRECTORY "/log");
    files_make_directory(&code, path, BIRTH_DIRECTORY "/state");
    if (code == 0)
        code = files_join(log, path, BIRTH_DIRECTORY "/log");
    if (code == 0)
        code = files_join(state, path, BIRTH_DIRECTORY "/state");
    if (code != 0)
        return storage_fail_code(message, code, "create a node in", path);
    enum err err = make_environment(log, write_log, birth, message);
    if (err == OK && birth->snapshot != NULL)
        err = copy_snapshot(state, birth->snapshot, message);
    if (err == OK)
        err = make_environment(state, write_state, birth, message);
    return err;
}

enum err birth_create(const char *path, const struct birth *birth, char *message)
{
    enum err err = build(path, birth, message);
    if (err != OK)
        return err;
    int code = 0;
    files_sync(&code, path, BIRTH_DIRECTORY);
    files_sync(&code, path, "."); /* the scaffold's name before anything leaves it */
    move_up(&code, path, "state");
    files_sync(&code, path, ".");
    move_up(&code, path, "log");
    files_sync(&code, path, ".");
    files_remove_directory(&code, path, BIRTH_DIRECTORY);
    files_sync(&code, path, ".");
    return code == 0 ? OK : storage_fail_code(message, code, "create a node in", path);
}

/* ---- clearing away */

enum err birth_clean(const char *path, bool whole, char *message)
{
    int code = 0;
    if (!whole)
        files_remove_environment(&code, path, "state");
    files_remove_environment(&code, path, BIRTH_DIRECTORY "/log");
    files_remove_environment(&code, path, BIRTH_DIRECTORY "/state");
    files_remove_directory(&code, path, BIRTH_DIRECTORY);
    if (code == ENOTEMPTY || code == EEXIST)
        return storage_fail(message, ERR_FOREIGN,
                            "the folder " BIRTH_DIRECTORY " in %.300s holds files that are not "
                            "Holdfast's; move them away, or choose another --data-dir",
                            path);
    return code == 0 ? OK : storage_fail_code(message, code, "clear a cut-off creation in", path);
}
