/* tests/test_chunk_threads.c - chunks taken and given by many threads at once. */
#define _GNU_SOURCE 1

#include <pthread.h>

#include "tests/chunk_fixture.h"

struct worker {
    pthread_t thread;
    struct ha_windows *windows;
    uint64_t random;
    uint64_t rounds;
    size_t taken, refused;
};

/* Takes and gives, and stamps what it holds: nobody else may have the same chunk. */
static void *churn(void *data)
{
    struct worker *worker = data;
    struct ha_windows *windows = worker->windows;
    char *held[8] = {0};

    for (uint64_t i = 0; i < worker->rounds; i++) {
        uint64_t at = harness_random_below(&worker->random, 8);
        size_t count = harness_random_below(&worker->random, 8) ? 1 : 2 + i % 5;
        int node = (int)harness_random_below(&worker->random, (uint64_t)windows->nodes);

        if (held[at] != NULL) {
            EXPECT(*(void **)held[at] == worker);
            ha_chunk_give(windows, held[at]);
        }
        held[at] = ha_chunk_take(windows, node, count, worker);
        if (held[at] == NULL) {
            worker->refused++;
            continue;
        }
        EXPECT(*(void **)held[at] == NULL);
        EXPECT(held[at][count * HA_CHUNK - 1] == 0);
        *(void **)held[at] = worker;
        held[at][count * HA_CHUNK - 1] = 1;
        worker->taken++;
    }
    for (int i = 0; i < 8; i++)
        if (held[i] != NULL)
            ha_chunk_give(windows, held[i]);
    return NULL;
}

/* Reads the slot table as a conservative scan does, without a lock. */
static void *read_slots(void *data)
{
    struct worker *worker = data;
    struct ha_windows *windows = worker->windows;

    while (!__atomic_load_n(&worker->refused, __ATOMIC_RELAXED))
        for (size_t i = 0; i < windows->bytes >> HA_CHUNK_SHIFT && i < 512; i++) {
            struct ha_slot *slot = &windows->slot[i];

            if (__atomic_load_n(&slot->owner, __ATOMIC_ACQUIRE) != NULL)
                EXPECT(__atomic_load_n(&slot->head, __ATOMIC_RELAXED) < 1u << 22);
        }
    return NULL;
}

/* _i: windows that always suffice, or that are often full. */
START_TEST(threads_take_and_give)
{
    struct worker worker[9] = {0};

    for (int i = 8; i >= 0; i--) {
        worker[i].windows = fixture_windows(2, _i == 0 ? 0 : 256 * MIB);
        worker[i].random = harness_seed() + (uint64_t)i;
        worker[i].rounds = harness_scaled(1000);
        ck_assert_int_eq(
            pthread_create(&worker[i].thread, NULL, i == 8 ? read_slots : churn, &worker[i]), 0);
    }
    for (int i = 0; i < 8; i++) {
        pthread_join(worker[i].thread, NULL);
        ck_assert_uint_eq(worker[i].taken + worker[i].refused, worker[i].rounds);
        ck_assert(_i != 0 || worker[i].refused == 0);
    }
    __atomic_store_n(&worker[8].refused, 1, __ATOMIC_RELAXED);
    pthread_join(worker[8].thread, NULL);
    HARNESS_OK(ha_windows_check(worker[0].windows));
    for (int node = 0; node < 2; node++) {
        ck_assert_uint_eq(stats(worker[0].windows, node).spans, 0);
        ck_assert_uint_eq(stats(worker[0].windows, node).chunks,
                          stats(worker[0].windows, node).free_chunks);
    }
}
END_TEST

static void *take_first(void *data)
{
    struct worker *worker = data;

    for (int i = 0; i < 4; i++)
        worker->taken += ha_chunk_take(worker->windows, 1, 1, worker) != NULL;
    return NULL;
}

/* Eight threads find no chunk at once: one reservation is made for all of them. */
START_TEST(threads_share_a_refill)
{
    struct worker worker[8] = {0};
    size_t cut;

    for (int i = 0; i < 8; i++) {
        worker[i].windows = fixture_windows(2, 0);
        ck_assert_int_eq(pthread_create(&worker[i].thread, NULL, take_first, &worker[i]), 0);
    }
    for (int i = 0; i < 8; i++) {
        pthread_join(worker[i].thread, NULL);
        ck_assert_uint_eq(worker[i].taken, 4);
    }
    cut = fixture_cut(worker[0].windows);
    cut *= (32 + cut - 1) / cut;
    ck_assert_uint_eq(stats(worker[0].windows, 1).chunks, cut);
    ck_assert_uint_eq(stats(worker[0].windows, 1).free_chunks, cut - 32);
}
END_TEST

HARNESS_SUITE(chunk_threads)
{
    Suite *suite = suite_create("chunk_threads");
    TCase *thread = tcase_create("threads");

    tcase_add_loop_test(thread, threads_take_and_give, 0, 2);
    tcase_add_test(thread, threads_share_a_refill);
    suite_add_tcase(suite, thread);
    return suite;
}
