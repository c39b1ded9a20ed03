/* frame_queue.h - frames that wait for an exchange: bounded by number and bytes. */
#ifndef TRANSPORT_FRAME_QUEUE_H
#define TRANSPORT_FRAME_QUEUE_H

#include <holdfast/blob.h>

#include <stdint.h>

struct frame_queue {
    struct blob **frames; /* a ring */
    uint32_t first, n, n_max;
    size_t bytes, bytes_max;
};

void frame_queue_init(struct frame_queue *queue, uint32_t n_max, size_t bytes_max);
void frame_queue_fini(struct frame_queue *queue);
/* Takes the reference.  Returns how many of the oldest were dropped to make room: a frame
 * larger than the whole bound still has its place, alone. */
uint32_t frame_queue_push(struct frame_queue *queue, struct blob *frame);
/* The oldest, whose reference becomes the caller's; NULL if there is none, or if it has more
 * than `size_max` bytes. */
struct blob *frame_queue_pop(struct frame_queue *queue, size_t size_max);

#endif
