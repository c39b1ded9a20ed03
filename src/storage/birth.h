/* birth.h - the making of a data directory's two environments, whole or not at all. */
#ifndef HOLDFAST_STORAGE_BIRTH_H
#define HOLDFAST_STORAGE_BIRTH_H

#include <holdfast/storage.h>

#define BIRTH_DIRECTORY "creating"

struct birth {
    const struct identity *identity;
    const char *snapshot;      /* a verified file that the state begins with; NULL: empty */
    struct snapshot_info info; /* of that file; the log begins behind it */
    bool adopt;                /* another cluster begins with it: with members of its own */
};

/* Makes `log` and `state` in the locked directory `path`, where neither is. */
MUST_CHECK enum err birth_create(const char *path, const struct birth *birth, char *message);

/* Removes what a creation that was cut short has left.  `whole`: `log` is there, so it was
 * finished but for its scaffold. */
MUST_CHECK enum err birth_clean(const char *path, bool whole, char *message);

#endif
