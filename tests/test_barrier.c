/* tests/test_barrier.c - stores of references: what is remembered, how often, and without memory. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>

#include "tests/trace_fixture.h"

static size_t remembered(const struct fixture *f)
{
    return hg_mutator_of(f->m)->remembered.count;
}

static const uint64_t flags = HEARTH_OBJECT_REMEMBERED | HEARTH_OBJECT_DIRTY;

/* --- what is remembered -------------------------------------------------------------------------- */

/* All four combinations of an old or young object with an old or young value, NULL and foreign values. */
START_TEST(old_objects_are_remembered_whatever_is_stored)
{
    struct fixture f;
    int foreign;

    fixture_open(&f, "verify=on");
    HEARTH_FRAME(f.m, frame, 4);
    struct item *old = fixture_push(&f, &frame.ref[0], 1);
    struct item *old_value = fixture_push(&f, &frame.ref[1], 2);
    fixture_collect(&f, 1);
    struct item *young = fixture_push(&f, &frame.ref[2], 3);
    struct item *young_value = fixture_push(&f, &frame.ref[3], 4);

    HARNESS_OK(hearth_store(f.m, young, &young->next, old_value));
    HARNESS_OK(hearth_store(f.m, young, &young->other, young_value));
    ck_assert_uint_eq(remembered(&f), 0);
    ck_assert_uint_eq(fixture_header(young) & flags, 0);
    void *const values[] = {old_value, young_value, NULL, &foreign};
    for (int i = 0; i < 4; i++) {
        HARNESS_OK(hearth_store(f.m, old, &old->next, values[i]));
        ck_assert_ptr_eq(old->next, values[i]);
        ck_assert_uint_eq(remembered(&f), 1); /* once, by the first */
        ck_assert_uint_eq(fixture_header(old) & flags, HEARTH_OBJECT_REMEMBERED);
    }
    fixture_collect(&f, 0);
    ck_assert_uint_eq(fixture_header(old) & flags, 0);
    ck_assert_uint_eq(remembered(&f), 0);
    HARNESS_OK(hearth_store(f.m, old, &old->other, young_value)); /* and once in the next cycle */
    HARNESS_OK(hearth_store(f.m, old, &old->next, young_value));
    ck_assert_uint_eq(remembered(&f), 1);
    fixture_collect(&f, 2);
    ck_assert_uint_eq(fixture_header(old) & flags, 0);
    ck_assert_uint_eq(remembered(&f), 0);
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
}
END_TEST

START_TEST(arrays_are_listed_once_and_marked_by_card)
{
    enum { COUNT = 2000 };
    struct fixture f;

    fixture_open(&f, "verify=on");
    HEARTH_FRAME(f.m, frame, 2);
    void **array = frame.ref[0] = fixture_refs(&f, COUNT);
    fixture_push(&f, &frame.ref[1], 1);
    ck_assert_uint_ne(fixture_header(array) & HEARTH_OBJECT_CARDS, 0);
    HARNESS_OK(hearth_store(f.m, array, &array[5], frame.ref[1])); /* young: no card */
    ck_assert(!hg_cards_any((uintptr_t)array, COUNT * sizeof(void *)));
    fixture_collect(&f, 1);
    fixture_push(&f, &frame.ref[1], 2);
    static const size_t slots[] = {0, 1, 7, 1998, 1999, 500};
    for (int i = 0; i < 6; i++) {
        HARNESS_OK(hearth_store(f.m, array, &array[slots[i]], frame.ref[1]));
        ck_assert_uint_eq(remembered(&f), 1);
        ck_assert(hg_card_get((uintptr_t)array, (uintptr_t)&array[slots[i]]));
    }
    for (size_t i = 2; i < COUNT; i++)
        if (i / 2 != 3 && i / 2 != 999 && i / 2 != 250)
            ck_assert(!hg_card_get((uintptr_t)array, (uintptr_t)&array[i]));
    ck_assert_uint_eq(fixture_header(array) & flags, HEARTH_OBJECT_DIRTY);
    fixture_collect(&f, _i);
    ck_assert(!hg_cards_any((uintptr_t)array, COUNT * sizeof(void *)));
    ck_assert_uint_eq(fixture_header(array) & flags, 0);
    HARNESS_OK(hearth_store(f.m, array, &array[1], NULL));
    ck_assert_uint_eq(remembered(&f), 1);
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
}
END_TEST

/* Only the header, never a card, of objects without references. */
START_TEST(leaves_are_never_old)
{
    struct fixture f;

    fixture_open(&f, "verify=on");
    HEARTH_FRAME(f.m, frame, 2);
    frame.ref[0] = hearth_new(f.m, f.leaf);
    frame.ref[1] = hearth_new_array(f.m, f.bytes, 100000);
    fixture_collect(&f, 1);
    ck_assert(!fixture_is_old(frame.ref[0]) && !fixture_is_old(frame.ref[1]));
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
}
END_TEST

/* --- ranges -------------------------------------------------------------------------------------- */

START_TEST(a_range_dirties_exactly_its_cards)
{
    enum { COUNT = 300 };
    uint64_t random = harness_seed();
    struct fixture f;

    fixture_open(&f, "");
    HEARTH_FRAME(f.m, frame, 1);
    void **array = frame.ref[0] = fixture_refs(&f, COUNT);
    fixture_collect(&f, 1);
    for (int round = 0; round < 300; round++) {
        size_t from = harness_random_below(&random, COUNT);
        size_t count = harness_random_below(&random, COUNT - from + 1);
        HARNESS_OK(hearth_barrier_range(f.m, array, &array[from], count));
        for (size_t i = 0; i < COUNT; i++) {
            bool dirty = count > 0 && i / 2 >= from / 2 && i / 2 <= (from + count - 1) / 2;
            EXPECT(hg_card_get((uintptr_t)array, (uintptr_t)&array[i]) == dirty);
        }
        ck_assert_uint_eq(remembered(&f), count > 0);
        fixture_collect(&f, 0);
    }
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
}
END_TEST

START_TEST(store_range_keeps_what_it_stores)
{
    enum { COUNT = 1000 };
    void *values[COUNT];
    struct fixture f;

    fixture_open(&f, "verify=on");
    HEARTH_FRAME(f.m, frame, 2);
    void **array = frame.ref[0] = fixture_refs(&f, COUNT);
    if (_i)
        fixture_collect(&f, 1);
    HARNESS_OK(hearth_gc_disable(f.heap));
    for (size_t i = 0; i < COUNT; i++)
        values[i] = i % 3 ? hearth_new(f.m, f.item) : NULL;
    HARNESS_OK(hearth_store_range(f.m, array, &array[10], &values[10], COUNT - 20));
    HARNESS_OK(hearth_store_range(f.m, array, &array[0], NULL, 0)); /* nothing */
    fixture_collect(&f, 0);
    for (size_t i = 0; i < COUNT; i++) {
        EXPECT(array[i] == (i >= 10 && i < COUNT - 10 ? values[i] : NULL));
        EXPECT(array[i] == NULL || hearth_is_object(f.heap, array[i]));
    }
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
}
END_TEST

/* memmove, within one array and between two, at every distance; with old and young objects. */
START_TEST(copy_is_memmove)
{
    enum { COUNT = 64 };
    uint64_t random = harness_seed() + (uint64_t)_i;
    void *model[2][COUNT];
    struct fixture f;

    fixture_open(&f, "verify=on");
    HEARTH_FRAME(f.m, frame, 3);
    void **array[2] = {frame.ref[0] = fixture_refs(&f, COUNT),
                       frame.ref[1] = fixture_refs(&f, COUNT)};
    fixture_collect(&f, _i);
    for (int k = 0; k < 2; k++)
        for (size_t i = 0; i < COUNT; i++) {
            struct item *item = hearth_new(f.m, f.item);
            item->number = i;
            HARNESS_OK(hearth_store(f.m, array[k], &array[k][i], item));
        }
    for (int round = 0; round < 200; round++) {
        int to = (int)harness_random_below(&random, 2),
            from = (int)harness_random_below(&random, 2);
        size_t a = harness_random_below(&random, COUNT), b = harness_random_below(&random, COUNT);
        size_t most = COUNT - (a > b ? a : b), count = harness_random_below(&random, most + 1);
        for (int k = 0; k < 2; k++)
            memcpy(model[k], array[k], sizeof(model[k]));
        memmove(&model[to][a], &model[from][b], count * sizeof(void *));
        HARNESS_OK(hearth_copy(f.m, array[to], &array[to][a], array[from], &array[from][b], count));
        for (int k = 0; k < 2; k++)
            EXPECT(memcmp(model[k], array[k], sizeof(model[k])) == 0);
        if (round % 20 == 0) {
            fixture_collect(&f, round % 3);
            for (int k = 0; k < 2; k++)
                for (size_t i = 0; i < COUNT; i++)
                    EXPECT(hearth_is_object(f.heap, array[k][i]));
        }
    }
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
}
END_TEST

/* --- bad arguments ------------------------------------------------------------------------------- */

static void *call_from_another_thread(void *argument)
{
    struct fixture *f = argument;
    void **array = f->m->frames != NULL ? *(void **)(f->m->frames + 1) : NULL;

    HARNESS_STATUS(hearth_store_checked(f->m, array, array, NULL), HEARTH_ETHREAD);
    HARNESS_STATUS(hearth_store_range(f->m, array, array, array, 1), HEARTH_ETHREAD);
    HARNESS_STATUS(hearth_barrier_range(f->m, array, array, 1), HEARTH_ETHREAD);
    HARNESS_STATUS(hearth_copy(f->m, array, array, array, array, 1), HEARTH_ETHREAD);
    return NULL;
}

START_TEST(bad_arguments_are_named_and_change_nothing)
{
    enum { COUNT = 50 };
    void *foreign[COUNT] = {NULL};
    struct fixture f;
    pthread_t thread;

    fixture_open(&f, "verify=on");
    HEARTH_FRAME(f.m, frame, 1);
    void **array = frame.ref[0] = fixture_refs(&f, COUNT);
    fixture_collect(&f, 1);
    void *inside = (char *)array + 16, *odd = (char *)array + 4;

    HARNESS_STATUS(hearth_store_checked(NULL, array, array, NULL), HEARTH_EINVAL);
    HARNESS_STATUS(hearth_store_checked(f.m, NULL, array, NULL), HEARTH_EINVAL);
    HARNESS_STATUS(hearth_store_checked(f.m, array, NULL, NULL), HEARTH_EINVAL);
    HARNESS_STATUS(hearth_store_checked(f.m, foreign, foreign, NULL), HEARTH_EOBJECT);
    HARNESS_STATUS(hearth_store_checked(f.m, inside, inside, NULL), HEARTH_EOBJECT);
    HARNESS_STATUS(hearth_store_checked(f.m, array, foreign, NULL), HEARTH_ESLOT);
    HARNESS_STATUS(hearth_store_checked(f.m, array, array - 1, NULL), HEARTH_ESLOT);
    HARNESS_STATUS(hearth_store_checked(f.m, array, array + COUNT, NULL), HEARTH_ESLOT);
    HARNESS_STATUS(hearth_store_checked(f.m, array, odd, NULL), HEARTH_ESLOT);
    HARNESS_STATUS(hearth_store_checked(f.m, array, array, inside), HEARTH_EOBJECT);
    HARNESS_OK(hearth_store_checked(f.m, array, array + COUNT - 1, foreign));
    HARNESS_OK(hearth_store_checked(f.m, array, array + COUNT - 1, array));
    HARNESS_OK(hearth_store_checked(f.m, array, array + COUNT - 1, NULL));
    fixture_collect(&f, 0);

    HARNESS_STATUS(hearth_store_range(f.m, NULL, array, array, 1), HEARTH_EINVAL);
    HARNESS_STATUS(hearth_store_range(f.m, array, NULL, array, 1), HEARTH_EINVAL);
    HARNESS_STATUS(hearth_store_range(f.m, array, array, NULL, 1), HEARTH_EINVAL);
    HARNESS_STATUS(hearth_store_range(f.m, foreign, foreign, array, 1), HEARTH_EOBJECT);
    HARNESS_STATUS_NAMES(hearth_store_range(f.m, array, array + 1, foreign, COUNT), HEARTH_ESLOT,
                         "50 slots");
    HARNESS_STATUS(hearth_store_range(f.m, array, array, foreign, SIZE_MAX), HEARTH_ESLOT);
    HARNESS_STATUS(hearth_store_range(f.m, array, array, foreign, SIZE_MAX / 8 + 2), HEARTH_ESLOT);
    HARNESS_STATUS(hearth_barrier_range(f.m, array, array + COUNT, 1), HEARTH_ESLOT);
    HARNESS_STATUS(hearth_barrier_range(f.m, array, odd, 1), HEARTH_ESLOT);
    HARNESS_OK(hearth_barrier_range(f.m, array, array + COUNT, 0));
    HARNESS_STATUS(hearth_copy(f.m, array, array + 1, array, array, COUNT), HEARTH_ESLOT);
    HARNESS_STATUS(hearth_copy(f.m, array, array, array, array + 1, COUNT), HEARTH_ESLOT);
    HARNESS_STATUS(hearth_copy(f.m, array, array, foreign, foreign, 1), HEARTH_EOBJECT);
    HARNESS_STATUS(hearth_copy(f.m, foreign, foreign, array, array, 1), HEARTH_EOBJECT);
    ck_assert_uint_eq(remembered(&f), 0);
    ck_assert_uint_eq(fixture_header(array) & flags, 0);
    for (int i = 0; i < COUNT; i++)
        ck_assert_ptr_null(array[i]);

    ck_assert_int_eq(pthread_create(&thread, NULL, call_from_another_thread, &f), 0);
    pthread_join(thread, NULL);
    HARNESS_OK(hearth_native_begin(f.m));
    HARNESS_STATUS(hearth_store_checked(f.m, array, array, NULL), HEARTH_ESTATE);
    HARNESS_STATUS(hearth_store_range(f.m, array, array, array, 1), HEARTH_ESTATE);
    HARNESS_STATUS(hearth_barrier_range(f.m, array, array, 1), HEARTH_ESTATE);
    HARNESS_STATUS(hearth_copy(f.m, array, array, array, array, 1), HEARTH_ESTATE);
    HARNESS_OK(hearth_native_end(f.m));
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
}
END_TEST

/* --- without memory ------------------------------------------------------------------------------ */

/* No buffer can be had: nothing is flagged, no card is set, the next collection is full, whatever was
 * asked for, and everything is alive. */
START_TEST(without_memory_the_next_collection_is_full)
{
    enum { COUNT = 1000 };
    struct fixture f;

    fixture_open(&f, "verify=on");
    HEARTH_FRAME(f.m, frame, 3);
    struct item *old = fixture_push(&f, &frame.ref[0], 1);
    void **array = frame.ref[1] = fixture_refs(&f, COUNT);
    void **large = frame.ref[2] = fixture_refs(&f, 700000);
    fixture_collect(&f, 1);
    hg_remember_free(&hg_mutator_of(f.m)->remembered);
    ht_fault_arm(HT_FAULT_ALLOC, 1, true);
    void *values[COUNT];
    HARNESS_OK(hearth_gc_disable(f.heap));
    for (int i = 0; i < COUNT; i++)
        values[i] = hearth_new(f.m, f.item);
    HARNESS_OK(hearth_store(f.m, old, &old->next, values[0]));
    HARNESS_OK(hearth_store(f.m, array, &array[0], values[1]));
    HARNESS_OK(hearth_store(f.m, array, &array[COUNT - 1], values[2]));
    HARNESS_OK(hearth_store(f.m, large, &large[0], values[3]));
    HARNESS_OK(hearth_store(f.m, large, &large[699999], values[4]));
    HARNESS_OK(hearth_store_range(f.m, array, &array[100], &values[100], COUNT - 200));
    HARNESS_OK(hearth_copy(f.m, large, &large[5000], array, array, COUNT));
    ck_assert_uint_eq(fixture_header(old) & flags, 0);
    ck_assert_uint_eq(fixture_header(array) & flags, 0);
    ck_assert(!hg_cards_any((uintptr_t)array, COUNT * sizeof(void *)));
    ck_assert(!hg_cards_any((uintptr_t)large, 700000 * sizeof(void *)));
    ck_assert_uint_ne(f.heap->pacing.lost, 0);
    HARNESS_OK(hearth_verify(f.m));
    ck_assert_int_eq(fixture_collect(&f, 0).kind, HEARTH_GC_FULL);
    ht_fault_arm(HT_FAULT_ALLOC, 0, false);
    ck_assert_uint_eq(f.heap->pacing.lost, 0);
    ck_assert_uint_eq(fixture_stats(&f).live_objects, 3 + 5 + COUNT - 200);
    for (int i = 100; i < COUNT - 100; i++)
        EXPECT(hearth_is_object(f.heap, values[i]) && large[5000 + i] == values[i]);
    for (int i = 0; i < 5; i++)
        EXPECT(hearth_is_object(f.heap, values[i]));
    ck_assert_int_eq(fixture_collect(&f, 0).kind, HEARTH_GC_MINOR);
    HARNESS_OK(hearth_verify(f.m));
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
}
END_TEST

/* --- threads ------------------------------------------------------------------------------------- */

enum { SHARED = 500, STORERS = 3 };

struct storer {
    struct fixture *f;
    void **all; /* SHARED old items */
    pthread_barrier_t *meeting;
    int number;
    bool ready; /* atomic */
    hearth_mutator *m;
    pthread_t thread;
};

static void meet(struct storer *s)
{
    HARNESS_OK(hearth_native_begin(s->m));
    pthread_barrier_wait(s->meeting);
    HARNESS_OK(hearth_native_end(s->m));
}

/* All store into the same old objects at the same time; then the first one counts. */
static void *storer_main(void *argument)
{
    struct storer *s = argument;
    struct fixture *f = s->f;

    HARNESS_OK(hearth_attach(f->heap, NULL, &s->m));
    for (uint64_t round = 0; round < harness_scaled(60); round++) {
        meet(s);
        for (int i = 0; i < SHARED; i++) {
            struct item *item = s->all[i];
            HARNESS_OK(hearth_store(s->m, item, s->number % 2 ? &item->next : &item->other, NULL));
        }
        meet(s);
        if (s->number == 0) {
            size_t total = 0;
            for (struct hg_mutator *m = f->heap->mutators; m != NULL; m = m->next)
                total += m->remembered.count;
            EXPECT(total == SHARED);
            HARNESS_OK(hearth_verify(s->m)); /* each is listed once */
            HARNESS_OK(hearth_gc_collect(s->m, 0));
            for (int i = 0; i < SHARED; i++)
                EXPECT((fixture_header(s->all[i]) & flags) == 0);
        }
        meet(s);
    }
    HARNESS_OK(hearth_detach(s->m));
    return NULL;
}

START_TEST(an_object_is_remembered_by_one_of_many_threads)
{
    struct fixture f;
    struct storer storer[STORERS];
    pthread_barrier_t meeting;

    fixture_open(&f, "");
    HEARTH_FRAME(f.m, frame, 1);
    void **all = frame.ref[0] = fixture_refs(&f, SHARED);
    for (int i = 0; i < SHARED; i++)
        HARNESS_OK(hearth_store(f.m, all, &all[i], hearth_new(f.m, f.item)));
    fixture_collect(&f, 1);
    pthread_barrier_init(&meeting, NULL, STORERS);
    HARNESS_OK(hearth_native_begin(f.m));
    for (int i = 0; i < STORERS; i++) {
        storer[i] = (struct storer){.f = &f, .all = all, .meeting = &meeting, .number = i};
        ck_assert_int_eq(pthread_create(&storer[i].thread, NULL, storer_main, &storer[i]), 0);
    }
    for (int i = 0; i < STORERS; i++)
        pthread_join(storer[i].thread, NULL);
    HARNESS_OK(hearth_native_end(f.m));
    pthread_barrier_destroy(&meeting);
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
}
END_TEST

/* What a thread remembered is not forgotten when it detaches. */
static void *store_and_leave(void *argument)
{
    struct storer *s = argument;

    HARNESS_OK(hearth_attach(s->f->heap, NULL, &s->m));
    for (int i = 0; i < SHARED; i++) {
        struct item *item = s->all[i];
        HARNESS_OK(hearth_store(s->m, item, &item->next, hearth_new(s->m, s->f->item)));
    }
    return NULL; /* detached by its exit */
}

START_TEST(remembered_sets_outlive_their_threads)
{
    struct fixture f;
    struct storer storer;

    fixture_open(&f, "verify=on");
    HEARTH_FRAME(f.m, frame, 1);
    void **all = frame.ref[0] = fixture_refs(&f, SHARED);
    for (int i = 0; i < SHARED; i++)
        HARNESS_OK(hearth_store(f.m, all, &all[i], hearth_new(f.m, f.item)));
    for (int round = 0; round < 3; round++) {
        fixture_collect(&f, 1);
        storer = (struct storer){.f = &f, .all = all};
        HARNESS_OK(hearth_native_begin(f.m));
        ck_assert_int_eq(pthread_create(&storer.thread, NULL, store_and_leave, &storer), 0);
        pthread_join(storer.thread, NULL);
        HARNESS_OK(hearth_native_end(f.m));
        ck_assert_uint_eq(f.heap->orphans.count, SHARED);
        HARNESS_OK(hearth_verify(f.m));
        fixture_collect(&f, 0);
        ck_assert_uint_eq(f.heap->orphans.count, 0);
        for (int i = 0; i < SHARED; i++)
            EXPECT(fixture_is_old(((struct item *)all[i])->next));
    }
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
}
END_TEST

/* A store finds no memory while another thread, which has asked for a minor collection already, waits
 * for this one to stand: the collection must become a full one. */
static void *store_while_stopping(void *argument)
{
    struct storer *s = argument;
    struct fixture *f = s->f;

    HARNESS_OK(hearth_attach(f->heap, NULL, &s->m));
    HEARTH_FRAME(s->m, frame, 1);
    struct item *young = frame.ref[0] = hearth_new(s->m, f->item);
    young->number = 4711;
    __atomic_store_n(&s->ready, true, __ATOMIC_SEQ_CST); /* running: it is waited for */
    while (__atomic_load_n(&f->heap->stop, __ATOMIC_SEQ_CST) == 0)
        sched_yield();
    struct item *old = s->all[0];
    ht_fault_arm(HT_FAULT_ALLOC, 1, true);
    HARNESS_OK(hearth_store(s->m, old, &old->next, young));
    frame.ref[0] = NULL;
    ht_fault_arm(HT_FAULT_ALLOC, 0, false);
    hearth_safepoint(s->m);
    HEARTH_FRAME_END(s->m, frame);
    HARNESS_OK(hearth_detach(s->m));
    return NULL;
}

START_TEST(a_store_that_is_lost_while_the_world_is_stopped)
{
    struct fixture f;
    struct storer storer;

    fixture_open(&f, "verify=on");
    HEARTH_FRAME(f.m, frame, 1);
    void **all = frame.ref[0] = fixture_refs(&f, 10);
    HARNESS_OK(hearth_store(f.m, all, &all[0], hearth_new(f.m, f.item)));
    fixture_collect(&f, 1);
    storer = (struct storer){.f = &f, .all = all};
    ck_assert_int_eq(pthread_create(&storer.thread, NULL, store_while_stopping, &storer), 0);
    while (!__atomic_load_n(&storer.ready, __ATOMIC_SEQ_CST))
        sched_yield();
    hearth_collection c = fixture_collect(&f, 0);
    struct item *young = ((struct item *)all[0])->next;
    ck_assert_ptr_nonnull(young);
    ck_assert(hearth_is_object(f.heap, young) && young->number == 4711);
    ck_assert_int_eq(c.kind, HEARTH_GC_FULL);
    HARNESS_OK(hearth_native_begin(f.m));
    pthread_join(storer.thread, NULL);
    HARNESS_OK(hearth_native_end(f.m));
    HARNESS_OK(hearth_verify(f.m));
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
}
END_TEST

HARNESS_SUITE(barrier)
{
    Suite *suite = suite_create("barrier");
    TCase *one = tcase_create("stores");
    TCase *threads = tcase_create("threads");

    tcase_add_test(one, old_objects_are_remembered_whatever_is_stored);
    tcase_add_loop_test(one, arrays_are_listed_once_and_marked_by_card, 0, 3);
    tcase_add_test(one, leaves_are_never_old);
    tcase_add_test(one, a_range_dirties_exactly_its_cards);
    tcase_add_loop_test(one, store_range_keeps_what_it_stores, 0, 2);
    tcase_add_loop_test(one, copy_is_memmove, 0, 3);
    tcase_add_test(one, bad_arguments_are_named_and_change_nothing);
    tcase_add_test(one, without_memory_the_next_collection_is_full);
    suite_add_tcase(suite, one);
    tcase_add_test(threads, an_object_is_remembered_by_one_of_many_threads);
    tcase_add_test(threads, remembered_sets_outlive_their_threads);
    tcase_add_test(threads, a_store_that_is_lost_while_the_world_is_stopped);
    suite_add_tcase(suite, threads);
    return suite;
}
