/* gc/mutator.c - attaching and detaching threads.
 *
 * The process has one pthread key, whose destructor detaches a thread that exits, and one thread-local
 * list of the thread's mutators: what the operating system forces. Lock: heap->lock for the list
 * of mutators; attaching waits while the world is stopped. */
#define _GNU_SOURCE
#include "gc/mutator.h"

#include <errno.h>
#include <string.h>

#include "alloc/meta.h"
#include "gc/crew.h"
#include "gc/heap.h"
#include "topology/error.h"
#include "topology/os.h"

_Static_assert(offsetof(struct hearth_mutator, frames) == 0, "ABI");
_Static_assert(offsetof(struct hearth_mutator, poll) == 8, "ABI");
_Static_assert(offsetof(struct hearth_mutator, shape_count) == 12, "ABI");
_Static_assert(offsetof(struct hearth_mutator, shapes) == 16, "ABI");
_Static_assert(offsetof(struct hearth_mutator, heap) == 24, "ABI");
_Static_assert(offsetof(struct hearth_mutator, run) == 64, "ABI");

static __thread struct hg_mutator *hg_mine; /* the thread's mutators, one a heap */
static uint64_t hg_exit_key;                /* the key plus one, 0: none yet (atomic)   */

static void hg_release(struct hg_mutator *m);

static bool hg_is_native(const struct hg_mutator *m)
{
    return __atomic_load_n(&m->state, __ATOMIC_RELAXED) == HG_NATIVE;
}

void hg_lend_others(const struct hg_mutator *self)
{
    hg_lend(hg_mine, self);
}

void hg_take_back_others(void)
{
    hg_take_back(hg_mine);
}

/* In a native section a collection may be reading frames and handles: it holds the lock. */
static void hg_drop_roots(struct hg_mutator *m)
{
    hearth_heap *heap = m->public.heap;
    pthread_mutex_lock(&heap->lock);
    m->public.frames = NULL;
    m->scopes = 0;
    hg_handles_free(m);
    m->conservative = false;
    pthread_mutex_unlock(&heap->lock);
}

/* Thread exit: whatever frames and scopes are left belong to a stack that is gone; those of every heap
 * go first, since releasing one mutator lends the others. */
static void hg_thread_exit(void *unused)
{
    (void)unused;
    for (struct hg_mutator *m = hg_mine; m != NULL; m = m->thread_next)
        hg_drop_roots(m);
    while (hg_mine != NULL) {
        struct hg_mutator *m = hg_mine;
        if (hg_is_native(m))
            hearth_native_end(&m->public);
        hg_release(m);
    }
}

/* No lock: another thread might hold it when the process forks. */
static bool hg_make_key(void)
{
    uint64_t none = 0;
    pthread_key_t key;
    if (__atomic_load_n(&hg_exit_key, __ATOMIC_ACQUIRE) != 0)
        return true;
    if (!ht_os_thread_key(&key, hg_thread_exit))
        return false;
    if (!__atomic_compare_exchange_n(&hg_exit_key, &none, (uint64_t)key + 1, false,
                                     __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        pthread_key_delete(key); /* another thread was quicker */
    return true;
}

hearth_status hg_mutator_own(hearth_mutator *mutator, const char *call)
{
    if (mutator == NULL)
        return ht_fail(HEARTH_EINVAL, "%s: mutator is NULL", call);
    if (!pthread_equal(hg_mutator_of(mutator)->thread, pthread_self()))
        return ht_fail(HEARTH_ETHREAD, "%s: mutator %p is another thread's", call, (void *)mutator);
    return HEARTH_OK;
}

hearth_status hg_mutator_ready(hearth_mutator *mutator, const char *call)
{
    hearth_status status = hg_mutator_own(mutator, call);
    if (status != HEARTH_OK)
        return status;
    if (hg_is_native(hg_mutator_of(mutator)))
        return ht_fail(HEARTH_ESTATE, "%s: mutator %p is in a native section", call,
                       (void *)mutator);
    if (__atomic_load_n(&mutator->heap->collecting, __ATOMIC_RELAXED))
        return ht_fail(HEARTH_ESTATE, "%s: called from a callback of the collector (mutator %p)",
                       call, (void *)mutator);
    return HEARTH_OK;
}

/* While the world stands, the only mutator that runs is the collector's. */
bool hg_in_callback(hearth_heap *heap)
{
    hearth_mutator *mutator = hearth_current(heap);
    return mutator != NULL && !hg_is_native(hg_mutator_of(mutator)) &&
           __atomic_load_n(&heap->collecting, __ATOMIC_RELAXED);
}

bool hg_in_any_callback(void)
{
    for (struct hg_mutator *m = hg_mine; m != NULL; m = m->thread_next)
        if (!hg_is_native(m) && __atomic_load_n(&m->public.heap->collecting, __ATOMIC_RELAXED))
            return true;
    return hg_crew_here();
}

void hg_wait(pthread_cond_t *condition, pthread_mutex_t *lock)
{
    int before;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    pthread_cond_wait(condition, lock);
    pthread_setcancelstate(before, &before);
}

hearth_mutator *hearth_current(hearth_heap *heap)
{
    for (struct hg_mutator *m = hg_mine; m != NULL; m = m->thread_next)
        if (m->public.heap == heap)
            return &m->public;
    return NULL;
}

static hearth_status hg_attach_arguments(hearth_heap *heap, const hearth_attach_options *options,
                                         hearth_mutator **out)
{
    if (heap == NULL || out == NULL)
        return ht_fail(HEARTH_EINVAL, "hearth_attach: %s is NULL", heap == NULL ? "heap" : "out");
    if (options != NULL && options->struct_size != sizeof *options)
        return ht_fail(HEARTH_EINVAL, "hearth_attach_options.struct_size is %zu, not %zu",
                       options->struct_size, sizeof *options);
    if (options != NULL &&
        (options->node < HEARTH_NODE_AUTO || options->node >= heap->topology->nodes))
        return ht_fail(HEARTH_ENODE, "hearth_attach: node %d; the heap has nodes 0 to %d",
                       options->node, heap->topology->nodes - 1);
    if (hearth_current(heap) != NULL)
        return ht_fail(HEARTH_ESTATE, "the thread is attached to heap %p already", (void *)heap);
    if (!hg_make_key())
        return ht_fail(HEARTH_ESYSTEM, "pthread_key_create: %s", strerror(errno));
    return HEARTH_OK;
}

/* Metadata of a thread, near its node, touched now. */
void *hg_meta_near(hearth_heap *heap, int node, size_t bytes)
{
    void *memory = heap->space.strict ? ha_meta_take(heap->space.windows, node, bytes)
                                      : ha_meta_near(heap->space.windows, node, bytes);
    if (memory != NULL)
        memset(memory, 0, bytes);
    return memory;
}

static void hg_mutator_fill(struct hg_mutator *m, hearth_heap *heap,
                            const hearth_attach_options *options)
{
    m->public.heap = heap;
    m->public.shapes = heap->types.shapes;
    m->public.shape_count = HG_TYPES_MAX;
    m->allocator.run = m->public.run;
    m->allocator.space = &heap->space;
    m->allocator.node = m->home;
    m->node = options != NULL ? options->node : HEARTH_NODE_AUTO;
    m->conservative = heap->options.conservative || (options != NULL && options->conservative);
    m->stress = (uint64_t)heap->options.stress;
    m->thread = pthread_self();
    if (m->conservative) {
        m->stack_high = options != NULL && options->stack_base != NULL
                            ? (char *)(uintptr_t)options->stack_base
                            : ht_os_stack_base();
        m->stack_low = m->stack_high;
    }
}

hearth_status hearth_attach(hearth_heap *heap, const hearth_attach_options *options,
                            hearth_mutator **out)
{
    hearth_status status = hg_attach_arguments(heap, options, out);
    if (status != HEARTH_OK)
        return status;
    int home =
        options != NULL && options->node >= 0 ? options->node : ht_topology_here(heap->topology);
    struct hg_mutator *m = hg_meta_near(heap, home, sizeof *m);
    if (m == NULL)
        return ht_fail(HEARTH_ENOMEM, "no memory for a mutator on node %d", home);
    m->home = home;
    hg_mutator_fill(m, heap, options);
    if ((m->conservative && m->stack_high == NULL) ||
        !ht_os_thread_set((pthread_key_t)(hg_exit_key - 1), m)) {
        ha_meta_back(heap->space.windows, m, sizeof *m);
        return ht_fail(HEARTH_ESYSTEM,
                       "the bounds of the thread's stack are unknown, or no memory");
    }
    hg_lend_others(NULL);
    pthread_mutex_lock(&heap->lock);
    while (heap->stop)
        hg_wait(&heap->resumed, &heap->lock);
    m->next = heap->mutators;
    if (heap->mutators != NULL)
        heap->mutators->prev = m;
    heap->mutators = m;
    __atomic_store_n(&heap->mutator_count, heap->mutator_count + 1, __ATOMIC_RELAXED);
    hg_pacing_scale(heap);
    hg_observe_mutator_attached(heap, m);
    pthread_mutex_unlock(&heap->lock);
    m->thread_next = hg_mine;
    hg_mine = m;
    hg_take_back_others();
    *out = &m->public;
    return HEARTH_OK;
}

/* Returns the cells of its runs that were not used. */
static uint64_t hg_flush_one(struct ha_allocator *allocator, uint64_t *bytes, uint64_t *objects)
{
    uint64_t left = ha_allocator_left(allocator);
    ha_allocator_flush(allocator);
    *bytes += allocator->bytes;
    *objects += allocator->objects;
    allocator->bytes = allocator->objects = 0;
    return left;
}

void hg_mutator_flush(struct hg_mutator *m, uint64_t *bytes, uint64_t *objects)
{
    uint64_t left = hg_flush_one(&m->allocator, bytes, objects);
    for (int n = 0; n < m->public.heap->space.nodes; n++)
        if (m->remote[n] != NULL)
            left += hg_flush_one(&m->remote[n]->allocator, bytes, objects);
    m->credit += (int64_t)left;
}

/* Leave the heap; what the mutator allocated and remembered stays there. heap->lock is held. */
static void hg_unlist(hearth_heap *heap, struct hg_mutator *m)
{
    uint64_t bytes = 0, objects = 0;
    hg_mutator_flush(m, &bytes, &objects);
    pthread_mutex_lock(&heap->stats.lock);
    heap->stats.allocated_objects += objects;
    heap->stats.unswept_bytes += bytes;
    heap->stats.unswept_objects += objects;
    pthread_mutex_unlock(&heap->stats.lock);
    hg_remember_move(&heap->orphans, &m->remembered);
    hg_cells_gather(heap, m);
    hg_remember_move(&heap->control.thawed, &m->thawed);
    hg_threshold_detach(m);
    if (m->prev != NULL)
        m->prev->next = m->next;
    else
        heap->mutators = m->next;
    if (m->next != NULL)
        m->next->prev = m->prev;
    __atomic_store_n(&heap->mutator_count, heap->mutator_count - 1, __ATOMIC_RELAXED);
    hg_pacing_scale(heap);
}

/* Its memory, when no list has it any more. */
static void hg_mutator_free(struct ha_windows *windows, struct hg_mutator *m)
{
    hg_handles_free(m);
    for (int n = 0; n < HT_MAX_NODES; n++)
        ha_meta_back(windows, m->remote[n], sizeof *m->remote[n]);
    ha_meta_back(windows, m, sizeof *m);
}

void hg_mutators_forked(hearth_heap *heap)
{
    for (struct hg_mutator *m = heap->mutators, *next; m != NULL; m = next) {
        next = m->next;
        if (pthread_equal(m->thread, pthread_self()))
            continue;
        hg_unlist(heap, m);
        hg_mutator_free(heap->space.windows, m);
    }
}

/* As soon as the lock is released without this mutator in the list, another thread may destroy the
 * heap; its windows stay. */
static void hg_release(struct hg_mutator *m)
{
    hearth_heap *heap = m->public.heap;
    struct ha_windows *windows = heap->space.windows;
    hg_lend_others(m);
    pthread_mutex_lock(&heap->lock);
    if (heap->stop)
        hg_park(heap, m);
    hg_observe_mutator_detached(heap, m);
    hg_unlist(heap, m);
    pthread_mutex_unlock(&heap->lock);
    struct hg_mutator **link = &hg_mine;
    while (*link != m)
        link = &(*link)->thread_next;
    *link = m->thread_next;
    hg_mutator_free(windows, m);
    hg_take_back_others();
}

hearth_status hearth_detach(hearth_mutator *mutator)
{
    hearth_status status = hg_mutator_ready(mutator, "hearth_detach");
    if (status != HEARTH_OK)
        return status;
    struct hg_mutator *m = hg_mutator_of(mutator);
    if (mutator->frames != NULL)
        return ht_fail(HEARTH_ESTATE, "hearth_detach: frame %p is still open",
                       (void *)mutator->frames);
    if (m->scopes != 0)
        return ht_fail(HEARTH_ESTATE, "hearth_detach: %zu handle scopes are still open", m->scopes);
    hg_release(m);
    return HEARTH_OK;
}
