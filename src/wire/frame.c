/* frame.c - frames: a header with length, type and checksum, then a body by type.
 *
 * The body of a Raft message is in frame_raft.c, those of snapshots are in frame_snapshot.c; here
 * are the header and the small bodies with which nodes hand on their clients' requests. */
#include "code.h"
#include "frame.h"

enum { INFO_HEADER_SIZE = 32, INFO_MEMBER_SIZE = 32 };

/* ---- encoding */

/* Size of the body, or of its part under the frame's checksum for a Raft message. */
static size_t checked_body_size(const struct frame *frame)
{
    switch (frame->type) {
    case FRAME_RAFT:
        return frame_raft_checked_size(frame->raft.msg.type);
    case FRAME_FORWARD:
        return 16 + frame->forward.command.size;
    case FRAME_FORWARD_REPLY:
        return 8 + frame->forward_reply.result.size;
    case FRAME_READ_INDEX:
        return 8;
    case FRAME_READ_INDEX_REPLY:
        return 16;
    case FRAME_INFO:
        return 0;
    case FRAME_INFO_REPLY:
        return INFO_HEADER_SIZE + (size_t)frame->info_reply.n * INFO_MEMBER_SIZE;
    case FRAME_SNAPSHOT_OPEN:
    case FRAME_SNAPSHOT_OPEN_REPLY:
    case FRAME_SNAPSHOT_READ:
    case FRAME_SNAPSHOT_PART:
        return frame_snapshot_size(frame);
    case FRAME_CHANGE:
        return frame_change_size(frame);
    case FRAME_CHANGE_REPLY:
        return frame_change_reply_size(frame);
    case FRAME_DIGEST:
        return 40;
    case FRAME_DIGEST_REPLY:
    case FRAME_ACKNOWLEDGED:
        return 16;
    }
    ASSERT(frame->type == FRAME_RAFT); /* it is none of the types there are */
    return 0;
}

static void write_forward_reply(struct writer *writer, const struct frame *frame)
{
    ASSERT(frame->forward_reply.outcome >= OUTCOME_APPLIED &&
           frame->forward_reply.outcome <= OUTCOME_UNKNOWN);
    ASSERT(frame->forward_reply.err == OK || frame->forward_reply.result.size == 0);
    write_u8(writer, code_of_err(frame->forward_reply.err));
    write_u8(writer, (uint8_t)frame->forward_reply.outcome);
    write_zeros(writer, 6);
    write_slice(writer, frame->forward_reply.result);
}

static void write_info_reply(struct writer *writer, const struct frame *frame)
{
    ASSERT(frame->info_reply.n <= MEMBERS_MAX);
    write_u64(writer, frame->info_reply.term);
    write_u64(writer, frame->info_reply.commit);
    write_u64(writer, frame->info_reply.last);
    write_u32(writer, frame->info_reply.n);
    write_zeros(writer, 4);
    for (uint32_t i = 0; i < frame->info_reply.n; i++) {
        const struct info_member *member = &frame->info_reply.members[i];
        write_u64(writer, member->id);
        write_u64(writer, member->match);
        write_u64(writer, member->silence_ms);
        write_u8(writer, member->voter);
        write_zeros(writer, 7);
    }
}

static void write_digest(struct writer *writer, const struct frame *frame)
{
    ASSERT(frame->digest.index > 0);
    write_u64(writer, frame->digest.term);
    write_u64(writer, frame->digest.index);
    write_u64(writer, frame->digest.agreed_index);
    write_u64(writer, frame->digest.agreed_index > 0 ? frame->digest.agreed : 0);
    write_u8(writer, frame->digest.undecided);
    write_zeros(writer, 7);
}

static void write_body(struct writer *writer, const struct frame *frame)
{
    switch (frame->type) {
    case FRAME_RAFT:
        frame_raft_write(writer, frame);
        return;
    case FRAME_FORWARD:
        ASSERT(frame->forward.command.size <= COMMAND_SIZE_MAX);
        write_u32(writer, frame->forward.timeout_ms);
        write_zeros(writer, 4);
        write_u64(writer, frame->forward.term);
        write_slice(writer, frame->forward.command);
        return;
    case FRAME_FORWARD_REPLY:
        write_forward_reply(writer, frame);
        return;
    case FRAME_READ_INDEX:
        write_u8(writer, frame->read_index.lease);
        write_zeros(writer, 7);
        return;
    case FRAME_READ_INDEX_REPLY:
        write_u8(writer, frame->read_index_reply.ok);
        write_zeros(writer, 7);
        write_u64(writer, frame->read_index_reply.ok ? frame->read_index_reply.index : 0);
        return;
    case FRAME_INFO:
        return;
    case FRAME_INFO_REPLY:
        write_info_reply(writer, frame);
        return;
    case FRAME_SNAPSHOT_OPEN:
    case FRAME_SNAPSHOT_OPEN_REPLY:
    case FRAME_SNAPSHOT_READ:
    case FRAME_SNAPSHOT_PART:
        frame_snapshot_write(writer, frame);
        return;
    case FRAME_CHANGE:
        frame_change_write(writer, frame);
        return;
    case FRAME_CHANGE_REPLY:
        frame_change_reply_write(writer, frame);
        return;
    case FRAME_DIGEST:
        write_digest(writer, frame);
        return;
    case FRAME_DIGEST_REPLY:
        write_u8(writer, (uint8_t)frame->digest_reply.answer);
        write_zeros(writer, 7);
        write_u64(writer, frame->digest_reply.answer == DIGEST_KNOWN ? frame->digest_reply.digest : 0);
        return;
    case FRAME_ACKNOWLEDGED:
        write_u64(writer, frame->acknowledged.term);
        write_u64(writer, frame->acknowledged.index);
        return;
    }
}

struct blob *frame_encode(const struct frame *frame)
{
    bool raft = frame->type == FRAME_RAFT;
    size_t checked = FRAME_HEADER_SIZE + checked_body_size(frame);
    size_t size = checked + (raft ? frame_raft_records_size(frame) : 0);
    ASSERT(size <= FRAME_SIZE_MAX);

    struct blob *blob = blob_new(size);
    struct writer writer = writer_of(blob->data, size);
    write_zeros(&writer, FRAME_CHECKSUM_SIZE);
    write_u32(&writer, (uint32_t)size);
    write_u8(&writer, (uint8_t)frame->type);
    write_zeros(&writer, 3);
    write_u64(&writer, raft ? 0 : frame->request);
    write_body(&writer, frame);
    if (raft)
        frame_raft_write_records(&writer, frame);
    ASSERT(writer.left == 0);

    struct writer front = writer_of(blob->data, FRAME_CHECKSUM_SIZE);
    write_u64(&front, checksum(0, slice_of(blob->data + FRAME_CHECKSUM_SIZE,
                                           checked - FRAME_CHECKSUM_SIZE)));
    return blob;
}

/* ---- decoding */

static bool read_bool(struct reader *reader)
{
    uint8_t byte = read_u8(reader);
    if (byte > 1)
        reader->bad = true;
    return byte == 1;
}

static bool read_forward(struct reader *reader, struct frame *out)
{
    out->forward.timeout_ms = read_u32(reader);
    read_zeros(reader, 4);
    out->forward.term = read_u64(reader);
    out->forward.command = read_slice(reader, reader->left);
    return out->forward.command.size > 0 && out->forward.command.size <= COMMAND_SIZE_MAX;
}

static bool read_forward_reply(struct reader *reader, struct frame *out)
{
    uint8_t code = read_u8(reader);
    uint8_t outcome = read_u8(reader);
    read_zeros(reader, 6);
    if (outcome < OUTCOME_APPLIED || outcome > OUTCOME_UNKNOWN ||
        !code_to_err(code, &out->forward_reply.err))
        return false;
    out->forward_reply.outcome = (enum outcome)outcome;
    out->forward_reply.result = read_slice(reader, reader->left);
    return (out->forward_reply.err == OK) == (out->forward_reply.result.size > 0);
}

static bool read_read_index_reply(struct reader *reader, struct frame *out)
{
    out->read_index_reply.ok = read_bool(reader);
    read_zeros(reader, 7);
    out->read_index_reply.index = read_u64(reader);
    return out->read_index_reply.ok || out->read_index_reply.index == 0;
}

static bool read_info_reply(struct reader *reader, struct frame *out)
{
    out->info_reply.term = read_u64(reader);
    out->info_reply.commit = read_u64(reader);
    out->info_reply.last = read_u64(reader);
    out->info_reply.n = read_u32(reader);
    read_zeros(reader, 4);
    if (out->info_reply.n > MEMBERS_MAX)
        return false;
    for (uint32_t i = 0; i < out->info_reply.n; i++) {
        struct info_member *member = &out->info_reply.members[i];
        member->id = read_u64(reader);
        member->match = read_u64(reader);
        member->silence_ms = read_u64(reader);
        member->voter = read_bool(reader);
        read_zeros(reader, 7);
        if (member->id == 0)
            return false;
    }
    return true;
}

static bool read_digest(struct reader *reader, struct frame *out)
{
    out->digest.term = read_u64(reader);
    out->digest.index = read_u64(reader);
    out->digest.agreed_index = read_u64(reader);
    out->digest.agreed = read_u64(reader);
    out->digest.undecided = read_bool(reader);
    read_zeros(reader, 7);
    return out->digest.index > 0 && (out->digest.agreed_index > 0 || out->digest.agreed == 0);
}

static bool read_digest_reply(struct reader *reader, struct frame *out)
{
    uint8_t answer = read_u8(reader);
    read_zeros(reader, 7);
    out->digest_reply.digest = read_u64(reader);
    if (answer > DIGEST_ODD || (answer != DIGEST_KNOWN && out->digest_reply.digest != 0))
        return false;
    out->digest_reply.answer = (enum digest_answer)answer;
    return true;
}

static bool read_body(struct reader *reader, struct frame_scratch *scratch, struct frame *out)
{
    switch (out->type) {
    case FRAME_RAFT:
        return out->request == 0 && frame_raft_read(reader, scratch, out);
    case FRAME_FORWARD:
        return read_forward(reader, out);
    case FRAME_FORWARD_REPLY:
        return read_forward_reply(reader, out);
    case FRAME_READ_INDEX:
        out->read_index.lease = read_bool(reader);
        read_zeros(reader, 7);
        return true;
    case FRAME_READ_INDEX_REPLY:
        return read_read_index_reply(reader, out);
    case FRAME_INFO:
        return true;
    case FRAME_INFO_REPLY:
        return read_info_reply(reader, out);
    case FRAME_SNAPSHOT_OPEN:
    case FRAME_SNAPSHOT_OPEN_REPLY:
    case FRAME_SNAPSHOT_READ:
    case FRAME_SNAPSHOT_PART:
        return frame_snapshot_read(reader, out);
    case FRAME_CHANGE:
        return frame_change_read(reader, out);
    case FRAME_CHANGE_REPLY:
        return frame_change_reply_read(reader, out);
    case FRAME_DIGEST:
        return read_digest(reader, out);
    case FRAME_DIGEST_REPLY:
        return read_digest_reply(reader, out);
    case FRAME_ACKNOWLEDGED:
        out->acknowledged.term = read_u64(reader);
        out->acknowledged.index = read_u64(reader);
        return out->acknowledged.term > 0 && out->acknowledged.index > 0;
    }
    return false;
}

enum err frame_decode(struct slice *rest, struct frame_scratch *scratch, struct frame *out)
{
    if (rest->size == 0)
        return ERR_NOT_FOUND;

    struct reader reader = reader_of(*rest);
    uint64_t sum = read_u64(&reader);
    size_t size = read_u32(&reader);
    uint8_t type = read_u8(&reader);
    read_zeros(&reader, 3);
    uint64_t request = read_u64(&reader);
    if (reader.bad || size < FRAME_HEADER_SIZE || size > FRAME_SIZE_MAX || size > rest->size)
        return ERR_CORRUPT;

    const unsigned char *start = rest->data;
    struct slice body = slice_of(start + FRAME_HEADER_SIZE, size - FRAME_HEADER_SIZE);
    size_t checked = body.size;
    if (type == FRAME_RAFT && !frame_raft_measure(body, &checked))
        return ERR_CORRUPT;
    size_t covered = FRAME_HEADER_SIZE - FRAME_CHECKSUM_SIZE + checked;
    if (sum != checksum(0, slice_of(start + FRAME_CHECKSUM_SIZE, covered)))
        return ERR_CORRUPT;

    memset(out, 0, sizeof *out);
    out->type = (enum frame_type)type;
    out->request = request;
    reader = reader_of(body);
    if (!read_body(&reader, scratch, out) || !reader_ended(&reader))
        return ERR_CORRUPT;
    *rest = slice_of(start + size, rest->size - size);
    return OK;
}
