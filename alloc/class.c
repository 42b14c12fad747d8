/* alloc/class.c - the size-class table.
 *
 * Invariant: cell sizes grow strictly, are multiples of 16, and a payload's class is the smallest
 * one that holds it. The last six classes are fractions of a block (1/7 ... 1/2): a geometric step
 * would waste up to a third of the block there. No locks; owned by whoever holds the copy. */
#include "alloc/class.h"

#include <string.h>

enum { HA_FRACTIONS = 6, HA_GEOMETRIC = HEARTH_CLASSES - HA_FRACTIONS };

/* 8 + n * cell <= 65536 for n = 7, 6, 5, 4, 3, 2. */
static const uint16_t ha_fraction[HA_FRACTIONS] = {9360, 10912, 13104, 16368, 21840, 32752};

uint32_t ha_class_cell(unsigned size_class)
{
    if (size_class < HA_GEOMETRIC)
        return (uint32_t)hearth_cell_of_class(size_class);
    return ha_fraction[size_class - HA_GEOMETRIC];
}

unsigned ha_class_of(size_t payload)
{
    size_t cell = (payload + HEARTH_HEADER + 15) & ~(size_t)15;
    if (cell <= HEARTH_INLINE_CELL)
        return hearth_class_of_cell(cell);
    unsigned i = 0;
    while (ha_fraction[i] < cell)
        i++;
    return HA_GEOMETRIC + i;
}

static void ha_class_init(struct ha_class *class, unsigned size_class)
{
    memset(class, 0, sizeof *class);
    class->cell = ha_class_cell(size_class);
    class->reciprocal = (uint32_t)((((uint64_t)1 << 32) + class->cell - 1) / class->cell);
    class->cells = (uint16_t)((HA_BLOCK - HEARTH_HEADER) / class->cell);
    class->stride = (uint16_t)(class->cell / HEARTH_GRANULE);
    class->end = (uint16_t)(HA_FIRST_GRANULE + class->cells * class->stride);
    for (unsigned i = 0; i < class->cells; i++) {
        unsigned granule = HA_FIRST_GRANULE + i * class->stride;
        class->starts[granule / 64] |= (uint64_t)1 << (granule % 64);
    }
}

void ha_classes_init(struct ha_classes *classes)
{
    for (unsigned c = 0; c < HEARTH_CLASSES; c++)
        ha_class_init(&classes->of[c], c);
}

bool ha_classes_check(const struct ha_classes *classes)
{
    uint32_t below = 0;
    for (unsigned c = 0; c < HEARTH_CLASSES; c++) {
        const struct ha_class *class = &classes->of[c];
        struct ha_class right;
        ha_class_init(&right, c);
        if (memcmp(class, &right, sizeof right) != 0 || class->cell <= below ||
            class->cell % 16 != 0 || class->end > HA_BLOCK_GRANULES ||
            ha_class_of(class->cell - HEARTH_HEADER) != c ||
            (c > 0 && ha_class_of(below - HEARTH_HEADER + 1) != c))
            return false;
        below = class->cell;
    }
    return true;
}
