/* gc/heap.c - creating and destroying heaps.
 *
 * Creation undoes what it did when a step fails. Node: the struct is ordinary memory of the creator; pools,
 * queues and stacks lie on their nodes. */
#define _GNU_SOURCE
#include "gc/heap.h"

#include <string.h>

#include "gc/crew.h"
#include "gc/trace.h"
#include "topology/error.h"
#include "topology/os.h"

static hearth_status hg_heap_options(struct hearth_options *to, const hearth_options *from)
{
    if (from != NULL) {
        *to = *from;
        return ht_options_environment(to);
    }
    return ht_options_defaults(to, true);
}

/* `off` and `interleave` know no nodes: one pool over all memory. */
static void hg_heap_one_pool(struct hearth_heap *heap)
{
    if (heap->options.mode != HT_MODE_OFF && heap->options.mode != HT_MODE_INTERLEAVE)
        return;
    if (heap->options.mode == HT_MODE_OFF)
        heap->options.policy = HT_POLICY_OFF;
}

static hearth_status hg_heap_parts(hearth_heap *heap)
{
    hearth_status status = ht_topology_create(&heap->topology, &heap->options);
    if (status == HEARTH_OK)
        status = hg_types_init(&heap->types);
    if (status == HEARTH_OK)
        status = ha_space_init(&heap->space, heap->topology, &heap->options, heap);
    if (status != HEARTH_OK)
        return status;
    int workers = (int)heap->options.workers;
    if (workers == 0)
        workers = heap->topology->cpus;
    status = hg_crew_create(&heap->crew, heap->topology, workers);
    if (status == HEARTH_OK)
        status = hg_trace_create(&heap->trace, heap);
    return status;
}

static void hg_heap_free(hearth_heap *heap)
{
    hg_crew_destroy(heap->crew);
    hg_trace_destroy(heap->trace);
    if (heap->space.nodes != 0)
        ha_space_destroy(&heap->space);
    hg_types_destroy(&heap->types);
    hg_remember_free(&heap->orphans);
    hg_roots_destroy(&heap->roots);
    if (heap->topology != NULL)
        ht_topology_destroy(heap->topology);
    pthread_cond_destroy(&heap->stopped);
    pthread_cond_destroy(&heap->resumed);
    pthread_mutex_destroy(&heap->stats.lock);
    pthread_mutex_destroy(&heap->lock);
    ht_os_free(heap);
}

hearth_status hearth_heap_create(hearth_heap **out, const hearth_options *options)
{
    if (out == NULL)
        return ht_fail(HEARTH_EINVAL, "hearth_heap_create: out is NULL");
    hearth_heap *heap = ht_os_alloc(sizeof *heap);
    if (heap == NULL)
        return ht_fail(HEARTH_ENOMEM, "no memory for a heap (%zu bytes)", sizeof *heap);
    pthread_mutex_init(&heap->lock, NULL);
    pthread_mutex_init(&heap->stats.lock, NULL);
    pthread_cond_init(&heap->stopped, NULL);
    pthread_cond_init(&heap->resumed, NULL);
    hg_roots_init(&heap->roots);
    hg_marks_init(&heap->marks);
    hearth_status status = hg_heap_options(&heap->options, options);
    if (status == HEARTH_OK) {
        hg_heap_one_pool(heap);
        status = hg_heap_parts(heap);
    }
    if (status != HEARTH_OK) {
        hg_heap_free(heap);
        return status;
    }
    hg_pacing_init(heap);
    *out = heap;
    return HEARTH_OK;
}

hearth_status hearth_heap_destroy(hearth_heap *heap)
{
    if (heap == NULL)
        return HEARTH_OK;
    pthread_mutex_lock(&heap->lock);
    int mutators = heap->mutator_count;
    pthread_mutex_unlock(&heap->lock);
    if (mutators != 0)
        return ht_fail(HEARTH_ESTATE, "hearth_heap_destroy: %d mutators are still attached",
                       mutators);
    hg_heap_free(heap);
    return HEARTH_OK;
}

void hearth_heap_set_data(hearth_heap *heap, void *data)
{
    if (heap != NULL)
        heap->data = data;
}

void *hearth_heap_data(const hearth_heap *heap)
{
    return heap != NULL ? heap->data : NULL;
}

const hearth_topology *hearth_heap_topology(const hearth_heap *heap)
{
    return heap != NULL ? heap->topology : NULL;
}

hearth_status hearth_set_heap_limit(hearth_heap *heap, size_t bytes)
{
    if (heap == NULL)
        return ht_fail(HEARTH_EINVAL, "hearth_set_heap_limit: heap is NULL");
    size_t blocks = bytes >> HA_BLOCK_SHIFT;
    hearth_status status = HEARTH_OK;
    pthread_mutex_lock(&heap->lock);
    size_t used = __atomic_load_n(&heap->space.used, __ATOMIC_RELAXED);
    if (blocks < used || blocks == 0) {
        status = ht_fail(HEARTH_ESIZE, "hearth_set_heap_limit: %zu bytes; %zu are in use", bytes,
                         used << HA_BLOCK_SHIFT);
    } else {
        __atomic_store_n(&heap->space.limit, blocks, __ATOMIC_RELAXED);
        if (heap->space.budget > blocks)
            __atomic_store_n(&heap->space.budget, blocks, __ATOMIC_RELAXED);
        if (heap->pacing.min_budget > blocks)
            heap->pacing.min_budget = blocks;
    }
    pthread_mutex_unlock(&heap->lock);
    return status;
}
