/* alloc/hole.h - a mutator's allocation state: the holes of the blocks it holds, cut into runs.
 *
 * A block of a larger size class may be held, where nothing else is left: then a run is the first part of one cell, the
 * hole that cell, and run.cursor == run.limit says that it is allocated.
 * Invariant: for each run index, cells below run.cursor in the held block are allocated or marked;
 * memory in [cursor, limit) is zero; limit <= ready <= end of the hole. Own thread only, or world stopped. */
#ifndef HEARTH_ALLOC_HOLE_H
#define HEARTH_ALLOC_HOLE_H

#include "alloc/space.h"

enum { HA_RUN_BYTES = 8192 }; /* zeroed and charged at a time; measured best of 1..64 KiB */

struct ha_hole {
    struct ha_block *block; /* held, CURRENT; NULL: none                        */
    char *end;              /* of the present hole                              */
    char *ready;            /* end of what is charged; run.limit unless exact   */
    uint32_t granule;       /* where the search for the next hole begins        */
    uint32_t bytes;         /* of runs made in the block                        */
};

struct ha_allocator {
    struct hearth_run *run; /* the mutator's public runs                        */
    struct ha_space *space;
    int node;         /* latched once per slow path                       */
    uint64_t bytes;   /* handed out and not given back, since the flush   */
    uint64_t objects; /* cells of the same                                */
    uint32_t portion; /* most cells of the next run; 0: any number        */
    struct ha_hole hole[HEARTH_RUNS];
};

/* Make the next run of index `k` from the held block; bytes made ready, 0: the block is used up and
 * no longer held. */
size_t ha_run_next(struct ha_allocator *allocator, unsigned k);

/* Exact runs: the next cell of what ha_run_next has charged; false: nothing is left of that. */
bool ha_run_step(struct ha_allocator *allocator, unsigned k);
/* Cells of runs that are not allocated yet. Own thread, or while it stands. */
uint64_t ha_allocator_left(const struct ha_allocator *allocator);
/* End all runs where their cursors are: the rest belongs to the next runs. Returns how many cells. */
uint64_t ha_allocator_recall(struct ha_allocator *allocator);

/* Hold a block taken from a pool. */
void ha_run_hold(struct ha_allocator *allocator, unsigned k, struct ha_block *block);

/* Give every block back to the collector (frontiers are set); world stopped or thread detaching.
 * Afterwards bytes and objects are exact: what was really allocated since the last flush. */
void ha_allocator_flush(struct ha_allocator *allocator);

/* Invariants of all runs; own thread, or world stopped. */
hearth_status ha_allocator_check(const struct ha_allocator *allocator);

#endif
