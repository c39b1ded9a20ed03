/* test_statemachine_digest.c - the digest: the same for the same state however it came about,
 * another for another state, and never apart from the state that it belongs to. */
#include "test_statemachine_support.h"

#include <inttypes.h>

static uint64_t walked(struct machine *m)
{
    uint64_t digest;
    ck_assert_int_eq(statemachine_walk_digest(m->sm, &digest), OK);
    return digest;
}

/* The digest, after a look at every item has confirmed it. */
static uint64_t digest_of(struct machine *m)
{
    uint64_t digest = statemachine_digest(m->sm);
    ck_assert_msg(walked(m) == digest, "entry %" PRIu64 ": kept %016" PRIx64 ", walked %016" PRIx64,
                  statemachine_applied(m->sm), digest, walked(m));
    return digest;
}

static uint64_t digest_after(const struct kv_op *ops, uint32_t n)
{
    struct machine m;
    machine_init(&m);
    apply_ops(&m, ops, n);
    uint64_t digest = digest_of(&m);
    machine_fini(&m);
    return digest;
}

START_TEST(the_order_of_changes_does_not_matter)
{
    const struct kv_op one[] = { op_set("a", "1"), op_set("b", "2"), op_set("c", "3") };
    const struct kv_op other[] = { op_set("c", "3"), op_set("x", "9"), op_set("b", "2"),
                                   op_set("a", "1"), op_delete("x") };
    ck_assert_uint_eq(digest_after(one, 3), digest_after(other, 5));
}
END_TEST

START_TEST(one_changed_byte_matters)
{
    const struct kv_op ops[] = { op_set("a", "1"), op_set("a", "2"), op_set("b", "1"),
                                 op_set("aa", ""), op_set("a", ""), op_delete("a") };
    enum { N = sizeof ops / sizeof ops[0] };
    uint64_t digests[N];
    for (int i = 0; i < N; i++) {
        digests[i] = digest_after(&ops[i], 1);
        for (int k = 0; k < i; k++)
            ck_assert_msg(digests[i] != digests[k], "%d and %d", i, k);
    }
}
END_TEST

START_TEST(revision_and_version_matter)
{
    struct machine once, twice;
    machine_init(&once);
    machine_init(&twice);
    ck_assert_uint_eq(digest_of(&once), digest_of(&twice));
    set(&once, "a", "1");
    set(&twice, "a", "1");
    ck_assert_uint_eq(digest_of(&once), digest_of(&twice));
    set(&twice, "a", "1"); /* the same value, another revision */
    ck_assert_uint_ne(digest_of(&once), digest_of(&twice));
    set(&once, "b", "1");
    apply_one(&once, op_delete("b"));
    set(&twice, "b", "1");
    apply_one(&twice, op_delete("b"));
    ck_assert_uint_ne(digest_of(&once), digest_of(&twice));
    machine_fini(&once);
    machine_fini(&twice);
}
END_TEST

START_TEST(a_batch_that_fails_leaves_the_digest_alone)
{
    struct machine m;
    machine_init(&m);
    set(&m, "a", "1");
    set(&m, "ab", "1");
    uint64_t before = digest_of(&m);
    const struct kv_op ops[] = { op_set("a", "2"), op_delete_prefix("a"), op_set("c", "1"),
                                 if_revision(op_set("a", "3"), 77) };
    ck_assert_int_eq(apply_ops(&m, ops, 4)->err, ERR_CONDITION_FAILED);
    ck_assert_uint_eq(digest_of(&m), before);
    machine_apply(&m, NULL);
    ck_assert_uint_eq(digest_of(&m), before);
    machine_fini(&m);
}
END_TEST

START_TEST(deleting_by_prefix_is_deleting_each)
{
    struct machine one, other;
    struct machine *both[] = { &one, &other };
    for (int i = 0; i < 2; i++) {
        machine_init(both[i]);
        set(both[i], "p1", "x");
        set(both[i], "p2", "y");
        machine_flush(both[i]); /* one in the store, one in both, one in memory */
        set(both[i], "p2", "z");
        set(both[i], "p3", "");
        set(both[i], "q", "stays");
    }
    const struct kv_op each[] = { op_delete("p3"), op_delete("p1"), op_delete("p2") };
    apply_one(&one, op_delete_prefix("p"));
    apply_ops(&other, each, 3);
    ck_assert_uint_eq(digest_of(&one), digest_of(&other));
    machine_fini(&one);
    machine_fini(&other);
}
END_TEST

START_TEST(members_count)
{
    struct machine m;
    struct member_info member = { 7, slice_text("n"), slice_text("h:1"), slice_text("h:2") };
    machine_init(&m);
    set(&m, "a", "1");
    uint64_t none = digest_of(&m);
    machine_apply(&m, command_encode_announce(&member));
    uint64_t first = digest_of(&m);
    ck_assert_uint_ne(first, none);
    machine_apply(&m, command_encode_announce(&member)); /* says nothing new */
    ck_assert_uint_eq(digest_of(&m), first);
    member.http_addr = slice_text("h:3");
    machine_apply(&m, command_encode_announce(&member));
    ck_assert_uint_ne(digest_of(&m), first);
    uint64_t second = digest_of(&m);
    machine_flush(&m);
    machine_crash(&m, 0);
    ck_assert_uint_eq(digest_of(&m), second);
    machine_fini(&m);
}
END_TEST

/* ---- the store */

/* B44 for the digest: wherever the crash falls it is that of the state that is there. */
START_TEST(it_goes_with_the_state_through_flush_crash_and_replay)
{
    for (size_t kept = 0; kept < 2; kept++) {
        struct machine m;
        machine_init(&m);
        set(&m, "a", "1");
        machine_flush(&m);
        uint64_t flushed = digest_of(&m);
        memory_disk_hold(m.disk, true);
        set(&m, "a", "2");
        apply_one(&m, op_set("b", "2"));
        uint64_t sealed = digest_of(&m);
        machine_submit(&m);
        set(&m, "a", "3");
        apply_one(&m, op_delete("b"));
        uint64_t newest = digest_of(&m);
        machine_crash(&m, kept);
        ck_assert_uint_eq(digest_of(&m), kept ? sealed : flushed);
        machine_replay(&m);
        ck_assert_uint_eq(digest_of(&m), newest);
        machine_fini(&m);
    }
}
END_TEST

static void reboot(struct machine *m)
{
    statemachine_free(m->sm);
    ck_assert_int_eq(statemachine_new(m->store, &m->sm), OK);
}

static void on_foreign_done(void *arg, struct state_job *job)
{
    (void)arg, (void)job;
}

static void write_behind_its_back(struct machine *m, enum state_table table, const char *key,
                                  const char *value, size_t size)
{
    struct state_change change = { table, slice_text(key), slice_of(value, size) };
    struct state_job job = { .changes = &change, .n = 1 };
    m->store->ops->submit(m->store, &job);
    m->store->ops->drain(m->store, on_foreign_done, NULL);
}

/* What it is not for, and what finds it. */
START_TEST(a_store_that_changes_by_itself_is_found_by_walking)
{
    struct machine m;
    static const char row[] = "\2\0\0\0\0\0\0\0" "\2\0\0\0\0\0\0\0" "\1\0\0\0\0\0\0\0" "2";
    machine_init(&m);
    set(&m, "a", "1");
    machine_flush(&m);
    uint64_t before = digest_of(&m);
    write_behind_its_back(&m, TABLE_KV, "a", row, 25);
    reboot(&m);
    ck_assert_uint_eq(statemachine_digest(m.sm), before);
    ck_assert_uint_ne(walked(&m), before);
    write_behind_its_back(&m, TABLE_KV, "a", NULL, 0);
    ck_assert_uint_ne(walked(&m), before);
    machine_fini(&m);
}
END_TEST

START_TEST(a_store_without_a_digest_is_walked_at_start)
{
    struct machine m;
    machine_init(&m);
    set(&m, "a", "1");
    set(&m, "b", "2");
    machine_flush(&m);
    uint64_t digest = digest_of(&m);
    write_behind_its_back(&m, TABLE_META, "digest", NULL, 0);
    reboot(&m);
    ck_assert_uint_eq(digest_of(&m), digest);
    set(&m, "c", "3");
    digest = digest_of(&m);
    machine_flush(&m);
    machine_crash(&m, 0);
    ck_assert_uint_eq(digest_of(&m), digest);
    machine_fini(&m);
}
END_TEST

START_TEST(rows_that_make_no_sense_are_refused_at_start)
{
    static const struct { const char *key, *value; } cases[] = {
        { "digest", "" }, { "digest", "12" }, { "digest", "000000000000000g" },
        { "digest", "00000000000000000" }, { "doubt", "" }, { "doubt", "differs" },
        { "doubt", "differs x" }, { "doubt", "perhaps 7" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct machine m;
        struct statemachine *sm;
        machine_init(&m);
        set(&m, "a", "1");
        machine_flush(&m);
        write_behind_its_back(&m, TABLE_META, cases[i].key, cases[i].value,
                              strlen(cases[i].value));
        ck_assert_msg(statemachine_new(m.store, &sm) == ERR_CORRUPT, "%s=%s", cases[i].key,
                      cases[i].value);
        machine_fini(&m);
    }
}
END_TEST

/* ---- doubt */

START_TEST(a_doubt_is_kept_beside_the_state)
{
    struct machine m;
    machine_init(&m);
    set(&m, "a", "1");
    machine_flush(&m);
    uint64_t digest = digest_of(&m);
    ck_assert(!statemachine_urgent(m.sm));
    statemachine_set_doubt(m.sm, DOUBT_UNDECIDED, 1);
    ck_assert(statemachine_urgent(m.sm));
    machine_flush(&m); /* though no entry was applied */
    ck_assert(!statemachine_urgent(m.sm));
    machine_crash(&m, 0);
    ck_assert_int_eq(statemachine_doubt(m.sm), DOUBT_UNDECIDED);

    statemachine_set_doubt(m.sm, DOUBT_DIFFERS, 1042);
    machine_flush(&m);
    machine_crash(&m, 0);
    ck_assert_int_eq(statemachine_doubt(m.sm), DOUBT_DIFFERS);
    ck_assert_uint_eq(statemachine_doubt_index(m.sm), 1042);
    ck_assert_uint_eq(digest_of(&m), digest);

    statemachine_set_doubt(m.sm, DOUBT_NONE, 0);
    machine_flush(&m);
    machine_crash(&m, 0);
    ck_assert_int_eq(statemachine_doubt(m.sm), DOUBT_NONE);
    machine_fini(&m);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        the_order_of_changes_does_not_matter,
        one_changed_byte_matters,
        revision_and_version_matter,
        a_batch_that_fails_leaves_the_digest_alone,
        deleting_by_prefix_is_deleting_each,
        members_count,
        it_goes_with_the_state_through_flush_crash_and_replay,
        a_store_that_changes_by_itself_is_found_by_walking,
        a_store_without_a_digest_is_walked_at_start,
        rows_that_make_no_sense_are_refused_at_start,
        a_doubt_is_kept_beside_the_state,
    };
    return run_tests("digest", tests, sizeof tests / sizeof tests[0], 60);
}
