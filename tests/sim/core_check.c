/* core_check.c - the invariants of tier 1.  After every step only what can have changed is looked
 * at; each entry carries a hash of itself and all before it, so one comparison covers a log. */
#include "tests/sim/core.h"

#include <inttypes.h>

uint64_t core_chain(uint64_t before, const struct core_entry *entry)
{
    uint64_t h = before ^ (entry->term * UINT64_C(0x9e3779b97f4a7c15)) ^ (entry->value << 1) ^
                 ((uint64_t)entry->kind << 63);
    h ^= h >> 31;
    h *= UINT64_C(0x94d049bb133111eb);
    return h ^ (h >> 29);
}

/* I3: "if two entries in different logs have the same index and term, then the logs are
 * identical in all preceding entries", Log Matching, §5.3. */
void core_check_entry(struct core_world *w, raft_index index, const struct core_entry *entry)
{
    uint64_t at = (index * UINT64_C(0x9e3779b97f4a7c15)) ^ (entry->term * UINT64_C(0xbf58476d1ce4e5b9));
    for (at ^= at >> 32;; at++) {
        uint32_t i = (uint32_t)at % CORE_SEEN_SIZE;
        if (w->seen[i].run != w->run) {
            w->seen[i].run = w->run;
            w->seen[i].index = index;
            w->seen[i].term = entry->term;
            w->seen[i].chain = entry->chain;
            return;
        }
        if (w->seen[i].index != index || w->seen[i].term != entry->term)
            continue;
        MUST(w->seen[i].chain == entry->chain,
             "I3: two logs differ at or before entry %" PRIu64 " of term %" PRIu64, index, entry->term);
        return;
    }
}

/* Only a real conflict is erased. */
void core_check_truncation(struct core_world *w, const struct core_node *n, raft_index first,
                           const struct core_entry *new)
{
    const struct core_entry *old = &n->log.at[first];
    MUST(new->term != old->term, "B19: %" PRIu64 " erases what matches from %" PRIu64 " on", n->id, first);
    MUST(first > w->committed || old->chain != w->committed_at[first].chain,
         "B19: %" PRIu64 " erases the committed entry %" PRIu64, n->id, first);
}

/* §7: what stood behind the snapshot's last entry stays if the log has that entry, and only then. */
void core_check_install(struct core_world *w, const struct core_node *n, const struct core_entry *snapshot)
{
    const struct raft_update *u = &n->update;
    raft_index base = u->save.base;
    bool same = base >= n->log.base && base <= n->log.last && n->log.at[base].chain == snapshot->chain;
    MUST(u->save.keep == same, "B51: %" PRIu64 " %s what is behind the snapshot of %" PRIu64, n->id,
         u->save.keep ? "keeps" : "drops", base);
    MUST(base <= w->committed && snapshot->chain == w->committed_at[base].chain,
         "I5: %" PRIu64 " installs a snapshot of what is not committed", n->id);
    MUST(same || base >= n->log.last || base >= w->committed ||
             n->log.at[base + 1].chain != w->committed_at[base + 1].chain,
         "B51: %" PRIu64 " drops the committed entry %" PRIu64, n->id, base + 1);
}

static void check_term(struct core_world *w, const struct core_node *n, raft_term term, raft_id vote)
{
    const struct raft_update *u = &n->update;
    MUST(u->term >= term, "I16: the term of %" PRIu64 " fell from %" PRIu64 " to %" PRIu64, n->id, term,
         u->term);
    MUST(u->term < CORE_TERMS_MAX, "the simulator has too few terms");
    if (u->term > w->highest_term)
        w->highest_term = u->term;
    MUST(u->term > term || vote == 0 || u->vote == vote,
         "I16: the vote of %" PRIu64 " in term %" PRIu64 " changes from %" PRIu64 " to %" PRIu64, n->id,
         term, vote, u->vote);
    if (u->what & RAFT_NEW_ROLE && u->role == RAFT_CANDIDATE)
        w->marks[CORE_SPLIT_VOTES] += w->candidates_of[u->term]++ == 1;
}

static void check_leader(struct core_world *w, const struct core_node *n)
{
    const struct raft_update *u = &n->update;
    if (!(u->what & RAFT_NEW_ROLE) || u->role != RAFT_LEADER)
        return;
    MUST(w->leader_of[u->term] == 0 || w->leader_of[u->term] == n->id,
         "I1: term %" PRIu64 " is led by %" PRIu64 " and %" PRIu64, u->term, w->leader_of[u->term], n->id);
    w->leader_of[u->term] = n->id;
    w->marks[CORE_LEADERS]++;
    /* A candidate of the past may learn late that it was elected: it need not hold what a later
     * term has committed meanwhile. */
    raft_index must = w->committed;
    while (must > 0 && w->committed_in[must] >= u->term)
        must--;
    MUST(n->log.last >= must && core_chain_at(w, &n->log, must) == w->committed_at[must].chain,
         "I4: leader %" PRIu64 " of term %" PRIu64 " lacks entries committed up to %" PRIu64, n->id, u->term,
         must);
    core_check_election(w, n);
}

/* Who has it on disk: a set of bits. */
static uint32_t durable_copies(const struct core_world *w, raft_index index)
{
    uint32_t copies = 0;
    for (uint32_t i = 0; i < w->n; i++)
        copies |= (uint32_t)(w->node[i]->disk.last >= index &&
                             core_chain_at(w, &w->node[i]->disk, index) == w->committed_at[index].chain)
                  << i;
    return copies;
}

static void check_commit(struct core_world *w, struct core_node *n, raft_index before)
{
    raft_index commit = n->update.commit;
    MUST(commit >= before, "I6: the commit index of %" PRIu64 " went back", n->id);
    MUST(commit <= n->log.last, "I6: the commit index of %" PRIu64 " is beyond its log", n->id);
    MUST(n->log.base <= w->committed && n->log.base <= commit,
         "I6: the log of %" PRIu64 " begins after what is committed", n->id);
    for (raft_index i = before + 1; i <= commit; i++) {
        if (i <= w->committed) {
            MUST(core_chain_at(w, &n->log, i) == w->committed_at[i].chain,
                 "I5: %" PRIu64 " commits another entry %" PRIu64, n->id, i);
            continue;
        }
        w->committed_at[i] = n->log.at[i];
        w->committed_in[i] = n->update.term;
        w->committed = i;
        w->marks[CORE_COMMITS]++;
        w->marks[CORE_OLD_TERM_COMMITS] += n->log.at[i].term < n->update.term;
        MUST(core_is_majority(n->config_before, durable_copies(w, i)),
             "I6: %" PRIu64 " commits entry %" PRIu64 ", which no majority has on disk", n->id, i);
    }
    if (commit > n->commit_seen)
        n->commit_seen = commit;
}

/* What a leader believes of a follower is true as long as that follower is in its term. */
static void check_progress(const struct core_world *w, const struct core_node *n)
{
    struct raft_progress progress[RAFT_MEMBERS_MAX];
    if (n->update.role != RAFT_LEADER)
        return;
    uint32_t members = raft_progress(n->raft, progress);
    for (uint32_t i = 0; i < members; i++) {
        const struct core_node *other = w->node[core_place(progress[i].id)];
        raft_index match = progress[i].match;
        MUST(progress[i].next > match, "B18: next of %" PRIu64 " is not above match", other->id);
        MUST(progress[i].snapshot ? match < n->log.base : progress[i].next > n->log.base,
             "B52: %" PRIu64 " needs entry %" PRIu64 " of a log that begins after %" PRIu64, other->id,
             progress[i].next, n->log.base);
        MUST(match <= n->log.last, "B18: match of %" PRIu64 " is beyond the log", other->id);
        MUST(match == 0 || other->disk_term != n->update.term ||
                 (other->disk.last >= match &&
                  core_chain_at(w, &other->disk, match) == core_chain_at(w, &n->log, match)),
             "B15: %" PRIu64 " believes that %" PRIu64 " has entry %" PRIu64, n->id, other->id, match);
    }
}

static void check_reads(struct core_world *w, const struct core_node *n)
{
    for (uint32_t i = 0; i < n->update.n_reads; i++) {
        const struct raft_read *read = &n->update.reads[i];
        MUST(read->tag < w->n_reads && w->read[read->tag].open, "a read is answered twice");
        w->read[read->tag].open = false;
        w->marks[read->ok ? CORE_READS_OK : CORE_READS_FAILED]++;
        MUST(!read->ok || read->index >= w->read[read->tag].floor,
             "I8: a read may be served at %" PRIu64 " though %" PRIu64 " was committed", read->index,
             w->read[read->tag].floor);
    }
}

void core_check_step(struct core_world *w, struct core_node *n, raft_term term, raft_id vote,
                     raft_index commit)
{
    MUST(raft_last_index(n->raft) == n->log.last, "the trail's end");
    MUST(raft_first_index(n->raft) == n->log.base + 1, "the trail's beginning");
    MUST(raft_term_at(n->raft, n->log.base) == (n->log.base == 0 ? 0 : n->log.at[n->log.base].term),
         "the term of what went last");
    check_term(w, n, term, vote);
    check_commit(w, n, commit);
    check_leader(w, n);
    check_progress(w, n);
    check_reads(w, n);
    core_check_config(w, n);
}

/* I16 for what is on disk, over all lives. */
void core_check_stored(struct core_world *w, const struct core_node *n, const struct core_write *write)
{
    (void)w;
    if (!(write->what & RAFT_SAVE_VOTE))
        return;
    MUST(write->term >= n->disk_term, "I16: %" PRIu64 " stores a lower term", n->id);
    MUST(write->term > n->disk_term || n->disk_vote == 0 || write->vote == n->disk_vote,
         "I2: %" PRIu64 " stores another vote in term %" PRIu64, n->id, write->term);
}

static void check_vote(struct core_world *w, const struct core_node *n, const struct raft_msg *msg)
{
    raft_id *vote = &w->vote_of[msg->term][core_place(n->id)];
    MUST(*vote == 0 || *vote == msg->to,
         "I2: %" PRIu64 " votes for %" PRIu64 " and %" PRIu64 " in term %" PRIu64, n->id, *vote, msg->to,
         msg->term);
    *vote = msg->to;
    MUST(n->disk_term > msg->term || (n->disk_term == msg->term && n->disk_vote == msg->to),
         "I17: the vote of %" PRIu64 " in term %" PRIu64 " leaves before it is on disk", n->id, msg->term);
}

/* I17: nothing leaves that promises what the disk does not hold. */
void core_check_release(struct core_world *w, const struct core_node *n, const struct core_packet *packet)
{
    const struct raft_msg *msg = &packet->msg;
    bool pre = (msg->type == RAFT_VOTE && msg->vote.pre) ||
               (msg->type == RAFT_VOTE_REPLY && msg->vote_reply.pre);
    if (pre)
        return;
    MUST(msg->term <= n->disk_term, "I17: a %s of %" PRIu64 " leaves before its term is on disk",
         raft_msg_type_name(msg->type), n->id);
    if (msg->type == RAFT_VOTE_REPLY && msg->vote_reply.granted)
        check_vote(w, n, msg);
    raft_index match = msg->append_reply.match;
    if (msg->type == RAFT_APPEND_REPLY && msg->append_reply.ok && n->disk_term == msg->term)
        MUST(n->disk.last >= match && core_chain_at(w, &n->disk, match) == packet->chain,
             "I17: %" PRIu64 " acknowledges entry %" PRIu64 " before it is on disk", n->id, match);
}

/* At the end: every trail says what the log holds. */
void core_check_end(struct core_world *w)
{
    for (uint32_t i = 0; i < w->n; i++) {
        const struct core_node *n = w->node[i];
        for (raft_index k = n->log.base + 1; n->up && k <= n->log.last; k++)
            MUST(raft_term_at(n->raft, k) == n->log.at[k].term, "the trail of %u at %" PRIu64, i + 1, k);
    }
}
