/* tests/test_machine.c - what is read from hwloc and the kernel before nodes are chosen. */
#define _GNU_SOURCE 1

#include "tests/topology_fixture.h"
#include "topology/machine.h"
#include "topology/os.h"

static struct ht_machine open_machine(void)
{
    struct ht_machine machine;

    HARNESS_OK(ht_machine_open(&machine));
    return machine;
}

static void expect_homes(const struct ht_machine *machine, const int *homes, int count)
{
    for (int cpu = 0; cpu < HT_MAX_CPUS; cpu++)
        ck_assert_msg(machine->home[cpu] == (cpu < count ? homes[cpu] : -1), "CPU %d: node %d", cpu,
                      machine->home[cpu]);
}

START_TEST(nodes_ascend_by_system_number)
{
    static const int os_nodes[] = {0, 3, 5, 9};
    static const int homes[] = {3, 3, -1, -1, 0, 0, -1, -1, 2, 2, -1, -1, 1, 1};
    struct ht_machine machine;

    fixture_recorded("sparse");
    machine = open_machine();
    ck_assert(!machine.own && !machine.user_policy);
    ck_assert_int_eq(machine.count, 4);
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(machine.node[i].os_node, os_nodes[i]);
        ck_assert_uint_eq(machine.node[i].memory, 1 << 30);
        ck_assert_int_eq(machine.node[i].logical, -1);
        ck_assert(machine.node[i].allowed);
    }
    expect_homes(&machine, homes, 14);
    ht_machine_close(&machine);
    ht_machine_close(&machine);
}
END_TEST

START_TEST(forbidden_parts_are_seen_and_marked)
{
    static const int homes[] = {3, 3, -1, -1, 0, 0, -1, -1, 2, 2, -1, -1, 1, 1};
    struct ht_machine machine;

    fixture_recorded("forbidden");
    machine = open_machine();
    ck_assert_int_eq(machine.count, 4);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(machine.node[i].allowed, machine.node[i].os_node != 3);
    expect_homes(&machine, homes, 14);
    ck_assert(!CPU_ISSET_S(12, HT_CPU_SET_BYTES, machine.allowed));
    ck_assert(CPU_ISSET_S(13, HT_CPU_SET_BYTES, machine.allowed));
    ck_assert_int_eq(CPU_COUNT_S(HT_CPU_SET_BYTES, machine.allowed), 7);
    ht_machine_close(&machine);
}
END_TEST

/* hwloc counts CPUs 0 and 1 to the memory-only node as well: HMAT names them its initiators. */
START_TEST(a_cpu_two_nodes_claim_has_one_home)
{
    static const int homes[] = {0, 0, 1, 1};
    struct ht_machine machine;

    fixture_recorded("hmat");
    machine = open_machine();
    ck_assert_int_eq(machine.count, 3);
    ck_assert_int_eq(hwloc_bitmap_weight(machine.node[2].object->cpuset), 2);
    expect_homes(&machine, homes, 4);
    ht_machine_close(&machine);
}
END_TEST

START_TEST(a_node_without_memory_is_seen)
{
    static const int homes[] = {0, 0, 1, 1, 2, 2};
    struct ht_machine machine;

    fixture_recorded("memless");
    machine = open_machine();
    ck_assert_int_eq(machine.count, 3);
    ck_assert_uint_eq(machine.node[1].memory, 0);
    ck_assert_int_eq(machine.distance[1 * 3 + 2], 15);
    expect_homes(&machine, homes, 6);
    ht_machine_close(&machine);
}
END_TEST

START_TEST(a_cpu_without_home_takes_the_nearest_package)
{
    static const int homes[] = {0, 0, -1, -1, 1, 1};
    struct ht_machine machine;

    fixture_recorded("dropped");
    machine = open_machine();
    ck_assert_int_eq(machine.count, 2);
    expect_homes(&machine, homes, 6);
    machine.node[0].logical = 0;
    machine.node[1].logical = 1;
    ck_assert_int_eq(ht_machine_nearest(&machine, 0), 0);
    ck_assert_int_eq(ht_machine_nearest(&machine, 2), 1);
    ck_assert_int_eq(ht_machine_nearest(&machine, 5), 1);
    ck_assert_int_eq(ht_machine_nearest(&machine, 4095), 0);
    machine.node[0].logical = -1;
    ck_assert_int_eq(ht_machine_nearest(&machine, 0), 1);
    ht_machine_close(&machine);
}
END_TEST

START_TEST(l2_is_that_of_one_core)
{
    static const struct {
        const char *description;
        size_t bytes;
    } cases[] = {
        {"pack:1 [numa] l2:2(size=1MiB) core:1 pu:2", 1 << 20},
        {"pack:1 [numa] l2:2(size=4MiB) core:4 pu:1", 1 << 20},
        {"pack:2 [numa] core:2 pu:1", 0},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ht_machine machine;

        fixture_synthetic(cases[i].description);
        machine = open_machine();
        ck_assert_uint_eq(ht_machine_l2(&machine), cases[i].bytes);
        ht_machine_close(&machine);
    }
}
END_TEST

START_TEST(own_machine_agrees_with_the_kernel)
{
    struct ht_machine machine;
    cpu_set_t cpus;

    fixture_real();
    machine = open_machine();
    ck_assert(machine.own);
    ck_assert_int_eq(sched_getaffinity(0, sizeof(cpus), &cpus), 0);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        ck_assert_int_eq(!!CPU_ISSET(cpu, &cpus),
                         !!CPU_ISSET_S(cpu, HT_CPU_SET_BYTES, machine.allowed));
    ht_machine_close(&machine);
}
END_TEST

/* Told that a description is this machine, hwloc's word and the kernel's are both needed. */
START_TEST(kernel_and_hwloc_must_both_allow_a_node)
{
    struct ht_machine machine;
    struct ht_node_mask kernel;

    fixture_recorded("forbidden");
    setenv("HWLOC_THISSYSTEM", "1", 1);
    machine = open_machine();
    ck_assert(machine.own);
    ck_assert_int_eq(machine.count, 4);
    if (!ht_bind_nodes(&kernel))
        memset(&kernel, 0xff, sizeof(kernel));
    for (int i = 0; i < 4; i++) {
        int os_node = machine.node[i].os_node;

        ck_assert_int_eq(machine.node[i].allowed, os_node != 3 && ht_mask_has(&kernel, os_node));
    }
    ht_machine_close(&machine);
}
END_TEST

START_TEST(a_description_that_cannot_be_read_is_an_error)
{
    struct ht_machine machine;

    fixture_synthetic("pack:2 [numa] wheel:3");
    HARNESS_STATUS_NAMES(ht_machine_open(&machine), HEARTH_ESYSTEM, "wheel:3");
    ht_machine_close(&machine);
    fixture_real();
    setenv("HWLOC_XMLFILE", "/nowhere/machine.xml", 1);
    HARNESS_STATUS_NAMES(ht_machine_open(&machine), HEARTH_ESYSTEM, "/nowhere/machine.xml");
    ht_machine_close(&machine);
}
END_TEST

HARNESS_SUITE(machine)
{
    Suite *suite = suite_create("machine");
    TCase *tcase = tcase_create("machine");

    tcase_add_test(tcase, nodes_ascend_by_system_number);
    tcase_add_test(tcase, forbidden_parts_are_seen_and_marked);
    tcase_add_test(tcase, a_cpu_two_nodes_claim_has_one_home);
    tcase_add_test(tcase, a_node_without_memory_is_seen);
    tcase_add_test(tcase, a_cpu_without_home_takes_the_nearest_package);
    tcase_add_test(tcase, l2_is_that_of_one_core);
    tcase_add_test(tcase, own_machine_agrees_with_the_kernel);
    tcase_add_test(tcase, kernel_and_hwloc_must_both_allow_a_node);
    tcase_add_test(tcase, a_description_that_cannot_be_read_is_an_error);
    suite_add_tcase(suite, tcase);
    return suite;
}
