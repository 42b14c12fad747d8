/* hearth/finalize.h - finalizers: what is to be done when an object has become unreachable.
 *
 * The rules are those of PEP 442 (Pitrou 2013), which CPython follows:
 *   - an object's finalizer runs once, after a collection has found the object unreachable; object and all
 *     it refers to are whole then, also in cycles: every finalizer of a cycle runs;
 *   - the object is kept alive until its finalizer has returned. If nothing refers to it then, a later
 *     collection reclaims it; a finalizer that stored it somewhere has resurrected it, for good;
 *   - weak references were cleared before, so nobody else finds the object (but long ones, weak.h);
 *   - among what is due, callbacks of weak references come first, then higher priorities, then what was
 *     registered earlier.
 * An object has one finalizer at most. A minor collection finds young objects, a full one all.
 *
 * Option `finalize` says who runs what is due. `safepoint`: a thread that has collected, or whose allocation takes
 * the slow path, or that reaches a safepoint while there is a collection; so a finalizer may run inside any
 * allocation, and must not wait for a lock that the interrupted code may hold. `queue`: only
 * hearth_finalize_run and its kin, called by the embedder, best on a thread of its own (Boehm, POPL 2003).
 *
 * A finalizer runs with the world running and no lock held, and may do everything: allocate, collect,
 * attach threads, register finalizers, resurrect. It must return, and close the frames, scopes and native section it
 * opened: they are closed for it, scopes and native sections with ESTATE for the error hook. It never runs inside another one of the same heap on the same thread. At hearth_heap_destroy finalizers are
 * not run; see hearth_finalize_all. */
#ifndef HEARTH_FINALIZE_H
#define HEARTH_FINALIZE_H

#include "heap.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Give `object` a finalizer (type hearth_finalizer_fn, types.h). `data` is passed on; the collector does not
 * look at it. Priority: any number, 0 is usual, higher ones run first. The object may be of any age; a type
 * with a finalizer of its own (hearth_type_info.finalize) has registered its objects already. Own thread,
 * no safepoint. Errors: EINVAL (NULL), EOBJECT (not an object of the heap), ESTATE (it has a finalizer, or its
 * finalizer is due or has run), ENOMEM (nothing has changed), ETHREAD. */
HEARTH_API HEARTH_NODISCARD hearth_status hearth_finalizer_add(hearth_mutator *mutator,
                                                               void *object,
                                                               hearth_finalizer_fn *fn, void *data,
                                                               int priority);

/* The same for an object whose finalizer has run, or is being run: it forgets that (hearth_is_finalized is
 * false again). .NET calls it ReRegisterForFinalize. ESTATE only if it has a finalizer or one is due. */
HEARTH_API HEARTH_NODISCARD hearth_status hearth_finalizer_add_again(hearth_mutator *mutator,
                                                                     void *object,
                                                                     hearth_finalizer_fn *fn,
                                                                     void *data, int priority);

/* Take the object's finalizer away, for instance because what it would do was done by hand. Own thread, no
 * safepoint. Errors: as above; ESTATE: it has none that is not due yet (nor can one of a LEGACY type be
 * removed). */
HEARTH_API hearth_status hearth_finalizer_remove(hearth_mutator *mutator, void *object);

/* Has the finalizer of the object been run, or is it running? CPython's gc.is_finalized. False for what is no
 * object of the heap, with the error set (EINVAL, EOBJECT). */
HEARTH_API bool hearth_is_finalized(hearth_heap *heap, const void *object);

/* Something that is due: a finalizer, or the callback of a weak reference. */
typedef struct hearth_finalize_item {
    size_t struct_size;      /* in: sizeof(hearth_finalize_item)                           */
    void *object;            /* the object, or the weak reference; NULL: nothing is due    */
    hearth_finalizer_fn *fn; /* its finalizer; NULL: the callback of a weak reference      */
    void *data;              /* of the finalizer                                           */
    int priority;            /* of the finalizer                                           */
} hearth_finalize_item;

/* Take what is due next out of the queue; *out has a NULL object if nothing is. From now on nothing but
 * the caller keeps the object alive: root it before the next safepoint. It is finalized from now on,
 * whatever the caller does with it. Own thread, no safepoint. Errors: EINVAL, ETHREAD. */
HEARTH_API hearth_status hearth_finalize_next(hearth_mutator *mutator, hearth_finalize_item *out);

/* Do what an item says, with errors reported as usual; the item's object is rooted meanwhile. Returns what
 * the finalizer did. Errors of the call itself: EINVAL, EOBJECT, ETHREAD, ESTATE (inside a finalizer). */
HEARTH_API hearth_status hearth_finalize_call(hearth_mutator *mutator,
                                              const hearth_finalize_item *item);

/* Run at most `max` of what is due, also of what becomes due meanwhile; *ran (may be NULL) tells how many.
 * Any heap, whatever its option says. Own thread; finalizers reach safepoints. Their errors are reported, not
 * returned. Errors: EINVAL, ETHREAD, ESTATE (inside a finalizer). */
HEARTH_API hearth_status hearth_finalize_run(hearth_mutator *mutator, size_t max, size_t *ran);

/* Wait, in a native section, until something is due, hearth_finalize_wake is called or timeout_ms have
 * passed (negative: no timeout; 0: do not wait). *due tells how much there is. Errors: EINVAL, ETHREAD. */
HEARTH_API hearth_status hearth_finalize_wait(hearth_mutator *mutator, int64_t timeout_ms,
                                              size_t *due);

/* Make every thread that waits there return, and the next wait of every thread that does not: none is missed that
 * looks at a flag first and waits then. For ending such threads; any thread. Errors: EINVAL. */
HEARTH_API hearth_status hearth_finalize_wake(hearth_heap *heap);

/* Run the finalizer of every object that has one, reachable or not, as at the end of a program, until there
 * are none; finalizers that register new ones get 16 rounds, then ESTATE tells how many are left. Legacy
 * objects are left alone. Own thread; finalizers reach safepoints; other threads should not use the objects any more. */
HEARTH_API hearth_status hearth_finalize_all(hearth_mutator *mutator);

/* What is told of a finalizer that returned an error (CPython's unraisablehook): the object, the status and a
 * sentence, the thread's last error if that has this status. Runs on the finalizer's thread with the same
 * rights; `message` is valid until it returns. */
typedef void hearth_error_fn(void *data, hearth_mutator *mutator, void *object,
                             hearth_status status, const char *message);

/* Set the heap's hook for errors; NULL removes it. Errors are counted (hearth_stats.finalizer_errors) with
 * or without. Any thread. Errors: EINVAL. */
HEARTH_API hearth_status hearth_on_error(hearth_heap *heap, hearth_error_fn *fn, void *data);

#ifdef __cplusplus
}
#endif
#endif
