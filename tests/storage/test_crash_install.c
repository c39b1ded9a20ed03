/* test_crash_install.c - a process is killed at every step of trimming its log, copying its state,
 * receiving another's and installing it.  Whatever is found then is the old state or the new one,
 * with the log that belongs to it, and what was told is there. */
#include "crash.h"
#include "harness.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { KEYS = 12, VALUE = 900, ENTRIES = 20, TRIMMED = 3, OLD = 5, NEW = 30, PART = 6000 };

/* What the child has been told, in this order. */
enum phase {
    NOTHING, ENTRIES_STORED, STATE_FLUSHED, LOG_TRIMMED, COPIED, RECEIVED, VERIFIED, ROW_DURABLE,
    INSTALLED, WENT_ON
};

static struct snapshot_info info;
static struct blob *bytes; /* of the snapshot, made once */

/* The state at `index`: each key holds it. */
static void put_state(struct harness *h, unsigned index)
{
    struct state_change changes[3 + KEYS];
    char applied[16], count[16], keys[KEYS][8], value[VALUE];
    snprintf(applied, sizeof applied, "%u", index);
    snprintf(count, sizeof count, "%d", KEYS);
    memset(value, (int)index, sizeof value);
    changes[0] = set_text(TABLE_META, "applied_index", applied);
    changes[1] = set_text(TABLE_META, "applied_term", "2");
    changes[2] = set_text(TABLE_META, "keys", count);
    for (unsigned i = 0; i < KEYS; i++) {
        snprintf(keys[i], sizeof keys[i], "k%02u", i);
        changes[3 + i] = (struct state_change){ TABLE_KV, slice_text(keys[i]),
                                                slice_of(value, sizeof value) };
    }
    flush(h, changes, 3 + KEYS);
}

static void open_at(struct harness *h, const char *dir)
{
    memset(h, 0, sizeof *h);
    h->kind = KIND_LMDB;
    h->identity = identity_example();
    h->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    snprintf(h->dir, sizeof h->dir, "%s", dir);
    harness_open(h);
}

static void tell(enum phase phase)
{
    atomic_store(&crash_shared->phase, (unsigned)phase);
}

static void receive(struct harness *h)
{
    struct snapshot_job begin = { .type = SNAPSHOT_BEGIN, .info = info };
    ck_assert_int_eq(snapshot_do(h, &begin), OK);
    for (uint64_t at = begin.offset; at < info.size;) {
        size_t n = info.size - at < PART ? (size_t)(info.size - at) : PART;
        struct snapshot_job write = { .type = SNAPSHOT_WRITE, .offset = at,
                                      .bytes = blob_copy(slice_of(bytes->data + at, n)) };
        ck_assert_int_eq(snapshot_do(h, &write), OK);
        at += n;
    }
}

static void copy_and_drop(struct harness *h)
{
    struct snapshot_job copy = { .type = SNAPSHOT_COPY };
    ck_assert_int_eq(snapshot_do(h, &copy), OK);
    struct snapshot_job drop = { .type = SNAPSHOT_DROP, .file = copy.file };
    ck_assert_int_eq(snapshot_do(h, &drop), OK);
}

static void install_it(struct harness *h)
{
    char text[META_TEXT_MAX];
    snprintf(text, sizeof text, "%d 2", NEW);
    struct log_job *job = job_meta("install", text);
    job->ticket = 100;
    job->base = NEW;
    job->base_term = 2;
    job->first = NEW + 1;
    submit(h, job);
    wait_log(h, h->n_done + 1);
    tell(ROW_DURABLE);
    snapshot_install(h, &info, 101); /* the row once more changes nothing */
    tell(INSTALLED);
}

static void run(void *arg)
{
    struct harness h;
    open_at(&h, arg);
    submit(&h, job_entries(1, 1, ENTRIES, 2, 600));
    wait_log(&h, 1);
    tell(ENTRIES_STORED);
    put_state(&h, OLD);
    tell(STATE_FLUSHED);
    submit(&h, job_base(2, TRIMMED, 2));
    wait_log(&h, 2);
    tell(LOG_TRIMMED);
    copy_and_drop(&h);
    tell(COPIED);
    receive(&h);
    tell(RECEIVED);
    ck_assert_int_eq(snapshot_verify(&h), OK);
    tell(VERIFIED);
    install_it(&h);
    put_state(&h, NEW + 1);
    submit(&h, job_entries(102, NEW + 1, 2, 3, 600));
    wait_log(&h, h.n_done + 1);
    tell(WENT_ON);
    harness_close(&h);
}

/* ---- the verdict */

static const struct crash_shared *died; /* for messages */

#define EXPECT(condition) \
    ck_assert_msg(condition, "died at step %u (%s), told %u: " #condition, died->die_at, \
                  died->where, atomic_load(&died->phase))

static unsigned applied_in(struct harness *h)
{
    struct slice text;
    unsigned applied = 0;
    ck_assert_int_eq(h->state->ops->read_begin(h->state), OK);
    enum err err = h->state->ops->get(h->state, TABLE_META, slice_text("applied_index"), &text);
    for (size_t i = 0; err == OK && i < text.size; i++)
        applied = applied * 10 + (unsigned)(((const char *)text.data)[i] - '0');
    for (unsigned i = 0; i < KEYS; i++) { /* the state is as it was at that index, all of it */
        struct slice value;
        char key[8];
        snprintf(key, sizeof key, "k%02u", i);
        err = h->state->ops->get(h->state, TABLE_KV, slice_text(key), &value);
        EXPECT(applied > 0 ? err == OK : err == ERR_NOT_FOUND);
        for (size_t at = 0; err == OK && at < value.size; at++)
            if (((const unsigned char *)value.data)[at] != applied)
                ck_abort_msg("%s is not of %u", key, applied);
    }
    h->state->ops->read_end(h->state);
    return applied;
}

static void check_log(struct harness *h, unsigned applied, unsigned phase)
{
    struct log_boot boot;
    char row[META_TEXT_MAX];
    EXPECT(h->log->ops->boot(h->log, &boot) == OK);
    free(boot.runs);
    bool installing = h->log->ops->meta_get(h->log, "install", row) == OK;
    EXPECT(boot.base <= applied);
    EXPECT(installing == (boot.base == NEW));
    EXPECT(phase < ROW_DURABLE || installing);
    EXPECT(!installing || applied >= NEW);
    EXPECT(phase < LOG_TRIMMED || boot.base >= TRIMMED);
    if (!installing) {
        EXPECT(boot.last == ENTRIES || (boot.last == 0 && phase == NOTHING));
        EXPECT(boot.base == 0 || boot.base == TRIMMED);
        EXPECT(applied == OLD || (applied == 0 && phase < STATE_FLUSHED));
    } else {
        EXPECT(phase >= VERIFIED);
        EXPECT(applied == NEW || applied == NEW + 1);
        EXPECT(boot.last == NEW || boot.last == NEW + 2);
        EXPECT(phase < WENT_ON || (boot.last == NEW + 2 && applied == NEW + 1));
    }
}

/* And it goes on from there to the same end. */
static void go_on(struct harness *h, unsigned applied)
{
    if (applied < NEW) {
        receive(h);
        EXPECT(snapshot_verify(h) == OK);
        snapshot_install(h, &info, 1);
    }
    put_state(h, NEW + 2);
    harness_reopen(h);
    EXPECT(applied_in(h) == NEW + 2);
}

static void verify(const char *dir, const struct crash_shared *shared)
{
    struct harness h;
    died = shared;
    open_at(&h, dir);
    unsigned applied = applied_in(&h);
    check_log(&h, applied, atomic_load(&shared->phase));
    go_on(&h, applied);
    harness_close(&h);
    close(h.wake_fd);
}

/* ---- all steps */

struct place {
    char name[64];
    unsigned deaths;
};

static struct place places[128];

static void count_place(const char *name)
{
    struct place *place = places;
    while (place->deaths > 0 && strcmp(place->name, name) != 0)
        place++;
    ck_assert(place < places + 127);
    snprintf(place->name, sizeof place->name, "%s", name);
    place->deaths++;
}

static void print_places(unsigned steps)
{
    printf("%u steps:", steps);
    for (struct place *place = places; place->deaths > 0; place++)
        printf("%s %s %u", place == places ? "" : ",", place->name, place->deaths);
    printf("\n");
}

/* Its making has tests of its own. */
static void make_directory(const char *dir)
{
    struct identity identity = identity_example();
    struct data_directory *made;
    char message[STORAGE_MESSAGE_MAX];
    ck_assert_int_eq(data_directory_open(dir, &identity, &made, message), OK);
    data_directory_close(made);
}

/* To die at step `die_at`. True: it ran to its end. */
static bool once(unsigned die_at, bool power_loss, uint64_t seed)
{
    char dir[64];
    make_temporary(dir);
    make_directory(dir);
    struct crash_shared *shared = crash_shared_new();
    shared->die_at = die_at;
    shared->power_loss = power_loss;
    shared->seed = seed * 31 + die_at;
    bool survived = crash_wait(crash_start(shared, run, dir), shared);
    if (survived)
        ck_assert_uint_eq(atomic_load(&shared->phase), WENT_ON);
    else
        count_place(shared->where);
    verify(dir, shared);
    crash_shared_free(shared);
    remove_tree(dir);
    return survived;
}

static void make_snapshot(void)
{
    struct harness h;
    harness_init(&h, KIND_LMDB);
    put_state(&h, NEW);
    struct snapshot_job copy = { .type = SNAPSHOT_COPY };
    ck_assert_int_eq(snapshot_do(&h, &copy), OK);
    info = copy.info;
    struct snapshot_job read = { .type = SNAPSHOT_READ, .file = copy.file,
                                 .size = SNAPSHOT_PART_MAX };
    ck_assert_int_eq(snapshot_do(&h, &read), OK);
    bytes = read.bytes;
    ck_assert_uint_eq(bytes->size, info.size);
    harness_fini(&h);
}

/* B45, B53 */
START_TEST(killed_at_any_step_it_is_one_of_the_two_states)
{
    unsigned step = 1;
    make_snapshot();
    while (!once(step, _i > 0, (uint64_t)_i))
        step++;
    ck_assert_uint_gt(step, 150); /* else the steps are not reached */
    print_places(step);
    blob_unref(bytes);
}
END_TEST

/* ---- a disk that is full */

static void run_full(void *arg)
{
    struct harness h;
    open_at(&h, arg);
    put_state(&h, OLD);
    crash_shared->fail_write = ENOSPC;
    struct snapshot_job copy = { .type = SNAPSHOT_COPY };
    crash_require(snapshot_do(&h, &copy) == ERR_NO_SPACE, "a copy without space");
    crash_shared->fail_write = 0;
    crash_require(snapshot_do(&h, &copy) == OK, "a copy once there is space");
    struct snapshot_job begin = { .type = SNAPSHOT_BEGIN, .info = info };
    crash_require(snapshot_do(&h, &begin) == OK, "the beginning");
    struct snapshot_job write = { .type = SNAPSHOT_WRITE, .bytes = blob_copy(blob_slice(bytes)) };
    crash_shared->fail_write = ENOSPC;
    crash_require(snapshot_do(&h, &write) == ERR_NO_SPACE, "a part without space");
    crash_shared->fail_write = 0;
    crash_require(snapshot_do(&h, &begin) == OK && begin.offset == 0, "dropped, and begun anew");
    receive(&h);
    crash_shared->fail_write = ENOSPC;
    crash_require(snapshot_verify(&h) == ERR_NO_SPACE, "VERIFY without space");
    crash_shared->fail_write = 0;
    char path[128];
    snprintf(path, sizeof path, "%s/snapshot.incoming", h.dir);
    crash_require(access(path, F_OK) != 0, "nothing is left of it");
    begin.info.size = UINT64_MAX / 4;
    crash_require(snapshot_do(&h, &begin) == ERR_NO_SPACE, "more than any disk has");
    put_state(&h, OLD + 1); /* the others go on */
    harness_close(&h);
}

START_TEST(a_full_disk_ends_no_process)
{
    char dir[64];
    make_snapshot();
    make_temporary(dir);
    struct crash_shared *shared = crash_shared_new();
    ck_assert(crash_wait(crash_start(shared, run_full, dir), shared));
    crash_shared_free(shared);
    remove_tree(dir);
    blob_unref(bytes);
}
END_TEST

int main(void)
{
    if (access("/dev/shm", W_OK) == 0)
        setenv("TMPDIR", "/dev/shm", 0);
    Suite *suite = suite_create("crashes around snapshots");
    TCase *tcase = tcase_create("killed");
    tcase_set_timeout(tcase, 600);
    tcase_add_test(tcase, a_full_disk_ends_no_process);
    tcase_add_loop_test(tcase, killed_at_any_step_it_is_one_of_the_two_states, 0, 2);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
