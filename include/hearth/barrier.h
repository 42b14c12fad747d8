/* hearth/barrier.h - storing references into objects.
 *
 * Every store of a reference into an object goes through here, except stores into an object made by
 * the last allocation before any other safepoint (hearth_store_init). The generational barrier
 * remembers an old object once per collection (object remembering: Ungar 1984 by way of MMTk's
 * ObjectBarrier), or exact 16-byte cards for arrays and large objects. No locks, no safepoint.
 * A later concurrent collector can hook the same calls (SATB). */
#ifndef HEARTH_BARRIER_H
#define HEARTH_BARRIER_H

#include "heap.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Slow path: remembers `object` (or the card of `slot`). Called by the inline barrier only. */
HEARTH_API void hearth_remember_slow(hearth_mutator *mutator, void *object, void **slot);

/* The checked form: object must be a live object of the mutator's heap, slot inside its payload,
 * value NULL, outside the heap, or an object. Errors: EINVAL, ETHREAD, EOBJECT, ESLOT; nothing is
 * stored then. hearth_store is this one when HEARTH_CHECKED is defined before including hearth.h. */
HEARTH_API hearth_status hearth_store_checked(hearth_mutator *mutator, void *object, void **slot,
                                              void *value);

/* The barrier alone, for JITs and for stores done by other means: call before the store, with no
 * safepoint between. Flags are read from the header: (flags & (OLD | REMEMBERED)) == OLD -> slow. */
HEARTH_INLINE void hearth_barrier(hearth_mutator *mutator, void *object, void **slot)
{
    uint64_t header = __atomic_load_n(hearth_header_of(object), __ATOMIC_RELAXED);
    if (HEARTH_UNLIKELY((header & (HEARTH_OBJECT_OLD | HEARTH_OBJECT_REMEMBERED)) ==
                        HEARTH_OBJECT_OLD))
        hearth_remember_slow(mutator, object, slot);
}

/* *slot = value, where slot lies in object. The store is a release: a thread that reads the slot sees
 * an initialised value. Returns OK always unless HEARTH_CHECKED. */
HEARTH_INLINE hearth_status hearth_store(hearth_mutator *mutator, void *object, void **slot,
                                         void *value)
{
#ifdef HEARTH_CHECKED
    return hearth_store_checked(mutator, object, slot, value);
#else
    hearth_barrier(mutator, object, slot);
    __atomic_store_n(slot, value, __ATOMIC_RELEASE);
    return HEARTH_OK;
#endif
}

/* A store into an object that was allocated with no safepoint since: needs no barrier. */
HEARTH_INLINE void hearth_store_init(void **slot, void *value)
{
    __atomic_store_n(slot, value, __ATOMIC_RELAXED);
}

/* Announce that `count` slots from `slot` on are about to be written. Errors of this call and the two
 * below: as hearth_store_checked, in every build; the values are not looked at. */
HEARTH_API hearth_status hearth_barrier_range(hearth_mutator *mutator, void *object, void **slot,
                                              size_t count);

/* Store `count` values from `values` (plain memory that holds no slot of this object). */
HEARTH_API hearth_status hearth_store_range(hearth_mutator *mutator, void *object, void **slot,
                                            void *const *values, size_t count);

/* memmove of references between objects, or within one: overlapping ranges are right. */
HEARTH_API hearth_status hearth_copy(hearth_mutator *mutator, void *to_object, void **to,
                                     void *from_object, void **from, size_t count);

#ifdef __cplusplus
}
#endif
#endif
