/* alloc/large.h - objects above HA_SMALL_MAX: adjacent blocks of a chunk, or a span of chunks.
 *
 * The object lies 16 bytes into its first block. Its mark is the metadata byte of its first granule; its
 * cards (one byte per 16 payload bytes) are the metadata bytes of the others, or for a span a table
 * behind the payload. Listed in its pool as large_young until it is old. */
#ifndef HEARTH_ALLOC_LARGE_H
#define HEARTH_ALLOC_LARGE_H

#include "alloc/space.h"

/* Largest payload in blocks of one chunk. */
enum { HA_ADJACENT_MAX = HA_DATA_BLOCKS * HA_BLOCK - HEARTH_GRANULE };

/* Blocks charged for a payload. */
static inline size_t ha_large_blocks(size_t payload)
{
    return (payload + HEARTH_GRANULE + HA_BLOCK - 1) >> HA_BLOCK_SHIFT;
}

/* Zeroed payload of a new large object (its header is 0), charged and listed as young; 0: *why tells.
 * Takes pool locks; not while the world is stopped. */
uintptr_t ha_large_take(struct ha_space *space, int node, size_t payload, unsigned kind,
                        enum ha_refusal *why);

/* Reclaim; collector only, world stopped, pool->lock held by the worker. */
void ha_large_give(struct ha_space *space, struct ha_pool *pool, struct ha_block *block,
                   uint32_t now_ms);

static inline uintptr_t ha_large_object(const struct ha_block *block)
{
    return (uintptr_t)ha_block_start(block) + HEARTH_GRANULE;
}

#endif
