/* test_statemachine_model.c - the state machine against a model so simple that it is right.
 *
 * The model is a sorted array that is copied before each batch and put back if the batch fails.
 * Random commands go to the model and to two state machines, which flush, crash and come back
 * at different random moments: every result, every list and in the end every stored byte must
 * be the same (B50: no answer depends on what is a node's own affair). */
#include "test_statemachine_support.h"

/* ---- the model */

enum { MODEL_KEYS_MAX = 4096, MODEL_KEY_SIZE_MAX = 4 };

struct model_row {
    unsigned char key[MODEL_KEY_SIZE_MAX];
    size_t key_size;
    uint64_t create_revision, revision, version;
    struct slice value; /* borrowed from the log */
};

struct model {
    struct model_row rows[MODEL_KEYS_MAX];
    size_t n;
    uint64_t revision;
    struct kv_result results[BATCH_OPS_MAX];
};

static struct slice row_key(const struct model_row *row)
{
    return slice_of(row->key, row->key_size);
}

/* Place of the first row whose key is not below `key`. */
static size_t model_place(const struct model *model, struct slice key)
{
    size_t i = 0;
    while (i < model->n && slice_compare(row_key(&model->rows[i]), key) < 0)
        i++;
    return i;
}

static bool model_has(const struct model *model, size_t place, struct slice key)
{
    return place < model->n && slice_equal(row_key(&model->rows[place]), key);
}

static void model_remove(struct model *model, size_t place)
{
    model->n--;
    memmove(&model->rows[place], &model->rows[place + 1],
            (model->n - place) * sizeof model->rows[0]);
}

static void model_set(struct model *model, const struct kv_op *op, struct kv_result *result)
{
    size_t i = model_place(model, op->key);
    struct model_row *row = &model->rows[i];
    result->created = !model_has(model, i, op->key);
    if (result->created) {
        ck_assert_uint_lt(model->n, MODEL_KEYS_MAX);
        memmove(row + 1, row, (model->n - i) * sizeof *row);
        model->n++;
        memset(row, 0, sizeof *row);
        memcpy(row->key, op->key.data, op->key.size);
        row->key_size = op->key.size;
        row->create_revision = model->revision + 1;
    }
    row->revision = model->revision + 1;
    row->version++;
    row->value = op->value;
    result->revision = row->revision;
    result->create_revision = row->create_revision;
    result->version = row->version;
}

/* True if the operation's condition holds. */
static bool model_op(struct model *model, const struct kv_op *op, struct kv_result *result,
                     uint64_t *failed_revision)
{
    size_t i = model_place(model, op->key);
    bool found = model_has(model, i, op->key);
    uint64_t revision = found ? model->rows[i].revision : 0;
    *result = (struct kv_result){ .type = op->type };
    *failed_revision = revision;
    if ((op->condition == CONDITION_REVISION && op->revision != revision) ||
        (op->condition == CONDITION_EXISTS && !found))
        return false;
    if (op->type == KV_SET) {
        model_set(model, op, result);
    } else if (op->type == KV_DELETE && found) {
        result->found = true;
        result->deleted = 1;
        model_remove(model, i);
    } else if (op->type == KV_GET && found) {
        const struct model_row *row = &model->rows[i];
        *result = (struct kv_result){ .type = KV_GET, .found = true, .revision = row->revision,
                                      .create_revision = row->create_revision,
                                      .version = row->version, .value = row->value };
    } else if (op->type == KV_DELETE_PREFIX) {
        while (i < model->n && slice_has_prefix(row_key(&model->rows[i]), op->key)) {
            model_remove(model, i);
            result->deleted++;
        }
    }
    return true;
}

static struct command_result model_apply(struct model *model, struct slice payload)
{
    static struct kv_op ops[BATCH_OPS_MAX];
    static struct model_row before[MODEL_KEYS_MAX];
    struct command command;
    size_t n_before = model->n;
    bool changed = false;
    struct command_result result = { .results = model->results };
    ck_assert_int_eq(command_decode(payload, ops, &command), OK);
    memcpy(before, model->rows, n_before * sizeof before[0]);
    for (uint32_t i = 0; i < command.n; i++) {
        if (!model_op(model, &ops[i], &model->results[i], &result.failed_revision)) {
            memcpy(model->rows, before, n_before * sizeof before[0]);
            model->n = n_before;
            result.err = ERR_CONDITION_FAILED;
            result.failed_op = i;
            result.revision = model->revision;
            return result;
        }
        changed |= ops[i].type == KV_SET || model->results[i].deleted > 0;
    }
    result.failed_revision = 0;
    result.n = command.n;
    model->revision += changed;
    result.revision = model->revision;
    return result;
}

/* ---- random commands and queries: few keys, so that they meet */

static size_t random_key(uint64_t *seed, size_t size_min, unsigned char key[MODEL_KEY_SIZE_MAX])
{
    static const unsigned char alphabet[] = { 0x00, 'a', 'b', 0xff };
    size_t size = size_min + next_random(seed) % (MODEL_KEY_SIZE_MAX + 1 - size_min);
    for (size_t i = 0; i < size; i++)
        key[i] = alphabet[next_random(seed) % sizeof alphabet];
    return size;
}

static struct blob *random_batch(uint64_t *seed, const struct model *model)
{
    static const enum kv_op_type types[] = { KV_SET, KV_SET, KV_SET, KV_SET, KV_SET, KV_DELETE,
                                             KV_DELETE, KV_GET, KV_DELETE_PREFIX };
    static unsigned char value[300];
    unsigned char keys[8][MODEL_KEY_SIZE_MAX];
    struct kv_op ops[8];
    uint32_t n = next_random(seed) % 2 ? 1 : 1 + (uint32_t)(next_random(seed) % 8);
    for (uint32_t i = 0; i < n; i++) {
        enum kv_op_type type = types[next_random(seed) % 9];
        size_t size = random_key(seed, type == KV_DELETE_PREFIX ? next_random(seed) % 2 : 1, keys[i]);
        ops[i] = (struct kv_op){ .type = type, .key = slice_of(keys[i], size) };
        if (type == KV_SET) {
            memset(value, (int)next_random(seed), sizeof value);
            ops[i].value = slice_of(value, next_random(seed) % 4 ? next_random(seed) % 30
                                                                 : next_random(seed) % 300);
        }
        if (type == KV_DELETE_PREFIX || next_random(seed) % 3 > 0)
            continue;
        size_t place = model_place(model, ops[i].key);
        bool found = model_has(model, place, ops[i].key);
        ops[i].condition = next_random(seed) % 3 ? CONDITION_REVISION : CONDITION_EXISTS;
        if (ops[i].condition == CONDITION_REVISION) /* mostly right */
            ops[i].revision = next_random(seed) % 8 == 0 ? next_random(seed) % 4
                              : found                    ? model->rows[place].revision
                                                         : 0;
    }
    return batch_of(ops, n);
}

struct random_query {
    struct list_query query;
    unsigned char start[MODEL_KEY_SIZE_MAX], end[MODEL_KEY_SIZE_MAX], prefix[MODEL_KEY_SIZE_MAX],
        after[MODEL_KEY_SIZE_MAX];
};

static void random_query(uint64_t *seed, struct random_query *out)
{
    struct list_query *query = &out->query;
    memset(out, 0, sizeof *out);
    if (next_random(seed) % 2)
        query->start = slice_of(out->start, random_key(seed, 0, out->start));
    if (next_random(seed) % 2)
        query->end = slice_of(out->end, random_key(seed, 0, out->end));
    if (next_random(seed) % 2)
        query->prefix = slice_of(out->prefix, random_key(seed, 0, out->prefix));
    if (next_random(seed) % 2)
        query->after = slice_of(out->after, random_key(seed, 0, out->after));
    query->descending = next_random(seed) % 2;
    query->keys_only = next_random(seed) % 4 == 0;
    query->count_only = next_random(seed) % 8 == 0;
    query->limit = 1 + (uint32_t)(next_random(seed) % (next_random(seed) % 2 ? 5 : PAGE_KEYS_MAX));
}

/* ---- comparing */

static bool model_wants(const struct list_query *query, struct slice key)
{
    if (!slice_has_prefix(key, query->prefix) || slice_compare(key, query->start) < 0)
        return false;
    if (query->end.size > 0 && slice_compare(key, query->end) >= 0)
        return false;
    if (query->after.size == 0)
        return true;
    int order = slice_compare(key, query->after);
    return query->descending ? order < 0 : order > 0;
}

struct checker {
    const struct model *model;
    const struct list_query *query;
    size_t at; /* place of the next row to look at, counted in the query's direction */
};

/* The next row that the query wants, or NULL. */
static const struct model_row *checker_next(struct checker *checker)
{
    const struct model *model = checker->model;
    while (checker->at < model->n) {
        size_t place = checker->query->descending ? model->n - 1 - checker->at : checker->at;
        checker->at++;
        if (model_wants(checker->query, row_key(&model->rows[place])))
            return &model->rows[place];
    }
    return NULL;
}

static void check_item(void *arg, const struct kv_item *item)
{
    struct checker *checker = arg;
    const struct model_row *row = checker_next(checker);
    ck_assert_ptr_nonnull(row);
    ck_assert(slice_equal(item->key, row_key(row)));
    ck_assert_uint_eq(item->revision, row->revision);
    ck_assert_uint_eq(item->create_revision, row->create_revision);
    ck_assert_uint_eq(item->version, row->version);
    ck_assert(slice_equal(item->value, checker->query->keys_only ? slice_of(NULL, 0) : row->value));
}

static void check_list(struct machine *m, const struct model *model, const struct list_query *query)
{
    struct checker checker = { model, query, 0 };
    struct list_result result;
    ck_assert_int_eq(statemachine_read_begin(m->sm), OK);
    ck_assert_int_eq(statemachine_list(m->sm, query, check_item, &checker, &result), OK);
    statemachine_read_end(m->sm);
    if (query->count_only) {
        uint64_t count = 0;
        while (checker_next(&checker) != NULL)
            count++;
        ck_assert_uint_eq(result.count, count);
        ck_assert(!result.more);
    } else {
        ck_assert(result.count == query->limit || !result.more);
        ck_assert_int_eq(result.more, checker_next(&checker) != NULL);
    }
}

static void check_gets(struct machine *m, const struct model *model, uint64_t *seed)
{
    ck_assert_int_eq(statemachine_read_begin(m->sm), OK);
    for (int i = 0; i < 4; i++) {
        unsigned char bytes[MODEL_KEY_SIZE_MAX];
        struct slice key = slice_of(bytes, random_key(seed, 1, bytes));
        struct kv_item item;
        size_t place = model_place(model, key);
        enum err err = statemachine_get(m->sm, key, &item);
        ck_assert_int_eq(err, model_has(model, place, key) ? OK : ERR_KEY_NOT_FOUND);
        if (err == OK) {
            ck_assert_uint_eq(item.version, model->rows[place].version);
            ck_assert_uint_eq(item.revision, model->rows[place].revision);
            ck_assert(slice_equal(item.value, model->rows[place].value));
        }
    }
    statemachine_read_end(m->sm);
}

static void check_all(struct machine *m, const struct model *model)
{
    for (int descending = 0; descending < 2; descending++)
        check_list(m, model, &(struct list_query){ .limit = PAGE_KEYS_MAX,
                                                   .descending = descending });
    ck_assert_uint_eq(statemachine_revision(m->sm), model->revision);
    ck_assert_uint_eq(statemachine_keys(m->sm), model->n);
}

/* ---- what is a node's own affair */

struct marks {
    unsigned seals, flushes, crashes, failed_batches, lists;
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
    static const char *const names[] = { "applied_index", "applied_term", "keys", "revision" };
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

static void run(uint64_t seed, int entries, struct marks *marks)
{
    static struct model model;
    struct machine machines[2];
    uint64_t stir_seeds[2] = { seed + 1000, seed + 2000 };
    memset(&model, 0, sizeof model);
    model.revision = 1;
    for (int i = 0; i < 2; i++) {
        machine_init(&machines[i]);
        memory_disk_hold(machines[i].disk, true);
    }
    for (int entry = 0; entry < entries; entry++) {
        struct blob *payload = random_batch(&seed, &model);
        struct command_result wanted = model_apply(&model, blob_slice(payload));
        wanted.index = machines[0].last + 1;
        wanted.term = 1 + wanted.index / 100;
        marks->failed_batches += wanted.err != OK;
        struct blob *encoded = result_encode(&wanted);
        for (int i = 0; i < 2; i++) {
            check_result(&machines[i], payload, blob_slice(encoded));
            stir(&machines[i], &stir_seeds[i], marks);
            check_gets(&machines[i], &model, &seed);
            ck_assert_uint_eq(statemachine_keys(machines[i].sm), model.n);
            if (next_random(&seed) % 4 == 0) {
                struct random_query random;
                random_query(&seed, &random);
                check_list(&machines[i], &model, &random.query);
                marks->lists++;
            }
        }
        blob_unref(encoded);
        blob_unref(payload);
    }
    for (int i = 0; i < 2; i++) {
        check_all(&machines[i], &model);
        settle(&machines[i]);
        check_all(&machines[i], &model);
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
}
END_TEST

/* The same log fed from its beginning makes the same bytes (B50). */
START_TEST(a_second_node_comes_to_the_same_bytes)
{
    struct model *model = memory_new(sizeof *model);
    struct machine a, b;
    uint64_t seed = 50;
    model->revision = 1;
    machine_init(&a);
    for (int entry = 0; entry < 500; entry++) {
        struct blob *payload = random_batch(&seed, model);
        model_apply(model, blob_slice(payload));
        machine_apply(&a, payload);
        if (entry % 7 == 0)
            machine_flush(&a);
    }
    machine_init(&b);
    for (raft_index i = 0; i < a.last; i++)
        machine_apply(&b, blob_ref(a.log[i]));
    check_all(&b, model);
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
