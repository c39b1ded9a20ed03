/* fuzz_frames.c - a body between nodes: an envelope, then frames.
 *
 * What is accepted is within limits and encodes to the very same bytes. */
#include "tests/fuzz/fuzz.h"

#include "src/wire/frame.h"

static void check_records(const struct frame *frame)
{
    const struct raft_msg *msg = &frame->raft.msg;
    raft_term before = msg->append.prev_term;
    FUZZ_MUST(msg->append.n <= RAFT_BATCH_MAX);
    for (uint32_t i = 0; i < msg->append.n; i++) {
        const struct record *record = &frame->raft.records[i];
        FUZZ_MUST(record->index == msg->append.prev + 1 + i);
        FUZZ_MUST(record->term >= before && record->term <= msg->term);
        FUZZ_MUST(record->payload.size <= COMMAND_SIZE_MAX);
        before = record->term;
    }
}

static void check_frame(const struct frame *frame)
{
    switch (frame->type) {
    case FRAME_RAFT:
        FUZZ_MUST(frame->raft.msg.from != 0 && frame->raft.msg.to != 0);
        FUZZ_MUST(frame->raft.msg.from != frame->raft.msg.to);
        FUZZ_MUST(frame->raft.msg.after == 0);
        if (frame->raft.msg.type == RAFT_APPEND)
            check_records(frame);
        break;
    case FRAME_FORWARD:
        FUZZ_MUST(frame->forward.command.size > 0 && frame->forward.command.size <= COMMAND_SIZE_MAX);
        break;
    case FRAME_FORWARD_REPLY:
        FUZZ_MUST((frame->forward_reply.err == OK) == (frame->forward_reply.result.size > 0));
        break;
    case FRAME_INFO_REPLY:
        FUZZ_MUST(frame->info_reply.n <= MEMBERS_MAX);
        break;
    default:
        break;
    }
}

static void check_envelope(struct slice bytes, const struct envelope *envelope)
{
    unsigned char again[ENVELOPE_SIZE];
    FUZZ_MUST(envelope->cluster != 0 && envelope->from != 0 && envelope->to != 0);
    envelope_encode(envelope, again);
    FUZZ_MUST(memcmp(again, bytes.data, ENVELOPE_SIZE) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct frame_scratch scratch;
    struct slice rest = slice_of(data, size);
    struct envelope envelope;
    const char *why;
    if (envelope_decode(rest, &envelope, &why) == OK)
        check_envelope(rest, &envelope);
    else
        FUZZ_MUST(why != NULL);
    if (size < ENVELOPE_SIZE)
        return 0;
    rest = slice_of(data + ENVELOPE_SIZE, size - ENVELOPE_SIZE);
    for (;;) {
        struct slice before = rest;
        struct frame frame;
        enum err err = frame_decode(&rest, &scratch, &frame);
        FUZZ_MUST((err == ERR_NOT_FOUND) == (before.size == 0));
        if (err != OK) {
            FUZZ_MUST(rest.size == before.size && rest.data == before.data);
            return 0;
        }
        check_frame(&frame);
        struct blob *again = frame_encode(&frame);
        FUZZ_MUST(slice_equal(blob_slice(again),
                              slice_of(before.data, before.size - rest.size)));
        blob_unref(again);
    }
}

#ifdef HOLDFAST_FUZZING
/* ---- mutation: most of what libFuzzer makes would end at a checksum */

static void mend_records(uint8_t *at, size_t size, raft_index prev)
{
    for (raft_index index = prev + 1; size >= 4; index++) {
        size_t length = fuzz_get_u32(at);
        at += 4;
        size -= 4;
        if (length < RECORD_HEADER_SIZE || length > size)
            return;
        uint64_t sum = checksum(checksum(index, slice_of(at, RECORD_HEADER_SIZE - 8)),
                                slice_of(at + RECORD_HEADER_SIZE, length - RECORD_HEADER_SIZE));
        fuzz_put_u64(at + RECORD_HEADER_SIZE - 8, sum);
        at += length;
        size -= length;
    }
}

static void mend_frames(uint8_t *at, size_t size)
{
    enum { TYPE_AT = 12, PREV_AT = FRAME_HEADER_SIZE + 32, RECORDS_AT = PREV_AT + 32 };
    while (size >= FRAME_HEADER_SIZE) {
        size_t length = fuzz_get_u32(at + 8);
        if (length < FRAME_HEADER_SIZE || length > size) {
            length = size; /* the last frame takes what there is */
            fuzz_put_u64(at + 8, (uint64_t)length | (uint64_t)at[TYPE_AT] << 32);
        }
        size_t checked = length - FRAME_HEADER_SIZE;
        struct slice body = slice_of(at + FRAME_HEADER_SIZE, checked);
        if (at[TYPE_AT] == FRAME_RAFT && !frame_raft_measure(body, &checked))
            return;
        if (at[TYPE_AT] == FRAME_RAFT && length > RECORDS_AT)
            mend_records(at + RECORDS_AT, length - RECORDS_AT, fuzz_get_u32(at + PREV_AT));
        fuzz_put_u64(at, checksum(0, slice_of(at + 8, FRAME_HEADER_SIZE - 8 + checked)));
        at += length;
        size -= length;
    }
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    size = LLVMFuzzerMutate(data, size, max_size);
    if (seed % 16 == 0)
        return size;
    if (size >= ENVELOPE_SIZE) {
        fuzz_put_u64(data + ENVELOPE_SIZE - 8, checksum(0, slice_of(data, ENVELOPE_SIZE - 8)));
        mend_frames(data + ENVELOPE_SIZE, size - ENVELOPE_SIZE);
    }
    return size;
}
#endif
