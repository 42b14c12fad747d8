/* gc/freeze.c - freezing all objects, and making them ordinary ones again.
 *
 * Freezing writes the metadata of every block, and the headers of objects that were not old. After it,
 * blocks whose live cells are all frozen are not swept (ha_block.frozen), and none with frozen cells is
 * allocated from unless memory is short. Locks: heap->lock, then each pool's, as in a collection. */
#include "gc/freeze.h"

#include "alloc/guard.h"

#include <string.h>

#include "alloc/large.h"
#include "gc/card.h"
#include "gc/trace.h"
#include "topology/error.h"

/* --- while mutators run ---------------------------------------------------------------------------- */

void hg_thaw(struct hg_mutator *m, uintptr_t object)
{
    uint64_t *header = hearth_header_of((void *)object);
    if ((ha_mark_load(ha_meta_of(object)) & HA_MARK) != HG_FROZEN ||
        __atomic_load_n(header, __ATOMIC_RELAXED) & HG_OBJECT_THAWED)
        return;
    if (!hg_remember_room(&m->thawed)) {
        __atomic_store_n(&m->public.heap->control.thaw_lost, true, __ATOMIC_RELAXED);
        return;
    }
    if (!(__atomic_fetch_or(header, HG_OBJECT_THAWED, __ATOMIC_RELAXED) & HG_OBJECT_THAWED))
        hg_remember_add(&m->thawed, object);
}

/* --- in a collection ------------------------------------------------------------------------------- */

static void hg_push_frozen(void *data, uintptr_t object, uint8_t mark)
{
    if (mark == HG_FROZEN && ha_block_of(object)->kind != HA_LEAF)
        hg_trace_push(data, object, HG_TAG_VISIT);
}

static void hg_push_thawed(const struct hg_remembered *set, struct hg_worker *worker)
{
    for (const struct hg_remember_chunk *chunk = set->first; chunk != NULL; chunk = chunk->next)
        for (size_t i = 0; i < chunk->count; i++)
            hg_trace_push(worker, chunk->object[i], HG_TAG_VISIT);
}

void hg_freeze_roots(hearth_heap *heap, struct hg_worker *worker)
{
    if (heap->control.thaw_lost) { /* the list could not grow: any of them may have been written */
        hg_walk_marked(heap, hg_push_frozen, worker);
        return;
    }
    hg_push_thawed(&heap->control.thawed, worker);
    for (struct hg_mutator *m = heap->mutators; m != NULL; m = m->next)
        hg_push_thawed(&m->thawed, worker);
}

/* --- freezing -------------------------------------------------------------------------------------- */

/* Nothing counts as written any more; the flags go with the lists. */
static void hg_forget_thawed(hearth_heap *heap)
{
    struct hg_remembered *all = &heap->control.thawed;
    for (struct hg_mutator *m = heap->mutators; m != NULL; m = m->next)
        hg_remember_move(all, &m->thawed);
    for (struct hg_remember_chunk *chunk = all->first; chunk != NULL; chunk = chunk->next)
        for (size_t i = 0; i < chunk->count; i++)
            *hearth_header_of((void *)chunk->object[i]) &= ~(uint64_t)HG_OBJECT_THAWED;
    hg_remember_free(all);
    heap->control.thaw_lost = false;
}

/* Give the object the mark. The barrier is to take it for old, also in a heap without generations. */
static void hg_freeze_object(hearth_heap *heap, const struct ha_block *block, uintptr_t object)
{
    uint8_t *meta = ha_meta_of(object);
    if (ha_mark_load(meta) == HG_FROZEN)
        return;
    uint64_t *header = hearth_header_of((void *)object);
    if (block->kind != HA_LEAF && !(*header & HEARTH_OBJECT_OLD))
        *header |= HEARTH_OBJECT_OLD;
    __atomic_store_n(meta, HG_FROZEN, __ATOMIC_RELAXED);
    heap->control.frozen++;
}

static void hg_freeze_block(hearth_heap *heap, struct ha_pool *pool, struct ha_block *block)
{
    uint16_t live = 0;
    for (unsigned i = 0; i < block->cells; i++) {
        uintptr_t object = ha_object_at(block, i);
        if (ha_mark_load(ha_meta_of(object)) == 0 &&
            (char *)object - HEARTH_HEADER >= block->frontier)
            continue;
        hg_freeze_object(heap, block, object);
        live++;
    }
    pool->live_objects += live - (uint64_t)block->live;
    pool->live_bytes += (live - (uint64_t)block->live) * block->cell;
    block->live = block->frozen = live;
    block->frontier = NULL;
    block->touched = 0;
    if (heap->space.poison) /* as a sweep leaves it: runs that were made ready are free again */
        ha_poison_block(block);
    if (heap->space.hides)
        ha_hide_block(block);
    if (live == 0) {
        ha_pool_free(pool, block, 1, ha_space_clock());
        ha_space_refund(&heap->space, 1);
    } else {
        ha_pool_sort(pool, block);
    }
}

static void hg_freeze_large(hearth_heap *heap, struct ha_pool *pool)
{
    for (struct ha_block *block = pool->large_young.head, *next; block != NULL; block = next) {
        next = block->next;
        ha_list_remove(&pool->large_young, block);
        ha_list_append(&pool->large_old, block);
        block->live = 1;
        pool->live_objects++;
        pool->live_bytes += block->size;
    }
    for (struct ha_block *block = pool->large_old.head; block != NULL; block = block->next)
        hg_freeze_object(heap, block, ha_large_object(block));
}

/* Every block is put into a list again; the pool's lock is held. */
static void hg_freeze_pool(hearth_heap *heap, struct ha_pool *pool)
{
    for (struct ha_block *block = pool->young; block != NULL; block = block->young_next)
        block->young = 0;
    pool->young = NULL;
    pool->young_blocks = 0;
    memset(pool->partial, 0, sizeof pool->partial);
    pool->partial_bytes = 0;
    for (struct ha_chunk *chunk = pool->chunks; chunk != NULL; chunk = chunk->next)
        for (unsigned i = HA_HEAD_BLOCKS; i < HA_CHUNK_BLOCKS; i++) {
            struct ha_block *block = ha_block_at(chunk, i);
            if (block->state == HA_PARTIAL || block->state == HA_FULL)
                hg_freeze_block(heap, pool, block);
        }
    hg_freeze_large(heap, pool);
}

/* All objects are as old as can be now: nothing needs to be remembered. */
static void hg_freeze_stopped(hearth_heap *heap)
{
    uint64_t objects;
    hg_flush_mutators(heap, &objects);
    hg_forget_remembered(heap);
    hg_forget_thawed(heap);
    for (int n = 0; n < heap->space.nodes; n++) {
        struct ha_pool *pool = heap->space.pool[n];
        pthread_mutex_lock(&pool->lock);
        hg_freeze_pool(heap, pool);
        pthread_mutex_unlock(&pool->lock);
    }
    __atomic_store_n(&heap->pacing.lost, 0, __ATOMIC_RELAXED);
    heap->pacing.whole = false;
    hg_pacing_scale(heap);
    __atomic_store_n(&heap->space.nursery_used, 0, __ATOMIC_RELAXED);
    hg_threshold_after(heap, 2, 0);
}

/* --- and back -------------------------------------------------------------------------------------- */

static void hg_unfreeze_object(hearth_heap *heap, uintptr_t object)
{
    uint8_t *meta = ha_meta_of(object);
    if (ha_mark_load(meta) != HG_FROZEN)
        return;
    __atomic_store_n(meta, heap->marks.old, __ATOMIC_RELAXED);
    if (!heap->options.generational)
        *hearth_header_of((void *)object) &= ~(uint64_t)HEARTH_OBJECT_OLD;
}

/* A block with young cells waits for its sweep in no list. */
static void hg_unfreeze_block(hearth_heap *heap, struct ha_pool *pool, struct ha_block *block)
{
    for (unsigned i = 0; i < block->cells; i++)
        hg_unfreeze_object(heap, ha_object_at(block, i));
    ha_pool_unsort(pool, block);
    block->frozen = 0;
    if (block->frontier == NULL)
        ha_pool_sort(pool, block);
}

static void hg_unfreeze_pool(hearth_heap *heap, struct ha_pool *pool)
{
    for (struct ha_chunk *chunk = pool->chunks; chunk != NULL; chunk = chunk->next)
        for (unsigned i = HA_HEAD_BLOCKS; i < HA_CHUNK_BLOCKS; i++) {
            struct ha_block *block = ha_block_at(chunk, i);
            if ((block->state == HA_PARTIAL || block->state == HA_FULL) && block->frozen != 0)
                hg_unfreeze_block(heap, pool, block);
        }
    for (struct ha_block *block = pool->large_old.head; block != NULL; block = block->next)
        hg_unfreeze_object(heap, ha_large_object(block));
}

static void hg_unfreeze_stopped(hearth_heap *heap)
{
    hg_flush_aside(heap);
    hg_forget_thawed(heap);
    for (int n = 0; n < heap->space.nodes; n++) {
        struct ha_pool *pool = heap->space.pool[n];
        pthread_mutex_lock(&pool->lock);
        hg_unfreeze_pool(heap, pool);
        pthread_mutex_unlock(&pool->lock);
    }
    __atomic_store_n(&heap->control.frozen, 0, __ATOMIC_RELAXED);
}

/* --- checking -------------------------------------------------------------------------------------- */

struct hg_frozen_census {
    uint64_t marks, thawed, counted;
};

static void hg_count_frozen(void *data, uintptr_t object, uint8_t mark)
{
    struct hg_frozen_census *census = data;
    census->marks += mark == HG_FROZEN;
    census->thawed +=
        (*hearth_header_of((void *)object) & HG_OBJECT_THAWED) != 0 && mark == HG_FROZEN;
}

/* As many as the headers of blocks say; large ones by their marks. */
static uint64_t hg_blocks_frozen(hearth_heap *heap)
{
    uint64_t frozen = 0;
    for (int n = 0; n < heap->space.nodes; n++) {
        struct ha_pool *pool = heap->space.pool[n];
        for (struct ha_chunk *chunk = pool->chunks; chunk != NULL; chunk = chunk->next)
            for (unsigned i = HA_HEAD_BLOCKS; i < HA_CHUNK_BLOCKS; i++) {
                const struct ha_block *block = ha_block_at(chunk, i);
                bool cells = block->state >= HA_CURRENT && block->state < HA_LARGE;
                frozen += cells ? block->frozen : 0;
            }
        for (struct ha_block *b = pool->large_old.head; b != NULL; b = b->next)
            frozen += ha_mark_load(ha_meta_of(ha_large_object(b))) == HG_FROZEN;
    }
    return frozen;
}

static uint64_t hg_list_thawed(hearth_heap *heap)
{
    uint64_t listed = heap->control.thawed.count;
    for (struct hg_mutator *m = heap->mutators; m != NULL; m = m->next)
        listed += m->thawed.count;
    return listed;
}

hearth_status hg_freeze_check(hearth_heap *heap)
{
    struct hg_frozen_census census = {0, 0, hg_blocks_frozen(heap)};
    hg_walk_marked(heap, hg_count_frozen, &census);
    uint64_t listed = hg_list_thawed(heap);
    if (census.marks != heap->control.frozen || census.counted != census.marks)
        return ht_fail(HEARTH_ECORRUPT,
                       "%llu objects are frozen, %llu by the count, %llu by blocks",
                       (unsigned long long)census.marks, (unsigned long long)heap->control.frozen,
                       (unsigned long long)census.counted);
    if (census.thawed != listed)
        return ht_fail(HEARTH_ECORRUPT, "%llu frozen objects were written, %llu are listed",
                       (unsigned long long)census.thawed, (unsigned long long)listed);
    return HEARTH_OK;
}

/* --- public ---------------------------------------------------------------------------------------- */

/* Do something with the world stopped. */
static void hg_with_world_stopped(struct hg_mutator *self, void (*act)(hearth_heap *heap))
{
    hearth_heap *heap = self->public.heap;
    hg_lend_others(self);
    pthread_mutex_lock(&heap->lock);
    while (heap->stop)
        hg_park(heap, self);
    hg_world_stop(heap, self);
    ha_space_hold(&heap->space);
    act(heap);
    ha_space_release(&heap->space);
    hg_world_resume(heap);
    pthread_mutex_unlock(&heap->lock);
    hg_take_back_others();
}

hearth_status hearth_gc_freeze(hearth_mutator *mutator)
{
    hearth_status status = hg_mutator_ready(mutator, "hearth_gc_freeze");
    if (status == HEARTH_OK)
        hg_with_world_stopped(hg_mutator_of(mutator), hg_freeze_stopped);
    return status;
}

hearth_status hearth_gc_unfreeze(hearth_mutator *mutator)
{
    hearth_status status = hg_mutator_ready(mutator, "hearth_gc_unfreeze");
    if (status == HEARTH_OK && hg_has_frozen(mutator->heap))
        hg_with_world_stopped(hg_mutator_of(mutator), hg_unfreeze_stopped);
    return status;
}

size_t hearth_gc_get_freeze_count(const hearth_heap *heap)
{
    return heap != NULL ? (size_t)__atomic_load_n(&heap->control.frozen, __ATOMIC_RELAXED) : 0;
}
