/* test_http.c - the guarded HTTP server, attacked with raw sockets.
 *
 * Each door that evhttp leaves open has a test, here or in test_http_limits.c, that fails when
 * the guard is taken away. */
#include "http_fixture.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- plain service */

START_TEST(a_request_is_answered_and_the_connection_kept)
{
    int fd = tool_connect(port);
    for (int i = 0; i < 3; i++) {
        ck_assert(!exchange(fd, GET("/kv/a"), strlen(GET("/kv/a")), "/kv/a"));
        check_status("get", 200);
        ck_assert_ptr_nonnull(strstr(got, "\r\nContent-Length: 5\r\n"));
        ck_assert_ptr_nonnull(strstr(got, "\r\nDate: "));
        ck_assert_ptr_nonnull(strstr(got, " GMT\r\n"));
    }
    ck_assert_uint_eq(stats().connections_total, 1);
    ck_assert_uint_eq(stats().requests, 3);
    close(fd);
    wait_open(0);
}
END_TEST

START_TEST(old_and_closing_clients_are_honoured)
{
    const char *close10 = "GET /a HTTP/1.0\r\n\r\n";
    const char *keep10 = "GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    const char *close11 = "GET /a HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n";
    const char *list11 = "GET /a HTTP/1.1\r\n" HOST "Connection: TE, close\r\n\r\n";
    int fd = tool_connect(port);
    ck_assert(!exchange(fd, keep10, strlen(keep10), "\r\n\r\n/a"));
    ck_assert_ptr_nonnull(strstr(got, "\r\nConnection: keep-alive\r\n"));
    ck_assert(exchange(fd, close10, strlen(close10), NULL));
    ck_assert_ptr_nonnull(strstr(got, "\r\nConnection: close\r\n"));
    close(fd);
    fd = tool_connect(port);
    ck_assert(exchange(fd, close11, strlen(close11), NULL));
    check_status("close", 200);
    close(fd);
    fd = tool_connect(port);
    ck_assert(exchange(fd, list11, strlen(list11), NULL));
    check_status("close in a list", 200);
    close(fd);
}
END_TEST

START_TEST(bodies_up_to_the_limit_come_back_byte_for_byte)
{
    static const size_t sizes[] = { 1, 100, 65536, 1024 * 1024, BODY_MAX };
    static char back[BODY_MAX + 1024];
    int fd = tool_connect(port);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        char head[128];
        char *body = malloc(sizes[i]);
        for (size_t k = 0; k < sizes[i]; k++)
            body[k] = (char)(k * 7 + k / 256 + i);
        snprintf(head, sizeof head, "PUT /a HTTP/1.1\r\n" HOST "Content-Length: %zu\r\n\r\n",
                 sizes[i]);
        ck_assert(tool_send_text(base, fd, head));
        ck_assert(tool_send(base, fd, body, sizes[i]));
        size_t n = tool_read(base, fd, back, 20, NULL, WAIT_MS, NULL);
        ck_assert_msg(strncmp(back, "HTTP/1.1 200 ", 13) == 0, "%.20s", back);
        char *end;
        while ((end = memmem(back, n, "\r\n\r\n", 4)) == NULL)
            n += tool_read(base, fd, back + n, 2, NULL, WAIT_MS, NULL);
        size_t had = n - (size_t)(end + 4 - back);
        ck_assert_uint_eq(had, 0);
        n = tool_read(base, fd, back, sizes[i] + 1, NULL, WAIT_MS, NULL);
        ck_assert_uint_eq(n, sizes[i]);
        ck_assert_int_eq(memcmp(back, body, n), 0);
        free(body);
    }
    close(fd);
}
END_TEST

START_TEST(chunked_bodies_are_read)
{
    const char *text = "PUT /a HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
                       "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n";
    int fd = tool_connect(port);
    for (int i = 0; i < 2; i++) { /* twice: nothing of the first is left over */
        ck_assert(!exchange(fd, text, strlen(text), "hello world"));
        check_status("chunked", 200);
        ck_assert_ptr_nonnull(strstr(got, "\r\n\r\nhello world"));
        ck_assert_ptr_null(strstr(got, "0\r\n\r\n0"));
    }
    close(fd);
}
END_TEST

START_TEST(a_client_that_waits_for_100_continue_gets_it)
{
    const char *head = "PUT /a HTTP/1.1\r\n" HOST "Content-Length: 5\r\n"
                       "Expect: 100-continue\r\n\r\n";
    int fd = tool_connect(port);
    exchange(fd, head, strlen(head), "\r\n\r\n");
    ck_assert_str_eq(got, "HTTP/1.1 100 Continue\r\n\r\n");
    exchange(fd, "hello", 5, "hello");
    check_status("after it", 200);
    close(fd);
    /* What is too large is refused before it is sent. */
    check_refused_text("PUT /a HTTP/1.1\r\n" HOST "Content-Length: 1572865\r\n"
                       "Expect: 100-continue\r\n\r\n", 413);
    check_refused_text("PUT /a HTTP/1.1\r\n" HOST "Content-Length: 5\r\nExpect: tea\r\n\r\n", 417);
}
END_TEST

START_TEST(methods_that_nobody_knows_reach_the_handler_as_other)
{
    static const char *const methods[] = { "PATCH", "OPTIONS", "TRACE", "BREW", "get" };
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        char text[128];
        int fd = tool_connect(port);
        snprintf(text, sizeof text, "%s /a HTTP/1.1\r\n" HOST "\r\n", methods[i]);
        ck_assert(!exchange(fd, text, strlen(text), "other"));
        check_status(methods[i], 405);
        close(fd);
    }
}
END_TEST

START_TEST(queries_are_decoded_with_lengths)
{
    const char *text = GET("/query?flag&v=a%00b+c%2Bd");
    int fd = tool_connect(port);
    exchange(fd, text, strlen(text), "c+d");
    const char wanted[] = "\r\n\r\nflag=1 v=7:a\0b c+d";
    ck_assert_ptr_nonnull(memmem(got, sizeof got, wanted, sizeof wanted - 1));
    close(fd);
    check_refused_text(GET("/query?v=%zz"), 400);
    check_refused_text(GET("/query?v=1&v=2"), 400);
    check_refused_text(GET("/bad%2"), 400);
}
END_TEST

/* ---- no body where none may be */

START_TEST(head_204_and_304_have_no_body)
{
    const char *head = "HEAD /kv/a HTTP/1.1\r\n" HOST "\r\n";
    int fd = tool_connect(port);
    ck_assert(!exchange(fd, head, strlen(head), "\r\n\r\n"));
    check_status("head", 200);
    ck_assert_ptr_nonnull(strstr(got, "\r\nContent-Length: 5\r\n"));
    ck_assert_int_eq(strcmp(strstr(got, "\r\n\r\n"), "\r\n\r\n"), 0);
    /* Whatever came after the headers would stand before this answer. */
    ck_assert(!exchange(fd, GET("/next"), strlen(GET("/next")), "/next"));
    check_status("after head", 200);
    ck_assert(!exchange(fd, GET("/204"), strlen(GET("/204")), "\r\n\r\n"));
    check_status("204", 204);
    ck_assert_ptr_null(strstr(got, "Content-Length"));
    ck_assert(!exchange(fd, GET("/304"), strlen(GET("/304")), "\r\n\r\n"));
    check_status("304", 304);
    ck_assert(!exchange(fd, GET("/next"), strlen(GET("/next")), "/next"));
    check_status("after 304", 200);
    close(fd);
}
END_TEST

START_TEST(the_body_of_a_head_request_is_not_the_next_request)
{
    static const char *const methods[] = { "HEAD", "TRACE", "BREW", "GET" };
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        for (int split = 0; split < 2; split++) {
            char text[256];
            int fd = tool_connect(port);
            n_handled = 0;
            snprintf(text, sizeof text, "%s /a HTTP/1.1\r\n" HOST "Content-Length: %zu\r\n\r\n",
                     methods[i], strlen(GET("/smuggled")));
            if (split == 1) {
                ck_assert(tool_send_text(base, fd, text));
                tool_turn(base, 10);
                text[0] = '\0';
            }
            strcat(text, GET("/smuggled"));
            bool closed = exchange(fd, text, strlen(text), NULL);
            ck_assert_msg(closed, "%s with a body leaves the connection open", methods[i]);
            ck_assert_uint_eq(count_text("HTTP/1.1 "), 1);
            ck_assert_uint_eq(n_handled, 1);
            ck_assert_str_eq(last_path, "/a");
            close(fd);
        }
    }
}
END_TEST

/* ---- what evhttp accepts silently */

START_TEST(ambiguous_requests_are_refused_and_closed)
{
#define PUT "PUT /a HTTP/1.1\r\n" HOST
    static const char *const texts[] = {
        PUT "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
        PUT "Content-Length: 5\r\nContent-Length: 0\r\n\r\nhello",
        PUT "Content-Length: +5\r\n\r\nhello",
        PUT "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        PUT "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        PUT "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        PUT "Transfer-Encoding: chunked\r\n\r\n+5\r\nhello\r\n0\r\n\r\n",
        PUT "Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n",
        PUT "Transfer-Encoding: chunked\r\n\r\n5\r\nhello0\r\n\r\n",
        PUT "Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 3\r\n\r\n",
        "GET /a HTTP/1.1\r\n\r\n",
        "GET /a HTTP/1.1\r\n" HOST HOST "\r\n",
        "GET /a HTTP/1.1\nHost: a\n\n",
        "GET /a HTTP/1.1\r\n" HOST "A: b\r\n folded\r\n\r\n",
        "GET http://a/a HTTP/1.1\r\n" HOST "\r\n",
        "GET //[ HTTP/1.1\r\n" HOST "\r\n",
        "CONNECT a:1 HTTP/1.1\r\n" HOST "\r\n",
        "GET /a\r\n\r\n",
        "GET /a HTTP/1.1 x\r\n" HOST "\r\n",
        "nonsense\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        check_refused_text(texts[i], 400);
    const char nul[] = "GET /a HTTP/1.1\r\n" HOST "A: b\0c\r\n\r\n";
    check_refused(nul, sizeof nul - 1, 400);
    check_refused_text("PUT /a HTTP/1.1\r\n" HOST "\r\n", 411);
    check_refused_text("GET /a HTTP/3.0\r\n" HOST "\r\n", 505);
    ck_assert_uint_eq(stats().guard_rejections, sizeof texts / sizeof texts[0] + 3);
    check_alive();
}
END_TEST

START_TEST(a_refusal_reaches_a_client_that_has_ended_its_side)
{
    static const char *const bad[] = { "GET /a HTTP/1.1\nHost: a\n\n",
                                       "PUT /a HTTP/1.1\r\n" HOST "Content-Length: x\r\n\r\nabc" };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        bool closed;
        int fd = tool_connect(port);
        ck_assert(tool_send_text(base, fd, bad[i]));
        ck_assert_int_eq(shutdown(fd, SHUT_WR), 0);
        tool_read(base, fd, got, sizeof got, NULL, WAIT_MS, &closed);
        check_status("half closed", 400);
        ck_assert(closed);
        close(fd);
    }
    wait_open(0);
}
END_TEST

START_TEST(a_refusal_comes_after_the_answers_that_are_due)
{
    const char *text = GET("/one") GET("/two") "GET /x HTTP/1.1\r\n\r\n" GET("/three");
    int fd = tool_connect(port);
    ck_assert(exchange(fd, text, strlen(text), NULL));
    ck_assert_uint_eq(count_text("HTTP/1.1 200 "), 2);
    ck_assert_uint_eq(count_text("HTTP/1.1 400 "), 1);
    ck_assert_ptr_nonnull(strstr(strstr(strstr(got, "/one"), "/two"), "400"));
    ck_assert_str_eq(last_path, "/two");
    close(fd);
}
END_TEST

/* ---- pipelining and cuts */

START_TEST(pipelined_requests_are_answered_in_order_however_they_are_cut)
{
    const char *text = GET("/first") POST("/body", "5", "12345") GET("/third?x=1")
        "PUT /c HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
        "3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n" GET("/last");
    size_t size = strlen(text);
    for (size_t cut = 0; cut <= size; cut++) {
        int fd = tool_connect(port);
        n_handled = 0;
        ck_assert(tool_send(base, fd, text, cut));
        tool_turn(base, 1);
        exchange(fd, text + cut, size - cut, "/last");
        ck_assert_msg(n_handled == 5, "cut at %zu: %u requests", cut, n_handled);
        ck_assert_uint_eq(count_text("HTTP/1.1 200 OK"), 5);
        const char *at = got;
        static const char *const order[] = { "/first", "12345", "/third", "abcdef", "/last" };
        for (int i = 0; i < 5; i++) {
            at = strstr(at, order[i]);
            ck_assert_msg(at != NULL, "cut at %zu: no %s in its place", cut, order[i]);
        }
        close(fd);
        wait_open(0);
    }
}
END_TEST

START_TEST(a_request_may_come_byte_by_byte)
{
    const char *text = POST("/a", "3", "xyz") GET("/last");
    int fd = tool_connect(port);
    for (size_t i = 0; i < strlen(text); i++) {
        ck_assert(tool_send(base, fd, text + i, 1));
        tool_turn(base, 1);
    }
    exchange(fd, "", 0, "/last");
    ck_assert_uint_eq(n_handled, 2);
    close(fd);
}
END_TEST

START_TEST(random_bytes_and_cuts_do_no_harm)
{
    static const char *const parts[] = {
        GET("/a"), "HEAD /b HTTP/1.1\r\n" HOST "\r\n", POST("/c", "4", "abcd"), "\r\n", "\n", "5",
        "PUT /c HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n", "3\r\nabc\r\n",
        "0\r\n\r\n", "Expect: 100-continue\r\n", "GET ", "Content-Length: 3\r\n", "%", "?",
        "PUT /e HTTP/1.1\r\n" HOST "Content-Length: 2\r\nExpect: 100-continue\r\n\r\n", "/hold",
    };
    srand(20240607);
    for (int round = 0; round < 400; round++) {
        char text[4096] = "";
        for (int n = rand() % 6 + 1; n > 0; n--)
            strcat(text, parts[(size_t)rand() % (sizeof parts / sizeof parts[0])]);
        size_t size = strlen(text);
        for (int n = rand() % 3; n > 0; n--)
            text[(size_t)rand() % size] = (char)rand();
        int fd = tool_connect(port);
        for (size_t at = 0; at < size;) {
            size_t step = (size_t)rand() % 40 + 1;
            step = step < size - at ? step : size - at;
            if (!tool_send(base, fd, text + at, step))
                break;
            at += step;
            if (rand() % 2 == 0)
                event_base_loop(base, EVLOOP_NONBLOCK);
        }
        if (rand() % 2 == 0)
            tool_turn(base, 1);
        close(fd);
        for (; n_held > 0; n_held--)
            reply(held[n_held - 1], 200, slice_text("held"));
    }
    wait_open(0);
    check_alive();
}
END_TEST

/* ---- clients that go, servers that stop */

START_TEST(a_client_that_left_may_still_be_answered)
{
    for (uint32_t i = 0; i < 4; i++) {
        int fd = tool_connect(port);
        struct linger hard = { 1, 0 };
        ck_assert(tool_send_text(base, fd, i % 2 == 0 ? GET("/hold") : GET("/hold") GET("/x")));
        wait_held(i + 1);
        if (i >= 2)
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
        close(fd);
        tool_turn(base, 20);
    }
    ck_assert_uint_eq(http_server_pending(server), 4);
    static char large[1024 * 1024];
    for (int i = 0; i < 4; i++)
        reply(held[i], 200, slice_of(large, sizeof large));
    wait_open(0);
    ck_assert_uint_eq(http_server_pending(server), 0);
    check_alive();
}
END_TEST

START_TEST(a_stopped_server_answers_what_it_has_and_closes)
{
    bool closed;
    int idle = tool_connect(port), fd = tool_connect(port);
    ck_assert(tool_send_text(base, fd, GET("/hold") GET("/ahead")));
    wait_held(1);
    wait_open(2);
    http_server_stop(server);
    ck_assert_uint_eq(http_server_pending(server), 1);
    ck_assert_uint_eq(tool_read(base, idle, got, sizeof got, NULL, WAIT_MS, &closed), 0);
    ck_assert(closed);
    reply(held[0], 200, slice_text("the last"));
    tool_read(base, fd, got, sizeof got, NULL, WAIT_MS, &closed);
    check_status("the last", 200);
    ck_assert(closed);
    ck_assert_ptr_nonnull(strstr(got, "\r\nConnection: close\r\n"));
    ck_assert_uint_eq(count_text("HTTP/1.1 "), 1);
    close(idle);
    close(fd);
}
END_TEST

START_TEST(a_request_outlives_its_server)
{
    int fd = tool_connect(port);
    ck_assert(tool_send_text(base, fd, POST("/hold", "5", "hello")));
    wait_held(1);
    http_server_free(server);
    server = NULL;
    ck_assert_uint_eq(http_request_body(held[0]).size, 0);
    ck_assert_ptr_null(http_request_header(held[0], "Host"));
    reply(held[0], 200, slice_text("to nobody"));
    close(fd);
}
END_TEST

START_TEST(addresses_that_are_wrong_or_taken_are_told)
{
    static const char *const wrong[] = { "", ":", "localhost", "localhost:", "localhost:x",
                                         "localhost:65536", "a b:1", "[::1:80", "::1:80",
                                         "localhost:-1", "http://localhost:80" };
    char host[256], why[HTTP_MESSAGE_MAX];
    uint16_t number;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        why[0] = '\0';
        ck_assert_msg(!address_parse(wrong[i], true, host, &number, why), "'%s'", wrong[i]);
        ck_assert(strlen(why) > 0);
    }
    ck_assert(address_parse("[::1]:80", false, host, &number, why));
    ck_assert_str_eq(host, "::1");
    ck_assert(address_parse("localhost:8001", false, host, &number, why));
    ck_assert_uint_eq(number, 8001);
    ck_assert(!address_parse("localhost:0", false, host, &number, why));
    ck_assert(address_parse("localhost:0", true, host, &number, why));

    struct http_config config = { .headers_max = 1000, .connections_max = 1 };
    char taken[64];
    struct http_server *other;
    snprintf(taken, sizeof taken, "127.0.0.1:%u", port);
    config.address = taken;
    ck_assert_int_eq(http_server_new(base, &config, fixture_handle, fixture_error_body, NULL, &other, why), ERR_IO);
    ck_assert_ptr_nonnull(strstr(why, "is taken"));
    config.address = "no-such-host.invalid:80";
    ck_assert_int_eq(http_server_new(base, &config, fixture_handle, fixture_error_body, NULL, &other, why), ERR_IO);
    ck_assert_ptr_nonnull(strstr(why, "cannot be resolved"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("http");
    TCase *tcase = tcase_create("server");
    suite_add_tcase(suite, tcase);
    tcase_add_checked_fixture(tcase, fixture_setup, fixture_teardown);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, a_request_is_answered_and_the_connection_kept);
    tcase_add_test(tcase, old_and_closing_clients_are_honoured);
    tcase_add_test(tcase, bodies_up_to_the_limit_come_back_byte_for_byte);
    tcase_add_test(tcase, chunked_bodies_are_read);
    tcase_add_test(tcase, a_client_that_waits_for_100_continue_gets_it);
    tcase_add_test(tcase, methods_that_nobody_knows_reach_the_handler_as_other);
    tcase_add_test(tcase, queries_are_decoded_with_lengths);
    tcase_add_test(tcase, head_204_and_304_have_no_body);
    tcase_add_test(tcase, the_body_of_a_head_request_is_not_the_next_request);
    tcase_add_test(tcase, ambiguous_requests_are_refused_and_closed);
    tcase_add_test(tcase, a_refusal_reaches_a_client_that_has_ended_its_side);
    tcase_add_test(tcase, a_refusal_comes_after_the_answers_that_are_due);
    tcase_add_test(tcase, pipelined_requests_are_answered_in_order_however_they_are_cut);
    tcase_add_test(tcase, a_request_may_come_byte_by_byte);
    tcase_add_test(tcase, random_bytes_and_cuts_do_no_harm);
    tcase_add_test(tcase, a_client_that_left_may_still_be_answered);
    tcase_add_test(tcase, a_stopped_server_answers_what_it_has_and_closes);
    tcase_add_test(tcase, a_request_outlives_its_server);
    tcase_add_test(tcase, addresses_that_are_wrong_or_taken_are_told);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
