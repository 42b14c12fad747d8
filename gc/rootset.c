/* gc/rootset.c - every root of a heap, and what kind it is of: for paths, dominators and snapshots.
 *
 * The same places that a collection scans (collect.c, hg_scan_roots), told apart. Remembered sets are
 * none of them: who looks sees all old objects. What the collector itself holds (afterlife.h) is pushed
 * to a worker that reports instead of tracing; frozen objects are found by their marks. World stopped; lock order heap->lock < roots->lock. */
#include "gc/rootset.h"

#include <string.h>

#include "gc/afterlife.h"
#include "gc/inspect.h"

struct hg_rootset {
    hearth_visitor visitor; /* first */
    hearth_heap *heap;
    hg_root_report_fn *fn;
    void *data;
    struct hg_root root; /* kind, owner and index of what is being scanned */
};

const char *hearth_root_kind_name(hearth_root_kind kind)
{
    static const char *const name[HEARTH_ROOT_KINDS] = {"none",     "frame", "handle",    "global",
                                                        "provider", "stack", "collector", "frozen"};
    return (unsigned)kind < HEARTH_ROOT_KINDS ? name[kind] : "unknown";
}

static void hg_report_object(void *data, uintptr_t object)
{
    struct hg_rootset *set = data;
    if (!ha_windows_contain(set->heap->space.windows, object))
        return;
    set->root.object = object;
    set->fn(set->data, &set->root);
    set->root.slot = NULL;
}

static void hg_report_slot(hearth_visitor *visitor, void **slot)
{
    struct hg_rootset *set = (struct hg_rootset *)visitor;
    set->root.slot = slot;
    hg_report_object(set, (uintptr_t)__atomic_load_n(slot, __ATOMIC_RELAXED));
}

void hg_rootset_ambiguous(hearth_visitor *visitor, const void *low, const void *high)
{
    struct hg_rootset *set = (struct hg_rootset *)visitor;
    if (visitor->slot != hg_report_slot)
        return;
    set->root.slot = NULL;
    hg_scan_words(set->heap, low, high, hg_report_object, set);
}

static void hg_report_mutator(struct hg_rootset *set, struct hg_mutator *m, size_t number)
{
    set->root = (struct hg_root){0, HEARTH_ROOT_FRAME, number, 0, NULL};
    for (hearth_frame *frame = m->public.frames; frame != NULL; frame = frame->prev)
        for (size_t i = 0; i < frame->count; i++, set->root.index++)
            hg_report_slot(&set->visitor, (void **)(frame + 1) + i);
    set->root = (struct hg_root){0, HEARTH_ROOT_HANDLE, number, 0, NULL};
    for (struct hg_handles *page = m->handles; page != NULL; page = page->prev)
        for (size_t i = 0; i < page->count; i++, set->root.index++)
            hg_report_slot(&set->visitor, &page->slot[i]);
    set->root = (struct hg_root){0, HEARTH_ROOT_STACK, number, 0, NULL};
    hg_stack_scan(set->heap, m, hg_report_object, set);
}

static void hg_report_globals(struct hg_rootset *set)
{
    struct hg_roots *roots = &set->heap->roots;
    set->root = (struct hg_root){0, HEARTH_ROOT_GLOBAL, 0, 0, NULL};
    pthread_mutex_lock(&roots->lock);
    for (size_t i = 0; i < roots->capacity; i++)
        if (roots->slot[i] != NULL && roots->slot[i] != HG_TOMB)
            hg_report_slot(&set->visitor, roots->slot[i]);
    for (size_t i = 0; i < roots->providers; i++) {
        set->root = (struct hg_root){0, HEARTH_ROOT_PROVIDER, i, 0, NULL};
        roots->provider[i].fn(roots->provider[i].data, &set->visitor);
    }
    pthread_mutex_unlock(&roots->lock);
}

static void hg_report_collector(struct hg_rootset *set)
{
    struct hg_worker worker;
    memset(&worker, 0, sizeof worker);
    worker.trace = set->heap->trace;
    worker.report = hg_report_object;
    worker.report_data = set;
    set->root = (struct hg_root){0, HEARTH_ROOT_COLLECTOR, 0, 0, NULL};
    bool full = set->heap->trace->full; /* of the last collection; full ones have all roots */
    set->heap->trace->full = true;
    hg_afterlife_roots(set->heap, &worker);
    set->heap->trace->full = full;
}

static void hg_report_frozen(void *data, uintptr_t object, uint8_t mark)
{
    if (hg_mark_is_frozen(mark))
        hg_report_object(data, object);
}

void hg_each_root(hearth_heap *heap, hg_root_report_fn *fn, void *data)
{
    struct hg_rootset set = {.visitor = {hg_report_slot}, .heap = heap, .fn = fn, .data = data};
    size_t number = 0;
    for (struct hg_mutator *m = heap->mutators; m != NULL; m = m->next, number++)
        hg_report_mutator(&set, m, number);
    hg_report_globals(&set);
    hg_report_collector(&set);
    set.root = (struct hg_root){0, HEARTH_ROOT_FROZEN, 0, 0, NULL};
    hg_walk_marked(heap, hg_report_frozen, &set);
}
