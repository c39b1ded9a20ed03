/* inspect_main.c - flags of `holdfast inspect`, and what its three parts share. */
#include "client_session.h"
#include "inspect.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct asked {
    const char *data_dir, *id, *table;
    char *prefix;
    bool percent, help;
    struct inspect inspect;
};

static void print_help(const struct tool_flag *flags, size_t n)
{
    puts("usage: holdfast inspect log|state|meta [FLAGS]\n\n"
         "shows what is in the data directory of a node, stopped or running, and changes nothing\n\n"
         "  log                      the entries, one a line\n"
         "  state                    the keys and values as far as they are on the disk, one a line\n"
         "  meta                     what both environments say of themselves\n");
    tool_flags_help(flags, n);
    puts("\nexit status: 0 done, 1 something is damaged, 2 wrong usage");
}

static bool check(struct asked *asked, int argc, char **argv)
{
    static const char *const tables[] = { "meta", "kv", "members" }; /* enum state_table */
    struct inspect *inspect = &asked->inspect;
    struct holdfast_bytes prefix;
    char why[WHY_MAX];
    size_t table = TABLE_KV;
    if (argc != 1) {
        usage_error("inspect takes one of log, state and meta; see: holdfast help inspect");
        return false;
    }
    if (asked->table != NULL && !value_choice(asked->table, tables, STATE_TABLES, &table, why)) {
        usage_error("--table: %s", why);
        return false;
    }
    inspect->table = (enum state_table)table;
    if (inspect->from > inspect->to) {
        usage_error("--from=%" PRIu64 " is behind --to=%" PRIu64, inspect->from, inspect->to);
        return false;
    }
    if ((asked->prefix != NULL || asked->table != NULL) && strcmp(argv[0], "state") != 0) {
        usage_error("--prefix and --table are for inspect state");
        return false;
    }
    if ((inspect->from > 0 || inspect->to < UINT64_MAX) && strcmp(argv[0], "log") != 0) {
        usage_error("--from and --to are for inspect log");
        return false;
    }
    if (asked->prefix != NULL) {
        if (!client_key(asked->prefix, asked->percent, &prefix))
            return false;
        inspect->prefix = slice_of(prefix.data, prefix.size);
    }
    return tool_directory(asked->data_dir, asked->id, inspect->path);
}

static int run(struct inspect *inspect, const char *what)
{
    if (strcmp(what, "log") == 0)
        return inspect_log(inspect);
    if (strcmp(what, "state") == 0)
        return inspect_state(inspect);
    if (strcmp(what, "meta") == 0)
        return inspect_meta(inspect);
    return usage_error("there is nothing to inspect called \"%s\": it is log, state or meta", what);
}

int inspect_command(int argc, char **argv)
{
    struct asked asked = { .data_dir = "./data",
                           .inspect = { .to = UINT64_MAX, .limit = UINT64_MAX } };
    struct inspect *inspect = &asked.inspect;
    const struct tool_flag flags[] = {
        { "data-dir", "DIR", "of one node, or of several (default: ./data)", TOOL_TEXT,
          &asked.data_dir, 0 },
        { "id", "NAME", "the node's name, if the directory holds several", TOOL_TEXT, &asked.id, 0 },
        { "from", "N", "log: the first entry to show", TOOL_COUNT, &inspect->from, 1 },
        { "to", "N", "log: the last entry to show", TOOL_COUNT, &inspect->to, 1 },
        { "limit", "N", "log, state: at most so many lines", TOOL_COUNT, &inspect->limit, 1 },
        { "prefix", "PREFIX", "state: keys that begin so", TOOL_TEXT, &asked.prefix, 0 },
        { "percent", NULL, "the prefix is percent-encoded: a%20b, %00", TOOL_TRUE, &asked.percent,
          0 },
        { "table", "TABLE", "state: kv (default), members or meta", TOOL_TEXT, &asked.table, 0 },
        { "output", "KIND", "text (default) or json: an object a line, with whole values",
          TOOL_OUTPUT, &inspect->json, 0 },
        { "help", NULL, "this text", TOOL_TRUE, &asked.help, 0 },
    };
    size_t n = sizeof flags / sizeof flags[0];
    int first;
    if (!tool_flags_parse("inspect", flags, n, argc, argv, &first))
        return COMMAND_USAGE;
    if (asked.help) {
        print_help(flags, n);
        return COMMAND_OK;
    }
    if (!check(&asked, argc - first, argv + first))
        return COMMAND_USAGE;
    int status = run(inspect, argv[first]);
    fflush(stdout);
    if (inspect->damaged > 0) {
        fprintf(stderr, "holdfast: %" PRIu64 " damaged; holdfast doctor says what to do\n",
                inspect->damaged);
        status = COMMAND_NOT_FOUND;
    }
    return tool_finish(status);
}

/* ---- what the parts share */

struct look *inspect_open(const struct inspect *inspect, enum look_env which, int *status)
{
    char message[STORAGE_MESSAGE_MAX], line[512];
    struct look *look;
    snprintf(line, sizeof line,
             inspect->json ? "{\"damaged\":true,\"environment\":\"%s\"}\n"
                           : "damaged: a page of the %s cannot be read\n",
             which == LOOK_LOG ? "log" : "state");
    tool_guard(line);
    enum err err = look_open(inspect->path, which, &look, message);
    if (err == OK)
        return look;
    usage_error("%s", message);
    *status = err == ERR_CORRUPT ? COMMAND_NOT_FOUND : COMMAND_USAGE;
    return NULL;
}

int inspect_failed(const struct inspect *inspect, const char *what, enum err err)
{
    fflush(stdout);
    fprintf(stderr, "holdfast: the %s in %s cannot be read further: %s\n", what, inspect->path,
            err == ERR_CORRUPT ? "a page is damaged" : err_text(err));
    return COMMAND_NOT_FOUND;
}

void inspect_page_begin(struct inspect_page *page)
{
    *page = (struct inspect_page){ NULL, 0, NULL };
    page->out = open_memstream(&page->text, &page->size);
    if (page->out == NULL)
        abort();
}

bool inspect_page_full(struct inspect_page *page)
{
    return ftell(page->out) >= INSPECT_PAGE_BYTES;
}

void inspect_page_write(struct inspect_page *page)
{
    fclose(page->out);
    fwrite(page->text, 1, page->size, stdout);
    free(page->text);
}
