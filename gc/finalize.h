/* gc/finalize.h - the registry: objects with finalizers that are not due.
 *
 * Invariant: a REGISTERED entry (entry.h) that is neither young nor found has an old object, so that a minor
 * collection need not look at it. Lock: pending->lock, or world stopped. Node: as entries. */
#ifndef HEARTH_GC_FINALIZE_H
#define HEARTH_GC_FINALIZE_H

#include "gc/entry.h"
#include "hearth/heap.h"

struct hg_type;

struct hg_finalizers {
    uint64_t serial; /* of the last registration                                        */
    size_t count;    /* REGISTERED entries that have not been found (atomic)            */
    size_t legacy;   /* of them: LEGACY                                                 */
    size_t kept;     /* of them: put into the garbage list by this collection           */
};

hearth_status hg_finalizers_init(hearth_heap *heap);
void hg_finalizers_destroy(hearth_heap *heap);
/* After the closure, before weak references are cleared: unreached objects of legacy types go to the garbage
 * list, and tracing reaches them; true if there were any. */
bool hg_finalizers_legacy(hearth_heap *heap, bool full);
/* After the closure: queue the finalizers of unreached objects, which tracing then reaches; true if there were any. */
bool hg_finalizers_find(hearth_heap *heap, bool full);

/* For an object of a type with a finalizer: first an entry (NULL: no memory), then the object, then it gets the
 * entry, or (NULL) the entry goes back. Running mutator; no safepoint between the last two. */
struct hg_entry *hg_finalizers_reserve(hearth_heap *heap);
void hg_finalizers_settle(hearth_heap *heap, struct hg_entry *entry, void *object,
                          const struct hg_type *type);

/* World stopped; `before` a collection, objects may have no marks. */
hearth_status hg_finalizers_check(hearth_heap *heap, bool before);

#endif
