/* tests/test_histogram.c - pause percentiles against sorted arrays, and the edges of the buckets.
 *
 * What must hold: a percentile is never below the exact one, at most 1/16 above it, never above the
 * maximum, and does not fall when the percentage grows. */
#include "gc/histogram.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/harness.h"

enum { SAMPLES = 2000 };

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

START_TEST(empty)
{
    struct hg_histogram histogram = {0};

    ck_assert_uint_eq(hg_histogram_percentile(&histogram, 0), 0);
    ck_assert_uint_eq(hg_histogram_percentile(&histogram, 50), 0);
    ck_assert_uint_eq(hg_histogram_percentile(&histogram, 100), 0);
}
END_TEST

START_TEST(one_value)
{
    static const uint64_t values[] = {0, 1, 15, 16, 17, 31, 32, 1000, 123456789, UINT64_C(1) << 46};

    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        struct hg_histogram histogram = {0};

        hg_histogram_add(&histogram, values[i]);
        ck_assert_uint_eq(histogram.count, 1);
        ck_assert_uint_eq(histogram.total, values[i]);
        for (int percent = 0; percent <= 100; percent += 25)
            ck_assert_uint_eq(hg_histogram_percentile(&histogram, percent), values[i]);
    }
}
END_TEST

/* Every power of two and its neighbours: the bucket's bound is at most 1/16 above the value. */
START_TEST(bounds)
{
    for (int log = 0; log < 47; log++) {
        for (int64_t delta = -1; delta <= 1; delta++) {
            struct hg_histogram histogram = {0};
            uint64_t value = (UINT64_C(1) << log) + (uint64_t)delta, percentile;

            hg_histogram_add(&histogram, value);
            hg_histogram_add(&histogram, UINT64_C(1) << 47);
            percentile = hg_histogram_percentile(&histogram, 50);
            ck_assert_uint_ge(percentile, value);
            ck_assert_uint_le(percentile, value + value / 16);
        }
    }
}
END_TEST

START_TEST(against_sorted)
{
    uint64_t state = harness_seed(), *values = malloc(SAMPLES * sizeof *values);
    struct hg_histogram histogram = {0};
    uint64_t before = 0, total = 0;

    for (size_t i = 0; i < SAMPLES; i++) {
        values[i] = harness_random(&state) >> (17 + harness_random_below(&state, 47));
        total += values[i];
        hg_histogram_add(&histogram, values[i]);
    }
    qsort(values, SAMPLES, sizeof *values, by_value);
    ck_assert_uint_eq(histogram.total, total);
    ck_assert_uint_eq(histogram.max, values[SAMPLES - 1]);
    for (int tenth = 0; tenth <= 1000; tenth++) {
        double wanted = tenth / 10.0 / 100.0 * SAMPLES;
        size_t rank = wanted <= 1 ? 0 : (size_t)ceil(wanted) - 1;
        uint64_t exact = values[rank];
        uint64_t percentile = hg_histogram_percentile(&histogram, tenth / 10.0);

        ck_assert_msg(percentile >= exact && percentile <= exact + exact / 16,
                      "%g %%: %llu, exactly %llu", tenth / 10.0, (unsigned long long)percentile,
                      (unsigned long long)exact);
        ck_assert_uint_ge(percentile, before);
        before = percentile;
    }
    ck_assert_uint_eq(hg_histogram_percentile(&histogram, 100), histogram.max);
    free(values);
}
END_TEST

/* Longer than the last bucket's 39 hours: counted there, and the maximum is right. */
START_TEST(huge_values)
{
    struct hg_histogram histogram = {0};

    hg_histogram_add(&histogram, 5);
    hg_histogram_add(&histogram, UINT64_MAX);
    ck_assert_uint_eq(histogram.max, UINT64_MAX);
    ck_assert_uint_eq(hg_histogram_percentile(&histogram, 100), UINT64_MAX);
    ck_assert_uint_eq(hg_histogram_percentile(&histogram, 50), 5);
}
END_TEST

START_TEST(odd_percentages)
{
    struct hg_histogram histogram = {0};

    for (uint64_t i = 1; i <= 10; i++)
        hg_histogram_add(&histogram, i);
    ck_assert_uint_eq(hg_histogram_percentile(&histogram, -5), 1);
    ck_assert_uint_eq(hg_histogram_percentile(&histogram, 1e300), 10);
    ck_assert_uint_eq(hg_histogram_percentile(&histogram, INFINITY), 10);
    ck_assert_uint_le(hg_histogram_percentile(&histogram, NAN), 10);
}
END_TEST

HARNESS_SUITE(histogram)
{
    Suite *suite = suite_create("histogram");
    TCase *tests = tcase_create("histogram");

    tcase_add_test(tests, empty);
    tcase_add_test(tests, one_value);
    tcase_add_test(tests, bounds);
    tcase_add_test(tests, against_sorted);
    tcase_add_test(tests, huge_values);
    tcase_add_test(tests, odd_percentages);
    suite_add_tcase(suite, tests);
    return suite;
}
