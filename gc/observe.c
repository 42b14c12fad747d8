/* gc/observe.c - telling observers and probes what the collector does; the heap's address range. See observe.h. */
#include "gc/observe.h"

#include <string.h>

#include "gc/heap.h"
#include "gc/mailbox.h"
#include "gc/probe.h"
#include "topology/error.h"

/* Call a function of every observer that has it. */
#define HG_TELL(heap, call, ...)                                                                   \
    do {                                                                                           \
        for (int i_ = 0; i_ < HG_OBSERVERS; i_++) {                                                \
            const hearth_observer *observer_ = &(heap)->observers.each[i_];                        \
            if (observer_->call != NULL)                                                           \
                observer_->call(observer_->data, heap, ##__VA_ARGS__);                             \
        }                                                                                          \
    } while (0)

static const char *const hg_phase_name[] = {"verify", "roots", "trace", "weak", "sweep", "pace"};

const char *hearth_work_name(hearth_work phase)
{
    return (unsigned)phase < sizeof hg_phase_name / sizeof *hg_phase_name ? hg_phase_name[phase]
                                                                          : "unknown";
}

hearth_status hearth_observe(hearth_heap *heap, const hearth_observer *observer)
{
    static const hearth_observer none;
    if (heap == NULL)
        return ht_fail(HEARTH_EINVAL, "hearth_observe: heap is NULL");
    if (observer != NULL && observer->struct_size != sizeof *observer)
        return ht_fail(HEARTH_EINVAL, "hearth_observer.struct_size is %zu, not %zu",
                       observer->struct_size, sizeof *observer);
    if (hg_in_callback(heap))
        return ht_fail(HEARTH_ESTATE, "hearth_observe: called from a callback of heap %p",
                       (void *)heap);
    pthread_mutex_lock(&heap->lock);
    hearth_observer *mine = &heap->observers.each[HG_OBSERVER_EMBEDDER];
    hearth_observer next = observer != NULL ? *observer : none;
    size_t size = next.struct_size; /* read without the lock: hg_observe_spilled */
    next.struct_size = mine->struct_size;
    *mine = next;
    __atomic_store_n(&mine->struct_size, size, __ATOMIC_RELAXED);
    heap->observers.serial++;
    pthread_mutex_unlock(&heap->lock);
    return HEARTH_OK;
}

void hg_observers_init(hearth_heap *heap)
{
    heap->observers.phase = HG_PHASE_NONE;
    heap->observers.nursery = heap->pacing.nursery;
    heap->observers.budget = (uint64_t)heap->space.budget << HA_BLOCK_SHIFT;
}

/* --- stops and collections ---------------------------------------------------------------------------- */

void hg_observe_stop_requested(hearth_heap *heap, hearth_gc_reason reason)
{
    HG_PROBE2(stop__requested, heap, reason);
    HG_TELL(heap, stop_requested, reason);
}

void hg_observe_stopped(hearth_heap *heap)
{
    HG_PROBE1(stopped, heap);
    HG_TELL(heap, stopped);
}

void hg_observe_resumed(hearth_heap *heap)
{
    HG_PROBE1(resumed, heap);
    HG_TELL(heap, resumed);
}

void hg_observe_begin(hearth_heap *heap, hearth_gc_kind kind)
{
    HG_PROBE2(collection__begin, heap, kind);
    HG_TELL(heap, collection_begin, kind);
}

void hg_observe_end(hearth_heap *heap, const hearth_collection *collection)
{
    HG_PROBE6(collection__end, heap, collection->kind, collection->number, collection->pause_ns,
              collection->live_bytes, collection->freed_bytes);
    HG_TELL(heap, collection_end, collection);
}

/* --- workers and phases ------------------------------------------------------------------------------- */

void hg_observe_worker_begin(hearth_heap *heap, int worker, int node)
{
    HG_PROBE3(worker__begin, heap, worker, node);
    HG_TELL(heap, worker_begin, worker, node);
}

void hg_observe_worker_end(hearth_heap *heap, int worker, int node)
{
    HG_PROBE3(worker__end, heap, worker, node);
    HG_TELL(heap, worker_end, worker, node);
}

static void hg_phase_begin(hearth_heap *heap, int phase, int worker, int node)
{
    HG_PROBE5(phase__begin, heap, phase, worker, node, hg_phase_name[phase]);
    HG_TELL(heap, phase_begin, (hearth_work)phase, worker, node);
}

static void hg_phase_end(hearth_heap *heap, int phase, int worker, int node)
{
    HG_PROBE5(phase__end, heap, phase, worker, node, hg_phase_name[phase]);
    HG_TELL(heap, phase_end, (hearth_work)phase, worker, node);
}

void hg_observe_phase(hearth_heap *heap, int phase, int node)
{
    int before = heap->observers.phase;
    if (before != HG_PHASE_NONE)
        hg_phase_end(heap, before, 0, node);
    __atomic_store_n(&heap->observers.phase, phase, __ATOMIC_RELAXED);
    if (phase != HG_PHASE_NONE)
        hg_phase_begin(heap, phase, 0, node);
}

/* Where there are so many roots that helpers are called while they are scanned, helpers trace. */
int hg_observe_helper_begin(hearth_heap *heap, int worker, int node)
{
    int phase = __atomic_load_n(&heap->observers.phase, __ATOMIC_RELAXED);
    if (phase == HEARTH_WORK_ROOTS)
        phase = HEARTH_WORK_TRACE;
    hg_observe_worker_begin(heap, worker, node);
    if (phase != HG_PHASE_NONE) /* tests trace without a collection */
        hg_phase_begin(heap, phase, worker, node);
    return phase;
}

void hg_observe_helper_end(hearth_heap *heap, int worker, int node, int phase)
{
    if (phase != HG_PHASE_NONE)
        hg_phase_end(heap, phase, worker, node);
    hg_observe_worker_end(heap, worker, node);
}

/* --- batches ------------------------------------------------------------------------------------------ */

static bool hg_batches_heard(const hearth_heap *heap)
{
    bool heard = false;
    for (int i = 0; i < HG_OBSERVERS; i++)
        heard |= heap->observers.each[i].batch_posted != NULL ||
                 heap->observers.each[i].batch_taken != NULL;
    return heard;
}

/* The batch remembers its number and whether it was sent: 2 * number + sent, 0 if nobody listened. */
static hearth_gc_batch hg_batch_told(const struct hg_batch *batch, int to, bool stolen)
{
    return (hearth_gc_batch){.struct_size = sizeof(hearth_gc_batch),
                             .number = batch->number / 2,
                             .from = batch->node,
                             .to = to,
                             .references = batch->count,
                             .sent = batch->number & 1,
                             .stolen = stolen};
}

void hg_observe_posted(hearth_heap *heap, int worker, struct hg_batch *batch, int to, bool sent)
{
    HG_PROBE6(batch__posted, heap, worker, batch->node, to, batch->count, sent);
    batch->number = 0;
    if (!hg_batches_heard(heap))
        return;
    uint64_t number = __atomic_add_fetch(&heap->observers.batches, 1, __ATOMIC_RELAXED);
    batch->number = number * 2 + sent;
    hearth_gc_batch told = hg_batch_told(batch, to, false);
    HG_TELL(heap, batch_posted, worker, &told);
}

void hg_observe_taken(hearth_heap *heap, int worker, const struct hg_batch *batch, int to,
                      bool stolen)
{
    HG_PROBE6(batch__taken, heap, worker, batch->node, to, batch->count, stolen);
    if (!hg_batches_heard(heap))
        return;
    hearth_gc_batch told = hg_batch_told(batch, to, stolen);
    HG_TELL(heap, batch_taken, worker, &told);
}

/* --- mutators and memory ------------------------------------------------------------------------------ */

void hg_observe_mutator_attached(hearth_heap *heap, struct hg_mutator *mutator)
{
    HG_PROBE3(mutator__attached, heap, mutator, mutator->home);
    HG_TELL(heap, mutator_attached, &mutator->public, mutator->home);
}

void hg_observe_mutator_detached(hearth_heap *heap, struct hg_mutator *mutator)
{
    HG_PROBE3(mutator__detached, heap, mutator, mutator->home);
    HG_TELL(heap, mutator_detached, &mutator->public, mutator->home);
}

uint64_t hg_observe_mutator_stopped(hearth_heap *heap, struct hg_mutator *mutator)
{
    HG_PROBE3(mutator__stopped, heap, mutator, mutator->home);
    HG_TELL(heap, mutator_stopped, &mutator->public, mutator->home);
    return heap->observers.serial;
}

/* While it stood the embedder's observer may have changed: the new one has not been told the begin. */
void hg_observe_mutator_resumed(hearth_heap *heap, struct hg_mutator *mutator, uint64_t serial)
{
    HG_PROBE3(mutator__resumed, heap, mutator, mutator->home);
    for (int i = 0; i < HG_OBSERVERS; i++) {
        const hearth_observer *observer = &heap->observers.each[i];
        if (observer->mutator_resumed != NULL &&
            (i != HG_OBSERVER_EMBEDDER || serial == heap->observers.serial))
            observer->mutator_resumed(observer->data, heap, &mutator->public, mutator->home);
    }
}

void hg_observe_paced(hearth_heap *heap)
{
    struct hg_observers *o = &heap->observers;
    uint64_t nursery = heap->pacing.nursery, nursery_before = o->nursery;
    uint64_t budget = (uint64_t)heap->space.budget << HA_BLOCK_SHIFT, budget_before = o->budget;
    o->nursery = nursery;
    o->budget = budget;
    if (nursery != nursery_before) {
        HG_PROBE3(nursery__changed, heap, nursery_before, nursery);
        HG_TELL(heap, nursery_changed, nursery_before, nursery);
    }
    if (budget != budget_before) {
        HG_PROBE3(budget__changed, heap, budget_before, budget);
        HG_TELL(heap, budget_changed, budget_before, budget);
    }
}

/* The mutator runs, so the observer could change: only under the lock it cannot. Whether there is one may be
 * seen late. */
void hg_observe_spilled(hearth_heap *heap, int wished, int given, size_t bytes)
{
    HG_PROBE4(spilled, heap, wished, given, bytes);
    bool heard = false;
    for (int i = 0; i < HG_OBSERVERS; i++)
        heard |= __atomic_load_n(&heap->observers.each[i].struct_size, __ATOMIC_RELAXED) != 0;
    if (!heard)
        return;
    pthread_mutex_lock(&heap->lock);
    HG_TELL(heap, spilled, wished, given, bytes);
    pthread_mutex_unlock(&heap->lock);
}

/* --- the range ---------------------------------------------------------------------------------------- */

hearth_status hearth_heap_range(const hearth_heap *heap, const void **low, const void **high)
{
    if (heap == NULL || low == NULL || high == NULL)
        return ht_fail(HEARTH_EINVAL, "hearth_heap_range: %s is NULL",
                       heap == NULL  ? "heap"
                       : low == NULL ? "low"
                                     : "high");
    *low = (const void *)heap->space.windows->base;
    *high = (const void *)(heap->space.windows->base + heap->space.windows->bytes);
    return HEARTH_OK;
}
