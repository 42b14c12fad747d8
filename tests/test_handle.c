/* tests/test_handle.c - handle scopes: they keep what they should, over page boundaries, and misuse is
 * found out without harm. */
#include "tests/mutator_fixture.h"

static bool alive(struct fixture *f, uintptr_t inverted)
{
    return hearth_is_object(f->heap, (void *)~inverted);
}

/* Handles keep their objects until their scope closes; the number goes over many pages. */
START_TEST(scope_keeps)
{
    static const size_t counts[] = {
        0, 1, HG_HANDLES - 2, HG_HANDLES - 1, HG_HANDLES, HG_HANDLES + 1, 10 * HG_HANDLES + 7};
    struct fixture f = fixture_open("verify=on");
    size_t count = counts[_i];
    uintptr_t *objects = calloc(count + 1, sizeof *objects);
    void ***handles = calloc(count + 1, sizeof *handles);
    hearth_scope scope;

    HARNESS_OK(hearth_scope_open(f.mutator, &scope));
    for (size_t i = 0; i < count; i++) {
        handles[i] = hearth_handle(f.mutator, fixture_new(f.mutator, f.node, i));
        ck_assert_ptr_nonnull(handles[i]);
        objects[i] = ~(uintptr_t)*handles[i];
    }
    for (int generation = 0; generation < 3; generation++) {
        fixture_collect(f.mutator, generation);
        for (size_t i = 0; i < count; i++) {
            EXPECT(*handles[i] == (void *)~objects[i] && alive(&f, objects[i]));
            EXPECT(((struct fixture_node *)*handles[i])->value == i);
        }
    }
    for (size_t i = 0; i < count; i += 2) /* a handle is a slot: it can be cleared or changed */
        *handles[i] = NULL;
    fixture_collect(f.mutator, 2);
    for (size_t i = 0; i < count; i++)
        EXPECT(alive(&f, objects[i]) == (i % 2 == 1));
    HARNESS_OK(hearth_scope_close(f.mutator, &scope));
    fixture_collect(f.mutator, 2);
    for (size_t i = 0; i < count; i++)
        EXPECT(!alive(&f, objects[i]));
    free(objects);
    free(handles);
    fixture_close(&f);
}
END_TEST

enum { DEPTH = 60 };

/* Scopes within scopes, with as many handles each as cross pages: closing one ends its own only. */
START_TEST(nested_over_pages)
{
    struct fixture f = fixture_open(NULL);
    uint64_t state = harness_seed();
    hearth_scope scopes[DEPTH];
    uintptr_t objects[DEPTH][200];
    void **slots[DEPTH][200];
    size_t counts[DEPTH];

    for (uint64_t round = 0; round < harness_scaled(20); round++) {
        for (int depth = 0; depth < DEPTH; depth++) {
            HARNESS_OK(hearth_scope_open(f.mutator, &scopes[depth]));
            counts[depth] = harness_random_below(&state, 200);
            for (size_t i = 0; i < counts[depth]; i++) {
                slots[depth][i] = hearth_handle(f.mutator, fixture_new(f.mutator, f.node, i));
                EXPECT(slots[depth][i] != NULL);
                objects[depth][i] = ~(uintptr_t)*slots[depth][i];
            }
        }
        for (int depth = DEPTH - 1; depth >= 0; depth--) {
            if (depth % 20 == 0) {
                fixture_collect(f.mutator, 2);
                for (int d = 0; d < DEPTH; d++)
                    for (size_t i = 0; i < counts[d]; i++)
                        EXPECT(alive(&f, objects[d][i]) == (d <= depth));
            }
            for (size_t i = 0; i < counts[depth]; i++)
                EXPECT(*slots[depth][i] == (void *)~objects[depth][i]);
            HARNESS_OK(hearth_scope_close(f.mutator, &scopes[depth]));
        }
    }
    fixture_close(&f);
}
END_TEST

/* A scope opened and closed around a page's last slot, a million times: no page leaks. */
START_TEST(on_a_page_boundary)
{
    struct fixture f = fixture_open(NULL);
    hearth_scope outer, inner;
    void *object = fixture_new(f.mutator, f.node, 1);
    uint64_t before;

    HARNESS_OK(hearth_scope_open(f.mutator, &outer));
    for (int i = 0; i < HG_HANDLES - 3 + _i; i++)
        ck_assert_ptr_nonnull(hearth_handle(f.mutator, object));
    HARNESS_OK(hearth_scope_open(f.mutator, &inner));
    HARNESS_OK(hearth_scope_close(f.mutator, &inner));
    before = ht_fault_count(HT_FAULT_ALLOC);
    for (uint64_t i = 0; i < harness_scaled(200000); i++) {
        EXPECT(hearth_scope_open(f.mutator, &inner) == HEARTH_OK);
        EXPECT(hearth_handle(f.mutator, object) != NULL);
        EXPECT(hearth_handle(f.mutator, object) != NULL);
        EXPECT(hearth_scope_close(f.mutator, &inner) == HEARTH_OK);
    }
    ck_assert_uint_le(ht_fault_count(HT_FAULT_ALLOC) - before, 1);
    HARNESS_OK(hearth_scope_close(f.mutator, &outer));
    fixture_close(&f);
}
END_TEST

/* --- misuse ---------------------------------------------------------------------------------------- */

/* After misuse: the outer handles hold, the verifier agrees, and scopes can be closed. */
static void check_unharmed(struct fixture *f, hearth_scope *outer, void **handle,
                           const void *object)
{
    hearth_scope scope;

    HARNESS_OK(hearth_verify(f->mutator));
    fixture_collect(f->mutator, 2);
    ck_assert_ptr_eq(*handle, object);
    ck_assert(hearth_is_object(f->heap, object));
    HARNESS_OK(hearth_scope_open(f->mutator, &scope));
    ck_assert_ptr_nonnull(hearth_handle(f->mutator, fixture_new(f->mutator, f->node, 2)));
    HARNESS_OK(hearth_scope_close(f->mutator, &scope));
    HARNESS_OK(hearth_scope_close(f->mutator, outer));
}

START_TEST(closed_out_of_order)
{
    struct fixture f = fixture_open(NULL);
    hearth_scope outer, middle, inner, copy;
    void *object = fixture_new(f.mutator, f.node, 1), **handle;

    HARNESS_OK(hearth_scope_open(f.mutator, &outer));
    handle = hearth_handle(f.mutator, object);
    HARNESS_OK(hearth_scope_open(f.mutator, &middle));
    HARNESS_OK(hearth_scope_open(f.mutator, &inner));
    HARNESS_STATUS_NAMES(hearth_scope_close(f.mutator, &outer), HEARTH_ESTATE, "innermost of 3");
    HARNESS_STATUS(hearth_scope_close(f.mutator, &middle), HEARTH_ESTATE);
    copy = inner; /* a scope is what it holds, not where it lies */
    HARNESS_OK(hearth_scope_close(f.mutator, &copy));
    HARNESS_STATUS(hearth_scope_close(f.mutator, &inner), HEARTH_ESTATE);
    HARNESS_OK(hearth_scope_close(f.mutator, &middle));
    HARNESS_STATUS(hearth_scope_close(f.mutator, &inner), HEARTH_ESTATE);
    check_unharmed(&f, &outer, handle, object);
    HARNESS_STATUS(hearth_scope_close(f.mutator, &outer), HEARTH_ESTATE);
    fixture_close(&f);
}
END_TEST

/* A scope that was closed is not taken for a later one of the same depth, even on other pages. */
START_TEST(closed_twice)
{
    struct fixture f = fixture_open(NULL);
    hearth_scope outer, stale, inner;
    void *object = fixture_new(f.mutator, f.node, 1), **handle;

    HARNESS_OK(hearth_scope_open(f.mutator, &outer));
    handle = hearth_handle(f.mutator, object);
    for (int i = 0; i < _i; i++)
        ck_assert_ptr_nonnull(hearth_handle(f.mutator, object));
    HARNESS_OK(hearth_scope_open(f.mutator, &stale));
    for (int i = 0; i < 2 * HG_HANDLES; i++)
        ck_assert_ptr_nonnull(hearth_handle(f.mutator, object));
    HARNESS_OK(hearth_scope_close(f.mutator, &stale));
    HARNESS_STATUS_NAMES(hearth_scope_close(f.mutator, &stale), HEARTH_ESTATE, "innermost of 1");
    HARNESS_OK(hearth_scope_open(f.mutator, &inner));
    HARNESS_STATUS(hearth_scope_close(f.mutator, &stale), HEARTH_ESTATE);
    ck_assert_ptr_nonnull(hearth_handle(f.mutator, object));
    HARNESS_STATUS(hearth_scope_close(f.mutator, &stale), HEARTH_ESTATE);
    HARNESS_OK(hearth_scope_close(f.mutator, &inner));
    check_unharmed(&f, &outer, handle, object);
    fixture_close(&f);
}
END_TEST

/* Scopes that were never opened, or hold anything. */
START_TEST(garbage_scopes)
{
    struct fixture f = fixture_open(NULL);
    uint64_t state = harness_seed();
    hearth_scope outer, garbage = {{NULL, NULL}};
    void *object = fixture_new(f.mutator, f.node, 1), **handle;

    HARNESS_STATUS_NAMES(hearth_scope_close(f.mutator, &garbage), HEARTH_ESTATE, "of 0");
    HARNESS_NULL(hearth_handle(f.mutator, object), HEARTH_ESTATE);
    HARNESS_OK(hearth_scope_open(f.mutator, &outer));
    handle = hearth_handle(f.mutator, object);
    for (int i = 0; i < 1000; i++) {
        garbage.mark[0] = (char *)outer.mark[0] + harness_random_below(&state, 64) - 32;
        if (i % 2 == 0)
            garbage.mark[0] = (void *)(uintptr_t)harness_random(&state);
        garbage.mark[1] = i % 3 == 0 ? outer.mark[1] : (void *)(uintptr_t)harness_random(&state);
        if (garbage.mark[0] == outer.mark[0] && garbage.mark[1] == outer.mark[1])
            continue;
        if (hearth_scope_close(f.mutator, &garbage) != HEARTH_ESTATE)
            ck_abort_msg("closed %p %p", garbage.mark[0], garbage.mark[1]);
    }
    garbage.mark[0] = handle; /* a handle is no marker */
    garbage.mark[1] = object;
    HARNESS_STATUS(hearth_scope_close(f.mutator, &garbage), HEARTH_ESTATE);
    check_unharmed(&f, &outer, handle, object);
    fixture_close(&f);
}
END_TEST

START_TEST(not_in_a_native_section)
{
    struct fixture f = fixture_open(NULL);
    hearth_scope outer, inner;
    void *object = fixture_new(f.mutator, f.node, 1), **handle;

    HARNESS_OK(hearth_scope_open(f.mutator, &outer));
    handle = hearth_handle(f.mutator, object);
    HARNESS_OK(hearth_native_begin(f.mutator));
    HARNESS_STATUS(hearth_scope_open(f.mutator, &inner), HEARTH_ESTATE);
    HARNESS_STATUS(hearth_scope_close(f.mutator, &outer), HEARTH_ESTATE);
    HARNESS_NULL(hearth_handle(f.mutator, object), HEARTH_ESTATE);
    HARNESS_OK(hearth_native_end(f.mutator));
    check_unharmed(&f, &outer, handle, object);
    fixture_close(&f);
}
END_TEST

/* Handles and frames of one thread, of several heaps, are kept apart. */
START_TEST(two_heaps)
{
    struct fixture f = fixture_open(NULL), g = fixture_open(NULL);
    hearth_scope a, b;
    void **in_f, **in_g;

    HARNESS_OK(hearth_scope_open(f.mutator, &a));
    HARNESS_OK(hearth_scope_open(g.mutator, &b));
    in_f = hearth_handle(f.mutator, fixture_new(f.mutator, f.node, 1));
    in_g = hearth_handle(g.mutator, fixture_new(g.mutator, g.node, 2));
    HARNESS_STATUS(hearth_scope_close(f.mutator, &b), HEARTH_ESTATE);
    HARNESS_STATUS(hearth_scope_close(g.mutator, &a), HEARTH_ESTATE);
    fixture_collect(f.mutator, 2);
    fixture_collect(g.mutator, 2);
    ck_assert_uint_eq(((struct fixture_node *)*in_f)->value, 1);
    ck_assert_uint_eq(((struct fixture_node *)*in_g)->value, 2);
    HARNESS_OK(hearth_scope_close(f.mutator, &a));
    fixture_collect(f.mutator, 2);
    fixture_collect(g.mutator, 2);
    ck_assert_uint_eq(fixture_stats(f.heap).live_objects, 0);
    ck_assert_uint_eq(fixture_stats(g.heap).live_objects, 1);
    HARNESS_OK(hearth_scope_close(g.mutator, &b));
    fixture_close(&f);
    fixture_close(&g);
}
END_TEST

/* --- frames ------------------------------------------------------------------------------------------ */

static void nest_frames(struct fixture *f, int depth)
{
    HEARTH_FRAME(f->mutator, frame, 3);
    for (int i = 0; i < 3; i++)
        EXPECT(frame.ref[i] == NULL);
    frame.ref[depth % 3] = fixture_new(f->mutator, f->node, (uint64_t)depth);
    if (depth > 0)
        nest_frames(f, depth - 1);
    else
        fixture_collect(f->mutator, 2);
    EXPECT(((struct fixture_node *)frame.ref[depth % 3])->value == (uint64_t)depth);
    EXPECT(hearth_is_object(f->heap, frame.ref[depth % 3]));
    HEARTH_FRAME_END(f->mutator, frame);
}

START_TEST(deep_frames)
{
    struct fixture f = fixture_open(NULL);

    nest_frames(&f, 2000);
    ck_assert_uint_eq(fixture_stats(f.heap).live_objects, 2001);
    fixture_collect(f.mutator, 2);
    ck_assert_uint_eq(fixture_stats(f.heap).live_objects, 0);
    fixture_close(&f);
}
END_TEST

HARNESS_SUITE(handle)
{
    Suite *suite = suite_create("handle");
    TCase *use = tcase_create("use"), *misuse = tcase_create("misuse");

    tcase_add_loop_test(use, scope_keeps, 0, 7);
    tcase_add_test(use, nested_over_pages);
    tcase_add_loop_test(use, on_a_page_boundary, 0, 5);
    tcase_add_test(use, two_heaps);
    tcase_add_test(use, deep_frames);
    suite_add_tcase(suite, use);
    tcase_add_test(misuse, closed_out_of_order);
    tcase_add_loop_test(misuse, closed_twice, HG_HANDLES - 4, HG_HANDLES + 2);
    tcase_add_test(misuse, garbage_scopes);
    tcase_add_test(misuse, not_in_a_native_section);
    suite_add_tcase(suite, misuse);
    return suite;
}
