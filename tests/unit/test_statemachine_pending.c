/* test_statemachine_pending.c - the ordered map of changes: order, seeks, and what it weighs. */
#include "src/statemachine/pending.h"
#include "test_statemachine_support.h"

static void put(struct pending *pending, enum state_table table, const char *key, const char *row)
{
    size_t size = strlen(row);
    memcpy(pending_put(pending, table, slice_text(key), size), row, size);
}

/* What the nodes weigh, counted one by one. */
static size_t weigh(struct pending *pending)
{
    size_t bytes = 0, n = 0;
    for (int table = 0; table < STATE_TABLES; table++) {
        struct pending_node *node = pending_seek(pending, (enum state_table)table,
                                                 slice_of(NULL, 0), false);
        for (; node != NULL; node = pending_step(node, false), n++)
            bytes += sizeof *node + node->key_size + node->row_capacity;
    }
    ck_assert_uint_eq(n, pending->n);
    return bytes;
}

START_TEST(a_row_replaces_a_row)
{
    struct pending pending;
    pending_init(&pending);
    put(&pending, TABLE_KV, "a", "first");
    put(&pending, TABLE_KV, "a", "a longer row");
    put(&pending, TABLE_MEMBERS, "a", "other table");
    struct pending_node *node = pending_find(&pending, TABLE_KV, slice_text("a"));
    ck_assert_ptr_nonnull(node);
    ck_assert(slice_equal(pending_row(node), slice_text("a longer row")));
    ck_assert(!node->tombstone);
    pending_delete(&pending, TABLE_KV, slice_text("a"));
    node = pending_find(&pending, TABLE_KV, slice_text("a"));
    ck_assert(node->tombstone && node->row_size == 0);
    put(&pending, TABLE_KV, "a", "back");
    node = pending_find(&pending, TABLE_KV, slice_text("a"));
    ck_assert(!node->tombstone && slice_equal(pending_row(node), slice_text("back")));
    ck_assert_ptr_null(pending_find(&pending, TABLE_KV, slice_text("b")));
    ck_assert_uint_eq(pending.n, 2);
    pending_clear(&pending);
    ck_assert_uint_eq(pending.bytes, 0);
}
END_TEST

START_TEST(a_place_that_fits_is_used_again)
{
    struct pending pending;
    pending_init(&pending);
    put(&pending, TABLE_KV, "a", "0123456789");
    struct pending_node *node = pending_find(&pending, TABLE_KV, slice_text("a"));
    size_t bytes = pending.bytes;
    ck_assert_uint_eq(bytes, sizeof *node + 1 + 10);
    put(&pending, TABLE_KV, "a", "shorter");
    ck_assert_ptr_eq(pending_find(&pending, TABLE_KV, slice_text("a")), node);
    ck_assert(slice_equal(pending_row(node), slice_text("shorter")));
    ck_assert_uint_eq(pending.bytes, bytes);
    put(&pending, TABLE_KV, "a", "9876543210");
    ck_assert_ptr_eq(pending_find(&pending, TABLE_KV, slice_text("a")), node);
    pending_clear(&pending);
}
END_TEST

START_TEST(a_large_place_is_not_kept_for_a_small_row)
{
    struct pending pending;
    pending_init(&pending);
    memset(pending_put(&pending, TABLE_KV, slice_text("a"), 100000), 'x', 100000);
    ck_assert_uint_gt(pending.bytes, 100000);
    pending_delete(&pending, TABLE_KV, slice_text("a"));
    ck_assert_uint_lt(pending.bytes, 200);
    ck_assert_uint_eq(pending.bytes, weigh(&pending));
    pending_clear(&pending);
}
END_TEST

START_TEST(seeks_find_neighbours_in_their_own_table)
{
    static const struct { const char *key, *forward, *backward; } cases[] = {
        { "", "b", "ff" }, { "a", "b", NULL }, { "b", "b", "b" }, { "c", "d", "b" },
        { "d", "d", "d" }, { "f", "ff", "d" }, { "ff", "ff", "ff" }, { "g", NULL, "ff" },
    };
    struct pending pending;
    pending_init(&pending);
    ck_assert_ptr_null(pending_seek(&pending, TABLE_KV, slice_of(NULL, 0), true));
    put(&pending, TABLE_META, "z", "");
    ck_assert_ptr_null(pending_seek(&pending, TABLE_KV, slice_of(NULL, 0), true));
    ck_assert_ptr_null(pending_seek(&pending, TABLE_KV, slice_of(NULL, 0), false));
    put(&pending, TABLE_MEMBERS, "a", "");
    put(&pending, TABLE_KV, "b", "");
    put(&pending, TABLE_KV, "d", "");
    put(&pending, TABLE_KV, "ff", "");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (int backward = 0; backward < 2; backward++) {
            const char *wanted = backward ? cases[i].backward : cases[i].forward;
            struct pending_node *node = pending_seek(&pending, TABLE_KV, slice_text(cases[i].key),
                                                     backward);
            ck_assert_msg((node == NULL) == (wanted == NULL) &&
                          (node == NULL || slice_equal(pending_key(node), slice_text(wanted))),
                          "seek \"%s\" backward=%d", cases[i].key, backward);
        }
    }
    struct pending_node *node = pending_seek(&pending, TABLE_KV, slice_text("b"), false);
    ck_assert_ptr_null(pending_step(node, true));
    node = pending_step(pending_step(node, false), false);
    ck_assert(slice_equal(pending_key(node), slice_text("ff")));
    ck_assert_ptr_null(pending_step(node, false));
    pending_clear(&pending);
}
END_TEST

START_TEST(a_merge_replaces_and_leaves_nothing_behind)
{
    struct pending into, from;
    pending_init(&into);
    pending_init(&from);
    put(&into, TABLE_KV, "a", "old");
    put(&into, TABLE_KV, "b", "old");
    put(&into, TABLE_KV, "c", "old");
    put(&from, TABLE_KV, "a", "new, and longer");
    pending_delete(&from, TABLE_KV, slice_text("b"));
    put(&from, TABLE_KV, "d", "new");
    pending_merge(&into, &from);
    ck_assert_uint_eq(from.n, 0);
    ck_assert_uint_eq(from.bytes, 0);
    ck_assert_uint_eq(into.n, 4);
    ck_assert_uint_eq(into.bytes, weigh(&into));

    struct state_change changes[4];
    pending_changes(&into, changes);
    ck_assert(slice_equal(changes[0].value, slice_text("new, and longer")));
    ck_assert_ptr_null(changes[1].value.data);
    ck_assert(slice_equal(changes[2].value, slice_text("old")));
    ck_assert(slice_equal(changes[3].value, slice_text("new")));
    pending_clear(&into);
}
END_TEST

START_TEST(an_empty_row_is_not_a_tombstone)
{
    struct pending pending;
    struct state_change change;
    pending_init(&pending);
    put(&pending, TABLE_KV, "a", "");
    pending_changes(&pending, &change);
    ck_assert_ptr_nonnull(change.value.data);
    ck_assert_uint_eq(change.value.size, 0);
    pending_clear(&pending);
}
END_TEST

START_TEST(its_weight_is_exact_after_anything)
{
    struct pending pending, other;
    uint64_t seed = 3;
    char row[400], key[2] = { 0 };
    memset(row, 'r', sizeof row);
    pending_init(&pending);
    pending_init(&other);
    for (int round = 0; round < 20000; round++) {
        struct pending *target = next_random(&seed) % 4 == 0 ? &other : &pending;
        enum state_table table = (enum state_table)(next_random(&seed) % STATE_TABLES);
        key[0] = (char)('a' + next_random(&seed) % 20);
        size_t size = next_random(&seed) % 2 ? next_random(&seed) % sizeof row
                                             : next_random(&seed) % 20;
        if (next_random(&seed) % 4 == 0)
            pending_delete(target, table, slice_text(key));
        else
            memcpy(pending_put(target, table, slice_text(key), size), row, size);
        if (round % 50 == 0)
            pending_merge(&pending, &other);
        ck_assert_uint_eq(pending.bytes, weigh(&pending));
        ck_assert_uint_eq(other.bytes, weigh(&other));
    }
    pending_clear(&pending);
    pending_clear(&other);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_row_replaces_a_row,
        a_place_that_fits_is_used_again,
        a_large_place_is_not_kept_for_a_small_row,
        seeks_find_neighbours_in_their_own_table,
        a_merge_replaces_and_leaves_nothing_behind,
        an_empty_row_is_not_a_tombstone,
        its_weight_is_exact_after_anything,
    };
    return run_tests("pending table", tests, sizeof tests / sizeof tests[0], 60);
}
