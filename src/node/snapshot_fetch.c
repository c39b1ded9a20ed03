/* snapshot_fetch.c - a follower whose entries the leader no longer has fetches the leader's state.
 *
 * It opens a snapshot, pulls it part by part into the snapshot store, has it verified, and tells
 * the core.  What happens then is snapshot_install.c's.  Until then the old state serves on.  One
 * fetch at a time; whatever goes wrong, it starts anew a little later, and the store keeps what
 * is here of the very same file (B54, B55). */
#include "node_private.h"

#include <inttypes.h>

static uint64_t timeouts(const struct node *node, uint32_t n)
{
    return n * (uint64_t)node->config.election_max_ms;
}

static uint32_t part_size(const struct node *node)
{
    return node->config.snapshot_part > 0 ? node->config.snapshot_part : FETCH_PART;
}

/* ---- giving up and starting anew */

static void forget_window(struct fetch *fetch)
{
    for (int i = 0; i < FETCH_WINDOW; i++)
        blob_unref(fetch->window[i].bytes);
    memset(fetch->window, 0, sizeof fetch->window);
}

void fetch_reset(struct node *node)
{
    forget_window(&node->fetch);
    node->fetch.phase = FETCH_IDLE;
    node->fetch.request = node->fetch.file = 0;
}

static void rest(struct node *node)
{
    struct fetch *fetch = &node->fetch;
    fetch_reset(node);
    uint64_t ms = fetch->rest_ms > 0 ? 2 * fetch->rest_ms : FETCH_REST_MIN_MS;
    uint64_t most = timeouts(node, FETCH_REST_MAX_TIMEOUTS);
    fetch->rest_ms = ms < most ? ms : most;
    fetch->next_ms = node_now(node) + fetch->rest_ms;
}

static void ask_open(struct node *node)
{
    struct fetch *fetch = &node->fetch;
    if (node->leader != 0 && node->leader != node->config.identity.id)
        fetch->from = node->leader;
    fetch->request = ++node->next_request;
    fetch->asked_ms = node_now(node);
    struct frame frame = { .type = FRAME_SNAPSHOT_OPEN, .request = fetch->request };
    frame.snapshot_open.applied = statemachine_applied(node->sm);
    frame.snapshot_open.damaged = fetch->damaged;
    outbox_frame(node, fetch->from, LANE_CONTROL, false, &frame);
}

static void open_anew(struct node *node)
{
    struct fetch *fetch = &node->fetch;
    fetch_reset(node);
    fetch->phase = FETCH_OPENING;
    fetch->moved_ms = node_now(node);
    ask_open(node);
}

void fetch_wanted(struct node *node, raft_id leader)
{
    struct fetch *fetch = &node->fetch;
    uint64_t now = node_now(node);
    if (node->snapshots == NULL || leader == 0 || leader == node->config.identity.id)
        return;
    fetch->wanted_ms = now;
    if (fetch->phase != FETCH_IDLE || fetch->job_out || now < fetch->next_ms)
        return;
    fetch->from = leader;
    fetch->begun_ms = now;
    log_info("needs a snapshot", "leader=%016" PRIx64 " applied=%" PRIu64, leader,
             statemachine_applied(node->sm));
    open_anew(node);
}

/* ---- the store */

static void submit(struct node *node, struct snapshot_job job)
{
    struct fetch *fetch = &node->fetch;
    ASSERT(!fetch->job_out);
    fetch->job = job;
    fetch->job_out = true;
    node->snapshots->ops->submit(node->snapshots, &fetch->job);
}

static void write_next(struct node *node)
{
    struct fetch *fetch = &node->fetch;
    if (fetch->phase != FETCH_READING || fetch->job_out)
        return;
    if (fetch->stored == fetch->info.size) {
        fetch->phase = FETCH_VERIFYING;
        fetch->asked_ms = node_now(node);
        submit(node, (struct snapshot_job){ .type = SNAPSHOT_VERIFY, .info = fetch->info });
        return;
    }
    for (int i = 0; i < FETCH_WINDOW; i++) {
        struct fetch_slot *slot = &fetch->window[i];
        if (!slot->used || slot->bytes == NULL || slot->offset != fetch->stored)
            continue;
        submit(node, (struct snapshot_job){ .type = SNAPSHOT_WRITE, .info = fetch->info,
                                            .offset = slot->offset, .size = slot->size,
                                            .bytes = slot->bytes });
        *slot = (struct fetch_slot){ 0 }; /* the reference is the job's now */
        return;
    }
}

/* ---- questions and answers */

static void ask_part(struct node *node, struct fetch_slot *slot)
{
    struct fetch *fetch = &node->fetch;
    struct frame frame = { .type = FRAME_SNAPSHOT_READ, .request = ++node->next_request };
    frame.snapshot_read.file = fetch->file;
    frame.snapshot_read.offset = slot->offset;
    frame.snapshot_read.size = slot->size;
    slot->asked_ms = fetch->asked_ms = node_now(node);
    outbox_frame(node, fetch->from, LANE_BULK, true, &frame); /* rides back in the part's exchange */
}

static void ask_parts(struct node *node)
{
    struct fetch *fetch = &node->fetch;
    uint64_t now = node_now(node), late = timeouts(node, FETCH_ASK_TIMEOUTS);
    for (int i = 0; i < FETCH_WINDOW; i++) {
        struct fetch_slot *slot = &fetch->window[i];
        if (slot->used && slot->bytes == NULL && now >= slot->asked_ms + late) {
            node->stats.snapshot_parts_repeated++;
            ask_part(node, slot);
        }
        if (slot->used || fetch->asked == fetch->info.size)
            continue;
        uint64_t left = fetch->info.size - fetch->asked;
        *slot = (struct fetch_slot){ .used = true, .offset = fetch->asked,
                                     .size = left < part_size(node) ? (uint32_t)left
                                                                    : part_size(node) };
        fetch->asked += slot->size;
        ask_part(node, slot);
    }
}

void fetch_on_open_reply(struct node *node, raft_id from, const struct frame *frame)
{
    struct fetch *fetch = &node->fetch;
    if (fetch->phase != FETCH_OPENING || fetch->from != from || frame->request != fetch->request ||
        fetch->job_out)
        return;
    uint64_t now = node_now(node);
    if (frame->snapshot_open_reply.file == 0) {
        /* Asked again when its time has come: as if the question had left so much later. */
        uint32_t wait = frame->snapshot_open_reply.wait_ms;
        uint64_t late = timeouts(node, FETCH_ASK_TIMEOUTS);
        fetch->moved_ms = now;
        fetch->asked_ms = wait < late ? now - (late - wait) : now;
        return;
    }
    if (frame->snapshot_open_reply.index <= statemachine_applied(node->sm)) {
        rest(node);
        return;
    }
    struct slice bytes = frame->snapshot_open_reply.configuration;
    fetch->members_told = bytes.size > 0;
    if (fetch->members_told && configuration_decode(bytes, &fetch->configuration) != OK) {
        rest(node);
        return;
    }
    fetch->file = frame->snapshot_open_reply.file;
    fetch->info = (struct snapshot_info){ .index = frame->snapshot_open_reply.index,
                                          .term = frame->snapshot_open_reply.term,
                                          .revision = frame->snapshot_open_reply.revision,
                                          .keys = frame->snapshot_open_reply.keys,
                                          .digest = frame->snapshot_open_reply.digest,
                                          .size = frame->snapshot_open_reply.size,
                                          .checksum = frame->snapshot_open_reply.checksum };
    fetch->phase = FETCH_BEGINNING;
    fetch->moved_ms = now;
    submit(node, (struct snapshot_job){ .type = SNAPSHOT_BEGIN, .info = fetch->info });
}

void fetch_on_part(struct node *node, raft_id from, const struct frame *frame)
{
    struct fetch *fetch = &node->fetch;
    if (fetch->phase != FETCH_READING || fetch->from != from ||
        frame->snapshot_part.file != fetch->file)
        return;
    struct slice bytes = frame->snapshot_part.bytes;
    if (bytes.size == 0) { /* its sender has dropped it, or has started anew */
        open_anew(node);
        return;
    }
    for (int i = 0; i < FETCH_WINDOW; i++) {
        struct fetch_slot *slot = &fetch->window[i];
        if (!slot->used || slot->bytes != NULL || slot->offset != frame->snapshot_part.offset ||
            slot->size != bytes.size || frame->snapshot_part.total != fetch->info.size)
            continue;
        slot->bytes = blob_copy(bytes);
        fetch->moved_ms = node_now(node);
        node->stats.snapshot_parts_in++;
        node->stats.snapshot_bytes_in += bytes.size;
        write_next(node);
        return;
    }
}

/* ---- completions */

static void on_begun(struct node *node, const struct snapshot_job *job)
{
    struct fetch *fetch = &node->fetch;
    if (job->err != OK || job->offset > fetch->info.size) {
        log_warn("a snapshot cannot be stored", "err=%s", err_name(job->err));
        rest(node);
        return;
    }
    node->stats.snapshots_resumed += job->offset > 0;
    log_info("fetches a snapshot", "from=%016" PRIx64 " index=%" PRIu64 " bytes=%" PRIu64
             " already_here=%" PRIu64, fetch->from, fetch->info.index, fetch->info.size, job->offset);
    fetch->phase = FETCH_READING;
    fetch->stored = fetch->asked = job->offset;
    fetch->moved_ms = node_now(node);
    if (fetch->stored < fetch->info.size)
        ask_parts(node);
    write_next(node);
}

static void on_written(struct node *node, const struct snapshot_job *job)
{
    struct fetch *fetch = &node->fetch;
    if (job->err != OK) {
        log_warn("a part of a snapshot cannot be stored", "err=%s", err_name(job->err));
        rest(node);
        return;
    }
    fetch->stored += job->size;
    ask_parts(node);
    write_next(node);
}

static void on_verified(struct node *node, const struct snapshot_job *job)
{
    struct fetch *fetch = &node->fetch;
    if (job->err == OK) {
        install_verified(node);
        return;
    }
    log_error("a fetched snapshot is damaged and was dropped", "from=%016" PRIx64 " index=%" PRIu64
              " err=%s", fetch->from, fetch->info.index, err_name(job->err));
    node->stats.snapshots_damaged++;
    if (job->err == ERR_CORRUPT)
        fetch->damaged = fetch->info.checksum;
    rest(node);
}

void fetch_done(struct node *node, struct snapshot_job *job)
{
    struct fetch *fetch = &node->fetch;
    ASSERT(job == &fetch->job && fetch->job_out);
    fetch->job_out = false;
    node_wake(node);
    /* It may have been given up while the store was busy with it. */
    if (job->type == SNAPSHOT_BEGIN && fetch->phase == FETCH_BEGINNING)
        on_begun(node, job);
    else if (job->type == SNAPSHOT_WRITE && fetch->phase == FETCH_READING &&
             job->offset == fetch->stored)
        on_written(node, job);
    else if (job->type == SNAPSHOT_VERIFY && fetch->phase == FETCH_VERIFYING)
        on_verified(node, job);
}

void fetch_drop(struct node *node)
{
    rest(node);
    if (!node->fetch.job_out)
        submit(node, (struct snapshot_job){ .type = SNAPSHOT_ABORT });
}

/* ---- turns */

/* A byte now and then, so that the sender keeps the entries behind the snapshot. */
static void stay_in_touch(struct node *node, uint64_t now)
{
    struct fetch *fetch = &node->fetch;
    if (now < fetch->asked_ms + timeouts(node, FETCH_ASK_TIMEOUTS))
        return;
    struct fetch_slot byte = { .used = true, .size = 1 };
    ask_part(node, &byte);
}

static bool is_needless(const struct node *node, uint64_t now)
{
    const struct fetch *fetch = &node->fetch;
    return node->role == RAFT_LEADER ||
           (fetch->phase == FETCH_READING && fetch->info.index <= node->commit) ||
           (fetch->phase == FETCH_OPENING &&
            now >= fetch->wanted_ms + timeouts(node, FETCH_UNWANTED_TIMEOUTS));
}

static uint64_t patience(const struct node *node)
{
    bool left = node->leader != 0 && node->leader != node->fetch.from;
    return timeouts(node, left ? FETCH_LEFT_TIMEOUTS : FETCH_LOST_TIMEOUTS);
}

void fetch_pump(struct node *node)
{
    struct fetch *fetch = &node->fetch;
    uint64_t now = node_now(node);
    if (fetch->phase == FETCH_VERIFYING || fetch->phase >= FETCH_SAVING) {
        stay_in_touch(node, now);
        return;
    }
    if ((fetch->phase != FETCH_OPENING && fetch->phase != FETCH_READING) || node->stopping)
        return;
    if (is_needless(node, now)) {
        log_info("no longer needs a snapshot", "applied=%" PRIu64, statemachine_applied(node->sm));
        fetch_reset(node);
    } else if (now >= fetch->moved_ms + patience(node)) {
        open_anew(node);
    } else if (fetch->phase == FETCH_READING) {
        ask_parts(node);
    } else if (now >= fetch->asked_ms + timeouts(node, FETCH_ASK_TIMEOUTS)) {
        ask_open(node);
    }
}

uint64_t fetch_deadline(const struct node *node)
{
    const struct fetch *fetch = &node->fetch;
    uint64_t late = timeouts(node, FETCH_ASK_TIMEOUTS);
    if (fetch->phase == FETCH_IDLE || fetch->phase == FETCH_BEGINNING || node->stopping)
        return UINT64_MAX;
    if (fetch->phase != FETCH_READING)
        return fetch->asked_ms + late;
    uint64_t due = fetch->moved_ms + patience(node);
    for (int i = 0; i < FETCH_WINDOW; i++) {
        const struct fetch_slot *slot = &fetch->window[i];
        if (slot->used && slot->bytes == NULL && slot->asked_ms + late < due)
            due = slot->asked_ms + late;
    }
    return due;
}

void fetch_fini(struct node *node)
{
    forget_window(&node->fetch); /* what a job holds was the store's to drop */
}
