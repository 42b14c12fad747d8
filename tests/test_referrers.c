/* tests/test_referrers.c - who refers to these objects, against the shadow. */
#include "tests/inspect_fixture.h"
#include "topology/os.h"

static bool is_given(void *const *given, size_t count, const struct oracle_object *object)
{
    for (size_t k = 0; k < count; k++)
        if (given[k] == object->address)
            return true;
    return false;
}

/* By looking into every slot there is. */
static void referrers_of(struct shadow *s, void *const *given, size_t count, struct addresses *out)
{
    out->count = 0;
    for (size_t i = 0; i < s->count; i++)
        for (size_t k = 0; k < s->object[i]->slots; k++) {
            const struct oracle_object *target = oracle_target(s->object[i], k);
            if (target != NULL && is_given(given, count, target)) {
                addresses_add(out, s->object[i]->address);
                break;
            }
        }
}

START_TEST(referrers_are_those_with_a_slot_that_holds_it)
{
    struct shadow s;
    struct addresses is = {0}, should = {0};
    void *given[40];

    shadow_open_mode(&s, _i);
    for (int round = 0; round < 40; round++) {
        for (int k = 0; k < round; k++) /* some of them twice */
            given[k] = s.object[shadow_pick(&s)]->address;
        referrers_of(&s, given, (size_t)round, &should);
        is.count = 0;
        HARNESS_OK(hearth_gc_get_referrers(s.m, given, (size_t)round, addresses_add, &is));
        addresses_expect(&is, &should);
        if (round < 39)
            continue; /* an array of results would be a referrer from then on */
        HEARTH_FRAME(s.m, frame, 1);
        frame.ref[0] = hearth_gc_get_referrers_array(s.m, given, (size_t)round, s.refs);
        ck_assert_ptr_nonnull(frame.ref[0]);
        addresses_of_array(&is, s.heap.heap, frame.ref[0]);
        addresses_expect(&is, &should);
        HEARTH_FRAME_END(s.m, frame);
    }
    free(is.at);
    free(should.at);
    shadow_close(&s);
}
END_TEST

START_TEST(all_objects_at_once)
{
    struct shadow s;
    struct addresses is = {0}, should = {0};

    shadow_open_mode(&s, _i);
    void **given = calloc(s.count + 1, sizeof(*given));
    for (size_t i = 0; i < s.count; i++) {
        given[i] = s.object[i]->address;
        for (size_t k = 0; k < s.object[i]->slots; k++)
            if (oracle_target(s.object[i], k) != NULL) {
                addresses_add(&should, s.object[i]->address);
                break;
            }
    }
    HARNESS_OK(hearth_gc_get_referrers(s.m, given, s.count, addresses_add, &is));
    addresses_expect(&is, &should);
    free(given);
    free(is.at);
    free(should.at);
    shadow_close(&s);
}
END_TEST

/* Garbage that was not collected yet is found too, and the array of results never finds itself. */
START_TEST(the_dead_refer_until_they_are_collected)
{
    struct oracle_heap heap;
    struct oracle o;
    struct addresses is = {0};

    unsetenv("HEARTH_OPTIONS");
    oracle_heap_create(&heap, "");
    oracle_begin(&o, &heap, 1, 0);
    HARNESS_OK(hearth_gc_disable(heap.heap));
    struct oracle_object *target = oracle_new(&o, ORACLE_NODE, 0);
    ck_assert(oracle_hold(&o, target));
    struct oracle_object *dead = oracle_new(&o, ORACLE_PAIR, 0);
    oracle_store(&o, dead, 0, target);
    oracle_store(&o, dead, 1, target);
    HARNESS_OK(hearth_gc_get_referrers(o.mutator, &target->address, 1, addresses_add, &is));
    ck_assert_uint_eq(is.count, 1);
    ck_assert(is.at[0] == (uintptr_t)dead->address);
    HARNESS_OK(hearth_gc_collect(o.mutator, 2));
    is.count = 0;
    HARNESS_OK(hearth_gc_get_referrers(o.mutator, &target->address, 1, addresses_add, &is));
    ck_assert_uint_eq(is.count, 0);
    HEARTH_FRAME(o.mutator, frame, 1);
    frame.ref[0] = hearth_gc_get_objects_array(o.mutator, -1, heap.type[ORACLE_REFS]);
    ck_assert_uint_eq(hearth_length(heap.heap, frame.ref[0]), 1);
    HARNESS_OK(hearth_gc_get_referrers(o.mutator, &target->address, 1, addresses_add, &is));
    ck_assert_uint_eq(is.count, 1);
    ck_assert(is.at[0] == (uintptr_t)frame.ref[0]);
    HEARTH_FRAME_END(o.mutator, frame);
    free(is.at);
    oracle_end(&o, false);
    oracle_heap_destroy(&heap);
}
END_TEST

START_TEST(bad_input_and_no_memory)
{
    struct shadow s;
    int failures = 0;

    shadow_open(&s, "", 1, 500);
    void *given[3] = {s.object[0]->address, s.object[s.count / 2]->address, &s};
    HARNESS_STATUS(hearth_gc_get_referrers(s.m, given, 3, addresses_add, NULL), HEARTH_EOBJECT);
    HARNESS_STATUS_NAMES(hearth_gc_get_referrers(s.m, NULL, 3, addresses_add, NULL), HEARTH_EINVAL,
                         "3");
    HARNESS_STATUS(hearth_gc_get_referrers(s.m, given, 2, NULL, NULL), HEARTH_EINVAL);
    HARNESS_NULL(hearth_gc_get_referrers_array(s.m, given, 3, s.refs), HEARTH_EOBJECT);
    HARNESS_NULL(hearth_gc_get_referrers_array(s.m, given, 2, s.heap.type[ORACLE_PAIR]),
                 HEARTH_ETYPE);
    HARNESS_NULL(hearth_gc_get_referrers_array(s.m, NULL, 2, s.refs), HEARTH_EINVAL);
    for (uint64_t n = 1;; n++) {
        struct addresses is = {0};
        ht_fault_arm(HT_FAULT_ALLOC, n, true);
        hearth_status status = hearth_gc_get_referrers(s.m, given, 2, addresses_add, &is);
        ht_fault_arm(HT_FAULT_ALLOC, 0, false);
        HARNESS_OK(hearth_verify(s.m));
        free(is.at);
        if (status == HEARTH_OK)
            break;
        ck_assert_int_eq(status, HEARTH_ENOMEM);
        failures++;
    }
    ck_assert_int_ge(failures, 3);
    shadow_close(&s);
}
END_TEST

HARNESS_SUITE(referrers)
{
    Suite *suite = suite_create("referrers");
    TCase *tcase = tcase_create("referrers");

    tcase_add_loop_test(tcase, referrers_are_those_with_a_slot_that_holds_it, 0, SHADOW_OPTIONS);
    tcase_add_loop_test(tcase, all_objects_at_once, 0, SHADOW_OPTIONS);
    tcase_add_test(tcase, the_dead_refer_until_they_are_collected);
    tcase_add_test(tcase, bad_input_and_no_memory);
    suite_add_tcase(suite, tcase);
    return suite;
}
