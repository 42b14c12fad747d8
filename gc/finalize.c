/* gc/finalize.c - registering finalizers, and finding those whose objects are unreachable. See finalize.h for
 * the invariant and the lock. */
#include "gc/finalize.h"

#include "gc/heap.h"
#include "gc/trace.h"
#include "topology/error.h"

enum {
    HG_AHEAD = 8,  /* entries between prefetching a mark and reading it               */
    HG_ROUNDS = 16 /* of hearth_finalize_all, for finalizers that register finalizers */
};

hearth_status hg_finalizers_init(hearth_heap *heap)
{
    heap->finalizers = (struct hg_finalizers){NULL, NULL, 0, 0, 0};
    return HEARTH_OK;
}

void hg_finalizers_destroy(hearth_heap *heap)
{
    heap->finalizers =
        (struct hg_finalizers){NULL, NULL, 0, 0, 0}; /* pending.c frees the entries */
}

static void hg_young_append(struct hg_finalizers *f, struct hg_entry *entry)
{
    entry->next = NULL;
    entry->prev = f->young_last;
    *(f->young_last != NULL ? &f->young_last->next : &f->young) = entry;
    f->young_last = entry;
}

static void hg_young_remove(struct hg_finalizers *f, struct hg_entry *entry)
{
    *(entry->prev != NULL ? &entry->prev->next : &f->young) = entry->next;
    *(entry->next != NULL ? &entry->next->prev : &f->young_last) = entry->prev;
}

/* Out of the registry; the entry is still in the index. */
static void hg_unregister(struct hg_finalizers *f, struct hg_entry *entry)
{
    if (entry->state == HG_ENTRY_YOUNG)
        hg_young_remove(f, entry);
    f->count--;
    f->legacy -= entry->kind == HG_ENTRY_LEGACY;
}

/* Into the registry: the entry has its object, fn, data, priority and kind. The lock is held. */
static void hg_register(hearth_heap *heap, struct hg_entry *entry)
{
    struct hg_finalizers *f = &heap->finalizers;
    entry->serial = ++f->serial;
    hg_entry_become(entry, HG_ENTRY_YOUNG);
    hg_young_append(f, entry);
    hg_entry_index(&heap->pending.entries, entry);
    f->count++;
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
                       entry->state == HG_ENTRY_DUE ? " that is due" : " already");
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
    if (entry != NULL && entry->state != HG_ENTRY_DUE && entry->kind == HG_ENTRY_FINALIZER) {
        hg_unregister(&heap->finalizers, entry);
        hg_entry_unindex(entries, entry);
        hg_entry_give(entries, entry);
    } else {
        status = ht_fail(HEARTH_ESTATE, "hearth_finalizer_remove: object %p has %s", object,
                         entry == NULL                  ? "no finalizer"
                         : entry->state == HG_ENTRY_DUE ? "a finalizer that is due"
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

static void hg_prefetch_mark(uintptr_t object)
{
    if (object != 0)
        __builtin_prefetch(ha_meta_of(object), 0, 3);
}

/* From the registry to the line. */
static void hg_make_due(struct hg_finalizers *f, struct hg_entry *entry, struct hg_line *line)
{
    hg_unregister(f, entry);
    hg_entry_become(entry, HG_ENTRY_DUE);
    hg_line_add(line, entry);
}

/* Calls `found` for registered entries with unreached objects: those of the young list; if `full`, of all. */
typedef void hg_found_fn(hearth_heap *heap, struct hg_entry *entry, struct hg_line *line);

static void hg_look_at_young(hearth_heap *heap, hg_found_fn *found, struct hg_line *line)
{
    struct hg_finalizers *f = &heap->finalizers;
    const struct hg_entry *ahead = f->young;
    for (int i = 0; i < HG_AHEAD && ahead != NULL; i++)
        ahead = ahead->next;
    for (struct hg_entry *entry = f->young, *next; entry != NULL; entry = next) {
        next = entry->next;
        if (ahead != NULL) {
            hg_prefetch_mark(ahead->object);
            ahead = ahead->next;
        }
        if (!hg_reached(heap, entry->object)) {
            found(heap, entry, line);
        } else if ((ha_mark_load(ha_meta_of(entry->object)) & HA_MARK) != heap->marks.gen1) {
            hg_young_remove(f, entry);
            hg_entry_become(entry, HG_ENTRY_OLD);
        }
    }
}

static void hg_look_at_slab(hearth_heap *heap, struct hg_entry_slab *slab, hg_found_fn *found,
                            struct hg_line *line)
{
    for (unsigned i = 0; i < HG_ENTRY_SLAB; i++) {
        if (i + HG_AHEAD < HG_ENTRY_SLAB)
            hg_prefetch_mark(slab->object[i + HG_AHEAD]);
        if (slab->object[i] != 0 && !hg_reached(heap, slab->object[i]))
            found(heap, &slab->entry[i], line);
    }
}

static void hg_look(hearth_heap *heap, bool full, hg_found_fn *found, struct hg_line *line)
{
    struct hg_entries *entries = &heap->pending.entries;
    hg_look_at_young(heap, found, line);
    for (struct hg_entry_slab *slab = entries->full.first; full && slab != NULL; slab = slab->next)
        hg_look_at_slab(heap, slab, found, line);
    for (struct hg_entry_slab *slab = entries->partial.first; full && slab != NULL;
         slab = slab->next)
        hg_look_at_slab(heap, slab, found, line);
}

static void hg_found_finalizer(hearth_heap *heap, struct hg_entry *entry, struct hg_line *line)
{
    if (entry->kind == HG_ENTRY_FINALIZER)
        hg_make_due(&heap->finalizers, entry, line);
}

bool hg_finalizers_find(hearth_heap *heap, bool full)
{
    struct hg_line line = {NULL, NULL, 0};
    if (heap->finalizers.count == heap->finalizers.legacy)
        return false;
    hg_look(heap, full, hg_found_finalizer, &line);
    const struct hg_entry *first = line.first;
    if (first == NULL)
        return false;
    hg_pending_add(heap, &line);
    /* Only now, when all are found: to push may trace, if the stack is full. */
    struct hg_worker *worker = hg_trace_more(heap->trace);
    for (const struct hg_entry *entry = first; entry != NULL; entry = entry->next)
        hg_trace_push(worker, entry->object, 0);
    hg_trace_run(heap->trace);
    return true;
}

/* It stays registered, to be found again when it is taken out of the garbage list. Found ones are linked by
 * `data`, which legacy entries do not use otherwise. */
static void hg_found_legacy(hearth_heap *heap, struct hg_entry *entry, struct hg_line *line)
{
    if (entry->kind != HG_ENTRY_LEGACY)
        return;
    hg_garbage_add(heap, entry->object);
    entry->data = line->first;
    line->first = entry;
}

bool hg_finalizers_legacy(hearth_heap *heap, bool full)
{
    struct hg_line line = {NULL, NULL, 0};
    if (heap->finalizers.legacy == 0)
        return false;
    hg_look(heap, full, hg_found_legacy, &line);
    if (line.first == NULL)
        return false;
    struct hg_worker *worker = hg_trace_more(heap->trace);
    for (struct hg_entry *entry = line.first, *next; entry != NULL; entry = next) {
        next = entry->data;
        entry->data = NULL;
        hg_trace_push(worker, entry->object, 0);
    }
    hg_trace_run(heap->trace);
    return true;
}

/* --- the end ---------------------------------------------------------------------------------- */

static void hg_all_of(hearth_heap *heap, struct hg_entry_slab *slab, struct hg_line *line)
{
    for (; slab != NULL; slab = slab->next)
        for (unsigned i = 0; i < HG_ENTRY_SLAB; i++)
            if (slab->object[i] != 0)
                hg_found_finalizer(heap, &slab->entry[i], line);
}

/* Everything registered is due; returns what is due then. */
static size_t hg_all_due(hearth_heap *heap)
{
    struct hg_line line = {NULL, NULL, 0};
    pthread_mutex_lock(&heap->pending.lock);
    hg_all_of(heap, heap->pending.entries.full.first, &line);
    hg_all_of(heap, heap->pending.entries.partial.first, &line);
    hg_pending_add(heap, &line);
    size_t due = (size_t)heap->pending.count;
    pthread_mutex_unlock(&heap->pending.lock);
    return due;
}

hearth_status hearth_finalize_all(hearth_mutator *mutator)
{
    hearth_status status = hg_mutator_ready(mutator, "hearth_finalize_all");
    if (status != HEARTH_OK)
        return status;
    if (hg_mutator_of(mutator)->finalizing)
        return ht_fail(HEARTH_ESTATE, "hearth_finalize_all: mutator %p is running a finalizer",
                       (void *)mutator);
    hearth_safepoint(mutator);
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

/* A registered entry: an object; after a collection it was reached; OLD only if minor collections need not
 * look at it. */
static hearth_status hg_entry_verify(hearth_heap *heap, const struct hg_entry *entry, bool before)
{
    uintptr_t object = entry->object;
    if (ha_space_find(&heap->space, object) != object)
        return ht_fail(HEARTH_ECORRUPT, "%p has a finalizer: no object", (void *)object);
    uint8_t mark = ha_mark_load(ha_meta_of(object)) & HA_MARK;
    if (!before && !hg_reached(heap, object))
        return ht_fail(HEARTH_ECORRUPT,
                       "object %p has a finalizer that is not due, and the mark %u", (void *)object,
                       mark);
    if (entry->state == HG_ENTRY_OLD && (mark == HG_YOUNG || mark == heap->marks.gen1))
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
                status = hg_entry_verify(heap, &slab->entry[i], before);
    return status;
}

hearth_status hg_finalizers_check(hearth_heap *heap, bool before)
{
    const struct hg_finalizers *f = &heap->finalizers;
    const struct hg_entry *last = NULL;
    size_t young = 0;
    for (const struct hg_entry *entry = f->young; entry != NULL && young <= f->count;
         entry = entry->next, young++) {
        if (entry->state != HG_ENTRY_YOUNG || entry->prev != last)
            return ht_fail(HEARTH_ECORRUPT, "the list of young finalizers is damaged at %p",
                           (void *)entry->object);
        last = entry;
    }
    if (last != f->young_last || young > f->count || f->legacy > f->count)
        return ht_fail(HEARTH_ECORRUPT, "the list of young finalizers is damaged: %zu of %zu",
                       young, f->count);
    hearth_status status = hg_slabs_verify(heap, heap->pending.entries.full.first, before);
    if (status == HEARTH_OK)
        status = hg_slabs_verify(heap, heap->pending.entries.partial.first, before);
    return status;
}
