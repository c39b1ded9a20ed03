/* test_statemachine_model.c - the state machine against the model (kv_model.h).
 *
 * Random commands go to the model and to two state machines, which flush, crash and come back
 * at different random moments: every result, every list and in the end every stored byte must
 * be the same (B50: no answer depends on what is a node's own affair). */
#include "test_statemachine_support.h"
#include "tests/support/kv_model.h"

/* ---- what is a node's own affair */

struct marks {
    unsigned seals, flushes, crashes, failed_batches, lists;
    size_t most_keys;
};

static void stir(struct machine *m, uint64_t *seed, struct marks *marks)
{
    if (next_random(seed) % 20 == 0 && !statemachine_sealed(m->sm) && machine_submit(m))
        marks->seals++;
    if (next_random(seed) % 20 == 0 && memory_disk_write(m->disk, true) && next_random(seed) % 2) {
        machine_drain(m);
        marks->flushes++;
    }
    if (next_random(seed) % 20 == 0)
        machine_drain(m);
    if (next_random(seed) % 200 == 0) {
        machine_crash(m, next_random(seed) % 2);
        marks->crashes++;
        machine_replay(m);
    }
}

/* Rows of meta that tell whose the store is differ; the store put them there itself. */
static bool is_ours(enum state_table table, struct slice key)
{
    static const char *const names[] = { "applied_index", "applied_term", "digest", "keys",
                                         "revision" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (slice_equal(key, slice_text(names[i])))
            return true;
    return table != TABLE_META;
}

static void dump_table(struct machine *m, enum state_table table, struct blob **out)
{
    const struct state_store_ops *ops = m->store->ops;
    struct state_cursor *cursor = ops->cursor_open(m->store, table);
    struct slice key, value;
    size_t size = 0;
    unsigned char *bytes = NULL;
    enum err err = ops->seek(cursor, slice_of(NULL, 0), false, &key, &value);
    for (; err == OK; err = ops->step(cursor, false, &key, &value)) {
        if (!is_ours(table, key))
            continue;
        bytes = memory_grow(bytes, size + key.size + value.size + 2, 1);
        bytes[size++] = (unsigned char)key.size;
        memcpy(bytes + size, key.data, key.size);
        size += key.size;
        bytes[size++] = (unsigned char)value.size;
        if (value.size > 0)
            memcpy(bytes + size, value.data, value.size);
        size += value.size;
    }
    ck_assert_int_eq(err, ERR_NOT_FOUND);
    ops->cursor_close(cursor);
    *out = blob_copy(slice_of(bytes, size));
    free(bytes);
}

static void expect_same_bytes(struct machine *a, struct machine *b)
{
    ck_assert_int_eq(a->store->ops->read_begin(a->store), OK);
    ck_assert_int_eq(b->store->ops->read_begin(b->store), OK);
    for (int table = 0; table < STATE_TABLES; table++) {
        struct blob *one, *other;
        dump_table(a, (enum state_table)table, &one);
        dump_table(b, (enum state_table)table, &other);
        ck_assert_msg(slice_equal(blob_slice(one), blob_slice(other)),
                      "table %d: %zu and %zu bytes", table, one->size, other->size);
        blob_unref(one);
        blob_unref(other);
    }
    a->store->ops->read_end(a->store);
    b->store->ops->read_end(b->store);
}

static void settle(struct machine *m)
{
    memory_disk_hold(m->disk, false);
    while (memory_disk_write(m->disk, true))
        ;
    machine_drain(m);
    if (machine_submit(m))
        machine_drain(m);
    ck_assert_uint_eq(statemachine_durable(m->sm), m->last);
    ck_assert_uint_eq(statemachine_pending_bytes(m->sm), 0);
}

static void check_result(struct machine *m, struct blob *payload, struct slice wanted)
{
    struct blob *got = result_encode(machine_apply(m, blob_ref(payload)));
    ck_assert_msg(slice_equal(blob_slice(got), wanted), "entry %llu answers otherwise",
                  (unsigned long long)m->last);
    blob_unref(got);
}

/* The one that is kept, that of all items, and that of the other node. */
static void check_digest(struct machine *machines, int i)
{
    uint64_t kept = statemachine_digest(machines[i].sm), walked;
    ck_assert_int_eq(statemachine_walk_digest(machines[i].sm, &walked), OK);
    ck_assert_uint_eq(kept, walked);
    if (i == 1)
        ck_assert_uint_eq(kept, statemachine_digest(machines[0].sm));
}

static void run(uint64_t seed, int entries, struct marks *marks)
{
    static struct model model;
    struct machine machines[2];
    uint64_t stir_seeds[2] = { seed + 1000, seed + 2000 };
    model_init(&model);
    for (int i = 0; i < 2; i++) {
        machine_init(&machines[i]);
        memory_disk_hold(machines[i].disk, true);
    }
    for (int entry = 0; entry < entries; entry++) {
        struct blob *payload = model_random_batch(&seed, &model);
        struct command_result wanted = model_apply(&model, blob_slice(payload));
        wanted.index = machines[0].last + 1;
        wanted.term = 1 + wanted.index / 100;
        marks->failed_batches += wanted.err != OK;
        marks->most_keys = model.n > marks->most_keys ? model.n : marks->most_keys;
        struct blob *encoded = result_encode(&wanted);
        for (int i = 0; i < 2; i++) {
            check_result(&machines[i], payload, blob_slice(encoded));
            stir(&machines[i], &stir_seeds[i], marks);
            model_check_gets(&model, machines[i].sm, &seed);
            ck_assert_uint_eq(statemachine_keys(machines[i].sm), model.n);
            check_digest(machines, i);
            if (next_random(&seed) % 4 == 0) {
                struct random_query random;
                model_random_query(&seed, &random);
                model_check_list(&model, machines[i].sm, &random.query);
                marks->lists++;
            }
        }
        blob_unref(encoded);
        blob_unref(payload);
    }
    for (int i = 0; i < 2; i++) {
        model_check_all(&model, machines[i].sm);
        settle(&machines[i]);
        model_check_all(&model, machines[i].sm);
    }
    expect_same_bytes(&machines[0], &machines[1]);
    for (int i = 0; i < 2; i++)
        machine_fini(&machines[i]);
}

START_TEST(it_answers_as_the_model_does)
{
    struct marks marks = { 0 };
    for (uint64_t seed = 1; seed <= 8; seed++)
        run(seed * 1000003, 1000, &marks);
    /* a run in which one of these did not happen proves nothing */
    ck_assert_uint_gt(marks.seals, 100);
    ck_assert_uint_gt(marks.flushes, 50);
    ck_assert_uint_gt(marks.crashes, 20);
    ck_assert_uint_gt(marks.failed_batches, 100);
    ck_assert_uint_gt(marks.lists, 1000);
    ck_assert_uint_gt(marks.most_keys, 50);
}
END_TEST

/* The same log fed from its beginning makes the same bytes (B50). */
START_TEST(a_second_node_comes_to_the_same_bytes)
{
    struct model *model = memory_new(sizeof *model);
    struct machine a, b;
    uint64_t seed = 50;
    model_init(model);
    machine_init(&a);
    for (int entry = 0; entry < 500; entry++) {
        struct blob *payload = model_random_batch(&seed, model);
        model_apply(model, blob_slice(payload));
        machine_apply(&a, payload);
        if (entry % 7 == 0)
            machine_flush(&a);
    }
    machine_init(&b);
    for (raft_index i = 0; i < a.last; i++)
        machine_apply(&b, blob_ref(a.log[i]));
    model_check_all(model, b.sm);
    settle(&a);
    settle(&b);
    expect_same_bytes(&a, &b);
    machine_fini(&b);
    machine_fini(&a);
    free(model);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        it_answers_as_the_model_does,
        a_second_node_comes_to_the_same_bytes,
    };
    return run_tests("against the model", tests, sizeof tests / sizeof tests[0], 300);
}
