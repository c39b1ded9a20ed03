/* apply.c - commands to changes and results.
 *
 * A batch changes the stage alone; when all of it has succeeded the stage moves into the open
 * table, else it is dropped.  A single operation on one key cannot fail after it has changed
 * something, so it changes the open table at once.
 *
 * Which table a row is in must never show in an answer: when this node flushes is its own
 * affair, and every node must give the same answer to the same entry. */
#include "statemachine_private.h"

struct batch {
    struct statemachine *sm;
    struct pending *target; /* the stage, or the open table */
    uint64_t revision;      /* of what this batch changes */
    bool changed;
    uint64_t keys_created, keys_deleted;
    uint64_t sum; /* what is added to the state's, modulo 2^64 */
    uint64_t prefixes, prefix_keys; /* deletes by prefix, and keys that they deleted */
    size_t value_bytes;             /* returned by gets */
    uint64_t failed_revision;
};

/* ---- operations: OK, why the batch fails (ERR_CONDITION_FAILED, ERR_TOO_LARGE), or what is
 * wrong with the store (ERR_CORRUPT, ERR_IO) */

static enum err check_condition(struct batch *batch, const struct kv_op *op, bool exists,
                                const struct row *row)
{
    bool holds = op->condition == CONDITION_NONE ||
                 (op->condition == CONDITION_EXISTS && exists) ||
                 (op->condition == CONDITION_REVISION &&
                  op->revision == (exists ? row->revision : 0));
    batch->failed_revision = holds || !exists ? 0 : row->revision;
    return holds ? OK : ERR_CONDITION_FAILED;
}

static void apply_set(struct batch *batch, const struct kv_op *op, bool exists,
                      const struct row *before, struct kv_result *result)
{
    struct row row = { batch->revision, batch->revision, 1, op->value };
    if (exists) {
        row.create_revision = before->create_revision;
        row.version = before->version + 1;
        batch->sum -= digest_item(TABLE_KV, op->key, row_bytes(before)); /* while it is there */
    }
    size_t size = ROW_HEADER_SIZE + op->value.size;
    unsigned char *place = pending_put(batch->target, TABLE_KV, op->key, size);
    row_encode(&row, place);
    batch->sum += digest_item(TABLE_KV, op->key, slice_of(place, size));
    batch->changed = true;
    batch->keys_created += !exists;
    result->created = !exists;
    result->revision = row.revision;
    result->create_revision = row.create_revision;
    result->version = row.version;
}

/* `item` is the digest of what is deleted. */
static void delete_key(struct batch *batch, struct slice key, uint64_t item,
                       struct kv_result *result)
{
    batch->sum -= item;
    pending_delete(batch->target, TABLE_KV, key);
    batch->changed = true;
    batch->keys_deleted++;
    result->deleted++;
}

/* The value is copied: what it stands in may be gone before the result is. */
static enum err apply_get(struct batch *batch, const struct row *row, struct kv_result *result)
{
    struct statemachine *sm = batch->sm;
    batch->value_bytes += row->value.size;
    if (batch->value_bytes > BATCH_RESULT_MAX)
        return ERR_TOO_LARGE;
    struct blob *copy = sm->held[sm->n_held++] = blob_copy(row->value);
    result->found = true;
    result->revision = row->revision;
    result->create_revision = row->create_revision;
    result->version = row->version;
    result->value = blob_slice(copy);
    return OK;
}

static enum err delete_walked(struct batch *batch, struct walk *walk, struct kv_result *result)
{
    unsigned char key[KEY_SIZE_MAX];
    while (!walk->ended) {
        if (++batch->prefix_keys > DELETE_PREFIX_KEYS_MAX)
            return ERR_TOO_LARGE;
        /* Step on first, by a copy of the key: deleting may free the node that holds it. */
        size_t size = walk->key.size;
        memcpy(key, walk->key.data, size);
        uint64_t item = digest_item(TABLE_KV, walk->key, row_bytes(&walk->row));
        enum err err = walk_next(walk);
        if (err != OK)
            return err;
        delete_key(batch, slice_of(key, size), item, result);
    }
    return OK;
}

static enum err apply_delete_prefix(struct batch *batch, const struct kv_op *op,
                                    struct kv_result *result)
{
    unsigned char bound[KEY_SIZE_MAX];
    struct slice none = { NULL, 0 }, upper = prefix_end(op->key, bound);
    struct walk walk;
    /* A walk passes over the deleted keys of those before it, so their number is bounded too. */
    if (++batch->prefixes > BATCH_PREFIXES_MAX)
        return ERR_TOO_LARGE;
    enum err err = walk_open(&walk, batch->sm, op->key, upper, none, false);
    if (err == OK)
        err = delete_walked(batch, &walk, result);
    walk_close(&walk);
    return err;
}

static enum err apply_op(struct batch *batch, const struct kv_op *op, struct kv_result *result)
{
    *result = (struct kv_result){ .type = op->type };
    if (op->type == KV_DELETE_PREFIX)
        return apply_delete_prefix(batch, op, result);

    struct row row;
    enum err err = view_get(batch->sm, op->key, &row);
    bool exists = err == OK;
    if (err != OK && err != ERR_KEY_NOT_FOUND)
        return err;
    err = check_condition(batch, op, exists, &row);
    if (err != OK)
        return err;

    if (op->type == KV_SET) {
        apply_set(batch, op, exists, &row, result);
    } else if (exists && op->type == KV_GET) {
        err = apply_get(batch, &row, result);
    } else if (exists) {
        result->found = true;
        delete_key(batch, op->key, digest_item(TABLE_KV, op->key, row_bytes(&row)), result);
    }
    return err;
}

/* ---- commands */

static bool of_the_store(enum err err)
{
    return err == ERR_CORRUPT || err == ERR_IO;
}

static void commit_batch(struct batch *batch)
{
    struct statemachine *sm = batch->sm;
    if (batch->target == &sm->stage)
        pending_merge(&sm->open, &sm->stage);
    sm->keys += batch->keys_created;
    sm->keys -= batch->keys_deleted;
    sm->sum += batch->sum;
    if (batch->changed)
        sm->revision = batch->revision;
}

static enum err apply_batch(struct statemachine *sm, const struct command *command,
                            struct command_result *result)
{
    bool direct = command->n == 1 && command->ops[0].type != KV_DELETE_PREFIX;
    struct batch batch = { .sm = sm, .target = direct ? &sm->open : &sm->stage,
                           .revision = sm->revision + 1 };
    for (uint32_t i = 0; i < command->n; i++) {
        enum err err = apply_op(&batch, &command->ops[i], &sm->results[i]);
        if (err == OK)
            continue;
        pending_clear(&sm->stage);
        result->err = err;
        result->failed_op = i;
        result->failed_revision = batch.failed_revision;
        return of_the_store(err) ? err : OK;
    }
    commit_batch(&batch);
    result->n = command->n;
    return OK;
}

static enum err apply_command(struct statemachine *sm, struct slice payload,
                              struct command_result *result)
{
    struct command command;
    if (command_decode(payload, sm->ops, &command) != OK) {
        result->err = ERR_BAD_REQUEST;
        return OK;
    }
    if (command.type == COMMAND_BATCH)
        return apply_batch(sm, &command, result);
    result->err = members_announce(sm, &command.member, payload);
    return OK;
}

static void release_held(struct statemachine *sm)
{
    while (sm->n_held > 0)
        blob_unref(sm->held[--sm->n_held]);
}

enum err statemachine_apply(struct statemachine *sm, const struct record *entry,
                            struct command_result *result)
{
    ASSERT(entry->index == sm->applied + 1 && !sm->reading);
    release_held(sm);
    *result = (struct command_result){ .index = entry->index, .term = entry->term,
                                       .results = sm->results };
    enum err err = OK;
    if (entry->kind == RAFT_DATA)
        err = apply_command(sm, entry->payload, result);
    else if (entry->kind == RAFT_MEMBERS)
        result->err = configuration_apply(sm, entry->index, entry->payload);
    view_close_store(sm);
    if (err != OK)
        return err;
    sm->applied = entry->index;
    sm->applied_term = entry->term;
    result->revision = sm->revision;
    return OK;
}

void apply_fini(struct statemachine *sm)
{
    release_held(sm);
}
