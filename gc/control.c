/* gc/control.c */
#include "gc/heap.h"

hearth_status hg_control_init(hearth_heap *heap)
{
    (void)heap;
    return HEARTH_OK;
}
void hg_control_destroy(hearth_heap *heap)
{
    (void)heap;
}
void hg_control_roots(hearth_heap *heap, struct hg_worker *worker)
{
    (void)heap;
    (void)worker;
}
void hg_garbage_add(hearth_heap *heap, uintptr_t object)
{
    (void)heap;
    (void)object;
}
bool hg_control_save_all(hearth_heap *heap, bool full)
{
    (void)heap;
    (void)full;
    return false;
}
