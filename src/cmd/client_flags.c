/* client_flags.c - the flags of the client's subcommands. */
#include "client_session.h"
#include "values.h"

#include <getopt.h>
#include <string.h>

enum flag_id {
    ID_ENDPOINTS = 1,
    ID_ONLY_ENDPOINTS,
    ID_OUTPUT,
    ID_TIMEOUT,
    ID_HELP,
    ID_CONSISTENCY,
    ID_MAX_STALE,
    ID_MIN_REVISION,
    ID_IF_REVISION,
    ID_RAW,
    ID_PERCENT,
    ID_PREFIX,
    ID_START,
    ID_END,
    ID_LIMIT,
    ID_KEYS_ONLY,
    ID_COUNT,
    ID_REVERSE,
    ID_FILE,
    ID_FORCE,
    ID_LEARNER,
};

static const struct flag_row {
    const char *name, *argument, *text;
    enum flag_id id;
    enum client_flag group;
} rows[] = {
    { "prefix", "PREFIX", "keys that begin so", ID_PREFIX, FLAG_PREFIX },
    { "start", "KEY", "the first key to list", ID_START, FLAG_RANGE },
    { "end", "KEY", "the first key not to list", ID_END, FLAG_RANGE },
    { "limit", "N", "at most so many keys (default: all)", ID_LIMIT, FLAG_RANGE },
    { "keys-only", NULL, "without values", ID_KEYS_ONLY, FLAG_RANGE },
    { "count", NULL, "print how many keys there are, not the keys", ID_COUNT, FLAG_RANGE },
    { "reverse", NULL, "the last key first", ID_REVERSE, FLAG_RANGE },
    { "if-revision", "N", "only if the key is at this revision (0: only if it does not exist)",
      ID_IF_REVISION, FLAG_CONDITION },
    { "raw", NULL, "the bytes of the value alone, without a newline", ID_RAW, FLAG_RAW },
    { "percent", NULL, "keys are percent-encoded: a%20b, %00", ID_PERCENT, FLAG_PERCENT },
    { "file", "FILE", "read the operations from a file", ID_FILE, FLAG_FILE },
    { "force", NULL, "remove or replace though no majority of the others answers", ID_FORCE,
      FLAG_MEMBER },
    { "force", NULL, "replace a file that is there already", ID_FORCE, FLAG_REPLACE },
    { "learner", NULL, "add: it stays a learner, without a vote", ID_LEARNER, FLAG_MEMBER },
    { "consistency", "KIND", "linearizable (default), lease or stale", ID_CONSISTENCY, FLAG_READ },
    { "max-stale", "DURATION", "with stale: refuse what is older", ID_MAX_STALE, FLAG_READ },
    { "min-revision", "N", "wait until the node has this revision", ID_MIN_REVISION, FLAG_READ },
    { "endpoints", "LIST",
      "nodes to ask (default: $HOLDFAST_ENDPOINTS, else "
      "http://localhost:8001,8002,8003)",
      ID_ENDPOINTS, FLAG_CONNECTION },
    { "only-endpoints", NULL, "speak to no node but those", ID_ONLY_ENDPOINTS, FLAG_CONNECTION },
    { "output", "KIND", "text (default) or json", ID_OUTPUT, FLAG_COMMON },
    { "timeout", "DURATION", "how long to try (default: 5s)", ID_TIMEOUT, FLAG_COMMON },
    { "help", NULL, "this text", ID_HELP, FLAG_COMMON },
};

enum { ROWS = sizeof rows / sizeof rows[0], TIMEOUT_MAX_MS = 3600 * 1000 };

void client_flags_help(FILE *out, unsigned accepted)
{
    for (size_t i = 0; i < ROWS; i++) {
        char flag[64];
        if ((rows[i].group & accepted) == 0)
            continue;
        snprintf(flag, sizeof flag, "--%s%s%s", rows[i].name, rows[i].argument == NULL ? "" : "=",
                 rows[i].argument == NULL ? "" : rows[i].argument);
        fprintf(out, "  %-24s %s\n", flag, rows[i].text);
    }
}

static bool read_duration(const char *text, uint32_t *out, char *why)
{
    uint64_t ms = 0;
    if (!value_duration(text, 1, TIMEOUT_MAX_MS, &ms, why))
        return false;
    *out = (uint32_t)ms;
    return true;
}

static bool read_number(char *text, struct client_flags *flags, enum flag_id id, char *why)
{
    uint64_t number = 0;
    if (!value_count(text, id == ID_LIMIT || id == ID_MIN_REVISION ? 1 : 0,
                     id == ID_LIMIT ? UINT32_MAX : UINT64_MAX, &number, why))
        return false;
    if (id == ID_LIMIT) {
        flags->limit = (uint32_t)number;
    } else if (id == ID_MIN_REVISION) {
        flags->min_revision = number;
    } else {
        flags->conditional = true;
        flags->if_revision = number;
    }
    return true;
}

static bool read_word(const char *text, struct client_flags *flags, enum flag_id id, char *why)
{
    static const char *const kinds[] = { "linearizable", "lease", "stale" };
    static const char *const outputs[] = { "text", "json" };
    size_t place = 0;
    bool is_output = id == ID_OUTPUT;
    if (!value_choice(text, is_output ? outputs : kinds, is_output ? 2 : 3, &place, why))
        return false;
    if (is_output)
        flags->json = place == 1;
    else
        flags->consistency = (enum holdfast_consistency)place;
    return true;
}

static bool set_flag(struct client_flags *flags, enum flag_id id, char *text, char *why)
{
    switch (id) {
    case ID_ENDPOINTS:
        flags->endpoints = text;
        break;
    case ID_ONLY_ENDPOINTS:
        flags->only_endpoints = true;
        break;
    case ID_HELP:
        flags->help = true;
        break;
    case ID_FORCE:
        flags->force = true;
        break;
    case ID_LEARNER:
        flags->learner = true;
        break;
    case ID_RAW:
        flags->raw = true;
        break;
    case ID_PERCENT:
        flags->percent = true;
        break;
    case ID_KEYS_ONLY:
        flags->keys_only = true;
        break;
    case ID_COUNT:
        flags->count = true;
        break;
    case ID_REVERSE:
        flags->reverse = true;
        break;
    case ID_FILE:
        flags->file = text;
        break;
    case ID_START:
        flags->start = text;
        break;
    case ID_END:
        flags->end = text;
        break;
    case ID_PREFIX:
        flags->prefix = text;
        flags->has_prefix = true;
        break;
    case ID_TIMEOUT:
        return read_duration(text, &flags->timeout_ms, why);
    case ID_MAX_STALE:
        flags->consistency = HOLDFAST_STALE;
        return read_duration(text, &flags->max_stale_ms, why);
    case ID_OUTPUT:
    case ID_CONSISTENCY:
        return read_word(text, flags, id, why);
    case ID_LIMIT:
    case ID_MIN_REVISION:
    case ID_IF_REVISION:
        return read_number(text, flags, id, why);
    }
    return true;
}

/* The flag's own name in what the user wrote: "--tiemout=5s" -> "tiemout". */
static void bare_name(const char *written, char out[64])
{
    written += strspn(written, "-");
    snprintf(out, 64, "%.*s", (int)strcspn(written, "="), written);
}

static void say_unknown(const char *name, const char *written, const struct option *known, size_t n)
{
    const char *names[ROWS];
    char bare[64];
    bare_name(written, bare);
    for (size_t i = 0; i < n; i++)
        names[i] = known[i].name;
    const char *nearest = nearest_word(bare, names, n);
    if (nearest != NULL)
        usage_error("%s has no flag \"%s\"; did you mean --%s?", name, written, nearest);
    else
        usage_error("%s has no flag \"%s\"; see: holdfast help %s, and put -- before an argument "
                    "that begins with a dash",
                    name, written, name);
}

bool client_flags_parse(const char *name, unsigned accepted, int argc, char **argv,
                        struct client_flags *flags, int *first)
{
    struct option known[ROWS + 1];
    size_t n = 0;
    memset(known, 0, sizeof known);
    for (size_t i = 0; i < ROWS; i++) {
        if ((rows[i].group & accepted) == 0)
            continue;
        known[n++] = (struct option) { rows[i].name,
                                       rows[i].argument == NULL ? no_argument : required_argument,
                                       NULL, (int)rows[i].id };
    }
    opterr = 0;
    optind = 0; /* begin anew */
    for (;;) {
        char why[WHY_MAX];
        int place = 0;
        int at = optind == 0 ? 1 : optind;
        int id = getopt_long_only(argc, argv, ":", known, &place);
        if (id == -1)
            break;
        if (id == ':') {
            usage_error("flag %s of %s needs a value", argv[optind - 1], name);
            return false;
        }
        if (id == '?') {
            /* Where getopt stands is the flag itself, or the one after it. */
            const char *written = argv[optind - 1];
            if (written[0] != '-' && at < argc)
                written = argv[at];
            say_unknown(name, written, known, n);
            return false;
        }
        if (!set_flag(flags, (enum flag_id)id, optarg, why)) {
            usage_error("--%s: %s", known[place].name, why);
            return false;
        }
    }
    *first = optind;
    return true;
}
