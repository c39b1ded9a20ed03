/* memory_disk.c - a disk that is memory: it holds what was written, in the form in which it
 * would be stored, so that a flipped bit is noticed by the same checksums.  What is written
 * when, and what a crash loses, is for its owner to say. */
#include "memory_disk.h"
#include "meta.h"
#include "value.h"

#include <holdfast/clock.h>
#include <holdfast/panic.h>

#include <stdlib.h>

/* ---- the log */

struct blob *memory_log_at(const struct memory_log *log, raft_index index)
{
    if (index < log->first || index > log->last)
        return NULL;
    return log->slots[index & (log->capacity - 1)];
}

static void memory_log_drop(struct memory_log *log, raft_index index)
{
    struct blob *entry = memory_log_at(log, index);
    log->bytes -= entry->size;
    blob_unref(entry);
}

void memory_log_erase_from(struct memory_log *log, raft_index first)
{
    for (; log->last >= log->first && log->last >= first; log->last--)
        memory_log_drop(log, log->last);
}

void memory_log_move_base(struct memory_log *log, raft_index base, raft_term base_term)
{
    if (base <= log->base)
        return;
    log->base = base;
    log->base_term = base_term;
    for (; log->first <= log->last && log->first <= base; log->first++)
        memory_log_drop(log, log->first);
    if (log->first > log->last) {
        log->first = base + 1;
        log->last = base;
    }
}

static void memory_log_grow(struct memory_log *log)
{
    size_t capacity = log->capacity > 0 ? 2 * log->capacity : 256;
    struct blob **slots = memory_new_array(capacity, sizeof(struct blob *));
    for (raft_index i = log->first; i <= log->last; i++)
        slots[i & (capacity - 1)] = memory_log_at(log, i);
    free(log->slots);
    log->slots = slots;
    log->capacity = capacity;
}

void memory_log_append(struct memory_log *log, raft_index index, struct slice record)
{
    ASSERT(index == log->last + 1);
    if (log->last - log->first + 1 == log->capacity || log->capacity == 0)
        memory_log_grow(log);
    log->last = index;
    log->slots[index & (log->capacity - 1)] = blob_copy(record);
    log->bytes += record.size;
}

/* ---- meta */

void memory_meta_put(struct memory_disk *disk, const struct meta_put *row)
{
    uint32_t i = 0;
    while (i < disk->n_meta && strcmp(disk->meta[i].key, row->key) != 0)
        i++;
    if (i == disk->n_meta)
        disk->meta = memory_grow(disk->meta, ++disk->n_meta, sizeof *disk->meta);
    disk->meta[i] = *row;
}

const struct meta_put *memory_meta_get(const struct memory_disk *disk, const char *key)
{
    for (uint32_t i = 0; i < disk->n_meta; i++)
        if (strcmp(disk->meta[i].key, key) == 0)
            return &disk->meta[i];
    return NULL;
}

/* ---- the tables */

static int row_compare(const struct memory_row *a, const struct memory_row *b)
{
    return slice_compare(a->key, b->key);
}

/* RB_GENERATE_STATIC of libbsd relies on a name that its header leaves undefined on Linux. */
RB_GENERATE_INTERNAL(memory_table, memory_row, node, row_compare, static __attribute__((unused)))

struct memory_row *memory_table_seek(struct memory_table *table, struct slice key)
{
    struct memory_row like = { .key = key };
    return RB_NFIND(memory_table, table, &like);
}

struct memory_row *memory_table_first(struct memory_table *table)
{
    return RB_MIN(memory_table, table);
}

struct memory_row *memory_table_last(struct memory_table *table)
{
    return RB_MAX(memory_table, table);
}

struct memory_row *memory_table_next(struct memory_row *row)
{
    return RB_NEXT(memory_table, NULL, row);
}

struct memory_row *memory_table_prev(struct memory_row *row)
{
    return RB_PREV(memory_table, NULL, row);
}

struct memory_row *memory_row_new(struct slice key, size_t stored_size)
{
    struct memory_row *row = memory_new(sizeof *row + key.size);
    memcpy(row + 1, key.data, key.size);
    row->key = slice_of(row + 1, key.size);
    row->stored_size = stored_size;
    row->stored = memory_new(stored_size);
    return row;
}

size_t memory_row_bytes(const struct memory_row *row)
{
    return sizeof *row + row->key.size + row->stored_size;
}

static void row_free(struct memory_row *row)
{
    free(row->stored);
    free(row);
}

void memory_table_insert(struct memory_table *table, struct memory_row *row)
{
    RB_INSERT(memory_table, table, row);
}

void memory_table_delete(struct memory_disk *disk, enum state_table table, struct slice key)
{
    struct memory_row like = { .key = key };
    struct memory_row *row = RB_FIND(memory_table, &disk->tables[table], &like);
    if (row == NULL)
        return;
    RB_REMOVE(memory_table, &disk->tables[table], row);
    disk->state_bytes -= memory_row_bytes(row);
    row_free(row);
}

void memory_table_set(struct memory_disk *disk, enum state_table table, struct slice key,
                      struct slice content)
{
    size_t stored_size = content.size + value_overhead(table);
    struct memory_row like = { .key = key };
    struct memory_row *row = RB_FIND(memory_table, &disk->tables[table], &like);
    if (row == NULL) {
        row = memory_row_new(key, stored_size);
        memory_table_insert(&disk->tables[table], row);
    } else {
        disk->state_bytes -= memory_row_bytes(row);
        free(row->stored);
        row->stored_size = stored_size;
        row->stored = memory_new(stored_size);
    }
    value_store(table, key, content, row->stored);
    disk->state_bytes += memory_row_bytes(row);
}

void memory_tables_free(struct memory_table tables[STATE_TABLES])
{
    for (unsigned i = 0; i < STATE_TABLES; i++) {
        struct memory_row *row;
        while ((row = RB_ROOT(&tables[i])) != NULL) {
            RB_REMOVE(memory_table, &tables[i], row);
            row_free(row);
        }
    }
}

/* ---- the disk */

struct memory_disk *memory_disk_new(const struct identity *identity)
{
    static const unsigned char none[INCARNATION_SIZE];
    struct memory_disk *disk = memory_new(sizeof *disk);
    disk->identity = *identity;
    if (memcmp(identity->incarnation, none, INCARNATION_SIZE) == 0)
        random_bytes(disk->identity.incarnation, INCARNATION_SIZE);
    disk->log.first = 1;
    for (unsigned i = 0; i < STATE_TABLES; i++)
        RB_INIT(&disk->tables[i]);

    struct meta_put rows[IDENTITY_ROWS + VOTE_ROWS];
    meta_of_identity(&disk->identity, rows);
    meta_of_vote(0, 0, rows + IDENTITY_ROWS);
    for (unsigned i = 0; i < IDENTITY_ROWS + VOTE_ROWS; i++)
        memory_meta_put(disk, &rows[i]);
    char incarnation[INCARNATION_TEXT];
    meta_incarnation_text(disk->identity.incarnation, incarnation);
    memory_table_set(disk, TABLE_META, slice_text("format"), slice_text(STATE_FORMAT));
    memory_table_set(disk, TABLE_META, slice_text("incarnation"), slice_text(incarnation));
    struct meta_put cluster;
    meta_of_cluster(disk->identity.cluster, &cluster);
    memory_table_set(disk, TABLE_META, slice_text(cluster.key), slice_text(cluster.text));
    return disk;
}

void memory_disk_free(struct memory_disk *disk)
{
    if (disk == NULL)
        return;
    ASSERT(disk->log_store == NULL && disk->state_store == NULL && disk->snapshot_store == NULL);
    memory_log_erase_from(&disk->log, 0);
    free(disk->log.slots);
    free(disk->meta);
    memory_tables_free(disk->tables);
    memory_incoming_drop(disk);
    free(disk);
}

void memory_disk_identity(const struct memory_disk *disk, struct identity *out)
{
    *out = disk->identity;
}

void memory_disk_hold(struct memory_disk *disk, bool held)
{
    disk->held = held;
    while (!held && memory_disk_write(disk, false))
        ;
    while (!held && memory_disk_write(disk, true))
        ;
    while (!held && memory_disk_write_snapshot(disk))
        ;
}

bool memory_disk_write(struct memory_disk *disk, bool state)
{
    if (state)
        return disk->state_store != NULL && state_memory_write_one(disk->state_store);
    return disk->log_store != NULL && log_memory_write_one(disk->log_store);
}

void memory_disk_crash(struct memory_disk *disk, size_t kept_log, size_t kept_state)
{
    if (disk->log_store != NULL)
        log_memory_crash(disk->log_store, kept_log);
    if (disk->state_store != NULL)
        state_memory_crash(disk->state_store, kept_state);
    if (disk->snapshot_store != NULL)
        snapshot_memory_crash(disk->snapshot_store);
    disk->log_store = NULL;
    disk->state_store = NULL;
    disk->snapshot_store = NULL;
    if (!disk->incoming.verified && disk->incoming.size > disk->incoming.synced)
        disk->incoming.size = disk->incoming.synced;
}

bool memory_disk_write_snapshot(struct memory_disk *disk)
{
    return disk->snapshot_store != NULL && snapshot_memory_write_one(disk->snapshot_store);
}

size_t memory_disk_unwritten_snapshot(const struct memory_disk *disk)
{
    return disk->snapshot_store != NULL ? snapshot_memory_unwritten(disk->snapshot_store) : 0;
}

void memory_disk_fill(struct memory_disk *disk, bool full)
{
    disk->full = full;
}

size_t memory_disk_unwritten(const struct memory_disk *disk, bool state)
{
    if (state)
        return disk->state_store != NULL ? state_memory_unwritten(disk->state_store) : 0;
    return disk->log_store != NULL ? log_memory_unwritten(disk->log_store) : 0;
}

static bool flip(unsigned char *bytes, size_t size, size_t bit)
{
    if (size == 0)
        return false;
    bytes[bit / 8 % size] ^= (unsigned char)(1u << (bit % 8));
    return true;
}

bool memory_disk_corrupt_log(struct memory_disk *disk, raft_index index, size_t bit)
{
    struct blob *entry = memory_log_at(&disk->log, index);
    return entry != NULL && flip(entry->data, entry->size, bit);
}

bool memory_disk_corrupt_state(struct memory_disk *disk, enum state_table table, struct slice key,
                               size_t bit)
{
    struct memory_row like = { .key = key };
    struct memory_row *row = RB_FIND(memory_table, &disk->tables[table], &like);
    return row != NULL && flip(row->stored, row->stored_size, bit);
}

bool memory_disk_corrupt_snapshot(struct memory_disk *disk, bool incoming, size_t bit)
{
    struct slice newest = { NULL, 0 };
    if (incoming)
        return !disk->incoming.verified && flip(disk->incoming.bytes, disk->incoming.size, bit);
    if (disk->snapshot_store != NULL)
        newest = snapshot_memory_newest(disk->snapshot_store);
    return flip((unsigned char *)(uintptr_t)newest.data, newest.size, bit);
}

bool memory_disk_truncate_snapshot(struct memory_disk *disk, size_t size)
{
    struct memory_incoming *in = &disk->incoming;
    if (!in->begun || in->verified || in->size <= size)
        return false;
    in->size = size;
    in->synced = in->synced < size ? in->synced : size;
    return true;
}
