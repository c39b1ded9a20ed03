/* recover.c - makes the node of a data directory a cluster of itself, when the others are lost.
 *
 * One transaction of the log does it: the entry with the new configuration, the term and vote that
 * go with it, the new cluster's id.  The state's row `cluster` is taken out before: a state without
 * one belongs to its log, so a crash in between leaves the old cluster or the new one. */
#include "lmdb_txn.h"
#include "meta.h"
#include "rows.h"
#include "state_env.h"
#include "step.h"

#include <holdfast/clock.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define RECOVERED_AT "recovered at %" PRIu64

static enum err read_rows(const char *path, struct recovery *out, char *message)
{
    struct meta_put log, state[3];
    static const char *const names[3] = { "applied_index", "revision", "keys" };
    uint64_t *const numbers[3] = { &out->applied, &out->revision, &out->keys };
    uint64_t at;
    meta_put_text(&log, META_ORIGIN, "");
    for (unsigned i = 0; i < 3; i++)
        meta_put_text(&state[i], names[i], i == 1 ? "1" : "0");
    enum err err = rows_read(path, "log", &log, 1, message);
    if (err == OK)
        err = rows_read(path, "state", state, 3, message);
    for (unsigned i = 0; err == OK && i < 3; i++)
        if (!meta_parse_decimal(state[i].text, numbers[i]))
            err = storage_fail(message, ERR_CORRUPT, "the row %s in %.300s/state is not a number",
                               names[i], path);
    out->done = err == OK && sscanf(log.text, RECOVERED_AT, &at) == 1 && at == out->last;
    return err;
}

static uint64_t new_cluster(const struct recovery *recovery)
{
    uint64_t words[3] = { recovery->identity.id, recovery->last, recovery->term };
    uint64_t cluster = checksum(recovery->identity.cluster, slice_of(words, sizeof words));
    return cluster != 0 ? cluster : 1;
}

static struct blob *make_record(const struct recovery *recovery)
{
    struct configuration alone = { .members.n = 1 };
    alone.members.at[0] = (struct raft_member){ .id = recovery->identity.id, .voter = true };
    snprintf(alone.raft_addr[0], sizeof alone.raft_addr[0], "%s", recovery->identity.raft_addr);
    struct blob *payload = configuration_encode(&alone);
    const struct record record = { .index = recovery->last + 1, .term = recovery->term + 1,
                                   .kind = RAFT_MEMBERS, .time_ms = clock_wall_ms(),
                                   .payload = blob_slice(payload) };
    struct blob *blob = record_encode(&record);
    blob_unref(payload);
    return blob;
}

static enum err untie_state(const char *path, char *message)
{
    char full[ENV_PATH_MAX];
    struct lmdb_txn txn;
    MDB_env *env;
    snprintf(full, sizeof full, "%s/state", path);
    enum err err = lmdb_env_open(full, 0, false, &env, message);
    if (err != OK)
        return err;
    lmdb_txn_begin(&txn, env);
    MDB_dbi meta = lmdb_txn_database(&txn, state_table_names[TABLE_META], 0);
    lmdb_txn_delete(&txn, meta, slice_text("cluster"));
    int code = lmdb_txn_commit(&txn);
    mdb_env_close(env);
    storage_step("recover: the state is untied");
    return code == 0 ? OK : storage_fail_code(message, code, "write", full);
}

static void write_log(struct log_store *log, const struct recovery *recovery)
{
    struct log_job *job = log_job_new(1, 2);
    char text[META_TEXT_MAX];
    job->ticket = 1;
    job->save_vote = true;
    job->term = recovery->term + 1;
    job->vote = recovery->identity.id;
    job->first = recovery->last + 1;
    job->entries[0].owner = make_record(recovery);
    job->entries[0].record = blob_slice(job->entries[0].owner);
    meta_of_cluster(recovery->cluster, &job->meta[0]);
    snprintf(text, sizeof text, RECOVERED_AT " from cluster %016" PRIx64, recovery->last + 1,
             recovery->identity.cluster);
    meta_put_text(&job->meta[1], META_ORIGIN, text);
    log->ops->submit(log, job);
}

static void ignore_wake(void *arg)
{
    (void)arg;
}

static enum err look(const char *path, struct log_store *log, struct recovery *out, char *message)
{
    struct log_boot boot = { 0 };
    enum err err = log->ops->boot(log, &boot);
    if (err != OK)
        return storage_fail(message, err, "the log in %.300s cannot be read: %s", path,
                            err_text(err));
    out->first = boot.first;
    out->last = boot.last;
    out->last_term = boot.n_runs > 0 && boot.last > boot.base ? boot.runs[boot.n_runs - 1].term
                                                              : boot.base_term;
    out->term = boot.term > out->last_term ? boot.term : out->last_term;
    free(boot.runs);
    err = read_rows(path, out, message);
    out->cluster = out->done ? out->identity.cluster : new_cluster(out);
    return err;
}

enum err data_directory_recover(const char *path, bool write, struct recovery *out, char *message)
{
    struct storage_options options = { .wake = ignore_wake };
    struct data_directory *dir = NULL;
    struct log_store *log = NULL;
    memset(out, 0, sizeof *out);
    enum err err = data_directory_identity(path, &out->identity, message);
    if (err == ERR_NOT_FOUND)
        return storage_fail(message, err, "there is no node in %.300s; name its place with --data-dir "
                            "and --id, as when it was started", path);
    if (err == OK)
        err = data_directory_open(path, &out->identity, &dir, message);
    if (err == OK)
        err = log_lmdb_open(dir, &options, &log, message);
    if (err == OK)
        err = look(path, log, out, message);
    if (err == OK && write && !out->done) {
        err = untie_state(path, message);
        if (err == OK)
            write_log(log, out);
    }
    if (log != NULL)
        log->ops->close(log); /* finishes what was submitted, or ends the process */
    storage_step("recover: done");
    data_directory_close(dir);
    return err;
}
