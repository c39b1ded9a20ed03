/* inbox.c - takes bodies from peers: checks who speaks, decodes frames, hands each to its module.
 * A frame that does not decode ends its body; Raft is built for loss. */
#include "node_private.h"

#include <inttypes.h>
#include <stdio.h>

/* The configurations among an append's entries are decoded for the core.  Returns how many entries
 * it is to see: not more configurations than there is room for.  -1: one is none. */
static int take_entries(struct node *node, const struct frame *frame)
{
    static struct configuration configuration;
    uint32_t n_configs = 0, i = 0;
    for (; i < frame->raft.msg.append.n; i++) {
        const struct record *record = &frame->raft.records[i];
        node->entries[i] = (struct raft_entry){ record->term, record->kind, NULL };
        if (record->kind != RAFT_MEMBERS)
            continue;
        if (n_configs == RAFT_CONFIGS_MAX)
            break;
        if (configuration_decode(record->payload, &configuration) != OK)
            return -1;
        node->received[n_configs] = configuration.members;
        node->entries[i].members = &node->received[n_configs++];
    }
    return (int)i;
}

static void on_raft(struct node *node, raft_id from, const struct frame *frame, struct blob *body)
{
    const struct raft_msg *msg = &frame->raft.msg;
    struct raft_msg shorter;
    if (msg->from != from || msg->to != node->config.identity.id)
        return;
    struct raft_event event = { .type = RAFT_RECV, .recv.msg = msg };
    struct source source = { 0 };
    if (msg->type == RAFT_APPEND) {
        if (node->n_flights >= LOG_JOBS_MAX - 64)
            return; /* the disk is far behind; the leader will send it again */
        int n = take_entries(node, frame);
        if (n < 0) {
            log_warn("a peer sent a configuration that is none", "peer=%016" PRIx64, from);
            return;
        }
        shorter = *msg;
        shorter.append.n = (uint32_t)n;
        event.recv.msg = &shorter;
        event.recv.entries = node->entries;
        source = (struct source){ .records = frame->raft.record_bytes, .owner = body };
    } else if (node->n_flights >= LOG_JOBS_MAX - 8) {
        return; /* any message may have to save a term; keep room for the own ticks */
    }
    node->stats.msgs_in[msg->type]++;
    if (msg->type == RAFT_APPEND_REPLY)
        lost_on_refusal(node, msg);
    if (core_step(node, &event, &source) != RAFT_OK || msg->term != node->term ||
        from != node->leader)
        return;
    if (msg->type != RAFT_HEARTBEAT && msg->type != RAFT_APPEND)
        return;
    node->leader_commit = msg->type == RAFT_HEARTBEAT ? msg->heartbeat.commit : msg->append.commit;
    reads_note_leader(node, node->leader_commit);
}

static void on_frame(struct node *node, raft_id from, const struct frame *frame, struct blob *body)
{
    switch (frame->type) {
    case FRAME_RAFT:
        on_raft(node, from, frame, body);
        break;
    case FRAME_FORWARD:
        forward_on_request(node, from, frame);
        break;
    case FRAME_FORWARD_REPLY:
        forward_on_reply(node, from, frame);
        break;
    case FRAME_READ_INDEX:
        forward_on_read_index(node, from, frame);
        break;
    case FRAME_READ_INDEX_REPLY:
        reads_answered(node, frame->request, frame->read_index_reply.ok,
                       frame->read_index_reply.index);
        break;
    case FRAME_INFO:
        forward_on_info(node, from, frame);
        break;
    case FRAME_INFO_REPLY:
        forward_on_info_reply(node, from, frame);
        break;
    case FRAME_SNAPSHOT_OPEN:
        send_on_open(node, from, frame);
        break;
    case FRAME_SNAPSHOT_OPEN_REPLY:
        fetch_on_open_reply(node, from, frame);
        break;
    case FRAME_SNAPSHOT_READ:
        send_on_read(node, from, frame);
        break;
    case FRAME_SNAPSHOT_PART:
        fetch_on_part(node, from, frame);
        break;
    case FRAME_CHANGE:
        change_on_request(node, from, frame);
        break;
    case FRAME_CHANGE_REPLY:
        change_on_reply(node, from, frame);
        break;
    case FRAME_DIGEST:
        digest_on_question(node, from, frame);
        break;
    case FRAME_DIGEST_REPLY:
        digest_on_reply(node, from, frame);
        break;
    case FRAME_ACKNOWLEDGED:
        lost_on_acknowledged(node, frame);
        break;
    }
}

enum verdict inbox_body(void *arg, const struct envelope *envelope, struct blob *body,
                        struct slice frames, char *why)
{
    struct node *node = arg;
    enum verdict verdict = identity_check(node, envelope, why);
    if (verdict != VERDICT_ACCEPTED)
        return verdict;

    node_peer(node, envelope->from)->silent = false;
    struct frame frame;
    enum err err;
    while ((err = frame_decode(&frames, &node->scratch, &frame)) == OK)
        on_frame(node, envelope->from, &frame, body);
    if (err != ERR_NOT_FOUND) {
        snprintf(why, REFUSAL_MAX, "a frame of this body is damaged");
        if (identity_may_log(node_peer(node, envelope->from), node_now(node)))
            log_warn("a peer sent a damaged frame", "peer=%016" PRIx64, envelope->from);
        return VERDICT_REFUSED;
    }
    return VERDICT_ACCEPTED;
}

void inbox_unreachable(void *arg, raft_id peer, enum lane lane)
{
    struct node *node = arg;
    reads_peer_lost(node, peer);
    if (lane != LANE_BULK || node_peer(node, peer) == NULL)
        return;
    node_peer(node, peer)->silent = true;
    struct raft_event event = { .type = RAFT_UNREACHABLE, .unreachable.peer = peer };
    if (!node->stepping)
        core_step(node, &event, &(struct source){ 0 });
}
