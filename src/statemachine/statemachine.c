/* statemachine.c - from the store at start, to the store in batches.
 *
 * The meta rows go with every batch, in the same transaction as the changes of the entries up
 * to the applied index that they tell: never one without the other. */
#include "statemachine_private.h"

#include <holdfast/log.h>
#include <holdfast/mutant.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- meta: text, for people to read too; numbers are decimal, the digest is hexadecimal */

enum { META_TEXT_SIZE = 48, DIGEST_TEXT_SIZE = 16, META_ROWS = 4 };

static const char *const meta_names[META_ROWS] = { "applied_index", "applied_term", "revision",
                                                   "keys" };
static const char *const doubt_names[] = { [DOUBT_UNDECIDED] = "undecided ",
                                           [DOUBT_DIFFERS] = "differs " };
static const char DIGITS[] = "0123456789abcdef";

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

static enum err get_text(struct statemachine *sm, const char *name, struct slice *text)
{
    return sm->store->ops->get(sm->store, TABLE_META, slice_text(name), text);
}

static bool parse_digest(struct slice text, uint64_t *out)
{
    const char *at = text.data;
    uint64_t number = 0;
    for (size_t i = 0; i < text.size; i++) {
        const char *digit = memchr(DIGITS, at[i], 16);
        if (digit == NULL)
            return false;
        number = number << 4 | (uint64_t)(digit - DIGITS);
    }
    *out = number;
    return text.size == DIGEST_TEXT_SIZE;
}

/* Behind the numbers. */
static enum err load_digest(struct statemachine *sm, bool *walk)
{
    struct slice text;
    uint64_t digest;
    enum err err = get_text(sm, "digest", &text);
    *walk = err == ERR_NOT_FOUND && sm->applied > 0;
    if (err == ERR_NOT_FOUND)
        return OK;
    if (err == OK && !parse_digest(text, &digest))
        err = ERR_CORRUPT;
    if (err == OK)
        sm->sum = digest - digest_counts(sm->revision, sm->keys);
    return err;
}

/* Behind the members. */
static enum err make_digest(struct statemachine *sm)
{
    uint64_t keys;
    enum err err = digest_walk(sm, &sm->sum, &keys);
    if (err == OK && keys != sm->keys)
        err = ERR_CORRUPT;
    if (err == OK)
        log_info("the state had no digest, it was walked",
                 "applied=%" PRIu64 " keys=%" PRIu64 " digest=%016" PRIx64, sm->applied, keys,
                 statemachine_digest(sm));
    return err;
}

static enum err load_doubt(struct statemachine *sm)
{
    struct slice text;
    enum err err = get_text(sm, "doubt", &text);
    if (err != OK)
        return err == ERR_NOT_FOUND ? OK : err;
    for (int doubt = DOUBT_UNDECIDED; doubt <= DOUBT_DIFFERS; doubt++) {
        size_t size = strlen(doubt_names[doubt]);
        struct slice name = slice_of(doubt_names[doubt], size);
        if (!slice_has_prefix(text, name))
            continue;
        text = slice_of((const char *)text.data + size, text.size - size);
        sm->doubt = (enum state_doubt)doubt;
        return parse_number(text, &sm->doubt_index) ? OK : ERR_CORRUPT;
    }
    return ERR_CORRUPT;
}

/* All rows are there, or none in a store that has never seen a batch. */
static enum err load_meta(struct statemachine *sm)
{
    uint64_t numbers[META_ROWS] = { 0, 0, 1, 0 };
    unsigned found = 0;
    for (unsigned i = 0; i < META_ROWS; i++) {
        struct slice text;
        enum err err = get_text(sm, meta_names[i], &text);
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

static void put_text(struct statemachine *sm, const char *name, const char *text)
{
    size_t size = strlen(text);
    memcpy(pending_put(&sm->open, TABLE_META, slice_text(name), size), text, size);
}

static void put_doubt(struct statemachine *sm)
{
    char text[META_TEXT_SIZE];
    sm->doubt_unsaved = false;
    if (sm->doubt == DOUBT_NONE) {
        pending_delete(&sm->open, TABLE_META, slice_text("doubt"));
        return;
    }
    snprintf(text, sizeof text, "%s%" PRIu64, doubt_names[sm->doubt], sm->doubt_index);
    put_text(sm, "doubt", text);
}

static void put_meta(struct statemachine *sm)
{
    char text[META_TEXT_SIZE];
    uint64_t applied = mutant("applied-without-effects") ? sm->durable : sm->applied;
    const uint64_t numbers[META_ROWS] = { applied, sm->applied_term, sm->revision, sm->keys };
    for (unsigned i = 0; i < META_ROWS; i++) {
        snprintf(text, sizeof text, "%" PRIu64, numbers[i]);
        put_text(sm, meta_names[i], text);
    }
    snprintf(text, sizeof text, "%016" PRIx64, statemachine_digest(sm));
    put_text(sm, "digest", text);
    if (sm->doubt_unsaved)
        put_doubt(sm);
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

    bool walk = false;
    enum err err = view_open_store(sm);
    if (err == OK)
        err = load_meta(sm);
    if (err == OK)
        err = load_digest(sm, &walk);
    if (err == OK)
        err = load_doubt(sm);
    if (err == OK)
        err = members_load(sm);
    if (err == OK)
        err = configuration_load(sm);
    if (err == OK && walk)
        err = make_digest(sm);
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
    return sm->applied != sm->durable || sm->bootstrapped || sm->doubt_unsaved;
}

bool statemachine_urgent(const struct statemachine *sm)
{
    return sm->doubt_unsaved;
}

enum state_doubt statemachine_doubt(const struct statemachine *sm)
{
    return sm->doubt;
}

raft_index statemachine_doubt_index(const struct statemachine *sm)
{
    return sm->doubt_index;
}

void statemachine_set_doubt(struct statemachine *sm, enum state_doubt doubt, raft_index index)
{
    sm->doubt = doubt;
    sm->doubt_index = index;
    sm->doubt_unsaved = true;
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
