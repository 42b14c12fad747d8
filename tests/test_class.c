/* tests/test_class.c - the size-class table against sizes computed in another way. */
#include <string.h>

#include "alloc/class.h"
#include "tests/harness.h"

/* The cells as the documentation has them: 16-byte steps to 256, eight steps per doubling to 8 KiB,
 * then the largest multiples of 16 of which 7, 6, ... 2 fit into a block behind 8 bytes. */
static unsigned independent_cells(uint32_t *cell)
{
    unsigned n = 0;

    for (uint32_t bytes = 16; bytes <= 256; bytes += 16)
        cell[n++] = bytes;
    for (uint32_t base = 256; base < 8192; base *= 2)
        for (uint32_t eighths = 9; eighths <= 16; eighths++)
            cell[n++] = base * eighths / 8;
    for (uint32_t parts = 7; parts >= 2; parts--) {
        uint32_t bytes = 65536 / parts;

        while (bytes % 16 != 0 || bytes * parts + 8 > 65536)
            bytes--;
        cell[n++] = bytes;
    }
    return n;
}

START_TEST(cells)
{
    uint32_t cell[HEARTH_CLASSES + 1];

    ck_assert_uint_eq(independent_cells(cell), HEARTH_CLASSES);
    for (unsigned c = 0; c < HEARTH_CLASSES; c++)
        ck_assert_uint_eq(ha_class_cell(c), cell[c]);
    for (unsigned c = 0; cell[c] <= HEARTH_INLINE_CELL; c++)
        ck_assert_uint_eq(hearth_cell_of_class(c), cell[c]);
    ck_assert_uint_eq(HA_SMALL_MAX, cell[HEARTH_CLASSES - 1] - HEARTH_HEADER);
}
END_TEST

/* The class of every payload is the smallest that holds it. */
START_TEST(every_payload)
{
    uint32_t cell[HEARTH_CLASSES + 1];
    unsigned expected = 0;

    independent_cells(cell);
    for (size_t payload = 1; payload <= HA_SMALL_MAX; payload++) {
        while (cell[expected] < payload + HEARTH_HEADER)
            expected++;
        if (ha_class_of(payload) != expected)
            ck_abort_msg("payload %zu: class %u, expected %u", payload, ha_class_of(payload),
                         expected);
    }
    ck_assert_uint_eq(expected, HEARTH_CLASSES - 1);
    ck_assert_uint_eq(ha_class_of(0), 0);
}
END_TEST

/* The public inline functions agree, for cells rounded up as the allocators do and for all others. */
START_TEST(every_inline_cell)
{
    uint32_t cell[HEARTH_CLASSES + 1];
    unsigned expected = 0;

    independent_cells(cell);
    for (size_t bytes = 1; bytes <= HEARTH_INLINE_CELL; bytes++) {
        while (cell[expected] < bytes)
            expected++;
        if (hearth_class_of_cell(bytes) != expected)
            ck_abort_msg("cell %zu: class %u, expected %u", bytes, hearth_class_of_cell(bytes),
                         expected);
        EXPECT(hearth_cell_of_class(hearth_class_of_cell(bytes)) >= bytes);
    }
}
END_TEST

/* Steps of at most an eighth, once past the 16-byte steps; fractions of a block fill it better than a
 * geometric step would. */
START_TEST(waste)
{
    for (unsigned c = 16; c < HEARTH_CLASSES - 6; c++)
        ck_assert_uint_le((ha_class_cell(c) - ha_class_cell(c - 1)) * 8, ha_class_cell(c - 1));
    for (unsigned c = HEARTH_CLASSES - 6; c < HEARTH_CLASSES; c++) {
        uint32_t cells = (HA_BLOCK - HEARTH_HEADER) / ha_class_cell(c);

        ck_assert_uint_eq(cells, HEARTH_CLASSES + 1 - c);
        ck_assert_uint_ge(cells * (ha_class_cell(c) + 16) + HEARTH_HEADER, HA_BLOCK);
    }
}
END_TEST

START_TEST(table)
{
    static struct ha_classes classes;

    memset(&classes, 0xff, sizeof classes);
    ha_classes_init(&classes);
    ck_assert(ha_classes_check(&classes));
    for (unsigned c = 0; c < HEARTH_CLASSES; c++) {
        const struct ha_class *class = &classes.of[c];
        uint8_t starts[HA_BLOCK_GRANULES] = {0};
        unsigned cells = 0;

        for (size_t at = HEARTH_HEADER; at + class->cell <= HA_BLOCK; at += class->cell, cells++)
            starts[(at + HEARTH_HEADER) / HEARTH_GRANULE] = 1;
        ck_assert_uint_eq(class->cell, ha_class_cell(c));
        ck_assert_uint_eq(class->cells, cells);
        ck_assert_uint_eq(class->stride * HEARTH_GRANULE, class->cell);
        ck_assert_uint_eq(class->end * HEARTH_GRANULE, 16 + cells * class->cell);
        for (unsigned g = 0; g < HA_BLOCK_GRANULES; g++)
            EXPECT((class->starts[g / 64] >> (g % 64) & 1) == starts[g]);
    }
}
END_TEST

/* The reciprocal divides exactly, for every offset in a block. */
START_TEST(reciprocal)
{
    static struct ha_classes classes;

    ha_classes_init(&classes);
    for (unsigned c = 0; c < HEARTH_CLASSES; c++) {
        uint64_t by = classes.of[c].reciprocal;
        uint32_t cell = classes.of[c].cell;

        for (uint32_t offset = 0; offset <= HA_BLOCK; offset++)
            if (offset * by >> 32 != offset / cell)
                ck_abort_msg("class %u: %u / %u", c, offset, cell);
    }
}
END_TEST

/* Whatever field of whatever class is damaged, the check sees it. */
START_TEST(damage)
{
    static struct ha_classes good, bad;

    ha_classes_init(&good);
    for (unsigned c = 0; c < HEARTH_CLASSES; c++) {
        struct ha_class *class = &bad.of[c];

        for (int kind = 0; kind < 8; kind++) {
            bad = good;
            switch (kind) {
            case 0:
                class->cell += 16;
                break;
            case 1:
                class->reciprocal ^= 1;
                break;
            case 2:
                class->cells--;
                break;
            case 3:
                class->stride++;
                break;
            case 4:
                class->end--;
                break;
            case 5: /* one start less */
                class->starts[0] &= class->starts[0] - 1;
                break;
            case 6: /* one start more, before the first */
                class->starts[0] |= 1;
                break;
            default: /* as many, elsewhere */
                class->starts[0] ^= 3;
                break;
            }
            if (ha_classes_check(&bad))
                ck_abort_msg("class %u: damage %d is not seen", c, kind);
        }
    }
    ck_assert(ha_classes_check(&good));
}
END_TEST

HARNESS_SUITE(class)
{
    Suite *suite = suite_create("class");
    TCase *sizes = tcase_create("sizes"), *tables = tcase_create("table");

    tcase_add_test(sizes, cells);
    tcase_add_test(sizes, every_payload);
    tcase_add_test(sizes, every_inline_cell);
    tcase_add_test(sizes, waste);
    suite_add_tcase(suite, sizes);
    tcase_add_test(tables, table);
    tcase_add_test(tables, reciprocal);
    tcase_add_test(tables, damage);
    suite_add_tcase(suite, tables);
    return suite;
}
