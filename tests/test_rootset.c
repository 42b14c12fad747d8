/* tests/test_rootset.c - every kind of root is reported as what it is, in a path as its user sees it. */
#include <pthread.h>

#include "gc/inspect.h"
#include "gc/rootset.h"
#include "gc/trace.h"
#include "tests/mutator_fixture.h"

static bool keep_step(void *data, const hearth_path_step *step)
{
    *(hearth_path_step *)data = *step;
    return false; /* the first is enough */
}

/* The root of the object, which one root holds directly. */
static hearth_path_step root_of(struct fixture *f, void *object)
{
    hearth_path_step step = {0};
    size_t length = 0;

    HARNESS_OK(hearth_path_from_roots(f->mutator, object, keep_step, &step, &length));
    ck_assert_uint_eq(length, 1);
    ck_assert_ptr_eq(step.object, object);
    return step;
}

static void expect_root(struct fixture *f, void *object, hearth_root_kind kind, size_t owner,
                        size_t index, void **slot)
{
    hearth_path_step step = root_of(f, object);

    ck_assert_str_eq(hearth_root_kind_name(step.root), hearth_root_kind_name(kind));
    ck_assert_uint_eq(step.root_owner, owner);
    ck_assert_uint_eq(step.root_index, index);
    ck_assert_ptr_eq(step.root_slot, slot);
}

START_TEST(frames_and_handles_by_their_numbers)
{
    struct fixture f = fixture_open("");
    hearth_scope scope;

    HEARTH_FRAME(f.mutator, outer, 3);
    HEARTH_FRAME(f.mutator, inner, 2);
    outer.ref[1] = fixture_new(f.mutator, f.node, 1);
    inner.ref[1] = fixture_new(f.mutator, f.node, 2);
    expect_root(&f, inner.ref[1], HEARTH_ROOT_FRAME, 0, 1, &inner.ref[1]);
    expect_root(&f, outer.ref[1], HEARTH_ROOT_FRAME, 0, 3, &outer.ref[1]);
    HARNESS_OK(hearth_scope_open(f.mutator, &scope));
    void **handle = hearth_handle(f.mutator, fixture_new(f.mutator, f.node, 3));
    ck_assert_ptr_nonnull(handle);
    expect_root(&f, *handle, HEARTH_ROOT_HANDLE, 0, 1, handle); /* 0 is the scope's marker */
    HARNESS_OK(hearth_scope_close(f.mutator, &scope));
    HEARTH_FRAME_END(f.mutator, inner);
    HEARTH_FRAME_END(f.mutator, outer);
    fixture_close(&f);
}
END_TEST

struct provided {
    void *slot;
    uintptr_t word; /* inside an object */
};

static void provide(void *data, hearth_visitor *visitor)
{
    struct provided *provided = data;

    hearth_visit(visitor, &provided->slot);
    hearth_visit_ambiguous(visitor, &provided->word, &provided->word + 1);
}

START_TEST(global_slots_and_providers)
{
    struct fixture f = fixture_open("");
    struct provided none = {NULL, 0}, some = {NULL, 0};
    void *global = NULL, *removed = NULL;

    HARNESS_OK(hearth_root_add(f.heap, &removed));
    HARNESS_OK(hearth_root_add(f.heap, &global));
    HARNESS_OK(hearth_root_remove(f.heap, &removed));
    HARNESS_OK(hearth_root_provider_add(f.heap, provide, &none));
    HARNESS_OK(hearth_root_provider_add(f.heap, provide, &some));
    global = fixture_new(f.mutator, f.node, 1);
    some.slot = fixture_new(f.mutator, f.node, 2);
    void *inside = fixture_new(f.mutator, f.node, 3);
    some.word = (uintptr_t)inside + 17;
    expect_root(&f, global, HEARTH_ROOT_GLOBAL, 0, 0, &global);
    expect_root(&f, some.slot, HEARTH_ROOT_PROVIDER, 1, 0, &some.slot);
    expect_root(&f, inside, HEARTH_ROOT_PROVIDER, 1, 0, NULL);
    HARNESS_OK(hearth_root_provider_remove(f.heap, provide, &none));
    HARNESS_OK(hearth_root_provider_remove(f.heap, provide, &some));
    HARNESS_OK(hearth_root_remove(f.heap, &global));
    fixture_close(&f);
}
END_TEST

/* A thread that stands in a native section with a reference on its stack only. */
struct sitter {
    struct fixture *f;
    pthread_barrier_t *gate;
    uintptr_t hidden; /* the object, inverted: no root */
};

static void *sit(void *data)
{
    struct sitter *sitter = data;
    hearth_mutator *m = fixture_attach_conservative(sitter->f->heap);
    void *volatile local = fixture_new(m, sitter->f->node, 9);

    sitter->hidden = ~(uintptr_t)local;
    HARNESS_OK(hearth_native_begin(m));
    pthread_barrier_wait(sitter->gate);
    pthread_barrier_wait(sitter->gate);
    HARNESS_OK(hearth_native_end(m));
    EXPECT(((struct fixture_node *)local)->value == 9);
    HARNESS_OK(hearth_detach(m));
    return NULL;
}

START_TEST(stacks_of_other_threads)
{
    struct fixture f = fixture_open("");
    pthread_barrier_t gate;
    pthread_t thread;
    struct sitter sitter = {&f, &gate, 0};

    pthread_barrier_init(&gate, NULL, 2);
    ck_assert_int_eq(pthread_create(&thread, NULL, sit, &sitter), 0);
    HARNESS_OK(hearth_native_begin(f.mutator));
    pthread_barrier_wait(&gate);
    HARNESS_OK(hearth_native_end(f.mutator));
    expect_root(&f, (void *)~sitter.hidden, HEARTH_ROOT_STACK, 0, 0, NULL);
    HARNESS_OK(hearth_native_begin(f.mutator));
    pthread_barrier_wait(&gate);
    pthread_join(thread, NULL);
    HARNESS_OK(hearth_native_end(f.mutator));
    pthread_barrier_destroy(&gate);
    fixture_close(&f);
}
END_TEST

/* --- what the collector holds ------------------------------------------------------------------------------ */

static bool count_object(void *data, void *object)
{
    *(size_t *)data += object != NULL;
    return true;
}

static void count_address(void *data, uintptr_t object)
{
    *(uintptr_t *)data += object;
}

START_TEST(a_reporting_worker_traces_nothing)
{
    struct fixture f = fixture_open("");
    struct hg_worker worker;
    uintptr_t sum = 0;

    memset(&worker, 0, sizeof(worker));
    worker.report = count_address;
    worker.report_data = &sum;
    hg_trace_push(&worker, 48, 0);
    hg_trace_push(&worker, 160, HG_TAG_PROMOTE);
    ck_assert_uint_eq(sum, 208);
    ck_assert_uint_eq(worker.top, 0);
    fixture_close(&f);
}
END_TEST

/* Frozen objects have a mark of their own and need nothing that refers to them. */
START_TEST(frozen_objects)
{
    struct fixture f = fixture_open("");
    struct fixture_node *frozen = fixture_new(f.mutator, f.node, 1);
    hearth_path_step step = {0};
    size_t length = 0, count = 0;

    frozen->left = fixture_new(f.mutator, f.node, 2);
    *ha_meta_of((uintptr_t)frozen) = 16;
    expect_root(&f, frozen, HEARTH_ROOT_FROZEN, 0, 0, NULL);
    HARNESS_OK(hearth_path_from_roots(f.mutator, frozen->left, keep_step, &step, &length));
    ck_assert_uint_eq(length, 2);
    HARNESS_OK(hearth_gc_get_objects(f.mutator, -1, count_object, &count));
    ck_assert_uint_eq(count, 1); /* the other one */
    *ha_meta_of((uintptr_t)frozen) = 0;
    HARNESS_OK(hearth_gc_get_objects(f.mutator, -1, count_object, &count));
    ck_assert_uint_eq(count, 3);
    fixture_close(&f);
}
END_TEST

START_TEST(kinds_have_names)
{
    ck_assert_str_eq(hearth_root_kind_name(HEARTH_ROOT_NONE), "none");
    ck_assert_str_eq(hearth_root_kind_name(HEARTH_ROOT_COLLECTOR), "collector");
    ck_assert_str_eq(hearth_root_kind_name(HEARTH_ROOT_FROZEN), "frozen");
    ck_assert_str_eq(hearth_root_kind_name(HEARTH_ROOT_KINDS), "unknown");
    ck_assert_str_eq(hearth_root_kind_name((hearth_root_kind)-1), "unknown");
}
END_TEST

HARNESS_SUITE(rootset)
{
    Suite *suite = suite_create("rootset");
    TCase *tcase = tcase_create("rootset");

    tcase_add_test(tcase, frames_and_handles_by_their_numbers);
    tcase_add_test(tcase, global_slots_and_providers);
    tcase_add_test(tcase, stacks_of_other_threads);
    tcase_add_test(tcase, a_reporting_worker_traces_nothing);
    tcase_add_test(tcase, frozen_objects);
    tcase_add_test(tcase, kinds_have_names);
    suite_add_tcase(suite, tcase);
    return suite;
}
