/* view.c - one key through all layers. */
#include "statemachine_private.h"

enum err view_open_store(struct statemachine *sm)
{
    if (sm->store_reading)
        return OK;
    enum err err = sm->store->ops->read_begin(sm->store);
    sm->store_reading = err == OK;
    return err;
}

void view_close_store(struct statemachine *sm)
{
    if (!sm->store_reading || sm->reading)
        return;
    sm->store->ops->read_end(sm->store);
    sm->store_reading = false;
}

enum err view_get(struct statemachine *sm, struct slice key, struct row *out)
{
    for (int i = 0; i < LAYERS; i++) {
        const struct pending_node *node = pending_find(layer(sm, i), TABLE_KV, key);
        if (node != NULL && node->tombstone)
            return ERR_KEY_NOT_FOUND;
        if (node != NULL)
            return row_decode(pending_row(node), out);
    }

    struct slice bytes;
    enum err err = view_open_store(sm);
    if (err == OK)
        err = sm->store->ops->get(sm->store, TABLE_KV, key, &bytes);
    if (err == ERR_NOT_FOUND)
        return ERR_KEY_NOT_FOUND;
    return err == OK ? row_decode(bytes, out) : err;
}
