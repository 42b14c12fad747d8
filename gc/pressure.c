/* gc/pressure.c - telling the embedder that memory is short.
 *
 * The world stands, or an object has just been made, where it is noticed that SOFT or NODE is due: so they are
 * noted, and told at the next safepoint. A thread that is telling does not tell again before the function
 * has returned. Lock: pressure->lock, a leaf, to read the function with its data. */
#include "gc/pressure.h"

#include "gc/heap.h"
#include "topology/error.h"

hearth_status hearth_on_pressure(hearth_heap *heap, hearth_pressure_fn *fn, void *data)
{
    if (heap == NULL)
        return ht_fail(HEARTH_EINVAL, "hearth_on_pressure: heap is NULL");
    pthread_mutex_lock(&heap->pressure.lock);
    heap->pressure.fn = fn;
    heap->pressure.data = data;
    pthread_mutex_unlock(&heap->pressure.lock);
    return HEARTH_OK;
}

hearth_status hearth_set_soft_limit(hearth_heap *heap, size_t bytes)
{
    if (heap == NULL)
        return ht_fail(HEARTH_EINVAL, "hearth_set_soft_limit: heap is NULL");
    if (hg_in_callback(heap))
        return ht_fail(HEARTH_ESTATE, "hearth_set_soft_limit: called from a callback of heap %p",
                       (void *)heap);
    __atomic_store_n(&heap->pacing.soft_limit, bytes, __ATOMIC_RELAXED);
    return HEARTH_OK;
}

void hg_pressure_after(struct hg_pressure *pressure, bool over)
{
    __atomic_store_n(&pressure->told, 0, __ATOMIC_RELAXED);
    if (over)
        __atomic_fetch_or(&pressure->due, 1u << HEARTH_PRESSURE_SOFT, __ATOMIC_RELAXED);
}

void hg_pressure_spilled(struct hg_pressure *pressure, int node)
{
    uint64_t bit = (uint64_t)1 << node;
    if (__atomic_load_n(&pressure->told, __ATOMIC_RELAXED) & bit)
        return;
    if (__atomic_fetch_or(&pressure->told, bit, __ATOMIC_RELAXED) & bit)
        return; /* another thread was quicker */
    __atomic_fetch_or(&pressure->node, bit, __ATOMIC_RELAXED);
    __atomic_fetch_or(&pressure->due, 1u << HEARTH_PRESSURE_NODE, __ATOMIC_RELEASE);
}

/* Call the function; false also if there is none, or this thread is inside of it. */
static bool hg_tell(struct hg_mutator *m, hearth_pressure *p)
{
    hearth_heap *heap = m->public.heap;
    if (m->telling)
        return false;
    pthread_mutex_lock(&heap->pressure.lock);
    hearth_pressure_fn *fn = heap->pressure.fn;
    void *data = heap->pressure.data;
    pthread_mutex_unlock(&heap->pressure.lock);
    if (fn == NULL)
        return false;
    p->struct_size = sizeof *p;
    p->heap_bytes = ha_space_used_bytes(&heap->space);
    p->external_bytes = hearth_external_bytes(heap);
    p->soft_limit = __atomic_load_n(&heap->pacing.soft_limit, __ATOMIC_RELAXED);
    p->limit = __atomic_load_n(&heap->space.limit, __ATOMIC_RELAXED) << HA_BLOCK_SHIFT;
    m->telling = true;
    bool dropped = fn(data, &m->public, p);
    m->telling = false;
    return dropped;
}

void hg_pressure_run(struct hg_mutator *m)
{
    struct hg_pressure *pressure = &m->public.heap->pressure;
    if (m->telling || !hg_pressure_due(pressure))
        return;
    uint32_t due = __atomic_exchange_n(&pressure->due, 0, __ATOMIC_ACQUIRE);
    hearth_pressure p = {.stage = HEARTH_PRESSURE_SOFT, .status = HEARTH_OK, .node = -1};
    if (due & 1u << HEARTH_PRESSURE_SOFT)
        (void)hg_tell(m, &p);
    uint64_t nodes = __atomic_exchange_n(&pressure->node, 0, __ATOMIC_RELAXED);
    for (; nodes != 0; nodes &= nodes - 1) {
        p.stage = HEARTH_PRESSURE_NODE;
        p.node = __builtin_ctzll(nodes);
        (void)hg_tell(m, &p);
    }
}

bool hg_pressure_hard(struct hg_mutator *m, hearth_status status, size_t blocks, int node)
{
    hearth_pressure p = {.stage = HEARTH_PRESSURE_HARD,
                         .status = status,
                         .node = node,
                         .wanted_bytes = blocks << HA_BLOCK_SHIFT};
    return hg_tell(m, &p);
}

bool hg_pressure_check(const struct hg_pressure *pressure, int nodes)
{
    uint64_t all = nodes < 64 ? ((uint64_t)1 << nodes) - 1 : ~(uint64_t)0;
    uint32_t stages = 1u << HEARTH_PRESSURE_SOFT | 1u << HEARTH_PRESSURE_NODE;
    return (pressure->due & ~stages) == 0 && ((pressure->node | pressure->told) & ~all) == 0;
}
