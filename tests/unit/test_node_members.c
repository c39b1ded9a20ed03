/* test_node_members.c - changes of the members, on several real nodes with memory disks, a network and
 * a clock that the test owns. */
#include "tests/support/cluster.h"

#include <holdfast/log.h>

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

static struct cluster *calm_cluster(uint32_t n, uint64_t seed)
{
    struct cluster_options options = { .n = n, .seed = seed, .delay_min_ms = 1, .delay_max_ms = 2,
                                       .disk_min_ms = 1, .disk_max_ms = 3 };
    struct cluster *cluster = cluster_new(&options);
    ck_assert_int_ge(cluster_await_leader(cluster), 0);
    cluster_run(cluster, 1000);
    return cluster;
}

static uint32_t must_lead(struct cluster *cluster)
{
    int leader = cluster_await_leader(cluster);
    ck_assert_msg(leader >= 0, "a leader within ten seconds");
    return (uint32_t)leader;
}

static void must_put(struct cluster *cluster, uint32_t node, const char *key, const char *value)
{
    struct client_op op;
    client_put(cluster, node, &op, key, value, 5000);
    client_wait(&op);
    ck_assert_msg(op.err == OK, "put %s=%s at node %u: %s", key, value, node, err_name(op.err));
}

static void must_get(struct cluster *cluster, uint32_t node, const char *key, const char *value)
{
    struct client_op op;
    client_get(cluster, node, &op, key, CONSISTENCY_LINEARIZABLE, 5000);
    client_wait(&op);
    ck_assert_msg(op.err == OK && op.found, "get %s at node %u: %s", key, node, err_name(op.err));
    ck_assert_str_eq(op.value, value);
}

static struct member_change about(enum member_change_type type, struct cluster *cluster, uint32_t i)
{
    struct member_change change = { .type = type, .id = cluster_id(cluster, i) };
    if (type == MEMBER_ADD)
        snprintf(change.raft_addr, sizeof change.raft_addr, "%s", cluster_raft_addr(cluster, i));
    return change;
}

static enum err change(struct cluster *cluster, uint32_t at, const struct member_change *wish,
                       struct client_op *op)
{
    client_change(cluster, at, op, wish, 5000);
    client_wait(op);
    return op->err;
}

static void must_change(struct cluster *cluster, uint32_t at, struct member_change wish)
{
    struct client_op op;
    enum err err;
    for (int i = 0; (err = change(cluster, at, &wish, &op)) == ERR_CHANGE_UNDER_WAY && i < 50; i++)
        cluster_run(cluster, 100); /* another one, perhaps the cluster's own */
    ck_assert_msg(err == OK, "change %d at node %u: %s: %s", wish.type, at, err_name(err), op.why);
}

/* ---- what is waited for */

struct wanted {
    uint32_t at, i;
    bool voter, member;
};

static bool is_as_wanted(struct cluster *cluster, void *arg)
{
    const struct wanted *wanted = arg;
    struct node_member members[MEMBERS_MAX];
    if (cluster_node(cluster, wanted->at) == NULL)
        return false;
    uint32_t n = node_members(cluster_node(cluster, wanted->at), members);
    for (uint32_t i = 0; i < n; i++)
        if (members[i].id == cluster_id(cluster, wanted->i))
            return wanted->member && members[i].voter == wanted->voter && !members[i].leaving;
    return !wanted->member;
}

static void await(struct cluster *cluster, uint32_t at, uint32_t i, bool member, bool voter)
{
    struct wanted wanted = { at, i, voter, member };
    ck_assert_msg(cluster_run_until(cluster, is_as_wanted, &wanted, 20000),
                  "node %u sees node %u as %s", at, i, !member ? "gone" : voter ? "voter" : "learner");
}

static uint32_t join(struct cluster *cluster, uint32_t via)
{
    uint32_t i = cluster_newcomer(cluster, via);
    must_change(cluster, via, about(MEMBER_ADD, cluster, i));
    return i;
}

static bool was_told(struct cluster *cluster, void *arg)
{
    return cluster_removed(cluster, *(uint32_t *)arg) != NULL;
}

static void await_told(struct cluster *cluster, uint32_t i)
{
    ck_assert_msg(cluster_run_until(cluster, was_told, &i, 20000), "node %u is told", i);
}

/* ---- growing and shrinking */

START_TEST(a_cluster_grows_from_one_to_five_and_every_node_serves)
{
    struct cluster *cluster = calm_cluster(1, 1);
    must_put(cluster, 0, "a", "1");
    for (uint32_t i = 1; i < 5; i++) {
        ck_assert_uint_eq(join(cluster, i - 1), i); /* through the one that came last */
        for (uint32_t at = 0; at <= i; at++)
            await(cluster, at, i, true, true);
        must_put(cluster, i, "a", "2");
    }
    cluster_run(cluster, 3000);
    uint32_t leader = must_lead(cluster);
    cluster_crash(cluster, leader, 0); /* and then any other two */
    cluster_crash(cluster, (leader + 1) % 5, 0);
    must_get(cluster, (leader + 2) % 5, "a", "2");
    cluster_free(cluster);
}
END_TEST

START_TEST(all_nodes_restart_with_the_members_that_they_had)
{
    struct cluster *cluster = calm_cluster(1, 2);
    uint32_t second = join(cluster, 0);
    await(cluster, 0, second, true, true);
    uint32_t third = join(cluster, 1);
    await(cluster, 1, third, true, true);
    must_put(cluster, 2, "a", "1");
    for (int flushed = 0; flushed < 2; flushed++) { /* from the log alone, and from the state */
        for (uint32_t i = 0; i < 3; i++)
            cluster_crash(cluster, i, 100);
        for (uint32_t i = 0; i < 3; i++)
            cluster_restart(cluster, i);
        must_lead(cluster);
        must_get(cluster, 2, "a", "1");
        for (uint32_t i = 0; i < 3; i++)
            await(cluster, i, 2, true, true);
        cluster_run(cluster, 5000);
    }
    cluster_free(cluster);
}
END_TEST

START_TEST(a_learner_that_is_to_stay_one_is_not_promoted_unasked)
{
    struct cluster *cluster = calm_cluster(3, 3);
    uint32_t i = cluster_newcomer(cluster, 0);
    struct member_change add = about(MEMBER_ADD, cluster, i);
    add.stay_learner = true;
    must_change(cluster, 0, add);
    must_put(cluster, i, "a", "1");
    must_get(cluster, i, "a", "1");
    cluster_run(cluster, 30000);
    await(cluster, 0, i, true, false);
    cluster_crash(cluster, must_lead(cluster), 0); /* nor by the next leader */
    must_lead(cluster);
    cluster_run(cluster, 30000);
    uint32_t leader = must_lead(cluster);
    await(cluster, leader, i, true, false);
    must_change(cluster, leader, about(MEMBER_PROMOTE, cluster, i));
    await(cluster, i, i, true, true);
    cluster_free(cluster);
}
END_TEST

static const char *name_at(struct cluster *cluster, uint32_t at, uint32_t i)
{
    static struct node_member members[MEMBERS_MAX];
    uint32_t n = node_members(cluster_node(cluster, at), members);
    for (uint32_t k = 0; k < n; k++)
        if (members[k].id == cluster_id(cluster, i))
            return members[k].name;
    return "";
}

/* Else one that dies soon could not be named in the command that replaces it. */
START_TEST(a_learner_has_its_vote_once_its_name_is_known)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct cluster *cluster = calm_cluster(1, seed);
        cluster_set_loss(cluster, 30); /* the announcement gets lost, too */
        uint32_t i = join(cluster, 0);
        await(cluster, 0, i, true, true);
        ck_assert_str_ne(name_at(cluster, 0, i), "");
        cluster_free(cluster);
    }
}
END_TEST

START_TEST(a_removed_node_is_told_and_remembers)
{
    struct cluster *cluster = calm_cluster(3, 4);
    uint32_t leader = must_lead(cluster), gone = (leader + 1) % 3;
    must_change(cluster, leader, about(MEMBER_REMOVE, cluster, gone));
    await(cluster, leader, gone, false, false);
    await_told(cluster, gone);
    cluster_run(cluster, 100);
    must_put(cluster, leader, "a", "1");
    must_change(cluster, leader, about(MEMBER_REMOVE, cluster, gone)); /* asked again: fine */
    cluster_free(cluster);
}
END_TEST

START_TEST(who_was_away_when_it_was_removed_is_told_when_it_comes)
{
    struct cluster *cluster = calm_cluster(3, 5);
    uint32_t leader = must_lead(cluster), gone = (leader + 1) % 3;
    struct node_status before, after;
    cluster_crash(cluster, gone, 0);
    must_change(cluster, leader, about(MEMBER_REMOVE, cluster, gone));
    cluster_run(cluster, 70000);
    node_status(cluster_node(cluster, leader), &before);
    cluster_restart(cluster, gone);
    await_told(cluster, gone);
    node_status(cluster_node(cluster, leader), &after);
    ck_assert_msg(after.term == before.term && after.role == RAFT_LEADER,
                  "B10: who was removed disturbs nobody");
    cluster_free(cluster);
}
END_TEST

START_TEST(a_leader_that_is_removed_hands_over_first)
{
    struct cluster *cluster = calm_cluster(3, 6);
    uint32_t leader = must_lead(cluster);
    struct node_status before, after;
    node_status(cluster_node(cluster, leader), &before);
    must_change(cluster, leader, about(MEMBER_REMOVE, cluster, leader));
    uint32_t next = must_lead(cluster);
    ck_assert_uint_ne(next, leader);
    await(cluster, next, leader, false, false);
    await_told(cluster, leader);
    node_status(cluster_node(cluster, next), &after);
    ck_assert_uint_eq(after.term, before.term + 1); /* no election but the one that was asked for */
    must_put(cluster, next, "a", "1");
    cluster_free(cluster);
}
END_TEST

/* ---- replacing */

START_TEST(a_dead_node_is_replaced_in_one_step)
{
    struct cluster *cluster = calm_cluster(3, 7);
    uint32_t leader = must_lead(cluster), dead = (leader + 1) % 3;
    cluster_crash(cluster, dead, 0);
    uint32_t new = cluster_newcomer(cluster, leader);
    struct member_change replace = { .type = MEMBER_REPLACE, .id = cluster_id(cluster, dead),
                                     .newcomer = cluster_id(cluster, new) };
    snprintf(replace.raft_addr, sizeof replace.raft_addr, "%s", cluster_raft_addr(cluster, new));
    must_change(cluster, leader, replace);
    struct node_member members[MEMBERS_MAX];
    struct wanted gone = { leader, dead, false, false };
    while (!is_as_wanted(cluster, &gone)) {
        uint32_t n = node_members(cluster_node(cluster, leader), members), voters = 0;
        for (uint32_t i = 0; i < n; i++)
            voters += members[i].voter && !members[i].leaving;
        ck_assert_msg(voters == 3, "always three voters, here %u", voters);
        ck_assert(cluster_step(cluster, UINT64_MAX));
    }
    await(cluster, new, new, true, true);
    must_change(cluster, leader, replace); /* asked again: fine */
    cluster_restart(cluster, dead);
    await_told(cluster, dead);
    cluster_free(cluster);
}
END_TEST

START_TEST(a_replacement_is_finished_by_the_next_leader)
{
    struct cluster *cluster = calm_cluster(3, 8);
    uint32_t leader = must_lead(cluster);
    uint32_t new = cluster_newcomer(cluster, leader);
    cluster_crash(cluster, new, 0); /* it does not catch up yet */
    struct member_change replace = { .type = MEMBER_REPLACE, .id = cluster_id(cluster, leader),
                                     .newcomer = cluster_id(cluster, new) };
    snprintf(replace.raft_addr, sizeof replace.raft_addr, "%s", cluster_raft_addr(cluster, new));
    must_change(cluster, leader, replace);
    cluster_crash(cluster, leader, 100);
    cluster_restart(cluster, new);
    uint32_t next = must_lead(cluster);
    await(cluster, next, new, true, true);
    await(cluster, next, leader, false, false);
    cluster_free(cluster);
}
END_TEST

START_TEST(a_leader_that_is_replaced_hands_over)
{
    struct cluster *cluster = calm_cluster(3, 9);
    uint32_t leader = must_lead(cluster);
    uint32_t new = join(cluster, leader);
    await(cluster, leader, new, true, true);
    struct member_change replace = { .type = MEMBER_REPLACE, .id = cluster_id(cluster, leader),
                                     .newcomer = cluster_id(cluster, new) };
    must_change(cluster, leader, replace);
    await_told(cluster, leader);
    must_put(cluster, new, "a", "1");
    cluster_free(cluster);
}
END_TEST

/* ---- refusals */

START_TEST(of_two_changes_at_once_exactly_one_is_accepted)
{
    for (uint64_t seed = 10; seed < 30; seed++) {
        struct cluster *cluster = calm_cluster(5, seed);
        struct client_op ops[2];
        uint32_t accepted = 0;
        for (uint32_t i = 0; i < 2; i++) {
            struct member_change wish = about(MEMBER_REMOVE, cluster, i);
            client_change(cluster, 2 + i, &ops[i], &wish, 5000);
        }
        for (uint32_t i = 0; i < 2; i++) {
            client_wait(&ops[i]);
            accepted += ops[i].err == OK;
            ck_assert_msg(ops[i].err == OK || ops[i].err == ERR_CHANGE_UNDER_WAY, "seed %u: %s",
                          (unsigned)seed, err_name(ops[i].err));
        }
        /* A leader that is to be removed hands over first: the second may then come after the first. */
        int leader = cluster_leader(cluster);
        ck_assert_msg(accepted >= 1, "seed %u: %u accepted", (unsigned)seed, accepted);
        ck_assert_msg(accepted == 1 || leader >= 0, "seed %u: both", (unsigned)seed);
        cluster_free(cluster);
    }
}
END_TEST

START_TEST(what_would_lose_the_quorum_is_refused_with_the_reason)
{
    struct cluster *cluster = calm_cluster(3, 40);
    uint32_t leader = must_lead(cluster), dead = (leader + 1) % 3, other = (leader + 2) % 3;
    struct client_op op;
    cluster_crash(cluster, dead, 0);
    cluster_run(cluster, 2000);
    struct member_change wish = about(MEMBER_REMOVE, cluster, other); /* then 1 of 2 */
    ck_assert_int_eq(change(cluster, leader, &wish, &op), ERR_QUORUM_AT_RISK);
    ck_assert_ptr_nonnull(strstr(op.why, cluster_raft_addr(cluster, dead)));
    must_change(cluster, leader, about(MEMBER_REMOVE, cluster, dead)); /* the dead one may go */
    cluster_free(cluster);
}
END_TEST

START_TEST(the_last_voter_stays)
{
    struct cluster *cluster = calm_cluster(1, 41);
    struct member_change wish = about(MEMBER_REMOVE, cluster, 0);
    struct client_op op;
    wish.force = true;
    ck_assert_int_eq(change(cluster, 0, &wish, &op), ERR_QUORUM_AT_RISK);
    must_put(cluster, 0, "a", "1");
    cluster_free(cluster);
}
END_TEST

START_TEST(an_address_has_one_voter_and_an_id_one_life)
{
    struct cluster *cluster = calm_cluster(3, 42);
    uint32_t leader = must_lead(cluster), other = (leader + 1) % 3;
    struct client_op op;
    struct member_change wish = about(MEMBER_ADD, cluster, other);
    wish.id = 77;
    ck_assert_int_eq(change(cluster, leader, &wish, &op), ERR_MEMBER_EXISTS);
    wish.id = 78;
    wish.type = MEMBER_REMOVE;
    ck_assert_int_eq(change(cluster, leader, &wish, &op), ERR_NO_MEMBER);
    must_change(cluster, leader, about(MEMBER_REMOVE, cluster, other));
    wish = about(MEMBER_ADD, cluster, other);
    ck_assert_int_eq(change(cluster, leader, &wish, &op), ERR_BAD_REQUEST);
    cluster_free(cluster);
}
END_TEST

/* ---- learners that never come, and those that ask again */

START_TEST(a_learner_that_never_came_is_dropped)
{
    struct cluster *cluster = calm_cluster(3, 43);
    uint32_t leader = must_lead(cluster);
    uint32_t new = cluster_newcomer(cluster, leader);
    cluster_crash(cluster, new, 0);
    must_change(cluster, leader, about(MEMBER_ADD, cluster, new));
    cluster_run(cluster, 9 * 60 * 1000);
    await(cluster, leader, new, true, false);
    cluster_run(cluster, 2 * 60 * 1000);
    await(cluster, leader, new, false, false);
    cluster_free(cluster);
}
END_TEST

START_TEST(who_asks_again_from_its_address_takes_the_place_of_its_earlier_life)
{
    struct cluster *cluster = calm_cluster(3, 44);
    uint32_t leader = must_lead(cluster);
    uint32_t new = cluster_newcomer(cluster, leader);
    struct member_change lost = { .type = MEMBER_REPLACE, .id = cluster_id(cluster, (leader + 1) % 3),
                                  .newcomer = 99 };
    snprintf(lost.raft_addr, sizeof lost.raft_addr, "%s", cluster_raft_addr(cluster, new));
    must_change(cluster, leader, lost);
    must_change(cluster, leader, about(MEMBER_ADD, cluster, new)); /* with its task */
    await(cluster, leader, new, true, true);
    await(cluster, leader, (leader + 1) % 3, false, false);
    cluster_free(cluster);
}
END_TEST

/* ---- addresses and leadership */

START_TEST(who_comes_back_under_another_address_is_found_there)
{
    struct cluster *cluster = calm_cluster(3, 45);
    uint32_t moved = (must_lead(cluster) + 1) % 3;
    struct node_member members[MEMBERS_MAX];
    cluster_move(cluster, moved, "elsewhere.test:9009");
    cluster_run(cluster, 5000);
    for (uint32_t at = 0; at < 3; at++) {
        uint32_t n = node_members(cluster_node(cluster, at), members);
        for (uint32_t i = 0; i < n; i++)
            if (members[i].id == cluster_id(cluster, moved))
                ck_assert_str_eq(members[i].raft_addr, "elsewhere.test:9009");
    }
    cluster_free(cluster);
}
END_TEST

START_TEST(the_leadership_goes_where_it_is_asked_to)
{
    struct cluster *cluster = calm_cluster(3, 46);
    for (int round = 0; round < 6; round++) {
        struct client_op op;
        uint32_t leader = must_lead(cluster), to = (leader + 1) % 3;
        client_transfer(cluster, (uint32_t)round % 3, &op, round < 5 ? cluster_id(cluster, to) : 0,
                        5000);
        client_wait(&op);
        ck_assert_msg(op.err == OK, "%s: %s", err_name(op.err), op.why);
        ck_assert_uint_ne(must_lead(cluster), leader);
        if (round < 5)
            ck_assert_uint_eq(must_lead(cluster), to);
    }
    cluster_free(cluster);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_cluster_grows_from_one_to_five_and_every_node_serves,
        all_nodes_restart_with_the_members_that_they_had,
        a_learner_that_is_to_stay_one_is_not_promoted_unasked,
        a_learner_has_its_vote_once_its_name_is_known,
        a_removed_node_is_told_and_remembers,
        who_was_away_when_it_was_removed_is_told_when_it_comes,
        a_leader_that_is_removed_hands_over_first,
        a_dead_node_is_replaced_in_one_step,
        a_replacement_is_finished_by_the_next_leader,
        a_leader_that_is_replaced_hands_over,
        of_two_changes_at_once_exactly_one_is_accepted,
        what_would_lose_the_quorum_is_refused_with_the_reason,
        the_last_voter_stays,
        an_address_has_one_voter_and_an_id_one_life,
        a_learner_that_never_came_is_dropped,
        who_asks_again_from_its_address_takes_the_place_of_its_earlier_life,
        who_comes_back_under_another_address_is_found_there,
        the_leadership_goes_where_it_is_asked_to,
    };
    log_set_level(getenv("NODE_LOG") != NULL ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR);
    Suite *suite = suite_create("members");
    TCase *tcase = tcase_create("members");
    tcase_set_timeout(tcase, 120);
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++)
        tcase_add_test(tcase, tests[i]);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
