/* tests/test_public.c - the topology as programs see it: arguments, CPU lists, free memory. */
#define _GNU_SOURCE 1

#include "tests/topology_fixture.h"
#include "topology/os.h"

static hearth_topology *create(const hearth_options *options)
{
    hearth_topology *topology = NULL;

    HARNESS_OK(hearth_topology_create(&topology, options));
    return topology;
}

static hearth_node_info info_of(const hearth_topology *topology, int node)
{
    hearth_node_info info = {.struct_size = sizeof(info)};

    HARNESS_OK(hearth_topology_node(topology, node, &info));
    return info;
}

START_TEST(numbers_agree_with_the_inside)
{
    hearth_topology *topology;

    fixture_recorded("cpuless");
    topology = create(NULL);
    ck_assert_int_eq(hearth_topology_nodes(topology), 3);
    ck_assert_int_eq(hearth_topology_cpus(topology), 4);
    ck_assert_int_eq(hearth_topology_cpus_allowed(topology), 4);
    for (int i = 0; i < 3; i++) {
        for (int j = 0; j < 3; j++)
            ck_assert_int_eq(hearth_topology_distance(topology, i, j), topology->distance[i][j]);
    }
    ck_assert_int_eq(hearth_topology_here(topology), ht_topology_here(topology));
    hearth_topology_destroy(topology);
}
END_TEST

START_TEST(nodes_are_described)
{
    hearth_topology *topology;
    hearth_node_info info;

    fixture_recorded("cpuless");
    topology = create(NULL);
    info = info_of(topology, 1);
    ck_assert_int_eq(info.node, 1);
    ck_assert_int_eq(info.os_node, 1);
    ck_assert_int_eq(info.cpus, 2);
    ck_assert(!info.cpuless && !info.fake);
    ck_assert_str_eq(info.cpu_list, "2-3");
    ck_assert_uint_eq(info.memory_bytes, topology->node[1].memory);
    ck_assert_uint_eq(info.free_bytes, info.memory_bytes);
    info = info_of(topology, 2);
    ck_assert(info.cpuless);
    ck_assert_int_eq(info.cpus, 0);
    ck_assert_str_eq(info.cpu_list, "");
    hearth_topology_destroy(topology);
    fixture_recorded("forbidden");
    topology = create(NULL);
    ck_assert_str_eq(info_of(topology, 2).cpu_list, "0-1,13");
    hearth_topology_destroy(topology);
}
END_TEST

START_TEST(free_memory_is_counted_now)
{
    hearth_topology *topology;
    hearth_options *options;
    uint64_t whole = 0, pieces = 0, unused = 0;

    fixture_real();
    topology = create(NULL);
    for (int i = 0; i < hearth_topology_nodes(topology); i++) {
        hearth_node_info info = info_of(topology, i);

        ck_assert_uint_gt(info.free_bytes, 0);
        ck_assert_uint_le(info.free_bytes, info.memory_bytes);
        whole += info.memory_bytes;
    }
    hearth_topology_destroy(topology);
    HARNESS_OK(hearth_options_create(&options));
    HARNESS_OK(hearth_options_parse(options, fixture_fake(64)));
    topology = create(options);
    for (int i = 0; i < hearth_topology_nodes(topology); i++) {
        ck_assert(info_of(topology, i).fake);
        ck_assert_uint_gt(info_of(topology, i).free_bytes, 0);
        pieces += info_of(topology, i).memory_bytes;
        unused += info_of(topology, i).free_bytes;
    }
    ck_assert_uint_le(pieces, whole);
    ck_assert_uint_le(unused, whole);
    ck_assert_uint_gt(pieces, whole - 64);
    hearth_topology_destroy(topology);
    hearth_options_destroy(options);
}
END_TEST

/* Every other CPU of 200: the list does not fit and says so. */
START_TEST(long_cpu_lists_end_in_dots)
{
    hearth_topology *topology;
    hearth_node_info info;
    char description[4096];
    size_t used;

    used = (size_t)snprintf(description, sizeof(description),
                            "pack:1 [numa(memory=1GiB)] core:100 pu:1(indexes=");
    for (int cpu = 0; cpu < 100; cpu++)
        used += (size_t)snprintf(description + used, sizeof(description) - used, "%s%d",
                                 cpu > 0 ? "," : "", cpu * 2);
    snprintf(description + used, sizeof(description) - used, ")");
    fixture_synthetic(description);
    topology = create(NULL);
    info = info_of(topology, 0);
    ck_assert_int_eq(info.cpus, 100);
    ck_assert_int_eq(strncmp(info.cpu_list, "0,2,4,6,8,10,", 13), 0);
    used = strlen(info.cpu_list);
    ck_assert_uint_lt(used, sizeof(info.cpu_list));
    ck_assert_uint_gt(used, sizeof(info.cpu_list) - 8);
    ck_assert_str_eq(info.cpu_list + used - 4, ",...");
    ck_assert(strspn(info.cpu_list, "0123456789,") == used - 3);
    hearth_topology_destroy(topology);
}
END_TEST

START_TEST(wrong_arguments_are_named)
{
    hearth_topology *topology;
    hearth_node_info info = {.struct_size = sizeof(info) - 1, .node = 77};

    fixture_recorded("ring4");
    topology = create(NULL);
    HARNESS_STATUS_NAMES(hearth_topology_create(NULL, NULL), HEARTH_EINVAL, "out");
    HARNESS_STATUS_NAMES(hearth_topology_node(NULL, 0, &info), HEARTH_EINVAL, "topology");
    HARNESS_STATUS_NAMES(hearth_topology_node(topology, 0, NULL), HEARTH_EINVAL, "out");
    HARNESS_STATUS_NAMES(hearth_topology_node(topology, 0, &info), HEARTH_EINVAL, "struct_size");
    info.struct_size++;
    HARNESS_STATUS_NAMES(hearth_topology_node(topology, 4, &info), HEARTH_ENODE, "node 4");
    HARNESS_STATUS_NAMES(hearth_topology_node(topology, -1, &info), HEARTH_ENODE, "node -1");
    ck_assert_int_eq(info.node, 77);
    ck_assert_int_eq(hearth_topology_distance(topology, 0, 4), -1);
    ck_assert_int_eq(hearth_topology_distance(topology, 4, 0), -1);
    ck_assert_int_eq(hearth_topology_distance(topology, -1, 0), -1);
    ck_assert_int_eq(hearth_topology_distance(topology, 0, -1), -1);
    ck_assert_int_eq(hearth_topology_distance(NULL, 0, 0), -1);
    ck_assert_int_eq(hearth_topology_nodes(NULL), 0);
    ck_assert_int_eq(hearth_topology_cpus(NULL), 0);
    ck_assert_int_eq(hearth_topology_cpus_allowed(NULL), 0);
    ck_assert_int_eq(hearth_topology_here(NULL), 0);
    hearth_topology_destroy(topology);
    hearth_topology_destroy(NULL);
}
END_TEST

START_TEST(environment_overrides_the_program)
{
    hearth_topology *topology;
    hearth_options *options;

    fixture_synthetic("pack:1 [numa] core:8 pu:1");
    HARNESS_OK(hearth_options_create(&options));
    HARNESS_OK(hearth_options_set(options, "fake-nodes", "2"));
    topology = create(options);
    ck_assert_int_eq(hearth_topology_nodes(topology), 2);
    hearth_topology_destroy(topology);
    setenv("HEARTH_OPTIONS", "fake-nodes=4", 1);
    topology = create(options);
    ck_assert_int_eq(hearth_topology_nodes(topology), 4);
    ck_assert_int_eq(options->fake_nodes, 2);
    hearth_topology_destroy(topology);
    topology = create(NULL);
    ck_assert_int_eq(hearth_topology_nodes(topology), 4);
    hearth_topology_destroy(topology);
    setenv("HEARTH_OPTIONS", "fake-nodes=x", 1);
    topology = (hearth_topology *)options;
    HARNESS_STATUS_NAMES(hearth_topology_create(&topology, NULL), HEARTH_EOPTION, "\"x\"");
    ck_assert_ptr_null(topology);
    HARNESS_STATUS_NAMES(hearth_topology_create(&topology, options), HEARTH_EOPTION,
                         "HEARTH_OPTIONS");
    hearth_options_destroy(options);
}
END_TEST

HARNESS_SUITE(public)
{
    Suite *suite = suite_create("public");
    TCase *tcase = tcase_create("public");

    tcase_add_test(tcase, numbers_agree_with_the_inside);
    tcase_add_test(tcase, nodes_are_described);
    tcase_add_test(tcase, free_memory_is_counted_now);
    tcase_add_test(tcase, long_cpu_lists_end_in_dots);
    tcase_add_test(tcase, wrong_arguments_are_named);
    tcase_add_test(tcase, environment_overrides_the_program);
    suite_add_tcase(suite, tcase);
    return suite;
}
