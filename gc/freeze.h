/* gc/freeze.h - objects out of the collector's sight (CPython's permanent generation).
 *
 * A frozen object has the mark HG_FROZEN, which tracing takes for marked and no sweep for dead. For the
 * barrier it is old, so minor collections find what is stored into it by the remembered set. Full
 * collections forget remembered sets; so the barrier's slow path also lists each frozen object at its
 * first write, flags it HG_OBJECT_THAWED, and full collections visit all slots of those listed.
 * Invariant: a frozen object that refers to one that is not frozen is listed, or thaw_lost is set. */
#ifndef HEARTH_GC_FREEZE_H
#define HEARTH_GC_FREEZE_H

#include "gc/heap.h"

enum { HG_OBJECT_THAWED = 1u << 13 }; /* header flag: frozen, and written since */

struct hg_worker;

static inline bool hg_has_frozen(const hearth_heap *heap)
{
    return __atomic_load_n(&heap->control.frozen, __ATOMIC_RELAXED) != 0;
}

/* The object is about to be written: list it if it is frozen. */
void hg_thaw(struct hg_mutator *mutator, uintptr_t object);
/* Full collections: the slots of what was written. */
void hg_freeze_roots(hearth_heap *heap, struct hg_worker *worker);
/* The lists, flags, marks and counts agree; world stopped, blocks given back. */
hearth_status hg_freeze_check(hearth_heap *heap);

#endif
