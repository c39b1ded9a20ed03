/* lead.c - a leader's clock: heartbeats, what their replies tell, and whether a majority still
 * answers (thesis 6.2). */
#include "raft_state.h"

void heartbeat_all(struct raft *r)
{
    raft_term commit_term = trail_term(&r->trail, r->commit);
    for (uint32_t i = 0; i < r->n_places; i++) {
        if (i == r->self)
            continue;
        struct raft_msg *msg = raft_message(r, RAFT_HEARTBEAT, r->place_id[i]);
        msg->heartbeat.commit = commit_term > 0 ? r->commit : 0;
        msg->heartbeat.commit_term = commit_term;
        msg->heartbeat.round = r->round;
    }
}

raft_msec raft_contact(const struct raft *r, raft_msec now)
{
    raft_msec contact[RAFT_MEMBERS_MAX];
    if (r->role != RAFT_LEADER)
        return 0;
    for (uint32_t i = 0; i < r->members.n; i++)
        contact[i] = i == r->self ? now : r->progress[i].contact;
    return members_reached(r, contact);
}

/* The beginning of its rule and of the configuration in use count as answers of all. */
static raft_msec quorum_deadline(const struct raft *r)
{
    raft_msec contact = raft_contact(r, r->now);
    return (contact > r->quorum_since ? contact : r->quorum_since) + r->config.election_max_ms;
}

void lead_tick(struct raft *r)
{
    /* "A leader in Raft steps down if an election timeout elapses without a successful round of
     * heartbeats to a majority of its cluster", thesis 6.2. */
    if (r->config.check_quorum && r->now >= quorum_deadline(r)) {
        raft_emit(r, RAFT_TRACE_STEP_DOWN, RAFT_STEP_DOWN_QUORUM, r->term, 0, 0);
        become_follower(r, r->term, 0);
        return;
    }
    if (r->transfer_to != 0 && r->now >= r->transfer_deadline)
        transfer_give_up(r);
    if (r->now < r->heartbeat_deadline)
        return;
    members_forget_departed(r);
    for (uint32_t i = 0; i < r->n_places; i++)
        progress_beat(&r->progress[i]);
    r->heartbeat_deadline = r->now + r->config.heartbeat_ms;
    heartbeat_all(r);
}

raft_msec lead_deadline(const struct raft *r)
{
    raft_msec deadline = r->heartbeat_deadline;
    if (r->config.check_quorum && !raft_alone(r) && quorum_deadline(r) < deadline)
        deadline = quorum_deadline(r);
    if (r->transfer_to != 0 && r->transfer_deadline < deadline)
        deadline = r->transfer_deadline;
    return deadline;
}

/* The follower lives.  If it waits for a snapshot it is told again.  Else, whatever was lost on the way to it is found out here, by an append without
 * entries that it can only accept if it holds all that was sent: no batch is sent again on a
 * guess.  At most one for each heartbeat interval, however many read rounds are echoed. */
static void nudge(struct raft *r, uint32_t place)
{
    struct progress *p = &r->progress[place];
    if (p->nudged)
        return;
    if (p->state == PROGRESS_SNAPSHOT) {
        p->nudged = true;
        if (!mutant("snapshot-offered-once"))
            snapshot_offer(r, place);
    } else if (p->state == PROGRESS_PROBE && p->probe_sent) {
        p->nudged = true;
        replicate_probe_again(r, place);
    } else if (p->late) {
        p->nudged = true;
        replicate_ask(r, place);
    }
}

void on_heartbeat_reply(struct raft *r, const struct raft_msg *msg)
{
    if (r->role != RAFT_LEADER) {
        raft_emit(r, RAFT_TRACE_IGNORED, msg->type, msg->from, msg->term, r->term);
        return;
    }
    uint32_t place = raft_place(r, msg->from);
    struct progress *p = &r->progress[place];
    p->contact = r->now;
    if (msg->heartbeat_reply.round > p->round) {
        p->round = msg->heartbeat_reply.round;
        read_release(r);
    }
    nudge(r, place);
    replicate_to(r, place);
}
