/* snapshot.h - private to src/node: what compaction and snapshots keep in a node. */
#ifndef NODE_SNAPSHOT_H
#define NODE_SNAPSHOT_H

#include <holdfast/storage.h>

enum {
    COMPACT_STEP = 512,            /* entries dropped in one write of the log */
    COMPACT_KEEP_MAP_PART = 4,     /* what is kept takes at most this part of the log's map */
    COMPACT_TIGHT_MAP_PART = 8,    /* with less of the map left, nothing is kept */
    COMPACT_FETCH_KEEPS = 4,       /* times log_keep_bytes, behind a snapshot that is being fetched */

    SEND_COPIES_MAX = SNAPSHOT_FILES_MAX - 1, /* one is for a backup */
    SEND_READERS_MAX = 2,          /* followers that fetch at a time; others are told: later */
    SEND_WAITING_MAX = 16,         /* parts that one of them may have asked for; more are dropped */
    SEND_READS_MAX = 4,            /* parts being read from files at a time */
    SEND_LATER_MS = 500,
    SEND_IDLE_TIMEOUTS = 20,       /* election timeouts without a word: the reader is gone */

    FETCH_PART = 256 * 1024,       /* asked for at a time, unless configured */
    FETCH_WINDOW = 8,              /* parts asked for and not yet stored */
    FETCH_ASK_TIMEOUTS = 4,        /* election timeouts before a question is repeated */
    FETCH_LOST_TIMEOUTS = 10,      /* without progress: the sender is given up, */
    FETCH_LEFT_TIMEOUTS = 4,       /* sooner if another one leads by now */
    FETCH_UNWANTED_TIMEOUTS = 10,  /* nobody says any more that a snapshot is needed */
    FETCH_REST_MIN_MS = 50,        /* after a failure, doubled with each, up to */
    FETCH_REST_MAX_TIMEOUTS = 8,   /* so many election timeouts */
};

/* compact.c */
struct compaction {
    raft_index goal;       /* the log may begin behind this */
    raft_index base;       /* the core has been told that the log begins behind this, */
    raft_term base_term;
    raft_index written;    /* and the log store this */
    bool job_out;
    raft_index seen;       /* durable state for which the goal was last thought about */
    uint64_t entry_bytes;  /* of one entry on disk, about; 0: not known */
    uint64_t keep_bytes;   /* as the map allows */
    bool tight;            /* the log has little room: keep nothing, flush early */
};

/* snapshot_send.c */
enum copy_state { COPY_NONE, COPY_MAKING, COPY_READY, COPY_DROPPING };

struct snapshot_copy {
    enum copy_state state;
    bool damaged;             /* a follower found it so: not offered again */
    uint64_t file, used_ms;
    struct snapshot_info info;
    struct blob *configuration; /* as of info.index; NULL: none is known */
    struct snapshot_job job;  /* COPY or DROP */
};

struct snapshot_reader {
    raft_id id;               /* 0: the place is free */
    struct snapshot_copy *copy;
    bool opening;             /* waits for its copy */
    uint64_t request, heard_ms, begun_ms;
    bool whole;               /* the last part has left */
    uint32_t n_waiting;
    struct part_wanted {
        uint64_t request, offset;
        uint32_t size;
    } waiting[SEND_WAITING_MAX];
};

struct part_job {
    bool out;
    raft_id to;
    uint64_t request, total;
    struct snapshot_job job;
};

struct sender {
    struct snapshot_copy copies[SEND_COPIES_MAX];
    struct snapshot_reader readers[SEND_READERS_MAX];
    struct part_job parts[SEND_READS_MAX];
    uint32_t turn;            /* the reader that is served next */
    int64_t tokens;           /* bytes that may be sent now */
    uint64_t tokens_ms, sweep_ms;
};

/* copy.c */
enum backup_phase {
    BACKUP_NONE,
    BACKUP_FLUSHING, /* the state store gets what is applied */
    BACKUP_COPYING,
    BACKUP_READY,
    BACKUP_READING,
    BACKUP_DROPPING,
};

struct backup {
    enum backup_phase phase;
    struct op *op;           /* until the copy is there */
    struct node_copy *copy;  /* NULL: nobody wants it any more */
    raft_index wanted;       /* what must be in it */
    uint64_t file;
    struct snapshot_job job;
};

/* snapshot_fetch.c */
enum fetch_phase {
    FETCH_IDLE,
    FETCH_OPENING,    /* the leader was asked which one */
    FETCH_BEGINNING,  /* the store looks what of it is here already */
    FETCH_READING,
    FETCH_VERIFYING,
    FETCH_SAVING,     /* the log is told, so that a crash ends in the new state or the old one */
    FETCH_INSTALLING, /* the state store swaps */
};

struct fetch {
    enum fetch_phase phase;
    raft_id from;
    uint64_t request, file;
    struct snapshot_info info;
    uint64_t asked_ms;         /* when the last question left */
    uint64_t moved_ms;         /* when something was last heard that helped */
    uint64_t wanted_ms;        /* when the core last asked for a snapshot */
    uint64_t rest_ms, next_ms; /* after a failure: how long, until when */
    uint64_t begun_ms;
    bool members_told;         /* with it came the configuration: */
    struct configuration configuration;
    uint64_t stored, asked;    /* of the file: offsets */
    uint64_t damaged;          /* checksum of the last that was found damaged; 0: none */
    struct fetch_slot {
        bool used;
        uint64_t offset, asked_ms;
        uint32_t size;
        struct blob *bytes;    /* NULL: not here yet */
    } window[FETCH_WINDOW];
    struct snapshot_job job;
    bool job_out;
    raft_ticket ticket;        /* SAVING: of the log's write */
};

#endif
