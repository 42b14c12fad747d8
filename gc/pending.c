/* gc/pending.c - the queue of what is due: filling it, taking from it, running, waiting. See pending.h for the
 * invariant and the lock. */
#define _GNU_SOURCE
#include "gc/pending.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "gc/heap.h"
#include "gc/line.h"
#include "gc/trace.h"
#include "topology/error.h"

enum {
    HG_AHEAD = 8,    /* entries between prefetching one and reading it             */
    HG_MESSAGE = 320 /* bytes of an error's message                                */
};

void hg_pending_forked(hearth_heap *heap)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&heap->pending.arrived, &attributes);
    pthread_condattr_destroy(&attributes);
}

hearth_status hg_pending_init(hearth_heap *heap)
{
    struct hg_pending *pending = &heap->pending;
    pthread_mutex_init(&pending->lock, NULL);
    hg_pending_forked(heap);
    pending->ready = true;
    return HEARTH_OK;
}

void hg_pending_destroy(hearth_heap *heap)
{
    struct hg_pending *pending = &heap->pending;
    if (!pending->ready)
        return;
    hg_entries_free(&pending->entries);
    pthread_cond_destroy(&pending->arrived);
    pthread_mutex_destroy(&pending->lock);
}

static void hg_line_roots(const struct hg_entry *first, struct hg_worker *worker)
{
    const struct hg_entry *ahead = first;
    for (int i = 0; i < HG_AHEAD && ahead != NULL; i++)
        ahead = ahead->next;
    for (const struct hg_entry *entry = first; entry != NULL; entry = entry->next) {
        if (ahead != NULL) {
            __builtin_prefetch(ahead, 0, 3);
            ahead = ahead->next;
        }
        hg_trace_push(worker, entry->object, 0);
    }
}

void hg_pending_roots(hearth_heap *heap, struct hg_worker *worker)
{
    struct hg_pending *pending = &heap->pending;
    bool full = heap->trace->full;
    hg_line_roots(full ? pending->cells.first : pending->young_cells, worker);
    hg_line_roots(pending->fresh.first, worker);
    hg_line_roots(full ? pending->queue.first : NULL, worker);
    hg_pending_push_found(heap, worker);
}

void hg_pending_push_found(hearth_heap *heap, struct hg_worker *worker)
{
    const uint64_t skip = heap->trace->full ? 0 : ~(uint64_t)0;
    struct hg_entry_slab *slab = heap->pending.entries.found;
    for (; slab != NULL; slab = slab->found_next)
        for (unsigned w = 0; w < HG_ENTRY_WORDS; w++)
            for (uint64_t bits = slab->found[w] & ~(slab->aged[w] & skip); bits != 0;
                 bits &= bits - 1)
                hg_trace_push(worker, slab->object[w * 64 + (unsigned)__builtin_ctzll(bits)], 0);
}

static bool hg_is_aged(const hearth_heap *heap, uintptr_t object)
{
    return hg_mark_is_old(&heap->marks, ha_mark_load(ha_meta_of(object)) & HA_MARK);
}

static void hg_found_age(hearth_heap *heap, struct hg_entry_slab *slab)
{
    for (unsigned w = 0; w < HG_ENTRY_WORDS; w++)
        for (uint64_t bits = slab->found[w] & ~slab->aged[w]; bits != 0; bits &= bits - 1) {
            unsigned i = w * 64 + (unsigned)__builtin_ctzll(bits);
            if (hg_is_aged(heap, slab->object[i]))
                hg_bit_set(slab->aged, i);
        }
}

void hg_pending_age(hearth_heap *heap)
{
    struct hg_pending *pending = &heap->pending;
    for (struct hg_entry_slab *slab = pending->entries.found; slab != NULL; slab = slab->found_next)
        hg_found_age(heap, slab);
    while (pending->young_cells != NULL && hg_is_aged(heap, pending->young_cells->object))
        pending->young_cells = pending->young_cells->next;
    struct hg_line fresh = pending->fresh;
    pending->fresh = (struct hg_line){NULL, NULL, 0};
    while (fresh.first != NULL) {
        struct hg_entry *entry = hg_line_pop(&fresh);
        bool aged = hg_is_aged(heap, entry->object);
        pending->mixed |= aged;
        hg_line_add(aged ? &pending->queue : &pending->fresh, entry);
    }
}

bool hg_pending_reserve(hearth_heap *heap)
{
    struct hg_pending *pending = &heap->pending;
    pthread_mutex_lock(&pending->lock);
    struct hg_entry *entry = hg_entry_take(&pending->entries);
    if (entry != NULL) {
        entry->kind = HG_ENTRY_CELL;
        entry->next = pending->reserved;
        pending->reserved = entry;
    }
    pthread_mutex_unlock(&pending->lock);
    return entry != NULL;
}

void hg_pending_unreserve(hearth_heap *heap)
{
    struct hg_pending *pending = &heap->pending;
    pthread_mutex_lock(&pending->lock);
    struct hg_entry *entry = pending->reserved;
    pending->reserved = entry->next;
    hg_entry_give(&pending->entries, entry);
    pthread_mutex_unlock(&pending->lock);
}

void hg_pending_cell(hearth_heap *heap, uintptr_t cell)
{
    struct hg_pending *pending = &heap->pending;
    struct hg_entry *entry = pending->reserved;
    pending->reserved = entry->next;
    entry->object = cell;
    entry->state = HG_ENTRY_DUE;
    hg_line_add(&pending->cells, entry);
    if (pending->young_cells == NULL)
        pending->young_cells = entry;
    __atomic_store_n(&pending->count, pending->count + 1, __ATOMIC_RELAXED);
}

void hg_pending_add(hearth_heap *heap, size_t count)
{
    struct hg_pending *pending = &heap->pending;
    __atomic_store_n(&pending->count, pending->count + count, __ATOMIC_RELAXED);
}

void hg_pending_wake(hearth_heap *heap)
{
    struct hg_pending *pending = &heap->pending;
    if (pending->count == 0)
        return;
    pthread_mutex_lock(&pending->lock);
    pthread_cond_broadcast(&pending->arrived);
    pthread_mutex_unlock(&pending->lock);
}

/* Sort what was found into the queue; the lock is held. */
static void hg_pending_order(struct hg_pending *pending)
{
    if (pending->entries.found != NULL) {
        hg_entries_harvest(&pending->entries, &pending->fresh);
        hg_line_sort(&pending->fresh);
    }
    if (pending->mixed)
        hg_line_sort(&pending->queue);
    pending->mixed = false;
}

/* The line that has what is next. */
static struct hg_line *hg_pending_line(struct hg_pending *pending)
{
    const struct hg_entry *old = pending->queue.first, *fresh = pending->fresh.first;
    if (pending->cells.first != NULL)
        return &pending->cells;
    if (old == NULL || (fresh != NULL && hg_entry_before(fresh, old)))
        return &pending->fresh;
    return &pending->queue;
}

/* Take what is next: the caller roots it before the next safepoint. False: nothing is due. */
static bool hg_pending_take(hearth_heap *heap, hearth_finalize_item *item)
{
    struct hg_pending *pending = &heap->pending;
    *item = (hearth_finalize_item){.struct_size = sizeof *item};
    pthread_mutex_lock(&pending->lock);
    hg_pending_order(pending);
    struct hg_line *line = hg_pending_line(pending);
    bool any = line->first != NULL;
    if (any) {
        if (line->first == pending->young_cells)
            pending->young_cells = line->first->next;
        struct hg_entry *entry = hg_line_pop(line);
        item->object = (void *)entry->object;
        item->fn = entry->fn;
        item->data = entry->data;
        item->priority = entry->priority;
        if (entry->kind != HG_ENTRY_CELL) {
            hg_entry_unindex(&pending->entries, entry);
            __atomic_fetch_or(hearth_header_of(item->object), HEARTH_OBJECT_FINALIZED,
                              __ATOMIC_RELAXED);
        }
        hg_entry_give(&pending->entries, entry);
        __atomic_store_n(&pending->count, pending->count - 1, __ATOMIC_RELAXED);
    }
    pthread_mutex_unlock(&pending->lock);
    return any;
}

/* Tell the hook what a finalizer returned; its message if that belongs to the status. */
static void hg_report(hearth_mutator *mutator, void *object, hearth_status status)
{
    struct hg_pending *pending = &mutator->heap->pending;
    char message[HG_MESSAGE]; /* the hook's own failures would overwrite the thread's */
    snprintf(message, sizeof message, "%s",
             hearth_last_status() == status ? hearth_last_error() : hearth_strerror(status));
    __atomic_fetch_add(&pending->errors, 1, __ATOMIC_RELAXED);
    pthread_mutex_lock(&pending->lock);
    hearth_error_fn *error = pending->error;
    void *data = pending->error_data;
    pthread_mutex_unlock(&pending->lock);
    if (error != NULL)
        error(data, mutator, object, status, message);
}

/* Close the native section and the scopes that a finalizer has left open; frames go with the caller's. */
static hearth_status hg_tidy(struct hg_mutator *m, const void *object, size_t scopes)
{
    const size_t open = m->scopes;
    bool native = __atomic_load_n(&m->state, __ATOMIC_RELAXED) == HG_NATIVE;
    if (native)
        hearth_native_end(&m->public);
    hg_handles_close(m, scopes);
    if (native)
        return ht_fail(HEARTH_ESTATE, "the finalizer of %p returned in a native section", object);
    return ht_fail(HEARTH_ESTATE, "the finalizer of %p returned with %zu scopes open, not %zu",
                   object, open, scopes);
}

/* Run one item, rooted; whatever it left open of frames, scopes and native sections is closed. */
static hearth_status hg_pending_call(struct hg_mutator *m, const hearth_finalize_item *item)
{
    hearth_mutator *mutator = &m->public;
    struct hg_pending *pending = &mutator->heap->pending;
    hearth_status status = HEARTH_OK;
    const size_t scopes = m->scopes;
    HEARTH_FRAME(mutator, frame, 1);
    frame.ref[0] = item->object;
    m->finalizing = true;
    if (item->fn != NULL)
        status = item->fn(mutator, item->object, item->data);
    else
        hg_cell_call(m, (uintptr_t)item->object);
    if (__atomic_load_n(&m->state, __ATOMIC_RELAXED) == HG_NATIVE || m->scopes != scopes)
        status = hg_tidy(m, item->object, scopes);
    __atomic_fetch_add(&pending->run, 1, __ATOMIC_RELAXED);
    if (status != HEARTH_OK)
        hg_report(mutator, item->object, status);
    m->finalizing = false;
    HEARTH_FRAME_END(mutator, frame);
    return status;
}

size_t hg_pending_run_some(struct hg_mutator *m, size_t max)
{
    hearth_heap *heap = m->public.heap;
    hearth_finalize_item item;
    size_t ran = 0;
    for (; ran < max && hg_pending_take(heap, &item); ran++)
        hg_pending_call(m, &item);
    return ran;
}

size_t hg_pending_run(struct hg_mutator *m)
{
    hearth_heap *heap = m->public.heap;
    uint64_t count = __atomic_load_n(&heap->pending.count, __ATOMIC_RELAXED);
    if (count == 0 || m->finalizing || heap->options.finalize != HT_FINALIZE_SAFEPOINT)
        return 0;
    return hg_pending_run_some(m, count); /* what they make due is for the next safepoint */
}

hearth_status hg_may_finalize(hearth_mutator *mutator, const char *call)
{
    hearth_status status = hg_mutator_ready(mutator, call);
    if (status == HEARTH_OK && hg_mutator_of(mutator)->finalizing)
        status =
            ht_fail(HEARTH_ESTATE, "%s: mutator %p is running a finalizer", call, (void *)mutator);
    return status;
}

hearth_status hearth_finalize_run(hearth_mutator *mutator, size_t max, size_t *ran)
{
    hearth_status status = hg_may_finalize(mutator, "hearth_finalize_run");
    if (status != HEARTH_OK)
        return status;
    size_t count = hg_pending_run_some(hg_mutator_of(mutator), max);
    if (ran != NULL)
        *ran = count;
    return HEARTH_OK;
}

hearth_status hearth_finalize_next(hearth_mutator *mutator, hearth_finalize_item *out)
{
    hearth_status status = hg_mutator_ready(mutator, "hearth_finalize_next");
    if (status != HEARTH_OK)
        return status;
    if (out == NULL || out->struct_size != sizeof *out)
        return ht_fail(HEARTH_EINVAL, "hearth_finalize_next: out is NULL or struct_size is not %zu",
                       sizeof *out);
    hg_pending_take(mutator->heap, out);
    return HEARTH_OK;
}

hearth_status hearth_finalize_call(hearth_mutator *mutator, const hearth_finalize_item *item)
{
    hearth_status status = hg_may_finalize(mutator, "hearth_finalize_call");
    if (status != HEARTH_OK)
        return status;
    if (item == NULL || item->struct_size != sizeof *item)
        return ht_fail(HEARTH_EINVAL,
                       "hearth_finalize_call: item is NULL or struct_size is not %zu",
                       sizeof *item);
    if (!hg_is_object_for(hg_mutator_of(mutator), (uintptr_t)item->object))
        return ht_fail(HEARTH_EOBJECT, "hearth_finalize_call: %p is not an object of this heap",
                       item->object);
    return hg_pending_call(hg_mutator_of(mutator), item);
}

/* Sleep until something is due, a wake or the deadline (NULL: none). */
static void hg_pending_sleep(struct hg_mutator *m, const struct timespec *deadline)
{
    struct hg_pending *pending = &m->public.heap->pending;
    int before, error = 0;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    pthread_mutex_lock(&pending->lock);
    while (__atomic_load_n(&pending->count, __ATOMIC_RELAXED) == 0 && pending->wakes == m->wakes &&
           error != ETIMEDOUT)
        error = deadline != NULL
                    ? pthread_cond_timedwait(&pending->arrived, &pending->lock, deadline)
                    : pthread_cond_wait(&pending->arrived, &pending->lock);
    m->wakes = pending->wakes;
    pthread_mutex_unlock(&pending->lock);
    pthread_setcancelstate(before, &before);
}

hearth_status hearth_finalize_wait(hearth_mutator *mutator, int64_t timeout_ms, size_t *due)
{
    hearth_status status = hg_mutator_ready(mutator, "hearth_finalize_wait");
    if (status != HEARTH_OK)
        return status;
    if (due == NULL)
        return ht_fail(HEARTH_EINVAL, "hearth_finalize_wait: due is NULL");
    struct hg_pending *pending = &mutator->heap->pending;
    if (timeout_ms != 0 && __atomic_load_n(&pending->count, __ATOMIC_RELAXED) == 0) {
        struct timespec deadline = {0, 0};
        clock_gettime(CLOCK_MONOTONIC, &deadline);
        deadline.tv_sec += (time_t)(timeout_ms / 1000);
        deadline.tv_nsec += (long)(timeout_ms % 1000 * 1000000);
        deadline.tv_sec += deadline.tv_nsec / 1000000000;
        deadline.tv_nsec %= 1000000000;
        hg_lend_others(hg_mutator_of(mutator));
        hearth_native_begin(mutator);
        hg_pending_sleep(hg_mutator_of(mutator), timeout_ms > 0 ? &deadline : NULL);
        hearth_native_end(mutator);
        hg_take_back_others();
    }
    *due = __atomic_load_n(&pending->count, __ATOMIC_RELAXED);
    return HEARTH_OK;
}

hearth_status hearth_finalize_wake(hearth_heap *heap)
{
    if (heap == NULL)
        return ht_fail(HEARTH_EINVAL, "hearth_finalize_wake: heap is NULL");
    pthread_mutex_lock(&heap->pending.lock);
    heap->pending.wakes++;
    pthread_cond_broadcast(&heap->pending.arrived);
    pthread_mutex_unlock(&heap->pending.lock);
    return HEARTH_OK;
}

hearth_status hearth_on_error(hearth_heap *heap, hearth_error_fn *fn, void *data)
{
    if (heap == NULL)
        return ht_fail(HEARTH_EINVAL, "hearth_on_error: heap is NULL");
    pthread_mutex_lock(&heap->pending.lock);
    heap->pending.error = fn;
    heap->pending.error_data = data;
    pthread_mutex_unlock(&heap->pending.lock);
    return HEARTH_OK;
}

/* Everything in a line is an object of the heap. */
static hearth_status hg_line_verify(hearth_heap *heap, const struct hg_line *line, const char *what)
{
    if (!hg_line_check(line))
        return ht_fail(HEARTH_ECORRUPT, "the line of %s that are due is damaged", what);
    for (const struct hg_entry *entry = line->first; entry != NULL; entry = entry->next)
        if (ha_space_find(&heap->space, entry->object) != entry->object)
            return ht_fail(HEARTH_ECORRUPT, "%p stands among the %s that are due: no object",
                           (void *)entry->object, what);
    return HEARTH_OK;
}

static hearth_status hg_aged_one(hearth_heap *heap, uintptr_t object)
{
    uint8_t mark = ha_mark_load(ha_meta_of(object)) & HA_MARK;
    if (mark != HG_YOUNG && mark != heap->marks.gen1)
        return HEARTH_OK;
    return ht_fail(HEARTH_ECORRUPT, "object %p is due and has the mark %u, but counts as old",
                   (void *)object, mark);
}

/* What minor collections leave out is old. */
static hearth_status hg_aged_verify(hearth_heap *heap)
{
    const struct hg_pending *pending = &heap->pending;
    hearth_status status = HEARTH_OK;
    const struct hg_entry *entry = pending->queue.first;
    for (; entry != NULL && status == HEARTH_OK; entry = entry->next)
        status = hg_aged_one(heap, entry->object);
    entry = pending->cells.first;
    for (; entry != pending->young_cells && status == HEARTH_OK; entry = entry->next)
        status = hg_aged_one(heap, entry->object);
    const struct hg_entry_slab *slab = pending->entries.found;
    for (; slab != NULL; slab = slab->found_next)
        for (unsigned i = 0; i < HG_ENTRY_SLAB && status == HEARTH_OK; i++)
            if (hg_bit_get(slab->aged, i))
                status = hg_aged_one(heap, slab->object[i]);
    return status;
}

hearth_status hg_pending_check(hearth_heap *heap)
{
    const struct hg_pending *pending = &heap->pending;
    size_t registered, found, due;
    hearth_status status = hg_line_verify(heap, &pending->cells, "callbacks");
    if (status == HEARTH_OK)
        status = hg_line_verify(heap, &pending->fresh, "finalizers");
    if (status == HEARTH_OK)
        status = hg_line_verify(heap, &pending->queue, "finalizers");
    if (status != HEARTH_OK)
        return status;
    if (!hg_entries_check(&pending->entries, &registered, &found, &due))
        return ht_fail(HEARTH_ECORRUPT, "the entries of finalizers are damaged");
    if (registered != heap->finalizers.count || found + due != pending->count ||
        due != pending->cells.count + pending->fresh.count + pending->queue.count)
        return ht_fail(HEARTH_ECORRUPT,
                       "%zu finalizers are registered and %zu due, the counts say %zu and %llu",
                       registered, found + due, heap->finalizers.count,
                       (unsigned long long)pending->count);
    return hg_aged_verify(heap);
}
