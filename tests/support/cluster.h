/* cluster.h - several real nodes in one process, for tests: the real src/node, state machine and
 * codecs on memory disks, a network and a clock that the test owns.  Everything follows from the
 * seed; nothing sleeps. */
#ifndef TESTS_SUPPORT_CLUSTER_H
#define TESTS_SUPPORT_CLUSTER_H

#include <holdfast/node.h>

enum { CLUSTER_NODES_MAX = 7 };

struct cluster;

struct cluster_options {
    uint32_t n;
    uint64_t seed;
    uint32_t delay_min_ms, delay_max_ms; /* of a body on the network */
    uint32_t loss_percent, duplicate_percent;
    uint32_t disk_min_ms, disk_max_ms;   /* of one write */
    uint32_t slow_turns;                 /* a millisecond passes at so many looks at the clock; 0: none */
    uint64_t log_keep;                   /* entries; 0: all */
    uint32_t snapshot_part;              /* bytes; 0: the node's default */
    uint64_t snapshot_rate;              /* bytes a second; 0: unlimited */
    uint64_t log_map_bytes;              /* 0: the default */
    uint64_t state_map_bytes;            /* 0: plenty */
};

struct cluster *cluster_new(const struct cluster_options *options);
void cluster_free(struct cluster *cluster);

uint64_t cluster_now(const struct cluster *cluster);
/* Runs the next thing that happens; false when `until_ms` came first. */
bool cluster_step(struct cluster *cluster, uint64_t until_ms);
void cluster_run(struct cluster *cluster, uint64_t ms);
/* Runs until `condition` holds; false if it does not within `ms`. */
bool cluster_run_until(struct cluster *cluster, bool (*condition)(struct cluster *, void *), void *arg,
                       uint64_t ms);

struct node *cluster_node(struct cluster *cluster, uint32_t i); /* NULL while it is down */
/* The one that leads in the highest term, or -1. */
int cluster_leader(struct cluster *cluster);
int cluster_await_leader(struct cluster *cluster); /* -1 if none within 10 s */

/* Power failure: what was not yet on the disk is lost, but for the first `kept` writes. */
void cluster_crash(struct cluster *cluster, uint32_t i, size_t kept);
void cluster_restart(struct cluster *cluster, uint32_t i);
void cluster_wipe(struct cluster *cluster, uint32_t i); /* a down node gets an empty disk */
struct memory_disk *cluster_disk(struct cluster *cluster, uint32_t i);
/* A node with an empty disk and a new id, as after the answer to its wish to join: it has been told
 * what the cluster began with, as node `via` knows it.  Returns its place; adding it is the caller's. */
uint32_t cluster_newcomer(struct cluster *cluster, uint32_t via);
raft_id cluster_id(struct cluster *cluster, uint32_t i);
const char *cluster_raft_addr(struct cluster *cluster, uint32_t i);
/* Restarts under another raft address. */
void cluster_move(struct cluster *cluster, uint32_t i, const char *raft_addr);
/* Why it was told that it is no member any more, or NULL. */
const char *cluster_removed(struct cluster *cluster, uint32_t i);
const char *cluster_refused(struct cluster *cluster, uint32_t i); /* why, or NULL */

/* Cuts or heals one direction. */
void cluster_link(struct cluster *cluster, uint32_t from, uint32_t to, bool up);
void cluster_isolate(struct cluster *cluster, uint32_t i, bool isolated);
void cluster_set_loss(struct cluster *cluster, uint32_t percent);
void cluster_hold_disk(struct cluster *cluster, uint32_t i, bool held);

/* A client's request; the caller keeps it until done. */
struct client_op {
    struct op op;
    bool done;
    enum err err;
    enum outcome outcome;
    uint64_t revision;
    raft_index index;
    bool found;
    char value[64]; /* of a read */
    char key[32];
    struct cluster *cluster;
    uint32_t node;
    struct info_member info[MEMBERS_MAX];
    uint32_t n_info;
    struct member_change change;
    char why[CHANGE_WHY_MAX + 1];
    struct configuration configuration; /* of a change that is done */
};
void client_put(struct cluster *cluster, uint32_t node, struct client_op *op, const char *key,
                const char *value, uint64_t timeout_ms);
void client_put_if(struct cluster *cluster, uint32_t node, struct client_op *op, const char *key,
                   const char *value, uint64_t revision, uint64_t timeout_ms);
void client_get(struct cluster *cluster, uint32_t node, struct client_op *op, const char *key,
                enum consistency consistency, uint64_t timeout_ms);
/* A stale read that must not be older than max_stale_ms. */
void client_get_fresh(struct cluster *cluster, uint32_t node, struct client_op *op, const char *key,
                      uint64_t max_stale_ms);
void client_info(struct cluster *cluster, uint32_t node, struct client_op *op, uint64_t timeout_ms);
void client_change(struct cluster *cluster, uint32_t node, struct client_op *op,
                   const struct member_change *change, uint64_t timeout_ms);
void client_transfer(struct cluster *cluster, uint32_t node, struct client_op *op, raft_id to,
                     uint64_t timeout_ms);
/* Runs until the op is done (ASSERT: within its timeout and a little). */
void client_wait(struct client_op *op);

#endif
