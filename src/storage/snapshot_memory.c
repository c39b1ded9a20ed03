/* snapshot_memory.c - the snapshot store on a memory disk: one thread, the same contract.
 *
 * A copy is the rows of all tables one after another, each as it is stored, so that the same
 * tables always give the same bytes:
 *
 *     table (1), size of key (4), size of what is stored (4), key, what is stored */
#include "memory_disk.h"
#include "meta.h"
#include "snapshot_check.h"
#include "snapshot_info.h"
#include "value.h"

#include <holdfast/mutant.h>
#include <holdfast/panic.h>

#include <stdlib.h>

enum { ROW_HEAD = 9, SYNC_EVERY = 4096 };

struct memory_copy {
    uint64_t number; /* 0: a free place */
    struct blob *bytes;
};

struct snapshot_memory {
    struct snapshot_store base;
    struct memory_disk *disk;
    struct storage_options options;
    struct storage_queue unwritten, done;
    size_t n_unwritten;
    uint64_t last_number;
    struct memory_copy copies[SNAPSHOT_FILES_MAX];
};

static struct snapshot_memory *self(struct snapshot_store *store)
{
    return (struct snapshot_memory *)store;
}

/* ---- tables as bytes */

static void put32(unsigned char *out, size_t number)
{
    for (unsigned i = 0; i < 4; i++)
        out[i] = (unsigned char)(number >> (8 * i));
}

static size_t get32(const unsigned char *in)
{
    return in[0] | (size_t)in[1] << 8 | (size_t)in[2] << 16 | (size_t)in[3] << 24;
}

static struct blob *encode(struct memory_table tables[STATE_TABLES])
{
    size_t size = 0;
    for (unsigned i = 0; i < STATE_TABLES; i++)
        for (struct memory_row *row = memory_table_first(&tables[i]); row != NULL;
             row = memory_table_next(row))
            size += ROW_HEAD + row->key.size + row->stored_size;
    struct blob *bytes = blob_new(size);
    unsigned char *at = bytes->data;
    for (unsigned i = 0; i < STATE_TABLES; i++)
        for (struct memory_row *row = memory_table_first(&tables[i]); row != NULL;
             row = memory_table_next(row)) {
            at[0] = (unsigned char)i;
            put32(at + 1, row->key.size);
            put32(at + 5, row->stored_size);
            memcpy(at + ROW_HEAD, row->key.data, row->key.size);
            memcpy(at + ROW_HEAD + row->key.size, row->stored, row->stored_size);
            at += ROW_HEAD + row->key.size + row->stored_size;
        }
    return bytes;
}

/* Into empty tables. False: these are no tables. */
static bool decode(struct slice bytes, struct memory_table tables[STATE_TABLES])
{
    const unsigned char *at = bytes.data;
    size_t rest = bytes.size;
    for (unsigned i = 0; i < STATE_TABLES; i++)
        RB_INIT(&tables[i]);
    while (rest > 0) {
        if (rest < ROW_HEAD || at[0] >= STATE_TABLES)
            return false;
        size_t key = get32(at + 1), stored = get32(at + 5);
        if (key == 0 || key > KEY_SIZE_MAX || rest - ROW_HEAD < key ||
            rest - ROW_HEAD - key < stored)
            return false;
        struct memory_row *row = memory_row_new(slice_of(at + ROW_HEAD, key), stored);
        memcpy(row->stored, at + ROW_HEAD + key, stored);
        memory_table_insert(&tables[at[0]], row);
        at += ROW_HEAD + key + stored;
        rest -= ROW_HEAD + key + stored;
    }
    return true;
}

/* ---- what tables say of themselves */

static bool meta_text(struct memory_table *meta, const char *key, char out[META_TEXT_MAX])
{
    struct memory_row *row = memory_table_seek(meta, slice_text(key));
    if (row == NULL || !slice_equal(row->key, slice_text(key)) || row->stored_size >= META_TEXT_MAX)
        return false;
    memset(out, 0, META_TEXT_MAX);
    memcpy(out, row->stored, row->stored_size);
    return true;
}

static uint64_t meta_number(struct memory_table *meta, const char *key, uint64_t absent)
{
    char text[META_TEXT_MAX];
    uint64_t number = absent;
    if (meta_text(meta, key, text) && !meta_parse_decimal(text, &number))
        number = absent;
    return number;
}

static void read_rows(struct memory_table *meta, struct snapshot_rows *out)
{
    char text[META_TEXT_MAX];
    *out = (struct snapshot_rows){ 0 };
    out->info.index = meta_number(meta, "applied_index", 0);
    out->info.term = meta_number(meta, "applied_term", 0);
    out->info.revision = meta_number(meta, "revision", 1);
    out->info.keys = meta_number(meta, "keys", 0);
    out->has_digest = meta_text(meta, "digest", text) && meta_parse_id(text, &out->info.digest);
    out->has_cluster = meta_text(meta, "cluster", text) && meta_parse_id(text, &out->cluster);
}

static bool walk(struct memory_table tables[STATE_TABLES], const struct snapshot_rows *rows)
{
    uint64_t sum = 0, keys = 0;
    for (unsigned i = 0; i < STATE_TABLES; i++)
        for (struct memory_row *row = memory_table_first(&tables[i]); row != NULL;
             row = memory_table_next(row)) {
            struct slice content;
            uint64_t item;
            if (value_load_sum((enum state_table)i, row->key,
                               slice_of(row->stored, row->stored_size), &content, &item) != OK)
                return false;
            sum += item;
            keys += i == TABLE_KV;
        }
    return keys == rows->info.keys &&
           (!rows->has_digest ||
            rows->info.digest == snapshot_digest(sum, rows->info.revision, keys));
}

/* ---- outgoing */

static struct memory_copy *find_copy(struct snapshot_memory *store, uint64_t number)
{
    for (unsigned i = 0; i < SNAPSHOT_FILES_MAX; i++)
        if (store->copies[i].number == number)
            return &store->copies[i];
    return NULL;
}

struct slice snapshot_memory_newest(struct snapshot_memory *store)
{
    struct slice newest = { NULL, 0 };
    for (uint64_t number = store->last_number; number > 0 && newest.size == 0; number--) {
        struct memory_copy *copy = find_copy(store, number);
        if (copy != NULL)
            newest = blob_slice(copy->bytes);
    }
    return newest;
}

static enum err make_copy(struct snapshot_memory *store, struct snapshot_job *job)
{
    struct memory_copy *copy = find_copy(store, 0);
    struct snapshot_rows rows;
    if (copy == NULL)
        return ERR_OVERLOADED;
    if (store->disk->full)
        return ERR_NO_SPACE;
    copy->number = ++store->last_number;
    copy->bytes = encode(store->disk->tables);
    read_rows(&store->disk->tables[TABLE_META], &rows);
    job->info = rows.info;
    job->info.size = copy->bytes->size;
    job->info.checksum = checksum(0, blob_slice(copy->bytes));
    job->file = copy->number;
    return OK;
}

static enum err read_part(struct snapshot_memory *store, struct snapshot_job *job)
{
    struct memory_copy *copy = job->file > 0 ? find_copy(store, job->file) : NULL;
    if (copy == NULL)
        return ERR_NOT_FOUND;
    size_t size = copy->bytes->size;
    size_t from = job->offset < size ? (size_t)job->offset : size;
    size_t part = size - from < job->size ? size - from : job->size;
    job->bytes = blob_copy(slice_of(copy->bytes->data + from, part));
    return OK;
}

static enum err drop_copy(struct snapshot_memory *store, uint64_t number)
{
    struct memory_copy *copy = number > 0 ? find_copy(store, number) : NULL;
    if (copy == NULL)
        return ERR_NOT_FOUND;
    blob_unref(copy->bytes);
    *copy = (struct memory_copy){ 0 };
    return OK;
}

/* ---- incoming */

void memory_incoming_drop(struct memory_disk *disk)
{
    free(disk->incoming.bytes);
    disk->incoming = (struct memory_incoming){ 0 };
}

static enum err begin(struct snapshot_memory *store, struct snapshot_job *job)
{
    struct memory_disk *disk = store->disk;
    struct memory_incoming *in = &disk->incoming;
    uint64_t map = store->options.state_map_bytes;
    if (!in->begun || !snapshot_info_equal(&in->info, &job->info)) {
        memory_incoming_drop(disk);
        if (job->info.size == 0)
            return ERR_CORRUPT;
        if (disk->full || (map > 0 && job->info.size > map / 10 * 9))
            return ERR_NO_SPACE;
        in->begun = true;
        in->info = job->info;
        in->bytes = memory_new((size_t)job->info.size);
    }
    job->offset = in->size;
    return OK;
}

static enum err write_part(struct memory_disk *disk, const struct snapshot_job *job)
{
    struct memory_incoming *in = &disk->incoming;
    if (!in->begun)
        return ERR_NOT_FOUND;
    if (in->verified || job->offset != in->size || job->bytes->size > in->info.size - in->size)
        return ERR_CORRUPT;
    if (disk->full) {
        memory_incoming_drop(disk);
        return ERR_NO_SPACE;
    }
    memcpy(in->bytes + in->size, job->bytes->data, job->bytes->size);
    in->size += job->bytes->size;
    in->synced = in->size / SYNC_EVERY * SYNC_EVERY;
    return OK;
}

static enum err check_incoming(const struct memory_disk *disk)
{
    const struct memory_incoming *in = &disk->incoming;
    struct slice bytes = slice_of(in->bytes, in->size);
    struct memory_table tables[STATE_TABLES];
    struct snapshot_rows rows;
    if (in->size != in->info.size || checksum(0, bytes) != in->info.checksum)
        return ERR_CORRUPT;
    enum err err = ERR_CORRUPT;
    if (decode(bytes, tables)) {
        const struct snapshot_info *info = &in->info;
        read_rows(&tables[TABLE_META], &rows);
        if (rows.has_cluster && rows.cluster != disk->identity.cluster)
            err = ERR_FOREIGN;
        else if (rows.info.index == info->index && rows.info.term == info->term &&
                 rows.info.revision == info->revision && rows.info.keys == info->keys &&
                 rows.info.digest == info->digest && walk(tables, &rows))
            err = OK;
    }
    memory_tables_free(tables);
    return err;
}

static enum err verify(struct memory_disk *disk)
{
    if (!disk->incoming.begun)
        return ERR_NOT_FOUND;
    enum err err = check_incoming(disk);
    if (err != OK)
        memory_incoming_drop(disk);
    else
        disk->incoming.verified = true;
    return err;
}

/* ---- installation */

void memory_install(struct memory_disk *disk, struct memory_table old[STATE_TABLES])
{
    struct memory_incoming *in = &disk->incoming;
    char incarnation[INCARNATION_TEXT];
    struct meta_put cluster;
    ASSERT(in->begun && in->verified);
    memcpy(old, disk->tables, sizeof disk->tables);
    bool whole = decode(slice_of(in->bytes, in->size), disk->tables);
    ASSERT(whole);
    disk->state_bytes = 0;
    for (unsigned i = 0; i < STATE_TABLES; i++)
        for (struct memory_row *row = memory_table_first(&disk->tables[i]); row != NULL;
             row = memory_table_next(row))
            disk->state_bytes += memory_row_bytes(row);
    if (mutant("snapshot-loses-revision"))
        memory_table_set(disk, TABLE_META, slice_text("revision"), slice_text("1"));
    meta_incarnation_text(disk->identity.incarnation, incarnation);
    meta_of_cluster(disk->identity.cluster, &cluster);
    memory_table_set(disk, TABLE_META, slice_text("incarnation"), slice_text(incarnation));
    memory_table_set(disk, TABLE_META, slice_text(cluster.key), slice_text(cluster.text));
    memory_incoming_drop(disk);
}

void memory_settle(struct memory_disk *disk)
{
    const struct meta_put *row = memory_meta_get(disk, "install");
    struct memory_table *meta = &disk->tables[TABLE_META];
    raft_index install = row != NULL ? strtoull(row->text, NULL, 10) : 0;
    if (install > meta_number(meta, "applied_index", 0)) {
        struct memory_table old[STATE_TABLES];
        ASSERT(disk->incoming.verified && disk->incoming.info.index == install);
        memory_install(disk, old);
        memory_tables_free(old);
    }
    /* B53: no entry is missing between them; what LMDB's stores refuse, only a bug can bring here. */
    ASSERT(disk->log.base <= meta_number(meta, "applied_index", 0));
}

/* ---- jobs */

static enum err work(struct snapshot_memory *store, struct snapshot_job *job)
{
    switch (job->type) {
    case SNAPSHOT_COPY:
        return make_copy(store, job);
    case SNAPSHOT_READ:
        return read_part(store, job);
    case SNAPSHOT_DROP:
        return drop_copy(store, job->file);
    case SNAPSHOT_BEGIN:
        return begin(store, job);
    case SNAPSHOT_WRITE:
        return write_part(store->disk, job);
    case SNAPSHOT_VERIFY:
        return verify(store->disk);
    case SNAPSHOT_ABORT:
        memory_incoming_drop(store->disk);
        return OK;
    }
    return ERR_INTERNAL;
}

bool snapshot_memory_write_one(struct snapshot_memory *store)
{
    struct storage_link *link = queue_pop(&store->unwritten);
    if (link == NULL)
        return false;
    struct snapshot_job *job = (struct snapshot_job *)link;
    store->n_unwritten--;
    job->err = work(store, job);
    STAILQ_INSERT_TAIL(&store->done, link, next);
    if (store->options.wake != NULL)
        store->options.wake(store->options.wake_arg);
    return true;
}

size_t snapshot_memory_unwritten(const struct snapshot_memory *store)
{
    return store->n_unwritten;
}

static void snapshot_submit(struct snapshot_store *base, struct snapshot_job *job)
{
    struct snapshot_memory *store = self(base);
    ASSERT(job->type != SNAPSHOT_READ || (job->size <= SNAPSHOT_PART_MAX && job->bytes == NULL));
    ASSERT(job->type != SNAPSHOT_WRITE || job->bytes != NULL);
    STAILQ_INSERT_TAIL(&store->unwritten, &job->link, next);
    store->n_unwritten++;
    while (!store->disk->held && snapshot_memory_write_one(store))
        ;
}

static void snapshot_drain(struct snapshot_store *base, snapshot_done_fn *done, void *arg)
{
    struct storage_queue ready = STAILQ_HEAD_INITIALIZER(ready);
    STAILQ_CONCAT(&ready, &self(base)->done);
    struct storage_link *link;
    while ((link = queue_pop(&ready)) != NULL) {
        struct snapshot_job *job = (struct snapshot_job *)link;
        if (job->type == SNAPSHOT_WRITE) {
            blob_unref(job->bytes);
            job->bytes = NULL;
        }
        done(arg, job);
    }
}

/* The jobs are the submitter's, but for the bytes that they gave, or were not given any more. */
static void free_bytes(struct storage_queue *jobs)
{
    struct storage_link *link;
    while ((link = queue_pop(jobs)) != NULL) {
        struct snapshot_job *job = (struct snapshot_job *)link;
        if (job->type == SNAPSHOT_WRITE || job->type == SNAPSHOT_READ) {
            blob_unref(job->bytes);
            job->bytes = NULL;
        }
    }
}

void snapshot_memory_crash(struct snapshot_memory *store)
{
    for (unsigned i = 0; i < SNAPSHOT_FILES_MAX; i++)
        blob_unref(store->copies[i].bytes);
    free_bytes(&store->unwritten);
    free_bytes(&store->done);
    free(store);
}

static void snapshot_close(struct snapshot_store *base)
{
    struct snapshot_memory *store = self(base);
    store->disk->snapshot_store = NULL;
    snapshot_memory_crash(store);
}

static const struct snapshot_store_ops ops = {
    .submit = snapshot_submit,
    .drain = snapshot_drain,
    .close = snapshot_close,
};

struct snapshot_store *snapshot_memory_open(struct memory_disk *disk,
                                            const struct storage_options *options)
{
    ASSERT(disk->snapshot_store == NULL);
    struct snapshot_memory *store = memory_new(sizeof *store);
    store->base.ops = &ops;
    store->disk = disk;
    if (options != NULL)
        store->options = *options;
    STAILQ_INIT(&store->unwritten);
    STAILQ_INIT(&store->done);
    disk->snapshot_store = store;
    return &store->base;
}
