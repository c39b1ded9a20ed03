/* core.c - steps the Raft core and carries out what its update asks for: writes, messages,
 * finished reads, news of the role.  Applying is left to apply.c, at the end of the turn. */
#include "node_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static void log_role(struct node *node, enum raft_role before, raft_id leader_before)
{
    const struct raft_update *u = &node->update;
    if (u->role == RAFT_LEADER && before != RAFT_LEADER) {
        node->stats.terms_led++;
        log_info("became leader", "term=%" PRIu64 " index=%" PRIu64, u->term,
                 raft_last_index(node->raft));
    } else if (u->role != RAFT_LEADER && before == RAFT_LEADER) {
        node->stats.step_downs++;
        log_info("stepped down", "term=%" PRIu64, u->term);
    }
    if (u->role == RAFT_CANDIDATE && before != RAFT_CANDIDATE) {
        node->stats.elections_started++;
        log_info("stands for election", "term=%" PRIu64, u->term);
    }
    if (u->leader != leader_before) {
        node->stats.leader_changes++;
        if (u->leader == 0)
            log_info("lost the leader", "term=%" PRIu64, u->term);
    }
}

/* ---- what must be stored */

/* All records of a proposal stand in one blob; each entry points into it. */
static void encode_proposal(struct node *node, struct log_job *job, const struct source *source)
{
    const struct raft_update *u = &node->update;
    uint64_t time_ms = node->host.wall_ms(node->host.arg);
    size_t size = 0;
    struct op *op;
    TAILQ_FOREACH (op, source->ops, link)
        size += RECORD_HEADER_SIZE + op->command->size;
    struct blob *blob = blob_new(size);

    unsigned char *at = blob->data;
    uint32_t i = 0;
    TAILQ_FOREACH (op, source->ops, link) {
        struct record record = { .index = u->save.first + i, .term = u->term, .kind = RAFT_DATA,
                                 .time_ms = time_ms, .payload = blob_slice(op->command) };
        record_encode_header(&record, at);
        memcpy(at + RECORD_HEADER_SIZE, op->command->data, op->command->size);
        job->entries[i].record = slice_of(at, RECORD_HEADER_SIZE + op->command->size);
        job->entries[i].owner = blob_ref(blob);
        at += job->entries[i].record.size;
        i++;
    }
    ASSERT(i == job->n);
    blob_unref(blob);
}

static void encode_members(struct node *node, struct log_job *job)
{
    static struct configuration configuration;
    const struct raft_update *u = &node->update;
    configs_complete(node, raft_members(node->raft, NULL, NULL), &configuration);
    struct blob *payload = configuration_encode(&configuration);
    struct record record = { .index = u->save.first, .term = u->term, .kind = RAFT_MEMBERS,
                             .time_ms = node->host.wall_ms(node->host.arg),
                             .payload = blob_slice(payload) };
    job->entries[0].owner = record_encode(&record);
    job->entries[0].record = blob_slice(job->entries[0].owner);
    blob_unref(payload);
}

static void fill_entries(struct node *node, struct log_job *job, const struct source *source)
{
    const struct raft_update *u = &node->update;
    if (u->what & RAFT_SAVE_NOOP) {
        struct record noop = { .index = u->save.first, .term = u->term, .kind = RAFT_NOOP,
                               .time_ms = node->host.wall_ms(node->host.arg) };
        job->entries[0].owner = record_encode(&noop);
        job->entries[0].record = blob_slice(job->entries[0].owner);
    } else if (u->what & RAFT_SAVE_MEMBERS) {
        encode_members(node, job);
    } else if (source->ops != NULL) {
        encode_proposal(node, job, source);
    } else {
        for (uint32_t i = 0; i < job->n; i++) {
            job->entries[i].record = source->records[u->save.skip + i];
            job->entries[i].owner = blob_ref(source->owner);
        }
    }
}

/* The configurations among what is stored; of what others sent all were decoded before. */
static void note_configs(struct node *node, const struct log_job *job, const struct source *source)
{
    static struct configuration configuration;
    bool own = node->update.what & RAFT_SAVE_MEMBERS;
    configs_truncate(node, job->first);
    for (uint32_t i = 0; (own || source->records != NULL) && i < job->n; i++) {
        struct record record;
        if (!own && node->entries[node->update.save.skip + i].kind != RAFT_MEMBERS)
            continue;
        enum err err = record_decode(job->first + i, job->entries[i].record, &record);
        if (err == OK)
            err = configuration_decode(record.payload, &configuration);
        ASSERT(err == OK);
        configs_push(node, record.index, &configuration);
    }
}

static void remember_flight(struct node *node, const struct log_job *job)
{
    ASSERT(node->n_flights < LOG_JOBS_MAX);
    struct log_flight *flight =
        &node->flights[(node->flight_head + node->n_flights++) % LOG_JOBS_MAX];
    *flight = (struct log_flight){ .ticket = job->ticket, .first = job->first,
                                   .since_ms = node_now(node) };
    if (job->first > 0)
        flight->last = job->first + job->n - 1;
}

static void save(struct node *node, const struct source *source)
{
    const struct raft_update *u = &node->update;
    bool entries = u->what & RAFT_SAVE_ENTRIES, base = u->what & RAFT_SAVE_BASE;
    ASSERT(!entries || !base);
    struct log_job *job = log_job_new(entries ? u->save.n : 0, base);
    job->ticket = u->ticket;
    job->save_vote = u->what & RAFT_SAVE_VOTE;
    job->term = u->term;
    job->vote = u->vote;
    job->submitted_us = node->host.now_us(node->host.arg);
    if (entries) {
        job->first = u->save.first;
        fill_entries(node, job, source);
        note_configs(node, job, source);
        if (job->first < node->tail.first + node->tail.n || node->tail.n == 0)
            tail_truncate(&node->tail, job->first);
        for (uint32_t i = 0; i < job->n; i++)
            tail_push(&node->tail, job->first + i, job->entries[i].record, job->entries[i].owner);
        if (job->first <= node->durable)
            node->durable = job->first - 1; /* what was durable there is about to be erased */
    }
    if (base)
        install_save(node, job);
    compact_ride(node, job);
    remember_flight(node, job);
    node->log->ops->submit(node->log, job);
}

/* A finished write says nothing of entries that a later, unfinished one erases: the durable
 * index stays below the first index that any unfinished write touches (B16). */
void core_log_done(struct node *node, struct log_job *job)
{
    if (job->ticket == 0)
        return;
    struct log_flight flight = node->flights[node->flight_head];
    ASSERT(node->n_flights > 0 && flight.ticket == job->ticket);
    node->flight_head = (node->flight_head + 1) % LOG_JOBS_MAX;
    node->n_flights--;
    node->durable_ticket = job->ticket;

    if (flight.first > 0) {
        raft_index durable = flight.last;
        for (uint32_t i = 0; i < node->n_flights; i++) {
            raft_index first = node->flights[(node->flight_head + i) % LOG_JOBS_MAX].first;
            if (first > 0 && first <= durable)
                durable = first - 1;
        }
        if (durable > node->durable)
            node->durable = durable;
        tail_trim(&node->tail, node->durable < statemachine_applied(node->sm)
                                   ? node->durable
                                   : statemachine_applied(node->sm));
    }
}

/* ---- one step */

static void finish_reads(struct node *node)
{
    for (uint32_t i = 0; i < node->update.n_reads; i++) {
        const struct raft_read *read = &node->update.reads[i];
        reads_answered(node, read->tag, read->ok, read->index);
    }
}

static void carry_out(struct node *node, const struct source *source)
{
    const struct raft_update *u = &node->update;
    enum raft_role role_before = node->role;
    raft_id leader_before = node->leader;
    raft_term term_before = node->term;
    node->term = u->term;
    node->leader = u->leader;
    node->role = u->role;
    node->commit = u->commit;
    node->raft_deadline = u->deadline;

    if (u->what & (RAFT_SAVE_VOTE | RAFT_SAVE_ENTRIES | RAFT_SAVE_BASE))
        save(node, source);
    if (u->what & RAFT_FETCH)
        fetch_wanted(node, u->leader);
    if (role_before == RAFT_LEADER && (u->role != RAFT_LEADER || u->term != term_before))
        writes_lost_leadership(node);
    for (uint32_t i = 0; i < u->n_msgs; i++)
        outbox_send(node, &u->msgs[i]);
    finish_reads(node);
    if (u->what & RAFT_NEW_MEMBERS)
        configs_log(node);
    if (u->what & RAFT_NEW_ROLE) {
        log_role(node, role_before, leader_before);
        if (u->leader != leader_before || u->term != term_before) {
            forward_leader_changed(node);
            change_role_changed(node);
            reads_leader_changed(node);
        }
    }
    if (u->what & (RAFT_COMMITTED | RAFT_NEW_ROLE))
        node_wake(node);
}

enum raft_status core_step(struct node *node, struct raft_event *event,
                           const struct source *source)
{
    ASSERT(!node->stepping);
    node->stepping = true;
    event->now = node_now(node);
    enum raft_status status = raft_step(node->raft, event, &node->update);
    if (status == RAFT_OK)
        carry_out(node, source);
    node->stepping = false;
    return status;
}

bool core_hand_over(struct node *node, raft_id to)
{
    struct raft_event event = { .type = RAFT_TRANSFER, .transfer.to = to };
    return core_step(node, &event, &(struct source){ 0 }) == RAFT_OK;
}

bool core_progress(const struct node *node, raft_id id, struct raft_progress *out)
{
    struct raft_progress all[RAFT_MEMBERS_MAX];
    uint32_t n = raft_progress(node->raft, all);
    for (uint32_t i = 0; i < n; i++) {
        if (all[i].id == id) {
            *out = all[i];
            return true;
        }
    }
    return false;
}

void core_save_meta(struct node *node, const char *key, const char *text)
{
    struct log_job *job = log_job_new(0, 1);
    snprintf(job->meta[0].key, META_KEY_MAX, "%s", key);
    snprintf(job->meta[0].text, META_TEXT_MAX, "%s", text);
    job->submitted_us = node->host.now_us(node->host.arg);
    node->log->ops->submit(node->log, job);
}

/* ---- a disk that hangs must not keep a leader in office (etcd #13527) */

void core_check_disk(struct node *node, uint64_t now_ms)
{
    bool stalled = node->n_flights > 0 &&
                   now_ms >= node->flights[node->flight_head].since_ms +
                                 node->config.election_max_ms;
    if (stalled && !node->disk_stalled)
        log_warn("the disk stalls", "oldest_write_ms=%" PRIu64,
                 now_ms - node->flights[node->flight_head].since_ms);
    else if (!stalled && node->disk_stalled)
        log_info("the disk answers again", "");
    node->disk_stalled = stalled;
    /* Nor must one lead whose state is wrong: to the core that is the same. */
    bool unfit = stalled || statemachine_doubt(node->sm) == DOUBT_DIFFERS;
    if (unfit == node->unfit)
        return;
    node->unfit = unfit;
    struct raft_event event = { .type = RAFT_DISK, .disk.stalled = unfit };
    enum raft_status status = core_step(node, &event, &(struct source){ 0 });
    ASSERT(status == RAFT_OK);
}
