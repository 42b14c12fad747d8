/* gc/trace_work.c - handing work between workers and nodes, calling helpers, beginning and ending.
 *
 * Invariant: a reference pushed is on some worker's stack or ring, in an outgoing buffer of a busy
 * worker, or in a posted batch; so no work is left exactly when mail.work is 0. A worker empties its
 * outgoing buffers before it goes idle. If a batch can not be had and the stack is full, references
 * are dropped and `lost` is set: the roots are then pushed again and the heap is searched for marked
 * objects with unmarked children, until a search drops nothing. Each search marks at least half a
 * stack of new objects: what is marked is dropped first, and the older half of the rest is kept. */
#include "gc/trace_work.h"

#include <string.h>

#include "alloc/meta.h"
#include "gc/crew.h"
#include "gc/slots.h"
#include "topology/error.h"
#include "topology/os.h"

/* The node a worker is at home on, as the mailbox has it: one for all unless references are routed. */
static int hg_mailbox(const struct hg_worker *w)
{
    return w->routed ? w->home : 0;
}

/* Post a batch for `node`, in its inbox or its shared list. */
static void hg_post(struct hg_worker *w, int node, struct hg_batch *batch, bool inbox)
{
    hg_observe_posted(w->trace->heap, w->number, batch, node, inbox);
    hg_mail_post(&w->trace->mail, node, batch, inbox);
}

/* Post what is in the buffer; the batch goes in any case. */
static void hg_flush(struct hg_worker *w, int node)
{
    if (w->out[node] == NULL)
        return;
    struct hg_batch *batch = hg_batch_of(w->out[node]);
    batch->count = hg_outgoing(w, node);
    w->out[node] = NULL;
    w->sent += batch->count;
    if (batch->count != 0)
        hg_post(w, node, batch, true);
    else
        hg_batch_give(&w->trace->mail, batch);
}

static void hg_flush_all(struct hg_worker *w)
{
    for (int n = 0; w->routed && n < w->trace->mail.nodes; n++)
        hg_flush(w, n);
}

void hg_send(struct hg_worker *w, uintptr_t entry)
{
    if (entry - w->all_base >= w->all_bytes)
        return;
    int node = hg_node_of(w, entry);
    if (hg_batch_full(w->out[node])) { /* or NULL */
        hg_flush(w, node);
        struct hg_batch *batch = hg_batch_take(&w->trace->mail, hg_mailbox(w));
        if (batch == NULL) { /* no memory: trace it here */
            if (w->top == HG_STACK)
                hg_spill(w);
            w->stack[w->top++] = entry;
            return;
        }
        w->out[node] = batch->entry;
    }
    *w->out[node]++ = entry;
}

/* Move the `count` oldest references to shared batches. */
static bool hg_share(struct hg_worker *w, size_t count)
{
    struct hg_trace *trace = w->trace;
    size_t moved = 0;
    while (moved < count) {
        struct hg_batch *batch = hg_batch_take(&trace->mail, hg_mailbox(w));
        if (batch == NULL)
            break;
        size_t n = count - moved < HG_BATCH ? count - moved : HG_BATCH;
        memcpy(batch->entry, w->stack + moved, n * sizeof *batch->entry);
        batch->count = (uint32_t)n;
        moved += n;
        hg_post(w, w->acting, batch, false);
    }
    w->top -= moved;
    memmove(w->stack, w->stack + moved, w->top * sizeof *w->stack);
    return moved != 0;
}

/* Is there nothing to do for this reference? */
static bool hg_entry_done(const struct hg_worker *w, uintptr_t entry)
{
    if (entry & HG_TAG_SPECIAL)
        return false;
    uint8_t byte = ha_mark_load(ha_meta_of(entry & ~(uintptr_t)HG_TAGS)) & (HG_BYTES - 1);
    return w->trace->next[(entry & HG_TAG_PROMOTE ? HG_BYTES : 0) + byte] == byte;
}

/* Without memory for batches: drop what is marked already; if that is not enough, the newer half. */
static void hg_drop(struct hg_worker *w)
{
    size_t kept = 0;
    for (size_t i = 0; i < w->top; i++)
        if (!hg_entry_done(w, w->stack[i]))
            w->stack[kept++] = w->stack[i];
    if (kept > HG_STACK / 2) {
        kept = HG_STACK / 2;
        __atomic_store_n(&w->trace->lost, true, __ATOMIC_RELAXED);
    }
    w->top = kept;
}

void hg_spill(struct hg_worker *w)
{
    if (!hg_share(w, HG_STACK / 2))
        hg_drop(w);
}

void hg_spill_roots(struct hg_worker *w)
{
    hg_share(w, HG_STACK / 2);
    while (w->top > HG_STACK / 2) {
        w->returns = false;
        hg_trace_drain(w);
    }
}

/* Call all helpers; the worker is worker 0 and alone. What waits for other nodes is sent first. */
static void hg_call_helpers(struct hg_worker *w)
{
    struct hg_crew *crew = w->trace->heap->crew;
    if (crew->size == 0)
        return;
    w->parallel = true; /* before anybody can come */
    hg_crew_call(crew, crew->size);
    for (int i = 1; w->routed && i <= hg_crew_last(crew); i++)
        if (hg_crew_comes(crew, i))
            hg_mail_expect(&w->trace->mail, crew->member[i].node, 1);
    hg_flush_all(w);
}

/* Should a thief stop? If workers of the node it acts for have nothing to do, or what waits at home is worth
 * what it has to hand over here. */
static bool hg_thief_stops(const struct hg_worker *w)
{
    const struct hg_mail *mail = &w->trace->mail;
    if (w->acting == w->home || !w->routed)
        return false;
    return __atomic_load_n(&mail->queue[w->acting]->sleepers, __ATOMIC_RELAXED) != 0 ||
           w->top < (size_t)hg_mail_waiting(mail, w->home) * 2 * HG_BATCH;
}

/* Has worker 0, alone, anything for other nodes? */
static bool hg_has_foreign(const struct hg_worker *w)
{
    bool has = w->routed && (w->acting != w->home || hg_mail_pending(&w->trace->mail) != 0);
    for (int n = 0; w->routed && n < w->trace->mail.nodes && !has; n++)
        has = hg_outgoing(w, n) != 0;
    return has;
}

bool hg_helpers_due(const struct hg_worker *w)
{
    uint64_t after = w->trace->heap->options.help_after;
    if (w->traced >= after)
        return w->top >= w->period / 2 || hg_mail_pending(&w->trace->mail) != 0 ||
               hg_has_foreign(w);
    return w->traced >= HG_FOREIGN && hg_has_foreign(w);
}

/* Ticks from one offer to thieves to the next: the fewer of all workers sleep, the longer. For a few that are
 * done early at the end it is not worth while, and they would only take turns at starving each other. */
static uint32_t hg_foreign_ticks(const struct hg_mail *mail, uint32_t sleepers)
{
    uint32_t workers = 0;
    for (int n = 0; n < mail->nodes; n++)
        workers += __atomic_load_n(&mail->queue[n]->workers, __ATOMIC_RELAXED);
    return HG_FOREIGN_TICKS * workers / sleepers;
}

/* Offer half of the stack, at most a batch, if somebody sleeps and nothing is on offer: at once to workers
 * of the same node, now and then to thieves. */
static void hg_offer(struct hg_worker *w)
{
    const struct hg_mail *mail = &w->trace->mail;
    const struct hg_queue *queue = mail->queue[w->acting];
    uint32_t sleepers = __atomic_load_n(&mail->sleepers, __ATOMIC_RELAXED);
    w->ticks++;
    if (w->top < w->period / 8 || sleepers == 0 ||
        __atomic_load_n(&queue->offered, __ATOMIC_RELAXED) != 0)
        return;
    if (__atomic_load_n(&queue->sleepers, __ATOMIC_RELAXED) == 0) {
        if (w->ticks < hg_foreign_ticks(mail, sleepers))
            return;
        w->ticks = 0;
    }
    hg_share(w, w->top / 2 < HG_BATCH ? w->top / 2 : HG_BATCH);
}

bool hg_trace_tick(struct hg_worker *w, bool parallel)
{
    if (!parallel) {
        if (!hg_helpers_due(w))
            return false;
        hg_call_helpers(w);
        return w->parallel;
    }
    if (hg_thief_stops(w)) {
        w->returns = true;
        return true;
    }
    hg_offer(w);
    return false;
}

void hg_settle(struct hg_worker *w)
{
    uint64_t traced = w->traced - w->last_traced;
    w->last_traced = w->traced;
    if (w->acting == w->home) {
        w->local += traced;
        w->node_local[w->acting] += traced;
    } else {
        w->node_remote[w->acting] += traced;
    }
}

/* What is pushed and what is sent depends on the node it acts for. */
static void hg_aim(struct hg_worker *w)
{
    w->base = w->all_base + (w->routed ? (uintptr_t)w->acting << w->shift : 0);
    w->bytes = w->routed ? (uintptr_t)1 << w->shift : w->all_bytes;
}

void hg_act_for(struct hg_worker *w, int node)
{
    hg_settle(w);
    w->acting = node;
    hg_aim(w);
}

static void hg_unpack(struct hg_worker *w, struct hg_batch *batch)
{
    hg_observe_taken(w->trace->heap, w->number, batch, w->acting, w->acting != hg_mailbox(w));
    memcpy(w->stack, batch->entry, batch->count * sizeof *batch->entry);
    w->top = batch->count;
    hg_batch_give(&w->trace->mail, batch);
}

/* Of the nearest node that has something for thieves. */
static bool hg_take_foreign(struct hg_worker *w, bool impatient)
{
    struct hg_trace *trace = w->trace;
    const struct ht_node *home = &trace->heap->topology->node[w->home];
    if (!w->parallel && hg_helpers_due(w))
        hg_call_helpers(w);
    for (int i = 1; i < trace->mail.nodes; i++) {
        struct hg_batch *batch = hg_mail_steal(&trace->mail, home->order[i], impatient);
        if (batch == NULL)
            continue;
        hg_act_for(w, home->order[i]);
        w->stolen++;
        hg_unpack(w, batch);
        return true;
    }
    return false;
}

/* Take a batch of the home node. */
static bool hg_take_home(struct hg_worker *w)
{
    struct hg_batch *batch = hg_mail_fetch(&w->trace->mail, hg_mailbox(w));
    if (batch == NULL)
        return false;
    hg_act_for(w, hg_mailbox(w));
    hg_unpack(w, batch);
    return true;
}

/* Trace until all work of all workers is done. The worker is busy. Half-filled batches are sent when there is
 * nothing to do at home. */
static void hg_work(struct hg_worker *w)
{
    enum hg_rest rest = HG_REST_WORK;
    while (rest != HG_REST_DONE) {
        hg_trace_drain(w);
        if (w->returns) { /* what it leaves behind is for others; without memory it stays */
            w->returns = false;
            hg_share(w, w->top);
        }
        if (w->top > 0 || hg_take_home(w) || hg_follow(w))
            continue;
        hg_flush_all(w);
        if (!w->routed || !hg_take_foreign(w, rest == HG_REST_IMPATIENT))
            rest = hg_mail_idle(&w->trace->mail, hg_mailbox(w));
    }
}

/* A worker and its stack, in the memory of its home; *at keeps it. */
static struct hg_worker *hg_worker_get(struct hg_trace *trace, struct hg_worker **at, int number,
                                       int home)
{
    struct hg_worker *w = *at;
    struct ha_windows *windows = trace->heap->space.windows;
    if (w == NULL) {
        w = ha_meta_near(windows, home, sizeof *w);
        if (w == NULL)
            return NULL;
        memset(w, 0, sizeof *w);
        w->stack = ha_meta_near(windows, home, HG_STACK * sizeof *w->stack);
        if (w->stack == NULL) {
            ha_meta_back(windows, w, sizeof *w);
            return NULL;
        }
        w->trace = trace;
        w->number = number;
        w->home = home;
        hg_worker_visitor(w);
        *at = w;
    }
    return w;
}

/* Worker 0 is whichever thread collects: there is one for each node that ever collected, and another
 * node's where there is no memory. */
static struct hg_worker *hg_master(struct hg_trace *trace, int node)
{
    struct hg_worker *w = hg_worker_get(trace, &trace->master[node], 0, node);
    for (int n = 0; w == NULL && n < trace->heap->space.nodes; n++)
        w = trace->master[n];
    return w;
}

/* Copy what the loop reads often. */
static void hg_worker_prepare(struct hg_worker *w, int home, bool parallel)
{
    hearth_heap *heap = w->trace->heap;
    const struct ha_windows *windows = heap->space.windows;
    w->all_base = windows->base;
    w->all_bytes = windows->bytes;
    w->shift = windows->shift;
    w->routed = w->trace->mail.nodes > 1;
    w->home = home;
    w->acting = w->routed ? home : 0;
    hg_aim(w);
    w->ticks = 0;
    w->parallel = parallel;
    w->returns = false;
    w->period = heap->options.help_after < HG_TICK ? HG_TICK_EAGER : HG_TICK;
    w->set_old = heap->marks.set_old;
    w->old = heap->marks.old;
    w->gen1 = heap->marks.gen1;
    w->types = heap->types.row;
    w->model = &heap->types.model;
    w->top = 0;
}

/* The counters of a worker that has taken no part in this collection yet. */
static void hg_worker_count(struct hg_worker *w)
{
    w->joined = true;
    w->survived = 0;
    w->traced = w->local = w->sent = w->stolen = w->last_traced = w->again = 0;
    memset(w->node_local, 0, sizeof w->node_local);
    memset(w->node_remote, 0, sizeof w->node_remote);
}

/* A helper's part of the phase. */
static void hg_help(void *data, int number)
{
    struct hg_trace *trace = data;
    int home = hg_crew_node(trace->heap->crew, number);
    struct hg_worker *w = hg_worker_get(trace, &trace->worker[number], number, home);
    int mailbox = trace->mail.nodes > 1 ? home : 0;
    if (w == NULL) /* without a stack: the others do it */
        hg_mail_expect(&trace->mail, mailbox, -1);
    if (w == NULL || !hg_mail_join(&trace->mail, mailbox))
        return;
    hg_worker_prepare(w, home, true);
    if (!w->joined)
        hg_worker_count(w);
    int phase = hg_observe_helper_begin(trace->heap, number, home);
    hg_work(w);
    hg_settle(w);
    hg_observe_helper_end(trace->heap, number, home, phase);
}

hearth_status hg_trace_create(struct hg_trace **out, hearth_heap *heap)
{
    struct hg_trace *trace = ht_os_alloc(sizeof *trace);
    if (trace == NULL)
        return ht_fail(HEARTH_ENOMEM, "no memory for the tracer");
    trace->heap = heap;
    trace->depth = (int)heap->options.prefetch < 1 ? 1 : (int)heap->options.prefetch;
    trace->next = heap->marks.next;
    int mode = heap->options.mode;
    bool local = heap->space.nodes > 1 && (mode == HT_MODE_AUTO || mode == HT_MODE_LOCAL);
    hearth_status status =
        hg_mail_init(&trace->mail, heap->space.windows, local ? heap->space.nodes : 1);
    if (status == HEARTH_OK && hg_master(trace, 0) == NULL)
        status = ht_fail(HEARTH_ENOMEM, "no memory for the mark stack");
    trace->mail.topology = heap->topology;
    if (status != HEARTH_OK) {
        hg_trace_destroy(trace);
        return status;
    }
    *out = trace;
    return HEARTH_OK;
}

static void hg_worker_free(struct ha_windows *windows, struct hg_worker *w)
{
    if (w == NULL)
        return;
    ha_meta_back(windows, w->stack, HG_STACK * sizeof *w->stack);
    ha_meta_back(windows, w, sizeof *w);
}

void hg_trace_destroy(struct hg_trace *trace)
{
    if (trace == NULL)
        return;
    struct ha_windows *windows = trace->heap->space.windows;
    for (int i = 1; i < HG_WORKERS_MAX; i++)
        hg_worker_free(windows, trace->worker[i]);
    for (int n = 0; n < HT_MAX_NODES; n++)
        hg_worker_free(windows, trace->master[n]);
    hg_mail_destroy(&trace->mail);
    ht_os_free(trace);
}

struct hg_worker *hg_trace_begin(struct hg_trace *trace, bool full, int node, hg_roots_fn *roots)
{
    trace->full = full;
    trace->survived = 0;
    trace->lost = false;
    trace->watch = false;
    trace->roots = roots;
    for (int i = 1; i < HG_WORKERS_MAX; i++)
        if (trace->worker[i] != NULL)
            trace->worker[i]->joined = false;
    struct hg_worker *w = hg_master(trace, node);
    trace->worker[0] = w;
    hg_worker_prepare(w, node, false);
    hg_worker_count(w);
    hg_mail_begin(&trace->mail, hg_mailbox(w));
    hg_crew_spare(trace->heap->crew, node);
    hg_crew_open(trace->heap->crew, hg_help, trace);
    return w;
}

struct hg_worker *hg_trace_more(struct hg_trace *trace)
{
    struct hg_worker *w = trace->worker[0];
    hg_settle(w);
    hg_worker_prepare(w, w->home, false);
    hg_mail_again(&trace->mail, hg_mailbox(w));
    hg_crew_open(trace->heap->crew, hg_help, trace);
    return w;
}

uint64_t hg_trace_reached(const struct hg_trace *trace)
{
    uint64_t reached = trace->worker[0]->traced - trace->worker[0]->again;
    for (int i = 1; i < HG_WORKERS_MAX; i++)
        if (trace->worker[i] != NULL && trace->worker[i]->joined)
            reached += trace->worker[i]->traced - trace->worker[i]->again;
    return reached;
}

static void hg_sum(struct hg_trace *trace, struct hg_worker *w, hearth_collection *collection)
{
    struct hg_stats *stats = &trace->heap->stats;
    hg_settle(w);
    collection->objects_traced += w->traced;
    collection->local += w->local;
    collection->sent += w->sent;
    collection->stolen += w->stolen;
    collection->workers++;
    trace->survived += w->survived;
    pthread_mutex_lock(&stats->lock);
    for (int n = 0; n < trace->mail.nodes; n++) {
        stats->node_local[n] += w->node_local[n];
        stats->node_remote[n] += w->node_remote[n];
    }
    pthread_mutex_unlock(&stats->lock);
}

/* References were dropped: visit the slots of every marked object again, worker 0 alone. A flag that is
 * left belongs to an entry of a remembered set that was dropped: nobody lists the object any more. */
static void hg_rescan_object(void *data, uintptr_t object, uint8_t mark)
{
    struct hg_worker *w = data;
    const struct hg_marks *marks = &w->trace->heap->marks;
    if (!hg_mark_is_live(marks, mark) || ha_block_of(object)->kind == HA_LEAF)
        return;
    uint64_t header = __atomic_load_n(hearth_header_of((void *)object), __ATOMIC_RELAXED);
    if (header & (HEARTH_OBJECT_REMEMBERED | HEARTH_OBJECT_DIRTY))
        hg_trace_remembered(w, object);
    hg_trace_again(w, object, hg_mark_is_old(marks, mark) ? HG_TAG_PROMOTE : 0);
    if (w->top > HG_STACK / 2) {
        hg_work(w);
        hg_mail_again(&w->trace->mail, hg_mailbox(w));
    }
}

static void hg_rescan(struct hg_trace *trace)
{
    struct hg_worker *w = trace->worker[0];
    hg_settle(w);
    w->parallel = true; /* no helpers are called again */
    while (trace->lost) {
        trace->lost = false;
        hg_mail_again(&trace->mail, hg_mailbox(w));
        trace->roots(trace->heap, w);
        hg_walk_marked(trace->heap, hg_rescan_object, w);
        hg_work(w);
    }
}

void hg_trace_run(struct hg_trace *trace)
{
    struct hg_worker *w = trace->worker[0];
    if (trace->heap->options.help_after == 0 && !w->parallel)
        hg_call_helpers(w);
    hg_work(w);
    hg_crew_close(trace->heap->crew);
    hg_rescan(trace);
}

void hg_trace_end(struct hg_trace *trace, hearth_collection *collection)
{
    hg_sum(trace, trace->worker[0], collection);
    for (int i = 1; i < HG_WORKERS_MAX; i++)
        if (trace->worker[i] != NULL && trace->worker[i]->joined)
            hg_sum(trace, trace->worker[i], collection);
    struct hg_stats *stats = &trace->heap->stats;
    pthread_mutex_lock(&stats->lock);
    for (int n = 0; n < trace->mail.nodes; n++)
        stats->node_received[n] += trace->mail.queue[n]->received;
    pthread_mutex_unlock(&stats->lock);
}
