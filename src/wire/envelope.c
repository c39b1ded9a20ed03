/* envelope.c - the first bytes of every body between nodes: who speaks to whom. */
#include "cursor.h"
#include "frame.h"

#include <holdfast/wire.h>

enum { CHECKED_SIZE = ENVELOPE_SIZE - 8, MAGIC_SIZE = 8 };

static const char magic[MAGIC_SIZE] = { 'H', 'O', 'L', 'D', 'F', 'A', 'S', 'T' };

void envelope_encode(const struct envelope *envelope, unsigned char out[ENVELOPE_SIZE])
{
    struct writer writer = writer_of(out, ENVELOPE_SIZE);
    write_slice(&writer, slice_of(magic, MAGIC_SIZE));
    write_u32(&writer, WIRE_VERSION);
    write_u32(&writer, envelope->n_frames);
    write_u64(&writer, envelope->cluster);
    write_u64(&writer, envelope->from);
    write_u64(&writer, envelope->to);
    write_slice(&writer, slice_of(envelope->incarnation, INCARNATION_SIZE));
    write_u64(&writer, checksum(0, slice_of(out, CHECKED_SIZE)));
}

/* The sentence that says what is wrong, or NULL.  Magic and version come first and stay where
 * they are in every version, so that strangers are told apart from broken bytes. */
static const char *envelope_trouble(struct slice bytes, struct envelope *out)
{
    if (bytes.size < ENVELOPE_SIZE)
        return "the body is too short for an envelope";
    struct reader reader = reader_of(slice_of(bytes.data, ENVELOPE_SIZE));
    if (memcmp(read_bytes(&reader, MAGIC_SIZE), magic, MAGIC_SIZE) != 0)
        return "the body does not begin with a Holdfast envelope";
    if (read_u32(&reader) != WIRE_VERSION)
        return "the sender speaks another version of the peer protocol; this node speaks version 1";

    out->n_frames = read_u32(&reader);
    out->cluster = read_u64(&reader);
    out->from = read_u64(&reader);
    out->to = read_u64(&reader);
    memcpy(out->incarnation, read_bytes(&reader, INCARNATION_SIZE), INCARNATION_SIZE);
    if (read_u64(&reader) != checksum(0, slice_of(bytes.data, CHECKED_SIZE)))
        return "the envelope does not match its checksum";
    if (out->cluster == 0)
        return "the envelope names no cluster";
    if (out->from == 0 || out->to == 0)
        return "the envelope does not say who speaks to whom";
    if (out->n_frames > (PEER_BODY_MAX - ENVELOPE_SIZE) / FRAME_HEADER_SIZE)
        return "the envelope announces more frames than fit into a body";
    return NULL;
}

enum err envelope_decode(struct slice bytes, struct envelope *out, const char **why)
{
    *out = (struct envelope){ 0 };
    *why = envelope_trouble(bytes, out);
    return *why == NULL ? OK : ERR_BAD_REQUEST;
}
_Static_assert(WIRE_VERSION == 1, "the sentence above names the version");
