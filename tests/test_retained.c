/* tests/test_retained.c - retained sizes by definition: what can not be reached without the object, and by
 * it; the largest of all. */
#include "tests/inspect_fixture.h"
#include "topology/os.h"

/* By definition, on the shadow. */
static void retained_by(struct shadow *s, size_t number, const size_t *all, size_t *without,
                        uint64_t *bytes, uint64_t *objects)
{
    *bytes = *objects = 0;
    shadow_distances(s, number, without);
    for (size_t i = 0; i < s->count; i++)
        if (all[i] != SIZE_MAX && without[i] == SIZE_MAX) {
            *bytes += hg_footprint((uintptr_t)s->object[i]->address);
            (*objects)++;
        }
}

START_TEST(an_object_retains_what_dies_with_it)
{
    struct shadow s;
    uint64_t bytes, objects;

    shadow_open_mode(&s, _i);
    size_t *all = calloc(s.count + 1, sizeof(*all)), *without = calloc(s.count + 1, sizeof(*all));
    shadow_distances(&s, SIZE_MAX, all);
    for (uint64_t round = 0; round < harness_scaled(60); round++) {
        hearth_retained is = {.struct_size = sizeof(is)};
        size_t i = shadow_pick(&s);
        HARNESS_OK(hearth_retained_size(s.m, s.object[i]->address, &is));
        retained_by(&s, i, all, without, &bytes, &objects);
        ck_assert_ptr_eq(is.object, s.object[i]->address);
        ck_assert_uint_eq(is.type, s.heap.type[s.object[i]->kind]);
        ck_assert_uint_eq(is.bytes, bytes);
        ck_assert_uint_eq(is.objects, objects);
    }
    free(all);
    free(without);
    shadow_close(&s);
}
END_TEST

struct top {
    hearth_retained *entry;
    size_t count, most;
};

static bool top_add(void *data, const hearth_retained *retained)
{
    struct top *top = data;

    EXPECT(retained->struct_size == sizeof(*retained));
    top->entry[top->count++] = *retained;
    return top->count != top->most;
}

START_TEST(the_largest_come_first)
{
    struct shadow s;
    uint64_t bytes, objects;

    shadow_open_mode(&s, _i);
    size_t *all = calloc(s.count + 1, sizeof(*all)), *without = calloc(s.count + 1, sizeof(*all));
    bool *seen = calloc(s.count + 1, sizeof(*seen));
    struct top whole = {.entry = calloc(s.count + 1, sizeof(*whole.entry))};
    struct top some = {.entry = calloc(s.count + 1, sizeof(*some.entry))};
    shadow_distances(&s, SIZE_MAX, all);
    HARNESS_OK(hearth_retained_top(s.m, SIZE_MAX, top_add, &whole));
    ck_assert_uint_eq(whole.count, s.count);
    for (size_t k = 0; k < whole.count; k++) {
        size_t i = shadow_at(&s, whole.entry[k].object);
        EXPECT(!seen[i]);
        seen[i] = true;
        EXPECT(k == 0 || whole.entry[k].bytes <= whole.entry[k - 1].bytes);
        if (k % 64 != 0 && k > 8)
            continue;
        retained_by(&s, i, all, without, &bytes, &objects);
        ck_assert_uint_eq(whole.entry[k].bytes, bytes);
        ck_assert_uint_eq(whole.entry[k].objects, objects);
    }
    for (size_t most = 0; most < 40; most += 13) {
        some.count = 0;
        HARNESS_OK(hearth_retained_top(s.m, most, top_add, &some));
        ck_assert_uint_eq(some.count, most < s.count ? most : s.count);
        for (size_t k = 0; k < some.count; k++)
            EXPECT(some.entry[k].object == whole.entry[k].object);
    }
    some.count = 0;
    some.most = 2;
    HARNESS_OK(hearth_retained_top(s.m, 10, top_add, &some));
    ck_assert_uint_eq(some.count, 2);
    free(all);
    free(without);
    free(seen);
    free(whole.entry);
    free(some.entry);
    shadow_close(&s);
}
END_TEST

/* An object that nothing reaches retains what it reaches and nothing else does. */
START_TEST(the_unreachable_retain_what_only_they_reach)
{
    struct oracle_heap heap;
    struct oracle o;
    hearth_retained is = {.struct_size = sizeof(is)};

    unsetenv("HEARTH_OPTIONS");
    oracle_heap_create(&heap, "");
    oracle_begin(&o, &heap, 1, 0);
    HARNESS_OK(hearth_gc_disable(heap.heap));
    struct oracle_object *held = oracle_new(&o, ORACLE_PAIR, 0);
    ck_assert(oracle_hold(&o, held));
    struct oracle_object *dead = oracle_new(&o, ORACLE_PAIR, 0);
    struct oracle_object *child = oracle_new(&o, ORACLE_LEAF, 0);
    oracle_store(&o, dead, 0, held);
    oracle_store(&o, dead, 1, child);
    HARNESS_OK(hearth_retained_size(o.mutator, dead->address, &is));
    ck_assert_uint_eq(is.objects, 2);
    ck_assert_uint_eq(is.bytes, hg_footprint((uintptr_t)dead->address) +
                                    hg_footprint((uintptr_t)child->address));
    oracle_store(&o, held, 0, dead);
    HARNESS_OK(hearth_retained_size(o.mutator, held->address, &is));
    ck_assert_uint_eq(is.objects, 3);
    oracle_end(&o, false);
    oracle_heap_destroy(&heap);
}
END_TEST

START_TEST(bad_input_and_no_memory)
{
    static const enum ht_fault kinds[] = {HT_FAULT_ALLOC, HT_FAULT_MAP};
    struct shadow s;
    hearth_retained is = {.struct_size = sizeof(is)};

    shadow_open(&s, "", 1, 500);
    void *object = s.object[0]->address;
    struct top top = {.entry = calloc(s.count + 1, sizeof(*top.entry))};
    HARNESS_STATUS(hearth_retained_size(s.m, object, NULL), HEARTH_EINVAL);
    HARNESS_STATUS(hearth_retained_size(s.m, NULL, &is), HEARTH_EOBJECT);
    HARNESS_STATUS(hearth_retained_size(s.m, (char *)object + 16, &is), HEARTH_EOBJECT);
    HARNESS_STATUS(hearth_retained_size(NULL, object, &is), HEARTH_EINVAL);
    HARNESS_STATUS(hearth_retained_top(s.m, 3, NULL, NULL), HEARTH_EINVAL);
    is.struct_size = 3;
    HARNESS_STATUS_NAMES(hearth_retained_size(s.m, object, &is), HEARTH_EINVAL, "3");
    is.struct_size = sizeof(is);
    for (int k = 0; k < 2; k++)
        for (uint64_t n = 1;; n++) {
            top.count = 0;
            ht_fault_arm(kinds[k], n, true);
            hearth_status one = hearth_retained_size(s.m, object, &is);
            ht_fault_arm(kinds[k], n, true);
            hearth_status most = hearth_retained_top(s.m, 5, top_add, &top);
            ht_fault_arm(kinds[k], 0, false);
            HARNESS_OK(hearth_verify(s.m));
            EXPECT(one == HEARTH_OK || one == HEARTH_ENOMEM);
            EXPECT(most == HEARTH_OK || (most == HEARTH_ENOMEM && top.count == 0));
            if (one == HEARTH_OK && most == HEARTH_OK)
                break;
            EXPECT(n < 100);
        }
    free(top.entry);
    shadow_close(&s);
}
END_TEST

HARNESS_SUITE(retained)
{
    Suite *suite = suite_create("retained");
    TCase *tcase = tcase_create("retained");

    tcase_add_loop_test(tcase, an_object_retains_what_dies_with_it, 0, SHADOW_OPTIONS);
    tcase_add_loop_test(tcase, the_largest_come_first, 0, SHADOW_OPTIONS);
    tcase_add_test(tcase, the_unreachable_retain_what_only_they_reach);
    tcase_add_test(tcase, bad_input_and_no_memory);
    suite_add_tcase(suite, tcase);
    return suite;
}
