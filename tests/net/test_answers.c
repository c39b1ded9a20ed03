/* test_answers.c - every end that an operation may have, as the client sees it; redirects; probes
 * of a node in trouble; the stop.  The node is scripted. */
#include "tests/support/fake_node.h"
#include "tests/support/rest.h"

#include <holdfast/clock.h>

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static struct node *node;
static struct rest rest;
static const char put_body[] = "{\"value\":\"1\"}";

static void start(void (*change)(struct server_config *config))
{
    node = fake_node_new();
    struct rest_backend backend = { node, NULL, NULL };
    rest_init(&rest, &backend, change);
}

static void set_up(void)
{
    start(NULL);
}

static void tear_down(void)
{
    rest_fini(&rest);
    node_free(node);
}

static void network_stats(void *arg, struct network_stats *out)
{
    (void)arg;
    *out = (struct network_stats) { .frames_out = 77 };
}

static void redirecting(struct server_config *config)
{
    config->redirect = true;
    config->network_stats = network_stats;
}

static void set_up_redirecting(void)
{
    start(redirecting);
}

static struct slice nothing(void)
{
    return slice_of(NULL, 0);
}

static bool retryable(const struct rest_answer *answer)
{
    return cJSON_IsTrue(cJSON_GetObjectItem(rest_member(answer, "error"), "retryable"));
}

/* ---- ends */

START_TEST(each_end_of_a_write_is_told_truthfully)
{
    static const struct {
        enum err err;
        enum outcome outcome;
        int status;
        const char *code, *told;
        bool retryable, retry_after;
    } rows[] = {
        { ERR_TIMEOUT, OUTCOME_UNKNOWN, 504, "timeout", "unknown", false, false },
        { ERR_TIMEOUT, OUTCOME_NOT_APPLIED, 504, "timeout", "not_applied", true, false },
        { ERR_NO_LEADER, OUTCOME_NOT_APPLIED, 503, "no_leader", "not_applied", true, true },
        { ERR_NO_LEADER, OUTCOME_UNKNOWN, 503, "no_leader", "unknown", false, true },
        { ERR_OVERLOADED, OUTCOME_NOT_APPLIED, 429, "overloaded", "not_applied", true, true },
        { ERR_NO_SPACE, OUTCOME_NOT_APPLIED, 503, "no_space", "not_applied", true, true },
        { ERR_SHUTTING_DOWN, OUTCOME_NOT_APPLIED, 503, "shutting_down", "not_applied", true, true },
        { ERR_SHUTTING_DOWN, OUTCOME_UNKNOWN, 503, "shutting_down", "unknown", false, true },
        { ERR_STATE_DIFFERS, OUTCOME_NOT_APPLIED, 503, "state_differs", "not_applied", true, true },
        { ERR_STATE_DIFFERS, OUTCOME_UNKNOWN, 503, "state_differs", "unknown", false, true },
        { ERR_INTERNAL, OUTCOME_UNKNOWN, 500, "internal", "unknown", false, false },
        { ERR_CORRUPT, OUTCOME_UNKNOWN, 500, "internal", "unknown", false, false },
        { ERR_IO, OUTCOME_NOT_APPLIED, 500, "internal", "not_applied", false, false },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        node->err = rows[i].err;
        node->outcome = rows[i].outcome;
        for (unsigned kind = 0; kind < 4; kind++) {
            const struct rest_answer *answer =
                kind == 0   ? rest_put(&rest, "/kv/a", put_body)
                : kind == 1 ? rest_delete(&rest, "/kv/a")
                : kind == 2 ? rest_delete(&rest, "/kv?prefix=a")
                            : rest_post(&rest, "/batch",
                                        "{\"operations\":[{\"type\":\"delete\",\"key\":\"a\"}]}");
            rest_expect_error(answer, rows[i].status, rows[i].code, rows[i].told, NULL, NULL);
            ck_assert_msg(retryable(answer) == rows[i].retryable, "row %zu", i);
            ck_assert_str_eq(rest_header(answer, "Retry-After"), rows[i].retry_after ? "1" : "");
        }
    }
}
END_TEST

START_TEST(each_end_of_a_read_is_told)
{
    static const struct {
        enum err err;
        int status;
        const char *code;
        bool retryable;
    } rows[] = {
        { ERR_TIMEOUT, 504, "timeout", true },
        { ERR_NO_LEADER, 503, "no_leader", true },
        { ERR_TOO_STALE, 503, "too_stale", true },
        { ERR_OVERLOADED, 429, "overloaded", true },
        { ERR_SHUTTING_DOWN, 503, "shutting_down", true },
        { ERR_STATE_DIFFERS, 503, "state_differs", true },
        { ERR_CORRUPT, 500, "internal", false },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        node->err = rows[i].err;
        node->outcome = OUTCOME_UNKNOWN; /* means nothing for a read */
        for (unsigned kind = 0; kind < 2; kind++) {
            const struct rest_answer *answer =
                rest_get(&rest, kind == 0 ? "/kv/a" : "/kv?prefix=a");
            rest_expect_error(answer, rows[i].status, rows[i].code, "not_applied", NULL, NULL);
            ck_assert(retryable(answer) == rows[i].retryable);
            ck_assert_str_eq(rest_header(answer, "Holdfast-Consistency"), "linearizable");
        }
    }
}
END_TEST

START_TEST(what_the_state_machine_refuses_names_the_operation)
{
    struct command_result result = { .err = ERR_TOO_LARGE, .revision = 58, .failed_op = 1 };
    node->err = ERR_TOO_LARGE;
    node->outcome = OUTCOME_NOT_APPLIED;
    node->result = &result;
    const struct rest_answer *answer =
        rest_post(&rest, "/batch",
                  "{\"operations\":[{\"type\":\"get\",\"key\":\"a\"},"
                  "{\"type\":\"delete_prefix\",\"prefix_b64\":\"/w==\"}]}");
    rest_expect_error(answer, 413, "too_large", "not_applied", "operation 1", NULL);
    ck_assert_str_eq(cJSON_GetObjectItem(rest_member(answer, "error"), "key_b64")->valuestring,
                     "/w==");
    result.failed_op = 9; /* not one of ours: told without it */
    rest_expect_error(rest_delete(&rest, "/kv?prefix=a"), 413, "too_large", "not_applied", NULL,
                      NULL);
}
END_TEST

static uint64_t time_left(void)
{
    ck_assert_uint_eq(node->n_kept, 1);
    uint64_t left = node->kept[0]->deadline_ms - node->now_ms;
    node->err = ERR_TIMEOUT;
    fake_node_finish(node);
    rest_end(&rest);
    return left;
}

static bool submitted(void *arg)
{
    (void)arg;
    return node->n_kept == 1;
}

START_TEST(every_request_has_a_deadline)
{
    static const struct {
        const char *target;
        uint64_t ms;
    } rows[] = {
        { "/kv/a", 5000 },         { "/kv/a?timeout=200ms", 200 }, { "/kv?timeout=60s", 60000 },
        { "/health", 1000 },       { "/health?timeout=10ms", 10 }, { "/health?timeout=30s", 1000 },
        { "/cluster/info", 1000 },
    };
    node->keep = true;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        rest_begin(&rest, "GET", rows[i].target, NULL, nothing());
        rest_until(&rest, submitted, NULL);
        uint64_t left = time_left();
        ck_assert_msg(left <= rows[i].ms && left + 100 > rows[i].ms, "%s: %llu", rows[i].target,
                      (unsigned long long)left);
    }
}
END_TEST

START_TEST(options_reach_the_node)
{
    node->keep = true;
    rest_begin(&rest, "GET", "/kv/a?consistency=stale&max_stale=250ms&min_revision=12", NULL,
               nothing());
    rest_until(&rest, submitted, NULL);
    const struct op *op = node->kept[0];
    ck_assert_int_eq(op->type, OP_READ);
    ck_assert_int_eq(op->consistency, CONSISTENCY_STALE);
    ck_assert_uint_eq(op->max_stale_ms, 250);
    ck_assert_uint_eq(op->min_revision, 12);
    time_left();
    rest_begin(&rest, "PUT", "/kv/a?if_revision=9", NULL, slice_text(put_body));
    rest_until(&rest, submitted, NULL);
    op = node->kept[0];
    struct kv_op ops[BATCH_OPS_MAX];
    struct command command;
    ck_assert_int_eq(op->type, OP_WRITE);
    ck_assert(!op->local_only);
    ck_assert_int_eq(command_decode(blob_slice(op->command), ops, &command), OK);
    ck_assert_uint_eq(command.n, 1);
    ck_assert_int_eq(ops[0].type, KV_SET);
    ck_assert_int_eq(ops[0].condition, CONDITION_REVISION);
    ck_assert_uint_eq(ops[0].revision, 9);
    ck_assert(slice_equal(ops[0].key, slice_text("a")) &&
              slice_equal(ops[0].value, slice_text("1")));
    time_left();
}
END_TEST

START_TEST(a_bad_request_never_reaches_the_node)
{
    rest_expect(rest_put(&rest, "/kv/a", "nonsense"), 400);
    rest_expect(rest_get(&rest, "/kv/a?consistency=x"), 400);
    rest_expect(rest_get(&rest, "/kv?cursor=x"), 400);
    rest_expect(
        rest_post(&rest, "/batch", "{\"operations\":[{\"type\":\"get\",\"key\":\"a\"},{}]}"), 400);
    ck_assert_uint_eq(node->n_submitted, 0);
}
END_TEST

/* ---- redirects */

static void expect_redirect(const struct rest_answer *answer, const char *location)
{
    rest_expect(answer, 307);
    ck_assert_str_eq(rest_header(answer, "Location"), location);
}

START_TEST(a_follower_redirects_if_asked)
{
    expect_redirect(rest_put(&rest, "/kv/a%20b?redirect", put_body),
                    "http://10.0.0.2:8001/kv/a%20b");
    expect_redirect(rest_put(&rest, "/kv?key=a%26b&redirect=1&if_revision=3", put_body),
                    "http://10.0.0.2:8001/kv?key=a%26b&if_revision=3");
    expect_redirect(rest_get(&rest, "/kv?redirect&prefix=x&limit=2"),
                    "http://10.0.0.2:8001/kv?prefix=x&limit=2");
    expect_redirect(rest_get(&rest, "/kv/a?consistency=lease&redirect=true"),
                    "http://10.0.0.2:8001/kv/a?consistency=lease");
    expect_redirect(rest_delete(&rest, "/kv?prefix=&redirect"), "http://10.0.0.2:8001/kv?prefix=");
    expect_redirect(
        rest_post(&rest, "/batch?redirect", "{\"operations\":[{\"type\":\"get\",\"key\":\"a\"}]}"),
        "http://10.0.0.2:8001/batch");
    ck_assert_uint_eq(node->n_submitted, 0);
    ck_assert_str_eq(rest_header(rest_get(&rest, "/kv/a?redirect"), "Holdfast-Node"), "node1");
    node->err = ERR_TOO_STALE; /* a stale read is served here: it reaches the node */
    rest_expect(rest_get(&rest, "/kv/a?consistency=stale&redirect"), 503);
    rest_expect(rest_get(&rest, "/kv/a?redirect=0"), 503);
    ck_assert_uint_eq(node->n_submitted, 2);
}
END_TEST

START_TEST(a_redirecting_server_redirects_unasked)
{
    expect_redirect(rest_put(&rest, "/kv/a", put_body), "http://10.0.0.2:8001/kv/a");
    expect_redirect(rest_get(&rest, "/kv/a"), "http://10.0.0.2:8001/kv/a");
    node->err = ERR_NO_LEADER;
    node->outcome = OUTCOME_NOT_APPLIED;
    rest_expect(rest_put(&rest, "/kv/a?redirect=0", put_body), 503);
    ck_assert_uint_eq(node->n_submitted, 1);
    node->err = OK; /* what asks about this node is answered by this node */
    rest_expect(rest_get(&rest, "/health"), 200);
    rest_expect(rest_get(&rest, "/status"), 200);
    rest_expect(rest_get(&rest, "/cluster/info"), 200);
}
END_TEST

START_TEST(a_leader_does_not_redirect_and_without_one_the_node_is_asked)
{
    node->err = ERR_OVERLOADED;
    node->outcome = OUTCOME_NOT_APPLIED;
    node->status.role = RAFT_LEADER;
    node->status.leader = node->status.id;
    rest_expect(rest_put(&rest, "/kv/a?redirect", put_body), 429);
    node->status.role = RAFT_CANDIDATE;
    node->status.leader = 0;
    node->status.leader_http[0] = '\0';
    node->err = ERR_NO_LEADER; /* none came while it waited */
    const struct rest_answer *answer = rest_put(&rest, "/kv/a?redirect", put_body);
    rest_expect_error(answer, 503, "no_leader", "not_applied", "leader", NULL);
    ck_assert_str_eq(rest_header(answer, "Holdfast-Leader"), "");
    ck_assert_uint_eq(node->n_submitted, 2);
}
END_TEST

/* ---- the node in trouble */

static void expect_doubt(enum state_doubt doubt, const char *wanted)
{
    node->status.doubt = doubt;
    node->status.digest = 0xabc;
    const struct rest_answer *answer = rest_get(&rest, "/status");
    char *alarms = cJSON_PrintUnformatted(rest_member(answer, "alarms"));
    ck_assert_str_eq(alarms, wanted);
    free(alarms);
    ck_assert_str_eq(rest_text(answer, "digest"), "0000000000000abc");
    ck_assert_ptr_nonnull(strstr(rest_get(&rest, "/readyz")->body, "[-]state differs\n"));
}

START_TEST(status_names_state_and_alarms)
{
    static const struct {
        enum raft_role role;
        const char *state;
    } rows[] = { { RAFT_FOLLOWER, "follower" },
                 { RAFT_PRECANDIDATE, "candidate" },
                 { RAFT_CANDIDATE, "candidate" },
                 { RAFT_LEADER, "leader" } };
    for (size_t i = 0; i < 4; i++) {
        node->status.role = rows[i].role;
        ck_assert_str_eq(rest_text(rest_get(&rest, "/status"), "state"), rows[i].state);
    }
    node->status.disk_stalled = node->status.no_space = true;
    node->status.leader = 0;
    node->status.leader_http[0] = '\0';
    const struct rest_answer *answer = rest_get(&rest, "/status");
    char *alarms = cJSON_PrintUnformatted(rest_member(answer, "alarms"));
    ck_assert_str_eq(alarms, "[\"disk_stalled\",\"no_space\"]");
    free(alarms);
    expect_doubt(DOUBT_DIFFERS, "[\"disk_stalled\",\"no_space\",\"state_differs\"]");
    expect_doubt(DOUBT_UNDECIDED, "[\"disk_stalled\",\"no_space\",\"state_undecided\"]");
    answer = rest_get(&rest, "/status");
    ck_assert(cJSON_IsNull(rest_member(answer, "leader")));
    ck_assert(cJSON_IsNull(rest_member(answer, "leader_name")));
    ck_assert(cJSON_IsNull(rest_member(answer, "leader_url")));
    ck_assert(cJSON_IsNull(rest_member(answer, "leader_silence_ms")));
}
END_TEST

static const cJSON *member_of(const struct rest_answer *answer, int i, const char *name)
{
    const cJSON *member = cJSON_GetArrayItem(rest_member(answer, "members"), i);
    const cJSON *node_ = cJSON_GetObjectItem(member, name);
    ck_assert_msg(node_ != NULL, "%s in %s", name, answer->body);
    return node_;
}

START_TEST(cluster_info_has_the_leaders_word)
{
    static struct frame info;
    info = (struct frame) { .type = FRAME_INFO_REPLY };
    info.info_reply.term = 7;
    info.info_reply.commit = 44;
    info.info_reply.last = 50;
    info.info_reply.n = 3;
    for (uint32_t i = 0; i < 3; i++)
        info.info_reply.members[i] = (struct info_member) { .id = 0x1000 + i + 1,
                                                            .match = 50 - 20 * (i / 2),
                                                            .silence_ms = i == 2 ? UINT64_MAX : i,
                                                            .voter = i != 2 };
    node->info = &info;
    const struct rest_answer *answer = rest_get(&rest, "/cluster/info");
    rest_expect(answer, 200);
    ck_assert(cJSON_IsTrue(rest_member(answer, "from_leader")));
    ck_assert_double_eq(rest_number(answer, "commit_index"), 44);
    ck_assert_str_eq(rest_text(answer, "cluster_id"), "0000000000abcdef");
    ck_assert_str_eq(rest_text(answer, "leader"), "0000000000001002");
    ck_assert_str_eq(member_of(answer, 0, "role")->valuestring, "voter");
    ck_assert_str_eq(member_of(answer, 1, "role")->valuestring, "leader");
    ck_assert_str_eq(member_of(answer, 2, "role")->valuestring, "learner");
    ck_assert_double_eq(member_of(answer, 1, "lag")->valuedouble, 0);
    ck_assert_double_eq(member_of(answer, 2, "lag")->valuedouble, 20);
    ck_assert_double_eq(member_of(answer, 2, "match_index")->valuedouble, 30);
    ck_assert(cJSON_IsNull(member_of(answer, 2, "last_contact_ms")));
    ck_assert(cJSON_IsTrue(member_of(answer, 0, "self")) &&
              cJSON_IsFalse(member_of(answer, 1, "self")));
}
END_TEST

START_TEST(cluster_info_without_a_leader_says_what_is_known)
{
    node->err = ERR_NO_LEADER;
    node->status.leader = 0;
    node->members[2].name[0] = node->members[2].http_addr[0] = '\0';
    const struct rest_answer *answer = rest_get(&rest, "/cluster/info");
    rest_expect(answer, 200);
    ck_assert(cJSON_IsFalse(rest_member(answer, "from_leader")));
    ck_assert(cJSON_IsNull(rest_member(answer, "leader")));
    ck_assert_int_eq(cJSON_GetArraySize(rest_member(answer, "members")), 3);
    ck_assert_str_eq(member_of(answer, 1, "name")->valuestring, "node2");
    ck_assert(cJSON_IsNull(member_of(answer, 1, "match_index")));
    ck_assert(cJSON_IsNull(member_of(answer, 1, "lag")));
    ck_assert(cJSON_IsNull(member_of(answer, 2, "name")));
    ck_assert(cJSON_IsNull(member_of(answer, 2, "http_addr")));
}
END_TEST

START_TEST(health_says_why_it_is_bad)
{
    static const struct {
        enum err err;
        bool stalled, full, stopping;
        int status;
        const char *code, *why;
    } rows[] = {
        { OK, false, false, false, 200, NULL, NULL },
        { ERR_TIMEOUT, false, false, false, 503, "timeout", "did not finish in time" },
        { ERR_NO_LEADER, true, false, false, 503, "no_leader", "no leader" },
        { OK, true, false, false, 503, "disk_stalled", "disk" },
        { OK, false, true, false, 503, "no_space", "full" },
        { OK, true, true, true, 503, "shutting_down", "stopping" },
        { ERR_STATE_DIFFERS, false, false, false, 503, "state_differs", "differs" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        node->err = rows[i].err;
        node->status.disk_stalled = rows[i].stalled;
        node->status.no_space = rows[i].full;
        node->status.stopping = rows[i].stopping;
        const struct rest_answer *answer = rest_get(&rest, "/health");
        rest_expect(answer, rows[i].status);
        ck_assert(cJSON_IsTrue(rest_member(answer, "healthy")) == (rows[i].status == 200));
        if (rows[i].why != NULL) {
            ck_assert_str_eq(rest_text(answer, "code"), rows[i].code);
            ck_assert_ptr_nonnull(strstr(rest_text(answer, "why"), rows[i].why));
            ck_assert_str_eq(rest_header(answer, "Retry-After"), "1");
        }
    }
}
END_TEST

START_TEST(probes_see_a_node_that_cannot_serve)
{
    node->status.disk_stalled = true;
    rest_expect_body(rest_get(&rest, "/readyz"), 503,
                     "[+]leader ok\n[-]disk stalled\n[+]node ok\n[+]state ok\n");
    node->status.leader = 0;
    node->status.stopping = true;
    rest_expect_body(rest_get(&rest, "/readyz?verbose"), 503,
                     "[-]leader unknown\n[-]disk stalled\n[-]node stopping\n[+]state ok\n");
    rest_expect_body(rest_get(&rest, "/livez?verbose"), 200, "[+]loop ok\n");
    rest_expect(rest_get(&rest, "/leader"), 503);
    ck_assert(cJSON_IsFalse(rest_member(rest_get(&rest, "/leader"), "is_leader")));
}
END_TEST

START_TEST(stats_show_the_network)
{
    const struct rest_answer *answer = rest_get(&rest, "/stats");
    rest_expect(answer, 200);
    const cJSON *out = cJSON_GetObjectItem(rest_member(answer, "raft"), "messages_out");
    ck_assert_double_eq(cJSON_GetObjectItemCaseSensitive(out, "append_reply")->valuedouble, 0);
    const cJSON *network = rest_member(answer, "network");
    ck_assert_double_eq(cJSON_GetObjectItem(network, "frames_out")->valuedouble, 77);
}
END_TEST

/* ---- the end */

START_TEST(a_stopping_server_answers_what_it_has_and_refuses_the_rest)
{
    node->keep = true;
    rest_begin(&rest, "PUT", "/kv/a", NULL, slice_text(put_body)); /* waits in the node */
    rest_until(&rest, submitted, NULL);
    int waiting = rest.fd;
    rest.fd = -1;
    rest_begin(&rest, "PUT", "/kv/b", "Content-Length: 13\r\n",
               nothing()); /* its body is on its way */
    for (unsigned i = 0; i < 20; i++)
        rest_turn(&rest);
    server_stop(rest.server);
    ck_assert(!server_idle(rest.server));
    ck_assert_int_eq(send(rest.fd, put_body, 13, MSG_NOSIGNAL), 13);
    const struct rest_answer *answer = rest_end(&rest);
    rest_expect_error(answer, 503, "shutting_down", "not_applied", NULL, NULL);
    ck_assert_str_eq(rest_header(answer, "Connection"), "close");
    ck_assert_str_eq(rest_header(answer, "Retry-After"), "1");
    rest.fd = waiting;
    node->err = ERR_SHUTTING_DOWN;
    node->outcome = OUTCOME_UNKNOWN;
    fake_node_finish(node);
    answer = rest_end(&rest);
    rest_expect_error(answer, 503, "shutting_down", "unknown", NULL, NULL);
    ck_assert_str_eq(rest_header(answer, "Connection"), "close");
    ck_assert(server_idle(rest.server));
}
END_TEST

START_TEST(a_server_may_go_before_the_ops_of_its_node)
{
    node->keep = true;
    rest_begin(&rest, "PUT", "/kv/a", NULL, slice_text(put_body));
    rest_until(&rest, submitted, NULL);
    server_free(rest.server);
    rest.server = NULL; /* which rest_fini takes */
    node->err = ERR_SHUTTING_DOWN;
    fake_node_finish(node);
}
END_TEST

START_TEST(a_client_that_goes_away_harms_nobody)
{
    node->keep = true;
    static const char *const targets[] = { "/kv/a", "/kv?prefix=a", "/health", "/cluster/info" };
    for (size_t i = 0; i < 4; i++) {
        rest_begin(&rest, "GET", targets[i], NULL, nothing());
        rest_until(&rest, submitted, NULL);
        close(rest.fd);
        rest.fd = -1;
        for (unsigned turn = 0; turn < 20; turn++)
            rest_turn(&rest);
        node->err = ERR_TIMEOUT;
        fake_node_finish(node);
        ck_assert(server_idle(rest.server));
    }
    node->keep = false;
    rest_expect(rest_get(&rest, "/livez"), 200);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("answers");
    TCase *tcase = tcase_create("answers");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, each_end_of_a_write_is_told_truthfully);
    tcase_add_test(tcase, each_end_of_a_read_is_told);
    tcase_add_test(tcase, what_the_state_machine_refuses_names_the_operation);
    tcase_add_test(tcase, every_request_has_a_deadline);
    tcase_add_test(tcase, options_reach_the_node);
    tcase_add_test(tcase, a_bad_request_never_reaches_the_node);
    tcase_add_test(tcase, a_follower_redirects_if_asked);
    tcase_add_test(tcase, a_leader_does_not_redirect_and_without_one_the_node_is_asked);
    tcase_add_test(tcase, status_names_state_and_alarms);
    tcase_add_test(tcase, cluster_info_has_the_leaders_word);
    tcase_add_test(tcase, cluster_info_without_a_leader_says_what_is_known);
    tcase_add_test(tcase, health_says_why_it_is_bad);
    tcase_add_test(tcase, probes_see_a_node_that_cannot_serve);
    tcase_add_test(tcase, a_stopping_server_answers_what_it_has_and_refuses_the_rest);
    tcase_add_test(tcase, a_server_may_go_before_the_ops_of_its_node);
    tcase_add_test(tcase, a_client_that_goes_away_harms_nobody);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("redirecting");
    tcase_add_checked_fixture(tcase, set_up_redirecting, tear_down);
    tcase_add_test(tcase, a_redirecting_server_redirects_unasked);
    tcase_add_test(tcase, stats_show_the_network);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
