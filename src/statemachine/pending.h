/* pending.h - one generation of changes that the state store does not have yet: an ordered map
 * of table and key to a row, or to a tombstone, which says that the key is gone.
 *
 * The order is the state store's: by table, then by key as bytes.  Rows stay where they are
 * until their key is put or deleted again. */
#ifndef HOLDFAST_STATEMACHINE_PENDING_H
#define HOLDFAST_STATEMACHINE_PENDING_H

#include <holdfast/storage.h>

#include <bsd/sys/tree.h>

struct pending_node {
    RB_ENTRY(pending_node) link;
    const unsigned char *key; /* in `bytes`; apart only in a probe */
    uint16_t key_size;
    uint8_t table;
    bool tombstone;
    uint32_t row_size;     /* 0 in a tombstone */
    uint32_t row_capacity; /* bytes behind the key, in use or not */
    unsigned char bytes[]; /* the key, then the row */
};

RB_HEAD(pending_tree, pending_node);

struct pending {
    struct pending_tree tree;
    size_t n;
    size_t bytes; /* all that its nodes occupy */
};

void pending_init(struct pending *pending);
void pending_clear(struct pending *pending); /* frees every node */

struct pending_node *pending_find(struct pending *pending, enum state_table table,
                                  struct slice key);

/* The place of the row, `row_size` bytes to be written by the caller.  One allocation, or none
 * if the key is there already and its place fits. `key` may be that of the node replaced. */
unsigned char *pending_put(struct pending *pending, enum state_table table, struct slice key,
                           size_t row_size);
void pending_delete(struct pending *pending, enum state_table table, struct slice key);

/* Moves every node of `from` into `into`, where it replaces what was there. */
void pending_merge(struct pending *into, struct pending *from);

/* The first node of the table with a key >= `key` (the last with a key <= `key`, backward);
 * key of size 0: the first, the last, of all.  NULL: there is none. */
struct pending_node *pending_seek(struct pending *pending, enum state_table table, struct slice key,
                                  bool backward);
/* The neighbour in the same table, or NULL. */
struct pending_node *pending_step(struct pending_node *node, bool backward);

/* The nodes in order as changes for the state store, into an array of pending->n places. */
void pending_changes(struct pending *pending, struct state_change *out);

static inline struct slice pending_key(const struct pending_node *node)
{
    return slice_of(node->key, node->key_size);
}

static inline struct slice pending_row(const struct pending_node *node)
{
    return slice_of(node->bytes + node->key_size, node->row_size);
}

#endif
