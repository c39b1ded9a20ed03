/* fake_node.c - the functions of node.h, scripted. */
#include "fake_node.h"

#include <holdfast/clock.h>
#include <holdfast/panic.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct node *fake_node_new(void)
{
    struct node *node = memory_new(sizeof *node);
    for (uint32_t i = 0; i < 3; i++) {
        struct node_member *member = &node->members[i];
        member->id = 0x1000 + i + 1;
        member->voter = true;
        snprintf(member->name, sizeof member->name, "node%u", i + 1);
        snprintf(member->raft_addr, sizeof member->raft_addr, "10.0.0.%u:9001", i + 1);
        snprintf(member->http_addr, sizeof member->http_addr, "10.0.0.%u:8001", i + 1);
    }
    node->n_members = 3;
    snprintf(node->identity.name, sizeof node->identity.name, "node1");
    node->identity.id = node->members[0].id;
    node->identity.cluster = 0xabcdef;
    node->status = (struct node_status) { .id = 0x1001,
                                          .leader = 0x1002,
                                          .role = RAFT_FOLLOWER,
                                          .term = 7,
                                          .commit = 40,
                                          .applied = 39,
                                          .first = 2,
                                          .last = 41,
                                          .durable = 30,
                                          .revision = 58,
                                          .keys = 5,
                                          .leader_silence_ms = 12 };
    snprintf(node->status.leader_http, sizeof node->status.leader_http, "10.0.0.2:8001");
    return node;
}

static void finish(struct node *node, struct op *op)
{
    op->err = node->err;
    op->outcome = node->outcome;
    op->result = node->result;
    op->info = node->info;
    op->staleness_ms = node->staleness_ms;
    if (op->type == OP_COPY && op->err == OK) {
        ASSERT(node->copied == NULL);
        node->copied = op->copy;
        op->copy->info = node->copy;
    }
    op->done(op);
}

void node_copy_read(struct node *node, struct node_copy *copy, uint64_t offset, size_t size)
{
    ASSERT(copy == node->copied && offset + size <= node->copy.size);
    struct blob *bytes = blob_new(size);
    for (size_t i = 0; i < size; i++)
        bytes->data[i] = (unsigned char)((offset + i) % 251);
    node->n_parts++;
    copy->part(copy, OK, bytes);
}

void node_copy_drop(struct node *node, struct node_copy *copy)
{
    ASSERT(copy == node->copied);
    node->copied = NULL;
    node->n_dropped++;
}

void node_submit(struct node *node, struct op *op)
{
    node->n_submitted++;
    node->now_ms = clock_monotonic_ms();
    if (!node->keep) {
        finish(node, op);
        return;
    }
    ASSERT(node->n_kept < sizeof node->kept / sizeof node->kept[0]);
    node->kept[node->n_kept++] = op;
}

void fake_node_finish(struct node *node)
{
    struct op *ended[sizeof node->kept / sizeof node->kept[0]];
    uint32_t n = node->n_kept;
    memcpy(ended, node->kept, n * sizeof *ended);
    node->n_kept = 0; /* an end may lead to another op, to be kept */
    for (uint32_t i = 0; i < n; i++)
        finish(node, ended[i]);
}

void node_free(struct node *node)
{
    free(node);
}

struct statemachine *node_statemachine(struct node *node)
{
    (void)node;
    return NULL;
}

void node_status(const struct node *node, struct node_status *out)
{
    *out = node->status;
}

void node_stats(struct node *node, struct node_stats *out)
{
    memset(out, 0, sizeof *out);
    out->elections_started = node->status.term;
}

uint32_t node_members(const struct node *node, struct node_member *out)
{
    memcpy(out, node->members, node->n_members * sizeof *out);
    return node->n_members;
}

void node_damaged(struct node *node, enum err err)
{
    (void)node;
    (void)err;
}

const struct identity *node_identity(const struct node *node)
{
    return &node->identity;
}

bool node_first_members(const struct node *node, struct configuration *out)
{
    (void)node, (void)out;
    return false;
}
