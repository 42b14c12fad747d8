/* hearth/observe.h - watching collections from inside: for profilers, tracers and counters per thread.
 *
 * What an observer gets to see that statistics cannot tell: which thread works for the collector and when, how
 * long each phase takes, what nodes send each other, when memory spills. The same events are static probes
 * for bpftrace and SystemTap, and slices in the file of option trace (docs/observability.md).
 * (HotSpot's JVMTI has GarbageCollectionStart and Finish for the same purpose; Whippet has event listeners.) */
#ifndef HEARTH_OBSERVE_H
#define HEARTH_OBSERVE_H

#include "inspect.h"
#include "stats.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The parts of a collection, in their order. */
typedef enum hearth_work {
    HEARTH_WORK_VERIFY = 0, /* option verify: before and after                            */
    HEARTH_WORK_ROOTS = 1,  /* scanning roots and remembered sets                         */
    HEARTH_WORK_TRACE = 2,  /* what is reached from there                                 */
    HEARTH_WORK_WEAK = 3,   /* ephemerons, weak references, finalizers, and what they save */
    HEARTH_WORK_SWEEP = 4,  /* giving back what was not reached                           */
    HEARTH_WORK_PACE = 5    /* thresholds, nursery and budget until the next one          */
} hearth_work;

/* References that travel together: sent to the workers of the node they lead to, or offered by a worker that has
 * more than it needs to those that have nothing to do. */
typedef struct hearth_gc_batch {
    size_t struct_size;  /* sizeof(hearth_gc_batch)                                      */
    uint64_t number;     /* of this batch within the heap, from 1; 0: posted unobserved  */
    int from;            /* node whose worker posted it                                  */
    int to;              /* node in whose queue it is                                    */
    uint32_t references; /* in it                                                        */
    bool sent;           /* to that node's inbox; false: offered                         */
    bool stolen;         /* taken by a worker of another node                            */
} hearth_gc_batch;

/* Any function may be NULL. None may touch objects, or call anything of hearth on this heap but statistics
 * and hearth_work_name, for a lock of the heap is held.
 *
 * While the world is stopped run those of collections, workers, phases and batches. `worker` is 0 for the
 * thread that collects, which begins before `collection_begin` and ends after `collection_end`; helpers come
 * and go in between, once or several times, at the same time as each other. `node` is the logical node a
 * worker is bound to, for worker 0 the one it runs on. Worker 0 goes through all phases; helpers take part in
 * TRACE, WEAK and SWEEP, between their `worker_begin` and `worker_end`.
 *
 * The others run one at a time: `stop_requested` in the thread that wants to collect, `stopped` there when every
 * thread stands, `resumed` when they may go on; `mutator_stopped` and `mutator_resumed` in a thread that comes to
 * stand and goes on again, for whatever reason the world is stopped (threads in native sections stand already and
 * are not reported unless they come back meanwhile). An observer sees only pairs that begin after it was set. */
typedef struct hearth_observer {
    size_t struct_size; /* sizeof(hearth_observer)                                            */
    void *data;         /* first argument of each                                             */
    void (*collection_begin)(void *data, hearth_heap *heap, hearth_gc_kind kind);
    void (*collection_end)(void *data, hearth_heap *heap, const hearth_collection *collection);
    void (*worker_begin)(void *data, hearth_heap *heap, int worker, int node);
    void (*worker_end)(void *data, hearth_heap *heap, int worker, int node);
    void (*phase_begin)(void *data, hearth_heap *heap, hearth_work phase, int worker, int node);
    void (*phase_end)(void *data, hearth_heap *heap, hearth_work phase, int worker, int node);
    void (*batch_posted)(void *data, hearth_heap *heap, int worker, const hearth_gc_batch *batch);
    void (*batch_taken)(void *data, hearth_heap *heap, int worker, const hearth_gc_batch *batch);
    void (*stop_requested)(void *data, hearth_heap *heap, hearth_gc_reason reason);
    void (*stopped)(void *data, hearth_heap *heap);
    void (*resumed)(void *data, hearth_heap *heap);
    void (*mutator_attached)(void *data, hearth_heap *heap, hearth_mutator *mutator, int node);
    void (*mutator_detached)(void *data, hearth_heap *heap, hearth_mutator *mutator, int node);
    void (*mutator_stopped)(void *data, hearth_heap *heap, hearth_mutator *mutator, int node);
    void (*mutator_resumed)(void *data, hearth_heap *heap, hearth_mutator *mutator, int node);
    /* Bytes; the budget as hearth_stats.budget_bytes, by a collection or between two. */
    void (*nursery_changed)(void *data, hearth_heap *heap, uint64_t before, uint64_t after);
    void (*budget_changed)(void *data, hearth_heap *heap, uint64_t before, uint64_t after);
    /* A thread got memory of node `given`, not of `wished`. */
    void (*spilled)(void *data, hearth_heap *heap, int wished, int given, uint64_t bytes);
} hearth_observer;

/* Set the heap's observer, copied; NULL removes it. Any thread; waits for a running collection, so that
 * afterwards the former one is not called any more. Costs nothing measurable while there is none. Errors:
 * EINVAL (heap NULL, struct_size), ESTATE (from a callback of the collector). */
HEARTH_API hearth_status hearth_observe(hearth_heap *heap, const hearth_observer *observer);

/* "trace" and so on; "unknown" for no phase. Static. */
HEARTH_API const char *hearth_work_name(hearth_work phase);

/* Option trace: write what has been recorded until now; otherwise that is done after each collection, and when
 * the heap is destroyed. The file is then a JSON array without its end, which viewers accept. Any thread.
 * Errors: EINVAL, ESTATE (the heap writes no trace; from a callback of the collector), ESYSTEM (writing to
 * the file has failed, now or before: nothing was written since). */
HEARTH_API hearth_status hearth_trace_flush(hearth_heap *heap);

/* Write the statistics of `count` heaps as Prometheus' text format 0.0.4 (Content-Type: text/plain;
 * version=0.0.4), for an endpoint that is scraped. Each sample has the label heap with the heap's name, which must
 * be one of its own, those of nodes also node and system. The names are in docs/observability.md. Any thread, no
 * safepoint; `fn` may do input and output. Errors: EINVAL, ENOMEM, ESYSTEM (fn returned false). */
HEARTH_API hearth_status hearth_prometheus(hearth_heap *const *heaps, const char *const *names,
                                           size_t count, hearth_write_fn *fn, void *data);

/* The heap's address range: every object and all of the collector's metadata about them lies in
 * [*low, *high), and so may other heaps'. Fixed from creation on. Errors: EINVAL. */
HEARTH_API hearth_status hearth_heap_range(const hearth_heap *heap, const void **low,
                                           const void **high);

#ifdef __cplusplus
}
#endif
#endif
