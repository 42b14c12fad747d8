/* tests/test_pressure.c - limits, and the embedder's function that is told when memory is short. */
#include "tests/trace_fixture.h"

enum { MIB = 1 << 20, EVENTS = 64 };

/* What was told, and what the function does about it. */
struct told {
    struct fixture *f;
    hearth_pressure event[EVENTS];
    int events;
    void *list;     /* a root: what the test fills the heap with  */
    void *cache[8]; /* roots; HARD drops one after the other      */
    int cached;
    bool lies;      /* says it dropped something though it has not */
    bool allocates; /* in the function                             */
    bool raises;    /* the hard limit, by 8 MiB                    */
    int depth, deepest;
};

static bool tell(void *data, hearth_mutator *mutator, const hearth_pressure *pressure)
{
    struct told *told = data;

    EXPECT(mutator == told->f->m && pressure->struct_size == sizeof *pressure);
    if (++told->depth > told->deepest)
        told->deepest = told->depth;
    if (told->events < EVENTS)
        told->event[told->events] = *pressure;
    told->events++;
    if (told->allocates) {
        for (int i = 0; i < 1000; i++)
            EXPECT(hearth_new(mutator, told->f->item) != NULL || i > 0);
        EXPECT(hearth_new_array(mutator, told->f->bytes, (size_t)1 << 46) ==
               NULL); /* fails quietly */
        EXPECT(hearth_gc_collect(mutator, 2) == HEARTH_OK);
        EXPECT(hearth_verify(mutator) == HEARTH_OK);
    }
    told->depth--;
    if (pressure->stage != HEARTH_PRESSURE_HARD)
        return true;
    if (told->raises)
        return hearth_set_heap_limit(told->f->heap, pressure->limit + 8 * MIB) == HEARTH_OK;
    if (told->cached > 0) {
        told->cache[--told->cached] = NULL;
        return true;
    }
    return told->lies;
}

static void open_told(struct fixture *f, struct told *told, const char *options)
{
    fixture_open(f, options);
    *told = (struct told){.f = f};
    for (int i = 0; i < 8; i++)
        HARNESS_OK(hearth_root_add(f->heap, &told->cache[i]));
    HARNESS_OK(hearth_root_add(f->heap, &told->list));
    HARNESS_OK(hearth_on_pressure(f->heap, tell, told));
}

static void close_told(struct fixture *f, struct told *told)
{
    for (int i = 0; i < 8; i++)
        HARNESS_OK(hearth_root_remove(f->heap, &told->cache[i]));
    HARNESS_OK(hearth_root_remove(f->heap, &told->list));
    HARNESS_OK(hearth_verify(f->m));
    fixture_close(f);
}

static void fill_cache(struct fixture *f, struct told *told, size_t bytes)
{
    for (int i = 0; i < 8; i++) {
        told->cache[i] = hearth_new_array(f->m, f->bytes, bytes);
        ck_assert_ptr_nonnull(told->cache[i]);
    }
    told->cached = 8;
}

static int count_stage(const struct told *told, hearth_pressure_stage stage)
{
    int count = 0;

    for (int i = 0; i < told->events && i < EVENTS; i++)
        count += told->event[i].stage == stage;
    return count;
}

/* --- hard ------------------------------------------------------------------------------------------- */

START_TEST(an_allocation_is_saved)
{
    struct fixture f;
    struct told told;

    open_told(&f, &told, "heap-limit=16m,nursery=1m");
    fill_cache(&f, &told, 3 * MIB / 2); /* 12 MiB */
    told.allocates = _i;
    void *kept[4] = {NULL};
    for (int i = 0; i < 4; i++)
        HARNESS_OK(hearth_root_add(f.heap, &kept[i]));
    for (int i = 0; i < 4; i++) {
        kept[i] = hearth_new_array(f.m, f.bytes, 2 * MIB);
        ck_assert_ptr_nonnull(kept[i]);
    }
    ck_assert_int_gt(told.events, 0);
    ck_assert_int_lt(told.cached, 8);
    ck_assert_int_ge(told.cached, 4); /* not more than was needed */
    ck_assert_int_eq(told.deepest, 1);
    for (int i = 0; i < told.events && i < EVENTS; i++) {
        ck_assert_int_eq(told.event[i].stage, HEARTH_PRESSURE_HARD);
        ck_assert_int_eq(told.event[i].status, HEARTH_ELIMIT);
        ck_assert_uint_eq(told.event[i].limit, 16 * MIB);
        ck_assert_uint_ge(told.event[i].wanted_bytes, 2 * MIB);
        ck_assert_uint_gt(told.event[i].heap_bytes, 14 * MIB - 65536);
    }
    for (int i = 0; i < 4; i++)
        HARNESS_OK(hearth_root_remove(f.heap, &kept[i]));
    close_told(&f, &told);
}
END_TEST

/* Small objects too. The function sees the end coming, says no, and the allocation fails as without it. */
START_TEST(nothing_to_drop)
{
    struct fixture f;
    struct told told;
    uint64_t count = 0;

    open_told(&f, &told, "heap-limit=4m,nursery=1m");
    told.lies = _i;
    for (;;) {
        struct item *item = hearth_new(f.m, f.item);
        if (item == NULL)
            break;
        item->number = count++;
        hearth_store_init(&item->next, told.list);
        told.list = item;
    }
    harness_expect_error("hearth_new", HEARTH_ELIMIT, "4194304");
    ck_assert_int_eq(told.events, _i ? 8 : 1); /* asked eight times at most, if it says yes */
    fixture_expect_list(told.list, count);
    told.list = NULL;
    ck_assert_ptr_nonnull(hearth_new(f.m, f.item)); /* usable again */
    HARNESS_OK(hearth_on_pressure(f.heap, NULL, NULL));
    close_told(&f, &told);
}
END_TEST

START_TEST(the_limit_is_raised)
{
    struct fixture f;
    struct told told;
    void *array = NULL;

    open_told(&f, &told, "heap-limit=8m");
    told.raises = true;
    HARNESS_OK(hearth_root_add(f.heap, &array));
    array = hearth_new_array(f.m, f.bytes, 7 * MIB);
    ck_assert_ptr_nonnull(array);
    ck_assert_ptr_nonnull(hearth_new_array(f.m, f.bytes, 7 * MIB));
    ck_assert_int_eq(told.events, 1);
    ck_assert_uint_eq(fixture_stats(&f).limit_bytes, 16 * MIB);
    close_told(&f, &told);
}
END_TEST

/* A window without room is told as what it is. Removed, the function is told nothing. */
START_TEST(no_memory_and_nobody_to_tell)
{
    struct fixture f;
    struct told told;

    open_told(&f, &told, "window=64m,policy=strict,heap-limit=512m,nursery=1m");
    for (int round = 0; round < 2; round++) {
        void **array;
        while ((array = hearth_new_array(f.m, f.refs, 200000)) != NULL) {
            hearth_store_init(array, told.list);
            told.list = array;
        }
        harness_expect_error("hearth_new_array", HEARTH_ENOMEM, NULL);
        ck_assert_int_eq(told.events, 1);
        ck_assert_int_eq(told.event[0].status, HEARTH_ENOMEM);
        ck_assert_int_eq(told.event[0].node, 0);
        HARNESS_OK(hearth_on_pressure(f.heap, NULL, NULL));
        told.list = NULL;
    }
    HARNESS_STATUS_NAMES(hearth_on_pressure(NULL, tell, NULL), HEARTH_EINVAL, "heap");
    close_told(&f, &told);
}
END_TEST

/* --- soft ------------------------------------------------------------------------------------------- */

/* Above the soft limit full collections come after an eighth more, and each is told. */
START_TEST(above_the_soft_limit)
{
    struct fixture f;
    struct told told;

    open_told(&f, &told, "soft-limit=8m,heap-limit=256m,nursery=1m,growth=3");
    ck_assert_uint_eq(fixture_stats(&f).soft_limit_bytes, 8 * MIB);
    for (int i = 0; i < 32768 * 6; i++) /* 6 MiB */
        fixture_push(&f, &told.list, (uint64_t)i);
    HARNESS_OK(hearth_gc_collect(f.m, 2));
    ck_assert_int_eq(told.events, 0);
    ck_assert_uint_le(fixture_stats(&f).budget_bytes, 8 * MIB); /* not 18 */
    for (int i = 0; i < 32768 * 6; i++)
        fixture_push(&f, &told.list, (uint64_t)i + 32768 * 6);
    HARNESS_OK(hearth_gc_collect(f.m, 2));
    ck_assert_int_ge(count_stage(&told, HEARTH_PRESSURE_SOFT), 1);
    hearth_stats stats = fixture_stats(&f);
    ck_assert_uint_ge(stats.heap_bytes, 12 * MIB);
    ck_assert_uint_le(stats.budget_bytes, stats.heap_bytes + stats.heap_bytes / 8 + 65536);
    int before = told.events;
    HARNESS_OK(hearth_gc_collect(f.m, 0));
    ck_assert_int_eq(told.events, before); /* full ones only */
    HARNESS_OK(hearth_gc_collect(f.m, 2));
    ck_assert_int_eq(told.events, before + 1);
    ck_assert_int_eq(told.event[before].node, -1);
    ck_assert_uint_eq(told.event[before].soft_limit, 8 * MIB);
    HARNESS_OK(hearth_set_soft_limit(f.heap, 0));
    HARNESS_OK(hearth_gc_collect(f.m, 2));
    ck_assert_int_eq(told.events, before + 1);
    ck_assert_uint_ge(fixture_stats(&f).budget_bytes, 3 * stats.live_bytes - 65536);
    HARNESS_OK(hearth_set_soft_limit(f.heap, MIB));
    HARNESS_OK(hearth_gc_collect(f.m, 2));
    ck_assert_int_eq(told.events, before + 2);
    HARNESS_STATUS_NAMES(hearth_set_soft_limit(NULL, 1), HEARTH_EINVAL, "heap");
    told.list = NULL;
    close_told(&f, &told);
}
END_TEST

/* External bytes count; allocation alone tells it too, at the next slow path. */
START_TEST(external_bytes_are_above)
{
    struct fixture f;
    struct told told;

    open_told(&f, &told, "soft-limit=32m,nursery=1m,heap-min=8m");
    told.allocates = true;
    HARNESS_OK(hearth_external_add(f.m, 40 * MIB));
    ck_assert_int_ge(told.events, 1);
    ck_assert_int_eq(told.event[0].stage, HEARTH_PRESSURE_SOFT);
    ck_assert_uint_eq(told.event[0].external_bytes, 40 * MIB);
    int before = told.events;
    told.allocates = false;
    for (int i = 0; i < 32768 * 32; i++)
        EXPECT(hearth_new(f.m, f.item) != NULL);
    ck_assert_int_gt(told.events, before);
    ck_assert_int_eq(told.deepest, 1);
    close_told(&f, &told);
}
END_TEST

/* --- nodes ------------------------------------------------------------------------------------------ */

/* A window that is full, as a node may be: the next one's memory is taken, which is told once. */
START_TEST(a_node_spills)
{
    struct fixture f;
    struct told told;

    open_told(&f, &told, "fake-nodes=2,window=64m,heap-limit=100m,heap-min=100m,nursery=64m");
    HARNESS_OK(hearth_gc_disable(f.heap));
    while (fixture_stats(&f).spilled_blocks < 20)
        for (int i = 0; i < 1000; i++)
            fixture_push(&f, &told.list, 0);
    ck_assert_int_eq(told.events, 1);
    ck_assert_int_eq(told.event[0].stage, HEARTH_PRESSURE_NODE);
    ck_assert_int_eq(told.event[0].node, 0);
    HARNESS_OK(hearth_gc_collect(f.m, 2)); /* all of it lives */
    for (int i = 0; i < 30000; i++)
        fixture_push(&f, &told.list, 0);
    ck_assert_int_eq(told.events, 2); /* told again after a full collection */
    told.list = NULL;
    close_told(&f, &told);
}
END_TEST

/* --- defaults --------------------------------------------------------------------------------------- */

/* Three quarters of what the nodes have, or of the machine or container, whichever is less. */
START_TEST(the_default_limit)
{
    struct hearth_topology *topology = calloc(1, sizeof *topology);
    const uint64_t gib = 1 << 30;

    ck_assert_ptr_nonnull(topology);
    topology->nodes = 2;
    topology->node[0].memory = 2 * gib;
    topology->node[1].memory = 6 * gib;
    ck_assert_uint_eq(hg_default_limit(topology, 64 * gib), 6 * gib);
    ck_assert_uint_eq(hg_default_limit(topology, 4 * gib), 3 * gib); /* a container */
    topology->nodes = 1;                                             /* bound to a node */
    ck_assert_uint_eq(hg_default_limit(topology, 64 * gib), gib / 2 * 3);
    topology->synthetic = true;
    ck_assert_uint_eq(hg_default_limit(topology, 64 * gib), 48 * gib);
    topology->synthetic = false;
    topology->node[0].memory = 0; /* unknown */
    ck_assert_uint_eq(hg_default_limit(topology, 8 * gib), 6 * gib);
    free(topology);
    struct fixture f;
    fixture_open(&f, "");
    ck_assert_uint_le(fixture_stats(&f).limit_bytes,
                      hg_default_limit(f.heap->topology, ht_os_physical_memory()) + 65536);
    fixture_close(&f);
}
END_TEST

HARNESS_SUITE(pressure)
{
    Suite *suite = suite_create("pressure");
    TCase *tests = tcase_create("pressure");

    tcase_add_loop_test(tests, an_allocation_is_saved, 0, 2);
    tcase_add_loop_test(tests, nothing_to_drop, 0, 2);
    tcase_add_test(tests, the_limit_is_raised);
    tcase_add_test(tests, no_memory_and_nobody_to_tell);
    tcase_add_test(tests, above_the_soft_limit);
    tcase_add_test(tests, external_bytes_are_above);
    tcase_add_test(tests, a_node_spills);
    tcase_add_test(tests, the_default_limit);
    suite_add_tcase(suite, tests);
    return suite;
}
