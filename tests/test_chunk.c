/* tests/test_chunk.c - chunks: zero, aligned, on their node; spans; no memory left.
 * Many threads are tested in test_chunk_threads.c. */
#define _GNU_SOURCE 1

#include <pthread.h>
#include <sys/mman.h>

#include "tests/chunk_fixture.h"

static int owner_a, owner_b;

/* --- single chunks --------------------------------------------------------------------------------- */

START_TEST(chunks_are_zero_again)
{
    struct ha_windows *windows = fixture_windows(2, 0);
    size_t reservations = (100 + fixture_cut(windows) - 1) / fixture_cut(windows);
    char *chunk[200];

    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 200; i++) {
            chunk[i] = take(windows, i % 2, 1, &owner_a);
            ck_assert_ptr_nonnull(chunk[i]);
            if (i % 16 < 2) {
                fixture_zero(chunk[i], HA_CHUNK);
                memset(chunk[i], 0xa5, HA_CHUNK);
            }
            chunk[i][0] = chunk[i][HA_CHUNK - 1] = 1;
            for (int j = 0; j < i; j++)
                EXPECT(chunk[i] != chunk[j]);
        }
        HARNESS_OK(ha_windows_check(windows));
        for (int i = 0; i < 200; i++)
            give(windows, chunk[i]);
        HARNESS_OK(ha_windows_check(windows));
        ck_assert_uint_eq(stats(windows, 1).chunks, stats(windows, 1).free_chunks);
        ck_assert_uint_eq(stats(windows, 1).chunks, reservations * fixture_cut(windows));
        ck_assert_uint_eq(stats(windows, 1).reserved,
                          reservations * (windows->committed ? 252 : 60) * MIB);
    }
}
END_TEST

/* What is given back does not stay in memory. */
START_TEST(memory_goes_back)
{
    struct ha_windows *windows = fixture_windows(1, 0);
    char *chunk = take(windows, 0, 1, &owner_a);
    char *span = take(windows, 0, 3, &owner_a);
    unsigned char resident[4 * HA_CHUNK / HA_PAGE];
    size_t count = 0;

    memset(chunk, 1, HA_CHUNK);
    memset(span, 1, 3 * HA_CHUNK);
    give(windows, chunk);
    give(windows, span);
    ck_assert_int_eq(mincore(chunk, HA_CHUNK, resident), 0);
    ck_assert_int_eq(mincore(span, 3 * HA_CHUNK, resident + HA_CHUNK / HA_PAGE), 0);
    for (size_t i = 0; i < sizeof(resident); i++)
        count += resident[i] & 1;
    ck_assert_uint_eq(count, 0);
}
END_TEST

START_TEST(prepared_chunks)
{
    struct ha_windows *windows = fixture_windows(2, 0);
    uint64_t reservations;

    ha_chunk_prepare(windows, 1, 0);
    ck_assert_uint_eq(stats(windows, 1).chunks, 0);
    ha_chunk_prepare(windows, 1, 100);
    ck_assert_uint_ge(stats(windows, 1).free_chunks, 100);
    ck_assert_uint_eq(stats(windows, 0).chunks, 0);
    reservations = ht_fault_count(HT_FAULT_RESERVE);
    for (int i = 0; i < 100; i++)
        ck_assert_ptr_nonnull(take(windows, 1, 1, &owner_a));
    ck_assert_uint_eq(ht_fault_count(HT_FAULT_RESERVE), reservations);
    ht_fault_arm(HT_FAULT_RESERVE, 1, true);
    ha_chunk_prepare(windows, 1, 1000); /* returns, though there are no more */
    ck_assert_uint_lt(stats(windows, 1).free_chunks, 1000);
    HARNESS_OK(ha_windows_check(windows));
}
END_TEST

/* --- spans ----------------------------------------------------------------------------------------- */

/* Small spans and some larger ones are written and checked byte by byte, others in each 64 KiB. */
static bool thorough(size_t count)
{
    return count <= 4 || count % 16 == 15;
}

static void dirty(char *span, size_t count)
{
    if (thorough(count))
        memset(span, 0x5a, count * HA_CHUNK);
    for (size_t at = 0; at < count * HA_CHUNK; at += 64 * 1024)
        memset(span + at, 0x5a, 128);
    memset(span + count * HA_CHUNK - 128, 0x5a, 128);
}

static void clean(char *span, size_t count)
{
    if (thorough(count))
        fixture_zero(span, count * HA_CHUNK);
    for (size_t at = 0; at < count * HA_CHUNK; at += 64 * 1024)
        fixture_zero(span + at, HA_PAGE);
    fixture_zero(span + count * HA_CHUNK - HA_PAGE, HA_PAGE);
}

START_TEST(spans)
{
    struct ha_windows *windows = fixture_windows(2, 0);
    const size_t step = 8 / harness_scaled(8);
    char *span[41];

    for (int round = 0; round < 2; round++) {
        for (size_t count = 2; count <= 40; count += step) {
            span[count] = take(windows, count % 2, count, &owner_a);
            ck_assert_ptr_nonnull(span[count]);
            clean(span[count], count);
            dirty(span[count], count);
            HARNESS_OK(ha_windows_check(windows));
            if (count % 4 != 0) {
                give(windows, span[count]);
                span[count] = take(windows, count % 2, count, &owner_b);
                clean(span[count], count);
                dirty(span[count], count);
            }
        }
        for (size_t count = 2; count <= 40; count += step)
            give(windows, span[count]);
        HARNESS_OK(ha_windows_check(windows));
        ck_assert_uint_eq(stats(windows, 0).spans + stats(windows, 1).spans, 0);
        ck_assert_uint_eq(stats(windows, 0).reserved + stats(windows, 1).reserved, 0);
    }
    ck_assert_ptr_null(ha_chunk_take(windows, 0, windows->bytes >> HA_CHUNK_SHIFT, &owner_a));
    ck_assert_int_eq(errno, ENOMEM);
    ck_assert_ptr_null(ha_chunk_take(windows, 0, SIZE_MAX, &owner_a));
    ck_assert_int_eq(errno, ENOMEM);
}
END_TEST

/* Where mimalloc puts headers and links, spans, chunks and metadata come later: all must be zero. */
START_TEST(address_space_is_recycled)
{
    struct ha_windows *windows = fixture_windows(1, (size_t)1 << 30);
    char *span = take(windows, 0, 100, &owner_a);
    char *piece, *chunk;

    dirty(span, 100);
    give(windows, span);
    for (int i = 0; i < 4; i++) {
        char *part = take(windows, 0, 20, &owner_a);

        fixture_zero(part, 20 * HA_CHUNK);
        dirty(part, 20);
        give(windows, part);
    }
    for (size_t i = 0; i < fixture_cut(windows); i++) {
        chunk = take(windows, 0, 1, &owner_a);
        ck_assert_ptr_nonnull(chunk);
        ck_assert_uint_lt((uintptr_t)chunk - windows->base, (size_t)256 * MIB);
        fixture_zero(chunk, HA_CHUNK);
    }
    for (int i = 0; i < 3; i++) {
        piece = ha_meta_take(windows, 0, MIB);
        ck_assert_uint_lt((uintptr_t)piece - windows->base, HA_CHUNK);
        fixture_zero(piece, MIB);
    }
    for (int i = 0; i < 240; i++) { /* up to the page that held the span's record */
        piece = ha_meta_take(windows, 0, HA_PAGE);
        ck_assert_uint_lt((uintptr_t)piece - windows->base, HA_CHUNK);
        fixture_zero(piece, HA_PAGE);
    }
    ck_assert_uint_eq((uintptr_t)piece - windows->base, HA_CHUNK - HA_PAGE);
    HARNESS_OK(ha_windows_check(windows));
}
END_TEST

/* A span of more than 4 GiB: mimalloc's own bookkeeping of 80 bytes per 64 KiB reaches into it. */
START_TEST(huge_span)
{
    struct ha_windows *windows = fixture_windows(1, (size_t)1 << 36);
    const size_t count = fixture_lazy() ? 64 : 2048;
    const size_t reach = count * (HA_CHUNK / (64 * 1024)) * 80;

    for (int round = 0; round < 2; round++) {
        char *span = take(windows, 0, count, &owner_a);

        ck_assert_ptr_nonnull(span);
        fixture_zero(span, reach);
        memset(span, 1, reach);
        span[count * HA_CHUNK - 1] = 1;
        give(windows, span);
    }
    HARNESS_OK(ha_windows_check(windows));
}
END_TEST

/* --- no more --------------------------------------------------------------------------------------- */

START_TEST(tiny_window)
{
    struct ha_windows *windows = fixture_windows(2, 64 * MIB);
    char *chunk[16];
    int taken;

    ck_assert_uint_eq(windows->bytes, (size_t)128 * MIB);
    for (int round = 0; round < 3; round++) {
        for (taken = 0; (chunk[taken] = take(windows, 1, 1, &owner_a)) != NULL; taken++) {
            fixture_zero(chunk[taken], HA_CHUNK);
            memset(chunk[taken], 1, HA_CHUNK);
            ck_assert_int_lt(taken, 15);
        }
        ck_assert_int_eq(errno, ENOMEM);
        ck_assert_int_eq(taken, 14);
        ck_assert_ptr_null(ha_chunk_take(windows, 1, 2, &owner_a));
        ck_assert_int_eq(errno, ENOMEM);
        ck_assert_ptr_nonnull(take(windows, 0, 1, &owner_a)); /* the other node has some */
        HARNESS_OK(ha_windows_check(windows));
        for (int i = 0; i < 14; i++)
            give(windows, chunk[i]);
    }
}
END_TEST

/* With the window cut up, spans come from free chunks side by side. */
START_TEST(runs_of_chunks)
{
    struct ha_windows *windows = fixture_windows(1, 64 * MIB);
    char *chunk[14], *run;

    for (int i = 0; i < 14; i++)
        chunk[i] = take(windows, 0, 1, &owner_a);
    for (int i = 0; i < 14; i++)
        if (i != 5)
            give(windows, chunk[i]);
    ck_assert_ptr_null(ha_chunk_take(windows, 0, 9, &owner_a)); /* five and eight are free */
    run = take(windows, 0, 8, &owner_b);
    ck_assert_ptr_eq(run, chunk[6]);
    fixture_zero(run, 8 * HA_CHUNK);
    memset(run, 1, 8 * HA_CHUNK);
    ck_assert_uint_eq(stats(windows, 0).free_chunks, 5);
    HARNESS_OK(ha_windows_check(windows));
    for (int i = 0; i < 5; i++)
        ck_assert_ptr_nonnull(take(windows, 0, 1, &owner_a));
    ck_assert_ptr_null(ha_chunk_take(windows, 0, 1, &owner_a));
    give(windows, run);
    give(windows, chunk[5]);
    run = take(windows, 0, 9, &owner_b);
    ck_assert_ptr_eq(run, chunk[5]);
    fixture_zero(run, 9 * HA_CHUNK);
    HARNESS_OK(ha_windows_check(windows));
}
END_TEST

/* Random chunks and spans in windows that are always nearly full. */
START_TEST(random_churn)
{
    struct ha_windows *windows =
        _i == 0 ? fixture_windows(2, 512 * MIB) : fixture_uncommitted(3, 512 * MIB);
    uint64_t random = harness_seed() + (uint64_t)_i;
    char *held[64] = {0};
    int refused = 0;

    for (uint64_t i = 0; i < harness_scaled(2000); i++) {
        size_t at = harness_random_below(&random, 64);
        size_t count = harness_random_below(&random, 4) ? 1 : harness_random_below(&random, 40) + 1;
        int node = (int)(at & 1);

        if (held[at] != NULL)
            give(windows, held[at]);
        held[at] = take(windows, node, count, &owner_a);
        if (held[at] != NULL) {
            for (size_t c = 0; c < count; c++) {
                fixture_zero(held[at] + c * HA_CHUNK, HA_PAGE);
                memset(held[at] + c * HA_CHUNK, 0x33, 64);
            }
            memset(held[at] + count * HA_CHUNK - 64, 0x33, 64);
        } else {
            ck_assert_int_eq(errno, ENOMEM);
            refused++;
        }
        if (i % 16 == 0)
            HARNESS_OK(ha_windows_check(windows));
    }
    for (int i = 0; i < 64; i++)
        if (held[i] != NULL)
            give(windows, held[i]);
    HARNESS_OK(ha_windows_check(windows));
    if (harness_scaled(2000) == 2000)
        ck_assert_int_gt(refused, 0);
    ck_assert_uint_eq(stats(windows, 0).spans + stats(windows, 1).spans, 0);
    ck_assert_uint_eq(stats(windows, 0).chunks, stats(windows, 0).free_chunks);
}
END_TEST

/* --- failures -------------------------------------------------------------------------------------- */

/* mimalloc refuses: once, a smaller reservation does; for good, NULL, and later it goes on. */
START_TEST(reservation_faults)
{
    struct ha_windows *windows = fixture_windows(2, 0);
    char *chunk, *span;

    for (int node = 0; node < 2; node++) {
        ht_fault_arm(HT_FAULT_RESERVE, 1, true);
        ck_assert_ptr_null(ha_chunk_take(windows, node, 1, &owner_a));
        ck_assert_int_eq(errno, ENOMEM);
        ck_assert_ptr_null(ha_chunk_take(windows, node, 2, &owner_a));
        ck_assert_int_eq(errno, ENOMEM);
        ht_fault_arm(HT_FAULT_RESERVE, 0, false);
        HARNESS_OK(ha_windows_check(windows));
        chunk = take(windows, node, 1, &owner_a);
        ck_assert_ptr_nonnull(chunk);
        ck_assert_uint_eq(stats(windows, node).chunks, 6); /* larger ones are not asked for again */
        ht_fault_arm(HT_FAULT_RESERVE, 1, true);
        span = take(windows, node, 5, &owner_a);
        ht_fault_arm(HT_FAULT_RESERVE, 0, false);
        ck_assert_ptr_nonnull(span);
        ck_assert_uint_eq(stats(windows, node).free_chunks, 0);
        give(windows, span);
        give(windows, chunk);
        HARNESS_OK(ha_windows_check(windows));
    }
    windows = fixture_windows(4, 0);
    for (int node = 0; node < 4; node++) { /* refused once: the next size, for this node only */
        ht_fault_arm(HT_FAULT_RESERVE, 1, false);
        if (node % 2 == 0)
            ht_fault_arm(HT_FAULT_RESERVE, 0, false);
        ck_assert_ptr_nonnull(take(windows, node, 1, &owner_a));
        ck_assert_uint_eq(stats(windows, node).chunks, !windows->committed
                                                           ? (node % 2 == 0 ? 14 : 6)
                                                       : node % 2 == 0 ? 62
                                                                       : 30);
    }
}
END_TEST

/* madvise refuses (as for locked memory): then it is done by hand. */
START_TEST(advice_faults)
{
    struct ha_windows *windows = fixture_windows(1, 0);
    char *chunk, *span, *piece;

    chunk = take(windows, 0, 1, &owner_a);
    span = take(windows, 0, 3, &owner_a);
    piece = ha_meta_take(windows, 0, 65536);
    memset(chunk, 1, HA_CHUNK);
    memset(span, 1, 3 * HA_CHUNK);
    memset(piece, 1, 65536);
    ht_fault_arm(HT_FAULT_ADVISE, 1, true);
    give(windows, chunk);
    give(windows, span);
    ha_meta_give(windows, 0, piece, 65536);
    fixture_zero(take(windows, 0, 1, &owner_a), HA_CHUNK);
    fixture_zero(take(windows, 0, 3, &owner_a), 3 * HA_CHUNK);
    fixture_zero(ha_meta_take(windows, 0, 65536), 65536);
    ht_fault_arm(HT_FAULT_ADVISE, 0, false);
    HARNESS_OK(ha_windows_check(windows));
}
END_TEST

/* Windows of a kernel that never overcommits: not accessible until taken, a refused commit is NULL. */
START_TEST(uncommitted_windows)
{
    struct ha_windows *windows = fixture_uncommitted(2, (size_t)1 << 34);
    int into[2];
    char *chunk, *span;

    ck_assert_int_eq(pipe(into), 0);
    if (!ha_on_valgrind()) { /* it would complain rightly */
        ck_assert_int_eq(write(into[1], (void *)windows->base, 1), -1);
        ck_assert_int_eq(errno, EFAULT);
    }
    ht_fault_arm(HT_FAULT_COMMIT, 1, true);
    ck_assert_ptr_null(ha_chunk_take(windows, 1, 1, &owner_a));
    ck_assert_int_eq(errno, ENOMEM);
    ck_assert_ptr_null(ha_chunk_take(windows, 1, 5, &owner_a));
    ck_assert_int_eq(errno, ENOMEM);
    ht_fault_arm(HT_FAULT_COMMIT, 2, false); /* the second commit of node 0 */
    chunk = take(windows, 0, 1, &owner_a);
    ck_assert_ptr_nonnull(chunk);
    ck_assert_ptr_null(ha_chunk_take(windows, 0, 100, &owner_a));
    for (int round = 0; round < 2; round++) {
        span = take(windows, 0, 100, &owner_a);
        ck_assert_ptr_nonnull(span);
        clean(span, 100);
        dirty(span, 100);
        give(windows, span);
        memset(chunk, 1, HA_CHUNK);
        give(windows, chunk);
        chunk = take(windows, 0, 1, &owner_a);
        fixture_zero(chunk, HA_CHUNK);
    }
    ck_assert_ptr_nonnull(take(windows, 1, 1, &owner_a));
    HARNESS_OK(ha_windows_check(windows));
}
END_TEST

/* The same as tiny_window where mimalloc has to be kept from touching what is not committed. */
START_TEST(uncommitted_tiny)
{
    struct ha_windows *windows = fixture_uncommitted(3, 64 * MIB);
    char *chunk[16];
    int taken = 0;

    ht_fault_arm(HT_FAULT_COMMIT, 1, false); /* 60 MiB refused, 31 granted */
    while ((chunk[taken] = take(windows, 0, 1, &owner_a)) != NULL)
        memset(chunk[taken++], 1, HA_CHUNK);
    ck_assert_int_eq(taken, 12);
    HARNESS_OK(ha_windows_check(windows));
    while (taken > 0)
        give(windows, chunk[--taken]);
    ck_assert_ptr_nonnull(take(windows, 0, 6, &owner_a));
    HARNESS_OK(ha_windows_check(windows));
}
END_TEST

/* --- the check ------------------------------------------------------------------------------------- */

START_TEST(check_finds_damage)
{
    struct ha_windows *windows = fixture_windows(1, 0);
    struct ha_window_node *node = &windows->state->node[0];
    char *chunk = take(windows, 0, 1, &owner_a);
    char *span = take(windows, 0, 3, &owner_a);
    struct ha_slot *slot = &windows->slot[((uintptr_t)span - windows->base) >> HA_CHUNK_SHIFT];
    struct ha_slot *freed = &windows->slot[node->free - 1];
    uint8_t *kind = windows->state->kind + (slot - windows->slot);
    struct ha_slot slot_before;
    size_t number;

    (void)chunk;
#define DAMAGED(place, value)                                                                      \
    do {                                                                                           \
        __typeof__(place) before = (place);                                                        \
        (place) = (value);                                                                         \
        HARNESS_STATUS(ha_windows_check(windows), HEARTH_ECORRUPT);                                \
        (place) = before;                                                                          \
        HARNESS_OK(ha_windows_check(windows));                                                     \
    } while (0)

    DAMAGED(slot[1].owner, (void *)&owner_b);
    DAMAGED(slot[2].head, 1);
    DAMAGED(slot[0].span, 2);
    DAMAGED(kind[2], HA_SLOT_FREE);
    DAMAGED(freed->owner, (void *)&owner_a);
    DAMAGED(freed->head, 0);
    DAMAGED(node->free, (uint32_t)(slot - windows->slot) + 1);
    DAMAGED(node->free_chunks, node->free_chunks + 1);
    DAMAGED(node->chunks, 5);
    DAMAGED(node->spans, 0);
    DAMAGED(node->meta.used, 64);
    DAMAGED(((struct ha_reservation *)(span - HA_PAGE))->bytes, 1);
#undef DAMAGED
    slot_before = *freed;
    number = node->free_chunks;
    freed->head = node->free; /* a ring */
    HARNESS_STATUS(ha_windows_check(windows), HEARTH_ECORRUPT);
    *freed = slot_before;
    ck_assert_uint_eq(number, node->free_chunks);
    HARNESS_OK(ha_windows_check(windows));
}
END_TEST

HARNESS_SUITE(chunk)
{
    Suite *suite = suite_create("chunk");
    TCase *one = tcase_create("chunks");
    TCase *many = tcase_create("spans");
    TCase *failure = tcase_create("failure");

    tcase_add_test(one, chunks_are_zero_again);
    tcase_add_test(one, memory_goes_back);
    tcase_add_test(one, prepared_chunks);
    tcase_add_test(one, check_finds_damage);
    suite_add_tcase(suite, one);
    tcase_add_test(many, spans);
    if (!ha_on_valgrind()) /* there reservations are kept by size */
        tcase_add_test(many, address_space_is_recycled);
    tcase_add_test(many, huge_span);
    tcase_add_test(many, runs_of_chunks);
    tcase_add_loop_test(many, random_churn, 0, 2);
    suite_add_tcase(suite, many);
    tcase_add_test(failure, tiny_window);
    tcase_add_test(failure, reservation_faults);
    tcase_add_test(failure, advice_faults);
    tcase_add_test(failure, uncommitted_windows);
    tcase_add_test(failure, uncommitted_tiny);
    suite_add_tcase(suite, failure);
    return suite;
}
