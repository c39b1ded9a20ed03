/* base64.c - the codec, and nothing about what it carries. */
#include "base64.h"

#include <stdint.h>

static const char alphabets[2][65] = {
    [BASE64_STANDARD] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
    [BASE64_URL] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
};

size_t base64_encode(enum base64_kind kind, struct slice bytes, char *out)
{
    const char *alphabet = alphabets[kind];
    const unsigned char *in = bytes.data;
    char *to = out;
    size_t left = bytes.size;

    for (; left >= 3; left -= 3, in += 3) {
        uint32_t group = (uint32_t)in[0] << 16 | (uint32_t)in[1] << 8 | in[2];
        *to++ = alphabet[group >> 18];
        *to++ = alphabet[group >> 12 & 63];
        *to++ = alphabet[group >> 6 & 63];
        *to++ = alphabet[group & 63];
    }
    if (left > 0) {
        uint32_t group = (uint32_t)in[0] << 16 | (left == 2 ? (uint32_t)in[1] << 8 : 0);
        *to++ = alphabet[group >> 18];
        *to++ = alphabet[group >> 12 & 63];
        if (left == 2)
            *to++ = alphabet[group >> 6 & 63];
        for (size_t i = left; kind == BASE64_STANDARD && i < 3; i++)
            *to++ = '=';
    }
    return (size_t)(to - out);
}

static int digit_of(enum base64_kind kind, unsigned char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == (kind == BASE64_URL ? '-' : '+'))
        return 62;
    if (c == (kind == BASE64_URL ? '_' : '/'))
        return 63;
    return -1;
}

bool base64_decode(enum base64_kind kind, struct slice text, unsigned char *out, size_t *size)
{
    const unsigned char *in = text.data;
    size_t n = text.size;
    uint32_t group = 0;
    size_t used = 0;

    if (kind == BASE64_STANDARD) {
        if (n % 4 != 0)
            return false;
        for (int padding = 0; padding < 2 && n > 0 && in[n - 1] == '='; padding++)
            n--;
    }
    if (n % 4 == 1)
        return false;
    for (size_t i = 0; i < n; i++) {
        int digit = digit_of(kind, in[i]);
        if (digit < 0)
            return false;
        group = group << 6 | (uint32_t)digit;
        if (i % 4 == 0)
            continue;
        unsigned spare =
            6 - 2 * (unsigned)(i % 4); /* bits of the group that belong to the next byte */
        out[used++] = (unsigned char)(group >> spare);
        group &= (1u << spare) - 1;
    }
    if (group != 0) /* spare bits must be zero, or two texts would mean one value */
        return false;
    *size = used;
    return true;
}
