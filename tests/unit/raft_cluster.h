/* raft_cluster.h - a few Raft cores in one process, with disks and a network that tests control.
 *
 * A small driver: it keeps each node's log, queues its writes, holds messages until their ticket
 * is durable, and puts what is released on the network, a list from which the test picks.  After
 * every step it checks the invariants of Raft against ghosts: what no node knows, but the test. */
#ifndef HOLDFAST_TESTS_RAFT_CLUSTER_H
#define HOLDFAST_TESTS_RAFT_CLUSTER_H

#include <holdfast/raft.h>

#include <stdio.h>

enum {
    CLUSTER_NODES_MAX = 7,
    CLUSTER_LOG_MAX = 4096,
    CLUSTER_NET_MAX = 2048,
    CLUSTER_PACKET_ENTRIES = 16,
    CLUSTER_WRITES_MAX = 2048,
    CLUSTER_TERMS_MAX = 4096,
    CLUSTER_READS_MAX = 4096,
    CLUSTER_CONFIGS_MAX = 64,
};

struct cluster_entry {
    struct raft_entry head;
    uint64_t value; /* the payload: unique for each proposed entry */
    uint64_t chain; /* hash of this entry and all before it */
};

struct cluster_packet {
    struct raft_msg msg;
    uint64_t deliver_at;
    struct cluster_entry entries[CLUSTER_PACKET_ENTRIES];
};

struct cluster_log {
    raft_index base; /* the entries up to it are gone, but for term and hash of the last */
    raft_index last;
    struct cluster_entry at[CLUSTER_LOG_MAX + 1]; /* by index */
};

struct cluster_write {
    raft_ticket ticket;
    uint64_t done_at;
    uint32_t what;
    raft_term term;
    raft_id vote;
    raft_index first;
    uint32_t n;
    raft_index base; /* with RAFT_SAVE_BASE, as is keep */
    bool keep;
    struct cluster_entry snapshot; /* the entry at base */
    struct cluster_entry *entries;
};

struct cluster_node {
    raft_id id;
    bool up;
    struct raft *raft;
    struct raft_config config;
    struct raft_update update; /* of the last step */
    enum raft_status status;
    const struct raft_members *config_before; /* in use before the last step */
    struct cluster_log log;    /* in memory */
    struct cluster_log disk;
    raft_term disk_term;
    raft_id disk_vote;
    raft_ticket issued, issued_vote, durable;
    uint32_t n_writes; /* oldest first */
    struct cluster_write writes[CLUSTER_WRITES_MAX];
    uint32_t n_held;
    struct cluster_packet *held[CLUSTER_NET_MAX];
    raft_index commit_seen; /* highest over all lives */
    raft_term term_durable_seen;
};

/* Everything that should happen in a long run, counted. */
struct cluster_marks {
    uint64_t elections, leaders, truncations, refusals, commits, step_downs[4], reads_ok, reads_failed,
        transfers, stale_self, crashes_with_loss, probes, ignored, invalid;
};

struct cluster {
    raft_msec now;
    uint32_t n;
    struct raft_members members; /* at first */
    uint32_t n_configs;
    struct raft_members configs[CLUSTER_CONFIGS_MAX]; /* that were ever appended; entries point here */
    struct cluster_node *node[CLUSTER_NODES_MAX];
    uint32_t n_net;
    struct cluster_packet *net[CLUSTER_NET_MAX];
    uint64_t next_value;
    uint32_t split;   /* largest number of entries in a frame; 0: as the core says */
    bool drop_overflow;
    uint32_t cut; /* appends are cut to so many entries, and the core is told; 0: never */

    /* ghosts */
    raft_id leader_of[CLUSTER_TERMS_MAX];
    raft_id vote_of[CLUSTER_TERMS_MAX][CLUSTER_NODES_MAX];
    raft_index committed;
    struct cluster_entry committed_at[CLUSTER_LOG_MAX + 1];
    struct {
        bool open;
        raft_index floor; /* committed when it was asked */
    } read[CLUSTER_READS_MAX];
    uint32_t n_reads;
    struct cluster_marks marks;

    /* told of each step, if not NULL: after the checks, before anything is released */
    void (*on_step)(void *arg, struct cluster *c, uint32_t node);
    void (*on_trace)(void *arg, struct cluster *c, uint32_t node, uint32_t what,
                     const uint64_t v[4]);
    void *arg;
    char label[64]; /* printed when an invariant is broken */
};

/* `spares` are no members at first. */
struct cluster *cluster_new(uint32_t voters, uint32_t learners, uint32_t spares,
                            const struct raft_config *config);
void cluster_free(struct cluster *c);

/* Steps one node and does what its update asks for. */
enum raft_status cluster_event(struct cluster *c, uint32_t node, const struct raft_event *event);
enum raft_status cluster_tick(struct cluster *c, uint32_t node);
enum raft_status cluster_propose(struct cluster *c, uint32_t node, uint32_t n);
enum raft_status cluster_read(struct cluster *c, uint32_t node);
enum raft_status cluster_change(struct cluster *c, uint32_t node, const struct raft_members *members);

/* Drops the log up to `last`, in memory and at once on disk. */
enum raft_status cluster_compact(struct cluster *c, uint32_t node, raft_index last);

/* A snapshot of what is committed up to `last` has come, verified and durable. */
enum raft_status cluster_install(struct cluster *c, uint32_t node, raft_index last);

/* The oldest write of `node` becomes durable; what waited for it is released. False: none. */
bool cluster_write_one(struct cluster *c, uint32_t node);
void cluster_write_all(struct cluster *c, uint32_t node);

/* Delivers network packet `i`; it is gone afterwards unless `keep`. */
void cluster_deliver(struct cluster *c, uint32_t i, bool keep);
void cluster_drop(struct cluster *c, uint32_t i);

/* Loses the writes after the first `kept`, and all that was held back. */
void cluster_crash(struct cluster *c, uint32_t node, uint32_t kept);
/* `applied`: commit index that survived; lowered to what the disk holds. */
void cluster_restart(struct cluster *c, uint32_t node, raft_index applied);

/* Gives a node that is down this log (n terms), term and vote, as if from an earlier life. */
void cluster_set_disk(struct cluster *c, uint32_t node, raft_term term, raft_id vote,
                      const raft_term *terms, uint32_t n);

uint32_t cluster_place(const struct cluster *c, raft_id id);
/* A node that is leader of the highest term that has one among those up, or n. */
uint32_t cluster_leader(const struct cluster *c);

/* Checks that every trail says what the log holds. */
void cluster_check_trails(struct cluster *c);

#endif
