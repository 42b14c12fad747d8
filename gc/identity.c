/* gc/identity.c - pinning, immortality, identity hashes. See identity.h for the invariant and the lock. */
#include "gc/identity.h"

#include "gc/heap.h"
#include "gc/trace.h"
#include "hearth/identity.h"
#include "topology/error.h"
#include "topology/os.h"

enum { HG_PIN_GONE = 1, HG_PINS_MIN = 64 };

hearth_status hg_pins_init(hearth_heap *heap)
{
    pthread_mutex_init(&heap->pins.lock, NULL);
    heap->pins.ready = true;
    return HEARTH_OK;
}

void hg_pins_destroy(hearth_heap *heap)
{
    if (!heap->pins.ready)
        return;
    ht_os_free(heap->pins.pin);
    pthread_mutex_destroy(&heap->pins.lock);
}

/* The finalizer of MurmurHash3 (Appleby): every bit of the address matters to every bit. */
static uint64_t hg_mix(uint64_t x)
{
    x ^= x >> 33;
    x *= 0xff51afd7ed558ccdu;
    x ^= x >> 33;
    x *= 0xc4ceb9fe1a85ec53u;
    return x ^ x >> 33;
}

/* Where the object is, or the first place where it may go. The map has an empty place. */
static struct hg_pin *hg_pin_place(const struct hg_pins *pins, uintptr_t object)
{
    struct hg_pin *place = NULL;
    size_t mask = pins->capacity - 1;
    for (size_t at = (size_t)hg_mix(object) & mask;; at = (at + 1) & mask) {
        struct hg_pin *pin = &pins->pin[at];
        if (pin->object == object)
            return pin;
        if (pin->object == HG_PIN_GONE && place == NULL)
            place = pin;
        if (pin->object == 0)
            return place != NULL ? place : pin;
    }
}

static bool hg_pins_grow(struct hg_pins *pins)
{
    if (pins->capacity != 0 && pins->used < pins->capacity / 2)
        return true;
    struct hg_pins grown = *pins;
    grown.capacity = HG_PINS_MIN;
    while (grown.capacity < pins->count * 4)
        grown.capacity *= 2;
    grown.pin = ht_os_alloc(grown.capacity * sizeof *grown.pin);
    if (grown.pin == NULL)
        return false;
    for (size_t i = 0; i < pins->capacity; i++)
        if (pins->pin[i].object > HG_PIN_GONE)
            *hg_pin_place(&grown, pins->pin[i].object) = pins->pin[i];
    ht_os_free(pins->pin);
    pins->pin = grown.pin;
    pins->capacity = grown.capacity;
    pins->used = pins->count;
    return true;
}

static hearth_status hg_identity_object(hearth_mutator *mutator, const void *object,
                                        const char *call)
{
    hearth_status status = hg_mutator_ready(mutator, call);
    if (status != HEARTH_OK)
        return status;
    if (object == NULL)
        return ht_fail(HEARTH_EINVAL, "%s: object is NULL", call);
    if (!hg_is_object_for(hg_mutator_of(mutator), (uintptr_t)object))
        return ht_fail(HEARTH_EOBJECT, "%s: %p is not an object of this heap", call, object);
    return HEARTH_OK;
}

/* One more pin, or (`pin` false) immortal. The lock is held. */
static hearth_status hg_pin_add(struct hg_pins *pins, void *object, bool pin, const char *call)
{
    if (!hg_pins_grow(pins))
        return ht_fail(HEARTH_ENOMEM, "%s: no memory for one more than %zu pinned objects", call,
                       pins->count);
    struct hg_pin *at = hg_pin_place(pins, (uintptr_t)object);
    if (at->object != (uintptr_t)object) {
        pins->used += at->object == 0;
        *at = (struct hg_pin){(uintptr_t)object, 0, 0};
        pins->count++;
        pins->fresh = true;
    }
    if (pin && at->count == UINT32_MAX)
        return ht_fail(HEARTH_ESTATE, "%s: object %p is pinned %u times", call, object, at->count);
    if (pin)
        at->count++;
    else
        at->immortal = 1;
    __atomic_fetch_or(hearth_header_of(object), HEARTH_OBJECT_PINNED, __ATOMIC_RELAXED);
    return HEARTH_OK;
}

hearth_status hearth_pin(hearth_mutator *mutator, void *object)
{
    hearth_status status = hg_identity_object(mutator, object, "hearth_pin");
    if (status != HEARTH_OK)
        return status;
    struct hg_pins *pins = &mutator->heap->pins;
    pthread_mutex_lock(&pins->lock);
    status = hg_pin_add(pins, object, true, "hearth_pin");
    pthread_mutex_unlock(&pins->lock);
    return status;
}

hearth_status hearth_immortal(hearth_mutator *mutator, void *object)
{
    hearth_status status = hg_identity_object(mutator, object, "hearth_immortal");
    if (status != HEARTH_OK)
        return status;
    struct hg_pins *pins = &mutator->heap->pins;
    pthread_mutex_lock(&pins->lock);
    status = hg_pin_add(pins, object, false, "hearth_immortal");
    pthread_mutex_unlock(&pins->lock);
    return status;
}

hearth_status hearth_unpin(hearth_mutator *mutator, void *object)
{
    hearth_status status = hg_identity_object(mutator, object, "hearth_unpin");
    if (status != HEARTH_OK)
        return status;
    struct hg_pins *pins = &mutator->heap->pins;
    pthread_mutex_lock(&pins->lock);
    struct hg_pin *at = pins->capacity != 0 ? hg_pin_place(pins, (uintptr_t)object) : NULL;
    if (at == NULL || at->object != (uintptr_t)object || at->count == 0) {
        status = ht_fail(HEARTH_ESTATE, "hearth_unpin: object %p is not pinned", object);
    } else if (--at->count == 0 && !at->immortal) {
        at->object = HG_PIN_GONE;
        pins->count--;
        __atomic_fetch_and(hearth_header_of(object), ~(uint64_t)HEARTH_OBJECT_PINNED,
                           __ATOMIC_RELAXED);
    }
    pthread_mutex_unlock(&pins->lock);
    return status;
}

uint64_t hearth_identity_hash(hearth_mutator *mutator, const void *object)
{
    if (hg_identity_object(mutator, object, "hearth_identity_hash") != HEARTH_OK)
        return 0;
    uint64_t *header = hearth_header_of(object);
    if (!(__atomic_load_n(header, __ATOMIC_RELAXED) & HEARTH_OBJECT_HASHED))
        __atomic_fetch_or(header, HEARTH_OBJECT_HASHED, __ATOMIC_RELAXED);
    uint64_t hash = hg_mix((uintptr_t)object); /* a bijection: 0 only for the address 0 */
    return hash;
}

void hg_pins_roots(hearth_heap *heap, struct hg_worker *worker)
{
    const struct hg_pins *pins = &heap->pins;
    if (!heap->trace->full && !pins->fresh)
        return;
    for (size_t i = 0; i < pins->capacity; i++)
        if (pins->pin[i].object > HG_PIN_GONE)
            hg_trace_push(worker, pins->pin[i].object, HG_TAG_PROMOTE);
}

void hg_pins_settle(hearth_heap *heap)
{
    heap->pins.fresh = false;
}

hearth_status hg_pins_check(hearth_heap *heap)
{
    const struct hg_pins *pins = &heap->pins;
    size_t count = 0, used = 0;
    for (size_t i = 0; i < pins->capacity; i++) {
        const struct hg_pin *pin = &pins->pin[i];
        used += pin->object != 0;
        if (pin->object <= HG_PIN_GONE)
            continue;
        count++;
        if (ha_space_find(&heap->space, pin->object) != pin->object)
            return ht_fail(HEARTH_ECORRUPT, "%p is pinned: no object", (void *)pin->object);
        if (!(*hearth_header_of((void *)pin->object) & HEARTH_OBJECT_PINNED) ||
            (pin->count == 0 && !pin->immortal))
            return ht_fail(HEARTH_ECORRUPT,
                           "object %p is pinned %u times, but its header says 0x%llx",
                           (void *)pin->object, pin->count,
                           (unsigned long long)*hearth_header_of((void *)pin->object));
    }
    if (count != pins->count || used != pins->used || pins->used > pins->capacity)
        return ht_fail(HEARTH_ECORRUPT, "%zu objects are pinned, the count is %zu", count,
                       pins->count);
    return HEARTH_OK;
}
