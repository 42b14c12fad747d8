/* alloc/space.c - pools of all nodes under one budget; spilling to the nearest node with room.
 *
 * Lock order: none held when a pool is entered. Node: the struct is part of its heap. */
#include "alloc/space.h"

#include <string.h>

#include "alloc/window_state.h"
#include "topology/error.h"
#include "topology/os.h"

enum { HA_BARREN_MS = 10 }; /* a window that was full is not asked again for so long */

uint32_t ha_space_clock(void)
{
    return (uint32_t)(ht_os_now() / 1000000u);
}

/* Keeper thread: give back idle memory of every pool. */
static void ha_space_age(void *data)
{
    struct ha_space *space = data;
    for (int n = 0; n < space->nodes; n++)
        ha_pool_age(space->pool[n], ha_space_clock(), space->keep_ms);
}

hearth_status ha_space_init(struct ha_space *space, const struct hearth_topology *topology,
                            const struct hearth_options *options, void *owner)
{
    memset(space, 0, sizeof *space);
    hearth_status status = ha_windows_get(&space->windows, topology, options);
    if (status != HEARTH_OK)
        return status;
    space->topology = topology;
    space->owner = owner;
    space->strict = options->policy == HT_POLICY_STRICT;
    space->poison = space->checked = options->poison;
    space->keep_ms = (uint32_t)options->release_after;
    for (int n = 0; n < topology->nodes; n++) {
        space->pool[n] = ha_pool_create(space->windows, n, owner);
        if (space->pool[n] == NULL) {
            ha_space_destroy(space);
            return HEARTH_ENOMEM;
        }
        space->nodes = n + 1;
    }
    if (space->keep_ms != 0) {
        unsigned period = space->keep_ms / 2 < 10 ? 10 : space->keep_ms / 2;
        status = ha_keeper_watch(space->windows, ha_space_age, space, period);
        if (status != HEARTH_OK) {
            space->keep_ms = 0;
            ha_space_destroy(space);
        }
    }
    return status;
}

void ha_space_destroy(struct ha_space *space)
{
    if (space->keep_ms != 0 && space->windows != NULL)
        ha_keeper_unwatch(space->windows, ha_space_age, space);
    for (int n = 0; n < space->nodes; n++)
        ha_pool_destroy(space->pool[n]);
    space->nodes = 0;
}

/* A charge that is refused changes nothing, so that it cannot make another one fail. The budget is looked
 * at again afterwards: who lowers it looks at `used` after that, and one of the two sees the other. */
bool ha_space_charge(struct ha_space *space, size_t blocks)
{
    size_t used = __atomic_load_n(&space->used, __ATOMIC_RELAXED);
    do {
        size_t budget = __atomic_load_n(&space->budget, __ATOMIC_RELAXED);
        if (blocks > budget || used > budget - blocks)
            return false;
    } while (!__atomic_compare_exchange_n(&space->used, &used, used + blocks, true,
                                          __ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
    used += blocks;
    if (used > __atomic_load_n(&space->budget, __ATOMIC_SEQ_CST)) {
        ha_space_refund(space, blocks);
        return false;
    }
    size_t peak = __atomic_load_n(&space->peak, __ATOMIC_RELAXED);
    while (used > peak && !__atomic_compare_exchange_n(&space->peak, &peak, used, true,
                                                       __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
    return true;
}

void ha_space_refund(struct ha_space *space, size_t blocks)
{
    __atomic_sub_fetch(&space->used, blocks, __ATOMIC_RELAXED);
}

/* Had the window no chunk for this pool a moment ago? Asking takes the keeper ten microseconds, too much
 * for every block that a full node's mutators take elsewhere. */
static bool ha_is_barren(const struct ha_pool *pool)
{
    uint32_t refused = __atomic_load_n(&pool->refused_ms, __ATOMIC_RELAXED);
    return refused != 0 && ha_space_clock() - refused < HA_BARREN_MS;
}

/* A block of this pool goes to a mutator of another node. */
static void ha_spilled(struct ha_space *space, struct ha_pool *pool)
{
    __atomic_fetch_add(&space->spilled, 1, __ATOMIC_RELAXED);
    __atomic_fetch_add(&pool->spilled_in, 1, __ATOMIC_RELAXED);
}

/* A free block, charged already, of the pool that is the i-th nearest. */
static struct ha_block *ha_take_fresh(struct ha_space *space, int node, int i, unsigned run,
                                      enum ha_grow grow)
{
    struct ha_pool *pool = space->pool[space->topology->node[node].order[i]];
    struct ha_block *block = ha_pool_fresh(pool, run, grow);
    if (block != NULL && i > 0)
        ha_spilled(space, pool);
    return block;
}

/* The same of the nearest pool but its own that has one, unless strict. `barren`: the own one was not
 * allowed to grow; nobody gives up before all were. Where all nodes are full the system decides. */
static struct ha_block *ha_take_elsewhere(struct ha_space *space, int node, unsigned run,
                                          bool barren)
{
    uint64_t later = barren; /* bit i: the i-th nearest may still have a chunk */
    struct ha_block *block = NULL;
    for (int i = 1; i < space->nodes && !space->strict && block == NULL; i++) {
        barren = ha_is_barren(space->pool[space->topology->node[node].order[i]]);
        later |= (uint64_t)barren << i;
        block = ha_take_fresh(space, node, i, run, barren ? HA_GROW_NEVER : HA_GROW_ROOM);
    }
    for (; block == NULL && later != 0; later &= later - 1)
        block = ha_take_fresh(space, node, __builtin_ctzll(later), run, HA_GROW_ROOM);
    for (int i = 0; i < space->nodes && !space->strict && block == NULL; i++)
        block = ha_take_fresh(space, node, i, run, HA_GROW_ANYHOW);
    return block;
}

/* Partly free blocks of other nodes, when nothing else is left. */
static struct ha_block *ha_take_foreign(struct ha_space *space, int node, unsigned run)
{
    const struct ht_node *home = &space->topology->node[node];
    for (int i = 1; i < space->nodes && !space->strict; i++) {
        struct ha_pool *pool = space->pool[home->order[i]];
        struct ha_block *block = ha_pool_reuse(pool, run, HA_BUCKET_HALF, HA_BUCKET_FROZEN);
        if (block != NULL) {
            ha_spilled(space, pool);
            return block;
        }
    }
    return NULL;
}

/* Blocks of larger cells, when nothing else is left: a heap whose objects have become smaller has its room there. From
 * then on they are taken before anything is collected, until they are used up. */
static struct ha_block *ha_take_larger(struct ha_space *space, int node, unsigned run)
{
    const struct ht_node *home = &space->topology->node[node];
    struct ha_block *block = NULL;
    int nodes = space->strict ? 1 : space->nodes;
    for (int i = 0; block == NULL && i < nodes; i++) {
        struct ha_pool *pool = space->pool[home->order[i]];
        block = ha_pool_borrow(pool, run);
        if (block != NULL && i > 0)
            ha_spilled(space, pool);
    }
    __atomic_store_n(&space->borrows, block != NULL, __ATOMIC_RELAXED);
    return block;
}

/* How full a block may be that is used again before a free one is taken. Free blocks are faster, but what becomes old
 * in them stays: the last ones are for the size classes that have no others. */
static unsigned ha_thrift(const struct ha_space *space)
{
    size_t used = __atomic_load_n(&space->used, __ATOMIC_RELAXED);
    size_t budget = __atomic_load_n(&space->budget, __ATOMIC_RELAXED);
    size_t reserve = __atomic_load_n(&space->reserve, __ATOMIC_RELAXED);
    if (used + reserve <= budget)
        return HA_BUCKET_HALF;
    return used + reserve / 4 <= budget ? HA_BUCKET_QUARTER : HA_BUCKET_TENTH;
}

struct ha_block *ha_space_take(struct ha_space *space, int node, unsigned run,
                               enum ha_effort effort, enum ha_refusal *why)
{
    struct ha_pool *pool = space->pool[node];
    *why = HA_GRANTED;
    struct ha_block *block = ha_pool_reuse(pool, run, HA_BUCKET_HALF, ha_thrift(space));
    if (block != NULL)
        return block;
    bool charged = ha_space_charge(space, 1), barren = charged && ha_is_barren(pool);
    if (charged)
        block = ha_take_fresh(space, node, 0, run, barren ? HA_GROW_NEVER : HA_GROW_ROOM);
    if (block != NULL)
        return block;
    block = ha_pool_reuse(pool, run, HA_BUCKET_QUARTER, HA_BUCKET_QUARTER);
    if (block == NULL && charged) {
        block = ha_take_elsewhere(space, node, run, barren);
        if (block != NULL)
            return block;
    }
    if (charged)
        ha_space_refund(space, 1);
    if (block == NULL && effort >= HA_EFFORT_NEAR)
        block = ha_pool_reuse(pool, run, HA_BUCKET_TENTH, HA_BUCKET_TENTH);
    if (block == NULL && effort == HA_EFFORT_TIGHT)
        block = ha_pool_reuse(pool, run, HA_BUCKET_FROZEN, HA_BUCKET_FROZEN);
    if (block == NULL && effort == HA_EFFORT_TIGHT)
        block = ha_take_foreign(space, node, run);
    if (block == NULL &&
        (effort == HA_EFFORT_TIGHT || (effort == HA_EFFORT_NEAR && ha_space_borrows(space))))
        block = ha_take_larger(space, node, run);
    if (block == NULL)
        *why = charged ? HA_NO_MEMORY : HA_OVER_BUDGET;
    return block;
}

size_t ha_space_used_bytes(const struct ha_space *space)
{
    return __atomic_load_n(&space->used, __ATOMIC_RELAXED) << HA_BLOCK_SHIFT;
}

size_t ha_space_partial_bytes(const struct ha_space *space)
{
    size_t bytes = 0;
    for (int n = 0; n < space->nodes; n++)
        bytes += space->pool[n]->partial_bytes;
    return bytes;
}

void ha_space_hold(struct ha_space *space)
{
    for (int n = 0; n < space->nodes; n++)
        pthread_mutex_lock(&space->pool[n]->ageing);
}

void ha_space_release(struct ha_space *space)
{
    for (int n = space->nodes; n-- > 0;)
        pthread_mutex_unlock(&space->pool[n]->ageing);
}

void ha_space_wake(struct ha_space *space)
{
    if (space->keep_ms != 0)
        ha_keeper_wake(space->windows->state->keeper);
}

void ha_space_lock(struct ha_space *space)
{
    for (int n = 0; n < space->nodes; n++)
        pthread_mutex_lock(&space->pool[n]->lock);
}

void ha_space_unlock(struct ha_space *space)
{
    for (int n = space->nodes; n-- > 0;)
        pthread_mutex_unlock(&space->pool[n]->lock);
}

/* A large object: the address may lie in a tail block or in a further chunk of the span. As with small
 * ones, the header belongs to the object. One that is being made has size 0. */
static uintptr_t ha_find_large(struct ha_block *block, uintptr_t address)
{
    if (__atomic_load_n(&block->state, __ATOMIC_ACQUIRE) == HA_TAIL)
        block = ha_block_at(ha_chunk_of(block), ha_block_number(block) - block->blocks);
    uintptr_t header = (uintptr_t)ha_block_start(block) + HEARTH_GRANULE - HEARTH_HEADER;
    size_t size = __atomic_load_n(&block->size, __ATOMIC_ACQUIRE);
    return size != 0 && address - header < size + HEARTH_HEADER ? header + HEARTH_HEADER : 0;
}

uintptr_t ha_space_find(const struct ha_space *space, uintptr_t address)
{
    const struct ha_windows *windows = space->windows;
    if (!ha_windows_contain(windows, address))
        return 0;
    const struct ha_slot *slot = &windows->slot[(address - windows->base) >> HA_CHUNK_SHIFT];
    if (__atomic_load_n(&slot->owner, __ATOMIC_ACQUIRE) != space->owner)
        return 0;
    uintptr_t base = ha_chunk_base(address) -
                     (uintptr_t)__atomic_load_n(&slot->head, __ATOMIC_RELAXED) * HA_CHUNK;
    struct ha_chunk *chunk = (struct ha_chunk *)base;
    if (__atomic_load_n(&chunk->span, __ATOMIC_RELAXED) > 1)
        return ha_find_large(ha_block_at(chunk, HA_HEAD_BLOCKS), address);
    if (ha_block_index(address) < HA_HEAD_BLOCKS)
        return 0;
    struct ha_block *block = ha_block_of(address);
    uint8_t state = __atomic_load_n(&block->state, __ATOMIC_ACQUIRE);
    if (state == HA_LARGE || state == HA_TAIL)
        return ha_find_large(block, address);
    if (state < HA_CURRENT)
        return 0;
    uintptr_t offset = address - (uintptr_t)ha_block_start(block);
    if (offset < HEARTH_HEADER)
        return 0;
    unsigned i = (unsigned)(((offset - HEARTH_HEADER) * block->reciprocal) >> 32);
    if (i >= block->cells)
        return 0;
    uintptr_t object = ha_object_at(block, i);
    bool allocated =
        (ha_mark_load(ha_meta_of(object)) & HA_MARK) != 0 ||
        (char *)object - HEARTH_HEADER < __atomic_load_n(&block->frontier, __ATOMIC_RELAXED);
    return allocated ? object : 0;
}

hearth_status ha_space_check(struct ha_space *space)
{
    size_t used = 0;
    for (int n = 0; n < space->nodes; n++) {
        hearth_status status = ha_pool_check(space->pool[n]);
        if (status != HEARTH_OK)
            return status;
        used += space->pool[n]->used;
    }
    if (used != space->used)
        return ht_fail(HEARTH_ECORRUPT, "pools use %zu blocks, the budget has charged %zu", used,
                       space->used);
    if (space->used > space->budget || space->budget > space->limit || space->peak < space->used)
        return ht_fail(HEARTH_ECORRUPT,
                       "%zu blocks are used, at most %zu so far; budget %zu, limit %zu",
                       space->used, space->peak, space->budget, space->limit);
    return HEARTH_OK;
}
