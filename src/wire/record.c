/* record.c - log records: a fixed header, then the payload.
 *
 * The checksum is taken in two steps, header and then payload, each seeded with what came
 * before, since the checksum's own place lies between them.  The index is the first seed: a
 * record found under another index than its own does not match. */
#include "cursor.h"

#include <holdfast/wire.h>

enum { CHECKED_HEADER_SIZE = RECORD_HEADER_SIZE - 8 };

static uint64_t record_checksum(raft_index index, const unsigned char *header, struct slice payload)
{
    return checksum(checksum(index, slice_of(header, CHECKED_HEADER_SIZE)), payload);
}

void record_encode_header(const struct record *record, unsigned char out[RECORD_HEADER_SIZE])
{
    ASSERT(record->index > 0 && record->term > 0);
    ASSERT(record->kind == RAFT_NOOP || record->kind == RAFT_DATA || record->kind == RAFT_MEMBERS);
    ASSERT(record->payload.size <= (record->kind == RAFT_NOOP ? 0 : COMMAND_SIZE_MAX));

    struct writer writer = writer_of(out, RECORD_HEADER_SIZE);
    write_u64(&writer, record->term);
    write_u8(&writer, (uint8_t)record->kind);
    write_zeros(&writer, 7);
    write_u64(&writer, record->time_ms);
    write_u64(&writer, record_checksum(record->index, out, record->payload));
}

struct blob *record_encode(const struct record *record)
{
    struct blob *blob = blob_new(RECORD_HEADER_SIZE + record->payload.size);
    record_encode_header(record, blob->data);
    if (record->payload.size > 0)
        memcpy(blob->data + RECORD_HEADER_SIZE, record->payload.data, record->payload.size);
    return blob;
}

enum err record_decode(raft_index index, struct slice bytes, struct record *out)
{
    if (index == 0 || bytes.size < RECORD_HEADER_SIZE || bytes.size > RECORD_SIZE_MAX)
        return ERR_CORRUPT;

    struct reader reader = reader_of(bytes);
    raft_term term = read_u64(&reader);
    uint8_t kind = read_u8(&reader);
    read_zeros(&reader, 7);
    uint64_t time_ms = read_u64(&reader);
    uint64_t sum = read_u64(&reader);
    struct slice payload = read_slice(&reader, reader.left);

    if (reader.bad || sum != record_checksum(index, bytes.data, payload))
        return ERR_CORRUPT;
    if (term == 0 || (kind != RAFT_NOOP && kind != RAFT_DATA && kind != RAFT_MEMBERS))
        return ERR_CORRUPT;
    if (kind == RAFT_NOOP && payload.size > 0)
        return ERR_CORRUPT;
    *out = (struct record){ index, term, (enum raft_kind)kind, time_ms, payload };
    return OK;
}
