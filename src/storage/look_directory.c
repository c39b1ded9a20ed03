/* look_directory.c - what a data directory holds, and who holds it; see look.h. */
#include "birth.h"
#include "files.h"
#include "lmdb_env.h"
#include "snapshot_info.h"
#include "swap.h"

#include <holdfast/look.h>

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static bool has_data(const char *path, const char *name)
{
    char file[ENV_PATH_MAX];
    return snprintf(file, sizeof file, "%s/%s/data.mdb", path, name) < (int)sizeof file &&
           access(file, F_OK) == 0;
}

static bool has_files(const char *path, const char *name)
{
    char full[ENV_PATH_MAX];
    struct dirent *entry;
    bool any = false;
    DIR *dir = files_join(full, path, name) == 0 ? opendir(full) : NULL;
    while (dir != NULL && (entry = readdir(dir)) != NULL)
        any = any || entry->d_name[0] != '.';
    if (dir != NULL)
        closedir(dir);
    return any;
}

static void note(struct look_directory *out, const char *path, const char *name)
{
    if (strcmp(name, "LOCK") == 0)
        out->lock = true;
    else if (strcmp(name, "log") == 0)
        out->log = has_data(path, name);
    else if (strcmp(name, STATE_DIRECTORY) == 0)
        out->state = has_data(path, name);
    else if (strcmp(name, BIRTH_DIRECTORY) == 0)
        out->creating = true;
    else if (strcmp(name, OLD_STATE_DIRECTORY) == 0)
        out->old_state = true;
    else if (strcmp(name, INCOMING_DIRECTORY) == 0)
        out->incoming = true;
    else if (strcmp(name, OUTGOING_DIRECTORY) == 0)
        out->copies = has_files(path, name);
    else if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && strcmp(name, "lost+found") != 0)
        snprintf(out->other, sizeof out->other, "%s", name);
}

/* Trying the lock would hold it for a moment, in which a node could not start; the kernel's list
 * of locks tells without that. */
static void find_holder(const char *path, struct look_directory *out)
{
    char file[ENV_PATH_MAX], line[256], pid[16] = "";
    struct stat lock;
    if (files_join(file, path, "LOCK") != 0 || stat(file, &lock) != 0)
        return;
    FILE *text = fopen(file, "re");
    if (text != NULL) {
        if (fgets(pid, sizeof pid, text) != NULL)
            out->holder = strtol(pid, NULL, 10);
        fclose(text);
    }
    FILE *locks = fopen("/proc/locks", "re");
    while (locks != NULL && fgets(line, sizeof line, locks) != NULL) {
        long holder;
        unsigned major, minor;
        unsigned long inode;
        /* On some file systems the device differs from what stat tells; then the process counts. */
        if (sscanf(line, "%*s FLOCK %*s WRITE %ld %x:%x:%lu", &holder, &major, &minor, &inode) == 4 &&
            inode == (unsigned long)lock.st_ino &&
            (makedev(major, minor) == lock.st_dev || holder == out->holder))
            out->running = true;
    }
    if (locks != NULL)
        fclose(locks);
    if (!out->running)
        out->holder = 0;
}

static void find_incoming(const char *path, struct look_directory *out)
{
    char incoming[ENV_PATH_MAX];
    struct snapshot_progress progress;
    if (!out->incoming || files_join(incoming, path, INCOMING_DIRECTORY) != 0 ||
        snapshot_info_read(incoming, &progress) != OK)
        return;
    out->incoming_known = true;
    out->incoming_verified = progress.verified;
    out->incoming_info = progress.info;
}

enum err look_directory(const char *path, struct look_directory *out, char *message)
{
    struct statvfs disk;
    struct dirent *entry;
    memset(out, 0, sizeof *out);
    DIR *dir = opendir(path);
    if (dir == NULL) {
        int code = errno;
        return storage_fail(message, code == ENOENT ? ERR_NOT_FOUND : ERR_IO,
                            "cannot read the data directory %.300s: %s", path, strerror(code));
    }
    out->exists = true;
    while ((entry = readdir(dir)) != NULL)
        note(out, path, entry->d_name);
    closedir(dir);
    find_holder(path, out);
    find_incoming(path, out);
    if (statvfs(path, &disk) == 0) {
        out->disk_free_bytes = (uint64_t)disk.f_bavail * disk.f_frsize;
        out->disk_bytes = (uint64_t)disk.f_blocks * disk.f_frsize;
    }
    return OK;
}
