/* directory.c - the data directory: found or made, checked to be ours, locked for life. */
#include "birth.h"
#include "files.h"
#include "identity.h"
#include "lmdb_env.h"
#include "snapshot_check.h"
#include "step.h"
#include "swap.h"

#include <holdfast/clock.h>
#include <holdfast/panic.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- the way there */

/* Makes one directory, durably; one that exists is fine. */
static int make_one(const char *path)
{
    char copy[ENV_PATH_MAX];
    if (mkdir(path, 0750) != 0) {
        int code = errno;
        struct stat found;
        /* mkdir may say EROFS or EACCES of what is there already */
        if (stat(path, &found) == 0)
            return S_ISDIR(found.st_mode) ? 0 : ENOTDIR;
        return code;
    }
    storage_step("directory: made");
    snprintf(copy, sizeof copy, "%s", path);
    int code = 0;
    files_sync(&code, dirname(copy), "."); /* its name must survive, too */
    return code;
}

static int make_all(const char *path)
{
    char part[ENV_PATH_MAX];
    size_t size = strlen(path);
    if (size == 0)
        return ENOENT;
    if (size >= sizeof part)
        return ENAMETOOLONG;
    for (size_t i = 1; i <= size; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        memcpy(part, path, i);
        part[i] = '\0';
        int code = make_one(part);
        if (code != 0)
            return code;
    }
    return 0;
}

/* ---- what is in it */

struct contents {
    bool lock, log, state, creating, old_state, incoming;
    char other[NAME_MAX + 1]; /* one name that is none of these; "": there is none */
};

static int look(const char *path, struct contents *out)
{
    memset(out, 0, sizeof *out);
    DIR *dir = opendir(path);
    if (dir == NULL)
        return errno;
    struct dirent *entry;
    errno = 0;
    while ((entry = readdir(dir)) != NULL) {
        const char *name = entry->d_name;
        if (strcmp(name, "LOCK") == 0)
            out->lock = true;
        else if (strcmp(name, "log") == 0)
            out->log = true;
        else if (strcmp(name, "state") == 0)
            out->state = true;
        else if (strcmp(name, BIRTH_DIRECTORY) == 0)
            out->creating = true;
        else if (strcmp(name, OLD_STATE_DIRECTORY) == 0)
            out->old_state = true;
        else if (strcmp(name, INCOMING_DIRECTORY) == 0)
            out->incoming = true;
        else if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0 &&
                 strcmp(name, "lost+found") != 0) /* the root of a file system has one */
            snprintf(out->other, sizeof out->other, "%s", name);
    }
    int code = errno;
    closedir(dir);
    return code;
}

static enum err foreign(const char *path, const char *name, char *message)
{
    return storage_fail(message, ERR_FOREIGN,
                        "the directory %.200s is not empty and not Holdfast's (it holds \"%.60s\"); "
                        "choose another --data-dir",
                        path, name);
}

static bool has_data_file(const char *path, const char *name)
{
    char file[ENV_PATH_MAX];
    return snprintf(file, sizeof file, "%s/%s/data.mdb", path, name) < (int)sizeof file &&
           access(file, F_OK) == 0;
}

/* Before anything is touched: could this be a directory of ours, or become one? */
static enum err check_contents(const char *path, const struct contents *found, char *message)
{
    bool swapping = found->old_state && found->incoming; /* between the two renames */
    bool ours = found->log && (found->state || swapping) && has_data_file(path, "log");
    if (ours)
        return OK; /* more files than ours do no harm */
    if (found->lock && found->log != found->state && !found->creating)
        return storage_fail(message, ERR_CORRUPT,
                            "the data directory %.300s has lost its folder %s; restore it from a "
                            "backup, or replace this member by a new one with an empty --data-dir",
                            path, found->log ? "state" : "log");
    if (found->other[0] != '\0')
        return foreign(path, found->other, message);
    if (!found->lock && (found->log || found->state || found->creating))
        return foreign(path, found->log ? "log" : found->state ? "state" : BIRTH_DIRECTORY,
                       message);
    return OK;
}

/* ---- the lock */

static enum err report_locked(int fd, const char *path, char *message)
{
    char pid[16] = "";
    ssize_t size = pread(fd, pid, sizeof pid - 1, 0);
    pid[size > 0 ? size : 0] = '\0';
    pid[strspn(pid, "0123456789")] = '\0';
    return storage_fail(message, ERR_LOCKED,
                        "the data directory %.300s is in use by process %s; stop that process, or "
                        "choose another --data-dir",
                        path, pid[0] != '\0' ? pid : "(unknown)");
}

static enum err lock(const char *path, int *out, char *message)
{
    char file[ENV_PATH_MAX], pid[16];
    if (snprintf(file, sizeof file, "%s/LOCK", path) >= (int)sizeof file)
        return storage_fail_code(message, ENAMETOOLONG, "open", path);
    int fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (fd < 0)
        return storage_fail_code(message, errno, "write", file);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        int code = errno;
        enum err err = code == EWOULDBLOCK ? report_locked(fd, path, message)
                                           : storage_fail_code(message, code, "lock", file);
        close(fd);
        return err;
    }
    /* For people, and for the message above. */
    int size = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, pid, (size_t)size, 0) != size) {
        int code = errno;
        close(fd);
        return storage_fail_code(message, code, "write", file);
    }
    storage_step("directory: locked");
    *out = fd;
    return OK;
}

/* ---- all of it */

/* Under the lock: clears what a crash left, makes what is missing. */
static enum err settle(const char *path, struct identity *identity, bool *created, char *message)
{
    struct contents found;
    int code = look(path, &found);
    if (code != 0)
        return storage_fail_code(message, code, "read", path);
    enum err err = check_contents(path, &found, message);
    if (err == OK && found.creating)
        err = birth_clean(path, found.log, message);
    if (err != OK)
        return err;
    if (found.log) {
        err = identity_compare_log(path, identity, message);
        return err == OK ? swap_settle(path, found.state, identity, message) : err;
    }
    random_bytes(identity->incarnation, INCARNATION_SIZE);
    *created = true;
    return birth_create(path, &(struct birth){ .identity = identity }, message);
}

/* Makes the way to `path` and looks what is there. */
static enum err reach(const char *path, struct contents *found, char *message)
{
    message[0] = '\0';
    int code = make_all(path);
    if (code == ENOTDIR)
        return storage_fail(message, ERR_FOREIGN,
                            "%.300s is a file or lies below one, not a directory; choose another "
                            "--data-dir",
                            path);
    if (code != 0)
        return storage_fail_code(message, code, "create the data directory", path);
    code = look(path, found);
    return code == 0 ? OK : storage_fail_code(message, code, "read", path);
}

enum err data_directory_open(const char *path, struct identity *identity,
                             struct data_directory **out, char *message)
{
    struct contents found;
    enum err err = reach(path, &found, message);
    if (err != OK)
        return err;

    struct data_directory *dir = memory_new(sizeof *dir);
    dir->lock_fd = -1;
    dir->path = memory_strdup(path);
    err = check_contents(path, &found, message);
    if (err == OK)
        err = lock(path, &dir->lock_fd, message);
    if (err == OK)
        err = settle(path, identity, &dir->created, message);
    if (err == OK)
        err = identity_compare_log(path, identity, message);
    if (err == OK)
        err = identity_compare_state(path, identity, message);
    if (err != OK) {
        data_directory_close(dir);
        return err;
    }
    dir->identity = *identity;
    *out = dir;
    return OK;
}

void data_directory_close(struct data_directory *dir)
{
    if (dir == NULL)
        return;
    if (dir->lock_fd >= 0)
        close(dir->lock_fd); /* and so unlocks */
    free(dir->path);
    free(dir);
}

/* ---- from a snapshot */

static enum err settle_restore(const char *path, struct identity *identity, struct birth *birth,
                               char *message)
{
    struct contents found;
    int code = look(path, &found);
    if (code != 0)
        return storage_fail_code(message, code, "read", path);
    enum err err = check_contents(path, &found, message);
    if (err == OK && found.log)
        err = storage_fail(message, ERR_FOREIGN,
                           "the directory %.300s holds a node already; choose another --data-dir, or "
                           "move that one away",
                           path);
    if (err == OK && found.creating)
        err = birth_clean(path, false, message);
    if (err != OK)
        return err;
    random_bytes(identity->incarnation, INCARNATION_SIZE);
    return birth_create(path, birth, message);
}

enum err data_directory_restore(const char *path, struct identity *identity, const char *file,
                                bool adopt, struct snapshot_info *info, char *message)
{
    struct contents found;
    struct birth birth = { .identity = identity, .snapshot = file, .adopt = adopt };
    int fd = -1;
    enum err err = snapshot_file_examine(file, adopt ? NULL : &identity->cluster, info, message);
    if (err == OK)
        err = reach(path, &found, message);
    if (err == OK)
        err = check_contents(path, &found, message);
    if (err == OK)
        err = lock(path, &fd, message);
    birth.info = *info;
    if (err == OK)
        err = settle_restore(path, identity, &birth, message);
    if (fd >= 0)
        close(fd);
    return err;
}
