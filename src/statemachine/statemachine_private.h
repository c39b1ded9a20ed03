/* statemachine_private.h - what the files of src/statemachine share.
 *
 * A key is looked for in four layers, the newest first: the stage (what the batch that is
 * being applied has changed so far; empty at any other time), the open table, the sealed
 * table, the state store. */
#ifndef HOLDFAST_STATEMACHINE_PRIVATE_H
#define HOLDFAST_STATEMACHINE_PRIVATE_H

#include "pending.h"
#include "row.h"

#include <holdfast/panic.h>
#include <holdfast/statemachine.h>

struct member {
    raft_id id;
    struct blob *announcement;
    struct member_info info; /* slices of the announcement */
};

struct statemachine {
    struct state_store *store;

    /* replicated: the same on every node that has applied as much */
    raft_index applied;
    raft_term applied_term;
    uint64_t revision; /* >= 1 */
    uint64_t keys;
    uint64_t sum; /* of digest_item over all items */
    uint32_t n_members;
    struct member members[MEMBERS_MAX]; /* by id */
    bool configured;
    raft_index configuration_index;
    struct configuration configuration;
    bool first_known;
    struct configuration first;
    uint32_t n_removed;
    raft_id removed[REMOVED_MAX]; /* the latest last */

    /* how it is kept: no answer may depend on it */
    struct pending stage, open, sealed;
    bool sealed_out;           /* the sealed table's batch is out */
    raft_index sealed_applied; /* that it carries */
    raft_index durable;
    bool bootstrapped; /* there is a configuration that no entry brought, and no batch holds it */
    struct state_job job;
    enum state_doubt doubt;
    raft_index doubt_index; /* at which it arose */
    bool doubt_unsaved;
    bool reading;       /* between read_begin and read_end */
    bool store_reading; /* the store's read is open: for a reader, or within apply */

    /* room for one command and its result */
    struct kv_op ops[BATCH_OPS_MAX];
    struct kv_result results[BATCH_OPS_MAX];
    struct blob *held[BATCH_OPS_MAX]; /* values that results point at */
    uint32_t n_held;
};

/* The layers in memory, the newest first. */
enum { LAYERS = 3 };
static inline struct pending *layer(struct statemachine *sm, int i)
{
    return i == 0 ? &sm->stage : i == 1 ? &sm->open : &sm->sealed;
}

/* ---- view.c: a key through all layers */

/* Opens the store's read unless it is open; closes it unless a reader has it. */
MUST_CHECK enum err view_open_store(struct statemachine *sm);
void view_close_store(struct statemachine *sm);

/* OK, ERR_KEY_NOT_FOUND, or ERR_CORRUPT / ERR_IO. */
MUST_CHECK enum err view_get(struct statemachine *sm, struct slice key, struct row *out);

/* ---- walk.c: many keys through all layers, in order, tombstones left out */

struct walk {
    struct statemachine *sm;
    bool backward;
    struct slice lower;                  /* included; size 0: none */
    struct slice upper;                  /* excluded; size 0: none */
    struct pending_node *at[LAYERS];     /* NULL: this layer has no more */
    struct state_cursor *cursor;
    bool store_has;                      /* store_key and store_row are the store's next */
    struct slice store_key, store_row;
    bool ended;
    struct slice key;                    /* the current one, unless ended */
    struct row row;
};

/* The keys of TABLE_KV in [lower, upper), beginning behind `after` in the direction of the walk
 * (size 0: at its end).  The slices are borrowed until walk_close, which is due even when this
 * fails.  Keys that the walk has not yet come to must not change meanwhile. */
MUST_CHECK enum err walk_open(struct walk *walk, struct statemachine *sm, struct slice lower,
                              struct slice upper, struct slice after, bool backward);
MUST_CHECK enum err walk_next(struct walk *walk);
void walk_close(struct walk *walk);

/* The least key above all that begin with `prefix`, written to `out` (KEY_SIZE_MAX bytes); size
 * 0 if there is none, as with a prefix of 0xff alone. */
struct slice prefix_end(struct slice prefix, unsigned char *out);

/* ---- apply.c */

void apply_fini(struct statemachine *sm);

/* ---- members.c */

MUST_CHECK enum err members_load(struct statemachine *sm);
void members_fini(struct statemachine *sm);
/* ERR_TOO_LARGE: MEMBERS_MAX others are known already.  ERR_BAD_REQUEST: it is no member. */
enum err members_announce(struct statemachine *sm, const struct member_info *member,
                          struct slice command);
uint64_t members_sum(const struct statemachine *sm); /* of digest_item over their rows */

void members_forget(struct statemachine *sm, raft_id id);

/* ---- configuration.c */

MUST_CHECK enum err configuration_load(struct statemachine *sm);
/* ERR_BAD_REQUEST: the payload is none. */
enum err configuration_apply(struct statemachine *sm, raft_index index, struct slice payload);
/* Its address has become another. */
void configuration_move(struct statemachine *sm, raft_id id, struct slice raft_addr);

/* ---- digest.c */

uint64_t digest_item(enum state_table table, struct slice key, struct slice value);
/* What revision and number of keys add to what is told. */
uint64_t digest_counts(uint64_t revision, uint64_t keys);
/* By looking at every item; counts the keys. */
MUST_CHECK enum err digest_walk(struct statemachine *sm, uint64_t *sum, uint64_t *keys);

#endif
