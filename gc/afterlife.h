/* gc/afterlife.h - what becomes of objects that tracing from the roots has not reached.
 *
 * The order is that of CPython's collector: ephemerons are resolved with the closure; objects of legacy types
 * are kept; weak references are cleared before any finalizer can see them; then finalizers bring their objects back; "long" weak
 * references are cleared for what is still unreached. World stopped; heap->lock is held. */
#ifndef HEARTH_GC_AFTERLIFE_H
#define HEARTH_GC_AFTERLIFE_H

#include "gc/heap.h"
#include "gc/trace.h"

hearth_status hg_afterlife_init(hearth_heap *heap);
void hg_afterlife_destroy(hearth_heap *heap);
/* Roots of the parts below: callbacks that are due, garbage, pinned and immortal objects. */
void hg_afterlife_roots(hearth_heap *heap, struct hg_worker *worker);
/* After the closure from the roots, before anything is swept. */
void hg_afterlife(hearth_heap *heap, bool full);
/* For the verifier; world stopped. */
hearth_status hg_afterlife_check(hearth_heap *heap, bool before);

#endif
