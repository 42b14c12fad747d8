/* gc/objects.c - the heap walk, the objects of a generation, what objects refer to, whether one is tracked.
 *
 * World stopped, heap->lock held (hg_inspect_begin). Walks go block by block, node by node; an object is
 * read where it lies and nothing is written. */
#include "gc/inspect.h"
#include "topology/error.h"

/* --- the walk -------------------------------------------------------------------------------------- */

struct hg_info_walk {
    hearth_heap *heap;
    hearth_walk_fn *fn;
    void *data;
    bool stopped; /* fn wants no more */
};

static void hg_info_fill(hearth_heap *heap, uintptr_t object, hearth_object_info *info)
{
    uint64_t header = hg_header_load(object);
    const struct hg_type *type = &heap->types.row[hg_header_type(header)];
    *info = (hearth_object_info){
        .struct_size = sizeof *info,
        .object = (void *)object,
        .type = type->handle,
        .name = type->name != NULL ? type->name : "",
        .size = hg_object_size(object, header, type),
        .footprint = hg_footprint(object),
        .count = type->element != 0 || type->tier == HG_TIER_MODEL
                     ? hg_object_count(object, header, type)
                     : 0,
        .generation = hg_generation(heap, object),
        .node = ha_node_of(heap->space.windows, object),
        .flags = (uint32_t)header & 0xffu,
        .tracked = ha_block_of(object)->kind != HA_LEAF,
    };
}

static void hg_info_object(void *data, uintptr_t object, uint8_t mark)
{
    struct hg_info_walk *walk = data;
    (void)mark;
    if (walk->stopped)
        return;
    hearth_object_info info;
    hg_info_fill(walk->heap, object, &info);
    walk->stopped = !walk->fn(walk->data, &info);
}

hearth_status hearth_walk(hearth_mutator *mutator, hearth_walk_fn *fn, void *data)
{
    if (fn == NULL)
        return ht_fail(HEARTH_EINVAL, "hearth_walk: fn is NULL");
    hearth_status status = hg_inspect_begin(mutator, "hearth_walk");
    if (status != HEARTH_OK)
        return status;
    struct hg_info_walk walk = {mutator->heap, fn, data, false};
    hg_walk_allocated(mutator->heap, hg_info_object, &walk);
    hg_inspect_end(mutator);
    return HEARTH_OK;
}

/* --- the objects of a generation ---------------------------------------------------------------------- */

struct hg_generation_walk {
    hearth_heap *heap;
    struct hg_list *found;
    int generation;
};

static void hg_generation_object(void *data, uintptr_t object, uint8_t mark)
{
    struct hg_generation_walk *walk = data;
    (void)mark;
    if (ha_block_of(object)->kind == HA_LEAF)
        return;
    int generation = hg_generation(walk->heap, object);
    if (walk->generation < 0 ? generation < 3 : generation == walk->generation)
        hg_list_add(walk->found, object);
}

static hearth_status hg_objects_search(hearth_heap *heap, void *question, struct hg_list *found)
{
    struct hg_generation_walk walk = {heap, found, *(const int *)question};
    hg_walk_allocated(heap, hg_generation_object, &walk);
    return HEARTH_OK;
}

static hearth_status hg_generation_given(int generation, const char *call)
{
    if (generation < -1 || generation > 2)
        return ht_fail(HEARTH_EINVAL, "%s: generation %d is not -1, 0, 1 or 2", call, generation);
    return HEARTH_OK;
}

hearth_status hearth_gc_get_objects(hearth_mutator *mutator, int generation, hearth_object_fn *fn,
                                    void *data)
{
    hearth_status status = hg_generation_given(generation, "hearth_gc_get_objects");
    if (status != HEARTH_OK)
        return status;
    return hg_search(mutator, hg_objects_search, &generation, fn, data, "hearth_gc_get_objects");
}

void *hearth_gc_get_objects_array(hearth_mutator *mutator, int generation, hearth_type array)
{
    if (hg_generation_given(generation, "hearth_gc_get_objects_array") != HEARTH_OK)
        return NULL;
    return hg_search_array(mutator, hg_objects_search, &generation, array,
                           "hearth_gc_get_objects_array");
}

/* --- what objects refer to ------------------------------------------------------------------------------ */

struct hg_referents {
    hearth_visitor visitor; /* first */
    hearth_heap *heap;
    struct hg_list *found;
};

struct hg_referents_question {
    void *const *objects;
    size_t count;
    const char *call;
};

static void hg_referent_slot(hearth_visitor *visitor, void **slot)
{
    struct hg_referents *referents = (struct hg_referents *)visitor;
    uintptr_t to = (uintptr_t)__atomic_load_n(slot, __ATOMIC_RELAXED);
    if (ha_windows_contain(referents->heap->space.windows, to))
        hg_list_add(referents->found, to);
}

static hearth_status hg_referents_search(hearth_heap *heap, void *question, struct hg_list *found)
{
    const struct hg_referents_question *q = question;
    hearth_status status = hg_inspect_objects(heap, q->objects, q->count, q->call);
    struct hg_referents referents = {{hg_referent_slot}, heap, found};
    for (size_t i = 0; status == HEARTH_OK && i < q->count; i++)
        if (ha_block_of((uintptr_t)q->objects[i])->kind != HA_LEAF)
            hg_visit_object(heap, (uintptr_t)q->objects[i], &referents.visitor);
    return status;
}

hearth_status hearth_gc_get_referents(hearth_mutator *mutator, void *const *objects, size_t count,
                                      hearth_object_fn *fn, void *data)
{
    struct hg_referents_question question = {objects, count, "hearth_gc_get_referents"};
    hearth_status status = hg_inspect_given(objects, count, question.call);
    if (status != HEARTH_OK)
        return status;
    return hg_search(mutator, hg_referents_search, &question, fn, data, question.call);
}

void *hearth_gc_get_referents_array(hearth_mutator *mutator, void *const *objects, size_t count,
                                    hearth_type array)
{
    struct hg_referents_question question = {objects, count, "hearth_gc_get_referents_array"};
    if (hg_inspect_given(objects, count, question.call) != HEARTH_OK)
        return NULL;
    return hg_search_array(mutator, hg_referents_search, &question, array, question.call);
}

/* --- is it tracked? --------------------------------------------------------------------------------------- */

bool hearth_gc_is_tracked(hearth_heap *heap, const void *object)
{
    if (heap == NULL) {
        ht_fail(HEARTH_EINVAL, "hearth_gc_is_tracked: heap is NULL (object %p)", object);
        return false;
    }
    if (!hg_is_object_locked(heap, (uintptr_t)object)) {
        ht_fail(HEARTH_EOBJECT, "hearth_gc_is_tracked: %p is not an object of this heap", object);
        return false;
    }
    return ha_block_of((uintptr_t)object)->kind != HA_LEAF;
}
