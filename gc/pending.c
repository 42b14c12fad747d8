/* gc/pending.c */
#include "gc/heap.h"

hearth_status hg_pending_init(hearth_heap *heap)
{
    (void)heap;
    return HEARTH_OK;
}
void hg_pending_destroy(hearth_heap *heap)
{
    (void)heap;
}
void hg_pending_roots(hearth_heap *heap, struct hg_worker *worker)
{
    (void)heap;
    (void)worker;
}
bool hg_pending_reserve(hearth_heap *heap)
{
    (void)heap;
    return true;
}
void hg_pending_unreserve(hearth_heap *heap)
{
    (void)heap;
}
void hg_pending_cell(hearth_heap *heap, uintptr_t cell)
{
    (void)heap;
    (void)cell;
}
void hg_pending_run(struct hg_mutator *mutator)
{
    (void)mutator;
}
