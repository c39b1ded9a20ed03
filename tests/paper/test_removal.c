/* test_removal.c - what a leader does for those who come and go: its own removal (§6), learners
 * (thesis 4.2.1), who has left, the check of the quorum, reads and transfers meanwhile. */
#include "tests/paper/bench.h"

#include <stdlib.h>
#include <string.h>

#define SENT(type, to) bench_sent(&b, type, to)

static struct bench b;

static void persist_and_accept(raft_id first, raft_id second, raft_index match)
{
    bench_persist(&b);
    bench_accept(&b, first, match);
    if (second != 0 && b.u.role == RAFT_LEADER)
        bench_accept(&b, second, match);
}

/* Time passes while these answer every heartbeat. */
static void pass(raft_msec ms, raft_id first, raft_id second)
{
    for (raft_msec end = b.now + ms; b.now < end;) {
        bench_tick(&b, 10);
        if (first != 0)
            bench_heartbeat_reply(&b, first, 0);
        if (second != 0)
            bench_heartbeat_reply(&b, second, 0);
    }
}

/* ---- the leader itself */

/* "there will be a period of time (while it is committing C_new) when the leader is managing a
 * cluster that does not include itself; it replicates log entries but does not count itself in
 * majorities", "the leader steps down ... once it has committed the C_new log entry", §6; B36 */
START_TEST(a_removed_leader_leads_until_that_is_committed)
{
    bench_lead(&b, "1v 2v 3v");
    bench_change(&b, "2v 3v 4v");
    bench_must_use(&b, "1ox 2vo 3vo 4v", 3);
    persist_and_accept(2, 0, 3); /* old: 1 2; new: only 2 */
    ck_assert_uint_eq(b.u.commit, 2);
    bench_accept(&b, 3, 3);
    bench_must_use(&b, "2v 3v 4v", 4);
    ck_assert_int_eq(b.u.role, RAFT_LEADER);
    ck_assert_int_eq(bench_propose(&b, 1), RAFT_OK); /* it goes on serving */
    persist_and_accept(2, 0, 5);
    ck_assert_uint_eq(b.u.commit, 3); /* 1 and 2 are no majority of 2 3 4 */
    bench_accept(&b, 3, 4);
    ck_assert_uint_eq(b.u.commit, 4);
    ck_assert_int_eq(b.u.role, RAFT_FOLLOWER);
    ck_assert_uint_eq(b.trace_v[RAFT_TRACE_STEP_DOWN][0], RAFT_STEP_DOWN_REMOVED);
    for (raft_id id = 2; id <= 4; id++) /* they need not find out */
        ck_assert_uint_eq(SENT(RAFT_HEARTBEAT, id)->heartbeat.commit, 4);
    ck_assert_ptr_nonnull(SENT(RAFT_TIMEOUT_NOW, 2)); /* who has the most may stand at once */
    ck_assert_uint_eq(bench_count(&b, RAFT_TIMEOUT_NOW), 1);
    bench_tick(&b, 5000);
    ck_assert_int_eq(b.u.role, RAFT_FOLLOWER);
    bench_fini(&b);
}
END_TEST

/* Thesis 4.2.2, figure 4.6: only the leader that leaves has the entry by which it does.  The others
 * cannot be elected, its log is longer; so it stands, and does not count its own vote. */
START_TEST(who_leaves_stands_until_that_is_committed)
{
    const char *new[] = { "2v", "1 2v", "2v 3v" };
    for (size_t i = 0; i < 3; i++) {
        bench_init(&b, 2, 0);
        bench_boot(&b, 1, 0, 1, TERMS(1));
        bench_append_members(&b, 2, 2, 1, 1, i == 0 ? "1ox 2vo" : i == 1 ? "1o 2vo" : "1ox 2vo 3v", 1);
        bench_append_members(&b, 2, 2, 2, 2, new[i], 2);
        bench_become_candidate(&b);
        bench_persist(&b);
        ck_assert_int_eq(b.u.role, RAFT_CANDIDATE);
        if (i == 2)
            bench_grant(&b, 3, 3);
        ck_assert_int_eq(b.u.role, RAFT_CANDIDATE);
        bench_grant(&b, 2, 3);
        ck_assert_int_eq(b.u.role, RAFT_LEADER);
        persist_and_accept(2, i == 2 ? 3 : 0, 4);
        ck_assert_uint_eq(b.u.commit, 4);
        ck_assert_int_eq(b.u.role, RAFT_FOLLOWER);
        bench_tick(&b, 5000); /* now it is committed */
        ck_assert_int_eq(b.u.role, RAFT_FOLLOWER);
        bench_fini(&b);
    }
}
END_TEST

/* B27: a leader that becomes a learner in a cluster of two commits nothing by itself. */
START_TEST(a_demoted_leader_does_not_count_itself)
{
    bench_lead(&b, "1v 2v");
    bench_change(&b, "1 2v");
    bench_must_use(&b, "1o 2vo", 3);
    persist_and_accept(2, 0, 3);
    bench_must_use(&b, "1 2v", 4);
    bench_persist(&b);
    ck_assert_uint_eq(b.u.commit, 3);
    ck_assert_int_eq(b.u.role, RAFT_LEADER);
    bench_accept(&b, 2, 4);
    ck_assert_uint_eq(b.u.commit, 4);
    ck_assert_int_eq(b.u.role, RAFT_FOLLOWER);
    bench_fini(&b);
}
END_TEST

START_TEST(a_removed_leader_alone_with_learners_hands_over)
{
    bench_lead(&b, "1v 2 3");
    ck_assert_int_eq(bench_change(&b, "2v 3"), RAFT_OK);
    persist_and_accept(3, 0, 3);
    ck_assert_uint_eq(b.u.commit, 2); /* 3 is a learner */
    bench_accept(&b, 2, 3);
    bench_must_use(&b, "2v 3", 4);
    persist_and_accept(3, 2, 4);
    ck_assert_int_eq(b.u.role, RAFT_FOLLOWER);
    ck_assert_ptr_nonnull(SENT(RAFT_TIMEOUT_NOW, 2));
    bench_fini(&b);
}
END_TEST

/* ---- learners */

START_TEST(learners_come_and_go_with_one_entry)
{
    bench_lead(&b, "1v 2v 3v");
    ck_assert_int_eq(bench_change(&b, "1v 2v 3v 4 5"), RAFT_OK);
    bench_must_use(&b, "1v 2v 3v 4 5", 3);
    persist_and_accept(4, 5, 3);
    ck_assert_uint_eq(b.u.commit, 2); /* learners do not count */
    bench_accept(&b, 2, 3);
    ck_assert_uint_eq(b.u.commit, 3);
    bench_must_use(&b, "1v 2v 3v 4 5", 3); /* B35: nobody is promoted unasked */
    ck_assert_uint_eq(raft_last_index(b.raft), 3);
    ck_assert_int_eq(bench_change(&b, "1v 2v 3v 5 6"), RAFT_OK);
    bench_must_use(&b, "1v 2v 3v 5 6", 4);
    bench_fini(&b);
}
END_TEST

START_TEST(a_promotion_goes_through_a_joint_configuration)
{
    bench_lead(&b, "1v 2v 3v 4");
    ck_assert_int_eq(bench_change(&b, "1v 2v 3v 4v"), RAFT_OK);
    bench_must_use(&b, "1vo 2vo 3vo 4v", 3);
    persist_and_accept(2, 0, 3);
    ck_assert_uint_eq(b.u.commit, 2); /* new: 3 of 4 */
    bench_accept(&b, 4, 3);
    bench_must_use(&b, "1v 2v 3v 4v", 4);
    bench_fini(&b);
}
END_TEST

/* ---- what is known of each moves with it */

START_TEST(what_is_known_of_a_follower_stays_known)
{
    bench_lead(&b, "1v 2v 3v 4");
    bench_heartbeat_reply(&b, 3, 0);
    raft_msec heard = b.now;
    bench_tick(&b, 5);
    bench_change(&b, "1v 5v 3v");
    bench_must_use(&b, "1vo 2ox 3vo 4x 5v", 3);
    ck_assert_uint_eq(bench_progress(&b, 3).match, 2);
    ck_assert_uint_eq(bench_progress(&b, 3).last_contact, heard);
    ck_assert(!bench_progress(&b, 3).probing);
    ck_assert_uint_eq(bench_progress(&b, 5).match, 0);
    ck_assert_uint_eq(bench_progress(&b, 5).last_contact, 0);
    ck_assert(bench_progress(&b, 5).probing);
    persist_and_accept(3, 2, 3);
    bench_refuse(&b, 5, 2, 0, 0); /* it has nothing */
    ck_assert_uint_eq(SENT(RAFT_APPEND, 5)->append.prev, 0);
    ck_assert_uint_eq(SENT(RAFT_APPEND, 5)->append.n, 4);
    bench_accept(&b, 5, 4);
    bench_must_use(&b, "1v 3v 5v", 4);
    ck_assert_uint_eq(bench_progress(&b, 3).match, 3); /* places 2 and 4 are another's now */
    ck_assert_uint_eq(bench_progress(&b, 5).match, 4);
    ck_assert_uint_eq(bench_progress(&b, 1).match, 3);
    bench_fini(&b);
}
END_TEST

/* ---- who has left */

START_TEST(who_leaves_hears_of_it)
{
    bench_lead(&b, "1v 2v 3v");
    bench_change(&b, "1v 2v");
    persist_and_accept(2, 3, 3);
    bench_must_use(&b, "1v 2v", 4);
    ck_assert_uint_eq(bench_progress(&b, 3).id, 0);
    pass(1000, 2, 3); /* not committed: however long that takes */
    bench_tick(&b, 10);
    ck_assert_ptr_nonnull(SENT(RAFT_HEARTBEAT, 3));
    persist_and_accept(2, 0, 4);
    ck_assert_uint_eq(b.u.commit, 4);
    bench_tick(&b, 10);
    ck_assert_uint_eq(SENT(RAFT_HEARTBEAT, 3)->heartbeat.commit, 4);
    bench_accept(&b, 3, 3); /* it lacks the entry that removed it, and gets it */
    bench_refuse(&b, 3, 4, 3, 2);
    ck_assert_uint_eq(SENT(RAFT_APPEND, 3)->append.prev, 3);
    ck_assert_uint_eq(SENT(RAFT_APPEND, 3)->append.n, 1);
    pass(1000, 2, 0);
    bench_tick(&b, 10);
    ck_assert_ptr_nonnull(SENT(RAFT_HEARTBEAT, 2));
    ck_assert_ptr_null(SENT(RAFT_HEARTBEAT, 3)); /* it had its time */
    bench_step(&b, (struct raft_event){ .type = RAFT_UNREACHABLE, .unreachable = { 3 } });
    ck_assert_int_eq(b.status, RAFT_OK);
    bench_accept(&b, 3, 4);
    ck_assert_int_eq(b.status, RAFT_OK);
    bench_fini(&b);
}
END_TEST

START_TEST(who_has_left_counts_for_nothing)
{
    bench_lead(&b, "1v 2v 3v 4v 5v");
    bench_change(&b, "1v 2v 3v");
    bench_persist(&b);
    for (raft_id id = 2; id <= 5; id++)
        bench_accept(&b, id, 3);
    bench_must_use(&b, "1v 2v 3v", 4);
    bench_persist(&b);
    bench_accept(&b, 4, 4);
    bench_accept(&b, 5, 4);
    ck_assert_uint_eq(b.u.commit, 3);
    bench_read(&b, 7);
    uint64_t round = SENT(RAFT_HEARTBEAT, 2)->heartbeat.round;
    bench_heartbeat_reply(&b, 4, round);
    bench_heartbeat_reply(&b, 5, round);
    ck_assert_uint_eq(b.u.n_reads, 0);
    /* its later term deposes nobody */
    struct raft_msg later = { .type = RAFT_HEARTBEAT_REPLY, .from = 4, .term = 9 };
    ck_assert_int_eq(bench_recv(&b, later, NO_TERMS), RAFT_OK);
    ck_assert_int_eq(b.u.role, RAFT_LEADER);
    ck_assert_uint_eq(b.u.term, 2);
    bench_heartbeat_reply(&b, 2, round);
    ck_assert_uint_eq(b.u.n_reads, 1);
    bench_fini(&b);
}
END_TEST

/* The change is another leader's; who leaves by it hears of it from the one that finishes it. */
START_TEST(a_new_leader_tells_those_who_left)
{
    bench_init(&b, 3, 0);
    bench_boot(&b, 1, 0, 1, TERMS(1));
    bench_append_members(&b, 2, 2, 1, 1, "1vo 2vo 3ox", 1);
    bench_append_members(&b, 2, 2, 2, 2, "1v 2v", 2);
    bench_become_candidate(&b);
    ck_assert_ptr_null(SENT(RAFT_VOTE, 3)); /* it has no say */
    bench_persist(&b);
    bench_grant(&b, 2, b.u.term);
    ck_assert_int_eq(b.u.role, RAFT_LEADER);
    ck_assert_ptr_nonnull(SENT(RAFT_APPEND, 3));
    bench_fini(&b);
}
END_TEST

/* ---- strangers */

START_TEST(a_newcomer_follows_a_leader_that_it_does_not_know)
{
    bench_init(&b, 3, 0);
    b.config.self = 1;
    b.members = bench_members("");
    bench_boot(&b, 0, 0, 0, NO_TERMS);
    bench_tick(&b, 0);
    bench_heartbeat(&b, 8, 3, 0, 0, 0);
    ck_assert_ptr_nonnull(SENT(RAFT_HEARTBEAT_REPLY, 8));
    bench_append_members(&b, 8, 3, 0, 0, "8v 9v 1", 0);
    ck_assert(SENT(RAFT_APPEND_REPLY, 8)->append_reply.ok);
    bench_must_use(&b, "8v 9v 1", 1);
    bench_fini(&b);
}
END_TEST

START_TEST(answers_of_strangers_are_not_heard)
{
    bench_lead(&b, "1v 2v 3v");
    bench_propose(&b, 1);
    bench_persist(&b);
    enum raft_msg_type types[] = { RAFT_VOTE_REPLY, RAFT_APPEND_REPLY, RAFT_HEARTBEAT_REPLY };
    for (raft_term term = 1; term <= 9; term++) {
        for (size_t i = 0; i < 3; i++) {
            struct raft_msg msg = { .type = types[i], .from = 77, .term = term };
            if (types[i] == RAFT_APPEND_REPLY) {
                msg.append_reply.ok = true;
                msg.append_reply.match = 3;
            }
            ck_assert_int_eq(bench_recv(&b, msg, NO_TERMS), RAFT_OK);
            ck_assert_uint_eq(b.u.term, 2);
            ck_assert_uint_eq(b.u.commit, 2);
            ck_assert_uint_eq(b.u.n_msgs, 0);
        }
    }
    bench_fini(&b);
}
END_TEST

/* ---- the check of the quorum */

START_TEST(the_check_asks_both_majorities)
{
    for (int gone = 0; gone <= 1; gone++) {
        bench_lead(&b, "1v 2v 3v");
        b.config.check_quorum = true;
        bench_boot(&b, 1, 0, 1, TERMS(1));
        bench_become_leader(&b);
        persist_and_accept(2, 3, 2);
        bench_change(&b, "1v 4v 5v");
        pass(100, 0, 0);
        ck_assert_int_eq(b.u.role, RAFT_LEADER); /* who is new has had no time to answer */
        pass(1000, 2, 4);
        ck_assert_int_eq(b.u.role, RAFT_LEADER);
        pass(300, gone ? 2 : 4, gone ? 3 : 5);
        ck_assert_int_eq(b.u.role, RAFT_FOLLOWER);
        bench_fini(&b);
    }
}
END_TEST

START_TEST(the_last_contact_is_that_of_both_majorities)
{
    bench_lead(&b, "1v 2v 3v");
    bench_tick(&b, 5);
    bench_heartbeat_reply(&b, 2, 0);
    raft_msec old = b.now;
    ck_assert_uint_eq(raft_contact(b.raft, b.now), old);
    bench_change(&b, "1v 4v 5v");
    ck_assert_uint_eq(raft_contact(b.raft, b.now), 0); /* nobody new has answered yet */
    bench_tick(&b, 3);
    bench_heartbeat_reply(&b, 4, 0);
    ck_assert_uint_eq(raft_contact(b.raft, b.now + 7), old);
    bench_heartbeat_reply(&b, 3, 0);
    ck_assert_uint_eq(raft_contact(b.raft, b.now + 7), b.now);
    bench_become_follower_of(&b, 2, 9);
    ck_assert_uint_eq(raft_contact(b.raft, b.now), 0);
    bench_fini(&b);
}
END_TEST

/* ---- reads */

/* B34: rounds are counted under the configuration in use when they are. */
START_TEST(reads_are_counted_under_the_configuration_in_use)
{
    bench_lead(&b, "1v 2v 3v");
    bench_read(&b, 7);
    uint64_t round = SENT(RAFT_HEARTBEAT, 2)->heartbeat.round;
    bench_change(&b, "1v 4v 5v");
    bench_heartbeat_reply(&b, 2, round);
    ck_assert_uint_eq(b.u.n_reads, 0); /* the old majority; not the new one */
    bench_read(&b, 8);
    round = SENT(RAFT_HEARTBEAT, 4)->heartbeat.round;
    bench_heartbeat_reply(&b, 4, round);
    ck_assert_uint_eq(b.u.n_reads, 1);
    ck_assert_uint_eq(b.u.reads[0].tag, 7);
    ck_assert_uint_eq(b.u.reads[0].index, 2);
    bench_heartbeat_reply(&b, 5, round);
    ck_assert_uint_eq(b.u.n_reads, 0);
    bench_heartbeat_reply(&b, 3, round);
    ck_assert_uint_eq(b.u.n_reads, 1);
    ck_assert_uint_eq(b.u.reads[0].tag, 8);
    bench_fini(&b);
}
END_TEST

START_TEST(reads_fail_when_the_leader_is_removed)
{
    bench_lead(&b, "1v 2v 3v");
    bench_change(&b, "2v 3v");
    persist_and_accept(2, 3, 3);
    bench_read(&b, 7);
    persist_and_accept(2, 3, 4);
    ck_assert_int_eq(b.u.role, RAFT_FOLLOWER);
    ck_assert_uint_eq(b.u.n_reads, 1);
    ck_assert(!b.u.reads[0].ok);
    bench_fini(&b);
}
END_TEST

/* ---- transfers */

START_TEST(leadership_goes_to_voters_of_the_new_configuration)
{
    bench_lead(&b, "1v 2v 3v 4");
    ck_assert_int_eq(bench_transfer(&b, 4), RAFT_INVALID);
    bench_change(&b, "1v 2 4v 5v"); /* 2 becomes a learner, 3 leaves, 4 is promoted */
    bench_accept(&b, 2, 3);
    bench_accept(&b, 3, 3);
    ck_assert_int_eq(bench_transfer(&b, 2), RAFT_INVALID);
    ck_assert_int_eq(bench_transfer(&b, 3), RAFT_INVALID);
    ck_assert_int_eq(bench_transfer(&b, 0), RAFT_OK);
    ck_assert_uint_eq(b.trace_v[RAFT_TRACE_TRANSFER][0], 4);
    bench_persist(&b);
    bench_accept(&b, 4, 3); /* that also commits the joint entry: C_new has to get there first */
    bench_must_use(&b, "1v 2 4v 5v", 4);
    ck_assert_ptr_null(SENT(RAFT_TIMEOUT_NOW, 4));
    bench_accept(&b, 4, 4);
    ck_assert_ptr_nonnull(SENT(RAFT_TIMEOUT_NOW, 4));
    bench_fini(&b);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        a_removed_leader_leads_until_that_is_committed,
        who_leaves_stands_until_that_is_committed,
        a_demoted_leader_does_not_count_itself,
        a_removed_leader_alone_with_learners_hands_over,
        learners_come_and_go_with_one_entry,
        a_promotion_goes_through_a_joint_configuration,
        what_is_known_of_a_follower_stays_known,
        who_leaves_hears_of_it,
        who_has_left_counts_for_nothing,
        a_new_leader_tells_those_who_left,
        a_newcomer_follows_a_leader_that_it_does_not_know,
        answers_of_strangers_are_not_heard,
        the_check_asks_both_majorities,
        the_last_contact_is_that_of_both_majorities,
        reads_are_counted_under_the_configuration_in_use,
        reads_fail_when_the_leader_is_removed,
        leadership_goes_to_voters_of_the_new_configuration,
    };
    return bench_main("raft, removal", tests, sizeof tests / sizeof tests[0]);
}
