/* snapshot_info.c - see snapshot_info.h. */
#include "snapshot_info.h"
#include "files.h"
#include "lmdb_env.h"
#include "step.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

enum { INFO_TEXT_MAX = 1024 };

#define INFO_LINES \
    "format " SNAPSHOT_INFO_FORMAT "\nindex %" PRIu64 "\nterm %" PRIu64 "\nrevision %" PRIu64 \
    "\nkeys %" PRIu64 "\ndigest %016" PRIx64 "\nsize %" PRIu64 "\nchecksum %016" PRIx64 \
    "\nsynced %" PRIu64 "\nverified %d\n"

static size_t print(const struct snapshot_progress *progress, char out[INFO_TEXT_MAX])
{
    const struct snapshot_info *info = &progress->info;
    return (size_t)snprintf(out, INFO_TEXT_MAX, INFO_LINES, info->index, info->term,
                            info->revision, info->keys, info->digest, info->size, info->checksum,
                            progress->synced, progress->verified);
}

/* True if the text is, to the byte, what `print` makes of it. */
static bool parse(const char *text, struct snapshot_progress *out)
{
    char again[INFO_TEXT_MAX];
    int verified = 0;
    struct snapshot_info *info = &out->info;
    memset(out, 0, sizeof *out);
    int n = sscanf(text,
                   "format " SNAPSHOT_INFO_FORMAT " index %" SCNu64 " term %" SCNu64
                   " revision %" SCNu64 " keys %" SCNu64 " digest %" SCNx64 " size %" SCNu64
                   " checksum %" SCNx64 " synced %" SCNu64 " verified %d",
                   &info->index, &info->term, &info->revision, &info->keys, &info->digest,
                   &info->size, &info->checksum, &out->synced, &verified);
    out->verified = verified == 1;
    print(out, again);
    return n == 9 && strcmp(again, text) == 0;
}

int snapshot_info_write(const char *path, const struct snapshot_progress *progress)
{
    char text[INFO_TEXT_MAX], file[ENV_PATH_MAX];
    int code = files_join(file, path, "info.new");
    if (code != 0)
        return code;
    int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (fd < 0)
        return errno;
    code = files_write(fd, text, print(progress, text), 0);
    if (code == 0 && fsync(fd) != 0)
        code = errno;
    close(fd);
    files_move(&code, path, "info.new", "info");
    files_sync(&code, path, ".");
    return code;
}

enum err snapshot_info_read(const char *path, struct snapshot_progress *out)
{
    char text[INFO_TEXT_MAX], file[ENV_PATH_MAX];
    size_t size = 0;
    int code = files_join(file, path, "info");
    int fd = code == 0 ? open(file, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return code == 0 && (errno == ENOENT || errno == ENOTDIR) ? ERR_NOT_FOUND : ERR_IO;
    code = files_read(fd, text, sizeof text - 1, 0, &size);
    close(fd);
    text[size] = '\0';
    if (code != 0)
        return ERR_IO;
    return parse(text, out) ? OK : ERR_CORRUPT;
}

bool snapshot_info_equal(const struct snapshot_info *a, const struct snapshot_info *b)
{
    return a->index == b->index && a->term == b->term && a->revision == b->revision &&
           a->keys == b->keys && a->digest == b->digest && a->size == b->size &&
           a->checksum == b->checksum;
}
