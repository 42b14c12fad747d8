/* topology/merge.c - taking all nodes for one, for the modes that know no nodes (off, interleave).
 *
 * The one node has every CPU and all memory; the system's node numbers are kept in spread_node, so
 * that memory can be interleaved over them. Invariant: as topology.h; the result passes the check.
 * Lock order: none, the topology is not yet published. */
#define _GNU_SOURCE 1

#include <stdlib.h>
#include <string.h>

#include "topology/topology.h"

static void ht_merge_add_spread(struct hearth_topology *topology, int os_node)
{
    for (int i = 0; i < topology->spread; i++)
        if (topology->spread_node[i] == os_node)
            return;
    topology->spread_node[topology->spread++] = os_node;
}

void ht_topology_merge(struct hearth_topology *topology)
{
    struct ht_node *all = &topology->node[0];

    topology->spread = 0;
    for (int i = 0; i < topology->nodes; i++) {
        struct ht_node *node = &topology->node[i];

        ht_merge_add_spread(topology, node->os_node);
        if (i == 0)
            continue;
        CPU_OR_S(HT_CPU_SET_BYTES, all->cpu_set, all->cpu_set, node->cpu_set);
        all->memory += node->memory;
        CPU_FREE(node->cpu_set);
        memset(node, 0, sizeof(*node));
    }
    all->cpus = CPU_COUNT_S(HT_CPU_SET_BYTES, all->cpu_set);
    all->cpuless = false;
    all->fake = false;
    memset(all->order, 0, sizeof(all->order));
    topology->nodes = 1;
    topology->fake = false;
    topology->distance[0][0] = 10;
    memset(topology->node_of_cpu, 0, sizeof(topology->node_of_cpu));
}
