/* test_corrupt.c - what is not as it was written is noticed by whoever reads it, and is
 * neither served nor cut off (I15). */
#include "harness.h"

#include <lmdb.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static struct harness h;

static void path_of(const char *name, char out[128])
{
    snprintf(out, 128, "%s/%s", h.dir, name);
}

/* Flips one bit wherever the closed file has these bytes: LMDB leaves older copies of pages. */
static void flip_in_file(const char *name, struct slice bytes, size_t bit)
{
    char path[128];
    struct stat file;
    path_of(name, path);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(fstat(fd, &file), 0);
    size_t size = (size_t)file.st_size, flipped = 0;
    unsigned char *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    ck_assert_ptr_ne(map, MAP_FAILED);
    unsigned char *at = map;
    while ((at = memmem(at, size - (size_t)(at - map), bytes.data, bytes.size)) != NULL) {
        at[bit / 8] ^= (unsigned char)(1u << (bit % 8));
        at++;
        flipped++;
    }
    ck_assert_uint_gt(flipped, 0);
    munmap(map, size);
    close(fd);
}

static void corrupt_log(raft_index index, raft_term term, size_t size, size_t bit)
{
    if (h.kind == KIND_MEMORY) {
        ck_assert(memory_disk_corrupt_log(h.disk, index, bit));
        return;
    }
    struct blob *bytes = entry_bytes(index, term, size);
    harness_close(&h);
    flip_in_file("log/data.mdb", blob_slice(bytes), bit);
    blob_unref(bytes);
    harness_open(&h);
}

static bool count(void *arg, raft_index index, struct slice record)
{
    (void)index;
    (void)record;
    ++*(unsigned *)arg;
    return true;
}

START_TEST(a_flipped_bit_in_a_record_is_corruption)
{
    enum { SIZE = 100, BITS = 8 * (RECORD_HEADER_SIZE + SIZE) };
    static const size_t bits[] = { 0, 77, 8 * RECORD_HEADER_SIZE, BITS - 1 };
    for (size_t i = 0; i < sizeof bits / sizeof *bits; i++) {
        harness_init(&h, (enum kind)_i);
        submit(&h, job_entries(1, 1, 9, 1, SIZE));
        wait_log(&h, 1);
        corrupt_log(5, 1, SIZE, bits[i]);
        unsigned seen = 0;
        ck_assert_int_eq(h.log->ops->read(h.log, 1, count, &seen), ERR_CORRUPT);
        ck_assert_uint_eq(seen, 4); /* those before it, and not it */
        seen = 0;
        ck_assert_int_eq(h.log->ops->read(h.log, 5, count, &seen), ERR_CORRUPT);
        ck_assert_uint_eq(seen, 0);
        ck_assert_int_eq(h.log->ops->read(h.log, 6, count, &seen), OK);
        ck_assert_uint_eq(seen, 4); /* nothing was cut off */
        harness_fini(&h);
    }
}
END_TEST

START_TEST(boot_notices_a_broken_last_record)
{
    harness_init(&h, (enum kind)_i);
    submit(&h, job_entries(1, 1, 9, 1, 100));
    wait_log(&h, 1);
    corrupt_log(9, 1, 100, 300);
    struct log_boot boot;
    ck_assert_int_eq(h.log->ops->boot(h.log, &boot), ERR_CORRUPT);
    harness_fini(&h);
}
END_TEST

START_TEST(boot_notices_terms_that_fall)
{
    harness_init(&h, (enum kind)_i);
    submit(&h, job_entries(1, 1, 3, 5, 10));
    submit(&h, job_entries(2, 4, 3, 4, 10));
    wait_log(&h, 2);
    struct log_boot boot;
    ck_assert_int_eq(h.log->ops->boot(h.log, &boot), ERR_CORRUPT);
    harness_fini(&h);
}
END_TEST

START_TEST(a_flipped_bit_in_a_value_is_corruption)
{
    static const char text[] = "a value that stands nowhere else";
    struct slice key, value;
    harness_init(&h, (enum kind)_i);
    struct state_change changes[] = { set_text(TABLE_KV, "a", "fine"),
                                      set_text(TABLE_KV, "b", text),
                                      set_text(TABLE_KV, "c", "fine") };
    flush(&h, changes, 3);
    if (h.kind == KIND_MEMORY) {
        ck_assert(memory_disk_corrupt_state(h.disk, TABLE_KV, slice_text("b"), 99));
    } else {
        harness_close(&h);
        flip_in_file("state/data.mdb", slice_text(text), 99);
        harness_open(&h);
    }
    ck_assert_int_eq(h.state->ops->read_begin(h.state), OK);
    ck_assert_int_eq(h.state->ops->get(h.state, TABLE_KV, slice_text("a"), &value), OK);
    ck_assert_int_eq(h.state->ops->get(h.state, TABLE_KV, slice_text("b"), &value), ERR_CORRUPT);
    struct state_cursor *cursor = h.state->ops->cursor_open(h.state, TABLE_KV);
    ck_assert_int_eq(h.state->ops->seek(cursor, slice_text("b"), false, &key, &value),
                     ERR_CORRUPT);
    ck_assert_int_eq(h.state->ops->seek(cursor, slice_text("a"), false, &key, &value), OK);
    ck_assert_int_eq(h.state->ops->step(cursor, false, &key, &value), ERR_CORRUPT);
    h.state->ops->cursor_close(cursor);
    h.state->ops->read_end(h.state);
    harness_fini(&h);
}
END_TEST

/* ---- LMDB only: changes behind our back */

typedef void edit_fn(MDB_txn *txn, MDB_dbi dbi);

static void edit(const char *environment, const char *database, edit_fn *fn)
{
    char path[128];
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    path_of(environment, path);
    ck_assert_int_eq(mdb_env_create(&env), 0);
    ck_assert_int_eq(mdb_env_set_maxdbs(env, 8), 0);
    ck_assert_int_eq(mdb_env_open(env, path, 0, 0640), 0);
    ck_assert_int_eq(mdb_txn_begin(env, NULL, 0, &txn), 0);
    ck_assert_int_eq(mdb_dbi_open(txn, database, 0, &dbi), 0);
    fn(txn, dbi);
    ck_assert_int_eq(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
}

static void move_value(MDB_txn *txn, MDB_dbi dbi)
{
    MDB_val from = { 1, "a" }, to = { 1, "b" }, value;
    ck_assert_int_eq(mdb_get(txn, dbi, &from, &value), 0);
    char copy[64];
    memcpy(copy, value.mv_data, value.mv_size);
    value.mv_data = copy;
    ck_assert_int_eq(mdb_put(txn, dbi, &to, &value, 0), 0);
}

START_TEST(a_value_under_another_key_is_corruption)
{
    struct slice value;
    harness_init(&h, KIND_LMDB);
    struct state_change changes[] = { set_text(TABLE_KV, "a", "1"), set_text(TABLE_KV, "b", "2") };
    flush(&h, changes, 2);
    harness_close(&h);
    edit("state", "kv", move_value);
    harness_open(&h);
    ck_assert_int_eq(h.state->ops->read_begin(h.state), OK);
    ck_assert_int_eq(h.state->ops->get(h.state, TABLE_KV, slice_text("a"), &value), OK);
    ck_assert_int_eq(h.state->ops->get(h.state, TABLE_KV, slice_text("b"), &value), ERR_CORRUPT);
    h.state->ops->read_end(h.state);
    harness_fini(&h);
}
END_TEST

static void make_hole(MDB_txn *txn, MDB_dbi dbi)
{
    size_t index = 3;
    MDB_val key = { sizeof index, &index };
    ck_assert_int_eq(mdb_del(txn, dbi, &key, NULL), 0);
}

static void expect_open_error(enum err expected, const char *part)
{
    struct storage_options options = { 0 };
    ck_assert_int_eq(data_directory_open(h.dir, &h.identity, &h.data_directory, h.message), OK);
    ck_assert_int_eq(log_lmdb_open(h.data_directory, &options, &h.log, h.message), expected);
    ck_assert_msg(strstr(h.message, part) != NULL, "\"%s\" does not say \"%s\"", h.message, part);
    h.log = NULL;
}

START_TEST(a_hole_in_the_log_is_corruption)
{
    harness_init(&h, KIND_LMDB);
    submit(&h, job_entries(1, 1, 9, 1, 100));
    wait_log(&h, 1);
    harness_close(&h);
    edit("log", "log", make_hole);
    expect_open_error(ERR_CORRUPT, "has a hole");
    harness_fini(&h);
}
END_TEST

static void spoil_term(MDB_txn *txn, MDB_dbi dbi)
{
    MDB_val key = { 4, "term" }, value = { 3, "ten" };
    ck_assert_int_eq(mdb_put(txn, dbi, &key, &value, 0), 0);
}

START_TEST(a_term_that_is_no_number_is_corruption)
{
    harness_init(&h, KIND_LMDB);
    harness_close(&h);
    edit("log", "meta", spoil_term);
    harness_open(&h);
    struct log_boot boot;
    ck_assert_int_eq(h.log->ops->boot(h.log, &boot), ERR_CORRUPT);
    harness_fini(&h);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("storage corruption");
    TCase *tcase = tcase_create("noticed");
    tcase_add_loop_test(tcase, a_flipped_bit_in_a_record_is_corruption, 0, KINDS);
    tcase_add_loop_test(tcase, boot_notices_a_broken_last_record, 0, KINDS);
    tcase_add_loop_test(tcase, boot_notices_terms_that_fall, 0, KINDS);
    tcase_add_loop_test(tcase, a_flipped_bit_in_a_value_is_corruption, 0, KINDS);
    tcase_add_test(tcase, a_value_under_another_key_is_corruption);
    tcase_add_test(tcase, a_hole_in_the_log_is_corruption);
    tcase_add_test(tcase, a_term_that_is_no_number_is_corruption);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
