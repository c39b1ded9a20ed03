/* client_session.h - what the client's subcommands share: flags, a session with a cluster, and
 * how things are printed. */
#ifndef HOLDFAST_CMD_CLIENT_SESSION_H
#define HOLDFAST_CMD_CLIENT_SESSION_H

#include "commands.h"

#include <holdfast/client.h>

#include <stdio.h>

/* ---- client_flags.c */

struct client_flags {
    /* how to reach the cluster; in the shell these stand before the first command */
    const char *endpoints;
    bool only_endpoints;
    /* any command */
    bool json;
    uint32_t timeout_ms; /* 0: the library's */
    bool help;
    /* one or the other command */
    enum holdfast_consistency consistency;
    uint32_t max_stale_ms;
    uint64_t min_revision;
    bool conditional;
    uint64_t if_revision;
    bool raw, percent;
    bool has_prefix;
    char *prefix, *start, *end;
    uint32_t limit; /* 0: all */
    bool keys_only, count, reverse;
    const char *file;
    bool force, learner;
};

enum client_flag {
    FLAG_CONNECTION = 1 << 0, /* --endpoints, --only-endpoints */
    FLAG_COMMON = 1 << 1,     /* --output, --timeout, --help */
    FLAG_READ = 1 << 2,       /* --consistency, --max-stale, --min-revision */
    FLAG_CONDITION = 1 << 3,
    FLAG_RAW = 1 << 4,
    FLAG_PERCENT = 1 << 5,
    FLAG_PREFIX = 1 << 6,
    FLAG_RANGE = 1 << 7, /* --start, --end, --limit, --keys-only, --count, --reverse */
    FLAG_FILE = 1 << 8,
    FLAG_MEMBER = 1 << 9, /* --force, --learner */
    FLAG_REPLACE = 1 << 10, /* --force */
};

/* Reads the flags in `accepted` among argv[1] and after; *first is the first argument that is
 * none.  Reorders argv.  False if something was wrong, which was said. */
bool client_flags_parse(const char *name, unsigned accepted, int argc, char **argv,
                        struct client_flags *flags, int *first);
void client_flags_help(FILE *out, unsigned accepted);

/* ---- client_commands.c */

struct session {
    struct holdfast *db;
    struct client_flags base; /* what each command of the shell begins with */
    bool in_shell, interactive;
    char *(*next_line)(struct session *session, const char *prompt); /* shell: malloced, or NULL */
    char at[HOLDFAST_URL_MAX]; /* for the prompt: the leader, else the node that answered */
    bool at_leader;
};

struct client_command {
    const char *name, *synopsis, *summary;
    unsigned flags;
    int args_min, args_max;
    bool shell_only;
    int (*run)(struct session *session, const struct client_flags *flags, int argc, char **argv);
};

const struct client_command *client_command_find(const char *name);
const struct client_command *client_command_at(size_t i); /* NULL behind the last */
/* Runs a command in an open session; argv[0] is its name. */
int client_command_run(struct session *session, const struct client_command *command, int argc,
                       char **argv);
void client_command_help(FILE *out, const struct client_command *command, bool in_shell);

/* ---- the commands; argv[0] is the first argument */

int client_get(struct session *session, const struct client_flags *flags, int argc, char **argv);
int client_put(struct session *session, const struct client_flags *flags, int argc, char **argv);
int client_delete(struct session *session, const struct client_flags *flags, int argc, char **argv);
int client_list(struct session *session, const struct client_flags *flags, int argc, char **argv);
int client_batch(struct session *session, const struct client_flags *flags, int argc, char **argv);
int client_status(struct session *session, const struct client_flags *flags, int argc, char **argv);
int client_info(struct session *session, const struct client_flags *flags, int argc, char **argv);
int client_stats(struct session *session, const struct client_flags *flags, int argc, char **argv);
int client_health(struct session *session, const struct client_flags *flags, int argc, char **argv);
int client_member(struct session *session, const struct client_flags *flags, int argc, char **argv);
int client_leader(struct session *session, const struct client_flags *flags, int argc, char **argv);
int client_backup(struct session *session, const struct client_flags *flags, int argc, char **argv);
int client_shell(struct session *session, const struct client_flags *flags, int argc, char **argv);

/* ---- client_output.c */

struct holdfast_call client_call(const struct client_flags *flags);

/* The exit status that belongs to a result. */
enum command_status client_status_of(const struct holdfast_result *result);

/* Says on standard error what went wrong, in JSON output also on standard output; notes where
 * the session stands; frees the result.  Returns its exit status. */
int client_fail(struct session *session, const struct client_flags *flags,
                struct holdfast_result *result);
void client_note(struct session *session, const struct holdfast_result *result);

/* The answer as it came, and a newline. */
void client_print_json(const struct holdfast_result *result);
/* Text for people: control characters and what is no UTF-8 as \n, \t, \x1b; or all of it
 * percent-encoded. */
void client_print_bytes(struct holdfast_bytes bytes, bool percent);
/* The bytes of an argument, decoded in place if they are percent-encoded.  False if they are
 * not well so, which was said. */
bool client_key(char *text, bool percent, struct holdfast_bytes *key);
/* All of a file, malloced and NUL-terminated; NULL after saying why not. */
char *client_read_all(FILE *file, const char *name, size_t max, size_t *size);

enum { TABLE_COLUMNS_MAX = 16, TABLE_CELL_MAX = 300 };
struct table {
    size_t columns, rows;
    char (*cells)[TABLE_COLUMNS_MAX][TABLE_CELL_MAX];
};
/* Adds a row of `columns` texts; "" prints as "-". */
void table_add(struct table *table, const char *const *texts);
void table_print(const struct table *table); /* the first row is the heading */
void table_free(struct table *table);

/* ---- client_words.c */

enum { WORDS_MAX = 2048 };

/* Splits a line in place into words, as a shell does: "a b", 'a b', a\ b; inside double quotes
 * \n and \t too; # begins a comment where a word could.  Returns their number, or -1 with a
 * sentence in `why` (WHY_MAX bytes). */
int words_split(char *line, char **words, int max, char *why);

#endif
