/* alloc/pool_check.c - checking a pool: its lists, chunks, counters and blocks.
 *
 * Lists are walked first, then chunks, each block being judged by its state; what the two walks count
 * must agree with each other and with the pool's counters. Reads only. The world is stopped and
 * the caller holds pool->ageing, so that nothing changes meanwhile; no lock is taken. The first
 * broken invariant is reported through ht_fail. */
#include "alloc/large.h"
#include "alloc/scan.h"
#include "topology/error.h"

/* What was counted on the way. */
struct ha_census {
    size_t state[HA_TAIL + 1]; /* blocks of ordinary chunks by state            */
    size_t chunks;             /* ordinary chunks                               */
    size_t spans;              /* large objects with chunks of their own        */
    size_t used;               /* blocks in use                                 */
    size_t partial;            /* blocks in the buckets                         */
    size_t partial_bytes;      /* free bytes in those that count                */
    size_t large_bytes;        /* payload of large objects                      */
    size_t young;              /* blocks that say they are in the young list    */
    size_t live_objects;       /* marked at the last sweep                      */
    size_t live_bytes;
};

/* Can this be a block header of the pool? Nothing is read but the slot table. */
static bool ha_is_header(const struct ha_pool *pool, const struct ha_block *block)
{
    const struct ha_windows *windows = pool->windows;
    uintptr_t at = (uintptr_t)block;
    if (!ha_windows_contain(windows, at) || ha_node_of(windows, at) != pool->node)
        return false;
    const struct ha_slot *slot = &windows->slot[(at - windows->base) >> HA_CHUNK_SHIFT];
    unsigned number = ha_block_number(block);
    return at % sizeof *block == 0 && number >= HA_HEAD_BLOCKS && number < HA_CHUNK_BLOCKS &&
           __atomic_load_n(&slot->owner, __ATOMIC_ACQUIRE) == pool->owner &&
           __atomic_load_n(&slot->head, __ATOMIC_RELAXED) == 0 && ha_chunk_of(block)->pool == pool;
}

/* Links, count and states. */
static hearth_status ha_check_list(const struct ha_pool *pool, const struct ha_list *list,
                                   unsigned state, const char *name)
{
    const struct ha_block *before = NULL;
    size_t n = 0;
    for (const struct ha_block *block = list->head; block != NULL; block = block->next, n++) {
        if (!ha_is_header(pool, block))
            return ht_fail(HEARTH_ECORRUPT, "the %s list of node %d leads to %p: no block of it",
                           name, pool->node, (const void *)block);
        if (block->state != state || block->prev != before || n == list->count)
            return ht_fail(HEARTH_ECORRUPT,
                           "block %p is number %zu of %zu in the %s list: state "
                           "%u, linked back to %p",
                           (void *)ha_block_start(block), n, list->count, name, block->state,
                           (void *)block->prev);
        before = block;
    }
    if (n != list->count || list->tail != before)
        return ht_fail(HEARTH_ECORRUPT,
                       "the %s list has %zu blocks and ends at %p; it says %zu "
                       "and %p",
                       name, n, (const void *)before, list->count, (void *)list->tail);
    return HEARTH_OK;
}

/* The bucket for a block, HA_BUCKETS for none. */
static unsigned ha_right_bucket(const struct ha_block *block)
{
    unsigned cells = block->cells, vacant = cells - (unsigned)block->live;
    if (block->frozen && 10 * vacant >= cells)
        return HA_BUCKET_FROZEN;
    return 2 * vacant >= cells    ? HA_BUCKET_HALF
           : 4 * vacant >= cells  ? HA_BUCKET_QUARTER
           : 10 * vacant >= cells ? HA_BUCKET_TENTH
                                  : HA_BUCKETS;
}

static hearth_status ha_check_bucket(const struct ha_pool *pool, unsigned run, unsigned bucket,
                                     struct ha_census *census)
{
    const struct ha_list *list = &pool->partial[run][bucket];
    hearth_status status = ha_check_list(pool, list, HA_PARTIAL, "partial");
    if (status != HEARTH_OK)
        return status;
    for (const struct ha_block *block = list->head; block != NULL; block = block->next) {
        if (block->size_class * 2u + block->kind != run || block->bucket != bucket ||
            block->live > block->cells || ha_right_bucket(block) != bucket)
            return ht_fail(HEARTH_ECORRUPT,
                           "block %p is in bucket %u of run %u: class %u, kind %u, bucket %u, "
                           "live %u of %u",
                           (void *)ha_block_start(block), bucket, run, block->size_class,
                           block->kind, block->bucket, block->live, block->cells);
        if (bucket < HA_BUCKET_TENTH)
            census->partial_bytes += (size_t)(block->cells - block->live) * block->cell;
    }
    census->partial += list->count;
    return HEARTH_OK;
}

static hearth_status ha_check_large(const struct ha_pool *pool, const struct ha_list *list,
                                    const char *name, struct ha_census *census)
{
    hearth_status status = ha_check_list(pool, list, HA_LARGE, name);
    if (status != HEARTH_OK)
        return status;
    for (const struct ha_block *block = list->head; block != NULL; block = block->next) {
        const struct ha_chunk *chunk = ha_chunk_of(block);
        size_t blocks = ha_large_blocks(block->size);
        bool right = block->span ? chunk->span > 1 && block->blocks == 0 &&
                                       ha_block_number(block) == HA_HEAD_BLOCKS
                                 : chunk->span == 1 && block->blocks == blocks;
        if (!right || block->size <= HA_SMALL_MAX || block->kind > HA_LEAF || block->live > 1)
            return ht_fail(HEARTH_ECORRUPT,
                           "large object %p in the %s list: %zu bytes, %u blocks, kind %u, span %u",
                           (void *)ha_large_object(block), name, block->size, block->blocks,
                           block->kind, block->span);
        census->spans += block->span;
        census->used += block->span ? blocks : 0;
        census->large_bytes += block->size;
        census->live_objects += block->live;
        census->live_bytes += block->live ? block->size : 0;
    }
    return HEARTH_OK;
}

static hearth_status ha_check_lists(const struct ha_pool *pool, struct ha_census *census)
{
    hearth_status status = ha_check_list(pool, &pool->free, HA_FREE, "free");
    if (status == HEARTH_OK)
        status = ha_check_list(pool, &pool->cold, HA_COLD, "cold");
    for (unsigned run = 0; status == HEARTH_OK && run < HEARTH_RUNS; run++)
        for (unsigned b = 0; status == HEARTH_OK && b < HA_BUCKETS; b++)
            status = ha_check_bucket(pool, run, b, census);
    if (status == HEARTH_OK)
        status = ha_check_large(pool, &pool->large_young, "large young", census);
    if (status == HEARTH_OK)
        status = ha_check_large(pool, &pool->large_old, "large old", census);
    return status;
}

/* A free block has no marks, no cards and no young objects. */
static hearth_status ha_check_free(const struct ha_block *block)
{
    const uint8_t *meta = ha_block_meta(block);
    uint64_t set = 0;
    for (unsigned word = 0; word < HA_BLOCK_WORDS; word++)
        set |= ha_nonzero64(meta + 64 * word);
    if (set != 0 || block->live != 0 || block->frontier != NULL || block->young)
        return ht_fail(HEARTH_ECORRUPT, "free block %p: %s, live %u, frontier %p, young %u",
                       (void *)ha_block_start(block), set != 0 ? "metadata" : "no metadata",
                       block->live, (void *)block->frontier, block->young);
    return HEARTH_OK;
}

/* The tail blocks of a large object follow it, and only those; `left` counts down. */
static hearth_status ha_check_tail(const struct ha_block *block, unsigned *left, unsigned *behind)
{
    bool head = block->state == HA_LARGE, tail = block->state == HA_TAIL;
    if (tail != (*left != 0) || (tail && block->blocks != *behind) ||
        (head && (block->blocks == 0 ||
                  ha_block_number(block) + block->blocks > (unsigned)HA_CHUNK_BLOCKS)))
        return ht_fail(HEARTH_ECORRUPT, "block %p: state %u, %u blocks; %u of a large object to go",
                       (void *)ha_block_start(block), block->state, block->blocks, *left);
    if (head) {
        *left = block->blocks - 1u;
        *behind = 1;
    } else if (tail) {
        --*left;
        ++*behind;
    }
    return HEARTH_OK;
}

/* State against the masks, then what the state promises. */
static hearth_status ha_check_state(const struct ha_chunk *chunk, const struct ha_block *block,
                                    struct ha_census *census)
{
    unsigned i = ha_block_number(block);
    bool in_free = chunk->free_mask >> i & 1, in_cold = chunk->cold_mask >> i & 1;
    bool is_free = block->state == HA_FREE || block->state == HA_COLD;
    if (in_free != is_free || in_cold != (block->state == HA_COLD) || block->state == HA_NONE ||
        block->state > HA_TAIL)
        return ht_fail(HEARTH_ECORRUPT, "block %p: state %u, free bit %d, cold bit %d",
                       (void *)ha_block_start(block), block->state, in_free, in_cold);
    census->state[block->state]++;
    census->used += !is_free;
    if (is_free)
        return ha_check_free(block);
    if (block->state >= HA_LARGE)
        return HEARTH_OK;
    census->young += block->young;
    census->live_objects += block->live;
    census->live_bytes += (size_t)block->live * block->cell;
    return ha_block_check(block);
}

static hearth_status ha_check_chunk(const struct ha_pool *pool, struct ha_chunk *chunk,
                                    const struct ha_chunk *before, struct ha_census *census)
{
    if (!ha_is_header(pool, ha_block_at(chunk, HA_HEAD_BLOCKS)) || chunk->span != 1 ||
        chunk->prev != before || ((chunk->free_mask | chunk->cold_mask) & ~HA_ALL_BLOCKS) != 0 ||
        census->chunks == pool->chunk_count)
        return ht_fail(HEARTH_ECORRUPT, "chunk %p is not number %zu of %zu of node %d",
                       (void *)chunk, census->chunks, pool->chunk_count, pool->node);
    census->chunks++;
    unsigned left = 0, behind = 0;
    for (unsigned i = HA_HEAD_BLOCKS; i < HA_CHUNK_BLOCKS; i++) {
        const struct ha_block *block = ha_block_at(chunk, i);
        hearth_status status = ha_check_tail(block, &left, &behind);
        if (status == HEARTH_OK)
            status = ha_check_state(chunk, block, census);
        if (status != HEARTH_OK)
            return status;
    }
    return HEARTH_OK;
}

static hearth_status ha_check_young(const struct ha_pool *pool, const struct ha_census *census)
{
    size_t n = 0;
    for (const struct ha_block *b = pool->young; b != NULL; b = b->young_next, n++)
        if (!ha_is_header(pool, b) || !b->young || b->state < HA_CURRENT || b->state >= HA_LARGE ||
            n == census->young)
            return ht_fail(HEARTH_ECORRUPT, "node %d: block header %p is number %zu of %zu young",
                           pool->node, (const void *)b, n, census->young);
    if (n != census->young || n != pool->young_blocks)
        return ht_fail(HEARTH_ECORRUPT,
                       "node %d: %zu blocks are young, %zu are listed, %zu are counted", pool->node,
                       census->young, n, pool->young_blocks);
    return HEARTH_OK;
}

/* The walks against each other and the counters. */
static hearth_status ha_check_counters(const struct ha_pool *pool, const struct ha_census *census)
{
    const struct {
        const char *what;
        size_t says, counted;
    } rows[] = {
        {"chunks", pool->chunk_count, census->chunks},
        {"blocks in use", pool->used, census->used},
        {"free blocks", pool->free.count, census->state[HA_FREE]},
        {"cold blocks", pool->cold.count, census->state[HA_COLD]},
        {"partly free blocks", census->partial, census->state[HA_PARTIAL]},
        {"large objects in blocks", pool->large_young.count + pool->large_old.count - census->spans,
         census->state[HA_LARGE]},
        {"free bytes in buckets", pool->partial_bytes, census->partial_bytes},
        {"bytes of large objects", pool->large_bytes, census->large_bytes},
        {"live objects", pool->live_objects, census->live_objects},
        {"live bytes", pool->live_bytes, census->live_bytes},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].says != rows[i].counted)
            return ht_fail(HEARTH_ECORRUPT, "node %d: %zu %s, counted %zu", pool->node,
                           rows[i].says, rows[i].what, rows[i].counted);
    return HEARTH_OK;
}

hearth_status ha_pool_check(struct ha_pool *pool)
{
    struct ha_census census = {.chunks = 0};
    if (!ha_classes_check(&pool->classes))
        return ht_fail(HEARTH_ECORRUPT, "node %d: the size-class table is damaged", pool->node);
    hearth_status status = ha_check_lists(pool, &census);
    const struct ha_chunk *before = NULL;
    for (struct ha_chunk *chunk = pool->chunks; status == HEARTH_OK && chunk != NULL;) {
        status = ha_check_chunk(pool, chunk, before, &census);
        before = chunk;
        chunk = status == HEARTH_OK ? chunk->next : NULL;
    }
    if (status == HEARTH_OK)
        status = ha_check_young(pool, &census);
    if (status == HEARTH_OK)
        status = ha_check_counters(pool, &census);
    return status;
}
