/* tests/test_bad_input.c - every public function with every wrong argument; those that take
 * objects and types are in test_bad_object.c.
 *
 * What must hold: the call returns a status, or NULL, 0 or -1 with the thread's last error set; the
 * message names the value; nothing aborts, in no build; and afterwards the heap verifies and works.
 * The inline functions are the checked ones here (HEARTH_CHECKED); what they check without it is in
 * test_alloc.c. */
#define HEARTH_CHECKED

#include "tests/victim_fixture.h"

/* --- options and topology ------------------------------------------------------------------------------ */

START_TEST(options_calls)
{
    hearth_options *options;
    char buffer[8] = "before";

    HARNESS_STATUS_NAMES(hearth_options_create(NULL), HEARTH_EINVAL, "out");
    HARNESS_OK(hearth_options_create(&options));
    hearth_options_destroy(NULL);
    HARNESS_STATUS(hearth_options_set(NULL, "growth", "3"), HEARTH_EINVAL);
    HARNESS_STATUS(hearth_options_set(options, NULL, "3"), HEARTH_EINVAL);
    HARNESS_STATUS(hearth_options_set(options, "growth", NULL), HEARTH_EINVAL);
    HARNESS_STATUS_NAMES(hearth_options_set(options, "grwth", "3"), HEARTH_EOPTION, "grwth");
    HARNESS_STATUS_NAMES(hearth_options_set(options, "growth", "3x"), HEARTH_EOPTION, "3x");
    HARNESS_STATUS_NAMES(hearth_options_set(options, "growth", "0.5"), HEARTH_EOPTION, "0.5");
    HARNESS_STATUS_NAMES(hearth_options_set(options, "stress", "-1"), HEARTH_EOPTION, "-1");
    HARNESS_STATUS_NAMES(hearth_options_set(options, "heap-limit", "9999999999t"), HEARTH_EOPTION,
                         "9999999999t");
    HARNESS_STATUS_NAMES(hearth_options_set(options, "policy", "stric"), HEARTH_EOPTION, "stric");
    HARNESS_STATUS_NAMES(hearth_options_set(options, "verify", "maybe"), HEARTH_EOPTION, "maybe");
    HARNESS_STATUS_NAMES(hearth_options_set(options, "growth", ""), HEARTH_EOPTION, "growth");
    HARNESS_STATUS(hearth_options_parse(NULL, "growth=3"), HEARTH_EINVAL);
    HARNESS_STATUS(hearth_options_parse(options, NULL), HEARTH_EINVAL);
    HARNESS_STATUS_NAMES(hearth_options_parse(options, "growth=3,hop=1"), HEARTH_EOPTION, "hop");
    HARNESS_STATUS_NAMES(hearth_options_parse(options, "growth"), HEARTH_EOPTION, "growth");
    HARNESS_STATUS(hearth_options_get(NULL, "growth", buffer, 8), HEARTH_EINVAL);
    HARNESS_STATUS(hearth_options_get(options, NULL, buffer, 8), HEARTH_EINVAL);
    HARNESS_STATUS(hearth_options_get(options, "growth", NULL, 8), HEARTH_EINVAL);
    HARNESS_STATUS(hearth_options_get(options, "growth", buffer, 0), HEARTH_ESIZE);
    HARNESS_STATUS_NAMES(hearth_options_get(options, "grwth", buffer, 8), HEARTH_EOPTION, "grwth");
    HARNESS_STATUS_NAMES(hearth_options_get(options, "mode", buffer, 2), HEARTH_ESIZE, "mode");
    ck_assert_ptr_null(hearth_option_at(hearth_option_count()));
    ck_assert_ptr_null(hearth_option_at(SIZE_MAX));
    HARNESS_OK(hearth_options_get(options, "growth", buffer, 8)); /* nothing has changed */
    ck_assert_str_eq(buffer, "2");
    hearth_options_destroy(options);
}
END_TEST

START_TEST(topology_calls)
{
    hearth_topology *topology;
    hearth_node_info info = {.struct_size = sizeof info};

    fixture_alone();
    HARNESS_STATUS(hearth_topology_create(NULL, NULL), HEARTH_EINVAL);
    HARNESS_OK(hearth_topology_create(&topology, NULL));
    hearth_topology_destroy(NULL);
    ck_assert_int_eq(hearth_topology_nodes(NULL), 0);
    ck_assert_int_eq(hearth_topology_cpus(NULL), 0);
    ck_assert_int_eq(hearth_topology_cpus_allowed(NULL), 0);
    ck_assert_int_eq(hearth_topology_distance(NULL, 0, 0), -1);
    ck_assert_int_eq(hearth_topology_distance(topology, -1, 0), -1);
    ck_assert_int_eq(hearth_topology_distance(topology, 0, 99), -1);
    HARNESS_STATUS(hearth_topology_node(NULL, 0, &info), HEARTH_EINVAL);
    HARNESS_STATUS(hearth_topology_node(topology, 0, NULL), HEARTH_EINVAL);
    HARNESS_STATUS_NAMES(hearth_topology_node(topology, 99, &info), HEARTH_ENODE, "99");
    HARNESS_STATUS_NAMES(hearth_topology_node(topology, -1, &info), HEARTH_ENODE, "-1");
    info.struct_size = 3;
    HARNESS_STATUS_NAMES(hearth_topology_node(topology, 0, &info), HEARTH_EINVAL, "3");
    HARNESS_STATUS(hearth_topology_bind_thread(NULL, 0), HEARTH_EINVAL);
    HARNESS_STATUS_NAMES(hearth_topology_bind_thread(topology, 99), HEARTH_ENODE, "99");
    HARNESS_STATUS_NAMES(hearth_topology_bind_thread(topology, -1), HEARTH_ENODE, "-1");
    hearth_topology_destroy(topology);
}
END_TEST

/* --- heaps and mutators -------------------------------------------------------------------------------- */

START_TEST(heap_calls)
{
    struct victim v;
    hearth_options *options;

    HARNESS_STATUS_NAMES(hearth_heap_create(NULL, NULL), HEARTH_EINVAL, "out");
    fixture_alone();
    HARNESS_OK(hearth_options_create(&options));
    HARNESS_OK(hearth_options_set(options, "fake-nodes", "64"));
    HARNESS_STATUS(hearth_heap_create(NULL, options), HEARTH_EINVAL);
    hearth_options_destroy(options);
    victim_open(&v, NULL);
    HARNESS_STATUS_NAMES(hearth_heap_destroy(v.f.heap), HEARTH_ESTATE, "1 mutator");
    HARNESS_STATUS_NAMES(hearth_set_heap_limit(NULL, 1 << 20), HEARTH_EINVAL, "heap");
    HARNESS_STATUS_NAMES(hearth_set_heap_limit(v.f.heap, 0), HEARTH_ESIZE, "0 bytes");
    HARNESS_STATUS_NAMES(hearth_set_heap_limit(v.f.heap, 65536), HEARTH_ESIZE, "65536");
    HARNESS_STATUS_NAMES(hearth_gc_enable(NULL), HEARTH_EINVAL, "heap");
    HARNESS_STATUS_NAMES(hearth_gc_disable(NULL), HEARTH_EINVAL, "heap");
    ck_assert(!hearth_gc_isenabled(NULL));
    ck_assert(hearth_gc_isenabled(v.f.heap));
    victim_close(&v);
}
END_TEST

START_TEST(attach_calls)
{
    hearth_heap *heap = fixture_heap("fake-nodes=2");
    hearth_attach_options options = {.struct_size = sizeof options, .node = HEARTH_NODE_AUTO};
    hearth_mutator *mutator = NULL;

    HARNESS_STATUS_NAMES(hearth_attach(NULL, NULL, &mutator), HEARTH_EINVAL, "heap");
    HARNESS_STATUS_NAMES(hearth_attach(heap, NULL, NULL), HEARTH_EINVAL, "out");
    for (int node = -3; node < 100; node += 7) {
        options.node = node;
        if (node < -1 || node >= harness_nodes(2))
            HARNESS_STATUS_NAMES(hearth_attach(heap, &options, &mutator), HEARTH_ENODE,
                                 number_text(node));
    }
    options.node = INT32_MIN;
    HARNESS_STATUS_NAMES(hearth_attach(heap, &options, &mutator), HEARTH_ENODE, "-2147483648");
    options.node = 0;
    for (size_t size = 0; size < 64; size += 8) {
        options.struct_size = size;
        if (size != sizeof options)
            HARNESS_STATUS_NAMES(hearth_attach(heap, &options, &mutator), HEARTH_EINVAL,
                                 number_text((long long)size));
    }
    ck_assert_ptr_null(mutator);
    ck_assert_int_eq(fixture_stats(heap).mutators, 0);
    options.struct_size = sizeof options;
    HARNESS_OK(hearth_attach(heap, &options, &mutator));
    HARNESS_STATUS_NAMES(hearth_attach(heap, &options, &mutator), HEARTH_ESTATE,
                         pointer_text(heap));
    HARNESS_OK(hearth_detach(mutator));
    HARNESS_STATUS_NAMES(hearth_detach(NULL), HEARTH_EINVAL, "mutator");
    HARNESS_OK(hearth_heap_destroy(heap));
}
END_TEST

/* All that take a mutator, with none. */
START_TEST(null_mutator)
{
    struct victim v;
    hearth_scope scope;
    void *object;

    victim_open(&v, NULL);
    object = v.frame.ref[0];
    HARNESS_STATUS(hearth_native_begin(NULL), HEARTH_EINVAL);
    HARNESS_STATUS(hearth_native_end(NULL), HEARTH_EINVAL);
    HARNESS_STATUS(hearth_gc_collect(NULL, 0), HEARTH_EINVAL);
    HARNESS_STATUS(hearth_verify(NULL), HEARTH_EINVAL);
    HARNESS_STATUS(hearth_scope_open(NULL, &scope), HEARTH_EINVAL);
    HARNESS_STATUS(hearth_scope_close(NULL, &scope), HEARTH_EINVAL);
    HARNESS_NULL(hearth_handle(NULL, object), HEARTH_EINVAL);
    HARNESS_NULL(hearth_new(NULL, v.f.node), HEARTH_EINVAL);
    HARNESS_NULL(hearth_new_array(NULL, v.f.refs, 1), HEARTH_EINVAL);
    HARNESS_NULL(hearth_new_sized(NULL, v.f.refs, 1), HEARTH_EINVAL);
    HARNESS_NULL(hearth_new_on(NULL, v.f.refs, 1, 0), HEARTH_EINVAL);
    HARNESS_NULL(hearth_alloc_slow(NULL, v.f.node, 32), HEARTH_EINVAL);
    HARNESS_NULL(hearth_alloc_next(NULL, v.f.node, 32), HEARTH_EINVAL);
    HARNESS_NULL(hearth_array_next(NULL, v.f.refs, 2), HEARTH_EINVAL);
    HARNESS_NULL(hearth_alloc(NULL, v.f.node, 32), HEARTH_EINVAL);
    HARNESS_NULL(hearth_alloc_array(NULL, v.f.refs, 3), HEARTH_EINVAL);
    HARNESS_STATUS(hearth_store(NULL, object, object, NULL), HEARTH_EINVAL);
    HARNESS_STATUS(hearth_store_checked(NULL, object, object, NULL), HEARTH_EINVAL);
    HARNESS_STATUS(hearth_barrier_range(NULL, object, object, 1), HEARTH_EINVAL);
    HARNESS_STATUS(hearth_store_range(NULL, object, object, NULL, 0), HEARTH_EINVAL);
    HARNESS_STATUS(hearth_copy(NULL, object, object, object, object, 1), HEARTH_EINVAL);
    hearth_gc_collect(v.f.mutator, 7);
    hearth_safepoint(NULL);
    harness_expect_error("hearth_safepoint", HEARTH_EINVAL, "mutator");
    ck_assert_ptr_null(hearth_current(NULL));
    victim_close(&v);
}
END_TEST

/* All that take a mutator, from a thread that it is not: attached itself, or not. */
struct foreign {
    struct victim *v;
    bool attached;
};

static void *use_foreign(void *argument)
{
    struct foreign *foreign = argument;
    struct victim *v = foreign->v;
    hearth_mutator *m = v->f.mutator, *own = NULL;
    void *object = v->frame.ref[0];
    hearth_scope scope;
    const char *name = pointer_text(m);

    if (foreign->attached)
        own = fixture_attach(v->f.heap);
    HARNESS_STATUS_NAMES(hearth_detach(m), HEARTH_ETHREAD, name);
    HARNESS_STATUS_NAMES(hearth_native_begin(m), HEARTH_ETHREAD, name);
    HARNESS_STATUS_NAMES(hearth_native_end(m), HEARTH_ETHREAD, name);
    HARNESS_STATUS_NAMES(hearth_gc_collect(m, 2), HEARTH_ETHREAD, name);
    HARNESS_STATUS_NAMES(hearth_verify(m), HEARTH_ETHREAD, name);
    HARNESS_STATUS_NAMES(hearth_scope_open(m, &scope), HEARTH_ETHREAD, name);
    HARNESS_STATUS_NAMES(hearth_scope_close(m, &scope), HEARTH_ETHREAD, name);
    REFUSED(hearth_handle(m, object), NULL, HEARTH_ETHREAD, name);
    REFUSED(hearth_new(m, v->f.node), NULL, HEARTH_ETHREAD, name);
    REFUSED(hearth_new_array(m, v->f.refs, 1), NULL, HEARTH_ETHREAD, name);
    REFUSED(hearth_new_sized(m, v->f.refs, 1), NULL, HEARTH_ETHREAD, name);
    REFUSED(hearth_new_on(m, v->f.refs, 1, 0), NULL, HEARTH_ETHREAD, name);
    REFUSED(hearth_alloc(m, v->f.node, 32), NULL, HEARTH_ETHREAD, name);
    REFUSED(hearth_alloc_array(m, v->f.refs, 3), NULL, HEARTH_ETHREAD, name);
    HARNESS_STATUS_NAMES(hearth_store(m, object, object, NULL), HEARTH_ETHREAD, name);
    HARNESS_STATUS_NAMES(hearth_barrier_range(m, object, object, 1), HEARTH_ETHREAD, name);
    HARNESS_STATUS_NAMES(hearth_store_range(m, object, object, NULL, 0), HEARTH_ETHREAD, name);
    HARNESS_STATUS_NAMES(hearth_copy(m, object, object, object, object, 1), HEARTH_ETHREAD, name);
    hearth_safepoint_slow(m);
    harness_expect_error("hearth_safepoint", HEARTH_ETHREAD, name);
    ck_assert_ptr_eq(hearth_current(v->f.heap), own);
    if (own != NULL)
        HARNESS_OK(hearth_detach(own));
    return NULL;
}

START_TEST(foreign_thread)
{
    struct victim v;
    struct foreign foreign = {.v = &v, .attached = _i};
    pthread_t thread;

    victim_open(&v, NULL);
    ck_assert_int_eq(pthread_create(&thread, NULL, use_foreign, &foreign), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    victim_close(&v);
}
END_TEST

START_TEST(generations)
{
    static const int wrong[] = {-1, 3, 7, 100, INT32_MAX, INT32_MIN};
    struct victim v;
    hearth_stats before, after;

    fixture_alone();
    victim_open(&v, NULL);
    before = fixture_stats(v.f.heap);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        HARNESS_STATUS_NAMES(hearth_gc_collect(v.f.mutator, wrong[i]), HEARTH_EINVAL,
                             number_text(wrong[i]));
    after = fixture_stats(v.f.heap);
    ck_assert_uint_eq(after.minor_count + after.full_count, before.minor_count + before.full_count);
    victim_close(&v);
}
END_TEST

/* --- roots, handles, statistics ------------------------------------------------------------------------------- */

static void provide_nothing(void *data, hearth_visitor *visitor)
{
    (void)data, (void)visitor;
}

START_TEST(root_calls)
{
    struct victim v;
    void *slot = NULL;
    hearth_scope scope;

    victim_open(&v, NULL);
    HARNESS_STATUS_NAMES(hearth_root_add(NULL, &slot), HEARTH_EINVAL, "heap");
    HARNESS_STATUS_NAMES(hearth_root_add(v.f.heap, NULL), HEARTH_EINVAL, "slot");
    HARNESS_STATUS_NAMES(hearth_root_remove(NULL, &slot), HEARTH_EINVAL, "heap");
    HARNESS_STATUS_NAMES(hearth_root_remove(v.f.heap, NULL), HEARTH_EINVAL, "slot");
    HARNESS_STATUS_NAMES(hearth_root_remove(v.f.heap, &slot), HEARTH_ESTATE, pointer_text(&slot));
    HARNESS_STATUS_NAMES(hearth_root_provider_add(NULL, provide_nothing, NULL), HEARTH_EINVAL,
                         "heap");
    HARNESS_STATUS_NAMES(hearth_root_provider_add(v.f.heap, NULL, NULL), HEARTH_EINVAL, "fn");
    HARNESS_STATUS(hearth_root_provider_remove(NULL, provide_nothing, NULL), HEARTH_EINVAL);
    HARNESS_STATUS(hearth_root_provider_remove(v.f.heap, NULL, NULL), HEARTH_EINVAL);
    HARNESS_STATUS_NAMES(hearth_root_provider_remove(v.f.heap, provide_nothing, &v), HEARTH_ESTATE,
                         pointer_text(&v));
    HARNESS_STATUS_NAMES(hearth_scope_open(v.f.mutator, NULL), HEARTH_EINVAL, "scope");
    HARNESS_STATUS_NAMES(hearth_scope_close(v.f.mutator, NULL), HEARTH_EINVAL, "scope");
    memset(&scope, 0x5a, sizeof scope);
    HARNESS_STATUS_NAMES(hearth_scope_close(v.f.mutator, &scope), HEARTH_ESTATE,
                         pointer_text(&scope));
    REFUSED(hearth_handle(v.f.mutator, v.frame.ref[0]), NULL, HEARTH_ESTATE, "scope");
    victim_close(&v);
}
END_TEST

START_TEST(stats_calls)
{
    struct victim v;
    hearth_stats stats = {.struct_size = sizeof stats};
    hearth_node_stats node = {.struct_size = sizeof node};
    hearth_collection collection = {.struct_size = sizeof collection};
    hearth_heap *fresh = fixture_heap(NULL);

    victim_open(&v, "fake-nodes=2");
    HARNESS_STATUS(hearth_get_stats(NULL, &stats), HEARTH_EINVAL);
    HARNESS_STATUS(hearth_get_stats(v.f.heap, NULL), HEARTH_EINVAL);
    HARNESS_STATUS(hearth_get_node_stats(NULL, 0, &node), HEARTH_EINVAL);
    HARNESS_STATUS(hearth_get_node_stats(v.f.heap, 0, NULL), HEARTH_EINVAL);
    HARNESS_STATUS_NAMES(hearth_get_node_stats(v.f.heap, -1, &node), HEARTH_ENODE, "-1");
    HARNESS_STATUS_NAMES(hearth_get_node_stats(v.f.heap, 99, &node), HEARTH_ENODE, "99");
    HARNESS_STATUS(hearth_last_collection(NULL, &collection), HEARTH_EINVAL);
    HARNESS_STATUS(hearth_last_collection(v.f.heap, NULL), HEARTH_EINVAL);
    HARNESS_STATUS_NAMES(hearth_last_collection(fresh, &collection), HEARTH_ESTATE,
                         pointer_text(fresh));
    for (size_t size = 0; size < 400; size += 8) {
        stats.struct_size = node.struct_size = collection.struct_size = size;
        if (size != sizeof stats)
            HARNESS_STATUS_NAMES(hearth_get_stats(v.f.heap, &stats), HEARTH_EINVAL,
                                 number_text((long long)size));
        if (size != sizeof node)
            HARNESS_STATUS_NAMES(hearth_get_node_stats(v.f.heap, 0, &node), HEARTH_EINVAL,
                                 number_text((long long)size));
        if (size != sizeof collection)
            HARNESS_STATUS_NAMES(hearth_last_collection(v.f.heap, &collection), HEARTH_EINVAL,
                                 number_text((long long)size));
    }
    REFUSED(hearth_pause_percentile(NULL, -1, 50), 0, HEARTH_EINVAL, "heap");
    REFUSED(hearth_pause_percentile(v.f.heap, 2, 50), 0, HEARTH_EINVAL, "kind 2");
    ck_assert_uint_gt(hearth_pause_percentile(v.f.heap, -7, -3), 0);
    ck_assert_str_eq(hearth_gc_reason_name((hearth_gc_reason)99), "unknown");
    ck_assert_str_eq(hearth_status_name((hearth_status)99), "HEARTH_?");
    ck_assert_ptr_nonnull(hearth_strerror((hearth_status)-1));
    HARNESS_OK(hearth_heap_destroy(fresh));
    victim_close(&v);
}
END_TEST

HARNESS_SUITE(bad_input)
{
    Suite *suite = suite_create("bad_input");
    TCase *calls = tcase_create("calls");

    tcase_add_test(calls, options_calls);
    tcase_add_test(calls, topology_calls);
    tcase_add_test(calls, heap_calls);
    tcase_add_test(calls, attach_calls);
    tcase_add_test(calls, null_mutator);
    tcase_add_loop_test(calls, foreign_thread, 0, 2);
    tcase_add_test(calls, generations);
    tcase_add_test(calls, root_calls);
    tcase_add_test(calls, stats_calls);
    suite_add_tcase(suite, calls);
    return suite;
}
