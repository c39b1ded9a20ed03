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

void server_data_path(const struct options *options, char *out, size_t size)
{
    snprintf(out, size, "%s/%s", options->data_dir, options->id);
}

static void take_settings(struct process *process)
{
    const struct options *options = &process->options;
    struct node_config *config = &process->config;
    memcpy(config->http_addr, options->http_addr, sizeof config->http_addr);
    config->election_min_ms = (uint32_t)options->election_min_ms;
    config->election_max_ms = (uint32_t)options->election_max_ms;
    config->heartbeat_ms = (uint32_t)options->heartbeat_ms;
    config->batch_entries = (uint32_t)options->batch_entries;
    config->flush_ms = (uint32_t)options->flush_ms;
    config->log_keep = options->log_keep;
    config->log_keep_bytes = LOG_KEEP_BYTES_MAX;
    config->quota = options->quota;
    config->snapshot_rate = options->snapshot_rate;
    config->pending_bytes_max = PENDING_BYTES_MAX;
    config->pre_vote = config->check_quorum = true;
    random_bytes(&config->seed, sizeof config->seed);
}

/* Whom the directory names: the node may have died before it wrote down more.  They are asked again
 * by who joined, and are the first members of who began the cluster. */
static void use_stored_members(struct process *process)
{
    struct identity *identity = &process->config.identity;
    struct address_list *join = &process->options.join;
    bool joined = server_has_joined(identity);
    const char *at = joined ? strchr(identity->members, ' ') + 1 : identity->members;
    while (*at != '\0') {
        char address[ADDRESS_MAX + 1];
        size_t size = strcspn(at, ",");
        snprintf(address, sizeof address, "%.*s", (int)size, at);
        if (!joined && process->config.n_members < VOTERS_MAX)
            add_member(&process->config, address);
        if (joined && join->n < VOTERS_MAX && address_valid(slice_text(address)))
            memcpy(join->at[join->n++], address, sizeof address);
        at += size + (at[size] == ',');
    }
}

/* A directory that belongs to a cluster already says who this node is; a node that joins and has
 * none is told.  *known: so it was; else the first configuration says it. */
static bool join_identity(struct process *process, bool *known, char *why)
{
    const struct options *options = &process->options;
    struct identity *identity = &process->config.identity;
    bool discovers = options->discover.kind != DISCOVER_NOT;
    char path[OPTION_PATH_MAX + NODE_NAME_MAX + 2], message[STORAGE_MESSAGE_MAX];
    enum err err = ERR_NOT_FOUND;
    server_data_path(options, path, sizeof path);
    if (options->storage == STORAGE_LMDB)
        err = data_directory_identity(path, identity, message);
    if (err != OK && err != ERR_NOT_FOUND) {
        snprintf(why, WHY_MAX, "%s", message);
        return false;
    }
    *known = err == OK && (options->join.n > 0 || discovers ||
                           (options->peers.n == 0 && server_has_joined(identity)));
    if (*known && strcmp(identity->name, options->id) != 0) {
        snprintf(why, WHY_MAX, "the data directory %.200s belongs to the node named %s, not to %s", path,
                 identity->name, options->id);
        return false;
    }
    if (*known) {
        memcpy(process->stored_raft_addr, identity->raft_addr, sizeof identity->raft_addr);
        if (discovers)
            use_stored_members(process);
        return true;
    }
    memset(identity, 0, sizeof *identity);
    if (options->join.n == 0 && !discovers)
        return true;
    *known = true;
    process->must_join = !discovers;
    process->must_discover = discovers;
    memcpy(identity->name, options->id, sizeof identity->name);
    memcpy(identity->raft_addr, options->raft_addr, sizeof identity->raft_addr);
    memcpy(process->stored_raft_addr, options->raft_addr, sizeof options->raft_addr);
    return true;
}

bool server_begin(struct process *process, char *why)
{
    const struct options *options = &process->options;
    struct node_config *config = &process->config;
    struct identity *identity = &config->identity;

    config->n_members = 0;
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
    memcpy(process->stored_raft_addr, options->raft_addr, sizeof options->raft_addr);
    return true;
}

bool server_identity(struct process *process, char *why)
{
    bool known;
    take_settings(process);
    return join_identity(process, &known, why) && (known || server_begin(process, why));
}
