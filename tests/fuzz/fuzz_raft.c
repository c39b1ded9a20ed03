/* fuzz_raft.c - a few Raft cores whose every turn of fortune is read from the input: who ticks,
 * which message arrives, is lost or comes again, what the disk has finished, who dies and comes
 * back, what clients ask.
 *
 * The driver and the invariants are the simulator's (tests/sim/core_world.c, core_check.c); only
 * chance is replaced.  So core_run here is what the simulator calls a run. */
#include "tests/fuzz/fuzz.h"
#include "tests/sim/core.h"

enum {
    ELECTION_MIN_MS = 100,
    ELECTION_MAX_MS = 200,
    FLYING_MAX = 64,
    STEPS_MAX = 3000,
};

static struct fuzz_input choices;
static uint32_t flying[FLYING_MAX], n_flying; /* messages on their way, oldest first */
static uint32_t away; /* nodes cut off when messages flow, a set of bits */

static uint32_t take_packet(struct core_world *w, uint32_t at)
{
    uint32_t packet = flying[at];
    (void)w;
    memmove(&flying[at], &flying[at + 1], (--n_flying - at) * sizeof flying[0]);
    return packet;
}

/* The network is full: the oldest is lost. */
void core_post(struct core_world *w, uint32_t packet)
{
    if (n_flying == FLYING_MAX)
        core_drop(w, take_packet(w, 0));
    flying[n_flying++] = packet;
}

void real_run(uint64_t seed, uint64_t *marks)
{
    (void)seed;
    (void)marks;
}

static void start(struct core_world *w)
{
    struct raft_config config = { .election_min_ms = ELECTION_MIN_MS,
                                  .election_max_ms = ELECTION_MAX_MS };
    static const uint32_t sizes[] = { 3, 3, 1, 2, 4, 5, 3, 3 };
    uint8_t shape = fuzz_u8(&choices);
    w->options.voters = sizes[shape % 8];
    w->options.learners = shape >> 3 & 1;
    config.pre_vote = shape >> 4 & 1;
    config.check_quorum = shape >> 5 & 1;
    w->options.split = shape >> 6 & 1 ? 2 : 0;
    w->options.cut = shape >> 7 & 1 ? 2 : 0;
    config.heartbeat_ms = 20;
    config.batch_entries = 1 + fuzz_below(&choices, CORE_BATCH_MAX);
    config.window = 1 + fuzz_below(&choices, 6);
    w->n = w->members.n = w->options.voters + w->options.learners;
    for (uint32_t i = 0; i < w->n; i++)
        w->members.at[i] = (struct raft_member){ .id = i + 1, .voter = i < w->options.voters };
    for (uint32_t i = 0; i < w->n; i++) {
        struct core_node *n = w->node[i];
        config.self = n->id;
        config.trace = n->config.trace;
        config.trace_arg = n->config.trace_arg;
        n->config = config;
        n->base_members = w->members;
        n->clock = (struct sim_clock){ w->now_us, 1000000, 1000 };
        core_restart(w, i, 0);
    }
}

/* ---- turns of fortune */

static void tick(struct core_world *w, uint32_t i, bool wait)
{
    struct core_node *n = w->node[i];
    struct raft_event event = { .type = RAFT_TICK };
    if (wait && n->update.deadline > core_now(w, i))
        w->now_us += (n->update.deadline - core_now(w, i)) * 1000;
    core_world_step(w, i, &event, NULL);
}

static void message(struct core_world *w, uint32_t how, uint32_t at)
{
    if (n_flying == 0)
        return;
    at %= n_flying;
    if (how == 0) {
        core_deliver(w, take_packet(w, at));
    } else if (how == 1) {
        core_drop(w, take_packet(w, at));
    } else if (w->free_packet < CORE_PACKETS_MAX) { /* once more, later */
        uint32_t copy = w->free_packet;
        w->free_packet = w->packets[copy].next_free;
        w->packets[copy] = w->packets[flying[at]];
        core_post(w, copy);
    }
}

static void disk(struct core_world *w, uint32_t i)
{
    if (w->node[i]->writing > 0)
        core_disk_done(w, i);
}

static void crash(struct core_world *w, uint32_t i, uint32_t more)
{
    const struct core_node *n = w->node[i];
    core_crash(w, i, more % (n->n_writes + 1));
    if (more < 128)
        core_restart(w, i, more % 2 == 0 ? 0 : n->commit_seen);
}

static void tell(struct core_world *w, uint32_t i, uint32_t what, uint32_t more)
{
    struct raft_event event = { .type = RAFT_TRANSFER };
    if (what == 0) {
        event.transfer.to = more % (w->n + 1);
    } else if (what == 1) {
        event.type = RAFT_DISK;
        event.disk.stalled = more % 2;
    } else {
        event.type = RAFT_UNREACHABLE;
        event.unreachable.peer = 1 + more % w->n;
    }
    core_world_step(w, i, &event, NULL);
}

static bool is_cut(const struct core_world *w, uint32_t packet)
{
    const struct raft_msg *msg = &w->packets[packet].msg;
    return ((away >> core_place(msg->from) | away >> core_place(msg->to)) & 1) != 0;
}

/* All messages that are there, in order, and all disks. */
static void flow(struct core_world *w, uint32_t rounds)
{
    for (uint32_t round = 0; round < rounds; round++) {
        for (uint32_t n = n_flying; n > 0 && n_flying > 0; n--)
            message(w, is_cut(w, flying[0]) ? 1 : 0, 0);
        for (uint32_t i = 0; i < w->n; i++)
            disk(w, i);
    }
}

static void happen(struct core_world *w)
{
    uint8_t what = fuzz_u8(&choices), more = fuzz_u8(&choices);
    uint32_t i = (what >> 4) % w->n, action = what % 16;
    struct core_node *n = w->node[i];
    w->now_us += 1000u * (action % 4);
    if (action == 0)
        away ^= 1u << i;
    else if (action == 1)
        message(w, 0, more);
    else if (action == 2)
        message(w, 1, more);
    else if (action == 3)
        message(w, 2, more);
    else if (action == 4)
        flow(w, 1 + more % 4);
    else if (!n->up)
        core_restart(w, i, more % 2 == 0 ? 0 : n->commit_seen);
    else if (action <= 6)
        disk(w, i);
    else if (action <= 8)
        tick(w, i, action == 7);
    else if (action == 9 && more % 2 == 0)
        crash(w, i, more >> 1);
    else if (action <= 11 && n->log.last + 64 < CORE_LOG_MAX)
        core_propose(w, i, 1 + more % CORE_BATCH_MAX);
    else if (action == 12 && w->n_reads + 8 < CORE_READS_MAX)
        core_read(w, i);
    else if (action >= 13)
        tell(w, i, action - 13, more);
}

void core_run(uint64_t seed, uint64_t *marks)
{
    struct core_world *w = core_world();
    core_world_begin(w, seed, marks);
    n_flying = away = 0;
    start(w);
    for (int step = 0; step < STEPS_MAX && choices.left > 0; step++) {
        happen(w);
        sim_heap_clear(&w->heap); /* time passes as the input says */
        for (uint32_t i = 0; i < w->n; i++) {
            w->node[i]->timer_us = UINT64_MAX;
            if (w->node[i]->n_writes > CORE_WRITES_MAX / 2)
                disk(w, i);
        }
        if (w->highest_term + 64 > CORE_TERMS_MAX)
            break;
    }
    core_check_end(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t marks[SIM_MARKS_MAX] = { 0 };
    struct sim_result result;
    choices = (struct fuzz_input){ data, size };
    sim_run(SIM_CORE, 1, getenv("FUZZ_TRACE") != NULL ? stderr : NULL, marks, &result);
    if (result.failed)
        fprintf(stderr, "broken promise: %s\n", result.why);
    FUZZ_MUST(!result.failed);
    return 0;
}
