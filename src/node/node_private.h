/* node_private.h - the node's inside, shared by the files of src/node.
 *
 * Who does what:  core.c steps the Raft core and carries out its updates; tail.c keeps the newest
 * entries in memory; configs.c keeps the configurations of the log and who can be reached by them;
 * change.c takes changes of the members, members.c makes those that nobody has to ask for;
 * outbox.c sends raft messages; inbox.c takes what peers send; writes.c and
 * reads.c own the waiting clients; forward.c asks the leader on a client's behalf; apply.c applies
 * and flushes; digest.c compares states; compact.c lets the log begin later; snapshot_send.c,
 * snapshot_fetch.c and snapshot_install.c bring the state to who lags far behind; identity.c knows
 * the peers' data directories; lost.c notices when the own one has lost something; status.c tells
 * people. */
#ifndef NODE_PRIVATE_H
#define NODE_PRIVATE_H

#include <holdfast/limits.h>
#include <holdfast/log.h>
#include <holdfast/mutant.h>
#include <holdfast/node.h>
#include <holdfast/panic.h>

#include "snapshot.h"

#include <bsd/sys/queue.h> /* TAILQ_FOREACH_SAFE */

enum {
    TAIL_BYTES_MAX = 32 * 1024 * 1024, /* durable entries kept in memory; older ones are read back */
    TAIL_ENTRIES_MAX = 64 * 1024,
    LOG_JOBS_MAX = 256,        /* unfinished writes; beyond, appends from the leader are dropped */
    HELD_MAX = 1024,           /* messages that wait for their ticket; beyond, the oldest is dropped */
    APPEND_BYTES_MAX = 4 * 1024 * 1024, /* of one append message, over all its frames */
    FRAME_BYTES_MAX = 1024 * 1024,      /* of one append frame, but at least one entry */
    APPEND_WINDOW = 16,        /* append messages in flight to one follower */
    READ_ROUNDS_MAX = 2,       /* read rounds in flight; reads that come meanwhile share the next */
    SWEEP_MS = 20,             /* how exactly deadlines of requests are kept */
    ANNOUNCE_RETRY_MS = 1000,
    SPACE_CHECK_MS = 1000,
    SPACE_CHECK_BYTES = 256 * 1024,
    INFO_TIMEOUT_MS = 500,     /* how long the leader is waited for before own knowledge must do */
    IDLE_FLUSH_PART = 10,      /* nothing applied for a tenth of the flush interval: flush what there is */
    PEERS_MAX = 2 * MEMBERS_MAX, /* members, and others who were until lately or are not known yet */
    PEER_FORGET_MS = 60 * 1000,  /* who is no member and silent for so long is forgotten */
    HELLO_MS = 1000,           /* how often who has no say looks for the leader */
    CHANGES_MAX = 64,          /* changes of the members that wait; more are refused */
    CAUGHT_UP_ROUNDS = 4,      /* a learner becomes a voter after so many good looks in a row */
    LEARNER_PATIENCE_MS = 10 * 60 * 1000, /* one that never came is dropped after this */
    FLUSH_BYTES = 16 * 1024 * 1024, /* flush early above so many pending bytes */
    DIGESTS_NEWEST = 1024,     /* entries for which the state's digest is remembered */
    DIGESTS_ASKED = 8,         /* and so many for which it was told */
    DIGEST_REPEAT = 10,        /* election timeouts after which the same question is asked again */
};

TAILQ_HEAD(op_list, op);

/* The newest entries, as stored, by index. */
struct tail {
    struct tail_entry {
        struct slice record;
        struct blob *owner;
    } *ring;               /* capacity a power of two */
    size_t capacity;
    raft_index first;      /* entries first .. first + n - 1 */
    size_t n;
    size_t bytes;
};

/* A write of the log that is not durable yet, oldest first. */
struct log_flight {
    raft_ticket ticket;
    raft_index first, last; /* first 0: no entries */
    uint64_t since_ms;
};

struct peer {
    raft_id id;
    char raft_addr[ADDRESS_MAX + 1];
    bool incarnation_known, incarnation_saving;
    unsigned char incarnation[INCARNATION_SIZE];
    uint64_t refusal_logged_ms; /* refusals are logged at most once in ten seconds */
    bool silent;                /* bulk to it has failed, and nothing was heard of it since */
    uint32_t lives[8], life;    /* the newest lives that it forwarded in, and the place of the last */
    uint32_t last_forward;      /* in that life */
    raft_index cut_short;       /* the last append to it was sent only up to here; 0: whole */
    bool digest_answered;       /* in this round, with the next two */
    enum digest_answer digest_answer;
    uint64_t digest;
    bool digest_told, digest_logged; /* what this round came to; that it differs */
    bool member;                /* of a configuration that may be in use */
    uint64_t last_ms;           /* no member: when it was last heard of, or left */
    bool moved;                 /* it has told another address than the configuration */
    /* on the leader, of a learner */
    uint64_t learner_since_ms;  /* 0: not seen as one yet */
    raft_index catch_up_to;     /* what was committed at the last look */
    uint32_t caught_up;         /* good looks in a row */
};

/* A configuration of the log, and the entry that it stands in. */
struct config_at {
    raft_index index;
    struct configuration configuration;
};

/* One question to the core (or to the leader) that many reads share. */
struct read_round {
    uint64_t tag;
    uint64_t begun_ms;
    raft_id asked; /* the leader that was asked; 0: the own core */
    bool active;
    struct op_list ops;
};

struct digest_mark {
    raft_index index; /* 0: none */
    uint64_t digest;  /* of the state after this entry */
};

struct digests {
    struct digest_mark newest[DIGESTS_NEWEST]; /* by index */
    struct digest_mark asked[DIGESTS_ASKED];
    uint32_t n_asked;
    struct digest_mark agreed; /* by a majority of the voters, the last that this node knows of */

    /* the question, as leader or as asked */
    uint64_t round;            /* its number */
    raft_term round_term;
    raft_index index;
    raft_id wanted_by;         /* who waits until this node has applied it; 0: nobody */
    uint64_t round_ms, due_ms; /* as leader: begun; next turn */
    bool decided, undecided;   /* as leader: there is a majority; all differ */
    bool missed;               /* as leader: somebody could not tell */
    bool news;                 /* for the next turn: a doubt, or the own answer */
};

struct node {
    struct node_config config;
    struct node_host host;
    struct log_store *log;
    struct state_store *state;
    struct snapshot_store *snapshots; /* or NULL */
    struct network *network;
    struct statemachine *sm;
    struct raft *raft;
    struct raft_update update;  /* of the step being carried out */

    /* the core's standing fields after the last step */
    raft_term term;
    raft_term born_term;        /* the term in which this life began */
    raft_id leader;
    enum raft_role role;
    raft_index commit;
    uint64_t raft_deadline;

    struct peer peers[PEERS_MAX]; /* the others */
    uint32_t n_peers;
    struct peer stranger;       /* whoever is no member: when one was last told of */

    struct config_at *configs;  /* [0]: as of the applied index; then those behind it in the log */
    uint32_t n_configs;
    struct configuration wanted; /* of the RAFT_CHANGE being stepped */
    struct raft_members received[RAFT_CONFIGS_MAX]; /* of the append being stepped */
    struct op_list changes;
    uint32_t n_changes;
    char change_why[CHANGE_WHY_MAX + 1];
    uint64_t policy_ms, hello_ms, handover_ms;
    bool removed;               /* and the runner has been told, or will be */
    raft_index leader_commit;

    struct tail tail;

    /* the log's writes */
    struct log_flight flights[LOG_JOBS_MAX];
    uint32_t flight_head, n_flights;
    raft_ticket durable_ticket;
    raft_index durable;         /* own log is durable, and as it should be, up to here */
    bool disk_stalled;
    bool full, at_quota, no_space; /* the third: one of the others */
    bool lost;                  /* it has forgotten what it acknowledged; it will stop */
    bool unfit;                 /* what the core was told: not to lead */

    /* raft messages that wait for a ticket */
    struct raft_msg held[HELD_MAX];
    uint32_t n_held;

    /* messages to self that are due */
    struct raft_msg own[HELD_MAX];
    uint32_t n_own;

    /* clients that write */
    struct op_list gathering;   /* not yet proposed */
    struct op_list proposed;    /* by index, as leader of this term */
    struct op_list orphans;     /* proposed in an earlier leadership; their fate is not yet known */
    struct op_list forwarded;   /* handed to the leader, no answer yet */
    uint64_t n_writes, writes_bytes;
    uint64_t unchecked_bytes;   /* accepted since the space was last looked at */
    raft_index orphans_first;   /* lowest index among the orphans */
    bool stepping;              /* in a step: no other may begin */

    /* clients that read */
    struct op_list reads;       /* wait for a round */
    struct op_list applying;    /* have their index, wait until it is applied */
    struct op_list behind;      /* wait for a revision */
    struct op_list infos;
    struct read_round rounds[READ_ROUNDS_MAX];
    uint64_t n_reads;
    uint64_t reads_ask_ms;      /* the leader is not asked before this */
    uint64_t next_request;      /* of tags and requests; never reused while the process lives */
    uint64_t lease_until_ms;    /* lease reads are served before this */
    raft_term lease_term;

    /* how fresh the applied state is */
    uint64_t fresh_ms;          /* the leader's state of then is applied here */
    uint64_t fresh_next_ms;     /* the same for fresh_next_commit, not applied yet; 0: none */
    raft_index fresh_next_commit;
    uint64_t leader_heard_ms;

    /* the state's writes */
    struct state_job *flush_job; /* sealed, waits for the log to be durable up to flush_applied */
    raft_index flush_applied;
    bool flush_submitted;
    uint64_t flushed_ms, applied_ms; /* when it last ended; when something was last applied */

    struct compaction compaction;
    struct sender sender;
    struct fetch fetch;
    struct backup backup;
    struct digests digests;

    uint64_t sweep_ms, announce_ms, space_ms;
    uint64_t stop_deadline_ms;
    bool stopping, transfer_asked;
    bool out_of_time;           /* stopping, and what waited has been told */

    struct node_stats stats;

    /* scratch, large, used within one call */
    struct frame_scratch scratch; /* of what comes in */
    struct slice sending[RAFT_BATCH_MAX];
    struct raft_entry entries[RAFT_BATCH_MAX];
    enum raft_kind kinds[RAFT_BATCH_MAX];
    struct kv_op ops[BATCH_OPS_MAX];
    struct kv_result results[BATCH_OPS_MAX];
};

/* ---- node.c */
void node_wake(struct node *node);
/* Sets no_space. */
void node_check_space(struct node *node);
uint64_t node_now(const struct node *node);
bool node_single(const struct node *node); /* the only voter */
struct peer *node_peer(struct node *node, raft_id id); /* NULL: not known, or self */

/* Tells the core, after this step, that an append went out only up to `last`. */
void node_cut_short(struct node *node, raft_id to, raft_index last);

/* ---- core.c */

/* Where the entries of an event come from, to be stored if the core says so. */
struct source {
    const struct slice *records; /* of an append: as received */
    struct blob *owner;
    struct op_list *ops;         /* of a proposal */
};
void node_say_hello(struct node *node);

/* Sets the event's time: of this moment, since a turn has many steps and may be slow. */
enum raft_status core_step(struct node *node, struct raft_event *event,
                           const struct source *source);
/* True: the leadership is on its way to `to` (0: the most advanced voter). */
bool core_hand_over(struct node *node, raft_id to);
/* What the core knows of a member; false: nothing, it is none. */
bool core_progress(const struct node *node, raft_id id, struct raft_progress *out);
/* A row of the log's meta, durable when the job comes back (log_done). */
void core_save_meta(struct node *node, const char *key, const char *text);
void core_log_done(struct node *node, struct log_job *job);
void core_check_disk(struct node *node, uint64_t now_ms);

/* ---- tail.c */
void tail_init(struct tail *tail, raft_index next);
void tail_fini(struct tail *tail);
/* Takes a reference to `owner`. `index` follows the last entry (ASSERT). */
void tail_push(struct tail *tail, raft_index index, struct slice record, struct blob *owner);
void tail_truncate(struct tail *tail, raft_index first); /* forgets `first` and all behind it */
/* Forgets the oldest entries above the bounds, as long as they are at or below `durable`. */
void tail_trim(struct tail *tail, raft_index durable);
bool tail_get(const struct tail *tail, raft_index index, struct slice *record);

/* Calls `fn` with consecutive records from `first`, from memory or from the log, until it says
 * stop or nothing is left.  A corrupt record ends the process. */
void node_read_entries(struct node *node, raft_index first, log_read_fn *fn, void *arg);

/* ---- outbox.c */
void outbox_send(struct node *node, const struct raft_msg *msg); /* or holds it for its ticket */
void outbox_release(struct node *node);                          /* what is durable by now */
void outbox_frame(struct node *node, raft_id to, enum lane lane, bool answer,
                  const struct frame *frame);

/* ---- inbox.c */
enum verdict inbox_body(void *arg, const struct envelope *envelope, struct blob *body,
                        struct slice frames, char *why);
void inbox_unreachable(void *arg, raft_id peer, enum lane lane);

/* ---- configs.c */
MUST_CHECK enum err configs_boot(struct node *node, raft_index first, raft_index last,
                                 char *message);
void configs_start(struct node *node); /* meets the peers */
void configs_fini(struct node *node);
const struct configuration *configs_current(const struct node *node);
/* For raft_init: the first, and an array (malloc'ed) of the others. */
struct raft_config_at *configs_for_boot(const struct node *node, uint32_t *n);
/* Entries from `first` on are erased; then these are appended. */
void configs_truncate(struct node *node, raft_index first);
void configs_push(struct node *node, raft_index index, const struct configuration *configuration);
/* The one that the core has just made, with the addresses that go with its ids. */
const char *configs_address(struct node *node, const struct configuration *configuration, uint32_t i);
void configs_complete(struct node *node, const struct raft_members *members,
                      struct configuration *out);
void configs_applied(struct node *node, raft_index index);
/* A snapshot takes the place of the log up to `index`, and if !keep of all of it. */
void configs_install(struct node *node, raft_index index, const struct configuration *configuration,
                     bool keep);
/* The state machine was opened anew on an installed snapshot. */
void configs_installed(struct node *node);
void configs_log(const struct node *node);
/* Somebody whom no configuration here names; NULL: there is no room. */
struct peer *configs_stranger(struct node *node, raft_id id, const char *raft_addr);
void configs_heard_address(struct node *node, struct peer *peer, const char *raft_addr);
void configs_sweep(struct node *node, uint64_t now_ms);
bool configs_is_voter(const struct node *node, raft_id id);

/* ---- change.c */
void change_submit(struct node *node, struct op *op);
void change_pump(struct node *node, uint64_t now_ms);
void change_role_changed(struct node *node);
void change_expire(struct node *node, uint64_t now_ms);
void change_on_request(struct node *node, raft_id from, const struct frame *frame);
void change_on_reply(struct node *node, raft_id from, const struct frame *frame);
void change_unsent(struct node *node, raft_id to, uint64_t request);
bool forward_repeated(struct node *node, raft_id from, uint64_t request);

/* ---- members.c */
/* What the configuration is to become; or why not, in node->change_why.  *satisfied: there is
 * nothing to do. */
enum err members_wanted(struct node *node, const struct member_change *change,
                        struct configuration *out, bool *satisfied);
/* ERR_QUORUM_AT_RISK, with the reason in node->change_why: no majority of those voters, or of the
 * present ones, has been heard of since then. */
enum err members_check_quorum(struct node *node, const struct configuration *wanted,
                              uint64_t since_ms);
enum raft_status members_propose(struct node *node, const struct configuration *wanted);
/* This node would have no vote any more: another one has to lead. */
bool members_removes_self(const struct node *node, const struct configuration *wanted);
/* No change is under way. */
bool members_settled(const struct node *node);
void members_policy(struct node *node, uint64_t now_ms);
uint64_t members_deadline(const struct node *node);
void members_note_removed(struct node *node, const char *why);
void members_check_removed(struct node *node);

/* ---- identity.c */
void identity_load(struct node *node, struct peer *peer);
/* What a peer does wrong is told at most once in ten seconds. */
bool identity_may_log(struct peer *peer, uint64_t now_ms);
enum verdict identity_check(struct node *node, const struct envelope *envelope, char *why);
void identity_saved(struct node *node, const struct log_job *job);
void identity_refused(void *arg, raft_id peer, const char *why);

/* ---- lost.c */
void lost_load(struct node *node);
void lost_on_refusal(struct node *node, const struct raft_msg *msg);
void lost_on_hello(struct node *node, raft_id from);
void lost_on_acknowledged(struct node *node, const struct frame *frame);
void lost_saved(struct node *node, const struct log_job *job);

/* ---- writes.c */
void writes_submit(struct node *node, struct op *op);
void writes_pump(struct node *node);
void writes_applied(struct node *node, raft_index index, raft_term term,
                    const struct command_result *result);
void writes_lost_leadership(struct node *node);
/* A snapshot has jumped over all entries up to `index`: what they answered nobody knows. */
void writes_jumped(struct node *node, raft_index index);
void writes_expire(struct node *node, uint64_t now_ms);
void writes_done(struct node *node, struct op *op, enum err err, enum outcome outcome);
void writes_retry(struct node *node, struct op *op);
void writes_fail_all(struct node *node);
void writes_refuse_all(struct node *node, enum err err); /* what was not proposed */

/* ---- forward.c */
void forward_write(struct node *node, struct op *op);
void forward_leader_changed(struct node *node);
void forward_on_request(struct node *node, raft_id from, const struct frame *frame);
void forward_on_unsent(void *arg, raft_id peer, struct slice frame);
void forward_on_reply(struct node *node, raft_id from, const struct frame *frame);
void forward_read_index(struct node *node, struct read_round *round);
void forward_on_read_index(struct node *node, raft_id from, const struct frame *frame);
void forward_on_info(struct node *node, raft_id from, const struct frame *frame);
void forward_on_info_reply(struct node *node, raft_id from, const struct frame *frame);
void info_submit(struct node *node, struct op *op);
void info_expire(struct node *node, uint64_t now_ms, bool all);

/* ---- reads.c */
void reads_init(struct node *node);
void reads_submit(struct node *node, struct op *op);
void reads_submit_index_only(struct node *node, struct op *op); /* done once the index is known */
void reads_pump(struct node *node);
/* The index for a round has come (or ok is false: ask again). */
void reads_answered(struct node *node, uint64_t tag, bool ok, raft_index index);
void reads_applied(struct node *node); /* the applied index or the revision has grown */
void reads_leader_changed(struct node *node);
void reads_expire(struct node *node, uint64_t now_ms);
void reads_fail_all(struct node *node);
void reads_refuse_all(struct node *node, enum err err);
void reads_peer_lost(struct node *node, raft_id peer);
void reads_note_leader(struct node *node, raft_index commit);
uint64_t reads_staleness(struct node *node);

/* ---- digest.c */
void digest_init(struct node *node);    /* at the start, and when the state was replaced */
void digest_applied(struct node *node); /* one entry */
void digest_pump(struct node *node, uint64_t now_ms);
uint64_t digest_deadline(const struct node *node);
void digest_on_question(struct node *node, raft_id from, const struct frame *frame);
void digest_on_reply(struct node *node, raft_id from, const struct frame *frame);
/* The state differs from the others', or may: no client may see it. */
bool digest_doubted(const struct node *node);

/* ---- apply.c */
void apply_committed(struct node *node);
void apply_pump_flush(struct node *node);
void apply_flush_done(struct node *node, struct state_job *job);
uint64_t apply_flush_deadline(const struct node *node);

/* ---- compact.c */
void compact_init(struct node *node, raft_index base, raft_term base_term);
/* The store's figures are fresh; `need`: bytes on their way to the log. */
void compact_look(struct node *node, const struct log_stats *stats, uint64_t need);
void compact_pump(struct node *node);
void compact_ride(struct node *node, struct log_job *job); /* the job takes along what is due */
void compact_alone(struct node *node);
void compact_done(struct node *node, const struct log_job *job);

/* ---- snapshot_send.c */
void send_on_open(struct node *node, raft_id from, const struct frame *frame);
void send_on_read(struct node *node, raft_id from, const struct frame *frame);
void send_done(struct node *node, struct snapshot_job *job);
void send_pump(struct node *node);
uint64_t send_deadline(const struct node *node);
/* The index of the oldest snapshot that somebody fetches, and its size; UINT64_MAX: nobody does. */
raft_index send_oldest(const struct node *node, uint64_t *size);
void send_fini(struct node *node);

/* ---- copy.c */
void copy_submit(struct node *node, struct op *op);
bool copy_waits_for_flush(const struct node *node);
void copy_pump(struct node *node);
bool copy_done(struct node *node, const struct snapshot_job *job); /* false: not one of its jobs */
void copy_out_of_time(struct node *node);
void copy_fini(struct node *node);

/* ---- snapshot_fetch.c */
void fetch_wanted(struct node *node, raft_id leader); /* the core says RAFT_FETCH */
void fetch_on_open_reply(struct node *node, raft_id from, const struct frame *frame);
void fetch_on_part(struct node *node, raft_id from, const struct frame *frame);
void fetch_done(struct node *node, struct snapshot_job *job);
void fetch_reset(struct node *node);
void fetch_drop(struct node *node); /* what was fetched is of no use */
void fetch_pump(struct node *node);
uint64_t fetch_deadline(const struct node *node);
void fetch_fini(struct node *node);

/* ---- snapshot_install.c */
bool fetch_installing(const struct node *node); /* nothing is applied or flushed meanwhile */
void install_verified(struct node *node);
void install_save(struct node *node, struct log_job *job);
void install_pump(struct node *node);

#endif
