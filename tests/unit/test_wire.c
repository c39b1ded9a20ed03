/* test_wire.c - records, commands, results, envelopes and identities come back as they went. */
#include "test_wire_support.h"

/* ---- records */

static void expect_record(const struct record *record)
{
    struct blob *blob = record_encode(record);
    struct record back;
    ck_assert_uint_eq(blob->size, RECORD_HEADER_SIZE + record->payload.size);
    ck_assert_int_eq(record_decode(record->index, blob_slice(blob), &back), OK);
    ck_assert_uint_eq(back.index, record->index);
    ck_assert_uint_eq(back.term, record->term);
    ck_assert_int_eq(back.kind, record->kind);
    ck_assert_uint_eq(back.time_ms, record->time_ms);
    expect_slice(back.payload, record->payload);
    blob_unref(blob);
}

START_TEST(records_come_back)
{
    struct blob *large = blob_new(COMMAND_SIZE_MAX);
    memset(large->data, 0xa5, large->size);
    expect_record(&(struct record){ 1, 1, RAFT_NOOP, 0, { NULL, 0 } });
    expect_record(&(struct record){ 1, 1, RAFT_DATA, 0, { NULL, 0 } });
    expect_record(&(struct record){ 2, 3, RAFT_DATA, 4, slice_text("x") });
    expect_record(&(struct record){ UINT64_MAX, UINT64_MAX, RAFT_DATA, UINT64_MAX,
                                    blob_slice(large) });
    blob_unref(large);
}
END_TEST

START_TEST(a_record_belongs_to_its_index)
{
    struct record record = { 42, 7, RAFT_DATA, 9, slice_text("payload") }, back;
    struct blob *blob = record_encode(&record);
    ck_assert_int_eq(record_decode(42, blob_slice(blob), &back), OK);
    ck_assert_int_eq(record_decode(43, blob_slice(blob), &back), ERR_CORRUPT);
    ck_assert_int_eq(record_decode(41, blob_slice(blob), &back), ERR_CORRUPT);
    ck_assert_int_eq(record_decode(0, blob_slice(blob), &back), ERR_CORRUPT);
    blob_unref(blob);
}
END_TEST

START_TEST(a_flipped_bit_of_a_record_is_found)
{
    struct record record = { 42, 7, RAFT_DATA, 9, slice_text("payload") }, back;
    struct blob *blob = record_encode(&record);
    for (size_t bit = 0; bit < 8 * blob->size; bit++) {
        blob->data[bit / 8] ^= (unsigned char)(1u << (bit % 8));
        ck_assert_int_eq(record_decode(42, blob_slice(blob), &back), ERR_CORRUPT);
        blob->data[bit / 8] ^= (unsigned char)(1u << (bit % 8));
    }
    for (size_t size = 0; size < blob->size; size++)
        ck_assert_int_eq(record_decode(42, slice_of(blob->data, size), &back), ERR_CORRUPT);
    ck_assert_int_eq(record_decode(42, blob_slice(blob), &back), OK);
    blob_unref(blob);
}
END_TEST

/* ---- commands */

static struct kv_op ops_out[BATCH_OPS_MAX];

static void expect_ops(const struct kv_op *ops, uint32_t n)
{
    size_t size = command_batch_size(ops, n);
    unsigned char *bytes = malloc(size);
    struct command back;
    ck_assert_ptr_nonnull(bytes);
    ck_assert_uint_eq(command_encode_batch(ops, n, bytes), size);
    ck_assert_int_eq(command_decode(slice_of(bytes, size), ops_out, &back), OK);
    ck_assert_int_eq(back.type, COMMAND_BATCH);
    ck_assert_uint_eq(back.n, n);
    ck_assert_ptr_eq(back.ops, ops_out);
    for (uint32_t i = 0; i < n; i++) {
        ck_assert_int_eq(ops_out[i].type, ops[i].type);
        ck_assert_int_eq(ops_out[i].condition, ops[i].condition);
        ck_assert_uint_eq(ops_out[i].revision, ops[i].revision);
        expect_slice(ops_out[i].key, ops[i].key);
        expect_slice(ops_out[i].value, ops[i].value);
    }
    free(bytes);
}

START_TEST(batches_come_back)
{
    struct kv_op ops[SAMPLE_OPS];
    sample_ops(ops);
    expect_ops(ops, SAMPLE_OPS);
    for (uint32_t i = 0; i < SAMPLE_OPS; i++)
        expect_ops(&ops[i], 1);
}
END_TEST

START_TEST(the_largest_batches_come_back)
{
    static unsigned char key[KEY_SIZE_MAX], value[VALUE_SIZE_MAX];
    static struct kv_op ops[BATCH_OPS_MAX];
    memset(key, 0xff, sizeof key);
    for (size_t i = 0; i < sizeof value; i++)
        value[i] = (unsigned char)i;
    ops[0] = (struct kv_op){ KV_SET, CONDITION_REVISION, UINT64_MAX, slice_of(key, sizeof key),
                             slice_of(value, sizeof value) };
    expect_ops(ops, 1);
    for (int i = 0; i < BATCH_OPS_MAX; i++)
        ops[i] = (struct kv_op){ KV_SET, CONDITION_REVISION, UINT64_MAX, slice_of(key, sizeof key),
                                 slice_of(value, 1024) };
    expect_ops(ops, BATCH_OPS_MAX);
}
END_TEST

/* Encodes one operation, writes `byte` at `at`, and says what decoding makes of it. */
static enum err decode_changed(struct kv_op op, size_t at, unsigned char byte)
{
    unsigned char bytes[256];
    struct command back;
    size_t size = command_encode_batch(&op, 1, bytes);
    ck_assert_uint_lt(at, size);
    bytes[at] = byte;
    return command_decode(slice_of(bytes, size), ops_out, &back);
}

START_TEST(what_is_no_batch_is_refused)
{
    struct slice key = slice_text("key"), none = { NULL, 0 };
    struct kv_op set = { KV_SET, CONDITION_NONE, 0, key, slice_text("value") };
    struct kv_op get = { KV_GET, CONDITION_NONE, 0, key, none };
    struct kv_op prefix = { KV_DELETE_PREFIX, CONDITION_NONE, 0, key, none };
    struct { struct kv_op op; size_t at; unsigned char byte; } cases[] = {
        { set, 0, 0 },  { set, 0, 3 },    /* unknown commands */
        { set, 1, 1 },  { set, 3, 1 },    /* reserved bytes */
        { set, 4, 0 },  { set, 4, 2 },    /* no operation, one too many */
        { set, 5, 4 },                    /* 1025 operations */
        { set, 8, 0 },  { set, 8, 5 },    /* unknown operations */
        { set, 8, KV_GET },               /* a get with a value */
        { set, 9, 3 },                    /* an unknown condition */
        { set, 9, CONDITION_REVISION },   /* its revision takes the key's place */
        { prefix, 9, CONDITION_EXISTS },  /* a condition on no single key */
        { get, 10, 0 }, { get, 10, 4 },   /* an empty key, one beyond the end */
        { set, 11, 2 },                   /* a key of 515 bytes */
        { set, 12, 4 }, { set, 12, 6 },   /* values that leave a byte, or want one more */
        { set, 15, 1 },                   /* a value of 16 MiB */
    };
    ck_assert_int_eq(decode_changed(set, 8, KV_SET), OK);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        ck_assert_msg(decode_changed(cases[i].op, cases[i].at, cases[i].byte) == ERR_CORRUPT,
                      "case %zu: byte %zu may not be %u", i, cases[i].at, cases[i].byte);
}
END_TEST

START_TEST(a_key_of_512_bytes_is_refused_by_the_decoder)
{
    static unsigned char bytes[16 + 512] = { COMMAND_BATCH, 0, 0, 0, 1, 0, 0, 0, KV_GET };
    struct command back;
    bytes[11] = 2; /* 512 */
    ck_assert_int_eq(command_decode(slice_of(bytes, 16 + 512), ops_out, &back), ERR_CORRUPT);
    bytes[10] = 0xff;
    bytes[11] = 1; /* 511 */
    ck_assert_int_eq(command_decode(slice_of(bytes, 16 + 511), ops_out, &back), OK);
}
END_TEST

START_TEST(announcements_come_back)
{
    char address[ADDRESS_MAX], name[NODE_NAME_MAX];
    memset(address, 'h', sizeof address);
    memcpy(address + sizeof address - 6, ":65535", 6);
    memset(name, 'n', sizeof name);
    struct member_info members[] = {
        sample_member(),
        { UINT64_MAX, slice_of(name, sizeof name), slice_of(address, sizeof address),
          slice_of(address, sizeof address) },
    };
    for (size_t i = 0; i < 2; i++) {
        struct blob *blob = command_encode_announce(&members[i]);
        struct command back;
        ck_assert_int_eq(command_decode(blob_slice(blob), ops_out, &back), OK);
        ck_assert_int_eq(back.type, COMMAND_ANNOUNCE);
        ck_assert_uint_eq(back.member.id, members[i].id);
        expect_slice(back.member.name, members[i].name);
        expect_slice(back.member.raft_addr, members[i].raft_addr);
        expect_slice(back.member.http_addr, members[i].http_addr);
        blob_unref(blob);
    }
}
END_TEST

START_TEST(an_announcement_is_text_and_nothing_else)
{
    struct member_info member = sample_member();
    struct blob *blob = command_encode_announce(&member);
    struct command back;
    static const size_t at[] = { 6, 7, 16, 21, 30 }; /* reserved; first bytes of the texts */
    for (size_t i = 0; i < sizeof at / sizeof at[0]; i++) {
        unsigned char before = blob->data[at[i]];
        blob->data[at[i]] = '\n';
        ck_assert_int_eq(command_decode(blob_slice(blob), ops_out, &back), ERR_CORRUPT);
        blob->data[at[i]] = before;
    }
    memset(blob->data + 8, 0, 8);
    ck_assert_int_eq(command_decode(blob_slice(blob), ops_out, &back), ERR_CORRUPT); /* id 0 */
    blob_unref(blob);
}
END_TEST

/* ---- results */

static struct kv_result results_out[BATCH_OPS_MAX];

static void expect_result(const struct command_result *result)
{
    struct blob *blob = result_encode(result);
    struct command_result back;
    ck_assert_int_eq(result_decode(blob_slice(blob), results_out, &back), OK);
    ck_assert_int_eq(back.err, result->err);
    ck_assert_uint_eq(back.revision, result->revision);
    ck_assert_uint_eq(back.index, result->index);
    ck_assert_uint_eq(back.term, result->term);
    ck_assert_uint_eq(back.failed_op, result->failed_op);
    ck_assert_uint_eq(back.failed_revision, result->failed_revision);
    ck_assert_uint_eq(back.n, result->n);
    for (uint32_t i = 0; i < result->n; i++) {
        const struct kv_result *one = &results_out[i], *wanted = &result->results[i];
        ck_assert_int_eq(one->type, wanted->type);
        ck_assert_int_eq(one->found, wanted->found);
        ck_assert_int_eq(one->created, wanted->created);
        ck_assert_uint_eq(one->revision, wanted->revision);
        ck_assert_uint_eq(one->create_revision, wanted->create_revision);
        ck_assert_uint_eq(one->version, wanted->version);
        ck_assert_uint_eq(one->deleted, wanted->deleted);
        expect_slice(one->value, wanted->value);
    }
    blob_unref(blob);
}

START_TEST(results_come_back)
{
    struct kv_result results[SAMPLE_RESULTS];
    struct command_result result = sample_result(results);
    expect_result(&result);
    expect_result(&(struct command_result){ .err = OK, .revision = 1, .index = 1, .term = 1 });
    expect_result(&(struct command_result){ .err = ERR_CONDITION_FAILED, .revision = UINT64_MAX,
                                            .index = UINT64_MAX, .term = UINT64_MAX,
                                            .failed_op = BATCH_OPS_MAX - 1,
                                            .failed_revision = UINT64_MAX });
    expect_result(&(struct command_result){ .err = ERR_TOO_LARGE, .failed_op = 3 });
    expect_result(&(struct command_result){ .err = ERR_BAD_REQUEST });
}
END_TEST

START_TEST(results_hold_as_much_as_a_batch_may_return)
{
    static unsigned char value[VALUE_SIZE_MAX];
    static struct kv_result results[BATCH_OPS_MAX];
    struct command_result result = { .err = OK, .n = BATCH_OPS_MAX, .results = results };
    for (int i = 0; i < BATCH_OPS_MAX; i++)
        results[i] = (struct kv_result){ .type = KV_GET, .found = true, .revision = UINT64_MAX };
    for (int i = 0; i < 4; i++)
        results[i].value = slice_of(value, sizeof value);
    expect_result(&result);

    results[5].value = slice_of(value, 1); /* one byte above BATCH_RESULT_MAX */
    struct blob *blob = result_encode(&result);
    struct command_result back;
    ck_assert_int_eq(result_decode(blob_slice(blob), results_out, &back), ERR_CORRUPT);
    blob_unref(blob);
}
END_TEST

/* ---- envelopes */

static struct envelope sample_envelope(void)
{
    struct envelope envelope = { .cluster = 0x1122334455667788, .from = 1, .to = UINT64_MAX,
                                 .n_frames = 3 };
    for (int i = 0; i < INCARNATION_SIZE; i++)
        envelope.incarnation[i] = (unsigned char)(0xf0 + i);
    return envelope;
}

START_TEST(envelopes_come_back)
{
    unsigned char bytes[ENVELOPE_SIZE + 5] = { 0 };
    struct envelope envelope = sample_envelope(), back;
    const char *why = "unset";
    envelope_encode(&envelope, bytes);
    ck_assert_int_eq(envelope_decode(slice_of(bytes, sizeof bytes), &back, &why), OK);
    ck_assert_ptr_null(why);
    ck_assert_uint_eq(back.cluster, envelope.cluster);
    ck_assert_uint_eq(back.from, envelope.from);
    ck_assert_uint_eq(back.to, envelope.to);
    ck_assert_uint_eq(back.n_frames, envelope.n_frames);
    ck_assert_mem_eq(back.incarnation, envelope.incarnation, INCARNATION_SIZE);
}
END_TEST

static void expect_refused(struct slice bytes, const char *word)
{
    struct envelope back;
    const char *why = NULL;
    unsigned char *copy = exact_copy(bytes);
    ck_assert_int_eq(envelope_decode(slice_of(copy, bytes.size), &back, &why), ERR_BAD_REQUEST);
    ck_assert_ptr_nonnull(why);
    ck_assert_msg(strstr(why, word) != NULL, "\"%s\" should speak of \"%s\"", why, word);
    free(copy);
}

START_TEST(a_refused_envelope_is_told_why)
{
    unsigned char bytes[ENVELOPE_SIZE];
    struct envelope envelope = sample_envelope(), wrong;
    envelope_encode(&envelope, bytes);
    for (size_t size = 0; size < ENVELOPE_SIZE; size++)
        expect_refused(slice_of(bytes, size), "too short");
    for (size_t bit = 0; bit < 8 * ENVELOPE_SIZE; bit++) {
        bytes[bit / 8] ^= (unsigned char)(1u << (bit % 8));
        expect_refused(slice_of(bytes, sizeof bytes), bit < 64   ? "Holdfast envelope"
                                                      : bit < 96 ? "another version"
                                                                 : "checksum");
        bytes[bit / 8] ^= (unsigned char)(1u << (bit % 8));
    }
    wrong = envelope, wrong.cluster = 0;
    envelope_encode(&wrong, bytes);
    expect_refused(slice_of(bytes, sizeof bytes), "no cluster");
    wrong = envelope, wrong.to = 0;
    envelope_encode(&wrong, bytes);
    expect_refused(slice_of(bytes, sizeof bytes), "who speaks");
    wrong = envelope, wrong.n_frames = UINT32_MAX;
    envelope_encode(&wrong, bytes);
    expect_refused(slice_of(bytes, sizeof bytes), "more frames");
}
END_TEST

/* ---- identity */

START_TEST(names_are_text)
{
    static const char *const good[] = { "node1", "n", "K\xc3\xb6ln 2", "a\"b\\c", "\xe2\x9c\x93" };
    static const char *const bad[] = { "", "a\nb", "\x7f", "\xc3", "\xff", "\xc2\x85", "a\tb",
                                       "\xed\xa0\x80", "\xc0\x80" };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        ck_assert_msg(node_name_valid(slice_text(good[i])), "\"%s\" is a name", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_msg(!node_name_valid(slice_text(bad[i])), "bad name %zu is none", i);
    ck_assert(!node_name_valid(slice_of("a\0b", 3)));
    char name[NODE_NAME_MAX + 1];
    memset(name, 'n', sizeof name);
    ck_assert(node_name_valid(slice_of(name, NODE_NAME_MAX)));
    ck_assert(!node_name_valid(slice_of(name, NODE_NAME_MAX + 1)));
}
END_TEST

START_TEST(addresses_are_host_and_port)
{
    static const char *const good[] = { "localhost:9001", "10.0.0.1:1", "[::1]:65535", "a-b.c_d:0",
                                        "[fe80::1%eth0]:80" };
    static const char *const bad[] = { "", ":", "localhost", "localhost:", ":9001", "a:65536", "a:-1",
                                       "a:123456", "a b:1", "a/b:1", "[]:1", "::1:80", "a:1x",
                                       "http://a:1", "u@h:1", "h:1\n", "[::1:80", "\xc3\xb6:1" };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        ck_assert_msg(address_valid(slice_text(good[i])), "\"%s\" is an address", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        ck_assert_msg(!address_valid(slice_text(bad[i])), "\"%s\" is no address", bad[i]);
    char address[ADDRESS_MAX + 1];
    memset(address, 'h', sizeof address);
    memcpy(address + ADDRESS_MAX - 2, ":11", 3);
    ck_assert(address_valid(slice_of(address, ADDRESS_MAX)));
    ck_assert(!address_valid(slice_of(address, ADDRESS_MAX + 1)));
}
END_TEST

START_TEST(ids_are_the_same_on_every_node)
{
    raft_id one = id_of_address("localhost:9001"), two = id_of_address("localhost:9002");
    ck_assert_uint_ne(one, two);
    ck_assert_uint_ne(one, 0);
    ck_assert_uint_eq(cluster_id_of((raft_id[]){ one, two, 3 }, 3),
                      cluster_id_of((raft_id[]){ 3, two, one }, 3));
    ck_assert_uint_ne(cluster_id_of((raft_id[]){ one, two }, 2),
                      cluster_id_of((raft_id[]){ one, two, 3 }, 3));
    ck_assert_uint_ne(cluster_id_of(&one, 1), 0);
}
END_TEST

/* ---- known answers: what is written today must be read for ever.  A change here is a change
 * of the format on disk or between nodes, and needs a new version of it. */

START_TEST(the_formats_stay_as_they_are)
{
    struct record noop = { 1, 2, RAFT_NOOP, 3, { NULL, 0 } };
    struct record data = { 1042, 7, RAFT_DATA, 1700000000000, slice_text("payload") };
    struct blob *blob = record_encode(&noop);
    expect_hex(blob_slice(blob),
               "02000000000000000000000000000000030000000000000072ed1aa1d20cd56e");
    blob_unref(blob);
    blob = record_encode(&data);
    expect_hex(blob_slice(blob),
               "070000000000000001000000000000000068e5cf8b01000041f85ad997a5212b7061796c6f6164");
    blob_unref(blob);

    struct kv_op ops[SAMPLE_OPS];
    unsigned char bytes[256];
    sample_ops(ops);
    size_t size = command_encode_batch(ops, SAMPLE_OPS, bytes);
    expect_hex(slice_of(bytes, size),
               "010000000700000001000100050000006176616c756501010100000000003a000000000000006201"
               "020100020000006100ff020101000000000000000000000000006303000000000000000300040000"
               "0000006170702f040001000000000061");

    struct member_info member = sample_member();
    blob = command_encode_announce(&member);
    expect_hex(blob_slice(blob),
               "02050e000e00000007000000000000006e6f6465316c6f63616c686f73743a393030316c6f63616c"
               "686f73743a38303031");
    blob_unref(blob);

    struct kv_result results[SAMPLE_RESULTS];
    struct command_result result = sample_result(results);
    blob = result_encode(&result);
    expect_hex(blob_slice(blob),
               "00000000060000003f00000000000000120400000000000007000000000000000102000000000000"
               "3f000000000000003f00000000000000010000000000000004010000050000003f00000000000000"
               "0c000000000000000300000000000000776f726c6404000000000000000201000000000000020000"
               "00000000000300000000000000a086010000000000");
    blob_unref(blob);
    result = (struct command_result){ .err = ERR_CONDITION_FAILED, .revision = 63, .index = 5,
                                      .term = 7, .failed_op = 2, .failed_revision = 58 };
    blob = result_encode(&result);
    expect_hex(blob_slice(blob),
               "06000000020000003f00000000000000050000000000000007000000000000003a00000000000000");
    blob_unref(blob);

    struct envelope envelope = sample_envelope();
    envelope_encode(&envelope, bytes);
    expect_hex(slice_of(bytes, ENVELOPE_SIZE),
               "484f4c4446415354010000000300000088776655443322110100000000000000ffffffffffffffff"
               "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeffd6d7637a058bdd30");

    ck_assert_uint_eq(id_of_address("localhost:9001"), UINT64_C(0x3aebbdfe4de41190));
    ck_assert_uint_eq(cluster_id_of((raft_id[]){ 1, 2, 3 }, 3),
                     UINT64_C(0x7c68b4906e7ea780));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("wire");
    TCase *tcase = tcase_create("codecs");
    tcase_add_test(tcase, records_come_back);
    tcase_add_test(tcase, a_record_belongs_to_its_index);
    tcase_add_test(tcase, a_flipped_bit_of_a_record_is_found);
    tcase_add_test(tcase, batches_come_back);
    tcase_add_test(tcase, the_largest_batches_come_back);
    tcase_add_test(tcase, what_is_no_batch_is_refused);
    tcase_add_test(tcase, a_key_of_512_bytes_is_refused_by_the_decoder);
    tcase_add_test(tcase, announcements_come_back);
    tcase_add_test(tcase, an_announcement_is_text_and_nothing_else);
    tcase_add_test(tcase, results_come_back);
    tcase_add_test(tcase, results_hold_as_much_as_a_batch_may_return);
    tcase_add_test(tcase, envelopes_come_back);
    tcase_add_test(tcase, a_refused_envelope_is_told_why);
    tcase_add_test(tcase, names_are_text);
    tcase_add_test(tcase, addresses_are_host_and_port);
    tcase_add_test(tcase, ids_are_the_same_on_every_node);
    tcase_add_test(tcase, the_formats_stay_as_they_are);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
