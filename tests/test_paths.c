/* tests/test_paths.c - paths from roots: as short as the shadow says, every step a slot that holds the next
 * object, and the root is what it says. */
#include "tests/inspect_fixture.h"
#include "topology/os.h"

struct path {
    struct shadow *s;
    hearth_path_step *step;
    size_t count, most;
};

static bool path_add(void *data, const hearth_path_step *step)
{
    struct path *path = data;

    EXPECT(step->struct_size == sizeof(*step) && step->index == path->count);
    path->step[path->count++] = *step;
    return path->count != path->most;
}

/* Every step is a reference in the shadow too. */
static void expect_path(struct path *path, const struct oracle_object *to, size_t distance)
{
    struct shadow *s = path->s;

    ck_assert_uint_eq(path->count, distance + 1);
    ck_assert_ptr_eq(path->step[distance].object, to->address);
    EXPECT(s->rooted[shadow_at(s, path->step[0].object)]);
    EXPECT(path->step[0].root != HEARTH_ROOT_NONE);
    EXPECT(path->step[0].root_slot == NULL || *path->step[0].root_slot == path->step[0].object);
    for (size_t k = 0; k < path->count; k++) {
        const hearth_path_step *step = &path->step[k];
        const struct oracle_object *object = s->object[shadow_at(s, step->object)];
        EXPECT(step->length == path->count && step->type == s->heap.type[object->kind]);
        EXPECT(step->size == object->size || object->count == 0);
        if (k == 0)
            continue;
        const char *before = path->step[k - 1].object;
        EXPECT(step->root == HEARTH_ROOT_NONE && step->root_slot == NULL);
        EXPECT(*(void *const *)(const void *)(before + step->offset) == step->object);
        object = s->object[shadow_at(s, before)];
        bool is_slot = false;
        for (size_t i = 0; i < object->slots && !is_slot; i++)
            is_slot = (char *)oracle_slot(object, i) - before == (ptrdiff_t)step->offset;
        EXPECT(is_slot);
    }
}

START_TEST(paths_are_shortest)
{
    struct shadow s;

    shadow_open_mode(&s, _i);
    size_t *distance = calloc(s.count + 1, sizeof(*distance)), length;
    struct path path = {.s = &s, .step = calloc(s.count + 1, sizeof(*path.step))};
    shadow_distances(&s, SIZE_MAX, distance);
    for (uint64_t round = 0; round < harness_scaled(100); round++) {
        size_t i = shadow_pick(&s);
        path.count = 0;
        HARNESS_OK(hearth_path_from_roots(s.m, s.object[i]->address, path_add, &path, &length));
        ck_assert_uint_eq(length, path.count);
        expect_path(&path, s.object[i], distance[i]);
        if (length > 1) {
            path.count = 0;
            path.most = 1;
            HARNESS_OK(hearth_path_from_roots(s.m, s.object[i]->address, path_add, &path, NULL));
            ck_assert_uint_eq(path.count, 1);
            path.most = 0;
        }
    }
    free(distance);
    free(path.step);
    shadow_close(&s);
}
END_TEST

/* A list of many links: neither the search nor the path overflow a stack. */
struct tail {
    size_t count;
    void *last;
};

static bool tail_add(void *data, const hearth_path_step *step)
{
    struct tail *tail = data;

    EXPECT(step->index == tail->count++);
    tail->last = step->object;
    return true;
}

START_TEST(a_deep_list)
{
    size_t links = harness_scaled(1000000), length;
    struct oracle_heap heap;
    struct oracle o;
    struct tail tail = {0, NULL};
    hearth_retained retained = {.struct_size = sizeof(retained)};

    unsetenv("HEARTH_OPTIONS");
    oracle_heap_create(&heap, "heap-limit=256m");
    oracle_begin(&o, &heap, 1, 0);
    HEARTH_FRAME(o.mutator, frame, 2);
    for (size_t i = 0; i < links; i++) {
        void **pair = hearth_alloc(o.mutator, heap.type[ORACLE_PAIR], 16);
        EXPECT(pair != NULL);
        hearth_store_init(&pair[1], frame.ref[0]);
        frame.ref[0] = pair;
        if (i == 0)
            frame.ref[1] = pair;
    }
    void *last = frame.ref[1];
    frame.ref[1] = NULL;
    HARNESS_OK(hearth_path_from_roots(o.mutator, last, tail_add, &tail, &length));
    ck_assert_uint_eq(length, links);
    ck_assert_uint_eq(tail.count, links);
    ck_assert_ptr_eq(tail.last, last);
    HARNESS_OK(hearth_retained_size(o.mutator, frame.ref[0], &retained));
    ck_assert_uint_eq(retained.objects, links);
    HEARTH_FRAME_END(o.mutator, frame);
    oracle_end(&o, false);
    oracle_heap_destroy(&heap);
}
END_TEST

START_TEST(the_unreachable_have_no_path)
{
    struct oracle_heap heap;
    struct oracle o;
    struct tail tail = {0, NULL};
    size_t length = 7;

    unsetenv("HEARTH_OPTIONS");
    oracle_heap_create(&heap, "");
    oracle_begin(&o, &heap, 1, 0);
    HARNESS_OK(hearth_gc_disable(heap.heap));
    struct oracle_object *dead = oracle_new(&o, ORACLE_PAIR, 0);
    HARNESS_OK(hearth_path_from_roots(o.mutator, dead->address, tail_add, &tail, &length));
    ck_assert_uint_eq(length, 0);
    ck_assert_uint_eq(tail.count, 0);
    oracle_end(&o, false);
    oracle_heap_destroy(&heap);
}
END_TEST

START_TEST(bad_input_and_no_memory)
{
    static const enum ht_fault kinds[] = {HT_FAULT_ALLOC, HT_FAULT_MAP};
    struct shadow s;
    struct tail tail = {0, NULL};
    size_t length = 7;

    shadow_open(&s, "", 1, 500);
    void *object = s.object[0]->address;
    HARNESS_STATUS(hearth_path_from_roots(s.m, object, NULL, NULL, NULL), HEARTH_EINVAL);
    HARNESS_STATUS(hearth_path_from_roots(NULL, object, tail_add, &tail, NULL), HEARTH_EINVAL);
    HARNESS_STATUS(hearth_path_from_roots(s.m, NULL, tail_add, &tail, &length), HEARTH_EOBJECT);
    HARNESS_STATUS(hearth_path_from_roots(s.m, &s, tail_add, &tail, &length), HEARTH_EOBJECT);
    ck_assert_uint_eq(length, 7);
    for (int k = 0; k < 2; k++)
        for (uint64_t n = 1;; n++) {
            tail = (struct tail){0, NULL};
            ht_fault_arm(kinds[k], n, true);
            hearth_status status = hearth_path_from_roots(s.m, object, tail_add, &tail, &length);
            ht_fault_arm(kinds[k], 0, false);
            HARNESS_OK(hearth_verify(s.m));
            if (status == HEARTH_OK)
                break;
            EXPECT(status == HEARTH_ENOMEM && tail.count == 0 && n < 100);
        }
    shadow_close(&s);
}
END_TEST

HARNESS_SUITE(paths)
{
    Suite *suite = suite_create("paths");
    TCase *tcase = tcase_create("paths");

    tcase_add_loop_test(tcase, paths_are_shortest, 0, SHADOW_OPTIONS);
    tcase_add_test(tcase, a_deep_list);
    tcase_add_test(tcase, the_unreachable_have_no_path);
    tcase_add_test(tcase, bad_input_and_no_memory);
    suite_add_tcase(suite, tcase);
    return suite;
}
