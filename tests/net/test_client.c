/* test_client.c - libholdfast: what its requests look like, and what it makes of answers. */
#include "tests/support/client_fixture.h"

static void expect_bytes(struct holdfast_bytes bytes, const void *data, size_t size)
{
    ck_assert_uint_eq(bytes.size, size);
    ck_assert_mem_eq(bytes.data, data, size);
    ck_assert_int_eq(((const char *)bytes.data)[size], '\0');
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
    ck_assert_msg(strncmp(q.target, "/kv/app/a%20b?raw&if_revision=57&timeout=", 41) == 0, "%s",
                  q.target);
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
        { .type = HOLDFAST_OP_SET,
          .key = holdfast_text("a"),
          .value = holdfast_text("say \"hi\"\n") },
        { .type = HOLDFAST_OP_GET, .key = holdfast_bytes("\xff", 1) },
        { .type = HOLDFAST_OP_DELETE,
          .key = holdfast_text("b"),
          .conditional = true,
          .if_revision = 7 },
        { .type = HOLDFAST_OP_SET,
          .key = holdfast_text("c"),
          .value = holdfast_bytes("\0\xc0", 2) },
    };
    fake_answer(
        a, 200, NULL,
        "{\"revision\":63,\"results\":[{\"type\":\"set\",\"key\":\"a\",\"ok\":true,"
        "\"revision\":63},{\"type\":\"get\",\"key_b64\":\"/w==\",\"ok\":true,\"found\":false},"
        "{\"type\":\"delete\",\"key\":\"b\",\"ok\":true,\"deleted\":1},"
        "{\"type\":\"set\",\"key\":\"c\",\"ok\":true,\"revision\":63}]}");
    open_a(2000);
    struct holdfast_result *r = holdfast_batch(db, ops, 4, NULL);
    expect_end(r, HOLDFAST_OK, HOLDFAST_APPLIED);
    ck_assert_str_eq(
        fake_request(a, 0).body,
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
    fake_answer(
        a, 412, NULL,
        "{\"error\":{\"code\":\"condition_failed\",\"message\":\"the key is at revision 9\","
        "\"hint\":\"read it again\",\"retryable\":false,\"outcome\":\"not_applied\","
        "\"revision\":9,\"operation\":3}}");
    fake_answer(
        a, 404, NULL,
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
    fake_answer(
        a, 200, NULL,
        "{\"id\":\"18446744073709551615\",\"name\":\"node1\",\"state\":\"leader\",\"term\":7,"
        "\"leader\":\"18446744073709551615\",\"commit_index\":42,\"applied_index\":41,"
        "\"version\":\"0.1.0\"}");
    fake_set_info(a, "{\"members\":[{\"id\":\"1\",\"name\":\"node1\",\"role\":\"leader\","
                     "\"raft_addr\":\"h:1\",\"http_addr\":\"127.0.0.1:65001\"},{\"id\":\"2\","
                     "\"role\":\"voter\"}]}");
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

int main(void)
{
    Suite *suite = suite_create("client");
    TCase *answers = tcase_create("answers"), *endpoints = tcase_create("endpoints");
    TCase *cases[] = { answers, endpoints };
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
    tcase_add_loop_test(endpoints, endpoints_are_read, 0, COUNT(endpoint_cases));
    return run_suite(suite, cases, COUNT(cases));
}
