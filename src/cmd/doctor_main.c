/* doctor_main.c - flags of `holdfast doctor`. */
#include "doctor.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void print_help(const struct tool_flag *flags, size_t n)
{
    puts("usage: holdfast doctor [--data-dir=DIR [--id=NAME] | --endpoints=LIST] [FLAGS]\n\n"
         "looks at the data directory of a node, stopped or running, or else at a cluster, and says "
         "what is\nwrong and what to do; changes nothing\n");
    tool_flags_help(flags, n);
    puts("\nexit status: 0 nothing is wrong but what is called a warning, 1 there is a problem, 2 "
         "wrong usage,\n3 no node answered");
}

static const char *endpoints_or_default(const char *asked)
{
    const char *environment = getenv("HOLDFAST_ENDPOINTS");
    if (asked != NULL)
        return asked;
    return environment != NULL && environment[0] != '\0' ? environment
                                                         : "http://localhost:8001,8002,8003";
}

int doctor_command(int argc, char **argv)
{
    const char *data_dir = NULL, *id = NULL, *endpoints = NULL;
    uint64_t timeout_ms = 2000;
    bool help = false;
    char path[OPTION_PATH_MAX];
    struct report report = { .out = stdout, .progress = isatty(STDERR_FILENO) };
    const struct tool_flag flags[] = {
        { "data-dir", "DIR", "of one node, or of several", TOOL_TEXT, &data_dir, 0 },
        { "id", "NAME", "the node's name, if the directory holds several", TOOL_TEXT, &id, 0 },
        { "endpoints", "LIST",
          "nodes to ask (default: $HOLDFAST_ENDPOINTS, else http://localhost:8001,8002,8003)",
          TOOL_TEXT, &endpoints, 0 },
        { "timeout", "DURATION", "how long one node may take to answer (default: 2s)",
          TOOL_DURATION, &timeout_ms, 1 },
        { "output", "KIND", "text (default) or json: an object a line", TOOL_OUTPUT, &report.json,
          0 },
        { "help", NULL, "this text", TOOL_TRUE, &help, 0 },
    };
    size_t n = sizeof flags / sizeof flags[0];
    int first;
    if (!tool_flags_parse("doctor", flags, n, argc, argv, &first))
        return COMMAND_USAGE;
    if (help) {
        print_help(flags, n);
        return COMMAND_OK;
    }
    if (first < argc)
        return usage_error("doctor takes no arguments, only flags; see: holdfast help doctor");
    if (endpoints != NULL && (data_dir != NULL || id != NULL))
        return usage_error("doctor looks at a data directory or at a cluster: give --data-dir or "
                           "--endpoints, not both");
    if (data_dir == NULL && id == NULL)
        return tool_finish(doctor_online(&report, endpoints_or_default(endpoints),
                                         (uint32_t)timeout_ms));
    if (!tool_directory(data_dir != NULL ? data_dir : "./data", id, path))
        return COMMAND_USAGE;
    return tool_finish(doctor_offline(&report, path));
}
