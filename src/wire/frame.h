/* frame.h - private to src/wire: the parts of the frame codec. */
#ifndef HOLDFAST_WIRE_FRAME_H
#define HOLDFAST_WIRE_FRAME_H

#include "cursor.h"

#include <holdfast/wire.h>

enum {
    FRAME_HEADER_SIZE = 24,
    FRAME_CHECKSUM_SIZE = 8, /* the checksum comes first and covers what follows it */
    FRAME_SIZE_MAX = PEER_BODY_MAX - ENVELOPE_SIZE,
};

/* frame_raft.c: the body of FRAME_RAFT.  The checked part is under the frame's checksum; after
 * it, in an append, come the records, each under its own. */
size_t frame_raft_checked_size(enum raft_msg_type type);
size_t frame_raft_records_size(const struct frame *frame);
void frame_raft_write(struct writer *writer, const struct frame *frame);
void frame_raft_write_records(struct writer *writer, const struct frame *frame);

/* How many bytes of `body` are checked; false if it cannot be told or they are not there. */
bool frame_raft_measure(struct slice body, size_t *checked);
/* Reads the whole body; the frame's checksum has been found right. */
bool frame_raft_read(struct reader *reader, struct frame_scratch *scratch, struct frame *out);

/* frame_snapshot.c: the four bodies with which a snapshot is fetched. */
size_t frame_snapshot_size(const struct frame *frame);
void frame_snapshot_write(struct writer *writer, const struct frame *frame);
bool frame_snapshot_read(struct reader *reader, struct frame *out);

/* frame_change.c: a change of the members, and its answer. */
size_t frame_change_size(const struct frame *frame);
void frame_change_write(struct writer *writer, const struct frame *frame);
bool frame_change_read(struct reader *reader, struct frame *out);
size_t frame_change_reply_size(const struct frame *frame);
void frame_change_reply_write(struct writer *writer, const struct frame *frame);
bool frame_change_reply_read(struct reader *reader, struct frame *out);

#endif
