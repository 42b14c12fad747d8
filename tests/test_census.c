/* tests/test_census.c - counts by type and node against the shadow; differences. */
#include "gc/census.h"

#include "tests/inspect_fixture.h"
#include "topology/os.h"

START_TEST(every_object_is_counted_once)
{
    struct shadow s;
    hearth_census *census = NULL;
    struct {
        hearth_count all, node[HT_MAX_NODES];
    } should[ORACLE_KINDS];
    size_t kinds = 0;

    shadow_open_mode(&s, _i);
    memset(should, 0, sizeof(should));
    for (size_t i = 0; i < s.count; i++) {
        const struct oracle_object *o = s.object[i];
        int node = hearth_node_of(s.heap.heap, o->address);
        int64_t bytes = (int64_t)hg_footprint((uintptr_t)o->address);
        kinds += should[o->kind].all.objects == 0;
        should[o->kind].all.objects++;
        should[o->kind].all.bytes += bytes;
        should[o->kind].node[node].objects++;
        should[o->kind].node[node].bytes += bytes;
    }
    HARNESS_OK(hearth_census_take(s.m, &census));
    HARNESS_OK(hg_census_check(census));
    ck_assert_uint_eq(hearth_census_rows(census), kinds);
    ck_assert_int_eq(hearth_census_nodes(census), s.heap.nodes);
    ck_assert_int_eq(hearth_census_total(census).objects, (int64_t)s.count);
    for (size_t r = 0; r < kinds; r++) {
        const hearth_census_row *row = hearth_census_row_at(census, r);
        int kind = 0;
        while (kind < ORACLE_KINDS - 1 && s.heap.type[kind] != row->type)
            kind++;
        hearth_type_info type = {.struct_size = sizeof(type)};
        HARNESS_OK(hearth_type_get(s.heap.heap, row->type, &type));
        ck_assert_str_eq(row->name, type.name);
        EXPECT(memcmp(&row->all, &should[kind].all, sizeof(row->all)) == 0);
        EXPECT(memcmp(row->node, should[kind].node, (size_t)s.heap.nodes * sizeof(*row->node)) ==
               0);
    }
    ck_assert_ptr_null(hearth_census_row_at(census, kinds));
    shadow_close(&s);
    HARNESS_OK(hg_census_check(census)); /* it outlives its heap */
    hearth_census_destroy(census);
}
END_TEST

/* The row of a type, NULL if there is none. */
static const hearth_census_row *row_of(const hearth_census *census, hearth_type type)
{
    for (size_t r = 0; r < hearth_census_rows(census); r++)
        if (hearth_census_row_at(census, r)->type == type)
            return hearth_census_row_at(census, r);
    return NULL;
}

START_TEST(a_difference_shows_what_grew)
{
    struct oracle_heap heap;
    struct oracle o;
    hearth_census *before, *after, *grown, *shrunk, *same;

    unsetenv("HEARTH_OPTIONS");
    oracle_heap_create(&heap, "fake-nodes=2");
    oracle_begin(&o, &heap, 1, 0);
    HARNESS_OK(hearth_gc_disable(heap.heap));
    for (int i = 0; i < 10; i++)
        ck_assert_ptr_nonnull(oracle_new(&o, ORACLE_PAIR, 0));
    HARNESS_OK(hearth_census_take(o.mutator, &before));
    for (int i = 0; i < 7; i++)
        ck_assert_ptr_nonnull(oracle_new(&o, ORACLE_LEAF, 0));
    ck_assert_ptr_nonnull(hearth_new_on(o.mutator, heap.type[ORACLE_PAIR], 0, 1));
    HARNESS_OK(hearth_census_take(o.mutator, &after));
    HARNESS_OK(hearth_census_diff(before, after, &grown));
    HARNESS_OK(hearth_census_diff(after, before, &shrunk));
    HARNESS_OK(hearth_census_diff(after, after, &same));
    HARNESS_OK(hg_census_check(grown));
    HARNESS_OK(hg_census_check(shrunk));
    ck_assert_uint_eq(hearth_census_rows(same), 0);
    ck_assert_uint_eq(hearth_census_rows(grown), 2);
    ck_assert_int_eq(row_of(grown, heap.type[ORACLE_LEAF])->all.objects, 7);
    ck_assert_int_eq(row_of(grown, heap.type[ORACLE_LEAF])->all.bytes, 7 * 32);
    ck_assert_int_eq(row_of(grown, heap.type[ORACLE_PAIR])->all.objects, 1);
    ck_assert_int_eq(row_of(grown, heap.type[ORACLE_PAIR])->node[1].objects, 1);
    ck_assert_int_eq(row_of(grown, heap.type[ORACLE_PAIR])->node[0].objects, 0);
    ck_assert_int_eq(row_of(shrunk, heap.type[ORACLE_LEAF])->all.objects, -7);
    ck_assert_int_eq(hearth_census_total(shrunk).objects, -8);
    ck_assert_str_eq(hearth_census_row_at(grown, 0)->name, "leaf");
    hearth_census_destroy(before);
    hearth_census_destroy(after);
    hearth_census_destroy(grown);
    hearth_census_destroy(shrunk);
    hearth_census_destroy(same);
    oracle_end(&o, false);
    oracle_heap_destroy(&heap);
}
END_TEST

START_TEST(bad_input_and_no_memory)
{
    struct oracle_heap heap, other;
    struct oracle o, p;
    hearth_census *census = NULL, *foreign = NULL, *out = NULL;

    unsetenv("HEARTH_OPTIONS");
    oracle_heap_create(&heap, "");
    oracle_begin(&o, &heap, 1, 0);
    oracle_heap_create(&other, "");
    oracle_begin(&p, &other, 1, 0);
    ck_assert_ptr_nonnull(oracle_new(&o, ORACLE_PAIR, 0));
    for (uint64_t n = 1; n <= 5; n++) {
        ht_fault_arm(HT_FAULT_ALLOC, n, false);
        HARNESS_STATUS(hearth_census_take(o.mutator, &census), HEARTH_ENOMEM);
        ht_fault_arm(HT_FAULT_ALLOC, 0, false);
        ck_assert_ptr_null(census);
    }
    HARNESS_OK(hearth_census_take(o.mutator, &census));
    HARNESS_OK(hearth_census_take(p.mutator, &foreign));
    for (uint64_t n = 1; n <= 4; n++) {
        ht_fault_arm(HT_FAULT_ALLOC, n, false);
        HARNESS_STATUS(hearth_census_diff(census, census, &out), HEARTH_ENOMEM);
        ht_fault_arm(HT_FAULT_ALLOC, 0, false);
    }
    HARNESS_STATUS(hearth_census_diff(census, foreign, &out), HEARTH_EINVAL);
    HARNESS_STATUS_NAMES(hearth_census_diff(NULL, census, &out), HEARTH_EINVAL, "before");
    HARNESS_STATUS_NAMES(hearth_census_diff(census, NULL, &out), HEARTH_EINVAL, "after");
    HARNESS_STATUS_NAMES(hearth_census_diff(census, census, NULL), HEARTH_EINVAL, "out");
    HARNESS_STATUS(hearth_census_take(o.mutator, NULL), HEARTH_EINVAL);
    HARNESS_STATUS(hearth_census_take(NULL, &out), HEARTH_EINVAL);
    ck_assert_ptr_null(out);
    ck_assert_uint_eq(hearth_census_rows(NULL), 0);
    ck_assert_int_eq(hearth_census_nodes(NULL), 0);
    ck_assert_int_eq(hearth_census_total(NULL).objects, 0);
    ck_assert_ptr_null(hearth_census_row_at(NULL, 0));
    hearth_census_destroy(NULL);
    hearth_census_destroy(census);
    hearth_census_destroy(foreign);
    oracle_end(&p, false);
    oracle_heap_destroy(&other);
    oracle_end(&o, false);
    oracle_heap_destroy(&heap);
}
END_TEST

HARNESS_SUITE(census)
{
    Suite *suite = suite_create("census");
    TCase *tcase = tcase_create("census");

    tcase_add_loop_test(tcase, every_object_is_counted_once, 0, SHADOW_OPTIONS);
    tcase_add_test(tcase, a_difference_shows_what_grew);
    tcase_add_test(tcase, bad_input_and_no_memory);
    suite_add_tcase(suite, tcase);
    return suite;
}
