/* harness.h - a log store and a state store to try, in memory or in LMDB, alike. */
#ifndef HOLDFAST_TESTS_STORAGE_HARNESS_H
#define HOLDFAST_TESTS_STORAGE_HARNESS_H

#include <holdfast/storage.h>

#include <check.h>

enum kind { KIND_MEMORY, KIND_LMDB, KINDS };

enum { DONE_MAX = 4096 };

struct harness {
    enum kind kind;
    char dir[64];       /* LMDB: a fresh directory under TMPDIR or /tmp; "" before the first open */
    char message[STORAGE_MESSAGE_MAX];
    struct identity identity;
    struct data_directory *data_directory;
    struct memory_disk *disk;
    struct log_store *log;
    struct state_store *state;
    struct snapshot_store *snapshots;
    int wake_fd;
    uint32_t n_done;    /* log jobs that came back, in order */
    raft_ticket done[DONE_MAX];
    uint32_t n_flushed; /* state jobs */
    struct state_job *flushed;
    struct snapshot_job *snapshot_done; /* the last one that came back */
    uint32_t n_installed;
};

struct identity identity_example(void);

void harness_init(struct harness *h, enum kind kind); /* opens on an empty disk */
void harness_close(struct harness *h);                /* the stores; the disk stays */
void harness_open(struct harness *h);                 /* again */
void harness_reopen(struct harness *h);
void harness_fini(struct harness *h);                 /* closes what is open, removes all */

/* Drains until `n` log jobs (or state jobs) have come back since init, or fails the test. */
void wait_log(struct harness *h, uint32_t n);
void wait_state(struct harness *h, uint32_t n);

/* Jobs. An entry's payload is `size` bytes that depend on index and term. */
struct log_job *job_entries(raft_ticket ticket, raft_index first, uint32_t n, raft_term term,
                            size_t size);
void job_vote(struct log_job *job, raft_term term, raft_id vote);
struct log_job *job_base(raft_ticket ticket, raft_index base, raft_term base_term);
struct log_job *job_meta(const char *key, const char *text);
void submit(struct harness *h, struct log_job *job);
struct blob *entry_bytes(raft_index index, raft_term term, size_t size);

/* Submits the changes and waits for them. */
void flush(struct harness *h, struct state_change *changes, size_t n);
struct state_change set_text(enum state_table table, const char *key, const char *value);
struct state_change unset_text(enum state_table table, const char *key);

/* Fails unless the log holds exactly entries first .. last, each with the term given by
 * `terms` ("1*3 2*2": three entries of term 1, then two of term 2). */
void expect_log(struct harness *h, raft_index first, const char *terms);
/* Fails unless boot answers so; last == base: an empty log. */
void expect_bounds(struct harness *h, raft_index base, raft_term base_term, raft_index last);
void expect_meta(struct harness *h, const char *key, const char *text); /* text NULL: absent */
/* Fails unless `get` answers so; value NULL: absent. */
void expect_value(struct harness *h, enum state_table table, const char *key, const char *value);

/* Submits the job and waits for it; its err. */
enum err snapshot_do(struct harness *h, struct snapshot_job *job);
/* Copies the state of `from` and brings all of it to `to`, `part` bytes at a time, without
 * VERIFY; *info: of the copy.  The copy is dropped. */
void snapshot_carry(struct harness *from, struct harness *to, size_t part,
                    struct snapshot_info *info);
enum err snapshot_verify(struct harness *h);
/* The log job with base, row `install` and `first`, then state_store_ops.install. */
void snapshot_install(struct harness *h, const struct snapshot_info *info, raft_ticket ticket);

void expect_slice(struct slice bytes, const char *text);

/* A directory of its own for each call; removed with all it holds by remove_tree. */
void make_temporary(char path[64]);
void remove_tree(const char *path);

#endif
