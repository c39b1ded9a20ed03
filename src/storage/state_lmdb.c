/* state_lmdb.c - the applied state in an LMDB environment: databases `meta`, `kv`, `members`.
 *
 * A batch is one transaction, with the applied index in it: what it says was applied is what
 * is there.  Values of `kv` and `members` carry a checksum (value.h). */
#include "commit_stats.h"
#include "lmdb_txn.h"
#include "state_env.h"
#include "step.h"
#include "swap.h"
#include "value.h"
#include "writer.h"

#include <holdfast/clock.h>
#include <holdfast/log.h>
#include <holdfast/panic.h>

#include <stdio.h>
#include <stdlib.h>

struct install {
    struct storage_link link; /* in the writer's queue; at most one at a time */
    state_installed_fn *done;
    void *arg;
};

struct state_lmdb {
    struct state_store base;
    char directory[ENV_PATH_MAX], path[ENV_PATH_MAX];
    uint64_t map_bytes, cluster;
    struct writer *writer;
    struct state_env *writing; /* the writer's; `env` but while an installation is under way */
    struct commit_stats stats;

    struct state_env *env;     /* the loop's, like all below */
    struct install install;
    bool installing;
    struct storage_link retire; /* the environment that was replaced, on its way out */
    struct state_env *retired;

    struct lmdb_reader reader;
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
    MDB_dbi dbi = state->writing->dbis[change->table];
    if (change->value.data == NULL) {
        lmdb_txn_delete(txn, dbi, change->key);
        return;
    }
    size_t size = change->value.size + value_overhead(change->table);
    unsigned char *room = lmdb_txn_reserve(txn, dbi, change->key, size);
    if (room != NULL)
        value_store(change->table, change->key, change->value, room);
}

static void write_job(struct state_lmdb *state, const struct state_job *job)
{
    uint64_t bytes = 0;
    struct lmdb_txn txn;
    lmdb_txn_begin(&txn, state->writing->env);
    for (size_t i = 0; i < job->n; i++) {
        write_change(state, &txn, &job->changes[i]);
        bytes += job->changes[i].key.size + job->changes[i].value.size;
        storage_step("state: change put");
    }
    uint64_t used = lmdb_txn_used_bytes(&txn, state->writing->dbis, STATE_TABLES);
    storage_step("state: before commit");
    uint64_t began_us = clock_monotonic_us();
    int code = lmdb_txn_commit(&txn);
    if (code != 0)
        lmdb_txn_panic(state->writing->env, code, "state");
    storage_step("state: after commit");
    commit_stats_add(&state->stats, job->n, bytes, clock_monotonic_us() - began_us, used);
}

/* The old environment stays open for those who read in it; its files lose their names. */
static void swap_state(struct state_lmdb *state)
{
    char message[STORAGE_MESSAGE_MAX];
    int code = swap_in(state->directory);
    if (code != 0)
        panic(EXIT_STATUS_IO, "cannot install a snapshot in %s: %s", state->directory,
              mdb_strerror(code));
    enum err err = state_env_open(state->path, state->map_bytes, state->cluster, &state->writing,
                                  message);
    if (err != OK)
        panic(err == ERR_CORRUPT ? EXIT_STATUS_CORRUPT : EXIT_STATUS_IO, "%s", message);
    atomic_store(&state->stats.used_bytes, state->writing->used_bytes);
    code = swap_clear(state->directory);
    if (code != 0)
        log_warn("the replaced state was not removed", "path=%s why=\"%s\"", state->directory,
                 mdb_strerror(code));
}

static void write_jobs(void *arg, struct storage_queue *jobs, struct storage_queue *done)
{
    struct state_lmdb *state = arg;
    struct storage_link *link = queue_pop(jobs);
    if (link == &state->install.link)
        swap_state(state);
    else if (link == &state->retire)
        state_env_unref(state->retired); /* closing frees the disk's blocks, which takes time */
    else
        write_job(state, (const struct state_job *)link);
    STAILQ_INSERT_TAIL(done, link, next);
}

static void state_submit(struct state_store *store, struct state_job *job)
{
    ASSERT(!self(store)->installing);
    value_check_job(job);
    writer_submit(self(store)->writer, &job->link);
}

static void state_install(struct state_store *store, state_installed_fn *done, void *arg)
{
    struct state_lmdb *state = self(store);
    ASSERT(!state->installing);
    state->installing = true;
    state->install.done = done;
    state->install.arg = arg;
    writer_submit(state->writer, &state->install.link);
}

/* From here on the loop reads the new state. */
static void finish_install(struct state_lmdb *state)
{
    ASSERT(!state->reading);
    lmdb_reader_fini(&state->reader);
    state->retired = state->env;
    state->env = state->writing;
    state->reader.env = state->env->env;
    state->installing = false;
    writer_submit(state->writer, &state->retire);
    state->install.done(state->install.arg);
}

struct done_call {
    struct state_lmdb *state;
    state_done_fn *done;
    void *arg;
};

static void deliver(void *arg, struct storage_link *link)
{
    struct done_call *call = arg;
    if (link == &call->state->install.link)
        finish_install(call->state);
    else if (link != &call->state->retire)
        call->done(call->arg, (struct state_job *)link);
}

static void state_drain(struct state_store *store, state_done_fn *done, void *arg)
{
    struct done_call call = { self(store), done, arg };
    writer_drain(self(store)->writer, deliver, &call);
}

struct state_env *state_lmdb_env(struct state_store *store)
{
    return state_env_ref(self(store)->env);
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
              state_table_names[table], printed);
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
    int code = mdb_get(state->reader.txn, state->env->dbis[table], &k, &v);
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
    int code = mdb_cursor_open(state->reader.txn, state->env->dbis[table], &cursor->at);
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
    out->map_bytes = lmdb_map_bytes(state->env->env);
    out->used_bytes = commit_stats_get(&state->stats.used_bytes);
    out->room_bytes = lmdb_room_bytes(state->env->env, out->used_bytes);
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
    if (state->writing != state->env) /* installed, and nobody was told */
        state_env_unref(state->writing);
    state_env_unref(state->env);
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
    .install = state_install,
    .stats = state_stats_get,
    .close = state_close,
};

enum err state_lmdb_open(struct data_directory *dir, const struct storage_options *options,
                         struct state_store **out, char *message)
{
    struct state_lmdb *state = memory_new(sizeof *state);
    state->base.ops = &ops;
    state->map_bytes = options->state_map_bytes;
    state->cluster = dir->identity.cluster;
    snprintf(state->directory, sizeof state->directory, "%s", dir->path);
    snprintf(state->path, sizeof state->path, "%s/" STATE_DIRECTORY, dir->path);
    enum err err = state_env_open(state->path, state->map_bytes, state->cluster, &state->env,
                                  message);
    if (err == OK) {
        state->writing = state->env;
        state->reader.env = state->env->env;
        atomic_store(&state->stats.used_bytes, state->env->used_bytes);
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
