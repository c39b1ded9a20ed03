/* row.c - rows of TABLE_KV to bytes and back.  The store below keeps a checksum of its own. */
#include "row.h"

#include <holdfast/statemachine.h>

static void write_u64(unsigned char *out, uint64_t number)
{
    for (unsigned i = 0; i < 8; i++)
        out[i] = (unsigned char)(number >> (8 * i));
}

static uint64_t read_u64(const unsigned char *bytes)
{
    uint64_t number = 0;
    for (unsigned i = 0; i < 8; i++)
        number |= (uint64_t)bytes[i] << (8 * i);
    return number;
}

void row_encode(const struct row *row, unsigned char *out)
{
    write_u64(out, row->create_revision);
    write_u64(out + 8, row->revision);
    write_u64(out + 16, row->version);
    if (row->value.size > 0)
        memcpy(out + ROW_HEADER_SIZE, row->value.data, row->value.size);
}

enum err row_decode(struct slice bytes, struct row *out)
{
    const unsigned char *at = bytes.data;
    if (bytes.size < ROW_HEADER_SIZE)
        return ERR_CORRUPT;
    out->create_revision = read_u64(at);
    out->revision = read_u64(at + 8);
    out->version = read_u64(at + 16);
    out->value = slice_of(at + ROW_HEADER_SIZE, bytes.size - ROW_HEADER_SIZE);
    return OK;
}

enum err statemachine_decode_item(struct slice key, struct slice bytes, struct kv_item *out)
{
    struct row row;
    enum err err = row_decode(bytes, &row);
    if (err == OK)
        *out = (struct kv_item){ key, row.value, row.revision, row.create_revision, row.version };
    return err;
}
