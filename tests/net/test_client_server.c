/* test_client_server.c - libholdfast against a real server on a real node: what went in comes out,
 * byte for byte, and both sides mean the same by every answer. */
#include "tests/support/one_node.h"

#include <holdfast/client.h>

#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static struct holdfast *db;
static pid_t serving;
static char url[64];

static void serve(int port_pipe)
{
    struct rest rest;
    struct one_node *one = one_node_new();
    struct rest_backend backend = one_node_backend(one);
    rest_init(&rest, &backend, NULL);
    uint16_t port = server_port(rest.server);
    if (write(port_pipe, &port, sizeof port) != sizeof port)
        _exit(1);
    for (;;)
        rest_turn(&rest);
}

static void setup(void)
{
    struct holdfast_options options = HOLDFAST_OPTIONS_INIT;
    char why[HOLDFAST_MESSAGE_MAX];
    uint16_t port;
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    serving = fork();
    if (serving == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        serve(ends[1]);
    }
    ck_assert_int_eq(read(ends[0], &port, sizeof port), sizeof port);
    close(ends[0]);
    close(ends[1]);
    snprintf(url, sizeof url, "http://127.0.0.1:%u", port);
    options.only_endpoints = true;
    ck_assert_msg(holdfast_open(url, &options, &db, why) == HOLDFAST_OK, "%s", why);
}

static void teardown(void)
{
    holdfast_close(db);
    kill(serving, SIGKILL);
    waitpid(serving, NULL, 0);
}

static void expect(struct holdfast_result *r, enum holdfast_error error)
{
    ck_assert_msg(r->error == error, "expected %s, got %s: %s", holdfast_error_name(error),
                  holdfast_error_name(r->error), r->message);
}

static uint64_t put(const char *key, const char *value)
{
    struct holdfast_result *r = holdfast_put(db, holdfast_text(key), holdfast_text(value), NULL);
    expect(r, HOLDFAST_OK);
    uint64_t revision = r->revision;
    holdfast_result_free(r);
    return revision;
}

static void expect_value(struct holdfast_bytes key, struct holdfast_bytes value)
{
    struct holdfast_result *r = holdfast_get(db, key, NULL);
    expect(r, HOLDFAST_OK);
    ck_assert_uint_eq(r->kvs[0].key.size, key.size);
    ck_assert_mem_eq(r->kvs[0].key.data, key.data, key.size);
    ck_assert_uint_eq(r->kvs[0].value.size, value.size);
    ck_assert(value.size == 0 || memcmp(r->kvs[0].value.data, value.data, value.size) == 0);
    holdfast_result_free(r);
}

START_TEST(values_come_back_byte_for_byte)
{
    unsigned char all[256];
    char *large = malloc(HOLDFAST_VALUE_MAX);
    for (int i = 0; i < 256; i++)
        all[i] = (unsigned char)i;
    for (size_t i = 0; i < HOLDFAST_VALUE_MAX; i++)
        large[i] = (char)(i * 7 + i / 256);
    const struct holdfast_bytes values[] = {
        holdfast_bytes(NULL, 0),
        holdfast_text("world"),
        holdfast_text("{"),
        holdfast_text("{\"value\":\"not this\"}"),
        holdfast_text("gr\xc3\xbc\xc3\x9f dich \xf0\x9f\x98\x80"),
        holdfast_bytes(all, 256),
        holdfast_bytes("\0", 1),
        holdfast_text("\x01\x02\n\"\\"),
        holdfast_bytes(large, HOLDFAST_VALUE_MAX),
    };
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        struct holdfast_result *r = holdfast_put(db, holdfast_text("key"), values[i], NULL);
        expect(r, HOLDFAST_OK);
        holdfast_result_free(r);
        expect_value(holdfast_text("key"), values[i]);
    }
    free(large);
}
END_TEST

START_TEST(keys_of_any_bytes_are_one_key_each)
{
    char longest[HOLDFAST_KEY_MAX], all[255];
    memset(longest, '%', sizeof longest);
    for (int i = 0; i < 255; i++)
        all[i] = (char)(i + 1);
    const struct holdfast_bytes keys[] = {
        holdfast_text("a"),
        holdfast_text("/"),
        holdfast_text("a/"),
        holdfast_text("/a"),
        holdfast_text("a//b"),
        holdfast_text("."),
        holdfast_text(".."),
        holdfast_text("a/../b"),
        holdfast_text("b"),
        holdfast_text("a b"),
        holdfast_text("a+b"),
        holdfast_text("100%"),
        holdfast_text("%00"),
        holdfast_bytes("\0", 1),
        holdfast_bytes("a\0b", 3),
        holdfast_text("?x=1"),
        holdfast_text("#"),
        holdfast_text("\xff\xfe"),
        holdfast_bytes(longest, sizeof longest),
        holdfast_bytes(all, sizeof all),
    };
    enum { KEYS = sizeof keys / sizeof keys[0] };
    for (size_t i = 0; i < KEYS; i++) {
        struct holdfast_result *r = holdfast_put(db, keys[i], holdfast_bytes(&i, sizeof i), NULL);
        expect(r, HOLDFAST_OK);
        ck_assert(r->created);
        holdfast_result_free(r);
    }
    for (size_t i = 0; i < KEYS; i++)
        expect_value(keys[i], holdfast_bytes(&i, sizeof i));
    struct holdfast_result *r = holdfast_list(db, NULL, NULL);
    expect(r, HOLDFAST_OK);
    ck_assert_uint_eq(r->n_kvs, KEYS);
    holdfast_result_free(r);
    for (size_t i = 0; i < KEYS; i++) {
        r = holdfast_delete(db, keys[i], NULL);
        expect(r, HOLDFAST_OK);
        ck_assert_uint_eq(r->deleted, 1);
        holdfast_result_free(r);
    }
    r = holdfast_delete(db, keys[0], NULL);
    expect(r, HOLDFAST_NOT_FOUND);
    holdfast_result_free(r);
}
END_TEST

START_TEST(conditions_hold_or_tell_the_revision)
{
    struct holdfast_call call = HOLDFAST_CALL_INIT;
    uint64_t revision = put("k", "1");
    call.conditional = true;
    call.if_revision = 0;
    struct holdfast_result *r = holdfast_put(db, holdfast_text("k"), holdfast_text("2"), &call);
    expect(r, HOLDFAST_CONDITION_FAILED);
    ck_assert_int_eq(r->outcome, HOLDFAST_NOT_APPLIED);
    ck_assert_uint_eq(r->revision, revision);
    holdfast_result_free(r);
    call.if_revision = revision;
    r = holdfast_put(db, holdfast_text("k"), holdfast_text("2"), &call);
    expect(r, HOLDFAST_OK);
    holdfast_result_free(r);
    r = holdfast_delete(db, holdfast_text("k"), &call);
    expect(r, HOLDFAST_CONDITION_FAILED);
    ck_assert_uint_eq(r->revision, revision + 1);
    holdfast_result_free(r);
}
END_TEST

START_TEST(batches_are_all_or_nothing)
{
    put("b", "old");
    struct holdfast_op ops[] = {
        { .type = HOLDFAST_OP_SET,
          .key = holdfast_bytes("\0a", 2),
          .value = holdfast_bytes("\xff", 1) },
        { .type = HOLDFAST_OP_GET, .key = holdfast_bytes("\0a", 2) },
        { .type = HOLDFAST_OP_GET, .key = holdfast_text("none") },
        { .type = HOLDFAST_OP_DELETE, .key = holdfast_text("b") },
        { .type = HOLDFAST_OP_DELETE, .key = holdfast_text("none") },
        { .type = HOLDFAST_OP_DELETE_PREFIX, .key = holdfast_text("x/") },
    };
    put("x/1", "");
    put("x/2", "");
    struct holdfast_result *r = holdfast_batch(db, ops, 6, NULL);
    expect(r, HOLDFAST_OK);
    ck_assert(r->ops[0].ok && r->ops[0].created && r->ops[1].ok && !r->ops[2].ok);
    ck_assert_uint_eq(r->ops[1].kv.value.size, 1);
    ck_assert_mem_eq(r->ops[1].kv.value.data, "\xff", 1);
    ck_assert(r->ops[3].ok && !r->ops[4].ok);
    ck_assert_uint_eq(r->ops[5].deleted, 2);
    holdfast_result_free(r);
    ops[3].conditional = true;
    ops[3].if_revision = 12345;
    r = holdfast_batch(db, ops, 6, NULL);
    expect(r, HOLDFAST_CONDITION_FAILED);
    ck_assert_uint_eq(r->failed_op, 3);
    ck_assert_uint_eq(r->revision, 0);
    holdfast_result_free(r);
}
END_TEST

START_TEST(lists_page_in_both_directions)
{
    struct holdfast_range range = HOLDFAST_RANGE_INIT;
    char key[16];
    for (int i = 0; i < 25; i++) {
        snprintf(key, sizeof key, "app/%02d", i);
        put(key, key);
    }
    put("apq", "not this");
    for (int descending = 0; descending < 2; descending++) {
        struct holdfast_result *page = NULL;
        int n = 0;
        range.prefix = holdfast_text("app/");
        range.limit = 10;
        range.descending = descending == 1;
        range.cursor = NULL;
        do {
            struct holdfast_result *next = holdfast_list(db, &range, NULL);
            holdfast_result_free(page);
            page = next;
            expect(page, HOLDFAST_OK);
            for (size_t i = 0; i < page->n_kvs; i++, n++) {
                snprintf(key, sizeof key, "app/%02d", descending ? 24 - n : n);
                ck_assert_str_eq(page->kvs[i].key.data, key);
                ck_assert_str_eq(page->kvs[i].value.data, key);
            }
            range.cursor = page->cursor;
        } while (page->more);
        holdfast_result_free(page);
        ck_assert_int_eq(n, 25);
    }
    struct holdfast_range all = HOLDFAST_RANGE_INIT;
    all.count_only = true;
    struct holdfast_result *r = holdfast_list(db, &all, NULL);
    ck_assert_uint_eq(r->count, 26);
    holdfast_result_free(r);
    r = holdfast_delete_prefix(db, holdfast_text("app/"), NULL);
    expect(r, HOLDFAST_OK);
    ck_assert_uint_eq(r->deleted, 25);
    holdfast_result_free(r);
}
END_TEST

START_TEST(reads_of_every_consistency)
{
    struct holdfast_call call = HOLDFAST_CALL_INIT;
    call.min_revision = put("k", "v");
    for (int kind = HOLDFAST_LINEARIZABLE; kind <= HOLDFAST_STALE; kind++) {
        call.consistency = (enum holdfast_consistency)kind;
        call.max_stale_ms = kind == HOLDFAST_STALE ? 60000 : 0;
        struct holdfast_result *r = holdfast_get(db, holdfast_text("k"), &call);
        expect(r, HOLDFAST_OK);
        holdfast_result_free(r);
    }
}
END_TEST

START_TEST(documents_have_the_shape_that_is_parsed)
{
    struct holdfast_result *r = holdfast_status(db, NULL);
    expect(r, HOLDFAST_OK);
    ck_assert_str_eq(r->status->state, "leader");
    ck_assert_str_eq(r->status->id, r->status->leader);
    ck_assert_uint_gt(r->status->term, 0);
    ck_assert_uint_gt(r->status->commit_index, 0);
    ck_assert_str_eq(r->status->version, holdfast_library_version());
    holdfast_result_free(r);
    r = holdfast_info(db, NULL);
    expect(r, HOLDFAST_OK);
    ck_assert_uint_eq(r->n_members, 1);
    ck_assert(r->members[0].leader);
    ck_assert_str_ne(r->members[0].raft_addr, "");
    holdfast_result_free(r);
    static const char *const paths[] = { "/stats", "/health", "/version", "/livez",
                                         "/readyz?verbose" };
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        r = holdfast_document(db, paths[i], NULL);
        expect(r, HOLDFAST_OK);
        ck_assert_uint_gt(r->json.size, 0);
        holdfast_result_free(r);
    }
    r = holdfast_document(db, "/nowhere", NULL);
    expect(r, HOLDFAST_BAD_REQUEST);
    ck_assert_str_eq(r->code, "no_route");
    holdfast_result_free(r);
}
END_TEST

START_TEST(limits_are_named)
{
    struct holdfast_op *ops = calloc(1025, sizeof *ops);
    for (int i = 0; i < 1025; i++)
        ops[i] = (struct holdfast_op) { .type = HOLDFAST_OP_GET, .key = holdfast_text("k") };
    struct holdfast_result *r = holdfast_batch(db, ops, 1025, NULL);
    expect(r, HOLDFAST_TOO_LARGE);
    ck_assert_ptr_nonnull(strstr(r->message, "1024"));
    holdfast_result_free(r);
    r = holdfast_batch(db, ops, 0, NULL);
    expect(r, HOLDFAST_BAD_REQUEST);
    holdfast_result_free(r);
    free(ops);
    r = holdfast_batch_json(db, holdfast_text("{\"operations\":[{\"type\":\"move\"}]}"), NULL);
    expect(r, HOLDFAST_BAD_REQUEST);
    ck_assert_int_eq(r->outcome, HOLDFAST_NOT_APPLIED);
    holdfast_result_free(r);
}
END_TEST

START_TEST(the_example_runs)
{
    char command[1024], text[1024] = "";
    const char *top = getenv("top_builddir");
    snprintf(command, sizeof command, "%s/examples/holdfast-example %s", top == NULL ? "." : top,
             url);
    FILE *output = popen(command, "re");
    ck_assert_ptr_nonnull(output);
    ck_assert_uint_gt(fread(text, 1, sizeof text - 1, output), 0);
    ck_assert_int_eq(pclose(output), 0);
    ck_assert_str_eq(text, "counter is 1 at revision 3\ncounter is 2 at revision 4\n"
                           "counter is 3 at revision 5\nexample/b is \"moved\"\n"
                           "example/b = moved\nexample/counter = 3\ndeleted 2 keys\n");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("client and server");
    TCase *all = tcase_create("all");
    tcase_add_checked_fixture(all, setup, teardown);
    tcase_set_timeout(all, 60);
    suite_add_tcase(suite, all);
    tcase_add_test(all, values_come_back_byte_for_byte);
    tcase_add_test(all, keys_of_any_bytes_are_one_key_each);
    tcase_add_test(all, conditions_hold_or_tell_the_revision);
    tcase_add_test(all, batches_are_all_or_nothing);
    tcase_add_test(all, lists_page_in_both_directions);
    tcase_add_test(all, reads_of_every_consistency);
    tcase_add_test(all, documents_have_the_shape_that_is_parsed);
    tcase_add_test(all, limits_are_named);
    tcase_add_test(all, the_example_runs);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
