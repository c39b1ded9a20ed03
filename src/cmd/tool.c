/* tool.c - see tool.h. */
#include "tool.h"

#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FLAGS_MAX = 24 };

/* ---- flags */

static bool set_flag(const struct tool_flag *flag, const char *text, char *why)
{
    static const char *const outputs[] = { "text", "json" };
    size_t place;
    switch (flag->kind) {
    case TOOL_TEXT:
        *(const char **)flag->at = text;
        return true;
    case TOOL_TRUE:
        *(bool *)flag->at = true;
        return true;
    case TOOL_COUNT:
        return value_count(text, flag->least, UINT64_MAX, flag->at, why);
    case TOOL_DURATION:
        return value_duration(text, flag->least, 3600 * 1000, flag->at, why);
    case TOOL_OUTPUT:
        break;
    }
    if (!value_choice(text, outputs, 2, &place, why))
        return false;
    *(bool *)flag->at = place == 1;
    return true;
}

static void say_unknown(const char *name, const char *written, const struct tool_flag *flags,
                        size_t n)
{
    const char *names[FLAGS_MAX];
    char bare[64];
    snprintf(bare, sizeof bare, "%.*s", (int)strcspn(written + strspn(written, "-"), "="),
             written + strspn(written, "-"));
    for (size_t i = 0; i < n; i++)
        names[i] = flags[i].name;
    const char *nearest = nearest_word(bare, names, n);
    if (nearest != NULL)
        usage_error("%s has no flag \"%s\"; did you mean --%s?", name, written, nearest);
    else
        usage_error("%s has no flag \"%s\"; see: holdfast help %s", name, written, name);
}

bool tool_flags_parse(const char *name, const struct tool_flag *flags, size_t n, int argc,
                      char **argv, int *first)
{
    struct option known[FLAGS_MAX + 1];
    memset(known, 0, sizeof known);
    for (size_t i = 0; i < n; i++)
        known[i] = (struct option) { flags[i].name,
                                     flags[i].argument == NULL ? no_argument : required_argument,
                                     NULL, (int)i + 1 };
    opterr = 0;
    optind = 0; /* begin anew */
    for (;;) {
        char why[WHY_MAX];
        int at = optind == 0 ? 1 : optind;
        int id = getopt_long_only(argc, argv, ":", known, NULL);
        if (id == -1)
            break;
        if (id == ':') {
            usage_error("flag %s of %s needs a value", argv[optind - 1], name);
            return false;
        }
        if (id == '?') {
            const char *written = argv[optind - 1];
            say_unknown(name, written[0] != '-' && at < argc ? argv[at] : written, flags, n);
            return false;
        }
        if (!set_flag(&flags[id - 1], optarg, why)) {
            usage_error("--%s: %s", flags[id - 1].name, why);
            return false;
        }
    }
    *first = optind;
    return true;
}

void tool_flags_help(const struct tool_flag *flags, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char flag[64];
        snprintf(flag, sizeof flag, "--%s%s%s", flags[i].name, flags[i].argument == NULL ? "" : "=",
                 flags[i].argument == NULL ? "" : flags[i].argument);
        printf("  %-24s %s\n", flag, flags[i].text);
    }
}

/* ---- directories */

/* A directory of ours, be it damaged: it has the lock file, or one of the environments. */
static bool is_node(const char *path)
{
    static const char *const signs[] = { "LOCK", "log/data.mdb", "state/data.mdb" };
    for (size_t i = 0; i < sizeof signs / sizeof signs[0]; i++) {
        char file[OPTION_PATH_MAX + 64];
        snprintf(file, sizeof file, "%s/%s", path, signs[i]);
        if (access(file, F_OK) == 0)
            return true;
    }
    return false;
}

static bool join(char out[OPTION_PATH_MAX], const char *path, const char *name)
{
    return snprintf(out, OPTION_PATH_MAX, "%s/%s", path, name) < OPTION_PATH_MAX;
}

static bool find_only(const char *data_dir, char out[OPTION_PATH_MAX])
{
    char names[512] = "", path[OPTION_PATH_MAX];
    unsigned n = 0;
    struct dirent *entry;
    DIR *dir = opendir(data_dir);
    if (dir == NULL) {
        usage_error("cannot read the data directory %s: %s; name it with --data-dir", data_dir,
                    strerror(errno));
        return false;
    }
    while ((entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] == '.' || !join(path, data_dir, entry->d_name) || !is_node(path))
            continue;
        size_t used = strlen(names);
        snprintf(names + used, sizeof names - used, "%s%s", n > 0 ? ", " : "", entry->d_name);
        memcpy(out, path, sizeof path);
        n++;
    }
    closedir(dir);
    if (n > 1)
        usage_error("%s holds the data of more than one node; say which with --id: %s", data_dir,
                    names);
    else if (n == 0)
        usage_error("%s holds no data of a node: no node has ever started there; name the directory "
                    "with --data-dir, and the node with --id",
                    data_dir);
    return n == 1;
}

bool tool_directory(const char *data_dir, const char *id, char out[OPTION_PATH_MAX])
{
    char name[NODE_NAME_MAX + 1], why[WHY_MAX];
    if (id == NULL && is_node(data_dir) && strlen(data_dir) < OPTION_PATH_MAX) {
        snprintf(out, OPTION_PATH_MAX, "%s", data_dir);
        return true;
    }
    if (id == NULL)
        return find_only(data_dir, out);
    if (!value_name(id, name, why)) {
        usage_error("--id: %s", why);
        return false;
    }
    if (join(out, data_dir, name) && is_node(out))
        return true;
    usage_error("%s/%s holds no data of a node: name the directory with --data-dir, and the node "
                "with --id",
                data_dir, name);
    return false;
}

/* ---- files that cannot be read */

static char guard_line[1024];

static void on_fault(int number)
{
    ssize_t written = write(STDOUT_FILENO, guard_line, strlen(guard_line));
    (void)number;
    _exit(written < 0 ? COMMAND_USAGE : COMMAND_NOT_FOUND);
}

void tool_guard(const char *line)
{
    static const int signals[] = { SIGBUS, SIGSEGV, SIGABRT };
    struct sigaction action = { .sa_handler = line == NULL ? SIG_DFL : on_fault };
    fflush(stdout);
    snprintf(guard_line, sizeof guard_line, "%s", line == NULL ? "" : line);
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        sigaction(signals[i], &action, NULL);
}

int tool_finish(int status)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    if (errno != EPIPE)
        fprintf(stderr, "holdfast: standard output cannot be written: %s\n", strerror(errno));
    return status == COMMAND_OK ? COMMAND_NOT_FOUND : status;
}
