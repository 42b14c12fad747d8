/* tests/pool_fixture.h - one pool in the hands of a test: blocks taken, given back, partly filled. */
#ifndef HEARTH_TESTS_POOL_FIXTURE_H
#define HEARTH_TESTS_POOL_FIXTURE_H

#include "tests/space_fixture.h"

static inline struct ha_pool *open_pool(void)
{
    return fixture_space(1, 0, 1000000)->space.pool[0];
}

static inline void check_pool(struct ha_pool *pool)
{
    pthread_mutex_lock(&pool->ageing);
    hearth_status status = ha_pool_check(pool);
    pthread_mutex_unlock(&pool->ageing);
    if (status != HEARTH_OK)
        ck_abort_msg("check: %s", hearth_last_error());
}

static inline struct ha_block *fresh(struct ha_pool *pool, unsigned run)
{
    struct ha_block *block = ha_pool_fresh(pool, run, HA_GROW_ROOM);

    EXPECT(block != NULL);
    EXPECT(block->state == HA_CURRENT && block->size_class == run / 2 && block->young);
    EXPECT(block->cell == ha_class_cell(run / 2) && block->kind == (run & 1));
    EXPECT(block->frontier == NULL && block->live == 0);
    return block;
}

/* Without the collector: out of the young list, which the fixtures know how to rebuild. */
static inline void give(struct ha_pool *pool, struct ha_block *block, size_t count)
{
    struct ha_block **link = &pool->young;

    while (*link != NULL && *link != block)
        link = &(*link)->young_next;
    if (*link != NULL) {
        *link = block->young_next;
        pool->young_blocks--;
    }
    block->young = 0;
    ha_pool_free(pool, block, count, 1);
}

/* A swept block with `live` marked cells, in its list. */
static inline struct ha_block *partial(struct ha_pool *pool, unsigned run, unsigned live)
{
    struct ha_block *block = fresh(pool, run);

    pool->young = block->young_next; /* the sweep empties the list */
    pool->young_blocks--;
    block->young = 0;
    block->live = (uint16_t)live;
    for (unsigned i = 0; i < live; i++)
        *fixture_mark(block, i) = MARK_OLD;
    pool->live_objects += live;
    pool->live_bytes += (size_t)live * block->cell;
    ha_pool_sort(pool, block);
    return block;
}

#endif
