/* alloc/class.h - size classes and where their cells lie in a block.
 *
 * Class c has cells of `cell` bytes, header included. Cell i of a block begins at byte 8 + i * cell, its
 * object at byte 16 + i * cell: granule 1 + i * (cell / 16). The table is immutable; every pool
 * holds a copy on its own node. Constants: notes in docs/design.md (12.5 % steps; measured). */
#ifndef HEARTH_ALLOC_CLASS_H
#define HEARTH_ALLOC_CLASS_H

#include "hearth/layout.h"

enum {
    HA_BLOCK_SHIFT = 16,
    HA_BLOCK = 1 << HA_BLOCK_SHIFT,          /* bytes of a block                          */
    HA_BLOCK_GRANULES = HA_BLOCK / 16,       /* metadata bytes of a block                 */
    HA_BLOCK_WORDS = HA_BLOCK_GRANULES / 64, /* 64-granule words of a block               */
    HA_FIRST_GRANULE = 1,                    /* of the first object in a block            */
    HA_SMALL_MAX = 32752 - HEARTH_HEADER     /* largest payload that is not a large object */
};

struct ha_class {
    uint32_t cell;                   /* bytes, header included                               */
    uint32_t reciprocal;             /* ceil(2^32 / cell): cell index without a division     */
    uint16_t cells;                  /* in one block                                         */
    uint16_t stride;                 /* granules from one object to the next                 */
    uint16_t end;                    /* granule behind the last cell                         */
    uint16_t unused;                 /* 0: no padding, so that tables can be compared        */
    uint64_t starts[HA_BLOCK_WORDS]; /* bit per granule: an object may begin here            */
};

struct ha_classes {
    struct ha_class of[HEARTH_CLASSES];
};

void ha_classes_init(struct ha_classes *classes);

/* Class of a payload of 1 .. HA_SMALL_MAX bytes. */
unsigned ha_class_of(size_t payload);

/* Cell bytes of a class, from 0 to HEARTH_CLASSES - 1. */
uint32_t ha_class_cell(unsigned size_class);

bool ha_classes_check(const struct ha_classes *classes);

#endif
