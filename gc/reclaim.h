/* gc/reclaim.h - sweeping the heap after tracing. */
#ifndef HEARTH_GC_RECLAIM_H
#define HEARTH_GC_RECLAIM_H

#include "gc/heap.h"

/* Sweep what the collection may have freed (young blocks, or everything), from `node`'s pool on. World
 * stopped. */
void hg_reclaim(hearth_heap *heap, bool full, int node);

#endif
