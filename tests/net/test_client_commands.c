/* test_client_commands.c - the client's subcommands as a person or a script meets them: what
 * they print, where, and their exit status. */
#include "tests/support/fake_http.h"

#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define PUT_DONE "{\"key\":\"k\",\"revision\":58,\"version\":1,\"created\":true}"
#define ERROR(code, retryable, outcome)                                                            \
    "{\"error\":{\"code\":\"" code "\",\"message\":\"said so\",\"hint\":\"do that\","              \
    "\"retryable\":" retryable ",\"outcome\":\"" outcome "\"}}"

/* The program itself, so that nothing of this process with its threads runs on after a fork. */
static const char *program(void)
{
    static char path[4096];
    const char *given = getenv("HOLDFAST"), *top = getenv("top_builddir");
    if (given == NULL)
        snprintf(path, sizeof path, "%s/holdfast", top == NULL ? "." : top);
    return given == NULL ? path : given;
}

static struct fake *fake;
static char out[1 << 17], err[1 << 14]; /* of the last command */
static size_t out_size;

static void setup(void)
{
    fake = fake_start();
    unsetenv("HOLDFAST_ENDPOINTS");
    setenv("HOLDFAST_ENDPOINTS", fake_url(fake), 1);
}

static void teardown(void)
{
    fake_free(fake);
}

static size_t slurp(FILE *file, char *text, size_t size)
{
    rewind(file);
    size_t n = fread(text, 1, size - 1, file);
    text[n] = '\0';
    fclose(file);
    return n;
}

/* Runs a command in a process of its own with `input` on standard input; the arguments end with
 * NULL.  Returns its exit status. */
static int run_with(const char *input, size_t input_size, const char *name, ...)
{
    char *argv[32] = { "holdfast", (char *)name };
    int argc = 2, status = -1;
    FILE *in = tmpfile(), *to = tmpfile(), *errors = tmpfile();
    va_list args;
    va_start(args, name);
    while ((argv[argc] = va_arg(args, char *)) != NULL)
        argc++;
    va_end(args);
    fwrite(input, 1, input_size, in);
    rewind(in);
    const char *path = program();
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        dup2(fileno(in), STDIN_FILENO);
        dup2(fileno(to), STDOUT_FILENO);
        dup2(fileno(errors), STDERR_FILENO);
        execv(path, argv);
        _exit(127);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    fclose(in);
    out_size = slurp(to, out, sizeof out);
    slurp(errors, err, sizeof err);
    ck_assert_msg(WIFEXITED(status), "%s ended by signal %d: %s", name, WTERMSIG(status), err);
    return WEXITSTATUS(status);
}
#define run(...) run_with("", 0, __VA_ARGS__, NULL)
#define run_text(input, ...) run_with(input, strlen(input), __VA_ARGS__, NULL)

static void expect_target(unsigned i, const char *start)
{
    struct fake_request request = fake_request(fake, i);
    ck_assert_msg(strncmp(request.target, start, strlen(start)) == 0, "expected %s..., got %s",
                  start, request.target);
}

/* One sentence, one line. */
static void expect_sentence(void)
{
    ck_assert_msg(strncmp(err, "holdfast: ", 10) == 0, "%s", err);
    ck_assert_ptr_eq(strchr(err, '\n'), err + strlen(err) - 1);
}

START_TEST(get_prints_the_value_and_a_newline)
{
    fake_answer(fake, 200, NULL, "{\"key\":\"k\",\"value\":\"world\",\"revision\":58}");
    ck_assert_int_eq(run("get", "k"), 0);
    ck_assert_str_eq(out, "world\n");
    ck_assert_str_eq(err, "");
}
END_TEST

START_TEST(get_raw_prints_the_bytes_alone)
{
    fake_answer(fake, 200, NULL, "{\"key\":\"k\",\"value_b64\":\"/wAKDQ==\",\"revision\":58}");
    ck_assert_int_eq(run("get", "-raw", "k"), 0); /* one dash does as well */
    ck_assert_uint_eq(out_size, 4);
    ck_assert_mem_eq(out, "\xff\0\n\r", 4);
}
END_TEST

START_TEST(get_takes_percent_encoded_keys)
{
    fake_answer(fake, 200, NULL, "{\"key_b64\":\"AA==\",\"value\":\"x\",\"revision\":58}");
    ck_assert_int_eq(run("get", "--percent", "%00a%20%25"), 0);
    expect_target(0, "/kv?key=%00a%20%25&");
    ck_assert_int_eq(run("get", "--percent", "100%"), 2);
    expect_sentence();
    ck_assert_uint_eq(fake_count(fake), 1);
}
END_TEST

START_TEST(get_json_prints_the_answer_as_it_came)
{
    static const char answer[] = "{\"key\":\"k\",\"value\":\"world\",\"revision\":58,\"more\":[1]}";
    fake_answer(fake, 200, NULL, answer);
    ck_assert_int_eq(run("get", "k", "--output=json"), 0);
    ck_assert_mem_eq(out, answer, strlen(answer));
    ck_assert_str_eq(out + strlen(answer), "\n");
}
END_TEST

START_TEST(put_takes_its_value_from_standard_input)
{
    fake_answer(fake, 200, NULL, PUT_DONE);
    ck_assert_int_eq(run_with("a\0b\n", 4, "put", "k", "-", "--if-revision=0", NULL), 0);
    ck_assert_str_eq(out, "created, revision 58\n");
    struct fake_request request = fake_request(fake, 0);
    ck_assert_uint_eq(request.body_size, 4);
    ck_assert_mem_eq(request.body, "a\0b\n", 4);
    expect_target(0, "/kv/k?raw&if_revision=0&");
}
END_TEST

START_TEST(put_takes_arguments_after_two_dashes_as_they_are)
{
    fake_answer(fake, 200, NULL, PUT_DONE);
    ck_assert_int_eq(run("put", "--", "-k", "--v"), 0);
    ck_assert_str_eq(fake_request(fake, 0).body, "--v");
    expect_target(0, "/kv/-k?raw&");
}
END_TEST

START_TEST(put_refuses_a_value_that_is_too_large)
{
    char *large = calloc(1, 1024 * 1024 + 1);
    ck_assert_int_eq(run_with(large, 1024 * 1024 + 1, "put", "k", "-", NULL), 2);
    expect_sentence();
    ck_assert_ptr_nonnull(strstr(err, "1048576"));
    free(large);
}
END_TEST

START_TEST(list_follows_the_cursor_and_escapes_what_is_not_text)
{
    fake_answer(fake, 200, NULL,
                "{\"kvs\":[{\"key\":\"a\",\"value\":\"1\\n2\",\"revision\":4}],\"count\":1,"
                "\"more\":true,\"cursor\":\"c1\",\"revision\":61}");
    fake_answer(
        fake, 200, NULL,
        "{\"kvs\":[{\"key_b64\":\"G/8=\",\"value\":\"\xc3\xa4\",\"revision\":4}],\"count\":1,"
        "\"more\":false,\"revision\":61}");
    ck_assert_int_eq(run("list", "app/"), 0);
    ck_assert_str_eq(out, "a\t1\\n2\n\\x1b\\xff\t\xc3\xa4\n");
    expect_target(0, "/kv?prefix=app/&");
    expect_target(1, "/kv?prefix=app/&cursor=c1&");
}
END_TEST

START_TEST(list_stops_at_its_limit)
{
    fake_answer(fake, 200, NULL,
                "{\"kvs\":[{\"key\":\"a b\"},{\"key\":\"b\"}],\"count\":2,\"more\":true,"
                "\"cursor\":\"c1\",\"revision\":61}");
    ck_assert_int_eq(run("list", "--limit=2", "--keys-only", "--percent", "--reverse"), 0);
    ck_assert_str_eq(out, "a%20b\nb\n");
    expect_target(0, "/kv?limit=2&keys_only=1&order=desc&");
    ck_assert_uint_eq(fake_count(fake), 1);
}
END_TEST

START_TEST(list_counts)
{
    fake_answer(fake, 200, NULL, "{\"kvs\":[],\"count\":12345,\"more\":false,\"revision\":61}");
    ck_assert_int_eq(run("list", "--count", "--prefix=a"), 0);
    ck_assert_str_eq(out, "12345\n");
}
END_TEST

START_TEST(delete_by_prefix_is_never_implied)
{
    fake_answer(fake, 200, NULL, "{\"deleted\":12,\"revision\":62}");
    ck_assert_int_eq(run("delete", "--prefix=app/"), 0);
    ck_assert_str_eq(out, "deleted 12, revision 62\n");
    ck_assert_int_eq(run("delete", "--prefix="), 2);
    ck_assert_int_eq(run("delete", "--prefix=a", "k"), 2);
    ck_assert_int_eq(run("delete"), 2);
    ck_assert_uint_eq(fake_count(fake), 1);
    expect_target(0, "/kv?prefix=app/&");
}
END_TEST

#define BATCH_DONE                                                                                 \
    "{\"revision\":63,\"results\":[{\"type\":\"set\",\"key\":\"a b\",\"ok\":true,\"revision\":63," \
    "\"created\":true},{\"type\":\"get\",\"key\":\"a "                                             \
    "b\",\"ok\":true,\"found\":true,\"value\":\"1\"},"                                             \
    "{\"type\":\"delete\",\"key\":\"c\",\"ok\":true,\"deleted\":0}]}"
#define BATCH_ASKED                                                                                \
    "{\"operations\":[{\"type\":\"set\",\"key\":\"a b\",\"value\":\"1\"},"                         \
    "{\"type\":\"get\",\"key\":\"a b\"},{\"type\":\"delete\",\"key\":\"c\"}]}"

START_TEST(batch_from_arguments_lines_and_json)
{
    for (int i = 0; i < 3; i++)
        fake_answer(fake, 200, NULL, BATCH_DONE);
    ck_assert_int_eq(run("batch", "set", "a b", "1", "get", "a b", "delete", "c"), 0);
    ck_assert_str_eq(out, "set a b: created\nget a b: 1\ndelete c: not found\nrevision 63\n");
    ck_assert_int_eq(run_text("# first\nset \"a b\" 1\n\n get 'a b'  # here\ndelete c", "batch"),
                     0);
    ck_assert_int_eq(run_text(BATCH_ASKED, "batch", "-"), 0);
    for (unsigned i = 0; i < 3; i++)
        ck_assert_str_eq(fake_request(fake, i).body, BATCH_ASKED);
}
END_TEST

START_TEST(batch_refuses_what_it_does_not_understand)
{
    ck_assert_int_eq(run("batch", "set", "a"), 2);
    ck_assert_int_eq(run("batch", "move", "a", "b"), 2);
    ck_assert_int_eq(run_text("set a 1 2\n", "batch"), 2);
    ck_assert_int_eq(run_text("set a \"1\n", "batch"), 2);
    ck_assert_int_eq(run_text("", "batch"), 2);
    ck_assert_int_eq(run("batch", "--file=/nonexistent/x"), 2);
    expect_sentence();
    ck_assert_uint_eq(fake_count(fake), 0);
}
END_TEST

START_TEST(status_is_a_table_of_all_nodes)
{
    char list[256], dead[64];
    int fd = refusing_port(dead);
    fake_set_info(fake, "{\"members\":[]}");
    fake_answer(
        fake, 200, NULL,
        "{\"id\":\"a1\",\"name\":\"node1\",\"state\":\"leader\",\"term\":7,\"leader\":\"a1\","
        "\"leader_name\":\"node1\",\"commit_index\":42,\"applied_index\":41,\"revision\":9,"
        "\"keys\":3,\"uptime_ms\":1500,\"version\":\"0.1.0\"}");
    snprintf(list, sizeof list, "%s,%s", fake_url(fake), dead);
    ck_assert_int_eq(run("status", "--endpoints", list), 0);
    ck_assert_msg(strncmp(out, "NODE ", 5) == 0, "%s", out);
    ck_assert_ptr_nonnull(strstr(out, "leader       node1   7"));
    ck_assert_ptr_nonnull(strstr(out, "unreachable"));
    ck_assert_ptr_nonnull(strstr(out, "  VERSION  ALARMS\n"));
    ck_assert_ptr_nonnull(strstr(out, "  0.1.0    -\n"));
    ck_assert_int_eq(run("status", "--endpoints", dead, "--timeout=300ms"), 3);
    close(fd);
}
END_TEST

START_TEST(info_is_a_table_of_members)
{
    fake_set_info(fake,
                  "{\"cluster_id\":\"c1\",\"leader_name\":\"node1\",\"term\":7,\"members\":["
                  "{\"id\":\"a1\",\"name\":\"node1\",\"role\":\"leader\",\"raft_addr\":\"h:1\","
                  "\"http_addr\":\"h:2\",\"match_index\":42,\"lag\":0,\"last_contact_ms\":null}]}");
    ck_assert_int_eq(run("info"), 0);
    ck_assert_ptr_nonnull(strstr(out, "cluster    c1\n"));
    ck_assert_ptr_nonnull(strstr(out, "node1  a1  leader  h:2   h:1   42     0    -\n"));
}
END_TEST

/* ---- exit statuses */

static const struct {
    int http;
    const char *body;
    int status;
} ends[] = {
    { 404, ERROR("key_not_found", "false", "not_applied"), 1 },
    { 412, ERROR("condition_failed", "false", "not_applied"), 1 },
    { 400, ERROR("bad_request", "false", "not_applied"), 2 },
    { 413, ERROR("too_large", "false", "not_applied"), 2 },
    { 503, ERROR("no_leader", "true", "not_applied"), 3 },
    { 503, ERROR("no_space", "false", "not_applied"), 3 },
    { 504, ERROR("timeout", "false", "unknown"), 4 },
    { 200, "garbage", 4 },
};

START_TEST(exit_statuses_tell_the_end)
{
    fake_add(fake, (struct fake_step) {
                       .status = ends[_i].http, .body = ends[_i].body, .forever = true });
    ck_assert_int_eq(run("put", "k", "v", "--timeout=200ms", "--output=json"), ends[_i].status);
    expect_sentence();
    ck_assert_ptr_nonnull(strstr(out, "{\"error\":{\"code\":"));
}
END_TEST

START_TEST(no_cluster_is_status_three)
{
    char dead[64];
    int fd = refusing_port(dead);
    ck_assert_int_eq(run("get", "k", "-endpoints", dead, "-timeout", "200ms"), 3);
    expect_sentence();
    ck_assert_ptr_nonnull(strstr(err, "HOLDFAST_ENDPOINTS"));
    close(fd);
}
END_TEST

static const char *const wrong[][6] = {
    { "get", NULL },
    { "get", "a", "b", NULL },
    { "get", "", NULL },
    { "get", "k", "--tiemout=5s", NULL },
    { "get", "k", "--timeout=5", NULL },
    { "get", "k", "--timeout", NULL },
    { "get", "k", "--output=xml", NULL },
    { "get", "k", "--if-revision=1", NULL },
    { "get", "k", "--consistency=strong", NULL },
    { "get", "k", "--endpoints=ftp://x", NULL },
    { "put", "k", NULL },
    { "put", "k", "v", "--if-revision=-1", NULL },
    { "list", "a", "--prefix=a", NULL },
    { "list", "--limit=0", NULL },
    { "status", "x", NULL },
    { "stats", NULL },
    { "nonsense", NULL },
};

START_TEST(wrong_usage_is_status_two_and_one_sentence)
{
    const char *const *w = wrong[_i];
    ck_assert_int_eq(
        run_with("", 0, w[0], w[1], w[1] ? w[2] : NULL, w[1] && w[2] ? w[3] : NULL, NULL), 2);
    expect_sentence();
    ck_assert_str_eq(out, "");
    ck_assert_uint_eq(fake_count(fake), 0);
}
END_TEST

START_TEST(a_slip_in_a_flag_is_named)
{
    run("get", "k", "--tiemout=5s");
    ck_assert_ptr_nonnull(strstr(err, "did you mean --timeout?"));
    run("get", "k", "--timeout");
    ck_assert_ptr_nonnull(strstr(err, "--timeout of get needs a value"));
}
END_TEST

START_TEST(every_command_has_help)
{
    static const char *const names[] = { "get",   "put",    "delete", "list",
                                         "batch", "status", "info",   "shell" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        ck_assert_int_eq(run(names[i], "--help"), 0);
        ck_assert_ptr_nonnull(strstr(out, "usage: holdfast "));
        ck_assert_ptr_nonnull(strstr(out, "--endpoints=LIST"));
        ck_assert_str_eq(err, "");
    }
}
END_TEST

/* ---- the shell as a script */

START_TEST(a_script_runs_line_by_line)
{
    fake_answer(fake, 200, NULL, PUT_DONE);
    fake_answer(fake, 404, NULL, ERROR("key_not_found", "false", "not_applied"));
    fake_answer(fake, 200, NULL, BATCH_DONE);
    fake_answer(fake, 200, NULL, "{\"requests\":{\"x\":1}}");
    ck_assert_int_eq(
        run_text("# a comment\n\nput \"a b\" 'c \"d\"'\nget none\n"
                 "batch\nset \"a b\" 1\nget \"a b\"\ndelete c\nend\nstats\nquit\nget never\n",
                 "shell"),
        1);
    ck_assert_str_eq(out, "created, revision 58\n"
                          "set a b: created\nget a b: 1\ndelete c: not found\nrevision 63\n"
                          "{\n\t\"requests\":\t{\n\t\t\"x\":\t1\n\t}\n}\n");
    expect_sentence();
    expect_target(0, "/kv/a%20b?raw&");
    ck_assert_str_eq(fake_request(fake, 0).body, "c \"d\"");
    ck_assert_str_eq(fake_request(fake, 2).body, BATCH_ASKED);
    ck_assert_uint_eq(fake_count(fake), 4);
}
END_TEST

START_TEST(a_script_goes_on_after_a_wrong_line_and_fails)
{
    fake_answer(fake, 200, NULL, PUT_DONE);
    ck_assert_int_eq(
        run_text("frobnicate\nput 'k\nput k v --endpoints=x\nput k -\nshell\nput k v\n", "shell"),
        2);
    ck_assert_str_eq(out, "created, revision 58\n");
    ck_assert_uint_eq(fake_count(fake), 1);
}
END_TEST

START_TEST(the_shell_helps)
{
    ck_assert_int_eq(run_text("help\nhelp put\n", "shell"), 0);
    ck_assert_ptr_nonnull(strstr(out, "  health "));
    ck_assert_ptr_nonnull(strstr(out, "usage: put [FLAGS] KEY VALUE|-"));
    ck_assert_ptr_null(strstr(out, "--endpoints"));
}
END_TEST

#define COUNT(array) (int)(sizeof(array) / sizeof((array)[0]))

int main(void)
{
    Suite *suite = suite_create("client commands");
    TCase *all = tcase_create("all");
    tcase_add_checked_fixture(all, setup, teardown);
    tcase_set_timeout(all, 30);
    suite_add_tcase(suite, all);
    tcase_add_test(all, get_prints_the_value_and_a_newline);
    tcase_add_test(all, get_raw_prints_the_bytes_alone);
    tcase_add_test(all, get_takes_percent_encoded_keys);
    tcase_add_test(all, get_json_prints_the_answer_as_it_came);
    tcase_add_test(all, put_takes_its_value_from_standard_input);
    tcase_add_test(all, put_takes_arguments_after_two_dashes_as_they_are);
    tcase_add_test(all, put_refuses_a_value_that_is_too_large);
    tcase_add_test(all, list_follows_the_cursor_and_escapes_what_is_not_text);
    tcase_add_test(all, list_stops_at_its_limit);
    tcase_add_test(all, list_counts);
    tcase_add_test(all, delete_by_prefix_is_never_implied);
    tcase_add_test(all, batch_from_arguments_lines_and_json);
    tcase_add_test(all, batch_refuses_what_it_does_not_understand);
    tcase_add_test(all, status_is_a_table_of_all_nodes);
    tcase_add_test(all, info_is_a_table_of_members);
    tcase_add_loop_test(all, exit_statuses_tell_the_end, 0, COUNT(ends));
    tcase_add_test(all, no_cluster_is_status_three);
    tcase_add_loop_test(all, wrong_usage_is_status_two_and_one_sentence, 0, COUNT(wrong));
    tcase_add_test(all, a_slip_in_a_flag_is_named);
    tcase_add_test(all, every_command_has_help);
    tcase_add_test(all, a_script_runs_line_by_line);
    tcase_add_test(all, a_script_goes_on_after_a_wrong_line_and_fails);
    tcase_add_test(all, the_shell_helps);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
