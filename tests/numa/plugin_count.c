/* tests/numa/plugin_count.c - the counters, and the callback of every access of user mode.
 *
 * Counters are one block for each region, tag and virtual processor, with an element for each class.
 * Only the virtual processor's own thread adds to its blocks; messages and the report add blocks up
 * while others may still be counting, which may miss the last few. */
#define _GNU_SOURCE
#include <string.h>
#include <sys/mman.h>

#include "tests/numa/plugin.h"

typedef struct na_counts block[NA_CLASSES];

static block (*blocks)[NA_TAGS][NA_VCPUS];
static const size_t blocks_size = (size_t)NA_REGIONS * NA_TAGS * NA_VCPUS * sizeof(block);

static char region_names[NA_REGIONS][NA_NAME];
static char tag_names[NA_TAGS][NA_NAME];
static char class_names[NA_CLASSES][NA_NAME];

struct na_names na_region_names = {"too many regions", 0, NA_REGIONS, region_names};
struct na_names na_tag_names = {"too many tags", 1, NA_TAGS, tag_names};
struct na_names na_class_names = {"too many classes", 1, NA_CLASSES, class_names};

bool na_count_open(void)
{
    blocks = mmap(NULL, blocks_size, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    na_name(tag_names[0], "-");
    na_name(class_names[0], "-");
    return blocks != MAP_FAILED;
}

void na_count_reset(void)
{
    madvise(blocks, blocks_size, MADV_DONTNEED); /* zero again */
    na_region_names.count = 0;
    na_tag_names.count = 1;
    na_class_names.count = 1;
}

/* The number of a name, -1 if it is unknown and not added. */
int na_name_index(struct na_names *names, const char *name, bool add)
{
    for (int i = 0; i < names->count; i++)
        if (strcmp(names->names[i], name) == 0)
            return i;
    if (!add)
        return -1;
    if (names->count == names->limit) {
        na_fail(names->kind);
        return -1;
    }
    na_name(names->names[names->count], name);
    return names->count++;
}

struct na_counts *na_counters(int region, int tag, int vcpu)
{
    return blocks[region][tag][vcpu];
}

static int class_of(const struct na_process *process, uint64_t address)
{
    for (int i = __atomic_load_n(&process->range_count, __ATOMIC_ACQUIRE) - 1; i >= 0; i--) {
        const struct na_range *range = &process->ranges[i];
        if (address - range->low < range->high - range->low)
            return range->class_;
    }
    return 0;
}

void na_count_access(unsigned vcpu, qemu_plugin_meminfo_t info, uint64_t address, void *data)
{
    (void)data;
    struct na_vcpu *self = &na_vcpus[vcpu];
    struct na_counts *counts = __atomic_load_n(&self->now, __ATOMIC_RELAXED);
    if (counts == NULL)
        return;
    if (counts == na_stale && (counts = na_resolve(vcpu)) == NULL)
        return;
    if (na_options.pace > 0)
        na_pace_step(vcpu);

    struct qemu_plugin_hwaddr *hardware = qemu_plugin_get_hwaddr(info, address);
    uint64_t line = 0;
    int node = hardware != NULL ? na_map_locate(hardware, &line) : -1;
    int store = qemu_plugin_mem_is_store(info);
    counts += class_of(self->process, address);
    if (node < 0) {
        counts->elsewhere++;
        return;
    }
    counts->accesses[node][store]++;
    if (na_options.cache_kib > 0)
        na_cache_access(vcpu, counts, line, node, store);
}

/* All members are 64-bit counters. */
void na_count_add(struct na_counts *to, const struct na_counts *from)
{
    uint64_t *sums = (uint64_t *)to;
    const uint64_t *terms = (const uint64_t *)from;
    for (size_t i = 0; i < sizeof *to / sizeof *sums; i++)
        sums[i] += terms[i];
}
