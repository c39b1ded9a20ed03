/* test_rest.c - the REST contract, row by row, over a socket and a real node. */
#include "tests/support/one_node.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

static struct one_node *one;
static struct rest rest;

static bool leads(void *arg)
{
    struct node_status status;
    struct node_member members[MEMBERS_MAX];
    node_status(one_node_node(arg), &status);
    node_members(one_node_node(arg), members);
    return status.role == RAFT_LEADER && status.applied == status.last &&
           members[0].name[0] != '\0';
}

static void set_up(void)
{
    one = one_node_new();
    struct rest_backend backend = one_node_backend(one);
    rest_init(&rest, &backend, NULL);
    rest_until(&rest, leads, one);
}

static void tear_down(void)
{
    rest_fini(&rest);
    one_node_free(one);
}

static struct slice nothing(void)
{
    return slice_of(NULL, 0);
}

/* ---- single keys */

START_TEST(a_key_is_put_read_and_deleted)
{
    rest_expect_body(rest_put(&rest, "/kv/hello", "{\"value\":\"world\"}"), 200,
                     "{\"key\":\"hello\",\"revision\":2,\"version\":1,\"created\":true}");
    const struct rest_answer *answer = rest_put(&rest, "/kv/hello", "{\"value\":\"again\"}");
    rest_expect_body(answer, 200,
                     "{\"key\":\"hello\",\"revision\":3,\"version\":2,\"created\":false}");
    ck_assert_str_eq(rest_header(answer, "ETag"), "\"3\"");
    answer = rest_get(&rest, "/kv/hello");
    rest_expect_body(answer, 200,
                     "{\"key\":\"hello\",\"value\":\"again\",\"revision\":3,\"create_revision\":2,"
                     "\"version\":2}");
    ck_assert_str_eq(rest_header(answer, "ETag"), "\"3\"");
    ck_assert_str_eq(rest_header(answer, "Content-Type"), "application/json");
    rest_expect_body(rest_delete(&rest, "/kv/hello"), 200,
                     "{\"key\":\"hello\",\"deleted\":1,\"revision\":4}");
    rest_expect_error(rest_delete(&rest, "/kv/hello"), 404, "key_not_found", "not_applied",
                      "\"hello\"", NULL);
    rest_expect_error(rest_get(&rest, "/kv/hello"), 404, "key_not_found", "not_applied",
                      "\"hello\"", NULL);
}
END_TEST

START_TEST(what_changes_nothing_adds_no_revision)
{
    rest_put(&rest, "/kv/a", "{\"value\":\"1\"}");
    rest_expect(rest_delete(&rest, "/kv/absent"), 404);
    rest_expect(rest_put(&rest, "/kv/a?if_revision=77", "{\"value\":\"2\"}"), 412);
    ck_assert_str_eq(rest_header(rest_get(&rest, "/kv/a"), "Holdfast-Revision"), "2");
}
END_TEST

START_TEST(head_is_get_without_the_body)
{
    rest_put(&rest, "/kv/a", "{\"value\":\"12345\"}");
    size_t size = rest_get(&rest, "/kv/a")->body_size;
    const struct rest_answer *answer = rest_ask(&rest, "HEAD", "/kv/a", NULL, nothing());
    rest_expect(answer, 200);
    ck_assert_uint_eq(answer->body_size, 0);
    ck_assert_uint_eq(strtoul(rest_header(answer, "Content-Length"), NULL, 10), size);
    ck_assert_str_eq(rest_header(answer, "ETag"), "\"2\"");
    rest_expect(rest_ask(&rest, "HEAD", "/kv/absent", NULL, nothing()), 404);
    rest_expect(rest_ask(&rest, "HEAD", "/kv?key=a", NULL, nothing()), 200);
    rest_expect(rest_ask(&rest, "HEAD", "/leader", NULL, nothing()), 200);
    rest_expect(rest_get(&rest, "/kv/a"), 200); /* the connection is still in step */
}
END_TEST

START_TEST(values_come_back_byte_for_byte)
{
    static const char stream[] = "Content-Type: application/octet-stream\r\n";
    char all[256];
    for (unsigned i = 0; i < 256; i++)
        all[i] = (char)i;
    char *large = malloc(VALUE_SIZE_MAX);
    for (size_t i = 0; i < VALUE_SIZE_MAX; i++)
        large[i] = (char)(i * 31 + (i >> 8));
    const struct slice values[] = { slice_of("", 0),
                                    slice_text("x"),
                                    slice_of(all, 256),
                                    slice_text("gr\xc3\xbc\xc3\x9f \xf0\x9f\xa6\x8a"),
                                    slice_text("{\"value\":\"looks like JSON\"}"),
                                    slice_of("a\0b", 3),
                                    slice_of(large, VALUE_SIZE_MAX) };
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        rest_expect(rest_ask(&rest, "PUT", "/kv/v", stream, values[i]), 200);
        const struct rest_answer *answer = rest_get(&rest, "/kv/v?raw");
        rest_expect(answer, 200);
        ck_assert(slice_equal(slice_of(answer->body, answer->body_size), values[i]));
        ck_assert_str_eq(rest_header(answer, "Content-Type"), "application/octet-stream");
        ck_assert_str_eq(rest_header(answer, "X-Content-Type-Options"), "nosniff");
        rest_expect(rest_get(&rest, "/kv/v"), 200);
    }
    free(large);
}
END_TEST

START_TEST(a_value_that_is_no_text_comes_in_base64)
{
    rest_expect(rest_put(&rest, "/kv/v", "{\"value_b64\":\"AP8=\"}"), 200);
    ck_assert_str_eq(rest_text(rest_get(&rest, "/kv/v"), "value_b64"), "AP8=");
    rest_expect(rest_put(&rest, "/kv/v", "{\"value_b64\":\"eA==\"}"), 200);
    ck_assert_str_eq(rest_text(rest_get(&rest, "/kv/v"), "value"), "x");
    rest_expect(rest_put(&rest, "/kv/v", "{\"value\":\"\"}"), 200);
    ck_assert_str_eq(rest_text(rest_get(&rest, "/kv/v"), "value"), "");
    rest_expect(rest_put(&rest, "/kv/v", "{\"value\":\"a\\n\\u00e4\\\"\"}"), 200);
    ck_assert_str_eq(rest_text(rest_get(&rest, "/kv/v"), "value"), "a\n\xc3\xa4\"");
}
END_TEST

START_TEST(raw_bytes_are_asked_for_and_sent_in_three_ways)
{
    static const char accept[] = "Accept: text/html, Application/Octet-Stream;q=0.9\r\n";
    static const char text[] = "Content-Type: text/plain; charset=utf-8\r\n";
    rest_expect(rest_ask(&rest, "PUT", "/kv/a", text, slice_text("plain")), 200);
    rest_expect_body(rest_ask(&rest, "GET", "/kv/a", accept, nothing()), 200, "plain");
    rest_expect(rest_ask(&rest, "PUT", "/kv/a?raw", NULL, slice_text("raw")), 200);
    rest_expect_body(rest_get(&rest, "/kv/a?raw=1"), 200, "raw");
    rest_expect(rest_put(&rest, "/kv/a?raw=1", "{\"value\":\"kept as it is\"}"), 200);
    rest_expect_body(rest_get(&rest, "/kv/a?raw"), 200, "{\"value\":\"kept as it is\"}");
    ck_assert_str_eq(rest_text(rest_ask(&rest, "GET", "/kv/a?raw=0", accept, nothing()), "value"),
                     "{\"value\":\"kept as it is\"}");
    rest_expect(rest_ask(&rest, "GET", "/kv/a", "Accept: */*\r\n", nothing()), 200);
    rest_expect_error(rest_get(&rest, "/kv/absent?raw"), 404, "key_not_found", "not_applied", NULL,
                      NULL);
}
END_TEST

START_TEST(json_is_taken_whatever_the_content_type)
{
    static const char *const types[] = { "", "Content-Type: application/json\r\n",
                                         "Content-Type: application/xml\r\n" };
    for (size_t i = 0; i < 3; i++) {
        rest_expect(rest_ask(&rest, "PUT", "/kv/a", types[i], slice_text(" \n{\"value\":\"1\"} ")),
                    200);
        ck_assert_str_eq(rest_text(rest_get(&rest, "/kv/a"), "value"), "1");
    }
}
END_TEST

START_TEST(a_key_is_any_bytes)
{
    static const struct {
        const char *path, *query, *shown;
    } rows[] = {
        { "/kv/a/b/c", "/kv?key=a/b/c", "\"key\":\"a/b/c\"" },
        { "/kv/app/", "/kv?key=app/", "\"key\":\"app/\"" },
        { "/kv//x", "/kv?key=/x", "\"key\":\"/x\"" },
        { "/kv/with%20space", "/kv?key=with+space", "\"key\":\"with space\"" },
        { "/kv/100%25", "/kv?key=100%25", "\"key\":\"100%\"" },
        { "/kv/%C3%A4", "/kv?key=%c3%a4", "\"key\":\"\xc3\xa4\"" },
        { "/kv/%FF%00z", "/kv?key=%ff%00z", "\"key_b64\":\"/wB6\"" },
        { "/kv/%22%5C", "/kv?key=%22%5C", "\"key\":\"\\\"\\\\\"" },
        { "/kv/a+b", "/kv?key=a%2Bb", "\"key\":\"a+b\"" },
        { "/kv/a%3Fb%23", "/kv?key=a%3fb%23", "\"key\":\"a?b#\"" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char body[64];
        snprintf(body, sizeof body, "{\"value\":\"%zu\"}", i);
        const struct rest_answer *answer = rest_put(&rest, rows[i].path, body);
        rest_expect(answer, 200);
        ck_assert_msg(strstr(answer->body, rows[i].shown) != NULL, "%s", answer->body);
        answer = rest_get(&rest, rows[i].query); /* the two are one key */
        rest_expect(answer, 200);
        ck_assert_msg(strstr(answer->body, rows[i].shown) != NULL, "%s", answer->body);
        ck_assert_uint_eq(strtoul(rest_text(answer, "value"), NULL, 10), i);
        rest_expect(rest_put(&rest, rows[i].query, body), 200);
        rest_expect(rest_delete(&rest, rows[i].query), 200);
        rest_expect(rest_get(&rest, rows[i].path), 404);
    }
}
END_TEST

START_TEST(the_longest_key_has_511_bytes)
{
    char target[4 + 3 * 512 + 1] = "/kv/";
    char *at = target + 4;
    for (unsigned i = 0; i < KEY_SIZE_MAX; i++)
        at += sprintf(at, "%%%02x", 0x80 + i % 0x80);
    rest_expect(rest_put(&rest, target, "{\"value\":\"1\"}"), 200);
    ck_assert_str_eq(rest_text(rest_get(&rest, target), "value"), "1");
    rest_expect(rest_delete(&rest, target), 200);
    sprintf(at, "x");
    rest_expect_error(rest_put(&rest, target, "{\"value\":\"1\"}"), 413, "too_large", "not_applied",
                      "512 bytes; at most 511", NULL);
}
END_TEST

/* ---- conditions */

START_TEST(conditions_guard_put_and_delete)
{
    static const char absent[] = "If-None-Match: *\r\n", any[] = "If-Match: *\r\n";
    const struct slice body = slice_text("{\"value\":\"1\"}");
    rest_expect_error(rest_ask(&rest, "PUT", "/kv/a", any, body), 412, "condition_failed",
                      "not_applied", "does not exist", NULL);
    rest_expect(rest_ask(&rest, "PUT", "/kv/a", absent, body), 200);
    const struct rest_answer *answer = rest_ask(&rest, "PUT", "/kv/a", absent, body);
    rest_expect_error(answer, 412, "condition_failed", "not_applied", "exists, with revision 2",
                      NULL);
    ck_assert_double_eq(cJSON_GetObjectItem(rest_member(answer, "error"), "revision")->valuedouble,
                        2);
    rest_expect(rest_ask(&rest, "PUT", "/kv/a", "If-Match: \"2\"\r\n", body), 200);
    rest_expect_error(rest_ask(&rest, "PUT", "/kv/a", "If-Match: \"2\"\r\n", body), 412,
                      "condition_failed", "not_applied", "has revision 3, not 2", NULL);
    rest_expect(rest_ask(&rest, "PUT", "/kv/a", any, body), 200);
    rest_expect(rest_put(&rest, "/kv/a?if_revision=4", "{\"value\":\"2\"}"), 200);
    rest_expect(rest_put(&rest, "/kv/a?if_revision=0", "{\"value\":\"2\"}"), 412);
    rest_expect(rest_put(&rest, "/kv/b?if_revision=0", "{\"value\":\"2\"}"), 200);
    rest_expect(rest_delete(&rest, "/kv/a?if_revision=4"), 412);
    rest_expect(rest_ask(&rest, "DELETE", "/kv/a", "If-Match: \"5\"\r\n", nothing()), 200);
    answer = rest_ask(&rest, "DELETE", "/kv/a", "If-Match: \"5\"\r\n", nothing());
    rest_expect_error(answer, 412, "condition_failed", "not_applied", "does not exist", NULL);
    ck_assert_double_eq(cJSON_GetObjectItem(rest_member(answer, "error"), "revision")->valuedouble,
                        0);
}
END_TEST

/* ---- lists */

static void put_many(const char *prefix, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        char target[64];
        snprintf(target, sizeof target, "/kv/%s%04u", prefix, i);
        rest_expect(rest_put(&rest, target, "{\"value\":\"v\"}"), 200);
    }
}

START_TEST(a_list_shows_keys_in_order)
{
    rest_put(&rest, "/kv/b", "{\"value\":\"2\"}");
    rest_put(&rest, "/kv/app/x", "{\"value\":\"1\"}");
    rest_put(&rest, "/kv/app/y", "{\"value_b64\":\"/w==\"}");
    rest_expect_body(
        rest_get(&rest, "/kv?prefix=app/"), 200,
        "{\"kvs\":[{\"key\":\"app/x\",\"value\":\"1\",\"revision\":3,\"create_revision\":3,"
        "\"version\":1},{\"key\":\"app/y\",\"value_b64\":\"/w==\",\"revision\":4,"
        "\"create_revision\":4,\"version\":1}],\"count\":2,\"more\":false,\"revision\":4}");
    rest_expect_body(rest_get(&rest, "/kv?keys_only=1&order=desc&start=app/y"), 200,
                     "{\"kvs\":[{\"key\":\"b\",\"revision\":2,\"create_revision\":2,\"version\":1},"
                     "{\"key\":\"app/y\",\"revision\":4,\"create_revision\":4,\"version\":1}],"
                     "\"count\":2,\"more\":false,\"revision\":4}");
    rest_expect_body(rest_get(&rest, "/kv?count_only=1&end=b"), 200,
                     "{\"kvs\":[],\"count\":2,\"more\":false,\"revision\":4}");
    rest_expect_body(rest_get(&rest, "/kv?prefix=zzz"), 200,
                     "{\"kvs\":[],\"count\":0,\"more\":false,\"revision\":4}");
    ck_assert_double_eq(rest_number(rest_get(&rest, "/kv"), "count"), 3);
    ck_assert_double_eq(rest_number(rest_get(&rest, "/kv?prefix="), "count"), 3);
    ck_assert_str_eq(rest_header(rest_get(&rest, "/kv"), "Holdfast-Consistency"), "linearizable");
}
END_TEST

static void walk(const char *order, bool backward)
{
    char target[1024];
    unsigned seen = 0, pages = 0;
    bool more = true;
    snprintf(target, sizeof target, "/kv?prefix=k&limit=7%s", order);
    while (more) {
        const struct rest_answer *answer = rest_get(&rest, target);
        const cJSON *item;
        rest_expect(answer, 200);
        cJSON_ArrayForEach(item, rest_member(answer, "kvs"))
        {
            char expected[16];
            snprintf(expected, sizeof expected, "k%04u", backward ? 49 - seen : seen);
            ck_assert_str_eq(cJSON_GetObjectItem(item, "key")->valuestring, expected);
            seen++;
        }
        more = cJSON_IsTrue(rest_member(answer, "more"));
        ck_assert(more == cJSON_HasObjectItem(answer->json, "cursor"));
        if (more)
            snprintf(target, sizeof target, "/kv?prefix=k&limit=%u%s&cursor=%s", 3 + pages % 9,
                     order, rest_text(answer, "cursor"));
        pages++;
    }
    ck_assert_uint_eq(seen, 50);
    ck_assert_uint_gt(pages, 5);
}

START_TEST(pages_follow_each_other_without_gap_or_repeat)
{
    put_many("k", 50);
    put_many("l", 2);
    put_many("j", 2);
    walk("", false);
    walk("&order=asc", false);
    walk("&order=desc", true);
}
END_TEST

START_TEST(a_cursor_of_another_list_is_refused)
{
    char target[1024];
    put_many("k", 3);
    char *cursor = strdup(rest_text(rest_get(&rest, "/kv?prefix=k&limit=1"), "cursor"));
    static const char *const others[] = { "prefix=", "prefix=k0", "prefix=k&order=desc",
                                          "prefix=k&start=a", "prefix=k&end=z" };
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        snprintf(target, sizeof target, "/kv?%s&cursor=%s", others[i], cursor);
        rest_expect_error(rest_get(&rest, target), 400, "bad_request", "not_applied",
                          "another list", "repeat");
    }
    cursor[3] = cursor[3] == 'A' ? 'B' : 'A';
    snprintf(target, sizeof target, "/kv?prefix=k&cursor=%s", cursor);
    rest_expect_error(rest_get(&rest, target), 400, "bad_request", "not_applied", "not a cursor",
                      NULL);
    free(cursor);
}
END_TEST

START_TEST(delete_by_prefix_is_never_implied)
{
    put_many("app/", 12);
    rest_put(&rest, "/kv/b", "{\"value\":\"1\"}");
    rest_expect(rest_delete(&rest, "/kv/app/"), 404); /* the one key with this very name */
    rest_expect_error(rest_delete(&rest, "/kv"), 400, "bad_request", "not_applied",
                      "does not say what to delete", "prefix=");
    ck_assert_double_eq(rest_number(rest_get(&rest, "/kv"), "count"), 13);
    rest_expect_body(rest_delete(&rest, "/kv?prefix=app/"), 200,
                     "{\"deleted\":12,\"revision\":15}");
    rest_expect_body(rest_delete(&rest, "/kv?prefix=app/"), 200, "{\"deleted\":0,\"revision\":15}");
    rest_expect_body(rest_delete(&rest, "/kv?prefix="), 200, "{\"deleted\":1,\"revision\":16}");
}
END_TEST

/* ---- batches */

START_TEST(a_batch_is_applied_in_order_and_whole)
{
    rest_put(&rest, "/kv/b", "{\"value\":\"old\"}");
    rest_expect_body(
        rest_post(&rest, "/batch",
                  "{\"operations\":[{\"type\":\"set\",\"key\":\"a\",\"value\":\"1\"},"
                  "{\"type\":\"get\",\"key\":\"a\"},{\"type\":\"delete\",\"key\":\"b\"},"
                  "{\"type\":\"get\",\"key\":\"b\"},{\"type\":\"delete\",\"key\":\"b\"},"
                  "{\"type\":\"set\",\"key_b64\":\"/w==\",\"value_b64\":\"AA==\"},"
                  "{\"type\":\"get\",\"key_b64\":\"/w==\"},"
                  "{\"type\":\"delete_prefix\",\"prefix\":\"a\"}]}"),
        200,
        "{\"revision\":3,\"results\":["
        "{\"type\":\"set\",\"key\":\"a\",\"ok\":true,\"revision\":3,\"version\":1,\"created\":true}"
        ","
        "{\"type\":\"get\",\"key\":\"a\",\"ok\":true,\"found\":true,\"value\":\"1\",\"revision\":3,"
        "\"create_revision\":3,\"version\":1},"
        "{\"type\":\"delete\",\"key\":\"b\",\"ok\":true,\"deleted\":1,\"revision\":3},"
        "{\"type\":\"get\",\"key\":\"b\",\"ok\":true,\"found\":false},"
        "{\"type\":\"delete\",\"key\":\"b\",\"ok\":true,\"deleted\":0,\"revision\":3},"
        "{\"type\":\"set\",\"key_b64\":\"/"
        "w==\",\"ok\":true,\"revision\":3,\"version\":1,\"created\":true},"
        "{\"type\":\"get\",\"key_b64\":\"/w==\",\"ok\":true,\"found\":true,\"value_b64\":\"AA==\","
        "\"revision\":3,\"create_revision\":3,\"version\":1},"
        "{\"type\":\"delete_prefix\",\"prefix\":\"a\",\"ok\":true,\"deleted\":1,\"revision\":3}]}");
}
END_TEST

START_TEST(one_failed_condition_applies_nothing_and_is_named)
{
    rest_put(&rest, "/kv/b", "{\"value\":\"old\"}");
    const struct rest_answer *answer =
        rest_post(&rest, "/batch",
                  "{\"operations\":[{\"type\":\"set\",\"key\":\"a\",\"value\":\"1\"},"
                  "{\"type\":\"set\",\"key\":\"b\",\"value\":\"2\",\"if_revision\":7}]}");
    rest_expect_error(answer, 412, "condition_failed", "not_applied",
                      "operation 1: key \"b\" has revision 2, not 7", NULL);
    const cJSON *error = rest_member(answer, "error");
    ck_assert_double_eq(cJSON_GetObjectItem(error, "operation")->valuedouble, 1);
    ck_assert_double_eq(cJSON_GetObjectItem(error, "revision")->valuedouble, 2);
    ck_assert_str_eq(cJSON_GetObjectItem(error, "key")->valuestring, "b");
    rest_expect(rest_get(&rest, "/kv/a"), 404);
    static const char *const held[] = {
        "{\"type\":\"set\",\"key\":\"b\",\"value\":\"3\",\"if_match\":\"2\"}",
        "{\"type\":\"set\",\"key\":\"b\",\"value\":\"4\",\"if_match\":\"*\"}",
        "{\"type\":\"set\",\"key\":\"n\",\"value\":\"5\",\"if_none_match\":\"*\"}",
        "{\"type\":\"get\",\"key\":\"n\",\"if_revision\":5}",
        "{\"type\":\"delete\",\"key\":\"n\",\"if_revision\":5}",
        "{\"type\":\"get\",\"key\":\"n\",\"if_revision\":0}",
    };
    for (size_t i = 0; i < sizeof held / sizeof held[0]; i++) {
        char body[256];
        snprintf(body, sizeof body, "{\"operations\":[%s]}", held[i]);
        rest_expect(rest_post(&rest, "/batch", body), 200);
    }
    rest_expect(rest_post(&rest, "/batch",
                          "{\"operations\":[{\"type\":\"get\",\"key\":\"n\",\"if_match\":\"*\"}]}"),
                412);
}
END_TEST

START_TEST(a_batch_holds_1024_operations)
{
    char *body = malloc(200 * 1024), *at = body;
    at += sprintf(at, "{\"operations\":[");
    for (unsigned i = 0; i < BATCH_OPS_MAX; i++)
        at += sprintf(at, "%s{\"type\":\"set\",\"key\":\"k%u\",\"value\":\"v\"}", i > 0 ? "," : "",
                      i);
    strcpy(at, "]}");
    const struct rest_answer *answer = rest_post(&rest, "/batch", body);
    rest_expect(answer, 200);
    ck_assert_int_eq(cJSON_GetArraySize(rest_member(answer, "results")), BATCH_OPS_MAX);
    strcpy(at, ",{\"type\":\"get\",\"key\":\"k\"}]}");
    rest_expect_error(rest_post(&rest, "/batch", body), 413, "too_large", "not_applied",
                      "more than 1024 operations", NULL);
    free(body);
}
END_TEST

/* ---- reads and how fresh they are */

START_TEST(reads_say_how_fresh_they_are)
{
    rest_put(&rest, "/kv/a", "{\"value\":\"1\"}");
    static const char *const words[] = { "linearizable", "lease", "stale" };
    for (size_t i = 0; i < 3; i++) {
        char target[64];
        snprintf(target, sizeof target, "/kv/a?consistency=%s", words[i]);
        const struct rest_answer *answer = rest_get(&rest, target);
        rest_expect(answer, 200);
        ck_assert_str_eq(rest_header(answer, "Holdfast-Consistency"), words[i]);
    }
    const struct rest_answer *answer = rest_get(&rest, "/kv/a?max_stale=10s");
    ck_assert_str_eq(rest_header(answer, "Holdfast-Consistency"), "stale");
    ck_assert_ptr_nonnull(strstr(rest_header(answer, "Holdfast-Staleness"), "ms"));
    rest_expect(rest_get(&rest, "/kv/a?min_revision=2"), 200);
    answer = rest_get(&rest, "/kv/a?min_revision=3&timeout=50ms");
    rest_expect_error(answer, 504, "timeout", "not_applied", "50ms", NULL);
    ck_assert(cJSON_IsTrue(cJSON_GetObjectItem(rest_member(answer, "error"), "retryable")));
}
END_TEST

START_TEST(a_read_waits_for_its_revision)
{
    rest_begin(&rest, "GET", "/kv/a?min_revision=2&consistency=stale", NULL, nothing());
    for (unsigned i = 0; i < 20; i++)
        rest_turn(&rest);
    ck_assert(!server_idle(rest.server)); /* parked */
    int parked = rest.fd;
    rest.fd = -1;
    rest_expect(rest_put(&rest, "/kv/a", "{\"value\":\"now\"}"), 200);
    int other = rest.fd;
    rest.fd = parked;
    ck_assert_str_eq(rest_text(rest_end(&rest), "value"), "now");
    rest.fd = other;
    ck_assert(server_idle(rest.server));
}
END_TEST

START_TEST(a_write_that_is_not_durable_in_time_ends_as_unknown)
{
    one_node_hold_disk(one, true);
    const struct rest_answer *answer = rest_put(&rest, "/kv/a?timeout=30ms", "{\"value\":\"1\"}");
    rest_expect_error(answer, 504, "timeout", "unknown", "30ms", "read");
    ck_assert(cJSON_IsFalse(cJSON_GetObjectItem(rest_member(answer, "error"), "retryable")));
    one_node_hold_disk(one, false);
    rest_until(&rest, leads, one);
    rest_expect(rest_get(&rest, "/kv/a"), 200); /* it was applied after all */
}
END_TEST

/* ---- the node */

START_TEST(every_answer_carries_the_standing_headers)
{
    static const char *const targets[] = { "/kv/absent", "/kv",     "/status",
                                           "/nowhere",   "/health", "/kv/a?nonsense=1",
                                           "/livez" };
    for (size_t i = 0; i <= sizeof targets / sizeof targets[0]; i++) {
        const struct rest_answer *answer =
            i < sizeof targets / sizeof targets[0]
                ? rest_get(&rest, targets[i])
                : rest_raw(&rest,
                           slice_text("GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n")); /* the guard's */
        ck_assert_str_eq(rest_header(answer, "Holdfast-Node"), "node1");
        ck_assert_str_eq(rest_header(answer, "Holdfast-Leader"), "http://node1.example:8001");
        ck_assert_str_eq(rest_header(answer, "Holdfast-Revision"), "1");
        ck_assert_str_ne(rest_header(answer, "Holdfast-Term"), "");
    }
}
END_TEST

START_TEST(status_tells_of_this_node)
{
    const struct rest_answer *answer = rest_get(&rest, "/status");
    char id[17];
    rest_expect(answer, 200);
    snprintf(id, sizeof id, "%016llx", (unsigned long long)id_of_address("node1.example:9001"));
    ck_assert_str_eq(rest_text(answer, "id"), id);
    ck_assert_str_eq(rest_text(answer, "leader"), id);
    ck_assert_str_eq(rest_text(answer, "name"), "node1");
    ck_assert_str_eq(rest_text(answer, "state"), "leader");
    ck_assert_str_eq(rest_text(answer, "leader_name"), "node1");
    ck_assert_str_eq(rest_text(answer, "leader_url"), "http://node1.example:8001");
    ck_assert_str_eq(rest_text(answer, "version"), PACKAGE_VERSION);
    ck_assert_str_eq(rest_text(answer, "storage"), "memory");
    static const char *const numbers[] = {
        "term",      "commit_index", "applied_index", "log_first_index", "log_last_index",
        "uptime_ms", "revision",     "keys",          "durable_index"
    };
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        ck_assert_double_ge(rest_number(answer, numbers[i]), 0);
    ck_assert(cJSON_IsNull(rest_member(answer, "snapshot_fetch")));
    ck_assert_int_eq(cJSON_GetArraySize(rest_member(answer, "alarms")), 0);
}
END_TEST

START_TEST(cluster_info_tells_of_all_members)
{
    const struct rest_answer *answer = rest_get(&rest, "/cluster/info");
    rest_expect(answer, 200);
    ck_assert_str_eq(rest_text(answer, "leader_name"), "node1");
    ck_assert_uint_eq(strlen(rest_text(answer, "cluster_id")), 16);
    const cJSON *members = rest_member(answer, "members"), *member = cJSON_GetArrayItem(members, 0);
    ck_assert_int_eq(cJSON_GetArraySize(members), 1);
    ck_assert_str_eq(cJSON_GetObjectItem(member, "name")->valuestring, "node1");
    ck_assert_str_eq(cJSON_GetObjectItem(member, "role")->valuestring, "leader");
    ck_assert_str_eq(cJSON_GetObjectItem(member, "raft_addr")->valuestring, "node1.example:9001");
    ck_assert_str_eq(cJSON_GetObjectItem(member, "http_addr")->valuestring, "node1.example:8001");
    ck_assert_double_eq(cJSON_GetObjectItem(member, "lag")->valuedouble, 0);
    ck_assert_double_gt(cJSON_GetObjectItem(member, "match_index")->valuedouble, 0);
    ck_assert_double_eq(cJSON_GetObjectItem(member, "last_contact_ms")->valuedouble, 0);
    ck_assert(cJSON_IsTrue(cJSON_GetObjectItem(member, "self")));
}
END_TEST

static double stat_of(const struct rest_answer *answer, const char *group, const char *sub,
                      const char *name)
{
    const cJSON *node = cJSON_GetObjectItem(rest_member(answer, group), sub);
    node = name != NULL && node != NULL ? cJSON_GetObjectItem(node, name) : node;
    ck_assert_msg(cJSON_IsNumber(node), "%s %s %s in %s", group, sub, name, answer->body);
    return node->valuedouble;
}

START_TEST(stats_count_what_was_done)
{
    for (unsigned i = 0; i < 3; i++)
        rest_put(&rest, "/kv/a", "{\"value\":\"1\"}");
    rest_put(&rest, "/kv/a", "nonsense");
    rest_get(&rest, "/kv/absent");
    rest_get(&rest, "/nowhere");
    const struct rest_answer *answer = rest_get(&rest, "/stats");
    rest_expect(answer, 200);
    const cJSON *routes = cJSON_GetObjectItem(rest_member(answer, "requests"), "by_route");
    const cJSON *put = cJSON_GetObjectItem(routes, "PUT /kv/{key}");
    ck_assert_double_eq(cJSON_GetObjectItem(put, "200")->valuedouble, 3);
    ck_assert_double_eq(cJSON_GetObjectItem(put, "400")->valuedouble, 1);
    ck_assert_double_eq(
        cJSON_GetObjectItem(cJSON_GetObjectItem(routes, "GET /kv/{key}"), "404")->valuedouble, 1);
    ck_assert_double_eq(
        cJSON_GetObjectItem(cJSON_GetObjectItem(routes, "none"), "404")->valuedouble, 1);
    ck_assert_double_eq(stat_of(answer, "latency_us", "write", "count"), 4);
    ck_assert_double_ge(stat_of(answer, "latency_us", "write", "max"),
                        stat_of(answer, "latency_us", "write", "p50"));
    ck_assert_double_ge(stat_of(answer, "raft", "proposals", NULL), 3);
    ck_assert_double_ge(stat_of(answer, "raft", "reads", NULL), 1);
    ck_assert_double_eq(stat_of(answer, "raft", "terms_led", NULL), 1);
    ck_assert_double_ge(stat_of(answer, "log", "commits", NULL), 4);
    ck_assert_double_ge(stat_of(answer, "state", "pending_bytes", NULL), 0);
    ck_assert_double_ge(stat_of(answer, "snapshots", "installed", NULL), 0);
    ck_assert_double_ge(stat_of(answer, "snapshots", "log_compactions", NULL), 0);
    ck_assert_double_eq(stat_of(answer, "connections", "open", NULL), 1);
    ck_assert_double_ge(stat_of(answer, "connections", "bytes_in", NULL), 100);
    ck_assert(cJSON_IsNull(rest_member(answer, "network")));
}
END_TEST

START_TEST(probes_are_answered)
{
    const struct rest_answer *answer = rest_get(&rest, "/health");
    rest_expect_body(answer, 200, "{\"healthy\":true,\"state\":\"leader\"}");
    ck_assert_str_eq(rest_header(answer, "Holdfast-Consistency"), "linearizable");
    rest_expect_body(rest_get(&rest, "/livez"), 200, "ok\n");
    rest_expect_body(rest_get(&rest, "/readyz"), 200, "ok\n");
    rest_expect_body(rest_get(&rest, "/readyz?verbose"), 200,
                     "[+]leader ok\n[+]disk ok\n[+]node ok\n[+]state ok\n");
    answer = rest_get(&rest, "/leader");
    rest_expect(answer, 200);
    ck_assert(cJSON_IsTrue(rest_member(answer, "is_leader")));
}
END_TEST

START_TEST(version_and_root_help_people)
{
    const struct rest_answer *answer = rest_get(&rest, "/version");
    rest_expect(answer, 200);
    ck_assert_str_eq(rest_text(answer, "holdfast"), PACKAGE_VERSION);
    ck_assert_double_eq(rest_number(answer, "api"), 1);
    ck_assert_str_eq(rest_text(answer, "lmdb"), "0.9.24");
    ck_assert_str_ne(rest_text(answer, "libevent"), "");
    answer = rest_get(&rest, "/");
    rest_expect(answer, 200);
    ck_assert_int_ge(cJSON_GetArraySize(rest_member(answer, "routes")), 15);
}
END_TEST

static bool damaged(void *arg)
{
    return one_node_damage(arg, "a");
}

START_TEST(a_damaged_value_is_an_error_and_never_served)
{
    static const char body[] =
        "{\"value\":\"a value that is long enough to hold the damaged bit\"}";
    rest_expect(rest_put(&rest, "/kv/a", body), 200);
    rest_until(&rest, damaged, one); /* once it has reached the store */
    const struct rest_answer *answer = rest_get(&rest, "/kv/a");
    rest_expect_error(answer, 500, "internal", "not_applied", NULL, NULL);
    ck_assert_ptr_null(strstr(answer->body, "/tmp"));
    rest_expect(rest_get(&rest, "/livez"), 200);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("rest");
    TCase *tcase = tcase_create("contract");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, a_key_is_put_read_and_deleted);
    tcase_add_test(tcase, what_changes_nothing_adds_no_revision);
    tcase_add_test(tcase, head_is_get_without_the_body);
    tcase_add_test(tcase, values_come_back_byte_for_byte);
    tcase_add_test(tcase, a_value_that_is_no_text_comes_in_base64);
    tcase_add_test(tcase, raw_bytes_are_asked_for_and_sent_in_three_ways);
    tcase_add_test(tcase, json_is_taken_whatever_the_content_type);
    tcase_add_test(tcase, a_key_is_any_bytes);
    tcase_add_test(tcase, the_longest_key_has_511_bytes);
    tcase_add_test(tcase, conditions_guard_put_and_delete);
    tcase_add_test(tcase, a_list_shows_keys_in_order);
    tcase_add_test(tcase, pages_follow_each_other_without_gap_or_repeat);
    tcase_add_test(tcase, a_cursor_of_another_list_is_refused);
    tcase_add_test(tcase, delete_by_prefix_is_never_implied);
    tcase_add_test(tcase, a_batch_is_applied_in_order_and_whole);
    tcase_add_test(tcase, one_failed_condition_applies_nothing_and_is_named);
    tcase_add_test(tcase, a_batch_holds_1024_operations);
    tcase_add_test(tcase, reads_say_how_fresh_they_are);
    tcase_add_test(tcase, a_read_waits_for_its_revision);
    tcase_add_test(tcase, a_write_that_is_not_durable_in_time_ends_as_unknown);
    tcase_add_test(tcase, every_answer_carries_the_standing_headers);
    tcase_add_test(tcase, status_tells_of_this_node);
    tcase_add_test(tcase, cluster_info_tells_of_all_members);
    tcase_add_test(tcase, stats_count_what_was_done);
    tcase_add_test(tcase, probes_are_answered);
    tcase_add_test(tcase, version_and_root_help_people);
    tcase_add_test(tcase, a_damaged_value_is_an_error_and_never_served);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
