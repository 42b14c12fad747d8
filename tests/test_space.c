/* tests/test_space.c - the budget, where blocks come from and in which order, finding objects by
 * address, and long random sequences of everything with the check after each step. */
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

/* The second or third pool fails: the first ones go again. */
START_TEST(later_pool_fails)
{
    for (uint64_t n = 2; n <= 3; n++) {
        struct fixture_heap *heap = fixture_plan(3);
        struct ha_windows *windows;
        struct ha_window_stats stats;

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

/* --- budget ---------------------------------------------------------------------------------------- */

START_TEST(charge)
{
    struct ha_space space = {.limit = 100, .budget = 50};

    ck_assert(ha_space_charge(&space, 50));
    ck_assert(!ha_space_charge(&space, 1));
    ck_assert_uint_eq(space.used, 50);
    ha_space_refund(&space, 10);
    ck_assert(!ha_space_charge(&space, 11));
    ck_assert(ha_space_charge(&space, 10));
    ha_space_refund(&space, 50);
    ck_assert_uint_eq(space.used, 0);
    ck_assert_uint_eq(space.peak, 50);
    ck_assert_uint_eq(ha_space_used_bytes(&space), 0);
    ck_assert(!ha_space_charge(&space, SIZE_MAX));
    ck_assert(!ha_space_charge(&space, SIZE_MAX - 10));
    ck_assert(ha_space_charge(&space, 7));
    ck_assert(!ha_space_charge(&space, SIZE_MAX));
    ck_assert(!ha_space_charge(&space, SIZE_MAX - 6));
    ck_assert_uint_eq(ha_space_used_bytes(&space), 7 * 65536);
    space.budget = 5; /* less than is used */
    ck_assert(!ha_space_charge(&space, 1));
    ck_assert(!ha_space_charge(&space, SIZE_MAX));
    ck_assert_uint_eq(space.used, 7);
    ck_assert_uint_eq(space.peak, 50);
}
END_TEST

struct charger {
    pthread_t thread;
    struct ha_space *space;
    uint64_t random;
    size_t most; /* at a time                           */
    size_t held; /* at the end                          */
    bool sure;   /* must be granted at any time         */
    bool *stop;  /* charge_too_much: until this is set  */
};

static void *charge_too_much(void *data)
{
    struct charger *c = data;

    while (!__atomic_load_n(c->stop, __ATOMIC_ACQUIRE))
        EXPECT(!ha_space_charge(c->space, c->most));
    return NULL;
}

static void *charge_some(void *data)
{
    struct charger *c = data;

    for (uint64_t i = 0; i < harness_scaled(200000); i++) {
        size_t want = 1 + harness_random_below(&c->random, c->most);

        if (c->held > 0 && harness_random_below(&c->random, 2) == 0) {
            want = 1 + harness_random_below(&c->random, c->held);
            c->held -= want;
            ha_space_refund(c->space, want);
        } else if (ha_space_charge(c->space, want)) {
            c->held += want;
            EXPECT(__atomic_load_n(&c->space->used, __ATOMIC_RELAXED) <= c->space->budget);
        } else {
            EXPECT(!c->sure);
        }
        if (c->sure) {
            ha_space_refund(c->space, c->held);
            c->held = 0;
        }
    }
    return NULL;
}

static void run_chargers(struct charger *charger, int count)
{
    for (int i = 0; i < count; i++) {
        charger[i].random = harness_seed() + (uint64_t)i;
        ck_assert_int_eq(pthread_create(&charger[i].thread, NULL, charge_some, &charger[i]), 0);
    }
    for (int i = 0; i < count; i++)
        pthread_join(charger[i].thread, NULL);
}

START_TEST(charge_threads)
{
    struct ha_space space = {.limit = 1000, .budget = 1000};
    struct charger charger[4];
    size_t held = 0;

    memset(charger, 0, sizeof charger);
    for (int i = 0; i < 4; i++)
        charger[i] = (struct charger){.space = &space, .most = 400};
    run_chargers(charger, 4);
    for (int i = 0; i < 4; i++)
        held += charger[i].held;
    ck_assert_uint_eq(space.used, held);
    ck_assert_uint_le(space.peak, 1000);
    ck_assert_uint_ge(space.peak, 400);
}
END_TEST

/* A thread that is refused takes nothing from another that is within the budget, not even for a
 * moment. */
START_TEST(refused_takes_nothing)
{
    struct ha_space space = {.limit = 100, .budget = 100};
    bool stop = false;
    struct charger sure = {.space = &space, .most = 100, .sure = true},
                   refused = {.space = &space, .most = 101, .stop = &stop};

    ck_assert_int_eq(pthread_create(&refused.thread, NULL, charge_too_much, &refused), 0);
    for (int round = 0; round < 20; round++)
        run_chargers(&sure, 1);
    __atomic_store_n(&stop, true, __ATOMIC_RELEASE);
    pthread_join(refused.thread, NULL);
    ck_assert_uint_eq(space.used, 0);
}
END_TEST

/* Lowering the budget: either who lowers it sees that more is in use, or no charge goes beyond it. */
struct lowering {
    struct ha_space space;
    uint32_t round; /* how often the two threads have come to a meeting */
};

static void meet(struct lowering *l, uint32_t until)
{
    __atomic_add_fetch(&l->round, 1, __ATOMIC_SEQ_CST);
    for (int spins = 0; __atomic_load_n(&l->round, __ATOMIC_SEQ_CST) < until; spins++)
        if (spins > 2000)
            sched_yield();
}

static void *charge_at_once(void *data)
{
    struct lowering *l = data;

    for (uint32_t i = 0; i < (uint32_t)harness_scaled(30000); i++) {
        meet(l, 4 * i + 2);
        ha_space_charge(&l->space, 2);
        meet(l, 4 * i + 4);
    }
    return NULL;
}

START_TEST(lowered_budget)
{
    struct lowering l = {.space = {.limit = 100}};
    uint64_t random = harness_seed();
    pthread_t thread;

    ck_assert_int_eq(pthread_create(&thread, NULL, charge_at_once, &l), 0);
    for (uint32_t i = 0; i < (uint32_t)harness_scaled(30000); i++) {
        l.space.used = 49;
        l.space.budget = 100;
        meet(&l, 4 * i + 2);
        for (volatile uint64_t wait = harness_random_below(&random, 30); wait > 0;)
            wait--;
        __atomic_store_n(&l.space.budget, 50, __ATOMIC_SEQ_CST);
        bool fits = __atomic_load_n(&l.space.used, __ATOMIC_SEQ_CST) <= 50;
        meet(&l, 4 * i + 4);
        EXPECT(!fits || l.space.used <= 50);
    }
    pthread_join(thread, NULL);
}
END_TEST

/* --- where blocks come from ------------------------------------------------------------------------ */

/* A partly free block of the run: the share of its cells that is free is `percent`. */
static struct ha_block *put_partial(struct ha_space *space, int node, unsigned run,
                                    unsigned percent)
{
    struct ha_pool *pool = space->pool[node];
    struct ha_block *block = ha_pool_fresh(pool, run, true);

    EXPECT(block != NULL && ha_space_charge(space, 1));
    EXPECT(pool->young == block);
    pool->young = block->young_next;
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
    ck_assert_ptr_eq(ha_space_take(space, 0, 8, HA_EFFORT_TIGHT, &why), tenth);
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
    HARNESS_OK(hearth_options_parse(&heap->options, "fake-nodes=4,window=64m,release-after=0"));
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

    while (ha_pool_fresh(space->pool[1], 30, true) != NULL) {
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

/* --- finding objects ------------------------------------------------------------------------------- */

static void expect_find(const struct ha_space *space, uintptr_t address, uintptr_t object)
{
    uintptr_t found = ha_space_find(space, address);

    if (found != object)
        ck_abort_msg("%p: found %p, expected %p", (void *)address, (void *)found, (void *)object);
}

/* Every address of a block: cells that are marked or below the frontier, header included. */
static void find_in_block(struct ha_space *space, const struct ha_block *block, size_t step)
{
    uintptr_t start = (uintptr_t)ha_block_start(block);

    for (size_t offset = 0; offset < HA_BLOCK; offset += step) {
        uintptr_t object = 0;

        if (offset >= 8) {
            unsigned i = (unsigned)((offset - 8) / block->cell);

            if (i < block->cells &&
                (*fixture_mark(block, i) != 0 ||
                 ha_block_start(block) + 8 + (size_t)i * block->cell < block->frontier))
                object = start + 16 + (size_t)i * block->cell;
        }
        expect_find(space, start + offset, object);
    }
}

START_TEST(find_small)
{
    struct fixture_heap *heap = fixture_space(2, 0, 10000);
    struct ha_space *space = &heap->space;
    struct fixture_mutator *m = fixture_mutator(space, 1);
    uint64_t random = harness_seed();
    struct ha_block *block;

    for (unsigned run = 0; run < HEARTH_RUNS; run++) {
        block = ha_block_of((uintptr_t)fixture_cell(m, run));
        unsigned more = (unsigned)harness_random_below(&random, block->cells);

        for (unsigned i = 0; i < more; i++)
            fixture_cell(m, run);
        ha_allocator_flush(&m->allocator);
        EXPECT(block->frontier != NULL);
        find_in_block(space, block, harness_scaled(100) < 100 ? 7 : 1);
        block->frontier = ha_block_start(block) + HA_BLOCK; /* as if it had been used up */
        find_in_block(space, block, 5);
        for (unsigned i = 0; i < block->cells; i++)
            if (harness_random_below(&random, 2) == 0)
                *fixture_mark(block, i) = MARK_OLD;
        find_in_block(space, block, harness_scaled(100) < 100 ? 7 : 1);
    }
    fixture_sweep(space, 0);
    fixture_check(space);
    for (struct ha_chunk *chunk = space->pool[1]->chunks; chunk != NULL; chunk = chunk->next)
        for (unsigned i = HA_HEAD_BLOCKS; i < HA_CHUNK_BLOCKS; i++) {
            block = ha_block_at(chunk, i);
            if (block->state == HA_FREE || block->state == HA_COLD)
                for (size_t offset = 0; offset < HA_BLOCK; offset += 97)
                    expect_find(space, (uintptr_t)ha_block_start(block) + offset, 0);
            else
                find_in_block(space, block, 13);
        }
}
END_TEST

/* Heads of chunks, chunks of nobody, other heaps' objects, and addresses outside. */
START_TEST(find_nothing)
{
    struct fixture_heap *heap = fixture_space(2, 0, 10000), *other = fixture_space(2, 0, 10000);
    struct ha_space *space = &heap->space;
    struct fixture_mutator *m = fixture_mutator(&other->space, 0),
                           *mine = fixture_mutator(space, 0);
    uintptr_t base = space->windows->base, cell = (uintptr_t)fixture_cell(m, 10),
              own = (uintptr_t)fixture_cell(mine, 10);
    enum ha_refusal why;
    uintptr_t large = ha_large_take(&other->space, 0, 1 << 20, HA_SCAN, &why),
              span = ha_large_take(&other->space, 0, 10 << 20, HA_SCAN, &why);

    ck_assert_ptr_eq(other->space.windows, space->windows);
    ha_allocator_flush(&m->allocator);
    ha_allocator_flush(&mine->allocator);
    expect_find(&other->space, cell + 8, cell + 8);
    expect_find(space, cell + 8, 0);
    expect_find(&other->space, large + 5, large);
    expect_find(space, large, 0);
    expect_find(&other->space, span + (9 << 20), span);
    expect_find(space, span + (9 << 20), 0);
    expect_find(space, own + 8, own + 8);
    for (uintptr_t p = ha_chunk_base(own); p < ha_chunk_base(own) + 4 * HA_BLOCK; p += 8)
        expect_find(space, p, 0);
    expect_find(space, 0, 0);
    expect_find(space, 8, 0);
    expect_find(space, UINTPTR_MAX, 0);
    expect_find(space, (uintptr_t)&heap, 0);
    expect_find(space, base - 1, 0);
    expect_find(space, base + space->windows->bytes, 0);
    expect_find(space, base + space->windows->bytes - 1, 0);
    expect_find(space, base + (space->windows->bytes >> 1), 0);
    /* a chunk that was taken and has not been laid out yet */
    char *chunk = ha_chunk_take(space->windows, 0, 1, heap);
    for (size_t offset = 0; offset < HA_CHUNK; offset += 4096 + 16)
        expect_find(space, (uintptr_t)chunk + offset, 0);
}
END_TEST

/* Large objects: the header counts as part of it, what is behind the payload does not. */
static void find_in_large(struct ha_space *space, uintptr_t object, size_t size)
{
    uintptr_t chunk = ha_chunk_base(object), end = object + size;
    uintptr_t probes[] = {object,
                          object - 8,
                          object - 1,
                          object + 1,
                          object + 15,
                          object + HA_BLOCK - 17,
                          object + HA_BLOCK - 16,
                          object + size / 2,
                          end - 1};

    for (size_t i = 0; i < sizeof probes / sizeof probes[0]; i++)
        if (probes[i] < end)
            expect_find(space, probes[i], object);
    for (uintptr_t p = object + HA_BLOCK; p < end; p += HA_BLOCK)
        expect_find(space, p, object);
    for (uintptr_t p = chunk + HA_CHUNK; p < end; p += HA_CHUNK) {
        expect_find(space, p, object); /* heads of further chunks are payload */
        expect_find(space, p - 1, object);
        expect_find(space, p + 4 * HA_BLOCK, p + 4 * HA_BLOCK < end ? object : 0);
    }
    expect_find(space, object - 9, 0);
    expect_find(space, object - 16, 0);
    expect_find(space, end, 0);
    expect_find(space, chunk, 0);
    expect_find(space, chunk + 3 * HA_BLOCK, 0);
}

START_TEST(find_large)
{
    static const size_t sizes[] = {
        HA_SMALL_MAX + 1,    HA_BLOCK - 16,   HA_BLOCK - 15,       3 * HA_BLOCK + 1000,
        HA_ADJACENT_MAX - 1, HA_ADJACENT_MAX, HA_ADJACENT_MAX + 1, HA_CHUNK,
        2 * HA_CHUNK,        (64 << 20) + 8};
    struct fixture_heap *heap = fixture_space(1, 0, 10000);
    uintptr_t object[10];
    enum ha_refusal why;

    for (int i = 0; i < 10; i++) {
        object[i] = ha_large_take(&heap->space, 0, sizes[i], HA_LEAF, &why);
        ck_assert_uint_ne(object[i], 0);
    }
    for (int i = 0; i < 10; i++)
        find_in_large(&heap->space, object[i], sizes[i]);
    fixture_sweep(&heap->space, 0);
    for (int i = 0; i < 10; i++)
        for (size_t offset = 0; offset < sizes[i]; offset += HA_BLOCK / 2 - 8)
            expect_find(&heap->space, object[i] + offset, 0);
}
END_TEST

struct seeker {
    pthread_t thread;
    struct fixture_heap *heap;
    uint64_t random;
    int node;
    bool *stop; /* NULL: allocate; else look until it is set */
};

/* Small and large objects, found by their maker as soon as they are there. */
static void *make_objects(void *data)
{
    struct seeker *s = data;
    struct ha_space *space = &s->heap->space;
    struct fixture_mutator *m = calloc(1, sizeof *m);
    enum ha_refusal why;

    m->allocator.run = m->run;
    m->allocator.space = space;
    m->allocator.node = s->node;
    for (uint64_t i = 0; i < harness_scaled(30000); i++) {
        if (harness_random_below(&s->random, 200) == 0) {
            size_t size = HA_SMALL_MAX + 1 + harness_random_below(&s->random, 5 * HA_BLOCK);
            if (harness_random_below(&s->random, 10) == 0)
                size = HA_ADJACENT_MAX + 1;
            uintptr_t object = ha_large_take(space, s->node, size, HA_LEAF, &why);
            EXPECT(object != 0 && ha_space_find(space, object + size - 1) == object);
        } else {
            unsigned run = (unsigned)harness_random_below(&s->random, HEARTH_RUNS);
            EXPECT(fixture_cell(m, run) != NULL);
        }
    }
    ha_allocator_flush(&m->allocator);
    free(m);
    return NULL;
}

/* Whatever is found contains the address. */
static void *seek_objects(void *data)
{
    struct seeker *s = data;
    const struct ha_windows *windows = s->heap->space.windows;

    while (!__atomic_load_n(s->stop, __ATOMIC_ACQUIRE)) {
        uintptr_t address = windows->base + (harness_random(&s->random) & ((64u << 20) - 1)) +
                            ((uintptr_t)harness_random_below(&s->random, 2) << windows->shift);
        uintptr_t object = ha_space_find(&s->heap->space, address);

        EXPECT(object == 0 ||
               address - (object - 8) <
                   8 + __atomic_load_n(&ha_block_of(object)->size, __ATOMIC_RELAXED) ||
               address - (object - 8) < ha_block_of(object)->cell);
    }
    return NULL;
}

/* Any thread may ask while others allocate and the keeper gives memory back. */
START_TEST(find_beside_mutators)
{
    struct fixture_heap *heap = fixture_plan(2);
    struct seeker maker[2], seeker[2];
    bool stop = false;

    heap->options.release_after = 1;
    HARNESS_OK(fixture_space_try(heap, 100000));
    for (int i = 0; i < 2; i++) {
        uint64_t random = harness_seed() + (uint64_t)i;

        maker[i] = (struct seeker){.heap = heap, .random = random, .node = i};
        seeker[i] = (struct seeker){.heap = heap, .random = random + 7, .stop = &stop};
        ck_assert_int_eq(pthread_create(&seeker[i].thread, NULL, seek_objects, &seeker[i]), 0);
    }
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 2; i++)
            ck_assert_int_eq(pthread_create(&maker[i].thread, NULL, make_objects, &maker[i]), 0);
        for (int i = 0; i < 2; i++)
            pthread_join(maker[i].thread, NULL);
    }
    __atomic_store_n(&stop, true, __ATOMIC_RELEASE);
    for (int i = 0; i < 2; i++)
        pthread_join(seeker[i].thread, NULL);
    fixture_check(&heap->space);
    fixture_sweep(&heap->space, ha_space_clock());
    fixture_check(&heap->space);
    ck_assert_uint_eq(heap->space.used, 0);
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

/* --- random sequences ------------------------------------------------------------------------------ */

enum { OBJECTS = 3000, MUTATORS = 3 };

/* What the test knows about an object. */
struct known {
    uintptr_t object;
    size_t size;   /* payload                   */
    uint64_t seed; /* of what it holds          */
    bool old;      /* has survived a sweep      */
};

struct world {
    struct fixture_heap *heap;
    struct ha_space *space;
    struct fixture_mutator *mutator[MUTATORS];
    struct known known[OBJECTS];
    uint64_t random;
    uint32_t now;
};

/* Words at both ends and at some places between them. */
static void each_word(const struct known *k, bool write)
{
    uint64_t seed = k->seed;
    size_t words = k->size / 8, step = words / 64 + 1;

    for (size_t i = 0; i < words; i += i + step < words || i + 1 == words ? step : words - 1 - i) {
        uint64_t *word = (uint64_t *)k->object + i, value = harness_random(&seed);

        if (write)
            *word = value;
        else
            EXPECT(*word == value);
    }
}

static void check_zero_payload(uintptr_t object, size_t size)
{
    const char *at = (const char *)object;

    EXPECT(*hearth_header_of((void *)object) == 0);
    EXPECT(at[0] == 0 && (size == 1 || memcmp(at, at + 1, size - 1) == 0));
}

static size_t random_size(struct world *w)
{
    switch (harness_random_below(&w->random, 40)) {
    case 0:
        return HA_SMALL_MAX + 1 + harness_random_below(&w->random, 200000);
    case 1:
        return 1 + harness_random_below(&w->random, HA_SMALL_MAX);
    case 2:
        return 1 + harness_random_below(&w->random, 2000);
    default:
        return 1 + harness_random_below(&w->random, 200);
    }
}

static void allocate(struct world *w, struct known *k)
{
    size_t size = harness_random_below(&w->random, 2000) == 0
                      ? HA_ADJACENT_MAX - 1000 + harness_random_below(&w->random, 2000)
                      : random_size(w);
    unsigned kind = (unsigned)harness_random_below(&w->random, 2);
    int node = (int)harness_random_below(&w->random, (uint64_t)w->space->nodes);
    enum ha_refusal why = HA_GRANTED;

    if (size > HA_SMALL_MAX) {
        k->object = ha_large_take(w->space, node, size, kind, &why);
        if (k->object == 0)
            return;
    } else {
        struct fixture_mutator *m = w->mutator[harness_random_below(&w->random, MUTATORS)];
        char *cell = fixture_cell(m, ha_class_of(size) * 2 + kind);

        if (cell == NULL)
            return;
        k->object = (uintptr_t)cell + HEARTH_HEADER;
        size = ha_class_cell(ha_class_of(size)) - HEARTH_HEADER;
    }
    check_zero_payload(k->object, size);
    *hearth_header_of((void *)k->object) = ~(uint64_t)0;
    k->size = size;
    k->seed = harness_random(&w->random);
    k->old = false;
    each_word(k, true);
}

/* Mark those that live, sweep, and look at each. Young ones of which the first age goes by stay. */
static void collect(struct world *w, unsigned percent)
{
    for (int i = 0; i < MUTATORS; i++)
        ha_allocator_flush(&w->mutator[i]->allocator);
    fixture_check(w->space);
    for (struct known *k = w->known; k < w->known + OBJECTS; k++) {
        if (k->object == 0)
            continue;
        uint8_t *mark = ha_meta_of(k->object);

        EXPECT(ha_space_find(w->space, k->object + k->size - 1) == k->object);
        EXPECT(*mark == (k->old ? MARK_OLD : 0));
        each_word(k, false);
        if (harness_random_below(&w->random, 100) < percent) {
            *mark = MARK_OLD;
            k->old = true;
        } else {
            if (k->old)
                *mark = MARK_OLD_BEFORE;
            k->object = 0;
        }
    }
    fixture_sweep(w->space, w->now);
    for (struct known *k = w->known; k < w->known + OBJECTS; k++)
        if (k->object != 0) {
            EXPECT(ha_space_find(w->space, k->object) == k->object);
            each_word(k, false);
        }
}

static void step(struct world *w)
{
    uint64_t what = harness_random_below(&w->random, 100);
    uint32_t keep = 1 + (uint32_t)harness_random_below(&w->random, 50);

    if (what < 60) {
        for (int i = 0; i < 400; i++) {
            struct known *k = &w->known[harness_random_below(&w->random, OBJECTS)];

            if (k->object == 0)
                allocate(w, k);
        }
    } else if (what < 85) {
        collect(w, (unsigned)harness_random_below(&w->random, 101));
    } else if (what < 95) {
        w->now += (uint32_t)harness_random_below(&w->random, 40);
        if (what < 87)
            ht_fault_arm(HT_FAULT_ADVISE, 1 + harness_random_below(&w->random, 20), what == 85);
        for (int n = 0; n < w->space->nodes; n++)
            ha_pool_age(w->space->pool[n], w->now, keep);
        ht_fault_arm(HT_FAULT_ADVISE, 0, false);
    } else {
        collect(w, 50);
        w->space->budget = 100 + harness_random_below(&w->random, 2000);
        if (w->space->budget < w->space->used)
            w->space->budget = w->space->used;
    }
    fixture_check(w->space);
    for (int i = 0; i < MUTATORS; i++)
        HARNESS_OK(ha_allocator_check(&w->mutator[i]->allocator));
}

static void play(int nodes, size_t window, bool poison, bool strict)
{
    static struct world w;
    struct ha_window_stats stats;
    struct ha_windows *windows;

    memset(&w, 0, sizeof w);
    w.random = harness_seed();
    w.now = (uint32_t)-100; /* the clock turns over on the way */
    w.heap = fixture_plan(nodes);
    w.heap->options.window = window;
    w.heap->options.poison = poison;
    w.heap->options.policy = strict ? HT_POLICY_STRICT : HT_POLICY_LOCAL;
    HARNESS_OK(fixture_space_try(w.heap, 3000));
    w.space = &w.heap->space;
    for (int i = 0; i < MUTATORS; i++)
        w.mutator[i] = fixture_mutator(w.space, i % nodes);
    for (uint64_t i = 0; i < harness_scaled(250); i++)
        step(&w);
    collect(&w, 0);
    ck_assert_uint_eq(w.space->used, 0);
    for (int n = 0; n < nodes; n++)
        ha_pool_age(w.space->pool[n], w.now + 1000, 1);
    fixture_check(w.space);
    windows = w.space->windows;
    for (int n = 0; n < nodes; n++) {
        ck_assert_uint_eq(w.space->pool[n]->chunk_count, 0);
        ha_window_stats(windows, n, &stats);
        ck_assert_uint_eq(stats.chunks, stats.free_chunks);
        ck_assert_uint_eq(stats.spans, 0);
    }
    fixture_space_close(w.heap);
}

START_TEST(random_one_node)
{
    play(1, 0, false, false);
}
END_TEST

START_TEST(random_poison)
{
    play(2, 0, true, false);
}
END_TEST

START_TEST(random_small_windows)
{
    play(3, (size_t)64 * MIB, false, false);
}
END_TEST

START_TEST(random_strict)
{
    play(2, (size_t)64 * MIB, true, true);
}
END_TEST

HARNESS_SUITE(space)
{
    Suite *suite = suite_create("space");
    TCase *create = tcase_create("create"), *budget = tcase_create("budget"),
          *take = tcase_create("take"), *find = tcase_create("find"),
          *checks = tcase_create("check"), *sequences = tcase_create("random");

    tcase_add_test(create, options);
    tcase_add_test(create, creation_fails);
    tcase_add_test(create, later_pool_fails);
    suite_add_tcase(suite, create);
    tcase_add_test(budget, charge);
    tcase_add_test(budget, charge_threads);
    tcase_add_test(budget, refused_takes_nothing);
    tcase_add_test(budget, lowered_budget);
    suite_add_tcase(suite, budget);
    tcase_add_test(take, preference);
    tcase_add_test(take, no_memory);
    tcase_add_test(take, spill_by_distance);
    tcase_add_test(take, spill_on_fake_nodes);
    tcase_add_test(take, near_before_far);
    tcase_add_test(take, full_nodes_are_remembered);
    tcase_add_test(take, strict_stays);
    tcase_add_test(take, usable_again);
    suite_add_tcase(suite, take);
    tcase_add_test(find, find_small);
    tcase_add_test(find, find_nothing);
    tcase_add_test(find, find_large);
    tcase_add_test(find, find_beside_mutators);
    suite_add_tcase(suite, find);
    tcase_add_test(checks, hold);
    tcase_add_test(checks, check);
    suite_add_tcase(suite, checks);
    tcase_add_test(sequences, random_one_node);
    tcase_add_test(sequences, random_poison);
    tcase_add_test(sequences, random_small_windows);
    tcase_add_test(sequences, random_strict);
    suite_add_tcase(suite, sequences);
    return suite;
}
