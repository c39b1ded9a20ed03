/* client_backup.c - holdfast backup: a copy of all data, from any node, into a file.
 *
 * The file appears under its name only when it is whole, checked and flushed; beside it then stands
 * its SHA-256. */
#include "client_session.h"
#include "sums.h"
#include "text.h"

#include <holdfast/clock.h>
#include <holdfast/panic.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SHOW_EVERY_MS = 100, BAR_WIDTH = 30 };

struct target {
    const char *file; /* NULL: standard output */
    char part[SUMS_PATH_MAX];
    int fd;
    struct sums *sums;
    struct holdfast_snapshot snapshot;
    char node[HOLDFAST_URL_MAX];
    uint64_t written;
    bool show;        /* a bar, on a terminal */
    uint64_t shown_ms;
    int code;         /* errno of what failed here; 0: nothing */
    bool cut;         /* standard output cannot begin anew */
};

static void show(struct target *target, bool last)
{
    uint64_t now_ms = clock_monotonic_ms(), size = target->snapshot.size;
    char done[TEXT_SIZE_MAX], all[TEXT_SIZE_MAX], bar[BAR_WIDTH + 1];
    if (!target->show || size == 0 || (!last && now_ms < target->shown_ms + SHOW_EVERY_MS))
        return;
    target->shown_ms = now_ms;
    text_size(target->written, done);
    text_size(size, all);
    uint64_t filled = target->written * BAR_WIDTH / size;
    for (uint64_t i = 0; i < BAR_WIDTH; i++)
        bar[i] = i < filled ? '#' : '.';
    bar[BAR_WIDTH] = '\0';
    fprintf(stderr, "\r[%s] %3" PRIu64 " %%  %s of %s \033[K%s", bar, target->written * 100 / size,
            done, all, last ? "\n" : "");
    fflush(stderr);
}

/* ---- the sink */

static bool on_begin(void *arg, const struct holdfast_snapshot *snapshot)
{
    struct target *target = arg;
    if (target->written > 0) { /* the node before has broken off */
        target->cut = target->file == NULL;
        if (!target->cut && (ftruncate(target->fd, 0) != 0 || lseek(target->fd, 0, SEEK_SET) != 0))
            target->code = errno;
    }
    target->snapshot = *snapshot;
    snprintf(target->node, sizeof target->node, "%s", snapshot->node);
    target->snapshot.node = target->node;
    target->written = 0;
    sums_reset(target->sums);
    return target->code == 0 && !target->cut;
}

static bool on_data(void *arg, const void *data, size_t size)
{
    struct target *target = arg;
    const char *at = data;
    sums_add(target->sums, data, size);
    for (size_t left = size; left > 0;) {
        ssize_t n = write(target->fd, at, left);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            target->code = errno;
            return false;
        }
        at += n;
        left -= (size_t)n;
    }
    target->written += size;
    show(target, false);
    return true;
}

/* ---- the file */

static int refuse_file(const char *what, const char *file, int code)
{
    fprintf(stderr, "holdfast: cannot %s %s: %s\n", what, file, strerror(code));
    return COMMAND_NOT_FOUND;
}

static int open_target(struct target *target, const char *file, bool force)
{
    struct stat found;
    target->fd = STDOUT_FILENO;
    if (strcmp(file, "-") == 0)
        return isatty(STDOUT_FILENO)
                   ? usage_error("a backup is not for a terminal: name a file, or redirect the output")
                   : COMMAND_OK;
    if (strpbrk(file, "\n\\") != NULL || strlen(file) > SUMS_PATH_MAX - 32)
        return usage_error("the name of the file is too long, or holds a backslash or a line break");
    if (!force && lstat(file, &found) == 0)
        return usage_error("%s is there already; name another file, or say --force to replace it",
                           file);
    target->file = file;
    snprintf(target->part, sizeof target->part, "%s.part", file);
    target->fd = open(target->part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    return target->fd >= 0 ? COMMAND_OK : refuse_file("write", target->part, errno);
}

/* Flushed and under its name, with the sum beside it. */
static int settle(struct target *target, const char *sha256)
{
    char old[SUMS_PATH_MAX + 16];
    int code = fsync(target->fd) == 0 ? 0 : errno;
    snprintf(old, sizeof old, "%s.sha256", target->file);
    if (code == 0 && unlink(old) != 0 && errno != ENOENT)
        code = errno;
    if (code == 0 && rename(target->part, target->file) != 0)
        code = errno;
    if (code == 0)
        code = sums_sync_directory(target->file);
    if (code == 0)
        code = sums_write(target->file, sha256);
    return code == 0 ? COMMAND_OK : refuse_file("finish", target->file, code);
}

static int check(const struct target *target)
{
    const char *name = target->file != NULL ? target->file : "what was written";
    if (target->written == target->snapshot.size &&
        sums_xxh3(target->sums) == target->snapshot.checksum)
        return COMMAND_OK;
    fprintf(stderr, "holdfast: the copy was damaged on its way from %s: %s is no backup; try again\n",
            target->node, name);
    return COMMAND_NO_CLUSTER;
}

static void report(const struct target *target, const struct client_flags *flags, const char *sha256)
{
    const struct holdfast_snapshot *snapshot = &target->snapshot;
    FILE *out = target->file != NULL ? stdout : stderr;
    if (flags->json) {
        struct json json = { .out = out };
        json_begin(&json, '{');
        json_words(&json, "file", target->file != NULL ? target->file : "-");
        json_number(&json, "bytes", snapshot->size);
        json_words(&json, "node", target->node);
        json_number(&json, "index", snapshot->index);
        json_number(&json, "term", snapshot->term);
        json_number(&json, "revision", snapshot->revision);
        json_number(&json, "keys", snapshot->keys);
        json_hex(&json, "digest", snapshot->digest);
        json_hex(&json, "checksum", snapshot->checksum);
        json_words(&json, "sha256", sha256);
        json_finish(&json, '}');
        fputc('\n', out);
        return;
    }
    char size[TEXT_SIZE_MAX];
    text_size(snapshot->size, size);
    fprintf(out, "%s: %s, %" PRIu64 " keys at revision %" PRIu64 ", digest %016" PRIx64 ", from %s\n",
            target->file != NULL ? target->file : "written", size, snapshot->keys,
            snapshot->revision, snapshot->digest, target->node);
}

/* ---- the command */

static int fetch(struct session *session, const struct client_flags *flags, struct target *target)
{
    struct holdfast_call call = client_call(flags);
    const struct holdfast_sink sink = { sizeof sink, on_begin, on_data, target };
    struct holdfast_result *result = holdfast_get_snapshot(session->db, &sink, &call);
    if (result->error == HOLDFAST_OK) {
        client_note(session, result);
        holdfast_result_free(result);
        show(target, true);
        return check(target);
    }
    if (target->show && target->written > 0)
        fputc('\n', stderr);
    if (target->code == 0 && !target->cut)
        return client_fail(session, flags, result);
    holdfast_result_free(result);
    if (target->cut) {
        fputs("holdfast: the node broke off, and what was written to standard output is no backup; "
              "try again\n", stderr);
        return COMMAND_NO_CLUSTER;
    }
    return refuse_file("write", target->file != NULL ? target->part : "standard output",
                       target->code);
}

int client_backup(struct session *session, const struct client_flags *flags, int argc, char **argv)
{
    (void)argc;
    struct target target = { .fd = -1, .show = isatty(STDERR_FILENO) && !flags->json };
    char sha256[SHA256_TEXT_MAX];
    int status = open_target(&target, argv[0], flags->force);
    if (status != COMMAND_OK)
        return status;
    target.sums = sums_new();
    status = fetch(session, flags, &target);
    sums_sha256(target.sums, sha256);
    if (status == COMMAND_OK && target.file != NULL)
        status = settle(&target, sha256);
    if (status == COMMAND_OK)
        report(&target, flags, sha256);
    else if (target.file != NULL)
        (void)unlink(target.part);
    if (target.file != NULL)
        close(target.fd);
    sums_free(target.sums);
    return status;
}
