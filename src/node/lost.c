/* lost.c - a node that has forgotten what it acknowledged is not the same voter any more (RULE:
 * identity): its directory is an old copy, or its disk lied.
 *
 * To who has just started the leader says what was acknowledged in its term, and to who refuses
 * an append below that; most such refusals are only late, and the core ignores them.  What it says
 * is true for ever: within a term a log never ends before what it has acknowledged in it, whatever
 * is late, lost or repeated.  A node whose log does has lost it.  It notes that durably and stops;
 * and it does not start again. */
#include "node_private.h"

#include <inttypes.h>
#include <stdio.h>

static const char KEY[] = "lost";

static void say(struct node *node, const char *what)
{
    char why[REFUSAL_MAX];
    snprintf(why, sizeof why,
             "%s: this is an old copy of the data directory, or the disk has lost writes; it must "
             "not vote again under this address: replace the member by one with a new address and "
             "an empty data directory",
             what);
    node->host.refused(node->host.arg, why);
}

void lost_load(struct node *node)
{
    char text[META_TEXT_MAX];
    if (node->log->ops->meta_get(node->log, KEY, text) == OK)
        say(node, text);
}

static raft_index acknowledged_by(const struct node *node, raft_id id)
{
    struct raft_progress progress;
    return core_progress(node, id, &progress) ? progress.match : 0;
}

static void tell(struct node *node, raft_id to, raft_index index)
{
    struct frame frame = { .type = FRAME_ACKNOWLEDGED };
    frame.acknowledged.term = node->term;
    frame.acknowledged.index = index;
    outbox_frame(node, to, LANE_CONTROL, false, &frame);
}

void lost_on_hello(struct node *node, raft_id from)
{
    raft_index index = node->role == RAFT_LEADER ? acknowledged_by(node, from) : 0;
    if (index > 0)
        tell(node, from, index);
}

void lost_on_refusal(struct node *node, const struct raft_msg *msg)
{
    if (node->role != RAFT_LEADER || msg->term != node->term || msg->append_reply.ok)
        return;
    raft_index index = acknowledged_by(node, msg->from);
    if (msg->append_reply.conflict < index)
        tell(node, msg->from, index);
}

void lost_on_acknowledged(struct node *node, const struct frame *frame)
{
    raft_index last = raft_last_index(node->raft), index = frame->acknowledged.index;
    raft_term term = frame->acknowledged.term;
    /* It was in a term that this node does not even know: that is lost, too. */
    bool lost = term > node->term || (term == node->term && last < index);
    if (!lost || node->lost)
        return;
    node->lost = true;
    char text[META_TEXT_MAX];
    snprintf(text, sizeof text,
             "the log ends at entry %" PRIu64 ", but entry %" PRIu64
             " was acknowledged here in term %" PRIu64, last, index, term);
    core_save_meta(node, KEY, text);
}

void lost_saved(struct node *node, const struct log_job *job)
{
    if (job->n_meta == 1 && strcmp(job->meta[0].key, KEY) == 0)
        say(node, job->meta[0].text);
}
