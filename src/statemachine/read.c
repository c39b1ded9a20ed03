/* read.c - what clients read: one key, or a page of keys in order. */
#include "statemachine_private.h"

enum err statemachine_read_begin(struct statemachine *sm)
{
    ASSERT(!sm->reading && !sm->store_reading);
    enum err err = view_open_store(sm);
    sm->reading = err == OK;
    return err;
}

void statemachine_read_end(struct statemachine *sm)
{
    ASSERT(sm->reading);
    sm->reading = false;
    view_close_store(sm);
}

static struct kv_item item_of(struct slice key, const struct row *row)
{
    return (struct kv_item){ key, row->value, row->revision, row->create_revision, row->version };
}

enum err statemachine_get(struct statemachine *sm, struct slice key, struct kv_item *out)
{
    struct row row;
    ASSERT(sm->reading && key.size > 0 && key.size <= KEY_SIZE_MAX);
    enum err err = view_get(sm, key, &row);
    if (err == OK)
        *out = item_of(key, &row);
    return err;
}

static enum err count(struct walk *walk, struct list_result *out)
{
    enum err err = OK;
    while (err == OK && !walk->ended && out->count < LIST_COUNT_MAX) {
        out->count++;
        err = walk_next(walk);
    }
    return err;
}

/* Delivers items until the page is full, by number or by size. */
static enum err deliver(struct walk *walk, const struct list_query *query, list_item_fn *item,
                        void *arg, struct list_result *out)
{
    size_t bytes = 0;
    enum err err = OK;
    while (err == OK && !walk->ended && out->count < query->limit) {
        struct kv_item next = item_of(walk->key, &walk->row);
        if (query->keys_only)
            next.value = slice_of(NULL, 0);
        bytes += next.key.size + next.value.size;
        if (out->count > 0 && bytes > PAGE_BYTES_MAX)
            break;
        item(arg, &next);
        out->count++;
        err = walk_next(walk);
    }
    return err;
}

enum err statemachine_list(struct statemachine *sm, const struct list_query *query,
                           list_item_fn *item, void *arg, struct list_result *out)
{
    ASSERT(sm->reading);
    ASSERT(query->count_only || (query->limit >= 1 && query->limit <= PAGE_KEYS_MAX));
    ASSERT(query->start.size <= KEY_SIZE_MAX && query->end.size <= KEY_SIZE_MAX &&
           query->prefix.size <= KEY_SIZE_MAX && query->after.size <= KEY_SIZE_MAX);

    unsigned char bound[KEY_SIZE_MAX];
    struct slice lower = query->start, upper = prefix_end(query->prefix, bound);
    if (slice_compare(query->prefix, lower) > 0)
        lower = query->prefix;
    if (query->end.size > 0 && (upper.size == 0 || slice_compare(query->end, upper) < 0))
        upper = query->end;

    struct walk walk;
    *out = (struct list_result){ 0 };
    enum err err = walk_open(&walk, sm, lower, upper, query->after, query->descending);
    if (err == OK)
        err = query->count_only ? count(&walk, out) : deliver(&walk, query, item, arg, out);
    out->more = err == OK && !walk.ended;
    walk_close(&walk);
    return err;
}
