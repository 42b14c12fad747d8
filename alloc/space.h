/* alloc/space.h - a heap's memory: its pools, the budget of blocks, and spilling between nodes.
 *
 * Invariant: `used` blocks (ordinary and large) never exceed `budget`, and budget never exceeds limit.
 * The counters are atomic; the rest is immutable while mutators run. */
#ifndef HEARTH_ALLOC_SPACE_H
#define HEARTH_ALLOC_SPACE_H

#include "alloc/guard.h"
#include "alloc/pool.h"

/* How hard to look for room. */
enum ha_effort {
    HA_EFFORT_NORMAL, /* half-free blocks, free ones, quarter-free ones, free ones elsewhere */
    HA_EFFORT_NEAR,   /* also tenth-free ones, and of larger cells where that was needed     */
    HA_EFFORT_TIGHT   /* then also those with frozen cells, partly free ones elsewhere, and  */
                      /* those of larger cells                                               */
};

/* Why a block could not be had. */
enum ha_refusal { HA_GRANTED, HA_OVER_BUDGET, HA_NO_MEMORY };

struct ha_space {
    struct ha_windows *windows;
    const struct hearth_topology *topology;
    void *owner;             /* the heap                                             */
    int nodes;               /* pools                                                */
    bool strict;             /* never spill to another node                          */
    bool poison;             /* fill freed cells                                     */
    bool hides;              /* free memory is hidden from a memory checker          */
    bool guarded;            /* objects have guards behind them                      */
    bool exact;              /* runs of one cell                                     */
    bool checked;            /* any of the above: runs are made by ha_guard_ready    */
    uint32_t keep_ms;        /* age at which free memory goes back; 0: never         */
    size_t limit;            /* blocks: hard limit (atomic)                          */
    size_t budget;           /* blocks: what may be used now (atomic)                */
    size_t used;             /* blocks in use (atomic)                               */
    size_t peak;             /* most of that (atomic)                                */
    bool borrows;            /* larger cells were the last resort not long ago (atomic) */
    size_t nursery_used;     /* bytes handed to mutators since the last collection   */
    size_t nursery;          /* bytes after which a minor collection is due          */
    size_t reserve;          /* free blocks that are not taken lightly (atomic)      */
    uint64_t spilled;        /* blocks that came from another node than wished       */
    struct ha_damage damage; /* free memory that was written to                  */
    struct ha_pool *pool[HT_MAX_NODES];
};

hearth_status ha_space_init(struct ha_space *space, const struct hearth_topology *topology,
                            const struct hearth_options *options, void *owner);
void ha_space_destroy(struct ha_space *space);

/* Charge `blocks` to the budget; false: it would be exceeded. */
bool ha_space_charge(struct ha_space *space, size_t blocks);
void ha_space_refund(struct ha_space *space, size_t blocks);

/* A block for a mutator of `node`; NULL: *why tells. */
struct ha_block *ha_space_take(struct ha_space *space, int node, unsigned run,
                               enum ha_effort effort, enum ha_refusal *why);

static inline bool ha_space_borrows(const struct ha_space *space)
{
    return __atomic_load_n(&space->borrows, __ATOMIC_RELAXED);
}

/* Bytes: blocks in use; free for the budget; free inside half- and quarter-free blocks. */
size_t ha_space_used_bytes(const struct ha_space *space);
size_t ha_space_partial_bytes(const struct ha_space *space);

/* Keep the keeper's ageing out (while the world is stopped), and let it in again. */
void ha_space_hold(struct ha_space *space);
void ha_space_release(struct ha_space *space);

/* In the child of a fork there is no keeper at first: there should be one, so that idle memory ages. */
void ha_space_wake(struct ha_space *space);

/* Lock every pool, held already, while the process forks; and let go of them. */
void ha_space_lock(struct ha_space *space);
void ha_space_unlock(struct ha_space *space);

/* Monotonic milliseconds, as stamped on free blocks. */
uint32_t ha_space_clock(void);

/* The object that `address` points to or into, its header included; 0 if none is allocated there (world
 * stopped, or own thread's object). */
uintptr_t ha_space_find(const struct ha_space *space, uintptr_t address);

hearth_status ha_space_check(struct ha_space *space);

#endif
