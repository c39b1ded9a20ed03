/* node.c - the node's life: birth from what the stores hold, its turns, its deadlines, its end. */
#include "node_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

uint64_t node_now(const struct node *node)
{
    return node->host.now_ms(node->host.arg);
}

void node_wake(struct node *node)
{
    node->host.wake(node->host.arg);
}

struct peer *node_peer(struct node *node, raft_id id)
{
    for (uint32_t i = 0; i < node->n_peers; i++)
        if (node->peers[i].id == id)
            return &node->peers[i];
    return NULL;
}

bool node_single(const struct node *node)
{
    const struct raft_members *members = &configs_current(node)->members;
    uint32_t voters = 0;
    for (uint32_t i = 0; i < members->n; i++)
        voters += members->at[i].voter || members->at[i].old_voter;
    return voters == 1 && configs_is_voter(node, node->config.identity.id);
}

void node_cut_short(struct node *node, raft_id to, raft_index last)
{
    struct peer *peer = node_peer(node, to);
    if (peer == NULL)
        return;
    peer->cut_short = last;
    node_wake(node);
}

/* ---- birth */

static void trace(void *arg, uint32_t what, const uint64_t v[4])
{
    (void)arg;
    log_debug("raft", "event=%s a=%" PRIu64 " b=%" PRIu64 " c=%" PRIu64 " d=%" PRIu64,
              raft_trace_name(what), v[0], v[1], v[2], v[3]);
}

static void start_raft(struct node *node, const struct log_boot *log)
{
    const struct node_config *config = &node->config;
    struct raft_config raft_config = {
        .self = config->identity.id,
        .election_min_ms = config->election_min_ms,
        .election_max_ms = config->election_max_ms,
        .heartbeat_ms = config->heartbeat_ms,
        .batch_entries = RAFT_BATCH_MAX,
        .window = APPEND_WINDOW,
        .pre_vote = config->pre_vote,
        .check_quorum = config->check_quorum,
        .seed = config->seed,
        .trace = log_get_level() >= LOG_LEVEL_DEBUG ? trace : NULL,
    };
    struct raft_boot boot = {
        .term = log->term,
        .vote = log->vote,
        .base_index = log->base,
        .base_term = log->base_term,
        .last_index = log->last,
        .commit = statemachine_applied(node->sm),
        .runs = log->runs,
        .n_runs = log->n_runs,
    };
    struct raft_config_at *configs = configs_for_boot(node, &boot.n_configs);
    boot.members = node->configs[0].configuration.members;
    boot.configs = configs;
    node->raft = memory_new(raft_size());
    raft_init(node->raft, &raft_config, &boot, node_now(node));
    free(configs);
    node->term = node->born_term = log->term;
    node->commit = boot.commit;
    node->durable = log->last;
    tail_init(&node->tail, log->last + 1);
    compact_init(node, log->base, log->base_term);
}

static enum err boot_stores(struct node *node, char *message)
{
    struct log_boot log = { 0 };
    enum err err = node->log->ops->boot(node->log, &log);
    if (err != OK) {
        snprintf(message, STORAGE_MESSAGE_MAX, "the log cannot be read: %s", err_text(err));
        return err;
    }
    err = statemachine_new(node->state, &node->sm);
    if (err != OK) {
        snprintf(message, STORAGE_MESSAGE_MAX, "the state cannot be read: %s", err_text(err));
    } else if (statemachine_applied(node->sm) > log.last) {
        err = ERR_CORRUPT;
        snprintf(message, STORAGE_MESSAGE_MAX,
                 "the state is newer (entry %" PRIu64 ") than the log (entry %" PRIu64
                 "): the log directory was lost or replaced",
                 statemachine_applied(node->sm), log.last);
    } else if (statemachine_applied(node->sm) < log.base) { /* B53 */
        err = ERR_CORRUPT;
        snprintf(message, STORAGE_MESSAGE_MAX,
                 "the log begins behind entry %" PRIu64 ", the state ends at entry %" PRIu64
                 ": the state directory was lost or replaced",
                 log.base, statemachine_applied(node->sm));
    } else {
        err = configs_boot(node, log.first, log.last, message);
        if (err == OK)
            start_raft(node, &log);
    }
    free(log.runs);
    return err;
}

/* So that peers learn each other's incarnation before the first election needs it. */
void node_say_hello(struct node *node)
{
    struct frame hello = { .type = FRAME_INFO, .request = 0 };
    for (uint32_t i = 0; i < node->n_peers; i++)
        outbox_frame(node, node->peers[i].id, LANE_CONTROL, false, &hello);
}

enum err node_new(const struct node_config *config, const struct node_host *host,
                  struct log_store *log, struct state_store *state,
                  struct snapshot_store *snapshots, struct network *network, struct node **out,
                  char *message)
{
    ASSERT(config->n_members <= MEMBERS_MAX);
    struct node *node = memory_new(sizeof *node);
    node->config = *config;
    node->host = *host;
    node->log = log;
    node->state = state;
    node->snapshots = snapshots;
    node->network = network;
    node->orphans_first = UINT64_MAX;
    TAILQ_INIT(&node->gathering);
    TAILQ_INIT(&node->proposed);
    TAILQ_INIT(&node->orphans);
    TAILQ_INIT(&node->forwarded);
    TAILQ_INIT(&node->infos);
    TAILQ_INIT(&node->changes);
    reads_init(node);
    /* Requests of an earlier life must not match answers to this one (B40): each life has a
     * random number, not 0, above the count. */
    node->next_request = (node->config.seed | 1) << 32;
    node->flushed_ms = node_now(node);

    enum err err = boot_stores(node, message);
    if (err != OK) {
        statemachine_free(node->sm);
        configs_fini(node);
        free(node);
        return err;
    }
    configs_start(node);
    digest_init(node);
    lost_load(node);
    node_say_hello(node);
    members_check_removed(node);
    log_info("started", "id=%016" PRIx64 " cluster=%016" PRIx64 " term=%" PRIu64
             " last_index=%" PRIu64 " applied=%" PRIu64 " members=%u",
             config->identity.id, config->identity.cluster, node->term, node->durable,
             statemachine_applied(node->sm), configs_current(node)->members.n);
    *out = node;
    return OK;
}

struct network_events node_network_events(struct node *node)
{
    return (struct network_events){ .on_body = inbox_body, .on_unreachable = inbox_unreachable,
                                    .on_unsent = forward_on_unsent,
                                    .on_refused = identity_refused, .arg = node };
}

/* ---- submitting */

void node_submit(struct node *node, struct op *op)
{
    switch (op->type) {
    case OP_WRITE:
        writes_submit(node, op);
        break;
    case OP_READ:
        reads_submit(node, op);
        break;
    case OP_INFO:
        info_submit(node, op);
        break;
    case OP_CHANGE:
    case OP_TRANSFER:
        change_submit(node, op);
        break;
    case OP_COPY:
        copy_submit(node, op);
        break;
    }
}

struct statemachine *node_statemachine(struct node *node)
{
    return node->sm;
}

void node_damaged(struct node *node, enum err err)
{
    if (node->host.damaged != NULL && (err == ERR_CORRUPT || err == ERR_IO))
        node->host.damaged(node->host.arg, err);
}

const struct identity *node_identity(const struct node *node)
{
    return &node->config.identity;
}

/* ---- the member's announcement goes through the log, like all that changes an answer */

static bool announced(struct node *node)
{
    struct member_info members[MEMBERS_MAX];
    uint32_t n = statemachine_members(node->sm, members);
    const struct identity *own = &node->config.identity;
    for (uint32_t i = 0; i < n; i++)
        if (members[i].id == own->id)
            return slice_equal(members[i].name, slice_text(own->name)) &&
                   slice_equal(members[i].raft_addr, slice_text(own->raft_addr)) &&
                   slice_equal(members[i].http_addr, slice_text(node->config.http_addr));
    return false;
}

static void announce_done(struct op *op)
{
    blob_unref(op->command);
    free(op);
}

static void pump_announce(struct node *node, uint64_t now_ms)
{
    if (now_ms < node->announce_ms || node->leader == 0 || node->stopping)
        return;
    node->announce_ms = now_ms + ANNOUNCE_RETRY_MS;
    if (announced(node)) {
        node->announce_ms = UINT64_MAX;
        return;
    }
    const struct identity *own = &node->config.identity;
    struct member_info member = { own->id, slice_text(own->name), slice_text(own->raft_addr),
                                  slice_text(node->config.http_addr) };
    struct op *op = memory_new(sizeof *op);
    *op = (struct op){ .type = OP_WRITE, .deadline_ms = now_ms + ANNOUNCE_RETRY_MS,
                       .command = command_encode_announce(&member), .done = announce_done };
    node_submit(node, op);
}

/* Who has no vote, and so does not campaign, finds the leader by calling; or learns from the answer
 * that it was removed. */
static void pump_hello(struct node *node, uint64_t now_ms)
{
    if (node->leader != 0 || now_ms < node->hello_ms || node->stopping ||
        configs_is_voter(node, node->config.identity.id))
        return;
    node->hello_ms = now_ms + HELLO_MS;
    node_say_hello(node);
}

/* ---- turns */

static void step_simple(struct node *node, struct raft_event *event)
{
    enum raft_status status = core_step(node, event, &(struct source){ 0 });
    ASSERT(status != RAFT_INVALID || event->type == RAFT_RECV);
}

static void pump_core(struct node *node, uint64_t now_ms)
{
    if (now_ms >= node->raft_deadline) {
        struct raft_event tick = { .type = RAFT_TICK };
        step_simple(node, &tick);
    }
    core_check_disk(node, now_ms);
    while (node->n_own > 0) {
        struct raft_msg msg = node->own[0];
        memmove(node->own, node->own + 1, --node->n_own * sizeof *node->own);
        struct raft_event event = { .type = RAFT_RECV, .recv.msg = &msg };
        step_simple(node, &event);
    }
    for (uint32_t i = 0; i < node->n_peers; i++) {
        struct peer *peer = &node->peers[i];
        if (peer->cut_short == 0)
            continue;
        struct raft_event event = { .type = RAFT_SENT, .sent = { peer->id, peer->cut_short } };
        peer->cut_short = 0;
        step_simple(node, &event);
    }
}

/* Of pages in use, not of the file, which never shrinks: so deletes end it. */
static void check_quota(struct node *node, uint64_t used)
{
    uint64_t quota = node->config.quota;
    bool reached = quota > 0 && used >= quota;
    if (reached && !node->at_quota)
        log_error("the quota is used up, writes are refused", "quota=%" PRIu64 " used=%" PRIu64,
                  quota, used);
    if (!reached && node->at_quota)
        log_info("the data is below the quota again", "quota=%" PRIu64 " used=%" PRIu64, quota, used);
    node->at_quota = reached;
}

/* What is on its way to the stores must fit too.  What is pending can take its size twice: the
 * pages that a flush replaces are free only after the next one.  The same holds of what
 * is being judged now. */
void node_check_space(struct node *node)
{
    struct log_stats log;
    struct state_stats state;
    node->log->ops->stats(node->log, &log);
    node->state->ops->stats(node->state, &state);
    uint64_t need = node->writes_bytes +
                    2 * (node->unchecked_bytes + statemachine_pending_bytes(node->sm));
    /* No room is none, also while nothing is on its way. */
    bool full = log.room_bytes <= need || state.room_bytes <= need;
    check_quota(node, state.used_bytes + need);
    if (full && !node->full)
        log_error("the storage is nearly full, writes are refused",
                  "log_room=%" PRIu64 " log_map=%" PRIu64 " state_room=%" PRIu64
                  " state_map=%" PRIu64 " needed=%" PRIu64,
                  log.room_bytes, log.map_bytes, state.room_bytes, state.map_bytes, need);
    if (!full && node->full)
        log_info("the storage has room again", "log_room=%" PRIu64 " state_room=%" PRIu64,
                 log.room_bytes, state.room_bytes);
    compact_look(node, &log, need);
    node->unchecked_bytes = 0;
    node->full = full;
    node->no_space = full || node->at_quota;
}

static void sweep(struct node *node, uint64_t now_ms)
{
    node->sweep_ms = now_ms + SWEEP_MS;
    writes_expire(node, now_ms);
    reads_expire(node, now_ms);
    info_expire(node, now_ms, false);
    change_expire(node, now_ms);
    configs_sweep(node, now_ms);
    if (now_ms >= node->space_ms) {
        node->space_ms = now_ms + SPACE_CHECK_MS;
        node_check_space(node);
    }
}

static void pump_stop(struct node *node, uint64_t now_ms)
{
    if (node->stopping && now_ms >= node->stop_deadline_ms && !node->out_of_time) {
        /* Each is told the truth, which may be that its fate is not known. */
        node->out_of_time = true;
        writes_fail_all(node);
        reads_fail_all(node);
        info_expire(node, 0, true);
        change_expire(node, UINT64_MAX);
        copy_out_of_time(node);
        return;
    }
    if (!node->stopping || node->transfer_asked || node->role != RAFT_LEADER || node_single(node) ||
        !TAILQ_EMPTY(&node->gathering))
        return;
    node->transfer_asked = true;
    struct raft_event event = { .type = RAFT_TRANSFER };
    step_simple(node, &event);
}

void node_run(struct node *node)
{
    uint64_t now_ms = node_now(node);
    pump_core(node, now_ms);
    apply_committed(node);
    if (now_ms >= node->sweep_ms)
        sweep(node, now_ms);
    digest_pump(node, now_ms);
    pump_announce(node, now_ms);
    compact_pump(node);
    install_pump(node);
    fetch_pump(node);
    send_pump(node);
    copy_pump(node);
    pump_hello(node, now_ms);
    change_pump(node, now_ms);
    members_policy(node, now_ms);
    writes_pump(node);
    reads_pump(node);
    pump_stop(node, now_ms);
    apply_pump_flush(node);
    compact_alone(node);
    if (node->n_own > 0)
        node_wake(node);
}

static bool waits_for_something(const struct node *node)
{
    return node->n_writes > 0 || node->n_reads > 0 || !TAILQ_EMPTY(&node->infos) ||
           node->n_changes > 0;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t node_deadline(const struct node *node)
{
    uint64_t due = earlier(node->raft_deadline, apply_flush_deadline(node));
    due = earlier(due, earlier(send_deadline(node), fetch_deadline(node)));
    if (node->n_flights > 0 && !node->disk_stalled)
        due = earlier(due, node->flights[node->flight_head].since_ms +
                               node->config.election_max_ms);
    bool lazy = !waits_for_something(node) && node->space_ms > node->sweep_ms;
    due = earlier(due, lazy ? node->space_ms : node->sweep_ms);
    due = earlier(due, digest_deadline(node));
    due = earlier(due, members_deadline(node));
    if (node->stopping) /* it does not announce itself any more */
        return node->out_of_time ? due : earlier(due, node->stop_deadline_ms);
    if (node->leader != 0)
        due = earlier(due, node->announce_ms);
    else if (!configs_is_voter(node, node->config.identity.id))
        due = earlier(due, node->hello_ms);
    return due;
}

/* ---- completions */

static void log_done(void *arg, struct log_job *job)
{
    struct node *node = arg;
    core_log_done(node, job);
    compact_done(node, job);
    if (job->n_meta > 0) {
        identity_saved(node, job);
        lost_saved(node, job);
    }
    log_job_free(job);
}

static void state_done(void *arg, struct state_job *job)
{
    apply_flush_done(arg, job);
}

static void snapshot_done(void *arg, struct snapshot_job *job)
{
    if (copy_done(arg, job))
        node_wake(arg);
    else if (job->type <= SNAPSHOT_DROP)
        send_done(arg, job);
    else
        fetch_done(arg, job);
}

void node_on_storage(struct node *node)
{
    node->log->ops->drain(node->log, log_done, node);
    outbox_release(node);
    node->state->ops->drain(node->state, state_done, node);
    if (node->snapshots != NULL)
        node->snapshots->ops->drain(node->snapshots, snapshot_done, node);
    node_wake(node);
}

/* ---- the end */

void node_stop(struct node *node, uint32_t timeout_ms)
{
    node->stopping = true;
    node->stop_deadline_ms = node_now(node) + timeout_ms;
    node->lease_until_ms = 0;
    node_wake(node);
}

bool node_stopped(const struct node *node)
{
    if (!node->stopping)
        return false;
    if (node_now(node) >= node->stop_deadline_ms)
        return true;
    bool leads = node->role == RAFT_LEADER && !node_single(node);
    return !leads && !waits_for_something(node) &&
           statemachine_applied(node->sm) == statemachine_durable(node->sm) &&
           !statemachine_urgent(node->sm);
}

void node_free(struct node *node)
{
    if (node == NULL)
        return;
    node->stopping = true;
    writes_fail_all(node);
    reads_fail_all(node);
    info_expire(node, 0, true);
    change_expire(node, UINT64_MAX);
    tail_fini(&node->tail);
    copy_fini(node);
    send_fini(node);
    fetch_fini(node);
    configs_fini(node);
    statemachine_free(node->sm);
    free(node->raft);
    free(node);
}
