/* rows.c - see rows.h. */
#include "rows.h"
#include "lmdb_env.h"

#include <stdio.h>

enum err rows_foreign(const char *path, char *message)
{
    return storage_fail(message, ERR_FOREIGN,
                        "%.300s is an LMDB environment, but not Holdfast's; choose another "
                        "--data-dir",
                        path);
}

enum err rows_read(const char *path, const char *name, struct meta_put *rows, size_t n,
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
        if (code == MDB_NOTFOUND) {
            code = 0;
            continue;
        }
        if (code == 0 && value.mv_size >= META_TEXT_MAX)
            code = MDB_CORRUPTED;
        if (code == 0) {
            memset(rows[i].text, 0, META_TEXT_MAX);
            memcpy(rows[i].text, value.mv_data, value.mv_size);
        }
    }
    if (txn != NULL)
        mdb_txn_abort(txn);
    mdb_env_close(env);
    if (code == MDB_NOTFOUND) /* a sound file, but not one of ours */
        return rows_foreign(full, message);
    return code == 0 ? OK : storage_fail_code(message, code, "read", full);
}
