/* test_crash_offline.c - holdfast restore and holdfast recover, killed at every step.  What is found
 * then is nothing or a whole node, the old cluster or the new one; and to say it once more does it. */
#include "crash.h"
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { LAST = 20, APPLIED = 5 };

static char base[64], file[128], restored[128];
static struct harness node; /* one that is stopped */
static char message[STORAGE_MESSAGE_MAX];

static void set_up(void)
{
    struct state_change changes[] = {
        set_text(TABLE_META, "applied_index", "5"), set_text(TABLE_META, "applied_term", "2"),
        set_text(TABLE_META, "configuration", "x"), set_text(TABLE_META, "keys", "2"),
        set_text(TABLE_META, "revision", "4"),      set_text(TABLE_KV, "a", "one"),
        set_text(TABLE_KV, "b", "two"),
    };
    harness_init(&node, KIND_LMDB);
    submit(&node, job_entries(1, 1, LAST, 2, 100));
    wait_log(&node, 1);
    flush(&node, changes, 7);
    make_temporary(base);
    snprintf(file, sizeof file, "%s/backup", base);
    snprintf(restored, sizeof restored, "%s/restored", base);
    struct snapshot_job copy = { .type = SNAPSHOT_COPY };
    ck_assert_int_eq(snapshot_do(&node, &copy), OK);
    struct snapshot_job read = { .type = SNAPSHOT_READ, .file = copy.file,
                                 .size = SNAPSHOT_PART_MAX };
    ck_assert_int_eq(snapshot_do(&node, &read), OK);
    FILE *out = fopen(file, "w");
    ck_assert_ptr_nonnull(out);
    ck_assert_uint_eq(fwrite(read.bytes->data, 1, read.bytes->size, out), read.bytes->size);
    fclose(out);
    blob_unref(read.bytes);
    harness_close(&node);
}

static void tear_down(void)
{
    harness_fini(&node);
    remove_tree(base);
}

/* True: it ran to its end. */
static bool once(crash_body_fn *body, unsigned die_at, bool power_loss)
{
    struct crash_shared *shared = crash_shared_new();
    shared->die_at = die_at;
    shared->power_loss = power_loss;
    shared->seed = die_at;
    bool survived = crash_wait(crash_start(shared, body, NULL), shared);
    crash_shared_free(shared);
    return survived;
}

/* ---- restore */

static struct identity newcomer(void)
{
    struct identity identity = identity_example();
    identity.cluster = 0xcc;
    return identity;
}

static void run_restore(void *arg)
{
    struct identity identity = newcomer();
    struct snapshot_info info;
    (void)arg;
    crash_require(data_directory_restore(restored, &identity, file, true, &info, message) == OK,
                  message);
}

/* Whole, with the file's state and a log that begins behind it; found by who knows another cluster. */
static void verify_restored(void)
{
    struct harness h = { .kind = KIND_LMDB, .identity = identity_example(), .wake_fd = node.wake_fd };
    snprintf(h.dir, sizeof h.dir, "%.63s", restored);
    harness_open(&h);
    ck_assert_uint_eq(h.data_directory->identity.cluster, 0xcc);
    expect_bounds(&h, APPLIED, 2, APPLIED);
    expect_value(&h, TABLE_KV, "b", "two");
    struct slice value;
    ck_assert_int_eq(h.state->ops->read_begin(h.state), OK);
    ck_assert_int_eq(h.state->ops->get(h.state, TABLE_META, slice_text("configuration"), &value),
                     ERR_NOT_FOUND);
    h.state->ops->read_end(h.state);
    harness_close(&h);
}

START_TEST(a_restore_makes_a_node_or_nothing)
{
    unsigned step = 1, whole = 0;
    set_up();
    for (bool survived = false; !survived; step++) {
        survived = once(run_restore, step, _i > 0);
        struct identity identity = newcomer();
        struct snapshot_info info;
        enum err err = data_directory_restore(restored, &identity, file, true, &info, message);
        ck_assert_msg(err == OK || err == ERR_FOREIGN, "step %u: %s", step, message);
        whole += err == ERR_FOREIGN;
        verify_restored();
        remove_tree(restored);
    }
    ck_assert_uint_gt(step, 20);
    ck_assert_uint_gt(whole, 1);
    tear_down();
}
END_TEST

/* ---- recover */

static void run_recover(void *arg)
{
    struct recovery recovery;
    (void)arg;
    crash_require(data_directory_recover(node.dir, true, &recovery, message) == OK, message);
}

static void verify_recovered(const struct recovery *expected)
{
    harness_open(&node);
    ck_assert_uint_eq(node.data_directory->identity.cluster, expected->cluster);
    expect_bounds(&node, 0, 0, LAST + 1);
    expect_meta(&node, "term", "3");
    expect_value(&node, TABLE_KV, "a", "one");
    harness_close(&node);
}

START_TEST(a_recovery_is_done_or_not_begun)
{
    unsigned step = 1, done = 0;
    for (bool survived = false; !survived; step++) {
        struct recovery before, found, after;
        set_up();
        ck_assert_int_eq(data_directory_recover(node.dir, false, &before, message), OK);
        survived = once(run_recover, step, _i > 0);
        enum err err = data_directory_recover(node.dir, false, &found, message);
        ck_assert_msg(err == OK, "step %u: %s", step, message);
        ck_assert_uint_eq(found.last, found.done ? LAST + 1 : LAST);
        ck_assert_uint_eq(found.identity.cluster,
                          found.done ? before.cluster : before.identity.cluster);
        done += found.done;
        err = data_directory_recover(node.dir, true, &after, message);
        ck_assert_msg(err == OK, "step %u: %s", step, message);
        verify_recovered(&before);
        tear_down();
    }
    ck_assert_uint_gt(step, 8);
    ck_assert_uint_ge(done, 1);
}
END_TEST

int main(void)
{
    if (access("/dev/shm", W_OK) == 0)
        setenv("TMPDIR", "/dev/shm", 0);
    Suite *suite = suite_create("crashes of commands");
    TCase *tcase = tcase_create("killed");
    tcase_set_timeout(tcase, 600);
    tcase_add_loop_test(tcase, a_restore_makes_a_node_or_nothing, 0, 2);
    tcase_add_loop_test(tcase, a_recovery_is_done_or_not_begun, 0, 2);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
