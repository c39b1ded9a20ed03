/* test_histogram.c - counts in growing buckets: what a quantile may be off by, sums, merging. */
#include <holdfast/histogram.h>

#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct histogram one, other, both;

static void setup(void)
{
    memset(&one, 0, sizeof one);
    memset(&other, 0, sizeof other);
    memset(&both, 0, sizeof both);
}

/* Spread over all sizes, as latencies are. */
static uint64_t next_value(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    unsigned bits = (unsigned)(*seed >> 58) % 33;
    return (*seed >> 12) & (((uint64_t)1 << bits) - 1);
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

START_TEST(an_empty_histogram_says_nothing)
{
    ck_assert_uint_eq(histogram_quantile(&one, 500), 0);
    ck_assert_uint_eq(histogram_quantile(&one, 1000), 0);
    histogram_add_times(&one, 77, 0);
    ck_assert_uint_eq(one.count, 0);
    ck_assert_uint_eq(one.max, 0);
}
END_TEST

START_TEST(quantiles_are_within_a_sixteenth)
{
    enum { N = 20000 };
    static uint64_t values[N];
    uint64_t seed = 1, sum = 0;
    for (unsigned i = 0; i < N; i++) {
        values[i] = next_value(&seed);
        sum += values[i];
        histogram_add(&one, values[i]);
    }
    qsort(values, N, sizeof *values, compare);
    for (unsigned per_mille = 0; per_mille <= 1000; per_mille++) {
        size_t rank = ((size_t)N * per_mille + 999) / 1000;
        uint64_t exact = values[rank > 0 ? rank - 1 : 0];
        uint64_t found = histogram_quantile(&one, per_mille);
        ck_assert_msg(found >= exact && found - exact <= exact / 16, "%u: %llu for %llu", per_mille,
                      (unsigned long long)found, (unsigned long long)exact);
    }
    ck_assert_uint_eq(one.count, N);
    ck_assert_uint_eq(one.total, sum);
    ck_assert_uint_eq(one.max, values[N - 1]);
}
END_TEST

START_TEST(an_absurd_value_overflows_nothing)
{
    histogram_add(&one, UINT64_MAX);
    histogram_add(&one, 0);
    ck_assert_uint_eq(histogram_quantile(&one, 500), 0);
    ck_assert(histogram_quantile(&one, 1000) == UINT64_MAX);
}
END_TEST

START_TEST(each_value_lies_in_its_bucket)
{
    for (unsigned bit = 0; bit < 36; bit++) {
        for (uint64_t step = 0; step <= 2; step++) {
            uint64_t value = ((uint64_t)1 << bit) + step - 1;
            setup();
            histogram_add(&one, value);
            one.max = UINT64_MAX; /* so that the bucket's own bound shows */
            uint64_t bound = histogram_quantile(&one, 500);
            ck_assert_msg(bound >= value && (bound - value <= value / 16 || bound == UINT64_MAX),
                          "%llu: %llu", (unsigned long long)value, (unsigned long long)bound);
        }
    }
}
END_TEST

START_TEST(a_value_many_times_is_many_values)
{
    uint64_t seed = 2;
    for (unsigned i = 0; i < 500; i++) {
        uint64_t value = next_value(&seed), times = i % 7;
        histogram_add_times(&one, value, times);
        for (uint64_t t = 0; t < times; t++)
            histogram_add(&other, value);
    }
    ck_assert_mem_eq(&one, &other, sizeof one);
}
END_TEST

START_TEST(merged_is_as_if_added_here)
{
    uint64_t seed = 3;
    for (unsigned i = 0; i < 5000; i++) {
        uint64_t value = next_value(&seed);
        histogram_add(i % 3 == 0 ? &one : &other, value);
        histogram_add(&both, value);
    }
    histogram_merge(&one, &other);
    ck_assert_mem_eq(&one, &both, sizeof one);
    memset(&other, 0, sizeof other);
    histogram_merge(&one, &other); /* nothing changes nothing */
    ck_assert_mem_eq(&one, &both, sizeof one);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("histogram");
    TCase *tcase = tcase_create("histogram");
    tcase_add_checked_fixture(tcase, setup, NULL);
    tcase_add_test(tcase, an_empty_histogram_says_nothing);
    tcase_add_test(tcase, quantiles_are_within_a_sixteenth);
    tcase_add_test(tcase, an_absurd_value_overflows_nothing);
    tcase_add_test(tcase, each_value_lies_in_its_bucket);
    tcase_add_test(tcase, a_value_many_times_is_many_values);
    tcase_add_test(tcase, merged_is_as_if_added_here);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
