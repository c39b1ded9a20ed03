/* test_statemachine_support.h - a state machine on a memory disk, with the log that feeds it.
 *
 * The log keeps every payload, so that a machine that crashed is fed again from where its
 * store stands, as the node does it. */
#ifndef HOLDFAST_TESTS_STATEMACHINE_SUPPORT_H
#define HOLDFAST_TESTS_STATEMACHINE_SUPPORT_H

#include <holdfast/statemachine.h>

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

struct machine {
    struct memory_disk *disk;
    struct state_store *store;
    struct statemachine *sm;
    struct blob **log; /* log[i] is entry i + 1; NULL: an empty entry */
    raft_index last;
    struct command_result result; /* of the last apply */
};

static inline void machine_boot(struct machine *m)
{
    m->store = state_memory_open(m->disk, NULL);
    ck_assert_int_eq(statemachine_new(m->store, &m->sm), OK);
}

static inline void machine_init(struct machine *m)
{
    struct identity identity = { .cluster = 1, .id = 2 };
    memset(m, 0, sizeof *m);
    m->disk = memory_disk_new(&identity);
    machine_boot(m);
}

static inline void machine_fini(struct machine *m)
{
    m->store->ops->close(m->store);
    statemachine_free(m->sm);
    memory_disk_free(m->disk);
    for (raft_index i = 0; i < m->last; i++)
        blob_unref(m->log[i]);
    free(m->log);
}

/* Applies entry `index` of the log. */
static inline enum err machine_feed(struct machine *m, raft_index index)
{
    struct blob *payload = m->log[index - 1];
    struct record entry = { index, 1 + index / 100, payload != NULL ? RAFT_DATA : RAFT_NOOP, index,
                            payload != NULL ? blob_slice(payload) : slice_of(NULL, 0) };
    return statemachine_apply(m->sm, &entry, &m->result);
}

/* Appends to the log (takes the reference; NULL: an empty entry) and applies. */
static inline const struct command_result *machine_apply(struct machine *m, struct blob *payload)
{
    if ((m->last & (m->last - 1)) == 0)
        m->log = memory_grow(m->log, m->last > 0 ? 2 * m->last : 1, sizeof *m->log);
    m->log[m->last++] = payload;
    ck_assert_int_eq(machine_feed(m, m->last), OK);
    return &m->result;
}

static inline struct blob *batch_of(const struct kv_op *ops, uint32_t n)
{
    struct blob *blob = blob_new(command_batch_size(ops, n));
    command_encode_batch(ops, n, blob->data);
    return blob;
}

static inline const struct command_result *apply_ops(struct machine *m, const struct kv_op *ops,
                                                     uint32_t n)
{
    return machine_apply(m, batch_of(ops, n));
}

/* ---- short forms of operations, on text */

static inline struct kv_op op_set(const char *key, const char *value)
{
    return (struct kv_op){ .type = KV_SET, .key = slice_text(key), .value = slice_text(value) };
}

static inline struct kv_op op_delete(const char *key)
{
    return (struct kv_op){ .type = KV_DELETE, .key = slice_text(key) };
}

static inline struct kv_op op_delete_prefix(const char *prefix)
{
    return (struct kv_op){ .type = KV_DELETE_PREFIX, .key = slice_text(prefix) };
}

static inline struct kv_op op_get(const char *key)
{
    return (struct kv_op){ .type = KV_GET, .key = slice_text(key) };
}

static inline struct kv_op if_revision(struct kv_op op, uint64_t revision)
{
    op.condition = CONDITION_REVISION;
    op.revision = revision;
    return op;
}

static inline struct kv_op if_exists(struct kv_op op)
{
    op.condition = CONDITION_EXISTS;
    return op;
}

static inline const struct command_result *apply_one(struct machine *m, struct kv_op op)
{
    return apply_ops(m, &op, 1);
}

static inline const struct command_result *set(struct machine *m, const char *key,
                                               const char *value)
{
    return apply_one(m, op_set(key, value));
}

/* ---- flushing and crashing */

static inline void machine_on_done(void *arg, struct state_job *job)
{
    statemachine_flushed(arg, job);
}

static inline void machine_drain(struct machine *m)
{
    m->store->ops->drain(m->store, machine_on_done, m->sm);
}

/* Seals and submits; the disk writes at once unless it is held. */
static inline bool machine_submit(struct machine *m)
{
    raft_index applied;
    struct state_job *job = statemachine_seal(m->sm, &applied);
    if (job != NULL)
        m->store->ops->submit(m->store, job);
    return job != NULL;
}

static inline void machine_flush(struct machine *m)
{
    ck_assert(machine_submit(m));
    machine_drain(m);
    ck_assert(!statemachine_sealed(m->sm));
}

/* Dies with the first `kept` batches written, and comes back; nothing is fed again yet. */
static inline void machine_crash(struct machine *m, size_t kept)
{
    memory_disk_crash(m->disk, 0, kept);
    statemachine_free(m->sm);
    machine_boot(m);
}

/* Feeds what the store does not have. */
static inline void machine_replay(struct machine *m)
{
    while (statemachine_applied(m->sm) < m->last)
        ck_assert_int_eq(machine_feed(m, statemachine_applied(m->sm) + 1), OK);
}

/* ---- looking */

/* The value of a key as text (static storage), or NULL if it is not there. */
static inline const char *value_of(struct machine *m, const char *key)
{
    static char text[256];
    struct kv_item item;
    const char *answer = NULL;
    ck_assert_int_eq(statemachine_read_begin(m->sm), OK);
    enum err err = statemachine_get(m->sm, slice_text(key), &item);
    if (err == OK) {
        ck_assert_uint_lt(item.value.size, sizeof text);
        memcpy(text, item.value.data, item.value.size);
        text[item.value.size] = '\0';
        answer = text;
    } else {
        ck_assert_int_eq(err, ERR_KEY_NOT_FOUND);
    }
    statemachine_read_end(m->sm);
    return answer;
}

/* Metadata of a key that is there. */
static inline struct kv_item item_of(struct machine *m, const char *key)
{
    struct kv_item item;
    ck_assert_int_eq(statemachine_read_begin(m->sm), OK);
    ck_assert_int_eq(statemachine_get(m->sm, slice_text(key), &item), OK);
    statemachine_read_end(m->sm);
    item.key = item.value = slice_of(NULL, 0); /* gone with the read */
    return item;
}

/* Deterministic numbers (splitmix64). */
static inline uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* The whole of a test program but its tests. */
static inline int run_tests(const char *name, const TTest *const *tests, size_t n, double timeout)
{
    Suite *suite = suite_create(name);
    TCase *tcase = tcase_create(name);
    tcase_set_timeout(tcase, timeout);
    for (size_t i = 0; i < n; i++)
        tcase_add_test(tcase, tests[i]);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
