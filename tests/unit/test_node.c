/* test_node.c - the node's promises, on several real nodes with memory disks, a network and a
 * clock that the test owns. */
#include "src/storage/memory_disk.h"
#include "tests/support/cluster.h"

#include <holdfast/log.h>

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

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

static void must_put(struct cluster *cluster, uint32_t node, const char *key, const char *value)
{
    struct client_op op;
    client_put(cluster, node, &op, key, value, 5000);
    client_wait(&op);
    ck_assert_msg(op.err == OK && op.outcome == OUTCOME_APPLIED, "put %s=%s at node %u: %s", key,
                  value, node, err_name(op.err));
}

/* A forwarded write whose leader has died ends as unknown; a client that may repeat it does. */
static void put_until_applied(struct cluster *cluster, uint32_t node, const char *key,
                              const char *value)
{
    struct client_op op;
    for (int i = 0; i < 10; i++) {
        client_put(cluster, node, &op, key, value, 5000);
        client_wait(&op);
        if (op.err == OK)
            return;
        ck_assert_int_eq(op.outcome, OUTCOME_UNKNOWN);
    }
    ck_abort_msg("ten tries of put %s", key);
}

static void must_get(struct cluster *cluster, uint32_t node, const char *key, const char *value)
{
    struct client_op op;
    client_get(cluster, node, &op, key, CONSISTENCY_LINEARIZABLE, 5000);
    client_wait(&op);
    ck_assert_msg(op.err == OK, "get %s at node %u: %s", key, node, err_name(op.err));
    ck_assert_msg(op.found, "%s is there at node %u", key, node);
    ck_assert_str_eq(op.value, value);
}

START_TEST(any_node_takes_writes_and_reads)
{
    struct cluster *cluster = calm_cluster(3, 7);
    must_lead(cluster);
    for (uint32_t i = 0; i < 3; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%u", i);
        must_put(cluster, i, key, "v");
        for (uint32_t j = 0; j < 3; j++)
            must_get(cluster, j, key, "v");
    }
    cluster_free(cluster);
}
END_TEST

START_TEST(a_cluster_of_one_serves)
{
    struct cluster *cluster = calm_cluster(1, 3);
    must_lead(cluster);
    must_put(cluster, 0, "a", "1");
    must_get(cluster, 0, "a", "1");
    cluster_crash(cluster, 0, 0);
    cluster_restart(cluster, 0);
    must_lead(cluster);
    must_get(cluster, 0, "a", "1");
    cluster_free(cluster);
}
END_TEST

/* What is kept free for deletions and for pages written anew is not used up, write by write, each
 * time that what was pending is stored. */
START_TEST(a_full_store_takes_no_further_write_once_all_is_stored)
{
    enum { MAP = 16 * 1024, VALUE = 1000, ROUNDS = 100 };
    struct cluster_options options = { .n = 1, .seed = 5, .disk_min_ms = 1, .disk_max_ms = 2,
                                       .state_map_bytes = MAP };
    struct cluster *cluster = cluster_new(&options);
    struct client_op op;
    char key[16], value[VALUE + 1];
    uint32_t taken = 0;
    memset(value, 'v', VALUE);
    value[VALUE] = '\0';
    must_lead(cluster);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        snprintf(key, sizeof key, "k%u", round);
        client_put(cluster, 0, &op, key, value, 5000);
        client_wait(&op);
        ck_assert(op.err == OK || op.err == ERR_NO_SPACE);
        taken += op.err == OK;
        cluster_run(cluster, 3000); /* it is stored, and the room was looked at */
    }
    ck_assert_uint_gt(taken, 10);
    ck_assert_msg(taken * VALUE <= MAP, "%u writes of %d bytes were taken", taken, VALUE);
    cluster_free(cluster);
}
END_TEST

/* B15, I7 */
START_TEST(an_acknowledged_write_survives_a_crash_of_all_nodes)
{
    for (uint64_t seed = 1; seed <= 30; seed++) {
        uint32_t n = seed % 3 == 0 ? 1 : 3;
        struct cluster *cluster = calm_cluster(n, seed);
        uint32_t leader = must_lead(cluster);
        must_put(cluster, leader, "a", "1");
        must_put(cluster, (leader + 1) % n, "a", "2");
        for (uint32_t i = 0; i < n; i++)
            cluster_crash(cluster, i, 0);
        for (uint32_t i = 0; i < n; i++)
            cluster_restart(cluster, i);
        must_lead(cluster);
        for (uint32_t i = 0; i < n; i++)
            must_get(cluster, i, "a", "2");
        cluster_free(cluster);
    }
}
END_TEST

START_TEST(a_new_leader_takes_over_and_nothing_is_lost)
{
    struct cluster *cluster = calm_cluster(3, 11);
    uint32_t leader = must_lead(cluster);
    must_put(cluster, leader, "a", "1");
    cluster_crash(cluster, leader, 0);
    uint64_t since = cluster_now(cluster);
    put_until_applied(cluster, (leader + 1) % 3, "b", "2");
    ck_assert_uint_lt(cluster_now(cluster) - since, 1500);
    must_get(cluster, (leader + 2) % 3, "a", "1");
    cluster_restart(cluster, leader);
    must_get(cluster, leader, "b", "2");
    cluster_free(cluster);
}
END_TEST

/* B48: what an isolated leader took is unknown until its fate is known. */
START_TEST(a_write_that_meets_a_leader_change_ends_truthfully)
{
    struct cluster *cluster = calm_cluster(3, 13);
    uint32_t leader = must_lead(cluster);
    must_put(cluster, leader, "a", "old");
    cluster_isolate(cluster, leader, true);

    struct client_op shortly, patient;
    client_put(cluster, leader, &shortly, "a", "short", 400);
    client_put(cluster, leader, &patient, "b", "patient", 10000);
    client_wait(&shortly);
    ck_assert_int_ne(shortly.err, OK);
    ck_assert_int_eq(shortly.outcome, OUTCOME_UNKNOWN);

    must_put(cluster, (leader + 1) % 3, "a", "new");
    ck_assert(!patient.done);
    cluster_isolate(cluster, leader, false);
    client_wait(&patient);
    ck_assert_msg(patient.err == OK, "overwritten, so certainly not applied, so tried again: %s",
                  err_name(patient.err));
    for (uint32_t i = 0; i < 3; i++) {
        must_get(cluster, i, "a", "new");
        must_get(cluster, i, "b", "patient");
    }
    cluster_free(cluster);
}
END_TEST

/* I8, B38, B40 */
START_TEST(an_isolated_leader_serves_no_linearizable_read)
{
    struct cluster *cluster = calm_cluster(3, 17);
    uint32_t leader = must_lead(cluster);
    must_put(cluster, leader, "a", "1");
    cluster_isolate(cluster, leader, true);
    struct client_op early, late;
    client_get(cluster, leader, &early, "a", CONSISTENCY_LINEARIZABLE, 8000);
    put_until_applied(cluster, (leader + 1) % 3, "a", "2");
    client_get(cluster, leader, &late, "a", CONSISTENCY_LINEARIZABLE, 500);
    client_wait(&late);
    ck_assert_int_eq(late.err, ERR_NO_LEADER);
    ck_assert_msg(!early.done, "a read that waits may be served only after the heal");
    cluster_isolate(cluster, leader, false);
    client_wait(&early);
    ck_assert_int_eq(early.err, OK);
    ck_assert_str_eq(early.value, "2");
    cluster_free(cluster);
}
END_TEST

START_TEST(a_lease_ends_before_another_leader_can_write)
{
    struct cluster *cluster = calm_cluster(3, 19);
    uint32_t leader = must_lead(cluster);
    must_put(cluster, leader, "a", "1");
    must_get(cluster, leader, "a", "1"); /* a round, so a lease */
    cluster_isolate(cluster, leader, true);
    struct client_op write;
    client_put(cluster, (leader + 1) % 3, &write, "a", "2", 10000);
    uint32_t served = 0;
    while (!write.done) {
        struct client_op read;
        client_get(cluster, leader, &read, "a", CONSISTENCY_LEASE, 20);
        client_wait(&read);
        served += read.err == OK;
        if (read.err == OK && write.done)
            ck_assert_str_eq(read.value, "2");
        cluster_run(cluster, 1);
    }
    ck_assert_msg(served > 10, "lease reads go on for a while (%u)", served);
    struct client_op read;
    client_get(cluster, leader, &read, "a", CONSISTENCY_LEASE, 200);
    client_wait(&read);
    ck_assert_int_ne(read.err, OK);
    cluster_free(cluster);
}
END_TEST

START_TEST(a_stale_read_says_how_stale)
{
    struct cluster *cluster = calm_cluster(3, 23);
    uint32_t leader = must_lead(cluster), other = (leader + 1) % 3;
    must_put(cluster, leader, "a", "1");
    must_get(cluster, other, "a", "1");
    cluster_isolate(cluster, other, true);
    must_put(cluster, leader, "a", "2");
    cluster_run(cluster, 1000);

    struct client_op read;
    client_get(cluster, other, &read, "a", CONSISTENCY_STALE, 1000);
    ck_assert_msg(read.done, "a stale read waits for nobody");
    ck_assert_int_eq(read.err, OK);
    ck_assert_str_eq(read.value, "1");
    ck_assert_uint_ge(read.op.staleness_ms, 900);
    client_get_fresh(cluster, other, &read, "a", 500);
    ck_assert_int_eq(read.err, ERR_TOO_STALE);

    client_get(cluster, leader, &read, "a", CONSISTENCY_STALE, 1000);
    ck_assert_uint_lt(read.op.staleness_ms, 200);
    cluster_free(cluster);
}
END_TEST

START_TEST(a_wiped_disk_is_refused_under_its_old_id) /* B37 */
{
    struct cluster *cluster = calm_cluster(3, 29);
    uint32_t leader = must_lead(cluster), victim = (leader + 1) % 3;
    must_put(cluster, leader, "a", "1");
    cluster_run(cluster, 500);
    cluster_crash(cluster, victim, 0);
    cluster_wipe(cluster, victim);
    cluster_restart(cluster, victim);
    cluster_run(cluster, 2000);
    ck_assert_msg(cluster_refused(cluster, victim) != NULL, "the wiped node is told");
    ck_assert_ptr_nonnull(strstr(cluster_refused(cluster, victim), "another data directory"));
    must_put(cluster, leader, "a", "2"); /* the rest goes on */
    cluster_free(cluster);
}
END_TEST

/* As with an old copy of its directory, or a disk that lied about a flush. */
START_TEST(who_has_forgotten_what_it_acknowledged_stops_for_good)
{
    struct cluster *cluster = calm_cluster(3, 37);
    uint32_t leader = must_lead(cluster), victim = (leader + 1) % 3;
    must_put(cluster, leader, "a", "1");
    cluster_run(cluster, 2000);
    must_put(cluster, leader, "a", "2");
    cluster_run(cluster, 20);
    cluster_crash(cluster, victim, 0);
    struct memory_log *log = &cluster_disk(cluster, victim)->log;
    memory_log_erase_from(log, log->last);
    cluster_restart(cluster, victim);
    cluster_run(cluster, 100);
    ck_assert_int_eq(cluster_leader(cluster), (int)leader);
    must_put(cluster, leader, "a", "3");
    cluster_run(cluster, 500);
    ck_assert_msg(cluster_refused(cluster, victim) != NULL, "it has noticed");
    ck_assert_ptr_nonnull(strstr(cluster_refused(cluster, victim), "was acknowledged here"));
    cluster_crash(cluster, victim, 0);
    cluster_restart(cluster, victim);
    ck_assert_msg(cluster_refused(cluster, victim) != NULL, "it has not forgotten that");
    cluster_free(cluster);
}
END_TEST

/* B13, etcd #13527 */
START_TEST(a_leader_whose_disk_hangs_gives_way)
{
    struct cluster *cluster = calm_cluster(3, 31);
    uint32_t leader = must_lead(cluster);
    must_put(cluster, leader, "a", "1");
    cluster_hold_disk(cluster, leader, true);
    struct client_op stuck;
    client_put(cluster, leader, &stuck, "a", "2", 15000);
    cluster_run(cluster, 2000);
    ck_assert_int_ne(cluster_leader(cluster), (int)leader);
    must_put(cluster, (leader + 1) % 3, "b", "3");
    struct node_status status;
    node_status(cluster_node(cluster, leader), &status);
    ck_assert(status.disk_stalled);
    cluster_hold_disk(cluster, leader, false);
    client_wait(&stuck);
    ck_assert_int_eq(stuck.err, OK);
    must_get(cluster, leader, "b", "3");
    cluster_free(cluster);
}
END_TEST

START_TEST(a_follower_far_behind_catches_up_without_an_election)
{
    struct cluster *cluster = calm_cluster(3, 37);
    uint32_t leader = must_lead(cluster), lame = (leader + 1) % 3;
    must_put(cluster, leader, "a", "1");
    cluster_crash(cluster, lame, 0);
    static struct client_op ops[5000];
    for (int i = 0; i < 5000; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%d", i);
        client_put(cluster, leader, &ops[i], key, "some value", 10000);
    }
    for (int i = 0; i < 5000; i++) {
        client_wait(&ops[i]);
        ck_assert_int_eq(ops[i].err, OK);
    }
    struct node_status before, after;
    node_status(cluster_node(cluster, leader), &before);
    cluster_restart(cluster, lame);
    must_get(cluster, lame, "k4999", "some value");
    node_status(cluster_node(cluster, leader), &after);
    ck_assert_uint_eq(before.term, after.term);
    cluster_free(cluster);
}
END_TEST

START_TEST(entries_larger_than_one_append_reach_a_follower)
{
    struct cluster *cluster = calm_cluster(3, 41);
    uint32_t leader = must_lead(cluster), lame = (leader + 1) % 3;
    cluster_crash(cluster, lame, 0);
    enum { N = 24 };
    static char big[VALUE_SIZE_MAX];
    memset(big, 'x', sizeof big - 1);
    static struct client_op ops[N];
    for (int i = 0; i < N; i++)
        client_put(cluster, leader, &ops[i], "big", big, 20000);
    for (int i = 0; i < N; i++)
        client_wait(&ops[i]);
    cluster_restart(cluster, lame);
    uint64_t since = cluster_now(cluster);
    struct node_status a, b;
    do {
        cluster_run(cluster, 10);
        node_status(cluster_node(cluster, leader), &a);
        node_status(cluster_node(cluster, lame), &b);
    } while (b.applied < a.applied && cluster_now(cluster) - since < 5000);
    ck_assert_uint_eq(b.applied, a.applied);
    ck_assert_msg(cluster_now(cluster) - since < 400, "without waiting for heartbeats: %d ms",
                  (int)(cluster_now(cluster) - since));
    cluster_free(cluster);
}
END_TEST

START_TEST(any_node_tells_what_the_leader_knows)
{
    struct cluster *cluster = calm_cluster(3, 43);
    uint32_t leader = must_lead(cluster);
    must_put(cluster, leader, "a", "1");
    cluster_run(cluster, 2000);
    for (uint32_t i = 0; i < 3; i++) {
        struct client_op op;
        client_info(cluster, i, &op, 1000);
        client_wait(&op);
        ck_assert_int_eq(op.err, OK);
        ck_assert_uint_eq(op.n_info, 3);
        for (uint32_t j = 0; j < 3; j++) {
            ck_assert_uint_gt(op.info[j].match, 1);
            ck_assert_uint_lt(op.info[j].silence_ms, 1000);
        }
        struct node_member members[MEMBERS_MAX];
        ck_assert_uint_eq(node_members(cluster_node(cluster, i), members), 3);
        for (uint32_t j = 0; j < 3; j++)
            ck_assert_msg(members[j].http_addr[0] != '\0', "member %u has announced itself", j);
    }
    cluster_free(cluster);
}
END_TEST

static bool stopped(struct cluster *cluster, void *arg)
{
    uint32_t *i = arg;
    return node_stopped(cluster_node(cluster, *i));
}

START_TEST(a_leader_that_stops_hands_over_and_flushes)
{
    struct cluster *cluster = calm_cluster(3, 47);
    uint32_t leader = must_lead(cluster);
    must_put(cluster, leader, "a", "1");
    uint64_t since = cluster_now(cluster);
    node_stop(cluster_node(cluster, leader), 5000);
    ck_assert(cluster_run_until(cluster, stopped, &leader, 5000));
    ck_assert_msg(cluster_now(cluster) - since < 1000, "handing over takes no election timeout");
    struct client_op op;
    client_put(cluster, leader, &op, "b", "2", 1000);
    client_wait(&op);
    ck_assert_int_eq(op.err, ERR_SHUTTING_DOWN);
    ck_assert_int_eq(op.outcome, OUTCOME_NOT_APPLIED);
    must_put(cluster, (leader + 1) % 3, "a", "2");
    cluster_free(cluster);
}
END_TEST

/* The clock moves on between the steps of one turn, which must never go back in time. */
START_TEST(a_turn_may_take_time)
{
    for (uint32_t looks = 1; looks <= 7; looks++) {
        struct cluster_options options = { .n = 3, .seed = 50 + looks, .delay_min_ms = 1,
                                           .delay_max_ms = 2, .disk_min_ms = 1, .disk_max_ms = 3,
                                           .slow_turns = 4 + looks };
        struct cluster *cluster = cluster_new(&options);
        uint32_t leader = must_lead(cluster);
        struct client_op writes[20];
        for (int i = 0; i < 20; i++)
            client_put(cluster, leader, &writes[i], "a", "1", 5000);
        node_stop(cluster_node(cluster, leader), 2000);
        ck_assert(cluster_run_until(cluster, stopped, &leader, 5000));
        must_put(cluster, (leader + 1) % 3, "a", "2");
        cluster_free(cluster);
    }
}
END_TEST

/* The body with which `from` forwards a write to `to`, as the network may repeat it at any time. */
static void deliver_forward(struct cluster *cluster, uint32_t from, uint32_t to, raft_term term)
{
    static unsigned char bytes[4096];
    const struct identity *sender = node_identity(cluster_node(cluster, from));
    struct kv_op kv = { .type = KV_SET, .key = slice_text("k"), .value = slice_text("v") };
    struct frame frame = { .type = FRAME_FORWARD, .request = (UINT64_C(77) << 32) + 1 };
    unsigned char command[256];
    frame.forward.timeout_ms = 1000;
    frame.forward.term = term;
    frame.forward.command = slice_of(command, command_encode_batch(&kv, 1, command));
    struct blob *encoded = frame_encode(&frame);
    struct envelope envelope = { .cluster = sender->cluster, .from = sender->id,
                                 .to = node_identity(cluster_node(cluster, to))->id, .n_frames = 1 };
    memcpy(envelope.incarnation, sender->incarnation, INCARNATION_SIZE);
    memcpy(bytes, encoded->data, encoded->size);
    struct blob *body = blob_copy(slice_of(bytes, encoded->size));
    struct network_events events = node_network_events(cluster_node(cluster, to));
    char why[REFUSAL_MAX];
    ck_assert_int_eq(events.on_body(events.arg, &envelope, body, blob_slice(body), why),
                     VERDICT_ACCEPTED);
    cluster_run(cluster, 300);
    blob_unref(body);
    blob_unref(encoded);
}

static uint64_t revision_at(struct cluster *cluster, uint32_t node)
{
    struct node_status status;
    node_status(cluster_node(cluster, node), &status);
    return status.revision;
}

/* B47: found by the simulator.  A leader takes a forwarded write, restarts, leads again, and only
 * then the network brings the same body once more. */
START_TEST(a_forwarded_write_is_not_taken_by_a_later_life)
{
    struct cluster *cluster = calm_cluster(3, 4);
    uint32_t leader = must_lead(cluster), follower = (leader + 1) % 3;
    must_put(cluster, follower, "first", "v");
    struct node_status status;
    node_status(cluster_node(cluster, leader), &status);
    uint64_t before = status.revision;
    deliver_forward(cluster, follower, leader, status.term);
    ck_assert_uint_eq(revision_at(cluster, leader), before + 1);
    deliver_forward(cluster, follower, leader, status.term);
    ck_assert_uint_eq(revision_at(cluster, leader), before + 1);
    cluster_crash(cluster, leader, 100);
    cluster_restart(cluster, leader);
    for (int i = 0; i < 50 && must_lead(cluster) != leader; i++) {
        uint32_t other = must_lead(cluster);
        cluster_crash(cluster, other, 100);
        cluster_run(cluster, 1000);
        cluster_restart(cluster, other);
        cluster_run(cluster, 1000);
    }
    ck_assert_uint_eq(must_lead(cluster), leader);
    cluster_run(cluster, 500);
    deliver_forward(cluster, follower, leader, status.term);
    ck_assert_msg(revision_at(cluster, leader) == before + 1, "the write was applied twice");
    cluster_free(cluster);
}
END_TEST

START_TEST(a_condition_is_judged_when_applied) /* B49 */
{
    struct cluster *cluster = calm_cluster(3, 53);
    uint32_t leader = must_lead(cluster);
    must_put(cluster, leader, "a", "1");
    struct client_op read, first, second;
    client_get(cluster, leader, &read, "a", CONSISTENCY_LINEARIZABLE, 1000);
    client_wait(&read);
    client_put_if(cluster, leader, &first, "a", "x", read.revision, 5000);
    client_put_if(cluster, (leader + 1) % 3, &second, "a", "y", read.revision, 5000);
    client_wait(&first);
    client_wait(&second);
    ck_assert_msg((first.err == OK) != (second.err == OK), "exactly one wins");
    enum err lost = first.err == OK ? second.err : first.err;
    ck_assert_int_eq(lost, ERR_CONDITION_FAILED);
    cluster_free(cluster);
}
END_TEST

/* ---- anything may fail, then everything heals */

enum { WRITERS = 6 };

struct writer {
    struct client_op op;
    bool busy;
    uint32_t number;   /* of the last write tried; values grow */
    uint32_t acked;
    bool unknown[256]; /* by number: it may still be applied, even after a later one */
};

static void writer_note(struct writer *writer)
{
    if (writer->op.err == OK)
        writer->acked = writer->number;
    else if (writer->op.outcome == OUTCOME_UNKNOWN)
        writer->unknown[writer->number] = true;
    writer->busy = false;
}

static void writer_turn(struct cluster *cluster, struct writer *writer, uint32_t w, uint32_t node)
{
    char key[16], value[16];
    if (writer->busy && writer->op.done)
        writer_note(writer);
    if (writer->busy || cluster_node(cluster, node) == NULL)
        return;
    snprintf(key, sizeof key, "w%u", w);
    snprintf(value, sizeof value, "%08u", ++writer->number);
    writer->busy = true;
    client_put(cluster, node, &writer->op, key, value, 300);
}

static uint64_t rng;
static uint32_t dice(uint32_t n)
{
    rng = rng * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(rng >> 33) % n;
}

static void trouble(struct cluster *cluster, uint32_t n)
{
    uint32_t i = dice(n), j = dice(n);
    switch (dice(12)) {
    case 0:
        cluster_crash(cluster, i, dice(3));
        break;
    case 1:
    case 2:
        cluster_restart(cluster, i);
        break;
    case 3:
        cluster_isolate(cluster, i, true);
        break;
    case 4:
    case 5:
        cluster_isolate(cluster, i, false);
        break;
    case 6:
        if (i != j)
            cluster_link(cluster, i, j, false);
        break;
    case 7:
        cluster_set_loss(cluster, dice(20));
        break;
    case 8:
        cluster_hold_disk(cluster, i, true);
        break;
    default:
        cluster_hold_disk(cluster, i, false);
        break;
    }
}

static void heal(struct cluster *cluster, uint32_t n)
{
    cluster_set_loss(cluster, 0);
    for (uint32_t i = 0; i < n; i++) {
        cluster_isolate(cluster, i, false);
        cluster_hold_disk(cluster, i, false);
        cluster_restart(cluster, i);
    }
}

static void check_writer(struct cluster *cluster, struct writer *writer, uint32_t w, uint32_t n,
                         uint64_t seed)
{
    char key[16], first[64] = "";
    snprintf(key, sizeof key, "w%u", w);
    if (writer->busy) {
        client_wait(&writer->op);
        writer_note(writer);
    }
    for (uint32_t i = 0; i < n; i++) {
        struct client_op read;
        client_get(cluster, i, &read, key, CONSISTENCY_LINEARIZABLE, 5000);
        client_wait(&read);
        ck_assert_msg(read.err == OK, "seed %d: read after healing: %s", (int)seed,
                      err_name(read.err));
        uint32_t value = read.found ? (uint32_t)strtoul(read.value, NULL, 10) : 0;
        ck_assert_msg(value == writer->acked || writer->unknown[value],
                      "seed %d: %s is %u at node %u, acknowledged %u, tried %u", (int)seed, key,
                      value, i, writer->acked, writer->number);
        if (i == 0)
            snprintf(first, sizeof first, "%s", read.value);
        ck_assert_str_eq(first, read.value);
    }
}

static void one_seed(uint64_t seed)
{
    rng = seed;
    uint32_t n = seed % 2 == 0 ? 3 : 5;
    struct cluster_options options = { .n = n, .seed = seed, .delay_min_ms = 1,
                                       .delay_max_ms = 1 + dice(30), .loss_percent = dice(10),
                                       .duplicate_percent = dice(20), .disk_min_ms = 1,
                                       .disk_max_ms = 1 + dice(30) };
    struct cluster *cluster = cluster_new(&options);
    static struct writer writers[WRITERS];
    memset(writers, 0, sizeof writers);
    for (int round = 0; round < 120; round++) {
        for (uint32_t w = 0; w < WRITERS; w++)
            writer_turn(cluster, &writers[w], w, dice(n));
        cluster_run(cluster, 1 + dice(60));
        if (dice(4) == 0)
            trouble(cluster, n);
    }
    heal(cluster, n);
    cluster_run(cluster, 3000);
    ck_assert_msg(cluster_leader(cluster) >= 0, "seed %d: a leader after healing", (int)seed);
    for (uint32_t w = 0; w < WRITERS; w++)
        check_writer(cluster, &writers[w], w, n, seed);
    cluster_free(cluster);
}

START_TEST(acknowledged_writes_survive_random_trouble)
{
    const char *seeds = getenv("NODE_SEEDS"), *from = getenv("NODE_SEED_FROM");
    uint64_t first = from != NULL ? strtoull(from, NULL, 10) : 1;
    uint64_t count = seeds != NULL ? strtoull(seeds, NULL, 10) : 60;
    for (uint64_t seed = first; seed < first + count; seed++)
        one_seed(seed);
}
END_TEST

int main(void)
{
    log_set_level(LOG_LEVEL_ERROR);
    TCase *one = tcase_create("node");
    tcase_set_timeout(one, 0);
    tcase_add_test(one, any_node_takes_writes_and_reads);
    tcase_add_test(one, a_cluster_of_one_serves);
    tcase_add_test(one, a_full_store_takes_no_further_write_once_all_is_stored);
    tcase_add_test(one, a_forwarded_write_is_not_taken_by_a_later_life);
    tcase_add_test(one, an_acknowledged_write_survives_a_crash_of_all_nodes);
    tcase_add_test(one, a_new_leader_takes_over_and_nothing_is_lost);
    tcase_add_test(one, a_write_that_meets_a_leader_change_ends_truthfully);
    tcase_add_test(one, an_isolated_leader_serves_no_linearizable_read);
    tcase_add_test(one, a_lease_ends_before_another_leader_can_write);
    tcase_add_test(one, a_stale_read_says_how_stale);
    tcase_add_test(one, a_wiped_disk_is_refused_under_its_old_id);
    tcase_add_test(one, who_has_forgotten_what_it_acknowledged_stops_for_good);
    tcase_add_test(one, a_leader_whose_disk_hangs_gives_way);
    tcase_add_test(one, a_follower_far_behind_catches_up_without_an_election);
    tcase_add_test(one, entries_larger_than_one_append_reach_a_follower);
    tcase_add_test(one, any_node_tells_what_the_leader_knows);
    tcase_add_test(one, a_leader_that_stops_hands_over_and_flushes);
    tcase_add_test(one, a_turn_may_take_time);
    tcase_add_test(one, a_condition_is_judged_when_applied);
    tcase_add_test(one, acknowledged_writes_survive_random_trouble);
    Suite *suite = suite_create("node");
    suite_add_tcase(suite, one);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
