/* checksum.c - the one place that knows which checksum it is. */
#include <holdfast/panic.h>
#include <holdfast/wire.h>

#include <xxhash.h>

uint64_t checksum(uint64_t seed, struct slice bytes)
{
    return XXH3_64bits_withSeed(bytes.data, bytes.size, seed);
}

static XXH3_state_t *state(struct checksum_stream *stream)
{
    return (XXH3_state_t *)stream;
}

struct checksum_stream *checksum_stream_new(void)
{
    XXH3_state_t *stream = XXH3_createState();
    ASSERT(stream != NULL && XXH3_64bits_reset(stream) == XXH_OK);
    return (struct checksum_stream *)stream;
}

void checksum_stream_add(struct checksum_stream *stream, struct slice bytes)
{
    if (bytes.size > 0)
        XXH3_64bits_update(state(stream), bytes.data, bytes.size);
}

uint64_t checksum_stream_end(struct checksum_stream *stream)
{
    uint64_t sum = XXH3_64bits_digest(state(stream));
    XXH3_freeState(state(stream));
    return sum;
}
