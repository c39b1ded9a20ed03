/* replicate.c - a leader's log to its followers: appends, what they answer, and the commit index
 * that follows from it (§5.3, §5.4.2). */
#include "raft_state.h"

/* ---- sending */

static void append_message(struct raft *r, uint32_t place, raft_index prev, uint32_t n)
{
    ASSERT(prev >= r->trail.base); /* the term of what is before is not known here any more (B21) */
    struct raft_msg *msg = raft_message(r, RAFT_APPEND, r->place_id[place]);
    msg->append.prev = prev;
    msg->append.prev_term = trail_term(&r->trail, prev);
    msg->append.commit = r->commit;
    msg->append.n = n;
}

static uint32_t batch_from(const struct raft *r, raft_index next)
{
    raft_index left = r->trail.last + 1 - next;
    return left < r->config.batch_entries ? (uint32_t)left : r->config.batch_entries;
}

static void send_probe(struct raft *r, uint32_t place, bool with_entries)
{
    struct progress *p = &r->progress[place];
    append_message(r, place, p->next - 1, with_entries ? batch_from(r, p->next) : 0);
    p->probe_sent = true;
    p->probe_empty = !with_entries || p->next > r->trail.last;
}

/* The last probe was not answered: asks again, without entries, which may be many. */
void replicate_probe_again(struct raft *r, uint32_t place)
{
    send_probe(r, place, false);
}

/* Asks whether all that was sent has come. */
void replicate_ask(struct raft *r, uint32_t place)
{
    append_message(r, place, r->progress[place].next - 1, 0);
}

/* Sends what this follower may be sent now; nothing is a usual answer. */
void replicate_to(struct raft *r, uint32_t place)
{
    struct progress *p = &r->progress[place];
    if (place == r->self)
        return;
    if (p->state == PROGRESS_SNAPSHOT) {
        if (!p->probe_sent)
            snapshot_offer(r, place);
        return;
    }
    if (p->state == PROGRESS_PROBE) {
        if (!p->probe_sent)
            send_probe(r, place, true);
        return;
    }
    for (uint32_t sent = 0; sent < APPENDS_PER_STEP; sent++) {
        if (p->next > r->trail.last || p->flight_n >= r->config.window)
            return;
        uint32_t n = batch_from(r, p->next);
        append_message(r, place, p->next - 1, n);
        progress_sent(p, p->next + n - 1);
    }
}

void replicate_to_all(struct raft *r)
{
    for (uint32_t i = 0; i < r->n_places; i++)
        replicate_to(r, i);
}

/* The leader is a follower of itself with its disk as the network. */
void replicate_own(struct raft *r)
{
    struct raft_msg *msg = raft_message(r, RAFT_APPEND_REPLY, r->config.self);
    msg->append_reply.ok = true;
    msg->append_reply.match = r->trail.last;
}

/* ---- new entries */

/* "a leader ... commits a blank no-op entry into the log at the start of its term", §8. */
void append_noop(struct raft *r)
{
    raft_save_entries(r, r->trail.last + 1, 0, 1);
    r->update->what |= RAFT_SAVE_NOOP;
    raft_trail_append(r, r->term, 1);
    replicate_own(r);
    replicate_to_all(r);
}

enum raft_status on_propose(struct raft *r, const enum raft_kind *kinds, uint32_t n)
{
    ASSERT(n >= 1 && n <= RAFT_BATCH_MAX && kinds != NULL);
    for (uint32_t i = 0; i < n; i++)
        ASSERT(kinds[i] == RAFT_DATA);
    if (r->role != RAFT_LEADER || r->transfer_to != 0)
        return RAFT_NOT_LEADER;
    if (r->trail.last + n > RAFT_NUMBER_MAX)
        return RAFT_BUSY;
    raft_save_entries(r, r->trail.last + 1, 0, n);
    raft_trail_append(r, r->term, n);
    replicate_own(r);
    replicate_to_all(r);
    return RAFT_OK;
}

/* ---- answers */

/* "If there exists an N such that N > commitIndex, a majority of matchIndex[i] >= N, and
 * log[N].term == currentTerm: set commitIndex = N", Figure 2, Leaders.  An entry of an older term
 * may be on a majority and still be overwritten (Figure 8): it is committed only by one of this
 * term after it. */
static void advance_commit(struct raft *r)
{
    uint64_t match[RAFT_MEMBERS_MAX];
    for (uint32_t i = 0; i < r->members.n; i++)
        match[i] = r->progress[i].match;
    raft_index reached = members_reached(r, match);
    bool own_term = trail_term(&r->trail, reached) == r->term || mutant("count-old-terms");
    if (reached > r->commit && own_term) {
        raft_commit_to(r, reached);
        read_on_commit(r);
        change_advance(r);
    }
}

bool append_reply_is_possible(const struct raft *r, const struct raft_msg *msg)
{
    if (msg->append_reply.match > r->trail.last)
        return false; /* nobody was asked about more */
    return msg->append_reply.ok || msg->append_reply.conflict <= msg->append_reply.match;
}

static void become_probe(struct raft *r, uint32_t place)
{
    struct progress *p = &r->progress[place];
    progress_become_probe(p);
    raft_emit(r, RAFT_TRACE_PROBE, r->place_id[place], p->match, p->next, 0);
}

/* The follower's log matches up to match, durably.  Also the leader's word to itself: that one
 * cannot be wrong by being late.  It names an index of the log as it was when the ticket was
 * issued, in this term (others were dropped before); a leader of a term leads it once, and while
 * it does it "never overwrites or deletes entries in its log" (Leader Append-Only, §5.3), so the
 * entries up to there are still those that the ticket made durable. */
static void on_accepted(struct raft *r, uint32_t place, raft_index match)
{
    struct progress *p = &r->progress[place];
    bool answers_probe = p->state == PROGRESS_PROBE && match + 1 >= p->next;
    bool news = progress_matched(p, match);
    /* A probe with entries is answered by a higher match; an answer without news is an older one's
     * and must not have everything sent once more. */
    if (answers_probe && (news || (p->probe_empty && match == p->match)))
        progress_become_replicate(p);
    /* It has a snapshot now, or had the entries all along: what it needs next is here. */
    if (p->state == PROGRESS_SNAPSHOT && p->match >= r->trail.base)
        progress_become_replicate(p);
    if (news)
        advance_commit(r);
}

/* Below base the terms of the own log are forgotten, and base itself is where trail_find ends
 * whether or not the logs agree there: they cannot if the follower's hint lies before it, or its term
 * there is lower. */
static bool agree_is_compacted(const struct raft *r, const struct raft_msg *msg, raft_index agree)
{
    return agree < r->trail.base || msg->append_reply.conflict < r->trail.base ||
           (agree == r->trail.base && msg->append_reply.conflict_term < r->trail.base_term);
}

/* The follower has no entry at prev, or another one. */
static void on_refused(struct raft *r, uint32_t place, const struct raft_msg *msg)
{
    struct progress *p = &r->progress[place];
    raft_index prev = msg->append_reply.match;
    /* A late or repeated refusal: since then the follower has acknowledged prev (a refusal made
     * after that names a place at or above match), or it has been asked about another place, or all
     * that was under way is being sent again already: each answer that is news may cause that once,
     * else late refusals would feed on each other.  next never falls to match or below. */
    bool late = prev <= p->match || prev >= p->next || msg->append_reply.conflict < p->match ||
                (p->state == PROGRESS_PROBE ? prev != p->next - 1 : p->resent) ||
                p->state == PROGRESS_SNAPSHOT;
    if (late && !mutant("late-refusal-counts")) {
        raft_emit(r, RAFT_TRACE_IGNORED, msg->type, msg->from, msg->term, r->term);
        return;
    }
    /* §5.3: "decrement nextIndex to bypass all of the conflicting entries in that term": the
     * entries here of later terms than the follower's at `conflict` are not in its log.  If something
     * was lost on the way, this is the last that came, though it may not be durable there yet. */
    raft_index agree = trail_find(&r->trail, msg->append_reply.conflict,
                                  msg->append_reply.conflict_term);
    if (agree >= prev)
        agree = prev - 1;
    if (agree < p->match && !mutant("late-refusal-counts"))
        agree = p->match;
    if (p->state == PROGRESS_REPLICATE)
        progress_become_probe(p);
    p->probe_sent = false;
    p->next = agree_is_compacted(r, msg, agree) ? p->match + 1 : agree + 1;
    snapshot_if_needed(r, place);
    if (p->state == PROGRESS_PROBE)
        raft_emit(r, RAFT_TRACE_PROBE, msg->from, p->match, p->next, 0);
}

void on_append_reply(struct raft *r, const struct raft_msg *msg)
{
    if (r->role != RAFT_LEADER) {
        raft_emit(r, RAFT_TRACE_IGNORED, msg->type, msg->from, msg->term, r->term);
        return;
    }
    uint32_t place = raft_place(r, msg->from);
    r->progress[place].contact = r->now;
    if (msg->append_reply.ok)
        on_accepted(r, place, msg->append_reply.match);
    else
        on_refused(r, place, msg);
    if (r->role != RAFT_LEADER)
        return; /* that was the commit of its own removal */
    replicate_to(r, place);
    transfer_advance(r);
}

/* What is under way is lost, probably; what will be sent now, probably too: wait for a sign of
 * life (a heartbeat's reply) and ask then. */
enum raft_status on_unreachable(struct raft *r, raft_id peer)
{
    uint32_t place = raft_place(r, peer);
    if (peer == 0 || place == r->self)
        return RAFT_INVALID;
    if (place < r->n_places && r->role == RAFT_LEADER) {
        struct progress *p = &r->progress[place];
        if (p->state == PROGRESS_REPLICATE)
            become_probe(r, place);
        snapshot_if_needed(r, place);
        p->probe_sent = true;
    }
    return RAFT_OK;
}

/* The driver found the last append too large to send whole.  What is left follows with the next
 * answer, as if the append had ended there. */
enum raft_status on_sent(struct raft *r, raft_id peer, raft_index last)
{
    uint32_t place = raft_place(r, peer);
    if (peer == 0 || place == r->self)
        return RAFT_INVALID;
    if (place < r->n_places && r->role == RAFT_LEADER) {
        progress_cut(&r->progress[place], last);
        snapshot_if_needed(r, place);
    }
    return RAFT_OK;
}
