/* tests/test_garbage.c - the list of garbage: entries are roots; DEBUG_SAVEALL; running out of memory. */
#include "tests/trace_fixture.h"

static struct item *new_item(struct fixture *f, uint64_t number)
{
    struct item *item = hearth_alloc(f->m, f->item, sizeof(*item));

    EXPECT(item != NULL);
    item->number = number;
    return item;
}

START_TEST(entries_keep_objects_alive)
{
    struct fixture f;
    size_t count;

    fixture_open(&f, "");
    ck_assert_uint_eq(hearth_gc_garbage_count(f.heap), 0);
    for (uint64_t i = 0; i < 200; i++)
        HARNESS_OK(hearth_gc_garbage_append(f.m, new_item(&f, i)));
    for (int generation = 0; generation < 3; generation++) {
        HARNESS_OK(hearth_gc_collect_count(f.m, generation, &count));
        ck_assert_uint_eq(count, 0);
        HARNESS_OK(hearth_verify(f.m));
    }
    ck_assert_uint_eq(hearth_gc_garbage_count(f.heap), 200);
    for (size_t i = 0; i < 200; i++)
        EXPECT(((struct item *)hearth_gc_garbage_get(f.m, i))->number == i);
    HARNESS_OK(hearth_gc_garbage_remove(f.m, 50));
    HARNESS_OK(hearth_gc_garbage_remove(f.m, 198));
    ck_assert_uint_eq(hearth_gc_garbage_count(f.heap), 198);
    EXPECT(((struct item *)hearth_gc_garbage_get(f.m, 49))->number == 49);
    EXPECT(((struct item *)hearth_gc_garbage_get(f.m, 50))->number == 51);
    HARNESS_OK(hearth_gc_collect_count(f.m, 2, &count));
    ck_assert_uint_eq(count, 2);
    HARNESS_OK(hearth_gc_garbage_clear(f.m));
    ck_assert_uint_eq(hearth_gc_garbage_count(f.heap), 0);
    HARNESS_OK(hearth_gc_collect_count(f.m, 2, &count));
    ck_assert_uint_eq(count, 198);
    fixture_close(&f);
}
END_TEST

START_TEST(bad_input)
{
    struct fixture f;
    static uint64_t foreign[4];

    fixture_open(&f, "");
    struct item *item = new_item(&f, 1);
    HARNESS_NULL(hearth_gc_garbage_get(f.m, 0), HEARTH_EINVAL);
    HARNESS_STATUS_NAMES(hearth_gc_garbage_remove(f.m, 17), HEARTH_EINVAL, "index 17");
    HARNESS_STATUS(hearth_gc_garbage_append(f.m, NULL), HEARTH_EINVAL);
    HARNESS_STATUS(hearth_gc_garbage_append(f.m, foreign), HEARTH_EOBJECT);
    HARNESS_STATUS(hearth_gc_garbage_append(f.m, (char *)item + 16), HEARTH_EOBJECT);
    HARNESS_STATUS(hearth_gc_garbage_append(NULL, item), HEARTH_EINVAL);
    HARNESS_STATUS(hearth_gc_garbage_clear(NULL), HEARTH_EINVAL);
    HARNESS_STATUS(hearth_gc_garbage_remove(NULL, 0), HEARTH_EINVAL);
    HARNESS_NULL(hearth_gc_garbage_get(NULL, 0), HEARTH_EINVAL);
    ck_assert_uint_eq(hearth_gc_garbage_count(NULL), 0);
    ht_fault_arm(HT_FAULT_ALLOC, 1, true);
    HARNESS_STATUS(hearth_gc_garbage_append(f.m, item), HEARTH_ENOMEM);
    ht_fault_arm(HT_FAULT_ALLOC, 0, false);
    ck_assert_uint_eq(hearth_gc_garbage_count(f.heap), 0);
    HARNESS_OK(hearth_native_begin(f.m));
    HARNESS_STATUS(hearth_gc_garbage_append(f.m, item), HEARTH_ESTATE);
    HARNESS_OK(hearth_native_end(f.m));
    fixture_close(&f);
}
END_TEST

static const char *const modes[] = {
    "verify=on",
    "verify=on,workers=3,help-after=0,fake-nodes=2,mode=local",
    "verify=on,generational=off",
};

/* Cycles, a large object and leaves that nothing refers to: all of them, each once, minor or full. */
START_TEST(saveall_keeps_what_is_unreachable)
{
    enum { PAIRS = 500 };
    struct fixture f;
    size_t count;

    fixture_open(&f, modes[_i / 3]);
    HEARTH_FRAME(f.m, frame, 2);
    frame.ref[0] = new_item(&f, 77);
    HARNESS_OK(hearth_gc_set_debug(f.heap, HEARTH_GC_DEBUG_SAVEALL));
    for (uint64_t i = 0; i < PAIRS; i++) {
        frame.ref[1] = new_item(&f, 2 * i);
        struct item *a = new_item(&f, 2 * i + 1), *b = frame.ref[1];
        hearth_store_init(&a->next, b);
        HARNESS_OK(hearth_store(f.m, b, &b->next, a));
    }
    frame.ref[1] = fixture_refs(&f, 30000);
    frame.ref[1] = NULL;
    HARNESS_OK(hearth_gc_collect_count(f.m, _i % 3, &count));
    ck_assert_uint_eq(count, 2 * PAIRS + 1);
    hearth_collection c = fixture_last(&f);
    ck_assert_uint_eq(c.collected, 2 * PAIRS + 1);
    ck_assert_uint_eq(c.uncollectable, 0);
    ck_assert_uint_eq(hearth_gc_garbage_count(f.heap), 2 * PAIRS + 1);
    uint64_t sum = 0;
    for (size_t i = 0; i < 2 * PAIRS + 1; i++) {
        struct item *item = hearth_gc_garbage_get(f.m, i);
        EXPECT(hearth_is_object(f.heap, item));
        if (hearth_type_of(f.heap, item) == f.item) {
            EXPECT(((struct item *)item->next)->next == item);
            sum += item->number;
        }
    }
    ck_assert_uint_eq(sum, (uint64_t)PAIRS * (2 * PAIRS - 1));
    HARNESS_OK(hearth_gc_collect_count(f.m, 2, &count)); /* they are roots now */
    ck_assert_uint_eq(count, 0);
    HARNESS_OK(hearth_gc_set_debug(f.heap, 0));
    HARNESS_OK(hearth_gc_garbage_clear(f.m));
    HARNESS_OK(hearth_gc_collect_count(f.m, 2, &count));
    ck_assert_uint_eq(count, 2 * PAIRS + 1);
    ck_assert_uint_eq(fixture_stats(&f).live_objects, 1);
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
}
END_TEST

/* What was saved as generation 1 and is then reached from a saved object that is old is marked twice, and
 * counted once. */
START_TEST(saved_objects_are_counted_once)
{
    enum { PAIRS = 300 };
    struct fixture f;
    size_t count;

    fixture_open(&f, "verify=on,nursery=64m");
    HEARTH_FRAME(f.m, frame, 1);
    frame.ref[0] = fixture_refs(&f, PAIRS);
    void **array = frame.ref[0];
    for (uint64_t i = 0; i < PAIRS; i++)
        HARNESS_OK(hearth_store(f.m, array, &array[i], new_item(&f, i)));
    HARNESS_OK(hearth_gc_collect(f.m, 0));
    for (uint64_t i = 0; i < PAIRS; i++) {
        struct item *item = array[i];
        HARNESS_OK(hearth_store(f.m, item, &item->next, new_item(&f, i)));
    }
    frame.ref[0] = NULL;
    HARNESS_OK(hearth_gc_set_debug(f.heap, HEARTH_GC_DEBUG_SAVEALL));
    HARNESS_OK(hearth_gc_collect_count(f.m, 0, &count));
    ck_assert_uint_eq(count, 2 * PAIRS + 1);
    ck_assert_uint_eq(hearth_gc_garbage_count(f.heap), 2 * PAIRS + 1);
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
}
END_TEST

/* What finds no place in the list is reclaimed, unless something saved refers to it. */
START_TEST(saveall_without_memory_loses_nothing_else)
{
    struct fixture f;
    size_t count;

    fixture_open(&f, "verify=on");
    HARNESS_OK(hearth_gc_garbage_append(f.m, new_item(&f, 5))); /* room for 64 */
    HARNESS_OK(hearth_gc_set_debug(f.heap, HEARTH_GC_DEBUG_SAVEALL));
    for (uint64_t i = 0; i < 1000; i++)
        new_item(&f, i);
    ht_fault_arm(HT_FAULT_ALLOC, 1, true);
    HARNESS_OK(hearth_gc_collect_count(f.m, 2, &count));
    ht_fault_arm(HT_FAULT_ALLOC, 0, false);
    ck_assert_uint_eq(count, 1000);
    ck_assert_uint_eq(hearth_gc_garbage_count(f.heap), 64);
    ck_assert_uint_eq(fixture_last(&f).collected, 1000);
    ck_assert_uint_eq(fixture_stats(&f).live_objects, 64);
    HARNESS_OK(hearth_verify(f.m));
    fixture_close(&f);
}
END_TEST

/* As a legacy finalizer would, in the place where those are looked for. */
START_TEST(adding_without_memory_is_reported)
{
    struct fixture f;

    fixture_open(&f, "");
    HEARTH_FRAME(f.m, frame, 1);
    frame.ref[0] = new_item(&f, 1);
    ht_fault_arm(HT_FAULT_ALLOC, 1, true);
    ck_assert(!hg_garbage_add(f.heap, (uintptr_t)frame.ref[0]));
    ht_fault_arm(HT_FAULT_ALLOC, 0, false);
    ck_assert(hg_garbage_add(f.heap, (uintptr_t)frame.ref[0]));
    ck_assert_uint_eq(hearth_gc_garbage_count(f.heap), 1);
    HEARTH_FRAME_END(f.m, frame);
    HARNESS_OK(hearth_gc_collect(f.m, 2));
    ck_assert_uint_eq(fixture_stats(&f).live_objects, 1);
    f.heap->control.garbage[0] += 16;
    HARNESS_STATUS_NAMES(hearth_verify(f.m), HEARTH_ECORRUPT, "entry 0 of garbage");
    f.heap->control.garbage[0] -= 16;
    fixture_close(&f);
}
END_TEST

HARNESS_SUITE(garbage)
{
    Suite *suite = suite_create("garbage");
    TCase *list = tcase_create("list");
    tcase_add_test(list, entries_keep_objects_alive);
    tcase_add_test(list, bad_input);
    tcase_add_test(list, adding_without_memory_is_reported);
    suite_add_tcase(suite, list);
    TCase *saveall = tcase_create("saveall");
    tcase_add_loop_test(saveall, saveall_keeps_what_is_unreachable, 0, 9);
    tcase_add_test(saveall, saved_objects_are_counted_once);
    tcase_add_test(saveall, saveall_without_memory_loses_nothing_else);
    suite_add_tcase(suite, saveall);
    return suite;
}
