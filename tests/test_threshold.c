/* tests/test_threshold.c - automatic collections by numbers of objects: CPython's thresholds. */
#define _GNU_SOURCE
#include <pthread.h>

#include "tests/trace_fixture.h"

/* Collections by generation, as seen by a callback. */
struct seen {
    int generation[3];
    uint64_t order[64]; /* generations of the first ones */
    int count;
};

static void see(hearth_mutator *m, hearth_gc_phase phase, const hearth_gc_info *info, void *data)
{
    struct seen *seen = data;

    (void)m;
    if (phase == HEARTH_GC_START)
        return;
    if (seen->count < 64)
        seen->order[seen->count] = (uint64_t)info->generation;
    seen->count++;
    seen->generation[info->generation]++;
}

static void open_with(struct fixture *f, struct seen *seen, const char *options)
{
    memset(seen, 0, sizeof(*seen));
    fixture_open(f, options);
    HARNESS_OK(hearth_gc_callback_add(f->heap, see, seen));
}

static void allocate(struct fixture *f, size_t count)
{
    for (size_t i = 0; i < count; i++)
        EXPECT(hearth_alloc(f->m, f->leaf, 24) != NULL);
}

static size_t count_of(struct fixture *f, int generation)
{
    size_t count[3];

    HARNESS_OK(hearth_gc_get_count(f->heap, count));
    return count[generation];
}

START_TEST(by_default_bytes_decide)
{
    struct fixture f;
    size_t limit[3];

    fixture_open(&f, "");
    HARNESS_OK(hearth_gc_get_threshold(f.heap, limit));
    ck_assert_uint_eq(limit[0], 0);
    ck_assert_uint_eq(limit[1], 10);
    ck_assert_uint_eq(limit[2], 10);
    allocate(&f, 5000);
    ck_assert_uint_eq(count_of(&f, 0), 5000);
    ck_assert_uint_eq(fixture_stats(&f).minor_count, 0);
    fixture_close(&f);
}
END_TEST

/* count[0] is exact for the own thread at every moment, over classes, large objects and other nodes. */
START_TEST(the_count_is_exact)
{
    struct fixture f;
    uint64_t random = harness_seed();

    fixture_open(&f, "nursery=64m,fake-nodes=2");
    for (size_t i = 0; i < 2000; i++) {
        size_t length = harness_random_below(&random, 40);
        void *object = i % 100 == 0 ? hearth_new_array(f.m, f.bytes, 50000)
                       : i % 7 == 0 ? hearth_new_on(f.m, f.bytes, length, 1)
                       : i % 3 == 0 ? hearth_new_array(f.m, f.bytes, length * 100)
                                    : hearth_alloc_array(f.m, f.refs, length);
        EXPECT(object != NULL);
        EXPECT(count_of(&f, 0) == i + 1);
    }
    HARNESS_OK(hearth_gc_collect(f.m, 0));
    ck_assert_uint_eq(count_of(&f, 0), 0);
    fixture_close(&f);
}
END_TEST

/* The next collection comes when t0 + 1 objects have been allocated, whatever their sizes. */
START_TEST(a_collection_each_t0_and_one_objects)
{
    static const size_t t0s[] = {1, 2, 10, 700, 5000};
    size_t t0 = t0s[_i % 5];
    bool mixed = _i >= 5;
    struct fixture f;
    struct seen seen;
    uint64_t random = harness_seed();

    open_with(&f, &seen, "fake-nodes=2");
    HARNESS_OK(hearth_gc_set_threshold(f.heap, t0, 1000000, 1000000));
    size_t total = harness_scaled(40000) / (t0 < 100 ? 10 : 1) + 2 * t0;
    for (size_t i = 0; i < total; i++) {
        EXPECT((size_t)seen.count == (i == 0 ? 0 : (i - 1) / (t0 + 1)));
        size_t length = mixed ? harness_random_below(&random, 12) * 16 : 2;
        void *object = mixed && i % 50 == 0  ? hearth_new_array(f.m, f.bytes, 40000)
                       : mixed && i % 9 == 0 ? hearth_new_on(f.m, f.bytes, length, 1)
                       : mixed && i % 2 == 0 ? hearth_alloc(f.m, f.item, sizeof(struct item))
                                             : hearth_alloc_array(f.m, f.bytes, length);
        EXPECT(object != NULL);
        EXPECT(count_of(&f, 0) <= t0 + 1);
    }
    ck_assert_int_eq(seen.generation[0], seen.count);
    ck_assert_int_eq(fixture_last(&f).reason, HEARTH_REASON_THRESHOLD);
    fixture_close(&f);
}
END_TEST

/* t1 = 2, t2 = 3: a collection of generation 1 after three of generation 0, one of generation 2 after four of
 * generation 1; the 25 % rule holds, since nothing lives long. */
START_TEST(generations_follow_cpythons_rule)
{
    struct fixture f;
    struct seen seen;
    size_t limit[3];

    open_with(&f, &seen, "");
    HARNESS_OK(hearth_gc_set_threshold(f.heap, 9, 2, 3));
    HARNESS_OK(hearth_gc_get_threshold(f.heap, limit));
    ck_assert(limit[0] == 9 && limit[1] == 2 && limit[2] == 3);
    size_t one = 0, two = 0; /* CPython's counts */
    for (int i = 0; i < 60; i++) {
        allocate(&f, seen.count == 0 ? 11 : 10);
        ck_assert_int_eq(seen.count, i + 1);
        int expected = two > 3 ? 2 : one > 2 ? 1 : 0;
        ck_assert_uint_eq(seen.order[i], (uint64_t)expected);
        two = expected == 2 ? 0 : two + (expected == 1);
        one = expected >= 1 ? 0 : one + 1;
        ck_assert_uint_eq(count_of(&f, 1), one);
        ck_assert_uint_eq(count_of(&f, 2), two);
    }
    ck_assert_int_gt(seen.generation[2], 1);
    fixture_close(&f);
}
END_TEST

/* The 25 % rule: with 4000 long-lived objects no full collection before 1000 more have become old. */
START_TEST(full_collections_wait_for_a_quarter_more)
{
    struct fixture f;
    struct seen seen;

    open_with(&f, &seen, "nursery=64m");
    HEARTH_FRAME(f.m, frame, 1);
    for (uint64_t i = 0; i < 4000; i++)
        fixture_push(&f, &frame.ref[0], i);
    HARNESS_OK(hearth_gc_collect(f.m, 2));
    HARNESS_OK(hearth_gc_set_threshold(f.heap, 49, 0, 0));
    uint64_t kept = 0;
    while (seen.generation[2] == 1 && kept < 3000) {
        fixture_push(&f, &frame.ref[0], 4000 + kept++);
        fixture_push(&f, &(void *){NULL}, 0); /* dies */
    }
    /* Generation 0, 1, 0, 1, ...: after that of generation 1 that finds 1000 or more it is time. */
    ck_assert_uint_ge(kept, 1000);
    ck_assert_uint_le(kept, 1000 + 3 * 50);
    fixture_expect_list(frame.ref[0], 4000 + kept);
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
}
END_TEST

START_TEST(explicit_collections_count)
{
    struct fixture f;

    fixture_open(&f, "");
    HARNESS_OK(hearth_gc_collect(f.m, 0));
    HARNESS_OK(hearth_gc_collect(f.m, 0));
    ck_assert_uint_eq(count_of(&f, 1), 2);
    HARNESS_OK(hearth_gc_collect(f.m, 1));
    ck_assert_uint_eq(count_of(&f, 1), 0);
    ck_assert_uint_eq(count_of(&f, 2), 1);
    allocate(&f, 3);
    HARNESS_OK(hearth_gc_collect(f.m, 2));
    for (int g = 0; g < 3; g++)
        ck_assert_uint_eq(count_of(&f, g), 0);
    fixture_close(&f);
}
END_TEST

/* Changes take effect with the next object of the calling thread; what was allocated before counts. */
START_TEST(thresholds_change_at_once)
{
    struct fixture f;
    struct seen seen;

    open_with(&f, &seen, "nursery=64m");
    allocate(&f, 100);
    HARNESS_OK(hearth_gc_set_threshold(f.heap, 149, 100, 100));
    allocate(&f, 50);
    ck_assert_int_eq(seen.count, 0);
    allocate(&f, 1);
    ck_assert_int_eq(seen.count, 1);
    HARNESS_OK(hearth_gc_set_threshold(f.heap, 9, 100, 100));
    allocate(&f, 9);
    ck_assert_int_eq(seen.count, 1);
    allocate(&f, 1);
    ck_assert_int_eq(seen.count, 2);
    HARNESS_OK(hearth_gc_disable(f.heap));
    allocate(&f, 5000);
    ck_assert_int_eq(seen.count, 2);
    ck_assert_uint_eq(count_of(&f, 0), 5001);
    HARNESS_OK(hearth_gc_enable(f.heap));
    allocate(&f, 600); /* what its runs had: at most 8 KiB */
    ck_assert_int_gt(seen.count, 2);
    HARNESS_OK(hearth_gc_set_threshold(f.heap, 0, 0, 0));
    int before = seen.count;
    allocate(&f, 10000);
    ck_assert_int_eq(seen.count, before);
    fixture_close(&f);
}
END_TEST

static void *allocate_many(void *argument)
{
    struct fixture *f = argument;
    hearth_mutator *m = NULL;

    HARNESS_OK(hearth_attach(f->heap, NULL, &m));
    for (uint64_t i = 0; i < harness_scaled(40000); i++)
        EXPECT(hearth_alloc(m, i % 3 ? f->item : f->leaf, 24) != NULL);
    HARNESS_OK(hearth_detach(m));
    return NULL;
}

/* Several threads: never more than t0 + 1 objects and a few from one to the next (a thread whose claim was
 * lost to another one goes on by one object), and not many fewer on the average. */
START_TEST(threads_share_the_threshold)
{
    enum { THREADS = 4, T0 = 500 };
    struct fixture f;
    struct seen seen;
    pthread_t thread[THREADS];

    open_with(&f, &seen, "workers=2");
    HARNESS_OK(hearth_gc_set_threshold(f.heap, T0, 20, 20));
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&thread[i], NULL, allocate_many, &f), 0);
    HARNESS_OK(hearth_native_begin(f.m));
    for (int i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    HARNESS_OK(hearth_native_end(f.m));
    uint64_t objects = THREADS * harness_scaled(40000);
    hearth_stats stats = fixture_stats(&f);
    uint64_t collections = stats.minor_count + stats.full_count;
    ck_assert_uint_ge((collections + 1) * (T0 + 1 + THREADS), objects);
    ck_assert_uint_le(collections, 2 * (objects / (T0 + 1) + THREADS));
    HARNESS_OK(hearth_verify(f.m));
    fixture_close(&f);
}
END_TEST

/* The byte limits hold as well: an endless threshold does not stop the heap from being collected. */
START_TEST(bytes_still_limit)
{
    struct fixture f;

    fixture_open(&f, "heap-limit=16m");
    HARNESS_OK(hearth_gc_set_threshold(f.heap, 1u << 30, 10, 10));
    for (int i = 0; i < 2000; i++)
        EXPECT(hearth_new_array(f.m, f.bytes, 50000) != NULL);
    hearth_stats stats = fixture_stats(&f);
    ck_assert_uint_ge(stats.minor_count + stats.full_count, 5);
    ck_assert_uint_le(stats.peak_heap_bytes, 16u << 20);
    fixture_close(&f);
}
END_TEST

/* High survival: without thresholds minor collections become full ones; with them they are what they are. */
START_TEST(minor_collections_stay_minor)
{
    struct fixture f;
    struct seen seen;

    open_with(&f, &seen, "nursery=256k");
    HARNESS_OK(hearth_gc_set_threshold(f.heap, 999, 10000, 10000));
    HEARTH_FRAME(f.m, frame, 1);
    for (uint64_t i = 0; i < 100000; i++) {
        fixture_push(&f, &frame.ref[0], i);
        if (i % 10000 == 0) {
            HARNESS_OK(hearth_gc_collect(f.m, 0));
            ck_assert_int_eq(fixture_last(&f).kind, HEARTH_GC_MINOR);
        }
    }
    ck_assert_int_ge(seen.generation[0], 90);
    fixture_expect_list(frame.ref[0], 100000);
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
}
END_TEST

START_TEST(bad_input)
{
    struct fixture f;
    size_t three[3];

    fixture_open(&f, "");
    HARNESS_STATUS(hearth_gc_set_threshold(NULL, 1, 2, 3), HEARTH_EINVAL);
    HARNESS_STATUS_NAMES(hearth_gc_set_threshold(f.heap, SIZE_MAX, 2, 3), HEARTH_EINVAL,
                         "18446744073709551615");
    HARNESS_STATUS(hearth_gc_get_threshold(f.heap, NULL), HEARTH_EINVAL);
    HARNESS_STATUS(hearth_gc_get_threshold(NULL, three), HEARTH_EINVAL);
    HARNESS_STATUS(hearth_gc_get_count(f.heap, NULL), HEARTH_EINVAL);
    HARNESS_STATUS(hearth_gc_get_count(NULL, three), HEARTH_EINVAL);
    HARNESS_OK(hearth_gc_get_threshold(f.heap, three));
    ck_assert_uint_eq(three[0], 0);
    fixture_close(&f);
}
END_TEST

HARNESS_SUITE(threshold)
{
    Suite *suite = suite_create("threshold");
    TCase *rules = tcase_create("rules");
    tcase_add_test(rules, by_default_bytes_decide);
    tcase_add_test(rules, the_count_is_exact);
    tcase_add_loop_test(rules, a_collection_each_t0_and_one_objects, 0, 10);
    tcase_add_test(rules, generations_follow_cpythons_rule);
    tcase_add_test(rules, full_collections_wait_for_a_quarter_more);
    tcase_add_test(rules, explicit_collections_count);
    tcase_add_test(rules, thresholds_change_at_once);
    tcase_add_test(rules, threads_share_the_threshold);
    tcase_add_test(rules, bytes_still_limit);
    tcase_add_test(rules, minor_collections_stay_minor);
    tcase_add_test(rules, bad_input);
    suite_add_tcase(suite, rules);
    return suite;
}
