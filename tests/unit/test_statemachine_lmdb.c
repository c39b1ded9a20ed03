/* test_statemachine_lmdb.c - the state machine against the model, on LMDB and its writer thread:
 * batches are in flight while entries are applied and read, and the store is closed and opened
 * again at random moments. */
#include "tests/storage/harness.h"
#include "tests/support/kv_model.h"

#include <stdlib.h>

enum { ENTRIES = 600 };

struct node_like {
    struct harness harness;
    struct statemachine *sm;
    struct blob *log[ENTRIES];
    raft_index last;
    unsigned seals, flushes, reopens; /* what really happened */
};

static void boot(struct node_like *node)
{
    ck_assert_int_eq(statemachine_new(node->harness.state, &node->sm), OK);
}

static struct command_result feed(struct node_like *node, raft_index index)
{
    struct record entry = { index, 1, RAFT_DATA, 0, blob_slice(node->log[index - 1]) };
    struct command_result result;
    ck_assert_int_eq(statemachine_apply(node->sm, &entry, &result), OK);
    return result;
}

static void seal(struct node_like *node)
{
    raft_index applied;
    struct state_job *job = statemachine_seal(node->sm, &applied);
    if (job == NULL)
        return;
    node->harness.state->ops->submit(node->harness.state, job);
    node->seals++;
}

/* Takes a completion if one is there; waits for it if `wait`. */
static void take_flushed(struct node_like *node, bool wait)
{
    uint32_t before = node->harness.n_flushed;
    wait_state(&node->harness, wait ? before + 1 : 0);
    if (node->harness.n_flushed == before)
        return;
    statemachine_flushed(node->sm, node->harness.flushed);
    node->flushes++;
}

/* Closing writes what was submitted, though nobody is told any more. */
static void reopen(struct node_like *node)
{
    raft_index durable = statemachine_durable(node->sm);
    harness_close(&node->harness);
    statemachine_free(node->sm);
    harness_open(&node->harness);
    boot(node);
    ck_assert_uint_ge(statemachine_applied(node->sm), durable);
    while (statemachine_applied(node->sm) < node->last)
        feed(node, statemachine_applied(node->sm) + 1);
    node->reopens++;
}

static void stir(struct node_like *node, uint64_t *seed)
{
    if (model_random(seed) % 10 == 0 && !statemachine_sealed(node->sm))
        seal(node);
    if (statemachine_sealed(node->sm))
        take_flushed(node, model_random(seed) % 20 == 0);
    if (model_random(seed) % 60 == 0)
        reopen(node);
}

static void run(uint64_t seed)
{
    static struct model model;
    static struct node_like node;
    memset(&node, 0, sizeof node);
    model_init(&model);
    harness_init(&node.harness, KIND_LMDB);
    boot(&node);
    while (node.last < ENTRIES) {
        struct blob *payload = node.log[node.last++] = model_random_batch(&seed, &model);
        struct command_result wanted = model_apply(&model, blob_slice(payload));
        wanted.index = node.last;
        wanted.term = 1;
        struct command_result result = feed(&node, node.last);
        struct blob *a = result_encode(&wanted), *b = result_encode(&result);
        ck_assert_msg(slice_equal(blob_slice(a), blob_slice(b)), "entry %llu answers otherwise",
                      (unsigned long long)node.last);
        blob_unref(a);
        blob_unref(b);
        stir(&node, &seed);
        struct random_query random;
        model_random_query(&seed, &random);
        model_check_list(&model, node.sm, &random.query);
        model_check_gets(&model, node.sm, &seed);
    }
    reopen(&node);
    model_check_all(&model, node.sm);
    seal(&node);
    if (statemachine_sealed(node.sm))
        take_flushed(&node, true);
    ck_assert_uint_eq(statemachine_pending_bytes(node.sm), 0);
    model_check_all(&model, node.sm);
    ck_assert_uint_gt(node.seals, 20);
    ck_assert_uint_gt(node.flushes, 5);
    ck_assert_uint_gt(node.reopens, 3);
    harness_fini(&node.harness);
    statemachine_free(node.sm);
    for (raft_index i = 0; i < node.last; i++)
        blob_unref(node.log[i]);
}

START_TEST(it_answers_as_the_model_does_on_lmdb)
{
    run(1 + (uint64_t)_i);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("against the model, on LMDB");
    TCase *tcase = tcase_create("lmdb");
    tcase_set_timeout(tcase, 300);
    tcase_add_loop_test(tcase, it_answers_as_the_model_does_on_lmdb, 0, 3);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
