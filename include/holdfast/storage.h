/* storage.h - what survives: the log store and the state store.
 *
 * Each is a small table of functions with two implementations: LMDB, with a writer thread of
 * its own, and a memory twin that models crashes.  The loop thread calls everything here;
 * jobs go down with submit, come back up in order when the loop calls drain.  A job belongs
 * to the store from submit until its completion is delivered.
 *
 * A failed commit is the end of the process (panic, EXIT_STATUS_IO), except a full disk or
 * map, found before anything is written (ERR_NO_SPACE).  A record that does not match its
 * checksum gives ERR_CORRUPT to whoever reads it; the caller stops serving. */
#ifndef HOLDFAST_STORAGE_H
#define HOLDFAST_STORAGE_H

#include <holdfast/blob.h>
#include <holdfast/err.h>
#include <holdfast/wire.h>

#include <sys/queue.h>

/* Chains jobs while a store owns them; first in every job. */
struct storage_link {
    STAILQ_ENTRY(storage_link) next;
};

/* ---- the log: entries, term and vote, and readable meta */

struct log_entry {
    struct slice record; /* as encoded by wire.h: header and payload */
    struct blob *owner;  /* a reference that keeps `record` alive; the job holds it */
};

enum { META_KEY_MAX = 64, META_TEXT_MAX = 512 };

struct meta_put {
    char key[META_KEY_MAX];
    char text[META_TEXT_MAX];
};

/* One durable write: everything in it is one transaction. */
struct log_job {
    struct storage_link link;   /* the store's while it owns the job */
    raft_ticket ticket;         /* 0: a meta-only job */
    bool save_vote;
    raft_term term;
    raft_id vote;
    raft_index base;            /* not 0: erases all entries up to base, whose term is remembered with
                                   it; done before `first`.  Never goes back: a lower one is ignored */
    raft_term base_term;
    raft_index first;           /* 0: leaves entries alone; else erases the log from `first` on, */
    uint32_t n;                 /* then stores n entries at first, first + 1, ... */
    struct log_entry *entries;  /* array owned by the job */
    uint32_t n_meta;
    struct meta_put *meta;      /* array owned by the job */
    uint64_t submitted_us;      /* the submitter's clock, for its own statistics */
};

struct log_job *log_job_new(uint32_t n_entries, uint32_t n_meta);
void log_job_free(struct log_job *job); /* drops the owners' references; NULL is fine */

/* What the log held when it was opened. */
struct log_boot {
    raft_term term;
    raft_id vote;
    raft_index base;         /* the log begins after it; 0 if nothing was ever compacted */
    raft_term base_term;
    raft_index first, last;  /* first > last: empty; then last == base */
    struct raft_run *runs;   /* malloc'ed; the caller frees it */
    uint32_t n_runs;
};

struct log_stats {
    uint64_t commits, entries_written, bytes_written;
    uint64_t commit_us_total, commit_us_max; /* time in the transactions' commits */
    uint64_t map_bytes, used_bytes;          /* pages in use, not file size */
    uint64_t room_bytes; /* so much more may be stored, by map and disk, and the store still works */
};

struct log_store;

typedef void log_done_fn(void *arg, struct log_job *job /* takes */);
/* Called for consecutive entries; `record` is valid until read returns.  Return false to stop. */
typedef bool log_read_fn(void *arg, raft_index index, struct slice record);

struct log_store_ops {
    void (*submit)(struct log_store *, struct log_job *job /* takes */);
    /* Delivers the finished jobs, oldest first. */
    void (*drain)(struct log_store *, log_done_fn *done, void *arg);
    /* Entries from `first` up to the last durable one or until fn says stop. ERR_NOT_FOUND if
     * `first` is not there, ERR_CORRUPT if a record's checksum does not match. */
    enum err (*read)(struct log_store *, raft_index first, log_read_fn *fn, void *arg);
    enum err (*boot)(struct log_store *, struct log_boot *out);
    /* Durable text; `out` has META_TEXT_MAX bytes. ERR_NOT_FOUND if there is no such key. */
    enum err (*meta_get)(struct log_store *, const char *key, char *out);
    void (*stats)(struct log_store *, struct log_stats *out);
    void (*close)(struct log_store *); /* finishes what was submitted, frees the store */
};

struct log_store { /* embedded first in each implementation */
    const struct log_store_ops *ops;
};

/* ---- the state: tables of bytes, written in whole batches, read at leisure */

enum state_table {
    TABLE_META,    /* readable text: applied index and term, revision, ... */
    TABLE_KV,
    TABLE_MEMBERS, /* id (8 bytes, big-endian) -> what the member announced */
    STATE_TABLES
};

struct state_change {
    enum state_table table;
    struct slice key;
    struct slice value; /* data NULL: delete the key */
};

/* One batch: one transaction.  The bytes are borrowed from the submitter until done. */
struct state_job {
    struct storage_link link;
    struct state_change *changes; /* sorted by table, then key; no key twice */
    size_t n;
    void *owner;                  /* the submitter's */
};

struct state_stats {
    uint64_t commits, changes_written, commit_us_total, commit_us_max;
    uint64_t map_bytes, used_bytes, room_bytes;
};

struct state_store;
struct state_cursor; /* an ordered walk over one table within one read */

typedef void state_done_fn(void *arg, struct state_job *job);
/* OK; a failure ends the process. */
typedef void state_installed_fn(void *arg);

struct state_store_ops {
    void (*submit)(struct state_store *, struct state_job *job /* until done */);
    void (*drain)(struct state_store *, state_done_fn *done, void *arg);

    /* A read sees one consistent state from begin to end; slices live until end.  Not nested;
     * to be ended within the same call of a handler, since an open read pins pages. */
    enum err (*read_begin)(struct state_store *);
    void (*read_end)(struct state_store *);
    enum err (*get)(struct state_store *, enum state_table, struct slice key, struct slice *value);
    struct state_cursor *(*cursor_open)(struct state_store *, enum state_table);
    void (*cursor_close)(struct state_cursor *);
    /* Places the cursor on the first key >= `key` (forward) or the last key <= `key` (backward);
     * `key` of size 0: the first, or the last, of all.  ERR_NOT_FOUND: there is none. */
    enum err (*seek)(struct state_cursor *, struct slice key, bool backward, struct slice *found_key,
                     struct slice *value);
    enum err (*step)(struct state_cursor *, bool backward, struct slice *found_key,
                     struct slice *value);

    /* Replaces the whole state by the received snapshot that SNAPSHOT_VERIFY has found good, in the
     * writer's turn, crash-safe (docs/STORAGE.md).  No job may be out or submitted until
     * the completion comes through drain; reads see the old state before, the new one after.
     * The log's meta row `install` has been made durable before: "<index> <term>". */
    void (*install)(struct state_store *, state_installed_fn *done, void *arg);

    void (*stats)(struct state_store *, struct state_stats *out);
    void (*close)(struct state_store *);
};

struct state_store {
    const struct state_store_ops *ops;
};

/* ---- snapshots: copies of the state as files, made and checked by a thread of their own
 *
 * Outgoing: SNAPSHOT_COPY makes a consistent copy of the state, an LMDB file by itself
 * (`mdb_stat -n`).  It stays until dropped; at most SNAPSHOT_FILES_MAX at a time, and none
 * outlives the process.  Incoming: one at a time, written part by part at `snapshot.incoming`,
 * verified, then installed (state_store_ops.install).  One that was begun with the same info goes
 * on where it stopped, also after a restart.  From the log job with the row `install` on, until
 * the installation is complete, no BEGIN and no ABORT. */

enum {
    SNAPSHOT_FILES_MAX = 3,
    CONFIGURATION_TEXT_MAX = 8 * 1024,
};

struct snapshot_info {
    raft_index index; /* the applied index that it holds */
    raft_term term;
    uint64_t revision, keys, digest;
    uint64_t size;     /* bytes of the file */
    uint64_t checksum; /* XXH3 of the whole file, seed 0 */
};

enum snapshot_job_type {
    SNAPSHOT_COPY,   /* -> info, file (a number that names it until SNAPSHOT_DROP) */
    SNAPSHOT_READ,   /* file, offset, size -> bytes */
    SNAPSHOT_DROP,   /* file */
    SNAPSHOT_BEGIN,  /* info: what will come -> offset: how much of just that is here already (all
                        of it if it was verified before).  What else is here is dropped */
    SNAPSHOT_WRITE,  /* offset (where the last one ended), bytes.  ERR_CORRUPT: it does not follow, or
                        passes info.size; nothing is written, BEGIN tells where to go on.
                        ERR_NO_SPACE, ERR_IO: dropped */
    SNAPSHOT_VERIFY, /* size, checksum, every record's checksum, digest; made ours; fsynced.
                        ERR_CORRUPT: dropped */
    SNAPSHOT_ABORT,  /* drops the incoming one */
};

struct snapshot_job {
    struct storage_link link;
    enum snapshot_job_type type;
    uint64_t file, offset;
    size_t size;
    struct blob *bytes;        /* WRITE: the job's reference; READ: the answer, the submitter's */
    struct snapshot_info info;
    enum err err;              /* OK, ERR_IO, ERR_NO_SPACE, ERR_CORRUPT, ERR_NOT_FOUND (no such file),
                                  ERR_FOREIGN (VERIFY: of another cluster; dropped), ERR_OVERLOADED
                                  (SNAPSHOT_FILES_MAX): none of them ends the process */
    void *user;                /* the submitter's */
};

struct snapshot_store;
typedef void snapshot_done_fn(void *arg, struct snapshot_job *job);

struct snapshot_store_ops {
    void (*submit)(struct snapshot_store *, struct snapshot_job *job /* until done */);
    void (*drain)(struct snapshot_store *, snapshot_done_fn *done, void *arg);
    void (*close)(struct snapshot_store *); /* waits for the job under way; drops outgoing files */
};

struct snapshot_store {
    const struct snapshot_store_ops *ops;
};

/* ---- LMDB */

/* Called from a writer thread when a completion waits: wakes the loop, which then drains. */
typedef void storage_wake_fn(void *arg);

/* What is written into a new directory, and must be found in an old one. */
struct identity {
    uint64_t cluster;
    raft_id id;
    unsigned char incarnation[INCARNATION_SIZE]; /* drawn when created, else read */
    char name[NODE_NAME_MAX + 1];
    char raft_addr[ADDRESS_MAX + 1];
    char members[META_TEXT_MAX]; /* the first configuration's raft addresses, sorted, by commas */
};

/* A data directory, created whole or not at all, locked for life.  Holds `log/` and `state/`. */
struct data_directory {
    char *path;
    int lock_fd;
    bool created; /* by this call: it was absent or empty before */
    struct identity identity;
};

enum { STORAGE_MESSAGE_MAX = 512 };

/* Opens or creates.  `identity` says who we are; its incarnation is filled in.  On failure
 * (ERR_LOCKED, ERR_FOREIGN, ERR_IO, ERR_NO_SPACE, ERR_CORRUPT) `message` (STORAGE_MESSAGE_MAX)
 * holds a sentence for people that names the directory and what to do. */
MUST_CHECK enum err data_directory_open(const char *path, struct identity *identity,
                                        struct data_directory **out, char *message);
void data_directory_close(struct data_directory *dir);
/* Whose directory it is, without opening it for use.  ERR_NOT_FOUND: nobody's yet; ERR_IO, ERR_CORRUPT
 * or ERR_FOREIGN with a sentence. */
MUST_CHECK enum err data_directory_identity(const char *path, struct identity *out, char *message);

/* Of LMDB, as it runs: "0.9.24".  Main thread, at start. */
const char *storage_version(void);

struct storage_options {
    uint64_t log_map_bytes, state_map_bytes; /* address space, not disk; 0: the default */
    storage_wake_fn *wake;
    void *wake_arg;
};

MUST_CHECK enum err log_lmdb_open(struct data_directory *dir, const struct storage_options *options,
                                  struct log_store **out, char *message);
MUST_CHECK enum err state_lmdb_open(struct data_directory *dir,
                                    const struct storage_options *options,
                                    struct state_store **out, char *message);
/* Of the same directory; closed before the state store that it copies from. */
MUST_CHECK enum err snapshot_lmdb_open(struct data_directory *dir, struct state_store *state,
                                       const struct storage_options *options,
                                       struct snapshot_store **out, char *message);

/* ---- a data directory from outside: for commands (look.h reads one) */

/* Makes the data directory `path` (absent or empty), whole or not at all, whose state is that of
 * the snapshot file `file`, verified first (its size and checksum are the caller's to know), and
 * whose log begins behind it: base, and term, are the snapshot's.  `identity` as for a new node;
 * its incarnation is drawn.  ERR_FOREIGN: there is something at `path`, or the file says another
 * cluster (unless `adopt`: the state becomes identity's cluster's, whose members are not those of
 * the file, and whose id later openings take from the directory).  *info says what it holds. */
MUST_CHECK enum err data_directory_restore(const char *path, struct identity *identity,
                                           const char *file, bool adopt,
                                           struct snapshot_info *info, char *message);

/* What data_directory_recover finds, and makes of it. */
struct recovery {
    struct identity identity;    /* as it is before */
    raft_index first, last;      /* of the log */
    raft_term last_term, term;
    raft_index applied;          /* of the state, like the next two */
    uint64_t revision, keys;
    uint64_t cluster;            /* the new one */
    bool done;                   /* it was made before, and nothing came after it */
};
/* Makes the node in `path` the only member of a new cluster, with all entries that it has; without
 * `write` only looks.  All or nothing. */
MUST_CHECK enum err data_directory_recover(const char *path, bool write, struct recovery *out,
                                           char *message);

/* What a file says, after all of it was looked at.  *info: size and checksum too. */
MUST_CHECK enum err snapshot_file_check(const char *file, struct snapshot_info *info,
                                        char *message);

/* ---- the memory twins: --storage=memory, tests, the simulator */

/* What stands for a disk: it outlives the stores opened on it. */
struct memory_disk;

struct memory_disk *memory_disk_new(const struct identity *identity);
void memory_disk_free(struct memory_disk *disk);
void memory_disk_identity(const struct memory_disk *disk, struct identity *out);

/* While `held`, submitted jobs stay unwritten until memory_disk_write; otherwise they are
 * written, and wake is called, at submit. */
void memory_disk_hold(struct memory_disk *disk, bool held);
/* Writes the oldest unwritten job of the log (or of the state). False: there is none. */
bool memory_disk_write(struct memory_disk *disk, bool state);
/* The same for the snapshot jobs. */
bool memory_disk_write_snapshot(struct memory_disk *disk);
size_t memory_disk_unwritten_snapshot(const struct memory_disk *disk);
/* The machine dies: the stores on the disk are gone without close; of the unwritten jobs
 * the first `kept_log` and `kept_state` had reached the disk, though nobody was told (an
 * installation counts as a job of the state).  Unwritten snapshot jobs have not, and what came in
 * since the last flush (each 4 KiB) is lost. */
void memory_disk_crash(struct memory_disk *disk, size_t kept_log, size_t kept_state);
size_t memory_disk_unwritten(const struct memory_disk *disk, bool state);
/* Flips one bit of the stored record of entry `index`, or of the value of a kv key. */
bool memory_disk_corrupt_log(struct memory_disk *disk, raft_index index, size_t bit);
bool memory_disk_corrupt_state(struct memory_disk *disk, enum state_table table, struct slice key,
                               size_t bit);

/* Flips one bit of the incoming snapshot (as far as it has come, and is not verified), or of the
 * newest copy. */
bool memory_disk_corrupt_snapshot(struct memory_disk *disk, bool incoming, size_t bit);
/* Of the incoming snapshot only the first `size` bytes are left. False: it is not longer, or is
 * verified. */
bool memory_disk_truncate_snapshot(struct memory_disk *disk, size_t size);
/* While full, what a snapshot job would write is ERR_NO_SPACE.  (The other stores go on.) */
void memory_disk_fill(struct memory_disk *disk, bool full);

struct log_store *log_memory_open(struct memory_disk *disk, const struct storage_options *options);
struct state_store *state_memory_open(struct memory_disk *disk,
                                      const struct storage_options *options);
struct snapshot_store *snapshot_memory_open(struct memory_disk *disk,
                                            const struct storage_options *options);

#endif
