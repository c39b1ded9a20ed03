/* statemachine.h - the replicated state: keys, revisions, members.
 *
 * Deterministic: the same entries in the same order give the same state and the same answers
 * on every node; no clock, no randomness.  Applied changes gather in the pending table and
 * reach the state store later, in one transaction with the applied index (docs/ARCHITECTURE.md).
 * A read looks in the open table, then the sealed one, then the store.  Loop thread only. */
#ifndef HOLDFAST_STATEMACHINE_H
#define HOLDFAST_STATEMACHINE_H

#include <holdfast/blob.h>
#include <holdfast/err.h>
#include <holdfast/storage.h>
#include <holdfast/wire.h>

struct statemachine;

/* Reads applied index, revision, digest and members from the store; a store that was written before
 * there were digests is walked.  ERR_CORRUPT, ERR_IO as they come. */
MUST_CHECK enum err statemachine_new(struct state_store *store /* borrowed */,
                                     struct statemachine **out);
/* NULL is fine.  A batch that is out is borrowed by the store: it must have come back, or the
 * store be closed (which writes it), before this is called. */
void statemachine_free(struct statemachine *sm);

/* ---- applying */

/* Applies the entry after the last applied one (ASSERT).  RAFT_NOOP entries count too.
 * A batch's operations act in order, each on what those before it left: gets, conditions and
 * versions see them.  The first that fails undoes all.  An announcement that would be one too
 * many for MEMBERS_MAX answers ERR_TOO_LARGE.
 * `result` and all it points at live until the next call that applies or reads.
 * A payload that is no command answers ERR_BAD_REQUEST on every node alike and changes nothing, as
 * does an announcement by somebody who is no member of the configuration, if there is one.
 * ERR_CORRUPT or ERR_IO: the store below failed; the node must stop. */
MUST_CHECK enum err statemachine_apply(struct statemachine *sm, const struct record *entry,
                                       struct command_result *result);

raft_index statemachine_applied(const struct statemachine *sm);
raft_term statemachine_applied_term(const struct statemachine *sm);
uint64_t statemachine_revision(const struct statemachine *sm); /* 1 when empty */
uint64_t statemachine_keys(const struct statemachine *sm);

/* The same on every node that has applied as much; see src/statemachine/digest.c. */
uint64_t statemachine_digest(const struct statemachine *sm);
/* The same by looking at every item, in memory and in the store: differs if the store has lost or
 * changed something.  ERR_CORRUPT, ERR_IO. */
MUST_CHECK enum err statemachine_walk_digest(struct statemachine *sm, uint64_t *out);

/* What the other nodes say of this state.  Kept beside it in the store, and so in its copies. */
enum state_doubt {
    DOUBT_NONE,
    DOUBT_UNDECIDED, /* no majority agrees in any */
    DOUBT_DIFFERS,   /* a majority agrees in another */
};
enum state_doubt statemachine_doubt(const struct statemachine *sm);
/* The entry at which it arose. */
raft_index statemachine_doubt_index(const struct statemachine *sm);
/* Durable with the next batch. */
void statemachine_set_doubt(struct statemachine *sm, enum state_doubt doubt, raft_index index);

/* ---- the pending table */

/* Bytes in the open table and in the sealed one. */
size_t statemachine_pending_bytes(const struct statemachine *sm);
/* The applied index that is durable in the store. */
raft_index statemachine_durable(const struct statemachine *sm);
bool statemachine_sealed(const struct statemachine *sm); /* a batch is out */
/* There is something to seal that is not applied entries: it should not wait. */
bool statemachine_urgent(const struct statemachine *sm);

/* Seals the open table and returns it as a batch for the state store, or NULL if nothing was
 * applied since the last and nothing is urgent.  At most one batch is out at a time (ASSERT).  The batch belongs to
 * the state machine; *applied is the index it carries. */
struct state_job *statemachine_seal(struct statemachine *sm, raft_index *applied);
/* The batch is durable: the sealed table is dropped. */
void statemachine_flushed(struct statemachine *sm, struct state_job *job);

/* ---- reading */

struct kv_item {
    struct slice key;
    struct slice value;
    uint64_t revision, create_revision, version;
};

/* An item from the bytes that stand in TABLE_KV of a store, for tools.  ERR_CORRUPT: it is none. */
MUST_CHECK enum err statemachine_decode_item(struct slice key, struct slice bytes,
                                             struct kv_item *out);

/* Reads happen between begin and end, within one handler's call; slices live until end. */
MUST_CHECK enum err statemachine_read_begin(struct statemachine *sm);
void statemachine_read_end(struct statemachine *sm);

/* OK, ERR_KEY_NOT_FOUND, or ERR_CORRUPT / ERR_IO. */
MUST_CHECK enum err statemachine_get(struct statemachine *sm, struct slice key, struct kv_item *out);

struct list_query {
    struct slice start;    /* first key, included; size 0: from the beginning */
    struct slice end;      /* end, excluded; size 0: to the end of all */
    struct slice prefix;   /* only keys that begin so; size 0: all */
    bool descending;
    bool keys_only;        /* items come without value */
    bool count_only;       /* no items, just the count of all (bounded by scan_max) */
    uint32_t limit;        /* 1..PAGE_KEYS_MAX */
    struct slice after;    /* a cursor: continue behind this key (before it, descending) */
};                         /* every slice at most KEY_SIZE_MAX bytes (ASSERT) */

struct list_result {
    uint64_t count; /* items delivered; with count_only the number of keys */
    bool more;      /* there are further keys behind the last one delivered */
};

typedef void list_item_fn(void *arg, const struct kv_item *item);

/* Also stops, with `more`, before an item that would pass PAGE_BYTES_MAX (but delivers at least
 * one), and with count_only after LIST_COUNT_MAX keys. */
enum { LIST_COUNT_MAX = 1000 * 1000 };
MUST_CHECK enum err statemachine_list(struct statemachine *sm, const struct list_query *query,
                                      list_item_fn *item, void *arg, struct list_result *out);

/* ---- the configuration as of the applied index (meta row `configuration`, readable text)
 *
 * RAFT_MEMBERS entries replace it.  When one that is not joint is applied, the announcements of
 * those who are no members any more go, and their ids are remembered (row `removed`). */

/* False: none is known yet.  `index`: the entry that it came from; 0: it was there at the start. */
bool statemachine_configuration(const struct statemachine *sm, struct configuration *out,
                                raft_index *index);
/* What the cluster began with, the same on every node, also on one that joins later and gets the log
 * from its first entry: kept until an entry replaces it, and besides for those who join (row
 * `first`).  Goes to the store with the next batch.  ASSERT: none is known. */
void statemachine_bootstrap(struct statemachine *sm, const struct configuration *configuration);
/* What the cluster began with; false: that is not known. */
bool statemachine_first_configuration(const struct statemachine *sm, struct configuration *out);
/* This id was a member once and is none any more.  The last REMOVED_MAX are remembered. */
enum { REMOVED_MAX = 64 };
bool statemachine_was_removed(const struct statemachine *sm, raft_id id);
/* Something waits to be sealed. */
bool statemachine_unsaved(const struct statemachine *sm);

/* The members that have announced themselves; slices live until the next apply. Returns how
 * many of `out` (MEMBERS_MAX places) were filled. */
uint32_t statemachine_members(const struct statemachine *sm, struct member_info *out);

#endif
