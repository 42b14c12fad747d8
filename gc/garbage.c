/* gc/garbage.c - the list of garbage: objects that could not, or were not to be, reclaimed.
 *
 * Invariant: every entry is an object, and a root of every collection. The list grows in plain memory; if it
 * can not, during a collection, nothing is lost: SAVEALL lets go what found no place, and a legacy
 * finalizer's object is tried again. Lock: heap->lock. */
#include <string.h>

#include "gc/heap.h"
#include "gc/trace.h"
#include "topology/error.h"
#include "topology/os.h"

enum { HG_GARBAGE_STEP = 64 };

/* Room for one more; false: no memory, not even for a few. */
static bool hg_garbage_room(struct hg_control *control)
{
    if (control->garbages < control->garbage_max)
        return true;
    size_t max = control->garbage_max * 2 + HG_GARBAGE_STEP;
    uintptr_t *grown = ht_os_realloc(control->garbage, max * sizeof *grown);
    if (grown == NULL) {
        max = control->garbage_max + HG_GARBAGE_STEP;
        grown = ht_os_realloc(control->garbage, max * sizeof *grown);
    }
    if (grown == NULL)
        return false;
    control->garbage = grown;
    control->garbage_max = max;
    return true;
}

void hg_garbage_roots(hearth_heap *heap, struct hg_worker *worker)
{
    for (size_t i = 0; i < heap->control.garbages; i++)
        hg_trace_push(worker, heap->control.garbage[i], 0);
}

bool hg_garbage_add(hearth_heap *heap, uintptr_t object)
{
    struct hg_control *control = &heap->control;
    if (!hg_garbage_room(control))
        return false;
    control->garbage[control->garbages++] = object;
    if (__atomic_load_n(&control->debug, __ATOMIC_RELAXED) & HEARTH_GC_DEBUG_UNCOLLECTABLE)
        hg_control_say_object(heap, "uncollectable", object);
    return true;
}

static void hg_save_unreached(void *data, uintptr_t object, uint8_t mark)
{
    hearth_heap *heap = data;
    struct hg_control *control = &heap->control;
    if (hg_mark_is_live(&heap->marks, mark) || !hg_garbage_room(control))
        return;
    control->garbage[control->garbages++] = object;
    control->saved++;
}

bool hg_control_save_all(hearth_heap *heap, bool full)
{
    (void)full;
    struct hg_control *control = &heap->control;
    if (!(__atomic_load_n(&control->debug, __ATOMIC_RELAXED) & HEARTH_GC_DEBUG_SAVEALL))
        return false;
    size_t first = control->garbages;
    hg_walk_allocated(heap, hg_save_unreached, heap);
    if (control->garbages == first)
        return false;
    struct hg_worker *worker = hg_trace_more(heap->trace);
    for (size_t i = first; i < control->garbages; i++)
        hg_trace_push(worker, control->garbage[i], 0);
    hg_trace_run(heap->trace);
    return true;
}

/* --- public --------------------------------------------------------------------------------------- */

size_t hearth_gc_garbage_count(hearth_heap *heap)
{
    if (heap == NULL)
        return 0;
    if (hg_in_callback(heap))
        return heap->control.garbages;
    pthread_mutex_lock(&heap->lock);
    size_t count = heap->control.garbages;
    pthread_mutex_unlock(&heap->lock);
    return count;
}

static hearth_status hg_garbage_no_entry(const char *call, size_t index, size_t count)
{
    return ht_fail(HEARTH_EINVAL, "%s: index %zu; garbage has %zu entries", call, index, count);
}

void *hearth_gc_garbage_get(hearth_mutator *mutator, size_t index)
{
    if (hg_mutator_ready(mutator, "hearth_gc_garbage_get") != HEARTH_OK)
        return NULL;
    hearth_heap *heap = mutator->heap;
    uintptr_t object = 0;
    pthread_mutex_lock(&heap->lock);
    size_t count = heap->control.garbages;
    if (index < count)
        object = heap->control.garbage[index];
    pthread_mutex_unlock(&heap->lock);
    if (index >= count)
        hg_garbage_no_entry("hearth_gc_garbage_get", index, count);
    return (void *)object;
}

hearth_status hearth_gc_garbage_append(hearth_mutator *mutator, void *object)
{
    hearth_status status = hg_mutator_ready(mutator, "hearth_gc_garbage_append");
    if (status != HEARTH_OK)
        return status;
    if (object == NULL)
        return ht_fail(HEARTH_EINVAL, "hearth_gc_garbage_append: object is NULL");
    if (!hg_is_object_for(hg_mutator_of(mutator), (uintptr_t)object))
        return ht_fail(HEARTH_EOBJECT, "hearth_gc_garbage_append: %p is not an object of this heap",
                       object);
    hearth_heap *heap = mutator->heap;
    pthread_mutex_lock(&heap->lock);
    if (hg_garbage_room(&heap->control))
        heap->control.garbage[heap->control.garbages++] = (uintptr_t)object;
    else
        status = ht_fail(HEARTH_ENOMEM, "no memory for one more than %zu entries of garbage",
                         heap->control.garbages);
    pthread_mutex_unlock(&heap->lock);
    return status;
}

hearth_status hearth_gc_garbage_remove(hearth_mutator *mutator, size_t index)
{
    hearth_status status = hg_mutator_ready(mutator, "hearth_gc_garbage_remove");
    if (status != HEARTH_OK)
        return status;
    struct hg_control *control = &mutator->heap->control;
    pthread_mutex_lock(&mutator->heap->lock);
    if (index < control->garbages)
        memmove(&control->garbage[index], &control->garbage[index + 1],
                (--control->garbages - index) * sizeof *control->garbage);
    else
        status = hg_garbage_no_entry("hearth_gc_garbage_remove", index, control->garbages);
    pthread_mutex_unlock(&mutator->heap->lock);
    return status;
}

hearth_status hearth_gc_garbage_clear(hearth_mutator *mutator)
{
    hearth_status status = hg_mutator_ready(mutator, "hearth_gc_garbage_clear");
    if (status != HEARTH_OK)
        return status;
    struct hg_control *control = &mutator->heap->control;
    pthread_mutex_lock(&mutator->heap->lock);
    ht_os_free(control->garbage);
    control->garbage = NULL;
    control->garbages = control->garbage_max = 0;
    pthread_mutex_unlock(&mutator->heap->lock);
    return HEARTH_OK;
}
