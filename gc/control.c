/* gc/control.c - debugging flags, statistics per generation, and what a collection counts.
 *
 * Objects found unreachable are those reclaimed, counted by the sweep, and those that tracing reached only
 * after the closure from the roots was complete. Lock: heap->lock; lines for the log are made by the
 * collecting thread while the world stands. */
#include "gc/control.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "gc/freeze.h"
#include "gc/heap.h"
#include "gc/trace.h"
#include "topology/error.h"
#include "topology/os.h"

hearth_status hg_control_init(hearth_heap *heap)
{
    struct hg_control *control = &heap->control;
    for (int i = 0; i < HG_GENERATIONS; i++)
        control->stats[i].struct_size = sizeof control->stats[i];
    control->threshold.limit[1] = control->threshold.limit[2] = 10; /* CPython's */
    return HEARTH_OK;
}

void hg_control_destroy(hearth_heap *heap)
{
    struct hg_control *control = &heap->control;
    ht_os_free(control->callback);
    ht_os_free(control->garbage);
    hg_remember_free(&control->thawed);
}

void hg_control_roots(hearth_heap *heap, struct hg_worker *worker)
{
    hg_garbage_roots(heap, worker);
    if (heap->trace->full && hg_has_frozen(heap))
        hg_freeze_roots(heap, worker);
}

/* --- debugging flags ------------------------------------------------------------------------------ */

void hg_control_say(hearth_heap *heap, const char *format, ...)
{
    char line[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (heap->control.log != NULL)
        heap->control.log(heap->control.log_data, heap, line);
    else
        fprintf(stderr, "%s\n", line);
}

void hg_control_say_object(hearth_heap *heap, const char *what, uintptr_t object)
{
    uint64_t header = *hearth_header_of((void *)object);
    const char *name = heap->types.row[hg_header_type(header)].name;
    hg_control_say(heap, "gc: %s <%s %p>", what, name != NULL ? name : "?", (void *)object);
}

static void hg_say_unreached(void *data, uintptr_t object, uint8_t mark)
{
    hearth_heap *heap = data;
    if (!hg_mark_is_live(&heap->marks, mark))
        hg_control_say_object(heap, "collectable", object);
}

static void hg_count_young(void *data, uintptr_t object, uint8_t mark)
{
    (void)object;
    uint64_t *counts = ((void **)data)[1];
    const hearth_heap *heap = ((void **)data)[0];
    counts[mark == heap->marks.gen1 ? 1 : 2] += mark != HG_FROZEN;
}

/* What CPython prints at the beginning. */
static void hg_say_begin(hearth_heap *heap, int generation, uint64_t allocated)
{
    uint64_t counts[HG_GENERATIONS] = {allocated, 0, 0};
    void *data[2] = {heap, counts};
    hg_walk_marked(heap, hg_count_young, data);
    hg_control_say(heap, "gc: collecting generation %d...", generation);
    hg_control_say(heap, "gc: objects in each generation: %llu %llu %llu",
                   (unsigned long long)counts[0], (unsigned long long)counts[1],
                   (unsigned long long)counts[2]);
    hg_control_say(heap, "gc: objects in permanent generation: %llu",
                   (unsigned long long)heap->control.frozen);
}

/* --- a collection --------------------------------------------------------------------------------- */

static bool hg_flag(const hearth_heap *heap, uint32_t flag)
{
    return __atomic_load_n(&heap->control.debug, __ATOMIC_RELAXED) & flag;
}

void hg_control_begin(hearth_heap *heap, int generation, uint64_t allocated)
{
    heap->control.saved = heap->control.uncollectable = 0;
    if (hg_flag(heap, HEARTH_GC_DEBUG_STATS))
        hg_say_begin(heap, generation, allocated);
}

void hg_control_found(hearth_heap *heap)
{
    heap->control.reached = hg_trace_reached(heap->trace);
}

void hg_control_kept(hearth_heap *heap)
{
    heap->control.uncollectable = hg_trace_reached(heap->trace) - heap->control.reached;
    if (hg_flag(heap, HEARTH_GC_DEBUG_COLLECTABLE))
        hg_walk_allocated(heap, hg_say_unreached, heap);
}

void hg_control_end(hearth_heap *heap, hearth_collection *c, uint64_t before, uint64_t reached,
                    uint64_t begin_ns)
{
    struct hg_control *control = &heap->control;
    uint64_t live = hg_live_objects(heap), freed = before - live;
    c->unreachable = freed + reached - control->reached;
    c->collected = freed + control->saved;
    c->uncollectable = control->uncollectable;
    hearth_gc_generation_stats *stats = &control->stats[c->generation];
    stats->collections++;
    stats->collected += c->collected;
    stats->uncollectable += c->uncollectable;
    hg_threshold_after(heap, (int)c->generation, live - control->frozen);
    if (hg_flag(heap, HEARTH_GC_DEBUG_STATS))
        hg_control_say(heap, "gc: done, %llu unreachable, %llu uncollectable, %.4fs elapsed",
                       (unsigned long long)c->unreachable, (unsigned long long)c->uncollectable,
                       (double)(ht_os_now() - begin_ns) / 1e9);
}

hearth_status hg_control_check(hearth_heap *heap)
{
    const struct hg_control *control = &heap->control;
    if (control->garbages > control->garbage_max || control->callbacks > control->callback_max)
        return ht_fail(HEARTH_ECORRUPT, "garbage has %zu of %zu entries, callbacks %u of %u",
                       control->garbages, control->garbage_max, control->callbacks,
                       control->callback_max);
    for (size_t i = 0; i < control->garbages; i++)
        if (ha_space_find(&heap->space, control->garbage[i]) != control->garbage[i])
            return ht_fail(HEARTH_ECORRUPT, "entry %zu of garbage is %p: no object", i,
                           (void *)control->garbage[i]);
    return hg_freeze_check(heap);
}

/* --- public --------------------------------------------------------------------------------------- */

/* What all calls on a heap check. In a callback of the collector this very thread has the lock. */
static hearth_status hg_control_arguments(hearth_heap *heap, const char *call)
{
    if (heap == NULL)
        return ht_fail(HEARTH_EINVAL, "%s: heap is NULL", call);
    if (hg_in_callback(heap))
        return ht_fail(HEARTH_ESTATE, "%s: called from a callback of the collector (heap %p)", call,
                       (void *)heap);
    return HEARTH_OK;
}

hearth_status hearth_gc_set_debug(hearth_heap *heap, unsigned flags)
{
    const unsigned known = HEARTH_GC_DEBUG_STATS | HEARTH_GC_DEBUG_LEAK;
    if (heap == NULL)
        return ht_fail(HEARTH_EINVAL, "hearth_gc_set_debug: heap is NULL");
    if (flags & ~known)
        return ht_fail(HEARTH_EINVAL, "hearth_gc_set_debug: flags 0x%x, of which 0x%x are unknown",
                       flags, flags & ~known);
    __atomic_store_n(&heap->control.debug, flags, __ATOMIC_RELAXED);
    return HEARTH_OK;
}

unsigned hearth_gc_get_debug(const hearth_heap *heap)
{
    return heap != NULL ? __atomic_load_n(&heap->control.debug, __ATOMIC_RELAXED) : 0;
}

hearth_status hearth_gc_set_log(hearth_heap *heap, hearth_gc_log_fn *fn, void *data)
{
    hearth_status status = hg_control_arguments(heap, "hearth_gc_set_log");
    if (status != HEARTH_OK)
        return status;
    pthread_mutex_lock(&heap->lock);
    heap->control.log = fn;
    heap->control.log_data = data;
    pthread_mutex_unlock(&heap->lock);
    return HEARTH_OK;
}

hearth_status hearth_gc_get_stats(hearth_heap *heap, int generation,
                                  hearth_gc_generation_stats *out)
{
    hearth_status status = hg_control_arguments(heap, "hearth_gc_get_stats");
    if (status != HEARTH_OK)
        return status;
    if (out == NULL || out->struct_size != sizeof *out)
        return ht_fail(HEARTH_EINVAL, "hearth_gc_get_stats: struct_size is %zu, not %zu",
                       out != NULL ? out->struct_size : 0, sizeof *out);
    if (generation < 0 || generation >= HG_GENERATIONS)
        return ht_fail(HEARTH_EINVAL, "hearth_gc_get_stats: generation %d is not 0, 1 or 2",
                       generation);
    pthread_mutex_lock(&heap->lock);
    *out = heap->control.stats[generation];
    pthread_mutex_unlock(&heap->lock);
    return HEARTH_OK;
}
