/* digest.c - one number for the whole state: what two nodes that have applied the same entries
 * must agree in.
 *
 * A sum, modulo 2^64, of a hash of every item, so neither the order of changes nor of a walk
 * matters, and a change costs two hashes.  Revision and number of keys go into what is told.  It
 * finds what was applied differently; what a disk loses or changes afterwards it does not see,
 * unless the whole state is walked. */
#include "statemachine_private.h"

uint64_t digest_item(enum state_table table, struct slice key, struct slice value)
{
    return checksum(checksum((uint64_t)table, key), value);
}

uint64_t digest_counts(uint64_t revision, uint64_t keys)
{
    unsigned char bytes[8];
    for (unsigned i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(keys >> (8 * i));
    return checksum(revision, slice_of(bytes, sizeof bytes));
}

uint64_t statemachine_digest(const struct statemachine *sm)
{
    return sm->sum + digest_counts(sm->revision, sm->keys);
}

static enum err walk_all(struct walk *walk, struct statemachine *sm, uint64_t *sum, uint64_t *keys)
{
    struct slice none = { NULL, 0 };
    enum err err = walk_open(walk, sm, none, none, none, false);
    while (err == OK && !walk->ended) {
        *sum += digest_item(TABLE_KV, walk->key, row_bytes(&walk->row));
        ++*keys;
        err = walk_next(walk);
    }
    return err;
}

enum err digest_walk(struct statemachine *sm, uint64_t *sum, uint64_t *keys)
{
    struct walk walk;
    *sum = members_sum(sm);
    *keys = 0;
    enum err err = walk_all(&walk, sm, sum, keys);
    walk_close(&walk);
    view_close_store(sm);
    return err;
}

enum err statemachine_walk_digest(struct statemachine *sm, uint64_t *out)
{
    uint64_t sum, keys;
    enum err err = digest_walk(sm, &sum, &keys);
    *out = sum + digest_counts(sm->revision, keys);
    return err;
}
