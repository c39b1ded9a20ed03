/* identity.c - a node's files are its memory of votes given: another node, or the same node
 * in another cluster, must never speak from them. */
#include "identity.h"
#include "lmdb_env.h"
#include "meta.h"

#include <stdio.h>

/* Reads `n` rows of the environment's `meta`; rows[i].key says which. */
static enum err read_rows(const char *path, const char *name, struct meta_put *rows, size_t n,
                          char *message)
{
    char full[ENV_PATH_MAX];
    MDB_env *env;
    MDB_txn *txn = NULL;
    MDB_dbi meta = 0;
    snprintf(full, sizeof full, "%s/%s", path, name);
    enum err err = lmdb_env_open(full, 0, false, &env, message);
    if (err != OK)
        return err;
    int code = mdb_txn_begin(env, NULL, MDB_RDONLY, &txn);
    if (code == 0)
        code = mdb_dbi_open(txn, "meta", 0, &meta);
    for (size_t i = 0; code == 0 && i < n; i++) {
        MDB_val key = val_of(slice_text(rows[i].key)), value;
        code = mdb_get(txn, meta, &key, &value);
        if (code == 0 && value.mv_size >= META_TEXT_MAX)
            code = MDB_CORRUPTED;
        if (code == 0)
            memcpy(rows[i].text, value.mv_data, value.mv_size);
    }
    if (txn != NULL)
        mdb_txn_abort(txn);
    mdb_env_close(env);
    if (code == MDB_NOTFOUND) /* a sound file, but not one of ours */
        return storage_fail(message, ERR_FOREIGN,
                            "%.300s is an LMDB environment, but not Holdfast's; choose another "
                            "--data-dir",
                            full);
    return code == 0 ? OK : storage_fail_code(message, code, "read", full);
}

static enum err check_format(const char *path, const char *found, const char *known, char *message)
{
    if (strcmp(found, known) == 0)
        return OK;
    return storage_fail(message, ERR_FOREIGN,
                        "the data directory %.200s is in format \"%.60s\", this program reads "
                        "\"%s\"; use the version of the program that wrote it",
                        path, found, known);
}

static enum err differs(const char *path, const char *found, const char *ours, const char *what,
                        const char *advice, char *message)
{
    return storage_fail(message, ERR_FOREIGN,
                        "the data directory %.100s belongs to %s %.120s, not to %.120s; %s", path,
                        what, found, ours, advice);
}

enum { FORMAT, CLUSTER, ID, NAME, RAFT_ADDR, MEMBERS, INCARNATION }; /* as meta_of_identity */

static enum err compare(const char *path, const struct meta_put *found,
                        const struct meta_put *ours, char *message)
{
    static const struct {
        unsigned row;
        const char *what, *advice;
    } checks[] = { /* what a person would recognise first comes first */
        { NAME, "the node named", "give each node a --data-dir of its own" },
        { RAFT_ADDR, "a node with the raft address",
          "start it with its old --raft-addr, or choose another --data-dir" },
        { MEMBERS, "the cluster of",
          "start it with its old --peers, or choose another --data-dir" },
        { CLUSTER, "cluster", "start it with its old --peers, or choose another --data-dir" },
        { ID, "node id", "start it with its old --raft-addr, or choose another --data-dir" },
    };
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
        const char *theirs = found[checks[i].row].text, *mine = ours[checks[i].row].text;
        if (strcmp(theirs, mine) != 0)
            return differs(path, theirs, mine, checks[i].what, checks[i].advice, message);
    }
    return OK;
}

enum err identity_compare(const char *path, struct identity *identity, char *message)
{
    struct meta_put ours[IDENTITY_ROWS], found[IDENTITY_ROWS], state[2];
    meta_of_identity(identity, ours);
    for (unsigned i = 0; i < IDENTITY_ROWS; i++)
        meta_put_text(&found[i], ours[i].key, "");
    meta_put_text(&state[0], "format", "");
    meta_put_text(&state[1], "incarnation", "");

    enum err err = read_rows(path, "log", found, IDENTITY_ROWS, message);
    if (err == OK)
        err = check_format(path, found[FORMAT].text, LOG_FORMAT, message);
    if (err == OK)
        err = compare(path, found, ours, message);
    if (err == OK && !meta_parse_incarnation(found[INCARNATION].text, identity->incarnation))
        err = storage_fail(message, ERR_CORRUPT,
                           "the incarnation in %.300s/log is not 32 hexadecimal digits; replace "
                           "this member by a new one with an empty --data-dir",
                           path);
    if (err == OK)
        err = read_rows(path, "state", state, 2, message);
    if (err == OK)
        err = check_format(path, state[0].text, STATE_FORMAT, message);
    if (err == OK && strcmp(state[1].text, found[INCARNATION].text) != 0)
        err = storage_fail(message, ERR_FOREIGN,
                           "%.200s/state was made with another log than %.200s/log; put back the "
                           "two that belong together",
                           path, path);
    return err;
}
