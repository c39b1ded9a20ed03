/* snapshot_install.c - a fetched and verified snapshot replaces the state and the log.
 *
 * The order is what makes a crash harmless: the core agrees; one write of the log erases what the
 * snapshot covers and says that it is to be installed; when that is durable the state store swaps;
 * then the state machine is opened anew.  From the first of these on nothing is applied or flushed:
 * what would be applied next is inside the snapshot.  The old state is read until the swap. */
#include "node_private.h"

#include <inttypes.h>
#include <stdio.h>

bool fetch_installing(const struct node *node)
{
    return node->fetch.phase >= FETCH_SAVING;
}

/* The core agrees, or holds as much already. */
void install_verified(struct node *node)
{
    struct fetch *fetch = &node->fetch;
    const struct raft_members members =
        fetch->members_told ? fetch->configuration.members : *raft_members(node->raft, NULL, NULL);
    struct raft_event event = { .type = RAFT_INSTALLED };
    event.installed.last = fetch->info.index;
    event.installed.last_term = fetch->info.term;
    event.installed.members = &members;
    fetch->ticket = 0;
    enum raft_status status = RAFT_INVALID;
    if (fetch->info.index > statemachine_applied(node->sm))
        status = core_step(node, &event, &(struct source){ 0 });
    if (status != RAFT_OK || fetch->ticket == 0) {
        log_info("a fetched snapshot is not needed any more", "index=%" PRIu64, fetch->info.index);
        fetch_drop(node);
        return;
    }
    fetch->phase = FETCH_SAVING;
    fetch->asked_ms = node_now(node);
    install_pump(node);
}

/* Called while the core's update is carried out: the log's write gets what belongs to it. */
void install_save(struct node *node, struct log_job *job)
{
    const struct raft_update *u = &node->update;
    job->base = u->save.base;
    job->base_term = u->save.base_term;
    snprintf(job->meta[0].key, META_KEY_MAX, "install");
    snprintf(job->meta[0].text, META_TEXT_MAX, "%" PRIu64 " %" PRIu64, u->save.base,
             u->save.base_term);
    if (!u->save.keep) {
        job->first = u->save.base + 1;
        tail_truncate(&node->tail, 0);
        node->tail.first = job->first;
        if (job->first <= node->durable)
            node->durable = job->first - 1;
    }
    if (node->fetch.members_told)
        configs_install(node, u->save.base, &node->fetch.configuration, u->save.keep);
    node->fetch.ticket = u->ticket;
}

static void on_installed(void *arg)
{
    struct node *node = arg;
    struct fetch *fetch = &node->fetch;
    uint64_t revision = statemachine_revision(node->sm);
    statemachine_free(node->sm);
    node->sm = NULL;
    enum err err = statemachine_new(node->state, &node->sm);
    if (err != OK || statemachine_applied(node->sm) != fetch->info.index ||
        statemachine_revision(node->sm) < revision)
        panic(err == ERR_IO ? EXIT_STATUS_IO : EXIT_STATUS_CORRUPT,
              "the installed snapshot cannot be read: %s; this node stops, its data is left as it "
              "is; replace this member by a new one with an empty --data-dir",
              err != OK ? err_text(err) : "it is not what was verified");
    configs_installed(node);
    memset(node->digests.newest, 0, sizeof node->digests.newest); /* of the state before */
    memset(node->digests.asked, 0, sizeof node->digests.asked);
    digest_init(node);
    node->flush_job = NULL;
    node->flush_applied = 0;
    node->flushed_ms = node->applied_ms = node_now(node);
    uint64_t ms = node->flushed_ms - fetch->begun_ms;
    node->stats.snapshots_installed++;
    node->stats.snapshot_ms += ms;
    log_info("installed a snapshot", "from=%016" PRIx64 " index=%" PRIu64 " bytes=%" PRIu64
             " ms=%" PRIu64 " revision=%" PRIu64, fetch->from, fetch->info.index, fetch->info.size,
             ms, statemachine_revision(node->sm));
    compact_init(node, raft_first_index(node->raft) - 1, fetch->info.term);
    fetch->rest_ms = fetch->next_ms = 0;
    fetch_reset(node);
    writes_jumped(node, statemachine_applied(node->sm));
    reads_applied(node);
    node_wake(node);
}

void install_pump(struct node *node)
{
    struct fetch *fetch = &node->fetch;
    if (fetch->phase != FETCH_SAVING)
        return;
    bool durable = fetch->ticket <= node->durable_ticket || mutant("install-before-row-durable");
    if (!durable || node->flush_submitted)
        return;
    fetch->phase = FETCH_INSTALLING;
    node->state->ops->install(node->state, on_installed, node);
}
