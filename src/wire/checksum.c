/* checksum.c - the one place that knows which checksum it is. */
#include <holdfast/wire.h>

#include <xxhash.h>

uint64_t checksum(uint64_t seed, struct slice bytes)
{
    return XXH3_64bits_withSeed(bytes.data, bytes.size, seed);
}
