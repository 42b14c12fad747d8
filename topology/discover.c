/* topology/discover.c - choosing hearth's nodes from what the machine has, and checking the result.
 *
 * A node is used when the process may allocate on it and it has memory. The nodes used are numbered
 * from 0 in the order of the system's numbers, which may be sparse. Every CPU number, allowed or
 * not, has a nearest used node: its own one; or the nearest to its own by distance; or, where the
 * description has no node for it, the one the kernel or the tree of packages calls nearest.
 *
 * Invariant: see topology.h; ht_topology_check states it in full and is run on every new topology.
 * Lock order: none. The result is immutable; it lies on the creating thread's node and is read by
 * all, but only on slow paths. */
#define _GNU_SOURCE 1

#include <string.h>

#include "topology/error.h"
#include "topology/machine.h"
#include "topology/os.h"

/* --- nodes ------------------------------------------------------------------------------------ */

/* Give numbers to the nodes to be used. A node without memory is left out, unless no node's memory
 * is known (synthetic descriptions). Nodes beyond the table are left out as well; their CPUs go to
 * others. */
static int ht_number_nodes(struct ht_machine *machine)
{
    bool known = false;
    int nodes = 0;

    for (int i = 0; i < machine->count; i++)
        known = known || machine->node[i].memory != 0;
    for (int i = 0; i < machine->count && nodes < HT_MAX_NODES; i++) {
        struct ht_machine_node *node = &machine->node[i];

        if (node->allowed && (node->memory != 0 || !known))
            node->logical = nodes++;
    }
    return nodes;
}

/* Where no memory is described, the nodes share what the real machine has. */
static hearth_status ht_fill_nodes(struct hearth_topology *topology,
                                   const struct ht_machine *machine)
{
    uint64_t share = ht_os_physical_memory() / (uint64_t)topology->nodes;

    for (int i = 0; i < machine->count; i++) {
        const struct ht_machine_node *source = &machine->node[i];
        struct ht_node *node;

        if (source->logical < 0)
            continue;
        node = &topology->node[source->logical];
        node->os_node = source->os_node;
        node->memory = source->memory != 0 ? source->memory : share;
        node->cpu_set = ht_os_alloc(HT_CPU_SET_BYTES);
        if (node->cpu_set == NULL)
            return ht_fail(HEARTH_ENOMEM, "no memory for the CPU set of node %d", source->logical);
        for (int j = 0; j < machine->count; j++) {
            int to = machine->node[j].logical;

            if (to >= 0)
                topology->distance[source->logical][to] = machine->distance[i * machine->count + j];
        }
    }
    return HEARTH_OK;
}

/* --- CPUs ------------------------------------------------------------------------------------- */

/* The used node nearest to node `home` of the machine; ties go to the lower number. */
static int ht_nearest_used(const struct ht_machine *machine, int home)
{
    const uint16_t *distance = &machine->distance[home * machine->count];
    int nearest = -1;

    if (machine->node[home].logical >= 0)
        return machine->node[home].logical;
    for (int i = 0; i < machine->count; i++) {
        if (machine->node[i].logical >= 0 && (nearest < 0 || distance[i] < distance[nearest]))
            nearest = i;
    }
    return machine->node[nearest].logical;
}

static void ht_fill_cpus(struct hearth_topology *topology, const struct ht_machine *machine)
{
    hwloc_const_cpuset_t described = hwloc_topology_get_complete_cpuset(machine->hwloc);

    for (int cpu = 0; cpu < HT_MAX_CPUS; cpu++) {
        bool allowed = CPU_ISSET_S(cpu, HT_CPU_SET_BYTES, machine->allowed);
        struct ht_node *node;
        int nearest = 0;

        if (machine->home[cpu] >= 0)
            nearest = ht_nearest_used(machine, machine->home[cpu]);
        else if (allowed || hwloc_bitmap_isset(described, (unsigned)cpu))
            nearest = ht_machine_nearest(machine, cpu);
        topology->node_of_cpu[cpu] = (uint8_t)nearest;
        if (!allowed)
            continue;
        node = &topology->node[nearest];
        CPU_SET_S(cpu, HT_CPU_SET_BYTES, node->cpu_set);
        node->cpus++;
        topology->cpus_allowed++;
    }
}

/* A node without CPUs is served by those of the nearest node that has some. */
static void ht_borrow_cpus(struct hearth_topology *topology)
{
    for (int i = 0; i < topology->nodes; i++) {
        struct ht_node *node = &topology->node[i];
        int next = 0;

        node->cpuless = node->cpus == 0;
        if (!node->cpuless)
            continue;
        while (topology->node[node->order[next]].cpus == 0)
            next++;
        memcpy(node->cpu_set, topology->node[node->order[next]].cpu_set, HT_CPU_SET_BYTES);
    }
}

/* --- the whole -------------------------------------------------------------------------------- */

int ht_cpus_within(int allowed, int quota)
{
    return quota > 0 && quota < allowed ? quota : allowed;
}

static hearth_status ht_topology_fill(struct hearth_topology *topology, struct ht_machine *machine,
                                      const struct hearth_options *options)
{
    hearth_status status;
    int quota;

    topology->nodes = ht_number_nodes(machine);
    if (topology->nodes == 0)
        return ht_fail(HEARTH_ESYSTEM, "none of the machine's %d nodes may be used and has memory",
                       machine->count);
    topology->synthetic = !machine->own;
    topology->user_policy = machine->user_policy;
    topology->user_spreads = machine->user_spreads;
    topology->l2_bytes = ht_machine_l2(machine);
    status = ht_fill_nodes(topology, machine);
    if (status != HEARTH_OK)
        return status;
    ht_fill_cpus(topology, machine);
    ht_distance_order(topology);
    ht_borrow_cpus(topology);
    status = ht_fake_split(topology, options->fake_nodes);
    if (status != HEARTH_OK)
        return status;
    ht_distance_order(topology);
    quota = machine->own ? ht_quota_cpus(ht_groups.root, ht_groups.self) : 0;
    topology->cpus = ht_cpus_within(topology->cpus_allowed, quota);
    return ht_topology_check(topology);
}

hearth_status ht_topology_create(struct hearth_topology **out, const struct hearth_options *options)
{
    struct hearth_topology *topology;
    struct ht_machine machine;
    hearth_status status;

    *out = NULL;
    topology = ht_os_alloc(sizeof(*topology));
    if (topology == NULL)
        return ht_fail(HEARTH_ENOMEM, "no memory for a topology (%zu bytes)", sizeof(*topology));
    status = ht_machine_open(&machine);
    if (status == HEARTH_OK)
        status = ht_topology_fill(topology, &machine, options);
    ht_machine_close(&machine);
    if (status != HEARTH_OK) {
        ht_topology_destroy(topology);
        return status;
    }
    *out = topology;
    return HEARTH_OK;
}

void ht_topology_destroy(struct hearth_topology *topology)
{
    if (topology == NULL)
        return;
    for (int i = 0; i < HT_MAX_NODES; i++)
        ht_os_free(topology->node[i].cpu_set);
    ht_os_free(topology);
}

/* With one node the answer needs no question. */
int ht_topology_here(const struct hearth_topology *topology)
{
    int cpu;

    if (topology->nodes == 1)
        return 0;
    cpu = sched_getcpu();
    return cpu < 0 || cpu >= HT_MAX_CPUS ? 0 : topology->node_of_cpu[cpu];
}

/* --- checking --------------------------------------------------------------------------------- */

/* order[] is a permutation, itself first, distances ascending. */
static hearth_status ht_check_order(const struct hearth_topology *topology, int node)
{
    const uint8_t *order = topology->node[node].order;
    bool seen[HT_MAX_NODES] = {false};

    if (order[0] != node)
        return ht_fail(HEARTH_ECORRUPT, "topology: node %d is not the first in its own order",
                       node);
    for (int i = 0; i < topology->nodes; i++) {
        if (order[i] >= topology->nodes || seen[order[i]])
            return ht_fail(HEARTH_ECORRUPT, "topology: order of node %d is no permutation at %d",
                           node, i);
        seen[order[i]] = true;
        if (i > 1 && topology->distance[node][order[i]] < topology->distance[node][order[i - 1]])
            return ht_fail(HEARTH_ECORRUPT, "topology: order of node %d does not ascend at %d",
                           node, i);
    }
    return HEARTH_OK;
}

static hearth_status ht_check_node(const struct hearth_topology *topology, int number)
{
    const struct ht_node *node = &topology->node[number];
    int usable = node->cpu_set == NULL ? 0 : CPU_COUNT_S(HT_CPU_SET_BYTES, node->cpu_set);

    if (node->os_node < 0 || node->memory == 0)
        return ht_fail(HEARTH_ECORRUPT, "topology: node %d (system %d) has no memory", number,
                       node->os_node);
    if (usable == 0)
        return ht_fail(HEARTH_ECORRUPT, "topology: node %d has no usable CPU", number);
    if (node->cpus != (node->cpuless ? 0 : usable))
        return ht_fail(HEARTH_ECORRUPT, "topology: node %d has %d CPUs but a set of %d", number,
                       node->cpus, usable);
    for (int to = 0; to < topology->nodes; to++) {
        uint16_t distance = topology->distance[number][to];

        if (to == number ? distance != 10 : distance < 10)
            return ht_fail(HEARTH_ECORRUPT, "topology: distance %d from node %d to %d", distance,
                           number, to);
    }
    return ht_check_order(topology, number);
}

/* A CPU in some node's own set belongs to one node, and that node has it. Only fake nodes may share
 * a CPU. */
static hearth_status ht_check_cpus(const struct hearth_topology *topology)
{
    int allowed = 0;

    for (int cpu = 0; cpu < HT_MAX_CPUS; cpu++) {
        int owner = topology->node_of_cpu[cpu], sets = 0;

        if (owner >= topology->nodes)
            return ht_fail(HEARTH_ECORRUPT, "topology: CPU %d belongs to node %d of %d", cpu, owner,
                           topology->nodes);
        for (int node = 0; node < topology->nodes; node++) {
            if (!topology->node[node].cpuless &&
                CPU_ISSET_S(cpu, HT_CPU_SET_BYTES, topology->node[node].cpu_set))
                sets++;
        }
        if (sets == 0)
            continue;
        allowed++;
        if ((sets > 1 && !topology->fake) ||
            !CPU_ISSET_S(cpu, HT_CPU_SET_BYTES, topology->node[owner].cpu_set))
            return ht_fail(HEARTH_ECORRUPT, "topology: CPU %d is in %d sets and belongs to node %d",
                           cpu, sets, owner);
    }
    if (allowed != topology->cpus_allowed)
        return ht_fail(HEARTH_ECORRUPT, "topology: %d CPUs in sets, %d allowed", allowed,
                       topology->cpus_allowed);
    return HEARTH_OK;
}

hearth_status ht_topology_check(const struct hearth_topology *topology)
{
    if (topology->nodes < 1 || topology->nodes > HT_MAX_NODES)
        return ht_fail(HEARTH_ECORRUPT, "topology: %d nodes", topology->nodes);
    if (topology->cpus < 1 || topology->cpus > topology->cpus_allowed)
        return ht_fail(HEARTH_ECORRUPT, "topology: %d CPUs usable of %d allowed", topology->cpus,
                       topology->cpus_allowed);
    for (int node = 0; node < topology->nodes; node++) {
        hearth_status status = ht_check_node(topology, node);

        if (status != HEARTH_OK)
            return status;
    }
    return ht_check_cpus(topology);
}
