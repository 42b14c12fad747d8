/* tests/test_reclaim.c - sweeping: what is freed, what is counted, in parallel, and while others look. */
#define _GNU_SOURCE
#include <pthread.h>

#include "tests/trace_fixture.h"

static hearth_node_stats node_stats(const struct fixture *f, int node)
{
    hearth_node_stats stats = {.struct_size = sizeof(stats)};

    HARNESS_OK(hearth_get_node_stats(f->heap, node, &stats));
    return stats;
}

/* --- what is freed ------------------------------------------------------------------------------- */

START_TEST(a_minor_collection_frees_young_objects_only)
{
    struct fixture f;

    fixture_open(&f, "verify=on,poison=on");
    HEARTH_FRAME(f.m, frame, 3);
    void *old = fixture_push(&f, &frame.ref[0], 1);
    fixture_collect(&f, 1);
    void *gen1 = fixture_push(&f, &frame.ref[1], 2);
    fixture_collect(&f, 0);
    void *young = fixture_push(&f, &frame.ref[2], 3);
    frame.ref[0] = frame.ref[1] = frame.ref[2] = NULL;
    HARNESS_OK(hearth_gc_collect(f.m, 0));
    ck_assert(hearth_is_object(f.heap, old));
    ck_assert(!hearth_is_object(f.heap, gen1) && !hearth_is_object(f.heap, young));
    ck_assert_uint_eq(fixture_stats(&f).live_objects, 1);
    HARNESS_OK(hearth_gc_collect(f.m, 2));
    ck_assert(!hearth_is_object(f.heap, old));
    ck_assert_uint_eq(fixture_stats(&f).live_objects, 0);
    ck_assert_uint_eq(fixture_stats(&f).live_bytes, 0);
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
}
END_TEST

START_TEST(large_objects_are_freed_at_once)
{
    static const size_t counts[] = {5000, 100000, 491000, 600000, 3000000};
    struct fixture f;

    fixture_open(&f, "verify=on,poison=on,nursery=256m");
    HEARTH_FRAME(f.m, frame, 5);
    uint64_t bytes = 0;
    for (int i = 0; i < 5; i++) {
        frame.ref[i] = fixture_refs(&f, counts[i]);
        bytes += counts[i] * sizeof(void *);
    }
    ck_assert_uint_eq(node_stats(&f, 0).large_bytes, bytes);
    HARNESS_OK(hearth_gc_collect(f.m, 0));
    ck_assert_uint_eq(node_stats(&f, 0).large_bytes, bytes);
    ck_assert_uint_eq(fixture_stats(&f).live_bytes, bytes);
    for (int i = 0; i < 5; i++) {
        void *object = frame.ref[i];
        frame.ref[i] = NULL;
        HARNESS_OK(hearth_gc_collect(f.m, 2));
        bytes -= counts[i] * sizeof(void *);
        ck_assert(!hearth_is_object(f.heap, object));
        ck_assert_uint_eq(node_stats(&f, 0).large_bytes, bytes);
        ck_assert_uint_eq(fixture_stats(&f).live_bytes, bytes);
    }
    ck_assert_uint_eq(fixture_stats(&f).heap_bytes, 0);
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
}
END_TEST

/* Blocks without a live object are free again for any size class; the others keep theirs. */
START_TEST(empty_blocks_are_given_back)
{
    enum { ITEMS = 20000 };
    struct fixture f;

    fixture_open(&f, "verify=on,nursery=64m");
    HEARTH_FRAME(f.m, frame, 1);
    for (uint64_t i = 0; i < ITEMS; i++)
        fixture_push(&f, &frame.ref[0], i);
    HARNESS_OK(hearth_gc_collect(f.m, _i));
    hearth_stats full = fixture_stats(&f);
    ck_assert_uint_eq(full.live_objects, ITEMS);
    ck_assert_uint_eq(full.live_bytes, ITEMS * 32);
    ck_assert_uint_ge(full.heap_bytes, ITEMS * 32);
    struct item *last = frame.ref[0]; /* keep one: its block stays */
    for (int i = 0; i < 5000; i++)
        last = last->next;
    frame.ref[0] = last;
    last->next = NULL; /* young or dead: no barrier is needed to forget */
    HARNESS_OK(hearth_gc_collect(f.m, 2));
    hearth_stats one = fixture_stats(&f);
    ck_assert_uint_eq(one.live_objects, 1);
    ck_assert_uint_eq(one.heap_bytes, 65536);
    ck_assert_uint_ge(node_stats(&f, 0).free_blocks, full.heap_bytes / 65536 - 1);
    frame.ref[0] = NULL;
    HARNESS_OK(hearth_gc_collect(f.m, 2));
    ck_assert_uint_eq(fixture_stats(&f).heap_bytes, 0);
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
}
END_TEST

/* Freed cells are allocated again before new blocks are, and are zero whatever was in them. */
START_TEST(holes_are_used_again)
{
    enum { ITEMS = 20000 };
    struct fixture f;

    fixture_open(&f, _i ? "poison=on,nursery=64m" : "nursery=64m");
    HEARTH_FRAME(f.m, frame, 1);
    void **array = frame.ref[0] = fixture_refs(&f, ITEMS);
    for (int i = 0; i < ITEMS; i++) {
        struct item *item = hearth_new(f.m, f.item);
        item->number = UINT64_MAX;
        HARNESS_OK(hearth_store(f.m, array, &array[i], item));
    }
    for (int i = 0; i < ITEMS; i++)
        if (i % 4 != 0)
            HARNESS_OK(hearth_store(f.m, array, &array[i], NULL));
    HARNESS_OK(hearth_gc_collect(f.m, 2));
    HARNESS_OK(hearth_gc_collect(f.m, 2));
    uint64_t before = fixture_stats(&f).heap_bytes;
    for (int i = 0; i < ITEMS; i++)
        if (i % 4 != 0) {
            struct item *item = hearth_new(f.m, f.item);
            EXPECT(item->next == NULL && item->other == NULL && item->number == 0);
            HARNESS_OK(hearth_store(f.m, array, &array[i], item));
        }
    ck_assert_uint_le(fixture_stats(&f).heap_bytes, before + 65536);
    HARNESS_OK(hearth_gc_collect(f.m, 0));
    ck_assert_uint_eq(fixture_stats(&f).live_objects, ITEMS + 1);
    HARNESS_OK(hearth_verify(f.m));
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
}
END_TEST

/* --- in parallel --------------------------------------------------------------------------------- */

/* More than 1,024 blocks on all nodes: helpers sweep chunks, too. */
START_TEST(many_blocks_are_swept_by_all_workers)
{
    enum { OBJECTS = 2600 };
    struct fixture f;

    fixture_open(&f, _i ? "workers=4,fake-nodes=4,nursery=256m" : "workers=3,nursery=256m");
    int nodes = f.heap->topology->nodes;
    HEARTH_FRAME(f.m, frame, 1);
    void **array = frame.ref[0] = fixture_refs(&f, OBJECTS);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < OBJECTS; i++)
            if (array[i] == NULL)
                HARNESS_OK(hearth_store(f.m, array, &array[i],
                                        hearth_new_on(f.m, f.bytes, 32000, i % nodes)));
        HARNESS_OK(hearth_gc_collect(f.m, 2));
        ck_assert_uint_gt(fixture_stats(&f).heap_bytes, 1024 << 16);
        ck_assert_uint_eq(fixture_stats(&f).live_objects, OBJECTS + 1);
        HARNESS_OK(hearth_verify(f.m));
        size_t left = OBJECTS;
        for (int i = 0; i < OBJECTS; i++)
            if (i % (round + 2) == 0) {
                HARNESS_OK(hearth_store(f.m, array, &array[i], NULL));
                left--;
            }
        HARNESS_OK(hearth_gc_collect(f.m, 2));
        ck_assert_uint_eq(fixture_stats(&f).live_objects, left + 1);
        ck_assert_uint_eq(fixture_stats(&f).live_bytes,
                          left * 32752 + ha_class_cell(ha_class_of(8 * OBJECTS)));
        HARNESS_OK(hearth_verify(f.m));
    }
    ck_assert_int_ge(f.heap->crew->started, 1);
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
}
END_TEST

static void count_worker(void *data, hearth_heap *heap, int worker, int node)
{
    (void)heap;
    (void)node;
    if (worker != 0)
        __atomic_add_fetch((int *)data, 1, __ATOMIC_RELAXED);
}

/* A minor collection has next to nothing to trace here; who comes, comes to sweep the other node's young blocks. */
START_TEST(young_blocks_are_swept_by_their_nodes_workers)
{
    enum { ROUNDS = 200, KEPT = 8, OBJECTS = 2 * 2 * 160 };
    struct fixture f;
    int helped = 0;
    hearth_observer observer = {
        .struct_size = sizeof(observer), .data = &helped, .worker_begin = count_worker};

    fixture_open(&f, "fake-nodes=2,workers=4,nursery=256m");
    HARNESS_OK(hearth_observe(f.heap, &observer));
    HEARTH_FRAME(f.m, frame, 1);
    void **array = frame.ref[0] = fixture_refs(&f, KEPT);
    int round = 0;
    for (; round < ROUNDS && __atomic_load_n(&helped, __ATOMIC_RELAXED) == 0; round++) {
        for (int i = 0; i < OBJECTS; i++) {
            void *object = hearth_new_on(f.m, f.bytes, 32000, i % 2);
            ck_assert_ptr_nonnull(object);
            if (i < KEPT)
                HARNESS_OK(hearth_store(f.m, array, &array[i], object));
        }
        HARNESS_OK(hearth_gc_collect(f.m, 0));
        ck_assert_uint_le(fixture_stats(&f).live_objects, (uint64_t)KEPT * (round + 1) + 1);
        HARNESS_OK(hearth_verify(f.m));
    }
    printf("a helper came in round %d\n", round);
    ck_assert_int_gt(helped, 0);
    HARNESS_OK(hearth_gc_collect(f.m, 2));
    ck_assert_uint_eq(fixture_stats(&f).live_objects, KEPT + 1);
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
}
END_TEST

/* Statistics are read by threads that are not attached, or stand in native sections, at any time. */
struct reader {
    struct fixture *f;
    bool stop; /* atomic */
    uint64_t reads;
};

static void *read_statistics(void *argument)
{
    struct reader *reader = argument;
    struct fixture *f = reader->f;

    while (!__atomic_load_n(&reader->stop, __ATOMIC_RELAXED)) {
        hearth_stats all = fixture_stats(f);
        EXPECT(all.heap_bytes <= all.limit_bytes);
        for (int n = 0; n < all.nodes; n++)
            EXPECT(node_stats(f, n).live_objects < 1u << 30);
        hearth_collection last = {.struct_size = sizeof(last)};
        if (hearth_last_collection(f->heap, &last) == HEARTH_OK)
            EXPECT(last.number > 0);
        reader->reads++;
    }
    return NULL;
}

START_TEST(statistics_may_be_read_while_sweeping)
{
    struct fixture f;
    pthread_t thread;

    fixture_open(&f, "fake-nodes=2,workers=2,help-after=0,nursery=64k");
    struct reader reader = {.f = &f};
    ck_assert_int_eq(pthread_create(&thread, NULL, read_statistics, &reader), 0);
    HEARTH_FRAME(f.m, frame, 3);
    for (uint64_t i = 0; i < harness_scaled(100000); i++) {
        fixture_push(&f, &frame.ref[i % 2], i);
        if (i % 1000 == 0)
            frame.ref[i % 3] = NULL;
        if (i % 5000 == 0) {
            frame.ref[2] = fixture_refs(&f, 100000);
            HARNESS_OK(hearth_gc_collect(f.m, (int)(i / 5000 % 3)));
        }
    }
    __atomic_store_n(&reader.stop, true, __ATOMIC_RELAXED);
    pthread_join(thread, NULL);
    ck_assert_uint_gt(reader.reads, 0);
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
}
END_TEST

/* --- accounts ------------------------------------------------------------------------------------ */

/* Allocated, freed and live bytes agree, collection after collection. */
START_TEST(freed_bytes_are_what_was_allocated_and_does_not_live)
{
    uint64_t random = harness_seed(), live = 0;
    struct fixture f;

    fixture_open(&f, "nursery=256m,fake-nodes=2");
    HARNESS_OK(hearth_gc_disable(f.heap));
    HEARTH_FRAME(f.m, frame, 40);
    for (int round = 0; round < 60; round++) {
        uint64_t allocated = 0;
        for (int i = 0; i < 40; i++) {
            size_t size =
                harness_random_below(&random, harness_random_below(&random, 5) ? 400 : 60000);
            frame.ref[i] =
                harness_random_below(&random, 2) ? hearth_new_array(f.m, f.bytes, size) : NULL;
            size_t payload = size == 0 ? 1 : size;
            if (frame.ref[i] != NULL)
                allocated += payload > HA_SMALL_MAX ? payload : ha_class_cell(ha_class_of(payload));
        }
        hearth_collection c = fixture_collect(&f, 2);
        ck_assert_uint_eq(c.freed_bytes + c.live_bytes, live + allocated);
        ck_assert_uint_eq(c.live_bytes, fixture_stats(&f).live_bytes);
        ck_assert_uint_eq(c.heap_bytes, fixture_stats(&f).heap_bytes);
        live = c.live_bytes;
    }
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
}
END_TEST

HARNESS_SUITE(reclaim)
{
    Suite *suite = suite_create("reclaim");
    TCase *tcase = tcase_create("reclaim");

    tcase_add_test(tcase, a_minor_collection_frees_young_objects_only);
    tcase_add_test(tcase, large_objects_are_freed_at_once);
    tcase_add_loop_test(tcase, empty_blocks_are_given_back, 0, 3);
    tcase_add_loop_test(tcase, holes_are_used_again, 0, 2);
    tcase_add_loop_test(tcase, many_blocks_are_swept_by_all_workers, 0, 2);
    tcase_add_test(tcase, young_blocks_are_swept_by_their_nodes_workers);
    tcase_add_test(tcase, statistics_may_be_read_while_sweeping);
    tcase_add_test(tcase, freed_bytes_are_what_was_allocated_and_does_not_live);
    suite_add_tcase(suite, tcase);
    return suite;
}
