/* topology/machine.h - the machine as hwloc and the kernel describe it, before hearth chooses its
 * nodes. Internal to topology/; it lives only while a topology is being created.
 *
 * Invariant: 1 <= count; nodes ascend by system number; home[cpu] is an index into node or -1;
 * distance is count x count, 10 on the diagonal and at least 10 elsewhere.
 * Lock order: none; it belongs to the creating thread. */
#ifndef HEARTH_TOPOLOGY_MACHINE_H
#define HEARTH_TOPOLOGY_MACHINE_H

#include <hwloc.h>

#include "topology/topology.h"

/* System node numbers end where the kernel's do (NODES_SHIFT 10). */
enum { HT_OS_NODES = 1024, HT_WORD_BITS = 8 * sizeof(unsigned long) };

/* A set of system node numbers, as the memory policy calls take it. */
struct ht_node_mask {
    unsigned long word[HT_OS_NODES / HT_WORD_BITS];
};

struct ht_machine_node {
    hwloc_obj_t object; /* hwloc's                                             */
    uint64_t memory;    /* bytes; 0: none or unknown                           */
    int os_node;        /* the system's number                                 */
    int logical;        /* hearth's number, -1 when hearth does not use it     */
    bool allowed;       /* by cpuset, cgroup and numactl --membind             */
};

struct ht_machine {
    hwloc_topology_t hwloc; /* loaded                                                         */
    bool own;               /* it is the machine we run on: the kernel's word counts as well  */
    bool user_policy;       /* a memory policy other than local is in force                   */
    bool user_spreads;      /* and it is not one that binds: pages lie where it says          */
    int count;              /* nodes, also those hearth will not use                          */
    struct ht_machine_node
        *node;          /* [count]                                                        */
    uint16_t *distance; /* [count * count], from row to column                            */
    int16_t *home;      /* [HT_MAX_CPUS] the node each CPU belongs to, -1 for none        */
    cpu_set_t *allowed; /* CPUs the process may run on                                    */
};

/* machine.c. Close is allowed after a failed open. */
hearth_status ht_machine_open(struct ht_machine *machine);
void ht_machine_close(struct ht_machine *machine);
/* L2 bytes of one core, 0 if unknown. */
size_t ht_machine_l2(const struct ht_machine *machine);
/* Logical node nearest to a CPU that belongs to no node of the machine. */
int ht_machine_nearest(const struct ht_machine *machine, int cpu);

/* discover.c: CPUs that a quota (0: none) leaves of those allowed. */
int ht_cpus_within(int allowed, int quota);

/* distance.c */
hearth_status ht_distance_measure(struct ht_machine *machine);
/* Fill every node's order[] from the topology's distances. */
void ht_distance_order(struct hearth_topology *topology);

/* fake.c: divide the nodes so that there are `wanted`. */
hearth_status ht_fake_split(struct hearth_topology *topology, int64_t wanted);

/* bind.c: what the kernel allows this process. False where it does not say. */
bool ht_bind_cpus(cpu_set_t *cpus);
bool ht_bind_nodes(struct ht_node_mask *mask);
/* The memory policy in force: true if it is one of the user's; `mask` is cut to the nodes of a
 * BIND. */
bool ht_bind_policy(struct ht_node_mask *mask);
/* Is that policy one that decides for whole processes where pages lie, whoever touches them (interleaving,
 * preferred)? Then memory has no node to speak of. */
bool ht_bind_policy_spreads(void);

static inline bool ht_mask_has(const struct ht_node_mask *mask, int os_node)
{
    return os_node >= 0 && os_node < HT_OS_NODES &&
           (mask->word[os_node / HT_WORD_BITS] >> (os_node % HT_WORD_BITS) & 1);
}

#endif
