/* kv_model.h - the state machine's meaning, so simple that it is right, and random work for it.
 *
 * The model is a sorted array that is copied before each batch and put back if the batch fails. */
#ifndef HOLDFAST_TESTS_KV_MODEL_H
#define HOLDFAST_TESTS_KV_MODEL_H

#include <holdfast/statemachine.h>

enum { MODEL_KEYS_MAX = 4096, MODEL_KEY_SIZE_MAX = 4 };

struct model_row {
    unsigned char key[MODEL_KEY_SIZE_MAX];
    size_t key_size;
    uint64_t create_revision, revision, version;
    struct slice value; /* borrowed from the command that set it */
};

struct model {
    struct model_row rows[MODEL_KEYS_MAX];
    size_t n;
    uint64_t revision;
    struct kv_result results[BATCH_OPS_MAX];
};

void model_init(struct model *model);

/* Applies a batch; the payload must live as long as the model.  Index and term of the result
 * are left 0. */
struct command_result model_apply(struct model *model, struct slice payload);

/* ---- random work, over few and short keys, so that they meet */

/* Deterministic numbers (splitmix64). */
uint64_t model_random(uint64_t *seed);

/* A batch whose conditions are mostly right. */
struct blob *model_random_batch(uint64_t *seed, const struct model *model);

struct random_query {
    struct list_query query; /* its slices are in the arrays */
    unsigned char start[MODEL_KEY_SIZE_MAX], end[MODEL_KEY_SIZE_MAX], prefix[MODEL_KEY_SIZE_MAX],
        after[MODEL_KEY_SIZE_MAX];
};
void model_random_query(uint64_t *seed, struct random_query *out);

/* ---- comparing: each fails the running test where the state machine differs */

void model_check_list(const struct model *model, struct statemachine *sm,
                      const struct list_query *query);
void model_check_gets(const struct model *model, struct statemachine *sm, uint64_t *seed);
/* Everything, in both directions. */
void model_check_all(const struct model *model, struct statemachine *sm);

#endif
