/* command.c - commands: what a client's write is in the log.
 *
 * Every node decodes the same bytes to the same command or refuses them alike, so the rules
 * here are part of the replicated behaviour: changing one needs a new command type. */
#include "cursor.h"

#include <holdfast/wire.h>

enum {
    BATCH_HEADER_SIZE = 8,
    OP_HEADER_SIZE = 8, /* then 8 bytes of revision if the condition has one */
    ANNOUNCE_HEADER_SIZE = 16,
};

static bool op_valid(const struct kv_op *op)
{
    size_t key_min = op->type == KV_DELETE_PREFIX ? 0 : 1;
    size_t value_max = op->type == KV_SET ? VALUE_SIZE_MAX : 0;

    if (op->type < KV_SET || op->type > KV_GET || op->condition > CONDITION_EXISTS)
        return false;
    /* A prefix is no single key: there is nothing that a condition could look at. */
    if (op->type == KV_DELETE_PREFIX && op->condition != CONDITION_NONE)
        return false;
    return op->key.size >= key_min && op->key.size <= KEY_SIZE_MAX && op->value.size <= value_max;
}

static bool member_valid(const struct member_info *member)
{
    return member->id != 0 && node_name_valid(member->name) && address_valid(member->raft_addr) &&
           address_valid(member->http_addr);
}

size_t command_batch_size(const struct kv_op *ops, uint32_t n)
{
    size_t size = BATCH_HEADER_SIZE;
    for (uint32_t i = 0; i < n; i++) {
        size += OP_HEADER_SIZE + ops[i].key.size + ops[i].value.size;
        if (ops[i].condition == CONDITION_REVISION)
            size += 8;
    }
    return size;
}

size_t command_encode_batch(const struct kv_op *ops, uint32_t n, unsigned char *out)
{
    size_t size = command_batch_size(ops, n);
    ASSERT(n > 0 && n <= BATCH_OPS_MAX && size <= COMMAND_SIZE_MAX);

    struct writer writer = writer_of(out, size);
    write_u8(&writer, COMMAND_BATCH);
    write_zeros(&writer, 3);
    write_u32(&writer, n);
    for (uint32_t i = 0; i < n; i++) {
        ASSERT(op_valid(&ops[i]));
        write_u8(&writer, (uint8_t)ops[i].type);
        write_u8(&writer, (uint8_t)ops[i].condition);
        write_u16(&writer, (uint16_t)ops[i].key.size);
        write_u32(&writer, (uint32_t)ops[i].value.size);
        if (ops[i].condition == CONDITION_REVISION)
            write_u64(&writer, ops[i].revision);
        write_slice(&writer, ops[i].key);
        write_slice(&writer, ops[i].value);
    }
    ASSERT(writer.left == 0);
    return size;
}

struct blob *command_encode_announce(const struct member_info *member)
{
    ASSERT(member_valid(member));
    struct blob *blob = blob_new(ANNOUNCE_HEADER_SIZE + member->name.size +
                                 member->raft_addr.size + member->http_addr.size);
    struct writer writer = writer_of(blob->data, blob->size);
    write_u8(&writer, COMMAND_ANNOUNCE);
    write_u8(&writer, (uint8_t)member->name.size);
    write_u16(&writer, (uint16_t)member->raft_addr.size);
    write_u16(&writer, (uint16_t)member->http_addr.size);
    write_zeros(&writer, 2);
    write_u64(&writer, member->id);
    write_slice(&writer, member->name);
    write_slice(&writer, member->raft_addr);
    write_slice(&writer, member->http_addr);
    ASSERT(writer.left == 0);
    return blob;
}

static bool read_op(struct reader *reader, struct kv_op *op)
{
    *op = (struct kv_op){ 0 };
    op->type = (enum kv_op_type)read_u8(reader);
    op->condition = (enum kv_condition)read_u8(reader);
    size_t key_size = read_u16(reader);
    size_t value_size = read_u32(reader);
    if (op->condition == CONDITION_REVISION)
        op->revision = read_u64(reader);
    op->key = read_slice(reader, key_size);
    op->value = read_slice(reader, value_size);
    return !reader->bad && op_valid(op);
}

static enum err decode_batch(struct reader *reader, struct kv_op *ops, struct command *out)
{
    read_zeros(reader, 3);
    uint32_t n = read_u32(reader);
    if (reader->bad || n == 0 || n > BATCH_OPS_MAX)
        return ERR_CORRUPT;
    for (uint32_t i = 0; i < n; i++)
        if (!read_op(reader, &ops[i]))
            return ERR_CORRUPT;
    if (!reader_ended(reader))
        return ERR_CORRUPT;
    *out = (struct command){ .type = COMMAND_BATCH, .n = n, .ops = ops };
    return OK;
}

static enum err decode_announce(struct reader *reader, struct command *out)
{
    size_t name_size = read_u8(reader);
    size_t raft_size = read_u16(reader);
    size_t http_size = read_u16(reader);
    read_zeros(reader, 2);

    struct member_info member;
    member.id = read_u64(reader);
    member.name = read_slice(reader, name_size);
    member.raft_addr = read_slice(reader, raft_size);
    member.http_addr = read_slice(reader, http_size);
    if (!reader_ended(reader) || !member_valid(&member))
        return ERR_CORRUPT;
    *out = (struct command){ .type = COMMAND_ANNOUNCE, .member = member };
    return OK;
}

enum err command_decode(struct slice bytes, struct kv_op *ops, struct command *out)
{
    struct reader reader = reader_of(bytes);
    if (bytes.size > COMMAND_SIZE_MAX)
        return ERR_CORRUPT;
    switch (read_u8(&reader)) {
    case COMMAND_BATCH:
        return decode_batch(&reader, ops, out);
    case COMMAND_ANNOUNCE:
        return decode_announce(&reader, out);
    default:
        return ERR_CORRUPT;
    }
}
