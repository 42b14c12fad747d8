/* alloc/age.c - giving the memory of idle blocks back to the system, and checking a pool.
 *
 * Runs on the keeper thread about every half of `release-after`. It holds pool->ageing throughout, so
 * that a collection waits for at most one batch, and pool->lock only to unlink and relink. A batch
 * is small: madvise of 64 KiB takes about 2 microseconds and takes no lock of ours. */
#include <sys/mman.h>

#include "alloc/large.h"
#include "topology/error.h"
#include "topology/os.h"

enum { HA_AGE_BATCH = 32 };

/* Unlink up to a batch of the oldest FREE blocks that are old enough. */
static unsigned ha_age_collect(struct ha_pool *pool, struct ha_block **batch, uint32_t now_ms,
                               uint32_t keep_ms)
{
    unsigned n = 0;
    pthread_mutex_lock(&pool->lock);
    while (n < HA_AGE_BATCH && pool->free.tail != NULL &&
           now_ms - pool->free.tail->stamp >= keep_ms) {
        struct ha_block *block = pool->free.tail;
        ha_list_remove(&pool->free, block);
        ha_chunk_of(block)->free_mask &= ~((uint64_t)1 << ha_block_number(block));
        batch[n++] = block;
    }
    pthread_mutex_unlock(&pool->lock);
    return n;
}

/* The chunk is wholly cold: unlink it; its address space serves the next one who needs a chunk. */
static bool ha_age_chunk(struct ha_pool *pool, struct ha_chunk *chunk)
{
    const uint64_t all = ~(uint64_t)0 << HA_HEAD_BLOCKS;
    if (chunk->cold_mask != all)
        return false;
    for (unsigned i = HA_HEAD_BLOCKS; i < HA_CHUNK_BLOCKS; i++)
        ha_list_remove(&pool->cold, ha_block_at(chunk, i));
    if (chunk->prev != NULL)
        chunk->prev->next = chunk->next;
    else
        pool->chunks = chunk->next;
    if (chunk->next != NULL)
        chunk->next->prev = chunk->prev;
    pool->chunk_count--;
    return true;
}

static bool ha_age_batch(struct ha_pool *pool, uint32_t now_ms, uint32_t keep_ms)
{
    struct ha_block *batch[HA_AGE_BATCH];
    struct ha_chunk *empty[HA_AGE_BATCH];
    unsigned empties = 0;
    unsigned n = ha_age_collect(pool, batch, now_ms, keep_ms);
    bool given[HA_AGE_BATCH];
    for (unsigned i = 0; i < n; i++)
        given[i] = ht_os_advise(ha_block_start(batch[i]), HA_BLOCK, MADV_DONTNEED);
    pthread_mutex_lock(&pool->lock);
    for (unsigned i = 0; i < n; i++) {
        struct ha_chunk *chunk = ha_chunk_of(batch[i]);
        uint64_t bit = (uint64_t)1 << ha_block_number(batch[i]);
        chunk->free_mask |= bit;
        if (!given[i]) { /* refused: stays as it is, tried again after another period */
            batch[i]->stamp = now_ms;
            ha_list_push(&pool->free, batch[i]);
            continue;
        }
        batch[i]->state = HA_COLD;
        chunk->cold_mask |= bit;
        ha_list_push(&pool->cold, batch[i]);
        pool->released += HA_BLOCK;
        if (ha_age_chunk(pool, chunk))
            empty[empties++] = chunk;
    }
    pthread_mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < empties; i++)
        ha_chunk_give(pool->windows, empty[i]);
    return n == HA_AGE_BATCH;
}

void ha_pool_age(struct ha_pool *pool, uint32_t now_ms, uint32_t keep_ms)
{
    bool more = true;
    while (more && pthread_mutex_trylock(&pool->ageing) == 0) {
        more = ha_age_batch(pool, now_ms, keep_ms);
        pthread_mutex_unlock(&pool->ageing);
    }
}

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
