/* tests/test_heap.c - heaps: several beside each other, created and destroyed again and again.
 *
 * What must hold: heaps share nothing but the windows of their layout; a destroyed heap leaves no
 * thread and no memory; options come from the program and then from the environment. */
#include <sys/prctl.h>

#include "tests/mutator_fixture.h"

/* A little of everything in one heap. */
static void use_heap(struct fixture *f, uint64_t seed)
{
    HEARTH_FRAME(f->mutator, frame, 3);
    fixture_list(f->mutator, f->node, 2000 + seed % 100, &frame.ref[0]);
    frame.ref[1] = hearth_new_array(f->mutator, f->refs, 30000);
    frame.ref[2] = hearth_new_array(f->mutator, f->bytes, 5 << 20);
    EXPECT(frame.ref[1] != NULL && frame.ref[2] != NULL);
    for (int i = 0; i < 30000; i += 77)
        EXPECT(hearth_store(f->mutator, frame.ref[1], (void **)frame.ref[1] + i, frame.ref[0]) ==
               HEARTH_OK);
    memset(frame.ref[2], (int)seed, 5 << 20);
    fixture_garbage(f->mutator, f->node, 20000);
    for (int i = 0; i < 3; i++)
        fixture_collect(f->mutator, (int)(seed + (uint64_t)i) % 3);
    fixture_check_list(frame.ref[0], 2000 + seed % 100);
    EXPECT(((unsigned char *)frame.ref[2])[(5 << 20) - 1] == (unsigned char)seed);
    HEARTH_FRAME_END(f->mutator, frame);
}

static const char *const layouts[] = {"fake-nodes=1",
                                      "fake-nodes=2",
                                      "fake-nodes=4",
                                      "mode=off",
                                      "fake-nodes=2,mode=interleave",
                                      "generational=off",
                                      "fake-nodes=2,mode=place"};

enum { LAYOUTS = sizeof layouts / sizeof layouts[0] };

/* All layouts at the same time, used in turn by one thread. */
START_TEST(several_at_once)
{
    struct fixture heaps[2 * LAYOUTS];

    for (int i = 0; i < 2 * LAYOUTS; i++)
        heaps[i] = fixture_open(layouts[i % LAYOUTS]);
    for (uint64_t round = 0; round < 3; round++)
        for (uint64_t i = 0; i < 2 * LAYOUTS; i++)
            use_heap(&heaps[i], round + i);
    for (int i = 0; i < 2 * LAYOUTS; i += 2) /* some go, the others stay whole */
        fixture_close(&heaps[i]);
    for (int i = 1; i < 2 * LAYOUTS; i += 2) {
        use_heap(&heaps[i], 5);
        fixture_close(&heaps[i]);
    }
}
END_TEST

/* An object of one heap is a foreign address to the other: ignored, and not kept. */
START_TEST(foreign_objects)
{
    struct fixture f = fixture_open(NULL), g = fixture_open(NULL);
    uintptr_t hidden;

    HEARTH_FRAME(f.mutator, frame, 1);
    frame.ref[0] = fixture_new(f.mutator, f.node, 1);
    hidden = ~(uintptr_t)fixture_new(g.mutator, g.node, 2);
    HARNESS_STATUS(hearth_store_checked(f.mutator, frame.ref[0], frame.ref[0], (void *)~hidden),
                   HEARTH_EOBJECT);
    fixture_collect(g.mutator, 2);
    ck_assert(!hearth_is_object(g.heap, (void *)~hidden));
    fixture_collect(f.mutator, 2);
    HEARTH_FRAME_END(f.mutator, frame);
    fixture_close(&f);
    fixture_close(&g);
}
END_TEST

/* Again and again: neither threads nor resident memory grow, for any layout. Without huge pages: with them
 * the metadata of a window grows 2 MiB at a time, now and then, until it has what the heaps need at most. */
START_TEST(again_and_again)
{
    size_t resident = 0;
    int threads = 0;

    prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
    for (uint64_t i = 0; i < LAYOUTS * (3 + harness_scaled(12)); i++) {
        struct fixture f = fixture_open(layouts[i % LAYOUTS]);

        use_heap(&f, i);
        fixture_close(&f);
        if (i == LAYOUTS * 3) { /* every layout's windows are there */
            resident = fixture_resident();
            threads = fixture_threads();
        }
    }
    ck_assert_int_eq(fixture_threads(), threads);
    if (!FIXTURE_SANITIZED)
        ck_assert_uint_le(fixture_resident(), resident + 4 * FIXTURE_MIB);
}
END_TEST

struct user {
    const char *options;
    uint64_t number;
    pthread_t thread;
};

static void *create_and_destroy(void *argument)
{
    struct user *user = argument;

    for (uint64_t i = 0; i < harness_scaled(6); i++) {
        struct fixture f = fixture_open(user->options);

        use_heap(&f, user->number);
        fixture_close(&f);
    }
    return NULL;
}

/* From several threads at the same time, some with the same layout. */
START_TEST(by_several_threads)
{
    enum { USERS = 6 };
    struct user users[USERS];

    for (int i = 0; i < USERS; i++) {
        users[i] = (struct user){.options = layouts[i % 3], .number = (uint64_t)i};
        EXPECT(pthread_create(&users[i].thread, NULL, create_and_destroy, &users[i]) == 0);
    }
    for (int i = 0; i < USERS; i++)
        EXPECT(pthread_join(users[i].thread, NULL) == 0);
}
END_TEST

/* With mutators attached it stays, whoever asks; nothing has happened. */
START_TEST(destroyed_only_when_free)
{
    struct fixture f = fixture_open(NULL);
    hearth_heap *heap = f.heap;

    HARNESS_STATUS_NAMES(hearth_heap_destroy(f.heap), HEARTH_ESTATE, "1 mutator");
    use_heap(&f, 1);
    HARNESS_OK(hearth_detach(f.mutator));
    HARNESS_OK(hearth_heap_destroy(heap));
    HARNESS_OK(hearth_heap_destroy(NULL));
}
END_TEST

START_TEST(data)
{
    hearth_heap *heap = fixture_heap(NULL);
    int mine;

    ck_assert_ptr_null(hearth_heap_data(heap));
    hearth_heap_set_data(heap, &mine);
    ck_assert_ptr_eq(hearth_heap_data(heap), &mine);
    hearth_heap_set_data(heap, NULL);
    ck_assert_ptr_null(hearth_heap_data(heap));
    hearth_heap_set_data(NULL, &mine);
    ck_assert_ptr_null(hearth_heap_data(NULL));
    HARNESS_OK(hearth_heap_destroy(heap));
}
END_TEST

/* Its topology is what the options say, and belongs to it. */
START_TEST(topology)
{
    hearth_heap *heap = fixture_heap("fake-nodes=4");

    if (getenv("HEARTH_OPTIONS") == NULL)
        ck_assert_int_eq(hearth_topology_nodes(hearth_heap_topology(heap)), harness_nodes(4));
    ck_assert_ptr_null(hearth_heap_topology(NULL));
    HARNESS_OK(hearth_heap_destroy(heap));
    heap = fixture_heap("fake-nodes=4,mode=off");
    ck_assert_int_eq(hearth_topology_nodes(hearth_heap_topology(heap)), 1);
    ck_assert_int_eq(fixture_stats(heap).nodes, 1);
    HARNESS_OK(hearth_heap_destroy(heap));
}
END_TEST

/* The environment is applied last, and a bad one is refused without a heap. */
START_TEST(environment)
{
    hearth_heap *heap;

    char text[64];

    snprintf(text, sizeof text, "heap-limit=32m,fake-nodes=%d", harness_nodes(2));
    setenv("HEARTH_OPTIONS", text, 1);
    heap = fixture_heap("heap-limit=64m");
    ck_assert_uint_eq(fixture_stats(heap).limit_bytes, 32 << 20);
    ck_assert_int_eq(fixture_stats(heap).nodes, harness_nodes(2));
    HARNESS_OK(hearth_heap_destroy(heap));
    HARNESS_OK(hearth_heap_create(&heap, NULL));
    ck_assert_uint_eq(fixture_stats(heap).limit_bytes, 32 << 20);
    HARNESS_OK(hearth_heap_destroy(heap));
    setenv("HEARTH_OPTIONS", "heap-limmit=32m", 1);
    HARNESS_STATUS_NAMES(hearth_heap_create(&heap, NULL), HEARTH_EOPTION, "heap-limmit");
    ck_assert_ptr_null(heap);
    setenv("HEARTH_OPTIONS", "heap-limit=many", 1);
    HARNESS_STATUS_NAMES(hearth_heap_create(&heap, NULL), HEARTH_EOPTION, "many");
    setenv("HEARTH_OPTIONS", "", 1);
    HARNESS_OK(hearth_heap_create(&heap, NULL));
    ck_assert_uint_gt(fixture_stats(heap).limit_bytes, 256 << 20); /* of the machine */
    HARNESS_OK(hearth_heap_destroy(heap));
}
END_TEST

/* The smallest heaps that can be asked for. */
START_TEST(tiny)
{
    static const char *const sizes[] = {"heap-limit=1", "heap-limit=64k", "heap-limit=65537",
                                        "heap-limit=256k"};
    struct fixture f;
    uint64_t made = 0;

    fixture_alone();
    f = fixture_open(sizes[_i]);
    for (int i = 0; i < 3000; i++)
        made += hearth_alloc(f.mutator, f.node, sizeof(struct fixture_node)) != NULL;
    ck_assert_uint_eq(made, 3000);
    ck_assert_uint_le(fixture_stats(f.heap).peak_heap_bytes, fixture_stats(f.heap).limit_bytes);
    HARNESS_NULL(hearth_new_array(f.mutator, f.bytes, 300000), HEARTH_ELIMIT);
    fixture_close(&f);
}
END_TEST

HARNESS_SUITE(heap)
{
    Suite *suite = suite_create("heap");
    TCase *tests = tcase_create("heap");

    tcase_add_test(tests, several_at_once);
    tcase_add_test(tests, foreign_objects);
    tcase_add_test(tests, again_and_again);
    tcase_add_test(tests, by_several_threads);
    tcase_add_test(tests, destroyed_only_when_free);
    tcase_add_test(tests, data);
    tcase_add_test(tests, topology);
    tcase_add_test(tests, environment);
    tcase_add_loop_test(tests, tiny, 0, 4);
    suite_add_tcase(suite, tests);
    return suite;
}
