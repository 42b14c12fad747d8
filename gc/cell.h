/* gc/cell.h - weak references, ephemerons and entries of weak tables: objects with two special slots. */
#ifndef HEARTH_GC_CELL_H
#define HEARTH_GC_CELL_H

#include "gc/remember.h"
#include "hearth/heap.h"

struct hg_mutator;

enum hg_cell_pass {
    HG_CELL_SHORT, /* weak references that do not survive resurrection                     */
    HG_CELL_REST   /* long ones, ephemerons, entries; dead cells are forgotten              */
};

struct hg_cells {
    struct hg_remembered young, old;
};

hearth_status hg_cells_init(hearth_heap *heap);
void hg_cells_destroy(hearth_heap *heap);
/* Trace the values of ephemerons whose keys have been reached, until there are no more. */
void hg_cells_resolve(hearth_heap *heap, bool full);
/* A due callback (pending.c), at a safepoint; the caller holds the cell. Its room in the queue is the caller's. */
void hg_cell_call(struct hg_mutator *mutator, uintptr_t cell);
void hg_cells_clear(hearth_heap *heap, bool full, enum hg_cell_pass pass);

#endif
