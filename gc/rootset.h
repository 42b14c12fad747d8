/* gc/rootset.h - every root of a heap, and what kind it is of. World stopped, heap->lock held. */
#ifndef HEARTH_GC_ROOTSET_H
#define HEARTH_GC_ROOTSET_H

#include "gc/heap.h"
#include "hearth/inspect.h"

/* One root that holds an object of the heap. */
struct hg_root {
    uintptr_t object;
    hearth_root_kind kind;
    size_t owner, index; /* see hearth_path_step                                 */
    void **slot;         /* NULL: not in a slot                                  */
};

typedef void hg_root_report_fn(void *data, const struct hg_root *root);

/* Report every root that holds an object, mutators' first, the collector's and frozen
 * objects last. */
void hg_each_root(hearth_heap *heap, hg_root_report_fn *fn, void *data);

/* hearth_visit_ambiguous for a provider that was called by hg_each_root; else nothing happens. */
void hg_rootset_ambiguous(hearth_visitor *visitor, const void *low, const void *high);

#endif
