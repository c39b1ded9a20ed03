/* log_lmdb.c - the log in an LMDB environment: database `log` (index -> record) and `meta`.
 *
 * The writer's thread owns the write transaction; the loop's thread reads, each call in a
 * fresh view of what is durable.  A commit returns after two flushes of the disk, and only
 * then does a job come back. */
#include "commit_stats.h"
#include "lmdb_txn.h"
#include "meta.h"
#include "runs.h"
#include "step.h"
#include "writer.h"

#include <holdfast/clock.h>
#include <holdfast/log.h>
#include <holdfast/panic.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

_Static_assert(sizeof(size_t) == sizeof(raft_index), "MDB_INTEGERKEY wants a size_t");

/* Where one transaction ends though more jobs wait: far below the 131,071 pages from which on
 * LMDB would write pages out before the commit. */
enum { TRANSACTION_BYTES_MAX = 64 * 1024 * 1024 };

struct log_lmdb {
    struct log_store base;
    char path[ENV_PATH_MAX];
    MDB_env *env;
    MDB_dbi log, meta;
    struct writer *writer;
    struct commit_stats stats;

    raft_index compacted;   /* the base; the writer's, like these two */
    raft_index first, last; /* first > last: empty, last == compacted */

    struct lmdb_reader reader; /* the loop's, like all below */
    MDB_cursor *cursor;        /* on `log`; renewed for each read */
};

static struct log_lmdb *self(struct log_store *store)
{
    return (struct log_lmdb *)store;
}

/* ---- writing, on the writer's thread */

static void erase_all(struct log_lmdb *log, struct lmdb_txn *txn)
{
    if (log->first <= log->last)
        lmdb_txn_empty(txn, log->log);
    log->first = log->compacted + 1;
    log->last = log->compacted;
}

static void erase_from(struct log_lmdb *log, struct lmdb_txn *txn, raft_index first)
{
    if (first <= log->first) {
        erase_all(log, txn);
        return;
    }
    for (; log->last >= first; log->last--)
        lmdb_txn_delete(txn, log->log, slice_of(&log->last, sizeof log->last));
}

/* The log's head goes; the pages are free for the next entries. */
static void move_base(struct log_lmdb *log, struct lmdb_txn *txn, const struct log_job *job)
{
    if (job->base <= log->compacted)
        return;
    struct meta_put rows[BASE_ROWS];
    meta_of_base(job->base, job->base_term, rows);
    for (unsigned i = 0; i < BASE_ROWS; i++)
        lmdb_txn_put_meta(txn, log->meta, &rows[i]);
    storage_step("log: base put, entries still there");
    log->compacted = job->base;
    if (job->base >= log->last) {
        erase_all(log, txn);
        return;
    }
    for (; log->first <= job->base; log->first++)
        lmdb_txn_delete(txn, log->log, slice_of(&log->first, sizeof log->first));
    storage_step("log: head erased");
}

static size_t write_entries(struct log_lmdb *log, struct lmdb_txn *txn, const struct log_job *job)
{
    size_t bytes = 0;
    erase_from(log, txn, job->first);
    ASSERT(job->first == log->last + 1);
    for (uint32_t i = 0; i < job->n; i++) {
        raft_index index = job->first + i;
        lmdb_txn_put(txn, log->log, slice_of(&index, sizeof index), job->entries[i].record,
                     MDB_APPEND);
        bytes += job->entries[i].record.size;
    }
    log->last = job->first + job->n - 1;
    return bytes;
}

static size_t write_job(struct log_lmdb *log, struct lmdb_txn *txn, const struct log_job *job)
{
    size_t bytes = 0;
    move_base(log, txn, job);
    if (job->first > 0)
        bytes = write_entries(log, txn, job);
    storage_step("log: entries put");
    if (job->save_vote) {
        struct meta_put rows[VOTE_ROWS];
        meta_of_vote(job->term, job->vote, rows);
        lmdb_txn_put_meta(txn, log->meta, &rows[0]);
        storage_step("log: term put, vote not yet");
        lmdb_txn_put_meta(txn, log->meta, &rows[1]);
    }
    for (uint32_t i = 0; i < job->n_meta; i++)
        lmdb_txn_put_meta(txn, log->meta, &job->meta[i]);
    return bytes;
}

/* One transaction for as many jobs as are there (group commit). */
static void write_jobs(void *arg, struct storage_queue *jobs, struct storage_queue *done)
{
    struct log_lmdb *log = arg;
    struct lmdb_txn txn;
    uint64_t entries = 0, bytes = 0;
    lmdb_txn_begin(&txn, log->env);
    while (!STAILQ_EMPTY(jobs) && bytes < TRANSACTION_BYTES_MAX) {
        struct storage_link *link = queue_pop(jobs);
        const struct log_job *job = (const struct log_job *)link;
        bytes += write_job(log, &txn, job);
        entries += job->n;
        STAILQ_INSERT_TAIL(done, link, next);
    }
    uint64_t used = lmdb_txn_used_bytes(&txn, (MDB_dbi[]){ log->log, log->meta }, 2);
    storage_step("log: before commit");
    uint64_t began_us = clock_monotonic_us();
    int code = lmdb_txn_commit(&txn);
    if (code != 0)
        lmdb_txn_panic(log->env, code, "log");
    storage_step("log: after commit");
    commit_stats_add(&log->stats, entries, bytes, clock_monotonic_us() - began_us, used);
}

static void log_submit(struct log_store *store, struct log_job *job)
{
    ASSERT(job->first > 0 || job->n == 0);
    writer_submit(self(store)->writer, &job->link);
}

struct done_call {
    log_done_fn *done;
    void *arg;
};

static void deliver(void *arg, struct storage_link *link)
{
    struct done_call *call = arg;
    call->done(call->arg, (struct log_job *)link);
}

static void log_drain(struct log_store *store, log_done_fn *done, void *arg)
{
    struct done_call call = { done, arg };
    writer_drain(self(store)->writer, deliver, &call);
}

/* ---- reading, on the loop's thread */

static enum err begin(struct log_lmdb *log)
{
    enum err err = lmdb_reader_begin(&log->reader);
    if (err != OK)
        return err;
    int code = log->cursor == NULL ? mdb_cursor_open(log->reader.txn, log->log, &log->cursor)
                                   : mdb_cursor_renew(log->reader.txn, log->cursor);
    if (code != 0)
        lmdb_reader_end(&log->reader);
    return lmdb_err(code);
}

static raft_index index_of(MDB_val key)
{
    raft_index index = 0;
    if (key.mv_size == sizeof index)
        memcpy(&index, key.mv_data, sizeof index);
    return index;
}

static enum err decode(const struct log_lmdb *log, raft_index index, MDB_val value,
                       struct record *record)
{
    enum err err = record_decode(index, slice_of_val(value), record);
    if (err != OK)
        log_error("a log entry does not match its checksum", "path=%s index=%llu", log->path,
                  (unsigned long long)index);
    return err;
}

static enum err read_from(struct log_lmdb *log, raft_index first, log_read_fn *fn, void *arg)
{
    MDB_val key = { sizeof first, &first }, value;
    int code = mdb_cursor_get(log->cursor, &key, &value, MDB_SET_KEY);
    if (code != 0)
        return lmdb_err(code);
    for (raft_index index = first; code == 0; index++) {
        struct record record;
        if (index_of(key) != index) /* a hole */
            return ERR_CORRUPT;
        enum err err = decode(log, index, value, &record);
        if (err != OK)
            return err;
        if (!fn(arg, index, slice_of_val(value)))
            return OK;
        code = mdb_cursor_get(log->cursor, &key, &value, MDB_NEXT);
    }
    return code == MDB_NOTFOUND ? OK : lmdb_err(code);
}

static enum err log_read(struct log_store *store, raft_index first, log_read_fn *fn, void *arg)
{
    struct log_lmdb *log = self(store);
    enum err err = begin(log);
    if (err != OK)
        return err;
    err = read_from(log, first, fn, arg);
    lmdb_reader_end(&log->reader);
    return err;
}

static enum err term_at(void *arg, raft_index index, raft_term *term)
{
    struct log_lmdb *log = arg;
    MDB_val key = { sizeof index, &index }, value;
    int code = mdb_cursor_get(log->cursor, &key, &value, MDB_SET_KEY);
    if (code == MDB_NOTFOUND)
        return ERR_CORRUPT; /* a hole */
    if (code != 0)
        return lmdb_err(code);
    struct record record;
    enum err err = decode(log, index, value, &record);
    if (err == OK)
        *term = record.term;
    return err;
}

static enum err get_text(struct log_lmdb *log, const char *key, char out[META_TEXT_MAX])
{
    MDB_val k = val_of(slice_text(key)), v;
    int code = mdb_get(log->reader.txn, log->meta, &k, &v);
    if (code != 0)
        return lmdb_err(code);
    if (v.mv_size >= META_TEXT_MAX)
        return ERR_CORRUPT;
    memset(out, 0, META_TEXT_MAX);
    memcpy(out, v.mv_data, v.mv_size);
    return OK;
}

static enum err get_base(struct log_lmdb *log, raft_index *base, raft_term *base_term)
{
    char text[META_TEXT_MAX];
    *base = *base_term = 0;
    enum err err = get_text(log, "base_index", text);
    if (err == ERR_NOT_FOUND)
        return OK; /* nothing was ever compacted */
    if (err == OK && !meta_parse_decimal(text, base))
        err = ERR_CORRUPT;
    if (err == OK)
        err = get_text(log, "base_term", text);
    if (err == OK && !meta_parse_decimal(text, base_term))
        err = ERR_CORRUPT;
    return err == ERR_NOT_FOUND ? ERR_CORRUPT : err;
}

/* As many entries as lie between the first and the last, and none missing behind the base. */
static enum err find_bounds(struct log_lmdb *log, raft_index base, raft_index *first,
                            raft_index *last)
{
    MDB_val key, value;
    MDB_stat stat;
    *first = base + 1;
    *last = base;
    int code = mdb_cursor_get(log->cursor, &key, &value, MDB_FIRST);
    if (code == 0) {
        *first = index_of(key);
        code = mdb_cursor_get(log->cursor, &key, &value, MDB_LAST);
        *last = index_of(key);
    }
    if (code == MDB_NOTFOUND) /* empty */
        code = 0;
    if (code == 0)
        code = mdb_stat(log->reader.txn, log->log, &stat);
    if (code != 0)
        return lmdb_err(code);
    bool whole = *first == base + 1 && *last >= base && stat.ms_entries == *last - base;
    return whole ? OK : ERR_CORRUPT;
}

static enum err boot_within(struct log_lmdb *log, struct log_boot *out)
{
    char text[META_TEXT_MAX];
    enum err err = get_text(log, "term", text);
    if (err == OK && !meta_parse_decimal(text, &out->term))
        err = ERR_CORRUPT;
    if (err == OK)
        err = get_text(log, "vote", text);
    if (err == OK && !meta_parse_id(text, &out->vote))
        err = ERR_CORRUPT;
    if (err == OK)
        err = get_base(log, &out->base, &out->base_term);
    if (err == OK)
        err = find_bounds(log, out->base, &out->first, &out->last);
    if (err == OK)
        err = runs_find(out, term_at, log);
    return err == ERR_NOT_FOUND ? ERR_CORRUPT : err;
}

static enum err log_boot(struct log_store *store, struct log_boot *out)
{
    struct log_lmdb *log = self(store);
    *out = (struct log_boot){ .first = 1 };
    enum err err = begin(log);
    if (err != OK)
        return err;
    err = boot_within(log, out);
    lmdb_reader_end(&log->reader);
    return err;
}

static enum err log_meta_get(struct log_store *store, const char *key, char *out)
{
    struct log_lmdb *log = self(store);
    enum err err = lmdb_reader_begin(&log->reader);
    if (err != OK)
        return err;
    err = get_text(log, key, out);
    lmdb_reader_end(&log->reader);
    return err;
}

static void log_stats_get(struct log_store *store, struct log_stats *out)
{
    struct log_lmdb *log = self(store);
    out->commits = commit_stats_get(&log->stats.commits);
    out->entries_written = commit_stats_get(&log->stats.items);
    out->bytes_written = commit_stats_get(&log->stats.bytes);
    out->commit_us_total = commit_stats_get(&log->stats.commit_us_total);
    out->commit_us_max = commit_stats_get(&log->stats.commit_us_max);
    out->map_bytes = lmdb_map_bytes(log->env);
    out->used_bytes = commit_stats_get(&log->stats.used_bytes);
    out->room_bytes = lmdb_room_bytes(log->env, out->used_bytes);
}

/* ---- opening and closing */

static void free_job(void *arg, struct storage_link *link)
{
    (void)arg;
    log_job_free((struct log_job *)link);
}

static void log_close(struct log_store *store)
{
    struct log_lmdb *log = self(store);
    if (log->writer != NULL)
        writer_close(log->writer, free_job, NULL);
    if (log->cursor != NULL)
        mdb_cursor_close(log->cursor);
    lmdb_reader_fini(&log->reader);
    if (log->env != NULL)
        mdb_env_close(log->env);
    free(log);
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

/* Database handles, bounds, and the bytes in use at the start. */
static enum err look(struct log_lmdb *log, char *message)
{
    struct lmdb_txn txn;
    lmdb_txn_begin(&txn, log->env);
    log->log = lmdb_txn_database(&txn, "log", MDB_INTEGERKEY);
    log->meta = lmdb_txn_database(&txn, "meta", 0);
    uint64_t used = lmdb_txn_used_bytes(&txn, (MDB_dbi[]){ log->log, log->meta }, 2);
    int code = lmdb_txn_commit(&txn);
    if (code != 0)
        return storage_fail_code(message, code, "read", log->path);
    atomic_store(&log->stats.used_bytes, used);

    enum err err = begin(log);
    if (err != OK)
        return storage_fail(message, err, "cannot read the log in %.300s: %s", log->path,
                            err_text(err));
    raft_term base_term;
    err = get_base(log, &log->compacted, &base_term);
    if (err == OK)
        err = find_bounds(log, log->compacted, &log->first, &log->last);
    lmdb_reader_end(&log->reader);
    if (err != OK)
        return storage_fail(message, err,
                            "the log in %.300s has a hole or a broken page; replace this member "
                            "by a new one with an empty --data-dir",
                            log->path);
    return OK;
}

enum err log_lmdb_open(struct data_directory *dir, const struct storage_options *options,
                       struct log_store **out, char *message)
{
    struct log_lmdb *log = memory_new(sizeof *log);
    log->base.ops = &ops;
    snprintf(log->path, sizeof log->path, "%s/log", dir->path);
    enum err err = lmdb_env_open(log->path, options->log_map_bytes, false, &log->env, message);
    log->reader.env = log->env;
    if (err == OK)
        err = look(log, message);
    if (err == OK) {
        log->writer = writer_new("log-writer", write_jobs, log, options);
        if (log->writer == NULL)
            err = storage_fail(message, ERR_IO, "the system gives no thread for the log's writer");
    }
    if (err != OK) {
        log_close(&log->base);
        return err;
    }
    *out = &log->base;
    return OK;
}
