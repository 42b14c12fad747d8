/* hearth/layout.h - what the inline fast paths and a JIT may rely on. ABI.
 *
 * An object is `size` payload bytes at a 16-byte aligned address, in a cell that begins 8 bytes before
 * it with one header word:
 *     bits 0-15   flags (HEARTH_OBJECT_*)       bits 16-31  the low half of its hearth_type
 *     bits 32-63  number of elements of a variable-length object (saturates at 2^32-1 for large ones)
 * Cells have 62 size classes: 16-byte steps to 256, then eight steps per doubling to 8 KiB, then the
 * six fractions of a 64 KiB block up to half of it. Mark state lies outside the object (sticky marks,
 * Demers et al., POPL 1990, in side metadata as Whippet's nofl space has it). */
#ifndef HEARTH_LAYOUT_H
#define HEARTH_LAYOUT_H

#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    HEARTH_GRANULE = 16,      /* bytes; alignment of every object                */
    HEARTH_HEADER = 8,        /* bytes of header before the object               */
    HEARTH_CLASSES = 62,      /* size classes                                    */
    HEARTH_RUNS = 124,        /* a bump run per (class, SCAN or LEAF)            */
    HEARTH_INLINE_CELL = 8192 /* largest cell whose class is computed inline     */
};

enum {
    HEARTH_OBJECT_OLD = 1u << 0,        /* in the old generation and has references            */
    HEARTH_OBJECT_REMEMBERED = 1u << 1, /* already in a remembered set: the barrier is silent  */
    HEARTH_OBJECT_CARDS = 1u << 2,      /* remembers stores by card                            */
    HEARTH_OBJECT_DIRTY = 1u << 3,      /* (with CARDS) in a list of objects with dirty cards  */
    HEARTH_OBJECT_LARGE = 1u << 4,      /* in the large-object space                           */
    HEARTH_OBJECT_FINALIZED = 1u << 5,  /* its finalizer has run                               */
    HEARTH_OBJECT_HASHED = 1u << 6,     /* its identity hash was taken                         */
    HEARTH_OBJECT_PINNED = 1u << 7      /* pinned (nothing moves today; kept for the promise)  */
};

/* A bump run: allocate at `cursor`, never past `limit`. Memory between them is zero. */
typedef struct hearth_run {
    char *cursor;
    char *limit;
} hearth_run;

/* A shadow-stack frame: `count` references follow it in memory (Henderson, ISMM 2002). */
typedef struct hearth_frame {
    struct hearth_frame *prev;
    size_t count;
} hearth_frame;

/* Bytes of a variable-length type, for the inline allocator. */
typedef struct hearth_shape {
    uint32_t fixed;   /* bytes of the fixed part; UINT32_MAX: take the slow path   */
    uint32_t element; /* bytes of an element                                       */
} hearth_shape;

/* The public head of a mutator: one thread's allocation state. Offsets are ABI (asserted in gc/mutator.c):
 * frames 0, poll 8, shape_count 12, shapes 16, heap 24, run 64. */
struct hearth_mutator {
    hearth_frame *frames;        /* innermost shadow-stack frame                          */
    uint32_t poll;               /* not 0: call hearth_safepoint_slow (atomic, relaxed)   */
    uint32_t shape_count;        /* valid indices of `shapes`                             */
    const hearth_shape *shapes;  /* by type index                                         */
    hearth_heap *heap;           /* the heap it belongs to                                */
    void *reserved[4];           /* room to grow without moving `run`                     */
    hearth_run run[HEARTH_RUNS]; /* [class * 2 + leaf]                                    */
};

/* Size class of a cell (header included), 16 <= cell <= HEARTH_INLINE_CELL. Folds to a constant. */
HEARTH_INLINE unsigned hearth_class_of_cell(size_t cell)
{
    if (cell <= 256)
        return (unsigned)((cell + 15) / 16) - 1;
    unsigned log = 63u - (unsigned)__builtin_clzll((unsigned long long)(cell - 1));
    return 16 + (log - 8) * 8 + (unsigned)((cell - 1 - ((size_t)1 << log)) >> (log - 3));
}

/* Bytes of the cells of a class below the block-fraction classes (class < 56). */
HEARTH_INLINE size_t hearth_cell_of_class(unsigned size_class)
{
    if (size_class < 16)
        return ((size_t)size_class + 1) * 16;
    size_t base = (size_t)256 << ((size_class - 16) / 8);
    return base + (base / 8) * ((size_class - 16) % 8 + 1);
}

HEARTH_INLINE uint64_t *hearth_header_of(const void *object)
{
    return (uint64_t *)((uintptr_t)object - HEARTH_HEADER);
}

/* The header of a new object of `type` with `count` elements. */
HEARTH_INLINE uint64_t hearth_header_make(hearth_type type, uint32_t count)
{
    return ((uint64_t)(type & 0xffffu) << 16) | ((uint64_t)count << 32);
}

#ifdef __cplusplus
}
#endif
#endif
