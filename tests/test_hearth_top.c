/* tests/test_hearth_top.c - the program hearth-top: screens, JSON that a parser accepts, complaints.
 *
 * The program's source is compiled into the test and run in a child, as test_hearth_info.c does; the child also
 * has a copy of the parent's heap, which it leaves alone. */
#define _GNU_SOURCE 1

#define main hearth_top_main
#include "gc/hearth-top.c"
#undef main

#include "tests/json.h"
#include "tests/program_fixture.h"

/* Run with up to three arguments; its exit status. In a child of a forked heap: the heap of the child has no page
 * of its own, since pages here have names without %p. */
static int top(const char *a, const char *b, const char *c)
{
    return program_end(program_start(hearth_top_main, "hearth-top", a, b, c));
}

static void open_top(struct fixture *f, const char *more)
{
    file_open("page");
    file_heap(f, "stats-page", more);
}

static void close_top(struct fixture *f)
{
    fixture_close(f);
    file_close();
}

static uint64_t member(const char *object, const char *key)
{
    const char *value = json_key(object, key);
    ck_assert_msg(value != NULL, "no %s", key);
    return strtoull(value, NULL, 10);
}

START_TEST(json)
{
    struct fixture f;
    size_t heaps, nodes;

    open_top(&f, ",fake-nodes=2");
    HEARTH_FRAME(f.m, frame, 1);
    for (uint64_t i = 0; i < 10000; i++)
        fixture_push(&f, &frame.ref[0], i);
    HARNESS_OK(hearth_gc_collect(f.m, 2));
    hearth_stats stats = fixture_stats(&f);
    ck_assert_int_eq(top("--json", path, NULL), 0);
    ck_assert_str_eq(error, "");
    ck_assert_msg(json_check(out), "no JSON: %s", out);
    const char **heap = json_array(out, &heaps);
    ck_assert_uint_eq(heaps, 1);
    ck_assert_uint_eq(member(heap[0], "process"), (uint64_t)getpid());
    ck_assert_uint_eq(member(heap[0], "alive"), 1);
    ck_assert_uint_eq(member(heap[0], "live_bytes"), stats.live_bytes);
    ck_assert_uint_eq(member(heap[0], "live_objects"), stats.live_objects);
    ck_assert_uint_eq(member(heap[0], "full_collections"), 1);
    ck_assert_uint_eq(member(heap[0], "pause_max_ns"), stats.pause_max_ns);
    const char **node = json_array(json_key(heap[0], "nodes"), &nodes);
    ck_assert_uint_eq(nodes, (size_t)nodes_of(&f));
    uint64_t live = 0;
    for (size_t n = 0; n < nodes; n++) {
        ck_assert_uint_eq(member(node[n], "node"), n);
        live += member(node[n], "live_bytes");
    }
    ck_assert_uint_eq(live, stats.live_bytes);
    free(heap);
    free(node);
    HEARTH_FRAME_END(f.m, frame);
    close_top(&f);
}
END_TEST

START_TEST(once)
{
    struct fixture f;
    char line[128];

    open_top(&f, ",fake-nodes=2");
    ck_assert_int_eq(top("--once", path, NULL), 0); /* before the first collection */
    ck_assert_ptr_nonnull(strstr(out, "collections 0 minor, 0 full"));
    ck_assert_ptr_null(strstr(out, "last "));
    ck_assert_ptr_nonnull(strstr(out, "traced on its node - %"));
    HARNESS_OK(hearth_gc_collect(f.m, 2));
    ck_assert_int_eq(top("--once", path, NULL), 0);
    snprintf(line, sizeof line, "process %d (", (int)getpid());
    ck_assert_ptr_nonnull(strstr(out, line));
    ck_assert_ptr_nonnull(strstr(out, "collections 0 minor, 1 full"));
    ck_assert_ptr_nonnull(strstr(out, "1 full (explicit)"));
    ck_assert_ptr_nonnull(strstr(out, "\n   1 "));
    ck_assert_ptr_null(strchr(out, '\033'));
    close_top(&f);
}
END_TEST

/* Draws until the page is gone. */
START_TEST(refreshes)
{
    struct fixture f;
    int screens = 0;

    open_top(&f, "");
    pid_t child = program_start(hearth_top_main, "hearth-top", "--delay", "0.1", path);
    usleep(500000);
    fixture_close(&f);
    ck_assert_int_eq(program_end(child), 0);
    for (const char *at = out; (at = strstr(at, "\033[H")) != NULL; at++)
        screens++;
    ck_assert_int_ge(screens, 2);
    ck_assert_ptr_nonnull(strstr(error, "No such file"));
    file_close();
}
END_TEST

/* By its number, the page being in /dev/shm; and by itself, among all. */
START_TEST(by_process)
{
    struct fixture f;
    char number[16], line[64];

    if (access(HG_PAGE_DIRECTORY, W_OK) != 0)
        return;
    file_open("page");
    fixture_open(&f, "stats-page=on");
    snprintf(number, sizeof number, "%d", (int)getpid());
    snprintf(line, sizeof line, "process %d (", (int)getpid());
    ck_assert_int_eq(top("--once", number, NULL), 0);
    ck_assert_ptr_nonnull(strstr(out, line));
    top("--once", NULL, NULL); /* other pages may be unreadable */
    ck_assert_ptr_nonnull(strstr(out, line));
    fixture_close(&f);
    ck_assert_int_eq(top("--once", number, NULL), 1);
    snprintf(line, sizeof line, "process %d has no page", (int)getpid());
    ck_assert_ptr_nonnull(strstr(error, line));
    file_close();
}
END_TEST

START_TEST(wrong_arguments)
{
    file_open("page");
    ck_assert_int_eq(top("--nonsense", NULL, NULL), 2);
    ck_assert_ptr_nonnull(strstr(error, "unknown option '--nonsense'"));
    ck_assert_int_eq(top("--delay", "0", NULL), 2);
    ck_assert_ptr_nonnull(strstr(error, "'0' is no number from 0.1 to 3600"));
    ck_assert_int_eq(top("--delay", NULL, NULL), 2);
    ck_assert_int_eq(top("--json", "/nowhere", NULL), 1);
    ck_assert_str_eq(out, "[\n]\n");
    ck_assert_ptr_nonnull(strstr(error, "/nowhere: No such file"));
    FILE *file = fopen(path, "w"); /* of words, not of statistics */
    ck_assert_ptr_nonnull(file);
    for (int i = 0; i < 1000; i++)
        fputs("words ", file);
    ck_assert_int_eq(fclose(file), 0);
    ck_assert_int_eq(top("--once", path, NULL), 1);
    ck_assert_ptr_nonnull(strstr(error, " is no page"));
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(top("--help", NULL, NULL), 0);
    ck_assert_str_eq(out, usage);
    ck_assert_int_eq(top("--version", NULL, NULL), 0);
    ck_assert_str_eq(out, HEARTH_VERSION "\n");
    file_close();
}
END_TEST

HARNESS_SUITE(hearth_top)
{
    Suite *suite = suite_create("hearth_top");
    TCase *tests = tcase_create("hearth_top");

    tcase_add_test(tests, json);
    tcase_add_test(tests, once);
    tcase_add_test(tests, refreshes);
    tcase_add_test(tests, by_process);
    tcase_add_test(tests, wrong_arguments);
    suite_add_tcase(suite, tests);
    return suite;
}
