/* frame_raft.c - Raft messages as bodies of frames, with the records that an append carries.
 *
 * What contradicts itself is refused here, so that the core sees only messages that some
 * server in some state could have sent. */
#include "frame.h"

enum {
    MSG_HEADER_SIZE = 32, /* type, flags, from, to, term; the same in all messages */
    FLAG_PRE = 1 << 0,    /* vote, vote reply */
    FLAG_TRANSFER = 1 << 1, /* vote */
    FLAG_GRANTED = 1 << 1,  /* vote reply */
    FLAG_OK = 1 << 0,       /* append reply */
};

static const struct {
    uint8_t code;        /* on the wire; stays when enum raft_msg_type grows */
    uint8_t tail;        /* bytes behind the message header, records not counted */
    uint8_t known_flags;
} kinds[RAFT_MSG_TYPES] = {
    [RAFT_VOTE] = { 1, 16, FLAG_PRE | FLAG_TRANSFER },
    [RAFT_VOTE_REPLY] = { 2, 0, FLAG_PRE | FLAG_GRANTED },
    [RAFT_APPEND] = { 3, 32, 0 },
    [RAFT_APPEND_REPLY] = { 4, 24, FLAG_OK },
    [RAFT_HEARTBEAT] = { 5, 24, 0 },
    [RAFT_HEARTBEAT_REPLY] = { 6, 8, 0 },
    [RAFT_TIMEOUT_NOW] = { 7, 0, 0 },
    [RAFT_SNAPSHOT] = { 8, 16, 0 },
};

static bool code_to_type(uint8_t code, enum raft_msg_type *out)
{
    for (int type = 0; type < RAFT_MSG_TYPES; type++) {
        if (kinds[type].code == code) {
            *out = (enum raft_msg_type)type;
            return true;
        }
    }
    return false;
}

size_t frame_raft_checked_size(enum raft_msg_type type)
{
    ASSERT((unsigned)type < RAFT_MSG_TYPES);
    return MSG_HEADER_SIZE + (size_t)kinds[type].tail;
}
_Static_assert(FRAME_HEADER_SIZE + MSG_HEADER_SIZE + 32 <= FRAME_OVERHEAD_MAX,
               "an append's own bytes fit into what senders reckon with");

/* ---- encoding */

size_t frame_raft_records_size(const struct frame *frame)
{
    size_t size = 0;
    if (frame->raft.msg.type != RAFT_APPEND)
        return 0;
    for (uint32_t i = 0; i < frame->raft.msg.append.n; i++)
        size += FRAME_RECORD_OVERHEAD + frame->raft.record_bytes[i].size;
    return size;
}

static uint8_t flags_of(const struct raft_msg *msg)
{
    int flags = 0;
    if (msg->type == RAFT_VOTE)
        flags = (msg->vote.pre ? FLAG_PRE : 0) | (msg->vote.transfer ? FLAG_TRANSFER : 0);
    else if (msg->type == RAFT_VOTE_REPLY)
        flags = (msg->vote_reply.pre ? FLAG_PRE : 0) | (msg->vote_reply.granted ? FLAG_GRANTED : 0);
    else if (msg->type == RAFT_APPEND_REPLY)
        flags = msg->append_reply.ok ? FLAG_OK : 0;
    return (uint8_t)flags;
}

static void write_tail(struct writer *writer, const struct raft_msg *msg)
{
    bool refused;
    switch (msg->type) {
    case RAFT_VOTE:
        write_u64(writer, msg->vote.last);
        write_u64(writer, msg->vote.last_term);
        return;
    case RAFT_APPEND:
        write_u64(writer, msg->append.prev);
        write_u64(writer, msg->append.prev_term);
        write_u64(writer, msg->append.commit);
        write_u32(writer, msg->append.n);
        write_zeros(writer, 4);
        return;
    case RAFT_APPEND_REPLY:
        refused = !msg->append_reply.ok;
        write_u64(writer, msg->append_reply.match);
        write_u64(writer, refused ? msg->append_reply.conflict : 0);
        write_u64(writer, refused ? msg->append_reply.conflict_term : 0);
        return;
    case RAFT_HEARTBEAT:
        write_u64(writer, msg->heartbeat.commit);
        write_u64(writer, msg->heartbeat.commit_term);
        write_u64(writer, msg->heartbeat.round);
        return;
    case RAFT_HEARTBEAT_REPLY:
        write_u64(writer, msg->heartbeat_reply.round);
        return;
    case RAFT_SNAPSHOT:
        write_u64(writer, msg->snapshot.base);
        write_u64(writer, msg->snapshot.base_term);
        return;
    case RAFT_VOTE_REPLY:
    case RAFT_TIMEOUT_NOW:
    case RAFT_MSG_TYPES:
        return;
    }
}

void frame_raft_write(struct writer *writer, const struct frame *frame)
{
    const struct raft_msg *msg = &frame->raft.msg;
    ASSERT(msg->type != RAFT_APPEND || msg->append.n <= RAFT_BATCH_MAX);
    write_u8(writer, kinds[msg->type].code);
    write_u8(writer, flags_of(msg));
    write_zeros(writer, 6);
    write_u64(writer, msg->from);
    write_u64(writer, msg->to);
    write_u64(writer, msg->term);
    write_tail(writer, msg);
}

void frame_raft_write_records(struct writer *writer, const struct frame *frame)
{
    if (frame->raft.msg.type != RAFT_APPEND)
        return;
    for (uint32_t i = 0; i < frame->raft.msg.append.n; i++) {
        struct slice record = frame->raft.record_bytes[i];
        ASSERT(record.size >= RECORD_HEADER_SIZE && record.size <= RECORD_SIZE_MAX);
        write_u32(writer, (uint32_t)record.size);
        write_slice(writer, record);
    }
}

/* ---- decoding */

bool frame_raft_measure(struct slice body, size_t *checked)
{
    struct reader reader = reader_of(body);
    enum raft_msg_type type;
    if (!code_to_type(read_u8(&reader), &type))
        return false;
    *checked = frame_raft_checked_size(type);
    return *checked <= body.size;
}

static void read_tail(struct reader *reader, uint8_t flags, struct raft_msg *msg)
{
    switch (msg->type) {
    case RAFT_VOTE:
        msg->vote.pre = (flags & FLAG_PRE) != 0;
        msg->vote.transfer = (flags & FLAG_TRANSFER) != 0;
        msg->vote.last = read_u64(reader);
        msg->vote.last_term = read_u64(reader);
        return;
    case RAFT_VOTE_REPLY:
        msg->vote_reply.pre = (flags & FLAG_PRE) != 0;
        msg->vote_reply.granted = (flags & FLAG_GRANTED) != 0;
        return;
    case RAFT_APPEND:
        msg->append.prev = read_u64(reader);
        msg->append.prev_term = read_u64(reader);
        msg->append.commit = read_u64(reader);
        msg->append.n = read_u32(reader);
        read_zeros(reader, 4);
        return;
    case RAFT_APPEND_REPLY:
        msg->append_reply.ok = (flags & FLAG_OK) != 0;
        msg->append_reply.match = read_u64(reader);
        msg->append_reply.conflict = read_u64(reader);
        msg->append_reply.conflict_term = read_u64(reader);
        return;
    case RAFT_HEARTBEAT:
        msg->heartbeat.commit = read_u64(reader);
        msg->heartbeat.commit_term = read_u64(reader);
        msg->heartbeat.round = read_u64(reader);
        return;
    case RAFT_HEARTBEAT_REPLY:
        msg->heartbeat_reply.round = read_u64(reader);
        return;
    case RAFT_SNAPSHOT:
        msg->snapshot.base = read_u64(reader);
        msg->snapshot.base_term = read_u64(reader);
        return;
    case RAFT_TIMEOUT_NOW:
    case RAFT_MSG_TYPES:
        return;
    }
}

/* Index and term of one place in a log: both are 0 before the first entry, and no entry's
 * term is above the sender's. */
static bool place_valid(raft_index index, raft_term entry_term, raft_term term)
{
    return (index == 0) == (entry_term == 0) && entry_term <= term;
}

static bool msg_valid(const struct raft_msg *msg)
{
    if (msg->from == 0 || msg->to == 0 || msg->from == msg->to)
        return false;
    /* Only who has never seen an election may answer a pre-vote out of term 0. */
    if (msg->term == 0 && msg->type != RAFT_VOTE_REPLY)
        return false;

    switch (msg->type) {
    case RAFT_VOTE:
        return place_valid(msg->vote.last, msg->vote.last_term, msg->term);
    case RAFT_APPEND:
        return place_valid(msg->append.prev, msg->append.prev_term, msg->term) &&
               msg->append.n <= RAFT_BATCH_MAX && msg->append.prev <= UINT64_MAX - RAFT_BATCH_MAX;
    case RAFT_APPEND_REPLY:
        return !msg->append_reply.ok ||
               (msg->append_reply.conflict == 0 && msg->append_reply.conflict_term == 0);
    case RAFT_HEARTBEAT: /* the term may be left out: the sender's trail may not reach so far */
        return msg->heartbeat.commit_term <= msg->term &&
               (msg->heartbeat.commit > 0 || msg->heartbeat.commit_term == 0);
    case RAFT_SNAPSHOT:
        return msg->snapshot.base > 0 &&
               place_valid(msg->snapshot.base, msg->snapshot.base_term, msg->term);
    case RAFT_VOTE_REPLY:
    case RAFT_HEARTBEAT_REPLY:
    case RAFT_TIMEOUT_NOW:
    case RAFT_MSG_TYPES:
        return true;
    }
    return false;
}

/* The records of an append: in order, none from a term before the one in front of it. */
static bool read_records(struct reader *reader, struct frame_scratch *scratch, struct frame *out)
{
    const struct raft_msg *msg = &out->raft.msg;
    raft_term term_before = msg->append.prev_term;
    for (uint32_t i = 0; i < msg->append.n; i++) {
        size_t size = read_u32(reader);
        struct slice bytes = read_slice(reader, size);
        struct record *record = &scratch->records[i];
        if (reader->bad || record_decode(msg->append.prev + 1 + i, bytes, record) != OK)
            return false;
        if (record->term < term_before || record->term > msg->term)
            return false;
        term_before = record->term;
        scratch->record_bytes[i] = bytes;
    }
    out->raft.records = scratch->records;
    out->raft.record_bytes = scratch->record_bytes;
    return true;
}

bool frame_raft_read(struct reader *reader, struct frame_scratch *scratch, struct frame *out)
{
    struct raft_msg *msg = &out->raft.msg;
    if (!code_to_type(read_u8(reader), &msg->type))
        return false;
    uint8_t flags = read_u8(reader);
    read_zeros(reader, 6);
    msg->from = read_u64(reader);
    msg->to = read_u64(reader);
    msg->term = read_u64(reader);
    if ((flags & ~kinds[msg->type].known_flags) != 0)
        return false;
    read_tail(reader, flags, msg);
    if (reader->bad || !msg_valid(msg))
        return false;
    return msg->type != RAFT_APPEND || read_records(reader, scratch, out);
}
