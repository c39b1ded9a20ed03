/* node.h - the driver: feeds the Raft core, the disks, the peers and the waiting clients.
 *
 * Owns no thread, socket, file or clock: it is handed stores, a network and the time, so that
 * the simulator runs this very code.  Loop thread only.
 *
 * The runner's duties: call node_run when node_deadline has come and at the end of every loop
 * turn in which wake was asked for; call node_on_storage when a store woke the loop; pass the
 * network's events (node_network_events). */
#ifndef HOLDFAST_NODE_H
#define HOLDFAST_NODE_H

#include <holdfast/blob.h>
#include <holdfast/err.h>
#include <holdfast/raft.h>
#include <holdfast/statemachine.h>
#include <holdfast/storage.h>
#include <holdfast/transport.h>
#include <holdfast/wire.h>

#include <sys/queue.h>

struct node_peer {
    raft_id id;
    char raft_addr[ADDRESS_MAX + 1];
    bool learner;
};

struct node_config {
    struct identity identity;
    char http_addr[ADDRESS_MAX + 1]; /* announced to clients */
    /* The first configuration of the cluster; a node that joins is told it.  What the stores hold
     * goes before it; may then be empty. */
    struct node_peer members[MEMBERS_MAX];
    uint32_t n_members;
    uint32_t election_min_ms, election_max_ms, heartbeat_ms;
    uint32_t batch_entries;    /* entries in one append message */
    uint32_t flush_ms;         /* longest time that applied state waits for the state store */
    uint64_t log_keep;         /* entries kept behind the durable state for followers that lag... */
    uint64_t log_keep_bytes;   /* ...but not more than about so many bytes */
    uint64_t snapshot_rate;    /* bytes a second that this node sends of snapshots; 0: unlimited */
    uint32_t snapshot_part;    /* bytes asked for at a time, <= SNAPSHOT_PART_MAX; 0: the default */
    size_t pending_bytes_max;
    uint64_t quota;            /* bytes of pages that the state may use; 0: what the map gives */
    uint64_t seed;
    bool pre_vote, check_quorum;
};

/* What the node asks of its runner. */
struct node_host {
    uint64_t (*now_ms)(void *arg);      /* monotonic */
    uint64_t (*now_us)(void *arg);      /* monotonic, for statistics only */
    uint64_t (*wall_ms)(void *arg);     /* for time stamps only: of entries, of the status */
    void (*wake)(void *arg);            /* call node_run at the end of this loop turn */
    /* The cluster refuses this node for good (wrong cluster, replaced data directory). */
    void (*refused)(void *arg, const char *why);
    /* This node was removed from the cluster, and has noted so (log meta row `removed`): it is to
     * stop, in good order.  Called once.  NULL: `refused` is called. */
    void (*removed)(void *arg, const char *why);
    /* What the stores keep cannot be read (ERR_CORRUPT, ERR_IO): nothing more may be served.  May
     * be NULL. */
    void (*damaged)(void *arg, enum err err);
    void *arg;
};

struct node;

/* Reads the stores and begins as a follower; waits for nothing.  ERR_CORRUPT, ERR_IO,
 * ERR_NOT_FOUND (neither the stores nor config tell the members), ERR_FOREIGN with a sentence in `message` (STORAGE_MESSAGE_MAX). The stores and the network
 * are borrowed and outlive the node. */
MUST_CHECK enum err node_new(const struct node_config *config, const struct node_host *host,
                             struct log_store *log, struct state_store *state,
                             struct snapshot_store *snapshots /* NULL: none are sent or fetched */,
                             struct network *network, struct node **out, char *message);
/* Every op still waiting is done with ERR_SHUTTING_DOWN and its true outcome.  The stores are
 * closed before: what was submitted to them may still point into the node. */
void node_free(struct node *node);

/* What the network shall call, once the node exists (transport_start). */
struct network_events node_network_events(struct node *node);

/* Called by readers of the state machine that got ERR_CORRUPT or ERR_IO. */
void node_damaged(struct node *node, enum err err);

void node_run(struct node *node);
uint64_t node_deadline(const struct node *node); /* on the host's monotonic clock, ms */
void node_on_storage(struct node *node);         /* a store has completions */

/* Stop: hand leadership over, refuse new ops, flush the state.  node_stopped turns true when
 * nothing is left to wait for or `timeout_ms` has passed. */
void node_stop(struct node *node, uint32_t timeout_ms);
bool node_stopped(const struct node *node);

/* ---- operations: submitted once, done once */

enum op_type {
    OP_WRITE, /* a command through the log */
    OP_READ,  /* calls `read` when the state may be read under `consistency` */
    OP_INFO,  /* the cluster as the leader sees it */
    OP_CHANGE,   /* change the members */
    OP_TRANSFER, /* hand leadership over; done once another leads, or it was given up */
    OP_COPY,     /* a copy of the state as a file; what is applied now will be in it */
};

enum consistency { CONSISTENCY_LINEARIZABLE, CONSISTENCY_LEASE, CONSISTENCY_STALE };

/* A copy of the state, from an OP_COPY that ended with OK until node_copy_drop; one at a time, a
 * second is ERR_OVERLOADED.  The submitter's, whose reader it serves. */
struct node_copy {
    struct snapshot_info info;
    /* Answers node_copy_read; takes the bytes.  ERR_SHUTTING_DOWN, also unasked: the node goes, and
     * the copy with it. */
    void (*part)(struct node_copy *copy, enum err err, struct blob *bytes);
    void *user;
};

struct op {
    /* set by the submitter */
    enum op_type type;
    uint64_t deadline_ms;          /* on the host's monotonic clock; COPY has none */
    struct blob *command;          /* WRITE: an encoded command; the reference is the op's */
    enum consistency consistency;  /* READ */
    uint64_t min_revision;         /* READ: wait until the store has it; 0: none */
    uint64_t max_stale_ms;         /* READ, stale: UINT64_MAX: any age */
    bool local_only;               /* WRITE: do not forward; ERR_NO_LEADER on a follower */
    const struct member_change *change; /* CHANGE: lives until done */
    struct node_copy *copy;        /* COPY: becomes the copy; lives until it is dropped */
    raft_id target;                /* TRANSFER: to whom; 0: the most advanced voter */
    void (*done)(struct op *op);   /* called once, on the loop thread, perhaps within submit.
                                      The op is the submitter's again and may be freed */
    void *user;

    /* set by the node before done */
    enum err err;                  /* OK: applied, or: the state may be read now */
    enum outcome outcome;          /* WRITE, CHANGE, TRANSFER.  A change that is asked for once more
                                      after an unknown end does no harm */
    const struct command_result *result; /* WRITE, applied: lives until done returns */
    const struct frame *info;      /* INFO, OK: info_reply; lives until done returns */
    const char *why;               /* CHANGE, TRANSFER, not OK: a sentence, or NULL; lives as long */
    const struct configuration *configuration; /* CHANGE, OK: what it led to; lives as long */
    uint64_t staleness_ms;         /* READ: age bound of what is read; 0 if linearizable */

    /* the node's while it owns the op */
    TAILQ_ENTRY(op) link;
    uint64_t node_a, node_b;
    uint32_t node_state;
    void *node_p;
};

/* Takes the op until done. */
void node_submit(struct node *node, struct op *op);

/* One at a time, within the file, at most SNAPSHOT_PART_MAX bytes; ends with copy->part, later. */
void node_copy_read(struct node *node, struct node_copy *copy, uint64_t offset, size_t size);
/* What is being read is not answered any more. */
void node_copy_drop(struct node *node, struct node_copy *copy);

/* The state, for OP_READ's done callback: reads happen between begin and end there. */
struct statemachine *node_statemachine(struct node *node);

/* ---- what people may see */

struct node_status {
    raft_id id, leader;
    enum raft_role role;
    raft_term term;
    raft_index commit, applied, first, last, durable; /* durable: applied and in the state store */
    uint64_t revision, keys;
    uint64_t digest; /* of the state after the applied entry */
    enum state_doubt doubt;
    uint64_t wall_ms;           /* this node's wall clock */
    uint64_t leader_silence_ms; /* since the leader was last heard of; 0 on the leader */
    bool disk_stalled, stopping, no_space;
    bool at_quota;              /* that is why there is no space, or would be; */
    uint64_t quota;             /* 0: there is none */
    bool fetching;              /* a snapshot, and so many of its bytes are here */
    uint64_t fetch_bytes, fetch_size;
    bool voter, learner;        /* by the configuration in use; neither: no member (yet) */
    raft_index leader_commit;   /* as the leader last told it; 0: never */
    char leader_http[ADDRESS_MAX + 1]; /* "" if not known */
};
void node_status(const struct node *node, struct node_status *out);

struct node_stats {
    uint64_t elections_started, terms_led, step_downs, leader_changes;
    uint64_t msgs_in[RAFT_MSG_TYPES], msgs_out[RAFT_MSG_TYPES];
    uint64_t proposals, proposal_batches, reads, read_rounds, forwarded_out, forwarded_in;
    uint64_t applied_entries, flushes, digests_agreed;
    uint64_t compactions; /* writes that dropped entries */
    uint64_t snapshot_copies, snapshots_sent, snapshot_parts_out, snapshot_bytes_out;
    uint64_t snapshots_installed, snapshots_resumed, snapshots_damaged;
    uint64_t snapshot_parts_in, snapshot_parts_repeated, snapshot_bytes_in;
    uint64_t snapshot_ms; /* from the wish to the end of the install, of all installed */
    uint64_t backups, backup_bytes; /* copies made for clients, and read from them */
    uint64_t proposals_waiting, proposals_waiting_bytes, reads_waiting, pending_bytes;
    struct log_stats log;
    struct state_stats state;
};
void node_stats(struct node *node, struct node_stats *out);

/* Members with what is known of each: the announced name and addresses (empty before). */
struct node_member {
    raft_id id;
    bool voter;
    bool leaving;     /* goes with the change under way */
    bool stays;       /* a learner that is not made a voter */
    raft_id replaces; /* who leaves when this learner becomes a voter; 0: nobody */
    char name[NODE_NAME_MAX + 1];
    char raft_addr[ADDRESS_MAX + 1], http_addr[ADDRESS_MAX + 1];
};
uint32_t node_members(const struct node *node, struct node_member *out /* MEMBERS_MAX */);
/* What the cluster began with, as who joins must know it; false: that is not known here. */
bool node_first_members(const struct node *node, struct configuration *out);
/* It was a member once and is none any more. */
bool node_was_removed(const struct node *node, raft_id id);

const struct identity *node_identity(const struct node *node);

#endif
