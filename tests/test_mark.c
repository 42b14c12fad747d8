/* tests/test_mark.c - the table of marks: ages over any sequence of collections. */
#include "gc/mark.h"

#include "tests/harness.h"

static void turn(struct hg_marks *marks, bool full, bool all_old)
{
    hg_marks_turn(marks, full, all_old);
    ck_assert_uint_ne(marks->gen1, marks->gen1_before);
    ck_assert_uint_ne(marks->old, marks->old_before);
}

static uint8_t next(const struct hg_marks *marks, uint8_t byte, int promote)
{
    return marks->next[promote * HG_BYTES + byte];
}

START_TEST(marks_fit_the_table_and_differ)
{
    struct hg_marks marks;
    uint8_t seen = 0;

    hg_marks_init(&marks);
    const uint8_t all[] = {marks.gen1, marks.gen1_before, marks.old, marks.old_before, HG_FROZEN};
    for (int i = 0; i < 5; i++) {
        ck_assert_uint_lt(all[i], HG_BYTES);
        ck_assert_uint_ne(all[i], HG_YOUNG);
        ck_assert_uint_eq(seen & all[i], 0);
        seen |= all[i];
    }
}
END_TEST

START_TEST(a_minor_collection_keeps_the_old_mark)
{
    struct hg_marks marks;

    hg_marks_init(&marks);
    uint8_t old = marks.old, gen1 = marks.gen1;
    turn(&marks, false, false);
    ck_assert_uint_eq(marks.old, old);
    ck_assert_uint_eq(marks.gen1_before, gen1);
    ck_assert_uint_eq(next(&marks, old, 0), old);
    ck_assert_uint_eq(next(&marks, HG_YOUNG, 0), marks.gen1);
    ck_assert_uint_eq(next(&marks, gen1, 0), old);
    ck_assert_uint_eq(next(&marks, HG_YOUNG, 1), old);
    turn(&marks, true, false);
    ck_assert_uint_eq(marks.old_before, old);
    ck_assert_uint_eq(next(&marks, old, 0), marks.old);
}
END_TEST

/* Marking twice changes nothing; promotion only goes up; nothing gets a mark of the past. */
START_TEST(the_table_is_idempotent_and_monotone)
{
    uint64_t random = harness_seed();
    struct hg_marks marks;

    hg_marks_init(&marks);
    for (int round = 0; round < 200; round++) {
        bool full = harness_random_below(&random, 2),
             all_old = harness_random_below(&random, 3) == 0;
        turn(&marks, full, all_old);
        for (uint8_t byte = 0; byte < HG_BYTES; byte++) {
            for (int promote = 0; promote < 2; promote++) {
                uint8_t to = next(&marks, byte, promote);
                if (byte == HG_FROZEN) {
                    ck_assert_uint_eq(to, HG_FROZEN);
                    continue;
                }
                ck_assert(to == marks.old || (to == marks.gen1 && !promote && !all_old));
                ck_assert_uint_eq(next(&marks, to, promote), to);
                ck_assert_uint_eq(next(&marks, to, 1), marks.old);
            }
        }
    }
}
END_TEST

/* Objects through random collections: those that were reached are kept by what reclaim.c takes for dead,
 * the others not; age is what was promised. */
START_TEST(ages_are_right_over_any_sequence)
{
    enum { OBJECTS = 64 };
    struct {
        uint8_t mark;
        int survived; /* collections; -1: free */
        bool old;
    } object[OBJECTS];
    uint64_t random = harness_seed();
    struct hg_marks marks;

    hg_marks_init(&marks);
    for (int i = 0; i < OBJECTS; i++)
        object[i].survived = -1;
    for (int round = 0; round < 2000; round++) {
        bool full = harness_random_below(&random, 3) == 0;
        bool all_old = harness_random_below(&random, 8) == 0;
        for (int i = 0; i < OBJECTS; i++)
            if (object[i].survived < 0 && harness_random_below(&random, 2)) {
                object[i].mark = HG_YOUNG;
                object[i].survived = 0;
                object[i].old = false;
            }
        turn(&marks, full, all_old);
        uint8_t dead_a = marks.gen1_before, dead_b = full ? marks.old_before : marks.gen1_before;
        for (int i = 0; i < OBJECTS; i++) {
            if (object[i].survived < 0)
                continue;
            bool reached = harness_random_below(&random, 4) != 0;
            bool promote = harness_random_below(&random, 8) == 0, was_old = object[i].old;
            if (reached) {
                object[i].mark = next(&marks, object[i].mark, 0);
                if (promote)
                    object[i].mark = next(&marks, object[i].mark, 1);
                object[i].survived++;
                object[i].old |= promote || all_old || object[i].survived >= 2;
            }
            bool kept =
                object[i].mark != HG_YOUNG && object[i].mark != dead_a && object[i].mark != dead_b;
            ck_assert(kept == (reached || (was_old && !full)));
            if (!kept) {
                object[i].survived = -1;
                continue;
            }
            ck_assert((object[i].mark == marks.old) == object[i].old);
        }
    }
}
END_TEST

HARNESS_SUITE(mark)
{
    Suite *suite = suite_create("mark");
    TCase *tcase = tcase_create("mark");

    tcase_add_test(tcase, marks_fit_the_table_and_differ);
    tcase_add_test(tcase, a_minor_collection_keeps_the_old_mark);
    tcase_add_test(tcase, the_table_is_idempotent_and_monotone);
    tcase_add_test(tcase, ages_are_right_over_any_sequence);
    suite_add_tcase(suite, tcase);
    return suite;
}
