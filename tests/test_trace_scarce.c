/* tests/test_trace_scarce.c - tracing when there is no memory for batches: references are dropped, and
 * found again. */
#define _GNU_SOURCE
#include "tests/trace_fixture.h"

/* Nothing is lost and nothing dead is kept when references had to be dropped. */
static void expect_complete(struct fixture *f, uint64_t live)
{
    HARNESS_OK(hearth_verify(f->m));
    ck_assert_uint_eq(fixture_stats(f).live_objects, live);
    fixture_exhaust(f);
    for (int i = 0; i < 4; i++) {
        HARNESS_OK(hearth_gc_collect(f->m, i % 3));
        ck_assert_uint_eq(fixture_stats(f).live_objects, live);
        HARNESS_OK(hearth_verify(f->m));
    }
    ht_fault_arm(HT_FAULT_RESERVE, 0, false);
}

static const char *const scarce[] = {"nursery-adaptive=off,workers=1",
                                     "nursery-adaptive=off,workers=2,help-after=0",
                                     "nursery-adaptive=off,fake-nodes=2,workers=1",
                                     "nursery-adaptive=off,fake-nodes=2,workers=2,help-after=0"};

/* A frontier of half a million references. */
START_TEST(a_wide_frontier_survives_without_batches)
{
    enum { ARRAYS = 40, EACH = 4000 };
    struct fixture f;

    fixture_open(&f, scarce[_i]);
    int nodes = fixture_nodes(&f);
    HEARTH_FRAME(f.m, frame, 1);
    for (int i = 0; i < ARRAYS; i++) {
        void **array = hearth_new_on(f.m, f.refs, EACH, i % nodes);
        hearth_store_init(&array[EACH - 1], frame.ref[0]);
        frame.ref[0] = array;
        for (int k = 0; k < EACH - 1; k++)
            hearth_store(f.m, array, &array[k], fixture_item_on(&f, k % nodes));
    }
    HARNESS_OK(hearth_gc_collect(f.m, 2));
    expect_complete(&f, ARRAYS * EACH);
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
}
END_TEST

/* A new array that refers to FAN new items. */
enum { FAN = 4000 };

static void **fan_on(struct fixture *f, void **root, int node)
{
    void **array = *root = hearth_new_on(f->m, f->refs, FAN, node);

    EXPECT(array != NULL);
    for (int k = 0; k < FAN; k++)
        HARNESS_OK(hearth_store(f->m, array, &array[k], fixture_item_on(f, node)));
    return array;
}

/* More roots than a stack holds, and some of them push very much: then other roots are dropped, and must
 * be asked for again. */
START_TEST(many_roots_survive_without_batches)
{
    enum { ROOTS = 3 * HG_STACK, FANS = 1 << 12 };
    static void *root[ROOTS];
    struct fixture f;
    uint64_t live = 0;

    fixture_open(&f, scarce[_i]);
    int nodes = fixture_nodes(&f);
    for (int i = 0; i < ROOTS; i++) {
        HARNESS_OK(hearth_root_add(f.heap, &root[i]));
        if (i % FANS == FANS - 1) {
            fan_on(&f, &root[i], i % nodes);
            live += 1 + FAN;
            continue;
        }
        struct item *item = root[i] = fixture_item_on(&f, i % nodes);
        item->number = (uint64_t)i;
        live++;
    }
    HARNESS_OK(hearth_gc_collect(f.m, 2));
    expect_complete(&f, live);
    for (int i = 0; i < ROOTS; i++) {
        EXPECT(i % FANS == FANS - 1 || ((struct item *)root[i])->number == (uint64_t)i);
        root[i] = NULL;
    }
    HARNESS_OK(hearth_gc_collect(f.m, 2));
    ck_assert_uint_eq(fixture_stats(&f).live_objects, 0);
    fixture_close(&f);
}
END_TEST

/* One object that pushes more than two stacks by itself, through a callback: each search gets further. */
static void trace_all(void *object, size_t size, hearth_visitor *visitor)
{
    for (size_t i = 0; i < size / sizeof(void *); i++)
        hearth_visit(visitor, (void **)object + i);
}

START_TEST(one_object_with_very_many_slots_survives_without_batches)
{
    enum { SLOTS = 3 * HG_STACK + 100 };
    const hearth_object_model model = {.struct_size = sizeof(model), .trace = trace_all};
    hearth_type type;
    struct fixture f;

    fixture_open(&f, scarce[_i]);
    int nodes = fixture_nodes(&f);
    HARNESS_OK(hearth_set_object_model(f.heap, &model, &type));
    HEARTH_FRAME(f.m, frame, 1);
    void **object = frame.ref[0] = hearth_new_sized(f.m, type, SLOTS * sizeof(void *));
    ck_assert_ptr_nonnull(object);
    for (int i = 0; i < SLOTS; i++)
        HARNESS_OK(hearth_store(f.m, object, &object[i], fixture_item_on(&f, i % nodes)));
    HARNESS_OK(hearth_gc_collect(f.m, 2));
    expect_complete(&f, SLOTS + 1);
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
}
END_TEST

/* Entries of remembered sets that were dropped: the objects they list must not stay flagged, or later
 * stores into them would not be remembered. Every FANS-th is an array that is written all over. */
enum { OLD = 3 * HG_STACK / 2, FANS = 1 << 11 };

static struct item **remembered_slot(void **all, int i)
{
    if (i % FANS == 0)
        return (struct item **)all[i] + i % FAN;
    return i % 8 ? (struct item **)&((struct item *)all[i])->other
                 : (struct item **)all[i] + i % 40;
}

static void store_everywhere(struct fixture *f, void **all, int round)
{
    for (int i = 0; i < OLD; i++) {
        for (int k = 0; i % FANS == 0 && k < FAN; k++) {
            void **array = all[i];
            HARNESS_OK(
                hearth_store(f->m, array, &array[k], fixture_item_on(f, k % fixture_nodes(f))));
        }
        struct item *young = fixture_item_on(f, (i + round) % fixture_nodes(f));
        young->number = (uint64_t)(i * 3 + round);
        HARNESS_OK(hearth_store(f->m, all[i], (void **)remembered_slot(all, i), young));
    }
}

START_TEST(remembered_objects_survive_without_batches)
{
    struct fixture f;

    fixture_open(&f, scarce[_i]);
    int nodes = fixture_nodes(&f);
    HEARTH_FRAME(f.m, frame, 2);
    void **all = frame.ref[0] = fixture_refs(&f, OLD);
    for (int i = 0; i < OLD; i++) {
        if (i % FANS == 0)
            fan_on(&f, &frame.ref[1], i % nodes);
        else
            frame.ref[1] =
                i % 8 ? fixture_item_on(&f, i % nodes) : hearth_new_on(f.m, f.refs, 40, i % nodes);
        HARNESS_OK(hearth_store(f.m, all, &all[i], frame.ref[1]));
    }
    HARNESS_OK(hearth_gc_collect(f.m, 1));
    HARNESS_OK(hearth_gc_disable(f.heap));
    for (int round = 0; round < 2; round++) {
        store_everywhere(&f, all, round);
        HARNESS_OK(hearth_verify(f.m));
        fixture_exhaust(&f);
        ck_assert_int_eq(fixture_collect(&f, 0).kind, HEARTH_GC_MINOR);
        ht_fault_arm(HT_FAULT_RESERVE, 0, false);
        HARNESS_OK(hearth_verify(f.m));
        for (int i = 0; i < OLD; i++) {
            const struct item *young = *remembered_slot(all, i);
            EXPECT(fixture_is_old(young) && young->number == (uint64_t)(i * 3 + round));
            EXPECT(!(fixture_header(all[i]) & (HEARTH_OBJECT_REMEMBERED | HEARTH_OBJECT_DIRTY)));
        }
    }
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
}
END_TEST

/* Large arrays whose next slice was dropped. */
START_TEST(slices_survive_without_batches)
{
    enum { ARRAYS = 20, EACH = 6000 };
    struct fixture f;

    fixture_open(&f, scarce[_i]);
    int nodes = fixture_nodes(&f);
    HEARTH_FRAME(f.m, frame, 1);
    void **top = frame.ref[0] = fixture_refs(&f, ARRAYS);
    for (int i = 0; i < ARRAYS; i++) {
        void **array = hearth_new_on(f.m, f.refs, EACH, i % nodes);
        HARNESS_OK(hearth_store(f.m, top, &top[i], array));
        for (int k = 0; k < EACH; k++)
            HARNESS_OK(hearth_store(f.m, array, &array[k], fixture_item_on(&f, k % nodes)));
    }
    HARNESS_OK(hearth_gc_collect(f.m, 2));
    expect_complete(&f, 1 + ARRAYS + ARRAYS * EACH);
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
}
END_TEST

HARNESS_SUITE(trace_scarce)
{
    Suite *suite = suite_create("trace_scarce");
    TCase *memory = tcase_create("memory");
    /* These need as many objects as a stack has entries: where everything is very slow, one variant. */
    int first = harness_scaled(16) > 1 ? 0 : 3;

    tcase_add_loop_test(memory, a_wide_frontier_survives_without_batches, first, 4);
    tcase_add_loop_test(memory, many_roots_survive_without_batches, first, 4);
    tcase_add_loop_test(memory, one_object_with_very_many_slots_survives_without_batches, first, 4);
    tcase_add_loop_test(memory, remembered_objects_survive_without_batches, first, 4);
    tcase_add_loop_test(memory, slices_survive_without_batches, first, 4);
    suite_add_tcase(suite, memory);
    return suite;
}
