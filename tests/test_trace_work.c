/* tests/test_trace_work.c - tracing by several workers and nodes: handing over and ending.
 * What happens when there is no memory for batches is tested in test_trace_scarce.c. */
#define _GNU_SOURCE
#include <pthread.h>
#include <time.h>

#include "tests/trace_fixture.h"

/* --- shapes -------------------------------------------------------------------------------------- */

/* References to items on all nodes by turns; every item refers to another node's. */
static void **build_wide(struct fixture *f, void **root, size_t count, int nodes)
{
    void **array = *root = fixture_refs(f, count);

    for (size_t i = 0; i < count; i++) {
        struct item *item = fixture_item_on(f, (int)(i % (size_t)nodes));
        item->number = i;
        HARNESS_OK(hearth_store(f->m, array, &array[i], item));
        struct item *other = fixture_item_on(f, (int)((i + 1) % (size_t)nodes));
        other->number = ~i;
        HARNESS_OK(hearth_store(f->m, item, &item->other, other));
        array = *root;
    }
    return array;
}

static void expect_wide(void *const *array, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct item *item = array[i], *other = item->other;
        EXPECT(item->number == i && other->number == ~i && other->next == NULL);
    }
}

static const char *const parallel[] = {
    "fake-nodes=2,workers=1",
    "fake-nodes=2,workers=2,help-after=0",
    "fake-nodes=2,workers=4,help-after=0,mode=place",
    "fake-nodes=4,workers=4,help-after=0",
    "fake-nodes=8,workers=3,help-after=0",
    "fake-nodes=2,workers=2,help-after=1000",
};
enum { PARALLEL = sizeof(parallel) / sizeof(parallel[0]) };

static int nodes_of(const struct fixture *f)
{
    return f->heap->topology->nodes;
}

START_TEST(wide_arrays_are_shared_out)
{
    size_t count = harness_scaled(60000);
    struct fixture f;

    fixture_open(&f, parallel[_i]);
    HEARTH_FRAME(f.m, frame, 1);
    build_wide(&f, &frame.ref[0], count, nodes_of(&f));
    for (int i = 0; i < 4; i++) {
        hearth_collection c = fixture_collect(&f, i == 1 ? 0 : 2);
        if (c.kind == HEARTH_GC_FULL)
            ck_assert_uint_eq(c.objects_traced, 2 * count + 1);
        ck_assert_uint_eq(fixture_stats(&f).live_objects, 2 * count + 1);
    }
    expect_wide(frame.ref[0], count);
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
}
END_TEST

START_TEST(all_objects_may_lie_on_one_node)
{
    size_t count = harness_scaled(30000);
    struct fixture f;

    fixture_open(&f, parallel[_i]);
    HEARTH_FRAME(f.m, frame, 1);
    void **array = frame.ref[0] = hearth_new_on(f.m, f.refs, count, nodes_of(&f) - 1);
    ck_assert_ptr_nonnull(array);
    for (size_t i = 0; i < count; i++) {
        struct item *item = fixture_item_on(&f, nodes_of(&f) - 1);
        item->number = i;
        hearth_store(f.m, array, &array[i], item);
    }
    hearth_collection c = fixture_collect(&f, 2);
    ck_assert_uint_eq(c.objects_traced, count + 1);
    ck_assert_uint_eq(fixture_stats(&f).live_objects, count + 1);
    ck_assert_uint_le(c.sent, 1); /* the root */
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
}
END_TEST

/* More references at once than a stack holds: they go through shared batches. */
START_TEST(a_full_stack_spills_into_batches)
{
    enum { ARRAYS = 16, EACH = 4000 };
    struct fixture f;

    fixture_open(&f, _i ? "workers=2,help-after=0" : "workers=1");
    HEARTH_FRAME(f.m, frame, 1);
    for (int i = 0; i < ARRAYS; i++) { /* below the size that is sliced; the next one first */
        void **array = fixture_refs(&f, EACH);
        hearth_store_init(&array[EACH - 1], frame.ref[0]);
        frame.ref[0] = array;
        for (int k = 0; k < EACH - 1; k++) {
            struct item *item = hearth_alloc(f.m, f.item, sizeof(*item));
            hearth_store(f.m, array, &array[k], item);
        }
    }
    for (int i = 0; i < 3; i++)
        ck_assert_uint_eq(fixture_collect(&f, 2).objects_traced, ARRAYS * EACH);
    ck_assert_uint_eq(fixture_stats(&f).live_objects, ARRAYS * EACH);
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
}
END_TEST

/* --- statistics and placement ---------------------------------------------------------------------- */

static void node_totals(const struct fixture *f, uint64_t *local, uint64_t *remote,
                        uint64_t *received)
{
    *local = *remote = *received = 0;
    for (int n = 0; n < nodes_of(f); n++) {
        hearth_node_stats stats = {.struct_size = sizeof(stats)};
        HARNESS_OK(hearth_get_node_stats(f->heap, n, &stats));
        *local += stats.traced_local;
        *remote += stats.traced_remote;
        *received += stats.received;
    }
}

START_TEST(every_traced_object_is_local_or_remote)
{
    size_t count = harness_scaled(20000);
    struct fixture f;
    uint64_t local, remote, received, traced = 0, own = 0, sent = 0;

    fixture_open(&f, parallel[_i]);
    HEARTH_FRAME(f.m, frame, 1);
    build_wide(&f, &frame.ref[0], count, nodes_of(&f));
    uint64_t local_before, remote_before, received_before;
    node_totals(&f, &local_before, &remote_before, &received_before);
    for (int i = 0; i < 3; i++) {
        hearth_collection c = fixture_collect(&f, 2);
        traced += c.objects_traced;
        own += c.local;
        sent += c.sent;
        ck_assert_uint_ge(c.workers, 1);
        ck_assert_uint_le(c.workers, 4);
    }
    node_totals(&f, &local, &remote, &received);
    ck_assert_uint_eq(traced, 3 * (2 * count + 1));
    ck_assert_uint_eq(local + remote - local_before - remote_before, traced);
    ck_assert_uint_eq(local - local_before, own);
    ck_assert_uint_eq(received - received_before, sent);
    if (f.heap->trace->mail.nodes > 1)
        ck_assert_uint_ge(sent, 3 * count); /* each pair lies on two nodes */
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
}
END_TEST

/* One worker serves all nodes: what is not its own node's is remote, and taken by crossing over. */
START_TEST(a_lone_worker_crosses_over)
{
    struct fixture f;

    fixture_open(&f, "fake-nodes=2,workers=1");
    fixture_stay_home(&f);
    HEARTH_FRAME(f.m, frame, 1);
    fixture_list_on(&f, &frame.ref[0], 10000, 2, 100);
    hearth_collection c = fixture_collect(&f, 2);
    ck_assert_uint_eq(c.workers, 1);
    ck_assert_uint_eq(c.objects_traced, 10000);
    ck_assert_uint_eq(c.local, 5000);
    ck_assert_uint_le(c.sent, 1); /* single references are followed */
    frame.ref[0] = NULL;
    build_wide(&f, &frame.ref[0], 5000, 2);
    c = fixture_collect(&f, 2);
    ck_assert_uint_eq(c.objects_traced, 10001);
    ck_assert_uint_ge(c.stolen, 5000 / HG_BATCH);
    ck_assert_uint_ge(c.sent, 5000);
    ck_assert_uint_ge(c.local, 5000);
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
}
END_TEST

START_TEST(only_local_mode_sends)
{
    static const struct {
        const char *options;
        bool sends;
    } modes[] = {{"fake-nodes=2,mode=auto", true},        {"fake-nodes=2,mode=local", true},
                 {"fake-nodes=2,mode=place", false},      {"fake-nodes=2,mode=off", false},
                 {"fake-nodes=2,mode=interleave", false}, {"mode=local", true}};
    struct fixture f;

    fixture_open(&f, modes[_i].options);
    HEARTH_FRAME(f.m, frame, 1);
    build_wide(&f, &frame.ref[0], 1000, nodes_of(&f));
    hearth_collection c = fixture_collect(&f, 2);
    ck_assert_uint_eq(c.objects_traced, 2001);
    ck_assert((modes[_i].sends && nodes_of(&f) > 1) == (c.sent != 0));
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
}
END_TEST

/* --- helpers ------------------------------------------------------------------------------------- */

START_TEST(helpers_come_after_so_many_objects)
{
    struct fixture f;

    fixture_open(&f, "workers=2,help-after=5000,mode=place"); /* other nodes' come earlier */
    HEARTH_FRAME(f.m, frame, 1);
    ck_assert_uint_eq(f.heap->crew->started, 0);
    frame.ref[0] = fixture_refs(&f, 4000);
    void **array = frame.ref[0];
    for (int i = 0; i < 4000; i++)
        HARNESS_OK(hearth_store(f.m, array, &array[i], hearth_new(f.m, f.item)));
    ck_assert_uint_eq(fixture_collect(&f, 2).objects_traced, 4001);
    ck_assert_int_eq(f.heap->crew->started, 0); /* too little to do */
    for (int i = 0; i < 4000; i++) {
        struct item *item = array[i];
        HARNESS_OK(hearth_store(f.m, item, &item->next, hearth_new(f.m, f.item)));
    }
    ck_assert_uint_eq(fixture_collect(&f, 2).objects_traced, 8001);
    ck_assert_int_eq(f.heap->crew->started, 1);
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
}
END_TEST

/* A helper that finds no memory for its stack, or a thread that does not start, leaves the work to the
 * others. */
START_TEST(helpers_may_fail_to_come)
{
    struct fixture f;

    fixture_open(&f, "workers=4,help-after=0,fake-nodes=2");
    HEARTH_FRAME(f.m, frame, 1);
    fixture_list_on(&f, &frame.ref[0], 2000, 2, 1);
    if (_i == 0)
        ht_fault_arm(HT_FAULT_THREAD, 1, true);
    else
        fixture_exhaust(&f);
    for (int i = 0; i < 3; i++) {
        hearth_collection c = fixture_collect(&f, 2);
        ck_assert_uint_eq(c.objects_traced, 2000);
        ck_assert_uint_eq(c.workers, 1);
    }
    ht_fault_arm(HT_FAULT_THREAD, 0, false);
    ht_fault_arm(HT_FAULT_RESERVE, 0, false);
    fixture_expect_list(frame.ref[0], 2000);
    HARNESS_OK(hearth_verify(f.m));
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
}
END_TEST

/* Trace callbacks run on helpers; a helper counts whatever it traced last. */
static void trace_two(void *object, size_t size, hearth_visitor *visitor)
{
    EXPECT(size == sizeof(struct item));
    hearth_visit(visitor, &((struct item *)object)->next);
    hearth_visit(visitor, &((struct item *)object)->other);
}

START_TEST(helpers_that_end_in_a_callback_are_counted)
{
    const hearth_type_info info = {.struct_size = sizeof(info),
                                   .name = "by callback",
                                   .size = sizeof(struct item),
                                   .trace = trace_two};
    struct fixture f;

    fixture_open(&f, "workers=3,help-after=0,fake-nodes=2,nursery=64m");
    HARNESS_OK(hearth_type_register(f.heap, &info, &f.item));
    for (int i = 0; i < 30; i++) { /* young objects: the callbacks are told not to promote */
        HEARTH_FRAME(f.m, frame, 20);
        for (int k = 0; k < 20; k++)
            fixture_list_on(&f, &frame.ref[k], 200, 2, 10);
        ck_assert_uint_eq(fixture_collect(&f, 0).objects_traced, 4000);
        HEARTH_FRAME_END(f.m, frame);
    }
    fixture_close(&f);
}
END_TEST

#ifdef HEARTH_DEBUG
static uint64_t delay_state; /* of all workers together: any interleaving will do */

static void delay_sometimes(void)
{
    uint64_t at = __atomic_add_fetch(&delay_state, UINT64_C(0x9e3779b97f4a7c15), __ATOMIC_RELAXED);
    uint64_t dice = harness_random(&at) % 64;
    const struct timespec pause = {0, (long)(dice * 1000)};

    if (dice < 8)
        nanosleep(&pause, NULL);
    else if (dice < 24)
        sched_yield();
}

/* Workers stop at every step of handing over. Tracing ends, and not before all is done. */
START_TEST(tracing_ends_whatever_the_delays)
{
    struct fixture f;

    delay_state = harness_seed();
    fixture_open(&f, parallel[_i]);
    hg_mail_delay = delay_sometimes;
    HEARTH_FRAME(f.m, frame, 2);
    fixture_list_on(&f, &frame.ref[0], harness_scaled(600), nodes_of(&f), 1);
    build_wide(&f, &frame.ref[1], 3000, nodes_of(&f));
    for (int i = 0; i < 10; i++) {
        hearth_collection c = fixture_collect(&f, i == 0 ? 0 : 2);
        ck_assert_uint_eq(c.objects_traced, harness_scaled(600) + 6001);
    }
    HARNESS_OK(hearth_verify(f.m));
    fixture_expect_list(frame.ref[0], harness_scaled(600));
    expect_wide(frame.ref[1], 3000);
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
}
END_TEST

/* Node 1 has no worker but node 0's thief; when work for node 0 arrives it goes home with what it holds
 * on node 1 handed over. */
START_TEST(a_thief_goes_home)
{
    struct fixture f;

    fixture_open(&f, "fake-nodes=2,workers=2,help-after=0");
    HEARTH_FRAME(f.m, frame, 1);
    void **top = frame.ref[0] = fixture_refs(&f, 64);
    for (int i = 0; i < 64; i++) {
        HEARTH_FRAME(f.m, inner, 1);
        fixture_list_on(&f, &inner.ref[0], 600, 2, 40 + (uint64_t)i);
        HARNESS_OK(hearth_store(f.m, top, &top[i], inner.ref[0]));
        HEARTH_FRAME_END(f.m, inner);
    }
    delay_state = harness_seed();
    hg_mail_delay = delay_sometimes;
    for (int i = 0; i < 20; i++)
        ck_assert_uint_eq(fixture_collect(&f, 2).objects_traced, 64 * 600 + 1);
    for (int i = 0; i < 64; i++)
        fixture_expect_list(top[i], 600);
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
}
END_TEST
#endif

HARNESS_SUITE(trace_work)
{
    Suite *suite = suite_create("trace_work");
    TCase *shapes = tcase_create("shapes");
    TCase *counts = tcase_create("counts");
    TCase *helpers = tcase_create("helpers");

    tcase_add_loop_test(shapes, wide_arrays_are_shared_out, 0, PARALLEL);
    tcase_add_loop_test(shapes, all_objects_may_lie_on_one_node, 0, PARALLEL);
    tcase_add_loop_test(shapes, a_full_stack_spills_into_batches, 0, 2);
    suite_add_tcase(suite, shapes);
    tcase_add_loop_test(counts, every_traced_object_is_local_or_remote, 0, PARALLEL);
    tcase_add_test(counts, a_lone_worker_crosses_over);
    tcase_add_loop_test(counts, only_local_mode_sends, 0, 6);
    suite_add_tcase(suite, counts);
    tcase_add_test(helpers, helpers_come_after_so_many_objects);
    tcase_add_loop_test(helpers, helpers_may_fail_to_come, 0, 2);
    tcase_add_test(helpers, helpers_that_end_in_a_callback_are_counted);
#ifdef HEARTH_DEBUG
    tcase_add_loop_test(helpers, tracing_ends_whatever_the_delays, 0, PARALLEL);
    tcase_add_test(helpers, a_thief_goes_home);
#endif
    suite_add_tcase(suite, helpers);
    return suite;
}
