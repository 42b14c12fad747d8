/* tests/test_meta.c - the metadata heap: zero, aligned, on its node, reused, exhausted. */
#define _GNU_SOURCE 1

#include <pthread.h>

#include "tests/window_fixture.h"

static size_t used(struct ha_windows *windows, int node)
{
    struct ha_window_stats stats;

    ha_window_stats(windows, node, &stats);
    return stats.meta;
}

static size_t chunks(struct ha_windows *windows, int node)
{
    struct ha_window_stats stats;

    ha_window_stats(windows, node, &stats);
    return stats.chunks - stats.free_chunks;
}

static char *take(struct ha_windows *windows, int node, size_t bytes)
{
    char *piece = ha_meta_take(windows, node, bytes);

    if (piece != NULL) {
        ck_assert_uint_eq((uintptr_t)piece % 64, 0);
        ck_assert_int_eq(ha_node_of(windows, (uintptr_t)piece), node);
        ck_assert_int_eq(ha_node_of(windows, (uintptr_t)piece + bytes - 1), node);
        fixture_zero(piece, bytes);
    }
    return piece;
}

/* What reservations leave over is used before chunks are, and no heap sees it in the slot table. */
START_TEST(pieces)
{
    static const size_t size[] = {1, 64, 4095, 4096, 4097, 60000, 65536, 100000, MIB - 1, MIB};
    struct ha_windows *windows = fixture_windows(2, 0);
    enum { SIZES = sizeof(size) / sizeof(size[0]) };
    char *piece[2][SIZES];

    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 2 * SIZES; i++) {
            char *p = piece[i % 2][i / 2] = take(windows, i % 2, size[i / 2]);
            uintptr_t slot = ((uintptr_t)p - windows->base) >> HA_CHUNK_SHIFT;

            ck_assert_ptr_nonnull(p);
            memset(p, 0x77, size[i / 2]);
            ck_assert_ptr_null(windows->slot[slot].owner);
        }
        ck_assert_uint_eq(used(windows, 0), 4 * 4096 + 8192 + 2 * 65536 + 131072 + 2 * MIB);
        ck_assert_uint_eq(chunks(windows, 0), 0);
        HARNESS_OK(ha_windows_check(windows));
        for (int i = 0; i < 2 * SIZES; i++) {
            char *p = piece[i % 2][i / 2];

            for (size_t at = 0; at < size[i / 2]; at++) /* nobody else wrote to it */
                EXPECT(p[at] == 0x77);
            ha_meta_give(windows, i % 2, p, size[i / 2]);
        }
        ck_assert_uint_eq(used(windows, 0) + used(windows, 1), 0);
        HARNESS_OK(ha_windows_check(windows));
    }
    ha_meta_give(windows, 0, NULL, 4096);
}
END_TEST

/* When the leftovers are used up, chunks follow; they stay metadata, and pieces are reused. */
START_TEST(more_than_leftovers)
{
    struct ha_windows *windows = fixture_windows(1, 0);
    char *piece[20];
    size_t taken = 0;

    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 20; i++) {
            piece[i] = take(windows, 0, MIB);
            ck_assert_ptr_nonnull(piece[i]);
            memset(piece[i], 1, MIB);
        }
        if (round == 0)
            taken = chunks(windows, 0);
        ck_assert_uint_eq(chunks(windows, 0), taken);
        ck_assert_uint_eq(taken, 5); /* three pieces in what is left over, seventeen in chunks */
        HARNESS_OK(ha_windows_check(windows));
        for (int i = 0; i < 20; i++)
            ha_meta_give(windows, 0, piece[i], MIB);
    }
    for (int i = 0; i < 200; i++) /* what a region had left was cut up, not lost */
        ck_assert_ptr_nonnull(take(windows, 0, 4096));
    ck_assert_uint_eq(chunks(windows, 0), taken);
    HARNESS_OK(ha_windows_check(windows));
}
END_TEST

START_TEST(large_pieces)
{
    struct ha_windows *windows = fixture_windows(2, 0);
    char *one = take(windows, 1, MIB + 1);
    char *three = take(windows, 1, 9 * MIB);

    ck_assert_uint_eq(chunks(windows, 1), 1);
    memset(one, 1, HA_CHUNK);
    memset(three, 1, 3 * HA_CHUNK);
    HARNESS_OK(ha_windows_check(windows));
    ha_meta_give(windows, 1, one, MIB + 1);
    ha_meta_give(windows, 1, three, 9 * MIB);
    ck_assert_uint_eq(chunks(windows, 1), 0);
    ck_assert_ptr_null(ha_meta_take(windows, 1, windows->bytes));
    ck_assert_int_eq(errno, ENOMEM);
    ck_assert_ptr_null(ha_meta_take(windows, 1, SIZE_MAX));
    ck_assert_int_eq(errno, ENOMEM);
}
END_TEST

START_TEST(used_up)
{
    struct ha_windows *windows = fixture_windows(2, 64 * MIB);
    char *piece[64], *chunk;
    int count = 0;

    ht_fault_arm(HT_FAULT_RESERVE, 1, true);
    ck_assert_ptr_null(ha_meta_take(windows, 0, 4096));
    ck_assert_int_eq(errno, ENOMEM);
    ht_fault_arm(HT_FAULT_RESERVE, 0, false);
    while ((piece[count] = take(windows, 1, MIB)) != NULL)
        memset(piece[count++], 1, MIB);
    ck_assert_int_eq(errno, ENOMEM);
    ck_assert_int_eq(count, 14 * 4 + 3);
    ck_assert_ptr_null(ha_chunk_take(windows, 1, 1, windows));
    HARNESS_OK(ha_windows_check(windows));
    ha_meta_give(windows, 1, piece[7], MIB);
    ck_assert_ptr_eq(take(windows, 1, MIB), piece[7]);
    chunk = ha_chunk_take(windows, 0, 1, windows);
    ck_assert_ptr_nonnull(chunk);
}
END_TEST

struct worker {
    pthread_t thread;
    struct ha_windows *windows;
    uint64_t random;
};

static void *churn(void *data)
{
    struct worker *worker = data;
    uint64_t rounds = harness_scaled(3000);
    char *held[16] = {0};
    size_t size[16];
    int node[16];

    for (uint64_t i = 0; i < rounds + 16; i++) {
        uint64_t at = i < rounds ? harness_random_below(&worker->random, 16) : i - rounds;

        if (held[at] != NULL) {
            EXPECT(*(void **)held[at] == worker);
            ha_meta_give(worker->windows, node[at], held[at], size[at]);
            held[at] = NULL;
            continue;
        }
        if (i >= rounds)
            continue;
        node[at] = (int)(harness_random(&worker->random) & 1);
        size[at] = sizeof(void *) + (harness_random(&worker->random) >> (44 + i % 12));
        held[at] = ha_meta_take(worker->windows, node[at], size[at]);
        EXPECT(held[at] != NULL);
        EXPECT(*(void **)held[at] == NULL);
        EXPECT(held[at][size[at] - 1] == 0);
        held[at][size[at] - 1] = 1;
        *(void **)held[at] = worker;
    }
    return NULL;
}

START_TEST(threads)
{
    struct worker worker[6];

    for (int i = 0; i < 6; i++) {
        worker[i].windows = fixture_windows(2, 0);
        worker[i].random = harness_seed() + (uint64_t)i;
        ck_assert_int_eq(pthread_create(&worker[i].thread, NULL, churn, &worker[i]), 0);
    }
    for (int i = 0; i < 6; i++)
        pthread_join(worker[i].thread, NULL);
    HARNESS_OK(ha_windows_check(worker[0].windows));
    ck_assert_uint_eq(used(worker[0].windows, 0) + used(worker[0].windows, 1), 0);
}
END_TEST

HARNESS_SUITE(meta)
{
    Suite *suite = suite_create("meta");
    TCase *heap = tcase_create("heap");

    tcase_add_test(heap, pieces);
    tcase_add_test(heap, more_than_leftovers);
    tcase_add_test(heap, large_pieces);
    tcase_add_test(heap, used_up);
    tcase_add_test(heap, threads);
    suite_add_tcase(suite, heap);
    return suite;
}
