/* tests/test_hole.c - holes and runs against a slow search of the same metadata. */
#define _GNU_SOURCE 1

#include <sys/mman.h>

#include "alloc/scan.h"
#include "tests/space_fixture.h"

enum { DIRT = 0xa5, OBJECT = 0x77 };

/* --- scanning -------------------------------------------------------------------------------------- */

START_TEST(scan)
{
    uint64_t random = harness_seed();
    uint8_t bytes[64 + 16];

    for (uint64_t round = 0; round < harness_scaled(20000); round++) {
        const uint8_t *at = bytes + harness_random_below(&random, 16);
        uint8_t value = (uint8_t)harness_random(&random);
        uint64_t nonzero = 0;

        for (size_t i = 0; i < sizeof bytes; i++) {
            static const uint8_t some[] = {0, 0, 0, 1, 2, 4, 8, 0x7f, HA_CARD, 0xff};

            bytes[i] = some[harness_random_below(&random, sizeof some)];
            if (harness_random_below(&random, 4) == 0)
                bytes[i] = value;
        }
        for (int i = 0; i < 64; i++)
            nonzero |= (uint64_t)(at[i] != 0) << i;
        EXPECT(ha_nonzero64(at) == nonzero);
    }
}
END_TEST

/* --- runs of a block ------------------------------------------------------------------------------- */

static bool is_filled(const char *from, size_t bytes, int value)
{
    return bytes == 0 || (from[0] == (char)value && memcmp(from, from + 1, bytes - 1) == 0);
}

/* A block with random marks of which `percent` are set, random cards in marked cells, and dirty
 * memory: as if it came from a bucket. */
static struct ha_block *reused_block(struct ha_space *space, unsigned run, unsigned percent,
                                     uint64_t *random)
{
    enum ha_refusal why;
    struct ha_block *block = ha_space_take(space, 0, run, HA_EFFORT_NORMAL, &why);
    unsigned stride = fixture_class(block)->stride;

    EXPECT(block != NULL && block->state == HA_CURRENT && block->young);
    memset(ha_block_start(block), DIRT, HA_BLOCK);
    block->stamp = 0;
    for (unsigned i = 0; i < block->cells; i++) {
        if (harness_random_below(random, 100) >= percent)
            continue;
        *fixture_mark(block, i) = (uint8_t)(1u << harness_random_below(random, 4));
        block->live++;
        for (unsigned g = 1; g < stride && g < 8; g++)
            if (harness_random_below(random, 4) == 0)
                fixture_mark(block, i)[g] = HA_CARD;
        if (stride > 1 && harness_random_below(random, 4) == 0)
            fixture_mark(block, i)[stride - 1] = HA_CARD;
    }
    space->pool[0]->live_objects += block->live;
    space->pool[0]->live_bytes += (size_t)block->live * block->cell;
    return block;
}

static bool is_marked(const struct ha_block *block, unsigned cell)
{
    return cell < block->cells && *fixture_mark(block, cell) != 0;
}

static char *cell_start(const struct ha_block *block, unsigned cell)
{
    return ha_block_start(block) + HEARTH_HEADER + (size_t)cell * block->cell;
}

/* The next run as the documentation has it: from the first unmarked cell at or behind *cell to the
 * next marked one, at most 8 KiB or one cell. Returns how many cells. */
static unsigned next_run(const struct ha_block *block, unsigned *cell)
{
    unsigned most = HA_RUN_BYTES / block->cell > 0 ? HA_RUN_BYTES / block->cell : 1, n = 0;

    while (*cell < block->cells && is_marked(block, *cell))
        ++*cell;
    while (n < most && *cell + n < block->cells && !is_marked(block, *cell + n))
        n++;
    return n;
}

/* Marked cells and the edges of the block keep what they held; all others were handed out. */
static void check_untouched(const struct ha_block *block, unsigned allocated)
{
    char *start = ha_block_start(block), *end = cell_start(block, block->cells);

    EXPECT(is_filled(start, HEARTH_HEADER, DIRT));
    EXPECT(is_filled(end, (size_t)(start + HA_BLOCK - end), DIRT));
    for (unsigned i = 0; i < block->cells; i++)
        EXPECT(is_filled(cell_start(block, i), block->cell,
                         is_marked(block, i) ? DIRT
                         : i < allocated     ? OBJECT
                                             : *cell_start(block, i)));
}

static void use_up(struct ha_space *space, unsigned run, unsigned percent, uint64_t *random)
{
    struct fixture_mutator *m = fixture_mutator(space, 0);
    struct ha_block *block = reused_block(space, run, percent, random);
    struct hearth_run *r = &m->run[run];
    unsigned cell = 0, total = 0, n;
    size_t bytes;

    ha_run_hold(&m->allocator, run, block);
    EXPECT(r->cursor == NULL && r->limit == NULL);
    while ((bytes = ha_run_next(&m->allocator, run)) != 0) {
        n = next_run(block, &cell);
        EXPECT(n > 0 && bytes == (size_t)n * block->cell);
        EXPECT(r->cursor == cell_start(block, cell) && r->limit == r->cursor + bytes);
        EXPECT(is_filled(r->cursor, bytes, 0));
        memset(r->cursor, OBJECT, bytes);
        r->cursor = r->limit;
        cell += n;
        total += n;
    }
    EXPECT(next_run(block, &cell) == 0 && cell == block->cells);
    EXPECT(total == block->cells - (unsigned)block->live);
    check_untouched(block, block->cells);
    EXPECT(r->cursor == NULL && r->limit == NULL && m->allocator.hole[run].block == NULL);
    EXPECT(block->state == HA_FULL && block->frontier == ha_block_start(block) + HA_BLOCK);
    EXPECT(m->allocator.objects == total);
    EXPECT(m->allocator.bytes == (uint64_t)total * block->cell);
    EXPECT(ha_run_next(&m->allocator, run) == 0);
    ha_allocator_flush(&m->allocator);
    EXPECT(block->frontier == ha_block_start(block) + HA_BLOCK);
    EXPECT(m->allocator.objects == total);
}

/* Every class, with metadata from empty to full. */
START_TEST(every_class)
{
    static const unsigned percents[] = {0, 1, 10, 50, 90, 99, 100};
    struct fixture_heap *heap = fixture_space(1, 0, 100000);
    uint64_t random = harness_seed();

    for (unsigned run = 0; run < HEARTH_RUNS; run++)
        for (size_t p = 0; p < sizeof percents / sizeof percents[0]; p++)
            use_up(&heap->space, run, percents[p], &random);
    fixture_check(&heap->space);
    fixture_space_close(heap);
}
END_TEST

/* Exactly one free cell, at every place; exactly one marked cell, at every place. */
START_TEST(lone_cells)
{
    struct fixture_heap *heap = fixture_space(1, 0, 1000);
    struct fixture_mutator *m = fixture_mutator(&heap->space, 0);
    uint64_t random = harness_seed();

    for (unsigned run = 0; run < HEARTH_RUNS; run += 3) {
        struct ha_block *block = reused_block(&heap->space, run, 0, &random);
        unsigned step = block->cells > 700 && harness_scaled(100) < 100 ? 7 : 1;

        for (unsigned at = 0; at < block->cells; at += step) {
            for (unsigned i = 0; i < block->cells; i++)
                *fixture_mark(block, i) = i != at;
            ha_run_hold(&m->allocator, run, block);
            EXPECT(ha_run_next(&m->allocator, run) == block->cell);
            EXPECT(m->run[run].cursor == cell_start(block, at));
            EXPECT(ha_run_next(&m->allocator, run) == 0);
            EXPECT(m->run[run].cursor == NULL);
        }
        for (unsigned at = 0; at < block->cells; at += step) {
            unsigned total = 0, cell = 0;
            size_t bytes;

            for (unsigned i = 0; i < block->cells; i++)
                *fixture_mark(block, i) = i == at;
            ha_run_hold(&m->allocator, run, block);
            while ((bytes = ha_run_next(&m->allocator, run)) != 0) {
                unsigned n = next_run(block, &cell);

                EXPECT(bytes == (size_t)n * block->cell);
                EXPECT(m->run[run].cursor == cell_start(block, cell));
                total += n;
                cell += n;
            }
            EXPECT(total == block->cells - 1u);
        }
    }
}
END_TEST

/* --- flushing -------------------------------------------------------------------------------------- */

/* Stop anywhere: the frontier is behind the last cell taken; the counts are of those taken. */
static void stop_anywhere(struct ha_space *space, unsigned run, uint64_t *random)
{
    struct fixture_mutator *m = fixture_mutator(space, 0);
    struct ha_pool *pool = space->pool[0];
    struct ha_block *block =
        reused_block(space, run, (unsigned)harness_random_below(random, 101), random);
    struct hearth_run *r = &m->run[run];
    unsigned vacant = block->cells - (unsigned)block->live;
    unsigned want = (unsigned)harness_random_below(random, vacant + 1), taken = 0;
    uint64_t before = pool->allocated_bytes;
    char *last = NULL;

    ha_run_hold(&m->allocator, run, block);
    while (taken < want) {
        if (r->limit == r->cursor)
            EXPECT(ha_run_next(&m->allocator, run) != 0);
        last = r->cursor;
        r->cursor += block->cell;
        memset(last, OBJECT, block->cell);
        taken++;
    }
    if (harness_random_below(random, 4) == 0 && r->limit == r->cursor && taken < vacant)
        EXPECT(ha_run_next(&m->allocator, run) != 0); /* a run of which nothing is used */
    char *expected = r->cursor != NULL ? r->cursor : ha_block_start(block);

    ha_allocator_flush(&m->allocator);
    EXPECT(block->frontier == expected && block->state == HA_FULL);
    EXPECT(m->allocator.objects == taken);
    EXPECT(m->allocator.bytes == (uint64_t)taken * block->cell);
    EXPECT(pool->allocated_bytes - before == (uint64_t)taken * block->cell);
    EXPECT(m->allocator.hole[run].block == NULL && r->cursor == NULL && r->limit == NULL);
    /* below the frontier or marked means allocated: `taken` cells are below it and unmarked */
    for (unsigned i = 0; i < block->cells; i++)
        if (!is_marked(block, i) && cell_start(block, i) < block->frontier)
            taken--;
    EXPECT(taken == 0);
    check_untouched(block, (unsigned)((expected - ha_block_start(block)) / block->cell));
}

START_TEST(flush)
{
    struct fixture_heap *heap = fixture_space(1, 0, 100000);
    uint64_t random = harness_seed();

    for (uint64_t i = 0; i < harness_scaled(20); i++)
        for (unsigned run = 0; run < HEARTH_RUNS; run++)
            stop_anywhere(&heap->space, run, &random);
    fixture_check(&heap->space);
    fixture_space_close(heap);
}
END_TEST

/* Cells of a larger class for objects of a smaller one: one each, in order, from its beginning. Runs are recalled and
 * flushed anywhere. */
static void borrow(struct ha_space *space, unsigned run, unsigned larger, uint64_t *random)
{
    struct fixture_mutator *m = fixture_mutator(space, 0);
    struct ha_block *block =
        reused_block(space, larger, (unsigned)harness_random_below(random, 101), random);
    struct hearth_run *r = &m->run[run];
    unsigned vacant = block->cells - (unsigned)block->live, cell = 0, taken = 0;
    unsigned want = (unsigned)harness_random_below(random, vacant + 1);
    size_t small = ha_class_cell(run / 2);

    ha_run_hold(&m->allocator, run, block);
    while (taken < want || harness_random_below(random, 4) == 0) {
        size_t bytes = ha_run_next(&m->allocator, run);

        EXPECT((bytes == 0) == (taken == vacant));
        if (bytes == 0)
            break;
        while (is_marked(block, cell))
            cell++;
        EXPECT(bytes == block->cell && r->cursor == cell_start(block, cell));
        EXPECT(r->limit == r->cursor + small && is_filled(r->cursor, bytes, 0));
        EXPECT(ha_allocator_left(&m->allocator) == 1);
        HARNESS_OK(ha_allocator_check(&m->allocator));
        if (harness_random_below(random, 4) == 0) {
            EXPECT(ha_allocator_recall(&m->allocator) == 1 && r->cursor == r->limit);
            HARNESS_OK(ha_allocator_check(&m->allocator));
            if (taken == want)
                break;
            continue;
        }
        if (taken == want) /* a run of which nothing is used */
            break;
        memset(r->cursor, OBJECT, block->cell);
        r->cursor += small;
        EXPECT(ha_allocator_left(&m->allocator) == 0 && !ha_run_step(&m->allocator, run));
        EXPECT(ha_allocator_recall(&m->allocator) == 0);
        HARNESS_OK(ha_allocator_check(&m->allocator));
        taken++;
        cell++;
    }
    ha_allocator_flush(&m->allocator);
    EXPECT(m->allocator.objects == taken && m->allocator.bytes == (uint64_t)taken * block->cell);
    EXPECT(block->state == HA_FULL && m->allocator.hole[run].block == NULL);
    HARNESS_OK(ha_block_check(block));
    for (unsigned i = 0; i < block->cells; i++)
        if (!is_marked(block, i) && cell_start(block, i) < block->frontier && i < cell)
            taken--;
    EXPECT(taken == 0);
    check_untouched(block, cell);
}

START_TEST(larger_cells)
{
    struct fixture_heap *heap = fixture_space(1, 0, 100000);
    uint64_t random = harness_seed();

    for (uint64_t i = 0; i < harness_scaled(2000); i++) {
        unsigned run = (unsigned)harness_random_below(&random, HEARTH_RUNS - 2);
        unsigned above = (unsigned)harness_random_below(&random, (HEARTH_RUNS - run - 1) / 2);

        borrow(&heap->space, run, run + 2 * (above + 1), &random);
    }
    fixture_check(&heap->space);
    fixture_space_close(heap);
}
END_TEST

/* Counts go on over several blocks and flushes, and all runs are flushed. */
START_TEST(accounting)
{
    struct fixture_heap *heap = fixture_space(2, 0, 100000);
    struct fixture_mutator *m = fixture_mutator(&heap->space, 1);
    uint64_t random = harness_seed(), bytes = 0, objects = 0;

    for (uint64_t i = 0; i < harness_scaled(100000); i++) {
        unsigned run = (unsigned)harness_random_below(&random, HEARTH_RUNS);
        char *cell = fixture_cell(m, run);

        EXPECT(cell != NULL);
        bytes += ha_class_cell(run / 2);
        objects++;
        if (harness_random_below(&random, 10000) == 0) {
            HARNESS_OK(ha_allocator_check(&m->allocator));
            ha_allocator_flush(&m->allocator);
            EXPECT(m->allocator.bytes == bytes && m->allocator.objects == objects);
        }
    }
    ha_allocator_flush(&m->allocator);
    ck_assert_uint_eq(m->allocator.bytes, bytes);
    ck_assert_uint_eq(m->allocator.objects, objects);
    ck_assert_uint_eq(heap->space.pool[1]->allocated_bytes, bytes);
    ck_assert_uint_eq(heap->space.pool[0]->allocated_bytes, 0);
    for (unsigned run = 0; run < HEARTH_RUNS; run++)
        ck_assert_ptr_null(m->allocator.hole[run].block);
    fixture_check(&heap->space);
    fixture_space_close(heap);
}
END_TEST

/* --- the check ------------------------------------------------------------------------------------- */

static void damaged(struct fixture_mutator *m, const char *what)
{
    if (ha_allocator_check(&m->allocator) != HEARTH_ECORRUPT)
        ck_abort_msg("%s is not seen", what);
}

START_TEST(check)
{
    struct fixture_heap *heap = fixture_space(1, 0, 1000);
    struct fixture_mutator *m = fixture_mutator(&heap->space, 0);

    for (unsigned run = 0; run < HEARTH_RUNS; run += 7) {
        struct ha_hole *hole = &m->allocator.hole[run];
        struct hearth_run *r = &m->run[run], good;

        HARNESS_OK(ha_allocator_check(&m->allocator));
        ck_assert_ptr_nonnull(fixture_cell(m, run));
        HARNESS_OK(ha_allocator_check(&m->allocator));
        good = *r;
        r->cursor += 16;
        if (ha_class_cell(run / 2) != 16)
            damaged(m, "a cursor in a cell");
        *r = good;
        r->cursor = r->limit + ha_class_cell(run / 2);
        damaged(m, "a cursor behind the limit");
        *r = good;
        r->limit = hole->end + ha_class_cell(run / 2);
        damaged(m, "a limit behind the hole");
        *r = good;
        if (r->cursor < r->limit) {
            r->limit[-1] = 1;
            damaged(m, "dirty memory");
            r->limit[-1] = 0;
        }
        hole->granule++;
        damaged(m, "a search that begins elsewhere");
        hole->granule--;
        hole->block->state = HA_FULL;
        damaged(m, "a block that is not held");
        hole->block->state = HA_CURRENT;
        hole->block->kind ^= 1;
        damaged(m, "a block of the other kind");
        hole->block->kind ^= 1;
        hole->block->frontier = ha_block_start(hole->block);
        damaged(m, "a frontier");
        hole->block->frontier = NULL;
    }
    ha_allocator_flush(&m->allocator);
    HARNESS_OK(ha_allocator_check(&m->allocator));
    m->run[5].limit = (char *)m;
    damaged(m, "a run without a block");
}
END_TEST

/* --- zero memory ----------------------------------------------------------------------------------- */

/* A cold block is zero already: making its runs touches none of its pages. */
START_TEST(cold_is_not_touched)
{
    struct fixture_heap *heap = fixture_plan(1);
    struct fixture_mutator *m;
    enum ha_refusal why;

    heap->options.hugepages = HT_HUGE_OFF;
    HARNESS_OK(fixture_space_try(heap, 1000));
    m = fixture_mutator(&heap->space, 0);
    for (unsigned run = 0; run < HEARTH_RUNS; run++) {
        struct ha_block *block = ha_space_take(&heap->space, 0, run, HA_EFFORT_NORMAL, &why);

        ha_run_hold(&m->allocator, run, block);
        while (ha_run_next(&m->allocator, run) != 0)
            ;
        EXPECT(fixture_resident(ha_block_start(block), HA_BLOCK) == 0);
    }
    fixture_space_close(heap);
}
END_TEST

/* A block that was cold when it was taken is not when it is taken again. */
START_TEST(zero_again)
{
    struct fixture_heap *heap = fixture_space(1, 0, 1000);
    struct fixture_mutator *m = fixture_mutator(&heap->space, 0);
    char *cell = fixture_cell(m, 6);
    struct ha_block *block = ha_block_of((uintptr_t)cell);

    memset(ha_block_start(block), DIRT, HA_BLOCK);
    ha_allocator_flush(&m->allocator);
    *fixture_mark(block, 3) = MARK_OLD; /* partly free: reused */
    fixture_sweep(&heap->space, 1);
    ck_assert_uint_eq(block->state, HA_PARTIAL);
    cell = fixture_cell(m, 6);
    ck_assert_ptr_eq(ha_block_of((uintptr_t)cell), block);
    ck_assert(is_filled(cell, 3 * block->cell, 0));
    ck_assert(is_filled(cell_start(block, 3), block->cell, DIRT));
    ha_allocator_flush(&m->allocator);
    *fixture_mark(block, 3) = MARK_OLD_BEFORE; /* wholly free */
    fixture_sweep(&heap->space, 1);
    ck_assert_uint_eq(block->state, HA_FREE);
    memset(ha_block_start(block), DIRT, HA_BLOCK);
    cell = fixture_cell(m, 122);
    ck_assert_ptr_eq(ha_block_of((uintptr_t)cell), block);
    ck_assert(is_filled(cell, block->cell, 0));
    ha_allocator_flush(&m->allocator);
    fixture_check(&heap->space);
    fixture_space_close(heap);
}
END_TEST

HARNESS_SUITE(hole)
{
    Suite *suite = suite_create("hole");
    TCase *search = tcase_create("search"), *flushing = tcase_create("flush"),
          *zero = tcase_create("zero");

    tcase_add_test(search, scan);
    tcase_add_test(search, every_class);
    tcase_add_test(search, lone_cells);
    suite_add_tcase(suite, search);
    tcase_add_test(flushing, flush);
    tcase_add_test(flushing, larger_cells);
    tcase_add_test(flushing, accounting);
    tcase_add_test(flushing, check);
    suite_add_tcase(suite, flushing);
    tcase_add_test(zero, cold_is_not_touched);
    tcase_add_test(zero, zero_again);
    suite_add_tcase(suite, zero);
    return suite;
}
