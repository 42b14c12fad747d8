/* tests/test_table_dead.c - dead entries of weak tables go though nobody puts anything any more. */
#include "tests/cell_fixture.h"

enum { KEYS = 5000, KEPT = 100, KINDS = 3 };

/* frame[0]: the table; frame[1], frame[2]: keys and values (KEYS each), `kept` of which live on. */
static void fill(struct fixture *f, void **ref, int kind, size_t kept)
{
    ref[0] = hearth_table_new(f->mutator, (hearth_table_kind)kind);
    EXPECT(ref[0] != NULL);
    ref[1] = cell_refs(f, KEYS);
    ref[2] = cell_refs(f, KEYS);
    for (size_t i = 0; i < KEYS; i++) {
        void **key = ref[1], **value = ref[2];
        cell_set(f, key, i, fixture_new(f->mutator, f->node, i));
        cell_set(f, value, i, fixture_new(f->mutator, f->node, i));
        HARNESS_OK(hearth_table_put(f->mutator, ref[0], key[i], value[i]));
    }
    for (int generation = 0; generation < 2; generation++)
        cell_collect(f, generation);
    for (size_t i = kept; i < KEYS; i++) {
        cell_set(f, ref[1], i, NULL);
        cell_set(f, ref[2], i, NULL);
    }
    cell_collect(f, 2);
}

static const struct hg_table *table_of(void **ref)
{
    return ref[0];
}

static bool go_on(hearth_mutator *mutator, void *key, void *value, void *data)
{
    (void)mutator;
    ++*(size_t *)data;
    return key != NULL && value != NULL;
}

/* One call that only looks. */
static void look(struct fixture *f, void **ref, int how, size_t i)
{
    void **key = ref[1], **value = ref[2], *found = NULL;
    size_t shown = 0;

    if (how == 0) {
        EXPECT(hearth_table_get(f->mutator, ref[0], key[i % KEPT], &found));
        EXPECT(found == value[i % KEPT]);
    } else if (how == 1) {
        EXPECT(!hearth_table_remove(f->mutator, ref[0], ref[1]));
    } else if (how == 2) {
        EXPECT(hearth_table_count(f->mutator, ref[0]) == KEPT);
    } else {
        HARNESS_OK(hearth_table_each(f->mutator, ref[0], go_on, &shown));
        EXPECT(shown == KEPT);
    }
}

START_TEST(looking_sweeps)
{
    struct fixture f = cell_open_alone();
    int kind = _i % KINDS, how = _i / KINDS;
    HEARTH_FRAME(f.mutator, frame, 3);
    fill(&f, frame.ref, kind, KEPT);
    ck_assert_uint_eq(table_of(frame.ref)->dead, KEYS - KEPT);
    size_t calls = 0;
    while (table_of(frame.ref)->dead > table_of(frame.ref)->entries / 4 + 8) {
        look(&f, frame.ref, how, calls++);
        EXPECT(calls <= 8192 / 16 + 1);
    }
    ck_assert_uint_eq(hearth_table_count(f.mutator, frame.ref[0]), KEPT);
    ck_assert_uint_eq(table_of(frame.ref)->entries, KEPT + table_of(frame.ref)->dead);
    cell_collect(&f, 2);
    size_t rest = 2 + 2 + 3 * KEPT; /* arrays, table and buckets, keys and values and entries */
    ck_assert_uint_le(fixture_stats(f.heap).live_objects, rest + KEPT / 3 + 11);
    for (size_t i = 0; i < KEPT; i++)
        look(&f, frame.ref, 0, i);
    HEARTH_FRAME_END(f.mutator, frame);
    fixture_close(&f);
}
END_TEST

/* A table nobody touches: the collection that finds all dead empties it. */
START_TEST(a_dead_table_is_emptied)
{
    for (int i = 0; i < CELL_MODES * KINDS; i++) {
        struct fixture f = fixture_open(i / KINDS == 1 ? "verify=on" : cell_mode[i / KINDS]);
        HEARTH_FRAME(f.mutator, frame, 3);
        fill(&f, frame.ref, i % KINDS, 0);
        ck_assert_uint_eq(table_of(frame.ref)->entries, 0);
        ck_assert_uint_eq(table_of(frame.ref)->dead, 0);
        cell_collect(&f, 2);
        ck_assert_uint_eq(fixture_stats(f.heap).live_objects, 4);
        cell_set(&f, frame.ref[1], 0, fixture_new(f.mutator, f.node, 1));
        cell_set(&f, frame.ref[2], 0, fixture_new(f.mutator, f.node, 2));
        void **key = frame.ref[1], **value = frame.ref[2], *found = NULL;
        HARNESS_OK(hearth_table_put(f.mutator, frame.ref[0], key[0], value[0]));
        ck_assert(hearth_table_get(f.mutator, frame.ref[0], key[0], &found));
        ck_assert_ptr_eq(found, value[0]);
        HEARTH_FRAME_END(f.mutator, frame);
        fixture_close(&f);
    }
}
END_TEST

struct killer {
    struct fixture *f;
    void **ref;
    size_t shown;
};

/* At the first entry all keys and values die, the one shown too; the visit goes on. */
static bool kill_all(hearth_mutator *mutator, void *key, void *value, void *data)
{
    struct killer *killer = data;
    (void)mutator;
    (void)key;
    (void)value;
    for (size_t i = 0; killer->shown == 0 && i < KEYS; i++) {
        cell_set(killer->f, killer->ref[1], i, NULL);
        cell_set(killer->f, killer->ref[2], i, NULL);
    }
    if (killer->shown++ == 0)
        cell_collect(killer->f, 2);
    return true;
}

START_TEST(a_visited_table_is_emptied)
{
    struct fixture f = fixture_open("verify=on");
    HEARTH_FRAME(f.mutator, frame, 3);
    fill(&f, frame.ref, _i, KEYS);
    struct killer killer = {&f, frame.ref, 0};
    HARNESS_OK(hearth_table_each(f.mutator, frame.ref[0], kill_all, &killer));
    ck_assert_uint_eq(killer.shown, 1);
    ck_assert_uint_eq(hearth_table_count(f.mutator, frame.ref[0]), 0);
    cell_collect(&f, 2);
    ck_assert_uint_eq(table_of(frame.ref)->entries, 0);
    HEARTH_FRAME_END(f.mutator, frame);
    fixture_close(&f);
}
END_TEST

HARNESS_SUITE(table_dead)
{
    Suite *suite = suite_create("table_dead");
    TCase *tests = tcase_create("table_dead");

    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, looking_sweeps, 0, 4 * KINDS);
    tcase_add_test(tests, a_dead_table_is_emptied);
    tcase_add_loop_test(tests, a_visited_table_is_emptied, 0, KINDS);
    suite_add_tcase(suite, tests);
    return suite;
}
