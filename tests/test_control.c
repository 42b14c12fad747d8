/* tests/test_control.c - the control interface: counts of collections, statistics, debugging flags, log
 * lines, callbacks. Thresholds, garbage and freezing have suites of their own. */
#define _GNU_SOURCE
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "tests/trace_fixture.h"

static const char *const modes[] = {
    "workers=1",
    "workers=3,help-after=0",
    "workers=3,help-after=0,fake-nodes=2,mode=local",
    "generational=off,verify=on",
    "verify=on,stress=1",
    "nursery=256k,workers=2,help-after=0,verify=on",
};
enum { MODES = sizeof(modes) / sizeof(modes[0]) };

/* --- counts of unreachable objects ----------------------------------------------------------------- */

START_TEST(collect_returns_what_was_unreachable)
{
    struct fixture f;
    size_t count = 99;

    fixture_open(&f, "nursery=64m");
    HEARTH_FRAME(f.m, frame, 1);
    for (uint64_t i = 0; i < 1000; i++)
        fixture_push(&f, &frame.ref[0], i);
    for (int i = 0; i < 300; i++)
        ck_assert_ptr_nonnull(hearth_new(f.m, f.leaf));
    ck_assert_ptr_nonnull(fixture_refs(&f, 20000)); /* large */
    HARNESS_OK(hearth_gc_collect_count(f.m, 0, &count));
    ck_assert_uint_eq(count, 301);
    hearth_collection c = fixture_last(&f);
    ck_assert_uint_eq(c.unreachable, 301);
    ck_assert_uint_eq(c.collected, 301);
    ck_assert_uint_eq(c.uncollectable, 0);
    ck_assert_uint_eq(c.generation, 0);
    HARNESS_OK(hearth_gc_collect_count(f.m, 1, &count));
    ck_assert_uint_eq(count, 0);
    ck_assert_uint_eq(fixture_last(&f).generation, 1);
    frame.ref[0] = NULL; /* all is old now */
    HARNESS_OK(hearth_gc_collect_count(f.m, 1, &count));
    ck_assert_uint_eq(count, 0);
    HARNESS_OK(hearth_gc_collect_count(f.m, 2, &count));
    ck_assert_uint_eq(count, 1000);
    ck_assert_uint_eq(fixture_last(&f).generation, 2);
    HARNESS_OK(hearth_gc_collect_count(f.m, 2, NULL));
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
}
END_TEST

static uint64_t collected_in_all(hearth_heap *heap)
{
    uint64_t collected = 0;

    for (int g = 0; g < 3; g++) {
        hearth_gc_generation_stats stats = {.struct_size = sizeof(stats)};
        HARNESS_OK(hearth_gc_get_stats(heap, g, &stats));
        ck_assert_uint_eq(stats.uncollectable, 0);
        collected += stats.collected;
    }
    return collected;
}

/* A graph with shared parts and old objects that refer to young ones, so that marks are promoted twice:
 * what was collected is still exactly what was allocated and does not live. */
START_TEST(counts_are_exact_in_every_mode)
{
    enum { SLOTS = 200 };
    struct fixture f;
    uint64_t random = harness_seed();
    bool stress = strstr(modes[_i], "stress") != NULL; /* 400 collections a round */
    int rounds = (int)harness_scaled(stress ? 3 : 40);

    fixture_open(&f, modes[_i]);
    HEARTH_FRAME(f.m, frame, 2);
    frame.ref[0] = fixture_refs(&f, SLOTS);
    for (int round = 0; round < rounds; round++) {
        for (int i = 0; i < 400; i++) {
            size_t slot = harness_random_below(&random, SLOTS);
            void **array = frame.ref[0];
            if (i % 50 == 0) {
                frame.ref[1] = fixture_refs(&f, 9000);
            } else {
                struct item *item = hearth_alloc(f.m, f.item, sizeof(*item));
                EXPECT(item != NULL);
                hearth_store_init(&item->next, array[harness_random_below(&random, SLOTS)]);
                frame.ref[1] = item;
            }
            EXPECT(hearth_store(f.m, array, &array[slot], frame.ref[1]) == HEARTH_OK);
        }
        hearth_collection c = fixture_collect(&f, (int)harness_random_below(&random, 3));
        ck_assert_uint_eq(c.unreachable, c.collected);
        hearth_stats stats = fixture_stats(&f);
        ck_assert_uint_eq(collected_in_all(f.heap), stats.allocated_objects - stats.live_objects);
    }
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
}
END_TEST

static void *allocate_and_leave(void *argument)
{
    struct fixture *f = argument;
    hearth_mutator *m = NULL;

    HARNESS_OK(hearth_attach(f->heap, NULL, &m));
    for (int i = 0; i < 77; i++)
        EXPECT(hearth_new(m, f->leaf) != NULL);
    HARNESS_OK(hearth_detach(m));
    return NULL;
}

START_TEST(objects_of_threads_that_left_are_counted)
{
    struct fixture f;
    pthread_t thread;
    size_t count = 0, since[3];

    fixture_open(&f, "");
    ck_assert_int_eq(pthread_create(&thread, NULL, allocate_and_leave, &f), 0);
    HARNESS_OK(hearth_native_begin(f.m));
    pthread_join(thread, NULL);
    HARNESS_OK(hearth_native_end(f.m));
    HARNESS_OK(hearth_verify(f.m)); /* gives blocks back, collects nothing */
    ck_assert_ptr_nonnull(hearth_new(f.m, f.leaf));
    HARNESS_OK(hearth_gc_get_count(f.heap, since));
    ck_assert_uint_eq(since[0], 78);
    HARNESS_OK(hearth_gc_collect_count(f.m, 0, &count));
    ck_assert_uint_eq(count, 78);
    fixture_close(&f);
}
END_TEST

/* --- statistics ------------------------------------------------------------------------------------- */

START_TEST(stats_are_per_generation)
{
    struct fixture f;
    hearth_gc_generation_stats stats = {.struct_size = sizeof(stats)};

    fixture_open(&f, "nursery=64m");
    for (int g = 0; g < 3; g++)
        for (int i = 0; i <= g; i++) {
            for (int k = 0; k < 10 * (g + 1); k++)
                ck_assert_ptr_nonnull(hearth_new(f.m, f.leaf));
            HARNESS_OK(hearth_gc_collect(f.m, g));
        }
    for (int g = 0; g < 3; g++) {
        HARNESS_OK(hearth_gc_get_stats(f.heap, g, &stats));
        ck_assert_uint_eq(stats.collections, (uint64_t)g + 1);
        ck_assert_uint_eq(stats.collected, (uint64_t)(10 * (g + 1) * (g + 1)));
        ck_assert_uint_eq(stats.uncollectable, 0);
    }
    HARNESS_STATUS_NAMES(hearth_gc_get_stats(f.heap, 3, &stats), HEARTH_EINVAL, "generation 3");
    HARNESS_STATUS_NAMES(hearth_gc_get_stats(f.heap, -1, &stats), HEARTH_EINVAL, "generation -1");
    stats.struct_size = 7;
    HARNESS_STATUS_NAMES(hearth_gc_get_stats(f.heap, 0, &stats), HEARTH_EINVAL, "7");
    HARNESS_STATUS(hearth_gc_get_stats(f.heap, 0, NULL), HEARTH_EINVAL);
    HARNESS_STATUS(hearth_gc_get_stats(NULL, 0, &stats), HEARTH_EINVAL);
    fixture_close(&f);
}
END_TEST

/* --- debugging flags -------------------------------------------------------------------------------- */

struct log {
    char text[16384];
    size_t used;
    hearth_status status;
};

static void keep_line(void *data, hearth_heap *heap, const char *line)
{
    struct log *log = data;
    int n = snprintf(log->text + log->used, sizeof(log->text) - log->used, "%s\n", line);

    EXPECT(n > 0 && log->used + (size_t)n < sizeof(log->text));
    log->used += (size_t)n;
    log->status = hearth_gc_set_log(heap, NULL, NULL);
}

START_TEST(debug_stats_says_what_cpython_says)
{
    struct fixture f;
    struct log log = {.used = 0};

    fixture_open(&f, "nursery=64m");
    HARNESS_OK(hearth_gc_set_log(f.heap, keep_line, &log));
    HEARTH_FRAME(f.m, frame, 1);
    for (uint64_t i = 0; i < 30; i++)
        fixture_push(&f, &frame.ref[0], i);
    HARNESS_OK(hearth_gc_collect(f.m, 1)); /* says nothing: no flag */
    ck_assert_uint_eq(log.used, 0);
    HARNESS_OK(hearth_gc_set_debug(f.heap, HEARTH_GC_DEBUG_STATS));
    for (uint64_t i = 0; i < 20; i++)
        fixture_push(&f, &frame.ref[0], i);
    HARNESS_OK(hearth_gc_collect(f.m, 0));
    for (int i = 0; i < 5; i++)
        ck_assert_ptr_nonnull(hearth_new(f.m, f.leaf));
    HARNESS_OK(hearth_gc_collect(f.m, 2));
    HEARTH_FRAME_END(f.m, frame);
    ck_assert_int_eq(log.status, HEARTH_ESTATE);
    const char *at = log.text;
    static const char *const lines[] = {
        "gc: collecting generation 0...\n",         "gc: objects in each generation: 20 0 30\n",
        "gc: objects in permanent generation: 0\n", "gc: done, 0 unreachable, 0 uncollectable, 0.",
        "gc: collecting generation 2...\n",         "gc: objects in each generation: 5 20 30\n",
        "gc: objects in permanent generation: 0\n", "gc: done, 5 unreachable, 0 uncollectable, 0."};
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        at = strstr(at, lines[i]);
        ck_assert_msg(at != NULL, "line %zu is not in: %s", i, log.text);
        at += strlen(lines[i]);
    }
    fixture_close(&f);
}
END_TEST

START_TEST(debug_collectable_names_each_object)
{
    struct fixture f;
    struct log log = {.used = 0};
    char expected[64];

    fixture_open(&f, "nursery=64m");
    HARNESS_OK(hearth_gc_set_log(f.heap, keep_line, &log));
    HARNESS_OK(hearth_gc_set_debug(f.heap, HEARTH_GC_DEBUG_COLLECTABLE));
    HEARTH_FRAME(f.m, frame, 1);
    fixture_push(&f, &frame.ref[0], 1);
    const void *dead = hearth_new(f.m, f.leaf);
    HARNESS_OK(hearth_gc_collect(f.m, 0));
    snprintf(expected, sizeof(expected), "gc: collectable <leaf %p>\n", dead);
    ck_assert_str_eq(log.text, expected);
    HARNESS_OK(hearth_gc_collect(f.m, 2)); /* none is left */
    ck_assert_str_eq(log.text, expected);
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
}
END_TEST

START_TEST(without_a_hook_lines_go_to_stderr)
{
    struct fixture f;
    char line[256] = "";
    int ends[2], saved;

    fixture_open(&f, "");
    ck_assert_int_eq(pipe(ends), 0);
    saved = dup(2);
    dup2(ends[1], 2);
    HARNESS_OK(hearth_gc_set_debug(f.heap, HEARTH_GC_DEBUG_STATS));
    HARNESS_OK(hearth_gc_collect(f.m, 2));
    HARNESS_OK(hearth_gc_set_debug(f.heap, 0));
    HARNESS_OK(hearth_gc_collect(f.m, 2));
    dup2(saved, 2);
    close(ends[1]);
    ck_assert_int_gt((int)read(ends[0], line, sizeof(line) - 1), 0);
    ck_assert_int_eq(strncmp(line, "gc: collecting generation 2...\n", 31), 0);
    close(ends[0]);
    close(saved);
    fixture_close(&f);
}
END_TEST

START_TEST(unknown_flags_are_refused)
{
    struct fixture f;

    fixture_open(&f, "");
    ck_assert_uint_eq(hearth_gc_get_debug(f.heap), 0);
    HARNESS_OK(hearth_gc_set_debug(f.heap, HEARTH_GC_DEBUG_LEAK | HEARTH_GC_DEBUG_STATS));
    HARNESS_STATUS_NAMES(hearth_gc_set_debug(f.heap, 0x48), HEARTH_EINVAL, "0x48");
    ck_assert_uint_eq(hearth_gc_get_debug(f.heap), 39);
    HARNESS_OK(hearth_gc_set_debug(f.heap, 0));
    HARNESS_STATUS(hearth_gc_set_debug(NULL, 0), HEARTH_EINVAL);
    HARNESS_STATUS(hearth_gc_set_log(NULL, NULL, NULL), HEARTH_EINVAL);
    ck_assert_uint_eq(hearth_gc_get_debug(NULL), 0);
    ck_assert_int_eq(HEARTH_GC_DEBUG_LEAK, HEARTH_GC_DEBUG_COLLECTABLE |
                                               HEARTH_GC_DEBUG_UNCOLLECTABLE |
                                               HEARTH_GC_DEBUG_SAVEALL);
    fixture_close(&f);
}
END_TEST

/* --- callbacks --------------------------------------------------------------------------------------- */

struct seen {
    struct fixture *f;
    int starts, stops, order;
    hearth_gc_info start, stop;
    hearth_mutator *mutator;
    bool collects; /* inside */
};

static void see(hearth_mutator *m, hearth_gc_phase phase, const hearth_gc_info *info, void *data)
{
    struct seen *seen = data;

    EXPECT(info->struct_size == sizeof(*info));
    seen->mutator = m;
    if (phase == HEARTH_GC_START) {
        seen->starts++;
        seen->start = *info;
        seen->order = seen->order * 10 + 1;
    } else {
        seen->stops++;
        seen->stop = *info;
        seen->order = seen->order * 10 + 2;
    }
    EXPECT(hearth_new(m, seen->f->leaf) != NULL);
    if (seen->collects)
        HARNESS_OK(hearth_gc_collect(m, 2));
}

START_TEST(callbacks_see_start_and_stop)
{
    struct fixture f;
    struct seen seen = {.f = &f};

    fixture_open(&f, "nursery=64m");
    HARNESS_OK(hearth_gc_callback_add(f.heap, see, &seen));
    for (int i = 0; i < 12; i++)
        ck_assert_ptr_nonnull(hearth_new(f.m, f.leaf));
    HARNESS_OK(hearth_gc_collect(f.m, 1));
    ck_assert_int_eq(seen.order, 12);
    ck_assert_ptr_eq(seen.mutator, f.m);
    ck_assert_int_eq(seen.start.generation, 1);
    ck_assert_uint_eq(seen.start.collected, 0);
    ck_assert_int_eq(seen.stop.generation, 1);
    ck_assert_uint_eq(seen.stop.collected, 13); /* one was made by the callback */
    ck_assert_uint_eq(seen.stop.uncollectable, 0);
    HARNESS_OK(hearth_gc_callback_remove(f.heap, see, &seen));
    HARNESS_OK(hearth_gc_collect(f.m, 2));
    ck_assert_int_eq(seen.starts, 1);
    fixture_close(&f);
}
END_TEST

START_TEST(a_callback_may_collect_and_none_is_called_then)
{
    struct fixture f;
    struct seen seen = {.f = &f, .collects = true};
    size_t count = 99;

    fixture_open(&f, "");
    HARNESS_OK(hearth_gc_callback_add(f.heap, see, &seen));
    HARNESS_OK(hearth_gc_collect_count(f.m, 2, &count));
    ck_assert_int_eq(seen.starts, 1);
    ck_assert_int_eq(seen.stops, 1);
    ck_assert_uint_eq(count, 0); /* of the collection itself: the callback's took its object */
    ck_assert_uint_eq(fixture_stats(&f).full_count, 3);
    fixture_close(&f);
}
END_TEST

START_TEST(the_list_of_callbacks)
{
    struct fixture f;
    struct seen seen[9] = {{.f = NULL}};

    fixture_open(&f, "");
    for (int i = 0; i < 9; i++) {
        seen[i].f = &f;
        HARNESS_OK(hearth_gc_callback_add(f.heap, see, &seen[i]));
    }
    HARNESS_STATUS(hearth_gc_callback_add(f.heap, see, &seen[3]), HEARTH_ESTATE);
    HARNESS_OK(hearth_gc_callback_remove(f.heap, see, &seen[3]));
    HARNESS_STATUS(hearth_gc_callback_remove(f.heap, see, &seen[3]), HEARTH_ESTATE);
    HARNESS_OK(hearth_gc_collect(f.m, 0));
    for (int i = 0; i < 9; i++)
        ck_assert_int_eq(seen[i].starts + seen[i].stops, i == 3 ? 0 : 2);
    HARNESS_STATUS(hearth_gc_callback_add(NULL, see, NULL), HEARTH_EINVAL);
    HARNESS_STATUS(hearth_gc_callback_add(f.heap, NULL, NULL), HEARTH_EINVAL);
    HARNESS_STATUS(hearth_gc_callback_remove(NULL, see, NULL), HEARTH_EINVAL);
    fixture_close(&f);
    fixture_open(&f, "");
    ht_fault_arm(HT_FAULT_ALLOC, 1, true);
    HARNESS_STATUS(hearth_gc_callback_add(f.heap, see, &seen[0]), HEARTH_ENOMEM);
    ht_fault_arm(HT_FAULT_ALLOC, 0, false);
    HARNESS_OK(hearth_gc_collect(f.m, 0));
    ck_assert_int_eq(seen[0].starts, 1);
    fixture_close(&f);
}
END_TEST

static void count_phase(hearth_mutator *m, hearth_gc_phase phase, const hearth_gc_info *info,
                        void *data)
{
    (void)m;
    (void)info;
    __atomic_fetch_add((int *)data + (phase == HEARTH_GC_STOP), 1, __ATOMIC_RELAXED);
}

static void *churn(void *argument)
{
    struct fixture *f = argument;
    hearth_mutator *m = NULL;

    HARNESS_OK(hearth_attach(f->heap, NULL, &m));
    for (uint64_t i = 0; i < harness_scaled(30000); i++)
        EXPECT(hearth_new(m, f->item) != NULL);
    HARNESS_OK(hearth_detach(m));
    return NULL;
}

/* Each collection has exactly one pair, whichever thread made it. */
START_TEST(callbacks_of_several_threads_are_paired)
{
    struct fixture f;
    pthread_t thread[3];
    int phases[2] = {0, 0};

    fixture_open(&f, "nursery=256k,nursery-adaptive=off");
    HARNESS_OK(hearth_gc_callback_add(f.heap, count_phase, phases));
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(pthread_create(&thread[i], NULL, churn, &f), 0);
    HARNESS_OK(hearth_native_begin(f.m));
    for (int i = 0; i < 3; i++)
        pthread_join(thread[i], NULL);
    HARNESS_OK(hearth_native_end(f.m));
    HARNESS_OK(hearth_gc_collect(f.m, 0));
    hearth_stats stats = fixture_stats(&f);
    ck_assert_int_eq(phases[0], phases[1]);
    ck_assert_uint_eq((uint64_t)phases[0], stats.minor_count + stats.full_count);
    fixture_close(&f);
}
END_TEST

HARNESS_SUITE(control)
{
    Suite *suite = suite_create("control");
    TCase *counts = tcase_create("counts");
    tcase_add_test(counts, collect_returns_what_was_unreachable);
    tcase_add_loop_test(counts, counts_are_exact_in_every_mode, 0, MODES);
    tcase_add_test(counts, objects_of_threads_that_left_are_counted);
    tcase_add_test(counts, stats_are_per_generation);
    suite_add_tcase(suite, counts);
    TCase *debug = tcase_create("debug");
    tcase_add_test(debug, debug_stats_says_what_cpython_says);
    tcase_add_test(debug, debug_collectable_names_each_object);
    tcase_add_test(debug, without_a_hook_lines_go_to_stderr);
    tcase_add_test(debug, unknown_flags_are_refused);
    suite_add_tcase(suite, debug);
    TCase *callbacks = tcase_create("callbacks");
    tcase_add_test(callbacks, callbacks_see_start_and_stop);
    tcase_add_test(callbacks, a_callback_may_collect_and_none_is_called_then);
    tcase_add_test(callbacks, the_list_of_callbacks);
    tcase_add_test(callbacks, callbacks_of_several_threads_are_paired);
    suite_add_tcase(suite, callbacks);
    return suite;
}
