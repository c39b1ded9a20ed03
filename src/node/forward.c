/* forward.c - a follower asks the leader on its clients' behalf: to write, for an index to read
 * at, for what only the leader knows; and the leader's side of the same. */
#include "node_private.h"

#include <stdlib.h>

/* ---- writes */

/* Once the command has left it is never sent again (RULE: reads and retries): what is not
 * answered ends as unknown. */
void forward_write(struct node *node, struct op *op)
{
    uint64_t now = node_now(node);
    uint64_t left = op->deadline_ms > now ? op->deadline_ms - now : 0;
    op->node_a = node->leader;
    op->node_b = ++node->next_request;
    struct frame frame = { .type = FRAME_FORWARD, .request = op->node_b };
    frame.forward.timeout_ms = left < 600000 ? (uint32_t)left : 600000;
    frame.forward.term = node->term;
    frame.forward.command = blob_slice(op->command);
    TAILQ_INSERT_TAIL(&node->forwarded, op, link);
    node->stats.forwarded_out++;
    outbox_frame(node, node->leader, LANE_BULK, false, &frame);
}

/* Takes the op with this request off the list; NULL: it has ended meanwhile. */
static struct op *forwarded(struct node *node, raft_id to, uint64_t request)
{
    struct op *op;
    TAILQ_FOREACH (op, &node->forwarded, link)
        if (op->node_b == request && op->node_a == to)
            break;
    if (op != NULL)
        TAILQ_REMOVE(&node->forwarded, op, link);
    return op;
}

/* What never left is certainly not applied. */
void forward_on_unsent(void *arg, raft_id to, struct slice bytes)
{
    struct node *node = arg;
    struct frame frame;
    if (frame_decode(&bytes, &node->scratch, &frame) != OK)
        return;
    if (frame.type == FRAME_CHANGE)
        change_unsent(node, to, frame.request);
    if (frame.type != FRAME_FORWARD)
        return;
    struct op *op = forwarded(node, to, frame.request);
    if (op != NULL)
        writes_retry(node, op);
}

/* Another leader: the old one may still answer for a moment, then nobody will. */
void forward_leader_changed(struct node *node)
{
    if (mutant("forward-again"))
        TAILQ_CONCAT(&node->gathering, &node->forwarded, link);
    uint64_t soon = node_now(node) + node->config.election_min_ms;
    struct op *op;
    TAILQ_FOREACH (op, &node->forwarded, link)
        if (op->node_a != node->leader && node->leader != 0 && op->deadline_ms > soon)
            op->deadline_ms = soon;
}

void forward_on_reply(struct node *node, raft_id from, const struct frame *frame)
{
    struct op *op = forwarded(node, from, frame->request);
    if (op == NULL)
        return;
    struct command_result result;
    enum err err = frame->forward_reply.err;
    enum outcome outcome = frame->forward_reply.outcome;
    op->result = NULL;
    if (frame->forward_reply.result.size > 0) {
        if (result_decode(frame->forward_reply.result, node->results, &result) == OK) {
            op->result = &result;
            err = result.err;
        } else {
            err = ERR_INTERNAL;
            outcome = OUTCOME_UNKNOWN;
        }
    }
    if (err == ERR_NO_LEADER && outcome == OUTCOME_NOT_APPLIED)
        writes_retry(node, op);
    else
        writes_done(node, op, err, outcome);
}

/* The leader's side: an op of its own whose end is sent back. */
struct remote {
    struct op op;
    struct node *node;
    raft_id from;
    uint64_t request;
};

static struct remote *remote_new(struct node *node, raft_id from, uint64_t request)
{
    struct remote *remote = memory_new(sizeof *remote);
    remote->node = node;
    remote->from = from;
    remote->request = request;
    return remote;
}

static void remote_written(struct op *op)
{
    struct remote *remote = op->user;
    struct blob *encoded = op->result != NULL ? result_encode(op->result) : NULL;
    struct frame frame = { .type = FRAME_FORWARD_REPLY, .request = remote->request };
    frame.forward_reply.err = encoded != NULL ? OK : op->err; /* the result holds its own */
    frame.forward_reply.outcome = op->outcome;
    if (encoded != NULL)
        frame.forward_reply.result = blob_slice(encoded);
    outbox_frame(remote->node, remote->from, LANE_BULK, true, &frame);
    blob_unref(encoded);
    blob_unref(op->command);
    free(remote);
}

/* A body that the network repeats must not write twice (I9).  Requests carry the sender's life, a
 * random number, above a count; on their lane they come in order, so what is not newer than the
 * last, or of an earlier life, has come before. */
bool forward_repeated(struct node *node, raft_id from, uint64_t request)
{
    struct peer *peer = node_peer(node, from);
    uint32_t life = (uint32_t)(request >> 32), count = (uint32_t)request;
    enum { LIVES = sizeof peer->lives / sizeof peer->lives[0] };
    if (life != peer->lives[peer->life]) {
        for (uint32_t i = 0; i < LIVES; i++)
            if (peer->lives[i] == life)
                return true;
        peer->life = (peer->life + 1) % LIVES;
        peer->lives[peer->life] = life;
        peer->last_forward = 0;
    }
    if (count <= peer->last_forward)
        return true;
    peer->last_forward = count;
    return false;
}

void forward_on_request(struct node *node, raft_id from, const struct frame *frame)
{
    if (forward_repeated(node, from, frame->request) && !mutant("forward-twice"))
        return;
    /* What is meant for a leader of that term an earlier life of this node may have taken: now
     * nobody can say that it was not applied, and it must not be applied again. */
    if (frame->forward.term <= node->born_term && !mutant("forward-to-a-later-life"))
        return;
    struct remote *remote = remote_new(node, from, frame->request);
    node->stats.forwarded_in++;
    remote->op = (struct op){ .type = OP_WRITE,
                              .deadline_ms = node_now(node) + frame->forward.timeout_ms,
                              .command = blob_copy(frame->forward.command),
                              .local_only = true,
                              .done = remote_written,
                              .user = remote };
    if (frame->forward.term == node->term || mutant("forward-to-a-later-life")) {
        node_submit(node, &remote->op);
        return;
    }
    remote->op.err = ERR_NO_LEADER;
    remote->op.outcome = OUTCOME_NOT_APPLIED;
    remote_written(&remote->op);
}

/* ---- reads */

void forward_read_index(struct node *node, struct read_round *round)
{
    struct frame frame = { .type = FRAME_READ_INDEX, .request = round->tag };
    outbox_frame(node, round->asked, LANE_CONTROL, false, &frame);
}

static void remote_read(struct op *op)
{
    struct remote *remote = op->user;
    struct frame frame = { .type = FRAME_READ_INDEX_REPLY, .request = remote->request };
    frame.read_index_reply.ok = op->err == OK;
    frame.read_index_reply.index = op->err == OK ? op->node_a : 0;
    outbox_frame(remote->node, remote->from, LANE_CONTROL, true, &frame);
    free(remote);
}

void forward_on_read_index(struct node *node, raft_id from, const struct frame *frame)
{
    if (node->role != RAFT_LEADER) {
        struct frame no = { .type = FRAME_READ_INDEX_REPLY, .request = frame->request };
        outbox_frame(node, from, LANE_CONTROL, true, &no);
        return;
    }
    struct remote *remote = remote_new(node, from, frame->request);
    remote->op = (struct op){ .type = OP_READ,
                              .deadline_ms = node_now(node) + node->config.election_max_ms,
                              .consistency = CONSISTENCY_LINEARIZABLE,
                              .done = remote_read,
                              .user = remote };
    reads_submit_index_only(node, &remote->op);
}

/* ---- the cluster as the leader sees it */

static void fill_info(struct node *node, struct frame *frame)
{
    struct raft_progress members[RAFT_MEMBERS_MAX];
    uint32_t n = raft_progress(node->raft, members);
    uint64_t now = node_now(node);
    frame->type = FRAME_INFO_REPLY;
    frame->info_reply.term = node->term;
    frame->info_reply.commit = node->commit;
    frame->info_reply.last = raft_last_index(node->raft);
    frame->info_reply.n = n;
    for (uint32_t i = 0; i < n; i++) {
        struct info_member *member = &frame->info_reply.members[i];
        bool self = members[i].id == node->config.identity.id;
        member->id = members[i].id;
        member->voter = members[i].voter;
        member->match = members[i].match;
        if (self)
            member->silence_ms = 0;
        else if (members[i].last_contact == 0)
            member->silence_ms = UINT64_MAX;
        else
            member->silence_ms = now - members[i].last_contact;
    }
}

static void info_done(struct op *op, enum err err, const struct frame *info)
{
    op->err = err;
    op->info = info;
    op->done(op);
}

void info_submit(struct node *node, struct op *op)
{
    struct frame frame = { .type = FRAME_INFO };
    if (node->role == RAFT_LEADER) {
        fill_info(node, &frame);
        info_done(op, OK, &frame);
        return;
    }
    if (node->leader == 0 || node->leader == node->config.identity.id || node->stopping) {
        info_done(op, node->stopping ? ERR_SHUTTING_DOWN : ERR_NO_LEADER, NULL);
        return;
    }
    uint64_t soon = node_now(node) + INFO_TIMEOUT_MS;
    if (op->deadline_ms > soon)
        op->deadline_ms = soon;
    op->node_b = ++node->next_request;
    frame.request = op->node_b;
    TAILQ_INSERT_TAIL(&node->infos, op, link);
    outbox_frame(node, node->leader, LANE_CONTROL, false, &frame);
    node_wake(node);
}

void forward_on_info(struct node *node, raft_id from, const struct frame *frame)
{
    if (frame->request == 0) {
        lost_on_hello(node, from);
        return;
    }
    if (node->role != RAFT_LEADER)
        return;
    struct frame reply;
    memset(&reply, 0, sizeof reply);
    fill_info(node, &reply);
    reply.request = frame->request;
    outbox_frame(node, from, LANE_CONTROL, true, &reply);
}

void forward_on_info_reply(struct node *node, raft_id from, const struct frame *frame)
{
    (void)from;
    struct op *op;
    TAILQ_FOREACH (op, &node->infos, link)
        if (op->node_b == frame->request)
            break;
    if (op == NULL)
        return;
    TAILQ_REMOVE(&node->infos, op, link);
    info_done(op, OK, frame);
}

void info_expire(struct node *node, uint64_t now_ms, bool all)
{
    struct op *op, *next;
    TAILQ_FOREACH_SAFE (op, &node->infos, link, next) {
        if (!all && op->deadline_ms > now_ms)
            continue;
        TAILQ_REMOVE(&node->infos, op, link);
        info_done(op, all ? ERR_SHUTTING_DOWN : ERR_NO_LEADER, NULL);
    }
}
