/* bench/systems/bdwgc.h - the Boehm-Demers-Weiser conservative collector, as its users would call
 * it.
 *
 * GC_MALLOC for objects with references, GC_MALLOC_ATOMIC for data,
 * GC_MALLOC_ATOMIC_IGNORE_OFF_PAGE for large data, as its documentation advises; interior pointers
 * are recognised from the stack only; the heap is expanded to its limit at the start; threads are
 * registered by its own pthread_create. Everything else is the library's default: thread-local
 * free lists, the free-space divisor, one marker per CPU (GC_MARKERS=n in the environment changes
 * that).
 *
 * Invariant: collection events come with the allocation lock held, so one thread at a time records
 * a pause: from the start of a collection to its end, when the lock is about to be given back. */
#ifndef HEARTH_BENCH_SYSTEMS_BDWGC_H
#define HEARTH_BENCH_SYSTEMS_BDWGC_H

#define GC_THREADS 1
#include <gc/gc.h>

#include "bench/plain.h"

#define SYS_MANUAL   0
#define SYS_LIMITED  1
#define SYS_COLLECTS 1

enum {
    BDWGC_LARGE = 100000
}; /* bytes; from here on interior pointers are not worth scanning for */

SYS_PLAIN_THREADS
SYS_NO_TYPES
SYS_PLAIN_STORES
SYS_NO_SAFEPOINTS
SYS_NO_REGIONS
SYS_NO_NODES

static uint64_t bdwgc_begin;    /* when the present collection began    */
static uint64_t bdwgc_stopping; /* when it began to stop the threads    */
static uint64_t bdwgc_stopped;  /* how long that took                   */

static void bdwgc_event(GC_EventType event)
{
    if (event == GC_EVENT_START)
        bdwgc_begin = measure_now();
    else if (event == GC_EVENT_PRE_STOP_WORLD)
        bdwgc_stopping = measure_now();
    else if (event == GC_EVENT_POST_STOP_WORLD)
        bdwgc_stopped = measure_now() - bdwgc_stopping;
    else if (event == GC_EVENT_END)
        measure_pause(measure_now() - bdwgc_begin);
}

static inline bool sys_start(const struct sys_config *config)
{
    GC_set_all_interior_pointers(0);
    GC_INIT();
    GC_set_warn_proc(GC_ignore_warn_proc);
    GC_set_on_collection_event(bdwgc_event);
    GC_set_max_heap_size(config->heap_bytes);
    size_t now = GC_get_heap_size();
    if (now < config->heap_bytes && !GC_expand_hp(config->heap_bytes - now))
        return false;
    GC_set_dont_expand(1); /* else it fails, uncollected, when the heap fills early */
    return true;
}

static inline void sys_stop(struct sys_report *report)
{
    report->collections = GC_get_gc_no();
    report->pause_p50_ms = measure_pause_ms(50);
    report->pause_p99_ms = measure_pause_ms(99);
    report->pause_max_ms = measure_pause_ms(100);
}

static inline const char *sys_error(void)
{
    return "the heap cannot grow and nothing more can be reclaimed";
}

/* Has full collections only. */
static inline bool sys_collect(sys_thread m, bool full)
{
    (void)m, (void)full;
    GC_gcollect();
    return true;
}

static inline uint64_t sys_stopped_ns(void)
{
    return bdwgc_stopped;
}

BENCH_INLINE void *sys_new(sys_thread m, sys_type type, size_t size)
{
    (void)m, (void)type;
    return GC_MALLOC(size);
}

BENCH_INLINE struct sys_buffer *sys_new_buffer(sys_thread m, sys_type type, size_t count)
{
    (void)m, (void)type;
    size_t size = sizeof(struct sys_buffer) + count * sizeof(double);
    if (size >= BDWGC_LARGE)
        return GC_MALLOC_ATOMIC_IGNORE_OFF_PAGE(size);
    return GC_MALLOC_ATOMIC(size);
}

BENCH_INLINE void **sys_new_refs(sys_thread m, sys_type type, size_t count)
{
    (void)m, (void)type;
    size_t size = count * sizeof(void *);
    if (size >= BDWGC_LARGE)
        return GC_MALLOC_IGNORE_OFF_PAGE(size);
    return GC_MALLOC(size);
}

BENCH_INLINE void sys_free(sys_thread m, void *object)
{
    (void)m, (void)object;
}

#endif
