/* tests/numa/plugin_cache.c - the cache model: a write-back cache with LRU sets for each virtual
 * processor, kept coherent by the states of MESI.
 *
 * Raw accesses say little of what a node's links carry: most accesses hit a cache. The model tells
 * apart fills (memory served a line), transfers (the line came from, or had to leave, another cache)
 * and write-backs, each by node.
 *
 * Every line of memory has one word of state: its only holder if there is one (then CLEAN tells
 * exclusive from modified), or SHARED. A cache's copy is valid if it carries the line's present version. The words are updated without locks: of two processors that access a line in the
 * same instant one may lose an event, no more. A cache is touched by its processor's thread only,
 * and by na_cache_empty. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/numa/plugin.h"

/* A line's state. */
#define OWNER_SHIFT    24
#define OWNER(state)   ((state) >> OWNER_SHIFT) /* processor + 1: the only holder; 0: none        */
#define CLEAN          (UINT32_C(1) << 23)      /* memory is up to date                           */
#define SHARED         (UINT32_C(1) << 22)      /* several may have copies; implies CLEAN         */
#define VERSION(state) ((state) & (SHARED - 1)) /* of the contents                                */

struct way {
    uint32_t line;    /* number + 1, 0: empty */
    uint32_t version; /* of the copy          */
};

static uint32_t *states;
static size_t states_size;
static struct way *caches[NA_VCPUS];
static size_t cache_size;
static unsigned sets;

bool na_cache_open(void)
{
    if (na_options.cache_kib == 0)
        return true;
    sets = na_options.ways > 0 ? na_options.cache_kib * 1024 / 64 / na_options.ways : 0;
    if (sets == 0)
        return false;
    states_size = na_map_lines() * sizeof *states;
    states = mmap(NULL, states_size, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (states == MAP_FAILED)
        return false;
    cache_size = (size_t)sets * na_options.ways * sizeof(struct way);
    for (int vcpu = 0; vcpu < na_machine.vcpus; vcpu++) {
        caches[vcpu] = calloc(1, cache_size);
        if (caches[vcpu] == NULL)
            return false;
    }
    return true;
}

void na_cache_empty(void)
{
    if (states == NULL)
        return;
    for (int vcpu = 0; vcpu < na_machine.vcpus; vcpu++)
        memset(caches[vcpu], 0, cache_size);
    madvise(states, states_size, MADV_DONTNEED); /* zero again */
}

static uint32_t owned_by(uint32_t owner, uint32_t version)
{
    return owner << OWNER_SHIFT | VERSION(version);
}

/* The line leaves this cache. If it was the only holder, nobody has the line now, and what was dirty
 * goes to memory. */
static void evict(uint32_t owner, struct na_counts *counts, const struct way *way)
{
    if (way->line == 0)
        return;
    uint32_t *at = &states[way->line - 1];
    uint32_t state = __atomic_load_n(at, __ATOMIC_RELAXED);
    int node = na_map_line(way->line - 1);
    if (node < 0 || OWNER(state) != owner || (state & SHARED) || VERSION(state) != way->version)
        return;
    if (!(state & CLEAN))
        counts->writebacks[node]++;
    __atomic_store_n(at, VERSION(state) | CLEAN, __ATOMIC_RELAXED);
}

/* No valid copy here: from the cache that wrote it last, else from memory. Returns the next state. */
static uint32_t fetch(uint32_t owner, struct na_counts *counts, uint32_t state, int node, int store)
{
    bool held = OWNER(state) != 0 && OWNER(state) != owner;
    if (held && !(state & (CLEAN | SHARED)))
        counts->transfers[na_machine.node_of[OWNER(state) - 1]][store]++;
    else
        counts->fills[node][store]++;
    if (store)
        return owned_by(owner, state + 1);
    if (held || (state & SHARED))
        return state | SHARED | CLEAN;
    return owned_by(owner, state) | CLEAN;
}

/* A store to a valid copy: other copies become invalid. Returns the next state. */
static uint32_t dirty(uint32_t owner, struct na_counts *counts, uint32_t state, int node)
{
    if (OWNER(state) == owner && !(state & SHARED))
        return state & ~CLEAN;
    counts->transfers[node][1]++;
    return owned_by(owner, state + 1);
}

void na_cache_access(unsigned vcpu, struct na_counts *counts, uint64_t line, int node, int store)
{
    uint32_t owner = vcpu + 1, number = (uint32_t)line + 1;
    uint32_t *at = &states[line];
    uint32_t state = __atomic_load_n(at, __ATOMIC_RELAXED), next = state;
    struct way *set = caches[vcpu] + (size_t)((line ^ line >> 13) % sets) * na_options.ways;
    unsigned i = 0;

    while (i < na_options.ways && set[i].line != number)
        i++;
    bool valid = i < na_options.ways && set[i].version == VERSION(state);
    if (i == na_options.ways)
        evict(owner, counts, &set[--i]);
    if (!valid)
        next = fetch(owner, counts, state, node, store);
    else if (store)
        next = dirty(owner, counts, state, node);
    if (next != state)
        __atomic_store_n(at, next, __ATOMIC_RELAXED);

    memmove(set + 1, set, i * sizeof *set);
    set[0] = (struct way){.line = number, .version = VERSION(next)};
}
