/* test_wire_hostile.c - decoders take any bytes: they refuse them or make something valid of
 * them, and never read beyond the end (run under a sanitizer to see it).
 *
 * Frames whose checksum was recomputed by an attacker are the interesting ones: there the
 * checks behind the checksum are all that stands. */
#include "test_wire_support.h"

static struct frame_scratch scratch;
static struct kv_op ops[BATCH_OPS_MAX];
static struct kv_result results[BATCH_OPS_MAX];

/* Decodes a copy that ends where the bytes end; what is accepted must encode to the same. */
static enum err feed_frame(struct slice bytes)
{
    unsigned char *copy = exact_copy(bytes);
    struct slice rest = slice_of(copy, bytes.size);
    struct frame frame;
    enum err err = frame_decode(&rest, &scratch, &frame);
    if (err == OK) {
        struct blob *again = frame_encode(&frame);
        ck_assert_uint_eq(again->size, bytes.size - rest.size);
        ck_assert_mem_eq(again->data, copy, again->size);
        blob_unref(again);
    }
    free(copy);
    return err;
}

static enum err feed_command(struct slice bytes)
{
    unsigned char *copy = exact_copy(bytes), *again;
    struct command command;
    enum err err = command_decode(slice_of(copy, bytes.size), ops, &command);
    if (err == OK && command.type == COMMAND_BATCH) {
        ck_assert_uint_eq(command_batch_size(ops, command.n), bytes.size);
        again = malloc(bytes.size);
        command_encode_batch(ops, command.n, again);
        ck_assert_mem_eq(again, copy, bytes.size);
        free(again);
    } else if (err == OK) {
        struct blob *blob = command_encode_announce(&command.member);
        expect_slice(blob_slice(blob), slice_of(copy, bytes.size));
        blob_unref(blob);
    }
    free(copy);
    return err;
}

static enum err feed_result(struct slice bytes)
{
    unsigned char *copy = exact_copy(bytes);
    struct command_result result;
    enum err err = result_decode(slice_of(copy, bytes.size), results, &result);
    if (err == OK) {
        struct blob *again = result_encode(&result);
        expect_slice(blob_slice(again), slice_of(copy, bytes.size));
        blob_unref(again);
    }
    free(copy);
    return err;
}

typedef enum err feed_fn(struct slice bytes);

/* Every truncation, every flipped bit, and a byte too many. */
static void torment(struct slice bytes, feed_fn *feed, bool flips_must_fail)
{
    unsigned char *work = malloc(bytes.size + 1);
    ck_assert_ptr_nonnull(work);
    memcpy(work, bytes.data, bytes.size);
    work[bytes.size] = 0;
    ck_assert_int_eq(feed(bytes), OK);
    for (size_t size = 0; size < bytes.size; size++)
        ck_assert_int_ne(feed(slice_of(work, size)), OK);
    for (size_t bit = 0; bit < 8 * bytes.size; bit++) {
        work[bit / 8] ^= (unsigned char)(1u << (bit % 8));
        enum err err = feed(slice_of(work, bytes.size));
        if (flips_must_fail)
            ck_assert_msg(err == ERR_CORRUPT, "bit %zu of %zu bytes", bit, bytes.size);
        work[bit / 8] ^= (unsigned char)(1u << (bit % 8));
    }
    free(work);
}

START_TEST(no_flipped_bit_of_a_frame_goes_unnoticed)
{
    struct samples samples;
    samples_init(&samples);
    for (int i = 0; i < SAMPLE_FRAMES; i++) {
        struct blob *blob = frame_encode(&samples.frames[i]);
        torment(blob_slice(blob), feed_frame, true);
        blob_unref(blob);
    }
    samples_fini(&samples);
}
END_TEST

START_TEST(commands_and_results_survive_any_bit)
{
    struct samples samples;
    struct member_info member = sample_member();
    struct command_result failed = { .err = ERR_CONDITION_FAILED, .failed_revision = 5 };
    samples_init(&samples);
    torment(blob_slice(samples.command), feed_command, false);
    torment(blob_slice(samples.result), feed_result, false);
    struct blob *blob = command_encode_announce(&member);
    torment(blob_slice(blob), feed_command, false);
    blob_unref(blob);
    blob = result_encode(&failed);
    torment(blob_slice(blob), feed_result, false);
    blob_unref(blob);
    samples_fini(&samples);
}
END_TEST

/* ---- what an attacker who knows the checksum can do */

/* Puts the right checksum on a frame, as far as its length can be believed. */
static void forge(unsigned char *bytes, size_t size)
{
    size_t covered = size;
    if (size >= 25 && bytes[12] == FRAME_RAFT) {
        static const size_t tails[8] = { 0, 16, 0, 32, 24, 24, 8, 0 };
        covered = 24 + 32 + (bytes[24] < 8 ? tails[bytes[24]] : 0);
    }
    if (size < 24 || covered > size)
        return;
    uint64_t sum = checksum(0, slice_of(bytes + 8, covered - 8));
    for (int i = 0; i < 8; i++)
        bytes[i] = (unsigned char)(sum >> (8 * i));
}

START_TEST(forged_frames_are_refused_or_canonical)
{
    struct samples samples;
    uint64_t seed = 1;
    unsigned accepted = 0, refused = 0;
    samples_init(&samples);
    for (int i = 0; i < SAMPLE_FRAMES; i++) {
        struct blob *blob = frame_encode(&samples.frames[i]);
        unsigned char *work = exact_copy(blob_slice(blob));
        for (int round = 0; round < 4000; round++) {
            memcpy(work, blob->data, blob->size);
            for (uint64_t changes = next_random(&seed) % 4; changes < 4; changes++) {
                /* mostly in the first 96 bytes, where the structure is */
                size_t span = next_random(&seed) % 4 > 0 && blob->size > 96 ? 96 : blob->size;
                work[8 + next_random(&seed) % (span - 8)] = (unsigned char)next_random(&seed);
            }
            forge(work, blob->size);
            if (feed_frame(slice_of(work, blob->size)) == OK)
                accepted++;
            else
                refused++;
        }
        free(work);
        blob_unref(blob);
    }
    ck_assert_uint_gt(accepted, 1000); /* else the forging is wrong and nothing was tested */
    ck_assert_uint_gt(refused, 1000);
    samples_fini(&samples);
}
END_TEST

START_TEST(lengths_that_lie_are_refused)
{
    struct samples samples;
    samples_init(&samples);
    for (int i = 0; i < SAMPLE_FRAMES; i++) {
        struct blob *blob = frame_encode(&samples.frames[i]);
        unsigned char *work = exact_copy(blob_slice(blob));
        for (size_t lie = 0; lie < blob->size + 64; lie++) {
            uint32_t size = lie < blob->size + 63 ? (uint32_t)lie : UINT32_MAX;
            if (size == blob->size)
                continue;
            for (int b = 0; b < 4; b++)
                work[8 + b] = (unsigned char)(size >> (8 * b));
            forge(work, size < blob->size ? size : blob->size);
            ck_assert_int_eq(feed_frame(slice_of(work, blob->size)),
                             samples.frames[i].type == FRAME_FORWARD && size >= 41 &&
                                     size < blob->size
                                 ? OK /* a shorter command is a frame too */
                             : samples.frames[i].type == FRAME_FORWARD_REPLY && size >= 33 &&
                                     size < blob->size
                                 ? OK
                                 : ERR_CORRUPT);
        }
        free(work);
        blob_unref(blob);
    }
    samples_fini(&samples);
}
END_TEST

START_TEST(random_bytes_do_no_harm)
{
    uint64_t seed = 2;
    unsigned char bytes[512];
    for (int round = 0; round < 200000; round++) {
        size_t size = next_random(&seed) % (sizeof bytes + 1);
        for (size_t i = 0; i < size; i++) /* small numbers are the likelier fields */
            bytes[i] = (unsigned char)(next_random(&seed) >> (next_random(&seed) % 64));
        if (size > 12) {
            bytes[8] = (unsigned char)size;
            bytes[9] = (unsigned char)(size >> 8);
            bytes[10] = bytes[11] = 0;
            bytes[12] = (unsigned char)(1 + next_random(&seed) % 8);
        }
        feed_frame(slice_of(bytes, size));
        forge(bytes, size);
        feed_frame(slice_of(bytes, size));
        struct record record;
        struct envelope envelope;
        const char *why;
        ck_assert_int_eq(record_decode(1, slice_of(bytes, size), &record), ERR_CORRUPT);
        ck_assert_int_eq(envelope_decode(slice_of(bytes, size), &envelope, &why), ERR_BAD_REQUEST);
        if (size > 8) {
            memcpy(bytes, "\1\0\0\0\1\0\0\0", 8);
            bytes[4] = (unsigned char)(1 + next_random(&seed) % 3);
        }
        feed_command(slice_of(bytes, size));
        feed_result(slice_of(bytes, size));
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("wire against hostile bytes");
    TCase *tcase = tcase_create("hostile");
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, no_flipped_bit_of_a_frame_goes_unnoticed);
    tcase_add_test(tcase, commands_and_results_survive_any_bit);
    tcase_add_test(tcase, forged_frames_are_refused_or_canonical);
    tcase_add_test(tcase, lengths_that_lie_are_refused);
    tcase_add_test(tcase, random_bytes_do_no_harm);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
