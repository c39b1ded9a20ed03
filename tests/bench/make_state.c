/* make_state.c - a data directory whose state holds N keys, made by applying entries as a node
 * does, far faster than clients could write them.  What is at DIRECTORY/state/data.mdb in the end is
 * a file for `holdfast restore`.
 *
 * usage: make_state DIRECTORY KEYS VALUE-SIZE */
#include <holdfast/panic.h>
#include <holdfast/statemachine.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { KEY_SIZE = 12, FLUSH_ENTRIES = 64 };

struct maker {
    struct statemachine *sm;
    struct state_store *store;
    unsigned char *value;
    uint32_t value_size;
    char keys[BATCH_OPS_MAX][KEY_SIZE + 1];
    struct kv_op ops[BATCH_OPS_MAX];
};

static void fail(const char *what, enum err err)
{
    fprintf(stderr, "make_state: %s: %s\n", what, err_text(err));
    exit(1);
}

static void flushed(void *arg, struct state_job *job)
{
    statemachine_flushed(((struct maker *)arg)->sm, job);
}

static void flush(struct maker *maker)
{
    raft_index applied;
    struct state_job *job = statemachine_seal(maker->sm, &applied);
    if (job == NULL)
        return;
    maker->store->ops->submit(maker->store, job);
    while (statemachine_sealed(maker->sm)) {
        usleep(500);
        maker->store->ops->drain(maker->store, flushed, maker);
    }
}

/* Sets the keys from `first` on by one entry. */
static void apply(struct maker *maker, uint64_t first, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        snprintf(maker->keys[i], sizeof maker->keys[i], "key-%08" PRIu32, (uint32_t)(first + i));
        maker->ops[i] = (struct kv_op){ .type = KV_SET, .key = slice_of(maker->keys[i], KEY_SIZE),
                                        .value = slice_of(maker->value, maker->value_size) };
    }
    struct blob *command = blob_new(command_batch_size(maker->ops, n));
    command_encode_batch(maker->ops, n, command->data);
    struct record entry = { .index = statemachine_applied(maker->sm) + 1, .term = 1,
                            .kind = RAFT_DATA, .payload = blob_slice(command) };
    struct command_result result;
    enum err err = statemachine_apply(maker->sm, &entry, &result);
    if (err == OK)
        err = result.err;
    if (err != OK)
        fail("cannot apply", err);
    blob_unref(command);
}

static void fill(struct maker *maker, uint64_t keys)
{
    uint64_t entries = 0;
    for (uint64_t at = 0; at < keys; at += BATCH_OPS_MAX) {
        uint64_t left = keys - at;
        apply(maker, at, left < BATCH_OPS_MAX ? (uint32_t)left : BATCH_OPS_MAX);
        if (++entries % FLUSH_ENTRIES == 0)
            flush(maker);
    }
    flush(maker);
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: make_state DIRECTORY KEYS VALUE-SIZE\n");
        return 2;
    }
    struct identity identity = { .cluster = 1, .id = 1, .name = "maker",
                                 .raft_addr = "127.0.0.1:1", .members = "127.0.0.1:1" };
    struct storage_options options = { 0 };
    struct data_directory *dir;
    char message[STORAGE_MESSAGE_MAX] = "";
    struct maker *maker = memory_new(sizeof *maker);
    enum err err = data_directory_open(argv[1], &identity, &dir, message);
    if (err == OK)
        err = state_lmdb_open(dir, &options, &maker->store, message);
    if (err != OK)
        fail(message, err);
    err = statemachine_new(maker->store, &maker->sm);
    if (err != OK)
        fail("cannot open the state", err);
    maker->value_size = (uint32_t)strtoul(argv[3], NULL, 10);
    maker->value = memory_grow(NULL, maker->value_size + 1, 1);
    memset(maker->value, 'v', maker->value_size);

    fill(maker, strtoull(argv[2], NULL, 10));
    printf("keys=%" PRIu64 " applied=%" PRIu64 " digest=%016" PRIx64 "\n",
           statemachine_keys(maker->sm), statemachine_applied(maker->sm),
           statemachine_digest(maker->sm));
    statemachine_free(maker->sm);
    maker->store->ops->close(maker->store);
    data_directory_close(dir);
    free(maker->value);
    free(maker);
    return 0;
}
