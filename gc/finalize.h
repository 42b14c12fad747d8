/* gc/finalize.h - objects with finalizers. */
#ifndef HEARTH_GC_FINALIZE_H
#define HEARTH_GC_FINALIZE_H

#include "hearth/heap.h"

struct hg_worker;

struct hg_finalizers {
    uint64_t count;
};

hearth_status hg_finalizers_init(hearth_heap *heap);
void hg_finalizers_destroy(hearth_heap *heap);
void hg_finalizers_roots(hearth_heap *heap, struct hg_worker *worker);
/* After the closure: queue the finalizers of unreached objects, which tracing then reaches; true if there were any. */
bool hg_finalizers_find(hearth_heap *heap, bool full);

#endif
