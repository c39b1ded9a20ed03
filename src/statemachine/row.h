/* row.h - the value of a row in TABLE_KV: three revisions, then what the client stored. */
#ifndef HOLDFAST_STATEMACHINE_ROW_H
#define HOLDFAST_STATEMACHINE_ROW_H

#include <holdfast/blob.h>
#include <holdfast/err.h>

#include <stdint.h>

enum { ROW_HEADER_SIZE = 24 };

struct row {
    uint64_t create_revision, revision, version;
    struct slice value; /* borrowed from the bytes */
};

/* Writes ROW_HEADER_SIZE + row->value.size bytes. */
void row_encode(const struct row *row, unsigned char *out);

/* What a decoded row was decoded from. */
static inline struct slice row_bytes(const struct row *row)
{
    return slice_of((const unsigned char *)row->value.data - ROW_HEADER_SIZE,
                    ROW_HEADER_SIZE + row->value.size);
}

/* ERR_CORRUPT if the bytes are no row. */
MUST_CHECK enum err row_decode(struct slice bytes, struct row *out);

#endif
