/* hearth/observe.h - watching collections from inside: for profilers, tracers and counters per thread.
 *
 * What an observer gets to see that statistics cannot tell: which thread works for the collector, and when.
 * (HotSpot's JVMTI has GarbageCollectionStart and Finish for the same purpose.) */
#ifndef HEARTH_OBSERVE_H
#define HEARTH_OBSERVE_H

#include "stats.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Any function may be NULL. All run while the world is stopped: they must not touch objects, and must
 * call nothing of hearth on this heap but statistics. `worker` is 0 for the thread that collects, which
 * begins before `collection_begin` and ends after `collection_end`; helpers come and go in between, once or
 * several times, at the same time as each other. `node` is the logical node a worker is bound to, for
 * worker 0 the one it runs on. */
typedef struct hearth_observer {
    size_t struct_size; /* sizeof(hearth_observer)                                            */
    void *data;         /* first argument of each                                             */
    void (*collection_begin)(void *data, hearth_heap *heap, hearth_gc_kind kind);
    void (*collection_end)(void *data, hearth_heap *heap, const hearth_collection *collection);
    void (*worker_begin)(void *data, hearth_heap *heap, int worker, int node);
    void (*worker_end)(void *data, hearth_heap *heap, int worker, int node);
} hearth_observer;

/* Set the heap's observer, copied; NULL removes it. Any thread; waits for a running collection, so that
 * afterwards the former one is not called any more. Errors: EINVAL (heap NULL, struct_size), ESTATE (from
 * a callback of the collector). */
HEARTH_API hearth_status hearth_observe(hearth_heap *heap, const hearth_observer *observer);

/* The heap's address range: every object and all of the collector's metadata about them lies in
 * [*low, *high), and so may other heaps'. Fixed from creation on. Errors: EINVAL. */
HEARTH_API hearth_status hearth_heap_range(const hearth_heap *heap, const void **low,
                                           const void **high);

#ifdef __cplusplus
}
#endif
#endif
