/* test_raft_random.c - clusters under random trouble, from a seed.
 *
 * Phase one (safety): messages are lost, repeated, reordered and split, links are cut one way or
 * both, disks are slow, nodes crash and lose what was not yet written.  Phase two (liveness): all
 * is well again, and soon a leader has committed everything everywhere and answered a read.  The
 * invariants are checked by raft_cluster.c after every step.
 *
 * HOLDFAST_SEEDS=n runs n seeds, HOLDFAST_SEED=s begins at (with SEEDS=1: replays) seed s. */
#include "raft_cluster.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

enum { SAFETY_MS = 3000, LIVENESS_MS = 4000 };

struct run {
    struct cluster *c;
    uint64_t random;
    uint64_t seed;
    /* the swarm's options, in per mille where they are chances */
    uint32_t voters, learners;
    uint32_t loss, duplicate, delay_ms, disk_ms, crash, cut, propose, read, transfer, stall, unreachable;
    bool healed;
    bool link[CLUSTER_NODES_MAX][CLUSTER_NODES_MAX]; /* true: cut, from -> to */
    uint64_t up_again[CLUSTER_NODES_MAX];
};

static uint64_t rnd(struct run *run)
{
    run->random += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = run->random;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static uint32_t below(struct run *run, uint32_t n)
{
    return n == 0 ? 0 : (uint32_t)(rnd(run) % n);
}

static bool chance(struct run *run, uint32_t per_mille)
{
    return !run->healed && below(run, 1000) < per_mille;
}

/* One of: never, seldom, often. */
static uint32_t swarm(struct run *run, uint32_t most)
{
    switch (below(run, 3)) {
    case 0:
        return 0;
    case 1:
        return below(run, most / 10 + 2);
    default:
        return below(run, most + 1);
    }
}

static void run_init(struct run *run, uint64_t seed)
{
    memset(run, 0, sizeof *run);
    run->seed = run->random = seed;
    static const uint32_t sizes[] = { 3, 3, 3, 5, 5, 1, 2, 4 };
    run->voters = sizes[below(run, 8)];
    run->learners = below(run, 4) == 0 ? 1 : 0;
    run->loss = swarm(run, 300);
    run->duplicate = swarm(run, 500);
    run->delay_ms = 1 + swarm(run, 60);
    run->disk_ms = swarm(run, 250);
    run->crash = swarm(run, 10);
    run->cut = swarm(run, 20);
    run->propose = 5 + below(run, 100);
    run->read = swarm(run, 60);
    run->transfer = swarm(run, 8);
    run->stall = swarm(run, 4);
    run->unreachable = swarm(run, 20);
    struct raft_config config = { .election_min_ms = 100, .election_max_ms = 200,
                                  .heartbeat_ms = 10 + below(run, 25),
                                  .batch_entries = 1 + below(run, 8), .window = 1 + below(run, 6),
                                  .pre_vote = below(run, 4) != 0,
                                  .check_quorum = below(run, 4) != 0, .seed = rnd(run) };
    run->c = cluster_new(run->voters, run->learners, &config);
    run->c->drop_overflow = true;
    run->c->split = below(run, 3) == 0 ? 1 + below(run, 3) : 0;
    run->c->cut = below(run, 4) == 0 ? 1 + below(run, 4) : 0;
    snprintf(run->c->label, sizeof run->c->label, "seed %llu", (unsigned long long)seed);
}

/* ---- trouble */

static void cut_links(struct run *run)
{
    uint32_t n = run->c->n, how = below(run, 5);
    uint32_t victim = below(run, n), other = below(run, n);
    if (below(run, 2) == 0 && cluster_leader(run->c) < n)
        victim = cluster_leader(run->c);
    for (uint32_t i = 0; i < n; i++) {
        if (how == 0)
            memset(run->link[i], 0, sizeof run->link[i]);
        else if (how == 1) /* one node alone */
            run->link[i][victim] = run->link[victim][i] = true;
        else if (how == 2) /* it can speak but not hear */
            run->link[i][victim] = true;
        else if (how == 3) /* it can hear but not speak */
            run->link[victim][i] = true;
    }
    if (how == 4)
        run->link[victim][other] = run->link[other][victim] = true;
}

static void crash_and_restart(struct run *run)
{
    struct cluster *c = run->c;
    for (uint32_t i = 0; i < c->n; i++) {
        struct cluster_node *n = c->node[i];
        if (n->up && chance(run, run->crash)) {
            cluster_crash(c, i, below(run, n->n_writes + 1));
            run->up_again[i] = c->now + below(run, 300);
        } else if (!n->up && (run->healed || c->now >= run->up_again[i])) {
            cluster_restart(c, i, below(run, 2) == 0 ? 0 : n->update.commit);
        }
    }
}

static void disturb(struct run *run)
{
    struct cluster *c = run->c;
    uint32_t i = below(run, c->n);
    struct raft_event event = { .now = c->now };
    if (!c->node[i]->up)
        return;
    if (chance(run, run->transfer)) {
        event.type = RAFT_TRANSFER;
        event.transfer.to = below(run, 2) == 0 ? 0 : 1 + below(run, c->n);
        cluster_event(c, i, &event);
    }
    if (chance(run, run->stall)) {
        event.type = RAFT_DISK;
        event.disk.stalled = below(run, 2) == 0;
        cluster_event(c, i, &event);
    }
    if (chance(run, run->unreachable)) {
        event.type = RAFT_UNREACHABLE;
        event.unreachable.peer = 1 + below(run, c->n);
        cluster_event(c, i, &event);
    }
    if (chance(run, run->cut))
        cut_links(run);
}

static void heal(struct run *run)
{
    struct cluster *c = run->c;
    run->healed = true;
    memset(run->link, 0, sizeof run->link);
    crash_and_restart(run);
    for (uint32_t i = 0; i < c->n; i++) {
        struct raft_event event = { .type = RAFT_DISK, .now = c->now };
        cluster_event(c, i, &event);
    }
}

/* ---- the world goes on by one millisecond */

/* A writer that is free takes all that is queued, as one write. */
static void disk(struct run *run, uint32_t i)
{
    struct cluster *c = run->c;
    struct cluster_node *n = c->node[i];
    while (n->n_writes > 0) {
        if (n->writes[0].done_at == 0) {
            uint64_t done = c->now + below(run, run->healed ? 2 : run->disk_ms + 1);
            for (uint32_t k = 0; k < n->n_writes; k++)
                n->writes[k].done_at = done;
        }
        if (n->writes[0].done_at > c->now)
            return;
        cluster_write_one(c, i); /* what is released may queue more */
    }
}

static void disks(struct run *run)
{
    for (uint32_t i = 0; i < run->c->n; i++) {
        if (run->c->node[i]->up)
            disk(run, i);
    }
}

/* New packets get their time; some are lost, some come twice. */
static void post(struct run *run)
{
    struct cluster *c = run->c;
    for (uint32_t i = 0; i < c->n_net; i++) {
        struct cluster_packet *p = c->net[i];
        if (p->deliver_at == 0)
            p->deliver_at = c->now + 1 + below(run, run->healed ? 4 : run->delay_ms);
    }
}

static void network(struct run *run)
{
    struct cluster *c = run->c;
    post(run);
    for (uint32_t i = 0; i < c->n_net;) {
        struct cluster_packet *p = c->net[i];
        if (p->deliver_at == 0 || p->deliver_at > c->now) {
            i++;
            continue;
        }
        bool cut = run->link[cluster_place(c, p->msg.from)][cluster_place(c, p->msg.to)];
        if (cut || chance(run, run->loss)) {
            cluster_drop(c, i);
        } else if (chance(run, run->duplicate)) {
            p->deliver_at = c->now + 1 + below(run, 10 * run->delay_ms);
            cluster_deliver(c, i, true);
            i++;
        } else {
            cluster_deliver(c, i, false);
        }
    }
    post(run);
}

static void clients(struct run *run)
{
    struct cluster *c = run->c;
    uint32_t i = below(run, c->n);
    uint32_t leader = cluster_leader(c);
    uint32_t old = i; /* some clients still believe in a leader that is cut off */
    while (c->node[old]->update.role != RAFT_LEADER && old + 1 < c->n)
        old++;
    uint32_t whom = below(run, 4);
    if (whom <= 1 && leader < c->n)
        i = leader;
    else if (whom == 2)
        i = old;
    if (!c->node[i]->up)
        return;
    bool room = c->node[i]->log.last + 64 < CLUSTER_LOG_MAX;
    if (room && chance(run, run->propose))
        cluster_propose(c, i, 1 + below(run, 12));
    if (c->n_reads < CLUSTER_READS_MAX - 8 && chance(run, run->read))
        cluster_read(c, i);
}

static void ticks(struct run *run)
{
    struct cluster *c = run->c;
    for (uint32_t i = 0; i < c->n; i++) {
        struct cluster_node *n = c->node[i];
        if (n->up && (c->now >= n->update.deadline || chance(run, 5)))
            cluster_tick(c, i);
    }
}

static void millisecond(struct run *run)
{
    run->c->now++;
    crash_and_restart(run);
    disturb(run);
    ticks(run);
    clients(run);
    disks(run);
    network(run);
}

static bool converged(const struct cluster *c)
{
    uint32_t leader = cluster_leader(c);
    if (leader == c->n)
        return false;
    const struct cluster_node *l = c->node[leader];
    for (uint32_t i = 0; i < c->n; i++) {
        const struct cluster_node *n = c->node[i];
        if (n->update.term != l->update.term || n->update.leader != l->id ||
            n->update.commit != l->log.last || n->disk.last != l->log.last)
            return false;
    }
    return true;
}

static void dump(const struct run *run)
{
    const struct cluster *c = run->c;
    for (uint32_t i = 0; i < c->n; i++) {
        const struct cluster_node *n = c->node[i];
        struct raft_progress progress[RAFT_MEMBERS_MAX];
        fprintf(stderr, "%llu %s %s term=%llu leader=%llu commit=%llu last=%llu disk=%llu\n",
                (unsigned long long)n->id, c->members.at[i].voter ? "voter" : "learner",
                raft_role_name(n->update.role), (unsigned long long)n->update.term,
                (unsigned long long)n->update.leader, (unsigned long long)n->update.commit,
                (unsigned long long)n->log.last, (unsigned long long)n->disk.last);
        uint32_t members = raft_progress(n->raft, progress);
        for (uint32_t k = 0; n->update.role == RAFT_LEADER && k < members; k++)
            fprintf(stderr, "  %llu match=%llu next=%llu%s\n", (unsigned long long)progress[k].id,
                    (unsigned long long)progress[k].match, (unsigned long long)progress[k].next,
                    progress[k].probing ? " probing" : "");
    }
}

static void must_converge(struct run *run, const char *what)
{
    /* A window of 1 and batches of 1 need a round trip for each entry that someone lacks. */
    uint64_t end = run->c->now + LIVENESS_MS;
    for (uint32_t i = 0; i < run->c->n; i++)
        end += 12 * run->c->node[i]->log.last;
    while (!converged(run->c)) {
        if (run->c->now >= end) {
            dump(run);
            ck_abort_msg("seed %llu: I13: not converged %s", (unsigned long long)run->seed, what);
        }
        millisecond(run);
    }
}

static void run_seed(uint64_t seed, struct cluster_marks *total)
{
    struct run run;
    run_init(&run, seed);
    struct cluster *c = run.c;
    for (uint32_t i = 0; i < SAFETY_MS; i++)
        millisecond(&run);
    heal(&run);
    must_converge(&run, "after all was well again");
    cluster_check_trails(c);

    /* A write and a read, both soon done; then the cluster is quiet: no new leader. */
    uint32_t leader = cluster_leader(c);
    raft_term term = c->node[leader]->update.term;
    uint64_t settled = c->now + 300; /* a transfer under way may still be given up */
    while (c->now < settled)
        millisecond(&run);
    leader = cluster_leader(c);
    ck_assert_msg(leader < c->n, "seed %llu: the leader was lost", (unsigned long long)seed);
    term = c->node[leader]->update.term;
    raft_index last = c->node[leader]->log.last;
    ck_assert_int_eq(cluster_propose(c, leader, 1), RAFT_OK);
    uint32_t tag = c->n_reads;
    ck_assert_int_eq(cluster_read(c, leader), RAFT_OK);
    must_converge(&run, "after one more write");
    for (uint32_t i = 0; i < 400; i++)
        millisecond(&run);
    ck_assert_msg(!c->read[tag].open, "seed %llu: a read is never answered",
                  (unsigned long long)seed);
    ck_assert_msg(c->committed > last, "seed %llu: the write was not committed",
                  (unsigned long long)seed);
    ck_assert_msg(cluster_leader(c) == leader && c->node[leader]->update.term == term,
                  "seed %llu: a leader was deposed without need", (unsigned long long)seed);
    const uint64_t *from = (const uint64_t *)(const void *)&c->marks;
    uint64_t *to = (uint64_t *)(void *)total;
    for (size_t i = 0; i < sizeof *total / sizeof *to; i++)
        to[i] += from[i];
    cluster_free(c);
}

static uint64_t number_from_env(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text == NULL || *text == '\0' ? otherwise : strtoull(text, NULL, 10);
}

START_TEST(random_clusters_stay_safe_and_recover)
{
    uint64_t first = number_from_env("HOLDFAST_SEED", 1);
    uint64_t n = number_from_env("HOLDFAST_SEEDS", 1000);
    struct cluster_marks m;
    memset(&m, 0, sizeof m);
    for (uint64_t seed = first; seed < first + n; seed++)
        run_seed(seed, &m);
    printf("seeds=%llu elections=%llu leaders=%llu commits=%llu truncations=%llu refusals=%llu "
           "probes=%llu step-downs=%llu/%llu/%llu reads=%llu failed=%llu transfers=%llu "
           "crashes-with-loss=%llu\n",
           (unsigned long long)n, (unsigned long long)m.elections, (unsigned long long)m.leaders,
           (unsigned long long)m.commits, (unsigned long long)m.truncations,
           (unsigned long long)m.refusals, (unsigned long long)m.probes,
           (unsigned long long)m.step_downs[0], (unsigned long long)m.step_downs[1],
           (unsigned long long)m.step_downs[2], (unsigned long long)m.reads_ok,
           (unsigned long long)m.reads_failed, (unsigned long long)m.transfers,
           (unsigned long long)m.crashes_with_loss);
    if (n < 100)
        return;
    /* A mark that stays 0 means that the test tests nothing there. */
    ck_assert_uint_gt(m.truncations, 0);
    ck_assert_uint_gt(m.refusals, 0);
    ck_assert_uint_gt(m.step_downs[RAFT_STEP_DOWN_TERM], 0);
    ck_assert_uint_gt(m.step_downs[RAFT_STEP_DOWN_QUORUM], 0);
    ck_assert_uint_gt(m.step_downs[RAFT_STEP_DOWN_DISK], 0);
    ck_assert_uint_gt(m.reads_ok, 0);
    ck_assert_uint_gt(m.reads_failed, 0);
    ck_assert_uint_gt(m.transfers, 0);
    ck_assert_uint_gt(m.crashes_with_loss, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("raft, random clusters");
    TCase *tc = tcase_create("seeds");
    tcase_set_timeout(tc, 0);
    tcase_add_test(tc, random_clusters_stay_safe_and_recover);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
