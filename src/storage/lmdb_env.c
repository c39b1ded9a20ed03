/* lmdb_env.c - opening, and what LMDB's answers mean to us. */
#include "lmdb_env.h"

#include <holdfast/log.h>
#include <holdfast/panic.h>

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

/* Address space, not memory and not disk.  Sanitizers and `ulimit -v` may give less (ENOMEM), and
 * so does valgrind (EINVAL). */
static const uint64_t map_default = (uint64_t)64 << 30;
static const uint64_t map_least = (uint64_t)64 << 20;

enum err lmdb_err(int code)
{
    switch (code) {
    case MDB_SUCCESS:
        return OK;
    case MDB_NOTFOUND:
        return ERR_NOT_FOUND;
    case ENOSPC:
    case EDQUOT:
    case MDB_MAP_FULL:
    case MDB_TXN_FULL:
        return ERR_NO_SPACE;
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
    case MDB_VERSION_MISMATCH:
    case MDB_INCOMPATIBLE:
        return ERR_CORRUPT;
    default:
        return ERR_IO;
    }
}

enum err storage_fail(char *message, enum err err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(message, STORAGE_MESSAGE_MAX, format, args);
    va_end(args);
    return err;
}

static const char *advice(int code)
{
    switch (code) {
    case EACCES:
    case EPERM:
        return "; run as the user who owns it, or choose another --data-dir";
    case EROFS:
        return "; choose a --data-dir on a disk that is not read-only";
    case ENOSPC:
    case EDQUOT:
        return "; free some space and start again";
    case ENOTDIR:
        return "; a part of the path is a file, choose another --data-dir";
    case MDB_INVALID:
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_VERSION_MISMATCH:
    case MDB_INCOMPATIBLE:
        return "; restore it from a backup, or replace this member by a new one with an empty "
               "--data-dir";
    default:
        return "";
    }
}

enum err storage_fail_code(char *message, int code, const char *what, const char *path)
{
    enum err err = lmdb_err(code);
    if (err == ERR_NOT_FOUND)
        err = ERR_CORRUPT; /* something that must be there */
    return storage_fail(message, err, "cannot %s %.300s: %s%s", what, path, mdb_strerror(code),
                        advice(code));
}

/* LMDB would make a new environment where a file is missing or empty; ours are made only by
 * the creation of a data directory. */
static enum err must_exist(const char *path, char *message)
{
    char file[ENV_PATH_MAX];
    struct stat found;
    if (snprintf(file, sizeof file, "%s/data.mdb", path) >= (int)sizeof file)
        return storage_fail_code(message, ENAMETOOLONG, "open", path);
    if (stat(file, &found) != 0 && errno != ENOENT)
        return storage_fail_code(message, errno, "open", file);
    if (stat(file, &found) != 0 || found.st_size == 0)
        return storage_fail(message, ERR_CORRUPT,
                            "%.300s is missing or empty%s", file, advice(MDB_CORRUPTED));
    return OK;
}

/* LMDB 0.9.24 opens its data file twice without O_CLOEXEC, and shows only one of the two
 * descriptors; the other is found by the file it leads to. */
static int close_on_exec(MDB_env *env)
{
    enum { SEARCH_MAX = 65536 };
    struct rlimit most;
    int data;
    struct stat ours, other;
    int code = mdb_env_get_fd(env, &data);
    if (code != 0)
        return code;
    if (fstat(data, &ours) != 0 || fcntl(data, F_SETFD, FD_CLOEXEC) != 0)
        return errno;
    if (getrlimit(RLIMIT_NOFILE, &most) != 0 || most.rlim_cur > SEARCH_MAX)
        most.rlim_cur = SEARCH_MAX;
    for (int fd = 0; fd < (int)most.rlim_cur; fd++) {
        if (fstat(fd, &other) != 0 || other.st_ino != ours.st_ino || other.st_dev != ours.st_dev)
            continue;
        if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)
            return errno;
    }
    return 0;
}

static int try_open(const char *path, uint64_t map_bytes, MDB_env **out)
{
    MDB_env *env;
    int code = mdb_env_create(&env);
    if (code != 0)
        return code;
    code = mdb_env_set_mapsize(env, (size_t)map_bytes);
    if (code == 0)
        code = mdb_env_set_maxdbs(env, ENV_DBS_MAX);
    if (code == 0)
        code = mdb_env_set_maxreaders(env, ENV_READERS_MAX);
    if (code == 0)
        code = mdb_env_open(env, path, MDB_NOTLS, 0640);
    if (code == 0)
        code = close_on_exec(env);
    if (code == 0) {
        int dead = 0;
        code = mdb_reader_check(env, &dead); /* places of readers that were killed */
        if (dead > 0)
            log_info("cleared places of dead readers", "path=%s readers=%d", path, dead);
    }
    if (code != 0) {
        mdb_env_close(env);
        return code;
    }
    *out = env;
    return 0;
}

int lmdb_open_existing(const char *path, unsigned flags, uint64_t map_bytes, MDB_env **out)
{
    MDB_env *env;
    int code = mdb_env_create(&env);
    if (code != 0)
        return code;
    if (map_bytes > 0)
        code = mdb_env_set_mapsize(env, map_bytes);
    if (code == 0)
        code = mdb_env_set_maxdbs(env, ENV_DBS_MAX);
    if (code == 0)
        code = mdb_env_open(env, path, MDB_NOTLS | flags, 0640);
    if (code == 0)
        code = lmdb_check_length(env);
    if (code != 0) {
        mdb_env_close(env);
        return code;
    }
    *out = env;
    return 0;
}

enum err lmdb_env_open(const char *path, uint64_t map_bytes, bool create, MDB_env **out,
                       char *message)
{
    if (!create) {
        enum err err = must_exist(path, message);
        if (err != OK)
            return err;
    }
    uint64_t want = map_bytes > 0 ? map_bytes : map_default;
    int code = try_open(path, want, out);
    while ((code == ENOMEM || code == EINVAL) && map_bytes == 0 && want / 2 >= map_least) {
        want /= 2;
        code = try_open(path, want, out);
    }
    if (code != 0)
        return storage_fail_code(message, code, "open", path);
    if (map_bytes == 0 && want < map_default)
        log_warn("little address space, the store is smaller than usual", "path=%s map_bytes=%llu",
                 path, (unsigned long long)want);
    return OK;
}

/* LMDB believes its meta page; reading a page behind the file's end would be a SIGBUS. */
int lmdb_check_length(MDB_env *env)
{
    MDB_envinfo info;
    MDB_stat stat;
    struct stat file;
    int fd;
    int code = mdb_env_info(env, &info);
    if (code == 0)
        code = mdb_env_stat(env, &stat);
    if (code == 0)
        code = mdb_env_get_fd(env, &fd);
    if (code == 0 && fstat(fd, &file) != 0)
        code = MDB_CORRUPTED;
    if (code == 0 && (info.me_last_pgno + 1) * (uint64_t)stat.ms_psize > (uint64_t)file.st_size)
        code = MDB_CORRUPTED;
    return code;
}

uint64_t lmdb_map_bytes(MDB_env *env)
{
    MDB_envinfo info;
    mdb_env_info(env, &info);
    return info.me_mapsize;
}

/* Pages that are free within the file count as room on the disk: the file never shrinks. */
static uint64_t disk_room_bytes(MDB_env *env, const MDB_envinfo *info, uint64_t used)
{
    struct statvfs disk;
    MDB_stat stat;
    int fd;
    if (mdb_env_get_fd(env, &fd) != 0 || mdb_env_stat(env, &stat) != 0 || fstatvfs(fd, &disk) != 0)
        return UINT64_MAX; /* the disk itself will say */
    uint64_t file = (info->me_last_pgno + 1) * (uint64_t)stat.ms_psize;
    uint64_t room = (uint64_t)disk.f_bavail * disk.f_frsize + (file > used ? file - used : 0);
    return room > DISK_RESERVE_BYTES ? room - DISK_RESERVE_BYTES : 0;
}

uint64_t lmdb_room_bytes(MDB_env *env, uint64_t used)
{
    MDB_envinfo info;
    mdb_env_info(env, &info);
    uint64_t most = info.me_mapsize / 10 * 9;
    uint64_t in_map = most > used ? most - used : 0;
    uint64_t on_disk = disk_room_bytes(env, &info, used);
    return in_map < on_disk ? in_map : on_disk;
}

static uint64_t database_bytes(MDB_txn *txn, MDB_dbi dbi)
{
    MDB_stat stat;
    if (mdb_stat(txn, dbi, &stat) != 0)
        return 0;
    return (stat.ms_branch_pages + stat.ms_leaf_pages + stat.ms_overflow_pages) *
           (uint64_t)stat.ms_psize;
}

uint64_t lmdb_used_bytes(MDB_txn *txn, const MDB_dbi *dbis, size_t n)
{
    /* Handles 0 and 1 are always there: the free list and the root. */
    uint64_t bytes = database_bytes(txn, 0) + database_bytes(txn, 1);
    for (size_t i = 0; i < n; i++)
        bytes += database_bytes(txn, dbis[i]);
    return bytes;
}

enum err lmdb_reader_begin(struct lmdb_reader *reader)
{
    int code = reader->txn == NULL ? mdb_txn_begin(reader->env, NULL, MDB_RDONLY, &reader->txn)
                                   : mdb_txn_renew(reader->txn);
    return lmdb_err(code);
}

void lmdb_reader_end(struct lmdb_reader *reader)
{
    mdb_txn_reset(reader->txn);
}

void lmdb_reader_fini(struct lmdb_reader *reader)
{
    if (reader->txn != NULL)
        mdb_txn_abort(reader->txn);
    reader->txn = NULL;
}

const char *storage_version(void)
{
    static char text[32];
    int major, minor, patch;
    mdb_version(&major, &minor, &patch);
    snprintf(text, sizeof text, "%d.%d.%d", major, minor, patch);
    return text;
}
