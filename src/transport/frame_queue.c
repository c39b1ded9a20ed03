/* frame_queue.c - a ring of frames.  When it is full the oldest goes: Raft repeats what matters,
 * and what is newest is worth most. */
#include "frame_queue.h"

#include <stdlib.h>

void frame_queue_init(struct frame_queue *queue, uint32_t n_max, size_t bytes_max)
{
    *queue = (struct frame_queue){ .n_max = n_max, .bytes_max = bytes_max };
    queue->frames = memory_new_array(n_max, sizeof(struct blob *));
}

void frame_queue_fini(struct frame_queue *queue)
{
    while (queue->n > 0)
        blob_unref(frame_queue_pop(queue, SIZE_MAX));
    free(queue->frames);
}

uint32_t frame_queue_push(struct frame_queue *queue, struct blob *frame)
{
    uint32_t dropped = 0;
    while (queue->n > 0 &&
           (queue->n == queue->n_max || queue->bytes + frame->size > queue->bytes_max)) {
        blob_unref(frame_queue_pop(queue, SIZE_MAX));
        dropped++;
    }
    queue->frames[(queue->first + queue->n++) % queue->n_max] = frame;
    queue->bytes += frame->size;
    return dropped;
}

struct blob *frame_queue_pop(struct frame_queue *queue, size_t size_max)
{
    if (queue->n == 0 || queue->frames[queue->first]->size > size_max)
        return NULL;
    struct blob *frame = queue->frames[queue->first];
    queue->first = (queue->first + 1) % queue->n_max;
    queue->n--;
    queue->bytes -= frame->size;
    return frame;
}
