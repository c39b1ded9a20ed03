/* test_client_shell.c - the shell in front of a terminal: prompt, editing, history, completion. */
#include "tests/support/fake_http.h"

#include <check.h>
#include <errno.h>
#include <poll.h>
#include <pty.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

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
static char home[64], history[128];
static int terminal = -1;
static pid_t shell;
static char screen[1 << 16];     /* all that the shell printed */
static size_t screen_size, seen; /* up to where it was waited for */

static void setup(void)
{
    fake = fake_start();
    snprintf(home, sizeof home, "/tmp/holdfast-shell-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(home));
    snprintf(history, sizeof history, "%s/.holdfast_history", home);
    setenv("HOME", home, 1);
    setenv("TERM", "xterm", 1);
    setenv("HOLDFAST_ENDPOINTS", fake_url(fake), 1);
}

static void teardown(void)
{
    if (terminal >= 0)
        close(terminal);
    terminal = -1;
    unlink(history);
    rmdir(home);
    fake_free(fake);
}

static void start_shell(void)
{
    struct winsize size = { .ws_row = 24, .ws_col = 200 };
    screen_size = seen = 0;
    const char *path = program();
    shell = forkpty(&terminal, NULL, NULL, &size);
    ck_assert_int_ge(shell, 0);
    if (shell == 0) {
        execl(path, "holdfast", "shell", (char *)NULL);
        _exit(127);
    }
}

/* Waits until the shell printed `text`, behind what was waited for before. */
static void expect(const char *text)
{
    for (;;) {
        char *found = memmem(screen + seen, screen_size - seen, text, strlen(text));
        if (found != NULL) {
            seen = (size_t)(found - screen) + strlen(text);
            return;
        }
        struct pollfd ready = { .fd = terminal, .events = POLLIN };
        ck_assert_msg(poll(&ready, 1, 10 * 1000) == 1, "\"%s\" did not come; on the screen: %.*s",
                      text, (int)(screen_size - seen), screen + seen);
        ssize_t n = read(terminal, screen + screen_size, sizeof screen - screen_size);
        ck_assert_msg(n > 0, "the shell ended without \"%s\"; on the screen: %.*s", text,
                      (int)(screen_size - seen), screen + seen);
        screen_size += (size_t)n;
    }
}

static void type(const char *text)
{
    ck_assert_int_eq(write(terminal, text, strlen(text)), (ssize_t)strlen(text));
}

static int wait_for_end(void)
{
    int status;
    char rest[4096];
    while (read(terminal, rest, sizeof rest) > 0) /* EIO at the end */
        continue;
    ck_assert_int_eq(waitpid(shell, &status, 0), shell);
    ck_assert(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* End of input.  In the moment between the prompt and raw mode the terminal itself would take it.
 */
static void type_end(void)
{
    for (int i = 0; i < 1000; i++) {
        struct termios modes;
        ck_assert_int_eq(tcgetattr(terminal, &modes), 0);
        if ((modes.c_lflag & ICANON) == 0) {
            type("\004");
            return;
        }
        poll(NULL, 0, 10);
    }
    ck_abort_msg("the shell does not edit its line");
}

static void answer_greeting(void)
{
    fake_answer(fake, 200, NULL, "{\"state\":\"follower\",\"version\":\"0.1.0\"}");
}

START_TEST(the_prompt_shows_the_node_and_then_the_leader)
{
    char leader[128], prompt[128];
    answer_greeting();
    snprintf(leader, sizeof leader, "Holdfast-Leader: %s\r\n", fake_url(fake));
    fake_answer(fake, 200, leader, "{\"key\":\"k\",\"value\":\"w o r l d\",\"revision\":58}");
    start_shell();
    expect("Holdfast 0.1.0 at ");
    snprintf(prompt, sizeof prompt, "%s> ", fake_url(fake) + strlen("http://"));
    expect(prompt);
    type("get k\n");
    expect("w o r l d");
    snprintf(prompt, sizeof prompt, "%s (leader)> ", fake_url(fake) + strlen("http://"));
    expect(prompt);
    type("quit\n");
    ck_assert_int_eq(wait_for_end(), 0);
}
END_TEST

START_TEST(lines_are_kept_for_the_user_alone)
{
    struct stat stat_of;
    char text[256] = "";
    answer_greeting();
    answer_greeting();
    start_shell();
    expect("> ");
    type("nonsense one\n");
    expect("there is no command \"nonsense\"");
    expect("> ");
    type_end();
    ck_assert_int_eq(wait_for_end(), 0);
    close(terminal);
    ck_assert_int_eq(stat(history, &stat_of), 0);
    ck_assert_uint_eq(stat_of.st_mode & 0777, 0600);
    FILE *file = fopen(history, "re");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_gt(fread(text, 1, sizeof text - 1, file), 0);
    fclose(file);
    ck_assert_ptr_nonnull(strstr(text, "nonsense"));

    start_shell(); /* and the next session has them */
    expect("> ");
    type("\033[A\n"); /* cursor up */
    expect("there is no command \"nonsense\"");
    expect("> ");
    type("quit\n");
    ck_assert_int_eq(wait_for_end(), 0);
}
END_TEST

START_TEST(tab_completes_commands_and_keys)
{
    answer_greeting();
    fake_answer(fake, 200, NULL,
                "{\"kvs\":[{\"key\":\"app/one\",\"revision\":4}],\"count\":1,"
                "\"more\":false,\"revision\":61}");
    fake_answer(fake, 200, NULL, "{\"key\":\"app/one\",\"value\":\"found it\",\"revision\":58}");
    start_shell();
    expect("> ");
    type("ge\tapp/\t\n");
    expect("found it");
    struct fake_request asked = fake_request(fake, 1);
    ck_assert_ptr_nonnull(strstr(asked.target, "prefix=app/&"));
    ck_assert_ptr_nonnull(strstr(fake_request(fake, 2).target, "/kv/app/one?"));
    expect("> ");
    type("quit\n");
    ck_assert_int_eq(wait_for_end(), 0);
}
END_TEST

START_TEST(a_batch_is_asked_for_line_by_line)
{
    answer_greeting();
    fake_answer(fake, 200, NULL,
                "{\"revision\":63,\"results\":[{\"type\":\"delete\",\"key\":\"a\",\"ok\":true,"
                "\"deleted\":1}]}");
    start_shell();
    expect("> ");
    type("batch\n");
    expect("batch> ");
    type("delete a b\n");
    expect("one word too many");
    expect("batch> ");
    type("delete a\n");
    expect("batch> ");
    type("end\n");
    expect("delete a: deleted");
    expect("revision 63");
    ck_assert_str_eq(fake_request(fake, 1).body,
                     "{\"operations\":[{\"type\":\"delete\",\"key\":\"a\"}]}");
    expect("> ");
    type("exit\n");
    ck_assert_int_eq(wait_for_end(), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("client shell");
    TCase *all = tcase_create("all");
    tcase_add_checked_fixture(all, setup, teardown);
    tcase_set_timeout(all, 40);
    suite_add_tcase(suite, all);
    tcase_add_test(all, the_prompt_shows_the_node_and_then_the_leader);
    tcase_add_test(all, lines_are_kept_for_the_user_alone);
    tcase_add_test(all, tab_completes_commands_and_keys);
    tcase_add_test(all, a_batch_is_asked_for_line_by_line);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
