/* compact.c - lets the log begin later: how much of it is kept, and when which part is dropped.
 *
 * Only what the state store holds durably may go.  Behind that a tail stays for followers that
 * lag a little, so that they need no snapshot.  What is dropped goes in steps of COMPACT_STEP
 * entries, one in flight, which ride on the writes that there are anyway; only an idle log gets
 * writes for this alone.  So no client's write waits for it. */
#include "node_private.h"

#include <inttypes.h>

enum { STEP_PART = 10, STEP_MAX = 10000, ENTRIES_FOR_A_MEAN = 16 };

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

void compact_init(struct node *node, raft_index base, raft_term base_term)
{
    node->compaction = (struct compaction){ .goal = base, .base = base, .base_term = base_term,
                                            .written = base, .keep_bytes = node->compaction.keep_bytes,
                                            .entry_bytes = node->compaction.entry_bytes,
                                            .job_out = node->compaction.job_out };
}

void compact_look(struct node *node, const struct log_stats *stats, uint64_t need)
{
    struct compaction *c = &node->compaction;
    uint64_t entries = raft_last_index(node->raft) - c->base;
    c->entry_bytes = entries < ENTRIES_FOR_A_MEAN ? 0 : stats->used_bytes / entries;
    c->keep_bytes = least(node->config.log_keep_bytes, stats->map_bytes / COMPACT_KEEP_MAP_PART);
    c->tight = stats->room_bytes < need + stats->map_bytes / COMPACT_TIGHT_MAP_PART;
    c->seen = 0; /* followers have moved on, too */
}

static uint64_t entries_in(const struct compaction *c, uint64_t bytes)
{
    return c->entry_bytes == 0 ? UINT64_MAX : bytes / c->entry_bytes;
}

static raft_index behind(raft_index index, uint64_t entries)
{
    return index > entries ? index - entries : 0;
}

/* A follower that is alive and lags no more than twice what is kept anyway finds its entries. */
static raft_index spare_followers(struct node *node, raft_index goal, raft_index floor)
{
    struct raft_progress members[RAFT_MEMBERS_MAX];
    uint32_t n = raft_progress(node->raft, members);
    uint64_t now = node_now(node);
    for (uint32_t i = 0; i < n; i++) {
        const struct raft_progress *m = &members[i];
        bool alive = m->last_contact != 0 &&
                     now < m->last_contact + 10 * (uint64_t)node->config.election_max_ms;
        if (m->id != node->config.identity.id && alive && !m->snapshot && m->match >= floor)
            goal = least(goal, m->match);
    }
    return goal;
}

/* What follows a snapshot that is on its way stays, or it would be too old on arrival.  The bound
 * grows with the snapshot, so that a large one can always come to its end (B54). */
static raft_index spare_snapshots(struct node *node, raft_index goal, raft_index durable)
{
    const struct compaction *c = &node->compaction;
    uint64_t size;
    raft_index oldest = send_oldest(node, &size);
    uint64_t bytes = c->keep_bytes < UINT64_MAX / COMPACT_FETCH_KEEPS
                         ? COMPACT_FETCH_KEEPS * c->keep_bytes : UINT64_MAX;
    if (bytes < 2 * size)
        bytes = 2 * size;
    if (oldest < goal && durable - oldest <= entries_in(c, bytes))
        goal = oldest;
    return goal;
}

static void think(struct node *node)
{
    struct compaction *c = &node->compaction;
    raft_index durable = statemachine_durable(node->sm);
    if (durable == c->seen)
        return;
    c->seen = durable;
    if (mutant("compact-beyond-durable"))
        durable = statemachine_applied(node->sm);
    uint64_t keep = c->tight ? 0 : least(node->config.log_keep, entries_in(c, c->keep_bytes));
    uint64_t step = c->tight ? 1 : least(keep / STEP_PART + 1, STEP_MAX);
    raft_index goal = behind(durable, keep);
    if (!c->tight) {
        goal = spare_followers(node, goal, keep < UINT64_MAX / 2 ? behind(durable, 2 * keep) : 0);
        goal = spare_snapshots(node, goal, durable);
    }
    if (goal >= c->goal + step)
        c->goal = goal;
}

/* Tells the core how far the next step goes, before anything is dropped. */
void compact_pump(struct node *node)
{
    struct compaction *c = &node->compaction;
    if (fetch_installing(node))
        return;
    think(node);
    if (c->base >= c->goal || c->written < c->base)
        return;
    raft_index last = least(c->goal, c->base + COMPACT_STEP);
    raft_index known = raft_first_index(node->raft) - 1; /* it may have forgotten old terms */
    if (last < known && known <= c->goal)
        last = known;
    raft_term term = raft_term_at(node->raft, last);
    if (term == 0)
        return;
    struct raft_event event = { .type = RAFT_COMPACTED, .compacted.last = last };
    if (core_step(node, &event, &(struct source){ 0 }) != RAFT_OK)
        return;
    c->base = last;
    c->base_term = term;
}

/* A write of the log takes along what is due. */
void compact_ride(struct node *node, struct log_job *job)
{
    struct compaction *c = &node->compaction;
    if (c->written >= c->base || c->job_out || job->base != 0)
        return;
    job->base = c->written = c->base;
    job->base_term = c->base_term;
    c->job_out = true;
}

/* The end of a turn in which no write came along. */
void compact_alone(struct node *node)
{
    struct compaction *c = &node->compaction;
    if (c->written >= c->base || c->job_out || node->n_flights > 0)
        return;
    struct log_job *job = log_job_new(0, 0);
    job->submitted_us = node->host.now_us(node->host.arg);
    compact_ride(node, job);
    node->log->ops->submit(node->log, job);
}

void compact_done(struct node *node, const struct log_job *job)
{
    struct compaction *c = &node->compaction;
    if (job->base == 0 || job->n_meta > 0)
        return; /* an installed snapshot's write is no step of ours */
    c->job_out = false;
    node->stats.compactions++;
    if (c->written >= c->goal)
        log_debug("the log begins later", "base=%" PRIu64, c->written);
    node_wake(node);
}
