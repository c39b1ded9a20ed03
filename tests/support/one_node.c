/* one_node.c - the runner of a single node: clock, stores, no peers. */
#include "one_node.h"

#include <holdfast/clock.h>
#include <holdfast/log.h>

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

struct one_node {
    struct node *node;
    struct memory_disk *disk;
    struct log_store *log;
    struct state_store *state;
    struct network network;
    bool wake, storage;
};

static uint64_t now_ms(void *arg)
{
    (void)arg;
    return clock_monotonic_ms();
}

static uint64_t now_us(void *arg)
{
    (void)arg;
    return clock_monotonic_us();
}

static uint64_t wall_ms(void *arg)
{
    (void)arg;
    return clock_wall_ms();
}

static void wake(void *arg)
{
    struct one_node *one = arg;
    one->wake = true;
}

static void storage_wake(void *arg)
{
    struct one_node *one = arg;
    one->storage = true;
}

static void refused(void *arg, const char *why)
{
    (void)arg;
    ck_abort_msg("refused: %s", why);
}

static void send_nothing(struct network *network, raft_id to, enum lane lane, bool answer,
                         struct blob *frame)
{
    (void)network, (void)to, (void)lane, (void)answer;
    blob_unref(frame);
}

static void set_no_peer(struct network *network, raft_id id, const char *address)
{
    (void)network, (void)id, (void)address;
}

static void forget_no_peer(struct network *network, raft_id id)
{
    (void)network, (void)id;
}

struct one_node *one_node_new(void)
{
    static const struct network_ops ops = { send_nothing, set_no_peer, forget_no_peer };
    struct one_node *one = memory_new(sizeof *one);
    struct node_host host = { .now_ms = now_ms,
                              .now_us = now_us,
                              .wall_ms = wall_ms,
                              .wake = wake,
                              .refused = refused,
                              .arg = one };
    struct storage_options storage = { .wake = storage_wake, .wake_arg = one };
    struct node_config config = { .http_addr = "node1.example:8001",
                                  .n_members = 1,
                                  .election_min_ms = 20,
                                  .election_max_ms = 40,
                                  .heartbeat_ms = 5,
                                  .batch_entries = 100,
                                  .flush_ms = 20,
                                  .log_keep = UINT64_MAX,
                                  .log_keep_bytes = UINT64_MAX,
                                  .pending_bytes_max = 64 * 1024 * 1024,
                                  .seed = 1,
                                  .pre_vote = true,
                                  .check_quorum = true };
    char message[STORAGE_MESSAGE_MAX];

    log_setup(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT, "node1");
    one->network.ops = &ops;
    snprintf(config.identity.name, sizeof config.identity.name, "node1");
    snprintf(config.identity.raft_addr, sizeof config.identity.raft_addr, "node1.example:9001");
    config.identity.id = id_of_address("node1.example:9001");
    config.identity.cluster = cluster_id_of(&config.identity.id, 1);
    config.members[0].id = config.identity.id;
    snprintf(config.members[0].raft_addr, sizeof config.members[0].raft_addr, "node1.example:9001");
    one->disk = memory_disk_new(&config.identity);
    one->log = log_memory_open(one->disk, &storage);
    one->state = state_memory_open(one->disk, &storage);
    enum err err =
        node_new(&config, &host, one->log, one->state, NULL, &one->network, &one->node, message);
    ck_assert_msg(err == OK, "%s", message);
    return one;
}

void one_node_free(struct one_node *one)
{
    one->log->ops->close(one->log);
    one->state->ops->close(one->state);
    node_free(one->node);
    memory_disk_free(one->disk);
    free(one);
}

static void turn(void *arg)
{
    struct one_node *one = arg;
    for (unsigned i = 0; i < 100; i++) {
        if (one->storage) {
            one->storage = false;
            node_on_storage(one->node);
        } else if (one->wake || clock_monotonic_ms() >= node_deadline(one->node)) {
            one->wake = false;
            node_run(one->node);
        } else {
            break;
        }
    }
}

struct rest_backend one_node_backend(struct one_node *one)
{
    return (struct rest_backend) { one->node, turn, one };
}

struct node *one_node_node(struct one_node *one)
{
    return one->node;
}

void one_node_hold_disk(struct one_node *one, bool held)
{
    memory_disk_hold(one->disk, held);
    while (!held && (memory_disk_write(one->disk, false) || memory_disk_write(one->disk, true)))
        ;
}

bool one_node_damage(struct one_node *one, const char *key)
{
    return memory_disk_corrupt_state(one->disk, TABLE_KV, slice_text(key), 100);
}
