/* tests/test_frozen_cells.c - what is weak and frozen: a frozen object is alive to every weak reference, ephemeron
 * and table, in minor and full collections; after the unfreezing it is as mortal as any other.
 *
 * Found by the fuzzer: tests/oracle_control.c does the same at random. */
#include "tests/harness.h"

#include "hearth.h"

struct frozen {
    hearth_heap *heap;
    hearth_mutator *m;
    hearth_type pair;
    void *key; /* a global root */
    void *weak, *lasting, *ephemeron, *table;
};

static void set_up(struct frozen *f, const char *options)
{
    hearth_options *set = NULL;

    HARNESS_OK(hearth_options_create(&set));
    HARNESS_OK(harness_parse(set, options));
    HARNESS_OK(hearth_heap_create(&f->heap, set));
    hearth_options_destroy(set);
    HARNESS_OK(hearth_attach(f->heap, NULL, &f->m));
    HARNESS_OK(hearth_type_fixed(f->heap, "pair", 16, 3, &f->pair));
    f->key = f->weak = f->lasting = f->ephemeron = f->table = NULL;
    void **slots[] = {&f->key, &f->weak, &f->lasting, &f->ephemeron, &f->table};
    for (size_t i = 0; i < sizeof(slots) / sizeof(slots[0]); i++)
        HARNESS_OK(hearth_root_add(f->heap, slots[i]));
}

/* Values are held by the ephemeron and the table only. */
static void build(struct frozen *f)
{
    f->key = hearth_new(f->m, f->pair);
    f->weak = hearth_weak_new(f->m, f->key, 0, NULL, NULL);
    f->lasting = hearth_weak_new(f->m, f->key, HEARTH_WEAK_LONG, NULL, NULL);
    f->ephemeron = hearth_ephemeron_new(f->m, f->key, hearth_new(f->m, f->pair));
    f->table = hearth_table_new(f->m, HEARTH_TABLE_EPHEMERON);
    HARNESS_OK(hearth_table_put(f->m, f->table, f->key, hearth_new(f->m, f->pair)));
}

static void check_given(struct frozen *f, const void *key)
{
    void *value = NULL;

    ck_assert_ptr_eq(hearth_weak_get(f->m, f->weak), key);
    ck_assert_ptr_eq(hearth_weak_get(f->m, f->lasting), key);
    ck_assert_ptr_eq(hearth_ephemeron_key(f->m, f->ephemeron), key);
    ck_assert(hearth_is_object(f->heap, hearth_ephemeron_value(f->m, f->ephemeron)));
    ck_assert(hearth_table_get(f->m, f->table, key, &value) && hearth_is_object(f->heap, value));
    HARNESS_OK(hearth_verify(f->m));
}

static void collect_all(struct frozen *f, const void *key)
{
    for (int generation = 0; generation < 3; generation++) {
        HARNESS_OK(hearth_gc_collect(f->m, generation));
        check_given(f, key);
    }
}

static const char *const options[] = {
    "verify=on",
    "verify=on,generational=off",
    "verify=on,fake-nodes=2,mode=local,workers=3,help-after=0",
};

START_TEST(frozen_is_alive)
{
    struct frozen f;

    set_up(&f, options[_i]);
    for (int age = 0; age < 4; age++) { /* frozen young, and older */
        build(&f);
        for (int i = 0; i < age; i++)
            HARNESS_OK(hearth_gc_collect(f.m, 0));
        const void *key = f.key;
        HARNESS_OK(hearth_gc_freeze(f.m));
        f.key = NULL; /* frozen, so it stays */
        collect_all(&f, key);
        f.key = hearth_weak_get(f.m, f.weak);
        HARNESS_OK(hearth_gc_unfreeze(f.m));
        collect_all(&f, key);
        f.key = NULL;
        HARNESS_OK(hearth_gc_collect(f.m, 2));
        ck_assert_ptr_null(hearth_weak_get(f.m, f.weak));
        ck_assert_ptr_null(hearth_weak_get(f.m, f.lasting));
        ck_assert_ptr_null(hearth_ephemeron_value(f.m, f.ephemeron));
        ck_assert_uint_eq(hearth_table_count(f.m, f.table), 0);
    }
    HARNESS_OK(hearth_detach(f.m));
    HARNESS_OK(hearth_heap_destroy(f.heap));
}
END_TEST

/* A value stored into a frozen ephemeron lives, though the ephemeron is not traced any more. */
START_TEST(new_value_of_a_frozen_ephemeron)
{
    struct frozen f;

    set_up(&f, options[_i]);
    build(&f);
    HARNESS_OK(hearth_gc_freeze(f.m));
    for (int i = 0; i < 3; i++) {
        void *value = hearth_new(f.m, f.pair);
        HARNESS_OK(hearth_ephemeron_set_value(f.m, f.ephemeron, value));
        collect_all(&f, f.key);
        ck_assert_ptr_eq(hearth_ephemeron_value(f.m, f.ephemeron), value);
    }
    HARNESS_OK(hearth_detach(f.m));
    HARNESS_OK(hearth_heap_destroy(f.heap));
}
END_TEST

HARNESS_SUITE(frozen_cells)
{
    Suite *suite = suite_create("frozen_cells");
    TCase *all = tcase_create("frozen");
    int count = sizeof(options) / sizeof(options[0]);

    tcase_add_loop_test(all, frozen_is_alive, 0, count);
    tcase_add_loop_test(all, new_value_of_a_frozen_ephemeron, 0, count);
    suite_add_tcase(suite, all);
    return suite;
}
