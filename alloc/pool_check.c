/* alloc/pool_check.c - checking a pool: its lists, chunks, counters and blocks.
 *
 * Reads only. The world is stopped and the caller holds pool->ageing, so that nothing changes
 * meanwhile; no lock is taken. The first broken invariant is reported through ht_fail. */
#include "alloc/large.h"
#include "topology/error.h"

static hearth_status ha_check_list(const struct ha_list *list, unsigned state, const char *name)
{
    size_t n = 0;
    for (const struct ha_block *block = list->head; block != NULL; block = block->next, n++) {
        if (block->state != state || (block->next != NULL && block->next->prev != block) ||
            n > list->count)
            return ht_fail(HEARTH_ECORRUPT, "block %p in the %s list has state %u",
                           (void *)ha_block_start(block), name, block->state);
    }
    if (n != list->count)
        return ht_fail(HEARTH_ECORRUPT, "the %s list has %zu blocks, its count says %zu", name, n,
                       list->count);
    return HEARTH_OK;
}

/* One chunk: masks against states; every block with cells. Adds up what is used. */
static hearth_status ha_check_chunk(struct ha_pool *pool, struct ha_chunk *chunk, size_t *used)
{
    if (chunk->pool != pool || chunk->span != 1 ||
        ha_node_of(pool->windows, (uintptr_t)chunk) != pool->node)
        return ht_fail(HEARTH_ECORRUPT, "chunk %p is not node %d's", (void *)chunk, pool->node);
    for (unsigned i = HA_HEAD_BLOCKS; i < HA_CHUNK_BLOCKS; i++) {
        struct ha_block *block = ha_block_at(chunk, i);
        bool in_free = chunk->free_mask >> i & 1, in_cold = chunk->cold_mask >> i & 1;
        bool is_free = block->state == HA_FREE || block->state == HA_COLD;
        if (in_free != is_free || in_cold != (block->state == HA_COLD) || block->state == HA_NONE ||
            block->state > HA_TAIL)
            return ht_fail(HEARTH_ECORRUPT, "block %p: state %u, free bit %d, cold bit %d",
                           (void *)ha_block_start(block), block->state, in_free, in_cold);
        *used += !is_free;
        if (is_free || block->state >= HA_LARGE)
            continue;
        hearth_status status = ha_block_check(block);
        if (status != HEARTH_OK)
            return status;
    }
    return HEARTH_OK;
}

static hearth_status ha_check_lists(struct ha_pool *pool, size_t *large, size_t *spans)
{
    hearth_status status = ha_check_list(&pool->free, HA_FREE, "free");
    if (status == HEARTH_OK)
        status = ha_check_list(&pool->cold, HA_COLD, "cold");
    for (unsigned run = 0; status == HEARTH_OK && run < HEARTH_RUNS; run++)
        for (unsigned b = 0; status == HEARTH_OK && b < HA_BUCKETS; b++)
            status = ha_check_list(&pool->partial[run][b], HA_PARTIAL, "partial");
    struct ha_list *lists[] = {&pool->large_young, &pool->large_old};
    for (int i = 0; status == HEARTH_OK && i < 2; i++) {
        status = ha_check_list(lists[i], HA_LARGE, i == 0 ? "large young" : "large old");
        for (struct ha_block *b = lists[i]->head; status == HEARTH_OK && b != NULL; b = b->next) {
            *large += b->size;
            *spans += b->span ? ha_large_blocks(b->size) : 0;
        }
    }
    return status;
}

hearth_status ha_pool_check(struct ha_pool *pool)
{
    size_t used = 0, chunks = 0, large = 0, young = 0;
    if (!ha_classes_check(&pool->classes))
        return ht_fail(HEARTH_ECORRUPT, "node %d: the size-class table is damaged", pool->node);
    hearth_status status = ha_check_lists(pool, &large, &used);
    for (struct ha_chunk *c = pool->chunks; status == HEARTH_OK && c != NULL; c = c->next, chunks++)
        status = ha_check_chunk(pool, c, &used);
    if (status != HEARTH_OK)
        return status;
    for (struct ha_block *b = pool->young; b != NULL; b = b->young_next, young++)
        if (!b->young || b->state < HA_CURRENT || b->state >= HA_LARGE || young > used)
            return ht_fail(HEARTH_ECORRUPT, "block %p in the young list has state %u",
                           (void *)ha_block_start(b), b->state);
    if (used != pool->used || chunks != pool->chunk_count || large != pool->large_bytes)
        return ht_fail(HEARTH_ECORRUPT,
                       "node %d: %zu blocks, %zu chunks, %zu large bytes; counted %zu, %zu, %zu",
                       pool->node, pool->used, pool->chunk_count, pool->large_bytes, used, chunks,
                       large);
    return HEARTH_OK;
}
