/* snapshot_incoming.c - written part by part, flushed now and then so that a restart goes on
 * near where it stopped, and believed only when every byte was looked at. */
#include "snapshot_incoming.h"
#include "files.h"
#include "lmdb_txn.h"
#include "meta.h"
#include "snapshot_check.h"
#include "step.h"
#include "swap.h"

#include <holdfast/log.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* As much may have to be sent again after a crash; and a VERIFY has so much left to flush. */
static const uint64_t sync_every_bytes = (uint64_t)32 << 20;

static const uint64_t map_default_bytes = (uint64_t)64 << 30; /* as lmdb_env.c */
static const uint64_t commit_room_bytes = (uint64_t)16 << 20; /* for the rows that make it ours */

static int incoming_path(const struct incoming *in, char out[ENV_PATH_MAX])
{
    return files_join(out, in->directory->path, INCOMING_DIRECTORY);
}

void incoming_close(struct incoming *in)
{
    if (in->fd >= 0)
        close(in->fd);
    in->fd = -1;
    in->size = 0;
    memset(&in->progress, 0, sizeof in->progress);
}

enum err incoming_abort(struct incoming *in)
{
    int code = 0;
    incoming_close(in);
    /* The text first: without it the bytes mean nothing. */
    files_remove(&code, in->directory->path, INCOMING_DIRECTORY "/info");
    files_remove_environment(&code, in->directory->path, INCOMING_DIRECTORY);
    return lmdb_err(code);
}

static enum err give_up(struct incoming *in, enum err err, const char *why)
{
    log_warn("an incoming snapshot was dropped", "path=%s index=%" PRIu64 " why=\"%s\" err=%s",
             in->directory->path, in->progress.info.index, why, err_name(err));
    enum err removed = incoming_abort(in);
    (void)removed; /* the next BEGIN tries again */
    return err;
}

/* ---- beginning */

static enum err open_data(struct incoming *in, int flags)
{
    char file[ENV_PATH_MAX];
    int code = files_join(file, in->directory->path, INCOMING_DIRECTORY "/data.mdb");
    if (code != 0)
        return lmdb_err(code);
    in->fd = open(file, O_RDWR | O_CLOEXEC | O_NOFOLLOW | flags, 0640);
    return in->fd >= 0 ? OK : lmdb_err(errno);
}

/* What a process before this one has left. ERR_NOT_FOUND: nothing that can be used. */
static enum err resume(struct incoming *in, const struct snapshot_info *info)
{
    char path[ENV_PATH_MAX];
    struct stat file;
    enum err err = lmdb_err(incoming_path(in, path));
    if (err == OK)
        err = snapshot_info_read(path, &in->progress);
    if (err == OK && !snapshot_info_equal(&in->progress.info, info))
        err = ERR_NOT_FOUND;
    if (err == OK)
        err = open_data(in, 0);
    if (err == OK && fstat(in->fd, &file) != 0)
        err = ERR_IO;
    if (err != OK)
        return ERR_NOT_FOUND;
    in->size = in->progress.synced;
    if (in->progress.verified)
        in->size = info->size; /* by now an environment of ours, whose file may have grown */
    else if ((uint64_t)file.st_size < in->size)
        in->size = (uint64_t)file.st_size;
    if (!in->progress.verified && ftruncate(in->fd, (off_t)in->size) != 0)
        return ERR_NOT_FOUND;
    return OK;
}

static enum err check_room(const struct incoming *in, const struct snapshot_info *info)
{
    uint64_t map = in->map_bytes > 0 ? in->map_bytes : map_default_bytes;
    if (info->size == 0)
        return ERR_CORRUPT;
    return info->size > map / 10 * 9 || info->size > files_room_bytes(in->directory->path)
               ? ERR_NO_SPACE : OK;
}

static enum err start(struct incoming *in, const struct snapshot_info *info)
{
    char path[ENV_PATH_MAX];
    int code = incoming_path(in, path);
    in->progress = (struct snapshot_progress){ .info = *info };
    files_make_directory(&code, in->directory->path, INCOMING_DIRECTORY);
    enum err err = lmdb_err(code);
    if (err == OK)
        err = open_data(in, O_CREAT | O_EXCL);
    if (err == OK)
        code = snapshot_info_write(path, &in->progress);
    files_sync(&code, in->directory->path, ".");
    storage_step("snapshot: begun");
    return err == OK ? lmdb_err(code) : err;
}

enum err incoming_begin(struct incoming *in, const struct snapshot_info *info, uint64_t *offset)
{
    enum err err = OK;
    if (in->fd < 0 || !snapshot_info_equal(&in->progress.info, info)) {
        incoming_close(in);
        err = resume(in, info);
        if (err != OK) {
            err = incoming_abort(in);
            if (err == OK)
                err = check_room(in, info);
            if (err == OK && (err = start(in, info)) != OK)
                err = give_up(in, err, "it cannot be begun");
        }
    }
    *offset = in->size;
    return err;
}

/* ---- writing */

static int flush(struct incoming *in)
{
    char path[ENV_PATH_MAX];
    int code = fdatasync(in->fd) == 0 ? 0 : errno;
    in->progress.synced = in->size;
    if (code == 0)
        code = incoming_path(in, path);
    return code == 0 ? snapshot_info_write(path, &in->progress) : code;
}

enum err incoming_write(struct incoming *in, uint64_t offset, struct slice bytes)
{
    if (in->fd < 0)
        return ERR_NOT_FOUND;
    if (in->progress.verified || offset != in->size || bytes.size > in->progress.info.size - in->size)
        return ERR_CORRUPT;
    int code = files_write(in->fd, bytes.data, bytes.size, offset);
    if (code == 0)
        in->size += bytes.size;
    if (code == 0 && in->size - in->progress.synced >= sync_every_bytes)
        code = flush(in);
    storage_step("snapshot: part written");
    return code == 0 ? OK : give_up(in, lmdb_err(code), "it cannot be written");
}

/* ---- verifying */

static enum err check_bytes(const struct incoming *in)
{
    uint64_t size, sum;
    int code = files_checksum(in->fd, &size, &sum);
    if (code != 0)
        return lmdb_err(code);
    return size == in->progress.info.size && sum == in->progress.info.checksum ? OK : ERR_CORRUPT;
}

static enum err check_rows(const struct incoming *in, MDB_env *env)
{
    struct snapshot_rows rows;
    const struct snapshot_info *info = &in->progress.info;
    enum err err = snapshot_read_rows(env, &rows);
    if (err != OK)
        return err;
    if (rows.has_cluster && rows.cluster != in->directory->identity.cluster)
        return ERR_FOREIGN;
    if (rows.info.index != info->index || rows.info.term != info->term ||
        rows.info.revision != info->revision || rows.info.keys != info->keys ||
        rows.info.digest != info->digest)
        return ERR_CORRUPT;
    return snapshot_walk(env, &rows);
}

/* From here on the state belongs to our log. */
static enum err make_ours(const struct incoming *in, MDB_env *env)
{
    struct meta_put rows[2];
    struct lmdb_txn txn;
    char incarnation[INCARNATION_TEXT];
    meta_incarnation_text(in->directory->identity.incarnation, incarnation);
    meta_put_text(&rows[0], "incarnation", incarnation);
    meta_of_cluster(in->directory->identity.cluster, &rows[1]);
    lmdb_txn_begin(&txn, env);
    MDB_dbi meta = lmdb_txn_database(&txn, "meta", 0);
    lmdb_txn_put_meta(&txn, meta, &rows[0]);
    lmdb_txn_put_meta(&txn, meta, &rows[1]);
    int code = lmdb_txn_commit(&txn);
    storage_step("snapshot: made ours");
    return lmdb_err(code);
}

static enum err verify(struct incoming *in)
{
    char path[ENV_PATH_MAX];
    MDB_env *env;
    enum err err = lmdb_err(incoming_path(in, path));
    if (err == OK && !in->progress.verified)
        err = check_bytes(in);
    if (err == OK)
        err = snapshot_open(path, 0, in->progress.info.size + commit_room_bytes, &env);
    if (err != OK)
        return err;
    err = check_rows(in, env);
    /* Remembered before the bytes become others than those that were sent. */
    if (err == OK && !in->progress.verified) {
        in->progress.verified = true;
        err = lmdb_err(flush(in));
        storage_step("snapshot: found good");
    }
    if (err == OK)
        err = make_ours(in, env);
    mdb_env_close(env);
    int code = 0;
    files_sync(&code, path, "data.mdb");
    files_sync(&code, path, ".");
    return err == OK ? lmdb_err(code) : err;
}

enum err incoming_verify(struct incoming *in)
{
    if (in->fd < 0)
        return ERR_NOT_FOUND;
    enum err err = verify(in);
    if (err != OK)
        return give_up(in, err, "it was not found good");
    incoming_close(in); /* what comes next is the state's writer's */
    return OK;
}
