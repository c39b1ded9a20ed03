/* crash.h - processes that die at a chosen step, and what they told before.
 *
 * A step is a storage_step of the storage sources, or a system call that changes a disk: this
 * program defines pwrite, write, writev, fdatasync, fsync, rename, mkdir, rmdir, unlink and ftruncate
 * itself, and LMDB, a shared library, calls those.  At the chosen step the process kills
 * itself; with `power_loss`, each page that was written and not flushed is first undone or
 * kept, by chance. */
#ifndef HOLDFAST_TESTS_STORAGE_CRASH_H
#define HOLDFAST_TESTS_STORAGE_CRASH_H

#include <holdfast/storage.h>

#include <stdatomic.h>
#include <sys/types.h>

/* In memory that outlives the child. */
struct crash_shared {
    unsigned die_at;       /* the step, from 1; 0: never */
    bool power_loss;
    uint64_t seed;         /* of what a power loss keeps */
    int fail_flush;        /* errno that each fdatasync of the child answers; 0: none */
    int fail_write;        /* errno that each pwrite and writev of a page or more answers */
    atomic_uint steps;     /* passed so far */
    char where[64];        /* the step at which it died */
    atomic_uint flushes;   /* fdatasync and fsync calls, and writes through O_DSYNC */

    /* Told by the workload. */
    atomic_uint submitted, durable;     /* log jobs: all up to this number */
    atomic_uint handed, flushed;        /* state jobs */
    atomic_bool opened;
    atomic_uint phase;     /* of test_crash_install */
    unsigned char incarnation[INCARNATION_SIZE];
};

extern struct crash_shared *crash_shared; /* NULL in a process that is not to die */

typedef void crash_body_fn(void *arg);

/* A new shared record, zeroed. */
struct crash_shared *crash_shared_new(void);
void crash_shared_free(struct crash_shared *shared);

/* Starts a child that runs `body` and then exits with 0. */
pid_t crash_start(struct crash_shared *shared, crash_body_fn *body, void *arg);
/* True: it ran to its end. False: it was killed.  Any other end fails the test. */
bool crash_wait(pid_t pid, const struct crash_shared *shared);

/* Its exit status, or minus the signal that ended it. */
int crash_wait_status(pid_t pid);

/* For children: anything unexpected ends the process with a status that fails the test. */
void crash_require(bool condition, const char *what);

uint64_t crash_random(uint64_t *state); /* splitmix64 */

#endif
