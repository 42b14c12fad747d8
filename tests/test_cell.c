/* tests/test_cell.c - weak references, and the registry of cells. */
#include "tests/cell_fixture.h"

/* --- clearing ------------------------------------------------------------------------------------- */

START_TEST(a_weak_reference_is_cleared_when_its_target_dies)
{
    for (int mode = 0; mode < CELL_MODES; mode++) {
        struct fixture f = cell_open(mode);
        HEARTH_FRAME(f.mutator, frame, 2);
        frame.ref[0] = fixture_new(f.mutator, f.node, 7);
        frame.ref[1] = cell_weak(&f, frame.ref[0]);
        for (int generation = 0; generation < 3; generation++) {
            cell_collect(&f, generation);
            ck_assert_ptr_eq(hearth_weak_get(f.mutator, frame.ref[1]), frame.ref[0]);
        }
        frame.ref[0] = NULL;
        cell_collect(&f, 2);
        ck_assert_ptr_null(hearth_weak_get(f.mutator, frame.ref[1]));
        cell_collect(&f, 0);
        ck_assert_uint_eq(cell_known(&f, HG_CELLS_WEAK), 0);
        HEARTH_FRAME_END(f.mutator, frame);
        fixture_close(&f);
    }
}
END_TEST

/* A target may die in the first minor collection, or in the second, when its weak reference is old. */
START_TEST(minor_collections_clear_too)
{
    struct fixture f = cell_open_alone();
    HEARTH_FRAME(f.mutator, frame, 4);
    frame.ref[0] = cell_old_refs(&f, 4);
    frame.ref[1] = fixture_new(f.mutator, f.node, 1);
    frame.ref[2] = cell_weak(&f, frame.ref[1]);
    cell_set(&f, frame.ref[0], 0, frame.ref[2]);
    frame.ref[3] = cell_weak(&f, fixture_new(f.mutator, f.node, 2));
    cell_collect(&f, 0);
    ck_assert_ptr_null(hearth_weak_get(f.mutator, frame.ref[3]));
    ck_assert_ptr_eq(hearth_weak_get(f.mutator, frame.ref[2]), frame.ref[1]);
    ck_assert(cell_is_old(frame.ref[2]));
    ck_assert(!cell_is_old(frame.ref[1]));
    ck_assert_uint_eq(cell_young(&f, HG_CELLS_WEAK), 1);
    frame.ref[1] = NULL;
    cell_collect(&f, 0);
    ck_assert_ptr_null(hearth_weak_get(f.mutator, frame.ref[2]));
    HEARTH_FRAME_END(f.mutator, frame);
    fixture_close(&f);
}
END_TEST

START_TEST(what_is_wholly_old_is_looked_at_in_full_collections_only)
{
    struct fixture f = cell_open_alone();
    HEARTH_FRAME(f.mutator, frame, 2);
    frame.ref[0] = fixture_new(f.mutator, f.node, 1);
    frame.ref[1] = cell_weak(&f, frame.ref[0]);
    cell_collect(&f, 0);
    ck_assert_uint_eq(cell_young(&f, HG_CELLS_WEAK), 1);
    cell_collect(&f, 0);
    ck_assert_uint_eq(cell_young(&f, HG_CELLS_WEAK), 0);
    ck_assert_uint_eq(cell_old(&f, HG_CELLS_WEAK), 1);
    frame.ref[0] = NULL;
    cell_collect(&f, 0);
    ck_assert_ptr_nonnull(hearth_weak_get(f.mutator, frame.ref[1]));
    cell_collect(&f, 2);
    ck_assert_ptr_null(hearth_weak_get(f.mutator, frame.ref[1]));
    ck_assert_uint_eq(cell_old(&f, HG_CELLS_WEAK), 0);
    HEARTH_FRAME_END(f.mutator, frame);
    fixture_close(&f);
}
END_TEST

START_TEST(the_data_of_a_weak_reference_is_held)
{
    for (int mode = 0; mode < CELL_MODES; mode++) {
        struct fixture f = cell_open(mode);
        HEARTH_FRAME(f.mutator, frame, 2);
        frame.ref[0] = fixture_new(f.mutator, f.node, 1);
        frame.ref[1] = fixture_new(f.mutator, f.node, 2);
        struct fixture_node *data = frame.ref[1];
        frame.ref[1] = hearth_weak_new(f.mutator, frame.ref[0], HEARTH_WEAK_LONG, NULL, data);
        ck_assert_ptr_nonnull(frame.ref[1]);
        frame.ref[0] = NULL;
        cell_collect(&f, 2);
        ck_assert_ptr_null(hearth_weak_get(f.mutator, frame.ref[1]));
        ck_assert(hearth_is_object(f.heap, data));
        ck_assert_uint_eq(data->value, 2);
        HEARTH_FRAME_END(f.mutator, frame);
        fixture_close(&f);
    }
}
END_TEST

START_TEST(addresses_outside_are_alive_for_ever)
{
    static int outside;
    struct fixture f = fixture_open("verify=on");
    HEARTH_FRAME(f.mutator, frame, 1);
    frame.ref[0] = cell_weak(&f, &outside);
    for (int generation = 0; generation < 3; generation++)
        cell_collect(&f, generation);
    ck_assert_ptr_eq(hearth_weak_get(f.mutator, frame.ref[0]), &outside);
    HARNESS_OK(hearth_weak_clear(f.mutator, frame.ref[0]));
    ck_assert_ptr_null(hearth_weak_get(f.mutator, frame.ref[0]));
    HARNESS_OK(hearth_weak_clear(f.mutator, frame.ref[0]));
    cell_collect(&f, 2);
    HEARTH_FRAME_END(f.mutator, frame);
    fixture_close(&f);
}
END_TEST

/* Two weak references to each other and nothing else: both die, neither is visited again. */
START_TEST(weak_references_die_themselves)
{
    struct fixture f = cell_open_alone();
    HEARTH_FRAME(f.mutator, frame, 2);
    frame.ref[0] = fixture_new(f.mutator, f.node, 1);
    for (int i = 0; i < 1000; i++)
        (void)cell_weak(&f, i % 2 ? frame.ref[0] : cell_weak(&f, frame.ref[0]));
    frame.ref[1] = cell_weak(&f, cell_weak(&f, frame.ref[0]));
    cell_collect(&f, 0);
    ck_assert_ptr_null(hearth_weak_get(f.mutator, frame.ref[1]));
    ck_assert_uint_eq(cell_young(&f, HG_CELLS_WEAK), 0);
    ck_assert_uint_eq(fixture_stats(f.heap).live_objects, 2);
    HEARTH_FRAME_END(f.mutator, frame);
    fixture_close(&f);
}
END_TEST

/* --- the registry --------------------------------------------------------------------------------- */

/* Thousands of cells whose targets and selves die at random; what is left is known exactly. */
START_TEST(sorting_keeps_whom_it_must)
{
    enum { CELLS = 4000 };
    uint64_t random = harness_seed() + (uint64_t)_i;
    fixture_alone();
    struct fixture f = fixture_open(_i % 2 ? "verify=on,generational=off" : "verify=on");
    HEARTH_FRAME(f.mutator, frame, 2);
    frame.ref[0] = cell_refs(&f, CELLS);
    frame.ref[1] = cell_refs(&f, CELLS);
    void **target = frame.ref[0], **weak = frame.ref[1];
    for (int round = 0; round < 8; round++) {
        for (size_t i = 0; i < CELLS; i++) {
            uint64_t what = harness_random_below(&random, 8);
            if (what == 0) {
                cell_set(&f, target, i, fixture_new(f.mutator, f.node, i));
                cell_set(&f, weak, i, cell_weak(&f, target[i]));
            } else if (what == 1) {
                cell_set(&f, target, i, NULL);
            } else if (what == 2) {
                cell_set(&f, weak, i, NULL);
            }
        }
        if (round % 3 == 1) /* no memory is needed */
            ht_fault_arm(HT_FAULT_ALLOC, 1, true);
        cell_collect(&f, round % 4 == 3 ? 2 : 0);
        ht_fault_arm(HT_FAULT_ALLOC, 0, false);
        if (round % 4 == 3 || _i % 2) {
            size_t alive = 0;
            for (size_t i = 0; i < CELLS; i++) {
                EXPECT(weak[i] == NULL || hearth_weak_get(f.mutator, weak[i]) == target[i]);
                alive += weak[i] != NULL && target[i] != NULL;
            }
            ck_assert_uint_eq(cell_known(&f, HG_CELLS_WEAK), alive);
        }
    }
    HEARTH_FRAME_END(f.mutator, frame);
    fixture_close(&f);
}
END_TEST

/* Parts whose sizes lie at the bounds of chunks, where a collection needs the spare one. */
START_TEST(sorting_at_the_bounds_of_chunks)
{
    static const size_t counts[] = {1, HG_REMEMBER_CHUNK - 1, HG_REMEMBER_CHUNK,
                                    HG_REMEMBER_CHUNK + 1, 2 * HG_REMEMBER_CHUNK};
    fixture_alone();
    for (int i = 0; i < 25; i++) {
        size_t older = counts[i / 5], younger = counts[i % 5];
        struct fixture f = fixture_open("");
        HEARTH_FRAME(f.mutator, frame, 2);
        frame.ref[0] = fixture_new(f.mutator, f.node, 1);
        frame.ref[1] = cell_refs(&f, older + younger);
        for (int part = 0; part < 2; part++) {
            for (size_t k = 0; k < (part ? younger : older); k++)
                cell_set(&f, frame.ref[1], part ? older + k : k, cell_weak(&f, frame.ref[0]));
            ht_fault_arm(HT_FAULT_ALLOC, 1, true);
            cell_collect(&f, part ? 0 : 1);
            if (part && i % 3 == 0)
                cell_collect(&f, 2);
            ht_fault_arm(HT_FAULT_ALLOC, 0, false);
            HARNESS_OK(hearth_verify(f.mutator));
        }
        ck_assert_uint_eq(cell_known(&f, HG_CELLS_WEAK), older + younger);
        HEARTH_FRAME_END(f.mutator, frame);
        fixture_close(&f);
    }
}
END_TEST

START_TEST(without_memory_nothing_is_made)
{
    fixture_alone();
    for (uint64_t n = 1; n < 12; n++) {
        struct fixture f = fixture_open("verify=on");
        HEARTH_FRAME(f.mutator, frame, 2);
        frame.ref[0] = fixture_new(f.mutator, f.node, 1);
        ht_fault_arm(HT_FAULT_ALLOC, n, true);
        frame.ref[1] = hearth_weak_new(f.mutator, frame.ref[0], 0, NULL, NULL);
        if (frame.ref[1] == NULL)
            ck_assert_int_eq(hearth_last_status(), HEARTH_ENOMEM);
        else
            ck_assert_uint_gt(n, 5); /* types, chunks */
        HARNESS_OK(hearth_verify(f.mutator));
        ht_fault_arm(HT_FAULT_ALLOC, 0, false);
        frame.ref[1] = cell_weak(&f, frame.ref[0]);
        cell_collect(&f, 2);
        ck_assert_ptr_eq(hearth_weak_get(f.mutator, frame.ref[1]), frame.ref[0]);
        HEARTH_FRAME_END(f.mutator, frame);
        fixture_close(&f);
    }
}
END_TEST

struct maker {
    struct fixture *f;
    void *target;
    void **weak; /* a root */
};

static void *make_and_go(void *data)
{
    struct maker *maker = data;
    hearth_mutator *mutator = fixture_attach(maker->f->heap);

    for (int i = 0; i < 100; i++) {
        *maker->weak = hearth_weak_new(mutator, maker->target, 0, NULL, NULL);
        EXPECT(*maker->weak != NULL);
    }
    EXPECT(hearth_detach(mutator) == HEARTH_OK);
    return NULL;
}

START_TEST(cells_of_threads_that_went_are_known)
{
    enum { THREADS = 4 };
    struct fixture f = fixture_open(_i ? "verify=on,stress=10" : "verify=on");
    void *weak[THREADS] = {NULL};
    struct maker maker[THREADS];
    pthread_t thread[THREADS];
    HEARTH_FRAME(f.mutator, frame, 1);
    frame.ref[0] = fixture_new(f.mutator, f.node, 1);
    for (int i = 0; i < THREADS; i++) {
        maker[i] = (struct maker){&f, frame.ref[0], &weak[i]};
        HARNESS_OK(hearth_root_add(f.heap, &weak[i]));
    }
    HARNESS_OK(hearth_native_begin(f.mutator));
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&thread[i], NULL, make_and_go, &maker[i]), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    HARNESS_OK(hearth_native_end(f.mutator));
    cell_collect(&f, 2);
    for (int i = 0; i < THREADS; i++)
        ck_assert_ptr_eq(hearth_weak_get(f.mutator, weak[i]), frame.ref[0]);
    frame.ref[0] = NULL;
    cell_collect(&f, 2);
    for (int i = 0; i < THREADS; i++) {
        ck_assert_ptr_null(hearth_weak_get(f.mutator, weak[i]));
        HARNESS_OK(hearth_root_remove(f.heap, &weak[i]));
    }
    HEARTH_FRAME_END(f.mutator, frame);
    fixture_close(&f);
}
END_TEST

START_TEST(the_types_are_registered_at_first_use)
{
    fixture_alone();
    struct fixture f = fixture_open("");
    hearth_type_info info = {.struct_size = sizeof info};
    uint32_t count = f.heap->types.count;
    HEARTH_FRAME(f.mutator, frame, 1);
    cell_collect(&f, 2);
    ck_assert_uint_eq(f.heap->types.count, count);
    frame.ref[0] = cell_weak(&f, &f);
    ck_assert_uint_eq(f.heap->types.count, count + HG_CELL_KINDS - 1);
    HARNESS_OK(hearth_type_get(f.heap, hearth_type_of(f.heap, frame.ref[0]), &info));
    ck_assert_str_eq(info.name, "weak reference");
    frame.ref[0] = cell_weak(&f, &f);
    ck_assert_uint_eq(f.heap->types.count, count + HG_CELL_KINDS - 1);
    HEARTH_FRAME_END(f.mutator, frame);
    fixture_close(&f);
}
END_TEST

/* --- what the verifier finds ---------------------------------------------------------------------- */

static void expect_corrupt(struct fixture *f, const char *what)
{
    HARNESS_STATUS_NAMES(hearth_verify(f->mutator), HEARTH_ECORRUPT, what);
}

START_TEST(the_verifier_finds_a_damaged_registry)
{
    fixture_alone();
    struct fixture f = fixture_open("");
    HEARTH_FRAME(f.mutator, frame, 3);
    frame.ref[0] = fixture_new(f.mutator, f.node, 1);
    frame.ref[1] = cell_weak(&f, frame.ref[0]);
    frame.ref[2] = cell_ephemeron(&f, frame.ref[0], NULL);
    cell_collect(&f, 0);
    struct hg_remembered *young = f.heap->cells.young;
    struct hg_cell *cell = frame.ref[1];
    struct hg_remember_chunk *chunk = young[HG_CELLS_WEAK].first;
    HARNESS_OK(hearth_verify(f.mutator));

    young[HG_CELLS_WEAK].count++;
    expect_corrupt(&f, "count");
    young[HG_CELLS_WEAK].count--;
    chunk->count = young[HG_CELLS_WEAK].count = 0;
    expect_corrupt(&f, "not registered");
    chunk->object[1] = chunk->object[0];
    chunk->count = young[HG_CELLS_WEAK].count = 2;
    expect_corrupt(&f, "registered twice");
    chunk->object[1] = (uintptr_t)frame.ref[2];
    expect_corrupt(&f, "in group 0");
    chunk->object[1] = (uintptr_t)frame.ref[1] + 16;
    expect_corrupt(&f, "no object");
    chunk->count = young[HG_CELLS_WEAK].count = 1;

    cell->weak = (char *)cell->weak + 16;
    expect_corrupt(&f, "no object");
    cell->weak = frame.ref[0];
    ((struct hg_cell *)frame.ref[2])->link = 1;
    expect_corrupt(&f, "waiting");
    ((struct hg_cell *)frame.ref[2])->link = 0;
    f.heap->cells.old[HG_CELLS_WEAK] = young[HG_CELLS_WEAK];
    young[HG_CELLS_WEAK] = (struct hg_remembered){NULL, 0};
    expect_corrupt(&f, "listed as old");
    young[HG_CELLS_WEAK] = f.heap->cells.old[HG_CELLS_WEAK];
    f.heap->cells.old[HG_CELLS_WEAK] = (struct hg_remembered){NULL, 0};
    HEARTH_FRAME_END(f.mutator, frame);
    fixture_close(&f);
}
END_TEST

/* --- wrong arguments ------------------------------------------------------------------------------ */

static void *attached_elsewhere(void *data)
{
    hearth_mutator *mutator = data;
    static int outside;

    HARNESS_NULL(hearth_weak_new(mutator, &outside, 0, NULL, NULL), HEARTH_ETHREAD);
    HARNESS_NULL(hearth_weak_get(mutator, &outside), HEARTH_ETHREAD);
    return NULL;
}

START_TEST(wrong_arguments_are_refused)
{
    struct fixture f = fixture_open("verify=on");
    hearth_mutator *m = f.mutator;
    pthread_t thread;
    void *none;
    HEARTH_FRAME(m, frame, 3);
    struct fixture_node *node = frame.ref[0] = fixture_new(m, f.node, 1);
    HARNESS_NULL(hearth_weak_new(NULL, node, 0, NULL, NULL), HEARTH_EINVAL);
    HARNESS_NULL(hearth_weak_new(m, NULL, 0, NULL, NULL), HEARTH_EINVAL);
    HARNESS_NULL(hearth_weak_new(m, node, 6, NULL, NULL), HEARTH_EINVAL);
    harness_expect_error("hearth_weak_new", HEARTH_EINVAL, "0x6");
    HARNESS_NULL(hearth_weak_new(m, &node->value, 0, NULL, NULL), HEARTH_EOBJECT);
    HARNESS_NULL(hearth_weak_new(m, node, 0, NULL, &node->value), HEARTH_EOBJECT);
    HARNESS_NULL(hearth_weak_get(m, NULL), HEARTH_EOBJECT); /* before there are types */
    frame.ref[1] = cell_weak(&f, node);
    HARNESS_NULL(hearth_weak_get(m, NULL), HEARTH_EOBJECT);
    HARNESS_NULL(hearth_weak_get(m, node), HEARTH_EOBJECT);
    HARNESS_NULL(hearth_weak_get(m, &f), HEARTH_EOBJECT);
    HARNESS_NULL(hearth_weak_get(NULL, frame.ref[1]), HEARTH_EINVAL);
    HARNESS_STATUS(hearth_weak_clear(m, node), HEARTH_EOBJECT);
    HARNESS_STATUS(hearth_weak_clear(m, NULL), HEARTH_EOBJECT);
    HARNESS_NULL(hearth_ephemeron_new(m, NULL, node), HEARTH_EINVAL);
    HARNESS_NULL(hearth_ephemeron_new(m, &node->value, node), HEARTH_EOBJECT);
    HARNESS_NULL(hearth_ephemeron_new(m, node, &node->value), HEARTH_EOBJECT);
    HARNESS_NULL(hearth_ephemeron_key(m, frame.ref[1]), HEARTH_EOBJECT);
    HARNESS_NULL(hearth_ephemeron_value(m, frame.ref[1]), HEARTH_EOBJECT);
    HARNESS_STATUS(hearth_ephemeron_set_value(m, frame.ref[1], node), HEARTH_EOBJECT);
    frame.ref[2] = cell_ephemeron(&f, node, NULL);
    HARNESS_NULL(hearth_weak_get(m, frame.ref[2]), HEARTH_EOBJECT);
    none = &node->value;
    HARNESS_STATUS(hearth_ephemeron_set_value(m, frame.ref[2], none), HEARTH_EOBJECT);
    HARNESS_OK(hearth_native_begin(m));
    HARNESS_NULL(hearth_weak_get(m, frame.ref[1]), HEARTH_ESTATE);
    HARNESS_NULL(hearth_weak_new(m, node, 0, NULL, NULL), HEARTH_ESTATE);
    ck_assert_int_eq(pthread_create(&thread, NULL, attached_elsewhere, m), 0);
    pthread_join(thread, NULL);
    HARNESS_OK(hearth_native_end(m));
    HEARTH_FRAME_END(m, frame);
    fixture_close(&f);
}
END_TEST

HARNESS_SUITE(cell)
{
    Suite *suite = suite_create("cell");
    TCase *clear = tcase_create("clear");
    tcase_add_test(clear, a_weak_reference_is_cleared_when_its_target_dies);
    tcase_add_test(clear, minor_collections_clear_too);
    tcase_add_test(clear, what_is_wholly_old_is_looked_at_in_full_collections_only);
    tcase_add_test(clear, the_data_of_a_weak_reference_is_held);
    tcase_add_test(clear, addresses_outside_are_alive_for_ever);
    tcase_add_test(clear, weak_references_die_themselves);
    suite_add_tcase(suite, clear);
    TCase *registry = tcase_create("registry");
    tcase_add_loop_test(registry, sorting_keeps_whom_it_must, 0, 4);
    tcase_add_test(registry, sorting_at_the_bounds_of_chunks);
    tcase_add_test(registry, without_memory_nothing_is_made);
    tcase_add_loop_test(registry, cells_of_threads_that_went_are_known, 0, 2);
    tcase_add_test(registry, the_types_are_registered_at_first_use);
    tcase_add_test(registry, the_verifier_finds_a_damaged_registry);
    suite_add_tcase(suite, registry);
    TCase *bad = tcase_create("bad input");
    tcase_add_test(bad, wrong_arguments_are_refused);
    suite_add_tcase(suite, bad);
    return suite;
}
