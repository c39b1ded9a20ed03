/* test_offline.c - what commands do with a data directory or a snapshot file from outside. */
#include "harness.h"

#include <holdfast/look.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct harness a;
static char file[128], base[64], path[128], message[STORAGE_MESSAGE_MAX];
static struct identity identity;

/* A state at index 42, term 6, with three keys; a copy of it at `file`, as a backup would be. */
static void setup(void)
{
    struct state_change changes[] = {
        set_text(TABLE_META, "applied_index", "42"), set_text(TABLE_META, "applied_term", "6"),
        set_text(TABLE_META, "keys", "3"),           set_text(TABLE_META, "revision", "9"),
        set_text(TABLE_KV, "a", "one"),              set_text(TABLE_KV, "b", "two"),
        set_text(TABLE_KV, "c", "three"),            set_text(TABLE_MEMBERS, "m", "member"),
    };
    harness_init(&a, KIND_LMDB);
    submit(&a, job_entries(1, 1, 50, 6, 30));
    submit(&a, job_base(2, 40, 6));
    flush(&a, changes, 8);
    wait_log(&a, 2);
    make_temporary(base);
    snprintf(file, sizeof file, "%s/backup", base);
    snprintf(path, sizeof path, "%s/restored", base);
    struct snapshot_job copy = { .type = SNAPSHOT_COPY };
    ck_assert_int_eq(snapshot_do(&a, &copy), OK);
    struct snapshot_job read = { .type = SNAPSHOT_READ, .file = copy.file,
                                 .size = SNAPSHOT_PART_MAX };
    ck_assert_int_eq(snapshot_do(&a, &read), OK);
    FILE *out = fopen(file, "w");
    ck_assert_ptr_nonnull(out);
    ck_assert_uint_eq(fwrite(read.bytes->data, 1, read.bytes->size, out), read.bytes->size);
    fclose(out);
    blob_unref(read.bytes);
    identity = identity_example();
}

static void teardown(void)
{
    harness_fini(&a);
    remove_tree(base);
}

static void flip(long at)
{
    FILE *out = fopen(file, "r+");
    fseek(out, at, at < 0 ? SEEK_END : SEEK_SET);
    int byte = getc(out);
    fseek(out, -1, SEEK_CUR);
    putc(byte ^ 1, out);
    fclose(out);
}

static void expect_said(const char *part)
{
    ck_assert_msg(strstr(message, part) != NULL, "\"%s\" does not say \"%s\"", message, part);
}

START_TEST(a_directory_is_made_from_a_snapshot)
{
    struct snapshot_info info;
    enum err err = data_directory_restore(path, &identity, file, false, &info, message);
    ck_assert_msg(err == OK, "%s", message);
    ck_assert_uint_eq(info.index, 42);
    ck_assert_uint_eq(info.keys, 3);
    struct harness b = { .kind = KIND_LMDB, .identity = identity_example(), .wake_fd = a.wake_fd };
    ck_assert_uint_lt(strlen(path), sizeof b.dir);
    memcpy(b.dir, path, strlen(path));
    harness_open(&b);
    ck_assert(!b.data_directory->created);
    ck_assert_mem_eq(b.identity.incarnation, identity.incarnation, INCARNATION_SIZE);
    ck_assert_mem_ne(b.identity.incarnation, a.identity.incarnation, INCARNATION_SIZE);
    expect_bounds(&b, 42, 6, 42);
    expect_meta(&b, "term", "6");
    expect_meta(&b, "vote", "0000000000000000");
    expect_value(&b, TABLE_META, "applied_index", "42");
    expect_value(&b, TABLE_KV, "c", "three");
    expect_value(&b, TABLE_MEMBERS, "m", "member");
    harness_close(&b);
    err = data_directory_restore(path, &identity, file, false, &info, message);
    ck_assert_int_eq(err, ERR_FOREIGN); /* never over a node that is there */
    expect_said("holds a node already");
}
END_TEST

START_TEST(a_snapshot_of_another_cluster_must_be_adopted)
{
    struct snapshot_info info;
    identity.cluster = 0xcc;
    ck_assert_int_eq(data_directory_restore(path, &identity, file, false, &info, message),
                     ERR_FOREIGN);
    expect_said("cluster");
    ck_assert_int_ne(access(path, F_OK), 0);
    ck_assert_int_eq(data_directory_restore(path, &identity, file, true, &info, message), OK);
    struct data_directory *dir;
    ck_assert_int_eq(data_directory_open(path, &identity, &dir, message), OK);
    data_directory_close(dir);
}
END_TEST

START_TEST(a_damaged_snapshot_makes_nothing)
{
    struct snapshot_info info;
    ck_assert_int_eq(snapshot_file_check(file, &info, message), OK);
    ck_assert_int_eq(truncate(file, (off_t)info.size - 4096), 0);
    ck_assert_int_eq(data_directory_restore(path, &identity, file, false, &info, message),
                     ERR_CORRUPT);
    expect_said("not a whole and sound snapshot");
    FILE *text = fopen(file, "w");
    fputs("no snapshot at all", text);
    fclose(text);
    ck_assert_int_eq(snapshot_file_check(file, &info, message), ERR_CORRUPT);
    ck_assert_int_eq(truncate(file, 0), 0);
    ck_assert_int_eq(snapshot_file_check(file, &info, message), ERR_CORRUPT);
    unlink(file);
    ck_assert_int_eq(snapshot_file_check(file, &info, message), ERR_NOT_FOUND);
    ck_assert_int_ne(access(path, F_OK), 0);
}
END_TEST

/* Wherever a value's byte lies: each flip in one is noticed. */
START_TEST(a_flipped_bit_in_a_value_is_noticed)
{
    struct snapshot_info info;
    char *all = memory_new(1 << 20);
    FILE *in = fopen(file, "r");
    size_t size = fread(all, 1, 1 << 20, in);
    fclose(in);
    char *at = memmem(all, size, "three", 5);
    ck_assert_ptr_nonnull(at);
    flip(at - all);
    ck_assert_int_eq(snapshot_file_check(file, &info, message), ERR_CORRUPT);
    free(all);
}
END_TEST

/* The configuration of one, in the log, with the next term; all in one write. */
START_TEST(a_node_that_is_left_becomes_a_cluster)
{
    struct recovery before, after, again;
    harness_close(&a);
    ck_assert_int_eq(data_directory_recover(a.dir, false, &before, message), OK);
    ck_assert_uint_eq(before.last, 50);
    ck_assert_uint_eq(before.last_term, 6);
    ck_assert_uint_eq(before.applied, 42);
    ck_assert_uint_eq(before.revision, 9);
    ck_assert(!before.done && before.cluster != before.identity.cluster);
    ck_assert_int_eq(data_directory_recover(a.dir, true, &after, message), OK);
    ck_assert_uint_eq(after.cluster, before.cluster);
    ck_assert_int_eq(data_directory_recover(a.dir, true, &again, message), OK);
    ck_assert(again.done);
    ck_assert_uint_eq(again.cluster, after.cluster);

    harness_open(&a); /* as ever: only the directory knows of the new cluster */
    ck_assert_uint_eq(a.data_directory->identity.cluster, after.cluster);
    expect_bounds(&a, 40, 6, 51);
    expect_meta(&a, "term", "7");
    char vote[20];
    snprintf(vote, sizeof vote, "%016llx", (unsigned long long)after.identity.id);
    expect_meta(&a, "vote", vote);
    expect_value(&a, TABLE_KV, "c", "three");
}
END_TEST

START_TEST(nobody_is_recovered_where_no_node_is)
{
    struct recovery recovery;
    ck_assert_int_eq(data_directory_recover(path, true, &recovery, message), ERR_NOT_FOUND);
    expect_said("there is no node");
    ck_assert_int_eq(data_directory_recover(a.dir, true, &recovery, message), ERR_LOCKED);
}
END_TEST

struct seen {
    unsigned n, broken;
    raft_index first, last;
};

static bool on_row(void *arg, struct slice key, struct slice text)
{
    struct seen *seen = arg;
    seen->n++;
    if (slice_equal(key, slice_text("base_index")))
        expect_slice(text, "40");
    return true;
}

static bool on_item(void *arg, const struct look_item *item)
{
    struct seen *seen = arg;
    seen->n++;
    seen->broken += item->err != OK;
    if (slice_equal(item->key, slice_text("c")))
        expect_slice(item->content, "three");
    return true;
}

static bool on_entry(void *arg, const struct look_entry *entry)
{
    struct seen *seen = arg;
    seen->first = seen->n++ == 0 ? entry->index : seen->first;
    seen->last = entry->index;
    seen->broken += entry->err != OK;
    return seen->n < 5;
}

static struct look *open_look(enum look_env which)
{
    struct look *look;
    enum err err = look_open(a.dir, which, &look, message);
    ck_assert_msg(err == OK, "%s", message);
    ck_assert_int_eq(look_begin(look), OK);
    return look;
}

/* Another process must look at a running one: LMDB opens an environment once in each. */
START_TEST(a_log_can_be_looked_at)
{
    struct seen meta = { 0 }, some = { 0 }, later = { 0 };
    struct look_stats stats;
    uint64_t behind, count;
    raft_index first, last;
    harness_close(&a);
    struct look *log = open_look(LOOK_LOG);
    ck_assert_int_eq(look_rows(log, on_row, &meta), OK);
    ck_assert_uint_ge(meta.n, 9);
    ck_assert(look_number(log, "base_index", &behind));
    ck_assert_uint_eq(behind, 40);
    ck_assert(!look_number(log, "no such row", &behind));
    ck_assert(!look_number(log, "format", &behind)); /* no number */
    ck_assert_int_eq(look_bounds(log, &first, &last, &count), OK);
    ck_assert(first == 41 && last == 50 && count == 10);
    ck_assert_int_eq(look_entries(log, 1, on_entry, &some), OK);
    ck_assert_uint_eq(some.first, 41);
    ck_assert_uint_eq(some.last, 45); /* as it was told to stop */
    ck_assert_int_eq(look_entries(log, 48, on_entry, &later), OK);
    ck_assert_uint_eq(later.n, 3);
    ck_assert_uint_eq(some.broken + later.broken, 0);
    ck_assert_int_eq(look_stats(log, &stats), OK);
    ck_assert_uint_eq(stats.entries[1], 10);
    ck_assert_uint_le(stats.used_bytes, stats.file_bytes);
    look_close(log);
}
END_TEST

START_TEST(a_state_can_be_looked_at)
{
    struct seen all = { 0 }, from = { 0 }, behind = { 0 };
    struct look_stats stats;
    harness_close(&a);
    struct look *state = open_look(LOOK_STATE);
    ck_assert_int_eq(look_items(state, TABLE_KV, slice_of(NULL, 0), false, on_item, &all), OK);
    ck_assert_int_eq(look_items(state, TABLE_KV, slice_text("b"), false, on_item, &from), OK);
    ck_assert_int_eq(look_items(state, TABLE_KV, slice_text("b"), true, on_item, &behind), OK);
    ck_assert(all.n == 3 && from.n == 2 && behind.n == 1);
    ck_assert_uint_eq(all.broken, 0);
    ck_assert_int_eq(look_stats(state, &stats), OK);
    ck_assert_uint_eq(stats.entries[TABLE_KV], 3);
    ck_assert_uint_eq(stats.entries[TABLE_MEMBERS], 1);
    look_close(state);
    ck_assert_int_eq(look_open(base, LOOK_STATE, &state, message), ERR_NOT_FOUND);
    expect_said("there is no");
}
END_TEST

/* Without a try of the lock, during which no node could start. */
START_TEST(who_holds_a_directory_is_seen)
{
    struct look_directory found;
    ck_assert_int_eq(look_directory(a.dir, &found, message), OK);
    ck_assert(found.log && found.state && found.lock && found.running);
    ck_assert_int_eq(found.holder, getpid());
    ck_assert_str_eq(found.other, "");
    harness_close(&a);
    ck_assert_int_eq(look_directory(a.dir, &found, message), OK);
    ck_assert(!found.running && !found.creating && !found.old_state && !found.incoming);
    ck_assert_int_eq(look_directory("/nowhere/at/all", &found, message), ERR_NOT_FOUND);
}
END_TEST

int main(void)
{
    if (access("/dev/shm", W_OK) == 0)
        setenv("TMPDIR", "/dev/shm", 0);
    Suite *suite = suite_create("offline");
    TCase *tcase = tcase_create("from outside");
    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, a_directory_is_made_from_a_snapshot);
    tcase_add_test(tcase, a_snapshot_of_another_cluster_must_be_adopted);
    tcase_add_test(tcase, a_damaged_snapshot_makes_nothing);
    tcase_add_test(tcase, a_flipped_bit_in_a_value_is_noticed);
    tcase_add_test(tcase, a_node_that_is_left_becomes_a_cluster);
    tcase_add_test(tcase, nobody_is_recovered_where_no_node_is);
    tcase_add_test(tcase, a_log_can_be_looked_at);
    tcase_add_test(tcase, a_state_can_be_looked_at);
    tcase_add_test(tcase, who_holds_a_directory_is_seen);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
