/* snapshot_send.c - gives snapshots to followers that ask: copies of the state are made, read part
 * by part, and dropped when nobody reads them any more.
 *
 * All file work is the snapshot store's thread's; here are only books.  A token bucket holds the
 * rate down, so that clients hardly notice. */
#include "node_private.h"

#include <inttypes.h>

static uint64_t idle_ms(const struct node *node)
{
    return SEND_IDLE_TIMEOUTS * (uint64_t)node->config.election_max_ms;
}

/* ---- answers */

static void tell_later(struct node *node, raft_id to, uint64_t request)
{
    struct frame frame = { .type = FRAME_SNAPSHOT_OPEN_REPLY, .request = request };
    frame.snapshot_open_reply.wait_ms = SEND_LATER_MS;
    outbox_frame(node, to, LANE_CONTROL, true, &frame);
}

static void tell_opened(struct node *node, struct snapshot_reader *reader)
{
    const struct snapshot_info *info = &reader->copy->info;
    struct frame frame = { .type = FRAME_SNAPSHOT_OPEN_REPLY, .request = reader->request };
    frame.snapshot_open_reply.file = reader->copy->file;
    frame.snapshot_open_reply.index = info->index;
    frame.snapshot_open_reply.term = info->term;
    frame.snapshot_open_reply.revision = info->revision;
    frame.snapshot_open_reply.keys = info->keys;
    frame.snapshot_open_reply.digest = info->digest;
    frame.snapshot_open_reply.size = info->size;
    frame.snapshot_open_reply.checksum = info->checksum;
    if (reader->copy->configuration != NULL)
        frame.snapshot_open_reply.configuration = blob_slice(reader->copy->configuration);
    outbox_frame(node, reader->id, LANE_CONTROL, true, &frame);
    reader->opening = false;
    reader->whole = false;
    reader->copy->used_ms = reader->heard_ms = reader->begun_ms = node_now(node);
    log_info("sends a snapshot", "to=%016" PRIx64 " index=%" PRIu64 " bytes=%" PRIu64, reader->id,
             info->index, info->size);
}

static void tell_gone(struct node *node, raft_id to, uint64_t request, uint64_t file)
{
    struct frame frame = { .type = FRAME_SNAPSHOT_PART, .request = request };
    frame.snapshot_part.file = file;
    outbox_frame(node, to, LANE_BULK, false, &frame);
}

/* ---- copies and readers */

static uint32_t readers_of(const struct node *node, const struct snapshot_copy *copy)
{
    uint32_t n = 0;
    for (int i = 0; i < SEND_READERS_MAX; i++)
        n += node->sender.readers[i].id != 0 && node->sender.readers[i].copy == copy;
    return n;
}

static bool parts_out(const struct node *node, const struct snapshot_copy *copy)
{
    for (int i = 0; i < SEND_READS_MAX; i++)
        if (node->sender.parts[i].out && node->sender.parts[i].job.file == copy->file)
            return true;
    return false;
}

static struct snapshot_reader *reader_of(struct node *node, raft_id id)
{
    for (int i = 0; i < SEND_READERS_MAX; i++)
        if (node->sender.readers[i].id == id)
            return &node->sender.readers[i];
    return NULL;
}

static void drop(struct node *node, struct snapshot_copy *copy)
{
    ASSERT(copy->state == COPY_READY);
    copy->state = COPY_DROPPING;
    copy->job = (struct snapshot_job){ .type = SNAPSHOT_DROP, .file = copy->file, .user = copy };
    node->snapshots->ops->submit(node->snapshots, &copy->job);
}

static void make(struct node *node, struct snapshot_copy *copy)
{
    *copy = (struct snapshot_copy){ .state = COPY_MAKING, .used_ms = node_now(node) };
    copy->info.index = statemachine_durable(node->sm); /* it will hold that, or more */
    copy->job = (struct snapshot_job){ .type = SNAPSHOT_COPY, .user = copy };
    node->snapshots->ops->submit(node->snapshots, &copy->job);
}

/* A copy is of use as long as the log goes on where it ends. */
static bool is_fresh(const struct node *node, const struct snapshot_copy *copy, raft_index applied)
{
    return copy->state == COPY_READY && !copy->damaged &&
           copy->info.index + 1 >= raft_first_index(node->raft) && copy->info.index > applied;
}

/* Ready, or under way; NULL: there is no place for one now. */
static struct snapshot_copy *choose_copy(struct node *node, raft_index applied)
{
    struct snapshot_copy *copies = node->sender.copies, *place = NULL;
    for (int i = 0; i < SEND_COPIES_MAX; i++)
        if (is_fresh(node, &copies[i], applied))
            return &copies[i];
    for (int i = 0; i < SEND_COPIES_MAX; i++)
        if (copies[i].state == COPY_MAKING)
            return &copies[i];
    for (int i = 0; i < SEND_COPIES_MAX; i++) {
        if (copies[i].state == COPY_NONE)
            place = &copies[i];
        else if (copies[i].state == COPY_READY && readers_of(node, &copies[i]) == 0 &&
                 !parts_out(node, &copies[i]))
            drop(node, &copies[i]); /* the next question finds its place free */
    }
    if (statemachine_durable(node->sm) == 0) /* it holds the first configuration alone */
        return NULL;
    if (place != NULL)
        make(node, place);
    return place;
}

static struct snapshot_reader *reader_for(struct node *node, raft_id id)
{
    struct snapshot_reader *reader = reader_of(node, id);
    if (reader == NULL)
        reader = reader_of(node, 0);
    if (reader != NULL)
        *reader = (struct snapshot_reader){ 0 };
    return reader;
}

void send_on_open(struct node *node, raft_id from, const struct frame *frame)
{
    if (node->snapshots == NULL || node->stopping || digest_doubted(node))
        return;
    struct snapshot_reader *reader = reader_of(node, from);
    if (reader != NULL && reader->opening) { /* asks again while its copy is being made */
        reader->request = frame->request;
        reader->heard_ms = node_now(node);
        return;
    }
    for (int i = 0; i < SEND_COPIES_MAX; i++)
        if (node->sender.copies[i].state == COPY_READY && frame->snapshot_open.damaged != 0 &&
            node->sender.copies[i].info.checksum == frame->snapshot_open.damaged)
            node->sender.copies[i].damaged = true;
    reader = reader_for(node, from);
    struct snapshot_copy *copy = NULL;
    if (reader != NULL)
        copy = choose_copy(node, frame->snapshot_open.applied);
    if (copy == NULL) {
        tell_later(node, from, frame->request);
        return;
    }
    *reader = (struct snapshot_reader){ .id = from, .copy = copy, .opening = true,
                                        .request = frame->request, .heard_ms = node_now(node) };
    if (copy->state == COPY_READY)
        tell_opened(node, reader);
}

void send_on_read(struct node *node, raft_id from, const struct frame *frame)
{
    struct snapshot_reader *reader = from != 0 ? reader_of(node, from) : NULL;
    uint64_t file = frame->snapshot_read.file;
    if (reader == NULL || reader->opening || reader->copy->file != file ||
        frame->snapshot_read.offset >= reader->copy->info.size) {
        if (node->snapshots != NULL)
            tell_gone(node, from, frame->request, file);
        return;
    }
    reader->heard_ms = reader->copy->used_ms = node_now(node);
    for (uint32_t i = 0; i < reader->n_waiting; i++)
        if (reader->waiting[i].offset == frame->snapshot_read.offset)
            return;
    if (reader->n_waiting == SEND_WAITING_MAX)
        return;
    reader->waiting[reader->n_waiting++] =
        (struct part_wanted){ frame->request, frame->snapshot_read.offset, frame->snapshot_read.size };
    node_wake(node);
}

/* ---- parts */

static void refill(struct node *node, uint64_t now)
{
    struct sender *s = &node->sender;
    uint64_t rate = node->config.snapshot_rate;
    int64_t most = (int64_t)(rate / 8 > SNAPSHOT_PART_MAX ? rate / 8 : SNAPSHOT_PART_MAX);
    uint64_t ms = now - s->tokens_ms < 1000 ? now - s->tokens_ms : 1000;
    uint64_t more = rate * ms / 1000;
    if (rate == 0)
        s->tokens = INT64_MAX;
    else if (ms == 1000)
        s->tokens = most;
    else if (more == 0)
        return; /* the rest of a millisecond is not lost */
    else
        s->tokens = s->tokens + (int64_t)more < most ? s->tokens + (int64_t)more : most;
    s->tokens_ms = now;
}

static struct part_job *free_part(struct node *node)
{
    for (int i = 0; i < SEND_READS_MAX; i++)
        if (!node->sender.parts[i].out)
            return &node->sender.parts[i];
    return NULL;
}

static struct snapshot_reader *next_reader(struct node *node)
{
    struct sender *s = &node->sender;
    for (int i = 0; i < SEND_READERS_MAX; i++) {
        struct snapshot_reader *reader = &s->readers[(s->turn + (uint32_t)i) % SEND_READERS_MAX];
        if (reader->id == 0 || reader->n_waiting == 0)
            continue;
        s->turn = (s->turn + (uint32_t)i + 1) % SEND_READERS_MAX;
        return reader;
    }
    return NULL;
}

static void read_part(struct node *node, struct part_job *part, struct snapshot_reader *reader)
{
    const struct part_wanted wanted = reader->waiting[0];
    memmove(reader->waiting, reader->waiting + 1, --reader->n_waiting * sizeof wanted);
    uint64_t left = reader->copy->info.size - wanted.offset;
    *part = (struct part_job){ .out = true, .to = reader->id, .request = wanted.request,
                               .total = reader->copy->info.size };
    part->job = (struct snapshot_job){ .type = SNAPSHOT_READ, .file = reader->copy->file,
                                       .offset = wanted.offset, .user = part,
                                       .size = wanted.size < left ? wanted.size : (size_t)left };
    node->sender.tokens -= (int64_t)part->job.size;
    node->snapshots->ops->submit(node->snapshots, &part->job);
}

static void send_part(struct node *node, struct part_job *part)
{
    struct snapshot_job *job = &part->job;
    part->out = false;
    struct snapshot_reader *reader = reader_of(node, part->to);
    if (job->err == OK) {
        struct frame frame = { .type = FRAME_SNAPSHOT_PART, .request = part->request };
        frame.snapshot_part.file = job->file;
        frame.snapshot_part.offset = job->offset;
        frame.snapshot_part.total = part->total;
        frame.snapshot_part.bytes = blob_slice(job->bytes);
        outbox_frame(node, part->to, LANE_BULK, false, &frame);
        node->stats.snapshot_parts_out++;
        node->stats.snapshot_bytes_out += job->size;
        if (reader != NULL && !reader->opening && reader->copy->file == job->file &&
            job->offset + job->size == part->total && !reader->whole) {
            reader->whole = true;
            node->stats.snapshots_sent++;
            log_info("sent a snapshot", "to=%016" PRIx64 " index=%" PRIu64 " bytes=%" PRIu64
                     " ms=%" PRIu64, part->to, reader->copy->info.index, part->total,
                     node_now(node) - reader->begun_ms);
        }
    } else {
        log_warn("a snapshot cannot be read", "err=%s", err_name(job->err));
        if (reader != NULL && reader->copy->file == job->file)
            reader->copy->damaged = true;
        tell_gone(node, part->to, part->request, job->file);
    }
    blob_unref(job->bytes);
    job->bytes = NULL;
}

/* ---- completions */

/* The configuration as of the copy's index.  False: it has changed since. */
static bool take_configuration(struct node *node, struct snapshot_copy *copy)
{
    struct configuration configuration;
    raft_index index;
    if (!statemachine_configuration(node->sm, &configuration, &index))
        return true;
    if (index > copy->info.index)
        return false;
    copy->configuration = configuration_encode(&configuration);
    return true;
}

static void on_copied(struct node *node, struct snapshot_copy *copy)
{
    const struct snapshot_job *job = &copy->job;
    copy->state = job->err == OK ? COPY_READY : COPY_NONE;
    copy->file = job->file;
    copy->info = job->info;
    copy->used_ms = node_now(node);
    copy->damaged = job->err == OK && !take_configuration(node, copy);
    node->stats.snapshot_copies += job->err == OK;
    if (job->err != OK)
        log_warn("the state could not be copied for a follower", "err=%s", err_name(job->err));
    for (int i = 0; i < SEND_READERS_MAX; i++) {
        struct snapshot_reader *reader = &node->sender.readers[i];
        if (reader->id == 0 || reader->copy != copy)
            continue;
        if (job->err == OK && !copy->damaged) {
            tell_opened(node, reader);
        } else {
            tell_later(node, reader->id, reader->request);
            *reader = (struct snapshot_reader){ 0 };
        }
    }
}

void send_done(struct node *node, struct snapshot_job *job)
{
    struct snapshot_copy *copy = job->user;
    switch (job->type) {
    case SNAPSHOT_COPY:
        on_copied(node, copy);
        break;
    case SNAPSHOT_DROP:
        blob_unref(copy->configuration);
        *copy = (struct snapshot_copy){ 0 };
        break;
    default:
        send_part(node, job->user);
    }
    node_wake(node);
}

/* ---- turns */

static bool has_caught_up(const struct node *node, const struct snapshot_reader *reader)
{
    struct raft_progress progress;
    return !reader->opening && core_progress(node, reader->id, &progress) &&
           progress.match >= reader->copy->info.index;
}

/* Who was removed in the middle must not keep a place for its whole patience. */
static bool has_left(const struct node *node, const struct snapshot_reader *reader)
{
    const struct configuration *now = configs_current(node);
    return now != NULL && configuration_place(now, reader->id) < 0;
}

static void sweep(struct node *node, uint64_t now)
{
    struct sender *s = &node->sender;
    for (int i = 0; i < SEND_READERS_MAX; i++) {
        struct snapshot_reader *reader = &s->readers[i];
        if (reader->id != 0 &&
            ((!reader->opening && now >= reader->heard_ms + idle_ms(node)) || has_caught_up(node, reader) ||
             (!reader->opening && has_left(node, reader))))
            *reader = (struct snapshot_reader){ 0 };
    }
    for (int i = 0; i < SEND_COPIES_MAX; i++) {
        struct snapshot_copy *copy = &s->copies[i];
        if (copy->state == COPY_READY && readers_of(node, copy) == 0 && !parts_out(node, copy) &&
            (copy->damaged || now >= copy->used_ms + idle_ms(node)))
            drop(node, copy);
    }
}

static bool any_in_use(const struct node *node)
{
    for (int i = 0; i < SEND_COPIES_MAX; i++)
        if (node->sender.copies[i].state != COPY_NONE)
            return true;
    return false;
}

void send_pump(struct node *node)
{
    if (!any_in_use(node))
        return;
    uint64_t now = node_now(node);
    if (now >= node->sender.sweep_ms) {
        node->sender.sweep_ms = now + idle_ms(node) / 8;
        sweep(node, now);
    }
    refill(node, now);
    struct part_job *part;
    struct snapshot_reader *reader;
    while (node->sender.tokens > 0 && (part = free_part(node)) != NULL &&
           (reader = next_reader(node)) != NULL)
        read_part(node, part, reader);
}

uint64_t send_deadline(const struct node *node)
{
    const struct sender *s = &node->sender;
    if (!any_in_use(node))
        return UINT64_MAX;
    bool waiting = false, free = false;
    for (int i = 0; i < SEND_READERS_MAX; i++)
        waiting = waiting || s->readers[i].n_waiting > 0;
    for (int i = 0; i < SEND_READS_MAX; i++)
        free = free || !s->parts[i].out;
    if (!waiting || !free || s->tokens > 0)
        return s->sweep_ms;
    uint64_t due = s->tokens_ms + 1 + (uint64_t)-s->tokens * 1000 / node->config.snapshot_rate;
    return due < s->sweep_ms ? due : s->sweep_ms;
}

raft_index send_oldest(const struct node *node, uint64_t *size)
{
    raft_index oldest = UINT64_MAX;
    *size = 0;
    for (int i = 0; i < SEND_READERS_MAX; i++) {
        const struct snapshot_reader *reader = &node->sender.readers[i];
        if (reader->id == 0 || reader->copy->info.index >= oldest)
            continue;
        oldest = reader->copy->info.index;
        *size = reader->copy->info.size;
    }
    return oldest;
}

void send_fini(struct node *node)
{
    for (int i = 0; i < SEND_COPIES_MAX; i++)
        blob_unref(node->sender.copies[i].configuration);
}
