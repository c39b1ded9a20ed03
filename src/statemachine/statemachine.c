/* statemachine.c - from the store at start, to the store in batches.
 *
 * The meta rows go with every batch, in the same transaction as the changes of the entries up
 * to the applied index that they tell: never one without the other. */
#include "statemachine_private.h"

#include <holdfast/mutant.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- meta: decimal text, for people to read too */

enum { NUMBER_TEXT_MAX = 24, META_ROWS = 4 };

static const char *const meta_names[META_ROWS] = { "applied_index", "applied_term", "revision",
                                                   "keys" };

static bool parse_number(struct slice text, uint64_t *out)
{
    const unsigned char *at = text.data;
    uint64_t number = 0;
    if (text.size == 0 || (text.size > 1 && at[0] == '0'))
        return false;
    for (size_t i = 0; i < text.size; i++) {
        unsigned digit = (unsigned)at[i] - '0';
        if (digit > 9 || number > (UINT64_MAX - digit) / 10)
            return false;
        number = number * 10 + digit;
    }
    *out = number;
    return true;
}

/* All rows are there, or none in a store that has never seen a batch. */
static enum err load_meta(struct statemachine *sm)
{
    uint64_t numbers[META_ROWS] = { 0, 0, 1, 0 };
    unsigned found = 0;
    for (unsigned i = 0; i < META_ROWS; i++) {
        struct slice text;
        enum err err = sm->store->ops->get(sm->store, TABLE_META, slice_text(meta_names[i]), &text);
        if (err == ERR_NOT_FOUND)
            continue;
        if (err != OK)
            return err;
        if (!parse_number(text, &numbers[i]))
            return ERR_CORRUPT;
        found++;
    }
    if ((found != 0 && found != META_ROWS) || numbers[2] == 0)
        return ERR_CORRUPT;
    sm->applied = sm->durable = numbers[0];
    sm->applied_term = numbers[1];
    sm->revision = numbers[2];
    sm->keys = numbers[3];
    return OK;
}

static void put_meta(struct statemachine *sm)
{
    uint64_t applied = mutant("applied-without-effects") ? sm->durable : sm->applied;
    const uint64_t numbers[META_ROWS] = { applied, sm->applied_term, sm->revision, sm->keys };
    for (unsigned i = 0; i < META_ROWS; i++) {
        char text[NUMBER_TEXT_MAX];
        int size = snprintf(text, sizeof text, "%" PRIu64, numbers[i]);
        memcpy(pending_put(&sm->open, TABLE_META, slice_text(meta_names[i]), (size_t)size), text,
               (size_t)size);
    }
}

/* ---- life */

enum err statemachine_new(struct state_store *store, struct statemachine **out)
{
    struct statemachine *sm = memory_new(sizeof *sm);
    sm->store = store;
    sm->job.owner = sm;
    pending_init(&sm->stage);
    pending_init(&sm->open);
    pending_init(&sm->sealed);

    enum err err = view_open_store(sm);
    if (err == OK)
        err = load_meta(sm);
    if (err == OK)
        err = members_load(sm);
    if (err == OK)
        err = configuration_load(sm);
    view_close_store(sm);
    if (err != OK) {
        statemachine_free(sm);
        sm = NULL;
    }
    *out = sm;
    return err;
}

void statemachine_free(struct statemachine *sm)
{
    if (sm == NULL)
        return;
    ASSERT(!sm->reading);
    apply_fini(sm);
    members_fini(sm);
    pending_clear(&sm->stage);
    pending_clear(&sm->open);
    pending_clear(&sm->sealed);
    free(sm->job.changes);
    free(sm);
}

/* ---- standing facts */

raft_index statemachine_applied(const struct statemachine *sm)
{
    return sm->applied;
}

raft_term statemachine_applied_term(const struct statemachine *sm)
{
    return sm->applied_term;
}

uint64_t statemachine_revision(const struct statemachine *sm)
{
    return sm->revision;
}

uint64_t statemachine_keys(const struct statemachine *sm)
{
    return sm->keys;
}

size_t statemachine_pending_bytes(const struct statemachine *sm)
{
    return sm->open.bytes + sm->sealed.bytes;
}

raft_index statemachine_durable(const struct statemachine *sm)
{
    return sm->durable;
}

bool statemachine_unsaved(const struct statemachine *sm)
{
    return sm->applied != sm->durable || sm->bootstrapped;
}

bool statemachine_sealed(const struct statemachine *sm)
{
    return sm->sealed_out;
}

/* ---- batches */

struct state_job *statemachine_seal(struct statemachine *sm, raft_index *applied)
{
    ASSERT(!sm->sealed_out && !sm->reading);
    if (!statemachine_unsaved(sm))
        return NULL;
    sm->bootstrapped = false;
    put_meta(sm);
    sm->sealed = sm->open;
    pending_init(&sm->open);
    sm->sealed_applied = sm->applied;
    sm->sealed_out = true;

    sm->job.n = sm->sealed.n;
    sm->job.changes = memory_grow(sm->job.changes, sm->job.n, sizeof *sm->job.changes);
    pending_changes(&sm->sealed, sm->job.changes);
    *applied = sm->sealed_applied;
    return &sm->job;
}

void statemachine_flushed(struct statemachine *sm, struct state_job *job)
{
    ASSERT(sm->sealed_out && job == &sm->job && !sm->reading);
    pending_clear(&sm->sealed);
    free(sm->job.changes);
    sm->job.changes = NULL;
    sm->job.n = 0;
    sm->durable = sm->sealed_applied;
    sm->sealed_out = false;
}
