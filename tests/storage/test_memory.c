/* test_memory.c - the controls of the memory disk: when jobs are written, what a crash keeps,
 * what a flipped bit does.  Fakes need tests. */
#include "harness.h"

#include <stdlib.h>

static struct harness h;
static struct identity identity;
static unsigned woken;

static void on_wake(void *arg)
{
    (void)arg;
    woken++;
}

static void expect_last(raft_index last)
{
    struct log_boot boot;
    ck_assert_int_eq(h.log->ops->boot(h.log, &boot), OK);
    ck_assert_uint_eq(boot.last, last);
    free(boot.runs);
}

START_TEST(what_is_held_is_written_one_by_one)
{
    harness_init(&h, KIND_MEMORY);
    memory_disk_hold(h.disk, true);
    for (raft_ticket t = 1; t <= 3; t++)
        submit(&h, job_entries(t, t, 1, 1, 10));
    ck_assert_uint_eq(memory_disk_unwritten(h.disk, false), 3);
    expect_last(0);
    ck_assert(memory_disk_write(h.disk, false));
    expect_last(1);
    wait_log(&h, 1);
    ck_assert_uint_eq(h.n_done, 1);
    memory_disk_hold(h.disk, false); /* lets go of the rest */
    ck_assert_uint_eq(memory_disk_unwritten(h.disk, false), 0);
    wait_log(&h, 3);
    expect_last(3);
    ck_assert(!memory_disk_write(h.disk, false));
    harness_fini(&h);
}
END_TEST

START_TEST(each_written_job_wakes_the_loop)
{
    struct storage_options options = { .wake = on_wake };
    identity = identity_example();
    struct memory_disk *disk = memory_disk_new(&identity);
    struct log_store *log = log_memory_open(disk, &options);
    log->ops->submit(log, job_entries(1, 1, 1, 1, 10));
    ck_assert_uint_eq(woken, 1);
    memory_disk_hold(disk, true);
    log->ops->submit(log, job_entries(2, 2, 1, 1, 10));
    ck_assert_uint_eq(woken, 1);
    memory_disk_write(disk, false);
    ck_assert_uint_eq(woken, 2);
    log->ops->close(log);
    memory_disk_free(disk);
}
END_TEST

static void crash_and_reopen(size_t kept_log, size_t kept_state)
{
    memory_disk_crash(h.disk, kept_log, kept_state);
    memory_disk_hold(h.disk, false);
    harness_open(&h);
}

START_TEST(a_crash_keeps_what_was_written_and_as_many_jobs_as_told)
{
    for (size_t kept = 0; kept <= 3; kept++) {
        harness_init(&h, KIND_MEMORY);
        submit(&h, job_entries(1, 1, 2, 1, 10)); /* written, though never drained */
        memory_disk_hold(h.disk, true);
        struct log_job *job = job_entries(2, 3, 1, 2, 10);
        job_vote(job, 2, 0xb);
        submit(&h, job);
        submit(&h, job_entries(3, 2, 1, 3, 10)); /* erases 2 and 3 */
        crash_and_reopen(kept, 0);
        expect_log(&h, 1, kept == 0 ? "1*2" : kept == 1 ? "1*2 2*1" : "1*1 3*1");
        expect_meta(&h, "term", kept == 0 ? "0" : "2");
        expect_meta(&h, "vote", kept == 0 ? "0000000000000000" : "000000000000000b");
        ck_assert_uint_eq(memory_disk_unwritten(h.disk, false), 0);
        submit(&h, job_entries(4, 1, 1, 4, 10)); /* and goes on */
        wait_log(&h, 1);
        expect_log(&h, 1, "4*1");
        harness_fini(&h);
    }
}
END_TEST

START_TEST(a_crash_keeps_whole_flushes)
{
    for (size_t kept = 0; kept <= 2; kept++) {
        harness_init(&h, KIND_MEMORY);
        struct state_change one[] = { set_text(TABLE_META, "applied", "1"),
                                      set_text(TABLE_KV, "k", "one") };
        struct state_change two[] = { set_text(TABLE_META, "applied", "2"),
                                      unset_text(TABLE_KV, "k") };
        struct state_job jobs[] = { { .changes = one, .n = 2 }, { .changes = two, .n = 2 } };
        memory_disk_hold(h.disk, true);
        h.state->ops->submit(h.state, &jobs[0]);
        h.state->ops->submit(h.state, &jobs[1]);
        ck_assert_uint_eq(memory_disk_unwritten(h.disk, true), 2);
        expect_value(&h, TABLE_KV, "k", NULL);
        crash_and_reopen(0, kept);
        expect_value(&h, TABLE_META, "applied", kept == 0 ? NULL : kept == 1 ? "1" : "2");
        expect_value(&h, TABLE_KV, "k", kept == 1 ? "one" : NULL);
        harness_fini(&h);
    }
}
END_TEST

START_TEST(a_disk_keeps_its_identity)
{
    struct identity found;
    identity = identity_example();
    struct memory_disk *a = memory_disk_new(&identity), *b = memory_disk_new(&identity);
    struct identity other;
    memory_disk_identity(a, &found);
    memory_disk_identity(b, &other);
    ck_assert_str_eq(found.name, "node1");
    ck_assert_mem_ne(found.incarnation, other.incarnation, INCARNATION_SIZE);
    memory_disk_free(b);
    b = memory_disk_new(&found); /* an incarnation that is given stays */
    memory_disk_identity(b, &other);
    ck_assert_mem_eq(found.incarnation, other.incarnation, INCARNATION_SIZE);
    memory_disk_free(a);
    memory_disk_free(b);
}
END_TEST

/* ---- snapshots */

static struct harness source;
static struct snapshot_info info;

/* A snapshot at index 9 has arrived whole; `h` is at 4. */
static void carry(void)
{
    struct state_change nine[] = { set_text(TABLE_META, "applied_index", "9"),
                                   set_text(TABLE_META, "keys", "1"),
                                   set_text(TABLE_KV, "k", "nine") };
    struct state_change four[] = { set_text(TABLE_META, "applied_index", "4"),
                                   set_text(TABLE_KV, "k", "four") };
    harness_init(&source, KIND_MEMORY);
    harness_init(&h, KIND_MEMORY);
    flush(&source, nine, 3);
    flush(&h, four, 2);
    snapshot_carry(&source, &h, 100, &info);
}

static void fini(void)
{
    harness_fini(&source);
    harness_fini(&h);
}

static void note_installed(void *arg)
{
    ++*(unsigned *)arg;
}

/* B53: whatever was written before the crash, one of the two states is there. */
START_TEST(a_crash_within_an_installation_leaves_one_of_the_two_states)
{
    for (unsigned step = 0; step < 4; step++) {
        carry();
        unsigned installed = 0;
        ck_assert_int_eq(snapshot_verify(&h), OK);
        memory_disk_hold(h.disk, true);
        struct log_job *job = job_meta("install", "9 1");
        job->base = 9;
        job->first = 10;
        submit(&h, job);
        if (step >= 2) { /* the row is durable, and only then is the state handed over */
            ck_assert(memory_disk_write(h.disk, false));
            h.state->ops->install(h.state, note_installed, &installed);
            ck_assert_uint_eq(memory_disk_unwritten(h.disk, true), 1);
        }
        if (step == 3) { /* written, and nobody was told: the old state is still read */
            ck_assert(memory_disk_write(h.disk, true));
            expect_value(&h, TABLE_KV, "k", "four");
        }
        ck_assert_uint_eq(installed, 0);
        crash_and_reopen(step == 1, 0);
        expect_value(&h, TABLE_KV, "k", step == 0 ? "four" : "nine");
        expect_bounds(&h, step == 0 ? 0 : 9, 0, step == 0 ? 0 : 9);
        fini();
    }
}
END_TEST

START_TEST(an_incoming_snapshot_can_be_damaged_until_it_is_verified)
{
    carry();
    ck_assert(memory_disk_corrupt_snapshot(h.disk, true, 1001));
    ck_assert_int_eq(snapshot_verify(&h), ERR_CORRUPT);
    ck_assert(!memory_disk_corrupt_snapshot(h.disk, true, 1001)); /* dropped */
    fini();
    carry();
    ck_assert(memory_disk_truncate_snapshot(h.disk, 50));
    ck_assert(!memory_disk_truncate_snapshot(h.disk, 50));
    struct snapshot_job begin = { .type = SNAPSHOT_BEGIN, .info = info };
    ck_assert_int_eq(snapshot_do(&h, &begin), OK);
    ck_assert_uint_eq(begin.offset, 50);
    ck_assert_int_eq(snapshot_verify(&h), ERR_CORRUPT);
    snapshot_carry(&source, &h, 100, &info);
    ck_assert_int_eq(snapshot_verify(&h), OK);
    ck_assert(!memory_disk_corrupt_snapshot(h.disk, true, 1));
    ck_assert(!memory_disk_truncate_snapshot(h.disk, 1));
    struct snapshot_job copy = { .type = SNAPSHOT_COPY };
    ck_assert(!memory_disk_corrupt_snapshot(source.disk, false, 1));
    ck_assert_int_eq(snapshot_do(&source, &copy), OK);
    ck_assert(memory_disk_corrupt_snapshot(source.disk, false, 1));
    fini();
}
END_TEST

START_TEST(held_snapshot_jobs_wait_and_a_crash_forgets_them)
{
    carry();
    memory_disk_hold(h.disk, true);
    struct snapshot_job copy = { .type = SNAPSHOT_COPY };
    h.snapshots->ops->submit(h.snapshots, &copy);
    ck_assert_uint_eq(memory_disk_unwritten_snapshot(h.disk), 1);
    ck_assert(memory_disk_write_snapshot(h.disk));
    ck_assert(!memory_disk_write_snapshot(h.disk));
    ck_assert_uint_eq(copy.info.index, 4);
    struct snapshot_job verify = { .type = SNAPSHOT_VERIFY };
    h.snapshots->ops->submit(h.snapshots, &verify);
    crash_and_reopen(0, 0);
    struct snapshot_job begin = { .type = SNAPSHOT_BEGIN, .info = info };
    ck_assert_int_eq(snapshot_do(&h, &begin), OK);
    ck_assert_uint_eq(begin.offset, 0); /* less than 4 KiB had come: none of it was flushed */
    struct snapshot_job read = { .type = SNAPSHOT_READ, .file = copy.file, .size = 1 };
    ck_assert_int_eq(snapshot_do(&h, &read), ERR_NOT_FOUND);
    memory_disk_fill(h.disk, true);
    copy = (struct snapshot_job){ .type = SNAPSHOT_COPY };
    ck_assert_int_eq(snapshot_do(&h, &copy), ERR_NO_SPACE);
    fini();
}
END_TEST

START_TEST(there_must_be_something_to_corrupt)
{
    harness_init(&h, KIND_MEMORY);
    ck_assert(!memory_disk_corrupt_log(h.disk, 1, 0));
    ck_assert(!memory_disk_corrupt_state(h.disk, TABLE_KV, slice_text("k"), 0));
    harness_fini(&h);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("memory disk");
    TCase *tcase = tcase_create("controls");
    tcase_add_test(tcase, what_is_held_is_written_one_by_one);
    tcase_add_test(tcase, each_written_job_wakes_the_loop);
    tcase_add_test(tcase, a_crash_keeps_what_was_written_and_as_many_jobs_as_told);
    tcase_add_test(tcase, a_crash_keeps_whole_flushes);
    tcase_add_test(tcase, a_disk_keeps_its_identity);
    tcase_add_test(tcase, a_crash_within_an_installation_leaves_one_of_the_two_states);
    tcase_add_test(tcase, an_incoming_snapshot_can_be_damaged_until_it_is_verified);
    tcase_add_test(tcase, held_snapshot_jobs_wait_and_a_crash_forgets_them);
    tcase_add_test(tcase, there_must_be_something_to_corrupt);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
