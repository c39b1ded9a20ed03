/* faults.c - a library for LD_PRELOAD that makes disks slow, failing, full or forgetful, jumps
 * the wall clock, and leads connections between nodes through a proxy.  For tests alone.
 *
 * HOLDFAST_FAULTS names the file with the orders (faults.h); without it all calls are passed on.
 * HOLDFAST_FAULTS_UNDO names a folder: there `log.undo` and `state.undo` hold what stood where
 * pages were written and not yet flushed.  A test that has killed the process can put any part
 * of it back: a power loss.  The folder must not be on a disk that this library makes fail.
 * HOLDFAST_FAULTS_ROUTES, as in "9001=40001,9002=40002": connections to the port 9001 go to
 * 40001 of this machine. */
#include "faults.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { UNDO_PAGE = 4096, ROUTES_MAX = 16, DIE_STATUS = 99 };

static _Atomic int64_t none[FAULT_SLOTS];
static _Atomic int64_t *slots = none;
static int undo_fds[2] = { -1, -1 };
static pthread_mutex_t undo_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct {
    uint16_t from, to;
} routes[ROUTES_MAX];
static unsigned n_routes;

/* A test whose faults do not work must not pass. */
static void must(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "faults.so: %s: %s\n", what, strerror(errno));
    _exit(DIE_STATUS);
}

/* ---- orders */

static void open_undo(const char *folder)
{
    static const char *const names[2] = { "log.undo", "state.undo" };
    for (int i = 0; i < 2; i++) {
        char path[512];
        must(snprintf(path, sizeof path, "%s/%s", folder, names[i]) < (int)sizeof path, folder);
        undo_fds[i] = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
        must(undo_fds[i] >= 0, path);
    }
}

static void read_routes(const char *text)
{
    while (*text != '\0' && n_routes < ROUTES_MAX) {
        char *end;
        routes[n_routes].from = (uint16_t)strtoul(text, &end, 10);
        must(*end == '=', "HOLDFAST_FAULTS_ROUTES");
        routes[n_routes++].to = (uint16_t)strtoul(end + 1, &end, 10);
        text = *end == ',' ? end + 1 : end;
    }
}

__attribute__((constructor)) static void prepare(void)
{
    const char *path = getenv("HOLDFAST_FAULTS");
    const char *undo = getenv("HOLDFAST_FAULTS_UNDO");
    const char *lead = getenv("HOLDFAST_FAULTS_ROUTES");
    if (path == NULL)
        return;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    must(fd >= 0, path);
    void *map = mmap(NULL, FAULT_SLOTS * sizeof *slots, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    must(map != MAP_FAILED, path);
    close(fd);
    slots = map;
    if (undo != NULL)
        open_undo(undo);
    if (lead != NULL)
        read_routes(lead);
}

static int64_t order(enum fault_slot slot)
{
    return atomic_load(&slots[slot]);
}

static void count(enum fault_slot slot)
{
    atomic_fetch_add(&slots[slot], 1);
}

/* Which of the node's files it is: enum fault_file, or 0. */
static int file_of(int fd)
{
    char link[64], path[1024];
    if (slots == none || fd <= STDERR_FILENO)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, sizeof path - 1);
    if (size < 0)
        return 0;
    path[size] = '\0';
    const char *name = strrchr(path, '/');
    if (name == NULL || strcmp(name, "/data.mdb") != 0)
        return 0;
    if (name - path >= 4 && strncmp(name - 4, "/log", 4) == 0)
        return FAULT_FILE_LOG;
    if (name - path >= 6 && strncmp(name - 6, "/state", 6) == 0)
        return FAULT_FILE_STATE;
    return 0;
}

static bool is_dsync(int fd)
{
    return (fcntl(fd, F_GETFL) & O_DSYNC) != 0;
}

/* True: this call is to fail. */
static bool fails(enum fault_call call, int file)
{
    if ((order(FAULT_CALLS) & (int64_t)call) == 0 || (order(FAULT_FILES) & file) == 0)
        return false;
    if (atomic_fetch_sub(&slots[FAULT_SKIP], 1) > 0)
        return false;
    atomic_store(&slots[FAULT_SKIP], 0);
    count(FAULT_FAILED);
    return true;
}

static void wait_for_disk(void)
{
    int64_t ms = order(FAULT_SYNC_DELAY_MS);
    struct timespec rest = { ms / 1000, ms % 1000 * 1000000 };
    if (ms <= 0)
        return;
    while (nanosleep(&rest, &rest) != 0 && errno == EINTR)
        continue;
}

/* ---- what is written and not yet flushed */

static void write_undo(int undo, const void *bytes, size_t size)
{
    must(syscall(SYS_write, undo, bytes, size) == (long)size, "undo file");
}

static void remember(int fd, int file, off_t offset, size_t size)
{
    int undo = undo_fds[file == FAULT_FILE_LOG ? 0 : 1];
    if (order(FAULT_UNDO) == 0 || undo < 0)
        return;
    pthread_mutex_lock(&undo_mutex);
    while (size > 0) {
        struct {
            struct fault_undo head;
            unsigned char before[UNDO_PAGE];
        } record;
        size_t part = UNDO_PAGE - (size_t)offset % UNDO_PAGE;
        part = part < size ? part : size;
        record.head = (struct fault_undo){ (unsigned long long)offset, part };
        memset(record.before, 0, sizeof record.before);
        must(syscall(SYS_pread64, fd, record.before, part, offset) >= 0, "reading what was there");
        write_undo(undo, &record, sizeof record.head + part);
        offset += (off_t)part;
        size -= part;
    }
    pthread_mutex_unlock(&undo_mutex);
}

static void forget(int file)
{
    int undo = undo_fds[file == FAULT_FILE_LOG ? 0 : 1];
    if (undo < 0)
        return;
    pthread_mutex_lock(&undo_mutex);
    must(ftruncate(undo, 0) == 0, "undo file");
    pthread_mutex_unlock(&undo_mutex);
}

/* ---- writes */

/* -2: go on and write; else what the call returns. */
static ssize_t before_write(int fd, int file, const struct iovec *parts, int n, off_t offset)
{
    size_t size = 0;
    for (int i = 0; i < n; i++)
        size += parts[i].iov_len;
    bool meta = is_dsync(fd);
    count(meta ? FAULT_META_WRITES : FAULT_PAGE_WRITES);
    int64_t room = order(FAULT_ROOM_BYTES);
    struct stat now;
    if (room > 0 && offset + (off_t)size > room && fstat(fd, &now) == 0 &&
        offset + (off_t)size > now.st_size) {
        count(FAULT_FAILED);
        errno = ENOSPC;
        return -1;
    }
    bool fail = fails(meta ? FAULT_CALL_META : FAULT_CALL_PAGES, file);
    if (fail && order(FAULT_SHORT) == 0) {
        errno = (int)order(FAULT_ERRNO);
        return -1;
    }
    if (!meta)
        remember(fd, file, offset, size);
    if (fail) {
        size_t half = parts[0].iov_len / 2;
        return syscall(SYS_pwrite64, fd, parts[0].iov_base, half, offset);
    }
    if (meta)
        wait_for_disk();
    return -2;
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset)
{
    struct iovec part = { .iov_len = size };
    memcpy(&part.iov_base, &bytes, sizeof bytes); /* struct iovec knows no const */
    int file = file_of(fd);
    ssize_t answer = file != 0 ? before_write(fd, file, &part, 1, offset) : -2;
    return answer != -2 ? answer : syscall(SYS_pwrite64, fd, bytes, size, offset);
}

ssize_t pwrite64(int fd, const void *bytes, size_t size, off_t offset)
{
    return pwrite(fd, bytes, size, offset);
}

ssize_t pwritev(int fd, const struct iovec *parts, int n, off_t offset)
{
    int file = file_of(fd);
    ssize_t answer = file != 0 ? before_write(fd, file, parts, n, offset) : -2;
    return answer != -2 ? answer : syscall(SYS_pwritev, fd, parts, n, offset, 0);
}

/* LMDB seeks and writes where pages lie side by side. */
ssize_t writev(int fd, const struct iovec *parts, int n)
{
    int file = file_of(fd);
    ssize_t answer = file != 0 ? before_write(fd, file, parts, n, lseek(fd, 0, SEEK_CUR)) : -2;
    return answer != -2 ? answer : syscall(SYS_writev, fd, parts, n);
}

ssize_t write(int fd, const void *bytes, size_t size)
{
    struct iovec part = { .iov_len = size };
    memcpy(&part.iov_base, &bytes, sizeof bytes);
    int file = file_of(fd);
    ssize_t answer = file != 0 ? before_write(fd, file, &part, 1, lseek(fd, 0, SEEK_CUR)) : -2;
    return answer != -2 ? answer : syscall(SYS_write, fd, bytes, size);
}

ssize_t pread(int fd, void *bytes, size_t size, off_t offset)
{
    int file = order(FAULT_CALLS) != 0 ? file_of(fd) : 0;
    if (file != 0 && fails(FAULT_CALL_READ, file)) {
        errno = (int)order(FAULT_ERRNO);
        return -1;
    }
    return syscall(SYS_pread64, fd, bytes, size, offset);
}

/* ---- flushes */

static int flush(int fd, long call)
{
    int file = file_of(fd);
    if (file == 0)
        return (int)syscall(call, fd);
    count(FAULT_SYNCS);
    wait_for_disk();
    if (fails(FAULT_CALL_SYNC, file)) {
        errno = (int)order(FAULT_ERRNO);
        return -1;
    }
    if (order(FAULT_LIE) != 0)
        return 0;
    int answer = (int)syscall(call, fd);
    if (answer == 0)
        forget(file);
    return answer;
}

int fdatasync(int fd)
{
    return flush(fd, SYS_fdatasync);
}

int fsync(int fd)
{
    return flush(fd, SYS_fsync);
}

/* ---- the wall clock */

int clock_gettime(clockid_t which, struct timespec *now)
{
    static int (*_Atomic next)(clockid_t, struct timespec *);
    if (next == NULL) {
        void *found = dlsym(RTLD_NEXT, "clock_gettime");
        int (*function)(clockid_t, struct timespec *);
        memcpy(&function, &found, sizeof function); /* ISO C knows no such cast */
        next = function;
    }
    int answer = next(which, now);
    if (answer == 0 && which == CLOCK_REALTIME) {
        int64_t ms = order(FAULT_WALL_MS);
        int64_t ns = now->tv_nsec + ms % 1000 * 1000000;
        now->tv_sec += ms / 1000 + (ns < 0 ? -1 : ns / 1000000000);
        now->tv_nsec = ns < 0 ? ns + 1000000000 : ns % 1000000000;
        count(FAULT_WALL_READS);
    }
    return answer;
}

/* ---- connections */

int connect(int fd, __CONST_SOCKADDR_ARG where, socklen_t size)
{
    const struct sockaddr *address = where.__sockaddr__;
    struct sockaddr_in other;
    if (n_routes > 0 && address->sa_family == AF_INET && size >= sizeof other) {
        memcpy(&other, address, sizeof other);
        for (unsigned i = 0; i < n_routes; i++)
            if (ntohs(other.sin_port) == routes[i].from) {
                other.sin_port = htons(routes[i].to);
                count(FAULT_CONNECTS);
                return (int)syscall(SYS_connect, fd, &other, sizeof other);
            }
    }
    return (int)syscall(SYS_connect, fd, address, size);
}
