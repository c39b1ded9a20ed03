/* test_wire_snapshot.c - the frames with which a snapshot is fetched: they keep their fields, and
 * what no node sends is refused. */
#include "test_wire_support.h"

static struct frame_scratch scratch;

enum { FRAMES = 6 };

static void fill(struct frame frames[FRAMES])
{
    memset(frames, 0, FRAMES * sizeof *frames);
    for (int i = 0; i < FRAMES; i++)
        frames[i].request = 77 + (uint64_t)i;
    frames[0].type = FRAME_SNAPSHOT_OPEN;
    frames[0].snapshot_open.applied = 41;
    frames[0].snapshot_open.damaged = 42;
    frames[1].type = FRAME_SNAPSHOT_OPEN_REPLY;
    frames[1].snapshot_open_reply.file = 3;
    frames[1].snapshot_open_reply.index = 100;
    frames[1].snapshot_open_reply.term = 7;
    frames[1].snapshot_open_reply.revision = 63;
    frames[1].snapshot_open_reply.keys = 12;
    frames[1].snapshot_open_reply.digest = 0x1122334455667788;
    frames[1].snapshot_open_reply.size = 40960;
    frames[1].snapshot_open_reply.checksum = 0x8877665544332211;
    frames[1].snapshot_open_reply.configuration = slice_text("members");
    frames[2].type = FRAME_SNAPSHOT_OPEN_REPLY;
    frames[2].snapshot_open_reply.wait_ms = 1000;
    frames[3].type = FRAME_SNAPSHOT_READ;
    frames[3].snapshot_read.file = 3;
    frames[3].snapshot_read.offset = 40956;
    frames[3].snapshot_read.size = 4;
    frames[4].type = FRAME_SNAPSHOT_PART;
    frames[4].snapshot_part.file = 3;
    frames[4].snapshot_part.offset = 40956;
    frames[4].snapshot_part.total = 40960;
    frames[4].snapshot_part.bytes = slice_of("\1\2\3\4", 4);
    frames[5].type = FRAME_SNAPSHOT_PART; /* the file is gone */
    frames[5].snapshot_part.file = 3;
}

static enum err decode(const struct blob *blob, struct frame *out)
{
    struct slice rest = blob_slice(blob);
    enum err err = frame_decode(&rest, &scratch, out);
    ck_assert(err != OK || rest.size == 0);
    return err;
}

static enum err again(const struct frame *frame)
{
    struct frame back;
    struct blob *blob = frame_encode(frame);
    enum err err = decode(blob, &back);
    blob_unref(blob);
    return err;
}

START_TEST(the_frames_of_snapshots_keep_their_fields)
{
    struct frame frames[FRAMES], back[FRAMES];
    struct blob *blobs[FRAMES];
    fill(frames);
    for (int i = 0; i < FRAMES; i++) {
        blobs[i] = frame_encode(&frames[i]);
        ck_assert_int_eq(decode(blobs[i], &back[i]), OK);
        ck_assert_int_eq(back[i].type, frames[i].type);
        ck_assert_uint_eq(back[i].request, frames[i].request);
    }
    ck_assert_uint_eq(back[0].snapshot_open.applied, 41);
    ck_assert_uint_eq(back[0].snapshot_open.damaged, 42);
    ck_assert_uint_eq(back[1].snapshot_open_reply.file, 3);
    ck_assert_uint_eq(back[1].snapshot_open_reply.index, 100);
    ck_assert_uint_eq(back[1].snapshot_open_reply.term, 7);
    ck_assert_uint_eq(back[1].snapshot_open_reply.revision, 63);
    ck_assert_uint_eq(back[1].snapshot_open_reply.keys, 12);
    ck_assert_uint_eq(back[1].snapshot_open_reply.digest, 0x1122334455667788);
    ck_assert_uint_eq(back[1].snapshot_open_reply.size, 40960);
    ck_assert_uint_eq(back[1].snapshot_open_reply.checksum, 0x8877665544332211);
    expect_slice(back[1].snapshot_open_reply.configuration, slice_text("members"));
    ck_assert_uint_eq(back[2].snapshot_open_reply.file, 0);
    ck_assert_uint_eq(back[2].snapshot_open_reply.wait_ms, 1000);
    ck_assert_uint_eq(back[3].snapshot_read.file, 3);
    ck_assert_uint_eq(back[3].snapshot_read.offset, 40956);
    ck_assert_uint_eq(back[3].snapshot_read.size, 4);
    ck_assert_uint_eq(back[4].snapshot_part.file, 3);
    ck_assert_uint_eq(back[4].snapshot_part.offset, 40956);
    ck_assert_uint_eq(back[4].snapshot_part.total, 40960);
    expect_slice(back[4].snapshot_part.bytes, slice_of("\1\2\3\4", 4));
    ck_assert_uint_eq(back[5].snapshot_part.bytes.size, 0);
    for (int i = 0; i < FRAMES; i++)
        blob_unref(blobs[i]);
}
END_TEST

START_TEST(a_part_of_the_largest_size_fits_a_frame)
{
    static unsigned char large[SNAPSHOT_PART_MAX];
    struct frame frame = { .type = FRAME_SNAPSHOT_PART }, back;
    frame.snapshot_part.file = UINT64_MAX;
    frame.snapshot_part.offset = UINT64_MAX - SNAPSHOT_PART_MAX;
    frame.snapshot_part.total = UINT64_MAX;
    frame.snapshot_part.bytes = slice_of(large, sizeof large);
    struct blob *blob = frame_encode(&frame);
    ck_assert_int_eq(decode(blob, &back), OK);
    ck_assert_uint_eq(back.snapshot_part.bytes.size, SNAPSHOT_PART_MAX);
    blob_unref(blob);
}
END_TEST

START_TEST(what_no_node_sends_is_refused)
{
    struct frame frames[FRAMES], bad;
    fill(frames);
    bad = frames[1], bad.snapshot_open_reply.index = 0;
    ck_assert_int_eq(again(&bad), ERR_CORRUPT);
    bad = frames[1], bad.snapshot_open_reply.index = UINT64_MAX;
    ck_assert_int_eq(again(&bad), ERR_CORRUPT);
    bad = frames[1], bad.snapshot_open_reply.term = 0;
    ck_assert_int_eq(again(&bad), ERR_CORRUPT);
    bad = frames[1], bad.snapshot_open_reply.revision = 0;
    ck_assert_int_eq(again(&bad), ERR_CORRUPT);
    bad = frames[1], bad.snapshot_open_reply.size = 0;
    ck_assert_int_eq(again(&bad), ERR_CORRUPT);
    bad = frames[3], bad.snapshot_read.file = 0;
    ck_assert_int_eq(again(&bad), ERR_CORRUPT);
    bad = frames[3], bad.snapshot_read.size = 0;
    ck_assert_int_eq(again(&bad), ERR_CORRUPT);
    bad = frames[3], bad.snapshot_read.size = SNAPSHOT_PART_MAX + 1;
    ck_assert_int_eq(again(&bad), ERR_CORRUPT);
    bad = frames[3], bad.snapshot_read.offset = UINT64_MAX - 3; /* would wrap */
    ck_assert_int_eq(again(&bad), ERR_CORRUPT);
    bad = frames[4], bad.snapshot_part.file = 0;
    ck_assert_int_eq(again(&bad), ERR_CORRUPT);
    bad = frames[4], bad.snapshot_part.total = 40959; /* ends behind the end */
    ck_assert_int_eq(again(&bad), ERR_CORRUPT);
    bad = frames[4], bad.snapshot_part.offset = 40961;
    ck_assert_int_eq(again(&bad), ERR_CORRUPT);
    bad = frames[5], bad.snapshot_part.total = 1; /* neither bytes nor gone */
    ck_assert_int_eq(again(&bad), ERR_CORRUPT);
}
END_TEST

/* I15: the frame's checksum covers the part's bytes too. */
START_TEST(no_flipped_bit_and_no_truncation_goes_unnoticed)
{
    struct frame frames[FRAMES], back;
    fill(frames);
    for (int i = 0; i < FRAMES; i++) {
        struct blob *blob = frame_encode(&frames[i]);
        for (size_t bit = 0; bit < 8 * blob->size; bit++) {
            blob->data[bit / 8] ^= (unsigned char)(1u << (bit % 8));
            ck_assert_msg(decode(blob, &back) == ERR_CORRUPT, "frame %d bit %zu", i, bit);
            blob->data[bit / 8] ^= (unsigned char)(1u << (bit % 8));
        }
        for (size_t size = 1; size < blob->size; size++) {
            unsigned char *copy = exact_copy(slice_of(blob->data, size));
            struct slice rest = slice_of(copy, size);
            ck_assert_int_eq(frame_decode(&rest, &scratch, &back), ERR_CORRUPT);
            free(copy);
        }
        blob_unref(blob);
    }
}
END_TEST

/* With the right checksum over wrong bytes: refused, or the same bytes when encoded again. */
START_TEST(forged_frames_are_refused_or_canonical)
{
    struct frame frames[FRAMES], back;
    uint64_t seed = 5;
    unsigned accepted = 0, refused = 0;
    fill(frames);
    for (int i = 0; i < FRAMES; i++) {
        struct blob *blob = frame_encode(&frames[i]);
        for (int round = 0; round < 4000; round++) {
            struct blob *work = blob_copy(blob_slice(blob));
            for (uint64_t n = next_random(&seed) % 3; n < 3; n++)
                work->data[16 + next_random(&seed) % (work->size - 16)] =
                    (unsigned char)(next_random(&seed) >> (next_random(&seed) % 64));
            uint64_t sum = checksum(0, slice_of(work->data + 8, work->size - 8));
            for (int b = 0; b < 8; b++)
                work->data[b] = (unsigned char)(sum >> (8 * b));
            if (decode(work, &back) == OK) {
                struct blob *same = frame_encode(&back);
                expect_slice(blob_slice(same), blob_slice(work));
                blob_unref(same);
                accepted++;
            } else {
                refused++;
            }
            blob_unref(work);
        }
        blob_unref(blob);
    }
    ck_assert_uint_gt(accepted, 1000);
    ck_assert_uint_gt(refused, 1000);
}
END_TEST

START_TEST(the_bytes_stay_as_they_are)
{
    static const char *const wanted[FRAMES] = {
        "ef5fb3cc047e6b3628000000090000004d0000000000000029000000000000002a00000000000000",
        "e9b17f13b8e97137670000000a0000004e0000000000000003000000000000000000000000000000"
        "640000000000000007000000000000003f000000000000000c000000000000008877665544332211"
        "00a000000000000011223344556677886d656d62657273",
        "a9031e0c8cf278fa600000000a0000004f000000000000000000000000000000e803000000000000"
        "00000000000000000000000000000000000000000000000000000000000000000000000000000000"
        "00000000000000000000000000000000",
        "bb22e114fbb7cd2a300000000b00000050000000000000000300000000000000fc9f000000000000"
        "0400000000000000",
        "11b573528b3f71af340000000c00000051000000000000000300000000000000fc9f000000000000"
        "00a000000000000001020304",
        "6d2591381a2c69b3300000000c000000520000000000000003000000000000000000000000000000"
        "0000000000000000",
    };
    struct frame frames[FRAMES];
    fill(frames);
    for (int i = 0; i < FRAMES; i++) {
        struct blob *blob = frame_encode(&frames[i]);
        expect_hex(blob_slice(blob), wanted[i]);
        blob_unref(blob);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("wire frames of snapshots");
    TCase *tcase = tcase_create("snapshots");
    tcase_add_test(tcase, the_frames_of_snapshots_keep_their_fields);
    tcase_add_test(tcase, a_part_of_the_largest_size_fits_a_frame);
    tcase_add_test(tcase, what_no_node_sends_is_refused);
    tcase_add_test(tcase, no_flipped_bit_and_no_truncation_goes_unnoticed);
    tcase_add_test(tcase, forged_frames_are_refused_or_canonical);
    tcase_add_test(tcase, the_bytes_stay_as_they_are);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
