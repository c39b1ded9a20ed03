/* raft.h - one Raft server as a pure state machine.
 *
 * The caller feeds events; each returns what must be written, sent and applied.  The
 * machine does no I/O, reads no clock, allocates nothing, and never sees a payload: it
 * keeps the trail (index -> term).  What an event points at is borrowed for the call; an
 * update owns nothing and is overwritten whole by the next step.
 *
 * Source: Ongaro and Ousterhout, "In Search of an Understandable Consensus Algorithm
 * (Extended Version)", "the paper"; Ongaro, "Consensus: Bridging Theory and Practice",
 * "the thesis".  A struct raft belongs to one thread at a time. */
#ifndef HOLDFAST_RAFT_H
#define HOLDFAST_RAFT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint64_t raft_id;     /* 0: nobody */
typedef uint64_t raft_term;   /* 0: before the first election */
typedef uint64_t raft_index;  /* 0: before the first entry */
typedef uint64_t raft_msec;   /* the caller's monotonic clock, milliseconds */
typedef uint64_t raft_ticket; /* names one durable write, in order of issue; 0: none */

enum {
    RAFT_MEMBERS_MAX = 16,    /* equals MEMBERS_MAX of limits.h */
    RAFT_BATCH_MAX = 1024,    /* entries in one event or one message */
    RAFT_RUNS_MAX = 4096,     /* terms that the trail tells apart; beyond, it forgets the oldest */
    RAFT_READS_MAX = 256,     /* read rounds awaiting a leadership check; beyond: RAFT_BUSY */
    RAFT_WINDOW_MAX = 64,     /* appends in flight to one follower */
    RAFT_OUTBOX_MAX = 4 * RAFT_MEMBERS_MAX + 4,
    RAFT_VOTERS_MAX = 7,      /* equals VOTERS_MAX of limits.h */
    RAFT_CONFIGS_MAX = 64,    /* configurations remembered behind the latest that is known to be
                                 committed; of more the newest.  Only the last of a log can still be
                                 erased: each was appended when the one before was committed */
};

/* Every way a step can end.  There is no "out of memory" and no "I/O error".  In the three
 * failing cases nothing has changed and the update is empty but for its standing fields. */
enum raft_status {
    RAFT_OK,
    RAFT_NOT_LEADER, /* propose, read, transfer, change: this server does not lead (or is handing over) */
    RAFT_BUSY,       /* a bound is reached; the same event may succeed later */
    RAFT_INVALID,    /* an event that no correct driver or peer sends; a message is ignored */
};

enum raft_role { RAFT_FOLLOWER, RAFT_PRECANDIDATE, RAFT_CANDIDATE, RAFT_LEADER };

/* A configuration (§6).  A joint one, "C_old,new", needs majorities of the old and of the new
 * voters for every decision; what it leads to can be read off it alone, so that any leader can
 * finish the change: members that are not leaving, voters as in `voter`. */
struct raft_members {
    uint32_t n;
    bool joint;
    struct raft_member {
        raft_id id;
        bool voter;     /* (joint: in the new configuration.)  false: a learner, which gets the log
                           and has no say */
        bool old_voter; /* joint only: votes in the old configuration */
        bool leaving;   /* joint only: no member of the new configuration */
    } at[RAFT_MEMBERS_MAX];
};

enum raft_kind {
    RAFT_NOOP,    /* the empty entry with which a leader begins its term, §8 */
    RAFT_DATA,    /* the state machine's */
    RAFT_MEMBERS, /* a configuration; a server uses the latest in its log, committed or not, §6 */
};

/* What the machine knows of an entry: its header, never its payload; but for a configuration. */
struct raft_entry {
    raft_term term;
    enum raft_kind kind;
    const struct raft_members *members; /* RAFT_MEMBERS; else NULL */
};

enum raft_msg_type {
    RAFT_VOTE,            /* RequestVote, also PreVote (thesis 9.6) */
    RAFT_VOTE_REPLY,
    RAFT_APPEND,          /* AppendEntries that carries or probes for entries */
    RAFT_APPEND_REPLY,
    RAFT_HEARTBEAT,       /* says "I lead"; carries the commit index and a read round */
    RAFT_HEARTBEAT_REPLY, /* claims nothing about the log */
    RAFT_TIMEOUT_NOW,     /* leadership transfer, thesis 3.10 */
    RAFT_SNAPSHOT,        /* what the follower needs next is no longer in the leader's log (§7).  The
                             follower's driver fetches a snapshot; answered by an append reply once
                             there is something to say */
    RAFT_MSG_TYPES
};

/* A message is a value: fixed size, copied freely, owning nothing. */
struct raft_msg {
    enum raft_msg_type type;
    raft_id from, to;  /* to == from: the leader's word to itself; give it back by
                          RAFT_RECV once `after` is durable */
    raft_term term;
    raft_ticket after; /* hold until this write is durable; 0: send now.  Not on the wire */
    union {
        struct { /* pre: asks without raising terms; term is then the term it would stand in */
            raft_index last;
            raft_term last_term;
            bool pre, transfer; /* transfer: disregard the lease on the leader, thesis 4.2.3 */
        } vote;
        struct {
            bool pre, granted; /* a granted pre-vote echoes the asked term, a refusal the own */
        } vote_reply;
        struct { /* entries prev+1 .. prev+n; the driver fetches and may split them */
            raft_index prev;
            raft_term prev_term;
            raft_index commit;
            uint32_t n;
        } append;
        struct {
            bool ok;
            raft_index match;         /* ok: the log matches up to here, durably.
                                         else: prev of the append that was refused */
            raft_index conflict;      /* refused: the leader should try prev <= this (§5.3) */
            raft_term conflict_term;  /* the follower's term at `conflict`; 0: none */
        } append_reply;
        struct { /* a follower commits up to `commit` if its entry there has commit_term
                    (Log Matching, §5.3: the logs are then identical up to it) */
            raft_index commit;
            raft_term commit_term;
            uint64_t round;    /* unique over the leader's life; never reused */
        } heartbeat;
        struct {
            uint64_t round;
        } heartbeat_reply;
        struct { /* the leader's log begins after this entry */
            raft_index base;
            raft_term base_term;
        } snapshot;
    };
};

enum raft_event_type {
    RAFT_TICK,        /* time has passed, nothing else */
    RAFT_RECV,        /* a message has come, perhaps with entries */
    RAFT_PROPOSE,     /* a client's entries; the leader puts its term on them */
    RAFT_READ,        /* a linearizable read (or many that share it), thesis 6.4 */
    RAFT_TRANSFER,    /* hand leadership over; `to` 0: to the most advanced voter */
    RAFT_UNREACHABLE, /* what was sent to this peer may be lost: probe it again.  A peer that is no
                         member (any more) is nobody's concern: RAFT_OK, as for RAFT_SENT */
    RAFT_SENT,        /* of the last append to a peer only a part was sent (it was too large) */
    RAFT_DISK,        /* the disk stalls (no leading, no campaigning) or has recovered */
    RAFT_CHANGE,      /* change the configuration (§6; thesis 4.3): one at a time.  RAFT_BUSY: another
                         is under way, or nothing of this term is committed yet (B29).
                         RAFT_INVALID: no voter, too many (also of old and new ones together), an id
                         twice, or nothing would change */
    RAFT_COMPACTED,   /* the log up to `last` <= commit is being dropped; from now on the core does not
                         ask for it.  RAFT_INVALID: not committed; no news: RAFT_OK */
    RAFT_INSTALLED,   /* a verified, durable snapshot shall replace state and log.  RAFT_INVALID: it holds
                         nothing new (last <= commit), or this server leads; drop it */
    RAFT_EVENT_TYPES
};

struct raft_event {
    enum raft_event_type type;
    raft_msec now; /* never less than in the event before */
    union {
        struct {
            const struct raft_msg *msg;
            const struct raft_entry *entries; /* append: msg->append.n of them */
        } recv;
        struct {
            const enum raft_kind *kinds; /* n of them, 1 <= n <= RAFT_BATCH_MAX */
            uint32_t n;
        } propose;
        struct {
            uint64_t tag; /* comes back in update.reads */
        } read;
        struct {
            raft_id to;
        } transfer;
        struct {
            raft_id peer;
        } unreachable;
        struct {
            raft_id peer;
            raft_index last; /* the last entry that was sent; the rest is asked for again */
        } sent;
        struct {
            bool stalled;
        } disk;
        struct {
            /* The configuration that is wanted, not joint.  If the voters differ the core goes through
             * a joint one by itself; if only learners differ, one entry does. */
            const struct raft_members *members;
        } change;
        struct {
            raft_index last;
        } compacted;
        struct {
            raft_index last; /* the last entry that it covers */
            raft_term last_term;
            const struct raft_members *members; /* the configuration as of `last` */
        } installed;
    };
};

enum { /* raft_update.what: what this step changed */
    RAFT_SAVE_VOTE = 1 << 0,    /* store term and vote */
    RAFT_SAVE_ENTRIES = 1 << 1, /* erase the log from save.first on, then store entries */
    RAFT_SAVE_NOOP = 1 << 2,    /* with SAVE_ENTRIES: the only entry is an empty one of `term` */
    RAFT_COMMITTED = 1 << 3,    /* `commit` has grown: apply up to it.  Not with SAVE_BASE: what is up
                                   to it is in the snapshot */
    RAFT_NEW_ROLE = 1 << 4,     /* role, leader or term differs from before */
    RAFT_SAVE_MEMBERS = 1 << 5, /* with SAVE_ENTRIES: the only entry is a configuration of `term`,
                                   raft_members(): of a RAFT_CHANGE, or the leader's own second step
                                   (in the step that commits the joint one: of a RAFT_RECV) */
    RAFT_SAVE_BASE = 1 << 6,    /* RAFT_INSTALLED: the log begins after save.base now: erase all entries up
                                   to it, and if !save.keep all behind it, too.  Has a ticket; the
                                   snapshot itself is durable already */
    RAFT_NEW_MEMBERS = 1 << 7,  /* the configuration in use has changed: raft_members() */
    RAFT_FETCH = 1 << 8,        /* this server needs a snapshot: fetch one from `leader`.  Said again
                                   at each RAFT_SNAPSHOT that finds it still so */
};

struct raft_update {
    /* standing fields, valid after every step */
    raft_term term;
    raft_id vote, leader; /* 0: nobody, unknown */
    enum raft_role role;
    raft_index commit;
    raft_msec deadline;   /* RAFT_TICK is due no later than this */

    /* what this step asks for */
    uint32_t what;
    raft_ticket ticket;   /* of this step's write; 0 if SAVE_VOTE, SAVE_ENTRIES, SAVE_BASE are all off.
                             Vote and entries of one step are one transaction */
    struct {
        raft_index first;
        uint32_t skip, n; /* store the event's entries[skip .. skip+n) as first .. first+n-1 */
        raft_index base;  /* SAVE_BASE */
        raft_term base_term;
        bool keep;        /* SAVE_BASE: the entries behind base stay (the log matches there, §7) */
    } save;               /* for PROPOSE: skip 0, all of them, with term `term` */
    uint32_t n_msgs, n_reads;
    struct raft_msg msgs[RAFT_OUTBOX_MAX];
    struct raft_read {
        uint64_t tag;
        raft_index index; /* ok: serve once this is applied */
        bool ok;          /* false: leadership was lost; nothing may be served */
    } reads[RAFT_READS_MAX];
};

/* What a server must remember across a crash.  `runs` is borrowed for raft_init. */
struct raft_boot {
    raft_term term;
    raft_id vote;
    raft_index base_index;   /* the log begins after this */
    raft_term base_term;
    raft_index last_index;   /* base_index if the log is empty */
    raft_index commit;       /* known committed and durable here: the applied index; >= base_index */
    struct raft_members members; /* as of `commit` (or base); this server need not be among them */
    const struct raft_config_at { /* the configurations behind it in the log, in order */
        raft_index index;
        struct raft_members members;
    } *configs;
    uint32_t n_configs;      /* of more than RAFT_CONFIGS_MAX the newest will do */
    const struct raft_run {  /* entries first .. (next run's first - 1) have this term */
        raft_index first;
        raft_term term;
    } *runs;
    uint32_t n_runs;         /* 0 if the log is empty */
};

struct raft_config {
    raft_id self;
    raft_msec election_min_ms, election_max_ms; /* drawn anew for each wait, both included */
    raft_msec heartbeat_ms;
    uint32_t batch_entries;  /* at most so many entries in one append, <= RAFT_BATCH_MAX */
    uint32_t window;         /* appends in flight to one follower, <= RAFT_WINDOW_MAX */
    bool pre_vote, check_quorum; /* both on in the product; off only in tests */
    uint64_t seed;           /* of the election timeouts; any number */
    /* Called on what the tests and the log want to know; or NULL.  `what` is one of
     * enum raft_trace; the meaning of v is told there. */
    void (*trace)(void *arg, uint32_t what, const uint64_t v[4]);
    void *trace_arg;
};

enum raft_trace {
    RAFT_TRACE_ROLE,          /* role, term, last index, votes */
    RAFT_TRACE_TERM,          /* old term, new term, cause: message type + 1 or 0 */
    RAFT_TRACE_VOTE,          /* candidate, term, granted, pre */
    RAFT_TRACE_APPEND_REFUSED,/* from, prev, prev term, conflict */
    RAFT_TRACE_TRUNCATE,      /* first erased, old last, term */
    RAFT_TRACE_COMMIT,        /* old commit, new commit, term */
    RAFT_TRACE_STEP_DOWN,     /* cause: enum raft_step_down_cause, term */
    RAFT_TRACE_IGNORED,       /* message type, from, its term, own term */
    RAFT_TRACE_PROBE,         /* peer, match, next: this follower is probed from now on */
    RAFT_TRACE_TRANSFER,      /* to, 1 begun / 2 sent / 3 given up */
    RAFT_TRACE_TRAIL_FORGOT,  /* new base: more terms than RAFT_RUNS_MAX */
    RAFT_TRACE_MEMBERS,       /* index, members, voters, 1 joint: in use from now on */
    RAFT_TRACE_SNAPSHOT,      /* peer, base: this follower is sent no entries, it needs a snapshot */
    RAFT_TRACE_COMPACTED,     /* old base, new base */
    RAFT_TRACE_INSTALLED,     /* last, term, 1 if the suffix was kept */
    RAFT_TRACES
};

enum raft_step_down_cause {
    RAFT_STEP_DOWN_TERM,   /* a higher term was seen */
    RAFT_STEP_DOWN_QUORUM, /* no majority answered for an election timeout */
    RAFT_STEP_DOWN_DISK,   /* the own disk stalls */
    RAFT_STEP_DOWN_REMOVED,/* the configuration without this server is committed, §6 */
};

const char *raft_role_name(enum raft_role role);         /* "follower", ... */
const char *raft_msg_type_name(enum raft_msg_type type); /* "vote", ... */
const char *raft_trace_name(uint32_t what);

struct raft; /* complete in src/raft/raft_state.h, for src/raft and the tests only */

size_t raft_size(void); /* bytes that the caller provides for a struct raft, aligned as by malloc */

/* Begins as a follower (§5.2).  A configuration or boot record that contradicts itself is a
 * programmer's error (ASSERT).  The first RAFT_TICK is due at once: its update tells the deadline. */
void raft_init(struct raft *r, const struct raft_config *config, const struct raft_boot *boot,
               raft_msec now);

enum raft_status raft_step(struct raft *r, const struct raft_event *event,
                           struct raft_update *update);

/* What people may want to see of a follower, on the leader. */
struct raft_progress {
    raft_id id;
    bool voter;
    bool probing;          /* not yet known where the logs agree */
    bool snapshot;         /* what it needs is compacted: waits until it has a snapshot */
    raft_index match, next;
    raft_msec last_contact; /* 0: never in this term */
};

/* The configuration in use, the entry that it came from (0: the boot record's; of a snapshot its
 * last), and whether that entry is committed.  `index` and `committed` may be NULL. */
const struct raft_members *raft_members(const struct raft *r, raft_index *index, bool *committed);

/* The members' progress in the order of the configuration; zeroes where this server does not
 * lead.  Returns how many of `out` (RAFT_MEMBERS_MAX places) it filled. */
uint32_t raft_progress(const struct raft *r, struct raft_progress *out);

/* A leader: when a majority had last answered it, in a joint configuration one of each; itself, if it
 * is a voter, it answers at `now`.  0: it does not lead, or no majority has answered yet. */
raft_msec raft_contact(const struct raft *r, raft_msec now);

raft_index raft_last_index(const struct raft *r);
raft_index raft_first_index(const struct raft *r);

/* The term of the entry at `index`; 0 if the trail does not hold it. */
raft_term raft_term_at(const struct raft *r, raft_index index);

#endif
