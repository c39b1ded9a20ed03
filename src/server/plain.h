/* plain.h - how far text needs no second look: the inner loop of reading and writing values. */
#ifndef HOLDFAST_SERVER_PLAIN_H
#define HOLDFAST_SERVER_PLAIN_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* True for what stands in a JSON string as it is and is ASCII. */
static inline int plain_byte(unsigned char c)
{
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

/* How many bytes at the beginning are plain.  Eight at a time: a byte's top bit in `odd` is set
 * if that byte is not plain, or (harmlessly) if one below it in the word is not. */
static inline size_t plain_prefix(const unsigned char *bytes, size_t size)
{
    const uint64_t ones = 0x0101010101010101u, tops = 0x8080808080808080u;
    size_t at = 0;

    for (uint64_t word; size - at >= sizeof word; at += sizeof word) {
        memcpy(&word, bytes + at, sizeof word);
        uint64_t quote = word ^ (ones * '"'), slash = word ^ (ones * '\\');
        uint64_t odd = word | (word - ones * 0x20) | (quote - ones) | (slash - ones);
        if ((odd & tops) != 0)
            break;
    }
    while (at < size && plain_byte(bytes[at]))
        at++;
    return at;
}

#endif
