/* tests/test_block.c - where things lie in a chunk, formatting, and what the check of a block sees. */
#define _GNU_SOURCE 1

#include <sys/mman.h>

#include "tests/space_fixture.h"

enum { DATA = HA_HEAD_BLOCKS * HA_BLOCK, METADATA = DATA / 16 };

/* A chunk's memory without a window. */
static struct ha_chunk *bare_chunk(void)
{
    char *memory = mmap(NULL, (size_t)2 * HA_CHUNK, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    ck_assert_ptr_ne(memory, MAP_FAILED);
    return (struct ha_chunk *)(((uintptr_t)memory + HA_CHUNK - 1) & -(uintptr_t)HA_CHUNK);
}

/* --- layout ---------------------------------------------------------------------------------------- */

START_TEST(headers)
{
    struct ha_chunk *chunk = bare_chunk();
    uintptr_t base = (uintptr_t)chunk, before = base + sizeof *chunk;

    for (unsigned i = HA_HEAD_BLOCKS; i < HA_CHUNK_BLOCKS; i++) {
        struct ha_block *block = ha_block_at(chunk, i);

        ck_assert_uint_ge((uintptr_t)block, before);
        before = (uintptr_t)(block + 1);
        ck_assert_uint_eq(ha_block_number(block), i);
        ck_assert_ptr_eq(ha_chunk_of(block), chunk);
        ck_assert_ptr_eq(ha_block_start(block), (char *)base + (size_t)i * HA_BLOCK);
        ck_assert_ptr_eq(ha_block_meta(block), (uint8_t *)base + (size_t)i * HA_BLOCK_GRANULES);
        ck_assert_ptr_eq(ha_cell_at(block, HA_FIRST_GRANULE),
                         ha_block_start(block) + HEARTH_HEADER);
    }
    ck_assert_uint_le(before, base + METADATA);
    ck_assert_ptr_eq(ha_block_meta(ha_block_at(chunk, HA_HEAD_BLOCKS)), (uint8_t *)base + METADATA);
    ck_assert_ptr_eq(ha_block_meta(ha_block_at(chunk, HA_CHUNK_BLOCKS - 1)) + HA_BLOCK_GRANULES,
                     (uint8_t *)base + DATA);
    ck_assert_ptr_eq(ha_block_start(ha_block_at(chunk, HA_HEAD_BLOCKS)), (char *)base + DATA);
    ck_assert_uint_eq(HA_DATA_BLOCKS + HA_HEAD_BLOCKS, HA_CHUNK_BLOCKS);
}
END_TEST

/* Every address of the blocks leads to its block and to a metadata byte of its own granule. */
START_TEST(addresses)
{
    struct ha_chunk *chunk = bare_chunk();
    uintptr_t base = (uintptr_t)chunk;

    for (uintptr_t p = base + DATA; p < base + HA_CHUNK; p += 8) {
        struct ha_block *block = ha_block_of(p);
        size_t offset = p - (uintptr_t)ha_block_start(block);

        EXPECT(ha_chunk_base(p) == base && ha_chunk_of((void *)p) == chunk);
        EXPECT(ha_block_index(p) == (p - base) / HA_BLOCK);
        EXPECT(block == ha_block_at(chunk, ha_block_index(p)));
        EXPECT(offset < HA_BLOCK);
        EXPECT(ha_meta_of(p) == ha_block_meta(block) + offset / HEARTH_GRANULE);
    }
    ck_assert_uint_eq(ha_block_index(base), 0);
    ck_assert_uint_eq(ha_block_index(base + DATA - 1), HA_HEAD_BLOCKS - 1);
}
END_TEST

/* Cells are disjoint, within the block, and their objects 16-byte aligned. */
START_TEST(cells)
{
    static struct ha_classes classes;
    struct ha_block *block = ha_block_at(bare_chunk(), 17);
    char *start = ha_block_start(block);

    ha_classes_init(&classes);
    for (unsigned c = 0; c < HEARTH_CLASSES; c++) {
        ha_block_format(block, &classes, c * 2);
        char *at = start + HEARTH_HEADER;
        for (unsigned i = 0; i < block->cells; i++, at += block->cell) {
            uintptr_t object = ha_object_at(block, i);
            unsigned granule = (unsigned)((char *)object - start) / HEARTH_GRANULE;

            EXPECT((char *)object == at + HEARTH_HEADER && object % HEARTH_GRANULE == 0);
            EXPECT(granule == HA_FIRST_GRANULE + i * classes.of[c].stride);
            EXPECT(ha_cell_at(block, granule) == at);
        }
        ck_assert(at <= start + HA_BLOCK && at + block->cell > start + HA_BLOCK);
        ck_assert_ptr_eq(ha_cell_at(block, block->end), at);
        ck_assert_uint_eq(ha_object_capacity(ha_object_at(block, 0)), block->cell - 8);
    }
}
END_TEST

START_TEST(large_capacity)
{
    struct ha_block *block = ha_block_at(bare_chunk(), HA_HEAD_BLOCKS);

    block->state = HA_LARGE;
    block->size = 12345678;
    ck_assert_uint_eq(ha_object_capacity((uintptr_t)ha_block_start(block) + 16), 12345678);
}
END_TEST

/* --- formatting ------------------------------------------------------------------------------------ */

START_TEST(format_chunk)
{
    struct ha_chunk *chunk = bare_chunk();
    struct ha_pool *pool = (struct ha_pool *)0x1230;

    ha_chunk_format(chunk, pool, 1);
    ck_assert_ptr_eq(chunk->pool, pool);
    ck_assert_uint_eq(chunk->span, 1);
    ck_assert_uint_eq(chunk->free_mask, UINT64_C(0xfffffffffffffff0));
    ck_assert_uint_eq(chunk->cold_mask, chunk->free_mask);
    for (unsigned i = HA_HEAD_BLOCKS; i < HA_CHUNK_BLOCKS; i++)
        ck_assert_uint_eq(ha_block_at(chunk, i)->state, HA_COLD);
    fixture_zero((char *)chunk + METADATA, HA_CHUNK - METADATA);
}
END_TEST

START_TEST(format_span)
{
    struct ha_chunk *chunk = bare_chunk();

    ha_chunk_format(chunk, NULL, 2);
    ck_assert_uint_eq(chunk->span, 2);
    ck_assert_uint_eq(chunk->free_mask | chunk->cold_mask, 0);
    for (unsigned i = HA_HEAD_BLOCKS; i < HA_CHUNK_BLOCKS; i++)
        ck_assert_uint_eq(ha_block_at(chunk, i)->state, HA_NONE);
}
END_TEST

/* Whatever a block was before, a large object's first block for example. */
START_TEST(format_block)
{
    static struct ha_classes classes;
    struct ha_chunk *chunk = bare_chunk();
    struct ha_block *block = ha_block_at(chunk, 60);

    ha_classes_init(&classes);
    for (unsigned run = 0; run < HEARTH_RUNS; run++) {
        const struct ha_class *class = &classes.of[run / 2];

        memset(block, 0xee, sizeof *block);
        block->state = HA_CURRENT;
        block->young = 1;
        ha_block_format(block, &classes, run);
        ck_assert_uint_eq(block->size_class, run / 2);
        ck_assert_uint_eq(block->kind, run % 2 ? HA_LEAF : HA_SCAN);
        ck_assert_uint_eq(block->cell, class->cell);
        ck_assert_uint_eq(block->cells, class->cells);
        ck_assert_uint_eq(block->end, class->end);
        ck_assert_uint_eq(block->reciprocal, class->reciprocal);
        ck_assert_uint_eq(block->live, 0);
        ck_assert_uint_eq(block->span, 0);
        ck_assert_uint_eq(block->size, 0);
        ck_assert_ptr_null(block->frontier);
        ck_assert_ptr_null(block->cards);
        ck_assert_uint_eq(block->state, HA_CURRENT);
        HARNESS_OK(ha_block_check(block));
    }
}
END_TEST

/* --- the check ------------------------------------------------------------------------------------- */

static struct ha_classes classes;

/* A swept block with random marks, and cards in some of the marked cells. */
static struct ha_block *marked_block(unsigned run, uint64_t *random)
{
    struct ha_block *block = ha_block_at(bare_chunk(), 4 + (unsigned)(*random % 60));
    uint8_t *meta = ha_block_meta(block);

    ha_block_format(block, &classes, run);
    block->state = HA_PARTIAL;
    for (unsigned i = 0; i < block->cells; i++) {
        unsigned granule = HA_FIRST_GRANULE + i * (block->cell / HEARTH_GRANULE);

        if (harness_random_below(random, 3) == 0)
            continue;
        meta[granule] = 1u << harness_random_below(random, 4);
        block->live++;
        for (unsigned g = 1; g < block->cell / HEARTH_GRANULE; g++)
            if (harness_random_below(random, 4) == 0)
                meta[granule + g] = HA_CARD;
    }
    if (block->live == 0) {
        meta[HA_FIRST_GRANULE] = 1;
        block->live = 1;
    }
    return block;
}

static void drop_block(struct ha_block *block)
{
    munmap(ha_chunk_of(block), HA_CHUNK);
}

START_TEST(check_good)
{
    uint64_t random = harness_seed();

    ha_classes_init(&classes);
    for (unsigned run = 0; run < HEARTH_RUNS; run++) {
        struct ha_block *block = marked_block(run, &random);
        char *start = ha_block_start(block);

        HARNESS_OK(ha_block_check(block));
        block->young = 1;
        HARNESS_OK(ha_block_check(block));
        block->frontier = start;
        HARNESS_OK(ha_block_check(block));
        block->frontier = start + HA_BLOCK;
        HARNESS_OK(ha_block_check(block));
        for (unsigned i = 0; i <= block->cells; i += 1 + block->cells / 7) {
            block->frontier = start + HEARTH_HEADER + (size_t)i * block->cell;
            HARNESS_OK(ha_block_check(block));
        }
        drop_block(block);
    }
}
END_TEST

static void damaged(struct ha_block *block, const char *what)
{
    hearth_status status = ha_block_check(block);

    if (status != HEARTH_ECORRUPT)
        ck_abort_msg("cells of %u bytes: %s is not seen", ha_class_cell(block->size_class), what);
    harness_expect_error(what, HEARTH_ECORRUPT, NULL);
}

#define DAMAGE(field, value)                                                                       \
    do {                                                                                           \
        __typeof__(block->field) kept = block->field;                                              \
        block->field = (__typeof__(block->field))(value);                                          \
        damaged(block, #field " = " #value);                                                       \
        block->field = kept;                                                                       \
    } while (0)

START_TEST(check_header)
{
    uint64_t random = harness_seed();

    ha_classes_init(&classes);
    for (unsigned run = 0; run < HEARTH_RUNS; run += 5) {
        struct ha_block *block = marked_block(run, &random);
        char *start = ha_block_start(block);

        DAMAGE(cell, kept + 16);
        DAMAGE(cell, 0);
        DAMAGE(size_class, kept ^ 1);
        DAMAGE(kind, 2);
        DAMAGE(reciprocal, kept - 1);
        DAMAGE(cells, kept - 1);
        DAMAGE(cells, kept + 1);
        DAMAGE(end, kept - 1);
        DAMAGE(live, kept + 1);
        DAMAGE(live, kept - 1);
        DAMAGE(frontier, start + 8);
        block->young = 1;
        DAMAGE(frontier, start - 8);
        DAMAGE(frontier, start + HA_BLOCK + 8);
        DAMAGE(frontier, start + 16);
        DAMAGE(frontier, start + HA_BLOCK - 1);
        DAMAGE(size_class, HEARTH_CLASSES);
        HARNESS_OK(ha_block_check(block));
        drop_block(block);
    }
}
END_TEST

static void damage_byte(struct ha_block *block, unsigned granule, uint8_t value, const char *what)
{
    uint8_t *byte = &ha_block_meta(block)[granule], kept = *byte;

    *byte = value;
    damaged(block, what);
    *byte = kept;
}

START_TEST(check_metadata)
{
    uint64_t random = harness_seed();

    ha_classes_init(&classes);
    for (unsigned run = 0; run < HEARTH_RUNS; run += 3) {
        struct ha_block *block = marked_block(run, &random);
        uint8_t *meta = ha_block_meta(block);
        unsigned stride = block->cell / HEARTH_GRANULE, i = 0;

        damage_byte(block, 0, 1, "a mark before the first cell");
        damage_byte(block, 0, HA_CARD, "a card before the first cell");
        if (block->end < HA_BLOCK_GRANULES) {
            damage_byte(block, block->end, 1, "a mark behind the last cell");
            damage_byte(block, HA_BLOCK_GRANULES - 1, HA_CARD, "a card at the end");
        }
        while (meta[HA_FIRST_GRANULE + i * stride] == 0)
            i++;
        damage_byte(block, HA_FIRST_GRANULE + i * stride, HA_CARD, "a card as a mark");
        damage_byte(block, HA_FIRST_GRANULE + i * stride, HA_CARD | 1, "a card on a mark");
        damage_byte(block, HA_FIRST_GRANULE + i * stride, 0, "a lost mark");
        if (stride > 1)
            damage_byte(block, HA_FIRST_GRANULE + i * stride + 1, 1, "a mark inside a cell");
        for (i = 0; i < block->cells && meta[HA_FIRST_GRANULE + i * stride] != 0;)
            i++;
        if (i < block->cells) {
            damage_byte(block, HA_FIRST_GRANULE + i * stride, 1, "a mark too many");
            if (stride > 1)
                damage_byte(block, HA_FIRST_GRANULE + i * stride + stride - 1, HA_CARD,
                            "a card in a free cell");
        }
        HARNESS_OK(ha_block_check(block));
        drop_block(block);
    }
}
END_TEST

HARNESS_SUITE(block)
{
    Suite *suite = suite_create("block");
    TCase *layout = tcase_create("layout"), *format = tcase_create("format"),
          *check = tcase_create("check");

    tcase_add_test(layout, headers);
    tcase_add_test(layout, addresses);
    tcase_add_test(layout, cells);
    tcase_add_test(layout, large_capacity);
    suite_add_tcase(suite, layout);
    tcase_add_test(format, format_chunk);
    tcase_add_test(format, format_span);
    tcase_add_test(format, format_block);
    suite_add_tcase(suite, format);
    tcase_add_test(check, check_good);
    tcase_add_test(check, check_header);
    tcase_add_test(check, check_metadata);
    suite_add_tcase(suite, check);
    return suite;
}
