/* server_identity.c - who this node is.  Every node computes the same first configuration from
 * the raft addresses alone, without talking. */
#include "server_process.h"

#include <holdfast/clock.h>

#include <stdlib.h>
#include <string.h>

static int by_address(const void *a, const void *b)
{
    const struct node_peer *first = a, *second = b;
    return strcmp(first->raft_addr, second->raft_addr);
}

static void add_member(struct node_config *config, const char *raft_addr)
{
    struct node_peer *member = &config->members[config->n_members++];
    member->id = id_of_address(raft_addr);
    memcpy(member->raft_addr, raft_addr, strlen(raft_addr) + 1);
}

static bool join_members(struct node_config *config, char *why)
{
    char *out = config->identity.members;
    size_t used = 0;
    for (uint32_t i = 0; i < config->n_members; i++) {
        int printed = snprintf(out + used, META_TEXT_MAX - used, "%s%s", i > 0 ? "," : "",
                               config->members[i].raft_addr);
        if (printed < 0 || (size_t)printed >= META_TEXT_MAX - used) {
            snprintf(why, WHY_MAX, "the members' raft addresses have more than %d bytes together: "
                     "use shorter names or IP addresses", META_TEXT_MAX - 1);
            return false;
        }
        used += (size_t)printed;
    }
    return true;
}

static bool ids_differ(const struct node_config *config, char *why)
{
    for (uint32_t i = 0; i < config->n_members; i++) {
        for (uint32_t j = i + 1; j < config->n_members; j++) {
            if (config->members[i].id == config->members[j].id) {
                snprintf(why, WHY_MAX, "the addresses %s and %s give the same node id: change one",
                         config->members[i].raft_addr, config->members[j].raft_addr);
                return false;
            }
        }
    }
    return true;
}

bool server_identity(struct process *process, char *why)
{
    const struct options *options = &process->options;
    struct node_config *config = &process->config;
    struct identity *identity = &config->identity;

    add_member(config, options->raft_addr);
    for (uint32_t i = 0; i < options->peers.n; i++)
        add_member(config, options->peers.at[i]);
    qsort(config->members, config->n_members, sizeof config->members[0], by_address);
    if (!join_members(config, why) || !ids_differ(config, why))
        return false;

    raft_id ids[MEMBERS_MAX];
    for (uint32_t i = 0; i < config->n_members; i++)
        ids[i] = config->members[i].id;
    identity->cluster = cluster_id_of(ids, config->n_members);
    identity->id = id_of_address(options->raft_addr);
    memcpy(identity->name, options->id, sizeof identity->name);
    memcpy(identity->raft_addr, options->raft_addr, sizeof identity->raft_addr);

    memcpy(config->http_addr, options->http_addr, sizeof config->http_addr);
    config->election_min_ms = (uint32_t)options->election_min_ms;
    config->election_max_ms = (uint32_t)options->election_max_ms;
    config->heartbeat_ms = (uint32_t)options->heartbeat_ms;
    config->batch_entries = (uint32_t)options->batch_entries;
    config->flush_ms = (uint32_t)options->flush_ms;
    config->log_keep = options->log_keep;
    config->log_keep_bytes = LOG_KEEP_BYTES_MAX;
    config->snapshot_rate = options->snapshot_rate;
    config->pending_bytes_max = PENDING_BYTES_MAX;
    config->pre_vote = config->check_quorum = true;
    random_bytes(&config->seed, sizeof config->seed);
    return true;
}
