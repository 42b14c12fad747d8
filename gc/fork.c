/* gc/fork.c - a child of fork() has working heaps.
 *
 * The child has the memory of the process and one of its threads. So before the fork every heap is brought
 * into a state that needs no other thread: its world is stopped, as for a collection, and then all its locks
 * are taken. The forking thread itself stands in all its heaps meanwhile: a fork is a safepoint of each.
 * Afterwards the parent lets go of everything; the child makes the conditions anew, drops the mutators of
 * threads it does not have, and forgets GC workers and keepers, which start again when they are needed.
 *
 * One after the other the worlds are stopped, with no lock held but that of the heap that is waited for: a
 * thread that waits for a stopped heap stands in all its others (safepoint.c), so no two wait for each
 * other. The list of heaps is the one thing all heaps of a process share; the system's fork forces it.
 *
 * A thread that forks inside a callback of the collector finds nothing done: its child may not use hearth.
 * Lock order: forks < list < heap->lock < ageing < the small ones (hg_small_lock) < pools
 * (gc/heap.h) < window sets.
 * Of several heaps' locks only the forking thread holds more than one, when all worlds stand. */
#define _GNU_SOURCE
#include "gc/fork.h"

#include "alloc/fork.h"
#include "gc/crew.h"
#include "gc/page.h"
#include "gc/timeline.h"
#include "topology/error.h"
#include "topology/os.h"

static pthread_mutex_t hg_forks = PTHREAD_MUTEX_INITIALIZER; /* held by the thread that forks     */
static pthread_mutex_t hg_list = PTHREAD_MUTEX_INITIALIZER;
static hearth_heap *hg_heaps; /* newest first; under hg_list                                     */
static bool hg_registered;    /* with the system; under hg_list                                  */
static int hg_cancel_state;   /* of the thread that forks; under hg_forks                        */
static __thread bool
    hg_inside; /* this thread forks inside a callback                             */

/* --- before ------------------------------------------------------------------------------------------ */

/* Stop the world of a heap; its lock is held, and let go of while waiting. A pinned heap stays, though all
 * its mutators may leave while a collection of another thread is waited for. */
static void hg_fork_stop(hearth_heap *heap)
{
    heap->forkers++;
    while (heap->stop)
        hg_wait(&heap->resumed, &heap->lock);
    hg_world_stop(heap, NULL);
    heap->forking = true;
    heap->forkers--;
    pthread_cond_broadcast(&heap->resumed); /* hg_heaps_leave waits for the pin */
}

static hearth_heap *hg_fork_next(void)
{
    hearth_heap *heap = hg_heaps;
    while (heap != NULL && heap->forking)
        heap = heap->older;
    return heap;
}

/* Until all heaps are stopped, those too that are made meanwhile. Returns with the list locked. */
static void hg_fork_stop_all(void)
{
    pthread_mutex_lock(&hg_list);
    for (hearth_heap *heap; (heap = hg_fork_next()) != NULL;) {
        pthread_mutex_lock(&heap->lock);
        pthread_mutex_unlock(&hg_list);
        hg_fork_stop(heap);
        pthread_mutex_unlock(&heap->lock);
        pthread_mutex_lock(&hg_list);
    }
}

/* The small locks of a heap, in the order they are taken. */
enum { HG_SMALL_LOCKS = 9 };

static pthread_mutex_t *hg_small_lock(hearth_heap *heap, int i)
{
    pthread_mutex_t *const locks[HG_SMALL_LOCKS] = {
        &heap->roots.lock, &heap->cells.lock,    &heap->pins.lock,
        &heap->types.lock, &heap->stats.lock,    &heap->pending.lock,
        &heap->leaks.lock, &heap->pressure.lock, &heap->crew->lock,
    };
    return locks[i];
}

/* All that lies below heap->lock, but for the window sets. */
static void hg_fork_lock(hearth_heap *heap)
{
    ha_space_hold(&heap->space);
    if (heap->timeline != NULL)
        pthread_mutex_lock(&heap->timeline->lock);
    if (heap->page != NULL)
        pthread_mutex_lock(&heap->page->lock);
    for (int i = 0; i < HG_SMALL_LOCKS; i++)
        pthread_mutex_lock(hg_small_lock(heap, i));
    ha_space_lock(&heap->space);
}

static void hg_fork_unlock(hearth_heap *heap)
{
    ha_space_unlock(&heap->space);
    for (int i = HG_SMALL_LOCKS; i-- > 0;)
        pthread_mutex_unlock(hg_small_lock(heap, i));
    if (heap->page != NULL)
        pthread_mutex_unlock(&heap->page->lock);
    if (heap->timeline != NULL)
        pthread_mutex_unlock(&heap->timeline->lock);
    ha_space_release(&heap->space);
}

static void hg_fork_prepare(void)
{
    hg_inside = hg_in_any_callback();
    if (hg_inside)
        return;
    hg_lend_others(NULL);
    pthread_mutex_lock(&hg_forks);
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &hg_cancel_state);
    hg_fork_stop_all();
    for (hearth_heap *heap = hg_heaps; heap != NULL; heap = heap->older)
        pthread_mutex_lock(&heap->lock);
    ha_fork_pause();
    for (hearth_heap *heap = hg_heaps; heap != NULL; heap = heap->older)
        hg_fork_lock(heap);
    ha_fork_hold();
}

/* --- after ------------------------------------------------------------------------------------------- */

static void hg_fork_end(void)
{
    int before;
    pthread_mutex_unlock(&hg_list);
    pthread_setcancelstate(hg_cancel_state, &before);
    pthread_mutex_unlock(&hg_forks);
    hg_take_back_others();
}

static void hg_fork_parent(void)
{
    if (hg_inside)
        return;
    ha_fork_parent();
    for (hearth_heap *heap = hg_heaps; heap != NULL; heap = heap->older) {
        hg_fork_unlock(heap);
        heap->forking = false;
        hg_world_resume(heap);
        pthread_mutex_unlock(&heap->lock);
    }
    hg_fork_end();
}

/* Conditions know of waiting threads that are gone; nobody waits in the child. */
static void hg_fork_renew(hearth_heap *heap)
{
    pthread_cond_init(&heap->stopped, NULL);
    pthread_cond_init(&heap->resumed, NULL);
    hg_pending_forked(heap);
    hg_crew_forked(heap->crew);
    heap->forkers = 0;
    heap->forking = false;
}

static void hg_fork_child(void)
{
    if (hg_inside)
        return;
    ha_fork_child();
    for (hearth_heap *heap = hg_heaps; heap != NULL; heap = heap->older) {
        hg_fork_renew(heap);
        hg_fork_unlock(heap);
        hg_timeline_forked(heap);
        hg_page_forked(heap);
        hg_mutators_forked(heap);
        hg_world_resume(heap);
        pthread_mutex_unlock(&heap->lock);
    }
    hg_fork_end();
}

/* --- the list ---------------------------------------------------------------------------------------- */

hearth_status hg_heaps_join(hearth_heap *heap)
{
    pthread_mutex_lock(&hg_list);
    if (!hg_registered)
        hg_registered = ht_os_at_fork(hg_fork_prepare, hg_fork_parent, hg_fork_child);
    bool registered = hg_registered;
    if (registered) {
        heap->older = hg_heaps;
        if (hg_heaps != NULL)
            hg_heaps->newer = heap;
        hg_heaps = heap;
    }
    pthread_mutex_unlock(&hg_list);
    return registered ? HEARTH_OK : ht_fail(HEARTH_ESYSTEM, "pthread_atfork: no memory");
}

static void hg_unlink(hearth_heap *heap)
{
    if (heap->newer != NULL)
        heap->newer->older = heap->older;
    else
        hg_heaps = heap->older;
    if (heap->older != NULL)
        heap->older->newer = heap->newer;
}

int hg_heaps_leave(hearth_heap *heap)
{
    pthread_mutex_lock(&hg_list);
    pthread_mutex_lock(&heap->lock);
    int mutators = heap->mutator_count;
    while (mutators == 0 && heap->forkers != 0)
        hg_wait(&heap->resumed, &heap->lock);
    if (mutators == 0)
        hg_unlink(heap);
    pthread_mutex_unlock(&heap->lock);
    pthread_mutex_unlock(&hg_list);
    return mutators;
}
