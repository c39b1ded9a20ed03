/* test_wire_support.h - what the tests of the codecs share: hex text and sample values. */
#ifndef HOLDFAST_TESTS_WIRE_SUPPORT_H
#define HOLDFAST_TESTS_WIRE_SUPPORT_H

#include <holdfast/wire.h>

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

/* Compares bytes with hex text; the failure shows both as text. */
static inline void expect_hex(struct slice bytes, const char *hex)
{
    const unsigned char *at = bytes.data;
    char *text = malloc(2 * bytes.size + 1);
    ck_assert_ptr_nonnull(text);
    text[0] = '\0';
    for (size_t i = 0; i < bytes.size; i++)
        snprintf(text + 2 * i, 3, "%02x", at[i]);
    ck_assert_str_eq(text, hex);
    free(text);
}

static inline void expect_slice(struct slice got, struct slice wanted)
{
    ck_assert_uint_eq(got.size, wanted.size);
    ck_assert(slice_equal(got, wanted));
}

/* A copy in a place of its own with nothing behind it, so that a sanitizer sees an overrun. */
static inline unsigned char *exact_copy(struct slice bytes)
{
    unsigned char *copy = malloc(bytes.size > 0 ? bytes.size : 1);
    ck_assert_ptr_nonnull(copy);
    if (bytes.size > 0)
        memcpy(copy, bytes.data, bytes.size);
    return copy;
}

/* Deterministic numbers (splitmix64). */
static inline uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static inline struct member_info sample_member(void)
{
    return (struct member_info){ 7, slice_text("node1"), slice_text("localhost:9001"),
                                 slice_text("localhost:8001") };
}

enum { SAMPLE_OPS = 7 };

static inline void sample_ops(struct kv_op ops[SAMPLE_OPS])
{
    struct slice none = { NULL, 0 };
    struct slice key = slice_text("a");
    ops[0] = (struct kv_op){ KV_SET, CONDITION_NONE, 0, key, slice_text("value") };
    ops[1] = (struct kv_op){ KV_SET, CONDITION_REVISION, 58, slice_text("b"), none };
    ops[2] = (struct kv_op){ KV_SET, CONDITION_EXISTS, 0, key, slice_of("\0\xff", 2) };
    ops[3] = (struct kv_op){ KV_DELETE, CONDITION_REVISION, 0, slice_text("c"), none };
    ops[4] = (struct kv_op){ KV_DELETE_PREFIX, CONDITION_NONE, 0, none, none };
    ops[5] = (struct kv_op){ KV_DELETE_PREFIX, CONDITION_NONE, 0, slice_text("app/"), none };
    ops[6] = (struct kv_op){ KV_GET, CONDITION_NONE, 0, key, none };
}

enum { SAMPLE_RESULTS = 6 };

static inline struct command_result sample_result(struct kv_result results[SAMPLE_RESULTS])
{
    results[0] = (struct kv_result){ .type = KV_SET, .created = true, .revision = 63,
                                     .create_revision = 63, .version = 1 };
    results[1] = (struct kv_result){ .type = KV_GET, .found = true, .revision = 63,
                                     .create_revision = 12, .version = 3,
                                     .value = slice_text("world") };
    results[2] = (struct kv_result){ .type = KV_GET };
    results[3] = (struct kv_result){ .type = KV_DELETE, .found = true, .deleted = 1 };
    results[4] = (struct kv_result){ .type = KV_DELETE };
    results[5] = (struct kv_result){ .type = KV_DELETE_PREFIX, .deleted = 100000 };
    return (struct command_result){ .err = OK, .revision = 63, .index = 1042, .term = 7,
                                    .n = SAMPLE_RESULTS, .results = results };
}

enum { SAMPLE_FRAMES = 18, SAMPLE_RAFT_FRAMES = 8, SAMPLE_RECORDS = 3 };

/* One frame of every type and every Raft message; `records` become the append's and are to be
 * released by the caller, as is `result`. */
struct samples {
    struct frame frames[SAMPLE_FRAMES];
    struct slice record_bytes[SAMPLE_RECORDS];
    struct blob *records[SAMPLE_RECORDS], *command, *result;
};

static inline struct frame sample_msg(enum raft_msg_type type)
{
    struct frame frame = { .type = FRAME_RAFT };
    frame.raft.msg = (struct raft_msg){ .type = type, .from = 1, .to = 2, .term = 9 };
    return frame;
}

static inline void sample_records(struct samples *samples)
{
    struct slice command = blob_slice(samples->command);
    struct record records[SAMPLE_RECORDS] = {
        { 101, 7, RAFT_DATA, 1700000000000, command },
        { 102, 9, RAFT_NOOP, 1700000000001, { NULL, 0 } },
        { 103, 9, RAFT_DATA, 1700000000002, command },
    };
    for (int i = 0; i < SAMPLE_RECORDS; i++) {
        samples->records[i] = record_encode(&records[i]);
        samples->record_bytes[i] = blob_slice(samples->records[i]);
    }
}

static inline void sample_raft_frames(struct samples *samples)
{
    struct frame *frames = samples->frames;
    frames[0] = sample_msg(RAFT_VOTE);
    frames[0].raft.msg.vote.last = 100;
    frames[0].raft.msg.vote.last_term = 7;
    frames[0].raft.msg.vote.pre = true;
    frames[1] = sample_msg(RAFT_VOTE_REPLY);
    frames[1].raft.msg.vote_reply.granted = true;
    frames[2] = sample_msg(RAFT_APPEND);
    frames[2].raft.msg.append.prev = 100;
    frames[2].raft.msg.append.prev_term = 7;
    frames[2].raft.msg.append.commit = 99;
    frames[2].raft.msg.append.n = SAMPLE_RECORDS;
    frames[2].raft.record_bytes = samples->record_bytes;
    frames[3] = sample_msg(RAFT_APPEND_REPLY);
    frames[3].raft.msg.append_reply.match = 100;
    frames[3].raft.msg.append_reply.conflict = 90;
    frames[3].raft.msg.append_reply.conflict_term = 6;
    frames[4] = sample_msg(RAFT_HEARTBEAT);
    frames[4].raft.msg.heartbeat.commit = 99;
    frames[4].raft.msg.heartbeat.commit_term = 7;
    frames[4].raft.msg.heartbeat.round = 12345;
    frames[5] = sample_msg(RAFT_HEARTBEAT_REPLY);
    frames[5].raft.msg.heartbeat_reply.round = 12345;
    frames[6] = sample_msg(RAFT_TIMEOUT_NOW);
    frames[7] = sample_msg(RAFT_SNAPSHOT);
    frames[7].raft.msg.snapshot.base = 100;
    frames[7].raft.msg.snapshot.base_term = 7;
}

static inline void samples_init(struct samples *samples)
{
    struct kv_op ops[SAMPLE_OPS];
    struct kv_result results[SAMPLE_RESULTS];
    struct command_result result = sample_result(results);
    memset(samples, 0, sizeof *samples);
    sample_ops(ops);
    samples->command = blob_new(command_batch_size(ops, SAMPLE_OPS));
    command_encode_batch(ops, SAMPLE_OPS, samples->command->data);
    samples->result = result_encode(&result);
    sample_records(samples);
    sample_raft_frames(samples);

    struct frame *frames = samples->frames;
    frames[8] = (struct frame){ .type = FRAME_FORWARD, .request = 1 };
    frames[8].forward.timeout_ms = 5000;
    frames[8].forward.term = 12;
    frames[8].forward.command = blob_slice(samples->command);
    frames[9] = (struct frame){ .type = FRAME_FORWARD_REPLY, .request = 1 };
    frames[9].forward_reply.err = OK;
    frames[9].forward_reply.outcome = OUTCOME_APPLIED;
    frames[9].forward_reply.result = blob_slice(samples->result);
    frames[10] = (struct frame){ .type = FRAME_FORWARD_REPLY, .request = 2 };
    frames[10].forward_reply.err = ERR_OVERLOADED;
    frames[10].forward_reply.outcome = OUTCOME_NOT_APPLIED;
    frames[11] = (struct frame){ .type = FRAME_READ_INDEX, .request = 3 };
    frames[11].read_index.lease = true;
    frames[12] = (struct frame){ .type = FRAME_READ_INDEX_REPLY, .request = 3 };
    frames[12].read_index_reply.ok = true;
    frames[12].read_index_reply.index = 99;
    frames[13] = (struct frame){ .type = FRAME_INFO, .request = UINT64_MAX };
    frames[14] = (struct frame){ .type = FRAME_INFO_REPLY, .request = UINT64_MAX };
    frames[14].info_reply.term = 9;
    frames[14].info_reply.commit = 99;
    frames[14].info_reply.last = 103;
    frames[14].info_reply.n = 2;
    frames[14].info_reply.members[0] = (struct info_member){ 1, 103, 0, true };
    frames[14].info_reply.members[1] = (struct info_member){ 2, 0, UINT64_MAX, false };
    frames[15] = (struct frame){ .type = FRAME_DIGEST, .request = 4 };
    frames[15].digest.term = 9;
    frames[15].digest.index = 103;
    frames[15].digest.agreed_index = 99;
    frames[15].digest.agreed = 0x0123456789abcdef;
    frames[15].digest.undecided = true;
    frames[16] = (struct frame){ .type = FRAME_DIGEST_REPLY, .request = 4 };
    frames[16].digest_reply.answer = DIGEST_KNOWN;
    frames[16].digest_reply.digest = UINT64_MAX;
    frames[17] = (struct frame){ .type = FRAME_ACKNOWLEDGED };
    frames[17].acknowledged.term = 9;
    frames[17].acknowledged.index = 103;
}

static inline void samples_fini(struct samples *samples)
{
    for (int i = 0; i < SAMPLE_RECORDS; i++)
        blob_unref(samples->records[i]);
    blob_unref(samples->command);
    blob_unref(samples->result);
}

#endif
