/* tests/test_finalizer_left.c - what finalizers leave open is closed, and reported: native sections, scopes. */
#include "tests/finalize_fixture.h"

static hearth_status stay_native(hearth_mutator *mutator, void *object, void *data)
{
    (void)object;
    (void)data;
    return hearth_native_begin(mutator);
}

START_TEST(native_sections_are_closed)
{
    struct fixture f = fixture_open("verify=on");
    struct reports reports = {0};

    HARNESS_OK(hearth_on_error(f.heap, report, &reports));
    make_due(&f, 1, stay_native, NULL);
    fixture_collect(f.mutator, 2);
    ck_assert_uint_eq(reports.count, 1);
    ck_assert_int_eq(reports.status[0], HEARTH_ESTATE);
    ck_assert_ptr_nonnull(strstr(reports.message[0], "native section"));
    fixture_close(&f);
}
END_TEST

static hearth_scope left_open[3];

/* Opens scopes with a page of handles each, and returns; or closes the one of who collects. */
static hearth_status leave_scopes(hearth_mutator *mutator, void *object, void *data)
{
    if (data != NULL)
        return hearth_scope_close(mutator, data);
    for (int i = 0; i < 3; i++) {
        HARNESS_OK(hearth_scope_open(mutator, &left_open[i]));
        for (int k = 0; k < HG_HANDLES; k++)
            EXPECT(hearth_handle(mutator, object) != NULL);
    }
    return HEARTH_OK;
}

/* What they held is let go of, the caller's scope and its handles stay. */
START_TEST(scopes_are_closed)
{
    fixture_alone();
    struct fixture f = fixture_open("verify=on");
    struct hg_mutator *m = hg_mutator_of(f.mutator);
    struct reports reports = {0};
    hearth_scope own;

    HARNESS_OK(hearth_on_error(f.heap, report, &reports));
    for (int depth = 0; depth < 2; depth++) {
        void **kept = NULL;
        if (depth != 0) {
            HARNESS_OK(hearth_scope_open(f.mutator, &own));
            kept = hearth_handle(f.mutator, fixture_new(f.mutator, f.node, 77));
        }
        make_due(&f, 1, leave_scopes, NULL);
        fixture_collect(f.mutator, 2);
        ck_assert_uint_eq(reports.count, (size_t)depth + 1);
        ck_assert_int_eq(reports.status[depth], HEARTH_ESTATE);
        ck_assert_ptr_nonnull(strstr(reports.message[depth], "scopes open"));
        ck_assert_uint_eq(m->scopes, (size_t)depth);
        ck_assert(hg_handles_check(m));
        HARNESS_STATUS_NAMES(hearth_scope_close(f.mutator, &left_open[0]), HEARTH_ESTATE,
                             "innermost");
        fixture_collect(f.mutator, 2); /* nothing holds the object any more */
        ck_assert_uint_eq(fixture_stats(f.heap).live_objects, (size_t)depth);
        if (depth != 0) {
            ck_assert_uint_eq(((struct fixture_node *)*kept)->value, 77);
            HARNESS_OK(hearth_scope_close(f.mutator, &own));
        }
    }
    HARNESS_OK(hearth_scope_open(f.mutator, &own)); /* one that closes its caller's is reported */
    make_due(&f, 1, leave_scopes, &own);
    fixture_collect(f.mutator, 2);
    ck_assert_uint_eq(reports.count, 3);
    ck_assert_ptr_nonnull(strstr(reports.message[2], "0 scopes open, not 1"));
    fixture_close(&f);
}
END_TEST

HARNESS_SUITE(finalizer_left)
{
    Suite *suite = suite_create("finalizer_left");
    TCase *tests = tcase_create("finalizer_left");

    tcase_add_test(tests, native_sections_are_closed);
    tcase_add_test(tests, scopes_are_closed);
    suite_add_tcase(suite, tests);
    return suite;
}
