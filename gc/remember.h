/* gc/remember.h - remembered sets: sequential store buffers of old objects that may refer to younger ones.
 *
 * Invariant: an object with REMEMBERED or DIRTY set is in exactly one buffer. A buffer belongs to one
 * mutator; those of detached mutators to the heap. If a buffer can not grow the flags stay clear and
 * the next collection is a full one, which needs no remembered set. */
#ifndef HEARTH_GC_REMEMBER_H
#define HEARTH_GC_REMEMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HG_REMEMBER_CHUNK = 1022 };

struct hg_remember_chunk {
    struct hg_remember_chunk *next;
    size_t count;
    uintptr_t object[HG_REMEMBER_CHUNK];
};

struct hg_remembered {
    struct hg_remember_chunk *first; /* the one that is being filled; older ones behind it  */
    size_t count;                    /* objects in all                                      */
};

/* Make sure that one more fits; false: no memory. */
bool hg_remember_room(struct hg_remembered *set);
/* Room must have been made. */
void hg_remember_add(struct hg_remembered *set, uintptr_t object);
/* Append `from` to `to`; `from` is empty then. */
void hg_remember_move(struct hg_remembered *to, struct hg_remembered *from);
/* Forget all, keep one chunk. */
void hg_remember_reset(struct hg_remembered *set);
void hg_remember_free(struct hg_remembered *set);

#endif
