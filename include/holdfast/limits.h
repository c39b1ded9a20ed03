/* limits.h - everything that has a bound, in one place.
 *
 * Sizes in bytes unless the name says otherwise.  The error that a limit causes names it. */
#ifndef HOLDFAST_LIMITS_H
#define HOLDFAST_LIMITS_H

enum {
    KEY_SIZE_MAX = 511,                       /* LMDB's; the least is 1 */
    VALUE_SIZE_MAX = 1024 * 1024,
    REQUEST_BODY_MAX = 1536 * 1024,           /* client HTTP */
    REQUEST_HEADERS_MAX = 16 * 1024,          /* request line included */
    BATCH_OPS_MAX = 1024,                     /* operations in one batch */
    BATCH_RESULT_MAX = 4 * 1024 * 1024,       /* values that a batch's gets return, in all */
    BATCH_PREFIXES_MAX = 16,                  /* deletes by prefix in one batch */
    DELETE_PREFIX_KEYS_MAX = 100 * 1000,      /* keys that they may remove, in all */
    PAGE_KEYS_MAX = 1000,                     /* keys in one page of a list */
    PAGE_BYTES_MAX = 1024 * 1024,             /* keys and values in one page, but at least one key */
    COMMAND_SIZE_MAX = 2 * 1024 * 1024,       /* one encoded command; a full batch body fits */
    HTTP_HELD_MAX = 128 * 1024 * 1024,        /* bodies and unsent answers above 16 KiB, in all */
    PEER_HELD_MAX = 64 * 1024 * 1024,         /* the same on the port for the nodes, from strangers */
    PEER_BODY_MAX = 8 * 1024 * 1024,          /* one exchange between nodes */
    MEMBERS_MAX = 16,                         /* voters and learners */
    VOTERS_MAX = 7,
    NODE_NAME_MAX = 64,                       /* the human name of a node */
    ADDRESS_MAX = 261,                        /* host:port as text: 255 + 1 + 5 */
    PENDING_BYTES_MAX = 64 * 1024 * 1024,     /* state not yet in LMDB; above it writes wait */
    PROPOSALS_MAX = 16 * 1024,                /* writes waiting to commit, by number */
    PROPOSALS_BYTES_MAX = 64 * 1024 * 1024,   /* the same, by size */
    LOG_KEEP_BYTES_MAX = 256 * 1024 * 1024,   /* of entries kept for slow followers */
    SNAPSHOT_PART_MAX = 1024 * 1024,          /* of a snapshot, in one frame */
    READS_MAX = 64 * 1024,                    /* reads waiting for their index */
};

#endif
