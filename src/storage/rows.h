/* rows.h - rows of an environment's `meta`, read at opening. */
#ifndef HOLDFAST_STORAGE_ROWS_H
#define HOLDFAST_STORAGE_ROWS_H

#include <holdfast/storage.h>

/* Reads the rows named by rows[i].key from `<path>/<name>`; the text of an absent one stays.
 * ERR_FOREIGN: a sound environment without `meta`, not one of ours. */
MUST_CHECK enum err rows_read(const char *path, const char *name, struct meta_put *rows, size_t n,
                              char *message);
/* ERR_FOREIGN and that sentence. */
enum err rows_foreign(const char *path, char *message);

#endif
