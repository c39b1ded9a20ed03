/* birth.h - the making of a data directory's two environments, whole or not at all. */
#ifndef HOLDFAST_STORAGE_BIRTH_H
#define HOLDFAST_STORAGE_BIRTH_H

#include <holdfast/storage.h>

#define BIRTH_DIRECTORY "creating"

/* Makes `log` and `state` in the locked directory `path`, where neither is. */
MUST_CHECK enum err birth_create(const char *path, const struct identity *identity, char *message);

/* Removes what a creation that was cut short has left.  `whole`: `log` is there, so it was
 * finished but for its scaffold. */
MUST_CHECK enum err birth_clean(const char *path, bool whole, char *message);

#endif
