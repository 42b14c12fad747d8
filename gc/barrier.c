/* gc/barrier.c - the slow path of the write barrier, bulk stores, checked stores.
 *
 * Invariant: an old object that may refer to a younger one is REMEMBERED in a buffer, or DIRTY in a buffer
 * with the cards of the slots set; no card is set in an object that is in no buffer. Flags are set by
 * atomic OR, so that of two mutators one lists the object. If the buffer can not grow nothing is
 * flagged and the next collection is full. */
#include <assert.h>
#include <string.h>

#include "gc/card.h"
#include "gc/freeze.h"
#include "topology/error.h"

/* List the object once: the first to set the flag does. False: no memory. */
static bool hg_remember(struct hg_mutator *m, uintptr_t object, uint64_t flag)
{
    if (__atomic_load_n(&m->public.heap->pacing.lost, __ATOMIC_RELAXED) != 0)
        return false; /* the next collection is full in any case */
    uint64_t *header = hearth_header_of((void *)object);
    if (__atomic_load_n(header, __ATOMIC_RELAXED) & flag)
        return true;
    if (!hg_remember_room(&m->remembered)) {
        __atomic_fetch_add(&m->public.heap->pacing.lost, 1, __ATOMIC_RELAXED);
        return false;
    }
    if (!(__atomic_fetch_or(header, flag, __ATOMIC_RELAXED) & flag))
        hg_remember_add(&m->remembered, object);
    return true;
}

void hearth_remember_slow(hearth_mutator *mutator, void *object, void **slot)
{
    const uint64_t listed = HEARTH_OBJECT_CARDS | HEARTH_OBJECT_DIRTY;
    uintptr_t o = (uintptr_t)object;
    uint64_t header = __atomic_load_n(hearth_header_of(object), __ATOMIC_RELAXED);
    struct hg_mutator *m = hg_mutator_of(mutator);
    if (__builtin_expect(hg_has_frozen(mutator->heap), 0)) {
        hg_thaw(m, o);
    } else if ((header & listed) == listed) { /* an array that is written again and again */
        hg_card_set(o, (uintptr_t)slot);
        return;
    } else if (__atomic_load_n(&mutator->heap->pacing.lost, __ATOMIC_RELAXED) != 0) {
        return; /* the next collection is full in any case */
    }
    if (header & HEARTH_OBJECT_CARDS) {
        if (hg_remember(m, o, HEARTH_OBJECT_DIRTY))
            hg_card_set(o, (uintptr_t)slot);
    } else {
        hg_remember(m, o, HEARTH_OBJECT_REMEMBERED);
    }
}

/* Payload bytes of an object whose header is good. */
static size_t hg_payload(hearth_heap *heap, const void *object)
{
    uint64_t header = __atomic_load_n(hearth_header_of(object), __ATOMIC_RELAXED);
    const struct hg_type *type = &heap->types.row[hg_header_type(header)];
    return hg_object_size((uintptr_t)object, header, type);
}

/* Is it an object, and do `count` slots from `slot` on lie in it? */
static hearth_status hg_check_range(hearth_mutator *mutator, void *object, void **slot,
                                    size_t count, const char *call)
{
    if (object == NULL || slot == NULL)
        return ht_fail(HEARTH_EINVAL, "%s: %s is NULL", call, object == NULL ? "object" : "slot");
    if (!hg_is_object_for(hg_mutator_of(mutator), (uintptr_t)object))
        return ht_fail(HEARTH_EOBJECT, "%s: %p is not an object of this heap", call, object);
    size_t size = hg_payload(mutator->heap, object);
    size_t offset = (size_t)((uintptr_t)slot - (uintptr_t)object);
    if ((uintptr_t)slot < (uintptr_t)object || offset % sizeof(void *) != 0 || offset > size ||
        count > (size - offset) / sizeof(void *))
        return ht_fail(HEARTH_ESLOT, "%s: %zu slots at %p do not lie in object %p of %zu bytes",
                       call, count, (void *)slot, object, size);
    return HEARTH_OK;
}

hearth_status hearth_store_checked(hearth_mutator *mutator, void *object, void **slot, void *value)
{
    hearth_status status = hg_mutator_ready(mutator, "hearth_store");
    if (status != HEARTH_OK)
        return status;
    hearth_heap *heap = mutator->heap;
    status = hg_check_range(mutator, object, slot, 1, "hearth_store");
    if (status != HEARTH_OK)
        return status;
    if (ha_windows_contain(heap->space.windows, (uintptr_t)value) &&
        !hg_is_object_for(hg_mutator_of(mutator), (uintptr_t)value))
        return ht_fail(HEARTH_EOBJECT, "hearth_store: value %p is not an object of this heap",
                       value);
    hearth_barrier(mutator, object, slot);
    __atomic_store_n(slot, value, __ATOMIC_RELEASE);
    return HEARTH_OK;
}

/* The barrier for a range that lies in the object. */
static void hg_barrier_range(hearth_mutator *mutator, void *object, void **slot, size_t count)
{
    uint64_t header = __atomic_load_n(hearth_header_of(object), __ATOMIC_RELAXED);
    if ((header & (HEARTH_OBJECT_OLD | HEARTH_OBJECT_REMEMBERED)) != HEARTH_OBJECT_OLD ||
        count == 0)
        return;
    struct hg_mutator *m = hg_mutator_of(mutator);
    if (hg_has_frozen(mutator->heap))
        hg_thaw(m, (uintptr_t)object);
    if (!(header & HEARTH_OBJECT_CARDS)) {
        hg_remember(m, (uintptr_t)object, HEARTH_OBJECT_REMEMBERED);
        return;
    }
    if (!hg_remember(m, (uintptr_t)object, HEARTH_OBJECT_DIRTY))
        return;
    uintptr_t last = (uintptr_t)(slot + count - 1);
    uintptr_t at = (uintptr_t)slot & ~(uintptr_t)(HEARTH_GRANULE - 1);
    for (; at <= last; at += HEARTH_GRANULE)
        hg_card_set((uintptr_t)object, at);
}

hearth_status hearth_barrier_range(hearth_mutator *mutator, void *object, void **slot, size_t count)
{
    hearth_status status = hg_mutator_ready(mutator, "hearth_barrier_range");
    if (status == HEARTH_OK)
        status = hg_check_range(mutator, object, slot, count, "hearth_barrier_range");
    if (status == HEARTH_OK)
        hg_barrier_range(mutator, object, slot, count);
    return status;
}

hearth_status hearth_store_range(hearth_mutator *mutator, void *object, void **slot,
                                 void *const *values, size_t count)
{
    hearth_status status = hg_mutator_ready(mutator, "hearth_store_range");
    if (status == HEARTH_OK)
        status = hg_check_range(mutator, object, slot, count, "hearth_store_range");
    if (status == HEARTH_OK && values == NULL && count != 0)
        status = ht_fail(HEARTH_EINVAL, "hearth_store_range: values is NULL");
    if (status != HEARTH_OK)
        return status;
    assert(values != NULL || count == 0);
    hg_barrier_range(mutator, object, slot, count);
    for (size_t i = 0; i < count; i++)
        __atomic_store_n(&slot[i], values[i], __ATOMIC_RELEASE);
    return HEARTH_OK;
}

hearth_status hearth_copy(hearth_mutator *mutator, void *to_object, void **to, void *from_object,
                          void **from, size_t count)
{
    hearth_status status = hg_mutator_ready(mutator, "hearth_copy");
    if (status == HEARTH_OK)
        status = hg_check_range(mutator, to_object, to, count, "hearth_copy");
    if (status == HEARTH_OK)
        status = hg_check_range(mutator, from_object, from, count, "hearth_copy");
    if (status != HEARTH_OK)
        return status;
    hg_barrier_range(mutator, to_object, to, count);
    bool down = (uintptr_t)to > (uintptr_t)from;
    for (size_t i = 0; i < count; i++) {
        size_t j = down ? count - 1 - i : i;
        void *value = __atomic_load_n(&from[j], __ATOMIC_RELAXED);
        __atomic_store_n(&to[j], value, __ATOMIC_RELEASE);
    }
    return HEARTH_OK;
}
