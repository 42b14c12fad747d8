/* hearth/topology.h - the machine as hearth sees it: only nodes that are allowed and have memory,
 * with logical numbers 0..n-1. For tools and for embedders that place their own threads. */
#ifndef HEARTH_TOPOLOGY_H
#define HEARTH_TOPOLOGY_H

#include "options.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct hearth_topology hearth_topology;

typedef struct hearth_node_info {
    size_t struct_size;    /* in: sizeof(hearth_node_info)                                     */
    int node;              /* logical number                                                   */
    int os_node;           /* the system's number (fake nodes share one)                       */
    int cpus;              /* allowed CPUs whose nearest node this is                          */
    bool cpuless;          /* has memory but no CPU of its own (for example CXL)               */
    bool fake;             /* made by fake-nodes=N                                             */
    uint64_t memory_bytes; /* installed (a fake node: its share)                               */
    uint64_t free_bytes;   /* now (a described machine: all; a fake node: its share)           */
    char cpu_list[128];    /* "0-3,8" in system numbers; ends in ",..." if it does not fit     */
} hearth_node_info;

/* Discover as a heap with these options would (NULL: defaults and HEARTH_OPTIONS). The caller
 * destroys it. HWLOC_SYNTHETIC and HWLOC_XMLFILE are honoured. Errors: EINVAL, EOPTION, ENOMEM,
 * ESYSTEM. */
HEARTH_API HEARTH_NODISCARD hearth_status hearth_topology_create(hearth_topology **out,
                                                                 const hearth_options *options);
HEARTH_API void hearth_topology_destroy(hearth_topology *topology);

HEARTH_API int hearth_topology_nodes(const hearth_topology *topology);
/* CPUs this process may use, after affinity and the cgroup's quota (rounded up). */
HEARTH_API int hearth_topology_cpus(const hearth_topology *topology);
/* CPUs it may run on by affinity and cpuset alone; the quota buys fewer where this is more. */
HEARTH_API int hearth_topology_cpus_allowed(const hearth_topology *topology);
/* SLIT-style distance (10 = local, fake nodes of one node 20). -1 for an unknown node. */
HEARTH_API int hearth_topology_distance(const hearth_topology *topology, int from, int to);
HEARTH_API hearth_status hearth_topology_node(const hearth_topology *topology, int node,
                                              hearth_node_info *out);
/* The logical node the calling thread runs on now. Fake nodes may share a CPU: the lowest of
 * them. */
HEARTH_API int hearth_topology_here(const hearth_topology *topology);
/* Bind the calling thread to the CPUs of a node (nearest CPUs if it has none), never to CPUs the
 * process may not use. Does nothing when HWLOC_* describes another machine. EINVAL, ENODE,
 * ESYSTEM. */
HEARTH_API hearth_status hearth_topology_bind_thread(const hearth_topology *topology, int node);
/* A heap's own topology; belongs to the heap. */
struct hearth_heap;
HEARTH_API const hearth_topology *hearth_heap_topology(const struct hearth_heap *heap);

#ifdef __cplusplus
}
#endif
#endif
