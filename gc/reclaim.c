/* gc/reclaim.c - eager sweep: young blocks after a minor collection, all blocks after a full one.
 *
 * Eager, not lazy: sweeping costs 1-3 % of the time here and makes the accounting exact. Workers take
 * chunks of a pool, or all of its young blocks, their own node's first; pool->lock guards the lists they put
 * blocks into. */
#include "gc/reclaim.h"

#include <string.h>

#include "alloc/large.h"
#include "alloc/sweep.h"
#include "gc/crew.h"
#include "topology/os.h"

enum {
    HG_SWEEP_ALONE = 1024,     /* blocks below which helpers are not worth calling: 64 MiB  */
    HG_SWEEP_FOREIGN = 32,     /* the same of another node: 2 MiB                           */
    HG_SWEEP_YOUNG = 128,      /* the same in a minor collection, which skips most of them  */
    HG_SWEEP_WAIT_NS = 1000000 /* how long other nodes' workers are waited for              */
};

struct hg_sweep {
    hearth_heap *heap;
    uint8_t dead_a, dead_b, gen1;
    uint32_t now_ms;
    int node;     /* the collecting thread's          */
    bool full;    /* else young blocks alone are swept */
    bool foreign; /* minor: another node has many      */
    bool called;  /* helpers were                      */
};

/* Account for a swept block and put it into its list; pool->lock is held. */
static void hg_sort_block(struct hg_sweep *sweep, struct ha_pool *pool, struct ha_block *block,
                          uint32_t before, struct ha_swept swept)
{
    int64_t gained = (int64_t)swept.live - (int64_t)before;
    pool->live_objects += (uint64_t)gained;
    pool->live_bytes += (uint64_t)(gained * (int64_t)block->cell);
    if (swept.live == 0) {
        ha_pool_free(pool, block, 1, sweep->now_ms);
        ha_space_refund(&sweep->heap->space, 1);
        return;
    }
    if (swept.aging)
        ha_pool_add_young(pool, block);
    ha_pool_sort(pool, block);
}

static struct ha_swept hg_sweep_one(struct hg_sweep *sweep, struct ha_block *block)
{
    struct ha_swept swept = ha_sweep_block(block, sweep->dead_a, sweep->dead_b, sweep->gen1);
    if (sweep->heap->space.poison)
        ha_poison_block(block);
    if (sweep->heap->space.hides)
        ha_hide_block(block);
    return swept;
}

/* Minor: the pool's list of young blocks is to be taken, whole, by who sweeps them. */
static void hg_sweep_young_begin(struct ha_pool *pool)
{
    pool->sweep_young = pool->young;
    pool->young = NULL;
    pool->young_blocks = 0;
}

/* Minor: the blocks that were allocated from, or hold generation 1. */
static void hg_sweep_young(struct hg_sweep *sweep, struct ha_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    struct ha_block *block = pool->sweep_young, *next;
    pool->sweep_young = NULL;
    for (; block != NULL; block = next) {
        next = block->young_next;
        block->young = 0;
        ha_pool_unsort(pool, block);
        uint32_t before = block->live;
        struct ha_swept swept = hg_sweep_one(sweep, block);
        hg_sort_block(sweep, pool, block, before, swept);
    }
    pthread_mutex_unlock(&pool->lock);
}

/* Full: the pool forgets its lists; every block is put into one again. */
static void hg_sweep_begin(struct ha_pool *pool)
{
    for (struct ha_block *block = pool->young; block != NULL; block = block->young_next)
        block->young = 0;
    pool->young = NULL;
    pool->young_blocks = 0;
    memset(pool->partial, 0, sizeof pool->partial);
    pool->partial_bytes = 0;
    pool->sweep = pool->chunks;
}

/* One chunk's blocks; false: the pool has no more chunks. */
static bool hg_sweep_chunk(struct hg_sweep *sweep, struct ha_pool *pool)
{
    uint32_t before[HA_CHUNK_BLOCKS];
    struct ha_swept swept[HA_CHUNK_BLOCKS];
    pthread_mutex_lock(&pool->lock);
    struct ha_chunk *chunk = pool->sweep;
    if (chunk != NULL)
        pool->sweep = chunk->next;
    pthread_mutex_unlock(&pool->lock);
    if (chunk == NULL)
        return false;
    uint64_t cells = 0;
    for (unsigned i = HA_HEAD_BLOCKS; i < HA_CHUNK_BLOCKS; i++) {
        struct ha_block *block = ha_block_at(chunk, i);
        if (block->state != HA_PARTIAL && block->state != HA_FULL)
            continue;
        cells |= (uint64_t)1 << i;
        before[i] = block->live;
        swept[i] = hg_sweep_one(sweep, block);
    }
    pthread_mutex_lock(&pool->lock);
    for (; cells != 0; cells &= cells - 1) {
        unsigned i = (unsigned)__builtin_ctzll(cells);
        hg_sort_block(sweep, pool, ha_block_at(chunk, i), before[i], swept[i]);
    }
    pthread_mutex_unlock(&pool->lock);
    return true;
}

static void hg_sweep_pool(struct hg_sweep *sweep, int node)
{
    struct ha_pool *pool = sweep->heap->space.pool[node];
    if (!sweep->full)
        hg_sweep_young(sweep, pool);
    while (sweep->full && hg_sweep_chunk(sweep, pool))
        ;
}

static bool hg_sweep_left(struct hg_sweep *sweep)
{
    bool left = false;
    for (int n = 0; n < sweep->heap->space.nodes && !left; n++) {
        struct ha_pool *pool = sweep->heap->space.pool[n];
        pthread_mutex_lock(&pool->lock);
        left = pool->sweep != NULL || pool->sweep_young != NULL;
        pthread_mutex_unlock(&pool->lock);
    }
    return left;
}

/* The collecting thread leaves other nodes' chunks to their own workers, if they come soon. */
static void hg_sweep_wait(struct hg_sweep *sweep)
{
    static uint32_t never;
    uint64_t begin = ht_os_now();
    while (sweep->called && hg_sweep_left(sweep) && ht_os_now() - begin < HG_SWEEP_WAIT_NS)
        ht_os_sleep(&never, 0, HG_SWEEP_WAIT_NS / 20);
}

/* A worker's part: its own node's chunks, then those of the others, nearest first. */
static void hg_sweep_help(void *data, int number)
{
    struct hg_sweep *sweep = data;
    hearth_heap *heap = sweep->heap;
    int home = number == 0 ? sweep->node : hg_crew_node(heap->crew, number);
    const uint8_t *order = heap->topology->node[home].order;
    int phase = number != 0 ? hg_observe_helper_begin(heap, number, home) : HG_PHASE_NONE;
    hg_sweep_pool(sweep, home);
    if (number == 0)
        hg_sweep_wait(sweep);
    for (int i = 1; i < heap->space.nodes; i++)
        hg_sweep_pool(sweep, order[i]);
    if (number != 0)
        hg_observe_helper_end(heap, number, home, phase);
}

/* Is more to be swept than one thread should? Of other nodes, whatever takes longer than calling. */
static bool hg_sweep_calls(const struct hg_sweep *sweep)
{
    const struct ha_space *space = &sweep->heap->space;
    if (!sweep->full)
        return sweep->foreign;
    for (int n = 0; n < space->nodes; n++)
        if (n != sweep->node && space->pool[n]->used >= HG_SWEEP_FOREIGN)
            return true;
    return space->used > HG_SWEEP_ALONE;
}

static void hg_sweep_blocks(struct hg_sweep *sweep)
{
    struct hg_crew *crew = sweep->heap->crew;
    sweep->called = crew->size > 0 && hg_sweep_calls(sweep);
    if (sweep->called) {
        hg_crew_open(crew, hg_sweep_help, sweep);
        hg_crew_call(crew, HG_CREW_MAX);
    }
    hg_sweep_help(sweep, 0);
    if (sweep->called)
        hg_crew_close(crew);
}

/* Large objects: marked ones are old from now on; the others go. */
static void hg_sweep_large(struct hg_sweep *sweep, struct ha_pool *pool, struct ha_list *list)
{
    hearth_heap *heap = sweep->heap;
    for (struct ha_block *block = list->head, *next; block != NULL; block = next) {
        next = block->next;
        if (hg_mark_is_old(&heap->marks, ha_mark_load(ha_meta_of(ha_large_object(block))))) {
            if (list == &pool->large_young) {
                ha_list_remove(list, block);
                ha_list_append(&pool->large_old, block);
                block->live = 1;
                pool->live_objects++;
                pool->live_bytes += block->size;
            }
            continue;
        }
        ha_list_remove(list, block);
        pool->live_objects -= block->live;
        pool->live_bytes -= block->live ? block->size : 0;
        ha_large_give(&heap->space, pool, block, sweep->now_ms);
    }
}

void hg_reclaim(hearth_heap *heap, bool full, int node)
{
    struct hg_sweep sweep = {.heap = heap,
                             .dead_a = heap->marks.gen1_before,
                             .dead_b = full ? heap->marks.old_before : heap->marks.gen1_before,
                             .gen1 = heap->marks.gen1,
                             .now_ms = ha_space_clock(),
                             .node = node,
                             .full = full};
    for (int n = 0; n < heap->space.nodes; n++) {
        struct ha_pool *pool = heap->space.pool[n];
        pthread_mutex_lock(&pool->lock); /* threads in native sections read statistics */
        if (full)
            hg_sweep_large(&sweep, pool, &pool->large_old);
        hg_sweep_large(&sweep, pool, &pool->large_young);
        sweep.foreign |= !full && n != node && pool->young_blocks >= HG_SWEEP_YOUNG;
        if (full)
            hg_sweep_begin(pool);
        else
            hg_sweep_young_begin(pool);
        pthread_mutex_unlock(&pool->lock);
    }
    hg_sweep_blocks(&sweep);
}
