/* topology/topology.h - nodes, CPUs and distances, as the layers above use them.
 *
 * Invariant: 1 <= nodes <= HT_MAX_NODES; every node has memory and is allowed; every allowed CPU
 * has exactly one nearest node. Immutable after discovery: no locks, any thread may read. */
#ifndef HEARTH_TOPOLOGY_TOPOLOGY_H
#define HEARTH_TOPOLOGY_TOPOLOGY_H

#include <sched.h>

#include "hearth/topology.h"
#include "topology/options.h"

enum { HT_MAX_NODES = 64, HT_MAX_CPUS = 4096 };

/* Bytes of every CPU set here, for the CPU_*_S macros and ht_os_thread (needs _GNU_SOURCE). */
#define HT_CPU_SET_BYTES CPU_ALLOC_SIZE(HT_MAX_CPUS)

struct ht_node {
    int os_node;                 /* the system's number                                        */
    int cpus;                    /* allowed CPUs nearest to it; fake nodes may share one       */
    bool cpuless;                /* none of its own                                            */
    bool fake;                   /* made by fake-nodes                                         */
    uint64_t memory;             /* bytes installed (of the real node, divided for fake ones)  */
    cpu_set_t *cpu_set;          /* those CPUs (HT_CPU_SET_BYTES); for a node without any: the CPUs
                                    of the nearest node that has some                          */
    uint8_t order[HT_MAX_NODES]; /* all nodes by distance from this one, itself first          */
};

struct hearth_topology {
    int nodes;                     /* logical nodes                                              */
    int cpus;                      /* CPUs usable: affinity cut by the cgroup quota, at least 1  */
    int cpus_allowed;              /* by affinity alone                                          */
    size_t l2_bytes;               /* of one core, 0 if unknown                                  */
    bool fake;                     /* fake nodes                                                 */
    bool synthetic;                /* hwloc was told a topology: never bind anything             */
    bool user_policy;              /* numactl --interleave/--membind/--preferred is in force     */
    bool user_spreads;             /* it is not --membind: heaps take all nodes for one          */
    int spread;                    /* after ht_topology_merge: entries of spread_node, else 0    */
    int spread_node[HT_MAX_NODES]; /* the system's nodes that were merged into one               */
    struct ht_node node[HT_MAX_NODES];
    uint16_t distance[HT_MAX_NODES][HT_MAX_NODES]; /* SLIT style, 10 = local                      */
    uint8_t node_of_cpu[HT_MAX_CPUS];              /* nearest logical node; of fake nodes that share
                                                      a CPU, the lowest                           */
};

/* `options` decide alone: the environment is not read, except HWLOC_*. Errors: EOPTION
 * (fake-nodes), ENOMEM, ESYSTEM. */
hearth_status ht_topology_create(struct hearth_topology **out,
                                 const struct hearth_options *options);
void ht_topology_destroy(struct hearth_topology *topology);
/* Make one node of all, before the topology is shared. */
void ht_topology_merge(struct hearth_topology *topology);
/* Logical node of the CPU the thread runs on (sched_getcpu); 0 if unknown. It may have moved when
 * this returns. */
int ht_topology_here(const struct hearth_topology *topology);
/* Invariants; ECORRUPT names the first broken. */
hearth_status ht_topology_check(const struct hearth_topology *topology);
/* Where the control groups are mounted, and the file that tells the process's; tests have recorded ones. Read when
 * topologies and heaps are made. */
struct ht_groups {
    const char *root, *self;
};
extern struct ht_groups ht_groups;
/* CPUs a cgroup v1/v2 quota allows (rounded up), or 0 for no limit; `root` and `self` as in ht_groups. */
int ht_quota_cpus(const char *root, const char *self);
/* Memory limit in bytes, 0 for none; same arguments. */
uint64_t ht_quota_memory(const char *root, const char *self);
/* Bytes above which the kernel slows the group down or reclaims from it first: version 2's memory.high,
 * version 1's memory.soft_limit_in_bytes; 0 for none. */
uint64_t ht_quota_memory_high(const char *root, const char *self);

#endif
