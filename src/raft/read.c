/* read.c - linearizable reads without a log entry: ReadIndex, thesis 6.4.
 *
 * A read gets the commit index of the moment and a round.  Rounds travel in heartbeats; when a
 * majority has echoed a round at least as high, this server was still leader after the read came,
 * so no other leader had committed anything by then that the index misses.
 *
 * The majority is one of the configuration in use when the round is counted, whichever was in use
 * when the read came (B34).  Let C be that one, and L another leader, elected in a later term before
 * the read came under the configuration C'.  If C and C' are the same or neighbours, the majority
 * that elected L and the one that echoed share a server, and that one cannot have echoed in the
 * older term.  They are not further apart: a configuration is appended only when the one before is
 * committed.  Were C' ahead, one after C was committed in a later term than this, before the read
 * came, with a majority of C: it shares a server with those who echoed.  Were C ahead, one after C'
 * was committed in this term or before, and L lacks it: against Leader Completeness. */
#include "raft_state.h"

static struct pending_read *read_at(struct raft *r, uint32_t i)
{
    return &r->reads[(r->reads_head + i) % RAFT_READS_MAX];
}

static void answer_oldest(struct raft *r, bool ok)
{
    const struct pending_read *read = read_at(r, 0);
    ASSERT(r->update->n_reads < RAFT_READS_MAX);
    r->update->reads[r->update->n_reads++] =
        (struct raft_read){ .tag = read->tag, .index = ok ? read->index : 0, .ok = ok };
    r->reads_head = (r->reads_head + 1) % RAFT_READS_MAX;
    r->n_reads--;
}

/* "If the leader has not yet marked an entry from its current term committed, it waits until it
 * has done so": before, its commit index may be behind what an earlier leader has answered. */
static bool knows_commit(const struct raft *r)
{
    return trail_term(&r->trail, r->commit) == r->term || mutant("read-without-own-commit");
}

void read_release(struct raft *r)
{
    if (r->n_reads == 0)
        return;
    uint64_t rounds[RAFT_MEMBERS_MAX];
    for (uint32_t i = 0; i < r->members.n; i++)
        rounds[i] = i == r->self ? r->round : r->progress[i].round;
    uint64_t echoed = mutant("read-without-round") ? r->round : members_reached(r, rounds);
    while (r->n_reads > 0 && read_at(r, 0)->round != 0 && read_at(r, 0)->round <= echoed)
        answer_oldest(r, true);
}

/* A round of its own: an echo of anything sent before the read came proves nothing. */
static void begin_round(struct raft *r)
{
    if (mutant("read-round-reused") && r->round > 0)
        return;
    r->round++;
    heartbeat_all(r);
}

enum raft_status on_read(struct raft *r, uint64_t tag)
{
    if (r->role != RAFT_LEADER)
        return RAFT_NOT_LEADER;
    if (r->n_reads == RAFT_READS_MAX)
        return RAFT_BUSY;
    struct pending_read *read = read_at(r, r->n_reads++);
    *read = (struct pending_read){ .tag = tag };
    if (!knows_commit(r))
        return RAFT_OK;
    begin_round(r);
    read->index = r->commit;
    read->round = r->round;
    read_release(r);
    return RAFT_OK;
}

/* The first commit of this term: the reads that came before get their index and round now. */
void read_on_commit(struct raft *r)
{
    if (r->n_reads == 0 || read_at(r, r->n_reads - 1)->round != 0)
        return;
    begin_round(r);
    for (uint32_t i = 0; i < r->n_reads; i++) {
        struct pending_read *read = read_at(r, i);
        if (read->round != 0)
            continue;
        read->index = r->commit;
        read->round = r->round;
    }
    read_release(r);
}

void read_fail_all(struct raft *r)
{
    while (r->n_reads > 0)
        answer_oldest(r, false);
}
