/* test_options.c - what `holdfast server` takes, from where, and what it says to the rest. */
#include "src/cmd/options.h"

#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct options options;
static char why[WHY_MAX];

/* Loads a command line given as words; the last is NULL. */
static bool load(const char *first, ...)
{
    char *argv[32] = { (char[]){ "server" } };
    int argc = 1;
    va_list words;
    va_start(words, first);
    for (const char *word = first; word != NULL; word = va_arg(words, const char *))
        argv[argc++] = strdup(word);
    va_end(words);
    bool help;
    why[0] = '\0';
    bool fine = options_load(argc, argv, &options, &help, why);
    for (int i = 1; i < argc; i++)
        free(argv[i]);
    return fine;
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
}

static char config_path[64];

static void with_config(const char *text)
{
    strcpy(config_path, "/tmp/holdfast-test-XXXXXX");
    int fd = mkstemp(config_path);
    ck_assert_int_ge(fd, 0);
    close(fd);
    write_file(config_path, text);
}

static void no_config(void)
{
    if (config_path[0] != '\0')
        unlink(config_path);
    config_path[0] = '\0';
}

#define ck_refused(sentence, ...)                              \
    do {                                                       \
        ck_assert_msg(!load(__VA_ARGS__), "it was accepted");  \
        ck_assert_ptr_nonnull(strstr(why, sentence) ? why : (fprintf(stderr, "said: %s\n", why), NULL)); \
    } while (0)

START_TEST(without_a_flag_it_is_a_cluster_of_one)
{
    ck_assert_msg(load(NULL), "%s", why);
    ck_assert_str_eq(options.id, "node1");
    ck_assert_str_eq(options.http_addr, "localhost:8001");
    ck_assert_str_eq(options.raft_addr, "localhost:9001");
    ck_assert_str_eq(options.data_dir, "./data");
    ck_assert_uint_eq(options.peers.n, 0);
    ck_assert_uint_eq(options.election_min_ms, 150);
    ck_assert_uint_eq(options.election_max_ms, 300);
    ck_assert_uint_eq(options.heartbeat_ms, 50);
    ck_assert_uint_eq(options.batch_entries, 100);
    ck_assert(!options.redirect);
}
END_TEST

START_TEST(the_seeds_line_with_one_dash)
{
    ck_assert_msg(load("-id=node1", "-raft-addr=localhost:9001", "-http-addr=localhost:8001",
                       "-data-dir=./data", "-peers=localhost:9002,localhost:9003", NULL), "%s", why);
    ck_assert_uint_eq(options.peers.n, 2);
    ck_assert_str_eq(options.peers.at[0], "localhost:9002");
    ck_assert_str_eq(options.peers.at[1], "localhost:9003");
}
END_TEST

START_TEST(the_own_address_among_the_peers_is_left_out)
{
    ck_assert_msg(load("--peers=localhost:9001,localhost:9002, LOCALHOST:9003", NULL), "%s", why);
    ck_assert_uint_eq(options.peers.n, 2);
    ck_assert_str_eq(options.peers.at[0], "localhost:9002");
    ck_assert_str_eq(options.peers.at[1], "localhost:9003");
}
END_TEST

START_TEST(an_empty_list_of_peers_is_one_node)
{
    ck_assert_msg(load("--peers=", NULL), "%s", why);
    ck_assert_uint_eq(options.peers.n, 0);
}
END_TEST

START_TEST(wrong_values_are_told_what_would_be_right)
{
    ck_refused("did you mean --election-timeout?", "--election-timeot=1s", NULL);
    ck_refused("there is no flag --colour", "--colour=red", NULL);
    ck_refused("--id needs a value", "--id", NULL);
    ck_refused("is too much", "extra", NULL);
    ck_refused("--election-timeout: \"150\" is no range", "--election-timeout=150", NULL);
    ck_refused("no range", "--election-timeout=150-300", NULL);
    ck_refused("ends before it begins", "--election-timeout=300-150ms", NULL);
    ck_refused("write a whole number and a unit", "--heartbeat-interval=50", NULL);
    ck_refused("half as long or less", "--heartbeat-interval=100ms", NULL);
    ck_refused("out of range", "--max-entries-per-message=0", NULL);
    ck_refused("from 1 to 1024", "--max-entries-per-message=many", NULL);
    ck_refused("no name for a node", "--id=a/b", NULL);
    ck_refused("no name for a node", "--id=..", NULL);
    ck_refused("no name for a node", "--id=", NULL);
    ck_refused("--raft-addr", "--raft-addr=localhost", NULL);
    ck_refused("--http-addr", "--http-addr=localhost:0", NULL);
    ck_refused("named twice", "--peers=localhost:9002,localhost:9002", NULL);
    ck_refused("empty place", "--peers=localhost:9002,,localhost:9003", NULL);
    ck_refused("own http-addr", "--peers=localhost:8001", NULL);
    ck_refused("cannot reach", "--raft-addr=0.0.0.0:9001", "--peers=localhost:9002", NULL);
    ck_refused("a port of its own", "--http-addr=localhost:9001", NULL);
    ck_refused("not one of lmdb, memory", "--storage=disk", NULL);
    ck_refused("not one of error, warn, info, debug", "--log-level=loud", NULL);
    ck_refused("neither true nor false", "--redirect=maybe", NULL);
    ck_refused("no size", "--log-map-size=big", NULL);
    ck_refused("above max-timeout", "--timeout=90s", NULL);
}
END_TEST

START_TEST(where_to_look_for_others)
{
    ck_assert_msg(load("--discover=dns:holdfast.default.svc:9001", "--expect=3", NULL), "%s", why);
    ck_assert_int_eq(options.discover.kind, DISCOVER_DNS);
    ck_assert_str_eq(options.discover.name, "holdfast.default.svc");
    ck_assert_uint_eq(options.discover.port, 9001);
    ck_assert_uint_eq(options.expect, 3);
    ck_assert_msg(load("--discover=dns-srv:_raft._tcp.holdfast", "--dns-server=10.0.0.1:53", NULL), "%s", why);
    ck_assert_int_eq(options.discover.kind, DISCOVER_SRV);
    ck_assert_str_eq(options.discover.name, "_raft._tcp.holdfast");
    ck_assert_str_eq(options.dns_server, "10.0.0.1:53");
    ck_assert_uint_eq(options.expect, 0);
    ck_assert_msg(load("--discover=dns:a:1", "--replace=node2", NULL), "%s", why);
    ck_refused("names no place to look", "--discover=holdfast:9001", NULL);
    ck_refused("names no place to look", "--discover=dns-srv:", NULL);
    ck_refused("names no place to look", "--discover=dns-srv:a b", NULL);
    ck_refused("behind dns:", "--discover=dns:holdfast", NULL);
    ck_refused("behind dns:", "--discover=dns:holdfast:0", NULL);
    ck_refused("from 1 to 7", "--discover=dns:a:1", "--expect=8", NULL);
    ck_refused("from 1 to 7", "--discover=dns:a:1", "--expect=0", NULL);
    ck_refused("without peers", "--discover=dns:a:1", "--peers=b:1", NULL);
    ck_refused("without join", "--discover=dns:a:1", "--join=b:1", NULL);
    ck_refused("expect goes with discover", "--expect=3", NULL);
    ck_refused("dns-server goes with discover", "--dns-server=10.0.0.1:53", NULL);
    ck_refused("no IPv4 address", "--discover=dns:a:1", "--dns-server=localhost:53", NULL);
    ck_refused("begins no cluster", "--discover=dns:a:1", "--expect=3", "--learner", NULL);
    ck_refused("cannot reach", "--discover=dns:a:1", "--raft-addr=0.0.0.0:9001", NULL);
}
END_TEST

START_TEST(more_than_seven_members_are_refused)
{
    const char *six = "--peers=a:1,b:1,c:1,d:1,e:1,f:1";
    ck_assert_msg(load(six, NULL), "%s", why);
    ck_refused("at most 7", "--peers=a:1,b:1,c:1,d:1,e:1,f:1,g:1", NULL);
}
END_TEST

START_TEST(durations_and_sizes)
{
    ck_refused("out of range", "--election-timeout=1-2s", "--flush-interval=2m", NULL);
    ck_assert_msg(load("--election-timeout=1s-1500ms", "--flush-interval=1m",
                       "--log-map-size=1GiB", "--redirect", NULL), "%s", why);
    ck_assert_uint_eq(options.election_min_ms, 1000);
    ck_assert_uint_eq(options.election_max_ms, 1500);
    ck_assert_uint_eq(options.flush_ms, 60000);
    ck_assert_uint_eq(options.log_map_bytes, 1ULL << 30);
    ck_assert(options.redirect);
    ck_refused("no size", "--log-map-size=99999999999999999999", NULL);
    ck_refused("out of range", "--log-map-size=1MiB", NULL);
    ck_refused("no size", "--log-map-size=99999999TiB", NULL);
}
END_TEST

START_TEST(flags_go_before_the_environment_that_before_the_file)
{
    with_config("id = filed\nhttp-addr = localhost:7001\nraft-addr = localhost:7002\n");
    setenv("HOLDFAST_HTTP_ADDR", "localhost:7003", 1);
    setenv("HOLDFAST_RAFT_ADDR", "localhost:7004", 1);
    char flag[80];
    snprintf(flag, sizeof flag, "--config=%s", config_path);
    ck_assert_msg(load("--raft-addr=localhost:7005", flag, NULL), "%s", why);
    ck_assert_str_eq(options.id, "filed");
    ck_assert_str_eq(options.http_addr, "localhost:7003");
    ck_assert_str_eq(options.raft_addr, "localhost:7005");
    setenv("HOLDFAST_HTTP_ADDR", "nonsense", 1);
    ck_refused("HOLDFAST_HTTP_ADDR: http-addr:", flag, NULL);
}
END_TEST

START_TEST(a_configuration_file_may_have_comments_and_blanks)
{
    with_config("# a node\n\n  id=n#1.x   # not a name\n");
    char flag[80], sentence[120];
    snprintf(flag, sizeof flag, "--config=%s", config_path);
    snprintf(sentence, sizeof sentence, "%s:3: id: \"n#1.x\"", config_path);
    ck_refused(sentence, flag, NULL);
    write_file(config_path, "\t id\t=  n1  # its name\r\n#id = n2\nredirect = yes");
    ck_assert_msg(load(flag, NULL), "%s", why);
    ck_assert_str_eq(options.id, "n1");
    ck_assert(options.redirect);
}
END_TEST

START_TEST(a_wrong_line_of_the_file_is_named)
{
    with_config("id = n1\nheartbeat-intervall = 20ms\n");
    char flag[80], sentence[200];
    snprintf(flag, sizeof flag, "--config=%s", config_path);
    snprintf(sentence, sizeof sentence, "%s:2: there is no option heartbeat-intervall; did you mean "
             "heartbeat-interval?", config_path);
    ck_refused(sentence, flag, NULL);
    write_file(config_path, "id n1\n");
    ck_refused("has no '='", flag, NULL);
    write_file(config_path, "config = other\n");
    ck_refused("cannot name another", flag, NULL);
    ck_refused("cannot read the configuration file", "--config=/nonexistent/file", NULL);
}
END_TEST

START_TEST(the_word_that_was_meant)
{
    static const char *const words[] = { "server", "status", "delete", "demo" };
    ck_assert_str_eq(nearest_word("sevrer", words, 4), "server");
    ck_assert_str_eq(nearest_word("delet", words, 4), "delete");
    ck_assert_str_eq(nearest_word("dmeo", words, 4), "demo");
    ck_assert_ptr_null(nearest_word("quit", words, 4));
    ck_assert_ptr_null(nearest_word("", words, 4));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("options");
    TCase *tests = tcase_create("options");
    tcase_add_checked_fixture(tests, NULL, no_config);
    tcase_add_test(tests, without_a_flag_it_is_a_cluster_of_one);
    tcase_add_test(tests, the_seeds_line_with_one_dash);
    tcase_add_test(tests, the_own_address_among_the_peers_is_left_out);
    tcase_add_test(tests, an_empty_list_of_peers_is_one_node);
    tcase_add_test(tests, wrong_values_are_told_what_would_be_right);
    tcase_add_test(tests, where_to_look_for_others);
    tcase_add_test(tests, more_than_seven_members_are_refused);
    tcase_add_test(tests, durations_and_sizes);
    tcase_add_test(tests, flags_go_before_the_environment_that_before_the_file);
    tcase_add_test(tests, a_configuration_file_may_have_comments_and_blanks);
    tcase_add_test(tests, a_wrong_line_of_the_file_is_named);
    tcase_add_test(tests, the_word_that_was_meant);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
