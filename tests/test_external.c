/* tests/test_external.c - external memory: counted exactly, and a reason to collect. */
#include "tests/trace_fixture.h"

enum { MIB = 1 << 20 };

static uint64_t collections(const struct fixture *f)
{
    hearth_stats stats = fixture_stats(f);

    return stats.minor_count + stats.full_count;
}

START_TEST(counted)
{
    struct fixture f;

    fixture_open(&f, "");
    ck_assert_uint_eq(hearth_external_bytes(f.heap), 0);
    HARNESS_OK(hearth_external_add(f.m, 0));
    HARNESS_OK(hearth_external_add(f.m, 1000));
    HARNESS_OK(hearth_external_add(f.m, 234));
    ck_assert_uint_eq(hearth_external_bytes(f.heap), 1234);
    ck_assert_uint_eq(fixture_stats(&f).external_bytes, 1234);
    HARNESS_OK(hearth_external_add(f.m, -234));
    ck_assert_uint_eq(hearth_external_bytes(f.heap), 1000);
    HARNESS_OK(hearth_external_add(f.m, -1000));
    ck_assert_uint_eq(hearth_external_bytes(f.heap), 0);
    fixture_close(&f);
}
END_TEST

static void *from_another_thread(void *data)
{
    struct fixture *f = data;

    HARNESS_STATUS(hearth_external_add(f->m, 1), HEARTH_ETHREAD);
    return NULL;
}

static void from_a_provider(void *data, hearth_visitor *visitor)
{
    struct fixture *f = data;

    (void)visitor;
    HARNESS_STATUS(hearth_external_add(f->m, 1), HEARTH_ESTATE);
    HARNESS_STATUS(hearth_set_soft_limit(f->heap, 1), HEARTH_ESTATE);
}

START_TEST(wrong_calls)
{
    struct fixture f;
    pthread_t thread;

    fixture_open(&f, "");
    HARNESS_STATUS_NAMES(hearth_external_add(NULL, 5), HEARTH_EINVAL, "mutator");
    HARNESS_STATUS_NAMES(hearth_external_add(f.m, -1), HEARTH_EINVAL, "-1 bytes; 0 are");
    HARNESS_OK(hearth_external_add(f.m, 500));
    HARNESS_STATUS_NAMES(hearth_external_add(f.m, -501), HEARTH_EINVAL, "-501 bytes; 500 are");
    HARNESS_STATUS(hearth_external_add(f.m, PTRDIFF_MIN), HEARTH_EINVAL);
    HARNESS_STATUS(hearth_external_add(f.m, PTRDIFF_MAX), HEARTH_EINVAL);
    ck_assert_uint_eq(hearth_external_bytes(f.heap), 500); /* nothing has changed */
    ck_assert_uint_eq(hearth_external_bytes(NULL), 0);
    HARNESS_OK(hearth_native_begin(f.m));
    HARNESS_STATUS(hearth_external_add(f.m, 1), HEARTH_ESTATE);
    ck_assert_int_eq(pthread_create(&thread, NULL, from_another_thread, &f), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    HARNESS_OK(hearth_native_end(f.m));
    HARNESS_OK(hearth_root_provider_add(f.heap, from_a_provider, &f));
    HARNESS_OK(hearth_gc_collect(f.m, 2));
    HARNESS_OK(hearth_root_provider_remove(f.heap, from_a_provider, &f));
    ck_assert_uint_eq(hearth_external_bytes(f.heap), 500);
    HARNESS_OK(hearth_verify(f.m));
    fixture_close(&f);
}
END_TEST

/* Small objects with large memory of their own that die at once: minor collections come for its sake. */
START_TEST(counts_for_the_nursery)
{
    struct fixture f;

    fixture_open(&f, "nursery=1m,nursery-adaptive=off,heap-min=64m");
    for (int i = 0; i < 400; i++) {
        ck_assert_ptr_nonnull(hearth_new(f.m, f.item));
        HARNESS_OK(hearth_external_add(f.m, 100000));
        HARNESS_OK(hearth_external_add(f.m, -100000));
    }
    ck_assert_uint_ge(collections(&f), 34);
    ck_assert_uint_le(collections(&f), 42);
    ck_assert_int_eq(fixture_last(&f).reason, HEARTH_REASON_EXTERNAL);
    ck_assert_uint_eq(fixture_stats(&f).full_count, 0);
    fixture_close(&f);
}
END_TEST

/* What stays is taken off the budget, and a full collection comes when that is used up; the next budget
 * counts it as live. */
START_TEST(counts_against_the_budget)
{
    struct fixture f;
    uint64_t added = 0;

    fixture_open(&f, "nursery=1m,heap-min=20m,growth=2,heap-limit=512m");
    while (fixture_stats(&f).full_count == 0) {
        HARNESS_OK(hearth_external_add(f.m, 3 * MIB / 2));
        HARNESS_OK(hearth_verify(f.m));
        added += 3 * MIB / 2;
        ck_assert_uint_lt(added, 24 * MIB);
    }
    ck_assert_uint_gt(added, 18 * MIB);
    hearth_stats stats = fixture_stats(&f);
    ck_assert_int_eq(fixture_last(&f).reason, HEARTH_REASON_EXTERNAL);
    ck_assert_uint_eq(stats.external_bytes, added);
    /* Room for as much again, in heap and external memory together. */
    ck_assert_uint_ge(stats.budget_bytes, added - 2 * 65536);
    ck_assert_uint_le(stats.budget_bytes, added + stats.heap_bytes * 2 + 2 * 65536);
    HARNESS_OK(hearth_external_add(f.m, (ptrdiff_t)(added / 2)));
    uint64_t lower = fixture_stats(&f).budget_bytes;
    ck_assert_uint_le(lower, stats.budget_bytes - added / 2 + 65536);
    ck_assert_uint_eq(fixture_stats(&f).full_count, 1);
    HARNESS_OK(hearth_external_add(f.m, -(ptrdiff_t)(added / 2)));
    ck_assert_uint_ge(fixture_stats(&f).budget_bytes, stats.budget_bytes - 65536);
    HARNESS_OK(hearth_external_add(f.m, -(ptrdiff_t)added));    /* less than at that collection: */
    HARNESS_OK(hearth_external_add(f.m, (ptrdiff_t)added / 2)); /* it is new again */
    ck_assert_uint_le(fixture_stats(&f).budget_bytes, stats.budget_bytes - added / 2 + 65536);
    fixture_close(&f);
}
END_TEST

/* The hard limit is not touched by it, and nothing fails: it is only collected more often. */
START_TEST(never_in_the_way)
{
    struct fixture f;
    void *list = NULL;

    fixture_open(&f, "nursery=1m,heap-min=1m,heap-limit=32m");
    HARNESS_OK(hearth_root_add(f.heap, &list));
    HARNESS_OK(hearth_external_add(f.m, (ptrdiff_t)1 << 40));
    for (int i = 0; i < 20; i++) {
        HARNESS_OK(hearth_external_add(f.m, (ptrdiff_t)1 << 34));
        for (int j = 0; j < 20000; j++) /* 640 KB */
            fixture_push(&f, &list, (uint64_t)(i * 20000 + j));
    }
    fixture_expect_list(list, 400000);
    ck_assert_uint_ge(fixture_stats(&f).full_count, 20);
    HARNESS_OK(hearth_verify(f.m));
    list = NULL;
    fixture_close(&f);
}
END_TEST

START_TEST(disabled)
{
    struct fixture f;

    fixture_open(&f, "nursery=1m,heap-min=4m");
    HARNESS_OK(hearth_gc_disable(f.heap));
    for (int i = 0; i < 100; i++) {
        HARNESS_OK(hearth_external_add(f.m, MIB));
        ck_assert_ptr_nonnull(hearth_new_array(f.m, f.bytes, 100000));
    }
    ck_assert_uint_eq(collections(&f), 0);
    HARNESS_OK(hearth_gc_enable(f.heap));
    HARNESS_OK(hearth_external_add(f.m, MIB));
    ck_assert_uint_ge(fixture_stats(&f).full_count, 1);
    fixture_close(&f);
}
END_TEST

/* Threads add and take at random: the sum is right in the end, and the heap whole. */
struct adder {
    struct fixture *f;
    uint64_t seed;
};

static void *adder_thread(void *data)
{
    struct adder *adder = data;
    hearth_mutator *m = NULL;
    uint64_t state = adder->seed;
    ptrdiff_t mine = 0;

    EXPECT(hearth_attach(adder->f->heap, NULL, &m) == HEARTH_OK);
    for (uint64_t i = harness_scaled(4000); i > 0; i--) {
        ptrdiff_t bytes = (ptrdiff_t)harness_random_below(&state, 400000);

        if (harness_random_below(&state, 2) == 0 && mine > 0)
            bytes = -(ptrdiff_t)harness_random_below(&state, (uint64_t)mine + 1);
        EXPECT(hearth_external_add(m, bytes) == HEARTH_OK);
        mine += bytes;
        EXPECT(hearth_new(m, adder->f->item) != NULL);
    }
    EXPECT(hearth_external_add(m, 77 - mine) == HEARTH_OK || mine < 0);
    EXPECT(hearth_detach(m) == HEARTH_OK);
    return NULL;
}

START_TEST(by_threads)
{
    struct fixture f;
    struct adder adder[4];
    pthread_t thread[4];

    fixture_open(&f, _i ? "nursery=512k,heap-min=2m,pacing=membalancer,verify=on"
                        : "nursery=512k,heap-min=2m,workers=3,help-after=0");
    HARNESS_OK(hearth_native_begin(f.m));
    for (int i = 0; i < 4; i++) {
        adder[i] = (struct adder){&f, harness_seed() + (uint64_t)i};
        ck_assert_int_eq(pthread_create(&thread[i], NULL, adder_thread, &adder[i]), 0);
    }
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_join(thread[i], NULL), 0);
    HARNESS_OK(hearth_native_end(f.m));
    ck_assert_uint_eq(hearth_external_bytes(f.heap), 4 * 77);
    HARNESS_OK(hearth_verify(f.m));
    fixture_close(&f);
}
END_TEST

HARNESS_SUITE(external)
{
    Suite *suite = suite_create("external");
    TCase *tests = tcase_create("external");

    tcase_add_test(tests, counted);
    tcase_add_test(tests, wrong_calls);
    tcase_add_test(tests, counts_for_the_nursery);
    tcase_add_test(tests, counts_against_the_budget);
    tcase_add_test(tests, never_in_the_way);
    tcase_add_test(tests, disabled);
    tcase_add_loop_test(tests, by_threads, 0, 2);
    suite_add_tcase(suite, tests);
    return suite;
}
