/* gc/collect.c - one collection from request to resumption.
 *
 * Order: stop the world; give all blocks back; turn the marks; scan remembered sets and roots; trace; sweep;
 * pace; resume. heap->lock is held by the collecting thread throughout, and every pool's ageing
 * lock; helpers hold none. The collecting thread is worker 0, of the node it runs on. */
#define _GNU_SOURCE
#include "gc/afterlife.h"
#include "gc/card.h"
#include "gc/guard.h"
#include "gc/heap.h"
#include "gc/page.h"
#include "gc/reclaim.h"
#include "gc/rootset.h"
#include "gc/timeline.h"
#include "gc/trace.h"
#include "topology/error.h"
#include "topology/os.h"

/* A root visitor around worker 0. */
struct hg_root_visitor {
    hearth_visitor visitor; /* first */
    hearth_heap *heap;
    struct hg_worker *worker;
};

static void hg_root_slot(hearth_visitor *visitor, void **slot)
{
    struct hg_root_visitor *roots = (struct hg_root_visitor *)visitor;
    hg_trace_push(roots->worker, (uintptr_t)__atomic_load_n(slot, __ATOMIC_RELAXED), 0);
}

static void hg_root_found(void *data, uintptr_t object)
{
    hg_trace_push(data, object, 0);
}

void hearth_visit_ambiguous(hearth_visitor *visitor, const void *low, const void *high)
{
    struct hg_root_visitor *roots = (struct hg_root_visitor *)visitor;
    if (visitor->slot == hg_root_slot)
        hg_scan_words(roots->heap, low, high, hg_root_found, roots->worker);
    else
        hg_rootset_ambiguous(visitor, low, high);
}

static void hg_scan_mutator(struct hg_root_visitor *roots, struct hg_mutator *m)
{
    for (hearth_frame *frame = m->public.frames; frame != NULL; frame = frame->prev) {
        void **ref = (void **)(frame + 1);
        for (size_t i = 0; i < frame->count; i++)
            hg_root_slot(&roots->visitor, &ref[i]);
    }
    for (struct hg_handles *page = m->handles; page != NULL; page = page->prev)
        for (size_t i = 0; i < page->count; i++)
            hg_root_slot(&roots->visitor, &page->slot[i]);
    hg_stack_scan(roots->heap, m, hg_root_found, roots->worker);
}

/* A full collection needs no remembered set: clear flags and cards only. */
static void hg_forget_object(hearth_heap *heap, uintptr_t object)
{
    uint64_t *at = hearth_header_of((void *)object);
    uint64_t header = __atomic_load_n(at, __ATOMIC_RELAXED);
    if (header & HEARTH_OBJECT_CARDS) {
        struct hg_card_walk walk;
        hg_cards_begin(&walk, object,
                       hg_object_size(object, header, &heap->types.row[hg_header_type(header)]));
        while (hg_cards_next(&walk) != 0)
            ;
        header = __atomic_load_n(at, __ATOMIC_RELAXED);
    }
    header &= ~(uint64_t)(HEARTH_OBJECT_REMEMBERED | HEARTH_OBJECT_DIRTY);
    __atomic_store_n(at, header, __ATOMIC_RELAXED);
}

/* Without a worker what the set lists is forgotten. */
static void hg_scan_remembered(hearth_heap *heap, struct hg_worker *worker,
                               struct hg_remembered *set)
{
    for (struct hg_remember_chunk *chunk = set->first; chunk != NULL; chunk = chunk->next)
        for (size_t i = 0; i < chunk->count; i++) {
            if (worker == NULL)
                hg_forget_object(heap, chunk->object[i]);
            else
                hg_trace_push(worker, chunk->object[i], HG_TAG_REMEMBERED);
        }
    hg_remember_reset(set);
}

static void hg_scan_all_remembered(hearth_heap *heap, struct hg_worker *worker)
{
    hg_scan_remembered(heap, worker, &heap->orphans);
    for (struct hg_mutator *m = heap->mutators; m != NULL; m = m->next)
        hg_scan_remembered(heap, worker, &m->remembered);
}

static void hg_scan_roots(hearth_heap *heap, struct hg_worker *worker)
{
    struct hg_root_visitor roots = {{hg_root_slot}, heap, worker};
    for (struct hg_mutator *m = heap->mutators; m != NULL; m = m->next)
        hg_scan_mutator(&roots, m);
    hg_roots_visit(&heap->roots, &roots.visitor);
    hg_afterlife_roots(heap, worker);
}

void hg_forget_remembered(hearth_heap *heap)
{
    hg_scan_all_remembered(heap, NULL);
}

uint64_t hg_flush_mutators(hearth_heap *heap, uint64_t *allocated)
{
    uint64_t bytes = 0, objects = 0;
    for (struct hg_mutator *m = heap->mutators; m != NULL; m = m->next) {
        hg_mutator_flush(m, &bytes, &objects);
        m->allowance = 0;
    }
    pthread_mutex_lock(&heap->stats.lock);
    heap->stats.allocated_objects += objects;
    bytes += heap->stats.unswept_bytes;
    heap->stats.unswept_bytes = 0;
    *allocated = objects + heap->stats.unswept_objects;
    heap->stats.unswept_objects = 0;
    pthread_mutex_unlock(&heap->stats.lock);
    return bytes;
}

void hg_flush_aside(hearth_heap *heap)
{
    uint64_t bytes = 0, objects = 0;
    for (struct hg_mutator *m = heap->mutators; m != NULL; m = m->next)
        hg_mutator_flush(m, &bytes, &objects);
    pthread_mutex_lock(&heap->stats.lock);
    heap->stats.allocated_objects += objects;
    heap->stats.unswept_bytes += bytes;
    heap->stats.unswept_objects += objects;
    pthread_mutex_unlock(&heap->stats.lock);
}

static void hg_publish(hearth_heap *heap, const hearth_collection *collection)
{
    struct hg_stats *stats = &heap->stats;
    pthread_mutex_lock(&stats->lock);
    stats->last = *collection;
    stats->minor += collection->kind == HEARTH_GC_MINOR;
    stats->full += collection->kind == HEARTH_GC_FULL;
    hg_histogram_add(&stats->pauses[collection->kind], collection->pause_ns);
    stats->live_bytes = stats->live_objects = 0;
    for (int n = 0; n < heap->space.nodes; n++) {
        stats->live_bytes += heap->space.pool[n]->live_bytes;
        stats->live_objects += heap->space.pool[n]->live_objects;
    }
    pthread_mutex_unlock(&stats->lock);
}

static uint64_t hg_live_bytes(const hearth_heap *heap)
{
    uint64_t bytes = 0;
    for (int n = 0; n < heap->space.nodes; n++)
        bytes += heap->space.pool[n]->live_bytes;
    return bytes;
}

uint64_t hg_live_objects(const hearth_heap *heap)
{
    uint64_t objects = 0;
    for (int n = 0; n < heap->space.nodes; n++)
        objects += heap->space.pool[n]->live_objects;
    return objects;
}

/* Option verify. */
static void hg_verify_phase(hearth_heap *heap, bool before, int node)
{
    if (!heap->options.verify)
        return;
    hg_observe_phase(heap, HEARTH_WORK_VERIFY, node);
    hg_verify_report(heap, before);
    hg_observe_phase(heap, HG_PHASE_NONE, node);
}

/* The world stands. */
static void hg_collect_stopped(hearth_heap *heap, bool all_old, int node, hearth_collection *c)
{
    bool full = c->kind == HEARTH_GC_FULL;
    uint64_t begin = heap->pacing.begin_ns = ht_os_now(), objects;
    hg_pacing_before(heap, c->reason);
    uint64_t allocated = hg_flush_mutators(heap, &objects), live_before = hg_live_bytes(heap);
    hg_control_begin(heap, (int)c->generation, objects);
    objects += hg_live_objects(heap);
    hg_guard_check_all(heap);
    hg_verify_phase(heap, true, node);
    hg_observe_phase(heap, HEARTH_WORK_ROOTS, node);
    heap->marks.set_old = heap->options.generational;
    hg_marks_turn(&heap->marks, full, all_old || !heap->options.generational);
    struct hg_worker *worker = hg_trace_begin(heap->trace, full, node, hg_scan_roots);
    hg_scan_all_remembered(heap, full ? NULL : worker);
    hg_scan_roots(heap, worker);
    uint64_t traced = ht_os_now();
    hg_observe_phase(heap, HEARTH_WORK_TRACE, node);
    hg_trace_run(heap->trace);
    hg_observe_phase(heap, HEARTH_WORK_WEAK, node);
    hg_afterlife(heap, full);
    uint64_t reached = hg_trace_reached(heap->trace);
    hg_trace_end(heap->trace, c);
    uint64_t sweep = ht_os_now();
    hg_observe_phase(heap, HEARTH_WORK_SWEEP, node);
    hg_reclaim(heap, full, node);
    hg_observe_phase(heap, HEARTH_WORK_PACE, node);
    c->live_bytes = hg_live_bytes(heap);
    hg_control_end(heap, c, objects, reached, begin);
    hg_pacing_after(heap, c, allocated, heap->trace->survived);
    uint64_t end = ht_os_now();
    hg_observe_phase(heap, HG_PHASE_NONE, node);
    hg_verify_phase(heap, false, node);
    c->roots_ns = traced - begin;
    c->trace_ns = sweep - traced;
    c->sweep_ns = end - sweep;
    c->freed_bytes = live_before + allocated - c->live_bytes;
    c->heap_bytes = ha_space_used_bytes(&heap->space);
}

static uint32_t hg_kind_generation(hearth_gc_kind kind, bool all_old)
{
    return kind == HEARTH_GC_FULL ? 2 : all_old;
}

/* Collect, the world stops and runs again. `must`: also if another thread has just collected; else false if
 * one does. Of *out only what is counted is filled in. */
static bool hg_collect_once(struct hg_mutator *self, hearth_gc_kind kind, bool all_old,
                            hearth_gc_reason reason, bool must, hearth_gc_info *out)
{
    hearth_heap *heap = self->public.heap;
    uint64_t begin = ht_os_now();
    hg_lend_others(self);
    pthread_mutex_lock(&heap->lock);
    if (heap->stop && !must) { /* somebody else collects: that may have made room */
        hg_park(heap, self);
        pthread_mutex_unlock(&heap->lock);
        hg_take_back_others();
        return false;
    }
    while (heap->stop)
        hg_park(heap, self);
    hearth_collection c = {.struct_size = sizeof c,
                           .number = __atomic_add_fetch(&heap->collections, 1, __ATOMIC_RELAXED),
                           .kind = heap->options.generational ? kind : HEARTH_GC_FULL,
                           .reason = reason};
    hg_observe_stop_requested(heap, reason);
    hg_world_stop(heap, self);
    hg_observe_stopped(heap);
    if (__atomic_load_n(&heap->pacing.lost, __ATOMIC_RELAXED) != 0) /* none is lost from now on */
        c.kind = HEARTH_GC_FULL;
    c.generation = hg_kind_generation(c.kind, all_old);
    hg_mutator_note_stack(self);
    c.stop_ns = ht_os_now() - begin;
    ha_space_hold(&heap->space);
    __atomic_store_n(&heap->collecting, true, __ATOMIC_RELAXED);
    int node = heap->space.nodes > 1 ? ht_topology_here(heap->topology) : 0;
    hg_observe_worker_begin(heap, 0, node);
    hg_observe_begin(heap, c.kind);
    hg_collect_stopped(heap, all_old, node, &c);
    ha_space_release(&heap->space);
    ha_space_wake(&heap->space);
    c.pause_ns = ht_os_now() - begin;
    hg_observe_end(heap, &c);
    hg_observe_worker_end(heap, 0, node);
    __atomic_store_n(&heap->collecting, false, __ATOMIC_RELAXED);
    hg_publish(heap, &c);
    hg_log_collection(heap, &c);
    hg_observe_resumed(heap);
    hg_world_resume(heap);
    pthread_mutex_unlock(&heap->lock);
    hg_timeline_write(heap);
    if (heap->page != NULL)
        hg_page_update(heap, true);
    hg_take_back_others();
    self->unreachable = c.unreachable;
    *out = (hearth_gc_info){sizeof *out, (int)c.generation, c.collected, c.uncollectable};
    return true;
}

/* Is another thread collecting? Then its collection is waited for. */
static bool hg_wait_for_other(struct hg_mutator *self)
{
    hearth_heap *heap = self->public.heap;
    hg_lend_others(self);
    pthread_mutex_lock(&heap->lock);
    bool other = heap->stop;
    if (other)
        hg_park(heap, self);
    pthread_mutex_unlock(&heap->lock);
    hg_take_back_others();
    return other;
}

bool hg_collect(struct hg_mutator *self, hearth_gc_kind kind, bool all_old, hearth_gc_reason reason)
{
    hearth_gc_info info = {.struct_size = sizeof info};
    if (!hg_callbacks_due(self))
        return hg_collect_once(self, kind, all_old, reason, false, &info);
    if (hg_wait_for_other(self))
        return false;
    hearth_heap *heap = self->public.heap;
    bool full = kind == HEARTH_GC_FULL || !heap->options.generational ||
                __atomic_load_n(&heap->pacing.lost, __ATOMIC_RELAXED) != 0;
    info.generation = (int)hg_kind_generation(full ? HEARTH_GC_FULL : kind, all_old);
    hg_callbacks_run(self, HEARTH_GC_START, &info);
    hg_collect_once(self, kind, all_old, reason, true, &info);
    uint64_t unreachable = self->unreachable; /* callbacks may collect */
    hg_callbacks_run(self, HEARTH_GC_STOP, &info);
    self->unreachable = unreachable;
    return true;
}

hearth_status hearth_gc_collect_count(hearth_mutator *mutator, int generation, size_t *unreachable)
{
    hearth_status status = hg_mutator_ready(mutator, "hearth_gc_collect");
    if (status != HEARTH_OK)
        return status;
    if (generation < 0 || generation > 2)
        return ht_fail(HEARTH_EINVAL, "hearth_gc_collect: generation %d is not 0, 1 or 2",
                       generation);
    struct hg_mutator *m = hg_mutator_of(mutator);
    while (!hg_collect(m, generation == 2 ? HEARTH_GC_FULL : HEARTH_GC_MINOR, generation == 1,
                       HEARTH_REASON_EXPLICIT))
        ;
    if (unreachable != NULL)
        *unreachable = (size_t)m->unreachable;
    hg_pending_run(m);
    hg_pressure_run(m);
    return hg_health(mutator->heap);
}

hearth_status hearth_gc_collect(hearth_mutator *mutator, int generation)
{
    return hearth_gc_collect_count(mutator, generation, NULL);
}

hearth_status hearth_gc_enable(hearth_heap *heap)
{
    if (heap == NULL)
        return ht_fail(HEARTH_EINVAL, "hearth_gc_enable: heap is NULL");
    __atomic_store_n(&heap->pacing.enabled, true, __ATOMIC_RELAXED);
    hg_threshold_renew(heap); /* allocations were not counted while it was off */
    return HEARTH_OK;
}

hearth_status hearth_gc_disable(hearth_heap *heap)
{
    if (heap == NULL)
        return ht_fail(HEARTH_EINVAL, "hearth_gc_disable: heap is NULL");
    __atomic_store_n(&heap->pacing.enabled, false, __ATOMIC_RELAXED);
    return HEARTH_OK;
}

bool hearth_gc_isenabled(const hearth_heap *heap)
{
    return heap != NULL && __atomic_load_n(&heap->pacing.enabled, __ATOMIC_RELAXED);
}
