/* demo_tour.c - `holdfast demo --tour`: shows that nothing is lost when the leader is killed, and
 * fails if something is. */
#include "demo.h"

#include <holdfast/clock.h>

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    KEYS = 100, /* written in each of two rounds */
    ELECTION_WITHIN_MS = 15000,
    CATCH_UP_WITHIN_MS = 20000,
};

struct tour {
    struct demo *demo;
    unsigned step;
    unsigned written; /* keys 0 .. written - 1 were acknowledged */
};

static void tell(struct tour *tour, const char *format, ...) __attribute__((format(printf, 2, 3)));
static bool failed(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void tell(struct tour *tour, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    printf("\n%u. ", ++tour->step);
    vprintf(format, args);
    putchar('\n');
    fflush(stdout);
    va_end(args);
}

static bool failed(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fflush(stdout);
    fputs("   FAILED: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    return false;
}

static void key_and_value(unsigned i, char key[32], char value[64])
{
    snprintf(key, 32, "tour/%03u", i);
    snprintf(value, 64, "value %u of this tour", i);
}

/* Writes the next `n` keys, each through another of the running nodes. */
static bool write_keys(struct tour *tour, unsigned n)
{
    struct demo *demo = tour->demo;
    for (unsigned end = tour->written + n, via = 0; tour->written < end; via++) {
        const struct demo_node *node = &demo->nodes[via % demo->n_nodes];
        if (node->pid == 0)
            continue;
        char key[32], value[64];
        key_and_value(tour->written, key, value);
        struct holdfast_call call = HOLDFAST_CALL_INIT;
        call.node = node->url;
        struct holdfast_result *r = holdfast_put(demo->db, holdfast_text(key), holdfast_text(value),
                                                 &call);
        bool fine = r->error == HOLDFAST_OK || failed("PUT %s at %s: %s", key, node->name, r->message);
        holdfast_result_free(r);
        if (!fine || demo_interrupted())
            return false;
        tour->written++;
    }
    return true;
}

/* Reads every acknowledged key from node `i`. */
static bool read_keys(struct tour *tour, unsigned i, enum holdfast_consistency consistency)
{
    struct demo *demo = tour->demo;
    for (unsigned k = 0; k < tour->written; k++) {
        char key[32], value[64];
        key_and_value(k, key, value);
        struct holdfast_call call = HOLDFAST_CALL_INIT;
        call.node = demo->nodes[i].url;
        call.consistency = consistency;
        struct holdfast_result *r = holdfast_get(demo->db, holdfast_text(key), &call);
        bool fine = true;
        if (r->error != HOLDFAST_OK)
            fine = failed("GET %s at %s: %s", key, demo->nodes[i].name, r->message);
        else if (r->n_kvs != 1 || r->kvs[0].value.size != strlen(value) ||
                 memcmp(r->kvs[0].value.data, value, strlen(value)) != 0)
            fine = failed("GET %s at %s: another value than was written", key, demo->nodes[i].name);
        holdfast_result_free(r);
        if (!fine || demo_interrupted())
            return false;
    }
    printf("   %s: all %u values are there\n", demo->nodes[i].name, tour->written);
    return true;
}

static bool read_everywhere(struct tour *tour)
{
    for (unsigned i = 0; i < tour->demo->n_nodes; i++)
        if (tour->demo->nodes[i].pid != 0 && !read_keys(tour, i, HOLDFAST_LINEARIZABLE))
            return false;
    return true;
}

/* The first write that is accepted after `since_ms`; it tells how long the cluster was away. */
static bool wait_for_write(struct tour *tour, uint64_t since_ms)
{
    struct demo *demo = tour->demo;
    struct holdfast_result *r = NULL;
    do {
        holdfast_result_free(r);
        struct holdfast_call call = HOLDFAST_CALL_INIT;
        call.timeout_ms = 500;
        r = holdfast_put(demo->db, holdfast_text("tour/after"), holdfast_text("the kill"), &call);
        if (r->error == HOLDFAST_OK)
            break;
        usleep(5000);
    } while (clock_monotonic_ms() - since_ms < ELECTION_WITHIN_MS && !demo_interrupted());
    bool fine = r->error == HOLDFAST_OK;
    if (fine)
        printf("   the next write was accepted after %llu ms\n",
               (unsigned long long)(clock_monotonic_ms() - since_ms));
    else
        failed("no write was accepted within %d ms: %s", ELECTION_WITHIN_MS, r->message);
    holdfast_result_free(r);
    return fine;
}

static bool kill_leader(struct tour *tour, unsigned leader)
{
    struct demo *demo = tour->demo;
    tell(tour, "kill -9 %d: %s, the leader, is gone without a word", (int)demo->nodes[leader].pid,
         demo->nodes[leader].name);
    uint64_t since = clock_monotonic_ms();
    demo_kill_node(demo, leader);
    if (!wait_for_write(tour, since))
        return false;
    int next = demo_wait_leader(demo, ELECTION_WITHIN_MS);
    if (next < 0)
        return failed("there is no new leader");
    struct holdfast_result *said = demo_status(demo, (unsigned)next);
    printf("   %s leads now, in term %llu\n", demo->nodes[next].name,
           said != NULL ? (unsigned long long)said->status->term : 0ULL);
    holdfast_result_free(said);
    return true;
}

static bool wait_caught_up(struct tour *tour, unsigned i)
{
    struct demo *demo = tour->demo;
    uint64_t began = clock_monotonic_ms(), applied = 0, target = UINT64_MAX;
    while (clock_monotonic_ms() - began < CATCH_UP_WITHIN_MS && !demo_interrupted()) {
        int leader = demo_wait_leader(demo, ELECTION_WITHIN_MS);
        if (leader < 0)
            return failed("there is no leader");
        struct holdfast_result *leads = demo_status(demo, (unsigned)leader);
        struct holdfast_result *said = demo_status(demo, i);
        if (leads != NULL)
            target = leads->status->commit_index;
        if (said != NULL)
            applied = said->status->applied_index;
        bool there = leads != NULL && said != NULL && applied >= target;
        holdfast_result_free(leads);
        holdfast_result_free(said);
        if (there) {
            printf("   it has applied entry %llu, as has the leader, %llu ms after its start\n",
                   (unsigned long long)applied, (unsigned long long)(clock_monotonic_ms() - began));
            return true;
        }
        usleep(10000);
    }
    return failed("%s did not catch up: it has applied %llu, the leader committed %llu",
                  demo->nodes[i].name, (unsigned long long)applied, (unsigned long long)target);
}

bool demo_tour(struct demo *demo)
{
    struct tour tour = { .demo = demo };
    int leader = demo_wait_leader(demo, ELECTION_WITHIN_MS);
    if (leader < 0)
        return false;
    tell(&tour, "%u nodes run, %s was elected leader", demo->n_nodes, demo->nodes[leader].name);

    tell(&tour, "writing %d keys, each through another node", KEYS);
    if (!write_keys(&tour, KEYS))
        return false;
    printf("   %u writes were acknowledged\n", tour.written);

    tell(&tour, "reading them from each node");
    if (!read_everywhere(&tour))
        return false;

    /* The leader may have changed since; it is the leader of now that must go. */
    leader = demo_wait_leader(demo, ELECTION_WITHIN_MS);
    if (leader < 0 || !kill_leader(&tour, (unsigned)leader))
        return false;

    tell(&tour, "nothing is lost: reading them again from each node that is left");
    if (!read_everywhere(&tour))
        return false;

    tell(&tour, "writing %d more while %s is away", KEYS, demo->nodes[leader].name);
    if (!write_keys(&tour, KEYS))
        return false;
    printf("   %u writes were acknowledged so far\n", tour.written);

    tell(&tour, "starting %s again", demo->nodes[leader].name);
    if (!demo_start_node(demo, (unsigned)leader) || !wait_caught_up(&tour, (unsigned)leader))
        return false;

    tell(&tour, "reading everything from %s's own copy", demo->nodes[leader].name);
    if (!read_keys(&tour, (unsigned)leader, HOLDFAST_STALE))
        return false;

    tell(&tour, "done: %u acknowledged writes, one killed leader, nothing lost", tour.written);
    return true;
}
