/* restore.c - holdfast restore: a data directory for one node of a new cluster, out of a backup.
 *
 * All nodes compute the same cluster id, from their addresses and the backup's checksum, so that
 * no node of the old cluster, nor of another restore, is taken for one of them. */
#include "commands.h"
#include "server_process.h"
#include "sums.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int fail(const char *file, const char *sentence)
{
    fprintf(stderr, "holdfast: %s%s%s; nothing was changed\n", file, file[0] != '\0' ? " " : "",
            sentence);
    return EXIT_STATUS_CORRUPT;
}

/* ---- is it a backup, and whole? */

static int check_sum(const char *file)
{
    char wanted[SHA256_TEXT_MAX], found[SHA256_TEXT_MAX];
    int code = sums_read(file, wanted);
    if (code == ENOENT) {
        fprintf(stderr, "holdfast: there is no %s.sha256; the checksums inside the file are looked at "
                "alone\n", file);
        return EXIT_STATUS_OK;
    }
    if (code == EINVAL)
        return fail(file, "has a .sha256 beside it that does not begin with a checksum");
    if (code == 0)
        code = sums_of_file(file, found);
    if (code != 0)
        return usage_error("cannot read %s and its .sha256: %s", file, strerror(code));
    return strcmp(wanted, found) == 0
               ? EXIT_STATUS_OK
               : fail(file, "is damaged: it does not match the SHA-256 beside it");
}

struct finding {
    enum err err;
    struct snapshot_info info;
    char message[STORAGE_MESSAGE_MAX];
};

/* In a process of its own: LMDB believes its pages, and one that is damaged may kill it. */
static int examine(const char *file, struct finding *out)
{
    int ends[2], status = 0;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return usage_error("cannot look at %s: %s", file, strerror(errno));
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
        if (null >= 0) /* what LMDB says when it gives up is not for people */
            (void)dup2(null, STDERR_FILENO);
        out->err = snapshot_file_check(file, &out->info, out->message);
        _exit(write(ends[1], out, sizeof *out) == (ssize_t)sizeof *out ? 0 : 1);
    }
    close(ends[1]);
    ssize_t got = child > 0 ? read(ends[0], out, sizeof *out) : -1;
    close(ends[0]);
    if (child < 0 || waitpid(child, &status, 0) != child)
        return usage_error("cannot look at %s: %s", file, strerror(errno));
    if (got != (ssize_t)sizeof *out || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return fail(file, "is damaged: it cannot be read to its end");
    if (out->err != OK)
        return fail("", out->message);
    return EXIT_STATUS_OK;
}

/* ---- the directory */

static uint64_t new_cluster(uint64_t of_members, uint64_t of_file)
{
    unsigned char bytes[8];
    for (unsigned i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(of_members >> (8 * i));
    uint64_t cluster = checksum(of_file, slice_of(bytes, sizeof bytes));
    return cluster != 0 ? cluster : 1;
}

static int make(struct process *process, const char *file, const struct snapshot_info *seen)
{
    char path[OPTION_PATH_MAX + NODE_NAME_MAX + 2], message[STORAGE_MESSAGE_MAX];
    struct identity *identity = &process->config.identity;
    struct snapshot_info info;
    server_data_path(&process->options, path, sizeof path);
    identity->cluster = new_cluster(identity->cluster, seen->checksum);
    enum err err = data_directory_restore(path, identity, file, true, &info, message);
    if (err != OK) {
        usage_error("%s", message);
        return err == ERR_CORRUPT ? EXIT_STATUS_CORRUPT : EXIT_STATUS_USAGE;
    }
    if (info.checksum != seen->checksum)
        return usage_error("%s changed while it was read; remove %s and begin again", file, path);
    char size[TEXT_SIZE_MAX];
    text_size(info.size, size);
    printf("restored %s into %s\n"
           "  %" PRIu64 " keys at revision %" PRIu64 ", %s, digest %016" PRIx64 "\n"
           "  new cluster %016" PRIx64 " of %u: %s\n"
           "Restore the same file for each of these nodes, then start each with its flags.\n",
           file, path, info.keys, info.revision, size, info.digest, identity->cluster,
           process->config.n_members, identity->members);
    return EXIT_STATUS_OK;
}

/* ---- the command */

static void print_help(void)
{
    puts("usage: holdfast restore FILE [FLAGS]\n\n"
         "Makes the data directory of one node of a new cluster out of a backup.  FLAGS are those with\n"
         "which the node will be started: above all --id, --raft-addr, --peers and --data-dir.  Run it\n"
         "for each node, with the same file.  See holdfast(1).");
}

static int check_options(const struct options *options)
{
    if (options->join.n > 0 || options->discover.kind != DISCOVER_NOT)
        return usage_error("restore begins a new cluster: name its nodes with --peers; others --join "
                           "or --discover it later, without restore");
    if (options->storage != STORAGE_LMDB)
        return usage_error("restore makes a data directory, and --storage=memory has none");
    return EXIT_STATUS_OK;
}

static int run(struct process *process, const char *file, int argc, char **argv)
{
    struct finding finding = { 0 };
    char why[WHY_MAX];
    bool help = false;
    if (!options_load(argc, argv, &process->options, &help, why))
        return usage_error("%s", why);
    if (help) {
        print_help();
        return EXIT_STATUS_OK;
    }
    int status = check_options(&process->options);
    if (status == EXIT_STATUS_OK && !server_identity(process, why))
        status = usage_error("%s", why);
    if (status == EXIT_STATUS_OK)
        status = access(file, R_OK) == 0
                     ? check_sum(file)
                     : usage_error("cannot read %s: %s; give the path of a backup", file,
                                   strerror(errno));
    if (status == EXIT_STATUS_OK)
        status = examine(file, &finding);
    return status == EXIT_STATUS_OK ? make(process, file, &finding.info) : status;
}

int restore_command(int argc, char **argv)
{
    if (argc < 2 || argv[1][0] == '-') {
        const char *bare = argc < 2 ? "" : argv[1] + strspn(argv[1], "-");
        if (strcmp(bare, "help") == 0) {
            print_help();
            return EXIT_STATUS_OK;
        }
        return usage_error("name the backup first: holdfast restore FILE --id=... --peers=...");
    }
    struct process *process = memory_new(sizeof *process);
    int status = run(process, argv[1], argc - 1, argv + 1); /* the file in the place of the name */
    free(process);
    return status;
}
