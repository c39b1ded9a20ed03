/* election.c - standing for election and voting: §5.2, §5.4.1, PreVote (thesis 9.6) and loyalty
 * to a leader that is alive (thesis 4.2.3). */
#include "raft_state.h"

/* A learner never stands, nor does who is not a member.  In a joint configuration "any server from
 * either configuration may serve as leader", §6.  Who leaves may be the only one that holds the entry
 * by which it does: then nobody else can be elected, and it stands, without a vote of its own, until
 * that entry is committed (thesis 4.2.2, figure 4.6). */
bool may_campaign(const struct raft *r)
{
    bool may = place_votes(r, r->self) || members_leaving(r) || mutant("removed-node-campaigns");
    return may && !r->stalled && r->term < RAFT_NUMBER_MAX &&
           r->trail.last < RAFT_NUMBER_MAX;
}

/* Who is alone need not wait for anyone; but while the change that left it alone is not committed,
 * the leader that makes it may lead, and serve reads under its lease. */
bool election_due(const struct raft *r)
{
    return r->now >= r->election_deadline ||
           (r->role == RAFT_FOLLOWER && r->members_index <= r->commit && raft_alone(r) &&
            may_campaign(r));
}

static void request_votes(struct raft *r, bool pre, bool transfer)
{
    for (uint32_t i = 0; i < r->members.n; i++) {
        if (i == r->self || !place_votes(r, i))
            continue;
        struct raft_msg *msg = raft_message(r, RAFT_VOTE, r->members.at[i].id);
        msg->term = pre ? r->term + 1 : r->term;
        msg->vote.last = r->trail.last;
        msg->vote.last_term = trail_last_term(&r->trail);
        msg->vote.pre = pre;
        msg->vote.transfer = transfer;
    }
}

void campaign(struct raft *r, bool transfer)
{
    /* A leader that hands over has just told us that it is alive and willing: nothing to ask
     * beforehand (thesis 9.6 with 3.10). */
    if (r->config.pre_vote && !transfer && !raft_alone(r)) {
        become_precandidate(r);
        request_votes(r, true, false);
    } else {
        become_candidate(r);
        request_votes(r, false, transfer);
    }
}

/* "If election timeout elapses without receiving AppendEntries RPC from current leader or
 * granting vote to candidate: convert to candidate", Figure 2. */
void election_tick(struct raft *r)
{
    if (!election_due(r))
        return;
    if (!may_campaign(r)) {
        r->leader = 0;
        election_timer_reset(r);
    } else if (r->role == RAFT_CANDIDATE && !r->granted[r->self]) {
        /* The own disk has not yet written the vote, so nobody has been asked: one more term
         * would only queue behind it, and a disk slower than the timeout would never elect. */
        election_timer_reset(r);
    } else {
        campaign(r, false);
    }
}

/* "heard from a current leader within the minimum election timeout", thesis 4.2.3.  Any leader: a
 * higher term seen since, or a restart, takes nothing back, because that leader may be serving
 * reads on the strength of this server's answer (thesis 6.4.1). */
static bool leader_is_alive(const struct raft *r)
{
    return r->role == RAFT_LEADER || (r->now < r->loyal_until && !mutant("disloyal"));
}

/* "candidate's log is at least as up-to-date as receiver's log", §5.4.1. */
static bool up_to_date(const struct raft *r, const struct raft_msg *msg)
{
    raft_term own = trail_last_term(&r->trail);
    if (mutant("vote-for-short-log"))
        return true;
    return msg->vote.last_term > own ||
           (msg->vote.last_term == own && msg->vote.last >= r->trail.last);
}

/* "votedFor is null or candidateId"; and where this term's leader is known, the vote can only
 * disturb. */
static bool may_vote(const struct raft *r, raft_id candidate)
{
    return r->vote == candidate || (r->vote == 0 && r->leader == 0);
}

/* Thesis 9.6: says what it would answer, and changes nothing.  A refusal carries the own term, so
 * that who asks in too low a term catches up and is not refused for ever (canonical/raft #281,
 * openraft #1796). */
static void on_pre_vote(struct raft *r, const struct raft_msg *msg)
{
    bool in_time = msg->term > r->term || (msg->term == r->term && may_vote(r, msg->from));
    bool granted = in_time && !leader_is_alive(r) && up_to_date(r, msg);
    raft_emit(r, RAFT_TRACE_VOTE, msg->from, msg->term, granted, 1);
    struct raft_msg *reply = raft_message(r, RAFT_VOTE_REPLY, msg->from);
    reply->term = granted ? msg->term : mutant("pre-vote-refusal-silent") ? 0 : r->term;
    reply->vote_reply.pre = true;
    reply->vote_reply.granted = granted;
}

/* Figure 2, RequestVote RPC.  Whether either is a member by this server's configuration is not asked:
 * who asks may know a later one, and need this vote (thesis 4.1; B12). */
void on_vote(struct raft *r, const struct raft_msg *msg)
{
    if (msg->vote.pre) {
        on_pre_vote(r, msg);
        return;
    }
    /* Thesis 4.2.3: "it does not update its term or grant its vote".  Without the check of the
     * quorum a leader that hears nobody would be protected for ever. */
    if (msg->term >= r->term && r->config.check_quorum && !msg->vote.transfer &&
        leader_is_alive(r)) {
        raft_emit(r, RAFT_TRACE_IGNORED, msg->type, msg->from, msg->term, r->term);
        return;
    }
    if (msg->term > r->term)
        become_follower(r, msg->term, 0);
    bool granted = msg->term == r->term && may_vote(r, msg->from) && up_to_date(r, msg);
    if (granted) {
        r->vote = msg->from;
        election_timer_reset(r);
    }
    raft_emit(r, RAFT_TRACE_VOTE, msg->from, msg->term, granted, 0);
    raft_message(r, RAFT_VOTE_REPLY, msg->from)->vote_reply.granted = granted;
}

/* Counts a grant only in the role and for the term that asked for it: a late pre-vote is not a
 * vote, nor is one of an earlier term.  A higher term has been taken over before. */
void on_vote_reply(struct raft *r, const struct raft_msg *msg)
{
    bool pre = msg->vote_reply.pre && !mutant("pre-vote-counts");
    bool asked = pre ? r->role == RAFT_PRECANDIDATE && msg->term == r->term + 1
                     : r->role == RAFT_CANDIDATE && msg->term == r->term;
    if (!asked || !msg->vote_reply.granted) {
        raft_emit(r, RAFT_TRACE_IGNORED, msg->type, msg->from, msg->term, r->term);
        return;
    }
    r->granted[raft_place(r, msg->from)] = true;
    if (!granted_by_majority(r))
        return;
    if (pre) {
        become_candidate(r);
        request_votes(r, false, false);
    } else {
        become_leader(r);
    }
}
