/* gc/finalize.c - registering finalizers, and finding those whose objects are unreachable. See finalize.h for
 * the invariant and the lock. */
#include "gc/finalize.h"

#include <string.h>

#include "gc/heap.h"
#include "gc/trace.h"
#include "topology/error.h"

enum { HG_ROUNDS = 16 /* of hearth_finalize_all, for finalizers that register finalizers */ };

hearth_status hg_finalizers_init(hearth_heap *heap)
{
    heap->finalizers = (struct hg_finalizers){0, 0, 0, 0};
    return HEARTH_OK;
}

void hg_finalizers_destroy(hearth_heap *heap)
{
    heap->finalizers = (struct hg_finalizers){0, 0, 0, 0}; /* pending.c frees the entries */
}

/* Written by one at a time; statistics read it at any time. */
static void hg_count_add(struct hg_finalizers *f, ptrdiff_t more)
{
    __atomic_store_n(&f->count, f->count + (size_t)more, __ATOMIC_RELAXED);
}

/* Into the registry: the entry has its object, fn, data, priority and kind. The lock is held. */
static void hg_register(hearth_heap *heap, struct hg_entry *entry)
{
    struct hg_finalizers *f = &heap->finalizers;
    entry->serial = ++f->serial;
    hg_entry_register(&heap->pending.entries, entry);
    hg_count_add(f, 1);
    f->legacy += entry->kind == HG_ENTRY_LEGACY;
}

struct hg_entry *hg_finalizers_reserve(hearth_heap *heap)
{
    pthread_mutex_lock(&heap->pending.lock);
    struct hg_entry *entry = hg_entry_take(&heap->pending.entries);
    pthread_mutex_unlock(&heap->pending.lock);
    return entry;
}

void hg_finalizers_settle(hearth_heap *heap, struct hg_entry *entry, void *object,
                          const struct hg_type *type)
{
    pthread_mutex_lock(&heap->pending.lock);
    if (object == NULL) {
        hg_entry_give(&heap->pending.entries, entry);
    } else {
        entry->object = (uintptr_t)object;
        entry->fn = type->finalize;
        entry->data = type->finalize_data;
        entry->priority = type->finalize_priority;
        entry->kind = type->finalize != NULL ? HG_ENTRY_FINALIZER : HG_ENTRY_LEGACY;
        hg_register(heap, entry);
    }
    pthread_mutex_unlock(&heap->pending.lock);
}

/* --- registering ------------------------------------------------------------------------------ */

static hearth_status hg_finalizer_object(hearth_mutator *mutator, void *object, const char *call)
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

/* Why the object may not get a finalizer now; the lock is held. */
static hearth_status hg_finalizer_free(hearth_heap *heap, void *object, bool again,
                                       const char *call)
{
    const struct hg_entry *entry = hg_entry_find(&heap->pending.entries, (uintptr_t)object);
    uint64_t header = __atomic_load_n(hearth_header_of(object), __ATOMIC_RELAXED);
    if (entry != NULL)
        return ht_fail(HEARTH_ESTATE, "%s: object %p has a finalizer%s", call, object,
                       hg_entry_is_due(entry) ? " that is due" : " already");
    if (!again && (header & HEARTH_OBJECT_FINALIZED))
        return ht_fail(HEARTH_ESTATE, "%s: the finalizer of object %p has run", call, object);
    return HEARTH_OK;
}

static hearth_status hg_finalizer_add(hearth_mutator *mutator, const struct hg_entry *wish,
                                      bool again, const char *call)
{
    void *object = (void *)wish->object;
    hearth_status status = hg_finalizer_object(mutator, object, call);
    if (status != HEARTH_OK)
        return status;
    if (wish->fn == NULL)
        return ht_fail(HEARTH_EINVAL, "%s: fn is NULL (object %p)", call, object);
    hearth_heap *heap = mutator->heap;
    struct hg_entries *entries = &heap->pending.entries;
    pthread_mutex_lock(&heap->pending.lock);
    status = hg_finalizer_free(heap, object, again, call);
    struct hg_entry *entry = status == HEARTH_OK ? hg_entry_take(entries) : NULL;
    if (entry != NULL) {
        entry->object = wish->object;
        entry->fn = wish->fn;
        entry->data = wish->data;
        entry->priority = wish->priority;
        entry->kind = HG_ENTRY_FINALIZER;
        __atomic_fetch_and(hearth_header_of(object), ~(uint64_t)HEARTH_OBJECT_FINALIZED,
                           __ATOMIC_RELAXED);
        hg_register(heap, entry);
    } else if (status == HEARTH_OK) {
        status = ht_fail(HEARTH_ENOMEM, "%s: no memory for one more than %zu finalizers", call,
                         heap->finalizers.count);
    }
    pthread_mutex_unlock(&heap->pending.lock);
    return status;
}

hearth_status hearth_finalizer_add(hearth_mutator *mutator, void *object, hearth_finalizer_fn *fn,
                                   void *data, int priority)
{
    struct hg_entry wish = {
        .object = (uintptr_t)object, .fn = fn, .data = data, .priority = priority};
    return hg_finalizer_add(mutator, &wish, false, "hearth_finalizer_add");
}

hearth_status hearth_finalizer_add_again(hearth_mutator *mutator, void *object,
                                         hearth_finalizer_fn *fn, void *data, int priority)
{
    struct hg_entry wish = {
        .object = (uintptr_t)object, .fn = fn, .data = data, .priority = priority};
    return hg_finalizer_add(mutator, &wish, true, "hearth_finalizer_add_again");
}

hearth_status hearth_finalizer_remove(hearth_mutator *mutator, void *object)
{
    hearth_status status = hg_finalizer_object(mutator, object, "hearth_finalizer_remove");
    if (status != HEARTH_OK)
        return status;
    hearth_heap *heap = mutator->heap;
    struct hg_entries *entries = &heap->pending.entries;
    pthread_mutex_lock(&heap->pending.lock);
    struct hg_entry *entry = hg_entry_find(entries, (uintptr_t)object);
    if (entry != NULL && !hg_entry_is_due(entry) && entry->kind == HG_ENTRY_FINALIZER) {
        hg_entry_unindex(entries, entry);
        hg_entry_withdraw(entry, HG_ENTRY_TAKEN);
        hg_entry_give(entries, entry);
        hg_count_add(&heap->finalizers, -1);
    } else {
        status = ht_fail(HEARTH_ESTATE, "hearth_finalizer_remove: object %p has %s", object,
                         entry == NULL            ? "no finalizer"
                         : hg_entry_is_due(entry) ? "a finalizer that is due"
                                                  : "a type with legacy finalizers");
    }
    pthread_mutex_unlock(&heap->pending.lock);
    return status;
}

bool hearth_is_finalized(hearth_heap *heap, const void *object)
{
    if (heap == NULL || object == NULL) {
        ht_fail(HEARTH_EINVAL, "hearth_is_finalized: %s is NULL", heap == NULL ? "heap" : "object");
        return false;
    }
    if (!hg_is_object_locked(heap, (uintptr_t)object)) {
        ht_fail(HEARTH_EOBJECT, "hearth_is_finalized: %p is not an object of this heap", object);
        return false;
    }
    return __atomic_load_n(hearth_header_of(object), __ATOMIC_RELAXED) & HEARTH_OBJECT_FINALIZED;
}

/* --- finding ---------------------------------------------------------------------------------- */

/* One slab: `found` gets those registered entries, of `of` if it is not NULL, whose objects are unreached. Young
 * ones whose objects have become old are young no more. */
static bool hg_look_at(hearth_heap *heap, struct hg_entry_slab *slab, const uint64_t *of,
                       uint64_t found[HG_ENTRY_WORDS])
{
    bool any = false;
    for (unsigned i = 0; i < HG_ENTRY_SLAB; i++)
        if (slab->object[i] != 0 && (of == NULL || hg_bit_get(of, i)))
            __builtin_prefetch(ha_meta_of(slab->object[i]), 0, 3);
    memset(found, 0, HG_ENTRY_WORDS * sizeof *found);
    for (unsigned i = 0; i < HG_ENTRY_SLAB; i++) {
        if (slab->object[i] == 0 || (of != NULL && !hg_bit_get(of, i)))
            continue;
        if (!hg_reached(heap, slab->object[i])) {
            hg_bit_set(found, i);
            any = true;
        } else if ((ha_mark_load(ha_meta_of(slab->object[i])) & HA_MARK) != heap->marks.gen1) {
            hg_bit_clear(slab->young, i);
        }
    }
    return any;
}

/* Calls `fn` with the unreached entries of each slab: young ones, or if `full` all. */
typedef void hg_found_fn(hearth_heap *heap, struct hg_entry_slab *slab, const uint64_t *found);

static void hg_look(hearth_heap *heap, bool full, hg_found_fn *fn)
{
    struct hg_entries *entries = &heap->pending.entries;
    uint64_t found[HG_ENTRY_WORDS];
    for (struct hg_entry_slab *slab = entries->young; !full && slab != NULL;
         slab = slab->young_next)
        if (hg_look_at(heap, slab, slab->young, found))
            fn(heap, slab, found);
    for (struct hg_entry_slab *slab = entries->full.first; full && slab != NULL; slab = slab->next)
        if (hg_look_at(heap, slab, NULL, found))
            fn(heap, slab, found);
    for (struct hg_entry_slab *slab = entries->partial.first; full && slab != NULL;
         slab = slab->next)
        if (hg_look_at(heap, slab, NULL, found))
            fn(heap, slab, found);
}

/* They are due. Those that were found earlier are reached: they are roots. */
static void hg_found_finalizers(hearth_heap *heap, struct hg_entry_slab *slab,
                                const uint64_t *found)
{
    size_t count = 0;
    for (unsigned i = 0; i < HG_ENTRY_SLAB; i++)
        if (hg_bit_get(found, i) && !hg_bit_get(slab->legacy, i)) {
            hg_entry_found(&heap->pending.entries, slab, i);
            count++;
        }
    hg_count_add(&heap->finalizers, -(ptrdiff_t)count);
    hg_pending_add(heap, count);
}

bool hg_finalizers_find(hearth_heap *heap, bool full)
{
    struct hg_finalizers *f = &heap->finalizers;
    size_t before = f->count;
    if (before == f->legacy)
        return false;
    hg_look(heap, full, hg_found_finalizers);
    hg_entries_age(&heap->pending.entries);
    if (f->count == before)
        return false;
    /* Only now, when all are found: to push may trace, if the stack is full. */
    hg_pending_push_found(heap, hg_trace_more(heap->trace));
    hg_trace_run(heap->trace);
    return true;
}

/* They stay registered, to be found again when they are taken out of the garbage list. */
static void hg_found_legacy(hearth_heap *heap, struct hg_entry_slab *slab, const uint64_t *found)
{
    for (unsigned i = 0; i < HG_ENTRY_SLAB; i++)
        if (hg_bit_get(found, i) && hg_bit_get(slab->legacy, i)) {
            hg_garbage_add(heap, slab->object[i]);
            heap->finalizers.kept++;
        }
}

/* A second look, because to push may trace: what has been reached meanwhile need not be pushed. */
static void hg_push_legacy(hearth_heap *heap, struct hg_entry_slab *slab, const uint64_t *found)
{
    for (unsigned i = 0; i < HG_ENTRY_SLAB; i++)
        if (hg_bit_get(found, i) && hg_bit_get(slab->legacy, i))
            hg_trace_push(heap->trace->worker[0], slab->object[i], 0);
}

bool hg_finalizers_legacy(hearth_heap *heap, bool full)
{
    struct hg_finalizers *f = &heap->finalizers;
    if (f->legacy == 0)
        return false;
    f->kept = 0;
    hg_look(heap, full, hg_found_legacy);
    hg_entries_age(&heap->pending.entries);
    if (f->kept == 0)
        return false;
    hg_trace_more(heap->trace);
    hg_look(heap, full, hg_push_legacy);
    hg_trace_run(heap->trace);
    return true;
}

/* --- the end ---------------------------------------------------------------------------------- */

static void hg_all_of(hearth_heap *heap, struct hg_entry_slab *slab)
{
    for (; slab != NULL; slab = slab->next) {
        uint64_t all[HG_ENTRY_WORDS] = {0};
        for (unsigned i = 0; i < HG_ENTRY_SLAB; i++)
            if (slab->object[i] != 0 && !hg_bit_get(slab->found, i))
                hg_bit_set(all, i);
        hg_found_finalizers(heap, slab, all);
    }
}

/* Everything registered is due; returns what is due then. */
static size_t hg_all_due(hearth_heap *heap)
{
    pthread_mutex_lock(&heap->pending.lock);
    hg_all_of(heap, heap->pending.entries.full.first);
    hg_all_of(heap, heap->pending.entries.partial.first);
    size_t due = (size_t)heap->pending.count;
    pthread_mutex_unlock(&heap->pending.lock);
    return due;
}

hearth_status hearth_finalize_all(hearth_mutator *mutator)
{
    hearth_status status = hg_may_finalize(mutator, "hearth_finalize_all");
    if (status != HEARTH_OK)
        return status;
    for (int round = 0; round < HG_ROUNDS; round++) {
        size_t due = hg_all_due(mutator->heap);
        if (due == 0)
            return HEARTH_OK;
        hg_pending_run_some(hg_mutator_of(mutator), due);
    }
    size_t left = hg_all_due(mutator->heap);
    if (left != 0)
        return ht_fail(HEARTH_ESTATE, "hearth_finalize_all: %zu finalizers are due after %d rounds",
                       left, HG_ROUNDS);
    return HEARTH_OK;
}

/* --- checking --------------------------------------------------------------------------------- */

/* A registered entry: an object; after a collection it was reached; not young only if minor collections need
 * not look at it. */
static hearth_status hg_registered_verify(hearth_heap *heap, const struct hg_entry_slab *slab,
                                          unsigned i, bool before)
{
    uintptr_t object = slab->object[i];
    if (ha_space_find(&heap->space, object) != object)
        return ht_fail(HEARTH_ECORRUPT, "%p has a finalizer: no object", (void *)object);
    uint8_t mark = ha_mark_load(ha_meta_of(object)) & HA_MARK;
    bool minor = hg_bit_get(slab->young, i) || hg_bit_get(slab->found, i);
    if (!before && !hg_reached(heap, object))
        return ht_fail(HEARTH_ECORRUPT, "object %p has a finalizer and the mark %u", (void *)object,
                       mark);
    if (!minor && (mark == HG_YOUNG || mark == heap->marks.gen1))
        return ht_fail(HEARTH_ECORRUPT, "object %p has the mark %u, but its finalizer is old",
                       (void *)object, mark);
    return HEARTH_OK;
}

static hearth_status hg_slabs_verify(hearth_heap *heap, const struct hg_entry_slab *slab,
                                     bool before)
{
    hearth_status status = HEARTH_OK;
    for (; slab != NULL && status == HEARTH_OK; slab = slab->next)
        for (unsigned i = 0; i < HG_ENTRY_SLAB && status == HEARTH_OK; i++)
            if (slab->object[i] != 0)
                status = hg_registered_verify(heap, slab, i, before);
    return status;
}

hearth_status hg_finalizers_check(hearth_heap *heap, bool before)
{
    const struct hg_entries *entries = &heap->pending.entries;
    hearth_status status = hg_slabs_verify(heap, entries->full.first, before);
    if (status == HEARTH_OK)
        status = hg_slabs_verify(heap, entries->partial.first, before);
    return status;
}
