/* snapshot_info.h - the text beside an incoming snapshot: what it will be, how far it has come. */
#ifndef HOLDFAST_STORAGE_SNAPSHOT_INFO_H
#define HOLDFAST_STORAGE_SNAPSHOT_INFO_H

#include <holdfast/storage.h>

#define SNAPSHOT_INFO_FORMAT "holdfast-snapshot 1"

struct snapshot_progress {
    struct snapshot_info info;
    uint64_t synced;   /* bytes that were flushed */
    bool verified;     /* size, checksum, records and counts were found right */
};

/* Replaces `<path>/info`, durably. 0 or errno. */
int snapshot_info_write(const char *path, const struct snapshot_progress *progress);
/* ERR_NOT_FOUND, ERR_CORRUPT (it is not what the function above writes), ERR_IO. */
MUST_CHECK enum err snapshot_info_read(const char *path, struct snapshot_progress *out);

bool snapshot_info_equal(const struct snapshot_info *a, const struct snapshot_info *b);

#endif
