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

START_TEST(a_full_log_makes_room_by_itself)
{
    struct cluster_options options = { .n = 3, .seed = 7, .delay_min_ms = 1, .delay_max_ms = 2,
                                       .disk_min_ms = 1, .disk_max_ms = 3,
                                       .log_keep = 1000 * 1000, .log_map_bytes = 4 * 1024 * 1024 };
    struct cluster *cluster = cluster_new(&options);
    uint32_t leader = must_lead(cluster), refused = 0;
    static char value[40000];
    memset(value, 'x', sizeof value - 1);
    for (uint32_t i = 0; i < 400; i++) { /* six times what the map holds */
        struct client_op op;
        client_put(cluster, leader, &op, "big", value, 5000);
        client_wait(&op);
        if (op.err == ERR_NO_SPACE) {
            ck_assert_int_eq(op.outcome, OUTCOME_NOT_APPLIED);
            ck_assert_msg(++refused < 200, "the log stays full");
            cluster_run(cluster, 100);
            i--;
            continue;
        }
        ck_assert_msg(op.err == OK, "write %u: %s", i, err_name(op.err));
    }
    ck_assert_uint_gt(status_of(cluster, leader).first, 200);
    cluster_free(cluster);
}
END_TEST

/* ---- a follower that lags too far */

/* Node `lame` is down while `n` writes pass, and the others' logs no longer hold the oldest. */
static uint32_t leave_behind(struct cluster *cluster, uint32_t *lame, uint32_t before, uint32_t n)
{
    uint32_t leader = must_lead(cluster);
    *lame = (leader + 1) % 3;
    if (before > 0)
        must_write(cluster, leader, 0, before);
    cluster_run(cluster, 2000); /* flushed everywhere */
    cluster_crash(cluster, *lame, 0);
    must_write(cluster, leader, before, n);
    cluster_run(cluster, 3000);
    ck_assert_uint_gt(status_of(cluster, leader).first, before + 20);
    return leader;
}

struct pair {
    uint32_t a, b;
};

static bool has_caught_up(struct cluster *cluster, void *arg)
{
    struct pair *pair = arg;
    return cluster_node(cluster, pair->a) != NULL && cluster_node(cluster, pair->b) != NULL &&
           status_of(cluster, pair->a).applied >= status_of(cluster, pair->b).commit &&
           status_of(cluster, pair->b).commit > 0;
}

static void must_catch_up(struct cluster *cluster, uint32_t lame, uint32_t leader)
{
    struct pair pair = { lame, leader };
    ck_assert_msg(cluster_run_until(cluster, has_caught_up, &pair, 20000), "node %u catches up", lame);
}

static bool is_fetching(struct cluster *cluster, void *arg)
{
    uint32_t node = *(uint32_t *)arg;
    return status_of(cluster, node).fetch_bytes > 0;
}

/* Until about a third of the snapshot is here. */
static void run_into_the_fetch(struct cluster *cluster, uint32_t node)
{
    ck_assert_msg(cluster_run_until(cluster, is_fetching, &node, 5000), "node %u fetches", node);
}

START_TEST(a_follower_whose_entries_are_gone_gets_the_state_whole)
{
    struct cluster *cluster = new_cluster(3, 11, KEEP);
    uint32_t lame, leader = leave_behind(cluster, &lame, 50, 500);
    cluster_restart(cluster, lame);
    must_catch_up(cluster, lame, leader);
    must_hold(cluster, lame, 550);
    struct node_status of_lame = status_of(cluster, lame), of_leader = status_of(cluster, leader);
    ck_assert_uint_eq(of_lame.revision, of_leader.revision);
    ck_assert_uint_eq(of_lame.keys, of_leader.keys);
    struct node_stats stats = stats_of(cluster, lame);
    ck_assert_uint_eq(stats.snapshots_installed, 1);
    ck_assert_uint_gt(stats.snapshot_parts_in, 1);
    ck_assert_uint_eq(stats_of(cluster, leader).snapshots_sent, 1);
    ck_assert_uint_eq(stats.elections_started, 0);
    must_write(cluster, lame, 550, 30);
    for (uint32_t i = 0; i < 3; i++)
        must_hold(cluster, i, 580);
    cluster_run(cluster, 3000);
    cluster_crash(cluster, lame, 0); /* and what it has is its own */
    cluster_restart(cluster, lame);
    must_hold(cluster, lame, 580);
    ck_assert_uint_eq(stats_of(cluster, lame).snapshots_installed, 0);
    cluster_free(cluster);
}
END_TEST

START_TEST(a_member_with_an_empty_log_comes_up_by_snapshot)
{
    struct cluster *cluster = new_cluster(3, 13, KEEP);
    cluster_crash(cluster, 2, 0); /* before it has stored anything */
    uint32_t leader = must_lead(cluster);
    must_write(cluster, leader, 0, 500);
    cluster_run(cluster, 3000);
    ck_assert_uint_gt(status_of(cluster, leader).first, 100);
    cluster_restart(cluster, 2);
    ck_assert_uint_eq(status_of(cluster, 2).last, 0);
    must_catch_up(cluster, 2, leader);
    must_hold(cluster, 2, 500);
    ck_assert_uint_eq(stats_of(cluster, 2).snapshots_installed, 1);
    cluster_free(cluster);
}
END_TEST

/* B52: just within what the log holds, just at its end, just beyond. */
START_TEST(there_is_no_gap_between_entries_and_snapshot)
{
    uint32_t with = 0, without = 0;
    for (uint32_t missed = 15; missed < 50; missed++) {
        struct cluster *cluster = new_cluster(3, missed, KEEP);
        uint32_t leader = must_lead(cluster), lame = (leader + 1) % 3;
        must_write(cluster, leader, 0, 100);
        cluster_run(cluster, 2500);
        cluster_crash(cluster, lame, 0);
        for (uint32_t i = 0; i < missed; i += 5) /* in several flushes */
            must_write(cluster, leader, 100 + i, 5);
        cluster_run(cluster, 2500);
        cluster_restart(cluster, lame);
        must_catch_up(cluster, lame, leader);
        stats_of(cluster, lame).snapshots_installed > 0 ? with++ : without++;
        cluster_free(cluster);
    }
    ck_assert_uint_gt(with, 0);
    ck_assert_uint_gt(without, 0);
}
END_TEST

/* I11: what a client reads at the node that fetches is old or new, never older than before. */
START_TEST(the_old_state_serves_until_the_new_one_is_there)
{
    struct cluster *cluster = new_cluster(3, 17, KEEP);
    uint32_t lame, leader = leave_behind(cluster, &lame, 50, 500);
    cluster_restart(cluster, lame);
    struct pair pair = { lame, leader };
    uint64_t revision = 0;
    uint32_t old = 0, new = 0;
    while (!has_caught_up(cluster, &pair)) {
        struct client_op op;
        client_get(cluster, lame, &op, "k1", CONSISTENCY_STALE, 1000);
        ck_assert_msg(op.done && op.err == OK && op.found, "a stale read waits for nobody");
        uint64_t now = status_of(cluster, lame).revision;
        ck_assert_uint_ge(now, revision);
        revision = now;
        *(now < 300 ? &old : &new) += 1;
        cluster_step(cluster, cluster_now(cluster) + 1);
    }
    ck_assert_uint_gt(old, 0);
    must_hold(cluster, lame, 550);
    (void)new;
    cluster_free(cluster);
}
END_TEST

/* ---- trouble on the way */

/* B53, B55: the receiver dies at every moment between its start and the end of the install. */
START_TEST(a_receiver_that_dies_at_any_moment_has_one_state_or_the_other)
{
    uint32_t resumed = 0, installed = 0;
    for (uint32_t ms = 1; ms < 160; ms += 2) {
        struct cluster *cluster = new_cluster(3, 1000 + ms, KEEP);
        uint32_t lame, leader = leave_behind(cluster, &lame, 50, 300);
        cluster_restart(cluster, lame);
        cluster_run(cluster, ms);
        installed += stats_of(cluster, lame).snapshots_installed > 0;
        cluster_crash(cluster, lame, ms % 4);
        cluster_restart(cluster, lame);
        ck_assert_msg(cluster_node(cluster, lame) != NULL, "it starts again");
        must_catch_up(cluster, lame, leader);
        must_hold(cluster, lame, 350);
        resumed += stats_of(cluster, lame).snapshots_resumed > 0;
        cluster_free(cluster);
    }
    ck_assert_msg(installed > 0 && installed < 80, "some died before, some after the install (%u)",
                  installed);
    (void)resumed;
}
END_TEST

START_TEST(a_transfer_goes_on_where_it_was_cut) /* B55 */
{
    uint32_t resumed = 0;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct cluster_options options = { .n = 3, .seed = seed, .delay_min_ms = 1,
                                           .delay_max_ms = 2, .disk_min_ms = 1, .disk_max_ms = 3,
                                           .log_keep = KEEP, .snapshot_part = 2048 };
        struct cluster *cluster = cluster_new(&options);
        uint32_t leader = must_lead(cluster), lame = (leader + 1) % 3;
        cluster_crash(cluster, lame, 0);
        static struct client_op ops[400];
        for (int i = 0; i < 400; i++) {
            char key[32];
            snprintf(key, sizeof key, "a-key-of-its-own-%d", i);
            client_put(cluster, leader, &ops[i], key, "some value that takes a little room", 10000);
        }
        for (int i = 0; i < 400; i++)
            client_wait(&ops[i]);
        cluster_run(cluster, 3000);
        cluster_restart(cluster, lame);
        while (status_of(cluster, lame).fetch_bytes < 12000)
            ck_assert_msg(cluster_step(cluster, cluster_now(cluster) + 5000), "it fetches");
        cluster_crash(cluster, lame, 0);
        cluster_restart(cluster, lame);
        must_catch_up(cluster, lame, leader);
        resumed += stats_of(cluster, lame).snapshots_resumed > 0;
        ck_assert_uint_eq(stats_of(cluster, lame).snapshots_installed, 1);
        cluster_free(cluster);
    }
    ck_assert_msg(resumed >= 8, "%u of 10 go on where they were cut", resumed);
}
END_TEST

/* B57: and the one that fetches votes meanwhile. */
START_TEST(when_the_sender_dies_another_one_sends)
{
    uint32_t installed = 0;
    for (uint32_t seed = 1; seed <= 10; seed++) {
        struct cluster *cluster = new_cluster(3, seed, KEEP);
        uint32_t lame, leader = leave_behind(cluster, &lame, 50, 500);
        cluster_restart(cluster, lame);
        run_into_the_fetch(cluster, lame);
        cluster_crash(cluster, leader, 0);
        cluster_run(cluster, 1000);
        uint32_t next = must_lead(cluster); /* it lacks nothing that is committed */
        must_write(cluster, next, 550, 20);
        must_hold(cluster, lame, 570);
        installed += (uint32_t)stats_of(cluster, lame).snapshots_installed;
        cluster_free(cluster);
    }
    ck_assert_uint_eq(installed, 10);
}
END_TEST

/* B54 */
START_TEST(a_damaged_snapshot_is_refused_and_fetched_again)
{
    uint32_t damaged = 0;
    for (uint32_t seed = 1; seed <= 10; seed++) {
        bool incoming = seed % 2 == 0;
        struct cluster *cluster = new_cluster(3, seed, KEEP);
        uint32_t lame, leader = leave_behind(cluster, &lame, 50, 500);
        cluster_restart(cluster, lame);
        run_into_the_fetch(cluster, lame);
        ck_assert(memory_disk_corrupt_snapshot(cluster_disk(cluster, incoming ? lame : leader),
                                               incoming, 8000 + seed));
        must_catch_up(cluster, lame, leader);
        must_hold(cluster, lame, 550);
        damaged += (uint32_t)stats_of(cluster, lame).snapshots_damaged;
        ck_assert_uint_eq(stats_of(cluster, lame).snapshots_installed, 1);
        cluster_free(cluster);
    }
    ck_assert_uint_ge(damaged, 5);
}
END_TEST

START_TEST(a_full_disk_puts_a_fetch_off)
{
    struct cluster *cluster = new_cluster(3, 23, KEEP);
    uint32_t lame, leader = leave_behind(cluster, &lame, 50, 500);
    cluster_restart(cluster, lame);
    memory_disk_fill(cluster_disk(cluster, lame), true);
    cluster_run(cluster, 3000);
    ck_assert_uint_eq(stats_of(cluster, lame).snapshots_installed, 0);
    memory_disk_fill(cluster_disk(cluster, lame), false);
    must_catch_up(cluster, lame, leader);
    ck_assert_uint_eq(stats_of(cluster, lame).snapshots_installed, 1);
    cluster_free(cluster);
}
END_TEST

/* B56 */
START_TEST(a_storm_of_snapshots_does_no_harm)
{
    for (uint64_t seed = 1; seed <= 6; seed++) {
        struct cluster_options options = { .n = 3, .seed = seed, .delay_min_ms = 1,
                                           .delay_max_ms = 20, .disk_min_ms = 1, .disk_max_ms = 10,
                                           .loss_percent = 10, .duplicate_percent = 10,
                                           .log_keep = 1, .snapshot_part = 200 };
        struct cluster *cluster = cluster_new(&options);
        uint32_t written = 0, installed = 0;
        for (uint32_t round = 0; round < 8; round++) {
            uint32_t leader = must_lead(cluster), lame = (leader + 1 + round % 2) % 3;
            cluster_isolate(cluster, lame, true);
            must_write(cluster, leader, written, 10);
            cluster_run(cluster, 1200);
            cluster_isolate(cluster, lame, false);
            must_write(cluster, leader, written + 10, 10);
            written += 20;
        }
        cluster_set_loss(cluster, 0);
        cluster_run(cluster, 3000);
        for (uint32_t i = 0; i < 3; i++) {
            must_hold(cluster, i, written);
            installed += (uint32_t)stats_of(cluster, i).snapshots_installed;
        }
        ck_assert_msg(installed >= 4, "seed %d: %u snapshots", (int)seed, installed);
        cluster_free(cluster);
    }
}
END_TEST

/* The writes that an old leader took: their fate lies inside the snapshot. */
START_TEST(a_write_that_a_snapshot_has_jumped_over_ends_as_unknown)
{
    struct cluster *cluster = new_cluster(3, 29, KEEP);
    uint32_t leader = must_lead(cluster);
    must_write(cluster, leader, 0, 50);
    cluster_isolate(cluster, leader, true);
    struct client_op lost;
    client_put(cluster, leader, &lost, "lost", "x", 60000);
    uint32_t next = leader;
    while (next == leader) {
        cluster_run(cluster, 100);
        next = (uint32_t)cluster_leader(cluster);
    }
    must_write(cluster, next, 50, 300);
    cluster_run(cluster, 3000);
    ck_assert(!lost.done);
    cluster_isolate(cluster, leader, false);
    must_catch_up(cluster, leader, next);
    ck_assert_msg(lost.done, "nobody waits for what nobody can know");
    ck_assert_int_ne(lost.err, OK);
    ck_assert_int_eq(lost.outcome, OUTCOME_UNKNOWN);
    ck_assert_uint_eq(stats_of(cluster, leader).snapshots_installed, 1);
    must_hold(cluster, leader, 350);
    cluster_free(cluster);
}
END_TEST

/* Two at a time; the third is told to come later, and gets it. */
START_TEST(more_followers_than_are_served_at_a_time_all_get_theirs)
{
    struct cluster *cluster = new_cluster(7, 31, KEEP);
    uint32_t leader = must_lead(cluster);
    for (uint32_t i = 1; i <= 3; i++)
        cluster_crash(cluster, (leader + i) % 7, 0);
    must_write(cluster, leader, 0, 400);
    cluster_run(cluster, 3000);
    for (uint32_t i = 1; i <= 3; i++)
        cluster_restart(cluster, (leader + i) % 7);
    for (uint32_t i = 1; i <= 3; i++) {
        must_catch_up(cluster, (leader + i) % 7, leader);
        ck_assert_uint_eq(stats_of(cluster, (leader + i) % 7).snapshots_installed, 1);
    }
    ck_assert_uint_le(stats_of(cluster, leader).snapshot_copies, 2);
    cluster_free(cluster);
}
END_TEST

START_TEST(the_rate_is_kept)
{
    struct cluster_options options = { .n = 3, .seed = 37, .delay_min_ms = 1, .delay_max_ms = 2,
                                       .disk_min_ms = 1, .disk_max_ms = 3, .log_keep = KEEP,
                                       .snapshot_part = 512, .snapshot_rate = 4096 };
    struct cluster *cluster = cluster_new(&options);
    uint32_t lame, leader = leave_behind(cluster, &lame, 0, 300);
    cluster_restart(cluster, lame);
    uint64_t since = cluster_now(cluster);
    must_catch_up(cluster, lame, leader);
    uint64_t sent = stats_of(cluster, leader).snapshot_bytes_out;
    (void)since;
    ck_assert_uint_gt(sent, 0);
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
    tcase_add_test(tcase, a_full_log_makes_room_by_itself);
    tcase_add_test(tcase, a_follower_whose_entries_are_gone_gets_the_state_whole);
    tcase_add_test(tcase, a_member_with_an_empty_log_comes_up_by_snapshot);
    tcase_add_test(tcase, there_is_no_gap_between_entries_and_snapshot);
    tcase_add_test(tcase, the_old_state_serves_until_the_new_one_is_there);
    tcase_add_test(tcase, a_receiver_that_dies_at_any_moment_has_one_state_or_the_other);
    tcase_add_test(tcase, a_transfer_goes_on_where_it_was_cut);
    tcase_add_test(tcase, when_the_sender_dies_another_one_sends);
    tcase_add_test(tcase, a_damaged_snapshot_is_refused_and_fetched_again);
    tcase_add_test(tcase, a_full_disk_puts_a_fetch_off);
    tcase_add_test(tcase, a_storm_of_snapshots_does_no_harm);
    tcase_add_test(tcase, a_write_that_a_snapshot_has_jumped_over_ends_as_unknown);
    tcase_add_test(tcase, more_followers_than_are_served_at_a_time_all_get_theirs);
    tcase_add_test(tcase, the_rate_is_kept);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
