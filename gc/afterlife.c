/* gc/afterlife.c - the order in which weak references, ephemerons and finalizers see a collection.
 * See afterlife.h. */
#include "gc/afterlife.h"

hearth_status hg_afterlife_init(hearth_heap *heap)
{
    hearth_status status = hg_cells_init(heap);
    if (status == HEARTH_OK)
        status = hg_pending_init(heap);
    if (status == HEARTH_OK)
        status = hg_finalizers_init(heap);
    if (status == HEARTH_OK)
        status = hg_pins_init(heap);
    if (status == HEARTH_OK)
        status = hg_control_init(heap);
    return status;
}

void hg_afterlife_destroy(hearth_heap *heap)
{
    hg_control_destroy(heap);
    hg_pins_destroy(heap);
    hg_finalizers_destroy(heap);
    hg_pending_destroy(heap);
    hg_cells_destroy(heap);
}

void hg_afterlife_roots(hearth_heap *heap, struct hg_worker *worker)
{
    hg_pending_roots(heap, worker);
    hg_pins_roots(heap, worker);
    hg_control_roots(heap, worker);
}

void hg_afterlife(hearth_heap *heap, bool full)
{
    hg_cells_resolve(heap, full);
    hg_control_found(heap);
    hg_leaks_judge(heap, full);
    if (hg_finalizers_legacy(heap, full))
        hg_cells_resolve(heap, full);
    hg_control_kept(heap);
    hg_cells_clear(heap, full, HG_CELL_SHORT);
    if (hg_finalizers_find(heap, full))
        hg_cells_resolve(heap, full);
    if (hg_control_save_all(heap, full))
        hg_cells_resolve(heap, full);
    hg_cells_clear(heap, full, HG_CELL_REST);
    hg_pins_settle(heap);
    hg_pending_age(heap);
    hg_pending_wake(heap);
}

hearth_status hg_afterlife_check(hearth_heap *heap, bool before)
{
    hearth_status status = hg_pending_check(heap);
    if (status == HEARTH_OK)
        status = hg_finalizers_check(heap, before);
    if (status == HEARTH_OK)
        status = hg_pins_check(heap);
    if (status == HEARTH_OK)
        status = hg_cells_check(heap, before);
    return status;
}
