/* gc/cell.c */
#include "gc/heap.h"

hearth_status hg_cells_init(hearth_heap *heap)
{
    (void)heap;
    return HEARTH_OK;
}
void hg_cells_destroy(hearth_heap *heap)
{
    (void)heap;
}
void hg_cells_resolve(hearth_heap *heap, bool full)
{
    (void)heap;
    (void)full;
}
void hg_cell_call(struct hg_mutator *mutator, uintptr_t cell)
{
    (void)mutator;
    (void)cell;
}
void hg_cells_clear(hearth_heap *heap, bool full, enum hg_cell_pass pass)
{
    (void)heap;
    (void)full;
    (void)pass;
}
