/* client_commands.c - the table of the client's subcommands, and how one is run: from the command
 * line in a session of its own, or in the shell's. */
#include "client_commands.h"
#include "client_session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct client_command commands[] = {
    { "get", "KEY", "print the value of a key",
      FLAG_COMMON | FLAG_CONNECTION | FLAG_READ | FLAG_RAW | FLAG_PERCENT, 1, 1, false,
      client_get },
    { "put", "KEY VALUE|-", "write a key; - takes the value from standard input",
      FLAG_COMMON | FLAG_CONNECTION | FLAG_CONDITION | FLAG_PERCENT, 2, 2, false, client_put },
    { "delete", "KEY | --prefix=PREFIX", "delete a key, or all keys that begin so",
      FLAG_COMMON | FLAG_CONNECTION | FLAG_CONDITION | FLAG_PERCENT | FLAG_PREFIX, 0, 1, false,
      client_delete },
    { "list", "[PREFIX]", "list keys and values in order",
      FLAG_COMMON | FLAG_CONNECTION | FLAG_READ | FLAG_RANGE | FLAG_PERCENT | FLAG_PREFIX, 0, 1,
      false, client_list },
    { "batch", "[set KEY VALUE | get KEY | delete KEY | delete-prefix PREFIX]...",
      "several operations, all or none; without arguments one a line, or JSON, from standard input",
      FLAG_COMMON | FLAG_CONNECTION | FLAG_PERCENT | FLAG_FILE, 0, WORDS_MAX, false, client_batch },
    { "status", "", "what each node says of itself", FLAG_COMMON | FLAG_CONNECTION, 0, 0, false,
      client_status },
    { "info", "", "members and leader of the cluster", FLAG_COMMON | FLAG_CONNECTION, 0, 0, false,
      client_info },
    { "member", "[list | add HOST:RAFTPORT | remove MEMBER | promote MEMBER | replace MEMBER BY]",
      "the members of the cluster, and changes of them", FLAG_COMMON | FLAG_CONNECTION | FLAG_MEMBER,
      0, 3, false, client_member },
    { "leader", "transfer [MEMBER]", "hand the leadership over", FLAG_COMMON | FLAG_CONNECTION, 1, 2,
      false, client_leader },
    { "backup", "FILE", "a copy of all data into a file, or to standard output (-)",
      FLAG_COMMON | FLAG_CONNECTION | FLAG_READ | FLAG_REPLACE, 1, 1, false, client_backup },
    { "shell", "", "an interactive session", FLAG_COMMON | FLAG_CONNECTION | FLAG_PERCENT, 0, 0,
      false, client_shell },
    { "stats", "", "counters and latencies of a node", FLAG_COMMON, 0, 0, true, client_stats },
    { "health", "", "whether the cluster answers", FLAG_COMMON, 0, 0, true, client_health },
};

enum { COMMANDS = sizeof commands / sizeof commands[0] };

const struct client_command *client_command_at(size_t i)
{
    return i < COMMANDS ? &commands[i] : NULL;
}

const struct client_command *client_command_find(const char *name)
{
    for (size_t i = 0; i < COMMANDS; i++) {
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    }
    return NULL;
}

void client_command_help(FILE *out, const struct client_command *command, bool in_shell)
{
    unsigned accepted = command->flags & ~(in_shell ? (unsigned)FLAG_CONNECTION : 0u);
    fprintf(out, "usage: %s%s [FLAGS]%s%s\n\n%s\n\n", in_shell ? "" : "holdfast ", command->name,
            command->synopsis[0] == '\0' ? "" : " ", command->synopsis, command->summary);
    client_flags_help(out, accepted);
    if (!in_shell)
        fputs("\nexit status: 0 done, 1 no such key or the condition does not hold, 2 wrong usage, "
              "3 no answer from\nthe cluster, 4 unknown whether the write was applied\n",
              out);
}

static int run_parsed(struct session *session, const struct client_command *command,
                      const struct client_flags *flags, int argc, char **argv)
{
    if (flags->help) {
        client_command_help(stdout, command, session->in_shell);
        return COMMAND_OK;
    }
    if (argc < command->args_min || argc > command->args_max)
        return command->args_max == 0
                   ? usage_error("%s takes no arguments", command->name)
                   : usage_error("%s takes %s; an argument with spaces needs quotes", command->name,
                                 command->synopsis);
    return command->run(session, flags, argc, argv);
}

int client_command_run(struct session *session, const struct client_command *command, int argc,
                       char **argv)
{
    struct client_flags flags = session->base;
    unsigned accepted = command->flags & ~(unsigned)FLAG_CONNECTION;
    int first = 0;
    if (!client_flags_parse(command->name, accepted, argc, argv, &flags, &first))
        return COMMAND_USAGE;
    return run_parsed(session, command, &flags, argc - first, argv + first);
}

static const char *endpoints_of(const struct client_flags *flags)
{
    const char *environment = getenv("HOLDFAST_ENDPOINTS");
    if (flags->endpoints != NULL)
        return flags->endpoints;
    return environment != NULL && environment[0] != '\0' ? environment
                                                         : "http://localhost:8001,8002,8003";
}

static bool session_open(struct session *session, const struct client_flags *flags)
{
    struct holdfast_options options = HOLDFAST_OPTIONS_INIT;
    char why[HOLDFAST_MESSAGE_MAX];
    options.timeout_ms = flags->timeout_ms;
    options.only_endpoints = flags->only_endpoints;
    options.user_agent = "holdfast";
    if (holdfast_open(endpoints_of(flags), &options, &session->db, why) == HOLDFAST_OK)
        return true;
    usage_error("%s", why);
    return false;
}

int client_command_main(const char *name, int argc, char **argv)
{
    const struct client_command *command = client_command_find(name);
    struct client_flags flags = { 0 };
    struct session session = { 0 };
    int first = 0, status = COMMAND_USAGE;
    if (command == NULL || command->shell_only)
        return usage_error("there is no command \"%s\"; see: holdfast help", name);
    if (!client_flags_parse(name, command->flags, argc, argv, &flags, &first))
        return COMMAND_USAGE;
    if (flags.help || session_open(&session, &flags)) {
        status = run_parsed(&session, command, &flags, argc - first, argv + first);
        holdfast_close(session.db);
    }
    if (fflush(stdout) != 0 || ferror(stdout)) {
        if (errno != EPIPE)
            fprintf(stderr, "holdfast: standard output cannot be written: %s\n", strerror(errno));
        return status == COMMAND_OK ? COMMAND_NOT_FOUND : status;
    }
    return status;
}
