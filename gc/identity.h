/* gc/identity.h - objects that are pinned or immortal.
 *
 * Invariant: an open-addressing map has exactly those objects whose header says PINNED. They are pushed as old
 * by every full collection and by the first one after a pin; so a minor collection with nothing new here
 * need not look. Lock: pins->lock, a leaf; not needed with the world stopped. Node: ordinary memory. */
#ifndef HEARTH_GC_IDENTITY_H
#define HEARTH_GC_IDENTITY_H

#include <pthread.h>

#include "hearth/heap.h"

struct hg_worker;

struct hg_pin {
    uintptr_t object; /* 0: empty, 1: removed                                       */
    uint32_t count;   /* pins that were not undone                                  */
    uint32_t immortal;
};

struct hg_pins {
    pthread_mutex_t lock;
    struct hg_pin *pin;
    size_t capacity; /* power of two or 0                                          */
    size_t used;     /* not empty                                                  */
    size_t count;    /* objects                                                    */
    bool fresh;      /* some were added after the last collection                  */
    bool ready;      /* the lock exists                                            */
};

hearth_status hg_pins_init(hearth_heap *heap);
void hg_pins_destroy(hearth_heap *heap);
void hg_pins_roots(hearth_heap *heap, struct hg_worker *worker);
/* At the end of a collection: all of them are old. */
void hg_pins_settle(hearth_heap *heap);
hearth_status hg_pins_check(hearth_heap *heap);

#endif
