/* topology/public.c - the topology for programs: hearth_topology_* on top of the internal one.
 *
 * Invariant: every argument is checked here; a failed call leaves its output untouched but for the
 * pointer of a failed create, which is NULL. Lock order: none. */
#define _GNU_SOURCE 1

#include <assert.h>
#include <numa.h>
#include <stdio.h>
#include <string.h>

#include "topology/error.h"
#include "topology/os.h"
#include "topology/machine.h"

hearth_status hearth_topology_create(hearth_topology **out, const hearth_options *options)
{
    struct hearth_options effective;
    hearth_status status;

    if (out == NULL)
        return ht_fail(HEARTH_EINVAL, "hearth_topology_create: out is NULL");
    *out = NULL;
    if (options != NULL) {
        effective = *options;
        status = ht_options_environment(&effective);
    } else {
        status = ht_options_defaults(&effective, true);
    }
    return status != HEARTH_OK ? status : ht_topology_create(out, &effective);
}

void hearth_topology_destroy(hearth_topology *topology)
{
    ht_topology_destroy(topology);
}

int hearth_topology_nodes(const hearth_topology *topology)
{
    return topology == NULL ? 0 : topology->nodes;
}

int hearth_topology_cpus(const hearth_topology *topology)
{
    return topology == NULL ? 0 : topology->cpus;
}

int hearth_topology_cpus_allowed(const hearth_topology *topology)
{
    return topology == NULL ? 0 : topology->cpus_allowed;
}

int hearth_topology_distance(const hearth_topology *topology, int from, int to)
{
    if (topology == NULL || from < 0 || from >= topology->nodes || to < 0 || to >= topology->nodes)
        return -1;
    return topology->distance[from][to];
}

int hearth_topology_here(const hearth_topology *topology)
{
    return topology == NULL ? 0 : ht_topology_here(topology);
}

/* "0-3,8": runs of consecutive numbers. When the next run and a following ",..." would not fit, the
 * list ends in ",...". */
static void ht_write_cpus(char *text, size_t size, const cpu_set_t *cpus)
{
    static const char more[] = ",...";
    size_t used = 0;

    text[0] = '\0';
    for (int first = 0; first < HT_MAX_CPUS; first++) {
        char run[32];
        int last = first, length;

        if (!CPU_ISSET_S(first, HT_CPU_SET_BYTES, cpus))
            continue;
        while (last + 1 < HT_MAX_CPUS && CPU_ISSET_S(last + 1, HT_CPU_SET_BYTES, cpus))
            last++;
        length = snprintf(run, sizeof(run), last > first ? "%s%d-%d" : "%s%d", used == 0 ? "" : ",",
                          first, last);
        if (used + (size_t)length + sizeof(more) > size) {
            memcpy(text + used, more, sizeof(more));
            return;
        }
        memcpy(text + used, run, (size_t)length + 1);
        used += (size_t)length;
        first = last;
    }
}

/* The system counts free pages per node, except where it has one node or does not tell. A described
 * machine has no free pages to count: all its memory is. */
static uint64_t ht_free_bytes(const struct hearth_topology *topology, const struct ht_node *node)
{
    uint64_t free_bytes = 0, pieces = 0;

    if (topology->synthetic)
        return node->memory;
    for (int i = 0; i < topology->nodes; i++)
        pieces += topology->node[i].os_node == node->os_node;
    if (!ht_os_free_memory(ht_os_numa() && numa_num_configured_nodes() > 1 ? node->os_node : -1,
                           &free_bytes))
        return 0;
    assert(pieces != 0); /* it is one of them */
    return free_bytes / pieces;
}

hearth_status hearth_topology_node(const hearth_topology *topology, int node, hearth_node_info *out)
{
    hearth_node_info info;
    const struct ht_node *source;

    if (topology == NULL || out == NULL)
        return ht_fail(HEARTH_EINVAL, "hearth_topology_node: %s is NULL",
                       topology == NULL ? "topology" : "out");
    if (out->struct_size != sizeof(info))
        return ht_fail(HEARTH_EINVAL, "hearth_topology_node: struct_size is %zu, not %zu",
                       out->struct_size, sizeof(info));
    if (node < 0 || node >= topology->nodes)
        return ht_fail(HEARTH_ENODE, "there is no node %d: nodes are 0 to %d", node,
                       topology->nodes - 1);
    source = &topology->node[node];
    memset(&info, 0, sizeof(info));
    info.struct_size = sizeof(info);
    info.node = node;
    info.os_node = source->os_node;
    info.cpus = source->cpus;
    info.cpuless = source->cpuless;
    info.fake = source->fake;
    info.memory_bytes = source->memory;
    info.free_bytes = ht_free_bytes(topology, source);
    if (!source->cpuless)
        ht_write_cpus(info.cpu_list, sizeof(info.cpu_list), source->cpu_set);
    *out = info;
    return HEARTH_OK;
}
