/* tests/test_guard.c - what options poison and guard find, and that they find nothing where nothing is.
 *
 * That memory checkers see the use of free memory is tested by tests/checkers.sh; here the faults are made
 * behind AddressSanitizer's back, and not at all under valgrind, which would tell of them. */
#define _GNU_SOURCE
#include "gc/guard.h"

#include "alloc/window_state.h"
#include "tests/mutator_fixture.h"

__attribute__((no_sanitize("address"), noinline)) static void wild_write(void *memory,
                                                                         unsigned char value)
{
    *(volatile unsigned char *)memory = value;
}

/* --- poison ------------------------------------------------------------------------------------------ */

START_TEST(find_other)
{
    unsigned char memory[100];

    memset(memory, 7, sizeof memory);
    ck_assert_ptr_null(ha_find_other(memory, 0, 7));
    ck_assert_ptr_null(ha_find_other(memory, sizeof memory, 7));
    ck_assert_ptr_eq(ha_find_other(memory, 1, 8), (char *)memory);
    for (size_t i = 0; i < sizeof memory; i++) {
        memory[i] = 8;
        ck_assert_ptr_eq(ha_find_other(memory, sizeof memory, 7), (char *)memory + i);
        ck_assert_ptr_null(ha_find_other(memory, i, 7));
        memory[i] = 7;
    }
}
END_TEST

/* Allocate and drop until the damaged cell has been handed out again. */
static hearth_status reuse_all(struct fixture *f, size_t bytes)
{
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 4000; i++)
            EXPECT(hearth_new_array(f->mutator, f->bytes, bytes) != NULL);
        hearth_status status = hearth_gc_collect(f->mutator, 2);
        if (status != HEARTH_OK)
            return status;
    }
    return HEARTH_OK;
}

/* A write to a freed object, while others of its block live (0) or none does (1). */
START_TEST(a_write_to_freed_memory_is_found)
{
    if (ha_on_valgrind())
        return;
    fixture_alone();
    struct fixture f = fixture_open("poison=on");
    HEARTH_FRAME(f.mutator, frame, 1);
    char text[32];
    char *victim = NULL;

    for (int i = 0; i < 100; i++) {
        char *object = hearth_new_array(f.mutator, f.bytes, 40);
        EXPECT(object != NULL);
        if (i == 50)
            victim = object;
        if (i == 10 && _i == 0)
            frame.ref[0] = object;
    }
    HARNESS_OK(hearth_gc_collect(f.mutator, 2));
    wild_write(victim + 17, 'x');
    snprintf(text, sizeof text, "byte %p", (void *)(victim + 17));
    ck_assert_int_eq(reuse_all(&f, 40), HEARTH_ECORRUPT);
    harness_expect_error("reuse", HEARTH_ECORRUPT, text);
    harness_expect_error("reuse", HEARTH_ECORRUPT, "0x78, not 0xfb");
    HARNESS_STATUS_NAMES(hearth_verify(f.mutator), HEARTH_ECORRUPT, text);
    ck_assert(fixture_is_zero(hearth_new_array(f.mutator, f.bytes, 40), 40));
    HEARTH_FRAME_END(f.mutator, frame);
    HARNESS_OK(hearth_detach(f.mutator));
    HARNESS_OK(hearth_heap_destroy(f.heap));
}
END_TEST

/* Memory that never was an object must be zero: a write there is found, and repaired. */
START_TEST(a_write_to_fresh_memory_is_found)
{
    if (ha_on_valgrind())
        return;
    fixture_alone();
    struct fixture f = fixture_open("poison=on");
    char *object = hearth_new_array(f.mutator, f.bytes, 1000);

    EXPECT(object != NULL);
    wild_write((char *)((uintptr_t)object & ~(uintptr_t)0xffff) + 50000, 5);
    for (int i = 0; i < 64; i++) {
        object = hearth_new_array(f.mutator, f.bytes, 1000);
        EXPECT(object != NULL && fixture_is_zero(object, 1000));
    }
    HARNESS_STATUS_NAMES(hearth_gc_collect(f.mutator, 0), HEARTH_ECORRUPT, "0x05, not 0x00");
    HARNESS_OK(hearth_detach(f.mutator));
    HARNESS_OK(hearth_heap_destroy(f.heap));
}
END_TEST

/* Large objects and small ones of all sizes take each other's blocks: the pattern is whole everywhere. */
START_TEST(blocks_change_their_size_under_poison)
{
    static const char *const options[] = {"poison=on,nursery=1m,heap-limit=24m",
                                          "poison=on,guard=on,nursery=1m,heap-limit=24m",
                                          "poison=on,release-after=1,nursery=1m,heap-limit=24m"};
    struct fixture f = fixture_open(options[_i]);
    HEARTH_FRAME(f.mutator, frame, 16);
    uint64_t state = harness_seed();

    for (uint64_t i = 0; i < harness_scaled(3000); i++) {
        size_t bytes = (size_t)1 << harness_random_below(&state, i % 50 == 0 ? 19 : 15);
        bytes += harness_random_below(&state, bytes);
        char *object = hearth_new_array(f.mutator, f.bytes, bytes);
        EXPECT(object != NULL && fixture_is_zero(object, bytes));
        memset(object, (int)i | 1, bytes);
        frame.ref[harness_random_below(&state, 16)] = object;
    }
    HEARTH_FRAME_END(f.mutator, frame);
    fixture_close(&f);
}
END_TEST

/* The first thread that finds damage tells; what the others find is not mixed in. */
START_TEST(only_the_first_damage_is_kept)
{
    struct ha_space space = {.nodes = 0};

    ck_assert_ptr_null(ha_damage_found(&space));
    ha_damage_note(&space, "first %d", 1);
    ha_damage_note(&space, "second");
    ck_assert_str_eq(ha_damage_found(&space), "first 1");
}
END_TEST

/* --- guards ------------------------------------------------------------------------------------------ */

static const size_t overrun_sizes[] = {1, 7, 8, 24, 33, 255, 1000, 32743, 32744, 100001, 5000003};

/* An object is overrun by one byte; it is alive (0), dead (1). A collection and the verifier say so. */
static void overrun(size_t size, bool dead, bool verifier)
{
    struct fixture f = fixture_open("guard=on");
    HEARTH_FRAME(f.mutator, frame, 1);
    char *object = frame.ref[0] = hearth_new_array(f.mutator, f.bytes, size);
    char text[64];

    EXPECT(object != NULL && fixture_is_zero(object, size));
    ck_assert_uint_eq(hearth_usable_size(f.heap, object), size);
    memset(object, 1, size);
    HARNESS_OK(hearth_gc_collect(f.mutator, 1));
    HARNESS_OK(hearth_verify(f.mutator));
    wild_write(object + size, 1);
    if (dead)
        frame.ref[0] = NULL;
    snprintf(text, sizeof text, "object %p (bytes, %zu bytes)", (void *)object, size);
    HARNESS_STATUS_NAMES(verifier ? hearth_verify(f.mutator)
                                  : hearth_gc_collect(f.mutator, dead ? 2 : 0),
                         HEARTH_ECORRUPT, text);
    snprintf(text, sizeof text, "offset %zu is 0x01", size);
    harness_expect_error("overrun", HEARTH_ECORRUPT, text);
    HEARTH_FRAME_END(f.mutator, frame);
    HARNESS_OK(hearth_detach(f.mutator));
    HARNESS_OK(hearth_heap_destroy(f.heap));
}

START_TEST(an_overrun_is_found)
{
    if (ha_on_valgrind())
        return;
    fixture_alone();
    overrun(overrun_sizes[_i], false, false);
    overrun(overrun_sizes[_i], true, false);
    overrun(overrun_sizes[_i], false, true);
}
END_TEST

/* The last byte of the guard too; and what is written within the object is nobody's business. */
START_TEST(the_whole_rest_of_the_cell_is_guard)
{
    if (ha_on_valgrind())
        return;
    fixture_alone();
    struct fixture f = fixture_open("guard=on");
    struct fixture_node *node = fixture_new(f.mutator, f.node, 1);
    size_t capacity = ha_object_capacity((uintptr_t)node);

    ck_assert_uint_ge(capacity, sizeof *node + HG_GUARD);
    HARNESS_OK(hearth_verify(f.mutator));
    wild_write((char *)node + capacity - 1, 0);
    HARNESS_STATUS_NAMES(hearth_verify(f.mutator), HEARTH_ECORRUPT, "(node, 32 bytes)");
    HARNESS_OK(hearth_detach(f.mutator));
    HARNESS_OK(hearth_heap_destroy(f.heap));
}
END_TEST

/* Every way to allocate gives guarded objects, also through the inline allocator. */
START_TEST(all_allocators_guard)
{
    static const char *const options[] = {
        "guard=on,verify=on,stress=3", "guard=on,generational=off,verify=on",
        "guard=on,poison=on,verify=on,fake-nodes=2,mode=local,workers=3,help-after=0"};
    struct fixture f = fixture_open(options[_i]);
    HEARTH_FRAME(f.mutator, frame, 4);

    for (uint64_t i = 0; i < harness_scaled(400); i++) {
        frame.ref[0] = hearth_alloc(f.mutator, f.node, sizeof(struct fixture_node));
        frame.ref[1] = hearth_alloc_array(f.mutator, f.refs, i % 40);
        frame.ref[2] = hearth_new(f.mutator, f.node);
        frame.ref[3] = hearth_new_on(f.mutator, f.bytes, i * 97, 0);
        fixture_list(f.mutator, f.node, 5, &frame.ref[0]);
    }
    for (int k = 0; k < 4; k++)
        EXPECT(ha_object_capacity((uintptr_t)frame.ref[k]) >=
               hearth_usable_size(f.heap, frame.ref[k]) + HG_GUARD);
    HEARTH_FRAME_END(f.mutator, frame);
    fixture_close(&f);
}
END_TEST

HARNESS_SUITE(guard)
{
    Suite *suite = suite_create("guard");
    TCase *poison = tcase_create("poison"), *guards = tcase_create("guards");

    tcase_add_test(poison, find_other);
    tcase_add_loop_test(poison, a_write_to_freed_memory_is_found, 0, 2);
    tcase_add_test(poison, a_write_to_fresh_memory_is_found);
    tcase_add_loop_test(poison, blocks_change_their_size_under_poison, 0, 3);
    tcase_add_test(poison, only_the_first_damage_is_kept);
    suite_add_tcase(suite, poison);
    tcase_add_loop_test(guards, an_overrun_is_found, 0,
                        sizeof overrun_sizes / sizeof overrun_sizes[0]);
    tcase_add_test(guards, the_whole_rest_of_the_cell_is_guard);
    tcase_add_loop_test(guards, all_allocators_guard, 0, 3);
    suite_add_tcase(suite, guards);
    return suite;
}
