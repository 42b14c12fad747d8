/* gc/guard.h - a guard behind every object (option guard): who writes past the end of one is found.
 *
 * From the end of an object's payload to the end of its cell, at least eight bytes, lies a pattern. Every
 * collection looks at all of them before it traces, and so does the verifier; under a memory checker
 * they are hidden besides, so that the write itself is reported. Objects with 2^32-1 elements or more
 * have none: their length is told by their size. World stopped, or the object is the caller's own. */
#ifndef HEARTH_GC_GUARD_H
#define HEARTH_GC_GUARD_H

#include "gc/heap.h"

enum { HG_GUARD = 8, HG_GUARD_BYTE = 0xca };

/* Payload bytes with a guard; AddressSanitizer hides multiples of 8 bytes. */
static inline size_t hg_guarded_size(size_t size)
{
    return ((size + HG_GUARD - 1) & ~(size_t)(HG_GUARD - 1)) + HG_GUARD;
}

/* Write the guard of a new object of `size` payload bytes. */
void hg_guard_set(void *object, size_t size);

/* Bytes of the object before its guard. */
size_t hg_guarded_payload(const hearth_heap *heap, uintptr_t object);

/* ECORRUPT names the object, its type and the byte written; always OK without option guard. */
hearth_status hg_guard_check(hearth_heap *heap, uintptr_t object);

/* Every allocated object, dead ones too; keeps the first failure in heap->corrupt. All blocks are given
 * back, no mark has been turned. */
void hg_guard_check_all(hearth_heap *heap);

#endif
