/* configuration.c - who the members are, as it stands in the log: the payload of a RAFT_MEMBERS
 * entry.  What is decoded here goes to the core as it is, so all that the core takes for granted
 * is checked here. */
#include "cursor.h"

#include <holdfast/wire.h>

enum {
    HEADER_SIZE = 8,
    MEMBER_SIZE = 24, /* before the address */
    FLAG_JOINT = 1 << 0,
    FLAG_VOTER = 1 << 0,
    FLAG_OLD_VOTER = 1 << 1,
    FLAG_LEAVING = 1 << 2,
    FLAG_STAYS = 1 << 3,
    FLAGS = FLAG_VOTER | FLAG_OLD_VOTER | FLAG_LEAVING | FLAG_STAYS,
};

static bool member_valid(const struct configuration *configuration, uint32_t i)
{
    const struct raft_member *member = &configuration->members.at[i];
    bool learner = !member->voter && !member->leaving;
    if (member->id == 0 || !address_valid(slice_text(configuration->raft_addr[i])))
        return false;
    if (!configuration->members.joint && (member->old_voter || member->leaving))
        return false;
    if (member->leaving && member->voter)
        return false;
    /* A wish of somebody who is not going to be a learner is none. */
    if (!learner && (configuration->stays[i] || configuration->replaces[i] != 0))
        return false;
    if (configuration->replaces[i] == member->id)
        return false;
    for (uint32_t j = 0; j < i; j++)
        if (configuration->members.at[j].id == member->id)
            return false;
    return true;
}

bool configuration_valid(const struct configuration *configuration)
{
    const struct raft_members *members = &configuration->members;
    uint32_t voters = 0, old_voters = 0;
    if (members->n == 0 || members->n > MEMBERS_MAX)
        return false;
    for (uint32_t i = 0; i < members->n; i++) {
        if (!member_valid(configuration, i))
            return false;
        voters += members->at[i].voter;
        old_voters += members->at[i].old_voter;
    }
    return voters > 0 && voters <= VOTERS_MAX && old_voters <= VOTERS_MAX &&
           members->joint == (old_voters > 0);
}

struct blob *configuration_encode(const struct configuration *configuration)
{
    const struct raft_members *members = &configuration->members;
    ASSERT(configuration_valid(configuration));
    size_t size = HEADER_SIZE;
    for (uint32_t i = 0; i < members->n; i++)
        size += MEMBER_SIZE + strlen(configuration->raft_addr[i]);

    struct blob *blob = blob_new(size);
    struct writer writer = writer_of(blob->data, size);
    write_u8(&writer, members->joint ? FLAG_JOINT : 0);
    write_zeros(&writer, 3);
    write_u32(&writer, members->n);
    for (uint32_t i = 0; i < members->n; i++) {
        const struct raft_member *member = &members->at[i];
        struct slice address = slice_text(configuration->raft_addr[i]);
        write_u64(&writer, member->id);
        write_u64(&writer, configuration->replaces[i]);
        write_u8(&writer, (uint8_t)((member->voter ? FLAG_VOTER : 0) |
                                    (member->old_voter ? FLAG_OLD_VOTER : 0) |
                                    (member->leaving ? FLAG_LEAVING : 0) |
                                    (configuration->stays[i] ? FLAG_STAYS : 0)));
        write_zeros(&writer, 5);
        write_u16(&writer, (uint16_t)address.size);
        write_slice(&writer, address);
    }
    ASSERT(writer.left == 0);
    return blob;
}

static bool read_member(struct reader *reader, struct configuration *out, uint32_t i)
{
    struct raft_member *member = &out->members.at[i];
    member->id = read_u64(reader);
    out->replaces[i] = read_u64(reader);
    uint8_t flags = read_u8(reader);
    read_zeros(reader, 5);
    size_t size = read_u16(reader);
    if (reader->bad || size == 0 || size > ADDRESS_MAX || (flags & ~FLAGS) != 0)
        return false;
    struct slice address = read_slice(reader, size);
    if (reader->bad || memchr(address.data, '\0', size) != NULL)
        return false;
    memcpy(out->raft_addr[i], address.data, size);
    member->voter = flags & FLAG_VOTER;
    member->old_voter = flags & FLAG_OLD_VOTER;
    member->leaving = flags & FLAG_LEAVING;
    out->stays[i] = flags & FLAG_STAYS;
    return true;
}

enum err configuration_decode(struct slice bytes, struct configuration *out)
{
    struct reader reader = reader_of(bytes);
    memset(out, 0, sizeof *out);
    uint8_t flags = read_u8(&reader);
    read_zeros(&reader, 3);
    uint32_t n = read_u32(&reader);
    if (reader.bad || (flags & ~FLAG_JOINT) != 0 || n > MEMBERS_MAX)
        return ERR_CORRUPT;
    out->members.n = n;
    out->members.joint = flags & FLAG_JOINT;
    for (uint32_t i = 0; i < n; i++)
        if (!read_member(&reader, out, i))
            return ERR_CORRUPT;
    return reader_ended(&reader) && configuration_valid(out) ? OK : ERR_CORRUPT;
}

int configuration_place(const struct configuration *configuration, raft_id id)
{
    for (uint32_t i = 0; i < configuration->members.n; i++)
        if (configuration->members.at[i].id == id)
            return (int)i;
    return -1;
}
