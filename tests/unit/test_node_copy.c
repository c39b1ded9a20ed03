/* test_node_copy.c - copies of the state for backups: what is in them, that there is one at a time,
 * and what ends them. */
#include "tests/support/cluster.h"

#include <holdfast/log.h>

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

struct taker {
    struct node_copy copy;
    struct op op;
    bool done, answered;
    enum err part_err;
    struct blob *bytes;
};

static struct taker one, other_one; /* they outlive the nodes */
static struct cluster *cluster;
static uint32_t leader;

static void set_up(void)
{
    struct cluster_options options = { .n = 3, .seed = 5, .delay_min_ms = 1, .delay_max_ms = 2,
                                       .disk_min_ms = 1, .disk_max_ms = 3 };
    cluster = cluster_new(&options);
    int found = cluster_await_leader(cluster);
    ck_assert_int_ge(found, 0);
    leader = (uint32_t)found;
}

static void tear_down(void)
{
    cluster_free(cluster);
}

static void must_write(const char *key)
{
    struct client_op op;
    client_put(cluster, leader, &op, key, "value", 10000);
    client_wait(&op);
    ck_assert_int_eq(op.err, OK);
}

static void on_done(struct op *op)
{
    struct taker *taker = op->user;
    taker->done = true;
}

static void on_part(struct node_copy *copy, enum err err, struct blob *bytes)
{
    struct taker *taker = copy->user;
    taker->answered = true;
    taker->part_err = err;
    taker->bytes = bytes;
}

static void ask(struct taker *taker, uint32_t i)
{
    *taker = (struct taker){ .copy = { .part = on_part, .user = taker } };
    taker->op = (struct op){ .type = OP_COPY, .copy = &taker->copy, .done = on_done, .user = taker };
    node_submit(cluster_node(cluster, i), &taker->op);
}

static bool is_done(struct cluster *c, void *arg)
{
    (void)c;
    return ((struct taker *)arg)->done;
}

static bool is_answered(struct cluster *c, void *arg)
{
    (void)c;
    return ((struct taker *)arg)->answered;
}

static void must_take(struct taker *taker, uint32_t i)
{
    ask(taker, i);
    ck_assert(cluster_run_until(cluster, is_done, taker, 10000));
    ck_assert_int_eq(taker->op.err, OK);
}

static void must_read(struct taker *taker, uint32_t i)
{
    taker->answered = false;
    node_copy_read(cluster_node(cluster, i), &taker->copy, 0, (size_t)taker->copy.info.size);
    ck_assert(cluster_run_until(cluster, is_answered, taker, 10000));
}

/* It is asked for before the state was written out: still all that is applied is in it. */
START_TEST(what_is_applied_is_in_it)
{
    for (int i = 0; i < 20; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%d", i);
        must_write(key);
        struct node_status status;
        node_status(cluster_node(cluster, leader), &status);
        must_take(&one, leader);
        ck_assert_uint_ge(one.copy.info.index, status.applied);
        ck_assert_uint_ge(one.copy.info.revision, status.revision);
        ck_assert_uint_eq(one.copy.info.keys, (uint64_t)i + 1);
        must_read(&one, leader);
        ck_assert_int_eq(one.part_err, OK);
        ck_assert_uint_eq(one.bytes->size, one.copy.info.size);
        ck_assert_uint_eq(checksum(0, blob_slice(one.bytes)), one.copy.info.checksum);
        blob_unref(one.bytes);
        node_copy_drop(cluster_node(cluster, leader), &one.copy);
        cluster_run(cluster, 50);
    }
    struct node_stats stats;
    node_stats(cluster_node(cluster, leader), &stats);
    ck_assert_uint_eq(stats.backups, 20);
}
END_TEST

START_TEST(any_node_gives_one_at_a_time)
{
    must_write("k");
    for (uint32_t i = 0; i < 3; i++) {
        ask(&one, i);
        ask(&other_one, i);
        ck_assert(other_one.done);
        ck_assert_int_eq(other_one.op.err, ERR_OVERLOADED);
        ck_assert(cluster_run_until(cluster, is_done, &one, 10000));
        ck_assert_int_eq(one.op.err, OK);
        cluster_run(cluster, 20000); /* it does not go by itself */
        ask(&other_one, i);
        ck_assert_int_eq(other_one.op.err, ERR_OVERLOADED);
        node_copy_drop(cluster_node(cluster, i), &one.copy);
        cluster_run(cluster, 50);
        must_take(&other_one, i);
        node_copy_drop(cluster_node(cluster, i), &other_one.copy);
        cluster_run(cluster, 50);
    }
}
END_TEST

START_TEST(who_drops_while_reading_is_not_answered)
{
    must_write("k");
    must_take(&one, leader);
    node_copy_read(cluster_node(cluster, leader), &one.copy, 0, 100);
    node_copy_drop(cluster_node(cluster, leader), &one.copy);
    cluster_run(cluster, 100);
    ck_assert(!one.answered);
    must_take(&one, leader);
}
END_TEST

/* While its disk is held the state cannot be written out; a stop does not wait for it for ever. */
START_TEST(a_stop_ends_the_wait)
{
    must_write("k");
    cluster_hold_disk(cluster, leader, true);
    ask(&one, leader);
    node_stop(cluster_node(cluster, leader), 1000);
    ck_assert(cluster_run_until(cluster, is_done, &one, 5000));
    ck_assert_int_eq(one.op.err, ERR_SHUTTING_DOWN);
    ask(&other_one, leader);
    ck_assert_int_eq(other_one.op.err, ERR_SHUTTING_DOWN);
}
END_TEST

/* The node goes with the copy: its reader is told. */
START_TEST(a_node_that_goes_tells_the_reader)
{
    must_write("k");
    must_take(&one, leader);
    uint32_t other = (leader + 1) % 3;
    cluster_hold_disk(cluster, other, true);
    ask(&other_one, other);
    cluster_crash(cluster, leader, 0);
    cluster_crash(cluster, other, 0);
    ck_assert(one.answered);
    ck_assert_int_eq(one.part_err, ERR_SHUTTING_DOWN);
    ck_assert(other_one.done && !other_one.answered);
    ck_assert_int_eq(other_one.op.err, ERR_SHUTTING_DOWN);
    cluster_hold_disk(cluster, other, false);
    cluster_restart(cluster, leader);
    cluster_restart(cluster, other);
}
END_TEST

int main(void)
{
    log_set_level(LOG_LEVEL_ERROR);
    Suite *suite = suite_create("copy");
    TCase *tcase = tcase_create("copy");
    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, what_is_applied_is_in_it);
    tcase_add_test(tcase, any_node_gives_one_at_a_time);
    tcase_add_test(tcase, who_drops_while_reading_is_not_answered);
    tcase_add_test(tcase, a_stop_ends_the_wait);
    tcase_add_test(tcase, a_node_that_goes_tells_the_reader);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
