/* gc/observe.h - where the collector says what it does: to static probes, the embedder's observer, the timeline.
 *
 * Invariant: observer 0 is the embedder's and changes only under heap->lock while no collection runs, so that
 * each begin is followed by its end; the timeline's is set before the heap is used. Each call here is made
 * once a collection, phase, batch (509 references), stop or block: nothing is in a loop over objects.
 * Lock: heap->lock is held by the caller, or (helpers in a phase) by the collecting thread. Node: none. */
#ifndef HEARTH_GC_OBSERVE_H
#define HEARTH_GC_OBSERVE_H

#include "hearth/observe.h"

struct hg_batch;
struct hg_mutator;

enum { HG_OBSERVERS = 2, HG_PHASE_NONE = -1 };
enum { HG_OBSERVER_EMBEDDER, HG_OBSERVER_TIMELINE };

struct hg_observers {
    hearth_observer each[HG_OBSERVERS];
    uint64_t serial;  /* of the embedder's: how often it was set                       */
    uint64_t batches; /* numbered so far (atomic)                                      */
    int phase;        /* of worker 0; HG_PHASE_NONE: none (atomic)                     */
    uint64_t nursery; /* bytes, as was told last                                       */
    uint64_t budget;  /* the same                                                      */
};

/* A heap's, when its pacing is set up. */
void hg_observers_init(hearth_heap *heap);

void hg_observe_stop_requested(hearth_heap *heap, hearth_gc_reason reason);
void hg_observe_stopped(hearth_heap *heap);
void hg_observe_resumed(hearth_heap *heap);
void hg_observe_begin(hearth_heap *heap, hearth_gc_kind kind);
void hg_observe_end(hearth_heap *heap, const hearth_collection *collection);
void hg_observe_worker_begin(hearth_heap *heap, int worker, int node);
void hg_observe_worker_end(hearth_heap *heap, int worker, int node);

/* Worker 0, of `node`, ends the phase it is in, if any, and begins this one, if it is one. */
void hg_observe_phase(hearth_heap *heap, int phase, int node);
/* A helper comes to the open phase and leaves it: begin returns which, for end. */
int hg_observe_helper_begin(hearth_heap *heap, int worker, int node);
void hg_observe_helper_end(hearth_heap *heap, int worker, int node, int phase);

/* Before a batch is posted for node `to`, in its inbox (`sent`) or its shared list, and when a worker has taken it
 * from there; `stolen`: one of another node. */
void hg_observe_posted(hearth_heap *heap, int worker, struct hg_batch *batch, int to, bool sent);
void hg_observe_taken(hearth_heap *heap, int worker, const struct hg_batch *batch, int to,
                      bool stolen);

void hg_observe_mutator_attached(hearth_heap *heap, struct hg_mutator *mutator);
void hg_observe_mutator_detached(hearth_heap *heap, struct hg_mutator *mutator);
/* Returns what the end of the stop is to be told with. */
uint64_t hg_observe_mutator_stopped(hearth_heap *heap, struct hg_mutator *mutator);
void hg_observe_mutator_resumed(hearth_heap *heap, struct hg_mutator *mutator, uint64_t serial);

/* Nursery and budget may have changed. */
void hg_observe_paced(hearth_heap *heap);
/* Takes heap->lock if anybody listens. */
void hg_observe_spilled(hearth_heap *heap, int wished, int given, size_t bytes);

#endif
