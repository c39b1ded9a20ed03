/* state_lmdb.c - the applied state in an LMDB environment: databases `meta`, `kv`, `members`.
 *
 * A batch is one transaction, with the applied index in it: what it says was applied is what
 * is there.  Values of `kv` and `members` carry a checksum (value.h). */
#include "commit_stats.h"
#include "lmdb_txn.h"
#include "step.h"
#include "value.h"
#include "writer.h"

#include <holdfast/clock.h>
#include <holdfast/log.h>
#include <holdfast/panic.h>

#include <stdio.h>
#include <stdlib.h>

static const char *const table_names[STATE_TABLES] = {
    [TABLE_META] = "meta", [TABLE_KV] = "kv", [TABLE_MEMBERS] = "members"
};

struct state_lmdb {
    struct state_store base;
    char path[ENV_PATH_MAX];
    MDB_env *env;
    MDB_dbi dbis[STATE_TABLES];
    struct writer *writer;
    struct commit_stats stats;

    struct lmdb_reader reader; /* the loop's, like all below */
    bool reading;
    unsigned cursors; /* open; none outlives its read */
};

struct state_cursor {
    struct state_lmdb *store;
    enum state_table table;
    MDB_cursor *at;
    bool placed;
};

static struct state_lmdb *self(struct state_store *store)
{
    return (struct state_lmdb *)store;
}

/* ---- writing, on the writer's thread */

static void write_change(struct state_lmdb *state, struct lmdb_txn *txn,
                         const struct state_change *change)
{
    MDB_dbi dbi = state->dbis[change->table];
    if (change->value.data == NULL) {
        lmdb_txn_delete(txn, dbi, change->key);
        return;
    }
    size_t size = change->value.size + value_overhead(change->table);
    unsigned char *room = lmdb_txn_reserve(txn, dbi, change->key, size);
    if (room != NULL)
        value_store(change->table, change->key, change->value, room);
}

static void write_jobs(void *arg, struct storage_queue *jobs, struct storage_queue *done)
{
    struct state_lmdb *state = arg;
    struct storage_link *link = queue_pop(jobs);
    const struct state_job *job = (const struct state_job *)link;
    uint64_t bytes = 0;
    struct lmdb_txn txn;
    lmdb_txn_begin(&txn, state->env);
    for (size_t i = 0; i < job->n; i++) {
        write_change(state, &txn, &job->changes[i]);
        bytes += job->changes[i].key.size + job->changes[i].value.size;
        storage_step("state: change put");
    }
    uint64_t used = lmdb_txn_used_bytes(&txn, state->dbis, STATE_TABLES);
    storage_step("state: before commit");
    uint64_t began_us = clock_monotonic_us();
    int code = lmdb_txn_commit(&txn);
    if (code != 0)
        lmdb_txn_panic(state->env, code, "state");
    storage_step("state: after commit");
    commit_stats_add(&state->stats, job->n, bytes, clock_monotonic_us() - began_us, used);
    STAILQ_INSERT_TAIL(done, link, next);
}

static void state_submit(struct state_store *store, struct state_job *job)
{
    value_check_job(job);
    writer_submit(self(store)->writer, &job->link);
}

struct done_call {
    state_done_fn *done;
    void *arg;
};

static void deliver(void *arg, struct storage_link *link)
{
    struct done_call *call = arg;
    call->done(call->arg, (struct state_job *)link);
}

static void state_drain(struct state_store *store, state_done_fn *done, void *arg)
{
    struct done_call call = { done, arg };
    writer_drain(self(store)->writer, deliver, &call);
}

/* ---- reading, on the loop's thread */

static enum err state_read_begin(struct state_store *store)
{
    struct state_lmdb *state = self(store);
    ASSERT(!state->reading);
    enum err err = lmdb_reader_begin(&state->reader);
    state->reading = err == OK;
    return err;
}

static void state_read_end(struct state_store *store)
{
    struct state_lmdb *state = self(store);
    ASSERT(state->reading && state->cursors == 0);
    state->reading = false;
    lmdb_reader_end(&state->reader);
}

/* As in a URL's path: a key may hold anything. */
static void print_key(struct slice key, char *out, size_t room)
{
    const unsigned char *bytes = key.data;
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < key.size && used + 4 < room; i++) {
        bool plain = bytes[i] > ' ' && bytes[i] < 0x7f && bytes[i] != '%';
        used += (size_t)snprintf(out + used, room - used, plain ? "%c" : "%%%02X", bytes[i]);
    }
}

static enum err load(struct state_lmdb *state, enum state_table table, struct slice key,
                     struct slice stored, struct slice *value)
{
    enum err err = value_load(table, key, stored, value);
    if (err == OK)
        return OK;
    char printed[KEY_SIZE_MAX * 3 + 1];
    print_key(key, printed, sizeof printed);
    log_error("a stored value does not match its checksum", "path=%s table=%s key=%s", state->path,
              table_names[table], printed);
    return err;
}

static enum err state_get(struct state_store *store, enum state_table table, struct slice key,
                          struct slice *value)
{
    struct state_lmdb *state = self(store);
    ASSERT(state->reading);
    if (key.size == 0) /* LMDB would call it an error */
        return ERR_NOT_FOUND;
    MDB_val k = val_of(key), v;
    int code = mdb_get(state->reader.txn, state->dbis[table], &k, &v);
    if (code != 0)
        return lmdb_err(code);
    return load(state, table, key, slice_of_val(v), value);
}

static struct state_cursor *state_cursor_open(struct state_store *store, enum state_table table)
{
    struct state_lmdb *state = self(store);
    ASSERT(state->reading);
    struct state_cursor *cursor = memory_new(sizeof *cursor);
    cursor->store = state;
    cursor->table = table;
    /* Can fail for want of memory only. */
    int code = mdb_cursor_open(state->reader.txn, state->dbis[table], &cursor->at);
    if (code != 0)
        panic(EXIT_STATUS_IO, "cannot read %s: %s", state->path, mdb_strerror(code));
    state->cursors++;
    return cursor;
}

static void state_cursor_close(struct state_cursor *cursor)
{
    if (cursor == NULL)
        return;
    mdb_cursor_close(cursor->at);
    cursor->store->cursors--;
    free(cursor);
}

static enum err finish(struct state_cursor *cursor, int code, MDB_val key, MDB_val found,
                       struct slice *found_key, struct slice *value)
{
    cursor->placed = code == 0;
    if (code != 0)
        return lmdb_err(code);
    *found_key = slice_of_val(key);
    return load(cursor->store, cursor->table, *found_key, slice_of_val(found), value);
}

static enum err state_seek(struct state_cursor *cursor, struct slice key, bool backward,
                           struct slice *found_key, struct slice *value)
{
    MDB_val k = val_of(key), v = { 0 };
    int code;
    if (key.size == 0) {
        code = mdb_cursor_get(cursor->at, &k, &v, backward ? MDB_LAST : MDB_FIRST);
    } else {
        code = mdb_cursor_get(cursor->at, &k, &v, MDB_SET_RANGE);
        if (backward && code == MDB_NOTFOUND)
            code = mdb_cursor_get(cursor->at, &k, &v, MDB_LAST);
        else if (backward && code == 0 && !slice_equal(slice_of_val(k), key))
            code = mdb_cursor_get(cursor->at, &k, &v, MDB_PREV);
    }
    return finish(cursor, code, k, v, found_key, value);
}

static enum err state_step(struct state_cursor *cursor, bool backward, struct slice *found_key,
                           struct slice *value)
{
    if (!cursor->placed)
        return ERR_NOT_FOUND;
    MDB_val k = { 0 }, v = { 0 };
    int code = mdb_cursor_get(cursor->at, &k, &v, backward ? MDB_PREV : MDB_NEXT);
    return finish(cursor, code, k, v, found_key, value);
}

static void state_stats_get(struct state_store *store, struct state_stats *out)
{
    struct state_lmdb *state = self(store);
    out->commits = commit_stats_get(&state->stats.commits);
    out->changes_written = commit_stats_get(&state->stats.items);
    out->commit_us_total = commit_stats_get(&state->stats.commit_us_total);
    out->commit_us_max = commit_stats_get(&state->stats.commit_us_max);
    out->map_bytes = lmdb_map_bytes(state->env);
    out->used_bytes = commit_stats_get(&state->stats.used_bytes);
    out->room_bytes = lmdb_room_bytes(state->env, out->used_bytes);
}

/* ---- opening and closing */

static void forget(void *arg, struct storage_link *link)
{
    (void)arg; /* the job is the submitter's */
    (void)link;
}

static void state_close(struct state_store *store)
{
    struct state_lmdb *state = self(store);
    ASSERT(!state->reading);
    if (state->writer != NULL)
        writer_close(state->writer, forget, NULL);
    lmdb_reader_fini(&state->reader);
    if (state->env != NULL)
        mdb_env_close(state->env);
    free(state);
}

static const struct state_store_ops ops = {
    .submit = state_submit,
    .drain = state_drain,
    .read_begin = state_read_begin,
    .read_end = state_read_end,
    .get = state_get,
    .cursor_open = state_cursor_open,
    .cursor_close = state_cursor_close,
    .seek = state_seek,
    .step = state_step,
    .stats = state_stats_get,
    .close = state_close,
};

static enum err look(struct state_lmdb *state, char *message)
{
    struct lmdb_txn txn;
    lmdb_txn_begin(&txn, state->env);
    for (unsigned i = 0; i < STATE_TABLES; i++)
        state->dbis[i] = lmdb_txn_database(&txn, table_names[i], 0);
    uint64_t used = lmdb_txn_used_bytes(&txn, state->dbis, STATE_TABLES);
    int code = lmdb_txn_commit(&txn);
    if (code != 0)
        return storage_fail_code(message, code, "read", state->path);
    atomic_store(&state->stats.used_bytes, used);
    return OK;
}

enum err state_lmdb_open(struct data_directory *dir, const struct storage_options *options,
                         struct state_store **out, char *message)
{
    struct state_lmdb *state = memory_new(sizeof *state);
    state->base.ops = &ops;
    snprintf(state->path, sizeof state->path, "%s/state", dir->path);
    enum err err = lmdb_env_open(state->path, options->state_map_bytes, false, &state->env,
                                 message);
    state->reader.env = state->env;
    if (err == OK)
        err = look(state, message);
    if (err == OK) {
        state->writer = writer_new("state-writer", write_jobs, state, options);
        if (state->writer == NULL)
            err = storage_fail(message, ERR_IO,
                               "the system gives no thread for the state's writer");
    }
    if (err != OK) {
        state_close(&state->base);
        return err;
    }
    *out = &state->base;
    return OK;
}
