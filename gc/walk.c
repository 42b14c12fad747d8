/* gc/walk.c - walking the objects of a heap, and the slots of one object, in no hurry.
 *
 * For the verifier, the mark-stack overflow search and introspection. World stopped. */
#include "alloc/large.h"
#include "gc/heap.h"
#include "gc/slots.h"
#include "gc/trace.h"

typedef void hg_walk_fn(void *data, uintptr_t object, uint8_t mark);

/* Marked objects; with `young`, also those below the frontier that have no mark. */
static void hg_walk_block(const struct ha_block *block, bool young, hg_walk_fn *fn, void *data)
{
    for (unsigned i = 0; i < block->cells; i++) {
        uintptr_t object = ha_object_at(block, i);
        uint8_t mark = ha_mark_load(ha_meta_of(object)) & HA_MARK;
        if (mark != 0 || (young && (char *)object - HEARTH_HEADER < block->frontier))
            fn(data, object, mark);
    }
}

static void hg_walk_large(const struct ha_list *list, bool young, hg_walk_fn *fn, void *data)
{
    for (struct ha_block *block = list->head; block != NULL; block = block->next) {
        uintptr_t object = ha_large_object(block);
        uint8_t mark = ha_mark_load(ha_meta_of(object)) & HA_MARK;
        if (mark != 0 || young)
            fn(data, object, mark);
    }
}

static void hg_walk(hearth_heap *heap, bool young, hg_walk_fn *fn, void *data)
{
    for (int n = 0; n < heap->space.nodes; n++) {
        struct ha_pool *pool = heap->space.pool[n];
        for (struct ha_chunk *chunk = pool->chunks; chunk != NULL; chunk = chunk->next)
            for (unsigned i = HA_HEAD_BLOCKS; i < HA_CHUNK_BLOCKS; i++) {
                const struct ha_block *block = ha_block_at(chunk, i);
                if (block->state >= HA_CURRENT && block->state < HA_LARGE)
                    hg_walk_block(block, young, fn, data);
            }
        hg_walk_large(&pool->large_young, young, fn, data);
        hg_walk_large(&pool->large_old, young, fn, data);
    }
}

void hg_walk_marked(hearth_heap *heap, hg_walk_fn *fn, void *data)
{
    hg_walk(heap, false, fn, data);
}

void hg_walk_allocated(hearth_heap *heap, hg_walk_fn *fn, void *data)
{
    hg_walk(heap, true, fn, data);
}

#define HG_VISIT(s) visitor->slot(visitor, s)

void hg_visit_object(hearth_heap *heap, uintptr_t object, hearth_visitor *visitor)
{
    uint64_t header = *hearth_header_of((void *)object);
    const struct hg_type *type = &heap->types.row[hg_header_type(header)];
    size_t size = hg_object_size(object, header, type);
    if (type->tier == HG_TIER_CALLBACK) {
        type->trace((void *)object, size, visitor);
    } else if (type->tier == HG_TIER_MODEL) {
        const hearth_object_model *model = &heap->types.model;
        model->trace((void *)object, model->size_of != NULL ? model->size_of((void *)object) : size,
                     visitor);
    } else {
        HG_EACH_FIXED(object, type, HG_VISIT);
        if (type->tier == HG_TIER_EPHEMERON && ((struct hg_cell *)object)->weak != NULL)
            HG_VISIT(&((struct hg_cell *)object)->other);
        if (type->element_bitmap != 0)
            HG_EACH_ELEMENT(object, type, 0, hg_object_count(object, header, type), HG_VISIT);
    }
}
