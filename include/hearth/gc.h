/* hearth/gc.h - the control interface: CPython 3.11's gc module as C functions, with its meanings.
 *
 * docs/gc-api.md goes through the module call by call and says what differs. collect.h has
 * hearth_gc_collect, hearth_gc_enable, hearth_gc_disable and hearth_gc_isenabled. Functions that take a
 * heap may be called by any thread, attached or not, but not from a callback that runs while the world is
 * stopped (ESTATE there); those that take a mutator by its own thread (ETHREAD), outside of native
 * sections (ESTATE). NULL is EINVAL. None is a safepoint unless it says so. */
#ifndef HEARTH_GC_H
#define HEARTH_GC_H

#include "collect.h"
#include "stats.h"

#ifdef __cplusplus
extern "C" {
#endif

/* hearth_gc_collect, and *unreachable (may be NULL) gets how many objects were found unreachable:
 * reclaimed, saved in garbage, brought back by a finalizer, or uncollectable. Exact. A safepoint.
 * After ECORRUPT (option verify) *unreachable is set as well. */
HEARTH_API hearth_status hearth_gc_collect_count(hearth_mutator *mutator, int generation,
                                                 size_t *unreachable);

/* When automatic collections run. t0 = 0, the default: bytes decide (the nursery and the budget). t0 > 0:
 * objects do, by CPython's rules, where a count is above its threshold:
 *   generation 0: objects allocated since the last collection > t0;
 *   generation 1: also, collections of generation 0 since the last of generation 1 > t1;
 *   generation 2: also, collections of generation 1 since the last full one > t2, and the objects that
 *   became old since then are at least a quarter of those that survived it.
 * The heap's budget and limits hold as well. It is looked at when an object is allocated; with one thread
 * a collection comes exactly t0 + 1 objects after the last. Several threads take shares of what is left,
 * so that one may come early by what the others have not used of theirs. While t0 > 0 a minor
 * collection is never made a full one because minor ones do not pay. */
HEARTH_API hearth_status hearth_gc_set_threshold(hearth_heap *heap, size_t t0, size_t t1,
                                                 size_t t2);
HEARTH_API hearth_status hearth_gc_get_threshold(hearth_heap *heap, size_t threshold[3]);

/* count[0]: objects allocated since the last collection. Those of the calling thread are exact, other
 * threads' count by the runs they hold (at most 8 KiB a size class more than they have used).
 * count[1]: collections of generation 0 since the last of generation 1; count[2]: collections of generation 1
 * since the last full one. */
HEARTH_API hearth_status hearth_gc_get_count(hearth_heap *heap, size_t count[3]);

/* Totals over all collections of one generation, as hearth_collection.generation has it. */
typedef struct hearth_gc_generation_stats {
    size_t struct_size;     /* in: sizeof(hearth_gc_generation_stats)                      */
    uint64_t collections;   /* that were done                                              */
    uint64_t collected;     /* objects reclaimed (or saved in garbage)                     */
    uint64_t uncollectable; /* objects kept because of a legacy finalizer                  */
} hearth_gc_generation_stats;

/* Errors: EINVAL (the generation is not 0..2, struct_size). */
HEARTH_API hearth_status hearth_gc_get_stats(hearth_heap *heap, int generation,
                                             hearth_gc_generation_stats *out);

/* Debugging flags; the values are CPython's. What they print goes to stderr, or to the log hook. */
enum {
    HEARTH_GC_DEBUG_STATS = 1,         /* a few lines about each collection                  */
    HEARTH_GC_DEBUG_COLLECTABLE = 2,   /* a line for each object found unreachable           */
    HEARTH_GC_DEBUG_UNCOLLECTABLE = 4, /* a line for each that goes to garbage uncollectable */
    HEARTH_GC_DEBUG_SAVEALL = 32,      /* what is unreachable goes to garbage                */
    HEARTH_GC_DEBUG_LEAK = 38          /* COLLECTABLE, UNCOLLECTABLE and SAVEALL             */
};

/* EINVAL names bits that are no flag; nothing is changed then. Takes effect with the next collection. */
HEARTH_API hearth_status hearth_gc_set_debug(hearth_heap *heap, unsigned flags);
/* 0 for NULL. */
HEARTH_API unsigned hearth_gc_get_debug(const hearth_heap *heap);

/* Gets each line that debugging flags ask for, without newline; the string is the library's. Runs while
 * the world is stopped: it must call nothing of hearth on this heap. NULL: stderr again. */
typedef void hearth_gc_log_fn(void *data, hearth_heap *heap, const char *line);
HEARTH_API hearth_status hearth_gc_set_log(hearth_heap *heap, hearth_gc_log_fn *fn, void *data);

/* Callbacks at the beginning and the end of each collection (gc.callbacks). */
typedef enum hearth_gc_phase { HEARTH_GC_START = 0, HEARTH_GC_STOP = 1 } hearth_gc_phase;

typedef struct hearth_gc_info {
    size_t struct_size;     /* sizeof(hearth_gc_info)                                       */
    int generation;         /* START: planned; STOP: what was done, perhaps more           */
    uint64_t collected;     /* STOP: objects reclaimed (or saved in garbage)                */
    uint64_t uncollectable; /* STOP: objects kept because of a legacy finalizer             */
} hearth_gc_info;

/* Called by the thread that collects, START before it stops the world and STOP when it runs again, in
 * the order in which they were added. The other threads run, so a callback may do whatever the
 * thread could do where it allocated: allocate (references must be in roots), collect, add and remove
 * callbacks. Collections within a callback, of the same thread, call none. Each START has its STOP. The
 * same pair of fn and data twice, or removing an unknown one: ESTATE. ENOMEM adds nothing. After
 * removal another thread may be inside the callback still. */
typedef void hearth_gc_callback(hearth_mutator *mutator, hearth_gc_phase phase,
                                const hearth_gc_info *info, void *data);
HEARTH_API hearth_status hearth_gc_callback_add(hearth_heap *heap, hearth_gc_callback *fn,
                                                void *data);
HEARTH_API hearth_status hearth_gc_callback_remove(hearth_heap *heap, hearth_gc_callback *fn,
                                                   void *data);

/* gc.garbage: a list of objects, each a strong root. Legacy finalizers and DEBUG_SAVEALL put objects
 * there; the embedder may add and take away. A collection never fails for want of memory for it: what
 * finds no place is reclaimed (SAVEALL) or tried again by the next collection (legacy finalizers). */
HEARTH_API size_t hearth_gc_garbage_count(hearth_heap *heap); /* 0 for NULL */
/* Entry `index`: a reference like any other, to be put in a root if the entry may go. NULL and EINVAL,
 * which names the index, if there are not so many. */
HEARTH_API void *hearth_gc_garbage_get(hearth_mutator *mutator, size_t index);
/* Append; the same object may be there several times. EOBJECT if it is none of this heap, ENOMEM. */
HEARTH_API hearth_status hearth_gc_garbage_append(hearth_mutator *mutator, void *object);
/* Take entry `index` away (EINVAL if there are not so many); the later ones move up. Or all of them. */
HEARTH_API hearth_status hearth_gc_garbage_remove(hearth_mutator *mutator, size_t index);
HEARTH_API hearth_status hearth_gc_garbage_clear(hearth_mutator *mutator);

/* Freeze: every object that exists now, reachable or not, leaves the collector's sight: it is kept, and no
 * collection traces it, sweeps it or writes its pages any more, so that a child of fork() shares them
 * (CPython's permanent generation). Frozen objects are used like others; references stored into them
 * keep their targets alive: those that were ever written are looked at by full collections. Blocks
 * with frozen objects are allocated from only when the heap is at its limit. The counts of
 * hearth_gc_get_count are 0 afterwards. Collect first, or garbage is frozen too. A safepoint;
 * never fails for want of memory. */
HEARTH_API hearth_status hearth_gc_freeze(hearth_mutator *mutator);
/* All frozen objects are ordinary old ones again. A safepoint. */
HEARTH_API hearth_status hearth_gc_unfreeze(hearth_mutator *mutator);
/* Objects that are frozen; exact. 0 for NULL. */
HEARTH_API size_t hearth_gc_get_freeze_count(const hearth_heap *heap);

#ifdef __cplusplus
}
#endif
#endif
