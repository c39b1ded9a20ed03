/* body.c - puts bodies together and hands them to the node. */
#include "peer.h"

#include "http_internal.h"

#include <holdfast/log.h>
#include <holdfast/panic.h>

#include <inttypes.h>

enum { COPY_MAX = 4 * 1024 }; /* a larger frame travels without being copied */

static void unref_frame(const void *data, size_t size, void *frame)
{
    (void)data;
    (void)size;
    blob_unref(frame);
}

static void add_frame(struct evbuffer *out, struct blob *frame)
{
    int failed;
    if (frame->size <= COPY_MAX) {
        failed = evbuffer_add(out, frame->data, frame->size);
        blob_unref(frame);
    } else {
        failed = evbuffer_add_reference(out, frame->data, frame->size, unref_frame, frame);
    }
    if (failed != 0)
        panic(EXIT_STATUS_IO, "out of memory");
}

static uint32_t add_frames(struct frame_queue *queue, struct frame_queue *kept,
                           struct evbuffer *out, size_t *room)
{
    uint32_t n = 0;
    struct blob *frame;
    while ((frame = frame_queue_pop(queue, *room)) != NULL) {
        *room -= frame->size;
        if (kept != NULL)
            frame_queue_push(kept, blob_ref(frame));
        add_frame(out, frame);
        n++;
    }
    return n;
}

uint32_t body_write(struct peer *peer, struct frame_queue *first, struct frame_queue *second,
                    struct frame_queue *kept, struct evbuffer *out)
{
    struct transport *transport = peer->transport;
    struct envelope envelope = { .cluster = transport->config.cluster,
                                 .from = transport->config.self,
                                 .to = peer->id };
    memcpy(envelope.incarnation, transport->config.incarnation, INCARNATION_SIZE);
    struct evbuffer *frames = evbuffer_new();
    if (frames == NULL)
        panic(EXIT_STATUS_IO, "out of memory");
    size_t room = FRAMES_SIZE_MAX;
    envelope.n_frames = add_frames(first, kept, frames, &room);
    if (second != NULL && first->n == 0)
        envelope.n_frames += add_frames(second, kept, frames, &room);
    unsigned char head[ENVELOPE_SIZE];
    envelope_encode(&envelope, head);
    size_t size = ENVELOPE_SIZE + evbuffer_get_length(frames);
    if (evbuffer_add(out, head, sizeof head) != 0 || evbuffer_add_buffer(out, frames) != 0)
        panic(EXIT_STATUS_IO, "out of memory");
    evbuffer_free(frames);
    transport->stats.frames_out += envelope.n_frames;
    transport->stats.bytes_out += size;
    return envelope.n_frames;
}

static bool judge(struct peer *peer, struct blob *body, char *why)
{
    struct transport *transport = peer->transport;
    struct envelope envelope;
    const char *trouble;
    if (envelope_decode(blob_slice(body), &envelope, &trouble) != OK) {
        snprintf(why, REFUSAL_MAX, "%s", trouble);
        return false;
    }
    if (envelope.from != peer->id || envelope.to != transport->config.self) {
        snprintf(why, REFUSAL_MAX, "another node than the one asked has answered");
        return false;
    }
    struct slice frames = slice_of(body->data + ENVELOPE_SIZE, body->size - ENVELOPE_SIZE);
    transport->stats.frames_in += envelope.n_frames;
    transport->stats.bytes_in += body->size;
    return transport->events.on_body(transport->events.arg, &envelope, body, frames, why) !=
           VERDICT_REFUSED;
}

bool body_deliver(struct peer *peer, struct evbuffer *in)
{
    char why[REFUSAL_MAX] = "";
    struct blob *body = evbuffer_blob(in);
    bool fine = judge(peer, body, why);
    blob_unref(body);
    if (fine)
        return true;
    peer->transport->stats.refused_in++;
    if (log_due(&peer->refusal_logged_ms))
        log_warn("refused a peer's answer", "peer=%016" PRIx64 " address=%s why=\"%s\"", peer->id,
                 peer->address, why);
    return false;
}
