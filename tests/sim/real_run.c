/* real_run.c - a run of tier 2: options, faults, the safety phase, then the liveness phase, and the
 * history through the linearizability checker. */
#include "tests/sim/real.h"

#include <inttypes.h>
#include <stdlib.h>

enum fault {
    FAULT_CRASH, FAULT_CRASH_ALL, FAULT_PAUSE, FAULT_ISOLATE, FAULT_DEAF, FAULT_MUTE, FAULT_LINK,
    FAULT_SPLIT, FAULT_HEAL, FAULT_CLOG, FAULT_STALL, FAULT_CORRUPT_LOG, FAULT_CORRUPT_STATE,
    FAULT_WIPE, FAULT_WALL, FAULTS
};

enum { TIMEOUTS = 10 }; /* election timeouts within which I13 wants work done */

/* ---- options */

static void draw_election(struct real_world *w)
{
    struct sim_random *r = &w->random;
    struct real_options *o = &w->options;
    o->election_min_ms = sim_between(r, 100, 200);
    o->election_max_ms = o->election_min_ms * 2;
    o->heartbeat_ms = o->election_min_ms / sim_between(r, 3, 8);
    o->pre_vote = sim_below(r, 5) != 0;
    o->check_quorum = sim_below(r, 5) != 0;
    o->wild_clocks = sim_below(r, 3) == 0;
}

/* The few milliseconds in which a lease could be wrong: clocks at both ends of what is promised,
 * a fast network, leaders cut off again and again while clients read and write. */
static void hunt_leases(struct real_options *o, bool rare)
{
    o->n = 3;
    o->lease_hunt = o->pre_vote = o->check_quorum = true;
    o->wild_clocks = false;
    o->loss = o->duplicate = o->late = 0;
    o->delay_us = 500;
    o->log_us = 300;
    o->election_max_ms = o->election_min_ms + 5;
    o->heartbeat_ms = o->election_min_ms / 5;
    o->think_us = 1500;
    o->clients = REAL_CLIENTS_MAX;
    o->keys = 2;
    o->timeout_ms = 100;
    o->safety_ms = 3000;
    o->fault_us = 120000;
    memset(o->weight, 0, sizeof o->weight);
    o->weight[FAULT_ISOLATE] = 50;
    o->weight[FAULT_LINK] = 80;
    o->weight[FAULT_CRASH] = 60;
    o->weight[FAULT_HEAL] = 100;
    memset(o->mix, 0, sizeof o->mix);
    o->mix[REAL_GET_LEASE] = 300;
    o->mix[REAL_SET] = rare ? 3 : 50; /* who is cut off soon lacks what the others have */
    o->local_only = true;
}

static void draw_options(struct real_world *w)
{
    struct sim_random *r = &w->random;
    struct real_options *o = &w->options;
    static const uint32_t sizes[] = { 3, 3, 3, 3, 3, 5, 5, 1, 4 };
    o->n = sizes[sim_below(r, 9)];
    o->keys = sim_between(r, 2, REAL_KEYS_MAX);
    o->clients = sim_between(r, 2, REAL_CLIENTS_MAX);
    o->loss = sim_swarm(r, 300);
    o->duplicate = sim_swarm(r, 500);
    o->late = sim_swarm(r, 100);
    o->unreachable = sim_swarm(r, 1000);
    o->delay_us = 100 + sim_swarm(r, 40000);
    o->late_us = 1000 * sim_between(r, 50, 2000);
    o->log_us = sim_swarm(r, 100000);
    o->state_us = sim_swarm(r, 500000);
    o->fault_us = 1000 * sim_between(r, 30, 500);
    o->think_us = 1000 * sim_between(r, 2, 60);
    o->timeout_ms = sim_between(r, 50, 1000);
    for (int i = 0; i < FAULTS; i++)
        o->weight[i] = sim_swarm(r, 100);
    o->weight[FAULT_HEAL] += 10;
    for (int i = 0; i < REAL_KINDS; i++)
        o->mix[i] = sim_swarm(r, 100);
    o->mix[REAL_SET] += 20;
    o->mix[REAL_GET] += 10;
    if (sim_below(r, 2) == 0)
        o->mix[REAL_BATCH] = 0; /* so that keys can be searched one by one */
    o->safety_ms = sim_between(r, 800, 3000);
    o->batch_entries = sim_between(r, 1, 64);
    o->flush_ms = sim_between(r, 20, 1000);
    o->pending_bytes_max = sim_below(r, 4) == 0 ? sim_between(r, 500, 4000) : 1u << 20;
    o->keep_writes = sim_below(r, 2) == 0;
    o->local_only = sim_below(r, 5) == 0;
    real_snapshot_options(w);
    draw_election(w);
    if (sim_below(r, 12) == 0)
        hunt_leases(o, sim_below(r, 2) == 0);
    real_members_options(w);
    if (o->churn > 0) /* a member that is lost for good would have to be removed for good */
        o->weight[FAULT_CORRUPT_LOG] = o->weight[FAULT_CORRUPT_STATE] = o->weight[FAULT_WIPE] = 0;
    if (o->wild_clocks || !o->check_quorum)
        o->mix[REAL_GET_LEASE] = 0; /* a lease is promised for clocks within a tenth of each other */
}

static uint32_t clock_rate(struct real_world *w, bool wild)
{
    if (w->options.lease_hunt)
        return sim_below(&w->random, 2) == 0 ? 955 : 1045;
    return wild ? sim_between(&w->random, 500, 2000) : sim_between(&w->random, 955, 1045);
}

static void begin(struct real_world *w)
{
    const struct real_options *o = &w->options;
    for (uint32_t i = 0; i < o->n; i++) {
        struct sim_clock *clock = &w->node[i].clock;
        clock->real_us = w->now_us;
        clock->local_us = 1000000 + sim_below(&w->random, 5000000);
        clock->rate = clock_rate(w, o->wild_clocks);
    }
    w->marks[REAL_SINGLE] += o->n == 1;
    w->marks[REAL_WILD_CLOCKS] += o->wild_clocks;
    w->marks[REAL_NO_PRE_VOTE] += !o->pre_vote;
    w->marks[REAL_NO_CHECK_QUORUM] += !o->check_quorum;
    TRACE("seed=%" PRIu64 " n=%u clients=%u keys=%u loss=%u duplicate=%u late=%u delay_us=%u log_us=%u "
          "state_us=%u election_ms=%u-%u heartbeat_ms=%u pre_vote=%d check_quorum=%d wild_clocks=%d "
          "safety_ms=%u flush_ms=%u lease_hunt=%d",
          w->seed, o->n, o->clients, o->keys, o->loss, o->duplicate, o->late, o->delay_us, o->log_us,
          o->state_us, o->election_min_ms, o->election_max_ms, o->heartbeat_ms, o->pre_vote,
          o->check_quorum, o->wild_clocks, o->safety_ms, o->flush_ms, o->lease_hunt);
    real_nodes_start(w);
    real_clients_start(w);
    sim_heap_add(&w->heap, w->now_us + sim_below(&w->random, 600000), REAL_FAULT, 0, 0, 0);
    real_members_begin(w);
}

/* ---- faults */

static void crash(struct real_world *w, uint32_t i)
{
    struct real_node *m = &w->node[i];
    if (!real_is_up(w, i))
        return;
    size_t log = memory_disk_unwritten(m->disk, false), state = memory_disk_unwritten(m->disk, true);
    bool keep = w->options.keep_writes;
    size_t kept_log = keep ? sim_below(&w->random, (uint32_t)log + 1) : 0;
    size_t kept_state = keep ? sim_below(&w->random, (uint32_t)state + 1) : 0;
    real_crash(w, i, kept_log, kept_state);
    uint32_t away_ms = sim_below(&w->random, w->options.lease_hunt ? 20 : 600);
    sim_heap_add(&w->heap, w->now_us + 1000 * away_ms, REAL_RESTART, i, m->life, 0);
}

static void pause_node(struct real_world *w, uint32_t i)
{
    struct real_node *m = &w->node[i];
    if (!real_is_up(w, i) || m->paused)
        return;
    m->paused = true;
    w->marks[REAL_PAUSES]++;
    uint32_t timeouts = sim_between(&w->random, 1, 10), part = sim_between(&w->random, 1, 10);
    uint32_t ms = timeouts * w->options.election_max_ms / part;
    TRACE("%10" PRIu64 "  n%u is paused for %u ms", w->now_us, i + 1, ms);
    sim_heap_add(&w->heap, w->now_us + 1000 * ms, REAL_RESUME, i, m->life, 0);
}

static void cut_links(struct real_world *w, enum fault how, uint32_t victim)
{
    uint32_t n = w->options.n, other = sim_below(&w->random, n), half = (uint32_t)sim_draw(&w->random);
    TRACE("%10" PRIu64 "  network: fault %d on n%u n%u", w->now_us, (int)how, victim + 1, other + 1);
    for (uint32_t i = 0; i < n; i++) {
        if (how == FAULT_ISOLATE || how == FAULT_MUTE)
            w->cut[victim][i] = true;
        if (how == FAULT_ISOLATE || how == FAULT_DEAF)
            w->cut[i][victim] = true;
        for (uint32_t k = 0; k < n && how == FAULT_SPLIT; k++)
            w->cut[i][k] = (half >> i & 1) != (half >> k & 1);
    }
    if (how == FAULT_LINK)
        w->cut[victim][other] = w->cut[other][victim] = true;
    if (how == FAULT_HEAL)
        memset(w->cut, 0, sizeof w->cut);
    w->marks[REAL_PARTITIONS] += how == FAULT_ISOLATE || how == FAULT_SPLIT;
    w->marks[REAL_ONE_WAY] += how == FAULT_DEAF || how == FAULT_MUTE;
    w->marks[REAL_LINK_CUTS] += how == FAULT_LINK;
}

/* Never so many that the data could be gone. */
static bool may_sicken(const struct real_world *w, uint32_t i)
{
    uint32_t sick = 1;
    for (uint32_t k = 0; k < w->options.n; k++)
        sick += k != i && w->node[k].sick;
    return sick <= (w->options.n - 1) / 2;
}

static void corrupt(struct real_world *w, uint32_t i, bool state)
{
    struct real_node *m = &w->node[i];
    size_t bit = sim_below(&w->random, 4096);
    bool done;
    if (!may_sicken(w, i) || m->disk->log.last == 0)
        return;
    if (state) {
        uint32_t key = sim_below(&w->random, w->options.keys);
        done = memory_disk_corrupt_state(m->disk, TABLE_KV, slice_text(w->key[key]), bit);
    } else {
        raft_index index = 1 + sim_below(&w->random, (uint32_t)m->disk->log.last);
        done = memory_disk_corrupt_log(m->disk, index, bit);
    }
    if (!done)
        return;
    TRACE("%10" PRIu64 "  a bit of the %s of n%u flips", w->now_us, state ? "state" : "log", i + 1);
    m->sick = true;
    w->marks[state ? REAL_CORRUPTED_STATE : REAL_CORRUPTED_LOG]++;
}

/* Only once all others know whose disk it was (docs/PROTOCOL.md tells why). */
static void wipe(struct real_world *w, uint32_t i)
{
    if (!may_sicken(w, i) || w->node[i].sick)
        return;
    for (uint32_t k = 0; k < w->options.n; k++) {
        if (k == i)
            continue;
        struct peer *peer = real_is_up(w, k) ? node_peer(w->node[k].node, w->peers[i].id) : NULL;
        if (peer == NULL || !peer->incarnation_known)
            return;
    }
    real_wipe(w, i);
}

static void stall(struct real_world *w, uint32_t i)
{
    w->node[i].stalled_until_us =
        w->now_us + 1000 * sim_below(&w->random, 4 * w->options.election_max_ms);
    w->marks[REAL_STALLS]++;
}

static enum fault pick_fault(struct real_world *w)
{
    uint32_t sum = 0, fault = 0;
    for (int i = 0; i < FAULTS; i++)
        sum += w->options.weight[i];
    uint32_t at = sim_below(&w->random, sum);
    while (at >= w->options.weight[fault])
        at -= w->options.weight[fault++];
    return (enum fault)fault;
}

static void hit(struct real_world *w, enum fault fault, uint32_t i)
{
    uint32_t other = sim_below(&w->random, w->options.n);
    switch (fault) {
    case FAULT_CRASH:
        crash(w, i);
        break;
    case FAULT_CRASH_ALL:
        w->marks[REAL_CRASHES_OF_ALL]++;
        for (uint32_t k = 0; k < w->options.n; k++)
            crash(w, k);
        break;
    case FAULT_PAUSE:
        pause_node(w, i);
        break;
    case FAULT_CLOG:
        w->clogged_until[i][other] = w->now_us + 1000 * sim_below(&w->random, 1000);
        w->marks[REAL_CLOGS]++;
        break;
    case FAULT_STALL:
        stall(w, i);
        break;
    case FAULT_CORRUPT_LOG:
    case FAULT_CORRUPT_STATE:
        corrupt(w, i, fault == FAULT_CORRUPT_STATE);
        break;
    case FAULT_WIPE:
        wipe(w, i);
        break;
    case FAULT_WALL:
        w->node[i].wall_skew_ms += sim_below(&w->random, 1000000);
        break;
    default:
        cut_links(w, fault, i);
    }
}

static void disturb(struct real_world *w)
{
    enum fault fault = pick_fault(w);
    int leader = real_leader(w);
    uint32_t i = sim_below(&w->random, w->options.n);
    if (leader >= 0 && (sim_below(&w->random, 2) == 0 || (w->options.lease_hunt && fault != FAULT_CRASH)))
        i = (uint32_t)leader;
    hit(w, fault, i);
    if (w->options.log_keep != UINT64_MAX)
        real_snapshot_fault(w, crash);
    sim_heap_add(&w->heap, w->now_us + sim_below(&w->random, 2 * w->options.fault_us), REAL_FAULT, 0, 0, 0);
}

/* ---- one thing happens */

static void on_timer(struct real_world *w, const struct sim_event *event)
{
    struct real_node *m = &w->node[event->a];
    if (event->at_us != m->timer_us)
        return; /* an earlier one has been set since */
    m->timer_us = UINT64_MAX;
    if (m->paused) {
        m->timer_us = w->now_us + 5000;
        sim_heap_add(&w->heap, m->timer_us, REAL_TIMER, event->a, event->b, 0);
        return;
    }
    real_turn(w, event->a);
}

/* A snapshot's way has many steps: each is a moment for trouble. */
static void disk_done(struct real_world *w, uint32_t i, uint32_t queue)
{
    real_disk_done(w, i, queue);
    bool step = queue == 2 || (real_is_up(w, i) && fetch_installing(w->node[i].node));
    if (step && !w->healed)
        real_snapshot_fault(w, crash);
}

static void on_node_event(struct real_world *w, const struct sim_event *event)
{
    struct real_node *m = &w->node[event->a];
    if (event->b != m->life)
        return; /* of an earlier life */
    switch ((enum real_event)event->kind) {
    case REAL_RESTART:
        if (!m->gone && !(w->minority >> event->a & 1))
            real_restart(w, event->a);
        break;
    case REAL_RESUME:
        m->paused = false;
        real_turn(w, event->a);
        break;
    case REAL_DISK:
        if (real_is_up(w, event->a))
            disk_done(w, event->a, event->c);
        break;
    default:
        on_timer(w, event);
    }
}

static void happen(struct real_world *w)
{
    struct sim_event event;
    MUST(sim_heap_next(&w->heap, &event), "nothing is left to happen");
    w->now_us = event.at_us;
    sim_count_event();
    switch ((enum real_event)event.kind) {
    case REAL_DELIVER:
        if (event.order < w->old_order && w->now_us > w->healed_us + 50000)
            real_drop_packet(w, event.a); /* old connections do not live for ever */
        else
            real_arrive(w, event.a);
        break;
    case REAL_CLIENT:
        real_client_next(w, event.a);
        break;
    case REAL_GIVE_UP:
        real_client_gives_up(w, event.a, event.b);
        break;
    case REAL_FAULT:
        if (!w->healed)
            disturb(w);
        break;
    case REAL_CHANGE:
        if (!w->healed)
            real_members_change(w);
        break;
    case REAL_TIMER:
    case REAL_DISK:
    case REAL_RESTART:
    case REAL_RESUME:
        on_node_event(w, &event);
        break;
    }
}

/* ---- liveness */

static void send_away(struct real_world *w)
{
    uint32_t n = w->options.n, spare = (n - 1) / 2;
    for (uint32_t i = 0; i < n; i++) {
        if (!w->node[i].sick)
            continue;
        spare--; /* whose disk is damaged is replaced, some day */
        w->node[i].gone = true;
        real_crash(w, i, 0, 0);
    }
    if (spare == 0 || w->options.churn > 0 || sim_below(&w->random, 3) != 0)
        return;
    w->marks[REAL_MINORITY_DOWN]++;
    while (spare-- > 0) {
        uint32_t i = sim_below(&w->random, n);
        if (w->node[i].gone)
            continue;
        w->minority |= 1u << i;
        real_crash(w, i, 0, 0);
    }
}

static void heal(struct real_world *w)
{
    w->healed = true;
    w->healed_us = w->now_us;
    w->old_order = w->heap.order;
    memset(w->cut, 0, sizeof w->cut);
    memset(w->clogged_until, 0, sizeof w->clogged_until);
    TRACE("%10" PRIu64 "  all is well again", w->now_us);
    send_away(w);
    real_snapshot_heal(w);
    for (uint32_t i = 0; i < w->options.n; i++) {
        struct real_node *m = &w->node[i];
        m->stalled_until_us = 0;
        sim_clock_set(&m->clock, w->now_us, clock_rate(w, false));
        m->timer_us = UINT64_MAX;
        if (m->gone || (w->minority >> i & 1))
            continue;
        m->paused = false;
        real_restart(w, i);
        real_turn(w, i);
    }
}

static bool is_well(const struct real_world *w, uint32_t i)
{
    return real_is_up(w, i) && !w->node[i].sick;
}

static bool converged(const struct real_world *w)
{
    for (uint32_t i = 0; i < w->options.n; i++)
        if (is_well(w, i) && real_is_member(w, i) && w->node[i].applied != w->committed)
            return false;
    if (!real_members_settled(w))
        return false;
    for (uint32_t i = 0; i < w->options.clients; i++)
        if (w->client[i].current != NULL)
            return false;
    return true;
}

static uint64_t patience_us(const struct real_world *w)
{
    return TIMEOUTS * 1000 * (uint64_t)w->options.election_max_ms;
}

/* Some write goes through within the bound, whatever is asked of whom. */
static void must_write(struct real_world *w)
{
    /* a pending write may finish after this run's last look, so the flag outlives it */
    static bool written;
    written = false;
    uint64_t end = w->now_us + patience_us(w), next = w->now_us;
    while (!written) {
        MUST(w->now_us < end, "I13: no write within ten election timeouts after all was well again");
        if (w->now_us >= next) {
            uint32_t i = sim_below(&w->random, w->options.n);
            if (!real_is_member(w, i)) {
                next = w->now_us + 10000;
                happen(w);
                continue;
            }
            next = real_write_one(w, i, &written) ? w->now_us + 150000 : w->now_us;
        }
        happen(w);
    }
}

static void must_converge(struct real_world *w, const char *when)
{
    /* requests may wait for their deadlines; an announcement is tried each second; who lags gets
     * an entry for each round trip, at worst */
    raft_index least = w->committed;
    for (uint32_t i = 0; i < w->options.n; i++)
        if (is_well(w, i) && w->node[i].applied < least)
            least = w->node[i].applied;
    uint64_t end = w->now_us + patience_us(w) + 2500 * (uint64_t)w->options.timeout_ms + 1000000 +
                   10000 * (w->committed - least);
    if (w->options.log_keep != UINT64_MAX) /* and a snapshot may have to be fetched anew */
        end += 2 * patience_us(w);
    while (!converged(w)) {
        MUST(w->now_us < end, "I13: not converged %s", when);
        happen(w);
    }
}

static void return_minority(struct real_world *w)
{
    if (w->minority == 0)
        return;
    uint32_t back = w->minority;
    w->minority = 0;
    for (uint32_t i = 0; i < w->options.n; i++)
        if (back >> i & 1)
            real_restart(w, i);
    must_converge(w, "after the minority came back");
}

/* What the cluster holds in the end belongs to the history: no acknowledged write is missing (I7). */
static void read_all(struct real_world *w)
{
    uint32_t i = 0;
    while (!is_well(w, i) || !real_is_member(w, i) || w->node[i].applied != w->committed)
        i++;
    struct statemachine *sm = w->node[i].node->sm;
    MUST(statemachine_read_begin(sm) == OK, "the state cannot be read");
    for (uint32_t key = 0; key < w->options.keys; key++) {
        struct kv_item item;
        char text[32] = "";
        struct linear_step step = { .kind = LINEAR_GET, .key = w->key[key], .revision = LINEAR_NOT_TOLD,
                                    .version = LINEAR_NOT_TOLD };
        struct linear_op op = { .process = 99, .call = ++w->sequence, .n = 1, .steps = &step };
        op.end = ++w->sequence;
        if (statemachine_get(sm, slice_text(w->key[key]), &item) == OK) {
            MUST(item.value.size < sizeof text, "a value that nobody wrote");
            memcpy(text, item.value.data, item.value.size);
            step.value = text;
            step.revision = item.revision;
            step.version = item.version;
        }
        linear_add(w->history, &op);
    }
    statemachine_read_end(sm);
}

void real_run(uint64_t seed, uint64_t *marks)
{
    struct real_world *w = real_world();
    real_begin(w, seed, marks);
    draw_options(w);
    begin(w);
    for (uint64_t end = w->now_us + 1000 * (uint64_t)w->options.safety_ms; w->now_us < end;)
        happen(w);
    heal(w);
    must_write(w);
    must_converge(w, "after all was well again");
    return_minority(w);
    real_check_converged(w);
    read_all(w);
    real_clients_check(w);
    real_end(w);
}
