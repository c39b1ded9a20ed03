/* configs.c - the configurations of the log, as the core has them, with the addresses that go with
 * the ids; and the peers that follow from them.
 *
 * Kept is the one as of the applied index, and each that stands behind it in the log: an entry that
 * is erased takes its configuration with it.  Who is named by any of them can be reached. */
#include "node_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

const struct configuration *configs_current(const struct node *node)
{
    ASSERT(node->n_configs > 0);
    return &node->configs[node->n_configs - 1].configuration;
}

bool configs_is_voter(const struct node *node, raft_id id)
{
    const struct raft_members *members = &configs_current(node)->members;
    int i = configuration_place(configs_current(node), id);
    return i >= 0 && (members->at[i].voter || members->at[i].old_voter);
}

/* ---- peers */

static void set_address(struct node *node, struct peer *peer, const char *raft_addr)
{
    if (strcmp(peer->raft_addr, raft_addr) == 0)
        return;
    snprintf(peer->raft_addr, sizeof peer->raft_addr, "%s", raft_addr);
    node->network->ops->set_peer(node->network, peer->id, peer->raft_addr);
}

static void forget(struct node *node, struct peer *peer)
{
    node->network->ops->forget_peer(node->network, peer->id);
    uint32_t place = (uint32_t)(peer - node->peers);
    node->n_peers--;
    memmove(peer, peer + 1, (node->n_peers - place) * sizeof *peer);
}

/* Room for one more, at the price of who has been no member for longest. */
static bool make_room(struct node *node)
{
    struct peer *oldest = NULL;
    if (node->n_peers < PEERS_MAX)
        return true;
    for (uint32_t i = 0; i < node->n_peers; i++) {
        struct peer *peer = &node->peers[i];
        if (!peer->member && (oldest == NULL || peer->last_ms < oldest->last_ms))
            oldest = peer;
    }
    if (oldest == NULL)
        return false;
    forget(node, oldest);
    return true;
}

static struct peer *add_peer(struct node *node, raft_id id, const char *raft_addr)
{
    if (!make_room(node))
        return NULL;
    struct peer *peer = &node->peers[node->n_peers++];
    *peer = (struct peer){ .id = id, .last_ms = node_now(node) };
    identity_load(node, peer);
    set_address(node, peer, raft_addr);
    return peer;
}

static void meet_members(struct node *node, const struct configuration *configuration)
{
    for (uint32_t i = 0; i < configuration->members.n; i++) {
        raft_id id = configuration->members.at[i].id;
        if (id == node->config.identity.id)
            continue;
        struct peer *peer = node_peer(node, id);
        if (peer == NULL && (peer = add_peer(node, id, configuration->raft_addr[i])) == NULL)
            continue;
        if (!peer->member && !peer->moved && peer->raft_addr[0] == '\0')
            set_address(node, peer, configuration->raft_addr[i]);
        peer->member = true;
    }
}

/* The latest configuration has the first word, also about the place at a full table. */
static void update_peers(struct node *node)
{
    bool was[PEERS_MAX];
    raft_id ids[PEERS_MAX];
    uint32_t n = node->n_peers;
    for (uint32_t i = 0; i < n; i++) {
        was[i] = node->peers[i].member;
        ids[i] = node->peers[i].id;
        node->peers[i].member = false;
    }
    for (uint32_t i = node->n_configs; i-- > 0;)
        meet_members(node, &node->configs[i].configuration);
    for (uint32_t i = 0; i < n; i++) {
        struct peer *peer = node_peer(node, ids[i]);
        if (was[i] && peer != NULL && !peer->member)
            peer->last_ms = node_now(node);
    }
}

struct peer *configs_stranger(struct node *node, raft_id id, const char *raft_addr)
{
    struct peer *peer = add_peer(node, id, raft_addr);
    if (peer != NULL)
        log_info("a node that is not known here calls", "peer=%016" PRIx64 " raft_addr=%s", id,
                 raft_addr);
    return peer;
}

/* Where somebody really is, nobody knows better than it. */
void configs_heard_address(struct node *node, struct peer *peer, const char *raft_addr)
{
    if (strcmp(peer->raft_addr, raft_addr) == 0)
        return;
    log_info("a peer has moved", "peer=%016" PRIx64 " from=%s to=%s", peer->id, peer->raft_addr,
             raft_addr);
    peer->moved = true;
    set_address(node, peer, raft_addr);
}

/* What was announced through the log, a follower may not have heard from the mover itself. */
static void take_announced(struct node *node)
{
    struct member_info announced[MEMBERS_MAX];
    uint32_t n = statemachine_members(node->sm, announced);
    for (uint32_t i = 0; i < n; i++) {
        struct peer *peer = node_peer(node, announced[i].id);
        char raft_addr[ADDRESS_MAX + 1];
        if (peer == NULL || peer->moved || announced[i].raft_addr.size > ADDRESS_MAX)
            continue;
        memcpy(raft_addr, announced[i].raft_addr.data, announced[i].raft_addr.size);
        raft_addr[announced[i].raft_addr.size] = '\0';
        set_address(node, peer, raft_addr);
    }
}

/* Where a member is reached, as far as it is known here. */
const char *configs_address(struct node *node, const struct configuration *configuration, uint32_t i)
{
    raft_id id = configuration->members.at[i].id;
    const struct peer *peer = node_peer(node, id);
    if (id == node->config.identity.id)
        return node->config.identity.raft_addr;
    return peer != NULL ? peer->raft_addr : configuration->raft_addr[i];
}

void configs_sweep(struct node *node, uint64_t now_ms)
{
    take_announced(node);
    for (uint32_t i = node->n_peers; i-- > 0;)
        if (!node->peers[i].member && now_ms >= node->peers[i].last_ms + PEER_FORGET_MS)
            forget(node, &node->peers[i]);
}

/* ---- the list */

static void append(struct node *node, raft_index index, const struct configuration *configuration)
{
    node->configs = memory_grow(node->configs, node->n_configs + 1, sizeof *node->configs);
    node->configs[node->n_configs++] = (struct config_at){ index, *configuration };
}

void configs_push(struct node *node, raft_index index, const struct configuration *configuration)
{
    append(node, index, configuration);
    update_peers(node);
}

void configs_truncate(struct node *node, raft_index first)
{
    uint32_t before = node->n_configs;
    while (node->n_configs > 1 && node->configs[node->n_configs - 1].index >= first)
        node->n_configs--;
    if (node->n_configs < before)
        update_peers(node);
}

void configs_applied(struct node *node, raft_index index)
{
    uint32_t drop = 0;
    while (drop + 1 < node->n_configs && node->configs[drop + 1].index <= index)
        drop++;
    node->n_configs -= drop;
    memmove(node->configs, node->configs + drop, node->n_configs * sizeof *node->configs);
    if (drop > 0)
        update_peers(node);
}

void configs_install(struct node *node, raft_index index, const struct configuration *configuration,
                     bool keep)
{
    if (keep)
        configs_applied(node, index);
    else
        node->n_configs = 1;
    node->configs[0] = (struct config_at){ index, *configuration };
    update_peers(node);
}

void configs_installed(struct node *node)
{
    struct config_at base;
    if (!statemachine_configuration(node->sm, &base.configuration, &base.index))
        return;
    configs_applied(node, statemachine_applied(node->sm));
    node->configs[0] = base;
    update_peers(node);
    members_check_removed(node);
}

void configs_complete(struct node *node, const struct raft_members *members,
                      struct configuration *out)
{
    const struct configuration *sources[] = { &node->wanted, configs_current(node) };
    memset(out, 0, sizeof *out);
    out->members = *members;
    for (uint32_t i = 0; i < members->n; i++) {
        bool learner = !members->at[i].voter && !members->at[i].leaving;
        int k = -1;
        for (size_t s = 0; s < 2 && k < 0; s++) {
            k = configuration_place(sources[s], members->at[i].id);
            if (k < 0)
                continue;
            snprintf(out->raft_addr[i], sizeof out->raft_addr[i], "%s",
                     configs_address(node, sources[s], (uint32_t)k));
            out->stays[i] = learner && sources[s]->stays[k];
            out->replaces[i] = learner ? sources[s]->replaces[k] : 0;
        }
        ASSERT(k >= 0);
    }
}

void configs_log(const struct node *node)
{
    const struct raft_members *members = &configs_current(node)->members;
    uint32_t voters = 0;
    for (uint32_t i = 0; i < members->n; i++)
        voters += members->at[i].voter;
    log_info("the members change", "index=%" PRIu64 " voters=%u members=%u joint=%s",
             node->configs[node->n_configs - 1].index, voters, members->n,
             members->joint ? "yes" : "no");
}

/* ---- birth */

struct collection {
    struct node *node;
    raft_index next;
};

static bool collect(void *arg, raft_index index, struct slice bytes)
{
    struct collection *collection = arg;
    struct record record;
    struct configuration configuration;
    if (record_decode(index, bytes, &record) == OK && record.kind == RAFT_MEMBERS &&
        configuration_decode(record.payload, &configuration) == OK)
        append(collection->node, index, &configuration);
    collection->next = index + 1;
    return true;
}

static void told_configuration(const struct node_config *config, struct configuration *out)
{
    memset(out, 0, sizeof *out);
    out->members.n = config->n_members;
    for (uint32_t i = 0; i < config->n_members; i++) {
        out->members.at[i] = (struct raft_member){ .id = config->members[i].id,
                                                   .voter = !config->members[i].learner };
        memcpy(out->raft_addr[i], config->members[i].raft_addr, sizeof out->raft_addr[i]);
    }
}

enum err configs_boot(struct node *node, raft_index first, raft_index last, char *message)
{
    struct config_at base;
    raft_index applied = statemachine_applied(node->sm);
    if (!statemachine_configuration(node->sm, &base.configuration, &base.index)) {
        told_configuration(&node->config, &base.configuration);
        base.index = 0;
        if (!configuration_valid(&base.configuration)) {
            snprintf(message, STORAGE_MESSAGE_MAX,
                     "this node does not know its cluster yet: name a member with --join");
            return ERR_NOT_FOUND;
        }
        statemachine_bootstrap(node->sm, &base.configuration);
    }
    append(node, base.index, &base.configuration);
    struct collection collection = { node, applied + 1 > first ? applied + 1 : first };
    if (collection.next > last)
        return OK;
    enum err err = node->log->ops->read(node->log, collection.next, collect, &collection);
    if (err != OK)
        snprintf(message, STORAGE_MESSAGE_MAX, "log entry %" PRIu64 " cannot be read: %s",
                 collection.next, err_text(err));
    return err;
}

void configs_start(struct node *node)
{
    update_peers(node);
}

struct raft_config_at *configs_for_boot(const struct node *node, uint32_t *n)
{
    *n = node->n_configs - 1;
    struct raft_config_at *out = memory_new_array(*n + 1, sizeof *out);
    for (uint32_t i = 0; i < *n; i++)
        out[i] = (struct raft_config_at){ node->configs[i + 1].index,
                                          node->configs[i + 1].configuration.members };
    return out;
}

void configs_fini(struct node *node)
{
    free(node->configs);
}
