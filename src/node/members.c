/* members.c - what the configuration is to become: by somebody's wish, or because it is time.
 *
 * By itself the leader makes a learner a voter once it has caught up and stays so, lets go whom it
 * replaces in the same step, and drops a learner that never came.  All that it goes by stands in the
 * configuration, so the next leader goes on where this one stopped. */
#include "node_private.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

static enum err because(struct node *node, enum err err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static enum err because(struct node *node, enum err err, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(node->change_why, sizeof node->change_why, format, arguments);
    va_end(arguments);
    return err;
}

/* ---- who can be reached */

static bool heard_since(const struct node *node, raft_id id, uint64_t since_ms)
{
    struct raft_progress progress;
    if (id == node->config.identity.id)
        return true;
    return core_progress(node, id, &progress) && progress.last_contact != 0 &&
           progress.last_contact > since_ms;
}

static uint64_t ago(const struct node *node, uint64_t ms)
{
    uint64_t now_ms = node_now(node);
    return now_ms > ms ? now_ms - ms : 0;
}

static bool reachable(const struct node *node, raft_id id)
{
    return heard_since(node, id, ago(node, 2 * (uint64_t)node->config.election_max_ms));
}

static enum err check_majority(struct node *node, const struct configuration *configuration,
                               const char *which, uint64_t since_ms)
{
    const struct raft_members *members = &configuration->members;
    uint32_t voters = 0, reached = 0;
    char missing[200] = "";
    for (uint32_t i = 0; i < members->n; i++) {
        if (!members->at[i].voter)
            continue;
        voters++;
        if (heard_since(node, members->at[i].id, since_ms)) {
            reached++;
            continue;
        }
        size_t used = strlen(missing);
        if (used + 40 < sizeof missing)
            snprintf(missing + used, sizeof missing - used, "%s%.30s", used > 0 ? ", " : "",
                     configuration->raft_addr[i]);
    }
    if (reached > voters / 2)
        return OK;
    return because(node, ERR_QUORUM_AT_RISK,
                   "of the %u voters %s only %u can be reached and %u are needed; not reached: %s",
                   voters, which, reached, voters / 2 + 1, missing);
}

enum err members_check_quorum(struct node *node, const struct configuration *wanted,
                              uint64_t since_ms)
{
    enum err err = check_majority(node, wanted, "that there would be", since_ms);
    return err != OK ? err : check_majority(node, configs_current(node), "that there are", since_ms);
}

/* ---- configurations, edited */

/* Without those who are leaving, and not joint. */
static void target_of(const struct configuration *from, struct configuration *out)
{
    memset(out, 0, sizeof *out);
    for (uint32_t i = 0; i < from->members.n; i++) {
        if (from->members.at[i].leaving)
            continue;
        uint32_t k = out->members.n++;
        out->members.at[k] = (struct raft_member){ .id = from->members.at[i].id,
                                                   .voter = from->members.at[i].voter };
        memcpy(out->raft_addr[k], from->raft_addr[i], sizeof out->raft_addr[k]);
        out->stays[k] = from->stays[i];
        out->replaces[k] = from->replaces[i];
    }
}

static void take_out(struct configuration *c, raft_id id)
{
    int place = configuration_place(c, id);
    if (place < 0)
        return;
    uint32_t i = (uint32_t)place, behind = --c->members.n - i;
    memmove(&c->members.at[i], &c->members.at[i + 1], behind * sizeof c->members.at[0]);
    memmove(c->raft_addr[i], c->raft_addr[i + 1], behind * sizeof c->raft_addr[0]);
    memmove(&c->stays[i], &c->stays[i + 1], behind * sizeof c->stays[0]);
    memmove(&c->replaces[i], &c->replaces[i + 1], behind * sizeof c->replaces[0]);
}

static uint32_t voters_of(const struct configuration *c)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < c->members.n; i++)
        n += c->members.at[i].voter;
    return n;
}

/* A vote for this learner; and whom it replaces leaves. */
static void promote(struct configuration *c, raft_id id)
{
    uint32_t i = (uint32_t)configuration_place(c, id);
    raft_id old = c->replaces[i];
    c->members.at[i].voter = true;
    c->stays[i] = false;
    c->replaces[i] = 0;
    if (old != 0)
        take_out(c, old);
}

/* ---- wishes */

static raft_id fresh_id(struct node *node)
{
    uint64_t z = node->config.seed + ++node->next_request + node_now(node); /* splitmix64 */
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    return z != 0 ? z : 1;
}

/* Who asks again after it has lost its directory, or comes where a learner was expected: a learner
 * there that is silent makes room, and leaves its task behind. */
static enum err settle_address(struct node *node, struct configuration *c,
                               const struct member_change *change, uint32_t newcomer)
{
    for (uint32_t i = 0; i < c->members.n; i++) {
        raft_id id = c->members.at[i].id;
        if (i == newcomer || strcmp(c->raft_addr[i], change->raft_addr) != 0 ||
            (change->type == MEMBER_REPLACE && id == change->id))
            continue;
        if (c->members.at[i].voter)
            return because(node, ERR_MEMBER_EXISTS,
                           "the raft address %.120s is that of the voter %016" PRIx64
                           ": replace that member, or remove it first",
                           change->raft_addr, id);
        if (reachable(node, id))
            return because(node, ERR_MEMBER_EXISTS,
                           "the raft address %.120s is that of the learner %016" PRIx64
                           ", which is alive",
                           change->raft_addr, id);
        c->stays[newcomer] = c->stays[newcomer] || c->stays[i];
        if (c->replaces[newcomer] == 0)
            c->replaces[newcomer] = c->replaces[i];
        take_out(c, id);
        return OK;
    }
    return OK;
}

static enum err wanted_add(struct node *node, const struct member_change *change, raft_id id,
                           raft_id replaces, struct configuration *c)
{
    if (statemachine_was_removed(node->sm, id))
        return because(node, ERR_BAD_REQUEST,
                       "the member %016" PRIx64 " was removed; start it with an empty data directory",
                       id);
    if (!address_valid(slice_text(change->raft_addr)))
        return because(node, ERR_BAD_REQUEST, "a new member needs a raft address, host:port");
    bool expected = false; /* somebody is there already and makes room */
    for (uint32_t i = 0; i < c->members.n; i++)
        expected = expected || strcmp(c->raft_addr[i], change->raft_addr) == 0;
    if (c->members.n == MEMBERS_MAX && !expected)
        return because(node, ERR_TOO_LARGE, "a cluster has at most %d members", MEMBERS_MAX);
    if (c->members.n == MEMBERS_MAX) {
        for (uint32_t i = 0; i < c->members.n; i++)
            if (strcmp(c->raft_addr[i], change->raft_addr) == 0 && !c->members.at[i].voter)
                take_out(c, c->members.at[i].id);
        if (c->members.n == MEMBERS_MAX)
            return because(node, ERR_TOO_LARGE, "a cluster has at most %d members", MEMBERS_MAX);
    }
    uint32_t i = c->members.n++;
    c->members.at[i] = (struct raft_member){ .id = id != 0 ? id : fresh_id(node) };
    memcpy(c->raft_addr[i], change->raft_addr, sizeof c->raft_addr[i]);
    c->stays[i] = change->stay_learner;
    c->replaces[i] = replaces;
    return settle_address(node, c, change, i);
}

static enum err wanted_remove(struct node *node, raft_id id, struct configuration *c,
                              bool *satisfied)
{
    int i = configuration_place(c, id);
    if (i < 0) {
        *satisfied = statemachine_was_removed(node->sm, id) ||
                     configuration_place(configs_current(node), id) >= 0;
        return *satisfied ? OK : because(node, ERR_NO_MEMBER, "there is no member %016" PRIx64, id);
    }
    if (c->members.at[i].voter && voters_of(c) == 1)
        return because(node, ERR_QUORUM_AT_RISK, "this is the last voter of the cluster");
    take_out(c, id);
    return OK;
}

static bool caught_up(struct node *node, raft_id id)
{
    struct raft_progress progress;
    struct peer *peer = node_peer(node, id);
    return peer != NULL && peer->caught_up > 0 && core_progress(node, id, &progress);
}

static enum err wanted_replace(struct node *node, const struct member_change *change,
                               struct configuration *c, bool *satisfied)
{
    int old = configuration_place(c, change->id);
    int new = change->newcomer != 0 ? configuration_place(c, change->newcomer) : -1;
    if (old < 0) {
        *satisfied = new >= 0 && c->members.at[new].voter;
        return *satisfied ? OK : because(node, ERR_NO_MEMBER, "there is no member %016" PRIx64,
                                         change->id);
    }
    if (new < 0)
        return wanted_add(node, change, change->newcomer, change->id, c);
    if (new == old)
        return because(node, ERR_BAD_REQUEST, "a member cannot replace itself");
    if (c->replaces[new] == change->id) {
        *satisfied = true; /* it is on its way */
        return OK;
    }
    if (c->members.at[new].voter)
        return wanted_remove(node, change->id, c, satisfied);
    if (!caught_up(node, change->newcomer) && !change->force)
        return because(node, ERR_CHANGE_UNDER_WAY,
                       "the new member is a learner and has not caught up yet");
    c->replaces[new] = change->id;
    promote(c, change->newcomer);
    return OK;
}

static enum err wanted_promote(struct node *node, const struct member_change *change,
                               struct configuration *c, bool *satisfied)
{
    int i = configuration_place(c, change->id);
    if (i < 0)
        return because(node, ERR_NO_MEMBER, "there is no member %016" PRIx64, change->id);
    *satisfied = c->members.at[i].voter;
    if (*satisfied)
        return OK;
    if (!reachable(node, change->id) && !change->force)
        return because(node, ERR_QUORUM_AT_RISK, "the learner at %.200s cannot be reached",
                       c->raft_addr[i]);
    /* A voter that is so far behind could hold up every write. */
    struct raft_progress progress;
    if (core_progress(node, change->id, &progress) && progress.snapshot && !change->force)
        return because(node, ERR_QUORUM_AT_RISK,
                       "the learner at %.200s has no state yet, it is about to get it whole",
                       c->raft_addr[i]);
    promote(c, change->id);
    if (voters_of(c) > VOTERS_MAX)
        return because(node, ERR_TOO_LARGE, "a cluster has at most %d voters", VOTERS_MAX);
    return OK;
}

enum err members_wanted(struct node *node, const struct member_change *change,
                        struct configuration *out, bool *satisfied)
{
    node->change_why[0] = '\0';
    target_of(configs_current(node), out);
    switch (change->type) {
    case MEMBER_ADD:
        *satisfied = change->id != 0 && configuration_place(out, change->id) >= 0;
        return *satisfied ? OK : wanted_add(node, change, change->id, 0, out);
    case MEMBER_REMOVE:
        return wanted_remove(node, change->id, out, satisfied);
    case MEMBER_REPLACE:
        return wanted_replace(node, change, out, satisfied);
    case MEMBER_PROMOTE:
        return wanted_promote(node, change, out, satisfied);
    case MEMBER_MOVE:
        return because(node, ERR_BAD_REQUEST,
                       "a member tells its new address itself: start it with --raft-addr and --join");
    case MEMBER_LEAD:
        break;
    }
    return because(node, ERR_BAD_REQUEST, "this is no change of the members");
}

/* Applied, too: who was removed by the last change must be known before anybody is added (B37). */
bool members_settled(const struct node *node)
{
    bool committed;
    raft_index index;
    const struct raft_members *members = raft_members(node->raft, &index, &committed);
    return committed && !members->joint && statemachine_applied(node->sm) >= index;
}

enum raft_status members_propose(struct node *node, const struct configuration *wanted)
{
    node->wanted = *wanted;
    struct raft_event event = { .type = RAFT_CHANGE, .change.members = &node->wanted.members };
    return core_step(node, &event, &(struct source){ 0 });
}

/* ---- what nobody has to ask for */

static bool has_caught_up(struct node *node, struct peer *peer, const struct raft_progress *progress)
{
    bool good = progress->match >= peer->catch_up_to && peer->catch_up_to > 0 &&
                !progress->snapshot && reachable(node, peer->id);
    peer->caught_up = good ? peer->caught_up + 1 : 0;
    peer->catch_up_to = node->commit;
    return peer->caught_up >= CAUGHT_UP_ROUNDS;
}

/* Else one that dies at once could not be named in the command that replaces it. */
static bool has_a_name(const struct node *node, raft_id id)
{
    struct member_info announced[MEMBERS_MAX];
    uint32_t n = statemachine_members(node->sm, announced);
    for (uint32_t i = 0; i < n; i++)
        if (announced[i].id == id)
            return true;
    return false;
}

/* What is to be done with this learner, done in `wanted`. */
static bool look_at_learner(struct node *node, uint32_t i, uint64_t now_ms,
                            struct configuration *wanted)
{
    const struct configuration *current = configs_current(node);
    raft_id id = current->members.at[i].id;
    struct peer *peer = node_peer(node, id);
    struct raft_progress progress;
    if (peer == NULL || !core_progress(node, id, &progress))
        return false;
    if (peer->learner_since_ms == 0)
        peer->learner_since_ms = now_ms;
    bool ready = has_caught_up(node, peer, &progress) && has_a_name(node, id);
    if (ready && !current->stays[i]) {
        struct configuration before = *wanted;
        promote(wanted, id);
        if (voters_of(wanted) <= VOTERS_MAX)
            return true;
        *wanted = before; /* it waits for a place */
        return false;
    }
    bool never_came = progress.last_contact == 0 && progress.match == 0;
    if (never_came && now_ms - peer->learner_since_ms >= LEARNER_PATIENCE_MS) {
        log_warn("a learner that never came is dropped", "peer=%016" PRIx64 " raft_addr=%s", id,
                 current->raft_addr[i]);
        take_out(wanted, id);
        return true;
    }
    return false;
}

bool members_removes_self(const struct node *node, const struct configuration *wanted)
{
    int i = configuration_place(wanted, node->config.identity.id);
    return i < 0 || !wanted->members.at[i].voter;
}

/* A leader that is replaced lets another one do it. */
static bool gives_way(struct node *node, const struct configuration *wanted, uint64_t now_ms)
{
    if (!members_removes_self(node, wanted))
        return false;
    if (now_ms < node->handover_ms)
        return true;
    node->handover_ms = now_ms + 2 * (uint64_t)node->config.election_max_ms;
    return core_hand_over(node, 0);
}

void members_policy(struct node *node, uint64_t now_ms)
{
    static struct configuration wanted;
    if (node->role != RAFT_LEADER || now_ms < node->policy_ms || node->stopping)
        return;
    node->policy_ms = now_ms + node->config.heartbeat_ms;
    if (!members_settled(node))
        return;
    bool any = false;
    target_of(configs_current(node), &wanted);
    uint32_t n = configs_current(node)->members.n;
    for (uint32_t i = 0; i < n; i++)
        if (!configs_current(node)->members.at[i].voter)
            any = look_at_learner(node, i, now_ms, &wanted) || any;
    if (!any ||
        members_check_quorum(node, &wanted, ago(node, 3 * (uint64_t)node->config.heartbeat_ms)) != OK ||
        gives_way(node, &wanted, now_ms))
        return;
    if (members_propose(node, &wanted) == RAFT_OK)
        log_info("the learners that have caught up become voters", "voters=%u", voters_of(&wanted));
}

/* There is something to look at only while there are learners. */
uint64_t members_deadline(const struct node *node)
{
    const struct raft_members *members = &configs_current(node)->members;
    if (node->role != RAFT_LEADER || node->stopping)
        return UINT64_MAX;
    for (uint32_t i = 0; i < members->n; i++)
        if (!members->at[i].voter)
            return node->policy_ms;
    return UINT64_MAX;
}

/* ---- being removed */

static const char REMOVED_ROW[] = "removed";

void members_note_removed(struct node *node, const char *why)
{
    if (node->removed)
        return;
    node->removed = true;
    log_warn("this node was removed from the cluster", "why=\"%s\"", why);
    core_save_meta(node, REMOVED_ROW, why);
}

void members_check_removed(struct node *node)
{
    if (statemachine_was_removed(node->sm, node->config.identity.id))
        members_note_removed(node, "the cluster has decided to go on without this node");
}
