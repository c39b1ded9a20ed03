/* core_run.c - a run of tier 1: what the seed makes of the options, the network, the faults, the
 * clients; the safety phase, in which anything may fail, then the liveness phase, in which a
 * majority is well and has to get work done within a bound (I13). */
#include "tests/sim/core.h"

#include <inttypes.h>
#include <string.h>

enum {
    ELECTION_MIN_MS = 100,
    ELECTION_MAX_MS = 200,
    LIVENESS_US = 10 * ELECTION_MAX_MS * 1000,
    CATCH_UP_US = 10000,
    SETTLE_US = 3 * ELECTION_MAX_MS * 1000,
};

enum fault {
    FAULT_CRASH, FAULT_CRASH_ALL, FAULT_PAUSE, FAULT_ISOLATE, FAULT_DEAF, FAULT_MUTE, FAULT_LINK,
    FAULT_SPLIT, FAULT_HEAL, FAULT_CLOG, FAULT_TRANSFER, FAULT_STALL, FAULTS
};

/* ---- options */

static void draw_options(struct core_world *w)
{
    struct sim_random *r = &w->random;
    struct core_options *o = &w->options;
    static const uint32_t sizes[] = { 3, 3, 3, 3, 5, 5, 5, 1, 2, 4 };
    memset(o, 0, sizeof *o);
    o->voters = sizes[sim_below(r, 10)];
    o->learners = sim_below(r, 4) == 0 ? 1 : 0;
    o->loss = sim_swarm(r, 300);
    o->duplicate = sim_swarm(r, 500);
    o->late = sim_swarm(r, 100);
    o->unreachable = sim_swarm(r, 500);
    o->delay_us = 100 + sim_swarm(r, 60000);
    o->late_us = 1000 * sim_between(r, 50, 2000);
    o->disk_us = sim_swarm(r, 250000);
    o->fault_us = 1000 * sim_between(r, 20, 400);
    o->client_us = 1000 * (2 + sim_swarm(r, 200));
    for (int i = 0; i < FAULTS; i++)
        o->weight[i] = sim_swarm(r, 100);
    o->weight[FAULT_HEAL] += 10;
    o->events = sim_between(r, 500, 2500);
    o->split = sim_below(r, 4) == 0 ? sim_between(r, 1, 3) : 0;
    o->cut = sim_below(r, 4) == 0 ? sim_between(r, 1, 4) : 0;
    o->read = sim_swarm(r, 600);
    o->compact_us = 1000 * sim_swarm(r, 300);
    o->keep = sim_swarm(r, 100);
    o->fetch_us = 1000 + 1000 * sim_swarm(r, 1500);
    o->fetch_loss = sim_swarm(r, 300);
    o->unasked = sim_swarm(r, 300);
    o->careless = sim_below(r, 2) == 0;
    o->wild_clocks = sim_below(r, 2) == 0;
    o->keep_writes = sim_below(r, 3) == 0;
    bool churn = sim_below(r, 2) == 0;
    o->change = churn ? 20 + sim_swarm(r, 400) : 0;
    o->spares = churn ? sim_below(r, 4) : 0;
}

static uint32_t clock_rate(struct core_world *w, bool wild)
{
    return wild ? sim_between(&w->random, 500, 2000) : sim_between(&w->random, 950, 1050);
}

static void start_nodes(struct core_world *w)
{
    struct sim_random *r = &w->random;
    struct core_options *o = &w->options;
    struct raft_config config = { .election_min_ms = ELECTION_MIN_MS,
                                  .election_max_ms = ELECTION_MAX_MS };
    config.heartbeat_ms = sim_between(r, 10, 30); /* one draw a statement: their order is fixed */
    config.batch_entries = sim_between(r, 1, CORE_BATCH_MAX);
    config.window = sim_between(r, 1, 6);
    config.pre_vote = sim_below(r, 4) != 0;
    config.check_quorum = sim_below(r, 4) != 0;
    w->marks[CORE_NO_PRE_VOTE] += !config.pre_vote;
    w->marks[CORE_NO_CHECK_QUORUM] += !config.check_quorum;
    w->marks[CORE_LEARNERS] += o->learners;
    w->marks[CORE_SINGLE] += o->voters == 1;
    w->marks[CORE_EVEN] += o->voters % 2 == 0;
    w->marks[CORE_WILD_CLOCKS] += o->wild_clocks;
    w->marks[CORE_CHURN] += o->change > 0;
    w->members.n = o->voters + o->learners;
    w->n = w->members.n + o->spares;
    TRACE("seed=%" PRIu64 " voters=%u learners=%u loss=%u duplicate=%u late=%u delay_us=%u disk_us=%u "
          "pre_vote=%d check_quorum=%d batch=%u window=%u heartbeat_ms=%u wild_clocks=%d",
          w->seed, o->voters, o->learners, o->loss, o->duplicate, o->late, o->delay_us, o->disk_us,
          config.pre_vote, config.check_quorum, config.batch_entries, config.window,
          (unsigned)config.heartbeat_ms, o->wild_clocks);
    for (uint32_t i = 0; i < w->members.n; i++)
        w->members.at[i] = (struct raft_member){ .id = i + 1, .voter = i < o->voters };
    for (uint32_t i = 0; i < w->n; i++) {
        struct core_node *n = w->node[i];
        n->base_members = w->members;
        if (i >= w->members.n && sim_below(r, 2) == 0)
            n->base_members.n = 0; /* one that was told nothing */
        config.self = n->id;
        config.trace = n->config.trace;
        config.trace_arg = n->config.trace_arg;
        n->config = config;
        n->clock.real_us = w->now_us;
        n->clock.local_us = 1000000 + sim_below(r, 5000000);
        n->clock.rate = clock_rate(w, o->wild_clocks);
        core_restart(w, i, 0);
    }
}

/* ---- the network */

static void schedule(struct core_world *w, uint32_t packet, uint64_t at_us)
{
    const struct raft_msg *msg = &w->packets[packet].msg;
    uint64_t clogged = w->clogged_until[core_place(msg->from)][core_place(msg->to)];
    sim_heap_add(&w->heap, at_us > clogged ? at_us : clogged, CORE_DELIVER, packet, 0, 0);
}

static void lose(struct core_world *w, uint32_t packet)
{
    struct raft_msg msg = w->packets[packet].msg;
    core_drop(w, packet);
    w->marks[CORE_LOST]++;
    /* sometimes the sender is told, as a broken connection tells it */
    if (w->healed || !sim_chance(&w->random, w->options.unreachable))
        return;
    struct raft_event event = { .type = RAFT_UNREACHABLE };
    event.unreachable.peer = msg.to;
    if (w->node[core_place(msg.from)]->up && !w->node[core_place(msg.from)]->paused)
        core_world_step(w, core_place(msg.from), &event, NULL);
}

void core_post(struct core_world *w, uint32_t packet)
{
    struct sim_random *r = &w->random;
    const struct core_options *o = &w->options;
    uint64_t at = w->now_us + sim_between(r, 50, w->healed ? 4000 : o->delay_us);
    if (!w->healed && sim_chance(r, o->late)) {
        at += sim_below(r, o->late_us);
        w->marks[CORE_LATE]++;
    }
    if (!w->healed && sim_chance(r, o->duplicate) && w->free_packet < CORE_PACKETS_MAX) {
        uint32_t copy = w->free_packet;
        w->free_packet = w->packets[copy].next_free;
        w->packets[copy] = w->packets[packet];
        schedule(w, copy, w->now_us + sim_between(r, 50, 10 * o->delay_us));
        w->marks[CORE_DUPLICATED]++;
    }
    schedule(w, packet, at);
}

static void arrive(struct core_world *w, uint32_t packet)
{
    const struct raft_msg *msg = &w->packets[packet].msg;
    uint32_t from = core_place(msg->from), to = core_place(msg->to);
    const struct core_node *n = w->node[to];
    if (w->cut[from][to] || !n->up || (!w->healed && sim_chance(&w->random, w->options.loss)))
        lose(w, packet);
    else if (n->paused) /* waits in the socket */
        sim_heap_add(&w->heap, w->now_us + 5000, CORE_DELIVER, packet, 0, 0);
    else
        core_deliver(w, packet);
}

/* ---- faults */

static void crash(struct core_world *w, uint32_t i)
{
    struct core_node *n = w->node[i];
    if (!n->up)
        return;
    uint32_t kept = w->options.keep_writes ? sim_below(&w->random, n->n_writes + 1) : 0;
    core_crash(w, i, kept);
    sim_heap_add(&w->heap, w->now_us + 1000 * sim_below(&w->random, 400), CORE_RESTART, i, n->life, 0);
}

static void pause_node(struct core_world *w, uint32_t i)
{
    struct core_node *n = w->node[i];
    if (!n->up || n->paused)
        return;
    n->paused = true;
    w->marks[CORE_PAUSES]++;
    uint32_t timeouts = sim_between(&w->random, 1, 10), part = sim_between(&w->random, 1, 10);
    uint32_t ms = timeouts * ELECTION_MAX_MS / part;
    TRACE("%10" PRIu64 "  n%u is paused for %u ms", w->now_us, i + 1, ms);
    sim_heap_add(&w->heap, w->now_us + 1000 * ms, CORE_RESUME, i, n->life, 0);
}

static void cut_links(struct core_world *w, enum fault how)
{
    uint32_t victim = sim_below(&w->random, w->n), other = sim_below(&w->random, w->n);
    uint32_t half = (uint32_t)sim_draw(&w->random);
    TRACE("%10" PRIu64 "  network: fault %d on n%u n%u", w->now_us, (int)how, victim + 1, other + 1);
    for (uint32_t i = 0; i < w->n; i++) {
        if (how == FAULT_ISOLATE || how == FAULT_MUTE)
            w->cut[victim][i] = true;
        if (how == FAULT_ISOLATE || how == FAULT_DEAF)
            w->cut[i][victim] = true;
        for (uint32_t k = 0; k < w->n && how == FAULT_SPLIT; k++)
            w->cut[i][k] = (half >> i & 1) != (half >> k & 1);
    }
    if (how == FAULT_LINK)
        w->cut[victim][other] = w->cut[other][victim] = true;
    if (how == FAULT_HEAL)
        memset(w->cut, 0, sizeof w->cut);
    w->marks[CORE_PARTITIONS] += how == FAULT_ISOLATE || how == FAULT_SPLIT;
    w->marks[CORE_ONE_WAY] += how == FAULT_DEAF || how == FAULT_MUTE;
    w->marks[CORE_LINK_CUTS] += how == FAULT_LINK;
}

static void clog_link(struct core_world *w)
{
    uint32_t from = sim_below(&w->random, w->n), to = sim_below(&w->random, w->n);
    w->clogged_until[from][to] = w->now_us + 1000 * sim_below(&w->random, 1000);
    w->marks[CORE_CLOGS]++;
}

static void tell(struct core_world *w, uint32_t i, enum fault fault)
{
    struct raft_event event = { .type = fault == FAULT_TRANSFER ? RAFT_TRANSFER : RAFT_DISK };
    if (!w->node[i]->up || w->node[i]->paused)
        return;
    if (fault == FAULT_TRANSFER)
        event.transfer.to = sim_below(&w->random, 2) == 0 ? 0 : 1 + sim_below(&w->random, w->n);
    else
        event.disk.stalled = sim_below(&w->random, 2) == 0;
    w->marks[CORE_STALLS] += fault == FAULT_STALL;
    core_world_step(w, i, &event, NULL);
}

static enum fault pick_fault(struct core_world *w)
{
    uint32_t sum = 0;
    for (int i = 0; i < FAULTS; i++)
        sum += w->options.weight[i];
    uint32_t at = sim_below(&w->random, sum), fault = 0;
    while (at >= w->options.weight[fault])
        at -= w->options.weight[fault++];
    return (enum fault)fault;
}

static void disturb(struct core_world *w)
{
    enum fault fault = pick_fault(w);
    uint32_t i = sim_below(&w->random, w->n), leader = core_leader(w);
    if (leader < w->n && sim_below(&w->random, 2) == 0)
        i = leader;
    switch (fault) {
    case FAULT_CRASH:
        crash(w, i);
        break;
    case FAULT_CRASH_ALL:
        w->marks[CORE_CRASHES_OF_ALL]++;
        for (uint32_t k = 0; k < w->n; k++)
            crash(w, k);
        break;
    case FAULT_PAUSE:
        pause_node(w, i);
        break;
    case FAULT_CLOG:
        clog_link(w);
        break;
    case FAULT_TRANSFER:
    case FAULT_STALL:
        tell(w, i, fault);
        break;
    default:
        cut_links(w, fault);
    }
    sim_heap_add(&w->heap, w->now_us + sim_below(&w->random, 2 * w->options.fault_us), CORE_FAULT, 0, 0, 0);
}

/* ---- clients */

static void client(struct core_world *w)
{
    uint32_t i = sim_below(&w->random, w->n), leader = core_leader(w);
    if (leader < w->n && sim_below(&w->random, 3) != 0)
        i = leader;
    const struct core_node *n = w->node[i];
    sim_heap_add(&w->heap, w->now_us + 1 + sim_below(&w->random, 2 * w->options.client_us), CORE_CLIENT,
                 0, 0, 0);
    if (!n->up || n->paused || n->n_writes > CORE_WRITES_MAX / 2)
        return;
    if (w->options.change > 0 && sim_chance(&w->random, w->options.change))
        core_change(w, i);
    else if (sim_chance(&w->random, w->options.read) && w->n_reads + 8 < CORE_READS_MAX)
        core_read(w, i);
    else if (n->log.last + 64 < CORE_LOG_MAX)
        core_propose(w, i, 1 + sim_below(&w->random, CORE_BATCH_MAX));
}

/* ---- one thing happens */

static void on_node_event(struct core_world *w, const struct sim_event *event)
{
    struct core_node *n = w->node[event->a];
    if (event->b != n->life)
        return; /* of an earlier life */
    if (event->kind == CORE_RESTART) {
        if (!n->up && !((w->minority | w->gone) >> event->a & 1))
            core_restart(w, event->a, sim_below(&w->random, 2) == 0 ? 0 : n->commit_seen);
        return;
    }
    if (event->kind == CORE_RESUME)
        n->paused = false;
    if (n->paused) { /* timers and completions wait, too */
        if (event->kind == CORE_TIMER)
            n->timer_us = w->now_us + 5000;
        sim_heap_add(&w->heap, w->now_us + 5000, event->kind, event->a, event->b, 0);
        return;
    }
    if (event->kind == CORE_DISK) {
        core_disk_done(w, event->a);
        return;
    }
    if (event->kind == CORE_TIMER) {
        if (event->at_us != n->timer_us)
            return; /* an earlier one has been set since */
        n->timer_us = UINT64_MAX;
        struct raft_event tick = { .type = RAFT_TICK };
        if (core_now(w, event->a) >= n->update.deadline)
            core_world_step(w, event->a, &tick, NULL);
        core_timer_set(w, event->a);
    }
}

static void happen(struct core_world *w)
{
    struct sim_event event;
    MUST(sim_heap_next(&w->heap, &event), "nothing is left to happen");
    w->now_us = event.at_us;
    sim_count_event();
    switch ((enum core_event)event.kind) {
    case CORE_DELIVER:
        if (event.order < w->old_order && w->now_us > w->healed_us + 50000)
            core_drop(w, event.a); /* old connections do not live for ever */
        else
            arrive(w, event.a);
        break;
    case CORE_CLIENT:
        if (!w->healed)
            client(w);
        break;
    case CORE_FAULT:
        if (!w->healed)
            disturb(w);
        break;
    case CORE_COMPACT:
        core_compact(w);
        break;
    case CORE_OPEN:
        core_open(w, event.a, event.b, event.c);
        break;
    case CORE_FETCHED:
        core_fetched(w, event.a);
        break;
    case CORE_TIMER:
    case CORE_DISK:
    case CORE_RESTART:
    case CORE_RESUME:
        on_node_event(w, &event);
        break;
    }
}

/* ---- liveness */

static bool is_well(const struct core_world *w, uint32_t i)
{
    return !((w->minority | w->gone) >> i & 1);
}

static bool has_majority(const struct raft_members *m, uint32_t up)
{
    return m->n == 0 || core_is_majority(m, up);
}

/* Draws who stays away: of every configuration that any log holds as its latest, a majority is
 * left. */
static void draw_minority(struct core_world *w)
{
    struct sim_random *r = &w->random;
    uint32_t spare = w->options.voters - (w->options.voters / 2 + 1);
    if (spare == 0 || sim_below(r, 3) != 0)
        return;
    while (spare-- > 0)
        w->minority |= 1u << sim_below(r, w->n);
    for (uint32_t i = 0; w->minority != 0 && i < w->n; i++) {
        const struct core_node *n = w->node[i];
        while (!has_majority(core_config_at(w, n, &n->disk, n->disk.last), ~w->minority) ||
               !has_majority(core_config(w, n), ~w->minority) ||
               !has_majority(core_config_at(w, n, &n->log, n->update.commit), ~w->minority))
            w->minority &= w->minority - 1;
    }
    w->marks[CORE_MINORITY_DOWN] += w->minority != 0;
}

/* What was under way when all got well again has to come to its end. */
static void note_joint(struct core_world *w)
{
    uint32_t leader = core_leader(w);
    if (leader < w->n && w->options.change > 0 && !w->node[leader]->paused &&
        sim_below(&w->random, 3) == 0)
        core_change(w, leader);
    bool joint = false;
    for (uint32_t i = 0; i < w->n; i++)
        joint |= core_config_at(w, w->node[i], &w->node[i]->disk, w->node[i]->disk.last)->joint;
    w->marks[CORE_HEALED_JOINT] += joint;
}

/* All is well again, but perhaps for a minority that stays away, or one link. */
static void heal(struct core_world *w)
{
    struct sim_random *r = &w->random;
    w->healed = true;
    w->healed_us = w->now_us;
    w->old_order = w->heap.order;
    memset(w->cut, 0, sizeof w->cut);
    memset(w->clogged_until, 0, sizeof w->clogged_until);
    TRACE("%10" PRIu64 "  all is well again", w->now_us);
    note_joint(w);
    draw_minority(w);
    for (uint32_t i = 0; i < w->n; i++) {
        struct core_node *n = w->node[i];
        sim_clock_set(&n->clock, w->now_us, clock_rate(w, false));
        if (!is_well(w, i)) {
            if (n->up)
                core_crash(w, i, 0);
            continue;
        }
        n->paused = n->fetching = false;
        if (!n->up)
            core_restart(w, i, sim_below(r, 2) == 0 ? 0 : n->commit_seen);
        struct raft_event event = { .type = RAFT_DISK };
        core_world_step(w, i, &event, NULL);
        n->timer_us = UINT64_MAX;
        core_timer_set(w, i);
    }
}

static bool converged(const struct core_world *w)
{
    uint32_t leader = core_leader(w);
    if (leader == w->n)
        return false;
    const struct core_node *l = w->node[leader];
    const struct raft_members *members = core_config(w, l);
    if (members->joint || l->log.at[l->log.last].config > l->update.commit ||
        !(core_voters(members) >> leader & 1)) /* B36: one that was removed hands over */
        return false;
    for (uint32_t i = 0; i < w->n; i++) {
        const struct core_node *n = w->node[i];
        if (is_well(w, i) && core_is_member(members, n->id) && (n->update.term != l->update.term || n->update.leader != l->id ||
                              n->update.commit != l->log.last || n->disk.last != l->log.last))
            return false;
    }
    return true;
}

/* Who lags may get one entry for each round trip, at worst. */
static uint64_t catch_up_us(const struct core_world *w)
{
    raft_index least = UINT64_MAX, most = 0;
    for (uint32_t i = 0; i < w->n; i++) {
        if (!is_well(w, i))
            continue;
        least = w->node[i]->update.commit < least ? w->node[i]->update.commit : least;
        most = w->node[i]->log.last > most ? w->node[i]->log.last : most;
    }
    return (most - least) * CATCH_UP_US;
}

/* The limit that docs/RAFT.md tells ("Changes of the members"): a learner by its own log has entries
 * that no voter has, since a leader sent them and crashed before its own disk had them; it does not
 * stand.  Another's uncommitted configuration wants its vote, which it must not give. */
static bool waits_for_the_minority(const struct core_world *w)
{
    for (uint32_t i = 0; i < w->n; i++) {
        const struct core_node *learner = w->node[i];
        if (!is_well(w, i) || core_voters(core_config(w, learner)) >> i & 1)
            continue;
        for (uint32_t k = 0; k < w->n; k++) {
            const struct core_node *n = w->node[k];
            if (is_well(w, k) && core_voters(core_config(w, n)) >> i & 1 &&
                learner->log.at[learner->log.last].term > n->log.at[n->log.last].term)
                return w->minority != 0;
        }
    }
    return false;
}

static void restart_minority(struct core_world *w)
{
    for (uint32_t i = 0; i < w->n; i++)
        if (w->minority >> i & 1)
            core_restart(w, i, 0);
    w->minority = 0;
}

static void must_converge(struct core_world *w, const char *when)
{
    uint64_t patience = LIVENESS_US + catch_up_us(w), end;
    if (w->options.change > 0 && !w->node[0]->config.pre_vote)
        patience += 2 * LIVENESS_US; /* who was removed raises terms until there is a leader */
    end = w->now_us + patience;
    while (!converged(w)) {
        if (w->now_us >= end && waits_for_the_minority(w)) {
            restart_minority(w);
            end = w->now_us + patience;
        }
        MUST(w->now_us < end, "I13: not converged within ten election timeouts %s", when);
        happen(w);
    }
}

static void pass(struct core_world *w, uint64_t us)
{
    for (uint64_t end = w->now_us + us; w->now_us < end;)
        happen(w);
}

/* A write and a read, both soon done; nobody deposes a leader without need. */
static void must_serve(struct core_world *w)
{
    pass(w, SETTLE_US); /* a transfer under way may still be given up */
    uint32_t leader = core_leader(w);
    MUST(leader < w->n, "I13: a leader was lost without need");
    struct core_node *l = w->node[leader];
    raft_term term = l->update.term;
    raft_index last = l->log.last;
    MUST(core_propose(w, leader, 1) == RAFT_OK, "I13: a leader refuses a write");
    uint32_t tag = w->n_reads;
    MUST(core_read(w, leader) == RAFT_OK, "I13: a leader refuses a read");
    must_converge(w, "after one more write");
    pass(w, SETTLE_US);
    MUST(w->committed > last, "I13: a write was not committed");
    MUST(!w->read[tag].open, "I13: a read is never answered");
    MUST(core_leader(w) == leader && l->update.term == term, "I13: a leader was deposed without need");
}

/* One link fails, one way or both: who leads may change, but work gets done (B11). */
static void must_serve_without_a_link(struct core_world *w)
{
    const struct raft_config *config = &w->node[0]->config;
    uint32_t voter[CORE_NODES_MAX], n = 0;
    uint32_t voters = core_voters(core_config(w, w->node[core_leader(w)]));
    for (uint32_t i = 0; i < w->n; i++)
        if (voters >> i & 1)
            voter[n++] = i;
    if (n < 3 || w->minority != 0 || !config->pre_vote || !config->check_quorum ||
        sim_below(&w->random, 2) == 0)
        return;
    w->marks[CORE_LINK_DOWN]++;
    uint32_t first = sim_below(&w->random, n), from = voter[first];
    uint32_t to = voter[(first + 1 + sim_below(&w->random, n - 1)) % n];
    TRACE("%10" PRIu64 "  the link from n%u to n%u fails", w->now_us, from + 1, to + 1);
    w->cut[from][to] = true;
    w->cut[to][from] = sim_below(&w->random, 2) == 0;
    pass(w, SETTLE_US);
    raft_index before = w->committed;
    for (uint64_t end = w->now_us + LIVENESS_US; w->committed == before;) {
        MUST(w->now_us < end, "I13: one failed link stops all writes");
        uint32_t leader = core_leader(w);
        if (leader < w->n && w->node[leader]->n_writes == 0)
            core_propose(w, leader, 1);
        pass(w, 20000);
    }
    memset(w->cut, 0, sizeof w->cut);
    must_converge(w, "after the link came back");
}

static void return_minority(struct core_world *w)
{
    if (w->minority == 0)
        return;
    restart_minority(w);
    must_converge(w, "after the minority came back");
}

/* Without both of its protections (thesis 9.6, 4.2.3) a cluster has to shut down whom it removes. */
static void retire(struct core_world *w)
{
    const struct raft_config *config = &w->node[0]->config;
    const struct raft_members *members = core_config(w, w->node[core_leader(w)]);
    for (uint32_t i = 0; i < w->n; i++) {
        if (core_is_member(members, i + 1))
            continue;
        if (config->pre_vote || config->check_quorum) {
            w->marks[CORE_REMOVED_RUNNING] += w->node[i]->up;
            continue;
        }
        w->gone |= 1u << i;
        if (w->node[i]->up)
            core_crash(w, i, 0);
    }
}

/* A change is made within the bound, even of the leader itself (B36). */
static void must_change(struct core_world *w)
{
    uint32_t leader = core_leader(w);
    struct raft_members members;
    if (w->options.change == 0 || w->minority != 0 || w->gone != 0 ||
        !core_change_well(w, leader, &members))
        return;
    must_converge(w, "after a change of the members");
    const struct raft_members *now = core_config(w, w->node[core_leader(w)]);
    MUST(core_voters(now) == core_voters(&members), "I13: a change was not made");
    retire(w);
    must_serve(w);
}

/* Who was removed disturbs nobody, however long it runs (B10). */
static void must_stay_led(struct core_world *w)
{
    if (w->options.change == 0 || sim_below(&w->random, 8) != 0)
        return;
    raft_term term = w->node[core_leader(w)]->update.term;
    pass(w, 50 * ELECTION_MAX_MS * 1000);
    uint32_t leader = core_leader(w);
    MUST(leader < w->n && w->node[leader]->update.term == term,
         "B10: a leader was deposed by somebody that is no member");
}

void core_run(uint64_t seed, uint64_t *marks)
{
    struct core_world *w = core_world();
    core_world_begin(w, seed, marks);
    draw_options(w);
    start_nodes(w);
    sim_heap_add(&w->heap, w->now_us + 1, CORE_CLIENT, 0, 0, 0);
    sim_heap_add(&w->heap, w->now_us + sim_below(&w->random, 400000), CORE_FAULT, 0, 0, 0);
    if (w->options.compact_us > 0)
        sim_heap_add(&w->heap, w->now_us + 1, CORE_COMPACT, 0, 0, 0);
    for (uint32_t i = 0; i < w->options.events && w->highest_term + 64 < CORE_TERMS_MAX; i++)
        happen(w);
    heal(w);
    must_converge(w, "after all was well again");
    retire(w);
    must_serve(w);
    must_change(w);
    must_stay_led(w);
    must_serve_without_a_link(w);
    return_minority(w);
    core_check_end(w);
}
