/* hearth/types.h - telling the collector where an object's references are.
 *
 * Three tiers, cheapest first: no references at all (LEAF: the object's memory is never read by the
 * collector); a bitmap or a list of offsets, for a fixed part and for repeated elements; a callback
 * that visits slots. A heap may also have an object model, hooks for VMs that keep their own header.
 *
 * A reference slot holds NULL, the address of an object of the same heap, or any address outside
 * hearth's memory (ignored: constants and static objects may be referenced). */
#ifndef HEARTH_TYPES_H
#define HEARTH_TYPES_H

#include "status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct hearth_heap hearth_heap;
typedef struct hearth_mutator hearth_mutator;

/* A registered type: bit 0 LEAF, bits 1-15 index, bits 16-31 cell size in 16-byte granules (0 for
 * variable-length types), so that the inline allocator checks type against size without a load.
 * 0 is never a type. Belongs to the heap that registered it. */
typedef uint32_t hearth_type;

/* Given to trace callbacks and root providers; call hearth_visit on every reference slot. */
typedef struct hearth_visitor hearth_visitor;
struct hearth_visitor {
    void (*slot)(hearth_visitor *visitor, void **slot); /* the library's; do not call directly */
};

/* Visit one slot. Only inside a callback that was given the visitor. The slot stays valid until the
 * callback returns. Slots, not values, are visited, so that a moving collector stays possible. */
HEARTH_INLINE void hearth_visit(hearth_visitor *visitor, void **slot)
{
    visitor->slot(visitor, slot);
}

/* Visits every reference slot of `object`, whose payload is `size` bytes (as allocated, not rounded).
 * Runs while the world is stopped, on any GC worker, concurrently for different objects: it must not
 * allocate, lock, or write the object. */
typedef void hearth_trace_fn(void *object, size_t size, hearth_visitor *visitor);

/* What is done when `object` has become unreachable; see hearth/finalize.h. A status that is not OK is reported
 * (hearth_on_error), nothing else comes of it. */
typedef hearth_status hearth_finalizer_fn(hearth_mutator *mutator, void *object, void *data);

enum {
    HEARTH_TYPE_LEAF = 1u << 0,  /* no references, now or ever                                  */
    HEARTH_TYPE_CARDS = 1u << 1, /* remember stores by 16-byte card, not by object: for objects
                                     that are big and updated in few places. Large objects and
                                     arrays of references always do.                              */
    HEARTH_TYPE_LEGACY_FINALIZER = 1u << 2 /* unreachable objects are not reclaimed, but go to the
                                     garbage list and stay alive with what they reach: for types
                                     whose end only the program can bring about (CPython's tp_del) */
};

/* Zero the whole struct, set `struct_size` to sizeof, fill what applies. The library copies it. */
typedef struct hearth_type_info {
    size_t struct_size;          /* sizeof(hearth_type_info): versions the ABI                    */
    const char *name;            /* for logs, statistics and errors; copied (at most 63 bytes)    */
    size_t size;                 /* bytes of the fixed part                                       */
    uint32_t flags;              /* HEARTH_TYPE_*                                                 */
    uint64_t ref_bitmap;         /* bit i: word i of the fixed part is a reference (first 64)     */
    const uint32_t *ref_offsets; /* instead: byte offsets of the references of the fixed part     */
    size_t ref_count;            /* how many offsets                                              */
    size_t element_size;         /* bytes of one element behind the fixed part; 0: fixed length   */
    uint64_t element_bitmap;     /* bit i: word i of every element is a reference                 */
    hearth_trace_fn *trace;      /* tier 3: visits all slots itself; bitmaps must then be empty   */
    hearth_finalizer_fn *finalize; /* every object has this finalizer from its allocation on, which
                                     then takes the slow path; NULL: none. Not with LEGACY.       */
    void *finalize_data;   /* passed to it                                                  */
    int finalize_priority; /* higher ones run first                                         */
} hearth_type_info;

/* Register a type. Types live as long as the heap; at most 32,767 per heap. Any thread, attached or
 * not; no safepoint. Errors: EINVAL (NULL, contradiction: names it), ETYPE (table full), ESIZE. */
HEARTH_API HEARTH_NODISCARD hearth_status hearth_type_register(hearth_heap *heap,
                                                               const hearth_type_info *info,
                                                               hearth_type *out);

/* Shorthands for the common shapes; same errors. */
HEARTH_API HEARTH_NODISCARD hearth_status hearth_type_leaf(hearth_heap *heap, const char *name,
                                                           size_t size, hearth_type *out);
HEARTH_API HEARTH_NODISCARD hearth_status hearth_type_fixed(hearth_heap *heap, const char *name,
                                                            size_t size, uint64_t ref_bitmap,
                                                            hearth_type *out);
/* Arrays: `n` elements without any fixed part; of bytes (LEAF) or of references. */
HEARTH_API HEARTH_NODISCARD hearth_status hearth_type_bytes(hearth_heap *heap, const char *name,
                                                            hearth_type *out);
HEARTH_API HEARTH_NODISCARD hearth_status hearth_type_refs(hearth_heap *heap, const char *name,
                                                           hearth_type *out);

/* What was registered, for bindings and tools; set out->struct_size before. `name` and `ref_offsets`
 * point into the heap. Errors: EINVAL, ETYPE if unknown. */
HEARTH_API hearth_status hearth_type_get(hearth_heap *heap, hearth_type type,
                                         hearth_type_info *out);

/* Hooks for VMs whose objects carry their own header: one trace function for every object allocated
 * with the handle hearth_set_object_model gives, whatever its size. Set once, before the first
 * such allocation. `size_of` may be NULL: the allocated size is then passed on. */
typedef struct hearth_object_model {
    size_t struct_size;              /* sizeof(hearth_object_model)                   */
    size_t (*size_of)(void *object); /* bytes in use, at most the allocated size      */
    hearth_trace_fn *trace;          /* visits all slots                              */
} hearth_object_model;

HEARTH_API HEARTH_NODISCARD hearth_status hearth_set_object_model(hearth_heap *heap,
                                                                  const hearth_object_model *model,
                                                                  hearth_type *out);

#ifdef __cplusplus
}
#endif
#endif
