/* gc/external.c - memory that objects hold outside of the heap.
 *
 * Invariant: `bytes` is what the embedder has told, never below 0. What it grew by since the last full
 * collection is taken off the budget of blocks (`charged` blocks of it), and given back when it shrinks: so
 * heap and external memory together grow by what pacing allows, and allocation needs to know nothing of it.
 * Lock: heap->lock for `base` and `charged`; `bytes` is atomic. */
#include "gc/heap.h"

#include "topology/error.h"

static size_t hg_external_load(const hearth_heap *heap)
{
    return __atomic_load_n(&heap->external.bytes, __ATOMIC_RELAXED);
}

size_t hearth_external_bytes(const hearth_heap *heap)
{
    return heap != NULL ? hg_external_load(heap) : 0;
}

/* false: the sum is no count of bytes. */
static bool hg_external_sum(hearth_heap *heap, ptrdiff_t bytes)
{
    size_t before = hg_external_load(heap), after;
    do {
        after = before + (size_t)bytes;
        if (bytes < 0 ? after > before : after < before || after > SIZE_MAX / 2)
            return false;
    } while (!__atomic_compare_exchange_n(&heap->external.bytes, &before, after, true,
                                          __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    return true;
}

/* Blocks by which external memory has grown since the last full collection. */
static size_t hg_external_grown(const hearth_heap *heap)
{
    size_t bytes = hg_external_load(heap);
    size_t base = __atomic_load_n(&heap->external.base, __ATOMIC_RELAXED);
    return bytes > base ? (bytes - base) >> HA_BLOCK_SHIFT : 0;
}

/* Take `blocks` off the budget, as far as they are not in use; returns how many. Who charges the budget looks
 * at it again afterwards, as this does at what is in use: one of the two sees the other. */
static size_t hg_budget_take(struct ha_space *space, size_t blocks)
{
    size_t budget = space->budget, used = __atomic_load_n(&space->used, __ATOMIC_RELAXED);
    size_t room = budget > used ? budget - used : 0;
    size_t lower = budget - (blocks < room ? blocks : room);
    __atomic_store_n(&space->budget, lower, __ATOMIC_SEQ_CST);
    used = __atomic_add_fetch(&space->used, 0, __ATOMIC_SEQ_CST); /* a full barrier */
    if (used > lower) {
        lower = used < budget ? used : budget;
        __atomic_store_n(&space->budget, lower, __ATOMIC_SEQ_CST);
    }
    return budget - lower;
}

static void hg_budget_give(struct ha_space *space, size_t blocks)
{
    size_t room = space->limit - space->budget;
    size_t budget = space->budget + (blocks < room ? blocks : room);
    __atomic_store_n(&space->budget, budget, __ATOMIC_RELAXED);
}

/* Make the budget agree; true: it is used up. */
static bool hg_external_settle(hearth_heap *heap)
{
    struct hg_external *external = &heap->external;
    bool used_up = false;
    pthread_mutex_lock(&heap->lock);
    size_t bytes = hg_external_load(heap);
    if (bytes < external->base)
        __atomic_store_n(&external->base, bytes, __ATOMIC_RELAXED);
    size_t grown = hg_external_grown(heap), charged = external->charged;
    if (grown > charged) {
        size_t taken = hg_budget_take(&heap->space, grown - charged);
        used_up = taken < grown - charged;
        charged += taken;
    } else if (grown < charged) {
        hg_budget_give(&heap->space, charged - grown);
        charged = grown;
    }
    __atomic_store_n(&external->charged, charged, __ATOMIC_RELAXED);
    hg_observe_paced(heap);
    pthread_mutex_unlock(&heap->lock);
    return used_up;
}

size_t hg_external_after(hearth_heap *heap)
{
    size_t bytes = hg_external_load(heap);
    __atomic_store_n(&heap->external.base, bytes, __ATOMIC_RELAXED);
    __atomic_store_n(&heap->external.charged, 0, __ATOMIC_RELAXED);
    return bytes;
}

bool hg_external_check(const hearth_heap *heap)
{
    return heap->external.bytes <= SIZE_MAX / 2 && heap->external.base <= SIZE_MAX / 2 &&
           heap->external.charged <= heap->space.limit;
}

hearth_status hearth_external_add(hearth_mutator *mutator, ptrdiff_t bytes)
{
    hearth_status status = hg_mutator_ready(mutator, "hearth_external_add");
    if (status != HEARTH_OK)
        return status;
    hearth_heap *heap = mutator->heap;
    struct hg_mutator *m = hg_mutator_of(mutator);
    if (!hg_external_sum(heap, bytes))
        return ht_fail(HEARTH_EINVAL, "hearth_external_add: %td bytes; %zu are counted", bytes,
                       hg_external_load(heap));
    bool used_up = false;
    if (hg_external_grown(heap) != __atomic_load_n(&heap->external.charged, __ATOMIC_RELAXED) ||
        bytes < 0)
        used_up = hg_external_settle(heap);
    if (bytes > 0)
        hg_charge_external(m, (size_t)bytes, used_up);
    return HEARTH_OK;
}
