/* swap.c - replaces the state by a verified snapshot so that a crash at any point leaves one
 * of the two, and the log says which.
 *
 * Before the swap the log's row `install` is durable: "<index> <term>" of the snapshot.  As long
 * as the state's applied index is below that, the swap is to be done, or finished: the log has
 * lost, in the same transaction, entries that the old state would need. */
#include "swap.h"
#include "files.h"
#include "lmdb_env.h"
#include "meta.h"
#include "rows.h"
#include "snapshot_info.h"
#include "step.h"

#include <holdfast/log.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

static bool there(const char *path, const char *name)
{
    char full[ENV_PATH_MAX];
    return files_join(full, path, name) == 0 && access(full, F_OK) == 0;
}

int swap_in(const char *path)
{
    int code = 0;
    if (there(path, STATE_DIRECTORY)) {
        files_remove_environment(&code, path, OLD_STATE_DIRECTORY); /* of a swap before */
        files_move(&code, path, STATE_DIRECTORY, OLD_STATE_DIRECTORY);
        files_sync(&code, path, ".");
        storage_step("swap: the old state is aside");
    }
    files_move(&code, path, INCOMING_DIRECTORY, STATE_DIRECTORY);
    files_sync(&code, path, ".");
    storage_step("swap: done");
    return code;
}

int swap_clear(const char *path)
{
    int code = 0;
    files_remove(&code, path, STATE_DIRECTORY "/info");
    files_remove_environment(&code, path, OLD_STATE_DIRECTORY);
    return code;
}

static bool parse_install(const char *text, raft_index *index)
{
    char number[21] = "";
    size_t size = strcspn(text, " ");
    *index = 0;
    if (text[0] == '\0')
        return true;
    if (size >= sizeof number || text[size] == '\0')
        return false;
    memcpy(number, text, size);
    return meta_parse_decimal(number, index);
}

/* The state's applied index and incarnation, in `<path>/<name>`. */
static enum err read_state(const char *path, const char *name, raft_index *applied,
                           char incarnation[META_TEXT_MAX], char *message)
{
    struct meta_put rows[2];
    meta_put_text(&rows[0], "applied_index", "");
    meta_put_text(&rows[1], "incarnation", "");
    enum err err = rows_read(path, name, rows, 2, message);
    *applied = 0;
    if (err == OK && rows[0].text[0] != '\0' && !meta_parse_decimal(rows[0].text, applied))
        err = storage_fail(message, ERR_CORRUPT,
                           "the applied index in %.200s/%s is not a number; restore it from a "
                           "backup, or replace this member by a new one with an empty --data-dir",
                           path, name);
    memcpy(incarnation, rows[1].text, META_TEXT_MAX);
    return err;
}

/* Is the incoming snapshot the one that the log waits for, verified and made ours? */
static enum err check_incoming(const char *path, raft_index install, const char *incarnation,
                               char *message)
{
    char incoming[ENV_PATH_MAX], found[META_TEXT_MAX];
    struct snapshot_progress progress;
    raft_index applied;
    enum err err = files_join(incoming, path, INCOMING_DIRECTORY) == 0
                       ? snapshot_info_read(incoming, &progress)
                       : ERR_IO;
    if (err == OK && (!progress.verified || progress.info.index != install))
        err = ERR_NOT_FOUND;
    if (err == OK)
        err = read_state(path, INCOMING_DIRECTORY, &applied, found, message);
    if (err == OK && (applied != install || strcmp(found, incarnation) != 0))
        err = ERR_CORRUPT;
    if (err == OK)
        return OK;
    return storage_fail(message, ERR_CORRUPT,
                        "the log in %.200s goes on behind a snapshot at entry %" PRIu64
                        ", and that is not in %.60s (%s); replace this member by a new one with an "
                        "empty --data-dir",
                        path, install, INCOMING_DIRECTORY, err_text(err));
}

static enum err finish(const char *path, raft_index install, const char *incarnation,
                       char *message)
{
    enum err err = check_incoming(path, install, incarnation, message);
    if (err != OK)
        return err;
    int code = swap_in(path);
    if (code != 0)
        return storage_fail_code(message, code, "install a snapshot in", path);
    log_info("finished the installation of a snapshot", "path=%s index=%" PRIu64, path, install);
    return OK;
}

static enum err read_log(const char *path, raft_index *install, raft_index *base, char *message)
{
    struct meta_put rows[2];
    meta_put_text(&rows[0], "install", "");
    meta_put_text(&rows[1], "base_index", "");
    *base = 0;
    enum err err = rows_read(path, "log", rows, 2, message);
    if (err != OK)
        return err;
    if (!parse_install(rows[0].text, install) ||
        (rows[1].text[0] != '\0' && !meta_parse_decimal(rows[1].text, base)))
        return storage_fail(message, ERR_CORRUPT,
                            "the rows install and base_index in %.300s/log are not numbers; replace "
                            "this member by a new one with an empty --data-dir",
                            path);
    return OK;
}

enum err swap_settle(const char *path, bool has_state, const struct identity *identity,
                     char *message)
{
    raft_index install, base, applied = 0;
    char ours[INCARNATION_TEXT], found[META_TEXT_MAX];
    meta_incarnation_text(identity->incarnation, ours);
    enum err err = read_log(path, &install, &base, message);
    if (err == OK && has_state)
        err = read_state(path, STATE_DIRECTORY, &applied, found, message);
    if (err == OK && (!has_state || applied < install)) {
        err = finish(path, install, ours, message);
        applied = install;
    }
    if (err != OK)
        return err;
    int code = swap_clear(path);
    if (code != 0)
        return storage_fail_code(message, code, "clear an installed snapshot in", path);
    if (base > applied) /* B53 */
        return storage_fail(message, ERR_CORRUPT,
                            "the log in %.200s begins behind entry %" PRIu64
                            ", but the state has come to %" PRIu64 " only; put back the two that "
                            "belong together, or replace this member by a new one with an empty "
                            "--data-dir",
                            path, base, applied);
    return OK;
}
