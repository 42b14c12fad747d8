/* tests/test_weak_callback.c - callbacks of weak references, and what finalizers see of weak things. */
#include "tests/cell_fixture.h"

struct calls {
    int count;
    void *weak, *data; /* of the last call                                  */
    void *gone;        /* what hearth_weak_get said during it               */
};

static struct calls calls;

static void record(hearth_mutator *mutator, void *weak, void *data)
{
    calls.count++;
    calls.weak = weak;
    calls.data = data;
    calls.gone = hearth_weak_get(mutator, weak);
}

START_TEST(a_callback_is_called_once)
{
    for (int i = 0; i < CELL_MODES * 2; i++) {
        struct fixture f = cell_open(i / 2);
        calls = (struct calls){.gone = &f};
        HEARTH_FRAME(f.mutator, frame, 3);
        frame.ref[0] = fixture_new(f.mutator, f.node, 1);
        frame.ref[1] = fixture_new(f.mutator, f.node, 2);
        void *data = frame.ref[1];
        frame.ref[2] =
            hearth_weak_new(f.mutator, frame.ref[0], i % 2 ? HEARTH_WEAK_LONG : 0, record, data);
        frame.ref[1] = NULL;
        cell_collect(&f, 2);
        ck_assert_int_eq(calls.count, 0);
        frame.ref[0] = NULL;
        cell_collect(&f, 2);
        ck_assert_int_eq(calls.count, 1);
        ck_assert_ptr_eq(calls.weak, frame.ref[2]);
        ck_assert_ptr_eq(calls.data, data);
        ck_assert_ptr_null(calls.gone);
        cell_collect(&f, 2);
        ck_assert_int_eq(calls.count, 1);
        HEARTH_FRAME_END(f.mutator, frame);
        fixture_close(&f);
    }
}
END_TEST

/* In a minor collection, and held by nothing but the queue between the collection and the call. */
START_TEST(the_queue_holds_the_weak_reference)
{
    fixture_alone();
    struct fixture f = fixture_open("verify=on,finalize=queue");
    size_t ran = 0;
    calls = (struct calls){0};
    HEARTH_FRAME(f.mutator, frame, 2);
    frame.ref[0] = fixture_new(f.mutator, f.node, 1);
    frame.ref[1] = hearth_weak_new(f.mutator, frame.ref[0], 0, record, frame.ref[0]);
    ck_assert_ptr_nonnull(frame.ref[1]); /* its data is its target: it lives for ever */
    frame.ref[0] = NULL;
    cell_collect(&f, 2);
    ck_assert_int_eq(calls.count, 0);
    frame.ref[0] = fixture_new(f.mutator, f.node, 3);
    frame.ref[1] = hearth_weak_new(f.mutator, frame.ref[0], 0, record, NULL);
    void *weak = frame.ref[1];
    frame.ref[0] = NULL;
    cell_collect(&f, 0);
    frame.ref[1] = NULL;
    for (int generation = 0; generation < 3; generation++)
        cell_collect(&f, generation);
    ck_assert_int_eq(calls.count, 0);
    ck_assert(hearth_is_object(f.heap, weak));
    HARNESS_OK(hearth_finalize_run(f.mutator, 10, &ran));
    ck_assert_uint_eq(ran, 1);
    ck_assert_int_eq(calls.count, 1);
    ck_assert_ptr_eq(calls.weak, weak);
    cell_collect(&f, 2);
    ck_assert(!hearth_is_object(f.heap, weak));
    HEARTH_FRAME_END(f.mutator, frame);
    fixture_close(&f);
}
END_TEST

START_TEST(no_callback_for_the_dead_and_the_cleared)
{
    for (int mode = 0; mode < CELL_MODES; mode++) {
        struct fixture f = cell_open(mode);
        calls = (struct calls){0};
        HEARTH_FRAME(f.mutator, frame, 3);
        frame.ref[0] = fixture_new(f.mutator, f.node, 1);
        for (unsigned flags = 0; flags < 2; flags++) {
            ck_assert_ptr_nonnull(hearth_weak_new(f.mutator, frame.ref[0], flags, record, NULL));
            frame.ref[1] = hearth_weak_new(f.mutator, frame.ref[0], flags, record, NULL);
            HARNESS_OK(hearth_weak_clear(f.mutator, frame.ref[1]));
        }
        frame.ref[1] = NULL;
        cell_collect(&f, mode % 3);
        frame.ref[2] = hearth_weak_new(f.mutator, frame.ref[0], 0, record, NULL);
        frame.ref[0] = frame.ref[2] = NULL; /* both die in the same collection */
        cell_collect(&f, 2);
        ck_assert_int_eq(calls.count, 0);
        HEARTH_FRAME_END(f.mutator, frame);
        fixture_close(&f);
    }
}
END_TEST

/* A callback that allocates, collects, and makes the next one; data: a list's root. */
static void chain(hearth_mutator *mutator, void *weak, void *data)
{
    struct fixture *f = hearth_heap_data(mutator->heap);
    HEARTH_FRAME(mutator, frame, 2);

    frame.ref[0] = weak;
    frame.ref[1] = data;
    if (++calls.count < 20) {
        void *next = hearth_weak_new(mutator, fixture_new(mutator, f->node, 0), 0, chain, data);
        EXPECT(next != NULL);
        EXPECT(hearth_store(mutator, data, (void **)data, next) == HEARTH_OK);
        EXPECT(hearth_gc_collect(mutator, calls.count % 3) == HEARTH_OK);
    }
    HEARTH_FRAME_END(mutator, frame);
}

START_TEST(callbacks_may_use_the_heap)
{
    for (int mode = 0; mode < CELL_MODES; mode++) {
        struct fixture f = cell_open(mode);
        hearth_heap_set_data(f.heap, &f);
        calls = (struct calls){0};
        HEARTH_FRAME(f.mutator, frame, 2);
        frame.ref[0] = cell_refs(&f, 1);
        frame.ref[1] =
            hearth_weak_new(f.mutator, fixture_new(f.mutator, f.node, 0), 0, chain, frame.ref[0]);
        cell_collect(&f, 2);
        for (int i = 0; i < 60 && calls.count < 20; i++)
            cell_collect(&f, 2);
        ck_assert_int_eq(calls.count, 20);
        HEARTH_FRAME_END(f.mutator, frame);
        fixture_close(&f);
    }
}
END_TEST

/* --- with finalizers ------------------------------------------------------------------------------ */

struct seen {
    int finalized;
    void *weak, *strong, *table; /* to be asked; objects rooted by the test     */
    void *by_weak, *by_long, *by_key;
    bool by_value;
    void **keep; /* where the object is stored: a root; NULL: nowhere */
    void *values;
};

static hearth_status look(hearth_mutator *mutator, void *object, void *data)
{
    struct seen *seen = data;

    seen->finalized++;
    seen->by_weak = hearth_weak_get(mutator, seen->weak);
    seen->by_long = hearth_weak_get(mutator, seen->strong);
    seen->by_key = NULL;
    hearth_table_get(mutator, seen->table, object, &seen->by_key);
    seen->by_value = hearth_table_get(mutator, seen->values, seen->weak, NULL);
    if (seen->keep != NULL)
        *seen->keep = object;
    return HEARTH_OK;
}

START_TEST(finalizers_see_weak_references_cleared)
{
    for (int i = 0; i < CELL_MODES * 2; i++) {
        struct fixture f = cell_open(i / 2);
        struct seen seen = {0};
        bool keep = i % 2;
        HEARTH_FRAME(f.mutator, frame, 7);
        frame.ref[0] = fixture_new(f.mutator, f.node, 1);
        frame.ref[1] = seen.weak = cell_weak(&f, frame.ref[0]);
        frame.ref[2] = seen.strong =
            hearth_weak_new(f.mutator, frame.ref[0], HEARTH_WEAK_LONG, NULL, NULL);
        frame.ref[3] = seen.table = hearth_table_new(f.mutator, HEARTH_TABLE_EPHEMERON);
        frame.ref[4] = seen.values = hearth_table_new(f.mutator, HEARTH_TABLE_WEAK_VALUES);
        frame.ref[5] = fixture_new(f.mutator, f.node, 2);
        void *object = frame.ref[0], *property = frame.ref[5];
        HARNESS_OK(hearth_table_put(f.mutator, seen.table, object, property));
        HARNESS_OK(hearth_table_put(f.mutator, seen.values, seen.weak, object));
        HARNESS_OK(hearth_finalizer_add(f.mutator, object, look, &seen, 0));
        seen.keep = keep ? &frame.ref[6] : NULL;
        frame.ref[5] = frame.ref[0] = NULL;
        cell_collect(&f, 2);
        ck_assert_int_eq(seen.finalized, 1);
        ck_assert_ptr_null(seen.by_weak);
        ck_assert_ptr_eq(seen.by_long, object);
        ck_assert_ptr_eq(seen.by_key, property);
        ck_assert(!seen.by_value);
        cell_collect(&f, 2);
        ck_assert_ptr_eq(hearth_weak_get(f.mutator, seen.strong), keep ? object : NULL);
        ck_assert_uint_eq(hearth_table_count(f.mutator, seen.table), keep);
        ck_assert_uint_eq(hearth_table_count(f.mutator, seen.values), 0);
        ck_assert_ptr_null(hearth_weak_get(f.mutator, seen.weak));
        frame.ref[6] = NULL;
        cell_collect(&f, 2);
        ck_assert_ptr_null(hearth_weak_get(f.mutator, seen.strong));
        ck_assert_int_eq(seen.finalized, 1);
        HEARTH_FRAME_END(f.mutator, frame);
        fixture_close(&f);
    }
}
END_TEST

static hearth_status ask(hearth_mutator *mutator, void *object, void *data)
{
    void **answer = data;

    answer[0] = hearth_weak_get(mutator, ((struct fixture_node *)object)->left);
    answer[1] = object;
    return HEARTH_OK;
}

/* A weak reference that dies with its target and is brought back by a finalizer: cleared, not called. */
START_TEST(weak_references_in_the_garbage_are_cleared_too)
{
    for (int mode = 0; mode < CELL_MODES; mode++) {
        struct fixture f = cell_open(mode);
        void *answer[2] = {&f, NULL};
        calls = (struct calls){0};
        HEARTH_FRAME(f.mutator, frame, 3);
        frame.ref[0] = fixture_new(f.mutator, f.node, 1);
        frame.ref[1] = fixture_new(f.mutator, f.node, 2);
        frame.ref[2] = hearth_weak_new(f.mutator, frame.ref[1], 0, record, NULL);
        EXPECT(hearth_store(f.mutator, frame.ref[0], &((struct fixture_node *)frame.ref[0])->left,
                            frame.ref[2]) == HEARTH_OK);
        HARNESS_OK(hearth_finalizer_add(f.mutator, frame.ref[0], ask, answer, 0));
        frame.ref[0] = frame.ref[1] = frame.ref[2] = NULL;
        cell_collect(&f, 2);
        ck_assert_ptr_nonnull(answer[1]);
        ck_assert_ptr_null(answer[0]);
        ck_assert_int_eq(calls.count, 0);
        HEARTH_FRAME_END(f.mutator, frame);
        fixture_close(&f);
    }
}
END_TEST

/* A chain of ephemerons whose first key is brought back by a finalizer: all of it is. */
START_TEST(resurrection_goes_through_ephemerons)
{
    enum { COUNT = 200 };
    for (int mode = 0; mode < CELL_MODES; mode++) {
        struct fixture f = cell_open(mode);
        void *answer[2] = {&f, NULL};
        HEARTH_FRAME(f.mutator, frame, 5);
        frame.ref[0] = cell_refs(&f, COUNT);
        frame.ref[1] = frame.ref[4] = fixture_new(f.mutator, f.node, 0);
        frame.ref[2] = cell_weak(&f, &f);
        EXPECT(hearth_store(f.mutator, frame.ref[1], &((struct fixture_node *)frame.ref[1])->left,
                            frame.ref[2]) == HEARTH_OK);
        HARNESS_OK(hearth_finalizer_add(f.mutator, frame.ref[1], ask, answer, 0));
        for (size_t i = 0; i < COUNT; i++) {
            frame.ref[3] = fixture_new(f.mutator, f.node, i + 1);
            cell_set(&f, frame.ref[0], COUNT - 1 - i,
                     cell_ephemeron(&f, frame.ref[4], frame.ref[3]));
            frame.ref[4] = frame.ref[3];
        }
        frame.ref[1] = frame.ref[3] = frame.ref[4] = NULL;
        cell_collect(&f, 2);
        ck_assert_ptr_eq(answer[0], &f);
        for (size_t i = 0; i < COUNT; i++) {
            struct fixture_node *value =
                hearth_ephemeron_value(f.mutator, ((void **)frame.ref[0])[i]);
            EXPECT(value != NULL ? value->value == COUNT - i : mode == 1);
        }
        cell_collect(&f, 2);
        for (size_t i = 0; i < COUNT; i++)
            EXPECT(hearth_ephemeron_key(f.mutator, ((void **)frame.ref[0])[i]) == NULL);
        HEARTH_FRAME_END(f.mutator, frame);
        fixture_close(&f);
    }
}
END_TEST

START_TEST(without_memory_for_the_queue_nothing_is_made)
{
    struct fixture f = cell_open_alone();
    HEARTH_FRAME(f.mutator, frame, 2);
    frame.ref[0] = fixture_new(f.mutator, f.node, 1);
    frame.ref[1] = cell_weak(&f, frame.ref[0]); /* all but the queue has memory now */
    calls = (struct calls){0};
    ht_fault_arm(HT_FAULT_ALLOC, 1, true);
    int made = 0;
    for (; made < 100000; made++) { /* until the room there is runs out */
        frame.ref[1] = hearth_weak_new(f.mutator, frame.ref[0], 0, record, frame.ref[1]);
        if (frame.ref[1] == NULL)
            break;
    }
    ck_assert_int_lt(made, 100000);
    ck_assert_int_eq(hearth_last_status(), HEARTH_ENOMEM);
    ht_fault_arm(HT_FAULT_ALLOC, 0, false);
    frame.ref[1] = hearth_weak_new(f.mutator, frame.ref[0], 0, record, NULL);
    frame.ref[0] = NULL;
    cell_collect(&f, 2);
    ck_assert_int_eq(calls.count, 1);
    HEARTH_FRAME_END(f.mutator, frame);
    fixture_close(&f);
}
END_TEST

HARNESS_SUITE(weak_callback)
{
    Suite *suite = suite_create("weak_callback");
    TCase *callback = tcase_create("callback");
    tcase_add_test(callback, a_callback_is_called_once);
    tcase_add_test(callback, the_queue_holds_the_weak_reference);
    tcase_add_test(callback, no_callback_for_the_dead_and_the_cleared);
    tcase_add_test(callback, callbacks_may_use_the_heap);
    tcase_add_test(callback, without_memory_for_the_queue_nothing_is_made);
    suite_add_tcase(suite, callback);
    TCase *finalizer = tcase_create("finalizer");
    tcase_add_test(finalizer, finalizers_see_weak_references_cleared);
    tcase_add_test(finalizer, weak_references_in_the_garbage_are_cleared_too);
    tcase_add_test(finalizer, resurrection_goes_through_ephemerons);
    suite_add_tcase(suite, finalizer);
    return suite;
}
