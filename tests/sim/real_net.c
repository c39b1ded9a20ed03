/* real_net.c - the network between the nodes: bodies of frames, as HTTP would carry them. */
#include "tests/sim/real.h"

#include <inttypes.h>
#include <stdlib.h>

static void net_send(struct network *network, raft_id to, enum lane lane, bool answer, struct blob *frame)
{
    struct real_node *m = (struct real_node *)network;
    struct real_world *w = real_world();
    struct real_outgoing *out = &m->out[real_place(w, to)][lane];
    (void)answer;
    if (w->now_us >= m->storm_us + 100000) {
        m->storm_us = w->now_us;
        m->storm_frames = 0;
    }
    MUST(++m->storm_frames < REAL_STORM_FRAMES, "I13: n%u sends a storm of frames, %u in a tenth of a second",
         m->self + 1, m->storm_frames);
    real_check_frame(w, m->self, real_place(w, to), frame);
    if (out->n == REAL_FRAMES_MAX)
        blob_unref(frame);
    else
        out->frames[out->n++] = frame;
    m->woken = true; /* leaves at the end of the turn */
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

void real_net_init(struct real_node *m)
{
    m->network.ops = &net_ops;
}

void real_forget_outgoing(struct real_node *m)
{
    for (uint32_t to = 0; to < SIM_NODES_MAX; to++)
        for (int lane = 0; lane < LANES; lane++)
            while (m->out[to][lane].n > 0)
                blob_unref(m->out[to][lane].frames[--m->out[to][lane].n]);
}

/* ---- packets */

static uint32_t packet_new(struct real_world *w, uint32_t from, uint32_t to, enum lane lane,
                           struct blob *body)
{
    uint32_t place = w->free_packet;
    if (place != UINT32_MAX) {
        w->free_packet = w->packets[place].next_free;
    } else {
        place = w->n_packets++;
        w->packets = memory_grow(w->packets, w->n_packets, sizeof *w->packets);
    }
    w->packets[place] = (struct real_packet){ .body = blob_ref(body), .from = from, .to = to,
                                              .lane = lane, .life = w->node[from].life };
    return place;
}

void real_drop_packet(struct real_world *w, uint32_t packet)
{
    blob_unref(w->packets[packet].body);
    w->packets[packet].body = NULL;
    w->packets[packet].next_free = w->free_packet;
    w->free_packet = packet;
}

void real_net_end(struct real_world *w)
{
    for (uint32_t i = 0; i < w->n_packets; i++)
        blob_unref(w->packets[i].body);
    w->n_packets = 0;
}

/* ---- posting */

static struct blob *make_body(struct real_world *w, struct real_node *m, uint32_t to, struct real_outgoing *out)
{
    struct envelope envelope = { .cluster = m->identity.cluster, .from = m->identity.id,
                                 .to = w->peers[to].id, .n_frames = out->n };
    memcpy(envelope.incarnation, m->identity.incarnation, INCARNATION_SIZE);
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

static void post(struct real_world *w, uint32_t from, uint32_t to, enum lane lane)
{
    struct sim_random *r = &w->random;
    const struct real_options *o = &w->options;
    struct blob *body = make_body(w, &w->node[from], to, &w->node[from].out[to][lane]);
    uint64_t at = w->now_us + sim_between(r, 50, w->healed ? 4000 : o->delay_us);
    if (!w->healed && sim_chance(r, o->late)) {
        at += sim_below(r, o->late_us);
        w->marks[REAL_LATE]++;
    }
    if (at < w->clogged_until[from][to])
        at = w->clogged_until[from][to];
    uint32_t packet = packet_new(w, from, to, lane, body);
    sim_heap_add(&w->heap, at, REAL_DELIVER, packet, 0, 0);
    if (!w->healed && sim_chance(r, o->duplicate)) {
        at = w->now_us + sim_between(r, 50, 10 * o->delay_us);
        w->packets[packet].doubled = true;
        packet = packet_new(w, from, to, lane, body);
        w->packets[packet].doubled = true;
        sim_heap_add(&w->heap, at, REAL_DELIVER, packet, 0, 0);
        w->marks[REAL_DUPLICATED]++;
    }
    blob_unref(body);
}

void real_post_all(struct real_world *w, uint32_t i)
{
    for (uint32_t to = 0; to < w->options.n; to++)
        for (int lane = 0; lane < LANES; lane++)
            if (w->node[i].out[to][lane].n > 0)
                post(w, i, to, (enum lane)lane);
}

/* ---- arriving */

static void lose(struct real_world *w, uint32_t number)
{
    struct real_packet packet = w->packets[number];
    const struct real_node *sender = &w->node[packet.from];
    blob_ref(packet.body);
    real_drop_packet(w, number);
    w->marks[REAL_LOST]++;
    bool told = w->healed || sim_chance(&w->random, w->options.unreachable);
    /* a connection that was refused: what should have gone over it certainly did not */
    bool unsent = !packet.doubled && packet.life == sender->life && sim_below(&w->random, 2) == 0;
    w->marks[REAL_UNSENT] += told && unsent;
    if (told)
        real_unreachable(w, packet.from, w->peers[packet.to].id, packet.lane, unsent ? packet.body : NULL);
    blob_unref(packet.body);
}

void real_arrive(struct real_world *w, uint32_t number)
{
    struct real_packet packet = w->packets[number];
    if (w->cut[packet.from][packet.to] || !real_is_up(w, packet.to) ||
        (!w->healed && sim_chance(&w->random, w->options.loss))) {
        lose(w, number);
        return;
    }
    if (w->node[packet.to].paused) { /* waits in the socket */
        sim_heap_add(&w->heap, w->now_us + 5000, REAL_DELIVER, number, 0, 0);
        return;
    }
    struct envelope envelope;
    const char *why = "";
    blob_ref(packet.body);
    real_drop_packet(w, number);
    MUST(envelope_decode(blob_slice(packet.body), &envelope, &why) == OK, "a bad envelope: %s", why);
    TRACE("%10" PRIu64 "  n%u <- n%u lane=%d frames=%u bytes=%zu", w->now_us, packet.to + 1,
          packet.from + 1, (int)packet.lane, envelope.n_frames, packet.body->size);
    envelope.raft_addr = w->peers[packet.from].raft_addr;
    real_body(w, packet.to, &envelope, packet.body);
    blob_unref(packet.body);
}
