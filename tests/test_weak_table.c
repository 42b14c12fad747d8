/* tests/test_weak_table.c - weak tables of all kinds: what they hold, what vanishes, growing and shrinking. */
#include "tests/cell_fixture.h"

static void *new_table(struct fixture *f, int kind)
{
    void *table = hearth_table_new(f->mutator, (hearth_table_kind)kind);

    EXPECT(table != NULL);
    return table;
}

static void put(struct fixture *f, void *table, void *key, void *value)
{
    hearth_status status = hearth_table_put(f->mutator, table, key, value);

    EXPECT(status == HEARTH_OK);
}

static void *get(struct fixture *f, void *table, void *key)
{
    void *value = NULL;
    bool found = hearth_table_get(f->mutator, table, key, &value);

    EXPECT(found || value == NULL);
    return found ? value : NULL;
}

static size_t buckets(const void *table)
{
    return *hearth_header_of(((const struct hg_table *)table)->buckets) >> 32;
}

START_TEST(an_entry_lives_as_long_as_what_it_holds_weakly)
{
    for (int i = 0; i < CELL_MODES * 3; i++) {
        int kind = i % 3;
        struct fixture f = cell_open(i / 3);
        HEARTH_FRAME(f.mutator, frame, 3);
        frame.ref[0] = new_table(&f, kind);
        frame.ref[1] = fixture_new(f.mutator, f.node, 1);
        frame.ref[2] = fixture_new(f.mutator, f.node, 2);
        void *key = frame.ref[1], *value = frame.ref[2];
        put(&f, frame.ref[0], key, value);
        bool values = kind == HEARTH_TABLE_WEAK_VALUES;
        frame.ref[values ? 1 : 2] = NULL; /* held by the entry */
        for (int generation = 0; generation < 3; generation++) {
            cell_collect(&f, generation);
            ck_assert_ptr_eq(get(&f, frame.ref[0], key), value);
            ck_assert_uint_eq(hearth_table_count(f.mutator, frame.ref[0]), 1);
            ck_assert_uint_eq(((struct fixture_node *)value)->value, 2);
        }
        frame.ref[values ? 2 : 1] = NULL;
        cell_collect(&f, 2);
        ck_assert_uint_eq(hearth_table_count(f.mutator, frame.ref[0]), 0);
        ck_assert(!hearth_is_object(f.heap, value) || !hearth_is_object(f.heap, key));
        cell_collect(&f, 2);
        ck_assert(!hearth_is_object(f.heap, value) && !hearth_is_object(f.heap, key));
        HEARTH_FRAME_END(f.mutator, frame);
        fixture_close(&f);
    }
}
END_TEST

START_TEST(a_value_that_refers_to_its_key)
{
    for (int kind = 0; kind < 3; kind++) {
        struct fixture f = fixture_open("verify=on");
        HEARTH_FRAME(f.mutator, frame, 2);
        frame.ref[0] = new_table(&f, kind);
        frame.ref[1] = fixture_new(f.mutator, f.node, 1);
        put(&f, frame.ref[0], frame.ref[1], frame.ref[1]);
        frame.ref[1] = NULL;
        cell_collect(&f, 2);
        cell_collect(&f, 2);
        ck_assert_uint_eq(hearth_table_count(f.mutator, frame.ref[0]),
                          kind == HEARTH_TABLE_EPHEMERON ? 0 : 1);
        HEARTH_FRAME_END(f.mutator, frame);
        fixture_close(&f);
    }
}
END_TEST

START_TEST(putting_replaces)
{
    for (int i = 0; i < CELL_MODES * 3; i++) {
        struct fixture f = cell_open(i / 3);
        HEARTH_FRAME(f.mutator, frame, 4);
        frame.ref[0] = new_table(&f, i % 3);
        frame.ref[1] = fixture_new(f.mutator, f.node, 1);
        frame.ref[2] = fixture_new(f.mutator, f.node, 2);
        frame.ref[3] = fixture_new(f.mutator, f.node, 3);
        put(&f, frame.ref[0], frame.ref[1], frame.ref[2]);
        cell_collect(&f, 1);
        put(&f, frame.ref[0], frame.ref[1], frame.ref[3]);
        put(&f, frame.ref[0], frame.ref[1], frame.ref[3]);
        frame.ref[2] = NULL;
        for (int generation = 0; generation < 3; generation++) {
            cell_collect(&f, generation);
            ck_assert_ptr_eq(get(&f, frame.ref[0], frame.ref[1]), frame.ref[3]);
            ck_assert_uint_eq(hearth_table_count(f.mutator, frame.ref[0]), 1);
        }
        ck_assert(hearth_table_remove(f.mutator, frame.ref[0], frame.ref[1]));
        ck_assert(!hearth_table_remove(f.mutator, frame.ref[0], frame.ref[1]));
        ck_assert(!hearth_table_get(f.mutator, frame.ref[0], frame.ref[1], NULL));
        ck_assert_uint_eq(hearth_table_count(f.mutator, frame.ref[0]), 0);
        cell_collect(&f, 2);
        HEARTH_FRAME_END(f.mutator, frame);
        fixture_close(&f);
    }
}
END_TEST

/* Random puts, removals and deaths, against an array that says what must be there. */
START_TEST(a_table_agrees_with_a_model)
{
    enum { KEYS = 600, STEPS = 20000 };
    uint64_t random = harness_seed() + (uint64_t)_i;
    bool must[KEYS] = {false};
    int kind = _i % 3;
    struct fixture f = fixture_open(_i / 3 == 0   ? "verify=on"
                                    : _i / 3 == 1 ? "verify=on,workers=3,help-after=0"
                                                  : "verify=on,fake-nodes=2,mode=local,workers=3,"
                                                    "help-after=0");
    HEARTH_FRAME(f.mutator, frame, 3);
    frame.ref[0] = new_table(&f, kind);
    frame.ref[1] = cell_refs(&f, KEYS); /* keys   */
    frame.ref[2] = cell_refs(&f, KEYS); /* values */
    void **key = frame.ref[1], **value = frame.ref[2];
    size_t biggest = 0, steps = harness_scaled(STEPS);
    for (size_t step = 0; step < steps; step++) {
        bool growing = step / (steps / 4) % 2 == 0;
        size_t i = harness_random_below(&random, KEYS);
        uint64_t what = harness_random_below(&random, growing ? 10 : 40);
        if (what < 8) {
            if (key[i] == NULL)
                cell_set(&f, key, i, fixture_new(f.mutator, f.node, i));
            cell_set(&f, value, i, fixture_new(f.mutator, f.node, i + KEYS));
            put(&f, frame.ref[0], key[i], value[i]);
            must[i] = true;
        } else if (key[i] != NULL && what % 2 == 0) {
            EXPECT(hearth_table_remove(f.mutator, frame.ref[0], key[i]) == must[i]);
            must[i] = false;
        } else if (key[i] != NULL) { /* dies; its entry if it is what is held weakly */
            cell_set(&f, key, i, NULL);
            cell_set(&f, value, i, NULL);
            must[i] = false;
        }
        if (step % (steps / 20) == 0) {
            cell_collect(&f, 2);
            size_t count = 0;
            for (size_t k = 0; k < KEYS; k++) {
                count += must[k];
                EXPECT(key[k] == NULL ||
                       get(&f, frame.ref[0], key[k]) == (must[k] ? value[k] : NULL));
            }
            ck_assert_uint_eq(hearth_table_count(f.mutator, frame.ref[0]), count);
            biggest = buckets(frame.ref[0]) > biggest ? buckets(frame.ref[0]) : biggest;
        } else if (step % (steps / 50) == 0) {
            cell_collect(&f, 0);
        }
    }
    ck_assert_uint_ge(biggest, 64);
    HEARTH_FRAME_END(f.mutator, frame);
    fixture_close(&f);
}
END_TEST

START_TEST(a_table_grows_and_shrinks)
{
    enum { KEYS = 5000 };
    struct fixture f = fixture_open("");
    HEARTH_FRAME(f.mutator, frame, 2);
    frame.ref[0] = new_table(&f, HEARTH_TABLE_EPHEMERON);
    frame.ref[1] = cell_refs(&f, KEYS);
    void **key = frame.ref[1];
    ck_assert_uint_eq(buckets(frame.ref[0]), 8);
    for (size_t i = 0; i < KEYS; i++) {
        cell_set(&f, key, i, fixture_new(f.mutator, f.node, i));
        put(&f, frame.ref[0], key[i], NULL);
    }
    ck_assert_uint_eq(buckets(frame.ref[0]), 8192);
    ck_assert_uint_eq(hearth_table_count(f.mutator, frame.ref[0]), KEYS);
    for (size_t i = 0; i < KEYS; i++)
        EXPECT(hearth_table_get(f.mutator, frame.ref[0], key[i], NULL));
    for (size_t i = 10; i < KEYS; i++)
        cell_set(&f, key, i, NULL);
    cell_collect(&f, 2);
    ck_assert_uint_eq(hearth_table_count(f.mutator, frame.ref[0]), 10);
    cell_set(&f, key, 10, fixture_new(f.mutator, f.node, 10));
    put(&f, frame.ref[0], key[10], NULL);
    ck_assert_uint_le(buckets(frame.ref[0]), 64);
    cell_collect(&f, 2);
    ck_assert_uint_eq(fixture_stats(f.heap).live_objects, 1 + 1 + 1 + 11 + 11);
    HARNESS_OK(hearth_verify(f.mutator));
    HEARTH_FRAME_END(f.mutator, frame);
    fixture_close(&f);
}
END_TEST

/* --- keys compared by contents ------------------------------------------------------------------- */

static uint64_t hash_value(const void *key, void *data)
{
    ++*(int *)data;
    return ((const struct fixture_node *)key)->value % 7; /* many agree */
}

static bool equal_value(const void *a, const void *b, void *data)
{
    (void)data;
    return ((const struct fixture_node *)a)->value == ((const struct fixture_node *)b)->value;
}

START_TEST(keys_may_be_compared_by_contents)
{
    for (int kind = 0; kind < 3; kind++) {
        int hashed = 0;
        struct fixture f = fixture_open("verify=on");
        HEARTH_FRAME(f.mutator, frame, 4);
        frame.ref[0] = hearth_table_new_with(f.mutator, (hearth_table_kind)kind, hash_value,
                                             equal_value, &hashed);
        ck_assert_ptr_nonnull(frame.ref[0]);
        frame.ref[1] = cell_refs(&f, 100);
        for (size_t i = 0; i < 100; i++) {
            cell_set(&f, frame.ref[1], i, fixture_new(f.mutator, f.node, i));
            put(&f, frame.ref[0], ((void **)frame.ref[1])[i], ((void **)frame.ref[1])[i]);
        }
        for (size_t i = 0; i < 100; i++) {
            frame.ref[2] = fixture_new(f.mutator, f.node, i);
            ck_assert_ptr_eq(get(&f, frame.ref[0], frame.ref[2]), ((void **)frame.ref[1])[i]);
        }
        ck_assert_int_ge(hashed, 200);
        ck_assert(hearth_table_remove(f.mutator, frame.ref[0], frame.ref[2]));
        ck_assert(!hearth_table_get(f.mutator, frame.ref[0], ((void **)frame.ref[1])[99], NULL));
        ck_assert_uint_eq(hearth_table_count(f.mutator, frame.ref[0]), 99);
        HEARTH_FRAME_END(f.mutator, frame);
        fixture_close(&f);
    }
}
END_TEST

/* --- visiting -------------------------------------------------------------------------------------- */

struct visit {
    struct fixture *f;
    void *table; /* rooted by the test */
    size_t seen, stop;
    uint64_t sum;
    bool change;
};

static bool visit_entry(hearth_mutator *mutator, void *key, void *value, void *data)
{
    struct visit *visit = data;
    HEARTH_FRAME(mutator, frame, 2);

    frame.ref[0] = key;
    frame.ref[1] = value;
    visit->seen++;
    visit->sum += ((struct fixture_node *)key)->value;
    EXPECT(((struct fixture_node *)value)->value == ((struct fixture_node *)key)->value + 1000);
    if (visit->change) {
        EXPECT(hearth_table_remove(mutator, visit->table, key));
        if (visit->seen % 50 == 0)
            cell_collect(visit->f, visit->seen % 3);
        for (int i = 0; i < 3; i++) {
            void *more = fixture_new(mutator, visit->f->node, 0);
            if (visit->seen < 10)
                put(visit->f, visit->table, value, more);
        }
        EXPECT(hearth_table_remove(mutator, visit->table, value) == (visit->seen < 10));
    }
    HEARTH_FRAME_END(mutator, frame);
    return visit->seen != visit->stop;
}

START_TEST(visiting_entries)
{
    enum { KEYS = 300 };
    for (int kind = 0; kind < 3; kind++) {
        struct fixture f = fixture_open("verify=on");
        HEARTH_FRAME(f.mutator, frame, 3);
        frame.ref[0] = new_table(&f, kind);
        frame.ref[1] = cell_refs(&f, 2 * KEYS);
        void **object = frame.ref[1];
        for (size_t i = 0; i < KEYS; i++) {
            cell_set(&f, object, i, fixture_new(f.mutator, f.node, i));
            cell_set(&f, object, KEYS + i, fixture_new(f.mutator, f.node, i + 1000));
            put(&f, frame.ref[0], object[i], object[KEYS + i]);
        }
        struct visit visit = {.f = &f, .table = frame.ref[0]};
        HARNESS_OK(hearth_table_each(f.mutator, frame.ref[0], visit_entry, &visit));
        ck_assert_uint_eq(visit.seen, KEYS);
        ck_assert_uint_eq(visit.sum, KEYS * (KEYS - 1) / 2);
        visit = (struct visit){.f = &f, .table = frame.ref[0], .stop = 5};
        HARNESS_OK(hearth_table_each(f.mutator, frame.ref[0], visit_entry, &visit));
        ck_assert_uint_eq(visit.seen, 5);
        visit = (struct visit){.f = &f, .table = frame.ref[0], .change = true};
        HARNESS_OK(hearth_table_each(f.mutator, frame.ref[0], visit_entry, &visit));
        ck_assert_uint_eq(visit.seen, KEYS);
        ck_assert_uint_eq(hearth_table_count(f.mutator, frame.ref[0]), 0);
        HEARTH_FRAME_END(f.mutator, frame);
        fixture_close(&f);
    }
}
END_TEST

/* --- no memory, wrong arguments -------------------------------------------------------------------- */

/* Without memory for cells or for their registration a table stays as it was. */
START_TEST(without_memory_a_table_stays_as_it_was)
{
    struct fixture f = fixture_open("heap-limit=4m,workers=1");
    HEARTH_FRAME(f.mutator, frame, 3);
    frame.ref[0] = new_table(&f, HEARTH_TABLE_WEAK_KEYS);
    frame.ref[1] = cell_refs(&f, 60000);
    size_t count = 0;
    for (;; count++) {
        void *key = hearth_alloc(f.mutator, f.node, sizeof(struct fixture_node));
        if (key == NULL || count == 60000)
            break;
        cell_set(&f, frame.ref[1], count, key);
        if (hearth_table_put(f.mutator, frame.ref[0], key, NULL) != HEARTH_OK)
            break;
    }
    ck_assert_uint_gt(count, 5000);
    ck_assert_uint_lt(count, 60000);
    ck_assert_int_eq(hearth_last_status(), HEARTH_ELIMIT);
    ck_assert_uint_eq(hearth_table_count(f.mutator, frame.ref[0]), count);
    for (size_t i = 0; i < count; i++)
        EXPECT(hearth_table_get(f.mutator, frame.ref[0], ((void **)frame.ref[1])[i], NULL));
    HARNESS_OK(hearth_verify(f.mutator));
    HEARTH_FRAME_END(f.mutator, frame);
    fixture_close(&f);
}
END_TEST

START_TEST(wrong_arguments_are_refused)
{
    struct fixture f = fixture_open("verify=on");
    hearth_mutator *m = f.mutator;
    HEARTH_FRAME(m, frame, 3);
    struct fixture_node *node = frame.ref[0] = fixture_new(m, f.node, 1);
    HARNESS_NULL(hearth_table_new(m, (hearth_table_kind)3), HEARTH_EINVAL);
    harness_expect_error("hearth_table_new", HEARTH_EINVAL, "3");
    HARNESS_NULL(hearth_table_new(NULL, HEARTH_TABLE_WEAK_KEYS), HEARTH_EINVAL);
    HARNESS_NULL(hearth_table_new_with(m, HEARTH_TABLE_WEAK_KEYS, hash_value, NULL, NULL),
                 HEARTH_EINVAL);
    HARNESS_STATUS(hearth_table_put(m, node, node, node), HEARTH_EOBJECT);
    frame.ref[1] = new_table(&f, HEARTH_TABLE_WEAK_VALUES);
    HARNESS_STATUS(hearth_table_put(m, frame.ref[1], NULL, node), HEARTH_EINVAL);
    HARNESS_STATUS(hearth_table_put(m, frame.ref[1], node, NULL), HEARTH_EINVAL);
    HARNESS_STATUS(hearth_table_put(m, frame.ref[1], &node->value, node), HEARTH_EOBJECT);
    HARNESS_STATUS(hearth_table_put(m, frame.ref[1], node, &node->value), HEARTH_EOBJECT);
    HARNESS_STATUS(hearth_table_put(m, node, node, node), HEARTH_EOBJECT);
    HARNESS_STATUS(hearth_table_put(NULL, frame.ref[1], node, node), HEARTH_EINVAL);
    ck_assert(!hearth_table_get(m, node, node, NULL));
    harness_expect_error("hearth_table_get", HEARTH_EOBJECT, "not a weak table");
    ck_assert(!hearth_table_get(m, frame.ref[1], NULL, NULL));
    harness_expect_error("hearth_table_get", HEARTH_EINVAL, "key");
    ck_assert(!hearth_table_remove(m, NULL, node));
    harness_expect_error("hearth_table_remove", HEARTH_EOBJECT, NULL);
    ck_assert(!hearth_table_remove(m, frame.ref[1], NULL));
    ck_assert_uint_eq(hearth_table_count(m, node), 0);
    HARNESS_STATUS(hearth_table_each(m, frame.ref[1], NULL, NULL), HEARTH_EINVAL);
    HARNESS_STATUS(hearth_table_each(m, node, visit_entry, NULL), HEARTH_EOBJECT);
    ck_assert_uint_eq(hearth_table_count(m, frame.ref[1]), 0);
    HEARTH_FRAME_END(m, frame);
    fixture_close(&f);
}
END_TEST

HARNESS_SUITE(weak_table)
{
    Suite *suite = suite_create("weak_table");
    TCase *table = tcase_create("table");
    tcase_add_test(table, an_entry_lives_as_long_as_what_it_holds_weakly);
    tcase_add_test(table, a_value_that_refers_to_its_key);
    tcase_add_test(table, putting_replaces);
    tcase_add_loop_test(table, a_table_agrees_with_a_model, 0, 9);
    tcase_add_test(table, a_table_grows_and_shrinks);
    tcase_add_test(table, keys_may_be_compared_by_contents);
    tcase_add_test(table, visiting_entries);
    tcase_add_test(table, without_memory_a_table_stays_as_it_was);
    tcase_add_test(table, wrong_arguments_are_refused);
    suite_add_tcase(suite, table);
    return suite;
}
