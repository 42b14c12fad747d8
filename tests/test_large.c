/* tests/test_large.c - large objects: sizes around every boundary, zero memory, cards, charging,
 * spilling, giving back. */
#define _GNU_SOURCE 1

#include <pthread.h>

#include "tests/space_fixture.h"

/* Around every boundary: smallest, one block, several, one chunk, spans of 2, 3 and many chunks. The
 * card table of a span moves its boundaries. */
static const size_t sizes[] = {
    HA_SMALL_MAX + 1,
    40000,
    HA_BLOCK - 17,
    HA_BLOCK - 16,
    HA_BLOCK - 15,
    HA_BLOCK,
    2 * HA_BLOCK - 16,
    2 * HA_BLOCK - 15,
    1000001,
    59 * HA_BLOCK,
    HA_ADJACENT_MAX - 1,
    HA_ADJACENT_MAX,
    HA_ADJACENT_MAX + 1,
    HA_CHUNK - 16,
    HA_CHUNK,
    HA_CHUNK + 1,
    (2 * HA_CHUNK - 4 * HA_BLOCK) / 17 * 16 - 40,
    (2 * HA_CHUNK - 4 * HA_BLOCK) / 17 * 16 - 15,
    (2 * HA_CHUNK - 4 * HA_BLOCK) / 17 * 16,
    (2 * HA_CHUNK - 4 * HA_BLOCK) / 17 * 16 + 16,
    2 * HA_CHUNK,
    3 * HA_CHUNK + 12345,
    (33 << 20) + 7,
};
enum { SIZES = sizeof sizes / sizeof sizes[0] };

static uintptr_t take(struct ha_space *space, size_t size, unsigned kind)
{
    enum ha_refusal why = HA_NO_MEMORY;
    uintptr_t object = ha_large_take(space, 0, size, kind, &why);

    ck_assert_msg(object != 0, "no object of %zu bytes: %d", size, why);
    ck_assert_int_eq(why, HA_GRANTED);
    return object;
}

/* Bytes are zero; neither the start nor the end need be aligned. */
static bool is_zero(uintptr_t from, size_t bytes)
{
    const char *at = (const char *)from;

    return bytes == 0 || (at[0] == 0 && memcmp(at, at + 1, bytes - 1) == 0);
}

/* Everything a new object promises. */
static void check_new(struct ha_space *space, uintptr_t object, size_t size, unsigned kind)
{
    struct ha_block *block = ha_block_of(object);
    struct ha_chunk *chunk = ha_chunk_of(block);
    const struct ha_slot *slot =
        &space->windows->slot[((uintptr_t)chunk - space->windows->base) >> HA_CHUNK_SHIFT];
    size_t blocks = (size + 16 + 65535) / 65536;
    bool span = size > HA_ADJACENT_MAX;

    EXPECT(object == ha_large_object(block) && object == (uintptr_t)ha_block_start(block) + 16);
    EXPECT(ha_large_blocks(size) == blocks);
    EXPECT(block->state == HA_LARGE && block->size == size && block->kind == kind);
    EXPECT(block->span == span && block->live == 0 && block->scan == 0 && !block->young);
    EXPECT(block->blocks == (span ? 0 : blocks));
    EXPECT(chunk->pool == space->pool[0] && (chunk->span == 1) == !span);
    EXPECT(chunk->span == slot->span && slot->head == 0 && slot->owner == space->owner);
    EXPECT(ha_object_capacity(object) == size);
    EXPECT(*ha_meta_of(object) == 0 && *hearth_header_of((void *)object) == 0);
    EXPECT(is_zero(object - 8, size + 8));
    /* cards: a byte for each granule, zero, in nobody's way */
    size_t cards = (size + 15) / 16;
    EXPECT(is_zero((uintptr_t)block->cards, cards));
    if (span) {
        EXPECT(block->cards == (uint8_t *)object + size);
        EXPECT((uintptr_t)block->cards + cards <= (uintptr_t)chunk + chunk->span * HA_CHUNK);
    } else {
        EXPECT(block->cards == ha_meta_of(object));
        EXPECT(block->cards + cards - 1 == ha_meta_of(object + size - 1));
    }
}

/* Dirty the object, its header and its cards; they do not touch each other. */
static void dirty(uintptr_t object, size_t size)
{
    struct ha_block *block = ha_block_of(object);
    size_t cards = (size + 15) / 16;

    memset((void *)(object - 8), 0xee, size + 8);
    memset(block->cards + 1, HA_CARD, cards - 1);
    EXPECT(block->state == HA_LARGE && block->size == size);
    EXPECT(*(uint8_t *)(object + size - 1) == 0xee);
    for (size_t i = 1; i < cards; i++)
        EXPECT(block->cards[i] == HA_CARD);
    block->scan = 77;
    memset(block->cards + 1, 0, cards - 1); /* consumed, as the collector does */
}

START_TEST(every_size)
{
    struct fixture_heap *heap = fixture_space(1, 0, 100000);
    struct ha_space *space = &heap->space;
    uintptr_t object[SIZES];

    for (int round = 0; round < 3; round++) {
        size_t bytes = 0, blocks = 0;
        uint64_t before = space->pool[0]->allocated_bytes;

        for (int i = 0; i < SIZES; i++) {
            object[i] = take(space, sizes[i], (unsigned)(i + round) % 2);
            check_new(space, object[i], sizes[i], (unsigned)(i + round) % 2);
            dirty(object[i], sizes[i]);
            bytes += sizes[i];
            blocks += ha_large_blocks(sizes[i]);
            ck_assert_uint_eq(space->used, blocks);
            ck_assert_uint_eq(space->pool[0]->used, blocks);
            ck_assert_uint_eq(space->pool[0]->large_bytes, bytes);
            ck_assert_uint_eq(space->pool[0]->allocated_bytes - before, bytes);
            ck_assert_uint_eq(space->pool[0]->large_young.count, i + 1u);
            ck_assert_ptr_eq(space->pool[0]->large_young.tail, ha_block_of(object[i]));
            fixture_check(space);
        }
        for (int i = 0; i < SIZES; i++) { /* nobody wrote into another's */
            EXPECT(*(uint8_t *)(object[i] - 8) == 0xee);
            EXPECT(memcmp((void *)object[i], (void *)(object[i] + 1), sizes[i] - 1) == 0);
        }
        fixture_sweep(space, 0);
        ck_assert_uint_eq(space->used | space->pool[0]->used | space->pool[0]->large_bytes, 0);
        fixture_check(space);
    }
    fixture_space_close(heap);
}
END_TEST

/* Survivors are old; the others go, whatever their place in the list. */
START_TEST(survival)
{
    struct fixture_heap *heap = fixture_space(1, 0, 100000);
    struct ha_space *space = &heap->space;
    uintptr_t object[60];

    for (int i = 0; i < 60; i++) {
        object[i] = take(space, sizes[i % (SIZES - 3)], HA_SCAN);
        *(uint64_t *)object[i] = (uint64_t)i;
        if (i % 3 != 0)
            *ha_meta_of(object[i]) = MARK_OLD;
    }
    fixture_sweep(space, 0);
    fixture_check(space);
    ck_assert_uint_eq(space->pool[0]->large_young.count, 0);
    ck_assert_uint_eq(space->pool[0]->large_old.count, 40);
    for (int i = 0; i < 60; i++) {
        ck_assert_uint_eq(ha_space_find(space, object[i]), i % 3 != 0 ? object[i] : 0);
        if (i % 3 == 0)
            continue;
        ck_assert_uint_eq(*(uint64_t *)object[i], i);
        if (i % 2 != 0)
            *ha_meta_of(object[i]) = MARK_OLD_BEFORE;
    }
    fixture_sweep(space, 0);
    fixture_check(space);
    ck_assert_uint_eq(space->pool[0]->large_old.count, 20);
    ck_assert_uint_eq(space->pool[0]->live_objects, 20);
    for (int i = 0; i < 20; i++) /* and some young ones */
        take(space, sizes[i], HA_LEAF);
    /* destroying gives back what lives as well */
    struct ha_windows *windows = space->windows;
    struct ha_window_stats stats;
    fixture_space_close(heap);
    ha_window_stats(windows, 0, &stats);
    ck_assert_uint_eq(stats.spans, 0);
    ck_assert_uint_eq(stats.chunks, stats.free_chunks);
    ck_assert_uint_eq(stats.meta, 0);
}
END_TEST

/* A freed object's mark goes with it: what comes next in its blocks is not allocated. */
START_TEST(mark_is_cleared)
{
    struct fixture_heap *heap = fixture_space(1, 0, 1000);
    struct ha_space *space = &heap->space;
    uintptr_t object = take(space, 3 * HA_BLOCK, HA_LEAF);
    struct fixture_mutator *m = fixture_mutator(space, 0);
    struct ha_block *block = ha_block_of(object);

    *ha_meta_of(object) = MARK_OLD_BEFORE;
    fixture_sweep(space, 0);
    ck_assert_uint_eq(*ha_meta_of(object), 0);
    for (int i = 0; i < 4; i++)
        ck_assert_uint_eq(block[i].state, HA_FREE);
    ck_assert_uint_eq(block[4].state, HA_COLD);
    fixture_check(space);
    char *cell = fixture_cell(m, 0);
    ck_assert_uint_eq(ha_space_find(space, (uintptr_t)cell + 8),
                      0); /* held: not below a frontier */
    ha_allocator_flush(&m->allocator);
    ck_assert_uint_eq(ha_space_find(space, (uintptr_t)cell + 8), (uintptr_t)cell + 8);
    ck_assert_uint_eq(ha_space_find(space, (uintptr_t)cell + 24), 0);
    fixture_space_close(heap);
}
END_TEST

START_TEST(poison)
{
    struct fixture_heap *heap = fixture_plan(1);
    struct ha_space *space = &heap->space;
    size_t size = 2 * HA_BLOCK + 1000;

    heap->options.poison = true;
    HARNESS_OK(fixture_space_try(heap, 1000));
    uintptr_t object = take(space, size, HA_SCAN), span = take(space, 3 * HA_CHUNK, HA_SCAN);
    memset((void *)span, 1, 100);
    fixture_sweep(space, 0);
    for (size_t i = 0; i < size + 8; i++)
        EXPECT(*(uint8_t *)(object - 8 + i) == 0xfb);
    fixture_check(space);
    ck_assert(take(space, size + HA_BLOCK, HA_SCAN) != 0);
    check_new(space, take(space, size, HA_SCAN), size, HA_SCAN);
    check_new(space, take(space, 3 * HA_CHUNK, HA_SCAN), 3 * HA_CHUNK, HA_SCAN);
    fixture_space_close(heap);
}
END_TEST

/* --- refusals -------------------------------------------------------------------------------------- */

START_TEST(budget)
{
    struct fixture_heap *heap = fixture_space(1, 0, 100);
    struct ha_space *space = &heap->space;
    enum ha_refusal why = HA_GRANTED;

    take(space, 99 * (size_t)HA_BLOCK - 16, HA_LEAF);
    ck_assert_uint_eq(space->used, 99);
    ck_assert_uint_eq(ha_large_take(space, 0, HA_BLOCK - 15, HA_LEAF, &why), 0);
    ck_assert_int_eq(why, HA_OVER_BUDGET);
    ck_assert_uint_eq(ha_large_take(space, 0, (size_t)1 << 46, HA_LEAF, &why), 0);
    ck_assert_int_eq(why, HA_OVER_BUDGET);
    ck_assert_uint_eq(space->used, 99);
    take(space, HA_BLOCK - 16, HA_LEAF);
    ck_assert_uint_eq(space->used, 100);
    fixture_check(space);
    fixture_sweep(space, 0);
    take(space, 100 * (size_t)HA_BLOCK - 16, HA_LEAF);
    fixture_check(space);
}
END_TEST

/* The system refuses: nothing stays charged; later it works. */
START_TEST(no_memory)
{
    struct fixture_heap *heap = fixture_space(2, 0, 10000);
    struct ha_space *space = &heap->space;
    enum ha_refusal why = HA_GRANTED;

    for (int n = 0; n < 2; n++)
        while (ha_chunk_take(space->windows, n, 1, &why) != NULL) /* 62 of each: somebody else's */
            ht_fault_arm(HT_FAULT_RESERVE, 1, true);
    for (int i = 0; i < SIZES; i++) {
        ck_assert_uint_eq(ha_large_take(space, i % 2, sizes[i], HA_SCAN, &why), 0);
        ck_assert_int_eq(why, HA_NO_MEMORY);
        ck_assert_uint_eq(space->used | space->spilled | space->pool[0]->used, 0);
    }
    fixture_check(space);
    ht_fault_arm(HT_FAULT_RESERVE, 0, false);
    for (int i = 0; i < SIZES; i++)
        check_new(space, take(space, sizes[i], HA_SCAN), sizes[i], HA_SCAN);
    fixture_check(space);
}
END_TEST

/* Three windows of 64 MiB: large objects go where there is room, nearest first. */
START_TEST(spill)
{
    static const size_t each[] = {(size_t)20 << 20, 1000000, 40000};
    struct fixture_heap *heap = fixture_space(3, (size_t)64 * MIB, 10000);
    struct ha_space *space = &heap->space;
    const uint8_t *order = heap->topology->node[2].order;
    size_t blocks = 0;

    for (int i = 0; i < 3; i++) { /* then smaller ones in what is left */
        enum ha_refusal why = HA_GRANTED;
        uintptr_t object;
        int served = 0;

        while ((object = ha_large_take(space, 2, each[i], HA_LEAF, &why)) != 0) {
            int home = ha_node_of(space->windows, object);

            while (served < 2 && order[served] != home)
                served++;
            EXPECT(order[served] == home);
            EXPECT(ha_chunk_of((void *)object)->pool == space->pool[home]);
            blocks += ha_large_blocks(each[i]);
        }
        ck_assert_int_eq(why, HA_NO_MEMORY);
        ck_assert_int_eq(served, 2);
        ck_assert_uint_eq(space->used, blocks);
        ck_assert_uint_eq(space->spilled, space->pool[0]->used + space->pool[1]->used);
        ck_assert_uint_eq(space->pool[0]->spilled_in, space->pool[0]->used);
        ck_assert_uint_eq(space->pool[2]->spilled_in, 0);
        fixture_check(space);
    }
    fixture_sweep(space, 0);
    ck_assert_uint_eq(space->used, 0);
    fixture_check(space);
}
END_TEST

/* A window full of small objects that are all dead has room for a large one: chunks that the pool keeps
 * are no reason to fail, or to spill. */
START_TEST(free_chunks_serve_spans)
{
    struct fixture_heap *heap = fixture_space(2, (size_t)64 * MIB, 10000);
    struct ha_space *space = &heap->space;
    struct ha_pool *pool = space->pool[0];
    struct fixture_mutator *m = fixture_mutator(space, 0);
    enum ha_refusal why = HA_GRANTED;
    char *cell;

    while (pool->spilled_in + space->spilled == 0 && (cell = fixture_cell(m, 100)) != NULL)
        cell[0] = 1;
    ha_allocator_flush(&m->allocator);
    fixture_sweep(space, 0);
    ck_assert_uint_eq(space->used, 0);
    ck_assert_uint_ge(pool->chunk_count, 7);
    uintptr_t object = ha_large_take(space, 0, 2 * HA_CHUNK, HA_LEAF, &why);
    ck_assert_uint_ne(object, 0);
    ck_assert_int_eq(ha_node_of(space->windows, object), 0);
    check_new(space, object, 2 * HA_CHUNK, HA_LEAF);
    fixture_check(space);
    HARNESS_OK(ha_windows_check(space->windows));
    /* small objects find the rest */
    while ((cell = fixture_cell(m, 100)) != NULL &&
           ha_node_of(space->windows, (uintptr_t)cell) == 0)
        ck_assert_int_eq(cell[0], 0);
    ha_allocator_flush(&m->allocator);
    fixture_check(space);
    ck_assert(*(uint64_t *)object == 0);
    fixture_space_close(heap);
}
END_TEST

/* With one block in use per chunk there is none to give. */
START_TEST(no_free_chunk)
{
    struct fixture_heap *heap = fixture_space(1, (size_t)64 * MIB, 10000);
    struct ha_space *space = &heap->space;
    struct ha_pool *pool = space->pool[0];
    struct fixture_mutator *m = fixture_mutator(space, 0);
    enum ha_refusal why = HA_GRANTED;
    char *cell;

    while ((cell = fixture_cell(m, 122)) != NULL)
        if (ha_block_number(ha_block_of((uintptr_t)cell)) % 64 == 33)
            *fixture_mark(ha_block_of((uintptr_t)cell), 0) = MARK_OLD;
    ha_allocator_flush(&m->allocator);
    fixture_sweep(space, 0);
    size_t chunks = pool->chunk_count;
    ck_assert_uint_eq(space->used, chunks);
    ck_assert_uint_eq(ha_large_take(space, 0, 2 * HA_CHUNK, HA_LEAF, &why), 0);
    ck_assert_int_eq(why, HA_NO_MEMORY);
    ck_assert_uint_eq(space->used, chunks);
    ck_assert_uint_eq(pool->chunk_count, chunks);
    fixture_check(space);
    ck_assert_uint_ne(ha_large_take(space, 0, 29 * HA_BLOCK - 16, HA_LEAF, &why), 0);
    ck_assert_uint_eq(ha_large_take(space, 0, 31 * HA_BLOCK - 16, HA_LEAF, &why), 0);
    fixture_check(space);
}
END_TEST

/* --- threads --------------------------------------------------------------------------------------- */

struct taker {
    pthread_t thread;
    struct ha_space *space;
    uint64_t random;
    int node;
};

static void *take_some(void *data)
{
    struct taker *t = data;
    enum ha_refusal why;

    for (uint64_t i = 0; i < harness_scaled(60); i++) {
        size_t size = HA_SMALL_MAX + 1 + harness_random_below(&t->random, 400000);

        if (harness_random_below(&t->random, 12) == 0)
            size += HA_ADJACENT_MAX;
        uintptr_t object = ha_large_take(t->space, t->node, size, HA_LEAF, &why);
        if (object == 0) {
            EXPECT(why == HA_OVER_BUDGET);
            continue;
        }
        EXPECT(is_zero(object - 8, size + 8));
        memset((void *)(object - 8), 0xe0 + t->node, size + 8);
        if (harness_random_below(&t->random, 2) == 0)
            *ha_meta_of(object) = MARK_OLD;
    }
    return NULL;
}

START_TEST(threads)
{
    enum { THREADS = 3 };
    struct fixture_heap *heap = fixture_space(2, 0, 2500);
    struct taker taker[THREADS];

    for (int i = 0; i < THREADS; i++)
        taker[i] = (struct taker){
            .space = &heap->space, .random = harness_seed() + (uint64_t)i, .node = i % 2};
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < THREADS; i++)
            ck_assert_int_eq(pthread_create(&taker[i].thread, NULL, take_some, &taker[i]), 0);
        for (int i = 0; i < THREADS; i++)
            pthread_join(taker[i].thread, NULL);
        fixture_check(&heap->space);
        fixture_sweep(&heap->space, 0);
        fixture_check(&heap->space);
        for (int n = 0; n < 2; n++)
            for (struct ha_block *b = heap->space.pool[n]->large_old.head; b != NULL; b = b->next)
                *ha_meta_of(ha_large_object(b)) = MARK_OLD_BEFORE;
    }
    fixture_space_close(heap);
}
END_TEST

HARNESS_SUITE(large)
{
    Suite *suite = suite_create("large");
    TCase *objects = tcase_create("objects"), *refusals = tcase_create("refusals"),
          *many = tcase_create("threads");

    tcase_add_test(objects, every_size);
    tcase_add_test(objects, survival);
    tcase_add_test(objects, mark_is_cleared);
    tcase_add_test(objects, poison);
    suite_add_tcase(suite, objects);
    tcase_add_test(refusals, budget);
    tcase_add_test(refusals, no_memory);
    tcase_add_test(refusals, spill);
    tcase_add_test(refusals, free_chunks_serve_spans);
    tcase_add_test(refusals, no_free_chunk);
    suite_add_tcase(suite, refusals);
    tcase_add_test(many, threads);
    suite_add_tcase(suite, many);
    return suite;
}
