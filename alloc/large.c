/* alloc/large.c - the large-object space of a pool.
 *
 * Invariant: a large object's blocks are charged to the budget and to its pool's `used`; cards and the
 * mark of a new object are 0. Memory handed out is zero. Lock order: pool->lock only, never while
 * chunks are taken. Node: the pool's. */
#include "alloc/large.h"

#include <string.h>

/* Blocks of one chunk. */
static struct ha_block *ha_take_adjacent(struct ha_pool *pool, size_t payload, size_t blocks,
                                         enum ha_grow grow)
{
    bool zero;
    struct ha_block *block = ha_pool_adjacent(pool, blocks, grow, &zero);
    if (block == NULL)
        return NULL;
    if (pool->hides)
        ha_guard_show(ha_block_start(block), payload + HEARTH_GRANULE);
    if (!zero)
        memset(ha_block_start(block), 0, payload + HEARTH_GRANULE);
    block->span = 0;
    block->cards = ha_meta_of(ha_large_object(block));
    return block;
}

/* Chunks of its own: head, payload, card table. At least two: less fits into the blocks of one. */
static struct ha_block *ha_take_span(struct ha_pool *pool, size_t payload, size_t blocks,
                                     enum ha_grow grow)
{
    size_t cards = payload / HEARTH_GRANULE + 1;
    size_t bytes = (size_t)HA_HEAD_BLOCKS * HA_BLOCK + HEARTH_GRANULE + payload + cards;
    size_t chunks = (bytes + HA_CHUNK - 1) >> HA_CHUNK_SHIFT;
    if (!ha_pool_room(pool, bytes, grow))
        return NULL;
    struct ha_chunk *chunk = ha_chunk_take(pool->windows, pool->node, chunks, pool->owner);
    if (chunk == NULL && ha_pool_trim(pool) != 0)
        chunk = ha_chunk_take(pool->windows, pool->node, chunks, pool->owner);
    if (chunk == NULL)
        return NULL;
    ha_chunk_format(chunk, pool, chunks);
    struct ha_block *block = ha_block_at(chunk, HA_HEAD_BLOCKS);
    block->span = 1;
    block->blocks = 0;
    block->cards = (uint8_t *)ha_large_object(block) + payload;
    if (pool->hides)
        ha_guard_hide(block->cards + cards,
                      (size_t)((char *)chunk + chunks * HA_CHUNK - (char *)block->cards) - cards);
    __atomic_store_n(&block->state, HA_LARGE, __ATOMIC_RELEASE);
    pthread_mutex_lock(&pool->lock);
    pool->used += blocks;
    pthread_mutex_unlock(&pool->lock);
    return block;
}

static uintptr_t ha_large_list(struct ha_pool *pool, struct ha_block *block, size_t payload,
                               unsigned kind)
{
    block->kind = (uint8_t)kind;
    block->live = 0;
    block->young = 0;
    block->scan = 0;
    block->frontier = NULL;
    block->cell = 0;
    __atomic_store_n(&block->size, payload, __ATOMIC_RELEASE); /* from now on it can be found */
    pthread_mutex_lock(&pool->lock);
    ha_list_append(&pool->large_young, block);
    pool->large_bytes += payload;
    pthread_mutex_unlock(&pool->lock);
    __atomic_fetch_add(&pool->allocated_bytes, payload, __ATOMIC_RELAXED);
    return ha_large_object(block);
}

/* Of the pool that is the i-th nearest. */
static uintptr_t ha_large_from(struct ha_space *space, int node, int i, size_t payload,
                               unsigned kind, enum ha_grow grow)
{
    size_t blocks = ha_large_blocks(payload);
    struct ha_pool *pool = space->pool[space->topology->node[node].order[i]];
    struct ha_block *block = payload <= HA_ADJACENT_MAX
                                 ? ha_take_adjacent(pool, payload, blocks, grow)
                                 : ha_take_span(pool, payload, blocks, grow);
    if (block == NULL)
        return 0;
    if (i > 0) {
        __atomic_fetch_add(&space->spilled, blocks, __ATOMIC_RELAXED);
        __atomic_fetch_add(&pool->spilled_in, blocks, __ATOMIC_RELAXED);
    }
    return ha_large_list(pool, block, payload, kind);
}

/* Where all nodes are full the system decides. */
uintptr_t ha_large_take(struct ha_space *space, int node, size_t payload, unsigned kind,
                        enum ha_refusal *why)
{
    size_t blocks = ha_large_blocks(payload);
    if (!ha_space_charge(space, blocks)) {
        *why = HA_OVER_BUDGET;
        return 0;
    }
    int nodes = space->strict ? 1 : space->nodes;
    uintptr_t object = 0;
    for (int i = 0; i < nodes && object == 0; i++)
        object = ha_large_from(space, node, i, payload, kind, HA_GROW_ROOM);
    for (int i = 0; i < nodes && object == 0 && !space->strict && space->nodes > 1; i++)
        object = ha_large_from(space, node, i, payload, kind, HA_GROW_ANYHOW);
    *why = object != 0 ? HA_GRANTED : HA_NO_MEMORY;
    if (object == 0)
        ha_space_refund(space, blocks);
    return object;
}

void ha_large_give(struct ha_space *space, struct ha_pool *pool, struct ha_block *block,
                   uint32_t now_ms)
{
    size_t blocks = ha_large_blocks(block->size);
    pool->large_bytes -= block->size;
    *ha_meta_of(ha_large_object(block)) = 0;
    if (block->span) {
        pool->used -= blocks;
        ha_pool_leave(pool, ha_chunk_of(block));
    } else {
        if (space->poison) {
            ha_guard_show(ha_block_start(block), blocks << HA_BLOCK_SHIFT);
            memset(ha_block_start(block), HA_POISON, blocks << HA_BLOCK_SHIFT);
        }
        if (pool->hides)
            ha_guard_hide(ha_block_start(block), blocks << HA_BLOCK_SHIFT);
        block->size = 0;
        ha_pool_free(pool, block, blocks, now_ms);
    }
    ha_space_refund(space, blocks);
}
