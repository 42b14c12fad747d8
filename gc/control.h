/* gc/control.h - state of the control interface: thresholds, debug flags, callbacks, garbage, freezing.
 *
 * Invariant: everything is zero, and costs a predictable branch at most, until it is used. Lock: heap->lock
 * for everything that is not atomic; the collecting thread holds it. Node: part of the heap. */
#ifndef HEARTH_GC_CONTROL_H
#define HEARTH_GC_CONTROL_H

#include "gc/remember.h"
#include "hearth/gc.h"

struct hg_mutator;
struct hg_worker;

enum { HG_GENERATIONS = 3 };

struct hg_callback {
    hearth_gc_callback *fn;
    void *data;
};

/* Counting objects; see threshold.c. */
struct hg_threshold {
    size_t limit[HG_GENERATIONS]; /* as set; [0] = 0: bytes decide (atomic)                */
    size_t count[HG_GENERATIONS]; /* [1], [2]: collections of the younger generation       */
    uint64_t taken;               /* of limit[0] + 1: shares of mutators (atomic)          */
    uint32_t epoch;               /* shares of former epochs are worth nothing (atomic)    */
    bool recount;                 /* `taken` is to be found out anew (atomic)              */
    uint64_t long_lived;          /* objects after the last full collection                */
    uint64_t pending;             /* objects that became old since then                    */
};

struct hg_control {
    struct hg_threshold threshold;
    uint32_t debug;        /* HEARTH_GC_DEBUG_* (atomic)                                */
    uint32_t callbacks;    /* how many (atomic)                                         */
    uint32_t callback_max; /* room for so many                                          */
    hearth_gc_log_fn *log;
    void *log_data;
    struct hg_callback *callback;
    hearth_gc_generation_stats stats[HG_GENERATIONS];
    uintptr_t *garbage; /* objects; roots                                            */
    size_t garbages, garbage_max;
    uint64_t frozen;             /* objects (atomic)                                          */
    struct hg_remembered thawed; /* frozen objects that were written, all mutators'           */
    bool thaw_lost;              /* the list is not complete (atomic)                         */
    /* of the collection that is on */
    uint64_t reached;       /* objects, by the closure from the roots                    */
    uint64_t saved;         /* SAVEALL: put into garbage                                 */
    uint64_t uncollectable; /* objects                                                   */
};

hearth_status hg_control_init(hearth_heap *heap);
void hg_control_destroy(hearth_heap *heap);
/* Garbage and, in full collections, frozen objects that were written. */
void hg_control_roots(hearth_heap *heap, struct hg_worker *worker);
/* The collection begins, its marks are not turned; `allocated` objects since the last. */
void hg_control_begin(hearth_heap *heap, int generation, uint64_t allocated);
/* The closure from the roots is complete: what is unreached now is unreachable. */
void hg_control_found(hearth_heap *heap);
/* Legacy finalizers have kept what they must, with all it refers to: that is uncollectable. */
void hg_control_kept(hearth_heap *heap);
/* Swept: fills the counts of *c. There were `before` objects, `reached` were traced in all. */
void hg_control_end(hearth_heap *heap, hearth_collection *c, uint64_t before, uint64_t reached,
                    uint64_t begin_ns);
/* Garbage, callbacks, frozen objects that were written; world stopped. */
hearth_status hg_control_check(hearth_heap *heap);
/* A line for the log hook or stderr. */
__attribute__((format(printf, 2, 3))) void hg_control_say(hearth_heap *heap, const char *format,
                                                          ...);
/* The same about an object. */
void hg_control_say_object(hearth_heap *heap, const char *what, uintptr_t object);

/* World stopped: an object that can not be reclaimed (a legacy finalizer) goes to the garbage list, a root.
 * false: no memory for the list; the object is to be kept otherwise, and tried again. */
bool hg_garbage_add(hearth_heap *heap, uintptr_t object);
void hg_garbage_roots(hearth_heap *heap, struct hg_worker *worker);
/* With SAVEALL: what is unreached goes to the garbage list; true if there was any, which is traced then. */
bool hg_control_save_all(hearth_heap *heap, bool full);

/* Callbacks of the control interface: are there any that this thread is to call now? */
bool hg_callbacks_due(const struct hg_mutator *mutator);
/* No lock held; the world runs. */
void hg_callbacks_run(struct hg_mutator *mutator, hearth_gc_phase phase,
                      const hearth_gc_info *info);

/* Counting. Is the number of objects what makes it collect? */
bool hg_threshold_on(const hearth_heap *heap);
/* The collection of `generation` is over; `live` objects, without frozen ones. World stopped. */
void hg_threshold_after(hearth_heap *heap, int generation, uint64_t live);
/* At the head of a slow path: collect if it is due. */
void hg_threshold_entry(struct hg_mutator *mutator);
/* Most cells that the next run may have; 0: any number. */
uint32_t hg_threshold_portion(struct hg_mutator *mutator);
/* Shares are to be found out anew: collection was enabled, or thresholds changed. */
void hg_threshold_renew(hearth_heap *heap);
/* A mutator goes; heap->lock is held. */
void hg_threshold_detach(struct hg_mutator *mutator);

#endif
