/* test_snapshot.c - copies of the state, on their way to another node and into its place.  What
 * the contract promises is tried on the LMDB stores and on their memory twins alike. */
#include "harness.h"

#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static struct harness a, b; /* a has the state, b wants it */

static void setup(int kind)
{
    harness_init(&a, (enum kind)kind);
    harness_init(&b, (enum kind)kind);
}

static void teardown(void)
{
    harness_fini(&a);
    harness_fini(&b);
}

/* `keys` keys with values of `size` bytes, applied up to `index`, in term 3. */
static void fill(struct harness *h, unsigned index, unsigned keys, size_t size)
{
    struct state_change *changes = memory_new_array(keys + 4, sizeof *changes);
    char(*names)[16] = memory_new_array(keys, sizeof *names);
    char applied[16], count[16];
    unsigned char *value = memory_new(size + 1);
    memset(value, (int)('a' + index % 26), size);
    snprintf(applied, sizeof applied, "%u", index);
    snprintf(count, sizeof count, "%u", keys);
    changes[0] = set_text(TABLE_META, "applied_index", applied);
    changes[1] = set_text(TABLE_META, "applied_term", "3");
    changes[2] = set_text(TABLE_META, "keys", count);
    changes[3] = set_text(TABLE_META, "revision", applied);
    for (unsigned i = 0; i < keys; i++) {
        snprintf(names[i], sizeof names[i], "key%06u", i);
        changes[4 + i] = (struct state_change){ TABLE_KV, slice_text(names[i]),
                                                slice_of(value, size) };
    }
    flush(h, changes, keys + 4);
    free(changes);
    free(names);
    free(value);
}

static void expect_first_byte(struct harness *h, const char *key, char byte)
{
    struct slice value;
    ck_assert_int_eq(h->state->ops->read_begin(h->state), OK);
    ck_assert_int_eq(h->state->ops->get(h->state, TABLE_KV, slice_text(key), &value), OK);
    ck_assert_uint_gt(value.size, 0);
    ck_assert_int_eq(*(const char *)value.data, byte);
    h->state->ops->read_end(h->state);
}

static struct snapshot_job copy_of(struct harness *h)
{
    struct snapshot_job copy = { .type = SNAPSHOT_COPY };
    ck_assert_int_eq(snapshot_do(h, &copy), OK);
    return copy;
}

static void drop(struct harness *h, uint64_t file, enum err expected)
{
    struct snapshot_job job = { .type = SNAPSHOT_DROP, .file = file };
    ck_assert_int_eq(snapshot_do(h, &job), expected);
}

static bool exists(const struct harness *h, const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", h->dir, name);
    return access(path, F_OK) == 0;
}

/* ---- outgoing */

START_TEST(a_copy_tells_what_is_in_it)
{
    setup(_i);
    fill(&a, 26, 100, 50);
    struct snapshot_job copy = copy_of(&a);
    ck_assert_uint_eq(copy.info.index, 26);
    ck_assert_uint_eq(copy.info.term, 3);
    ck_assert_uint_eq(copy.info.keys, 100);
    ck_assert_uint_eq(copy.info.revision, 26);
    /* Its bytes, in parts of any size, are those of the checksum; nothing lies behind them. */
    struct checksum_stream *sum = checksum_stream_new();
    uint64_t at = 0;
    for (size_t part = 1000;; part += 777) {
        struct snapshot_job read = { .type = SNAPSHOT_READ, .file = copy.file, .offset = at,
                                     .size = part };
        ck_assert_int_eq(snapshot_do(&a, &read), OK);
        checksum_stream_add(sum, blob_slice(read.bytes));
        at += read.bytes->size;
        bool end = read.bytes->size < part;
        blob_unref(read.bytes);
        if (end)
            break;
    }
    ck_assert_uint_eq(at, copy.info.size);
    ck_assert(checksum_stream_end(sum) == copy.info.checksum);
    teardown();
}
END_TEST

START_TEST(a_copy_stays_as_it_was_while_the_state_goes_on)
{
    setup(_i);
    struct snapshot_info info;
    fill(&a, 26, 100, 50);
    struct snapshot_job copy = copy_of(&a);
    fill(&a, 27, 200, 50);
    struct snapshot_job second = copy_of(&a);
    ck_assert_uint_eq(second.info.index, 27);
    ck_assert(second.info.checksum != copy.info.checksum);
    drop(&a, second.file, OK);
    fill(&a, 28, 10, 50);
    snapshot_carry(&a, &b, 5000, &info); /* the third is of 28 */
    ck_assert_uint_eq(info.index, 28);
    struct snapshot_job read = { .type = SNAPSHOT_READ, .file = copy.file,
                                 .size = SNAPSHOT_PART_MAX };
    ck_assert_int_eq(snapshot_do(&a, &read), OK);
    ck_assert_uint_eq(read.bytes->size, copy.info.size);
    ck_assert(checksum(0, blob_slice(read.bytes)) == copy.info.checksum);
    blob_unref(read.bytes);
    teardown();
}
END_TEST

START_TEST(there_are_three_copies_at_most)
{
    setup(_i);
    fill(&a, 1, 10, 50);
    struct snapshot_job one = copy_of(&a), two = copy_of(&a);
    copy_of(&a);
    ck_assert_uint_ne(one.file, two.file);
    struct snapshot_job one_more = { .type = SNAPSHOT_COPY };
    ck_assert_int_eq(snapshot_do(&a, &one_more), ERR_OVERLOADED);
    drop(&a, one.file, OK);
    drop(&a, one.file, ERR_NOT_FOUND);
    struct snapshot_job read = { .type = SNAPSHOT_READ, .file = one.file, .size = 10 };
    ck_assert_int_eq(snapshot_do(&a, &read), ERR_NOT_FOUND);
    struct snapshot_job three = copy_of(&a);
    ck_assert(three.file != one.file && three.file != two.file);
    harness_reopen(&a); /* none outlives its process */
    read = (struct snapshot_job){ .type = SNAPSHOT_READ, .file = two.file, .size = 10 };
    ck_assert_int_eq(snapshot_do(&a, &read), ERR_NOT_FOUND);
    copy_of(&a);
    copy_of(&a);
    teardown();
}
END_TEST

START_TEST(copies_that_a_killed_process_left_are_removed)
{
    char path[128];
    harness_init(&a, KIND_LMDB);
    harness_close(&a);
    snprintf(path, sizeof path, "%s/snapshot/77.mdb", a.dir);
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fclose(file);
    harness_open(&a);
    ck_assert(!exists(&a, "snapshot/77.mdb"));
    harness_fini(&a);
}
END_TEST

/* ---- incoming */

START_TEST(it_arrives_and_takes_the_states_place)
{
    setup(_i);
    struct snapshot_info info;
    fill(&a, 26, 300, 700);
    fill(&b, 3, 5, 10);
    submit(&b, job_entries(1, 1, 5, 1, 100));
    snapshot_carry(&a, &b, 4096 + 17, &info);
    expect_value(&b, TABLE_META, "applied_index", "3");
    ck_assert_int_eq(snapshot_verify(&b), OK);
    expect_value(&b, TABLE_META, "applied_index", "3");
    wait_log(&b, 1);
    snapshot_install(&b, &info, 2);
    for (unsigned again = 0; again < 2; again++) {
        char incarnation[META_TEXT_MAX];
        expect_value(&b, TABLE_META, "applied_index", "26");
        expect_first_byte(&b, "key000299", 'a');
        expect_bounds(&b, 26, 3, 26);
        ck_assert_int_eq(b.log->ops->meta_get(b.log, "incarnation", incarnation), OK);
        expect_value(&b, TABLE_META, "incarnation", incarnation);
        harness_reopen(&b); /* which compares the two */
    }
    fill(&b, 27, 300, 10); /* and goes on */
    submit(&b, job_entries(3, 27, 2, 4, 10));
    wait_log(&b, 3);
    harness_reopen(&b);
    expect_value(&b, TABLE_META, "applied_index", "27");
    expect_log(&b, 27, "4*2");
    teardown();
}
END_TEST

/* B56 */
START_TEST(one_after_another_and_copied_again_at_once)
{
    setup(_i);
    for (unsigned i = 1; i <= 10; i++) {
        struct snapshot_info info;
        fill(&a, i * 10, 50 + i, 300);
        snapshot_carry(&a, &b, SNAPSHOT_PART_MAX, &info);
        ck_assert_int_eq(snapshot_verify(&b), OK);
        struct snapshot_job copy = copy_of(&b); /* of the old state, still there afterwards (B60) */
        snapshot_install(&b, &info, i);
        ck_assert_uint_eq(copy.info.index, 10 * (i - 1));
        struct snapshot_job read = { .type = SNAPSHOT_READ, .file = copy.file,
                                     .size = SNAPSHOT_PART_MAX };
        ck_assert_int_eq(snapshot_do(&b, &read), OK);
        ck_assert(checksum(0, blob_slice(read.bytes)) == copy.info.checksum);
        blob_unref(read.bytes);
        drop(&b, copy.file, OK);
        expect_first_byte(&b, "key000050", (char)('a' + i * 10 % 26));
    }
    if (b.kind == KIND_LMDB)
        ck_assert(!exists(&b, "state.old") && !exists(&b, "snapshot.incoming") &&
                  !exists(&b, "state/info"));
    teardown();
}
END_TEST

static void begin_and_write(const struct snapshot_info *info, struct slice bytes, uint64_t size,
                            size_t part)
{
    struct snapshot_job begin = { .type = SNAPSHOT_BEGIN, .info = *info };
    ck_assert_int_eq(snapshot_do(&b, &begin), OK);
    for (uint64_t at = begin.offset; at < size;) {
        size_t n = size - at < part ? (size_t)(size - at) : part;
        struct blob *piece = blob_copy(slice_of((const unsigned char *)bytes.data + at, n));
        struct snapshot_job write = { .type = SNAPSHOT_WRITE, .offset = at, .bytes = piece };
        ck_assert_int_eq(snapshot_do(&b, &write), OK);
        at += n;
    }
}

/* All bytes of a copy of `a`'s state. */
static struct blob *bytes_of_copy(struct snapshot_info *info)
{
    struct snapshot_job copy = copy_of(&a);
    struct blob *all = blob_new((size_t)copy.info.size);
    for (uint64_t at = 0; at < copy.info.size;) {
        struct snapshot_job read = { .type = SNAPSHOT_READ, .file = copy.file, .offset = at,
                                     .size = SNAPSHOT_PART_MAX };
        ck_assert_int_eq(snapshot_do(&a, &read), OK);
        memcpy(all->data + at, read.bytes->data, read.bytes->size);
        at += read.bytes->size;
        blob_unref(read.bytes);
    }
    drop(&a, copy.file, OK);
    *info = copy.info;
    return all;
}

START_TEST(it_goes_on_where_it_stopped)
{
    setup(_i);
    fill(&a, 26, 300, 700);
    struct snapshot_info info;
    struct blob *all = bytes_of_copy(&info);
    begin_and_write(&info, blob_slice(all), 100000, 9999);
    struct snapshot_job begin = { .type = SNAPSHOT_BEGIN, .info = info };
    ck_assert_int_eq(snapshot_do(&b, &begin), OK);
    ck_assert_uint_eq(begin.offset, 100000);
    harness_reopen(&b);
    ck_assert_int_eq(snapshot_do(&b, &begin), OK);
    ck_assert_uint_le(begin.offset, 100000);
    begin_and_write(&info, blob_slice(all), info.size, 9999);
    ck_assert_int_eq(snapshot_verify(&b), OK);
    harness_reopen(&b); /* what was found good needs not to be sent again */
    ck_assert_int_eq(snapshot_do(&b, &begin), OK);
    ck_assert_uint_eq(begin.offset, info.size);
    ck_assert_int_eq(snapshot_verify(&b), OK);
    snapshot_install(&b, &info, 1);
    expect_first_byte(&b, "key000299", 'a');

    info.revision++; /* another one: from the beginning */
    begin.info = info;
    ck_assert_int_eq(snapshot_do(&b, &begin), OK);
    ck_assert_uint_eq(begin.offset, 0);
    blob_unref(all);
    teardown();
}
END_TEST

START_TEST(parts_must_follow_each_other)
{
    setup(_i);
    struct snapshot_job write = { .type = SNAPSHOT_WRITE, .bytes = blob_new(10) };
    ck_assert_int_eq(snapshot_do(&b, &write), ERR_NOT_FOUND);
    ck_assert_int_eq(snapshot_verify(&b), ERR_NOT_FOUND);
    struct snapshot_job begin = { .type = SNAPSHOT_BEGIN, .info = { .index = 1, .size = 15 } };
    ck_assert_int_eq(snapshot_do(&b, &begin), OK);
    write = (struct snapshot_job){ .type = SNAPSHOT_WRITE, .offset = 1, .bytes = blob_new(10) };
    ck_assert_int_eq(snapshot_do(&b, &write), ERR_CORRUPT);
    write = (struct snapshot_job){ .type = SNAPSHOT_WRITE, .offset = 0, .bytes = blob_new(10) };
    memset(write.bytes->data, 0, 10);
    ck_assert_int_eq(snapshot_do(&b, &write), OK);
    write = (struct snapshot_job){ .type = SNAPSHOT_WRITE, .offset = 10, .bytes = blob_new(6) };
    ck_assert_int_eq(snapshot_do(&b, &write), ERR_CORRUPT); /* longer than announced */
    ck_assert_int_eq(snapshot_do(&b, &begin), OK);
    ck_assert_uint_eq(begin.offset, 10);
    struct snapshot_job abort = { .type = SNAPSHOT_ABORT };
    ck_assert_int_eq(snapshot_do(&b, &abort), OK);
    ck_assert_int_eq(snapshot_do(&b, &abort), OK);
    ck_assert_int_eq(snapshot_verify(&b), ERR_NOT_FOUND);
    teardown();
}
END_TEST

/* Brings `all` as announced by `info`, and expects VERIFY to refuse it and to drop it. */
static void expect_refused(const struct snapshot_info *info, struct blob *all, enum err expected)
{
    begin_and_write(info, blob_slice(all), info->size, SNAPSHOT_PART_MAX);
    enum err err = snapshot_verify(&b);
    ck_assert_msg(err == expected, "expected %s, got %s", err_name(expected), err_name(err));
    struct snapshot_job begin = { .type = SNAPSHOT_BEGIN, .info = *info };
    ck_assert_int_eq(snapshot_do(&b, &begin), OK);
    ck_assert_uint_eq(begin.offset, 0);
}

START_TEST(damaged_bytes_are_refused)
{
    setup(_i);
    fill(&a, 26, 40, 700);
    fill(&b, 3, 5, 10);
    struct snapshot_info info, other;
    struct blob *all = bytes_of_copy(&info);
    for (size_t i = 0; i < 64; i++) {
        size_t at = i * (all->size - 1) / 63;
        all->data[at] ^= (unsigned char)(1u << i % 8);
        expect_refused(&info, all, ERR_CORRUPT);
        all->data[at] ^= (unsigned char)(1u << i % 8);
    }
    other = info; /* cut short, and announced so */
    other.size -= 5000;
    other.checksum = checksum(0, slice_of(all->data, (size_t)other.size));
    expect_refused(&other, all, ERR_CORRUPT);
    other = info; /* one part less than announced */
    begin_and_write(&other, blob_slice(all), other.size - 1, SNAPSHOT_PART_MAX);
    ck_assert_int_eq(snapshot_verify(&b), ERR_CORRUPT);
    /* The bytes are whole, what was told of them is not so. */
    other = info, other.index++;
    expect_refused(&other, all, ERR_CORRUPT);
    other = info, other.term++;
    expect_refused(&other, all, ERR_CORRUPT);
    other = info, other.keys--;
    expect_refused(&other, all, ERR_CORRUPT);
    other = info, other.digest = 1;
    expect_refused(&other, all, ERR_CORRUPT);
    expect_value(&b, TABLE_META, "applied_index", "3");
    expect_first_byte(&b, "key000004", 'd');
    begin_and_write(&info, blob_slice(all), info.size, SNAPSHOT_PART_MAX);
    ck_assert_int_eq(snapshot_verify(&b), OK);
    blob_unref(all);
    teardown();
}
END_TEST

/* A flipped bit that the sender's disk had already, under the sender's checksum. */
START_TEST(a_value_that_was_broken_at_its_source_is_refused)
{
    setup(_i);
    fill(&a, 26, 40, 700);
    struct snapshot_info info;
    struct blob *all = bytes_of_copy(&info);
    unsigned char run[100];
    memset(run, 'a', sizeof run);
    unsigned char *value = memmem(all->data, all->size, run, sizeof run);
    ck_assert_ptr_nonnull(value);
    value[50] ^= 1;
    info.checksum = checksum(0, blob_slice(all));
    expect_refused(&info, all, ERR_CORRUPT);
    blob_unref(all);
    teardown();
}
END_TEST

START_TEST(a_count_or_digest_that_does_not_match_is_refused)
{
    setup(_i);
    struct snapshot_info info;
    fill(&a, 26, 40, 700);
    struct state_change wrong = set_text(TABLE_META, "keys", "41");
    flush(&a, &wrong, 1);
    snapshot_carry(&a, &b, SNAPSHOT_PART_MAX, &info);
    ck_assert_int_eq(snapshot_verify(&b), ERR_CORRUPT);
    fill(&a, 27, 40, 700);
    wrong = set_text(TABLE_META, "digest", "0123456789abcdef");
    flush(&a, &wrong, 1);
    snapshot_carry(&a, &b, SNAPSHOT_PART_MAX, &info);
    ck_assert(info.digest == 0x0123456789abcdef);
    ck_assert_int_eq(snapshot_verify(&b), ERR_CORRUPT);
    teardown();
}
END_TEST

START_TEST(another_clusters_snapshot_is_refused)
{
    setup(_i);
    struct snapshot_info info;
    fill(&a, 26, 40, 700);
    struct state_change change = set_text(TABLE_META, "cluster", "00000000000000cc");
    flush(&a, &change, 1);
    snapshot_carry(&a, &b, SNAPSHOT_PART_MAX, &info);
    ck_assert_int_eq(snapshot_verify(&b), ERR_FOREIGN);
    change = unset_text(TABLE_META, "cluster"); /* one that was made before it was written */
    flush(&a, &change, 1);
    snapshot_carry(&a, &b, SNAPSHOT_PART_MAX, &info);
    ck_assert_int_eq(snapshot_verify(&b), OK);
    snapshot_install(&b, &info, 1);
    expect_value(&b, TABLE_META, "cluster", "1122334455667788");
    teardown();
}
END_TEST

int main(void)
{
    if (access("/dev/shm", W_OK) == 0)
        setenv("TMPDIR", "/dev/shm", 0);
    Suite *suite = suite_create("snapshots");
    TCase *tcase = tcase_create("memory (0) and LMDB (1)");
    tcase_set_timeout(tcase, 120);
    tcase_add_loop_test(tcase, a_copy_tells_what_is_in_it, 0, KINDS);
    tcase_add_loop_test(tcase, a_copy_stays_as_it_was_while_the_state_goes_on, 0, KINDS);
    tcase_add_loop_test(tcase, there_are_three_copies_at_most, 0, KINDS);
    tcase_add_test(tcase, copies_that_a_killed_process_left_are_removed);
    tcase_add_loop_test(tcase, it_arrives_and_takes_the_states_place, 0, KINDS);
    tcase_add_loop_test(tcase, one_after_another_and_copied_again_at_once, 0, KINDS);
    tcase_add_loop_test(tcase, it_goes_on_where_it_stopped, 0, KINDS);
    tcase_add_loop_test(tcase, parts_must_follow_each_other, 0, KINDS);
    tcase_add_loop_test(tcase, damaged_bytes_are_refused, 0, KINDS);
    tcase_add_loop_test(tcase, a_value_that_was_broken_at_its_source_is_refused, 0, KINDS);
    tcase_add_loop_test(tcase, a_count_or_digest_that_does_not_match_is_refused, 0, KINDS);
    tcase_add_loop_test(tcase, another_clusters_snapshot_is_refused, 0, KINDS);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
