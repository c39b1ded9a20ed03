/* test_node_digest.c - a node whose data differs from the others' is found, serves nobody, does not
 * lead, and goes on voting; where nobody can tell whose data is right, nobody serves. */
#include "src/node/node_private.h"
#include "src/storage/memory_disk.h"
#include "tests/support/cluster.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

enum { FLUSHED_MS = 2000, SOON_MS = 6000 };

static struct cluster *calm_cluster(uint32_t n, uint64_t seed)
{
    struct cluster_options options = { .n = n, .seed = seed, .delay_min_ms = 1, .delay_max_ms = 2,
                                       .disk_min_ms = 1, .disk_max_ms = 3 };
    return cluster_new(&options);
}

static uint32_t must_lead(struct cluster *cluster)
{
    int leader = cluster_await_leader(cluster);
    ck_assert_msg(leader >= 0, "a leader within ten seconds");
    return (uint32_t)leader;
}

static void put_ends(struct cluster *cluster, uint32_t node, const char *value, enum err wanted)
{
    struct client_op op;
    client_put(cluster, node, &op, "a", value, 5000);
    client_wait(&op);
    ck_assert_msg(op.err == wanted, "put at node %u: %s, not %s", node, err_name(op.err),
                  err_name(wanted));
    if (wanted != OK)
        ck_assert_int_eq(op.outcome, OUTCOME_NOT_APPLIED);
}

static void get_ends(struct cluster *cluster, uint32_t node, enum consistency consistency,
                     enum err wanted)
{
    struct client_op op;
    client_get(cluster, node, &op, "a", consistency, 5000);
    client_wait(&op);
    ck_assert_msg(op.err == wanted, "get (%d) at node %u: %s, not %s", (int)consistency, node,
                  err_name(op.err), err_name(wanted));
}

static void serves(struct cluster *cluster, uint32_t node)
{
    put_ends(cluster, node, "s", OK);
    get_ends(cluster, node, CONSISTENCY_LINEARIZABLE, OK);
    get_ends(cluster, node, CONSISTENCY_STALE, OK);
}

static void serves_nobody(struct cluster *cluster, uint32_t node)
{
    uint64_t before = cluster_now(cluster);
    put_ends(cluster, node, "x", ERR_STATE_DIFFERS);
    get_ends(cluster, node, CONSISTENCY_LINEARIZABLE, ERR_STATE_DIFFERS);
    get_ends(cluster, node, CONSISTENCY_LEASE, ERR_STATE_DIFFERS);
    get_ends(cluster, node, CONSISTENCY_STALE, ERR_STATE_DIFFERS);
    ck_assert_uint_eq(cluster_now(cluster), before); /* at once */
}

static enum state_doubt doubt_of(struct cluster *cluster, uint32_t node)
{
    struct node_status status;
    node_status(cluster_node(cluster, node), &status);
    return status.doubt;
}

struct wish {
    uint32_t node;
    enum state_doubt doubt;
};

static bool has_doubt(struct cluster *cluster, void *arg)
{
    const struct wish *wish = arg;
    return doubt_of(cluster, wish->node) == wish->doubt;
}

static void await_doubt(struct cluster *cluster, uint32_t node, enum state_doubt doubt)
{
    struct wish wish = { node, doubt };
    ck_assert_msg(cluster_run_until(cluster, has_doubt, &wish, SOON_MS),
                  "node %u: doubt %d, not %d", node, (int)doubt_of(cluster, node), (int)doubt);
}

/* Changes the value of "a" in the node's store, as no command did; its checksum is right. */
static void alter(struct cluster *cluster, uint32_t node)
{
    struct memory_disk *disk = cluster_disk(cluster, node);
    struct memory_row *row = memory_table_seek(&disk->tables[TABLE_KV], slice_text("a"));
    ck_assert_msg(row != NULL && slice_equal(row->key, slice_text("a")), "the state is flushed");
    unsigned char content[64];
    size_t size = row->stored_size - 8;
    ck_assert_uint_lt(size, sizeof content);
    memcpy(content, row->stored, size);
    content[size - 1] ^= 1;
    memory_table_set(disk, TABLE_KV, slice_text("a"), slice_of(content, size));
}

/* As if it had been applied so: the digest, made anew at the next start, will be that of the
 * changed state. */
static void alter_while_down(struct cluster *cluster, uint32_t node)
{
    cluster_crash(cluster, node, 0);
    alter(cluster, node);
    memory_table_delete(cluster_disk(cluster, node), TABLE_META, slice_text("digest"));
}

static struct cluster *with_data(uint32_t n, uint64_t seed, uint32_t *leader)
{
    struct cluster *cluster = calm_cluster(n, seed);
    *leader = must_lead(cluster);
    put_ends(cluster, *leader, "1", OK);
    cluster_run(cluster, FLUSHED_MS);
    *leader = must_lead(cluster);
    return cluster;
}

/* ---- tests */

START_TEST(nodes_that_apply_the_same_agree)
{
    uint32_t leader;
    struct cluster *cluster = with_data(3, 1, &leader);
    static struct client_op ops[300];
    char key[16];
    for (int i = 0; i < 300; i++) {
        snprintf(key, sizeof key, "k%d", i);
        client_put(cluster, (uint32_t)i % 3, &ops[i], key, "v", 5000);
        cluster_run(cluster, 7); /* never idle, so never at rest at the index that is asked for */
    }
    struct node_status status[3];
    for (uint32_t i = 0; i < 3; i++) {
        struct node_stats stats;
        node_stats(cluster_node(cluster, i), &stats);
        ck_assert_msg(stats.digests_agreed >= 5, "node %u has agreed %d times", i,
                      (int)stats.digests_agreed);
    }
    cluster_run(cluster, 1000);
    for (uint32_t i = 0; i < 3; i++) {
        node_status(cluster_node(cluster, i), &status[i]);
        ck_assert_uint_eq(status[i].applied, status[0].applied);
        ck_assert_uint_eq(status[i].digest, status[0].digest);
        ck_assert_int_eq(status[i].doubt, DOUBT_NONE);
    }
    cluster_free(cluster);
}
END_TEST

START_TEST(a_follower_that_differs_serves_nobody_and_goes_on_voting)
{
    uint32_t leader;
    struct cluster *cluster = with_data(3, 2, &leader);
    uint32_t odd = (leader + 1) % 3, other = (leader + 2) % 3;
    alter(cluster, odd);
    put_ends(cluster, leader, "2", OK); /* counts with what was there before */
    await_doubt(cluster, odd, DOUBT_DIFFERS);
    serves_nobody(cluster, odd);
    serves(cluster, leader);
    serves(cluster, other);

    cluster_crash(cluster, leader, 0); /* now nothing goes without the odd one's log and vote */
    for (int i = 0; i < 3; i++) {
        ck_assert_uint_eq(must_lead(cluster), other);
        cluster_run(cluster, 1000);
    }
    serves(cluster, other);
    serves_nobody(cluster, odd);
    cluster_free(cluster);
}
END_TEST

START_TEST(it_survives_a_restart)
{
    uint32_t leader;
    struct cluster *cluster = with_data(3, 3, &leader);
    uint32_t odd = (leader + 1) % 3;
    alter(cluster, odd);
    put_ends(cluster, leader, "2", OK);
    await_doubt(cluster, odd, DOUBT_DIFFERS);
    cluster_run(cluster, 20); /* a disk write away, not a flush interval */
    cluster_crash(cluster, odd, 0);
    cluster_isolate(cluster, odd, true);
    cluster_restart(cluster, odd);
    serves_nobody(cluster, odd);
    cluster_isolate(cluster, odd, false);
    cluster_run(cluster, SOON_MS);
    serves_nobody(cluster, odd);
    serves(cluster, must_lead(cluster));
    cluster_free(cluster);
}
END_TEST

START_TEST(a_leader_that_differs_gives_way)
{
    uint32_t leader;
    struct cluster *cluster = with_data(3, 4, &leader);
    alter(cluster, leader);
    put_ends(cluster, leader, "2", OK);
    await_doubt(cluster, leader, DOUBT_DIFFERS);
    serves_nobody(cluster, leader);
    cluster_run(cluster, 2000);
    ck_assert_uint_ne(must_lead(cluster), leader);
    serves(cluster, (leader + 1) % 3);
    serves(cluster, (leader + 2) % 3);
    serves_nobody(cluster, leader);
    cluster_free(cluster);
}
END_TEST

/* Without a single write, since the leader asks again. */
START_TEST(an_idle_cluster_finds_it_too)
{
    uint32_t leader;
    struct cluster *cluster = with_data(3, 5, &leader);
    uint32_t odd = (leader + 1) % 3;
    alter_while_down(cluster, odd);
    cluster_restart(cluster, odd);
    await_doubt(cluster, odd, DOUBT_DIFFERS);
    serves(cluster, leader);
    cluster_free(cluster);
}
END_TEST

START_TEST(one_that_catches_up_is_compared_where_it_arrives)
{
    uint32_t leader;
    struct cluster *cluster = with_data(3, 6, &leader);
    uint32_t odd = (leader + 1) % 3;
    alter_while_down(cluster, odd);
    for (int i = 0; i < 200; i++) {
        struct client_op op;
        client_put(cluster, leader, &op, "b", "v", 5000);
        client_wait(&op);
        ck_assert_int_eq(op.err, OK);
    }
    cluster_restart(cluster, odd);
    await_doubt(cluster, odd, DOUBT_DIFFERS);
    serves(cluster, leader);
    cluster_free(cluster);
}
END_TEST

START_TEST(of_two_that_differ_neither_serves)
{
    uint32_t leader;
    struct cluster *cluster = with_data(2, 7, &leader);
    alter(cluster, 1 - leader);
    put_ends(cluster, leader, "2", OK);
    await_doubt(cluster, leader, DOUBT_UNDECIDED);
    await_doubt(cluster, 1 - leader, DOUBT_UNDECIDED);
    serves_nobody(cluster, 0);
    serves_nobody(cluster, 1);
    cluster_run(cluster, SOON_MS);
    for (uint32_t i = 0; i < 2; i++)
        cluster_crash(cluster, i, 0);
    for (uint32_t i = 0; i < 2; i++)
        cluster_restart(cluster, i);
    serves_nobody(cluster, 0);
    serves_nobody(cluster, 1);
    cluster_run(cluster, SOON_MS);
    serves_nobody(cluster, 0);
    serves_nobody(cluster, 1);
    cluster_free(cluster);
}
END_TEST

/* Two of three differ, the third is down: nobody serves until it can tell who is right. */
START_TEST(a_member_who_comes_back_decides)
{
    for (uint32_t who = 0; who < 2; who++) {
        uint32_t leader;
        struct cluster *cluster = with_data(3, 8 + who, &leader);
        uint32_t follower = (leader + 1) % 3, away = (leader + 2) % 3;
        uint32_t odd = who == 0 ? follower : leader, right = who == 0 ? leader : follower;
        cluster_crash(cluster, away, 0);
        alter(cluster, odd);
        put_ends(cluster, leader, "2", OK);
        await_doubt(cluster, odd, DOUBT_UNDECIDED);
        await_doubt(cluster, right, DOUBT_UNDECIDED);
        serves_nobody(cluster, odd);
        serves_nobody(cluster, right);
        cluster_run(cluster, SOON_MS);
        serves_nobody(cluster, right);

        cluster_restart(cluster, away);
        await_doubt(cluster, odd, DOUBT_DIFFERS);
        await_doubt(cluster, right, DOUBT_NONE);
        cluster_run(cluster, SOON_MS);
        ck_assert_uint_ne(must_lead(cluster), odd);
        serves(cluster, right);
        serves(cluster, away);
        serves_nobody(cluster, odd);
        cluster_free(cluster);
    }
}
END_TEST

static bool asks_for_the_last(struct cluster *cluster, void *arg)
{
    const struct node *node = cluster_node(cluster, *(uint32_t *)arg);
    return node->digests.index == raft_last_index(node->raft);
}

START_TEST(a_write_on_its_way_ends_as_unknown)
{
    uint32_t leader;
    struct cluster *cluster = with_data(3, 12, &leader);
    struct client_op write;
    alter(cluster, leader);
    put_ends(cluster, leader, "2", OK);
    ck_assert(cluster_run_until(cluster, asks_for_the_last, &leader, SOON_MS));
    for (uint32_t i = 1; i < 3; i++)
        cluster_hold_disk(cluster, (leader + i) % 3, true); /* nothing more is committed */
    client_put(cluster, leader, &write, "b", "1", 9000);
    await_doubt(cluster, leader, DOUBT_DIFFERS);
    ck_assert(!write.done);
    for (uint32_t i = 1; i < 3; i++)
        cluster_hold_disk(cluster, (leader + i) % 3, false);
    client_wait(&write);
    ck_assert_int_eq(write.err, ERR_STATE_DIFFERS);
    ck_assert_int_eq(write.outcome, OUTCOME_UNKNOWN);
    cluster_free(cluster);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        nodes_that_apply_the_same_agree,
        a_follower_that_differs_serves_nobody_and_goes_on_voting,
        it_survives_a_restart,
        a_leader_that_differs_gives_way,
        an_idle_cluster_finds_it_too,
        one_that_catches_up_is_compared_where_it_arrives,
        of_two_that_differ_neither_serves,
        a_member_who_comes_back_decides,
        a_write_on_its_way_ends_as_unknown,
    };
    Suite *suite = suite_create("digests of nodes");
    TCase *tcase = tcase_create("digests");
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
