/* frame_change.c - the frames by which a change of the members is handed to the leader. */
#include "code.h"
#include "frame.h"

enum { CHANGE_SIZE = 32, REPLY_HEADER_SIZE = 8, FLAG_STAY = 1 << 0, FLAG_FORCE = 1 << 1 };

size_t frame_change_size(const struct frame *frame)
{
    return CHANGE_SIZE + strlen(frame->change.change.raft_addr);
}

void frame_change_write(struct writer *writer, const struct frame *frame)
{
    const struct member_change *change = &frame->change.change;
    struct slice address = slice_text(change->raft_addr);
    ASSERT(change->type >= MEMBER_ADD && change->type <= MEMBER_LEAD);
    write_u32(writer, frame->change.timeout_ms);
    write_u8(writer, (uint8_t)change->type);
    write_u8(writer, (uint8_t)((change->stay_learner ? FLAG_STAY : 0) |
                               (change->force ? FLAG_FORCE : 0)));
    write_u16(writer, (uint16_t)address.size);
    write_u64(writer, frame->change.term);
    write_u64(writer, change->id);
    write_u64(writer, change->newcomer);
    write_slice(writer, address);
}

bool frame_change_read(struct reader *reader, struct frame *out)
{
    struct member_change *change = &out->change.change;
    out->change.timeout_ms = read_u32(reader);
    uint8_t type = read_u8(reader);
    uint8_t flags = read_u8(reader);
    size_t size = read_u16(reader);
    out->change.term = read_u64(reader);
    change->id = read_u64(reader);
    change->newcomer = read_u64(reader);
    struct slice address = read_slice(reader, size);
    if (reader->bad || type < MEMBER_ADD || type > MEMBER_LEAD ||
        (flags & ~(FLAG_STAY | FLAG_FORCE)) != 0 || size > ADDRESS_MAX)
        return false;
    change->type = (enum member_change_type)type;
    change->stay_learner = flags & FLAG_STAY;
    change->force = flags & FLAG_FORCE;
    if (size > 0)
        memcpy(change->raft_addr, address.data, size);
    return size == 0 || address_valid(address);
}

size_t frame_change_reply_size(const struct frame *frame)
{
    return REPLY_HEADER_SIZE + frame->change_reply.why.size + frame->change_reply.configuration.size;
}

void frame_change_reply_write(struct writer *writer, const struct frame *frame)
{
    ASSERT(frame->change_reply.why.size <= CHANGE_WHY_MAX);
    write_u8(writer, code_of_err(frame->change_reply.err));
    write_u8(writer, (uint8_t)frame->change_reply.outcome);
    write_u16(writer, (uint16_t)frame->change_reply.why.size);
    write_zeros(writer, 4);
    write_slice(writer, frame->change_reply.why);
    write_slice(writer, frame->change_reply.configuration);
}

bool frame_change_reply_read(struct reader *reader, struct frame *out)
{
    uint8_t code = read_u8(reader);
    uint8_t outcome = read_u8(reader);
    size_t why_size = read_u16(reader);
    read_zeros(reader, 4);
    if (reader->bad || !code_to_err(code, &out->change_reply.err) || outcome < OUTCOME_APPLIED ||
        outcome > OUTCOME_UNKNOWN || why_size > CHANGE_WHY_MAX)
        return false;
    out->change_reply.outcome = (enum outcome)outcome;
    out->change_reply.why = read_slice(reader, why_size);
    out->change_reply.configuration = read_slice(reader, reader->left);
    return !reader->bad;
}
