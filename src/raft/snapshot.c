/* snapshot.c - the log's beginning: compaction, and snapshots for followers that need what has
 * been compacted (§7; thesis chapter 5).
 *
 * The machine never sees a snapshot.  A leader says that one is needed, the follower's driver
 * fetches it, and tells when it has it whole; so a lost, repeated or late part of one is no matter
 * here, and appends, votes and elections go on meanwhile (B57). */
#include "raft_state.h"

/* ---- compaction */

/* "once a server completes writing a snapshot, it may delete all log entries up through the last
 * included index", §7.  Only committed ones: a snapshot holds no others.  Term and index of the last
 * stay known for the consistency check of the append behind it, and for elections (B58). */
enum raft_status on_compacted(struct raft *r, raft_index last)
{
    if (last > r->commit)
        return RAFT_INVALID;
    if (last <= r->trail.base)
        return RAFT_OK;
    raft_emit(r, RAFT_TRACE_COMPACTED, r->trail.base, last, 0, 0);
    trail_compact(&r->trail, last);
    if (r->role == RAFT_LEADER) {
        snapshot_if_needed_all(r);
        for (uint32_t i = 0; i < r->n_places; i++) {
            if (r->progress[i].state == PROGRESS_SNAPSHOT)
                replicate_to(r, i);
        }
    }
    return RAFT_OK;
}

/* ---- a leader */

/* "the leader must occasionally send snapshots to followers that lag behind", §7: when it "has
 * already discarded the next log entry that it needs to send".  An append needs the term of the
 * entry before its first; of base itself it is known, so next may be base + 1 and no less (B52). */
void snapshot_if_needed(struct raft *r, uint32_t place)
{
    struct progress *p = &r->progress[place];
    raft_index least = mutant("snapshot-next-off-by-one") ? r->trail.base : r->trail.base + 1;
    if (place == r->self || p->state == PROGRESS_SNAPSHOT || p->next >= least)
        return;
    progress_become_snapshot(p);
    raft_emit(r, RAFT_TRACE_SNAPSHOT, r->place_id[place], r->trail.base, 0, 0);
}

void snapshot_if_needed_all(struct raft *r)
{
    if (r->role != RAFT_LEADER)
        return;
    for (uint32_t i = 0; i < r->n_places; i++)
        snapshot_if_needed(r, i);
}

/* A trail that has forgotten terms may begin behind the commit index: then no snapshot reaches its
 * base yet. */
void snapshot_offer(struct raft *r, uint32_t place)
{
    r->progress[place].probe_sent = true;
    if (r->trail.base > r->commit)
        return;
    struct raft_msg *msg = raft_message(r, RAFT_SNAPSHOT, r->place_id[place]);
    msg->snapshot.base = r->trail.base;
    msg->snapshot.base_term = r->trail.base_term;
}

/* ---- a follower */

/* Who leads this term or a later one agrees with all that is committed here (Leader Completeness,
 * §5.4.3). */
bool snapshot_is_possible(const struct raft *r, const struct raft_msg *msg)
{
    raft_index base = msg->snapshot.base;
    return base > r->commit || base < r->trail.base ||
           trail_term(&r->trail, base) == msg->snapshot.base_term;
}

/* The leader has no append for this server.  It may be mistaken: what it takes for lost may have
 * come since.  What is committed here is in the leader's log (§5.4.3); if the entry at base is the
 * leader's, everything up to it is (Log Matching, §5.3).  Nothing is known of what lies behind. */
void on_snapshot(struct raft *r, const struct raft_msg *msg)
{
    raft_index base = msg->snapshot.base;
    follow(r, msg->from);
    bool have = base <= r->commit || trail_term(&r->trail, base) == msg->snapshot.base_term;
    if (!have) {
        r->update->what |= RAFT_FETCH;
        return;
    }
    struct raft_msg *reply = raft_message(r, RAFT_APPEND_REPLY, msg->from);
    reply->append_reply.ok = true;
    reply->append_reply.match = base > r->commit ? base : r->commit;
}

/* ---- installing one */

/* A leader has every committed entry.  `last` at or before the commit index brings nothing new, and
 * taking it would take back what is committed (B51).  A snapshot of a term that has not come here
 * is none that a leader known here has offered.  And a log whose terms at `last` are forgotten, none of
 * them committed, cannot be compared: it may hold behind `last` what this server has acknowledged. */
static bool is_installable(const struct raft *r, raft_index last, raft_term last_term)
{
    bool new = last > r->commit || (mutant("old-snapshot-installed") && last > r->trail.base);
    return r->role != RAFT_LEADER && new && last <= RAFT_NUMBER_MAX && last_term > 0 &&
           last_term <= r->term && last >= r->trail.base;
}

/* §7, InstallSnapshot RPC, Receiver implementation, 6: "If existing log entry has same index and
 * term as snapshot's last included entry, retain log entries following it and reply"; 7: "Discard the
 * entire log".  What is discarded was never committed: it stood behind an entry that another one is
 * committed in place of.
 *
 * Term and vote are not touched (B3, B4); nor, as a rule, is the role: a candidate's request named a log that has
 * been replaced, but if that elects it, then no snapshot of an entry committed in an earlier term can
 * have been new to it. */
enum raft_status on_installed(struct raft *r, raft_index last, raft_term last_term,
                              const struct raft_members *members)
{
    ASSERT(members != NULL && members_are_valid(members));
    if (!is_installable(r, last, last_term))
        return RAFT_INVALID;
    bool same = trail_term(&r->trail, last) == last_term || mutant("conflicting-suffix-kept");
    bool keep = last <= r->trail.last && same && !mutant("old-snapshot-installed");
    raft_emit(r, RAFT_TRACE_INSTALLED, last, last_term, keep, 0);
    if (keep)
        trail_compact(&r->trail, last);
    else
        trail_reset(&r->trail, last, last_term);
    if (last > r->commit)
        r->commit = last;
    if (mutant("snapshot-vote-cleared"))
        r->vote = 0;
    r->update->what |= RAFT_SAVE_BASE;
    r->update->save.base = last;
    r->update->save.base_term = last_term;
    r->update->save.keep = keep;
    members_install(r, last, members, keep);
    if (r->role != RAFT_FOLLOWER && !may_campaign(r)) /* it has no say any more */
        become_follower(r, r->term, 0);
    if (r->leader != 0) {
        struct raft_msg *reply = raft_message(r, RAFT_APPEND_REPLY, r->leader);
        reply->append_reply.ok = true;
        reply->append_reply.match = last;
    }
    return RAFT_OK;
}
