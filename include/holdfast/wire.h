/* wire.h - bytes to structs and back: peer frames, log records, commands, results.
 *
 * Pure: no I/O, no clock.  All numbers are little-endian and fixed in size.  Every decoder
 * takes hostile bytes: it answers false (or ERR_*) and never reads past `size`; what it
 * accepts is within limits.h, so nothing behind it needs to check again.  Decoded slices are
 * borrowed from the input. The byte layouts are in docs/PROTOCOL.md and docs/STORAGE.md. */
#ifndef HOLDFAST_WIRE_H
#define HOLDFAST_WIRE_H

#include <holdfast/blob.h>
#include <holdfast/err.h>
#include <holdfast/limits.h>
#include <holdfast/raft.h>

/* ---- log records: what stands in the log environment and in append frames, byte for byte */

enum {
    RECORD_HEADER_SIZE = 32,
    RECORD_SIZE_MAX = RECORD_HEADER_SIZE + COMMAND_SIZE_MAX,
};

struct record {
    raft_index index;     /* not in the bytes, but under the checksum */
    raft_term term;
    enum raft_kind kind;
    uint64_t time_ms;     /* the leader's wall clock when it proposed */
    struct slice payload; /* a command, a configuration; empty for RAFT_NOOP */
};

/* Writes the RECORD_HEADER_SIZE bytes that go before the payload; the checksum (XXH3) covers
 * index, header and payload. */
void record_encode_header(const struct record *record, unsigned char out[RECORD_HEADER_SIZE]);

/* A new blob that holds header and payload; the caller owns it. */
struct blob *record_encode(const struct record *record);

/* ERR_CORRUPT if the checksum, the kind or a size is wrong. */
MUST_CHECK enum err record_decode(raft_index index, struct slice bytes, struct record *out);

/* ---- configurations: the payload of a RAFT_MEMBERS entry */

struct configuration {
    struct raft_members members;
    char raft_addr[MEMBERS_MAX][ADDRESS_MAX + 1]; /* in the order of members, as are the next two */
    /* What the leader is to do with a learner; in the log, so that any leader can finish it. */
    bool stays[MEMBERS_MAX];       /* it is never made a voter unasked */
    raft_id replaces[MEMBERS_MAX]; /* this member leaves in the very step in which it gets its vote;
                                      0: nobody */
};

/* What encoding asserts and decoding checks. */
bool configuration_valid(const struct configuration *configuration);

struct blob *configuration_encode(const struct configuration *configuration);
enum { CONFIGURATION_SIZE_MAX = 16 * 1024 };
/* ERR_CORRUPT if it is none: also without a voter, with an id twice, with flags that contradict
 * each other, too many voters, an address that is none. */
MUST_CHECK enum err configuration_decode(struct slice bytes, struct configuration *out);
/* The member's place, or -1. */
int configuration_place(const struct configuration *configuration, raft_id id);

/* ---- commands: the payload of a RAFT_DATA entry */

enum command_type {
    COMMAND_BATCH = 1,    /* operations on keys, in order, all or nothing */
    COMMAND_ANNOUNCE = 2, /* a member tells its name and addresses */
};

enum kv_op_type { KV_SET = 1, KV_DELETE = 2, KV_DELETE_PREFIX = 3, KV_GET = 4 };

enum kv_condition {
    CONDITION_NONE = 0,
    CONDITION_REVISION = 1, /* the key's revision equals `revision`; 0: it does not exist */
    CONDITION_EXISTS = 2,
};
/* A condition goes with every operation that names one key, so not with KV_DELETE_PREFIX. */

struct kv_op {
    enum kv_op_type type;
    enum kv_condition condition;
    uint64_t revision;  /* for CONDITION_REVISION */
    struct slice key;   /* 1..KEY_SIZE_MAX bytes; a prefix, for KV_DELETE_PREFIX, may be empty */
    struct slice value; /* KV_SET only; 0..VALUE_SIZE_MAX bytes */
};

struct member_info {
    raft_id id;
    struct slice name;      /* as node_name_valid wants it */
    struct slice raft_addr; /* as address_valid wants it */
    struct slice http_addr;
};

/* Exact size of the encoded batch; what is above COMMAND_SIZE_MAX must not be encoded. */
size_t command_batch_size(const struct kv_op *ops, uint32_t n);
/* Appends to `out`, which has room for the exact size. Returns bytes written. */
size_t command_encode_batch(const struct kv_op *ops, uint32_t n, unsigned char *out);
struct blob *command_encode_announce(const struct member_info *member);

struct command {
    enum command_type type;
    uint32_t n;                /* batch: 1..BATCH_OPS_MAX */
    struct kv_op *ops;         /* batch: points into the caller's array */
    struct member_info member; /* announce */
};

/* Decodes into `ops`, an array of BATCH_OPS_MAX places. ERR_CORRUPT if it is no command. */
MUST_CHECK enum err command_decode(struct slice bytes, struct kv_op *ops, struct command *out);

/* ---- results: what applying a command answers */

struct kv_result {
    enum kv_op_type type;
    bool found;               /* get, delete: the key was there */
    bool created;             /* set: it was not there before */
    uint64_t revision;        /* set, get: the key's revision after it */
    uint64_t create_revision; /* set, get */
    uint64_t version;         /* set, get: 1 when created, one more with each set */
    uint64_t deleted;         /* delete, delete prefix: how many keys */
    struct slice value;       /* get */
};

struct command_result {
    enum err err;             /* OK, ERR_CONDITION_FAILED, ERR_TOO_LARGE, ERR_BAD_REQUEST */
    uint64_t revision;        /* the store's, after it */
    raft_index index;         /* of the entry */
    raft_term term;
    uint32_t failed_op;       /* not OK: which operation, from 0 */
    uint64_t failed_revision; /* condition failed: the key's current revision; 0: absent */
    uint32_t n;               /* OK: one per operation */
    struct kv_result *results;
};

struct blob *result_encode(const struct command_result *result);
/* Decodes into `results`, an array of BATCH_OPS_MAX places. */
MUST_CHECK enum err result_decode(struct slice bytes, struct kv_result *results,
                                  struct command_result *out);

/* ---- peer messages: a POST body (or its response's) is an envelope and then frames */

enum { INCARNATION_SIZE = 16, ENVELOPE_SIZE = 64, WIRE_VERSION = 1 };

/* Who speaks to whom; first in every body, both ways. */
struct envelope {
    uint64_t cluster;                           /* id of the cluster */
    raft_id from, to;
    unsigned char incarnation[INCARNATION_SIZE]; /* of the sender's data directory */
    uint32_t n_frames;
    const char *raft_addr; /* where the sender says that it is reached; NULL: it does not.  Not in the
                              bytes: the transport has a way of its own for it */
};

void envelope_encode(const struct envelope *envelope, unsigned char out[ENVELOPE_SIZE]);
/* ERR_BAD_REQUEST: not ours, or another wire version; `why` gets a static sentence. */
MUST_CHECK enum err envelope_decode(struct slice bytes, struct envelope *out, const char **why);

enum frame_type {
    FRAME_RAFT = 1,          /* one raft_msg, with its records if it is an append */
    FRAME_FORWARD = 2,       /* a follower hands a client's command to the leader */
    FRAME_FORWARD_REPLY = 3,
    FRAME_READ_INDEX = 4,    /* a follower asks for an index to read at */
    FRAME_READ_INDEX_REPLY = 5,
    FRAME_INFO = 6,          /* a follower asks what only the leader knows */
    FRAME_INFO_REPLY = 7,
    FRAME_DIGEST = 8,        /* the leader asks for the state's digest after an entry, and tells
                                 what a majority agreed in */
    FRAME_SNAPSHOT_OPEN = 9,        /* a follower asks the leader for a snapshot to fetch */
    FRAME_SNAPSHOT_OPEN_REPLY = 10,
    FRAME_SNAPSHOT_READ = 11,       /* one part of it */
    FRAME_SNAPSHOT_PART = 12,
    FRAME_CHANGE = 13,              /* a change of the members, handed to the leader */
    FRAME_CHANGE_REPLY = 14,
    FRAME_DIGEST_REPLY = 15,
    FRAME_ACKNOWLEDGED = 16, /* the leader tells a member what that has acknowledged in this term */
};

/* What became of a forwarded request, so that the follower can answer truthfully. */
enum outcome {
    OUTCOME_APPLIED = 1,
    OUTCOME_NOT_APPLIED = 2, /* certainly not, and never will be */
    OUTCOME_UNKNOWN = 3,
};

enum member_change_type {
    MEMBER_ADD = 1, /* as a learner; becomes a voter by itself when caught up, unless `stay_learner` */
    MEMBER_REMOVE,
    MEMBER_REPLACE, /* `id` leaves in the very step in which the new member becomes a voter */
    MEMBER_PROMOTE, /* a learner becomes a voter now */
    MEMBER_MOVE,    /* its raft address has changed */
    MEMBER_LEAD,    /* leadership is handed to it; id 0: to the most advanced voter */
};

struct member_change {
    enum member_change_type type;
    raft_id id;                       /* ADD: the newcomer's; else who it is about */
    raft_id newcomer;                 /* REPLACE */
    char raft_addr[ADDRESS_MAX + 1];  /* ADD, REPLACE: the newcomer's; MOVE: the new one */
    bool stay_learner;
    bool force;                       /* though no majority of the voters-to-be can be reached */
};

enum { CHANGE_WHY_MAX = 400 };

struct info_member { /* the leader's view of one member */
    raft_id id;
    raft_index match;
    uint64_t silence_ms; /* since it was last heard of; UINT64_MAX: never in this term */
    bool voter;
};

enum digest_answer {
    DIGEST_PASSED = 0, /* that entry was applied too long ago */
    DIGEST_KNOWN = 1,
    DIGEST_ODD = 2,    /* the answerer knows already that a majority agrees in another state */
};

struct frame {
    enum frame_type type;
    uint64_t request; /* of all but FRAME_RAFT: echoes in the reply */
    union {
        struct { /* append: records[i] is for entry prev + 1 + i, already checked */
            struct raft_msg msg;
            struct record *records;       /* decoded, in the caller's array */
            struct slice *record_bytes;   /* the same, undecoded, to be stored as they are */
        } raft;
        struct {
            uint32_t timeout_ms;
            raft_term term;       /* in which the receiver leads, as the asker believes */
            struct slice command; /* 1..COMMAND_SIZE_MAX bytes, not decoded yet */
        } forward;
        struct {
            enum err err; /* OK: `result` holds a command_result; what cannot be told a peer
                             (trouble of the own disk) arrives as ERR_INTERNAL */
            enum outcome outcome;
            struct slice result;
        } forward_reply;
        struct {
            uint32_t timeout_ms;
            raft_term term; /* as of a forwarded write */
            struct member_change change;
        } change;
        struct {
            enum err err;
            enum outcome outcome;
            struct slice why;           /* not OK: a sentence, at most CHANGE_WHY_MAX bytes */
            struct slice configuration; /* OK: encoded, as of after the change; not decoded yet */
        } change_reply;
        struct {
            bool lease; /* the asker accepts an answer under the leader's lease */
        } read_index;
        struct {
            bool ok;
            raft_index index;
        } read_index_reply;
        struct {
            raft_term term;
            raft_index commit, last;
            uint32_t n;
            struct info_member members[MEMBERS_MAX];
        } info_reply;
        struct {
            raft_index applied; /* the asker's: an older snapshot is of no use to it */
            uint64_t damaged;   /* checksum of one that arrived damaged; 0: none */
        } snapshot_open;
        struct {
            uint64_t file;     /* the sender's number for it; 0: later, see wait_ms */
            uint32_t wait_ms;  /* file 0: ask again after this */
            raft_index index;  /* what it holds, as struct snapshot_info of storage.h tells */
            raft_term term;
            uint64_t revision, keys, digest, size, checksum;
            struct slice configuration; /* as of `index`, encoded, not decoded yet; may be empty */
        } snapshot_open_reply;
        struct {
            uint64_t file, offset;
            uint32_t size; /* 1..SNAPSHOT_PART_MAX */
        } snapshot_read;
        struct {
            uint64_t file, offset, total;
            struct slice bytes; /* at most SNAPSHOT_PART_MAX; none, and total 0: the file is gone */
        } snapshot_part;
        struct {
            raft_term term;          /* in which the asker leads */
            raft_index index;        /* asked for, not 0 */
            raft_index agreed_index; /* 0: nothing yet, and `agreed` is 0 */
            uint64_t agreed;
            bool undecided;          /* those who answered for `index` disagree without a majority */
        } digest;
        struct {
            enum digest_answer answer;
            uint64_t digest; /* 0 unless known */
        } digest_reply;
        struct {
            raft_term term;
            raft_index index;
        } acknowledged;
    };
};

/* Scratch for decoding one frame; large, so callers keep one. */
struct frame_scratch {
    struct record records[RAFT_BATCH_MAX];
    struct slice record_bytes[RAFT_BATCH_MAX];
};

/* A blob with the one encoded frame; the caller owns it.  For an append, frame.raft.msg.append.n
 * of frame.raft.record_bytes are copied; `records` is not looked at. */
struct blob *frame_encode(const struct frame *frame);

/* Bytes that an append frame needs besides the records themselves; each record adds
 * FRAME_RECORD_OVERHEAD and its own size. */
enum { FRAME_OVERHEAD_MAX = 128, FRAME_RECORD_OVERHEAD = 4 };

/* Takes the next frame off the front of *rest. ERR_NOT_FOUND at the end, ERR_CORRUPT if the
 * bytes are no frame (length, type, checksum, a record's checksum, terms that fall). */
MUST_CHECK enum err frame_decode(struct slice *rest, struct frame_scratch *scratch,
                                 struct frame *out);

/* ---- identity */

/* The Raft id that a static bootstrap gives to a raft address: a hash, never 0. */
raft_id id_of_address(const char *raft_addr);

/* The cluster id of a first configuration: a hash of its ids, in any order; never 0. */
uint64_t cluster_id_of(const raft_id *ids, uint32_t n);

/* What a node's name may be: 1..NODE_NAME_MAX bytes of UTF-8 without control characters. */
bool node_name_valid(struct slice name);

/* What an address may be: host:port, the host a name, an IPv4 address or an IPv6 address in
 * brackets, the port 0..65535; at most ADDRESS_MAX bytes. */
bool address_valid(struct slice address);

/* Checksum of bytes as used everywhere (XXH3, 64 bits), seeded. */
uint64_t checksum(uint64_t seed, struct slice bytes);

/* The same with seed 0 over bytes that come in pieces. */
struct checksum_stream;
struct checksum_stream *checksum_stream_new(void);
void checksum_stream_add(struct checksum_stream *stream, struct slice bytes);
uint64_t checksum_stream_end(struct checksum_stream *stream /* takes */);

#endif
