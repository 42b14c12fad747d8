/* alloc/age.c - giving the memory of idle blocks back to the system.
 *
 * Runs on the keeper thread about every half of `release-after`. It holds pool->ageing throughout, so
 * that a collection waits for at most one batch, and pool->lock only to unlink and relink. A batch
 * is small: madvise of 64 KiB takes about 2 microseconds and takes no lock of ours. */
#include <sys/mman.h>

#include "alloc/pool.h"
#include "topology/os.h"

enum { HA_AGE_BATCH = 32 };

/* A block may have been freed after the keeper read the clock; and the clock turns over. */
static bool ha_is_old(const struct ha_block *block, uint32_t now_ms, uint32_t keep_ms)
{
    int32_t age = (int32_t)(now_ms - block->stamp);
    return age >= 0 && (uint32_t)age >= keep_ms;
}

/* Unlink up to a batch of the oldest FREE blocks that are old enough. */
static unsigned ha_age_collect(struct ha_pool *pool, struct ha_block **batch, uint32_t now_ms,
                               uint32_t keep_ms)
{
    unsigned n = 0;
    pthread_mutex_lock(&pool->lock);
    while (n < HA_AGE_BATCH && pool->free.tail != NULL &&
           ha_is_old(pool->free.tail, now_ms, keep_ms)) {
        struct ha_block *block = pool->free.tail;
        ha_list_remove(&pool->free, block);
        ha_chunk_of(block)->free_mask &= ~((uint64_t)1 << ha_block_number(block));
        batch[n++] = block;
    }
    pthread_mutex_unlock(&pool->lock);
    return n;
}

/* Take a chunk whose blocks are all free out of the pool; its address space serves the next one who
 * needs a chunk. pool->lock is held. */
static void ha_chunk_unlink(struct ha_pool *pool, struct ha_chunk *chunk)
{
    for (unsigned i = HA_HEAD_BLOCKS; i < HA_CHUNK_BLOCKS; i++) {
        struct ha_block *block = ha_block_at(chunk, i);
        ha_list_remove(block->state == HA_COLD ? &pool->cold : &pool->free, block);
    }
    if (chunk->prev != NULL)
        chunk->prev->next = chunk->next;
    else
        pool->chunks = chunk->next;
    if (chunk->next != NULL)
        chunk->next->prev = chunk->prev;
    pool->chunk_count--;
    __atomic_store_n(&pool->refused_ms, 0, __ATOMIC_RELAXED); /* soon there is one to be had */
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
        __atomic_store_n(&batch[i]->state, HA_COLD, __ATOMIC_RELAXED);
        chunk->cold_mask |= bit;
        ha_list_push(&pool->cold, batch[i]);
        pool->released += HA_BLOCK;
        if (chunk->cold_mask == HA_ALL_BLOCKS) {
            ha_chunk_unlink(pool, chunk);
            empty[empties++] = chunk;
        }
    }
    pthread_mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < empties; i++)
        ha_pool_leave(pool, empty[i]);
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

size_t ha_pool_trim(struct ha_pool *pool)
{
    struct ha_chunk *empty = NULL;
    size_t count = 0;
    pthread_mutex_lock(&pool->lock);
    for (struct ha_chunk *chunk = pool->chunks, *next; chunk != NULL; chunk = next) {
        next = chunk->next;
        if (chunk->free_mask != HA_ALL_BLOCKS)
            continue;
        size_t warm = (size_t)__builtin_popcountll(chunk->free_mask & ~chunk->cold_mask);
        pool->released += warm << HA_BLOCK_SHIFT;
        ha_chunk_unlink(pool, chunk);
        chunk->next = empty;
        empty = chunk;
        count++;
    }
    pthread_mutex_unlock(&pool->lock);
    for (struct ha_chunk *next; empty != NULL; empty = next) {
        next = empty->next;
        ha_pool_leave(pool, empty);
    }
    return count;
}
