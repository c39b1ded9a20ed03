/* test_inspect.c - entries, items, bytes, times and sizes as inspect prints them. */
#include "src/cmd/inspect.h"

#include <check.h>
#include <stdlib.h>

static char *text;
static size_t size;
static FILE *out;

static void setup(void)
{
    out = open_memstream(&text, &size);
    ck_assert_ptr_nonnull(out);
}

static void teardown(void)
{
    fclose(out);
    free(text);
}

/* What was printed since the last time. */
static void expect(const char *said)
{
    fflush(out);
    ck_assert_str_eq(text, said);
    rewind(out);
    memset(text, 0, size);
}

START_TEST(text_for_a_terminal_holds_nothing_that_it_obeys)
{
    text_quote(out, slice_text("plain \xc3\xa4 \"quoted\" \\ \n\t\x1b[2J"), 100);
    expect("\"plain \xc3\xa4 \\\"quoted\\\" \\\\ \\n\\t\\x1b[2J\"");
    text_quote(out, slice_of("\0\x7f\xc2\x9b\xff\xc3", 6), 100); /* C1's CSI among them */
    expect("\"\\x00\\x7f\\xc2\\x9b\\xff\\xc3\"");
    text_quote(out, slice_text("0123456789"), 4);
    expect("\"0123\"...");
    text_quote(out, slice_of(NULL, 0), 4);
    expect("\"\"");
}
END_TEST

START_TEST(json_carries_every_byte)
{
    struct json json = { .out = out };
    json_begin(&json, '{');
    json_bytes(&json, "a", slice_text("x\"\\\n\x01\xc3\xa4"));
    json_bytes(&json, "b", slice_of("\0", 1));
    json_bytes(&json, "c", slice_of("\xff\xfe", 2));
    json_bytes(&json, "d", slice_of("\xff\xfe\xfd", 3));
    json_bytes(&json, "e", slice_of(NULL, 0));
    json_key(&json, "f");
    json_begin(&json, '[');
    json_number(&json, NULL, UINT64_MAX);
    json_truth(&json, NULL, false);
    json_finish(&json, ']');
    json_hex(&json, "g", 255);
    json_finish(&json, '}');
    expect("{\"a\":\"x\\\"\\\\\\u000a\\u0001\xc3\xa4\",\"b_b64\":\"AA==\",\"c_b64\":\"//4=\","
           "\"d_b64\":\"//79\",\"e\":\"\",\"f\":[18446744073709551615,false],"
           "\"g\":\"00000000000000ff\"}");
}
END_TEST

START_TEST(times_and_sizes)
{
    char time[TEXT_TIME_MAX], bytes[TEXT_SIZE_MAX];
    text_time(1795488714009, time);
    ck_assert_str_eq(time, "2026-11-24T02:51:54.009Z");
    text_time(0, time);
    ck_assert_str_eq(time, "1970-01-01T00:00:00.000Z");
    text_time(UINT64_MAX, time);
    ck_assert_str_eq(time, "18446744073709551615ms");
    text_size(1023, bytes);
    ck_assert_str_eq(bytes, "1023 B");
    text_size(1536, bytes);
    ck_assert_str_eq(bytes, "1.5 KiB");
    text_size(UINT64_MAX, bytes);
    ck_assert_str_eq(bytes, "16.0 EiB");
}
END_TEST

/* An entry as it would be read from a log. */
static void write_entry(bool json, raft_index index, enum raft_kind kind, struct slice payload)
{
    static struct kv_op ops[BATCH_OPS_MAX];
    struct record record = { index, 7, kind, 1795488714009, payload };
    struct blob *blob = record_encode(&record);
    struct look_entry entry = { .index = index, .bytes = blob_slice(blob), .record = record };
    inspect_write_entry(out, json, &entry, ops);
    entry.err = ERR_CORRUPT;
    if (index == 13)
        inspect_write_entry(out, json, &entry, ops);
    blob_unref(blob);
}

START_TEST(conditions_are_told)
{
    const struct kv_op ops[] = {
        { KV_SET, CONDITION_REVISION, 0, slice_text("new"), slice_text("v") },
        { KV_SET, CONDITION_REVISION, 5, slice_text("old"), slice_text("v") },
        { KV_DELETE, CONDITION_EXISTS, 0, slice_text("there"), slice_of(NULL, 0) },
        { KV_DELETE_PREFIX, CONDITION_NONE, 0, slice_text("all/"), slice_of(NULL, 0) },
    };
    unsigned char bytes[512];
    struct slice payload = slice_of(bytes, command_encode_batch(ops, 4, bytes));
    ck_assert_uint_le(payload.size, sizeof bytes);
    write_entry(false, 12, RAFT_DATA, payload);
    expect("12        term 7    batch     2026-11-24T02:51:54.009Z      105 B  set \"new\" = 1 B \"v\" if "
           "absent; set \"old\" = 1 B \"v\" if at revision 5; delete \"there\" if it exists; "
           "delete-prefix \"all/\"\n");
    write_entry(true, 12, RAFT_DATA, payload);
    expect("{\"index\":12,\"kind\":\"batch\",\"size\":105,\"term\":7,\"time_ms\":1795488714009,"
           "\"time\":\"2026-11-24T02:51:54.009Z\",\"ops\":[{\"op\":\"set\",\"key\":\"new\","
           "\"value\":\"v\",\"if_revision\":0},{\"op\":\"set\",\"key\":\"old\",\"value\":\"v\","
           "\"if_revision\":5},{\"op\":\"delete\",\"key\":\"there\",\"if_exists\":true},"
           "{\"op\":\"delete-prefix\",\"prefix\":\"all/\"}]}\n");
}
END_TEST

START_TEST(members_are_told_with_what_is_to_become_of_them)
{
    struct configuration c = { .members = { .n = 3, .joint = true } };
    const struct raft_member members[] = { { 1, true, true, false },
                                           { 2, false, true, true },
                                           { 3, false, false, false } };
    memcpy(c.members.at, members, sizeof members);
    for (unsigned i = 0; i < 3; i++)
        snprintf(c.raft_addr[i], sizeof c.raft_addr[i], "n%u:9001", i + 1);
    c.replaces[2] = 1;
    struct blob *blob = configuration_encode(&c);
    write_entry(false, 1, RAFT_MEMBERS, blob_slice(blob));
    fflush(out);
    ck_assert_ptr_nonnull(strstr(text, "joint: 0000000000000001 n1:9001 voter old-voter, "
                                       "0000000000000002 n2:9001 leaving old-voter, "
                                       "0000000000000003 n3:9001 learner replaces 0000000000000001\n"));
    blob_unref(blob);
}
END_TEST

START_TEST(what_is_damaged_or_unknown_is_shown_as_such)
{
    write_entry(false, 13, RAFT_DATA, slice_text("?"));
    expect("13        term 7    unknown   2026-11-24T02:51:54.009Z       33 B  no command that this "
           "version knows; it changes nothing\n"
           "13        term -    damaged   -                              33 B  does not match its "
           "checksum\n");
    write_entry(true, 13, RAFT_NOOP, slice_of(NULL, 0));
    expect("{\"index\":13,\"kind\":\"noop\",\"size\":32,\"term\":7,\"time_ms\":1795488714009,"
           "\"time\":\"2026-11-24T02:51:54.009Z\"}\n"
           "{\"index\":13,\"kind\":\"damaged\",\"size\":32,\"damaged\":true}\n");
    /* Sound by its checksum, and still no item of a key. */
    const struct look_item item = { .table = TABLE_KV, .key = slice_text("k"),
                                    .content = slice_text("short") };
    inspect_write_item(out, true, &item);
    expect("{\"table\":\"kv\",\"key\":\"k\",\"size\":5,\"damaged\":true}\n");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("inspect");
    TCase *tcase = tcase_create("lines");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, text_for_a_terminal_holds_nothing_that_it_obeys);
    tcase_add_test(tcase, json_carries_every_byte);
    tcase_add_test(tcase, times_and_sizes);
    tcase_add_test(tcase, conditions_are_told);
    tcase_add_test(tcase, members_are_told_with_what_is_to_become_of_them);
    tcase_add_test(tcase, what_is_damaged_or_unknown_is_shown_as_such);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
