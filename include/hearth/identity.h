/* hearth/identity.h - an object's identity: keeping it where it is, keeping it for ever, hashing it.
 *
 * Objects do not move today, so an address is an identity; these calls are the promise that stays good
 * with a collector that moves. What is pinned or immortal is a root. */
#ifndef HEARTH_IDENTITY_H
#define HEARTH_IDENTITY_H

#include "heap.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Pin: the object stays alive and at its address until it is unpinned as often as it was pinned (the fixed
 * statement of C#, JNI's critical sections). What is pinned during a collection is old afterwards. Own
 * thread, no safepoint. Errors: EINVAL (NULL), EOBJECT, ETHREAD, ENOMEM (not pinned), ESTATE (unpin: it is not
 * pinned; pin: 2^32-1 times already). */
HEARTH_API HEARTH_NODISCARD hearth_status hearth_pin(hearth_mutator *mutator, void *object);
HEARTH_API hearth_status hearth_unpin(hearth_mutator *mutator, void *object);

/* The object, and with it what it reaches, lives as long as the heap. Twice is allowed. Errors: as hearth_pin. */
HEARTH_API HEARTH_NODISCARD hearth_status hearth_immortal(hearth_mutator *mutator, void *object);

/* A hash of the object's identity: the same as long as it lives, not 0, the bits well mixed; another object
 * may get it afterwards. 0 if it is no object, with the error set. Own thread, no safepoint. */
HEARTH_API uint64_t hearth_identity_hash(hearth_mutator *mutator, const void *object);

#ifdef __cplusplus
}
#endif
#endif
