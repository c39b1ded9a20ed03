/* lose_key.c - makes the state in a data directory that of a node which has applied something
 * differently: lose-key DIRECTORY KEY deletes the key, and counts and digest go with it.  The node
 * must be down. */
#include <holdfast/statemachine.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct state_store *open_store(const char *directory)
{
    char message[STORAGE_MESSAGE_MAX];
    char path[4096];
    snprintf(path, sizeof path, "%s", directory);
    struct data_directory at = { .path = path };
    struct storage_options options = { 0 };
    struct state_store *store;
    if (state_lmdb_open(&at, &options, &store, message) == OK)
        return store;
    fprintf(stderr, "lose-key: %s\n", message);
    exit(1);
}

/* The digest of what is there; the store, which has none at the moment, is walked. */
static uint64_t digest_of(struct state_store *store, uint64_t *keys)
{
    struct statemachine *sm;
    enum err err = statemachine_new(store, &sm);
    if (err != OK) {
        fprintf(stderr, "lose-key: the state cannot be read: %s\n", err_text(err));
        exit(1);
    }
    uint64_t digest = statemachine_digest(sm);
    *keys = statemachine_keys(sm);
    statemachine_free(sm);
    return digest;
}

static struct state_change change_of(enum state_table table, const char *key, const char *value)
{
    return (struct state_change){ table, slice_text(key),
                                  value != NULL ? slice_text(value) : slice_of(NULL, 0) };
}

static void write_all(const char *directory, struct state_change *changes, size_t n)
{
    struct state_store *store = open_store(directory);
    struct state_job job = { .changes = changes, .n = n };
    store->ops->submit(store, &job);
    store->ops->close(store); /* writes it */
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: lose-key DIRECTORY KEY\n");
        return 2;
    }
    char text[32];
    uint64_t keys;
    struct state_store *store = open_store(argv[1]);
    digest_of(store, &keys);
    store->ops->close(store);

    snprintf(text, sizeof text, "%" PRIu64, keys - 1);
    struct state_change lose[] = { change_of(TABLE_META, "digest", NULL),
                                   change_of(TABLE_META, "keys", text),
                                   change_of(TABLE_KV, argv[2], NULL) };
    write_all(argv[1], lose, 3);

    store = open_store(argv[1]);
    uint64_t digest = digest_of(store, &keys); /* fails if the key was not there */
    store->ops->close(store);
    snprintf(text, sizeof text, "%016" PRIx64, digest);
    struct state_change tell = change_of(TABLE_META, "digest", text);
    write_all(argv[1], &tell, 1);
    return 0;
}
