/* alloc/pool.c - taking blocks from a node's pool and putting them back.
 *
 * Invariant: a block is in exactly one place: a mutator's hands (CURRENT), one list (FREE, COLD,
 * PARTIAL, LARGE), or none (FULL, TAIL). free_mask and cold_mask of its chunk agree with its state.
 * Reuse is LIFO: what was freed last is warm in the cache. Lock order: see pool.h. */
#include "alloc/pool.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "alloc/meta.h"
#include "alloc/space.h"
#include "alloc/window_state.h"
#include "topology/error.h"
#include "topology/os.h"

void ha_list_push(struct ha_list *list, struct ha_block *block)
{
    block->prev = NULL;
    block->next = list->head;
    if (list->head != NULL)
        list->head->prev = block;
    else
        list->tail = block;
    list->head = block;
    list->count++;
}

void ha_list_append(struct ha_list *list, struct ha_block *block)
{
    block->next = NULL;
    block->prev = list->tail;
    if (list->tail != NULL)
        list->tail->next = block;
    else
        list->head = block;
    list->tail = block;
    list->count++;
}

void ha_list_remove(struct ha_list *list, struct ha_block *block)
{
    if (block->prev != NULL)
        block->prev->next = block->next;
    else
        list->head = block->next;
    if (block->next != NULL)
        block->next->prev = block->prev;
    else
        list->tail = block->prev;
    block->next = block->prev = NULL;
    list->count--;
}

struct ha_pool *ha_pool_create(struct ha_windows *windows, int node, void *owner)
{
    struct ha_pool *pool = ha_meta_near(windows, node, sizeof *pool);
    if (pool == NULL) {
        ht_fail(HEARTH_ENOMEM, "node %d has no memory for its pool (%zu bytes)", node,
                sizeof *pool);
        return NULL;
    }
    memset(pool, 0, sizeof *pool);
    pthread_mutex_init(&pool->lock, NULL);
    pthread_mutex_init(&pool->ageing, NULL);
    pool->windows = windows;
    pool->node = node;
    pool->owner = owner;
    ha_classes_init(&pool->classes);
    ha_room_init(&pool->room, ha_windows_asked(windows, node), ha_windows_strict(windows),
                 HA_ROOM_POOL);
    return pool;
}

void ha_pool_leave(struct ha_pool *pool, struct ha_chunk *chunk)
{
    if (pool->hides)
        ha_guard_show(chunk, chunk->span * HA_CHUNK);
    ha_chunk_give(pool->windows, chunk);
}

static void ha_give_large(struct ha_pool *pool, struct ha_list *list)
{
    for (struct ha_block *block = list->head, *next; block != NULL; block = next) {
        next = block->next;
        if (block->span)
            ha_pool_leave(pool, ha_chunk_of(block));
    }
}

void ha_pool_destroy(struct ha_pool *pool)
{
    struct ha_windows *windows = pool->windows;
    ha_give_large(pool, &pool->large_young);
    ha_give_large(pool, &pool->large_old);
    for (struct ha_chunk *chunk = pool->chunks, *next; chunk != NULL; chunk = next) {
        next = chunk->next;
        ha_pool_leave(pool, chunk);
    }
    pthread_mutex_destroy(&pool->lock);
    pthread_mutex_destroy(&pool->ageing);
    ha_meta_back(windows, pool, sizeof *pool);
}

static void ha_partial_remove(struct ha_pool *pool, struct ha_block *block)
{
    unsigned run = block->size_class * 2u + block->kind;
    ha_list_remove(&pool->partial[run][block->bucket], block);
    if (block->bucket < HA_BUCKET_TENTH)
        pool->partial_bytes -= (size_t)(block->cells - block->live) * block->cell;
}

static struct ha_block *ha_partial_pop(struct ha_pool *pool, unsigned run, unsigned bucket)
{
    struct ha_block *block = pool->partial[run][bucket].head;
    if (block != NULL) {
        ha_partial_remove(pool, block);
        __atomic_store_n(&block->state, HA_CURRENT, __ATOMIC_RELEASE);
        block->stamp = 0; /* its free cells are not zero */
        ha_pool_add_young(pool, block);
    }
    return block;
}

/* The first block of the run in the buckets `first` .. `last`; the lock is held. */
static struct ha_block *ha_partial_first(struct ha_pool *pool, unsigned run, unsigned first,
                                         unsigned last)
{
    struct ha_block *block = NULL;
    for (unsigned bucket = first; block == NULL && bucket <= last; bucket++)
        block = ha_partial_pop(pool, run, bucket);
    return block;
}

struct ha_block *ha_pool_reuse(struct ha_pool *pool, unsigned run, unsigned first, unsigned last)
{
    pthread_mutex_lock(&pool->lock);
    struct ha_block *block = ha_partial_first(pool, run, first, last);
    pthread_mutex_unlock(&pool->lock);
    return block;
}

struct ha_block *ha_pool_borrow(struct ha_pool *pool, unsigned run)
{
    struct ha_block *block = NULL;
    pthread_mutex_lock(&pool->lock);
    for (run += 2; block == NULL && run < HEARTH_RUNS; run += 2)
        block = ha_partial_first(pool, run, HA_BUCKET_HALF, HA_BUCKET_FROZEN);
    pthread_mutex_unlock(&pool->lock);
    return block;
}

/* A new chunk's blocks join the cold list. The lock is not held. */
static bool ha_pool_grow(struct ha_pool *pool)
{
    struct ha_chunk *chunk = ha_chunk_take(pool->windows, pool->node, 1, pool->owner);
    if (chunk == NULL) {
        uint32_t now = ha_space_clock();
        __atomic_store_n(&pool->refused_ms, now != 0 ? now : 1, __ATOMIC_RELAXED);
        return false;
    }
    __atomic_store_n(&pool->refused_ms, 0, __ATOMIC_RELAXED);
    ha_chunk_format(chunk, pool, 1);
    if (pool->hides)
        ha_guard_hide(ha_block_start(ha_block_at(chunk, HA_HEAD_BLOCKS)),
                      (size_t)HA_DATA_BLOCKS * HA_BLOCK);
    pthread_mutex_lock(&pool->lock);
    chunk->next = pool->chunks;
    if (pool->chunks != NULL)
        pool->chunks->prev = chunk;
    pool->chunks = chunk;
    pool->chunk_count++;
    for (unsigned i = HA_HEAD_BLOCKS; i < HA_CHUNK_BLOCKS; i++)
        ha_list_append(&pool->cold, ha_block_at(chunk, i));
    pthread_mutex_unlock(&pool->lock);
    return true;
}

/* Unlink a free block; it keeps its FREE or COLD state. */
static void ha_free_unlink(struct ha_pool *pool, struct ha_block *block)
{
    struct ha_chunk *chunk = ha_chunk_of(block);
    uint64_t bit = (uint64_t)1 << ha_block_number(block);
    ha_list_remove(block->state == HA_COLD ? &pool->cold : &pool->free, block);
    chunk->free_mask &= ~bit;
    chunk->cold_mask &= ~bit;
}

/* pool->lock is held. */
static bool ha_has_room(struct ha_pool *pool, size_t bytes, enum ha_grow grow)
{
    return pool->room.os_node < 0 || grow == HA_GROW_ANYHOW ||
           ha_room_take(&pool->room, bytes, ha_space_clock());
}

bool ha_pool_room(struct ha_pool *pool, size_t bytes, enum ha_grow grow)
{
    pthread_mutex_lock(&pool->lock);
    bool room = ha_has_room(pool, bytes, grow);
    pthread_mutex_unlock(&pool->lock);
    return room;
}

struct ha_block *ha_pool_fresh(struct ha_pool *pool, unsigned run, enum ha_grow grow)
{
    for (;;) {
        pthread_mutex_lock(&pool->lock);
        struct ha_block *block = pool->free.head != NULL ? pool->free.head : pool->cold.head;
        bool full = block != NULL && block->state == HA_COLD && !ha_has_room(pool, HA_BLOCK, grow);
        if (full)
            block = NULL;
        if (block != NULL) {
            ha_free_unlink(pool, block);
            block->stamp = block->state == HA_COLD; /* CURRENT: 1 if its memory is zero */
            ha_block_format(block, &pool->classes, run);
            __atomic_store_n(&block->state, HA_CURRENT, __ATOMIC_RELEASE);
            pool->used++;
            ha_pool_add_young(pool, block);
        }
        pthread_mutex_unlock(&pool->lock);
        if (block != NULL || full || grow == HA_GROW_NEVER || !ha_pool_grow(pool))
            return block;
    }
}

/* Index of the lowest run of `count` ones in `mask`, or -1. */
static int ha_find_run(uint64_t mask, size_t count)
{
    size_t have = 1;
    while (mask != 0 && have < count) {
        size_t step = count - have < have ? count - have : have;
        mask &= mask >> step;
        have += step;
    }
    return mask == 0 ? -1 : __builtin_ctzll(mask);
}

static struct ha_block *ha_adjacent_locked(struct ha_pool *pool, size_t count, enum ha_grow grow,
                                           bool *zero, bool *full)
{
    for (struct ha_chunk *chunk = pool->chunks; chunk != NULL; chunk = chunk->next) {
        int first = ha_find_run(chunk->free_mask, count);
        if (first < 0)
            continue;
        uint64_t run = (((uint64_t)1 << (count - 1)) * 2 - 1) << first;
        size_t cold = (size_t)__builtin_popcountll(chunk->cold_mask & run);
        *full = cold != 0 && !ha_has_room(pool, cold * HA_BLOCK, grow);
        if (*full)
            return NULL;
        *zero = true;
        for (size_t i = 0; i < count; i++) {
            struct ha_block *block = ha_block_at(chunk, (unsigned)first + (unsigned)i);
            *zero &= block->state == HA_COLD;
            ha_free_unlink(pool, block);
            block->blocks = (uint16_t)(i == 0 ? count : i);
            __atomic_store_n(&block->state, i == 0 ? HA_LARGE : HA_TAIL, __ATOMIC_RELEASE);
        }
        pool->used += count;
        return ha_block_at(chunk, (unsigned)first);
    }
    return NULL;
}

struct ha_block *ha_pool_adjacent(struct ha_pool *pool, size_t count, enum ha_grow grow, bool *zero)
{
    bool full = false;
    for (;;) {
        pthread_mutex_lock(&pool->lock);
        struct ha_block *block = ha_adjacent_locked(pool, count, grow, zero, &full);
        pthread_mutex_unlock(&pool->lock);
        if (block != NULL || full || grow == HA_GROW_NEVER || !ha_pool_grow(pool))
            return block;
    }
}

void ha_pool_free(struct ha_pool *pool, struct ha_block *block, size_t count, uint32_t now_ms)
{
    struct ha_chunk *chunk = ha_chunk_of(block);
    unsigned first = ha_block_number(block);
    for (size_t i = 0; i < count; i++) {
        struct ha_block *each = ha_block_at(chunk, first + (unsigned)i);
        each->state = HA_FREE;
        each->live = 0;
        each->frontier = NULL;
        each->stamp = now_ms;
        chunk->free_mask |= (uint64_t)1 << (first + i);
        ha_list_push(&pool->free, each);
    }
    pool->used -= count;
}

void ha_pool_sort(struct ha_pool *pool, struct ha_block *block)
{
    unsigned vacant = block->cells - (unsigned)block->live;
    unsigned run = block->size_class * 2u + block->kind;
    unsigned percent = vacant * 100u / block->cells;
    if (percent < 10) {
        block->state = HA_FULL;
        return;
    }
    block->bucket = block->frozen   ? HA_BUCKET_FROZEN
                    : percent >= 50 ? HA_BUCKET_HALF
                    : percent >= 25 ? HA_BUCKET_QUARTER
                                    : HA_BUCKET_TENTH;
    block->state = HA_PARTIAL;
    ha_list_push(&pool->partial[run][block->bucket], block);
    if (block->bucket < HA_BUCKET_TENTH)
        pool->partial_bytes += (size_t)vacant * block->cell;
}

void ha_pool_unsort(struct ha_pool *pool, struct ha_block *block)
{
    if (block->state == HA_PARTIAL)
        ha_partial_remove(pool, block);
    block->state = HA_FULL;
}

void ha_pool_add_young(struct ha_pool *pool, struct ha_block *block)
{
    if (!block->young) {
        block->young = 1;
        block->young_next = pool->young;
        pool->young = block;
        pool->young_blocks++;
    }
}
