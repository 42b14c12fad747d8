/* alloc/meta.h - node-local memory for hearth's own structures (pools, worker stacks, batches).
 *
 * It comes from the ragged ends of reservations, else from whole chunks; it never counts as heap. */
#ifndef HEARTH_ALLOC_META_H
#define HEARTH_ALLOC_META_H

#include "alloc/window.h"

/* Zeroed, 64-byte aligned memory of the node; NULL: none left. Any thread; may wait for the keeper. */
void *ha_meta_take(struct ha_windows *windows, int node, size_t bytes);
void ha_meta_give(struct ha_windows *windows, int node, void *memory, size_t bytes);
/* The same of the node or, as objects' blocks, of the nearest that has room (room.h), unless the policy is strict.
 * Where all are full the system decides. */
void *ha_meta_near(struct ha_windows *windows, int node, size_t bytes);
/* Give back what came from whichever node; NULL: nothing. */
void ha_meta_back(struct ha_windows *windows, void *memory, size_t bytes);

#endif
