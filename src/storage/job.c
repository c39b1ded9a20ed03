/* job.c - log jobs: made by the submitter, owned by a store until they come back. */
#include <holdfast/storage.h>

#include <stdlib.h>

struct log_job *log_job_new(uint32_t n_entries, uint32_t n_meta)
{
    struct log_job *job = memory_new(sizeof *job);
    job->n = n_entries;
    job->n_meta = n_meta;
    if (n_entries > 0)
        job->entries = memory_new_array(n_entries, sizeof *job->entries);
    if (n_meta > 0)
        job->meta = memory_new_array(n_meta, sizeof *job->meta);
    return job;
}

void log_job_free(struct log_job *job)
{
    if (job == NULL)
        return;
    for (uint32_t i = 0; i < job->n; i++)
        blob_unref(job->entries[i].owner);
    free(job->entries);
    free(job->meta);
    free(job);
}
