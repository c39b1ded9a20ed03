/* identity.c - a node's files are its memory of votes given: another node, or the same node
 * in another cluster, must never speak from them. */
#include "identity.h"
#include "lmdb_env.h"
#include "meta.h"
#include "rows.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

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

static void copy_row(char *out, size_t size, const struct meta_put *row)
{
    snprintf(out, size, "%s", row->text);
}

enum err data_directory_identity(const char *path, struct identity *out, char *message)
{
    struct meta_put rows[IDENTITY_ROWS];
    struct stat found;
    char file[ENV_PATH_MAX];
    memset(out, 0, sizeof *out);
    if (snprintf(file, sizeof file, "%s/log/data.mdb", path) >= (int)sizeof file ||
        stat(file, &found) != 0)
        return ERR_NOT_FOUND;
    meta_of_identity(out, rows);
    for (unsigned i = 0; i < IDENTITY_ROWS; i++)
        rows[i].text[0] = '\0';
    enum err err = rows_read(path, "log", rows, IDENTITY_ROWS, message);
    if (err == OK && rows[FORMAT].text[0] == '\0')
        err = rows_foreign(path, message);
    if (err == OK)
        err = check_format(path, rows[FORMAT].text, LOG_FORMAT, message);
    if (err != OK)
        return err;
    if (!meta_parse_id(rows[CLUSTER].text, &out->cluster) ||
        !meta_parse_id(rows[ID].text, &out->id) ||
        !meta_parse_incarnation(rows[INCARNATION].text, out->incarnation))
        return storage_fail(message, ERR_CORRUPT, "the identity in %.300s/log is damaged", path);
    copy_row(out->name, sizeof out->name, &rows[NAME]);
    copy_row(out->raft_addr, sizeof out->raft_addr, &rows[RAFT_ADDR]);
    copy_row(out->members, sizeof out->members, &rows[MEMBERS]);
    return OK;
}

enum err identity_compare_log(const char *path, struct identity *identity, char *message)
{
    struct meta_put ours[IDENTITY_ROWS], found[IDENTITY_ROWS + 1];
    meta_of_identity(identity, ours);
    for (unsigned i = 0; i < IDENTITY_ROWS; i++)
        meta_put_text(&found[i], ours[i].key, "");
    meta_put_text(&found[IDENTITY_ROWS], META_ORIGIN, "");
    enum err err = rows_read(path, "log", found, IDENTITY_ROWS + 1, message);
    if (err == OK && found[FORMAT].text[0] == '\0')
        err = rows_foreign(path, message);
    if (err == OK)
        err = check_format(path, found[FORMAT].text, LOG_FORMAT, message);
    /* Restored or recovered: only the directory knows the cluster. */
    if (err == OK && found[IDENTITY_ROWS].text[0] != '\0' &&
        meta_parse_id(found[CLUSTER].text, &identity->cluster))
        meta_put_text(&ours[CLUSTER], ours[CLUSTER].key, found[CLUSTER].text);
    if (err == OK)
        err = compare(path, found, ours, message);
    if (err == OK && !meta_parse_incarnation(found[INCARNATION].text, identity->incarnation))
        err = storage_fail(message, ERR_CORRUPT,
                           "the incarnation in %.300s/log is not 32 hexadecimal digits; replace "
                           "this member by a new one with an empty --data-dir",
                           path);
    return err;
}

enum err identity_compare_state(const char *path, const struct identity *identity, char *message)
{
    struct meta_put state[3], cluster;
    char incarnation[INCARNATION_TEXT];
    meta_incarnation_text(identity->incarnation, incarnation);
    meta_of_cluster(identity->cluster, &cluster);
    meta_put_text(&state[0], "format", "");
    meta_put_text(&state[1], "incarnation", "");
    meta_put_text(&state[2], "cluster", cluster.text); /* older ones have none */
    enum err err = rows_read(path, "state", state, 3, message);
    if (err == OK && state[0].text[0] == '\0')
        err = rows_foreign(path, message);
    if (err == OK)
        err = check_format(path, state[0].text, STATE_FORMAT, message);
    if (err == OK && (strcmp(state[1].text, incarnation) != 0 ||
                      strcmp(state[2].text, cluster.text) != 0))
        err = storage_fail(message, ERR_FOREIGN,
                           "%.200s/state was made with another log than %.200s/log; put back the "
                           "two that belong together",
                           path, path);
    return err;
}
