/* tests/test_cell_many.c - many cells: verdicts by helpers, what waits for the end, order of callbacks. */
#include "tests/cell_fixture.h"

enum { MANY = 8 * HG_REMEMBER_CHUNK + 5 };

/* Options under which helpers are called for every collection of more than a chunk of cells; and none is. */
static const char *const shared_out[] = {"help-after=0,verify=on", "workers=1,verify=on"};

/* The same heap by helpers and alone: what is cleared and what is listed is the same. */
START_TEST(helpers_judge_as_one_thread_does)
{
    uint64_t random = harness_seed() + (uint64_t)_i;
    fixture_alone();
    struct fixture f = fixture_open(shared_out[_i % 2]);
    HEARTH_FRAME(f.mutator, frame, 2);
    frame.ref[0] = cell_refs(&f, MANY);
    frame.ref[1] = cell_refs(&f, MANY);
    void **target = frame.ref[0], **weak = frame.ref[1];
    for (size_t i = 0; i < MANY; i++) {
        cell_set(&f, target, i, fixture_new(f.mutator, f.node, i));
        cell_set(&f, weak, i,
                 i % 2 ? cell_weak(&f, target[i]) : cell_ephemeron(&f, target[i], target[i]));
    }
    for (int generation = 0; generation < 3; generation++) {
        for (size_t i = 0; i < MANY; i++) {
            uint64_t what = harness_random_below(&random, 6);
            if (what == 0)
                cell_set(&f, target, i, NULL);
            else if (what == 1)
                cell_set(&f, weak, i, NULL);
        }
        cell_collect(&f, generation == 1 ? 0 : 2);
    }
    size_t alive[HG_CELLS_GROUPS] = {0};
    for (size_t i = 0; i < MANY; i++) {
        if (weak[i] == NULL)
            continue;
        EXPECT(target[i] == (i % 2 ? hearth_weak_get(f.mutator, weak[i])
                                   : hearth_ephemeron_key(f.mutator, weak[i])));
        alive[i % 2 ? HG_CELLS_WEAK : HG_CELLS_EPHEMERON] += target[i] != NULL;
    }
    for (int g = 0; g < HG_CELLS_GROUPS; g++)
        ck_assert_uint_eq(cell_known(&f, g), alive[g]);
    HEARTH_FRAME_END(f.mutator, frame);
    fixture_close(&f);
}
END_TEST

static uint64_t called[MANY];
static size_t calls;

static void note_call(hearth_mutator *mutator, void *weak, void *data)
{
    (void)mutator;
    (void)weak;
    called[calls++] = ((struct fixture_node *)data)->value;
}

/* Callbacks are due in the order of the lists, whoever judged. */
START_TEST(callbacks_keep_their_order)
{
    uint64_t order[2][MANY];

    fixture_alone();
    for (int by = 0; by < 2; by++) {
        struct fixture f = fixture_open(shared_out[by]);
        HEARTH_FRAME(f.mutator, frame, 2);
        frame.ref[0] = cell_refs(&f, MANY);
        for (size_t i = 0; i < MANY; i++) {
            frame.ref[1] = fixture_new(f.mutator, f.node, i);
            cell_set(&f, frame.ref[0], i,
                     hearth_weak_new(f.mutator, fixture_new(f.mutator, f.node, i), 0, note_call,
                                     frame.ref[1]));
        }
        calls = 0;
        cell_collect(&f, 2);
        ck_assert_uint_eq(calls, MANY);
        memcpy(order[by], called, sizeof called);
        HEARTH_FRAME_END(f.mutator, frame);
        fixture_close(&f);
    }
    ck_assert_mem_eq(order[0], order[1], sizeof called);
}
END_TEST

/* --- what finalizers bring back --------------------------------------------------------------------- */

static hearth_status nothing(hearth_mutator *mutator, void *object, void *data)
{
    (void)mutator;
    (void)object;
    (void)data;
    return HEARTH_OK;
}

/* Nodes with finalizers are dropped and each holds a weak reference to a living target, and is the target of a short
 * and of a long one. What the queue holds has been brought back: the weak references it holds must be known
 * still, and long ones must not be cleared before it is gone for good. */
START_TEST(what_is_brought_back_is_known)
{
    enum { NODES = 2 * HG_REMEMBER_CHUNK };
    fixture_alone();
    char options[64];
    snprintf(options, sizeof options, "finalize=queue,%s", shared_out[_i % 2]);
    struct fixture f = fixture_open(options);
    HEARTH_FRAME(f.mutator, frame, 5);
    for (int i = 0; i < 4; i++)
        frame.ref[i] = cell_refs(&f, NODES);
    void **target = frame.ref[0], **node = frame.ref[1], **weak = frame.ref[2],
         **far = frame.ref[3];
    for (size_t i = 0; i < NODES; i++) {
        cell_set(&f, target, i, fixture_new(f.mutator, f.node, i));
        cell_set(&f, node, i, fixture_new(f.mutator, f.node, i));
        struct fixture_node *n = node[i];
        HARNESS_OK(hearth_store(f.mutator, n, (void **)&n->left, cell_weak(&f, target[i])));
        HARNESS_OK(hearth_finalizer_add(f.mutator, n, nothing, NULL, 0));
        cell_set(&f, weak, i, cell_weak(&f, n));
        cell_set(&f, far, i, hearth_weak_new(f.mutator, n, HEARTH_WEAK_LONG, NULL, NULL));
    }
    for (size_t i = 0; i < NODES; i++)
        cell_set(&f, node, i, NULL);
    cell_collect(&f, _i < 2 ? 2 : 0);
    for (size_t i = 0; i < NODES; i++) {
        EXPECT(hearth_weak_get(f.mutator, weak[i]) == NULL);
        const struct fixture_node *n = hearth_weak_get(f.mutator, far[i]);
        EXPECT(n != NULL && hearth_weak_get(f.mutator, n->left) == target[i]);
        if (i % 2)
            cell_set(&f, target, i, NULL);
    }
    cell_collect(&f, 2);
    for (size_t i = 0; i < NODES; i++) {
        const struct fixture_node *n = hearth_weak_get(f.mutator, far[i]);
        EXPECT(hearth_weak_get(f.mutator, n->left) == target[i]);
    }
    ck_assert_uint_eq(cell_known(&f, HG_CELLS_WEAK), NODES + NODES / 2);
    HARNESS_OK(hearth_finalize_run(f.mutator, SIZE_MAX, NULL));
    cell_collect(&f, 2);
    for (size_t i = 0; i < NODES; i++)
        EXPECT(hearth_weak_get(f.mutator, far[i]) == NULL);
    ck_assert_uint_eq(cell_known(&f, HG_CELLS_WEAK), 0);
    HEARTH_FRAME_END(f.mutator, frame);
    fixture_close(&f);
}
END_TEST

/* Three parts whose sizes lie at the bounds of chunks: no memory is needed for them. */
START_TEST(three_parts_at_the_bounds_of_chunks)
{
    static const size_t counts[] = {0, 1, HG_REMEMBER_CHUNK - 1, HG_REMEMBER_CHUNK,
                                    HG_REMEMBER_CHUNK + 1};
    fixture_alone();
    for (int i = 0; i < 125; i++) {
        size_t part[3] = {counts[i / 25], counts[i / 5 % 5], counts[i % 5]}; /* old, young, long */
        struct fixture f = fixture_open("");
        HEARTH_FRAME(f.mutator, frame, 2);
        frame.ref[0] = fixture_new(f.mutator, f.node, 1);
        frame.ref[1] = cell_refs(&f, part[0] + part[1] + part[2] + 1);
        size_t at = 0;
        for (int p = 0; p < 3; p++) {
            for (size_t k = 0; k < part[p]; k++, at++)
                cell_set(&f, frame.ref[1], at,
                         hearth_weak_new(f.mutator,
                                         p == 2 ? fixture_new(f.mutator, f.node, 2) : frame.ref[0],
                                         p == 2 ? HEARTH_WEAK_LONG : 0, NULL, NULL));
            ht_fault_arm(HT_FAULT_ALLOC, 1, true);
            if (p != 1)
                cell_collect(&f, p == 0 ? 1 : i % 2 ? 2 : 0);
            ht_fault_arm(HT_FAULT_ALLOC, 0, false);
        }
        HARNESS_OK(hearth_verify(f.mutator));
        ck_assert_uint_eq(cell_known(&f, HG_CELLS_WEAK), part[0] + part[1]);
        HEARTH_FRAME_END(f.mutator, frame);
        fixture_close(&f);
    }
}
END_TEST

HARNESS_SUITE(cell_many)
{
    Suite *suite = suite_create("cell_many");
    TCase *tests = tcase_create("cell_many");

    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, helpers_judge_as_one_thread_does, 0, 4);
    tcase_add_test(tests, callbacks_keep_their_order);
    tcase_add_loop_test(tests, what_is_brought_back_is_known, 0, 4);
    tcase_add_test(tests, three_parts_at_the_bounds_of_chunks);
    suite_add_tcase(suite, tests);
    return suite;
}
