/* topology/bind.c - where the process may run and allocate, and binding threads within that.
 *
 * What the user asked for with taskset, cpusets or numactl is obeyed, never widened: a thread is
 * only ever bound to CPUs of a node's set, and those sets are subsets of the CPUs found here.
 *
 * Invariant: nothing here changes the process; only hearth_topology_bind_thread changes the calling
 * thread, and only its CPUs. Lock order: none. Data belongs to the caller. */
#define _GNU_SOURCE 1

#include <errno.h>
#include <numaif.h>
#include <string.h>
#include <unistd.h>

#include "topology/error.h"
#include "topology/machine.h"
#include "topology/os.h"

/* A program may have bound the calling thread, or the first one, for reasons of its own (a thread
 * pool, OpenMP); what the user set for the process shows in both, so their union counts. */
bool ht_bind_cpus(cpu_set_t *cpus)
{
    cpu_set_t *first = ht_os_alloc(HT_CPU_SET_BYTES);
    bool known = ht_os_get_affinity(0, cpus, HT_CPU_SET_BYTES);

    if (first != NULL && known && ht_os_get_affinity(getpid(), first, HT_CPU_SET_BYTES))
        CPU_OR_S(HT_CPU_SET_BYTES, cpus, cpus, first);
    ht_os_free(first);
    return known && CPU_COUNT_S(HT_CPU_SET_BYTES, cpus) > 0;
}

/* The kernel reads and writes one bit less than it is told. Fails without NUMA in the kernel, and
 * in containers whose filter refuses the call. */
bool ht_bind_nodes(struct ht_node_mask *mask)
{
    memset(mask, 0, sizeof(*mask));
    return ht_os_policy(NULL, mask->word, HT_OS_NODES + 1);
}

static bool ht_mask_empty(const struct ht_node_mask *mask)
{
    static const struct ht_node_mask none;

    return memcmp(mask, &none, sizeof(none)) == 0;
}

/* The calling thread's policy; the high bits of the mode are flags. */
static bool ht_get_policy(int *mode, struct ht_node_mask *nodes)
{
    const int flags = 1 << 13 | 1 << 14 | 1 << 15;

    memset(nodes, 0, sizeof(*nodes));
    if (!ht_os_policy(mode, nodes->word, HT_OS_NODES + 1))
        return false;
    *mode &= ~flags;
    return true;
}

bool ht_bind_policy_spreads(void)
{
    struct ht_node_mask nodes;
    int mode;

    return ht_get_policy(&mode, &nodes) && mode != MPOL_BIND;
}

/* A preference for no node is the local policy. */
bool ht_bind_policy(struct ht_node_mask *mask)
{
    struct ht_node_mask nodes;
    int mode;

    if (!ht_get_policy(&mode, &nodes))
        return false;
    if (mode == MPOL_DEFAULT || mode == MPOL_LOCAL || ht_mask_empty(&nodes))
        return false;
    if (mode == MPOL_BIND) {
        for (size_t i = 0; i < HT_OS_NODES / HT_WORD_BITS; i++)
            mask->word[i] &= nodes.word[i];
    }
    return true;
}

hearth_status hearth_topology_bind_thread(const hearth_topology *topology, int node)
{
    if (topology == NULL)
        return ht_fail(HEARTH_EINVAL, "hearth_topology_bind_thread: topology is NULL");
    if (node < 0 || node >= topology->nodes)
        return ht_fail(HEARTH_ENODE, "there is no node %d: nodes are 0 to %d", node,
                       topology->nodes - 1);
    if (topology->synthetic)
        return HEARTH_OK;
    if (!ht_os_affinity(topology->node[node].cpu_set, HT_CPU_SET_BYTES))
        return ht_fail(HEARTH_ESYSTEM, "binding the thread to the CPUs of node %d: %s", node,
                       strerror(errno));
    return HEARTH_OK;
}
