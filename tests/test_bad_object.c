/* tests/test_bad_object.c - wrong types, sizes, objects and slots; what must hold is said in
 * test_bad_input.c. The inline functions are the checked ones here too. */
#define HEARTH_CHECKED

#include "tests/victim_fixture.h"

/* --- types and allocation --------------------------------------------------------------------------------- */

static void trace_nothing(void *object, size_t size, hearth_visitor *visitor)
{
    (void)object, (void)size, (void)visitor;
}

START_TEST(type_calls)
{
    struct victim v;
    hearth_type_info info = {.struct_size = sizeof info, .name = "t", .size = 16};
    hearth_object_model model = {.struct_size = sizeof model, .trace = trace_nothing};
    hearth_type type = 99;

    victim_open(&v, NULL);
    HARNESS_STATUS_NAMES(hearth_type_register(NULL, &info, &type), HEARTH_EINVAL, "heap");
    HARNESS_STATUS_NAMES(hearth_type_register(v.f.heap, NULL, &type), HEARTH_EINVAL, "info");
    HARNESS_STATUS_NAMES(hearth_type_register(v.f.heap, &info, NULL), HEARTH_EINVAL, "out");
    HARNESS_STATUS(hearth_type_leaf(NULL, "t", 8, &type), HEARTH_EINVAL);
    HARNESS_STATUS(hearth_type_leaf(v.f.heap, "t", 8, NULL), HEARTH_EINVAL);
    HARNESS_STATUS_NAMES(hearth_type_leaf(v.f.heap, "nil", 0, &type), HEARTH_ESIZE, "nil");
    HARNESS_STATUS(hearth_type_fixed(NULL, "t", 8, 1, &type), HEARTH_EINVAL);
    HARNESS_STATUS(hearth_type_fixed(v.f.heap, "t", 8, 1, NULL), HEARTH_EINVAL);
    HARNESS_STATUS_NAMES(hearth_type_fixed(v.f.heap, "t", 8, 2, &type), HEARTH_EINVAL, "0x2");
    HARNESS_STATUS_NAMES(hearth_type_fixed(v.f.heap, "t", SIZE_MAX, 2, &type), HEARTH_ESIZE,
                         "18446744073709551615");
    HARNESS_STATUS(hearth_type_bytes(NULL, "t", &type), HEARTH_EINVAL);
    HARNESS_STATUS(hearth_type_bytes(v.f.heap, "t", NULL), HEARTH_EINVAL);
    HARNESS_STATUS(hearth_type_refs(NULL, "t", &type), HEARTH_EINVAL);
    HARNESS_STATUS(hearth_type_refs(v.f.heap, "t", NULL), HEARTH_EINVAL);
    HARNESS_STATUS(hearth_type_get(NULL, v.f.node, &info), HEARTH_EINVAL);
    HARNESS_STATUS(hearth_type_get(v.f.heap, v.f.node, NULL), HEARTH_EINVAL);
    HARNESS_STATUS_NAMES(hearth_type_get(v.f.heap, 0x7ffe, &info), HEARTH_ETYPE, "0x7ffe");
    HARNESS_STATUS(hearth_set_object_model(NULL, &model, &type), HEARTH_EINVAL);
    HARNESS_STATUS_NAMES(hearth_set_object_model(v.f.heap, NULL, &type), HEARTH_EINVAL, "model");
    HARNESS_STATUS_NAMES(hearth_set_object_model(v.f.heap, &model, NULL), HEARTH_EINVAL, "out");
    model.trace = NULL;
    HARNESS_STATUS_NAMES(hearth_set_object_model(v.f.heap, &model, &type), HEARTH_EINVAL, "trace");
    model.trace = trace_nothing;
    for (size_t size = 0; size < 200; size += 8) {
        info.struct_size = model.struct_size = size;
        if (size != sizeof info) {
            HARNESS_STATUS_NAMES(hearth_type_register(v.f.heap, &info, &type), HEARTH_EINVAL,
                                 number_text((long long)size));
            HARNESS_STATUS_NAMES(hearth_type_get(v.f.heap, v.f.node, &info), HEARTH_EINVAL,
                                 number_text((long long)size));
        }
        if (size != sizeof model)
            HARNESS_STATUS_NAMES(hearth_set_object_model(v.f.heap, &model, &type), HEARTH_EINVAL,
                                 number_text((long long)size));
    }
    ck_assert_uint_eq(type, 99);
    ck_assert_uint_eq(v.f.heap->types.count, 4);
    victim_close(&v);
}
END_TEST

/* Every allocator with this type. */
static void refuse_type(struct victim *v, hearth_type type)
{
    const char *text = type_text(type);

    REFUSED(hearth_new(v->f.mutator, type), NULL, HEARTH_ETYPE, text);
    REFUSED(hearth_new_array(v->f.mutator, type, 1), NULL, HEARTH_ETYPE, text);
    REFUSED(hearth_new_sized(v->f.mutator, type, 8), NULL, HEARTH_ETYPE, text);
    REFUSED(hearth_new_on(v->f.mutator, type, 0, 0), NULL, HEARTH_ETYPE, text);
    REFUSED(hearth_alloc(v->f.mutator, type, 32), NULL, HEARTH_ETYPE, text);
    REFUSED(hearth_alloc_array(v->f.mutator, type, 1), NULL, HEARTH_ETYPE, text);
}

/* Bits that no type has: one bit of a good one changed, numbers beyond the table, another heap's. */
START_TEST(forged_types)
{
    struct victim v, other;
    hearth_type beyond, type;

    victim_open(&v, NULL);
    victim_open(&other, NULL);
    refuse_type(&v, 0);
    refuse_type(&v, UINT32_MAX);
    for (int bit = 0; bit < 32; bit++) {
        type = v.f.node ^ (hearth_type)1 << bit;
        if (type != v.f.refs && type != v.f.bytes)
            refuse_type(&v, type);
        type = v.f.refs ^ (hearth_type)1 << bit;
        if (type != v.f.node && type != v.f.bytes)
            refuse_type(&v, type);
    }
    for (int i = 0; i < 10; i++)
        HARNESS_OK(hearth_type_fixed(other.f.heap, "theirs", 24, 1, &beyond));
    refuse_type(&v, beyond);
    HARNESS_OK(hearth_type_leaf(v.f.heap, "ours", 48, &type)); /* their index 4 is something else */
    refuse_type(&other, type);
    victim_close(&v);
    victim_close(&other);
}
END_TEST

/* Good types with sizes and counts that are none of theirs. */
START_TEST(sizes_and_counts)
{
    static const size_t huge[] = {SIZE_MAX,         SIZE_MAX - 7,     SIZE_MAX / 8,
                                  SIZE_MAX / 8 + 1, SIZE_MAX / 2 + 1, (size_t)1 << 60,
                                  (size_t)1 << 48};
    struct victim v;
    hearth_type_info info = {
        .struct_size = sizeof info, .name = "record", .size = 24, .element_size = 40};
    hearth_object_model model = {.struct_size = sizeof model, .trace = trace_nothing};
    hearth_type record, mine;
    hearth_mutator *m;

    victim_open(&v, NULL);
    m = v.f.mutator;
    HARNESS_OK(hearth_type_register(v.f.heap, &info, &record));
    HARNESS_OK(hearth_set_object_model(v.f.heap, &model, &mine));
    for (size_t i = 0; i < sizeof huge / sizeof huge[0]; i++) {
        char text[32];

        snprintf(text, sizeof text, "%zu", huge[i]);
        REFUSED(hearth_alloc(m, v.f.node, huge[i]), NULL, HEARTH_ESIZE, text);
        REFUSED(hearth_new_array(m, v.f.refs, huge[i]), NULL, HEARTH_ESIZE, text);
        REFUSED(hearth_alloc_array(m, record, huge[i]), NULL, HEARTH_ESIZE, text);
        REFUSED(hearth_new_on(m, record, huge[i], 0), NULL, HEARTH_ESIZE, text);
        REFUSED(hearth_new_sized(m, mine, huge[i]), NULL, HEARTH_ESIZE, text);
    }
    for (size_t size = 0; size < 70; size++)
        if (size != sizeof(struct fixture_node))
            REFUSED(hearth_alloc(m, v.f.node, size), NULL, HEARTH_ESIZE,
                    number_text((long long)size));
    REFUSED(hearth_alloc(m, v.f.refs, 8), NULL, HEARTH_ESIZE, "refs");
    REFUSED(hearth_alloc(m, mine, 8), NULL, HEARTH_ESIZE, "object model");
    REFUSED(hearth_new(m, mine), NULL, HEARTH_ETYPE, type_text(mine));
    REFUSED(hearth_new_sized(m, mine, 0), NULL, HEARTH_ESIZE, "0");
    REFUSED(hearth_new_sized(m, v.f.node, 32), NULL, HEARTH_ETYPE, "node");
    REFUSED(hearth_new_array(m, v.f.node, 2), NULL, HEARTH_ETYPE, "node");
    REFUSED(hearth_alloc_array(m, v.f.node, 0), NULL, HEARTH_ETYPE, "node");
    REFUSED(hearth_new_array(m, mine, 2), NULL, HEARTH_ETYPE, "object model");
    REFUSED(hearth_new_on(m, v.f.node, 2, 0), NULL, HEARTH_ESIZE, "node");
    REFUSED(hearth_new_on(m, mine, 0, 0), NULL, HEARTH_ESIZE, "object model");
    REFUSED(hearth_new_on(m, v.f.node, 0, -1), NULL, HEARTH_ENODE, "-1");
    REFUSED(hearth_new_on(m, v.f.node, 0, 99), NULL, HEARTH_ENODE, "99");
    victim_close(&v);
}
END_TEST

/* --- objects and stores ------------------------------------------------------------------------------------- */

START_TEST(object_calls)
{
    struct victim v;
    void *object;
    int on_stack;

    victim_open(&v, NULL);
    object = v.frame.ref[0];
    REFUSED(hearth_is_object(NULL, object), false, HEARTH_EINVAL, pointer_text(object));
    REFUSED(hearth_usable_size(NULL, object), 0, HEARTH_EINVAL, pointer_text(object));
    REFUSED(hearth_length(NULL, object), 0, HEARTH_EINVAL, pointer_text(object));
    REFUSED(hearth_type_of(NULL, object), 0, HEARTH_EINVAL, pointer_text(object));
    REFUSED(hearth_node_of(NULL, object), -1, HEARTH_EINVAL, pointer_text(object));
    REFUSED(hearth_usable_size(v.f.heap, NULL), 0, HEARTH_EOBJECT, "nil");
    REFUSED(hearth_usable_size(v.f.heap, &on_stack), 0, HEARTH_EOBJECT, pointer_text(&on_stack));
    REFUSED(hearth_usable_size(v.f.heap, (char *)object + 8), 0, HEARTH_EOBJECT,
            pointer_text((char *)object + 8));
    REFUSED(hearth_length(v.f.heap, NULL), 0, HEARTH_EOBJECT, "nil");
    REFUSED(hearth_length(v.f.heap, &on_stack), 0, HEARTH_EOBJECT, pointer_text(&on_stack));
    REFUSED(hearth_type_of(v.f.heap, NULL), 0, HEARTH_EOBJECT, "nil");
    REFUSED(hearth_node_of(v.f.heap, NULL), -1, HEARTH_EOBJECT, "nil");
    victim_close(&v);
}
END_TEST

/* What is no object of the heap: where nothing may be stored, and what may not be stored. */
static int non_objects(struct victim *v, struct victim *other, void **out)
{
    const struct ha_windows *windows = v->f.heap->space.windows;
    char *object = v->frame.ref[0], *dead = (char *)fixture_new(v->f.mutator, v->f.node, 0);
    int n = 0;

    fixture_collect(v->f.mutator, 2);
    out[n++] = dead;
    out[n++] = object + 8;
    out[n++] = object + 16;
    out[n++] = object + 1;
    out[n++] = object - 8;
    out[n++] = other->frame.ref[0];
    out[n++] = (void *)windows->base;
    out[n++] = (void *)(windows->base + windows->bytes - 16);
    out[n++] = (void *)(ha_chunk_base((uintptr_t)object) + 64); /* a chunk's head */
    return n;
}

START_TEST(stores_to_non_objects)
{
    static struct fixture_node fixed;
    struct victim v, other;
    void *wrong[16], *values[2] = {NULL, NULL}, *object;
    int count;

    victim_open(&v, NULL);
    victim_open(&other, NULL);
    count = non_objects(&v, &other, wrong);
    wrong[count++] = &fixed;
    wrong[count++] = (void *)16;
    object = v.frame.ref[0];
    for (int i = 0; i < count; i++) {
        HARNESS_STATUS_NAMES(hearth_store(v.f.mutator, wrong[i], wrong[i], NULL), HEARTH_EOBJECT,
                             pointer_text(wrong[i]));
        HARNESS_STATUS_NAMES(hearth_store_range(v.f.mutator, wrong[i], wrong[i], values, 1),
                             HEARTH_EOBJECT, pointer_text(wrong[i]));
        HARNESS_STATUS_NAMES(hearth_barrier_range(v.f.mutator, wrong[i], wrong[i], 1),
                             HEARTH_EOBJECT, pointer_text(wrong[i]));
        HARNESS_STATUS_NAMES(hearth_copy(v.f.mutator, wrong[i], wrong[i], object, object, 1),
                             HEARTH_EOBJECT, pointer_text(wrong[i]));
        HARNESS_STATUS_NAMES(hearth_copy(v.f.mutator, object, object, wrong[i], wrong[i], 1),
                             HEARTH_EOBJECT, pointer_text(wrong[i]));
    }
    HARNESS_STATUS(hearth_store(v.f.mutator, NULL, &object, NULL), HEARTH_EINVAL);
    HARNESS_STATUS(hearth_store_range(v.f.mutator, NULL, &object, values, 1), HEARTH_EINVAL);
    HARNESS_STATUS(hearth_barrier_range(v.f.mutator, NULL, &object, 1), HEARTH_EINVAL);
    HARNESS_STATUS(hearth_copy(v.f.mutator, NULL, &object, object, object, 1), HEARTH_EINVAL);
    HARNESS_STATUS(hearth_copy(v.f.mutator, object, object, NULL, &object, 1), HEARTH_EINVAL);
    victim_close(&v);
    victim_close(&other);
}
END_TEST

START_TEST(stores_of_non_objects)
{
    struct victim v, other;
    void *wrong[16], **object;
    int count;

    victim_open(&v, NULL);
    victim_open(&other, NULL);
    count = non_objects(&v, &other, wrong);
    for (int i = 0; i < count; i++) {
        object = v.frame.ref[i % 3];
        HARNESS_STATUS_NAMES(hearth_store(v.f.mutator, object, &object[1], wrong[i]),
                             HEARTH_EOBJECT, pointer_text(wrong[i]));
        ck_assert_ptr_null(object[1]);
    }
    victim_close(&v);
    victim_close(&other);
}
END_TEST

/* All slots around the object, for small, array and large objects. */
static void try_slots(struct victim *v, void **object, size_t bytes)
{
    char *start = (char *)object;

    for (ptrdiff_t at = -40; at < (ptrdiff_t)bytes + 40; at++) {
        void **slot = (void **)(start + at);
        bool inside = at >= 0 && at % 8 == 0 && at + 8 <= (ptrdiff_t)bytes;

        if (at == 200 && bytes > 4000) /* on to its end */
            at = (ptrdiff_t)bytes - 40;

        if (inside)
            continue;
        if (hearth_store(v->f.mutator, object, slot, NULL) != HEARTH_ESLOT)
            ck_abort_msg("slot at %td of %zu bytes", at, bytes);
        harness_expect_error("hearth_store", HEARTH_ESLOT, pointer_text(slot));
        EXPECT(hearth_barrier_range(v->f.mutator, object, slot, 1) == HEARTH_ESLOT);
        EXPECT(hearth_store_range(v->f.mutator, object, slot, &v->frame.ref[0], 1) == HEARTH_ESLOT);
        EXPECT(hearth_copy(v->f.mutator, object, slot, object, object, 1) == HEARTH_ESLOT);
        EXPECT(hearth_copy(v->f.mutator, object, object, object, slot, 1) == HEARTH_ESLOT);
    }
}

START_TEST(slots_outside)
{
    struct victim v;
    void *values[4] = {NULL}, *on_stack, **array;
    hearth_mutator *m;

    victim_open(&v, NULL);
    m = v.f.mutator;
    HEARTH_FRAME(m, frame, 1);
    try_slots(&v, v.frame.ref[0], sizeof(struct fixture_node));
    for (size_t count = 0; count < 40; count += 13) {
        frame.ref[0] = hearth_new_array(m, v.f.refs, count);
        try_slots(&v, frame.ref[0], count * 8);
    }
    frame.ref[0] = hearth_new_array(m, v.f.refs, 20000);
    try_slots(&v, frame.ref[0], 160000);
    array = frame.ref[0];
    HARNESS_STATUS_NAMES(hearth_store(m, array, &on_stack, NULL), HEARTH_ESLOT,
                         pointer_text(&on_stack));
    HARNESS_STATUS(hearth_store(m, array, NULL, NULL), HEARTH_EINVAL);
    HARNESS_STATUS(hearth_store(m, array, v.frame.ref[0], NULL), HEARTH_ESLOT);
    HARNESS_STATUS(hearth_store_range(m, array, &array[19998], values, 3), HEARTH_ESLOT);
    HARNESS_STATUS(hearth_store_range(m, array, array, values, SIZE_MAX), HEARTH_ESLOT);
    HARNESS_STATUS(hearth_store_range(m, array, array, values, SIZE_MAX / 8 + 2), HEARTH_ESLOT);
    HARNESS_STATUS(hearth_store_range(m, array, array, NULL, 2), HEARTH_EINVAL);
    HARNESS_STATUS(hearth_barrier_range(m, array, array, 20001), HEARTH_ESLOT);
    HARNESS_STATUS(hearth_barrier_range(m, array, array, SIZE_MAX / 8 + 2), HEARTH_ESLOT);
    HARNESS_STATUS(hearth_copy(m, array, &array[1], array, array, 20000), HEARTH_ESLOT);
    HARNESS_STATUS(hearth_copy(m, array, array, array, &array[1], 20000), HEARTH_ESLOT);
    HARNESS_OK(hearth_store_range(m, array, &array[20000], NULL, 0));
    HARNESS_OK(hearth_barrier_range(m, array, &array[20000], 0));
    HARNESS_OK(hearth_copy(m, array, &array[20000], array, &array[20000], 0));
    HEARTH_FRAME_END(m, frame);
    victim_close(&v);
}
END_TEST

HARNESS_SUITE(bad_object)
{
    Suite *suite = suite_create("bad_object");
    TCase *objects = tcase_create("objects");

    tcase_add_test(objects, type_calls);
    tcase_add_test(objects, forged_types);
    tcase_add_test(objects, sizes_and_counts);
    tcase_add_test(objects, object_calls);
    tcase_add_test(objects, stores_to_non_objects);
    tcase_add_test(objects, stores_of_non_objects);
    tcase_add_test(objects, slots_outside);
    suite_add_tcase(suite, objects);
    return suite;
}
