/* topology/machine.c - reading the machine: hwloc's objects, checked against the kernel's word.
 *
 * hwloc is asked for everything, also what the process may not use: a CPU whose own node is
 * forbidden or empty still needs to know which of the others is near. A description given by
 * HWLOC_SYNTHETIC, HWLOC_XMLFILE or HWLOC_FSROOT replaces the machine; the kernel is then not
 * asked.
 *
 * Invariant, lock order: see machine.h. Its memory is scratch of the creating thread's node. */
#define _GNU_SOURCE 1

#include <errno.h>
#include <limits.h>
#include <numa.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "topology/error.h"
#include "topology/machine.h"
#include "topology/os.h"

/* hwloc ignores a description it cannot read and shows the real machine, which would hide the
 * mistake; so it is told explicitly, and an error is an error. */
static hearth_status ht_machine_describe(struct ht_machine *machine)
{
    const char *synthetic = getenv("HWLOC_SYNTHETIC");
    const char *file = getenv("HWLOC_XMLFILE");

    if (synthetic != NULL && (ht_fault_hit(HT_FAULT_HWLOC, EINVAL) ||
                              hwloc_topology_set_synthetic(machine->hwloc, synthetic) != 0))
        return ht_fail(HEARTH_ESYSTEM, "HWLOC_SYNTHETIC=\"%.128s\" describes no topology",
                       synthetic);
    if (file != NULL &&
        (ht_fault_hit(HT_FAULT_HWLOC, EACCES) || hwloc_topology_set_xml(machine->hwloc, file) != 0))
        return ht_fail(HEARTH_ESYSTEM, "HWLOC_XMLFILE=\"%.128s\" is no readable topology: %s", file,
                       strerror(errno));
    return HEARTH_OK;
}

static hearth_status ht_machine_load(struct ht_machine *machine)
{
    const unsigned long flags =
        HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED | HWLOC_TOPOLOGY_FLAG_DONT_CHANGE_BINDING;
    hearth_status status;

    if (ht_fault_hit(HT_FAULT_HWLOC, ENOMEM) || hwloc_topology_init(&machine->hwloc) != 0) {
        machine->hwloc = NULL;
        return ht_fail(HEARTH_ESYSTEM, "hwloc_topology_init: %s", strerror(errno));
    }
    status = ht_machine_describe(machine);
    if (status != HEARTH_OK)
        return status;
    if (ht_fault_hit(HT_FAULT_HWLOC, EINVAL) ||
        hwloc_topology_set_flags(machine->hwloc, flags) != 0)
        return ht_fail(HEARTH_ESYSTEM, "hwloc_topology_set_flags: %s", strerror(errno));
    if (ht_fault_hit(HT_FAULT_HWLOC, ENOMEM) || hwloc_topology_load(machine->hwloc) != 0)
        return ht_fail(HEARTH_ESYSTEM, "hwloc_topology_load: %s", strerror(errno));
    machine->own = hwloc_topology_is_thissystem(machine->hwloc) == 1;
    return HEARTH_OK;
}

static int ht_compare_os_nodes(const void *a, const void *b)
{
    int left = ((const struct ht_machine_node *)a)->os_node;
    int right = ((const struct ht_machine_node *)b)->os_node;

    return (left > right) - (left < right);
}

/* hwloc's logical order may differ from the system's; ours follows the system's numbers. A node
 * that is alone on this machine has all its memory, also what the node's own count leaves out. */
static hearth_status ht_machine_nodes(struct ht_machine *machine)
{
    int count = hwloc_get_nbobjs_by_type(machine->hwloc, HWLOC_OBJ_NUMANODE);
    hwloc_obj_t object = NULL;
    uint64_t installed = (uint64_t)sysconf(_SC_PHYS_PAGES) * ht_os_page_size();

    if (count < 1 || count > INT16_MAX)
        return ht_fail(HEARTH_ESYSTEM, "hwloc reports %d memory nodes", count);
    machine->node = ht_os_alloc((size_t)count * sizeof(machine->node[0]));
    if (machine->node == NULL)
        return ht_fail(HEARTH_ENOMEM, "no memory for a table of %d nodes", count);
    while (machine->count < count &&
           (object = hwloc_get_next_obj_by_type(machine->hwloc, HWLOC_OBJ_NUMANODE, object))) {
        struct ht_machine_node *node = &machine->node[machine->count++];

        node->object = object;
        node->os_node = (int)object->os_index;
        node->memory = object->attr->numanode.local_memory;
        node->logical = -1;
    }
    qsort(machine->node, (size_t)machine->count, sizeof(machine->node[0]), ht_compare_os_nodes);
    if (machine->own && machine->count == 1 && machine->node[0].memory < installed)
        machine->node[0].memory = installed;
    return HEARTH_OK;
}

/* hwloc knows cpusets and cgroups; the kernel also knows the task's memory policy. */
static void ht_machine_restrict(struct ht_machine *machine)
{
    hwloc_const_nodeset_t allowed = hwloc_topology_get_allowed_nodeset(machine->hwloc);
    struct ht_node_mask mask;

    if (!machine->own || !ht_bind_nodes(&mask))
        memset(&mask, 0xff, sizeof(mask));
    if (machine->own) {
        machine->user_policy = ht_bind_policy(&mask);
        machine->user_spreads = machine->user_policy && ht_bind_policy_spreads();
    }
    for (int i = 0; i < machine->count; i++) {
        struct ht_machine_node *node = &machine->node[i];

        node->allowed = ht_mask_has(&mask, node->os_node) &&
                        hwloc_bitmap_isset(allowed, (unsigned)node->os_node);
    }
}

static hearth_status ht_machine_cpus(struct ht_machine *machine)
{
    hwloc_const_cpuset_t allowed = hwloc_topology_get_allowed_cpuset(machine->hwloc);

    machine->allowed = ht_os_alloc(HT_CPU_SET_BYTES);
    if (machine->allowed == NULL)
        return ht_fail(HEARTH_ENOMEM, "no memory for a set of %d CPUs", HT_MAX_CPUS);
    if (machine->own && ht_bind_cpus(machine->allowed))
        return HEARTH_OK;
    for (int cpu = 0; cpu < HT_MAX_CPUS; cpu++) {
        if (hwloc_bitmap_isset(allowed, (unsigned)cpu))
            CPU_SET_S(cpu, HT_CPU_SET_BYTES, machine->allowed);
    }
    if (CPU_COUNT_S(HT_CPU_SET_BYTES, machine->allowed) == 0)
        return ht_fail(HEARTH_ESYSTEM, "hwloc reports no CPU below number %d", HT_MAX_CPUS);
    return HEARTH_OK;
}

/* hwloc also counts a CPU to memory that is only near it (CXL by its initiators, HBM beside DRAM),
 * so two nodes may claim it. The kernel says whose it is; else the smaller locality, then the lower
 * number. */
static bool ht_machine_claims(const struct ht_machine *machine, int cpu, int newcomer, int holder)
{
    const struct ht_machine_node *node = machine->node;
    int kernel = machine->own && ht_os_numa() ? numa_node_of_cpu(cpu) : -1;

    if (kernel == node[newcomer].os_node || kernel == node[holder].os_node)
        return kernel == node[newcomer].os_node;
    return hwloc_bitmap_weight(node[newcomer].object->cpuset) <
           hwloc_bitmap_weight(node[holder].object->cpuset);
}

static hearth_status ht_machine_homes(struct ht_machine *machine)
{
    machine->home = ht_os_alloc(HT_MAX_CPUS * sizeof(machine->home[0]));
    if (machine->home == NULL)
        return ht_fail(HEARTH_ENOMEM, "no memory for a table of %d CPUs", HT_MAX_CPUS);
    for (int cpu = 0; cpu < HT_MAX_CPUS; cpu++)
        machine->home[cpu] = -1;
    for (int i = 0; i < machine->count; i++) {
        hwloc_const_cpuset_t cpus = machine->node[i].object->cpuset;

        for (int cpu = hwloc_bitmap_first(cpus); cpu >= 0 && cpu < HT_MAX_CPUS;
             cpu = hwloc_bitmap_next(cpus, cpu)) {
            int holder = machine->home[cpu];

            if (holder < 0 || ht_machine_claims(machine, cpu, i, holder))
                machine->home[cpu] = (int16_t)i;
        }
    }
    return HEARTH_OK;
}

hearth_status ht_machine_open(struct ht_machine *machine)
{
    hearth_status status;

    memset(machine, 0, sizeof(*machine));
    status = ht_machine_load(machine);
    if (status == HEARTH_OK)
        status = ht_machine_nodes(machine);
    if (status == HEARTH_OK)
        status = ht_machine_cpus(machine);
    if (status == HEARTH_OK)
        status = ht_machine_homes(machine);
    if (status == HEARTH_OK)
        status = ht_distance_measure(machine);
    if (status == HEARTH_OK)
        ht_machine_restrict(machine);
    return status;
}

void ht_machine_close(struct ht_machine *machine)
{
    if (machine->hwloc != NULL)
        hwloc_topology_destroy(machine->hwloc);
    ht_os_free(machine->node);
    ht_os_free(machine->distance);
    ht_os_free(machine->home);
    ht_os_free(machine->allowed);
    memset(machine, 0, sizeof(*machine));
}

/* An L2 that several cores share is divided among them. */
size_t ht_machine_l2(const struct ht_machine *machine)
{
    hwloc_obj_t object = NULL;
    long bytes = 0;
    int cores;

    for (int cpu = 0; cpu < HT_MAX_CPUS && object == NULL; cpu++) {
        if (CPU_ISSET_S(cpu, HT_CPU_SET_BYTES, machine->allowed))
            object = hwloc_get_pu_obj_by_os_index(machine->hwloc, (unsigned)cpu);
    }
    while (object != NULL && object->type != HWLOC_OBJ_L2CACHE)
        object = object->parent;
    if (object != NULL && object->attr->cache.size > 0) {
        cores =
            hwloc_get_nbobjs_inside_cpuset_by_type(machine->hwloc, object->cpuset, HWLOC_OBJ_CORE);
        return (size_t)object->attr->cache.size / (size_t)(cores > 1 ? cores : 1);
    }
    if (machine->own)
        bytes = sysconf(_SC_LEVEL2_CACHE_SIZE);
    return bytes > 0 ? (size_t)bytes : 0;
}

/* libnuma names the node of every CPU, also where hwloc has left the node out. */
static int ht_nearest_by_kernel(const struct ht_machine *machine, int cpu)
{
    int from = ht_os_numa() ? numa_node_of_cpu(cpu) : -1;
    int nearest = -1, smallest = INT_MAX;

    if (from < 0)
        return -1;
    for (int i = 0; i < machine->count; i++) {
        int distance;

        if (machine->node[i].logical < 0)
            continue;
        distance = numa_distance(from, machine->node[i].os_node);
        if (distance > 0 && distance < smallest) {
            smallest = distance;
            nearest = machine->node[i].logical;
        }
    }
    return nearest;
}

/* The first usable node below the smallest object round the CPU that has one. */
static int ht_nearest_by_tree(const struct ht_machine *machine, int cpu)
{
    hwloc_obj_t object = hwloc_get_pu_obj_by_os_index(machine->hwloc, (unsigned)cpu);

    for (; object != NULL; object = object->parent) {
        for (int i = 0; i < machine->count; i++) {
            const struct ht_machine_node *node = &machine->node[i];

            if (node->logical >= 0 && hwloc_bitmap_isset(object->nodeset, (unsigned)node->os_node))
                return node->logical;
        }
    }
    return -1;
}

int ht_machine_nearest(const struct ht_machine *machine, int cpu)
{
    int node = machine->own ? ht_nearest_by_kernel(machine, cpu) : -1;

    if (node < 0)
        node = ht_nearest_by_tree(machine, cpu);
    return node < 0 ? 0 : node;
}
