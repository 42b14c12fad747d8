/* tests/test_pool_check.c - the check of a pool sees whatever is planted. */
#define _GNU_SOURCE 1

#include "tests/pool_fixture.h"

/* A pool with something of everything. */
static struct ha_pool *rich_pool(void)
{
    struct fixture_heap *heap = fixture_space(1, 0, 100000);
    struct ha_pool *pool = heap->space.pool[0];
    enum ha_refusal why;
    bool zero;

    for (int i = 0; i < 3; i++) {
        partial(pool, 10, 5);
        partial(pool, 10, pool->classes.of[5].cells * 7 / 10);
        partial(pool, 10, pool->classes.of[5].cells * 85 / 100);
        partial(pool, 11, pool->classes.of[5].cells);
        fresh(pool, 4);
        fresh(pool, 30)->state = HA_FULL;
        EXPECT(ha_large_take(&heap->space, 0, 200000, HA_SCAN, &why) != 0);
        EXPECT(ha_large_take(&heap->space, 0, HA_ADJACENT_MAX + 1, HA_LEAF, &why) != 0);
    }
    give(pool, ha_pool_adjacent(pool, 5, HA_GROW_ROOM, &zero), 5);
    check_pool(pool);
    return pool;
}

static void damaged(struct ha_pool *pool, const char *what)
{
    pthread_mutex_lock(&pool->ageing);
    hearth_status status = ha_pool_check(pool);
    pthread_mutex_unlock(&pool->ageing);
    if (status != HEARTH_ECORRUPT)
        ck_abort_msg("%s is not seen", what);
    harness_expect_error(what, HEARTH_ECORRUPT, NULL);
}

/* Set an lvalue to something wrong, check, and set it back. */
#define DAMAGE(lvalue, value)                                                                      \
    do {                                                                                           \
        __typeof__(lvalue) kept = (lvalue);                                                        \
        (lvalue) = (__typeof__(lvalue))(value);                                                    \
        damaged(pool, #lvalue " = " #value);                                                       \
        (lvalue) = kept;                                                                           \
    } while (0)

START_TEST(counters)
{
    struct ha_pool *pool = rich_pool();

    DAMAGE(pool->used, kept + 1);
    DAMAGE(pool->used, kept - 1);
    DAMAGE(pool->chunk_count, kept + 1);
    DAMAGE(pool->chunk_count, kept - 1);
    DAMAGE(pool->partial_bytes, kept + 16);
    DAMAGE(pool->large_bytes, kept - 1);
    DAMAGE(pool->live_objects, kept + 1);
    DAMAGE(pool->live_bytes, kept - 8);
    DAMAGE(pool->free.count, kept + 1);
    DAMAGE(pool->cold.count, kept - 1);
    DAMAGE(pool->large_young.count, kept + 1);
    DAMAGE(pool->classes.of[7].cells, kept + 1);
    DAMAGE(pool->node, 1);
    check_pool(pool);
}
END_TEST

/* Every kind of list with every kind of bad link. */
START_TEST(links)
{
    struct ha_pool *pool = rich_pool();
    struct ha_list *lists[] = {&pool->free,
                               &pool->cold,
                               &pool->partial[10][HA_BUCKET_HALF],
                               &pool->partial[10][HA_BUCKET_QUARTER],
                               &pool->partial[10][HA_BUCKET_TENTH],
                               &pool->large_young};
    static struct ha_block stranger;

    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        struct ha_list *list = lists[i];

        ck_assert_uint_ge(list->count, 3);
        DAMAGE(list->head, NULL);
        DAMAGE(list->head, kept->next);
        DAMAGE(list->head, &stranger);
        DAMAGE(list->tail, NULL);
        DAMAGE(list->tail, kept->prev);
        DAMAGE(list->head->next, list->head);
        DAMAGE(list->head->next, kept->next);
        DAMAGE(list->head->next, NULL);
        DAMAGE(list->head->next, 0x5a5a5a5a5a50);
        DAMAGE(list->head->next, (char *)kept + 8);
        DAMAGE(list->head->next->prev, NULL);
        DAMAGE(list->head->prev, list->tail);
        DAMAGE(list->tail->next, list->head);
        DAMAGE(list->head->state, HA_NONE);
        DAMAGE(list->head->state, HA_FULL);
        DAMAGE(list->head->state, HA_TAIL + 1);
    }
    check_pool(pool);
}
END_TEST

START_TEST(buckets)
{
    struct ha_pool *pool = rich_pool();
    struct ha_block *block = pool->partial[10][HA_BUCKET_QUARTER].head;

    DAMAGE(block->bucket, HA_BUCKET_HALF);
    DAMAGE(block->bucket, HA_BUCKETS);
    DAMAGE(block->kind, HA_LEAF);
    DAMAGE(block->size_class, kept + 1);
    DAMAGE(block->live, kept + 1);
    DAMAGE(block->live, block->cells + 1);
    DAMAGE(block->live, 0);
    ha_list_remove(&pool->partial[10][HA_BUCKET_QUARTER], block); /* in no list */
    damaged(pool, "a lost block");
    ha_list_push(&pool->partial[10][HA_BUCKET_HALF], block);
    damaged(pool, "a block in another bucket");
    ha_list_remove(&pool->partial[10][HA_BUCKET_HALF], block);
    ha_list_push(&pool->partial[12][HA_BUCKET_QUARTER], block);
    damaged(pool, "a block in another run's bucket");
    ha_list_remove(&pool->partial[12][HA_BUCKET_QUARTER], block);
    ha_list_push(&pool->partial[10][HA_BUCKET_QUARTER], block);
    check_pool(pool);
}
END_TEST

START_TEST(young)
{
    struct ha_pool *pool = rich_pool();
    struct ha_block *quarter = pool->partial[10][HA_BUCKET_QUARTER].head;

    DAMAGE(pool->young, NULL);
    DAMAGE(pool->young, kept->young_next);
    DAMAGE(pool->young, quarter);
    DAMAGE(pool->young, 128);
    DAMAGE(pool->young_blocks, 0);
    DAMAGE(pool->young_blocks, pool->young_blocks + 1);
    DAMAGE(pool->young->young, 0);
    DAMAGE(pool->young->young_next, pool->young);
    DAMAGE(pool->young->young_next, NULL);
    DAMAGE(quarter->young, 1);
    DAMAGE(quarter->frontier, ha_block_start(quarter));
    DAMAGE(pool->free.head->young, 1);
    check_pool(pool);
}
END_TEST

START_TEST(chunks)
{
    struct ha_pool *pool = rich_pool();
    struct ha_chunk *chunk = pool->chunks;
    struct ha_block *block = pool->free.head, *cold = pool->cold.head;

    DAMAGE(chunk->pool, NULL);
    DAMAGE(chunk->span, 2);
    DAMAGE(chunk->prev, chunk);
    DAMAGE(chunk->next, chunk);
    DAMAGE(chunk->free_mask, kept | 1);
    DAMAGE(chunk->free_mask, kept & (kept - 1));
    DAMAGE(chunk->free_mask, ~(uint64_t)15);
    DAMAGE(chunk->cold_mask, 0);
    DAMAGE(chunk->cold_mask, kept | 1);
    DAMAGE(pool->chunks, NULL);
    DAMAGE(block->live, 1);
    DAMAGE(block->frontier, ha_block_start(block));
    DAMAGE(ha_block_meta(block)[1], MARK_OLD);
    DAMAGE(ha_block_meta(block)[HA_BLOCK_GRANULES - 1], HA_CARD);
    DAMAGE(ha_block_meta(cold)[77], HA_CARD);
    check_pool(pool);
}
END_TEST

START_TEST(large)
{
    struct ha_pool *pool = rich_pool();
    struct ha_block *block = pool->large_young.head, *span = block->next;

    ck_assert_uint_eq(block->blocks, 4);
    ck_assert_uint_eq(span->span, 1);
    DAMAGE(block->blocks, 3);
    DAMAGE(block->blocks, 5);
    DAMAGE(block->size, kept + HA_BLOCK);
    DAMAGE(block->size, 0);
    DAMAGE(block->kind, 7);
    DAMAGE(block->span, 1);
    DAMAGE(block[1].blocks, 2);
    DAMAGE(block[1].state, HA_FULL);
    DAMAGE(block[3].state, HA_LARGE);
    DAMAGE(block->live, 2);
    DAMAGE(span->span, 0);
    DAMAGE(span->blocks, 61);
    DAMAGE(span->size, kept + HA_BLOCK);
    DAMAGE(ha_chunk_of(span)->span, 1);
    DAMAGE(ha_chunk_of(span)->pool, NULL);
    check_pool(pool);
}
END_TEST

HARNESS_SUITE(pool_check)
{
    Suite *suite = suite_create("pool_check");
    TCase *all = tcase_create("all");

    tcase_add_test(all, counters);
    tcase_add_test(all, links);
    tcase_add_test(all, buckets);
    tcase_add_test(all, young);
    tcase_add_test(all, chunks);
    tcase_add_test(all, large);
    suite_add_tcase(suite, all);
    return suite;
}
