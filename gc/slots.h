/* gc/slots.h - walking the reference slots of an object, whatever its type's tier.
 *
 * One always-inline walker, instantiated with a visit operation by the tracer (hot) and by the verifier and
 * the heap walk (cold). The object is live and nobody writes it (world stopped). */
#ifndef HEARTH_GC_SLOTS_H
#define HEARTH_GC_SLOTS_H

#include "alloc/block.h"
#include "gc/type.h"

/* Elements of a variable-length object (or payload bytes of a model object). */
static inline size_t hg_object_count(uintptr_t object, uint64_t header, const struct hg_type *type)
{
    uint32_t count = (uint32_t)(header >> 32);
    if (__builtin_expect(count != UINT32_MAX, 1))
        return count;
    size_t size = ha_block_of(object)->size;
    return type->element != 0 ? (size - type->fixed) / type->element : size;
}

/* Payload bytes as allocated. */
static inline size_t hg_object_size(uintptr_t object, uint64_t header, const struct hg_type *type)
{
    if (type->tier == HG_TIER_MODEL)
        return hg_object_count(object, header, type);
    if (type->element == 0)
        return type->fixed;
    return type->fixed + hg_object_count(object, header, type) * type->element;
}

#define HG_EACH_BIT(bits, base, VISIT)                                                             \
    for (uint64_t hg_bits = (bits); hg_bits != 0; hg_bits &= hg_bits - 1)                          \
    VISIT((void **)(base) + __builtin_ctzll(hg_bits))

/* Elements [from, to). */
#define HG_EACH_ELEMENT(object, type, from, to, VISIT)                                             \
    do {                                                                                           \
        char *hg_at = (char *)(object) + (type)->fixed + (size_t)(from) * (type)->element;         \
        size_t hg_left = (size_t)(to) - (size_t)(from);                                            \
        if ((type)->element == sizeof(void *)) {                                                   \
            for (; hg_left > 0; hg_left--, hg_at += sizeof(void *))                                \
                VISIT((void **)(void *)hg_at);                                                     \
        } else {                                                                                   \
            for (; hg_left > 0; hg_left--, hg_at += (type)->element)                               \
                HG_EACH_BIT((type)->element_bitmap, (void *)hg_at, VISIT);                         \
        }                                                                                          \
    } while (0)

/* The fixed part, for the table-driven tiers. */
#define HG_EACH_FIXED(object, type, VISIT)                                                         \
    do {                                                                                           \
        HG_EACH_BIT((type)->bitmap, (object), VISIT);                                              \
        if (__builtin_expect((type)->tier == HG_TIER_OFFSETS, 0))                                  \
            for (uint32_t hg_i = 0; hg_i < (type)->offset_count; hg_i++)                           \
                VISIT((void **)(void *)((char *)(object) + (type)->offsets[hg_i]));                \
    } while (0)

#endif
