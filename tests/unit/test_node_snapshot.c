/* test_node_snapshot.c - a log that begins later, and followers that get the state whole: several
 * real nodes with memory disks, a network and a clock that the test owns. */
#include "tests/support/cluster.h"

#include <holdfast/log.h>

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

enum { KEEP = 20 };

static struct cluster *new_cluster(uint32_t n, uint64_t seed, uint64_t keep)
{
    struct cluster_options options = { .n = n, .seed = seed, .delay_min_ms = 1, .delay_max_ms = 2,
                                       .disk_min_ms = 1, .disk_max_ms = 3, .log_keep = keep,
                                       .snapshot_part = 512 };
    return cluster_new(&options);
}

static uint32_t must_lead(struct cluster *cluster)
{
    int leader = cluster_await_leader(cluster);
    ck_assert_msg(leader >= 0, "a leader within ten seconds");
    return (uint32_t)leader;
}

/* `n` writes at once, of keys k0, k1, ... k9 in turn, numbered from `from`. */
static void must_write(struct cluster *cluster, uint32_t node, uint32_t from, uint32_t n)
{
    struct client_op *ops = calloc(n, sizeof *ops);
    ck_assert_ptr_nonnull(ops);
    for (uint32_t i = 0; i < n; i++) {
        char key[16], value[16];
        snprintf(key, sizeof key, "k%u", (from + i) % 10);
        snprintf(value, sizeof value, "v%u", from + i);
        client_put(cluster, node, &ops[i], key, value, 15000);
    }
    for (uint32_t i = 0; i < n; i++) {
        client_wait(&ops[i]);
        ck_assert_msg(ops[i].err == OK, "write %u: %s", from + i, err_name(ops[i].err));
    }
    free(ops);
}

/* The last ten writes of must_write are there. */
static void must_hold(struct cluster *cluster, uint32_t node, uint32_t end)
{
    for (uint32_t i = end - 10; i < end; i++) {
        struct client_op op;
        char key[16], value[16];
        snprintf(key, sizeof key, "k%u", i % 10);
        snprintf(value, sizeof value, "v%u", i);
        client_get(cluster, node, &op, key, CONSISTENCY_LINEARIZABLE, 10000);
        client_wait(&op);
        ck_assert_msg(op.err == OK && op.found, "get %s at node %u: %s", key, node,
                      err_name(op.err));
        ck_assert_str_eq(op.value, value);
    }
}

static struct node_status status_of(struct cluster *cluster, uint32_t node)
{
    struct node_status status;
    node_status(cluster_node(cluster, node), &status);
    return status;
}

static struct node_stats stats_of(struct cluster *cluster, uint32_t node)
{
    struct node_stats stats;
    node_stats(cluster_node(cluster, node), &stats);
    return stats;
}

/* ---- compaction */

START_TEST(the_log_keeps_a_tail_and_no_more)
{
    struct cluster *cluster = new_cluster(3, 3, KEEP);
    uint32_t leader = must_lead(cluster);
    must_write(cluster, leader, 0, 500);
    cluster_run(cluster, 4000);
    for (uint32_t i = 0; i < 3; i++) {
        struct node_status s = status_of(cluster, i);
        ck_assert_uint_ge(s.last, 500);
        ck_assert_msg(s.first <= s.durable + 1, "only what the state holds durably may go");
        ck_assert_msg(s.last - s.first + 1 >= KEEP, "node %u keeps %d", i, (int)(s.last - s.first));
        ck_assert_msg(s.last - s.first + 1 <= 2 * KEEP, "node %u keeps %d", i,
                      (int)(s.last - s.first));
        must_hold(cluster, i, 500);
    }
    cluster_free(cluster);
}
END_TEST

/* B53, B58: the log of all is empty but for its base; one leads, and goes on. */
START_TEST(a_cluster_whose_logs_are_compacted_starts_again)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct cluster *cluster = new_cluster(3, seed, 1);
        uint32_t leader = must_lead(cluster);
        must_write(cluster, leader, 0, 100);
        cluster_run(cluster, seed % 2 == 0 ? 4000 : 1000 + 37 * seed);
        for (uint32_t i = 0; i < 3; i++)
            cluster_crash(cluster, i, seed % 3);
        for (uint32_t i = 0; i < 3; i++)
            cluster_restart(cluster, i);
        leader = must_lead(cluster);
        must_write(cluster, leader, 100, 100);
        for (uint32_t i = 0; i < 3; i++)
            must_hold(cluster, i, 200);
        cluster_free(cluster);
    }
}
END_TEST

START_TEST(a_follower_within_the_tail_needs_no_snapshot)
{
    struct cluster *cluster = new_cluster(3, 5, 200);
    uint32_t leader = must_lead(cluster), lame = (leader + 1) % 3;
    must_write(cluster, leader, 0, 1000);
    cluster_run(cluster, 3000);
    cluster_crash(cluster, lame, 0);
    must_write(cluster, leader, 1000, 150);
    cluster_run(cluster, 3000);
    cluster_restart(cluster, lame);
    must_hold(cluster, lame, 1150);
    ck_assert_uint_eq(stats_of(cluster, lame).snapshots_installed, 0);
    cluster_free(cluster);
}
END_TEST

int main(void)
{
    log_setup(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT, "test");
    Suite *suite = suite_create("node: compaction and snapshots");
    TCase *tcase = tcase_create("snapshots");
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, the_log_keeps_a_tail_and_no_more);
    tcase_add_test(tcase, a_cluster_whose_logs_are_compacted_starts_again);
    tcase_add_test(tcase, a_follower_within_the_tail_needs_no_snapshot);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
