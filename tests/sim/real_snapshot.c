/* real_snapshot.c - tier 2: logs that begin later, snapshots that are hurt on their way, and what
 * must hold of both. */
#include "tests/sim/real.h"

#include <inttypes.h>
#include <stdlib.h>

/* ---- options: of dice of their own, so that the other options of a seed stay what they are */

void real_snapshot_options(struct real_world *w)
{
    struct sim_random dice = { .state = w->seed ^ UINT64_C(0x736e6170) };
    struct real_options *o = &w->options;
    static const uint32_t parts[] = { 64, 200, 700, 4096 };
    o->log_keep = UINT64_MAX;
    o->snapshot_part = parts[sim_below(&dice, 4)];
    o->snapshot_rate = sim_below(&dice, 3) == 0 ? sim_between(&dice, 5, 200) * 1000 : 0;
    o->snapshot_faults = sim_swarm(&dice, 200);
    if (sim_below(&dice, 3) == 0)
        return; /* nothing is dropped */
    o->log_keep = sim_below(&dice, 2) == 0 ? 1 : sim_between(&dice, 1, 60);
    if (sim_below(&dice, 3) == 0) { /* a storm (B56) */
        o->log_keep = 1;
        o->flush_ms = sim_between(&dice, 2, 20);
        w->marks[REAL_STORMS]++;
    }
}

/* ---- faults */

static int anybody_who_fetches(const struct real_world *w)
{
    for (uint32_t i = 0; i < w->options.n; i++)
        if (real_is_up(w, i) && w->node[i].node->fetch.phase != FETCH_IDLE)
            return (int)i;
    return -1;
}

static void hurt(struct real_world *w, uint32_t i, uint32_t sender)
{
    struct memory_disk *disk = w->node[i].disk;
    size_t bit = sim_below(&w->random, 1u << 16);
    bool done = false;
    switch (sim_below(&w->random, 4)) {
    case 0:
        done = memory_disk_corrupt_snapshot(disk, true, bit);
        break;
    case 1:
        done = memory_disk_corrupt_snapshot(w->node[sender].disk, false, bit);
        break;
    case 2:
        done = memory_disk_truncate_snapshot(disk, bit % 2000);
        break;
    default:
        memory_disk_fill(disk, true);
        w->marks[REAL_SNAPSHOT_DISK_FULL]++;
    }
    w->marks[REAL_SNAPSHOTS_HURT] += done;
}

/* Of who fetches or who sends; where a crash hits is as interesting as that it does. */
void real_snapshot_fault(struct real_world *w, void (*crash)(struct real_world *, uint32_t))
{
    int fetcher = anybody_who_fetches(w);
    for (uint32_t i = 0; i < w->options.n; i++)
        if (w->node[i].disk->full && sim_below(&w->random, 3) == 0)
            memory_disk_fill(w->node[i].disk, false);
    if (fetcher < 0 || !sim_chance(&w->random, w->options.snapshot_faults))
        return;
    uint32_t i = (uint32_t)fetcher;
    raft_id from = w->node[i].node->fetch.from;
    uint32_t sender = from != 0 ? real_place(w, from) : i;
    switch (sim_below(&w->random, 3)) {
    case 0:
        w->marks[REAL_CRASHES_OF_FETCHER]++;
        if (sim_below(&w->random, 2) == 0) /* what nobody flushed may be on the disk all the same */
            w->node[i].disk->incoming.synced = w->node[i].disk->incoming.size;
        crash(w, i);
        break;
    case 1:
        w->marks[REAL_CRASHES_OF_SENDER]++;
        crash(w, sender);
        break;
    default:
        hurt(w, i, sender);
    }
}

void real_snapshot_heal(struct real_world *w)
{
    for (uint32_t i = 0; i < w->options.n; i++)
        memory_disk_fill(w->node[i].disk, false);
}

/* ---- what must hold */

static uint64_t meta_number(const struct memory_disk *disk, const char *key)
{
    char text[32] = "";
    struct memory_table *meta = (struct memory_table *)&disk->tables[TABLE_META];
    struct memory_row *row = memory_table_seek(meta, slice_text(key));
    if (row == NULL || !slice_equal(row->key, slice_text(key)) || row->stored_size >= sizeof text)
        return 0;
    memcpy(text, row->stored, row->stored_size);
    return strtoull(text, NULL, 10);
}

static raft_index pending_install(const struct memory_disk *disk)
{
    const struct meta_put *row = memory_meta_get(disk, "install");
    raft_index index = row != NULL ? strtoull(row->text, NULL, 10) : 0;
    return index > meta_number(disk, "applied_index") ? index : 0;
}

/* Only what the state on disk holds, or a verified snapshot that will replace it, may be dropped. */
void real_check_base(struct real_world *w, uint32_t i)
{
    const struct real_node *m = &w->node[i];
    const struct memory_disk *disk = m->disk;
    raft_index applied = meta_number(disk, "applied_index"), pending = pending_install(disk);
    MUST(disk->log.base <= applied || (pending >= disk->log.base && disk->incoming.verified),
         "the log of n%u begins behind entry %" PRIu64 ", its state on disk ends at entry %" PRIu64, i + 1,
         disk->log.base, applied);
    MUST(disk->log.base <= w->committed, "n%u has dropped entries that nobody committed", i + 1);
}

void real_snapshot_start(struct real_world *w, uint32_t i)
{
    w->marks[REAL_INSTALLS_PENDING] += pending_install(w->node[i].disk) != 0;
}

/* At the end of a life. */
void real_snapshot_count(struct real_world *w, const struct node_stats *stats)
{
    w->marks[REAL_COMPACTIONS] += stats->compactions;
    w->marks[REAL_COPIES] += stats->snapshot_copies;
    w->marks[REAL_PARTS] += stats->snapshot_parts_in;
    w->marks[REAL_PARTS_REPEATED] += stats->snapshot_parts_repeated;
    w->marks[REAL_FETCHES_RESUMED] += stats->snapshots_resumed;
    w->marks[REAL_SNAPSHOTS_SENT] += stats->snapshots_sent;
    w->marks[REAL_INSTALLS] += stats->snapshots_installed;
    w->marks[REAL_SNAPSHOTS_REFUSED] += stats->snapshots_damaged;
}
