/* test_statemachine.c - what applying an entry promises, sentence by sentence. */
#include "test_statemachine_support.h"

/* ---- revisions and versions */

START_TEST(revision_is_1_when_empty)
{
    struct machine m;
    machine_init(&m);
    ck_assert_uint_eq(statemachine_revision(m.sm), 1);
    ck_assert_uint_eq(statemachine_applied(m.sm), 0);
    ck_assert_uint_eq(statemachine_keys(m.sm), 0);
    machine_fini(&m);
}
END_TEST

START_TEST(each_entry_that_changes_something_adds_one)
{
    struct machine m;
    machine_init(&m);
    ck_assert_uint_eq(set(&m, "a", "1")->revision, 2);
    ck_assert_uint_eq(set(&m, "a", "1")->revision, 3); /* the same value is a change too */
    struct kv_op ops[] = { op_set("b", "1"), op_set("c", "1"), op_delete("a") };
    const struct command_result *result = apply_ops(&m, ops, 3);
    ck_assert_uint_eq(result->revision, 4);
    ck_assert_uint_eq(result->results[0].revision, 4);
    ck_assert_uint_eq(result->results[1].revision, 4);
    ck_assert_uint_eq(apply_one(&m, op_delete("b"))->revision, 5);
    ck_assert_uint_eq(apply_one(&m, op_delete_prefix("c"))->revision, 6);
    ck_assert_uint_eq(statemachine_revision(m.sm), 6);
    machine_fini(&m);
}
END_TEST

START_TEST(what_changes_nothing_adds_none)
{
    struct machine m;
    struct member_info member = { 7, slice_text("node1"), slice_text("h:1"), slice_text("h:2") };
    machine_init(&m);
    set(&m, "a", "1");
    ck_assert_uint_eq(machine_apply(&m, NULL)->revision, 2);
    ck_assert_uint_eq(apply_one(&m, op_delete("absent"))->revision, 2);
    ck_assert_uint_eq(apply_one(&m, op_delete_prefix("absent"))->revision, 2);
    ck_assert_uint_eq(apply_one(&m, op_get("a"))->revision, 2);
    ck_assert_uint_eq(apply_one(&m, if_revision(op_set("a", "2"), 1))->revision, 2);
    ck_assert_uint_eq(machine_apply(&m, command_encode_announce(&member))->revision, 2);
    ck_assert_uint_eq(machine_apply(&m, blob_copy(slice_text("no command")))->revision, 2);
    ck_assert_uint_eq(statemachine_applied(m.sm), 8);
    ck_assert_uint_eq(statemachine_revision(m.sm), 2);
    machine_fini(&m);
}
END_TEST

START_TEST(versions_count_sets_and_start_over_after_a_delete)
{
    struct machine m;
    machine_init(&m);
    const struct kv_result *one = set(&m, "a", "1")->results;
    ck_assert(one->created && one->version == 1 && one->create_revision == 2 && one->revision == 2);
    one = set(&m, "a", "2")->results;
    ck_assert(!one->created && one->version == 2 && one->create_revision == 2 && one->revision == 3);
    struct kv_op twice[] = { op_set("a", "3"), op_set("a", "4") };
    const struct command_result *result = apply_ops(&m, twice, 2);
    ck_assert_uint_eq(result->results[0].version, 3);
    ck_assert_uint_eq(result->results[1].version, 4);
    ck_assert_uint_eq(result->results[1].revision, 4);
    ck_assert_uint_eq(result->revision, 4);
    struct kv_item item = item_of(&m, "a");
    ck_assert(item.version == 4 && item.create_revision == 2 && item.revision == 4);

    const struct kv_result *gone = apply_one(&m, op_delete("a"))->results;
    ck_assert(gone->found && gone->deleted == 1);
    one = set(&m, "a", "5")->results;
    ck_assert(one->created && one->version == 1 && one->create_revision == 6);

    struct kv_op again[] = { op_delete("a"), op_set("a", "6") };
    one = &apply_ops(&m, again, 2)->results[1];
    ck_assert(one->created && one->version == 1 && one->create_revision == 7);
    ck_assert_uint_eq(statemachine_keys(m.sm), 1);
    machine_fini(&m);
}
END_TEST

START_TEST(versions_go_on_over_flush_and_restart)
{
    struct machine m;
    machine_init(&m);
    set(&m, "a", "1");
    machine_flush(&m);
    ck_assert_uint_eq(set(&m, "a", "2")->results->version, 2);
    machine_flush(&m);
    machine_crash(&m, 0);
    const struct kv_result *one = set(&m, "a", "3")->results;
    ck_assert(!one->created && one->version == 3 && one->create_revision == 2 && one->revision == 4);
    machine_fini(&m);
}
END_TEST

/* ---- batches */

START_TEST(operations_see_those_before_them)
{
    struct machine m;
    machine_init(&m);
    set(&m, "a", "old");
    struct kv_op ops[] = {
        op_get("a"), op_set("a", "new"), op_get("a"), if_revision(op_set("b", "x"), 0),
        if_exists(op_delete("b")), op_get("b"), if_revision(op_set("a", "newer"), 3), op_delete("b"),
    };
    const struct command_result *result = apply_ops(&m, ops, 8);
    ck_assert_int_eq(result->err, OK);
    ck_assert_uint_eq(result->n, 8);
    ck_assert(slice_equal(result->results[0].value, slice_text("old")));
    ck_assert_uint_eq(result->results[0].revision, 2);
    ck_assert(slice_equal(result->results[2].value, slice_text("new")));
    ck_assert_uint_eq(result->results[2].revision, 3);
    ck_assert(result->results[4].found);
    ck_assert(!result->results[5].found && result->results[5].value.size == 0);
    ck_assert(!result->results[7].found);
    ck_assert_uint_eq(statemachine_keys(m.sm), 1);
    ck_assert_str_eq(value_of(&m, "a"), "newer");
    machine_fini(&m);
}
END_TEST

START_TEST(one_failed_condition_applies_nothing)
{
    struct machine m;
    machine_init(&m);
    set(&m, "a", "1");
    set(&m, "b", "1");
    machine_flush(&m);
    set(&m, "c", "1");
    size_t bytes = statemachine_pending_bytes(m.sm);
    struct kv_op ops[] = { op_set("a", "2"), op_delete("b"),          op_delete_prefix(""),
                           op_set("d", "2"), if_revision(op_set("c", "2"), 9) };
    const struct command_result *result = apply_ops(&m, ops, 5);
    ck_assert_int_eq(result->err, ERR_CONDITION_FAILED);
    ck_assert_uint_eq(result->failed_op, 4);
    ck_assert_uint_eq(result->failed_revision, 0); /* the batch itself had deleted it */
    ck_assert_uint_eq(result->n, 0);
    ck_assert_uint_eq(result->revision, 4);
    ck_assert_uint_eq(statemachine_keys(m.sm), 3);
    ck_assert_uint_eq(statemachine_pending_bytes(m.sm), bytes);
    ck_assert_str_eq(value_of(&m, "a"), "1");
    ck_assert_str_eq(value_of(&m, "b"), "1");
    ck_assert_str_eq(value_of(&m, "c"), "1");
    ck_assert_ptr_null(value_of(&m, "d"));
    machine_fini(&m);
}
END_TEST

START_TEST(a_failed_condition_tells_the_current_revision)
{
    struct machine m;
    machine_init(&m);
    set(&m, "a", "1");
    struct { struct kv_op op; bool holds; uint64_t revision; } cases[] = {
        { if_revision(op_get("a"), 2), true, 0 },
        { if_revision(op_get("a"), 1), false, 2 },
        { if_revision(op_get("a"), 0), false, 2 },
        { if_revision(op_delete("b"), 0), true, 0 },
        { if_revision(op_delete("b"), 2), false, 0 },
        { if_exists(op_get("a")), true, 0 },
        { if_exists(op_delete("b")), false, 0 },
        { if_exists(op_set("b", "1")), false, 0 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct command_result *result = apply_one(&m, cases[i].op);
        ck_assert_msg(result->err == (cases[i].holds ? OK : ERR_CONDITION_FAILED), "case %zu", i);
        ck_assert_uint_eq(result->failed_revision, cases[i].revision);
        ck_assert_uint_eq(result->failed_op, 0);
    }
    machine_fini(&m);
}
END_TEST

/* B49: of two writes that were proposed on the same knowledge the second one loses. */
START_TEST(conditions_are_judged_when_applied)
{
    struct machine m;
    machine_init(&m);
    set(&m, "a", "1");
    struct kv_op first = if_revision(op_set("a", "first"), 2);
    struct kv_op second = if_revision(op_set("a", "second"), 2);
    struct blob *both[] = { batch_of(&first, 1), batch_of(&second, 1) };
    ck_assert_int_eq(machine_apply(&m, both[0])->err, OK);
    ck_assert_int_eq(machine_apply(&m, both[1])->err, ERR_CONDITION_FAILED);
    ck_assert_uint_eq(m.result.failed_revision, 3);
    ck_assert_str_eq(value_of(&m, "a"), "first");
    machine_fini(&m);
}
END_TEST

START_TEST(a_batch_returns_no_more_than_its_bound)
{
    static char value[VALUE_SIZE_MAX];
    struct machine m;
    machine_init(&m);
    struct kv_op large = { .type = KV_SET, .key = slice_text("large"),
                           .value = slice_of(value, sizeof value) };
    apply_one(&m, large);
    struct kv_op gets[6];
    gets[0] = op_set("a", "1");
    for (int i = 1; i < 6; i++)
        gets[i] = op_get("large");
    ck_assert_int_eq(apply_ops(&m, gets, 5)->err, OK); /* 4 MiB */
    ck_assert_uint_eq(m.result.results[4].value.size, sizeof value);
    gets[0] = op_set("a", "2");
    ck_assert_int_eq(apply_ops(&m, gets, 6)->err, ERR_TOO_LARGE);
    ck_assert_uint_eq(m.result.failed_op, 5);
    ck_assert_str_eq(value_of(&m, "a"), "1");
    machine_fini(&m);
}
END_TEST

START_TEST(results_outlive_a_flush)
{
    struct machine m;
    machine_init(&m);
    set(&m, "a", "kept");
    const struct command_result *result = apply_one(&m, op_get("a"));
    struct slice value = result->results[0].value;
    machine_flush(&m); /* frees the table in which the value stood */
    ck_assert(slice_equal(value, slice_text("kept")));
    machine_fini(&m);
}
END_TEST

/* ---- delete by prefix */

START_TEST(delete_by_prefix_deletes_what_begins_so)
{
    struct machine m;
    machine_init(&m);
    set(&m, "app", "1");
    set(&m, "app/1", "1");
    machine_flush(&m);
    set(&m, "app/2", "1");
    set(&m, "app0", "1");
    apply_one(&m, op_delete("app/1"));
    set(&m, "app/3", "1");
    struct kv_op ops[] = { op_set("app/4", "1"), op_delete_prefix("app/"), op_set("app/5", "1") };
    const struct command_result *result = apply_ops(&m, ops, 3);
    ck_assert_uint_eq(result->results[1].deleted, 3);
    ck_assert_uint_eq(statemachine_keys(m.sm), 3);
    ck_assert_ptr_nonnull(value_of(&m, "app"));
    ck_assert_ptr_nonnull(value_of(&m, "app0"));
    ck_assert_ptr_nonnull(value_of(&m, "app/5"));
    ck_assert_ptr_null(value_of(&m, "app/2"));
    ck_assert_uint_eq(apply_one(&m, op_delete_prefix(""))->results[0].deleted, 3);
    ck_assert_uint_eq(statemachine_keys(m.sm), 0);
    machine_flush(&m);
    ck_assert_ptr_null(value_of(&m, "app"));
    machine_fini(&m);
}
END_TEST

START_TEST(a_prefix_of_highest_bytes_has_no_end)
{
    struct machine m;
    machine_init(&m);
    set(&m, "\xfe\xff", "1");
    set(&m, "\xff", "1");
    set(&m, "\xff\x01", "1");
    set(&m, "\xff\xff", "1");
    set(&m, "\xff\xff\xff", "1");
    ck_assert_uint_eq(apply_one(&m, op_delete_prefix("\xff\xff"))->results[0].deleted, 2);
    ck_assert_uint_eq(apply_one(&m, op_delete_prefix("\xfe\xff"))->results[0].deleted, 1);
    ck_assert_uint_eq(apply_one(&m, op_delete_prefix("\xff"))->results[0].deleted, 2);
    machine_fini(&m);
}
END_TEST

/* Sets keys p/0 .. p/n-1. */
static void set_many(struct machine *m, uint32_t n)
{
    static struct kv_op ops[BATCH_OPS_MAX];
    static char keys[BATCH_OPS_MAX][16];
    for (uint32_t done = 0; done < n;) {
        uint32_t part = n - done < BATCH_OPS_MAX ? n - done : BATCH_OPS_MAX;
        for (uint32_t i = 0; i < part; i++) {
            snprintf(keys[i], sizeof keys[i], "p/%07u", done + i);
            ops[i] = op_set(keys[i], "");
        }
        ck_assert_int_eq(apply_ops(m, ops, part)->err, OK);
        done += part;
    }
}

START_TEST(delete_by_prefix_is_bounded)
{
    struct machine m;
    machine_init(&m);
    set_many(&m, DELETE_PREFIX_KEYS_MAX + 1);
    machine_flush(&m);
    struct kv_op ops[] = { op_set("a", "1"), op_delete_prefix("p/") };
    ck_assert_int_eq(apply_ops(&m, ops, 2)->err, ERR_TOO_LARGE);
    ck_assert_uint_eq(m.result.failed_op, 1);
    ck_assert_uint_eq(m.result.failed_revision, 0);
    ck_assert_uint_eq(statemachine_keys(m.sm), DELETE_PREFIX_KEYS_MAX + 1);
    ck_assert_uint_eq(statemachine_pending_bytes(m.sm), 0);
    ck_assert_ptr_null(value_of(&m, "a"));

    struct kv_op parts[] = { op_delete_prefix("p/00"), op_delete_prefix("p/01") };
    ck_assert_int_eq(apply_ops(&m, parts, 2)->err, ERR_TOO_LARGE); /* 100,000 and 1 */
    ck_assert_uint_eq(m.result.failed_op, 1);
    ck_assert_int_eq(apply_one(&m, op_delete("p/0000000"))->err, OK);
    ck_assert_int_eq(apply_one(&m, op_delete_prefix("p/"))->err, OK);
    ck_assert_uint_eq(m.result.results[0].deleted, DELETE_PREFIX_KEYS_MAX);
    ck_assert_uint_eq(statemachine_keys(m.sm), 0);
    machine_fini(&m);
}
END_TEST

START_TEST(deletes_by_prefix_in_a_batch_are_few)
{
    struct machine m;
    struct kv_op ops[BATCH_PREFIXES_MAX + 1];
    machine_init(&m);
    set(&m, "a", "1");
    for (int i = 0; i <= BATCH_PREFIXES_MAX; i++)
        ops[i] = op_delete_prefix("a");
    ck_assert_int_eq(apply_ops(&m, ops, BATCH_PREFIXES_MAX + 1)->err, ERR_TOO_LARGE);
    ck_assert_uint_eq(m.result.failed_op, BATCH_PREFIXES_MAX);
    ck_assert_uint_eq(statemachine_keys(m.sm), 1);
    ck_assert_int_eq(apply_ops(&m, ops, BATCH_PREFIXES_MAX)->err, OK);
    ck_assert_uint_eq(statemachine_keys(m.sm), 0);
    machine_fini(&m);
}
END_TEST

/* ---- bytes */

START_TEST(keys_and_values_are_any_bytes)
{
    static unsigned char key[KEY_SIZE_MAX], value[VALUE_SIZE_MAX];
    struct machine m;
    machine_init(&m);
    for (size_t i = 0; i < sizeof value; i++)
        value[i] = (unsigned char)i;
    for (size_t i = 0; i < sizeof key; i++)
        key[i] = (unsigned char)(255 - i % 256);
    struct kv_op ops[] = {
        { .type = KV_SET, .key = slice_of(key, sizeof key), .value = slice_of(value, sizeof value) },
        { .type = KV_SET, .key = slice_of("\0", 1) },
        { .type = KV_GET, .key = slice_of("\0\0", 2) },
        { .type = KV_GET, .key = slice_of("\0", 1) },
    };
    ck_assert_int_eq(apply_ops(&m, ops, 4)->err, OK);
    ck_assert(!m.result.results[2].found);
    ck_assert(m.result.results[3].found && m.result.results[3].value.size == 0);
    for (int flushed = 0; flushed < 2; flushed++) {
        struct kv_item item;
        ck_assert_int_eq(statemachine_read_begin(m.sm), OK);
        ck_assert_int_eq(statemachine_get(m.sm, slice_of(key, sizeof key), &item), OK);
        ck_assert(slice_equal(item.value, slice_of(value, sizeof value)));
        ck_assert_int_eq(statemachine_get(m.sm, slice_of("\0", 1), &item), OK);
        ck_assert_uint_eq(item.value.size, 0); /* empty, not absent */
        ck_assert_int_eq(statemachine_get(m.sm, slice_of(key, 1), &item), ERR_KEY_NOT_FOUND);
        statemachine_read_end(m.sm);
        if (flushed == 0)
            machine_flush(&m);
    }
    machine_fini(&m);
}
END_TEST

START_TEST(what_is_no_command_is_refused_and_counted)
{
    struct machine m;
    machine_init(&m);
    set(&m, "a", "1");
    ck_assert_int_eq(machine_apply(&m, blob_copy(slice_text("rubbish")))->err, ERR_BAD_REQUEST);
    ck_assert_uint_eq(m.result.index, 2);
    ck_assert_uint_eq(m.result.n, 0);
    ck_assert_int_eq(machine_apply(&m, blob_copy(slice_of(NULL, 0)))->err, ERR_BAD_REQUEST);
    ck_assert_uint_eq(statemachine_applied(m.sm), 3);
    ck_assert_str_eq(value_of(&m, "a"), "1");
    machine_fini(&m);
}
END_TEST

/* ---- members */

static const struct command_result *announce(struct machine *m, raft_id id, const char *name)
{
    struct member_info member = { id, slice_text(name), slice_text("h:1"), slice_text("h:2") };
    return machine_apply(m, command_encode_announce(&member));
}

static void expect_members(struct machine *m)
{
    struct member_info members[MEMBERS_MAX];
    ck_assert_uint_eq(statemachine_members(m->sm, members), 3);
    ck_assert_uint_eq(members[0].id, 1);
    ck_assert_uint_eq(members[1].id, 256);
    ck_assert_uint_eq(members[2].id, UINT64_MAX);
    ck_assert(slice_equal(members[0].name, slice_text("one")));
    ck_assert(slice_equal(members[1].name, slice_text("two, renamed")));
    ck_assert(slice_equal(members[2].raft_addr, slice_text("h:1")));
    ck_assert(slice_equal(members[2].http_addr, slice_text("h:2")));
}

START_TEST(announced_members_are_remembered)
{
    struct machine m;
    machine_init(&m);
    announce(&m, 256, "two");
    announce(&m, UINT64_MAX, "three");
    machine_flush(&m);
    announce(&m, 1, "one");
    announce(&m, 256, "two, renamed");
    expect_members(&m);
    machine_flush(&m);
    announce(&m, 1, "one"); /* again: nothing to write but that it was applied */
    ck_assert_uint_eq(statemachine_pending_bytes(m.sm), 0);
    machine_flush(&m);
    machine_crash(&m, 0);
    expect_members(&m);
    machine_fini(&m);
}
END_TEST

START_TEST(announced_members_are_bounded)
{
    struct machine m;
    machine_init(&m);
    for (raft_id id = 1; id <= MEMBERS_MAX; id++)
        ck_assert_int_eq(announce(&m, id, "n")->err, OK);
    ck_assert_int_eq(announce(&m, MEMBERS_MAX + 1, "n")->err, ERR_TOO_LARGE);
    ck_assert_int_eq(announce(&m, 3, "again")->err, OK);
    machine_fini(&m);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        revision_is_1_when_empty,
        each_entry_that_changes_something_adds_one,
        what_changes_nothing_adds_none,
        versions_count_sets_and_start_over_after_a_delete,
        versions_go_on_over_flush_and_restart,
        operations_see_those_before_them,
        one_failed_condition_applies_nothing,
        a_failed_condition_tells_the_current_revision,
        conditions_are_judged_when_applied,
        a_batch_returns_no_more_than_its_bound,
        results_outlive_a_flush,
        delete_by_prefix_deletes_what_begins_so,
        a_prefix_of_highest_bytes_has_no_end,
        delete_by_prefix_is_bounded,
        deletes_by_prefix_in_a_batch_are_few,
        keys_and_values_are_any_bytes,
        what_is_no_command_is_refused_and_counted,
        announced_members_are_remembered,
        announced_members_are_bounded,
    };
    return run_tests("state machine", tests, sizeof tests / sizeof tests[0], 60);
}
