/* tests/test_space.c - creation, where blocks come from and in which order, the check.
 * The budget is tested in test_budget.c, finding objects in test_space_find.c, sequences of everything in
 * test_space_random.c. */
#define _GNU_SOURCE 1

#include <pthread.h>

#include "tests/space_fixture.h"

/* --- creation -------------------------------------------------------------------------------------- */

START_TEST(options)
{
    struct fixture_heap *heap = fixture_plan(2);

    heap->options.policy = HT_POLICY_STRICT;
    heap->options.poison = true;
    heap->options.release_after = 12345;
    HARNESS_OK(fixture_space_try(heap, 1));
    ck_assert(heap->space.strict && heap->space.poison);
    ck_assert_uint_eq(heap->space.keep_ms, 12345);
    ck_assert_int_eq(heap->space.nodes, 2);
    ck_assert_ptr_eq(heap->space.owner, heap);
    ck_assert_uint_eq(heap->space.used | heap->space.peak | heap->space.spilled, 0);
    for (int n = 0; n < 2; n++)
        ck_assert_int_eq(heap->space.pool[n]->node, n);
    fixture_check(&heap->space);
    fixture_space_close(heap);
    heap = fixture_space(1, 0, 1);
    ck_assert(!heap->space.strict && !heap->space.poison && heap->space.keep_ms == 0);
    fixture_space_close(heap);
}
END_TEST

/* Whatever fails, nothing is left over, and the next attempt succeeds. */
START_TEST(creation_fails)
{
    static const struct {
        enum ht_fault fault;
        bool windows_first; /* they exist: only the pools can fail */
    } kinds[] = {{HT_FAULT_MAP, false},
                 {HT_FAULT_RESERVE, false},
                 {HT_FAULT_RESERVE, true},
                 {HT_FAULT_ALLOC, false},
                 {HT_FAULT_ALLOC, true}}; /* the watch */

    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        struct fixture_heap *heap = fixture_plan(3);
        struct ha_windows *windows;
        struct ha_window_stats stats;

        heap->options.window = (size_t)(64 << i) * MIB;
        heap->options.release_after = 1000;
        if (kinds[i].windows_first)
            HARNESS_OK(ha_windows_get(&windows, heap->topology, &heap->options));
        ht_fault_arm(kinds[i].fault, 1, true);
        ck_assert_int_eq(fixture_space_try(heap, 1), HEARTH_ENOMEM);
        ck_assert_int_eq(heap->space.nodes, 0);
        ht_fault_arm(kinds[i].fault, 0, false);
        HARNESS_OK(ha_windows_get(&windows, heap->topology, &heap->options));
        for (int n = 0; n < 3; n++) {
            ha_window_stats(windows, n, &stats);
            ck_assert_uint_eq(stats.meta, 0);
        }
        HARNESS_OK(fixture_space_try(heap, 1));
        fixture_check(&heap->space);
        fixture_space_close(heap);
    }
}
END_TEST

/* The second or third pool fails, as it may lie nowhere else: the first ones go again. */
START_TEST(later_pool_fails)
{
    for (uint64_t n = 2; n <= 3; n++) {
        struct fixture_heap *heap = fixture_plan(3);
        struct ha_windows *windows;
        struct ha_window_stats stats;

        heap->options.policy = HT_POLICY_STRICT;
        heap->options.window = (size_t)(64 << n) * MIB;
        HARNESS_OK(ha_windows_get(&windows, heap->topology, &heap->options));
        for (int i = 0; i < (int)n - 1; i++)
            ha_chunk_prepare(windows, i, 1);
        ht_fault_arm(HT_FAULT_RESERVE, 1, true);
        HARNESS_STATUS_NAMES(fixture_space_try(heap, 1), HEARTH_ENOMEM, n == 2 ? "1" : "2");
        ht_fault_arm(HT_FAULT_RESERVE, 0, false);
        for (int i = 0; i < 3; i++) {
            ha_window_stats(windows, i, &stats);
            ck_assert_uint_eq(stats.meta, 0);
        }
        HARNESS_OK(fixture_space_try(heap, 1));
        fixture_space_close(heap);
    }
}
END_TEST

/* --- where blocks come from ------------------------------------------------------------------------ */

/* A partly free block of the run: the share of its cells that is free is `percent`. */
static struct ha_block *put_partial(struct ha_space *space, int node, unsigned run,
                                    unsigned percent)
{
    struct ha_pool *pool = space->pool[node];
    struct ha_block *block = ha_pool_fresh(pool, run, HA_GROW_ROOM);

    EXPECT(block != NULL && ha_space_charge(space, 1));
    EXPECT(pool->young == block);
    pool->young = block->young_next;
    pool->young_blocks--;
    block->young = 0;
    block->live = (uint16_t)(block->cells - block->cells * percent / 100);
    for (unsigned i = 0; i < block->live; i++)
        *fixture_mark(block, i) = MARK_OLD;
    pool->live_objects += block->live;
    pool->live_bytes += (uint64_t)block->live * block->cell;
    ha_pool_sort(pool, block);
    return block;
}

START_TEST(preference)
{
    struct fixture_heap *heap = fixture_space(2, 0, 100);
    struct ha_space *space = &heap->space;
    struct ha_block *tenth = put_partial(space, 0, 8, 12), *quarter = put_partial(space, 0, 8, 30),
                    *half = put_partial(space, 0, 8, 60), *far = put_partial(space, 1, 8, 12);
    enum ha_refusal why = HA_NO_MEMORY;
    struct ha_block *block;

    fixture_check(space);
    ck_assert_uint_eq(ha_space_partial_bytes(space),
                      (quarter->cells - quarter->live) * quarter->cell +
                          (half->cells - half->live) * half->cell);
    ck_assert_ptr_eq(ha_space_take(space, 0, 8, HA_EFFORT_NORMAL, &why), half);
    ck_assert_int_eq(why, HA_GRANTED);
    block = ha_space_take(space, 0, 8, HA_EFFORT_TIGHT, &why);
    ck_assert_ptr_nonnull(block);
    ck_assert(block != quarter && block != tenth && block != far); /* a free one */
    ck_assert_uint_eq(space->used, 5);
    space->budget = 5;
    ck_assert_ptr_eq(ha_space_take(space, 0, 8, HA_EFFORT_NORMAL, &why), quarter);
    ck_assert_int_eq(why, HA_GRANTED);
    ck_assert_ptr_null(ha_space_take(space, 0, 8, HA_EFFORT_NORMAL, &why));
    ck_assert_int_eq(why, HA_OVER_BUDGET);
    ck_assert_uint_eq(space->spilled, 0);
    ck_assert_ptr_eq(ha_space_take(space, 0, 8, HA_EFFORT_NEAR, &why), tenth);
    ck_assert_ptr_null(ha_space_take(space, 0, 8, HA_EFFORT_NEAR, &why));
    ck_assert_int_eq(why, HA_OVER_BUDGET);
    ck_assert_uint_eq(space->spilled, 0);
    ck_assert_ptr_eq(ha_space_take(space, 0, 8, HA_EFFORT_TIGHT, &why), far);
    ck_assert_uint_eq(space->spilled, 1);
    ck_assert_uint_eq(space->pool[1]->spilled_in, 1);
    ck_assert_ptr_null(ha_space_take(space, 0, 8, HA_EFFORT_TIGHT, &why));
    ck_assert_int_eq(why, HA_OVER_BUDGET);
    ck_assert_uint_eq(space->used, 5);
    ck_assert_uint_eq(space->peak, 5);
    fixture_check(space);
}
END_TEST

/* When nothing else is left: the nearest size above, of the same kind, the own node's first. */
START_TEST(larger_cells_are_last)
{
    struct fixture_heap *heap = fixture_space(2, 0, 5);
    struct ha_space *space = &heap->space;
    struct ha_block *far = put_partial(space, 1, 10, 60), *larger = put_partial(space, 0, 20, 60),
                    *near = put_partial(space, 0, 16, 12);
    enum ha_refusal why;

    put_partial(space, 0, 6, 90);  /* smaller */
    put_partial(space, 0, 11, 90); /* of the other kind */
    ck_assert_uint_eq(space->used, space->budget);
    ck_assert_ptr_null(ha_space_take(space, 0, 8, HA_EFFORT_NORMAL, &why));
    ck_assert_ptr_null(ha_space_take(space, 0, 8, HA_EFFORT_NEAR, &why));
    ck_assert_ptr_eq(ha_space_take(space, 0, 8, HA_EFFORT_TIGHT, &why), near);
    ck_assert_ptr_eq(ha_space_take(space, 0, 8, HA_EFFORT_TIGHT, &why), larger);
    ck_assert_uint_eq(space->spilled, 0);
    ck_assert_ptr_eq(ha_space_take(space, 0, 8, HA_EFFORT_TIGHT, &why), far);
    ck_assert_uint_eq(space->spilled, 1);
    ck_assert_uint_eq(space->pool[1]->spilled_in, 1);
    ck_assert_ptr_null(ha_space_take(space, 0, 8, HA_EFFORT_TIGHT, &why));
    ck_assert_int_eq(why, HA_OVER_BUDGET);
    fixture_check(space);
}
END_TEST

/* Nothing is charged for a block that cannot be had. */
START_TEST(no_memory)
{
    struct fixture_heap *heap = fixture_space(1, 0, 100);
    enum ha_refusal why = HA_GRANTED;

    ht_fault_arm(HT_FAULT_RESERVE, 1, true);
    ck_assert_ptr_nonnull(ha_space_take(&heap->space, 0, 0, HA_EFFORT_NORMAL, &why));
    for (int i = 1; heap->space.pool[0]->cold.count > 0; i++)
        ck_assert_ptr_nonnull(ha_space_take(&heap->space, 0, 0, HA_EFFORT_NORMAL, &why));
    while (ha_chunk_take(heap->space.windows, 0, 1, &why) != NULL) /* somebody else's */
        ;
    for (int i = 0; i < 2; i++) {
        ck_assert_ptr_null(ha_space_take(&heap->space, 0, 0, HA_EFFORT_TIGHT, &why));
        ck_assert_int_eq(why, HA_NO_MEMORY);
        ck_assert_uint_eq(heap->space.used, CHUNK_ALL);
    }
    fixture_check(&heap->space);
    ht_fault_arm(HT_FAULT_RESERVE, 0, false);
    ck_assert_ptr_nonnull(ha_space_take(&heap->space, 0, 0, HA_EFFORT_NORMAL, &why));
}
END_TEST

/* Take blocks for `node` until there are none: those of a node are used up before the next one's, in
 * the order of the topology. Returns how many nodes served. */
static int drain(struct fixture_heap *heap, int node, size_t *total)
{
    struct ha_space *space = &heap->space;
    const uint8_t *order = heap->topology->node[node].order;
    int served = 0;
    size_t from[HT_MAX_NODES] = {0};
    enum ha_refusal why;

    for (;;) {
        struct ha_block *block = ha_space_take(space, node, 20, HA_EFFORT_NORMAL, &why);

        if (block == NULL)
            break;
        int home = ha_node_of(space->windows, (uintptr_t)block);
        while (served < space->nodes && order[served] != home) {
            served++;
            EXPECT(served < space->nodes);
        }
        EXPECT(ha_chunk_of(block)->pool == space->pool[home]);
        from[home]++;
        ++*total;
    }
    EXPECT(why == HA_NO_MEMORY);
    uint64_t spilled = 0;
    for (int n = 0; n < space->nodes; n++) {
        EXPECT(from[n] == space->pool[n]->used);
        EXPECT(space->pool[n]->spilled_in == (n == node ? 0 : from[n]));
        spilled += n == node ? 0 : from[n];
    }
    EXPECT(space->spilled == spilled);
    EXPECT(space->used == *total);
    return served + 1;
}

START_TEST(spill_by_distance)
{
    for (int node = 0; node < 4; node++) {
        struct fixture_heap *heap = fixture_space(4, (size_t)64 * MIB, 1000000);
        size_t total = 0;

        ck_assert_int_eq(drain(heap, node, &total), 4);
        ck_assert_uint_ge(total, 4u * 7 * CHUNK_ALL);
        fixture_check(&heap->space);
        fixture_space_close(heap);
    }
}
END_TEST

/* The same on the machine's own topology, cut into four. */
START_TEST(spill_on_fake_nodes)
{
    struct fixture_heap *heap = fixture_plan(1);
    size_t total = 0;

    free(heap->topology);
    HARNESS_OK(ht_options_defaults(&heap->options, false));
    HARNESS_OK(harness_parse(&heap->options, "fake-nodes=4,window=64m,release-after=0"));
    HARNESS_OK(ht_topology_create(&heap->topology, &heap->options));
    if (heap->topology->nodes >= 4) { /* always, but where the machine refuses fake nodes */
        HARNESS_OK(fixture_space_try(heap, 1000000));
        ck_assert_int_eq(drain(heap, 2, &total), heap->topology->nodes);
        fixture_check(&heap->space);
        ha_space_destroy(&heap->space);
    }
    ht_topology_destroy(heap->topology);
    heap->topology = NULL;
}
END_TEST

/* A node that has quarter-free blocks is not full: they come before another node's free ones. */
START_TEST(near_before_far)
{
    struct fixture_heap *heap = fixture_space(2, (size_t)64 * MIB, 1000000);
    struct ha_space *space = &heap->space;
    struct ha_block *quarter = put_partial(space, 1, 20, 30),
                    *tenth = put_partial(space, 1, 20, 12);
    struct ha_block *block = NULL;
    enum ha_refusal why;
    size_t n = 0;

    while (ha_pool_fresh(space->pool[1], 30, HA_GROW_ROOM) != NULL) {
        EXPECT(ha_space_charge(space, 1));
        n++;
    }
    ck_assert_ptr_eq(ha_space_take(space, 1, 20, HA_EFFORT_NORMAL, &why), quarter);
    ck_assert_int_eq(why, HA_GRANTED);
    ck_assert_uint_eq(space->spilled, 0);
    ck_assert_uint_eq(space->used, n + 2);
    block = ha_space_take(space, 1, 20, HA_EFFORT_TIGHT, &why);
    ck_assert_int_eq(ha_node_of(space->windows, (uintptr_t)block), 0); /* before nearly full ones */
    ck_assert_uint_eq(space->spilled, 1);
    ck_assert_uint_eq(tenth->state, HA_PARTIAL);
    fixture_check(space);
}
END_TEST

/* While a node is full the keeper is not asked for every block; but before giving up it is. */
START_TEST(full_nodes_are_remembered)
{
    struct fixture_heap *heap = fixture_space(3, (size_t)64 * MIB, 1000000);
    struct ha_space *space = &heap->space;
    enum ha_refusal why = HA_GRANTED;
    void *chunk[2];
    size_t n = 0;

    for (int i = 0; i < 2; i++) /* somebody else's */
        chunk[i] = ha_chunk_take(space->windows, i, 1, &why);
    while (space->spilled == 0)
        EXPECT(ha_space_take(space, 1, 20, HA_EFFORT_NORMAL, &why) != NULL);
    uint64_t before = ht_fault_count(HT_FAULT_RESERVE), begin = ht_os_now();
    while (ha_space_take(space, 1, 20, HA_EFFORT_NORMAL, &why) != NULL)
        n++;
    ck_assert_int_eq(why, HA_NO_MEMORY);
    ck_assert_uint_ge(n, 2u * 13 * CHUNK_ALL - 1);
    uint64_t asked = ht_fault_count(HT_FAULT_RESERVE) - before;
    uint64_t ms = (ht_os_now() - begin) / 1000000;
    ck_assert_uint_le(asked, 30 + 3 * ms);
    for (int i = 0; i < 2; i++) { /* room again: seen at once */
        ha_chunk_give(space->windows, chunk[i]);
        for (int b = 0; b < CHUNK_ALL; b++) {
            struct ha_block *block = ha_space_take(space, 1, 20, HA_EFFORT_NORMAL, &why);
            EXPECT(block != NULL && ha_node_of(space->windows, (uintptr_t)block) == i);
        }
        ck_assert_ptr_null(ha_space_take(space, 1, 20, HA_EFFORT_NORMAL, &why));
        ck_assert_int_eq(why, HA_NO_MEMORY);
    }
    fixture_check(space);
}
END_TEST

START_TEST(strict_stays)
{
    struct fixture_heap *heap = fixture_plan(2);
    struct ha_space *space = &heap->space;
    enum ha_refusal why;
    size_t n = 0;

    heap->options.window = (size_t)64 * MIB;
    heap->options.policy = HT_POLICY_STRICT;
    HARNESS_OK(fixture_space_try(heap, 1000000));
    put_partial(space, 0, 20, 50);
    while (ha_space_take(space, 1, 20, HA_EFFORT_TIGHT, &why) != NULL)
        n++;
    ck_assert_int_eq(why, HA_NO_MEMORY);
    ck_assert_uint_eq(space->pool[1]->used, n);
    ck_assert_uint_eq(space->pool[0]->used, 1);
    ck_assert_uint_eq(space->spilled, 0);
    ck_assert_uint_eq(ha_large_take(space, 1, 100000, HA_LEAF, &why), 0);
    ck_assert_int_eq(why, HA_NO_MEMORY);
    ck_assert_ptr_nonnull(ha_space_take(space, 0, 20, HA_EFFORT_NORMAL, &why));
    fixture_check(space);
}
END_TEST

/* After everything was used up and freed, everything can be had again. */
START_TEST(usable_again)
{
    struct fixture_heap *heap = fixture_space(2, (size_t)64 * MIB, 1000000);
    struct ha_space *space = &heap->space;
    struct fixture_mutator *m = fixture_mutator(space, 0);
    size_t cells[3] = {0};

    for (int round = 0; round < 3; round++) {
        char *cell;

        while ((cell = fixture_cell(m, 110)) != NULL) {
            EXPECT(cell[0] == 0 && cell[ha_class_cell(55) - 1] == 0);
            cell[0] = cell[ha_class_cell(55) - 1] = 1;
            cells[round]++;
        }
        ha_allocator_flush(&m->allocator);
        fixture_check(space);
        fixture_sweep(space, 0);
        ck_assert_uint_eq(space->used, 0);
        fixture_check(space);
    }
    ck_assert_uint_eq(cells[0], cells[1]);
    ck_assert_uint_eq(cells[0], cells[2]);
    fixture_space_close(heap);
}
END_TEST

/* --- ageing kept out, the check -------------------------------------------------------------------- */

START_TEST(hold)
{
    struct fixture_heap *heap = fixture_space(3, 0, 10);

    for (int i = 0; i < 2; i++) {
        ha_space_hold(&heap->space);
        for (int n = 0; n < 3; n++)
            ck_assert_int_eq(pthread_mutex_trylock(&heap->space.pool[n]->ageing), EBUSY);
        ha_space_release(&heap->space);
        for (int n = 0; n < 3; n++) {
            ck_assert_int_eq(pthread_mutex_trylock(&heap->space.pool[n]->ageing), 0);
            pthread_mutex_unlock(&heap->space.pool[n]->ageing);
        }
    }
}
END_TEST

START_TEST(check)
{
    struct fixture_heap *heap = fixture_space(2, 0, 10);
    struct ha_space *space = &heap->space;
    struct fixture_mutator *m = fixture_mutator(space, 1);

    for (unsigned run = 0; run < 5; run++)
        fixture_cell(m, run);
    ha_allocator_flush(&m->allocator);
    fixture_check(space);
    space->used++;
    ck_assert_int_eq(fixture_checked(space), HEARTH_ECORRUPT);
    space->used -= 2;
    ck_assert_int_eq(fixture_checked(space), HEARTH_ECORRUPT);
    space->used++;
    space->limit = 4;
    ck_assert_int_eq(fixture_checked(space), HEARTH_ECORRUPT);
    space->limit = 9; /* below the budget */
    ck_assert_int_eq(fixture_checked(space), HEARTH_ECORRUPT);
    space->limit = 10;
    space->budget = 4;
    ck_assert_int_eq(fixture_checked(space), HEARTH_ECORRUPT);
    space->budget = 10;
    space->peak = 4;
    ck_assert_int_eq(fixture_checked(space), HEARTH_ECORRUPT);
    space->peak = 5;
    space->pool[1]->used++;
    ck_assert_int_eq(fixture_checked(space), HEARTH_ECORRUPT);
    space->pool[1]->used--;
    fixture_check(space);
}
END_TEST

HARNESS_SUITE(space)
{
    Suite *suite = suite_create("space");
    TCase *create = tcase_create("create"), *take = tcase_create("take"),
          *checks = tcase_create("check");

    tcase_add_test(create, options);
    tcase_add_test(create, creation_fails);
    tcase_add_test(create, later_pool_fails);
    suite_add_tcase(suite, create);
    tcase_add_test(take, preference);
    tcase_add_test(take, larger_cells_are_last);
    tcase_add_test(take, no_memory);
    tcase_add_test(take, spill_by_distance);
    tcase_add_test(take, spill_on_fake_nodes);
    tcase_add_test(take, near_before_far);
    tcase_add_test(take, full_nodes_are_remembered);
    tcase_add_test(take, strict_stays);
    tcase_add_test(take, usable_again);
    suite_add_tcase(suite, take);
    tcase_add_test(checks, hold);
    tcase_add_test(checks, check);
    suite_add_tcase(suite, checks);
    return suite;
}
