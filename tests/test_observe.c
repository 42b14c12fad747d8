/* tests/test_observe.c - observers see every collection and every worker, in order; the heap's range. */
#define _GNU_SOURCE
#include <pthread.h>
#include <unistd.h>

#include "tests/trace_fixture.h"

/* What one observer saw. */
struct seen {
    pthread_mutex_t lock;
    pid_t collector;             /* thread between worker_begin(0) and worker_end(0); 0: none  */
    int collections;             /* ended                                                      */
    int full;                    /* of them                                                    */
    bool inside;                 /* between collection_begin and collection_end                */
    int helpers;                 /* in at the moment                                           */
    int helped;                  /* came so far                                                */
    int working[HG_WORKERS_MAX]; /* thread of each worker that is in                   */
    uint64_t traced;
    int nodes;
    hearth_status status; /* what calls of the heap gave inside                        */
};

static void see_worker_begin(void *data, hearth_heap *heap, int worker, int node)
{
    struct seen *seen = data;

    pthread_mutex_lock(&seen->lock);
    EXPECT(worker >= 0 && worker < HG_WORKERS_MAX && seen->working[worker] == 0);
    EXPECT(node >= 0 && node < seen->nodes && hearth_heap_topology(heap) != NULL);
    seen->working[worker] = gettid();
    if (worker == 0) {
        EXPECT(seen->collector == 0 && !seen->inside);
        seen->collector = gettid();
    } else {
        EXPECT(seen->inside && gettid() != seen->collector);
        seen->helpers++;
        seen->helped++;
    }
    pthread_mutex_unlock(&seen->lock);
}

static void see_worker_end(void *data, hearth_heap *heap, int worker, int node)
{
    struct seen *seen = data;

    (void)heap;
    (void)node;
    pthread_mutex_lock(&seen->lock);
    EXPECT(seen->working[worker] == gettid());
    seen->working[worker] = 0;
    if (worker == 0) {
        EXPECT(!seen->inside && seen->collector == gettid());
        seen->collector = 0;
    } else {
        EXPECT(seen->inside && seen->helpers > 0);
        seen->helpers--;
    }
    pthread_mutex_unlock(&seen->lock);
}

static void see_begin(void *data, hearth_heap *heap, hearth_gc_kind kind)
{
    struct seen *seen = data;

    (void)kind;
    pthread_mutex_lock(&seen->lock);
    EXPECT(seen->collector == gettid() && !seen->inside);
    seen->inside = true;
    pthread_mutex_unlock(&seen->lock);
    seen->status = hearth_observe(heap, NULL);
}

static void see_end(void *data, hearth_heap *heap, const hearth_collection *collection)
{
    struct seen *seen = data;

    (void)heap;
    pthread_mutex_lock(&seen->lock);
    EXPECT(seen->inside && seen->helpers == 0);
    seen->inside = false;
    seen->collections++;
    seen->full += collection->kind == HEARTH_GC_FULL;
    seen->traced += collection->objects_traced;
    EXPECT(collection->number == (uint64_t)seen->collections);
    pthread_mutex_unlock(&seen->lock);
}

static hearth_observer observer_of(struct seen *seen)
{
    return (hearth_observer){.struct_size = sizeof(hearth_observer),
                             .data = seen,
                             .collection_begin = see_begin,
                             .collection_end = see_end,
                             .worker_begin = see_worker_begin,
                             .worker_end = see_worker_end};
}

/* With helpers from the first object on, over one and over two nodes. */
START_TEST(sees_all)
{
    static const char *const options[] = {"workers=1", "workers=3,help-after=0",
                                          "workers=4,help-after=0,fake-nodes=2"};
    struct seen seen = {.lock = PTHREAD_MUTEX_INITIALIZER};
    hearth_observer observer = observer_of(&seen);
    struct fixture f;

    fixture_open(&f, options[_i]);
    seen.nodes = f.heap->topology->nodes;
    HARNESS_OK(hearth_observe(f.heap, &observer));
    HEARTH_FRAME(f.m, frame, 1);
    for (uint64_t i = 0; i < 20000; i++)
        fixture_push(&f, &frame.ref[0], i);
    HARNESS_OK(hearth_gc_collect(f.m, 0));
    for (int i = 0; i < 20; i++)
        HARNESS_OK(hearth_gc_collect(f.m, 2));
    hearth_stats stats = fixture_stats(&f);
    ck_assert_uint_eq((uint64_t)seen.collections, stats.minor_count + stats.full_count);
    ck_assert_uint_eq((uint64_t)seen.full, stats.full_count);
    ck_assert_uint_ge(seen.traced, 20 * 20000);
    ck_assert_int_eq(seen.status, HEARTH_ESTATE);
    ck_assert_int_eq(seen.helpers, 0);
    if (_i == 0)
        ck_assert_int_eq(seen.helped, 0);
    HARNESS_OK(hearth_observe(f.heap, NULL));
    HARNESS_OK(hearth_gc_collect(f.m, 2));
    ck_assert_uint_eq((uint64_t)seen.collections, stats.minor_count + stats.full_count);
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
}
END_TEST

/* Helpers that come are seen: repeated until some came, which on a busy machine takes a while. */
START_TEST(sees_helpers)
{
    struct seen seen = {.lock = PTHREAD_MUTEX_INITIALIZER};
    hearth_observer observer = observer_of(&seen);
    struct fixture f;

    fixture_open(&f, "workers=3,help-after=0");
    seen.nodes = f.heap->topology->nodes;
    HARNESS_OK(hearth_observe(f.heap, &observer));
    HEARTH_FRAME(f.m, frame, 1);
    frame.ref[0] = fixture_refs(&f, 50000);
    for (size_t i = 0; i < 50000; i++) {
        void *leaf = hearth_new(f.m, f.leaf);
        EXPECT(leaf != NULL);
        hearth_store(f.m, frame.ref[0], (void **)frame.ref[0] + i, leaf);
    }
    for (int i = 0; i < 500 && seen.helped == 0; i++)
        HARNESS_OK(hearth_gc_collect(f.m, 2));
    ck_assert_int_gt(seen.helped, 0);
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
}
END_TEST

START_TEST(bad_arguments)
{
    hearth_observer observer = {.struct_size = 8};
    const void *low, *high;
    struct fixture f;

    fixture_open(&f, "");
    HARNESS_STATUS_NAMES(hearth_observe(NULL, NULL), HEARTH_EINVAL, "heap is NULL");
    HARNESS_STATUS_NAMES(hearth_observe(f.heap, &observer), HEARTH_EINVAL, "struct_size is 8");
    HARNESS_STATUS_NAMES(hearth_heap_range(NULL, &low, &high), HEARTH_EINVAL, "heap is NULL");
    HARNESS_STATUS_NAMES(hearth_heap_range(f.heap, NULL, &high), HEARTH_EINVAL, "low is NULL");
    HARNESS_STATUS_NAMES(hearth_heap_range(f.heap, &low, NULL), HEARTH_EINVAL, "high is NULL");
    observer = (hearth_observer){.struct_size = sizeof observer}; /* all NULL: allowed */
    HARNESS_OK(hearth_observe(f.heap, &observer));
    HARNESS_OK(hearth_gc_collect(f.m, 2));
    fixture_close(&f);
}
END_TEST

/* Small and large objects of every node lie in the range; other memory does not. */
START_TEST(range)
{
    const void *low, *high;
    struct fixture f;

    fixture_open(&f, "fake-nodes=2");
    HARNESS_OK(hearth_heap_range(f.heap, &low, &high));
    for (int i = 0; i < 100; i++) {
        const char *object = hearth_new_on(f.m, f.bytes, i % 2 ? 100 : 200000, i / 2 % 2);
        ck_assert_ptr_nonnull(object);
        ck_assert(object >= (const char *)low && object + 200000 <= (const char *)high);
    }
    ck_assert(!((const char *)&f >= (const char *)low && (const char *)&f < (const char *)high));
    fixture_close(&f);
}
END_TEST

HARNESS_SUITE(observe)
{
    Suite *suite = suite_create("observe");
    TCase *tests = tcase_create("observe");

    tcase_add_loop_test(tests, sees_all, 0, 3);
    tcase_add_test(tests, sees_helpers);
    tcase_add_test(tests, bad_arguments);
    tcase_add_test(tests, range);
    suite_add_tcase(suite, tests);
    return suite;
}
