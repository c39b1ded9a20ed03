/* log_memory.c - the log store on a memory disk: one thread, the same contract. */
#include "memory_disk.h"
#include "meta.h"
#include "runs.h"

#include <holdfast/mutant.h>
#include <holdfast/panic.h>

#include <stdlib.h>

enum { DEFAULT_BYTES_LOG2 = 36 }; /* as the LMDB store's map */

struct log_memory {
    struct log_store base;
    struct memory_disk *disk;
    struct storage_options options;
    struct storage_queue unwritten, done;
    size_t n_unwritten;
    struct log_stats stats;
};

static struct log_memory *self(struct log_store *store)
{
    return (struct log_memory *)store;
}

static void write_job(struct log_memory *log, const struct log_job *job)
{
    struct memory_disk *disk = log->disk;
    if (job->save_vote) {
        struct meta_put rows[VOTE_ROWS];
        disk->term = job->term;
        disk->vote = job->vote;
        meta_of_vote(job->term, job->vote, rows);
        for (unsigned i = 0; i < VOTE_ROWS; i++)
            memory_meta_put(disk, &rows[i]);
    }
    if (job->base > disk->log.base) {
        struct meta_put rows[BASE_ROWS];
        memory_log_move_base(&disk->log, job->base, job->base_term);
        meta_of_base(job->base, job->base_term, rows);
        for (unsigned i = 0; i < BASE_ROWS; i++)
            memory_meta_put(disk, &rows[i]);
    }
    if (job->first > 0) {
        memory_log_erase_from(&disk->log, job->first);
        ASSERT(job->first == disk->log.last + 1);
        for (uint32_t i = 0; i < job->n; i++) {
            memory_log_append(&disk->log, job->first + i, job->entries[i].record);
            log->stats.bytes_written += job->entries[i].record.size;
        }
        log->stats.entries_written += job->n;
    }
    for (uint32_t i = 0; i < job->n_meta; i++)
        memory_meta_put(disk, &job->meta[i]);
    log->stats.commits++;
}

bool log_memory_write_one(struct log_memory *log)
{
    struct storage_link *link = queue_pop(&log->unwritten);
    if (link == NULL)
        return false;
    log->n_unwritten--;
    write_job(log, (struct log_job *)link);
    STAILQ_INSERT_TAIL(&log->done, link, next);
    if (log->options.wake != NULL)
        log->options.wake(log->options.wake_arg);
    return true;
}

size_t log_memory_unwritten(const struct log_memory *log)
{
    return log->n_unwritten;
}

static void free_all(struct log_memory *log)
{
    struct storage_link *link;
    while ((link = queue_pop(&log->unwritten)) != NULL)
        log_job_free((struct log_job *)link);
    while ((link = queue_pop(&log->done)) != NULL)
        log_job_free((struct log_job *)link);
    free(log);
}

void log_memory_crash(struct log_memory *log, size_t kept)
{
    struct storage_link *link = STAILQ_FIRST(&log->unwritten);
    for (; link != NULL && kept > 0; kept--, link = STAILQ_NEXT(link, next))
        write_job(log, (struct log_job *)link);
    free_all(log);
}

static void log_submit(struct log_store *store, struct log_job *job)
{
    struct log_memory *log = self(store);
    ASSERT(job->first > 0 || job->n == 0);
    STAILQ_INSERT_TAIL(&log->unwritten, &job->link, next);
    log->n_unwritten++;
    while (!log->disk->held && log_memory_write_one(log))
        ;
}

static void log_drain(struct log_store *store, log_done_fn *done, void *arg)
{
    /* Only what is finished now: a submit from within `done` does not keep the loop here. */
    struct storage_queue ready = STAILQ_HEAD_INITIALIZER(ready);
    STAILQ_CONCAT(&ready, &self(store)->done);
    struct storage_link *link;
    while ((link = queue_pop(&ready)) != NULL)
        done(arg, (struct log_job *)link);
}

static enum err log_read(struct log_store *store, raft_index first, log_read_fn *fn, void *arg)
{
    const struct memory_log *log = &self(store)->disk->log;
    if (memory_log_at(log, first) == NULL)
        return ERR_NOT_FOUND;
    for (raft_index i = first; i <= log->last; i++) {
        struct slice bytes = blob_slice(memory_log_at(log, i));
        struct record record;
        enum err err = record_decode(i, bytes, &record);
        if (err != OK)
            return err;
        if (!fn(arg, i, bytes))
            break;
    }
    return OK;
}

static enum err term_at(void *arg, raft_index index, raft_term *term)
{
    struct record record;
    enum err err = record_decode(index, blob_slice(memory_log_at(arg, index)), &record);
    if (err == OK)
        *term = record.term;
    return err;
}

static enum err log_boot(struct log_store *store, struct log_boot *out)
{
    struct memory_disk *disk = self(store)->disk;
    struct record record;
    for (raft_index i = disk->log.first; mutant("truncate-at-damage") && i <= disk->log.last; i++)
        if (record_decode(i, blob_slice(memory_log_at(&disk->log, i)), &record) != OK)
            memory_log_erase_from(&disk->log, i);
    *out = (struct log_boot){
        .term = disk->term, .vote = disk->vote,
        .base = disk->log.base, .base_term = disk->log.base_term,
        .first = disk->log.first, .last = disk->log.last,
    };
    return runs_find(out, term_at, &disk->log);
}

static enum err log_meta_get(struct log_store *store, const char *key, char *out)
{
    const struct meta_put *row = memory_meta_get(self(store)->disk, key);
    if (row == NULL)
        return ERR_NOT_FOUND;
    memcpy(out, row->text, META_TEXT_MAX);
    return OK;
}

static void log_stats_get(struct log_store *store, struct log_stats *out)
{
    struct log_memory *log = self(store);
    *out = log->stats;
    out->map_bytes = log->options.log_map_bytes > 0 ? log->options.log_map_bytes
                                                    : (uint64_t)1 << DEFAULT_BYTES_LOG2;
    out->used_bytes = log->disk->log.bytes;
    uint64_t most = out->map_bytes / 10 * 9;
    out->room_bytes = most > out->used_bytes ? most - out->used_bytes : 0;
}

static void log_close(struct log_store *store)
{
    struct log_memory *log = self(store);
    struct storage_link *link;
    while ((link = queue_pop(&log->unwritten)) != NULL) {
        write_job(log, (struct log_job *)link);
        log_job_free((struct log_job *)link);
    }
    log->disk->log_store = NULL;
    free_all(log);
}

static const struct log_store_ops ops = {
    .submit = log_submit,
    .drain = log_drain,
    .read = log_read,
    .boot = log_boot,
    .meta_get = log_meta_get,
    .stats = log_stats_get,
    .close = log_close,
};

struct log_store *log_memory_open(struct memory_disk *disk, const struct storage_options *options)
{
    ASSERT(disk->log_store == NULL);
    struct log_memory *log = memory_new(sizeof *log);
    log->base.ops = &ops;
    log->disk = disk;
    if (options != NULL)
        log->options = *options;
    STAILQ_INIT(&log->unwritten);
    STAILQ_INIT(&log->done);
    disk->log_store = log;
    return &log->base;
}
