/* tests/test_age.c - idle memory goes back to the system: which blocks, when, and what is left when the
 * system refuses. */
#define _GNU_SOURCE 1

#include <pthread.h>
#include <time.h>

#include "tests/space_fixture.h"

enum { DIRT = 0xa5 };

/* A space without huge pages, so that single blocks are resident or not. */
static struct fixture_heap *open_heap(int nodes, size_t release_after)
{
    struct fixture_heap *heap = fixture_plan(nodes);

    heap->options.hugepages = HT_HUGE_OFF;
    heap->options.release_after = release_after;
    HARNESS_OK(fixture_space_try(heap, 100000));
    return heap;
}

/* `count` blocks in use and dirty, to be freed by the tests; the first `count` of `block`. */
static void take_blocks(struct ha_pool *pool, struct ha_block **block, int count)
{
    for (int i = 0; i < count; i++) {
        block[i] = ha_pool_fresh(pool, 10, HA_GROW_ROOM);
        ck_assert_ptr_nonnull(block[i]);
        memset(ha_block_start(block[i]), DIRT, HA_BLOCK);
    }
    while (pool->young != NULL) {
        pool->young->young = 0;
        pool->young = pool->young->young_next;
        pool->young_blocks--;
    }
}

static void check_pool(struct ha_pool *pool)
{
    pthread_mutex_lock(&pool->ageing);
    hearth_status status = ha_pool_check(pool);
    pthread_mutex_unlock(&pool->ageing);
    if (status != HEARTH_OK)
        ck_abort_msg("check: %s", hearth_last_error());
}

static void expect_cold(const struct ha_block *block)
{
    EXPECT(block->state == HA_COLD);
    EXPECT(ha_chunk_of(block)->cold_mask >> ha_block_number(block) & 1);
    EXPECT(fixture_resident(ha_block_start(block), HA_BLOCK) == 0);
}

/* To be asked last: reading makes pages resident. */
static void expect_zero(const struct ha_block *block)
{
    expect_cold(block);
    fixture_zero(ha_block_start(block), HA_BLOCK);
}

static void expect_free(const struct ha_block *block)
{
    EXPECT(block->state == HA_FREE);
    EXPECT(!(ha_chunk_of(block)->cold_mask >> ha_block_number(block) & 1));
    EXPECT(fixture_resident(ha_block_start(block), HA_BLOCK) == HA_BLOCK);
    EXPECT(*(uint8_t *)ha_block_start(block) == DIRT);
}

/* --- when ------------------------------------------------------------------------------------------ */

/* Blocks freed one millisecond after the other from `start` on; those of which the age has come go. */
static void by_age(uint32_t start)
{
    struct ha_pool *pool = open_heap(1, 0)->space.pool[0];
    struct ha_block *block[50];

    take_blocks(pool, block, 50);
    for (int i = 0; i < 40; i++)
        ha_pool_free(pool, block[i], 1, start + (uint32_t)i);
    for (int now = 0; now <= 45; now += 5) {
        ha_pool_age(pool, start + 100 + (uint32_t)now - 5, 100);
        for (int i = 0; i < 40; i++) {
            if (i + 100 <= 100 + now - 5)
                expect_cold(block[i]);
            else
                expect_free(block[i]);
        }
        check_pool(pool);
    }
    for (int i = 0; i < 40; i++)
        expect_zero(block[i]);
    ck_assert_uint_eq(pool->free.count, 0);
    ck_assert_uint_eq(pool->cold.count, 50);
    ck_assert_uint_eq(pool->released, 40 * (uint64_t)HA_BLOCK);
    ck_assert_uint_eq(pool->used, 10);
}

START_TEST(age)
{
    by_age(1000);
}
END_TEST

START_TEST(clock_turns_over)
{
    by_age(UINT32_MAX - 20);
    by_age(UINT32_MAX - 120);
}
END_TEST

/* The keeper looks at the clock, then a collection frees blocks: they are younger than the clock's
 * reading, not four billion milliseconds older. */
START_TEST(freed_later_than_now)
{
    struct ha_pool *pool = open_heap(1, 0)->space.pool[0];
    struct ha_block *block[3];

    take_blocks(pool, block, 3);
    ha_pool_free(pool, block[0], 1, 1000);
    ha_pool_free(pool, block[1], 1, 2001);
    ha_pool_age(pool, 2000, 1000);
    expect_cold(block[0]);
    expect_free(block[1]);
    ha_pool_age(pool, 3000, 1000);
    expect_free(block[1]);
    ha_pool_age(pool, 3001, 1000);
    expect_zero(block[1]);
    check_pool(pool);
}
END_TEST

/* --- what ------------------------------------------------------------------------------------------ */

/* More than a batch, over several chunks; what is taken afterwards is zero. */
START_TEST(many)
{
    static struct ha_block *block[300];
    struct ha_pool *pool = open_heap(1, 0)->space.pool[0];
    int cold = 0;

    take_blocks(pool, block, 300);
    for (int i = 0; i < 300; i++)
        if (i % 3 != 0)
            ha_pool_free(pool, block[i], 1, 0);
    ha_pool_age(pool, 10, 10);
    for (int i = 0; i < 300; i++)
        if (i % 3 != 0)
            expect_cold(block[i]);
    check_pool(pool);
    ck_assert_uint_eq(pool->chunk_count, 5);
    struct ha_block *again;
    while ((again = ha_pool_fresh(pool, 0, HA_GROW_NEVER)) != NULL) {
        EXPECT(again->stamp == 1);
        fixture_zero(ha_block_start(again), HA_BLOCK);
        cold++;
    }
    ck_assert_int_eq(cold, 200);
}
END_TEST

/* A chunk without anything in it goes back as soon as its last block is cold. */
START_TEST(whole_chunks)
{
    static struct ha_block *block[4 * CHUNK_ALL];
    struct fixture_heap *heap = open_heap(1, 0);
    struct ha_pool *pool = heap->space.pool[0];
    struct ha_window_stats before, after;

    take_blocks(pool, block, 4 * CHUNK_ALL);
    ha_window_stats(pool->windows, 0, &before);
    ck_assert_uint_eq(pool->chunk_count, 4);
    for (int i = 4 * CHUNK_ALL - 1; i >= 0; i--)
        if (i / CHUNK_ALL != 2 || i % CHUNK_ALL != 31) /* one block of one chunk stays */
            ha_pool_free(pool, block[i], 1, i / CHUNK_ALL == 0 ? 50 : 0);
    ha_pool_age(pool, 100, 60);
    check_pool(pool);
    ck_assert_uint_eq(pool->chunk_count, 2);
    ck_assert_uint_eq(pool->free.count, CHUNK_ALL);
    ck_assert_uint_eq(pool->cold.count, CHUNK_ALL - 1);
    ha_pool_age(pool, 110, 60);
    check_pool(pool);
    ck_assert_uint_eq(pool->chunk_count, 1);
    ck_assert_ptr_eq(pool->chunks, ha_chunk_of(block[2 * CHUNK_ALL + 31]));
    ha_window_stats(pool->windows, 0, &after);
    ck_assert_uint_eq(after.free_chunks, before.free_chunks + 3);
    HARNESS_OK(ha_windows_check(pool->windows));
    ck_assert_uint_eq(pool->released, (4 * CHUNK_ALL - 1) * (uint64_t)HA_BLOCK);
    ha_pool_free(pool, block[2 * CHUNK_ALL + 31], 1, 120);
    ha_pool_age(pool, 200, 60);
    ck_assert_uint_eq(pool->chunk_count + pool->cold.count + pool->free.count, 0);
    check_pool(pool);
    /* address space that was given back is zero, headers and metadata included */
    struct ha_block *again = ha_pool_fresh(pool, 10, HA_GROW_ROOM);
    ck_assert_ptr_nonnull(again);
    fixture_zero(ha_block_meta(again), HA_BLOCK_GRANULES);
    fixture_zero(ha_block_start(again), HA_BLOCK);
    fixture_space_close(heap);
}
END_TEST

/* Free blocks of large objects age like others. */
START_TEST(large)
{
    struct fixture_heap *heap = open_heap(1, 0);
    struct ha_space *space = &heap->space;
    enum ha_refusal why;
    size_t size = 10 * HA_BLOCK - 16;
    uintptr_t object = ha_large_take(space, 0, size, HA_SCAN, &why);

    ck_assert_uint_ne(object, 0);
    memset((void *)object, DIRT, size);
    ck_assert_uint_ne(ha_large_take(space, 0, 50000, HA_SCAN, &why), 0);
    *ha_meta_of(ha_large_object(space->pool[0]->large_young.tail)) = MARK_OLD;
    fixture_sweep(space, 5);
    ha_pool_age(space->pool[0], 9, 5);
    ck_assert_uint_eq(fixture_resident((void *)(object - 16), size + 16), size + 16);
    ha_pool_age(space->pool[0], 10, 5);
    ck_assert_uint_eq(fixture_resident((void *)(object - 16), size + 16), 0);
    fixture_check(space);
    object = ha_large_take(space, 0, size, HA_SCAN, &why);
    ck_assert_uint_eq(fixture_resident((void *)(object - 16), size + 16), 0); /* not zeroed again */
    fixture_check(space);
}
END_TEST

/* --- who ------------------------------------------------------------------------------------------- */

START_TEST(held)
{
    struct fixture_heap *heap = open_heap(2, 0);
    struct ha_block *block[2];

    for (int n = 0; n < 2; n++) {
        take_blocks(heap->space.pool[n], &block[n], 1);
        ha_pool_free(heap->space.pool[n], block[n], 1, 0);
    }
    ha_space_hold(&heap->space);
    for (int n = 0; n < 2; n++)
        ha_pool_age(heap->space.pool[n], 100, 1);
    expect_free(block[0]);
    expect_free(block[1]);
    ha_space_release(&heap->space);
    ha_pool_age(heap->space.pool[0], 100, 1);
    ck_assert_uint_eq(heap->space.pool[0]->chunk_count, 0);
    expect_free(block[1]);
}
END_TEST

static uint64_t now_ms(void)
{
    return ht_os_now() / 1000000;
}

static void sleep_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

/* The keeper does it all by itself, after release-after and not before. */
START_TEST(keeper)
{
    static struct ha_block *block[500];
    struct fixture_heap *heap = open_heap(1, 400);
    struct ha_space *space = &heap->space;
    struct ha_pool *pool = space->pool[0];
    size_t left = 0;

    take_blocks(pool, block, 500);
    uint64_t begin = now_ms();
    long rss = fixture_status("VmRSS:");
    pthread_mutex_lock(&pool->lock);
    for (int i = 1; i < 500; i++)
        ha_pool_free(pool, block[i], 1, ha_space_clock());
    pthread_mutex_unlock(&pool->lock);
    ha_space_hold(space);
    sleep_ms(700);
    for (int i = 1; i < 500; i++)
        expect_free(block[i]); /* it is kept out */
    ha_space_release(space);
    do {
        sleep_ms(20);
        pthread_mutex_lock(&pool->lock);
        left = pool->free.count + pool->chunk_count - 1;
        pthread_mutex_unlock(&pool->lock);
    } while (left != 0 && now_ms() - begin < 20000);
    ck_assert_uint_eq(left, 0);
    check_pool(pool);
    ck_assert_uint_eq(pool->cold.count, CHUNK_ALL - 1);
    if (!FIXTURE_SANITIZED)
        ck_assert_int_le(fixture_status("VmRSS:"), rss - 28 * 1024);
    fixture_space_close(heap);
}
END_TEST

/* What has just been freed is kept: here for longer than the test takes. */
START_TEST(keeper_waits)
{
    struct ha_block *block[10];
    struct fixture_heap *heap = open_heap(1, 100000);
    struct ha_pool *pool = heap->space.pool[0];

    take_blocks(pool, block, 10);
    pthread_mutex_lock(&pool->lock);
    for (int i = 0; i < 9; i++)
        ha_pool_free(pool, block[i], 1, ha_space_clock());
    pthread_mutex_unlock(&pool->lock);
    sleep_ms(60);
    for (int i = 0; i < 9; i++)
        expect_free(block[i]);
    fixture_space_close(heap);
}
END_TEST

struct user {
    pthread_t thread;
    struct ha_pool *pool;
    uint64_t random;
    bool *stop;
};

/* Puts `count` blocks back, out of the young list first. */
static void put_back(struct ha_pool *pool, struct ha_block *block, size_t count)
{
    pthread_mutex_lock(&pool->lock);
    struct ha_block **link = &pool->young;
    while (*link != NULL && *link != block)
        link = &(*link)->young_next;
    if (*link != NULL) {
        *link = block->young_next;
        pool->young_blocks--;
    }
    block->young = 0;
    ha_pool_free(pool, block, count, 0);
    pthread_mutex_unlock(&pool->lock);
}

/* Takes and frees blocks, several at a time now and then; what it is given as zero is zero. */
static void *use_blocks(void *data)
{
    enum { HELD = 60 };
    struct user *u = data;
    struct ha_block *held[HELD] = {NULL};
    size_t count[HELD];

    for (uint64_t i = 0; i < harness_scaled(8000); i++) {
        unsigned at = (unsigned)harness_random_below(&u->random, HELD);

        if (held[at] == NULL) {
            bool zero = false;

            count[at] = 1 + (harness_random_below(&u->random, 8) == 0) *
                                harness_random_below(&u->random, 12);
            held[at] = count[at] == 1 ? ha_pool_fresh(u->pool, 10, HA_GROW_ROOM)
                                      : ha_pool_adjacent(u->pool, count[at], HA_GROW_ROOM, &zero);
            EXPECT(held[at] != NULL);
            if (zero || (count[at] == 1 && held[at]->stamp))
                fixture_zero(ha_block_start(held[at]), count[at] * HA_BLOCK);
            for (size_t b = 0; b < count[at]; b++)
                memset(ha_block_start(held[at] + b), DIRT, 2 * HA_PAGE);
        } else {
            for (size_t b = 0; b < count[at]; b++)
                EXPECT(*(uint8_t *)ha_block_start(held[at] + b) == DIRT);
            put_back(u->pool, held[at], count[at]);
            held[at] = NULL;
        }
        if (harness_random_below(&u->random, 500) == 0)
            ha_pool_trim(u->pool);
    }
    for (unsigned at = 0; at < HELD; at++)
        if (held[at] != NULL)
            put_back(u->pool, held[at], count[at]);
    return NULL;
}

static void *age_always(void *data)
{
    struct user *u = data;

    while (!__atomic_load_n(u->stop, __ATOMIC_ACQUIRE)) {
        ha_pool_age(u->pool, 1, 1);
        sched_yield();
    }
    return NULL;
}

START_TEST(beside_mutators)
{
    struct ha_pool *pool = open_heap(1, 0)->space.pool[0];
    bool stop = false;
    struct user ager = {.pool = pool, .stop = &stop}, user[2];

    ck_assert_int_eq(pthread_create(&ager.thread, NULL, age_always, &ager), 0);
    for (int i = 0; i < 2; i++) {
        user[i] = (struct user){.pool = pool, .random = harness_seed() + (uint64_t)i};
        ck_assert_int_eq(pthread_create(&user[i].thread, NULL, use_blocks, &user[i]), 0);
    }
    for (int i = 0; i < 2; i++)
        pthread_join(user[i].thread, NULL);
    __atomic_store_n(&stop, true, __ATOMIC_RELEASE);
    pthread_join(ager.thread, NULL);
    check_pool(pool);
    HARNESS_OK(ha_windows_check(pool->windows));
}
END_TEST

/* --- refusals -------------------------------------------------------------------------------------- */

/* Every single refusal: the block stays free with what it held, and goes the next time. */
START_TEST(refused_once)
{
    struct ha_pool *pool = open_heap(1, 0)->space.pool[0];
    struct ha_block *block[51];

    take_blocks(pool, block, 51);
    for (uint64_t n = 1; n <= 50; n++) {
        for (int i = 0; i < 50; i++)
            ha_pool_free(pool, block[i], 1, 0);
        ht_fault_arm(HT_FAULT_ADVISE, n, false);
        ha_pool_age(pool, 20, 5);
        ht_fault_arm(HT_FAULT_ADVISE, 0, false);
        check_pool(pool);
        ck_assert_uint_eq(pool->free.count, 1);
        for (uint64_t i = 0; i < 50; i++) {
            if (i == n - 1)
                expect_free(block[i]);
            else
                expect_cold(block[i]);
        }
        ha_pool_age(pool, 24, 5);
        expect_free(block[n - 1]); /* another period has not passed */
        ha_pool_age(pool, 25, 5);
        expect_cold(block[n - 1]);
        check_pool(pool);
        take_blocks(pool, block, 50);
        for (int i = 0; i < 50; i++)
            for (int j = i; j > 0 && block[j] < block[j - 1]; j--) { /* in address order again */
                struct ha_block *kept = block[j];
                block[j] = block[j - 1];
                block[j - 1] = kept;
            }
    }
}
END_TEST

/* Everything is refused: nothing changes, and it ends. */
START_TEST(refused_always)
{
    struct ha_pool *pool = open_heap(1, 0)->space.pool[0];
    struct ha_block *block[130];

    take_blocks(pool, block, 130);
    for (int i = 0; i < 129; i++)
        ha_pool_free(pool, block[i], 1, 0);
    uint64_t calls = ht_fault_count(HT_FAULT_ADVISE);
    ht_fault_arm(HT_FAULT_ADVISE, 1, true);
    ha_pool_age(pool, 5, 5);
    ck_assert_uint_eq(ht_fault_count(HT_FAULT_ADVISE) - calls, 129);
    check_pool(pool);
    ck_assert_uint_eq(pool->free.count, 129);
    ck_assert_uint_eq(pool->released, 0);
    for (int i = 0; i < 129; i++)
        expect_free(block[i]);
    ht_fault_arm(HT_FAULT_ADVISE, 0, false);
    ha_pool_age(pool, 10, 5);
    check_pool(pool);
    ck_assert_uint_eq(pool->free.count, 0);
}
END_TEST

/* --- trimming -------------------------------------------------------------------------------------- */

START_TEST(trim)
{
    static struct ha_block *block[4 * CHUNK_ALL];
    struct fixture_heap *heap = open_heap(1, 0);
    struct ha_pool *pool = heap->space.pool[0];

    ck_assert_uint_eq(ha_pool_trim(pool), 0);
    take_blocks(pool, block, 4 * CHUNK_ALL);
    ck_assert_uint_eq(ha_pool_trim(pool), 0);
    for (int i = 4 * CHUNK_ALL - 1; i > 0; i--)
        if (i / CHUNK_ALL != 2 || i % 7 != 0)
            ha_pool_free(pool, block[i], 1, i / CHUNK_ALL == 3 ? 0 : 100);
    ha_pool_age(pool, 50, 50); /* the last chunk was cold: it is gone already */
    ck_assert_uint_eq(pool->chunk_count, 3);
    ck_assert_uint_eq(pool->released, CHUNK_ALL * (uint64_t)HA_BLOCK);
    ck_assert_uint_eq(ha_pool_trim(pool), 1);
    check_pool(pool);
    ck_assert_uint_eq(pool->chunk_count, 2);
    ck_assert_uint_eq(pool->released, 2 * CHUNK_ALL * (uint64_t)HA_BLOCK);
    ha_pool_free(pool, block[0], 1, 100);
    ck_assert_uint_eq(ha_pool_trim(pool), 1);
    for (int i = 2 * CHUNK_ALL; i < 3 * CHUNK_ALL; i++)
        if (i % 7 == 0)
            ha_pool_free(pool, block[i], 1, 100);
    ck_assert_uint_eq(ha_pool_trim(pool), 1);
    ck_assert_uint_eq(ha_pool_trim(pool), 0);
    ck_assert_uint_eq(pool->chunk_count + pool->free.count + pool->cold.count, 0);
    check_pool(pool);
    HARNESS_OK(ha_windows_check(pool->windows));
    ck_assert_ptr_nonnull(ha_pool_fresh(pool, 0, HA_GROW_ROOM));
    check_pool(pool);
}
END_TEST

HARNESS_SUITE(age)
{
    Suite *suite = suite_create("age");
    TCase *when = tcase_create("when"), *what = tcase_create("what"), *who = tcase_create("who"),
          *refusals = tcase_create("refusals"), *trimming = tcase_create("trim");

    tcase_add_test(when, age);
    tcase_add_test(when, clock_turns_over);
    tcase_add_test(when, freed_later_than_now);
    suite_add_tcase(suite, when);
    tcase_add_test(what, many);
    tcase_add_test(what, whole_chunks);
    tcase_add_test(what, large);
    suite_add_tcase(suite, what);
    tcase_add_test(who, held);
    tcase_add_test(who, keeper);
    tcase_add_test(who, keeper_waits);
    tcase_add_test(who, beside_mutators);
    suite_add_tcase(suite, who);
    tcase_add_test(refusals, refused_once);
    tcase_add_test(refusals, refused_always);
    suite_add_tcase(suite, refusals);
    tcase_add_test(trimming, trim);
    suite_add_tcase(suite, trimming);
    return suite;
}
