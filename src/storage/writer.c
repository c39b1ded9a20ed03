/* writer.c - the thread that waits for the disk so that the loop need not.
 *
 * Jobs gather while a commit is under way, and the next commit takes them all: that is the
 * whole of group commit.  One mutex, held to move a chain of pointers, never during a write.
 * The queues have no bound of their own: proposals and the pending table, which feed them,
 * are bounded (limits.h). */
#include "writer.h"

#include <holdfast/panic.h>

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

struct writer {
    writer_work_fn *work;
    void *arg;
    storage_wake_fn *wake;
    void *wake_arg;
    pthread_t thread;

    pthread_mutex_t mutex;
    pthread_cond_t more; /* `down` is not empty, or `stopping` */
    struct storage_queue down, up;
    bool stopping;
};

/* Takes all that is queued, behind what `work` has left. False: nothing is left and the writer is
 * to stop. */
static bool take(struct writer *writer, struct storage_queue *jobs)
{
    pthread_mutex_lock(&writer->mutex);
    while (STAILQ_EMPTY(jobs) && STAILQ_EMPTY(&writer->down) && !writer->stopping)
        pthread_cond_wait(&writer->more, &writer->mutex);
    STAILQ_CONCAT(jobs, &writer->down);
    pthread_mutex_unlock(&writer->mutex);
    return !STAILQ_EMPTY(jobs);
}

static void deliver(struct writer *writer, struct storage_queue *done)
{
    pthread_mutex_lock(&writer->mutex);
    STAILQ_CONCAT(&writer->up, done);
    pthread_mutex_unlock(&writer->mutex);
    if (writer->wake != NULL)
        writer->wake(writer->wake_arg);
}

static void *run(void *arg)
{
    struct writer *writer = arg;
    struct storage_queue jobs = STAILQ_HEAD_INITIALIZER(jobs);
    while (take(writer, &jobs)) {
        struct storage_queue done = STAILQ_HEAD_INITIALIZER(done);
        writer->work(writer->arg, &jobs, &done);
        deliver(writer, &done);
    }
    return NULL;
}

struct writer *writer_new(const char *name, writer_work_fn *work, void *arg,
                          const struct storage_options *wake)
{
    struct writer *writer = memory_new(sizeof *writer);
    writer->work = work;
    writer->arg = arg;
    writer->wake = wake->wake;
    writer->wake_arg = wake->wake_arg;
    STAILQ_INIT(&writer->down);
    STAILQ_INIT(&writer->up);
    pthread_mutex_init(&writer->mutex, NULL);
    pthread_cond_init(&writer->more, NULL);

    /* Signals are for the loop's thread. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int code = pthread_create(&writer->thread, NULL, run, writer);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (code != 0) {
        pthread_cond_destroy(&writer->more);
        pthread_mutex_destroy(&writer->mutex);
        free(writer);
        return NULL;
    }
    pthread_setname_np(writer->thread, name);
    return writer;
}

void writer_submit(struct writer *writer, struct storage_link *job)
{
    pthread_mutex_lock(&writer->mutex);
    ASSERT(!writer->stopping);
    bool idle = STAILQ_EMPTY(&writer->down);
    STAILQ_INSERT_TAIL(&writer->down, job, next);
    pthread_mutex_unlock(&writer->mutex);
    if (idle)
        pthread_cond_signal(&writer->more);
}

void writer_drain(struct writer *writer, writer_done_fn *done, void *arg)
{
    /* Taken whole first: `done` may submit, and what that finishes waits for the next drain. */
    struct storage_queue ready = STAILQ_HEAD_INITIALIZER(ready);
    pthread_mutex_lock(&writer->mutex);
    STAILQ_CONCAT(&ready, &writer->up);
    pthread_mutex_unlock(&writer->mutex);
    struct storage_link *link;
    while ((link = queue_pop(&ready)) != NULL)
        done(arg, link);
}

void writer_close(struct writer *writer, writer_done_fn *done, void *arg)
{
    pthread_mutex_lock(&writer->mutex);
    writer->stopping = true;
    pthread_mutex_unlock(&writer->mutex);
    pthread_cond_signal(&writer->more);
    pthread_join(writer->thread, NULL);
    writer_drain(writer, done, arg);
    pthread_cond_destroy(&writer->more);
    pthread_mutex_destroy(&writer->mutex);
    free(writer);
}
