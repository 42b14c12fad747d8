/* tests/test_hearth_heapmap.c - the program hearth-heapmap: pictures of maps, and what it says of what is none.
 *
 * The program's source is compiled into the test and run in a child, as test_hearth_info.c does. */
#define _GNU_SOURCE 1

#define main hearth_heapmap_main
#include "gc/hearth-heapmap.c"
#undef main

#include "tests/program_fixture.h"

static int heapmap(const char *a, const char *b, const char *c)
{
    return program_end(program_start(hearth_heapmap_main, "hearth-heapmap", a, b, c));
}

static void remove_map(void)
{
    unlink(path);
    file_close();
}

/* A map of a heap that has some of everything. */
static void write_map(void)
{
    struct fixture f;
    fixture_open(&f, "fake-nodes=2,heap-limit=256m");
    HEARTH_FRAME(f.m, frame, 3);
    for (uint64_t i = 0; i < 5000; i++) {
        struct item *item = fixture_item_on(&f, (int)(i & 1));
        hearth_store_init(&item->next, frame.ref[0]);
        frame.ref[0] = item;
    }
    frame.ref[1] = hearth_new_array(f.m, f.bytes, 300000);
    frame.ref[2] = fixture_refs(&f, 1500000);
    HARNESS_OK(hearth_gc_collect(f.m, 0));
    EXPECT(hearth_new_array(f.m, f.bytes, 100) != NULL);
    HARNESS_OK(hearth_heap_map_file(f.m, path));
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
}

static size_t count_of(const char *what)
{
    size_t count = 0;
    for (const char *at = out; (at = strstr(at, what)) != NULL; at++)
        count++;
    return count;
}

START_TEST(draws)
{
    file_open("map");
    write_map();
    ck_assert_int_eq(heapmap(path, NULL, NULL), 0);
    ck_assert_str_eq(error, "");
    ck_assert_int_eq(strncmp(out, "<svg xmlns=", 11), 0);
    ck_assert_str_eq(out + strlen(out) - 7, "</svg>\n");
    ck_assert_uint_eq(count_of("<text "), count_of("</text>"));
    ck_assert_uint_ge(count_of("<rect "), 4 * 64 * 4);
    ck_assert_uint_eq(count_of(">node 0 (system's 0): "), 1);
    ck_assert_uint_ge(count_of(">node 1 ("), 1);
    ck_assert_uint_ge(count_of("fill=\"#d95f02\""), 180); /* the span has 184 blocks */
    ck_assert_uint_ge(count_of("fill=\"#e6ab02\""), 5);
    ck_assert_uint_eq(count_of("not shown"), 0);
    size_t all = count_of("<rect ");
    ck_assert_int_eq(heapmap("--rows", "1", path), 0);
    ck_assert_uint_ge(count_of("chunks are not shown"), 1);
    ck_assert_uint_lt(count_of("<rect "), all);
    remove_map();
}
END_TEST

START_TEST(png)
{
    char picture[128];
    unsigned char magic[8] = {0};

    file_open("map");
    write_map();
    snprintf(picture, sizeof picture, "%s/map.png", directory);
    char *argv[] = {(char *)(uintptr_t) "hearth-heapmap", (char *)(uintptr_t) "--output", picture,
                    path, NULL};
    if (system("command -v rsvg-convert >/dev/null") == 0) {
        ck_assert_int_eq(heapmap("--output", picture, path), 0);
        FILE *file = fopen(picture, "r");
        ck_assert_ptr_nonnull(file);
        ck_assert_uint_eq(fread(magic, 1, 8, file), 8);
        ck_assert_mem_eq(magic, "\x89PNG\r\n\x1a\n", 8);
        fclose(file);
        unlink(picture);
    }
    setenv("PATH", "/nowhere", 1);
    ck_assert_int_eq(hearth_heapmap_main(4, argv), 1); /* and nothing is left */
    remove_map();
}
END_TEST

static int draw_text(const char *map)
{
    FILE *file = fopen(path, "w");
    fputs(map, file);
    fclose(file);
    return heapmap(path, NULL, NULL);
}

START_TEST(no_maps)
{
    static const struct {
        const char *map, *error;
    } wrong_map[] = {
        {"", "does not end"},
        {"hello\n", "line 1: this is no heap map of version 1: hello"},
        {"hearth-heap-map 2\nend\n", "no heap map of version 1"},
        {"hearth-heap-map 1\nend\n", "does not end"},
        {"hearth-heap-map 1\nchunk 1 pages 0 1\nend\n", "line 2: a node should come first"},
        {"hearth-heap-map 1\nnode 0\nend\n", "line 2: no node"},
        {"hearth-heap-map 1\nnode 64 system 0 live 0 blocks 0\nend\n", "no node"},
        {"hearth-heap-map 1\nnode 0 system 0 live 0 blocks 0\nwhat\nend\n",
         "line 3: unknown: what"},
        {"hearth-heap-map 1\nnode 0 system 0 live 0 blocks 0\nblock 4 free pages 0 1\n",
         "no block of a chunk"},
        {"hearth-heap-map 1\nnode 0 system 0 live 0 blocks 0\nchunk 4 pages 0 1\n"
         "block 64 free pages 0 1\n",
         "no block of a chunk"},
        {"hearth-heap-map 1\nnode 0 system 0 live 0 blocks 0\nchunk 4 pages 0 1\n"
         "block 4 tail pages 0 1\n",
         "no such block"},
        {"hearth-heap-map 1\nnode 0 system 0 live 0 blocks 0\nchunk 4 pages 0 1\n"
         "block 4 small scan cell 16 cells 2 young 1 middle 1 old 1 frozen 0 pages 0 1\n",
         "no such block"},
        {"hearth-heap-map 1\nnode 0 system 0 live 0 blocks 0\nspan 4 large scan blocks "
         "99999999999 size 1 age 0 chunks 1\n",
         "no span"},
        {"hearth-heap-map 1\nnode 0 system 0 live 0 blocks 0\npart 0 pages 0 1\n",
         "no part of a span"},
    };

    file_open("map");
    for (size_t i = 0; i < sizeof wrong_map / sizeof *wrong_map; i++) {
        ck_assert_int_eq(draw_text(wrong_map[i].map), 1);
        ck_assert_msg(strstr(error, wrong_map[i].error) != NULL, "%s: %s", wrong_map[i].error,
                      error);
        ck_assert_str_eq(out, "");
    }
    remove_map();
}
END_TEST

/* A map with some bytes changed is drawn or refused, and nothing else. */
START_TEST(damaged_maps)
{
    static char whole[1 << 20], damaged[1 << 20];
    uint64_t random = harness_seed();

    file_open("map");
    write_map();
    FILE *file = fopen(path, "r");
    size_t length = fread(whole, 1, sizeof whole - 1, file);
    fclose(file);
    for (uint64_t i = 0; i < harness_scaled(300); i++) {
        memcpy(damaged, whole, length + 1);
        for (uint64_t changes = 1 + harness_random_below(&random, 4); changes > 0; changes--)
            damaged[harness_random_below(&random, length)] =
                " 0123456789-*?\nspanblockend"[harness_random_below(&random, 26)];
        int status = draw_text(damaged);
        EXPECT(status == 0 || (status == 1 && error[0] != '\0'));
    }
    remove_map();
}
END_TEST

START_TEST(wrong_arguments)
{
    file_open("map");
    ck_assert_int_eq(heapmap("--rows", "0", NULL), 2);
    ck_assert_ptr_nonnull(strstr(error, "'0' is no number from 1 to 4096"));
    ck_assert_int_eq(heapmap("--nonsense", NULL, NULL), 2);
    ck_assert_ptr_nonnull(strstr(error, "what is '--nonsense'?"));
    ck_assert_int_eq(heapmap("a", "b", NULL), 2);
    ck_assert_int_eq(heapmap("/nowhere/map", NULL, NULL), 1);
    ck_assert_ptr_nonnull(strstr(error, "/nowhere/map: No such file"));
    write_map();
    ck_assert_int_eq(heapmap("--output", "/nowhere/x.svg", path), 1);
    ck_assert_ptr_nonnull(strstr(error, "/nowhere/x.svg: No such file"));
    ck_assert_int_eq(heapmap("--help", NULL, NULL), 0);
    ck_assert_str_eq(out, usage);
    ck_assert_int_eq(heapmap("--version", NULL, NULL), 0);
    ck_assert_str_eq(out, HEARTH_VERSION "\n");
    remove_map();
}
END_TEST

HARNESS_SUITE(hearth_heapmap)
{
    Suite *suite = suite_create("hearth_heapmap");
    TCase *tests = tcase_create("hearth_heapmap");

    tcase_add_test(tests, draws);
    tcase_add_test(tests, png);
    tcase_add_test(tests, no_maps);
    tcase_add_test(tests, damaged_maps);
    tcase_add_test(tests, wrong_arguments);
    suite_add_tcase(suite, tests);
    return suite;
}
