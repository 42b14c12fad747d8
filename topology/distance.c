/* topology/distance.c - how far nodes are from each other, and each node's order of preference.
 *
 * Distances are in the style of ACPI's SLIT: 10 is local, 20 twice as slow. Measured latencies
 * (hwloc memory attributes, from ACPI's HMAT or the user) are scaled to it by the latency from the
 * same CPUs to their own memory. They are often known for a few pairs only; the others come from
 * the distance matrix, and where there is none, every other node is at 20.
 *
 * Invariant: 10 on the diagonal, 10 to 65535 elsewhere; not necessarily symmetric. order[] of a
 * node is a permutation, itself first, then by distance, ties by number.
 * Lock order: none. Everything belongs to the caller. */
#define _GNU_SOURCE 1

#include <string.h>

#include "topology/error.h"
#include "topology/machine.h"
#include "topology/os.h"

enum { HT_LOCAL = 10, HT_REMOTE = 20 };

/* What is known of the distances while they are being put together. 0: unknown. */
struct ht_distances {
    uint16_t *latency; /* [count * count] scaled memory attributes */
    uint16_t *matrix;  /* [count * count] scaled distance matrix   */
};

/* 10 * value / local, rounded; 0 if that cannot be. */
static uint16_t ht_scale(hwloc_uint64_t value, hwloc_uint64_t local)
{
    hwloc_uint64_t scaled;

    if (local == 0 || value == 0 || value > UINT32_MAX || local > UINT32_MAX)
        return 0;
    scaled = (value * HT_LOCAL + local / 2) / local;
    return scaled < HT_LOCAL ? HT_LOCAL : scaled > UINT16_MAX ? UINT16_MAX : (uint16_t)scaled;
}

/* Any CPU of the node: the latency from it is the node's. */
static int ht_cpu_of(const struct ht_machine *machine, int node)
{
    for (int cpu = 0; cpu < HT_MAX_CPUS; cpu++) {
        if (machine->home[cpu] == node)
            return cpu;
    }
    return -1;
}

static void ht_read_latencies(const struct ht_machine *machine, uint16_t *latency)
{
    struct hwloc_location from = {.type = HWLOC_LOCATION_TYPE_CPUSET};
    hwloc_uint64_t value, local;
    int count = machine->count;

    if (!ht_fault_hit(HT_FAULT_ASK, ENOMEM))
        from.location.cpuset = hwloc_bitmap_alloc();
    if (from.location.cpuset == NULL)
        return;
    for (int i = 0; i < count; i++) {
        int cpu = ht_cpu_of(machine, i);

        if (cpu < 0 || ht_fault_hit(HT_FAULT_ASK, ENOMEM) ||
            hwloc_bitmap_only(from.location.cpuset, (unsigned)cpu) != 0 ||
            hwloc_memattr_get_value(machine->hwloc, HWLOC_MEMATTR_ID_LATENCY,
                                    machine->node[i].object, &from, 0, &local) != 0)
            continue;
        for (int j = 0; j < count; j++) {
            if (hwloc_memattr_get_value(machine->hwloc, HWLOC_MEMATTR_ID_LATENCY,
                                        machine->node[j].object, &from, 0, &value) == 0)
                latency[i * count + j] = ht_scale(value, local);
        }
    }
    hwloc_bitmap_free(from.location.cpuset);
}

static int ht_index_of(const struct ht_machine *machine, hwloc_obj_t object)
{
    for (int i = 0; i < machine->count; i++) {
        if (machine->node[i].object == object)
            return i;
    }
    return -1;
}

static void ht_read_matrix(const struct ht_machine *machine, uint16_t *matrix)
{
    struct hwloc_distances_s *found;
    unsigned number = 1;

    if (ht_fault_hit(HT_FAULT_ASK, ENOMEM) ||
        hwloc_distances_get_by_type(machine->hwloc, HWLOC_OBJ_NUMANODE, &number, &found,
                                    HWLOC_DISTANCES_KIND_MEANS_LATENCY, 0) != 0 ||
        number == 0)
        return;
    for (unsigned i = 0; i < found->nbobjs; i++) {
        int row = ht_index_of(machine, found->objs[i]);
        hwloc_uint64_t local = found->values[i * found->nbobjs + i];

        for (unsigned j = 0; j < found->nbobjs; j++) {
            int column = ht_index_of(machine, found->objs[j]);

            if (row >= 0 && column >= 0)
                matrix[row * machine->count + column] =
                    ht_scale(found->values[i * found->nbobjs + j], local);
        }
    }
    hwloc_distances_release(machine->hwloc, found);
}

/* A node without CPUs has no latency of its own to others; the way back stands for it when the
 * matrix is silent. */
static uint16_t ht_choose(const struct ht_distances *known, int count, int from, int to)
{
    uint16_t candidates[] = {known->latency[from * count + to], known->matrix[from * count + to],
                             known->latency[to * count + from], known->matrix[to * count + from]};

    if (from == to)
        return HT_LOCAL;
    for (size_t i = 0; i < sizeof(candidates) / sizeof(candidates[0]); i++) {
        if (candidates[i] != 0)
            return candidates[i];
    }
    return HT_REMOTE;
}

hearth_status ht_distance_measure(struct ht_machine *machine)
{
    size_t cells = (size_t)machine->count * (size_t)machine->count;
    struct ht_distances known = {NULL, NULL};
    hearth_status status = HEARTH_OK;

    machine->distance = ht_os_alloc(cells * sizeof(uint16_t));
    known.latency = ht_os_alloc(cells * sizeof(uint16_t));
    known.matrix = ht_os_alloc(cells * sizeof(uint16_t));
    if (machine->distance == NULL || known.latency == NULL || known.matrix == NULL) {
        status = ht_fail(HEARTH_ENOMEM, "no memory for the distances of %d nodes", machine->count);
    } else {
        ht_read_latencies(machine, known.latency);
        ht_read_matrix(machine, known.matrix);
        for (int i = 0; i < machine->count; i++) {
            for (int j = 0; j < machine->count; j++)
                machine->distance[i * machine->count + j] = ht_choose(&known, machine->count, i, j);
        }
    }
    ht_os_free(known.latency);
    ht_os_free(known.matrix);
    return status;
}

/* Insertion sort: stable, so that ties stay in order of number, and the tables are short. */
void ht_distance_order(struct hearth_topology *topology)
{
    for (int from = 0; from < topology->nodes; from++) {
        uint8_t *order = topology->node[from].order;
        const uint16_t *distance = topology->distance[from];
        int used = 1;

        order[0] = (uint8_t)from;
        for (int to = 0; to < topology->nodes; to++) {
            int at = used;

            if (to == from)
                continue;
            for (; at > 1 && distance[order[at - 1]] > distance[to]; at--)
                order[at] = order[at - 1];
            order[at] = (uint8_t)to;
            used++;
        }
    }
}
