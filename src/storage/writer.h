/* writer.h - a thread that does jobs in order, and the two queues that join it to the loop. */
#ifndef HOLDFAST_STORAGE_WRITER_H
#define HOLDFAST_STORAGE_WRITER_H

#include "queue.h"

struct writer;

/* On the writer's thread: takes one or more jobs off the front of `jobs`, makes them durable
 * (or ends the process), and appends them to `done` in the same order. */
typedef void writer_work_fn(void *arg, struct storage_queue *jobs, struct storage_queue *done);
typedef void writer_done_fn(void *arg, struct storage_link *job);

/* `name` (up to 15 characters) is the thread's. NULL if the system gives no thread. */
struct writer *writer_new(const char *name, writer_work_fn *work, void *arg,
                          const struct storage_options *wake);
void writer_submit(struct writer *writer, struct storage_link *job);
/* Hands over what is finished at this moment, oldest first. */
void writer_drain(struct writer *writer, writer_done_fn *done, void *arg);
/* Waits until all is done; what was not drained goes to `done`. */
void writer_close(struct writer *writer, writer_done_fn *done, void *arg);

#endif
