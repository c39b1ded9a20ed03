/* identity.c - who is who: ids from addresses, and what a name and an address may look like.
 *
 * The rules for text are part of the replicated state's behaviour (a command that breaks them
 * is refused when applied), so they use no table that differs between library versions. */
#include "cursor.h"

#include <holdfast/wire.h>

#include <unistr.h>

raft_id id_of_address(const char *raft_addr)
{
    raft_id id = checksum(0, slice_text(raft_addr));
    return id != 0 ? id : 1;
}

uint64_t cluster_id_of(const raft_id *ids, uint32_t n)
{
    ASSERT(n > 0 && n <= MEMBERS_MAX);
    raft_id sorted[MEMBERS_MAX];
    for (uint32_t i = 0; i < n; i++) { /* by insertion: there are few */
        uint32_t at = i;
        for (; at > 0 && sorted[at - 1] > ids[i]; at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = ids[i];
    }

    unsigned char bytes[MEMBERS_MAX * 8];
    struct writer writer = writer_of(bytes, sizeof bytes);
    for (uint32_t i = 0; i < n; i++)
        write_u64(&writer, sorted[i]);
    uint64_t cluster = checksum(0, slice_of(bytes, (size_t)n * 8));
    return cluster != 0 ? cluster : 1;
}

bool node_name_valid(struct slice name)
{
    const unsigned char *bytes = name.data;
    if (name.size == 0 || name.size > NODE_NAME_MAX || u8_check(bytes, name.size) != NULL)
        return false;
    for (size_t i = 0; i < name.size; i++) {
        if (bytes[i] < ' ' || bytes[i] == 0x7f)
            return false;
        /* U+0080 to U+009F are controls too; the check above saw to it that one more follows */
        if (bytes[i] == 0xc2 && bytes[i + 1] < 0xa0)
            return false;
    }
    return true;
}

static bool is_digit(unsigned char c)
{
    return c >= '0' && c <= '9';
}

static bool is_host_char(unsigned char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' ||
           c == '-' || c == '_';
}

/* Inside the brackets of a literal IPv6 address; a zone may follow '%'. */
static bool is_ipv6_char(unsigned char c)
{
    return is_host_char(c) || c == ':' || c == '%';
}

static bool host_valid(const unsigned char *host, size_t size)
{
    bool bracketed = size > 2 && host[0] == '[' && host[size - 1] == ']';
    if (bracketed) {
        host++;
        size -= 2;
    }
    for (size_t i = 0; i < size; i++)
        if (!(bracketed ? is_ipv6_char(host[i]) : is_host_char(host[i])))
            return false;
    return size > 0;
}

bool address_valid(struct slice address)
{
    const unsigned char *bytes = address.data;
    size_t colon = address.size;
    if (address.size > ADDRESS_MAX)
        return false;
    while (colon > 0 && bytes[colon - 1] != ':')
        colon--;
    if (colon == 0) /* there is none; else it stands at colon - 1 */
        return false;

    size_t digits = address.size - colon;
    uint32_t port = 0;
    if (digits == 0 || digits > 5)
        return false;
    for (size_t i = colon; i < address.size; i++) {
        if (!is_digit(bytes[i]))
            return false;
        port = port * 10 + (uint32_t)(bytes[i] - '0');
    }
    return port <= UINT16_MAX && host_valid(bytes, colon - 1);
}
