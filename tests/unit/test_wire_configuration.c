/* test_wire_configuration.c - configurations and changes of the members come back as they went, and
 * what contradicts itself never reaches the core. */
#include "test_wire_support.h"

static struct configuration sample(void)
{
    struct configuration sample = { 0 };
    static const struct raft_member at[4] = {
        { .id = 1, .voter = true, .old_voter = true },
        { .id = 2, .old_voter = true, .leaving = true },
        { .id = UINT64_MAX, .voter = true },
        { .id = 4 },
    };
    sample.members.n = 4;
    sample.members.joint = true;
    memcpy(sample.members.at, at, sizeof at);
    for (uint32_t i = 0; i < 4; i++)
        snprintf(sample.raft_addr[i], sizeof sample.raft_addr[i], "host%u:900%u", i, i);
    sample.stays[3] = true;
    sample.replaces[3] = 1;
    return sample;
}

static void expect_same(const struct configuration *got, const struct configuration *wanted)
{
    ck_assert_uint_eq(got->members.n, wanted->members.n);
    ck_assert_int_eq(got->members.joint, wanted->members.joint);
    for (uint32_t i = 0; i < wanted->members.n; i++) {
        const struct raft_member *a = &got->members.at[i], *b = &wanted->members.at[i];
        ck_assert_uint_eq(a->id, b->id);
        ck_assert_int_eq(a->voter, b->voter);
        ck_assert_int_eq(a->old_voter, b->old_voter);
        ck_assert_int_eq(a->leaving, b->leaving);
        ck_assert_str_eq(got->raft_addr[i], wanted->raft_addr[i]);
        ck_assert_int_eq(got->stays[i], wanted->stays[i]);
        ck_assert_uint_eq(got->replaces[i], wanted->replaces[i]);
    }
}

static void expect_back(const struct configuration *configuration)
{
    struct configuration back;
    struct blob *blob = configuration_encode(configuration);
    unsigned char *copy = exact_copy(blob_slice(blob));
    ck_assert_int_eq(configuration_decode(slice_of(copy, blob->size), &back), OK);
    expect_same(&back, configuration);
    free(copy);
    blob_unref(blob);
}

START_TEST(configurations_come_back)
{
    struct configuration one = sample();
    expect_back(&one);
    one = (struct configuration){ .members = { .n = 1, .at = { { .id = 1, .voter = true } } } };
    memset(one.raft_addr[0], 'a', ADDRESS_MAX);
    memcpy(one.raft_addr[0] + ADDRESS_MAX - 2, ":1", 2);
    expect_back(&one);
    one.members.n = MEMBERS_MAX; /* as many as there may be, as long as they may be */
    for (uint32_t i = 1; i < MEMBERS_MAX; i++) {
        one.members.at[i] = (struct raft_member){ .id = i + 1, .voter = i < VOTERS_MAX };
        memcpy(one.raft_addr[i], one.raft_addr[0], sizeof one.raft_addr[0]);
    }
    expect_back(&one);
}
END_TEST

START_TEST(the_format_of_a_configuration_stays_as_it_is)
{
    struct configuration configuration = sample();
    configuration.members.n = 1;
    configuration.members.joint = false;
    configuration.members.at[0].old_voter = false;
    struct blob *blob = configuration_encode(&configuration);
    expect_hex(blob_slice(blob), "0000000001000000"
                                 "010000000000000000000000000000000100000000000a00"
                                 "686f7374303a39303030");
    blob_unref(blob);
}
END_TEST

START_TEST(a_members_record_comes_back)
{
    struct configuration configuration = sample();
    struct blob *payload = configuration_encode(&configuration);
    struct record record = { 7, 3, RAFT_MEMBERS, 4, blob_slice(payload) }, back;
    struct blob *blob = record_encode(&record);
    ck_assert_int_eq(record_decode(7, blob_slice(blob), &back), OK);
    ck_assert_int_eq(back.kind, RAFT_MEMBERS);
    expect_slice(back.payload, blob_slice(payload));
    blob_unref(blob);
    blob_unref(payload);
}
END_TEST

/* ---- what contradicts itself */

static void spoil(struct configuration *c, int how)
{
    switch (how) {
    case 0: c->members.n = 0; break;
    case 1: c->members.n = MEMBERS_MAX + 1; break;
    case 2: c->members.joint = false; break;                   /* with old voters */
    case 3: c->members.at[0].old_voter = c->members.at[1].old_voter = false; break;
    case 4: c->members.at[0].voter = c->members.at[2].voter = false; break; /* nobody votes */
    case 5: c->members.at[1].voter = true; break;              /* leaves and votes */
    case 6: c->members.at[3].id = 1; break;                    /* twice */
    case 7: c->members.at[3].id = 0; break;
    case 8: c->raft_addr[2][0] = '\0'; break;
    case 9: strcpy(c->raft_addr[2], "no port"); break;
    case 10: c->stays[0] = true; break;                        /* a voter that stays a learner */
    case 11: c->replaces[3] = 4; break;                        /* itself */
    case 12: c->replaces[2] = 1; break;                        /* a voter has done it already */
    default:
        c->members.n = MEMBERS_MAX;
        for (uint32_t i = 4; i < MEMBERS_MAX; i++) {           /* eight voters */
            c->members.at[i] = (struct raft_member){ .id = 100 + i, .voter = i < 10 };
            strcpy(c->raft_addr[i], "a:1");
        }
    }
}

enum { WAYS = 14 };

START_TEST(what_contradicts_itself_is_no_configuration)
{
    for (int how = 0; how < WAYS; how++) {
        struct configuration spoilt = sample();
        spoil(&spoilt, how);
        ck_assert_msg(!configuration_valid(&spoilt), "way %d is taken for valid", how);
    }
}
END_TEST

/* Whatever the bytes are: refused, or valid and written back as the same bytes. */
static bool feed(struct slice bytes)
{
    struct configuration out;
    unsigned char *copy = exact_copy(bytes);
    bool ok = configuration_decode(slice_of(copy, bytes.size), &out) == OK;
    if (ok) {
        ck_assert(configuration_valid(&out));
        struct blob *blob = configuration_encode(&out);
        expect_slice(blob_slice(blob), bytes);
        blob_unref(blob);
    }
    free(copy);
    return ok;
}

START_TEST(hostile_bytes_are_refused_or_canonical)
{
    struct configuration configuration = sample();
    struct blob *blob = configuration_encode(&configuration);
    uint64_t seed = 3;
    unsigned accepted = 0, refused = 0;
    for (size_t size = 0; size < blob->size; size++)
        ck_assert(!feed(slice_of(blob->data, size)));
    unsigned char *work = exact_copy(blob_slice(blob));
    for (int round = 0; round < 200000; round++) {
        memcpy(work, blob->data, blob->size);
        for (uint64_t changes = next_random(&seed) % 3; changes < 3; changes++)
            work[next_random(&seed) % blob->size] = (unsigned char)(
                next_random(&seed) >> (next_random(&seed) % 64));
        if (feed(slice_of(work, blob->size)))
            accepted++;
        else
            refused++;
    }
    ck_assert_uint_gt(accepted, 1000);
    ck_assert_uint_gt(refused, 1000);
    free(work);
    blob_unref(blob);
}
END_TEST

/* ---- changes between nodes */

static struct frame_scratch scratch;

static void expect_change(const struct member_change *change)
{
    struct frame frame = { .type = FRAME_CHANGE, .request = 9 }, back;
    frame.change.timeout_ms = 5000;
    frame.change.term = 12;
    frame.change.change = *change;
    struct blob *blob = frame_encode(&frame);
    struct slice rest = blob_slice(blob);
    ck_assert_int_eq(frame_decode(&rest, &scratch, &back), OK);
    ck_assert_uint_eq(rest.size, 0);
    ck_assert_uint_eq(back.request, 9);
    ck_assert_uint_eq(back.change.timeout_ms, 5000);
    ck_assert_uint_eq(back.change.term, 12);
    ck_assert_int_eq(back.change.change.type, change->type);
    ck_assert_uint_eq(back.change.change.id, change->id);
    ck_assert_uint_eq(back.change.change.newcomer, change->newcomer);
    ck_assert_str_eq(back.change.change.raft_addr, change->raft_addr);
    ck_assert_int_eq(back.change.change.stay_learner, change->stay_learner);
    ck_assert_int_eq(back.change.change.force, change->force);
    blob_unref(blob);
}

START_TEST(changes_come_back)
{
    expect_change(&(struct member_change){ .type = MEMBER_ADD, .id = 5, .stay_learner = true,
                                           .raft_addr = "a:1" });
    expect_change(&(struct member_change){ .type = MEMBER_REPLACE, .id = 5, .newcomer = UINT64_MAX,
                                           .raft_addr = "[::1]:65535", .force = true });
    expect_change(&(struct member_change){ .type = MEMBER_LEAD });
}
END_TEST

START_TEST(the_answer_to_a_change_comes_back)
{
    struct configuration configuration = sample(), got;
    struct blob *encoded = configuration_encode(&configuration);
    struct frame frame = { .type = FRAME_CHANGE_REPLY, .request = 9 }, back;
    frame.change_reply.err = ERR_QUORUM_AT_RISK;
    frame.change_reply.outcome = OUTCOME_NOT_APPLIED;
    frame.change_reply.why = slice_text("2 of 4 voters can be reached");
    frame.change_reply.configuration = blob_slice(encoded);
    struct blob *blob = frame_encode(&frame);
    struct slice rest = blob_slice(blob);
    ck_assert_int_eq(frame_decode(&rest, &scratch, &back), OK);
    ck_assert_int_eq(back.change_reply.err, ERR_QUORUM_AT_RISK);
    ck_assert_int_eq(back.change_reply.outcome, OUTCOME_NOT_APPLIED);
    expect_slice(back.change_reply.why, frame.change_reply.why);
    ck_assert_int_eq(configuration_decode(back.change_reply.configuration, &got), OK);
    expect_same(&got, &configuration);
    blob_unref(blob);
    blob_unref(encoded);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        configurations_come_back, the_format_of_a_configuration_stays_as_it_is,
        a_members_record_comes_back, what_contradicts_itself_is_no_configuration,
        hostile_bytes_are_refused_or_canonical, changes_come_back,
        the_answer_to_a_change_comes_back,
    };
    Suite *suite = suite_create("configurations");
    TCase *tcase = tcase_create("configurations");
    tcase_set_timeout(tcase, 60);
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++)
        tcase_add_test(tcase, tests[i]);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
