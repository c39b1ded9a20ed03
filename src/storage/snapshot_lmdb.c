/* snapshot_lmdb.c - copies of the state as files, and the incoming snapshot, on a thread of
 * their own: the copier.
 *
 * It reads the state only through a read transaction of LMDB, in an environment that it holds a
 * reference on; it shares nothing else with the other threads (B61). */
#include "files.h"
#include "lmdb_env.h"
#include "snapshot_check.h"
#include "snapshot_incoming.h"
#include "state_env.h"
#include "step.h"
#include "swap.h"
#include "writer.h"

#include <holdfast/clock.h>
#include <holdfast/log.h>
#include <holdfast/panic.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct outgoing {
    uint64_t number; /* 0: a free place */
    int fd;
    uint64_t size;
};

/* A job on its way, with what it must hold. */
struct task {
    struct storage_link link;
    struct snapshot_job *job;
    struct state_env *state; /* SNAPSHOT_COPY: a reference */
};

struct snapshot_lmdb {
    struct snapshot_store base;
    struct state_store *state; /* borrowed; the loop's */
    char path[ENV_PATH_MAX];   /* of the outgoing files */
    struct writer *writer;
    atomic_bool closing;       /* what is queued is not begun any more */

    uint64_t last_number;      /* the copier's, like all below */
    struct outgoing files[SNAPSHOT_FILES_MAX];
    struct incoming incoming;
};

static struct snapshot_lmdb *self(struct snapshot_store *store)
{
    return (struct snapshot_lmdb *)store;
}

/* ---- outgoing, on the copier's thread */

static void file_name(char out[64], uint64_t number)
{
    snprintf(out, 64, "%" PRIu64 ".mdb", number);
}

static struct outgoing *find_file(struct snapshot_lmdb *store, uint64_t number)
{
    for (unsigned i = 0; i < SNAPSHOT_FILES_MAX; i++)
        if (store->files[i].number == number)
            return &store->files[i];
    return NULL;
}

static enum err drop_file(struct snapshot_lmdb *store, uint64_t number)
{
    char name[64];
    int code = 0;
    struct outgoing *file = number > 0 ? find_file(store, number) : NULL;
    if (file == NULL)
        return ERR_NOT_FOUND;
    close(file->fd);
    *file = (struct outgoing){ .fd = -1 };
    file_name(name, number);
    files_remove(&code, store->path, name);
    return lmdb_err(code);
}

/* Without the pages that are free in the state. */
static enum err copy_pages(struct state_env *state, int fd)
{
    int code = mdb_env_copyfd2(state->env, fd, MDB_CP_COMPACT);
    if (code == MDB_INCOMPATIBLE) { /* pages that nobody knows: LMDB copies those only as they are */
        if (ftruncate(fd, 0) != 0 || lseek(fd, 0, SEEK_SET) != 0)
            return lmdb_err(errno);
        code = mdb_env_copyfd2(state->env, fd, 0);
    }
    storage_step("snapshot: copied");
    return lmdb_err(code);
}

/* What the copy itself says, not the state, which has gone on. */
static enum err describe(const char *path, int fd, struct snapshot_info *out)
{
    struct snapshot_rows rows;
    MDB_env *env;
    enum err err = snapshot_open(path, MDB_NOSUBDIR | MDB_RDONLY | MDB_NOLOCK, 0, &env);
    if (err != OK)
        return err;
    err = snapshot_read_rows(env, &rows);
    mdb_env_close(env);
    *out = rows.info;
    return err == OK ? lmdb_err(files_checksum(fd, &out->size, &out->checksum)) : err;
}

static enum err copy_into(struct snapshot_lmdb *store, struct state_env *state,
                          struct outgoing *file, struct snapshot_info *out)
{
    char path[ENV_PATH_MAX], name[64];
    MDB_envinfo info;
    MDB_stat stat;
    mdb_env_info(state->env, &info);
    mdb_env_stat(state->env, &stat);
    if ((info.me_last_pgno + 1) * (uint64_t)stat.ms_psize > files_room_bytes(store->path))
        return ERR_NO_SPACE; /* the disk is the log's, too */
    file_name(name, file->number);
    int code = files_join(path, store->path, name);
    if (code == 0) {
        file->fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
        code = file->fd >= 0 ? 0 : errno;
    }
    if (code != 0)
        return lmdb_err(code);
    enum err err = copy_pages(state, file->fd);
    if (err == OK)
        err = describe(path, file->fd, out);
    file->size = out->size;
    return err;
}

static enum err make_copy(struct snapshot_lmdb *store, struct task *task)
{
    struct outgoing *file = find_file(store, 0);
    if (file == NULL)
        return ERR_OVERLOADED;
    uint64_t began_us = clock_monotonic_us();
    struct snapshot_info info = { 0 };
    file->number = ++store->last_number;
    enum err err = copy_into(store, task->state, file, &info);
    if (err != OK) {
        log_warn("the state could not be copied", "path=%s err=%s", store->path, err_name(err));
        if (file->fd >= 0 && drop_file(store, file->number) != OK)
            log_warn("a broken copy could not be removed", "path=%s", store->path);
        *file = (struct outgoing){ .fd = -1 };
        return err;
    }
    task->job->file = file->number;
    task->job->info = info;
    log_info("copied the state", "index=%" PRIu64 " bytes=%" PRIu64 " ms=%" PRIu64, info.index,
             info.size, (clock_monotonic_us() - began_us) / 1000);
    return OK;
}

static enum err read_part(struct snapshot_lmdb *store, struct snapshot_job *job)
{
    const struct outgoing *file = job->file > 0 ? find_file(store, job->file) : NULL;
    if (file == NULL)
        return ERR_NOT_FOUND;
    uint64_t rest = job->offset < file->size ? file->size - job->offset : 0;
    size_t want = rest < job->size ? (size_t)rest : job->size, got;
    struct blob *bytes = blob_new(want);
    int code = files_read(file->fd, bytes->data, want, job->offset, &got);
    if (code == 0 && got != want)
        code = EIO;
    if (code != 0) {
        blob_unref(bytes);
        return lmdb_err(code);
    }
    job->bytes = bytes;
    return OK;
}

/* ---- all jobs */

static enum err work(struct snapshot_lmdb *store, struct task *task)
{
    struct snapshot_job *job = task->job;
    if (atomic_load_explicit(&store->closing, memory_order_relaxed))
        return ERR_SHUTTING_DOWN;
    switch (job->type) {
    case SNAPSHOT_COPY:
        return make_copy(store, task);
    case SNAPSHOT_READ:
        return read_part(store, job);
    case SNAPSHOT_DROP:
        return drop_file(store, job->file);
    case SNAPSHOT_BEGIN:
        return incoming_begin(&store->incoming, &job->info, &job->offset);
    case SNAPSHOT_WRITE:
        return incoming_write(&store->incoming, job->offset, blob_slice(job->bytes));
    case SNAPSHOT_VERIFY:
        return incoming_verify(&store->incoming);
    case SNAPSHOT_ABORT:
        return incoming_abort(&store->incoming);
    }
    return ERR_INTERNAL;
}

static void work_jobs(void *arg, struct storage_queue *jobs, struct storage_queue *done)
{
    struct storage_link *link = queue_pop(jobs);
    struct task *task = (struct task *)link;
    task->job->err = work(arg, task);
    state_env_unref(task->state);
    task->state = NULL;
    STAILQ_INSERT_TAIL(done, link, next);
}

static void snapshot_submit(struct snapshot_store *base, struct snapshot_job *job)
{
    struct snapshot_lmdb *store = self(base);
    struct task *task = memory_new(sizeof *task);
    ASSERT(job->type != SNAPSHOT_READ || (job->size <= SNAPSHOT_PART_MAX && job->bytes == NULL));
    ASSERT(job->type != SNAPSHOT_WRITE || job->bytes != NULL);
    task->job = job;
    if (job->type == SNAPSHOT_COPY)
        task->state = state_lmdb_env(store->state);
    writer_submit(store->writer, &task->link);
}

struct done_call {
    snapshot_done_fn *done;
    void *arg;
};

static void deliver(void *arg, struct storage_link *link)
{
    struct done_call *call = arg;
    struct snapshot_job *job = ((struct task *)link)->job;
    free(link);
    if (job->type == SNAPSHOT_WRITE) {
        blob_unref(job->bytes);
        job->bytes = NULL;
    }
    call->done(call->arg, job);
}

static void snapshot_drain(struct snapshot_store *base, snapshot_done_fn *done, void *arg)
{
    struct done_call call = { done, arg };
    writer_drain(self(base)->writer, deliver, &call);
}

/* ---- opening and closing */

/* Copies do not outlive the process that made them. */
static int clear_outgoing(const char *path)
{
    int code = 0;
    struct dirent *entry;
    DIR *dir = opendir(path);
    if (dir == NULL)
        return errno;
    while ((entry = readdir(dir)) != NULL) {
        size_t digits = strspn(entry->d_name, "0123456789");
        if (digits > 0 && strcmp(entry->d_name + digits, ".mdb") == 0)
            files_remove(&code, path, entry->d_name);
    }
    closedir(dir);
    return code;
}

static void free_task(void *arg, struct storage_link *link)
{
    struct task *task = (struct task *)link;
    (void)arg; /* the job is the submitter's, but for what it gave away */
    if (task->job->type == SNAPSHOT_WRITE || task->job->type == SNAPSHOT_READ) {
        blob_unref(task->job->bytes);
        task->job->bytes = NULL;
    }
    free(task);
}

static void snapshot_close(struct snapshot_store *base)
{
    struct snapshot_lmdb *store = self(base);
    atomic_store(&store->closing, true);
    if (store->writer != NULL)
        writer_close(store->writer, free_task, NULL);
    for (unsigned i = 0; i < SNAPSHOT_FILES_MAX; i++)
        if (store->files[i].number > 0 && drop_file(store, store->files[i].number) != OK)
            log_warn("a copy of the state could not be removed", "path=%s", store->path);
    incoming_close(&store->incoming);
    free(store);
}

static const struct snapshot_store_ops ops = {
    .submit = snapshot_submit,
    .drain = snapshot_drain,
    .close = snapshot_close,
};

static int prepare(struct snapshot_lmdb *store, const char *path)
{
    int code = files_join(store->path, path, OUTGOING_DIRECTORY);
    files_make_directory(&code, path, OUTGOING_DIRECTORY);
    if (code == EEXIST)
        code = 0;
    return code == 0 ? clear_outgoing(store->path) : code;
}

enum err snapshot_lmdb_open(struct data_directory *dir, struct state_store *state,
                            const struct storage_options *options, struct snapshot_store **out,
                            char *message)
{
    struct snapshot_lmdb *store = memory_new(sizeof *store);
    store->base.ops = &ops;
    store->state = state;
    store->incoming.directory = dir;
    store->incoming.map_bytes = options->state_map_bytes;
    store->incoming.fd = -1;
    for (unsigned i = 0; i < SNAPSHOT_FILES_MAX; i++)
        store->files[i].fd = -1;
    enum err err = OK;
    int code = prepare(store, dir->path);
    if (code != 0)
        err = storage_fail_code(message, code, "make room for snapshots in", dir->path);
    if (err == OK) {
        store->writer = writer_new("copier", work_jobs, store, options);
        if (store->writer == NULL)
            err = storage_fail(message, ERR_IO, "the system gives no thread for the copier");
    }
    if (err != OK) {
        snapshot_close(&store->base);
        return err;
    }
    *out = &store->base;
    return OK;
}
