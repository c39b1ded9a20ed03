/* test_contract.c - what storage.h promises, tried alike on the LMDB stores and on their
 * memory twins: each test runs once for each. */
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>

static struct harness h;

/* ---- the log */

START_TEST(a_new_log_is_empty)
{
    harness_init(&h, (enum kind)_i);
    struct log_boot boot;
    ck_assert_int_eq(h.log->ops->boot(h.log, &boot), OK);
    ck_assert_uint_eq(boot.term, 0);
    ck_assert_uint_eq(boot.vote, 0);
    ck_assert_uint_gt(boot.first, boot.last);
    ck_assert_uint_eq(boot.n_runs, 0);
    free(boot.runs);
    expect_log(&h, 1, "");
    harness_fini(&h);
}
END_TEST

START_TEST(entries_come_back_as_they_were_stored)
{
    harness_init(&h, (enum kind)_i);
    submit(&h, job_entries(1, 1, 3, 1, 0));
    submit(&h, job_entries(2, 4, 2, 2, 100));
    submit(&h, job_entries(3, 6, 2, 2, 9000)); /* more than a page */
    wait_log(&h, 3);
    expect_log(&h, 1, "1*3 2*4");
    expect_log(&h, 5, "2*3");
    expect_log(&h, 8, "");
    harness_reopen(&h);
    expect_log(&h, 1, "1*3 2*4");
    harness_fini(&h);
}
END_TEST

START_TEST(completions_come_in_the_order_of_submission)
{
    harness_init(&h, (enum kind)_i);
    for (raft_ticket t = 1; t <= 1000; t++)
        submit(&h, job_entries(t, t, 1, 1, 10));
    wait_log(&h, 1000);
    for (uint32_t i = 0; i < 1000; i++)
        ck_assert_uint_eq(h.done[i], i + 1);
    expect_log(&h, 1, "1*1000");
    struct log_stats stats;
    h.log->ops->stats(h.log, &stats);
    ck_assert_uint_eq(stats.entries_written, 1000);
    ck_assert_uint_ge(stats.bytes_written, 1000 * (RECORD_HEADER_SIZE + 10));
    ck_assert_uint_gt(stats.map_bytes, stats.used_bytes);
    ck_assert_uint_gt(stats.used_bytes, stats.bytes_written / 2);
    harness_fini(&h);
}
END_TEST

/* B59: a conflicting suffix goes and the new entries come in one transaction. */
START_TEST(a_job_erases_from_first_on_and_then_stores)
{
    harness_init(&h, (enum kind)_i);
    submit(&h, job_entries(1, 1, 10, 1, 50));
    submit(&h, job_entries(2, 4, 2, 3, 50)); /* overwrites 4 and 5, erases 6 .. 10 */
    wait_log(&h, 2);
    expect_log(&h, 1, "1*3 3*2");
    submit(&h, job_entries(3, 5, 0, 0, 0)); /* erases only */
    wait_log(&h, 3);
    expect_log(&h, 1, "1*3 3*1");
    submit(&h, job_entries(4, 1, 0, 0, 0));
    wait_log(&h, 4);
    expect_log(&h, 1, "");
    submit(&h, job_entries(5, 1, 2, 4, 5000));
    submit(&h, job_entries(6, 1, 3, 5, 70)); /* all over again, in one queue */
    wait_log(&h, 6);
    expect_log(&h, 1, "5*3");
    harness_reopen(&h);
    expect_log(&h, 1, "5*3");
    harness_fini(&h);
}
END_TEST

START_TEST(term_and_vote_survive_and_can_be_read_as_text)
{
    harness_init(&h, (enum kind)_i);
    expect_meta(&h, "term", "0");
    struct log_job *job = job_entries(1, 1, 1, 7, 10);
    job_vote(job, 7, 0xa1);
    submit(&h, job);
    job = log_job_new(0, 0);
    job_vote(job, 18446744073709551615u, 0xfedcba9876543210);
    submit(&h, job);
    wait_log(&h, 2);
    harness_reopen(&h);
    struct log_boot boot;
    ck_assert_int_eq(h.log->ops->boot(h.log, &boot), OK);
    ck_assert(boot.term == 18446744073709551615u && boot.vote == 0xfedcba9876543210);
    free(boot.runs);
    expect_log(&h, 1, "7*1");
    expect_meta(&h, "term", "18446744073709551615");
    expect_meta(&h, "vote", "fedcba9876543210");
    harness_fini(&h);
}
END_TEST

START_TEST(meta_holds_the_identity_and_whatever_is_put)
{
    harness_init(&h, (enum kind)_i);
    char long_text[META_TEXT_MAX];
    memset(long_text, 'x', sizeof long_text);
    long_text[META_TEXT_MAX - 1] = '\0';
    expect_meta(&h, "peer.2", NULL);
    submit(&h, job_meta("peer.2", "00112233445566778899aabbccddeeff"));
    submit(&h, job_meta("peer.3", ""));
    submit(&h, job_meta("long", long_text));
    submit(&h, job_meta("peer.3", "changed"));
    wait_log(&h, 4);
    harness_reopen(&h);
    expect_meta(&h, "peer.2", "00112233445566778899aabbccddeeff");
    expect_meta(&h, "peer.3", "changed");
    expect_meta(&h, "long", long_text);
    expect_meta(&h, "format", "holdfast-log 1");
    expect_meta(&h, "cluster", "1122334455667788");
    expect_meta(&h, "node_id", "00000000000000a1");
    expect_meta(&h, "name", "node1");
    expect_meta(&h, "raft_addr", "127.0.0.1:9001");
    expect_meta(&h, "members", "127.0.0.1:9001,127.0.0.1:9002,127.0.0.1:9003");
    char incarnation[META_TEXT_MAX];
    ck_assert_int_eq(h.log->ops->meta_get(h.log, "incarnation", incarnation), OK);
    ck_assert_uint_eq(strlen(incarnation), 32);
    ck_assert_str_ne(incarnation, "00000000000000000000000000000000");
    harness_fini(&h);
}
END_TEST

START_TEST(many_terms_are_found_without_reading_all)
{
    harness_init(&h, (enum kind)_i);
    /* Runs of length 1, 2, ... 9, 1, 200, 1. */
    raft_index at = 1;
    raft_term term = 1;
    uint32_t lengths[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 200, 1 }, jobs = 0;
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++, term += 1 + i % 2) {
        submit(&h, job_entries(++jobs, at, lengths[i], term, 20));
        at += lengths[i];
    }
    wait_log(&h, jobs);
    expect_log(&h, 1, "1*1 3*2 4*3 6*4 7*5 9*6 10*7 12*8 13*9 15*1 16*200 18*1");
    harness_fini(&h);
}
END_TEST

static bool stop_at_three(void *arg, raft_index index, struct slice record)
{
    (void)record;
    *(raft_index *)arg = index;
    return index < 3;
}

START_TEST(a_reader_stops_when_told)
{
    harness_init(&h, (enum kind)_i);
    submit(&h, job_entries(1, 1, 10, 1, 20));
    wait_log(&h, 1);
    raft_index last = 0;
    ck_assert_int_eq(h.log->ops->read(h.log, 1, stop_at_three, &last), OK);
    ck_assert_uint_eq(last, 3);
    harness_fini(&h);
}
END_TEST

START_TEST(close_finishes_what_was_submitted)
{
    harness_init(&h, (enum kind)_i);
    if (h.kind == KIND_MEMORY)
        memory_disk_hold(h.disk, true);
    for (raft_ticket t = 1; t <= 200; t++)
        submit(&h, job_entries(t, t, 1, 1, 1000));
    struct state_change change = set_text(TABLE_KV, "k", "v");
    struct state_job job = { .changes = &change, .n = 1 };
    h.state->ops->submit(h.state, &job);
    harness_reopen(&h);
    expect_log(&h, 1, "1*200");
    expect_value(&h, TABLE_KV, "k", "v");
    harness_fini(&h);
}
END_TEST

/* ---- the state */

START_TEST(a_batch_sets_and_deletes)
{
    harness_init(&h, (enum kind)_i);
    struct state_change first[] = {
        set_text(TABLE_META, "applied", "3"), set_text(TABLE_KV, "a", "1"),
        set_text(TABLE_KV, "b", ""),          set_text(TABLE_KV, "c", "3"),
        set_text(TABLE_MEMBERS, "a", "m"),
    };
    flush(&h, first, 5);
    struct state_change second[] = {
        set_text(TABLE_META, "applied", "4"), unset_text(TABLE_KV, "a"),
        set_text(TABLE_KV, "c", "longer"),    unset_text(TABLE_KV, "nothing"),
    };
    flush(&h, second, 4);
    harness_reopen(&h);
    expect_value(&h, TABLE_META, "applied", "4");
    expect_value(&h, TABLE_KV, "a", NULL);
    expect_value(&h, TABLE_KV, "b", "");
    expect_value(&h, TABLE_KV, "c", "longer");
    expect_value(&h, TABLE_MEMBERS, "a", "m");
    expect_value(&h, TABLE_MEMBERS, "b", NULL);
    harness_fini(&h);
}
END_TEST

/* The log's writer takes 64 MiB at a time; nobody submits anything to wake it for the rest. */
START_TEST(what_one_transaction_leaves_is_written_by_the_next)
{
    enum { JOBS = 5, ENTRIES = 10, SIZE = 2000000 };
    harness_init(&h, (enum kind)_i);
    struct log_job *jobs[JOBS];
    for (uint32_t i = 0; i < JOBS; i++)
        jobs[i] = job_entries(i + 1, 1 + (raft_index)i * ENTRIES, ENTRIES, 1, SIZE);
    for (uint32_t i = 0; i < JOBS; i++)
        submit(&h, jobs[i]);
    wait_log(&h, JOBS);
    expect_bounds(&h, 0, 0, JOBS * ENTRIES);

    struct state_change a = set_text(TABLE_KV, "a", "1"), b = set_text(TABLE_KV, "b", "2");
    struct state_job one = { .changes = &a, .n = 1 }, two = { .changes = &b, .n = 1 };
    h.state->ops->submit(h.state, &one);
    h.state->ops->submit(h.state, &two);
    wait_state(&h, 2);
    expect_value(&h, TABLE_KV, "b", "2");
    harness_fini(&h);
}
END_TEST

START_TEST(the_longest_key_and_value_fit)
{
    harness_init(&h, (enum kind)_i);
    unsigned char key[KEY_SIZE_MAX];
    memset(key, 0xff, sizeof key);
    struct blob *value = blob_new(VALUE_SIZE_MAX + 64);
    for (size_t i = 0; i < value->size; i++)
        value->data[i] = (unsigned char)(i * 7);
    struct state_change change = { TABLE_KV, slice_of(key, sizeof key), blob_slice(value) };
    flush(&h, &change, 1);
    harness_reopen(&h);
    struct slice found;
    ck_assert_int_eq(h.state->ops->read_begin(h.state), OK);
    ck_assert_int_eq(h.state->ops->get(h.state, TABLE_KV, change.key, &found), OK);
    ck_assert(slice_equal(found, change.value));
    ck_assert_int_eq(h.state->ops->get(h.state, TABLE_KV, slice_of(key, 510), &found),
                     ERR_NOT_FOUND);
    ck_assert_int_eq(h.state->ops->get(h.state, TABLE_KV, slice_of(key, 0), &found),
                     ERR_NOT_FOUND);
    h.state->ops->read_end(h.state);
    blob_unref(value);
    harness_fini(&h);
}
END_TEST

/* The keys that a walk visits, joined; ends with '.' when nothing is left. */
static void walk_keys(struct state_cursor *cursor, const char *from, bool backward, char *out)
{
    const struct state_store_ops *ops = h.state->ops;
    struct slice key, value;
    size_t used = 0;
    enum err err = ops->seek(cursor, slice_text(from), backward, &key, &value);
    for (; err == OK; err = ops->step(cursor, backward, &key, &value)) {
        memcpy(out + used, key.data, key.size);
        used += key.size;
        ck_assert(slice_equal(key, value)); /* each test value is its key */
    }
    ck_assert_int_eq(err, ERR_NOT_FOUND);
    ck_assert_int_eq(ops->step(cursor, backward, &key, &value), ERR_NOT_FOUND);
    out[used] = '.';
    out[used + 1] = '\0';
}

START_TEST(cursors_walk_both_ways_from_anywhere)
{
    harness_init(&h, (enum kind)_i);
    struct state_change changes[] = {
        set_text(TABLE_KV, "b", "b"), set_text(TABLE_KV, "bb", "bb"),
        set_text(TABLE_KV, "d", "d"), set_text(TABLE_KV, "f", "f"),
    };
    flush(&h, changes, 4);
    static const struct {
        const char *from;
        bool backward;
        const char *keys;
    } walks[] = {
        { "", false, "bbbdf." }, { "a", false, "bbbdf." }, { "b", false, "bbbdf." },
        { "ba", false, "bbdf." }, { "e", false, "f." },    { "g", false, "." },
        { "", true, "fdbbb." },  { "g", true, "fdbbb." },  { "f", true, "fdbbb." },
        { "e", true, "dbbb." },  { "bb", true, "bbb." },   { "b", true, "b." },
        { "a", true, "." },
    };
    ck_assert_int_eq(h.state->ops->read_begin(h.state), OK);
    struct state_cursor *cursor = h.state->ops->cursor_open(h.state, TABLE_KV);
    struct slice key, value;
    ck_assert_int_eq(h.state->ops->step(cursor, false, &key, &value), ERR_NOT_FOUND);
    for (size_t i = 0; i < sizeof walks / sizeof *walks; i++) {
        char found[32];
        walk_keys(cursor, walks[i].from, walks[i].backward, found);
        ck_assert_msg(strcmp(found, walks[i].keys) == 0, "from \"%s\"%s: expected %s got %s",
                      walks[i].from, walks[i].backward ? " backward" : "", walks[i].keys, found);
    }
    /* To and fro. */
    ck_assert_int_eq(h.state->ops->seek(cursor, slice_text("c"), false, &key, &value), OK);
    expect_slice(key, "d");
    ck_assert_int_eq(h.state->ops->step(cursor, true, &key, &value), OK);
    expect_slice(key, "bb");
    ck_assert_int_eq(h.state->ops->step(cursor, false, &key, &value), OK);
    expect_slice(key, "d");
    h.state->ops->cursor_close(cursor);

    cursor = h.state->ops->cursor_open(h.state, TABLE_MEMBERS);
    ck_assert_int_eq(h.state->ops->seek(cursor, slice_of(NULL, 0), false, &key, &value),
                     ERR_NOT_FOUND);
    ck_assert_int_eq(h.state->ops->seek(cursor, slice_of(NULL, 0), true, &key, &value),
                     ERR_NOT_FOUND);
    h.state->ops->cursor_close(cursor);
    h.state->ops->read_end(h.state);
    harness_fini(&h);
}
END_TEST

START_TEST(a_read_sees_one_state_while_a_batch_is_written)
{
    harness_init(&h, (enum kind)_i);
    struct state_change old[] = { set_text(TABLE_KV, "a", "old"), set_text(TABLE_KV, "b", "old") };
    flush(&h, old, 2);
    struct slice value;
    ck_assert_int_eq(h.state->ops->read_begin(h.state), OK);
    ck_assert_int_eq(h.state->ops->get(h.state, TABLE_KV, slice_text("a"), &value), OK);
    struct state_change new[] = { set_text(TABLE_KV, "a", "new"), set_text(TABLE_KV, "b", "new") };
    struct state_job job = { .changes = new, .n = 2 };
    h.state->ops->submit(h.state, &job);
    if (h.kind == KIND_LMDB) /* durable already, and still not seen */
        wait_state(&h, 2);
    expect_slice(value, "old");
    ck_assert_int_eq(h.state->ops->get(h.state, TABLE_KV, slice_text("b"), &value), OK);
    expect_slice(value, "old");
    h.state->ops->read_end(h.state);
    wait_state(&h, 2);
    expect_value(&h, TABLE_KV, "a", "new");
    expect_value(&h, TABLE_KV, "b", "new");
    harness_fini(&h);
}
END_TEST

START_TEST(ten_thousand_keys_in_one_batch)
{
    enum { KEYS = 10000 };
    harness_init(&h, (enum kind)_i);
    static struct state_change changes[KEYS];
    static char keys[KEYS][16];
    for (unsigned i = 0; i < KEYS; i++) {
        snprintf(keys[i], sizeof keys[i], "key%06u", i);
        changes[i] = set_text(TABLE_KV, keys[i], keys[i]);
    }
    flush(&h, changes, KEYS);
    for (unsigned i = 0; i < KEYS; i += 2)
        changes[i].value = slice_of(NULL, 0);
    flush(&h, changes, KEYS);
    harness_reopen(&h);
    ck_assert_int_eq(h.state->ops->read_begin(h.state), OK);
    struct state_cursor *cursor = h.state->ops->cursor_open(h.state, TABLE_KV);
    struct slice key, value;
    enum err err = h.state->ops->seek(cursor, slice_of(NULL, 0), false, &key, &value);
    unsigned seen = 0;
    for (; err == OK; err = h.state->ops->step(cursor, false, &key, &value), seen++)
        expect_slice(key, keys[2 * seen + 1]);
    ck_assert_int_eq(err, ERR_NOT_FOUND);
    ck_assert_uint_eq(seen, KEYS / 2);
    h.state->ops->cursor_close(cursor);
    h.state->ops->read_end(h.state);
    struct state_stats stats;
    h.state->ops->stats(h.state, &stats);
    ck_assert_uint_gt(stats.used_bytes, KEYS / 2 * 16);
    ck_assert_uint_gt(stats.map_bytes, stats.used_bytes);
    harness_fini(&h);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("storage contract");
    TCase *tcase = tcase_create("memory (0) and LMDB (1)");
    tcase_set_timeout(tcase, 120);
    tcase_add_loop_test(tcase, a_new_log_is_empty, 0, KINDS);
    tcase_add_loop_test(tcase, entries_come_back_as_they_were_stored, 0, KINDS);
    tcase_add_loop_test(tcase, completions_come_in_the_order_of_submission, 0, KINDS);
    tcase_add_loop_test(tcase, a_job_erases_from_first_on_and_then_stores, 0, KINDS);
    tcase_add_loop_test(tcase, term_and_vote_survive_and_can_be_read_as_text, 0, KINDS);
    tcase_add_loop_test(tcase, meta_holds_the_identity_and_whatever_is_put, 0, KINDS);
    tcase_add_loop_test(tcase, many_terms_are_found_without_reading_all, 0, KINDS);
    tcase_add_loop_test(tcase, a_reader_stops_when_told, 0, KINDS);
    tcase_add_loop_test(tcase, close_finishes_what_was_submitted, 0, KINDS);
    tcase_add_loop_test(tcase, a_batch_sets_and_deletes, 0, KINDS);
    tcase_add_loop_test(tcase, what_one_transaction_leaves_is_written_by_the_next, 0, KINDS);
    tcase_add_loop_test(tcase, the_longest_key_and_value_fit, 0, KINDS);
    tcase_add_loop_test(tcase, cursors_walk_both_ways_from_anywhere, 0, KINDS);
    tcase_add_loop_test(tcase, a_read_sees_one_state_while_a_batch_is_written, 0, KINDS);
    tcase_add_loop_test(tcase, ten_thousand_keys_in_one_batch, 0, KINDS);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
