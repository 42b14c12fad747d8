/* alloc/block.c - formatting and checking chunks and blocks. See block.h for the layout.
 *
 * No locks here: callers hold the pool's lock or have the world stopped. Node: that of the chunk. */
#include "alloc/block.h"

#include "topology/error.h"

void ha_chunk_format(struct ha_chunk *chunk, struct ha_pool *pool, size_t span)
{
    chunk->next = chunk->prev = NULL;
    chunk->pool = pool;
    chunk->free_mask = chunk->cold_mask = span == 1 ? HA_ALL_BLOCKS : 0;
    for (unsigned i = HA_HEAD_BLOCKS; i < HA_CHUNK_BLOCKS; i++)
        __atomic_store_n(&ha_block_at(chunk, i)->state, span == 1 ? HA_COLD : HA_NONE,
                         __ATOMIC_RELAXED);
    __atomic_store_n(&chunk->span, span, __ATOMIC_RELAXED); /* others may look: ha_space_find */
}

void ha_block_format(struct ha_block *block, const struct ha_classes *classes, unsigned run)
{
    const struct ha_class *class = &classes->of[run / 2];
    block->cell = class->cell;
    block->reciprocal = class->reciprocal;
    block->cells = class->cells;
    block->end = class->end;
    block->live = 0;
    block->frozen = 0;
    block->blocks = 1;
    block->size_class = (uint8_t)(run / 2);
    block->kind = run & 1 ? HA_LEAF : HA_SCAN;
    block->frontier = NULL;
    block->span = 0;
    block->size = 0;
    block->cards = NULL;
}

size_t ha_object_capacity(uintptr_t object)
{
    const struct ha_block *block = ha_block_of(object);
    if (__atomic_load_n(&block->state, __ATOMIC_RELAXED) == HA_LARGE)
        return block->size;
    return block->cell - HEARTH_HEADER;
}

/* Metadata bytes at cell starts are marks, elsewhere nothing or a card of a marked cell. */
static hearth_status ha_check_meta(const struct ha_block *block)
{
    const uint8_t *meta = ha_block_meta(block);
    unsigned live = 0;
    unsigned stride = block->cell / HEARTH_GRANULE;
    for (unsigned granule = 0; granule < HA_BLOCK_GRANULES; granule++) {
        uint8_t byte = ha_mark_load(&meta[granule]);
        if (byte == 0)
            continue;
        unsigned offset = granule - HA_FIRST_GRANULE;
        bool inside = granule >= HA_FIRST_GRANULE && granule < block->end;
        if (inside && offset % stride == 0 && !(byte & HA_CARD)) {
            live++;
            continue;
        }
        if (inside && byte == HA_CARD && ha_mark_load(&meta[granule - offset % stride]) != 0)
            continue;
        return ht_fail(HEARTH_ECORRUPT, "block %p (cells of %u bytes): metadata byte %u is 0x%02x",
                       (void *)ha_block_start(block), block->cell, granule, byte);
    }
    if (live != block->live && block->state != HA_CURRENT)
        return ht_fail(HEARTH_ECORRUPT, "block %p: %u cells are marked, its header says %u",
                       (void *)ha_block_start(block), live, block->live);
    return HEARTH_OK;
}

/* The header's copies of what its size class says. */
static bool ha_cells_right(const struct ha_block *block)
{
    if (block->size_class >= HEARTH_CLASSES || block->cell != ha_class_cell(block->size_class))
        return false;
    unsigned cells = (HA_BLOCK - HEARTH_HEADER) / block->cell;
    return block->cells == cells &&
           block->end == HA_FIRST_GRANULE + cells * (block->cell / HEARTH_GRANULE) &&
           block->reciprocal == (((uint64_t)1 << 32) + block->cell - 1) / block->cell;
}

/* The frontier is the block's start (nothing allocated), a cell's, or the block's end. */
static bool ha_frontier_right(const struct ha_block *block)
{
    if (block->frontier == NULL)
        return true;
    size_t offset = (size_t)(block->frontier - ha_block_start(block));
    return offset == 0 || offset == HA_BLOCK ||
           (offset < HA_BLOCK && offset % block->cell == HEARTH_HEADER);
}

hearth_status ha_block_check(const struct ha_block *block)
{
    char *start = ha_block_start(block);
    if (!ha_cells_right(block) || block->kind > HA_LEAF || block->live > block->cells ||
        block->frozen > block->live)
        return ht_fail(HEARTH_ECORRUPT,
                       "block %p: class %u, cell %u, kind %u, live %u of %u, %u frozen",
                       (void *)start, block->size_class, block->cell, block->kind, block->live,
                       block->cells, block->frozen);
    if (!ha_frontier_right(block))
        return ht_fail(HEARTH_ECORRUPT, "block %p: frontier %p is no cell of it", (void *)start,
                       (void *)block->frontier);
    if (block->frontier != NULL && !block->young)
        return ht_fail(HEARTH_ECORRUPT, "block %p has young cells and is in no young list",
                       (void *)start);
    return ha_check_meta(block);
}
