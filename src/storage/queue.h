/* queue.h - chains of jobs, whatever they are. */
#ifndef HOLDFAST_STORAGE_QUEUE_H
#define HOLDFAST_STORAGE_QUEUE_H

#include <holdfast/storage.h>

STAILQ_HEAD(storage_queue, storage_link);

/* The oldest job, taken off; NULL if there is none. */
static inline struct storage_link *queue_pop(struct storage_queue *queue)
{
    struct storage_link *link = STAILQ_FIRST(queue);
    if (link != NULL)
        STAILQ_REMOVE_HEAD(queue, next);
    return link;
}

#endif
