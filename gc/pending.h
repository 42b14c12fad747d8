/* gc/pending.h - callbacks of weak references and finalizers that are due, until they are run.
 *
 * Due are: a line of entries (entry.h) with callbacks; entries that a collection has found; the queue, in two lines.
 * What was found is sorted into the queue when somebody takes from it, not in the pause. All of it is a
 * root, but minor collections leave out what is old already, so that a long queue costs them nothing: found entries
 * with an `aged` bit, callbacks before `young_cells`, the line `queue`. The line `fresh` is the rest of the queue. An item
 * that was taken is in a frame of the thread that runs it.
 * Lock: pending->lock, a leaf below heap->lock; with the world stopped it is not needed but for waking those
 * who wait in native sections. Node: ordinary memory. */
#ifndef HEARTH_GC_PENDING_H
#define HEARTH_GC_PENDING_H

#include <pthread.h>

#include "gc/entry.h"
#include "hearth/finalize.h"

struct hg_mutator;
struct hg_worker;

struct hg_pending {
    pthread_mutex_t lock;
    pthread_cond_t arrived;       /* something is due, or waiters shall go on (CLOCK_MONOTONIC)  */
    struct hg_entries entries;    /* of the registry as well                                     */
    struct hg_entry *reserved;    /* TAKEN entries for callbacks, by next                         */
    struct hg_line cells;         /* callbacks, first in first out                                */
    struct hg_entry *young_cells; /* the first of them whose cell may not be old; NULL: none    */
    struct hg_line fresh;         /* finalizers in the order they will run                     */
    struct hg_line queue;         /* the same, objects old; in order unless `mixed`            */
    bool mixed;
    uint64_t count;         /* due: all of it (atomic)                                      */
    uint64_t wakes;         /* calls of hearth_finalize_wake                                */
    uint64_t run, errors;   /* ever: what was run; what of it failed (atomic)               */
    hearth_error_fn *error; /* the embedder's hook                                          */
    void *error_data;
    bool ready; /* the lock exists                                              */
};

hearth_status hg_pending_init(hearth_heap *heap);
void hg_pending_destroy(hearth_heap *heap);
/* In the child of a fork: who waited is gone. */
void hg_pending_forked(hearth_heap *heap);
void hg_pending_roots(hearth_heap *heap, struct hg_worker *worker);
/* Called when something with a callback is registered, so that a collection needs no memory: room for one
 * more in the queue. false: no memory. Any attached thread. */
bool hg_pending_reserve(hearth_heap *heap);
void hg_pending_unreserve(hearth_heap *heap);
/* World stopped, room was reserved: the callback of a weak reference whose target died is due. The cell is a
 * root until it has run. */
void hg_pending_cell(hearth_heap *heap, uintptr_t cell);
/* So many more finalizers are due (hg_entry_found). World stopped, or the lock is held. */
void hg_pending_add(hearth_heap *heap, size_t count);
/* Push the objects of entries that were found and are not in the queue yet. World stopped. */
void hg_pending_push_found(hearth_heap *heap, struct hg_worker *worker);
/* At the end of a collection: what has become old by it. World stopped. */
void hg_pending_age(hearth_heap *heap);
/* After a collection: wake who waits for something to be due. World stopped. */
void hg_pending_wake(hearth_heap *heap);
/* At a safepoint, no lock held: run what is due now, if the heap's option says that safepoints do and this
 * thread is not running something already. Returns how many were run. */
size_t hg_pending_run(struct hg_mutator *mutator);
/* The same, whatever the option says: at most `max`. */
size_t hg_pending_run_some(struct hg_mutator *mutator, size_t max);
/* OK, or why the calling thread may not run anything by this call. */
hearth_status hg_may_finalize(hearth_mutator *mutator, const char *call);
/* World stopped. */
hearth_status hg_pending_check(hearth_heap *heap);

#endif
