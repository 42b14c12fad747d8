/* gc/pressure.h - telling the embedder that memory is short. */
#ifndef HEARTH_GC_PRESSURE_H
#define HEARTH_GC_PRESSURE_H

#include <pthread.h>

#include "hearth/limits.h"

struct hg_mutator;

/* `due` and `told` change atomically, by anyone; the rest under the lock. */
struct hg_pressure {
    pthread_mutex_t lock; /* a leaf                                               */
    hearth_pressure_fn *fn;
    void *data;
    uint32_t due;  /* bit per stage that is to be told at the next safepoint       */
    uint64_t node; /* bit per node that spills and is to be told                   */
    uint64_t told; /* of them, told since the last full collection or due           */
};

/* Is there anything to tell? At the head of slow paths. */
static inline bool hg_pressure_due(const struct hg_pressure *pressure)
{
    return __builtin_expect(__atomic_load_n(&pressure->due, __ATOMIC_RELAXED) != 0, 0);
}

/* World stopped, after a full collection: `over` the soft limit or not. */
void hg_pressure_after(struct hg_pressure *pressure, bool over);
/* A block for `node` came from another one. Any mutator. */
void hg_pressure_spilled(struct hg_pressure *pressure, int node);
/* At a safepoint, no lock held: tell what is due. */
void hg_pressure_run(struct hg_mutator *mutator);
/* The same before an allocation fails; true: something was dropped. */
bool hg_pressure_hard(struct hg_mutator *mutator, hearth_status status, size_t blocks, int node);
/* Bits are of stages and nodes that exist. */
bool hg_pressure_check(const struct hg_pressure *pressure, int nodes);

#endif
