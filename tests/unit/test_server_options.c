/* test_server_options.c - parameters, conditions, cursors, quoted bytes. */
#include "src/server/cursor.h"
#include "src/server/options.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- a request that is only a list of parameters and two headers */

struct http_request {
    struct {
        const char *name;
        struct slice value;
    } query[8];
    const char *if_match, *if_none_match;
};

struct slice http_request_target(const struct http_request *request)
{
    return slice_text(request->query[0].name != NULL ? "/kv?..." : "/kv");
}

bool http_request_query(const struct http_request *request, const char *name, struct slice *value)
{
    for (size_t i = 0; request->query[i].name != NULL; i++) {
        if (strcmp(request->query[i].name, name) == 0) {
            *value = request->query[i].value;
            return true;
        }
    }
    return false;
}

const char *http_request_unknown_query(const struct http_request *request, const char *const *known)
{
    for (size_t i = 0; request->query[i].name != NULL; i++) {
        const char *const *at = known;
        while (*at != NULL && strcmp(*at, request->query[i].name) != 0)
            at++;
        if (*at == NULL)
            return request->query[i].name;
    }
    return NULL;
}

const char *http_request_header(const struct http_request *request, const char *name)
{
    return strcmp(name, "If-Match") == 0 ? request->if_match : request->if_none_match;
}

static const struct option_defaults defaults = { 5000, 60000, false };
enum { ALL = (1 << 17) - 1 };

static bool parse_one(const char *name, struct slice value, struct options *out,
                      struct problem *problem)
{
    struct http_request request = { .query = { { name, value } } };
    return options_parse(&request, ALL, &defaults, out, problem);
}

/* ---- parameters */

START_TEST(without_parameters_the_defaults_hold)
{
    struct http_request request = { .if_match = NULL };
    struct options options;
    struct problem problem;
    ck_assert(options_parse(&request, 0, &defaults, &options, &problem));
    ck_assert_uint_eq(options.given, 0);
    ck_assert_uint_eq(options.timeout_ms, 5000);
    ck_assert_uint_eq(options.limit, PAGE_KEYS_MAX);
    ck_assert_int_eq(options.consistency, CONSISTENCY_LINEARIZABLE);
    ck_assert(options.max_stale_ms == UINT64_MAX);
    ck_assert(!options.redirect && !options.raw && !options.descending && !options.count_only);
}
END_TEST

START_TEST(numbers_are_digits_and_fit_64_bits)
{
    static const char *const wrong[] = { "",
                                         "-1",
                                         "+1",
                                         " 1",
                                         "1 ",
                                         "1.0",
                                         "1e3",
                                         "0x1",
                                         "\xd9\xa1",
                                         "18446744073709551616",
                                         "99999999999999999999",
                                         "000000000000000000001" };
    uint64_t number = 7;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        ck_assert_msg(!options_parse_u64(slice_text(wrong[i]), &number), "%s", wrong[i]);
    ck_assert(!options_parse_u64(slice_of("1\0", 2), &number));
    ck_assert(options_parse_u64(slice_text("18446744073709551615"), &number) &&
              number == UINT64_MAX);
    ck_assert(options_parse_u64(slice_text("0"), &number) && number == 0);
    ck_assert(options_parse_u64(slice_text("007"), &number) && number == 7);
}
END_TEST

START_TEST(durations_have_a_unit)
{
    static const struct {
        const char *text;
        uint64_t ms;
    } right[] = {
        { "500ms", 500 }, { "30s", 30000 }, { "2m", 120000 }, { "1h", 3600000 }, { "0ms", 0 }
    };
    static const char *const wrong[] = { "",
                                         "ms",
                                         "s",
                                         "30",
                                         "-1s",
                                         "1.5s",
                                         "1 s",
                                         "s1",
                                         "1S",
                                         "1sec",
                                         "1s1s",
                                         "18446744073709551615s",
                                         "99999999999999999999ms" };
    uint64_t ms;
    for (size_t i = 0; i < sizeof right / sizeof right[0]; i++)
        ck_assert_msg(options_parse_duration(slice_text(right[i].text), &ms) && ms == right[i].ms,
                      "%s", right[i].text);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        ck_assert_msg(!options_parse_duration(slice_text(wrong[i]), &ms), "%s", wrong[i]);
}
END_TEST

START_TEST(values_that_make_no_sense_are_named)
{
    static const struct {
        const char *name, *value, *message;
    } rows[] = {
        { "timeout", "soon", "parameter \"timeout\" is \"soon\"; it must be a duration" },
        { "timeout", "0s", "must be a duration" },
        { "timeout", "61s", "at most 60000ms" },
        { "redirect", "yes", "must be 1 or 0" },
        { "consistency", "strong", "linearizable, lease or stale" },
        { "consistency", "", "linearizable, lease or stale" },
        { "max_stale", "1", "must be a duration" },
        { "min_revision", "x", "must be a revision" },
        { "if_revision", "\"58\"", "must be a revision" },
        { "key", "", "1 to 511 bytes" },
        { "limit", "0", "a number from 1 to 1000" },
        { "limit", "1001", "a number from 1 to 1000" },
        { "limit", "ten", "a number from 1 to 1000" },
        { "order", "down", "asc or desc" },
        { "keys_only", "2", "must be 1 or 0" },
        { "limt", "5", "there is no parameter \"limt\"" },
    };
    struct options options;
    struct problem problem;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ck_assert(!parse_one(rows[i].name, slice_text(rows[i].value), &options, &problem));
        ck_assert_int_eq(problem.err, ERR_BAD_REQUEST);
        ck_assert_msg(strstr(problem.message, rows[i].message) != NULL, "%s=%s: %s", rows[i].name,
                      rows[i].value, problem.message);
    }
    ck_assert(!parse_one("consistency", slice_of("stale\0", 6), &options, &problem));
    ck_assert(!parse_one("timeout", slice_of("1s\0", 3), &options, &problem));
}
END_TEST

START_TEST(keys_and_bounds_have_at_most_511_bytes)
{
    static const char *const names[] = { "key", "prefix", "start", "end" };
    char bytes[512];
    struct options options;
    struct problem problem;
    memset(bytes, 'k', sizeof bytes);
    for (size_t i = 0; i < 4; i++) {
        ck_assert(parse_one(names[i], slice_of(bytes, 511), &options, &problem));
        ck_assert(!parse_one(names[i], slice_of(bytes, 512), &options, &problem));
        ck_assert_int_eq(problem.err, ERR_TOO_LARGE);
        ck_assert_ptr_nonnull(strstr(problem.message, "511"));
    }
}
END_TEST

START_TEST(a_flag_without_value_is_on)
{
    struct options options;
    struct problem problem;
    ck_assert(parse_one("redirect", slice_of("", 0), &options, &problem) && options.redirect);
    ck_assert(parse_one("redirect", slice_text("true"), &options, &problem) && options.redirect);
    ck_assert(parse_one("keys_only", slice_text("1"), &options, &problem) && options.keys_only);
    struct option_defaults redirecting = { 5000, 60000, true };
    struct http_request request = { .query = { { "redirect", slice_text("0") } } };
    ck_assert(options_parse(&request, ALL, &redirecting, &options, &problem) && !options.redirect);
}
END_TEST

START_TEST(only_what_the_route_takes_is_taken)
{
    struct http_request request = { .query = { { "limit", slice_text("5") } } };
    struct options options;
    struct problem problem;
    ck_assert(
        !options_parse(&request, OPTION_TIMEOUT | OPTION_REDIRECT, &defaults, &options, &problem));
    ck_assert_str_eq(problem.hint, "known here: timeout, redirect");
    ck_assert(!options_parse(&request, 0, &defaults, &options, &problem));
    ck_assert_str_eq(problem.hint, "this path takes no parameters");
}
END_TEST

START_TEST(a_bound_on_staleness_means_a_stale_read)
{
    struct options options;
    struct problem problem;
    ck_assert(parse_one("max_stale", slice_text("500ms"), &options, &problem));
    ck_assert_int_eq(options.consistency, CONSISTENCY_STALE);
    ck_assert_uint_eq(options.max_stale_ms, 500);
    struct http_request both = { .query = { { "max_stale", slice_text("1s") },
                                            { "consistency", slice_text("lease") } } };
    ck_assert(!options_parse(&both, ALL, &defaults, &options, &problem));
    both.query[1].value = slice_text("stale");
    ck_assert(options_parse(&both, ALL, &defaults, &options, &problem));
}
END_TEST

/* ---- conditions */

static const char *condition_of(const char *if_match, const char *if_none_match,
                                const char *if_revision)
{
    static char text[PROBLEM_TEXT_MAX + 16];
    struct http_request request = { .if_match = if_match, .if_none_match = if_none_match };
    struct options options;
    struct problem problem;
    struct kv_op op = { .type = KV_SET };
    if (if_revision != NULL) {
        request.query[0].name = "if_revision";
        request.query[0].value = slice_text(if_revision);
    }
    if (!options_parse(&request, ALL, &defaults, &options, &problem) ||
        !options_condition(&request, &options, &op, &problem)) {
        ck_assert_int_eq(problem.err, ERR_BAD_REQUEST);
        return "bad";
    }
    if (op.condition == CONDITION_NONE)
        return "none";
    if (op.condition == CONDITION_EXISTS)
        return "exists";
    snprintf(text, sizeof text, "revision %llu", (unsigned long long)op.revision);
    return text;
}

START_TEST(conditions_are_read)
{
    ck_assert_str_eq(condition_of(NULL, NULL, NULL), "none");
    ck_assert_str_eq(condition_of("\"58\"", NULL, NULL), "revision 58");
    ck_assert_str_eq(condition_of("*", NULL, NULL), "exists");
    ck_assert_str_eq(condition_of(NULL, "*", NULL), "revision 0");
    ck_assert_str_eq(condition_of(NULL, NULL, "58"), "revision 58");
    ck_assert_str_eq(condition_of(NULL, NULL, "0"), "revision 0");
    ck_assert_str_eq(condition_of("\"58\"", NULL, "58"), "revision 58");
    ck_assert_str_eq(condition_of(NULL, "*", "0"), "revision 0");
    static const char *const bad[] = { "58",
                                       "\"58",
                                       "58\"",
                                       "\"\"",
                                       "\"0\"",
                                       "W/\"58\"",
                                       "\"58\", \"59\"",
                                       "\"5 8\"",
                                       "\"-1\"",
                                       "",
                                       "\"",
                                       "**",
                                       "\"18446744073709551616\"" };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_msg(strcmp(condition_of(bad[i], NULL, NULL), "bad") == 0, "%s", bad[i]);
    ck_assert_str_eq(condition_of(NULL, "\"58\"", NULL), "bad");
    ck_assert_str_eq(condition_of("*", "*", NULL), "bad");
    ck_assert_str_eq(condition_of("\"58\"", NULL, "59"), "bad");
    ck_assert_str_eq(condition_of("*", NULL, "58"), "bad");
    ck_assert_str_eq(condition_of(NULL, "*", "1"), "bad");
}
END_TEST

/* ---- cursors */

static struct list_query query_of(const char *prefix, const char *start, const char *end,
                                  bool descending)
{
    return (struct list_query) { .prefix = slice_text(prefix),
                                 .start = slice_text(start),
                                 .end = slice_text(end),
                                 .descending = descending };
}

START_TEST(a_cursor_goes_with_its_own_list_only)
{
    const struct list_query queries[] = {
        query_of("app/", "", "", false), query_of("app/", "", "", true),
        query_of("app", "/", "", false), query_of("", "app/", "", false),
        query_of("", "", "app/", false), query_of("", "", "", false),
    };
    char text[CURSOR_TEXT_MAX];
    unsigned char key[KEY_SIZE_MAX];
    struct slice after;
    struct problem problem;
    for (size_t i = 0; i < 6; i++) {
        size_t size = cursor_encode(cursor_digest(1, &queries[i]), slice_text("app/x"), text);
        for (size_t j = 0; j < 6; j++) {
            bool good = cursor_decode(cursor_digest(1, &queries[j]), slice_of(text, size), key,
                                      &after, &problem);
            ck_assert_msg(good == (i == j), "cursor of %zu on list %zu", i, j);
            if (good)
                ck_assert(slice_equal(after, slice_text("app/x")));
            else
                ck_assert_int_eq(problem.err, ERR_BAD_REQUEST);
        }
        ck_assert(!cursor_decode(cursor_digest(2, &queries[i]), slice_of(text, size), key, &after,
                                 &problem));
    }
}
END_TEST

START_TEST(a_cursor_holds_any_key)
{
    struct list_query query = query_of("", "", "", false);
    uint64_t digest = cursor_digest(9, &query);
    char text[CURSOR_TEXT_MAX];
    unsigned char bytes[KEY_SIZE_MAX], key[KEY_SIZE_MAX];
    struct slice after;
    struct problem problem;
    for (unsigned i = 0; i < KEY_SIZE_MAX; i++)
        bytes[i] = (unsigned char)i;
    for (size_t size = 1; size <= KEY_SIZE_MAX; size++) {
        size_t length = cursor_encode(digest, slice_of(bytes, size), text);
        ck_assert_uint_le(length, CURSOR_TEXT_MAX);
        for (size_t i = 0; i < length; i++) /* needs no escape in a query */
            ck_assert(strchr("+/=&%? ", text[i]) == NULL);
        ck_assert(cursor_decode(digest, slice_of(text, length), key, &after, &problem));
        ck_assert(slice_equal(after, slice_of(bytes, size)));
    }
}
END_TEST

START_TEST(what_is_not_our_cursor_is_refused)
{
    struct list_query query = query_of("", "", "", false);
    uint64_t digest = cursor_digest(9, &query);
    char text[CURSOR_TEXT_MAX], large[2 * CURSOR_TEXT_MAX];
    unsigned char key[KEY_SIZE_MAX];
    struct slice after;
    struct problem problem;
    size_t size = cursor_encode(digest, slice_text("hello"), text);
    for (size_t i = 0; i < size; i++) { /* one character changed */
        char saved = text[i];
        text[i] = saved == 'A' ? 'B' : 'A';
        ck_assert(!cursor_decode(digest, slice_of(text, size), key, &after, &problem));
        text[i] = saved;
    }
    for (size_t i = 0; i < size; i++) /* cut */
        ck_assert(!cursor_decode(digest, slice_of(text, i), key, &after, &problem));
    memset(large, 'A', sizeof large);
    for (size_t i = 0; i <= sizeof large; i++)
        ck_assert(!cursor_decode(digest, slice_of(large, i), key, &after, &problem));
    ck_assert(!cursor_decode(digest, slice_text("hello"), key, &after, &problem));
    ck_assert_ptr_nonnull(strstr(problem.message, "not a cursor"));
}
END_TEST

/* ---- quoted bytes */

START_TEST(quotes_are_printable_and_short)
{
    ck_assert_str_eq(problem_quote(slice_text("a b")).text, "\"a b\"");
    ck_assert_str_eq(problem_quote(slice_of("\0\xff\n", 3)).text, "\"\\x00\\xff\\x0a\"");
    ck_assert_str_eq(problem_quote(slice_of(NULL, 0)).text, "\"\"");
    char large[1000];
    for (size_t size = 0; size <= sizeof large; size++) {
        memset(large, size % 2 ? 0x80 : 'x', sizeof large);
        struct problem_quote quote = problem_quote(slice_of(large, size));
        size_t length = strlen(quote.text);
        ck_assert_uint_lt(length, sizeof quote.text);
        ck_assert(quote.text[length - 1] == '"');
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("server_options");
    TCase *tcase = tcase_create("options");
    tcase_add_test(tcase, without_parameters_the_defaults_hold);
    tcase_add_test(tcase, numbers_are_digits_and_fit_64_bits);
    tcase_add_test(tcase, durations_have_a_unit);
    tcase_add_test(tcase, values_that_make_no_sense_are_named);
    tcase_add_test(tcase, keys_and_bounds_have_at_most_511_bytes);
    tcase_add_test(tcase, a_flag_without_value_is_on);
    tcase_add_test(tcase, only_what_the_route_takes_is_taken);
    tcase_add_test(tcase, a_bound_on_staleness_means_a_stale_read);
    tcase_add_test(tcase, conditions_are_read);
    tcase_add_test(tcase, a_cursor_goes_with_its_own_list_only);
    tcase_add_test(tcase, a_cursor_holds_any_key);
    tcase_add_test(tcase, what_is_not_our_cursor_is_refused);
    tcase_add_test(tcase, quotes_are_printable_and_short);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
