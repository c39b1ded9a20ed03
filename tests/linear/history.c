/* history.c - gathers operations, gives names numbers, splits into components. */
#include "tests/linear/history.h"

#include <holdfast/blob.h>

#include <stdlib.h>
#include <string.h>

/* ---- names */

static uint64_t hash_text(const char *text)
{
    uint64_t h = UINT64_C(14695981039346656037);
    for (; *text != '\0'; text++)
        h = (h ^ (unsigned char)*text) * UINT64_C(1099511628211);
    return h;
}

static void names_grow(struct names *names)
{
    names->table_size = names->table_size == 0 ? 64 : 2 * names->table_size;
    free(names->table);
    names->table = memory_new_array(names->table_size, sizeof *names->table);
    for (uint32_t i = 0; i < names->n; i++) {
        uint64_t at = hash_text(names->text[i]);
        while (names->table[at % names->table_size] != 0)
            at++;
        names->table[at % names->table_size] = i + 1;
    }
}

static uint32_t names_number(struct names *names, const char *text)
{
    if (2 * names->n >= names->table_size)
        names_grow(names);
    uint64_t at = hash_text(text);
    for (;; at++) {
        uint32_t slot = names->table[at % names->table_size];
        if (slot == 0)
            break;
        if (strcmp(names->text[slot - 1], text) == 0)
            return slot - 1;
    }
    names->table[at % names->table_size] = names->n + 1;
    names->text = memory_grow(names->text, names->n + 1, sizeof *names->text);
    names->text[names->n] = memory_strdup(text);
    return names->n++;
}

static void names_fini(struct names *names)
{
    for (uint32_t i = 0; i < names->n; i++)
        free(names->text[i]);
    free(names->text);
    free(names->table);
}

const char *history_value(const struct linear_history *history, uint32_t value)
{
    return value == ABSENT ? NULL : history->values.text[value - 1];
}

/* ---- the history */

struct linear_history *linear_new(void)
{
    return memory_new(sizeof(struct linear_history));
}

void linear_free(struct linear_history *history)
{
    if (history == NULL)
        return;
    for (uint32_t i = 0; i < history->n; i++)
        free(history->ops[i].steps);
    free(history->ops);
    names_fini(&history->keys);
    names_fini(&history->values);
    free(history);
}

uint32_t linear_size(const struct linear_history *history)
{
    return history->n;
}

void linear_add(struct linear_history *history, const struct linear_op *op)
{
    if (history->n == history->room) {
        history->room = history->room == 0 ? 64 : 2 * history->room;
        history->ops = memory_grow(history->ops, history->room, sizeof *history->ops);
    }
    struct operation *mine = &history->ops[history->n++];
    *mine = (struct operation){ .process = op->process, .call = op->call, .end = op->end,
                                .outcome = op->outcome, .failed_step = op->failed_step,
                                .failed_revision = op->failed_revision, .n = op->n };
    if (op->outcome == LINEAR_UNKNOWN)
        mine->end = UINT64_MAX;
    mine->steps = memory_new_array(op->n > 0 ? op->n : 1, sizeof *mine->steps);
    for (uint32_t i = 0; i < op->n; i++) {
        const struct linear_step *from = &op->steps[i];
        mine->steps[i] = (struct step){ .kind = from->kind, .condition = from->condition,
                                        .key = names_number(&history->keys, from->key),
                                        .expected = from->expected, .found = from->found,
                                        .found_told = from->found_told,
                                        .revision = from->revision, .version = from->version };
        if (from->value != NULL)
            mine->steps[i].value = names_number(&history->values, from->value) + 1;
    }
}

/* ---- components */

static bool only_reads(const struct operation *op)
{
    for (uint32_t i = 0; i < op->n; i++)
        if (op->steps[i].kind != LINEAR_GET)
            return false;
    return true;
}

/* Tells nothing and changes nothing. */
static bool is_idle(const struct operation *op)
{
    return op->n == 0 || op->outcome == LINEAR_FAILED ||
           (op->outcome == LINEAR_UNKNOWN && only_reads(op));
}

static uint32_t root(uint32_t *parent, uint32_t key)
{
    while (parent[key] != key)
        key = parent[key] = parent[parent[key]];
    return key;
}

static int by_call(const void *a, const void *b)
{
    const struct operation *const *x = a, *const *y = b;
    if ((*x)->call != (*y)->call)
        return (*x)->call < (*y)->call ? -1 : 1;
    return *x < *y ? -1 : *x > *y; /* in the order in which they were added */
}

static void component_fill(const struct linear_history *history, uint32_t *parent, uint32_t which,
                           struct component *c)
{
    uint32_t *place = memory_new_array(history->keys.n, sizeof *place);
    c->ops = memory_new_array(history->n, sizeof *c->ops);
    c->keys = memory_new_array(history->keys.n, sizeof *c->keys);
    for (uint32_t key = 0; key < history->keys.n; key++)
        if (root(parent, key) == which) {
            place[key] = c->n_keys;
            c->keys[c->n_keys++] = key;
        }
    for (uint32_t i = 0; i < history->n; i++) {
        struct operation *op = &history->ops[i];
        if (is_idle(op) || root(parent, op->steps[0].key) != which)
            continue;
        for (uint32_t k = 0; k < op->n; k++)
            op->steps[k].place = place[op->steps[k].key];
        c->ops[c->n++] = op;
    }
    qsort(c->ops, c->n, sizeof *c->ops, by_call);
    free(place);
}

enum linear_verdict linear_check(const struct linear_history *history, FILE *report)
{
    enum linear_verdict verdict = LINEAR_GOOD;
    uint32_t *parent = memory_new_array(history->keys.n + 1, sizeof *parent);
    for (uint32_t i = 0; i < history->keys.n; i++)
        parent[i] = i;
    for (uint32_t i = 0; i < history->n; i++)
        for (uint32_t k = 1; !is_idle(&history->ops[i]) && k < history->ops[i].n; k++)
            parent[root(parent, history->ops[i].steps[k].key)] =
                root(parent, history->ops[i].steps[0].key);
    for (uint32_t key = 0; key < history->keys.n && verdict != LINEAR_BAD; key++) {
        if (root(parent, key) != key)
            continue;
        struct component c = { 0 };
        struct search_answer answer;
        component_fill(history, parent, key, &c);
        search(&c, UINT64_MAX, NULL, &answer);
        if (answer.verdict != LINEAR_GOOD)
            verdict = answer.verdict;
        if (answer.verdict == LINEAR_BAD && report != NULL)
            report_bad(history, &c, report);
        free(answer.order);
        free(c.ops);
        free(c.keys);
    }
    free(parent);
    return verdict;
}
