/* server_watch.c - tells the person at the terminal what the cluster is doing: what is waited
 * for, who leads.  Only looks; decides nothing. */
#include "server_process.h"

#include <holdfast/clock.h>

#include <event2/event.h>
#include <inttypes.h>
#include <string.h>

enum {
    LOOK_MS = 200,         /* how often the leader is looked at */
    WAITING_FIRST_MS = 1000, /* an election may take so long without a word */
    WAITING_AGAIN_MS = 10000,
    LEARNER_AGAIN_MS = 2000,
    HEARD_MS = 3000,       /* who was heard within this time counts as seen */
};

/* Between loop_stop and transport_free bodies may still come; the node is gone then. */
static bool node_is_there(const struct process *process)
{
    return process->loop.node != NULL;
}

/* The place of who was heard of longest ago is given to somebody new. */
static void note_heard(struct process *process, raft_id id)
{
    size_t n = sizeof process->heard / sizeof process->heard[0], place = 0;
    for (size_t i = 0; i < n; i++) {
        if (process->heard[i].id == id) {
            place = i;
            break;
        }
        if (process->heard[i].ms < process->heard[place].ms)
            place = i;
    }
    process->heard[place].id = id;
    process->heard[place].ms = clock_monotonic_ms();
}

static bool heard_lately(const struct process *process, raft_id id, uint64_t now)
{
    for (size_t i = 0; i < sizeof process->heard / sizeof process->heard[0]; i++)
        if (process->heard[i].id == id)
            return now - process->heard[i].ms < HEARD_MS;
    return false;
}

static enum verdict on_body(void *arg, const struct envelope *envelope, struct blob *body,
                            struct slice frames, char *why)
{
    struct process *process = arg;
    if (!node_is_there(process))
        return VERDICT_LATER;
    enum verdict verdict = process->events.on_body(process->events.arg, envelope, body, frames, why);
    if (verdict != VERDICT_REFUSED)
        note_heard(process, envelope->from);
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
    struct node_member members[MEMBERS_MAX];
    uint32_t n = node_members(process->node, members), voters = 0, seen = 0;
    char addresses[600] = "";
    for (uint32_t i = 0; i < n; i++) {
        size_t used = strlen(addresses);
        if (!members[i].voter)
            continue;
        voters++;
        seen += members[i].id == process->config.identity.id ||
                heard_lately(process, members[i].id, now);
        snprintf(addresses + used, sizeof addresses - used, "%s%s", used > 0 ? "," : "",
                 members[i].raft_addr);
    }
    log_info(seen < voters / 2 + 1 ? "waiting for a majority" : "waiting for a leader",
             "seen=%u of=%u needed=%u members=%s", seen, voters, voters / 2 + 1, addresses);
}

/* How far a node that joins has come. */
static void tell_learner(struct process *process, const struct node_status *status, uint64_t now)
{
    if (status->voter) {
        if (process->told_percent > 0)
            log_info("now a voter", "index=%" PRIu64, status->applied);
        process->told_percent = 0;
        return;
    }
    if (status->leader_commit == 0 || (process->told_percent > 0 && now < process->learner_logged_ms))
        return;
    uint64_t part = 100 * status->applied / status->leader_commit;
    unsigned percent = part > 100 ? 100 : (unsigned)part;
    if (process->told_percent == percent + 1)
        return;
    process->told_percent = percent + 1;
    process->learner_logged_ms = now + LEARNER_AGAIN_MS;
    log_info("learner: catching up", "done=%u%% applied=%" PRIu64 " of=%" PRIu64, percent,
             status->applied, status->leader_commit);
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
    tell_learner(process, &status, now);
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
