/* gc/inspect.h - what the files of introspection share: holding the world, walking blocks, lists of
 * addresses. World stopped throughout; heap->lock is held by the looking thread. */
#ifndef HEARTH_GC_INSPECT_H
#define HEARTH_GC_INSPECT_H

#include "alloc/large.h"
#include "gc/heap.h"
#include "gc/slots.h"
#include "gc/trace.h"
#include "hearth/inspect.h"

/* Stop the world for looking: all blocks are given back, callbacks may not call. Waits for another thread's
 * collection first. Errors: as hg_mutator_ready. */
hearth_status hg_inspect_begin(hearth_mutator *mutator, const char *call);
void hg_inspect_end(hearth_mutator *mutator);

/* EINVAL if objects are counted but not given; no safepoint. World stopped: EOBJECT unless all are. */
hearth_status hg_inspect_given(void *const *objects, size_t count, const char *call);
hearth_status hg_inspect_objects(hearth_heap *heap, void *const *objects, size_t count,
                                 const char *call);

static inline bool hg_block_has_cells(const struct ha_block *block)
{
    return block->state >= HA_CURRENT && block->state < HA_LARGE;
}

/* The next allocated object from cell *i on, which goes behind it; 0: no more. */
static inline uintptr_t hg_block_next(const struct ha_block *block, unsigned *i)
{
    while (*i < block->cells) {
        uintptr_t object = ha_object_at(block, (*i)++);
        if ((ha_mark_load(ha_meta_of(object)) & HA_MARK) != 0 ||
            (char *)object - HEARTH_HEADER < block->frontier)
            return object;
    }
    return 0;
}

static inline uint64_t hg_header_load(uintptr_t object)
{
    return __atomic_load_n(hearth_header_of((void *)object), __ATOMIC_RELAXED);
}

static inline const struct hg_type *hg_type_row(const hearth_heap *heap, uintptr_t object)
{
    return &heap->types.row[hg_header_type(hg_header_load(object))];
}

static inline size_t hg_payload_size(const hearth_heap *heap, uintptr_t object)
{
    return hg_object_size(object, hg_header_load(object), hg_type_row(heap, object));
}

/* Bytes of memory it takes. */
static inline size_t hg_footprint(uintptr_t object)
{
    const struct ha_block *block = ha_block_of(object);
    return block->state == HA_LARGE ? ha_large_blocks(block->size) << HA_BLOCK_SHIFT : block->cell;
}

/* Frozen objects have a mark that is none of the generations'. */
static inline bool hg_mark_is_frozen(uint8_t mark)
{
    return (mark & ~(HG_GEN1_A | HG_GEN1_B | HG_OLD_A | HG_OLD_B)) != 0;
}

/* 0, 1, 2, or 3: frozen. */
int hg_generation(const hearth_heap *heap, uintptr_t object);

/* A list of addresses. `failed`: an addition found no memory; what is in it is good. */
struct hg_list {
    uintptr_t *at;
    size_t count, capacity;
    bool failed;
};

void hg_list_grow(struct hg_list *list);
void hg_list_free(struct hg_list *list);
static inline void hg_list_add(struct hg_list *list, uintptr_t address)
{
    if (__builtin_expect(list->count == list->capacity, 0))
        hg_list_grow(list);
    if (list->count < list->capacity)
        list->at[list->count++] = address;
}

/* A search that collects its results, world stopped. */
typedef hearth_status hg_search_fn(hearth_heap *heap, void *question, struct hg_list *found);
/* Search and give the results to fn, or into a new array; `call` names the public function. */
hearth_status hg_search(hearth_mutator *mutator, hg_search_fn *search, void *question,
                        hearth_object_fn *fn, void *data, const char *call);
void *hg_search_array(hearth_mutator *mutator, hg_search_fn *search, void *question,
                      hearth_type array, const char *call);

#endif
