/* health.c - what probes ask: does the loop turn, can this node serve, does the cluster answer. */
#include "call.h"

#include <stdio.h>

/* ---- /health: a real linearizable read, and what this node knows to be wrong with itself */

/* A sentence, or NULL. */
static const char *own_trouble(const struct node_status *status)
{
    if (status->stopping)
        return "this node is stopping";
    if (status->disk_stalled)
        return "the disk of this node has stalled";
    if (status->doubt != DOUBT_NONE)
        return "the data of this node differs from the other members'";
    if (status->at_quota)
        return "the data has used up its quota";
    if (status->no_space)
        return "the storage of this node is full";
    return NULL;
}

static const char *own_code(const struct node_status *status)
{
    return status->stopping              ? "shutting_down"
           : status->disk_stalled        ? "disk_stalled"
           : status->doubt != DOUBT_NONE ? "state_differs"
                                         : "no_space";
}

static void health_done(struct call *call)
{
    struct node_status status;
    struct json_out out;
    const char *why = NULL;

    node_status(call->server->node, &status);
    if (call->op.err == ERR_TIMEOUT)
        why = "a linearizable read did not finish in time";
    else if (call->op.err != OK)
        why = err_text(call->op.err);
    if (why == NULL)
        why = own_trouble(&status);
    json_init(&out);
    json_open(&out, '{');
    json_member_bool(&out, "healthy", why == NULL);
    json_member_text(&out, "state", info_state_name(status.role));
    if (why != NULL) {
        json_member_text(&out, "code",
                         call->op.err != OK ? err_name(call->op.err)
                                            : own_code(&status));
        json_member_text(&out, "why", why);
    }
    json_close(&out, '}');
    call_reply_json(call, why == NULL ? 200 : 503, &out);
}

void health_get(struct call *call)
{
    if (call->options.timeout_ms > HEALTH_TIMEOUT_MS)
        call->options.timeout_ms = HEALTH_TIMEOUT_MS;
    call_submit_read(call, health_done);
}

/* ---- /livez and /readyz: no question to anybody else */

static void add_line(char *text, size_t size, bool good, const char *what)
{
    size_t used = strlen(text);
    snprintf(text + used, size - used, "[%c]%s\n", good ? '+' : '-', what);
}

/* With every line, or only with those that matter. */
static void reply_lines(struct call *call, bool good, char *lines)
{
    if (!call->options.verbose && good)
        lines = "ok\n";
    call_reply(call, good ? 200 : 503, "text/plain; charset=utf-8", slice_text(lines));
}

void health_livez(struct call *call)
{
    char lines[64] = "";

    add_line(lines, sizeof lines, true, "loop ok");
    reply_lines(call, true, lines);
}

void health_readyz(struct call *call)
{
    struct node_status status;
    char lines[128] = "";

    node_status(call->server->node, &status);
    bool leader = status.leader != 0;
    add_line(lines, sizeof lines, leader, leader ? "leader ok" : "leader unknown");
    add_line(lines, sizeof lines, !status.disk_stalled,
             status.disk_stalled ? "disk stalled" : "disk ok");
    add_line(lines, sizeof lines, !status.stopping, status.stopping ? "node stopping" : "node ok");
    bool agreed = status.doubt == DOUBT_NONE;
    add_line(lines, sizeof lines, agreed, agreed ? "state ok" : "state differs");
    reply_lines(call, leader && !status.disk_stalled && !status.stopping && agreed, lines);
}

/* ---- /leader: for load balancers, which look at the status alone */

void health_leader(struct call *call)
{
    struct node_status status;
    struct json_out out;

    node_status(call->server->node, &status);
    json_init(&out);
    json_open(&out, '{');
    json_member_bool(&out, "is_leader", status.role == RAFT_LEADER);
    if (status.leader != 0)
        json_member_id(&out, "leader", status.leader);
    else
        json_member_null(&out, "leader");
    json_close(&out, '}');
    call_reply_json(call, status.role == RAFT_LEADER ? 200 : 503, &out);
}
