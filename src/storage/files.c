/* files.c - see files.h.  Each step that changes a disk is one at which the tests can die. */
#include "files.h"
#include "lmdb_env.h"
#include "step.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { CHECKSUM_PIECE = 1024 * 1024 };

int files_join(char *out, const char *path, const char *name)
{
    int size = snprintf(out, ENV_PATH_MAX, "%s/%s", path, name);
    return size < ENV_PATH_MAX ? 0 : ENAMETOOLONG;
}

void files_make_directory(int *code, const char *path, const char *name)
{
    char full[ENV_PATH_MAX];
    if (*code == 0)
        *code = files_join(full, path, name);
    if (*code == 0 && mkdir(full, 0750) != 0)
        *code = errno;
    storage_step("files: directory made");
}

void files_sync(int *code, const char *path, const char *name)
{
    char full[ENV_PATH_MAX];
    if (*code == 0)
        *code = files_join(full, path, name);
    if (*code != 0)
        return;
    int fd = open(full, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        *code = errno;
        return;
    }
    if (fsync(fd) != 0)
        *code = errno;
    close(fd);
    storage_step("files: flushed");
}

void files_move(int *code, const char *path, const char *from, const char *to)
{
    char full_from[ENV_PATH_MAX], full_to[ENV_PATH_MAX];
    if (*code == 0)
        *code = files_join(full_from, path, from);
    if (*code == 0)
        *code = files_join(full_to, path, to);
    if (*code == 0 && rename(full_from, full_to) != 0)
        *code = errno;
    storage_step("files: moved");
}

static void remove_one(int *code, const char *path, const char *name, bool directory)
{
    char full[ENV_PATH_MAX];
    if (*code == 0)
        *code = files_join(full, path, name);
    if (*code == 0 && (directory ? rmdir(full) : unlink(full)) != 0 && errno != ENOENT)
        *code = errno;
    storage_step("files: removed one");
}

void files_remove(int *code, const char *path, const char *name)
{
    remove_one(code, path, name, false);
}

void files_remove_directory(int *code, const char *path, const char *name)
{
    remove_one(code, path, name, true);
}

/* By name, never by pattern: what is not ours stays, and rmdir then says so. */
void files_remove_environment(int *code, const char *path, const char *name)
{
    static const char *const known[] = { "data.mdb", "lock.mdb", "info", "info.new" };
    char inner[64];
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        snprintf(inner, sizeof inner, "%s/%s", name, known[i]);
        files_remove(code, path, inner);
    }
    files_remove_directory(code, path, name);
}

uint64_t files_room_bytes(const char *path)
{
    struct statvfs disk;
    if (statvfs(path, &disk) != 0)
        return UINT64_MAX; /* the disk itself will say */
    uint64_t room = (uint64_t)disk.f_bavail * disk.f_frsize;
    return room > DISK_RESERVE_BYTES ? room - DISK_RESERVE_BYTES : 0;
}

int files_write(int fd, const void *data, size_t size, uint64_t offset)
{
    const unsigned char *at = data;
    while (size > 0) {
        ssize_t part = pwrite(fd, at, size, (off_t)offset);
        if (part < 0 && errno == EINTR)
            continue;
        if (part <= 0)
            return part < 0 ? errno : ENOSPC;
        at += part;
        size -= (size_t)part;
        offset += (uint64_t)part;
    }
    return 0;
}

int files_read(int fd, void *out, size_t size, uint64_t offset, size_t *got)
{
    *got = 0;
    while (*got < size) {
        ssize_t part = pread(fd, (unsigned char *)out + *got, size - *got,
                             (off_t)(offset + *got));
        if (part < 0 && errno == EINTR)
            continue;
        if (part < 0)
            return errno;
        if (part == 0)
            break;
        *got += (size_t)part;
    }
    return 0;
}

int files_checksum(int fd, uint64_t *size, uint64_t *sum)
{
    unsigned char *piece = memory_new(CHECKSUM_PIECE);
    struct checksum_stream *stream = checksum_stream_new();
    size_t got = 0;
    int code = 0;
    *size = 0;
    do {
        code = files_read(fd, piece, CHECKSUM_PIECE, *size, &got);
        checksum_stream_add(stream, slice_of(piece, got));
        *size += got;
    } while (code == 0 && got > 0);
    *sum = checksum_stream_end(stream);
    free(piece);
    return code;
}
