/* gc/heap.c - creating and destroying heaps.
 *
 * Creation undoes what it did when a step fails. Node: the struct is ordinary memory of the creator; pools,
 * queues and stacks lie on their nodes. */
#define _GNU_SOURCE
#include "gc/heap.h"

#include <string.h>

#include "gc/afterlife.h"
#include "gc/crew.h"
#include "gc/fork.h"
#include "gc/outfile.h"
#include "gc/page.h"
#include "gc/timeline.h"
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

/* `off` and `interleave` know no nodes: one pool over all memory, bound to nothing or interleaved. The same
 * where the user spreads all memory or prefers a node (numactl): it would lie elsewhere than planned. */
static hearth_status hg_heap_topology(hearth_heap *heap)
{
    int mode = heap->options.mode;
    if (mode == HT_MODE_OFF)
        heap->options.policy = HT_POLICY_OFF;
    hearth_status status = ht_topology_create(&heap->topology, &heap->options);
    if (status == HEARTH_OK && (mode == HT_MODE_OFF || mode == HT_MODE_INTERLEAVE ||
                                (mode == HT_MODE_AUTO && heap->topology->user_spreads)))
        ht_topology_merge(heap->topology);
    if (status == HEARTH_OK && heap->options.preferred >= heap->topology->nodes)
        status = ht_fail(HEARTH_ENODE, "preferred=%lld: the heap has nodes 0 to %d",
                         (long long)heap->options.preferred, heap->topology->nodes - 1);
    return status;
}

static hearth_status hg_heap_parts(hearth_heap *heap)
{
    hearth_status status = hg_heap_topology(heap);
    if (status == HEARTH_OK)
        status = hg_types_init(&heap->types);
    if (status == HEARTH_OK)
        status = ha_space_init(&heap->space, heap->topology, &heap->options, heap);
    if (status != HEARTH_OK)
        return status;
    ha_space_guard(&heap->space, heap->options.guard);
    int workers = (int)heap->options.workers;
    if (workers == 0)
        workers = heap->topology->cpus;
    status = hg_crew_create(&heap->crew, heap->topology, workers);
    if (status == HEARTH_OK)
        status = hg_trace_create(&heap->trace, heap);
    if (status == HEARTH_OK)
        status = hg_afterlife_init(heap);
    return status;
}

/* Files for others to look at. */
static hearth_status hg_heap_files(hearth_heap *heap)
{
    if (!hg_file_wanted(heap->options.trace) && !hg_file_wanted(heap->options.stats_page))
        return HEARTH_OK;
    unsigned number = hg_file_heap();
    hearth_status status = hg_timeline_open(heap, number);
    if (status == HEARTH_OK)
        status = hg_page_open(heap, number);
    if (status != HEARTH_OK)
        hg_file_heap_undo(number);
    return status;
}

static void hg_heap_free(hearth_heap *heap)
{
    hg_page_close(heap);
    hg_timeline_close(heap);
    hg_afterlife_destroy(heap);
    hg_crew_destroy(heap->crew);
    hg_trace_destroy(heap->trace);
    if (heap->space.nodes != 0)
        ha_space_destroy(&heap->space);
    hg_types_destroy(&heap->types);
    hg_remember_free(&heap->orphans);
    hg_roots_destroy(&heap->roots);
    hg_leaks_destroy(heap);
    if (heap->topology != NULL)
        ht_topology_destroy(heap->topology);
    pthread_cond_destroy(&heap->stopped);
    pthread_cond_destroy(&heap->resumed);
    pthread_mutex_destroy(&heap->stats.lock);
    pthread_mutex_destroy(&heap->pressure.lock);
    pthread_mutex_destroy(&heap->lock);
    ht_os_free(heap);
}

hearth_status hearth_heap_create(hearth_heap **out, const hearth_options *options)
{
    if (out == NULL)
        return ht_fail(HEARTH_EINVAL, "hearth_heap_create: out is NULL");
    *out = NULL;
    hearth_heap *heap = ht_os_alloc(sizeof *heap);
    if (heap == NULL)
        return ht_fail(HEARTH_ENOMEM, "no memory for a heap (%zu bytes)", sizeof *heap);
    pthread_mutex_init(&heap->lock, NULL);
    pthread_mutex_init(&heap->stats.lock, NULL);
    pthread_mutex_init(&heap->pressure.lock, NULL);
    pthread_cond_init(&heap->stopped, NULL);
    pthread_cond_init(&heap->resumed, NULL);
    hg_roots_init(&heap->roots);
    hg_leaks_init(heap);
    hg_marks_init(&heap->marks);
    hearth_status status = hg_heap_options(&heap->options, options);
    if (status == HEARTH_OK)
        status = hg_heap_parts(heap);
    if (status == HEARTH_OK) {
        hg_pacing_init(heap);
        hg_observers_init(heap);
        status = hg_heap_files(heap);
    }
    if (status == HEARTH_OK)
        status = hg_heaps_join(heap);
    if (status != HEARTH_OK) {
        hg_heap_free(heap);
        return status;
    }
    *out = heap;
    return HEARTH_OK;
}

hearth_status hearth_heap_destroy(hearth_heap *heap)
{
    if (heap == NULL)
        return HEARTH_OK;
    if (hg_in_callback(heap))
        return ht_fail(HEARTH_ESTATE, "hearth_heap_destroy: called from a callback of heap %p",
                       (void *)heap);
    int mutators = hg_heaps_leave(heap);
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

/* Lower limit and budget first, then look at what is used: a mutator charges first and looks at the
 * budget afterwards, so that one of the two sees the other. heap->lock is held. */
static hearth_status hg_limit_set(hearth_heap *heap, size_t blocks)
{
    struct ha_space *space = &heap->space;
    size_t limit = space->limit, budget = space->budget;
    __atomic_store_n(&space->limit, blocks, __ATOMIC_SEQ_CST);
    if (budget > blocks)
        __atomic_store_n(&space->budget, blocks, __ATOMIC_SEQ_CST);
    size_t used = __atomic_add_fetch(&space->used, 0, __ATOMIC_SEQ_CST); /* a full barrier */
    if (used > blocks) {
        __atomic_store_n(&space->budget, budget, __ATOMIC_SEQ_CST);
        __atomic_store_n(&space->limit, limit, __ATOMIC_SEQ_CST);
        return ht_fail(HEARTH_ESIZE, "hearth_set_heap_limit: %zu bytes; %zu are in use",
                       blocks << HA_BLOCK_SHIFT, used << HA_BLOCK_SHIFT);
    }
    if (heap->pacing.min_budget > blocks)
        heap->pacing.min_budget = blocks;
    return HEARTH_OK;
}

hearth_status hearth_set_heap_limit(hearth_heap *heap, size_t bytes)
{
    if (heap == NULL)
        return ht_fail(HEARTH_EINVAL, "hearth_set_heap_limit: heap is NULL");
    if (hg_in_callback(heap))
        return ht_fail(HEARTH_ESTATE, "hearth_set_heap_limit: called from a callback of heap %p",
                       (void *)heap);
    if (bytes < HA_BLOCK)
        return ht_fail(HEARTH_ESIZE, "hearth_set_heap_limit: %zu bytes; a block has %d", bytes,
                       HA_BLOCK);
    pthread_mutex_lock(&heap->lock);
    hearth_status status = hg_limit_set(heap, bytes >> HA_BLOCK_SHIFT);
    hg_observe_paced(heap);
    pthread_mutex_unlock(&heap->lock);
    return status;
}
