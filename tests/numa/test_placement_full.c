/* tests/numa/test_placement_full.c - nodes without room, and a kernel that would move pages.
 *
 * Runs in the NUMA guest (make check-placement). A node is filled with memory that is bound to it; the heap
 * then takes its blocks from the nearest node that has room and counts them, or fails cleanly under policy
 * strict. Each test is a process of its own, and what it filled is free when it ends. */
#define _GNU_SOURCE 1

#include <time.h>

#include "tests/numa/placement_fixture.h"

/* Bytes of a nearly full node, beside those that the kernel keeps; blocks that must come from others. */
enum { LEFT = 32 << 20, SPILL = 96 };

static hearth_node_stats node_stats(hearth_heap *heap, int node)
{
    hearth_node_stats stats = {.struct_size = sizeof stats};

    HARNESS_OK(hearth_get_node_stats(heap, node, &stats));
    return stats;
}

static int os_node(const hearth_heap *heap, int node)
{
    return heap->topology->node[node].os_node;
}

/* What the kernel killed for want of memory. */
static unsigned long oom_kills(void)
{
    char line[128];
    unsigned long count = 0;
    FILE *file = fopen("/proc/vmstat", "r");

    EXPECT(file != NULL);
    while (fgets(line, sizeof line, file) != NULL)
        sscanf(line, "oom_kill %lu", &count);
    fclose(file);
    return count;
}

/* Fills a node. The pool looks at it anew: what it was allowed before, up to 32 MiB, does not count. */
static void fill(const struct fixture *f, int node)
{
    struct ha_pool *pool = f->heap->space.pool[node];
    size_t kept = (f->heap->topology->node[node].memory >> 16) * pool->room.watermark;

    place_ballast(os_node(f->heap, node), LEFT + kept);
    pthread_mutex_lock(&pool->lock);
    pool->room.credit = 0;
    pthread_mutex_unlock(&pool->lock);
    struct ha_window_state *state = pool->windows->state;
    pthread_mutex_lock(&state->lock);
    state->node[node].meta.room.credit = 0;
    pthread_mutex_unlock(&state->lock);
}

/* Puts objects in front of the list in *root until `spilled` blocks came from elsewhere; touches all. */
static void grow_until_spilled(struct fixture *f, void **root, uint64_t spilled)
{
    size_t bytes = 0;

    while (fixture_stats(f->heap).spilled_blocks < spilled) {
        for (int i = 0; i < 1000; i++) {
            struct fixture_node *node = fixture_new(f->mutator, f->node, (uint64_t)i);
            hearth_store_init(&node->left, *root);
            *root = node;
        }
        bytes += 1000 * (sizeof(struct fixture_node) + HEARTH_HEADER);
        ck_assert_msg(bytes < LEFT + 2 * (SPILL << HA_BLOCK_SHIFT), "%zu bytes, and %lu spilled",
                      bytes, (unsigned long)fixture_stats(f->heap).spilled_blocks);
    }
}

/* Since `before` the node next in `order` took in blocks of others, and none that is farther did. Nearer ones are
 * full, but the kernel may find a few pages there again. */
static void expect_spilled_to(const struct fixture *f, const uint8_t *order, int next,
                              const uint64_t *before)
{
    for (int i = next; i < place_nodes(f->heap); i++) {
        uint64_t came = node_stats(f->heap, order[i]).spilled_in - before[order[i]];
        ck_assert_msg((came > 0) == (i == next), "%lu blocks spilled to node %d; node %d is next",
                      (unsigned long)came, order[i], order[next]);
    }
}

/* One node after the other runs full: each time the nearest of the others takes over. */
START_TEST(spills_to_the_nearest)
{
    struct fixture f;

    fixture_alone();
    f = fixture_open("help-after=0,heap-limit=400m,heap-min=400m,generational=off");
    int nodes = place_nodes(f.heap);
    int home = _i;
    if (home >= nodes)
        return;
    const uint8_t *order = f.heap->topology->node[home].order;
    if (f.heap->topology->node[home].cpuless)
        return;
    place_pin(place_cpu_of(f.heap, home));
    HEARTH_FRAME(f.mutator, frame, 1);
    for (int i = 0; i + 1 < nodes && i < 3; i++) {
        uint64_t before[HT_MAX_NODES];
        uint64_t spilled = fixture_stats(f.heap).spilled_blocks;
        fill(&f, order[i]);
        /* What is left of this node is used up first; that counts for the former one. */
        for (int n = 0; n < nodes; n++)
            before[n] = node_stats(f.heap, n).spilled_in;
        if (i > 0) {
            while (node_stats(f.heap, order[i + 1]).spilled_in == before[order[i + 1]])
                grow_until_spilled(&f, &frame.ref[0], fixture_stats(f.heap).spilled_blocks + 1);
            before[order[i]] = node_stats(f.heap, order[i]).spilled_in;
            spilled = fixture_stats(f.heap).spilled_blocks - 1;
        }
        grow_until_spilled(&f, &frame.ref[0], spilled + SPILL);
        expect_spilled_to(&f, order, i + 1, before);
        place_expect_home(f.heap, "after spilling");
        ck_assert_uint_gt(place_available(os_node(f.heap, order[i])), 2 << 20);
    }
    fixture_collect(f.mutator, 2);
    place_expect_home(f.heap, "after spilling and a collection");
    frame.ref[0] = NULL;
    HEARTH_FRAME_END(f.mutator, frame);
    fixture_close(&f);
}
END_TEST

/* Large objects and spans go elsewhere as well. */
START_TEST(large_objects_spill)
{
    static const size_t sizes[] = {1 << 20, 6 << 20};
    struct fixture f;

    fixture_alone();
    f = fixture_open("heap-limit=400m,heap-min=400m");
    if (place_nodes(f.heap) < 2)
        return;
    const uint8_t *order = f.heap->topology->node[0].order;
    uint64_t before[HT_MAX_NODES] = {0};
    place_pin(place_cpu_of(f.heap, 0));
    fill(&f, 0);
    HEARTH_FRAME(f.mutator, frame, 64);
    for (int i = 0; i < 64 && fixture_stats(f.heap).spilled_blocks < SPILL; i++) {
        frame.ref[i] = hearth_new_array(f.mutator, f.bytes, sizes[_i]);
        ck_assert_msg(frame.ref[i] != NULL, "%s", hearth_last_error());
        memset(frame.ref[i], 1, sizes[_i]);
    }
    ck_assert_uint_ge(fixture_stats(f.heap).spilled_blocks, SPILL);
    expect_spilled_to(&f, order, 1, before);
    place_expect_home(f.heap, "after spilling");
    HEARTH_FRAME_END(f.mutator, frame);
    fixture_close(&f);
}
END_TEST

/* strict: NULL and ENOMEM, nobody is killed, other nodes can be used, and so can this one when objects are
 * dropped. */
START_TEST(strict_fails_cleanly)
{
    struct fixture f;
    unsigned long kills = oom_kills();
    size_t made = 0;

    fixture_alone();
    f = fixture_open("policy=strict,heap-limit=400m,heap-min=400m");
    int nodes = place_nodes(f.heap), home = nodes - 1;
    if (nodes < 2)
        return;
    if (f.heap->topology->node[home].cpuless)
        home = 0;
    place_pin(place_cpu_of(f.heap, home));
    fill(&f, home);
    HEARTH_FRAME(f.mutator, frame, 2);
    for (;; made++) {
        struct fixture_node *node = hearth_alloc(f.mutator, f.node, sizeof *node);
        if (node == NULL)
            break;
        hearth_store_init(&node->left, frame.ref[0]);
        frame.ref[0] = node;
    }
    harness_expect_error("hearth_alloc", HEARTH_ENOMEM, NULL);
    HARNESS_NULL(hearth_new_array(f.mutator, f.bytes, 6 << 20), HEARTH_ENOMEM);
    ck_assert_uint_gt(made * sizeof(struct fixture_node), LEFT / 4);
    ck_assert_uint_eq(fixture_stats(f.heap).spilled_blocks, 0);
    place_expect_home(f.heap, "after failing");
    int other = f.heap->topology->node[home].order[1];
    frame.ref[1] = hearth_new_on(f.mutator, f.bytes, 6 << 20, other);
    ck_assert_ptr_nonnull(frame.ref[1]);
    memset(frame.ref[1], 1, 6 << 20);
    ck_assert_int_eq(hearth_node_of(f.heap, frame.ref[1]), other);
    frame.ref[0] = NULL;
    for (size_t i = 0; i < made / 2; i++) {
        struct fixture_node *node = fixture_new(f.mutator, f.node, i);
        hearth_store_init(&node->left, frame.ref[0]);
        frame.ref[0] = node;
    }
    place_expect_home(f.heap, "after going on");
    ck_assert_uint_eq(oom_kills(), kills);
    HEARTH_FRAME_END(f.mutator, frame);
    fixture_close(&f);
}
END_TEST

/* --- NUMA balancing -------------------------------------------------------------------------------- */

enum { HAMMERED = 8 << 20, HAMMER_S = 10 };

static bool set_kernel(const char *path, const char *value)
{
    FILE *file = fopen(path, "w");
    bool written = file != NULL && fputs(value, file) >= 0;

    return file != NULL && fclose(file) == 0 && written;
}

/* Memory that a thread of another node reads all the time. */
struct hammer {
    const volatile char *memory[2];
    int cpu;
    bool stop;
};

static void *hammer(void *data)
{
    struct hammer *hammer = data;

    place_pin(hammer->cpu);
    while (!__atomic_load_n(&hammer->stop, __ATOMIC_RELAXED))
        for (size_t i = 0; i < HAMMERED; i += HA_PAGE / 4)
            (void)(hammer->memory[0][i] + hammer->memory[1][i]);
    return NULL;
}

/* Balancing moves pages to the node that uses them. Ours have a policy, so they stay; memory without
 * one, used in the same way, goes. */
START_TEST(balancing_moves_nothing)
{
    struct fixture f;
    uint64_t on[PLACE_OS_NODES], ours = 0, moved = 0;
    pthread_t thread;

    fixture_alone();
    f = fixture_open("hugepages=off");
    int nodes = place_nodes(f.heap), home = 0, far = 1;
    while (far < nodes && f.heap->topology->node[far].cpuless)
        far++;
    if (far >= nodes || !set_kernel("/proc/sys/kernel/numa_balancing", "1"))
        return;
    set_kernel("/sys/kernel/debug/sched/numa_balancing/scan_delay_ms", "20");
    set_kernel("/sys/kernel/debug/sched/numa_balancing/scan_period_min_ms", "50");
    place_pin(place_cpu_of(f.heap, home));
    HEARTH_FRAME(f.mutator, frame, 1);
    frame.ref[0] = hearth_new_array(f.mutator, f.bytes, HAMMERED);
    char *unbound =
        mmap(NULL, HAMMERED, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert(frame.ref[0] != NULL && unbound != MAP_FAILED);
    madvise(unbound, HAMMERED, MADV_NOHUGEPAGE);
    memset(frame.ref[0], 1, HAMMERED);
    memset(unbound, 1, HAMMERED);
    struct hammer work = {.memory = {frame.ref[0], unbound}, .cpu = place_cpu_of(f.heap, far)};
    ck_assert_int_eq(pthread_create(&thread, NULL, hammer, &work), 0);
    for (int i = 0; i < HAMMER_S * 5 && moved < HAMMERED / HA_PAGE / 2; i++) {
        fixture_sleep_ms(200);
        place_count(unbound, HAMMERED, on);
        moved = on[os_node(f.heap, far)];
    }
    __atomic_store_n(&work.stop, true, __ATOMIC_RELAXED);
    pthread_join(thread, NULL);
    place_count(frame.ref[0], HAMMERED, on);
    for (int node = 0; node < PLACE_OS_NODES; node++)
        ours += node == os_node(f.heap, home) ? 0 : on[node];
    printf("  balancing moved %lu of %d unbound pages, %lu of ours\n", (unsigned long)moved,
           HAMMERED / HA_PAGE, (unsigned long)ours);
    ck_assert_uint_eq(ours, 0);
    ck_assert_uint_gt(moved, 0);
    place_expect_home(f.heap, "with NUMA balancing");
    HEARTH_FRAME_END(f.mutator, frame);
    fixture_close(&f);
    set_kernel("/proc/sys/kernel/numa_balancing", "0");
}
END_TEST

HARNESS_SUITE(placement_full)
{
    Suite *suite = suite_create("placement_full");
    TCase *full = tcase_create("full"), *balancing = tcase_create("balancing");

    tcase_set_timeout(full, 60);
    tcase_add_loop_test(full, spills_to_the_nearest, 0, 4);
    tcase_add_loop_test(full, large_objects_spill, 0, 2);
    tcase_add_test(full, strict_fails_cleanly);
    suite_add_tcase(suite, full);
    tcase_set_timeout(balancing, 60);
    tcase_add_test(balancing, balancing_moves_nothing);
    suite_add_tcase(suite, balancing);
    return suite;
}
