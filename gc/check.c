/* gc/check.c - checks of what has no file of its own to be checked in: marks, mutators, workers, pause
 * histograms, and where blocks lie.
 *
 * Part of the verifier. The world stands and all blocks are given back; heap->lock is held, and the locks
 * below it are taken one at a time. Reads only. */
#include "alloc/window_state.h"
#include "gc/crew.h"
#include "gc/heap.h"
#include "gc/trace.h"
#include "topology/error.h"
#include "topology/os.h"

static hearth_status hg_marks_check(const struct hg_marks *marks)
{
    bool gen1 = marks->gen1 + marks->gen1_before == HG_GEN1_A + HG_GEN1_B &&
                (marks->gen1 == HG_GEN1_A || marks->gen1 == HG_GEN1_B);
    bool old = marks->old + marks->old_before == HG_OLD_A + HG_OLD_B &&
               (marks->old == HG_OLD_A || marks->old == HG_OLD_B);
    if (!gen1 || !old)
        return ht_fail(HEARTH_ECORRUPT, "marks %u, before that %u; old %u, before that %u",
                       marks->gen1, marks->gen1_before, marks->old, marks->old_before);
    return HEARTH_OK;
}

/* It holds no block now. */
static hearth_status hg_allocator_empty(const struct ha_allocator *allocator)
{
    for (unsigned k = 0; k < HEARTH_RUNS; k++)
        if (allocator->hole[k].block != NULL)
            return ht_fail(HEARTH_ECORRUPT, "run %u of a mutator that stands holds block %p", k,
                           (void *)ha_block_start(allocator->hole[k].block));
    return ha_allocator_check(allocator);
}

static hearth_status hg_mutators_check(const hearth_heap *heap)
{
    const struct hg_mutator *before = NULL;
    hearth_status status = HEARTH_OK;
    for (const struct hg_mutator *m = heap->mutators; m != NULL; before = m, m = m->next) {
        if (m->prev != before || m->public.heap != heap || m->home < 0 ||
            m->home >= heap->topology->nodes || m->node >= heap->topology->nodes)
            return ht_fail(HEARTH_ECORRUPT, "mutator %p: heap %p, linked back to %p, node %d of %d",
                           (const void *)m, (void *)m->public.heap, (void *)m->prev, m->home,
                           heap->topology->nodes);
        status = hg_allocator_empty(&m->allocator);
        for (int n = 0; n < heap->space.nodes && status == HEARTH_OK; n++)
            if (m->remote[n] != NULL)
                status = hg_allocator_empty(&m->remote[n]->allocator);
        if (status != HEARTH_OK)
            return status;
    }
    return HEARTH_OK;
}

/* Between collections nothing waits to be traced, and no helper is at work. */
static hearth_status hg_workers_check(const hearth_heap *heap)
{
    for (int i = 0; i < HG_WORKERS_MAX; i++) {
        const struct hg_worker *worker = heap->trace->worker[i];
        if (worker == NULL)
            continue;
        bool sends = false;
        for (int n = 0; n < HT_MAX_NODES; n++)
            sends |= worker->out[n] != NULL;
        if (worker->top != 0 || sends)
            return ht_fail(HEARTH_ECORRUPT, "worker %d has %zu references left%s", i, worker->top,
                           sends ? ", and some to be sent" : "");
    }
    pthread_mutex_lock(&heap->crew->lock);
    int inside = heap->crew->inside;
    bool open = heap->crew->fn != NULL;
    pthread_mutex_unlock(&heap->crew->lock);
    if (open || inside != 0)
        return ht_fail(HEARTH_ECORRUPT, "a phase of the workers is open, with %d inside", inside);
    return HEARTH_OK;
}

static hearth_status hg_pauses_check(hearth_heap *heap)
{
    uint64_t counted[2] = {0, 0};
    pthread_mutex_lock(&heap->stats.lock);
    for (int kind = 0; kind < 2; kind++)
        for (unsigned b = 0; b < HG_BUCKETS; b++)
            counted[kind] += heap->stats.pauses[kind].bucket[b];
    bool right =
        counted[0] == heap->stats.pauses[0].count && counted[1] == heap->stats.pauses[1].count;
    pthread_mutex_unlock(&heap->stats.lock);
    if (!right)
        return ht_fail(HEARTH_ECORRUPT, "histograms of pauses hold %llu minor and %llu full ones",
                       (unsigned long long)counted[0], (unsigned long long)counted[1]);
    return HEARTH_OK;
}

enum { HG_PAGES = 64 }; /* asked for at a time */

/* The first pages of `count` blocks, which should lie on system node `node`. */
static hearth_status hg_pages_check(void **page, size_t count, int node)
{
    int status[HG_PAGES];
    if (!ht_os_residency(page, status, count))
        return HEARTH_OK; /* a system that does not tell */
    for (size_t i = 0; i < count; i++)
        if (status[i] >= 0 && status[i] != node)
            return ht_fail(HEARTH_ECORRUPT, "block %p is bound to system node %d but lies on %d",
                           page[i], node, status[i]);
    return HEARTH_OK;
}

/* With policy strict the memory of every block in use lies on its node: by its first page. Others may spill,
 * and the system may do as it likes with what is not bound. */
static hearth_status hg_residency_check(const hearth_heap *heap)
{
    const struct ha_windows *windows = heap->space.windows;
    void *page[HG_PAGES];
    if (!heap->space.strict || !windows->bound || windows->state->layout.binding != 'b')
        return HEARTH_OK;
    for (int n = 0; n < heap->space.nodes; n++) {
        hearth_status status = HEARTH_OK;
        int node = windows->state->layout.os_node[n];
        size_t count = 0;
        for (struct ha_chunk *c = heap->space.pool[n]->chunks; c != NULL; c = c->next)
            for (unsigned i = HA_HEAD_BLOCKS; i < HA_CHUNK_BLOCKS && status == HEARTH_OK; i++) {
                const struct ha_block *block = ha_block_at(c, i);
                if (block->state < HA_CURRENT)
                    continue;
                page[count++] = ha_block_start(block);
                if (count == HG_PAGES) {
                    status = hg_pages_check(page, count, node);
                    count = 0;
                }
            }
        if (status == HEARTH_OK)
            status = hg_pages_check(page, count, node);
        if (status != HEARTH_OK)
            return status;
    }
    return HEARTH_OK;
}

hearth_status hg_parts_check(hearth_heap *heap)
{
    hearth_status status = ha_windows_check(heap->space.windows);
    if (status == HEARTH_OK)
        status = hg_marks_check(&heap->marks);
    if (status == HEARTH_OK)
        status = hg_mutators_check(heap);
    if (status == HEARTH_OK)
        status = hg_workers_check(heap);
    if (status == HEARTH_OK)
        status = hg_pauses_check(heap);
    if (status == HEARTH_OK)
        status = hg_residency_check(heap);
    return status;
}
