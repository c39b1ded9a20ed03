/* cursor.c - the bytes of a cursor.  Its checksum is no secret: a forged cursor can only name
 * a key to go on behind, which `start` can do as well. */
#include "cursor.h"

#include "base64.h"

#include <holdfast/panic.h>

enum { CURSOR_VERSION = 1, CURSOR_OVERHEAD = 1 + 8 + 8 };

static void put_u64(unsigned char *out, uint64_t value)
{
    for (unsigned i = 0; i < 8; i++)
        out[i] = (unsigned char)(value >> (8 * i));
}

static uint64_t get_u64(const unsigned char *in)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < 8; i++)
        value |= (uint64_t)in[i] << (8 * i);
    return value;
}

uint64_t cursor_digest(uint64_t cluster, const struct list_query *query)
{
    const struct slice parts[] = { query->prefix, query->start, query->end };
    uint64_t digest = cluster ^ (query->descending ? 0x9e3779b97f4a7c15u : 0);

    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        digest = checksum(digest + parts[i].size, parts[i].size > 0 ? parts[i] : slice_of("", 0));
    return digest;
}

size_t cursor_encode(uint64_t digest, struct slice last_key, char out[CURSOR_TEXT_MAX])
{
    unsigned char bytes[CURSOR_BYTES_MAX];
    size_t size = 1 + 8;

    ASSERT(last_key.size > 0 && last_key.size <= KEY_SIZE_MAX);
    bytes[0] = CURSOR_VERSION;
    put_u64(bytes + 1, digest);
    memcpy(bytes + size, last_key.data, last_key.size);
    size += last_key.size;
    put_u64(bytes + size, checksum(CURSOR_VERSION, slice_of(bytes, size)));
    return base64_encode(BASE64_URL, slice_of(bytes, size + 8), out);
}

bool cursor_decode(uint64_t digest, struct slice text, unsigned char *key, struct slice *after,
                   struct problem *problem)
{
    unsigned char bytes[BASE64_DECODED_MAX(CURSOR_TEXT_MAX)];
    size_t size = 0;

    if (text.size > CURSOR_TEXT_MAX || !base64_decode(BASE64_URL, text, bytes, &size) ||
        size <= CURSOR_OVERHEAD || size > CURSOR_BYTES_MAX || bytes[0] != CURSOR_VERSION ||
        get_u64(bytes + size - 8) != checksum(CURSOR_VERSION, slice_of(bytes, size - 8)))
        return problem_set(
            problem, ERR_BAD_REQUEST,
            "give back the \"cursor\" of the page before, unchanged, or leave it out "
            "to begin anew",
            "parameter \"cursor\" is not a cursor of this store");
    if (get_u64(bytes + 1) != digest)
        return problem_set(
            problem, ERR_BAD_REQUEST,
            "repeat the prefix, start, end and order of the list that gave the cursor",
            "parameter \"cursor\" belongs to another list");
    memcpy(key, bytes + 1 + 8, size - CURSOR_OVERHEAD);
    *after = slice_of(key, size - CURSOR_OVERHEAD);
    return true;
}
