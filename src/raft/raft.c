/* raft.c - the beginning, and the step: one event in, one update out.
 *
 * Each kind of event is handled in its own file.  What is common to all steps is done here at
 * the end and nowhere else: noticing what must be stored, issuing the ticket, and deciding which
 * ticket each message waits for. */
#include "raft_state.h"

/* The most that one step can say: appends and a heartbeat to everyone, one more append to who has
 * answered, a reply or the word to itself, a transfer. */
_Static_assert((APPENDS_PER_STEP + 1) * (PLACES_MAX - 1) + APPENDS_PER_STEP + 2 <= RAFT_OUTBOX_MAX,
               "the outbox holds a full step");

size_t raft_size(void)
{
    return sizeof(struct raft);
}

static void check_config(const struct raft_config *config)
{
    ASSERT(config->self != 0);
    ASSERT(config->election_min_ms > 0 && config->heartbeat_ms > 0);
    ASSERT(config->election_min_ms <= config->election_max_ms);
    ASSERT(config->election_max_ms <= UINT32_MAX);
    ASSERT(config->heartbeat_ms < config->election_min_ms);
    ASSERT(config->batch_entries >= 1 && config->batch_entries <= RAFT_BATCH_MAX);
    ASSERT(config->window >= 1 && config->window <= RAFT_WINDOW_MAX);
}

void raft_init(struct raft *r, const struct raft_config *config, const struct raft_boot *boot,
               raft_msec now)
{
    check_config(config);
    memset(r, 0, sizeof *r);
    r->config = *config;
    r->now = now;
    r->random = config->seed ^ (config->self * UINT64_C(0x9e3779b97f4a7c15));
    bool forgot = trail_init(&r->trail, boot->base_index, boot->base_term, boot->last_index,
                             boot->runs, boot->n_runs);
    ASSERT(boot->term >= trail_last_term(&r->trail) && boot->term <= RAFT_NUMBER_MAX);
    ASSERT(boot->vote == 0 || boot->term > 0);
    ASSERT(boot->last_index <= RAFT_NUMBER_MAX && boot->commit <= boot->last_index);
    /* What the log no longer holds is in the state (§7): else there is a hole between them. */
    ASSERT(boot->commit >= boot->base_index);
    r->term = boot->term;
    r->vote = boot->vote;
    r->commit = boot->commit;
    if (forgot)
        raft_emit(r, RAFT_TRACE_TRAIL_FORGOT, r->trail.base, 0, 0, 0);
    r->role = RAFT_FOLLOWER;
    members_init(r, boot);
    if (boot->term > 0 && !mutant("disloyal-after-restart"))
        r->loyal_until = now + config->election_min_ms;
    election_timer_reset(r);
}

/* ---- what the handlers call */

void raft_emit(struct raft *r, uint32_t what, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    if (r->config.trace != NULL)
        r->config.trace(r->config.trace_arg, what, (const uint64_t[4]){ a, b, c, d });
}

struct raft_msg *raft_message(struct raft *r, enum raft_msg_type type, raft_id to)
{
    struct raft_update *update = r->update;
    ASSERT(update->n_msgs < RAFT_OUTBOX_MAX);
    struct raft_msg *msg = &update->msgs[update->n_msgs++];
    *msg = (struct raft_msg){ .type = type, .from = r->config.self, .to = to, .term = r->term };
    return msg;
}

void raft_save_entries(struct raft *r, raft_index first, uint32_t skip, uint32_t n)
{
    ASSERT(!(r->update->what & RAFT_SAVE_ENTRIES));
    ASSERT(n > 0 && first > r->commit && first <= r->trail.last + 1);
    if (first <= r->trail.last) {
        raft_emit(r, RAFT_TRACE_TRUNCATE, first, r->trail.last, r->term, 0);
        trail_truncate(&r->trail, first);
        members_truncate(r, first);
    }
    r->update->what |= RAFT_SAVE_ENTRIES;
    r->update->save.first = first;
    r->update->save.skip = skip;
    r->update->save.n = n;
}

void raft_trail_append(struct raft *r, raft_term term, uint64_t count)
{
    if (!trail_append(&r->trail, term, count))
        return;
    raft_emit(r, RAFT_TRACE_TRAIL_FORGOT, r->trail.base, 0, 0, 0);
    snapshot_if_needed_all(r);
}

void raft_commit_to(struct raft *r, raft_index commit)
{
    if (commit <= r->commit)
        return;
    ASSERT(commit <= r->trail.last);
    raft_emit(r, RAFT_TRACE_COMMIT, r->commit, commit, r->term, 0);
    r->commit = commit;
    members_committed(r);
}

/* ---- the step */

static enum raft_status on_disk(struct raft *r, bool stalled)
{
    r->stalled = stalled;
    if (stalled && r->role != RAFT_FOLLOWER) {
        if (r->role == RAFT_LEADER)
            raft_emit(r, RAFT_TRACE_STEP_DOWN, RAFT_STEP_DOWN_DISK, r->term, 0, 0);
        become_follower(r, r->term, 0);
    }
    return RAFT_OK;
}

static enum raft_status on_tick(struct raft *r)
{
    if (r->role == RAFT_LEADER)
        lead_tick(r);
    else
        election_tick(r);
    return RAFT_OK;
}

static enum raft_status dispatch(struct raft *r, const struct raft_event *event)
{
    switch (event->type) {
    case RAFT_TICK:
        return on_tick(r);
    case RAFT_RECV:
        return on_message(r, event->recv.msg, event->recv.entries);
    case RAFT_PROPOSE:
        return on_propose(r, event->propose.kinds, event->propose.n);
    case RAFT_READ:
        return on_read(r, event->read.tag);
    case RAFT_TRANSFER:
        return on_transfer(r, event->transfer.to);
    case RAFT_UNREACHABLE:
        return on_unreachable(r, event->unreachable.peer);
    case RAFT_SENT:
        return on_sent(r, event->sent.peer, event->sent.last);
    case RAFT_DISK:
        return on_disk(r, event->disk.stalled);
    case RAFT_CHANGE:
        return on_change(r, event->change.members);
    case RAFT_COMPACTED:
        return on_compacted(r, event->compacted.last);
    case RAFT_INSTALLED:
        return on_installed(r, event->installed.last, event->installed.last_term,
                            event->installed.members);
    case RAFT_EVENT_TYPES:
        break;
    }
    ASSERT(event->type < RAFT_EVENT_TYPES);
    return RAFT_INVALID;
}

/* What a message waits for, in the only place that decides it.
 *
 * A reply promises what this step, or any before it, has changed: it waits for the newest write.
 * That a later write may have erased what an acknowledgement speaks of is no matter: it speaks of
 * a past that was durable and in order, as a late message on the network does.
 *
 * A request promises a term (and a candidate its own vote) but nothing about entries: appends
 * leave while this disk is still writing the same entries (thesis 10.2.1).  A heartbeat's reply
 * is the like.  A candidate's request does speak of its last entry; but it was made in the step
 * that saved the vote, and writes are done in order of their tickets, so when the vote is durable
 * every entry it can speak of is. */
static raft_ticket ticket_before(const struct raft *r, const struct raft_msg *msg)
{
    switch (msg->type) {
    case RAFT_APPEND_REPLY:
        if (mutant("acknowledge-before-fsync") && msg->to != r->config.self)
            return r->vote_ticket;
        if (mutant("own-match-before-fsync") && msg->to == r->config.self)
            return r->vote_ticket;
        return r->ticket;
    case RAFT_VOTE_REPLY:
        return r->ticket;
    case RAFT_VOTE:
    case RAFT_APPEND:
    case RAFT_HEARTBEAT:
    case RAFT_HEARTBEAT_REPLY:
    case RAFT_TIMEOUT_NOW:
    case RAFT_SNAPSHOT:
    case RAFT_MSG_TYPES:
        break;
    }
    return r->vote_ticket;
}

static void issue_ticket(struct raft *r, struct raft_update *update)
{
    if (update->what & (RAFT_SAVE_VOTE | RAFT_SAVE_ENTRIES | RAFT_SAVE_BASE))
        update->ticket = ++r->ticket;
    if (update->what & RAFT_SAVE_VOTE)
        r->vote_ticket = update->ticket;
    for (uint32_t i = 0; i < update->n_msgs; i++)
        update->msgs[i].after = ticket_before(r, &update->msgs[i]);
}

static raft_msec deadline(const struct raft *r)
{
    if (r->role == RAFT_LEADER)
        return lead_deadline(r);
    return election_due(r) ? r->now : r->election_deadline;
}

enum raft_status raft_step(struct raft *r, const struct raft_event *event,
                           struct raft_update *update)
{
    ASSERT(event->now >= r->now);
    raft_term term = r->term;
    raft_id vote = r->vote, leader = r->leader;
    enum raft_role role = r->role;
    raft_index commit = r->commit;

    /* The arrays are not cleared: their counts say what is valid. */
    update->what = 0;
    update->ticket = 0;
    update->save.first = 0;
    update->save.skip = update->save.n = 0;
    update->save.base = 0;
    update->save.base_term = 0;
    update->save.keep = false;
    update->n_msgs = update->n_reads = 0;
    r->update = update;
    r->now = event->now;
    r->cause = event->type == RAFT_RECV ? (uint32_t)event->recv.msg->type + 1 : 0;

    enum raft_status status = dispatch(r, event);

    if (r->term != term || (r->vote != vote && !mutant("vote-not-saved")))
        update->what |= RAFT_SAVE_VOTE;
    if (r->commit != commit && !(update->what & RAFT_SAVE_BASE))
        update->what |= RAFT_COMMITTED;
    if (r->role != role || r->leader != leader || r->term != term)
        update->what |= RAFT_NEW_ROLE;
    issue_ticket(r, update);
    ASSERT(status == RAFT_OK || (update->what == 0 && update->n_msgs == 0 && update->n_reads == 0));
    ASSERT(r->term >= term && r->commit >= commit && r->commit <= r->trail.last);
    ASSERT((r->role == RAFT_LEADER) == (r->leader == r->config.self));
    ASSERT(trail_last_term(&r->trail) <= r->term);

    update->term = r->term;
    update->vote = r->vote;
    update->leader = r->leader;
    update->role = r->role;
    update->commit = r->commit;
    update->deadline = deadline(r);
    r->update = NULL;
    return status;
}

/* ---- what may be seen from outside */

uint32_t raft_progress(const struct raft *r, struct raft_progress *out)
{
    for (uint32_t i = 0; i < r->members.n; i++) {
        const struct progress *p = &r->progress[i];
        out[i] = (struct raft_progress){ .id = r->members.at[i].id, .voter = r->members.at[i].voter };
        if (r->role != RAFT_LEADER)
            continue;
        out[i].match = p->match;
        if (i == r->self) {
            out[i].next = r->trail.last + 1;
            out[i].last_contact = r->now;
        } else {
            out[i].probing = p->state == PROGRESS_PROBE;
            out[i].snapshot = p->state == PROGRESS_SNAPSHOT;
            out[i].next = p->next;
            out[i].last_contact = p->contact;
        }
    }
    return r->members.n;
}

raft_index raft_last_index(const struct raft *r)
{
    return r->trail.last;
}

raft_index raft_first_index(const struct raft *r)
{
    return r->trail.base + 1;
}

raft_term raft_term_at(const struct raft *r, raft_index index)
{
    return trail_term(&r->trail, index);
}
