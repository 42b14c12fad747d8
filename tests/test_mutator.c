/* tests/test_mutator.c - attaching and detaching, in storms, at thread exit, by cancellation, and with
 * several heaps; while the others collect.
 *
 * What must hold: a thread that has gone leaves nothing behind but its objects; its remembered sets
 * stay with the heap; a heap can be destroyed as soon as the last mutator is counted out. */
#include <sched.h>

#include "gc/mailbox.h"
#include "tests/mutator_fixture.h"

/* --- one thread --------------------------------------------------------------------------------------- */

START_TEST(current)
{
    hearth_heap *heap = fixture_heap(NULL), *other = fixture_heap(NULL);
    hearth_mutator *mutator, *again = (hearth_mutator *)&mutator;

    ck_assert_ptr_null(hearth_current(heap));
    ck_assert_ptr_null(hearth_current(NULL));
    mutator = fixture_attach(heap);
    ck_assert_ptr_eq(hearth_current(heap), mutator);
    ck_assert_ptr_null(hearth_current(other));
    HARNESS_STATUS_NAMES(hearth_attach(heap, NULL, &again), HEARTH_ESTATE, "attached");
    ck_assert_ptr_eq(again, &mutator);
    again = fixture_attach(other);
    ck_assert_ptr_eq(hearth_current(heap), mutator);
    ck_assert_ptr_eq(hearth_current(other), again);
    ck_assert_int_eq(fixture_stats(heap).mutators, 1);
    HARNESS_OK(hearth_detach(mutator));
    ck_assert_ptr_null(hearth_current(heap));
    ck_assert_ptr_eq(hearth_current(other), again);
    ck_assert_int_eq(fixture_stats(heap).mutators, 0);
    HARNESS_OK(hearth_detach(again));
    HARNESS_OK(hearth_heap_destroy(heap));
    HARNESS_OK(hearth_heap_destroy(other));
}
END_TEST

/* Objects, and what was remembered of them, outlive the mutator. */
START_TEST(objects_stay)
{
    static void *root;
    struct fixture f = fixture_open("verify=on");

    HARNESS_OK(hearth_root_add(f.heap, &root));
    fixture_list(f.mutator, f.node, 1000, &root);
    fixture_collect(f.mutator, 1);
    for (int i = 0; i < 5; i++) {
        for (struct fixture_node *node = root; node != NULL; node = node->left) {
            struct fixture_node *child = fixture_new(f.mutator, f.node, node->value + 5);

            HARNESS_OK(hearth_store(f.mutator, node, &node->right, child));
        }
        HARNESS_OK(hearth_detach(f.mutator)); /* what it remembered is the heap's now */
        f.mutator = fixture_attach(f.heap);
        fixture_collect(f.mutator, i % 3);
        fixture_check_list(root, 1000);
        for (struct fixture_node *node = root; node != NULL; node = node->left)
            EXPECT(((struct fixture_node *)node->right)->value == node->value + 5);
    }
    HARNESS_OK(hearth_root_remove(f.heap, &root));
    fixture_close(&f);
}
END_TEST

/* Open frames and scopes are refused; closed, it goes. */
START_TEST(detach_with_something_open)
{
    struct fixture f = fixture_open(NULL);
    hearth_scope scope;

    HEARTH_FRAME(f.mutator, frame, 1);
    frame.ref[0] = fixture_new(f.mutator, f.node, 4);
    HARNESS_STATUS_NAMES(hearth_detach(f.mutator), HEARTH_ESTATE, "frame");
    fixture_collect(f.mutator, 2);
    ck_assert_uint_eq(((struct fixture_node *)frame.ref[0])->value, 4);
    HEARTH_FRAME_END(f.mutator, frame);
    HARNESS_OK(hearth_scope_open(f.mutator, &scope));
    HARNESS_STATUS_NAMES(hearth_detach(f.mutator), HEARTH_ESTATE, "1 handle scope");
    HARNESS_OK(hearth_scope_close(f.mutator, &scope));
    fixture_close(&f);
}
END_TEST

/* A mutator that has been detached is nobody's: not even its former owner's. */
START_TEST(detached_is_refused)
{
    struct fixture f = fixture_open(NULL);
    hearth_mutator *stale = f.mutator;

    HARNESS_OK(hearth_detach(stale));
    HARNESS_STATUS(hearth_detach(stale), HEARTH_ETHREAD);
    HARNESS_STATUS(hearth_gc_collect(stale, 0), HEARTH_ETHREAD);
    HARNESS_STATUS(hearth_native_begin(stale), HEARTH_ETHREAD);
    HARNESS_NULL(hearth_new(stale, f.node), HEARTH_ETHREAD);
    HARNESS_NULL(hearth_alloc(stale, f.node, sizeof(struct fixture_node)), HEARTH_ETHREAD);
    HARNESS_OK(hearth_heap_destroy(f.heap));
}
END_TEST

/* --- storms -------------------------------------------------------------------------------------------- */

struct storm {
    struct fixture *f;
    int kind;
    bool *stop; /* atomic */
    pthread_t thread;
};

/* A thread's whole life: attach, allocate, and go in one of many ways. */
static void *live(void *argument)
{
    struct storm *storm = argument;
    hearth_attach_options options = {.struct_size = sizeof options,
                                     .node = storm->kind % 3 - 1,
                                     .conservative = storm->kind % 4 == 0};
    hearth_mutator *mutator = NULL;
    hearth_scope scope;

    EXPECT(hearth_attach(storm->f->heap, &options, &mutator) == HEARTH_OK);
    HEARTH_FRAME(mutator, frame, 1);
    fixture_list(mutator, storm->f->node, 100, &frame.ref[0]);
    EXPECT(hearth_new_on(mutator, storm->f->bytes, 5000, storm->kind % 2) != NULL);
    if (storm->kind % 7 == 0)
        fixture_collect(mutator, storm->kind % 3);
    fixture_check_list(frame.ref[0], 100);
    if (storm->kind % 5 == 1) {
        EXPECT(hearth_scope_open(mutator, &scope) == HEARTH_OK);
        for (int i = 0; i < 300; i++)
            EXPECT(hearth_handle(mutator, frame.ref[0]) != NULL);
    }
    if (storm->kind % 5 == 2)
        return NULL; /* with a frame open that is gone now */
    HEARTH_FRAME_END(mutator, frame);
    if (storm->kind % 5 == 3)
        EXPECT(hearth_native_begin(mutator) == HEARTH_OK);
    if (storm->kind % 5 == 4)
        EXPECT(hearth_detach(mutator) == HEARTH_OK);
    return NULL;
}

static void *collect_all_the_time(void *argument)
{
    struct storm *storm = argument;
    hearth_mutator *mutator = fixture_attach(storm->f->heap);

    for (int i = 0; !__atomic_load_n(storm->stop, __ATOMIC_RELAXED); i++)
        fixture_collect(mutator, i % 3);
    EXPECT(hearth_detach(mutator) == HEARTH_OK);
    return NULL;
}

/* Another thread collects all the time, while this one does not use the heap. */
static void start_collecting(struct fixture *f, struct storm *collector)
{
    HARNESS_OK(hearth_native_begin(f->mutator));
    EXPECT(pthread_create(&collector->thread, NULL, collect_all_the_time, collector) == 0);
}

/* No more; nothing is left in the heap. */
static void stop_collecting(struct fixture *f, struct storm *collector)
{
    __atomic_store_n(collector->stop, true, __ATOMIC_RELAXED);
    EXPECT(pthread_join(collector->thread, NULL) == 0);
    HARNESS_OK(hearth_native_end(f->mutator));
    fixture_collect(f->mutator, 2);
    ck_assert_uint_eq(fixture_stats(f->heap).live_objects, 0);
}

/* Hundreds of threads come and go, in waves, while one collects; nothing is left of them. */
START_TEST(storm_of_threads)
{
    enum { WAVE = 50 };
    static const char *const options[] = {"fake-nodes=2", "fake-nodes=2,verify=on,nursery=256k"};
    struct fixture f = fixture_open(options[_i]);
    bool stop = false;
    struct storm collector = {.f = &f, .stop = &stop}, storms[WAVE];

    start_collecting(&f, &collector);
    for (uint64_t wave = 0; wave < harness_scaled(_i ? 6 : 12); wave++) {
        for (int i = 0; i < WAVE; i++) {
            storms[i] = (struct storm){.f = &f, .kind = i + (int)wave};
            EXPECT(pthread_create(&storms[i].thread, NULL, live, &storms[i]) == 0);
        }
        for (int i = 0; i < WAVE; i++)
            EXPECT(pthread_join(storms[i].thread, NULL) == 0);
    }
    ck_assert_int_eq(fixture_stats(f.heap).mutators, 2);
    stop_collecting(&f, &collector);
    fixture_close(&f);
}
END_TEST

/* Attaching and detaching leaves no memory behind. */
START_TEST(attach_leaks_nothing)
{
    struct fixture f = fixture_open("fake-nodes=2");
    struct ha_window_stats before, after;
    bool stop;
    struct storm storm = {.f = &f, .stop = &stop};

    for (uint64_t i = 0; i < 20 + harness_scaled(400); i++) {
        if (i == 20)
            ha_window_stats(f.heap->space.windows, 0, &before);
        storm.kind = (int)i;
        HARNESS_OK(hearth_native_begin(f.mutator));
        EXPECT(pthread_create(&storm.thread, NULL, live, &storm) == 0);
        EXPECT(pthread_join(storm.thread, NULL) == 0);
        HARNESS_OK(hearth_native_end(f.mutator));
    }
    ha_window_stats(f.heap->space.windows, 0, &after);
    ck_assert_uint_le(after.meta, before.meta + 4 * HG_SLAB); /* the collector may take some */
    ck_assert_int_eq(fixture_stats(f.heap).mutators, 1);
    fixture_close(&f);
}
END_TEST

/* --- exits ---------------------------------------------------------------------------------------------- */

/* A frame that outlives its thread's stack: what a compiler's runtime may keep elsewhere. */
static struct {
    hearth_frame head;
    void *ref[4];
} lasting;

struct exiting {
    struct fixture *f;
    bool native, gone; /* gone: atomic */
    pthread_key_t key;
    pthread_t thread;
};

static void *exit_with_frame(void *argument)
{
    struct exiting *e = argument;
    hearth_mutator *mutator = fixture_attach(e->f->heap);

    lasting.head = (hearth_frame){mutator->frames, 4};
    mutator->frames = &lasting.head;
    lasting.ref[2] = fixture_new(mutator, e->f->node, 6);
    if (e->native)
        EXPECT(hearth_native_begin(mutator) == HEARTH_OK);
    pthread_exit(NULL);
}

/* With frames open, running or in a section, while another thread collects all the time. */
START_TEST(exit_with_frames)
{
    struct fixture f = fixture_open(NULL);
    bool stop = false;
    struct storm collector = {.f = &f, .stop = &stop};
    struct exiting e = {.f = &f, .native = _i == 1};

    start_collecting(&f, &collector);
    for (uint64_t i = 0; i < harness_scaled(300); i++) {
        EXPECT(pthread_create(&e.thread, NULL, exit_with_frame, &e) == 0);
        EXPECT(pthread_join(e.thread, NULL) == 0);
        memset(&lasting, 0xff, sizeof lasting); /* nobody may look at it any more */
    }
    stop_collecting(&f, &collector);
    fixture_close(&f);
}
END_TEST

/* The embedder's own thread-exit function may use the heap, before or after hearth's. */
static void use_at_exit(void *argument)
{
    struct exiting *e = argument;
    hearth_mutator *mutator = hearth_current(e->f->heap);

    if (mutator == NULL)
        mutator = fixture_attach(e->f->heap);
    fixture_garbage(mutator, e->f->node, 100);
    e->gone = true;
}

static void *exit_with_key(void *argument)
{
    struct exiting *e = argument;

    EXPECT(pthread_setspecific(e->key, e) == 0);
    (void)fixture_attach(e->f->heap);
    return NULL;
}

START_TEST(exit_functions)
{
    struct fixture f;
    struct exiting e = {.f = &f};

    if (_i == 0) /* before the library has made its key */
        EXPECT(pthread_key_create(&e.key, use_at_exit) == 0);
    f = fixture_open(NULL);
    if (_i == 1)
        EXPECT(pthread_key_create(&e.key, use_at_exit) == 0);
    HARNESS_OK(hearth_native_begin(f.mutator));
    EXPECT(pthread_create(&e.thread, NULL, exit_with_key, &e) == 0);
    EXPECT(pthread_join(e.thread, NULL) == 0);
    HARNESS_OK(hearth_native_end(f.mutator));
    ck_assert(e.gone);
    ck_assert_int_eq(fixture_stats(f.heap).mutators, 1);
    fixture_close(&f);
}
END_TEST

/* A thread of several heaps leaves them all. */
static void *attach_to_three(void *argument)
{
    hearth_heap **heaps = argument;

    for (int i = 0; i < 3; i++)
        (void)fixture_attach(heaps[i]);
    EXPECT(hearth_native_begin(hearth_current(heaps[1])) == HEARTH_OK);
    return NULL;
}

START_TEST(exit_of_several_heaps)
{
    hearth_heap *heaps[3];
    pthread_t thread;

    for (int i = 0; i < 3; i++)
        heaps[i] = fixture_heap(NULL);
    EXPECT(pthread_create(&thread, NULL, attach_to_three, heaps) == 0);
    EXPECT(pthread_join(thread, NULL) == 0);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(fixture_stats(heaps[i]).mutators, 0);
        HARNESS_OK(hearth_heap_destroy(heaps[i]));
    }
}
END_TEST

/* Cancellation does not strike inside hearth, where it would leave locks behind. */
static void *park_for_ever(void *argument)
{
    struct storm *storm = argument;
    hearth_mutator *mutator = fixture_attach(storm->f->heap);

    for (;;) {
        hearth_safepoint(mutator);
        if (storm->kind)
            fixture_garbage(mutator, storm->f->node, 10);
        if (__atomic_load_n(storm->stop, __ATOMIC_RELAXED))
            pthread_testcancel();
    }
    return NULL;
}

START_TEST(cancelled)
{
    struct fixture f = fixture_open("nursery=256k");

    for (uint64_t i = 0; i < harness_scaled(40); i++) {
        bool stop = false;
        struct storm storm = {.f = &f, .kind = i % 2, .stop = &stop};

        EXPECT(pthread_create(&storm.thread, NULL, park_for_ever, &storm) == 0);
        while (fixture_stats(f.heap).mutators < 2)
            hearth_safepoint(f.mutator);
        EXPECT(pthread_cancel(storm.thread) == 0);
        for (int n = 0; n < 5; n++) {
            fixture_collect(f.mutator, n % 3);
            sched_yield();
        }
        ck_assert_int_eq(fixture_stats(f.heap).mutators, 2);
        __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
        HARNESS_OK(hearth_native_begin(f.mutator));
        EXPECT(pthread_join(storm.thread, NULL) == 0);
        HARNESS_OK(hearth_native_end(f.mutator));
        ck_assert_int_eq(fixture_stats(f.heap).mutators, 1);
    }
    fixture_close(&f);
}
END_TEST

/* --- the last one out ------------------------------------------------------------------------------------ */

static void *attach_and_detach(void *argument)
{
    hearth_heap *heap = argument;
    hearth_mutator *mutator = fixture_attach(heap);
    hearth_type type;

    EXPECT(hearth_type_leaf(heap, "leaf", 16, &type) == HEARTH_OK);
    EXPECT(hearth_alloc(mutator, type, 16) != NULL);
    EXPECT(hearth_detach(mutator) == HEARTH_OK);
    return NULL;
}

/* Destroyed by one who waits until nobody is attached any more: the detaching thread, still on its way
 * out, must not touch the heap. AddressSanitizer looks. */
START_TEST(destroyed_by_another)
{
    for (uint64_t i = 0; i < harness_scaled(60); i++) {
        hearth_heap *heap = fixture_heap("fake-nodes=2");
        pthread_t thread;
        hearth_status status;

        EXPECT(pthread_create(&thread, NULL, attach_and_detach, heap) == 0);
        while (fixture_stats(heap).allocated_objects == 0)
            sched_yield(); /* counted when the last one leaves */
        while ((status = hearth_heap_destroy(heap)) == HEARTH_ESTATE)
            sched_yield();
        HARNESS_OK(status);
        EXPECT(pthread_join(thread, NULL) == 0);
    }
}
END_TEST

HARNESS_SUITE(mutator)
{
    Suite *suite = suite_create("mutator");
    TCase *one = tcase_create("one"), *storms = tcase_create("storms");
    TCase *exits = tcase_create("exits");

    tcase_add_test(one, current);
    tcase_add_test(one, objects_stay);
    tcase_add_test(one, detach_with_something_open);
    tcase_add_test(one, detached_is_refused);
    suite_add_tcase(suite, one);
    tcase_add_loop_test(storms, storm_of_threads, 0, 2);
    tcase_add_test(storms, attach_leaks_nothing);
    suite_add_tcase(suite, storms);
    tcase_add_loop_test(exits, exit_with_frames, 0, 2);
    tcase_add_loop_test(exits, exit_functions, 0, 2);
    tcase_add_test(exits, exit_of_several_heaps);
    tcase_add_test(exits, cancelled);
    tcase_add_test(exits, destroyed_by_another);
    suite_add_tcase(suite, exits);
    return suite;
}
