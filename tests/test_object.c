/* tests/test_object.c - what is an object and what is known about it, for every size class and while
 * other threads allocate. */
#include "alloc/class.h"
#include "tests/mutator_fixture.h"

/* Payloads around the edges of every size class, and large ones. */
static size_t edge_sizes(size_t *sizes)
{
    static const size_t large[] = {HA_SMALL_MAX + 1, 65520,   65536,          100000,
                                   3932144,          3932145, (size_t)9 << 20};
    size_t n = 0;

    for (unsigned c = 0; c < HEARTH_CLASSES; c++) {
        size_t top = ha_class_cell(c) - HEARTH_HEADER;

        if (top > 8)
            sizes[n++] = top - 1;
        sizes[n++] = top;
        if (top < HA_SMALL_MAX)
            sizes[n++] = top + 1;
    }
    for (size_t i = 0; i < sizeof large / sizeof large[0]; i++)
        sizes[n++] = large[i];
    return n;
}

enum { EDGES = 3 * HEARTH_CLASSES + 10 };

/* Everything that can be asked of one live object. */
static void check_answers(struct fixture *f, const void *object, hearth_type type, size_t size)
{
    EXPECT(hearth_is_object(f->heap, object));
    EXPECT((uintptr_t)object % HEARTH_GRANULE == 0);
    EXPECT(hearth_usable_size(f->heap, object) >= size);
    EXPECT(hearth_type_of(f->heap, object) == type);
    EXPECT(hearth_length(f->heap, object) == size);
    EXPECT(hearth_node_of(f->heap, object) >= 0);
    EXPECT(!hearth_is_object(f->heap, (const char *)object + 1));
    EXPECT(!hearth_is_object(f->heap, (const char *)object - HEARTH_HEADER));
    for (size_t at = HEARTH_GRANULE; at < size; at = at * 3 + HEARTH_GRANULE)
        EXPECT(!hearth_is_object(f->heap, (const char *)object + at));
}

START_TEST(every_size)
{
    struct fixture f = fixture_open(NULL);
    size_t sizes[EDGES], count = edge_sizes(sizes);

    HEARTH_FRAME(f.mutator, frame, 2);
    for (size_t i = 0; i < count; i++) {
        frame.ref[0] = hearth_alloc_array(f.mutator, f.bytes, sizes[i]);
        frame.ref[1] = hearth_alloc_array(f.mutator, f.bytes, sizes[i]);
        ck_assert_ptr_nonnull(frame.ref[1]);
        memset(frame.ref[0], 0xff, sizes[i]);
        check_answers(&f, frame.ref[0], f.bytes, sizes[i]);
        check_answers(&f, frame.ref[1], f.bytes, sizes[i]);
        fixture_collect(f.mutator, (int)(i % 3));
        check_answers(&f, frame.ref[0], f.bytes, sizes[i]);
        EXPECT(fixture_is_zero(frame.ref[1], sizes[i]));
    }
    HEARTH_FRAME_END(f.mutator, frame);
    fixture_close(&f);
}
END_TEST

/* From birth to death: in a run, in a retired block, after a collection, dead, and in a block that was
 * taken again; with cells that are not allocated yet on the way. */
START_TEST(from_birth_to_death)
{
    enum { COUNT = 3000 };
    static void *objects[COUNT];
    struct fixture f;

    fixture_alone();
    f = fixture_open(NULL);
    HARNESS_OK(hearth_gc_disable(f.heap));
    for (size_t i = 0; i < COUNT; i++) {
        objects[i] = fixture_new(f.mutator, f.node, i);
        EXPECT(hearth_is_object(f.heap, objects[i]));
        EXPECT(!hearth_is_object(f.heap, (char *)objects[i] + 48) ||
               (i > 0 && objects[i - 1] == (char *)objects[i] + 48));
    }
    HEARTH_FRAME(f.mutator, frame, 1);
    frame.ref[0] = hearth_new_array(f.mutator, f.refs, COUNT);
    for (size_t i = 0; i < COUNT; i += 2)
        hearth_store_init((void **)frame.ref[0] + i, objects[i]);
    for (size_t i = 0; i < COUNT; i++)
        EXPECT(hearth_is_object(f.heap, objects[i]));
    fixture_collect(f.mutator, _i);
    for (size_t i = 0; i < COUNT; i++)
        EXPECT(hearth_is_object(f.heap, objects[i]) == (i % 2 == 0));
    for (size_t made = 0; made < COUNT; made++) {
        void *object = fixture_new(f.mutator, f.node, 0);

        EXPECT(hearth_is_object(f.heap, object));
        for (size_t i = 0; i < COUNT; i += 2)
            EXPECT(object != objects[i]);
    }
    for (size_t i = 0; i < COUNT; i += 2)
        EXPECT(hearth_is_object(f.heap, objects[i]));
    HEARTH_FRAME_END(f.mutator, frame);
    fixture_close(&f);
}
END_TEST

static struct fixture_node fixed; /* no object */

START_TEST(others_are_no_objects)
{
    struct fixture f = fixture_open("fake-nodes=2"), g = fixture_open("fake-nodes=2");
    const struct ha_windows *windows = f.heap->space.windows;
    uint64_t state = harness_seed();
    void *object = fixture_new(f.mutator, f.node, 1);
    char *large = hearth_new_array(f.mutator, f.bytes, 10 << 20);

    ck_assert(!hearth_is_object(f.heap, NULL));
    ck_assert(!hearth_is_object(f.heap, &fixed));
    ck_assert(!hearth_is_object(f.heap, &f));
    ck_assert(!hearth_is_object(f.heap, (void *)UINTPTR_MAX));
    ck_assert(!hearth_is_object(f.heap, (void *)8));
    ck_assert(!hearth_is_object(f.heap, f.mutator));
    ck_assert_ptr_eq(g.heap->space.windows, windows);
    ck_assert(!hearth_is_object(g.heap, object));
    ck_assert(!hearth_is_object(g.heap, large));
    for (size_t at = 16; at < (10 << 20); at += 65536 - 16)
        ck_assert(!hearth_is_object(f.heap, large + at));
    ck_assert(hearth_is_object(f.heap, large));
    for (int i = 0; i < 100000; i++)
        EXPECT(!hearth_is_object(
            g.heap, (void *)(windows->base + harness_random_below(&state, windows->bytes))));
    fixture_close(&f);
    fixture_close(&g);
}
END_TEST

/* Lengths of arrays with and without a fixed part, from 0 to beyond what 32 bits hold. */
START_TEST(lengths)
{
    struct fixture f = fixture_open("heap-limit=16g");
    hearth_type_info info = {.struct_size = sizeof info, .size = 24, .element_size = 12};
    size_t most = FIXTURE_SANITIZED ? (size_t)1 << 20 : ((size_t)1 << 32) + 7;
    hearth_type type;

    HARNESS_OK(hearth_type_register(f.heap, &info, &type));
    for (size_t count = 0; count < 1 << 20; count = count * 3 / 2 + 1) {
        ck_assert_uint_eq(hearth_length(f.heap, hearth_alloc_array(f.mutator, type, count)), count);
        ck_assert_uint_eq(hearth_length(f.heap, hearth_new_array(f.mutator, f.refs, count)), count);
    }
    ck_assert_uint_eq(hearth_length(f.heap, fixture_new(f.mutator, f.node, 1)), 0);
    for (size_t count = most - 9; count <= most; count++) {
        void *object = hearth_new_array(f.mutator, f.bytes, count);

        ck_assert_msg(object != NULL, "%zu: %s", count, hearth_last_error());
        ck_assert_uint_eq(hearth_length(f.heap, object), count);
        ck_assert_uint_eq(hearth_usable_size(f.heap, object), count);
        fixture_collect(f.mutator, 2);
    }
    fixture_close(&f);
}
END_TEST

START_TEST(nodes)
{
    struct fixture f = fixture_open("fake-nodes=4");

    for (int node = 0; node < 4; node++) {
        ck_assert_int_eq(hearth_node_of(f.heap, hearth_new_on(f.mutator, f.node, 0, node)), node);
        ck_assert_int_eq(hearth_node_of(f.heap, hearth_new_on(f.mutator, f.bytes, 50000, node)),
                         node);
        ck_assert_int_eq(hearth_node_of(f.heap, hearth_new_on(f.mutator, f.refs, 1 << 20, node)),
                         node);
    }
    fixture_close(&f);
}
END_TEST

enum { MAKERS = 3, MADE = 20000 };

enum { KEPT = 97 }; /* no divisor of what the classes' sequence repeats after */

struct maker {
    struct fixture *f;
    void **slot; /* of a global root: an array of the newest objects (atomic) */
    bool stop;   /* atomic                                                    */
    pthread_t thread;
};

/* Makes objects of changing classes and shows the last ones; so its blocks are partly free. */
static void *make_objects(void *argument)
{
    struct maker *maker = argument;
    hearth_mutator *mutator = fixture_attach(maker->f->heap);
    uint64_t count = harness_scaled(MADE);

    __atomic_store_n(maker->slot, hearth_new_array(mutator, maker->f->refs, KEPT),
                     __ATOMIC_RELEASE);
    for (uint64_t i = 0; i < count; i++) {
        void *object = hearth_alloc_array(mutator, maker->f->bytes, 8 + i % 7 * 600);
        void **kept = *maker->slot;

        EXPECT(object != NULL);
        EXPECT(hearth_store(mutator, kept, &kept[i % KEPT], object) == HEARTH_OK);
        if (i % 64 == 0)
            EXPECT(hearth_is_object(maker->f->heap, object));
        hearth_safepoint(mutator);
    }
    __atomic_store_n(&maker->stop, true, __ATOMIC_RELEASE);
    EXPECT(hearth_detach(mutator) == HEARTH_OK);
    return NULL;
}

/* An object that another thread has just made is one: in its run, when it drops the block, and after. */
START_TEST(others_make_them)
{
    static void *slots[MAKERS];
    struct fixture f = fixture_open("fake-nodes=2,nursery=256k");
    struct maker makers[MAKERS];
    uint64_t asked = 0;

    for (int i = 0; i < MAKERS; i++) {
        makers[i] = (struct maker){.f = &f, .slot = &slots[i]};
        HARNESS_OK(hearth_root_add(f.heap, &slots[i]));
        EXPECT(pthread_create(&makers[i].thread, NULL, make_objects, &makers[i]) == 0);
    }
    HEARTH_FRAME(f.mutator, frame, 1);
    for (int i = 0; i < MAKERS; i++)
        while (!__atomic_load_n(&makers[i].stop, __ATOMIC_ACQUIRE)) {
            void **kept;

            hearth_safepoint(f.mutator); /* no other until the object is in the frame */
            kept = __atomic_load_n(&slots[i], __ATOMIC_ACQUIRE);
            if (kept == NULL)
                continue;
            frame.ref[0] = __atomic_load_n(&kept[asked++ % KEPT], __ATOMIC_ACQUIRE);
            if (frame.ref[0] == NULL)
                continue;
            EXPECT(hearth_is_object(f.heap, frame.ref[0]));
            EXPECT(hearth_usable_size(f.heap, frame.ref[0]) > 0);
        }
    HEARTH_FRAME_END(f.mutator, frame);
    HARNESS_OK(hearth_native_begin(f.mutator));
    for (int i = 0; i < MAKERS; i++)
        EXPECT(pthread_join(makers[i].thread, NULL) == 0);
    HARNESS_OK(hearth_native_end(f.mutator));
    ck_assert_uint_gt(asked, 0);
    fixture_close(&f);
}
END_TEST

/* A callback of the collector may ask: it must not wait for the lock that its collection holds. */
struct asking {
    hearth_heap *heap;
    void *object;
    int asked;
};

static void ask(void *data, hearth_visitor *visitor)
{
    struct asking *asking = data;

    asking->asked++;
    EXPECT(hearth_is_object(asking->heap, asking->object));
    EXPECT(hearth_usable_size(asking->heap, asking->object) == 40);
    EXPECT(!hearth_is_object(asking->heap, asking));
    hearth_visit(visitor, &asking->object);
}

START_TEST(asked_in_a_callback)
{
    struct fixture f = fixture_open(NULL);
    struct asking asking = {.heap = f.heap};

    asking.object = fixture_new(f.mutator, f.node, 3);
    HARNESS_OK(hearth_root_provider_add(f.heap, ask, &asking));
    for (int i = 0; i < 3; i++)
        fixture_collect(f.mutator, i);
    ck_assert_int_ge(asking.asked, 3);
    HARNESS_OK(hearth_root_provider_remove(f.heap, ask, &asking));
    fixture_close(&f);
}
END_TEST

HARNESS_SUITE(object)
{
    Suite *suite = suite_create("object");
    TCase *tests = tcase_create("object");

    tcase_add_test(tests, every_size);
    tcase_add_loop_test(tests, from_birth_to_death, 0, 3);
    tcase_add_test(tests, others_are_no_objects);
    tcase_add_test(tests, lengths);
    tcase_add_test(tests, nodes);
    tcase_add_test(tests, others_make_them);
    tcase_add_test(tests, asked_in_a_callback);
    suite_add_tcase(suite, tests);
    return suite;
}
