/* tests/test_deep.c - structures as deep as the heap is large: no stack overflows, whatever their shape.
 *
 * The collecting thread has a stack of 128 KiB, and so have the workers; one frame per link would
 * need a thousand times that. HEARTH_DEEP=50000000 in the environment makes the chains that long (1.6 GB
 * of cells of 32 bytes), as the tests are meant to be run now and then. */
#define _GNU_SOURCE

#include "tests/mutator_fixture.h"

/* ThreadSanitizer's threads need more for themselves. */
#ifdef __SANITIZE_THREAD__
enum { SMALL_STACK = 1 << 20 };
#else
enum { SMALL_STACK = 128 << 10 };
#endif

/* A link, in a cell of 32 bytes. */
struct link {
    void *left;
    void *right;
};

/* How a shape's links are made: one that holds `next`. */
struct shape {
    const char *name;
    hearth_status (*type)(hearth_heap *heap, hearth_type *out);
    void *(*make)(hearth_mutator *m, hearth_type type, void **next);
    void *(*next)(const void *link);
};

static hearth_status bitmap_type(hearth_heap *heap, hearth_type *out)
{
    return hearth_type_fixed(heap, "link", sizeof(struct link), 3, out);
}

static void trace_link(void *object, size_t size, hearth_visitor *visitor)
{
    struct link *link = object;

    EXPECT(size == sizeof *link);
    visitor->slot(visitor, &link->left);
    visitor->slot(visitor, &link->right);
}

static hearth_status callback_type(hearth_heap *heap, hearth_type *out)
{
    hearth_type_info info = {.struct_size = sizeof info,
                             .name = "traced",
                             .size = sizeof(struct link),
                             .trace = trace_link};

    return hearth_type_register(heap, &info, out);
}

static void *make_list(hearth_mutator *m, hearth_type type, void **next)
{
    struct link *link = hearth_alloc(m, type, sizeof *link);

    if (link != NULL)
        hearth_store_init(&link->left, *next);
    return link;
}

static void *next_left(const void *link)
{
    return ((const struct link *)link)->left;
}

/* A tree that leans to the left: each node has a leaf at its right side, allocated first. */
static void *make_tree(hearth_mutator *m, hearth_type type, void **next)
{
    HEARTH_FRAME(m, frame, 1);
    struct link *leaf = hearth_alloc(m, type, sizeof *leaf);
    frame.ref[0] = leaf;
    struct link *link = leaf != NULL ? hearth_alloc(m, type, sizeof *link) : NULL;

    if (link != NULL) {
        hearth_store_init(&link->left, *next);
        hearth_store_init(&link->right, frame.ref[0]);
    }
    HEARTH_FRAME_END(m, frame);
    return link;
}

/* Two ways to every next link: 2^n paths, and the right one is pushed last. */
static void *make_twice(hearth_mutator *m, hearth_type type, void **next)
{
    struct link *link = make_list(m, type, next);

    if (link != NULL)
        hearth_store_init(&link->right, *next);
    return link;
}

static hearth_status refs_type(hearth_heap *heap, hearth_type *out)
{
    return hearth_type_refs(heap, "refs", out);
}

static void *make_array(hearth_mutator *m, hearth_type type, void **next)
{
    void **link = hearth_new_array(m, type, 3);

    if (link != NULL)
        hearth_store_init(&link[2], *next);
    return link;
}

static void *next_array(const void *link)
{
    return ((void *const *)link)[2];
}

static const struct shape shapes[] = {
    {"list", bitmap_type, make_list, next_left},
    {"left-deep tree", bitmap_type, make_tree, next_left},
    {"two ways", bitmap_type, make_twice, next_left},
    {"trace callback", callback_type, make_list, next_left},
    {"arrays", refs_type, make_array, next_array},
};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

static const char *const modes[] = {"", "generational=off,nursery=4m",
                                    "fake-nodes=2,mode=local,workers=3,help-after=0",
                                    "verify=on,prefetch=0"};
enum { MODES = sizeof modes / sizeof modes[0] };

static size_t links(void)
{
    const char *text = getenv("HEARTH_DEEP");

    return text != NULL ? strtoull(text, NULL, 10) : harness_scaled(120000);
}

struct deep {
    hearth_heap *heap;
    const struct shape *shape;
    size_t count;
};

static size_t length(const struct shape *shape, const void *link)
{
    size_t count = 0;

    for (; link != NULL; link = shape->next(link))
        count++;
    return count;
}

/* Young, then old, then garbage: every collection walks the chain from one end. */
static void *collect_deep(void *data)
{
    struct deep *deep = data;
    hearth_mutator *m = fixture_attach(deep->heap);
    HEARTH_FRAME(m, frame, 1);
    hearth_type type = 0;

    EXPECT(deep->shape->type(deep->heap, &type) == HEARTH_OK);
    EXPECT(hearth_gc_disable(deep->heap) == HEARTH_OK); /* the chain is traced young, in one go */
    for (size_t i = 0; i < deep->count; i++) {
        void *link = deep->shape->make(m, type, &frame.ref[0]);
        EXPECT(link != NULL);
        frame.ref[0] = link;
    }
    EXPECT(hearth_gc_enable(deep->heap) == HEARTH_OK);
    fixture_collect(m, 0);
    fixture_collect(m, 1);
    fixture_collect(m, 2);
    EXPECT(hearth_verify(m) == HEARTH_OK);
    EXPECT(length(deep->shape, frame.ref[0]) == deep->count);
    frame.ref[0] = NULL;
    fixture_collect(m, 2);
    EXPECT(fixture_stats(deep->heap).live_objects == 0);
    HEARTH_FRAME_END(m, frame);
    EXPECT(hearth_detach(m) == HEARTH_OK);
    return NULL;
}

START_TEST(no_stack_overflows)
{
    const struct shape *shape = &shapes[_i / MODES];
    pthread_attr_t attributes;
    pthread_t thread;
    char options[128];

    fixture_alone();
    ck_assert_int_eq(pthread_attr_init(&attributes), 0);
    ck_assert_int_eq(pthread_attr_setstacksize(&attributes, SMALL_STACK), 0);
    ck_assert_int_eq(pthread_setattr_default_np(&attributes), 0); /* the workers' */
    struct deep deep = {.shape = shape, .count = links()};
    snprintf(options, sizeof options, "heap-limit=%zu,%s", (deep.count * 80 | 1 << 26),
             modes[_i % MODES]);
    size_t end = strlen(options);
    if (options[end - 1] == ',')
        options[end - 1] = '\0';
    deep.heap = fixture_heap(options);
    ck_assert_int_eq(pthread_create(&thread, &attributes, collect_deep, &deep), 0);
    pthread_join(thread, NULL);
    pthread_attr_destroy(&attributes);
    HARNESS_OK(hearth_heap_destroy(deep.heap));
}
END_TEST

HARNESS_SUITE(deep)
{
    Suite *suite = suite_create("deep");
    TCase *all = tcase_create("all");

    if (getenv("HEARTH_DEEP") != NULL)
        tcase_set_timeout(all, 1200);
    tcase_add_loop_test(all, no_stack_overflows, 0, SHAPES * MODES);
    suite_add_tcase(suite, all);
    return suite;
}
