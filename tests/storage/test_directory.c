/* test_directory.c - a data directory is made where there is none, found where it is ours,
 * and otherwise left alone with a sentence that says what to do. */
#include "harness.h"

#include <lmdb.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char base[64], path[128], message[STORAGE_MESSAGE_MAX];
static struct identity identity;

static void setup(void)
{
    make_temporary(base);
    snprintf(path, sizeof path, "%s/node1", base);
    identity = identity_example();
}

static void teardown(void)
{
    remove_tree(base);
}

static void below(char out[256], const char *name)
{
    snprintf(out, 256, "%s/%s", path, name);
}

/* Opens and closes; fails the test unless it goes well.  True: it was created. */
static bool open_well(void)
{
    struct data_directory *dir;
    enum err err = data_directory_open(path, &identity, &dir, message);
    ck_assert_msg(err == OK, "%s", message);
    bool created = dir->created;
    data_directory_close(dir);
    return created;
}

static void expect_said(const char *part)
{
    ck_assert_msg(strstr(message, part) != NULL, "\"%s\" does not say \"%s\"", message, part);
}

static void expect_refused(enum err expected, const char *part)
{
    struct data_directory *dir;
    struct identity asked = identity;
    enum err err = data_directory_open(path, &asked, &dir, message);
    ck_assert_msg(err == expected, "expected %s, got %s: %s", err_name(expected), err_name(err),
                  message);
    expect_said(part);
    ck_assert_msg(strstr(message, "; ") != NULL, "\"%s\" does not say what to do", message);
}

static void make_file(const char *name, const char *text)
{
    char full[256];
    below(full, name);
    FILE *file = fopen(full, "w");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
}

static void make_folder(const char *name)
{
    char full[256];
    below(full, name);
    ck_assert_int_eq(mkdir(full, 0755), 0);
}

static bool there(const char *name)
{
    char full[256];
    below(full, name);
    return access(full, F_OK) == 0;
}

static unsigned count_names(void)
{
    unsigned n = 0;
    DIR *dir = opendir(path);
    ck_assert_ptr_nonnull(dir);
    while (readdir(dir) != NULL)
        n++;
    closedir(dir);
    return n - 2;
}

/* ---- making */

START_TEST(it_is_made_with_its_parents)
{
    snprintf(path, sizeof path, "%s/a//b/c/", base);
    ck_assert(open_well());
    ck_assert(there("log/data.mdb") && there("state/data.mdb") && there("LOCK"));
    ck_assert(!there("creating"));
    ck_assert(!open_well());
}
END_TEST

START_TEST(an_empty_directory_is_used)
{
    ck_assert_int_eq(mkdir(path, 0755), 0);
    make_folder("lost+found"); /* it may be the root of a disk */
    ck_assert(open_well());
    ck_assert(!open_well());
}
END_TEST

START_TEST(the_incarnation_is_drawn_once)
{
    unsigned char first[INCARNATION_SIZE], none[INCARNATION_SIZE] = { 0 };
    open_well();
    memcpy(first, identity.incarnation, INCARNATION_SIZE);
    ck_assert_mem_ne(first, none, INCARNATION_SIZE);
    memset(identity.incarnation, 0, INCARNATION_SIZE);
    open_well();
    ck_assert_mem_eq(identity.incarnation, first, INCARNATION_SIZE);
    snprintf(path, sizeof path, "%s/other", base);
    open_well();
    ck_assert_mem_ne(identity.incarnation, first, INCARNATION_SIZE);
}
END_TEST

/* ---- refusing */

START_TEST(a_file_in_the_way_is_named)
{
    ck_assert_int_eq(mkdir(path, 0755), 0);
    make_file("file", "x");
    snprintf(path + strlen(path), sizeof path - strlen(path), "/file");
    expect_refused(ERR_FOREIGN, "is a file");
    snprintf(path + strlen(path), sizeof path - strlen(path), "/deeper");
    expect_refused(ERR_FOREIGN, "is a file");
}
END_TEST

START_TEST(strangers_files_are_never_touched)
{
    ck_assert_int_eq(mkdir(path, 0755), 0);
    make_file("thesis.tex", "years of work");
    expect_refused(ERR_FOREIGN, "thesis.tex");
    ck_assert_uint_eq(count_names(), 1);
}
END_TEST

START_TEST(a_strangers_log_folder_is_not_ours)
{
    ck_assert_int_eq(mkdir(path, 0755), 0);
    make_folder("log"); /* as /var has one */
    make_file("log/messages", "hello");
    expect_refused(ERR_FOREIGN, "\"log\"");
    make_folder("state");
    expect_refused(ERR_FOREIGN, "\"log\"");
    ck_assert_uint_eq(count_names(), 2);
}
END_TEST

START_TEST(a_strangers_creating_folder_is_not_ours)
{
    ck_assert_int_eq(mkdir(path, 0755), 0);
    make_folder("creating");
    expect_refused(ERR_FOREIGN, "\"creating\"");
    make_file("LOCK", "");
    make_file("creating/poem", "o");
    expect_refused(ERR_FOREIGN, "creating");
    ck_assert(there("creating/poem"));
}
END_TEST

START_TEST(another_programs_lmdb_is_not_ours)
{
    char full[256];
    MDB_env *env;
    ck_assert_int_eq(mkdir(path, 0755), 0);
    make_folder("log");
    make_folder("state");
    below(full, "log");
    ck_assert_int_eq(mdb_env_create(&env), 0);
    ck_assert_int_eq(mdb_env_open(env, full, 0, 0640), 0);
    mdb_env_close(env);
    expect_refused(ERR_FOREIGN, "not Holdfast's");
}
END_TEST

/* Runs `fn` as a user who owns nothing; root may write anywhere. */
static void as_nobody(void (*fn)(void))
{
    int status;
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
            _exit(1);
        fn();
        _exit(0);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
}

static void expect_permission_denied(void)
{
    struct data_directory *dir;
    enum err err = data_directory_open(path, &identity, &dir, message);
    if (err != ERR_IO || strstr(message, "Permission denied") == NULL ||
        strstr(message, "--data-dir") == NULL) {
        fprintf(stderr, "%s: %s\n", err_name(err), message);
        _exit(1);
    }
}

START_TEST(what_may_not_be_written_is_said)
{
    ck_assert_int_eq(chmod(base, 0555), 0);
    as_nobody(expect_permission_denied); /* cannot be made */
    ck_assert_int_eq(chmod(base, 0755), 0);
    ck_assert_int_eq(mkdir(path, 0555), 0);
    as_nobody(expect_permission_denied); /* empty, but read-only */
    ck_assert_int_eq(chmod(path, 0755), 0);
    open_well();
    if (geteuid() == 0)
        as_nobody(expect_permission_denied); /* another user's */
    ck_assert_int_eq(chmod(path, 0000), 0);
    as_nobody(expect_permission_denied);
    ck_assert_int_eq(chmod(path, 0755), 0);
}
END_TEST

START_TEST(a_path_that_is_too_long_or_empty_is_refused)
{
    struct data_directory *dir;
    char *longest = malloc(5000);
    memset(longest, 'a', 4999);
    longest[4999] = '\0';
    ck_assert_int_eq(data_directory_open(longest, &identity, &dir, message), ERR_IO);
    ck_assert_int_eq(data_directory_open("", &identity, &dir, message), ERR_IO);
    free(longest);
}
END_TEST

/* ---- whose is it? */

START_TEST(another_nodes_name_is_noticed)
{
    open_well();
    snprintf(identity.name, sizeof identity.name, "node2");
    expect_refused(ERR_FOREIGN, "the node named node1, not to node2");
    expect_said(path);
}
END_TEST

START_TEST(another_raft_address_is_noticed)
{
    open_well();
    snprintf(identity.raft_addr, sizeof identity.raft_addr, "127.0.0.1:9009");
    expect_refused(ERR_FOREIGN, "127.0.0.1:9001, not to 127.0.0.1:9009");
}
END_TEST

START_TEST(another_list_of_members_is_noticed)
{
    open_well();
    snprintf(identity.members, sizeof identity.members, "127.0.0.1:9001,127.0.0.1:9002");
    expect_refused(ERR_FOREIGN, "127.0.0.1:9003, not to 127.0.0.1:9001,127.0.0.1:9002");
}
END_TEST

START_TEST(a_long_list_of_members_still_ends_in_advice)
{
    memset(identity.members, 'm', META_TEXT_MAX - 1);
    open_well();
    memset(identity.members, 'n', META_TEXT_MAX - 1);
    expect_refused(ERR_FOREIGN, "--peers");
}
END_TEST

START_TEST(another_cluster_is_noticed)
{
    open_well();
    identity.cluster++;
    expect_refused(ERR_FOREIGN, "1122334455667788, not to 1122334455667789");
}
END_TEST

START_TEST(another_id_is_noticed)
{
    open_well();
    identity.id++;
    expect_refused(ERR_FOREIGN, "00000000000000a1, not to 00000000000000a2");
}
END_TEST

static void put_raw(const char *environment, const char *key, const char *text)
{
    char full[256];
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    below(full, environment);
    ck_assert_int_eq(mdb_env_create(&env), 0);
    ck_assert_int_eq(mdb_env_set_maxdbs(env, 8), 0);
    ck_assert_int_eq(mdb_env_open(env, full, 0, 0640), 0);
    ck_assert_int_eq(mdb_txn_begin(env, NULL, 0, &txn), 0);
    ck_assert_int_eq(mdb_dbi_open(txn, "meta", 0, &dbi), 0);
    char copy[64], name[64];
    snprintf(copy, sizeof copy, "%s", text);
    snprintf(name, sizeof name, "%s", key);
    MDB_val k = { strlen(name), name }, v = { strlen(copy), copy };
    ck_assert_int_eq(mdb_put(txn, dbi, &k, &v, 0), 0);
    ck_assert_int_eq(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
}

START_TEST(an_unknown_format_is_not_guessed_at)
{
    open_well();
    put_raw("state", "format", "holdfast-state 3");
    expect_refused(ERR_FOREIGN, "\"holdfast-state 3\"");
    put_raw("log", "format", "holdfast-log 2");
    expect_refused(ERR_FOREIGN, "\"holdfast-log 2\"");
}
END_TEST

START_TEST(an_incarnation_that_is_none_is_corruption)
{
    open_well();
    put_raw("log", "incarnation", "xyz");
    expect_refused(ERR_CORRUPT, "incarnation");
}
END_TEST

START_TEST(a_state_of_another_log_is_noticed)
{
    char here[256], other[256];
    open_well();
    snprintf(path, sizeof path, "%s/other", base);
    open_well();
    below(other, "state");
    snprintf(path, sizeof path, "%s/node1", base);
    below(here, "state");
    remove_tree(here);
    ck_assert_int_eq(rename(other, here), 0);
    expect_refused(ERR_FOREIGN, "another log");
}
END_TEST

/* ---- what was lost */

START_TEST(a_lost_folder_is_not_made_anew)
{
    char full[256];
    open_well();
    below(full, "state");
    remove_tree(full);
    expect_refused(ERR_CORRUPT, "lost its folder state");
    teardown();
    setup();
    open_well();
    below(full, "log"); /* made anew, the node could vote twice */
    remove_tree(full);
    expect_refused(ERR_CORRUPT, "lost its folder log");
    ck_assert(there("state/data.mdb"));
}
END_TEST

START_TEST(a_lost_or_broken_file_is_not_made_anew)
{
    char full[256];
    open_well();
    make_file("state/data.mdb", "");
    expect_refused(ERR_CORRUPT, "state/data.mdb is missing or empty");
    below(full, "state/data.mdb");
    unlink(full);
    expect_refused(ERR_CORRUPT, "state/data.mdb is missing or empty");
    char *noise = malloc(20000);
    memset(noise, 'n', 19999);
    noise[19999] = '\0';
    make_file("log/data.mdb", noise);
    free(noise);
    expect_refused(ERR_CORRUPT, "not an LMDB file");
}
END_TEST

START_TEST(more_files_beside_ours_do_no_harm)
{
    open_well();
    make_file("NOTES", "mine");
    ck_assert(!open_well());
    ck_assert(there("NOTES"));
}
END_TEST

START_TEST(a_copy_without_its_lock_file_opens)
{
    char full[256];
    open_well();
    below(full, "LOCK");
    unlink(full);
    ck_assert(!open_well());
}
END_TEST

/* ---- the lock */

static pid_t hold_in_child(int ready[2])
{
    ck_assert_int_eq(pipe(ready), 0);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid > 0)
        return pid;
    struct data_directory *dir;
    if (data_directory_open(path, &identity, &dir, message) != OK ||
        write(ready[1], "x", 1) != 1)
        _exit(1);
    for (;;)
        pause();
}

START_TEST(a_second_process_is_told_who_holds_it)
{
    int ready[2];
    char byte, expected[64];
    pid_t pid = hold_in_child(ready);
    close(ready[1]);
    ck_assert_int_eq(read(ready[0], &byte, 1), 1);
    snprintf(expected, sizeof expected, "in use by process %ld;", (long)pid);
    expect_refused(ERR_LOCKED, expected);
    ck_assert_int_eq(kill(pid, SIGKILL), 0);
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
    ck_assert(!open_well()); /* the lock died with its holder */
    close(ready[0]);
}
END_TEST

START_TEST(so_is_the_same_process)
{
    struct data_directory *dir;
    ck_assert_int_eq(data_directory_open(path, &identity, &dir, message), OK);
    expect_refused(ERR_LOCKED, "in use by process");
    data_directory_close(dir);
    ck_assert(!open_well());
}
END_TEST

/* ---- how it is opened */

START_TEST(no_descriptor_leaks_into_other_programs)
{
    struct harness h;
    harness_init(&h, KIND_LMDB);
    unsigned seen = 0;
    for (int fd = 3; fd < 256; fd++) {
        char link[64], target[256];
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t size = readlink(link, target, sizeof target - 1);
        if (size < 0)
            continue;
        target[size] = '\0';
        if (strncmp(target, h.dir, strlen(h.dir)) != 0)
            continue;
        ck_assert_msg((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0, "%s is not O_CLOEXEC", target);
        seen++;
    }
    ck_assert_uint_ge(seen, 7); /* LOCK, and lock, data and meta descriptors of two */
    harness_fini(&h);
}
END_TEST

static pid_t read_in_child(MDB_env **env, const char *full)
{
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid > 0)
        return pid;
    MDB_txn *txn;
    if (mdb_env_create(env) != 0 || mdb_env_open(*env, full, 0, 0640) != 0 ||
        mdb_txn_begin(*env, NULL, MDB_RDONLY, &txn) != 0)
        _exit(1);
    for (;;)
        pause();
}

static int readers_in(const char *full)
{
    char command[300];
    int n = -1;
    snprintf(command, sizeof command, "mdb_stat -r %s/log | grep -c '^ *[0-9]'", full);
    FILE *out = popen(command, "r");
    ck_assert_ptr_nonnull(out);
    ck_assert_int_eq(fscanf(out, "%d", &n), 1);
    pclose(out);
    return n;
}

START_TEST(dead_readers_are_cleared_at_the_start)
{
    char full[256];
    MDB_env *env;
    if (system("command -v mdb_stat >/dev/null") != 0)
        return; /* needs lmdb-utils */
    open_well();
    below(full, "log");
    pid_t alive = read_in_child(&env, full), dead = read_in_child(&env, full);
    for (unsigned i = 0; readers_in(path) < 2; i++) {
        ck_assert_uint_lt(i, 1000);
        usleep(10000);
    }
    ck_assert_int_eq(kill(dead, SIGKILL), 0);
    ck_assert_int_eq(waitpid(dead, NULL, 0), dead);
    ck_assert_int_eq(readers_in(path), 2); /* nobody noticed: its pages would stay pinned */
    open_well();
    ck_assert_int_eq(readers_in(path), 1);
    ck_assert_int_eq(kill(alive, SIGKILL), 0);
    ck_assert_int_eq(waitpid(alive, NULL, 0), alive);
}
END_TEST

START_TEST(mdb_dump_shows_term_and_vote_of_a_running_node)
{
    struct harness h;
    char command[200], line[1024], text[4096] = "";
    if (system("command -v mdb_dump >/dev/null") != 0)
        return; /* needs lmdb-utils */
    harness_init(&h, KIND_LMDB);
    struct log_job *job = log_job_new(0, 0);
    job_vote(job, 7, 0xa1);
    submit(&h, job);
    wait_log(&h, 1);
    snprintf(command, sizeof command, "mdb_dump -p -s meta %s/log", h.dir);
    FILE *out = popen(command, "r");
    ck_assert_ptr_nonnull(out);
    while (fgets(line, sizeof line, out) != NULL)
        strncat(text, line, sizeof text - strlen(text) - 1);
    ck_assert_int_eq(pclose(out), 0);
    ck_assert_msg(strstr(text, " term\n 7\n") != NULL, "%s", text);
    ck_assert_msg(strstr(text, " vote\n 00000000000000a1\n") != NULL, "%s", text);
    harness_fini(&h);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("data directory");
    TCase *tcase = tcase_create("directory");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, it_is_made_with_its_parents);
    tcase_add_test(tcase, an_empty_directory_is_used);
    tcase_add_test(tcase, the_incarnation_is_drawn_once);
    tcase_add_test(tcase, a_file_in_the_way_is_named);
    tcase_add_test(tcase, strangers_files_are_never_touched);
    tcase_add_test(tcase, a_strangers_log_folder_is_not_ours);
    tcase_add_test(tcase, a_strangers_creating_folder_is_not_ours);
    tcase_add_test(tcase, another_programs_lmdb_is_not_ours);
    tcase_add_test(tcase, what_may_not_be_written_is_said);
    tcase_add_test(tcase, a_path_that_is_too_long_or_empty_is_refused);
    tcase_add_test(tcase, another_nodes_name_is_noticed);
    tcase_add_test(tcase, another_raft_address_is_noticed);
    tcase_add_test(tcase, another_list_of_members_is_noticed);
    tcase_add_test(tcase, a_long_list_of_members_still_ends_in_advice);
    tcase_add_test(tcase, another_cluster_is_noticed);
    tcase_add_test(tcase, another_id_is_noticed);
    tcase_add_test(tcase, an_unknown_format_is_not_guessed_at);
    tcase_add_test(tcase, an_incarnation_that_is_none_is_corruption);
    tcase_add_test(tcase, a_state_of_another_log_is_noticed);
    tcase_add_test(tcase, a_lost_folder_is_not_made_anew);
    tcase_add_test(tcase, a_lost_or_broken_file_is_not_made_anew);
    tcase_add_test(tcase, more_files_beside_ours_do_no_harm);
    tcase_add_test(tcase, a_copy_without_its_lock_file_opens);
    tcase_add_test(tcase, a_second_process_is_told_who_holds_it);
    tcase_add_test(tcase, so_is_the_same_process);
    tcase_add_test(tcase, no_descriptor_leaks_into_other_programs);
    tcase_add_test(tcase, dead_readers_are_cleared_at_the_start);
    tcase_add_test(tcase, mdb_dump_shows_term_and_vote_of_a_running_node);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
