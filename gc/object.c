/* gc/object.c - questions about objects: type, length, node, is it one. No locks. */
#include "alloc/large.h"
#include "gc/heap.h"
#include "gc/slots.h"
#include "topology/error.h"

/* A block that a mutator holds now: cells below its cursor are allocated. */
static bool hg_in_held_block(hearth_heap *heap, const struct ha_block *block, uintptr_t object)
{
    for (struct hg_mutator *m = heap->mutators; m != NULL; m = m->next) {
        unsigned k = block->size_class * 2u + block->kind;
        if (m->allocator.hole[k].block == block)
            return (char *)object - HEARTH_HEADER < m->allocator.run[k].cursor;
        for (int n = 0; n < heap->space.nodes; n++)
            if (m->remote[n] != NULL && m->remote[n]->allocator.hole[k].block == block)
                return (char *)object - HEARTH_HEADER < m->remote[n]->run[k].cursor;
    }
    return false;
}

bool hg_is_object(hearth_heap *heap, uintptr_t address)
{
    if (address % HEARTH_GRANULE != 0)
        return false;
    if (ha_space_find(&heap->space, address) == address)
        return true;
    const struct ha_windows *windows = heap->space.windows;
    if (!ha_windows_contain(windows, address))
        return false;
    const struct ha_slot *slot = &windows->slot[(address - windows->base) >> HA_CHUNK_SHIFT];
    if (__atomic_load_n(&slot->owner, __ATOMIC_ACQUIRE) != heap || slot->head != 0 ||
        ha_chunk_of((void *)address)->span != 1 || ha_block_index(address) < HA_HEAD_BLOCKS)
        return false;
    const struct ha_block *block = ha_block_of(address);
    if (block->state != HA_CURRENT)
        return false;
    uintptr_t offset = address - (uintptr_t)ha_block_start(block) - HEARTH_GRANULE;
    return offset % block->cell == 0 && hg_in_held_block(heap, block, address);
}

bool hearth_is_object(hearth_heap *heap, const void *address)
{
    return heap != NULL && hg_is_object(heap, (uintptr_t)address);
}

static const struct hg_type *hg_row_of(hearth_heap *heap, const void *object, uint64_t *header)
{
    if (heap == NULL || object == NULL ||
        !ha_windows_contain(heap->space.windows, (uintptr_t)object))
        return NULL;
    *header = __atomic_load_n(hearth_header_of(object), __ATOMIC_RELAXED);
    return &heap->types.row[hg_header_type(*header)];
}

size_t hearth_usable_size(hearth_heap *heap, const void *object)
{
    if (!hearth_is_object(heap, object)) {
        ht_fail(HEARTH_EOBJECT, "hearth_usable_size: %p is not an object of this heap", object);
        return 0;
    }
    return ha_object_capacity((uintptr_t)object);
}

size_t hearth_length(hearth_heap *heap, const void *object)
{
    uint64_t header;
    const struct hg_type *type = hg_row_of(heap, object, &header);
    return type != NULL ? hg_object_count((uintptr_t)object, header, type) : 0;
}

hearth_type hearth_type_of(hearth_heap *heap, const void *object)
{
    uint64_t header;
    const struct hg_type *type = hg_row_of(heap, object, &header);
    return type != NULL ? type->handle : 0;
}

int hearth_node_of(hearth_heap *heap, const void *object)
{
    uint64_t header;
    if (hg_row_of(heap, object, &header) == NULL)
        return -1;
    return ha_node_of(heap->space.windows, (uintptr_t)object);
}
