/* memory_disk.h - what the memory stores keep on the disk that they share. */
#ifndef HOLDFAST_STORAGE_MEMORY_DISK_H
#define HOLDFAST_STORAGE_MEMORY_DISK_H

#include "queue.h"

#include <holdfast/storage.h>

#include <bsd/sys/tree.h>

/* Entries first .. last in a ring: entry i is at slots[i & (capacity - 1)]. */
struct memory_log {
    struct blob **slots;
    size_t capacity; /* 0 or a power of two */
    raft_index base;        /* the log begins after it */
    raft_term base_term;
    raft_index first, last; /* empty: first > last, last == base */
    size_t bytes;
};

struct memory_row {
    RB_ENTRY(memory_row) node;
    struct slice key;    /* inside the row's allocation */
    size_t stored_size;  /* content and checksum, as in LMDB */
    unsigned char *stored;
};

RB_HEAD(memory_table, memory_row);

struct memory_incoming {
    bool begun, verified;
    struct snapshot_info info;
    unsigned char *bytes;  /* room for info.size */
    size_t size, synced;   /* what is here; what survives a crash */
};

struct log_memory;
struct state_memory;
struct snapshot_memory;

struct memory_disk {
    struct identity identity;
    bool held, full;

    struct memory_log log;
    raft_term term;
    raft_id vote;
    struct meta_put *meta;
    uint32_t n_meta;

    struct memory_table tables[STATE_TABLES];
    size_t state_bytes;
    struct memory_incoming incoming;

    struct log_memory *log_store;     /* open on this disk, or NULL */
    struct state_memory *state_store;
    struct snapshot_memory *snapshot_store;
};

/* What happens to an open store from outside it. */
bool log_memory_write_one(struct log_memory *store);
size_t log_memory_unwritten(const struct log_memory *store);
void log_memory_crash(struct log_memory *store, size_t kept);
bool state_memory_write_one(struct state_memory *store);
size_t state_memory_unwritten(const struct state_memory *store);
void state_memory_crash(struct state_memory *store, size_t kept);

bool snapshot_memory_write_one(struct snapshot_memory *store);
size_t snapshot_memory_unwritten(const struct snapshot_memory *store);
void snapshot_memory_crash(struct snapshot_memory *store);
struct slice snapshot_memory_newest(struct snapshot_memory *store); /* size 0: no copy is there */

/* The incoming, verified snapshot becomes the state; the one before moves to `old`. */
void memory_install(struct memory_disk *disk, struct memory_table old[STATE_TABLES]);
/* At opening: finishes what the log's row `install` asks for; state and log must meet. */
void memory_settle(struct memory_disk *disk);
void memory_incoming_drop(struct memory_disk *disk);

/* The platters. */
void memory_log_erase_from(struct memory_log *log, raft_index first);
void memory_log_move_base(struct memory_log *log, raft_index base, raft_term base_term);
void memory_log_append(struct memory_log *log, raft_index index, struct slice record);
struct blob *memory_log_at(const struct memory_log *log, raft_index index); /* NULL: not there */

void memory_meta_put(struct memory_disk *disk, const struct meta_put *row);
const struct meta_put *memory_meta_get(const struct memory_disk *disk, const char *key);

void memory_table_set(struct memory_disk *disk, enum state_table table, struct slice key,
                      struct slice content);
void memory_table_delete(struct memory_disk *disk, enum state_table table, struct slice key);
/* `row` is in no table. */
void memory_table_insert(struct memory_table *table, struct memory_row *row);
struct memory_row *memory_row_new(struct slice key, size_t stored_size);
size_t memory_row_bytes(const struct memory_row *row);
void memory_tables_free(struct memory_table tables[STATE_TABLES]);
/* The first row >= key; NULL: none. */
struct memory_row *memory_table_seek(struct memory_table *table, struct slice key);
struct memory_row *memory_table_first(struct memory_table *table);
struct memory_row *memory_table_last(struct memory_table *table);
struct memory_row *memory_table_next(struct memory_row *row);
struct memory_row *memory_table_prev(struct memory_row *row);

#endif
