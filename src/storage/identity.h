/* identity.h - whose data directory is it? */
#ifndef HOLDFAST_STORAGE_IDENTITY_H
#define HOLDFAST_STORAGE_IDENTITY_H

#include <holdfast/storage.h>

/* Compares what the log in `path` says with `identity` and fills in its incarnation.
 * ERR_FOREIGN if they differ, with a sentence that names both sides. */
MUST_CHECK enum err identity_compare_log(const char *path, struct identity *identity,
                                         char *message);
/* The state belongs to that log. */
MUST_CHECK enum err identity_compare_state(const char *path, const struct identity *identity,
                                           char *message);

#endif
