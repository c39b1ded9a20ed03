/* blob.c - reference-counted bytes, and memory that is there or ends the process. */
#include <holdfast/blob.h>
#include <holdfast/panic.h>

#include <stdint.h>
#include <stdlib.h>

static void *or_die(void *memory)
{
    if (memory == NULL)
        panic(EXIT_STATUS_IO, "out of memory");
    return memory;
}

struct blob *blob_new(size_t size)
{
    ASSERT(size <= SIZE_MAX - sizeof(struct blob));
    struct blob *blob = or_die(malloc(sizeof *blob + size));
    atomic_init(&blob->references, 1);
    blob->size = size;
    return blob;
}

struct blob *blob_copy(struct slice bytes)
{
    struct blob *blob = blob_new(bytes.size);
    if (bytes.size > 0)
        memcpy(blob->data, bytes.data, bytes.size);
    return blob;
}

struct blob *blob_ref(struct blob *blob)
{
    unsigned before = atomic_fetch_add_explicit(&blob->references, 1, memory_order_relaxed);
    ASSERT(before > 0);
    return blob;
}

void blob_unref(struct blob *blob)
{
    if (blob == NULL)
        return;
    unsigned before = atomic_fetch_sub_explicit(&blob->references, 1, memory_order_acq_rel);
    ASSERT(before > 0);
    if (before == 1)
        free(blob);
}

void *memory_new(size_t size)
{
    return or_die(calloc(1, size > 0 ? size : 1));
}

void *memory_new_array(size_t count, size_t size)
{
    return or_die(calloc(count > 0 ? count : 1, size > 0 ? size : 1));
}

void *memory_grow(void *old, size_t count, size_t size)
{
    ASSERT(count > 0 && size > 0 && count <= SIZE_MAX / size);
    return or_die(realloc(old, count * size));
}

char *memory_strdup(const char *text)
{
    return or_die(strdup(text));
}

int slice_compare(struct slice a, struct slice b)
{
    size_t common = a.size < b.size ? a.size : b.size;
    int order = common > 0 ? memcmp(a.data, b.data, common) : 0;
    if (order != 0)
        return order;
    return (a.size > b.size) - (a.size < b.size);
}

bool slice_equal(struct slice a, struct slice b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

bool slice_has_prefix(struct slice bytes, struct slice prefix)
{
    return bytes.size >= prefix.size &&
           (prefix.size == 0 || memcmp(bytes.data, prefix.data, prefix.size) == 0);
}
