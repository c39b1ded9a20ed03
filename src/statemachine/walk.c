/* walk.c - the merge of all layers into one ordered walk, in either direction.
 *
 * Each layer stands on its next key.  The least of them (the greatest, backward) is the
 * current one; among equals the newest layer's counts, and all of them step on together. */
#include "statemachine_private.h"

static struct slice greater(struct slice a, struct slice b)
{
    return slice_compare(a, b) >= 0 ? a : b;
}

/* The lesser of two upper bounds, of which size 0 is no bound. */
static struct slice lesser_bound(struct slice a, struct slice b)
{
    if (a.size == 0 || b.size == 0)
        return a.size == 0 ? b : a;
    return slice_compare(a, b) <= 0 ? a : b;
}

/* Takes what a seek or a step of the store's cursor answered. */
static enum err take_store(struct walk *walk, enum err err)
{
    walk->store_has = err == OK;
    return err == ERR_NOT_FOUND ? OK : err;
}

/* True if `key` comes before `best` in the walk's direction. */
static bool comes_first(const struct walk *walk, struct slice key, struct slice best)
{
    int order = slice_compare(key, best);
    return walk->backward ? order > 0 : order < 0;
}

static bool beyond(const struct walk *walk, struct slice key)
{
    if (walk->backward)
        return slice_compare(key, walk->lower) < 0;
    return walk->upper.size > 0 && slice_compare(key, walk->upper) >= 0;
}

/* Steps every layer that stands on `key`. */
static enum err leave(struct walk *walk, struct slice key)
{
    const struct state_store_ops *ops = walk->sm->store->ops;
    bool in_store = walk->store_has && slice_equal(walk->store_key, key);
    for (int i = 0; i < LAYERS; i++)
        if (walk->at[i] != NULL && slice_equal(pending_key(walk->at[i]), key))
            walk->at[i] = pending_step(walk->at[i], walk->backward);
    if (!in_store)
        return OK;
    return take_store(walk, ops->step(walk->cursor, walk->backward, &walk->store_key,
                                      &walk->store_row));
}

/* Makes the next living key the current one, or ends the walk. */
static enum err settle(struct walk *walk)
{
    for (;;) {
        const struct pending_node *newest = NULL;
        bool found = walk->store_has;
        struct slice key = walk->store_key, bytes = walk->store_row;
        for (int i = LAYERS - 1; i >= 0; i--) { /* later ones win ties: the newest comes last */
            struct pending_node *node = walk->at[i];
            if (node == NULL || (found && comes_first(walk, key, pending_key(node))))
                continue;
            found = true;
            newest = node;
            key = pending_key(node);
            bytes = pending_row(node);
        }
        walk->ended = !found || beyond(walk, key);
        if (walk->ended)
            return OK;
        if (newest == NULL || !newest->tombstone) {
            walk->key = key;
            return row_decode(bytes, &walk->row);
        }
        enum err err = leave(walk, key);
        if (err != OK)
            return err;
    }
}

enum err walk_next(struct walk *walk)
{
    ASSERT(!walk->ended);
    enum err err = leave(walk, walk->key);
    return err == OK ? settle(walk) : err;
}

enum err walk_open(struct walk *walk, struct statemachine *sm, struct slice lower,
                   struct slice upper, struct slice after, bool backward)
{
    const struct state_store_ops *ops = sm->store->ops;
    memset(walk, 0, sizeof *walk);
    walk->sm = sm;
    walk->backward = backward;
    walk->lower = lower;
    walk->upper = upper;

    struct slice from = backward ? lesser_bound(upper, after) : greater(lower, after);
    for (int i = 0; i < LAYERS; i++)
        walk->at[i] = pending_seek(layer(sm, i), TABLE_KV, from, backward);
    enum err err = view_open_store(sm);
    if (err != OK)
        return err;
    walk->cursor = ops->cursor_open(sm->store, TABLE_KV);
    err = take_store(walk, ops->seek(walk->cursor, from, backward, &walk->store_key,
                                     &walk->store_row));

    /* Where the walk begins may itself be left out: a cursor always, an upper bound too. */
    bool excluded = from.size > 0 && (backward || slice_equal(from, after));
    if (err == OK && excluded)
        err = leave(walk, from);
    return err == OK ? settle(walk) : err;
}

void walk_close(struct walk *walk)
{
    if (walk->cursor != NULL)
        walk->sm->store->ops->cursor_close(walk->cursor);
    walk->cursor = NULL;
}

struct slice prefix_end(struct slice prefix, unsigned char *out)
{
    size_t size = prefix.size;
    const unsigned char *bytes = prefix.data;
    while (size > 0 && bytes[size - 1] == 0xff)
        size--;
    if (size == 0)
        return slice_of(NULL, 0);
    memcpy(out, bytes, size);
    out[size - 1]++;
    return slice_of(out, size);
}
