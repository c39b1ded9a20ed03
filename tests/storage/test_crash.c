/* test_crash.c - a process is killed at every step of its storage work in turn; what it said
 * was durable must be there, and nothing may be half there. */
#include "crash.h"
#include "harness.h"
#include "workload.h"

#include <holdfast/clock.h>
#include <holdfast/panic.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Runs the workload on a fresh directory, to die at `die_at`. True: it ran to its end. */
static bool crash_once(unsigned die_at, bool power_loss, uint64_t seed)
{
    char dir[64];
    unsigned log_at, state_at;
    make_temporary(dir);
    struct crash_shared *shared = crash_shared_new();
    struct workload work = { .dir = dir, .seed = seed, .log_to = 18, .state_to = 4 };
    shared->die_at = die_at;
    shared->power_loss = power_loss;
    shared->seed = seed * 31 + die_at;
    bool survived = crash_wait(crash_start(shared, workload_run, &work), shared);
    workload_verify(&work, shared, &log_at, &state_at);
    if (survived) {
        ck_assert_uint_eq(log_at, work.log_to);
        ck_assert_uint_eq(state_at, work.state_to);
    }
    crash_shared_free(shared);
    remove_tree(dir);
    return survived;
}

/* Every step until a run survives; the writers' threads share the count, so the number of steps
 * differs a little from run to run. */
static void crash_everywhere(bool power_loss, uint64_t seed)
{
    unsigned step = 1;
    while (!crash_once(step, power_loss, seed))
        step++;
    ck_assert_uint_gt(step, 100); /* else the steps are not reached */
}

/* B2, B44, B59 */
START_TEST(killed_at_any_step_what_was_told_is_there)
{
    crash_everywhere(false, 1);
}
END_TEST

/* B1, B15: as above, and what was not flushed may be lost, page by page. */
START_TEST(after_a_power_loss_at_any_step_what_was_told_is_there)
{
    crash_everywhere(true, (uint64_t)_i + 2);
}
END_TEST

static void sleep_us(uint64_t us)
{
    struct timespec wait = { 0, (long)us * 1000 };
    nanosleep(&wait, NULL);
}

/* Until a job of this round has come back. */
static void wait_for_work(const struct crash_shared *shared, unsigned log_from)
{
    uint64_t deadline_ms = clock_monotonic_ms() + 60000;
    while (atomic_load(&shared->durable) <= log_from) {
        ck_assert_uint_lt(clock_monotonic_ms(), deadline_ms);
        sleep_us(200);
    }
}

START_TEST(killed_at_random_times_again_and_again)
{
    char dir[64];
    make_temporary(dir);
    struct crash_shared *shared = crash_shared_new();
    uint64_t random = 42;
    struct workload work = { .dir = dir, .seed = 9 };
    for (unsigned round = 0; round < 40; round++) {
        work.log_to = work.log_from + 100000; /* more than it will ever do */
        work.state_to = work.state_from + 100000;
        pid_t pid = crash_start(shared, workload_run, &work);
        if (round % 2 == 0) /* else it may die while it starts */
            wait_for_work(shared, work.log_from);
        sleep_us(crash_random(&random) % 30000);
        ck_assert_int_eq(kill(pid, SIGKILL), 0);
        ck_assert(!crash_wait(pid, shared));
        workload_verify(&work, shared, &work.log_from, &work.state_from);
        /* The next child sets these only once it runs. */
        atomic_store(&shared->submitted, work.log_from);
        atomic_store(&shared->durable, work.log_from);
        atomic_store(&shared->handed, work.state_from);
        atomic_store(&shared->flushed, work.state_from);
    }
    ck_assert_uint_ge(work.log_from, 20); /* each second round did something */
    crash_shared_free(shared);
    remove_tree(dir);
}
END_TEST

/* ---- creation */

static void open_and_tell(void *arg)
{
    struct identity identity = identity_example();
    struct data_directory *dir;
    char message[STORAGE_MESSAGE_MAX];
    crash_require(data_directory_open(arg, &identity, &dir, message) == OK, message);
    memcpy(crash_shared->incarnation, identity.incarnation, INCARNATION_SIZE);
    atomic_store(&crash_shared->opened, true);
    data_directory_close(dir);
}

static bool exists(const char *path, const char *name)
{
    char full[160];
    struct stat found;
    snprintf(full, sizeof full, "%s/%s", path, name);
    return stat(full, &found) == 0;
}

/* The directory is absent (and is then made), or whole. */
static void verify_creation(char *path, const struct crash_shared *shared)
{
    bool was_there = exists(path, "log");
    struct identity identity = identity_example();
    struct data_directory *dir;
    struct log_store *log;
    struct state_store *state;
    struct storage_options options = { 0 };
    char message[STORAGE_MESSAGE_MAX];
    enum err err = data_directory_open(path, &identity, &dir, message);
    ck_assert_msg(err == OK, "died at step %u (%s): %s", shared->die_at, shared->where, message);
    ck_assert_msg(dir->created == !was_there, "died at step %u (%s): log was %s, created is %d",
                  shared->die_at, shared->where, was_there ? "there" : "absent", dir->created);
    if (atomic_load(&shared->opened)) {
        ck_assert(was_there);
        ck_assert_mem_eq(identity.incarnation, shared->incarnation, INCARNATION_SIZE);
    }
    ck_assert(!exists(path, "creating"));
    err = log_lmdb_open(dir, &options, &log, message);
    ck_assert_msg(err == OK, "died at step %u (%s): %s", shared->die_at, shared->where, message);
    err = state_lmdb_open(dir, &options, &state, message);
    ck_assert_msg(err == OK, "died at step %u (%s): %s", shared->die_at, shared->where, message);
    log->ops->close(log);
    state->ops->close(state);
    data_directory_close(dir);
}

/* To die at `first` within a creation, and at `second` (0: not) within the start after it. */
static bool create_once(unsigned first, unsigned second)
{
    char base[64], path[80];
    make_temporary(base);
    snprintf(path, sizeof path, "%s/a/b", base);
    struct crash_shared *shared = crash_shared_new();
    shared->die_at = first;
    bool survived = crash_wait(crash_start(shared, open_and_tell, path), shared);
    if (second > 0) {
        shared->die_at = second;
        atomic_store(&shared->steps, 0);
        survived = crash_wait(crash_start(shared, open_and_tell, path), shared);
    }
    verify_creation(path, shared);
    crash_shared_free(shared);
    remove_tree(base);
    return survived;
}

START_TEST(a_creation_killed_at_any_step_is_absent_or_whole)
{
    unsigned step = 1;
    while (!create_once(step, 0))
        step++;
    ck_assert_uint_gt(step, 40);
}
END_TEST

START_TEST(so_is_one_whose_repair_is_killed_too)
{
    /* Two thirds of the way the first is cut most often in its moves; take all its last steps. */
    uint64_t random = 7;
    for (unsigned i = 0; i < 150; i++) {
        unsigned first = (unsigned)(1 + crash_random(&random) % 90);
        unsigned second = (unsigned)(1 + crash_random(&random) % 100);
        create_once(first, second);
    }
}
END_TEST

/* ---- flushes */

/* RULE: durability: a completion is told after the disk was flushed for it. */
START_TEST(each_commit_flushes_data_and_meta)
{
    char dir[64];
    unsigned flushes[2];
    make_temporary(dir);
    struct crash_shared *shared = crash_shared_new();
    struct workload work = { .dir = dir, .seed = 3, .log_to = 1, .state_to = 1 };
    ck_assert(crash_wait(crash_start(shared, workload_run, &work), shared));
    for (unsigned i = 0; i < 2; i++) { /* opening alone, then one job of each kind */
        work = (struct workload){ .dir = dir, .seed = 3, .log_from = 1, .log_to = 1 + i,
                                  .state_from = 1, .state_to = 1 + i };
        atomic_store(&shared->flushes, 0);
        ck_assert(crash_wait(crash_start(shared, workload_run, &work), shared));
        flushes[i] = atomic_load(&shared->flushes);
    }
    /* Two commits, each with one fdatasync and one write of the meta page through O_DSYNC. */
    ck_assert_uint_eq(flushes[1] - flushes[0], 4);
    crash_shared_free(shared);
    remove_tree(dir);
}
END_TEST

/* ---- a disk that refuses */

/* Runs the workload in a child whose disk refuses, and returns how it ended; what it had been
 * told is durable must be there, and after a refusal nothing more may be told. */
static int refused(struct workload work, unsigned durable_most)
{
    char dir[64];
    unsigned log_at, state_at;
    make_temporary(dir);
    work.dir = dir;
    struct crash_shared *shared = crash_shared_new();
    int status = crash_wait_status(crash_start(shared, workload_run, &work));
    ck_assert_uint_le(atomic_load(&shared->durable), durable_most);
    workload_verify(&work, shared, &log_at, &state_at);
    crash_shared_free(shared);
    remove_tree(dir);
    return status;
}

/* RULE: durability, 3: after a failed flush the next one would succeed, and lie. */
START_TEST(a_failed_flush_ends_the_process)
{
    struct workload log = { .seed = 4, .log_to = 3, .fail_flush = EIO };
    ck_assert_int_eq(refused(log, 0), EXIT_STATUS_IO);
    struct workload state = { .seed = 4, .state_to = 1, .fail_flush = EIO };
    ck_assert_int_eq(refused(state, 0), EXIT_STATUS_IO);
}
END_TEST

START_TEST(a_full_disk_ends_the_process)
{
    struct workload work = { .seed = 5, .log_to = 3, .fail_write = ENOSPC };
    ck_assert_int_eq(refused(work, 0), EXIT_STATUS_IO);
}
END_TEST

START_TEST(a_full_map_ends_the_process)
{
    struct workload work = { .seed = 6, .log_to = 100000,
                             .options = { .log_map_bytes = 256 * 1024 } };
    ck_assert_int_eq(refused(work, 99999), EXIT_STATUS_IO);
}
END_TEST

int main(void)
{
    /* What survives a kill, or our power loss, does not depend on what is below the files, and
     * thousands of flushes of a real disk take minutes when it is busy. */
    if (access("/dev/shm", W_OK) == 0)
        setenv("TMPDIR", "/dev/shm", 0);
    Suite *suite = suite_create("storage crashes");
    TCase *tcase = tcase_create("killed");
    tcase_set_timeout(tcase, 600);
    tcase_add_test(tcase, each_commit_flushes_data_and_meta);
    tcase_add_test(tcase, a_failed_flush_ends_the_process);
    tcase_add_test(tcase, a_full_disk_ends_the_process);
    tcase_add_test(tcase, a_full_map_ends_the_process);
    tcase_add_test(tcase, a_creation_killed_at_any_step_is_absent_or_whole);
    tcase_add_test(tcase, so_is_one_whose_repair_is_killed_too);
    tcase_add_test(tcase, killed_at_any_step_what_was_told_is_there);
    tcase_add_loop_test(tcase, after_a_power_loss_at_any_step_what_was_told_is_there, 0, 2);
    tcase_add_test(tcase, killed_at_random_times_again_and_again);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
