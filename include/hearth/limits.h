/* hearth/limits.h - how much a heap may hold, who is told when that runs out, and memory beside the heap.
 *
 * Two limits count bytes of blocks and large objects. The hard one (option heap-limit, hearth_set_heap_limit)
 * is never exceeded: an allocation fails. The soft one (option soft-limit) is: above it, full collections come
 * after an eighth more of allocation, and the embedder is told. External memory is what objects hold outside of
 * the heap (a buffer from malloc): the collector can only free it by freeing the objects, so it counts
 * for when to collect. */
#ifndef HEARTH_LIMITS_H
#define HEARTH_LIMITS_H

#include "heap.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What is short. */
typedef enum hearth_pressure_stage {
    HEARTH_PRESSURE_SOFT =
        0, /* after a full collection the heap and external bytes exceed the soft limit   */
    HEARTH_PRESSURE_HARD =
        1, /* an allocation is about to fail, even after a full collection               */
    HEARTH_PRESSURE_NODE =
        2 /* allocations on a node have begun to take memory of other nodes              */
} hearth_pressure_stage;

typedef struct hearth_pressure {
    size_t struct_size; /* sizeof(hearth_pressure)                                            */
    hearth_pressure_stage
        stage;             /* which of them                                                      */
    hearth_status status;  /* HARD: what the allocation would fail with: ELIMIT, ENOMEM          */
    int node;              /* HARD, NODE: the logical node memory was asked of; SOFT: -1         */
    size_t wanted_bytes;   /* HARD: blocks that could not be had                                 */
    size_t heap_bytes;     /* blocks and large objects in use                                    */
    size_t external_bytes; /* as told by hearth_external_add                                     */
    size_t soft_limit;     /* 0: there is none                                                   */
    size_t limit;          /* the hard one                                                       */
} hearth_pressure;

/* Called by an attached thread at a safepoint, the world running and no lock held: it may allocate, drop
 * references, collect, change the limits, and everything else. While it runs it is not called again on the
 * same thread, but it may be on others. SOFT comes at most once after each full collection, NODE once a
 * node and full collection, both at the next slow allocation, hearth_gc_collect or hearth_external_add of
 * some thread; what they return does not matter. HARD: true if something was dropped: then there is another
 * full collection, and the allocation is tried again (and, if that fails, the function called again; eight
 * times at most). False: the allocation fails. */
typedef bool hearth_pressure_fn(void *data, hearth_mutator *mutator,
                                const hearth_pressure *pressure);

/* Set the heap's function, NULL: none. Any thread; a call that has begun on another thread may still be
 * running afterwards. (As OpenJDK's MemoryPoolMXBean thresholds, and the stages of V8's near-heap-limit
 * callback.) Errors: EINVAL (heap is NULL). */
HEARTH_API hearth_status hearth_on_pressure(hearth_heap *heap, hearth_pressure_fn *fn, void *data);

/* Change the soft limit (bytes; 0: none); it counts from the next full collection on. It may lie below what
 * is in use, or above the hard limit, and is then never reached. Any thread. Errors: EINVAL (heap is NULL),
 * ESTATE (from a callback of the collector). */
HEARTH_API hearth_status hearth_set_soft_limit(hearth_heap *heap, size_t bytes);

/* An object got (bytes > 0) or gave back (bytes < 0) so much memory outside of the heap, as
 * v8::Isolate::AdjustAmountOfExternalAllocatedMemory. What is added counts as allocation: for the nursery,
 * and against the budget of the next full collection. So this is a safepoint if bytes > 0: it may collect,
 * but gives no error if that frees nothing. The hard limit does not count it. Own thread only. Errors:
 * EINVAL (mutator is NULL; less than nothing would be left, or more than an address can count: nothing is
 * changed then), ETHREAD, ESTATE. */
HEARTH_API hearth_status hearth_external_add(hearth_mutator *mutator, ptrdiff_t bytes);

/* The external bytes counted now. Any thread; 0 for NULL. */
HEARTH_API size_t hearth_external_bytes(const hearth_heap *heap);

#ifdef __cplusplus
}
#endif
#endif
