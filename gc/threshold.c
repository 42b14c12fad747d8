/* gc/threshold.c - automatic collections by numbers of objects, as CPython's gc module has them.
 *
 * Invariant: while limit[0] > 0 and collection is enabled, limit[0] + 1 objects may be allocated from one
 * collection to the next. Mutators take shares of them (`taken`, atomic); a mutator's share is its credit
 * and the cells of its runs. Runs are cut into portions, so that a mutator comes to the slow path when its
 * share is used up; before it takes more, what its other runs have left is added to its credit
 * again. So the count is exact for one thread; of several, each may hold an unused share when another one
 * finds none left. Bytes are charged as ever. Lock: heap->lock to count anew; own thread otherwise. */
#include <assert.h>

#include "gc/heap.h"

#include "topology/error.h"

enum { HG_PORTION_MIN = 8 }; /* cells of a run, unless fewer are left */

static size_t hg_limit_of(const hearth_heap *heap, int generation)
{
    return __atomic_load_n(&heap->control.threshold.limit[generation], __ATOMIC_RELAXED);
}

bool hg_threshold_on(const hearth_heap *heap)
{
    return hg_limit_of(heap, 0) != 0;
}

static bool hg_threshold_active(const hearth_heap *heap)
{
    return hg_threshold_on(heap) && __atomic_load_n(&heap->pacing.enabled, __ATOMIC_RELAXED);
}

/* Cells of its runs that are free; they are the block's again. */
static uint64_t hg_recall(struct hg_mutator *m)
{
    uint64_t cells = ha_allocator_recall(&m->allocator);
    for (int n = 0; n < m->public.heap->space.nodes; n++)
        if (m->remote[n] != NULL)
            cells += ha_allocator_recall(&m->remote[n]->allocator);
    return cells;
}

/* Objects since the last flush. Another thread may be taking a run just now: any value it had is right. */
__attribute__((no_sanitize("thread"), noinline)) static uint64_t
hg_handed_out(const struct ha_allocator *allocator)
{
    return *(const volatile uint64_t *)&allocator->objects;
}

/* What all mutators were given since the last collection; `self`, if any, exactly. Lock is held. */
static uint64_t hg_count_all(hearth_heap *heap, const struct hg_mutator *self)
{
    uint64_t count = 0;
    for (struct hg_mutator *m = heap->mutators; m != NULL; m = m->next) {
        count += hg_handed_out(&m->allocator);
        count -= m == self ? ha_allocator_left(&m->allocator) : 0;
        for (int n = 0; n < heap->space.nodes; n++) {
            const struct hg_remote *remote = __atomic_load_n(&m->remote[n], __ATOMIC_ACQUIRE);
            if (remote == NULL)
                continue;
            count += hg_handed_out(&remote->allocator);
            count -= m == self ? ha_allocator_left(&remote->allocator) : 0;
        }
    }
    pthread_mutex_lock(&heap->stats.lock);
    count += heap->stats.unswept_objects;
    pthread_mutex_unlock(&heap->stats.lock);
    return count;
}

void hg_threshold_renew(hearth_heap *heap)
{
    __atomic_store_n(&heap->control.threshold.recount, true, __ATOMIC_RELEASE);
}

/* All shares end; `taken` is what was allocated. */
static void hg_recount(struct hg_mutator *m)
{
    hearth_heap *heap = m->public.heap;
    struct hg_threshold *threshold = &heap->control.threshold;
    hg_recall(m);
    pthread_mutex_lock(&heap->lock);
    if (__atomic_exchange_n(&threshold->recount, false, __ATOMIC_ACQUIRE)) {
        m->epoch = __atomic_add_fetch(&threshold->epoch, 1, __ATOMIC_RELAXED);
        m->credit = 0;
        __atomic_store_n(&threshold->taken, hg_count_all(heap, m), __ATOMIC_RELAXED);
    }
    pthread_mutex_unlock(&heap->lock);
}

/* Take a share of what is left; false: nothing is. */
static bool hg_claim(struct hg_mutator *m)
{
    hearth_heap *heap = m->public.heap;
    uint64_t most = (uint64_t)hg_limit_of(heap, 0) + 1, *taken = &heap->control.threshold.taken;
    uint64_t mutators = (uint64_t)__atomic_load_n(&heap->mutator_count, __ATOMIC_RELAXED);
    uint64_t before = __atomic_load_n(taken, __ATOMIC_RELAXED), share;
    do {
        if (before >= most)
            return false;
        share = most - before;
        if (mutators > 1)
            share = share / (2 * mutators) + 1;
    } while (!__atomic_compare_exchange_n(taken, &before, before + share, true, __ATOMIC_RELAXED,
                                          __ATOMIC_RELAXED));
    m->credit += (int64_t)share;
    return true;
}

/* Shares of a former epoch are void; what its runs have left was counted. */
static void hg_credit_settle(struct hg_mutator *m)
{
    const struct hg_threshold *threshold = &m->public.heap->control.threshold;
    if (__atomic_load_n(&threshold->recount, __ATOMIC_ACQUIRE))
        hg_recount(m);
    uint32_t epoch = __atomic_load_n(&threshold->epoch, __ATOMIC_RELAXED);
    if (m->epoch != epoch) {
        m->credit = (int64_t)hg_recall(m); /* they were counted as allocated */
        m->epoch = epoch;
    }
}

/* Is there no object left to be allocated before a collection? */
static bool hg_threshold_due(struct hg_mutator *m)
{
    hg_credit_settle(m);
    if (m->credit <= 0)
        m->credit += (int64_t)hg_recall(m);
    return m->credit <= 0 && !hg_claim(m);
}

/* The oldest generation whose count is above its threshold, as gc_collect_generations of CPython chooses. */
static int hg_threshold_generation(const hearth_heap *heap)
{
    const struct hg_threshold *threshold = &heap->control.threshold;
    if (threshold->count[2] > hg_limit_of(heap, 2) &&
        threshold->pending >= threshold->long_lived / 4)
        return 2;
    return threshold->count[1] > hg_limit_of(heap, 1);
}

void hg_threshold_entry(struct hg_mutator *m)
{
    hearth_heap *heap = m->public.heap;
    if (!hg_threshold_active(heap) || !hg_threshold_due(m))
        return;
    int generation = hg_threshold_generation(heap);
    hg_collect(m, generation == 2 ? HEARTH_GC_FULL : HEARTH_GC_MINOR, generation == 1,
               HEARTH_REASON_THRESHOLD);
}

/* A part of the credit, so that several size classes get some of it; few slow paths all the same. */
uint32_t hg_threshold_portion(struct hg_mutator *m)
{
    if (!hg_threshold_active(m->public.heap))
        return 0;
    hg_credit_settle(m);
    if (m->credit <= 0 && !hg_claim(m))
        return 1; /* another thread took what there was */
    int64_t part = m->credit / 4;
    if (part < HG_PORTION_MIN)
        part = m->credit < HG_PORTION_MIN ? m->credit : HG_PORTION_MIN;
    return part < UINT16_MAX ? (uint32_t)part : UINT16_MAX;
}

void hg_threshold_after(hearth_heap *heap, int generation, uint64_t live)
{
    struct hg_threshold *threshold = &heap->control.threshold;
    for (int i = 1; i <= generation; i++)
        threshold->count[i] = 0;
    if (generation + 1 < HG_GENERATIONS)
        threshold->count[generation + 1]++;
    if (generation == 2)
        threshold->long_lived = live;
    if (generation != 0)
        threshold->pending = live > threshold->long_lived ? live - threshold->long_lived : 0;
    __atomic_store_n(&threshold->taken, 0, __ATOMIC_RELAXED);
    for (struct hg_mutator *m = heap->mutators; m != NULL; m = m->next)
        m->credit = 0;
}

void hg_threshold_detach(struct hg_mutator *m)
{
    hearth_heap *heap = m->public.heap;
    struct hg_threshold *threshold = &heap->control.threshold;
    if (m->credit > 0 && m->epoch == __atomic_load_n(&threshold->epoch, __ATOMIC_RELAXED))
        __atomic_fetch_sub(&threshold->taken, (uint64_t)m->credit, __ATOMIC_RELAXED);
    m->credit = 0;
}

/* --- public --------------------------------------------------------------------------------------- */

static hearth_status hg_threshold_arguments(hearth_heap *heap, const char *call, bool given)
{
    if (heap == NULL || !given)
        return ht_fail(HEARTH_EINVAL, "%s: %s is NULL", call, heap == NULL ? "heap" : "out");
    if (hg_in_callback(heap))
        return ht_fail(HEARTH_ESTATE, "%s: called from a callback of the collector (heap %p)", call,
                       (void *)heap);
    return HEARTH_OK;
}

hearth_status hearth_gc_set_threshold(hearth_heap *heap, size_t t0, size_t t1, size_t t2)
{
    hearth_status status = hg_threshold_arguments(heap, "hearth_gc_set_threshold", true);
    if (status != HEARTH_OK)
        return status;
    if (t0 > SIZE_MAX / 2)
        return ht_fail(HEARTH_EINVAL, "hearth_gc_set_threshold: threshold 0 is %zu, at most %zu",
                       t0, (size_t)(SIZE_MAX / 2));
    struct hg_threshold *threshold = &heap->control.threshold;
    pthread_mutex_lock(&heap->lock);
    __atomic_store_n(&threshold->limit[0], t0, __ATOMIC_RELAXED);
    __atomic_store_n(&threshold->limit[1], t1, __ATOMIC_RELAXED);
    __atomic_store_n(&threshold->limit[2], t2, __ATOMIC_RELAXED);
    hg_threshold_renew(heap);
    hg_pacing_scale(heap); /* the nursery has no bound while objects are counted */
    struct hg_mutator *own = hg_mutator_of(hearth_current(heap));
    if (own != NULL && t0 != 0)
        hg_recall(own); /* so that its next object is counted */
    pthread_mutex_unlock(&heap->lock);
    return HEARTH_OK;
}

hearth_status hearth_gc_get_threshold(hearth_heap *heap, size_t limit[3])
{
    if (heap == NULL || limit == NULL)
        return hg_threshold_arguments(heap, "hearth_gc_get_threshold", limit != NULL);
    for (int i = 0; i < HG_GENERATIONS; i++)
        limit[i] = hg_limit_of(heap, i);
    return HEARTH_OK;
}

hearth_status hearth_gc_get_count(hearth_heap *heap, size_t count[3])
{
    hearth_status status = hg_threshold_arguments(heap, "hearth_gc_get_count", count != NULL);
    if (status != HEARTH_OK)
        return status;
    assert(heap != NULL && count != NULL);
    const struct hg_mutator *own = hg_mutator_of(hearth_current(heap));
    pthread_mutex_lock(&heap->lock);
    count[0] = (size_t)hg_count_all(heap, own);
    count[1] = heap->control.threshold.count[1];
    count[2] = heap->control.threshold.count[2];
    pthread_mutex_unlock(&heap->lock);
    return HEARTH_OK;
}
