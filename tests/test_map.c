/* tests/test_map.c - heap maps: every line is one that the format has, and they add up to what is in the heap. */
#define _GNU_SOURCE
#include <errno.h>
#include <unistd.h>

#include "tests/file_fixture.h"
#include "tests/text.h"

/* What all lines say together. */
struct sums {
    uint64_t nodes, chunks, blocks, spans, parts;
    uint64_t objects, age[4], large, free, resident, unknown;
};

static uint64_t number_of(const char *line, const char *name)
{
    char key[24];
    snprintf(key, sizeof key, " %s ", name);
    const char *at = strstr(line, key);
    ck_assert_msg(at != NULL, "no %s in: %s", name, line);
    return strtoull(at + strlen(key), NULL, 10);
}

static void add_pages(struct sums *sums, const char *line, uint64_t most)
{
    const char *at = strstr(line, " pages ");
    ck_assert_msg(at != NULL, "no pages: %s", line);
    uint64_t count = strtoull(strchr(at + 7, ' '), NULL, 10);
    ck_assert_uint_le(count, most);
    ck_assert_int_eq(at[7] == '-' || at[7] == '?', count == 0);
    sums->resident += count;
    sums->unknown += at[7] == '?';
}

static void add_age(struct sums *sums, const char *line)
{
    static const char *const age[] = {"young", "middle", "old", "frozen"};
    for (int i = 0; i < 4; i++) {
        sums->age[i] += number_of(line, age[i]);
        sums->objects += number_of(line, age[i]);
    }
    ck_assert_uint_ge(number_of(line, "cells"), number_of(line, "young") +
                                                    number_of(line, "middle") +
                                                    number_of(line, "old"));
}

static void add_line(struct sums *sums, const char *line)
{
    if (strncmp(line, "node ", 5) == 0) {
        ck_assert_uint_eq(strtoull(line + 5, NULL, 10), sums->nodes++);
    } else if (strncmp(line, "chunk ", 6) == 0) {
        ck_assert_uint_eq(sums->blocks, 60 * sums->chunks++);
        add_pages(sums, line, 64);
    } else if (strncmp(line, "block ", 6) == 0) {
        sums->blocks++;
        sums->free += strstr(line, " free ") != NULL || strstr(line, " cold ") != NULL;
        if (strstr(line, " small ") != NULL)
            add_age(sums, line);
        if (strstr(line, " large ") != NULL) {
            sums->large++;
            sums->age[number_of(line, "age")]++;
        }
        add_pages(sums, line, 16);
    } else if (strncmp(line, "span ", 5) == 0) {
        sums->spans++;
        sums->age[number_of(line, "age")]++;
        ck_assert_uint_ge(number_of(line, "chunks") * 64, number_of(line, "blocks"));
    } else {
        ck_assert_msg(strncmp(line, "part ", 5) == 0, "unknown line: %s", line);
        sums->parts++;
        add_pages(sums, line, 1024);
    }
}

static struct sums read_text(char *text)
{
    struct sums sums = {0};
    char *line = strtok(text, "\n");
    ck_assert_str_eq(line, "hearth-heap-map 1");
    while ((line = strtok(NULL, "\n")) != NULL && strcmp(line, "end") != 0)
        add_line(&sums, line);
    ck_assert_ptr_nonnull(line);
    ck_assert_ptr_null(strtok(NULL, "\n"));
    ck_assert_uint_eq(sums.blocks, 60 * sums.chunks);
    return sums;
}

static struct sums map_of(struct fixture *f)
{
    struct text text = {0};
    HARNESS_OK(hearth_heap_map(f->m, text_add, &text));
    struct sums sums = read_text(text.at);
    free(text.at);
    return sums;
}

START_TEST(adds_up)
{
    struct fixture f;

    fixture_open(&f, "fake-nodes=2,heap-limit=256m,heap-min=256m,nursery=64m");
    HEARTH_FRAME(f.m, frame, 3);
    struct sums sums = map_of(&f);
    ck_assert_uint_eq(sums.nodes, (uint64_t)nodes_of(&f));
    ck_assert_uint_eq(sums.objects + sums.large + sums.spans, 0);
    for (uint64_t i = 0; i < 5000; i++) {
        struct item *item = fixture_item_on(&f, (int)(i & 1));
        hearth_store_init(&item->next, frame.ref[0]);
        frame.ref[0] = item;
    }
    frame.ref[1] = hearth_new_array(f.m, f.bytes, 300000);
    frame.ref[2] = fixture_refs(&f, 1500000); /* 12 MB: chunks of its own */
    sums = map_of(&f);
    ck_assert_uint_eq(sums.objects, 5000);
    ck_assert_uint_eq(sums.age[0], 5002);
    ck_assert_uint_eq(sums.large, 1);
    ck_assert_uint_eq(sums.spans, 1);
    ck_assert_uint_ge(sums.parts, 3);
    ck_assert_uint_gt(sums.resident, 5000 * 32 / 4096);
    HARNESS_OK(hearth_gc_collect(f.m, 0));
    sums = map_of(&f);
    ck_assert_uint_eq(sums.age[1], 5000);
    ck_assert_uint_eq(sums.age[2], 2); /* large ones are old at once */
    HARNESS_OK(hearth_gc_collect(f.m, 2));
    sums = map_of(&f);
    ck_assert_uint_eq(sums.age[2], 5002);
    frame.ref[0] = frame.ref[1] = frame.ref[2] = NULL;
    HARNESS_OK(hearth_gc_collect(f.m, 2));
    sums = map_of(&f);
    ck_assert_uint_eq(sums.objects + sums.large + sums.spans, 0);
    ck_assert_uint_eq(sums.free, sums.blocks);
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
}
END_TEST

START_TEST(residency_is_not_told)
{
    struct fixture f;

    fixture_open(&f, "");
    EXPECT(hearth_new(f.m, f.item) != NULL);
    ht_fault_arm(HT_FAULT_ASK, 1, true);
    struct sums sums = map_of(&f);
    ht_fault_arm(HT_FAULT_ASK, 0, false);
    ck_assert_uint_eq(sums.unknown, sums.blocks + sums.chunks);
    ck_assert_uint_eq(sums.resident, 0);
    fixture_close(&f);
}
END_TEST

START_TEST(files)
{
    char line[64] = "";
    struct fixture f;

    file_open("map");
    fixture_open(&f, "");
    HARNESS_OK(hearth_heap_map_file(f.m, path));
    FILE *file = fopen(path, "r");
    ck_assert_ptr_nonnull(fgets(line, sizeof line, file));
    ck_assert_str_eq(line, "hearth-heap-map 1\n");
    fclose(file);
    for (uint64_t n = 1; n <= 3; n++) {
        ht_fault_arm(HT_FAULT_WRITE, n, false);
        HARNESS_STATUS_NAMES(hearth_heap_map_file(f.m, path), HEARTH_ESYSTEM, path);
        ck_assert_int_eq(access(path, F_OK) == 0, n == 1); /* it was not opened */
    }
    unlink(path);
    HARNESS_STATUS_NAMES(hearth_heap_map_file(f.m, NULL), HEARTH_EINVAL, "path is NULL");
    HARNESS_STATUS_NAMES(hearth_heap_map_file(f.m, directory), HEARTH_ESYSTEM, "Is a directory");
    HARNESS_STATUS_NAMES(hearth_heap_map(f.m, NULL, NULL), HEARTH_EINVAL, "fn is NULL");
    HARNESS_STATUS_NAMES(hearth_heap_map(NULL, text_add, NULL), HEARTH_EINVAL, "mutator is NULL");
    struct text text = {.most = 1};
    HARNESS_STATUS_NAMES(hearth_heap_map(f.m, text_add, &text), HEARTH_ESYSTEM, "gave up");
    ht_fault_arm(HT_FAULT_ALLOC, 1, false);
    HARNESS_STATUS(hearth_heap_map(f.m, text_add, &text), HEARTH_ENOMEM);
    HARNESS_OK(hearth_gc_collect(f.m, 2));
    fixture_close(&f);
    file_close();
}
END_TEST

HARNESS_SUITE(map)
{
    Suite *suite = suite_create("map");
    TCase *tests = tcase_create("map");

    tcase_add_test(tests, adds_up);
    tcase_add_test(tests, residency_is_not_told);
    tcase_add_test(tests, files);
    suite_add_tcase(suite, tests);
    return suite;
}
