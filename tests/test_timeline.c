/* tests/test_timeline.c - option trace: the file is JSON, slices nest on every track, batches have two ends,
 * and what goes wrong is told.
 *
 * Files lie in a fresh directory each, removed at the end. */
#define _GNU_SOURCE
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gc/outfile.h"
#include "gc/timeline.h"
#include "tests/file_fixture.h"
#include "tests/json.h"

static void remove_files(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", directory);
    ck_assert_int_eq(system(command), 0);
}

static char *slurp(const char *name)
{
    FILE *file = fopen(name, "r");
    struct stat status;
    ck_assert_msg(file != NULL, "%s is not there", name);
    ck_assert_int_eq(fstat(fileno(file), &status), 0);
    char *text = calloc(1, (size_t)status.st_size + 1);
    ck_assert_uint_eq(fread(text, 1, (size_t)status.st_size, file), (size_t)status.st_size);
    fclose(file);
    return text;
}

static void open_with(struct fixture *f, const char *more)
{
    file_heap(f, "trace", more);
}

/* --- reading ------------------------------------------------------------------------------------------ */

struct slice {
    uint64_t process, track;
    double begin, end;
    const char *name;
};

struct read {
    char *text;
    const char **event;
    size_t events, slices, posted, taken, counters;
    struct slice *slice;
    bool node_named[64];
};

static uint64_t whole(const char *event, const char *key)
{
    const char *value = json_key(event, key);
    ck_assert_msg(value != NULL, "no %s in %.120s", key, event);
    return strtoull(value, NULL, 10);
}

static double real(const char *event, const char *key)
{
    const char *value = json_key(event, key);
    ck_assert_msg(value != NULL, "no %s in %.120s", key, event);
    return strtod(value, NULL);
}

static bool is(const char *event, const char *key, const char *text)
{
    const char *value = json_key(event, key);
    return value != NULL && json_is(value, text);
}

static int by_track_and_time(const void *a, const void *b)
{
    const struct slice *x = a, *y = b;
    if (x->process != y->process)
        return x->process < y->process ? -1 : 1;
    if (x->track != y->track)
        return x->track < y->track ? -1 : 1;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return x->end > y->end ? -1 : x->end < y->end;
}

/* On one track two slices are apart, or one is within the other. */
static void expect_nested(const struct slice *slice, size_t count)
{
    double open[16];
    size_t depth = 0;
    for (size_t i = 0; i < count; i++) {
        if (i > 0 &&
            (slice[i].process != slice[i - 1].process || slice[i].track != slice[i - 1].track))
            depth = 0;
        while (depth > 0 && open[depth - 1] <= slice[i].begin)
            depth--;
        ck_assert_msg(depth == 0 || slice[i].end <= open[depth - 1],
                      "a slice of track %llu ends at %f, the one around it at %f: %.100s",
                      (unsigned long long)slice[i].track, slice[i].end, open[depth - 1],
                      slice[i].name);
        ck_assert_uint_lt(depth, 16);
        open[depth++] = slice[i].end;
    }
}

static void read_event(struct read *r, const char *event)
{
    uint64_t process = whole(event, "pid");
    if (is(event, "ph", "X")) {
        double begin = real(event, "ts");
        r->slice[r->slices++] = (struct slice){process, whole(event, "tid"), begin,
                                               begin + real(event, "dur"), json_key(event, "name")};
    } else if (is(event, "ph", "C")) {
        r->counters++;
    } else if (is(event, "ph", "s") || is(event, "ph", "f")) {
        ck_assert_uint_gt(whole(event, "id"), 0);
        r->posted += is(event, "ph", "s");
        r->taken += is(event, "ph", "f");
    } else if (is(event, "name", "process_name") && process < 64) {
        r->node_named[process - 1] = true;
    }
}

/* Read, and check what must be true of every file. */
static struct read read_trace(const char *name)
{
    struct read r = {.text = slurp(name)};
    ck_assert_msg(json_check(r.text), "%s is no JSON", name);
    r.event = json_array(r.text, &r.events);
    r.slice = calloc(r.events + 1, sizeof *r.slice);
    for (size_t i = 0; i < r.events; i++)
        read_event(&r, r.event[i]);
    qsort(r.slice, r.slices, sizeof *r.slice, by_track_and_time);
    expect_nested(r.slice, r.slices);
    for (size_t i = 0; i < r.slices; i++)
        ck_assert(r.slice[i].process < 64 && r.node_named[r.slice[i].process - 1]);
    return r;
}

static size_t count_slices(const struct read *r, const char *name)
{
    size_t count = 0;
    for (size_t i = 0; i < r->slices; i++)
        count += json_is(r->slice[i].name, name);
    return count;
}

static void free_read(struct read *r)
{
    free(r->text);
    free(r->event);
    free(r->slice);
}

/* --- what is in it ------------------------------------------------------------------------------------ */

/* Every node's worker has what to do. */
static void collect_on_all_nodes(struct fixture *f, int times)
{
    HEARTH_FRAME(f->m, frame, 1);
    frame.ref[0] = fixture_refs(f, 20000);
    for (size_t i = 0; i < 20000; i++)
        hearth_store(f->m, frame.ref[0], (void **)frame.ref[0] + i,
                     fixture_item_on(f, (int)(i / 7) % nodes_of(f)));
    for (int i = 0; i < times; i++)
        HARNESS_OK(hearth_gc_collect(f->m, i % 2 ? 2 : 0));
    HEARTH_FRAME_END(f->m, frame);
}

START_TEST(slices_nest)
{
    static const char *const options[] = {",workers=1", ",fake-nodes=2,mode=local,workers=1",
                                          ",fake-nodes=2,mode=local,workers=4,help-after=0",
                                          ",workers=3,help-after=0,verify=on"};
    struct fixture f;

    file_open("trace.json");
    open_with(&f, options[_i]);
    collect_on_all_nodes(&f, 20);
    hearth_stats stats = fixture_stats(&f);
    fixture_close(&f);
    struct read r = read_trace(path);
    ck_assert_uint_eq(count_slices(&r, "minor collection"), stats.minor_count);
    ck_assert_uint_eq(count_slices(&r, "full collection"), stats.full_count);
    uint64_t all = stats.minor_count + stats.full_count;
    ck_assert_uint_eq(count_slices(&r, "roots"), all);
    ck_assert_uint_eq(count_slices(&r, "pace"), all);
    ck_assert_uint_ge(count_slices(&r, "trace"), all);
    ck_assert_uint_ge(count_slices(&r, "sweep"), all);
    ck_assert_uint_eq(count_slices(&r, "collects"), all);
    ck_assert_uint_eq(count_slices(&r, "verify"), _i == 3 ? 2 * all : 0);
    ck_assert_uint_eq(r.posted, r.taken);
    ck_assert_int_eq(r.posted > 0, _i != 0 && _i != 3 ? 1 : r.posted > 0);
    ck_assert_uint_ge(r.counters, 6 * all);
    free_read(&r);
    remove_files();
}
END_TEST

static atomic_bool enough;

static void *poll_until_enough(void *heap)
{
    hearth_mutator *m;
    EXPECT(hearth_attach(heap, NULL, &m) == HEARTH_OK);
    while (!enough)
        hearth_safepoint(m);
    EXPECT(hearth_detach(m) == HEARTH_OK);
    return NULL;
}

/* Threads have tracks of their own, on which they stand; files can be read before the end. */
START_TEST(mutators_and_flushing)
{
    struct fixture f;
    pthread_t thread;

    file_open("trace.json");
    open_with(&f, "");
    ck_assert_int_eq(pthread_create(&thread, NULL, poll_until_enough, f.heap), 0);
    while (fixture_stats(&f).mutators < 2)
        usleep(100);
    for (int i = 0; i < 10; i++) {
        HARNESS_OK(hearth_gc_collect(f.m, 2));
        usleep(1000);
    }
    HARNESS_OK(hearth_trace_flush(f.heap));
    char *text = slurp(path);
    ck_assert_ptr_nonnull(strstr(text, "\"full collection\""));
    ck_assert(!json_check(text));
    size_t length = strlen(text);
    ck_assert_str_eq(text + length - 2, ",\n");
    text[length - 2] = ']'; /* as viewers take it */
    ck_assert(json_check(text));
    free(text);
    enough = true;
    HARNESS_OK(hearth_native_begin(f.m));
    pthread_join(thread, NULL);
    HARNESS_OK(hearth_native_end(f.m));
    fixture_close(&f);
    struct read r = read_trace(path);
    ck_assert_uint_ge(count_slices(&r, "stopped"), 1);
    ck_assert_uint_eq(count_slices(&r, "stopping"), 10);
    size_t threads = 0;
    for (size_t i = 0; i < r.events; i++)
        if (is(r.event[i], "name", "thread_name"))
            threads += strncmp(json_key(json_key(r.event[i], "args"), "name"), "\"thread ", 8) == 0;
    ck_assert_uint_eq(threads, 2);
    free_read(&r);
    remove_files();
}
END_TEST

/* More records than a chunk holds, written in their order. */
START_TEST(many_chunks)
{
    struct fixture f;

    file_open("trace.json");
    open_with(&f, ",workers=1");
    for (int i = 0; i < 300; i++)
        HARNESS_OK(hearth_gc_collect(f.m, 0));
    fixture_close(&f);
    struct read r = read_trace(path);
    ck_assert_uint_eq(count_slices(&r, "minor collection"), 300);
    uint64_t last = 0;
    for (size_t i = 0; i < r.events; i++)
        if (is(r.event[i], "name", "minor collection")) {
            uint64_t number = whole(json_key(r.event[i], "args"), "number");
            ck_assert_uint_eq(number, last + 1);
            last = number;
        }
    free_read(&r);
    remove_files();
}
END_TEST

START_TEST(spilling_is_marked)
{
    struct fixture f;
    void *list = NULL;

    file_open("trace.json");
    open_with(&f, ",fake-nodes=2,window=64m,heap-limit=100m,heap-min=100m,nursery=64m");
    HARNESS_OK(hearth_root_add(f.heap, &list));
    HARNESS_OK(hearth_gc_disable(f.heap));
    while (fixture_stats(&f).spilled_blocks < 5)
        for (int i = 0; i < 1000; i++)
            fixture_push(&f, &list, 0);
    HARNESS_OK(hearth_root_remove(f.heap, &list));
    fixture_close(&f);
    struct read r = read_trace(path);
    uint64_t bytes = 0;
    for (size_t i = 0; i < r.events; i++)
        if (is(r.event[i], "name", "spilled")) {
            const char *args = json_key(r.event[i], "args");
            ck_assert_uint_eq(whole(args, "wished"), 0);
            ck_assert_uint_eq(whole(args, "given"), 1);
            bytes += whole(args, "bytes");
        }
    ck_assert_uint_ge(bytes, 5 * HA_BLOCK);
    free_read(&r);
    remove_files();
}
END_TEST

/* --- files -------------------------------------------------------------------------------------------- */

/* As another heap of the process; the name of each. */
START_TEST(names)
{
    char name[HG_FILE_BYTES], expected[64], wide[HT_TEXT_BYTES];

    HARNESS_OK(hg_file_name(name, "trace", "/a/b", 1));
    ck_assert_str_eq(name, "/a/b");
    HARNESS_OK(hg_file_name(name, "trace", "/a/b", 2));
    ck_assert_str_eq(name, "/a/b.2");
    HARNESS_OK(hg_file_name(name, "trace", "p%p.json", 1));
    snprintf(expected, sizeof expected, "p%d.json", (int)getpid());
    ck_assert_str_eq(name, expected);
    HARNESS_STATUS_NAMES(hg_file_name(name, "trace", "a%d", 1), HEARTH_EOPTION, "\"a%d\"");
    HARNESS_STATUS_NAMES(hg_file_name(name, "trace", "a%", 1), HEARTH_EOPTION, "not %p");
    for (size_t i = 0; i < sizeof wide - 1; i++)
        wide[i] = "%p"[i % 2];
    wide[sizeof wide - 2] = '\0';
    HARNESS_STATUS_NAMES(hg_file_name(name, "trace", wide, 12345), HEARTH_EOPTION, "too long");
}
END_TEST

START_TEST(two_heaps)
{
    struct fixture f, g;
    char second[160];

    file_open("trace.json");
    open_with(&f, "");
    open_with(&g, "");
    HARNESS_OK(hearth_gc_collect(g.m, 2));
    fixture_close(&g);
    fixture_close(&f);
    struct read r = read_trace(path);
    ck_assert_uint_eq(count_slices(&r, "full collection"), 0);
    free_read(&r);
    snprintf(second, sizeof second, "%s.2", path);
    r = read_trace(second);
    ck_assert_uint_eq(count_slices(&r, "full collection"), 1);
    free_read(&r);
    remove_files();
}
END_TEST

static hearth_status try_create(const char *trace)
{
    return file_try("trace", trace);
}

START_TEST(bad_paths)
{
    unsetenv("HEARTH_OPTIONS");
    HARNESS_STATUS_NAMES(try_create("/nowhere/at all"), HEARTH_ESYSTEM,
                         "trace=/nowhere/at all: No such file");
    HARNESS_STATUS_NAMES(try_create("/tmp"), HEARTH_ESYSTEM, "Is a directory");
    HARNESS_STATUS_NAMES(try_create("/tmp/%s"), HEARTH_EOPTION, "\"/tmp/%s\"");
    HARNESS_STATUS_NAMES(hearth_trace_flush(NULL), HEARTH_EINVAL, "heap is NULL");
    struct fixture f;
    fixture_open(&f, "");
    HARNESS_STATUS_NAMES(hearth_trace_flush(f.heap), HEARTH_ESTATE, "no trace");
    fixture_close(&f);
}
END_TEST

/* A device that is full from the beginning or later; and each call failing in turn: the heap works. */
START_TEST(writing_fails)
{
    struct fixture f;

    unsetenv("HEARTH_OPTIONS");
    HARNESS_STATUS_NAMES(try_create("/dev/full"), HEARTH_ESYSTEM, "trace=/dev/full: No space left");
    file_open("trace.json");
    for (uint64_t n = 1; n <= 4; n++) {
        open_with(&f, "");
        ht_fault_arm(HT_FAULT_WRITE, n, true);
        for (int i = 0; i < 20; i++)
            HARNESS_OK(hearth_gc_collect(f.m, 2));
        HARNESS_STATUS_NAMES(hearth_trace_flush(f.heap), HEARTH_ESYSTEM, "No space left");
        ht_fault_arm(HT_FAULT_WRITE, 0, false);
        HARNESS_STATUS_NAMES(hearth_trace_flush(f.heap), HEARTH_ESYSTEM, "No space left");
        fixture_close(&f);
    }
    remove_files();
}
END_TEST

/* Without memory records are lost, and counted; the rest is whole. */
START_TEST(no_memory)
{
    struct fixture f;

    file_open("trace.json");
    open_with(&f, ",workers=1");
    HARNESS_OK(hearth_gc_collect(f.m, 0));
    ht_fault_arm(HT_FAULT_ALLOC, 1, true);
    for (int i = 0; i < 50; i++)
        HARNESS_OK(hearth_gc_collect(f.m, 0));
    ht_fault_arm(HT_FAULT_ALLOC, 0, false);
    HARNESS_OK(hearth_gc_collect(f.m, 0));
    ck_assert_uint_gt(f.heap->timeline->lost, 0);
    fixture_close(&f);
    struct read r = read_trace(path);
    ck_assert_uint_ge(count_slices(&r, "minor collection"), 2);
    ck_assert_ptr_nonnull(strstr(r.text, "records lost: "));
    ck_assert_ptr_null(strstr(r.text, "records lost: 0"));
    free_read(&r);
    remove_files();
}
END_TEST

/* The file is the parent's: a child adds nothing. */
START_TEST(forks)
{
    struct fixture f;
    int status;

    file_open("trace.json");
    open_with(&f, "");
    HARNESS_OK(hearth_gc_collect(f.m, 0));
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        bool good = f.heap->timeline == NULL && hearth_gc_collect(f.m, 2) == HEARTH_OK &&
                    hearth_detach(f.m) == HEARTH_OK && hearth_heap_destroy(f.heap) == HEARTH_OK;
        _exit(good ? 0 : 1);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    HARNESS_OK(hearth_gc_collect(f.m, 0));
    fixture_close(&f);
    struct read r = read_trace(path);
    ck_assert_uint_eq(count_slices(&r, "minor collection"), 2);
    ck_assert_uint_eq(count_slices(&r, "full collection"), 0);
    free_read(&r);
    remove_files();
}
END_TEST

static size_t count_of(const char *text, const char *what)
{
    size_t count = 0;
    for (; (text = strstr(text, what)) != NULL; text++)
        count++;
    return count;
}

/* bench/timeline/draw.py takes what is written: every slice and every batch is in the picture. */
START_TEST(drawn)
{
    struct fixture f;
    char command[512];

    if (system("command -v python3 >/dev/null && test -e bench/timeline/draw.py") != 0) {
        fprintf(stderr, "drawn: no python3 or no bench/timeline here\n");
        return;
    }
    file_open("trace.json");
    open_with(&f, ",fake-nodes=2,mode=local,workers=4,help-after=0");
    collect_on_all_nodes(&f, 3);
    fixture_close(&f);
    struct read r = read_trace(path);
    snprintf(command, sizeof command,
             "python3 bench/timeline/draw.py --from 0 --to 1e6 --arrows 1000000 --output %s.svg %s",
             path, path);
    ck_assert_int_eq(system(command), 0);
    snprintf(command, sizeof command, "%s.svg", path);
    char *picture = slurp(command);
    ck_assert_uint_eq(count_of(picture, " class=\"slice\""), r.slices);
    ck_assert_uint_eq(count_of(picture, " class=\"batch\""), r.posted);
    ck_assert_uint_gt(r.posted, 0);
    ck_assert_uint_eq(count_of(picture, ">node 0<"), 1);
    ck_assert_uint_eq(count_of(picture, ">node 1<"), 1);
    ck_assert_str_eq(picture + strlen(picture) - 7, "</svg>\n");
    free(picture);
    free_read(&r);
    remove_files();
}
END_TEST

HARNESS_SUITE(timeline)
{
    Suite *suite = suite_create("timeline");
    TCase *tests = tcase_create("timeline");

    tcase_add_loop_test(tests, slices_nest, 0, 4);
    tcase_add_test(tests, mutators_and_flushing);
    tcase_add_test(tests, many_chunks);
    tcase_add_test(tests, spilling_is_marked);
    tcase_add_test(tests, names);
    tcase_add_test(tests, two_heaps);
    tcase_add_test(tests, bad_paths);
    tcase_add_test(tests, writing_fails);
    tcase_add_test(tests, no_memory);
    tcase_add_test(tests, forks);
    tcase_add_test(tests, drawn);
    suite_add_tcase(suite, tests);
    return suite;
}
