/* tests/test_collect.c - a collection from request to resumption: generations, roots, reports, threads. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <time.h>

#include "tests/trace_fixture.h"

/* --- asking for collections ---------------------------------------------------------------------- */

START_TEST(generations_outside_0_to_2_are_refused)
{
    struct fixture f;

    fixture_open(&f, "");
    HARNESS_STATUS_NAMES(hearth_gc_collect(f.m, 7), HEARTH_EINVAL, "generation 7");
    HARNESS_STATUS_NAMES(hearth_gc_collect(f.m, -1), HEARTH_EINVAL, "generation -1");
    HARNESS_STATUS_NAMES(hearth_gc_collect(f.m, 3), HEARTH_EINVAL, "generation 3");
    HARNESS_STATUS(hearth_gc_collect(NULL, 0), HEARTH_EINVAL);
    hearth_collection last = {.struct_size = sizeof(last)};
    HARNESS_STATUS(hearth_last_collection(f.heap, &last), HEARTH_ESTATE);
    HARNESS_OK(hearth_native_begin(f.m));
    HARNESS_STATUS(hearth_gc_collect(f.m, 0), HEARTH_ESTATE);
    HARNESS_OK(hearth_native_end(f.m));
    fixture_close(&f);
}
END_TEST

static void *collect_from_another_thread(void *argument)
{
    struct fixture *f = argument;

    HARNESS_STATUS(hearth_gc_collect(f->m, 0), HEARTH_ETHREAD);
    HARNESS_STATUS(hearth_verify(f->m), HEARTH_ETHREAD);
    return NULL;
}

START_TEST(only_the_own_thread_may_collect)
{
    struct fixture f;
    pthread_t thread;

    fixture_open(&f, "");
    ck_assert_int_eq(pthread_create(&thread, NULL, collect_from_another_thread, &f), 0);
    pthread_join(thread, NULL);
    fixture_close(&f);
}
END_TEST

START_TEST(a_collection_reports_what_it_did)
{
    enum { ITEMS = 5000 };
    struct fixture f;

    fixture_open(&f, "nursery=64m,workers=1");
    fixture_stay_home(&f);
    HEARTH_FRAME(f.m, frame, 1);
    for (uint64_t i = 0; i < ITEMS; i++)
        fixture_push(&f, &frame.ref[0], i);
    for (int i = 0; i < ITEMS; i++)
        ck_assert_ptr_nonnull(hearth_new(f.m, f.leaf));
    static const hearth_gc_kind kinds[] = {HEARTH_GC_MINOR, HEARTH_GC_MINOR, HEARTH_GC_FULL};
    for (int generation = 0; generation < 3; generation++) {
        hearth_collection c = fixture_collect(&f, generation);
        ck_assert_uint_eq(c.number, (uint64_t)generation + 1);
        ck_assert_int_eq(c.kind, kinds[generation]);
        ck_assert_int_eq(c.reason, HEARTH_REASON_EXPLICIT);
        ck_assert_uint_eq(c.objects_traced, ITEMS);
        ck_assert_uint_eq(c.local, ITEMS);
        ck_assert_uint_eq(c.sent + c.stolen, 0);
        ck_assert_uint_eq(c.live_bytes, ITEMS * 32);
        ck_assert_uint_eq(c.freed_bytes, generation == 0 ? ITEMS * 32 : 0);
        ck_assert_uint_eq(c.workers, 1);
        ck_assert_uint_ge(c.pause_ns, c.stop_ns + c.roots_ns + c.trace_ns + c.sweep_ns);
    }
    hearth_stats stats = fixture_stats(&f);
    ck_assert_uint_eq(stats.minor_count, 2);
    ck_assert_uint_eq(stats.full_count, 1);
    ck_assert_uint_eq(stats.allocated_objects, 2 * ITEMS);
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
}
END_TEST

START_TEST(an_empty_heap_is_collected)
{
    struct fixture f;

    fixture_open(&f, "verify=on,fake-nodes=4,workers=4,help-after=0");
    for (int i = 0; i < 9; i++)
        ck_assert_uint_eq(fixture_collect(&f, i % 3).objects_traced, 0);
    fixture_close(&f);
}
END_TEST

START_TEST(a_disabled_collector_collects_when_asked_only)
{
    struct fixture f;

    fixture_open(&f, "nursery=64k,heap-min=1m");
    ck_assert(hearth_gc_isenabled(f.heap));
    HARNESS_OK(hearth_gc_disable(f.heap));
    ck_assert(!hearth_gc_isenabled(f.heap));
    for (int i = 0; i < 200000; i++)
        EXPECT(hearth_alloc(f.m, f.leaf, 24) != NULL);
    for (int i = 0; i < 20; i++)
        fixture_refs(&f, 20000);
    ck_assert_uint_eq(fixture_stats(&f).minor_count + fixture_stats(&f).full_count, 0);
    ck_assert_uint_eq(fixture_collect(&f, 0).number, 1);
    HARNESS_OK(hearth_gc_enable(f.heap));
    for (int i = 0; i < 200000; i++)
        EXPECT(hearth_alloc(f.m, f.leaf, 24) != NULL);
    ck_assert_uint_gt(fixture_stats(&f).minor_count, 1);
    HARNESS_STATUS(hearth_gc_disable(NULL), HEARTH_EINVAL);
    HARNESS_STATUS(hearth_gc_enable(NULL), HEARTH_EINVAL);
    ck_assert(!hearth_gc_isenabled(NULL));
    fixture_close(&f);
}
END_TEST

/* At the limit a collection runs whether it is enabled or not. */
START_TEST(a_disabled_collector_runs_before_an_allocation_fails)
{
    struct fixture f;

    fixture_open(&f, "heap-limit=8m");
    HARNESS_OK(hearth_gc_disable(f.heap));
    for (int i = 0; i < 1000000; i++)
        EXPECT(hearth_alloc(f.m, f.leaf, 24) != NULL);
    ck_assert_uint_gt(fixture_stats(&f).minor_count + fixture_stats(&f).full_count, 0);
    fixture_close(&f);
}
END_TEST

START_TEST(automatic_collections_give_their_reason)
{
    struct fixture f;

    fixture_open(&f, _i == 0   ? "nursery=1m,heap-min=64m"
                     : _i == 1 ? "nursery=64m,heap-min=1m"
                     : _i == 2 ? "nursery=1m,heap-min=64m"
                               : "stress=2,nursery=64m,heap-min=64m");
    for (size_t i = 0; fixture_stats(&f).minor_count + fixture_stats(&f).full_count == 0; i++) {
        /* a block for every size class uses up the budget long before the nursery */
        size_t size = _i == 1 ? i % 64 * 16 : _i == 2 ? 40000 : 24;
        EXPECT(hearth_new_array(f.m, f.bytes, size) != NULL);
    }
    static const hearth_gc_reason reasons[] = {HEARTH_REASON_NURSERY, HEARTH_REASON_BUDGET,
                                               HEARTH_REASON_LARGE, HEARTH_REASON_STRESS};
    ck_assert_int_eq(fixture_last(&f).reason, reasons[_i]);
    fixture_close(&f);
}
END_TEST

START_TEST(an_emergency_is_reported)
{
    struct fixture f;

    fixture_open(&f, "heap-limit=4m,nursery=64m");
    HEARTH_FRAME(f.m, frame, 1);
    for (uint64_t i = 0;; i++) {
        struct item *item = hearth_new(f.m, f.item);
        if (item == NULL)
            break;
        item->next = frame.ref[0];
        frame.ref[0] = item;
    }
    ck_assert_int_eq(hearth_last_status(), HEARTH_ELIMIT);
    ck_assert_int_eq(fixture_last(&f).reason, HEARTH_REASON_EMERGENCY);
    frame.ref[0] = NULL;
    ck_assert_ptr_nonnull(hearth_new(f.m, f.item)); /* usable again at once */
    HARNESS_OK(hearth_verify(f.m));
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
}
END_TEST

/* --- roots --------------------------------------------------------------------------------------- */

struct provided {
    struct fixture *f;
    void *slot;
    uintptr_t word[3];
    int calls;
    hearth_status inside; /* of calls from the callback */
};

static void provide(void *data, hearth_visitor *visitor)
{
    struct provided *provided = data;

    provided->calls++;
    hearth_visit(visitor, &provided->slot);
    hearth_visit_ambiguous(visitor, provided->word, provided->word + 3);
    provided->inside = hearth_gc_collect(provided->f->m, 0);
}

START_TEST(every_kind_of_root_keeps_its_object)
{
    static void *global;
    struct fixture f;
    hearth_scope outer, inner;

    fixture_open(&f, "");
    struct provided provided = {.f = &f};
    HEARTH_FRAME(f.m, first, 2);
    HEARTH_FRAME(f.m, second, 1);
    HARNESS_OK(hearth_scope_open(f.m, &outer));
    HARNESS_OK(hearth_scope_open(f.m, &inner));
    HARNESS_OK(hearth_root_add(f.heap, &global));
    HARNESS_OK(hearth_root_provider_add(f.heap, provide, &provided));
    HARNESS_OK(hearth_gc_disable(f.heap));
    void *object[300];
    int n = 0;
    first.ref[1] = object[n++] = hearth_new(f.m, f.item);
    second.ref[0] = object[n++] = hearth_new(f.m, f.item);
    global = object[n++] = hearth_new(f.m, f.leaf);
    provided.slot = object[n++] = fixture_refs(&f, 5000);
    provided.word[1] = (uintptr_t)(object[n++] = hearth_new(f.m, f.item)) + 23; /* the last byte */
    provided.word[2] = (uintptr_t)(object[n++] = fixture_refs(&f, 600000)) + 4799999;
    while (n < 300) { /* more than a page of handles */
        object[n] = hearth_new(f.m, f.item);
        ck_assert_ptr_nonnull(hearth_handle(f.m, object[n++]));
    }
    for (int i = 0; i < 4; i++) {
        int before = provided.calls;
        HARNESS_OK(hearth_gc_collect(f.m, i % 3));
        ck_assert_int_eq(provided.calls, before + 1);
        ck_assert_int_eq(provided.inside, HEARTH_ESTATE);
        ck_assert_uint_eq(fixture_stats(&f).live_objects, 300);
        for (int k = 0; k < 300; k++)
            EXPECT(hearth_is_object(f.heap, object[k]));
    }
    HARNESS_OK(hearth_scope_close(f.m, &inner));
    HARNESS_OK(hearth_gc_collect(f.m, 2));
    ck_assert_uint_eq(fixture_stats(&f).live_objects, 6);
    HARNESS_OK(hearth_root_provider_remove(f.heap, provide, &provided));
    HARNESS_OK(hearth_gc_collect(f.m, 2));
    ck_assert_uint_eq(fixture_stats(&f).live_objects, 3);
    HARNESS_OK(hearth_root_remove(f.heap, &global));
    HARNESS_OK(hearth_scope_close(f.m, &outer));
    HEARTH_FRAME_END(f.m, second);
    HARNESS_OK(hearth_gc_collect(f.m, 2));
    ck_assert_uint_eq(fixture_stats(&f).live_objects, 1);
    HEARTH_FRAME_END(f.m, first);
    HARNESS_OK(hearth_gc_collect(f.m, 2));
    ck_assert_uint_eq(fixture_stats(&f).live_objects, 0);
    fixture_close(&f);
}
END_TEST

/* Roots and slots that hold foreign addresses, or NULL, are left alone. */
START_TEST(foreign_addresses_are_ignored)
{
    static void *foreign[4];
    struct fixture f;
    hearth_heap *other_heap = NULL;
    hearth_options *options = NULL;

    fixture_open(&f, "verify=on");
    HARNESS_OK(hearth_options_create(&options));
    HARNESS_OK(
        hearth_heap_create(&other_heap, options)); /* its windows are the same: not an object */
    hearth_options_destroy(options);
    HEARTH_FRAME(f.m, frame, 4);
    struct item *item = fixture_push(&f, &frame.ref[0], 1);
    frame.ref[1] = foreign;
    frame.ref[2] = (void *)1;
    frame.ref[3] = (void *)UINTPTR_MAX;
    item->next = &foreign[1];
    item->other = (void *)(f.heap->space.windows->base - 16);
    for (int i = 0; i < 3; i++)
        ck_assert_uint_le(fixture_collect(&f, i).objects_traced, 1);
    item->other = (void *)(f.heap->space.windows->base + f.heap->space.windows->bytes);
    ck_assert_uint_eq(fixture_collect(&f, 2).objects_traced, 1);
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
    HARNESS_OK(hearth_heap_destroy(other_heap));
}
END_TEST

/* --- threads ------------------------------------------------------------------------------------- */

enum { COLLECTORS = 4 };

struct collector {
    struct fixture *f;
    int number;
    uint64_t done;
    pthread_t thread;
};

/* All ask at the same time; each call ends after a collection that began after it. */
static void *collect_often(void *argument)
{
    struct collector *c = argument;
    hearth_mutator *m = NULL;

    HARNESS_OK(hearth_attach(c->f->heap, NULL, &m));
    HEARTH_FRAME(m, frame, 1);
    for (uint64_t i = 0; i < harness_scaled(150); i++) {
        struct item *item = hearth_new(m, c->f->item);
        EXPECT(item != NULL);
        item->number = i;
        frame.ref[0] = item;
        uint64_t before = __atomic_load_n(&c->f->heap->collections, __ATOMIC_SEQ_CST);
        HARNESS_OK(hearth_gc_collect(m, (int)((i + (uint64_t)c->number) % 3)));
        EXPECT(__atomic_load_n(&c->f->heap->collections, __ATOMIC_SEQ_CST) > before);
        EXPECT(item->number == i);
        c->done++;
    }
    HEARTH_FRAME_END(m, frame);
    HARNESS_OK(hearth_detach(m));
    return NULL;
}

START_TEST(many_threads_may_ask_at_once)
{
    struct fixture f;
    struct collector collector[COLLECTORS];

    fixture_open(&f, _i ? "fake-nodes=2,workers=2,help-after=0" : "verify=on");
    HARNESS_OK(hearth_native_begin(f.m));
    for (int i = 0; i < COLLECTORS; i++) {
        collector[i] = (struct collector){.f = &f, .number = i};
        ck_assert_int_eq(pthread_create(&collector[i].thread, NULL, collect_often, &collector[i]),
                         0);
    }
    for (int i = 0; i < COLLECTORS; i++)
        pthread_join(collector[i].thread, NULL);
    HARNESS_OK(hearth_native_end(f.m));
    hearth_stats stats = fixture_stats(&f);
    ck_assert_uint_eq(stats.minor_count + stats.full_count,
                      __atomic_load_n(&f.heap->collections, __ATOMIC_SEQ_CST));
    ck_assert_uint_ge(stats.minor_count + stats.full_count, COLLECTORS * harness_scaled(150));
    HARNESS_OK(hearth_verify(f.m));
    fixture_close(&f);
}
END_TEST

/* A thread in a native section does not delay a collection, and its frames are roots. */
struct sleeper {
    struct fixture *f;
    pthread_barrier_t meeting;
    bool wake; /* atomic */
};

static void *sleep_in_native(void *argument)
{
    struct sleeper *s = argument;
    const struct timespec pause = {0, 1000000};
    hearth_mutator *m = NULL;

    HARNESS_OK(hearth_attach(s->f->heap, NULL, &m));
    HEARTH_FRAME(m, frame, 1);
    struct item *item = frame.ref[0] = hearth_new(m, s->f->item);
    item->number = 4711;
    HARNESS_OK(hearth_native_begin(m));
    pthread_barrier_wait(&s->meeting);
    while (!__atomic_load_n(&s->wake, __ATOMIC_SEQ_CST))
        nanosleep(&pause, NULL);
    HARNESS_OK(hearth_native_end(m));
    EXPECT(item->number == 4711 && hearth_is_object(s->f->heap, item));
    HEARTH_FRAME_END(m, frame);
    return NULL; /* detached by its exit */
}

START_TEST(native_sections_do_not_delay)
{
    struct fixture f;
    struct sleeper s = {.f = &f};
    pthread_t thread;

    fixture_open(&f, "");
    pthread_barrier_init(&s.meeting, NULL, 2);
    ck_assert_int_eq(pthread_create(&thread, NULL, sleep_in_native, &s), 0);
    HARNESS_OK(hearth_native_begin(f.m));
    pthread_barrier_wait(&s.meeting);
    HARNESS_OK(hearth_native_end(f.m));
    for (int i = 0; i < 30; i++) {
        HARNESS_OK(hearth_gc_collect(f.m, i % 3));
        ck_assert_uint_eq(fixture_stats(&f).live_objects, 1);
    }
    __atomic_store_n(&s.wake, true, __ATOMIC_SEQ_CST);
    HARNESS_OK(hearth_native_begin(f.m));
    pthread_join(thread, NULL);
    HARNESS_OK(hearth_native_end(f.m));
    HARNESS_OK(hearth_gc_collect(f.m, 2));
    ck_assert_uint_eq(fixture_stats(&f).live_objects, 0);
    pthread_barrier_destroy(&s.meeting);
    fixture_close(&f);
}
END_TEST

/* Threads come and go, some without detaching, while others collect. */
static void *come_and_go(void *argument)
{
    struct collector *c = argument;
    hearth_mutator *m = NULL;

    HARNESS_OK(hearth_attach(c->f->heap, NULL, &m));
    HEARTH_FRAME(m, frame, 1);
    for (uint64_t i = 0; i < 200; i++) {
        struct item *item = hearth_alloc(m, c->f->item, sizeof(*item));
        EXPECT(item != NULL);
        item->number = i;
        hearth_store_init(&item->next, frame.ref[0]);
        frame.ref[0] = item;
        hearth_safepoint(m);
    }
    fixture_expect_list(frame.ref[0], 200);
    if (c->number % 3 == 0) { /* it even exits in a native section: without frames on its stack */
        HEARTH_FRAME_END(m, frame);
        HARNESS_OK(hearth_native_begin(m));
    }
    if (c->number % 3 != 1)
        return NULL;
    HEARTH_FRAME_END(m, frame);
    HARNESS_OK(hearth_detach(m));
    return NULL;
}

START_TEST(threads_come_and_go_during_collections)
{
    struct fixture f;
    struct collector collector[COLLECTORS];

    fixture_open(&f, "workers=2,help-after=0,fake-nodes=2");
    for (uint64_t round = 0; round < harness_scaled(60); round++) {
        for (int i = 0; i < COLLECTORS; i++) {
            collector[i] = (struct collector){.f = &f, .number = (int)round + i};
            ck_assert_int_eq(pthread_create(&collector[i].thread, NULL, come_and_go, &collector[i]),
                             0);
        }
        for (int i = 0; i < 5; i++)
            HARNESS_OK(hearth_gc_collect(f.m, i % 3));
        HARNESS_OK(hearth_native_begin(f.m));
        for (int i = 0; i < COLLECTORS; i++)
            pthread_join(collector[i].thread, NULL);
        HARNESS_OK(hearth_native_end(f.m));
        ck_assert_int_eq(f.heap->mutator_count, 1);
    }
    HARNESS_OK(hearth_gc_collect(f.m, 2));
    ck_assert_uint_eq(fixture_stats(&f).live_objects, 0);
    HARNESS_OK(hearth_verify(f.m));
    fixture_close(&f);
}
END_TEST

/* --- heaps --------------------------------------------------------------------------------------- */

START_TEST(heaps_do_not_touch_each_other)
{
    enum { HEAPS = 3 };
    struct fixture f[HEAPS];
    void *list[HEAPS] = {NULL};

    for (int i = 0; i < HEAPS; i++) {
        fixture_open(&f[i], "verify=on,nursery=64k"); /* one set of windows */
        HARNESS_OK(hearth_root_add(f[i].heap, &list[i]));
    }
    for (uint64_t i = 0; i < 3000; i++)
        for (int h = 0; h < HEAPS; h++) {
            fixture_push(&f[h], &list[h], i);
            if (i % 700 == 0)
                HARNESS_OK(hearth_gc_collect(f[h].m, h));
        }
    for (int h = 0; h < HEAPS; h++) {
        fixture_expect_list(list[h], 3000);
        HARNESS_OK(hearth_gc_collect(f[h].m, 2));
        ck_assert_uint_eq(fixture_stats(&f[h]).live_objects, 3000);
        ck_assert(!hearth_is_object(f[(h + 1) % HEAPS].heap, list[h]));
    }
    for (int h = 0; h < HEAPS; h++)
        fixture_close(&f[h]);
}
END_TEST

HARNESS_SUITE(collect)
{
    Suite *suite = suite_create("collect");
    TCase *asking = tcase_create("asking");
    TCase *roots = tcase_create("roots");
    TCase *threads = tcase_create("threads");

    tcase_add_test(asking, generations_outside_0_to_2_are_refused);
    tcase_add_test(asking, only_the_own_thread_may_collect);
    tcase_add_test(asking, a_collection_reports_what_it_did);
    tcase_add_test(asking, an_empty_heap_is_collected);
    tcase_add_test(asking, a_disabled_collector_collects_when_asked_only);
    tcase_add_test(asking, a_disabled_collector_runs_before_an_allocation_fails);
    tcase_add_loop_test(asking, automatic_collections_give_their_reason, 0, 4);
    tcase_add_test(asking, an_emergency_is_reported);
    suite_add_tcase(suite, asking);
    tcase_add_test(roots, every_kind_of_root_keeps_its_object);
    tcase_add_test(roots, foreign_addresses_are_ignored);
    tcase_add_test(roots, heaps_do_not_touch_each_other);
    suite_add_tcase(suite, roots);
    tcase_add_loop_test(threads, many_threads_may_ask_at_once, 0, 2);
    tcase_add_test(threads, native_sections_do_not_delay);
    tcase_add_test(threads, threads_come_and_go_during_collections);
    suite_add_tcase(suite, threads);
    return suite;
}
