/* test_guard.c - the pure halves of the guard: decoders and the strict reading of bytes. */
#include "src/transport/guard.h"
#include "src/transport/percent.h"
#include "src/transport/query.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- percent */

static void check_percent(const char *in, bool plus, const char *out, size_t size)
{
    unsigned char space[256];
    size_t got;
    ck_assert_msg(percent_decode(slice_text(in), plus, space, &got), "'%s' was refused", in);
    ck_assert_msg(got == size && memcmp(space, out, size) == 0, "'%s' gave %zu bytes '%.*s'", in,
                  got, (int)got, (const char *)space);
}

START_TEST(percent_decodes_with_lengths)
{
    check_percent("/kv/a%2Fb", false, "/kv/a/b", 7);
    check_percent("a%00b", false, "a\0b", 3);
    check_percent("%ff%FF", false, "\xff\xff", 2);
    check_percent("%25%32", false, "%2", 2);
    check_percent("", false, "", 0);
    check_percent("\xc3\xa4", false, "\xc3\xa4", 2);
}
END_TEST

START_TEST(a_plus_is_a_space_in_queries_and_a_plus_in_paths)
{
    check_percent("a+b%2B", false, "a+b+", 4);
    check_percent("a+b%2B", true, "a b+", 4);
}
END_TEST

START_TEST(a_bad_percent_sequence_is_refused)
{
    static const char *const wrong[] = { "%", "%4", "a%", "%zz", "%0g", "%-1", "% 1", "%%41" };
    unsigned char space[16];
    size_t size;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        ck_assert_msg(!percent_decode(slice_text(wrong[i]), false, space, &size),
                      "'%s' was accepted", wrong[i]);
}
END_TEST

/* ---- query */

static void check_value(const struct query *query, const char *name, const char *value, size_t size)
{
    const struct query_parameter *found = query_find(query, name);
    ck_assert_msg(found != NULL, "no parameter '%s'", name);
    ck_assert_msg(found->value.size == size && memcmp(found->value.data, value, size) == 0,
                  "parameter '%s' is '%.*s'", name, (int)found->value.size,
                  (const char *)found->value.data);
}

START_TEST(a_query_is_decoded_with_lengths)
{
    struct query query;
    unsigned char space[128];
    const char *text = "prefix=app%2F&raw&k=a%00b&empty=&plus=a+b&&eq=a=b&";
    ck_assert_ptr_null(query_parse(slice_text(text), &query, space));
    ck_assert_uint_eq(query.n, 6);
    check_value(&query, "prefix", "app/", 4);
    check_value(&query, "raw", "", 0);
    check_value(&query, "k", "a\0b", 3);
    check_value(&query, "empty", "", 0);
    check_value(&query, "plus", "a b", 3);
    check_value(&query, "eq", "a=b", 3);
    ck_assert_ptr_null(query_find(&query, "absent"));
}
END_TEST

START_TEST(a_query_needs_exactly_its_space)
{
    /* Under a sanitizer or valgrind a byte too many shows. */
    static const char *const texts[] = { "a", "a&b&c", "a=&b=", "abc=def", "%41=%42&c" };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct query query;
        unsigned char *space = malloc(strlen(texts[i]) + 1);
        ck_assert_ptr_null(query_parse(slice_text(texts[i]), &query, space));
        free(space);
    }
}
END_TEST

START_TEST(a_wrong_query_is_refused)
{
    static const char *const wrong[] = { "=a",     "a=1&a=2", "a=%zz", "%zz=a",
                                         "a%00=b", "a&a",     "a=%4",  "%61=1&a=2" };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct query query;
        unsigned char space[32];
        ck_assert_msg(query_parse(slice_text(wrong[i]), &query, space) != NULL,
                      "'%s' was accepted", wrong[i]);
    }
    char many[512] = "";
    for (int i = 0; i <= QUERY_PARAMETERS_MAX; i++)
        sprintf(many + strlen(many), "p%d=1&", i);
    struct query query;
    unsigned char space[513];
    ck_assert_ptr_nonnull(query_parse(slice_text(many), &query, space));
}
END_TEST

/* ---- heads */

enum { HEADERS_MAX = 16 * 1024, BODY_MAX = 1000 };

static int judge(const char *text, size_t size, struct head *head, struct refusal *refusal)
{
    size_t end = 0;
    refusal->status = 0;
    switch (head_scan((const unsigned char *)text, size, 0, HEADERS_MAX, &end, refusal)) {
    case SCAN_MORE:
        return -1;
    case SCAN_REFUSED:
        return refusal->status;
    case SCAN_END:
        break;
    }
    return head_parse((const unsigned char *)text, end, BODY_MAX, head, refusal) ? 0
                                                                                 : refusal->status;
}

START_TEST(a_plain_request_passes)
{
    struct head head;
    struct refusal refusal;
    const char *text = "PUT /kv/a?x=1 HTTP/1.1\r\nHost: localhost:8001\r\n"
                       "Content-Length: 12\r\nX-Any: \t value\r\nExpect: 100-continue\r\n\r\n";
    ck_assert_int_eq(judge(text, strlen(text), &head, &refusal), 0);
    ck_assert_int_eq(head.method, HTTP_PUT);
    ck_assert(head.has_body && !head.chunked && !head.close && !head.http10);
    ck_assert_uint_eq(head.content_length, 12);
    ck_assert(slice_equal(head.target, slice_text("/kv/a?x=1")));
}
END_TEST

START_TEST(odd_heads_are_refused)
{
#define GET "GET / HTTP/1.1\r\n"
#define HOST "Host: a\r\n"
#define PUT "PUT / HTTP/1.1\r\n" HOST
    static const struct {
        int status;
        const char *text;
    } cases[] = {
        { 400, GET "\r\n" },                                               /* no Host */
        { 400, GET HOST "Host: b\r\n\r\n" },
        { 400, GET "Host: a b\r\n\r\n" },
        { 400, GET "Host: a,b\r\n\r\n" },
        { 400, GET "Host : a\r\n\r\n" },
        { 400, GET HOST " folded\r\n\r\n" },
        { 400, GET HOST "\tfolded\r\n\r\n" },
        { 400, GET HOST "no colon\r\n\r\n" },
        { 400, GET HOST ": no name\r\n\r\n" },
        { 400, GET HOST "A: b\rc\r\n\r\n" },
        { 400, GET HOST "A: \x01\r\n\r\n" },
        { 400, GET "Host: a\n\r\n" },                                      /* bare line feed */
        { 400, "GET / HTTP/1.1\nHost: a\n\n" },
        { 400, "\r\n" GET HOST "\r\n" },
        { 400, "GET http://a/ HTTP/1.1\r\n" HOST "\r\n" },
        { 400, "GET //a/ HTTP/1.1\r\n" HOST "\r\n" },
        { 400, "OPTIONS * HTTP/1.1\r\n" HOST "\r\n" },
        { 400, "CONNECT a:80 HTTP/1.1\r\n" HOST "\r\n" },
        { 400, "GET /a#b HTTP/1.1\r\n" HOST "\r\n" },
        { 400, "GET /a\x7f HTTP/1.1\r\n" HOST "\r\n" },
        { 400, "GET /a b HTTP/1.1\r\n" HOST "\r\n" },
        { 400, "GET  / HTTP/1.1\r\n" HOST "\r\n" },
        { 400, "GET /\r\n" HOST "\r\n" },
        { 400, "AB / HTTP/1.1\r\n" HOST "\r\n" }, /* too short for evhttp */
        { 400, "G(T / HTTP/1.1\r\n" HOST "\r\n" },
        { 505, "GET / HTTP/2.0\r\n" HOST "\r\n" },
        { 505, "GET / HTTP/0.9\r\n" HOST "\r\n" },
        { 400, "GET / HTTP/1.01\r\n" HOST "\r\n" },
        { 400, PUT "Content-Length: 1\r\nContent-Length: 1\r\n\r\n" },
        { 400, PUT "Content-Length: 1\r\ncontent-length: 2\r\n\r\n" },
        { 400, PUT "Content-Length: +5\r\n\r\n" },
        { 400, PUT "Content-Length: -5\r\n\r\n" },
        { 400, PUT "Content-Length: 5, 5\r\n\r\n" },
        { 400, PUT "Content-Length: 0x5\r\n\r\n" },
        { 400, PUT "Content-Length:\r\n\r\n" },
        { 400, PUT "Content-Length: 99999999999999999999\r\n\r\n" },
        { 400, PUT "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" },
        { 400, PUT "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" },
        { 400, PUT "Transfer-Encoding: gzip, chunked\r\n\r\n" },
        { 400, PUT "Transfer-Encoding: identity\r\n\r\n" },
        { 400, PUT "Transfer-Encoding : chunked\r\n\r\n" },
        { 400, "PUT / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n" },
        { 411, PUT "\r\n" },
        { 411, "POST / HTTP/1.1\r\n" HOST "\r\n" },
        { 413, PUT "Content-Length: 1001\r\n\r\n" },
        { 417, PUT "Content-Length: 1\r\nExpect: magic\r\n\r\n" },
        { 400, "\x16\x03\x01\x02" }, /* TLS */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct head head;
        struct refusal refusal;
        int status = judge(cases[i].text, strlen(cases[i].text), &head, &refusal);
        ck_assert_msg(status == cases[i].status, "case %zu: status %d, not %d, for:\n%s", i, status,
                      cases[i].status, cases[i].text);
        ck_assert(strlen(refusal.message) > 0 && strlen(refusal.code) > 0);
    }
}
END_TEST

START_TEST(heads_that_are_unusual_but_right_pass)
{
    static const char *const texts[] = {
        "GET / HTTP/1.0\r\n\r\n",
        "ABC / HTTP/1.1\r\n" HOST "\r\n", /* the shortest line that evhttp takes */
        GET "host:a\r\n\r\n",
        GET "Host: [::1]:80\r\n\r\n",
        GET "Host:\r\n\r\n",
        PUT "Content-Length: 1000\r\n\r\n",
        PUT "Content-Length: 0\r\n\r\n",
        PUT "transfer-encoding: Chunked\r\n\r\n",
        "GET /\xc3\xa4 HTTP/1.1\r\n" HOST "\r\n",
        "BREW /pot HTTP/1.1\r\n" HOST "\r\n",
        GET HOST "A: \xc3\xa4\r\nB:\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct head head;
        struct refusal refusal;
        int status = judge(texts[i], strlen(texts[i]), &head, &refusal);
        ck_assert_msg(status == 0, "case %zu: status %d (%s)", i, status, refusal.message);
    }
}
END_TEST

START_TEST(a_nul_byte_is_refused_wherever_it_stands)
{
    const char text[] = "GET / HTTP/1.1\r\nHost: a\r\nA: bc\r\n\r\n";
    for (size_t i = 0; i < sizeof text - 3; i++) {
        char copy[sizeof text];
        struct head head;
        struct refusal refusal;
        memcpy(copy, text, sizeof text);
        copy[i] = '\0';
        ck_assert_msg(judge(copy, sizeof text - 1, &head, &refusal) == 400, "NUL at %zu", i);
    }
}
END_TEST

START_TEST(whether_the_connection_closes_follows_version_and_header)
{
    static const struct {
        bool close;
        const char *text;
    } cases[] = {
        { false, GET HOST "\r\n" },
        { true, GET HOST "Connection: close\r\n\r\n" },
        { true, GET HOST "Connection: Foo, Close\r\n\r\n" },
        { true, GET HOST "Connection: foo\r\nConnection: close\r\n\r\n" },
        { false, GET HOST "Connection: keep-alive, Upgrade\r\n\r\n" },
        { true, "GET / HTTP/1.0\r\n\r\n" },
        { false, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" },
        { true, "GET / HTTP/1.0\r\nConnection: foo\r\nConnection: keep-alive\r\n\r\n" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct head head;
        struct refusal refusal;
        ck_assert_int_eq(judge(cases[i].text, strlen(cases[i].text), &head, &refusal), 0);
        ck_assert_msg(head.close == cases[i].close, "case %zu", i);
    }
}
END_TEST

START_TEST(a_head_is_found_however_it_is_cut)
{
    const char *text = GET HOST "A: b\r\n\r\nrest";
    size_t whole = strlen(text) - 4;
    for (size_t size = 1; size <= strlen(text); size++) {
        for (size_t seen = 0; seen < size && seen < whole; seen++) {
            size_t end = 0;
            struct refusal refusal;
            enum scan scan = head_scan((const unsigned char *)text, size, seen, HEADERS_MAX, &end,
                                       &refusal);
            ck_assert_msg(scan == (size < whole ? SCAN_MORE : SCAN_END), "size %zu seen %zu", size,
                          seen);
            ck_assert(scan == SCAN_MORE || end == whole);
        }
    }
}
END_TEST

START_TEST(heads_that_are_too_long_are_told_from_lines_that_are)
{
    static char text[64 * 1024];
    size_t end;
    struct refusal refusal;
    memset(text, 'a', sizeof text);
    ck_assert_int_eq(
        head_scan((unsigned char *)text, HEADERS_MAX + 1, 0, HEADERS_MAX, &end, &refusal),
        SCAN_REFUSED);
    ck_assert_int_eq(refusal.status, 414);
    memcpy(text, GET, strlen(GET));
    ck_assert_int_eq(head_scan((unsigned char *)text, HEADERS_MAX, 0, HEADERS_MAX, &end, &refusal),
                     SCAN_MORE);
    ck_assert_int_eq(
        head_scan((unsigned char *)text, HEADERS_MAX + 1, 0, HEADERS_MAX, &end, &refusal),
        SCAN_REFUSED);
    ck_assert_int_eq(refusal.status, 431);
    ck_assert_ptr_nonnull(strstr(refusal.message, "16384"));
    /* One byte too many, and the empty line within the same read. */
    memcpy(text + HEADERS_MAX - 3, "\r\n\r\n", 4);
    ck_assert_int_eq(
        head_scan((unsigned char *)text, HEADERS_MAX + 1, 0, HEADERS_MAX, &end, &refusal),
        SCAN_REFUSED);
    memcpy(text + HEADERS_MAX - 4, "\r\n\r\n", 4);
    ck_assert_int_eq(
        head_scan((unsigned char *)text, HEADERS_MAX + 1, 0, HEADERS_MAX, &end, &refusal),
        SCAN_END);
}
END_TEST

/* ---- chunks */

static enum scan scan_chunks(const char *text, size_t step, size_t *total, int *status)
{
    struct chunk_scanner scanner = { 0 };
    struct refusal refusal = { 0 };
    size_t size = strlen(text);
    *total = 0;
    for (size_t at = 0; at < size; at += step) {
        size_t used, n = size - at < step ? size - at : step;
        enum scan scan =
            chunk_scan(&scanner, (const unsigned char *)text + at, n, BODY_MAX, &used, &refusal);
        *total += used;
        *status = refusal.status;
        if (scan != SCAN_MORE)
            return scan;
    }
    return SCAN_MORE;
}

START_TEST(a_chunked_body_ends_where_it_says_however_it_is_cut)
{
    const char *text = "5\r\nhello\r\n00b\r\nhello\r\n0\r\nx\r\n0\r\n\r\n" GET;
    for (size_t step = 1; step < 50; step++) {
        size_t total;
        int status;
        ck_assert_int_eq(scan_chunks(text, step, &total, &status), SCAN_END);
        ck_assert_uint_eq(total, strlen(text) - strlen(GET));
    }
}
END_TEST

START_TEST(odd_chunks_are_refused)
{
    static const struct {
        int status;
        const char *text;
    } cases[] = {
        { 400, "0x5\r\nhello\r\n" },       { 400, "+5\r\nhello\r\n" },
        { 400, "-5\r\n" },                 { 400, " 5\r\n" },
        { 400, "5 \r\nhello\r\n" },        { 400, "5;a=b\r\nhello\r\n" },
        { 400, "\r\n" },                   { 400, "5\nhello\r\n" },
        { 400, "5\r\nhelloX\n0\r\n\r\n" }, { 400, "5\r\nhello0\r\n\r\n" },
        { 400, "000000000" },              { 413, "3e9\r\n" },
        { 400, "0\r\nTrailer: a\r\n" },    { 413, "ffffffff\r\n" },
        { 413, "5\r\nhello\r\n3e4\r\n" },
        { 400, "0\r\nContent-Length: 5\r\n\r\n" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t total;
        int status;
        enum scan scan = scan_chunks(cases[i].text, 1, &total, &status);
        ck_assert_msg(scan == SCAN_REFUSED, "'%s' was accepted", cases[i].text);
        ck_assert_msg(status == cases[i].status, "'%s' gave %d", cases[i].text, status);
    }
    size_t total;
    int status;
    ck_assert_int_eq(scan_chunks("3e8\r\n", 1, &total, &status), SCAN_MORE); /* the limit itself */
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("guard");
    TCase *tcase = tcase_create("pure");
    suite_add_tcase(suite, tcase);
    tcase_add_test(tcase, percent_decodes_with_lengths);
    tcase_add_test(tcase, a_plus_is_a_space_in_queries_and_a_plus_in_paths);
    tcase_add_test(tcase, a_bad_percent_sequence_is_refused);
    tcase_add_test(tcase, a_query_is_decoded_with_lengths);
    tcase_add_test(tcase, a_query_needs_exactly_its_space);
    tcase_add_test(tcase, a_wrong_query_is_refused);
    tcase_add_test(tcase, a_plain_request_passes);
    tcase_add_test(tcase, odd_heads_are_refused);
    tcase_add_test(tcase, heads_that_are_unusual_but_right_pass);
    tcase_add_test(tcase, a_nul_byte_is_refused_wherever_it_stands);
    tcase_add_test(tcase, whether_the_connection_closes_follows_version_and_header);
    tcase_add_test(tcase, a_head_is_found_however_it_is_cut);
    tcase_add_test(tcase, heads_that_are_too_long_are_told_from_lines_that_are);
    tcase_add_test(tcase, a_chunked_body_ends_where_it_says_however_it_is_cut);
    tcase_add_test(tcase, odd_chunks_are_refused);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
