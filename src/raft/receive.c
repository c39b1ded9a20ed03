/* receive.c - a message has come: is it one that a correct peer can have sent, does its term
 * change ours, and who handles it.
 *
 * Messages come from the network, so nothing here is an assertion: what cannot be is refused
 * whole, before anything has changed. */
#include "raft_state.h"

static bool is_position(raft_index index, raft_term term, raft_term highest)
{
    return index <= RAFT_NUMBER_MAX && (index == 0) == (term == 0) && term <= highest;
}

static bool entries_are_well_formed(const struct raft_msg *msg, const struct raft_entry *entries)
{
    raft_term term = msg->append.prev_term > 0 ? msg->append.prev_term : 1;
    for (uint32_t i = 0; i < msg->append.n; i++) {
        if (entries[i].term < term || entries[i].term > msg->term)
            return false;
        bool known = entries[i].kind == RAFT_MEMBERS
                         ? entries[i].members != NULL && members_are_valid(entries[i].members)
                         : entries[i].kind == RAFT_NOOP || entries[i].kind == RAFT_DATA;
        if (!known)
            return false;
        term = entries[i].term;
    }
    return true;
}

static bool append_is_well_formed(const struct raft_msg *msg, const struct raft_entry *entries)
{
    if (!is_position(msg->append.prev, msg->append.prev_term, msg->term))
        return false;
    if (msg->append.n > RAFT_BATCH_MAX || msg->append.prev + msg->append.n > RAFT_NUMBER_MAX ||
        msg->append.commit > RAFT_NUMBER_MAX)
        return false;
    ASSERT(msg->append.n == 0 || entries != NULL);
    return entries_are_well_formed(msg, entries);
}

static bool body_is_well_formed(const struct raft_msg *msg, const struct raft_entry *entries)
{
    switch (msg->type) {
    case RAFT_VOTE:
        /* Nobody has entries of a term that has not begun. */
        return msg->term > 0 && is_position(msg->vote.last, msg->vote.last_term, msg->term - 1) &&
               !(msg->vote.pre && msg->vote.transfer);
    case RAFT_VOTE_REPLY:
        /* A server that is new may refuse a pre-vote in its term 0. */
        return msg->term > 0 || (msg->vote_reply.pre && !msg->vote_reply.granted);
    case RAFT_APPEND:
        return msg->term > 0 && append_is_well_formed(msg, entries);
    case RAFT_APPEND_REPLY:
        return msg->term > 0 && msg->append_reply.match <= RAFT_NUMBER_MAX &&
               msg->append_reply.conflict <= RAFT_NUMBER_MAX &&
               msg->append_reply.conflict_term <= msg->term;
    case RAFT_HEARTBEAT:
        return msg->term > 0 &&
               is_position(msg->heartbeat.commit, msg->heartbeat.commit_term, msg->term);
    case RAFT_HEARTBEAT_REPLY:
    case RAFT_TIMEOUT_NOW:
        return msg->term > 0;
    case RAFT_SNAPSHOT:
        return msg->term > 0 && msg->snapshot.base > 0 &&
               is_position(msg->snapshot.base, msg->snapshot.base_term, msg->term);
    case RAFT_MSG_TYPES:
        break;
    }
    return false;
}

/* Only the leader of a term says these. */
static bool is_leaders_word(const struct raft_msg *msg)
{
    return msg->type == RAFT_APPEND || msg->type == RAFT_HEARTBEAT ||
           msg->type == RAFT_TIMEOUT_NOW || msg->type == RAFT_SNAPSHOT;
}

static bool is_reply(const struct raft_msg *msg)
{
    return msg->type == RAFT_VOTE_REPLY || msg->type == RAFT_APPEND_REPLY ||
           msg->type == RAFT_HEARTBEAT_REPLY;
}

/* To itself a server says only what must wait for its own disk.  Of others it may know nothing:
 * "servers process incoming RPC requests without consulting their current configurations", thesis
 * 4.1, or nobody could join. */
static bool is_addressed_well(const struct raft *r, const struct raft_msg *msg)
{
    if (msg->to != r->config.self || msg->from == 0)
        return false;
    if (msg->from == r->config.self)
        return (msg->type == RAFT_VOTE_REPLY && !msg->vote_reply.pre && msg->vote_reply.granted) ||
               (msg->type == RAFT_APPEND_REPLY && msg->append_reply.ok);
    return true;
}

/* An answer counts only as one of a member.  From one that has left, a leader takes what it says of
 * its log in this term, in order to send it the rest; its term deposes nobody. */
static bool is_strangers_reply(const struct raft *r, const struct raft_msg *msg)
{
    if (!is_reply(msg))
        return false;
    uint32_t place = raft_place(r, msg->from);
    if (place < r->members.n || place == r->self)
        return false;
    return place == r->n_places || r->role != RAFT_LEADER || msg->term != r->term;
}

/* Whether a correct peer can say this to a server in this state. */
static bool is_possible(const struct raft *r, const struct raft_msg *msg,
                        const struct raft_entry *entries)
{
    bool this_term = msg->term == r->term;
    /* A term has one leader (Election Safety, Figure 3). */
    if (is_leaders_word(msg) && this_term && r->leader != 0 && r->leader != msg->from)
        return false;
    if (msg->type == RAFT_APPEND && msg->term >= r->term)
        return append_is_possible(r, msg, entries);
    if (msg->type == RAFT_SNAPSHOT && msg->term >= r->term)
        return snapshot_is_possible(r, msg);
    if (msg->type == RAFT_APPEND_REPLY && this_term && r->role == RAFT_LEADER)
        return append_reply_is_possible(r, msg);
    if (msg->type == RAFT_HEARTBEAT_REPLY && this_term && r->role == RAFT_LEADER)
        return msg->heartbeat_reply.round <= r->round;
    return true;
}

/* Figure 2: "Reply false if term < currentTerm".  The reply carries the own term, by which a
 * leader of the past learns that it is one. */
static void refuse_stale(struct raft *r, const struct raft_msg *msg)
{
    if (msg->type == RAFT_APPEND) {
        append_refuse(r, msg);
    } else if (msg->type == RAFT_HEARTBEAT) {
        raft_message(r, RAFT_HEARTBEAT_REPLY, msg->from)->heartbeat_reply.round =
            msg->heartbeat.round;
    } else {
        raft_emit(r, RAFT_TRACE_IGNORED, msg->type, msg->from, msg->term, r->term);
    }
}

static void handle(struct raft *r, const struct raft_msg *msg, const struct raft_entry *entries)
{
    switch (msg->type) {
    case RAFT_VOTE:
        on_vote(r, msg);
        break;
    case RAFT_VOTE_REPLY:
        on_vote_reply(r, msg);
        break;
    case RAFT_APPEND:
        on_append(r, msg, entries);
        break;
    case RAFT_APPEND_REPLY:
        on_append_reply(r, msg);
        break;
    case RAFT_HEARTBEAT:
        on_heartbeat(r, msg);
        break;
    case RAFT_HEARTBEAT_REPLY:
        on_heartbeat_reply(r, msg);
        break;
    case RAFT_TIMEOUT_NOW:
        on_timeout_now(r, msg);
        break;
    case RAFT_SNAPSHOT:
        on_snapshot(r, msg);
        break;
    case RAFT_MSG_TYPES:
        break;
    }
}

enum raft_status on_message(struct raft *r, const struct raft_msg *msg,
                            const struct raft_entry *entries)
{
    if ((uint32_t)msg->type >= RAFT_MSG_TYPES || msg->term > RAFT_NUMBER_MAX ||
        !is_addressed_well(r, msg) || !body_is_well_formed(msg, entries) ||
        !is_possible(r, msg, entries))
        return RAFT_INVALID;

    if (is_strangers_reply(r, msg)) {
        raft_emit(r, RAFT_TRACE_IGNORED, msg->type, msg->from, msg->term, r->term);
        return RAFT_OK;
    }
    /* A request for a vote may be disregarded, term and all; a granted pre-vote echoes a term
     * that has not begun. */
    bool own_rule = msg->type == RAFT_VOTE || (msg->type == RAFT_VOTE_REPLY &&
                                               msg->vote_reply.pre && msg->vote_reply.granted);
    if (mutant("stale-acknowledgement") && msg->type == RAFT_APPEND_REPLY && msg->term < r->term)
        own_rule = true;
    if (!own_rule && msg->term < r->term) {
        refuse_stale(r, msg);
        return RAFT_OK;
    }
    /* "If RPC request or response contains term T > currentTerm: set currentTerm = T, convert to
     * follower", Figure 2, Rules for Servers, All Servers. */
    if (!own_rule && msg->term > r->term)
        become_follower(r, msg->term, is_leaders_word(msg) ? msg->from : 0);
    handle(r, msg, entries);
    return RAFT_OK;
}
