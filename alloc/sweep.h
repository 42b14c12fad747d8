/* alloc/sweep.h - sweeping one block: dead marks are cleared, live cells counted. */
#ifndef HEARTH_ALLOC_SWEEP_H
#define HEARTH_ALLOC_SWEEP_H

#include "alloc/space.h"

struct ha_swept {
    uint32_t live; /* marked cells left                                   */
    bool aging;    /* some are of generation 1                            */
};

/* Clear the marks equal to `dead_a` or `dead_b` (marks of the last collection that were not renewed)
 * and count. `gen1` is the mark of present generation-1 objects. World stopped, one worker a block. */
struct ha_swept ha_sweep_block(struct ha_block *block, uint8_t dead_a, uint8_t dead_b,
                               uint8_t gen1);

#endif
