/* gc/leaks.c - assertions that objects are dead (hearth_assert_dead). See leaks.h. */
#include "gc/leaks.h"

#include <stdio.h>
#include <string.h>

#include "gc/heap.h"
#include "gc/trace.h"
#include "topology/error.h"
#include "topology/os.h"

void hg_leaks_init(hearth_heap *heap)
{
    pthread_mutex_init(&heap->leaks.lock, NULL);
}

void hg_leaks_destroy(hearth_heap *heap)
{
    ht_os_free(heap->leaks.object);
    ht_os_free(heap->leaks.kept);
    pthread_mutex_destroy(&heap->leaks.lock);
}

/* Room for one more, and for what may become of it. */
static bool hg_leaks_room(struct hg_leaks *leaks)
{
    if (leaks->kept == NULL)
        leaks->kept = ht_os_alloc(HG_LEAKS_KEPT * sizeof *leaks->kept);
    if (leaks->kept == NULL)
        return false;
    if (leaks->count < leaks->capacity)
        return true;
    size_t capacity = leaks->capacity != 0 ? leaks->capacity * 2 : 64;
    uintptr_t *object = ht_os_realloc(leaks->object, capacity * sizeof *object);
    if (object == NULL)
        return false;
    leaks->object = object;
    leaks->capacity = capacity;
    return true;
}

hearth_status hearth_assert_dead(hearth_mutator *mutator, const void *object)
{
    hearth_status status = hg_mutator_ready(mutator, "hearth_assert_dead");
    if (status != HEARTH_OK)
        return status;
    if (!hg_is_object_for(hg_mutator_of(mutator), (uintptr_t)object))
        return ht_fail(HEARTH_EOBJECT, "hearth_assert_dead: %p is not an object of this heap",
                       object);
    struct hg_leaks *leaks = &mutator->heap->leaks;
    pthread_mutex_lock(&leaks->lock);
    bool room = hg_leaks_room(leaks);
    if (room)
        leaks->object[leaks->count++] = (uintptr_t)object;
    size_t count = leaks->count;
    pthread_mutex_unlock(&leaks->lock);
    if (!room)
        return ht_fail(HEARTH_ENOMEM, "hearth_assert_dead: no memory for object %p, number %zu",
                       object, count + 1);
    return HEARTH_OK;
}

/* leaks->lock is held. */
static void hg_leak_report(hearth_heap *heap, uintptr_t object)
{
    struct hg_leaks *leaks = &heap->leaks;
    struct hearth_leak *leak = &leaks->kept[leaks->found % HG_LEAKS_KEPT];
    const struct hg_type *type =
        &heap->types.row[hg_header_type(*hearth_header_of((void *)object))];
    *leak = (struct hearth_leak){.struct_size = sizeof *leak,
                                 .object = (void *)object,
                                 .collection = heap->collections,
                                 .type = type->handle};
    int length = snprintf(leak->text, sizeof leak->text, "%s %p", type->name, (void *)object);
    hg_leak_path(heap, object, leak->text + length, sizeof leak->text - (size_t)length);
    leaks->found++;
    if (leaks->found - leaks->taken > HG_LEAKS_KEPT)
        leaks->taken = leaks->found - HG_LEAKS_KEPT;
}

void hg_leaks_judge(hearth_heap *heap, bool full)
{
    struct hg_leaks *leaks = &heap->leaks;
    size_t kept = 0;
    if (leaks->count == 0) /* asserting takes a mutator that runs: none does now */
        return;
    pthread_mutex_lock(&leaks->lock);
    for (size_t i = 0; i < leaks->count; i++) {
        uintptr_t object = leaks->object[i];
        if (!hg_reached(heap, object))
            continue;
        if (full)
            hg_leak_report(heap, object);
        else
            leaks->object[kept++] = object;
    }
    leaks->count = kept;
    pthread_mutex_unlock(&leaks->lock);
}

uint64_t hearth_leak_count(hearth_heap *heap)
{
    if (heap == NULL) {
        ht_fail(HEARTH_EINVAL, "hearth_leak_count: heap is NULL");
        return 0;
    }
    pthread_mutex_lock(&heap->leaks.lock);
    uint64_t found = heap->leaks.found;
    pthread_mutex_unlock(&heap->leaks.lock);
    return found;
}

bool hearth_leak_next(hearth_heap *heap, hearth_leak *out)
{
    if (heap == NULL || out == NULL) {
        ht_fail(HEARTH_EINVAL, "hearth_leak_next: %s is NULL", heap == NULL ? "heap" : "out");
        return false;
    }
    if (out->struct_size != sizeof *out) {
        ht_fail(HEARTH_EINVAL, "hearth_leak.struct_size is %zu, not %zu", out->struct_size,
                sizeof *out);
        return false;
    }
    if (hg_in_callback(heap)) {
        ht_fail(HEARTH_ESTATE, "hearth_leak_next: called from a callback of heap %p", (void *)heap);
        return false;
    }
    struct hg_leaks *leaks = &heap->leaks;
    pthread_mutex_lock(&leaks->lock);
    bool more = leaks->taken < leaks->found;
    if (more)
        *out = leaks->kept[leaks->taken++ % HG_LEAKS_KEPT];
    pthread_mutex_unlock(&leaks->lock);
    return more;
}

hearth_status hg_leaks_check(hearth_heap *heap)
{
    const struct hg_leaks *leaks = &heap->leaks;
    if (leaks->count > leaks->capacity || leaks->taken > leaks->found ||
        leaks->found - leaks->taken > HG_LEAKS_KEPT)
        return ht_fail(HEARTH_ECORRUPT, "%zu of %zu assertions; %llu failed, %llu were taken",
                       leaks->count, leaks->capacity, (unsigned long long)leaks->found,
                       (unsigned long long)leaks->taken);
    for (size_t i = 0; i < leaks->count; i++)
        if (ha_space_find(&heap->space, leaks->object[i]) != leaks->object[i])
            return ht_fail(HEARTH_ECORRUPT, "asserted to be dead is %p: no object",
                           (void *)leaks->object[i]);
    return HEARTH_OK;
}
