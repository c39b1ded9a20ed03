/* test_statemachine_list.c - pages of keys out of the open table, the sealed one and the store. */
#include "test_statemachine_support.h"

/* Collects keys as text, "a b c", with values in the form "a=1" unless keys_only. */
struct page {
    char text[2048];
    struct list_result result;
};

static void collect(void *arg, const struct kv_item *item)
{
    struct page *page = arg;
    size_t used = strlen(page->text);
    int keys_only = item->value.data == NULL;
    snprintf(page->text + used, sizeof page->text - used, "%s%.*s%s%.*s", used > 0 ? " " : "",
             (int)item->key.size, (const char *)item->key.data, keys_only ? "" : "=",
             (int)item->value.size, keys_only ? "" : (const char *)item->value.data);
}

static struct page list(struct machine *m, struct list_query query)
{
    struct page page = { .text = "" };
    if (query.limit == 0)
        query.limit = PAGE_KEYS_MAX;
    ck_assert_int_eq(statemachine_read_begin(m->sm), OK);
    ck_assert_int_eq(statemachine_list(m->sm, &query, collect, &page, &page.result), OK);
    statemachine_read_end(m->sm);
    return page;
}

static void expect(struct machine *m, struct list_query query, const char *text, bool more)
{
    query.keys_only = true;
    struct page page = list(m, query);
    ck_assert_str_eq(page.text, text);
    ck_assert_int_eq(page.result.more, more);
}

/* Keys a .. i, spread over all three places, with deleted and overwritten ones among them. */
static void spread(struct machine *m)
{
    machine_init(m);
    memory_disk_hold(m->disk, true);
    set(m, "a", "store");
    set(m, "b", "store");
    set(m, "d", "store");
    set(m, "e", "store");
    set(m, "g", "store");
    set(m, "x", "store");
    machine_submit(m);
    ck_assert(memory_disk_write(m->disk, true));
    machine_drain(m);

    set(m, "b", "sealed");
    set(m, "c", "sealed");
    apply_one(m, op_delete("d"));
    apply_one(m, op_delete("e"));
    set(m, "f", "sealed");
    set(m, "h", "sealed");
    machine_submit(m);
    ck_assert(statemachine_sealed(m->sm));

    set(m, "c", "open");
    set(m, "e", "open");
    apply_one(m, op_delete("h"));
    apply_one(m, op_delete("x"));
    set(m, "i", "open");
}

static void expect_spread(struct machine *m)
{
    struct list_query all = { .limit = 100 };
    struct page page = list(m, all);
    ck_assert_str_eq(page.text,
                     "a=store b=sealed c=open e=open f=sealed g=store i=open");
    ck_assert_uint_eq(page.result.count, 7);
    ck_assert(!page.result.more);
    all.descending = true;
    ck_assert_str_eq(list(m, all).text,
                     "i=open g=store f=sealed e=open c=open b=sealed a=store");
    all.count_only = true;
    page = list(m, all);
    ck_assert_uint_eq(page.result.count, 7);
    ck_assert(!page.result.more && page.text[0] == '\0');
}

START_TEST(the_newest_of_three_places_counts)
{
    struct machine m;
    spread(&m);
    expect_spread(&m);
    ck_assert(memory_disk_write(m.disk, true)); /* written, but nobody was told yet */
    expect_spread(&m);
    machine_drain(&m);
    expect_spread(&m);
    memory_disk_hold(m.disk, false);
    machine_flush(&m);
    ck_assert_uint_eq(statemachine_pending_bytes(m.sm), 0);
    expect_spread(&m);
    machine_fini(&m);
}
END_TEST

START_TEST(start_is_included_and_end_is_not)
{
    struct machine m;
    spread(&m);
    struct list_query query = { .start = slice_text("b"), .end = slice_text("f") };
    expect(&m, query, "b c e", false);
    query.descending = true;
    expect(&m, query, "e c b", false);
    query = (struct list_query){ .start = slice_text("d") }; /* a deleted key is a fine bound */
    expect(&m, query, "e f g i", false);
    query = (struct list_query){ .end = slice_text("d"), .descending = true };
    expect(&m, query, "c b a", false);
    query = (struct list_query){ .start = slice_text("f"), .end = slice_text("b") };
    expect(&m, query, "", false);
    query.descending = true;
    expect(&m, query, "", false);
    query = (struct list_query){ .start = slice_text("j") };
    expect(&m, query, "", false);
    query = (struct list_query){ .end = slice_text("a"), .descending = true };
    expect(&m, query, "", false);
    machine_fini(&m);
}
END_TEST

START_TEST(pages_go_on_behind_the_cursor)
{
    struct machine m;
    spread(&m);
    struct list_query query = { .limit = 3 };
    expect(&m, query, "a b c", true);
    query.after = slice_text("c");
    expect(&m, query, "e f g", true);
    query.after = slice_text("g");
    expect(&m, query, "i", false);
    query.after = slice_text("i");
    expect(&m, query, "", false);
    query = (struct list_query){ .limit = 3, .descending = true };
    expect(&m, query, "i g f", true);
    query.after = slice_text("f");
    expect(&m, query, "e c b", true);
    query.after = slice_text("b");
    expect(&m, query, "a", false);
    query.after = slice_text("a");
    expect(&m, query, "", false);
    query.after = slice_text("d"); /* its key was deleted between the pages */
    expect(&m, query, "c b a", false);
    query = (struct list_query){ .limit = 3, .after = slice_text("d") };
    expect(&m, query, "e f g", true);
    query = (struct list_query){ .start = slice_text("c"), .after = slice_text("a") };
    expect(&m, query, "c e f g i", false);
    query = (struct list_query){ .end = slice_text("c"), .after = slice_text("z"),
                                 .descending = true };
    expect(&m, query, "b a", false);
    machine_fini(&m);
}
END_TEST

START_TEST(more_is_exact)
{
    struct machine m;
    machine_init(&m);
    set(&m, "a", "1");
    set(&m, "b", "1");
    set(&m, "c", "1");
    machine_flush(&m);
    apply_one(&m, op_delete("c")); /* hidden: behind b there is nothing */
    struct list_query query = { .limit = 2 };
    expect(&m, query, "a b", false);
    query.limit = 1;
    expect(&m, query, "a", true);
    query = (struct list_query){ .limit = 1, .end = slice_text("b") };
    expect(&m, query, "a", false);
    query = (struct list_query){ .limit = 1, .start = slice_text("b"), .descending = true };
    expect(&m, query, "b", false);
    machine_fini(&m);
}
END_TEST

START_TEST(prefixes_bound_both_ends)
{
    static const char *const keys[] = { "a", "a/", "a/1", "a/2", "a0", "b", "\xff", "\xff\xff",
                                        "\xff\xffz" };
    struct machine m;
    machine_init(&m);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        set(&m, keys[i], "1");
        if (i == 3)
            machine_flush(&m);
    }
    struct list_query query = { .prefix = slice_text("a/") };
    expect(&m, query, "a/ a/1 a/2", false);
    query.descending = true;
    expect(&m, query, "a/2 a/1 a/", false);
    query.after = slice_text("a/1");
    expect(&m, query, "a/", false);
    query = (struct list_query){ .prefix = slice_text("a/"), .start = slice_text("a/1"),
                                 .end = slice_text("a/2") };
    expect(&m, query, "a/1", false);
    query = (struct list_query){ .prefix = slice_text("a/"), .start = slice_text("a") };
    expect(&m, query, "a/ a/1 a/2", false);
    query = (struct list_query){ .prefix = slice_text("a/"), .end = slice_text("z") };
    expect(&m, query, "a/ a/1 a/2", false);
    query = (struct list_query){ .prefix = slice_text("\xff\xff") };
    expect(&m, query, "\xff\xff \xff\xffz", false);
    query.descending = true;
    expect(&m, query, "\xff\xffz \xff\xff", false);
    query = (struct list_query){ .prefix = slice_text("\xff"), .descending = true, .limit = 2 };
    expect(&m, query, "\xff\xffz \xff\xff", true);
    query = (struct list_query){ .prefix = slice_text("c") };
    expect(&m, query, "", false);
    machine_fini(&m);
}
END_TEST

START_TEST(longest_keys_are_bounds_too)
{
    char key[KEY_SIZE_MAX + 1];
    struct machine m;
    machine_init(&m);
    memset(key, 0xff, KEY_SIZE_MAX);
    key[KEY_SIZE_MAX] = '\0';
    struct slice longest = slice_text(key);
    set(&m, key, "1");
    set(&m, "a", "1");
    machine_flush(&m);
    struct list_query query = { .prefix = longest, .limit = 10, .descending = true };
    ck_assert_uint_eq(list(&m, query).result.count, 1);
    query = (struct list_query){ .after = longest, .limit = 10 };
    ck_assert_uint_eq(list(&m, query).result.count, 0);
    query.descending = true;
    expect(&m, query, "a", false);
    query = (struct list_query){ .end = longest, .limit = 10 };
    expect(&m, query, "a", false);
    machine_fini(&m);
}
END_TEST

static void count_bytes(void *arg, const struct kv_item *item)
{
    *(size_t *)arg += item->key.size + item->value.size;
}

START_TEST(a_page_is_bounded_in_bytes)
{
    static char value[VALUE_SIZE_MAX];
    /* a, b and c fill a page to the last byte, keys included */
    static const size_t sizes[] = { 400000, 400000, PAGE_BYTES_MAX - 800003, 1, VALUE_SIZE_MAX, 1 };
    char key[2] = "a";
    struct machine m;
    machine_init(&m);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++, key[0]++)
        apply_one(&m, (struct kv_op){ .type = KV_SET, .key = slice_text(key),
                                      .value = slice_of(value, sizes[i]) });
    static const struct { const char *after; uint64_t count; bool more; size_t bytes; } pages[] = {
        { "", 3, true, PAGE_BYTES_MAX },
        { "c", 1, true, 2 },                  /* the next one would pass the bound */
        { "d", 1, true, VALUE_SIZE_MAX + 1 }, /* larger than a page: alone */
        { "e", 1, false, 2 },
    };
    ck_assert_int_eq(statemachine_read_begin(m.sm), OK);
    for (size_t i = 0; i < sizeof pages / sizeof pages[0]; i++) {
        struct list_query query = { .limit = 100, .after = slice_text(pages[i].after) };
        struct list_result result;
        size_t bytes = 0;
        ck_assert_int_eq(statemachine_list(m.sm, &query, count_bytes, &bytes, &result), OK);
        ck_assert_uint_eq(result.count, pages[i].count);
        ck_assert_int_eq(result.more, pages[i].more);
        ck_assert_uint_eq(bytes, pages[i].bytes);
        query.keys_only = true; /* what is not delivered does not count */
        ck_assert_int_eq(statemachine_list(m.sm, &query, count_bytes, &bytes, &result), OK);
        ck_assert(!result.more);
    }
    statemachine_read_end(m.sm);
    machine_fini(&m);
}
END_TEST

/* count_only is the one list without a page: it ends at LIST_COUNT_MAX. */
START_TEST(counting_is_bounded)
{
    static struct kv_op ops[BATCH_OPS_MAX];
    static char keys[BATCH_OPS_MAX][8];
    struct machine m;
    struct list_query query = { .count_only = true };
    machine_init(&m);
    for (unsigned done = 0; done < LIST_COUNT_MAX;) {
        uint32_t n = 0;
        for (; n < BATCH_OPS_MAX && done < LIST_COUNT_MAX; n++, done++) {
            snprintf(keys[n], sizeof keys[n], "%06u", done);
            ops[n] = op_set(keys[n], "");
        }
        apply_ops(&m, ops, n);
    }
    struct page page = list(&m, query);
    ck_assert_uint_eq(page.result.count, LIST_COUNT_MAX);
    ck_assert(!page.result.more);
    set(&m, "one more", "");
    page = list(&m, query);
    ck_assert_uint_eq(page.result.count, LIST_COUNT_MAX);
    ck_assert(page.result.more);
    machine_fini(&m);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        the_newest_of_three_places_counts,
        start_is_included_and_end_is_not,
        pages_go_on_behind_the_cursor,
        more_is_exact,
        prefixes_bound_both_ends,
        longest_keys_are_bounds_too,
        a_page_is_bounded_in_bytes,
        counting_is_bounded,
    };
    return run_tests("lists", tests, sizeof tests / sizeof tests[0], 120);
}
