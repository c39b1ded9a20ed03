/* test_http_limits.c - what a client may take of the HTTP server: bytes, time, connections. */
#include "http_fixture.h"

#include <holdfast/clock.h>
#include <holdfast/log.h>

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

START_TEST(what_is_over_a_limit_is_refused_and_the_limit_named)
{
    static char text[BODY_MAX + 2048];
    memset(text, 'a', sizeof text);
    memcpy(text, "GET /", 5);
    check_refused(text, HEADERS_MAX + 100, 431); /* one long line, but within a URI's limit */
    memset(text, 'a', sizeof text);
    memcpy(text, GET("/a"), strlen(GET("/a")) - 2);
    check_refused(text, HEADERS_MAX + 1, 431);
    ck_assert_ptr_nonnull(strstr(got, "4096"));
    check_refused_text("PUT /a HTTP/1.1\r\n" HOST "Content-Length: 1572865\r\n\r\n", 413);
    ck_assert_ptr_nonnull(strstr(got, "1572864"));
    /* A client that does not wait to be told still gets to read why. */
    int n = snprintf(text, sizeof text,
                     "PUT /a HTTP/1.1\r\n" HOST "Content-Length: %d\r\n\r\n", BODY_MAX + 1);
    memset(text + n, 'a', BODY_MAX + 1);
    check_refused(text, (size_t)n + BODY_MAX + 1, 413);
    n = snprintf(text, sizeof text, "PUT /a HTTP/1.1\r\n" HOST
                                    "Transfer-Encoding: chunked\r\n\r\n100000\r\n");
    memset(text + n, 'a', 1024 * 1024);
    memcpy(text + n + 1024 * 1024, "\r\n80001\r\n", 9);
    check_refused(text, (size_t)n + 1024 * 1024 + 9, 413);
    check_alive();
}
END_TEST

START_TEST(a_client_that_sends_on_is_heard_out_before_the_connection_ends)
{
    /* More than all buffers between hold: without it the client's writing fails, and many
     * clients then never read the answer. */
    static char block[1024 * 1024];
    int fd = tool_connect(port);
    ck_assert(tool_send_text(base, fd, "PUT /a HTTP/1.1\r\n" HOST
                                       "Content-Length: 16777216\r\n\r\n"));
    for (int i = 0; i < 16; i++)
        ck_assert_msg(tool_send(base, fd, block, sizeof block), "cut after %d MiB", i);
    tool_read(base, fd, got, sizeof got, NULL, WAIT_MS, NULL);
    check_status("heard out", 413);
    close(fd);
    wait_open(0);
}
END_TEST

/* Pushes until the other side takes no more; returns how much the server has read. */
static uint64_t push(int fd, char filling, uint64_t limit)
{
    static char block[64 * 1024];
    uint64_t before = stats().bytes_in;
    memset(block, filling, sizeof block);
    for (uint64_t sent = 0; sent < limit;) {
        ssize_t n = send(fd, block, sizeof block, MSG_NOSIGNAL);
        if (n > 0) {
            sent += (uint64_t)n;
            continue;
        }
        if (errno != EAGAIN)
            break;
        uint64_t had = stats().bytes_in;
        tool_turn(base, 30);
        if (stats().bytes_in == had)
            break;
    }
    return stats().bytes_in - before;
}

START_TEST(an_endless_chunk_size_line_is_cut_short)
{
    int fd = tool_connect(port);
    ck_assert(tool_send_text(base, fd, "PUT /a HTTP/1.1\r\n" HOST
                                       "Transfer-Encoding: chunked\r\n\r\n"));
    tool_turn(base, 10);
    ck_assert(exchange(fd, "000000000000000000000000", 24, NULL));
    check_status("endless size", 400);
    close(fd);
    /* Endless digits in the first write, too. */
    fd = tool_connect(port);
    ck_assert(tool_send_text(base, fd, "PUT /a HTTP/1.1\r\n" HOST
                                       "Transfer-Encoding: chunked\r\n\r\n"));
    (void)push(fd, '0', 1024 * 1024);
    tool_read(base, fd, got, sizeof got, NULL, WAIT_MS, NULL);
    check_status("endless size", 400);
    close(fd);
}
END_TEST

START_TEST(what_is_sent_ahead_is_bounded_while_a_request_is_handled)
{
    int fd = tool_connect(port);
    ck_assert(tool_send_text(base, fd, GET("/hold")));
    wait_held(1);
    uint64_t taken = push(fd, 'G', BIG);
    ck_assert_msg(taken < 64 * 1024, "the server took %llu bytes", (unsigned long long)taken);
    reply(held[0], 200, slice_text("done"));
    tool_read(base, fd, got, sizeof got, "done", WAIT_MS, NULL);
    check_status("held", 200);
    close(fd);
}
END_TEST

START_TEST(what_is_sent_ahead_is_bounded_while_an_answer_leaves)
{
    int fd = tool_connect(port);
    ck_assert(tool_send_text(base, fd, GET("/big")));
    tool_read(base, fd, got, 16, NULL, WAIT_MS, NULL);
    uint64_t taken = push(fd, 'G', BIG);
    ck_assert_msg(taken < 64 * 1024, "the server took %llu bytes", (unsigned long long)taken);
    close(fd);
}
END_TEST

START_TEST(a_flood_of_pipelined_requests_is_served_without_piling_up)
{
    enum { MANY = 10000 };
    const size_t one = strlen(GET("/f")), size = MANY * one;
    char *flood = malloc(size + 1);
    int fd = tool_connect(port);
    uint64_t start = clock_monotonic_ms(), most = 0;
    for (size_t i = 0; i < MANY; i++)
        memcpy(flood + i * one, GET("/f"), one + 1);
    for (size_t at = 0; n_handled < MANY && clock_monotonic_ms() - start < 30000;) {
        ssize_t n = at < size ? send(fd, flood + at, size - at, MSG_NOSIGNAL) : 0;
        at += n > 0 ? (size_t)n : 0;
        event_base_loop(base, EVLOOP_NONBLOCK);
        while (recv(fd, got, sizeof got, 0) > 0)
            ;
        uint64_t ahead = stats().bytes_in - n_handled * one;
        most = ahead > most ? ahead : most;
    }
    ck_assert_uint_eq(n_handled, MANY);
    ck_assert_msg(most <= 3 * HEADERS_MAX, "%llu bytes were read ahead", (unsigned long long)most);
    free(flood);
    close(fd);
}
END_TEST

/* ---- deadlines */

/* Drips one byte at a time: never inactive for long.  Returns when it was over, in ms. */
static uint64_t drip(int fd, char byte)
{
    uint64_t start = clock_monotonic_ms();
    bool closed = false;
    size_t n = 0;
    while (!closed && clock_monotonic_ms() - start < 3000) {
        (void)send(fd, &byte, 1, MSG_NOSIGNAL);
        n += tool_read(base, fd, got + n, sizeof got - n, NULL, 20, &closed);
        if (n > 0 && !closed)
            tool_read(base, fd, got + n, sizeof got - n, NULL, WAIT_MS, &closed);
    }
    return clock_monotonic_ms() - start;
}

START_TEST(headers_that_drip_in_are_given_up)
{
    int fd = tool_connect(port);
    ck_assert(tool_send_text(base, fd, "GET /a HTTP/1.1\r\n"));
    uint64_t ms = drip(fd, 'a');
    check_status("slow headers", 408);
    ck_assert_msg(ms >= HEADERS_MS && ms < HEADERS_MS * 3, "after %llu ms", (unsigned long long)ms);
    ck_assert_uint_eq(stats().timeouts, 1);
    close(fd);
}
END_TEST

START_TEST(bodies_that_drip_in_are_given_up)
{
    int fd = tool_connect(port);
    ck_assert(tool_send_text(base, fd, "PUT /a HTTP/1.1\r\n" HOST "Content-Length: 1000\r\n\r\n"));
    uint64_t ms = drip(fd, 'a');
    check_status("slow body", 408);
    ck_assert_msg(ms >= BODY_MS && ms < BODY_MS * 3, "after %llu ms", (unsigned long long)ms);
    close(fd);
    fd = tool_connect(port);
    ck_assert(tool_send_text(base, fd, "PUT /a HTTP/1.1\r\n" HOST
                                       "Transfer-Encoding: chunked\r\n\r\n1000\r\n"));
    drip(fd, 'a');
    check_status("slow chunk", 408);
    close(fd);
}
END_TEST

START_TEST(idle_connections_are_closed_and_pending_requests_are_not)
{
    bool closed;
    int idle = tool_connect(port), fd = tool_connect(port);
    ck_assert(tool_send_text(base, fd, GET("/hold")));
    uint64_t start = clock_monotonic_ms();
    ck_assert_uint_eq(tool_read(base, idle, got, sizeof got, NULL, WAIT_MS, &closed), 0);
    ck_assert(closed);
    ck_assert_uint_ge(clock_monotonic_ms() - start, IDLE_MS);
    tool_turn(base, IDLE_MS);
    reply(held[0], 200, slice_text("patience"));
    tool_read(base, fd, got, sizeof got, "patience", WAIT_MS, NULL);
    check_status("held", 200);
    close(idle);
    close(fd);
}
END_TEST

START_TEST(a_reader_that_takes_nothing_is_cut)
{
    int fd = tool_connect(port);
    ck_assert(tool_send_text(base, fd, GET("/big")));
    wait_open(1);
    uint64_t start = clock_monotonic_ms();
    wait_open(0);
    uint64_t ms = clock_monotonic_ms() - start;
    ck_assert_msg(ms >= WRITE_MS && ms < WRITE_MS * 4, "after %llu ms", (unsigned long long)ms);
    ck_assert_uint_eq(stats().timeouts, 1);
    close(fd);
}
END_TEST

START_TEST(a_reader_that_is_slow_but_alive_gets_it_all)
{
    int fd = tool_connect(port);
    uint64_t start = clock_monotonic_ms();
    size_t n = 0;
    ck_assert(tool_send_text(base, fd, GET("/big")));
    while (clock_monotonic_ms() - start < WRITE_MS * 3) {
        n += tool_read(base, fd, got, sizeof got, NULL, 1, NULL);
        tool_turn(base, 50);
    }
    while (n < BIG && clock_monotonic_ms() - start < WAIT_MS * 2)
        n += tool_read(base, fd, got, sizeof got, NULL, 1, NULL);
    ck_assert_uint_ge(n, BIG);
    close(fd);
}
END_TEST

/* ---- numbers of connections */

START_TEST(accepting_pauses_at_the_cap_and_goes_on_below_it)
{
    enum { ALL = CONNECTIONS + 4 };
    int fds[ALL];
    for (int i = 0; i < ALL; i++) {
        fds[i] = tool_connect(port);
        ck_assert(tool_send_text(base, fds[i], GET("/hold")));
    }
    wait_held(CONNECTIONS);
    tool_turn(base, 50);
    ck_assert_uint_eq(stats().connections_open, CONNECTIONS);
    ck_assert_uint_eq(n_held, CONNECTIONS);
    for (int i = 0; i < CONNECTIONS; i++) {
        reply(held[i], 200, slice_text("held"));
        close(fds[i]);
    }
    wait_held(ALL);
    for (int i = CONNECTIONS; i < ALL; i++) {
        reply(held[i], 200, slice_text("held"));
        tool_read(base, fds[i], got, sizeof got, "held", WAIT_MS, NULL);
        check_status("late", 200);
        close(fds[i]);
    }
    ck_assert_uint_ge(stats().connections_refused, 1);
}
END_TEST

START_TEST(at_the_cap_those_that_are_still_for_longest_make_room)
{
    int fds[CONNECTIONS - 1], fd;
    fixture_restart(HELD);
    for (int i = 0; i < CONNECTIONS - 1; i++)
        fds[i] = tool_connect(port);
    ck_assert(tool_send_text(base, fds[0], GET("/hold")));
    wait_held(1);
    tool_turn(base, STILL_MS + 100); /* the others may yield now; none is over its time */
    ck_assert_uint_eq(stats().connections_open, CONNECTIONS - 1);
    exchange(fds[1], GET("/moves"), strlen(GET("/moves")), "/moves");
    fd = tool_connect(port);
    exchange(fd, GET("/new"), strlen(GET("/new")), "/new");
    check_status("one more", 200);
    ck_assert_uint_ge(stats().connections_yielded, 1);
    ck_assert_uint_lt(stats().connections_open, CONNECTIONS);
    exchange(fds[1], GET("/moved"), strlen(GET("/moved")), "/moved");
    check_status("the one that moved", 200);
    reply(held[0], 200, slice_text("held"));
    tool_read(base, fds[0], got, sizeof got, "held", WAIT_MS, NULL);
    check_status("the one that is served", 200);
    for (int i = 0; i < CONNECTIONS - 1; i++)
        close(fds[i]);
    close(fd);
    wait_open(0);
}
END_TEST

/* ---- bytes of all connections together */

static int send_part_of_body(int size)
{
    char head[128];
    int fd = tool_connect(port);
    int n = snprintf(head, sizeof head, "PUT /a HTTP/1.1\r\n" HOST "Content-Length: %d\r\n\r\n", size + 1);
    char *body = calloc(1, (size_t)size);
    ck_assert(tool_send(base, fd, head, (size_t)n));
    (void)tool_send(base, fd, body, (size_t)size);
    tool_turn(base, 50);
    free(body);
    return fd;
}

START_TEST(large_bodies_are_refused_when_all_their_bytes_are_taken)
{
    bool closed;
    int small, fds[3];
    fixture_restart(2 * 1024 * 1024);
    fds[0] = send_part_of_body(1024 * 1024);
    fds[1] = send_part_of_body(900 * 1024);
    ck_assert_uint_ge(stats().bytes_held, 1900 * 1024);
    fds[2] = send_part_of_body(1024 * 1024);
    tool_read(base, fds[2], got, sizeof got, NULL, WAIT_MS, &closed);
    check_status("one too many", 429);
    ck_assert_ptr_nonnull(strstr(got, "\r\nRetry-After: 1\r\n"));
    ck_assert_ptr_nonnull(strstr(got, "2097152"));
    ck_assert_uint_le(stats().bytes_held, 2 * 1024 * 1024);
    ck_assert_uint_eq(stats().connections_yielded, 0);
    /* Small ones are not concerned. */
    small = tool_connect(port);
    exchange(small, POST("/a", "3", "abc"), strlen(POST("/a", "3", "abc")), "abc");
    check_status("small", 200);
    /* Who has had time enough makes room. */
    tool_turn(base, STILL_MS + 50);
    int fd = send_part_of_body(1024 * 1024);
    ck_assert_uint_ge(stats().connections_yielded, 1);
    ck_assert_uint_le(stats().bytes_held, 2 * 1024 * 1024);
    for (int i = 0; i < 3; i++)
        close(fds[i]);
    close(fd);
    close(small);
    wait_open(0);
    ck_assert_uint_eq(stats().bytes_held, 0);
}
END_TEST

START_TEST(an_answer_that_is_not_read_counts_until_it_is)
{
    char path[4096];
    fixture_restart(HELD);
    int fd = tool_connect(port), other = tool_connect(port);
    ck_assert(tool_send_text(base, other, GET("/hold")));
    wait_held(1);
    ck_assert(http_reply_has_room(held[0], HELD));
    ck_assert(tool_send_text(base, fd, GET("/big")));
    tool_read(base, fd, path, 16, NULL, WAIT_MS, NULL);
    ck_assert_uint_ge(stats().bytes_held, BIG / 2);
    ck_assert(!http_reply_has_room(held[0], HELD));
    ck_assert(http_reply_has_room(held[0], 16 * 1024));
    /* It is cut when room is wanted, and it has not moved for long. */
    for (int i = 0; i < 100 && stats().connections_yielded == 0; i++) {
        tool_turn(base, 10);
        (void)http_reply_has_room(held[0], HELD);
    }
    ck_assert_uint_eq(stats().bytes_held, 0);
    reply(held[0], 200, slice_text("done"));
    tool_read(base, other, got, sizeof got, "done", WAIT_MS, NULL);
    check_status("held", 200);
    close(fd);
    close(other);
}
END_TEST

START_TEST(who_is_trusted_is_not_refused_for_room)
{
    fixture_restart(64 * 1024);
    int fd = tool_connect(port);
    exchange(fd, GET("/trust"), strlen(GET("/trust")), "/trust");
    char *body = malloc(BODY_MAX);
    memset(body, 'x', BODY_MAX);
    char head[128];
    int n = snprintf(head, sizeof head, "PUT /a HTTP/1.1\r\n" HOST "Content-Length: %d\r\n\r\n", BODY_MAX);
    ck_assert(tool_send(base, fd, head, (size_t)n));
    ck_assert(tool_send(base, fd, body, BODY_MAX));
    tool_read(base, fd, got, sizeof got, NULL, 500, NULL);
    check_status("trusted", 200);
    free(body);
    close(fd);
}
END_TEST

/* Descriptors run out: accepting pauses instead of spinning, and serves again afterwards. */
static int without_descriptors(void)
{
    int fds[CONNECTIONS], spare = dup(0);
    for (int i = 0; i < 3; i++)
        fds[i] = tool_connect(port);
    struct rlimit limit = { (rlim_t)spare + 1, (rlim_t)spare + 1 };
    close(spare);
    /* Below `spare` nothing is free: the next accept gets EMFILE once that one is used. */
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        return 1;
    int filler = dup(0);
    struct rusage before, after;
    getrusage(RUSAGE_SELF, &before);
    tool_turn(base, 400);
    getrusage(RUSAGE_SELF, &after);
    long cpu_ms = (after.ru_utime.tv_sec + after.ru_stime.tv_sec - before.ru_utime.tv_sec -
                   before.ru_stime.tv_sec) * 1000 +
                  (after.ru_utime.tv_usec + after.ru_stime.tv_usec - before.ru_utime.tv_usec -
                   before.ru_stime.tv_usec) / 1000;
    if (stats().connections_open != 0 || stats().connections_refused == 0)
        return 2;
    if (cpu_ms > 200)
        return 3;
    close(filler);
    close(fds[1]);
    ck_assert(tool_send_text(base, fds[0], GET("/after")));
    tool_read(base, fds[0], got, sizeof got, "/after", WAIT_MS, NULL);
    return strstr(got, "200 OK") != NULL ? 0 : 4;
}

START_TEST(want_of_descriptors_pauses_accepting)
{
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        event_reinit(base);
        log_set_level(LOG_LEVEL_ERROR);
        _exit(without_descriptors());
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the child ended with %x",
                  (unsigned)status);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("http limits");
    TCase *tcase = tcase_create("server");
    suite_add_tcase(suite, tcase);
    tcase_add_checked_fixture(tcase, fixture_setup, fixture_teardown);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, what_is_over_a_limit_is_refused_and_the_limit_named);
    tcase_add_test(tcase, a_client_that_sends_on_is_heard_out_before_the_connection_ends);
    tcase_add_test(tcase, an_endless_chunk_size_line_is_cut_short);
    tcase_add_test(tcase, what_is_sent_ahead_is_bounded_while_a_request_is_handled);
    tcase_add_test(tcase, what_is_sent_ahead_is_bounded_while_an_answer_leaves);
    tcase_add_test(tcase, a_flood_of_pipelined_requests_is_served_without_piling_up);
    tcase_add_test(tcase, headers_that_drip_in_are_given_up);
    tcase_add_test(tcase, bodies_that_drip_in_are_given_up);
    tcase_add_test(tcase, idle_connections_are_closed_and_pending_requests_are_not);
    tcase_add_test(tcase, a_reader_that_takes_nothing_is_cut);
    tcase_add_test(tcase, a_reader_that_is_slow_but_alive_gets_it_all);
    tcase_add_test(tcase, accepting_pauses_at_the_cap_and_goes_on_below_it);
    tcase_add_test(tcase, at_the_cap_those_that_are_still_for_longest_make_room);
    tcase_add_test(tcase, large_bodies_are_refused_when_all_their_bytes_are_taken);
    tcase_add_test(tcase, an_answer_that_is_not_read_counts_until_it_is);
    tcase_add_test(tcase, who_is_trusted_is_not_refused_for_room);
    tcase_add_test(tcase, want_of_descriptors_pauses_accepting);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
