/* bench.h - one server on a test bench: the test plays the network, the disk and the clock.
 *
 * The server is number 1 of a cluster whose other members exist only as messages that the test
 * writes.  Its log begins as a list of terms. */
#ifndef HOLDFAST_TESTS_BENCH_H
#define HOLDFAST_TESTS_BENCH_H

#include <holdfast/raft.h>

#include <check.h>

enum { BENCH_SELF = 1, BENCH_OWN_MAX = 64 };

struct bench {
    struct raft *raft;
    struct raft_config config; /* election 100..200 ms, heartbeat 10 ms; set before bench_boot */
    struct raft_members members;
    const struct raft_config_at *configs; /* of the log; set before bench_boot */
    uint32_t n_configs;
    raft_msec now;
    enum raft_status status;   /* of the last step */
    struct raft_update u;      /* of the last step */
    const struct raft_members *carried; /* the next append's last entry is this configuration */
    uint32_t n_own;
    struct raft_msg own[BENCH_OWN_MAX]; /* to itself, waiting for the disk */
    uint32_t traced[RAFT_TRACES];
    uint64_t trace_v[RAFT_TRACES][4]; /* the last of each */
};

/* A list of terms, for logs and appends: TERMS(1, 1, 2) is a log of three entries. */
struct terms {
    uint32_t n;
    raft_term at[64];
};
#define TERMS(...)                                                                        \
    ((struct terms){ sizeof((raft_term[]){ __VA_ARGS__ }) / sizeof(raft_term), { __VA_ARGS__ } })
#define NO_TERMS ((struct terms){ 0, { 0 } })

/* A fresh bench: `voters` voters 1..voters, then `learners`. PreVote and CheckQuorum are off,
 * so that a test sees the paper alone unless it switches them on. */
void bench_init(struct bench *b, uint32_t voters, uint32_t learners);
/* "1vo 2ox 4v 5": ids with v for voter, o for voter of the old configuration, x for leaving.  With
 * an o anywhere it is a joint one. */
struct raft_members bench_members(const char *text);
void bench_boot(struct bench *b, raft_term term, raft_id vote, raft_index commit, struct terms log);
/* The same, with a log that begins after `base`. */
void bench_boot_behind(struct bench *b, raft_term term, raft_index base, raft_term base_term,
                       raft_index commit, struct terms log);
void bench_fini(struct bench *b);

/* ---- events; each returns the status */
enum raft_status bench_step(struct bench *b, struct raft_event event);
enum raft_status bench_tick(struct bench *b, raft_msec ms_later);
enum raft_status bench_recv(struct bench *b, struct raft_msg msg, struct terms entries);
enum raft_status bench_append(struct bench *b, raft_id from, raft_term term, raft_index prev,
                              raft_term prev_term, struct terms entries, raft_index commit);
enum raft_status bench_accept(struct bench *b, raft_id from, raft_index match);
enum raft_status bench_refuse(struct bench *b, raft_id from, raft_index prev, raft_index conflict,
                              raft_term conflict_term);
enum raft_status bench_heartbeat(struct bench *b, raft_id from, raft_term term, raft_index commit,
                                 raft_term commit_term, uint64_t round);
enum raft_status bench_heartbeat_reply(struct bench *b, raft_id from, uint64_t round);
enum raft_status bench_vote(struct bench *b, raft_id from, raft_term term, raft_index last,
                            raft_term last_term);
enum raft_status bench_pre_vote(struct bench *b, raft_id from, raft_term term, raft_index last,
                                raft_term last_term);
enum raft_status bench_grant(struct bench *b, raft_id from, raft_term term);
enum raft_status bench_propose(struct bench *b, uint32_t n);
enum raft_status bench_read(struct bench *b, uint64_t tag);
enum raft_status bench_transfer(struct bench *b, raft_id to);
enum raft_status bench_unreachable(struct bench *b, raft_id peer);
enum raft_status bench_snapshot(struct bench *b, raft_id from, raft_term term, raft_index base,
                                raft_term base_term);
enum raft_status bench_compacted(struct bench *b, raft_index last);
enum raft_status bench_installed(struct bench *b, raft_index last, raft_term last_term);
enum raft_status bench_change(struct bench *b, const char *members);
/* An append of one configuration. */
enum raft_status bench_append_members(struct bench *b, raft_id from, raft_term term,
                                      raft_index prev, raft_term prev_term, const char *members,
                                      raft_index commit);

/* The disk has written everything: gives the server its words to itself. */
void bench_persist(struct bench *b);

/* ---- short ways to a role; the update afterwards is that of the step which took it there */
void bench_become_candidate(struct bench *b); /* by a timeout; its vote is not yet durable */
void bench_become_leader(struct bench *b);    /* the no-op is not yet durable */
void bench_become_follower_of(struct bench *b, raft_id leader, raft_term term);

/* Server 1 of `members` leads term 2; its no-op, entry 2, is committed and on all members. */
void bench_lead(struct bench *b, const char *members);

/* ---- what it believes */
void bench_must_use(const struct bench *b, const char *members, raft_index index);
struct raft_progress bench_progress(const struct bench *b, raft_id id); /* id 0: not a member */

/* ---- what the last step said */
const struct raft_msg *bench_sent(const struct bench *b, enum raft_msg_type type, raft_id to);
uint32_t bench_count(const struct bench *b, enum raft_msg_type type);

/* Runs the cases; to be returned from main. */
int bench_main(const char *name, const struct TTest *const *tests, uint32_t n);

#endif
