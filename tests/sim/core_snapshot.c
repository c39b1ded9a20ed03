/* core_snapshot.c - tier 1's drivers of compaction and snapshots: each node drops the head of its
 * log when it likes, and who is told to fetches a snapshot from its leader, which takes its time, is
 * lost, arrives late or twice, or finds one of the two in another life. */
#include "tests/sim/core.h"

#include <inttypes.h>

/* The entry at base carries the hash of all that the snapshot stands for; before it only the ghosts
 * know the log. */
uint64_t core_chain_at(const struct core_world *w, const struct core_log *log, raft_index index)
{
    return index < log->base ? w->committed_at[index].chain : log->at[index].chain;
}

/* What a node knows to be committed and has durably, so that its state may hold it durably. */
raft_index core_known_committed(const struct core_world *w, const struct core_node *n, raft_index commit)
{
    raft_index known = commit < n->disk.last ? commit : n->disk.last;
    while (known > n->state && core_chain_at(w, &n->disk, known) != w->committed_at[known].chain)
        known--;
    return known > n->state ? known : n->state;
}

/* ---- compaction */

/* A snapshot that is being fetched is followed by the log behind it, or fetching would not end. */
static raft_index keep_for_fetchers(const struct core_world *w, uint32_t node, raft_index last)
{
    for (uint32_t i = 0; i < CORE_TRANSFERS_MAX; i++) {
        const struct core_transfer *t = &w->transfers[i];
        if (t->used && !t->late && t->from == node && t->index < last)
            last = t->index;
    }
    return last;
}

/* Until the log begins after the snapshot on disk, too, the state is the old one and stays. */
static bool is_installing(const struct core_node *n)
{
    for (uint32_t i = 0; i < n->n_writes; i++) {
        if (n->writes[(n->first_write + i) % CORE_WRITES_MAX].what & RAFT_SAVE_BASE)
            return true;
    }
    return false;
}

/* The state is made durable first; the log's head goes with a write of its own, which nobody waits
 * for and a crash may lose. */
static void compact(struct core_world *w, uint32_t node)
{
    struct core_node *n = w->node[node];
    if (!n->up || n->paused || n->n_writes > CORE_WRITES_MAX / 2 || is_installing(n))
        return;
    raft_index known = core_known_committed(w, n, n->update.commit);
    if (sim_below(&w->random, 3) == 0)
        known -= sim_below(&w->random, (uint32_t)(known - n->state) + 1);
    raft_index last = known > w->options.keep ? known - w->options.keep : 0;
    if (w->healed || !w->options.careless)
        last = keep_for_fetchers(w, node, last);
    if (last <= n->log.base)
        return;
    if (known > n->state)
        n->state = known;
    w->marks[CORE_COMPACTIONS]++;
    w->marks[CORE_COMPACTED_WHOLE] += last == n->log.last;
    struct core_write *write = core_write_new(w, n);
    write->ticket = n->issued;
    write->base = last;
    n->log.base = last;
    core_disk_start(w, node);
    struct raft_event event = { .type = RAFT_COMPACTED };
    event.compacted.last = last;
    MUST(core_world_step(w, node, &event, NULL) == RAFT_OK, "%" PRIu64 " may not compact up to %" PRIu64,
         n->id, last);
}

void core_compact(struct core_world *w)
{
    uint32_t us = w->healed ? 300000 : w->options.compact_us;
    if (us == 0)
        return;
    sim_heap_add(&w->heap, w->now_us + 1 + sim_below(&w->random, 2 * us), CORE_COMPACT, 0, 0, 0);
    uint32_t node = sim_below(&w->random, w->n), leader = core_leader(w);
    if (leader < w->n && sim_below(&w->random, 3) == 0)
        node = leader;
    compact(w, node);
    uint32_t from = sim_below(&w->random, w->n);
    if (!w->healed && from != node && sim_chance(&w->random, w->options.unasked))
        core_open(w, node, w->node[node]->life, from); /* what was fetched may come when it is not needed */
}

/* ---- fetching */

static void lost(struct core_world *w, struct core_node *to, const char *why)
{
    TRACE("%10" PRIu64 "  n%u gets no snapshot: %s", w->now_us, core_place(to->id) + 1, why);
    to->fetching = false;
    w->marks[CORE_SNAPSHOTS_LOST]++;
}

void core_fetch(struct core_world *w, uint32_t node)
{
    struct core_node *n = w->node[node];
    if (n->fetching && w->now_us < n->fetch_until)
        return;
    n->fetching = true;
    w->marks[CORE_INSTALLED_TOO_OLD] += n->installed > 0 && n->update.commit == n->installed;
    n->fetch_until = w->now_us + 10000 + 2 * w->options.fetch_us;
    w->marks[CORE_FETCHES]++;
    uint32_t us = sim_between(&w->random, 50, w->healed ? 4000 : w->options.delay_us);
    sim_heap_add(&w->heap, w->now_us + us, CORE_OPEN, node, n->life, core_place(n->update.leader));
}

static uint32_t transfer_new(struct core_world *w)
{
    uint32_t i = 0;
    while (i < CORE_TRANSFERS_MAX && w->transfers[i].used)
        i++;
    return i;
}

/* Any state from the log's beginning on will do; who was asked may lead no more. */
void core_open(struct core_world *w, uint32_t to, uint32_t life, uint32_t from)
{
    struct core_node *n = w->node[to], *source = w->node[from];
    struct sim_random *r = &w->random;
    if (n->life != life)
        return;
    uint32_t i = transfer_new(w);
    raft_index least = source->log.base, most = source->update.commit;
    if (i == CORE_TRANSFERS_MAX || !source->up || source->paused || w->cut[from][to] || w->cut[to][from] ||
        most == 0) {
        lost(w, n, "nobody gives one");
        return;
    }
    struct core_transfer *t = &w->transfers[i];
    raft_index index = sim_below(r, 2) == 0 ? most : least + sim_below(r, (uint32_t)(most - least) + 1);
    index = index == 0 ? most : index;
    *t = (struct core_transfer){ .used = true, .from = from, .to = to, .from_life = source->life,
                                 .to_life = life, .index = index, .entry = source->log.at[index] };
    uint64_t at = w->now_us + sim_between(r, 50, w->healed ? 20000 : w->options.fetch_us + 50);
    t->fails = !w->healed && sim_chance(r, w->options.fetch_loss);
    t->again = !w->healed && sim_chance(r, w->options.duplicate);
    TRACE("%10" PRIu64 "  n%u fetches a snapshot of %" PRIu64 "/%" PRIu64 " from n%u", w->now_us, to + 1,
          index, t->entry.term, from + 1);
    sim_heap_add(&w->heap, at, CORE_FETCHED, i, 0, 0);
}

/* The snapshot is there, verified and durable. */
static void install(struct core_world *w, const struct core_transfer *t)
{
    struct core_node *n = w->node[t->to];
    struct raft_event event = { .type = RAFT_INSTALLED };
    event.installed.last = t->index;
    event.installed.last_term = t->entry.term;
    event.installed.members = core_config_in(w, &t->entry);
    bool news = t->index > n->update.commit;
    bool leads = n->update.role == RAFT_LEADER, term_came = t->entry.term <= n->update.term;
    enum raft_status status = core_world_step(w, t->to, &event, &t->entry);
    MUST((status == RAFT_OK) == (news && !leads && term_came),
         "B51: %" PRIu64 " %s a snapshot of %" PRIu64, n->id, status == RAFT_OK ? "takes" : "refuses",
         t->index);
    w->marks[status == RAFT_OK ? CORE_INSTALLED : CORE_SNAPSHOTS_REFUSED]++;
}

void core_fetched(struct core_world *w, uint32_t i)
{
    struct core_transfer *t = &w->transfers[i];
    struct core_node *n = w->node[t->to], *source = w->node[t->from];
    bool same_receiver = n->up && n->life == t->to_life;
    if (n->up && n->paused) {
        sim_heap_add(&w->heap, w->now_us + 5000, CORE_FETCHED, i, 0, 0);
        return;
    }
    struct core_transfer done = *t;
    t->used = false;
    if (t->again) { /* it comes once more, much later, perhaps to another life */
        t->used = t->late = true;
        t->again = false;
        w->marks[CORE_SNAPSHOTS_LATE]++;
        sim_heap_add(&w->heap, w->now_us + sim_below(&w->random, w->options.late_us), CORE_FETCHED, i, 0, 0);
    }
    if (!done.late) {
        w->marks[CORE_RECEIVER_CRASHED] += !same_receiver;
        w->marks[CORE_SENDER_CRASHED] += same_receiver && source->life != done.from_life;
        if (!same_receiver)
            return;
        if (done.fails || source->life != done.from_life) {
            lost(w, n, done.fails ? "it is damaged" : "its sender died");
            return;
        }
        n->fetching = false;
    }
    if (n->up)
        install(w, &done);
}
