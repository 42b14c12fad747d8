/* gc/inspect.c - the frame of every look into the heap: stop the world, search, hand out what was found.
 *
 * Invariant: nothing of the heap changes but where mutators allocate next (their blocks are given back, as
 * for a verification). Results are gathered in plain memory first, so that functions of the embedder never
 * run in the middle of a walk, nor on a helper. An array of results is allocated with the world running;
 * it is a root meanwhile, and if there are more results by then, it is made again.
 * Lock: heap->lock, held from begin to end. */
#include "gc/inspect.h"

#include "topology/error.h"
#include "topology/os.h"

hearth_status hg_inspect_begin(hearth_mutator *mutator, const char *call)
{
    hearth_status status = hg_mutator_ready(mutator, call);
    if (status != HEARTH_OK)
        return status;
    hearth_heap *heap = mutator->heap;
    struct hg_mutator *self = hg_mutator_of(mutator);
    hg_lend_others(self);
    pthread_mutex_lock(&heap->lock);
    while (heap->stop)
        hg_park(heap, self);
    hg_world_stop(heap, self);
    hg_mutator_note_stack(self);
    ha_space_hold(&heap->space);
    __atomic_store_n(&heap->collecting, true, __ATOMIC_RELAXED);
    hg_flush_aside(heap);
    return HEARTH_OK;
}

void hg_inspect_end(hearth_mutator *mutator)
{
    hearth_heap *heap = mutator->heap;
    __atomic_store_n(&heap->collecting, false, __ATOMIC_RELAXED);
    ha_space_release(&heap->space);
    hg_world_resume(heap);
    pthread_mutex_unlock(&heap->lock);
    hg_take_back_others();
}

hearth_status hg_inspect_given(void *const *objects, size_t count, const char *call)
{
    if (objects == NULL && count != 0)
        return ht_fail(HEARTH_EINVAL, "%s: objects is NULL (count %zu)", call, count);
    return HEARTH_OK;
}

hearth_status hg_inspect_objects(hearth_heap *heap, void *const *objects, size_t count,
                                 const char *call)
{
    for (size_t i = 0; i < count; i++)
        if (objects[i] == NULL ||
            ha_space_find(&heap->space, (uintptr_t)objects[i]) != (uintptr_t)objects[i])
            return ht_fail(HEARTH_EOBJECT, "%s: %p (number %zu) is not an object of this heap",
                           call, objects[i], i);
    return HEARTH_OK;
}

int hg_generation(const hearth_heap *heap, uintptr_t object)
{
    uint8_t mark = ha_mark_load(ha_meta_of(object)) & HA_MARK;
    if (mark == HG_YOUNG || hg_mark_is_frozen(mark))
        return mark == HG_YOUNG ? 0 : 3;
    return mark == heap->marks.gen1 ? 1 : 2;
}

void hg_list_grow(struct hg_list *list)
{
    size_t capacity = list->capacity * 2 + 64;
    uintptr_t *at = list->failed ? NULL : ht_os_realloc(list->at, capacity * sizeof *at);
    if (at == NULL) {
        list->failed = true;
        return;
    }
    list->at = at;
    list->capacity = capacity;
}

void hg_list_free(struct hg_list *list)
{
    ht_os_free(list->at);
    *list = (struct hg_list){NULL, 0, 0, false};
}

/* Search; ENOMEM if the list could not hold all. */
static hearth_status hg_search_into(hearth_heap *heap, hg_search_fn *search, void *question,
                                    struct hg_list *found, const char *call)
{
    hearth_status status = search(heap, question, found);
    if (status == HEARTH_OK && found->failed)
        status =
            ht_fail(HEARTH_ENOMEM, "%s: no memory for more than %zu results", call, found->count);
    return status;
}

hearth_status hg_search(hearth_mutator *mutator, hg_search_fn *search, void *question,
                        hearth_object_fn *fn, void *data, const char *call)
{
    if (fn == NULL)
        return ht_fail(HEARTH_EINVAL, "%s: fn is NULL", call);
    hearth_status status = hg_inspect_begin(mutator, call);
    if (status != HEARTH_OK)
        return status;
    struct hg_list found = {NULL, 0, 0, false};
    status = hg_search_into(mutator->heap, search, question, &found, call);
    for (size_t i = 0; status == HEARTH_OK && i < found.count; i++)
        if (!fn(data, (void *)found.at[i]))
            break;
    hg_inspect_end(mutator);
    hg_list_free(&found);
    return status;
}

/* Store the results, all but the array itself, and cut the array to their number; false: it is too short.
 * World stopped. */
static bool hg_fill_array(hearth_mutator *mutator, void **array, size_t room,
                          const struct hg_list *found)
{
    size_t count = 0;
    for (size_t i = 0; i < found->count; i++)
        count += found->at[i] != (uintptr_t)array;
    if (count > room)
        return false;
    size_t to = 0;
    for (size_t i = 0; i < found->count; i++)
        if (found->at[i] != (uintptr_t)array) {
            hearth_barrier(mutator, array, &array[to]);
            array[to++] = (void *)found->at[i];
        }
    uint64_t *header = hearth_header_of(array);
    if (room < UINT32_MAX) /* shorter in its cell: capacity is the block's */
        *header = (*header & UINT32_MAX) | (uint64_t)count << 32;
    return true;
}

static bool hg_is_ref_array(const struct hg_type *type)
{
    return type->tier == HG_TIER_BITMAP && type->fixed == 0 && type->element == sizeof(void *) &&
           type->element_bitmap == 1;
}

/* Search once more and fill the array if it suffices; else *room becomes what does. */
static hearth_status hg_array_round(hearth_mutator *mutator, hg_search_fn *search, void *question,
                                    void **array, size_t *room, bool *done, const char *call)
{
    hearth_status status = hg_inspect_begin(mutator, call);
    if (status != HEARTH_OK)
        return status;
    struct hg_list found = {NULL, 0, 0, false};
    status = hg_search_into(mutator->heap, search, question, &found, call);
    if (status == HEARTH_OK) {
        *done = array != NULL && hg_fill_array(mutator, array, *room, &found);
        if (!*done)
            *room = found.count + found.count / 8 * (array != NULL);
    }
    hg_inspect_end(mutator);
    hg_list_free(&found);
    return status;
}

void *hg_search_array(hearth_mutator *mutator, hg_search_fn *search, void *question,
                      hearth_type array, const char *call)
{
    if (hg_mutator_ready(mutator, call) != HEARTH_OK)
        return NULL;
    const struct hg_type *row = hg_type_find(&mutator->heap->types, array);
    if (row == NULL || !hg_is_ref_array(row)) {
        ht_fail(HEARTH_ETYPE, "%s: 0x%x is no type of arrays of references", call, array);
        return NULL;
    }
    size_t room = 0;
    bool done = false;
    HEARTH_FRAME(mutator, frame, 1);
    hearth_status status = hg_array_round(mutator, search, question, NULL, &room, &done, call);
    while (status == HEARTH_OK && !done) {
        frame.ref[0] = hearth_new_array(mutator, array, room);
        if (frame.ref[0] == NULL)
            break;
        status = hg_array_round(mutator, search, question, frame.ref[0], &room, &done, call);
    }
    HEARTH_FRAME_END(mutator, frame);
    return done ? frame.ref[0] : NULL;
}
