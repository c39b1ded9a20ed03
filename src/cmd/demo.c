/* demo.c - `holdfast demo`: a cluster on this machine in one command. */
#include "commands.h"
#include "demo.h"
#include "values.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { FIRST_LEADER_WITHIN_MS = 20000, RESTART_AFTER_S = 3 };

struct demo_flags {
    bool tour, help;
    const char *dir;
    unsigned nodes;
};

static const struct option flag_table[] = {
    { "tour", no_argument, NULL, 't' },
    { "dir", required_argument, NULL, 'd' },
    { "nodes", required_argument, NULL, 'n' },
    { "help", no_argument, NULL, 'h' },
    { 0 },
};

static int unknown_flag(const char *given)
{
    static const char *const names[] = { "tour", "dir", "nodes", "help" };
    const char *bare = given + strspn(given, "-");
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(bare, "="), bare);
    const char *nearest = nearest_word(name, names, sizeof names / sizeof names[0]);
    if (nearest != NULL)
        return usage_error("demo has no flag --%s; did you mean --%s?", name, nearest);
    return usage_error("demo has no flag --%s; see: holdfast help demo", name);
}

static bool read_flags(int argc, char **argv, struct demo_flags *flags)
{
    *flags = (struct demo_flags){ .nodes = 3 };
    optind = 0;
    opterr = 0;
    int got;
    while ((got = getopt_long_only(argc, argv, ":", flag_table, NULL)) != -1) {
        uint64_t count;
        char why[WHY_MAX];
        switch (got) {
        case 't':
            flags->tour = true;
            break;
        case 'd':
            flags->dir = optarg;
            if (optarg[0] == '\0' || strlen(optarg) >= DEMO_PATH_MAX - 64)
                return usage_error("--dir: a path has 1 to %d bytes", DEMO_PATH_MAX - 65), false;
            break;
        case 'n':
            if (!value_count(optarg, 1, DEMO_NODES_MAX, &count, why))
                return usage_error("--nodes: %s", why), false;
            flags->nodes = (unsigned)count;
            break;
        case 'h':
            flags->help = true;
            break;
        case ':':
            return usage_error("%s needs a value", argv[optind - 1]), false;
        default:
            return unknown_flag(argv[optind - 1]), false;
        }
    }
    if (optind < argc)
        return usage_error("\"%s\" is too much: demo takes flags only", argv[optind]), false;
    if (flags->tour && flags->nodes < 3)
        return usage_error("--tour kills a node: it needs --nodes=3 or more"), false;
    return true;
}

static void print_help(void)
{
    puts("usage: holdfast demo [FLAGS]\n\n"
         "Runs a cluster of three nodes on this machine until Ctrl-C, and shows lines to try.\n\n"
         "  --tour       write, read, kill the leader, show that nothing is lost; then end\n"
         "  --dir=DIR    keep the data in DIR; else it is in a fresh directory, removed at the end\n"
         "  --nodes=N    so many nodes (3)");
}

static void print_lines_to_try(const struct demo *demo, unsigned leader)
{
    const char *first = demo->nodes[0].url, *other = demo->nodes[demo->n_nodes - 1].url;
    printf("\nThe cluster runs; %s leads.  Any node takes any request:\n\n",
           demo->nodes[leader].name);
    for (unsigned i = 0; i < demo->n_nodes; i++)
        printf("  %s  %s   process %d, its log is in %s\n", demo->nodes[i].name,
               demo->nodes[i].url, (int)demo->nodes[i].pid, demo->nodes[i].log_path);
    printf("\nTry in another terminal:\n\n"
           "  curl -X PUT %s/kv/hello -d '{\"value\":\"world\"}'\n"
           "  curl %s/kv/hello\n"
           "  curl -X DELETE %s/kv/hello\n"
           "  curl %s/cluster/info\n"
           "  curl %s/status\n"
           "  mdb_stat -a %s/node1/log\n"
           "  kill -9 %d        # the leader: see who leads then\n\n"
           "Ctrl-C stops the cluster.\n",
           first, other, first, first, other, demo->dir, (int)demo->nodes[leader].pid);
    fflush(stdout);
}

/* Until Ctrl-C.  A node that was killed is missing for a while, so that one can look at what the
 * others do, and is then started again. */
static void stay(struct demo *demo, const sigset_t *watched)
{
    const struct timespec missing = { .tv_sec = RESTART_AFTER_S };
    for (bool restart = false;;) {
        int number = restart ? sigtimedwait(watched, NULL, &missing) : sigwaitinfo(watched, NULL);
        if (number == SIGINT || number == SIGTERM)
            return;
        if (number == SIGCHLD && demo_reap(demo) > 0)
            printf("What was killed is started again in %d seconds.\n", RESTART_AFTER_S);
        for (unsigned i = 0; i < demo->n_nodes; i++) {
            struct demo_node *node = &demo->nodes[i];
            if (number < 0 && node->pid == 0 && node->killed && demo_start_node(demo, i))
                printf("%s is started again, as process %d.\n", node->name, (int)node->pid);
        }
        restart = false;
        for (unsigned i = 0; i < demo->n_nodes; i++)
            restart = restart || (demo->nodes[i].pid == 0 && demo->nodes[i].killed);
        fflush(stdout);
    }
}

static bool run(struct demo *demo, const struct demo_flags *flags, const sigset_t *watched)
{
    if (!demo_open(demo, flags->dir, flags->nodes))
        return false;
    printf("Starting %u nodes; their data is in %s\n", demo->n_nodes, demo->dir);
    for (unsigned i = 0; i < demo->n_nodes; i++)
        if (!demo_start_node(demo, i))
            return false;
    int leader = demo_wait_leader(demo, FIRST_LEADER_WITHIN_MS);
    if (leader < 0)
        return false;
    if (flags->tour)
        return demo_tour(demo);
    print_lines_to_try(demo, (unsigned)leader);
    stay(demo, watched);
    puts("\nStopping.");
    return true;
}

int demo_command(int argc, char **argv)
{
    struct demo_flags flags;
    if (!read_flags(argc, argv, &flags))
        return COMMAND_USAGE;
    if (flags.help) {
        print_help();
        return COMMAND_OK;
    }
    /* Taken by sigwait alone; the children get their own mask back. */
    sigset_t watched;
    sigemptyset(&watched);
    sigaddset(&watched, SIGINT);
    sigaddset(&watched, SIGTERM);
    sigaddset(&watched, SIGCHLD);
    sigprocmask(SIG_BLOCK, &watched, NULL);

    static struct demo demo;
    bool fine = run(&demo, &flags, &watched);
    demo_close(&demo, fine);
    return fine ? COMMAND_OK : COMMAND_NOT_FOUND;
}
