/* gc/heap.h - the heap: everything the collector knows, in one struct.
 *
 * Lock order: heap->lock < pool->ageing < roots.lock and the other small ones < pool locks < window set (all of
 * them together are taken by fork.c only). heap->lock is held by the collecting
 * thread for the whole collection; mutators wait on it only when they stand. Node: the struct is
 * plain memory; what is hot in it is read-only while mutators run. */
#ifndef HEARTH_GC_HEAP_H
#define HEARTH_GC_HEAP_H

#include "gc/balance.h"
#include "gc/cell.h"
#include "gc/control.h"
#include "gc/finalize.h"
#include "gc/histogram.h"
#include "gc/leaks.h"
#include "gc/mark.h"
#include "gc/mutator.h"
#include "gc/observe.h"
#include "gc/pending.h"
#include "gc/pressure.h"
#include "gc/identity.h"
#include "gc/roots.h"
#include "gc/type.h"
#include "hearth.h"

struct hg_crew;
struct hg_page_writer;
struct hg_timeline;
struct hg_trace;

/* When to collect; see pacing.c. World stopped, or heap->lock. */
struct hg_pacing {
    size_t base_nursery;       /* bytes for one mutator: 4 x L2                              */
    size_t nursery;            /* adapted; space.nursery is this or unbounded                */
    bool whole;                /* minor collections do not pay now: full ones only           */
    uint64_t live_bytes;       /* after the last full collection                             */
    size_t min_budget;         /* blocks                                                     */
    bool full_next;            /* the next collection should be full                         */
    bool enabled;              /* automatic collection (atomic)                              */
    size_t live_blocks;        /* used after the last full collection                        */
    uint64_t full_live;        /* bytes that lived then                                      */
    size_t free_blocks;        /* of the budget, after it                                    */
    uint64_t promoted;         /* bytes that survived minor collections since then            */
    bool uneven;               /* some size classes want room that is in the holes of others */
    uint64_t lost;             /* remembered sets are incomplete: full next (atomic)         */
    size_t soft_limit;         /* bytes, 0: none (atomic)                                    */
    uint64_t begin_ns;         /* when the running collection stopped the world              */
    uint64_t grown;            /* external bytes at the last collection                      */
    struct hg_balance balance; /* pacing=membalancer                                   */
};

/* What objects hold outside of the heap; see external.c. */
struct hg_external {
    size_t bytes;   /* told by the embedder (atomic)                              */
    size_t base;    /* at the last full collection, or the least since (lock)     */
    size_t charged; /* blocks taken off the budget since then (lock)              */
};

struct hg_stats {
    pthread_mutex_t lock; /* a leaf; held to copy in and out                            */
    hearth_collection last;
    uint64_t minor, full;
    uint64_t allocated_objects; /* bytes: see the pools                                  */
    uint64_t unswept_bytes;     /* allocated since the last collection by mutators now detached */
    uint64_t unswept_objects;   /* the same in objects                                         */
    uint64_t live_objects, live_bytes;
    struct hg_histogram pauses[2];
    uint64_t node_local[HT_MAX_NODES], node_remote[HT_MAX_NODES], node_received[HT_MAX_NODES];
};

struct hearth_heap {
    struct ha_space space;
    struct hearth_topology *topology;
    struct hearth_options options;
    struct hg_types types;
    struct hg_marks marks;
    struct hg_pacing pacing;
    struct hg_pressure pressure;
    struct hg_external external;
    struct hg_roots roots;
    struct hg_stats stats;
    struct hg_crew *crew;         /* GC workers                                              */
    struct hg_trace *trace;       /* the tracer                                              */
    struct hg_remembered orphans; /* remembered sets of detached mutators                    */
    struct hg_cells cells;        /* weak references, ephemerons, entries of weak tables     */
    struct hg_finalizers finalizers;
    struct hg_pending pending; /* callbacks and finalizers that are due                   */
    struct hg_pins pins;       /* pinned and immortal objects                             */
    struct hg_control control; /* the interface of the collector: thresholds, garbage ... */
    struct hg_leaks leaks;     /* objects that should be dead                             */
    pthread_mutex_t lock;
    pthread_cond_t stopped; /* a mutator came to stand                                 */
    pthread_cond_t resumed; /* the world runs again                                    */
    uint32_t stop;          /* the world is (being) stopped (atomic)                   */
    bool collecting;        /* collected or verified: callbacks may not call (atomic)  */
    struct hg_observers observers;
    struct hg_timeline *timeline; /* option trace; NULL: off                                 */
    struct hg_page_writer *page;  /* option stats-page; the same                             */
    struct hg_mutator *mutators;
    int mutator_count;
    uint64_t collections;  /* started so far (atomic)                                 */
    hearth_status corrupt; /* first failure of option verify                          */
    char corrupt_why[256];
    void *data;                        /* the embedder's                                          */
    struct hearth_heap *older, *newer; /* the process's heaps (gc/fork.c)                  */
    int forkers;                       /* threads about to stop it for a fork              */
    bool forking;                      /* it is stopped for a fork                         */
};

/* Park until the running collection is over; heap->lock is held. */
void hg_park(hearth_heap *heap, struct hg_mutator *mutator);

/* Stop all mutators but `self`; heap->lock is held and stays so. Resume lets them run again. */
void hg_world_stop(hearth_heap *heap, struct hg_mutator *self);
void hg_world_resume(hearth_heap *heap);

/* Before a thread takes heap->lock to wait for a collection it stands in its other heaps (they are
 * NATIVE, `lent`); afterwards, with no lock held, it runs in them again, which may wait in turn.
 * `mine` is the thread's list of mutators; hg_lend leaves out `self`. */
void hg_lend(struct hg_mutator *mine, const struct hg_mutator *self);
void hg_take_back(struct hg_mutator *mine);
/* The same for the calling thread; nothing to do for a thread of one heap. */
void hg_lend_others(const struct hg_mutator *self);
void hg_take_back_others(void);

/* Collect, or wait for the collection another thread has begun; true if this thread collected. */
bool hg_collect(struct hg_mutator *mutator, hearth_gc_kind kind, bool all_old,
                hearth_gc_reason reason);

/* Calling thread: a callback of the collector, of any heap? */
bool hg_in_any_callback(void);
/* The world stands and heap->lock is held, in the child of a fork: drop the mutators of all other threads;
 * what they allocated and remembered stays. */
void hg_mutators_forked(hearth_heap *heap);
/* World stopped. All blocks back; returns the bytes, and *objects, allocated since the last collection. */
uint64_t hg_flush_mutators(hearth_heap *heap, uint64_t *objects);
/* The same when no sweep follows: what was allocated is kept for the next collection's account. */
void hg_flush_aside(hearth_heap *heap);
/* World stopped: no remembered set lists anything, no flag and no card is set. */
void hg_forget_remembered(hearth_heap *heap);
/* Objects after the last sweep. */
uint64_t hg_live_objects(const hearth_heap *heap);

/* Pacing. */
void hg_pacing_init(hearth_heap *heap);
hearth_gc_kind hg_pacing_kind(const hearth_heap *heap);
/* A collection begins for want of blocks: did all size classes fill their holes? */
void hg_pacing_before(hearth_heap *heap, hearth_gc_reason reason);
void hg_pacing_after(hearth_heap *heap, const hearth_collection *collection, uint64_t allocated,
                     uint64_t survived);
void hg_pacing_scale(hearth_heap *heap); /* the number of mutators changed            */
/* Raise the budget towards the limit by at least `blocks`; false: it is at the limit. */
bool hg_pacing_stretch(hearth_heap *heap, size_t blocks);

/* The default of heap-limit: three quarters of what the nodes of the heap have, and of `physical` memory. */
size_t hg_default_limit(const struct hearth_topology *topology, uint64_t physical);

/* External memory. World stopped, after a full collection: what there is counts as live; returns it. */
size_t hg_external_after(hearth_heap *heap);
bool hg_external_check(const hearth_heap *heap);
/* `bytes` count as allocated by the mutator; the budget is `used_up` by them or not. May collect. */
void hg_charge_external(struct hg_mutator *mutator, size_t bytes, bool used_up);

/* Verifier; world stopped, allocators flushed. `before`: remembered sets are still full. */
hearth_status hg_verify_heap(hearth_heap *heap, bool before);
/* The same for option verify=1: keeps the first failure in heap->corrupt. */
void hg_verify_report(hearth_heap *heap, bool before);

/* The verifier's part for marks, mutators, workers, histograms, windows, and where blocks lie. */
hearth_status hg_parts_check(hearth_heap *heap);

/* What options verify, poison and guard have found so far: OK, or ECORRUPT with the first of it. */
hearth_status hg_health(const hearth_heap *heap);

/* Call `fn` for every marked object (small and large) of every pool; world stopped. */
void hg_walk_marked(hearth_heap *heap, void (*fn)(void *data, uintptr_t object, uint8_t mark),
                    void *data);
/* The same for every allocated object: young ones have mark 0. All blocks are given back. */
void hg_walk_allocated(hearth_heap *heap, void (*fn)(void *data, uintptr_t object, uint8_t mark),
                       void *data);

/* Registers and stack of a conservative mutator: every word that points into an object. */
void hg_stack_scan(hearth_heap *heap, struct hg_mutator *mutator,
                   void (*found)(void *data, uintptr_t object), void *data);
void hg_scan_words(hearth_heap *heap, const char *low, const char *high,
                   void (*found)(void *data, uintptr_t object), void *data);

void hg_log_collection(hearth_heap *heap, const hearth_collection *collection);

/* Is `address` an object now? heap->lock is held; blocks that mutators hold are judged by their runs. */
bool hg_is_object(hearth_heap *heap, uintptr_t address);
/* The same for public calls: takes heap->lock unless called from a callback of the collector. */
bool hg_is_object_locked(hearth_heap *heap, uintptr_t address);
/* The same for a mutator that runs: takes the lock only for what another one has just allocated. */
bool hg_is_object_for(struct hg_mutator *mutator, uintptr_t address);

#endif
