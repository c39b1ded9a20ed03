/* copy.c - a copy of the state for whoever takes a backup: one at a time, beside those for
 * followers.
 *
 * What is applied when it is asked for will be in it: the state is written out first. */
#include "node_private.h"

static void end(struct node *node, enum err err)
{
    struct op *op = node->backup.op;
    node->backup.op = NULL;
    if (op == NULL)
        return;
    op->err = err;
    op->done(op);
}

static void refuse(struct op *op, enum err err)
{
    op->err = err;
    op->done(op);
}

void copy_submit(struct node *node, struct op *op)
{
    struct backup *backup = &node->backup;
    if (node->stopping)
        refuse(op, ERR_SHUTTING_DOWN);
    else if (digest_doubted(node))
        refuse(op, ERR_STATE_DIFFERS);
    else if (backup->phase != BACKUP_NONE || node->snapshots == NULL)
        refuse(op, ERR_OVERLOADED);
    else {
        *backup = (struct backup){ .phase = BACKUP_FLUSHING, .op = op, .copy = op->copy,
                                   .wanted = statemachine_applied(node->sm) };
        node_wake(node);
    }
}

static void submit(struct node *node, enum backup_phase phase, struct snapshot_job job)
{
    node->backup.phase = phase;
    node->backup.job = job;
    node->snapshots->ops->submit(node->snapshots, &node->backup.job);
}

static void drop(struct node *node)
{
    node->backup.copy = NULL;
    submit(node, BACKUP_DROPPING,
           (struct snapshot_job){ .type = SNAPSHOT_DROP, .file = node->backup.file });
}

bool copy_waits_for_flush(const struct node *node)
{
    return node->backup.phase == BACKUP_FLUSHING;
}

void copy_pump(struct node *node)
{
    const struct backup *backup = &node->backup;
    raft_index durable = statemachine_durable(node->sm);
    bool written = durable >= backup->wanted && (durable > 0 || !statemachine_unsaved(node->sm));
    if (backup->phase == BACKUP_FLUSHING && written && !fetch_installing(node))
        submit(node, BACKUP_COPYING, (struct snapshot_job){ .type = SNAPSHOT_COPY });
}

/* ---- completions */

static void copied(struct node *node)
{
    struct backup *backup = &node->backup;
    enum err err = backup->job.err;
    backup->file = backup->job.file;
    backup->phase = err == OK ? BACKUP_READY : BACKUP_NONE;
    if (err == OK && backup->op == NULL) {
        drop(node);
        return;
    }
    if (err == OK)
        backup->copy->info = backup->job.info;
    else
        log_warn("the state could not be copied for a backup", "err=%s", err_name(err));
    node->stats.backups += err == OK;
    end(node, err);
}

static void has_read(struct node *node)
{
    struct backup *backup = &node->backup;
    struct blob *bytes = backup->job.bytes;
    backup->phase = BACKUP_READY;
    backup->job.bytes = NULL;
    if (backup->copy == NULL) {
        blob_unref(bytes);
        drop(node);
        return;
    }
    node->stats.backup_bytes += bytes != NULL ? bytes->size : 0;
    backup->copy->part(backup->copy, backup->job.err, bytes);
}

bool copy_done(struct node *node, const struct snapshot_job *job)
{
    if (job != &node->backup.job)
        return false;
    switch (node->backup.phase) {
    case BACKUP_COPYING:
        copied(node);
        break;
    case BACKUP_READING:
        has_read(node);
        break;
    case BACKUP_DROPPING:
        node->backup = (struct backup){ 0 };
        break;
    case BACKUP_NONE:
    case BACKUP_FLUSHING:
    case BACKUP_READY:
        ASSERT(false);
    }
    return true;
}

/* ---- the reader */

void node_copy_read(struct node *node, struct node_copy *copy, uint64_t offset, size_t size)
{
    ASSERT(node->backup.phase == BACKUP_READY && node->backup.copy == copy);
    submit(node, BACKUP_READING,
           (struct snapshot_job){ .type = SNAPSHOT_READ, .file = node->backup.file,
                                  .offset = offset, .size = size });
}

void node_copy_drop(struct node *node, struct node_copy *copy)
{
    ASSERT(node->backup.copy == copy && node->backup.op == NULL);
    node->backup.copy = NULL;
    if (node->backup.phase == BACKUP_READY)
        drop(node);
}

/* ---- the end */

void copy_out_of_time(struct node *node)
{
    if (node->backup.op == NULL)
        return;
    if (node->backup.phase == BACKUP_FLUSHING)
        node->backup.phase = BACKUP_NONE;
    end(node, ERR_SHUTTING_DOWN);
}

void copy_fini(struct node *node)
{
    struct node_copy *copy = node->backup.op == NULL ? node->backup.copy : NULL;
    node->backup.copy = NULL;
    node->backup.phase = BACKUP_NONE;
    end(node, ERR_SHUTTING_DOWN);
    if (copy != NULL)
        copy->part(copy, ERR_SHUTTING_DOWN, NULL);
}
