/* test_big_flush.c - flushes thinly over all pages of a large state, each one transaction.
 *
 * With HOLDFAST_FLUSH_KEYS=1600000 (make check-long; 1.5 GB of disk) each touches more pages than
 * LMDB keeps in memory for one transaction (131,071), so that it writes some out before the
 * commit: it is one transaction all the same. */
#include "crash.h"
#include "harness.h"

#include <holdfast/clock.h>

#include <stdio.h>
#include <stdlib.h>

enum { KEYS_DEFAULT = 40000, PER_FLUSH = 10000, SIZE = 480 };

static struct harness h;
static unsigned n_keys;
static unsigned char *version; /* 0: absent */
static struct state_change *changes;
static char (*keys)[12];
static char values[256][SIZE];

static void put_change(size_t at, unsigned key, unsigned char to)
{
    snprintf(keys[at], sizeof keys[at], "%010u", key);
    changes[at].table = TABLE_KV;
    changes[at].key = slice_text(keys[at]);
    changes[at].value = to == 0 ? slice_of(NULL, 0) : slice_of(values[to], SIZE);
    version[key] = to;
}

static void verify(void)
{
    struct slice key, value;
    ck_assert_int_eq(h.state->ops->read_begin(h.state), OK);
    struct state_cursor *cursor = h.state->ops->cursor_open(h.state, TABLE_KV);
    enum err err = h.state->ops->seek(cursor, slice_of(NULL, 0), false, &key, &value);
    for (unsigned i = 0; i < n_keys; i++) {
        char text[12];
        if (version[i] == 0)
            continue;
        ck_assert_int_eq(err, OK);
        snprintf(text, sizeof text, "%010u", i);
        expect_slice(key, text);
        ck_assert_uint_eq(value.size, SIZE);
        ck_assert_mem_eq(value.data, values[version[i]], SIZE);
        err = h.state->ops->step(cursor, false, &key, &value);
    }
    ck_assert_int_eq(err, ERR_NOT_FOUND);
    h.state->ops->cursor_close(cursor);
    h.state->ops->read_end(h.state);
}

START_TEST(a_flush_beyond_lmdbs_page_list_is_whole)
{
    for (unsigned i = 0; i < 256; i++)
        memset(values[i], (int)i, SIZE);
    const char *asked = getenv("HOLDFAST_FLUSH_KEYS");
    n_keys = asked != NULL ? (unsigned)strtoul(asked, NULL, 10) / PER_FLUSH * PER_FLUSH
                           : KEYS_DEFAULT;
    ck_assert_uint_ge(n_keys, PER_FLUSH);
    version = memory_new(n_keys);
    changes = memory_new_array(n_keys, sizeof *changes);
    keys = memory_new_array(n_keys, sizeof *keys);
    harness_init(&h, KIND_LMDB);
    for (unsigned from = 0; from < n_keys; from += PER_FLUSH) {
        for (unsigned i = 0; i < PER_FLUSH; i++)
            put_change(i, from + i, 1);
        flush(&h, changes, PER_FLUSH);
    }
    uint64_t random = 5;
    for (unsigned char round = 2; round < 5; round++) {
        size_t n = 0;
        for (unsigned key = 0; key < n_keys; key++)
            if (crash_random(&random) % 16 < 5) /* thinly over all pages; some deletes */
                put_change(n++, key, crash_random(&random) % 8 == 0 ? 0 : round);
        uint64_t began_us = clock_monotonic_us();
        flush(&h, changes, n);
        printf("%zu changes in one flush: %llu ms\n", n,
               (unsigned long long)(clock_monotonic_us() - began_us) / 1000);
        verify();
    }
    harness_reopen(&h);
    verify();
    harness_fini(&h);
    free(version);
    free(changes);
    free(keys);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("big flush");
    TCase *tcase = tcase_create("big flush");
    tcase_set_timeout(tcase, 600);
    tcase_add_test(tcase, a_flush_beyond_lmdbs_page_list_is_whole);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
