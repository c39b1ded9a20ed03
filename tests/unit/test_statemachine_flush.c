/* test_statemachine_flush.c - the way of changes into the store: whole or not at all, once, and
 * never without the applied index that goes with them; and what is done when the store fails. */
#include "test_statemachine_support.h"

#include <inttypes.h>

/* ---- batches */

START_TEST(without_an_entry_there_is_no_batch)
{
    struct machine m;
    raft_index applied;
    machine_init(&m);
    ck_assert_ptr_null(statemachine_seal(m.sm, &applied));
    set(&m, "a", "1");
    machine_flush(&m);
    ck_assert_ptr_null(statemachine_seal(m.sm, &applied));
    machine_fini(&m);
}
END_TEST

static void expect_change(const struct state_change *change, enum state_table table,
                          const char *key, const char *value)
{
    ck_assert_int_eq(change->table, table);
    ck_assert(slice_equal(change->key, slice_text(key)));
    ck_assert_msg(slice_equal(change->value, slice_text(value)), "%s is %.*s, should be %s", key,
                  (int)change->value.size, (const char *)change->value.data, value);
}

START_TEST(a_batch_is_sorted_and_tells_where_it_stands)
{
    struct machine m;
    raft_index applied;
    machine_init(&m);
    memory_disk_hold(m.disk, true);
    set(&m, "b", "1");
    set(&m, "a", "1");
    apply_one(&m, op_delete("b"));
    machine_apply(&m, NULL);
    struct state_job *job = statemachine_seal(m.sm, &applied);
    ck_assert_uint_eq(applied, 4);
    ck_assert_uint_eq(job->n, 7);
    expect_change(&job->changes[0], TABLE_META, "applied_index", "4");
    expect_change(&job->changes[1], TABLE_META, "applied_term", "1");
    char digest[17];
    snprintf(digest, sizeof digest, "%016" PRIx64, statemachine_digest(m.sm));
    expect_change(&job->changes[2], TABLE_META, "digest", digest);
    expect_change(&job->changes[3], TABLE_META, "keys", "1");
    expect_change(&job->changes[4], TABLE_META, "revision", "4");
    ck_assert_int_eq(job->changes[5].table, TABLE_KV);
    ck_assert_uint_eq(job->changes[5].value.size, 24 + 1);
    ck_assert_mem_eq(job->changes[5].value.data,
                     "\3\0\0\0\0\0\0\0" "\3\0\0\0\0\0\0\0" "\1\0\0\0\0\0\0\0" "1", 25);
    ck_assert_int_eq(job->changes[6].table, TABLE_KV);
    ck_assert_ptr_null(job->changes[6].value.data); /* b was set and deleted */
    m.store->ops->submit(m.store, job);
    machine_fini(&m);
}
END_TEST

START_TEST(an_empty_entry_is_a_batch_too)
{
    struct machine m;
    machine_init(&m);
    machine_apply(&m, NULL);
    machine_flush(&m);
    machine_crash(&m, 0);
    ck_assert_uint_eq(statemachine_applied(m.sm), 1);
    ck_assert_uint_eq(statemachine_applied_term(m.sm), 1);
    machine_fini(&m);
}
END_TEST

START_TEST(entries_are_applied_while_a_batch_is_out)
{
    struct machine m;
    machine_init(&m);
    memory_disk_hold(m.disk, true);
    set(&m, "a", "1");
    size_t one = statemachine_pending_bytes(m.sm);
    ck_assert_uint_gt(one, 0);
    ck_assert(machine_submit(&m));
    ck_assert(statemachine_sealed(m.sm));
    ck_assert_uint_eq(statemachine_durable(m.sm), 0);
    size_t sealed = statemachine_pending_bytes(m.sm);
    ck_assert_uint_gt(sealed, one); /* the meta rows have come with it */
    set(&m, "b", "1");
    ck_assert_uint_eq(statemachine_pending_bytes(m.sm), sealed + one);
    ck_assert_uint_eq(statemachine_applied(m.sm), 2);

    ck_assert(memory_disk_write(m.disk, true));
    ck_assert_uint_eq(statemachine_durable(m.sm), 0); /* not before we are told */
    machine_drain(&m);
    ck_assert_uint_eq(statemachine_durable(m.sm), 1);
    ck_assert(!statemachine_sealed(m.sm));
    ck_assert_uint_eq(statemachine_pending_bytes(m.sm), one);
    ck_assert(machine_submit(&m));
    ck_assert(memory_disk_write(m.disk, true));
    machine_drain(&m);
    ck_assert_uint_eq(statemachine_durable(m.sm), 2);
    ck_assert_uint_eq(statemachine_pending_bytes(m.sm), 0);
    ck_assert_str_eq(value_of(&m, "a"), "1");
    ck_assert_str_eq(value_of(&m, "b"), "1");
    machine_fini(&m);
}
END_TEST

/* ---- crashes */

/* B44: wherever the crash falls, the applied index, the revision and the effects agree. */
START_TEST(the_applied_index_goes_with_its_effects)
{
    for (size_t kept = 0; kept < 2; kept++) {
        struct machine m;
        machine_init(&m);
        set(&m, "a", "1");
        machine_flush(&m);
        memory_disk_hold(m.disk, true);
        set(&m, "a", "2");
        apply_one(&m, op_set("b", "2"));
        machine_submit(&m);
        set(&m, "a", "3"); /* applied, not in the batch */
        machine_crash(&m, kept);
        ck_assert_uint_eq(statemachine_applied(m.sm), kept ? 3 : 1);
        ck_assert_uint_eq(statemachine_durable(m.sm), kept ? 3 : 1);
        ck_assert_uint_eq(statemachine_revision(m.sm), kept ? 4 : 2);
        ck_assert_uint_eq(statemachine_keys(m.sm), kept ? 2 : 1);
        ck_assert_str_eq(value_of(&m, "a"), kept ? "2" : "1");
        ck_assert_int_eq(value_of(&m, "b") != NULL, kept == 1);
        machine_replay(&m);
        ck_assert_str_eq(value_of(&m, "a"), "3");
        machine_fini(&m);
    }
}
END_TEST

/* B24: over any number of crashes each entry has its effect exactly once. */
START_TEST(every_entry_is_applied_exactly_once)
{
    struct machine m;
    uint64_t seed = 24;
    machine_init(&m);
    memory_disk_hold(m.disk, true);
    for (uint64_t i = 1; i <= 500; i++) {
        ck_assert_uint_eq(set(&m, "counter", "x")->results[0].version, i);
        if (next_random(&seed) % 10 == 0 && !statemachine_sealed(m.sm))
            machine_submit(&m);
        if (next_random(&seed) % 10 == 0 && memory_disk_write(m.disk, true))
            machine_drain(&m);
        if (next_random(&seed) % 20 == 0) {
            machine_crash(&m, next_random(&seed) % 2);
            machine_replay(&m);
        }
        ck_assert_uint_eq(item_of(&m, "counter").version, i);
        ck_assert_uint_eq(statemachine_revision(m.sm), i + 1);
    }
    machine_fini(&m);
}
END_TEST

/* ---- damage */

START_TEST(a_damaged_row_is_never_served)
{
    struct machine m;
    struct kv_item item;
    struct list_query query = { .limit = 10 };
    struct list_result result;
    machine_init(&m);
    set(&m, "a", "1");
    set(&m, "b", "1");
    machine_flush(&m);
    ck_assert(memory_disk_corrupt_state(m.disk, TABLE_KV, slice_text("b"), 3));
    ck_assert_int_eq(statemachine_read_begin(m.sm), OK);
    ck_assert_int_eq(statemachine_get(m.sm, slice_text("a"), &item), OK);
    ck_assert_int_eq(statemachine_get(m.sm, slice_text("b"), &item), ERR_CORRUPT);
    query.count_only = true;
    ck_assert_int_eq(statemachine_list(m.sm, &query, NULL, NULL, &result), ERR_CORRUPT);
    query.descending = true;
    ck_assert_int_eq(statemachine_list(m.sm, &query, NULL, NULL, &result), ERR_CORRUPT);
    statemachine_read_end(m.sm);

    /* nor built upon */
    struct kv_op ops[] = { op_set("c", "1"), op_set("b", "2") };
    struct blob *command = batch_of(ops, 2);
    struct record entry = { 3, 1, RAFT_DATA, 0, blob_slice(command) };
    ck_assert_int_eq(statemachine_apply(m.sm, &entry, &m.result), ERR_CORRUPT);
    ck_assert_uint_eq(statemachine_applied(m.sm), 2);
    ck_assert_uint_eq(statemachine_pending_bytes(m.sm), 0);
    blob_unref(command);
    machine_fini(&m);
}
END_TEST

/* Writes one change behind the state machine's back. */
static void write_row(struct machine *m, enum state_table table, struct slice key,
                      struct slice value)
{
    struct state_change change = { table, key, value };
    struct state_job job = { .changes = &change, .n = 1 };
    m->store->ops->submit(m->store, &job);
    memory_disk_crash(m->disk, 0, 0); /* the completion is not for the machine */
    m->store = state_memory_open(m->disk, NULL);
}

static enum err boot_error(struct machine *m)
{
    struct statemachine *sm;
    enum err err = statemachine_new(m->store, &sm);
    if (err != OK)
        ck_assert_ptr_null(sm);
    statemachine_free(sm);
    return err;
}

START_TEST(meta_that_makes_no_sense_is_refused_at_start)
{
    static const struct { const char *key, *value; } cases[] = {
        { "applied_index", "" },   { "applied_index", "12x" }, { "applied_term", "-1" },
        { "revision", "0" },       { "revision", "007" },      { "keys", "18446744073709551616" },
        { "keys", " 1" },          { "applied_index", NULL },  { "keys", NULL },
    };
    struct machine m;
    machine_init(&m);
    set(&m, "a", "1");
    machine_flush(&m);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct slice value = cases[i].value != NULL ? slice_text(cases[i].value)
                                                    : slice_of(NULL, 0);
        write_row(&m, TABLE_META, slice_text(cases[i].key), value);
        ck_assert_msg(boot_error(&m) == ERR_CORRUPT, "%s=%s", cases[i].key, cases[i].value);
        const char *right = strcmp(cases[i].key, "revision") == 0 ? "2" : "1";
        write_row(&m, TABLE_META, slice_text(cases[i].key), slice_text(right));
        ck_assert_int_eq(boot_error(&m), OK);
    }
    machine_fini(&m);
}
END_TEST

START_TEST(members_that_make_no_sense_are_refused_at_start)
{
    struct machine m;
    struct member_info member = { 7, slice_text("n"), slice_text("h:1"), slice_text("h:2") };
    struct kv_op op = op_set("a", "1");
    struct blob *announcement = command_encode_announce(&member), *batch = batch_of(&op, 1);
    struct slice seven = slice_of("\0\0\0\0\0\0\0\7", 8), eight = slice_of("\0\0\0\0\0\0\0\10", 8);
    machine_init(&m);
    write_row(&m, TABLE_MEMBERS, seven, blob_slice(announcement));
    ck_assert_int_eq(boot_error(&m), OK);
    write_row(&m, TABLE_MEMBERS, eight, blob_slice(announcement)); /* under another's id */
    ck_assert_int_eq(boot_error(&m), ERR_CORRUPT);
    write_row(&m, TABLE_MEMBERS, eight, blob_slice(batch));
    ck_assert_int_eq(boot_error(&m), ERR_CORRUPT);
    write_row(&m, TABLE_MEMBERS, eight, slice_text("rubbish"));
    ck_assert_int_eq(boot_error(&m), ERR_CORRUPT);
    blob_unref(announcement);
    blob_unref(batch);
    machine_fini(&m);
}
END_TEST

/* ---- a store that fails: a memory store whose reads break off after some calls */

static struct state_store *inner;
static int calls_left;

static bool fails(void)
{
    return calls_left-- <= 0;
}

static enum err failing_read_begin(struct state_store *store)
{
    (void)store;
    return fails() ? ERR_IO : inner->ops->read_begin(inner);
}

static void failing_read_end(struct state_store *store)
{
    (void)store;
    inner->ops->read_end(inner);
}

static enum err failing_get(struct state_store *store, enum state_table table, struct slice key,
                            struct slice *value)
{
    (void)store;
    return fails() ? ERR_IO : inner->ops->get(inner, table, key, value);
}

static struct state_cursor *failing_cursor_open(struct state_store *store, enum state_table table)
{
    (void)store;
    return inner->ops->cursor_open(inner, table);
}

static void failing_cursor_close(struct state_cursor *cursor)
{
    inner->ops->cursor_close(cursor);
}

static enum err failing_seek(struct state_cursor *cursor, struct slice key, bool backward,
                             struct slice *found_key, struct slice *value)
{
    return fails() ? ERR_IO : inner->ops->seek(cursor, key, backward, found_key, value);
}

static enum err failing_step(struct state_cursor *cursor, bool backward, struct slice *found_key,
                             struct slice *value)
{
    return fails() ? ERR_IO : inner->ops->step(cursor, backward, found_key, value);
}

static const struct state_store_ops failing_ops = {
    .read_begin = failing_read_begin,
    .read_end = failing_read_end,
    .get = failing_get,
    .cursor_open = failing_cursor_open,
    .cursor_close = failing_cursor_close,
    .seek = failing_seek,
    .step = failing_step,
};

static void ignore(void *arg, const struct kv_item *item)
{
    (void)arg;
    (void)item;
}

/* Lets the store fail at its first call, its second, and so on, until `action` succeeds. */
static int failures_until_success(enum err (*action)(struct statemachine **), struct statemachine **sm)
{
    for (int calls = 0;; calls++) {
        calls_left = calls;
        enum err err = action(sm);
        if (err == OK)
            return calls;
        ck_assert_int_eq(err, ERR_IO);
        ck_assert_int_lt(calls, 100);
    }
}

static enum err act_new(struct statemachine **sm)
{
    static struct state_store failing = { &failing_ops };
    return statemachine_new(&failing, sm);
}

static enum err act_list(struct statemachine **sm)
{
    struct list_query query = { .limit = 10 };
    struct list_result result;
    enum err err = statemachine_read_begin(*sm);
    if (err != OK)
        return err;
    err = statemachine_list(*sm, &query, ignore, NULL, &result);
    if (err != OK)
        ck_assert(!result.more);
    statemachine_read_end(*sm);
    return err;
}

static enum err act_apply(struct statemachine **sm)
{
    struct kv_op ops[] = { op_set("a", "2"), op_delete_prefix("b"), op_set("c", "2") };
    struct blob *command = batch_of(ops, 3);
    struct record entry = { statemachine_applied(*sm) + 1, 9, RAFT_DATA, 0, blob_slice(command) };
    struct command_result result;
    size_t bytes = statemachine_pending_bytes(*sm);
    uint64_t revision = statemachine_revision(*sm);
    enum err err = statemachine_apply(*sm, &entry, &result);
    if (err != OK) {
        ck_assert_uint_eq(statemachine_pending_bytes(*sm), bytes);
        ck_assert_uint_eq(statemachine_revision(*sm), revision);
        ck_assert_uint_eq(statemachine_applied(*sm), entry.index - 1);
    }
    blob_unref(command);
    return err;
}

START_TEST(a_store_that_fails_is_reported_and_nothing_is_applied)
{
    struct machine m;
    struct member_info member = { 7, slice_text("n"), slice_text("h:1"), slice_text("h:2") };
    struct statemachine *sm;
    machine_init(&m);
    set(&m, "a", "1");
    set(&m, "b1", "1");
    set(&m, "b2", "1");
    machine_apply(&m, command_encode_announce(&member));
    machine_flush(&m);
    inner = m.store;
    ck_assert_int_gt(failures_until_success(act_new, &sm), 5);
    ck_assert_int_gt(failures_until_success(act_list, &sm), 3);
    ck_assert_int_gt(failures_until_success(act_apply, &sm), 4);
    ck_assert_uint_eq(statemachine_revision(sm), 5);
    statemachine_free(sm);
    machine_fini(&m);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        without_an_entry_there_is_no_batch,
        a_batch_is_sorted_and_tells_where_it_stands,
        an_empty_entry_is_a_batch_too,
        entries_are_applied_while_a_batch_is_out,
        the_applied_index_goes_with_its_effects,
        every_entry_is_applied_exactly_once,
        a_damaged_row_is_never_served,
        meta_that_makes_no_sense_is_refused_at_start,
        members_that_make_no_sense_are_refused_at_start,
        a_store_that_fails_is_reported_and_nothing_is_applied,
    };
    return run_tests("flush", tests, sizeof tests / sizeof tests[0], 60);
}
