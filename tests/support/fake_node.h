/* fake_node.h - stands where src/node would: says what it is told to say, so that a test can
 * show the server every end that an operation may have.  There is no state behind it. */
#ifndef TESTS_SUPPORT_FAKE_NODE_H
#define TESTS_SUPPORT_FAKE_NODE_H

#include <holdfast/node.h>

struct node {
    /* how it looks; to be edited freely */
    struct node_status status;
    struct identity identity;
    struct node_member members[MEMBERS_MAX];
    uint32_t n_members;

    /* how the next op ends, unless it is kept */
    enum err err;
    enum outcome outcome;
    const struct command_result *result;
    const struct frame *info;
    uint64_t staleness_ms;
    bool keep; /* ops wait for fake_node_finish */

    /* a copy of the state that it gives: so many bytes, each its place modulo 251 */
    struct snapshot_info copy;
    struct node_copy *copied;      /* until it is dropped */
    uint32_t n_parts, n_dropped;

    /* what was submitted */
    uint32_t n_submitted;
    struct op *kept[16];
    uint32_t n_kept;
    uint64_t now_ms; /* at submit */
};

struct node *fake_node_new(void); /* a follower of node2 in a cluster of three */
/* Ends all kept ops as told. */
void fake_node_finish(struct node *node);

#endif
