/* snapshot_incoming.h - the one snapshot that comes from elsewhere, at `snapshot.incoming`.  All
 * of it on the copier's thread. */
#ifndef HOLDFAST_STORAGE_SNAPSHOT_INCOMING_H
#define HOLDFAST_STORAGE_SNAPSHOT_INCOMING_H

#include "snapshot_info.h"

struct incoming {
    const struct data_directory *directory; /* borrowed */
    uint64_t map_bytes;                     /* of the state that it may become; 0: the default */
    int fd;                                 /* of its data; -1: none is begun */
    uint64_t size;                          /* bytes that are here */
    struct snapshot_progress progress;
};

/* As SNAPSHOT_BEGIN, SNAPSHOT_WRITE, SNAPSHOT_VERIFY, SNAPSHOT_ABORT. */
MUST_CHECK enum err incoming_begin(struct incoming *in, const struct snapshot_info *info,
                                   uint64_t *offset);
MUST_CHECK enum err incoming_write(struct incoming *in, uint64_t offset, struct slice bytes);
MUST_CHECK enum err incoming_verify(struct incoming *in);
MUST_CHECK enum err incoming_abort(struct incoming *in);
/* Lets go of the file; what is on the disk stays, for a later BEGIN. */
void incoming_close(struct incoming *in);

#endif
