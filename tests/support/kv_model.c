/* kv_model.c - the model, random commands and queries, and the comparison. */
#include "kv_model.h"

#include <check.h>

void model_init(struct model *model)
{
    memset(model, 0, sizeof *model);
    model->revision = 1;
}

/* ---- the model */

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

struct command_result model_apply(struct model *model, struct slice payload)
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

/* ---- random commands and queries */

uint64_t model_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static size_t random_key(uint64_t *seed, size_t size_min, unsigned char key[MODEL_KEY_SIZE_MAX])
{
    static const unsigned char alphabet[] = { 0x00, 'a', 'b', 0xff };
    size_t size = size_min + model_random(seed) % (MODEL_KEY_SIZE_MAX + 1 - size_min);
    for (size_t i = 0; i < size; i++)
        key[i] = alphabet[model_random(seed) % sizeof alphabet];
    return size;
}

struct blob *model_random_batch(uint64_t *seed, const struct model *model)
{
    static const enum kv_op_type types[] = { KV_SET, KV_SET, KV_SET, KV_SET, KV_SET, KV_DELETE,
                                             KV_DELETE, KV_GET, KV_DELETE_PREFIX };
    static unsigned char value[300];
    unsigned char keys[8][MODEL_KEY_SIZE_MAX];
    struct kv_op ops[8];
    uint32_t n = model_random(seed) % 2 ? 1 : 1 + (uint32_t)(model_random(seed) % 8);
    for (uint32_t i = 0; i < n; i++) {
        enum kv_op_type type = types[model_random(seed) % 9];
        size_t size = random_key(seed, type == KV_DELETE_PREFIX ? model_random(seed) % 2 : 1, keys[i]);
        ops[i] = (struct kv_op){ .type = type, .key = slice_of(keys[i], size) };
        if (type == KV_SET) {
            memset(value, (int)model_random(seed), sizeof value);
            ops[i].value = slice_of(value, model_random(seed) % 4 ? model_random(seed) % 30
                                                                 : model_random(seed) % 300);
        }
        if (type == KV_DELETE_PREFIX || model_random(seed) % 3 > 0)
            continue;
        size_t place = model_place(model, ops[i].key);
        bool found = model_has(model, place, ops[i].key);
        ops[i].condition = model_random(seed) % 3 ? CONDITION_REVISION : CONDITION_EXISTS;
        if (ops[i].condition == CONDITION_REVISION) /* mostly right */
            ops[i].revision = model_random(seed) % 8 == 0 ? model_random(seed) % 4
                              : found                    ? model->rows[place].revision
                                                         : 0;
    }
    struct blob *blob = blob_new(command_batch_size(ops, n));
    command_encode_batch(ops, n, blob->data);
    return blob;
}

void model_random_query(uint64_t *seed, struct random_query *out)
{
    struct list_query *query = &out->query;
    memset(out, 0, sizeof *out);
    if (model_random(seed) % 2)
        query->start = slice_of(out->start, random_key(seed, 0, out->start));
    if (model_random(seed) % 2)
        query->end = slice_of(out->end, random_key(seed, 0, out->end));
    if (model_random(seed) % 2)
        query->prefix = slice_of(out->prefix, random_key(seed, 0, out->prefix));
    if (model_random(seed) % 2)
        query->after = slice_of(out->after, random_key(seed, 0, out->after));
    query->descending = model_random(seed) % 2;
    query->keys_only = model_random(seed) % 4 == 0;
    query->count_only = model_random(seed) % 8 == 0;
    query->limit = 1 + (uint32_t)(model_random(seed) % (model_random(seed) % 2 ? 5 : PAGE_KEYS_MAX));
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

void model_check_list(const struct model *model, struct statemachine *sm,
                      const struct list_query *query)
{
    struct checker checker = { model, query, 0 };
    struct list_result result;
    ck_assert_int_eq(statemachine_read_begin(sm), OK);
    ck_assert_int_eq(statemachine_list(sm, query, check_item, &checker, &result), OK);
    statemachine_read_end(sm);
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

void model_check_gets(const struct model *model, struct statemachine *sm, uint64_t *seed)
{
    ck_assert_int_eq(statemachine_read_begin(sm), OK);
    for (int i = 0; i < 4; i++) {
        unsigned char bytes[MODEL_KEY_SIZE_MAX];
        struct slice key = slice_of(bytes, random_key(seed, 1, bytes));
        struct kv_item item;
        size_t place = model_place(model, key);
        enum err err = statemachine_get(sm, key, &item);
        ck_assert_int_eq(err, model_has(model, place, key) ? OK : ERR_KEY_NOT_FOUND);
        if (err == OK) {
            ck_assert_uint_eq(item.version, model->rows[place].version);
            ck_assert_uint_eq(item.revision, model->rows[place].revision);
            ck_assert(slice_equal(item.value, model->rows[place].value));
        }
    }
    statemachine_read_end(sm);
}

void model_check_all(const struct model *model, struct statemachine *sm)
{
    for (int descending = 0; descending < 2; descending++)
        model_check_list(model, sm, &(struct list_query){ .limit = PAGE_KEYS_MAX,
                                                          .descending = descending });
    ck_assert_uint_eq(statemachine_revision(sm), model->revision);
    ck_assert_uint_eq(statemachine_keys(sm), model->n);
}
