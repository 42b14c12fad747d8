/* hearth/leaks.h - finding leaks: the program says which objects should be dead, the collector says which are
 * not, and what holds them.
 *
 * "assert-dead" of GC Assertions (Aftandilian and Guyer, PLDI 2009): where a program in C would call free,
 * a program with a collector says that it has dropped its last reference. The next full collection
 * knows whether that is so. An object that is reachable only through its finalizer counts as dead. */
#ifndef HEARTH_LEAKS_H
#define HEARTH_LEAKS_H

#include "heap.h"

#ifdef __cplusplus
extern "C" {
#endif

/* An object that should have been dead. */
typedef struct hearth_leak {
    size_t struct_size;  /* sizeof(hearth_leak)                                              */
    const void *object;  /* where it lies; it was alive then, and may be dead by now         */
    uint64_t collection; /* number of the full collection that found it (hearth_collection)  */
    hearth_type type;    /* its type                                                         */
    char text[512];      /* type, address, and what holds it: up to eight holders and a root */
} hearth_leak;

/* Say that `object` will be dead at the next full collection: the caller has dropped its last reference,
 * or does so before it. Nothing is kept alive by saying so. Own thread; no safepoint. Errors: EINVAL,
 * ETHREAD, ESTATE, EOBJECT (the message names the address), ENOMEM (nothing is asserted then). */
HEARTH_API hearth_status hearth_assert_dead(hearth_mutator *mutator, const void *object);

/* Assertions that have failed so far. Any thread. */
HEARTH_API uint64_t hearth_leak_count(hearth_heap *heap);

/* Take the oldest failure that was not taken yet: true, and *out is filled. The newest 32 are kept. False
 * without an error if there is none; false with EINVAL if an argument is wrong. Any thread, but not in a
 * callback of the collector (ESTATE). */
HEARTH_API bool hearth_leak_next(hearth_heap *heap, hearth_leak *out);

#ifdef __cplusplus
}
#endif
#endif
