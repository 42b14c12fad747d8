/* gc/safepoint.c - stopping the world and letting it run again; native sections; threads of several heaps.
 *
 * Invariant: while `stop` is set and the collector has the lock, no mutator is RUNNING but the collecting
 * one. A mutator that comes to stand does so under heap->lock; entering and leaving a native
 * section is lock-free unless a collection is on (Dekker: it stores its state and reads `stop`,
 * the collector stores `stop` and reads the states). A thread that may wait in one heap stands in all
 * its others meanwhile (hg_lend), or two threads could wait for each other. Lock order: heap->lock first
 * of all; one heap's at a time. */
#define _GNU_SOURCE
#include "gc/heap.h"

#include "topology/error.h"

static uint32_t hg_state_of(const struct hg_mutator *m)
{
    return __atomic_load_n(&m->state, __ATOMIC_SEQ_CST);
}

static void hg_set_state(struct hg_mutator *m, enum hg_state state)
{
    __atomic_store_n(&m->state, (uint32_t)state, __ATOMIC_SEQ_CST);
}

static bool hg_stopping(const hearth_heap *heap)
{
    return __atomic_load_n(&heap->stop, __ATOMIC_SEQ_CST) != 0;
}

/* heap->lock is held; what the mutator's roots are has been noted. */
static void hg_stay_parked(hearth_heap *heap, struct hg_mutator *m)
{
    hg_set_state(m, HG_PARKED);
    pthread_cond_signal(&heap->stopped);
    uint64_t serial = hg_observe_mutator_stopped(heap, m);
    while (hg_stopping(heap))
        hg_wait(&heap->resumed, &heap->lock);
    hg_observe_mutator_resumed(heap, m, serial);
    hg_set_state(m, HG_RUNNING);
}

void hg_park(hearth_heap *heap, struct hg_mutator *m)
{
    hg_mutator_note_stack(m);
    hg_stay_parked(heap, m);
}

static bool hg_all_stand(hearth_heap *heap, struct hg_mutator *self)
{
    for (struct hg_mutator *m = heap->mutators; m != NULL; m = m->next)
        if (m != self && hg_state_of(m) == HG_RUNNING)
            return false;
    return true;
}

void hg_world_stop(hearth_heap *heap, struct hg_mutator *self)
{
    __atomic_store_n(&heap->stop, 1, __ATOMIC_SEQ_CST);
    for (struct hg_mutator *m = heap->mutators; m != NULL; m = m->next)
        __atomic_store_n(&m->public.poll, 1, __ATOMIC_RELAXED);
    while (!hg_all_stand(heap, self))
        hg_wait(&heap->stopped, &heap->lock);
}

void hg_world_resume(hearth_heap *heap)
{
    for (struct hg_mutator *m = heap->mutators; m != NULL; m = m->next)
        __atomic_store_n(&m->public.poll, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&heap->stop, 0, __ATOMIC_SEQ_CST);
    pthread_cond_broadcast(&heap->resumed);
}

static void hg_stand(struct hg_mutator *m)
{
    hearth_heap *heap = m->public.heap;
    hg_mutator_note_stack(m);
    hg_set_state(m, HG_NATIVE);
    if (hg_stopping(heap)) {
        pthread_mutex_lock(&heap->lock);
        pthread_cond_signal(&heap->stopped);
        pthread_mutex_unlock(&heap->lock);
    }
}

void hg_lend(struct hg_mutator *mine, const struct hg_mutator *self)
{
    for (struct hg_mutator *m = mine; m != NULL; m = m->thread_next)
        if (m != self && hg_state_of(m) == HG_RUNNING) {
            m->lent = true;
            hg_stand(m);
        }
}

/* The first of the thread's lent mutators whose heap is stopped, as far as others run again. */
static struct hg_mutator *hg_take_back_some(struct hg_mutator *mine)
{
    for (struct hg_mutator *m = mine; m != NULL; m = m->thread_next) {
        if (!m->lent)
            continue;
        hg_set_state(m, HG_RUNNING);
        if (hg_stopping(m->public.heap)) {
            hg_stand(m);
            return m;
        }
        m->lent = false;
    }
    return NULL;
}

void hg_take_back(struct hg_mutator *mine)
{
    for (;;) {
        struct hg_mutator *busy = hg_take_back_some(mine);
        if (busy == NULL)
            return;
        hearth_heap *heap = busy->public.heap;
        hg_lend(mine, NULL);
        pthread_mutex_lock(&heap->lock);
        while (hg_stopping(heap))
            hg_wait(&heap->resumed, &heap->lock);
        pthread_mutex_unlock(&heap->lock);
    }
}

void hearth_safepoint_slow(hearth_mutator *mutator)
{
    if (hg_mutator_ready(mutator, "hearth_safepoint") != HEARTH_OK)
        return;
    hearth_heap *heap = mutator->heap;
    hg_lend_others(hg_mutator_of(mutator));
    pthread_mutex_lock(&heap->lock);
    if (hg_stopping(heap))
        hg_park(heap, hg_mutator_of(mutator));
    pthread_mutex_unlock(&heap->lock);
    hg_take_back_others();
    hg_pending_run(hg_mutator_of(mutator));
}

hearth_status hearth_native_begin(hearth_mutator *mutator)
{
    hearth_status status = hg_mutator_ready(mutator, "hearth_native_begin");
    if (status != HEARTH_OK)
        return status;
    hg_stand(hg_mutator_of(mutator));
    return HEARTH_OK;
}

/* The world is being stopped, or stands: wait as a parked mutator. Its stack was noted at the beginning
 * of the section; the references it held then are all it has. */
static void hg_native_wait(hearth_heap *heap, struct hg_mutator *m)
{
    hg_lend_others(m);
    pthread_mutex_lock(&heap->lock);
    if (hg_stopping(heap))
        hg_stay_parked(heap, m);
    pthread_mutex_unlock(&heap->lock);
    hg_take_back_others();
}

hearth_status hearth_native_end(hearth_mutator *mutator)
{
    hearth_status status = hg_mutator_own(mutator, "hearth_native_end");
    if (status != HEARTH_OK)
        return status;
    struct hg_mutator *m = hg_mutator_of(mutator);
    if (hg_state_of(m) != HG_NATIVE)
        return ht_fail(HEARTH_ESTATE, "hearth_native_end: mutator %p is in no native section",
                       (void *)mutator);
    hg_set_state(m, HG_RUNNING);
    if (hg_stopping(mutator->heap))
        hg_native_wait(mutator->heap, m);
    return HEARTH_OK;
}
