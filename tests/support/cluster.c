/* cluster.c - see cluster.h. */
#include "tests/support/cluster.h"

#include <holdfast/panic.h>

#include <stdio.h>
#include <stdlib.h>

struct packet {
    TAILQ_ENTRY(packet) link;
    uint64_t at_ms;
    uint32_t from, to;
    enum lane lane;
    bool alone; /* it has no duplicate */
    struct blob *body;
};
TAILQ_HEAD(packets, packet);

enum { QUEUE_LOG, QUEUE_STATE, QUEUE_SNAPSHOT, DISK_QUEUES };

struct outgoing { /* frames of one turn to one peer on one lane */
    struct blob *frames[512];
    uint32_t n;
};

struct member {
    struct network network; /* first: the ops find the member by it */
    struct cluster *cluster;
    uint32_t self;
    struct memory_disk *disk;
    struct identity identity;
    struct log_store *log;
    struct state_store *state;
    struct snapshot_store *snapshots;
    struct node *node;
    struct network_events events;
    bool woken, storage_woken, held;
    uint64_t disk_at_ms[DISK_QUEUES]; /* when the oldest job of each is done; 0: none */
    struct outgoing out[CLUSTER_NODES_MAX][LANES];
    char refused[REFUSAL_MAX], removed[REFUSAL_MAX];
    bool joined; /* it was told the members, when it joined: */
    struct node_peer told[MEMBERS_MAX];
    uint32_t n_told;
    char moved_to[ADDRESS_MAX + 1];
    uint32_t lives;
};

struct cluster {
    struct cluster_options options;
    uint64_t now_ms, random;
    uint32_t looks; /* at the clock */
    struct member members[CLUSTER_NODES_MAX];
    struct node_peer peers[CLUSTER_NODES_MAX];
    struct packets packets;
    uint32_t n_first; /* members of the first configuration */
    bool cut[CLUSTER_NODES_MAX][CLUSTER_NODES_MAX];
};

static uint64_t draw(struct cluster *cluster) /* splitmix64 */
{
    uint64_t z = cluster->random += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static uint64_t between(struct cluster *cluster, uint64_t low, uint64_t high)
{
    return low + draw(cluster) % (high - low + 1);
}

/* ---- the host */

static uint64_t now_ms(void *arg)
{
    struct cluster *cluster = ((struct member *)arg)->cluster;
    if (cluster->options.slow_turns > 0 && ++cluster->looks % cluster->options.slow_turns == 0)
        cluster->now_ms++;
    return cluster->now_ms;
}

static uint64_t now_us(void *arg)
{
    return 1000 * now_ms(arg);
}

static uint64_t wall_ms(void *arg)
{
    return 1700000000000 + now_ms(arg);
}

static void wake(void *arg)
{
    ((struct member *)arg)->woken = true;
}

static void storage_wake(void *arg)
{
    ((struct member *)arg)->storage_woken = true;
}

static void on_refused(void *arg, const char *why)
{
    struct member *member = arg;
    snprintf(member->refused, sizeof member->refused, "%s", why);
}

static void on_removed(void *arg, const char *why)
{
    struct member *member = arg;
    snprintf(member->removed, sizeof member->removed, "%s", why);
}

/* ---- the network */

static uint32_t place_of(struct cluster *cluster, raft_id id)
{
    uint32_t i = 0;
    while (i < cluster->options.n && cluster->peers[i].id != id)
        i++;
    return i;
}

static void net_send(struct network *network, raft_id to, enum lane lane, bool answer,
                     struct blob *frame)
{
    struct member *member = (struct member *)network;
    uint32_t place = place_of(member->cluster, to);
    struct outgoing *out = &member->out[place % CLUSTER_NODES_MAX][lane];
    (void)answer;
    if (out->n == 512 || place == member->cluster->options.n)
        blob_unref(frame);
    else
        out->frames[out->n++] = frame;
    member->woken = true; /* leaves at the end of the turn */
}

static void net_set_peer(struct network *network, raft_id id, const char *address)
{
    (void)network, (void)id, (void)address;
}

static void net_forget_peer(struct network *network, raft_id id)
{
    (void)network, (void)id;
}

static const struct network_ops net_ops = { net_send, net_set_peer, net_forget_peer };

static void enqueue(struct cluster *cluster, struct packet *packet)
{
    struct packet *other;
    TAILQ_FOREACH (other, &cluster->packets, link)
        if (other->at_ms > packet->at_ms)
            break;
    if (other != NULL)
        TAILQ_INSERT_BEFORE(other, packet, link);
    else
        TAILQ_INSERT_TAIL(&cluster->packets, packet, link);
}

static struct blob *make_body(struct member *member, uint32_t to, struct outgoing *out)
{
    struct cluster *cluster = member->cluster;
    struct envelope envelope = { .cluster = member->identity.cluster,
                                 .from = member->identity.id,
                                 .to = cluster->peers[to].id,
                                 .n_frames = out->n };
    memcpy(envelope.incarnation, member->identity.incarnation, INCARNATION_SIZE);
    size_t size = ENVELOPE_SIZE;
    for (uint32_t i = 0; i < out->n; i++)
        size += out->frames[i]->size;
    struct blob *body = blob_new(size);
    envelope_encode(&envelope, body->data);
    unsigned char *at = body->data + ENVELOPE_SIZE;
    for (uint32_t i = 0; i < out->n; i++) {
        memcpy(at, out->frames[i]->data, out->frames[i]->size);
        at += out->frames[i]->size;
        blob_unref(out->frames[i]);
    }
    out->n = 0;
    return body;
}

static void post(struct member *member, uint32_t to, enum lane lane)
{
    struct cluster *cluster = member->cluster;
    const struct cluster_options *o = &cluster->options;
    struct blob *body = make_body(member, to, &member->out[to][lane]);
    uint32_t copies = draw(cluster) % 100 < o->duplicate_percent ? 2 : 1;
    bool alone = copies == 1;
    while (copies-- > 0) {
        struct packet *packet = memory_new(sizeof *packet);
        *packet = (struct packet){ .from = member->self, .to = to, .lane = lane, .alone = alone };
        packet->body = blob_ref(body);
        packet->at_ms = cluster->now_ms + between(cluster, o->delay_min_ms, o->delay_max_ms);
        enqueue(cluster, packet);
    }
    blob_unref(body);
}

static void tell_sender(struct member *from, struct member *to, const struct packet *packet)
{
    struct slice rest = slice_of(packet->body->data + ENVELOPE_SIZE,
                                 packet->body->size - ENVELOPE_SIZE);
    static struct frame_scratch scratch;
    struct frame frame;
    const unsigned char *at = rest.data;
    while (packet->alone && frame_decode(&rest, &scratch, &frame) == OK) {
        const unsigned char *end = rest.data;
        from->events.on_unsent(from->events.arg, to->identity.id, slice_of(at, (size_t)(end - at)));
        at = end;
    }
    from->events.on_unreachable(from->events.arg, to->identity.id, packet->lane);
}

static void deliver(struct cluster *cluster, struct packet *packet)
{
    struct member *from = &cluster->members[packet->from], *to = &cluster->members[packet->to];
    bool lost = cluster->cut[packet->from][packet->to] || to->node == NULL ||
                draw(cluster) % 100 < cluster->options.loss_percent;
    if (lost) {
        if (from->node != NULL && draw(cluster) % 2 == 0) /* sometimes the sender is told */
            tell_sender(from, to, packet);
        return;
    }
    struct envelope envelope;
    const char *reason;
    enum err err = envelope_decode(blob_slice(packet->body), &envelope, &reason);
    ASSERT(err == OK);
    envelope.raft_addr = from->identity.raft_addr;
    struct slice frames = slice_of(packet->body->data + ENVELOPE_SIZE,
                                   packet->body->size - ENVELOPE_SIZE);
    char why[REFUSAL_MAX] = "";
    enum verdict verdict = to->events.on_body(to->events.arg, &envelope, packet->body, frames, why);
    if (verdict == VERDICT_REFUSED && from->node != NULL)
        from->events.on_refused(from->events.arg, to->identity.id, why);
}

/* ---- lives */

static void start(struct cluster *cluster, uint32_t i)
{
    struct member *member = &cluster->members[i];
    struct storage_options storage = { .wake = storage_wake, .wake_arg = member,
                                       .log_map_bytes = cluster->options.log_map_bytes,
                                       .state_map_bytes = cluster->options.state_map_bytes };
    member->network.ops = &net_ops;
    member->log = log_memory_open(member->disk, &storage);
    member->state = state_memory_open(member->disk, &storage);
    member->snapshots = snapshot_memory_open(member->disk, &storage);
    memory_disk_identity(member->disk, &member->identity);
    if (member->moved_to[0] != '\0')
        memcpy(member->identity.raft_addr, member->moved_to, sizeof member->moved_to);
    struct node_config config = { .identity = member->identity,
                                  .n_members = member->joined ? member->n_told : cluster->n_first,
                                  .election_min_ms = 150,
                                  .election_max_ms = 300,
                                  .heartbeat_ms = 50,
                                  .batch_entries = 100,
                                  .flush_ms = 1000,
                                  .log_keep = cluster->options.log_keep > 0
                                                  ? cluster->options.log_keep : UINT64_MAX,
                                  .log_keep_bytes = UINT64_MAX,
                                  .snapshot_part = cluster->options.snapshot_part,
                                  .snapshot_rate = cluster->options.snapshot_rate,
                                  .pending_bytes_max = PENDING_BYTES_MAX,
                                  .seed = draw(cluster),
                                  .pre_vote = true,
                                  .check_quorum = true };
    snprintf(config.http_addr, sizeof config.http_addr, "http.test:%u", 8000 + i);
    memcpy(config.members, member->joined ? member->told : cluster->peers,
           config.n_members * sizeof config.members[0]);
    struct node_host host = { now_ms, now_us, wall_ms, wake, on_refused, on_removed, NULL,
                              member };
    char message[STORAGE_MESSAGE_MAX];
    member->refused[0] = '\0';
    enum err err = node_new(&config, &host, member->log, member->state, member->snapshots,
                            &member->network,
                            &member->node, message);
    ASSERT(err == OK);
    member->events = node_network_events(member->node);
    member->woken = true;
    member->lives++;
}

static void new_disk(struct cluster *cluster, uint32_t i)
{
    struct member *member = &cluster->members[i];
    struct identity identity = { .id = cluster->peers[i].id };
    raft_id ids[CLUSTER_NODES_MAX];
    for (uint32_t j = 0; j < cluster->n_first; j++)
        ids[j] = cluster->peers[j].id;
    identity.cluster = cluster_id_of(ids, cluster->n_first);
    snprintf(identity.name, sizeof identity.name, "node%u", i + 1);
    snprintf(identity.raft_addr, sizeof identity.raft_addr, "%s", cluster->peers[i].raft_addr);
    for (size_t k = 0; k < INCARNATION_SIZE; k++)
        identity.incarnation[k] = (unsigned char)draw(cluster);
    member->disk = memory_disk_new(&identity);
    memory_disk_hold(member->disk, true);
}

struct cluster *cluster_new(const struct cluster_options *options)
{
    ASSERT(options->n >= 1 && options->n <= CLUSTER_NODES_MAX);
    struct cluster *cluster = memory_new(sizeof *cluster);
    cluster->options = *options;
    cluster->random = options->seed;
    cluster->n_first = options->n;
    cluster->now_ms = 1000;
    TAILQ_INIT(&cluster->packets);
    for (uint32_t i = 0; i < options->n; i++) {
        snprintf(cluster->peers[i].raft_addr, sizeof cluster->peers[i].raft_addr, "raft.test:%u",
                 9000 + i);
        cluster->peers[i].id = id_of_address(cluster->peers[i].raft_addr);
    }
    for (uint32_t i = 0; i < options->n; i++) {
        cluster->members[i].cluster = cluster;
        cluster->members[i].self = i;
        new_disk(cluster, i);
        start(cluster, i);
    }
    return cluster;
}

uint32_t cluster_newcomer(struct cluster *cluster, uint32_t via)
{
    uint32_t i = cluster->options.n++;
    ASSERT(i < CLUSTER_NODES_MAX);
    struct member *member = &cluster->members[i];
    struct configuration first;
    cluster->peers[i].id = draw(cluster) | 1;
    snprintf(cluster->peers[i].raft_addr, sizeof cluster->peers[i].raft_addr, "raft.test:%u", 9000 + i);
    member->cluster = cluster;
    member->self = i;
    member->joined = true;
    bool known = node_first_members(cluster->members[via].node, &first);
    ASSERT(known);
    member->n_told = first.members.n;
    for (uint32_t k = 0; k < member->n_told; k++) {
        member->told[k] = (struct node_peer){ .id = first.members.at[k].id };
        memcpy(member->told[k].raft_addr, first.raft_addr[k], sizeof member->told[k].raft_addr);
    }
    new_disk(cluster, i);
    start(cluster, i);
    return i;
}

raft_id cluster_id(struct cluster *cluster, uint32_t i)
{
    return cluster->peers[i].id;
}

const char *cluster_raft_addr(struct cluster *cluster, uint32_t i)
{
    return cluster->peers[i].raft_addr;
}

static void drop_outgoing(struct member *member)
{
    for (uint32_t to = 0; to < CLUSTER_NODES_MAX; to++)
        for (int lane = 0; lane < LANES; lane++) {
            struct outgoing *out = &member->out[to][lane];
            while (out->n > 0)
                blob_unref(out->frames[--out->n]);
        }
}

void cluster_crash(struct cluster *cluster, uint32_t i, size_t kept)
{
    struct member *member = &cluster->members[i];
    if (member->node == NULL)
        return;
    memory_disk_crash(member->disk, kept, kept);
    node_free(member->node);
    member->node = NULL;
    drop_outgoing(member);
    memset(member->disk_at_ms, 0, sizeof member->disk_at_ms);
    member->woken = member->storage_woken = false;
}

void cluster_move(struct cluster *cluster, uint32_t i, const char *raft_addr)
{
    cluster_crash(cluster, i, 100);
    snprintf(cluster->members[i].moved_to, ADDRESS_MAX + 1, "%s", raft_addr);
    start(cluster, i);
}

void cluster_restart(struct cluster *cluster, uint32_t i)
{
    if (cluster->members[i].node == NULL)
        start(cluster, i);
}

void cluster_wipe(struct cluster *cluster, uint32_t i)
{
    ASSERT(cluster->members[i].node == NULL);
    memory_disk_free(cluster->members[i].disk);
    new_disk(cluster, i);
}

struct memory_disk *cluster_disk(struct cluster *cluster, uint32_t i)
{
    return cluster->members[i].disk;
}

void cluster_free(struct cluster *cluster)
{
    for (uint32_t i = 0; i < cluster->options.n; i++) {
        cluster_crash(cluster, i, 0);
        memory_disk_free(cluster->members[i].disk);
    }
    struct packet *packet;
    while ((packet = TAILQ_FIRST(&cluster->packets)) != NULL) {
        TAILQ_REMOVE(&cluster->packets, packet, link);
        blob_unref(packet->body);
        free(packet);
    }
    free(cluster);
}

/* ---- time */

uint64_t cluster_now(const struct cluster *cluster)
{
    return cluster->now_ms;
}

static size_t unwritten(const struct memory_disk *disk, int queue)
{
    return queue == QUEUE_SNAPSHOT ? memory_disk_unwritten_snapshot(disk)
                                   : memory_disk_unwritten(disk, queue == QUEUE_STATE);
}

static void turn(struct member *member)
{
    struct cluster *cluster = member->cluster;
    while (member->node != NULL &&
           (member->woken || member->storage_woken ||
            cluster->now_ms >= node_deadline(member->node))) {
        if (member->storage_woken) {
            member->storage_woken = false;
            node_on_storage(member->node);
        }
        member->woken = false;
        node_run(member->node);
    }
    if (member->node == NULL)
        return;
    for (uint32_t to = 0; to < cluster->options.n; to++)
        for (int lane = 0; lane < LANES; lane++)
            if (member->out[to][lane].n > 0)
                post(member, to, (enum lane)lane);
    for (int queue = 0; queue < DISK_QUEUES; queue++)
        if (!member->held && member->disk_at_ms[queue] == 0 && unwritten(member->disk, queue) > 0)
            member->disk_at_ms[queue] =
                cluster->now_ms + between(cluster, cluster->options.disk_min_ms,
                                          cluster->options.disk_max_ms);
}

static void turn_all(struct cluster *cluster)
{
    for (uint32_t i = 0; i < cluster->options.n; i++)
        turn(&cluster->members[i]);
}

static uint64_t next_event(struct cluster *cluster)
{
    uint64_t next = UINT64_MAX;
    if (!TAILQ_EMPTY(&cluster->packets))
        next = TAILQ_FIRST(&cluster->packets)->at_ms;
    for (uint32_t i = 0; i < cluster->options.n; i++) {
        struct member *member = &cluster->members[i];
        if (member->node != NULL && node_deadline(member->node) < next)
            next = node_deadline(member->node);
        for (int queue = 0; queue < DISK_QUEUES; queue++)
            if (member->disk_at_ms[queue] != 0 && member->disk_at_ms[queue] < next)
                next = member->disk_at_ms[queue];
    }
    return next;
}

static void happen(struct cluster *cluster)
{
    for (uint32_t i = 0; i < cluster->options.n; i++) {
        struct member *member = &cluster->members[i];
        for (int queue = 0; queue < DISK_QUEUES; queue++) {
            if (member->disk_at_ms[queue] == 0 || member->disk_at_ms[queue] > cluster->now_ms)
                continue;
            member->disk_at_ms[queue] = 0;
            if (queue == QUEUE_SNAPSHOT)
                memory_disk_write_snapshot(member->disk);
            else
                memory_disk_write(member->disk, queue == QUEUE_STATE);
        }
    }
    struct packet *packet = TAILQ_FIRST(&cluster->packets);
    if (packet != NULL && packet->at_ms <= cluster->now_ms) {
        TAILQ_REMOVE(&cluster->packets, packet, link);
        deliver(cluster, packet);
        blob_unref(packet->body);
        free(packet);
    }
}

bool cluster_step(struct cluster *cluster, uint64_t until_ms)
{
    turn_all(cluster);
    uint64_t next = next_event(cluster);
    if (next > until_ms) {
        cluster->now_ms = until_ms;
        return false;
    }
    if (next > cluster->now_ms)
        cluster->now_ms = next;
    happen(cluster);
    turn_all(cluster);
    return true;
}

void cluster_run(struct cluster *cluster, uint64_t ms)
{
    uint64_t until = cluster->now_ms + ms;
    while (cluster_step(cluster, until))
        ;
}

bool cluster_run_until(struct cluster *cluster, bool (*condition)(struct cluster *, void *), void *arg,
                       uint64_t ms)
{
    uint64_t until = cluster->now_ms + ms;
    while (!condition(cluster, arg))
        if (!cluster_step(cluster, until))
            return condition(cluster, arg);
    return true;
}

/* ---- looking and meddling */

struct node *cluster_node(struct cluster *cluster, uint32_t i)
{
    return cluster->members[i].node;
}

int cluster_leader(struct cluster *cluster)
{
    int leader = -1;
    raft_term best = 0;
    for (uint32_t i = 0; i < cluster->options.n; i++) {
        if (cluster->members[i].node == NULL)
            continue;
        struct node_status status;
        node_status(cluster->members[i].node, &status);
        if (status.role == RAFT_LEADER && status.term > best) {
            best = status.term;
            leader = (int)i;
        }
    }
    return leader;
}

static bool has_leader(struct cluster *cluster, void *arg)
{
    (void)arg;
    return cluster_leader(cluster) >= 0;
}

int cluster_await_leader(struct cluster *cluster)
{
    return cluster_run_until(cluster, has_leader, NULL, 10000) ? cluster_leader(cluster) : -1;
}

const char *cluster_removed(struct cluster *cluster, uint32_t i)
{
    return cluster->members[i].removed[0] != '\0' ? cluster->members[i].removed : NULL;
}

const char *cluster_refused(struct cluster *cluster, uint32_t i)
{
    return cluster->members[i].refused[0] != '\0' ? cluster->members[i].refused : NULL;
}

void cluster_link(struct cluster *cluster, uint32_t from, uint32_t to, bool up)
{
    cluster->cut[from][to] = !up;
}

void cluster_isolate(struct cluster *cluster, uint32_t i, bool isolated)
{
    for (uint32_t j = 0; j < cluster->options.n; j++)
        if (j != i) {
            cluster_link(cluster, i, j, !isolated);
            cluster_link(cluster, j, i, !isolated);
        }
}

void cluster_set_loss(struct cluster *cluster, uint32_t percent)
{
    cluster->options.loss_percent = percent;
}

void cluster_hold_disk(struct cluster *cluster, uint32_t i, bool held)
{
    cluster->members[i].held = held;
    if (held)
        memset(cluster->members[i].disk_at_ms, 0, sizeof cluster->members[i].disk_at_ms);
}

/* ---- clients */

static void prepare(struct cluster *cluster, uint32_t node, struct client_op *op, enum op_type type,
                    uint64_t timeout_ms, void (*done)(struct op *))
{
    memset(op, 0, sizeof *op);
    op->cluster = cluster;
    op->node = node;
    op->op = (struct op){ .type = type, .deadline_ms = cluster->now_ms + timeout_ms, .done = done,
                          .user = op, .max_stale_ms = UINT64_MAX };
}

static void submit(struct client_op *op)
{
    struct member *member = &op->cluster->members[op->node];
    ASSERT(member->node != NULL);
    node_submit(member->node, &op->op);
}

static void written(struct op *op)
{
    struct client_op *client = op->user;
    client->done = true;
    client->err = op->err;
    client->outcome = op->outcome;
    if (op->result != NULL) {
        client->revision = op->result->revision;
        client->index = op->result->index;
    }
    blob_unref(op->command);
}

static void put(struct cluster *cluster, uint32_t node, struct client_op *client, struct kv_op kv,
                uint64_t timeout_ms)
{
    prepare(cluster, node, client, OP_WRITE, timeout_ms, written);
    client->op.command = blob_new(command_batch_size(&kv, 1));
    command_encode_batch(&kv, 1, client->op.command->data);
    submit(client);
}

void client_put(struct cluster *cluster, uint32_t node, struct client_op *op, const char *key,
                const char *value, uint64_t timeout_ms)
{
    put(cluster, node, op,
        (struct kv_op){ .type = KV_SET, .key = slice_text(key), .value = slice_text(value) },
        timeout_ms);
}

void client_put_if(struct cluster *cluster, uint32_t node, struct client_op *op, const char *key,
                   const char *value, uint64_t revision, uint64_t timeout_ms)
{
    put(cluster, node, op,
        (struct kv_op){ .type = KV_SET, .condition = CONDITION_REVISION, .revision = revision,
                        .key = slice_text(key), .value = slice_text(value) },
        timeout_ms);
}

static void read_done(struct op *op)
{
    struct client_op *client = op->user;
    client->done = true;
    client->err = op->err;
    if (op->err != OK)
        return;
    struct statemachine *sm = node_statemachine(client->cluster->members[client->node].node);
    struct kv_item item;
    enum err err = statemachine_read_begin(sm);
    ASSERT(err == OK);
    err = statemachine_get(sm, slice_text(client->key), &item);
    ASSERT(err == OK || err == ERR_KEY_NOT_FOUND);
    client->found = err == OK;
    if (client->found) {
        size_t size = item.value.size;
        if (size > sizeof client->value - 1)
            size = sizeof client->value - 1;
        memcpy(client->value, item.value.data, size);
        client->revision = item.revision;
    }
    statemachine_read_end(sm);
}

void client_get(struct cluster *cluster, uint32_t node, struct client_op *op, const char *key,
                enum consistency consistency, uint64_t timeout_ms)
{
    prepare(cluster, node, op, OP_READ, timeout_ms, read_done);
    snprintf(op->key, sizeof op->key, "%s", key);
    op->op.consistency = consistency;
    submit(op);
}

void client_get_fresh(struct cluster *cluster, uint32_t node, struct client_op *op, const char *key,
                      uint64_t max_stale_ms)
{
    prepare(cluster, node, op, OP_READ, 1000, read_done);
    snprintf(op->key, sizeof op->key, "%s", key);
    op->op.consistency = CONSISTENCY_STALE;
    op->op.max_stale_ms = max_stale_ms;
    submit(op);
}

static void info_done(struct op *op)
{
    struct client_op *client = op->user;
    client->done = true;
    client->err = op->err;
    if (op->err != OK)
        return;
    client->n_info = op->info->info_reply.n;
    memcpy(client->info, op->info->info_reply.members, sizeof client->info);
}

void client_info(struct cluster *cluster, uint32_t node, struct client_op *op, uint64_t timeout_ms)
{
    prepare(cluster, node, op, OP_INFO, timeout_ms, info_done);
    submit(op);
}

static void changed(struct op *op)
{
    struct client_op *client = op->user;
    client->done = true;
    client->err = op->err;
    client->outcome = op->outcome;
    if (op->why != NULL)
        snprintf(client->why, sizeof client->why, "%s", op->why);
    if (op->configuration != NULL)
        client->configuration = *op->configuration;
}

void client_change(struct cluster *cluster, uint32_t node, struct client_op *op,
                   const struct member_change *change, uint64_t timeout_ms)
{
    prepare(cluster, node, op, OP_CHANGE, timeout_ms, changed);
    op->change = *change;
    op->op.change = &op->change;
    submit(op);
}

void client_transfer(struct cluster *cluster, uint32_t node, struct client_op *op, raft_id to,
                     uint64_t timeout_ms)
{
    prepare(cluster, node, op, OP_TRANSFER, timeout_ms, changed);
    op->op.target = to;
    submit(op);
}

static bool is_done(struct cluster *cluster, void *arg)
{
    (void)cluster;
    return ((struct client_op *)arg)->done;
}

void client_wait(struct client_op *op)
{
    bool done = cluster_run_until(op->cluster, is_done, op, 20000);
    ASSERT(done);
}
