/* gc/roots.c - global roots (a set of slots) and providers. Lock: roots->lock. */
#include "gc/roots.h"

#include <string.h>

#include "gc/heap.h"
#include "topology/error.h"
#include "topology/os.h"

void hg_roots_init(struct hg_roots *roots)
{
    memset(roots, 0, sizeof *roots);
    pthread_mutex_init(&roots->lock, NULL);
}

void hg_roots_destroy(struct hg_roots *roots)
{
    ht_os_free(roots->slot);
    ht_os_free(roots->provider);
    pthread_mutex_destroy(&roots->lock);
}

/* Where `slot` is, or the first place where it may go. The set is not full. */
static size_t hg_roots_place(const struct hg_roots *roots, void **slot, bool *found)
{
    size_t mask = roots->capacity - 1, place = SIZE_MAX;
    size_t at = (size_t)(((uintptr_t)slot >> 3) * 0x9e3779b97f4a7c15u >> 20) & mask;
    for (;; at = (at + 1) & mask) {
        if (roots->slot[at] == slot) {
            *found = true;
            return at;
        }
        if (roots->slot[at] == HG_TOMB && place == SIZE_MAX)
            place = at;
        if (roots->slot[at] == NULL) {
            *found = false;
            return place != SIZE_MAX ? place : at;
        }
    }
}

static bool hg_roots_grow(struct hg_roots *roots)
{
    if (roots->capacity != 0 && roots->used < roots->capacity / 2)
        return true;
    struct hg_roots old = *roots;
    size_t capacity = 64;
    while (capacity < roots->count * 4)
        capacity *= 2;
    void ***slot = ht_os_alloc(capacity * sizeof *slot);
    if (slot == NULL)
        return false;
    roots->slot = slot;
    roots->capacity = capacity;
    roots->used = roots->count;
    for (size_t i = 0; i < old.capacity; i++) {
        bool found;
        if (old.slot[i] != NULL && old.slot[i] != HG_TOMB)
            roots->slot[hg_roots_place(roots, old.slot[i], &found)] = old.slot[i];
    }
    ht_os_free(old.slot);
    return true;
}

/* What all calls check. In a callback of the collector the lock is held by this very thread. */
static hearth_status hg_roots_arguments(hearth_heap *heap, bool given, const char *call,
                                        const char *what)
{
    if (heap == NULL || !given)
        return ht_fail(HEARTH_EINVAL, "%s: %s is NULL", call, heap == NULL ? "heap" : what);
    if (hg_in_callback(heap))
        return ht_fail(HEARTH_ESTATE, "%s: called from a callback of the collector (heap %p)", call,
                       (void *)heap);
    return HEARTH_OK;
}

hearth_status hearth_root_add(hearth_heap *heap, void **slot)
{
    hearth_status status = hg_roots_arguments(heap, slot != NULL, "hearth_root_add", "slot");
    if (status != HEARTH_OK)
        return status;
    if ((uintptr_t)slot % sizeof(void *) != 0)
        return ht_fail(HEARTH_EINVAL, "hearth_root_add: slot %p is not aligned", (void *)slot);
    struct hg_roots *roots = &heap->roots;
    pthread_mutex_lock(&roots->lock);
    bool found = false;
    if (!hg_roots_grow(roots)) {
        status = ht_fail(HEARTH_ENOMEM, "no memory for one more than %zu roots", roots->count);
    } else {
        size_t at = hg_roots_place(roots, slot, &found);
        if (found) {
            status = ht_fail(HEARTH_ESTATE, "slot %p is a root already", (void *)slot);
        } else {
            roots->used += roots->slot[at] == NULL;
            roots->slot[at] = slot;
            roots->count++;
        }
    }
    pthread_mutex_unlock(&roots->lock);
    return status;
}

hearth_status hearth_root_remove(hearth_heap *heap, void **slot)
{
    hearth_status status = hg_roots_arguments(heap, slot != NULL, "hearth_root_remove", "slot");
    if (status != HEARTH_OK)
        return status;
    struct hg_roots *roots = &heap->roots;
    pthread_mutex_lock(&roots->lock);
    bool found = false, aligned = (uintptr_t)slot % sizeof(void *) == 0;
    size_t at = roots->capacity != 0 && aligned ? hg_roots_place(roots, slot, &found) : 0;
    if (found) {
        roots->slot[at] = HG_TOMB;
        roots->count--;
    }
    pthread_mutex_unlock(&roots->lock);
    if (!found)
        return ht_fail(HEARTH_ESTATE, "slot %p is no root", (void *)slot);
    return HEARTH_OK;
}

static size_t hg_provider_find(const struct hg_roots *roots, hearth_root_fn *fn, void *data)
{
    size_t i = 0;
    while (i < roots->providers && (roots->provider[i].fn != fn || roots->provider[i].data != data))
        i++;
    return i;
}

hearth_status hearth_root_provider_add(hearth_heap *heap, hearth_root_fn *fn, void *data)
{
    hearth_status status = hg_roots_arguments(heap, fn != NULL, "hearth_root_provider_add", "fn");
    if (status != HEARTH_OK)
        return status;
    struct hg_roots *roots = &heap->roots;
    pthread_mutex_lock(&roots->lock);
    if (hg_provider_find(roots, fn, data) < roots->providers) {
        status = ht_fail(HEARTH_ESTATE, "this root provider (data %p) is registered already", data);
    } else if (roots->providers == roots->provider_capacity) {
        size_t capacity = roots->provider_capacity * 2 + 4;
        struct hg_provider *grown =
            ht_os_realloc(roots->provider, capacity * sizeof *roots->provider);
        if (grown == NULL) {
            status = ht_fail(HEARTH_ENOMEM, "no memory for a root provider");
        } else {
            roots->provider = grown;
            roots->provider_capacity = capacity;
        }
    }
    if (status == HEARTH_OK)
        roots->provider[roots->providers++] = (struct hg_provider){fn, data};
    pthread_mutex_unlock(&roots->lock);
    return status;
}

hearth_status hearth_root_provider_remove(hearth_heap *heap, hearth_root_fn *fn, void *data)
{
    hearth_status status =
        hg_roots_arguments(heap, fn != NULL, "hearth_root_provider_remove", "fn");
    if (status != HEARTH_OK)
        return status;
    struct hg_roots *roots = &heap->roots;
    pthread_mutex_lock(&roots->lock);
    size_t i = hg_provider_find(roots, fn, data);
    bool found = i < roots->providers;
    if (found)
        roots->provider[i] = roots->provider[--roots->providers];
    pthread_mutex_unlock(&roots->lock);
    if (!found)
        return ht_fail(HEARTH_ESTATE, "this root provider (data %p) is not registered", data);
    return HEARTH_OK;
}

void hg_roots_visit(struct hg_roots *roots, hearth_visitor *visitor)
{
    pthread_mutex_lock(&roots->lock);
    for (size_t i = 0; i < roots->capacity; i++)
        if (roots->slot[i] != NULL && roots->slot[i] != HG_TOMB)
            visitor->slot(visitor, roots->slot[i]);
    for (size_t i = 0; i < roots->providers; i++)
        roots->provider[i].fn(roots->provider[i].data, visitor);
    pthread_mutex_unlock(&roots->lock);
}

bool hg_roots_check(struct hg_roots *roots)
{
    size_t count = 0;
    pthread_mutex_lock(&roots->lock);
    for (size_t i = 0; i < roots->capacity; i++)
        count += roots->slot[i] != NULL && roots->slot[i] != HG_TOMB;
    bool right = count == roots->count && roots->used >= count && roots->used <= roots->capacity;
    pthread_mutex_unlock(&roots->lock);
    return right;
}
