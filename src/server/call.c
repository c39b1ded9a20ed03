/* call.c - the life of a request between its arrival and its answer.  What the answers look
 * like is reply.c's, what the requests mean is the handlers'. */
#include "call.h"

#include <holdfast/limits.h>
#include <holdfast/panic.h>

#include <stdio.h>
#include <stdlib.h>

static void op_done(struct op *op)
{
    struct call *call = op->user;

    call->op_out = false;
    if (call->http == NULL)
        call_end(call);
    else
        call->finish(call);
}

void call_begin(struct server *server, struct http_request *request)
{
    enum http_method method = http_request_method(request);
    struct slice path = http_request_path(request);
    struct call *call = memory_new(sizeof *call);
    struct problem problem;

    call->server = server;
    call->http = request;
    call->started_us = server->config.now_us(server->config.arg);
    call->route = route_find(method, path);
    TAILQ_INSERT_TAIL(&server->calls, call, link);
    server->n_calls++;

    if (server->stopping)
        call_fail_err(call, ERR_SHUTTING_DOWN, "this node is stopping and takes no new requests");
    else if (call->route == NULL)
        route_refuse(call, method, path);
    else if (!options_parse(request, call->route->options, &server->defaults, &call->options,
                            &problem))
        call_fail(call, &problem);
    else
        call->route->handle(call);
}

void call_end(struct call *call)
{
    ASSERT(call->http == NULL && !call->op_out);
    blob_unref(call->command);
    blob_unref(call->op.command);
    free(call);
}

void call_abandon(struct call *call)
{
    struct problem problem;
    struct failure failure = { .problem = &problem, .outcome = OUTCOME_NOT_APPLIED };

    bool changes = call->op.type == OP_WRITE || call->op.type == OP_CHANGE ||
                   call->op.type == OP_TRANSFER;
    if (call->op_out && changes)
        failure.outcome = OUTCOME_UNKNOWN;
    problem_set(&problem, ERR_SHUTTING_DOWN, "", "this node stopped before the request was done");
    call_fail_with(call, &failure);
}

/* True, and answered, if the client is to be sent to the leader. */
static bool sent_to_leader(struct call *call)
{
    struct node_status status;

    if (!call->options.redirect)
        return false;
    node_status(call->server->node, &status);
    /* A leader that is not known, or has not yet announced its address: the node waits for it
     * and forwards, which serves the client better than an error. */
    if (status.role == RAFT_LEADER || status.leader_http[0] == '\0')
        return false;
    /* The target as it came, without the parameter that brought us here. */
    struct slice target = http_request_target(call->http);
    char *location = memory_new(sizeof "http://" + sizeof status.leader_http + target.size);
    size_t used = (size_t)sprintf(location, "http://%s", status.leader_http);
    const char *from = target.data, *end = from + target.size;
    const char *query = memchr(from, '?', target.size);
    size_t path_size = query != NULL ? (size_t)(query - from) : target.size;

    memcpy(location + used, from, path_size);
    used += path_size;
    char separator = '?';
    for (from = query != NULL ? query + 1 : end; from < end;) {
        const char *stop = memchr(from, '&', (size_t)(end - from));
        struct slice part = slice_of(from, (size_t)((stop != NULL ? stop : end) - from));
        if (part.size > 0 && !slice_equal(part, slice_text("redirect")) &&
            !slice_has_prefix(part, slice_text("redirect="))) {
            location[used++] = separator;
            memcpy(location + used, part.data, part.size);
            used += part.size;
            separator = '&';
        }
        from = stop != NULL ? stop + 1 : end;
    }
    location[used] = '\0';
    call->location = location;
    call_reply(call, 307, NULL, slice_of("", 0));
    free(location);
    return true;
}

static void submit(struct call *call, uint32_t timeout_ms, void (*finish)(struct call *))
{
    struct server *server = call->server;

    call->finish = finish;
    call->op.deadline_ms = server->config.now_ms(server->config.arg) + timeout_ms;
    call->op.done = op_done;
    call->op.user = call;
    call->op_out = true;
    node_submit(server->node, &call->op);
}

void call_submit_write(struct call *call, const struct kv_op *ops, uint32_t n,
                       void (*finish)(struct call *))
{
    struct problem problem;
    size_t size = command_batch_size(ops, n);

    if (size > COMMAND_SIZE_MAX) {
        problem_set(&problem, ERR_TOO_LARGE, "split the batch",
                    "the operations take %zu bytes; at most %d are allowed", size,
                    COMMAND_SIZE_MAX);
        call_fail(call, &problem);
        return;
    }
    if (sent_to_leader(call))
        return;
    call->command = blob_new(size);
    command_encode_batch(ops, n, call->command->data);
    call->op.type = OP_WRITE;
    call->op.command = blob_ref(call->command);
    submit(call, call->options.timeout_ms, finish);
}

void call_submit_read(struct call *call, void (*finish)(struct call *))
{
    call->is_read = true;
    if (call->options.consistency != CONSISTENCY_STALE && sent_to_leader(call))
        return;
    call->op.type = OP_READ;
    call->op.consistency = call->options.consistency;
    call->op.min_revision = call->options.min_revision;
    call->op.max_stale_ms = call->options.max_stale_ms;
    submit(call, call->options.timeout_ms, finish);
}

void call_submit_copy(struct call *call, struct node_copy *copy, void (*finish)(struct call *))
{
    call->op.type = OP_COPY;
    call->op.copy = copy;
    submit(call, 0, finish);
}

void call_submit_info(struct call *call, uint32_t timeout_ms, void (*finish)(struct call *))
{
    call->op.type = OP_INFO;
    submit(call, timeout_ms, finish);
}

void call_submit_change(struct call *call, void (*finish)(struct call *))
{
    if (sent_to_leader(call))
        return;
    call->op.type = OP_CHANGE;
    call->op.change = &call->change;
    submit(call, call->options.timeout_ms, finish);
}

void call_submit_transfer(struct call *call, raft_id to, void (*finish)(struct call *))
{
    if (sent_to_leader(call))
        return;
    call->op.type = OP_TRANSFER;
    call->op.target = to;
    submit(call, call->options.timeout_ms, finish);
}

bool call_read_key(struct call *call)
{
    struct problem problem;

    if (call->options.given & OPTION_KEY) {
        call->key = call->options.key;
        return true;
    }
    if (!call->route->prefix) {
        problem_set(&problem, ERR_BAD_REQUEST,
                    "the key goes into the path, as in /kv/hello, or into the query, as in "
                    "/kv?key=hello",
                    "the request names no key");
        call_fail(call, &problem);
        return false;
    }
    struct slice path = http_request_path(call->http);
    size_t skip = strlen(call->route->path);
    call->key = slice_of((const char *)path.data + skip, path.size - skip);
    if (call->key.size >= 1 && call->key.size <= KEY_SIZE_MAX)
        return true;
    if (call->key.size == 0)
        problem_set(&problem, ERR_BAD_REQUEST, "to list keys, leave out the last slash: GET /kv",
                    "the key is empty; a key has 1 to %d bytes", KEY_SIZE_MAX);
    else
        problem_set(&problem, ERR_TOO_LARGE, "", "the key has %zu bytes; at most %d are allowed",
                    call->key.size, KEY_SIZE_MAX);
    call_fail(call, &problem);
    return false;
}
