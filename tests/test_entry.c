/* tests/test_entry.c - entries of finalizers: slabs that come and go, the index, lines and their order. */
#include <stdlib.h>

#include "gc/entry.h"
#include "gc/line.h"
#include "tests/mutator_fixture.h"

enum { MANY = 3000 };

static void check(const struct hg_entries *entries, size_t registered, size_t found, size_t due)
{
    size_t count[3];

    ck_assert(hg_entries_check(entries, &count[0], &count[1], &count[2]));
    ck_assert_uint_eq(count[0], registered);
    ck_assert_uint_eq(count[1], found);
    ck_assert_uint_eq(count[2], due);
}

static size_t slabs(const struct hg_entries *entries)
{
    size_t count = 0;

    for (const struct hg_entry_slab *slab = entries->partial.first; slab; slab = slab->next)
        count++;
    for (const struct hg_entry_slab *slab = entries->full.first; slab; slab = slab->next)
        count++;
    return count;
}

static struct hg_entry *add(struct hg_entries *entries, uintptr_t object)
{
    struct hg_entry *entry = hg_entry_take(entries);

    EXPECT(entry != NULL);
    entry->object = object;
    hg_entry_register(entries, entry);
    return entry;
}

static void drop(struct hg_entries *entries, struct hg_entry *entry)
{
    hg_entry_unindex(entries, entry);
    hg_entry_withdraw(entry, HG_ENTRY_TAKEN);
    hg_entry_give(entries, entry);
}

START_TEST(entries_come_and_go)
{
    struct hg_entries entries = {0};
    uint64_t state = harness_seed();
    struct hg_entry *at[MANY] = {NULL};
    size_t count = 0;

    ck_assert_ptr_null(hg_entry_find(&entries, 16));
    for (uint64_t step = 0; step < 5 * MANY; step++) {
        size_t i = (size_t)harness_random_below(&state, MANY);
        uintptr_t object = (i + 1) * 16;
        EXPECT(hg_entry_find(&entries, object) == at[i]);
        if (at[i] == NULL) {
            at[i] = add(&entries, object);
            count++;
        } else {
            drop(&entries, at[i]);
            at[i] = NULL;
            count--;
        }
        if (step % 1000 == 0)
            check(&entries, count, 0, 0);
    }
    for (size_t i = 0; i < MANY; i++)
        if (at[i] != NULL)
            drop(&entries, at[i]);
    check(&entries, 0, 0, 0);
    hg_entries_age(&entries); /* slabs of young entries go when they are looked at */
    ck_assert_uint_eq(slabs(&entries), 1);
    ck_assert_ptr_null(entries.young);
    add(&entries, 16);
    ck_assert_uint_eq(slabs(&entries), 1);
    hg_entries_free(&entries);
    ck_assert_ptr_null(hg_entry_find(&entries, 16));
}
END_TEST

/* Found ones are due at once, and go to the line when it is asked for. */
START_TEST(found_entries_are_harvested)
{
    struct hg_entries entries = {0};
    struct hg_line line = {NULL, NULL, 0};
    struct hg_entry *at[MANY];
    size_t found = 0;

    for (size_t i = 0; i < MANY; i++)
        at[i] = add(&entries, (i + 1) * 16);
    for (struct hg_entry_slab *slab = entries.full.first; slab != NULL; slab = slab->next)
        for (unsigned i = 0; i < HG_ENTRY_SLAB; i += 3, found++)
            hg_entry_found(&entries, slab, i);
    check(&entries, MANY - found, found, 0);
    ck_assert(hg_entry_is_due(at[0]) && !hg_entry_is_due(at[1]));
    ck_assert_ptr_eq(hg_entry_find(&entries, 16), at[0]);
    hg_entries_harvest(&entries, &line);
    check(&entries, MANY - found, 0, found);
    ck_assert(hg_line_check(&line));
    ck_assert_uint_eq(line.count, found);
    ck_assert_ptr_eq(line.first, at[0]);
    ck_assert(hg_entry_is_due(at[0]));
    while (line.count != 0) {
        struct hg_entry *entry = hg_line_pop(&line);
        hg_entry_unindex(&entries, entry);
        hg_entry_give(&entries, entry);
    }
    ck_assert_ptr_null(hg_entry_find(&entries, 16));
    ck_assert_ptr_nonnull(hg_entry_find(&entries, 32));
    check(&entries, MANY - found, 0, 0);
    hg_entries_free(&entries);
}
END_TEST

/* Without memory for a larger index it works on; without any, or without a slab, it says so. */
START_TEST(memory_runs_out)
{
    struct hg_entries entries = {0};

    for (uint64_t n = 1; n <= 2; n++) {
        ht_fault_arm(HT_FAULT_ALLOC, n, true);
        ck_assert_ptr_null(hg_entry_take(&entries));
        ht_fault_arm(HT_FAULT_ALLOC, 0, false);
        check(&entries, 0, 0, 0);
    }
    add(&entries, 16);
    ht_fault_arm(HT_FAULT_ALLOC, 1, true);
    for (size_t i = 1; i < HG_ENTRY_SLAB; i++)
        add(&entries, (i + 1) * 16);
    ck_assert_ptr_null(hg_entry_take(&entries));
    ht_fault_arm(HT_FAULT_ALLOC, 0, false);
    for (size_t i = 0; i < HG_ENTRY_SLAB; i++)
        ck_assert_uint_eq(hg_entry_find(&entries, (i + 1) * 16)->object, (i + 1) * 16);
    check(&entries, HG_ENTRY_SLAB, 0, 0);
    hg_entries_free(&entries);
}
END_TEST

static int in_order(const void *a, const void *b)
{
    const struct hg_entry *x = a, *y = b;

    if (x->priority != y->priority)
        return x->priority > y->priority ? -1 : 1;
    return x->serial < y->serial ? -1 : x->serial > y->serial;
}

START_TEST(lines_are_sorted)
{
    uint64_t state = harness_seed() + (uint64_t)_i;
    size_t count = _i < 4 ? (size_t)_i : MANY;
    struct hg_entry *entry = calloc(MANY, sizeof *entry), *expected;
    struct hg_line line = {NULL, NULL, 0};

    for (size_t i = 0; i < count; i++) {
        entry[i].state = HG_ENTRY_DUE;
        entry[i].serial = i;
        entry[i].priority = (int)harness_random_below(&state, 1 + (uint64_t)_i) - 2;
    }
    for (size_t i = count; i > 1 && _i % 2; i--) { /* shuffled, or in order but for priorities */
        size_t j = (size_t)harness_random_below(&state, i);
        uint64_t serial = entry[j].serial;
        entry[j].serial = entry[i - 1].serial;
        entry[i - 1].serial = serial;
    }
    expected = malloc(MANY * sizeof *expected);
    memcpy(expected, entry, MANY * sizeof *expected);
    qsort(expected, count, sizeof *expected, in_order);
    for (size_t i = 0; i < count; i++)
        hg_line_add(&line, &entry[i]);
    hg_line_sort(&line);
    ck_assert(hg_line_check(&line));
    ck_assert_uint_eq(line.count, count);
    for (size_t i = 0; i < count; i++) {
        const struct hg_entry *next = hg_line_pop(&line);
        EXPECT(next->serial == expected[i].serial && next->priority == expected[i].priority);
    }
    ck_assert(line.first == NULL && line.last == NULL);
    free(entry);
    free(expected);
}
END_TEST

START_TEST(damage_is_seen)
{
    struct hg_entries entries = {0};
    size_t a, b, c;
    struct hg_entry *entry = add(&entries, 16);

    add(&entries, 32);
    entry->object = 48;
    ck_assert(!hg_entries_check(&entries, &a, &b, &c));
    entry->object = 16;
    entry->state = HG_ENTRY_TAKEN;
    ck_assert(!hg_entries_check(&entries, &a, &b, &c));
    entry->state = HG_ENTRY_REGISTERED;
    entries.indexed++;
    ck_assert(!hg_entries_check(&entries, &a, &b, &c));
    entries.indexed--;
    entries.young->is_young = false;
    ck_assert(!hg_entries_check(&entries, &a, &b, &c));
    entries.young->is_young = true;
    check(&entries, 2, 0, 0);
    hg_entries_free(&entries);
}
END_TEST

HARNESS_SUITE(entry)
{
    Suite *suite = suite_create("entry");
    TCase *tcase = tcase_create("entry");

    tcase_add_test(tcase, entries_come_and_go);
    tcase_add_test(tcase, found_entries_are_harvested);
    tcase_add_test(tcase, memory_runs_out);
    tcase_add_loop_test(tcase, lines_are_sorted, 0, 10);
    tcase_add_test(tcase, damage_is_seen);
    suite_add_tcase(suite, tcase);
    return suite;
}
