/* server_watch.c - tells the person at the terminal what the cluster is doing: what is waited
 * for, who leads.  Only looks; decides nothing. */
#include "server_process.h"

#include <holdfast/clock.h>

#include <event2/event.h>
#include <inttypes.h>

enum {
    LOOK_MS = 200,         /* how often the leader is looked at */
    WAITING_FIRST_MS = 1000, /* an election may take so long without a word */
    WAITING_AGAIN_MS = 10000,
    HEARD_MS = 3000,       /* who was heard within this time counts as seen */
};

/* Between loop_stop and transport_free bodies may still come; the node is gone then. */
static bool node_is_there(const struct process *process)
{
    return process->loop.node != NULL;
}

static enum verdict on_body(void *arg, const struct envelope *envelope, struct blob *body,
                            struct slice frames, char *why)
{
    struct process *process = arg;
    if (!node_is_there(process))
        return VERDICT_LATER;
    enum verdict verdict = process->events.on_body(process->events.arg, envelope, body, frames, why);
    for (uint32_t i = 0; verdict != VERDICT_REFUSED && i < process->config.n_members; i++)
        if (process->config.members[i].id == envelope->from)
            process->heard_ms[i] = clock_monotonic_ms();
    return verdict;
}

static void on_unreachable(void *arg, raft_id peer, enum lane lane)
{
    struct process *process = arg;
    if (node_is_there(process))
        process->events.on_unreachable(process->events.arg, peer, lane);
}

static void on_unsent(void *arg, raft_id peer, struct slice frame)
{
    struct process *process = arg;
    if (node_is_there(process))
        process->events.on_unsent(process->events.arg, peer, frame);
}

static void on_refused(void *arg, raft_id peer, const char *why)
{
    struct process *process = arg;
    if (node_is_there(process))
        process->events.on_refused(process->events.arg, peer, why);
}

struct network_events server_watch_events(struct process *process)
{
    process->events = node_network_events(process->node);
    return (struct network_events){ .on_body = on_body, .on_unreachable = on_unreachable,
                                    .on_unsent = on_unsent, .on_refused = on_refused,
                                    .arg = process };
}

/* False: the leader has not announced its name yet. */
static bool tell_leader(const struct process *process, const struct node_status *status)
{
    struct node_member members[MEMBERS_MAX];
    uint32_t n = node_members(process->node, members);
    for (uint32_t i = 0; i < n; i++) {
        if (members[i].id != status->leader || members[i].name[0] == '\0')
            continue;
        log_info(status->leader == status->id ? "this node leads" : "there is a leader",
                 "leader=%s http=%s raft=%s term=%" PRIu64, members[i].name, status->leader_http,
                 members[i].raft_addr, status->term);
        return true;
    }
    return false;
}

static void tell_waiting(struct process *process, uint64_t now)
{
    if (now - process->waiting_since_ms < WAITING_FIRST_MS ||
        (process->waiting_logged_ms != 0 && now - process->waiting_logged_ms < WAITING_AGAIN_MS))
        return;
    process->waiting_logged_ms = now;
    const struct node_config *config = &process->config;
    uint32_t seen = 1, majority = config->n_members / 2 + 1;
    for (uint32_t i = 0; i < config->n_members; i++)
        seen += process->heard_ms[i] != 0 && now - process->heard_ms[i] < HEARD_MS;
    log_info(seen < majority ? "waiting for a majority" : "waiting for a leader",
             "seen=%u of=%u needed=%u members=%s", seen, config->n_members, majority,
             config->identity.members);
}

static void look(int fd, short what, void *arg)
{
    (void)fd, (void)what;
    struct process *process = arg;
    loop_event_add_ms(process->watch_timer, LOOK_MS);
    if (!node_is_there(process) || process->stop_deadline_ms != 0)
        return;
    struct node_status status;
    node_status(process->node, &status);
    uint64_t now = clock_monotonic_ms();
    if (status.leader != 0) {
        process->waiting_since_ms = now;
        process->waiting_logged_ms = 0;
    } else {
        tell_waiting(process, now);
    }
    if (status.leader != process->leader && (status.leader == 0 || tell_leader(process, &status)))
        process->leader = status.leader;
}

void server_watch_start(struct process *process)
{
    process->waiting_since_ms = clock_monotonic_ms();
    process->watch_timer = loop_event_new(&process->loop, -1, 0, LOOP_PRIORITY_PEERS, look, process);
    loop_event_add_ms(process->watch_timer, LOOK_MS);
}
