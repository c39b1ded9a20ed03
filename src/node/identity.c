/* identity.c - who the peers are: each data directory has an incarnation, drawn at its birth; the
 * first one seen under an id is recorded durably and no other is accepted (RULE: identity).  So a
 * node whose disk was wiped cannot come back under its old id and vote twice (B37). */
#include "node_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* Refusals begin with a word that the refused node understands. */
static const char REPLACED[] = "replaced", REMOVED[] = "removed";

static void peer_key(raft_id id, char out[META_KEY_MAX])
{
    snprintf(out, META_KEY_MAX, "peer.%016" PRIx64, id);
}

static void to_hex(const unsigned char *bytes, char out[2 * INCARNATION_SIZE + 1])
{
    for (size_t i = 0; i < INCARNATION_SIZE; i++)
        snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

static bool from_hex(const char *text, unsigned char *out)
{
    if (strlen(text) != 2 * INCARNATION_SIZE)
        return false;
    for (size_t i = 0; i < INCARNATION_SIZE; i++) {
        unsigned byte;
        if (sscanf(text + 2 * i, "%2x", &byte) != 1)
            return false;
        out[i] = (unsigned char)byte;
    }
    return true;
}

void identity_load(struct node *node, struct peer *peer)
{
    char key[META_KEY_MAX], text[META_TEXT_MAX];
    peer_key(peer->id, key);
    if (node->log->ops->meta_get(node->log, key, text) == OK)
        peer->incarnation_known = from_hex(text, peer->incarnation);
}

static void record_first(struct node *node, struct peer *peer, const struct envelope *envelope)
{
    memcpy(peer->incarnation, envelope->incarnation, INCARNATION_SIZE);
    peer->incarnation_saving = true;
    char key[META_KEY_MAX], text[META_TEXT_MAX];
    peer_key(peer->id, key);
    to_hex(peer->incarnation, text);
    log_info("met a peer", "peer=%016" PRIx64 " raft_addr=%s", peer->id, peer->raft_addr);
    core_save_meta(node, key, text);
}

static void removed_saved(struct node *node, const char *why)
{
    if (node->host.removed != NULL)
        node->host.removed(node->host.arg, why);
    else
        node->host.refused(node->host.arg, why);
}

void identity_saved(struct node *node, const struct log_job *job)
{
    if (strcmp(job->meta[0].key, "removed") == 0) {
        removed_saved(node, job->meta[0].text);
        return;
    }
    for (uint32_t i = 0; i < node->n_peers; i++) {
        char key[META_KEY_MAX];
        peer_key(node->peers[i].id, key);
        if (job->n_meta == 1 && strcmp(job->meta[0].key, key) == 0) {
            node->peers[i].incarnation_saving = false;
            node->peers[i].incarnation_known = true;
        }
    }
}

bool identity_may_log(struct peer *peer, uint64_t now_ms)
{
    if (peer->refusal_logged_ms != 0 && now_ms < peer->refusal_logged_ms + 10000)
        return false;
    peer->refusal_logged_ms = now_ms;
    return true;
}

static enum verdict refuse_cluster(struct node *node, const struct envelope *envelope, char *why)
{
    const struct identity *own = &node->config.identity;
    snprintf(why, REFUSAL_MAX,
             "node %s is in cluster %016" PRIx64 " with the members %s; your cluster is %016" PRIx64
             ": start all nodes with the same set of raft addresses (--raft-addr and --peers)",
             own->name, own->cluster, own->members, envelope->cluster);
    struct peer *peer = node_peer(node, envelope->from);
    if (identity_may_log(peer != NULL ? peer : &node->stranger, node_now(node)))
        log_error("a node of another cluster calls here",
                  "from=%016" PRIx64 " its_cluster=%016" PRIx64 " own_cluster=%016" PRIx64
                  " own_members=%s",
                  envelope->from, envelope->cluster, own->cluster, own->members);
    return VERDICT_REFUSED;
}

/* Somebody of this cluster whom no configuration here names.  It may know a later one, and be the
 * leader of it: "servers process incoming RPC requests without consulting their current
 * configurations" (thesis 4.1); or it was removed and does not know (B10). */
static enum verdict meet_stranger(struct node *node, const struct envelope *envelope, char *why,
                                  struct peer **out)
{
    *out = NULL;
    if (statemachine_was_removed(node->sm, envelope->from)) {
        snprintf(why, REFUSAL_MAX, "%s: this node was removed from the cluster %016" PRIx64, REMOVED,
                 node->config.identity.cluster);
        return VERDICT_REFUSED;
    }
    if (envelope->raft_addr == NULL) {
        snprintf(why, REFUSAL_MAX, "node %016" PRIx64 " is no member here", envelope->from);
        return VERDICT_REFUSED;
    }
    *out = configs_stranger(node, envelope->from, envelope->raft_addr);
    return VERDICT_LATER;
}

enum verdict identity_check(struct node *node, const struct envelope *envelope, char *why)
{
    const struct identity *own = &node->config.identity;
    if (envelope->cluster != own->cluster)
        return refuse_cluster(node, envelope, why);
    if (envelope->to != own->id) {
        snprintf(why, REFUSAL_MAX, "this is node %s (%016" PRIx64 "), not %016" PRIx64, own->name,
                 own->id, envelope->to);
        return VERDICT_REFUSED;
    }
    struct peer *peer = node_peer(node, envelope->from);
    if (peer == NULL || (!peer->member && statemachine_was_removed(node->sm, peer->id))) {
        enum verdict verdict = meet_stranger(node, envelope, why, &peer);
        if (peer == NULL)
            return verdict;
    }
    peer->last_ms = node_now(node);
    if (!peer->incarnation_known) {
        if (!peer->incarnation_saving)
            record_first(node, peer, envelope);
        return VERDICT_LATER;
    }
    if (memcmp(peer->incarnation, envelope->incarnation, INCARNATION_SIZE) != 0 &&
        !mutant("wiped-disk-accepted")) {
        snprintf(why, REFUSAL_MAX,
                 "%s: the node at %s was first seen with another data directory; a wiped or "
                 "swapped directory must not come back under its old address, since it could vote "
                 "twice: restore the old directory, or replace the member by one with a new address",
                 REPLACED, peer->raft_addr);
        if (identity_may_log(peer, node_now(node)))
            log_error("a peer came back with another data directory and is refused",
                      "peer=%016" PRIx64 " raft_addr=%s", peer->id, peer->raft_addr);
        return VERDICT_REFUSED;
    }
    if (envelope->raft_addr != NULL)
        configs_heard_address(node, peer, envelope->raft_addr);
    return VERDICT_ACCEPTED;
}

void identity_refused(void *arg, raft_id from, const char *why)
{
    struct node *node = arg;
    struct peer *peer = node_peer(node, from);
    bool removed = strncmp(why, REMOVED, strlen(REMOVED)) == 0;
    /* At the address of a former member may be another one now. */
    if (peer != NULL && peer->member && !removed && identity_may_log(peer, node_now(node)))
        log_error("a peer refuses this node",
                  "peer=%s own_cluster=%016" PRIx64 " own_members=%s why=\"%s\"", peer->raft_addr,
                  node->config.identity.cluster, node->config.identity.members, why);
    if (strncmp(why, REPLACED, strlen(REPLACED)) == 0)
        node->host.refused(node->host.arg, why);
    else if (removed)
        members_note_removed(node, why + strlen(REMOVED) + 2);
}
