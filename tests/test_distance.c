/* tests/test_distance.c - distances from latencies, matrices and nothing; order by distance.
 *
 * Machines are made through hwloc's own interface, exported to a file, and read back from there. */
#define _GNU_SOURCE 1

#include "tests/topology_fixture.h"
#include "topology/machine.h"
#include "topology/os.h"

enum { NODES = 3, UNKNOWN = 0 };

/* A machine of three nodes with two CPUs each. 0 in `latency` stays unset; no matrix if its first
 * value is 0. */
struct made {
    uint64_t latency[NODES][NODES];
    uint64_t matrix[NODES][NODES];
    uint16_t expected[NODES][NODES];
};

static void add_matrix(hwloc_topology_t hwloc, const struct made *made)
{
    hwloc_obj_t objects[NODES];
    uint64_t values[NODES * NODES];
    hwloc_distances_add_handle_t handle;

    for (unsigned i = 0; i < NODES; i++)
        objects[i] = hwloc_get_obj_by_type(hwloc, HWLOC_OBJ_NUMANODE, i);
    for (int i = 0; i < NODES * NODES; i++)
        values[i] = made->matrix[i / NODES][i % NODES];
    handle = hwloc_distances_add_create(
        hwloc, "Made", HWLOC_DISTANCES_KIND_FROM_USER | HWLOC_DISTANCES_KIND_MEANS_LATENCY, 0);
    ck_assert_ptr_nonnull(handle);
    ck_assert_int_eq(hwloc_distances_add_values(hwloc, handle, NODES, objects, values, 0), 0);
    ck_assert_int_eq(hwloc_distances_add_commit(hwloc, handle, 0), 0);
}

static void add_latencies(hwloc_topology_t hwloc, const struct made *made)
{
    for (unsigned i = 0; i < NODES; i++) {
        struct hwloc_location from = {.type = HWLOC_LOCATION_TYPE_CPUSET};

        from.location.cpuset = hwloc_get_obj_by_type(hwloc, HWLOC_OBJ_PACKAGE, i)->cpuset;
        for (unsigned j = 0; j < NODES; j++) {
            hwloc_obj_t to = hwloc_get_obj_by_type(hwloc, HWLOC_OBJ_NUMANODE, j);

            if (made->latency[i][j] != UNKNOWN)
                ck_assert_int_eq(hwloc_memattr_set_value(hwloc, HWLOC_MEMATTR_ID_LATENCY, to, &from,
                                                         0, made->latency[i][j]),
                                 0);
        }
    }
}

/* Write the machine to DIRECTORY/machine.xml and make it the one that is seen. */
static void make(const struct made *made, const char *directory)
{
    hwloc_topology_t hwloc;
    char path[PATH_MAX];

    fixture_real();
    snprintf(path, sizeof(path), "%s/machine.xml", directory);
    ck_assert_int_eq(hwloc_topology_init(&hwloc), 0);
    ck_assert_int_eq(hwloc_topology_set_synthetic(hwloc, "pack:3 [numa(memory=1GiB)] core:2 pu:1"),
                     0);
    ck_assert_int_eq(hwloc_topology_load(hwloc), 0);
    add_latencies(hwloc, made);
    if (made->matrix[0][0] != UNKNOWN)
        add_matrix(hwloc, made);
    ck_assert_int_eq(hwloc_topology_export_xml(hwloc, path, 0), 0);
    hwloc_topology_destroy(hwloc);
    setenv("HWLOC_XMLFILE", path, 1);
}

static const struct made machines[] = {
    /* nothing known */
    {{{0}}, {{0}}, {{10, 20, 20}, {20, 10, 20}, {20, 20, 10}}},
    /* a matrix alone, asymmetric */
    {{{0}}, {{10, 21, 31}, {22, 10, 16}, {33, 17, 10}}, {{10, 21, 31}, {22, 10, 16}, {33, 17, 10}}},
    /* a matrix in nanoseconds: each row is scaled by its diagonal and rounded */
    {{{0}},
     {{80, 168, 250}, {170, 100, 124}, {250, 125, 90}},
     {{10, 21, 31}, {17, 10, 12}, {28, 14, 10}}},
    /* remote no slower than local is 10, never less; no diagonal, no row, but the way back */
    {{{0}}, {{10, 10, 5}, {12, 10, 0}, {30, 40, 10}}, {{10, 10, 10}, {12, 10, 40}, {30, 40, 10}}},
    /* latencies alone, complete */
    {{{100, 210, 320}, {210, 100, 150}, {320, 150, 100}},
     {{0}},
     {{10, 21, 32}, {21, 10, 15}, {32, 15, 10}}},
    /* latencies of the best pairs only, before the matrix where they exist */
    {{{90, 0, 180}, {0, 90, 0}, {0, 0, 0}},
     {{10, 21, 17}, {21, 10, 28}, {17, 28, 10}},
     {{10, 21, 20}, {21, 10, 28}, {17, 28, 10}}},
    /* the same without a matrix: the way back, then 20 */
    {{{90, 0, 180}, {0, 90, 0}, {0, 0, 0}}, {{0}}, {{10, 20, 20}, {20, 10, 20}, {20, 20, 10}}},
    {{{90, 0, 270}, {0, 90, 0}, {0, 0, 0}}, {{0}}, {{10, 20, 30}, {20, 10, 20}, {30, 20, 10}}},
    /* latency to others without the own one cannot be scaled */
    {{{0, 500, 500}, {0, 90, 0}, {0, 0, 90}},
     {{10, 21, 17}, {21, 10, 28}, {17, 28, 10}},
     {{10, 21, 17}, {21, 10, 28}, {17, 28, 10}}},
    /* out of range: a ratio above the type's, and values too large to trust */
    {{{1, 100000, 0}, {0, 1, UINT64_C(1) << 40}, {0, 0, 1}},
     {{0}},
     {{10, 65535, 20}, {65535, 10, 20}, {20, 20, 10}}},
};

START_TEST(distances_are_put_together)
{
    const struct made *made = &machines[_i];
    char *directory = fixture_directory();
    struct ht_machine machine;

    make(made, directory);
    HARNESS_OK(ht_machine_open(&machine));
    ck_assert_int_eq(machine.count, NODES);
    for (int i = 0; i < NODES; i++) {
        for (int j = 0; j < NODES; j++)
            ck_assert_msg(machine.distance[i * NODES + j] == made->expected[i][j],
                          "machine %d: from %d to %d: %d, expected %d", _i, i, j,
                          machine.distance[i * NODES + j], made->expected[i][j]);
    }
    ht_machine_close(&machine);
    fixture_remove(directory);
}
END_TEST

/* Few values, so that there are many ties. */
START_TEST(order_is_by_distance_then_number)
{
    static struct hearth_topology topology;
    uint64_t random = harness_seed();

    for (uint64_t round = harness_scaled(200); round > 0; round--) {
        topology.nodes = 1 + (int)harness_random_below(&random, HT_MAX_NODES);
        for (int i = 0; i < topology.nodes; i++) {
            for (int j = 0; j < topology.nodes; j++)
                topology.distance[i][j] =
                    i == j ? 10 : (uint16_t)(10 + harness_random_below(&random, 5));
        }
        ht_distance_order(&topology);
        for (int i = 0; i < topology.nodes; i++) {
            const uint8_t *order = topology.node[i].order;

            ck_assert_int_eq(order[0], i);
            for (int k = 2; k < topology.nodes; k++) {
                int near = topology.distance[i][order[k - 1]], far = topology.distance[i][order[k]];

                ck_assert(near < far || (near == far && order[k - 1] < order[k]));
            }
        }
    }
}
END_TEST

START_TEST(no_memory_for_the_tables)
{
    struct ht_machine machine;

    fixture_recorded("ring4");
    HARNESS_OK(ht_machine_open(&machine));
    for (uint64_t n = 1; n <= 3; n++) {
        ht_os_free(machine.distance);
        machine.distance = NULL;
        ht_fault_arm(HT_FAULT_ALLOC, n, false);
        HARNESS_STATUS_NAMES(ht_distance_measure(&machine), HEARTH_ENOMEM, "4 nodes");
    }
    ht_os_free(machine.distance);
    HARNESS_OK(ht_distance_measure(&machine));
    ck_assert_int_eq(machine.distance[2], 32);
    ht_machine_close(&machine);
}
END_TEST

HARNESS_SUITE(distance)
{
    Suite *suite = suite_create("distance");
    TCase *tcase = tcase_create("distance");

    tcase_add_loop_test(tcase, distances_are_put_together, 0,
                        sizeof(machines) / sizeof(machines[0]));
    tcase_add_test(tcase, order_is_by_distance_then_number);
    tcase_add_test(tcase, no_memory_for_the_tables);
    suite_add_tcase(suite, tcase);
    return suite;
}
