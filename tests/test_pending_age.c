/* tests/test_pending_age.c - what is due for long is old: minor collections leave it out, and it keeps its order. */
#include "gc/trace.h"
#include "tests/finalize_fixture.h"

static void count_root(void *data, uintptr_t object)
{
    (void)object;
    ++*(size_t *)data;
}

/* Roots that a collection of this kind has from the queue. */
static size_t roots(struct fixture *f, bool full)
{
    size_t count = 0;
    struct hg_worker worker = {
        .trace = f->heap->trace, .report = count_root, .report_data = &count};
    bool before = f->heap->trace->full;

    f->heap->trace->full = full;
    hg_pending_roots(f->heap, &worker);
    f->heap->trace->full = before;
    return count;
}

static void weak_died(hearth_mutator *mutator, void *weak, void *data)
{
    (void)mutator;
    (void)weak;
    (void)data;
}

/* Callbacks, found finalizers and a queue that somebody has begun to take from. */
START_TEST(old_ones_are_no_roots_of_minor_collections)
{
    enum { DUE = 700 };
    hearth_finalize_item item = {.struct_size = sizeof item};

    fixture_alone();
    struct fixture f = fixture_open("verify=on,finalize=queue");
    HEARTH_FRAME(f.mutator, frame, 1);
    frame.ref[0] = hearth_new_array(f.mutator, f.refs, DUE);
    for (size_t i = 0; i < DUE; i++) {
        void **array = frame.ref[0];
        void *weak =
            hearth_weak_new(f.mutator, fixture_new(f.mutator, f.node, i), 0, weak_died, NULL);
        HARNESS_OK(hearth_store(f.mutator, array, &array[i], weak));
    }
    for (int part = 0; part < 2; part++) {
        for (uint64_t i = 0; i < DUE; i++) {
            struct fixture_node *node = fixture_new(f.mutator, f.node, i);
            HARNESS_OK(hearth_finalizer_add(f.mutator, node, finalize_note, NULL, part));
        }
        fixture_collect(f.mutator, 0);
        size_t all = 2 * DUE;
        ck_assert_uint_eq(roots(&f, true), all);
        ck_assert_uint_eq(roots(&f, false), part == 0 ? all : DUE);
        if (part == 1) { /* sorted in: what was young stays so, what was old is told anew */
            HARNESS_OK(hearth_finalize_next(f.mutator, &item));
            ck_assert_int_eq(item.priority, 1);
            all--;
        }
        fixture_collect(f.mutator, 0);
        fixture_collect(f.mutator, 0);
        ck_assert_uint_eq(roots(&f, true), all);
        ck_assert_uint_eq(roots(&f, false), 0);
        for (size_t i = 0; part == 0 && i < DUE; i++) { /* the callbacks go */
            HARNESS_OK(hearth_finalize_next(f.mutator, &item));
            EXPECT(item.object != NULL && item.fn == NULL);
        }
    }
    HARNESS_OK(hearth_finalize_run(f.mutator, SIZE_MAX, NULL));
    ck_assert_uint_eq(roots(&f, true), 0);
    HEARTH_FRAME_END(f.mutator, frame);
    fixture_close(&f);
}
END_TEST

/* Items taken between collections of all kinds come in the order of priority and registration. */
START_TEST(the_order_is_kept)
{
    enum { MOST = 2000, PRIORITIES = 4 };
    uint64_t random = harness_seed() + (uint64_t)_i;
    uint64_t waiting[PRIORITIES][MOST], made = 0;
    size_t first[PRIORITIES] = {0}, last[PRIORITIES] = {0};

    fixture_alone();
    struct fixture f = fixture_open(_i % 2 ? "verify=on,finalize=queue,generational=off"
                                           : "verify=on,finalize=queue");
    while (made < MOST - 64) {
        for (uint64_t i = harness_random_below(&random, 50); i > 0; i--, made++) {
            int priority = (int)harness_random_below(&random, PRIORITIES);
            struct fixture_node *node = fixture_new(f.mutator, f.node, made);
            HARNESS_OK(hearth_finalizer_add(f.mutator, node, finalize_note, NULL, priority));
            waiting[priority][last[priority]++] = made;
        }
        fixture_collect(f.mutator, (int)harness_random_below(&random, 3));
        for (uint64_t i = harness_random_below(&random, 40); i > 0; i--) {
            hearth_finalize_item item = {.struct_size = sizeof item};
            int p = PRIORITIES - 1;
            while (p >= 0 && first[p] == last[p])
                p--;
            HARNESS_OK(hearth_finalize_next(f.mutator, &item));
            EXPECT((item.object == NULL) == (p < 0));
            if (item.object == NULL)
                break;
            EXPECT(item.priority == p);
            EXPECT(((struct fixture_node *)item.object)->value == waiting[p][first[p]]);
            first[p]++;
        }
    }
    fixture_close(&f);
}
END_TEST

START_TEST(the_verifier_finds_young_ones_among_the_old)
{
    fixture_alone();
    struct fixture f = fixture_open("finalize=queue");

    make_due(&f, 3, finalize_note, NULL);
    struct hg_entry_slab *slab = f.heap->pending.entries.found;
    HARNESS_OK(hearth_verify(f.mutator));
    hg_bit_set(slab->aged, 0);
    HARNESS_STATUS_NAMES(hearth_verify(f.mutator), HEARTH_ECORRUPT, "counts as old");
    hg_bit_clear(slab->aged, 0);
    hg_bit_set(slab->aged, 5); /* it was never found */
    HARNESS_STATUS_NAMES(hearth_verify(f.mutator), HEARTH_ECORRUPT, "damaged");
    hg_bit_clear(slab->aged, 5);
    HARNESS_OK(hearth_verify(f.mutator));
    fixture_close(&f);
}
END_TEST

HARNESS_SUITE(pending_age)
{
    Suite *suite = suite_create("pending_age");
    TCase *tests = tcase_create("pending_age");

    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, old_ones_are_no_roots_of_minor_collections);
    tcase_add_loop_test(tests, the_order_is_kept, 0, 4);
    tcase_add_test(tests, the_verifier_finds_young_ones_among_the_old);
    suite_add_tcase(suite, tests);
    return suite;
}
