/* real_world.c - what src/cmd is to a node in the product: its clock, its turns, its disk, its
 * life and death. */
#include "tests/sim/real.h"

#include <inttypes.h>
#include <stdlib.h>

static struct real_world *the_world;

struct real_world *real_world(void)
{
    if (the_world == NULL)
        the_world = memory_new(sizeof *the_world);
    return the_world;
}

/* ---- the host */

uint64_t real_local_ms(const struct real_node *m)
{
    return sim_local_ms(&m->clock, the_world->now_us);
}

static uint64_t now_ms(void *arg)
{
    return real_local_ms(arg);
}

static uint64_t now_us(void *arg)
{
    const struct real_node *m = arg;
    return sim_local_us(&m->clock, the_world->now_us);
}

static uint64_t wall_ms(void *arg)
{
    const struct real_node *m = arg;
    return 1700000000000 + real_local_ms(m) + m->wall_skew_ms;
}

static void wake(void *arg)
{
    ((struct real_node *)arg)->woken = true;
}

static void storage_wake(void *arg)
{
    ((struct real_node *)arg)->storage_woken = true;
}

static void on_refused(void *arg, const char *why)
{
    struct real_node *m = arg;
    MUST(m->gone, "n%u is refused by its cluster though nothing is wrong with it: %s", m->self + 1, why);
    m->refused = true;
}

static void on_removed(void *arg, const char *why)
{
    struct real_node *m = arg;
    (void)why;
    real_world()->marks[REAL_TOLD_REMOVED]++;
    m->refused = m->removed = true;
}

static void on_damaged(void *arg, enum err err)
{
    (void)arg;
    panic(err == ERR_IO ? EXIT_STATUS_IO : EXIT_STATUS_CORRUPT, "what is stored cannot be read");
}

/* ---- calls into a node, any of which may end it */

static void died(struct real_world *w, uint32_t i, const struct sim_catch *end)
{
    struct real_node *m = &w->node[i];
    TRACE("%10" PRIu64 "  n%u ends with status %d: %s", w->now_us, i + 1, end->status, end->sentence);
    MUST(end->status == EXIT_STATUS_CORRUPT && m->sick, "n%u panics without need, status %d: %s", i + 1,
         end->status, end->sentence);
    w->marks[REAL_CORRUPT_EXITS]++;
    m->gone = true;
    real_crash(w, i, 0, 0);
}

struct call {
    void (*fn)(struct real_world *w, struct real_node *m, void *arg);
    void *arg;
};

static void guarded(struct real_world *w, uint32_t i, const struct call *call)
{
    static struct sim_catch end;
    sim_speaker = i + 1;
    if (setjmp(end.jump) == 0) {
        sim_catch_set(&end);
        call->fn(w, &w->node[i], call->arg);
        sim_catch_set(NULL);
    } else {
        died(w, i, &end);
    }
    sim_speaker = 0;
}

/* ---- turns */

static void run_turn(struct real_world *w, struct real_node *m, void *arg)
{
    (void)w, (void)arg;
    for (int i = 0; m->woken || m->storage_woken || now_ms(m) >= node_deadline(m->node); i++) {
        MUST(i < 1000, "n%u spins", m->self + 1);
        if (m->storage_woken) {
            m->storage_woken = false;
            node_on_storage(m->node);
        }
        m->woken = false;
        node_run(m->node);
    }
}

static void disk_start(struct real_world *w, uint32_t i)
{
    struct real_node *m = &w->node[i];
    for (uint32_t queue = 0; queue < 3; queue++) {
        size_t n = queue == 2 ? memory_disk_unwritten_snapshot(m->disk)
                              : memory_disk_unwritten(m->disk, queue == 1);
        if (m->writing[queue] || n == 0)
            continue;
        uint32_t most = queue == 0 ? w->options.log_us
                        : queue == 1 ? w->options.state_us : w->options.state_us / 8;
        uint64_t at = w->now_us + sim_between(&w->random, 20, 20 + (w->healed ? 3000 : most));
        if (at < m->stalled_until_us)
            at = m->stalled_until_us;
        m->writing[queue] = true;
        sim_heap_add(&w->heap, at, REAL_DISK, i, m->life, queue);
    }
}

static void timer_set(struct real_world *w, uint32_t i)
{
    struct real_node *m = &w->node[i];
    uint64_t due = sim_real_us(&m->clock, node_deadline(m->node));
    if (due < w->now_us)
        due = w->now_us;
    if (due >= m->timer_us)
        return;
    m->timer_us = due;
    sim_heap_add(&w->heap, due, REAL_TIMER, i, m->life, 0);
}

bool real_is_up(const struct real_world *w, uint32_t i)
{
    return w->node[i].node != NULL;
}

void real_turn(struct real_world *w, uint32_t i)
{
    struct real_node *m = &w->node[i];
    if (!real_is_up(w, i) || m->paused)
        return;
    guarded(w, i, &(struct call){ run_turn, NULL });
    if (m->refused) { /* the server stops, with EXIT_STATUS_REFUSED */
        w->marks[REAL_REFUSED]++;
        real_crash(w, i, 0, 0);
    }
    if (!real_is_up(w, i))
        return;
    real_check_turn(w, i);
    real_post_all(w, i);
    disk_start(w, i);
    timer_set(w, i);
}

struct body {
    const struct envelope *envelope;
    struct blob *bytes;
    enum verdict verdict;
    char why[REFUSAL_MAX];
};

static void take_body(struct real_world *w, struct real_node *m, void *arg)
{
    struct body *body = arg;
    (void)w;
    struct slice frames = slice_of(body->bytes->data + ENVELOPE_SIZE, body->bytes->size - ENVELOPE_SIZE);
    body->verdict = m->events.on_body(m->events.arg, body->envelope, body->bytes, frames, body->why);
}

struct refusal {
    raft_id by;
    const char *why;
};

static void take_refusal(struct real_world *w, struct real_node *m, void *arg)
{
    const struct refusal *refusal = arg;
    (void)w;
    m->events.on_refused(m->events.arg, refusal->by, refusal->why);
}

void real_body(struct real_world *w, uint32_t i, const struct envelope *envelope, struct blob *bytes)
{
    struct body body = { envelope, bytes, VERDICT_LATER, "" };
    uint32_t from = real_place(w, envelope->from);
    guarded(w, i, &(struct call){ take_body, &body });
    real_turn(w, i);
    if (body.verdict != VERDICT_REFUSED || !real_is_up(w, from) || w->node[from].paused)
        return;
    struct refusal refusal = { w->peers[i].id, body.why };
    guarded(w, from, &(struct call){ take_refusal, &refusal });
    real_turn(w, from);
}

struct loss {
    raft_id peer;
    enum lane lane;
    const struct blob *unsent; /* a body that certainly never left, or NULL */
};

static void tell_unsent(struct real_node *m, const struct loss *loss)
{
    static struct frame_scratch scratch;
    struct slice rest = slice_of(loss->unsent->data + ENVELOPE_SIZE, loss->unsent->size - ENVELOPE_SIZE);
    struct slice before = rest;
    struct frame frame;
    while (frame_decode(&rest, &scratch, &frame) == OK) {
        size_t size = before.size - rest.size;
        m->events.on_unsent(m->events.arg, loss->peer, slice_of(before.data, size));
        before = rest;
    }
}

static void take_loss(struct real_world *w, struct real_node *m, void *arg)
{
    const struct loss *loss = arg;
    (void)w;
    if (loss->unsent != NULL)
        tell_unsent(m, loss);
    m->events.on_unreachable(m->events.arg, loss->peer, loss->lane);
}

void real_unreachable(struct real_world *w, uint32_t i, raft_id peer, enum lane lane,
                      const struct blob *unsent)
{
    struct loss loss = { peer, lane, unsent };
    if (!real_is_up(w, i) || w->node[i].paused)
        return;
    guarded(w, i, &(struct call){ take_loss, &loss });
    real_turn(w, i);
}

static void take_op(struct real_world *w, struct real_node *m, void *arg)
{
    (void)w;
    node_submit(m->node, arg);
}

void real_submit(struct real_world *w, struct real_op *op)
{
    uint32_t node = op->node;
    guarded(w, node, &(struct call){ take_op, &op->op });
    real_turn(w, node);
}

void real_disk_done(struct real_world *w, uint32_t i, uint32_t queue)
{
    struct real_node *m = &w->node[i];
    m->writing[queue] = false;
    if (queue == 2)
        memory_disk_write_snapshot(m->disk);
    else
        memory_disk_write(m->disk, queue == 1);
    /* a writer that is free takes all that is queued, as one write */
    while (queue < 2 && sim_below(&w->random, 2) == 0 && memory_disk_write(m->disk, queue == 1))
        ;
    real_check_stored(w, i);
    real_turn(w, i);
    if (real_is_up(w, i))
        disk_start(w, i); /* also of one that is paused: its disk goes on */
}

/* ---- life and death */

static struct node_config config_of(struct real_world *w, uint32_t i)
{
    const struct real_options *o = &w->options;
    struct node_config config = { .identity = w->node[i].identity,
                                  .n_members = o->first,
                                  .election_min_ms = o->election_min_ms,
                                  .election_max_ms = o->election_max_ms,
                                  .heartbeat_ms = o->heartbeat_ms,
                                  .batch_entries = o->batch_entries,
                                  .flush_ms = o->flush_ms,
                                  .log_keep = o->log_keep,
                                  .snapshot_part = o->snapshot_part,
                                  .snapshot_rate = o->snapshot_rate,
                                  .log_keep_bytes = UINT64_MAX,
                                  .pending_bytes_max = o->pending_bytes_max,
                                  .seed = sim_draw(&w->random),
                                  .pre_vote = o->pre_vote,
                                  .check_quorum = o->check_quorum };
    snprintf(config.http_addr, sizeof config.http_addr, "http.sim:%u", 8000 + i);
    memcpy(config.members, w->peers, o->first * sizeof config.members[0]);
    return config;
}

struct birth {
    struct node_config config;
    enum err err;
    char message[STORAGE_MESSAGE_MAX];
};

static void be_born(struct real_world *w, struct real_node *m, void *arg)
{
    struct birth *birth = arg;
    (void)w;
    struct node_host host = { now_ms, now_us, wall_ms, wake, on_refused, on_removed, on_damaged, m };
    birth->err = node_new(&birth->config, &host, m->log, m->state, m->snapshots, &m->network, &m->node,
                          birth->message);
}

void real_restart(struct real_world *w, uint32_t i)
{
    struct real_node *m = &w->node[i];
    if (real_is_up(w, i) || m->removed)
        return;
    struct storage_options storage = { .wake = storage_wake, .wake_arg = m };
    real_snapshot_start(w, i);
    m->log = log_memory_open(m->disk, &storage);
    m->state = state_memory_open(m->disk, &storage);
    m->snapshots = snapshot_memory_open(m->disk, &storage);
    memory_disk_identity(m->disk, &m->identity);
    static struct birth birth;
    birth = (struct birth){ .config = config_of(w, i) };
    TRACE("%10" PRIu64 "  n%u starts term=%" PRIu64 " last=%" PRIu64, w->now_us, i + 1, m->disk->term,
          m->disk->log.last);
    raft_index last = m->disk->log.last;
    guarded(w, i, &(struct call){ be_born, &birth });
    MUST(m->disk->log.last == last, "I15: n%u starts and truncates its log", i + 1);
    if (m->node == NULL) {
        TRACE("%10" PRIu64 "  n%u cannot start: %s", w->now_us, i + 1, birth.message);
        MUST(birth.err == ERR_CORRUPT && m->sick, "n%u cannot start: %s", i + 1, birth.message);
        w->marks[REAL_CORRUPT_EXITS]++;
        m->gone = true;
        memory_disk_crash(m->disk, 0, 0);
        return;
    }
    m->events = node_network_events(m->node);
    m->woken = true;
    real_check_start(w, i);
    real_turn(w, i);
}

void real_crash(struct real_world *w, uint32_t i, size_t kept_log, size_t kept_state)
{
    struct real_node *m = &w->node[i];
    if (!real_is_up(w, i))
        return;
    size_t log = memory_disk_unwritten(m->disk, false), state = memory_disk_unwritten(m->disk, true);
    TRACE("%10" PRIu64 "  n%u crashes; of %zu log and %zu state writes %zu and %zu are kept", w->now_us,
          i + 1, log, state, kept_log, kept_state);
    w->marks[REAL_CRASHES]++;
    w->marks[REAL_CRASHES_LOST_LOG] += log > kept_log;
    w->marks[REAL_CRASHES_LOST_STATE] += state > kept_state;
    w->marks[REAL_CRASHES_KEPT] += kept_log > 0 || kept_state > 0;
    struct node_stats stats;
    node_stats(m->node, &stats);
    w->marks[REAL_ELECTIONS] += stats.elections_started;
    w->marks[REAL_STEP_DOWNS] += stats.step_downs;
    w->marks[REAL_FLUSHES] += stats.flushes;
    w->marks[REAL_DIGESTS_AGREED] += stats.digests_agreed;
    w->marks[REAL_FORWARDS] += stats.forwarded_out;
    real_snapshot_count(w, &stats);
    m->dying = true;
    real_node_lost(w, i);
    memory_disk_crash(m->disk, kept_log, kept_state);
    node_free(m->node);
    m->dying = false;
    m->node = NULL;
    m->paused = m->woken = m->storage_woken = m->refused = false;
    memset(m->writing, 0, sizeof m->writing);
    m->timer_us = UINT64_MAX;
    m->stalled_until_us = 0;
    m->life++;
    real_forget_outgoing(m);
    real_check_stored(w, i);
}

static void new_disk(struct real_world *w, uint32_t i)
{
    struct real_node *m = &w->node[i];
    struct identity identity = { .id = w->peers[i].id };
    raft_id ids[SIM_NODES_MAX];
    for (uint32_t k = 0; k < w->options.first; k++)
        ids[k] = w->peers[k].id;
    identity.cluster = cluster_id_of(ids, w->options.first);
    snprintf(identity.name, sizeof identity.name, "node%u", i + 1);
    memcpy(identity.raft_addr, w->peers[i].raft_addr, sizeof identity.raft_addr);
    for (size_t k = 0; k < INCARNATION_SIZE; k++)
        identity.incarnation[k] = (unsigned char)(sim_draw(&w->random) | 1);
    m->disk = memory_disk_new(&identity);
    memory_disk_hold(m->disk, true);
}

void real_wipe(struct real_world *w, uint32_t i)
{
    struct real_node *m = &w->node[i];
    real_crash(w, i, 0, 0);
    TRACE("%10" PRIu64 "  n%u gets an empty disk", w->now_us, i + 1);
    memory_disk_free(m->disk);
    new_disk(w, i);
    m->gone = m->sick = true;
    m->disk_term = 0;
    m->disk_vote = 0;
    w->marks[REAL_WIPES]++;
    real_restart(w, i);
}

int real_leader(const struct real_world *w)
{
    int leader = -1;
    for (uint32_t i = 0; i < w->options.n; i++) {
        const struct real_node *m = &w->node[i];
        if (m->node != NULL && m->node->role == RAFT_LEADER &&
            (leader < 0 || m->node->term > w->node[leader].node->term))
            leader = (int)i;
    }
    return leader;
}

uint32_t real_place(const struct real_world *w, raft_id id)
{
    uint32_t i = 0;
    while (i < w->options.n && w->peers[i].id != id)
        i++;
    MUST(i < w->options.n, "a message to or from nobody");
    return i;
}

/* ---- the world */

void real_begin(struct real_world *w, uint64_t seed, uint64_t *marks)
{
    struct sim_heap heap = w->heap;
    struct real_packet *packets = w->packets;
    memset(w, 0, sizeof *w);
    w->heap = heap;
    w->packets = packets;
    sim_heap_clear(&w->heap);
    w->seed = seed;
    w->random.state = seed ^ UINT64_C(0x7265616c); /* other dice than tier 1's for the same seed */
    w->marks = marks;
    w->now_us = 1000000;
    w->free_packet = UINT32_MAX;
    w->history = linear_new();
    TAILQ_INIT(&w->ops);
}

void real_nodes_start(struct real_world *w)
{
    for (uint32_t i = 0; i < w->options.n; i++) {
        snprintf(w->peers[i].raft_addr, sizeof w->peers[i].raft_addr, "raft.sim:%u", 9000 + i);
        w->peers[i].id = id_of_address(w->peers[i].raft_addr);
    }
    for (uint32_t i = 0; i < w->options.n; i++) {
        w->node[i].self = i;
        w->node[i].timer_us = UINT64_MAX;
        real_net_init(&w->node[i]);
        new_disk(w, i);
    }
    for (uint32_t i = 0; i < w->options.n; i++)
        real_restart(w, i);
}

void real_end(struct real_world *w)
{
    for (uint32_t i = 0; i < w->options.n; i++) {
        real_crash(w, i, 0, 0);
        memory_disk_free(w->node[i].disk);
    }
    real_net_end(w);
    real_clients_end(w);
    linear_free(w->history);
}
