/* state_memory.c - the state store on a memory disk: one thread, the same contract. */
#include "memory_disk.h"
#include "value.h"

#include <holdfast/panic.h>

#include <stdlib.h>

enum { DEFAULT_BYTES_LOG2 = 36 }; /* as the LMDB store's map */

struct state_memory {
    struct state_store base;
    struct memory_disk *disk;
    struct storage_options options;
    struct storage_queue unwritten, done;
    size_t n_unwritten;
    unsigned cursors; /* open; none outlives its read */
    bool reading;

    bool installing;            /* submitted, not yet told */
    bool installed;             /* on the disk; the loop still sees `old` */
    state_installed_fn *install_done;
    void *install_arg;
    struct memory_table old[STATE_TABLES];
    struct state_stats stats;
};

struct state_cursor {
    struct state_memory *store;
    enum state_table table;
    struct memory_row *at; /* NULL: not placed */
};

static struct state_memory *self(struct state_store *store)
{
    return (struct state_memory *)store;
}

static void write_job(struct state_memory *state, const struct state_job *job)
{
    for (size_t i = 0; i < job->n; i++) {
        const struct state_change *change = &job->changes[i];
        if (change->value.data == NULL)
            memory_table_delete(state->disk, change->table, change->key);
        else
            memory_table_set(state->disk, change->table, change->key, change->value);
    }
    state->stats.changes_written += job->n;
    state->stats.commits++;
}

static struct memory_table *table_of(struct state_memory *state, enum state_table table)
{
    return state->installed ? &state->old[table] : &state->disk->tables[table];
}

static bool install_waits(const struct state_memory *state)
{
    return state->installing && !state->installed;
}

static void install(struct state_memory *state)
{
    memory_install(state->disk, state->old);
    state->installed = true;
}

bool state_memory_write_one(struct state_memory *state)
{
    /* An open read sees one state: what is written meanwhile waits for its end. */
    struct storage_link *link = state->reading ? NULL : queue_pop(&state->unwritten);
    if (link != NULL) {
        state->n_unwritten--;
        write_job(state, (struct state_job *)link);
        STAILQ_INSERT_TAIL(&state->done, link, next);
    } else if (!state->reading && install_waits(state)) {
        install(state);
    } else {
        return false;
    }
    if (state->options.wake != NULL)
        state->options.wake(state->options.wake_arg);
    return true;
}

size_t state_memory_unwritten(const struct state_memory *state)
{
    return state->n_unwritten + install_waits(state);
}

static void free_store(struct state_memory *state)
{
    if (state->installed)
        memory_tables_free(state->old);
    free(state);
}

void state_memory_crash(struct state_memory *state, size_t kept)
{
    struct storage_link *link = STAILQ_FIRST(&state->unwritten);
    for (; link != NULL && kept > 0; kept--, link = STAILQ_NEXT(link, next))
        write_job(state, (struct state_job *)link);
    if (kept > 0 && install_waits(state))
        install(state);
    free_store(state);
}

static void write_unless_held(struct state_memory *state)
{
    while (!state->disk->held && state_memory_write_one(state))
        ;
}

static void state_submit(struct state_store *store, struct state_job *job)
{
    struct state_memory *state = self(store);
    ASSERT(!state->installing);
    value_check_job(job);
    STAILQ_INSERT_TAIL(&state->unwritten, &job->link, next);
    state->n_unwritten++;
    write_unless_held(state);
}

static void state_install(struct state_store *store, state_installed_fn *done, void *arg)
{
    struct state_memory *state = self(store);
    ASSERT(!state->installing);
    state->installing = true;
    state->install_done = done;
    state->install_arg = arg;
    write_unless_held(state);
}

static void state_drain(struct state_store *store, state_done_fn *done, void *arg)
{
    struct state_memory *state = self(store);
    struct storage_queue ready = STAILQ_HEAD_INITIALIZER(ready);
    bool installed = state->installed;
    STAILQ_CONCAT(&ready, &state->done);
    struct storage_link *link;
    while ((link = queue_pop(&ready)) != NULL)
        done(arg, (struct state_job *)link);
    if (!installed)
        return;
    ASSERT(!state->reading);
    memory_tables_free(state->old);
    state->installed = state->installing = false;
    state->install_done(state->install_arg);
}

static enum err state_read_begin(struct state_store *store)
{
    struct state_memory *state = self(store);
    ASSERT(!state->reading);
    state->reading = true;
    return OK;
}

static void state_read_end(struct state_store *store)
{
    struct state_memory *state = self(store);
    ASSERT(state->reading && state->cursors == 0);
    state->reading = false;
    write_unless_held(state);
}

static enum err load(enum state_table table, const struct memory_row *row, struct slice *value)
{
    return value_load(table, row->key, slice_of(row->stored, row->stored_size), value);
}

static enum err state_get(struct state_store *store, enum state_table table, struct slice key,
                          struct slice *value)
{
    struct state_memory *state = self(store);
    ASSERT(state->reading);
    struct memory_row *row = memory_table_seek(table_of(state, table), key);
    if (row == NULL || !slice_equal(row->key, key))
        return ERR_NOT_FOUND;
    return load(table, row, value);
}

static struct state_cursor *state_cursor_open(struct state_store *store, enum state_table table)
{
    struct state_memory *state = self(store);
    ASSERT(state->reading);
    struct state_cursor *cursor = memory_new(sizeof *cursor);
    cursor->store = state;
    cursor->table = table;
    state->cursors++;
    return cursor;
}

static void state_cursor_close(struct state_cursor *cursor)
{
    if (cursor == NULL)
        return;
    cursor->store->cursors--;
    free(cursor);
}

static enum err deliver(struct state_cursor *cursor, struct memory_row *row,
                        struct slice *found_key, struct slice *value)
{
    cursor->at = row;
    if (row == NULL)
        return ERR_NOT_FOUND;
    *found_key = row->key;
    return load(cursor->table, row, value);
}

static enum err state_seek(struct state_cursor *cursor, struct slice key, bool backward,
                           struct slice *found_key, struct slice *value)
{
    struct memory_table *table = table_of(cursor->store, cursor->table);
    struct memory_row *row;
    if (key.size == 0) {
        row = backward ? memory_table_last(table) : memory_table_first(table);
    } else {
        row = memory_table_seek(table, key);
        if (backward && row == NULL)
            row = memory_table_last(table);
        else if (backward && !slice_equal(row->key, key))
            row = memory_table_prev(row);
    }
    return deliver(cursor, row, found_key, value);
}

static enum err state_step(struct state_cursor *cursor, bool backward, struct slice *found_key,
                           struct slice *value)
{
    if (cursor->at == NULL)
        return ERR_NOT_FOUND;
    return deliver(cursor,
                   backward ? memory_table_prev(cursor->at) : memory_table_next(cursor->at),
                   found_key, value);
}

static void state_stats_get(struct state_store *store, struct state_stats *out)
{
    struct state_memory *state = self(store);
    *out = state->stats;
    out->map_bytes = state->options.state_map_bytes > 0 ? state->options.state_map_bytes
                                                        : (uint64_t)1 << DEFAULT_BYTES_LOG2;
    out->used_bytes = state->disk->state_bytes;
    uint64_t most = out->map_bytes / 10 * 9;
    out->room_bytes = most > out->used_bytes ? most - out->used_bytes : 0;
}

static void state_close(struct state_store *store)
{
    struct state_memory *state = self(store);
    ASSERT(!state->reading);
    struct storage_link *link;
    while ((link = queue_pop(&state->unwritten)) != NULL)
        write_job(state, (struct state_job *)link);
    if (install_waits(state))
        install(state);
    state->disk->state_store = NULL;
    free_store(state);
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

struct state_store *state_memory_open(struct memory_disk *disk,
                                      const struct storage_options *options)
{
    ASSERT(disk->state_store == NULL);
    memory_settle(disk);
    struct state_memory *state = memory_new(sizeof *state);
    state->base.ops = &ops;
    state->disk = disk;
    if (options != NULL)
        state->options = *options;
    STAILQ_INIT(&state->unwritten);
    STAILQ_INIT(&state->done);
    disk->state_store = state;
    return &state->base;
}
