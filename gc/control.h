/* gc/control.h - state of the control interface: thresholds, debug flags, callbacks, garbage. */
#ifndef HEARTH_GC_CONTROL_H
#define HEARTH_GC_CONTROL_H

#include "hearth/heap.h"

struct hg_worker;

struct hg_control {
    uint32_t debug; /* HEARTH_GC_DEBUG_* (atomic) */
};

hearth_status hg_control_init(hearth_heap *heap);
void hg_control_destroy(hearth_heap *heap);
void hg_control_roots(hearth_heap *heap, struct hg_worker *worker);
/* World stopped: an object that can not be reclaimed (a legacy finalizer) goes to the garbage list, a root. */
void hg_garbage_add(hearth_heap *heap, uintptr_t object);
/* With SAVEALL: what is unreached goes to the garbage list; true if there was any, which is traced then. */
bool hg_control_save_all(hearth_heap *heap, bool full);

#endif
