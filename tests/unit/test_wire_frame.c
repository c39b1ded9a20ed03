/* test_wire_frame.c - frames between nodes come back as they went, and what contradicts itself
 * never does. */
#include "test_wire_support.h"

static struct frame_scratch scratch;

/* Decodes exactly one frame. */
static enum err decode_one(const struct blob *blob, struct frame *out)
{
    unsigned char *copy = exact_copy(blob_slice(blob));
    struct slice rest = slice_of(copy, blob->size);
    enum err err = frame_decode(&rest, &scratch, out);
    if (err == OK)
        ck_assert_uint_eq(rest.size, 0);
    else
        ck_assert_uint_eq(rest.size, blob->size);
    free(copy);
    return err;
}

/* What decodes encodes to the same bytes again: the form is canonical and nothing is lost. */
static void expect_same_again(const struct frame *frame)
{
    struct blob *blob = frame_encode(frame);
    struct slice rest = blob_slice(blob);
    struct frame back;
    ck_assert_int_eq(frame_decode(&rest, &scratch, &back), OK);
    ck_assert_uint_eq(rest.size, 0);
    ck_assert_int_eq(back.type, frame->type);
    ck_assert_uint_eq(back.request, frame->request);
    struct blob *again = frame_encode(&back);
    expect_slice(blob_slice(again), blob_slice(blob));
    blob_unref(again);
    blob_unref(blob);
}

START_TEST(every_frame_comes_back)
{
    struct samples samples;
    samples_init(&samples);
    for (int i = 0; i < SAMPLE_FRAMES; i++)
        expect_same_again(&samples.frames[i]);
    samples_fini(&samples);
}
END_TEST

START_TEST(raft_messages_keep_their_fields)
{
    struct samples samples;
    samples_init(&samples);
    for (int i = 0; i < SAMPLE_RAFT_FRAMES; i++) {
        struct blob *blob = frame_encode(&samples.frames[i]);
        const struct raft_msg *sent = &samples.frames[i].raft.msg;
        struct frame back;
        ck_assert_int_eq(decode_one(blob, &back), OK);
        const struct raft_msg *got = &back.raft.msg;
        ck_assert_int_eq(got->type, sent->type);
        ck_assert_uint_eq(got->from, sent->from);
        ck_assert_uint_eq(got->to, sent->to);
        ck_assert_uint_eq(got->term, sent->term);
        ck_assert_uint_eq(got->after, 0);
        switch (sent->type) {
        case RAFT_VOTE:
            ck_assert_uint_eq(got->vote.last, sent->vote.last);
            ck_assert_uint_eq(got->vote.last_term, sent->vote.last_term);
            ck_assert(got->vote.pre && !got->vote.transfer);
            break;
        case RAFT_VOTE_REPLY:
            ck_assert(!got->vote_reply.pre && got->vote_reply.granted);
            break;
        case RAFT_APPEND:
            ck_assert_uint_eq(got->append.prev, sent->append.prev);
            ck_assert_uint_eq(got->append.prev_term, sent->append.prev_term);
            ck_assert_uint_eq(got->append.commit, sent->append.commit);
            ck_assert_uint_eq(got->append.n, sent->append.n);
            break;
        case RAFT_APPEND_REPLY:
            ck_assert(!got->append_reply.ok);
            ck_assert_uint_eq(got->append_reply.match, sent->append_reply.match);
            ck_assert_uint_eq(got->append_reply.conflict, sent->append_reply.conflict);
            ck_assert_uint_eq(got->append_reply.conflict_term, sent->append_reply.conflict_term);
            break;
        case RAFT_HEARTBEAT:
            ck_assert_uint_eq(got->heartbeat.commit, sent->heartbeat.commit);
            ck_assert_uint_eq(got->heartbeat.commit_term, sent->heartbeat.commit_term);
            ck_assert_uint_eq(got->heartbeat.round, sent->heartbeat.round);
            break;
        case RAFT_HEARTBEAT_REPLY:
            ck_assert_uint_eq(got->heartbeat_reply.round, sent->heartbeat_reply.round);
            break;
        case RAFT_SNAPSHOT:
            ck_assert_uint_eq(got->snapshot.base, sent->snapshot.base);
            ck_assert_uint_eq(got->snapshot.base_term, sent->snapshot.base_term);
            break;
        case RAFT_TIMEOUT_NOW:
        case RAFT_MSG_TYPES:
            break;
        }
        blob_unref(blob);
    }
    samples_fini(&samples);
}
END_TEST

START_TEST(the_other_frames_keep_their_fields)
{
    struct samples samples;
    struct frame back[SAMPLE_FRAMES];
    struct blob *blobs[SAMPLE_FRAMES];
    samples_init(&samples);
    for (int i = SAMPLE_RAFT_FRAMES; i < SAMPLE_FRAMES; i++) {
        blobs[i] = frame_encode(&samples.frames[i]);
        struct slice rest = blob_slice(blobs[i]);
        ck_assert_int_eq(frame_decode(&rest, &scratch, &back[i]), OK);
    }
    ck_assert_uint_eq(back[8].forward.timeout_ms, 5000);
    ck_assert_uint_eq(back[8].forward.term, 12);
    expect_slice(back[8].forward.command, blob_slice(samples.command));
    ck_assert_int_eq(back[9].forward_reply.err, OK);
    ck_assert_int_eq(back[9].forward_reply.outcome, OUTCOME_APPLIED);
    expect_slice(back[9].forward_reply.result, blob_slice(samples.result));
    ck_assert_int_eq(back[10].forward_reply.err, ERR_OVERLOADED);
    ck_assert_int_eq(back[10].forward_reply.outcome, OUTCOME_NOT_APPLIED);
    ck_assert(back[11].read_index.lease);
    ck_assert(back[12].read_index_reply.ok);
    ck_assert_uint_eq(back[12].read_index_reply.index, 99);
    ck_assert_uint_eq(back[13].request, UINT64_MAX);
    ck_assert_uint_eq(back[14].info_reply.last, 103);
    ck_assert_uint_eq(back[14].info_reply.n, 2);
    ck_assert_uint_eq(back[14].info_reply.members[1].silence_ms, UINT64_MAX);
    ck_assert(back[14].info_reply.members[0].voter && !back[14].info_reply.members[1].voter);
    ck_assert_uint_eq(back[15].digest.index, 103);
    ck_assert_uint_eq(back[15].digest.agreed_index, 99);
    ck_assert_uint_eq(back[15].digest.agreed, 0x0123456789abcdef);
    ck_assert(back[15].digest.undecided);
    ck_assert_int_eq(back[16].digest_reply.answer, DIGEST_KNOWN);
    ck_assert_uint_eq(back[16].digest_reply.digest, UINT64_MAX);
    ck_assert_uint_eq(back[17].acknowledged.term, 9);
    ck_assert_uint_eq(back[17].acknowledged.index, 103);
    for (int i = SAMPLE_RAFT_FRAMES; i < SAMPLE_FRAMES; i++)
        blob_unref(blobs[i]);
    samples_fini(&samples);
}
END_TEST

START_TEST(extremes_come_back)
{
    static unsigned char large[COMMAND_SIZE_MAX];
    struct frame frame = sample_msg(RAFT_VOTE);
    frame.raft.msg.from = UINT64_MAX;
    frame.raft.msg.term = UINT64_MAX;
    frame.raft.msg.vote.last = UINT64_MAX;
    frame.raft.msg.vote.last_term = UINT64_MAX;
    frame.raft.msg.vote.transfer = true;
    expect_same_again(&frame);

    frame = sample_msg(RAFT_VOTE_REPLY); /* a pre-vote refused by who never saw an election */
    frame.raft.msg.term = 0;
    frame.raft.msg.vote_reply.pre = true;
    expect_same_again(&frame);

    frame = (struct frame){ .type = FRAME_FORWARD, .request = 1 };
    frame.forward.timeout_ms = UINT32_MAX;
    frame.forward.command = slice_of(large, sizeof large);
    expect_same_again(&frame);

    frame = (struct frame){ .type = FRAME_DIGEST_REPLY };
    for (int answer = DIGEST_PASSED; answer <= DIGEST_ODD; answer++) {
        frame.digest_reply.answer = (enum digest_answer)answer;
        expect_same_again(&frame);
    }

    frame = (struct frame){ .type = FRAME_INFO_REPLY };
    frame.info_reply.n = MEMBERS_MAX;
    for (uint64_t i = 0; i < MEMBERS_MAX; i++)
        frame.info_reply.members[i] = (struct info_member){ i + 1, UINT64_MAX, i, i % 2 == 0 };
    expect_same_again(&frame);
}
END_TEST

START_TEST(trouble_of_the_own_disk_is_told_as_internal)
{
    struct frame frame = { .type = FRAME_FORWARD_REPLY, .request = 1 }, back;
    frame.forward_reply.outcome = OUTCOME_UNKNOWN;
    for (enum err err = ERR_BAD_REQUEST; err < ERR_COUNT; err++) {
        frame.forward_reply.err = err;
        struct blob *blob = frame_encode(&frame);
        ck_assert_int_eq(decode_one(blob, &back), OK);
        ck_assert_int_eq(back.forward_reply.err, err <= ERR_INTERNAL ? err : ERR_INTERNAL);
        blob_unref(blob);
    }
}
END_TEST

/* ---- appends */

/* An append from prev (of prev_term) by a leader of `term`, with n records of these terms. */
struct append {
    raft_index prev;
    raft_term prev_term, term;
    raft_index first; /* the index under which the first record was made */
    uint32_t n;
    raft_term terms[4];
};

static enum err decode_append(const struct append *append)
{
    struct blob *records[4];
    struct slice bytes[4];
    struct frame frame = sample_msg(RAFT_APPEND), back;
    for (uint32_t i = 0; i < append->n; i++) {
        struct record record = { append->first + i, append->terms[i], RAFT_DATA, 1,
                                 slice_text("x") };
        records[i] = record_encode(&record);
        bytes[i] = blob_slice(records[i]);
    }
    frame.raft.msg.term = append->term;
    frame.raft.msg.append.prev = append->prev;
    frame.raft.msg.append.prev_term = append->prev_term;
    frame.raft.msg.append.n = append->n;
    frame.raft.record_bytes = bytes;
    struct blob *blob = frame_encode(&frame);
    enum err err = decode_one(blob, &back);
    blob_unref(blob);
    for (uint32_t i = 0; i < append->n; i++)
        blob_unref(records[i]);
    return err;
}

START_TEST(an_append_that_no_leader_sends_is_refused)
{
    static const struct append good[] = {
        { 0, 0, 1, 1, 1, { 1 } },
        { 10, 3, 5, 11, 3, { 3, 4, 5 } },
        { 10, 3, 5, 11, 0, { 0 } },
    };
    static const struct append bad[] = {
        { 10, 3, 5, 12, 1, { 3 } },          /* a record of another index */
        { 10, 3, 5, 11, 1, { 2 } },          /* a term below prev's */
        { 10, 3, 5, 11, 2, { 4, 3 } },       /* terms that fall */
        { 10, 3, 5, 11, 1, { 6 } },          /* a term above the leader's */
        { 10, 6, 5, 11, 0, { 0 } },          /* prev's term above the leader's */
        { 10, 0, 5, 11, 0, { 0 } },          /* an entry without a term (B21) */
        { 0, 3, 5, 1, 0, { 0 } },            /* a term without an entry */
        { 0, 0, 0, 1, 0, { 0 } },            /* a leader of no term */
        { UINT64_MAX, 3, 5, 0, 0, { 0 } },   /* indexes that would wrap */
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        ck_assert_msg(decode_append(&good[i]) == OK, "good append %zu", i);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_msg(decode_append(&bad[i]) == ERR_CORRUPT, "bad append %zu", i);
}
END_TEST

START_TEST(an_append_holds_the_largest_batch)
{
    static struct slice bytes[RAFT_BATCH_MAX];
    static struct blob *records[RAFT_BATCH_MAX];
    struct frame frame = sample_msg(RAFT_APPEND), back;
    size_t size = 0;
    for (uint32_t i = 0; i < RAFT_BATCH_MAX; i++) {
        struct record record = { 101 + i, 7 + i / 512, RAFT_DATA, i, slice_of("payload", i % 8) };
        records[i] = record_encode(&record);
        bytes[i] = blob_slice(records[i]);
        size += FRAME_RECORD_OVERHEAD + bytes[i].size;
    }
    frame.raft.msg.append.prev = 100;
    frame.raft.msg.append.prev_term = 7;
    frame.raft.msg.append.n = RAFT_BATCH_MAX;
    frame.raft.record_bytes = bytes;
    struct blob *blob = frame_encode(&frame);
    ck_assert_uint_le(blob->size, FRAME_OVERHEAD_MAX + size);
    struct slice rest = blob_slice(blob);
    ck_assert_int_eq(frame_decode(&rest, &scratch, &back), OK);
    for (uint32_t i = 0; i < RAFT_BATCH_MAX; i++) {
        ck_assert_uint_eq(back.raft.records[i].index, 101 + i);
        ck_assert_uint_eq(back.raft.records[i].term, 7 + i / 512);
        ck_assert_uint_eq(back.raft.records[i].time_ms, i);
        ck_assert_uint_eq(back.raft.records[i].payload.size, i % 8);
        expect_slice(back.raft.record_bytes[i], bytes[i]);
        blob_unref(records[i]);
    }
    blob_unref(blob);
}
END_TEST

START_TEST(a_message_that_no_server_sends_is_refused)
{
    struct frame bad[8], back;
    bad[0] = sample_msg(RAFT_HEARTBEAT), bad[0].raft.msg.from = 0;
    bad[1] = sample_msg(RAFT_HEARTBEAT), bad[1].raft.msg.to = 0;
    bad[2] = sample_msg(RAFT_HEARTBEAT), bad[2].raft.msg.to = bad[2].raft.msg.from;
    bad[3] = sample_msg(RAFT_TIMEOUT_NOW), bad[3].raft.msg.term = 0;
    bad[4] = sample_msg(RAFT_VOTE), bad[4].raft.msg.vote.last_term = 3; /* of no entry */
    bad[5] = sample_msg(RAFT_HEARTBEAT), bad[5].raft.msg.heartbeat.commit_term = 3;
    bad[6] = sample_msg(RAFT_SNAPSHOT); /* of nothing */
    bad[7] = sample_msg(RAFT_SNAPSHOT), bad[7].raft.msg.snapshot.base = 5;
    for (int i = 0; i < 8; i++) {
        struct blob *blob = frame_encode(&bad[i]);
        ck_assert_msg(decode_one(blob, &back) == ERR_CORRUPT, "bad message %d", i);
        blob_unref(blob);
    }
}
END_TEST

/* ---- rows of frames */

START_TEST(frames_come_off_the_front_one_by_one)
{
    struct samples samples;
    unsigned char bytes[8192];
    size_t size = 0;
    samples_init(&samples);
    for (int i = 0; i < SAMPLE_FRAMES; i++) {
        struct blob *blob = frame_encode(&samples.frames[i]);
        memcpy(bytes + size, blob->data, blob->size);
        size += blob->size;
        blob_unref(blob);
    }
    struct slice rest = slice_of(bytes, size);
    struct frame back;
    for (int i = 0; i < SAMPLE_FRAMES; i++) {
        ck_assert_int_eq(frame_decode(&rest, &scratch, &back), OK);
        ck_assert_int_eq(back.type, samples.frames[i].type);
    }
    ck_assert_int_eq(frame_decode(&rest, &scratch, &back), ERR_NOT_FOUND);
    samples_fini(&samples);
}
END_TEST

/* ---- known answers */

START_TEST(the_frames_stay_as_they_are)
{
    static const char *const wanted[SAMPLE_FRAMES] = {
        "bbf7e7e582e2052a4800000001000000000000000000000001010000000000000100000000000000"
        "0200000000000000090000000000000064000000000000000700000000000000",
        "02a8f7008dcecba23800000001000000000000000000000002020000000000000100000000000000"
        "02000000000000000900000000000000",
        "806b6342486583d18401000001000000000000000000000003000000000000000100000000000000"
        "02000000000000000900000000000000640000000000000007000000000000006300000000000000"
        "030000000000000080000000070000000000000001000000000000000068e5cf8b010000dd588cf0"
        "bd6b56e2010000000700000001000100050000006176616c756501010100000000003a0000000000"
        "00006201020100020000006100ff0201010000000000000000000000000063030000000000000003"
        "000400000000006170702f0400010000000000612000000009000000000000000000000000000000"
        "0168e5cf8b0100001eb71ed4b695d92c80000000090000000000000001000000000000000268e5cf"
        "8b010000f6c89d57e93cecc5010000000700000001000100050000006176616c7565010101000000"
        "00003a000000000000006201020100020000006100ff020101000000000000000000000000006303"
        "0000000000000003000400000000006170702f040001000000000061",
        "eca00ecc0b175a195000000001000000000000000000000004000000000000000100000000000000"
        "0200000000000000090000000000000064000000000000005a000000000000000600000000000000",
        "339c9d338fef0b005000000001000000000000000000000005000000000000000100000000000000"
        "02000000000000000900000000000000630000000000000007000000000000003930000000000000",
        "45a83956334213dd4000000001000000000000000000000006000000000000000100000000000000"
        "020000000000000009000000000000003930000000000000",
        "6ccebe8d7ea9db6d3800000001000000000000000000000007000000000000000100000000000000"
        "02000000000000000900000000000000",
        "032ee64190c000624800000001000000000000000000000008000000000000000100000000000000"
        "0200000000000000090000000000000064000000000000000700000000000000",
        "dd8cdbfe8f9d80138800000002000000010000000000000088130000000000000c00000000000000"
        "010000000700000001000100050000006176616c756501010100000000003a000000000000006201"
        "020100020000006100ff020101000000000000000000000000006303000000000000000300040000"
        "0000006170702f040001000000000061",
        "ccb8b3b2b339b7f6ad00000003000000010000000000000000010000000000000000000006000000"
        "3f000000000000001204000000000000070000000000000001020000000000003f00000000000000"
        "3f00000000000000010000000000000004010000050000003f000000000000000c00000000000000"
        "0300000000000000776f726c64040000000000000002010000000000000200000000000000030000"
        "0000000000a086010000000000",
        "93fd4f36ad765a9e200000000300000002000000000000000a02000000000000",
        "dcb795cf33709825200000000400000003000000000000000100000000000000",
        "1c84d046ed38a7362800000005000000030000000000000001000000000000006300000000000000",
        "d575f6b0762521961800000006000000ffffffffffffffff",
        "a1508bffc627a8e87800000007000000ffffffffffffffff09000000000000006300000000000000"
        "67000000000000000200000000000000010000000000000067000000000000000000000000000000"
        "010000000000000002000000000000000000000000000000ffffffffffffffff0000000000000000",
        "6d0ead54e1da5ee24000000008000000040000000000000009000000000000006700000000000000"
        "6300000000000000efcdab89674523010100000000000000",
        "c30d214af9f73ce2280000000f00000004000000000000000100000000000000ffffffffffffffff",
        "6c987c15c6a5dce62800000010000000000000000000000009000000000000006700000000000000",
    };
    struct samples samples;
    samples_init(&samples);
    for (int i = 0; i < SAMPLE_FRAMES; i++) {
        struct blob *blob = frame_encode(&samples.frames[i]);
        expect_hex(blob_slice(blob), wanted[i]);
        blob_unref(blob);
    }
    samples_fini(&samples);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("wire frames");
    TCase *tcase = tcase_create("frames");
    tcase_add_test(tcase, every_frame_comes_back);
    tcase_add_test(tcase, raft_messages_keep_their_fields);
    tcase_add_test(tcase, the_other_frames_keep_their_fields);
    tcase_add_test(tcase, extremes_come_back);
    tcase_add_test(tcase, trouble_of_the_own_disk_is_told_as_internal);
    tcase_add_test(tcase, an_append_that_no_leader_sends_is_refused);
    tcase_add_test(tcase, an_append_holds_the_largest_batch);
    tcase_add_test(tcase, a_message_that_no_server_sends_is_refused);
    tcase_add_test(tcase, frames_come_off_the_front_one_by_one);
    tcase_add_test(tcase, the_frames_stay_as_they_are);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
