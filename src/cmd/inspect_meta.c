/* inspect_meta.c - `holdfast inspect meta`: what both environments say of themselves. */
#include "inspect.h"

#include <inttypes.h>

struct meta_print {
    struct inspect *inspect;
    struct json json;
};

static bool on_row(void *arg, struct slice key, struct slice text)
{
    struct meta_print *print = arg;
    FILE *out = print->json.out;
    if (print->inspect->json) {
        char name[META_KEY_MAX + 1];
        snprintf(name, sizeof name, "%.*s", key.size < META_KEY_MAX ? (int)key.size : META_KEY_MAX,
                 (const char *)key.data);
        json_bytes(&print->json, name, text);
        return true;
    }
    fprintf(out, "  %-22.*s ", (int)key.size, (const char *)key.data);
    const char *at = text.data, *end = at + text.size; /* some rows have several lines */
    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *stop = newline != NULL ? newline : end;
        fprintf(out, "%.*s\n", (int)(stop - at), at);
        at = newline != NULL ? newline + 1 : end;
        if (at < end)
            fprintf(out, "%25s", "");
    }
    if (text.size == 0)
        fputc('\n', out);
    return true;
}

static void write_size(FILE *out, const char *what, uint64_t bytes)
{
    char size[TEXT_SIZE_MAX];
    text_size(bytes, size);
    fprintf(out, "  %-22s %s\n", what, size);
}

static enum err write_text(struct look *look, enum look_env which, struct meta_print *print)
{
    FILE *out = print->json.out;
    struct look_stats stats;
    raft_index first = 0, last = 0;
    uint64_t count = 0;
    enum err err = look_stats(look, &stats);
    if (err == OK && which == LOOK_LOG)
        err = look_bounds(look, &first, &last, &count);
    if (err != OK)
        return err;
    fprintf(out, "%s: %s/%s\n", which == LOOK_LOG ? "log" : "state", print->inspect->path,
            which == LOOK_LOG ? "log" : "state");
    err = look_rows(look, on_row, print);
    if (which == LOOK_LOG && count > 0)
        fprintf(out, "  %-22s %" PRIu64 " to %" PRIu64 " (%" PRIu64 ")\n", "(entries)", first, last,
                count);
    else if (which == LOOK_LOG)
        fprintf(out, "  %-22s none\n", "(entries)");
    else
        fprintf(out, "  %-22s %" PRIu64 " keys, %" PRIu64 " members\n", "(entries)",
                stats.entries[TABLE_KV], stats.entries[TABLE_MEMBERS]);
    fprintf(out, "  %-22s %" PRIu64 " of %" PRIu64 " bytes\n", "(pages in use)",
            stats.page_bytes > 0 ? stats.used_bytes / stats.page_bytes : 0, stats.page_bytes);
    write_size(out, "(file)", stats.file_bytes);
    write_size(out, "(map)", stats.map_bytes);
    return err;
}

static enum err write_json(struct look *look, enum look_env which, struct meta_print *print)
{
    struct json *json = &print->json;
    struct look_stats stats;
    raft_index first = 0, last = 0;
    uint64_t count = 0;
    enum err err = look_stats(look, &stats);
    if (err == OK && which == LOOK_LOG)
        err = look_bounds(look, &first, &last, &count);
    if (err != OK)
        return err;
    json_begin(json, '{');
    json_words(json, "environment", which == LOOK_LOG ? "log" : "state");
    json_words(json, "path", print->inspect->path);
    json_key(json, "rows");
    json_begin(json, '{');
    err = look_rows(look, on_row, print);
    json_finish(json, '}');
    if (which == LOOK_LOG) {
        json_number(json, "first_index", first);
        json_number(json, "last_index", last);
        json_number(json, "entries", count);
    } else {
        json_number(json, "keys", stats.entries[TABLE_KV]);
        json_number(json, "members", stats.entries[TABLE_MEMBERS]);
    }
    json_number(json, "used_bytes", stats.used_bytes);
    json_number(json, "page_bytes", stats.page_bytes);
    json_number(json, "file_bytes", stats.file_bytes);
    json_number(json, "map_bytes", stats.map_bytes);
    json_number(json, "transaction", stats.transaction);
    json_finish(json, '}');
    fputc('\n', json->out);
    return err;
}

static int show(struct inspect *inspect, enum look_env which)
{
    int status = COMMAND_OK;
    struct inspect_page page;
    struct meta_print print = { .inspect = inspect };
    struct look *look = inspect_open(inspect, which, &status);
    if (look == NULL)
        return status;
    enum err err = look_begin(look);
    inspect_page_begin(&page);
    print.json.out = page.out;
    if (err == OK)
        err = inspect->json ? write_json(look, which, &print) : write_text(look, which, &print);
    look_close(look);
    inspect_page_write(&page);
    return err == OK ? status : inspect_failed(inspect, which == LOOK_LOG ? "log" : "state", err);
}

int inspect_meta(struct inspect *inspect)
{
    int log = show(inspect, LOOK_LOG);
    if (!inspect->json)
        putchar('\n');
    int state = show(inspect, LOOK_STATE);
    return log != COMMAND_OK ? log : state;
}
