/* test_linear.c - histories written by hand, good and bad: the checker accepts exactly the good
 * ones, and what it says about a bad one is short. */
#include "tests/linear/linear.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static enum linear_verdict verdict_of(const char *lines, char *report, size_t size)
{
    struct linear_history *history = linear_new();
    FILE *in = fmemopen((void *)(uintptr_t)lines, strlen(lines), "r");
    char message[256] = "";
    bool read = linear_read(history, in, message);
    ck_assert_msg(read, "%s", message);
    fclose(in);
    FILE *out = report != NULL ? fmemopen(report, size, "w") : NULL;
    enum linear_verdict verdict = linear_check(history, out);
    if (out != NULL)
        fclose(out);
    linear_free(history);
    return verdict;
}

static void good(const char *lines)
{
    char report[4096] = "";
    enum linear_verdict verdict = verdict_of(lines, report, sizeof report);
    ck_assert_msg(verdict == LINEAR_GOOD, "should be linearizable:\n%s\n%s", lines, report);
}

static void bad(const char *lines)
{
    ck_assert_msg(verdict_of(lines, NULL, 0) == LINEAR_BAD, "should not be linearizable:\n%s",
                  lines);
}

#define OP(process, text, call, end, outcome)                                                  \
    "{\"process\":" #process "," text ",\"call\":" #call ",\"return\":" #end ",\"outcome\":\"" \
    #outcome "\"}\n"
#define OPEN(process, text, call) \
    "{\"process\":" #process "," text ",\"call\":" #call ",\"outcome\":\"unknown\"}\n"
#define SET(key, value) "\"op\":\"set\",\"key\":\"" #key "\",\"value\":\"" #value "\""
#define GET(key, value) "\"op\":\"get\",\"key\":\"" #key "\",\"value\":\"" #value "\""
#define NONE(key) "\"op\":\"get\",\"key\":\"" #key "\""
#define DELETE(key, found) "\"op\":\"delete\",\"key\":\"" #key "\",\"found\":" #found
#define CAS(key, value, expected) \
    "\"op\":\"cas\",\"key\":\"" #key "\",\"value\":\"" #value "\",\"expected\":" #expected
#define AT(revision, version) ",\"revision\":" #revision ",\"version\":" #version

START_TEST(empty_and_sequential_histories_are_linearizable)
{
    good("");
    good(OP(1, NONE(a), 1, 2, ok));
    good(OP(1, SET(a, x), 1, 2, ok) OP(1, GET(a, x), 3, 4, ok) OP(1, DELETE(a, true), 5, 6, ok)
             OP(1, NONE(a), 7, 8, ok) OP(1, DELETE(a, false), 9, 10, ok));
}
END_TEST

START_TEST(concurrent_operations_may_come_in_either_order)
{
    good(OP(1, SET(a, x), 1, 10, ok) OP(2, SET(a, y), 1, 10, ok) OP(3, GET(a, x), 11, 12, ok));
    good(OP(1, SET(a, x), 1, 10, ok) OP(2, SET(a, y), 1, 10, ok) OP(3, GET(a, y), 11, 12, ok));
    good(OP(1, SET(a, x), 1, 10, ok) OP(2, NONE(a), 2, 9, ok) OP(3, GET(a, x), 2, 9, ok));
    /* what only touches overlaps */
    good(OP(1, SET(a, x), 1, 5, ok) OP(2, NONE(a), 5, 9, ok));
}
END_TEST

START_TEST(stale_read_is_found)
{
    bad(OP(1, SET(a, x), 1, 2, ok) OP(1, SET(a, y), 3, 4, ok) OP(2, GET(a, x), 5, 6, ok));
    bad(OP(1, SET(a, x), 1, 2, ok) OP(2, NONE(a), 3, 4, ok));
}
END_TEST

START_TEST(two_reads_that_go_back_in_time_are_found)
{
    bad(OP(1, SET(a, x), 1, 100, ok) OP(2, GET(a, x), 10, 20, ok) OP(3, NONE(a), 30, 40, ok));
    bad(OPEN(1, SET(a, x), 1) OP(2, GET(a, x), 10, 20, ok) OP(3, NONE(a), 30, 40, ok));
}
END_TEST

START_TEST(lost_update_is_found)
{
    bad(OP(1, SET(a, x), 1, 2, ok) OP(2, NONE(a), 5, 6, ok) OP(2, NONE(a), 7, 8, ok));
    /* both saw revision 5 and both won */
    bad(OP(1, SET(a, x) AT(5, 1), 1, 2, ok) OP(2, CAS(a, y, 5) AT(6, 2), 3, 10, ok)
            OP(3, CAS(a, z, 5) AT(7, 3), 3, 10, ok));
    bad(OP(1, CAS(a, x, 0), 1, 10, ok) OP(2, CAS(a, y, 0), 1, 10, ok));
}
END_TEST

START_TEST(compare_and_set_that_lost_is_fine)
{
    good(OP(1, CAS(a, x, 0), 1, 10, ok) OP(2, CAS(a, y, 0), 1, 10, condition));
    good(OP(1, SET(a, x) AT(5, 1), 1, 2, ok) OP(2, CAS(a, y, 5) AT(6, 2), 3, 10, ok)
             OP(3, CAS(a, z, 5) ",\"failed_revision\":6", 3, 10, condition));
    bad(OP(1, CAS(a, y, 0), 1, 10, condition)); /* nobody ever wrote it */
    bad(OP(1, SET(a, x) AT(5, 1), 1, 2, ok) OP(3, CAS(a, z, 5), 3, 10, condition));
    bad(OP(1, SET(a, x) AT(5, 1), 1, 2, ok)
            OP(3, CAS(a, z, 4) ",\"failed_revision\":0", 3, 10, condition));
}
END_TEST

START_TEST(aborted_read_is_found)
{
    /* B48: answered "failed", and applied all the same */
    bad(OP(1, SET(a, x), 1, 2, failed) OP(2, GET(a, x), 3, 4, ok));
    bad(OP(2, GET(a, x), 3, 4, ok)); /* from nowhere */
    good(OP(1, SET(a, x), 1, 2, failed) OP(2, NONE(a), 3, 4, ok));
}
END_TEST

START_TEST(unknown_write_may_be_applied_late_or_never)
{
    good(OPEN(1, SET(a, x), 1) OP(2, NONE(a), 10, 20, ok));
    good(OPEN(1, SET(a, x), 1) OP(2, GET(a, x), 10, 20, ok));
    good(OPEN(1, SET(a, x), 1) OP(2, SET(a, y), 10, 20, ok) OP(2, GET(a, y), 30, 40, ok)
             OP(2, GET(a, x), 50, 60, ok));
    bad(OPEN(1, SET(a, x), 15) OP(2, GET(a, x), 10, 12, ok)); /* before it was asked for */
    /* once, not twice */
    bad(OPEN(1, SET(a, x), 1) OP(2, SET(a, y), 10, 20, ok) OP(2, GET(a, x), 30, 40, ok)
            OP(2, SET(a, z), 50, 60, ok) OP(2, GET(a, x), 70, 80, ok));
}
END_TEST

START_TEST(double_apply_shows_in_the_version)
{
    /* B47: the same value, written twice */
    good(OP(1, SET(a, x), 1, 2, ok) OP(2, GET(a, x) AT(2, 1), 3, 4, ok));
    bad(OP(1, SET(a, x), 1, 2, ok) OP(2, GET(a, x) AT(3, 2), 3, 4, ok));
    bad(OPEN(1, SET(a, x), 1) OP(2, GET(a, x) AT(3, 2), 3, 4, ok));
    good(OPEN(1, SET(a, x), 1) OPEN(2, SET(a, x), 1) OP(2, GET(a, x) AT(3, 2), 3, 4, ok));
}
END_TEST

START_TEST(revisions_must_agree)
{
    bad(OP(1, SET(a, x) AT(5, 1), 1, 2, ok) OP(2, GET(a, x) AT(6, 1), 3, 4, ok));
    bad(OP(1, SET(a, x) AT(5, 1), 1, 2, ok) OP(2, SET(a, y) AT(4, 2), 3, 4, ok));
    /* of an unknown write the first who reads it tells the revision */
    good(OPEN(1, SET(a, x), 1) OP(2, GET(a, x) AT(6, 1), 3, 4, ok)
             OP(2, GET(a, x) AT(6, 1), 5, 6, ok));
    bad(OPEN(1, SET(a, x), 1) OP(2, GET(a, x) AT(6, 1), 3, 4, ok)
            OP(2, GET(a, x) AT(7, 1), 5, 6, ok));
}
END_TEST

#define BATCH(ops) "\"op\":\"batch\",\"ops\":[" ops "]"

START_TEST(batches_are_all_or_nothing_over_their_keys)
{
    const char *batch = OP(1, BATCH("{" SET(a, x) "},{" SET(b, y) "}"), 1, 10, ok);
    char lines[2048];
    snprintf(lines, sizeof lines, "%s%s", batch,
             OP(2, GET(a, x), 2, 3, ok) OP(2, GET(b, y), 4, 5, ok));
    good(lines);
    snprintf(lines, sizeof lines, "%s%s", batch,
             OP(2, GET(a, x), 2, 3, ok) OP(2, NONE(b), 4, 5, ok));
    bad(lines);
    /* the failed condition of the second undoes the first */
    bad(OP(1, BATCH("{" SET(a, x) "},{" CAS(b, y, 7) "}") ",\"failed_op\":1", 1, 2, condition)
            OP(2, GET(a, x), 3, 4, ok));
    good(OP(1, BATCH("{" SET(a, x) "},{" CAS(b, y, 7) "}") ",\"failed_op\":1", 1, 2, condition)
             OP(2, NONE(a), 3, 4, ok));
    /* one batch tells an old revision and a new one of a key */
    good(OP(1, SET(a, x) AT(5, 1), 1, 2, ok)
             OP(1, BATCH("{" GET(a, x) AT(5, 1) "},{" SET(a, y) AT(6, 2) "}"), 3, 4, ok)
             OP(1, GET(a, y) AT(6, 2), 5, 6, ok));
    /* later operations see what earlier ones left */
    good(OP(1, BATCH("{" SET(a, x) "},{" GET(a, x) "},{" DELETE(a, true) "}"), 1, 2, ok)
             OP(2, NONE(a), 3, 4, ok));
}
END_TEST

START_TEST(many_concurrent_writes_are_decided_soon)
{
    char lines[64 * 1024];
    size_t n = 0;
    for (int i = 0; i < 60; i++)
        n += (size_t)snprintf(lines + n, sizeof lines - n,
                              "{\"process\":%d,\"op\":\"set\",\"key\":\"a\",\"value\":\"%d\","
                              "\"call\":%d,\"return\":%d,\"outcome\":\"%s\"}\n",
                              i, i, 10 * i, 10 * i + 45, i % 7 == 0 ? "unknown" : "ok");
    for (int i = 0; i < 50; i++)
        n += (size_t)snprintf(lines + n, sizeof lines - n,
                              "{\"process\":%d,\"op\":\"get\",\"key\":\"a\",\"value\":\"%d\","
                              "\"call\":%d,\"return\":%d,\"outcome\":\"ok\"}\n",
                              100, i, 10 * i + 45, 10 * i + 49);
    ck_assert_int_ne(verdict_of(lines, NULL, 0), LINEAR_UNDECIDED);
}
END_TEST

START_TEST(the_report_leaves_out_what_is_not_needed)
{
    char report[4096] = "";
    enum linear_verdict verdict = verdict_of(
        OP(1, SET(b, other), 1, 2, ok) OP(1, SET(a, x), 1, 2, ok) OP(3, GET(a, x), 3, 4, ok)
            OP(1, SET(a, y), 5, 6, ok) OP(2, GET(a, x), 7, 8, ok) OP(2, SET(a, later), 9, 10, ok),
        report, sizeof report);
    ck_assert_int_eq(verdict, LINEAR_BAD);
    ck_assert_ptr_nonnull(strstr(report, "not linearizable: a\n"));
    ck_assert_ptr_null(strstr(report, "later"));
    ck_assert_ptr_null(strstr(report, "other"));
    ck_assert_ptr_null(strstr(report, "process 3"));
    ck_assert_ptr_nonnull(strstr(report, "and this, which returned next, fits nowhere:\n"
                                         "         7 ..        8  process 2: get a -> x\n"));
}
END_TEST

START_TEST(bad_input_is_told_by_line)
{
    static const char *const lines[] = {
        "no json", "{}", "{\"op\":\"get\"}", "{\"op\":\"jump\",\"key\":\"a\"}",
        "{\"op\":\"set\",\"key\":\"a\",\"call\":1,\"return\":2,\"outcome\":\"ok\"}",
        "{\"op\":\"cas\",\"key\":\"a\",\"value\":\"x\",\"call\":1,\"return\":2,\"outcome\":\"ok\"}",
        "{\"op\":\"get\",\"key\":\"a\",\"call\":3,\"return\":2,\"outcome\":\"ok\"}",
        "{\"op\":\"get\",\"key\":\"a\",\"call\":3,\"return\":4,\"outcome\":\"perhaps\"}",
        "{\"op\":\"batch\",\"ops\":[],\"call\":3,\"return\":4,\"outcome\":\"ok\"}",
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        struct linear_history *history = linear_new();
        char text[512], message[256] = "";
        snprintf(text, sizeof text, "\n%s\n", lines[i]);
        FILE *in = fmemopen(text, strlen(text), "r");
        ck_assert_msg(!linear_read(history, in, message), "%s", lines[i]);
        ck_assert_msg(strncmp(message, "line 2: ", 8) == 0, "%s", message);
        fclose(in);
        linear_free(history);
    }
}
END_TEST

START_TEST(a_history_is_written_as_it_is_read)
{
    const char *lines =
        OP(1, SET(a, x) AT(5, 1), 1, 2, ok) OPEN(2, CAS(a, y, 5), 3)
            OP(3, BATCH("{" SET(a, z) "},{" DELETE(b, true) "}"), 3, 9, ok);
    struct linear_history *history = linear_new();
    FILE *in = fmemopen((void *)(uintptr_t)lines, strlen(lines), "r");
    char message[256], once[2048] = "", twice[2048] = "";
    ck_assert(linear_read(history, in, message));
    fclose(in);
    FILE *out = fmemopen(once, sizeof once, "w");
    linear_write(history, out);
    fclose(out);
    linear_free(history);
    history = linear_new();
    in = fmemopen(once, strlen(once), "r");
    ck_assert_msg(linear_read(history, in, message), "%s", message);
    fclose(in);
    out = fmemopen(twice, sizeof twice, "w");
    linear_write(history, out);
    fclose(out);
    linear_free(history);
    ck_assert_str_eq(once, twice);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("linearizability");
    TCase *tc = tcase_create("histories");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, empty_and_sequential_histories_are_linearizable);
    tcase_add_test(tc, concurrent_operations_may_come_in_either_order);
    tcase_add_test(tc, stale_read_is_found);
    tcase_add_test(tc, two_reads_that_go_back_in_time_are_found);
    tcase_add_test(tc, lost_update_is_found);
    tcase_add_test(tc, compare_and_set_that_lost_is_fine);
    tcase_add_test(tc, aborted_read_is_found);
    tcase_add_test(tc, unknown_write_may_be_applied_late_or_never);
    tcase_add_test(tc, double_apply_shows_in_the_version);
    tcase_add_test(tc, revisions_must_agree);
    tcase_add_test(tc, batches_are_all_or_nothing_over_their_keys);
    tcase_add_test(tc, many_concurrent_writes_are_decided_soon);
    tcase_add_test(tc, the_report_leaves_out_what_is_not_needed);
    tcase_add_test(tc, bad_input_is_told_by_line);
    tcase_add_test(tc, a_history_is_written_as_it_is_read);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
