/* tests/test_fake.c - pretended nodes: how CPUs, memory and distances are divided. */
#define _GNU_SOURCE 1

#include "tests/topology_fixture.h"
#include "topology/machine.h"
#include "topology/os.h"

/* One real node with `cpus` CPUs cut into `parts`. */
static void check_pieces(int cpus, int parts)
{
    struct hearth_topology *topology;
    char text[64];
    int sharing = 0;

    snprintf(text, sizeof(text), "pack:1 [numa(memory=8GiB)] core:%d pu:1", cpus);
    fixture_synthetic(text);
    snprintf(text, sizeof(text), "fake-nodes=%d", parts);
    topology = fixture_topology(text);
    ck_assert_int_eq(topology->nodes, parts);
    ck_assert_int_eq(topology->fake, parts > 1);
    ck_assert_int_eq(topology->cpus_allowed, cpus);
    for (int i = 0; i < parts; i++) {
        const struct ht_node *node = &topology->node[i];

        ck_assert_int_eq(node->os_node, 0);
        ck_assert_int_eq(node->fake, parts > 1);
        ck_assert(!node->cpuless);
        ck_assert_uint_eq(node->memory, (UINT64_C(8) << 30) / (uint64_t)parts);
        /* even to one CPU, at least one */
        ck_assert_int_ge(node->cpus, cpus / parts > 0 ? cpus / parts : 1);
        ck_assert_int_le(node->cpus, (cpus + parts - 1) / parts);
        ck_assert_int_eq(CPU_COUNT_S(HT_CPU_SET_BYTES, node->cpu_set), node->cpus);
        sharing += node->cpus;
        for (int j = 0; j < parts; j++) {
            ck_assert_int_eq(topology->distance[i][j], i == j ? 10 : 20);
            ck_assert_int_eq(node->order[j], j == 0 ? i : j <= i ? j - 1 : j);
        }
    }
    ck_assert_int_eq(sharing, cpus >= parts ? cpus : parts);
    /* consecutive pieces; a shared CPU belongs to the lowest of its nodes */
    for (int cpu = 0; cpu < cpus; cpu++) {
        int owner = topology->node_of_cpu[cpu];

        ck_assert(CPU_ISSET_S(cpu, HT_CPU_SET_BYTES, topology->node[owner].cpu_set));
        for (int i = 0; i < owner; i++)
            ck_assert(!CPU_ISSET_S(cpu, HT_CPU_SET_BYTES, topology->node[i].cpu_set));
        ck_assert(cpu == 0 || owner >= topology->node_of_cpu[cpu - 1]);
    }
    ht_topology_destroy(topology);
}

START_TEST(any_number_of_cpus_makes_any_number_of_nodes)
{
    uint64_t random = harness_seed();

    check_pieces(1, 1);
    check_pieces(1, 64);
    check_pieces(2, 2);
    check_pieces(2, 4);
    check_pieces(2, 8);
    check_pieces(64, 64);
    for (uint64_t round = harness_scaled(60); round > 0; round--)
        check_pieces(1 + (int)harness_random_below(&random, 96),
                     1 + (int)harness_random_below(&random, HT_MAX_NODES));
}
END_TEST

START_TEST(two_cpus_four_nodes)
{
    struct hearth_topology *topology;
    static const int cpu_of[] = {0, 0, 1, 1};

    fixture_synthetic("pack:1 [numa] core:2 pu:1");
    topology = fixture_topology("fake-nodes=4");
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(topology->node[i].cpus, 1);
        ck_assert(CPU_ISSET_S(cpu_of[i], HT_CPU_SET_BYTES, topology->node[i].cpu_set));
    }
    ck_assert_int_eq(topology->node_of_cpu[0], 0);
    ck_assert_int_eq(topology->node_of_cpu[1], 2);
    ck_assert_int_eq(topology->node_of_cpu[2], 0);
    ht_topology_destroy(topology);
}
END_TEST

START_TEST(real_nodes_are_split_each)
{
    struct hearth_topology *topology;
    static const uint8_t first_order[] = {0, 1, 2, 3, 6, 7, 4, 5};

    fixture_recorded("ring4");
    topology = fixture_topology("fake-nodes=8");
    ck_assert_int_eq(topology->nodes, 8);
    for (int i = 0; i < 8; i++) {
        ck_assert_int_eq(topology->node[i].os_node, i / 2);
        ck_assert_int_eq(topology->node[i].cpus, 1);
        ck_assert_int_eq(topology->node_of_cpu[i], i);
        ck_assert_int_eq(topology->node[0].order[i], first_order[i]);
    }
    ck_assert_int_eq(topology->distance[0][1], 20);
    ck_assert_int_eq(topology->distance[0][2], 21);
    ck_assert_int_eq(topology->distance[1][4], 32);
    ck_assert_int_eq(topology->distance[5][3], 21);
    ht_topology_destroy(topology);
}
END_TEST

/* Pieces of a node stay nearer to each other than to the nearest real node, at 11 here. */
START_TEST(pieces_stay_together)
{
    struct hearth_topology *topology;

    fixture_recorded("sparse");
    topology = fixture_topology("fake-nodes=8");
    ck_assert_int_eq(topology->distance[2][3], 11);
    ck_assert_int_eq(topology->distance[2][6], 11);
    ck_assert_int_eq(topology->node[2].order[0], 2);
    ck_assert_int_eq(topology->node[2].order[1], 3);
    ht_topology_destroy(topology);
    fixture_synthetic("pack:2 [numa] core:2 pu:1"); /* 20 apart */
    topology = fixture_topology("fake-nodes=4");
    ck_assert_int_eq(topology->distance[0][1], 19);
    ck_assert_int_eq(topology->distance[0][2], 20);
    ht_topology_destroy(topology);
    fixture_recorded("cpuless");
    topology = fixture_topology("fake-nodes=6");
    ck_assert_int_eq(topology->distance[4][5], 16);
    ck_assert_int_eq(topology->distance[4][0], 17);
    ht_topology_destroy(topology);
}
END_TEST

START_TEST(cpuless_nodes_split_into_cpuless_ones)
{
    struct hearth_topology *topology;

    fixture_recorded("cpuless");
    topology = fixture_topology("fake-nodes=12");
    for (int i = 8; i < 12; i++) {
        ck_assert(topology->node[i].cpuless && topology->node[i].fake);
        ck_assert_int_eq(topology->node[i].cpus, 0);
        ck_assert_int_eq(CPU_COUNT_S(HT_CPU_SET_BYTES, topology->node[i].cpu_set), 1);
    }
    for (int cpu = 0; cpu < 4; cpu++)
        ck_assert_int_eq(topology->node_of_cpu[cpu], cpu * 2);
    ht_topology_destroy(topology);
}
END_TEST

START_TEST(numbers_that_do_not_divide_are_named)
{
    struct hearth_topology *topology;
    struct hearth_options options = fixture_options("fake-nodes=6");

    fixture_recorded("ring4");
    HARNESS_STATUS_NAMES(ht_topology_create(&topology, &options), HEARTH_EOPTION,
                         "fake-nodes: 6 is no multiple of the machine's 4 nodes");
    ck_assert_ptr_null(topology);
    options.fake_nodes = 1;
    HARNESS_STATUS_NAMES(ht_topology_create(&topology, &options), HEARTH_EOPTION, "fake-nodes: 1");
    options.fake_nodes = 68;
    HARNESS_STATUS_NAMES(ht_topology_create(&topology, &options), HEARTH_EOPTION, "68");
    options.fake_nodes = -4;
    HARNESS_STATUS_NAMES(ht_topology_create(&topology, &options), HEARTH_EOPTION, "-4");
    options.fake_nodes = 4;
    HARNESS_OK(ht_topology_create(&topology, &options));
    ck_assert(!topology->fake && !topology->node[0].fake);
    ht_topology_destroy(topology);
}
END_TEST

START_TEST(no_memory_leaves_the_real_nodes)
{
    struct hearth_topology *topology;

    fixture_recorded("ring4");
    topology = fixture_topology("");
    for (uint64_t n = 1; n <= 13; n++) {
        struct hearth_topology before = *topology;

        ht_fault_arm(HT_FAULT_ALLOC, n, false);
        HARNESS_STATUS_NAMES(ht_fake_split(topology, 12), HEARTH_ENOMEM, "12 fake nodes");
        ht_fault_arm(HT_FAULT_ALLOC, 0, false);
        ck_assert_mem_eq(topology, &before, sizeof(before));
        HARNESS_OK(ht_topology_check(topology));
    }
    HARNESS_OK(ht_fake_split(topology, 12));
    ht_distance_order(topology);
    HARNESS_OK(ht_topology_check(topology));
    ht_topology_destroy(topology);
}
END_TEST

HARNESS_SUITE(fake)
{
    Suite *suite = suite_create("fake");
    TCase *tcase = tcase_create("fake");

    tcase_set_timeout(tcase, 30);
    tcase_add_test(tcase, any_number_of_cpus_makes_any_number_of_nodes);
    tcase_add_test(tcase, two_cpus_four_nodes);
    tcase_add_test(tcase, real_nodes_are_split_each);
    tcase_add_test(tcase, pieces_stay_together);
    tcase_add_test(tcase, cpuless_nodes_split_into_cpuless_ones);
    tcase_add_test(tcase, numbers_that_do_not_divide_are_named);
    tcase_add_test(tcase, no_memory_leaves_the_real_nodes);
    suite_add_tcase(suite, tcase);
    return suite;
}
