/* raft_cluster.c - see raft_cluster.h. */
#include "raft_cluster.h"

#include <holdfast/blob.h>

#include <check.h>
#include <stdlib.h>
#include <string.h>

/* Not ck_assert, which writes to a file each time it is passed. */
#define MUST(c, condition, ...)                                          \
    do {                                                                 \
        if (!(condition)) {                                              \
            fprintf(stderr, "%s: %s broken: ", (c)->label, #condition);  \
            fprintf(stderr, __VA_ARGS__);                                \
            fputc('\n', stderr);                                         \
            ck_abort_msg("%s: an invariant is broken", (c)->label);      \
        }                                                                \
    } while (0)

struct trace_arg {
    struct cluster *c;
    uint32_t node;
};

/* ---- ghosts */

static uint64_t chain_of(uint64_t before, const struct cluster_entry *e)
{
    uint64_t h = before ^ (e->head.term * UINT64_C(0x9e3779b97f4a7c15)) ^ (e->value << 1) ^
                 ((uint64_t)e->head.kind << 63);
    h ^= h >> 31;
    h *= UINT64_C(0x94d049bb133111eb);
    return h ^ (h >> 29);
}

/* Before a log's beginning only the ghosts know what it was. */
static uint64_t chain_at(const struct cluster *c, const struct cluster_log *log, raft_index index)
{
    return index < log->base ? c->committed_at[index].chain : log->at[index].chain;
}

/* The configuration that the log up to `index` says is in use. */
static const struct raft_members *config_at(const struct cluster *c, const struct cluster_log *log,
                                            raft_index index)
{
    for (; index > 0; index--) {
        const struct cluster_entry *entry = index < log->base ? &c->committed_at[index] : &log->at[index];
        if (entry->head.kind == RAFT_MEMBERS)
            return entry->head.members;
    }
    return &c->members;
}

static void check_role(struct cluster *c, struct cluster_node *n)
{
    if (!(n->update.what & RAFT_NEW_ROLE) || n->update.role != RAFT_LEADER)
        return;
    raft_term term = n->update.term;
    MUST(c, term < CLUSTER_TERMS_MAX, "too many terms");
    MUST(c, c->leader_of[term] == 0 || c->leader_of[term] == n->id,
         "I1: term %llu is led by %llu and %llu", (unsigned long long)term,
         (unsigned long long)c->leader_of[term], (unsigned long long)n->id);
    c->leader_of[term] = n->id;
    c->marks.leaders++;
    MUST(c, n->log.last >= c->committed, "I4: leader %llu lacks committed entries",
         (unsigned long long)n->id);
    for (raft_index i = n->log.base + 1; i <= c->committed; i++)
        MUST(c, n->log.at[i].chain == c->committed_at[i].chain,
             "I4: leader %llu of term %llu has another entry %llu", (unsigned long long)n->id,
             (unsigned long long)term, (unsigned long long)i);
}

/* On the disks of a majority of the voters; of both kinds, if the configuration is joint. */
static bool is_durable(const struct cluster *c, const struct raft_members *m, raft_index index)
{
    uint32_t voters = 0, copies = 0, old_voters = 0, old_copies = 0;
    for (uint32_t i = 0; i < m->n; i++) {
        const struct cluster_log *disk = &c->node[cluster_place(c, m->at[i].id)]->disk;
        bool has = disk->last >= index && chain_at(c, disk, index) == c->committed_at[index].chain;
        voters += m->at[i].voter;
        copies += m->at[i].voter && has;
        old_voters += m->at[i].old_voter;
        old_copies += m->at[i].old_voter && has;
    }
    return copies > voters / 2 && (!m->joint || old_copies > old_voters / 2);
}

static void check_commit(struct cluster *c, struct cluster_node *n, raft_index before)
{
    raft_index commit = n->update.commit;
    MUST(c, commit >= before, "I6: commit of %llu went back", (unsigned long long)n->id);
    MUST(c, commit <= n->log.last, "commit is beyond the log");
    MUST(c, (commit > before) == ((n->update.what & (RAFT_COMMITTED | RAFT_SAVE_BASE)) != 0),
         "RAFT_COMMITTED");
    for (raft_index i = before + 1; i <= commit; i++) {
        if (i <= c->committed) {
            MUST(c, chain_at(c, &n->log, i) == c->committed_at[i].chain,
                 "I5: %llu commits another entry %llu", (unsigned long long)n->id,
                 (unsigned long long)i);
            continue;
        }
        c->committed_at[i] = n->log.at[i];
        c->committed = i;
        c->marks.commits++;
        MUST(c, is_durable(c, n->config_before, i), "I6: entry %llu is committed but not durable",
             (unsigned long long)i);
    }
    if (commit > n->commit_seen)
        n->commit_seen = commit;
}

/* What a leader believes of a follower is true as long as that follower is in its term. */
static void check_progress(struct cluster *c, struct cluster_node *n)
{
    struct raft_progress progress[RAFT_MEMBERS_MAX];
    if (n->update.role != RAFT_LEADER)
        return;
    uint32_t members = raft_progress(n->raft, progress);
    for (uint32_t i = 0; i < members; i++) {
        const struct cluster_node *other = c->node[cluster_place(c, progress[i].id)];
        raft_index match = progress[i].match;
        MUST(c, progress[i].next > match, "B18: next is not above match");
        MUST(c, match <= n->log.last, "match is beyond the log");
        if (match > 0 && other->disk_term == n->update.term)
            MUST(c, other->disk.last >= match &&
                        chain_at(c, &other->disk, match) == chain_at(c, &n->log, match),
                 "B15: %llu believes that %llu has %llu", (unsigned long long)n->id,
                 (unsigned long long)other->id, (unsigned long long)match);
    }
}

static void check_reads(struct cluster *c, struct cluster_node *n)
{
    for (uint32_t i = 0; i < n->update.n_reads; i++) {
        const struct raft_read *read = &n->update.reads[i];
        MUST(c, read->tag < c->n_reads && c->read[read->tag].open, "a read is answered twice");
        c->read[read->tag].open = false;
        if (!read->ok) {
            c->marks.reads_failed++;
            continue;
        }
        c->marks.reads_ok++;
        MUST(c, read->index >= c->read[read->tag].floor,
             "I8: a read may be served at %llu though %llu was committed",
             (unsigned long long)read->index, (unsigned long long)c->read[read->tag].floor);
    }
}

static void check_ticket(struct cluster *c, struct cluster_node *n)
{
    const struct raft_update *u = &n->update;
    bool saves = (u->what & (RAFT_SAVE_VOTE | RAFT_SAVE_ENTRIES | RAFT_SAVE_BASE)) != 0;
    MUST(c, (u->ticket != 0) == saves, "a ticket for each write and only then");
    if (saves) {
        MUST(c, u->ticket == n->issued + 1, "tickets are issued in order");
        n->issued = u->ticket;
    }
    if (u->what & RAFT_SAVE_VOTE)
        n->issued_vote = u->ticket;
    for (uint32_t i = 0; i < u->n_msgs; i++) {
        bool reply = u->msgs[i].type == RAFT_VOTE_REPLY || u->msgs[i].type == RAFT_APPEND_REPLY;
        MUST(c, u->msgs[i].after == (reply ? n->issued : n->issued_vote),
             "I17: a %s waits for %llu", raft_msg_type_name(u->msgs[i].type),
             (unsigned long long)u->msgs[i].after);
    }
}

/* ---- writes */

static void log_put(struct cluster *c, struct cluster_log *log, raft_index first,
                    const struct cluster_entry *entries, uint32_t n)
{
    MUST(c, first > log->base && first <= log->last + 1, "a hole in the log");
    MUST(c, first + n - 1 <= CLUSTER_LOG_MAX, "the test's log is full");
    for (uint32_t i = 0; i < n; i++) {
        log->at[first + i] = entries[i];
        log->at[first + i].chain = chain_of(log->at[first + i - 1].chain, &entries[i]);
    }
    log->last = first + n - 1;
}

static void log_begin(struct cluster_log *log, raft_index base, bool keep,
                      const struct cluster_entry *snapshot)
{
    log->base = base;
    log->at[base] = *snapshot;
    if (!keep)
        log->last = base;
}

static void queue_write(struct cluster *c, struct cluster_node *n, raft_index first, uint32_t count)
{
    MUST(c, n->n_writes < CLUSTER_WRITES_MAX, "the test's write queue is full");
    struct cluster_write *w = &n->writes[n->n_writes++];
    *w = (struct cluster_write){ .ticket = n->update.ticket, .done_at = 0, .what = n->update.what,
                                 .term = n->update.term, .vote = n->update.vote, .first = first,
                                 .n = count, .base = n->update.save.base,
                                 .keep = n->update.save.keep };
    if (w->what & RAFT_SAVE_BASE)
        w->snapshot = n->log.at[w->base];
    if (count > 0) {
        w->entries = memory_new_array(count, sizeof *w->entries);
        memcpy(w->entries, &n->log.at[first], count * sizeof *w->entries);
    }
}

/* Only a real conflict is erased. */
static void check_truncation(struct cluster *c, const struct cluster_node *n, raft_index first,
                             const struct cluster_entry *new)
{
    const struct cluster_entry *old = &n->log.at[first];
    MUST(c, new->head.term != old->head.term, "B19: %llu erases what matches from %llu on",
         (unsigned long long)n->id, (unsigned long long)first);
    MUST(c, first > c->committed || old->chain != c->committed_at[first].chain,
         "B19: %llu erases the committed entry %llu", (unsigned long long)n->id,
         (unsigned long long)first);
}

static void save(struct cluster *c, struct cluster_node *n, const struct cluster_entry *entries)
{
    const struct raft_update *u = &n->update;
    if (u->ticket == 0)
        return;
    raft_index first = 0;
    uint32_t count = 0;
    if (u->what & RAFT_SAVE_ENTRIES) {
        struct cluster_entry own = { .head = { u->term, RAFT_NOOP, NULL } };
        if (u->what & RAFT_SAVE_MEMBERS) {
            MUST(c, c->n_configs < CLUSTER_CONFIGS_MAX, "too many configurations");
            c->configs[c->n_configs] = *raft_members(n->raft, NULL, NULL);
            own.head.kind = RAFT_MEMBERS;
            own.head.members = &c->configs[c->n_configs++];
            own.value = ++c->next_value;
        }
        bool is_own = (u->what & (RAFT_SAVE_NOOP | RAFT_SAVE_MEMBERS)) != 0;
        first = u->save.first;
        count = u->save.n;
        const struct cluster_entry *new = is_own ? &own : entries + u->save.skip;
        if (first <= n->log.last)
            check_truncation(c, n, first, new);
        if (first <= n->log.last)
            c->marks.truncations++;
        log_put(c, &n->log, first, new, count);
    }
    if (u->what & RAFT_SAVE_BASE) {
        raft_index base = u->save.base;
        bool same = base <= n->log.last && chain_at(c, &n->log, base) == c->committed_at[base].chain;
        MUST(c, u->save.keep == same, "B51: what is behind the snapshot of %llu",
             (unsigned long long)base);
        log_begin(&n->log, base, u->save.keep, &c->committed_at[base]);
    }
    queue_write(c, n, first, count);
}

/* ---- messages */

static void note_vote(struct cluster *c, const struct raft_msg *msg)
{
    if (msg->type != RAFT_VOTE_REPLY || !msg->vote_reply.granted || msg->vote_reply.pre)
        return;
    MUST(c, msg->term < CLUSTER_TERMS_MAX, "too many terms");
    raft_id *vote = &c->vote_of[msg->term][cluster_place(c, msg->from)];
    MUST(c, *vote == 0 || *vote == msg->to, "I2: %llu votes twice in term %llu",
         (unsigned long long)msg->from, (unsigned long long)msg->term);
    *vote = msg->to;
}

static void deliver(struct cluster *c, const struct cluster_packet *packet)
{
    uint32_t to = cluster_place(c, packet->msg.to);
    if (!c->node[to]->up)
        return;
    struct raft_entry heads[CLUSTER_PACKET_ENTRIES];
    for (uint32_t i = 0; i < CLUSTER_PACKET_ENTRIES; i++)
        heads[i] = packet->entries[i].head;
    struct raft_event event = { .type = RAFT_RECV, .now = c->now };
    event.recv.msg = &packet->msg;
    event.recv.entries = heads;
    cluster_event(c, to, &event);
}

static void release(struct cluster *c, struct cluster_packet *packet)
{
    note_vote(c, &packet->msg);
    if (packet->msg.from == packet->msg.to) {
        struct cluster_packet own = *packet;
        free(packet);
        deliver(c, &own);
        return;
    }
    if (c->n_net == CLUSTER_NET_MAX) {
        MUST(c, c->drop_overflow, "the test's network is full");
        free(packet);
        return;
    }
    c->net[c->n_net++] = packet;
}

static void release_held(struct cluster *c, struct cluster_node *n)
{
    for (;;) {
        uint32_t i = 0;
        while (i < n->n_held && n->held[i]->msg.after > n->durable)
            i++;
        if (i == n->n_held)
            return;
        struct cluster_packet *packet = n->held[i];
        n->n_held--;
        memmove(&n->held[i], &n->held[i + 1], (n->n_held - i) * sizeof n->held[0]);
        release(c, packet); /* a word to itself steps the node again */
    }
}

static void hold(struct cluster *c, struct cluster_node *n, const struct raft_msg *msg)
{
    MUST(c, n->n_held < CLUSTER_NET_MAX, "the test's list of held messages is full");
    struct cluster_packet *packet = memory_new(sizeof *packet);
    packet->msg = *msg;
    if (msg->type == RAFT_APPEND) {
        MUST(c, msg->append.n <= CLUSTER_PACKET_ENTRIES, "an append larger than configured");
        MUST(c, msg->append.prev >= n->log.base &&
                    msg->append.prev + msg->append.n <= n->log.last,
             "an append of what is not there");
        memcpy(packet->entries, &n->log.at[msg->append.prev + 1],
               msg->append.n * sizeof packet->entries[0]);
    }
    n->held[n->n_held++] = packet;
}

/* As a driver does that keeps frames small: several appends with consecutive prev. */
static void hold_split(struct cluster *c, struct cluster_node *n, const struct raft_msg *msg)
{
    if (msg->type != RAFT_APPEND || c->split == 0 || msg->append.n <= c->split) {
        hold(c, n, msg);
        return;
    }
    struct raft_msg part = *msg;
    for (uint32_t done = 0; done < msg->append.n; done += part.append.n) {
        uint32_t left = msg->append.n - done;
        part.append.prev = msg->append.prev + done;
        part.append.prev_term = part.append.prev == 0 ? 0 : n->log.at[part.append.prev].head.term;
        part.append.n = left < c->split ? left : c->split;
        hold(c, n, &part);
    }
}

/* ---- the step */

static void on_trace(void *arg, uint32_t what, const uint64_t v[4])
{
    struct trace_arg *t = arg;
    struct cluster_marks *m = &t->c->marks;
    m->elections += what == RAFT_TRACE_ROLE && v[0] == RAFT_CANDIDATE;
    m->refusals += what == RAFT_TRACE_APPEND_REFUSED;
    m->probes += what == RAFT_TRACE_PROBE;
    m->ignored += what == RAFT_TRACE_IGNORED;
    m->transfers += what == RAFT_TRACE_TRANSFER && v[1] == 2;
    if (what == RAFT_TRACE_STEP_DOWN)
        m->step_downs[v[0]]++;
    if (t->c->on_trace != NULL)
        t->c->on_trace(t->c->arg, t->c, t->node, what, v);
}

static enum raft_status step(struct cluster *c, uint32_t node, const struct raft_event *event,
                             const struct cluster_entry *entries)
{
    struct cluster_node *n = c->node[node];
    raft_index commit = n->update.commit;
    raft_term term = n->update.term;
    n->config_before = config_at(c, &n->log, n->log.last);
    n->status = raft_step(n->raft, event, &n->update);
    MUST(c, n->update.term >= term, "I16: the term of %llu fell", (unsigned long long)n->id);
    if (n->status == RAFT_INVALID)
        c->marks.invalid++;
    check_ticket(c, n);
    save(c, n, entries);
    check_commit(c, n, commit);
    check_role(c, n);
    check_progress(c, n);
    check_reads(c, n);
    MUST(c, raft_first_index(n->raft) == n->log.base + 1, "the trail's beginning");
    MUST(c, raft_last_index(n->raft) == n->log.last, "the trail's end");
    MUST(c, raft_term_at(n->raft, n->log.last) == n->log.at[n->log.last].head.term, "last term");
    struct raft_msg cut[RAFT_OUTBOX_MAX];
    uint32_t n_cut = 0;
    for (uint32_t i = 0; i < n->update.n_msgs; i++) {
        struct raft_msg msg = n->update.msgs[i];
        if (c->cut != 0 && msg.type == RAFT_APPEND && msg.append.n > c->cut) {
            msg.append.n = c->cut;
            cut[n_cut++] = msg;
        }
        hold_split(c, n, &msg);
    }
    if (c->on_step != NULL)
        c->on_step(c->arg, c, node);
    enum raft_status status = n->status;
    for (uint32_t i = 0; i < n_cut; i++) {
        struct raft_event sent = { .type = RAFT_SENT, .now = c->now };
        sent.sent.peer = cut[i].to;
        sent.sent.last = cut[i].append.prev + cut[i].append.n;
        step(c, node, &sent, NULL);
    }
    release_held(c, n);
    return status;
}

enum raft_status cluster_event(struct cluster *c, uint32_t node, const struct raft_event *event)
{
    struct cluster_entry entries[RAFT_BATCH_MAX];
    if (event->type == RAFT_RECV && event->recv.msg->type == RAFT_APPEND) {
        /* the packet's payloads lie behind its heads */
        const struct cluster_packet *packet =
            (const struct cluster_packet *)(const void *)event->recv.msg;
        memcpy(entries, packet->entries, sizeof packet->entries);
    } else if (event->type == RAFT_PROPOSE) {
        for (uint32_t i = 0; i < event->propose.n; i++)
            entries[i] = (struct cluster_entry){
                .head = { c->node[node]->update.term, event->propose.kinds[i], NULL },
                .value = ++c->next_value
            };
    }
    return step(c, node, event, entries);
}

enum raft_status cluster_tick(struct cluster *c, uint32_t node)
{
    struct raft_event event = { .type = RAFT_TICK, .now = c->now };
    return cluster_event(c, node, &event);
}

enum raft_status cluster_propose(struct cluster *c, uint32_t node, uint32_t n)
{
    enum raft_kind kinds[RAFT_BATCH_MAX];
    for (uint32_t i = 0; i < n; i++)
        kinds[i] = RAFT_DATA;
    struct raft_event event = { .type = RAFT_PROPOSE, .now = c->now };
    event.propose.kinds = kinds;
    event.propose.n = n;
    return cluster_event(c, node, &event);
}

enum raft_status cluster_read(struct cluster *c, uint32_t node)
{
    MUST(c, c->n_reads < CLUSTER_READS_MAX, "too many reads");
    struct raft_event event = { .type = RAFT_READ, .now = c->now };
    event.read.tag = c->n_reads;
    c->read[c->n_reads].open = true;
    c->read[c->n_reads].floor = c->committed;
    c->n_reads++;
    enum raft_status status = cluster_event(c, node, &event);
    if (status != RAFT_OK)
        c->read[event.read.tag].open = false;
    return status;
}

enum raft_status cluster_compact(struct cluster *c, uint32_t node, raft_index last)
{
    struct cluster_node *n = c->node[node];
    struct raft_event event = { .type = RAFT_COMPACTED, .now = c->now };
    event.compacted.last = last;
    MUST(c, last <= n->disk.last, "what is compacted is on disk");
    raft_index log = n->log.base, disk = n->disk.base;
    if (last > log)
        n->log.base = n->disk.base = last;
    enum raft_status status = cluster_event(c, node, &event);
    if (status != RAFT_OK) {
        n->log.base = log;
        n->disk.base = disk;
    }
    return status;
}

static const struct raft_members *committed_config(const struct cluster *c, raft_index index)
{
    while (index > 0 && c->committed_at[index].head.kind != RAFT_MEMBERS)
        index--;
    return index == 0 ? &c->members : c->committed_at[index].head.members;
}

enum raft_status cluster_install(struct cluster *c, uint32_t node, raft_index last)
{
    struct raft_event event = { .type = RAFT_INSTALLED, .now = c->now };
    MUST(c, last > 0 && last <= c->committed, "a snapshot holds what is committed");
    event.installed.last = last;
    event.installed.last_term = c->committed_at[last].head.term;
    event.installed.members = committed_config(c, last);
    return cluster_event(c, node, &event);
}

enum raft_status cluster_change(struct cluster *c, uint32_t node, const struct raft_members *members)
{
    struct raft_event event = { .type = RAFT_CHANGE, .now = c->now };
    event.change.members = members;
    return cluster_event(c, node, &event);
}

bool cluster_write_one(struct cluster *c, uint32_t node)
{
    struct cluster_node *n = c->node[node];
    if (n->n_writes == 0)
        return false;
    struct cluster_write w = n->writes[0];
    n->n_writes--;
    memmove(&n->writes[0], &n->writes[1], n->n_writes * sizeof n->writes[0]);
    if (w.what & RAFT_SAVE_VOTE) {
        MUST(c, w.term >= n->disk_term, "I16: a lower term is stored");
        n->disk_term = w.term;
        n->disk_vote = w.vote;
    }
    if (w.what & RAFT_SAVE_ENTRIES)
        log_put(c, &n->disk, w.first, w.entries, w.n);
    if (w.what & RAFT_SAVE_BASE)
        log_begin(&n->disk, w.base, w.keep, &w.snapshot);
    free(w.entries);
    n->durable = w.ticket;
    if (n->up)
        release_held(c, n);
    return true;
}

void cluster_write_all(struct cluster *c, uint32_t node)
{
    while (cluster_write_one(c, node))
        ;
}

/* ---- network */

void cluster_drop(struct cluster *c, uint32_t i)
{
    free(c->net[i]);
    c->n_net--;
    memmove(&c->net[i], &c->net[i + 1], (c->n_net - i) * sizeof c->net[0]);
}

void cluster_deliver(struct cluster *c, uint32_t i, bool keep)
{
    struct cluster_packet packet = *c->net[i];
    if (!keep)
        cluster_drop(c, i);
    deliver(c, &packet);
}

/* ---- life and death */

static void forget_held(struct cluster_node *n)
{
    for (uint32_t i = 0; i < n->n_held; i++)
        free(n->held[i]);
    n->n_held = 0;
}

void cluster_crash(struct cluster *c, uint32_t node, uint32_t kept)
{
    struct cluster_node *n = c->node[node];
    n->up = false;
    forget_held(n);
    for (uint32_t i = 0; i < kept; i++)
        cluster_write_one(c, node);
    c->marks.crashes_with_loss += n->n_writes > 0;
    for (uint32_t i = 0; i < n->n_writes; i++)
        free(n->writes[i].entries);
    n->n_writes = 0;
    /* What it had been asked dies with it. */
}

void cluster_restart(struct cluster *c, uint32_t node, raft_index applied)
{
    static struct raft_run runs[CLUSTER_LOG_MAX];
    struct cluster_node *n = c->node[node];
    n->log = n->disk;
    uint32_t n_runs = 0;
    raft_index base = n->log.base;
    for (raft_index i = base + 1; i <= n->log.last; i++) {
        if (i == base + 1 || n->log.at[i].head.term != n->log.at[i - 1].head.term)
            runs[n_runs++] = (struct raft_run){ i, n->log.at[i].head.term };
    }
    /* A driver counts as applied and durable only what its log holds durably: a commit index that
     * had come before the disk was done says nothing about what the disk holds. */
    while (applied > base && (applied > n->log.last || applied > c->committed ||
                           n->log.at[applied].chain != c->committed_at[applied].chain))
        applied--;
    if (applied < base)
        applied = base;
    static struct raft_config_at configs[CLUSTER_CONFIGS_MAX];
    uint32_t n_configs = 0;
    for (raft_index i = applied + 1; i <= n->log.last; i++) {
        if (n->log.at[i].head.kind == RAFT_MEMBERS)
            configs[n_configs++] = (struct raft_config_at){ i, *n->log.at[i].head.members };
    }
    struct raft_boot boot = { .base_index = base,
                              .base_term = base == 0 ? 0 : n->log.at[base].head.term,
                              .term = n->disk_term, .vote = n->disk_vote,
                              .last_index = n->log.last, .commit = applied,
                              .members = *config_at(c, &n->log, applied), .configs = configs,
                              .n_configs = n_configs, .runs = runs, .n_runs = n_runs };
    raft_init(n->raft, &n->config, &boot, c->now);
    n->issued = n->issued_vote = n->durable = 0;
    memset(&n->update, 0, sizeof n->update);
    n->update.term = n->disk_term;
    n->update.vote = n->disk_vote;
    n->update.commit = applied;
    n->update.deadline = c->now;
    n->up = true;
    n->config.seed++; /* a new life draws other timeouts */
}

void cluster_set_disk(struct cluster *c, uint32_t node, raft_term term, raft_id vote,
                      const raft_term *terms, uint32_t n)
{
    struct cluster_node *target = c->node[node];
    target->disk.last = 0;
    target->disk_term = term;
    target->disk_vote = vote;
    for (uint32_t i = 0; i < n; i++) {
        /* the same entry at the same index and term, on whichever node */
        struct cluster_entry entry = { .head = { terms[i], RAFT_DATA, NULL }, .value = 1000 + i };
        log_put(c, &target->disk, i + 1, &entry, 1);
    }
}

struct cluster *cluster_new(uint32_t voters, uint32_t learners, uint32_t spares,
                            const struct raft_config *config)
{
    struct cluster *c = memory_new(sizeof *c);
    c->n = voters + learners + spares;
    ck_assert_uint_le(c->n, CLUSTER_NODES_MAX);
    c->now = 1000;
    c->members.n = voters + learners;
    for (uint32_t i = 0; i < c->members.n; i++)
        c->members.at[i] = (struct raft_member){ .id = i + 1, .voter = i < voters };
    for (uint32_t i = 0; i < c->n; i++) {
        struct cluster_node *n = memory_new(sizeof *n);
        c->node[i] = n;
        n->id = i + 1;
        n->raft = memory_new(raft_size());
        n->config = *config;
        n->config.self = n->id;
        n->config.trace = on_trace;
        struct trace_arg *arg = memory_new(sizeof *arg);
        *arg = (struct trace_arg){ c, i };
        n->config.trace_arg = arg;
        cluster_restart(c, i, 0);
    }
    return c;
}

void cluster_free(struct cluster *c)
{
    for (uint32_t i = 0; i < c->n; i++) {
        struct cluster_node *n = c->node[i];
        forget_held(n);
        for (uint32_t k = 0; k < n->n_writes; k++)
            free(n->writes[k].entries);
        free(n->config.trace_arg);
        free(n->raft);
        free(n);
    }
    for (uint32_t i = 0; i < c->n_net; i++)
        free(c->net[i]);
    free(c);
}

/* ---- questions */

uint32_t cluster_place(const struct cluster *c, raft_id id)
{
    MUST(c, id >= 1 && id <= c->n, "nobody has the id %llu", (unsigned long long)id);
    return (uint32_t)id - 1;
}

uint32_t cluster_leader(const struct cluster *c)
{
    uint32_t leader = c->n;
    for (uint32_t i = 0; i < c->n; i++) {
        const struct cluster_node *n = c->node[i];
        if (n->up && n->update.role == RAFT_LEADER &&
            (leader == c->n || n->update.term > c->node[leader]->update.term))
            leader = i;
    }
    return leader;
}

void cluster_check_trails(struct cluster *c)
{
    for (uint32_t i = 0; i < c->n; i++) {
        const struct cluster_node *n = c->node[i];
        if (!n->up)
            continue;
        for (raft_index k = n->log.base + 1; k <= n->log.last; k++)
            MUST(c, raft_term_at(n->raft, k) == n->log.at[k].head.term, "the trail at %llu",
                 (unsigned long long)k);
    }
}
