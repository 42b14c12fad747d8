/* gc/observe.c - telling an observer who works for the collector and when; the heap's address range.
 *
 * Invariant: the observer changes only under heap->lock while no collection runs, so that each begin is
 * followed by its end. Lock order: heap->lock first of all. */
#include <string.h>

#include "gc/heap.h"
#include "topology/error.h"

hearth_status hearth_observe(hearth_heap *heap, const hearth_observer *observer)
{
    static const hearth_observer none;
    if (heap == NULL)
        return ht_fail(HEARTH_EINVAL, "hearth_observe: heap is NULL");
    if (observer != NULL && observer->struct_size != sizeof *observer)
        return ht_fail(HEARTH_EINVAL, "hearth_observer.struct_size is %zu, not %zu",
                       observer->struct_size, sizeof *observer);
    if (hg_in_callback(heap))
        return ht_fail(HEARTH_ESTATE, "hearth_observe: called from a callback of heap %p",
                       (void *)heap);
    pthread_mutex_lock(&heap->lock);
    heap->observer = observer != NULL ? *observer : none;
    pthread_mutex_unlock(&heap->lock);
    return HEARTH_OK;
}

void hg_observe_begin(hearth_heap *heap, hearth_gc_kind kind)
{
    if (heap->observer.collection_begin != NULL)
        heap->observer.collection_begin(heap->observer.data, heap, kind);
}

void hg_observe_end(hearth_heap *heap, const hearth_collection *collection)
{
    if (heap->observer.collection_end != NULL)
        heap->observer.collection_end(heap->observer.data, heap, collection);
}

void hg_observe_worker_begin(hearth_heap *heap, int worker, int node)
{
    if (heap->observer.worker_begin != NULL)
        heap->observer.worker_begin(heap->observer.data, heap, worker, node);
}

void hg_observe_worker_end(hearth_heap *heap, int worker, int node)
{
    if (heap->observer.worker_end != NULL)
        heap->observer.worker_end(heap->observer.data, heap, worker, node);
}

hearth_status hearth_heap_range(const hearth_heap *heap, const void **low, const void **high)
{
    if (heap == NULL || low == NULL || high == NULL)
        return ht_fail(HEARTH_EINVAL, "hearth_heap_range: %s is NULL",
                       heap == NULL  ? "heap"
                       : low == NULL ? "low"
                                     : "high");
    *low = (const void *)heap->space.windows->base;
    *high = (const void *)(heap->space.windows->base + heap->space.windows->bytes);
    return HEARTH_OK;
}
