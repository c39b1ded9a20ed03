/* test_doctor.c - what the doctor makes of what was seen of a cluster. */
#include "src/cmd/doctor.h"

#include <check.h>
#include <stdlib.h>

static struct report report;
static struct seen_cluster cluster;
static char *text;
static size_t size;

/* Three nodes that are well; n1 leads. */
static void setup(void)
{
    report = (struct report){ .out = open_memstream(&text, &size) };
    ck_assert_ptr_nonnull(report.out);
    cluster = (struct seen_cluster){ .n_nodes = 3, .n_members = 3, .from_leader = true };
    for (unsigned i = 0; i < 3; i++) {
        struct seen_node *node = &cluster.nodes[i];
        struct seen_member *member = &cluster.members[i];
        *node = (struct seen_node){ .answers = true, .term = 4, .commit = 90, .applied = 90,
                                    .clock_known = true, .clock_off_ms = 2 };
        snprintf(node->id, sizeof node->id, "%u", i + 1);
        snprintf(node->name, sizeof node->name, "n%u", i + 1);
        snprintf(node->url, sizeof node->url, "http://h:800%u", i + 1);
        strcpy(node->cluster, "c");
        strcpy(node->state, i == 0 ? "leader" : "follower");
        strcpy(node->leader, "1");
        strcpy(node->digest, "d");
        strcpy(node->version, "0.1.0");
        *member = (struct seen_member){ .match = 90, .silence_ms = 20 };
        snprintf(member->id, sizeof member->id, "%u", i + 1);
        snprintf(member->name, sizeof member->name, "n%u", i + 1);
        snprintf(member->http_addr, sizeof member->http_addr, "h:800%u", i + 1);
        snprintf(member->raft_addr, sizeof member->raft_addr, "h:900%u", i + 1);
        strcpy(member->role, i == 0 ? "leader" : "voter");
    }
}

static void teardown(void)
{
    fclose(report.out);
    free(text);
}

static void expect(unsigned problems, unsigned warnings, const char *line)
{
    doctor_judge(&report, &cluster);
    fflush(report.out);
    ck_assert_msg(report.n[FINDING_PROBLEM] == problems && report.n[FINDING_WARNING] == warnings,
                  "expected %u problems and %u warnings of\n%s", problems, warnings, text);
    ck_assert_msg(strstr(text, line) != NULL, "expected \"%s\" in\n%s", line, text);
}

static void goes(unsigned i)
{
    cluster.nodes[i].answers = false;
    cluster.members[i].silence_ms = 60000;
}

START_TEST(nothing_is_wrong_with_a_cluster_that_is_well)
{
    expect(0, 0, "ok       quorum: 3 of 3 voters are there: 1 may fail\n");
    ck_assert_int_eq(report_end(&report), COMMAND_OK);
}
END_TEST

START_TEST(a_node_that_is_down_leaves_no_margin)
{
    goes(1);
    expect(1, 1, "problem  n2: does not answer at h:8002, and the leader does not hear it; start it "
                 "again");
    ck_assert_ptr_nonnull(strstr(text, "warning  quorum: 2 of 3 voters are there: one more failure "
                                       "stops the cluster"));
    ck_assert_int_eq(report_end(&report), COMMAND_NOT_FOUND);
}
END_TEST

START_TEST(without_a_majority_there_is_no_leader)
{
    goes(0);
    goes(1);
    cluster.from_leader = false;
    strcpy(cluster.nodes[2].leader, "");
    expect(4, 0, "problem  quorum: 1 of 3 voters are there, 2 are needed: the cluster stands still");
    ck_assert_ptr_nonnull(strstr(text, "problem  leader: there is none"));
}
END_TEST

START_TEST(an_address_that_is_not_reached_from_here_is_no_node_that_is_down)
{
    cluster.nodes[1].answers = false;
    expect(0, 1, "warning  n2: the leader hears it, but from here it does not answer at h:8002");
}
END_TEST

START_TEST(a_node_that_the_leader_does_not_hear)
{
    cluster.members[2].silence_ms = UINT64_MAX;
    expect(1, 1, "problem  n3: answers here, but the leader does not hear it at h:9003");
}
END_TEST

START_TEST(two_leaders_of_different_terms)
{
    strcpy(cluster.nodes[2].state, "leader");
    cluster.nodes[2].term = 3;
    expect(1, 0, "problem  n3: believes to lead too, in term 3: it is cut off");
    ck_assert_ptr_nonnull(strstr(text, "ok       leader: n1 leads in term 4"));
}
END_TEST

START_TEST(nodes_of_another_cluster_and_of_none)
{
    strcpy(cluster.nodes[2].cluster, "other");
    cluster.n_members = 2; /* two voters: even, and no margin */
    expect(1, 3, "problem  n3: is in cluster other, but n1 is in c");
    ck_assert_ptr_nonnull(strstr(text, "warning  n3: is no member"));
    ck_assert_ptr_nonnull(strstr(text, "the number of voters, 2, is even"));
}
END_TEST

START_TEST(an_endpoint_where_no_member_should_be_is_nothing_to_worry_about)
{
    cluster.nodes[3] = (struct seen_node){ .url = "http://localhost:8003" };
    cluster.n_nodes = 4;
    expect(0, 0, "ok       http://localhost:8003: nobody is there, and no member should be");
}
END_TEST

START_TEST(data_that_differs)
{
    strcpy(cluster.nodes[2].digest, "e");
    strcpy(cluster.nodes[2].alarms, "state_differs,odd,quota");
    expect(5, 0, "problem  n3: holds other data than n1 after entry 90");
    ck_assert_ptr_nonnull(strstr(text, "problem  n3: alarm state_differs: its data differs"));
    ck_assert_ptr_nonnull(strstr(text, "problem  n3: alarm quota: its data is at the quota"));
    ck_assert_ptr_nonnull(strstr(text, "problem  n3: alarm odd: see holdfast-api(7)"));
    ck_assert_ptr_null(strstr(text, "tell the same digest"));
}
END_TEST

START_TEST(digests_after_different_entries_are_not_compared)
{
    strcpy(cluster.nodes[2].digest, "e");
    cluster.nodes[2].applied = 89;
    expect(0, 0, "tell the same digest");
}
END_TEST

START_TEST(clocks_apart_by_more_than_the_answers_took)
{
    cluster.nodes[1].clock_ms = -400;
    cluster.nodes[2].clock_ms = 1100;
    expect(0, 1, "warning  clocks: that of n3 is 1.5 s ahead of that of n2");
    cluster.nodes[2].clock_off_ms = 600; /* its answer took 1.2 s */
    expect(0, 1, "clocks");
}
END_TEST

START_TEST(who_is_behind_and_who_is_stuck)
{
    cluster.members[1].lag = 20000;
    strcpy(cluster.members[2].role, "learner");
    cluster.members[2].lag = 7;
    cluster.members[2].stuck = true;
    expect(1, 3, "problem  n3: is a learner 7 entries behind, and does not come closer");
    ck_assert_ptr_nonnull(strstr(text, "warning  n2: is 20000 entries behind the leader"));
}
END_TEST

START_TEST(a_learner_that_has_not_come_yet_is_no_problem)
{
    goes(2);
    strcpy(cluster.members[2].role, "learner");
    expect(0, 3, "warning  n3: is a learner that the leader does not hear; start it, or take it out");
}
END_TEST

START_TEST(versions_that_differ_and_a_single_voter)
{
    strcpy(cluster.nodes[1].version, "0.2.0");
    strcpy(cluster.members[1].role, "learner");
    strcpy(cluster.members[2].role, "learner");
    expect(0, 2, "warning  n2: runs version 0.2.0, n1 runs 0.1.0");
    ck_assert_ptr_nonnull(strstr(text, "warning  quorum: there is one voter"));
}
END_TEST

START_TEST(answers_are_read)
{
    const char status[] = "{\"id\":\"9\",\"name\":\"n9\",\"state\":\"leader\",\"term\":7,\"commit_index\":5,"
                          "\"time_ms\":10500,\"snapshot_fetch\":null,\"alarms\":[\"a\",\"b\"]}";
    const char info[] = "{\"from_leader\":true,\"members\":[{\"id\":\"9\",\"role\":\"voter\",\"lag\":3,"
                        "\"last_contact_ms\":null}]}";
    struct seen_node node = { 0 };
    ck_assert(doctor_read_status(holdfast_text(status), 10000, 10100, &node));
    ck_assert_str_eq(node.alarms, "a,b");
    ck_assert(node.clock_known && node.clock_ms == 450 && node.clock_off_ms == 51);
    ck_assert(!node.fetching && node.term == 7 && node.applied == UINT64_MAX);
    doctor_read_info(holdfast_text(info), &cluster);
    ck_assert_uint_eq(cluster.n_members, 1);
    ck_assert_uint_eq(cluster.members[0].silence_ms, UINT64_MAX);
    ck_assert_uint_eq(cluster.members[0].lag, 3);
    ck_assert(!doctor_read_status(holdfast_text("[1"), 0, 0, &node));
    doctor_read_info(holdfast_text("no json"), &cluster);
    ck_assert_uint_eq(cluster.n_members, 0);
}
END_TEST

START_TEST(a_finding_is_a_json_object_with_every_byte)
{
    report.json = true;
    report_find(&report, FINDING_WARNING, "log", "do \"it\"", "line\nof %d", 7);
    report_find(&report, FINDING_OK, "log", "", "\xff");
    fflush(report.out);
    ck_assert_str_eq(text, "{\"severity\":\"warning\",\"about\":\"log\",\"finding\":\"line\\u000aof 7\","
                           "\"todo\":\"do \\\"it\\\"\"}\n"
                           "{\"severity\":\"ok\",\"about\":\"log\",\"finding_b64\":\"/w==\"}\n");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("doctor");
    TCase *tcase = tcase_create("judgement");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, nothing_is_wrong_with_a_cluster_that_is_well);
    tcase_add_test(tcase, a_node_that_is_down_leaves_no_margin);
    tcase_add_test(tcase, without_a_majority_there_is_no_leader);
    tcase_add_test(tcase, an_address_that_is_not_reached_from_here_is_no_node_that_is_down);
    tcase_add_test(tcase, a_node_that_the_leader_does_not_hear);
    tcase_add_test(tcase, two_leaders_of_different_terms);
    tcase_add_test(tcase, nodes_of_another_cluster_and_of_none);
    tcase_add_test(tcase, an_endpoint_where_no_member_should_be_is_nothing_to_worry_about);
    tcase_add_test(tcase, data_that_differs);
    tcase_add_test(tcase, digests_after_different_entries_are_not_compared);
    tcase_add_test(tcase, clocks_apart_by_more_than_the_answers_took);
    tcase_add_test(tcase, who_is_behind_and_who_is_stuck);
    tcase_add_test(tcase, a_learner_that_has_not_come_yet_is_no_problem);
    tcase_add_test(tcase, versions_that_differ_and_a_single_voter);
    tcase_add_test(tcase, answers_are_read);
    tcase_add_test(tcase, a_finding_is_a_json_object_with_every_byte);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
