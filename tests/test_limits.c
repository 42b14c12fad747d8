/* tests/test_limits.c - limits of heaps and nodes, and threads that fight for the last block.
 *
 * What must hold: an allocation fails only when a full collection leaves too little, with the status that
 * says why, and then the heap still works. */
#include "alloc/window_state.h"
#include "tests/mutator_fixture.h"

/* --- limits --------------------------------------------------------------------------------------- */

/* Allocate into a list until it fails; the number made. */
static size_t fill_up(struct fixture *f, void **root, hearth_status expected)
{
    size_t count = 0;

    for (;; count++) {
        struct fixture_node *node = hearth_alloc(f->mutator, f->node, sizeof *node);

        if (node == NULL)
            break;
        hearth_store_init(&node->left, *root);
        node->value = count;
        *root = node;
    }
    harness_expect_error("hearth_alloc", expected, NULL);
    return count;
}

static const char *const limit_options[] = {"heap-limit=16m",
                                            "heap-limit=16m,generational=off",
                                            "heap-limit=16m,fake-nodes=2",
                                            "heap-limit=16m,nursery=1m",
                                            "heap-limit=1m",
                                            "heap-limit=16m,heap-min=16m",
                                            "heap-limit=16m,heap-min=64k"};

/* At the limit allocation fails with ELIMIT, for every kind of object; dropping references heals. */
START_TEST(limit_is_reached)
{
    struct fixture f;
    size_t first, second, limit;

    fixture_alone();
    f = fixture_open(limit_options[_i]);
    limit = fixture_stats(f.heap).limit_bytes;
    HEARTH_FRAME(f.mutator, frame, 1);
    first = fill_up(&f, &frame.ref[0], HEARTH_ELIMIT);
    harness_expect_error("hearth_alloc", HEARTH_ELIMIT, "limit");
    ck_assert_uint_ge(first * 48, limit / 100 * 95);
    ck_assert_uint_le(fixture_stats(f.heap).heap_bytes, limit);
    HARNESS_OK(hearth_verify(f.mutator));
    HARNESS_NULL(hearth_new_array(f.mutator, f.bytes, 40000), HEARTH_ELIMIT);
    HARNESS_NULL(hearth_new_array(f.mutator, f.refs, 100000), HEARTH_ELIMIT);
    HARNESS_NULL(hearth_alloc(f.mutator, f.node, sizeof(struct fixture_node)), HEARTH_ELIMIT);
    fixture_check_list(frame.ref[0], first);
    frame.ref[0] = NULL;
    second = fill_up(&f, &frame.ref[0], HEARTH_ELIMIT);
    ck_assert_uint_ge(second, first - first / 50);
    frame.ref[0] = NULL;
    ck_assert_ptr_nonnull(hearth_new_array(f.mutator, f.bytes, limit / 2));
    HEARTH_FRAME_END(f.mutator, frame);
    fixture_close(&f);
}
END_TEST

/* More than the limit at once is refused without a collection, and the size is named. */
START_TEST(beyond_the_limit)
{
    struct fixture f;

    fixture_alone();
    f = fixture_open("heap-limit=16m");
    HARNESS_NULL(hearth_new_array(f.mutator, f.bytes, 17 << 20), HEARTH_ELIMIT);
    harness_expect_error("hearth_new_array", HEARTH_ELIMIT, "17825792");
    HARNESS_NULL(hearth_new_array(f.mutator, f.bytes, (size_t)1 << 45), HEARTH_ELIMIT);
    ck_assert_uint_eq(fixture_stats(f.heap).full_count, 0);
    ck_assert_ptr_nonnull(hearth_new_array(f.mutator, f.bytes, 15 << 20));
    fixture_close(&f);
}
END_TEST

/* Everything is garbage: the limit is never the reason to fail, for whatever is allocated next. */
START_TEST(garbage_never_fails)
{
    struct fixture f = fixture_open(limit_options[_i]);
    uint64_t state = harness_seed();
    size_t limit = fixture_stats(f.heap).limit_bytes;

    for (uint64_t total = 0; total < harness_scaled(200 * FIXTURE_MIB);) {
        size_t bytes = (size_t)(harness_random(&state) >> (44 + harness_random_below(&state, 20)));
        hearth_type type = harness_random(&state) & 1 ? f.bytes : f.refs;

        bytes = bytes > limit / 8 ? limit / 8 : bytes;
        if (hearth_alloc_array(f.mutator, type, type == f.bytes ? bytes : bytes / 8) == NULL)
            ck_abort_msg("%zu bytes after %llu: %s", bytes, (unsigned long long)total,
                         hearth_last_error());
        total += bytes + 16;
    }
    fixture_close(&f);
}
END_TEST

/* A failing allocation has collected everything before: emergency is the reason. */
START_TEST(emergency_comes_first)
{
    hearth_collection last = {.struct_size = sizeof last};
    struct fixture f;

    fixture_alone();
    f = fixture_open("heap-limit=8m,nursery=4m");
    HEARTH_FRAME(f.mutator, frame, 2);
    frame.ref[0] = hearth_new_array(f.mutator, f.bytes, 5 << 20);
    fixture_collect(f.mutator, 2);
    frame.ref[0] = NULL;
    frame.ref[1] = hearth_new_array(f.mutator, f.bytes, 6 << 20);
    ck_assert_msg(frame.ref[1] != NULL, "%s", hearth_last_error());
    HARNESS_NULL(hearth_new_array(f.mutator, f.bytes, 3 << 20), HEARTH_ELIMIT);
    HARNESS_OK(hearth_last_collection(f.heap, &last));
    ck_assert_int_eq(last.reason, HEARTH_REASON_EMERGENCY);
    ck_assert_int_eq(last.kind, HEARTH_GC_FULL);
    HEARTH_FRAME_END(f.mutator, frame);
    fixture_close(&f);
}
END_TEST

/* Without automatic collection the heap grows to its limit; then it is collected all the same. */
START_TEST(disabled_grows_to_the_limit)
{
    struct fixture f;
    hearth_stats stats;
    size_t made = 0;

    fixture_alone();
    f = fixture_open("heap-limit=32m,nursery=1m");
    HARNESS_OK(hearth_gc_disable(f.heap));
    ck_assert(!hearth_gc_isenabled(f.heap));
    do {
        fixture_garbage(f.mutator, f.node, 10);
        ck_assert_ptr_nonnull(hearth_new_array(f.mutator, f.bytes, 33000 + made % 2 * 40000));
        made++;
        stats = fixture_stats(f.heap);
    } while (stats.minor_count + stats.full_count == 0);
    ck_assert_uint_ge(stats.peak_heap_bytes, 31 << 20);
    ck_assert_uint_le(stats.peak_heap_bytes, 32 << 20);
    fixture_collect(f.mutator, 2);
    HARNESS_OK(hearth_gc_enable(f.heap));
    ck_assert(hearth_gc_isenabled(f.heap));
    stats = fixture_stats(f.heap);
    fixture_garbage(f.mutator, f.node, 100000);
    ck_assert_uint_gt(fixture_stats(f.heap).minor_count, stats.minor_count);
    fixture_close(&f);
}
END_TEST

START_TEST(limit_can_be_changed)
{
    struct fixture f;
    size_t count;

    fixture_alone();
    f = fixture_open("heap-limit=8m");
    HEARTH_FRAME(f.mutator, frame, 2);
    count = fill_up(&f, &frame.ref[0], HEARTH_ELIMIT);
    HARNESS_OK(hearth_set_heap_limit(f.heap, 24 << 20));
    ck_assert_uint_eq(fixture_stats(f.heap).limit_bytes, 24 << 20);
    frame.ref[1] = NULL;
    ck_assert_uint_ge(fill_up(&f, &frame.ref[1], HEARTH_ELIMIT), 2 * count - count / 20);
    HARNESS_STATUS_NAMES(hearth_set_heap_limit(f.heap, 8 << 20), HEARTH_ESIZE, "8388608");
    ck_assert_uint_eq(fixture_stats(f.heap).limit_bytes, 24 << 20);
    fixture_check_list(frame.ref[0], count);
    frame.ref[0] = frame.ref[1] = NULL;
    fixture_collect(f.mutator, 2);
    HARNESS_OK(hearth_set_heap_limit(f.heap, 2 << 20));
    ck_assert_uint_le(fill_up(&f, &frame.ref[0], HEARTH_ELIMIT), count / 4 + count / 20);
    HARNESS_STATUS_NAMES(hearth_set_heap_limit(f.heap, 65535), HEARTH_ESIZE, "65535");
    HARNESS_STATUS(hearth_set_heap_limit(f.heap, 0), HEARTH_ESIZE);
    HEARTH_FRAME_END(f.mutator, frame);
    fixture_close(&f);
}
END_TEST

/* --- nodes ----------------------------------------------------------------------------------------- */

/* Small windows that may not spill: the node is full before the limit is, and says so. */
START_TEST(strict_node_is_full)
{
    struct fixture f;
    hearth_attach_options options = {.struct_size = sizeof options, .node = 0};
    size_t count;

    fixture_alone();
    f.heap = fixture_heap("fake-nodes=2,policy=strict,window=64m,heap-limit=1g,heap-min=1g");
    HARNESS_OK(hearth_attach(f.heap, &options, &f.mutator));
    fixture_types(&f);
    HEARTH_FRAME(f.mutator, frame, 2);
    count = fill_up(&f, &frame.ref[0], HEARTH_ENOMEM);
    harness_expect_error("hearth_alloc", HEARTH_ENOMEM, "node 0");
    ck_assert_uint_ge(count * 48, 40 << 20);
    ck_assert_uint_le(fixture_stats(f.heap).heap_bytes, 64 << 20);
    HARNESS_NULL(hearth_new_array(f.mutator, f.bytes, 10 << 20), HEARTH_ENOMEM);
    frame.ref[1] = hearth_new_on(f.mutator, f.bytes, 10 << 20, 1);
    ck_assert_msg(frame.ref[1] != NULL, "%s", hearth_last_error());
    ck_assert_int_eq(hearth_node_of(f.heap, frame.ref[1]), 1);
    ck_assert_uint_eq(fixture_stats(f.heap).spilled_blocks, 0);
    HARNESS_OK(hearth_verify(f.mutator));
    fixture_check_list(frame.ref[0], count);
    frame.ref[0] = NULL;
    ck_assert_uint_ge(fill_up(&f, &frame.ref[0], HEARTH_ENOMEM), count - count / 20);
    HEARTH_FRAME_END(f.mutator, frame);
    fixture_close(&f);
}
END_TEST

/* Option preferred=k: threads allocate there unless they have a node of their own. */
START_TEST(preferred_node)
{
    struct fixture f;
    hearth_options *set = NULL;
    hearth_heap *heap = NULL;
    char text[32];

    fixture_alone();
    f.heap = fixture_heap("fake-nodes=3,preferred=2");
    HARNESS_OK(hearth_attach(f.heap, NULL, &f.mutator));
    fixture_types(&f);
    for (int i = 0; i < 5000; i++) {
        void *object = i % 500 == 0 ? hearth_new_array(f.mutator, f.bytes, 100000)
                                    : hearth_new(f.mutator, f.node);
        ck_assert_int_eq(hearth_node_of(f.heap, object), 2);
    }
    fixture_close(&f);
    HARNESS_OK(hearth_options_create(&set));
    snprintf(text, sizeof text, "preferred=%d", harness_nodes(3));
    HARNESS_OK(harness_parse(set, "fake-nodes=3"));
    HARNESS_OK(hearth_options_parse(set, text));
    HARNESS_STATUS_NAMES(hearth_heap_create(&heap, set), HEARTH_ENODE, text);
    HARNESS_STATUS_NAMES(hearth_options_parse(set, "preferred=-2"), HEARTH_EOPTION, "preferred");
    hearth_options_destroy(set);
}
END_TEST

/* The same without `strict` goes on in the other node, and counts what spilled. */
START_TEST(full_node_spills)
{
    struct fixture f;
    hearth_attach_options options = {.struct_size = sizeof options, .node = 1};
    size_t count;

    fixture_alone();
    f.heap = fixture_heap("fake-nodes=2,window=64m,heap-limit=1g,heap-min=1g");
    HARNESS_OK(hearth_attach(f.heap, &options, &f.mutator));
    fixture_types(&f);
    HEARTH_FRAME(f.mutator, frame, 1);
    count = fill_up(&f, &frame.ref[0], HEARTH_ENOMEM);
    ck_assert_uint_ge(count * 48, 90 << 20);
    ck_assert_uint_gt(fixture_stats(f.heap).spilled_blocks, 0);
    fixture_check_list(frame.ref[0], count);
    HEARTH_FRAME_END(f.mutator, frame);
    fixture_close(&f);
}
END_TEST

static const char *const place_options[] = {"fake-nodes=2", "fake-nodes=4,mode=place",
                                            "fake-nodes=8,policy=strict", "fake-nodes=1"};

/* hearth_new_on: small, array, large and huge, wherever the mutator itself belongs. */
START_TEST(placed_on_nodes)
{
    struct fixture f = fixture_open(place_options[_i]);
    int nodes = fixture_stats(f.heap).nodes;

    HEARTH_FRAME(f.mutator, frame, 8);
    for (int round = 0; round < 3; round++) {
        for (int node = 0; node < nodes; node++) {
            frame.ref[node] = NULL;
            for (int i = 0; i < 500; i++) {
                struct fixture_node *object = hearth_new_on(f.mutator, f.node, 0, node);

                EXPECT(object != NULL && hearth_node_of(f.heap, object) == node);
                hearth_store_init(&object->left, frame.ref[node]);
                frame.ref[node] = object;
            }
            for (size_t bytes = 10; bytes < 8 << 20; bytes *= 7) {
                void *object = hearth_new_on(f.mutator, f.bytes, bytes, node);

                EXPECT(object != NULL && hearth_node_of(f.heap, object) == node);
                EXPECT(fixture_is_zero(object, bytes));
                memset(object, 1, bytes);
            }
        }
        fixture_collect(f.mutator, round);
    }
    HEARTH_FRAME_END(f.mutator, frame);
    fixture_close(&f);
}
END_TEST

/* A mutator that asks for a node gets it; its objects stay there whatever CPU it runs on. */
START_TEST(mutator_of_a_node)
{
    hearth_heap *heap = fixture_heap("fake-nodes=4");

    for (int node = 0; node < 4; node++) {
        struct fixture f = {.heap = heap};
        hearth_attach_options options = {.struct_size = sizeof options, .node = node};

        HARNESS_OK(hearth_attach(heap, &options, &f.mutator));
        fixture_types(&f);
        for (int i = 0; i < 5000; i++)
            EXPECT(hearth_node_of(heap, fixture_new(f.mutator, f.node, 0)) == node);
        EXPECT(hearth_node_of(heap, hearth_new_array(f.mutator, f.refs, 300000)) == node);
        EXPECT(hearth_node_of(heap, hearth_new_on(f.mutator, f.node, 0, 3 - node)) == 3 - node);
        HARNESS_OK(hearth_detach(f.mutator));
    }
    HARNESS_OK(hearth_heap_destroy(heap));
}
END_TEST

/* --- threads ---------------------------------------------------------------------------------------- */

enum { FIGHTERS = 6 };

struct fighter {
    struct fixture *f;
    uint64_t failures, made, count;
    size_t live; /* bytes it keeps */
    pthread_t thread;
};

/* Keeps a ring of objects, so that the sum of all threads fits the limit with little to spare. */
static void *fight(void *argument)
{
    struct fighter *fighter = argument;
    hearth_mutator *mutator = fixture_attach(fighter->f->heap);
    uint64_t state = harness_seed() + (uintptr_t)fighter;
    size_t slots = fighter->live / 2000;

    HEARTH_FRAME(mutator, frame, 1);
    frame.ref[0] = hearth_new_array(mutator, fighter->f->refs, slots);
    EXPECT(frame.ref[0] != NULL);
    for (uint64_t i = 0; i < fighter->count; i++) {
        size_t bytes = (size_t)harness_random_below(&state, 4000);
        void *object = hearth_alloc_array(mutator, fighter->f->bytes, bytes);

        if (object == NULL) {
            EXPECT(hearth_last_status() == HEARTH_ELIMIT);
            fighter->failures++;
            continue;
        }
        fighter->made++;
        EXPECT(hearth_store(mutator, frame.ref[0], (void **)frame.ref[0] + i % slots, object) ==
               HEARTH_OK);
    }
    HEARTH_FRAME_END(mutator, frame);
    EXPECT(hearth_detach(mutator) == HEARTH_OK);
    return NULL;
}

static uint64_t run_fighters(const char *options, size_t live, uint64_t count)
{
    struct fixture f = fixture_open(options);
    struct fighter fighters[FIGHTERS];
    uint64_t failures = 0;

    for (int i = 0; i < FIGHTERS; i++) {
        fighters[i] = (struct fighter){.f = &f, .live = live / FIGHTERS, .count = count};
        EXPECT(pthread_create(&fighters[i].thread, NULL, fight, &fighters[i]) == 0);
    }
    HARNESS_OK(hearth_native_begin(f.mutator));
    for (int i = 0; i < FIGHTERS; i++) {
        EXPECT(pthread_join(fighters[i].thread, NULL) == 0);
        EXPECT(fighters[i].made > 0);
        failures += fighters[i].failures;
    }
    HARNESS_OK(hearth_native_end(f.mutator));
    fixture_close(&f);
    return failures;
}

/* Room for all with a collection now and then: none may fail because others were quicker. */
START_TEST(no_thread_starves)
{
    fixture_alone();
    ck_assert_uint_eq(run_fighters("heap-limit=32m,nursery=1m", 6 << 20, harness_scaled(20000)), 0);
    ck_assert_uint_eq(
        run_fighters("heap-limit=24m,heap-min=1m,fake-nodes=2", 6 << 20, harness_scaled(20000)), 0);
}
END_TEST

/* Too little for all: some fail, none hangs, the heap is whole. */
START_TEST(too_many_threads)
{
    fixture_alone();
    ck_assert_uint_gt(run_fighters("heap-limit=4m,nursery=1m", 12 << 20, 1500), 0);
}
END_TEST

struct changer {
    struct fixture *f;
    bool stop; /* atomic */
    uint64_t lowered, refused;
    pthread_t thread;
};

static void *change_limit(void *argument)
{
    struct changer *changer = argument;
    uint64_t state = harness_seed();

    while (!__atomic_load_n(&changer->stop, __ATOMIC_RELAXED)) {
        size_t bytes = (4 << 20) + harness_random_below(&state, 28 << 20);
        hearth_status status = hearth_set_heap_limit(changer->f->heap, bytes);

        EXPECT(status == HEARTH_OK || status == HEARTH_ESIZE);
        changer->lowered += status == HEARTH_OK;
        changer->refused += status == HEARTH_ESIZE;
        fixture_sleep_ms(1);
    }
    EXPECT(hearth_set_heap_limit(changer->f->heap, 64 << 20) == HEARTH_OK);
    return NULL;
}

/* The limit moves while threads allocate: what is used never exceeds it, which the verifier checks. */
START_TEST(limit_moves)
{
    struct fixture f;
    struct changer changer = {.f = &f};

    fixture_alone();
    f = fixture_open("heap-limit=64m,nursery=1m,verify=on");
    EXPECT(pthread_create(&changer.thread, NULL, change_limit, &changer) == 0);
    HEARTH_FRAME(f.mutator, frame, 1);
    for (uint64_t i = 0; i < harness_scaled(20); i++) {
        frame.ref[0] = NULL;
        for (int n = 0; n < 1500; n++) {
            void *large = hearth_new_array(f.mutator, f.bytes, 40000);
            struct fixture_node *node = hearth_alloc(f.mutator, f.node, sizeof *node);

            if (node != NULL) {
                hearth_store_init(&node->left, frame.ref[0]);
                frame.ref[0] = node;
            }
            if (node == NULL || large == NULL)
                EXPECT(hearth_last_status() == HEARTH_ELIMIT);
        }
        HARNESS_OK(hearth_verify(f.mutator));
    }
    HEARTH_FRAME_END(f.mutator, frame);
    __atomic_store_n(&changer.stop, true, __ATOMIC_RELAXED);
    EXPECT(pthread_join(changer.thread, NULL) == 0);
    ck_assert_uint_gt(changer.lowered, 0);
    fixture_close(&f);
}
END_TEST

HARNESS_SUITE(limits)
{
    Suite *suite = suite_create("limits");
    TCase *limits = tcase_create("limits"), *nodes = tcase_create("nodes");
    TCase *threads = tcase_create("threads");
    int options = sizeof limit_options / sizeof limit_options[0];

    tcase_add_loop_test(limits, limit_is_reached, 0, options);
    tcase_add_test(limits, beyond_the_limit);
    tcase_add_loop_test(limits, garbage_never_fails, 0, options);
    tcase_add_test(limits, emergency_comes_first);
    tcase_add_test(limits, disabled_grows_to_the_limit);
    tcase_add_test(limits, limit_can_be_changed);
    suite_add_tcase(suite, limits);
    tcase_add_test(nodes, strict_node_is_full);
    tcase_add_test(nodes, full_node_spills);
    tcase_add_test(nodes, preferred_node);
    tcase_add_loop_test(nodes, placed_on_nodes, 0, sizeof place_options / sizeof place_options[0]);
    tcase_add_test(nodes, mutator_of_a_node);
    suite_add_tcase(suite, nodes);
    tcase_add_test(threads, no_thread_starves);
    tcase_add_test(threads, too_many_threads);
    tcase_add_test(threads, limit_moves);
    suite_add_tcase(suite, threads);
    return suite;
}
