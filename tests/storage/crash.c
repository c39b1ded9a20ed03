/* crash.c - see crash.h. */
#include "crash.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { EXIT_UNEXPECTED = 99, UNDO_PAGE = 4096 };

struct crash_shared *crash_shared;

uint64_t crash_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

/* ---- what is written and not yet flushed */

struct undo {
    struct undo *older;
    dev_t device;
    ino_t inode;
    int fd;
    off_t offset;
    size_t size; /* at most UNDO_PAGE */
    unsigned char before[UNDO_PAGE];
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct undo *unflushed; /* newest first */

static ssize_t raw_pwrite(int fd, const void *data, size_t size, off_t offset)
{
    return syscall(SYS_pwrite64, fd, data, size, offset);
}

/* A file that is open for writing alone is read through a second descriptor. */
static void read_before(int fd, struct undo *undo)
{
    ssize_t n = pread(fd, undo->before, undo->size, undo->offset);
    if (n < 0 && errno == EBADF) {
        char path[64];
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        int again = open(path, O_RDONLY | O_CLOEXEC);
        crash_require(again >= 0, "open for reading");
        n = pread(again, undo->before, undo->size, undo->offset);
        close(again);
    }
    crash_require(n >= 0, "pread");
}

/* Remembers what a write will cover, page by page. */
static void remember(int fd, off_t offset, size_t size)
{
    struct stat file;
    if (crash_shared == NULL || !crash_shared->power_loss || (fcntl(fd, F_GETFL) & O_DSYNC) != 0)
        return;
    crash_require(fstat(fd, &file) == 0, "fstat");
    while (size > 0) {
        size_t part = UNDO_PAGE - (size_t)offset % UNDO_PAGE;
        struct undo *undo = calloc(1, sizeof *undo);
        crash_require(undo != NULL, "memory");
        undo->size = part < size ? part : size;
        undo->device = file.st_dev;
        undo->inode = file.st_ino;
        undo->fd = fd;
        undo->offset = offset;
        if (offset < file.st_size) /* past the end it was, and will be, zeroes */
            read_before(fd, undo);
        undo->older = unflushed;
        unflushed = undo;
        offset += (off_t)undo->size;
        size -= undo->size;
    }
}

static void forget(int fd)
{
    struct stat file;
    if (crash_shared == NULL || !crash_shared->power_loss || fstat(fd, &file) != 0)
        return;
    for (struct undo **at = &unflushed; *at != NULL;) {
        struct undo *undo = *at;
        if (undo->device == file.st_dev && undo->inode == file.st_ino) {
            *at = undo->older;
            free(undo);
        } else {
            at = &undo->older;
        }
    }
}

/* ---- steps */

/* A file that was closed, and its number given to another, is left as it is. */
static void undo_one(const struct undo *undo)
{
    struct stat file;
    if (fstat(undo->fd, &file) == 0 && file.st_dev == undo->device && file.st_ino == undo->inode)
        (void)!raw_pwrite(undo->fd, undo->before, undo->size, undo->offset);
}

_Noreturn static void die(const char *name)
{
    snprintf(crash_shared->where, sizeof crash_shared->where, "%s", name);
    uint64_t chance = crash_shared->seed;
    /* Newest first, so that what is undone is what was there before the oldest of them. */
    for (struct undo *undo = unflushed; undo != NULL; undo = undo->older)
        if (crash_random(&chance) % 2 == 0)
            undo_one(undo);
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

/* With the mutex held. */
static bool due(void)
{
    return crash_shared != NULL && atomic_fetch_add(&crash_shared->steps, 1) + 1 ==
                                       crash_shared->die_at;
}

static void step(const char *name)
{
    if (due())
        die(name);
}

void storage_step(const char *name);

void storage_step(const char *name)
{
    pthread_mutex_lock(&mutex);
    step(name);
    pthread_mutex_unlock(&mutex);
}

/* ---- the system calls, as the libraries see them */

static bool refuse(int code)
{
    if (code == 0)
        return false;
    pthread_mutex_unlock(&mutex);
    errno = code;
    return true;
}

static long result(long value) /* syscall(2) has set errno */
{
    pthread_mutex_unlock(&mutex);
    return value;
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset)
{
    pthread_mutex_lock(&mutex);
    step("before a pwrite");
    if (crash_shared != NULL && size >= UNDO_PAGE && refuse(crash_shared->fail_write))
        return -1;
    remember(fd, offset, size);
    if (size > 512 && due()) { /* torn: some sectors are there, the rest is not */
        (void)!raw_pwrite(fd, data, size / 2 & ~(size_t)511, offset);
        die("within a pwrite");
    }
    if (crash_shared != NULL && (fcntl(fd, F_GETFL) & O_DSYNC) != 0)
        atomic_fetch_add(&crash_shared->flushes, 1);
    return result(raw_pwrite(fd, data, size, offset));
}

ssize_t writev(int fd, const struct iovec *parts, int n)
{
    pthread_mutex_lock(&mutex);
    step("before a writev");
    if (crash_shared != NULL && refuse(crash_shared->fail_write))
        return -1;
    size_t size = 0;
    for (int i = 0; i < n; i++)
        size += parts[i].iov_len;
    off_t at = lseek(fd, 0, SEEK_CUR);
    if (at >= 0)
        remember(fd, at, size);
    if (n > 1 && due()) {
        (void)!syscall(SYS_writev, fd, parts, n / 2);
        die("within a writev");
    }
    return result(syscall(SYS_writev, fd, parts, n));
}

/* LMDB copies an environment so. */
ssize_t write(int fd, const void *data, size_t size)
{
    struct stat file;
    if (crash_shared == NULL || fstat(fd, &file) != 0 || !S_ISREG(file.st_mode))
        return syscall(SYS_write, fd, data, size);
    pthread_mutex_lock(&mutex);
    step("before a write");
    if (refuse(crash_shared->fail_write))
        return -1;
    off_t at = lseek(fd, 0, SEEK_CUR);
    if (at >= 0)
        remember(fd, at, size);
    if (size > 512 && due()) {
        (void)!syscall(SYS_write, fd, data, size / 2);
        die("within a write");
    }
    return result(syscall(SYS_write, fd, data, size));
}

static int flush_file(int fd, long number, const char *before, const char *after)
{
    pthread_mutex_lock(&mutex);
    step(before);
    if (crash_shared != NULL && refuse(crash_shared->fail_flush))
        return -1;
    long value = syscall(number, fd);
    if (value == 0)
        forget(fd);
    if (crash_shared != NULL)
        atomic_fetch_add(&crash_shared->flushes, 1);
    step(after);
    return (int)result(value);
}

int fdatasync(int fd)
{
    return flush_file(fd, SYS_fdatasync, "before an fdatasync", "after an fdatasync");
}

int fsync(int fd)
{
    return flush_file(fd, SYS_fsync, "before an fsync", "after an fsync");
}

int rename(const char *from, const char *to)
{
    storage_step("before a rename");
    return (int)syscall(SYS_renameat, AT_FDCWD, from, AT_FDCWD, to);
}

int mkdir(const char *path, mode_t mode)
{
    storage_step("before a mkdir");
    return (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
}

int rmdir(const char *path)
{
    storage_step("before an rmdir");
    return (int)syscall(SYS_unlinkat, AT_FDCWD, path, AT_REMOVEDIR);
}

int unlink(const char *path)
{
    storage_step("before an unlink");
    return (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}

int ftruncate(int fd, off_t size)
{
    storage_step("before an ftruncate");
    return (int)syscall(SYS_ftruncate, fd, size);
}

/* ---- children */

struct crash_shared *crash_shared_new(void)
{
    void *memory = mmap(NULL, sizeof(struct crash_shared), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(memory, MAP_FAILED);
    return memory;
}

void crash_shared_free(struct crash_shared *shared)
{
    munmap(shared, sizeof *shared);
}

pid_t crash_start(struct crash_shared *shared, crash_body_fn *body, void *arg)
{
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid > 0)
        return pid;
    crash_shared = shared;
    body(arg);
    _exit(0);
}

int crash_wait_status(pid_t pid)
{
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

bool crash_wait(pid_t pid, const struct crash_shared *shared)
{
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
        return false;
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0,
                  "the child ended in an unexpected way: wait status %#x, to die at step %u",
                  (unsigned)status, shared->die_at);
    return true;
}

void crash_require(bool condition, const char *what)
{
    if (condition)
        return;
    dprintf(STDERR_FILENO, "unexpected in a child: %s (errno %d)\n", what, errno);
    _exit(EXIT_UNEXPECTED);
}
