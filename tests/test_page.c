/* tests/test_page.c - option stats-page: what the page holds, how long it is there, what goes wrong.
 *
 * Pages with a name lie in a fresh directory, and are removed by their heaps. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gc/page.h"
#include "tests/file_fixture.h"

static void open_with(struct fixture *f, const char *more)
{
    file_heap(f, "stats-page", more);
}

static struct hg_page *read_page(const char *name)
{
    struct hg_page *page = malloc(sizeof *page);
    ck_assert_ptr_nonnull(page);
    HARNESS_OK(hg_page_read(name, page));
    return page;
}

/* After a collection it says what the calls say. */
START_TEST(holds_statistics)
{
    struct fixture f;

    file_open("page");
    open_with(&f, ",fake-nodes=2");
    struct hg_page *page = read_page(path);
    ck_assert_int_eq(page->process, getpid());
    ck_assert_int_eq(page->nodes, nodes_of(&f));
    ck_assert_uint_eq(page->heap, 1);
    ck_assert_uint_eq(page->last.number, 0);
    ck_assert_str_eq(page->library, hearth_version());
    free(page);
    HEARTH_FRAME(f.m, frame, 1);
    for (uint64_t i = 0; i < 10000; i++) {
        struct item *item = fixture_item_on(&f, (int)(i & 1));
        hearth_store_init(&item->next, frame.ref[0]);
        frame.ref[0] = item;
    }
    hearth_collection last = fixture_collect(&f, 2);
    page = read_page(path);
    hearth_stats stats = fixture_stats(&f);
    ck_assert_mem_eq(&page->stats, &stats, sizeof stats);
    ck_assert_mem_eq(&page->last, &last, sizeof last);
    for (int n = 0; n < nodes_of(&f); n++) {
        hearth_node_stats node = {.struct_size = sizeof node};
        HARNESS_OK(hearth_get_node_stats(f.heap, n, &node));
        ck_assert_mem_eq(&page->node[n].stats, &node, sizeof node);
    }
    ck_assert_uint_ge(page->updated_ns, page->created_ns);
    free(page);
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
    file_close();
}
END_TEST

/* Without a collection too, as blocks are taken; and the rate of it. */
START_TEST(goes_on_between_collections)
{
    struct fixture f;

    file_open("page");
    open_with(&f, ",nursery=512m,heap-min=1g,heap-limit=1g");
    HARNESS_OK(hearth_gc_disable(f.heap));
    struct hg_page *page = read_page(path);
    for (int i = 0; i < 12; i++) {
        for (int j = 0; j < 4096; j++)
            EXPECT(hearth_new(f.m, f.item) != NULL);
        usleep(100000);
    }
    uint64_t before = page->stats.allocated_bytes;
    free(page);
    page = read_page(path);
    ck_assert_uint_gt(page->stats.allocated_bytes, before);
    ck_assert_uint_eq(page->stats.minor_count + page->stats.full_count, 0);
    ck_assert_uint_gt(page->rate, 0); /* 1.3 MB a second, if the machine is not busy */
    ck_assert_uint_lt(page->rate, 2 << 20);
    free(page);
    fixture_close(&f);
    file_close();
}
END_TEST

START_TEST(is_removed)
{
    struct fixture f, g;
    char second[160];

    file_open("page");
    snprintf(second, sizeof second, "%s.2", path);
    open_with(&f, "");
    open_with(&g, "");
    struct hg_page *page = read_page(second);
    ck_assert_uint_eq(page->heap, 2);
    free(page);
    fixture_close(&f);
    ck_assert_int_ne(access(path, F_OK), 0);
    ck_assert_int_eq(access(second, F_OK), 0);
    fixture_close(&g);
    ck_assert_int_ne(access(second, F_OK), 0);
    file_close();
}
END_TEST

/* A page of the name that another process has made meanwhile stays; of a dead one, nothing does. */
START_TEST(names_meet)
{
    struct fixture f;

    file_open("page");
    FILE *old = fopen(path, "w");
    fputs("left over", old);
    fclose(old);
    open_with(&f, "");
    struct hg_page *page = read_page(path);
    page->process++;
    ck_assert_int_eq(unlink(path), 0);
    FILE *other = fopen(path, "w");
    ck_assert_uint_eq(fwrite(page, sizeof *page, 1, other), 1);
    fclose(other);
    fixture_close(&f);
    ck_assert_int_eq(unlink(path), 0);
    free(page);
    file_close();
}
END_TEST

/* The file is shared memory: a child writes its own, or none. */
START_TEST(forks)
{
    struct fixture f;
    char pattern[128], own[160];
    int status;
    bool named = _i == 1;

    file_open("page");
    snprintf(pattern, sizeof pattern, "%s", path);
    if (named)
        snprintf(path, sizeof path, "%.100s-%%p", pattern);
    open_with(&f, "");
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    snprintf(own, sizeof own, "%.100s-%d", pattern, (int)(child == 0 ? getpid() : child));
    if (child == 0) {
        bool good = hearth_gc_collect(f.m, 2) == HEARTH_OK;
        struct hg_page page;
        good = good && (f.heap->page != NULL) == named;
        if (named)
            good = good && hg_page_read(own, &page) == HEARTH_OK && page.process == getpid() &&
                   page.stats.full_count == 1;
        good = good && hearth_detach(f.m) == HEARTH_OK && hearth_heap_destroy(f.heap) == HEARTH_OK;
        _exit(good && access(own, F_OK) != 0 ? 0 : 1);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    struct hg_page *page = read_page(f.heap->page->path);
    ck_assert_uint_eq(page->stats.full_count, 0);
    ck_assert_int_eq(page->process, getpid());
    free(page);
    fixture_close(&f);
    file_close();
}
END_TEST

/* Read until the heap has removed the page: 0, 1 torn, 2 nothing ever changed. */
static int read_to_the_end(void)
{
    static struct hg_page page;
    uint64_t seen = 0, changes = 0;
    while (hg_page_read(path, &page) == HEARTH_OK) {
        if (page.updated_ns != page.end_ns || page.updated_ns < seen)
            return 1;
        changes += page.updated_ns != seen;
        seen = page.updated_ns;
    }
    return changes > 1 ? 0 : 2;
}

/* Two other processes read all the time, and never see half of an update. */
START_TEST(is_never_torn)
{
    struct fixture f;
    int status;
    pid_t reader[2];

    file_open("page");
    open_with(&f, "");
    for (int i = 0; i < 2; i++) {
        reader[i] = fork();
        ck_assert_int_ge(reader[i], 0);
        if (reader[i] == 0)
            _exit(read_to_the_end());
    }
    for (uint64_t begin = ht_os_now(); ht_os_now() - begin < 1500000000;)
        hg_page_update(f.heap, true);
    fixture_close(&f);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(waitpid(reader[i], &status, 0), reader[i]);
        ck_assert_int_eq(status, 0);
    }
    file_close();
}
END_TEST

/* --- errors ------------------------------------------------------------------------------------------- */

static hearth_status try_create(const char *name)
{
    return file_try("stats-page", name);
}

START_TEST(bad_paths)
{
    unsetenv("HEARTH_OPTIONS");
    HARNESS_STATUS_NAMES(try_create("/nowhere/page"), HEARTH_ESYSTEM,
                         "stats-page=/nowhere/page: No such");
    HARNESS_STATUS_NAMES(try_create("/tmp"), HEARTH_ESYSTEM, "File exists");
    HARNESS_STATUS_NAMES(try_create("/tmp/%d"), HEARTH_EOPTION, "\"/tmp/%d\"");
}
END_TEST

/* Every call fails once: nothing is left of the file, and the next heap has one. */
START_TEST(calls_fail)
{
    unsetenv("HEARTH_OPTIONS");
    file_open("page");
    HARNESS_OK(try_create(path));
    for (uint64_t n = 1; n <= 2; n++) {
        ht_fault_arm(HT_FAULT_WRITE, n, false);
        HARNESS_STATUS_NAMES(try_create(path), HEARTH_ESYSTEM, "stats-page=");
        ht_fault_arm(HT_FAULT_WRITE, 0, false);
        ck_assert_int_ne(access(path, F_OK), 0);
        HARNESS_OK(try_create(path)); /* the heaps have all the same number: it is free again */
    }
    size_t bytes;
    for (uint64_t n = 1; n <= 2; n++) {
        ht_fault_arm(n == 1 ? HT_FAULT_WRITE : HT_FAULT_MAP, 1, true);
        ck_assert_ptr_null(ht_os_share(path, 4096));
        ht_fault_arm(n == 1 ? HT_FAULT_WRITE : HT_FAULT_MAP, 0, false);
        ck_assert_int_ne(access(path, F_OK), 0);
    }
    void *page = ht_os_share(path, 4096);
    ck_assert_ptr_nonnull(page);
    ht_os_unmap(page, 4096);
    for (uint64_t n = 1; n <= 2; n++) {
        ht_fault_arm(n == 1 ? HT_FAULT_FILE : HT_FAULT_MAP, 1, false);
        ck_assert_ptr_null(ht_os_look(path, &bytes));
    }
    ht_os_remove(path);
    file_close();
}
END_TEST

/* What is no page, of another version, or never whole. */
START_TEST(bad_pages)
{
    struct fixture f;
    struct hg_page got;

    file_open("page");
    HARNESS_STATUS_NAMES(hg_page_read(path, &got), HEARTH_ESYSTEM, "No such file");
    HARNESS_STATUS_NAMES(hg_page_read(directory, &got), HEARTH_ESYSTEM, "No data");
    open_with(&f, "");
    struct hg_page *live = f.heap->page->page;
    HARNESS_OK(hg_page_read(path, &got));
    live->sequence++;
    HARNESS_STATUS_NAMES(hg_page_read(path, &got), HEARTH_ECORRUPT, "for ever");
    live->sequence++;
    live->stats.struct_size -= 8;
    HARNESS_STATUS_NAMES(hg_page_read(path, &got), HEARTH_ECORRUPT, "written by hearth 0");
    live->stats.struct_size += 8;
    live->nodes = HT_MAX_NODES + 1;
    HARNESS_STATUS_NAMES(hg_page_read(path, &got), HEARTH_ECORRUPT, "written by hearth 0");
    live->nodes = 1;
    live->version++;
    HARNESS_STATUS_NAMES(hg_page_read(path, &got), HEARTH_ECORRUPT, "version 2");
    live->version--;
    live->magic[0] ^= 1;
    HARNESS_STATUS_NAMES(hg_page_read(path, &got), HEARTH_ECORRUPT, "no page");
    live->magic[0] ^= 1;
    HARNESS_OK(hg_page_read(path, &got));
    fixture_close(&f);
    FILE *small = fopen(path, "w");
    fputs(HG_PAGE_MAGIC, small);
    fclose(small);
    HARNESS_STATUS_NAMES(hg_page_read(path, &got), HEARTH_ECORRUPT, "no page");
    ck_assert_int_eq(unlink(path), 0);
    file_close();
}
END_TEST

HARNESS_SUITE(page)
{
    Suite *suite = suite_create("page");
    TCase *tests = tcase_create("page");

    tcase_add_test(tests, holds_statistics);
    tcase_add_test(tests, goes_on_between_collections);
    tcase_add_test(tests, is_removed);
    tcase_add_test(tests, names_meet);
    tcase_add_loop_test(tests, forks, 0, 2);
    tcase_add_test(tests, is_never_torn);
    tcase_add_test(tests, bad_paths);
    tcase_add_test(tests, calls_fail);
    tcase_add_test(tests, bad_pages);
    suite_add_tcase(suite, tests);
    return suite;
}
