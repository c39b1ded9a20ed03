/* test_client_retries.c - libholdfast against servers that behave badly on purpose: what is
 * repeated, what is not, whom it asks, and what the caller is told. */
#include "tests/support/client_fixture.h"

#include <pthread.h>
#include <time.h>
#include <unistd.h>

#define NO_LEADER                                                                                  \
    "{\"error\":{\"code\":\"no_leader\",\"message\":\"no leader is known\",\"hint\":\"try "        \
    "again\",\"retryable\":true,\"outcome\":\"not_applied\"}}"
#define TIMEOUT_UNKNOWN                                                                            \
    "{\"error\":{\"code\":\"timeout\",\"message\":\"no majority answered\",\"hint\":\"\","         \
    "\"retryable\":true,\"outcome\":\"unknown\"}}"
static uint64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* ---- what is repeated */

START_TEST(a_write_is_repeated_when_it_was_not_applied)
{
    fake_answer(a, 503, "Retry-After: 1\r\n", NO_LEADER);
    fake_answer(a, 503, NULL, NO_LEADER);
    fake_answer(a, 200, NULL, PUT_DONE);
    open_a(4000);
    struct holdfast_result *r = put("k", "v");
    expect_end(r, HOLDFAST_OK, HOLDFAST_APPLIED);
    ck_assert_uint_eq(r->attempts, 3);
    ck_assert_str_eq(r->code, "");
    holdfast_result_free(r);
}
END_TEST

START_TEST(a_refused_connection_leads_to_the_next_endpoint)
{
    char dead[64], both[256];
    int fd = refusing_port(dead);
    snprintf(both, sizeof(both), "%s,%s", dead, fake_url(a));
    fake_answer(a, 200, NULL, PUT_DONE);
    fake_answer(a, 200, NULL, PUT_DONE);
    open_db(both, 2000);
    struct holdfast_result *r = put("k", "v");
    expect_end(r, HOLDFAST_OK, HOLDFAST_APPLIED);
    ck_assert_uint_eq(r->attempts, 2);
    holdfast_result_free(r);
    r = put("k", "v"); /* and is remembered */
    ck_assert_uint_eq(r->attempts, 1);
    holdfast_result_free(r);
    close(fd);
}
END_TEST

START_TEST(a_read_is_repeated_when_the_connection_breaks)
{
    fake_add(a, (struct fake_step) { .kind = FAKE_CLOSE });
    fake_add(a, (struct fake_step) { .kind = FAKE_CUT, .status = 200, .body = GET_DONE });
    fake_answer(a, 200, NULL, "garbage {");
    fake_answer(a, 200, NULL, GET_DONE);
    open_a(3000);
    struct holdfast_result *r = get("k");
    expect_end(r, HOLDFAST_OK, HOLDFAST_APPLIED);
    ck_assert_uint_eq(fake_count(a), 4);
    holdfast_result_free(r);
}
END_TEST

START_TEST(a_silent_node_does_not_cost_a_read_all_its_time)
{
    fake_add(a, (struct fake_step) { .kind = FAKE_SILENT });
    fake_answer(b, 200, NULL, GET_DONE);
    open_a_b(1600);
    struct holdfast_result *r = get("k");
    expect_end(r, HOLDFAST_OK, HOLDFAST_APPLIED);
    ck_assert_str_eq(r->node, fake_url(b));
    holdfast_result_free(r);
}
END_TEST

/* ---- what is not (B48: only three ends, and the truth about which) */

START_TEST(a_write_whose_connection_broke_is_unknown_and_not_repeated)
{
    fake_add(a, (struct fake_step) { .kind = FAKE_CLOSE });
    fake_answer(b, 200, NULL, PUT_DONE);
    open_a_b(1000);
    struct holdfast_result *r = put("k", "v");
    expect_end(r, HOLDFAST_BROKEN_ANSWER, HOLDFAST_UNKNOWN);
    holdfast_result_free(r);
    ck_assert_uint_eq(fake_count(a), 1);
    ck_assert_uint_eq(fake_count(b), 0);
}
END_TEST

/* libcurl alone would send it a second time: the kept connection closed before an answer. */
START_TEST(a_write_on_a_kept_connection_that_breaks_is_sent_once)
{
    fake_answer(a, 200, NULL, PUT_DONE);
    fake_add(a, (struct fake_step) { .kind = FAKE_CLOSE });
    fake_answer(a, 200, NULL, PUT_DONE);
    fake_answer(b, 200, NULL, PUT_DONE);
    open_a(1000);
    struct holdfast_result *r = put("k", "1");
    expect_end(r, HOLDFAST_OK, HOLDFAST_APPLIED);
    holdfast_result_free(r);
    r = put("k", "2");
    expect_end(r, HOLDFAST_BROKEN_ANSWER, HOLDFAST_UNKNOWN);
    holdfast_result_free(r);
    ck_assert_uint_eq(fake_count(a), 2);
}
END_TEST

START_TEST(a_write_without_an_answer_in_time_is_unknown)
{
    fake_add(a, (struct fake_step) { .kind = FAKE_SILENT });
    open_a_b(400);
    uint64_t before = now_ms();
    struct holdfast_result *r = put("k", "v");
    expect_end(r, HOLDFAST_TIMEOUT, HOLDFAST_UNKNOWN);
    holdfast_result_free(r);
    ck_assert_uint_ge(now_ms() - before, 390);
    ck_assert_uint_lt(now_ms() - before, 4000);
    ck_assert_uint_eq(fake_count(b), 0);
}
END_TEST

START_TEST(a_write_that_the_node_calls_unknown_is_not_repeated)
{
    fake_answer(a, 504, NULL, TIMEOUT_UNKNOWN);
    open_a_b(1000);
    struct holdfast_result *r = put("k", "v");
    expect_end(r, HOLDFAST_TIMEOUT, HOLDFAST_UNKNOWN);
    ck_assert_uint_eq(r->attempts, 1);
    holdfast_result_free(r);
}
END_TEST

static const char *const garbage[] = {
    "",
    "{",
    "[]",
    "{}",
    "null",
    "{\"revision\":\"x\"}",
    "{\"revision\":-1,\"key\":\"k\"}",
    "{\"revision\":58} trailing",
    "{\"error\":{\"code\":1}}",
};

START_TEST(a_write_answered_with_garbage_is_unknown)
{
    fake_answer(a, _i % 2 == 0 ? 200 : 502, NULL, garbage[_i / 2]);
    open_a_b(1000);
    struct holdfast_result *r = put("k", "v");
    expect_end(r, HOLDFAST_BROKEN_ANSWER, HOLDFAST_UNKNOWN);
    ck_assert_uint_eq(r->attempts, 1);
    holdfast_result_free(r);
}
END_TEST

START_TEST(an_answer_beyond_the_limit_is_cut)
{
    struct holdfast_options options = HOLDFAST_OPTIONS_INIT;
    options.answer_max = 100 * 1000;
    fake_add(a, (struct fake_step) { .kind = FAKE_ANSWER, .status = 200, .filler = 64 << 20 });
    ck_assert(holdfast_open(fake_url(a), &options, &db, NULL) == HOLDFAST_OK);
    struct holdfast_result *r = get("k");
    expect_end(r, HOLDFAST_TOO_LARGE, HOLDFAST_NOT_APPLIED);
    ck_assert_ptr_nonnull(strstr(r->message, "100000"));
    holdfast_result_free(r);
}
END_TEST

START_TEST(a_deadline_ends_the_tries)
{
    char dead[64];
    int fd = refusing_port(dead);
    open_db(dead, 300);
    uint64_t before = now_ms();
    struct holdfast_result *r = put("k", "v");
    expect_end(r, HOLDFAST_UNREACHABLE, HOLDFAST_NOT_APPLIED);
    ck_assert_uint_ge(r->attempts, 3);
    ck_assert_uint_lt(r->attempts, 40);
    ck_assert_uint_lt(now_ms() - before, 3000);
    holdfast_result_free(r);
    close(fd);
}
END_TEST

START_TEST(an_overloaded_node_is_given_the_time_it_asks_for)
{
    fake_answer(a, 429, "Retry-After: 1\r\n",
                "{\"error\":{\"code\":\"overloaded\",\"message\":\"too many writes wait\","
                "\"retryable\":true,\"outcome\":\"not_applied\"}}");
    fake_answer(a, 200, NULL, PUT_DONE);
    open_a(4000);
    uint64_t before = now_ms();
    struct holdfast_result *r = put("k", "v");
    expect_end(r, HOLDFAST_OK, HOLDFAST_APPLIED);
    ck_assert_uint_ge(now_ms() - before, 1000);
    holdfast_result_free(r);
}
END_TEST

/* ---- leaders, members, redirects */

START_TEST(the_leader_named_in_an_answer_is_asked_next)
{
    char leader[128];
    snprintf(leader, sizeof(leader), "Holdfast-Leader: %s\r\n", fake_url(b));
    fake_answer(a, 200, leader, PUT_DONE);
    fake_answer(b, 200, leader, PUT_DONE);
    open_a(2000); /* b is no endpoint */
    struct holdfast_result *r = put("k", "1");
    ck_assert_str_eq(r->leader, fake_url(b));
    holdfast_result_free(r);
    r = put("k", "2");
    expect_end(r, HOLDFAST_OK, HOLDFAST_APPLIED);
    ck_assert_str_eq(r->node, fake_url(b));
    holdfast_result_free(r);
}
END_TEST

START_TEST(a_leader_that_is_gone_is_forgotten)
{
    char leader[128], dead[64];
    int fd = refusing_port(dead);
    snprintf(leader, sizeof(leader), "Holdfast-Leader: %s\r\n", dead);
    fake_answer(a, 200, leader, PUT_DONE);
    fake_answer(a, 200, NULL, PUT_DONE);
    open_a(2000);
    holdfast_result_free(put("k", "1"));
    struct holdfast_result *r = put("k", "2");
    expect_end(r, HOLDFAST_OK, HOLDFAST_APPLIED);
    ck_assert_uint_eq(r->attempts, 2);
    holdfast_result_free(r);
    close(fd);
}
END_TEST

START_TEST(a_redirect_is_followed_with_method_body_and_our_own_path)
{
    char location[128];
    snprintf(location, sizeof(location), "Location: %s/kv/other?raw\r\n", fake_url(b));
    fake_answer(a, 307, location, "");
    fake_answer(b, 200, NULL, PUT_DONE);
    open_a(2000);
    struct holdfast_result *r = put("mine", "v");
    expect_end(r, HOLDFAST_OK, HOLDFAST_APPLIED);
    holdfast_result_free(r);
    struct fake_request q = fake_request(b, 0);
    ck_assert_str_eq(q.method, "PUT");
    ck_assert_msg(strncmp(q.target, "/kv/mine?raw", 12) == 0, "%s", q.target);
    ck_assert_str_eq(q.body, "v");
}
END_TEST

static const char *const bad_places[] = {
    "Location: ftp://127.0.0.1:1/\r\n",
    "Location: http://user@127.0.0.1:1/\r\n",
    "Location: /kv/k\r\n",
    "Location: http://127.0.0.1:0/\r\n",
    "Location: \r\n",
    "",
};

START_TEST(redirects_that_lead_nowhere_end)
{
    fake_add(a, (struct fake_step) {
                    .status = 307, .headers = bad_places[_i], .body = "", .forever = true });
    open_a(200);
    struct holdfast_result *r = put("k", "v");
    expect_end(r, HOLDFAST_NO_LEADER, HOLDFAST_NOT_APPLIED);
    ck_assert_uint_lt(r->attempts, 20);
    holdfast_result_free(r);
}
END_TEST

START_TEST(two_nodes_that_point_at_each_other_do_not_trap_a_call)
{
    char to_a[128], to_b[128];
    snprintf(to_a, sizeof(to_a), "Location: %s/\r\n", fake_url(a));
    snprintf(to_b, sizeof(to_b), "Location: %s/\r\n", fake_url(b));
    fake_add(a, (struct fake_step) { .status = 307, .headers = to_b, .body = "", .forever = true });
    fake_add(b, (struct fake_step) { .status = 307, .headers = to_a, .body = "", .forever = true });
    open_a_b(300);
    struct holdfast_result *r = put("k", "v");
    expect_end(r, HOLDFAST_NO_LEADER, HOLDFAST_NOT_APPLIED);
    ck_assert_uint_lt(r->attempts, 60);
    holdfast_result_free(r);
}
END_TEST

START_TEST(a_handle_outlives_its_only_endpoint)
{
    char info[256];
    snprintf(info, sizeof(info),
             "{\"members\":[{\"id\":\"2\",\"role\":\"voter\",\"http_addr\":\"%s\"}]}",
             fake_url(b) + strlen("http://"));
    fake_set_info(a, info);
    fake_answer(a, 200, NULL, GET_DONE);
    fake_answer(a, 200, NULL, GET_DONE);
    fake_answer(b, 200, NULL, PUT_DONE);
    open_a(2000);
    holdfast_result_free(get("k"));
    ck_assert_uint_eq(fake_info_count(a), 0); /* one call, one request */
    holdfast_result_free(get("k"));
    ck_assert_uint_eq(fake_info_count(a), 1);
    fake_stop(a);
    struct holdfast_result *r = put("k", "v");
    expect_end(r, HOLDFAST_OK, HOLDFAST_APPLIED);
    ck_assert_str_eq(r->node, fake_url(b));
    holdfast_result_free(r);
}
END_TEST

START_TEST(only_endpoints_means_only_endpoints)
{
    struct holdfast_options options = HOLDFAST_OPTIONS_INIT;
    char leader[256];
    snprintf(leader, sizeof(leader), "Holdfast-Leader: %s\r\nLocation: %s/\r\n", fake_url(b),
             fake_url(b));
    fake_answer(a, 200, leader, PUT_DONE);
    fake_answer(a, 307, leader, "");
    fake_answer(a, 200, leader, PUT_DONE);
    options.only_endpoints = true;
    ck_assert(holdfast_open(fake_url(a), &options, &db, NULL) == HOLDFAST_OK);
    holdfast_result_free(put("k", "1"));
    struct holdfast_result *r = put("k", "2");
    expect_end(r, HOLDFAST_OK, HOLDFAST_APPLIED);
    holdfast_result_free(r);
    ck_assert_uint_eq(fake_count(a), 3);
    ck_assert_uint_eq(fake_count(b), 0);
    ck_assert_uint_eq(fake_info_count(a), 0);
}
END_TEST

START_TEST(a_named_node_is_asked_and_no_other)
{
    struct holdfast_call call = HOLDFAST_CALL_INIT;
    fake_answer(b, 200, NULL, "{\"state\":\"follower\"}");
    open_a(1000);
    call.node = fake_url(b);
    struct holdfast_result *r = holdfast_status(db, &call);
    expect_end(r, HOLDFAST_OK, HOLDFAST_APPLIED);
    ck_assert_str_eq(r->status->state, "follower");
    ck_assert_uint_eq(fake_count(a), 0);
    holdfast_result_free(r);
}
END_TEST

START_TEST(connections_are_kept)
{
    fake_add(a, (struct fake_step) { .status = 200, .body = PUT_DONE, .forever = true });
    open_a(2000);
    for (int i = 0; i < 50; i++) {
        struct holdfast_result *r = put("k", "v");
        expect_end(r, HOLDFAST_OK, HOLDFAST_APPLIED);
        holdfast_result_free(r);
    }
    ck_assert_uint_eq(fake_connections(a), 1);
}
END_TEST

static void *hammer(void *arg)
{
    unsigned *good = arg;
    for (int i = 0; i < 40; i++) {
        struct holdfast_result *r = i % 2 == 0 ? put("k", "v") : get("k");
        *good += r->error == HOLDFAST_OK;
        holdfast_result_free(r);
    }
    return NULL;
}

/* For the build with -fsanitize=thread above all. */
START_TEST(many_threads_share_a_handle)
{
    enum { THREADS = 6 };
    pthread_t threads[THREADS];
    unsigned good[THREADS] = { 0 };
    char leader[128];
    snprintf(leader, sizeof(leader), "Holdfast-Leader: %s\r\n", fake_url(b));
    fake_set_info(a, "{\"members\":[]}");
    fake_add(a, (struct fake_step) {
                    .status = 200, .headers = leader, .forever = true, .body = GET_DONE });
    fake_add(b, (struct fake_step) { .status = 200, .body = GET_DONE, .forever = true });
    open_a_b(5000);
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, hammer, &good[i]), 0);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        ck_assert_uint_eq(good[i], 40);
    }
    ck_assert_uint_le(fake_connections(a) + fake_connections(b), 2 * THREADS);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("client retries");
    TCase *retries = tcase_create("retries"), *nodes = tcase_create("nodes");
    TCase *cases[] = { retries, nodes };
    tcase_add_test(retries, a_write_is_repeated_when_it_was_not_applied);
    tcase_add_test(retries, a_refused_connection_leads_to_the_next_endpoint);
    tcase_add_test(retries, a_read_is_repeated_when_the_connection_breaks);
    tcase_add_test(retries, a_silent_node_does_not_cost_a_read_all_its_time);
    tcase_add_test(retries, a_write_whose_connection_broke_is_unknown_and_not_repeated);
    tcase_add_test(retries, a_write_on_a_kept_connection_that_breaks_is_sent_once);
    tcase_add_test(retries, a_write_without_an_answer_in_time_is_unknown);
    tcase_add_test(retries, a_write_that_the_node_calls_unknown_is_not_repeated);
    tcase_add_loop_test(retries, a_write_answered_with_garbage_is_unknown, 0, 2 * COUNT(garbage));
    tcase_add_test(retries, an_answer_beyond_the_limit_is_cut);
    tcase_add_test(retries, a_deadline_ends_the_tries);
    tcase_add_test(retries, an_overloaded_node_is_given_the_time_it_asks_for);
    tcase_add_test(nodes, the_leader_named_in_an_answer_is_asked_next);
    tcase_add_test(nodes, a_leader_that_is_gone_is_forgotten);
    tcase_add_test(nodes, a_redirect_is_followed_with_method_body_and_our_own_path);
    tcase_add_loop_test(nodes, redirects_that_lead_nowhere_end, 0, COUNT(bad_places));
    tcase_add_test(nodes, two_nodes_that_point_at_each_other_do_not_trap_a_call);
    tcase_add_test(nodes, a_handle_outlives_its_only_endpoint);
    tcase_add_test(nodes, only_endpoints_means_only_endpoints);
    tcase_add_test(nodes, a_named_node_is_asked_and_no_other);
    tcase_add_test(nodes, connections_are_kept);
    tcase_add_test(nodes, many_threads_share_a_handle);
    return run_suite(suite, cases, COUNT(cases));
}
