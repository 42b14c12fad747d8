/* tests/numa/plugin_map.c - the machine: which node a virtual processor belongs to, and on which node
 * an accessed byte lies.
 *
 * The map file is made by machine.awk. The public API gives an address that it calls physical; asking
 * for it at every access is slow, so its answer is kept for every mebibyte of QEMU's own address
 * space. The chunks' table is written without a lock: every writer writes the same value. */
#define _GNU_SOURCE
#include <string.h>
#include <sys/mman.h>

#include "tests/numa/plugin.h"

enum {
    CHUNK_SHIFT = 20,       /* a mebibyte: memory of nodes has whole ones           */
    CHUNKS = 1 << 16,       /* 64 GiB of QEMU's address space                       */
    CHUNKS_ABOVE = 1 << 12, /* of these, above the place of the first look          */
    UNKNOWN = 0,            /* in the table: nothing yet; else the node + FIRST     */
    NOWHERE = 1,            /* memory of no node                                    */
    FIRST = 2
};

struct na_machine na_machine;

static uint8_t chunk_nodes[CHUNKS];
static uint64_t chunks_start; /* QEMU's address of chunk 0 */

static bool read_fact(FILE *file, const char *word)
{
    unsigned long long a, b, c;
    if (strcmp(word, "node") == 0) {
        if (fscanf(file, "%llu %llu %llu", &a, &b, &c) != 3 || a >= NA_NODES)
            return false;
        na_machine.base[a] = b;
        na_machine.size[a] = c;
        if ((int)a >= na_machine.nodes)
            na_machine.nodes = (int)a + 1;
        return true;
    }
    if (strcmp(word, "cpu") == 0) {
        if (fscanf(file, "%llu %llu", &a, &b) != 2 || a >= NA_VCPUS || b >= NA_NODES)
            return false;
        na_machine.node_of[a] = (int)b;
        if ((int)a >= na_machine.vcpus)
            na_machine.vcpus = (int)a + 1;
        return true;
    }
    if (strcmp(word, "distance") != 0 || fscanf(file, "%llu %llu %llu", &a, &b, &c) != 3 ||
        a >= NA_NODES || b >= NA_NODES || c > 255)
        return false;
    na_machine.distance[a][b] = (int)c;
    return true;
}

/* QEMU maps the guest's memory below what it has mapped so far, or in a gap near it. */
static bool find_start(void)
{
    void *here = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (here == MAP_FAILED)
        return false;
    munmap(here, 4096);
    uint64_t below = (uint64_t)(CHUNKS - CHUNKS_ABOVE) << CHUNK_SHIFT;
    uint64_t start = (uint64_t)(uintptr_t)here > below ? (uint64_t)(uintptr_t)here - below : 0;
    chunks_start = start >> CHUNK_SHIFT << CHUNK_SHIFT;
    return true;
}

bool na_map_open(void)
{
    FILE *file = na_options.map != NULL ? fopen(na_options.map, "r") : NULL;
    char word[16];
    bool good = file != NULL && find_start();

    for (int i = 0; i < NA_VCPUS; i++)
        na_machine.node_of[i] = -1;
    while (good && fscanf(file, "%15s", word) == 1)
        good = read_fact(file, word);
    if (file != NULL)
        fclose(file);
    return good && na_machine.nodes > 0 && na_machine.vcpus > 0;
}

/* The node of what the API calls a physical address, -1: none. */
int na_map_physical(uint64_t address)
{
    for (int node = 0; node < na_machine.nodes; node++)
        if (address - na_machine.base[node] < na_machine.size[node])
            return node;
    return -1;
}

static int learn(const struct qemu_plugin_hwaddr *address, uint64_t chunk)
{
    int node = na_map_physical(qemu_plugin_hwaddr_phys_addr(address));
    if (chunk >= CHUNKS)
        na_fail("memory is out of the table");
    else
        chunk_nodes[chunk] = (uint8_t)(node < 0 ? NOWHERE : node + FIRST);
    return chunk < CHUNKS ? node : -1;
}

/* The node of an accessed byte, -1: none; if there is one, the number of its cache line. */
int na_map_locate(const struct qemu_plugin_hwaddr *address, uint64_t *line)
{
    const struct na_hwaddr *fields = (const struct na_hwaddr *)address;
    if (fields->is_io)
        return -1;
    uint64_t offset = (uint64_t)(uintptr_t)fields->host - chunks_start;
    uint64_t chunk = offset >> CHUNK_SHIFT;
    *line = offset >> NA_LINE_SHIFT;
    if (chunk >= CHUNKS || chunk_nodes[chunk] == UNKNOWN)
        return learn(address, chunk);
    return (int)chunk_nodes[chunk] - FIRST; /* NOWHERE gives -1 */
}

/* The node of a line that was accessed before. */
int na_map_line(uint64_t line)
{
    return (int)chunk_nodes[line >> (CHUNK_SHIFT - NA_LINE_SHIFT)] - FIRST;
}

/* Lines are numbered below this. */
uint64_t na_map_lines(void)
{
    return (uint64_t)CHUNKS << (CHUNK_SHIFT - NA_LINE_SHIFT);
}
