/* hearth/collect.h - asking for collections. Generations: 0 allocated since the last collection,
 * 1 survived one, 2 old (survived two, or reached from old).
 *
 * hearth_gc_collect(m, 0): collects generations 0 and 1; survivors age by one.
 * hearth_gc_collect(m, 1): the same, and every survivor becomes old.
 * hearth_gc_collect(m, 2): collects everything.
 * A collection may be wider than asked: while minor collections do not pay (most of what is new
 * survives, option nursery-adaptive), or after a remembered set could not grow, every one is full.
 * hearth_last_collection tells what was done. */
#ifndef HEARTH_COLLECT_H
#define HEARTH_COLLECT_H

#include "heap.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Collect now; a safepoint. Waits for another thread's collection first. Errors: EINVAL (generation
 * not 0..2: the message names it), ETHREAD, ESTATE (called from a collector callback). */
HEARTH_API hearth_status hearth_gc_collect(hearth_mutator *mutator, int generation);

/* Automatic collection on or off (on at first). When off, the heap grows to its limit; a collection
 * runs then in any case before an allocation fails. */
HEARTH_API hearth_status hearth_gc_enable(hearth_heap *heap);
HEARTH_API hearth_status hearth_gc_disable(hearth_heap *heap);
HEARTH_API bool hearth_gc_isenabled(const hearth_heap *heap);

/* Walk every invariant of the heap with the world stopped: block and chunk structures, free lists, marks,
 * remembered sets, frames, the node of every block. ECORRUPT names the first one broken. Slow. */
HEARTH_API hearth_status hearth_verify(hearth_mutator *mutator);

/* Change the hard heap limit (bytes of blocks and large objects). ESIZE if below what is in use. */
HEARTH_API hearth_status hearth_set_heap_limit(hearth_heap *heap, size_t bytes);

#ifdef __cplusplus
}
#endif
#endif
