/* tests/test_stats.c - statistics agree with what was done, with each other, and with the log.
 *
 * What must hold after a collection: allocated and live counts are exact; the nodes' numbers add up
 * to the heap's; percentiles do not fall. log=gc prints one line a collection, and nothing else is
 * ever printed. */
#include <fcntl.h>
#include <sys/wait.h>

#include "tests/mutator_fixture.h"

static hearth_node_stats node_stats(hearth_heap *heap, int node)
{
    hearth_node_stats stats = {.struct_size = sizeof stats};
    hearth_status status = hearth_get_node_stats(heap, node, &stats);

    EXPECT(status == HEARTH_OK && stats.node == node);
    return stats;
}

static hearth_collection last_collection(hearth_heap *heap)
{
    hearth_collection collection = {.struct_size = sizeof collection};
    hearth_status status = hearth_last_collection(heap, &collection);

    EXPECT(status == HEARTH_OK);
    return collection;
}

/* The heap has just been collected and is at rest. */
static void check_sums(hearth_heap *heap)
{
    hearth_stats stats = fixture_stats(heap);
    hearth_node_stats sum = {0};

    for (int node = 0; node < stats.nodes; node++) {
        hearth_node_stats one = node_stats(heap, node);

        sum.allocated_bytes += one.allocated_bytes;
        sum.live_bytes += one.live_bytes;
        sum.live_objects += one.live_objects;
        sum.blocks += one.blocks;
        sum.chunks += one.chunks;
        sum.spilled_in += one.spilled_in;
    }
    ck_assert_uint_eq(sum.allocated_bytes, stats.allocated_bytes);
    ck_assert_uint_eq(sum.live_bytes, stats.live_bytes);
    ck_assert_uint_eq(sum.live_objects, stats.live_objects);
    ck_assert_uint_eq(sum.blocks * HA_BLOCK, stats.heap_bytes);
    ck_assert_uint_eq(sum.spilled_in, stats.spilled_blocks);
    ck_assert_uint_ge(stats.peak_heap_bytes, stats.heap_bytes);
    ck_assert_uint_ge(stats.limit_bytes, stats.budget_bytes);
    ck_assert_uint_ge(stats.budget_bytes, stats.heap_bytes);
    ck_assert_uint_ge(stats.heap_bytes, stats.live_bytes);
    ck_assert_uint_ge(stats.metadata_bytes, sum.chunks * HA_HEAD_BLOCKS * HA_BLOCK);
}

static void *allocate_and_leave(void *argument)
{
    struct fixture *f = argument;
    hearth_mutator *mutator = fixture_attach(f->heap);

    fixture_garbage(mutator, f->node, 1234);
    EXPECT(hearth_detach(mutator) == HEARTH_OK);
    return NULL;
}

/* Small, array, large, span and other nodes' objects, by two threads: counted to the last one. */
START_TEST(counts_are_exact)
{
    static const char *const options[] = {"fake-nodes=1", "fake-nodes=2", "fake-nodes=4"};
    struct fixture f;
    uint64_t expected = 0, live = 0;
    pthread_t thread;

    fixture_alone();
    f = fixture_open(options[_i]);
    HEARTH_FRAME(f.mutator, frame, 5);
    fixture_garbage(f.mutator, f.node, 5000);
    fixture_list(f.mutator, f.node, 300, &frame.ref[0]);
    frame.ref[1] = hearth_new_array(f.mutator, f.refs, 10);
    frame.ref[2] = hearth_new_array(f.mutator, f.bytes, 1 << 20);
    frame.ref[3] = hearth_new_array(f.mutator, f.refs, 5 << 17);
    for (int i = 0; i < 7; i++)
        ck_assert_ptr_nonnull(hearth_new_array(f.mutator, f.bytes, 40000));
    expected += 5000 + 300 + 3 + 7;
    live += 303;
    for (int node = 0; node < fixture_stats(f.heap).nodes; node++, expected += 50)
        for (int i = 0; i < 50; i++)
            ck_assert_ptr_nonnull(hearth_new_on(f.mutator, f.node, 0, node));
    HARNESS_OK(hearth_native_begin(f.mutator));
    ck_assert_int_eq(pthread_create(&thread, NULL, allocate_and_leave, &f), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    HARNESS_OK(hearth_native_end(f.mutator));
    expected += 1234;
    for (int generation = 0; generation < 3; generation++) {
        fixture_collect(f.mutator, generation);
        ck_assert_uint_eq(fixture_stats(f.heap).allocated_objects, expected);
        ck_assert_uint_eq(fixture_stats(f.heap).live_objects, live);
        check_sums(f.heap);
    }
    frame.ref[0] = frame.ref[3] = NULL;
    fixture_collect(f.mutator, 2);
    ck_assert_uint_eq(fixture_stats(f.heap).live_objects, live - 301);
    check_sums(f.heap);
    HEARTH_FRAME_END(f.mutator, frame);
    fixture_close(&f);
}
END_TEST

/* Between collections a block that is in use is not counted: 64 KiB are missing at most, here. */
START_TEST(counts_between_collections)
{
    struct fixture f;
    uint64_t bytes;

    fixture_alone();
    f = fixture_open("nursery=32m");
    fixture_collect(f.mutator, 2);
    bytes = fixture_stats(f.heap).allocated_bytes;
    HARNESS_OK(hearth_gc_disable(f.heap));
    for (int i = 0; i < 64; i++) {
        ck_assert_ptr_nonnull(hearth_new_array(f.mutator, f.bytes, 100000));
        ck_assert_uint_eq(fixture_stats(f.heap).full_count, 1);
    }
    ck_assert_uint_ge(fixture_stats(f.heap).allocated_bytes, bytes + 64 * 100000);
    fixture_garbage(f.mutator, f.node, 100000);
    bytes += 64 * 100000 + 100000 * UINT64_C(48);
    ck_assert_uint_ge(fixture_stats(f.heap).allocated_bytes + HA_BLOCK, bytes);
    ck_assert_uint_le(fixture_stats(f.heap).allocated_bytes, bytes);
    fixture_close(&f);
}
END_TEST

START_TEST(collections_are_counted)
{
    struct fixture f;
    hearth_stats before = {0}, after;
    hearth_collection collection;

    fixture_alone();
    f = fixture_open(NULL);
    collection.struct_size = sizeof collection;
    HARNESS_STATUS(hearth_last_collection(f.heap, &collection), HEARTH_ESTATE);
    HEARTH_FRAME(f.mutator, frame, 1);
    fixture_list(f.mutator, f.node, 1000, &frame.ref[0]);
    for (int i = 0; i < 9; i++) {
        fixture_garbage(f.mutator, f.node, 100);
        fixture_collect(f.mutator, i % 3);
        after = fixture_stats(f.heap);
        collection = last_collection(f.heap);
        ck_assert_uint_eq(collection.struct_size, sizeof collection);
        ck_assert_uint_eq(collection.number, (uint64_t)i + 1);
        ck_assert_int_eq(collection.kind, i % 3 == 2 ? HEARTH_GC_FULL : HEARTH_GC_MINOR);
        ck_assert_int_eq(collection.reason, HEARTH_REASON_EXPLICIT);
        ck_assert_uint_eq(after.minor_count - before.minor_count, i % 3 != 2);
        ck_assert_uint_eq(after.full_count - before.full_count, i % 3 == 2);
        ck_assert_uint_eq(collection.live_bytes, after.live_bytes);
        ck_assert_uint_eq(collection.heap_bytes, after.heap_bytes);
        ck_assert_uint_eq(collection.freed_bytes, before.live_bytes + after.allocated_bytes -
                                                      before.allocated_bytes - after.live_bytes);
        ck_assert_uint_ge(collection.workers, 1);
        ck_assert_uint_le(collection.local, collection.objects_traced);
        ck_assert_uint_ge(collection.pause_ns, collection.stop_ns + collection.roots_ns +
                                                   collection.trace_ns + collection.sweep_ns);
        ck_assert_uint_eq(after.pause_total_ns - before.pause_total_ns, collection.pause_ns);
        ck_assert_uint_ge(after.pause_max_ns, collection.pause_ns);
        if (i % 3 == 2)
            ck_assert_uint_eq(collection.objects_traced, 1000);
        before = after;
    }
    HEARTH_FRAME_END(f.mutator, frame);
    fixture_close(&f);
}
END_TEST

START_TEST(percentiles_are_monotone)
{
    struct fixture f;
    hearth_stats stats;

    fixture_alone();
    f = fixture_open(NULL);
    ck_assert_uint_eq(hearth_pause_percentile(f.heap, -1, 99), 0);
    for (int i = 0; i < 40; i++) {
        fixture_garbage(f.mutator, f.node, 500);
        fixture_collect(f.mutator, i % 3);
    }
    stats = fixture_stats(f.heap);
    for (int kind = -1; kind <= HEARTH_GC_FULL; kind++) {
        uint64_t before = 0;

        for (int percent = 0; percent <= 100; percent++) {
            uint64_t pause = hearth_pause_percentile(f.heap, kind, percent);

            ck_assert_uint_ge(pause, before);
            ck_assert_uint_gt(pause, 0);
            before = pause;
        }
        ck_assert_uint_le(before, stats.pause_max_ns);
    }
    ck_assert_uint_eq(hearth_pause_percentile(f.heap, -1, 100), stats.pause_max_ns);
    ck_assert_uint_eq(hearth_pause_percentile(f.heap, -1, 50), stats.pause_p50_ns);
    ck_assert_uint_eq(hearth_pause_percentile(f.heap, -1, 99), stats.pause_p99_ns);
    ck_assert_uint_le(stats.pause_p50_ns, stats.pause_p99_ns);
    ck_assert_uint_le(stats.pause_p99_ns, stats.pause_max_ns);
    fixture_close(&f);
}
END_TEST

START_TEST(reasons)
{
    static const char *const names[] = {"nursery",   "budget", "explicit", "stress",
                                        "emergency", "large",  "external", "threshold"};
    struct fixture f;

    for (int i = 0; i <= HEARTH_REASON_THRESHOLD; i++)
        ck_assert_str_eq(hearth_gc_reason_name((hearth_gc_reason)i), names[i]);
    ck_assert_ptr_nonnull(hearth_gc_reason_name((hearth_gc_reason)17));
    ck_assert_ptr_nonnull(hearth_gc_reason_name((hearth_gc_reason)-1));
    fixture_alone();
    f = fixture_open("nursery=256k,nursery-adaptive=off");
    while (fixture_stats(f.heap).minor_count == 0)
        fixture_garbage(f.mutator, f.node, 100);
    ck_assert_int_eq(last_collection(f.heap).reason, HEARTH_REASON_NURSERY);
    for (uint64_t n = fixture_stats(f.heap).minor_count; fixture_stats(f.heap).minor_count == n;)
        ck_assert_ptr_nonnull(hearth_new_array(f.mutator, f.bytes, 200000));
    ck_assert_int_eq(last_collection(f.heap).reason, HEARTH_REASON_LARGE);
    fixture_close(&f);
    f = fixture_open("stress=1");
    fixture_garbage(f.mutator, f.node, 1000);
    ck_assert_int_eq(last_collection(f.heap).reason, HEARTH_REASON_STRESS);
    fixture_close(&f);
}
END_TEST

/* Where objects were traced, and by whom, adds up to all that were traced. */
START_TEST(nodes_trace_everything)
{
    struct fixture f;
    uint64_t traced = 0, counted = 0;

    fixture_alone();
    f = fixture_open("fake-nodes=4");
    HEARTH_FRAME(f.mutator, frame, 4);
    for (int node = 0; node < 4; node++)
        for (int i = 0; i < 3000; i++) {
            struct fixture_node *object = hearth_new_on(f.mutator, f.node, 0, node);

            EXPECT(object != NULL);
            hearth_store_init(&object->left, frame.ref[node]);
            hearth_store_init(&object->right, frame.ref[(node + 1) % 4]);
            frame.ref[node] = object;
        }
    for (int i = 0; i < 6; i++) {
        fixture_collect(f.mutator, i % 3);
        traced += last_collection(f.heap).objects_traced;
    }
    for (int node = 0; node < 4; node++) {
        hearth_node_stats stats = node_stats(f.heap, node);

        counted += stats.traced_local + stats.traced_remote;
        ck_assert_uint_eq(stats.live_objects, 3000);
        ck_assert_uint_eq(stats.live_bytes, 3000 * 48);
    }
    ck_assert_uint_eq(counted, traced);
    HEARTH_FRAME_END(f.mutator, frame);
    fixture_close(&f);
}
END_TEST

struct reader {
    hearth_heap *heap;
    bool stop; /* atomic */
};

/* Not attached at all. */
static void *read_statistics(void *argument)
{
    struct reader *reader = argument;
    uint64_t objects = 0, collections = 0;

    while (!__atomic_load_n(&reader->stop, __ATOMIC_RELAXED)) {
        hearth_stats stats = fixture_stats(reader->heap);
        hearth_collection collection = {.struct_size = sizeof collection};

        EXPECT(stats.minor_count + stats.full_count >= collections);
        collections = stats.minor_count + stats.full_count;
        EXPECT(stats.allocated_objects >= objects);
        objects = stats.allocated_objects;
        for (int node = 0; node < stats.nodes; node++)
            EXPECT(node_stats(reader->heap, node).node == node);
        (void)hearth_last_collection(reader->heap, &collection);
        (void)hearth_pause_percentile(reader->heap, -1, 50);
    }
    return NULL;
}

/* Any thread may ask at any time: counters only grow, and nothing is torn (ThreadSanitizer looks). */
START_TEST(read_while_collecting)
{
    struct fixture f = fixture_open("fake-nodes=2,nursery=256k");
    struct reader reader = {.heap = f.heap};
    pthread_t thread, other;

    ck_assert_int_eq(pthread_create(&thread, NULL, read_statistics, &reader), 0);
    for (uint64_t i = 0; i < harness_scaled(60); i++) {
        ck_assert_int_eq(pthread_create(&other, NULL, allocate_and_leave, &f), 0);
        fixture_garbage(f.mutator, f.node, 3000);
        EXPECT(hearth_new_array(f.mutator, f.refs, 20000) != NULL);
        fixture_collect(f.mutator, (int)(i % 3));
        HARNESS_OK(hearth_native_begin(f.mutator));
        ck_assert_int_eq(pthread_join(other, NULL), 0);
        HARNESS_OK(hearth_native_end(f.mutator));
    }
    __atomic_store_n(&reader.stop, true, __ATOMIC_RELAXED);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    fixture_close(&f);
}
END_TEST

/* --- what is printed ----------------------------------------------------------------------------- */

/* A life with 12 collections. */
static int collect_twelve(const char *options)
{
    struct fixture f = fixture_open(options);

    for (int i = 0; i < 12; i++) {
        fixture_garbage(f.mutator, f.node, 100);
        fixture_collect(f.mutator, i % 3);
    }
    (void)hearth_gc_collect(f.mutator, 7);
    if (hearth_new(f.mutator, 0) != NULL)
        return 1;
    HARNESS_OK(hearth_detach(f.mutator));
    HARNESS_OK(hearth_heap_destroy(f.heap));
    return 0;
}

/* Runs it in a child and reads what it writes to its two outputs. */
static void capture(const char *options, char *text, size_t size)
{
    int pipes[2], status;
    size_t used = 0;
    ssize_t n;
    pid_t child;

    ck_assert_int_eq(pipe(pipes), 0);
    child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        dup2(pipes[1], STDOUT_FILENO);
        dup2(pipes[1], STDERR_FILENO);
        close(pipes[0]);
        _exit(collect_twelve(options));
    }
    close(pipes[1]);
    while ((n = read(pipes[0], text + used, size - 1 - used)) > 0)
        used += (size_t)n;
    text[used] = '\0';
    close(pipes[0]);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %d: %s", status, text);
}

START_TEST(log_is_a_line_each)
{
    static char text[1 << 16];
    int lines = 0;

    fixture_alone();
    capture("log=gc", text, sizeof text);
    for (char *line = text, *end; *line != '\0'; line = end + 1, lines++) {
        char kind[8];
        unsigned long long number;

        end = strchr(line, '\n');
        ck_assert_ptr_nonnull(end);
        ck_assert_msg(sscanf(line, "hearth: gc %llu %7s (explicit) pause ", &number, kind) == 2,
                      "line %d: %.*s", lines, (int)(end - line), line);
        ck_assert_uint_eq(number, (unsigned long long)lines + 1);
        ck_assert_str_eq(kind, lines % 3 == 2 ? "full" : "minor");
    }
    ck_assert_int_eq(lines, 12);
}
END_TEST

START_TEST(nothing_else_is_printed)
{
    static char text[1 << 16];

    fixture_alone();
    capture("log=none,verify=on", text, sizeof text);
    ck_assert_str_eq(text, "");
}
END_TEST

HARNESS_SUITE(stats)
{
    Suite *suite = suite_create("stats");
    TCase *tests = tcase_create("stats");

    tcase_add_loop_test(tests, counts_are_exact, 0, 3);
    tcase_add_test(tests, counts_between_collections);
    tcase_add_test(tests, collections_are_counted);
    tcase_add_test(tests, percentiles_are_monotone);
    tcase_add_test(tests, reasons);
    tcase_add_test(tests, nodes_trace_everything);
    tcase_add_test(tests, read_while_collecting);
    tcase_add_test(tests, log_is_a_line_each);
    tcase_add_test(tests, nothing_else_is_printed);
    suite_add_tcase(suite, tests);
    return suite;
}
