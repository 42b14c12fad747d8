/* tests/test_leaks.c - assertions that objects are dead: which fail, what is told of them, what cannot
 * be asserted. */
#define _GNU_SOURCE
#include "gc/leaks.h"

#include "tests/mutator_fixture.h"

static hearth_leak next(hearth_heap *heap)
{
    hearth_leak leak = {.struct_size = sizeof leak};

    ck_assert(hearth_leak_next(heap, &leak));
    return leak;
}

static void none(hearth_heap *heap)
{
    hearth_leak leak = {.struct_size = sizeof leak};

    ck_assert(!hearth_leak_next(heap, &leak));
}

static const char *const modes[] = {
    "verify=on", "verify=on,generational=off",
    "verify=on,poison=on,fake-nodes=2,mode=local,workers=3,help-after=0"};

/* What is dead is not told, in a minor collection or a full one, though its cell is used again. */
START_TEST(dead_objects_are_not_told)
{
    struct fixture f = fixture_open(modes[_i]);

    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 300; i++)
            HARNESS_OK(hearth_assert_dead(f.mutator, fixture_new(f.mutator, f.node, 1)));
        HARNESS_OK(hearth_gc_collect(f.mutator, round));
        HEARTH_FRAME(f.mutator, frame, 1);
        fixture_list(f.mutator, f.node, 1000, &frame.ref[0]);
        HARNESS_OK(hearth_gc_collect(f.mutator, 2));
        HEARTH_FRAME_END(f.mutator, frame);
    }
    ck_assert_uint_eq(hearth_leak_count(f.heap), 0);
    none(f.heap);
    fixture_close(&f);
}
END_TEST

/* Alive through minor collections: told by the first full one, once. */
START_TEST(a_live_object_is_told_once)
{
    fixture_alone();
    struct fixture f = fixture_open(modes[_i]);
    HEARTH_FRAME(f.mutator, frame, 1);
    char text[64];

    frame.ref[0] = fixture_new(f.mutator, f.node, 7);
    HARNESS_OK(hearth_assert_dead(f.mutator, frame.ref[0]));
    if (_i != 1) {
        HARNESS_OK(hearth_gc_collect(f.mutator, 0));
        HARNESS_OK(hearth_gc_collect(f.mutator, 1));
        none(f.heap);
    }
    HARNESS_OK(hearth_gc_collect(f.mutator, 2));
    ck_assert_uint_eq(hearth_leak_count(f.heap), 1);
    hearth_leak leak = next(f.heap);
    ck_assert_ptr_eq(leak.object, frame.ref[0]);
    ck_assert_uint_eq(leak.type, f.node);
    ck_assert_uint_eq(leak.collection, _i != 1 ? 3 : 1);
    snprintf(text, sizeof text, "node %p, held by a frame of mutator %p", frame.ref[0],
             (void *)f.mutator);
    ck_assert_str_eq(leak.text, text);
    HARNESS_OK(hearth_gc_collect(f.mutator, 2));
    none(f.heap);
    ck_assert_uint_eq(hearth_leak_count(f.heap), 1);
    HEARTH_FRAME_END(f.mutator, frame);
    fixture_close(&f);
}
END_TEST

/* A path through objects to a global root; a cycle is not followed for ever. */
START_TEST(the_path_names_holders_and_the_root)
{
    struct fixture f = fixture_open(modes[_i]);
    HEARTH_FRAME(f.mutator, frame, 2);
    static void *global;
    char text[256];

    struct fixture_node *top = frame.ref[0] = fixture_new(f.mutator, f.node, 1);
    void **middle = frame.ref[1] = hearth_new_array(f.mutator, f.refs, 9);
    EXPECT(middle != NULL);
    hearth_store(f.mutator, top, &top->right, middle);
    struct fixture_node *leaf = fixture_new(f.mutator, f.node, 2);
    hearth_store(f.mutator, middle, &middle[8], leaf);
    hearth_store(f.mutator, leaf, &leaf->left, leaf);
    global = top;
    HARNESS_OK(hearth_root_add(f.heap, &global));
    frame.ref[0] = frame.ref[1] = NULL;
    HARNESS_OK(hearth_assert_dead(f.mutator, leaf));
    HARNESS_OK(hearth_gc_collect(f.mutator, 2));
    snprintf(text, sizeof text,
             "node %p, held by offset 64 of refs %p, held by offset 8 of node %p, "
             "held by the root slot %p",
             (void *)leaf, (void *)middle, (void *)top, (void *)&global);
    ck_assert_str_eq(next(f.heap).text, text);
    HARNESS_OK(hearth_root_remove(f.heap, &global));
    HEARTH_FRAME_END(f.mutator, frame);
    fixture_close(&f);
}
END_TEST

/* Deeper than the path goes, and held by handles or an ambiguous word of the stack. */
START_TEST(other_roots)
{
    struct fixture f = fixture_open_conservative(modes[_i]);
    hearth_scope scope;

    HARNESS_OK(hearth_scope_open(f.mutator, &scope));
    struct fixture_node *node = fixture_new(f.mutator, f.node, 0);
    void **handle = hearth_handle(f.mutator, node);
    ck_assert_ptr_nonnull(handle);
    HARNESS_OK(hearth_assert_dead(f.mutator, node));
    HARNESS_OK(hearth_gc_collect(f.mutator, 2));
    hearth_leak leak = next(f.heap);
    ck_assert_msg(strstr(leak.text, "held by a handle of mutator") != NULL ||
                      strstr(leak.text, "held by the stack of mutator") != NULL,
                  "%s", leak.text);
    HARNESS_OK(hearth_scope_close(f.mutator, &scope));
    void *volatile stack = fixture_new(f.mutator, f.node, 1);
    HARNESS_OK(hearth_assert_dead(f.mutator, stack));
    HARNESS_OK(hearth_gc_collect(f.mutator, 2));
    leak = next(f.heap);
    ck_assert_msg(strstr(leak.text, "held by the stack of mutator") != NULL, "%s", leak.text);
    fixture_close(&f);
}
END_TEST

START_TEST(a_deep_path_ends)
{
    struct fixture f = fixture_open(modes[_i]);
    HEARTH_FRAME(f.mutator, frame, 1);
    int holders = 0;

    fixture_list(f.mutator, f.node, 1, &frame.ref[0]);
    void *deep = frame.ref[0];
    fixture_list(f.mutator, f.node, 1000, &frame.ref[0]);
    HARNESS_OK(hearth_assert_dead(f.mutator, deep));
    HARNESS_OK(hearth_gc_collect(f.mutator, 2));
    hearth_leak leak = next(f.heap);
    for (const char *at = leak.text; (at = strstr(at, "held by offset 0 of node")) != NULL; at++)
        holders++;
    ck_assert_int_eq(holders, HG_LEAK_HOLDERS);
    HEARTH_FRAME_END(f.mutator, frame);
    fixture_close(&f);
}
END_TEST

/* More failures than are kept: the newest are. */
START_TEST(the_newest_are_kept)
{
    fixture_alone();
    struct fixture f = fixture_open(modes[_i]);
    HEARTH_FRAME(f.mutator, frame, 1);
    enum { MANY = 100 };

    frame.ref[0] = hearth_new_array(f.mutator, f.refs, MANY);
    for (int i = 0; i < MANY; i++) {
        void *node = fixture_new(f.mutator, f.node, (uint64_t)i);
        hearth_store(f.mutator, frame.ref[0], (void **)frame.ref[0] + i, node);
        HARNESS_OK(hearth_assert_dead(f.mutator, node));
    }
    HARNESS_OK(hearth_gc_collect(f.mutator, 2));
    ck_assert_uint_eq(hearth_leak_count(f.heap), MANY);
    for (int i = MANY - HG_LEAKS_KEPT; i < MANY; i++)
        ck_assert_ptr_eq(next(f.heap).object, ((void **)frame.ref[0])[i]);
    none(f.heap);
    HEARTH_FRAME_END(f.mutator, frame);
    fixture_close(&f);
}
END_TEST

static void *assert_others(void *data)
{
    struct fixture *f = data;
    hearth_mutator *mutator = fixture_attach(f->heap);

    for (uint64_t i = 0; i < harness_scaled(2000); i++) {
        hearth_status status = hearth_assert_dead(mutator, fixture_new(mutator, f->node, 1));
        EXPECT(status == HEARTH_OK);
        if (i % 100 == 0)
            fixture_collect(mutator, (int)(i / 100 % 3));
    }
    EXPECT(hearth_detach(mutator) == HEARTH_OK);
    return NULL;
}

START_TEST(threads)
{
    struct fixture f = fixture_open(modes[_i]);
    pthread_t thread[3];

    EXPECT(hearth_native_begin(f.mutator) == HEARTH_OK);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(pthread_create(&thread[i], NULL, assert_others, &f), 0);
    for (int i = 0; i < 3; i++)
        pthread_join(thread[i], NULL);
    EXPECT(hearth_native_end(f.mutator) == HEARTH_OK);
    HARNESS_OK(hearth_gc_collect(f.mutator, 2));
    ck_assert_uint_eq(hearth_leak_count(f.heap), 0);
    fixture_close(&f);
}
END_TEST

START_TEST(bad_input)
{
    fixture_alone();
    struct fixture f = fixture_open(NULL);
    hearth_leak leak = {.struct_size = 3};
    char *object = hearth_new_array(f.mutator, f.bytes, 10);
    char text[32];

    HARNESS_STATUS(hearth_assert_dead(NULL, object), HEARTH_EINVAL);
    HARNESS_STATUS_NAMES(hearth_assert_dead(f.mutator, NULL), HEARTH_EOBJECT, "nil");
    snprintf(text, sizeof text, "%p", (void *)(object + 1));
    HARNESS_STATUS_NAMES(hearth_assert_dead(f.mutator, object + 1), HEARTH_EOBJECT, text);
    ck_assert(!hearth_leak_next(f.heap, &leak));
    harness_expect_error("hearth_leak_next", HEARTH_EINVAL, "is 3, not");
    ck_assert(!hearth_leak_next(NULL, &leak));
    harness_expect_error("hearth_leak_next", HEARTH_EINVAL, "heap");
    ck_assert(!hearth_leak_next(f.heap, NULL));
    harness_expect_error("hearth_leak_next", HEARTH_EINVAL, "out");
    ck_assert_uint_eq(hearth_leak_count(NULL), 0);
    for (int n = 1; n <= 2; n++) {
        ht_fault_arm(HT_FAULT_ALLOC, (uint64_t)n, true);
        HARNESS_STATUS_NAMES(hearth_assert_dead(f.mutator, object), HEARTH_ENOMEM, "number 1");
        ht_fault_arm(HT_FAULT_ALLOC, 0, false);
    }
    HARNESS_OK(hearth_assert_dead(f.mutator, object));
    f.heap->leaks.object[0]++;
    HARNESS_STATUS_NAMES(hearth_verify(f.mutator), HEARTH_ECORRUPT, "no object");
    f.heap->leaks.object[0]--;
    f.heap->leaks.taken = 1;
    HARNESS_STATUS_NAMES(hearth_verify(f.mutator), HEARTH_ECORRUPT, "1 were taken");
    f.heap->leaks.taken = 0;
    fixture_close(&f);
}
END_TEST

HARNESS_SUITE(leaks)
{
    Suite *suite = suite_create("leaks");
    TCase *all = tcase_create("all");
    enum { MODES = sizeof modes / sizeof modes[0] };

    tcase_add_loop_test(all, dead_objects_are_not_told, 0, MODES);
    tcase_add_loop_test(all, a_live_object_is_told_once, 0, MODES);
    tcase_add_loop_test(all, the_path_names_holders_and_the_root, 0, MODES);
    tcase_add_loop_test(all, other_roots, 0, MODES);
    tcase_add_loop_test(all, a_deep_path_ends, 0, MODES);
    tcase_add_loop_test(all, the_newest_are_kept, 0, MODES);
    tcase_add_loop_test(all, threads, 0, MODES);
    tcase_add_test(all, bad_input);
    suite_add_tcase(suite, all);
    return suite;
}
