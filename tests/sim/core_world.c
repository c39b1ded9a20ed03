/* core_world.c - the driver of tier 1: steps a core and does what its update asks for. */
#include "tests/sim/core.h"

#include <holdfast/blob.h>

#include <inttypes.h>
#include <string.h>

/* ---- packets */

static uint32_t packet_new(struct core_world *w)
{
    uint32_t packet = w->free_packet;
    MUST(packet < CORE_PACKETS_MAX, "the simulator has too few packets");
    w->free_packet = w->packets[packet].next_free;
    return packet;
}

void core_drop(struct core_world *w, uint32_t packet)
{
    w->packets[packet].next_free = w->free_packet;
    w->free_packet = packet;
}

/* ---- the trace of the core itself */

static void on_trace(void *arg, uint32_t what, const uint64_t v[4])
{
    struct core_world *w = core_world();
    uint64_t *m = w->marks;
    uint32_t node = (uint32_t)(uintptr_t)arg;
    m[CORE_ELECTIONS] += what == RAFT_TRACE_ROLE && v[0] == RAFT_CANDIDATE;
    m[CORE_PRE_ELECTIONS] += what == RAFT_TRACE_ROLE && v[0] == RAFT_PRECANDIDATE;
    m[CORE_CONFLICTS] += what == RAFT_TRACE_APPEND_REFUSED;
    m[CORE_PROBES] += what == RAFT_TRACE_PROBE;
    m[CORE_IGNORED] += what == RAFT_TRACE_IGNORED;
    m[CORE_TRANSFERS] += what == RAFT_TRACE_TRANSFER && v[1] == 2;
    if (what == RAFT_TRACE_STEP_DOWN)
        m[CORE_STEP_DOWN_TERM + v[0]]++;
    TRACE("            n%u %s %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64, node + 1,
          raft_trace_name(what), v[0], v[1], v[2], v[3]);
}

/* ---- writes */

static void log_put(struct core_world *w, struct core_log *log, raft_index first,
                    const struct core_entry *entries, uint32_t n)
{
    MUST(first > log->base && first <= log->last + 1, "a hole in the log before %" PRIu64, first);
    MUST(first + n - 1 <= CORE_LOG_MAX, "the simulator's log is full");
    for (uint32_t i = 0; i < n; i++) {
        struct core_entry *entry = &log->at[first + i];
        *entry = entries[i];
        entry->chain = core_chain(log->at[first + i - 1].chain, entry);
        entry->config = entry->kind == RAFT_MEMBERS ? first + i : log->at[first + i - 1].config;
        core_check_entry(w, first + i, entry);
    }
    log->last = first + n - 1;
}

void core_disk_start(struct core_world *w, uint32_t node)
{
    struct core_node *n = w->node[node];
    if (!n->up || n->writing > 0 || n->n_writes == 0)
        return;
    n->writing = n->n_writes; /* a writer that is free takes all that is queued, as one write */
    uint32_t us = sim_between(&w->random, 20, (w->healed ? 2000 : w->options.disk_us) + 20);
    sim_heap_add(&w->heap, w->now_us + us, CORE_DISK, node, n->life, 0);
}

struct core_write *core_write_new(struct core_world *w, struct core_node *n)
{
    (void)w;
    MUST(n->n_writes < CORE_WRITES_MAX, "the simulator's write queue is full");
    struct core_write *write = &n->writes[(n->first_write + n->n_writes++) % CORE_WRITES_MAX];
    write->what = write->n = 0;
    write->base = 0;
    return write;
}

/* The log begins after the snapshot now. */
static void save_base(struct core_world *w, struct core_node *n, struct core_write *write,
                      const struct core_entry *snapshot)
{
    const struct raft_update *u = &n->update;
    core_check_install(w, n, snapshot);
    write->base = u->save.base;
    write->keep = u->save.keep;
    write->snapshot = *snapshot;
    w->marks[CORE_SUFFIX_KEPT] += u->save.keep && n->log.last > u->save.base;
    w->marks[CORE_SUFFIX_DROPPED] += !u->save.keep && n->log.last > u->save.base;
    n->log.base = n->installed = u->save.base;
    n->log.at[n->log.base] = *snapshot;
    if (snapshot->config == 0)
        n->base_members = w->members;
    if (!u->save.keep)
        n->log.last = n->log.base;
}

static void save(struct core_world *w, struct core_node *n, const struct core_entry *entries)
{
    const struct raft_update *u = &n->update;
    if (u->ticket == 0)
        return;
    struct core_write *write = core_write_new(w, n);
    write->ticket = n->issued = u->ticket;
    write->what = u->what;
    write->term = u->term;
    write->vote = u->vote;
    if (u->what & RAFT_SAVE_BASE)
        save_base(w, n, write, entries);
    if (u->what & RAFT_SAVE_ENTRIES) {
        struct core_entry own = { .term = u->term, .kind = RAFT_NOOP };
        if (u->what & RAFT_SAVE_MEMBERS)
            own = core_config_entry(w, n);
        bool is_own = (u->what & (RAFT_SAVE_NOOP | RAFT_SAVE_MEMBERS)) != 0;
        const struct core_entry *new = is_own ? &own : entries + u->save.skip;
        write->first = u->save.first;
        write->n = u->save.n;
        if (write->first <= n->log.last) {
            core_check_truncation(w, n, write->first, new);
            w->marks[CORE_TRUNCATIONS]++;
            w->marks[CORE_ROLLED_BACK] += n->log.at[n->log.last].config >= write->first;
        }
        log_put(w, &n->log, write->first, new, write->n);
        memcpy(write->entries, &n->log.at[write->first], write->n * sizeof *write->entries);
    }
    TRACE("            n%u saves ticket=%" PRIu64 "%s first=%" PRIu64 " n=%u", core_place(n->id) + 1,
          u->ticket, u->what & RAFT_SAVE_VOTE ? " vote" : "", write->n > 0 ? write->first : 0, write->n);
    core_disk_start(w, core_place(n->id));
}

/* Together with the log the state changes: where the log begins after a snapshot, that is the state,
 * at the latest after a restart. */
static void base_stored(struct core_world *w, struct core_node *n, const struct core_write *write)
{
    if (write->base <= n->disk.base)
        return;
    if (write->what & RAFT_SAVE_BASE) {
        bool same = write->base <= n->disk.last &&
                    core_chain_at(w, &n->disk, write->base) == write->snapshot.chain;
        MUST(!write->keep || same, "B53: the disk of %" PRIu64 " has not what is kept", n->id);
        MUST(write->base > n->state, "I16: the state of %" PRIu64 " goes back", n->id);
        n->state = write->base;
        n->disk.at[write->base] = write->snapshot;
        if (!write->keep)
            n->disk.last = write->base;
    }
    MUST(write->base <= n->state && write->base <= n->disk.last,
         "B53: a hole between state and log of %" PRIu64, n->id);
    n->disk.base = write->base;
}

static void stored(struct core_world *w, struct core_node *n)
{
    const struct core_write *write = &n->writes[n->first_write];
    core_check_stored(w, n, write);
    if (write->what & RAFT_SAVE_VOTE) {
        n->disk_term = write->term;
        n->disk_vote = write->vote;
    }
    if (write->what & RAFT_SAVE_ENTRIES)
        log_put(w, &n->disk, write->first, write->entries, write->n);
    base_stored(w, n, write);
    n->durable = write->ticket;
    n->first_write = (n->first_write + 1) % CORE_WRITES_MAX;
    n->n_writes--;
}

/* ---- messages */

static void release(struct core_world *w, struct core_node *n, uint32_t packet)
{
    core_check_release(w, n, &w->packets[packet]);
    if (w->packets[packet].msg.to == n->id)
        core_deliver(w, packet);
    else
        core_post(w, packet);
}

static void release_held(struct core_world *w, struct core_node *n)
{
    for (;;) {
        uint32_t i = 0;
        while (i < n->n_held && w->packets[n->held[i]].msg.after > n->durable)
            i++;
        if (i == n->n_held)
            return;
        uint32_t packet = n->held[i];
        n->n_held--;
        memmove(&n->held[i], &n->held[i + 1], (n->n_held - i) * sizeof n->held[0]);
        release(w, n, packet); /* a word to itself steps the node again */
    }
}

static void hold(struct core_world *w, struct core_node *n, const struct raft_msg *msg)
{
    if (n->n_held == CORE_HELD_MAX) { /* a bound; Raft is built for loss */
        core_drop(w, n->held[0]);
        memmove(&n->held[0], &n->held[1], --n->n_held * sizeof n->held[0]);
    }
    uint32_t number = packet_new(w);
    struct core_packet *packet = &w->packets[number];
    packet->msg = *msg;
    if (msg->type == RAFT_APPEND) {
        MUST(msg->append.n <= CORE_BATCH_MAX, "an append larger than configured");
        MUST(msg->append.prev >= n->log.base && msg->append.prev + msg->append.n <= n->log.last,
             "B21: an append of what is not there");
        memcpy(packet->entries, &n->log.at[msg->append.prev + 1],
               msg->append.n * sizeof packet->entries[0]);
    } else if (msg->type == RAFT_APPEND_REPLY && msg->append_reply.ok) {
        MUST(msg->append_reply.match <= n->log.last, "an acknowledgement of what is not there");
        packet->chain = core_chain_at(w, &n->log, msg->append_reply.match);
    }
    w->marks[CORE_SNAPSHOTS_OFFERED] += msg->type == RAFT_SNAPSHOT;
    n->held[n->n_held++] = number;
}

/* As a driver does that keeps frames small: several appends with consecutive prev. */
static void hold_split(struct core_world *w, struct core_node *n, const struct raft_msg *msg)
{
    uint32_t split = w->options.split;
    if (msg->type != RAFT_APPEND || split == 0 || msg->append.n <= split) {
        hold(w, n, msg);
        return;
    }
    w->marks[CORE_SPLIT_FRAMES]++;
    struct raft_msg part = *msg;
    for (uint32_t done = 0; done < msg->append.n; done += part.append.n) {
        uint32_t left = msg->append.n - done;
        part.append.prev = msg->append.prev + done;
        part.append.prev_term = part.append.prev == 0 ? 0 : n->log.at[part.append.prev].term;
        part.append.n = left < split ? left : split;
        hold(w, n, &part);
    }
}

void core_deliver(struct core_world *w, uint32_t number)
{
    struct core_packet packet = w->packets[number];
    core_drop(w, number);
    uint32_t to = core_place(packet.msg.to);
    if (!w->node[to]->up)
        return;
    struct raft_entry heads[CORE_BATCH_MAX];
    uint32_t n = packet.msg.type == RAFT_APPEND ? packet.msg.append.n : 0;
    for (uint32_t i = 0; i < n; i++)
        heads[i] = (struct raft_entry){ packet.entries[i].term, packet.entries[i].kind,
                                        core_config_of(w, &packet.entries[i]) };
    struct raft_event event = { .type = RAFT_RECV };
    event.recv.msg = &packet.msg;
    event.recv.entries = heads;
    core_world_step(w, to, &event, packet.entries);
}

/* ---- the step */

static const char *event_name(const struct raft_event *event)
{
    static const char *const names[RAFT_EVENT_TYPES] = { "tick", "recv", "propose", "read",
                                                         "transfer", "unreachable", "sent", "disk", "change",
                                                         "compacted", "installed" };
    return event->type == RAFT_RECV ? raft_msg_type_name(event->recv.msg->type) : names[event->type];
}

static void trace_step(struct core_world *w, const struct core_node *n, const struct raft_event *event,
                       enum raft_status status)
{
    const struct raft_msg *msg = event->type == RAFT_RECV ? event->recv.msg : NULL;
    static const char *const verdicts[] = { "ok", "not-leader", "busy", "invalid" };
    TRACE("%10" PRIu64 "  n%u %s from=%" PRIu64 " term=%" PRIu64 " | %s: %s term=%" PRIu64
          " vote=%" PRIu64 " leader=%" PRIu64 " last=%" PRIu64 " commit=%" PRIu64 " msgs=%u",
          w->now_us, core_place(n->id) + 1, event_name(event), msg != NULL ? msg->from : 0,
          msg != NULL ? msg->term : 0, verdicts[status], raft_role_name(n->update.role),
          n->update.term, n->update.vote, n->update.leader, raft_last_index(n->raft),
          n->update.commit, n->update.n_msgs);
}

static void hold_messages(struct core_world *w, uint32_t node)
{
    struct core_node *n = w->node[node];
    struct {
        raft_id to;
        raft_index last;
    } cut[RAFT_OUTBOX_MAX];
    uint32_t n_cut = 0;
    for (uint32_t i = 0; i < n->update.n_msgs; i++) {
        struct raft_msg *msg = &n->update.msgs[i];
        if (w->options.cut != 0 && msg->type == RAFT_APPEND && msg->append.n > w->options.cut) {
            msg->append.n = w->options.cut;
            cut[n_cut].to = msg->to;
            cut[n_cut++].last = msg->append.prev + msg->append.n;
        }
        hold_split(w, n, msg);
    }
    for (uint32_t i = 0; i < n_cut; i++) {
        struct raft_event sent = { .type = RAFT_SENT };
        sent.sent.peer = cut[i].to;
        sent.sent.last = cut[i].last;
        w->marks[CORE_CUT_SHORT]++;
        core_world_step(w, node, &sent, NULL);
    }
}

raft_msec core_now(const struct core_world *w, uint32_t node)
{
    return sim_local_ms(&w->node[node]->clock, w->now_us);
}

enum raft_status core_world_step(struct core_world *w, uint32_t node, const struct raft_event *event,
                           const struct core_entry *entries)
{
    struct core_node *n = w->node[node];
    struct raft_event timed = *event;
    timed.now = core_now(w, node);
    raft_index commit = n->update.commit;
    raft_term term = n->update.term;
    raft_id vote = n->update.vote;
    n->config_before = core_config(w, n);
    sim_count_event();
    enum raft_status status = raft_step(n->raft, &timed, &n->update);
    if (sim_trace_file != NULL)
        trace_step(w, n, event, status);
    save(w, n, entries);
    core_check_step(w, n, term, vote, commit);
    if (n->update.what & RAFT_FETCH)
        core_fetch(w, node);
    hold_messages(w, node);
    release_held(w, n);
    core_timer_set(w, node);
    return status;
}

/* A timer that is too early is set again when it fires; a later one is brought forward. */
void core_timer_set(struct core_world *w, uint32_t node)
{
    struct core_node *n = w->node[node];
    uint64_t due = sim_real_us(&n->clock, n->update.deadline);
    if (due < w->now_us)
        due = w->now_us;
    if (due >= n->timer_us)
        return;
    n->timer_us = due;
    sim_heap_add(&w->heap, due, CORE_TIMER, node, n->life, 0);
}

enum raft_status core_propose(struct core_world *w, uint32_t node, uint32_t n)
{
    enum raft_kind kinds[CORE_BATCH_MAX];
    struct core_entry entries[CORE_BATCH_MAX];
    for (uint32_t i = 0; i < n; i++) {
        kinds[i] = RAFT_DATA;
        entries[i] = (struct core_entry){ .term = w->node[node]->update.term, .kind = RAFT_DATA,
                                          .value = ++w->next_value };
    }
    struct raft_event event = { .type = RAFT_PROPOSE };
    event.propose.kinds = kinds;
    event.propose.n = n;
    return core_world_step(w, node, &event, entries);
}

enum raft_status core_read(struct core_world *w, uint32_t node)
{
    const struct core_node *n = w->node[node];
    struct raft_event event = { .type = RAFT_READ };
    event.read.tag = w->n_reads++;
    w->read[event.read.tag].open = true;
    w->read[event.read.tag].floor = w->committed;
    bool early = n->update.role == RAFT_LEADER &&
                 raft_term_at(n->raft, n->update.commit) != n->update.term;
    enum raft_status status = core_world_step(w, node, &event, NULL);
    if (status != RAFT_OK)
        w->read[event.read.tag].open = false;
    w->marks[CORE_READS_EARLY] += early && status == RAFT_OK;
    return status;
}

void core_disk_done(struct core_world *w, uint32_t node)
{
    struct core_node *n = w->node[node];
    TRACE("%10" PRIu64 "  n%u disk wrote %u", w->now_us, node + 1, n->writing);
    for (; n->writing > 0; n->writing--)
        stored(w, n);
    release_held(w, n);
    core_disk_start(w, node);
}

/* ---- life and death */

void core_crash(struct core_world *w, uint32_t node, uint32_t kept)
{
    struct core_node *n = w->node[node];
    TRACE("%10" PRIu64 "  n%u crashes, %u of %u unfinished writes are kept", w->now_us, node + 1, kept,
          n->n_writes);
    n->up = n->paused = false;
    n->life++;
    while (n->n_held > 0)
        core_drop(w, n->held[--n->n_held]);
    w->marks[CORE_CRASHES]++;
    w->marks[CORE_CRASHES_KEPT] += kept > 0;
    w->marks[CORE_CRASHES_WITH_LOSS] += n->n_writes > kept;
    for (uint32_t i = 0; i < kept; i++)
        stored(w, n);
    for (uint32_t i = 0; i < n->n_writes; i++)
        w->marks[CORE_INSTALLS_LOST] +=
            (n->writes[(n->first_write + i) % CORE_WRITES_MAX].what & RAFT_SAVE_BASE) != 0;
    n->fetching = false;
    n->n_writes = n->writing = 0;
    n->timer_us = UINT64_MAX;
}

void core_restart(struct core_world *w, uint32_t node, raft_index applied)
{
    static struct raft_run runs[CORE_LOG_MAX];
    static struct raft_config_at configs[RAFT_CONFIGS_MAX];
    struct core_node *n = w->node[node];
    uint32_t n_runs = 0;
    raft_index base = n->disk.base;
    n->log.last = n->disk.last;
    n->log.base = base;
    memcpy(&n->log.at[base], &n->disk.at[base], (n->disk.last + 1 - base) * sizeof n->log.at[0]);
    for (raft_index i = base + 1; i <= n->log.last; i++) {
        if (i == base + 1 || n->log.at[i].term != n->log.at[i - 1].term)
            runs[n_runs++] = (struct raft_run){ i, n->log.at[i].term };
    }
    struct raft_boot boot = { .term = n->disk_term, .vote = n->disk_vote,
                              .base_index = base, .base_term = base == 0 ? 0 : n->log.at[base].term,
                              .last_index = n->log.last, .runs = runs, .n_runs = n_runs,
                              .configs = configs };
    /* What a node can know to be committed when it starts is durable on its own disk, too: its state
     * never gets ahead of its log. */
    boot.commit = core_known_committed(w, n, applied);
    boot.members = *core_config_at(w, n, &n->log, boot.commit);
    boot.n_configs = core_boot_configs(w, n, boot.commit, configs);
    n->state = boot.commit;
    TRACE("%10" PRIu64 "  n%u starts term=%" PRIu64 " vote=%" PRIu64 " base=%" PRIu64 " last=%" PRIu64
          " applied=%" PRIu64, w->now_us, node + 1, boot.term, boot.vote, base, boot.last_index,
          boot.commit);
    n->config.seed = sim_draw(&w->random); /* a new life draws other timeouts */
    raft_init(n->raft, &n->config, &boot, core_now(w, node));
    n->issued = n->durable = 0;
    n->installed = 0;
    n->update.what = n->update.n_msgs = n->update.n_reads = 0;
    n->update.term = n->disk_term;
    n->update.vote = n->disk_vote;
    n->update.leader = 0;
    n->update.role = RAFT_FOLLOWER;
    n->update.commit = boot.commit;
    n->update.deadline = core_now(w, node);
    n->up = true;
    core_timer_set(w, node);
}

uint32_t core_leader(const struct core_world *w)
{
    uint32_t leader = w->n;
    for (uint32_t i = 0; i < w->n; i++) {
        const struct core_node *n = w->node[i];
        if (n->up && n->update.role == RAFT_LEADER &&
            (leader == w->n || n->update.term > w->node[leader]->update.term))
            leader = i;
    }
    return leader;
}

/* ---- the world */

struct core_world *core_world(void)
{
    static struct core_world *world;
    if (world != NULL)
        return world;
    world = memory_new(sizeof *world);
    world->packets = memory_new_array(CORE_PACKETS_MAX, sizeof *world->packets);
    for (uint32_t i = 0; i < CORE_NODES_MAX; i++) {
        world->node[i] = memory_new(sizeof *world->node[i]);
        world->node[i]->raft = memory_new(raft_size());
        world->node[i]->id = i + 1;
        world->node[i]->config.self = i + 1;
        world->node[i]->config.trace = on_trace;
        world->node[i]->config.trace_arg = (void *)(uintptr_t)i;
    }
    return world;
}

static void node_forget(struct core_node *n)
{
    n->up = n->paused = false;
    n->life = 0;
    n->commit_seen = 0;
    n->timer_us = UINT64_MAX;
    n->disk_term = 0;
    n->disk_vote = 0;
    n->issued = n->durable = 0;
    n->state = 0;
    n->fetching = false;
    n->writing = n->first_write = n->n_writes = n->n_held = 0;
    n->log.last = n->disk.last = n->log.base = n->disk.base = 0;
    memset(&n->log.at[0], 0, sizeof n->log.at[0]);
    memset(&n->disk.at[0], 0, sizeof n->disk.at[0]);
}

void core_world_begin(struct core_world *w, uint64_t seed, uint64_t *marks)
{
    w->seed = seed;
    w->random.state = seed;
    w->now_us = 1000000;
    w->marks = marks;
    w->healed = false;
    w->minority = w->gone = 0;
    w->n_configs = 0;
    w->healed_us = w->old_order = 0;
    sim_heap_clear(&w->heap);
    memset(w->cut, 0, sizeof w->cut);
    memset(w->clogged_until, 0, sizeof w->clogged_until);
    for (uint32_t i = 0; i < CORE_PACKETS_MAX; i++)
        w->packets[i].next_free = i + 1;
    w->free_packet = 0;
    w->next_value = 0;
    memset(w->transfers, 0, sizeof w->transfers);
    memset(w->leader_of, 0, (w->highest_term + 2) * sizeof w->leader_of[0]);
    memset(w->vote_of, 0, (w->highest_term + 2) * sizeof w->vote_of[0]);
    memset(w->candidates_of, 0, (w->highest_term + 2) * sizeof w->candidates_of[0]);
    w->highest_term = 0;
    w->committed = 0;
    memset(&w->committed_at[0], 0, sizeof w->committed_at[0]);
    w->n_reads = 0;
    w->run++;
    for (uint32_t i = 0; i < CORE_NODES_MAX; i++)
        node_forget(w->node[i]);
}
