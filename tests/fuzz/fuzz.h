/* fuzz.h - what the fuzz targets share.
 *
 * A target is one function over the real code.  libFuzzer calls it with inputs that it makes
 * (configure --enable-fuzzing), replay.c with those of tests/fuzz/corpus (every other build).
 * A broken promise aborts: the caller then keeps the input. */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <holdfast/blob.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* `data` has nothing behind it, so a sanitizer sees an overrun.  Always returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZ_MUST(condition)                                                               \
    do {                                                                                   \
        if (!(condition)) {                                                                \
            fprintf(stderr, "%s:%d: broken promise: %s\n", __FILE__, __LINE__, #condition); \
            abort();                                                                       \
        }                                                                                  \
    } while (0)

/* Choices, from the front of an input; when it is used up they are all 0. */
struct fuzz_input {
    const uint8_t *at;
    size_t left;
};

static inline uint8_t fuzz_u8(struct fuzz_input *in)
{
    if (in->left == 0)
        return 0;
    in->left--;
    return *in->at++;
}

static inline uint64_t fuzz_number(struct fuzz_input *in, size_t bytes)
{
    uint64_t number = 0;
    for (size_t i = 0; i < bytes; i++)
        number |= (uint64_t)fuzz_u8(in) << (8 * i);
    return number;
}

/* 0..n-1, n at most 65536. */
static inline uint32_t fuzz_below(struct fuzz_input *in, uint32_t n)
{
    return n <= 1 ? 0 : (uint32_t)fuzz_number(in, n <= 256 ? 1 : 2) % n;
}

static inline struct slice fuzz_bytes(struct fuzz_input *in, size_t size)
{
    struct slice bytes = { in->at, size < in->left ? size : in->left };
    in->at += bytes.size;
    in->left -= bytes.size;
    return bytes;
}

/* A copy with nothing behind it; the caller frees it. */
static inline unsigned char *fuzz_copy(struct slice bytes)
{
    unsigned char *copy = malloc(bytes.size > 0 ? bytes.size : 1);
    FUZZ_MUST(copy != NULL);
    if (bytes.size > 0)
        memcpy(copy, bytes.data, bytes.size);
    return copy;
}

/* For custom mutators: libFuzzer's own mutation, and a number put where a checksum belongs. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

static inline void fuzz_put_u64(uint8_t *at, uint64_t number)
{
    for (int i = 0; i < 8; i++)
        at[i] = (uint8_t)(number >> (8 * i));
}

static inline uint32_t fuzz_get_u32(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

#endif
