/* gc/ephemeron.h - what the tracer does with ephemerons; see ephemeron.c. World stopped. */
#ifndef HEARTH_GC_EPHEMERON_H
#define HEARTH_GC_EPHEMERON_H

#include "gc/trace.h"

/* A reached ephemeron, its worker's `promote` set: push its value if its key is reached. */
void hg_ephemeron_trace(struct hg_worker *worker, uintptr_t object);
/* A newly marked object in a block that holds watched keys: push the values of its ephemerons. */
void hg_ephemeron_key(struct hg_worker *worker, uintptr_t key);
/* The end of a collection: no key is watched any more. */
void hg_ephemerons_forget(hearth_heap *heap);

/* The kind of a cell that the heap knows. */
static inline uint8_t hg_cell_row(const hearth_heap *heap, uintptr_t object)
{
    uint64_t header = __atomic_load_n(hearth_header_of((void *)object), __ATOMIC_RELAXED);
    return heap->types.row[hg_header_type(header)].cell;
}

/* Is the referent of a weak slot alive as far as this collection knows? Foreign addresses always are. */
static inline bool hg_referent_lives(const hearth_heap *heap, uintptr_t referent)
{
    if (!ha_windows_contain(heap->space.windows, referent))
        return true;
    uint8_t mark = __atomic_load_n(ha_meta_of(referent), __ATOMIC_SEQ_CST) & HA_MARK;
    return hg_mark_is_live(&heap->marks, mark);
}

/* Ask ahead for the header and slots of the i-th of a list's cells, and for the mark of what an earlier one refers
 * to weakly. */
enum { HG_CELLS_AHEAD = 16 };
static inline void hg_cell_prefetch(const hearth_heap *heap, const uintptr_t *cell, size_t count,
                                    size_t i)
{
    if (i < count) {
        __builtin_prefetch((void *)(cell[i] - HEARTH_HEADER), 0, 3);
        __builtin_prefetch(ha_meta_of(cell[i]), 0, 3);
    }
    if (i >= HG_CELLS_AHEAD && i - HG_CELLS_AHEAD < count) {
        uintptr_t weak = (uintptr_t)((struct hg_cell *)cell[i - HG_CELLS_AHEAD])->weak;
        if (ha_windows_contain(heap->space.windows, weak))
            __builtin_prefetch(ha_meta_of(weak), 0, 3);
    }
}

#endif
