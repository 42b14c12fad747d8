/* tests/test_pending.c - the queue: who runs what is due, items taken by hand, waiting, errors, what finalizers may do,
 * several threads. */
#include "tests/finalize_fixture.h"

static void *kept;

START_TEST(the_program_runs_its_queue)
{
    fixture_alone();
    struct fixture f = fixture_open("verify=on,stress=1,finalize=queue");
    size_t ran = 99, due = 99;

    make_due(&f, 5, finalize_note, NULL);
    fixture_garbage(f.mutator, f.node, 2000);
    fixture_collect(f.mutator, 2);
    ck_assert_uint_eq(finalize_calls(), 0); /* they are due, alive, and nobody runs them */
    HARNESS_OK(hearth_finalize_wait(f.mutator, -1, &due));
    ck_assert_uint_eq(due, 5);
    ck_assert_uint_eq(fixture_stats(f.heap).finalizers_due, 5);
    HARNESS_OK(hearth_finalize_run(f.mutator, 2, &ran));
    ck_assert_uint_eq(ran, 2);
    ck_assert_uint_eq(finalize_calls(), 2);
    fixture_collect(f.mutator, 2);
    HARNESS_OK(hearth_finalize_run(f.mutator, 0, &ran));
    ck_assert_uint_eq(ran, 0);
    HARNESS_OK(hearth_finalize_run(f.mutator, SIZE_MAX, NULL));
    ck_assert_uint_eq(finalize_calls(), 5);
    for (uint64_t i = 0; i < 5; i++)
        ck_assert_uint_eq(finalize_log[i], i);
    HARNESS_OK(hearth_finalize_run(f.mutator, SIZE_MAX, &ran));
    ck_assert_uint_eq(ran, 0);
    fixture_collect(f.mutator, 2);
    ck_assert_uint_eq(fixture_stats(f.heap).live_objects, 0);
    fixture_close(&f);
}
END_TEST

/* Safepoints run them without being asked: allocation, and a safepoint of a thread that did not collect. */
START_TEST(allocation_runs_what_is_due)
{
    uint64_t made = 0;
    fixture_alone();
    struct fixture f = fixture_open("verify=on,nursery=256k");

    while (finalize_calls() == 0 && made < 1000000) {
        struct fixture_node *node = fixture_new(f.mutator, f.node, made);
        if (made++ % 64 == 0)
            HARNESS_OK(hearth_finalizer_add(f.mutator, node, finalize_note, NULL, 0));
    }
    ck_assert_uint_gt(finalize_calls(), 0);
    ck_assert_uint_eq(finalize_log[0], 0);
    fixture_close(&f);
}
END_TEST

START_TEST(items_are_taken_by_hand)
{
    fixture_alone();
    struct fixture f = fixture_open("verify=on,finalize=queue");
    hearth_finalize_item item = {.struct_size = sizeof item}, bad = {.struct_size = 3};
    uint64_t data = 0;

    HEARTH_FRAME(f.mutator, frame, 1);
    HARNESS_OK(hearth_finalize_next(f.mutator, &item));
    ck_assert_ptr_null(item.object);
    make_due(&f, 2, finalize_note, &data);
    HARNESS_OK(hearth_finalize_next(f.mutator, &item));
    frame.ref[0] = item.object;
    ck_assert(item.fn == finalize_note && item.data == &data && item.priority == 0);
    ck_assert(hearth_is_finalized(f.heap, item.object));
    HARNESS_STATUS(hearth_finalizer_remove(f.mutator, item.object), HEARTH_ESTATE);
    fixture_collect(f.mutator, 2);
    HARNESS_OK(hearth_finalize_call(f.mutator, &item));
    ck_assert_uint_eq(data, 1);
    HARNESS_OK(hearth_finalize_next(f.mutator, &item)); /* the other one is never run */
    ck_assert_uint_eq(((struct fixture_node *)item.object)->value, 1);
    ck_assert_uint_eq(fixture_stats(f.heap).finalizers_due, 0);
    frame.ref[0] = NULL;
    fixture_collect(f.mutator, 2);
    ck_assert(!hearth_is_object(f.heap, item.object));
    HARNESS_STATUS(hearth_finalize_call(f.mutator, &item), HEARTH_EOBJECT);
    HARNESS_STATUS_NAMES(hearth_finalize_next(f.mutator, &bad), HEARTH_EINVAL, "struct_size");
    HARNESS_STATUS(hearth_finalize_next(f.mutator, NULL), HEARTH_EINVAL);
    HARNESS_STATUS(hearth_finalize_next(NULL, &item), HEARTH_EINVAL);
    HARNESS_STATUS(hearth_finalize_call(f.mutator, &bad), HEARTH_EINVAL);
    HARNESS_STATUS(hearth_finalize_call(f.mutator, NULL), HEARTH_EINVAL);
    HARNESS_STATUS(hearth_finalize_wait(f.mutator, 0, NULL), HEARTH_EINVAL);
    HARNESS_STATUS(hearth_finalize_run(NULL, 1, NULL), HEARTH_EINVAL);
    HARNESS_STATUS(hearth_finalize_wake(NULL), HEARTH_EINVAL);
    HARNESS_STATUS(hearth_on_error(NULL, NULL, NULL), HEARTH_EINVAL);
    HEARTH_FRAME_END(f.mutator, frame);
    fixture_close(&f);
}
END_TEST

/* What is due has no way back but through its finalizer. */
START_TEST(due_finalizers_stay_as_they_are)
{
    fixture_alone();
    struct fixture f = fixture_open("verify=on,finalize=queue");
    hearth_finalize_item item = {.struct_size = sizeof item};

    HEARTH_FRAME(f.mutator, frame, 1);
    struct fixture_node *node = finalize_new(&f, &frame.ref[0], 1, 0);
    frame.ref[0] = NULL;
    fixture_collect(f.mutator, 2);
    HARNESS_STATUS_NAMES(hearth_finalizer_add(f.mutator, node, finalize_note, NULL, 0),
                         HEARTH_ESTATE, "due");
    HARNESS_STATUS_NAMES(hearth_finalizer_add_again(f.mutator, node, finalize_note, NULL, 0),
                         HEARTH_ESTATE, "due");
    HARNESS_STATUS_NAMES(hearth_finalizer_remove(f.mutator, node), HEARTH_ESTATE, "due");
    ck_assert(!hearth_is_finalized(f.heap, node));
    finalize_new(&f, &frame.ref[0], 2, 1); /* another one comes into the queue before it */
    frame.ref[0] = NULL;
    fixture_collect(f.mutator, 2);
    HARNESS_OK(hearth_finalize_next(f.mutator, &item));
    ck_assert_uint_eq(((struct fixture_node *)item.object)->value, 2);
    HARNESS_STATUS_NAMES(hearth_finalizer_remove(f.mutator, node), HEARTH_ESTATE, "due");
    HARNESS_OK(hearth_finalize_run(f.mutator, 1, NULL));
    ck_assert_uint_eq(finalize_log[0], 1);
    HEARTH_FRAME_END(f.mutator, frame);
    fixture_close(&f);
}
END_TEST

/* Callbacks of weak references: reserved, due, first in the queue. The cells are any objects here. */
START_TEST(callbacks_come_first)
{
    fixture_alone();
    struct fixture f = fixture_open("verify=on,finalize=queue");
    hearth_finalize_item item = {.struct_size = sizeof item};

    make_due(&f, 1, finalize_note, NULL);
    for (int i = 0; i < 3; i++)
        ck_assert(hg_pending_reserve(f.heap));
    struct fixture_node *cell[2];
    for (uint64_t i = 0; i < 2; i++) {
        cell[i] = fixture_new(f.mutator, f.node, i);
        hg_pending_cell(f.heap, (uintptr_t)cell[i]);
    }
    hg_pending_unreserve(f.heap);
    fixture_collect(f.mutator, 2);
    fixture_garbage(f.mutator, f.node, 100);
    ck_assert_uint_eq(fixture_stats(f.heap).finalizers_due, 3);
    for (uint64_t i = 0; i < 2; i++) {
        HARNESS_OK(hearth_finalize_next(f.mutator, &item));
        ck_assert(item.object == cell[i] && item.fn == NULL && cell[i]->value == i);
        ck_assert(!hearth_is_finalized(f.heap, cell[i]));
    }
    HARNESS_OK(hearth_finalize_next(f.mutator, &item));
    ck_assert(item.fn == finalize_note);
    ck_assert_uint_eq(f.heap->pending.entries.taken, 0);
    ht_fault_arm(HT_FAULT_ALLOC, 1, true);
    size_t reserved = 0;
    while (hg_pending_reserve(f.heap))
        reserved++;
    ht_fault_arm(HT_FAULT_ALLOC, 0, false);
    ck_assert_uint_eq(reserved, HG_ENTRY_SLAB); /* the idle slab's */
    while (reserved-- > 0)
        hg_pending_unreserve(f.heap);
    fixture_close(&f);
}
END_TEST

static hearth_status fails(hearth_mutator *mutator, void *object, void *data)
{
    hearth_type type;
    const struct fixture_node *node = object;
    (void)mutator;
    (void)data;
    switch (node->value) {
    case 0:
        return HEARTH_OK;
    case 1:
        return hearth_type_register(NULL, NULL, &type); /* leaves a message */
    default:
        return HEARTH_ELIMIT; /* does not */
    }
}

START_TEST(errors_are_reported)
{
    fixture_alone();
    struct fixture f = fixture_open("verify=on,stress=1");
    struct reports reports = {0};

    HARNESS_OK(hearth_on_error(f.heap, report, &reports));
    hearth_gc_disable(f.heap);
    HEARTH_FRAME(f.mutator, frame, 3);
    for (uint64_t i = 0; i < 3; i++) {
        frame.ref[i] = fixture_new(f.mutator, f.node, i);
        HARNESS_OK(hearth_finalizer_add(f.mutator, frame.ref[i], fails, NULL, 0));
    }
    memset(frame.ref, 0, sizeof frame.ref);
    fixture_collect(f.mutator, 2);
    ck_assert_uint_eq(reports.count, 2);
    ck_assert_int_eq(reports.status[0], HEARTH_EINVAL);
    ck_assert_ptr_nonnull(strstr(reports.message[0], "heap is NULL"));
    ck_assert_int_eq(reports.status[1], HEARTH_ELIMIT);
    ck_assert_str_eq(reports.message[1], hearth_strerror(HEARTH_ELIMIT));
    ck_assert_uint_eq(fixture_stats(f.heap).finalizer_errors, 2);
    ck_assert_uint_eq(fixture_stats(f.heap).finalizers_run, 3);
    HARNESS_OK(hearth_on_error(f.heap, NULL, NULL));
    make_due(&f, 3, fails, NULL);
    fixture_collect(f.mutator, 2); /* stress may have run them one by one */
    ck_assert_uint_eq(reports.count, 2);
    ck_assert_uint_eq(fixture_stats(f.heap).finalizer_errors, 4);
    HEARTH_FRAME_END(f.mutator, frame);
    fixture_close(&f);
}
END_TEST

/* --- what finalizers may do ------------------------------------------------------------------- */

static int depth; /* finalizers on the stack */

static void *attach_and_allocate(void *data)
{
    struct fixture *f = data;
    hearth_mutator *mutator = fixture_attach(f->heap);
    fixture_garbage(mutator, f->node, 200);
    fixture_collect(mutator, 0); /* may run finalizers here, too */
    EXPECT(hearth_detach(mutator) == HEARTH_OK);
    return NULL;
}

static hearth_status busy(hearth_mutator *mutator, void *object, void *data)
{
    struct fixture *f = data;
    struct fixture_node *node = object;
    pthread_t thread;

    EXPECT(depth++ == 0);
    for (int i = 0; i < 50; i++) {
        void *made = fixture_new(mutator, f->node, 1);
        EXPECT(hearth_store(mutator, node, &node->right, made) == HEARTH_OK);
    }
    fixture_collect(mutator, 2);
    EXPECT(((struct fixture_node *)node->right)->value == 1);
    EXPECT(hearth_finalize_run(mutator, 1, NULL) == HEARTH_ESTATE);
    EXPECT(hearth_finalize_all(mutator) == HEARTH_ESTATE);
    EXPECT(hearth_detach(mutator) == HEARTH_ESTATE);
    if (node->value > 0) {
        struct fixture_node *next = fixture_new(mutator, f->node, node->value - 1);
        EXPECT(hearth_finalizer_add(mutator, next, busy, data, 0) == HEARTH_OK);
    }
    depth--; /* the thread may run other ones */
    EXPECT(pthread_create(&thread, NULL, attach_and_allocate, f) == 0);
    EXPECT(hearth_native_begin(mutator) == HEARTH_OK);
    pthread_join(thread, NULL);
    EXPECT(hearth_native_end(mutator) == HEARTH_OK);
    kept = object;
    return finalize_note(mutator, object, NULL);
}

START_TEST(finalizers_may_do_everything)
{
    fixture_alone();
    struct fixture f = fixture_open(finalize_ways[_i]);

    HARNESS_OK(hearth_root_add(f.heap, &kept));
    make_due(&f, 3, busy, &f);
    for (int i = 0; i < 6 && finalize_calls() < 6; i++)
        fixture_collect(f.mutator, 2);
    ck_assert_uint_eq(finalize_calls(), 6); /* 0, 1 and 0, 2 and 1 and 0 */
    ck_assert(hearth_is_object(f.heap, kept));
    HARNESS_OK(hearth_root_remove(f.heap, &kept));
    fixture_close(&f);
}
END_TEST

/* An allocation that would fail runs finalizers first, and has what they held. */
START_TEST(finalizers_make_room)
{
    enum { SIZE = 1 << 20, LIMIT = 16 };
    uint64_t runs = 0;
    fixture_alone();
    struct fixture f = fixture_open("heap-limit=16m");

    HEARTH_FRAME(f.mutator, frame, LIMIT);
    for (int round = 0; round < 4; round++) {
        int held = 0;
        while (held < LIMIT && (frame.ref[held] = hearth_new_array(f.mutator, f.bytes, SIZE))) {
            HARNESS_OK(hearth_finalizer_add(f.mutator, frame.ref[held], finalize_note, &runs, 0));
            held++;
        }
        ck_assert_int_gt(held, 8); /* what the last round left was reclaimed */
        memset(frame.ref, 0, sizeof frame.ref);
    }
    ck_assert_uint_gt(runs, 24);
    HEARTH_FRAME_END(f.mutator, frame);
    fixture_close(&f);
}
END_TEST

/* --- threads ---------------------------------------------------------------------------------- */

enum { THREADS = 4 };

struct crowd {
    struct fixture *f;
    hearth_type type; /* with a finalizer                */
    uint64_t made, removed, ended;
};

static hearth_status count_up(hearth_mutator *mutator, void *object, void *data)
{
    (void)object;
    __atomic_fetch_add((uint64_t *)data, 1, __ATOMIC_RELAXED);
    hearth_safepoint(mutator);
    return HEARTH_OK;
}

static uint64_t crowd_runs;

static void *crowd_member(void *data)
{
    struct crowd *crowd = data;
    hearth_mutator *mutator = fixture_attach(crowd->f->heap);
    uint64_t count = harness_scaled(2000);

    HEARTH_FRAME(mutator, frame, 2);
    for (uint64_t i = 0; i < count; i++) {
        frame.ref[i % 2] = hearth_new(mutator, crowd->type);
        EXPECT(frame.ref[i % 2] != NULL);
        if (i % 7 == 0) {
            EXPECT(hearth_finalizer_remove(mutator, frame.ref[i % 2]) == HEARTH_OK);
            __atomic_fetch_add(&crowd->removed, 1, __ATOMIC_RELAXED);
        }
        if (i % 501 == 0)
            fixture_collect(mutator, (int)(i / 501 % 3));
    }
    HEARTH_FRAME_END(mutator, frame);
    __atomic_fetch_add(&crowd->made, count, __ATOMIC_RELAXED);
    return NULL; /* exits attached */
}

START_TEST(threads_lose_nothing)
{
    fixture_alone();
    struct fixture f = fixture_open(finalize_ways[_i]);
    struct crowd crowd = {.f = &f, .type = finalize_type(f.heap, count_up, &crowd_runs)};
    pthread_t thread[THREADS];

    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&thread[i], NULL, crowd_member, &crowd), 0);
    HARNESS_OK(hearth_native_begin(f.mutator));
    for (int i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    HARNESS_OK(hearth_native_end(f.mutator));
    fixture_collect(f.mutator, 2);
    fixture_collect(f.mutator, 2);
    ck_assert_uint_eq(crowd_runs, crowd.made - crowd.removed);
    ck_assert_uint_eq(fixture_stats(f.heap).finalizers, 0);
    ck_assert_uint_eq(fixture_stats(f.heap).live_objects, 0);
    fixture_close(&f);
}
END_TEST

/* A thread of its own that runs the queue until it is woken with nothing to do. */
static void *finalizer_thread(void *data)
{
    struct crowd *crowd = data;
    hearth_mutator *mutator = fixture_attach(crowd->f->heap);
    size_t due;

    for (;;) {
        bool ending = __atomic_load_n(&crowd->ended, __ATOMIC_ACQUIRE) != 0;
        EXPECT(hearth_finalize_wait(mutator, ending ? 0 : -1, &due) == HEARTH_OK);
        if (due == 0 && ending)
            break;
        EXPECT(hearth_finalize_run(mutator, 10, NULL) == HEARTH_OK);
    }
    EXPECT(hearth_detach(mutator) == HEARTH_OK);
    return NULL;
}

START_TEST(a_thread_runs_the_queue)
{
    fixture_alone();
    struct fixture f = fixture_open("verify=on,finalize=queue,nursery=256k");
    struct crowd crowd = {.f = &f, .type = finalize_type(f.heap, count_up, &crowd_runs)};
    pthread_t member, finalizer[2];

    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(pthread_create(&finalizer[i], NULL, finalizer_thread, &crowd), 0);
    ck_assert_int_eq(pthread_create(&member, NULL, crowd_member, &crowd), 0);
    HARNESS_OK(hearth_native_begin(f.mutator));
    pthread_join(member, NULL);
    HARNESS_OK(hearth_native_end(f.mutator));
    fixture_collect(f.mutator, 2);
    __atomic_store_n(&crowd.ended, 1, __ATOMIC_RELEASE);
    HARNESS_OK(hearth_finalize_wake(f.heap));
    HARNESS_OK(hearth_native_begin(f.mutator));
    for (int i = 0; i < 2; i++)
        pthread_join(finalizer[i], NULL);
    HARNESS_OK(hearth_native_end(f.mutator));
    ck_assert_uint_eq(crowd_runs, crowd.made - crowd.removed);
    fixture_close(&f);
}
END_TEST

/* Sleeps until something is due, without being woken by the program. */
static void *sleeper(void *data)
{
    struct fixture *f = data;
    hearth_mutator *mutator = fixture_attach(f->heap);
    size_t due = 0;
    EXPECT(hearth_finalize_wait(mutator, -1, &due) == HEARTH_OK);
    EXPECT(due >= 2); /* the other one may have run its one */
    EXPECT(hearth_finalize_run(mutator, 1, NULL) == HEARTH_OK);
    EXPECT(hearth_detach(mutator) == HEARTH_OK);
    return NULL;
}

START_TEST(collections_wake_who_waits)
{
    fixture_alone();
    struct fixture f = fixture_open("verify=on,finalize=queue");
    pthread_t thread[2];

    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(pthread_create(&thread[i], NULL, sleeper, &f), 0);
    fixture_sleep_ms(20); /* most likely they sleep */
    HEARTH_FRAME(f.mutator, frame, 3);
    for (uint64_t i = 0; i < 3; i++)
        finalize_new(&f, &frame.ref[i], i, 0);
    memset(frame.ref, 0, sizeof frame.ref);
    HARNESS_OK(hearth_native_begin(f.mutator));
    HARNESS_OK(hearth_native_end(f.mutator));
    fixture_collect(f.mutator, 2);
    HARNESS_OK(hearth_native_begin(f.mutator));
    for (int i = 0; i < 2; i++)
        pthread_join(thread[i], NULL);
    HARNESS_OK(hearth_native_end(f.mutator));
    ck_assert_uint_eq(finalize_calls(), 2);
    HEARTH_FRAME_END(f.mutator, frame);
    fixture_close(&f);
}
END_TEST

/* A thread that others stop runs what they found. */
static void *poller(void *data)
{
    struct crowd *crowd = data;
    hearth_mutator *mutator = fixture_attach(crowd->f->heap);
    __atomic_store_n(&crowd->made, 1, __ATOMIC_RELEASE);
    while (finalize_calls() == 0)
        hearth_safepoint(mutator);
    EXPECT(hearth_detach(mutator) == HEARTH_OK);
    return NULL;
}

START_TEST(safepoints_run_what_is_due)
{
    fixture_alone();
    struct fixture f = fixture_open("verify=on");
    struct crowd crowd = {.f = &f};
    pthread_t thread;

    struct fixture_node *node = fixture_new(f.mutator, f.node, 1);
    HARNESS_OK(hearth_finalizer_add(f.mutator, node, finalize_note, NULL, 0));
    ck_assert_int_eq(pthread_create(&thread, NULL, poller, &crowd), 0);
    HARNESS_OK(hearth_native_begin(f.mutator)); /* it may be attaching */
    while (__atomic_load_n(&crowd.made, __ATOMIC_ACQUIRE) == 0)
        fixture_sleep_ms(1);
    HARNESS_OK(hearth_native_end(f.mutator));
    while (finalize_calls() == 0) { /* collects, but runs nothing itself */
        hg_collect(hg_mutator_of(f.mutator), HEARTH_GC_FULL, false, HEARTH_REASON_EXPLICIT);
        fixture_sleep_ms(1);
    }
    HARNESS_OK(hearth_native_begin(f.mutator));
    pthread_join(thread, NULL);
    HARNESS_OK(hearth_native_end(f.mutator));
    ck_assert_uint_eq(finalize_calls(), 1);
    fixture_close(&f);
}
END_TEST

static uint64_t now_ms(void)
{
    return ht_os_now() / 1000000;
}

START_TEST(waiting_ends)
{
    struct fixture f = fixture_open("finalize=queue");
    size_t due = 99;
    uint64_t before = now_ms();

    HARNESS_OK(hearth_finalize_wait(f.mutator, 0, &due));
    ck_assert_uint_eq(due, 0);
    ck_assert_uint_lt(now_ms() - before, 5000);
    HARNESS_OK(hearth_finalize_wait(f.mutator, 30, &due));
    ck_assert_uint_eq(due, 0);
    ck_assert_uint_ge(now_ms() - before, 30);
    HARNESS_OK(hearth_native_begin(f.mutator));
    HARNESS_STATUS(hearth_finalize_wait(f.mutator, 0, &due), HEARTH_ESTATE);
    HARNESS_STATUS(hearth_finalize_run(f.mutator, 1, NULL), HEARTH_ESTATE);
    HARNESS_OK(hearth_native_end(f.mutator));
    fixture_close(&f);
}
END_TEST

HARNESS_SUITE(pending)
{
    Suite *suite = suite_create("pending");
    TCase *tcase = tcase_create("pending");

    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, the_program_runs_its_queue);
    tcase_add_test(tcase, allocation_runs_what_is_due);
    tcase_add_test(tcase, items_are_taken_by_hand);
    tcase_add_test(tcase, due_finalizers_stay_as_they_are);
    tcase_add_test(tcase, callbacks_come_first);
    tcase_add_test(tcase, errors_are_reported);
    tcase_add_loop_test(tcase, finalizers_may_do_everything, 0, FINALIZE_WAYS);
    tcase_add_test(tcase, finalizers_make_room);
    tcase_add_loop_test(tcase, threads_lose_nothing, 0, FINALIZE_WAYS);
    tcase_add_test(tcase, a_thread_runs_the_queue);
    tcase_add_test(tcase, collections_wake_who_waits);
    tcase_add_test(tcase, safepoints_run_what_is_due);
    tcase_add_test(tcase, waiting_ends);
    suite_add_tcase(suite, tcase);
    return suite;
}
