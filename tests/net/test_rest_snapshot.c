/* test_rest_snapshot.c - GET /snapshot over a scripted node: all of it, with its headers; one at a
 * time; no more in memory than two parts; and nothing left behind when the client or the server goes. */
#include "tests/support/fake_node.h"
#include "tests/support/rest.h"

#include <holdfast/limits.h>

#include <check.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

enum { PART = HTTP_STREAM_PART, HUGE_SIZE = 256 * 1024 * 1024 };

static struct node *node;
static struct rest rest;

static void set_up(void)
{
    node = fake_node_new();
    node->copy = (struct snapshot_info){ .index = 39, .term = 7, .revision = 58, .keys = 5,
                                         .size = 4 * PART + 3, .digest = 0xabcdef,
                                         .checksum = 0x0123456789abcdefULL };
    struct rest_backend backend = { node, NULL, NULL };
    rest_init(&rest, &backend, NULL);
}

static void tear_down(void)
{
    rest_fini(&rest);
    node_free(node);
}

static bool dropped(void *arg)
{
    return node->n_dropped == *(uint32_t *)arg;
}

static bool begun(void *arg)
{
    (void)arg;
    return node->n_parts > 0;
}

static void begin_huge(void)
{
    node->copy.size = HUGE_SIZE;
    rest_begin(&rest, "GET", "/snapshot", NULL, slice_of(NULL, 0));
    rest_until(&rest, begun, NULL);
    for (int i = 0; i < 300; i++)
        rest_turn(&rest);
}

static void hang_up(void)
{
    close(rest.fd);
    rest.fd = -1;
}

START_TEST(it_comes_whole_with_its_headers)
{
    for (uint32_t turn = 1; turn <= 3; turn++) {
        const struct rest_answer *answer = rest_get(&rest, "/snapshot");
        rest_expect(answer, 200);
        ck_assert_uint_eq(answer->body_size, node->copy.size);
        for (size_t i = 0; i < answer->body_size; i++)
            if ((unsigned char)answer->body[i] != i % 251)
                ck_abort_msg("byte %zu is another", i);
        ck_assert_str_eq(rest_header(answer, "Holdfast-Snapshot-Index"), "39");
        ck_assert_str_eq(rest_header(answer, "Holdfast-Snapshot-Term"), "7");
        ck_assert_str_eq(rest_header(answer, "Holdfast-Snapshot-Revision"), "58");
        ck_assert_str_eq(rest_header(answer, "Holdfast-Snapshot-Keys"), "5");
        ck_assert_str_eq(rest_header(answer, "Holdfast-Snapshot-Digest"), "0000000000abcdef");
        ck_assert_str_eq(rest_header(answer, "Holdfast-Snapshot-Checksum"), "0123456789abcdef");
        ck_assert_str_eq(rest_header(answer, "Content-Type"), "application/octet-stream");
        ck_assert_str_eq(rest_header(answer, "Holdfast-Consistency"), "linearizable");
        ck_assert_uint_eq(node->n_dropped, turn);
        ck_assert_uint_eq(node->n_parts, 5 * turn);
        rest_expect(rest_get(&rest, "/livez"), 200); /* the connection goes on */
    }
}
END_TEST

START_TEST(one_byte_is_a_snapshot_too)
{
    node->copy.size = 1;
    rest_expect(rest_get(&rest, "/snapshot"), 200);
    node->copy.size = PART;
    const struct rest_answer *answer = rest_get(&rest, "/snapshot");
    ck_assert_uint_eq(answer->body_size, PART);
    ck_assert_uint_eq(node->n_dropped, 2);
}
END_TEST

START_TEST(a_reader_that_stands_still_pins_two_parts)
{
    uint32_t parts;
    begin_huge();
    do { /* the sockets' buffers take some, and grow */
        parts = node->n_parts;
        for (int i = 0; i < 200; i++)
            rest_turn(&rest);
        ck_assert_msg(node->n_parts < 64, "%u of %d parts were read ahead", node->n_parts,
                      HUGE_SIZE / PART);
    } while (node->n_parts != parts);
    ck_assert_uint_eq(node->n_dropped, 0);
}
END_TEST

START_TEST(there_is_one_at_a_time)
{
    static const char second[] = "GET /snapshot HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    uint32_t one = 1;
    begin_huge();
    rest_expect_error(rest_raw(&rest, slice_text(second)), 429, "overloaded", "not_applied",
                      "one at a time", "another node");
    ck_assert_ptr_nonnull(node->copied);
    hang_up();
    rest_until(&rest, dropped, &one);
    ck_assert_ptr_null(node->copied);
    node->copy.size = 10;
    rest_expect(rest_get(&rest, "/snapshot"), 200);
}
END_TEST

START_TEST(a_copy_that_cannot_be_made_is_told)
{
    static const struct {
        enum err err;
        int status;
        const char *code;
    } rows[] = { { ERR_OVERLOADED, 429, "overloaded" },
                 { ERR_NO_SPACE, 503, "no_space" },
                 { ERR_STATE_DIFFERS, 503, "state_differs" },
                 { ERR_SHUTTING_DOWN, 503, "shutting_down" },
                 { ERR_IO, 500, "internal" } };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        /* The read ends well, the copy does not. */
        node->keep = true;
        rest_begin(&rest, "GET", "/snapshot", NULL, slice_of(NULL, 0));
        while (node->n_kept == 0)
            rest_turn(&rest);
        ck_assert_int_eq(node->kept[0]->type, OP_READ);
        fake_node_finish(node);
        ck_assert_uint_eq(node->n_kept, 1);
        ck_assert_int_eq(node->kept[0]->type, OP_COPY);
        node->err = rows[i].err;
        fake_node_finish(node);
        rest_expect_error(rest_end(&rest), rows[i].status, rows[i].code, "not_applied", NULL, NULL);
        node->err = OK;
        node->keep = false;
    }
    rest_expect(rest_get(&rest, "/snapshot"), 200);
}
END_TEST

/* Who goes while the copy is made is not sent it, and the copy is dropped. */
START_TEST(a_client_that_goes_early)
{
    uint32_t one = 1;
    node->keep = true;
    rest_begin(&rest, "GET", "/snapshot?consistency=stale", NULL, slice_of(NULL, 0));
    while (node->n_kept == 0)
        rest_turn(&rest);
    fake_node_finish(node);
    hang_up();
    for (int i = 0; i < 50; i++)
        rest_turn(&rest);
    node->keep = false;
    fake_node_finish(node);
    rest_until(&rest, dropped, &one);
    rest_expect(rest_get(&rest, "/snapshot"), 200);
}
END_TEST

START_TEST(a_stop_cuts_it)
{
    begin_huge();
    server_stop(rest.server);
    ck_assert_uint_eq(node->n_dropped, 1);
    ck_assert(server_idle(rest.server));
}
END_TEST

START_TEST(a_server_that_goes_drops_it)
{
    begin_huge();
}
END_TEST

START_TEST(a_node_that_goes_ends_it)
{
    begin_huge();
    node->copied->part(node->copied, ERR_SHUTTING_DOWN, NULL);
    node->copied = NULL; /* nobody may drop it any more */
    for (int i = 0; i < 20; i++)
        rest_turn(&rest);
    ck_assert_uint_eq(node->n_dropped, 0);
}
END_TEST

START_TEST(other_methods_are_refused)
{
    rest_expect_error(rest_delete(&rest, "/snapshot"), 405, "method_not_allowed", "not_applied", NULL,
                      "GET");
    rest_expect_error(rest_get(&rest, "/snapshot?limit=3"), 400, "bad_request", "not_applied", NULL,
                      NULL);
}
END_TEST

int main(void)
{
    signal(SIGPIPE, SIG_IGN); /* as the program does */
    Suite *suite = suite_create("snapshot");
    TCase *tcase = tcase_create("snapshot");
    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, it_comes_whole_with_its_headers);
    tcase_add_test(tcase, one_byte_is_a_snapshot_too);
    tcase_add_test(tcase, a_reader_that_stands_still_pins_two_parts);
    tcase_add_test(tcase, there_is_one_at_a_time);
    tcase_add_test(tcase, a_copy_that_cannot_be_made_is_told);
    tcase_add_test(tcase, a_client_that_goes_early);
    tcase_add_test(tcase, a_stop_cuts_it);
    tcase_add_test(tcase, a_server_that_goes_drops_it);
    tcase_add_test(tcase, a_node_that_goes_ends_it);
    tcase_add_test(tcase, other_methods_are_refused);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
