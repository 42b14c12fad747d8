/* python/src/arenas.c - memory for pymalloc's arenas from hearth's windows.
 *
 * CPython asks for arenas of 1 MiB, from which pymalloc cuts all objects of up to 512 bytes. Four of
 * them make one of hearth's chunks. An arena lies on the node that the thread ran on which needed it,
 * where the objects that thread makes next will lie. A chunk that has no arena left goes back to its
 * window, the memory of a single free arena to the system, as CPython does it.
 * Other sizes (stacks of frames) and what the windows have no room for go to the allocator that was
 * there before, and so does every address that is not in the windows.
 * Invariant: a chunk is on its node's list when it has both arenas in use and free ones.
 * Lock order: hp_arena_lock < window sets; it is not held while a chunk is taken, which may wait for
 * the keeper. Who asks holds the GIL, but a thread's last frames may be freed without it.
 * Node: a chunk's record lies in one table for all, written by any node's threads. */
#define _GNU_SOURCE 1
#include "arenas.h"

#include <string.h>
#include <sys/mman.h>

#include "machine.h"
#include "parallel.h"
#include "topology/os.h"

enum {
    HP_ARENA = 1 << 20,                 /* bytes; ARENA_SIZE of obmalloc.c                    */
    HP_PER_CHUNK = HA_CHUNK / HP_ARENA, /* 4                                                  */
    HP_ALL_FREE = (1 << HP_PER_CHUNK) - 1
};

/* Of one slot of the windows. */
struct hp_chunk {
    uint32_t next, prev; /* slots of the list of its node; 0: none (stored + 1)       */
    uint8_t free;        /* bit i: arena i of the chunk is free                       */
    bool ours;
};

struct hp_arena_node {
    uint32_t partial; /* list of chunks with free arenas                           */
    uint64_t used;    /* arenas in use                                             */
    uint64_t taken;   /* arenas ever                                               */
};

static pthread_mutex_t hp_arena_lock = PTHREAD_MUTEX_INITIALIZER;
static struct hp_chunk
    *hp_chunks; /* [bytes of all windows >> HA_CHUNK_SHIFT]; NULL: never on         */
static struct hp_arena_node hp_arena_node[HT_MAX_NODES];
static struct hp_machine *hp_arena_machine;
static PyObjectArenaAllocator hp_before;
static bool hp_serving;    /* new arenas are ours                                               */
static uint64_t hp_passed; /* arenas that were left to hp_before                                */

/* --- chunks; lock held ------------------------------------------------------------------------- */

static uint32_t hp_slot(const void *address)
{
    return (uint32_t)(((uintptr_t)address - hp_arena_machine->windows->base) >> HA_CHUNK_SHIFT);
}

static char *hp_chunk_memory(uint32_t slot)
{
    return (char *)hp_arena_machine->windows->base + ((size_t)slot << HA_CHUNK_SHIFT);
}

static int hp_chunk_node(uint32_t slot)
{
    return ha_node_of(hp_arena_machine->windows, (uintptr_t)hp_chunk_memory(slot));
}

static void hp_chunk_link(uint32_t slot)
{
    struct hp_arena_node *node = &hp_arena_node[hp_chunk_node(slot)];
    struct hp_chunk *chunk = &hp_chunks[slot];
    chunk->prev = 0;
    chunk->next = node->partial;
    if (node->partial != 0)
        hp_chunks[node->partial - 1].prev = slot + 1;
    node->partial = slot + 1;
}

static void hp_chunk_unlink(uint32_t slot)
{
    struct hp_chunk *chunk = &hp_chunks[slot];
    if (chunk->prev != 0)
        hp_chunks[chunk->prev - 1].next = chunk->next;
    else
        hp_arena_node[hp_chunk_node(slot)].partial = chunk->next;
    if (chunk->next != 0)
        hp_chunks[chunk->next - 1].prev = chunk->prev;
}

/* A free arena of a chunk that is on the list. */
static void *hp_arena_cut(uint32_t slot)
{
    struct hp_chunk *chunk = &hp_chunks[slot];
    int i = __builtin_ctz(chunk->free);
    chunk->free &= (uint8_t)(chunk->free - 1);
    if (chunk->free == 0)
        hp_chunk_unlink(slot);
    hp_arena_node[hp_chunk_node(slot)].used++;
    hp_arena_node[hp_chunk_node(slot)].taken++;
    return hp_chunk_memory(slot) + (size_t)i * HP_ARENA;
}

/* --- what pymalloc calls ----------------------------------------------------------------------- */

static void *hp_arena_take(int node)
{
    void *arena = NULL;
    pthread_mutex_lock(&hp_arena_lock);
    if (hp_arena_node[node].partial != 0)
        arena = hp_arena_cut(hp_arena_node[node].partial - 1);
    pthread_mutex_unlock(&hp_arena_lock);
    if (arena != NULL)
        return arena;
    void *memory = ha_chunk_take(hp_arena_machine->windows, node, 1, &hp_arena_node);
    if (memory == NULL)
        return NULL;
    pthread_mutex_lock(&hp_arena_lock);
    uint32_t slot = hp_slot(memory);
    hp_chunks[slot].free = HP_ALL_FREE;
    hp_chunks[slot].ours = true;
    hp_chunk_link(slot);
    arena = hp_arena_cut(slot);
    pthread_mutex_unlock(&hp_arena_lock);
    return arena;
}

static void *hp_arena_alloc(void *context, size_t size)
{
    (void)context;
    if (size == HP_ARENA && hp_serving) {
        void *arena = hp_arena_take(ht_topology_here(hp_arena_machine->topology));
        if (arena != NULL)
            return arena;
        hp_passed++;
    }
    return hp_before.alloc(hp_before.ctx, size);
}

static void hp_arena_give(void *arena)
{
    uint32_t slot = hp_slot(arena);
    char *memory = hp_chunk_memory(slot);
    pthread_mutex_lock(&hp_arena_lock);
    struct hp_chunk *chunk = &hp_chunks[slot];
    uint8_t before = chunk->free;
    chunk->free |= (uint8_t)(1u << ((char *)arena - memory) / HP_ARENA);
    hp_arena_node[hp_chunk_node(slot)].used--;
    bool empty = chunk->free == HP_ALL_FREE;
    if (before == 0 && !empty)
        hp_chunk_link(slot);
    if (empty) {
        if (before != 0)
            hp_chunk_unlink(slot);
        chunk->ours = false;
    } else {
        ht_os_advise(arena, HP_ARENA, MADV_DONTNEED); /* before another may take it */
    }
    pthread_mutex_unlock(&hp_arena_lock);
    if (empty)
        ha_chunk_give(hp_arena_machine->windows, memory);
}

static void hp_arena_free(void *context, void *address, size_t size)
{
    (void)context;
    if (ha_windows_contain(hp_arena_machine->windows, (uintptr_t)address))
        hp_arena_give(address);
    else
        hp_before.free(hp_before.ctx, address, size);
}

/* --- on and off -------------------------------------------------------------------------------- */

bool hp_arenas_useful(void)
{
    char text[64];
    return ht_os_read_file("/sys/devices/system/node/has_memory", text, sizeof text) &&
           strpbrk(text, ",-") != NULL;
}

int hp_arenas_on(bool huge)
{
    struct hp_machine *machine = hp_machine(huge);
    if (machine == NULL) {
        PyErr_Format(PyExc_OSError, "hearth: no memory windows: %s", hearth_last_error());
        return -1;
    }
    if (hp_chunks == NULL) {
        size_t slots = machine->windows->bytes >> HA_CHUNK_SHIFT;
        struct hp_chunk *chunks = ht_os_map(slots * sizeof *chunks, true);
        if (chunks == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        hp_arena_machine = machine;
        hp_chunks = chunks;
        PyObject_GetArenaAllocator(&hp_before);
        PyObjectArenaAllocator ours = {NULL, hp_arena_alloc, hp_arena_free};
        PyObject_SetArenaAllocator(&ours);
    }
    hp_serving = true;
    hp_share_route(machine->topology->nodes > 1 ? machine->windows : NULL);
    return 0;
}

void hp_arenas_off(void)
{
    hp_serving = false;
}

void hp_arenas_hold(void)
{
    pthread_mutex_lock(&hp_arena_lock);
}

void hp_arenas_release(void)
{
    pthread_mutex_unlock(&hp_arena_lock);
}

/* --- what is there ----------------------------------------------------------------------------- */

static PyObject *hp_arena_node_dict(int node)
{
    const struct hp_arena_node *n = &hp_arena_node[node];
    return Py_BuildValue("{sisisKsK}", "node", node, "os_node",
                         hp_arena_machine->topology->node[node].os_node, "arenas", n->used, "taken",
                         n->taken);
}

PyObject *hp_arenas_stats(void)
{
    PyObject *nodes = PyList_New(0);
    int count = hp_chunks != NULL ? hp_arena_machine->topology->nodes : 0;
    for (int i = 0; nodes != NULL && i < count; i++) {
        PyObject *entry = hp_arena_node_dict(i);
        if (entry == NULL || PyList_Append(nodes, entry) < 0)
            Py_CLEAR(nodes);
        Py_XDECREF(entry);
    }
    return Py_BuildValue("{sOsisKsN}", "on", hp_serving ? Py_True : Py_False, "arena_bytes",
                         HP_ARENA, "passed_on", hp_passed, "nodes", nodes);
}

enum { HP_PAGE = 4096, HP_PAGES = HP_ARENA / HP_PAGE };

/* Count the pages of one arena: on its node, on another, not there. */
static void hp_arena_pages(char *arena, int os_node, size_t *count)
{
    void *page[HP_PAGES];
    int status[HP_PAGES];
    for (int i = 0; i < HP_PAGES; i++)
        page[i] = arena + (size_t)i * HP_PAGE;
    if (!ht_os_residency(page, status, HP_PAGES))
        return;
    for (int i = 0; i < HP_PAGES; i++)
        count[status[i] == os_node ? 0 : status[i] >= 0 ? 1 : 2]++;
}

static PyObject *hp_node_residency(int node)
{
    const struct ha_windows *windows = hp_arena_machine->windows;
    int os_node = hp_arena_machine->topology->node[node].os_node;
    size_t count[3] = {0};
    uint32_t slots = (uint32_t)(((size_t)1 << windows->shift) >> HA_CHUNK_SHIFT);
    for (uint32_t slot = slots * (uint32_t)node; slot < slots * (uint32_t)(node + 1); slot++)
        for (int i = 0; hp_chunks[slot].ours && i < HP_PER_CHUNK; i++)
            if (!(hp_chunks[slot].free & 1u << i))
                hp_arena_pages(hp_chunk_memory(slot) + (size_t)i * HP_ARENA, os_node, count);
    return Py_BuildValue("{sisisnsnsn}", "node", node, "os_node", os_node, "local",
                         (Py_ssize_t)count[0], "elsewhere", (Py_ssize_t)count[1], "untouched",
                         (Py_ssize_t)count[2]);
}

PyObject *hp_arenas_residency(void)
{
    PyObject *list = PyList_New(0);
    int nodes = hp_chunks != NULL ? hp_arena_machine->topology->nodes : 0;
    for (int i = 0; list != NULL && i < nodes; i++) {
        PyObject *entry = hp_node_residency(i);
        if (entry == NULL || PyList_Append(list, entry) < 0)
            Py_CLEAR(list);
        Py_XDECREF(entry);
    }
    return list;
}
