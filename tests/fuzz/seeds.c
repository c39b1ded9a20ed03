/* seeds.c - writes the first inputs of the targets that take binary formats: real encodings.
 * usage: seeds FOLDER.  To be run again when a format has changed. */
#include "tests/fuzz/fuzz.h"
#include "tests/unit/test_wire_support.h"

#include <sys/stat.h>

static const char *top;

static void write_seed(const char *target, const char *name, const struct slice *parts, size_t n)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", top, target);
    mkdir(path, 0777);
    snprintf(path, sizeof path, "%s/%s/%s", top, target, name);
    FILE *file = fopen(path, "wb");
    FUZZ_MUST(file != NULL);
    for (size_t i = 0; i < n; i++)
        FUZZ_MUST(fwrite(parts[i].data, 1, parts[i].size, file) == parts[i].size);
    FUZZ_MUST(fclose(file) == 0);
}

static void write_frames(const struct samples *samples)
{
    struct envelope envelope = { .cluster = 1, .from = 1, .to = 2, .n_frames = 1 };
    unsigned char head[ENVELOPE_SIZE];
    struct slice all[1 + SAMPLE_FRAMES];
    struct blob *blobs[SAMPLE_FRAMES];
    envelope_encode(&envelope, head);
    all[0] = slice_of(head, sizeof head);
    for (int i = 0; i < SAMPLE_FRAMES; i++) {
        char name[32];
        blobs[i] = frame_encode(&samples->frames[i]);
        all[1 + i] = blob_slice(blobs[i]);
        struct slice one[2] = { all[0], all[1 + i] };
        snprintf(name, sizeof name, "seed-%02d", i);
        write_seed("frames", name, one, 2);
    }
    envelope.n_frames = SAMPLE_FRAMES;
    envelope_encode(&envelope, head);
    write_seed("frames", "seed-all", all, 1 + SAMPLE_FRAMES);
    for (int i = 0; i < SAMPLE_FRAMES; i++)
        blob_unref(blobs[i]);
}

static void write_records(const struct samples *samples)
{
    static const char *const names[SAMPLE_RECORDS] = { "seed-data", "seed-noop", "seed-more-data" };
    for (int i = 0; i < SAMPLE_RECORDS; i++) {
        uint8_t index[8];
        fuzz_put_u64(index, 101 + (uint64_t)i);
        struct slice parts[2] = { slice_of(index, 8), samples->record_bytes[i] };
        write_seed("record", names[i], parts, 2);
    }
}

static void write_commands(const struct samples *samples)
{
    struct member_info member = sample_member();
    struct command_result failed = { .err = ERR_CONDITION_FAILED, .revision = 63, .index = 1042,
                                     .term = 7, .failed_op = 2, .failed_revision = 9 };
    struct blob *announce = command_encode_announce(&member), *bad = result_encode(&failed);
    struct slice command = slice_of("\0", 1), result = slice_of("\1", 1);
    write_seed("command", "seed-batch", (struct slice[]){ command, blob_slice(samples->command) }, 2);
    write_seed("command", "seed-announce", (struct slice[]){ command, blob_slice(announce) }, 2);
    write_seed("command", "seed-result", (struct slice[]){ result, blob_slice(samples->result) }, 2);
    write_seed("command", "seed-failed", (struct slice[]){ result, blob_slice(bad) }, 2);
    blob_unref(announce);
    blob_unref(bad);
}

int main(int argc, char **argv)
{
    struct samples samples;
    if (argc != 2)
        return EXIT_FAILURE;
    top = argv[1];
    samples_init(&samples);
    write_frames(&samples);
    write_records(&samples);
    write_commands(&samples);
    samples_fini(&samples);
    return EXIT_SUCCESS;
}
