/* tests/test_alloc.c - the slow path: every size, and what memory holds.
 *
 * What must hold: memory is zero however dirty its last use was. Limits are tested in test_limits.c. */
#include "alloc/class.h"
#include "alloc/window_state.h"
#include "tests/mutator_fixture.h"

/* --- sizes --------------------------------------------------------------------------------------- */

/* hearth_alloc with a size the compiler knows: its own class and cell, its own run. */
#define CONSTANT(bytes)                                                                            \
    do {                                                                                           \
        hearth_type type_;                                                                         \
        char *object_;                                                                             \
        HARNESS_OK(hearth_type_fixed(f.heap, #bytes, (bytes), (bytes) >= 8, &type_));              \
        for (int i_ = 0; i_ < 3; i_++) {                                                           \
            object_ = hearth_alloc(f.mutator, type_, (bytes));                                     \
            ck_assert_msg(object_ != NULL, "%d bytes: %s", (int)(bytes), hearth_last_error());     \
            EXPECT((uintptr_t)object_ % 16 == 0 && fixture_is_zero(object_, (bytes)));             \
            EXPECT(hearth_type_of(f.heap, object_) == type_);                                      \
            EXPECT(hearth_usable_size(f.heap, object_) >= (bytes));                                \
            EXPECT(hearth_usable_size(f.heap, object_) == expected_usable(bytes));                 \
            memset(object_, 0xff, (bytes) >= 8 ? (bytes)-8 : (bytes));                             \
            memset(object_, 0, (bytes) >= 8 ? 8 : 0);                                              \
        }                                                                                          \
    } while (0)

static size_t expected_usable(size_t bytes)
{
    return bytes > HA_SMALL_MAX ? bytes : ha_class_cell(ha_class_of(bytes)) - HEARTH_HEADER;
}

#define CONSTANTS_16(n)                                                                            \
    CONSTANT(n);                                                                                   \
    CONSTANT((n) + 1);                                                                             \
    CONSTANT((n) + 7);                                                                             \
    CONSTANT((n) + 8);                                                                             \
    CONSTANT((n) + 9);                                                                             \
    CONSTANT((n) + 15)
#define CONSTANTS_64(n)                                                                            \
    CONSTANTS_16(n);                                                                               \
    CONSTANTS_16((n) + 16);                                                                        \
    CONSTANTS_16((n) + 32);                                                                        \
    CONSTANTS_16((n) + 48)
/* An octave from n to 2n: its eight steps and their edges. */
#define STEP(n, s)                                                                                 \
    CONSTANT((n) + (n) / 8 * (s)-8);                                                               \
    CONSTANT((n) + (n) / 8 * (s)-7);                                                               \
    CONSTANT((n) + (n) / 8 * (s) + (n) / 16)
#define OCTAVE(n)                                                                                  \
    STEP(n, 1);                                                                                    \
    STEP(n, 2);                                                                                    \
    STEP(n, 3);                                                                                    \
    STEP(n, 4);                                                                                    \
    STEP(n, 5);                                                                                    \
    STEP(n, 6);                                                                                    \
    STEP(n, 7);                                                                                    \
    STEP(n, 8)

START_TEST(constant_sizes)
{
    struct fixture f = fixture_open(NULL);

    CONSTANTS_64(1);
    CONSTANTS_64(65);
    CONSTANTS_64(129);
    CONSTANTS_64(193);
    OCTAVE(256);
    OCTAVE(512);
    OCTAVE(1024);
    OCTAVE(2048);
    OCTAVE(4096);
    CONSTANT(8184);
    CONSTANT(8185);
    CONSTANT(9352);
    CONSTANT(9353);
    CONSTANT(10904);
    CONSTANT(13096);
    CONSTANT(16360);
    CONSTANT(21832);
    CONSTANT(32744);
    CONSTANT(32745);
    CONSTANT(65536);
    CONSTANT(1000000);
    fixture_close(&f);
}
END_TEST

/* The same sizes at run time give the same classes. */
START_TEST(variable_sizes)
{
    struct fixture f = fixture_open(NULL);

    for (size_t bytes = 1; bytes <= 34000; bytes += bytes < 600 ? 1 : 37) {
        hearth_type type;
        volatile size_t hidden = bytes;

        HARNESS_OK(hearth_type_leaf(f.heap, NULL, bytes, &type));
        EXPECT(hearth_usable_size(f.heap, hearth_alloc(f.mutator, type, hidden)) ==
               expected_usable(bytes));
        EXPECT(hearth_usable_size(f.heap, hearth_new(f.mutator, type)) == expected_usable(bytes));
    }
    fixture_close(&f);
}
END_TEST

/* Inline, and out of line, array lengths on both sides of every border. */
START_TEST(array_lengths)
{
    struct fixture f = fixture_open(NULL);
    hearth_type_info info = {.struct_size = sizeof info, .size = 4, .element_size = 3};
    hearth_type odd;

    HARNESS_OK(hearth_type_register(f.heap, &info, &odd));
    for (size_t count = 0; count < 70000; count += count < 300 ? 1 : 701) {
        const hearth_type types[] = {f.refs, f.bytes, odd};
        const size_t bytes[] = {count * 8, count, count * 3 + 4};

        for (int i = 0; i < 3; i++) {
            void *array = hearth_alloc_array(f.mutator, types[i], count);

            EXPECT(array != NULL && hearth_length(f.heap, array) == count);
            EXPECT(hearth_usable_size(f.heap, array) >= bytes[i]);
            EXPECT(fixture_is_zero(array, bytes[i]));
        }
    }
    fixture_close(&f);
}
END_TEST

/* What the inline functions look at themselves, in a loop as well: no mutator, another cell's size. */
START_TEST(inline_checks)
{
    struct fixture f = fixture_open(NULL);
    hearth_mutator *volatile none = NULL;

    for (int i = 0; i < 3; i++) {
        HARNESS_NULL(hearth_alloc(none, f.node, sizeof(struct fixture_node)), HEARTH_EINVAL);
        HARNESS_NULL(hearth_alloc(none, f.node, 100000), HEARTH_EINVAL);
        HARNESS_NULL(hearth_alloc_array(none, f.refs, 3), HEARTH_EINVAL);
        HARNESS_NULL(hearth_alloc_array(none, f.refs, 100000), HEARTH_EINVAL);
        HARNESS_NULL(hearth_alloc(f.mutator, f.node, sizeof(struct fixture_node) + 16),
                     HEARTH_ESIZE);
        HARNESS_NULL(hearth_alloc(f.mutator, f.node, 0), HEARTH_ESIZE);
        HARNESS_NULL(hearth_alloc(f.mutator, f.node, SIZE_MAX), HEARTH_ESIZE);
        HARNESS_NULL(hearth_alloc(f.mutator, f.refs, 16), HEARTH_ESIZE);
        HARNESS_NULL(hearth_alloc(f.mutator, 0, 16), HEARTH_ETYPE);
        HARNESS_NULL(hearth_alloc_array(f.mutator, 0, 1), HEARTH_ETYPE);
        HARNESS_NULL(hearth_alloc_array(f.mutator, f.node, 1), HEARTH_ETYPE);
        HARNESS_NULL(hearth_alloc_array(f.mutator, 0x7ffe, 1), HEARTH_ETYPE);
        HARNESS_NULL(hearth_alloc_array(f.mutator, f.refs, SIZE_MAX / 8 + 1), HEARTH_ESIZE);
        (void)hearth_gc_collect(f.mutator, 9);
        hearth_safepoint(none);
        harness_expect_error("hearth_safepoint", HEARTH_EINVAL, "mutator");
        ck_assert_ptr_nonnull(hearth_alloc(f.mutator, f.node, sizeof(struct fixture_node)));
    }
    fixture_close(&f);
}
END_TEST

/* --- what memory holds ---------------------------------------------------------------------------- */

/* Every class and kind: fill objects with ones, drop most of them, collect, and take the cells again. */
static void reuse_dirty(const char *options, bool keep)
{
    struct fixture f = fixture_open(options);
    void *ones = (void *)UINTPTR_MAX;

    HEARTH_FRAME(f.mutator, frame, 1);
    frame.ref[0] = hearth_new_array(f.mutator, f.refs, 64);
    for (unsigned c = 0; c < HEARTH_CLASSES; c++)
        for (int leaf = 0; leaf < 2; leaf++) {
            size_t bytes = ha_class_cell(c) - HEARTH_HEADER, words = bytes / 8;
            size_t count = 3 * HA_BLOCK / bytes + 3;
            hearth_type type = leaf ? f.bytes : f.refs;

            for (int round = 0; round < 3; round++) {
                for (size_t i = 0; i < count; i++) {
                    void **object = hearth_alloc_array(f.mutator, type, leaf ? bytes : words);

                    EXPECT(object != NULL && (uintptr_t)object % 16 == 0);
                    EXPECT(fixture_is_zero(object, words * 8));
                    if (keep && i % 5 == 0)
                        EXPECT(hearth_store(f.mutator, frame.ref[0],
                                            (void **)frame.ref[0] + i / 5 % 64, object) == 0);
                    for (size_t w = 0; w < words; w++)
                        object[w] = ones; /* no address of the heap's */
                }
                fixture_collect(f.mutator, round);
            }
        }
    HEARTH_FRAME_END(f.mutator, frame);
    fixture_close(&f);
}

START_TEST(dirty_cells_are_zero)
{
    reuse_dirty("nursery=1m", false);
}
END_TEST

START_TEST(dirty_cells_between_live_ones)
{
    reuse_dirty("nursery=1m", true);
}
END_TEST

START_TEST(poisoned_cells_are_zero)
{
    reuse_dirty("nursery=1m,poison=on,verify=on", true);
}
END_TEST

/* Large objects of one block, of many, and of chunks; reused with and without having been given back. */
START_TEST(dirty_large_objects)
{
    static const size_t sizes[] = {HA_SMALL_MAX + 1, 65520,   65521,  1 << 20,
                                   3932144,          3932145, 6 << 20};
    struct fixture f = fixture_open(_i ? "release-after=10" : "release-after=0");

    for (int round = 0; round < 4; round++) {
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            char *object = hearth_new_array(f.mutator, f.bytes, sizes[i]);

            EXPECT(object != NULL && (uintptr_t)object % 16 == 0);
            EXPECT(fixture_is_zero(object, sizes[i]));
            memset(object, 0xa5, sizes[i]);
        }
        fixture_collect(f.mutator, round % 3);
        if (_i)
            fixture_sleep_ms(40);
    }
    fixture_close(&f);
}
END_TEST

/* 100 MB: allocated, kept, freed; and the memory is the system's again. */
START_TEST(huge_objects)
{
    enum { HUGE = 100 << 20 };
    struct fixture f = fixture_open("heap-limit=512m,release-after=20");
    size_t before = fixture_resident(), during;
    char *object;

    HEARTH_FRAME(f.mutator, frame, 2);
    object = frame.ref[0] = hearth_new_array(f.mutator, f.bytes, HUGE);
    ck_assert_msg(object != NULL, "%s", hearth_last_error());
    memset(object, 0x5a, HUGE);
    frame.ref[1] = hearth_new_array(f.mutator, f.refs, HUGE / 16);
    ck_assert_ptr_nonnull(frame.ref[1]);
    for (size_t i = 0; i < HUGE / 16; i += 100000) {
        struct fixture_node *node = fixture_new(f.mutator, f.node, i);

        HARNESS_OK(hearth_store(f.mutator, frame.ref[1], (void **)frame.ref[1] + i, node));
    }
    for (int generation = 0; generation < 3; generation++) {
        fixture_collect(f.mutator, generation);
        ck_assert(object[0] == 0x5a && object[HUGE / 2] == 0x5a && object[HUGE - 1] == 0x5a);
        for (size_t i = 0; i < HUGE / 16; i += 100000)
            EXPECT((*(struct fixture_node **)((void **)frame.ref[1] + i))->value == i);
    }
    during = fixture_resident();
    frame.ref[0] = frame.ref[1] = NULL;
    fixture_collect(f.mutator, 2);
    ck_assert_uint_lt(fixture_stats(f.heap).heap_bytes, FIXTURE_MIB);
    if (!FIXTURE_SANITIZED && !ha_on_valgrind()) { /* their shadow memory stays resident */
        ck_assert_uint_ge(during, before + HUGE);
        /* A node may keep a huge page of its metadata. */
        size_t after = before + (6 << 20) + ((size_t)f.heap->topology->nodes << 21);
        for (int i = 0; i < 200 && fixture_resident() > after; i++)
            fixture_sleep_ms(10);
        ck_assert_uint_le(fixture_resident(), after);
    }
    HEARTH_FRAME_END(f.mutator, frame);
    fixture_close(&f);
}
END_TEST

HARNESS_SUITE(alloc)
{
    Suite *suite = suite_create("alloc");
    TCase *sizes = tcase_create("sizes"), *memory = tcase_create("memory");

    tcase_add_test(sizes, constant_sizes);
    tcase_add_test(sizes, variable_sizes);
    tcase_add_test(sizes, array_lengths);
    tcase_add_test(sizes, inline_checks);
    suite_add_tcase(suite, sizes);
    tcase_add_test(memory, dirty_cells_are_zero);
    tcase_add_test(memory, dirty_cells_between_live_ones);
    tcase_add_test(memory, poisoned_cells_are_zero);
    tcase_add_loop_test(memory, dirty_large_objects, 0, 2);
    tcase_add_test(memory, huge_objects);
    suite_add_tcase(suite, memory);
    return suite;
}
