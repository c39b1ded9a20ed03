/* client_shell.c - the interactive session: lines with editing, history and completion; or a
 * script on standard input. */
#include "client_session.h"
#include "values.h"

#include <editline/readline.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HISTORY_LINES_MAX = 1000, COMPLETION_KEYS_MAX = 100, COMPLETION_TIMEOUT_MS = 300 };

/* editline's callbacks carry no argument. */
static struct session *completing;
static struct holdfast_result *completion_keys;

/* ---- history */

/* The file's name in `path`; false if there is none to use.  It may hold values, so it is the
 * user's alone. */
static bool history_path(char *path, size_t size)
{
    const char *home = getenv("HOME");
    if (home == NULL || home[0] != '/' ||
        (size_t)snprintf(path, size, "%s/.holdfast_history", home) >= size)
        return false;
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return false;
    bool mine = fchmod(fd, 0600) == 0;
    close(fd);
    return mine;
}

static void history_begin(void)
{
    char path[1024];
    using_history();
    stifle_history(HISTORY_LINES_MAX);
    if (history_path(path, sizeof path))
        read_history(path);
}

static void history_keep(const char *line)
{
    char path[1024];
    HIST_ENTRY *last = history_length > 0 ? history_get(history_base + history_length - 1) : NULL;
    if (line[strspn(line, " \t")] == '\0' || (last != NULL && strcmp(last->line, line) == 0))
        return;
    add_history(line);
    if (history_path(path, sizeof path))
        write_history(path);
}

/* ---- completion */

static char *next_command(const char *text, int state)
{
    static const char *const own[] = { "help", "quit", "exit" };
    static size_t next;
    if (state == 0)
        next = 0;
    for (;;) {
        const struct client_command *command = client_command_at(next);
        size_t extra = next;
        for (size_t i = 0; client_command_at(i) != NULL; i++)
            extra--;
        if (command == NULL && extra >= sizeof own / sizeof own[0])
            return NULL;
        const char *name = command != NULL ? command->name : own[extra];
        next++;
        if (strncmp(name, text, strlen(text)) == 0 && strcmp(name, "shell") != 0)
            return strdup(name);
    }
}

/* Keys of the cluster, those that need no quotes. */
static char *next_key(const char *text, int state)
{
    static size_t next;
    if (state == 0) {
        struct holdfast_call call = HOLDFAST_CALL_INIT;
        struct holdfast_range range = HOLDFAST_RANGE_INIT;
        next = 0;
        call.timeout_ms = COMPLETION_TIMEOUT_MS;
        call.consistency = HOLDFAST_STALE;
        range.prefix = holdfast_text(text);
        range.limit = COMPLETION_KEYS_MAX;
        range.keys_only = true;
        holdfast_result_free(completion_keys);
        completion_keys = holdfast_list(completing->db, &range, &call);
    }
    while (next < completion_keys->n_kvs) {
        struct holdfast_bytes key = completion_keys->kvs[next++].key;
        const char *p = key.data;
        bool plain = true;
        for (size_t i = 0; i < key.size && plain; i++)
            plain = p[i] > ' ' && p[i] != 0x7f && strchr("\"'\\#", p[i]) == NULL;
        if (plain)
            return strndup(p, key.size);
    }
    return NULL;
}

static char **complete(const char *text, int start, int end)
{
    (void)end;
    rl_attempted_completion_over = 1; /* no file names */
    if (strspn(rl_line_buffer, " \t") >= (size_t)start)
        return rl_completion_matches(text, next_command);
    if (strncmp(rl_line_buffer + strspn(rl_line_buffer, " \t"), "help", 4) == 0)
        return rl_completion_matches(text, next_command);
    return rl_completion_matches(text, next_key);
}

/* ---- lines */

static char *terminal_line(struct session *session, const char *prompt)
{
    (void)session;
    fflush(stdout);
    return readline(prompt);
}

static char *script_line(struct session *session, const char *prompt)
{
    char *line = NULL;
    size_t capacity = 0;
    (void)session, (void)prompt;
    ssize_t n = getline(&line, &capacity, stdin);
    if (n < 0) {
        free(line);
        return NULL;
    }
    if (n > 0 && line[n - 1] == '\n')
        line[n - 1] = '\0';
    return line;
}

static void print_help(const char *name)
{
    const struct client_command *command = name == NULL ? NULL : client_command_find(name);
    if (command != NULL && strcmp(command->name, "shell") != 0) {
        client_command_help(stdout, command, true);
        return;
    }
    for (size_t i = 0; (command = client_command_at(i)) != NULL; i++) {
        if (strcmp(command->name, "shell") != 0)
            printf("  %-8s %s\n", command->name, command->summary);
    }
    puts("  help     this list; help COMMAND shows its flags\n"
         "  quit     end the session\n\n"
         "Quote what holds spaces: put greeting \"hello world\".");
}

/* False: the session ends. */
static bool run_line(struct session *session, char *line, int *status)
{
    static char *words[WORDS_MAX + 1];
    char why[WHY_MAX];
    int n = words_split(line, words, WORDS_MAX, why);
    *status = COMMAND_OK;
    if (n < 0) {
        *status = usage_error("%s", why);
        return true;
    }
    if (n == 0)
        return true;
    words[n] = NULL;
    if (strcmp(words[0], "quit") == 0 || strcmp(words[0], "exit") == 0)
        return false;
    if (strcmp(words[0], "help") == 0 || strcmp(words[0], "?") == 0) {
        print_help(n > 1 ? words[1] : NULL);
        return true;
    }
    const struct client_command *command = client_command_find(words[0]);
    if (command == NULL || strcmp(words[0], "shell") == 0)
        *status = usage_error("there is no command \"%.100s\" here; see: help", words[0]);
    else
        *status = client_command_run(session, command, n, words);
    return true;
}

static void greet(struct session *session)
{
    struct holdfast_call call = HOLDFAST_CALL_INIT;
    call.timeout_ms = 1000;
    struct holdfast_result *result = holdfast_status(session->db, &call);
    client_note(session, result);
    if (result->error == HOLDFAST_OK)
        printf("Holdfast %s at %s. \"help\" lists the commands.\n", result->status->version,
               result->node);
    else
        printf("No node answers yet: %s. \"help\" lists the commands.\n", result->message);
    holdfast_result_free(result);
}

static void make_prompt(const struct session *session, char *prompt, size_t size)
{
    if (session->at[0] == '\0')
        snprintf(prompt, size, "holdfast> ");
    else
        snprintf(prompt, size, "%s%s> ", session->at, session->at_leader ? " (leader)" : "");
}

int client_shell(struct session *session, const struct client_flags *flags, int argc, char **argv)
{
    int first_failure = COMMAND_OK, status = COMMAND_OK;
    bool open = true;
    char *line;
    (void)argc, (void)argv;
    session->in_shell = true;
    session->base = *flags;
    session->interactive = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
    session->next_line = session->interactive ? terminal_line : script_line;
    completing = session;
    if (session->interactive) {
        rl_readline_name = "holdfast";
        rl_attempted_completion_function = complete;
        rl_completer_word_break_characters = " \t";
        history_begin();
        greet(session);
    }
    while (open) {
        char prompt[HOLDFAST_URL_MAX + 32];
        make_prompt(session, prompt, sizeof prompt);
        line = session->next_line(session, prompt);
        if (line == NULL)
            break;
        if (session->interactive)
            history_keep(line);
        open = run_line(session, line, &status);
        free(line);
        fflush(stdout); /* whoever drives a shell waits for the answer */
        if (first_failure == COMMAND_OK)
            first_failure = status;
    }
    if (session->interactive && open)
        putchar('\n');
    holdfast_result_free(completion_keys);
    completion_keys = NULL;
    /* A script fails if a line of it did; people have seen what failed. */
    return session->interactive ? COMMAND_OK : first_failure;
}
