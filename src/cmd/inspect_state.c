/* inspect_state.c - `holdfast inspect state`: a line for each key that is on the disk. */
#include "inspect.h"

#include <holdfast/statemachine.h>

#include <inttypes.h>
#include <stdlib.h>

enum { PREVIEW_MAX = 64, KEY_SHOWN_MAX = 128, ITEMS_PER_VIEW = 5000 };

/* ---- one item */

static void write_kv(FILE *out, const struct kv_item *kv)
{
    char size[TEXT_SIZE_MAX];
    text_quote(out, kv->key, KEY_SHOWN_MAX);
    text_size(kv->value.size, size);
    fprintf(out, "  revision %" PRIu64 "  created %" PRIu64 "  version %" PRIu64 "  %s  ",
            kv->revision, kv->create_revision, kv->version, size);
    text_quote(out, kv->value, PREVIEW_MAX);
}

static void write_kv_json(struct json *json, const struct kv_item *kv)
{
    json_bytes(json, "key", kv->key);
    json_number(json, "revision", kv->revision);
    json_number(json, "create_revision", kv->create_revision);
    json_number(json, "version", kv->version);
    json_number(json, "size", kv->value.size);
    json_bytes(json, "value", kv->value);
}

static void write_member(FILE *out, const struct member_info *member)
{
    fprintf(out, "%016" PRIx64 "  ", member->id);
    text_quote(out, member->name, KEY_SHOWN_MAX);
    fprintf(out, "  raft %.*s  http %.*s", (int)member->raft_addr.size,
            (const char *)member->raft_addr.data, (int)member->http_addr.size,
            (const char *)member->http_addr.data);
}

static void write_member_json(struct json *json, const struct member_info *member)
{
    json_hex(json, "id", member->id);
    json_bytes(json, "name", member->name);
    json_bytes(json, "raft_addr", member->raft_addr);
    json_bytes(json, "http_addr", member->http_addr);
}

static void write_damaged(FILE *out, struct json *json, const struct look_item *item)
{
    if (json != NULL) {
        json_bytes(json, "key", item->key);
        json_number(json, "size", item->content.size);
        json_truth(json, "damaged", true);
        return;
    }
    text_quote(out, item->key, KEY_SHOWN_MAX);
    fprintf(out, "  damaged: the %zu bytes behind it do not match their checksum", item->content.size);
}

static bool decode(const struct look_item *item, struct kv_item *kv, struct command *command)
{
    struct kv_op ops[1]; /* an announcement has none */
    if (item->err != OK)
        return false;
    if (item->table == TABLE_KV)
        return statemachine_decode_item(item->key, item->content, kv) == OK;
    if (item->table == TABLE_META)
        return true;
    const unsigned char *type = item->content.data;
    return item->content.size > 0 && type[0] == COMMAND_ANNOUNCE &&
           command_decode(item->content, ops, command) == OK;
}

void inspect_write_item(FILE *out, bool as_json, const struct look_item *item)
{
    static const char *const tables[] = { "meta", "kv", "members" };
    struct json json = { .out = out };
    struct kv_item kv;
    struct command command;
    if (as_json) {
        json_begin(&json, '{');
        json_words(&json, "table", tables[item->table]);
    }
    if (!decode(item, &kv, &command)) {
        write_damaged(out, as_json ? &json : NULL, item);
    } else if (item->table == TABLE_META && as_json) {
        json_bytes(&json, "key", item->key);
        json_bytes(&json, "text", item->content);
    } else if (item->table == TABLE_META) {
        fprintf(out, "%.*s  ", (int)item->key.size, (const char *)item->key.data);
        text_quote(out, item->content, META_TEXT_MAX);
    } else if (item->table == TABLE_KV && as_json) {
        write_kv_json(&json, &kv);
    } else if (item->table == TABLE_KV) {
        write_kv(out, &kv);
    } else if (as_json) {
        write_member_json(&json, &command.member);
    } else {
        write_member(out, &command.member);
    }
    if (as_json)
        json_finish(&json, '}');
    fputc('\n', out);
}

/* ---- the walk */

struct state_walk {
    struct inspect *inspect;
    struct inspect_page page;
    unsigned char key[KEY_SIZE_MAX]; /* the last one shown */
    size_t key_size;
    uint64_t shown;
    unsigned in_view;
    bool paused; /* there may be more */
};

static bool on_item(void *arg, const struct look_item *item)
{
    struct state_walk *walk = arg;
    struct kv_item kv;
    struct command command;
    if (!slice_has_prefix(item->key, walk->inspect->prefix) || item->key.size > sizeof walk->key)
        return false;
    walk->inspect->damaged += !decode(item, &kv, &command);
    inspect_write_item(walk->page.out, walk->inspect->json, item);
    memcpy(walk->key, item->key.data, item->key.size);
    walk->key_size = item->key.size;
    if (++walk->shown == walk->inspect->limit)
        return false;
    walk->paused = ++walk->in_view == ITEMS_PER_VIEW || inspect_page_full(&walk->page);
    return !walk->paused;
}

static enum err show_view(struct look *look, struct state_walk *walk)
{
    struct slice from = walk->key_size > 0 ? slice_of(walk->key, walk->key_size)
                                           : walk->inspect->prefix;
    unsigned char key[KEY_SIZE_MAX]; /* walk->key moves on under way */
    if (from.size > sizeof key)
        return OK; /* no key is so long */
    if (from.size > 0)
        memcpy(key, from.data, from.size);
    walk->in_view = 0;
    walk->paused = false;
    return look_items(look, walk->inspect->table, slice_of(key, from.size), walk->key_size > 0,
                      on_item, walk);
}

int inspect_state(struct inspect *inspect)
{
    int status = COMMAND_OK;
    struct state_walk walk = { .inspect = inspect, .paused = true };
    struct look *look = inspect_open(inspect, LOOK_STATE, &status);
    if (look == NULL)
        return status;
    enum err err = OK;
    while (err == OK && walk.paused) {
        err = look_begin(look);
        if (err != OK)
            break;
        inspect_page_begin(&walk.page);
        err = show_view(look, &walk);
        look_end(look);
        inspect_page_write(&walk.page);
    }
    if (err != OK)
        status = inspect_failed(inspect, "state", err);
    look_close(look);
    return status;
}
