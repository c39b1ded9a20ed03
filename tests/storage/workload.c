/* workload.c - see workload.h.  Job number n depends on the seed, n and the jobs before it. */
#include "workload.h"
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { BURST = 3, JOBS_PER_FLUSH = 4 };

/* ---- the log's jobs */

static size_t payload_size(uint64_t random)
{
    if (random % 16 == 0)
        return 5000 + random % 9000; /* pages of its own */
    return random % 300;
}

static struct log_job *put_entries(struct log_model *model, raft_index first, uint32_t n,
                                   uint64_t *random)
{
    struct log_job *job = log_job_new(n, 0);
    job->first = first;
    for (uint32_t i = 0; i < n; i++) {
        size_t size = payload_size(crash_random(random));
        model->entries[first + i].term = model->term;
        model->entries[first + i].size = size;
        job->entries[i].owner = entry_bytes(first + i, model->term, size);
        job->entries[i].record = blob_slice(job->entries[i].owner);
    }
    model->last = first + n - 1;
    return job;
}

/* Makes job number `n` and moves the model on by it. */
static struct log_job *next_job(struct log_model *model, uint64_t seed, unsigned n)
{
    uint64_t random = seed * 1000003 + n;
    uint64_t what = crash_random(&random) % 8, some = crash_random(&random);
    uint32_t count = (uint32_t)(1 + some % 8);
    struct log_job *job;
    bool vote = what < 2 || model->term == 0;
    if (vote) { /* terms never fall, and a vote belongs to its term */
        model->term += 1 + some % 3;
        model->vote = some | 1;
    }
    raft_index cut = model->last > 0 ? model->last - some % (model->last < 12 ? model->last : 12)
                                     : 1;
    if (what == 0) {
        job = log_job_new(0, 0);
    } else if (what == 2 || model->last + 8 >= WORKLOAD_ENTRIES_MAX) { /* a conflict */
        cut = model->last + 8 >= WORKLOAD_ENTRIES_MAX ? WORKLOAD_ENTRIES_MAX / 2 : cut;
        job = put_entries(model, cut, count, &random);
    } else if (what == 3 && model->last > 0) { /* erases only */
        job = put_entries(model, cut, 0, &random);
    } else {
        job = put_entries(model, model->last + 1, count, &random);
    }
    job->ticket = n;
    job->save_vote = vote;
    job->term = model->term;
    job->vote = model->vote;
    if (n % 5 == 0) {
        model->mark = n;
        job->n_meta = 1;
        job->meta = memory_new_array(1, sizeof *job->meta);
        snprintf(job->meta[0].key, META_KEY_MAX, "mark");
        snprintf(job->meta[0].text, META_TEXT_MAX, "%u", n);
    }
    return job;
}

/* ---- the state's */

struct flush {
    struct state_job job;
    unsigned number;
    struct state_change changes[WORKLOAD_KEYS + 1];
    char applied[16], keys[WORKLOAD_KEYS][8];
    unsigned char *values[WORKLOAD_KEYS];
};

static void flush_free(struct flush *flush)
{
    for (unsigned i = 0; i < WORKLOAD_KEYS; i++)
        free(flush->values[i]);
    free(flush);
}

static struct flush *next_flush(struct state_model *model, uint64_t seed, unsigned n)
{
    uint64_t random = seed * 7777777 + n;
    struct flush *flush = memory_new(sizeof *flush);
    flush->number = n;
    snprintf(flush->applied, sizeof flush->applied, "%u", n);
    flush->changes[0] = set_text(TABLE_META, "applied", flush->applied);
    size_t used = 1;
    for (unsigned i = 0; i < WORKLOAD_KEYS; i++) {
        uint64_t what = crash_random(&random) % 4;
        if (what < 2)
            continue;
        struct state_change *change = &flush->changes[used++];
        snprintf(flush->keys[i], sizeof flush->keys[i], "k%02u", i);
        change->table = TABLE_KV;
        change->key = slice_text(flush->keys[i]);
        model->keys[i].flush = what == 2 ? 0 : n;
        model->keys[i].size = payload_size(crash_random(&random));
        if (what == 2)
            continue;
        flush->values[i] = memory_new(model->keys[i].size + 1);
        memset(flush->values[i], (int)(n & 0xff), model->keys[i].size);
        change->value = slice_of(flush->values[i], model->keys[i].size);
    }
    flush->job.changes = flush->changes;
    flush->job.n = used;
    flush->job.owner = flush;
    return flush;
}

/* ---- the child */

static int wake_fd;

static void on_wake(void *arg)
{
    uint64_t one = 1;
    (void)arg;
    crash_require(write(wake_fd, &one, sizeof one) == sizeof one, "write of the eventfd");
}

static void on_log_done(void *arg, struct log_job *job)
{
    (void)arg;
    atomic_store(&crash_shared->durable, (unsigned)job->ticket);
    log_job_free(job);
}

static void on_flushed(void *arg, struct state_job *job)
{
    struct flush *flush = job->owner;
    (void)arg;
    atomic_store(&crash_shared->flushed, flush->number);
    flush_free(flush);
}

static void wait_for(struct log_store *log, struct state_store *state, unsigned job,
                     unsigned flush)
{
    uint64_t count;
    for (;;) {
        log->ops->drain(log, on_log_done, NULL);
        state->ops->drain(state, on_flushed, NULL);
        if (atomic_load(&crash_shared->durable) >= job &&
            atomic_load(&crash_shared->flushed) >= flush)
            return;
        crash_require(read(wake_fd, &count, sizeof count) == sizeof count, "read of the eventfd");
    }
}

static void do_jobs(const struct workload *work, struct log_store *log, struct state_store *state)
{
    struct log_model *log_model = memory_new(sizeof *log_model);
    struct state_model *state_model = memory_new(sizeof *state_model);
    unsigned job = 0, flush = 0;
    while (job < work->log_from)
        log_job_free(next_job(log_model, work->seed, ++job));
    while (flush < work->state_from)
        flush_free(next_flush(state_model, work->seed, ++flush));
    atomic_store(&crash_shared->durable, job);
    atomic_store(&crash_shared->flushed, flush);
    while (job < work->log_to || flush < work->state_to) {
        for (unsigned i = 0; i < BURST && job < work->log_to; i++) {
            struct log_job *next = next_job(log_model, work->seed, ++job);
            atomic_store(&crash_shared->submitted, job);
            log->ops->submit(log, next);
        }
        if (flush < work->state_to &&
            (job >= flush * JOBS_PER_FLUSH || job == work->log_to)) {
            struct flush *next = next_flush(state_model, work->seed, ++flush);
            atomic_store(&crash_shared->handed, flush);
            state->ops->submit(state, &next->job);
        }
        wait_for(log, state, job, flush);
    }
    free(log_model);
    free(state_model);
}

void workload_run(void *arg)
{
    const struct workload *work = arg;
    struct identity identity = identity_example();
    struct storage_options options = work->options;
    struct data_directory *dir;
    struct log_store *log;
    struct state_store *state;
    char message[STORAGE_MESSAGE_MAX];
    options.wake = on_wake;
    wake_fd = eventfd(0, EFD_CLOEXEC);
    atomic_store(&crash_shared->submitted, work->log_from);
    atomic_store(&crash_shared->durable, work->log_from);
    atomic_store(&crash_shared->handed, work->state_from);
    atomic_store(&crash_shared->flushed, work->state_from);
    crash_require(data_directory_open(work->dir, &identity, &dir, message) == OK, message);
    crash_require(log_lmdb_open(dir, &options, &log, message) == OK, message);
    crash_require(state_lmdb_open(dir, &options, &state, message) == OK, message);
    crash_shared->fail_flush = work->fail_flush;
    crash_shared->fail_write = work->fail_write;
    do_jobs(work, log, state);
    log->ops->close(log);
    state->ops->close(state);
    data_directory_close(dir);
    close(wake_fd);
}

/* ---- the verdict */

struct found_log {
    struct log_boot boot;
    unsigned mark;
    struct log_model entries; /* entries only */
};

static bool note_entry(void *arg, raft_index index, struct slice bytes)
{
    struct found_log *found = arg;
    struct record record;
    ck_assert_uint_le(index, WORKLOAD_ENTRIES_MAX);
    ck_assert_int_eq(record_decode(index, bytes, &record), OK);
    for (size_t i = 0; i < record.payload.size; i++)
        ck_assert_uint_eq(((const unsigned char *)record.payload.data)[i],
                          (unsigned char)(index * 31 + record.term * 7 + i));
    found->entries.entries[index].term = record.term;
    found->entries.entries[index].size = record.payload.size;
    found->entries.last = index;
    return true;
}

static bool same_log(const struct found_log *found, const struct log_model *model)
{
    if (found->boot.term != model->term || found->boot.vote != model->vote ||
        found->entries.last != model->last || found->mark != model->mark)
        return false;
    for (raft_index i = 1; i <= model->last; i++)
        if (found->entries.entries[i].term != model->entries[i].term ||
            found->entries.entries[i].size != model->entries[i].size)
            return false;
    return true;
}

static unsigned verify_log(const struct workload *work, const struct crash_shared *shared,
                           struct log_store *log)
{
    struct found_log *found = memory_new(sizeof *found);
    struct log_model *model = memory_new(sizeof *model);
    char mark[META_TEXT_MAX];
    ck_assert_int_eq(log->ops->boot(log, &found->boot), OK);
    free(found->boot.runs);
    enum err err = log->ops->read(log, 1, note_entry, found);
    ck_assert(err == OK || (err == ERR_NOT_FOUND && found->boot.last == 0));
    if (log->ops->meta_get(log, "mark", mark) == OK)
        found->mark = (unsigned)strtoul(mark, NULL, 10);

    unsigned least = atomic_load(&shared->durable), most = atomic_load(&shared->submitted);
    unsigned job = 0;
    while (job < least)
        log_job_free(next_job(model, work->seed, ++job));
    while (!same_log(found, model) && job < most)
        log_job_free(next_job(model, work->seed, ++job));
    ck_assert_msg(same_log(found, model),
                  "died at step %u (%s): the log is not what it was after any of jobs %u to %u "
                  "(term %llu vote %llx last %llu)",
                  shared->die_at, shared->where, least, most,
                  (unsigned long long)found->boot.term, (unsigned long long)found->boot.vote,
                  (unsigned long long)found->entries.last);
    free(found);
    free(model);
    return job;
}

static void verify_value(struct state_store *state, const struct state_model *model, unsigned i,
                         const struct crash_shared *shared)
{
    char key[8];
    struct slice value;
    snprintf(key, sizeof key, "k%02u", i);
    enum err err = state->ops->get(state, TABLE_KV, slice_text(key), &value);
    if (model->keys[i].flush == 0) {
        ck_assert_msg(err == ERR_NOT_FOUND, "died at step %u (%s): %s should be absent",
                      shared->die_at, shared->where, key);
        return;
    }
    ck_assert_msg(err == OK && value.size == model->keys[i].size,
                  "died at step %u (%s): %s is wrong (%s)", shared->die_at, shared->where, key,
                  err_name(err));
    for (size_t j = 0; j < value.size; j++)
        ck_assert_uint_eq(((const unsigned char *)value.data)[j], model->keys[i].flush & 0xff);
}

/* B44: the applied index and its effects are one. */
static unsigned verify_state(const struct workload *work, const struct crash_shared *shared,
                             struct state_store *state)
{
    struct state_model *model = memory_new(sizeof *model);
    struct slice text;
    unsigned applied = 0, flush = 0;
    ck_assert_int_eq(state->ops->read_begin(state), OK);
    if (state->ops->get(state, TABLE_META, slice_text("applied"), &text) == OK)
        for (size_t i = 0; i < text.size; i++)
            applied = applied * 10 + (unsigned)(((const char *)text.data)[i] - '0');
    ck_assert_msg(applied >= atomic_load(&shared->flushed) && applied <= atomic_load(&shared->handed),
                  "died at step %u (%s): applied %u, told %u, handed %u", shared->die_at,
                  shared->where, applied, atomic_load(&shared->flushed),
                  atomic_load(&shared->handed));
    while (flush < applied)
        flush_free(next_flush(model, work->seed, ++flush));
    for (unsigned i = 0; i < WORKLOAD_KEYS; i++)
        verify_value(state, model, i, shared);
    state->ops->read_end(state);
    free(model);
    return applied;
}

void workload_verify(const struct workload *work, const struct crash_shared *shared,
                     unsigned *log_at, unsigned *state_at)
{
    struct identity identity = identity_example();
    struct storage_options options = { 0 };
    struct data_directory *dir;
    struct log_store *log;
    struct state_store *state;
    char message[STORAGE_MESSAGE_MAX];
    enum err err = data_directory_open(work->dir, &identity, &dir, message);
    ck_assert_msg(err == OK, "died at step %u (%s): %s", shared->die_at, shared->where, message);
    err = log_lmdb_open(dir, &options, &log, message);
    ck_assert_msg(err == OK, "died at step %u (%s): %s", shared->die_at, shared->where, message);
    err = state_lmdb_open(dir, &options, &state, message);
    ck_assert_msg(err == OK, "died at step %u (%s): %s", shared->die_at, shared->where, message);
    *log_at = verify_log(work, shared, log);
    *state_at = verify_state(work, shared, state);
    log->ops->close(log);
    state->ops->close(state);
    data_directory_close(dir);
}
