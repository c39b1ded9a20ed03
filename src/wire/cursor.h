/* cursor.h - little-endian numbers and bytes, read and written with a bound.
 *
 * A reader is sticky: after the first read past the end every read answers 0 and `bad` stays
 * set, so a decoder reads all its fields and looks once.  A writer's bound is the programmer's
 * promise, since sizes are computed before. */
#ifndef HOLDFAST_WIRE_CURSOR_H
#define HOLDFAST_WIRE_CURSOR_H

#include <holdfast/blob.h>
#include <holdfast/panic.h>

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct reader {
    const unsigned char *at;
    size_t left;
    bool bad;
};

static inline struct reader reader_of(struct slice bytes)
{
    return (struct reader){ bytes.data, bytes.size, false };
}

/* The next `size` bytes, borrowed; NULL, and bad, if there are fewer. */
static inline const unsigned char *read_bytes(struct reader *reader, size_t size)
{
    if (reader->bad || reader->left < size) {
        reader->bad = true;
        return NULL;
    }
    const unsigned char *bytes = reader->at;
    reader->left -= size;
    if (size > 0)
        reader->at += size;
    return bytes;
}

static inline struct slice read_slice(struct reader *reader, size_t size)
{
    const unsigned char *bytes = read_bytes(reader, size);
    return slice_of(bytes, bytes != NULL ? size : 0);
}

/* The low `size` bytes of a number, the least significant first. */
static inline uint64_t read_number(struct reader *reader, size_t size)
{
    const unsigned char *bytes = read_bytes(reader, size);
    uint64_t number = 0;
    if (bytes == NULL)
        return 0;
    for (size_t i = 0; i < size; i++)
        number |= (uint64_t)bytes[i] << (8 * i);
    return number;
}

static inline uint8_t read_u8(struct reader *reader)
{
    return (uint8_t)read_number(reader, 1);
}

static inline uint16_t read_u16(struct reader *reader)
{
    return (uint16_t)read_number(reader, 2);
}

static inline uint32_t read_u32(struct reader *reader)
{
    return (uint32_t)read_number(reader, 4);
}

static inline uint64_t read_u64(struct reader *reader)
{
    return read_number(reader, 8);
}

/* Reserved bytes, at most 8: what is not zero is a format that we do not know. */
static inline void read_zeros(struct reader *reader, size_t size)
{
    if (read_number(reader, size) != 0)
        reader->bad = true;
}

/* True if all was there and nothing is left over. */
static inline bool reader_ended(const struct reader *reader)
{
    return !reader->bad && reader->left == 0;
}

struct writer {
    unsigned char *at;
    size_t left;
};

static inline struct writer writer_of(unsigned char *out, size_t size)
{
    return (struct writer){ out, size };
}

static inline void write_number(struct writer *writer, uint64_t number, size_t size)
{
    ASSERT(writer->left >= size);
    for (size_t i = 0; i < size; i++)
        writer->at[i] = (unsigned char)(number >> (8 * i));
    writer->at += size;
    writer->left -= size;
}

static inline void write_u8(struct writer *writer, uint8_t number)
{
    write_number(writer, number, 1);
}

static inline void write_u16(struct writer *writer, uint16_t number)
{
    write_number(writer, number, 2);
}

static inline void write_u32(struct writer *writer, uint32_t number)
{
    write_number(writer, number, 4);
}

static inline void write_u64(struct writer *writer, uint64_t number)
{
    write_number(writer, number, 8);
}

static inline void write_zeros(struct writer *writer, size_t size)
{
    write_number(writer, 0, size);
}

static inline void write_slice(struct writer *writer, struct slice bytes)
{
    ASSERT(writer->left >= bytes.size);
    if (bytes.size > 0)
        memcpy(writer->at, bytes.data, bytes.size);
    writer->at += bytes.size;
    writer->left -= bytes.size;
}

#endif
