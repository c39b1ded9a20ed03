/* status.c - what people may see of a node. */
#include "node_private.h"

#include <stdio.h>

static void copy_text(char *out, size_t size, struct slice text)
{
    size_t n = text.size < size - 1 ? text.size : size - 1;
    if (n > 0)
        memcpy(out, text.data, n);
    out[n] = '\0';
}

static void leader_http(const struct node *node, char out[ADDRESS_MAX + 1])
{
    out[0] = '\0';
    if (node->leader == node->config.identity.id) {
        memcpy(out, node->config.http_addr, ADDRESS_MAX + 1);
        return;
    }
    struct member_info members[MEMBERS_MAX];
    uint32_t n = statemachine_members(node->sm, members);
    for (uint32_t i = 0; i < n && node->leader != 0; i++)
        if (members[i].id == node->leader)
            copy_text(out, ADDRESS_MAX + 1, members[i].http_addr);
}

void node_status(const struct node *node, struct node_status *out)
{
    uint64_t now_ms = node_now(node);
    *out = (struct node_status){
        .id = node->config.identity.id,
        .leader = node->leader,
        .role = node->role,
        .term = node->term,
        .commit = node->commit,
        .applied = statemachine_applied(node->sm),
        .first = raft_first_index(node->raft),
        .last = raft_last_index(node->raft),
        .durable = statemachine_durable(node->sm),
        .revision = statemachine_revision(node->sm),
        .keys = statemachine_keys(node->sm),
        .digest = statemachine_digest(node->sm),
        .doubt = statemachine_doubt(node->sm),
        .wall_ms = node->host.wall_ms(node->host.arg),
        .disk_stalled = node->disk_stalled,
        .stopping = node->stopping,
        .no_space = node->no_space,
        .at_quota = node->at_quota,
        .quota = node->config.quota,
        .fetching = node->fetch.phase != FETCH_IDLE,
    };
    if (node->fetch.phase >= FETCH_READING) {
        out->fetch_bytes = node->fetch.stored;
        out->fetch_size = node->fetch.info.size;
    }
    if (node->role != RAFT_LEADER)
        out->leader_silence_ms =
            node->leader_heard_ms == 0 ? UINT64_MAX : now_ms - node->leader_heard_ms;
    out->leader_commit = node->role == RAFT_LEADER ? node->commit : node->leader_commit;
    out->voter = configs_is_voter(node, out->id);
    out->learner = !out->voter && configuration_place(configs_current(node), out->id) >= 0;
    leader_http(node, out->leader_http);
}

void node_stats(struct node *node, struct node_stats *out)
{
    *out = node->stats;
    out->reads_waiting = node->n_reads;
    out->proposals_waiting = node->n_writes;
    out->proposals_waiting_bytes = node->writes_bytes;
    out->pending_bytes = statemachine_pending_bytes(node->sm);
    node->log->ops->stats(node->log, &out->log);
    node->state->ops->stats(node->state, &out->state);
}

uint32_t node_members(const struct node *node, struct node_member *out)
{
    struct member_info announced[MEMBERS_MAX];
    uint32_t n = statemachine_members(node->sm, announced);
    const struct configuration *current = configs_current(node);
    for (uint32_t i = 0; i < current->members.n; i++) {
        const struct raft_member *at = &current->members.at[i];
        struct node_member *member = &out[i];
        *member = (struct node_member){ .id = at->id, .voter = at->voter || at->old_voter,
                                        .leaving = at->leaving, .stays = current->stays[i],
                                        .replaces = current->replaces[i] };
        snprintf(member->raft_addr, sizeof member->raft_addr, "%s", current->raft_addr[i]);
        for (uint32_t j = 0; j < n; j++) {
            if (announced[j].id != member->id)
                continue;
            copy_text(member->raft_addr, sizeof member->raft_addr, announced[j].raft_addr);
            copy_text(member->name, sizeof member->name, announced[j].name);
            copy_text(member->http_addr, sizeof member->http_addr, announced[j].http_addr);
        }
    }
    return current->members.n;
}

bool node_first_members(const struct node *node, struct configuration *out)
{
    return statemachine_first_configuration(node->sm, out);
}

bool node_was_removed(const struct node *node, raft_id id)
{
    return statemachine_was_removed(node->sm, id);
}
