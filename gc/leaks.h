/* gc/leaks.h - objects that the program has said will be dead, and those that were not.
 *
 * A list of addresses that keeps nothing alive. Every collection drops those it has not reached, before
 * their cells are used again; a full one reports the rest and drops them too. Memory is had when something is
 * asserted, never in a collection. Lock: leaks->lock, a leaf below heap->lock. Node: plain memory. */
#ifndef HEARTH_GC_LEAKS_H
#define HEARTH_GC_LEAKS_H

#include <pthread.h>

#include "hearth/leaks.h"

enum { HG_LEAKS_KEPT = 32, HG_LEAK_HOLDERS = 8 };

struct hg_leaks {
    pthread_mutex_t lock;
    uintptr_t *object;        /* asserted to be dead                             */
    size_t count, capacity;   /* of them                                         */
    struct hearth_leak *kept; /* ring of HG_LEAKS_KEPT; NULL: nothing asserted  */
    uint64_t found, taken;    /* failures: in all; taken or overwritten of them   */
};

void hg_leaks_init(hearth_heap *heap);
void hg_leaks_destroy(hearth_heap *heap);

/* After tracing, before finalizers bring anything back; world stopped. */
void hg_leaks_judge(hearth_heap *heap, bool full);

/* What is asserted are objects. World stopped, blocks given back. */
hearth_status hg_leaks_check(hearth_heap *heap);

/* Write what holds a live object into text, innermost first: up to HG_LEAK_HOLDERS objects, then a root if
 * there is one. World stopped, after tracing. */
void hg_leak_path(hearth_heap *heap, uintptr_t object, char *text, size_t size);

#endif
