/* apply.c - applies what is committed and gathers the state's writes (the pending table,
 * docs/ARCHITECTURE.md). */
#include "node_private.h"

static void storage_failed(enum err err, const char *what)
{
    panic(err == ERR_IO ? EXIT_STATUS_IO : EXIT_STATUS_CORRUPT,
          "%s: %s; this node stops, its data is left as it is", what, err_text(err));
}

static bool apply_one(void *arg, raft_index index, struct slice bytes)
{
    struct node *node = arg;
    if (index > node->commit || statemachine_pending_bytes(node->sm) >= node->config.pending_bytes_max)
        return false;
    struct record record;
    enum err err = record_decode(index, bytes, &record);
    if (err != OK)
        storage_failed(err, "a log entry is damaged");
    struct command_result result = { 0 };
    if (mutant("applied-differently") && index % 16 == 7 &&
        node->config.identity.id == node->config.members[0].id)
        record.kind = RAFT_NOOP;
    err = statemachine_apply(node->sm, &record, &result);
    if (err != OK)
        storage_failed(err, "the state cannot be read");
    node->stats.applied_entries++;
    digest_applied(node);
    if (record.kind == RAFT_MEMBERS) {
        configs_applied(node, index);
        members_check_removed(node);
    }
    writes_applied(node, index, record.term, &result);
    return true;
}

void apply_committed(struct node *node)
{
    raft_index applied = statemachine_applied(node->sm);
    if (applied >= node->commit || fetch_installing(node))
        return;
    node_read_entries(node, applied + 1, apply_one, node);
    if (statemachine_applied(node->sm) == applied)
        return;
    node->applied_ms = node_now(node);
    reads_applied(node);
}

/* ---- flushing */

/* When the gathered changes should go to the state store; UINT64_MAX: nothing to flush. */
uint64_t apply_flush_deadline(const struct node *node)
{
    if (node->flush_submitted || fetch_installing(node) || !statemachine_unsaved(node->sm))
        return UINT64_MAX;
    if (node->flush_job != NULL) /* waits for the log; core_log_done wakes the node */
        return UINT64_MAX;
    if (node->stopping || node->compaction.tight || statemachine_urgent(node->sm) ||
        copy_waits_for_flush(node) ||
        statemachine_pending_bytes(node->sm) >= FLUSH_BYTES)
        return 0;
    uint64_t idle = node->applied_ms + node->config.flush_ms / IDLE_FLUSH_PART;
    uint64_t late = node->flushed_ms + node->config.flush_ms;
    return idle < late ? idle : late;
}

/* The state never gets ahead of the own log: a leader may apply what is durable on a majority
 * without it, and must not find its state newer than its log after a crash. */
void apply_pump_flush(struct node *node)
{
    if (node->flush_job == NULL && node_now(node) >= apply_flush_deadline(node))
        node->flush_job = statemachine_seal(node->sm, &node->flush_applied);
    bool ahead = node->flush_applied > node->durable && !mutant("state-ahead-of-log");
    if (node->flush_job == NULL || node->flush_submitted || ahead || fetch_installing(node))
        return;
    node->flush_submitted = true;
    node->state->ops->submit(node->state, node->flush_job);
}

void apply_flush_done(struct node *node, struct state_job *job)
{
    ASSERT(job == node->flush_job && node->flush_submitted);
    statemachine_flushed(node->sm, job);
    node->flush_job = NULL;
    node->flush_submitted = false;
    node->flushed_ms = node_now(node);
    node->stats.flushes++;
    node_wake(node); /* writes that waited for room in the pending table */
}
