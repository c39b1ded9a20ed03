/* raft_state.h - the whole state of a server, and what the files of src/raft call of each other.
 *
 * Figure 2's names: currentTerm is `term`, votedFor `vote`, log[] `trail`, commitIndex `commit`;
 * lastApplied is the driver's; nextIndex and matchIndex are in `progress`. */
#ifndef HOLDFAST_RAFT_STATE_H
#define HOLDFAST_RAFT_STATE_H

#include <holdfast/mutant.h>
#include <holdfast/panic.h>
#include <holdfast/raft.h>

#include "progress.h"
#include "trail.h"

#include <string.h>

/* Terms and indices above this are refused, so that none ever wraps. */
#define RAFT_NUMBER_MAX (UINT64_MAX >> 2)

enum {
    APPENDS_PER_STEP = 1, /* to one follower; more follow with its next answer.  Instead of it: an
                             offer of a snapshot */
    PLACES_MAX = 2 * RAFT_MEMBERS_MAX, /* for the members, and for who has left of late */
    DEPARTED_TIMEOUTS = 3, /* who has left gets the log for so many election timeouts more */
};

/* One that has left the configuration, on a leader. */
struct departed {
    raft_index index; /* of the configuration without it; 0: has not left */
    raft_msec until;  /* gets the log until then; 0: the entry is not committed yet */
};

/* A read waits for its round; round 0: for the first commit of this term. */
struct pending_read {
    uint64_t tag;
    raft_index index;
    uint64_t round;
};

struct raft {
    struct raft_config config;

    /* Configurations, by rising index.  The first is the boot record's, or the latest that is known
     * to be committed; the last is in use. */
    uint32_t n_configs;
    struct raft_config_at configs[RAFT_CONFIGS_MAX + 1];
    struct raft_members members; /* in use */
    raft_index members_index;    /* the entry that it came from; 0: the boot record */

    /* Places: first the members in the order of the configuration in use, then this server if it is
     * not among them, and on a leader those who have left of late, in any order. */
    uint32_t n_places;
    uint32_t self;     /* the place of this server */
    raft_id place_id[PLACES_MAX];
    struct departed left[PLACES_MAX];

    /* durable once the ticket of the step that changed it is */
    raft_term term;
    raft_id vote;
    struct trail trail; /* last term <= term */

    raft_ticket ticket;      /* newest issued */
    raft_ticket vote_ticket; /* newest that saved term or vote */

    enum raft_role role;
    raft_id leader;          /* self if and only if role is leader */
    raft_index commit;       /* never falls; <= trail.last */
    bool stalled;            /* the own disk */

    raft_msec now;
    uint64_t random;
    raft_msec election_deadline; /* not of a leader */
    raft_msec loyal_until;       /* a leader, of any term, was heard of so lately */

    /* (pre-)candidate: who has granted, by place */
    bool granted[PLACES_MAX];

    /* leader */
    struct progress progress[PLACES_MAX]; /* own place: match is what is durable here */
    raft_msec quorum_since; /* the check of the quorum takes it that all answered then: the beginning
                               of the rule, or of the configuration in use */
    raft_msec heartbeat_deadline;
    raft_id transfer_to;         /* 0: no transfer under way */
    bool transfer_sent;
    raft_msec transfer_deadline;
    uint64_t round;              /* newest read round; never reused, also not in later terms */
    uint32_t reads_head, n_reads;
    struct pending_read reads[RAFT_READS_MAX]; /* ring; rounds rise, those with round 0 last */

    struct raft_update *update;  /* of the step under way; else NULL */
    uint32_t cause;              /* of the step under way, for traces: message type + 1, or 0 */
};

/* ---- raft.c */

/* A new message in the outbox: type, from, to and term are set, the rest is zero. */
struct raft_msg *raft_message(struct raft *r, enum raft_msg_type type, raft_id to);
void raft_emit(struct raft *r, uint32_t what, uint64_t a, uint64_t b, uint64_t c, uint64_t d);
/* Erases the log from `first` on and adds the event's entries[skip .. skip+n). */
void raft_save_entries(struct raft *r, raft_index first, uint32_t skip, uint32_t n);
void raft_trail_append(struct raft *r, raft_term term, uint64_t count);
void raft_commit_to(struct raft *r, raft_index commit);

/* ---- members.c: the configuration in use, and everyone's place */
bool members_are_valid(const struct raft_members *m);
/* The position of `id` in m, or m->n. */
uint32_t members_find(const struct raft_members *m, raft_id id);
/* The place of `id`, or n_places. */
uint32_t raft_place(const struct raft *r, raft_id id);
/* It has a say: a voter of the configuration in use, or of the old one if that is joint. */
bool place_votes(const struct raft *r, uint32_t place);
bool raft_alone(const struct raft *r); /* nobody else has a say */
/* This server loses its say by a configuration that is not known to be committed. */
bool members_leaving(const struct raft *r);
/* The largest number that a majority of the members' values (by place) has reached; if the
 * configuration in use is joint, a majority of each. */
uint64_t members_reached(const struct raft *r, const uint64_t *values);
raft_index members_latest_index(const struct raft *r); /* of the latest configuration entry */
void members_init(struct raft *r, const struct raft_boot *boot); /* after the trail and commit */
void members_append(struct raft *r, raft_index index, const struct raft_members *members);
void members_truncate(struct raft *r, raft_index first); /* the entries from `first` on are erased */
void members_committed(struct raft *r);                  /* the commit index has grown */
/* A snapshot up to `last` holds `members`.  keep: the configurations behind it stay. */
void members_install(struct raft *r, raft_index last, const struct raft_members *members, bool keep);
void members_lead(struct raft *r);            /* new places, with nothing known, for a new leader */
void members_forget_departed(struct raft *r); /* at each heartbeat */

/* ---- change.c: from one configuration to another */
enum raft_status on_change(struct raft *r, const struct raft_members *wanted);
void change_advance(struct raft *r); /* a leader has committed something */

/* ---- receive.c */
enum raft_status on_message(struct raft *r, const struct raft_msg *msg,
                            const struct raft_entry *entries);

/* ---- role.c: every change of role, and nothing else changes term or role */
void become_follower(struct raft *r, raft_term term, raft_id leader);
void become_precandidate(struct raft *r);
void become_candidate(struct raft *r);
void become_leader(struct raft *r);
void election_timer_reset(struct raft *r);
uint32_t granted_count(const struct raft *r);
bool granted_by_majority(const struct raft *r);

/* ---- election.c */
bool may_campaign(const struct raft *r);
bool election_due(const struct raft *r);
void election_tick(struct raft *r);
void campaign(struct raft *r, bool transfer);
void on_vote(struct raft *r, const struct raft_msg *msg);
void on_vote_reply(struct raft *r, const struct raft_msg *msg);

/* ---- follow.c: entries and heartbeats received */
bool append_is_possible(const struct raft *r, const struct raft_msg *msg,
                        const struct raft_entry *entries);
void append_refuse(struct raft *r, const struct raft_msg *msg);
void on_append(struct raft *r, const struct raft_msg *msg, const struct raft_entry *entries);
void follow(struct raft *r, raft_id leader); /* it leads this term, and has just said so */
void on_heartbeat(struct raft *r, const struct raft_msg *msg);

/* ---- replicate.c: a leader's log to its followers */
void replicate_to(struct raft *r, uint32_t place);
void replicate_to_all(struct raft *r);
void replicate_probe_again(struct raft *r, uint32_t place);
void replicate_ask(struct raft *r, uint32_t place);
void replicate_own(struct raft *r);
bool append_reply_is_possible(const struct raft *r, const struct raft_msg *msg);
void on_append_reply(struct raft *r, const struct raft_msg *msg);
enum raft_status on_propose(struct raft *r, const enum raft_kind *kinds, uint32_t n);
enum raft_status on_unreachable(struct raft *r, raft_id peer);
enum raft_status on_sent(struct raft *r, raft_id peer, raft_index last);
void append_noop(struct raft *r);

/* ---- lead.c: heartbeats and the check of the quorum */
void heartbeat_all(struct raft *r);
void lead_tick(struct raft *r);
raft_msec lead_deadline(const struct raft *r);
void on_heartbeat_reply(struct raft *r, const struct raft_msg *msg);

/* ---- snapshot.c: the log's beginning */
enum raft_status on_compacted(struct raft *r, raft_index last);
enum raft_status on_installed(struct raft *r, raft_index last, raft_term last_term,
                              const struct raft_members *members);
bool snapshot_is_possible(const struct raft *r, const struct raft_msg *msg);
void on_snapshot(struct raft *r, const struct raft_msg *msg);
/* Of a leader, after base has risen or the follower's next has fallen: what has no append to get from
 * now on waits for a snapshot.  Outside that state next > base. */
void snapshot_if_needed(struct raft *r, uint32_t place);
void snapshot_if_needed_all(struct raft *r);
void snapshot_offer(struct raft *r, uint32_t place);

/* ---- read.c */
enum raft_status on_read(struct raft *r, uint64_t tag);
void read_on_commit(struct raft *r);
void read_release(struct raft *r);
void read_fail_all(struct raft *r);

/* ---- transfer.c */
enum raft_status on_transfer(struct raft *r, raft_id to);
uint32_t transfer_most_advanced(const struct raft *r); /* a place, or members.n */
void transfer_advance(struct raft *r);
void transfer_give_up(struct raft *r);
void transfer_end(struct raft *r); /* it came to its end, or never will */
void on_timeout_now(struct raft *r, const struct raft_msg *msg);

#endif
