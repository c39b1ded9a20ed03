/* test_base.c - a log that loses its head: what it remembers of it, and what becomes of the
 * space.  Each test runs on the LMDB store and on its memory twin. */
#include "harness.h"

#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

static struct harness h;

/* A log is never trimmed above what the state has durably applied. */
static void init(int kind)
{
    harness_init(&h, (enum kind)kind);
    struct state_change applied = set_text(TABLE_META, "applied_index", "1000000");
    flush(&h, &applied, 1);
}

START_TEST(the_head_goes_and_its_last_term_is_remembered)
{
    init(_i);
    expect_bounds(&h, 0, 0, 0);
    submit(&h, job_entries(1, 1, 4, 1, 50));
    submit(&h, job_entries(2, 5, 6, 2, 50));
    submit(&h, job_base(3, 6, 2));
    wait_log(&h, 3);
    for (unsigned again = 0; again < 2; again++) {
        expect_bounds(&h, 6, 2, 10);
        expect_log(&h, 6, "");
        expect_log(&h, 7, "2*4");
        expect_meta(&h, "base_index", "6");
        expect_meta(&h, "base_term", "2");
        harness_reopen(&h);
    }
    submit(&h, job_entries(4, 9, 3, 3, 50)); /* conflicts and goes on as before */
    wait_log(&h, 4);
    expect_log(&h, 7, "2*2 3*3");
    harness_fini(&h);
}
END_TEST

START_TEST(the_base_never_goes_back)
{
    init(_i);
    submit(&h, job_entries(1, 1, 10, 1, 50));
    submit(&h, job_base(2, 8, 1));
    submit(&h, job_base(3, 3, 1));
    submit(&h, job_base(4, 8, 1));
    wait_log(&h, 4);
    expect_bounds(&h, 8, 1, 10);
    expect_log(&h, 9, "1*2");
    harness_fini(&h);
}
END_TEST

/* B58: nothing is left to ask for the last term but the base. */
START_TEST(a_log_of_which_nothing_is_left_goes_on_behind_its_base)
{
    init(_i);
    submit(&h, job_entries(1, 1, 10, 3, 5000));
    submit(&h, job_base(2, 10, 3));
    wait_log(&h, 2);
    harness_reopen(&h);
    expect_bounds(&h, 10, 3, 10);
    expect_log(&h, 10, "");
    expect_log(&h, 11, "");
    submit(&h, job_entries(3, 11, 2, 4, 50));
    wait_log(&h, 3);
    expect_bounds(&h, 10, 3, 12);
    submit(&h, job_entries(4, 11, 0, 0, 0)); /* all of what is left, by a conflict */
    wait_log(&h, 4);
    expect_bounds(&h, 10, 3, 10);
    harness_fini(&h);
}
END_TEST

/* A snapshot from far ahead: the base lies beyond the log's end, or the log conflicts with it. */
START_TEST(a_base_beyond_the_end_throws_the_log_away)
{
    init(_i);
    submit(&h, job_entries(1, 1, 10, 1, 50));
    submit(&h, job_base(2, 1000, 7));
    wait_log(&h, 2);
    expect_bounds(&h, 1000, 7, 1000);
    struct log_job *job = job_entries(3, 1001, 3, 7, 50);
    submit(&h, job);
    job = job_entries(4, 1003, 0, 0, 0); /* base and erasure in one transaction */
    job->base = 1002;
    job->base_term = 8;
    submit(&h, job);
    wait_log(&h, 4);
    harness_reopen(&h);
    expect_bounds(&h, 1002, 8, 1002);
    harness_fini(&h);
}
END_TEST

START_TEST(base_entries_vote_and_meta_are_one_write)
{
    init(_i);
    submit(&h, job_entries(1, 1, 10, 1, 50));
    struct log_job *job = job_entries(2, 6, 2, 4, 50);
    job->base = 5;
    job->base_term = 1;
    job_vote(job, 4, 0xb);
    submit(&h, job);
    wait_log(&h, 2);
    harness_reopen(&h);
    expect_bounds(&h, 5, 1, 7);
    expect_log(&h, 6, "4*2");
    expect_meta(&h, "vote", "000000000000000b");
    harness_fini(&h);
}
END_TEST

START_TEST(the_space_of_what_went_is_used_again)
{
    enum { ENTRIES = 200000, KEPT = 10000, STEP = 1000 };
    init(_i);
    struct log_stats stats;
    uint64_t most_early = 0, most_late = 0;
    uint32_t jobs = 0;
    for (raft_index at = 1; at <= ENTRIES; at += STEP) {
        submit(&h, job_entries(++jobs, at, STEP, 1, 100));
        if (at > KEPT)
            submit(&h, job_base(++jobs, at - KEPT + STEP - 1, 1));
        wait_log(&h, jobs);
        h.log->ops->stats(h.log, &stats);
        uint64_t *most = at < ENTRIES / 2 ? &most_early : &most_late;
        *most = stats.used_bytes > *most ? stats.used_bytes : *most;
    }
    expect_bounds(&h, ENTRIES - KEPT, 1, ENTRIES);
    /* A record of 132 bytes with LMDB's head and index: 30 to a page of 4 KiB. */
    ck_assert_uint_lt(most_late, (uint64_t)2 * KEPT * 150);
    ck_assert_uint_le(most_late, most_early + most_early / 10);
    harness_fini(&h);
}
END_TEST

static uint64_t file_size(const char *path)
{
    struct stat found;
    ck_assert_int_eq(stat(path, &found), 0);
    return (uint64_t)found.st_size;
}

/* The file's own size, which `used_bytes` does not tell. */
START_TEST(the_file_levels_off)
{
    enum { ROUNDS = 400, STEP = 500, KEPT = 2000 };
    harness_init(&h, KIND_LMDB);
    char path[96];
    uint64_t pages[2] = { 0, 0 };
    uint32_t jobs = 0;
    snprintf(path, sizeof path, "%s/log/data.mdb", h.dir);
    for (unsigned round = 0; round < ROUNDS; round++) {
        raft_index at = 1 + (raft_index)round * STEP;
        submit(&h, job_entries(++jobs, at, STEP, 1, 100));
        if (at > KEPT)
            submit(&h, job_base(++jobs, at - KEPT, 1));
        wait_log(&h, jobs);
        pages[round >= ROUNDS / 4] = file_size(path) / 4096;
        if (round == ROUNDS / 4)
            pages[0] = pages[1];
    }
    ck_assert_msg(pages[1] <= pages[0] + pages[0] / 10, "%llu pages, later %llu",
                  (unsigned long long)pages[0], (unsigned long long)pages[1]);
    harness_fini(&h);
}
END_TEST

/* ---- B53: a log that does not reach its base, or says so wrongly */

static void edit_log(const char *key, const char *text, raft_index erased)
{
    char path[96];
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi log, meta;
    MDB_val k = { strlen(key), (void *)(uintptr_t)key }, v = { strlen(text), (void *)(uintptr_t)text };
    MDB_val number = { sizeof erased, &erased };
    snprintf(path, sizeof path, "%s/log", h.dir);
    ck_assert_int_eq(mdb_env_create(&env), 0);
    ck_assert_int_eq(mdb_env_set_maxdbs(env, 4), 0);
    ck_assert_int_eq(mdb_env_open(env, path, 0, 0640), 0);
    ck_assert_int_eq(mdb_txn_begin(env, NULL, 0, &txn), 0);
    ck_assert_int_eq(mdb_dbi_open(txn, "log", MDB_INTEGERKEY, &log), 0);
    ck_assert_int_eq(mdb_dbi_open(txn, "meta", 0, &meta), 0);
    ck_assert_int_eq(mdb_put(txn, meta, &k, &v, 0), 0);
    ck_assert(erased == 0 || mdb_del(txn, log, &number, NULL) == 0);
    ck_assert_int_eq(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
}

START_TEST(a_log_that_does_not_begin_behind_its_base_is_refused)
{
    static const struct {
        const char *key, *text;
        raft_index erased;
    } damages[] = {
        { "base_index", "2", 0 }, { "base_index", "4", 0 }, { "base_index", "1000", 0 },
        { "base_index", "x", 0 }, { "base_term", "", 0 },   { "mark", "", 4 },
    };
    struct storage_options options = { 0 };
    harness_init(&h, KIND_LMDB);
    submit(&h, job_entries(1, 1, 10, 1, 50));
    submit(&h, job_base(2, 3, 1));
    struct state_change applied = set_text(TABLE_META, "applied_index", "999");
    flush(&h, &applied, 1);
    wait_log(&h, 2);
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        harness_close(&h);
        edit_log(damages[i].key, damages[i].text, damages[i].erased);
        struct log_store *log;
        enum err err = data_directory_open(h.dir, &h.identity, &h.data_directory, h.message);
        if (err == OK)
            err = log_lmdb_open(h.data_directory, &options, &log, h.message);
        ck_assert_msg(err == ERR_CORRUPT, "damage %zu is taken for %s %s", i, err_name(err),
                      h.message);
        harness_close(&h);
        edit_log("base_index", "3", 0);
        edit_log("base_term", "1", 0);
    }
    harness_fini(&h);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("log base");
    TCase *tcase = tcase_create("memory (0) and LMDB (1)");
    tcase_set_timeout(tcase, 300);
    tcase_add_loop_test(tcase, the_head_goes_and_its_last_term_is_remembered, 0, KINDS);
    tcase_add_loop_test(tcase, the_base_never_goes_back, 0, KINDS);
    tcase_add_loop_test(tcase, a_log_of_which_nothing_is_left_goes_on_behind_its_base, 0, KINDS);
    tcase_add_loop_test(tcase, a_base_beyond_the_end_throws_the_log_away, 0, KINDS);
    tcase_add_loop_test(tcase, base_entries_vote_and_meta_are_one_write, 0, KINDS);
    tcase_add_loop_test(tcase, the_space_of_what_went_is_used_again, 0, KINDS);
    tcase_add_test(tcase, the_file_levels_off);
    tcase_add_test(tcase, a_log_that_does_not_begin_behind_its_base_is_refused);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
