/* tests/test_remember.c - the buffers of remembered objects. */
#include "gc/remember.h"

#include "tests/harness.h"
#include "topology/os.h"

static void add(struct hg_remembered *set, uintptr_t object)
{
    ck_assert(hg_remember_room(set));
    hg_remember_add(set, object);
}

/* Counts, and the sum of all objects. */
static void expect(const struct hg_remembered *set, size_t count, uintptr_t sum)
{
    size_t found = 0;
    uintptr_t total = 0;

    for (const struct hg_remember_chunk *chunk = set->first; chunk != NULL; chunk = chunk->next) {
        ck_assert_uint_le(chunk->count, HG_REMEMBER_CHUNK);
        for (size_t i = 0; i < chunk->count; i++, found++)
            total += chunk->object[i];
    }
    ck_assert_uint_eq(set->count, count);
    ck_assert_uint_eq(found, count);
    ck_assert_uint_eq(total, sum);
}

static uintptr_t fill(struct hg_remembered *set, uintptr_t from, size_t count)
{
    uintptr_t sum = 0;

    for (size_t i = 0; i < count; i++, sum += from + i - 1)
        add(set, from + i);
    return sum;
}

START_TEST(a_set_keeps_everything)
{
    static const size_t counts[] = {
        0, 1, HG_REMEMBER_CHUNK - 1, HG_REMEMBER_CHUNK, HG_REMEMBER_CHUNK + 1, 10000};
    struct hg_remembered set = {NULL, 0};

    uintptr_t sum = fill(&set, 1000, counts[_i]);
    expect(&set, counts[_i], sum);
    hg_remember_free(&set);
    expect(&set, 0, 0);
    ck_assert_ptr_null(set.first);
}
END_TEST

START_TEST(resetting_keeps_one_buffer)
{
    struct hg_remembered set = {NULL, 0};

    hg_remember_reset(&set);
    ck_assert_ptr_null(set.first);
    fill(&set, 1, 5000);
    hg_remember_reset(&set);
    expect(&set, 0, 0);
    ck_assert_ptr_nonnull(set.first);
    ck_assert_ptr_null(set.first->next);
    uint64_t before = ht_fault_count(HT_FAULT_ALLOC);
    uintptr_t sum = fill(&set, 1, HG_REMEMBER_CHUNK);
    ck_assert_uint_eq(ht_fault_count(HT_FAULT_ALLOC), before);
    expect(&set, HG_REMEMBER_CHUNK, sum);
    hg_remember_free(&set);
}
END_TEST

START_TEST(moving_appends)
{
    static const size_t counts[] = {0, 1, 1500};

    for (int a = 0; a < 3; a++)
        for (int b = 0; b < 3; b++) {
            struct hg_remembered to = {NULL, 0}, from = {NULL, 0};
            uintptr_t sum = fill(&to, 1, counts[a]) + fill(&from, 100000, counts[b]);
            hg_remember_move(&to, &from);
            expect(&to, counts[a] + counts[b], sum);
            expect(&from, 0, 0);
            ck_assert_ptr_null(from.first);
            sum += fill(&to, 7, 2000); /* it can be filled further */
            sum += fill(&from, 9, 3);
            hg_remember_move(&to, &from);
            expect(&to, counts[a] + counts[b] + 2003, sum);
            hg_remember_free(&to);
        }
}
END_TEST

START_TEST(without_memory_there_is_no_room)
{
    struct hg_remembered set = {NULL, 0};

    ht_fault_arm(HT_FAULT_ALLOC, 1, true);
    ck_assert(!hg_remember_room(&set));
    ht_fault_arm(HT_FAULT_ALLOC, 0, false);
    uintptr_t sum = fill(&set, 1, HG_REMEMBER_CHUNK - 1);
    ht_fault_arm(HT_FAULT_ALLOC, 1, true);
    ck_assert(hg_remember_room(&set)); /* one more fits */
    hg_remember_add(&set, 5);
    ck_assert(!hg_remember_room(&set));
    expect(&set, HG_REMEMBER_CHUNK, sum + 5);
    ht_fault_arm(HT_FAULT_ALLOC, 0, false);
    hg_remember_free(&set);
}
END_TEST

HARNESS_SUITE(remember)
{
    Suite *suite = suite_create("remember");
    TCase *tcase = tcase_create("remember");

    tcase_add_loop_test(tcase, a_set_keeps_everything, 0, 6);
    tcase_add_test(tcase, resetting_keeps_one_buffer);
    tcase_add_test(tcase, moving_appends);
    tcase_add_test(tcase, without_memory_there_is_no_room);
    suite_add_tcase(suite, tcase);
    return suite;
}
