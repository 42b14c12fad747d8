/* gc/timeline.c - recording what the timeline shows, and when it is written. See timeline.h. */
#define _GNU_SOURCE
#include "gc/timeline.h"

#include <errno.h>
#include <string.h>

#include "gc/heap.h"
#include "gc/outfile.h"
#include "gc/writer.h"
#include "topology/error.h"
#include "topology/os.h"

/* --- records ------------------------------------------------------------------------------------------ */

/* A worker's track: of helpers one, of worker 0 one on every node it ran on. Mutators' are numbered from 1. */
static int32_t hg_track_of(int worker, int node)
{
    return 100000 + node * 1000 + worker;
}

/* A record at the end of a list; NULL: no memory. */
static struct hg_event *hg_event_add(struct hg_timeline *t, int list, enum hg_event_kind kind)
{
    struct hg_event_list *l = &t->list[list];
    if (l->chunk == NULL || l->chunk->count == HG_EVENTS) {
        struct hg_events *chunk = ht_os_alloc(sizeof *chunk);
        if (chunk == NULL) {
            __atomic_fetch_add(&t->lost, 1, __ATOMIC_RELAXED);
            return NULL;
        }
        chunk->next = l->chunk;
        l->chunk = chunk;
    }
    struct hg_event *event = &l->chunk->event[l->chunk->count++];
    event->kind = (uint8_t)kind;
    return event;
}

static void hg_event_put(struct hg_timeline *t, int list, struct hg_event event)
{
    struct hg_event *at = hg_event_add(t, list, (enum hg_event_kind)event.kind);
    if (at != NULL)
        *at = event;
}

static void hg_slice(struct hg_timeline *t, int list, uint8_t name, int32_t track, int node,
                     uint64_t begin, uint64_t end)
{
    hg_event_put(t, list,
                 (struct hg_event){.ns = begin,
                                   .length = end - begin,
                                   .track = track,
                                   .node = (int16_t)node,
                                   .kind = HG_EVENT_SLICE,
                                   .name = name});
}

static void hg_counter(struct hg_timeline *t, uint8_t name, int node, uint64_t ns, uint64_t value)
{
    hg_event_put(
        t, 0,
        (struct hg_event){
            .ns = ns, .a = value, .node = (int16_t)node, .kind = HG_EVENT_COUNTER, .name = name});
}

/* --- what is told ------------------------------------------------------------------------------------- */

static void hg_line_requested(void *data, hearth_heap *heap, hearth_gc_reason reason)
{
    struct hg_timeline *t = data;
    (void)heap;
    t->requested = ht_os_now();
    t->reason = reason;
}

static void hg_line_stopped(void *data, hearth_heap *heap)
{
    struct hg_timeline *t = data;
    (void)heap;
    t->stopped = ht_os_now();
}

static void hg_line_begin(void *data, hearth_heap *heap, hearth_gc_kind kind)
{
    struct hg_timeline *t = data;
    (void)heap;
    t->kind = kind;
    t->collection = ht_os_now();
}

/* Of the heap, and of every node. */
static void hg_line_counters(struct hg_timeline *t, hearth_heap *heap, const hearth_collection *c,
                             uint64_t now)
{
    uint64_t allocated = c->freed_bytes + c->live_bytes - t->last_live;
    hg_counter(t, HG_COUNTER_LIVE, -1, now, c->live_bytes);
    hg_counter(t, HG_COUNTER_USED, -1, now, c->heap_bytes);
    hg_counter(t, HG_COUNTER_BUDGET, -1, now, (uint64_t)heap->space.budget << HA_BLOCK_SHIFT);
    hg_counter(t, HG_COUNTER_NURSERY, -1, now, heap->pacing.nursery);
    if (now > t->last_ns)
        hg_counter(t, HG_COUNTER_RATE, -1, now,
                   (uint64_t)((double)allocated * 1e9 / (double)(now - t->last_ns)));
    for (int n = 0; n < heap->space.nodes; n++) {
        hg_counter(t, HG_COUNTER_LIVE, n, now, heap->space.pool[n]->live_bytes);
        hg_counter(t, HG_COUNTER_USED, n, now,
                   (uint64_t)heap->space.pool[n]->used << HA_BLOCK_SHIFT);
    }
    t->last_ns = now;
    t->last_live = c->live_bytes;
}

static void hg_line_end(void *data, hearth_heap *heap, const hearth_collection *c)
{
    struct hg_timeline *t = data;
    uint64_t now = ht_os_now();
    hg_event_put(
        t, 0,
        (struct hg_event){.ns = t->collection,
                          .length = now - t->collection,
                          .a = c->number,
                          .b = c->reason,
                          .track = hg_track_of(0, t->master),
                          .node = (int16_t)t->master,
                          .kind = HG_EVENT_SLICE,
                          .name = c->kind == HEARTH_GC_FULL ? HG_SLICE_FULL : HG_SLICE_MINOR});
    hg_line_counters(t, heap, c, now);
}

/* The track of a worker that is seen for the first time. */
static void hg_line_worker(void *data, hearth_heap *heap, int worker, int node)
{
    struct hg_timeline *t = data;
    (void)heap;
    bool named = worker == 0 ? t->named >> node & 1 : t->list[worker].named;
    if (worker == 0)
        t->master = node;
    if (named)
        return;
    struct hg_event *event = hg_event_add(t, worker, HG_EVENT_WORKER);
    if (event == NULL)
        return;
    event->a = (uint64_t)worker;
    event->track = hg_track_of(worker, node);
    event->node = (int16_t)node;
    if (worker == 0)
        t->named |= (uint64_t)1 << node;
    else
        t->list[worker].named = true;
}

static void hg_line_phase_begin(void *data, hearth_heap *heap, hearth_work phase, int worker,
                                int node)
{
    struct hg_timeline *t = data;
    (void)heap;
    (void)phase;
    (void)node;
    t->list[worker].begin = ht_os_now();
}

static void hg_line_phase_end(void *data, hearth_heap *heap, hearth_work phase, int worker,
                              int node)
{
    struct hg_timeline *t = data;
    (void)heap;
    hg_slice(t, worker, (uint8_t)phase, hg_track_of(worker, node), node, t->list[worker].begin,
             ht_os_now());
}

/* The worker's node: of worker 0 where it collects, of helpers what they are bound to. */
static void hg_line_batch(struct hg_timeline *t, int worker, const hearth_gc_batch *batch,
                          enum hg_event_kind kind)
{
    int node = worker == 0 ? t->master : worker % t->heap->topology->nodes;
    hg_event_put(t, worker,
                 (struct hg_event){.ns = ht_os_now(),
                                   .a = batch->number,
                                   .b = batch->references,
                                   .track = hg_track_of(worker, node),
                                   .node = (int16_t)node,
                                   .kind = (uint8_t)kind});
}

static void hg_line_posted(void *data, hearth_heap *heap, int worker, const hearth_gc_batch *batch)
{
    (void)heap;
    hg_line_batch(data, worker, batch, HG_EVENT_POSTED);
}

static void hg_line_taken(void *data, hearth_heap *heap, int worker, const hearth_gc_batch *batch)
{
    (void)heap;
    hg_line_batch(data, worker, batch, HG_EVENT_TAKEN);
}

static void hg_line_attached(void *data, hearth_heap *heap, hearth_mutator *mutator, int node)
{
    struct hg_timeline *t = data;
    struct hg_mutator *m = hg_mutator_of(mutator);
    (void)heap;
    m->track = (int32_t)++t->tracks;
    hg_event_put(t, 0,
                 (struct hg_event){.a = (uint64_t)ht_os_thread_number(),
                                   .track = m->track,
                                   .node = (int16_t)node,
                                   .kind = HG_EVENT_MUTATOR});
}

static void hg_line_mutator_stopped(void *data, hearth_heap *heap, hearth_mutator *mutator,
                                    int node)
{
    (void)data;
    (void)heap;
    (void)node;
    hg_mutator_of(mutator)->stopped_ns = ht_os_now();
}

static void hg_line_mutator_resumed(void *data, hearth_heap *heap, hearth_mutator *mutator,
                                    int node)
{
    struct hg_mutator *m = hg_mutator_of(mutator);
    (void)heap;
    hg_slice(data, 0, HG_SLICE_STOPPED, m->track, node, m->stopped_ns, ht_os_now());
}

static void hg_line_spilled(void *data, hearth_heap *heap, int wished, int given, uint64_t bytes)
{
    hearth_mutator *mutator = hearth_current(heap);
    if (mutator == NULL)
        return;
    struct hg_mutator *m = hg_mutator_of(mutator);
    hg_event_put(data, 0,
                 (struct hg_event){.ns = ht_os_now(),
                                   .a = (uint64_t)wished << 32 | (uint64_t)given,
                                   .b = bytes,
                                   .track = m->track,
                                   .node = (int16_t)m->home,
                                   .kind = HG_EVENT_SPILLED});
}

/* --- putting aside and writing ------------------------------------------------------------------------ */

/* Put one chunk where the writer finds it; heap->lock is held. */
static void hg_aside(struct hg_timeline *t, struct hg_events *chunk)
{
    chunk->next = __atomic_load_n(&t->full, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(&t->full, &chunk->next, chunk, true, __ATOMIC_RELEASE,
                                        __ATOMIC_RELAXED))
        ;
}

/* heap->lock is held, no helper is in a phase. */
static void hg_harvest(struct hg_timeline *t)
{
    for (int i = 0; i < HG_LISTS; i++)
        for (struct hg_events *chunk = t->list[i].chunk, *next; chunk != NULL; chunk = next) {
            next = chunk->next;
            t->list[i].chunk = NULL;
            hg_aside(t, chunk);
        }
}

/* The world runs again in a moment. */
static void hg_line_resumed(void *data, hearth_heap *heap)
{
    struct hg_timeline *t = data;
    hearth_mutator *mutator = hearth_current(heap);
    if (mutator != NULL) {
        const struct hg_mutator *m = hg_mutator_of(mutator);
        hg_slice(t, 0, HG_SLICE_STOPPING, m->track, m->home, t->requested, t->stopped);
        hg_slice(t, 0, HG_SLICE_COLLECTS, m->track, m->home, t->requested, ht_os_now());
    }
    hg_harvest(t);
}

static bool hg_line_bytes(void *data, const char *text, size_t length)
{
    struct hg_timeline *t = data;
    if (ht_os_write(t->file, text, length))
        return true;
    t->error = errno;
    t->failed = true;
    return false;
}

/* Oldest chunks first; `lock` is held. */
static void hg_write_full(struct hg_timeline *t, struct hg_writer *writer)
{
    struct hg_events *chunk = __atomic_exchange_n(&t->full, NULL, __ATOMIC_ACQUIRE);
    struct hg_events *oldest = NULL, *next;
    for (; chunk != NULL; chunk = next) {
        next = chunk->next;
        chunk->next = oldest;
        oldest = chunk;
    }
    for (; oldest != NULL; oldest = next) {
        next = oldest->next;
        if (!t->failed)
            hg_timeline_text(writer, oldest);
        ht_os_free(oldest);
    }
}

void hg_timeline_write(hearth_heap *heap)
{
    struct hg_timeline *t = heap->timeline;
    struct hg_writer writer;
    if (t == NULL || __atomic_load_n(&t->full, __ATOMIC_RELAXED) == NULL)
        return;
    if (pthread_mutex_trylock(&t->lock) != 0) /* somebody writes: the next one finds it */
        return;
    hg_writer_init(&writer, hg_line_bytes, t);
    hg_write_full(t, &writer);
    hg_writer_flush(&writer);
    pthread_mutex_unlock(&t->lock);
}

hearth_status hearth_trace_flush(hearth_heap *heap)
{
    if (heap == NULL)
        return ht_fail(HEARTH_EINVAL, "hearth_trace_flush: heap is NULL");
    struct hg_timeline *t = heap->timeline;
    if (t == NULL || hg_in_callback(heap))
        return ht_fail(HEARTH_ESTATE, "hearth_trace_flush: heap %p %s", (void *)heap,
                       t == NULL ? "writes no trace" : "is being collected by this thread");
    pthread_mutex_lock(&heap->lock);
    if (heap->observers.phase == HG_PHASE_NONE)
        hg_harvest(t);
    pthread_mutex_unlock(&heap->lock);
    pthread_mutex_lock(&t->lock);
    struct hg_writer writer;
    hg_writer_init(&writer, hg_line_bytes, t);
    hg_write_full(t, &writer);
    hg_writer_flush(&writer);
    bool failed = t->failed;
    int error = t->error;
    pthread_mutex_unlock(&t->lock);
    if (failed)
        return ht_fail(HEARTH_ESYSTEM, "trace=%s: %s", t->path, strerror(error));
    return HEARTH_OK;
}

/* --- opening and closing ------------------------------------------------------------------------------ */

static void hg_timeline_listen(struct hg_timeline *t)
{
    t->heap->observers.each[HG_OBSERVER_TIMELINE] =
        (hearth_observer){.struct_size = sizeof(hearth_observer),
                          .data = t,
                          .collection_begin = hg_line_begin,
                          .collection_end = hg_line_end,
                          .worker_begin = hg_line_worker,
                          .phase_begin = hg_line_phase_begin,
                          .phase_end = hg_line_phase_end,
                          .batch_posted = hg_line_posted,
                          .batch_taken = hg_line_taken,
                          .stop_requested = hg_line_requested,
                          .stopped = hg_line_stopped,
                          .resumed = hg_line_resumed,
                          .mutator_attached = hg_line_attached,
                          .mutator_stopped = hg_line_mutator_stopped,
                          .mutator_resumed = hg_line_mutator_resumed,
                          .spilled = hg_line_spilled};
}

hearth_status hg_timeline_open(hearth_heap *heap, unsigned number)
{
    if (!hg_file_wanted(heap->options.trace))
        return HEARTH_OK;
    struct hg_timeline *t = ht_os_alloc(sizeof *t);
    if (t == NULL)
        return ht_fail(HEARTH_ENOMEM, "no memory for the timeline");
    t->heap = heap;
    hearth_status status = hg_file_name(t->path, "trace", heap->options.trace, number);
    if (status == HEARTH_OK && (t->file = ht_os_create(t->path)) < 0)
        status = ht_fail(HEARTH_ESYSTEM, "trace=%s: %s", t->path, strerror(errno));
    if (status != HEARTH_OK) {
        ht_os_free(t);
        return status;
    }
    pthread_mutex_init(&t->lock, NULL);
    struct hg_writer writer;
    hg_writer_init(&writer, hg_line_bytes, t);
    hg_timeline_begin_text(&writer, t);
    hg_writer_flush(&writer);
    t->last_ns = ht_os_now();
    heap->timeline = t;
    hg_timeline_listen(t);
    if (t->failed) {
        status = ht_fail(HEARTH_ESYSTEM, "trace=%s: %s", t->path, strerror(t->error));
        hg_timeline_close(heap);
    }
    return status;
}

/* Nobody uses it any more. */
static void hg_timeline_free(hearth_heap *heap)
{
    struct hg_timeline *t = heap->timeline;
    memset(&heap->observers.each[HG_OBSERVER_TIMELINE], 0, sizeof(hearth_observer));
    heap->timeline = NULL;
    ht_os_close(t->file);
    pthread_mutex_destroy(&t->lock);
    ht_os_free(t);
}

void hg_timeline_close(hearth_heap *heap)
{
    struct hg_timeline *t = heap->timeline;
    struct hg_writer writer;
    if (t == NULL)
        return;
    hg_harvest(t);
    hg_writer_init(&writer, hg_line_bytes, t);
    hg_write_full(t, &writer);
    hg_timeline_end_text(&writer, t);
    hg_writer_flush(&writer);
    hg_timeline_free(heap);
}

void hg_timeline_forked(hearth_heap *heap)
{
    struct hg_timeline *t = heap->timeline;
    struct hg_writer nowhere;
    if (t == NULL)
        return;
    hg_harvest(t);
    t->failed = true;
    hg_writer_init(&nowhere, hg_line_bytes, t);
    hg_write_full(t, &nowhere);
    hg_timeline_free(heap);
}
