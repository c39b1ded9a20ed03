/* blob.h - bytes: borrowed (struct slice) or reference-counted (struct blob). */
#ifndef HOLDFAST_BLOB_H
#define HOLDFAST_BLOB_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* Borrowed bytes: valid as long as whoever lent them says.  data may be NULL if size is 0. */
struct slice {
    const void *data;
    size_t size;
};

/* Shared bytes.  Written by its creator before it is shared, never after; the count is
 * atomic, so any thread may hold a reference. */
struct blob {
    atomic_uint references;
    size_t size; /* bytes in use; the creator may lower it before sharing */
    unsigned char data[];
};

/* A blob of `size` uninitialised bytes with one reference.  Ends the process when memory
 * is exhausted: every caller's size is bounded by a limit checked before. */
struct blob *blob_new(size_t size);
struct blob *blob_copy(struct slice bytes);
struct blob *blob_ref(struct blob *blob); /* returns its argument */
void blob_unref(struct blob *blob);       /* NULL is fine */

/* malloc and friends for small things; they end the process when memory is exhausted. */
void *memory_new(size_t size);            /* zeroed */
void *memory_new_array(size_t count, size_t size); /* zeroed; checks the product */
void *memory_grow(void *old, size_t count, size_t size); /* realloc of count * size; not zeroed */
char *memory_strdup(const char *text);

static inline struct slice slice_of(const void *data, size_t size)
{
    return (struct slice){ data, size };
}

static inline struct slice slice_text(const char *text)
{
    return (struct slice){ text, strlen(text) };
}

static inline struct slice blob_slice(const struct blob *blob)
{
    return (struct slice){ blob->data, blob->size };
}

/* Bytewise order, a prefix before what it begins: the order of LMDB's default keys. */
int slice_compare(struct slice a, struct slice b);
bool slice_equal(struct slice a, struct slice b);
bool slice_has_prefix(struct slice bytes, struct slice prefix);

#endif
