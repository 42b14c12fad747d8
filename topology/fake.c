/* topology/fake.c - pretended nodes, so that everything done per node runs on any machine.
 *
 * The CPUs of a node are cut into as many consecutive pieces as it gets fake nodes. With fewer CPUs
 * than pieces several fake nodes share a CPU: each has a usable set, but a CPU still belongs to one
 * node only, the lowest of those that share it. Memory is divided evenly; the system's node stays
 * the real one, so that binding and residency work on the real pages.
 *
 * Invariant: the pieces of a real node have consecutive numbers and 10 <= distance among them; real
 * nodes keep their distances. Lock order: none, the topology is not yet published. */
#define _GNU_SOURCE 1

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "topology/error.h"
#include "topology/machine.h"
#include "topology/os.h"

enum { HT_FAKE_DISTANCE = 20 };

/* Pieces of one node are 20 apart, but always nearer than the nearest other real node. */
static uint16_t ht_fake_distance(const struct hearth_topology *topology)
{
    uint16_t distance = HT_FAKE_DISTANCE;

    for (int i = 0; i < topology->nodes; i++) {
        for (int j = 0; j < topology->nodes; j++) {
            if (i != j && topology->distance[i][j] <= distance)
                distance = topology->distance[i][j] - 1;
        }
    }
    return distance < 11 ? 11 : distance;
}

/* Piece `part` of `parts`: CPUs number [part * n / parts, (part + 1) * n / parts) of the n in the
 * set, at least one. */
static void ht_fake_cpus(struct ht_node *node, const cpu_set_t *all, int part, int parts)
{
    int total = CPU_COUNT_S(HT_CPU_SET_BYTES, all);
    int first = part * total / parts, last = (part + 1) * total / parts;
    int number = 0;

    if (last == first)
        last = first + 1;
    CPU_ZERO_S(HT_CPU_SET_BYTES, node->cpu_set);
    for (int cpu = 0; cpu < HT_MAX_CPUS; cpu++) {
        if (!CPU_ISSET_S(cpu, HT_CPU_SET_BYTES, all))
            continue;
        if (number >= first && number < last)
            CPU_SET_S(cpu, HT_CPU_SET_BYTES, node->cpu_set);
        number++;
    }
    if (!node->cpuless)
        node->cpus = last - first;
}

/* The first piece that has the CPU; for CPUs the process may not use, the first piece. */
static uint8_t ht_fake_owner(const struct hearth_topology *topology, int first, int parts, int cpu)
{
    for (int node = first; node < first + parts; node++) {
        if (!topology->node[node].cpuless &&
            CPU_ISSET_S(cpu, HT_CPU_SET_BYTES, topology->node[node].cpu_set))
            return (uint8_t)node;
    }
    return (uint8_t)first;
}

static void ht_fake_distances(struct hearth_topology *topology, const struct hearth_topology *real,
                              int parts)
{
    uint16_t between = ht_fake_distance(real);

    for (int i = 0; i < topology->nodes; i++) {
        for (int j = 0; j < topology->nodes; j++) {
            topology->distance[i][j] = i == j ? 10
                                       : i / parts == j / parts
                                           ? between
                                           : real->distance[i / parts][j / parts];
        }
    }
}

/* The new nodes' CPU sets. On failure none is left. */
static bool ht_fake_sets(struct ht_node *nodes, int count)
{
    for (int i = 0; i < count; i++) {
        nodes[i].cpu_set = ht_os_alloc(HT_CPU_SET_BYTES);
        if (nodes[i].cpu_set == NULL) {
            while (i-- > 0)
                ht_os_free(nodes[i].cpu_set);
            return false;
        }
    }
    return true;
}

static hearth_status ht_fake_apply(struct hearth_topology *topology,
                                   const struct hearth_topology *real, int wanted)
{
    int parts = wanted / real->nodes;

    if (!ht_fake_sets(topology->node, wanted)) {
        memcpy(topology, real, sizeof(*topology));
        return ht_fail(HEARTH_ENOMEM, "no memory for the CPU sets of %d fake nodes", wanted);
    }
    topology->nodes = wanted;
    topology->fake = true;
    for (int i = 0; i < wanted; i++) {
        const struct ht_node *whole = &real->node[i / parts];
        cpu_set_t *cpus = topology->node[i].cpu_set;

        topology->node[i] = *whole;
        topology->node[i].cpu_set = cpus;
        topology->node[i].fake = true;
        topology->node[i].memory = whole->memory / (uint64_t)parts;
        ht_fake_cpus(&topology->node[i], whole->cpu_set, i % parts, parts);
    }
    for (int cpu = 0; cpu < HT_MAX_CPUS; cpu++)
        topology->node_of_cpu[cpu] =
            ht_fake_owner(topology, real->node_of_cpu[cpu] * parts, parts, cpu);
    ht_fake_distances(topology, real, parts);
    for (int i = 0; i < real->nodes; i++)
        ht_os_free(real->node[i].cpu_set);
    return HEARTH_OK;
}

hearth_status ht_fake_split(struct hearth_topology *topology, int64_t wanted)
{
    struct hearth_topology *real;
    hearth_status status;

    if (wanted == 0 || wanted == topology->nodes)
        return HEARTH_OK;
    if (wanted < 0 || wanted > HT_MAX_NODES || wanted % topology->nodes != 0)
        return ht_fail(HEARTH_EOPTION,
                       "option fake-nodes: %" PRId64 " is no multiple of the machine's %d nodes up "
                       "to %d",
                       wanted, topology->nodes, HT_MAX_NODES);
    real = ht_os_alloc(sizeof(*real));
    if (real == NULL)
        return ht_fail(HEARTH_ENOMEM, "no memory for %" PRId64 " fake nodes", wanted);
    memcpy(real, topology, sizeof(*real));
    status = ht_fake_apply(topology, real, (int)wanted);
    ht_os_free(real);
    return status;
}
