/* tests/numa/plugin_marker.c - the guest's messages (access.h): read, obeyed, answered in place.
 *
 * A message is read and answered through the host address of the marker's access, which only
 * QEMU 7.2's layout of struct qemu_plugin_hwaddr tells. So the first message is read with a system
 * call that cannot crash, and if there is no message at the address, nothing is ever counted.
 *
 * Lock: `lock` is held while a message is obeyed; nothing else is locked below it. */
#define _GNU_SOURCE
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "tests/numa/plugin.h"

const char *na_broken;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool layout_seen; /* struct na_hwaddr is QEMU's */
static uint64_t places;  /* NA_PLACE messages that found all as the map says */

void na_fail(const char *why)
{
    if (na_broken == NULL)
        fprintf(stderr, "access plugin: %s\n", why);
    na_broken = why;
}

uint64_t na_marker_places(void)
{
    return places;
}

/* The message that the guest's marker loads from, NULL: it cannot be found. */
static struct na_message *message_of(const struct qemu_plugin_hwaddr *address)
{
    if (address == NULL || qemu_plugin_hwaddr_is_io(address))
        return NULL;
    struct na_message *message = (void *)((const struct na_hwaddr *)address)->host;
    if (!layout_seen) {
        uint64_t magic = 0;
        struct iovec here = {&magic, sizeof magic}, there = {message, sizeof magic};
        if (process_vm_readv(getpid(), &here, 1, &there, 1, 0) != (ssize_t)sizeof magic)
            return NULL;
        if (magic != NA_MAGIC)
            return NULL;
        layout_seen = true;
    }
    return message->magic == NA_MAGIC ? message : NULL;
}

static void begin(struct na_process *process, const char *name, unsigned vcpu)
{
    int region = na_name_index(&na_region_names, name, true);
    if (region < 0)
        return;
    if (process->depth == NA_DEPTH) {
        na_fail("regions are nested too deeply");
        return;
    }
    process->regions[process->depth] = region;
    __atomic_store_n(&process->depth, process->depth + 1, __ATOMIC_RELEASE);
    __atomic_store_n(&na_open_regions, na_open_regions + 1, __ATOMIC_RELEASE);
    na_changed();
    if (na_options.lazy && na_open_regions == 1)
        na_qemu.flush_translations(na_qemu.get_cpu((int)vcpu));
}

static void end(struct na_process *process, unsigned vcpu)
{
    if (process->depth == 0) {
        na_fail("a region ends that never began");
        return;
    }
    __atomic_store_n(&process->depth, process->depth - 1, __ATOMIC_RELEASE);
    __atomic_store_n(&na_open_regions, na_open_regions - 1, __ATOMIC_RELEASE);
    na_changed();
    if (na_options.lazy && na_open_regions == 0)
        na_qemu.flush_translations(na_qemu.get_cpu((int)vcpu));
}

static void tag(struct na_process *process, const struct na_message *message, unsigned vcpu)
{
    int index = message->tag[0] ? na_name_index(&na_tag_names, message->tag, true) : 0;
    if (index < 0)
        return;
    na_process_tag(process, message->low ? message->low : na_thread_pointer(vcpu), index);
    na_changed();
}

static void class_(struct na_process *process, const struct na_message *message)
{
    int index = na_name_index(&na_class_names, message->class_, true);
    if (index < 0)
        return;
    if (process->range_count == NA_RANGES) {
        na_fail("too many ranges of classes");
        return;
    }
    process->ranges[process->range_count] =
        (struct na_range){.low = message->low, .high = message->high, .class_ = index};
    __atomic_store_n(&process->range_count, process->range_count + 1, __ATOMIC_RELEASE);
}

/* Adds what a processor on node `cpu` counted, of memory on `wanted` (NA_ANY: on all nodes). */
static void add(struct na_sums *sums, const struct na_counts *counts, int cpu, int wanted)
{
    if (wanted == NA_ANY)
        sums->elsewhere += counts->elsewhere;
    for (int node = 0; node < na_machine.nodes; node++) {
        if (wanted != NA_ANY && node != wanted)
            continue;
        const uint64_t *accesses = counts->accesses[node];
        uint64_t distance = (uint64_t)na_machine.distance[cpu][node];
        uint64_t fills = counts->fills[node][0] + counts->fills[node][1];
        uint64_t transfers = counts->transfers[node][0] + counts->transfers[node][1];
        bool local = node == cpu;
        *(local ? &sums->loads_local : &sums->loads_remote) += accesses[0];
        *(local ? &sums->stores_local : &sums->stores_remote) += accesses[1];
        *(local ? &sums->fills_local : &sums->fills_remote) += fills;
        *(local ? &sums->transfers_local : &sums->transfers_remote) += transfers;
        *(local ? &sums->writebacks_local : &sums->writebacks_remote) += counts->writebacks[node];
        sums->distance += distance * (accesses[0] + accesses[1]);
        sums->miss_distance += distance * (fills + transfers);
    }
}

static bool named(const char *wanted, const char *name)
{
    return wanted[0] == '\0' || strcmp(wanted, name) == 0;
}

static void query(struct na_message *message)
{
    int region = na_name_index(&na_region_names, message->region, false);
    int cpu_node = (int)(int64_t)message->low, memory_node = (int)(int64_t)message->high;

    memset(&message->sums, 0, sizeof message->sums);
    for (int r = 0; r < na_region_names.count; r++) {
        if (message->region[0] != '\0' && r != region)
            continue;
        for (int t = 0; t < na_tag_names.count; t++) {
            for (int vcpu = 0; vcpu < na_machine.vcpus; vcpu++) {
                int node = na_machine.node_of[vcpu];
                if (!named(message->tag, na_tag_names.names[t]) || node < 0 ||
                    (cpu_node != NA_ANY && node != cpu_node))
                    continue;
                for (int c = 0; c < na_class_names.count; c++)
                    if (named(message->class_, na_class_names.names[c]))
                        add(&message->sums, &na_counters(r, t, vcpu)[c], node, memory_node);
            }
        }
    }
}

/* Is what the guest says of this processor, its thread and this memory what the plugin sees? Answers
 * with what the plugin sees: low the processor's node, high the memory's node, and who runs. */
static void place(struct na_message *message, const struct qemu_plugin_hwaddr *address,
                  unsigned vcpu)
{
    uint64_t line;
    int node = na_map_physical(qemu_plugin_hwaddr_phys_addr(address));

    if (node != na_map_locate(address, &line) || node != (int)message->high)
        na_fail("map of memory is not the guest's");
    else if (na_machine.node_of[vcpu] != (int)message->low)
        na_fail("map of CPUs is not the guest's");
    else
        places++;
    message->low = (uint64_t)(int64_t)na_machine.node_of[vcpu];
    message->high = (uint64_t)(int64_t)node;
    message->sums.loads_local = na_page_table(vcpu);
    message->sums.loads_remote = na_thread_pointer(vcpu);
}

static void reset(unsigned vcpu)
{
    bool flush = na_options.lazy && na_open_regions > 0;
    na_process_reset();
    na_count_reset();
    na_cache_empty();
    na_changed();
    if (flush)
        na_qemu.flush_translations(na_qemu.get_cpu((int)vcpu));
}

static uint64_t thread_clock(void)
{
    struct timespec used;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return (uint64_t)used.tv_sec * 1000000000 + (uint64_t)used.tv_nsec;
}

static void obey_process(struct na_message *message, unsigned vcpu)
{
    struct na_process *process = na_process_of(na_page_table(vcpu), true);
    if (process == NULL) {
        na_fail("too many processes");
        return;
    }
    switch (message->operation) {
    case NA_BEGIN:
        begin(process, message->region, vcpu);
        break;
    case NA_END:
        end(process, vcpu);
        break;
    case NA_TAG:
        tag(process, message, vcpu);
        break;
    default:
        class_(process, message);
        break;
    }
}

static void obey(struct na_message *message, const struct qemu_plugin_hwaddr *address,
                 unsigned vcpu)
{
    switch (message->operation) {
    case NA_HELLO:
        na_name(message->region, na_broken != NULL ? na_broken : "");
        break;
    case NA_BEGIN:
    case NA_END:
    case NA_TAG:
    case NA_CLASS:
        obey_process(message, vcpu);
        break;
    case NA_QUERY:
        query(message);
        break;
    case NA_PLACE:
        place(message, address, vcpu);
        break;
    case NA_COLD:
        na_cache_empty();
        break;
    case NA_RESET:
        reset(vcpu);
        break;
    case NA_CLOCK:
        message->low = thread_clock();
        break;
    default:
        na_fail("unknown message");
        break;
    }
}

/* The marker's load, after it was done. */
void na_marker(unsigned vcpu, qemu_plugin_meminfo_t info, uint64_t virtual_address, void *data)
{
    (void)data;
    struct qemu_plugin_hwaddr *address = qemu_plugin_get_hwaddr(info, virtual_address);

    pthread_mutex_lock(&lock);
    struct na_message *message = message_of(address);
    if (message == NULL) {
        na_fail("no message where QEMU 7.2 has it: other QEMU?");
    } else if (vcpu < NA_VCPUS) {
        message->region[NA_NAME - 1] = message->tag[NA_NAME - 1] = '\0';
        message->class_[NA_NAME - 1] = '\0';
        message->answered = 1;
        obey(message, address, vcpu);
    }
    pthread_mutex_unlock(&lock);
}
