/* test_rest_bad.c - bad input over a socket: each a clear error with its code, nothing half
 * applied, the server still serving. */
#include "tests/support/one_node.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

static struct one_node *one;
static struct rest rest;

static bool leads(void *arg)
{
    struct node_status status;
    node_status(one_node_node(arg), &status);
    return status.role == RAFT_LEADER && status.applied == status.last;
}

static void set_up(void)
{
    one = one_node_new();
    struct rest_backend backend = one_node_backend(one);
    rest_init(&rest, &backend, NULL);
    rest_until(&rest, leads, one);
    rest_expect(rest_put(&rest, "/kv/untouched", "{\"value\":\"1\"}"), 200);
}

/* After whatever was done: nothing was applied, and the server serves. */
static void tear_down(void)
{
    const struct rest_answer *answer = rest_get(&rest, "/kv?keys_only=1");
    rest_expect(answer, 200);
    ck_assert_double_eq(rest_number(answer, "count"), 1);
    ck_assert_double_eq(rest_number(answer, "revision"), 2);
    ck_assert(server_idle(rest.server));
    rest_fini(&rest);
    one_node_free(one);
}

static void expect_bad(const struct rest_answer *answer, const char *message)
{
    rest_expect_error(answer, 400, "bad_request", "not_applied", message, NULL);
    ck_assert(cJSON_IsFalse(cJSON_GetObjectItem(rest_member(answer, "error"), "retryable")));
}

/* ---- keys and values */

START_TEST(an_empty_key)
{
    expect_bad(rest_put(&rest, "/kv/", "{\"value\":\"1\"}"), "key is empty; a key has 1 to 511");
    expect_bad(rest_get(&rest, "/kv/"), "key is empty");
    expect_bad(rest_delete(&rest, "/kv/"), "key is empty");
    expect_bad(rest_get(&rest, "/kv?key="), "key is empty");
    expect_bad(rest_put(&rest, "/kv", "{\"value\":\"1\"}"), "names no key");
    rest_expect_error(rest_put(&rest, "/kv/a?key=b", "{\"value\":\"1\"}"), 400, "bad_request",
                      "not_applied", "no parameter \"key\"", "known here");
}
END_TEST

START_TEST(a_key_of_512_bytes)
{
    char target[600] = "/kv/";
    memset(target + 4, 'k', 512);
    static const char *const methods[] = { "GET", "DELETE", "PUT" };
    for (size_t i = 0; i < 3; i++)
        rest_expect_error(rest_ask(&rest, methods[i], target, NULL,
                                   slice_text(i == 2 ? "{\"value\":\"1\"}" : "")),
                          413, "too_large", "not_applied", "512 bytes; at most 511", NULL);
    memcpy(target, "/kv?key=", 8);
    target[8 + 512] = '\0';
    memset(target + 8, 'k', 512);
    rest_expect_error(rest_get(&rest, target), 413, "too_large", "not_applied", "at most 511",
                      NULL);
}
END_TEST

START_TEST(a_value_over_the_limit)
{
    size_t size = VALUE_SIZE_MAX + 1;
    char *body = malloc(size + 16);
    memset(body, 'v', size);
    rest_expect_error(rest_ask(&rest, "PUT", "/kv/a?raw", NULL, slice_of(body, size)), 413,
                      "too_large", "not_applied", "1048577 bytes; at most 1048576", NULL);
    memcpy(body, "{\"value\":\"", 10);
    memset(body + 10, 'v', size);
    memcpy(body + 10 + size, "\"}", 2);
    rest_expect_error(rest_ask(&rest, "PUT", "/kv/a", NULL, slice_of(body, size + 12)), 413,
                      "too_large", "not_applied", "at most 1048576", NULL);
    free(body);
}
END_TEST

START_TEST(a_body_over_the_limit)
{
    size_t size = REQUEST_BODY_MAX + 1;
    char *bytes = malloc(size + 256);
    int head = sprintf(bytes, "PUT /kv/a HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n", size);
    memset(bytes + head, 'v', size);
    rest_expect_error(rest_raw(&rest, slice_of(bytes, (size_t)head + size)), 413, "too_large",
                      "not_applied", "1572864", NULL);
    free(bytes);
}
END_TEST

/* ---- bodies */

START_TEST(a_body_that_is_no_json)
{
    static const struct {
        const char *body, *message;
    } rows[] = {
        { "", "the body is empty" },
        { "world", "must be a JSON object" },
        { "\"world\"", "must be a JSON object" },
        { "value=world", "must be a JSON object" },
        { "[]", "must be a JSON object" },
        { "{", "not JSON" },
        { "{\"value\":\"world\"", "not JSON" },
        { "{\"value\":\"world\"} trailing", "behind the end of the value at byte 18" },
        { "{\"value\":\"world\"}{\"value\":\"world\"}", "behind the end" },
        { "{'value':'world'}", "not JSON" },
        { "{\"value\":\"a\",\"value\":\"b\"}", "\"value\" is given twice" },
        { "{\"value\":\"a\",\"value_b64\":\"YQ==\"}", "both \"value\" and \"value_b64\"" },
        { "{}", "\"value\" (or \"value_b64\") is missing" },
        { "{\"value\":1}", "\"value\" is a number; it must be a string" },
        { "{\"value\":null}", "\"value\" is null; it must be a string" },
        { "{\"value\":[\"a\"]}", "\"value\" is an array; it must be a string" },
        { "{\"Value\":\"a\"}", "there is no member \"Value\"" },
        { "{\"value\":\"a\",\"ttl\":5}", "there is no member \"ttl\"" },
        { "{\"value_b64\":\"a\"}", "is not base64" },
        { "{\"value\":\"a\\u0000b\"}", "NUL" },
        { "{\"value\":\"\xff\"}", "not valid UTF-8 at byte 10" },
        { "{\"value\":\"a\nb\"}", "a control character" },
        { "{\"value\":\"\\ud800\"}", "surrogate" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        expect_bad(rest_put(&rest, "/kv/a", rows[i].body), rows[i].message);
    expect_bad(rest_ask(&rest, "PUT", "/kv/a", NULL, slice_of("{\"value\":\"a\0b\"}", 15)),
               "control character");
}
END_TEST

START_TEST(the_hint_of_a_bad_put_is_a_line_that_works)
{
    const struct rest_answer *answer = rest_put(&rest, "/kv/some%20key", "world");
    rest_expect_error(answer, 400, "bad_request", "not_applied", NULL,
                      "curl -X PUT 'http://localhost/kv/some%20key' -d '{\"value\":\"world\"}'");
    answer = rest_put(&rest, "/kv/a'b", "world"); /* nothing that would break out of the quotes */
    rest_expect_error(answer, 400, "bad_request", "not_applied", NULL, "/kv/hello'");
    rest_expect_error(rest_put(&rest, "/kv/a", "{\"value\":\"a\\u0000\"}"), 400, "bad_request",
                      "not_applied", NULL, "value_b64");
}
END_TEST

START_TEST(deep_nesting_and_floods)
{
    size_t size = 1024 * 1024;
    char *body = malloc(size);
    memset(body, '[', size);
    memcpy(body, "{\"value\":", 9);
    expect_bad(rest_ask(&rest, "PUT", "/kv/a", NULL, slice_of(body, size)), "16 levels");
    size_t used = (size_t)sprintf(body, "{\"operations\":[");
    for (; used + 4 < size; used += 2)
        memcpy(body + used, "0,", 2);
    memcpy(body + used, "0]}", 3);
    rest_expect_error(rest_ask(&rest, "POST", "/batch", NULL, slice_of(body, used + 3)), 413,
                      "too_large", "not_applied", NULL, NULL);
    free(body);
}
END_TEST

START_TEST(an_encoding_we_do_not_speak)
{
    static const char gzip[] = "Content-Encoding: gzip\r\n";
    rest_expect_error(rest_ask(&rest, "PUT", "/kv/a?raw", gzip, slice_text("x")), 415,
                      "unsupported_media_type", "not_applied", "Content-Encoding", NULL);
    rest_expect_error(rest_ask(&rest, "POST", "/batch", gzip, slice_text("x")), 415,
                      "unsupported_media_type", "not_applied", "Content-Encoding", NULL);
}
END_TEST

START_TEST(a_bad_batch)
{
    static const struct {
        const char *body, *message;
    } rows[] = {
        { "", "the body is empty" },
        { "[]", "must be an object" },
        { "{}", "\"operations\" is missing" },
        { "{\"operations\":{}}", "must be an array" },
        { "{\"operations\":[]}", "at least one operation" },
        { "{\"ops\":[]}", "there is no member \"ops\"" },
        { "{\"operations\":[],\"operations\":[]}", "given twice" },
        { "{\"operations\":[1]}", "operation 0: it is a number" },
        { "{\"operations\":[{}]}", "operation 0: member \"type\" is missing" },
        { "{\"operations\":[{\"type\":\"get\",\"key\":\"a\"},{\"type\":\"put\",\"key\":\"a\"}]}",
          "operation 1: there is no type \"put\"" },
        { "{\"operations\":[{\"type\":1,\"key\":\"a\"}]}", "\"type\" is a number" },
        { "{\"operations\":[{\"type\":\"set\",\"key\":\"a\"}]}",
          "\"value\" or \"value_b64\" is missing" },
        { "{\"operations\":[{\"type\":\"set\",\"value\":\"a\"}]}",
          "\"key\" or \"key_b64\" is missing" },
        { "{\"operations\":[{\"type\":\"set\",\"key\":\"a\",\"value\":1}]}",
          "operation 0: member \"value\"" },
        { "{\"operations\":[{\"type\":\"set\",\"key\":\"\",\"value\":\"a\"}]}",
          "the key is empty" },
        { "{\"operations\":[{\"type\":\"get\",\"key\":\"a\",\"value\":\"a\"}]}",
          "a get takes no member \"value\"" },
        { "{\"operations\":[{\"type\":\"delete\",\"prefix\":\"a\"}]}",
          "a delete takes no member \"prefix\"" },
        { "{\"operations\":[{\"type\":\"delete_prefix\",\"key\":\"a\"}]}",
          "takes no member \"key\"" },
        { "{\"operations\":[{\"type\":\"delete_prefix\"}]}",
          "\"prefix\" or \"prefix_b64\" is missing" },
        { "{\"operations\":[{\"type\":\"delete_prefix\",\"prefix\":\"a\",\"if_revision\":1}]}",
          "takes no member \"if_revision\"" },
        { "{\"operations\":[{\"type\":\"get\",\"key\":\"a\",\"key_b64\":\"YQ==\"}]}",
          "both \"key\" and" },
        { "{\"operations\":[{\"type\":\"get\",\"key\":\"a\",\"if_revision\":\"1\"}]}",
          "whole number" },
        { "{\"operations\":[{\"type\":\"get\",\"key\":\"a\",\"if_match\":\"x\"}]}",
          "\"if_match\" must be" },
        { "{\"operations\":[{\"type\":\"get\",\"key\":\"a\",\"if_none_match\":\"1\"}]}",
          "must be \"*\"" },
        { "{\"operations\":[{\"type\":\"get\",\"key\":\"a\",\"if_match\":\"*\",\"if_revision\":0}]"
          "}",
          "give one of" },
        { "{\"operations\":[{\"type\":\"set\",\"key\":\"a\",\"value\":\"1\"},{\"type\":\"nope\"}]}",
          "operation 1" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        expect_bad(rest_post(&rest, "/batch", rows[i].body), rows[i].message);
    char body[700] = "{\"operations\":[{\"type\":\"get\",\"key\":\"";
    size_t used = strlen(body);
    memset(body + used, 'k', 512);
    strcpy(body + used + 512, "\"}]}");
    rest_expect_error(rest_post(&rest, "/batch", body), 413, "too_large", "not_applied",
                      "operation 0: the key has 512 bytes", NULL);
}
END_TEST

/* ---- paths, methods, parameters, headers */

START_TEST(an_unknown_route)
{
    static const struct {
        const char *target, *hint;
    } rows[] = {
        { "/nowhere", "GET / lists" },
        { "/kvs", "did you mean /kv?" },
        { "/vk/hello", "did you mean /kv/{key}?" },
        { "/statsu", "did you mean /stat" },
        { "/status/", "did you mean /status?" },
        { "/cluster/inof", "did you mean /cluster/info?" },
        { "/Health", "did you mean /health?" },
        { "/%00", "GET / lists" },
        { "/status%00", NULL },
        { "/kv%2Fa", NULL },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (strcmp(rows[i].target, "/kv%2Fa") == 0) /* a percent-encoded slash is a slash */
            rest_expect(rest_get(&rest, rows[i].target), 404);
        else
            rest_expect_error(rest_get(&rest, rows[i].target), 404, "no_route", "not_applied",
                              "there is nothing at", rows[i].hint);
    }
    char target[4000] = "/";
    memset(target + 1, 'x', 3000);
    rest_expect_error(rest_get(&rest, target), 404, "no_route", "not_applied", "xxx...\"", NULL);
}
END_TEST

START_TEST(a_wrong_method)
{
    static const struct {
        const char *method, *target, *allow;
    } rows[] = {
        { "POST", "/kv/a", "GET, HEAD, PUT, DELETE" },
        { "PATCH", "/kv/a", "GET, HEAD, PUT, DELETE" },
        { "OPTIONS", "/kv", "GET, HEAD, PUT, DELETE" },
        { "GET", "/batch", "POST" },
        { "PUT", "/batch", "POST" },
        { "POST", "/status", "GET, HEAD" },
        { "DELETE", "/cluster/info", "GET, HEAD" },
        { "TRACE", "/health", "GET, HEAD" },
        { "PUT", "/", "GET, HEAD" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct rest_answer *answer =
            rest_ask(&rest, rows[i].method, rows[i].target, NULL, slice_text("{}"));
        rest_expect_error(answer, 405, "method_not_allowed", "not_applied", "does not take",
                          rows[i].allow);
        ck_assert_str_eq(rest_header(answer, "Allow"), rows[i].allow);
    }
}
END_TEST

START_TEST(bad_parameters)
{
    static const struct {
        const char *target, *message;
    } rows[] = {
        { "/kv/a?timeout=soon", "a duration" },
        { "/kv/a?timeout=0s", "a duration" },
        { "/kv/a?timeout=2h", "at most 60000ms" },
        { "/kv/a?consistency=strong", "linearizable, lease or stale" },
        { "/kv/a?consistency=%ff", "\"\\xff\"" },
        { "/kv/a?consistency=stale%00", "\"stale\\x00\"" },
        { "/kv/a?max_stale=5", "a duration" },
        { "/kv/a?max_stale=5s&consistency=lease", "consistency=stale only" },
        { "/kv/a?min_revision=-1", "a revision" },
        { "/kv/a?min_revision=18446744073709551616", "a revision" },
        { "/kv/a?raw=maybe", "1 or 0" },
        { "/kv/a?prefix=a", "no parameter \"prefix\"" },
        { "/kv/a?timeout=1s&timeout=2s", NULL },
        { "/kv?limit=0", "from 1 to 1000" },
        { "/kv?limit=1001", "from 1 to 1000" },
        { "/kv?order=up", "asc or desc" },
        { "/kv?cursor=", "not a cursor" },
        { "/kv?cursor=abc", "not a cursor" },
        { "/kv?cursor=%ff", "not a cursor" },
        { "/kv?cursor=abc&count_only=1", "cannot be combined" },
        { "/kv?raw", "single key" },
        { "/kv?key=a&prefix=b", "asks for one key" },
        { "/kv?key=%zz", NULL },
        { "/status?verbose", "no parameter \"verbose\"" },
        { "/health?timeout=x", "a duration" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        expect_bad(rest_get(&rest, rows[i].target), rows[i].message);
    expect_bad(rest_delete(&rest, "/kv?key=untouched&prefix=u"), "cannot be combined");
    expect_bad(rest_delete(&rest, "/kv"), "does not say what to delete");
    expect_bad(rest_delete(&rest, "/kv?prefix=u&if_revision=2"), "takes none");
    expect_bad(rest_post(&rest, "/batch?if_revision=2", "{}"), "no parameter");
}
END_TEST

START_TEST(bad_conditions)
{
    static const char *const headers[] = {
        "If-Match: 58\r\n",           "If-Match: \"x\"\r\n",
        "If-Match: \"0\"\r\n",        "If-Match: W/\"58\"\r\n",
        "If-Match: \"1\", \"2\"\r\n", "If-None-Match: \"58\"\r\n",
        "If-None-Match: 58\r\n",      "If-Match: *\r\nIf-None-Match: *\r\n",
    };
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        expect_bad(
            rest_ask(&rest, "PUT", "/kv/untouched", headers[i], slice_text("{\"value\":\"2\"}")),
            NULL);
        expect_bad(rest_ask(&rest, "DELETE", "/kv/untouched", headers[i], slice_of(NULL, 0)), NULL);
    }
    expect_bad(rest_ask(&rest, "PUT", "/kv/untouched?if_revision=3", "If-Match: \"2\"\r\n",
                        slice_text("{\"value\":\"2\"}")),
               "differ");
    expect_bad(rest_put(&rest, "/kv/untouched?if_revision=x", "{\"value\":\"2\"}"), "a revision");
}
END_TEST

START_TEST(what_the_guard_refuses_looks_like_our_errors)
{
    static const struct {
        const char *bytes;
        int status;
        const char *code;
    } rows[] = {
        { "GET /kv/%zz HTTP/1.1\r\nHost: x\r\n\r\n", 400, "bad_request" },
        { "GET /kv/a HTTP/1.1\r\n\r\n", 400, "bad_request" },
        { "PUT /kv/a HTTP/1.1\r\nHost: x\r\n\r\n", 411, "length_required" },
        { "PUT /kv/a HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400,
          "bad_request" },
        { "GET /kv/a HTTP/9.9\r\nHost: x\r\n\r\n", 505, "http_version" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct rest_answer *answer = rest_raw(&rest, slice_text(rows[i].bytes));
        rest_expect_error(answer, rows[i].status, rows[i].code, "not_applied", NULL, NULL);
        ck_assert_str_eq(rest_header(answer, "Holdfast-Node"), "node1");
    }
    char *target = malloc(20 * 1024);
    int used = sprintf(target, "GET /kv/");
    memset(target + used, 'k', 17 * 1024);
    strcpy(target + used + 17 * 1024, " HTTP/1.1\r\nHost: x\r\n\r\n");
    rest_expect_error(rest_raw(&rest, slice_text(target)), 414, "uri_too_long", "not_applied", NULL,
                      NULL);
    free(target);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("rest_bad");
    TCase *tcase = tcase_create("bad input");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, an_empty_key);
    tcase_add_test(tcase, a_key_of_512_bytes);
    tcase_add_test(tcase, a_value_over_the_limit);
    tcase_add_test(tcase, a_body_over_the_limit);
    tcase_add_test(tcase, a_body_that_is_no_json);
    tcase_add_test(tcase, the_hint_of_a_bad_put_is_a_line_that_works);
    tcase_add_test(tcase, deep_nesting_and_floods);
    tcase_add_test(tcase, an_encoding_we_do_not_speak);
    tcase_add_test(tcase, a_bad_batch);
    tcase_add_test(tcase, an_unknown_route);
    tcase_add_test(tcase, a_wrong_method);
    tcase_add_test(tcase, bad_parameters);
    tcase_add_test(tcase, bad_conditions);
    tcase_add_test(tcase, what_the_guard_refuses_looks_like_our_errors);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
