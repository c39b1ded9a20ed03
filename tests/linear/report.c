/* report.c - shows a violation to people: the shortest beginning of the history that has no
 * order, without the reads that are not needed for that, and where the best order gets stuck. */
#include "tests/linear/history.h"

#include <holdfast/blob.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static enum linear_verdict verdict_of(const struct component *c, uint64_t horizon, const bool *skip)
{
    struct search_answer answer;
    search(c, horizon, skip, &answer);
    free(answer.order);
    return answer.verdict;
}

static int by_number(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

/* A longer beginning of a bad history is bad too, so the shortest is found by halving. */
static uint64_t shortest_horizon(const struct component *c)
{
    uint64_t *ends = memory_new_array((size_t)c->n + 1, sizeof *ends);
    uint32_t n = 0;
    for (uint32_t i = 0; i < c->n; i++)
        if (c->ops[i]->outcome != LINEAR_UNKNOWN)
            ends[n++] = c->ops[i]->end;
    qsort(ends, n, sizeof *ends, by_number);
    uint32_t low = 0, high = n - 1; /* ends[high] is bad */
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (verdict_of(c, ends[middle], NULL) == LINEAR_BAD)
            high = middle;
        else
            low = middle + 1;
    }
    uint64_t horizon = ends[high];
    free(ends);
    return horizon;
}

static bool changes_something(const struct operation *op)
{
    for (uint32_t i = 0; i < op->n; i++)
        if (op->steps[i].kind != LINEAR_GET && op->outcome != LINEAR_CONDITION)
            return true;
    return false;
}

static void print_step(const struct linear_history *history, const struct step *step, bool told,
                       FILE *out)
{
    static const char *const kinds[] = { "get", "set", "delete" };
    const char *value = history_value(history, step->value);
    fprintf(out, " %s %s", kinds[step->kind], history->keys.text[step->key]);
    if (step->kind == LINEAR_SET)
        fprintf(out, "=%s", value);
    if (step->condition == LINEAR_IF_REVISION)
        fprintf(out, " if revision %" PRIu64, step->expected);
    if (step->condition == LINEAR_IF_EXISTS)
        fprintf(out, " if it exists");
    if (!told)
        return;
    if (step->kind == LINEAR_GET)
        fprintf(out, " -> %s", value != NULL ? value : "absent");
    if (step->kind == LINEAR_DELETE && step->found_told)
        fprintf(out, " -> %s", step->found ? "was there" : "was absent");
    if (step->kind != LINEAR_DELETE && step->value != ABSENT && step->revision != LINEAR_NOT_TOLD)
        fprintf(out, " revision %" PRIu64, step->revision);
    if (step->kind != LINEAR_DELETE && step->value != ABSENT && step->version != LINEAR_NOT_TOLD)
        fprintf(out, " version %" PRIu64, step->version);
}

static void print_op(const struct linear_history *history, const struct operation *op,
                     uint64_t horizon, FILE *out)
{
    bool told = op->outcome == LINEAR_OK && op->end <= horizon;
    fprintf(out, "  %8" PRIu64 " ..", op->call);
    if (op->end <= horizon)
        fprintf(out, " %8" PRIu64, op->end);
    else
        fprintf(out, "     open");
    fprintf(out, "  process %" PRIu64 ":", op->process);
    for (uint32_t i = 0; i < op->n; i++)
        print_step(history, &op->steps[i], told, out);
    if (op->outcome == LINEAR_CONDITION)
        fprintf(out, " -> condition failed at step %u", op->failed_step);
    if (op->outcome == LINEAR_CONDITION && op->failed_revision != LINEAR_NOT_TOLD)
        fprintf(out, ", revision was %" PRIu64, op->failed_revision);
    if (op->outcome == LINEAR_UNKNOWN)
        fprintf(out, " -> unknown");
    fputc('\n', out);
}

static void print_state(const struct linear_history *history, const struct component *c,
                        const struct key_state *state, FILE *out)
{
    for (uint32_t i = 0; i < c->n_keys; i++) {
        const char *value = history_value(history, state[i].value);
        fprintf(out, "  %s is %s", history->keys.text[c->keys[i]], value != NULL ? value : "absent");
        if (value != NULL && state[i].revision != LINEAR_NOT_TOLD)
            fprintf(out, ", revision %" PRIu64, state[i].revision);
        if (value != NULL)
            fprintf(out, ", version %" PRIu64, state[i].version);
        fputc('\n', out);
    }
}

static void print_order(const struct linear_history *history, const struct component *c,
                        uint64_t horizon, const bool *skip, FILE *out)
{
    struct search_answer answer;
    struct key_state *state = memory_new_array(c->n_keys, sizeof *state);
    search(c, horizon, skip, &answer);
    fprintf(out, "an order that gets furthest:\n");
    for (uint32_t i = 0; i + 1 < answer.n_order; i++) {
        const struct operation *op = c->ops[answer.order[i]];
        struct key_state *undo = memory_new_array(op->n, sizeof *undo);
        model_apply(op, op->outcome == LINEAR_UNKNOWN || op->end > horizon, state, undo);
        free(undo);
        print_op(history, op, horizon, out);
    }
    fprintf(out, "after which\n");
    print_state(history, c, state, out);
    fprintf(out, "and this, which returned next, fits nowhere:\n");
    print_op(history, c->ops[answer.order[answer.n_order - 1]], horizon, out);
    free(answer.order);
    free(state);
}

void report_bad(const struct linear_history *history, const struct component *c, FILE *out)
{
    uint64_t horizon = shortest_horizon(c);
    bool *skip = memory_new_array((size_t)c->n + 1, sizeof *skip);
    /* What changes nothing can be left out without making a good history bad. */
    for (uint32_t i = c->n; i-- > 0;) {
        if (changes_something(c->ops[i]))
            continue;
        skip[i] = true;
        skip[i] = verdict_of(c, horizon, skip) == LINEAR_BAD;
    }
    fprintf(out, "not linearizable:");
    for (uint32_t i = 0; i < c->n_keys; i++)
        fprintf(out, " %s", history->keys.text[c->keys[i]]);
    fprintf(out, "\nno order explains these operations (call .. return):\n");
    for (uint32_t i = 0; i < c->n; i++)
        if (!skip[i] && c->ops[i]->call <= horizon)
            print_op(history, c->ops[i], horizon, out);
    print_order(history, c, horizon, skip, out);
    free(skip);
}
