/* frame_snapshot.c - the bodies of the frames with which a follower fetches a snapshot. */
#include "frame.h"

enum { OPEN_SIZE = 16, OPEN_REPLY_SIZE = 72, READ_SIZE = 24, PART_HEADER_SIZE = 24 };

size_t frame_snapshot_size(const struct frame *frame)
{
    switch (frame->type) {
    case FRAME_SNAPSHOT_OPEN:
        return OPEN_SIZE;
    case FRAME_SNAPSHOT_OPEN_REPLY:
        return OPEN_REPLY_SIZE + (frame->snapshot_open_reply.file != 0
                                      ? frame->snapshot_open_reply.configuration.size : 0);
    case FRAME_SNAPSHOT_READ:
        return READ_SIZE;
    default:
        return PART_HEADER_SIZE + frame->snapshot_part.bytes.size;
    }
}

/* ---- encoding */

static void write_open_reply(struct writer *writer, const struct frame *frame)
{
    bool later = frame->snapshot_open_reply.file == 0;
    write_u64(writer, frame->snapshot_open_reply.file);
    write_u32(writer, later ? frame->snapshot_open_reply.wait_ms : 0);
    write_zeros(writer, 4);
    const uint64_t info[] = {
        frame->snapshot_open_reply.index,  frame->snapshot_open_reply.term,
        frame->snapshot_open_reply.revision, frame->snapshot_open_reply.keys,
        frame->snapshot_open_reply.digest, frame->snapshot_open_reply.size,
        frame->snapshot_open_reply.checksum,
    };
    for (size_t i = 0; i < sizeof info / sizeof info[0]; i++)
        write_u64(writer, later ? 0 : info[i]);
    if (!later)
        write_slice(writer, frame->snapshot_open_reply.configuration);
}

void frame_snapshot_write(struct writer *writer, const struct frame *frame)
{
    switch (frame->type) {
    case FRAME_SNAPSHOT_OPEN:
        write_u64(writer, frame->snapshot_open.applied);
        write_u64(writer, frame->snapshot_open.damaged);
        return;
    case FRAME_SNAPSHOT_OPEN_REPLY:
        write_open_reply(writer, frame);
        return;
    case FRAME_SNAPSHOT_READ:
        write_u64(writer, frame->snapshot_read.file);
        write_u64(writer, frame->snapshot_read.offset);
        write_u32(writer, frame->snapshot_read.size);
        write_zeros(writer, 4);
        return;
    default:
        ASSERT(frame->snapshot_part.bytes.size <= SNAPSHOT_PART_MAX);
        write_u64(writer, frame->snapshot_part.file);
        write_u64(writer, frame->snapshot_part.offset);
        write_u64(writer, frame->snapshot_part.total);
        write_slice(writer, frame->snapshot_part.bytes);
    }
}

/* ---- decoding */

static bool read_open_reply(struct reader *reader, struct frame *out)
{
    out->snapshot_open_reply.file = read_u64(reader);
    out->snapshot_open_reply.wait_ms = read_u32(reader);
    read_zeros(reader, 4);
    uint64_t info[7], any = 0;
    for (size_t i = 0; i < 7; i++)
        any |= info[i] = read_u64(reader);
    out->snapshot_open_reply.index = info[0];
    out->snapshot_open_reply.term = info[1];
    out->snapshot_open_reply.revision = info[2];
    out->snapshot_open_reply.keys = info[3];
    out->snapshot_open_reply.digest = info[4];
    out->snapshot_open_reply.size = info[5];
    out->snapshot_open_reply.checksum = info[6];
    out->snapshot_open_reply.configuration = read_slice(reader, reader->left);
    size_t size = out->snapshot_open_reply.configuration.size;
    if (out->snapshot_open_reply.file == 0)
        return any == 0 && size == 0;
    /* An index that nothing can follow, an entry without a term, a state before the first revision
     * or a file of nothing is no snapshot. */
    return out->snapshot_open_reply.wait_ms == 0 && info[0] > 0 && info[0] < UINT64_MAX &&
           info[1] > 0 && info[2] > 0 && info[5] > 0 && size <= CONFIGURATION_SIZE_MAX;
}

static bool read_read(struct reader *reader, struct frame *out)
{
    out->snapshot_read.file = read_u64(reader);
    out->snapshot_read.offset = read_u64(reader);
    out->snapshot_read.size = read_u32(reader);
    read_zeros(reader, 4);
    uint32_t size = out->snapshot_read.size;
    return out->snapshot_read.file > 0 && size > 0 && size <= SNAPSHOT_PART_MAX &&
           out->snapshot_read.offset <= UINT64_MAX - size;
}

static bool read_part(struct reader *reader, struct frame *out)
{
    uint64_t file = read_u64(reader), offset = read_u64(reader), total = read_u64(reader);
    out->snapshot_part.file = file;
    out->snapshot_part.offset = offset;
    out->snapshot_part.total = total;
    out->snapshot_part.bytes = read_slice(reader, reader->left);
    size_t size = out->snapshot_part.bytes.size;
    if (size == 0)
        return file > 0 && total == 0;
    return file > 0 && size <= SNAPSHOT_PART_MAX && offset < total && size <= total - offset;
}

bool frame_snapshot_read(struct reader *reader, struct frame *out)
{
    switch (out->type) {
    case FRAME_SNAPSHOT_OPEN:
        out->snapshot_open.applied = read_u64(reader);
        out->snapshot_open.damaged = read_u64(reader);
        return true;
    case FRAME_SNAPSHOT_OPEN_REPLY:
        return read_open_reply(reader, out);
    case FRAME_SNAPSHOT_READ:
        return read_read(reader, out);
    default:
        return read_part(reader, out);
    }
}
