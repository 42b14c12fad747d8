/* tests/test_finalize.c - finalizers: once, resurrection, cycles, order, types that have one, legacy types, what
 * happens without memory, bad input. */
#include <limits.h>

#include "tests/finalize_fixture.h"

static void *kept; /* a global root: where finalizers put what they resurrect */

static hearth_status keep(hearth_mutator *mutator, void *object, void *data)
{
    kept = object;
    return finalize_note(mutator, object, data);
}

START_TEST(runs_once)
{
    fixture_alone();
    struct fixture f = fixture_open(finalize_ways[_i]);

    HEARTH_FRAME(f.mutator, frame, 1);
    struct fixture_node *node = finalize_new(&f, &frame.ref[0], 7, 0);
    fixture_collect(f.mutator, 2);
    fixture_collect(f.mutator, 0);
    ck_assert_uint_eq(finalize_calls(), 0);
    ck_assert(!hearth_is_finalized(f.heap, node));
    ck_assert_uint_eq(fixture_stats(f.heap).finalizers, 1);
    frame.ref[0] = NULL;
    fixture_collect(f.mutator, 2);
    ck_assert_uint_eq(finalize_calls(), 1);
    ck_assert_uint_eq(finalize_log[0], 7);
    ck_assert_uint_eq(fixture_stats(f.heap).finalizers, 0);
    ck_assert_uint_eq(fixture_stats(f.heap).finalizers_run, 1);
    fixture_collect(f.mutator, 2);
    ck_assert(!hearth_is_object(f.heap, node));
    fixture_collect(f.mutator, 2);
    ck_assert_uint_eq(finalize_calls(), 1);
    HEARTH_FRAME_END(f.mutator, frame);
    fixture_close(&f);
}
END_TEST

START_TEST(resurrects)
{
    fixture_alone();
    struct fixture f = fixture_open(finalize_ways[_i]);

    HARNESS_OK(hearth_root_add(f.heap, &kept));
    struct fixture_node *node = fixture_new(f.mutator, f.node, 1);
    HARNESS_OK(hearth_finalizer_add(f.mutator, node, keep, NULL, 0));
    kept = node;
    struct fixture_node *child = fixture_new(f.mutator, f.node, 2);
    node = kept;
    hearth_store(f.mutator, node, &node->left, child);
    kept = NULL;
    fixture_collect(f.mutator, 2);
    ck_assert_ptr_eq(kept, node);
    fixture_garbage(f.mutator, f.node, 1000);
    fixture_collect(f.mutator, 2);
    ck_assert_uint_eq(finalize_calls(), 1);
    ck_assert_uint_eq(((struct fixture_node *)node->left)->value, 2);
    ck_assert(hearth_is_finalized(f.heap, node));
    HARNESS_STATUS_NAMES(hearth_finalizer_add(f.mutator, node, keep, NULL, 0), HEARTH_ESTATE,
                         "has run");
    kept = NULL; /* it has had its finalizer */
    fixture_collect(f.mutator, 2);
    ck_assert_ptr_null(kept);
    ck_assert_uint_eq(finalize_calls(), 1);
    ck_assert(!hearth_is_object(f.heap, node));
    HARNESS_OK(hearth_root_remove(f.heap, &kept));
    fixture_close(&f);
}
END_TEST

static hearth_status keep_again(hearth_mutator *mutator, void *object, void *data)
{
    EXPECT(hearth_finalizer_add_again(mutator, object, keep, data, 0) == HEARTH_OK);
    EXPECT(!hearth_is_finalized(mutator->heap, object));
    EXPECT(hearth_finalizer_add_again(mutator, object, keep, data, 0) == HEARTH_ESTATE);
    kept = object;
    ++*(uint64_t *)data;
    return HEARTH_OK;
}

START_TEST(runs_again_if_asked)
{
    uint64_t runs = 0;
    struct fixture f = fixture_open(finalize_ways[_i]);

    HARNESS_OK(hearth_root_add(f.heap, &kept));
    void *node = fixture_new(f.mutator, f.node, 1);
    HARNESS_OK(hearth_finalizer_add(f.mutator, node, keep_again, &runs, 0));
    for (uint64_t expected = 1; expected <= 2; expected++) {
        kept = NULL;
        fixture_collect(f.mutator, 2);
        ck_assert_uint_eq(runs, expected);
        ck_assert_ptr_eq(kept, node);
    }
    kept = NULL;
    fixture_collect(f.mutator, 2);
    ck_assert_uint_eq(runs, 2);
    HARNESS_OK(hearth_root_remove(f.heap, &kept));
    fixture_close(&f);
}
END_TEST

/* Sees its whole ring, whatever of it has been finalized before. */
static hearth_status walk_ring(hearth_mutator *mutator, void *object, void *data)
{
    uint64_t seen = 0;
    struct fixture_node *node = object;
    do {
        seen |= (uint64_t)1 << node->value;
        node = node->left;
    } while (node != object);
    EXPECT(seen == 0xff);
    return finalize_note(mutator, object, data);
}

START_TEST(whole_cycles_run)
{
    fixture_alone();
    struct fixture f = fixture_open(finalize_ways[_i]);

    HEARTH_FRAME(f.mutator, frame, 2);
    for (uint64_t i = 0; i < 8; i++) {
        struct fixture_node *node = fixture_new(f.mutator, f.node, i);
        if (i == 0)
            frame.ref[0] = node;
        hearth_store(f.mutator, node, &node->left, frame.ref[1]);
        frame.ref[1] = node;
        HARNESS_OK(hearth_finalizer_add(f.mutator, node, walk_ring, NULL, 0));
    }
    struct fixture_node *first = frame.ref[0];
    hearth_store(f.mutator, first, &first->left, frame.ref[1]);
    frame.ref[0] = frame.ref[1] = NULL;
    fixture_collect(f.mutator, 2);
    ck_assert_uint_eq(finalize_calls(), 8);
    for (uint64_t i = 0; i < 8; i++)
        ck_assert_uint_eq(finalize_log[i], i);
    fixture_collect(f.mutator, 2);
    ck_assert(!hearth_is_object(f.heap, first));
    HEARTH_FRAME_END(f.mutator, frame);
    fixture_close(&f);
}
END_TEST

START_TEST(higher_priorities_run_first)
{
    static const int priority[] = {0, 5, -3, 5, INT_MAX, 0, INT_MIN};
    static const uint64_t order[] = {4, 1, 3, 0, 5, 2, 6};
    fixture_alone();
    struct fixture f = fixture_open("verify=on,finalize=queue");
    size_t ran;

    HEARTH_FRAME(f.mutator, frame, 7);
    for (uint64_t i = 0; i < 7; i++)
        finalize_new(&f, &frame.ref[i], i, priority[i]);
    memset(frame.ref, 0, 3 * sizeof frame.ref[0]);
    fixture_collect(f.mutator, 2); /* in two goes: one order over both */
    memset(frame.ref, 0, sizeof frame.ref);
    fixture_collect(f.mutator, 2);
    HARNESS_OK(hearth_finalize_run(f.mutator, SIZE_MAX, &ran));
    ck_assert_uint_eq(ran, 7);
    for (size_t i = 0; i < 7; i++)
        ck_assert_uint_eq(finalize_log[i], order[i]);
    HEARTH_FRAME_END(f.mutator, frame);
    fixture_close(&f);
}
END_TEST

START_TEST(removed_ones_do_not_run)
{
    fixture_alone();
    struct fixture f = fixture_open(finalize_ways[_i]);

    HEARTH_FRAME(f.mutator, frame, 4);
    for (uint64_t i = 0; i < 4; i++)
        finalize_new(&f, &frame.ref[i], i, 0);
    HARNESS_OK(hearth_finalizer_remove(f.mutator, frame.ref[1])); /* young */
    fixture_collect(f.mutator, 1);
    fixture_collect(f.mutator, 1);
    HARNESS_OK(hearth_finalizer_remove(f.mutator, frame.ref[2])); /* old */
    HARNESS_STATUS_NAMES(hearth_finalizer_remove(f.mutator, frame.ref[2]), HEARTH_ESTATE,
                         "no finalizer");
    HARNESS_OK(hearth_finalizer_remove(f.mutator, frame.ref[3]));
    HARNESS_OK(hearth_finalizer_add(f.mutator, frame.ref[3], finalize_note, NULL, 1));
    HARNESS_STATUS_NAMES(hearth_finalizer_add(f.mutator, frame.ref[3], finalize_note, NULL, 1),
                         HEARTH_ESTATE, "already");
    memset(frame.ref, 0, sizeof frame.ref);
    fixture_collect(f.mutator, 2);
    ck_assert_uint_eq(finalize_calls(), 2);
    ck_assert_uint_eq(finalize_log[0], 3);
    ck_assert_uint_eq(finalize_log[1], 0);
    HEARTH_FRAME_END(f.mutator, frame);
    fixture_close(&f);
}
END_TEST

static hearth_status count_up(hearth_mutator *mutator, void *object, void *data)
{
    EXPECT(hearth_is_object(mutator->heap, object));
    __atomic_fetch_add((uint64_t *)data, 1, __ATOMIC_RELAXED);
    return HEARTH_OK;
}

/* Objects of all shapes, by every way of allocating them. */
START_TEST(types_may_have_one)
{
    uint64_t runs = 0, made = 0;
    fixture_alone();
    struct fixture f = fixture_open(finalize_ways[_i]);
    hearth_type fixed = finalize_type(f.heap, count_up, &runs), array, bytes;
    hearth_type_info info = {.struct_size = sizeof info,
                             .name = "finalized array",
                             .size = 8,
                             .element_size = 8,
                             .element_bitmap = 1,
                             .finalize = count_up,
                             .finalize_data = &runs,
                             .finalize_priority = 3};
    hearth_type_info got = {.struct_size = sizeof got};

    HARNESS_OK(hearth_type_register(f.heap, &info, &array));
    info.element_bitmap = 0;
    info.flags = HEARTH_TYPE_LEAF;
    HARNESS_OK(hearth_type_register(f.heap, &info, &bytes));
    HARNESS_OK(hearth_type_get(f.heap, bytes, &got));
    ck_assert(got.finalize == count_up && got.finalize_data == &runs);
    ck_assert_int_eq(got.finalize_priority, 3);
    for (size_t i = 0; i < 40; i++, made += 7) {
        EXPECT(hearth_new(f.mutator, fixed) != NULL);
        EXPECT(hearth_alloc(f.mutator, fixed, sizeof(struct fixture_node)) != NULL);
        EXPECT(hearth_new_array(f.mutator, array, i * 50) != NULL);
        EXPECT(hearth_alloc_array(f.mutator, array, i) != NULL);
        EXPECT(hearth_alloc_array(f.mutator, bytes, i) != NULL);
        EXPECT(hearth_new_array(f.mutator, bytes, 10000) != NULL); /* large */
        EXPECT(hearth_new_on(f.mutator, fixed, 0, 0) != NULL);
    }
    fixture_collect(f.mutator, 2);
    ck_assert_uint_eq(runs, made);
    fixture_collect(f.mutator, 2);
    ck_assert_uint_eq(fixture_stats(f.heap).live_objects, 0);
    fixture_close(&f);
}
END_TEST

START_TEST(minor_collections_find_young_objects_only)
{
    fixture_alone();
    struct fixture f = fixture_open("verify=on,nursery-adaptive=off");

    HEARTH_FRAME(f.mutator, frame, 3);
    for (uint64_t i = 0; i < 3; i++)
        finalize_new(&f, &frame.ref[i], i, 0);
    frame.ref[0] = NULL;
    fixture_collect(f.mutator, 0);
    ck_assert_uint_eq(finalize_calls(), 1);
    frame.ref[1] = NULL; /* of generation 1 now */
    fixture_collect(f.mutator, 0);
    ck_assert_uint_eq(finalize_calls(), 2);
    fixture_collect(f.mutator, 1);
    frame.ref[2] = NULL; /* old */
    fixture_collect(f.mutator, 1);
    ck_assert_uint_eq(finalize_calls(), 2);
    ck_assert_ptr_null(f.heap->pending.entries.young);
    fixture_collect(f.mutator, 2);
    ck_assert_uint_eq(finalize_calls(), 3);
    HEARTH_FRAME_END(f.mutator, frame);
    fixture_close(&f);
}
END_TEST

/* Legacy objects and what they reach stay; a finalizable object that one reaches is not finalized. */
START_TEST(legacy_objects_stay)
{
    fixture_alone();
    struct fixture f = fixture_open(finalize_ways[_i]);
    hearth_type legacy = finalize_legacy_type(f.heap);

    HEARTH_FRAME(f.mutator, frame, 2);
    struct fixture_node *node = fixture_new(f.mutator, legacy, 1), *child;
    frame.ref[0] = node;
    child = finalize_new(&f, &frame.ref[1], 2, 0);
    hearth_store(f.mutator, node, &node->left, child);
    hearth_store(f.mutator, child, &child->left, node);
    HARNESS_STATUS_NAMES(hearth_finalizer_remove(f.mutator, node), HEARTH_ESTATE, "legacy");
    HARNESS_STATUS(hearth_finalizer_add(f.mutator, node, finalize_note, NULL, 0), HEARTH_ESTATE);
    frame.ref[0] = frame.ref[1] = NULL;
    for (int i = 0; i < 3; i++) {
        fixture_collect(f.mutator, 2);
        fixture_garbage(f.mutator, f.node, 100);
        ck_assert(hearth_is_object(f.heap, node) && hearth_is_object(f.heap, child));
        ck_assert_uint_eq(node->value + child->value, 3);
    }
    ck_assert_uint_eq(finalize_calls(), 0);
    HARNESS_OK(hearth_finalize_all(f.mutator)); /* the child's; not the legacy one */
    ck_assert_uint_eq(finalize_calls(), 1);
    ck_assert_uint_eq(fixture_stats(f.heap).finalizers, 1);
    HEARTH_FRAME_END(f.mutator, frame);
    fixture_close(&f);
}
END_TEST

/* Registers the next of a chain of `value` objects. */
static hearth_status chain(hearth_mutator *mutator, void *object, void *data)
{
    uint64_t value = ((struct fixture_node *)object)->value;
    if (value == 0)
        return HEARTH_OK;
    struct fixture_node *next = fixture_new(mutator, *(hearth_type *)data, value - 1);
    return hearth_finalizer_add(mutator, next, chain, data, 0);
}

START_TEST(all_runs_everything)
{
    struct fixture f = fixture_open(_i ? "verify=on,finalize=queue" : "verify=on");

    HEARTH_FRAME(f.mutator, frame, 6);
    for (uint64_t i = 0; i < 5; i++)
        finalize_new(&f, &frame.ref[i], i, (int)i);
    fixture_collect(f.mutator, 2);
    HARNESS_OK(hearth_finalize_all(f.mutator));
    ck_assert_uint_eq(finalize_calls(), 5);
    for (uint64_t i = 0; i < 5; i++) {
        ck_assert_uint_eq(finalize_log[i], 4 - i);
        ck_assert(hearth_is_finalized(f.heap, frame.ref[i]));
    }
    HARNESS_OK(hearth_finalize_all(f.mutator));
    ck_assert_uint_eq(finalize_calls(), 5);
    struct fixture_node *node = fixture_new(f.mutator, f.node, 10);
    frame.ref[5] = node;
    HARNESS_OK(hearth_finalizer_add(f.mutator, node, chain, &f.node, 0));
    HARNESS_OK(hearth_finalize_all(f.mutator));
    node = fixture_new(f.mutator, f.node, 1000);
    frame.ref[5] = node;
    HARNESS_OK(hearth_finalizer_add(f.mutator, node, chain, &f.node, 0));
    if (_i) /* else safepoints in between run some */
        HARNESS_STATUS_NAMES(hearth_finalize_all(f.mutator), HEARTH_ESTATE, "1 finalizers");
    HEARTH_FRAME_END(f.mutator, frame);
    fixture_close(&f);
}
END_TEST

START_TEST(destroying_a_heap_runs_none)
{
    struct fixture f = fixture_open("finalize=queue");

    HEARTH_FRAME(f.mutator, frame, 1);
    finalize_new(&f, &frame.ref[0], 0, 0);
    frame.ref[0] = NULL;
    fixture_collect(f.mutator, 2); /* due */
    finalize_new(&f, &frame.ref[0], 1, 0);
    HEARTH_FRAME_END(f.mutator, frame);
    fixture_close(&f);
    ck_assert_uint_eq(finalize_calls(), 0);
}
END_TEST

/* Without memory nothing is registered, and nothing allocated. */
START_TEST(registration_needs_memory)
{
    uint64_t runs = 0;
    struct fixture f = fixture_open("verify=on");
    hearth_type type = finalize_type(f.heap, count_up, &runs);

    HEARTH_FRAME(f.mutator, frame, 1);
    frame.ref[0] = fixture_new(f.mutator, f.node, 1);
    for (uint64_t n = 1; n <= 2; n++) { /* the index, then the slab */
        ht_fault_arm(HT_FAULT_ALLOC, n, true);
        HARNESS_STATUS(hearth_finalizer_add(f.mutator, frame.ref[0], finalize_note, NULL, 0),
                       HEARTH_ENOMEM);
        HARNESS_NULL(hearth_new(f.mutator, type), HEARTH_ENOMEM);
        ht_fault_arm(HT_FAULT_ALLOC, 0, false);
        ck_assert_uint_eq(fixture_stats(f.heap).finalizers, 0);
    }
    HARNESS_OK(hearth_finalizer_add(f.mutator, frame.ref[0], finalize_note, NULL, 0));
    for (int i = 1; i < HG_ENTRY_SLAB; i++)
        EXPECT(hearth_new(f.mutator, type) != NULL);
    ht_fault_arm(HT_FAULT_ALLOC, 1, true); /* another slab; a larger index is not a must */
    HARNESS_NULL(hearth_new(f.mutator, type), HEARTH_ENOMEM);
    ht_fault_arm(HT_FAULT_ALLOC, 0, false);
    frame.ref[0] = NULL;
    fixture_collect(f.mutator, 2);
    ck_assert_uint_eq(finalize_calls(), 1);
    ck_assert_uint_eq(runs, HG_ENTRY_SLAB - 1);
    HEARTH_FRAME_END(f.mutator, frame);
    fixture_close(&f);
}
END_TEST

static void *other_thread(void *data)
{
    struct fixture *f = data;
    ck_assert_int_eq(hearth_finalizer_add(f->mutator, f, finalize_note, NULL, 0), HEARTH_ETHREAD);
    return NULL;
}

START_TEST(bad_input_is_refused)
{
    struct fixture f = fixture_open(NULL);
    hearth_mutator *m = f.mutator;
    pthread_t thread;
    hearth_type type;
    hearth_type_info info = {.struct_size = sizeof info,
                             .name = "both",
                             .size = 16,
                             .flags = HEARTH_TYPE_LEGACY_FINALIZER,
                             .finalize = finalize_note};

    HEARTH_FRAME(m, frame, 1);
    struct fixture_node *node = fixture_new(m, f.node, 1);
    frame.ref[0] = node;
    HARNESS_STATUS(hearth_finalizer_add(NULL, node, finalize_note, NULL, 0), HEARTH_EINVAL);
    HARNESS_STATUS(hearth_finalizer_add(m, NULL, finalize_note, NULL, 0), HEARTH_EINVAL);
    HARNESS_STATUS_NAMES(hearth_finalizer_add(m, node, NULL, NULL, 0), HEARTH_EINVAL, "fn is NULL");
    HARNESS_STATUS_NAMES(hearth_finalizer_add(m, &node->right, finalize_note, NULL, 0),
                         HEARTH_EOBJECT, "hearth_finalizer_add");
    HARNESS_STATUS(hearth_finalizer_add_again(m, &f, finalize_note, NULL, 0), HEARTH_EOBJECT);
    HARNESS_STATUS(hearth_finalizer_remove(m, NULL), HEARTH_EINVAL);
    HARNESS_STATUS(hearth_finalizer_remove(m, &f), HEARTH_EOBJECT);
    HARNESS_STATUS(hearth_finalizer_remove(m, node), HEARTH_ESTATE);
    ck_assert(!hearth_is_finalized(NULL, node));
    harness_expect_error("hearth_is_finalized", HEARTH_EINVAL, "heap");
    ck_assert(!hearth_is_finalized(f.heap, &f));
    harness_expect_error("hearth_is_finalized", HEARTH_EOBJECT, NULL);
    HARNESS_STATUS(hearth_finalize_all(NULL), HEARTH_EINVAL);
    HARNESS_STATUS_NAMES(hearth_type_register(f.heap, &info, &type), HEARTH_EINVAL, "LEGACY");
    info.flags = 0;
    info.finalize = NULL;
    info.finalize_priority = 4;
    HARNESS_STATUS_NAMES(hearth_type_register(f.heap, &info, &type), HEARTH_EINVAL, "4");
    ck_assert_int_eq(pthread_create(&thread, NULL, other_thread, &f), 0);
    pthread_join(thread, NULL);
    HARNESS_OK(hearth_native_begin(m));
    HARNESS_STATUS(hearth_finalizer_add(m, node, finalize_note, NULL, 0), HEARTH_ESTATE);
    HARNESS_OK(hearth_native_end(m));
    ck_assert_uint_eq(fixture_stats(f.heap).finalizers, 0);
    HEARTH_FRAME_END(m, frame);
    fixture_close(&f);
}
END_TEST

/* The verifier sees what is broken. */
START_TEST(verifier_sees_damage)
{
    fixture_alone();
    struct fixture f = fixture_open(NULL);
    struct hg_finalizers *finalizers = &f.heap->finalizers;

    HEARTH_FRAME(f.mutator, frame, 2);
    finalize_new(&f, &frame.ref[0], 0, 0);
    finalize_new(&f, &frame.ref[1], 1, 0);
    struct hg_entry_slab *slab = f.heap->pending.entries.young;
    struct hg_entry *entry = &slab->entry[0];
    finalizers->count++;
    HARNESS_STATUS_NAMES(hearth_verify(f.mutator), HEARTH_ECORRUPT, "2 finalizers are registered");
    finalizers->count--;
    hg_bit_clear(slab->young, 0);
    HARNESS_STATUS_NAMES(hearth_verify(f.mutator), HEARTH_ECORRUPT, "its finalizer is old");
    hg_bit_set(slab->young, 0);
    slab->is_young = false;
    HARNESS_STATUS_NAMES(hearth_verify(f.mutator), HEARTH_ECORRUPT, "entries");
    slab->is_young = true;
    entry->object += 16;
    HARNESS_STATUS_NAMES(hearth_verify(f.mutator), HEARTH_ECORRUPT, "entries");
    entry->object -= 16;
    f.heap->pending.count++;
    HARNESS_STATUS_NAMES(hearth_verify(f.mutator), HEARTH_ECORRUPT, "0 due");
    f.heap->pending.count--;
    HEARTH_FRAME_END(f.mutator, frame);
    fixture_close(&f);
}
END_TEST

HARNESS_SUITE(finalize)
{
    Suite *suite = suite_create("finalize");
    TCase *tcase = tcase_create("finalize");

    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, runs_once, 0, FINALIZE_WAYS);
    tcase_add_loop_test(tcase, resurrects, 0, FINALIZE_WAYS);
    tcase_add_loop_test(tcase, runs_again_if_asked, 0, FINALIZE_WAYS);
    tcase_add_loop_test(tcase, whole_cycles_run, 0, FINALIZE_WAYS);
    tcase_add_test(tcase, higher_priorities_run_first);
    tcase_add_loop_test(tcase, removed_ones_do_not_run, 0, FINALIZE_WAYS);
    tcase_add_loop_test(tcase, types_may_have_one, 0, FINALIZE_WAYS);
    tcase_add_test(tcase, minor_collections_find_young_objects_only);
    tcase_add_loop_test(tcase, legacy_objects_stay, 0, FINALIZE_WAYS);
    tcase_add_loop_test(tcase, all_runs_everything, 0, 2);
    tcase_add_test(tcase, destroying_a_heap_runs_none);
    tcase_add_test(tcase, registration_needs_memory);
    tcase_add_test(tcase, bad_input_is_refused);
    tcase_add_test(tcase, verifier_sees_damage);
    suite_add_tcase(suite, tcase);
    return suite;
}
