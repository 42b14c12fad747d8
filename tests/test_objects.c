/* tests/test_objects.c - the heap walk, objects of a generation, referents, is_tracked, against the
 * shadow; arrays of results; bad input and want of memory. */
#include "tests/inspect_fixture.h"
#include "topology/os.h"

/* --- the walk ---------------------------------------------------------------------------------------- */

struct walked {
    struct shadow *s;
    bool *seen;
    size_t count, most;
};

static bool walk_object(void *data, const hearth_object_info *info)
{
    struct walked *w = data;
    size_t i = shadow_at(w->s, info->object);
    const struct oracle_object *o = w->s->object[i];
    hearth_heap *heap = w->s->heap.heap;

    EXPECT(!w->seen[i]);
    w->seen[i] = true;
    EXPECT(info->struct_size == sizeof(*info));
    EXPECT(info->type == w->s->heap.type[o->kind] &&
           info->type == hearth_type_of(heap, o->address));
    hearth_type_info type = {.struct_size = sizeof(type)};
    EXPECT(hearth_type_get(heap, info->type, &type) == HEARTH_OK && type.name == info->name);
    EXPECT(info->size == o->size || (info->size == 0 && o->count == 0)); /* the oracle says 1 */
    EXPECT(info->footprint >= o->size + HEARTH_HEADER);
    EXPECT(info->footprint - o->size <= o->size / 2 + 65536);
    EXPECT(info->count == o->count);
    EXPECT(info->generation == 2 || info->generation == 1);
    EXPECT(info->node == hearth_node_of(heap, o->address));
    EXPECT(!(info->flags & HEARTH_OBJECT_LARGE) == (info->footprint < 65536));
    EXPECT(info->tracked == (o->kind != ORACLE_LEAF && o->kind != ORACLE_BYTES));
    EXPECT(hearth_gc_is_tracked(heap, o->address) == info->tracked);
    return ++w->count != w->most;
}

START_TEST(the_walk_meets_every_object_once)
{
    struct shadow s;

    shadow_open_mode(&s, _i);
    struct walked w = {.s = &s, .seen = calloc(s.count + 1, sizeof(bool))};
    HARNESS_OK(hearth_walk(s.m, walk_object, &w));
    ck_assert_uint_eq(w.count, s.count);
    memset(w.seen, 0, s.count);
    w.count = 0;
    w.most = 3;
    HARNESS_OK(hearth_walk(s.m, walk_object, &w));
    ck_assert_uint_eq(w.count, 3);
    free(w.seen);
    shadow_close(&s);
}
END_TEST

/* --- generations ---------------------------------------------------------------------------------------- */

START_TEST(get_objects_gives_the_tracked_ones_of_a_generation)
{
    struct shadow s;
    struct addresses is = {0}, should = {0};

    shadow_open_mode(&s, _i);
    for (size_t i = 0; i < s.count; i++)
        if (s.object[i]->kind != ORACLE_LEAF && s.object[i]->kind != ORACLE_BYTES)
            addresses_add(&should, s.object[i]->address);
    HARNESS_OK(hearth_gc_get_objects(s.m, -1, addresses_add, &is));
    addresses_expect(&is, &should);
    is.count = 0;
    for (int generation = 0; generation < 3; generation++)
        HARNESS_OK(hearth_gc_get_objects(s.m, generation, addresses_add, &is));
    addresses_expect(&is, &should);
    HEARTH_FRAME(s.m, frame, 1);
    frame.ref[0] = hearth_gc_get_objects_array(s.m, -1, s.refs);
    ck_assert_ptr_nonnull(frame.ref[0]);
    addresses_of_array(&is, s.heap.heap, frame.ref[0]);
    addresses_expect(&is, &should);
    HARNESS_OK(hearth_gc_collect(s.m, 2)); /* the shorter array is sound */
    HARNESS_OK(hearth_verify(s.m));
    is.count = 0;
    is.most = 2;
    HARNESS_OK(hearth_gc_get_objects(s.m, -1, addresses_add, &is));
    ck_assert_uint_eq(is.count, 2);
    frame.ref[0] = NULL;
    HEARTH_FRAME_END(s.m, frame);
    free(is.at);
    free(should.at);
    shadow_close(&s);
}
END_TEST

/* What is in generation 0 is what was allocated since; a collection moves it on. */
START_TEST(generations_are_told_apart)
{
    struct oracle_heap heap;
    struct oracle o;

    unsetenv("HEARTH_OPTIONS");
    oracle_heap_create(&heap, "");
    oracle_begin(&o, &heap, 1, 0);
    HARNESS_OK(hearth_gc_disable(heap.heap));
    struct oracle_object *object = oracle_new(&o, ORACLE_NODE, 0);
    ck_assert(oracle_hold(&o, object));
    for (int generation = 0; generation < 3; generation++) {
        for (int asked = 0; asked < 3; asked++) {
            struct addresses is = {0};
            HARNESS_OK(hearth_gc_get_objects(o.mutator, asked, addresses_add, &is));
            ck_assert_uint_eq(is.count, asked == generation);
            ck_assert(asked != generation || is.at[0] == (uintptr_t)object->address);
            free(is.at);
        }
        HARNESS_OK(hearth_gc_collect(o.mutator, 0));
    }
    oracle_end(&o, false);
    oracle_heap_destroy(&heap);
}
END_TEST

/* --- referents -------------------------------------------------------------------------------------------- */

START_TEST(get_referents_gives_what_the_slots_hold)
{
    struct shadow s;
    struct addresses is = {0}, should = {0};
    void *given[16];

    shadow_open_mode(&s, _i);
    for (int round = 0; round < 40; round++) {
        size_t count = (size_t)round % 17;
        is.count = should.count = 0;
        for (size_t k = 0; k < count; k++) {
            const struct oracle_object *object = s.object[shadow_pick(&s)];
            given[k] = object->address;
            for (size_t i = 0; i < object->slots; i++)
                if (oracle_target(object, i) != NULL)
                    addresses_add(&should, oracle_target(object, i)->address);
        }
        HARNESS_OK(hearth_gc_get_referents(s.m, given, count, addresses_add, &is));
        addresses_expect(&is, &should);
        HEARTH_FRAME(s.m, frame, 1);
        frame.ref[0] = hearth_gc_get_referents_array(s.m, given, count, s.refs);
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

/* --- what goes wrong --------------------------------------------------------------------------------------- */

static hearth_status in_callback[4];

static bool calls_from_within(void *data, void *object)
{
    hearth_mutator *m = data;

    in_callback[0] = hearth_gc_get_objects(m, -1, calls_from_within, m);
    in_callback[1] = hearth_gc_collect(m, 0);
    in_callback[2] =
        hearth_new(m, hearth_type_of(m->heap, object)) == NULL ? hearth_last_status() : HEARTH_OK;
    in_callback[3] = hearth_walk(m, walk_object, NULL);
    return false;
}

START_TEST(bad_input_is_named)
{
    struct shadow s;
    void *junk = &s, *null = NULL;

    shadow_open(&s, "", 1, 300);
    HARNESS_STATUS(hearth_walk(s.m, NULL, NULL), HEARTH_EINVAL);
    HARNESS_STATUS(hearth_walk(NULL, walk_object, NULL), HEARTH_EINVAL);
    HARNESS_STATUS_NAMES(hearth_gc_get_objects(s.m, 3, addresses_add, NULL), HEARTH_EINVAL, "3");
    HARNESS_STATUS_NAMES(hearth_gc_get_objects(s.m, -2, addresses_add, NULL), HEARTH_EINVAL, "-2");
    HARNESS_STATUS(hearth_gc_get_objects(s.m, 0, NULL, NULL), HEARTH_EINVAL);
    HARNESS_NULL(hearth_gc_get_objects_array(s.m, 7, s.refs), HEARTH_EINVAL);
    HARNESS_NULL(hearth_gc_get_objects_array(s.m, 0, 0), HEARTH_ETYPE);
    HARNESS_NULL(hearth_gc_get_objects_array(s.m, 0, s.heap.type[ORACLE_NODE]), HEARTH_ETYPE);
    HARNESS_NULL(hearth_gc_get_objects_array(s.m, 0, s.heap.type[ORACLE_BYTES]), HEARTH_ETYPE);
    HARNESS_NULL(hearth_gc_get_objects_array(s.m, 0, s.heap.type[ORACLE_CARDS_REFS]), HEARTH_ETYPE);
    HARNESS_STATUS_NAMES(hearth_gc_get_referents(s.m, NULL, 4, addresses_add, NULL), HEARTH_EINVAL,
                         "4");
    HARNESS_STATUS(hearth_gc_get_referents(s.m, &junk, 1, addresses_add, NULL), HEARTH_EOBJECT);
    HARNESS_STATUS(hearth_gc_get_referents(s.m, &null, 1, addresses_add, NULL), HEARTH_EOBJECT);
    HARNESS_NULL(hearth_gc_get_referents_array(s.m, &junk, 1, s.refs), HEARTH_EOBJECT);
    HARNESS_NULL(hearth_gc_get_referents_array(s.m, NULL, 1, s.refs), HEARTH_EINVAL);
    ck_assert(!hearth_gc_is_tracked(NULL, junk));
    harness_expect_error("is_tracked", HEARTH_EINVAL, "heap");
    ck_assert(!hearth_gc_is_tracked(s.heap.heap, junk));
    harness_expect_error("is_tracked", HEARTH_EOBJECT, NULL);
    HARNESS_OK(hearth_gc_get_objects(s.m, -1, calls_from_within, s.m));
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(in_callback[i], HEARTH_ESTATE);
    HARNESS_OK(hearth_native_begin(s.m));
    HARNESS_STATUS(hearth_walk(s.m, walk_object, NULL), HEARTH_ESTATE);
    HARNESS_STATUS(hearth_gc_get_objects(s.m, 0, addresses_add, NULL), HEARTH_ESTATE);
    HARNESS_OK(hearth_native_end(s.m));
    shadow_close(&s);
}
END_TEST

/* Every allocation of the call's own fails in turn; the heap goes on, and then it works. */
START_TEST(without_memory_nothing_changes)
{
    struct shadow s;
    int failures = 0;

    shadow_open(&s, "", 1, 500);
    for (uint64_t n = 1;; n++) {
        struct addresses is = {0};
        ht_fault_arm(HT_FAULT_ALLOC, n, true);
        hearth_status status = hearth_gc_get_objects(s.m, -1, addresses_add, &is);
        void *array = status == HEARTH_OK ? hearth_gc_get_objects_array(s.m, -1, s.refs) : NULL;
        ht_fault_arm(HT_FAULT_ALLOC, 0, false);
        HARNESS_OK(hearth_verify(s.m));
        free(is.at);
        if (array != NULL)
            break;
        ck_assert_int_eq(hearth_last_status(), HEARTH_ENOMEM);
        failures++;
    }
    ck_assert_int_ge(failures, 2);
    shadow_close(&s);
}
END_TEST

HARNESS_SUITE(objects)
{
    Suite *suite = suite_create("objects");
    TCase *tcase = tcase_create("objects");

    tcase_add_loop_test(tcase, the_walk_meets_every_object_once, 0, SHADOW_OPTIONS);
    tcase_add_loop_test(tcase, get_objects_gives_the_tracked_ones_of_a_generation, 0,
                        SHADOW_OPTIONS);
    tcase_add_test(tcase, generations_are_told_apart);
    tcase_add_loop_test(tcase, get_referents_gives_what_the_slots_hold, 0, SHADOW_OPTIONS);
    tcase_add_test(tcase, bad_input_is_named);
    tcase_add_test(tcase, without_memory_nothing_changes);
    suite_add_tcase(suite, tcase);
    return suite;
}
