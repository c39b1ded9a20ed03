/* search.c - the model of a few keys, and the search for an order that it could have answered. */
#include "tests/linear/history.h"

#include <holdfast/blob.h>

#include <stdlib.h>
#include <string.h>

/* Beyond so much memory for (set, state) pairs the search gives up. */
enum { MEMO_BYTES_MAX = 16 * 1024 * 1024 };

/* ---- the model */

static bool condition_may_hold(const struct step *step, const struct key_state *key)
{
    if (step->condition == LINEAR_IF_EXISTS)
        return key->value != ABSENT;
    if (step->condition != LINEAR_IF_REVISION)
        return true;
    if (step->expected == 0)
        return key->value == ABSENT;
    return key->value != ABSENT &&
           (key->revision == step->expected || key->revision == LINEAR_NOT_TOLD);
}

static bool condition_may_fail(const struct operation *op, const struct step *step,
                               const struct key_state *key)
{
    uint64_t now = key->value == ABSENT ? 0 : key->revision;
    if (op->failed_revision != LINEAR_NOT_TOLD && now != LINEAR_NOT_TOLD &&
        now != op->failed_revision)
        return false;
    if ((op->failed_revision == 0) != (now == 0) && op->failed_revision != LINEAR_NOT_TOLD)
        return false;
    if (step->condition == LINEAR_IF_EXISTS)
        return now == 0;
    return step->condition == LINEAR_IF_REVISION && (now != step->expected);
}

static bool agrees(uint64_t told, uint64_t known)
{
    return told == LINEAR_NOT_TOLD || known == LINEAR_NOT_TOLD || told == known;
}

static bool apply_get(const struct step *step, bool open, struct key_state *key)
{
    if (open)
        return true;
    if (step->value != key->value)
        return false;
    if (step->value == ABSENT)
        return true;
    if (!agrees(step->revision, key->revision) || !agrees(step->version, key->version))
        return false;
    if (key->revision == LINEAR_NOT_TOLD)
        key->revision = step->revision; /* now it has been told */
    return true;
}

static bool apply_set(const struct step *step, bool open, struct key_state *key)
{
    uint64_t version = key->value == ABSENT ? 1 : key->version + 1;
    uint64_t revision = open ? LINEAR_NOT_TOLD : step->revision;
    if (!open && !agrees(step->version, version))
        return false;
    /* Revisions rise with every change of the store. */
    if (key->value != ABSENT && revision != LINEAR_NOT_TOLD && key->revision != LINEAR_NOT_TOLD &&
        revision < key->revision)
        return false;
    *key = (struct key_state){ .revision = revision, .version = version, .value = step->value };
    return true;
}

static bool apply_step(const struct step *step, bool open, struct key_state *key)
{
    if (!condition_may_hold(step, key))
        return false;
    if (step->kind == LINEAR_GET)
        return apply_get(step, open, key);
    if (step->kind == LINEAR_SET)
        return apply_set(step, open, key);
    if (!open && step->found_told && step->found != (key->value != ABSENT))
        return false;
    *key = (struct key_state){ 0 };
    return true;
}

/* Changes `state` if the operation could have had its answer there; `undo` gets the state of the
 * keys of its steps, in order, for model_undo. */
bool model_apply(const struct operation *op, bool open, struct key_state *state,
                 struct key_state *undo)
{
    uint32_t done = 0;
    bool fits = true;
    bool condition = op->outcome == LINEAR_CONDITION && !open;
    while (done < op->n && fits) {
        const struct step *step = &op->steps[done];
        struct key_state *key = &state[step->place];
        undo[done++] = *key;
        if (condition && done - 1 == op->failed_step) {
            fits = condition_may_fail(op, step, key);
            break;
        }
        /* of a batch that fails later, the answers before are not told */
        fits = apply_step(step, open || condition, key);
    }
    if (fits && !condition)
        return true;
    for (uint32_t i = done; i-- > 0;)
        state[op->steps[i].place] = undo[i];
    return fits;
}

/* ---- the set of what has been tried: (operations placed, state) as bytes */

struct memo {
    unsigned char *bytes;
    size_t size_each, n, room;
    uint32_t *table;
    size_t table_size; /* a power of two */
};

static uint64_t hash_bytes(const unsigned char *bytes, size_t size)
{
    uint64_t h = size * UINT64_C(0x9e3779b97f4a7c15);
    for (size_t i = 0; i < size; i += 8) { /* sizes are multiples of 8 */
        uint64_t word;
        memcpy(&word, bytes + i, sizeof word);
        h = (h ^ word) * UINT64_C(0xbf58476d1ce4e5b9);
        h ^= h >> 29;
    }
    return h;
}

static void memo_grow(struct memo *memo)
{
    memo->table_size = memo->table_size == 0 ? 256 : 2 * memo->table_size;
    free(memo->table);
    memo->table = memory_new_array(memo->table_size, sizeof *memo->table);
    for (size_t i = 0; i < memo->n; i++) {
        size_t at = hash_bytes(memo->bytes + i * memo->size_each, memo->size_each);
        while (memo->table[at & (memo->table_size - 1)] != 0)
            at++;
        memo->table[at & (memo->table_size - 1)] = (uint32_t)i + 1;
    }
}

/* True if it is new. */
static bool memo_add(struct memo *memo, const unsigned char *bytes)
{
    if (2 * memo->n >= memo->table_size)
        memo_grow(memo);
    size_t at = hash_bytes(bytes, memo->size_each);
    for (;; at++) {
        uint32_t slot = memo->table[at & (memo->table_size - 1)];
        if (slot == 0)
            break;
        if (memcmp(memo->bytes + (slot - 1) * memo->size_each, bytes, memo->size_each) == 0)
            return false;
    }
    if (memo->n == memo->room) {
        memo->room = memo->room == 0 ? 256 : 2 * memo->room;
        memo->bytes = memory_grow(memo->bytes, memo->room, memo->size_each);
    }
    memcpy(memo->bytes + memo->n * memo->size_each, bytes, memo->size_each);
    memo->table[at & (memo->table_size - 1)] = (uint32_t)++memo->n;
    return true;
}

/* ---- the search */

struct event { /* a call or a return, in a list by time */
    uint64_t at;
    uint32_t op;
    bool is_return;
    struct event *prev, *next;
    struct event *partner; /* a call's return; NULL: it is open for ever */
};

struct placed {
    struct event *call;
    size_t undo; /* where its undo begins */
    bool sure;   /* it changed nothing, so it could not have been placed better */
};

struct rank {
    uint64_t revision;
    uint32_t op;
};

struct ranks { /* operations that tell a revision, by revision */
    struct rank *at;
    uint32_t n, room;
    uint32_t first; /* that is not placed yet, or one before it */
};

struct run {
    const struct component *c;
    uint64_t horizon;
    struct event head; /* of the list of calls and returns */
    struct event open; /* of the list of calls that never return */
    struct event *events;
    struct placed *stack;
    uint32_t depth, deepest;
    struct key_state *undo;
    size_t n_undo;
    unsigned char *probe; /* the bits of what is placed, then the state */
    struct ranks *ranks;
    bool *wanted;         /* by place of key */
    size_t bits;
    struct memo memo;
    uint32_t *best;
};

struct moment {
    uint64_t at;
    bool is_return;
    uint32_t op;
};

static int by_time(const void *a, const void *b)
{
    const struct moment *x = a, *y = b;
    if (x->at != y->at)
        return x->at < y->at ? -1 : 1;
    if (x->is_return != y->is_return)
        return x->is_return ? 1 : -1; /* touching operations overlap */
    return x->op < y->op ? -1 : x->op > y->op;
}

static bool is_open(const struct run *run, const struct operation *op)
{
    return op->outcome == LINEAR_UNKNOWN || op->end > run->horizon;
}

static void list_build(struct run *run, const bool *skip)
{
    const struct component *c = run->c;
    struct moment *moments = memory_new_array(2 * (size_t)c->n + 1, sizeof *moments);
    struct event **calls = memory_new_array((size_t)c->n + 1, sizeof *calls);
    size_t n = 0;
    for (uint32_t i = 0; i < c->n; i++) {
        if (c->ops[i]->call > run->horizon || (skip != NULL && skip[i]))
            continue;
        moments[n++] = (struct moment){ c->ops[i]->call, false, i };
        if (!is_open(run, c->ops[i]))
            moments[n++] = (struct moment){ c->ops[i]->end, true, i };
    }
    qsort(moments, n, sizeof *moments, by_time);
    run->events = memory_new_array(n + 1, sizeof *run->events);
    struct event *last[2] = { &run->head, &run->open };
    for (size_t i = 0; i < n; i++) {
        struct event *event = &run->events[i];
        bool open = is_open(run, c->ops[moments[i].op]);
        *event = (struct event){ .at = moments[i].at, .op = moments[i].op,
                                 .is_return = moments[i].is_return, .prev = last[open] };
        last[open]->next = event;
        last[open] = event;
        if (event->is_return)
            calls[event->op]->partner = event;
        else
            calls[event->op] = event;
    }
    free(calls);
    free(moments);
}

static bool is_placed(const struct run *run, uint32_t op)
{
    return run->probe[op / 8] >> (op % 8) & 1;
}

/* The revision that a step tells of its key, or the store's that a deletion tells. */
static uint64_t revision_of(const struct operation *op, const struct step *step)
{
    bool absent = step->kind == LINEAR_GET && step->value == ABSENT;
    return op->outcome == LINEAR_OK && !absent ? step->revision : LINEAR_NOT_TOLD;
}

static int by_revision(const void *a, const void *b)
{
    const struct rank *x = a, *y = b;
    if (x->revision != y->revision)
        return x->revision < y->revision ? -1 : 1;
    return x->op < y->op ? -1 : x->op > y->op;
}

static void rank_add(struct ranks *ranks, uint64_t revision, uint32_t op)
{
    if (ranks->n == ranks->room) {
        ranks->room = ranks->room == 0 ? 16 : 2 * ranks->room;
        ranks->at = memory_grow(ranks->at, ranks->room, sizeof *ranks->at);
    }
    ranks->at[ranks->n++] = (struct rank){ revision, op };
}

/* ranks[0]: writes of any key; ranks[1 + place]: what tells a revision of that key. */
static void rank_all(struct run *run, const bool *skip)
{
    const struct component *c = run->c;
    run->ranks = memory_new_array((size_t)c->n_keys + 1, sizeof *run->ranks);
    for (uint32_t i = 0; i < c->n; i++) {
        if (is_open(run, c->ops[i]) || c->ops[i]->call > run->horizon || (skip != NULL && skip[i]))
            continue;
        for (uint32_t k = 0; k < c->ops[i]->n; k++) {
            const struct step *step = &c->ops[i]->steps[k];
            uint64_t revision = revision_of(c->ops[i], step);
            if (revision == LINEAR_NOT_TOLD)
                continue;
            rank_add(&run->ranks[1 + step->place], revision, i);
            if (step->kind != LINEAR_GET)
                rank_add(&run->ranks[0], revision, i);
        }
    }
    for (uint32_t i = 0; i <= c->n_keys; i++)
        if (run->ranks[i].n > 0)
            qsort(run->ranks[i].at, run->ranks[i].n, sizeof *run->ranks[i].at, by_revision);
}

static bool is_least(const struct run *run, struct ranks *ranks, uint64_t revision,
                     const struct operation *op)
{
    while (ranks->first < ranks->n && is_placed(run, ranks->at[ranks->first].op))
        ranks->first++;
    return ranks->first == ranks->n || revision <= ranks->at[ranks->first].revision ||
           run->c->ops[ranks->at[ranks->first].op] == op; /* by an earlier step of its own */
}

/* Revisions rise with every change of the store, so what is placed next has the least of those
 * that are left. */
static bool in_rank(struct run *run, const struct operation *op)
{
    for (uint32_t k = 0; k < op->n && !is_open(run, op); k++) {
        uint64_t revision = revision_of(op, &op->steps[k]);
        if (revision == LINEAR_NOT_TOLD)
            continue;
        if (!is_least(run, &run->ranks[1 + op->steps[k].place], revision, op) ||
            (op->steps[k].kind != LINEAR_GET && !is_least(run, &run->ranks[0], revision, op)))
            return false;
    }
    return true;
}

static void ranks_rewind(struct run *run, const struct operation *op)
{
    run->ranks[0].first = 0;
    for (uint32_t k = 0; k < op->n; k++)
        run->ranks[1 + op->steps[k].place].first = 0;
}

static void take_out(struct event *event)
{
    event->prev->next = event->next;
    if (event->next != NULL)
        event->next->prev = event->prev;
}

static void put_in(struct event *event)
{
    event->prev->next = event;
    if (event->next != NULL)
        event->next->prev = event;
}

static struct key_state *state_of(struct run *run)
{
    return (struct key_state *)(void *)(run->probe + run->bits);
}

static void remember_best(struct run *run, uint32_t stuck)
{
    if (run->depth < run->deepest)
        return;
    run->deepest = run->depth;
    for (uint32_t i = 0; i < run->depth; i++)
        run->best[i] = run->stack[i].call->op;
    run->best[run->depth] = stuck;
}

static bool same_state(struct run *run, const struct operation *op)
{
    for (uint32_t i = 0; i < op->n; i++)
        if (memcmp(&state_of(run)[op->steps[i].place], &run->undo[run->n_undo + i],
                   sizeof(struct key_state)) != 0)
            return false;
    return true;
}

static bool place(struct run *run, struct event *call)
{
    const struct operation *op = run->c->ops[call->op];
    if (!in_rank(run, op))
        return false;
    unsigned char bit = (unsigned char)(1u << (call->op % 8));
    if (!model_apply(op, is_open(run, op), state_of(run), run->undo + run->n_undo))
        return false;
    run->probe[call->op / 8] |= bit;
    if (!memo_add(&run->memo, run->probe)) {
        run->probe[call->op / 8] &= (unsigned char)~bit;
        if (op->outcome != LINEAR_CONDITION || is_open(run, op))
            for (uint32_t i = op->n; i-- > 0;)
                state_of(run)[op->steps[i].place] = run->undo[run->n_undo + i];
        return false;
    }
    bool sure = !is_open(run, op) && same_state(run, op);
    run->stack[run->depth++] = (struct placed){ call, run->n_undo, sure };
    run->n_undo += op->n;
    take_out(call);
    if (call->partner != NULL)
        take_out(call->partner);
    return true;
}

static struct event *take_back(struct run *run)
{
    struct placed *placed = &run->stack[--run->depth];
    struct event *call = placed->call;
    const struct operation *op = run->c->ops[call->op];
    run->n_undo = placed->undo;
    if (op->outcome != LINEAR_CONDITION || is_open(run, op))
        for (uint32_t i = op->n; i-- > 0;)
            state_of(run)[op->steps[i].place] = run->undo[run->n_undo + i];
    run->probe[call->op / 8] &= (unsigned char)~(1u << (call->op % 8));
    ranks_rewind(run, op);
    if (call->partner != NULL)
        put_in(call->partner);
    put_in(call);
    return call;
}

/* The return that comes first: what is placed next must have been called before it. */
static struct event *first_return(struct run *run)
{
    struct event *event = run->head.next;
    while (event != NULL && !event->is_return)
        event = event->next;
    return event;
}

/* Tries the calls from `event` on, up to `end`; true if one could be placed. */
static bool place_closed(struct run *run, struct event *event, const struct event *end)
{
    for (; event != NULL && event != end; event = event->next)
        if (place(run, event))
            return true;
    return false;
}

static bool touches_wanted(const struct run *run, const struct operation *op)
{
    for (uint32_t i = 0; i < op->n; i++)
        if (run->wanted[op->steps[i].place])
            return true;
    return false;
}

static bool want(struct run *run, const struct operation *op)
{
    bool news = false;
    for (uint32_t i = 0; i < op->n; i++) {
        news = news || !run->wanted[op->steps[i].place];
        run->wanted[op->steps[i].place] = true;
    }
    return news;
}

/* The keys whose state keeps what must be placed soon from being placed; and those which open
 * batches tie to them. */
static void find_wanted(struct run *run, const struct event *end)
{
    memset(run->wanted, 0, run->c->n_keys * sizeof *run->wanted);
    for (const struct event *event = run->head.next; event != end; event = event->next)
        want(run, run->c->ops[event->op]);
    for (bool news = true; news;) {
        news = false;
        for (const struct event *event = run->open.next; event != NULL && event->at <= end->at;
             event = event->next)
            if (run->c->ops[event->op]->n > 1 && touches_wanted(run, run->c->ops[event->op]))
                news = want(run, run->c->ops[event->op]) || news;
    }
}

/* An open operation helps now only if it touches such a key; else its time comes later. */
static bool place_open(struct run *run, struct event *event, const struct event *end)
{
    find_wanted(run, end);
    for (; event != NULL && event->at <= end->at; event = event->next)
        if (touches_wanted(run, run->c->ops[event->op]) && place(run, event))
            return true;
    return false;
}

/* Operations that returned are tried before those that are open: those are rarely needed. */
static enum linear_verdict walk(struct run *run)
{
    struct event *end, *closed = run->head.next, *open = run->open.next;
    while ((end = first_return(run)) != NULL) {
        if (run->memo.n * run->memo.size_each > MEMO_BYTES_MAX)
            return LINEAR_UNDECIDED;
        if (place_closed(run, closed, end) || place_open(run, open, end)) {
            closed = run->head.next;
            open = run->open.next;
            continue;
        }
        /* This one had to be placed before its return, and could not. */
        remember_best(run, end->op);
        while (run->depth > 0 && run->stack[run->depth - 1].sure)
            take_back(run);
        if (run->depth == 0)
            return LINEAR_BAD;
        struct event *undone = take_back(run);
        bool was_open = undone->partner == NULL;
        closed = was_open ? NULL : undone->next;
        open = was_open ? undone->next : run->open.next;
    }
    return LINEAR_GOOD; /* what is left is open: it need not have happened */
}

void search(const struct component *component, uint64_t horizon, const bool *skip,
            struct search_answer *answer)
{
    struct run run = { .c = component, .horizon = horizon };
    size_t steps = 1;
    for (uint32_t i = 0; i < component->n; i++)
        steps += component->ops[i]->n;
    run.bits = ((size_t)component->n + 63) / 64 * 8;
    run.memo.size_each = run.bits + component->n_keys * sizeof(struct key_state);
    run.probe = memory_new(run.memo.size_each);
    run.undo = memory_new_array(steps + 1, sizeof *run.undo);
    run.stack = memory_new_array((size_t)component->n + 1, sizeof *run.stack);
    run.best = memory_new_array((size_t)component->n + 1, sizeof *run.best);
    list_build(&run, skip);
    rank_all(&run, skip);
    run.wanted = memory_new_array((size_t)component->n_keys + 1, sizeof *run.wanted);
    *answer = (struct search_answer){ .verdict = walk(&run), .order = run.best,
                                      .n_order = run.deepest + 1 };
    for (uint32_t i = 0; i <= component->n_keys; i++)
        free(run.ranks[i].at);
    free(run.ranks);
    free(run.wanted);
    free(run.memo.bytes);
    free(run.memo.table);
    free(run.probe);
    free(run.undo);
    free(run.stack);
    free(run.events);
}
