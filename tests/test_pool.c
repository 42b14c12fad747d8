/* tests/test_pool.c - a node's pool: lists, buckets, adjacent blocks against slow searches; many
 * threads; no memory left; the check sees what is planted. */
#define _GNU_SOURCE 1

#include <pthread.h>

#include "tests/space_fixture.h"

static struct ha_pool *open_pool(void)
{
    return fixture_space(1, 0, 1000000)->space.pool[0];
}

static void check_pool(struct ha_pool *pool)
{
    pthread_mutex_lock(&pool->ageing);
    hearth_status status = ha_pool_check(pool);
    pthread_mutex_unlock(&pool->ageing);
    if (status != HEARTH_OK)
        ck_abort_msg("check: %s", hearth_last_error());
}

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

static struct ha_block *fresh(struct ha_pool *pool, unsigned run)
{
    struct ha_block *block = ha_pool_fresh(pool, run, true);

    EXPECT(block != NULL);
    EXPECT(block->state == HA_CURRENT && block->size_class == run / 2 && block->young);
    EXPECT(block->cell == ha_class_cell(run / 2) && block->kind == (run & 1));
    EXPECT(block->frontier == NULL && block->live == 0);
    return block;
}

/* Without the collector: out of the young list, which the fixtures know how to rebuild. */
static void give(struct ha_pool *pool, struct ha_block *block, size_t count)
{
    struct ha_block **link = &pool->young;

    while (*link != NULL && *link != block)
        link = &(*link)->young_next;
    if (*link != NULL)
        *link = block->young_next;
    block->young = 0;
    ha_pool_free(pool, block, count, 1);
}

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
        ck_assert_ptr_null(ha_pool_fresh(pool, 0, false));
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
    ck_assert_ptr_null(ha_pool_fresh(pool, 0, false));
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

/* A swept block with `live` marked cells, in its list. */
static struct ha_block *partial(struct ha_pool *pool, unsigned run, unsigned live)
{
    struct ha_block *block = fresh(pool, run);

    pool->young = block->young_next; /* the sweep empties the list */
    block->young = 0;
    block->live = (uint16_t)live;
    for (unsigned i = 0; i < live; i++)
        *fixture_mark(block, i) = MARK_OLD;
    pool->live_objects += live;
    pool->live_bytes += (size_t)live * block->cell;
    ha_pool_sort(pool, block);
    return block;
}

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
    struct ha_block *block = ha_pool_adjacent(pool, count, false, &zero);

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

    ck_assert_ptr_null(ha_pool_adjacent(pool, 1, false, &zero));
    a = ha_pool_adjacent(pool, 31, true, &zero);
    ck_assert(zero);
    b = ha_pool_adjacent(pool, 30, true, &zero);
    ck_assert_uint_eq(pool->chunk_count, 2);
    ck_assert_ptr_ne(ha_chunk_of(a), ha_chunk_of(b));
    c = ha_pool_adjacent(pool, 29, true, &zero);
    ck_assert_uint_eq(pool->chunk_count, 2);
    ck_assert_ptr_eq(ha_pool_adjacent(pool, HA_DATA_BLOCKS, false, &zero), NULL);
    ha_pool_free(pool, b, 30, 7);
    if (ha_chunk_of(c) == ha_chunk_of(b))
        ha_pool_free(pool, c, 29, 7);
    b = ha_pool_adjacent(pool, HA_DATA_BLOCKS, false, &zero);
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
                           : ha_pool_adjacent(t->pool, t->count[at], true, &zero);
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

    while ((block = ha_pool_fresh(pool, 0, true)) != NULL) {
        last = block;
        n++;
    }
    ck_assert_uint_ge(n, 7 * CHUNK_ALL);
    ck_assert_uint_eq(pool->used, n);
    ck_assert_uint_eq(pool->chunk_count * CHUNK_ALL, n);
    ck_assert_ptr_null(ha_pool_adjacent(pool, 1, true, &zero));
    check_pool(pool);
    give(pool, last, 1);
    ck_assert_ptr_eq(ha_pool_adjacent(pool, 1, true, &zero), last);
    ck_assert_ptr_null(ha_pool_fresh(pool, 0, true));
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

/* --- the check ------------------------------------------------------------------------------------- */

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
    give(pool, ha_pool_adjacent(pool, 5, true, &zero), 5);
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

START_TEST(check_counters)
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
START_TEST(check_links)
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

START_TEST(check_buckets)
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

START_TEST(check_young)
{
    struct ha_pool *pool = rich_pool();
    struct ha_block *quarter = pool->partial[10][HA_BUCKET_QUARTER].head;

    DAMAGE(pool->young, NULL);
    DAMAGE(pool->young, kept->young_next);
    DAMAGE(pool->young, quarter);
    DAMAGE(pool->young, 128);
    DAMAGE(pool->young->young, 0);
    DAMAGE(pool->young->young_next, pool->young);
    DAMAGE(pool->young->young_next, NULL);
    DAMAGE(quarter->young, 1);
    DAMAGE(quarter->frontier, ha_block_start(quarter));
    DAMAGE(pool->free.head->young, 1);
    check_pool(pool);
}
END_TEST

START_TEST(check_chunks)
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

START_TEST(check_large)
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

HARNESS_SUITE(pool)
{
    Suite *suite = suite_create("pool");
    TCase *blocks = tcase_create("blocks"), *buckets = tcase_create("buckets"),
          *runs = tcase_create("adjacent"), *many = tcase_create("threads"),
          *memory = tcase_create("memory"), *check = tcase_create("check");

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
    tcase_add_test(check, check_counters);
    tcase_add_test(check, check_links);
    tcase_add_test(check, check_buckets);
    tcase_add_test(check, check_young);
    tcase_add_test(check, check_chunks);
    tcase_add_test(check, check_large);
    suite_add_tcase(suite, check);
    return suite;
}
