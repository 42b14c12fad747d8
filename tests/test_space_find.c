/* tests/test_space_find.c - objects by address: small, large, none, and beside threads that allocate. */
#define _GNU_SOURCE 1

#include <pthread.h>

#include "tests/space_fixture.h"

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

START_TEST(small)
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
START_TEST(nothing)
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

START_TEST(large)
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
START_TEST(beside_mutators)
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

HARNESS_SUITE(space_find)
{
    Suite *suite = suite_create("space_find");
    TCase *all = tcase_create("all");

    tcase_add_test(all, small);
    tcase_add_test(all, nothing);
    tcase_add_test(all, large);
    tcase_add_test(all, beside_mutators);
    suite_add_tcase(suite, all);
    return suite;
}
