/* test_client.c - libholdfast against servers that behave badly on purpose: what is repeated,
 * what is not, and what the caller is told. */
#include "tests/support/fake_http.h"

#include <holdfast/client.h>

#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define NO_LEADER                                                                                 \
    "{\"error\":{\"code\":\"no_leader\",\"message\":\"no leader is known\",\"hint\":\"try "        \
    "again\",\"retryable\":true,\"outcome\":\"not_applied\"}}"
#define TIMEOUT_UNKNOWN                                                                           \
    "{\"error\":{\"code\":\"timeout\",\"message\":\"no majority answered\",\"hint\":\"\","        \
    "\"retryable\":true,\"outcome\":\"unknown\"}}"
#define PUT_DONE "{\"key\":\"k\",\"revision\":58,\"version\":3,\"created\":false}"
#define GET_DONE                                                                                  \
    "{\"key\":\"k\",\"value\":\"world\",\"revision\":58,\"create_revision\":12,\"version\":3}"

static struct fake *a, *b;
static struct holdfast *db;

static void setup(void)
{
    a = fake_start();
    b = fake_start();
}

static void teardown(void)
{
    holdfast_close(db);
    db = NULL;
    fake_free(a);
    fake_free(b);
}

static void open_db(const char *endpoints, uint32_t timeout_ms)
{
    struct holdfast_options options = HOLDFAST_OPTIONS_INIT;
    char why[HOLDFAST_MESSAGE_MAX] = "";
    options.timeout_ms = timeout_ms;
    ck_assert_msg(holdfast_open(endpoints, &options, &db, why) == HOLDFAST_OK, "%s", why);
}

static void open_a(uint32_t timeout_ms)
{
    open_db(fake_url(a), timeout_ms);
}

static void open_a_b(uint32_t timeout_ms)
{
    char both[256];
    snprintf(both, sizeof(both), "%s,%s", fake_url(a), fake_url(b));
    open_db(both, timeout_ms);
}

static struct holdfast_result *get(const char *key)
{
    return holdfast_get(db, holdfast_text(key), NULL);
}

static struct holdfast_result *put(const char *key, const char *value)
{
    return holdfast_put(db, holdfast_text(key), holdfast_text(value), NULL);
}

static void expect_end(const struct holdfast_result *r, enum holdfast_error error,
                       enum holdfast_outcome outcome)
{
    ck_assert_msg(r->error == error && r->outcome == outcome,
                  "expected %s, %s; got %s, %s: %s", holdfast_error_name(error),
                  holdfast_outcome_name(outcome), holdfast_error_name(r->error),
                  holdfast_outcome_name(r->outcome), r->message);
}

static void expect_bytes(struct holdfast_bytes bytes, const void *data, size_t size)
{
    ck_assert_uint_eq(bytes.size, size);
    ck_assert_mem_eq(bytes.data, data, size);
    ck_assert_int_eq(((const char *)bytes.data)[size], '\0');
}

static uint64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* ---- plain answers */

START_TEST(get_returns_value_and_revisions)
{
    fake_answer(a, 200, "Holdfast-Revision: 61\r\n", GET_DONE);
    open_a(2000);
    struct holdfast_result *r = get("k");
    expect_end(r, HOLDFAST_OK, HOLDFAST_APPLIED);
    ck_assert_uint_eq(r->n_kvs, 1);
    expect_bytes(r->kvs[0].key, "k", 1);
    expect_bytes(r->kvs[0].value, "world", 5);
    ck_assert_uint_eq(r->kvs[0].revision, 58);
    ck_assert_uint_eq(r->kvs[0].create_revision, 12);
    ck_assert_uint_eq(r->kvs[0].version, 3);
    ck_assert_uint_eq(r->revision, 61);
    ck_assert_uint_eq(r->attempts, 1);
    ck_assert_str_eq(r->node, fake_url(a));
    expect_bytes(r->json, GET_DONE, strlen(GET_DONE));
    holdfast_result_free(r);
}
END_TEST

START_TEST(get_decodes_base64_values)
{
    fake_answer(a, 200, NULL, "{\"key_b64\":\"AAE=\",\"value_b64\":\"/wAQ\",\"revision\":2}");
    fake_answer(a, 200, NULL, "{\"key\":\"k\",\"value_b64\":\"\",\"revision\":2}");
    fake_answer(a, 200, NULL, "{\"key\":\"k\",\"value_b64\":\"=wAQ\",\"revision\":2}");
    open_a(2000);
    struct holdfast_result *r = get("k");
    expect_bytes(r->kvs[0].key, "\x00\x01", 2);
    expect_bytes(r->kvs[0].value, "\xff\x00\x10", 3);
    holdfast_result_free(r);
    r = get("k");
    expect_bytes(r->kvs[0].value, "", 0);
    holdfast_result_free(r);
    r = get("k");
    expect_end(r, HOLDFAST_BROKEN_ANSWER, HOLDFAST_NOT_APPLIED);
    holdfast_result_free(r);
}
END_TEST

START_TEST(put_sends_the_bytes_and_the_condition)
{
    struct holdfast_call call = HOLDFAST_CALL_INIT;
    fake_answer(a, 200, NULL, PUT_DONE);
    open_a(1000);
    call.conditional = true;
    call.if_revision = 57;
    struct holdfast_result *r =
        holdfast_put(db, holdfast_text("app/a b"), holdfast_bytes("{\0\xff", 3), &call);
    expect_end(r, HOLDFAST_OK, HOLDFAST_APPLIED);
    ck_assert_uint_eq(r->revision, 58);
    holdfast_result_free(r);
    struct fake_request q = fake_request(a, 0);
    ck_assert_str_eq(q.method, "PUT");
    ck_assert_msg(strncmp(q.target, "/kv/app/a%20b?raw&if_revision=57&timeout=", 41) == 0, "%s", q.target);
    ck_assert_uint_eq(q.body_size, 3);
    ck_assert_mem_eq(q.body, "{\0\xff", 3);
    ck_assert_ptr_nonnull(strstr(q.headers, "Content-Type: application/octet-stream\r\n"));
    ck_assert_ptr_null(strstr(q.headers, "Expect:"));
}
END_TEST

START_TEST(an_empty_value_is_put)
{
    fake_answer(a, 200, NULL, PUT_DONE);
    open_a(2000);
    struct holdfast_result *r = holdfast_put(db, holdfast_text("k"), holdfast_bytes(NULL, 0), NULL);
    expect_end(r, HOLDFAST_OK, HOLDFAST_APPLIED);
    holdfast_result_free(r);
    ck_assert_ptr_nonnull(strstr(fake_request(a, 0).headers, "Content-Length: 0\r\n"));
}
END_TEST

static const struct {
    const char *key;
    size_t size;
    const char *target; /* up to the next parameter */
} key_cases[] = {
    { "hello", 5, "/kv/hello?" },
    { "a/b", 3, "/kv/a/b?" },
    { "100%?#&+", 8, "/kv/100%25%3F%23%26%2B?" },
    { "\xc3\xa4", 2, "/kv/%C3%A4?" },
    { "\0x", 2, "/kv?key=%00x&" },
    { ".", 1, "/kv?key=.&" },
    { "a/../b", 6, "/kv?key=a/../b&" },
    { "/a", 2, "/kv?key=/a&" },
    { "a/", 2, "/kv?key=a/&" },
    { "a//b", 4, "/kv?key=a//b&" },
    { "..a/.b", 6, "/kv/..a/.b?" },
    { "\n\r \t\"\\", 6, "/kv/%0A%0D%20%09%22%5C?" },
};

START_TEST(any_key_reaches_the_server_unchanged)
{
    fake_answer(a, 200, NULL, GET_DONE);
    open_a(2000);
    struct holdfast_result *r =
        holdfast_get(db, holdfast_bytes(key_cases[_i].key, key_cases[_i].size), NULL);
    expect_end(r, HOLDFAST_OK, HOLDFAST_APPLIED);
    holdfast_result_free(r);
    struct fake_request q = fake_request(a, 0);
    ck_assert_msg(strncmp(q.target, key_cases[_i].target, strlen(key_cases[_i].target)) == 0,
                  "expected %s..., got %s", key_cases[_i].target, q.target);
}
END_TEST

START_TEST(keys_that_are_none_are_refused_unsent)
{
    static const char long_key[512] = "x";
    open_a(1000);
    struct holdfast_result *r = get("");
    expect_end(r, HOLDFAST_BAD_ARGUMENT, HOLDFAST_NOT_APPLIED);
    holdfast_result_free(r);
    r = holdfast_delete(db, holdfast_bytes(long_key, 512), NULL);
    expect_end(r, HOLDFAST_TOO_LARGE, HOLDFAST_NOT_APPLIED);
    holdfast_result_free(r);
    r = holdfast_delete_prefix(db, holdfast_text(""), NULL);
    expect_end(r, HOLDFAST_BAD_ARGUMENT, HOLDFAST_NOT_APPLIED);
    holdfast_result_free(r);
    char *large = calloc(1, HOLDFAST_VALUE_MAX + 1);
    r = holdfast_put(db, holdfast_text("k"), holdfast_bytes(large, HOLDFAST_VALUE_MAX + 1), NULL);
    expect_end(r, HOLDFAST_TOO_LARGE, HOLDFAST_NOT_APPLIED);
    holdfast_result_free(r);
    free(large);
    ck_assert_uint_eq(fake_count(a), 0);
}
END_TEST

START_TEST(list_returns_a_page_and_its_cursor)
{
    struct holdfast_range range = HOLDFAST_RANGE_INIT;
    struct holdfast_call call = HOLDFAST_CALL_INIT;
    fake_answer(a, 200, NULL,
                "{\"kvs\":[{\"key\":\"app/1\",\"value\":\"x\",\"revision\":4},"
                "{\"key_b64\":\"/w==\",\"value\":\"\",\"revision\":5}],"
                "\"count\":2,\"more\":true,\"cursor\":\"c+1\",\"revision\":61}");
    fake_answer(a, 200, NULL, "{\"kvs\":[],\"count\":0,\"more\":false,\"revision\":61}");
    open_a(2000);
    range.prefix = holdfast_text("app/&");
    range.limit = 2;
    range.descending = true;
    call.consistency = HOLDFAST_STALE;
    call.max_stale_ms = 500;
    struct holdfast_result *r = holdfast_list(db, &range, &call);
    expect_end(r, HOLDFAST_OK, HOLDFAST_APPLIED);
    ck_assert_uint_eq(r->n_kvs, 2);
    expect_bytes(r->kvs[0].key, "app/1", 5);
    expect_bytes(r->kvs[1].key, "\xff", 1);
    ck_assert(r->more);
    const char *start = "/kv?prefix=app/%26&limit=2&order=desc&consistency=stale&max_stale=500ms&";
    ck_assert_msg(strncmp(fake_request(a, 0).target, start, strlen(start)) == 0, "%s",
                  fake_request(a, 0).target);
    range.cursor = r->cursor;
    struct holdfast_result *next = holdfast_list(db, &range, NULL);
    expect_end(next, HOLDFAST_OK, HOLDFAST_APPLIED);
    ck_assert(!next->more);
    ck_assert_ptr_nonnull(strstr(fake_request(a, 1).target, "&cursor=c%2B1&"));
    holdfast_result_free(next);
    holdfast_result_free(r);
}
END_TEST

START_TEST(batch_is_written_and_read)
{
    struct holdfast_op ops[] = {
        { .type = HOLDFAST_OP_SET, .key = holdfast_text("a"), .value = holdfast_text("say \"hi\"\n") },
        { .type = HOLDFAST_OP_GET, .key = holdfast_bytes("\xff", 1) },
        { .type = HOLDFAST_OP_DELETE, .key = holdfast_text("b"), .conditional = true, .if_revision = 7 },
        { .type = HOLDFAST_OP_SET, .key = holdfast_text("c"), .value = holdfast_bytes("\0\xc0", 2) },
    };
    fake_answer(a, 200, NULL,
                "{\"revision\":63,\"results\":[{\"type\":\"set\",\"key\":\"a\",\"ok\":true,"
                "\"revision\":63},{\"type\":\"get\",\"key_b64\":\"/w==\",\"ok\":true,\"found\":false},"
                "{\"type\":\"delete\",\"key\":\"b\",\"ok\":true,\"deleted\":1},"
                "{\"type\":\"set\",\"key\":\"c\",\"ok\":true,\"revision\":63}]}");
    open_a(2000);
    struct holdfast_result *r = holdfast_batch(db, ops, 4, NULL);
    expect_end(r, HOLDFAST_OK, HOLDFAST_APPLIED);
    ck_assert_str_eq(fake_request(a, 0).body,
                     "{\"operations\":[{\"type\":\"set\",\"key\":\"a\",\"value\":\"say \\\"hi\\\"\\u000a\"},"
                     "{\"type\":\"get\",\"key_b64\":\"/w==\"},"
                     "{\"type\":\"delete\",\"key\":\"b\",\"if_revision\":7},"
                     "{\"type\":\"set\",\"key\":\"c\",\"value_b64\":\"AMA=\"}]}");
    ck_assert_uint_eq(r->revision, 63);
    ck_assert_uint_eq(r->n_ops, 4);
    ck_assert(r->ops[0].ok && !r->ops[1].ok && r->ops[2].ok);
    ck_assert_int_eq(r->ops[2].type, HOLDFAST_OP_DELETE);
    holdfast_result_free(r);
}
END_TEST

START_TEST(errors_carry_code_hint_and_revision)
{
    fake_answer(a, 412, NULL,
                "{\"error\":{\"code\":\"condition_failed\",\"message\":\"the key is at revision 9\","
                "\"hint\":\"read it again\",\"retryable\":false,\"outcome\":\"not_applied\","
                "\"revision\":9,\"operation\":3}}");
    fake_answer(a, 404, NULL,
                "{\"error\":{\"code\":\"key_not_found\",\"message\":\"no such key\",\"retryable\":false,"
                "\"outcome\":\"not_applied\"}}");
    open_a(2000);
    struct holdfast_result *r = put("k", "v");
    expect_end(r, HOLDFAST_CONDITION_FAILED, HOLDFAST_NOT_APPLIED);
    ck_assert_str_eq(r->code, "condition_failed");
    ck_assert_str_eq(r->hint, "read it again");
    ck_assert_int_eq(r->http_status, 412);
    ck_assert_uint_eq(r->revision, 9);
    ck_assert_uint_eq(r->failed_op, 3);
    holdfast_result_free(r);
    r = get("k");
    expect_end(r, HOLDFAST_NOT_FOUND, HOLDFAST_NOT_APPLIED);
    ck_assert_uint_eq(r->n_kvs, 0);
    holdfast_result_free(r);
}
END_TEST

START_TEST(status_and_info_are_parsed)
{
    fake_answer(a, 200, NULL,
                "{\"id\":\"18446744073709551615\",\"name\":\"node1\",\"state\":\"leader\",\"term\":7,"
                "\"leader\":\"18446744073709551615\",\"commit_index\":42,\"applied_index\":41,"
                "\"version\":\"0.1.0\"}");
    fake_set_info(a, "{\"members\":[{\"id\":\"1\",\"name\":\"node1\",\"role\":\"leader\","
                     "\"raft_addr\":\"h:1\",\"http_addr\":\"127.0.0.1:65001\"},{\"id\":\"2\",\"role\":\"voter\"}]}");
    open_a(2000);
    struct holdfast_result *r = holdfast_status(db, NULL);
    expect_end(r, HOLDFAST_OK, HOLDFAST_APPLIED);
    ck_assert_str_eq(r->status->id, "18446744073709551615");
    ck_assert_str_eq(r->status->state, "leader");
    ck_assert_uint_eq(r->status->term, 7);
    ck_assert_uint_eq(r->status->commit_index, 42);
    ck_assert_str_eq(fake_request(a, 0).target, "/status");
    holdfast_result_free(r);
    r = holdfast_info(db, NULL);
    ck_assert_uint_eq(r->n_members, 2);
    ck_assert(r->members[0].leader && !r->members[1].leader);
    ck_assert_str_eq(r->members[1].http_addr, "");
    ck_assert_uint_eq(holdfast_nodes(db, NULL, 0), 2);
    holdfast_result_free(r);
}
END_TEST

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
    "", "{", "[]", "{}", "null", "{\"revision\":\"x\"}", "{\"revision\":-1,\"key\":\"k\"}",
    "{\"revision\":58} trailing", "{\"error\":{\"code\":1}}",
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
    fake_add(a, (struct fake_step) { .status = 307, .headers = bad_places[_i], .body = "",
                                     .forever = true });
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
    snprintf(info, sizeof(info), "{\"members\":[{\"id\":\"2\",\"role\":\"voter\",\"http_addr\":\"%s\"}]}",
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
    snprintf(leader, sizeof(leader), "Holdfast-Leader: %s\r\nLocation: %s/\r\n", fake_url(b), fake_url(b));
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
    fake_add(a, (struct fake_step) { .status = 200, .headers = leader, .forever = true,
                                     .body = GET_DONE });
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

START_TEST(documents_come_as_they_are)
{
    fake_answer(a, 503, NULL, "[-]leader none\n");
    fake_answer(a, 200, NULL, "ok\n");
    open_a(1000);
    struct holdfast_result *r = holdfast_document(db, "/readyz?verbose", NULL);
    expect_end(r, HOLDFAST_SERVER_ERROR, HOLDFAST_NOT_APPLIED);
    ck_assert_int_eq(r->http_status, 503);
    expect_bytes(r->json, "[-]leader none\n", 15);
    holdfast_result_free(r);
    r = holdfast_document(db, "/livez", NULL);
    expect_end(r, HOLDFAST_OK, HOLDFAST_APPLIED);
    holdfast_result_free(r);
    r = holdfast_document(db, "/a b", NULL);
    expect_end(r, HOLDFAST_BAD_ARGUMENT, HOLDFAST_NOT_APPLIED);
    holdfast_result_free(r);
}
END_TEST

/* ---- endpoints */

static const struct {
    const char *text;
    const char *urls; /* NULL: refused */
} endpoint_cases[] = {
    { "http://localhost:8001,8002,8003",
      "http://localhost:8001 http://localhost:8002 http://localhost:8003" },
    { "8001", "http://localhost:8001" },
    { ":7", "http://localhost:7" },
    { "DB1:80, db1:80 db2", "http://db1:80 http://db2:8001" },
    { "https://db1:1,db2:2,http://db3/", "https://db1:1 https://db2:2 http://db3:8001" },
    { "[::1]:8001,8002", "http://[::1]:8001 http://[::1]:8002" },
    { "10.0.0.1:1,,", "http://10.0.0.1:1" },
    { "", NULL },
    { " , ", NULL },
    { "ftp://x:1", NULL },
    { "http://x:0", NULL },
    { "http://x:65536", NULL },
    { "http://x:123456", NULL },
    { "http://x:", NULL },
    { "http://", NULL },
    { "http://u:p@x:1", NULL },
    { "http://x:1/path", NULL },
    { "http://x:1?q", NULL },
    { "x%41:1", NULL },
    { "[::1:8001", NULL },
    { "[]:1", NULL },
    { "99999", NULL },
    { "a b\x01", NULL },
};

START_TEST(endpoints_are_read)
{
    char why[HOLDFAST_MESSAGE_MAX] = "", found[2048] = "";
    char urls[HOLDFAST_NODES_MAX][HOLDFAST_URL_MAX];
    enum holdfast_error error = holdfast_open(endpoint_cases[_i].text, NULL, &db, why);
    if (endpoint_cases[_i].urls == NULL) {
        ck_assert_msg(error == HOLDFAST_BAD_ARGUMENT, "\"%s\" was taken", endpoint_cases[_i].text);
        ck_assert_ptr_null(db);
        ck_assert_ptr_nonnull(strstr(why, "http://localhost:8001"));
        return;
    }
    ck_assert_msg(error == HOLDFAST_OK, "%s", why);
    size_t n = holdfast_nodes(db, urls, HOLDFAST_NODES_MAX);
    for (size_t i = 0; i < n; i++) {
        strcat(found, i == 0 ? "" : " ");
        strcat(found, urls[i]);
    }
    ck_assert_str_eq(found, endpoint_cases[_i].urls);
}
END_TEST

#define COUNT(array) (int)(sizeof(array) / sizeof((array)[0]))

int main(void)
{
    Suite *suite = suite_create("client");
    TCase *answers = tcase_create("answers"), *retries = tcase_create("retries");
    TCase *nodes = tcase_create("nodes"), *endpoints = tcase_create("endpoints");
    TCase *cases[] = { answers, retries, nodes, endpoints };
    for (int i = 0; i < COUNT(cases); i++) {
        tcase_add_checked_fixture(cases[i], setup, teardown);
        tcase_set_timeout(cases[i], 30);
        suite_add_tcase(suite, cases[i]);
    }
    tcase_add_test(answers, get_returns_value_and_revisions);
    tcase_add_test(answers, get_decodes_base64_values);
    tcase_add_test(answers, put_sends_the_bytes_and_the_condition);
    tcase_add_test(answers, an_empty_value_is_put);
    tcase_add_loop_test(answers, any_key_reaches_the_server_unchanged, 0, COUNT(key_cases));
    tcase_add_test(answers, keys_that_are_none_are_refused_unsent);
    tcase_add_test(answers, list_returns_a_page_and_its_cursor);
    tcase_add_test(answers, batch_is_written_and_read);
    tcase_add_test(answers, errors_carry_code_hint_and_revision);
    tcase_add_test(answers, status_and_info_are_parsed);
    tcase_add_test(answers, documents_come_as_they_are);
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
    tcase_add_loop_test(endpoints, endpoints_are_read, 0, COUNT(endpoint_cases));
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
