/* hearth/alloc.h - allocating objects.
 *
 * Every call here is a safepoint: it may run a collection, so references must be in roots. Memory is
 * zero. On failure NULL is returned, hearth_last_status() tells why (ELIMIT, ENOMEM, ETYPE, ESIZE,
 * ETHREAD, EINVAL), and the heap stays usable: drop references and try again.
 *
 * The fast path is a bump in a run of one size class and kind, inline; a JIT emits the same from
 * hearth/layout.h. */
#ifndef HEARTH_ALLOC_H
#define HEARTH_ALLOC_H

#include "heap.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Out-of-line allocators: every argument is checked. hearth_new takes the size from the type;
 * hearth_new_array adds `count` elements. Own thread only. */
HEARTH_API HEARTH_NODISCARD void *hearth_new(hearth_mutator *mutator, hearth_type type);
HEARTH_API HEARTH_NODISCARD void *hearth_new_array(hearth_mutator *mutator, hearth_type type,
                                                   size_t count);
/* For hearth_set_object_model's type: any payload size. */
HEARTH_API HEARTH_NODISCARD void *hearth_new_sized(hearth_mutator *mutator, hearth_type type,
                                                   size_t size);
/* As hearth_new_array, but in the memory of logical node `node` if it has room. ENODE if unknown. */
HEARTH_API HEARTH_NODISCARD void *hearth_new_on(hearth_mutator *mutator, hearth_type type,
                                                size_t count, int node);

/* The slow path of the inline allocators; checks everything they left unchecked. */
HEARTH_API void *hearth_alloc_slow(hearth_mutator *mutator, hearth_type type, size_t size);

/* The inline allocators' next step where a run is used up: the next hole of the block, if there is nothing else to
 * be done at this safepoint; else hearth_alloc_slow, or hearth_new_array. */
HEARTH_API void *hearth_alloc_next(hearth_mutator *mutator, hearth_type type, size_t size);
HEARTH_API void *hearth_array_next(hearth_mutator *mutator, hearth_type type, size_t count);

/* Allocate a fixed-size object; `size` is its type's size, best a compile-time constant. A size that
 * needs another cell than the type's, or no mutator, takes the checked slow path and fails there with a
 * status. That is all that is looked at here: with HEARTH_CHECKED defined before including hearth.h,
 * every allocation takes the slow path and everything is checked. */
HEARTH_INLINE HEARTH_NODISCARD void *hearth_alloc(hearth_mutator *mutator, hearth_type type,
                                                  size_t size)
{
#ifdef HEARTH_CHECKED
    return hearth_alloc_slow(mutator, type, size);
#else
    size_t cell = (size + HEARTH_HEADER + 15) & ~(size_t)15;
    if (size > HEARTH_INLINE_CELL - HEARTH_HEADER)
        return hearth_alloc_slow(mutator, type, size);
    unsigned size_class = hearth_class_of_cell(cell);
    if (cell > 256)
        cell = hearth_cell_of_class(size_class);
    /* The type's granules, 0 without a mutator: one comparison, and what it compares does not change
     * in a loop. */
    uint32_t granules = (type >> 16) & (0u - (uint32_t)(mutator != NULL));
    if (HEARTH_UNLIKELY(granules != cell / HEARTH_GRANULE))
        return hearth_alloc_slow(mutator, type, size);
    hearth_run *run = &mutator->run[size_class * 2 + (type & 1u)];
    char *at = run->cursor;
    if (HEARTH_UNLIKELY((size_t)(run->limit - at) < cell))
        return hearth_alloc_next(mutator, type, size);
    run->cursor = at + cell;
    *(uint64_t *)at = hearth_header_make(type, 0);
    return at + HEARTH_HEADER;
#endif
}

/* Allocate a variable-length object of `count` elements. */
HEARTH_INLINE HEARTH_NODISCARD void *hearth_alloc_array(hearth_mutator *mutator, hearth_type type,
                                                        size_t count)
{
#ifndef HEARTH_CHECKED
    uint32_t index = (type & 0xffffu) >> 1;
    if (HEARTH_LIKELY(mutator != NULL && type <= 0xffffu && index < mutator->shape_count &&
                      count <= 0xffffu)) {
        hearth_shape shape = mutator->shapes[index];
        size_t size = (size_t)shape.fixed + (size_t)shape.element * count;
        size_t cell = (size + HEARTH_HEADER + 15) & ~(size_t)15;
        if (HEARTH_LIKELY(size <= 256 - HEARTH_HEADER)) {
            hearth_run *run = &mutator->run[(cell / 16 - 1) * 2 + (type & 1u)];
            char *at = run->cursor;
            if (HEARTH_LIKELY((size_t)(run->limit - at) >= cell)) {
                run->cursor = at + cell;
                *(uint64_t *)at = hearth_header_make(type, (uint32_t)count);
                return at + HEARTH_HEADER;
            }
            return hearth_array_next(mutator, type, count);
        }
    }
#endif
    return hearth_new_array(mutator, type, count);
}

/* Payload bytes usable in the object's cell (at least what was asked). 0 and EOBJECT otherwise. */
HEARTH_API size_t hearth_usable_size(hearth_heap *heap, const void *object);

/* Elements of a variable-length object, its type, its logical node. Objects only: unchecked in
 * release builds but for NULL (0, 0, -1). */
HEARTH_API size_t hearth_length(hearth_heap *heap, const void *object);
HEARTH_API hearth_type hearth_type_of(hearth_heap *heap, const void *object);
HEARTH_API int hearth_node_of(hearth_heap *heap, const void *object);

/* True if `address` is the start of an object that is allocated now. No safepoint, but a lock; any
 * attached thread, also in a callback of the collector; for debuggers and bindings, not fast. */
HEARTH_API bool hearth_is_object(hearth_heap *heap, const void *address);

#ifdef __cplusplus
}
#endif
#endif
