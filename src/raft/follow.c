/* follow.c - what a follower does with its leader's appends and heartbeats: Figure 2,
 * AppendEntries RPC, Receiver implementation. */
#include "raft_state.h"

/* "If AppendEntries RPC received from new leader: convert to follower", Figure 2, Candidates. */
void follow(struct raft *r, raft_id leader)
{
    ASSERT(r->role != RAFT_LEADER);
    if (r->role != RAFT_FOLLOWER)
        become_follower(r, r->term, leader);
    r->leader = leader;
    r->loyal_until = r->now + r->config.election_min_ms;
    election_timer_reset(r);
}

/* The first of the message's entries that the log does not hold, from 0; n: it holds all.  Up to
 * the commit index and the trail's base entries are taken as equal: append_is_possible() has
 * compared what can be compared, and committed entries are the same everywhere (§5.4.3). */
static uint32_t first_new(const struct raft *r, const struct raft_msg *msg,
                          const struct raft_entry *entries)
{
    raft_index prev = msg->append.prev;
    uint32_t i = 0;
    if (prev < r->trail.base) {
        raft_index known = r->trail.base - prev;
        i = known < msg->append.n ? (uint32_t)known : msg->append.n;
    }
    while (i < msg->append.n && prev + 1 + i <= r->trail.last &&
           (trail_term(&r->trail, prev + 1 + i) == entries[i].term || mutant("suffix-not-erased")))
        i++;
    return i;
}

/* A leader of this term or a later one holds every entry committed here, with the same term
 * (Leader Completeness, §5.4.3): an append that would overwrite one is no leader's. */
bool append_is_possible(const struct raft *r, const struct raft_msg *msg,
                        const struct raft_entry *entries)
{
    raft_index prev = msg->append.prev;
    if (prev > r->commit)
        return true;
    if (prev >= r->trail.base && trail_term(&r->trail, prev) != msg->append.prev_term)
        return false;
    uint32_t i = first_new(r, msg, entries);
    return i == msg->append.n || prev + 1 + i > r->commit;
}

/* Figure 2, 2: "Reply false if log doesn't contain an entry at prevLogIndex whose term matches
 * prevLogTerm".  The hint of §5.3: the logs can agree at most up to the last entry here that is
 * not after prev and not of a later term than the leader's there. */
void append_refuse(struct raft *r, const struct raft_msg *msg)
{
    raft_index conflict = trail_find(&r->trail, msg->append.prev, msg->append.prev_term);
    if (conflict > msg->append.prev)
        conflict = msg->append.prev; /* all before the trail's base has been forgotten */
    raft_emit(r, RAFT_TRACE_APPEND_REFUSED, msg->from, msg->append.prev, msg->append.prev_term,
              conflict);
    struct raft_msg *reply = raft_message(r, RAFT_APPEND_REPLY, msg->from);
    reply->append_reply.match = msg->append.prev;
    reply->append_reply.conflict = conflict;
    reply->append_reply.conflict_term = trail_term(&r->trail, conflict);
}

static bool prev_matches(const struct raft *r, const struct raft_msg *msg)
{
    raft_index prev = msg->append.prev;
    /* What is committed matches, also where it is compacted.  What the trail has forgotten above that (thousands of terms
     * without one commit) cannot be compared, and what cannot be compared is not overwritten. */
    if (prev < r->trail.base)
        return r->trail.base <= r->commit;
    if (mutant("compacted-prev-matches") && prev > r->trail.last && r->trail.base > 0)
        return true;
    return prev <= r->trail.last && trail_term(&r->trail, prev) == msg->append.prev_term;
}

/* Figure 2, 3 and 4: "If an existing entry conflicts with a new one, delete the existing entry
 * and all that follow it.  Append any new entries not already in the log".  An old or repeated
 * append whose entries are all here must erase nothing: later ones may have been acknowledged. */
static void store(struct raft *r, const struct raft_msg *msg, const struct raft_entry *entries)
{
    uint32_t skip = first_new(r, msg, entries), n = msg->append.n;
    if (mutant("erase-on-old-append"))
        skip = 0;
    if (skip == n)
        return;
    raft_save_entries(r, msg->append.prev + 1 + skip, skip, n - skip);
    for (uint32_t i = skip; i < n; i++) {
        if (entries[i].kind == RAFT_MEMBERS)
            members_append(r, msg->append.prev + 1 + i, entries[i].members);
    }
    for (uint32_t i = skip; i < n;) {
        uint32_t same = 1;
        while (i + same < n && entries[i + same].term == entries[i].term)
            same++;
        raft_trail_append(r, entries[i].term, same);
        i += same;
    }
}

void on_append(struct raft *r, const struct raft_msg *msg, const struct raft_entry *entries)
{
    follow(r, msg->from);
    if (!prev_matches(r, msg)) {
        append_refuse(r, msg);
        return;
    }
    store(r, msg, entries);
    raft_index last_new = msg->append.prev + msg->append.n;
    /* 5: "set commitIndex = min(leaderCommit, index of last new entry)": what lies after may
     * still be another leader's. */
    if (mutant("commit-beyond-new"))
        last_new = r->trail.last;
    raft_commit_to(r, msg->append.commit < last_new ? msg->append.commit : last_new);
    last_new = msg->append.prev + msg->append.n;
    struct raft_msg *reply = raft_message(r, RAFT_APPEND_REPLY, msg->from);
    reply->append_reply.ok = true;
    reply->append_reply.match = last_new;
}

/* The leader has committed the entry (commit, commit_term).  If the own entry there has the same
 * term, then by Log Matching (§5.3: "if two entries in different logs have the same index and
 * term, then the logs are identical in all preceding entries") everything up to it is what was
 * committed.  So a follower that missed the append which would have told it catches up here. */
void on_heartbeat(struct raft *r, const struct raft_msg *msg)
{
    follow(r, msg->from);
    raft_index commit = msg->heartbeat.commit;
    if (commit > r->commit && commit <= r->trail.last && !mutant("heartbeat-tells-nothing") &&
        trail_term(&r->trail, commit) == msg->heartbeat.commit_term)
        raft_commit_to(r, commit);
    raft_message(r, RAFT_HEARTBEAT_REPLY, msg->from)->heartbeat_reply.round = msg->heartbeat.round;
}
