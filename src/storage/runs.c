/* runs.c - finds where each term begins by looking at few entries: terms never fall along a
 * log, so two entries of one term have only that term between them. */
#include "runs.h"

#include <holdfast/panic.h>

#include <stdlib.h>

static void push(struct log_boot *out, raft_index first, raft_term term)
{
    if ((out->n_runs & (out->n_runs - 1)) == 0) /* full at each power of two */
        out->runs = memory_grow(out->runs, out->n_runs > 0 ? 2 * (size_t)out->n_runs : 1,
                                sizeof *out->runs);
    out->runs[out->n_runs++] = (struct raft_run){ first, term };
}

/* The first entry after `low` whose term is not `term`, given that the one at `high` is such. */
static enum err find_end(raft_index low, raft_index high, raft_term term, runs_term_fn *term_at,
                         void *arg, raft_index *end, raft_term *end_term)
{
    /* Steps that double first, since most runs are short beside the log; then halves. */
    raft_index step = 1;
    bool doubling = true;
    while (high - low > 1) {
        raft_index probe = doubling && low + step < high ? low + step : low + (high - low) / 2;
        raft_term found;
        enum err err = term_at(arg, probe, &found);
        if (err != OK)
            return err;
        if (found < term)
            return ERR_CORRUPT;
        if (found == term) {
            low = probe;
            step *= 2;
        } else {
            high = probe;
            *end_term = found;
            doubling = false;
        }
    }
    *end = high;
    return OK;
}

enum err runs_find(struct log_boot *out, runs_term_fn *term_at, void *arg)
{
    out->runs = NULL;
    out->n_runs = 0;
    if (out->first > out->last)
        return OK;

    raft_term term, last_term;
    enum err err = term_at(arg, out->first, &term);
    if (err == OK && term < out->base_term)
        err = ERR_CORRUPT;
    if (err == OK)
        err = term_at(arg, out->last, &last_term);
    raft_index at = out->first;
    while (err == OK && term < last_term) {
        push(out, at, term);
        raft_term next_term = last_term;
        err = find_end(at, out->last, term, term_at, arg, &at, &next_term);
        term = next_term;
    }
    if (err == OK && term > last_term)
        err = ERR_CORRUPT;
    if (err == OK)
        push(out, at, term);
    if (err != OK) {
        free(out->runs);
        out->runs = NULL;
        out->n_runs = 0;
    }
    return err;
}
