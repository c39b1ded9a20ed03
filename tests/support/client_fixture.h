/* client_fixture.h - two scripted servers, a handle on one or both, and what tests of libholdfast
 * say again and again.  Included once by each such test; all static. */
#ifndef TESTS_SUPPORT_CLIENT_FIXTURE_H
#define TESTS_SUPPORT_CLIENT_FIXTURE_H

#include "tests/support/fake_http.h"

#include <holdfast/client.h>

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#define PUT_DONE "{\"key\":\"k\",\"revision\":58,\"version\":3,\"created\":false}"
#define GET_DONE                                                                                   \
    "{\"key\":\"k\",\"value\":\"world\",\"revision\":58,\"create_revision\":12,\"version\":3}"

static struct fake *a, *b;
static struct holdfast *db;

static void setup(void)
{
    a = fake_start();
    b = fake_start();
}

static void teardown(void)
{
    holdfast_close(db);
    db = NULL;
    fake_free(a);
    fake_free(b);
}

static void open_db(const char *endpoints, uint32_t timeout_ms)
{
    struct holdfast_options options = HOLDFAST_OPTIONS_INIT;
    char why[HOLDFAST_MESSAGE_MAX] = "";
    options.timeout_ms = timeout_ms;
    ck_assert_msg(holdfast_open(endpoints, &options, &db, why) == HOLDFAST_OK, "%s", why);
}

static void open_a(uint32_t timeout_ms)
{
    open_db(fake_url(a), timeout_ms);
}

__attribute__((unused)) static void open_a_b(uint32_t timeout_ms)
{
    char both[256];
    snprintf(both, sizeof(both), "%s,%s", fake_url(a), fake_url(b));
    open_db(both, timeout_ms);
}

static struct holdfast_result *get(const char *key)
{
    return holdfast_get(db, holdfast_text(key), NULL);
}

static struct holdfast_result *put(const char *key, const char *value)
{
    return holdfast_put(db, holdfast_text(key), holdfast_text(value), NULL);
}

static void expect_end(const struct holdfast_result *r, enum holdfast_error error,
                       enum holdfast_outcome outcome)
{
    ck_assert_msg(r->error == error && r->outcome == outcome, "expected %s, %s; got %s, %s: %s",
                  holdfast_error_name(error), holdfast_outcome_name(outcome),
                  holdfast_error_name(r->error), holdfast_outcome_name(r->outcome), r->message);
}

#define COUNT(array) (int)(sizeof(array) / sizeof((array)[0]))

static int run_suite(Suite *suite, TCase **cases, int n)
{
    for (int i = 0; i < n; i++) {
        tcase_add_checked_fixture(cases[i], setup, teardown);
        tcase_set_timeout(cases[i], 30);
        suite_add_tcase(suite, cases[i]);
    }
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
