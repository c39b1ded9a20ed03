/* real.h - tier 2: the real src/node, state machine and codecs, on memory disks, with a network,
 * clocks and clients that belong to the simulator.
 *
 * real_world.c is the runner of each node (as src/cmd is in the product) and its disk;
 * real_net.c carries bodies; real_client.c asks and writes the history; real_check.c compares with
 * ghosts; real_run.c lets things happen. */
#ifndef TESTS_SIM_REAL_H
#define TESTS_SIM_REAL_H

#include "src/node/node_private.h"
#include "src/storage/memory_disk.h"
#include "tests/linear/linear.h"
#include "tests/sim/sim.h"

enum {
    REAL_KEYS_MAX = 8,
    REAL_CLIENTS_MAX = 8,
    REAL_STEPS_MAX = 3,
    REAL_TERMS_MAX = 4096,
    REAL_LOG_MAX = 16384,
    REAL_FRAMES_MAX = 512,
    REAL_STORM_FRAMES = 5000, /* of one node in a tenth of a second */
};

struct real_packet {
    struct blob *body; /* NULL: the place is free */
    uint32_t from, to, next_free;
    uint32_t life;          /* of the sender */
    bool doubled;           /* there is or was a copy */
    enum lane lane;
};

struct real_outgoing { /* frames of one turn to one peer on one lane */
    struct blob *frames[REAL_FRAMES_MAX];
    uint32_t n;
};

struct real_node {
    struct network network; /* first: the ops find the node by it */
    uint32_t self;
    struct sim_clock clock;
    struct memory_disk *disk;
    struct identity identity;
    struct log_store *log;
    struct state_store *state;
    struct snapshot_store *snapshots;
    struct node *node;      /* NULL: down */
    struct network_events events;
    bool woken, storage_woken, paused, refused, removed;
    bool gone;              /* its disk is corrupt or was replaced: it does not come back */
    bool sick;              /* may become so */
    bool dying;             /* what its ops are told now nobody hears */
    uint32_t life;
    uint64_t storm_us;
    uint32_t storm_frames;
    uint64_t timer_us, stalled_until_us, wall_skew_ms;
    bool writing[3];        /* log, state, snapshots: the oldest job is under way */
    struct real_outgoing out[SIM_NODES_MAX][LANES];

    /* ghosts: over all lives, but for the first two */
    raft_index commit, applied;
    raft_term disk_term;
    raft_id disk_vote;
    enum raft_role role;
    raft_term role_term;
};

/* Drawn from the seed.  Chances in per mille, times in microseconds. */
struct real_options {
    uint32_t n, keys, clients;
    uint32_t first, churn; /* nodes that begin the cluster; mean us between changes, or 0 */
    uint32_t loss, duplicate, late, unreachable;
    uint32_t delay_us, late_us, log_us, state_us;
    uint32_t fault_us, think_us, timeout_ms;
    uint32_t weight[16];   /* of each fault */
    uint32_t mix[8];       /* of each operation */
    uint32_t safety_ms;
    uint32_t election_min_ms, election_max_ms, heartbeat_ms, batch_entries, flush_ms;
    uint32_t pending_bytes_max;
    uint64_t log_keep, snapshot_rate;
    uint32_t snapshot_part, snapshot_faults;
    bool pre_vote, check_quorum, wild_clocks, keep_writes, local_only, lease_hunt;
};

enum real_mark {
    REAL_LEADERS, REAL_ELECTIONS, REAL_STEP_DOWNS, REAL_COMMITS, REAL_FLUSHES, REAL_FORWARDS,
    REAL_SETS, REAL_DELETES, REAL_CAS, REAL_CAS_FAILED, REAL_BATCHES, REAL_BATCHES_FAILED,
    REAL_READS_LINEARIZABLE, REAL_READS_LEASE, REAL_READS_STALE, REAL_TOO_STALE, REAL_READS_REFUSED,
    REAL_UNKNOWN, REAL_NOT_APPLIED, REAL_RETRIES, REAL_GIVEN_UP, REAL_HISTORY_OPS, REAL_UNDECIDED,
    REAL_CRASHES, REAL_CRASHES_LOST_LOG, REAL_CRASHES_LOST_STATE, REAL_CRASHES_KEPT,
    REAL_CRASHES_OF_ALL, REAL_REPLAYS, REAL_PAUSES, REAL_PARTITIONS, REAL_ONE_WAY, REAL_LINK_CUTS,
    REAL_CLOGS, REAL_LOST, REAL_UNSENT, REAL_DUPLICATED, REAL_LATE, REAL_STALLS, REAL_CORRUPTED_LOG,
    REAL_CORRUPTED_STATE, REAL_CORRUPT_EXITS, REAL_WIPES, REAL_REFUSED, REAL_SINGLE,
    REAL_WILD_CLOCKS, REAL_NO_PRE_VOTE, REAL_NO_CHECK_QUORUM, REAL_MINORITY_DOWN,
    REAL_DIGESTS_AGREED,
    REAL_COMPACTIONS, REAL_STORMS, REAL_COPIES, REAL_PARTS, REAL_PARTS_REPEATED, REAL_FETCHES_RESUMED,
    REAL_SNAPSHOTS_SENT, REAL_INSTALLS, REAL_INSTALLS_PENDING, REAL_SNAPSHOTS_HURT, REAL_SNAPSHOTS_REFUSED,
    REAL_SNAPSHOT_DISK_FULL, REAL_CRASHES_OF_FETCHER, REAL_CRASHES_OF_SENDER,
    REAL_ADDS, REAL_REMOVES, REAL_REPLACES, REAL_PROMOTES, REAL_LEADS,
    REAL_CHANGES_UNDER_WAY, REAL_CHANGES_AT_RISK, REAL_TOLD_REMOVED, REAL_MARKS
};

/* A client's request; lives until the node has done it, though its client may have given up. */
struct real_op {
    struct op op;
    TAILQ_ENTRY(real_op) link; /* of all that live */
    uint32_t client, node;
    uint32_t life;           /* of the node */
    bool abandoned;
    uint64_t call;
    uint32_t kind;           /* enum real_kind */
    uint32_t n;
    uint32_t key[REAL_STEPS_MAX];
    struct kv_op kv[REAL_STEPS_MAX];
    char value[REAL_STEPS_MAX][24];
    uint64_t floor_index, floor_revision; /* acknowledged when it was asked */
    uint64_t asked_us;
};

struct real_client {
    struct real_op *current;
    uint64_t next_value;
    uint64_t revision[REAL_KEYS_MAX]; /* last seen, for compare-and-set */
};

enum real_kind { REAL_SET, REAL_GET, REAL_GET_LEASE, REAL_GET_STALE, REAL_DELETE, REAL_SET_IF, REAL_BATCH, REAL_KINDS };

struct real_world {
    uint64_t seed, now_us, sequence;
    struct sim_random random;
    struct real_options options;
    uint64_t *marks;
    struct sim_heap heap;
    struct real_node node[SIM_NODES_MAX];
    struct node_peer peers[MEMBERS_MAX];
    bool healed;
    uint64_t healed_us, old_order;
    uint32_t minority; /* healed: nodes that stay down */
    bool cut[SIM_NODES_MAX][SIM_NODES_MAX];
    uint64_t clogged_until[SIM_NODES_MAX][SIM_NODES_MAX];
    struct real_packet *packets;
    uint32_t n_packets, free_packet;
    struct real_client client[REAL_CLIENTS_MAX];
    char key[REAL_KEYS_MAX][16];
    struct linear_history *history;
    TAILQ_HEAD(, real_op) ops;

    /* ghosts */
    raft_id leader_of[REAL_TERMS_MAX];
    raft_id vote_of[REAL_TERMS_MAX][SIM_NODES_MAX];
    raft_index committed;
    struct {
        uint64_t hash;
        raft_term term, committed_in;
    } entry[REAL_LOG_MAX];          /* by index */
    uint64_t digest[REAL_LOG_MAX];  /* of the state after each entry; 0: not seen yet */
    uint64_t told[REAL_LOG_MAX];    /* the state machine's own digest there */
    raft_index acked_index;         /* highest index of an acknowledged write */
    uint64_t acked_revision;        /* highest revision that a client was told */
};

enum real_event { REAL_TIMER, REAL_DELIVER, REAL_DISK, REAL_CLIENT, REAL_FAULT, REAL_CHANGE, REAL_RESTART, REAL_RESUME, REAL_GIVE_UP };

struct real_world *real_world(void); /* one for all runs of this process */

/* ---- real_world.c */
void real_begin(struct real_world *w, uint64_t seed, uint64_t *marks);
void real_nodes_start(struct real_world *w);
void real_end(struct real_world *w);
uint64_t real_local_ms(const struct real_node *m);
/* Runs the node until it has nothing to do at this moment; then what it said leaves. */
void real_turn(struct real_world *w, uint32_t i);
void real_body(struct real_world *w, uint32_t i, const struct envelope *envelope, struct blob *body);
void real_unreachable(struct real_world *w, uint32_t i, raft_id peer, enum lane lane,
                      const struct blob *unsent);
void real_submit(struct real_world *w, struct real_op *op);
/* queue: 0 log, 1 state, 2 snapshots. */
void real_disk_done(struct real_world *w, uint32_t i, uint32_t queue);
void real_crash(struct real_world *w, uint32_t i, size_t kept_log, size_t kept_state);
void real_restart(struct real_world *w, uint32_t i);
void real_wipe(struct real_world *w, uint32_t i);
bool real_is_up(const struct real_world *w, uint32_t i);
int real_leader(const struct real_world *w); /* of the highest term; -1: none */
uint32_t real_place(const struct real_world *w, raft_id id);

/* ---- real_net.c */
void real_net_init(struct real_node *m);
void real_post_all(struct real_world *w, uint32_t i);
void real_forget_outgoing(struct real_node *m);
void real_arrive(struct real_world *w, uint32_t packet);
void real_drop_packet(struct real_world *w, uint32_t packet);
void real_net_end(struct real_world *w);

/* ---- real_client.c */
void real_clients_start(struct real_world *w);
void real_client_next(struct real_world *w, uint32_t client);
void real_client_gives_up(struct real_world *w, uint32_t client, uint64_t call);
void real_node_lost(struct real_world *w, uint32_t node); /* nobody will hear what it says */
void real_clients_check(struct real_world *w);
void real_clients_end(struct real_world *w);
bool real_write_one(struct real_world *w, uint32_t node, bool *done);

/* ---- real_snapshot.c */
void real_snapshot_options(struct real_world *w);
void real_snapshot_fault(struct real_world *w, void (*crash)(struct real_world *, uint32_t));
void real_snapshot_heal(struct real_world *w);
void real_snapshot_start(struct real_world *w, uint32_t i); /* before the stores are opened */
void real_snapshot_count(struct real_world *w, const struct node_stats *stats);
void real_check_base(struct real_world *w, uint32_t i);

/* ---- real_members.c */
void real_members_options(struct real_world *w);
void real_members_begin(struct real_world *w);
void real_members_change(struct real_world *w);
bool real_is_member(const struct real_world *w, uint32_t i); /* by the leader's configuration */
bool real_members_settled(const struct real_world *w);
/* has[i]: node i has it. */
bool real_has_majority(const struct real_world *w, const struct node *node, const bool *has);

/* ---- real_check.c */
void real_check_turn(struct real_world *w, uint32_t i);
/* Also in the middle of a turn, before a client is told what the turn has committed. */
void real_check_commit(struct real_world *w, struct real_node *m);
void real_check_start(struct real_world *w, uint32_t i);
void real_check_frame(struct real_world *w, uint32_t from, uint32_t to, const struct blob *frame);
void real_check_stored(struct real_world *w, uint32_t i);
void real_acked(struct real_world *w, raft_index index, uint64_t revision);
void real_check_read(struct real_world *w, const struct real_op *op);
uint64_t real_digest(struct statemachine *sm);
void real_check_converged(struct real_world *w);

#endif
