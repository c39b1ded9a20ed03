/* recover.c - holdfast recover: when more than half of the voters are lost for ever, one of the
 * others goes on alone with what it has. */
#include "commands.h"
#include "server_process.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void print_help(void)
{
    puts("usage: holdfast recover [--yes] [FLAGS]\n\n"
         "Makes a stopped node a cluster of itself, with what it has, when more than half of the voters\n"
         "are lost for ever.  FLAGS are those with which the node was started; --data-dir and --id tell\n"
         "which node it is.  Says what may be lost, and asks; --yes: does not ask.  See holdfast(1).");
}

/* Takes --yes out of the arguments. */
static bool take_yes(int *argc, char **argv)
{
    for (int i = 1; i < *argc; i++) {
        if (argv[i][0] != '-' || strcmp(argv[i] + strspn(argv[i], "-"), "yes") != 0)
            continue;
        memmove(argv + i, argv + i + 1, (size_t)(*argc - i) * sizeof *argv);
        --*argc;
        return true;
    }
    return false;
}

static void explain(const char *path, const struct recovery *r)
{
    printf("%s: node %s (%016" PRIx64 ") of cluster %016" PRIx64 "\n"
           "  its state: %" PRIu64 " keys at revision %" PRIu64 ", entry %" PRIu64 " applied\n"
           "  its log: ends at entry %" PRIu64 " of term %" PRIu64 "; its own term is %" PRIu64 "\n\n",
           path, r->identity.name, r->identity.id, r->identity.cluster, r->keys, r->revision,
           r->applied, r->last, r->last_term, r->term);
    if (r->last > r->applied)
        printf("The %" PRIu64 " entries behind the applied one will count as committed, whether the\n"
               "cluster had acknowledged them or not.\n", r->last - r->applied);
    printf("What the other nodes acknowledged after entry %" PRIu64 ", and this one never got, IS LOST.\n"
           "Of several nodes that are left, recover the one whose log ends at the highest term, and of\n"
           "those at the highest entry; delete the data of the others.\n\n"
           "This node will be the only member of a new cluster, %016" PRIx64 ".  The members of the old\n"
           "one can never come back: they are refused.  Others join with empty directories and --join.\n",
           r->last, r->cluster);
}

static bool agreed(bool yes)
{
    char answer[16] = "";
    if (yes)
        return true;
    if (!isatty(STDIN_FILENO)) {
        usage_error("nothing was done: to do it without being asked, say --yes");
        return false;
    }
    fputs("\nType yes to do it: ", stdout);
    fflush(stdout);
    if (fgets(answer, sizeof answer, stdin) != NULL && strcmp(answer, "yes\n") == 0)
        return true;
    puts("nothing was done");
    return false;
}

static int fail(enum err err, const char *message)
{
    usage_error("%s", message);
    return err == ERR_CORRUPT ? EXIT_STATUS_CORRUPT : EXIT_STATUS_USAGE;
}

static int run(const struct options *options, bool yes)
{
    char path[OPTION_PATH_MAX + NODE_NAME_MAX + 2], message[STORAGE_MESSAGE_MAX];
    struct recovery recovery;
    if (options->storage != STORAGE_LMDB)
        return usage_error("recover works on a data directory, and --storage=memory has none");
    server_data_path(options, path, sizeof path);
    enum err err = data_directory_recover(path, false, &recovery, message);
    if (err != OK)
        return fail(err, message);
    if (!recovery.done) {
        explain(path, &recovery);
        if (!agreed(yes))
            return EXIT_STATUS_USAGE;
        err = data_directory_recover(path, true, &recovery, message);
        if (err != OK)
            return fail(err, message);
    }
    printf("%s: start the node with the flags that it had; others join it with --join=%s\n",
           recovery.done ? "it is recovered already" : "recovered", recovery.identity.raft_addr);
    return EXIT_STATUS_OK;
}

int recover_command(int argc, char **argv)
{
    struct options *options = memory_new(sizeof *options);
    char why[WHY_MAX];
    bool help = false, yes = take_yes(&argc, argv);
    int status = EXIT_STATUS_OK;
    if (!options_load(argc, argv, options, &help, why))
        status = usage_error("%s", why);
    else if (help)
        print_help();
    else
        status = run(options, yes);
    free(options);
    return status;
}
