/* alloc/window.h - per-node windows of address space, and the chunks cut from them.
 *
 * A window set has one window of 2^shift bytes per logical node, contiguous, so that the node of an
 * address is (address - base) >> shift with no memory access. mimalloc manages each window as an
 * exclusive arena; one never-exiting arena keeper thread per set takes reservations from it.
 * mimalloc's arenas can never be removed, so window sets are shared by heaps of the same layout and
 * live as long as the process: the one global table of hearth (window.c).
 *
 * Chunks are HA_CHUNK bytes, HA_CHUNK-aligned, zero, with the policy of their node. Free ones are
 * kept in the set for the next heap. Lock order: table lock < set lock < keeper lock, and pool lock <
 * set lock; callbacks run on the keeper thread with none of them held. */
#ifndef HEARTH_ALLOC_WINDOW_H
#define HEARTH_ALLOC_WINDOW_H

#include "topology/topology.h"

enum { HA_CHUNK_SHIFT = 22, HA_CHUNK = 1 << HA_CHUNK_SHIFT };

/* What lies in one 4 MiB slot of a window. Written under the set's lock, read without. */
struct ha_slot {
    void *owner;   /* the heap (as given to ha_chunk_take), NULL: nothing     */
    uint32_t head; /* slots back to the first one of a multi-chunk span       */
    uint32_t span; /* in the first slot: how many slots                       */
};

struct ha_windows {
    uintptr_t base;       /* 1 GiB-aligned, or to the window's size if that is less            */
    size_t bytes;         /* nodes << shift                                                    */
    unsigned shift;       /* log2 of the bytes of one window                                   */
    int nodes;            /* windows                                                           */
    bool committed;       /* false: PROT_NONE windows, mimalloc commits (overcommit_memory=2)  */
    bool bound;           /* every window has its node's memory policy                         */
    struct ha_slot *slot; /* by (address - base) >> HA_CHUNK_SHIFT                             */
    struct ha_window_state *state; /* window.c's own: arenas, keeper, free chunks                 */
};

/* The set for this layout, created at first use. Errors: ENOMEM (no address space, even small),
 * ESYSTEM (mimalloc refuses: not version 2.0.x, no arena left). Any thread. */
hearth_status ha_windows_get(struct ha_windows **out, const struct hearth_topology *topology,
                             const struct hearth_options *options);

/* `count` contiguous zero chunks on `node`, owned by `owner` (not NULL); NULL when the window or the
 * system has no more (errno ENOMEM). One chunk comes from a shared reservation; more from a reservation
 * of their own, or when there is none, from a run of free single chunks. May wait for the keeper: must
 * not be called with a lock held that a callback of ha_keeper_watch takes. */
void *ha_chunk_take(struct ha_windows *windows, int node, size_t count, void *owner);

/* Give a span back: its memory goes to the system now (madvise), its address space is kept. Never
 * waits for the keeper. */
void ha_chunk_give(struct ha_windows *windows, void *chunk);

/* Make sure at least `count` single chunks are ready on the node, so that a collection never waits. */
void ha_chunk_prepare(struct ha_windows *windows, int node, size_t count);

static inline int ha_node_of(const struct ha_windows *windows, uintptr_t address)
{
    return (int)((address - windows->base) >> windows->shift);
}

static inline bool ha_windows_contain(const struct ha_windows *windows, uintptr_t address)
{
    return address - windows->base < windows->bytes;
}

/* Run `fn(data)` on the keeper thread about every `period_ms` until removed: ageing of idle memory.
 * One per owner; remove waits until a running call has ended (unless it is called from there).
 * Requests for chunks wait while fn runs, so it should be short; it may take and give chunks.
 * Errors: EINVAL, ENOMEM, ESTATE (fn watches this data already). */
hearth_status ha_keeper_watch(struct ha_windows *windows, void (*fn)(void *), void *data,
                              unsigned period_ms);
void ha_keeper_unwatch(struct ha_windows *windows, void (*fn)(void *), void *data);

struct ha_window_stats {
    size_t reserved;    /* bytes of address space taken from mimalloc           */
    size_t chunks;      /* single chunks cut                                    */
    size_t free_chunks; /* of them, free                                        */
    size_t spans;       /* multi-chunk spans in use, with reservations of their own */
    size_t meta;        /* bytes in pieces of the metadata heap handed out      */
};
void ha_window_stats(struct ha_windows *windows, int node, struct ha_window_stats *out);

/* Invariants of the slot table, free lists and reservations. */
hearth_status ha_windows_check(struct ha_windows *windows);

#endif
