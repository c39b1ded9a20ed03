/* inspect_log.c - `holdfast inspect log`: a line for each entry. */
#include "inspect.h"

#include <inttypes.h>
#include <stdlib.h>

enum { OPS_SHOWN_MAX = 8, PREVIEW_MAX = 48, ENTRIES_PER_VIEW = 2000 };

/* ---- operations */

static const char *op_name(enum kv_op_type type)
{
    switch (type) {
    case KV_SET:
        return "set";
    case KV_DELETE:
        return "delete";
    case KV_DELETE_PREFIX:
        return "delete-prefix";
    case KV_GET:
        return "get";
    }
    return "?";
}

static void write_op(FILE *out, const struct kv_op *op)
{
    char size[TEXT_SIZE_MAX];
    fprintf(out, "%s ", op_name(op->type));
    text_quote(out, op->key, PREVIEW_MAX);
    if (op->type == KV_SET) {
        text_size(op->value.size, size);
        fprintf(out, " = %s ", size);
        text_quote(out, op->value, PREVIEW_MAX);
    }
    if (op->condition == CONDITION_EXISTS)
        fputs(" if it exists", out);
    else if (op->condition == CONDITION_REVISION && op->revision == 0)
        fputs(" if absent", out);
    else if (op->condition == CONDITION_REVISION)
        fprintf(out, " if at revision %" PRIu64, op->revision);
}

static void write_op_json(struct json *json, const struct kv_op *op)
{
    json_key(json, NULL);
    json_begin(json, '{');
    json_words(json, "op", op_name(op->type));
    json_bytes(json, op->type == KV_DELETE_PREFIX ? "prefix" : "key", op->key);
    if (op->type == KV_SET)
        json_bytes(json, "value", op->value);
    if (op->condition == CONDITION_REVISION)
        json_number(json, "if_revision", op->revision);
    if (op->condition == CONDITION_EXISTS)
        json_truth(json, "if_exists", true);
    json_finish(json, '}');
}

/* ---- configurations */

static const char *role_of(const struct raft_member *member)
{
    return member->leaving ? "leaving" : member->voter ? "voter" : "learner";
}

static void write_configuration(FILE *out, const struct configuration *c)
{
    fputs(c->members.joint ? "joint:" : "members:", out);
    for (uint32_t i = 0; i < c->members.n; i++) {
        const struct raft_member *member = &c->members.at[i];
        fprintf(out, "%s %016" PRIx64 " %s %s", i > 0 ? "," : "", member->id, c->raft_addr[i],
                role_of(member));
        if (member->old_voter)
            fputs(" old-voter", out);
        if (c->stays[i])
            fputs(" stays-learner", out);
        if (c->replaces[i] != 0)
            fprintf(out, " replaces %016" PRIx64, c->replaces[i]);
    }
}

static void write_configuration_json(struct json *json, const struct configuration *c)
{
    json_truth(json, "joint", c->members.joint);
    json_key(json, "members");
    json_begin(json, '[');
    for (uint32_t i = 0; i < c->members.n; i++) {
        json_key(json, NULL);
        json_begin(json, '{');
        json_hex(json, "id", c->members.at[i].id);
        json_words(json, "raft_addr", c->raft_addr[i]);
        json_words(json, "role", role_of(&c->members.at[i]));
        json_truth(json, "old_voter", c->members.at[i].old_voter);
        json_truth(json, "stays_learner", c->stays[i]);
        if (c->replaces[i] != 0)
            json_hex(json, "replaces", c->replaces[i]);
        json_finish(json, '}');
    }
    json_finish(json, ']');
}

/* ---- entries */

struct decoded {
    enum { NOOP, BATCH, ANNOUNCE, CONFIGURATION, NO_COMMAND, DAMAGED } kind;
    struct command command;
    struct configuration configuration;
};

static const char *const kinds[] = { "noop", "batch", "announce", "members", "unknown", "damaged" };

static void decode(const struct look_entry *entry, struct kv_op *ops, struct decoded *out)
{
    const struct record *record = &entry->record;
    if (entry->err != OK) {
        out->kind = DAMAGED;
    } else if (record->kind == RAFT_NOOP) {
        out->kind = NOOP;
    } else if (record->kind == RAFT_MEMBERS) {
        enum err err = configuration_decode(record->payload, &out->configuration);
        out->kind = err == OK ? CONFIGURATION : NO_COMMAND;
    } else {
        enum err err = command_decode(record->payload, ops, &out->command);
        out->kind = err != OK ? NO_COMMAND : out->command.type == COMMAND_BATCH ? BATCH : ANNOUNCE;
    }
}

static void write_what(FILE *out, const struct decoded *decoded)
{
    const struct command *command = &decoded->command;
    switch (decoded->kind) {
    case NOOP:
        fputs("a leader's first entry", out);
        break;
    case BATCH:
        for (uint32_t i = 0; i < command->n && i < OPS_SHOWN_MAX; i++) {
            fputs(i > 0 ? "; " : "", out);
            write_op(out, &command->ops[i]);
        }
        if (command->n > OPS_SHOWN_MAX)
            fprintf(out, "; and %" PRIu32 " more", command->n - OPS_SHOWN_MAX);
        break;
    case ANNOUNCE:
        fprintf(out, "%016" PRIx64 " is ", command->member.id);
        text_quote(out, command->member.name, PREVIEW_MAX);
        fprintf(out, ", raft %.*s, http %.*s", (int)command->member.raft_addr.size,
                (const char *)command->member.raft_addr.data, (int)command->member.http_addr.size,
                (const char *)command->member.http_addr.data);
        break;
    case CONFIGURATION:
        write_configuration(out, &decoded->configuration);
        break;
    case NO_COMMAND:
        fputs("no command that this version knows; it changes nothing", out);
        break;
    case DAMAGED:
        fputs("does not match its checksum", out);
        break;
    }
}

static void write_json(FILE *out, const struct look_entry *entry, const struct decoded *decoded)
{
    struct json json = { .out = out };
    char time[TEXT_TIME_MAX];
    json_begin(&json, '{');
    json_number(&json, "index", entry->index);
    json_words(&json, "kind", kinds[decoded->kind]);
    json_number(&json, "size", entry->bytes.size);
    if (decoded->kind == DAMAGED) {
        json_truth(&json, "damaged", true);
    } else {
        json_number(&json, "term", entry->record.term);
        json_number(&json, "time_ms", entry->record.time_ms);
        text_time(entry->record.time_ms, time);
        json_words(&json, "time", time);
    }
    if (decoded->kind == BATCH) {
        json_key(&json, "ops");
        json_begin(&json, '[');
        for (uint32_t i = 0; i < decoded->command.n; i++)
            write_op_json(&json, &decoded->command.ops[i]);
        json_finish(&json, ']');
    } else if (decoded->kind == ANNOUNCE) {
        json_hex(&json, "id", decoded->command.member.id);
        json_bytes(&json, "name", decoded->command.member.name);
        json_bytes(&json, "raft_addr", decoded->command.member.raft_addr);
        json_bytes(&json, "http_addr", decoded->command.member.http_addr);
    } else if (decoded->kind == CONFIGURATION) {
        write_configuration_json(&json, &decoded->configuration);
    }
    json_finish(&json, '}');
}

void inspect_write_entry(FILE *out, bool json, const struct look_entry *entry, struct kv_op *ops)
{
    struct decoded decoded;
    decode(entry, ops, &decoded);
    if (json) {
        write_json(out, entry, &decoded);
    } else {
        char time[TEXT_TIME_MAX] = "-", size[TEXT_SIZE_MAX], term[24] = "-";
        text_size(entry->bytes.size, size);
        if (entry->err == OK) {
            text_time(entry->record.time_ms, time);
            snprintf(term, sizeof term, "%" PRIu64, entry->record.term);
        }
        fprintf(out, "%-8" PRIu64 "  term %-4s %-8s  %-24s  %9s  ", entry->index, term,
                kinds[decoded.kind], time, size);
        write_what(out, &decoded);
    }
    fputc('\n', out);
}

/* ---- the walk */

struct log_walk {
    struct inspect *inspect;
    struct inspect_page page;
    struct kv_op *ops;
    raft_index next, last; /* to be shown next, and last */
    uint64_t shown;
    unsigned in_view;
    bool ended;
};

static void write_missing(struct log_walk *walk, raft_index to)
{
    struct json json = { .out = walk->page.out };
    walk->inspect->damaged += to - walk->next + 1;
    if (!walk->inspect->json) {
        fprintf(json.out, "%-8" PRIu64 "  missing up to %" PRIu64 "\n", walk->next, to);
        return;
    }
    json_begin(&json, '{');
    json_number(&json, "index", walk->next);
    json_words(&json, "kind", "missing");
    json_number(&json, "up_to", to);
    json_truth(&json, "damaged", true);
    json_finish(&json, '}');
    fputc('\n', json.out);
}

static bool on_entry(void *arg, const struct look_entry *entry)
{
    struct log_walk *walk = arg;
    if (entry->index > walk->last) {
        if (walk->next <= walk->last)
            write_missing(walk, walk->last);
        walk->next = walk->last + 1;
        return false;
    }
    if (entry->index > walk->next)
        write_missing(walk, entry->index - 1);
    walk->inspect->damaged += entry->err != OK;
    inspect_write_entry(walk->page.out, walk->inspect->json, entry, walk->ops);
    walk->next = entry->index + 1;
    walk->ended = ++walk->shown == walk->inspect->limit;
    return !walk->ended && ++walk->in_view < ENTRIES_PER_VIEW && !inspect_page_full(&walk->page);
}

/* Which entries there are, and whether those asked for are among them. */
static bool find_range(const struct inspect *inspect, struct look *look, struct log_walk *walk,
                       int *status)
{
    raft_index first, last;
    uint64_t count, base = 0;
    enum err err = look_bounds(look, &first, &last, &count);
    look_number(look, "base_index", &base);
    if (err != OK) {
        *status = inspect_failed(inspect, "log", err);
        return false;
    }
    if (count == 0 && inspect->from == 0 && inspect->to == UINT64_MAX) {
        *status = COMMAND_OK; /* nothing was ever written, or all is in the state */
        return false;
    }
    if (count == 0 || inspect->from > last || inspect->to <= base) {
        char holds[80] = "is empty";
        if (count > 0)
            snprintf(holds, sizeof holds, "holds the entries %" PRIu64 " to %" PRIu64, first, last);
        *status = usage_error("the log %s; choose --from and --to among them%s", holds,
                              base > 0 ? " (what came before is in the state)" : "");
        return false;
    }
    walk->next = inspect->from > base ? inspect->from : base + 1;
    walk->last = inspect->to < last ? inspect->to : last;
    return true;
}

/* The entries of one view; the log may have been trimmed since the last one. */
static enum err show_view(struct look *look, struct log_walk *walk)
{
    uint64_t base = 0;
    look_number(look, "base_index", &base);
    if (walk->next <= base)
        walk->next = base + 1;
    raft_index began = walk->next;
    walk->in_view = 0;
    inspect_page_begin(&walk->page);
    enum err err = look_entries(look, walk->next, on_entry, walk);
    walk->ended = walk->ended || walk->next > walk->last || walk->next == began;
    return err;
}

int inspect_log(struct inspect *inspect)
{
    int status = COMMAND_OK;
    struct log_walk walk = { .inspect = inspect };
    struct look *look = inspect_open(inspect, LOOK_LOG, &status);
    if (look == NULL)
        return status;
    enum err err = look_begin(look);
    bool any = err == OK && find_range(inspect, look, &walk, &status);
    walk.ops = memory_new_array(BATCH_OPS_MAX, sizeof *walk.ops);
    for (walk.ended = !any; err == OK && !walk.ended; ) {
        look_end(look);
        err = look_begin(look);
        if (err != OK)
            break;
        err = show_view(look, &walk);
        look_end(look);
        inspect_page_write(&walk.page);
    }
    if (err != OK)
        status = inspect_failed(inspect, "log", err);
    look_close(look);
    free(walk.ops);
    return status;
}
