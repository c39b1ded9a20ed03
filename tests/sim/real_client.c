/* real_client.c - clients: each asks one thing at a time, of any node, and writes down what it was
 * told.  Only what was certainly not applied is asked again; what nobody answered stays open. */
#include "tests/sim/real.h"

#include <inttypes.h>
#include <stdlib.h>

/* ---- requests */

static struct real_op *op_new(struct real_world *w)
{
    struct real_op *op = memory_new(sizeof *op);
    TAILQ_INSERT_TAIL(&w->ops, op, link);
    return op;
}

static void op_free(struct real_op *op)
{
    TAILQ_REMOVE(&real_world()->ops, op, link);
    blob_unref(op->op.command);
    free(op);
}

/* What a node that ended in the middle of something had in its hands. */
void real_clients_end(struct real_world *w)
{
    struct real_op *op;
    while ((op = TAILQ_FIRST(&w->ops)) != NULL)
        op_free(op);
}

/* ---- the history */

static void steps_of(const struct real_op *op, struct linear_step *steps)
{
    const struct real_world *w = real_world();
    static const enum linear_kind kinds[] = { [KV_SET] = LINEAR_SET, [KV_DELETE] = LINEAR_DELETE,
                                              [KV_GET] = LINEAR_GET };
    for (uint32_t i = 0; i < op->n; i++) {
        const struct kv_op *kv = &op->kv[i];
        steps[i] = (struct linear_step){ .kind = kinds[kv->type], .key = w->key[op->key[i]],
                                         .expected = kv->revision, .revision = LINEAR_NOT_TOLD,
                                         .version = LINEAR_NOT_TOLD };
        if (kv->type == KV_SET)
            steps[i].value = op->value[i];
        if (kv->condition == CONDITION_REVISION)
            steps[i].condition = LINEAR_IF_REVISION;
        if (kv->condition == CONDITION_EXISTS)
            steps[i].condition = LINEAR_IF_EXISTS;
    }
}

static void write_down(struct real_op *op, enum linear_outcome outcome, struct linear_step *steps,
                       const struct command_result *result)
{
    struct real_world *w = real_world();
    static const char *const names[] = { "ok", "failed", "condition", "unknown" };
    struct linear_op entry = { .process = op->client, .call = op->call, .end = ++w->sequence,
                               .outcome = outcome, .n = op->n, .steps = steps,
                               .failed_revision = LINEAR_NOT_TOLD };
    if (outcome == LINEAR_CONDITION) {
        entry.failed_step = result->failed_op;
        entry.failed_revision = result->failed_revision;
    }
    linear_add(w->history, &entry);
    w->marks[REAL_HISTORY_OPS]++;
    TRACE("%10" PRIu64 "  client %u op %" PRIu64 ": %s (%s)", w->now_us, op->client, op->call,
          names[outcome], err_name(op->op.err));
}

static void not_answered(struct real_op *op)
{
    struct linear_step steps[REAL_STEPS_MAX];
    steps_of(op, steps);
    op->op.err = ERR_TIMEOUT;
    write_down(op, LINEAR_UNKNOWN, steps, NULL);
    real_world()->marks[REAL_UNKNOWN]++;
}

/* ---- answers */

static void next_soon(struct real_world *w, uint32_t client)
{
    uint32_t think = w->healed ? 20000 : w->options.think_us;
    w->client[client].current = NULL;
    sim_heap_add(&w->heap, w->now_us + 1 + sim_below(&w->random, 2 * think), REAL_CLIENT, client, 0, 0);
}

static void tell_results(struct real_op *op, const struct command_result *result,
                         struct linear_step *steps, char text[REAL_STEPS_MAX][32])
{
    struct real_client *client = &real_world()->client[op->client];
    MUST(result->n == op->n, "a result has %u parts, the request %u", result->n, op->n);
    for (uint32_t i = 0; i < op->n; i++) {
        const struct kv_result *r = &result->results[i];
        MUST(r->type == op->kv[i].type, "a result is of another operation");
        if (r->type == KV_DELETE) {
            steps[i].found_told = true;
            steps[i].revision = result->revision;
            steps[i].found = r->found;
            client->revision[op->key[i]] = 0;
            continue;
        }
        if (r->type == KV_GET && r->found) {
            MUST(r->value.size < sizeof text[i], "a value that nobody wrote");
            memcpy(text[i], r->value.data, r->value.size);
            text[i][r->value.size] = '\0';
            steps[i].value = text[i];
        }
        if (r->type == KV_SET || r->found) {
            steps[i].revision = r->revision;
            steps[i].version = r->version;
        }
        client->revision[op->key[i]] = r->type == KV_SET || r->found ? r->revision : 0;
    }
}

static void count_write(struct real_world *w, const struct real_op *op, bool applied)
{
    static const enum real_mark good[REAL_KINDS] = { [REAL_SET] = REAL_SETS, [REAL_DELETE] = REAL_DELETES,
                                                     [REAL_SET_IF] = REAL_CAS, [REAL_BATCH] = REAL_BATCHES };
    if (applied)
        w->marks[good[op->kind]]++;
    else
        w->marks[op->kind == REAL_BATCH ? REAL_BATCHES_FAILED : REAL_CAS_FAILED]++;
}

static void again(struct real_world *w, const struct real_op *op);

static void written(struct real_op *op)
{
    struct real_world *w = real_world();
    const struct command_result *result = op->op.result;
    struct linear_step steps[REAL_STEPS_MAX];
    char text[REAL_STEPS_MAX][32];
    steps_of(op, steps);
    real_check_commit(w, &w->node[op->node]);
    if (op->op.outcome == OUTCOME_APPLIED) {
        MUST(result != NULL && result->err == OK, "applied, but without a result");
        tell_results(op, result, steps, text);
        real_acked(w, result->index, result->revision);
        count_write(w, op, true);
        write_down(op, LINEAR_OK, steps, result);
    } else if (op->op.outcome == OUTCOME_UNKNOWN) {
        w->marks[REAL_UNKNOWN]++;
        write_down(op, LINEAR_UNKNOWN, steps, NULL);
    } else if (result != NULL && result->err == ERR_CONDITION_FAILED) {
        w->client[op->client].revision[op->key[result->failed_op]] = result->failed_revision;
        real_acked(w, result->index, result->revision);
        count_write(w, op, false);
        write_down(op, LINEAR_CONDITION, steps, result);
    } else {
        w->marks[REAL_NOT_APPLIED]++;
        write_down(op, LINEAR_FAILED, steps, NULL);
        if (op->op.err != ERR_SHUTTING_DOWN && sim_below(&w->random, 2) == 0) {
            again(w, op);
            return;
        }
    }
    next_soon(w, op->client);
}

/* False: the node is damaged and ends; the request ends with it. */
static bool read_value(struct real_op *op)
{
    struct real_world *w = real_world();
    struct statemachine *sm = node_statemachine(w->node[op->node].node);
    struct linear_step step;
    struct kv_item item;
    char text[32];
    steps_of(op, &step);
    enum err err = statemachine_read_begin(sm);
    if (err == OK)
        err = statemachine_get(sm, op->kv[0].key, &item);
    if (err == OK) {
        MUST(item.value.size < sizeof text, "a value that nobody wrote");
        memcpy(text, item.value.data, item.value.size);
        text[item.value.size] = '\0';
        step.value = text;
        step.revision = item.revision;
        step.version = item.version;
    }
    uint64_t revision = statemachine_revision(sm);
    statemachine_read_end(sm);
    if (err != OK && err != ERR_KEY_NOT_FOUND) { /* as whoever reads must do; does not come back */
        struct node *node = w->node[op->node].node;
        next_soon(w, op->client);
        op_free(op);
        node_damaged(node, err);
        return false;
    }
    real_check_read(w, op);
    if (op->kind == REAL_GET_STALE)
        return true; /* of the past: checked, but no part of the history */
    w->client[op->client].revision[op->key[0]] = err == OK ? step.revision : 0;
    if (revision > w->acked_revision)
        w->acked_revision = revision;
    write_down(op, LINEAR_OK, &step, NULL);
    return true;
}

static void done(struct op *base)
{
    struct real_op *op = base->user;
    struct real_world *w = real_world();
    if (!op->abandoned && !w->node[op->node].dying) {
        if (base->type == OP_WRITE) {
            written(op);
        } else {
            if (base->err != OK)
                w->marks[base->err == ERR_TOO_STALE ? REAL_TOO_STALE : REAL_READS_REFUSED]++;
            else if (!read_value(op))
                return;
            next_soon(w, op->client);
        }
    }
    op_free(op);
}

/* ---- questions */

static uint32_t pick_kind(struct real_world *w)
{
    uint32_t sum = 0, kind = 0;
    for (int i = 0; i < REAL_KINDS; i++)
        sum += w->options.mix[i];
    uint32_t at = sim_below(&w->random, sum);
    while (at >= w->options.mix[kind])
        at -= w->options.mix[kind++];
    return kind;
}

static void fill_step(struct real_world *w, struct real_op *op, uint32_t i, enum kv_op_type type,
                      bool condition)
{
    struct real_client *client = &w->client[op->client];
    op->key[i] = sim_below(&w->random, w->options.keys);
    op->kv[i] = (struct kv_op){ .type = type, .key = slice_text(w->key[op->key[i]]) };
    if (type == KV_SET) {
        snprintf(op->value[i], sizeof op->value[i], "%u.%" PRIu64, op->client, ++client->next_value);
        op->kv[i].value = slice_text(op->value[i]);
    }
    if (!condition)
        return;
    op->kv[i].condition = sim_below(&w->random, 8) == 0 ? CONDITION_EXISTS : CONDITION_REVISION;
    if (op->kv[i].condition == CONDITION_REVISION)
        op->kv[i].revision = client->revision[op->key[i]];
}

static void fill(struct real_world *w, struct real_op *op)
{
    static const enum kv_op_type types[] = { KV_SET, KV_GET, KV_DELETE };
    op->n = 1;
    if (op->kind == REAL_BATCH) {
        op->n = sim_between(&w->random, 2, REAL_STEPS_MAX);
        for (uint32_t i = 0; i < op->n; i++) {
            enum kv_op_type type = types[sim_below(&w->random, 3)];
            fill_step(w, op, i, type, sim_below(&w->random, 4) == 0);
        }
    } else if (op->kind == REAL_SET || op->kind == REAL_SET_IF) {
        fill_step(w, op, 0, KV_SET, op->kind == REAL_SET_IF);
    } else {
        fill_step(w, op, 0, op->kind == REAL_DELETE ? KV_DELETE : KV_GET, false);
    }
}

static bool is_read(const struct real_op *op)
{
    return op->kind == REAL_GET || op->kind == REAL_GET_LEASE || op->kind == REAL_GET_STALE;
}

static void prepare(struct real_world *w, struct real_op *op, uint32_t node, uint32_t timeout_ms)
{
    static const enum consistency consistencies[REAL_KINDS] = {
        [REAL_GET] = CONSISTENCY_LINEARIZABLE, [REAL_GET_LEASE] = CONSISTENCY_LEASE,
        [REAL_GET_STALE] = CONSISTENCY_STALE };
    op->node = node;
    op->life = w->node[node].life;
    op->call = ++w->sequence;
    op->asked_us = w->now_us;
    op->floor_index = w->acked_index;
    op->floor_revision = w->acked_revision;
    op->op = (struct op){ .type = is_read(op) ? OP_READ : OP_WRITE,
                          .deadline_ms = real_local_ms(&w->node[node]) + timeout_ms,
                          .consistency = consistencies[op->kind], .max_stale_ms = UINT64_MAX,
                          .done = done, .user = op };
    if (op->kind == REAL_GET_STALE && sim_below(&w->random, 2) == 0)
        op->op.max_stale_ms = sim_below(&w->random, 500);
    if (is_read(op))
        return;
    op->op.local_only = w->options.local_only;
    op->op.command = blob_new(command_batch_size(op->kv, op->n));
    command_encode_batch(op->kv, op->n, op->op.command->data);
}

static uint32_t pick_node(struct real_world *w)
{
    int leader = real_leader(w);
    uint32_t i = sim_below(&w->random, w->options.n);
    if (leader >= 0 && sim_below(&w->random, 2) == 0)
        i = (uint32_t)leader;
    return i;
}

static void ask(struct real_world *w, struct real_op *op)
{
    static const char *const names[] = { "set", "get", "lease-get", "stale-get", "delete", "set-if", "batch" };
    uint32_t node = pick_node(w), client = op->client;
    if (!real_is_up(w, node)) { /* nobody listens: certainly not applied */
        op_free(op);
        next_soon(w, client);
        return;
    }
    prepare(w, op, node, w->options.timeout_ms);
    w->client[client].current = op;
    TRACE("%10" PRIu64 "  client %u op %" PRIu64 ": %s %s=%s on n%u", w->now_us, client, op->call,
          names[op->kind], w->key[op->key[0]], op->value[0], node + 1);
    sim_heap_add(&w->heap, w->now_us + 150000 + 2000 * w->options.timeout_ms, REAL_GIVE_UP, client,
                 (uint32_t)op->call, 0);
    if (w->node[node].paused) { /* in its socket: for the client the same as a slow node */
        op->abandoned = true;
        w->client[client].current = NULL;
        if (!is_read(op))
            not_answered(op);
        next_soon(w, client);
    }
    real_submit(w, op);
}

static void again(struct real_world *w, const struct real_op *op)
{
    struct real_op *copy = op_new(w);
    copy->client = op->client;
    copy->kind = op->kind;
    copy->n = op->n;
    memcpy(copy->key, op->key, sizeof copy->key);
    memcpy(copy->kv, op->kv, sizeof copy->kv);
    memcpy(copy->value, op->value, sizeof copy->value);
    for (uint32_t i = 0; i < op->n; i++) /* the values moved with it */
        if (copy->kv[i].type == KV_SET)
            copy->kv[i].value = slice_text(copy->value[i]);
    w->marks[REAL_RETRIES]++;
    w->client[op->client].current = copy;
    sim_heap_add(&w->heap, w->now_us + sim_below(&w->random, 50000), REAL_CLIENT, op->client, 0, 0);
}

void real_client_next(struct real_world *w, uint32_t client)
{
    struct real_op *op = w->client[client].current;
    if (op != NULL && op->call != 0)
        return; /* it is waiting for an answer */
    if (w->healed && op == NULL)
        return;
    if (op == NULL) {
        op = op_new(w);
        op->client = client;
        op->kind = pick_kind(w);
        fill(w, op);
    }
    w->client[client].current = NULL;
    ask(w, op);
}

/* ---- no answer */

static void leave(struct real_world *w, uint32_t client)
{
    struct real_op *op = w->client[client].current;
    op->abandoned = true;
    if (!is_read(op))
        not_answered(op);
    next_soon(w, client);
}

void real_client_gives_up(struct real_world *w, uint32_t client, uint64_t call)
{
    struct real_op *op = w->client[client].current;
    if (op == NULL || (uint32_t)op->call != (uint32_t)call || op->call == 0)
        return;
    MUST(w->node[op->node].paused,
         "I13: n%u has not answered op %" PRIu64 " long after its deadline", op->node + 1, op->call);
    w->marks[REAL_GIVEN_UP]++;
    leave(w, client);
}

void real_node_lost(struct real_world *w, uint32_t node)
{
    for (uint32_t client = 0; client < w->options.clients; client++) {
        struct real_op *op = w->client[client].current;
        if (op != NULL && op->call != 0 && op->node == node)
            leave(w, client);
    }
}

void real_clients_start(struct real_world *w)
{
    for (uint32_t i = 0; i < w->options.keys; i++)
        snprintf(w->key[i], sizeof w->key[i], "k%u", i);
    for (uint32_t client = 0; client < w->options.clients; client++)
        next_soon(w, client);
}

/* One more write by the last client's successor; *done tells when it has been applied. */
struct last_write {
    struct op op;
    bool *done;
};

static void last_done(struct op *op)
{
    struct last_write *last = op->user;
    if (op->outcome == OUTCOME_APPLIED)
        *last->done = true;
    blob_unref(op->command);
    free(last);
}

bool real_write_one(struct real_world *w, uint32_t node, bool *flag)
{
    if (!real_is_up(w, node))
        return false;
    struct kv_op kv = { .type = KV_SET, .key = slice_text("last"), .value = slice_text("write") };
    struct last_write *last = memory_new(sizeof *last);
    last->done = flag;
    last->op = (struct op){ .type = OP_WRITE, .deadline_ms = real_local_ms(&w->node[node]) + 1000,
                            .command = blob_new(command_batch_size(&kv, 1)), .done = last_done,
                            .user = last };
    command_encode_batch(&kv, 1, last->op.command->data);
    node_submit(w->node[node].node, &last->op);
    real_turn(w, node);
    return true;
}

void real_clients_check(struct real_world *w)
{
    static char report[SIM_WHY_MAX - 64];
    for (uint32_t client = 0; client < w->options.clients; client++)
        MUST(w->client[client].current == NULL, "I13: client %u still waits at the end", client);
    memset(report, 0, sizeof report);
    FILE *out = fmemopen(report, sizeof report - 1, "w");
    enum linear_verdict verdict = linear_check(w->history, out);
    fclose(out);
    w->marks[REAL_UNDECIDED] += verdict == LINEAR_UNDECIDED;
    MUST(verdict != LINEAR_BAD, "I8: %s", report);
}
