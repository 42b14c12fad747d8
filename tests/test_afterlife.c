/* tests/test_afterlife.c - weak references, finalizers, legacy types and garbage in one collection: CPython's order. */
#include "hearth/gc.h"
#include "hearth/weak.h"
#include "tests/finalize_fixture.h"

enum { SHORT, LONG, SAVED, REFS };

/* What finalizer and callback see, in the order of their calls. */
struct witness {
    hearth_mutator *mutator;
    void **ref; /* the frame: short and long weak reference, what is resurrected */
    char calls[8];
    bool resurrect;
};

static struct witness witness;

static void note(char what)
{
    size_t at = strlen(witness.calls);
    EXPECT(at + 1 < sizeof witness.calls);
    witness.calls[at] = what;
}

static void cleared(hearth_mutator *mutator, void *weak, void *data)
{
    (void)data;
    EXPECT(hearth_weak_get(mutator, weak) == NULL);
    fixture_collect(mutator, 0);
    note(weak == witness.ref[SHORT] ? 's' : 'l');
}

static hearth_status finalize(hearth_mutator *mutator, void *object, void *data)
{
    struct fixture_node *node = object;
    (void)data;
    EXPECT(((struct fixture_node *)node->left)->left == node); /* the cycle is whole */
    EXPECT(hearth_weak_get(mutator, witness.ref[SHORT]) == NULL);
    EXPECT(hearth_weak_get(mutator, witness.ref[LONG]) == object);
    if (witness.resurrect)
        witness.ref[SAVED] = object;
    note('f');
    return HEARTH_OK;
}

/* A cycle of two nodes, of which one has the finalizer and two weak references with callbacks. */
static void cycle(struct fixture *f)
{
    HEARTH_FRAME(f->mutator, frame, 2);
    for (int i = 0; i < 2; i++)
        frame.ref[i] = fixture_new(f->mutator, f->node, (uint64_t)i);
    for (int i = 0; i < 2; i++) {
        struct fixture_node *node = frame.ref[i];
        hearth_store(f->mutator, node, &node->left, frame.ref[1 - i]);
    }
    HARNESS_OK(hearth_finalizer_add(f->mutator, frame.ref[0], finalize, NULL, 0));
    witness.ref[SHORT] = hearth_weak_new(f->mutator, frame.ref[0], 0, cleared, NULL);
    witness.ref[LONG] = hearth_weak_new(f->mutator, frame.ref[0], HEARTH_WEAK_LONG, cleared, NULL);
    HEARTH_FRAME_END(f->mutator, frame);
}

/* Round 0: the finalizer resurrects its object, which is let go later. Round 1: it does not. */
START_TEST(weak_references_go_first)
{
    fixture_alone();
    for (int resurrect = 0; resurrect < 2; resurrect++) {
        struct fixture f = fixture_open(finalize_ways[_i]);
        HEARTH_FRAME(f.mutator, frame, REFS);
        witness = (struct witness){f.mutator, frame.ref, "", resurrect};
        cycle(&f);
        fixture_collect(f.mutator, 2);
        if (resurrect) {
            fixture_collect(f.mutator, 2);
            ck_assert_str_eq(witness.calls, "sf");
            ck_assert_ptr_eq(hearth_weak_get(f.mutator, frame.ref[LONG]), frame.ref[SAVED]);
            ck_assert_ptr_null(hearth_weak_get(f.mutator, frame.ref[SHORT]));
            frame.ref[SAVED] = NULL;
        }
        fixture_collect(f.mutator, 2);
        ck_assert_str_eq(witness.calls, "sfl");
        ck_assert_ptr_null(hearth_weak_get(f.mutator, frame.ref[LONG]));
        HEARTH_FRAME_END(f.mutator, frame);
        fixture_close(&f);
    }
}
END_TEST

/* Callbacks that are due are items like finalizers, before them. */
START_TEST(callbacks_are_items)
{
    fixture_alone();
    struct fixture f = fixture_open("verify=on,finalize=queue");
    hearth_finalize_item item = {.struct_size = sizeof item};

    HEARTH_FRAME(f.mutator, frame, REFS);
    witness = (struct witness){f.mutator, frame.ref, "", false};
    cycle(&f);
    fixture_collect(f.mutator, 2);
    ck_assert_uint_eq(fixture_stats(f.heap).finalizers_due, 2);
    HARNESS_OK(hearth_finalize_next(f.mutator, &item));
    ck_assert(item.object == frame.ref[SHORT] && item.fn == NULL);
    HARNESS_OK(hearth_finalize_call(f.mutator, &item));
    ck_assert_str_eq(witness.calls, "s");
    HARNESS_OK(hearth_finalize_run(f.mutator, SIZE_MAX, NULL));
    ck_assert_str_eq(witness.calls, "sf");
    ck_assert_uint_eq(fixture_stats(f.heap).finalizers_run, 2);
    HEARTH_FRAME_END(f.mutator, frame);
    fixture_close(&f);
}
END_TEST

/* Legacy objects go to garbage, once each time they are let go; weak references to them hold. */
START_TEST(legacy_objects_are_garbage)
{
    fixture_alone();
    struct fixture f = fixture_open(finalize_ways[_i]);
    hearth_type legacy = finalize_legacy_type(f.heap);
    bool listed[2] = {false, false};

    HEARTH_FRAME(f.mutator, frame, 2);
    void *node[2];
    for (int i = 0; i < 2; i++) { /* a list of two, both legacy */
        struct fixture_node *made = fixture_new(f.mutator, legacy, (uint64_t)i);
        hearth_store(f.mutator, made, &made->left, frame.ref[0]);
        frame.ref[0] = node[i] = made;
    }
    frame.ref[1] = hearth_weak_new(f.mutator, node[0], 0, NULL, NULL);
    frame.ref[0] = NULL;
    for (int round = 0; round < 3; round++) {
        fixture_collect(f.mutator, 2);
        fixture_collect(f.mutator, 2);
        ck_assert_uint_eq(hearth_gc_garbage_count(f.heap), 2);
        for (size_t i = 0; i < 2; i++)
            for (size_t k = 0; k < 2; k++)
                listed[k] |= hearth_gc_garbage_get(f.mutator, i) == node[k];
        ck_assert(listed[0] && listed[1]);
        ck_assert_ptr_eq(hearth_weak_get(f.mutator, frame.ref[1]), node[0]);
        HARNESS_OK(hearth_gc_garbage_clear(f.mutator));
    }
    HEARTH_FRAME_END(f.mutator, frame);
    fixture_close(&f);
}
END_TEST

HARNESS_SUITE(afterlife)
{
    Suite *suite = suite_create("afterlife");
    TCase *tcase = tcase_create("afterlife");

    tcase_add_loop_test(tcase, weak_references_go_first, 0, FINALIZE_WAYS);
    tcase_add_test(tcase, callbacks_are_items);
    tcase_add_loop_test(tcase, legacy_objects_are_garbage, 0, FINALIZE_WAYS);
    suite_add_tcase(suite, tcase);
    return suite;
}
