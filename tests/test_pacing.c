/* tests/test_pacing.c - when collections run: nursery, budget, limit, and what survival does to them. */
#include "tests/trace_fixture.h"

enum { MIB = 1 << 20 };

static size_t nursery(const struct fixture *f)
{
    return fixture_stats(f).nursery_bytes;
}

static uint64_t collections(const struct fixture *f)
{
    hearth_stats stats = fixture_stats(f);

    return stats.minor_count + stats.full_count;
}

/* Allocate `bytes` in items of 32; every n-th is kept in *list (n = 0: none). */
static void allocate(struct fixture *f, size_t bytes, unsigned n, void **list)
{
    void *none = NULL;

    for (size_t i = 0; i < bytes / 32; i++) {
        fixture_push(f, n != 0 && i % n == 0 ? list : &none, i);
        none = NULL;
    }
}

/* --- sizes --------------------------------------------------------------------------------------- */

START_TEST(options_set_the_sizes)
{
    struct fixture f;

    fixture_open(&f, "heap-limit=100m,heap-min=40m,nursery=2m");
    hearth_stats stats = fixture_stats(&f);
    ck_assert_uint_eq(stats.limit_bytes, 100 * MIB);
    ck_assert_uint_eq(stats.budget_bytes, 40 * MIB);
    ck_assert_uint_eq(stats.nursery_bytes, 2 * MIB);
    fixture_close(&f);
    fixture_open(&f, "heap-limit=6m,heap-min=40m"); /* the limit is above all */
    stats = fixture_stats(&f);
    ck_assert_uint_eq(stats.limit_bytes, 6 * MIB);
    ck_assert_uint_eq(stats.budget_bytes, 6 * MIB / 4 * 3); /* at first */
    ck_assert_uint_eq(stats.nursery_bytes, 6 * MIB / 4);    /* a third of the budget */
    fixture_close(&f);
    fixture_open(&f, "nursery=1k");
    ck_assert_uint_eq(nursery(&f), 256 << 10); /* never less */
    fixture_close(&f);
    fixture_open(&f, "");
    stats = fixture_stats(&f);
    ck_assert_uint_ge(stats.nursery_bytes, 4 * MIB);
    ck_assert_uint_le(stats.nursery_bytes, 64 * MIB);
    ck_assert_uint_gt(stats.limit_bytes, stats.budget_bytes);
    fixture_close(&f);
}
END_TEST

START_TEST(more_mutators_have_a_larger_nursery)
{
    struct fixture f;
    hearth_mutator *other = NULL;

    fixture_open(&f, "nursery=1m,heap-min=64m");
    ck_assert_uint_eq(nursery(&f), 1 * MIB);
    f.heap->mutator_count++; /* as a second thread would */
    hg_pacing_scale(f.heap);
    ck_assert_uint_eq(nursery(&f), 2 * MIB);
    f.heap->mutator_count += 98;
    hg_pacing_scale(f.heap);
    ck_assert_uint_le(nursery(&f), 64 * MIB / 3);
    f.heap->mutator_count -= 99;
    HARNESS_STATUS(hearth_attach(f.heap, NULL, &other), HEARTH_ESTATE);
    fixture_close(&f);
}
END_TEST

/* --- when ---------------------------------------------------------------------------------------- */

START_TEST(a_minor_collection_follows_each_nursery)
{
    struct fixture f;
    void *none = NULL;

    fixture_open(&f, "nursery=1m,nursery-adaptive=off,heap-min=64m");
    allocate(&f, 40 * MIB, 0, &none);
    ck_assert_uint_ge(collections(&f), 36);
    ck_assert_uint_le(collections(&f), 42);
    ck_assert_uint_eq(fixture_stats(&f).full_count, 0);
    fixture_close(&f);
}
END_TEST

START_TEST(large_objects_count_for_the_nursery)
{
    struct fixture f;

    fixture_open(&f, "nursery=1m,nursery-adaptive=off,heap-min=64m");
    for (int i = 0; i < 400; i++)
        ck_assert_ptr_nonnull(hearth_new_array(f.m, f.bytes, 100000));
    ck_assert_uint_ge(collections(&f), 34);
    ck_assert_uint_le(collections(&f), 42);
    fixture_close(&f);
}
END_TEST

/* The budget follows what lives after a full collection, within heap-min and the limit. */
START_TEST(the_budget_is_live_times_growth)
{
    struct fixture f;
    void *list = NULL;

    fixture_open(&f, "growth=3,heap-min=1m,heap-limit=256m");
    HARNESS_OK(hearth_root_add(f.heap, &list));
    allocate(&f, 8 * MIB, 1, &list);
    HARNESS_OK(hearth_gc_collect(f.m, 2));
    hearth_stats stats = fixture_stats(&f);
    ck_assert_uint_ge(stats.heap_bytes, 8 * MIB);
    ck_assert_uint_le(stats.budget_bytes, 3 * stats.live_bytes);
    ck_assert_uint_ge(stats.budget_bytes, 3 * stats.live_bytes - 65536);
    list = NULL;
    HARNESS_OK(hearth_gc_collect(f.m, 2));
    ck_assert_uint_eq(fixture_stats(&f).budget_bytes, 1 * MIB); /* heap-min */
    allocate(&f, 120 * MIB, 1, &list);
    HARNESS_OK(hearth_gc_collect(f.m, 2));
    ck_assert_uint_eq(fixture_stats(&f).budget_bytes, 256 * MIB); /* the limit */
    fixture_close(&f);
}
END_TEST

START_TEST(the_heap_stays_within_growth)
{
    struct fixture f;
    void *list = NULL;

    fixture_open(&f, "growth=1.5,heap-min=1m");
    HARNESS_OK(hearth_root_add(f.heap, &list));
    allocate(&f, 16 * MIB, 1, &list);
    HARNESS_OK(hearth_gc_collect(f.m, 2));
    hearth_stats before = fixture_stats(&f);
    allocate(&f, 200 * MIB, 0, &list);
    hearth_stats after = fixture_stats(&f);
    ck_assert_uint_le(after.peak_heap_bytes,
                      (before.peak_heap_bytes > before.budget_bytes ? before.peak_heap_bytes
                                                                    : before.budget_bytes) +
                          MIB);
    fixture_close(&f);
}
END_TEST

START_TEST(the_limit_is_never_exceeded)
{
    struct fixture f;
    void *list = NULL;
    uint64_t made = 0;

    fixture_open(&f, _i == 0   ? "heap-limit=10m"
                     : _i == 1 ? "heap-limit=10m,generational=off,growth=1.05"
                               : "heap-limit=10m,fake-nodes=4,nursery=64k");
    HARNESS_OK(hearth_root_add(f.heap, &list));
    for (;;) {
        struct item *item = hearth_alloc(f.m, f.item, sizeof(*item));
        if (item == NULL)
            break;
        item->number = made++;
        hearth_store_init(&item->next, list);
        list = item;
    }
    ck_assert_int_eq(hearth_last_status(), HEARTH_ELIMIT);
    hearth_stats stats = fixture_stats(&f);
    ck_assert_uint_le(stats.peak_heap_bytes, 10 * MIB);
    ck_assert_uint_ge(made * 32, 9 * MIB); /* nearly all of it can be used */
    fixture_expect_list(list, made);
    for (int i = 0; i < 3; i++) /* failing again changes nothing */
        HARNESS_NULL(hearth_new_array(f.m, f.bytes, 1 * MIB), HEARTH_ELIMIT);
    list = NULL;
    ck_assert_ptr_nonnull(hearth_new_array(f.m, f.bytes, 5 * MIB));
    fixture_close(&f);
}
END_TEST

/* --- adapting ------------------------------------------------------------------------------------ */

START_TEST(high_survival_doubles_the_nursery)
{
    struct fixture f;
    void *list = NULL;

    fixture_open(&f, "nursery=1m,heap-min=256m,heap-limit=1g");
    HARNESS_OK(hearth_root_add(f.heap, &list));
    size_t before = nursery(&f);
    while (nursery(&f) < 4 * before) {
        uint64_t count = collections(&f);
        allocate(&f, MIB / 4, 1, &list);
        ck_assert_uint_lt(collections(&f), 20);
        ck_assert(nursery(&f) == before || collections(&f) >= 1 || count == 0);
    }
    ck_assert_uint_le(collections(&f), 3);
    list = NULL; /* and when nearly all dies it shrinks again */
    HARNESS_OK(hearth_gc_collect(f.m, 2));
    HARNESS_OK(hearth_gc_collect(f.m, 2));
    for (int i = 0; i < 200 && nursery(&f) > before; i++)
        allocate(&f, MIB, 100, &list);
    ck_assert_uint_eq(nursery(&f), before);
    fixture_close(&f);
}
END_TEST

START_TEST(a_fixed_nursery_stays)
{
    struct fixture f;
    void *list = NULL;

    fixture_open(&f, "nursery=1m,nursery-adaptive=off,heap-min=256m,heap-limit=1g");
    HARNESS_OK(hearth_root_add(f.heap, &list));
    allocate(&f, 30 * MIB, 1, &list);
    ck_assert_uint_eq(nursery(&f), 1 * MIB);
    fixture_close(&f);
}
END_TEST

/* Work of a program in which everything survives: objects traced over all collections. */
static uint64_t traced_by_growing(const char *options, uint64_t *count)
{
    struct fixture f;
    void *list = NULL;
    uint64_t traced = 0, seen = 0;

    fixture_open(&f, options);
    HARNESS_OK(hearth_root_add(f.heap, &list));
    for (int i = 0; i < 64 * 16; i++) {
        allocate(&f, MIB / 16, 1, &list);
        if (collections(&f) != seen) {
            traced += fixture_last(&f).objects_traced;
            seen = collections(&f);
        }
    }
    *count = seen;
    fixture_close(&f);
    return traced;
}

/* Survival that stays high costs no more than without generations. */
START_TEST(high_survival_costs_no_more_than_full_collections)
{
    static const char *const common[] = {"nursery=1m,heap-min=4m,growth=2",
                                         "nursery=4m,heap-min=16m,growth=1.5",
                                         "nursery=512k,heap-min=2m,growth=2"};
    char options[128];
    uint64_t with_count, without_count;

    snprintf(options, sizeof(options), "%s,generational=on", common[_i]);
    uint64_t with = traced_by_growing(options, &with_count);
    snprintf(options, sizeof(options), "%s,generational=off", common[_i]);
    uint64_t without = traced_by_growing(options, &without_count);
    ck_assert_msg(with <= without + without / 4 && with_count <= 2 * without_count + 6,
                  "%s: %llu objects traced in %llu collections, without generations %llu in %llu",
                  common[_i], (unsigned long long)with, (unsigned long long)with_count,
                  (unsigned long long)without, (unsigned long long)without_count);
}
END_TEST

/* Low survival: generations save nearly all of the tracing. */
START_TEST(low_survival_is_cheap)
{
    struct fixture f;
    void *list = NULL;
    uint64_t traced = 0;

    fixture_open(&f, "nursery=1m,heap-min=64m");
    HARNESS_OK(hearth_root_add(f.heap, &list));
    allocate(&f, 8 * MIB, 1, &list);
    HARNESS_OK(hearth_gc_collect(f.m, 2));
    HARNESS_OK(hearth_gc_collect(f.m, 2));
    uint64_t before = collections(&f), full = fixture_stats(&f).full_count;
    for (int i = 0; i < 40; i++) {
        uint64_t seen = collections(&f);
        allocate(&f, MIB, 0, &list);
        if (collections(&f) != seen)
            traced += fixture_last(&f).objects_traced;
    }
    ck_assert_uint_gt(collections(&f), before + 10);
    ck_assert_uint_eq(fixture_stats(&f).full_count, full);
    ck_assert_uint_lt(traced, 1000); /* of a quarter of a million that live */
    fixture_close(&f);
}
END_TEST

/* --- the pieces ---------------------------------------------------------------------------------- */

/* Entries of one size die one by one between living ones, among young garbage of many other sizes, in a fixed heap of
 * twice what lives. The holes they leave are no use to the others: these need whole blocks, which entries must not
 * use up. (They did: every other collection was a full one, ten times the work.) */
enum { ENTRIES = 128 << 10, REQUESTS = 3 * ENTRIES };

static hearth_stats replace_at_random(struct fixture *f, size_t requests)
{
    uint64_t random = harness_seed();

    HEARTH_FRAME(f->m, frame, 1);
    void **entry = frame.ref[0] = fixture_refs(f, ENTRIES);
    for (size_t i = 0; i < ENTRIES + requests; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        size_t at = i < ENTRIES ? i : (size_t)(random >> 32) % ENTRIES;
        for (unsigned n = 0; n < 4 && i >= ENTRIES; n++)
            ck_assert_ptr_nonnull(hearth_new_array(f->m, f->bytes, 8 + (random >> (8 * n)) % 280));
        void *item = NULL;
        ck_assert_ptr_nonnull(fixture_push(f, &item, i));
        HARNESS_OK(hearth_store(f->m, entry, &entry[at], item));
    }
    HARNESS_OK(hearth_verify(f->m));
    HEARTH_FRAME_END(f->m, frame);
    return fixture_stats(f);
}

START_TEST(holes_are_filled_before_free_blocks_are)
{
    enum { LIMIT = 9 * MIB };
    struct fixture f;

    fixture_open(&f, "heap-limit=9m,heap-min=9m,nursery=512k");
    size_t requests = harness_scaled(REQUESTS);
    hearth_stats stats = replace_at_random(&f, requests);
    printf("%d minor, %d full\n", (int)stats.minor_count, (int)stats.full_count);
    ck_assert_uint_le(stats.heap_bytes, LIMIT);
    if (requests == REQUESTS)
        ck_assert_uint_lt(stats.full_count, stats.minor_count / 4);
    fixture_close(&f);
}
END_TEST

/* The same in a heap that may grow: it stays near growth times what lives, though no block of entries ever empties. (It
 * grew by half at every full collection.) */
START_TEST(a_heap_full_of_holes_does_not_grow)
{
    struct fixture f;

    fixture_open(&f, "growth=2,heap-min=1m,heap-limit=256m,nursery=512k");
    hearth_stats stats = replace_at_random(&f, harness_scaled(3 * REQUESTS));
    size_t live = ENTRIES * (32 + sizeof(void *));
    printf("%.2f times what lives\n", (double)stats.peak_heap_bytes / (double)live);
    ck_assert_uint_le(stats.peak_heap_bytes, live * 5 / 2);
    fixture_close(&f);
}
END_TEST

/* Objects whose sizes change, in a fixed heap of twice what lives. Each says what it is in its first word. */
enum { SIZED = 64 << 10 };

static void fill_with_sizes(struct fixture *f, void **entry, size_t updates, size_t least,
                            size_t span, uint64_t *random)
{
    for (size_t i = 0; i < updates; i++) {
        size_t at = harness_random_below(random, SIZED);
        size_t size = least + harness_random_below(random, span);
        uint64_t *old = entry[at], *item;

        if (old != NULL)
            ck_assert_uint_eq(old[0], at * 1000 + hearth_length(f->heap, old));
        item = hearth_new_array(f->m, f->bytes, size);
        if (item == NULL)
            ck_abort_msg("update %zu of sizes from %zu: %s", i, least, hearth_last_error());
        item[0] = at * 1000 + size;
        HARNESS_OK(hearth_store(f->m, entry, &entry[at], item));
    }
    HARNESS_OK(hearth_verify(f->m));
}

/* Smaller ones go into larger cells, and not by a collection for every block of them. */
START_TEST(objects_may_shrink)
{
    struct fixture f;
    uint64_t random = harness_seed();

    fixture_open(&f, "heap-limit=14m,heap-min=14m");
    HEARTH_FRAME(f.m, frame, 1);
    void **entry = frame.ref[0] = fixture_refs(&f, SIZED);
    fill_with_sizes(&f, entry, harness_scaled(4 * SIZED), 72, 32, &random);
    fill_with_sizes(&f, entry, harness_scaled(24 * SIZED), 16, 32, &random);
    HEARTH_FRAME_END(f.m, frame);
    hearth_stats stats = fixture_stats(&f);
    printf("%d full\n", (int)stats.full_count);
    ck_assert_uint_le(stats.full_count, 100);
    fixture_close(&f);
}
END_TEST

START_TEST(stretching_ends_at_the_limit)
{
    struct fixture f;

    fixture_open(&f, "heap-limit=64m,heap-min=8m");
    size_t budget = f.heap->space.budget, steps = 0;
    while (hg_pacing_stretch(f.heap, 1)) {
        ck_assert_uint_gt(f.heap->space.budget, budget);
        ck_assert_uint_le(f.heap->space.budget, f.heap->space.limit);
        budget = f.heap->space.budget;
        ck_assert_uint_lt(++steps, 1000);
    }
    ck_assert_uint_eq(budget, f.heap->space.limit);
    fixture_close(&f);
}
END_TEST

START_TEST(a_lost_store_asks_for_a_full_collection)
{
    struct fixture f;

    fixture_open(&f, "");
    ck_assert_int_eq(hg_pacing_kind(f.heap), HEARTH_GC_MINOR);
    f.heap->pacing.lost = 1;
    ck_assert_int_eq(hg_pacing_kind(f.heap), HEARTH_GC_FULL);
    HARNESS_OK(hearth_gc_collect(f.m, 2));
    ck_assert_int_eq(hg_pacing_kind(f.heap), HEARTH_GC_MINOR);
    f.heap->pacing.full_next = true;
    ck_assert_int_eq(hg_pacing_kind(f.heap), HEARTH_GC_FULL);
    HARNESS_OK(hearth_gc_collect(f.m, 2));
    ck_assert_int_eq(hg_pacing_kind(f.heap), HEARTH_GC_MINOR);
    fixture_close(&f);
}
END_TEST

HARNESS_SUITE(pacing)
{
    Suite *suite = suite_create("pacing");
    TCase *tcase = tcase_create("pacing");

    tcase_add_test(tcase, options_set_the_sizes);
    tcase_add_test(tcase, more_mutators_have_a_larger_nursery);
    tcase_add_test(tcase, a_minor_collection_follows_each_nursery);
    tcase_add_test(tcase, large_objects_count_for_the_nursery);
    tcase_add_test(tcase, the_budget_is_live_times_growth);
    tcase_add_test(tcase, the_heap_stays_within_growth);
    tcase_add_loop_test(tcase, the_limit_is_never_exceeded, 0, 3);
    tcase_add_test(tcase, high_survival_doubles_the_nursery);
    tcase_add_test(tcase, a_fixed_nursery_stays);
    tcase_add_loop_test(tcase, high_survival_costs_no_more_than_full_collections, 0, 3);
    tcase_add_test(tcase, low_survival_is_cheap);
    tcase_add_test(tcase, holes_are_filled_before_free_blocks_are);
    tcase_add_test(tcase, a_heap_full_of_holes_does_not_grow);
    tcase_add_test(tcase, objects_may_shrink);
    tcase_add_test(tcase, stretching_ends_at_the_limit);
    tcase_add_test(tcase, a_lost_store_asks_for_a_full_collection);
    suite_add_tcase(suite, tcase);
    return suite;
}
