/* tests/numa/placement_fixture.h - where do a heap's pages lie? For the tests that run in the NUMA guest.
 *
 * A survey asks the kernel (move_pages) for the node of every resident page of every window of a heap, from
 * the window's first byte to the last slot that was ever cut: heads of chunks, blocks, spans, and the
 * metadata heap with its mark stacks, batches, mutators and pools. A page that was never written has
 * no node. The threads of the heap should be waiting, else pages come and go meanwhile.
 * Threads are pinned to the processors of the heap's topology. */
#ifndef HEARTH_TESTS_NUMA_PLACEMENT_FIXTURE_H
#define HEARTH_TESTS_NUMA_PLACEMENT_FIXTURE_H

#include <numa.h>
#include <numaif.h>
#include <sched.h>
#include <sys/mman.h>

#include "alloc/window_state.h"
#include "tests/mutator_fixture.h"

enum { PLACE_CPUS = 64, PLACE_PAGES = HA_CHUNK / HA_PAGE, PLACE_OS_NODES = 64 };

/* What a page is for. */
enum place_kind { PLACE_HEAD, PLACE_BLOCK, PLACE_SPAN, PLACE_META, PLACE_KINDS };

struct place_survey {
    uint64_t on[HT_MAX_NODES][PLACE_OS_NODES]; /* pages of the window on the system's node     */
    uint64_t kind[PLACE_KINDS];                /* pages of all windows                         */
    uint64_t strays;                           /* not on their window's node                   */
    int stray_window, stray_on;                /* of the first of them                         */
    enum place_kind stray_kind;
};

static inline const char *place_kind_name(enum place_kind kind)
{
    static const char *const names[] = {"heads of chunks", "blocks", "spans", "metadata"};
    return names[kind];
}

static inline void place_pin(int cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    EXPECT(sched_setaffinity(0, sizeof set, &set) == 0);
}

static inline int place_nodes(hearth_heap *heap)
{
    return heap->topology->nodes;
}

/* The processors of a node, or of the heap's whole machine (node -1). */
static inline int place_cpus(const hearth_heap *heap, int node, int *cpus)
{
    const struct hearth_topology *topology = heap->topology;
    int count = 0;

    for (int i = 0; i < topology->nodes; i++)
        for (int cpu = 0; cpu < HT_MAX_CPUS && count < PLACE_CPUS; cpu++)
            if ((node < 0 || node == i) && !topology->node[i].cpuless &&
                CPU_ISSET_S(cpu, HT_CPU_SET_BYTES, topology->node[i].cpu_set))
                cpus[count++] = cpu;
    return count;
}

/* A processor of the node itself; if it has none, one that is served by it or serves it. */
static inline int place_cpu_of(const hearth_heap *heap, int node)
{
    const struct ht_node *n = &heap->topology->node[node];
    int found = -1;

    for (int cpu = HT_MAX_CPUS - 1; cpu >= 0; cpu--)
        if (CPU_ISSET_S(cpu, HT_CPU_SET_BYTES, n->cpu_set) &&
            (found < 0 || numa_node_of_cpu(found) != n->os_node ||
             numa_node_of_cpu(cpu) == n->os_node))
            found = cpu;
    EXPECT(found >= 0);
    return found;
}

/* The node that a thread on this processor should allocate on. */
static inline int place_home(const hearth_heap *heap, int cpu)
{
    return heap->options.preferred >= 0 ? (int)heap->options.preferred
                                        : heap->topology->node_of_cpu[cpu];
}

/* The nodes of `count` pages from `start` on; below 0 where there is none. */
static inline void place_ask(const void *start, int *status, size_t count)
{
    void *pages[PLACE_PAGES];

    EXPECT(count <= PLACE_PAGES);
    for (size_t i = 0; i < count; i++)
        pages[i] = (char *)(uintptr_t)start + i * HA_PAGE;
    EXPECT(ht_os_residency(pages, status, count));
}

/* Pages of any memory by node; returns how many are resident. */
static inline uint64_t place_count(const void *start, size_t bytes, uint64_t *on)
{
    int status[PLACE_PAGES];
    uintptr_t first = (uintptr_t)start & ~(uintptr_t)(HA_PAGE - 1);
    size_t pages = ((uintptr_t)start + bytes - first + HA_PAGE - 1) / HA_PAGE;
    uint64_t resident = 0;

    memset(on, 0, PLACE_OS_NODES * sizeof *on);
    for (size_t at = 0; at < pages; at += PLACE_PAGES) {
        size_t count = pages - at < PLACE_PAGES ? pages - at : PLACE_PAGES;
        place_ask((const void *)(first + at * HA_PAGE), status, count);
        for (size_t i = 0; i < count; i++)
            if (status[i] >= 0 && status[i] < PLACE_OS_NODES) {
                on[status[i]]++;
                resident++;
            }
    }
    return resident;
}

static inline enum place_kind place_kind_of(const hearth_heap *heap, size_t slot, int page)
{
    const struct ha_windows *windows = heap->space.windows;
    const struct ha_slot *s = &windows->slot[slot];

    if (s->owner == NULL || s->owner == windows->state)
        return PLACE_META;
    if (page < HA_HEAD_BLOCKS * HA_BLOCK / HA_PAGE && s->head == 0)
        return PLACE_HEAD;
    return s->span > 1 || s->head > 0 ? PLACE_SPAN : PLACE_BLOCK;
}

static inline void place_survey_slot(const hearth_heap *heap, int window, size_t slot,
                                     struct place_survey *survey)
{
    const struct ha_windows *windows = heap->space.windows;
    int status[PLACE_PAGES], home = windows->state->layout.os_node[window];

    place_ask((const void *)(windows->base + (slot << HA_CHUNK_SHIFT)), status, PLACE_PAGES);
    for (int page = 0; page < PLACE_PAGES; page++) {
        if (status[page] < 0 || status[page] >= PLACE_OS_NODES)
            continue;
        enum place_kind kind = place_kind_of(heap, slot, page);
        survey->on[window][status[page]]++;
        survey->kind[kind]++;
        if (status[page] != home && survey->strays++ == 0) {
            survey->stray_window = window;
            survey->stray_on = status[page];
            survey->stray_kind = kind;
        }
    }
}

static inline struct place_survey place_survey(const hearth_heap *heap)
{
    const struct ha_windows *windows = heap->space.windows;
    struct place_survey survey;

    memset(&survey, 0, sizeof survey);
    for (int w = 0; w < windows->nodes; w++) {
        size_t first = (size_t)w << (windows->shift - HA_CHUNK_SHIFT);
        for (size_t i = 0; i < windows->state->node[w].top; i++)
            place_survey_slot(heap, w, first + i, &survey);
    }
    return survey;
}

static inline uint64_t place_pages(const struct place_survey *survey)
{
    uint64_t pages = 0;

    for (int kind = 0; kind < PLACE_KINDS; kind++)
        pages += survey->kind[kind];
    return pages;
}

/* Every page of every window lies on the window's node. */
static inline struct place_survey place_expect_home(const hearth_heap *heap, const char *when)
{
    struct place_survey survey = place_survey(heap);

    EXPECT(heap->space.windows->bound);
    ck_assert_msg(
        survey.strays == 0,
        "%s: %lu of %lu pages are not on their window's node; the first belongs to the %s of "
        "window %d and lies on node %d",
        when, (unsigned long)survey.strays, (unsigned long)place_pages(&survey),
        place_kind_name(survey.stray_kind), survey.stray_window, survey.stray_on);
    ck_assert_uint_gt(place_pages(&survey), 0);
    return survey;
}

/* Waits without standing in the way of a collection. */
static inline void place_meet(hearth_mutator *mutator, pthread_barrier_t *barrier)
{
    if (mutator != NULL)
        EXPECT(hearth_native_begin(mutator) == HEARTH_OK);
    pthread_barrier_wait(barrier);
    if (mutator != NULL)
        EXPECT(hearth_native_end(mutator) == HEARTH_OK);
}

/* What the kernel could still give out on the node: free memory and files. */
static inline size_t place_available(int os_node)
{
    struct ht_node_memory memory;

    EXPECT(ht_os_node_memory("/sys/devices/system/node", os_node, &memory));
    return memory.unused + memory.files;
}

/* Fills the node until it has about `left` bytes; freed at the end of the test's process. */
static inline void place_ballast(int os_node, size_t left)
{
    const size_t step = 2 * FIXTURE_MIB;

    for (size_t available = place_available(os_node); available > left + step;
         available = place_available(os_node)) {
        size_t bytes = (available - left) / 2 > step ? (available - left) / 2 & -step : step;
        char *memory =
            mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        unsigned long mask = 1ul << os_node;
        EXPECT(memory != MAP_FAILED);
        EXPECT(mbind(memory, bytes, MPOL_BIND, &mask, 8 * sizeof mask, 0) == 0);
        for (size_t i = 0; i < bytes; i += HA_PAGE)
            memory[i] = 1;
    }
}

#endif
