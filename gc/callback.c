/* gc/callback.c - callbacks of the control interface, at the beginning and the end of each collection.
 *
 * They run on the collecting thread while the world runs and no lock is held. Invariant: a thread inside a
 * callback calls no other; each START is followed by a STOP of the same thread. Lock: heap->lock for the
 * list, not while calling. */
#include "gc/heap.h"
#include "topology/error.h"
#include "topology/os.h"

bool hg_callbacks_due(const struct hg_mutator *m)
{
    return __builtin_expect(
               __atomic_load_n(&m->public.heap->control.callbacks, __ATOMIC_RELAXED) != 0, 0) &&
           !m->in_callback;
}

/* The list may change meanwhile: each is looked up by its place. */
void hg_callbacks_run(struct hg_mutator *m, hearth_gc_phase phase, const hearth_gc_info *info)
{
    hearth_heap *heap = m->public.heap;
    m->in_callback = true;
    for (uint32_t i = 0;; i++) {
        struct hg_callback callback = {NULL, NULL};
        pthread_mutex_lock(&heap->lock);
        if (i < heap->control.callbacks)
            callback = heap->control.callback[i];
        pthread_mutex_unlock(&heap->lock);
        if (callback.fn == NULL)
            break;
        callback.fn(&m->public, phase, info, callback.data);
    }
    m->in_callback = false;
}

static hearth_status hg_callback_arguments(hearth_heap *heap, hearth_gc_callback *fn,
                                           const char *call)
{
    if (heap == NULL || fn == NULL)
        return ht_fail(HEARTH_EINVAL, "%s: %s is NULL", call, heap == NULL ? "heap" : "fn");
    if (hg_in_callback(heap))
        return ht_fail(HEARTH_ESTATE, "%s: called while the world is stopped (heap %p)", call,
                       (void *)heap);
    return HEARTH_OK;
}

/* Its place, or how many there are. Lock is held. */
static uint32_t hg_callback_find(const struct hg_control *control, hearth_gc_callback *fn,
                                 const void *data)
{
    uint32_t i = 0;
    while (i < control->callbacks &&
           (control->callback[i].fn != fn || control->callback[i].data != data))
        i++;
    return i;
}

static bool hg_callback_room(struct hg_control *control)
{
    if (control->callbacks < control->callback_max)
        return true;
    uint32_t max = control->callback_max * 2 + 4;
    struct hg_callback *grown = ht_os_realloc(control->callback, max * sizeof *grown);
    if (grown == NULL)
        return false;
    control->callback = grown;
    control->callback_max = max;
    return true;
}

hearth_status hearth_gc_callback_add(hearth_heap *heap, hearth_gc_callback *fn, void *data)
{
    hearth_status status = hg_callback_arguments(heap, fn, "hearth_gc_callback_add");
    if (status != HEARTH_OK)
        return status;
    struct hg_control *control = &heap->control;
    pthread_mutex_lock(&heap->lock);
    if (hg_callback_find(control, fn, data) < control->callbacks) {
        status = ht_fail(HEARTH_ESTATE, "this callback (data %p) is there already", data);
    } else if (!hg_callback_room(control)) {
        status =
            ht_fail(HEARTH_ENOMEM, "no memory for one more than %u callbacks", control->callbacks);
    } else {
        control->callback[control->callbacks] = (struct hg_callback){fn, data};
        __atomic_store_n(&control->callbacks, control->callbacks + 1, __ATOMIC_RELAXED);
    }
    pthread_mutex_unlock(&heap->lock);
    return status;
}

hearth_status hearth_gc_callback_remove(hearth_heap *heap, hearth_gc_callback *fn, void *data)
{
    hearth_status status = hg_callback_arguments(heap, fn, "hearth_gc_callback_remove");
    if (status != HEARTH_OK)
        return status;
    struct hg_control *control = &heap->control;
    pthread_mutex_lock(&heap->lock);
    uint32_t i = hg_callback_find(control, fn, data);
    if (i == control->callbacks) {
        status = ht_fail(HEARTH_ESTATE, "this callback (data %p) is not there", data);
    } else {
        for (; i + 1 < control->callbacks; i++)
            control->callback[i] = control->callback[i + 1];
        __atomic_store_n(&control->callbacks, control->callbacks - 1, __ATOMIC_RELAXED);
    }
    pthread_mutex_unlock(&heap->lock);
    return status;
}
