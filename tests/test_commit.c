/* tests/test_commit.c - that mimalloc takes no arena block that was not committed before. */
#define _GNU_SOURCE 1

#include "alloc/commit.h"
#include "tests/window_fixture.h"

enum { HELD = 64 };

/* A window of its own with an arena that mimalloc believes uncommitted. */
static mi_heap_t *arena(struct ha_commit *commit, size_t bytes)
{
    size_t align = (size_t)1 << HA_ARENA_SHIFT;
    char *start = ht_os_map(bytes + align, false);
    char *base = (char *)(((uintptr_t)start + align - 1) & -(uintptr_t)align);
    mi_arena_id_t id;
    mi_heap_t *heap;

    ck_assert_ptr_nonnull(start);
    ck_assert(ha_commit_init(commit, (uintptr_t)base, bytes));
    ck_assert(mi_manage_os_memory_ex(base, bytes, false, false, true, -1, true, &id));
    heap = mi_heap_new_in_arena(id);
    ck_assert_ptr_nonnull(heap);
    return heap;
}

static bool writable(struct ha_commit *commit, size_t block)
{
    int ends[2];
    bool yes;

    ck_assert_int_eq(pipe(ends), 0);
    yes = write(ends[1], (void *)(commit->base + (block << HA_ARENA_SHIFT)), 1) == 1;
    close(ends[0]);
    close(ends[1]);
    return yes;
}

/* Random reservations of all shapes, 1 to 70 blocks, against mimalloc itself: each lies below the
 * committed part, and is refused exactly when the mirror says so. */
START_TEST(mimalloc_stays_inside)
{
    const size_t blocks = 640;
    struct ha_commit commit;
    mi_heap_t *heap = arena(&commit, blocks << HA_ARENA_SHIFT);
    uint64_t random = harness_seed();
    size_t size[HELD], refused = 0;
    void *held[HELD] = {0};

    for (uint64_t i = 0; i < harness_scaled(6000); i++) {
        uint64_t at = harness_random_below(&random, HELD);
        uint64_t kind = harness_random_below(&random, 8);
        bool ahead;

        if (held[at] != NULL) {
            ha_commit_note(&commit, held[at], size[at], false);
            mi_free(held[at]);
            held[at] = NULL;
            continue;
        }
        size[at] = kind == 0   ? (size_t)31 * MIB
                   : kind < 4  ? (size_t)(60 + 64 * (kind - 1)) * MIB
                   : kind == 4 ? (size_t)(32 * (65 + harness_random_below(&random, 6)) - 4) * MIB
                               : (size_t)(20 + 4 * harness_random_below(&random, 120)) * MIB;
        ahead = ha_commit_ahead(&commit, size[at]);
        if (!ahead) {
            refused++;
            ck_assert_int_eq(errno, ENOMEM);
            continue;
        }
        held[at] = mi_heap_malloc(heap, size[at]);
        ck_assert_ptr_nonnull(held[at]);
        ck_assert_uint_le((uintptr_t)held[at] + size[at],
                          commit.base + (commit.ready << HA_ARENA_SHIFT));
        ha_commit_note(&commit, held[at], size[at], true);
        *(char *)held[at] = 1;
        ((char *)held[at])[size[at] - 1] = 1;
    }
    ck_assert(refused > 0 || harness_scaled(6000) < 6000);
    ht_os_free(commit.used);
}
END_TEST

START_TEST(only_what_is_needed)
{
    struct ha_commit commit;
    mi_heap_t *heap = arena(&commit, (size_t)16 << HA_ARENA_SHIFT);
    void *block;

    ck_assert(!writable(&commit, 0));
    ck_assert(ha_commit_ahead(&commit, (size_t)252 * MIB));
    ck_assert_uint_eq(commit.ready, 8);
    ck_assert(writable(&commit, 0) && writable(&commit, 7) && !writable(&commit, 8));
    block = mi_heap_malloc(heap, (size_t)252 * MIB);
    ha_commit_note(&commit, block, (size_t)252 * MIB, true);
    ck_assert(ha_commit_ahead(&commit, (size_t)31 * MIB));
    ck_assert_uint_eq(commit.ready, 9);
    ck_assert(ha_commit_ahead(&commit, (size_t)31 * MIB)); /* not taken: nothing more */
    ck_assert_uint_eq(commit.ready, 9);
    ht_fault_arm(HT_FAULT_COMMIT, 1, false);
    ck_assert(!ha_commit_ahead(&commit, (size_t)60 * MIB));
    ck_assert_int_eq(errno, ENOMEM);
    ck_assert_uint_eq(commit.ready, 9);
    ck_assert(ha_commit_ahead(&commit, (size_t)60 * MIB));
    ck_assert_uint_eq(commit.ready, 10);
    ha_commit_note(&commit, block, (size_t)252 * MIB, false);
    mi_free(block);
    ck_assert(ha_commit_ahead(&commit, (size_t)252 * MIB)); /* in the hole */
    ck_assert_uint_eq(commit.ready, 10);
    ck_assert(!ha_commit_ahead(&commit, (size_t)512 * MIB)); /* with its header it is too large */
    ck_assert(ha_commit_ahead(&commit, (size_t)508 * MIB));
    ck_assert_uint_eq(commit.ready, 16);
    ht_os_free(commit.used);
}
END_TEST

HARNESS_SUITE(commit)
{
    Suite *suite = suite_create("commit");
    TCase *ahead = tcase_create("ahead");

    tcase_add_test(ahead, mimalloc_stays_inside);
    tcase_add_test(ahead, only_what_is_needed);
    suite_add_tcase(suite, ahead);
    return suite;
}
