/* test_statemachine_members.c - the configuration as of the applied index: what survives, who is
 * forgotten, who is remembered as gone. */
#include "test_statemachine_support.h"

static struct configuration simple(const raft_id *voters, uint32_t n)
{
    struct configuration configuration = { .members.n = n };
    for (uint32_t i = 0; i < n; i++) {
        configuration.members.at[i] = (struct raft_member){ .id = voters[i], .voter = true };
        snprintf(configuration.raft_addr[i], sizeof configuration.raft_addr[i], "host%u:9001",
                 (unsigned)voters[i]);
    }
    return configuration;
}

/* Applies an entry that holds this configuration; the helper's own log is of commands only. */
static void apply_configuration(struct machine *m, const struct configuration *configuration)
{
    struct blob *payload = configuration_encode(configuration);
    struct record entry = { statemachine_applied(m->sm) + 1, 1, RAFT_MEMBERS, 0,
                            blob_slice(payload) };
    ck_assert_int_eq(statemachine_apply(m->sm, &entry, &m->result), OK);
    ck_assert_int_eq(m->result.err, OK);
    blob_unref(payload);
}

static enum err announce(struct machine *m, raft_id id, const char *raft_addr)
{
    char name[16];
    snprintf(name, sizeof name, "node%u", (unsigned)id);
    struct member_info info = { id, slice_text(name), slice_text(raft_addr), slice_text("h:1") };
    struct blob *command = command_encode_announce(&info);
    struct record entry = { statemachine_applied(m->sm) + 1, 1, RAFT_DATA, 0, blob_slice(command) };
    ck_assert_int_eq(statemachine_apply(m->sm, &entry, &m->result), OK);
    blob_unref(command);
    return m->result.err;
}

static void restart(struct machine *m)
{
    machine_flush(m);
    machine_crash(m, 0);
}

static void expect_configuration(struct machine *m, const struct configuration *wanted,
                                 raft_index at)
{
    struct configuration got;
    raft_index index;
    ck_assert(statemachine_configuration(m->sm, &got, &index));
    ck_assert_uint_eq(index, at);
    struct blob *a = configuration_encode(&got), *b = configuration_encode(wanted);
    ck_assert(slice_equal(blob_slice(a), blob_slice(b)));
    blob_unref(a);
    blob_unref(b);
}

START_TEST(the_first_configuration_survives_though_nothing_was_applied)
{
    struct machine m;
    struct configuration first = simple((raft_id[]){ 1, 2, 3 }, 3), none;
    raft_index index;
    machine_init(&m);
    ck_assert(!statemachine_configuration(m.sm, &none, &index));
    ck_assert(!statemachine_unsaved(m.sm));
    statemachine_bootstrap(m.sm, &first);
    ck_assert(statemachine_unsaved(m.sm));
    restart(&m);
    expect_configuration(&m, &first, 0);
    ck_assert(!statemachine_unsaved(m.sm));
    machine_fini(&m);
}
END_TEST

START_TEST(every_part_of_a_configuration_survives)
{
    struct machine m;
    struct configuration joint = simple((raft_id[]){ 1, 2, 3, UINT64_MAX }, 4);
    joint.members.joint = true;
    joint.members.at[0].old_voter = true;
    joint.members.at[1] = (struct raft_member){ .id = 2, .old_voter = true, .leaving = true };
    joint.members.at[3].voter = false;
    joint.stays[3] = true;
    joint.replaces[3] = 2;
    machine_init(&m);
    apply_configuration(&m, &joint);
    restart(&m);
    expect_configuration(&m, &joint, 1);
    machine_fini(&m);
}
END_TEST

START_TEST(the_largest_configuration_survives)
{
    struct machine m;
    struct configuration large = { .members = { .n = MEMBERS_MAX, .joint = true } };
    for (uint32_t i = 0; i < MEMBERS_MAX; i++) {
        large.members.at[i] = (struct raft_member){ .id = UINT64_MAX - i, .voter = i < VOTERS_MAX,
                                                    .old_voter = i < VOTERS_MAX };
        memset(large.raft_addr[i], 'a', ADDRESS_MAX);
        memcpy(large.raft_addr[i] + ADDRESS_MAX - 2, ":1", 2);
        large.stays[i] = i >= VOTERS_MAX;
        large.replaces[i] = i >= VOTERS_MAX ? UINT64_MAX - 100 : 0;
    }
    machine_init(&m);
    apply_configuration(&m, &large);
    restart(&m);
    expect_configuration(&m, &large, 1);
    machine_fini(&m);
}
END_TEST

static uint32_t announced(struct machine *m)
{
    struct member_info members[MEMBERS_MAX];
    return statemachine_members(m->sm, members);
}

START_TEST(who_leaves_is_forgotten_and_remembered_as_gone)
{
    struct machine m;
    struct configuration three = simple((raft_id[]){ 1, 2, 3 }, 3);
    struct configuration two = simple((raft_id[]){ 1, 3 }, 2);
    struct configuration joint = three;
    joint.members.joint = true;
    for (uint32_t i = 0; i < 3; i++)
        joint.members.at[i].old_voter = true;
    joint.members.at[1].voter = false;
    joint.members.at[1].leaving = true;
    machine_init(&m);
    statemachine_bootstrap(m.sm, &three);
    for (raft_id id = 1; id <= 3; id++)
        ck_assert_int_eq(announce(&m, id, "a:1"), OK);
    apply_configuration(&m, &joint);
    ck_assert_uint_eq(announced(&m), 3); /* not yet: it may still be needed */
    ck_assert(!statemachine_was_removed(m.sm, 2));
    apply_configuration(&m, &two);
    ck_assert_uint_eq(announced(&m), 2);
    ck_assert(statemachine_was_removed(m.sm, 2));
    restart(&m);
    uint64_t walked;
    ck_assert_int_eq(statemachine_walk_digest(m.sm, &walked), OK);
    ck_assert_uint_eq(statemachine_digest(m.sm), walked); /* or no snapshot would verify */
    ck_assert_uint_eq(announced(&m), 2);
    ck_assert(statemachine_was_removed(m.sm, 2) && !statemachine_was_removed(m.sm, 1));
    ck_assert_int_eq(announce(&m, 2, "a:1"), ERR_BAD_REQUEST); /* late, and changes nothing */
    ck_assert_uint_eq(announced(&m), 2);
    machine_fini(&m);
}
END_TEST

START_TEST(the_last_removed_are_remembered_and_no_more)
{
    struct machine m;
    machine_init(&m);
    for (raft_id i = 0; i < REMOVED_MAX + 3; i++) {
        struct configuration pair = simple((raft_id[]){ 1, 100 + i }, 2);
        apply_configuration(&m, &pair);
    }
    restart(&m);
    ck_assert(!statemachine_was_removed(m.sm, 101));
    ck_assert(statemachine_was_removed(m.sm, 102));
    ck_assert(statemachine_was_removed(m.sm, 100 + REMOVED_MAX + 1));
    ck_assert(!statemachine_was_removed(m.sm, 100 + REMOVED_MAX + 2));
    machine_fini(&m);
}
END_TEST

START_TEST(an_announced_address_becomes_the_members)
{
    struct machine m;
    struct configuration two = simple((raft_id[]){ 1, 2 }, 2);
    machine_init(&m);
    statemachine_bootstrap(m.sm, &two);
    ck_assert_int_eq(announce(&m, 2, "elsewhere:9002"), OK);
    strcpy(two.raft_addr[1], "elsewhere:9002");
    restart(&m);
    expect_configuration(&m, &two, 0);
    machine_fini(&m);
}
END_TEST

START_TEST(an_entry_that_is_no_configuration_changes_nothing)
{
    struct machine m;
    struct configuration one = simple((raft_id[]){ 1 }, 1);
    machine_init(&m);
    statemachine_bootstrap(m.sm, &one);
    struct record entry = { 1, 1, RAFT_MEMBERS, 0, slice_text("nonsense") };
    ck_assert_int_eq(statemachine_apply(m.sm, &entry, &m.result), OK);
    ck_assert_int_eq(m.result.err, ERR_BAD_REQUEST);
    expect_configuration(&m, &one, 0);
    machine_fini(&m);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        the_first_configuration_survives_though_nothing_was_applied,
        every_part_of_a_configuration_survives, the_largest_configuration_survives,
        who_leaves_is_forgotten_and_remembered_as_gone,
        the_last_removed_are_remembered_and_no_more, an_announced_address_becomes_the_members,
        an_entry_that_is_no_configuration_changes_nothing,
    };
    return run_tests("the members in the state", tests, sizeof tests / sizeof tests[0], 60);
}
