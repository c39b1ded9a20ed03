/* main.c - finds the subcommand and hands over to it. */
#include "client_commands.h"
#include "commands.h"
#include "values.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

struct command {
    const char *name, *summary;
    int (*run)(int argc, char **argv); /* NULL: client_command_main's */
};

static int help_command(int argc, char **argv);

static const struct command commands[] = {
    { "server", "run a node", server_command },
    { "demo", "run a cluster of three nodes on this machine", demo_command },
    { "get", "read a key", NULL },
    { "put", "write a key", NULL },
    { "delete", "delete a key, or all keys with a prefix", NULL },
    { "list", "list keys by prefix or range", NULL },
    { "batch", "several operations, all or none", NULL },
    { "status", "what a node says of itself", NULL },
    { "info", "members and leader of the cluster", NULL },
    { "member", "who belongs to the cluster: list, add, remove, promote, replace", NULL },
    { "leader", "hand the leadership over", NULL },
    { "backup", "a copy of all data into a file", NULL },
    { "restore", "a data directory for a new cluster out of a backup", restore_command },
    { "recover", "go on with one node when the others are lost", recover_command },
    { "shell", "an interactive session", NULL },
    { "doctor", "what is wrong with a cluster or a data directory, and what to do", doctor_command },
    { "inspect", "what is in a node's data directory", inspect_command },
    { "version", "versions of the program and its libraries", version_command },
    { "help", "this list, or help on one command", help_command },
};

enum { COMMANDS = sizeof commands / sizeof commands[0] };

static int unknown_command(const char *name)
{
    const char *names[COMMANDS];
    for (size_t i = 0; i < COMMANDS; i++)
        names[i] = commands[i].name;
    const char *nearest = nearest_word(name, names, COMMANDS);
    if (nearest != NULL)
        return usage_error("there is no command \"%s\"; did you mean \"%s\"?", name, nearest);
    return usage_error("there is no command \"%s\"; see: holdfast help", name);
}

static int run(const char *name, int argc, char **argv)
{
    for (size_t i = 0; i < COMMANDS; i++) {
        if (strcmp(commands[i].name, name) != 0)
            continue;
        return commands[i].run ? commands[i].run(argc, argv) : client_command_main(name, argc, argv);
    }
    return unknown_command(name);
}

static int help_command(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "help") != 0) {
        char name[64], flag[] = "--help";
        snprintf(name, sizeof name, "%s", argv[1]);
        char *asked[] = { name, flag, NULL };
        return run(name, 2, asked);
    }
    puts("usage: holdfast COMMAND [FLAGS]\n\ncommands:");
    for (size_t i = 0; i < COMMANDS; i++)
        printf("  %-10s %s\n", commands[i].name, commands[i].summary);
    puts("\nTry: holdfast demo          a cluster on this machine, with lines to try\n"
         "     holdfast server        a cluster of one node on localhost:8001\n"
         "     holdfast help COMMAND  the flags of one command\n"
         "Manual pages: holdfast(1), holdfast-server(8), holdfast-api(7), holdfast.conf(5)");
    return COMMAND_OK;
}

/* The value of -mode among the arguments, which is taken out of them; NULL if there is none. */
static const char *take_mode(int *argc, char **argv)
{
    for (int i = 1; i < *argc; i++) {
        const char *bare = argv[i] + strspn(argv[i], "-");
        if (argv[i][0] != '-' || strncmp(bare, "mode", 4) != 0)
            continue;
        int taken = bare[4] == '=' ? 1 : bare[4] == '\0' && i + 1 < *argc ? 2 : 0;
        if (taken == 0)
            continue;
        const char *mode = taken == 1 ? bare + 5 : argv[i + 1];
        memmove(argv + i, argv + i + taken, (size_t)(*argc - i - taken + 1) * sizeof *argv);
        *argc -= taken;
        return mode;
    }
    return NULL;
}

/* `holdfast -mode=server -id=node1 ...`: the mode names the command. */
static int run_mode(int argc, char **argv)
{
    const char *mode = take_mode(&argc, argv);
    if (mode == NULL)
        return usage_error("say which command: holdfast server, holdfast demo, ...; see: holdfast "
                           "help");
    if (strcmp(mode, "server") == 0)
        return server_command(argc, argv);
    if (strcmp(mode, "client") == 0)
        return client_command_main("shell", argc, argv);
    if (strcmp(mode, "demo") == 0)
        return demo_command(argc, argv);
    return usage_error("there is no mode \"%s\": it is server, client or demo", mode);
}

int main(int argc, char **argv)
{
    /* A peer or reader that goes away shows as EPIPE where it is written to. */
    signal(SIGPIPE, SIG_IGN);
    if (argc < 2) {
        help_command(1, argv);
        return COMMAND_USAGE;
    }
    const char *first = argv[1];
    if (first[0] != '-')
        return run(first, argc - 1, argv + 1);
    const char *bare = first + strspn(first, "-");
    if (strcmp(bare, "help") == 0 || strcmp(bare, "h") == 0)
        return help_command(argc - 1, argv + 1);
    if (strcmp(bare, "version") == 0)
        return version_command(argc - 1, argv + 1);
    return run_mode(argc, argv);
}
