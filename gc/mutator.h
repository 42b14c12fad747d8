/* gc/mutator.h - one attached thread: allocation state, roots of its own, and whether it stands.
 *
 * Lives in memory of the node it was attached on, if that has some. Its fields are its thread's, except `state` (atomic),
 * poll (atomic), and everything while the world is stopped. Lock: heap->lock for the list. */
#ifndef HEARTH_GC_MUTATOR_H
#define HEARTH_GC_MUTATOR_H

#include <pthread.h>
#include <ucontext.h>

#include "alloc/hole.h"
#include "gc/cell.h"
#include "gc/remember.h"
#include "hearth/heap.h"

/* Whether a mutator may touch the heap. Only RUNNING ones are waited for. */
enum hg_state { HG_RUNNING, HG_PARKED, HG_NATIVE };

enum { HG_HANDLES = 126, HG_SAVED = 128 };

/* A page of handles; the scope stack is a list of pages. */
struct hg_handles {
    struct hg_handles *prev;
    size_t count;
    void *slot[HG_HANDLES];
};

/* Runs in the memory of a node other than the mutator's (hearth_new_on). */
struct hg_remote {
    struct hearth_run run[HEARTH_RUNS];
    struct ha_allocator allocator;
};

struct hg_mutator {
    struct hearth_mutator public; /* first: the inline fast paths' view                     */
    struct ha_allocator allocator;
    struct hg_remote *remote[HT_MAX_NODES]; /* by node; NULL: never asked for                   */
    struct hg_remembered remembered;
    struct hg_remembered cells[HG_CELLS_GROUPS]; /* made since the last collection: cell.h     */
    struct hg_handles *handles;  /* newest page                                            */
    struct hg_handles *spare;    /* one emptied page kept                                  */
    size_t scopes;               /* open                                                   */
    uint32_t scope_serial;       /* of the scope opened last                               */
    uint32_t state;              /* enum hg_state (atomic)                                 */
    bool conservative;           /* scan registers and stack                               */
    bool telling;                /* inside the function of hearth_on_pressure              */
    bool lent;                   /* NATIVE while its thread may wait in another heap       */
    uint64_t wakes;              /* calls of hearth_finalize_wake it has seen              */
    bool finalizing;             /* runs a finalizer: it runs no other one meanwhile       */
    int node;                    /* asked for; HEARTH_NODE_AUTO: follow the CPU            */
    int home;                    /* node it was attached on                                */
    int64_t allowance;           /* bytes left of the nursery share it has taken           */
    uint64_t stress;             /* slow allocations until the next forced collection      */
    int64_t credit;              /* objects it may still allocate: threshold.c             */
    uint32_t epoch;              /* of that credit                                         */
    bool in_callback;            /* runs callbacks of the control interface                */
    uint64_t unreachable;        /* found by the last collection this thread made          */
    int32_t track;               /* of the timeline                                        */
    uint64_t stopped_ns;         /* the same: since when it stands                         */
    struct hg_remembered thawed; /* frozen objects it was the first to write              */
    pthread_t thread;
    char *stack_low, *stack_high;   /* low: at the last stop; high: base                      */
    ucontext_t registers;           /* at the last stop (conservative)                        */
    uintptr_t saved[HG_SAVED];      /* the lowest words of the stack then: a native section goes
                                         on below them and overwrites the registers saved there  */
    struct hg_mutator *next, *prev; /* of the heap                                            */
    struct hg_mutator *thread_next; /* of the thread: its mutators of other heaps             */
};

static inline struct hg_mutator *hg_mutator_of(hearth_mutator *mutator)
{
    return (struct hg_mutator *)mutator;
}

/* OK, or why the calling thread may not use this mutator (`call` names the function). */
hearth_status hg_mutator_own(hearth_mutator *mutator, const char *call);
/* The same, and it may touch the heap now: it is in no native section and in no callback of the
 * collector. */
hearth_status hg_mutator_ready(hearth_mutator *mutator, const char *call);

/* Is the calling thread the one that collects this heap just now, inside a callback? */
bool hg_in_callback(hearth_heap *heap);

/* pthread_cond_wait that is no cancellation point: a thread cancelled there would die with the lock. */
void hg_wait(pthread_cond_t *condition, pthread_mutex_t *lock);

/* Zeroed metadata of this node or, unless the heap is strict, of the nearest that has some; NULL: none. */
void *hg_meta_near(hearth_heap *heap, int node, size_t bytes);

/* Free its pages of handles. */
void hg_handles_free(struct hg_mutator *mutator);
/* Pages are full but for the newest; markers and open scopes agree. */
bool hg_handles_check(const struct hg_mutator *mutator);

/* Give all blocks it holds back to the collector; adds up what it allocated since the last time. */
void hg_mutator_flush(struct hg_mutator *mutator, uint64_t *bytes, uint64_t *objects);

/* Conservative mutators: note where the stack ends now and what the registers hold. */
void hg_mutator_note_stack(struct hg_mutator *mutator);

#endif
