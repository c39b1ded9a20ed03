/* test_membership.c - changes of the configuration: §6 of the paper, chapter 4 of the thesis, and
 * the bugs that others had with them (B numbers: docs/TESTING.md). */
#include "tests/paper/bench.h"

#include <stdlib.h>
#include <string.h>

#define SENT(type, to) bench_sent(&b, type, to)

static struct bench b;

/* ---- the steps */

/* "the cluster first switches to a transitional configuration we call joint consensus", §6; "once
 * a given server adds the new configuration entry to its log, it uses that configuration" */
START_TEST(a_leader_uses_the_joint_configuration_at_once)
{
    bench_lead(&b, "1v 2v 3v");
    ck_assert_int_eq(bench_change(&b, "1v 2v 4v"), RAFT_OK);
    bench_must_use(&b, "1vo 2vo 3ox 4v", 3);
    ck_assert_uint_eq(b.u.what, RAFT_SAVE_ENTRIES | RAFT_SAVE_MEMBERS | RAFT_NEW_MEMBERS);
    ck_assert_uint_eq(b.u.save.first, 3);
    ck_assert_uint_eq(b.u.save.n, 1);
    ck_assert_uint_gt(b.u.ticket, 0);
    for (raft_id id = 2; id <= 4; id++)
        ck_assert_ptr_nonnull(SENT(RAFT_APPEND, id)); /* "log entries are replicated to all" */
    ck_assert_uint_eq(b.trace_v[RAFT_TRACE_MEMBERS][0], 3);
    ck_assert_uint_eq(b.trace_v[RAFT_TRACE_MEMBERS][1], 4);
    ck_assert_uint_eq(b.trace_v[RAFT_TRACE_MEMBERS][2], 3);
    ck_assert_uint_eq(b.trace_v[RAFT_TRACE_MEMBERS][3], 1);
    bench_fini(&b);
}
END_TEST

/* "Agreement (for elections and entry commitment) requires separate majorities from both the old
 * and new configurations" */
START_TEST(joint_commits_need_both_majorities)
{
    bench_lead(&b, "1v 2v 3v");
    bench_change(&b, "1v 4v 5v");
    bench_persist(&b);
    bench_accept(&b, 2, 3); /* old: 1 2 */
    bench_accept(&b, 3, 3);
    ck_assert_uint_eq(b.u.commit, 2);
    bench_accept(&b, 5, 3); /* new: 1 5 */
    ck_assert_uint_eq(b.u.commit, 3);
    bench_fini(&b);

    bench_lead(&b, "1v 2v 3v");
    bench_change(&b, "1v 4v 5v");
    bench_persist(&b);
    bench_accept(&b, 4, 3);
    bench_accept(&b, 5, 3);
    ck_assert_uint_eq(b.u.commit, 2);
    bench_accept(&b, 3, 3);
    ck_assert_uint_eq(b.u.commit, 3);
    bench_fini(&b);
}
END_TEST

/* "Once C_old,new has been committed ... it is now safe for the leader to create a log entry
 * describing C_new and replicate it to the cluster" */
START_TEST(the_leader_leaves_the_joint_configuration_by_itself)
{
    bench_lead(&b, "1v 2v 3v");
    bench_change(&b, "1v 2v 4v");
    bench_persist(&b);
    bench_accept(&b, 4, 3);
    bench_must_use(&b, "1vo 2vo 3ox 4v", 3); /* not yet */
    ck_assert_uint_eq(raft_last_index(b.raft), 3);
    bench_accept(&b, 2, 3);
    ck_assert_uint_eq(b.u.commit, 3);
    ck_assert_uint_eq(b.u.what,
                      RAFT_COMMITTED | RAFT_SAVE_ENTRIES | RAFT_SAVE_MEMBERS | RAFT_NEW_MEMBERS);
    ck_assert_uint_eq(b.u.save.first, 4);
    bench_must_use(&b, "1v 2v 4v", 4);
    ck_assert_ptr_nonnull(SENT(RAFT_APPEND, 4));
    bench_persist(&b);
    ck_assert_uint_eq(b.u.commit, 3); /* itself alone is no majority of 1 2 4 */
    bench_accept(&b, 4, 4);
    ck_assert_uint_eq(b.u.commit, 4);
    bench_must_use(&b, "1v 2v 4v", 4);
    bench_fini(&b);
}
END_TEST

/* Whoever leads when the joint entry is committed goes on, whoever began it (B31). */
START_TEST(another_leader_finishes_the_change)
{
    bench_init(&b, 3, 0);
    bench_boot(&b, 1, 0, 1, TERMS(1));
    bench_append_members(&b, 2, 2, 1, 1, "1vo 2vo 3ox 4v", 1); /* entry 2, not committed */
    bench_become_candidate(&b);
    bench_persist(&b);
    bench_grant(&b, 2, b.u.term);
    bench_grant(&b, 4, b.u.term);
    ck_assert_int_eq(b.u.role, RAFT_LEADER);
    bench_persist(&b);
    ck_assert_int_eq(bench_change(&b, "1v 2v 3v"), RAFT_BUSY);
    bench_accept(&b, 2, 2);
    bench_accept(&b, 4, 2); /* the joint entry is on both majorities; but of an older term */
    ck_assert_uint_eq(b.u.commit, 1);
    bench_accept(&b, 2, 3);
    ck_assert_uint_eq(b.u.commit, 3);
    bench_must_use(&b, "1v 2v 4v", 4);
    ck_assert(b.u.what & RAFT_SAVE_MEMBERS);
    bench_fini(&b);
}
END_TEST

START_TEST(a_new_leader_finishes_a_committed_joint_configuration)
{
    bench_init(&b, 3, 0);
    bench_boot(&b, 1, 0, 1, TERMS(1));
    bench_append_members(&b, 2, 2, 1, 1, "1vo 2vo 3ox 4v", 2); /* committed */
    ck_assert_uint_eq(b.u.commit, 2);
    bench_become_candidate(&b);
    bench_persist(&b);
    bench_grant(&b, 2, b.u.term);
    bench_grant(&b, 4, b.u.term);
    bench_persist(&b);
    ck_assert_int_eq(bench_change(&b, "1v 2v 3v 4v"), RAFT_BUSY);
    bench_accept(&b, 4, 3);
    bench_must_use(&b, "1vo 2vo 3ox 4v", 2); /* nothing of the own term is committed */
    bench_accept(&b, 2, 3);
    bench_must_use(&b, "1v 2v 4v", 4);
    bench_fini(&b);
}
END_TEST

/* B33: the joint configuration survives a crash, committed or not. */
START_TEST(a_restart_keeps_the_joint_configuration)
{
    for (raft_index commit = 1; commit <= 2; commit++) {
        bench_init(&b, 3, 0);
        struct raft_config_at at = { .index = 2, .members = bench_members("1vo 2vo 3ox 4v 5v") };
        b.configs = &at;
        b.n_configs = 1;
        if (commit == 2) {
            b.members = at.members;
            b.n_configs = 0;
        }
        bench_boot(&b, 2, 0, commit, TERMS(1, 2));
        bench_tick(&b, 0);
        bench_must_use(&b, "1vo 2vo 3ox 4v 5v", commit == 2 ? 0 : 2);
        bench_become_candidate(&b);
        bench_persist(&b);
        bench_grant(&b, 2, b.u.term);
        bench_grant(&b, 3, b.u.term);
        ck_assert_int_eq(b.u.role, RAFT_CANDIDATE); /* 4 and 5 have not granted */
        bench_grant(&b, 4, b.u.term);
        ck_assert_int_eq(b.u.role, RAFT_LEADER);
        bench_fini(&b);
    }
}
END_TEST

/* ---- one at a time */

/* B29: "no change before a commit of the own term"; B30: no two changes at once. */
START_TEST(a_change_waits_for_the_one_before)
{
    bench_init(&b, 3, 0);
    bench_boot(&b, 1, 0, 1, TERMS(1));
    ck_assert_int_eq(bench_change(&b, "1v 2v"), RAFT_NOT_LEADER);
    bench_become_leader(&b);
    ck_assert_int_eq(bench_change(&b, "1v 2v"), RAFT_BUSY);
    bench_persist(&b);
    bench_accept(&b, 2, 1);
    ck_assert_int_eq(bench_change(&b, "1v 2v"), RAFT_BUSY);
    bench_accept(&b, 2, 2);
    ck_assert_int_eq(bench_change(&b, "1v 2v"), RAFT_OK);
    ck_assert_int_eq(bench_change(&b, "1v 2v 3v 4v"), RAFT_BUSY);
    bench_persist(&b);
    bench_accept(&b, 2, 3);
    ck_assert_uint_eq(b.u.commit, 3);
    ck_assert_int_eq(bench_change(&b, "1v 2v 3v 4v"), RAFT_BUSY); /* C_new is not committed */
    bench_persist(&b);
    bench_accept(&b, 2, 4);
    ck_assert_int_eq(bench_change(&b, "1v 2v 3v 4v"), RAFT_OK);
    ck_assert_uint_eq(b.u.save.first, 5);
    bench_fini(&b);
}
END_TEST

START_TEST(no_change_during_a_transfer)
{
    bench_lead(&b, "1v 2v 3v");
    ck_assert_int_eq(bench_transfer(&b, 2), RAFT_OK);
    ck_assert_int_eq(bench_change(&b, "1v 2v"), RAFT_NOT_LEADER);
    bench_fini(&b);
}
END_TEST

START_TEST(impossible_changes_are_refused)
{
    bench_lead(&b, "1v 2v 3v 4");
    const char *wrong[] = {
        "",                                    /* nobody */
        "1 2 3 4",                             /* no voter */
        "1v 2v 2v",                            /* twice */
        "0v 1v 2v",                            /* nobody's id */
        "1vo 2v",                              /* joint */
        "1v 2v 3v 4",                          /* nothing would change */
        "4 3v 2v 1v",                          /* nor here */
        "1v 2v 3v 4v 5v 6v 7v 8v",             /* RAFT_VOTERS_MAX */
        "11v 12 13 14 15 16 17 18 19 20 21 22 23", /* 4 + 13 of both */
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        ck_assert_msg(bench_change(&b, wrong[i]) == RAFT_INVALID, "%s", wrong[i]);
        ck_assert_uint_eq(b.u.what, 0);
    }
    ck_assert_int_eq(bench_change(&b, "11v 12 13 14 15 16 17 18 19 20 21 22"), RAFT_OK);
    bench_fini(&b);
}
END_TEST

/* ---- followers */

/* "a server always uses the latest configuration in its log, regardless of whether the entry is
 * committed"; B32: when it is erased, the one before */
START_TEST(an_erased_configuration_is_rolled_back)
{
    bench_init(&b, 3, 0);
    bench_boot(&b, 1, 0, 1, TERMS(1));
    bench_append_members(&b, 2, 2, 1, 1, "1vo 2vo 3vo 4v 5v", 1);
    bench_must_use(&b, "1vo 2vo 3vo 4v 5v", 2);
    ck_assert(b.u.what & RAFT_NEW_MEMBERS);
    bench_append(&b, 3, 3, 1, 1, TERMS(3, 3), 1); /* its leader lost */
    bench_must_use(&b, "1v 2v 3v", 0);
    ck_assert(b.u.what & RAFT_NEW_MEMBERS);
    bench_become_candidate(&b);
    bench_persist(&b);
    ck_assert_ptr_null(SENT(RAFT_VOTE, 4));
    bench_grant(&b, 2, b.u.term); /* a majority of three is enough again */
    ck_assert_int_eq(b.u.role, RAFT_LEADER);
    bench_fini(&b);
}
END_TEST

START_TEST(a_configuration_may_replace_another_in_one_step)
{
    bench_init(&b, 3, 0);
    bench_boot(&b, 1, 0, 1, TERMS(1));
    bench_append_members(&b, 2, 2, 1, 1, "1vo 2vo 3vo 4v", 1);
    bench_append_members(&b, 3, 3, 1, 1, "1v 2v 3v 6", 1);
    bench_must_use(&b, "1v 2v 3v 6", 2);
    bench_append(&b, 3, 3, 2, 3, NO_TERMS, 2); /* committed: no way back */
    bench_must_use(&b, "1v 2v 3v 6", 2);
    bench_fini(&b);
}
END_TEST

/* More configurations than are remembered: all but the last were committed when the next was
 * appended, so none that is forgotten can be needed. */
START_TEST(a_long_history_is_followed)
{
    bench_init(&b, 3, 0);
    bench_boot(&b, 1, 0, 1, TERMS(1));
    for (raft_index i = 2; i <= 2 * RAFT_CONFIGS_MAX; i++) {
        bench_append_members(&b, 2, 2, i - 1, i == 2 ? 1 : 2, i % 2 ? "1v 2v 3v" : "1v 2v 3v 4", 1);
        ck_assert(SENT(RAFT_APPEND_REPLY, 2)->append_reply.ok);
        bench_must_use(&b, i % 2 ? "1v 2v 3v" : "1v 2v 3v 4", i);
    }
    bench_append(&b, 3, 3, 2 * RAFT_CONFIGS_MAX - 1, 2, TERMS(3), 1);
    bench_must_use(&b, "1v 2v 3v", 2 * RAFT_CONFIGS_MAX - 1);
    bench_heartbeat(&b, 3, 3, 2 * RAFT_CONFIGS_MAX, 3, 0);
    bench_must_use(&b, "1v 2v 3v", 2 * RAFT_CONFIGS_MAX - 1);
    bench_fini(&b);
}
END_TEST

START_TEST(impossible_configurations_are_refused)
{
    const char *wrong[] = { "1 2", "1v 1v", "0v 1v", "1vo 2vox", "1v 2x", "1ox 2ox",
                            "1v 2v 3v 4v 5v 6v 7v 8v" };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        bench_init(&b, 3, 0);
        bench_boot(&b, 1, 0, 1, TERMS(1));
        ck_assert_int_eq(bench_append_members(&b, 2, 2, 1, 1, wrong[i], 1), RAFT_INVALID);
        bench_must_use(&b, "1v 2v 3v", 0);
        ck_assert_uint_eq(b.u.term, 1);
        bench_fini(&b);
    }
}
END_TEST

/* ---- elections */

START_TEST(joint_elections_need_both_majorities)
{
    for (int pre = 0; pre <= 1; pre++) {
        bench_init(&b, 3, 0);
        b.config.pre_vote = pre;
        b.members = bench_members("1vo 2ox 3ox 4v 5v 6");
        bench_boot(&b, 1, 0, 1, TERMS(1));
        bench_tick(&b, 200);
        enum raft_role asks = pre ? RAFT_PRECANDIDATE : RAFT_CANDIDATE;
        ck_assert_int_eq(b.u.role, asks);
        for (raft_id id = 2; id <= 5; id++)
            ck_assert_ptr_nonnull(SENT(RAFT_VOTE, id));
        ck_assert_ptr_null(SENT(RAFT_VOTE, 6));
        bench_persist(&b);
        bench_grant(&b, 2, 2);
        bench_grant(&b, 3, 2);
        bench_grant(&b, 6, 2);
        ck_assert_int_eq(b.u.role, asks);
        bench_grant(&b, 5, 2);
        ck_assert_int_eq(b.u.role, pre ? RAFT_CANDIDATE : RAFT_LEADER);
        bench_fini(&b);
    }
}
END_TEST

/* "any server from either configuration may serve as leader" */
START_TEST(who_leaves_may_still_lead_while_joint)
{
    bench_init(&b, 3, 0);
    b.members = bench_members("1ox 2vo 3vo");
    bench_boot(&b, 1, 0, 1, TERMS(1));
    bench_become_candidate(&b);
    bench_persist(&b);
    bench_grant(&b, 2, 2); /* old: 1 2; new: 2 of 2 3 */
    ck_assert_int_eq(b.u.role, RAFT_CANDIDATE);
    bench_grant(&b, 3, 2);
    ck_assert_int_eq(b.u.role, RAFT_LEADER);
    bench_fini(&b);
}
END_TEST

/* B9: the newcomer has the higher term and the shorter log.  It refuses, with its term, and the
 * next attempt is made in a term that it can grant. */
START_TEST(terms_catch_up_while_joint)
{
    bench_init(&b, 3, 0);
    b.config.pre_vote = b.config.check_quorum = true;
    b.members = bench_members("1vo 2vo 3ox 4v 5v");
    bench_boot(&b, 2, 0, 1, TERMS(1, 2));
    bench_tick(&b, 200);
    ck_assert_int_eq(b.u.role, RAFT_PRECANDIDATE);
    struct raft_msg refusal = { .type = RAFT_VOTE_REPLY, .from = 5, .term = 9 };
    refusal.vote_reply.pre = true;
    bench_recv(&b, refusal, NO_TERMS);
    ck_assert_uint_eq(b.u.term, 9);
    bench_tick(&b, 200);
    ck_assert_uint_eq(SENT(RAFT_VOTE, 5)->term, 10);
    bench_grant(&b, 2, 10);
    ck_assert_int_eq(b.u.role, RAFT_PRECANDIDATE); /* new: three of 1 2 4 5 */
    bench_grant(&b, 5, 10);
    ck_assert_int_eq(b.u.role, RAFT_CANDIDATE);
    bench_fini(&b);
}
END_TEST

/* Thesis 4.1: "A server also grants its vote to a candidate that is not part of the server's latest
 * configuration"; B12: nor need it know that it has a vote itself. */
START_TEST(votes_do_not_ask_for_membership)
{
    const char *own[] = { "1v 2v 3v", "1 2v 3v", "2v 3v", "" };
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
        bench_init(&b, 3, 0);
        b.config.pre_vote = true;
        b.members = bench_members(own[i]);
        bench_boot(&b, 1, 0, 1, TERMS(1));
        b.now += 100; /* a leader may have been alive when it started */
        bench_pre_vote(&b, 9, 2, 1, 1);
        ck_assert(SENT(RAFT_VOTE_REPLY, 9)->vote_reply.granted);
        bench_vote(&b, 9, 2, 1, 1);
        ck_assert(SENT(RAFT_VOTE_REPLY, 9)->vote_reply.granted);
        ck_assert_uint_eq(b.u.vote, 9);
        bench_fini(&b);
    }
}
END_TEST

/* A removed server, one that was not added yet, a learner: none stands, B10, B12. */
START_TEST(only_voters_stand)
{
    const char *own[] = { "2v 3v", "", "1 2v 3v", "1x 2vo 3v" };
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
        bench_init(&b, 3, 0);
        b.members = bench_members(own[i]);
        bench_boot(&b, 1, 0, 1, TERMS(1));
        for (uint32_t k = 0; k < 50; k++) {
            bench_tick(&b, 200);
            ck_assert_int_eq(b.u.role, RAFT_FOLLOWER);
            ck_assert_uint_eq(b.u.n_msgs, 0);
        }
        struct raft_msg now = { .type = RAFT_TIMEOUT_NOW, .from = 2, .term = 2 };
        bench_recv(&b, now, NO_TERMS);
        ck_assert_int_eq(b.u.role, RAFT_FOLLOWER);
        ck_assert_uint_eq(b.u.n_msgs, 0);
        bench_fini(&b);
    }
}
END_TEST

/* Thesis 4.2.3, B10: one that was cut off while it was removed asks for votes in ever higher terms.
 * The leader's term stays; what it answers is not heard. */
START_TEST(a_removed_server_disturbs_nobody)
{
    bench_lead(&b, "1v 2v 3v");
    b.config.check_quorum = true;
    bench_boot(&b, 1, 0, 1, TERMS(1)); /* anew, with the check */
    bench_become_leader(&b);
    bench_persist(&b);
    bench_accept(&b, 2, 2);
    bench_change(&b, "1v 2v");
    bench_persist(&b);
    bench_accept(&b, 2, 3);
    bench_persist(&b);
    bench_accept(&b, 2, 4);
    bench_must_use(&b, "1v 2v", 4);
    for (raft_term term = 10; term < 60; term++) {
        for (uint32_t k = 0; k < 20; k++) {
            bench_tick(&b, 10);
            bench_heartbeat_reply(&b, 2, 0);
        }
        bench_vote(&b, 3, term, 2, 2);
        struct raft_msg refusal = { .type = RAFT_APPEND_REPLY, .from = 3, .term = term };
        bench_recv(&b, refusal, NO_TERMS);
        ck_assert_int_eq(b.u.role, RAFT_LEADER);
        ck_assert_uint_eq(b.u.term, 2);
    }
    bench_fini(&b);
}
END_TEST

/* While the change that leaves it alone is not committed, the leader that makes it may lead and
 * serve reads under its lease. */
START_TEST(who_will_be_alone_waits_until_that_is_committed)
{
    bench_init(&b, 3, 0);
    b.config.pre_vote = b.config.check_quorum = true;
    bench_boot(&b, 1, 0, 1, TERMS(1));
    bench_append_members(&b, 2, 2, 1, 1, "1vo 2ox 3ox", 1);
    bench_append_members(&b, 2, 2, 2, 2, "1v", 2);
    bench_tick(&b, 1);
    ck_assert_int_eq(b.u.role, RAFT_FOLLOWER);
    bench_heartbeat(&b, 2, 2, 3, 2, 0);
    bench_tick(&b, 1);
    ck_assert_int_eq(b.u.role, RAFT_CANDIDATE);
    bench_fini(&b);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        a_leader_uses_the_joint_configuration_at_once,
        joint_commits_need_both_majorities,
        the_leader_leaves_the_joint_configuration_by_itself,
        another_leader_finishes_the_change,
        a_new_leader_finishes_a_committed_joint_configuration,
        a_restart_keeps_the_joint_configuration,
        a_change_waits_for_the_one_before,
        no_change_during_a_transfer,
        impossible_changes_are_refused,
        an_erased_configuration_is_rolled_back,
        a_configuration_may_replace_another_in_one_step,
        a_long_history_is_followed,
        impossible_configurations_are_refused,
        joint_elections_need_both_majorities,
        who_leaves_may_still_lead_while_joint,
        terms_catch_up_while_joint,
        votes_do_not_ask_for_membership,
        only_voters_stand,
        a_removed_server_disturbs_nobody,
        who_will_be_alone_waits_until_that_is_committed,
    };
    return bench_main("raft, membership", tests, sizeof tests / sizeof tests[0]);
}
