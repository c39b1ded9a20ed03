/* transfer.c - handing leadership over: thesis 3.10. */
#include "raft_state.h"

/* The voter with the most of the log; among equals who was heard of last.  One of the new
 * configuration, if it is joint: the others leave, or become learners. */
uint32_t transfer_most_advanced(const struct raft *r)
{
    uint32_t best = r->members.n;
    for (uint32_t i = 0; i < r->members.n; i++) {
        if (i == r->self || !r->members.at[i].voter)
            continue;
        const struct progress *p = &r->progress[i];
        if (best == r->members.n || p->match > r->progress[best].match ||
            (p->match == r->progress[best].match && p->contact > r->progress[best].contact))
            best = i;
    }
    return best;
}

/* "The prior leader stops accepting new client requests ... fully updates the target server's log
 * to match its own", thesis 3.10; then it tells it not to wait. */
void transfer_advance(struct raft *r)
{
    if (r->transfer_to == 0 || r->transfer_sent)
        return;
    if (r->progress[raft_place(r, r->transfer_to)].match < r->trail.last)
        return;
    raft_message(r, RAFT_TIMEOUT_NOW, r->transfer_to);
    r->transfer_sent = true;
    raft_emit(r, RAFT_TRACE_TRANSFER, r->transfer_to, 2, 0, 0);
}

enum raft_status on_transfer(struct raft *r, raft_id to)
{
    if (r->role != RAFT_LEADER)
        return RAFT_NOT_LEADER;
    if (r->transfer_to != 0)
        return RAFT_BUSY;
    uint32_t place = to == 0 ? transfer_most_advanced(r) : raft_place(r, to);
    if (place >= r->members.n || place == r->self || !r->members.at[place].voter)
        return RAFT_INVALID;
    r->transfer_to = r->members.at[place].id;
    r->transfer_sent = false;
    r->transfer_deadline = r->now + r->config.election_max_ms;
    raft_emit(r, RAFT_TRACE_TRANSFER, r->transfer_to, 1, 0, 0);
    transfer_advance(r);
    return RAFT_OK;
}

/* "If leadership transfer does not complete after about an election timeout, the prior leader
 * aborts the transfer and resumes accepting client requests." */
void transfer_give_up(struct raft *r)
{
    raft_emit(r, RAFT_TRACE_TRANSFER, r->transfer_to, 3, 0, 0);
    transfer_end(r);
}

void transfer_end(struct raft *r)
{
    r->transfer_to = 0;
    r->transfer_sent = false;
}

/* The leader wishes this server to stand at once.  A candidate of this very term cannot have been
 * asked: it would have had to follow. */
void on_timeout_now(struct raft *r, const struct raft_msg *msg)
{
    if (!may_campaign(r) || r->role == RAFT_CANDIDATE || r->role == RAFT_LEADER) {
        raft_emit(r, RAFT_TRACE_IGNORED, msg->type, msg->from, msg->term, r->term);
        return;
    }
    campaign(r, true);
}
