/* change.c - changes of the members and of the leader that somebody asked for: handed to the leader,
 * begun there, and done when what they led to is applied.
 *
 * What each asks for is a state of affairs, so asking again does no harm: a change whose leader was
 * lost on the way is asked of the next one. */
#include "node_private.h"

#include <stdio.h>
#include <stdlib.h>

enum { /* op->node_state */
    CHANGE_WAITING,   /* for a leader, or for its turn */
    CHANGE_ASKING,    /* who answers since op->node_b, when it began */
    CHANGE_PROPOSED,  /* op->node_a: the entry that began it */
    CHANGE_FORWARDED, /* op->node_a: to whom; op->node_b: request */
    CHANGE_HANDING,   /* op->node_a is to lose the leadership; op->node_b: given up then */
};

/* op->node_p: a copy of what is asked for. */
static struct member_change *change_of(const struct op *op)
{
    return op->node_p;
}

static void change_done(struct node *node, struct op *op, enum err err, enum outcome outcome,
                        const struct configuration *configuration)
{
    TAILQ_REMOVE(&node->changes, op, link);
    node->n_changes--;
    free(op->node_p);
    op->err = err;
    op->outcome = outcome;
    op->why = err != OK && node->change_why[0] != '\0' ? node->change_why : NULL;
    op->configuration = err == OK ? configuration : NULL;
    op->done(op);
    node->change_why[0] = '\0';
}

static void refuse(struct node *node, struct op *op, enum err err)
{
    change_done(node, op, err, OUTCOME_NOT_APPLIED, NULL);
}

static void say(struct node *node, const char *sentence)
{
    snprintf(node->change_why, sizeof node->change_why, "%s", sentence);
}

void change_submit(struct node *node, struct op *op)
{
    struct member_change *change = memory_new(sizeof *change);
    if (op->type == OP_CHANGE)
        *change = *op->change;
    else
        *change = (struct member_change){ .type = MEMBER_LEAD, .id = op->target };
    op->node_p = change;
    op->node_state = CHANGE_WAITING;
    TAILQ_INSERT_TAIL(&node->changes, op, link);
    node->n_changes++;
    if (node->stopping)
        refuse(node, op, ERR_SHUTTING_DOWN);
    else if (node->n_changes > CHANGES_MAX)
        refuse(node, op, ERR_OVERLOADED);
    else
        node_wake(node);
}

/* ---- on the leader */

static void begin_lead(struct node *node, struct op *op, uint64_t now_ms)
{
    raft_id to = change_of(op)->id;
    if (to == node->config.identity.id) {
        change_done(node, op, OK, OUTCOME_APPLIED, configs_current(node));
    } else if (to != 0 && configuration_place(configs_current(node), to) < 0) {
        refuse(node, op, ERR_NO_MEMBER);
    } else if (to != 0 && !configs_is_voter(node, to)) {
        say(node, "a learner cannot lead: promote it first");
        refuse(node, op, ERR_BAD_REQUEST);
    } else if (core_hand_over(node, to)) {
        op->node_state = CHANGE_HANDING;
        op->node_a = node->config.identity.id;
        op->node_b = now_ms + 2 * (uint64_t)node->config.election_max_ms;
    } else if (node->role == RAFT_LEADER) {
        say(node, node_single(node) ? "there is no other voter"
                                    : "the leadership is being handed over already");
        refuse(node, op, node_single(node) ? ERR_BAD_REQUEST : ERR_CHANGE_UNDER_WAY);
    }
}

static void begin_change(struct node *node, struct op *op, uint64_t now_ms)
{
    static struct configuration wanted;
    const struct member_change *change = change_of(op);
    bool satisfied = false;
    enum err err = members_wanted(node, change, &wanted, &satisfied);
    if (err != OK) {
        refuse(node, op, err);
        return;
    }
    if (satisfied) { /* done, or about to be */
        op->node_state = CHANGE_PROPOSED;
        op->node_a = node->configs[node->n_configs - 1].index;
        return;
    }
    if (!members_settled(node)) {
        refuse(node, op, ERR_CHANGE_UNDER_WAY);
        return;
    }
    if (op->node_state != CHANGE_ASKING) {
        op->node_state = CHANGE_ASKING;
        op->node_b = now_ms;
    }
    /* Somebody who died a moment ago must not be counted on: who answers, answers a heartbeat. */
    err = change->force ? OK : members_check_quorum(node, &wanted, op->node_b);
    if (err != OK) {
        if (now_ms >= op->node_b + 2 * (uint64_t)node->config.election_max_ms)
            refuse(node, op, err);
        return;
    }
    /* "Removing the leader": another one does it, or the cluster would wait for an election. */
    if (members_removes_self(node, &wanted) && core_hand_over(node, 0)) {
        op->node_state = CHANGE_HANDING;
        op->node_a = node->config.identity.id;
        op->node_b = now_ms + 2 * (uint64_t)node->config.election_max_ms;
        return;
    }
    enum raft_status status = members_propose(node, &wanted);
    if (status == RAFT_OK) {
        op->node_state = CHANGE_PROPOSED;
        op->node_a = node->configs[node->n_configs - 1].index;
    } else if (status == RAFT_INVALID) {
        say(node, "old and new members together are too many for one step");
        refuse(node, op, ERR_TOO_LARGE);
    } /* else it stays: nothing of this term is committed yet, or the leadership goes */
}

static void look_at_proposed(struct node *node, struct op *op)
{
    const struct config_at *applied = &node->configs[0];
    raft_index index;
    bool committed;
    raft_members(node->raft, &index, &committed);
    if (applied->index < op->node_a || applied->configuration.members.joint || !committed)
        return;
    change_done(node, op, OK, OUTCOME_APPLIED, configs_current(node));
}

static void look_at_handing(struct node *node, struct op *op, uint64_t now_ms)
{
    const struct member_change *change = change_of(op);
    if (node->leader != 0 && node->leader != op->node_a) {
        if (change->type != MEMBER_LEAD) {
            op->node_state = CHANGE_WAITING; /* of the new leader, then */
        } else if (change->id == 0 || change->id == node->leader) {
            change_done(node, op, OK, OUTCOME_APPLIED, configs_current(node));
        } else {
            say(node, "another node has become the leader meanwhile");
            change_done(node, op, ERR_TIMEOUT, OUTCOME_NOT_APPLIED, NULL);
        }
    } else if (now_ms >= op->node_b && node->role == RAFT_LEADER) {
        say(node, "the leadership could not be handed over in time; it stays where it is");
        refuse(node, op, ERR_TIMEOUT);
    }
}

/* ---- on others */

static void hand_on(struct node *node, struct op *op, uint64_t now_ms)
{
    struct peer *leader = node_peer(node, node->leader);
    if (op->local_only && node->role != RAFT_LEADER) {
        refuse(node, op, ERR_NO_LEADER);
        return;
    }
    if (leader == NULL || leader->silent)
        return;
    uint64_t left = op->deadline_ms > now_ms ? op->deadline_ms - now_ms : 0;
    struct frame frame = { .type = FRAME_CHANGE, .request = ++node->next_request };
    frame.change.timeout_ms = left < 600000 ? (uint32_t)left : 600000;
    frame.change.term = node->term;
    frame.change.change = *change_of(op);
    op->node_state = CHANGE_FORWARDED;
    op->node_a = node->leader;
    op->node_b = frame.request;
    outbox_frame(node, node->leader, LANE_BULK, false, &frame);
}

static struct op *forwarded(struct node *node, raft_id to, uint64_t request)
{
    struct op *op;
    TAILQ_FOREACH (op, &node->changes, link)
        if (op->node_state == CHANGE_FORWARDED && op->node_a == to && op->node_b == request)
            return op;
    return NULL;
}

void change_unsent(struct node *node, raft_id to, uint64_t request)
{
    struct op *op = forwarded(node, to, request);
    if (op != NULL)
        op->node_state = CHANGE_WAITING;
}

void change_on_reply(struct node *node, raft_id from, const struct frame *frame)
{
    static struct configuration configuration;
    struct op *op = forwarded(node, from, frame->request);
    if (op == NULL)
        return;
    enum err err = frame->change_reply.err;
    enum outcome outcome = frame->change_reply.outcome;
    if (err == ERR_NO_LEADER && outcome == OUTCOME_NOT_APPLIED) {
        op->node_state = CHANGE_WAITING; /* the sweep's rhythm keeps this from playing ball */
        return;
    }
    if (err == OK && configuration_decode(frame->change_reply.configuration, &configuration) != OK)
        err = ERR_INTERNAL;
    struct slice why = frame->change_reply.why;
    if (why.size > 0)
        memcpy(node->change_why, why.data, why.size);
    node->change_why[why.size] = '\0';
    change_done(node, op, err, outcome, &configuration);
}

/* ---- turns */

/* The leader is another one, or not one any more: what was asked of it is asked again. */
void change_role_changed(struct node *node)
{
    struct op *op;
    TAILQ_FOREACH (op, &node->changes, link) {
        bool lost = (op->node_state == CHANGE_FORWARDED && op->node_a != node->leader) ||
                    ((op->node_state == CHANGE_PROPOSED || op->node_state == CHANGE_ASKING) &&
                     node->role != RAFT_LEADER);
        bool any_other = change_of(op)->type == MEMBER_LEAD && change_of(op)->id == 0;
        if (lost && node->leader != 0) /* "let another one lead" must not be said twice */
            op->node_state = any_other ? CHANGE_HANDING : CHANGE_WAITING;
    }
    for (uint32_t i = 0; i < node->n_peers; i++) {
        node->peers[i].learner_since_ms = 0;
        node->peers[i].caught_up = 0;
    }
}

void change_pump(struct node *node, uint64_t now_ms)
{
    struct op *op, *next;
    TAILQ_FOREACH_SAFE (op, &node->changes, link, next) {
        if (op->node_state == CHANGE_HANDING)
            look_at_handing(node, op, now_ms);
        else if (op->node_state == CHANGE_PROPOSED)
            look_at_proposed(node, op);
        else if (op->node_state == CHANGE_WAITING && node->role != RAFT_LEADER)
            hand_on(node, op, now_ms);
        else if (op->node_state == CHANGE_WAITING && change_of(op)->type == MEMBER_LEAD)
            begin_lead(node, op, now_ms);
        else if (node->role == RAFT_LEADER && op->node_state != CHANGE_FORWARDED)
            begin_change(node, op, now_ms);
    }
}

void change_expire(struct node *node, uint64_t now_ms)
{
    struct op *op, *next;
    TAILQ_FOREACH_SAFE (op, &node->changes, link, next) {
        if (op->deadline_ms > now_ms)
            continue;
        bool begun = op->node_state != CHANGE_WAITING && op->node_state != CHANGE_ASKING;
        enum err err = node->stopping ? ERR_SHUTTING_DOWN
                       : begun       ? ERR_TIMEOUT
                                     : ERR_NO_LEADER;
        change_done(node, op, err, begun ? OUTCOME_UNKNOWN : OUTCOME_NOT_APPLIED, NULL);
    }
}

/* ---- the leader's side of what others hand on */

struct remote_change {
    struct op op;
    struct member_change change;
    struct node *node;
    raft_id from;
    uint64_t request;
};

static void remote_changed(struct op *op)
{
    struct remote_change *remote = op->user;
    struct blob *encoded = op->configuration != NULL ? configuration_encode(op->configuration) : NULL;
    struct frame frame = { .type = FRAME_CHANGE_REPLY, .request = remote->request };
    frame.change_reply.err = op->err;
    frame.change_reply.outcome = op->outcome;
    if (op->why != NULL)
        frame.change_reply.why = slice_text(op->why);
    if (encoded != NULL)
        frame.change_reply.configuration = blob_slice(encoded);
    outbox_frame(remote->node, remote->from, LANE_BULK, true, &frame);
    blob_unref(encoded);
    free(remote);
}

void change_on_request(struct node *node, raft_id from, const struct frame *frame)
{
    if (forward_repeated(node, from, frame->request) || frame->change.term <= node->born_term)
        return;
    struct remote_change *remote = memory_new(sizeof *remote);
    remote->change = frame->change.change;
    remote->node = node;
    remote->from = from;
    remote->request = frame->request;
    remote->op = (struct op){ .type = OP_CHANGE,
                              .deadline_ms = node_now(node) + frame->change.timeout_ms,
                              .change = &remote->change,
                              .done = remote_changed,
                              .user = remote };
    if (frame->change.term == node->term && node->role == RAFT_LEADER) {
        change_submit(node, &remote->op);
        return;
    }
    remote->op.err = ERR_NO_LEADER;
    remote->op.outcome = OUTCOME_NOT_APPLIED;
    remote_changed(&remote->op);
}
