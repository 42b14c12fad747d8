/* gc/finalize.c */
#include "gc/heap.h"

hearth_status hg_finalizers_init(hearth_heap *heap)
{
    (void)heap;
    return HEARTH_OK;
}
void hg_finalizers_destroy(hearth_heap *heap)
{
    (void)heap;
}
void hg_finalizers_roots(hearth_heap *heap, struct hg_worker *worker)
{
    (void)heap;
    (void)worker;
}
bool hg_finalizers_find(hearth_heap *heap, bool full)
{
    (void)heap;
    (void)full;
    return false;
}
