/* tail.c - the newest log entries in memory, so that sending and applying rarely reads the disk.
 * Holds every entry that is not durable yet; of the durable ones as many as the bounds allow. */
#include "node_private.h"

#include <stdlib.h>

static struct tail_entry *slot(const struct tail *tail, raft_index index)
{
    return &tail->ring[index & (tail->capacity - 1)];
}

void tail_init(struct tail *tail, raft_index next)
{
    *tail = (struct tail){ .capacity = 1024, .first = next };
    tail->ring = memory_new_array(tail->capacity, sizeof *tail->ring);
}

static void drop_oldest(struct tail *tail)
{
    struct tail_entry *entry = slot(tail, tail->first);
    tail->bytes -= entry->record.size;
    blob_unref(entry->owner);
    tail->first++;
    tail->n--;
}

void tail_fini(struct tail *tail)
{
    while (tail->n > 0)
        drop_oldest(tail);
    free(tail->ring);
}

static void grow(struct tail *tail)
{
    struct tail bigger = *tail;
    bigger.capacity = 2 * tail->capacity;
    bigger.ring = memory_new_array(bigger.capacity, sizeof *bigger.ring);
    for (raft_index i = tail->first; i < tail->first + tail->n; i++)
        *slot(&bigger, i) = *slot(tail, i);
    free(tail->ring);
    *tail = bigger;
}

void tail_push(struct tail *tail, raft_index index, struct slice record, struct blob *owner)
{
    ASSERT(index == tail->first + tail->n);
    if (tail->n == tail->capacity)
        grow(tail);
    *slot(tail, index) = (struct tail_entry){ record, blob_ref(owner) };
    tail->n++;
    tail->bytes += record.size;
}

void tail_truncate(struct tail *tail, raft_index first)
{
    while (tail->n > 0 && tail->first + tail->n > first) {
        struct tail_entry *entry = slot(tail, tail->first + tail->n - 1);
        tail->bytes -= entry->record.size;
        blob_unref(entry->owner);
        tail->n--;
    }
    if (tail->n == 0)
        tail->first = first;
}

void tail_trim(struct tail *tail, raft_index durable)
{
    while (tail->n > 0 && tail->first <= durable &&
           (tail->bytes > TAIL_BYTES_MAX || tail->n > TAIL_ENTRIES_MAX))
        drop_oldest(tail);
}

bool tail_get(const struct tail *tail, raft_index index, struct slice *record)
{
    if (index < tail->first || index >= tail->first + tail->n)
        return false;
    *record = slot(tail, index)->record;
    return true;
}

/* Wraps the reader so that the log is left as soon as memory holds the rest. */
struct from_log {
    const struct tail *tail;
    raft_index next;
    bool stopped;
    log_read_fn *fn;
    void *arg;
};

static bool pass_on(void *arg, raft_index index, struct slice record)
{
    struct from_log *from = arg;
    ASSERT(index == from->next);
    if (!from->fn(from->arg, index, record)) {
        from->stopped = true;
        return false;
    }
    from->next++;
    return from->next < from->tail->first;
}

void node_read_entries(struct node *node, raft_index first, log_read_fn *fn, void *arg)
{
    if (first < node->tail.first) {
        struct from_log from = { &node->tail, first, false, fn, arg };
        enum err err = node->log->ops->read(node->log, first, pass_on, &from);
        if (err != OK)
            panic(err == ERR_IO ? EXIT_STATUS_IO : EXIT_STATUS_CORRUPT,
                  "the log entry %llu cannot be read (%s): this node stops, its log is left as it "
                  "is; give the node a new data directory and a new address to rejoin",
                  (unsigned long long)from.next, err_name(err));
        if (from.stopped)
            return;
        first = from.next;
    }
    struct slice record;
    while (tail_get(&node->tail, first, &record) && fn(arg, first, record))
        first++;
}
