/* writes.c - clients that write.  An op is gathered, proposed, and done when the entry at its index
 * is applied: with its own term it was applied, with another it certainly never will be.  Until
 * then its fate is unknown, and a deadline that passes says so (B48). */
#include "node_private.h"

#include <inttypes.h>

/* op->node_a: index, op->node_b: term, once proposed; request number, once forwarded. */

void writes_done(struct node *node, struct op *op, enum err err, enum outcome outcome)
{
    node->n_writes--;
    node->writes_bytes -= op->command->size;
    op->err = err;
    op->outcome = outcome;
    op->done(op);
}

static void refuse(struct op *op, enum err err)
{
    op->err = err;
    op->outcome = OUTCOME_NOT_APPLIED;
    op->result = NULL;
    op->done(op);
}

static bool only_deletes(struct node *node, const struct op *op)
{
    struct command command;
    if (command_decode(blob_slice(op->command), node->ops, &command) != OK)
        return false;
    for (uint32_t i = 0; command.type == COMMAND_BATCH && i < command.n; i++)
        if (command.ops[i].type == KV_SET)
            return false;
    return command.type == COMMAND_BATCH;
}

/* Looked at by bytes too: a fast disk takes hundreds of MiB between two looks by time. */
static bool out_of_space(struct node *node, const struct op *op)
{
    if (node->role != RAFT_LEADER)
        return false;
    node->unchecked_bytes += op->command->size;
    if (node->unchecked_bytes >= SPACE_CHECK_BYTES)
        node_check_space(node);
    return node->no_space && !only_deletes(node, op);
}

void writes_submit(struct node *node, struct op *op)
{
    op->result = NULL;
    if (node->stopping)
        refuse(op, ERR_SHUTTING_DOWN);
    else if (digest_doubted(node))
        refuse(op, ERR_STATE_DIFFERS);
    else if (op->command->size > COMMAND_SIZE_MAX)
        refuse(op, ERR_TOO_LARGE);
    else if (node->n_writes >= PROPOSALS_MAX || node->writes_bytes >= PROPOSALS_BYTES_MAX)
        refuse(op, ERR_OVERLOADED);
    else if (out_of_space(node, op))
        refuse(op, ERR_NO_SPACE);
    else if (op->local_only && node->role != RAFT_LEADER)
        refuse(op, ERR_NO_LEADER);
    else {
        node->n_writes++;
        node->writes_bytes += op->command->size;
        TAILQ_INSERT_TAIL(&node->gathering, op, link);
        node_wake(node);
    }
}

/* ---- proposing */

static uint32_t take_batch(struct node *node, struct op_list *batch)
{
    uint32_t n = 0;
    size_t bytes = 0;
    TAILQ_INIT(batch);
    struct op *op;
    while (n < RAFT_BATCH_MAX && (op = TAILQ_FIRST(&node->gathering)) != NULL &&
           (n == 0 || bytes + op->command->size <= APPEND_BYTES_MAX)) {
        TAILQ_REMOVE(&node->gathering, op, link);
        TAILQ_INSERT_TAIL(batch, op, link);
        bytes += op->command->size;
        node->kinds[n++] = RAFT_DATA;
    }
    return n;
}

/* Group commit by back-pressure: while the log writes, proposals gather, and the next batch takes
 * them all. */
static void propose(struct node *node)
{
    struct op_list batch;
    uint32_t n = take_batch(node, &batch);
    struct raft_event event = { .type = RAFT_PROPOSE, .propose = { node->kinds, n } };
    enum raft_status status = core_step(node, &event, &(struct source){ .ops = &batch });
    if (status != RAFT_OK) {
        TAILQ_CONCAT(&batch, &node->gathering, link);
        TAILQ_CONCAT(&node->gathering, &batch, link);
        return;
    }
    node->stats.proposals += n;
    node->stats.proposal_batches++;
    uint32_t i = 0;
    struct op *op;
    TAILQ_FOREACH (op, &batch, link) {
        op->node_a = node->update.save.first + i++;
        op->node_b = node->term;
    }
    TAILQ_CONCAT(&node->proposed, &batch, link);
}

void writes_pump(struct node *node)
{
    if (node->role == RAFT_LEADER) {
        if (node->n_flights == 0 && !TAILQ_EMPTY(&node->gathering) &&
            statemachine_pending_bytes(node->sm) < node->config.pending_bytes_max)
            propose(node);
        return;
    }
    const struct peer *leader = node_peer(node, node->leader);
    if (leader == NULL || leader->silent) /* a dead leader's successor will be known soon */
        return;
    struct op *op, *next;
    TAILQ_FOREACH_SAFE (op, &node->gathering, link, next) {
        TAILQ_REMOVE(&node->gathering, op, link);
        if (op->local_only)
            writes_done(node, op, ERR_NO_LEADER, OUTCOME_NOT_APPLIED);
        else
            forward_write(node, op);
    }
}

/* ---- the end of a write */

/* What certainly was not applied may be tried again.  Not at once: the sweep's rhythm keeps two
 * nodes that disagree about the leader from playing ball. */
void writes_retry(struct node *node, struct op *op)
{
    if (node->stopping || op->local_only)
        writes_done(node, op, ERR_NO_LEADER, OUTCOME_NOT_APPLIED);
    else
        TAILQ_INSERT_TAIL(&node->gathering, op, link);
}

static void tell_result(struct node *node, struct op *op, const struct command_result *result)
{
    if (digest_doubted(node)) { /* what it came to here may not be what it came to elsewhere */
        writes_done(node, op, ERR_STATE_DIFFERS, OUTCOME_UNKNOWN);
        return;
    }
    op->result = result;
    writes_done(node, op, result->err,
                result->err == OK ? OUTCOME_APPLIED : OUTCOME_NOT_APPLIED);
}

/* Those up to `index`, whose entry came to `result`; NULL: a snapshot took the place of all of them,
 * and nobody here knows what they came to. */
static void settle_orphans(struct node *node, raft_index index, raft_term term,
                           const struct command_result *result)
{
    raft_index first = UINT64_MAX;
    struct op *op, *next;
    TAILQ_FOREACH_SAFE (op, &node->orphans, link, next) {
        if (op->node_a > index) {
            first = op->node_a < first ? op->node_a : first;
            continue;
        }
        TAILQ_REMOVE(&node->orphans, op, link);
        if (result == NULL && !mutant("jumped-write-tried-again"))
            writes_done(node, op, ERR_TIMEOUT, OUTCOME_UNKNOWN);
        else if (result != NULL && op->node_a == index &&
                 (op->node_b == term || mutant("answers-a-stranger")))
            tell_result(node, op, result);
        else
            writes_retry(node, op);
    }
    node->orphans_first = first;
}

void writes_applied(struct node *node, raft_index index, raft_term term,
                    const struct command_result *result)
{
    if (node->orphans_first <= index)
        settle_orphans(node, index, term, result);
    struct op *op = TAILQ_FIRST(&node->proposed);
    if (op == NULL || op->node_a != index)
        return;
    ASSERT(op->node_b == term);
    TAILQ_REMOVE(&node->proposed, op, link);
    tell_result(node, op, result);
}

void writes_jumped(struct node *node, raft_index index)
{
    settle_orphans(node, index, 0, NULL);
}

void writes_lost_leadership(struct node *node)
{
    struct op *op;
    while (mutant("failed-though-proposed") && (op = TAILQ_FIRST(&node->proposed)) != NULL) {
        TAILQ_REMOVE(&node->proposed, op, link);
        writes_done(node, op, ERR_NO_LEADER, OUTCOME_NOT_APPLIED);
    }
    TAILQ_FOREACH (op, &node->proposed, link)
        if (op->node_a < node->orphans_first)
            node->orphans_first = op->node_a;
    TAILQ_CONCAT(&node->orphans, &node->proposed, link);
}

/* What has not been proposed or sent is certainly not applied; of the rest nobody knows. */
static void expire_list(struct node *node, struct op_list *list, uint64_t now_ms,
                        enum outcome outcome)
{
    struct op *op, *next;
    TAILQ_FOREACH_SAFE (op, list, link, next) {
        if (op->deadline_ms > now_ms)
            continue;
        TAILQ_REMOVE(list, op, link);
        enum err err = ERR_TIMEOUT;
        if (node->stopping)
            err = ERR_SHUTTING_DOWN;
        else if (outcome == OUTCOME_NOT_APPLIED)
            err = node->leader == 0 ? ERR_NO_LEADER : ERR_OVERLOADED;
        writes_done(node, op, err, outcome);
    }
}

void writes_expire(struct node *node, uint64_t now_ms)
{
    expire_list(node, &node->gathering, now_ms, OUTCOME_NOT_APPLIED);
    expire_list(node, &node->proposed, now_ms, OUTCOME_UNKNOWN);
    expire_list(node, &node->orphans, now_ms, OUTCOME_UNKNOWN);
    expire_list(node, &node->forwarded, now_ms, OUTCOME_UNKNOWN);
}

void writes_fail_all(struct node *node)
{
    writes_expire(node, UINT64_MAX);
}

void writes_refuse_all(struct node *node, enum err err)
{
    struct op *op;
    while ((op = TAILQ_FIRST(&node->gathering)) != NULL) {
        TAILQ_REMOVE(&node->gathering, op, link);
        writes_done(node, op, err, OUTCOME_NOT_APPLIED);
    }
}
