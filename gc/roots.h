/* gc/roots.h - global roots and root providers of a heap.
 *
 * Lock: roots->lock, taken by adders and by the collector while it scans (threads in native sections may
 * add meanwhile). The slots are an open-addressing set. */
#ifndef HEARTH_GC_ROOTS_H
#define HEARTH_GC_ROOTS_H

#include <pthread.h>

#include "hearth/roots.h"

#define HG_TOMB ((void **)(uintptr_t)1) /* a place of the set whose slot was removed */

struct hg_provider {
    hearth_root_fn *fn;
    void *data;
};

struct hg_roots {
    pthread_mutex_t lock;
    void ***slot;    /* set: NULL empty, HG_TOMB removed         */
    size_t capacity; /* power of two or 0                        */
    size_t used;     /* slots and tombs                          */
    size_t count;    /* slots                                    */
    struct hg_provider *provider;
    size_t providers, provider_capacity;
};

void hg_roots_init(struct hg_roots *roots);
void hg_roots_destroy(struct hg_roots *roots);
/* Every global slot, then every provider. Takes the lock. */
void hg_roots_visit(struct hg_roots *roots, hearth_visitor *visitor);
bool hg_roots_check(struct hg_roots *roots);

#endif
