/* tests/test_sweep.c - sweeping against a byte-by-byte reference; poison. */
#define _GNU_SOURCE 1

#include "tests/space_fixture.h"

enum { DIRT = 0xa5, POISON = 0xfb };

/* A block of the run in the hands of the test. */
static struct ha_block *new_block(struct ha_pool *pool, unsigned run)
{
    struct ha_block *block = ha_pool_fresh(pool, run, HA_GROW_ROOM);

    EXPECT(block != NULL);
    block->state = HA_FULL;
    return block;
}

/* Marks for a share of the cells, of `values`. */
static void mark_some(struct ha_block *block, unsigned percent, const uint8_t *values,
                      unsigned count, uint64_t *random)
{
    for (unsigned i = 0; i < block->cells; i++) {
        *fixture_mark(block, i) = harness_random_below(random, 100) < percent
                                      ? values[harness_random_below(random, count)]
                                      : 0;
    }
    block->touched = 1;
}

/* Sweep, and compare all metadata of the chunk with what a slow sweep makes of it. */
static void sweep_and_compare(struct ha_block *block, uint8_t dead_a, uint8_t dead_b, uint8_t gen1)
{
    enum { HEAD = HA_HEAD_BLOCKS * HA_BLOCK_GRANULES, BYTES = HA_CHUNK / 16 };
    static uint8_t expected[BYTES];
    uint8_t *meta = (uint8_t *)ha_chunk_of(block);
    struct ha_swept swept;
    uint32_t live = 0;
    bool aging = false;

    memcpy(expected, meta, BYTES);
    for (unsigned g = 0; g < HA_BLOCK_GRANULES; g++) {
        uint8_t *byte = &expected[(size_t)ha_block_number(block) * HA_BLOCK_GRANULES + g];

        if (*byte == dead_a || *byte == dead_b)
            *byte = 0;
        live += *byte != 0;
        aging |= *byte == gen1;
    }
    block->frontier = ha_block_start(block) + HA_BLOCK;
    swept = ha_sweep_block(block, dead_a, dead_b, gen1);
    EXPECT(swept.live == live && swept.aging == aging);
    EXPECT(block->live == live && block->frontier == NULL && block->touched == 0);
    EXPECT(memcmp(meta + HEAD, expected + HEAD, BYTES - HEAD) == 0);
}

/* Every class, from empty to full, with the marks the collector uses and with any others. */
START_TEST(every_class)
{
    static const uint8_t usual[] = {MARK_GEN1, MARK_GEN1_BEFORE, MARK_OLD, MARK_OLD_BEFORE};
    static const uint8_t any[] = {1, 2, 3, 4, 8, 16, 0x3f, 0x40, 0x7e, 0x7f};
    static const unsigned percents[] = {0, 1, 50, 99, 100};
    struct ha_pool *pool = fixture_space(1, 0, 100000)->space.pool[0];
    uint64_t random = harness_seed();

    for (unsigned run = 0; run < HEARTH_RUNS; run++)
        for (unsigned p = 0; p < 5; p++) {
            struct ha_block *block = new_block(pool, run);

            mark_some(block, percents[p], usual, 4, &random);
            sweep_and_compare(block, MARK_GEN1_BEFORE, MARK_OLD_BEFORE, MARK_GEN1);
            sweep_and_compare(block, MARK_GEN1, MARK_GEN1, MARK_GEN1_BEFORE); /* minor */
            mark_some(block, percents[p], any, sizeof any, &random);
            sweep_and_compare(block, any[harness_random_below(&random, sizeof any)],
                              any[harness_random_below(&random, sizeof any)],
                              any[harness_random_below(&random, sizeof any)]);
        }
}
END_TEST

/* One value in all cells: nothing, everything, only ageing ones. */
START_TEST(uniform)
{
    static const uint8_t values[] = {MARK_GEN1, MARK_GEN1_BEFORE, MARK_OLD, MARK_OLD_BEFORE};
    struct ha_pool *pool = fixture_space(1, 0, 100000)->space.pool[0];
    uint64_t random = harness_seed();

    for (unsigned run = 0; run < HEARTH_RUNS; run += 2)
        for (unsigned v = 0; v < 4; v++) {
            struct ha_block *block = new_block(pool, run);
            struct ha_swept swept;

            mark_some(block, 100, &values[v], 1, &random);
            swept = ha_sweep_block(block, MARK_GEN1_BEFORE, MARK_OLD_BEFORE, MARK_GEN1);
            ck_assert_uint_eq(swept.live, v % 2 == 0 ? block->cells : 0);
            ck_assert_int_eq(swept.aging, v == 0);
            if (v % 2 != 0)
                fixture_zero(ha_block_meta(block), HA_BLOCK_GRANULES);
        }
}
END_TEST

/* Exactly one mark, at every place, in a block of the smallest cells. */
START_TEST(every_place)
{
    struct ha_pool *pool = fixture_space(1, 0, 100000)->space.pool[0];
    struct ha_block *block = new_block(pool, 0);
    struct ha_swept swept;

    for (unsigned i = 0; i < block->cells; i++) {
        *fixture_mark(block, i) = MARK_GEN1;
        block->touched = 1;
        swept = ha_sweep_block(block, MARK_GEN1_BEFORE, MARK_OLD_BEFORE, MARK_GEN1);
        EXPECT(swept.live == 1 && swept.aging && *fixture_mark(block, i) == MARK_GEN1);
        swept = ha_sweep_block(block, MARK_GEN1, MARK_GEN1, MARK_GEN1_BEFORE);
        EXPECT(swept.live == 0 && !swept.aging && *fixture_mark(block, i) == 0);
    }
}
END_TEST

/* Where nothing was marked before or since, not even the metadata is read. */
START_TEST(nothing_marked)
{
    struct fixture_heap *heap = fixture_plan(1);
    uint64_t random = harness_seed();

    heap->options.hugepages = HT_HUGE_OFF;
    HARNESS_OK(fixture_space_try(heap, 1000));
    for (unsigned run = 0; run < HEARTH_RUNS; run++) {
        static const uint8_t old[] = {MARK_OLD};
        struct ha_block *block = new_block(heap->space.pool[0], run);
        struct ha_swept swept;

        block->frontier = ha_block_start(block) + HA_BLOCK;
        swept = ha_sweep_block(block, MARK_GEN1_BEFORE, MARK_OLD_BEFORE, MARK_GEN1);
        ck_assert(swept.live == 0 && !swept.aging && block->frontier == NULL);
        ck_assert_uint_eq(fixture_resident(ha_block_meta(block), HA_BLOCK_GRANULES), 0);
        mark_some(block, 100, old, 1, &random);
        ha_sweep_block(block, MARK_GEN1_BEFORE, MARK_OLD_BEFORE, MARK_GEN1);
        ck_assert_uint_eq(block->live, block->cells);
        ck_assert_uint_eq(block->touched, 0);
        /* not touched since, but some may have died */
        swept = ha_sweep_block(block, MARK_GEN1, MARK_OLD, MARK_GEN1_BEFORE);
        ck_assert_uint_eq(swept.live, 0);
        fixture_zero(ha_block_meta(block), HA_BLOCK_GRANULES);
    }
}
END_TEST

/* --- poison ---------------------------------------------------------------------------------------- */

START_TEST(poison)
{
    static const uint8_t values[] = {MARK_GEN1, MARK_OLD};
    struct ha_pool *pool = fixture_space(1, 0, 100000)->space.pool[0];
    uint64_t random = harness_seed();

    for (unsigned run = 0; run < HEARTH_RUNS; run++) {
        struct ha_block *block = new_block(pool, run);
        const uint8_t *at = (const uint8_t *)ha_block_start(block);
        static uint8_t meta[HA_BLOCK_GRANULES];

        memset(ha_block_start(block), DIRT, HA_BLOCK);
        mark_some(block, (unsigned)harness_random_below(&random, 101), values, 2, &random);
        memcpy(meta, ha_block_meta(block), sizeof meta);
        block->live = 0;
        for (unsigned i = 0; i < block->cells; i++)
            block->live += *fixture_mark(block, i) != 0;
        ha_poison_block(block);
        EXPECT(memcmp(meta, ha_block_meta(block), sizeof meta) == 0);
        for (size_t offset = 0; offset < HA_BLOCK; offset++) {
            size_t i =
                offset < HEARTH_HEADER ? block->cells : (offset - HEARTH_HEADER) / block->cell;
            bool is_free =
                block->live == 0 || (i < block->cells && *fixture_mark(block, (unsigned)i) == 0);

            EXPECT(at[offset] == (is_free ? POISON : DIRT));
        }
    }
}
END_TEST

/* Through a whole sweep: dead cells are poisoned, live ones are not, and new ones are zero. */
START_TEST(poisoned_and_reused)
{
    struct fixture_heap *heap = fixture_plan(1);
    struct ha_space *space = &heap->space;
    uint64_t random = harness_seed();

    heap->options.poison = true;
    HARNESS_OK(fixture_space_try(heap, 10000));
    struct fixture_mutator *m = fixture_mutator(space, 0);
    for (int round = 0; round < 20; round++) {
        char *cell[200];
        unsigned run[200];

        for (int i = 0; i < 200; i++) {
            run[i] = (unsigned)harness_random_below(&random, HEARTH_RUNS);
            cell[i] = fixture_cell(m, run[i]);
            size_t bytes = ha_class_cell(run[i] / 2);
            EXPECT(cell[i][0] == 0 && memcmp(cell[i], cell[i] + 1, bytes - 1) == 0);
            memset(cell[i], DIRT, bytes);
        }
        ha_allocator_flush(&m->allocator);
        for (int i = 0; i < 200; i += 2)
            *ha_meta_of((uintptr_t)cell[i] + 8) = MARK_OLD;
        fixture_sweep(space, 0);
        fixture_check(space);
        for (int i = 0; i < 200; i++)
            for (size_t b = 0; b < ha_class_cell(run[i] / 2); b++)
                EXPECT((uint8_t)cell[i][b] == (i % 2 == 0 ? DIRT : POISON));
        for (int i = 0; i < 200; i += 2)
            *ha_meta_of((uintptr_t)cell[i] + 8) =
                harness_random_below(&random, 2) ? MARK_OLD : MARK_OLD_BEFORE;
    }
    fixture_space_close(heap);
}
END_TEST

HARNESS_SUITE(sweep)
{
    Suite *suite = suite_create("sweep");
    TCase *marks = tcase_create("marks"), *poisoning = tcase_create("poison");

    tcase_add_test(marks, every_class);
    tcase_add_test(marks, uniform);
    tcase_add_test(marks, every_place);
    tcase_add_test(marks, nothing_marked);
    suite_add_tcase(suite, marks);
    tcase_add_test(poisoning, poison);
    tcase_add_test(poisoning, poisoned_and_reused);
    suite_add_tcase(suite, poisoning);
    return suite;
}
