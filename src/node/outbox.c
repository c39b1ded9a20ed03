/* outbox.c - sends the core's messages: now, or when the write that they wait for is durable.
 * An append is turned into frames here: its entries are fetched, split by number and size. */
#include "node_private.h"

static bool is_answer(enum raft_msg_type type)
{
    return type == RAFT_VOTE_REPLY || type == RAFT_APPEND_REPLY || type == RAFT_HEARTBEAT_REPLY;
}

void outbox_frame(struct node *node, raft_id to, enum lane lane, bool answer,
                  const struct frame *frame)
{
    node->network->ops->send(node->network, to, lane, answer, frame_encode(frame));
}

/* ---- appends */

struct append {
    struct node *node;
    struct frame frame;      /* the one being filled; msg.append.n counts its records */
    uint32_t left;           /* entries still asked for */
    size_t frame_bytes, bytes;
};

static void append_flush(struct append *append)
{
    struct raft_msg *msg = &append->frame.raft.msg;
    outbox_frame(append->node, msg->to, LANE_BULK, false, &append->frame);
    msg->append.prev += msg->append.n;
    msg->append.prev_term = raft_term_at(append->node->raft, msg->append.prev);
    msg->append.n = 0;
    append->frame_bytes = 0;
}

/* A record that comes from the log lives only while the log is being read, so a frame never
 * mixes entries of the log with those of the tail, and none stays unfinished behind the last. */
static bool append_add(void *arg, raft_index index, struct slice record)
{
    struct append *append = arg;
    struct raft_msg *msg = &append->frame.raft.msg;
    if (append->bytes > 0 && append->bytes + record.size > APPEND_BYTES_MAX) {
        if (msg->append.n > 0)
            append_flush(append);
        return false;
    }
    if (msg->append.n == append->node->config.batch_entries ||
        (msg->append.n > 0 && append->frame_bytes + record.size > FRAME_BYTES_MAX))
        append_flush(append);
    append->frame.raft.record_bytes[msg->append.n++] = record;
    append->frame_bytes += record.size;
    append->bytes += record.size;
    append->left--;
    if (append->left == 0 || index + 1 == append->node->tail.first)
        append_flush(append);
    return append->left > 0;
}

static void send_append(struct node *node, const struct raft_msg *msg)
{
    struct append append = { .node = node, .left = msg->append.n };
    append.frame.type = FRAME_RAFT;
    append.frame.raft.msg = *msg;
    append.frame.raft.record_bytes = node->sending;
    append.frame.raft.msg.append.n = 0;
    if (msg->append.n == 0) {
        append_flush(&append);
        return;
    }
    if (msg->append.prev + 1 < raft_first_index(node->raft))
        return; /* it waited while its entries were dropped; the core knows of that */
    const struct peer *peer = node_peer(node, msg->to);
    if (peer == NULL)
        return; /* forgotten since this message was held */
    if (peer->cut_short != 0 && msg->append.prev >= peer->cut_short)
        return; /* follows on one that did not go out whole */
    node_read_entries(node, msg->append.prev + 1, append_add, &append);
    /* What did not fit into APPEND_BYTES_MAX the core has to ask for again. */
    if (append.left > 0)
        node_cut_short(node, msg->to, msg->append.prev + msg->append.n - append.left);
}

/* ---- any message */

static void send_now(struct node *node, const struct raft_msg *msg)
{
    if (msg->to == node->config.identity.id) {
        ASSERT(node->n_own < HELD_MAX);
        node->own[node->n_own++] = *msg;
        node_wake(node);
        return;
    }
    node->stats.msgs_out[msg->type]++;
    if (msg->type == RAFT_APPEND) {
        send_append(node, msg);
        return;
    }
    struct frame frame = { .type = FRAME_RAFT, .raft.msg = *msg };
    /* An answer names the lane of what it answers, and releases the request that waits there. */
    enum lane lane = msg->type == RAFT_APPEND_REPLY ? LANE_BULK : LANE_CONTROL;
    outbox_frame(node, msg->to, lane, is_answer(msg->type), &frame);
}

/* A message of an earlier term may be dropped, and an append must be: its entries may have been
 * replaced since.  A pre-vote's term is not the sender's, so it is left alone. */
static bool outdated(const struct node *node, const struct raft_msg *msg)
{
    bool pre = (msg->type == RAFT_VOTE && msg->vote.pre) ||
               (msg->type == RAFT_VOTE_REPLY && msg->vote_reply.pre);
    return !pre && msg->term != node->term;
}

/* The oldest that is not to oneself: Raft repeats what is lost between servers, but a candidate's
 * own vote comes only once. */
static void drop_one_held(struct node *node)
{
    uint32_t i = 0;
    while (i < node->n_held && node->held[i].to == node->config.identity.id)
        i++;
    ASSERT(i < node->n_held); /* at most one to itself for each unfinished write */
    node->n_held--;
    memmove(node->held + i, node->held + i + 1, (node->n_held - i) * sizeof *node->held);
}

/* RULE (durability 1): a message waits for its ticket. */
void outbox_send(struct node *node, const struct raft_msg *msg)
{
    if (msg->after <= node->durable_ticket ||
        (mutant("reply-before-ticket") && is_answer(msg->type))) {
        send_now(node, msg);
        return;
    }
    if (node->n_held == HELD_MAX)
        drop_one_held(node);
    node->held[node->n_held++] = *msg;
}

void outbox_release(struct node *node)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < node->n_held; i++) {
        if (node->held[i].after > node->durable_ticket)
            node->held[kept++] = node->held[i];
        else if (!outdated(node, &node->held[i]))
            send_now(node, &node->held[i]);
    }
    node->n_held = kept;
}
