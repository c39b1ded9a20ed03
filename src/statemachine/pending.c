/* pending.c - the ordered map behind the pending table, on a red-black tree.
 *
 * A node holds its key and row, so that a change costs one allocation and the batch for the
 * state store needs no copy: its slices point into the nodes. */
#include "pending.h"

#include <holdfast/panic.h>

#include <stdlib.h>

static int node_compare(struct pending_node *a, struct pending_node *b)
{
    if (a->table != b->table)
        return a->table < b->table ? -1 : 1;
    return slice_compare(pending_key(a), pending_key(b));
}

/* RB_GENERATE_STATIC relies on a name that libbsd's header leaves undefined on Linux. */
RB_GENERATE_INTERNAL(pending_tree, pending_node, link, node_compare,
                     static __attribute__((unused)))

static struct pending_node probe_of(enum state_table table, struct slice key)
{
    return (struct pending_node){ .key = key.data, .key_size = (uint16_t)key.size,
                                  .table = (uint8_t)table };
}

static size_t node_bytes(const struct pending_node *node)
{
    return sizeof *node + node->key_size + node->row_capacity;
}

void pending_init(struct pending *pending)
{
    RB_INIT(&pending->tree);
    pending->n = 0;
    pending->bytes = 0;
}

void pending_clear(struct pending *pending)
{
    struct pending_node *node, *next;
    RB_FOREACH_SAFE(node, pending_tree, &pending->tree, next) {
        RB_REMOVE(pending_tree, &pending->tree, node);
        free(node);
    }
    pending_init(pending);
}

struct pending_node *pending_find(struct pending *pending, enum state_table table,
                                  struct slice key)
{
    struct pending_node probe = probe_of(table, key);
    return RB_FIND(pending_tree, &pending->tree, &probe);
}

static void insert(struct pending *pending, struct pending_node *node)
{
    struct pending_node *clash = RB_INSERT(pending_tree, &pending->tree, node);
    ASSERT(clash == NULL);
    pending->n++;
    pending->bytes += node_bytes(node);
}

static void detach(struct pending *pending, struct pending_node *node)
{
    RB_REMOVE(pending_tree, &pending->tree, node);
    pending->n--;
    pending->bytes -= node_bytes(node);
}

/* A place may be reused unless it is so large that keeping it would waste memory. */
static bool fits(const struct pending_node *node, size_t row_size)
{
    return row_size <= node->row_capacity && node->row_capacity / 2 <= row_size + 64;
}

/* The node of this key with room for the row: the old one, or a new one in its place. */
static struct pending_node *place(struct pending *pending, enum state_table table,
                                  struct slice key, size_t row_size)
{
    struct pending_node *old = pending_find(pending, table, key);
    if (old != NULL && fits(old, row_size)) {
        old->row_size = (uint32_t)row_size;
        return old;
    }
    ASSERT(key.size > 0 && key.size <= KEY_SIZE_MAX && row_size <= UINT32_MAX / 2);
    struct pending_node *node = memory_grow(NULL, 1, sizeof *node + key.size + row_size);
    *node = probe_of(table, slice_of(node->bytes, key.size));
    memcpy(node->bytes, key.data, key.size);
    node->row_size = node->row_capacity = (uint32_t)row_size;
    if (old != NULL) {
        detach(pending, old);
        free(old);
    }
    insert(pending, node);
    return node;
}

unsigned char *pending_put(struct pending *pending, enum state_table table, struct slice key,
                           size_t row_size)
{
    struct pending_node *node = place(pending, table, key, row_size);
    node->tombstone = false;
    return node->bytes + node->key_size;
}

void pending_delete(struct pending *pending, enum state_table table, struct slice key)
{
    place(pending, table, key, 0)->tombstone = true;
}

void pending_merge(struct pending *into, struct pending *from)
{
    struct pending_node *node, *next;
    RB_FOREACH_SAFE(node, pending_tree, &from->tree, next) {
        struct pending_node *old = RB_FIND(pending_tree, &into->tree, node);
        if (old != NULL) {
            detach(into, old);
            free(old);
        }
        detach(from, node);
        insert(into, node);
    }
}

struct pending_node *pending_seek(struct pending *pending, enum state_table table, struct slice key,
                                  bool backward)
{
    /* Backward without a key: what lies before the first key of the next table. */
    bool from_end = backward && key.size == 0;
    struct pending_node probe = probe_of(from_end ? (enum state_table)(table + 1) : table, key);
    struct pending_node *node = RB_NFIND(pending_tree, &pending->tree, &probe);
    if (backward && (node == NULL || node_compare(node, &probe) != 0))
        node = node == NULL ? RB_MAX(pending_tree, &pending->tree)
                            : RB_PREV(pending_tree, &pending->tree, node);
    return node != NULL && node->table == table ? node : NULL;
}

struct pending_node *pending_step(struct pending_node *node, bool backward)
{
    struct pending_node *next = backward ? RB_PREV(pending_tree, NULL, node)
                                         : RB_NEXT(pending_tree, NULL, node);
    return next != NULL && next->table == node->table ? next : NULL;
}

void pending_changes(struct pending *pending, struct state_change *out)
{
    struct pending_node *node;
    size_t i = 0;
    RB_FOREACH(node, pending_tree, &pending->tree) {
        out[i].table = (enum state_table)node->table;
        out[i].key = pending_key(node);
        out[i].value = node->tombstone ? slice_of(NULL, 0) : pending_row(node);
        i++;
    }
    ASSERT(i == pending->n);
}
