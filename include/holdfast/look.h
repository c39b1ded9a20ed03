/* look.h - what stands in a data directory, read-only: beside a running node, or without one.
 *
 * Takes no lock of ours and changes nothing that counts; LMDB notes the reader in lock.mdb, as
 * its own tools do.  What is damaged is shown as damaged, and the walk goes on.  One thread. */
#ifndef HOLDFAST_LOOK_H
#define HOLDFAST_LOOK_H

#include <holdfast/storage.h>

/* ---- the directory */

struct look_directory {
    bool exists, lock, log, state; /* the last two: with a data file in it */
    bool creating, old_state, incoming, copies; /* what only passing work leaves */
    char other[256];           /* one name that is none of ours; "": there is none */
    bool running;              /* a process holds the lock */
    long holder;               /* its id as the file LOCK tells; 0: not known */
    bool incoming_known;       /* the incoming snapshot's info could be read */
    bool incoming_verified;
    struct snapshot_info incoming_info;
    uint64_t disk_free_bytes, disk_bytes; /* of the file system; 0: not known */
};

/* ERR_NOT_FOUND (there is no such directory), ERR_IO, with a sentence in `message`. */
MUST_CHECK enum err look_directory(const char *path, struct look_directory *out, char *message);

/* ---- an environment */

enum look_env { LOOK_LOG, LOOK_STATE };

struct look;

/* Opens `<path>/log` or `<path>/state`.  ERR_NOT_FOUND: there is none; ERR_FOREIGN: not ours, or of
 * another format; ERR_CORRUPT, ERR_IO; each with a sentence in `message` (STORAGE_MESSAGE_MAX). */
MUST_CHECK enum err look_open(const char *path, enum look_env which, struct look **out,
                              char *message);
void look_close(struct look *look); /* NULL is fine */

/* Between begin and end one state of the environment is seen, and its pages are pinned: on a
 * running node end soon, and begin again where it stopped. */
MUST_CHECK enum err look_begin(struct look *look);
void look_end(struct look *look);

/* Each callback returns false to stop; what it is given lives until look_end. */
typedef bool look_row_fn(void *arg, struct slice key, struct slice text);
/* The rows of `meta`, in the order of their keys. */
MUST_CHECK enum err look_rows(struct look *look, look_row_fn *fn, void *arg);
/* One of them; false: absent, or no text of less than `size` bytes. */
bool look_row(struct look *look, const char *key, char *out, size_t size);
bool look_number(struct look *look, const char *key, uint64_t *out); /* decimal */
bool look_id(struct look *look, const char *key, uint64_t *out);     /* 16 hexadecimal digits */

struct look_entry {
    raft_index index;
    struct slice bytes;   /* as stored */
    enum err err;         /* OK, or ERR_CORRUPT: it does not match its checksum */
    struct record record; /* if OK */
};
typedef bool look_entry_fn(void *arg, const struct look_entry *entry);
/* Of the log, those from `first` on, in order, holes or not. */
MUST_CHECK enum err look_entries(struct look *look, raft_index first, look_entry_fn *fn, void *arg);
/* 0 and 0: there are none. */
MUST_CHECK enum err look_bounds(struct look *look, raft_index *first, raft_index *last,
                                uint64_t *count);

struct look_item {
    enum state_table table;
    struct slice key;
    struct slice content; /* what was stored, without its checksum if it matches */
    enum err err;         /* OK, ERR_CORRUPT */
    uint64_t sum;         /* its part of the digest */
};
typedef bool look_item_fn(void *arg, const struct look_item *item);
/* Of the state, those with keys from `first` on (behind it, if `behind`). */
MUST_CHECK enum err look_items(struct look *look, enum state_table table, struct slice first,
                               bool behind, look_item_fn *fn, void *arg);
/* The digest of a state whose items' sums add up to `sum`. */
uint64_t look_digest(uint64_t sum, uint64_t revision, uint64_t keys);

struct look_stats {
    uint64_t map_bytes, file_bytes, used_bytes, page_bytes;
    uint64_t transaction;    /* the last one */
    uint64_t entries[STATE_TABLES]; /* of the state, by table; of the log: [0] meta, [1] log */
};
MUST_CHECK enum err look_stats(struct look *look, struct look_stats *out);

/* Who reads; `reads` false: has a place and reads nothing at the moment. */
typedef void look_reader_fn(void *arg, long pid, bool reads, uint64_t transaction);
void look_readers(struct look *look, look_reader_fn *fn, void *arg);

#endif
