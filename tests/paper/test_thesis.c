/* test_thesis.c - the parts of the thesis beyond the paper's Figure 2: PreVote (9.6), leaders that
 * step down (6.2), loyalty to a live leader (4.2.3), reads (6.4), transfer (3.10); and of the
 * paper what Figure 2 does not say: hints (§5.3), the order of writes and messages. */
#include "bench.h"

#include <stdlib.h>

static struct bench b;

/* PreVote and CheckQuorum as in the product. */
static void setup(uint32_t voters, raft_term term, raft_index commit, struct terms log)
{
    bench_init(&b, voters, 0);
    b.config.pre_vote = b.config.check_quorum = true;
    bench_boot(&b, term, 0, commit, log);
}

#define SENT(type, to) bench_sent(&b, type, to)

/* ---- PreVote, thesis 9.6 */

START_TEST(pre_vote_comes_first_and_changes_nothing)
{
    setup(3, 4, 0, TERMS(1, 4));
    bench_tick(&b, 200);
    ck_assert_int_eq(b.u.role, RAFT_PRECANDIDATE);
    ck_assert_uint_eq(b.u.term, 4);
    ck_assert_uint_eq(b.u.what & RAFT_SAVE_VOTE, 0);
    const struct raft_msg *msg = SENT(RAFT_VOTE, 2);
    ck_assert(msg->vote.pre);
    ck_assert_uint_eq(msg->term, 5); /* in which it would stand */
    ck_assert_uint_eq(msg->vote.last, 2);
    ck_assert_uint_eq(msg->vote.last_term, 4);
    bench_grant(&b, 3, 5);
    ck_assert_int_eq(b.u.role, RAFT_CANDIDATE);
    ck_assert_uint_eq(b.u.term, 5);
    ck_assert(!SENT(RAFT_VOTE, 2)->vote.pre);
    bench_fini(&b);
}
END_TEST

/* "a server would only increment its term if it first learns from a majority of the cluster that
 * they would be willing to grant the candidate their votes" */
START_TEST(pre_vote_refused_keeps_the_term)
{
    setup(3, 4, 0, TERMS(4));
    for (uint32_t i = 0; i < 20; i++)
        bench_tick(&b, 200);
    ck_assert_int_eq(b.u.role, RAFT_PRECANDIDATE);
    ck_assert_uint_eq(b.u.term, 4);
    bench_heartbeat(&b, 2, 4, 0, 0, 0); /* the leader was there all the time */
    ck_assert_int_eq(b.u.role, RAFT_FOLLOWER);
    ck_assert_uint_eq(b.u.leader, 2);
    bench_fini(&b);
}
END_TEST

/* B6: a grant of a pre-vote is no vote, nor one that was asked for in another term */
START_TEST(pre_vote_is_not_a_vote)
{
    setup(3, 1, 0, TERMS(1));
    bench_tick(&b, 200);
    struct raft_msg grant = { .type = RAFT_VOTE_REPLY, .from = 2, .term = 1 };
    grant.vote_reply.pre = grant.vote_reply.granted = true;
    bench_recv(&b, grant, NO_TERMS); /* of an earlier attempt */
    ck_assert_int_eq(b.u.role, RAFT_PRECANDIDATE);
    grant.term = 2;
    bench_recv(&b, grant, NO_TERMS);
    ck_assert_int_eq(b.u.role, RAFT_CANDIDATE);
    ck_assert_uint_eq(b.u.term, 2);
    bench_persist(&b);
    bench_recv(&b, grant, NO_TERMS); /* repeated */
    ck_assert_int_eq(b.u.role, RAFT_CANDIDATE);
    ck_assert_uint_eq(b.u.term, 2);
    bench_grant(&b, 2, 2);
    ck_assert_int_eq(b.u.role, RAFT_LEADER);
    bench_fini(&b);
}
END_TEST

START_TEST(pre_vote_is_granted_by_what_a_vote_would_be)
{
    const struct {
        raft_term term, last_term;
        raft_index last;
        bool granted;
    } cases[] = {
        { 4, 3, 2, true },  { 9, 3, 2, true },  { 4, 3, 1, false }, /* its log is shorter */
        { 4, 2, 9, false },                                         /* or older */
        { 3, 2, 9, false }, { 2, 1, 9, false },                     /* its term is too low */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        setup(3, 3, 0, TERMS(3, 3));
        b.now += 100; /* the loyalty of its last life has ended */
        bench_pre_vote(&b, 2, cases[i].term, cases[i].last, cases[i].last_term);
        const struct raft_msg *reply = SENT(RAFT_VOTE_REPLY, 2);
        ck_assert(reply->vote_reply.pre);
        ck_assert_int_eq(reply->vote_reply.granted, cases[i].granted);
        /* B7: a refusal tells the own term */
        ck_assert_uint_eq(reply->term, cases[i].granted ? cases[i].term : 3);
        ck_assert_uint_eq(b.u.term, 3);
        ck_assert_uint_eq(b.u.what, 0);
        bench_fini(&b);
    }
}
END_TEST

/* B7, B9: the longest log has an old term and asks; the refusal brings it up to date */
START_TEST(pre_vote_refusal_raises_a_term_that_is_behind)
{
    setup(3, 2, 0, TERMS(2, 2, 2));
    bench_tick(&b, 200);
    struct raft_msg refusal = { .type = RAFT_VOTE_REPLY, .from = 3, .term = 7 };
    refusal.vote_reply.pre = true;
    bench_recv(&b, refusal, NO_TERMS);
    ck_assert_int_eq(b.u.role, RAFT_FOLLOWER);
    ck_assert_uint_eq(b.u.term, 7);
    bench_tick(&b, 200);
    ck_assert_uint_eq(SENT(RAFT_VOTE, 3)->term, 8);
    bench_fini(&b);
}
END_TEST

/* B8: who stands itself does not protect the leader that it has given up */
START_TEST(pre_candidate_grants_to_another)
{
    setup(3, 1, 0, TERMS(1));
    bench_heartbeat(&b, 3, 1, 0, 0, 0);
    b.now += 99;
    bench_pre_vote(&b, 2, 2, 1, 1);
    ck_assert(!SENT(RAFT_VOTE_REPLY, 2)->vote_reply.granted);
    bench_tick(&b, 200);
    ck_assert_int_eq(b.u.role, RAFT_PRECANDIDATE);
    bench_pre_vote(&b, 2, 2, 1, 1);
    ck_assert(SENT(RAFT_VOTE_REPLY, 2)->vote_reply.granted);
    bench_vote(&b, 2, 2, 1, 1);
    ck_assert(SENT(RAFT_VOTE_REPLY, 2)->vote_reply.granted);
    ck_assert_int_eq(b.u.role, RAFT_FOLLOWER);
    bench_fini(&b);
}
END_TEST

/* ---- loyalty, thesis 4.2.3 */

/* "if a server receives a RequestVote request within the minimum election timeout of hearing from
 * a current leader, it does not update its term or grant its vote" */
START_TEST(votes_are_not_heard_while_the_leader_lives)
{
    setup(3, 1, 0, TERMS(1));
    bench_heartbeat(&b, 3, 1, 0, 0, 0);
    b.now += 99;
    bench_vote(&b, 2, 5, 9, 4);
    ck_assert_uint_eq(b.u.term, 1);
    ck_assert_uint_eq(b.u.n_msgs, 0);
    ck_assert_uint_eq(b.u.leader, 3);
    b.now += 1;
    bench_vote(&b, 2, 5, 9, 4);
    ck_assert_uint_eq(b.u.term, 5);
    ck_assert(SENT(RAFT_VOTE_REPLY, 2)->vote_reply.granted);
    bench_fini(&b);
}
END_TEST

/* Thesis 6.4.1: a leader may be reading by the promise; a higher term takes it not back. */
START_TEST(a_higher_term_ends_no_loyalty)
{
    setup(3, 1, 0, TERMS(1));
    bench_heartbeat(&b, 3, 1, 0, 0, 0);
    struct raft_msg refusal = { .type = RAFT_VOTE_REPLY, .from = 2, .term = 7 };
    refusal.vote_reply.pre = true;
    bench_recv(&b, refusal, NO_TERMS);
    ck_assert_uint_eq(b.u.term, 7);
    bench_vote(&b, 2, 7, 9, 4);
    ck_assert_uint_eq(b.u.vote, 0);
    bench_vote(&b, 2, 8, 9, 4);
    ck_assert_uint_eq(b.u.term, 7);
    b.now += 100;
    bench_vote(&b, 2, 8, 9, 4);
    ck_assert_uint_eq(b.u.vote, 2);
    bench_fini(&b);
}
END_TEST

/* the same: a restarted server does not know whom it has promised what */
START_TEST(a_restart_ends_no_loyalty)
{
    setup(3, 1, 0, TERMS(1));
    b.now += 99;
    bench_vote(&b, 2, 5, 9, 4);
    ck_assert_uint_eq(b.u.term, 1);
    b.now += 1;
    bench_vote(&b, 2, 5, 9, 4);
    ck_assert_uint_eq(b.u.vote, 2);
    bench_fini(&b);
}
END_TEST

START_TEST(leaders_do_not_hear_votes)
{
    setup(3, 1, 0, TERMS(1));
    bench_become_leader(&b);
    bench_vote(&b, 2, 5, 9, 4);
    ck_assert_int_eq(b.u.role, RAFT_LEADER);
    ck_assert_uint_eq(b.u.term, 2);
    /* but it sees that a follower's term has passed its own, and gives way */
    struct raft_msg msg = { .type = RAFT_HEARTBEAT_REPLY, .from = 2, .term = 5 };
    bench_recv(&b, msg, NO_TERMS);
    ck_assert_int_eq(b.u.role, RAFT_FOLLOWER);
    ck_assert_uint_eq(b.u.term, 5);
    bench_fini(&b);
}
END_TEST

/* a server of a higher term tells a leader of the past so, also through a heartbeat */
START_TEST(a_leader_of_the_past_is_told)
{
    setup(3, 5, 0, TERMS(1));
    bench_heartbeat(&b, 2, 3, 1, 1, 4);
    ck_assert_uint_eq(SENT(RAFT_HEARTBEAT_REPLY, 2)->term, 5);
    ck_assert_uint_eq(b.u.leader, 0);
    bench_fini(&b);
}
END_TEST

/* "a transfer ... can be disregarded by the restriction": with the flag the vote is heard */
START_TEST(a_transfer_is_heard_in_spite_of_a_live_leader)
{
    setup(3, 1, 0, TERMS(1));
    bench_heartbeat(&b, 3, 1, 0, 0, 0);
    struct raft_msg msg = { .type = RAFT_VOTE, .from = 2, .term = 2 };
    msg.vote.last = msg.vote.last_term = 1;
    msg.vote.transfer = true;
    bench_recv(&b, msg, NO_TERMS);
    ck_assert(SENT(RAFT_VOTE_REPLY, 2)->vote_reply.granted);
    ck_assert_uint_eq(b.u.term, 2);
    bench_fini(&b);
}
END_TEST

/* ---- leaders step down, thesis 6.2 */

/* "A leader in Raft steps down if an election timeout elapses without a successful round of
 * heartbeats to a majority of its cluster" */
START_TEST(a_leader_without_a_majority_steps_down)
{
    setup(5, 1, 0, TERMS(1));
    bench_become_leader(&b);
    raft_term term = b.u.term;
    for (uint32_t i = 0; i < 30; i++) { /* two of four others are enough */
        bench_tick(&b, 10);
        bench_heartbeat_reply(&b, 2, 0);
        bench_heartbeat_reply(&b, 3, 0);
        ck_assert_int_eq(b.u.role, RAFT_LEADER);
    }
    raft_msec last = b.now;
    while (b.u.role == RAFT_LEADER && b.now < last + 1000) { /* one is not */
        bench_tick(&b, b.u.deadline - b.now);
        if (b.u.role == RAFT_LEADER)
            bench_heartbeat_reply(&b, 2, 0);
    }
    ck_assert_uint_eq(b.now, last + 200); /* at the deadline that it told */
    ck_assert_uint_eq(b.u.term, term);
    ck_assert_uint_eq(b.u.leader, 0);
    ck_assert_uint_eq(b.trace_v[RAFT_TRACE_STEP_DOWN][0], RAFT_STEP_DOWN_QUORUM);
    bench_fini(&b);
}
END_TEST

START_TEST(a_leader_with_a_stalled_disk_steps_down)
{
    setup(3, 1, 0, TERMS(1));
    bench_become_leader(&b);
    bench_step(&b, (struct raft_event){ .type = RAFT_DISK, .disk = { .stalled = true } });
    ck_assert_int_eq(b.u.role, RAFT_FOLLOWER);
    ck_assert_uint_eq(b.trace_v[RAFT_TRACE_STEP_DOWN][0], RAFT_STEP_DOWN_DISK);
    for (uint32_t i = 0; i < 10; i++) {
        bench_tick(&b, 200);
        ck_assert_int_eq(b.u.role, RAFT_FOLLOWER);
        ck_assert_uint_gt(b.u.deadline, b.now);
    }
    bench_vote(&b, 2, 3, 9, 2); /* it votes: the reply waits for the disk anyway */
    ck_assert(SENT(RAFT_VOTE_REPLY, 2)->vote_reply.granted);
    bench_step(&b, (struct raft_event){ .type = RAFT_DISK });
    bench_tick(&b, 200);
    ck_assert_int_eq(b.u.role, RAFT_PRECANDIDATE);
    bench_fini(&b);
}
END_TEST

START_TEST(a_candidate_does_not_queue_elections_behind_a_slow_disk)
{
    bench_init(&b, 1, 0);
    bench_boot(&b, 1, 0, 0, TERMS(1));
    bench_tick(&b, 0);
    ck_assert_int_eq(b.u.role, RAFT_CANDIDATE);
    for (uint32_t i = 0; i < 10; i++)
        bench_tick(&b, 200);
    ck_assert_uint_eq(b.u.term, 2);
    bench_persist(&b);
    ck_assert_int_eq(b.u.role, RAFT_LEADER);
    bench_fini(&b);
}
END_TEST

/* ---- alone, and learners */

START_TEST(a_server_alone_leads_at_its_first_tick)
{
    bench_init(&b, 1, 0);
    b.config.pre_vote = b.config.check_quorum = true;
    bench_boot(&b, 3, 0, 0, TERMS(1));
    bench_tick(&b, 0);
    ck_assert_int_eq(b.u.role, RAFT_CANDIDATE);
    ck_assert_uint_eq(b.n_own, 1); /* once its vote is durable */
    bench_persist(&b);
    ck_assert_int_eq(b.u.role, RAFT_LEADER);
    ck_assert_uint_eq(b.u.commit, 2); /* the no-op */
    bench_propose(&b, 2);
    ck_assert_uint_eq(b.u.commit, 2); /* B15: not before its disk has it */
    bench_persist(&b);
    ck_assert_uint_eq(b.u.commit, 4);
    bench_read(&b, 11);
    ck_assert_uint_eq(b.u.n_reads, 1);
    ck_assert_uint_eq(b.u.reads[0].tag, 11);
    ck_assert_uint_eq(b.u.reads[0].index, 4);
    ck_assert(b.u.reads[0].ok);
    bench_tick(&b, 5000); /* nobody to lose contact with */
    ck_assert_int_eq(b.u.role, RAFT_LEADER);
    bench_fini(&b);
}
END_TEST

/* B12, B27 */
START_TEST(learners_follow_and_have_no_say)
{
    bench_init(&b, 3, 1);
    b.config.self = 4;
    b.config.pre_vote = true;
    bench_boot(&b, 1, 0, 0, TERMS(1));
    struct raft_msg msg = { .type = RAFT_APPEND, .from = 2, .to = 4, .term = 2 };
    msg.append.prev = msg.append.prev_term = 1;
    msg.append.n = 1;
    bench_recv(&b, msg, TERMS(2));
    ck_assert(SENT(RAFT_APPEND_REPLY, 2)->append_reply.ok);
    for (uint32_t i = 0; i < 10; i++)
        bench_tick(&b, 200);
    ck_assert_int_eq(b.u.role, RAFT_FOLLOWER);
    ck_assert_uint_eq(b.u.leader, 0);
    ck_assert_uint_gt(b.u.deadline, b.now);
    struct raft_msg now = { .type = RAFT_TIMEOUT_NOW, .from = 2, .to = 4, .term = 2 };
    bench_recv(&b, now, NO_TERMS);
    ck_assert_int_eq(b.u.role, RAFT_FOLLOWER);
    /* one that was promoted without having heard of it must vote all the same */
    struct raft_msg vote = { .type = RAFT_VOTE, .from = 3, .to = 4, .term = 3 };
    vote.vote.last = 9;
    vote.vote.last_term = 2;
    bench_recv(&b, vote, NO_TERMS);
    ck_assert(SENT(RAFT_VOTE_REPLY, 3)->vote_reply.granted);
    bench_fini(&b);
}
END_TEST

/* ---- reads, thesis 6.4 */

static void lead_and_commit(uint32_t voters)
{
    setup(voters, 1, 0, TERMS(1));
    bench_become_leader(&b);
    bench_persist(&b);
    bench_accept(&b, 2, 2);
    if (voters == 5)
        bench_accept(&b, 3, 2);
    ck_assert_uint_eq(b.u.commit, 2);
}

START_TEST(a_read_waits_for_a_round_of_its_own)
{
    lead_and_commit(5);
    bench_tick(&b, 10);
    uint64_t before = SENT(RAFT_HEARTBEAT, 2)->heartbeat.round;
    bench_read(&b, 77);
    ck_assert_uint_eq(bench_count(&b, RAFT_HEARTBEAT), 4); /* at once */
    uint64_t round = SENT(RAFT_HEARTBEAT, 2)->heartbeat.round;
    ck_assert_uint_gt(round, before);
    bench_heartbeat_reply(&b, 3, before); /* sent before the read came: proves nothing */
    bench_heartbeat_reply(&b, 4, before);
    bench_heartbeat_reply(&b, 2, round);
    bench_heartbeat_reply(&b, 2, round); /* counted once */
    ck_assert_uint_eq(b.u.n_reads, 0);
    bench_heartbeat_reply(&b, 3, round);
    ck_assert_uint_eq(b.u.n_reads, 1);
    ck_assert(b.u.reads[0].ok);
    ck_assert_uint_eq(b.u.reads[0].tag, 77);
    ck_assert_uint_eq(b.u.reads[0].index, 2);
    bench_fini(&b);
}
END_TEST

/* B39: the index is the one of when it was asked; later commits do not delay the read */
START_TEST(a_read_keeps_its_index)
{
    lead_and_commit(3);
    bench_read(&b, 1);
    uint64_t round = SENT(RAFT_HEARTBEAT, 2)->heartbeat.round;
    bench_propose(&b, 1);
    bench_persist(&b);
    bench_accept(&b, 2, 3);
    ck_assert_uint_eq(b.u.commit, 3);
    bench_read(&b, 2);
    bench_heartbeat_reply(&b, 2, round);
    ck_assert_uint_eq(b.u.n_reads, 1);
    ck_assert_uint_eq(b.u.reads[0].index, 2);
    bench_heartbeat_reply(&b, 2, round + 1);
    ck_assert_uint_eq(b.u.n_reads, 1);
    ck_assert_uint_eq(b.u.reads[0].tag, 2);
    ck_assert_uint_eq(b.u.reads[0].index, 3);
    bench_fini(&b);
}
END_TEST

/* B38: "If the leader has not yet marked an entry from its current term committed, it waits" */
START_TEST(a_read_waits_for_a_commit_of_the_term)
{
    setup(3, 1, 1, TERMS(1, 1));
    bench_become_leader(&b);
    ck_assert_int_eq(bench_read(&b, 5), RAFT_OK);
    ck_assert_int_eq(bench_read(&b, 6), RAFT_OK);
    ck_assert_uint_eq(bench_count(&b, RAFT_HEARTBEAT), 0);
    bench_heartbeat_reply(&b, 2, 0);
    bench_heartbeat_reply(&b, 3, 0);
    ck_assert_uint_eq(b.u.n_reads, 0);
    bench_persist(&b);
    bench_accept(&b, 2, 3);
    ck_assert_uint_eq(b.u.commit, 3);
    ck_assert_uint_eq(b.u.n_reads, 0); /* and then for its round */
    bench_heartbeat_reply(&b, 2, SENT(RAFT_HEARTBEAT, 2)->heartbeat.round);
    ck_assert_uint_eq(b.u.n_reads, 2);
    for (uint32_t i = 0; i < 2; i++) {
        ck_assert(b.u.reads[i].ok);
        ck_assert_uint_eq(b.u.reads[i].tag, 5 + i);
        ck_assert_uint_eq(b.u.reads[i].index, 3);
    }
    bench_fini(&b);
}
END_TEST

START_TEST(reads_fail_with_the_leadership)
{
    lead_and_commit(3);
    bench_read(&b, 1);
    bench_read(&b, 2);
    uint64_t round = SENT(RAFT_HEARTBEAT, 2)->heartbeat.round;
    bench_heartbeat(&b, 3, 9, 0, 0, 0);
    ck_assert_uint_eq(b.u.n_reads, 2);
    ck_assert(!b.u.reads[0].ok);
    ck_assert(!b.u.reads[1].ok);
    ck_assert_int_eq(bench_read(&b, 3), RAFT_NOT_LEADER);

    /* B40: a round of an earlier reign is never taken for one of a later */
    b.now += 200;
    bench_become_leader(&b);
    raft_term term = b.u.term;
    bench_persist(&b);
    bench_accept(&b, 2, raft_last_index(b.raft));
    bench_read(&b, 4);
    ck_assert_uint_gt(SENT(RAFT_HEARTBEAT, 2)->heartbeat.round, round);
    struct raft_msg late = { .type = RAFT_HEARTBEAT_REPLY, .from = 2, .term = term - 1 };
    late.heartbeat_reply.round = round + 1;
    bench_recv(&b, late, NO_TERMS);
    ck_assert_uint_eq(b.u.n_reads, 0);
    bench_fini(&b);
}
END_TEST

START_TEST(reads_have_a_bound)
{
    lead_and_commit(3);
    for (uint64_t i = 0; i < RAFT_READS_MAX; i++)
        ck_assert_int_eq(bench_read(&b, i), RAFT_OK);
    ck_assert_int_eq(bench_read(&b, 999), RAFT_BUSY);
    ck_assert_uint_eq(b.u.n_msgs, 0);
    bench_heartbeat(&b, 3, 9, 0, 0, 0);
    ck_assert_uint_eq(b.u.n_reads, RAFT_READS_MAX);
    bench_fini(&b);
}
END_TEST

/* ---- transfer, thesis 3.10 */

START_TEST(a_transfer_waits_until_the_target_has_all)
{
    lead_and_commit(3);
    bench_accept(&b, 3, 2);
    bench_propose(&b, 1);
    ck_assert_int_eq(bench_transfer(&b, 3), RAFT_OK);
    ck_assert_ptr_null(SENT(RAFT_TIMEOUT_NOW, 3));
    ck_assert_int_eq(bench_propose(&b, 1), RAFT_NOT_LEADER); /* "stops accepting" */
    ck_assert_int_eq(bench_transfer(&b, 2), RAFT_BUSY);
    bench_accept(&b, 2, 3);
    ck_assert_uint_eq(bench_count(&b, RAFT_TIMEOUT_NOW), 0);
    bench_accept(&b, 3, 3);
    ck_assert_ptr_nonnull(SENT(RAFT_TIMEOUT_NOW, 3));
    bench_accept(&b, 3, 3);
    ck_assert_uint_eq(bench_count(&b, RAFT_TIMEOUT_NOW), 0); /* once */
    bench_fini(&b);
}
END_TEST

/* "If leadership transfer does not complete after about an election timeout, the prior leader
 * aborts the transfer and resumes accepting client requests" */
START_TEST(a_transfer_is_given_up)
{
    lead_and_commit(3);
    bench_transfer(&b, 2);
    raft_msec begun = b.now;
    while (b.now < begun + 200) {
        bench_tick(&b, b.u.deadline - b.now);
        bench_heartbeat_reply(&b, 2, 0);
        bench_heartbeat_reply(&b, 3, 0);
    }
    ck_assert_uint_eq(b.trace_v[RAFT_TRACE_TRANSFER][1], 3);
    ck_assert_int_eq(bench_propose(&b, 1), RAFT_OK);
    bench_fini(&b);
}
END_TEST

START_TEST(a_transfer_to_nobody_picks_the_most_advanced)
{
    lead_and_commit(5);
    bench_propose(&b, 2);
    bench_accept(&b, 4, 4);
    bench_accept(&b, 3, 3);
    bench_transfer(&b, 0);
    ck_assert_ptr_nonnull(SENT(RAFT_TIMEOUT_NOW, 4));
    bench_fini(&b);
    lead_and_commit(3);
    ck_assert_int_eq(bench_transfer(&b, 1), RAFT_INVALID); /* to itself */
    ck_assert_int_eq(bench_transfer(&b, 99), RAFT_INVALID);
    ck_assert_int_eq(bench_propose(&b, 1), RAFT_OK);
    bench_fini(&b);
}
END_TEST

START_TEST(who_is_told_stands_at_once)
{
    setup(3, 2, 0, TERMS(1));
    bench_heartbeat(&b, 2, 2, 0, 0, 0);
    struct raft_msg msg = { .type = RAFT_TIMEOUT_NOW, .from = 2, .term = 1 };
    bench_recv(&b, msg, NO_TERMS); /* of an old leader */
    ck_assert_int_eq(b.u.role, RAFT_FOLLOWER);
    msg.term = 2;
    bench_recv(&b, msg, NO_TERMS);
    ck_assert_int_eq(b.u.role, RAFT_CANDIDATE); /* without asking first */
    ck_assert(SENT(RAFT_VOTE, 2)->vote.transfer);
    ck_assert(!SENT(RAFT_VOTE, 2)->vote.pre);
    bench_fini(&b);

    setup(3, 2, 0, TERMS(1));
    bench_step(&b, (struct raft_event){ .type = RAFT_DISK, .disk = { .stalled = true } });
    bench_recv(&b, msg, NO_TERMS);
    ck_assert_int_eq(b.u.role, RAFT_FOLLOWER);
    bench_fini(&b);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        pre_vote_comes_first_and_changes_nothing,
        pre_vote_refused_keeps_the_term,
        pre_vote_is_not_a_vote,
        pre_vote_is_granted_by_what_a_vote_would_be,
        pre_vote_refusal_raises_a_term_that_is_behind,
        pre_candidate_grants_to_another,
        votes_are_not_heard_while_the_leader_lives,
        a_higher_term_ends_no_loyalty,
        a_restart_ends_no_loyalty,
        leaders_do_not_hear_votes,
        a_leader_of_the_past_is_told,
        a_transfer_is_heard_in_spite_of_a_live_leader,
        a_leader_without_a_majority_steps_down,
        a_leader_with_a_stalled_disk_steps_down,
        a_candidate_does_not_queue_elections_behind_a_slow_disk,
        a_server_alone_leads_at_its_first_tick,
        learners_follow_and_have_no_say,
        a_read_waits_for_a_round_of_its_own,
        a_read_keeps_its_index,
        a_read_waits_for_a_commit_of_the_term,
        reads_fail_with_the_leadership,
        reads_have_a_bound,
        a_transfer_waits_until_the_target_has_all,
        a_transfer_is_given_up,
        a_transfer_to_nobody_picks_the_most_advanced,
        who_is_told_stands_at_once,
    };
    return bench_main("raft, thesis", tests, sizeof tests / sizeof tests[0]);
}
