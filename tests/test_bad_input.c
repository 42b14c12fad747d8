/* tests/test_bad_input.c - every public function with every wrong argument.
 *
 * What must hold: the call returns a status, or NULL, 0 or -1 with the thread's last error set; the
 * message names the value; nothing aborts, in no build; and afterwards the heap verifies and works.
 * The inline functions are the checked ones here (HEARTH_CHECKED); what they check without it is in
 * test_alloc.c. */
#define HEARTH_CHECKED

#include "tests/mutator_fixture.h"

/* How a value is written in messages. */
static const char *number_text(long long number)
{
    static char text[4][32];
    static int next;

    next = (next + 1) % 4;
    snprintf(text[next], sizeof text[next], "%lld", number);
    return text[next];
}

static const char *pointer_text(const void *pointer)
{
    static char text[4][32];
    static int next;

    next = (next + 1) % 4;
    snprintf(text[next], sizeof text[next], "%p", pointer);
    return text[next];
}

static const char *type_text(hearth_type type)
{
    static char text[4][32];
    static int next;

    next = (next + 1) % 4;
    snprintf(text[next], sizeof text[next], "0x%x", type);
    return text[next];
}

/* A call that returns 0, NULL, false or -1 instead of a status. */
#define REFUSED(call, wrong, status, text)                                                         \
    do {                                                                                           \
        ck_assert_msg((call) == (wrong), "%s", #call);                                             \
        harness_expect_error(#call, (status), (text));                                             \
    } while (0)

/* A heap with something in all generations, that must survive whatever is done to it. */
struct victim {
    struct fixture f;
    hearth_frame *frames;
    struct {
        hearth_frame head;
        void *ref[3];
    } frame;
};

static void victim_open(struct victim *v, const char *options)
{
    v->f = fixture_open(options);
    v->frames = v->f.mutator->frames;
    v->frame.head = (hearth_frame){v->frames, 3};
    memset(v->frame.ref, 0, sizeof v->frame.ref);
    v->f.mutator->frames = &v->frame.head;
    fixture_list(v->f.mutator, v->f.node, 500, &v->frame.ref[0]);
    fixture_collect(v->f.mutator, 1);
    fixture_list(v->f.mutator, v->f.node, 400, &v->frame.ref[1]);
    fixture_collect(v->f.mutator, 0);
    fixture_list(v->f.mutator, v->f.node, 300, &v->frame.ref[2]);
}

/* Unharmed: it verifies, everything is there, and it allocates and collects. */
static void victim_check(struct victim *v)
{
    HARNESS_OK(hearth_verify(v->f.mutator));
    fixture_check_list(v->frame.ref[0], 500);
    fixture_check_list(v->frame.ref[1], 400);
    fixture_check_list(v->frame.ref[2], 300);
    ck_assert_ptr_eq(v->f.mutator->frames, &v->frame.head);
    fixture_garbage(v->f.mutator, v->f.node, 100);
    for (int generation = 0; generation < 3; generation++)
        fixture_collect(v->f.mutator, generation);
    fixture_check_list(v->frame.ref[0], 500);
    ck_assert_uint_eq(fixture_stats(v->f.heap).live_objects, 1200);
}

static void victim_close(struct victim *v)
{
    victim_check(v);
    v->f.mutator->frames = v->frames;
    fixture_close(&v->f);
}

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
    TCase *calls = tcase_create("calls"), *objects = tcase_create("objects");

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
