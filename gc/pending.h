/* gc/pending.h - callbacks of weak references and finalizers that are due, until they are run. */
#ifndef HEARTH_GC_PENDING_H
#define HEARTH_GC_PENDING_H

#include "hearth/heap.h"

struct hg_mutator;
struct hg_worker;

struct hg_pending {
    uint64_t count; /* due (atomic)  */
};

hearth_status hg_pending_init(hearth_heap *heap);
void hg_pending_destroy(hearth_heap *heap);
void hg_pending_roots(hearth_heap *heap, struct hg_worker *worker);
/* Called when something with a callback is registered, so that a collection needs no memory: room for one
 * more in the queue. false: no memory. Any attached thread. */
bool hg_pending_reserve(hearth_heap *heap);
void hg_pending_unreserve(hearth_heap *heap);
/* World stopped, room was reserved: the callback of a weak reference whose target died is due. The cell is a
 * root until it has run. */
void hg_pending_cell(hearth_heap *heap, uintptr_t cell);
/* At a safepoint, no lock held: run what is due if the heap's option says that safepoints do. */
void hg_pending_run(struct hg_mutator *mutator);

#endif
