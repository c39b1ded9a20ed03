/* harness.c - see harness.h. */
#include "harness.h"

#include <holdfast/clock.h>

#include <ftw.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { DEADLINE_MS = 20000 };

struct identity identity_example(void)
{
    struct identity identity = { .cluster = 0x1122334455667788, .id = 0xa1 };
    snprintf(identity.name, sizeof identity.name, "node1");
    snprintf(identity.raft_addr, sizeof identity.raft_addr, "127.0.0.1:9001");
    snprintf(identity.members, sizeof identity.members,
             "127.0.0.1:9001,127.0.0.1:9002,127.0.0.1:9003");
    return identity;
}

void make_temporary(char path[64])
{
    const char *base = getenv("TMPDIR");
    if (base == NULL || strlen(base) > 30)
        base = "/tmp";
    snprintf(path, 64, "%s/storage-test-XXXXXX", base);
    ck_assert_msg(mkdtemp(path) != NULL, "cannot make a temporary directory %s", path);
}

static int remove_one(const char *path, const struct stat *what, int type, struct FTW *at)
{
    (void)what;
    (void)type;
    (void)at;
    return remove(path);
}

void remove_tree(const char *path)
{
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void on_wake(void *arg)
{
    struct harness *h = arg;
    uint64_t one = 1;
    ssize_t written = write(h->wake_fd, &one, sizeof one);
    (void)written;
}

void harness_open(struct harness *h)
{
    struct storage_options options = { .wake = on_wake, .wake_arg = h };
    if (h->kind == KIND_MEMORY) {
        h->log = log_memory_open(h->disk, &options);
        h->state = state_memory_open(h->disk, &options);
        h->snapshots = snapshot_memory_open(h->disk, &options);
        return;
    }
    enum err err = data_directory_open(h->dir, &h->identity, &h->data_directory, h->message);
    ck_assert_msg(err == OK, "%s", h->message);
    err = log_lmdb_open(h->data_directory, &options, &h->log, h->message);
    ck_assert_msg(err == OK, "%s", h->message);
    err = state_lmdb_open(h->data_directory, &options, &h->state, h->message);
    ck_assert_msg(err == OK, "%s", h->message);
    err = snapshot_lmdb_open(h->data_directory, h->state, &options, &h->snapshots, h->message);
    ck_assert_msg(err == OK, "%s", h->message);
}

void harness_init(struct harness *h, enum kind kind)
{
    memset(h, 0, sizeof *h);
    h->kind = kind;
    h->identity = identity_example();
    h->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    ck_assert_int_ge(h->wake_fd, 0);
    if (kind == KIND_MEMORY)
        h->disk = memory_disk_new(&h->identity);
    else
        make_temporary(h->dir);
    harness_open(h);
}

void harness_close(struct harness *h)
{
    if (h->snapshots != NULL)
        h->snapshots->ops->close(h->snapshots);
    if (h->log != NULL)
        h->log->ops->close(h->log);
    if (h->state != NULL)
        h->state->ops->close(h->state);
    data_directory_close(h->data_directory);
    h->snapshots = NULL;
    h->log = NULL;
    h->state = NULL;
    h->data_directory = NULL;
}

void harness_reopen(struct harness *h)
{
    harness_close(h);
    harness_open(h);
}

void harness_fini(struct harness *h)
{
    harness_close(h);
    memory_disk_free(h->disk);
    if (h->dir[0] != '\0')
        remove_tree(h->dir);
    close(h->wake_fd);
}

/* ---- completions */

static void on_log_done(void *arg, struct log_job *job)
{
    struct harness *h = arg;
    ck_assert_uint_lt(h->n_done, DONE_MAX);
    h->done[h->n_done++] = job->ticket;
    log_job_free(job);
}

static void on_state_done(void *arg, struct state_job *job)
{
    struct harness *h = arg;
    h->n_flushed++;
    h->flushed = job;
}

/* Sleeps until a store wakes us; false once the deadline has passed. */
static bool sleep_until_woken(struct harness *h, uint64_t deadline_ms)
{
    uint64_t now = clock_monotonic_ms(), count;
    if (now >= deadline_ms)
        return false;
    struct pollfd at = { .fd = h->wake_fd, .events = POLLIN };
    if (poll(&at, 1, (int)(deadline_ms - now)) > 0 && read(h->wake_fd, &count, sizeof count) < 0)
        ck_abort_msg("the eventfd cannot be read");
    return true;
}

void wait_log(struct harness *h, uint32_t n)
{
    uint64_t deadline = clock_monotonic_ms() + DEADLINE_MS;
    for (;;) {
        h->log->ops->drain(h->log, on_log_done, h);
        if (h->n_done >= n)
            return;
        ck_assert_msg(sleep_until_woken(h, deadline), "%u of %u log jobs came back", h->n_done, n);
    }
}

void wait_state(struct harness *h, uint32_t n)
{
    uint64_t deadline = clock_monotonic_ms() + DEADLINE_MS;
    for (;;) {
        h->state->ops->drain(h->state, on_state_done, h);
        if (h->n_flushed >= n)
            return;
        ck_assert_msg(sleep_until_woken(h, deadline), "%u of %u flushes came back", h->n_flushed,
                      n);
    }
}

static void on_snapshot_done(void *arg, struct snapshot_job *job)
{
    struct harness *h = arg;
    h->snapshot_done = job;
}

enum err snapshot_do(struct harness *h, struct snapshot_job *job)
{
    uint64_t deadline = clock_monotonic_ms() + DEADLINE_MS;
    h->snapshot_done = NULL;
    h->snapshots->ops->submit(h->snapshots, job);
    while (h->snapshots->ops->drain(h->snapshots, on_snapshot_done, h), h->snapshot_done == NULL)
        ck_assert_msg(sleep_until_woken(h, deadline), "snapshot job %d did not come back",
                      (int)job->type);
    ck_assert_ptr_eq(h->snapshot_done, job);
    return job->err;
}

void snapshot_carry(struct harness *from, struct harness *to, size_t part,
                    struct snapshot_info *info)
{
    struct snapshot_job copy = { .type = SNAPSHOT_COPY };
    ck_assert_int_eq(snapshot_do(from, &copy), OK);
    struct snapshot_job begin = { .type = SNAPSHOT_BEGIN, .info = copy.info };
    ck_assert_int_eq(snapshot_do(to, &begin), OK);
    for (uint64_t at = begin.offset; at < copy.info.size;) {
        struct snapshot_job read = { .type = SNAPSHOT_READ, .file = copy.file, .offset = at,
                                     .size = part };
        ck_assert_int_eq(snapshot_do(from, &read), OK);
        struct snapshot_job write = { .type = SNAPSHOT_WRITE, .offset = at, .bytes = read.bytes };
        at += read.bytes->size;
        ck_assert_int_eq(snapshot_do(to, &write), OK);
    }
    struct snapshot_job drop = { .type = SNAPSHOT_DROP, .file = copy.file };
    ck_assert_int_eq(snapshot_do(from, &drop), OK);
    *info = copy.info;
}

enum err snapshot_verify(struct harness *h)
{
    struct snapshot_job verify = { .type = SNAPSHOT_VERIFY };
    return snapshot_do(h, &verify);
}

static void on_installed(void *arg)
{
    struct harness *h = arg;
    h->n_installed++;
}

void snapshot_install(struct harness *h, const struct snapshot_info *info, raft_ticket ticket)
{
    char text[META_TEXT_MAX];
    uint32_t installed = h->n_installed, n_done = h->n_done;
    uint64_t deadline = clock_monotonic_ms() + DEADLINE_MS;
    snprintf(text, sizeof text, "%llu %llu", (unsigned long long)info->index,
             (unsigned long long)info->term);
    struct log_job *job = job_meta("install", text);
    job->ticket = ticket;
    job->base = info->index;
    job->base_term = info->term;
    job->first = info->index + 1;
    submit(h, job);
    wait_log(h, n_done + 1);
    h->state->ops->install(h->state, on_installed, h);
    while (h->state->ops->drain(h->state, on_state_done, h), h->n_installed == installed)
        ck_assert_msg(sleep_until_woken(h, deadline), "the installation did not come back");
}

/* ---- jobs */

struct blob *entry_bytes(raft_index index, raft_term term, size_t size)
{
    struct blob *payload = blob_new(size);
    for (size_t i = 0; i < size; i++)
        payload->data[i] = (unsigned char)(index * 31 + term * 7 + i);
    struct record record = { .index = index, .term = term, .kind = RAFT_DATA, .time_ms = 1000 };
    record.payload = blob_slice(payload);
    struct blob *bytes = record_encode(&record);
    blob_unref(payload);
    return bytes;
}

struct log_job *job_entries(raft_ticket ticket, raft_index first, uint32_t n, raft_term term,
                            size_t size)
{
    struct log_job *job = log_job_new(n, 0);
    job->ticket = ticket;
    job->first = first;
    for (uint32_t i = 0; i < n; i++) {
        job->entries[i].owner = entry_bytes(first + i, term, size);
        job->entries[i].record = blob_slice(job->entries[i].owner);
    }
    return job;
}

void job_vote(struct log_job *job, raft_term term, raft_id vote)
{
    job->save_vote = true;
    job->term = term;
    job->vote = vote;
}

struct log_job *job_base(raft_ticket ticket, raft_index base, raft_term base_term)
{
    struct log_job *job = log_job_new(0, 0);
    job->ticket = ticket;
    job->base = base;
    job->base_term = base_term;
    return job;
}

struct log_job *job_meta(const char *key, const char *text)
{
    struct log_job *job = log_job_new(0, 1);
    snprintf(job->meta[0].key, META_KEY_MAX, "%s", key);
    snprintf(job->meta[0].text, META_TEXT_MAX, "%s", text);
    return job;
}

void submit(struct harness *h, struct log_job *job)
{
    h->log->ops->submit(h->log, job);
}

void flush(struct harness *h, struct state_change *changes, size_t n)
{
    struct state_job job = { .changes = changes, .n = n };
    h->state->ops->submit(h->state, &job);
    wait_state(h, h->n_flushed + 1);
    ck_assert_ptr_eq(h->flushed, &job);
}

struct state_change set_text(enum state_table table, const char *key, const char *value)
{
    return (struct state_change){ table, slice_text(key), slice_text(value) };
}

struct state_change unset_text(enum state_table table, const char *key)
{
    return (struct state_change){ table, slice_text(key), slice_of(NULL, 0) };
}

/* ---- expectations */

struct walk {
    raft_index next;
    char terms[256]; /* as in expect_log */
    raft_term run_term;
    unsigned run_length;
};

static void walk_end_run(struct walk *walk)
{
    size_t used = strlen(walk->terms);
    if (walk->run_length > 0)
        snprintf(walk->terms + used, sizeof walk->terms - used, "%s%llu*%u", used ? " " : "",
                 (unsigned long long)walk->run_term, walk->run_length);
    walk->run_length = 0;
}

static bool walk_entry(void *arg, raft_index index, struct slice bytes)
{
    struct walk *walk = arg;
    struct record record;
    ck_assert_uint_eq(index, walk->next);
    ck_assert_int_eq(record_decode(index, bytes, &record), OK);
    for (size_t i = 0; i < record.payload.size; i++)
        ck_assert_uint_eq(((const unsigned char *)record.payload.data)[i],
                          (unsigned char)(index * 31 + record.term * 7 + i));
    if (record.term != walk->run_term)
        walk_end_run(walk);
    walk->run_term = record.term;
    walk->run_length++;
    walk->next++;
    return true;
}

void expect_log(struct harness *h, raft_index first, const char *terms)
{
    struct walk walk = { .next = first };
    enum err err = h->log->ops->read(h->log, first, walk_entry, &walk);
    walk_end_run(&walk);
    if (terms[0] == '\0') {
        ck_assert_int_eq(err, ERR_NOT_FOUND);
        return;
    }
    ck_assert_msg(err == OK, "reading the log: %s", err_text(err));
    ck_assert_str_eq(walk.terms, terms);

    /* What boot finds must be the same, though it looks at few entries. */
    struct log_boot boot;
    ck_assert_int_eq(h->log->ops->boot(h->log, &boot), OK);
    struct walk found = { .next = first };
    ck_assert_uint_eq(boot.last, walk.next - 1);
    for (uint32_t i = 0; i < boot.n_runs; i++) {
        raft_index end = i + 1 < boot.n_runs ? boot.runs[i + 1].first : boot.last + 1;
        raft_index from = boot.runs[i].first > first ? boot.runs[i].first : first;
        found.run_term = boot.runs[i].term;
        found.run_length = end > from ? (unsigned)(end - from) : 0;
        walk_end_run(&found);
    }
    ck_assert_str_eq(found.terms, terms);
    free(boot.runs);
}

void expect_bounds(struct harness *h, raft_index base, raft_term base_term, raft_index last)
{
    struct log_boot boot;
    ck_assert_int_eq(h->log->ops->boot(h->log, &boot), OK);
    ck_assert_uint_eq(boot.base, base);
    ck_assert_uint_eq(boot.base_term, base_term);
    ck_assert_uint_eq(boot.first, base + 1);
    ck_assert_uint_eq(boot.last, last);
    free(boot.runs);
}

void expect_slice(struct slice bytes, const char *text)
{
    ck_assert_msg(slice_equal(bytes, slice_text(text)), "expected \"%s\", got \"%.*s\"", text,
                  (int)bytes.size, (const char *)bytes.data);
}

void expect_meta(struct harness *h, const char *key, const char *text)
{
    char found[META_TEXT_MAX];
    enum err err = h->log->ops->meta_get(h->log, key, found);
    if (text == NULL) {
        ck_assert_int_eq(err, ERR_NOT_FOUND);
        return;
    }
    ck_assert_int_eq(err, OK);
    ck_assert_str_eq(found, text);
}

void expect_value(struct harness *h, enum state_table table, const char *key, const char *value)
{
    struct slice found = { 0 };
    ck_assert_int_eq(h->state->ops->read_begin(h->state), OK);
    enum err err = h->state->ops->get(h->state, table, slice_text(key), &found);
    if (value == NULL) {
        ck_assert_msg(err == ERR_NOT_FOUND, "%s: expected nothing, got %s", key, err_name(err));
    } else {
        ck_assert_msg(err == OK, "%s: %s", key, err_name(err));
        expect_slice(found, value);
    }
    h->state->ops->read_end(h->state);
}
