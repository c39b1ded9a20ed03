/* result.c - what applying a command answered, on its way to the node that asked.
 *
 * Only what a result's type has is written; the rest decodes to zero. */
#include "code.h"
#include "cursor.h"

#include <holdfast/wire.h>

enum {
    RESULT_HEADER_SIZE = 32,
    ITEM_HEADER_SIZE = 8,
    ITEM_REVISIONS_SIZE = 24,
    FLAG_FOUND = 1 << 0,
    FLAG_CREATED = 1 << 1,
};

static bool has_revisions(const struct kv_result *result)
{
    return result->type == KV_SET || (result->type == KV_GET && result->found);
}

static size_t item_size(const struct kv_result *result)
{
    size_t size = ITEM_HEADER_SIZE;
    if (has_revisions(result))
        size += ITEM_REVISIONS_SIZE;
    if (result->type == KV_DELETE_PREFIX)
        size += 8;
    if (result->type == KV_GET && result->found)
        size += result->value.size;
    return size;
}

static void write_item(struct writer *writer, const struct kv_result *result)
{
    bool set = result->type == KV_SET, get = result->type == KV_GET;
    bool found = (get || result->type == KV_DELETE) && result->found;
    struct slice value = get && found ? result->value : slice_of(NULL, 0);

    ASSERT(result->type >= KV_SET && result->type <= KV_GET && value.size <= VALUE_SIZE_MAX);
    write_u8(writer, (uint8_t)result->type);
    int flags = (found ? FLAG_FOUND : 0) | (set && result->created ? FLAG_CREATED : 0);
    write_u8(writer, (uint8_t)flags);
    write_zeros(writer, 2);
    write_u32(writer, (uint32_t)value.size);
    if (has_revisions(result)) {
        write_u64(writer, result->revision);
        write_u64(writer, result->create_revision);
        write_u64(writer, result->version);
    }
    if (result->type == KV_DELETE_PREFIX)
        write_u64(writer, result->deleted);
    write_slice(writer, value);
}

static bool result_err_valid(enum err err)
{
    return err == OK || err == ERR_CONDITION_FAILED || err == ERR_TOO_LARGE ||
           err == ERR_BAD_REQUEST;
}

struct blob *result_encode(const struct command_result *result)
{
    bool ok = result->err == OK;
    size_t size = RESULT_HEADER_SIZE + (ok ? 0 : 8);
    ASSERT(result_err_valid(result->err) && result->n <= BATCH_OPS_MAX);
    for (uint32_t i = 0; ok && i < result->n; i++)
        size += item_size(&result->results[i]);

    struct blob *blob = blob_new(size);
    struct writer writer = writer_of(blob->data, size);
    write_u8(&writer, code_of_err(result->err));
    write_zeros(&writer, 3);
    write_u32(&writer, ok ? result->n : result->failed_op);
    write_u64(&writer, result->revision);
    write_u64(&writer, result->index);
    write_u64(&writer, result->term);
    if (!ok)
        write_u64(&writer, result->err == ERR_CONDITION_FAILED ? result->failed_revision : 0);
    for (uint32_t i = 0; ok && i < result->n; i++)
        write_item(&writer, &result->results[i]);
    ASSERT(writer.left == 0);
    return blob;
}

static bool read_item(struct reader *reader, struct kv_result *out)
{
    *out = (struct kv_result){ 0 };
    uint8_t type = read_u8(reader);
    uint8_t flags = read_u8(reader);
    read_zeros(reader, 2);
    size_t value_size = read_u32(reader);
    uint8_t known_flags = type == KV_SET                          ? FLAG_CREATED
                          : type == KV_GET || type == KV_DELETE ? FLAG_FOUND
                                                                : 0;
    if (reader->bad || type < KV_SET || type > KV_GET || (flags & ~known_flags) != 0)
        return false;

    out->type = (enum kv_op_type)type;
    out->found = (flags & FLAG_FOUND) != 0;
    out->created = (flags & FLAG_CREATED) != 0;
    if (value_size > (type == KV_GET && out->found ? VALUE_SIZE_MAX : 0))
        return false;
    if (has_revisions(out)) {
        out->revision = read_u64(reader);
        out->create_revision = read_u64(reader);
        out->version = read_u64(reader);
    }
    if (type == KV_DELETE)
        out->deleted = out->found ? 1 : 0;
    if (type == KV_DELETE_PREFIX)
        out->deleted = read_u64(reader);
    out->value = read_slice(reader, value_size);
    return !reader->bad;
}

/* Reads what follows the header of a command that succeeded. */
static bool read_items(struct reader *reader, uint32_t n, struct kv_result *results)
{
    size_t values = 0;
    if (n > BATCH_OPS_MAX)
        return false;
    for (uint32_t i = 0; i < n; i++) {
        if (!read_item(reader, &results[i]))
            return false;
        values += results[i].value.size;
    }
    return values <= BATCH_RESULT_MAX && reader_ended(reader);
}

enum err result_decode(struct slice bytes, struct kv_result *results, struct command_result *out)
{
    struct reader reader = reader_of(bytes);
    *out = (struct command_result){ .results = results };
    uint8_t code = read_u8(&reader);
    read_zeros(&reader, 3);
    uint32_t number = read_u32(&reader);
    out->revision = read_u64(&reader);
    out->index = read_u64(&reader);
    out->term = read_u64(&reader);
    if (reader.bad || !code_to_err(code, &out->err) || !result_err_valid(out->err))
        return ERR_CORRUPT;
    if (out->err == OK) {
        out->n = number;
        return read_items(&reader, number, results) ? OK : ERR_CORRUPT;
    }
    out->failed_op = number;
    out->failed_revision = read_u64(&reader);
    if (!reader_ended(&reader) || out->failed_op >= BATCH_OPS_MAX)
        return ERR_CORRUPT;
    if (out->err != ERR_CONDITION_FAILED && out->failed_revision != 0)
        return ERR_CORRUPT;
    return OK;
}
