/* options.c - the table of the server's options and where their values come from. */
#include "options.h"

#include <ctype.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

struct spec;
typedef bool parse_fn(const struct spec *spec, const char *text, struct options *out, char *why);

struct spec {
    const char *name, *placeholder;
    const char *fallback; /* the default as one would write it; NULL: none */
    const char *help;
    parse_fn *parse;
    size_t offset;        /* of the value in struct options */
    uint64_t min, max;    /* of numbers */
    const char *const *words; /* of choices, ends with NULL */
};

static void *field(const struct spec *spec, struct options *out)
{
    return (char *)out + spec->offset;
}

static bool parse_name(const struct spec *spec, const char *text, struct options *out, char *why)
{
    return value_name(text, field(spec, out), why);
}

static bool parse_address(const struct spec *spec, const char *text, struct options *out, char *why)
{
    return value_address(text, field(spec, out), why);
}

static bool parse_addresses(const struct spec *spec, const char *text, struct options *out,
                            char *why)
{
    return value_addresses(text, field(spec, out), why);
}

static bool parse_discover(const struct spec *spec, const char *text, struct options *out, char *why)
{
    return value_discover(text, field(spec, out), why);
}

static bool parse_word(const struct spec *spec, const char *text, struct options *out, char *why)
{
    size_t size = strlen(text);
    if (size == 0 || size > ADDRESS_MAX) {
        snprintf(why, WHY_MAX, "a member is named by its name, its id or its raft address");
        return false;
    }
    memcpy(field(spec, out), text, size + 1);
    return true;
}

static bool parse_path(const struct spec *spec, const char *text, struct options *out, char *why)
{
    size_t size = strlen(text);
    if (size == 0 || size >= OPTION_PATH_MAX - NODE_NAME_MAX - 1) {
        snprintf(why, WHY_MAX, "a path has 1 to %d bytes", OPTION_PATH_MAX - NODE_NAME_MAX - 2);
        return false;
    }
    memcpy(field(spec, out), text, size + 1);
    return true;
}

static bool parse_flag(const struct spec *spec, const char *text, struct options *out, char *why)
{
    return value_flag(text, field(spec, out), why);
}

static bool parse_choice(const struct spec *spec, const char *text, struct options *out, char *why)
{
    size_t n = 0;
    while (spec->words[n] != NULL)
        n++;
    return value_choice(text, spec->words, n, field(spec, out), why);
}

static bool parse_duration(const struct spec *spec, const char *text, struct options *out,
                           char *why)
{
    return value_duration(text, spec->min, spec->max, field(spec, out), why);
}

static bool parse_election(const struct spec *spec, const char *text, struct options *out,
                           char *why)
{
    return value_duration_range(text, spec->min, spec->max, &out->election_min_ms,
                                &out->election_max_ms, why);
}

static bool parse_count(const struct spec *spec, const char *text, struct options *out, char *why)
{
    return value_count(text, spec->min, spec->max, field(spec, out), why);
}

static bool parse_size(const struct spec *spec, const char *text, struct options *out, char *why)
{
    return value_size(text, spec->min, spec->max, field(spec, out), why);
}

static const char *const storage_words[] = { "lmdb", "memory", NULL };
static const char *const level_words[] = { "error", "warn", "info", "debug", NULL };
static const char *const format_words[] = { "text", "json", NULL };

#define AT(member) offsetof(struct options, member)
#define HOUR_MS (60 * 60 * 1000ULL)
#define MIB (1ULL << 20)
#define TIB (1ULL << 40)

static const struct spec specs[] = {
    { "id", "NAME", "node1", "name of this node, for people; its data is in DIR/NAME", parse_name,
      AT(id), 0, 0, NULL },
    { "http-addr", "HOST:PORT", "localhost:8001", "where clients reach this node", parse_address,
      AT(http_addr), 0, 0, NULL },
    { "raft-addr", "HOST:PORT", "localhost:9001",
      "where the other nodes reach this one; spelled alike on all nodes", parse_address,
      AT(raft_addr), 0, 0, NULL },
    { "peers", "ADDRESS,...", "", "raft addresses of the other nodes; none: a cluster of one",
      parse_addresses, AT(peers), 0, 0, NULL },
    { "join", "ADDRESS,...", "", "raft addresses of nodes of a cluster to become a member of",
      parse_addresses, AT(join), 0, 0, NULL },
    { "discover", "PLACE", "", "look for the others there: dns:NAME:PORT or dns-srv:NAME",
      parse_discover, AT(discover), 0, 0, NULL },
    { "expect", "N", NULL, "with discover: begin a cluster when N nodes see each other; else join only",
      parse_count, AT(expect), 1, VOTERS_MAX, NULL },
    { "dns-server", "IP:PORT", NULL, "with discover: ask this server, not those of resolv.conf",
      parse_address, AT(dns_server), 0, 0, NULL },
    { "learner", NULL, "false", "join as a learner and stay one: all the data, no vote", parse_flag,
      AT(learner), 0, 0, NULL },
    { "replace", "MEMBER", NULL, "take the place of this member (name, id, raft address) in joining",
      parse_word, AT(replace), 0, 0, NULL },
    { "data-dir", "DIR", "./data", "where nodes keep their data, each in its own directory",
      parse_path, AT(data_dir), 0, 0, NULL },
    { "config", "FILE", NULL, "read options from a file: name = value, a line each", parse_path,
      AT(config), 0, 0, NULL },
    { "storage", "KIND", "lmdb", "lmdb, or memory: forgets everything when it ends", parse_choice,
      AT(storage), 0, 0, storage_words },
    { "redirect", NULL, "false", "answer 307 to the leader instead of forwarding", parse_flag,
      AT(redirect), 0, 0, NULL },
    { "election-timeout", "RANGE", "150-300ms", "silence of the leader before an election",
      parse_election, AT(election_min_ms), 10, 5 * 60 * 1000, NULL },
    { "heartbeat-interval", "DURATION", "50ms", "how often an idle leader says that it lives",
      parse_duration, AT(heartbeat_ms), 1, 60 * 1000, NULL },
    { "max-entries-per-message", "N", "100", "log entries in one message to a follower",
      parse_count, AT(batch_entries), 1, 1024, NULL },
    { "flush-interval", "DURATION", "1s", "longest wait of applied state for the state file",
      parse_duration, AT(flush_ms), 1, 60 * 1000, NULL },
    { "log-keep", "N", "100000", "log entries kept for slow followers, 256MiB of them at most",
      parse_count, AT(log_keep), 0, 1000ULL * 1000 * 1000, NULL },
    { "quota", "SIZE", "0", "pages that the data may use, then only deletes; 0: no quota",
      parse_size, AT(quota), 0, 64 * TIB, NULL },
    { "snapshot-rate", "SIZE", "64MiB", "bytes of snapshots sent in a second; 0: unlimited",
      parse_size, AT(snapshot_rate), 0, TIB, NULL },
    { "timeout", "DURATION", "5s", "of a client's request that names none", parse_duration,
      AT(timeout_ms), 10, HOUR_MS, NULL },
    { "max-timeout", "DURATION", "60s", "the longest that a client may ask for", parse_duration,
      AT(timeout_max_ms), 10, HOUR_MS, NULL },
    { "stop-timeout", "DURATION", "5s", "longest orderly stop after SIGTERM", parse_duration,
      AT(stop_timeout_ms), 0, HOUR_MS, NULL },
    { "max-connections", "N", "4096", "client connections at a time", parse_count,
      AT(connections_max), 1, 1000000, NULL },
    { "log-map-size", "SIZE", NULL, "largest size of the log file (64GiB, or what can be had)",
      parse_size, AT(log_map_bytes), 64 * MIB, 64 * TIB, NULL },
    { "state-map-size", "SIZE", NULL, "the same of the state file", parse_size, AT(state_map_bytes),
      64 * MIB, 64 * TIB, NULL },
    { "log-level", "LEVEL", "info", "error, warn, info or debug", parse_choice, AT(log_level), 0, 0,
      level_words },
    { "log-format", "FORMAT", "text", "text or json, on standard error", parse_choice,
      AT(log_format), 0, 0, format_words },
};

enum { SPECS = sizeof specs / sizeof specs[0] };

static const struct spec *find_spec(const char *name)
{
    for (size_t i = 0; i < SPECS; i++)
        if (strcmp(specs[i].name, name) == 0)
            return &specs[i];
    return NULL;
}

static const char *nearest_option(const char *name)
{
    const char *names[SPECS];
    for (size_t i = 0; i < SPECS; i++)
        names[i] = specs[i].name;
    return nearest_word(name, names, SPECS);
}

bool options_set(struct options *options, const char *where, const char *name, const char *text,
                 char *why)
{
    char reason[WHY_MAX];
    const struct spec *spec = find_spec(name);
    if (spec == NULL) {
        const char *nearest = nearest_option(name);
        snprintf(why, WHY_MAX, "%.200s: there is no option %.60s%s%s%s", where, name,
                 nearest ? "; did you mean " : "", nearest ? nearest : "", nearest ? "?" : "");
        return false;
    }
    if (spec->parse(spec, text, options, reason))
        return true;
    snprintf(why, WHY_MAX, "%.200s: %s: %.500s", where, name, reason);
    return false;
}

static bool set_defaults(struct options *out, char *why)
{
    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < SPECS; i++)
        if (specs[i].fallback != NULL &&
            !options_set(out, "default", specs[i].name, specs[i].fallback, why))
            return false;
    return true;
}

static bool set_from_environment(struct options *out, char *why)
{
    for (size_t i = 0; i < SPECS; i++) {
        char variable[64];
        snprintf(variable, sizeof variable, "HOLDFAST_%s", specs[i].name);
        for (char *c = variable; *c != '\0'; c++)
            *c = *c == '-' ? '_' : (char)toupper((unsigned char)*c);
        const char *text = getenv(variable);
        if (text != NULL && !options_set(out, variable, specs[i].name, text, why))
            return false;
    }
    return true;
}

/* Why getopt did not like argv[optind - 1]. */
static void explain_flag(int got, char **argv, char *why)
{
    const char *given = argv[optind - 1];
    char name[64];
    const char *bare = given + strspn(given, "-");
    snprintf(name, sizeof name, "%.*s", (int)strcspn(bare, "="), bare);
    const char *nearest = nearest_option(name);
    if (got == ':')
        snprintf(why, WHY_MAX, "%.100s needs a value, as in --%s=VALUE", given, name);
    else if (nearest != NULL)
        snprintf(why, WHY_MAX, "there is no flag --%s; did you mean --%s?", name, nearest);
    else
        snprintf(why, WHY_MAX, "there is no flag --%s; see: holdfast help server", name);
}

/* Walks over the flags once.  With `only` set, only that option is taken. */
static bool set_from_flags(int argc, char **argv, const char *only, struct options *out, bool *help,
                           char *why)
{
    struct option table[SPECS + 2] = { 0 };
    for (size_t i = 0; i < SPECS; i++)
        table[i] = (struct option){ specs[i].name,
                                    specs[i].placeholder ? required_argument : optional_argument,
                                    NULL, (int)i + 1 };
    table[SPECS] = (struct option){ "help", no_argument, NULL, SPECS + 1 };

    optind = 0; /* GNU: start anew, also with the order of arguments */
    opterr = 0;
    int got;
    while ((got = getopt_long_only(argc, argv, ":", table, NULL)) != -1) {
        if (got < 1 || got > SPECS + 1) {
            explain_flag(got, argv, why);
            return false;
        }
        if (got == SPECS + 1) {
            *help = true;
            return true;
        }
        const struct spec *spec = &specs[got - 1];
        if (only != NULL && strcmp(spec->name, only) != 0)
            continue;
        char flag[64];
        snprintf(flag, sizeof flag, "--%s", spec->name);
        const char *text = optarg != NULL ? optarg : "true";
        char reason[WHY_MAX];
        if (!spec->parse(spec, text, out, reason)) {
            snprintf(why, WHY_MAX, "%s: %.600s", flag, reason);
            return false;
        }
    }
    if (optind < argc) {
        snprintf(why, WHY_MAX, "\"%.100s\" is too much: holdfast server takes flags only; see: "
                 "holdfast help server", argv[optind]);
        return false;
    }
    return true;
}

static bool check_beginning(const struct options *out, char *why)
{
    bool discovers = out->discover.kind != DISCOVER_NOT, enters = out->join.n > 0 || discovers;
    bool special = out->learner || out->replace[0] != '\0';
    const char *word = out->learner ? "learner" : "replace";
    if (out->peers.n > 0 && out->join.n > 0)
        snprintf(why, WHY_MAX, "peers begins a cluster, join enters one that is there: give one of "
                 "them");
    else if (discovers && out->peers.n + out->join.n > 0)
        snprintf(why, WHY_MAX, "discover finds the others by itself: give it without %s",
                 out->peers.n > 0 ? "peers" : "join");
    else if (!discovers && (out->expect > 0 || out->dns_server[0] != '\0'))
        snprintf(why, WHY_MAX, "%s goes with discover alone", out->expect > 0 ? "expect" : "dns-server");
    else if (out->dns_server[0] != '\0' && (out->dns_server[0] < '0' || out->dns_server[0] > '9' ||
                                           strspn(out->dns_server, "0123456789.:") != strlen(out->dns_server)))
        snprintf(why, WHY_MAX, "dns-server %.200s is no IPv4 address with a port, such as 10.96.0.10:53",
                 out->dns_server);
    else if (!enters && special)
        snprintf(why, WHY_MAX, "%s goes with join or discover alone", word);
    else if (out->expect > 0 && special)
        snprintf(why, WHY_MAX, "a node with %s begins no cluster: give it without expect", word);
    else if (enters && out->storage == STORAGE_MEMORY && out->replace[0] != '\0')
        snprintf(why, WHY_MAX, "a node that forgets everything cannot take a member's place");
    else if ((enters || out->peers.n > 0) && (strncmp(out->raft_addr, "0.0.0.0:", 8) == 0 ||
                                              strncmp(out->raft_addr, "[::]:", 5) == 0))
        snprintf(why, WHY_MAX, "raft-addr is %s, which other nodes cannot reach: name the address "
                 "that stands in their peers", out->raft_addr);
    else
        return true;
    return false;
}

/* What no single option can tell.  Takes the own address out of the peers: naming it there is
 * fine, so that all nodes can be given one and the same list. */
static bool check_together(struct options *out, char *why)
{
    if (out->heartbeat_ms * 2 > out->election_min_ms) {
        snprintf(why, WHY_MAX,
                 "a heartbeat interval of %llums is too near the election timeout of %llums: one lost "
                 "heartbeat would cause an election; make it half as long or less",
                 (unsigned long long)out->heartbeat_ms, (unsigned long long)out->election_min_ms);
        return false;
    }
    if (out->timeout_ms > out->timeout_max_ms) {
        snprintf(why, WHY_MAX, "timeout (%llums) is above max-timeout (%llums)",
                 (unsigned long long)out->timeout_ms, (unsigned long long)out->timeout_max_ms);
        return false;
    }
    if (out->quota > 0 && out->state_map_bytes > 0 && out->quota > out->state_map_bytes / 10 * 9) {
        snprintf(why, WHY_MAX, "a quota above nine tenths of state-map-size is never reached: make it "
                 "smaller, or the map larger");
        return false;
    }
    if (strcmp(out->http_addr, out->raft_addr) == 0) {
        snprintf(why, WHY_MAX, "http-addr and raft-addr are both %s: give each a port of its own",
                 out->http_addr);
        return false;
    }
    struct address_list *peers = &out->peers;
    if (!check_beginning(out, why))
        return false;
    for (uint32_t i = 0; i < peers->n; i++) {
        if (strcmp(peers->at[i], out->raft_addr) == 0) {
            memmove(peers->at[i], peers->at[i + 1], (peers->n - i - 1) * sizeof peers->at[0]);
            peers->n--;
            i--;
        } else if (strcmp(peers->at[i], out->http_addr) == 0) {
            snprintf(why, WHY_MAX, "peers names %s, this node's own http-addr: name the raft "
                     "addresses of the others", out->http_addr);
            return false;
        }
    }
    if (peers->n + 1 > VOTERS_MAX) {
        snprintf(why, WHY_MAX, "a cluster has at most %d members", VOTERS_MAX);
        return false;
    }
    return true;
}

bool options_load(int argc, char **argv, struct options *out, bool *help, char *why)
{
    *help = false;
    if (!set_defaults(out, why) || !set_from_flags(argc, argv, "config", out, help, why))
        return false;
    if (*help)
        return true;
    const char *config = getenv("HOLDFAST_CONFIG");
    if (out->config[0] == '\0' && config != NULL && config[0] != '\0' &&
        !options_set(out, "HOLDFAST_CONFIG", "config", config, why))
        return false;
    if (out->config[0] != '\0' && !options_load_file(out->config, out, why))
        return false;
    return set_from_environment(out, why) && set_from_flags(argc, argv, NULL, out, help, why) &&
           check_together(out, why);
}

void options_print_help(FILE *out)
{
    for (size_t i = 0; i < SPECS; i++) {
        char flag[64];
        snprintf(flag, sizeof flag, "--%s%s%s", specs[i].name, specs[i].placeholder ? "=" : "",
                 specs[i].placeholder ? specs[i].placeholder : "");
        fprintf(out, "  %-30s %s", flag, specs[i].help);
        if (specs[i].fallback != NULL && specs[i].fallback[0] != '\0' && specs[i].placeholder)
            fprintf(out, " (%s)", specs[i].fallback);
        fputc('\n', out);
    }
}
