/* tests/test_room.c - nodes that are full by the system's figures: blocks, large objects, metadata and batches
 * spill by distance; strict; all full. */
#include <sys/stat.h>
#include <unistd.h>

#include "alloc/meta.h"
#include "gc/mailbox.h"
#include "tests/space_fixture.h"
#include "topology/os.h"

static char directory[] = "/tmp/hearth-test-XXXXXX";

static void node_path(int node, const char *file, char *path, size_t size)
{
    snprintf(path, size, "%s/node%d%s", directory, node, file);
}

/* What the system says of a node, in MiB; as the kernel writes it. */
static void node_memory(int node, int total, int unused, int files)
{
    char path[256];

    if (strstr(directory, "XXXXXX") != NULL)
        ck_assert_ptr_nonnull(mkdtemp(directory));
    node_path(node, "", path, sizeof path);
    mkdir(path, 0700);
    node_path(node, "/meminfo", path, sizeof path);
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fprintf(file,
            "Node %d MemTotal:       %d kB\nNode %d MemFree:        %d kB\n"
            "Node %d MemUsed:        1 kB\nNode %d Active:         777777 kB\n"
            "Node %d Active(anon):   888888 kB\nNode %d Active(file):   %d kB\n"
            "Node %d Inactive(file): %d kB\n",
            node, total << 10, node, unused << 10, node, node, node, node, files << 9, node,
            files << 9);
    fclose(file);
}

static void node_gone(int node)
{
    char path[256];

    node_path(node, "/meminfo", path, sizeof path);
    unlink(path);
    node_path(node, "", path, sizeof path);
    rmdir(path);
    rmdir(directory);
}

START_TEST(figures)
{
    struct ht_node_memory memory;

    node_memory(3, 1000, 300, 40);
    ck_assert(ht_os_node_memory(directory, 3, &memory));
    ck_assert_uint_eq(memory.total, (size_t)1000 << 20);
    ck_assert_uint_eq(memory.unused, (size_t)300 << 20);
    ck_assert_uint_eq(memory.files, (size_t)40 << 20);
    ck_assert(!ht_os_node_memory(directory, 4, &memory));
    node_gone(3);
    ck_assert(ht_os_node_memory("/sys/devices/system/node", 0, &memory));
    ck_assert_uint_gt(memory.total, memory.unused + memory.files);
    ck_assert_uint_gt(memory.unused, 1 << 20);
}
END_TEST

/* A room of node `node`, with the test's figures. */
static struct ha_room room_of(int node, bool alone)
{
    struct ha_room room;

    ha_room_init(&room, node, alone, HA_ROOM_POOL);
    room.directory = directory;
    room.watermark = 0;
    return room;
}

/* Cached files are no room where the kernel would rather take pages of the next node than drop one. */
START_TEST(cached_files)
{
    struct ha_room room = room_of(1, false), strict = room_of(1, true);

    room.files = false; /* whatever this machine's zone_reclaim_mode is */
    node_memory(1, 1000, 10, 500);
    ck_assert(!ha_room_take(&room, 65536, 1000));
    ck_assert(ha_room_take(&strict, 65536, 1000));
    ck_assert_uint_eq(strict.credit, HA_ROOM_POOL - 65536);
    room.files = true;
    ck_assert(ha_room_take(&room, 65536, 1010));
    node_gone(1);
}
END_TEST

/* All of what is free may be taken but the reserve, in any order of sizes. */
START_TEST(credit)
{
    struct ha_room room;
    size_t taken = 0;
    int unused = 200;

    room = room_of(1, false);
    node_memory(1, 6400, unused, 0); /* a 64th: 100 MiB stay */
    uint64_t random = harness_seed();
    for (;;) {
        size_t bytes = (1 + harness_random_below(&random, 64)) << 16;
        if (!ha_room_take(&room, bytes, 1000))
            break;
        taken += bytes;
        node_memory(1, 6400, unused - (int)((taken + (1 << 20) - 1) >> 20), 0);
    }
    ck_assert_uint_ge(taken, (size_t)95 << 20);
    ck_assert_uint_le(taken, (size_t)100 << 20);
    node_memory(1, 6400, 200, 0); /* room again: seen after a while, but for what credit is left */
    room.credit = 0;
    ck_assert(!ha_room_take(&room, 65536, 1009));
    ck_assert(ha_room_take(&room, 65536, 1010));
    ck_assert_uint_le(room.credit, 32 << 20);
    node_gone(1);
    room.credit = 0;
    ck_assert(ha_room_take(&room, (size_t)1 << 40, 1011)); /* it does not tell: never asked again */
    ck_assert_int_eq(room.os_node, -1);
}
END_TEST

static void vm_number(const char *name, uint64_t number)
{
    char path[256];

    if (strstr(directory, "XXXXXX") != NULL)
        ck_assert_ptr_nonnull(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fprintf(file, "%lu\n", (unsigned long)number);
    fclose(file);
}

/* What the kernel keeps free of a node is not there: of a small machine with huge pages that is much. */
START_TEST(watermark)
{
    uint64_t memory_kib = ((uint64_t)sysconf(_SC_PHYS_PAGES) * ht_os_page_size()) >> 10;
    struct ha_room room;
    char path[256];

    ck_assert_uint_eq(ht_os_watermark("/nowhere"), 0);
    ck_assert(!ht_os_reclaims("/nowhere"));
    for (unsigned mode = 0; mode < 4; mode++) { /* bit 0: reclaim; bit 1: write out, if so */
        vm_number("zone_reclaim_mode", mode);
        ck_assert_int_eq(ht_os_reclaims(directory), mode & 1);
    }
    snprintf(path, sizeof path, "%s/zone_reclaim_mode", directory);
    unlink(path);
    vm_number("min_free_kbytes", memory_kib / 20);
    vm_number("watermark_scale_factor", 10);
    unsigned mark = ht_os_watermark(directory); /* 5 % and twice a quarter of it */
    ck_assert_uint_ge(mark, 65536 * 74 / 1000);
    ck_assert_uint_le(mark, 65536 * 76 / 1000);
    vm_number("watermark_scale_factor", 1000); /* 5 % and twice 10 % */
    ck_assert_uint_ge(ht_os_watermark(directory), 65536 * 24 / 100);
    ck_assert_uint_le(ht_os_watermark(directory), 65536 * 26 / 100);
    room = room_of(1, false);
    room.watermark = mark;
    node_memory(1, 1000, 80, 0);
    ck_assert(ha_room_take(&room, 4 << 20, 1000));
    ck_assert_uint_lt(room.credit, 2 << 20);
    node_memory(1, 1000, 73, 0);
    room.credit = 0;
    ck_assert(!ha_room_take(&room, 65536, 2000));
    snprintf(path, sizeof path, "%s/min_free_kbytes", directory);
    unlink(path);
    snprintf(path, sizeof path, "%s/watermark_scale_factor", directory);
    unlink(path);
    node_gone(1);
}
END_TEST

static struct ha_room *meta_room(struct ha_space *space, int node)
{
    return &space->windows->state->node[node].meta.room;
}

/* Three nodes in a row whose figures the test writes. */
static struct ha_space *open_three(bool strict)
{
    struct fixture_heap *heap = fixture_plan(3);

    heap->options.policy = strict ? HT_POLICY_STRICT : HT_POLICY_LOCAL;
    HARNESS_OK(fixture_space_try(heap, 1000000));
    for (int n = 0; n < 3; n++) {
        heap->space.pool[n]->room = room_of(n, false);
        *meta_room(&heap->space, n) = room_of(n, false);
        node_memory(n, 1000, 500, 0);
    }
    return &heap->space;
}

static int node_taken(struct ha_space *space, int node)
{
    enum ha_refusal why;
    struct ha_block *block = ha_space_take(space, node, 10, HA_EFFORT_TIGHT, &why);

    ck_assert_int_eq(block != NULL ? HA_GRANTED : HA_NO_MEMORY, why);
    return block != NULL ? ha_node_of(space->windows, (uintptr_t)block) : -1;
}

static void refill(struct ha_space *space, int node, int unused)
{
    node_memory(node, 1000, unused, 0);
    space->pool[node]->room.credit = meta_room(space, node)->credit = 0;
    space->pool[node]->room.refused_ms = meta_room(space, node)->refused_ms = 0;
}

START_TEST(spills_by_distance)
{
    struct ha_space *space = open_three(false);

    ck_assert_int_eq(node_taken(space, 2), 2);
    refill(space, 2, 10);
    ck_assert_int_eq(node_taken(space, 2), 1);
    refill(space, 1, 10);
    ck_assert_int_eq(node_taken(space, 2), 0);
    ck_assert_uint_eq(space->spilled, 2);
    ck_assert_uint_eq(space->pool[1]->spilled_in, 1);
    refill(space, 0, 10); /* all are full: at home, the system decides */
    ck_assert_int_eq(node_taken(space, 2), 2);
    ck_assert_uint_eq(space->spilled, 2);
    refill(space, 1, 500);
    ck_assert_int_eq(node_taken(space, 2), 1);
    for (int n = 0; n < 3; n++)
        node_gone(n);
}
END_TEST

START_TEST(strict_fails)
{
    struct ha_space *space = open_three(true);
    enum ha_refusal why;

    ck_assert_int_eq(node_taken(space, 1), 1);
    refill(space, 1, 10);
    ck_assert_int_eq(node_taken(space, 1), -1);
    ck_assert_uint_eq(ha_large_take(space, 1, 1 << 20, HA_LEAF, &why), 0);
    ck_assert_int_eq(why, HA_NO_MEMORY);
    ck_assert_uint_eq(ha_large_take(space, 1, 40 << 20, HA_LEAF, &why), 0);
    ck_assert_int_eq(why, HA_NO_MEMORY);
    ck_assert_uint_eq(space->used, 1);
    ck_assert_int_eq(node_taken(space, 0), 0);
    refill(space, 1, 500);
    ck_assert_int_eq(node_taken(space, 1), 1);
    ck_assert_uint_ne(ha_large_take(space, 1, 40 << 20, HA_LEAF, &why), 0);
    ck_assert_uint_eq(space->spilled, 0);
    for (int n = 0; n < 3; n++)
        node_gone(n);
}
END_TEST

/* Memory that is resident already needs no room; large objects spill too. */
START_TEST(what_needs_room)
{
    struct ha_space *space = open_three(false);
    enum ha_refusal why;
    struct ha_block *block = ha_space_take(space, 0, 10, HA_EFFORT_NORMAL, &why);

    refill(space, 0, 10);
    pthread_mutex_lock(&space->pool[0]->lock);
    space->pool[0]->young = NULL;
    block->young = 0;
    ha_pool_free(space->pool[0], block, 1, 1);
    pthread_mutex_unlock(&space->pool[0]->lock);
    ha_space_refund(space, 1);
    ck_assert_ptr_eq(ha_space_take(space, 0, 12, HA_EFFORT_NORMAL, &why), block);
    ck_assert_int_eq(node_taken(space, 0), 1);
    ck_assert_int_eq(ha_node_of(space->windows, ha_large_take(space, 0, 300000, HA_LEAF, &why)), 1);
    ck_assert_int_eq(ha_node_of(space->windows, ha_large_take(space, 0, 9 << 20, HA_LEAF, &why)),
                     1);
    refill(space, 1, 10);
    refill(space, 2, 10);
    ck_assert_int_eq(ha_node_of(space->windows, ha_large_take(space, 0, 9 << 20, HA_LEAF, &why)),
                     0);
    for (int n = 0; n < 3; n++)
        node_gone(n);
}
END_TEST

static int meta_node(struct ha_space *space, int node, size_t bytes)
{
    void *piece = ha_meta_near(space->windows, node, bytes);

    ck_assert_ptr_nonnull(piece);
    memset(piece, 1, bytes);
    return ha_node_of(space->windows, (uintptr_t)piece);
}

/* Metadata goes where blocks go; what is resident needs no room, what was given back does. */
START_TEST(metadata_spills)
{
    struct ha_space *space = open_three(false);
    void *page = ha_meta_near(space->windows, 2, 4096);
    void *large = ha_meta_near(space->windows, 2, 65536);

    ck_assert_int_eq(ha_node_of(space->windows, (uintptr_t)page), 2);
    ck_assert_int_eq(ha_node_of(space->windows, (uintptr_t)large), 2);
    ha_meta_back(space->windows, page, 4096);
    ha_meta_back(space->windows, large, 65536);
    refill(space, 2, 10);
    ck_assert_int_eq(meta_node(space, 2, 65536), 1);
    ck_assert_int_eq(meta_node(space, 2, 3 << 20), 1); /* a chunk of its own */
    ck_assert_ptr_eq(ha_meta_near(space->windows, 2, 4096), page);
    ck_assert_int_eq(meta_node(space, 2, 4096), 1);
    refill(space, 1, 10);
    ck_assert_int_eq(meta_node(space, 2, 65536), 0);
    refill(space, 0, 10); /* all are full: at home, the system decides */
    ck_assert_int_eq(meta_node(space, 2, 65536), 2);
    ht_fault_arm(HT_FAULT_RESERVE, 1, true); /* nor has the window anything left */
    while (ha_meta_take(space->windows, 2, 4096) != NULL)
        ;
    ck_assert_int_eq(meta_node(space, 2, 4096), 1);
    ht_fault_arm(HT_FAULT_RESERVE, 0, false);
    refill(space, 2, 500);
    ck_assert_int_eq(meta_node(space, 2, 65536), 2);
    HARNESS_OK(ha_windows_check(space->windows));
    for (int n = 0; n < 3; n++)
        node_gone(n);
}
END_TEST

/* Strict: at home or nowhere. */
START_TEST(strict_metadata_stays)
{
    struct ha_space *space = open_three(true);

    if (space->windows->bound)
        ck_assert(ha_windows_strict(space->windows));
    refill(space, 1, 10);
    ck_assert_int_eq(meta_node(space, 1, 65536), ha_windows_strict(space->windows) ? 1 : 0);
    for (int n = 0; n < 3; n++)
        node_gone(n);
}
END_TEST

/* What the tracer hands over goes there too, and home again. */
START_TEST(batches_spill)
{
    struct ha_space *space = open_three(false);
    struct ha_windows *windows = space->windows;
    struct ha_window_stats before[3], after;
    struct hg_mail mail;

    for (int n = 0; n < 3; n++)
        ha_window_stats(windows, n, &before[n]);
    HARNESS_OK(hg_mail_init(&mail, windows, 3));
    hg_mail_begin(&mail, 0);
    refill(space, 2, 10);
    struct hg_batch *batch = hg_batch_take(&mail, 2);
    ck_assert_ptr_nonnull(batch);
    ck_assert_int_eq(ha_node_of(windows, (uintptr_t)batch), 1);
    ck_assert_int_eq(batch->node, 2);
    hg_batch_give(&mail, batch);
    ck_assert_ptr_eq(hg_batch_take(&mail, 2), batch);
    hg_batch_give(&mail, batch);
    hg_mail_destroy(&mail);
    for (int n = 0; n < 3; n++) {
        ha_window_stats(windows, n, &after);
        ck_assert_uint_eq(after.meta, before[n].meta);
        node_gone(n);
    }
    HARNESS_OK(ha_windows_check(windows));
}
END_TEST

/* Nodes that are one to the system are not asked. */
START_TEST(not_asked)
{
    struct fixture_heap *one = fixture_space(1, 0, 100), *fake = fixture_plan(2);

    ck_assert_int_eq(one->space.pool[0]->room.os_node, -1);
    fake->topology->node[1].os_node = fake->topology->node[0].os_node;
    HARNESS_OK(fixture_space_try(fake, 100));
    ck_assert_int_eq(fake->space.pool[0]->room.os_node, -1);
    ck_assert_int_eq(fake->space.pool[1]->room.os_node, -1);
}
END_TEST

HARNESS_SUITE(room)
{
    Suite *suite = suite_create("room");
    TCase *tests = tcase_create("room");

    tcase_add_test(tests, figures);
    tcase_add_test(tests, cached_files);
    tcase_add_test(tests, credit);
    tcase_add_test(tests, watermark);
    tcase_add_test(tests, spills_by_distance);
    tcase_add_test(tests, strict_fails);
    tcase_add_test(tests, what_needs_room);
    tcase_add_test(tests, metadata_spills);
    tcase_add_test(tests, strict_metadata_stays);
    tcase_add_test(tests, batches_spill);
    tcase_add_test(tests, not_asked);
    suite_add_tcase(suite, tests);
    return suite;
}
