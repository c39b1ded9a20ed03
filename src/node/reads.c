/* reads.c - clients that read.  A linearizable read needs an index that was committed when it
 * came (ReadIndex, thesis 6.4) and is served once that is applied; the reads of one loop turn
 * share one question to the core, or to the leader. */
#include "node_private.h"

/* op->node_a: the index to wait for, once known; op->node_state: one of */
enum { READ_STATE, READ_INDEX_ONLY };

static void done(struct node *node, struct op *op, enum err err, uint64_t staleness_ms)
{
    node->n_reads--;
    op->err = err;
    op->staleness_ms = staleness_ms;
    op->done(op);
}

/* ---- freshness */

/* The leader has told of `commit`: what is applied here is as fresh as this moment once `commit`
 * is applied. */
void reads_note_leader(struct node *node, raft_index commit)
{
    uint64_t now = node_now(node);
    node->leader_heard_ms = now;
    if (commit <= statemachine_applied(node->sm)) {
        node->fresh_ms = now;
        node->fresh_next_ms = 0;
    } else if (node->fresh_next_ms == 0) {
        node->fresh_next_ms = now;
        node->fresh_next_commit = commit;
    }
}

uint64_t reads_staleness(struct node *node)
{
    /* A leader's own state is as fresh as the last time a majority let it be leader. */
    uint64_t now = node_now(node);
    uint64_t fresh = node->role == RAFT_LEADER ? raft_contact(node->raft, now) : node->fresh_ms;
    if (fresh == 0)
        return UINT64_MAX; /* has never heard of a leader */
    return now > fresh ? now - fresh : 0;
}

/* ---- serving */

static void serve(struct node *node, struct op *op)
{
    if (digest_doubted(node)) {
        done(node, op, ERR_STATE_DIFFERS, 0);
        return;
    }
    if (op->min_revision > statemachine_revision(node->sm)) {
        TAILQ_INSERT_TAIL(&node->behind, op, link);
        return;
    }
    uint64_t staleness = 0;
    if (op->consistency == CONSISTENCY_STALE) {
        staleness = reads_staleness(node);
        if (staleness > op->max_stale_ms) {
            done(node, op, ERR_TOO_STALE, staleness);
            return;
        }
    }
    done(node, op, OK, staleness);
}

/* A lease read needs no round: within the lease no other leader can have been elected, since a
 * majority promised at lease_begun to ignore candidates for an election timeout (thesis 6.4.1).
 * A tenth is kept back for clocks that run at different rates. */
static bool lease_holds(const struct node *node)
{
    return node->role == RAFT_LEADER && node->lease_term == node->term &&
           node->config.check_quorum && !node->transfer_asked && node_now(node) < node->lease_until_ms;
}

static void gather(struct node *node, struct op *op)
{
    TAILQ_INSERT_TAIL(&node->reads, op, link);
    node_wake(node);
}

void reads_submit(struct node *node, struct op *op)
{
    node->n_reads++;
    node->stats.reads++;
    op->node_state = READ_STATE;
    if (node->stopping)
        done(node, op, ERR_SHUTTING_DOWN, 0);
    else if (digest_doubted(node))
        done(node, op, ERR_STATE_DIFFERS, 0);
    else if (node->n_reads > READS_MAX)
        done(node, op, ERR_OVERLOADED, 0);
    else if (op->consistency == CONSISTENCY_STALE)
        serve(node, op);
    else if (op->consistency == CONSISTENCY_LEASE && lease_holds(node) &&
             statemachine_applied(node->sm) >= node->commit)
        serve(node, op);
    else
        gather(node, op);
}

void reads_submit_index_only(struct node *node, struct op *op)
{
    node->n_reads++;
    op->node_state = READ_INDEX_ONLY;
    if (node->n_reads > READS_MAX || node->stopping || digest_doubted(node))
        done(node, op, ERR_OVERLOADED, 0);
    else
        gather(node, op);
}

/* ---- rounds */

void reads_init(struct node *node)
{
    TAILQ_INIT(&node->reads);
    TAILQ_INIT(&node->applying);
    TAILQ_INIT(&node->behind);
    for (int i = 0; i < READ_ROUNDS_MAX; i++)
        TAILQ_INIT(&node->rounds[i].ops);
}

static struct read_round *free_round(struct node *node)
{
    for (int i = 0; i < READ_ROUNDS_MAX; i++)
        if (!node->rounds[i].active)
            return &node->rounds[i];
    return NULL;
}

static void put_back(struct node *node, struct read_round *round)
{
    round->active = false;
    TAILQ_CONCAT(&round->ops, &node->reads, link); /* oldest first */
    TAILQ_CONCAT(&node->reads, &round->ops, link);
}

static void ask_again(struct node *node, struct read_round *round)
{
    put_back(node, round);
    node_wake(node);
}

/* Who was asked cannot be reached, or does not lead: not at once again, or a connection that is
 * refused at once would be tried as fast as it is refused. */
static void ask_later(struct node *node, struct read_round *round)
{
    put_back(node, round);
    node->reads_ask_ms = node_now(node) + SWEEP_MS;
    if (mutant("read-storm")) {
        node->reads_ask_ms = 0;
        node_wake(node);
    }
}

void reads_pump(struct node *node)
{
    bool leader = node->role == RAFT_LEADER;
    if (TAILQ_EMPTY(&node->reads) || (!leader && node->leader == 0) ||
        (!leader && node->leader == node->config.identity.id) ||
        (!leader && node_now(node) < node->reads_ask_ms))
        return;
    struct read_round *round = free_round(node);
    if (round == NULL)
        return;

    uint64_t now = node_now(node);
    round->active = true;
    round->tag = ++node->next_request;
    round->begun_ms = now;
    round->asked = leader ? 0 : node->leader;
    TAILQ_CONCAT(&round->ops, &node->reads, link);
    node->stats.read_rounds++;
    if (!leader) {
        forward_read_index(node, round);
        return;
    }
    struct raft_event event = { .type = RAFT_READ, .read.tag = round->tag };
    enum raft_status status = core_step(node, &event, &(struct source){ 0 });
    if (status != RAFT_OK)
        put_back(node, round); /* the sweep's next turn may have more luck */
}

static void hand_over(struct node *node, struct op *op, raft_index index)
{
    op->node_a = index;
    if (op->node_state == READ_INDEX_ONLY || index <= statemachine_applied(node->sm) ||
        mutant("read-before-applied"))
        serve(node, op);
    else
        TAILQ_INSERT_TAIL(&node->applying, op, link);
}

void reads_answered(struct node *node, uint64_t tag, bool ok, raft_index index)
{
    struct read_round *round = NULL;
    for (int i = 0; i < READ_ROUNDS_MAX; i++)
        if (node->rounds[i].active && (node->rounds[i].tag == tag || mutant("any-read-answer")))
            round = &node->rounds[i];
    if (round == NULL)
        return; /* given up meanwhile; its reads have asked again under another tag (B40) */
    if (!ok) {
        ask_later(node, round);
        return;
    }
    if (round->asked == 0) {
        uint64_t margin = mutant("lease-without-margin") ? 0 : node->config.election_min_ms / 10;
        uint64_t until = round->begun_ms + node->config.election_min_ms - margin;
        node->lease_term = node->term;
        node->lease_until_ms = until > node->lease_until_ms ? until : node->lease_until_ms;
    }
    round->active = false;
    struct op_list ready;
    TAILQ_INIT(&ready);
    TAILQ_CONCAT(&ready, &round->ops, link);
    struct op *op;
    while ((op = TAILQ_FIRST(&ready)) != NULL) {
        TAILQ_REMOVE(&ready, op, link);
        hand_over(node, op, index);
    }
    if (!TAILQ_EMPTY(&node->reads))
        node_wake(node);
}

void reads_applied(struct node *node)
{
    raft_index applied = statemachine_applied(node->sm);
    if (node->fresh_next_ms != 0 && applied >= node->fresh_next_commit) {
        node->fresh_ms = node->fresh_next_ms;
        node->fresh_next_ms = 0;
    }
    struct op *op, *next;
    TAILQ_FOREACH_SAFE (op, &node->applying, link, next) {
        if (op->node_a > applied)
            continue;
        TAILQ_REMOVE(&node->applying, op, link);
        serve(node, op);
    }
    TAILQ_FOREACH_SAFE (op, &node->behind, link, next) {
        if (op->min_revision > statemachine_revision(node->sm))
            continue;
        TAILQ_REMOVE(&node->behind, op, link);
        serve(node, op);
    }
}

/* Rounds asked of a leader that is none any more are asked again of the next. */
void reads_leader_changed(struct node *node)
{
    node->lease_until_ms = 0;
    node->reads_ask_ms = 0;
    for (int i = 0; i < READ_ROUNDS_MAX; i++) {
        struct read_round *round = &node->rounds[i];
        if (round->active && round->asked != 0 && round->asked != node->leader)
            ask_again(node, round);
    }
    node_wake(node);
}

void reads_peer_lost(struct node *node, raft_id peer)
{
    for (int i = 0; i < READ_ROUNDS_MAX; i++)
        if (node->rounds[i].active && node->rounds[i].asked == peer)
            ask_later(node, &node->rounds[i]);
}

/* ---- giving up */

static void expire_list(struct node *node, struct op_list *list, uint64_t now_ms, enum err err)
{
    struct op *op, *next;
    TAILQ_FOREACH_SAFE (op, list, link, next) {
        if (op->deadline_ms > now_ms)
            continue;
        TAILQ_REMOVE(list, op, link);
        done(node, op, err, 0);
    }
}

void reads_expire(struct node *node, uint64_t now_ms)
{
    enum err asking = node->stopping      ? ERR_SHUTTING_DOWN
                      : node->leader == 0 ? ERR_NO_LEADER
                                          : ERR_TIMEOUT;
    enum err waiting = node->stopping ? ERR_SHUTTING_DOWN : ERR_TIMEOUT;
    expire_list(node, &node->reads, now_ms, asking);
    for (int i = 0; i < READ_ROUNDS_MAX; i++) {
        struct read_round *round = &node->rounds[i];
        if (!round->active)
            continue;
        expire_list(node, &round->ops, now_ms, asking);
        /* A question to the leader that got lost is asked again. */
        if (round->asked != 0 && now_ms != UINT64_MAX &&
            now_ms >= round->begun_ms + node->config.election_max_ms)
            ask_again(node, round);
    }
    expire_list(node, &node->applying, now_ms, waiting);
    expire_list(node, &node->behind, now_ms, waiting);
}

void reads_fail_all(struct node *node)
{
    reads_expire(node, UINT64_MAX);
}

/* Those of a round in flight, too; its answer finds none. */
void reads_refuse_all(struct node *node, enum err err)
{
    expire_list(node, &node->reads, UINT64_MAX, err);
    for (int i = 0; i < READ_ROUNDS_MAX; i++)
        expire_list(node, &node->rounds[i].ops, UINT64_MAX, err);
    expire_list(node, &node->applying, UINT64_MAX, err);
    expire_list(node, &node->behind, UINT64_MAX, err);
}
