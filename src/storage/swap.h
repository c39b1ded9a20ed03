/* swap.h - the verified snapshot takes the state's place, by renames. */
#ifndef HOLDFAST_STORAGE_SWAP_H
#define HOLDFAST_STORAGE_SWAP_H

#include <holdfast/storage.h>

#define STATE_DIRECTORY "state"
#define OLD_STATE_DIRECTORY "state.old"
#define INCOMING_DIRECTORY "snapshot.incoming"
#define OUTGOING_DIRECTORY "snapshot" /* copies that are being sent */

/* In the data directory `path`: `state` becomes `state.old`, then the incoming one `state`; both
 * flushed.  Goes on where it was cut. 0 or errno. */
int swap_in(const char *path);
/* Removes what the swap has left. */
int swap_clear(const char *path);

/* At opening, under the lock: finishes a swap that the log's row `install` asks for, or that
 * was cut in its middle; then state and log must meet: no entry is missing between them.
 * `has_state`: there is a directory `state`. */
MUST_CHECK enum err swap_settle(const char *path, bool has_state, const struct identity *identity,
                                char *message);

#endif
