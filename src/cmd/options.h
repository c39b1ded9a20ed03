/* options.h - what `holdfast server` is asked to do.
 *
 * One table names every option; flags (--election-timeout=150-300ms), environment variables
 * (HOLDFAST_ELECTION_TIMEOUT) and the configuration file (election-timeout = 150-300ms) share
 * it.  Flags go before the environment, that before the file, that before the defaults. */
#ifndef HOLDFAST_CMD_OPTIONS_H
#define HOLDFAST_CMD_OPTIONS_H

#include "values.h"

#include <holdfast/log.h>

#include <stdio.h>

enum storage_kind { STORAGE_LMDB, STORAGE_MEMORY };

enum { OPTION_PATH_MAX = 3072 };

struct options {
    char config[OPTION_PATH_MAX]; /* the file that was read, or "" */
    char id[NODE_NAME_MAX + 1];
    char http_addr[ADDRESS_MAX + 1];
    char raft_addr[ADDRESS_MAX + 1];
    struct address_list peers;
    struct address_list join; /* members of a cluster that is there already */
    struct discover_source discover; /* where to look for them */
    uint64_t expect;          /* nodes that begin a cluster together; 0: none is begun */
    char dns_server[ADDRESS_MAX + 1]; /* IP:port, or "" */
    bool learner;             /* joins without ever asking for a vote */
    char replace[ADDRESS_MAX + 1]; /* whose place is taken in joining, or "" */
    char data_dir[OPTION_PATH_MAX]; /* the node's own directory is data_dir/id */
    size_t storage;                 /* enum storage_kind */
    bool redirect;
    uint64_t election_min_ms, election_max_ms, heartbeat_ms;
    uint64_t batch_entries;
    uint64_t flush_ms;
    uint64_t log_keep;      /* entries */
    uint64_t quota;         /* bytes of the state; 0: none */
    uint64_t snapshot_rate; /* bytes a second; 0: unlimited */
    uint64_t timeout_ms, timeout_max_ms; /* of a client's request */
    uint64_t stop_timeout_ms;
    uint64_t connections_max;
    uint64_t log_map_bytes, state_map_bytes; /* 0: storage's default */
    size_t log_level;  /* enum log_level */
    size_t log_format; /* enum log_format */
};

/* Reads all four sources; argv[0] is skipped.  False with one sentence in `why` (WHY_MAX bytes)
 * that names the place, be it a flag, a variable or file:line.  *help: --help was among them,
 * nothing else was looked at. */
bool options_load(int argc, char **argv, struct options *out, bool *help, char *why);

/* Reads a configuration file into `out`. */
bool options_load_file(const char *path, struct options *out, char *why);

/* Sets one option by name, from the file or elsewhere.  `where` begins the sentence in `why`. */
bool options_set(struct options *options, const char *where, const char *name, const char *text,
                 char *why);

/* Prints the options, one or two lines each. */
void options_print_help(FILE *out);

#endif
