/* gc/stats.c - copying statistics out, and the log line. Lock: stats->lock, a leaf; nothing is reset. */
#include <inttypes.h>
#include <stdio.h>

#include "gc/heap.h"
#include "gc/trace.h"
#include "topology/error.h"

static const char *const hg_reason_name[] = {"nursery",   "budget", "explicit", "stress",
                                             "emergency", "large",  "external", "threshold"};

const char *hearth_gc_reason_name(hearth_gc_reason reason)
{
    return (unsigned)reason < sizeof hg_reason_name / sizeof *hg_reason_name
               ? hg_reason_name[reason]
               : "unknown";
}

#define HG_STRUCT(call, heap, out)                                                                 \
    do {                                                                                           \
        if ((heap) == NULL || (out) == NULL)                                                       \
            return ht_fail(HEARTH_EINVAL, call ": heap or out is NULL");                           \
        if ((out)->struct_size != sizeof *(out))                                                   \
            return ht_fail(HEARTH_EINVAL, call ": struct_size is %zu, not %zu",                    \
                           (out)->struct_size, sizeof *(out));                                     \
    } while (0)

/* Of both kinds of collection together. */
static uint64_t hg_percentile(const struct hg_stats *stats, int kind, double percent)
{
    if (kind >= 0)
        return hg_histogram_percentile(&stats->pauses[kind], percent);
    struct hg_histogram both = stats->pauses[0];
    for (unsigned b = 0; b < HG_BUCKETS; b++)
        both.bucket[b] += stats->pauses[1].bucket[b];
    both.count += stats->pauses[1].count;
    both.max = both.max > stats->pauses[1].max ? both.max : stats->pauses[1].max;
    return hg_histogram_percentile(&both, percent);
}

uint64_t hearth_pause_percentile(hearth_heap *heap, int kind, double percent)
{
    if (heap == NULL || kind > HEARTH_GC_FULL) {
        ht_fail(HEARTH_EINVAL, "hearth_pause_percentile: %s (kind %d)",
                heap == NULL ? "heap is NULL" : "no such kind of collection", kind);
        return 0;
    }
    pthread_mutex_lock(&heap->stats.lock);
    uint64_t pause = hg_percentile(&heap->stats, kind, percent);
    pthread_mutex_unlock(&heap->stats.lock);
    return pause;
}

hearth_status hearth_get_stats(hearth_heap *heap, hearth_stats *out)
{
    HG_STRUCT("hearth_get_stats", heap, out);
    struct hg_stats *stats = &heap->stats;
    pthread_mutex_lock(&stats->lock);
    out->nodes = heap->topology->nodes;
    out->mutators = __atomic_load_n(&heap->mutator_count, __ATOMIC_RELAXED);
    out->allocated_objects = stats->allocated_objects;
    out->live_bytes = stats->live_bytes;
    out->live_objects = stats->live_objects;
    out->minor_count = stats->minor;
    out->full_count = stats->full;
    out->pause_total_ns = stats->pauses[0].total + stats->pauses[1].total;
    out->pause_max_ns =
        stats->pauses[0].max > stats->pauses[1].max ? stats->pauses[0].max : stats->pauses[1].max;
    out->pause_p50_ns = hg_percentile(stats, -1, 50);
    out->pause_p99_ns = hg_percentile(stats, -1, 99);
    pthread_mutex_unlock(&stats->lock);
    out->heap_bytes = ha_space_used_bytes(&heap->space);
    out->peak_heap_bytes = __atomic_load_n(&heap->space.peak, __ATOMIC_RELAXED) << HA_BLOCK_SHIFT;
    out->limit_bytes = __atomic_load_n(&heap->space.limit, __ATOMIC_RELAXED) << HA_BLOCK_SHIFT;
    out->budget_bytes = __atomic_load_n(&heap->space.budget, __ATOMIC_RELAXED) << HA_BLOCK_SHIFT;
    out->nursery_bytes = __atomic_load_n(&heap->space.nursery, __ATOMIC_RELAXED);
    if (out->nursery_bytes > out->limit_bytes)
        out->nursery_bytes = out->limit_bytes; /* unbounded: only the budget counts */
    out->spilled_blocks = __atomic_load_n(&heap->space.spilled, __ATOMIC_RELAXED);
    out->external_bytes = hearth_external_bytes(heap);
    out->soft_limit_bytes = __atomic_load_n(&heap->pacing.soft_limit, __ATOMIC_RELAXED);
    out->finalizers = __atomic_load_n(&heap->finalizers.count, __ATOMIC_RELAXED);
    out->finalizers_due = __atomic_load_n(&heap->pending.count, __ATOMIC_RELAXED);
    out->finalizers_run = __atomic_load_n(&heap->pending.run, __ATOMIC_RELAXED);
    out->finalizer_errors = __atomic_load_n(&heap->pending.errors, __ATOMIC_RELAXED);
    out->metadata_bytes = out->allocated_bytes = 0;
    for (int n = 0; n < heap->space.nodes; n++) {
        struct ha_pool *pool = heap->space.pool[n];
        pthread_mutex_lock(&pool->lock);
        out->metadata_bytes += pool->chunk_count * (HA_HEAD_BLOCKS * (uint64_t)HA_BLOCK);
        out->allocated_bytes += __atomic_load_n(&pool->allocated_bytes, __ATOMIC_RELAXED);
        pthread_mutex_unlock(&pool->lock);
    }
    return HEARTH_OK;
}

hearth_status hearth_get_node_stats(hearth_heap *heap, int node, hearth_node_stats *out)
{
    HG_STRUCT("hearth_get_node_stats", heap, out);
    if (node < 0 || node >= heap->space.nodes)
        return ht_fail(HEARTH_ENODE, "node %d; the heap has nodes 0 to %d", node,
                       heap->space.nodes - 1);
    struct ha_pool *pool = heap->space.pool[node];
    pthread_mutex_lock(&pool->lock);
    out->node = node;
    out->os_node = heap->topology->node[node].os_node;
    out->allocated_bytes = __atomic_load_n(&pool->allocated_bytes, __ATOMIC_RELAXED);
    out->live_bytes = pool->live_bytes;
    out->live_objects = pool->live_objects;
    out->blocks = pool->used;
    out->free_blocks = pool->free.count + pool->cold.count;
    out->chunks = pool->chunk_count;
    out->large_bytes = pool->large_bytes;
    out->spilled_in = __atomic_load_n(&pool->spilled_in, __ATOMIC_RELAXED);
    out->released_bytes = pool->released;
    pthread_mutex_unlock(&pool->lock);
    pthread_mutex_lock(&heap->stats.lock);
    out->traced_local = heap->stats.node_local[node];
    out->traced_remote = heap->stats.node_remote[node];
    out->received = heap->stats.node_received[node];
    pthread_mutex_unlock(&heap->stats.lock);
    return HEARTH_OK;
}

hearth_status hearth_last_collection(hearth_heap *heap, hearth_collection *out)
{
    HG_STRUCT("hearth_last_collection", heap, out);
    pthread_mutex_lock(&heap->stats.lock);
    bool any = heap->stats.last.number != 0;
    if (any)
        *out = heap->stats.last;
    pthread_mutex_unlock(&heap->stats.lock);
    if (!any)
        return ht_fail(HEARTH_ESTATE, "heap %p has not been collected yet", (void *)heap);
    return HEARTH_OK;
}

void hg_log_collection(hearth_heap *heap, const hearth_collection *c)
{
    if (heap->options.log != HT_LOG_GC)
        return;
    fprintf(
        stderr,
        "hearth: gc %" PRIu64 " %s (%s) pause %.3f ms (stop %.3f roots %.3f trace %.3f sweep "
        "%.3f), %" PRIu64 " objects, %" PRIu64 " local, %" PRIu64 " sent, %" PRIu64
        " stolen, %u workers, live %.1f MB, freed %.1f MB, heap %.1f of %.1f MB, nursery %.1f MB\n",
        c->number, c->kind == HEARTH_GC_FULL ? "full" : "minor", hearth_gc_reason_name(c->reason),
        (double)c->pause_ns / 1e6, (double)c->stop_ns / 1e6, (double)c->roots_ns / 1e6,
        (double)c->trace_ns / 1e6, (double)c->sweep_ns / 1e6, c->objects_traced, c->local, c->sent,
        c->stolen, c->workers, (double)c->live_bytes / 1048576.0,
        (double)c->freed_bytes / 1048576.0, (double)c->heap_bytes / 1048576.0,
        (double)(heap->space.budget << HA_BLOCK_SHIFT) / 1048576.0,
        (double)heap->pacing.nursery / 1048576.0);
}
