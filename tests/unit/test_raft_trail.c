/* test_raft_trail.c - the leaves of the core: the trail, against a plain array, and the quorum. */
#include "src/raft/quorum.h"
#include "src/raft/trail.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct trail trail;

START_TEST(trail_tells_terms)
{
    const struct raft_run runs[] = { { 11, 3 }, { 14, 4 }, { 15, 7 } };
    ck_assert(!trail_init(&trail, 10, 2, 20, runs, 3));
    ck_assert_uint_eq(trail_term(&trail, 9), 0);
    ck_assert_uint_eq(trail_term(&trail, 10), 2); /* the base's term is known, for prev_term */
    ck_assert_uint_eq(trail_term(&trail, 11), 3);
    ck_assert_uint_eq(trail_term(&trail, 13), 3);
    ck_assert_uint_eq(trail_term(&trail, 14), 4);
    ck_assert_uint_eq(trail_term(&trail, 15), 7);
    ck_assert_uint_eq(trail_term(&trail, 20), 7);
    ck_assert_uint_eq(trail_term(&trail, 21), 0);
    ck_assert_uint_eq(trail_last_term(&trail), 7);
}
END_TEST

START_TEST(trail_may_be_empty)
{
    trail_init(&trail, 0, 0, 0, NULL, 0);
    ck_assert_uint_eq(trail_last_term(&trail), 0);
    ck_assert_uint_eq(trail_term(&trail, 0), 0);
    ck_assert_uint_eq(trail_find(&trail, 5, 5), 0);
    trail_init(&trail, 8, 6, 8, NULL, 0);
    ck_assert_uint_eq(trail_last_term(&trail), 6);
    ck_assert_uint_eq(trail_term(&trail, 8), 6);
    ck_assert_uint_eq(trail_find(&trail, 5, 5), 8); /* nothing there is older than its base */
    trail_append(&trail, 6, 2);
    ck_assert_uint_eq(trail_term(&trail, 10), 6);
    trail_truncate(&trail, 9);
    ck_assert_uint_eq(trail.last, 8);
    ck_assert_uint_eq(trail_last_term(&trail), 6);
}
END_TEST

START_TEST(trail_is_compacted_within_and_between_terms)
{
    for (raft_index base = 0; base <= 6; base++) {
        static const raft_term term_at[] = { 0, 1, 1, 4, 4, 5, 5 };
        trail_init(&trail, 0, 0, 0, NULL, 0);
        trail_append(&trail, 1, 2);
        trail_append(&trail, 4, 2);
        trail_append(&trail, 5, 2);
        trail_compact(&trail, base);
        ck_assert_uint_eq(trail.last, 6);
        for (raft_index i = 0; i <= 7; i++)
            ck_assert_uint_eq(trail_term(&trail, i), i < base || i > 6 ? 0 : term_at[i]);
        ck_assert_uint_eq(trail_last_term(&trail), 5);
        trail_append(&trail, 5, 1);
        ck_assert_uint_eq(trail_term(&trail, 7), 5);
        trail_truncate(&trail, base + 1);
        ck_assert_uint_eq(trail_last_term(&trail), term_at[base]);
        trail_reset(&trail, 9, 8);
        ck_assert_uint_eq(trail.last, 9);
        ck_assert_uint_eq(trail_last_term(&trail), 8);
    }
    const struct raft_run runs[] = { { 11, 2 }, { 13, 4 } }; /* base within a term */
    trail_init(&trail, 10, 2, 14, runs, 2);
    ck_assert_uint_eq(trail_term(&trail, 12), 2);
}
END_TEST

START_TEST(trail_finds_by_whole_terms)
{
    trail_init(&trail, 0, 0, 0, NULL, 0);
    trail_append(&trail, 1, 3); /* 1..3 */
    trail_append(&trail, 4, 2); /* 4..5 */
    trail_append(&trail, 5, 2); /* 6..7 */
    trail_append(&trail, 6, 3); /* 8..10 */
    ck_assert_uint_eq(trail_find(&trail, 10, 6), 10);
    ck_assert_uint_eq(trail_find(&trail, 99, 9), 10);
    ck_assert_uint_eq(trail_find(&trail, 9, 5), 7);
    ck_assert_uint_eq(trail_find(&trail, 6, 5), 6);
    ck_assert_uint_eq(trail_find(&trail, 10, 3), 3);
    ck_assert_uint_eq(trail_find(&trail, 10, 0), 0);
}
END_TEST

/* Random appends, truncations and compactions; the array is the truth. */
START_TEST(trail_agrees_with_an_array)
{
    enum { LOG = 400 };
    raft_term log[LOG + 1];
    srand(11);
    for (uint32_t round = 0; round < 200; round++) {
        raft_index last = 0, base = 0;
        raft_term term = 1;
        memset(log, 0, sizeof log);
        trail_init(&trail, 0, 0, 0, NULL, 0);
        for (uint32_t step = 0; step < 60; step++) {
            if (rand() % 3 == 0 && last > base) {
                raft_index most = last - base < 9 ? last - base : 9;
                last -= (raft_index)rand() % (most + 1);
                trail_truncate(&trail, last + 1);
            }
            term += (raft_term)rand() % 3;
            uint64_t count = 1 + (uint64_t)rand() % 5;
            for (uint64_t i = 0; i < count; i++)
                log[++last] = term;
            trail_append(&trail, term, count);
            if (rand() % 8 == 0) {
                base += (raft_index)rand() % (last - base + 1);
                trail_compact(&trail, base);
                ck_assert_uint_eq(trail.base, base);
            }
            raft_index at = (raft_index)rand() % (last + 1);
            raft_term most = (raft_term)rand() % (term + 2);
            ck_assert_uint_eq(trail_term(&trail, at), at < base ? 0 : log[at]);
            ck_assert_uint_eq(trail_last_term(&trail), log[last]);
            while (at > base && log[at] > most)
                at--;
            ck_assert_uint_eq(trail_find(&trail, at, most), at > base ? at : base);
        }
        for (raft_index i = 1; i <= last; i++)
            ck_assert_uint_eq(trail_term(&trail, i), i < base ? 0 : log[i]);
        ck_assert_uint_eq(trail_term(&trail, last + 1), 0);
    }
}
END_TEST

START_TEST(trail_forgets_its_oldest_terms)
{
    trail_init(&trail, 0, 0, 0, NULL, 0);
    for (raft_term term = 1; term <= RAFT_RUNS_MAX; term++)
        ck_assert(!trail_append(&trail, term, 2));
    ck_assert_uint_eq(trail.base, 0);
    ck_assert(!trail_append(&trail, RAFT_RUNS_MAX, 1));
    for (raft_term term = RAFT_RUNS_MAX + 1; term <= 3 * RAFT_RUNS_MAX; term++)
        ck_assert(trail_append(&trail, term, 1));
    ck_assert_uint_eq(trail_last_term(&trail), 3 * RAFT_RUNS_MAX);
    ck_assert_uint_eq(trail.last, 2 * RAFT_RUNS_MAX + 1 + 2 * RAFT_RUNS_MAX);
    ck_assert_uint_eq(trail.base, trail.last - RAFT_RUNS_MAX);
    for (raft_index i = 0; i <= RAFT_RUNS_MAX; i++)
        ck_assert_uint_eq(trail_term(&trail, trail.last - i), 3 * RAFT_RUNS_MAX - i);
    ck_assert_uint_eq(trail_term(&trail, trail.base - 1), 0);
    ck_assert_uint_eq(trail_find(&trail, trail.last, 5), trail.base);
}
END_TEST

START_TEST(trail_begins_with_the_newest_of_too_many_terms)
{
    static struct raft_run runs[RAFT_RUNS_MAX + 10];
    for (uint32_t i = 0; i < RAFT_RUNS_MAX + 10; i++)
        runs[i] = (struct raft_run){ 1 + 3 * (raft_index)i, i + 1 };
    ck_assert(trail_init(&trail, 0, 0, 3 * (RAFT_RUNS_MAX + 10), runs, RAFT_RUNS_MAX + 10));
    ck_assert_uint_eq(trail.base, 30);
    ck_assert_uint_eq(trail_term(&trail, 30), 10);
    ck_assert_uint_eq(trail_term(&trail, 31), 11);
    ck_assert_uint_eq(trail_last_term(&trail), RAFT_RUNS_MAX + 10);
}
END_TEST

START_TEST(quorum_is_what_a_majority_has_reached)
{
    const struct {
        uint32_t n;
        uint64_t values[7];
        uint64_t reached;
    } cases[] = {
        { 1, { 5 }, 5 },
        { 2, { 5, 9 }, 5 },
        { 3, { 5, 9, 7 }, 7 },
        { 3, { 0, 0, 7 }, 0 },
        { 4, { 1, 2, 3, 4 }, 2 },
        { 5, { 12, 9, 1, 9, 4 }, 9 },
        { 5, { 3, 3, 3, 0, 0 }, 3 },
        { 6, { 6, 5, 4, 3, 2, 1 }, 3 },
        { 7, { 0, 0, 0, UINT64_MAX, 8, 8, 8 }, 8 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        ck_assert_uint_eq(quorum_reached(cases[i].values, cases[i].n), cases[i].reached);
    ck_assert_uint_eq(quorum_size(1), 1);
    ck_assert_uint_eq(quorum_size(2), 2);
    ck_assert_uint_eq(quorum_size(3), 2);
    ck_assert_uint_eq(quorum_size(4), 3);
    ck_assert_uint_eq(quorum_size(5), 3);
}
END_TEST

/* Any two majorities share a member, so values above the answer can belong to no majority. */
START_TEST(quorum_agrees_with_counting)
{
    srand(3);
    for (uint32_t round = 0; round < 20000; round++) {
        uint64_t values[QUORUM_VALUES_MAX];
        uint32_t n = 1 + (uint32_t)rand() % QUORUM_VALUES_MAX, at_least = 0, above = 0;
        for (uint32_t i = 0; i < n; i++)
            values[i] = (uint64_t)rand() % 10;
        uint64_t reached = quorum_reached(values, n);
        for (uint32_t i = 0; i < n; i++) {
            at_least += values[i] >= reached;
            above += values[i] > reached;
        }
        ck_assert_uint_gt(2 * at_least, n);
        ck_assert_uint_le(2 * above, n);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("raft, trail and quorum");
    TCase *tc = tcase_create("leaves");
    tcase_add_test(tc, trail_tells_terms);
    tcase_add_test(tc, trail_may_be_empty);
    tcase_add_test(tc, trail_is_compacted_within_and_between_terms);
    tcase_add_test(tc, trail_finds_by_whole_terms);
    tcase_add_test(tc, trail_agrees_with_an_array);
    tcase_add_test(tc, trail_forgets_its_oldest_terms);
    tcase_add_test(tc, trail_begins_with_the_newest_of_too_many_terms);
    tcase_add_test(tc, quorum_is_what_a_majority_has_reached);
    tcase_add_test(tc, quorum_agrees_with_counting);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
