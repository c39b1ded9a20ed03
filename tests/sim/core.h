/* core.h - tier 1: a few Raft cores, and nothing else of the product.
 *
 * The driver here is the simulator's own: it keeps each node's log, queues its writes, holds
 * messages until their ticket is durable.  core_world.c is that driver, core_check.c compares
 * with ghosts (what no node knows, but the simulator), core_run.c lets things happen. */
#ifndef TESTS_SIM_CORE_H
#define TESTS_SIM_CORE_H

#include "tests/sim/sim.h"

#include <holdfast/raft.h>

enum {
    CORE_NODES_MAX = 9,
    CORE_LOG_MAX = 2048,
    CORE_CONFIGS_MAX = 1024,
    CORE_BATCH_MAX = 8,
    CORE_TERMS_MAX = 2048,
    CORE_WRITES_MAX = 256,
    CORE_PACKETS_MAX = 4096,
    CORE_HELD_MAX = 512,
    CORE_READS_MAX = 1024,
    CORE_SEEN_SIZE = 1 << 13,
    CORE_TRANSFERS_MAX = 32,
};

struct core_entry {
    raft_term term;
    uint64_t value; /* the payload: unique for each proposed entry */
    uint64_t chain; /* hash of this entry and all before it */
    raft_index config; /* the latest configuration up to here; 0: none in the log */
    enum raft_kind kind;
};

struct core_log {
    raft_index base; /* the entries up to it are gone; of its own entry term and hash are known */
    raft_index last;
    struct core_entry at[CORE_LOG_MAX + 1]; /* by index */
};

struct core_packet {
    struct raft_msg msg;
    uint64_t chain; /* an acknowledgement's: of the entry at `match` when it was made */
    uint32_t next_free;
    struct core_entry entries[CORE_BATCH_MAX];
};

struct core_write {
    raft_ticket ticket;
    uint32_t what;
    raft_term term;
    raft_id vote;
    raft_index first;
    uint32_t n;
    raft_index base; /* 0, or: the entries up to it go */
    bool keep;       /* with RAFT_SAVE_BASE */
    struct core_entry snapshot; /* with RAFT_SAVE_BASE: the entry at base */
    struct core_entry entries[CORE_BATCH_MAX];
};

/* A snapshot on its way. */
struct core_transfer {
    bool used, fails, again, late;
    uint32_t from, to, from_life, to_life;
    raft_index index;
    struct core_entry entry;
};

struct core_node {
    raft_id id;
    bool up, paused;
    uint32_t life;             /* events of earlier lives are void */
    struct raft *raft;
    struct raft_config config;
    struct sim_clock clock;
    struct raft_update update; /* of the last step */
    raft_index commit_seen;    /* highest over all lives */
    struct raft_members base_members; /* before any configuration in the log */
    const struct raft_members *config_before; /* in use before this step */
    uint64_t timer_us;         /* when a tick is scheduled; UINT64_MAX: none */

    raft_term disk_term;
    raft_id disk_vote;
    raft_ticket issued, durable;
    raft_index state;          /* the state machine's, durable: all up to it is applied there */
    raft_index installed;      /* the last snapshot's, in this life */
    bool fetching;             /* a snapshot, until then at most */
    uint64_t fetch_until;
    uint32_t writing;          /* how many writes are under way as one; 0: the disk is idle */
    uint32_t first_write, n_writes; /* ring, oldest first */
    uint32_t n_held;
    uint32_t held[CORE_HELD_MAX];   /* packets that wait for their ticket */
    struct core_write writes[CORE_WRITES_MAX];
    struct core_log log;       /* in memory */
    struct core_log disk;
};

/* Drawn from the seed.  Chances in per mille, times in microseconds. */
struct core_options {
    uint32_t voters, learners;
    uint32_t loss, duplicate, late, unreachable;
    uint32_t delay_us, late_us, disk_us;
    uint32_t fault_us, client_us;
    uint32_t weight[12]; /* of each fault */
    uint32_t events;     /* of the safety phase */
    uint32_t split;      /* largest number of entries in a frame; 0: as the core says */
    uint32_t cut;        /* appends are cut to so many entries, and the core is told; 0: never */
    uint32_t read;       /* reads among the clients' requests */
    uint32_t compact_us; /* between two compactions; 0: never */
    uint32_t keep;       /* entries that a compaction leaves */
    uint32_t fetch_us, fetch_loss;
    uint32_t unasked;    /* snapshots fetched unasked */
    bool careless;       /* compacts also what follows a snapshot that is being fetched */
    uint32_t change;     /* and changes of the members */
    uint32_t spares;     /* nodes that are no members at first */
    bool wild_clocks, keep_writes;
};

enum core_mark {
    CORE_ELECTIONS, CORE_PRE_ELECTIONS, CORE_LEADERS, CORE_SPLIT_VOTES, CORE_COMMITS,
    CORE_OLD_TERM_COMMITS, CORE_CONFLICTS, CORE_TRUNCATIONS, CORE_PROBES, CORE_IGNORED,
    CORE_STEP_DOWN_TERM, CORE_STEP_DOWN_QUORUM, CORE_STEP_DOWN_DISK, CORE_STEP_DOWN_REMOVED,
    CORE_TRANSFERS,
    CORE_READS_OK, CORE_READS_FAILED, CORE_READS_EARLY, CORE_CRASHES, CORE_CRASHES_WITH_LOSS,
    CORE_CRASHES_KEPT, CORE_CRASHES_OF_ALL, CORE_PAUSES, CORE_PARTITIONS, CORE_ONE_WAY,
    CORE_LINK_CUTS, CORE_CLOGS, CORE_LOST, CORE_DUPLICATED, CORE_LATE, CORE_STALLS, CORE_LEARNERS,
    CORE_SINGLE, CORE_EVEN, CORE_WILD_CLOCKS, CORE_NO_PRE_VOTE, CORE_NO_CHECK_QUORUM,
    CORE_CUT_SHORT, CORE_SPLIT_FRAMES, CORE_MINORITY_DOWN, CORE_LINK_DOWN,
    CORE_COMPACTIONS, CORE_COMPACTED_WHOLE, CORE_SNAPSHOTS_OFFERED, CORE_FETCHES, CORE_SNAPSHOTS_LOST,
    CORE_SENDER_CRASHED, CORE_RECEIVER_CRASHED, CORE_SNAPSHOTS_LATE, CORE_SNAPSHOTS_REFUSED,
    CORE_INSTALLED, CORE_SUFFIX_KEPT, CORE_SUFFIX_DROPPED, CORE_INSTALLS_LOST, CORE_INSTALLED_TOO_OLD,
    CORE_CHURN, CORE_CHANGES, CORE_CHANGES_BUSY, CORE_LEARNER_CHANGES, CORE_JOINT_ENTERED,
    CORE_JOINT_LEFT, CORE_PROMOTIONS, CORE_LEADERS_LEAVE, CORE_FINISHED_BY_ANOTHER,
    CORE_ROLLED_BACK, CORE_HEALED_JOINT, CORE_REMOVED_RUNNING, CORE_MARKS
};

struct core_world {
    uint64_t seed, now_us;
    struct sim_random random;
    struct core_options options;
    uint32_t n;
    bool healed;
    uint64_t healed_us, old_order; /* when; and events added before have smaller orders */
    uint32_t minority; /* healed: nodes that stay down, a set of bits */
    uint32_t gone;     /* healed: no members, and shut down for good */
    struct raft_members members; /* at first */
    uint32_t n_configs;
    struct raft_members configs[CORE_CONFIGS_MAX]; /* all that were ever appended */
    struct core_node *node[CORE_NODES_MAX];
    struct sim_heap heap;
    bool cut[CORE_NODES_MAX][CORE_NODES_MAX];         /* from, to */
    uint64_t clogged_until[CORE_NODES_MAX][CORE_NODES_MAX];
    struct core_transfer transfers[CORE_TRANSFERS_MAX];
    struct core_packet *packets;
    uint32_t free_packet;
    uint64_t next_value;
    uint64_t *marks;

    /* ghosts */
    raft_id leader_of[CORE_TERMS_MAX];
    raft_id vote_of[CORE_TERMS_MAX][CORE_NODES_MAX];
    uint32_t candidates_of[CORE_TERMS_MAX];
    raft_term highest_term;
    raft_index committed;
    struct core_entry committed_at[CORE_LOG_MAX + 1];
    raft_term committed_in[CORE_LOG_MAX + 1]; /* the term of who was first to see it committed */
    struct {
        bool open;
        raft_index floor; /* committed when it was asked */
    } read[CORE_READS_MAX];
    uint32_t n_reads;
    struct {
        uint64_t run; /* of this seed */
        raft_index index;
        raft_term term;
        uint64_t chain;
    } seen[CORE_SEEN_SIZE]; /* every entry that ever was: Log Matching */
    uint64_t run;
};

enum core_event {
    CORE_TIMER, CORE_DELIVER, CORE_DISK, CORE_CLIENT, CORE_FAULT, CORE_RESTART, CORE_RESUME, CORE_COMPACT,
    CORE_OPEN, CORE_FETCHED,
};

/* ---- core_world.c */
struct core_world *core_world(void); /* one for all runs of this process */
void core_world_begin(struct core_world *w, uint64_t seed, uint64_t *marks);
raft_msec core_now(const struct core_world *w, uint32_t node);
enum raft_status core_world_step(struct core_world *w, uint32_t node, const struct raft_event *event,
                           const struct core_entry *entries);
enum raft_status core_propose(struct core_world *w, uint32_t node, uint32_t n);
enum raft_status core_read(struct core_world *w, uint32_t node);
void core_deliver(struct core_world *w, uint32_t packet);
void core_drop(struct core_world *w, uint32_t packet);
void core_disk_done(struct core_world *w, uint32_t node);
void core_crash(struct core_world *w, uint32_t node, uint32_t kept);
void core_restart(struct core_world *w, uint32_t node, raft_index applied);
void core_timer_set(struct core_world *w, uint32_t node);
uint32_t core_leader(const struct core_world *w); /* n: none */
struct core_write *core_write_new(struct core_world *w, struct core_node *n);
void core_disk_start(struct core_world *w, uint32_t node);
static inline uint32_t core_place(raft_id id)
{
    return (uint32_t)id - 1;
}

/* ---- core_net.c: what becomes of a message that has left */
void core_post(struct core_world *w, uint32_t packet);

/* ---- core_snapshot.c */
uint64_t core_chain_at(const struct core_world *w, const struct core_log *log, raft_index index);
raft_index core_known_committed(const struct core_world *w, const struct core_node *n, raft_index commit);
void core_compact(struct core_world *w);
void core_fetch(struct core_world *w, uint32_t node);
void core_open(struct core_world *w, uint32_t to, uint32_t life, uint32_t from);
void core_fetched(struct core_world *w, uint32_t transfer);

/* ---- core_churn.c */
const struct raft_members *core_config_of(const struct core_world *w, const struct core_entry *entry);
const struct raft_members *core_config_at(const struct core_world *w, const struct core_node *n,
                                          const struct core_log *log, raft_index index);
/* As of a snapshot's last entry. */
const struct raft_members *core_config_in(const struct core_world *w, const struct core_entry *snapshot);
/* What the node's log says is in use. */
const struct raft_members *core_config(const struct core_world *w, const struct core_node *n);
bool core_is_member(const struct raft_members *m, raft_id id);
bool core_is_majority(const struct raft_members *m, uint32_t set);
uint32_t core_voters(const struct raft_members *m); /* a set of bits */
struct core_entry core_config_entry(struct core_world *w, const struct core_node *n);
void core_check_config(const struct core_world *w, const struct core_node *n);
void core_check_election(const struct core_world *w, const struct core_node *n);
uint32_t core_boot_configs(const struct core_world *w, const struct core_node *n, raft_index commit,
                           struct raft_config_at *out);
enum raft_status core_change(struct core_world *w, uint32_t node);
bool core_change_well(struct core_world *w, uint32_t leader, struct raft_members *members);

/* ---- core_check.c */
uint64_t core_chain(uint64_t before, const struct core_entry *entry);
void core_check_entry(struct core_world *w, raft_index index, const struct core_entry *entry);
void core_check_truncation(struct core_world *w, const struct core_node *n, raft_index first,
                           const struct core_entry *new);
void core_check_install(struct core_world *w, const struct core_node *n,
                        const struct core_entry *snapshot);
void core_check_step(struct core_world *w, struct core_node *n, raft_term term, raft_id vote,
                     raft_index commit);
void core_check_stored(struct core_world *w, const struct core_node *n, const struct core_write *write);
void core_check_release(struct core_world *w, const struct core_node *n,
                        const struct core_packet *packet);
void core_check_end(struct core_world *w);

#endif
