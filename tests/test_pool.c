/* tests/test_pool.c - a node's pool: lists, buckets, adjacent blocks against slow searches; many
 * threads; no memory left. */
#define _GNU_SOURCE 1

#include <pthread.h>

#include "tests/pool_fixture.h"

/* --- lists ----------------------------------------------------------------------------------------- */

/* Random pushes, appends and removals against an array. */
START_TEST(lists)
{
    enum { BLOCKS = 40 };
    static struct ha_block block[BLOCKS];
    struct ha_block *order[BLOCKS];
    struct ha_list list = {NULL, NULL, 0};
    uint64_t random = harness_seed();
    size_t count = 0;

    for (uint64_t round = 0; round < harness_scaled(20000); round++) {
        struct ha_block *b = &block[harness_random_below(&random, BLOCKS)];
        size_t at = 0;

        while (at < count && order[at] != b)
            at++;
        if (at < count) {
            ha_list_remove(&list, b);
            EXPECT(b->next == NULL && b->prev == NULL);
            memmove(order + at, order + at + 1, (--count - at) * sizeof *order);
        } else if (harness_random_below(&random, 2) == 0) {
            ha_list_push(&list, b);
            memmove(order + 1, order, count++ * sizeof *order);
            order[0] = b;
        } else {
            ha_list_append(&list, b);
            order[count++] = b;
        }
        EXPECT(list.count == count);
        EXPECT(list.head == (count > 0 ? order[0] : NULL));
        EXPECT(list.tail == (count > 0 ? order[count - 1] : NULL));
        for (size_t i = 0; i < count; i++) {
            EXPECT(order[i]->next == (i + 1 < count ? order[i + 1] : NULL));
            EXPECT(order[i]->prev == (i > 0 ? order[i - 1] : NULL));
        }
    }
}
END_TEST

/* --- free blocks ----------------------------------------------------------------------------------- */

START_TEST(new_pool)
{
    struct fixture_heap *heap = fixture_space(3, 0, 100);

    for (int n = 0; n < 3; n++) {
        struct ha_pool *pool = heap->space.pool[n];

        ck_assert_int_eq(pool->node, n);
        ck_assert_ptr_eq(pool->owner, heap);
        ck_assert_int_eq(ha_node_of(pool->windows, (uintptr_t)pool), n);
        ck_assert_uint_eq((uintptr_t)pool % 64, 0);
        ck_assert_uint_eq(pool->chunk_count + pool->used + pool->free.count + pool->cold.count, 0);
        ck_assert_ptr_null(ha_pool_fresh(pool, 0, HA_GROW_NEVER));
        ck_assert_ptr_null(ha_pool_reuse(pool, 0, HA_BUCKET_HALF, HA_BUCKET_TENTH));
        check_pool(pool);
    }
    fixture_space_close(heap);
}
END_TEST

/* The first chunk's blocks come in address order and are cold; a second chunk only when needed. */
START_TEST(fresh_blocks)
{
    struct ha_pool *pool = open_pool();

    for (unsigned i = 0; i < 2 * CHUNK_ALL; i++) {
        struct ha_block *block = fresh(pool, i % HEARTH_RUNS);

        ck_assert_uint_eq(pool->chunk_count, i / CHUNK_ALL + 1);
        ck_assert_uint_eq(ha_block_number(block), HA_HEAD_BLOCKS + i % CHUNK_ALL);
        ck_assert_uint_eq(block->stamp, 1);
        ck_assert_uint_eq(pool->used, i + 1);
        ck_assert_uint_eq(pool->cold.count, CHUNK_ALL - 1 - i % CHUNK_ALL);
        ck_assert_ptr_eq(pool->young, block);
        check_pool(pool);
    }
    ck_assert_ptr_null(ha_pool_fresh(pool, 0, HA_GROW_NEVER));
}
END_TEST

/* What was freed last is taken first, and before cold blocks; its memory is not known to be zero. */
START_TEST(last_in_first_out)
{
    struct ha_pool *pool = open_pool();
    struct ha_block *block[50];

    for (int i = 0; i < 50; i++)
        block[i] = fresh(pool, 4);
    for (int i = 0; i < 50; i += 2)
        give(pool, block[i], 1);
    check_pool(pool);
    for (int i = 48; i >= 0; i -= 2) {
        struct ha_block *again = fresh(pool, 9);

        ck_assert_ptr_eq(again, block[i]);
        ck_assert_uint_eq(again->stamp, 0);
    }
    ck_assert_uint_eq(fresh(pool, 9)->stamp, 1);
    ck_assert_uint_eq(pool->chunk_count, 1);
    check_pool(pool);
}
END_TEST

/* --- buckets --------------------------------------------------------------------------------------- */

/* Every class with every number of live cells goes to the bucket of its exact share. */
START_TEST(percentages)
{
    struct ha_pool *pool = open_pool();

    for (unsigned run = 0; run < HEARTH_RUNS; run++) {
        struct ha_block *block = fresh(pool, run);

        for (unsigned live = 1; live <= block->cells; live++) {
            double vacant = 1.0 - (double)live / block->cells;
            unsigned free = block->cells - live;

            block->live = (uint16_t)live;
            ha_pool_sort(pool, block);
            if (free * 10 < block->cells) {
                EXPECT(vacant < 0.1000001 && block->state == HA_FULL);
                EXPECT(pool->partial_bytes == 0);
                continue;
            }
            unsigned bucket = free * 2 >= block->cells   ? HA_BUCKET_HALF
                              : free * 4 >= block->cells ? HA_BUCKET_QUARTER
                                                         : HA_BUCKET_TENTH;
            EXPECT(block->state == HA_PARTIAL && block->bucket == bucket);
            EXPECT(pool->partial[run][bucket].head == block);
            EXPECT(pool->partial[run][bucket].count == 1);
            EXPECT(pool->partial_bytes ==
                   (bucket == HA_BUCKET_TENTH ? 0 : (size_t)free * block->cell));
            ha_pool_unsort(pool, block);
            EXPECT(block->state == HA_FULL && pool->partial[run][bucket].count == 0);
            EXPECT(pool->partial_bytes == 0);
        }
        ha_pool_unsort(pool, block); /* allowed for a full one */
        EXPECT(block->state == HA_FULL);
        block->live = 0;
    }
    check_pool(pool);
}
END_TEST

START_TEST(reuse)
{
    struct ha_pool *pool = open_pool();
    unsigned run = 2 * 20 + HA_LEAF, cells = pool->classes.of[20].cells;
    struct ha_block *half1 = partial(pool, run, cells / 4), *half2 = partial(pool, run, 1),
                    *quarter = partial(pool, run, cells * 6 / 10),
                    *tenth = partial(pool, run, cells * 8 / 10);
    size_t bytes = (3 * cells - cells / 4 - 1 - cells * 6 / 10) * (size_t)half1->cell;

    partial(pool, run, cells); /* full: never reused     */
    partial(pool, run ^ 1, 1); /* another kind           */
    partial(pool, run + 2, 1); /* another class          */
    check_pool(pool);
    bytes += (cells - 1) * (size_t)half1->cell +
             (pool->classes.of[21].cells - 1u) * (size_t)pool->classes.of[21].cell;
    ck_assert_uint_eq(pool->partial_bytes, bytes);
    ck_assert_ptr_null(ha_pool_reuse(pool, run + 4, HA_BUCKET_HALF, HA_BUCKET_TENTH));
    half2->stamp = 1;
    ck_assert_ptr_eq(ha_pool_reuse(pool, run, HA_BUCKET_HALF, HA_BUCKET_TENTH), half2);
    ck_assert_uint_eq(half2->state, HA_CURRENT);
    ck_assert_uint_eq(half2->stamp, 0);
    ck_assert_uint_eq(half2->young, 1);
    ck_assert_ptr_eq(pool->young, half2);
    ck_assert_uint_eq(pool->partial_bytes, bytes - (cells - 1) * (size_t)half2->cell);
    check_pool(pool);
    ck_assert_ptr_eq(ha_pool_reuse(pool, run, HA_BUCKET_HALF, HA_BUCKET_HALF), half1);
    ck_assert_ptr_null(ha_pool_reuse(pool, run, HA_BUCKET_HALF, HA_BUCKET_HALF));
    ck_assert_ptr_eq(ha_pool_reuse(pool, run, HA_BUCKET_QUARTER, HA_BUCKET_QUARTER), quarter);
    ck_assert_ptr_null(ha_pool_reuse(pool, run, HA_BUCKET_HALF, HA_BUCKET_QUARTER));
    ck_assert_ptr_eq(ha_pool_reuse(pool, run, HA_BUCKET_HALF, HA_BUCKET_TENTH), tenth);
    ck_assert_ptr_null(ha_pool_reuse(pool, run, HA_BUCKET_HALF, HA_BUCKET_TENTH));
    check_pool(pool);
}
END_TEST

/* A block is in the young list once, however often it is put there. */
START_TEST(young_once)
{
    struct ha_pool *pool = open_pool();
    struct ha_block *a = fresh(pool, 0), *b = fresh(pool, 0);

    ha_pool_add_young(pool, a);
    ha_pool_add_young(pool, b);
    ck_assert_ptr_eq(pool->young, b);
    ck_assert_ptr_eq(b->young_next, a);
    ck_assert_ptr_null(a->young_next);
    check_pool(pool);
}
END_TEST

/* --- adjacent blocks ------------------------------------------------------------------------------- */

/* The lowest place with `count` ones in a row, -1 for none: bit by bit. */
static int slow_run(uint64_t mask, size_t count)
{
    size_t have = 0;

    for (int i = 0; i < 64; i++) {
        have = mask >> i & 1 ? have + 1 : 0;
        if (have == count)
            return i + 1 - (int)count;
    }
    return -1;
}

/* Make exactly the blocks of `mask` free in the pool's only chunk; every third one stays cold. */
static void shape_chunk(struct ha_pool *pool, uint64_t mask)
{
    struct ha_chunk *chunk = pool->chunks;

    for (unsigned i = HA_HEAD_BLOCKS; i < HA_CHUNK_BLOCKS; i++) {
        struct ha_block *block = ha_block_at(chunk, i);
        uint64_t bit = (uint64_t)1 << i;
        bool is_free = block->state == HA_FREE || block->state == HA_COLD;

        if (is_free) {
            ha_list_remove(block->state == HA_COLD ? &pool->cold : &pool->free, block);
            pool->used++;
            chunk->free_mask &= ~bit;
            chunk->cold_mask &= ~bit;
        }
        ha_block_format(block, &pool->classes, 0);
        block->state = HA_FULL;
        if (!(mask & bit))
            continue;
        ha_pool_free(pool, block, 1, 0);
        if (i % 3 == 0) {
            ha_list_remove(&pool->free, block);
            ha_list_push(&pool->cold, block);
            block->state = HA_COLD;
            chunk->cold_mask |= bit;
        }
    }
}

static void take_adjacent(struct ha_pool *pool, uint64_t mask, size_t count)
{
    struct ha_chunk *chunk = pool->chunks;
    int expected = slow_run(mask, count);
    uint64_t taken = 0, cold = chunk->cold_mask;
    size_t used = pool->used;
    bool zero = false, all_cold = true;
    struct ha_block *block = ha_pool_adjacent(pool, count, HA_GROW_NEVER, &zero);

    EXPECT((block == NULL) == (expected < 0));
    if (block == NULL) {
        EXPECT(pool->used == used && chunk->free_mask == mask);
        return;
    }
    EXPECT(block == ha_block_at(chunk, (unsigned)expected));
    for (size_t i = 0; i < count; i++) {
        struct ha_block *each = block + i;

        taken |= (uint64_t)1 << ((unsigned)expected + i);
        all_cold &= cold >> ((unsigned)expected + i) & 1;
        EXPECT(each->state == (i == 0 ? HA_LARGE : HA_TAIL));
        EXPECT(each->blocks == (i == 0 ? count : i));
    }
    EXPECT(zero == all_cold);
    EXPECT(chunk->free_mask == (mask & ~taken) && chunk->cold_mask == (cold & ~taken));
    EXPECT(pool->used == used + count);
    EXPECT(pool->free.count + pool->cold.count == (size_t)__builtin_popcountll(mask & ~taken));
    ha_pool_free(pool, block, count, 0);
    EXPECT(chunk->free_mask == mask);
}

/* Random fragmentation, from nearly empty to nearly full, and every count. */
START_TEST(adjacent)
{
    struct ha_pool *pool = open_pool();
    uint64_t random = harness_seed();

    give(pool, fresh(pool, 0), 1);
    for (uint64_t round = 0; round < harness_scaled(400); round++) {
        uint64_t mask = harness_random(&random), percent = harness_random_below(&random, 101);

        if (round % 4 != 0) { /* long runs: few changes between 0 and 1 */
            bool on = mask & 1;
            mask = 0;
            for (int i = 0; i < 64; i++) {
                on ^= harness_random_below(&random, 100) < percent / 5 + 1;
                mask |= (uint64_t)on << i;
            }
        }
        mask &= ~(uint64_t)0 << HA_HEAD_BLOCKS;
        for (size_t count = 1; count <= HA_DATA_BLOCKS; count++) {
            shape_chunk(pool, mask);
            if (count == 1)
                check_pool(pool);
            take_adjacent(pool, mask, count);
        }
    }
}
END_TEST

/* Every run of every length at every place, alone. */
START_TEST(adjacent_places)
{
    struct ha_pool *pool = open_pool();

    give(pool, fresh(pool, 0), 1);
    for (size_t length = 1; length <= HA_DATA_BLOCKS; length++)
        for (size_t at = HA_HEAD_BLOCKS; at + length <= HA_CHUNK_BLOCKS; at += 1 + at % 3) {
            uint64_t mask = (~(uint64_t)0 >> (64 - length)) << at;

            shape_chunk(pool, mask);
            take_adjacent(pool, mask, length);
            if (length < HA_DATA_BLOCKS) {
                shape_chunk(pool, mask);
                take_adjacent(pool, mask, length + 1);
            }
        }
    check_pool(pool);
}
END_TEST

/* Several chunks; a new one is taken only if none has the room. */
START_TEST(adjacent_grows)
{
    struct ha_pool *pool = open_pool();
    struct ha_block *a, *b, *c;
    bool zero = false;

    ck_assert_ptr_null(ha_pool_adjacent(pool, 1, HA_GROW_NEVER, &zero));
    a = ha_pool_adjacent(pool, 31, HA_GROW_ROOM, &zero);
    ck_assert(zero);
    b = ha_pool_adjacent(pool, 30, HA_GROW_ROOM, &zero);
    ck_assert_uint_eq(pool->chunk_count, 2);
    ck_assert_ptr_ne(ha_chunk_of(a), ha_chunk_of(b));
    c = ha_pool_adjacent(pool, 29, HA_GROW_ROOM, &zero);
    ck_assert_uint_eq(pool->chunk_count, 2);
    ck_assert_ptr_eq(ha_pool_adjacent(pool, HA_DATA_BLOCKS, HA_GROW_NEVER, &zero), NULL);
    ha_pool_free(pool, b, 30, 7);
    if (ha_chunk_of(c) == ha_chunk_of(b))
        ha_pool_free(pool, c, 29, 7);
    b = ha_pool_adjacent(pool, HA_DATA_BLOCKS, HA_GROW_NEVER, &zero);
    ck_assert_ptr_nonnull(b);
    ck_assert(!zero);
    ck_assert_uint_eq(ha_block_number(b), HA_HEAD_BLOCKS);
    ck_assert_uint_eq(pool->chunk_count, 2);
    ha_pool_free(pool, b, HA_DATA_BLOCKS, 7);
    for (unsigned i = HA_HEAD_BLOCKS; i < HA_CHUNK_BLOCKS; i++)
        ck_assert_uint_eq(ha_block_at(ha_chunk_of(b), i)->stamp, 7);
}
END_TEST

/* --- threads --------------------------------------------------------------------------------------- */

struct taker {
    struct ha_pool *pool;
    pthread_t thread;
    uint64_t random;
    struct ha_block *block[300]; /* taken; a large object's first     */
    size_t count[300];           /* how many blocks                   */
};

/* Takes blocks of all sorts, writes its name everywhere, and gives some back. */
static void *take_some(void *data)
{
    struct taker *t = data;

    for (uint64_t i = 0; i < harness_scaled(3000); i++) {
        unsigned at = (unsigned)harness_random_below(&t->random, 300);
        bool zero = false;

        if (t->block[at] != NULL) {
            for (size_t b = 0; b < t->count[at]; b++)
                EXPECT(*(void **)(void *)ha_block_start(t->block[at] + b) == t);
            pthread_mutex_lock(&t->pool->lock);
            give(t->pool, t->block[at], t->count[at]);
            pthread_mutex_unlock(&t->pool->lock);
            t->block[at] = NULL;
            continue;
        }
        t->count[at] = harness_random_below(&t->random, 4) > 0
                           ? 1
                           : 1 + harness_random_below(&t->random, HA_DATA_BLOCKS / 2);
        t->block[at] = t->count[at] == 1
                           ? fresh(t->pool, (unsigned)harness_random_below(&t->random, 124))
                           : ha_pool_adjacent(t->pool, t->count[at], HA_GROW_ROOM, &zero);
        EXPECT(t->block[at] != NULL);
        for (size_t b = 0; b < t->count[at]; b++)
            *(void **)(void *)ha_block_start(t->block[at] + b) = t;
    }
    return NULL;
}

START_TEST(threads)
{
    enum { THREADS = 4 };
    static struct taker taker[THREADS];
    struct ha_pool *pool = open_pool();
    size_t used = 0;

    for (int i = 0; i < THREADS; i++) {
        taker[i].pool = pool;
        taker[i].random = harness_seed() + (uint64_t)i;
        ck_assert_int_eq(pthread_create(&taker[i].thread, NULL, take_some, &taker[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(taker[i].thread, NULL);
    for (int i = 0; i < THREADS; i++)
        for (int at = 0; at < 300; at++)
            used += taker[i].block[at] != NULL ? taker[i].count[at] : 0;
    ck_assert_uint_eq(pool->used, used);
    for (int i = 0; i < THREADS; i++)
        for (int at = 0; at < 300; at++)
            if (taker[i].block[at] != NULL)
                give(pool, taker[i].block[at], taker[i].count[at]);
    check_pool(pool);
}
END_TEST

/* --- no memory ------------------------------------------------------------------------------------- */

START_TEST(no_chunks)
{
    struct ha_pool *pool = fixture_space(1, (size_t)64 * MIB, 1000000)->space.pool[0];
    struct ha_block *last = NULL, *block;
    bool zero;
    size_t n = 0;

    while ((block = ha_pool_fresh(pool, 0, HA_GROW_ROOM)) != NULL) {
        last = block;
        n++;
    }
    ck_assert_uint_ge(n, 7 * CHUNK_ALL);
    ck_assert_uint_eq(pool->used, n);
    ck_assert_uint_eq(pool->chunk_count * CHUNK_ALL, n);
    ck_assert_ptr_null(ha_pool_adjacent(pool, 1, HA_GROW_ROOM, &zero));
    check_pool(pool);
    give(pool, last, 1);
    ck_assert_ptr_eq(ha_pool_adjacent(pool, 1, HA_GROW_ROOM, &zero), last);
    ck_assert_ptr_null(ha_pool_fresh(pool, 0, HA_GROW_ROOM));
    ck_assert_uint_eq(pool->used, n);
}
END_TEST

/* Creating fails cleanly where the node has no memory, and works when it has. */
START_TEST(no_pool)
{
    struct ha_windows *windows = fixture_windows(1, 0);
    struct ha_pool *pool;

    ht_fault_arm(HT_FAULT_RESERVE, 1, true);
    HARNESS_NULL(ha_pool_create(windows, 0, windows), HEARTH_ENOMEM);
    ht_fault_arm(HT_FAULT_RESERVE, 0, false);
    pool = ha_pool_create(windows, 0, windows);
    ck_assert_ptr_nonnull(pool);
    check_pool(pool);
    ha_pool_destroy(pool);
    HARNESS_OK(ha_windows_check(windows));
}
END_TEST

/* A destroyed pool leaves nothing: its chunks serve the next one, and are zero. */
START_TEST(destroy)
{
    struct ha_windows *windows = fixture_windows(1, 0);
    struct ha_window_stats before, after;

    for (int round = 0; round < 3; round++) {
        struct ha_pool *pool = ha_pool_create(windows, 0, &before);

        for (int i = 0; i < 150; i++) {
            struct ha_block *block = fresh(pool, 60);

            fixture_zero(ha_block_start(block), HA_BLOCK);
            fixture_zero(ha_block_meta(block), HA_BLOCK_GRANULES);
            memset(ha_block_start(block), 0xa5, HA_BLOCK);
            memset(ha_block_meta(block), 0xa5, HA_BLOCK_GRANULES);
        }
        ha_pool_destroy(pool);
        HARNESS_OK(ha_windows_check(windows));
        ha_window_stats(windows, 0, &after);
        ck_assert_uint_eq(after.chunks, after.free_chunks);
        ck_assert_uint_eq(after.meta, 0);
        if (round > 0)
            ck_assert_uint_eq(after.reserved, before.reserved);
        before = after;
    }
}
END_TEST

HARNESS_SUITE(pool)
{
    Suite *suite = suite_create("pool");
    TCase *blocks = tcase_create("blocks"), *buckets = tcase_create("buckets"),
          *runs = tcase_create("adjacent"), *many = tcase_create("threads"),
          *memory = tcase_create("memory");

    tcase_add_test(blocks, lists);
    tcase_add_test(blocks, new_pool);
    tcase_add_test(blocks, fresh_blocks);
    tcase_add_test(blocks, last_in_first_out);
    suite_add_tcase(suite, blocks);
    tcase_add_test(buckets, percentages);
    tcase_add_test(buckets, reuse);
    tcase_add_test(buckets, young_once);
    suite_add_tcase(suite, buckets);
    tcase_add_test(runs, adjacent);
    tcase_add_test(runs, adjacent_places);
    tcase_add_test(runs, adjacent_grows);
    suite_add_tcase(suite, runs);
    tcase_add_test(many, threads);
    suite_add_tcase(suite, many);
    tcase_add_test(memory, no_chunks);
    tcase_add_test(memory, no_pool);
    tcase_add_test(memory, destroy);
    suite_add_tcase(suite, memory);
    return suite;
}
