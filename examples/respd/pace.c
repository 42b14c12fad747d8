/* examples/respd/pace.c - the heap's limit follows what lives in it.
 *
 * Keys that are overwritten at random leave hardly a block empty, so that a heap's blocks can become many more than
 * what lives needs. A server's memory is to follow its data: the limit is set anew after each full collection,
 * from the bytes that live, and is raised when an allocation would fail, up to what the server may use at
 * all.
 *
 * Invariant: the limit never exceeds server->most. hearth calls both functions at a safepoint of some loop, with the
 * world running; they touch no objects and take no locks. */
#include "respd.h"

enum { LEAST = 64 << 20, LARGE = 256 << 10 };

static size_t within(size_t bytes, size_t least, size_t most)
{
    bytes = bytes < least ? least : bytes;
    return bytes < most ? bytes : most;
}

/* Two and a half times what lives: below that, the budget of a heap that grows would meet the limit too soon. */
static void on_collection(hearth_mutator *me, hearth_gc_phase phase, const hearth_gc_info *info,
                          void *data)
{
    struct server *server = data;
    hearth_stats stats = {.struct_size = sizeof stats};
    (void)me;
    if (phase != HEARTH_GC_STOP || info->generation != 2 ||
        hearth_get_stats(server->heap, &stats) != HEARTH_OK)
        return;
    size_t used = stats.heap_bytes + stats.heap_bytes / 16, wanted = stats.live_bytes / 2 * 5;
    size_t pending = __atomic_load_n(&server->pending, __ATOMIC_RELAXED);
    wanted = (wanted > used ? wanted : used) + pending + pending / 2;
    hearth_set_heap_limit(server->heap, within(wanted, LEAST, server->most));
}

static bool on_pressure(void *data, hearth_mutator *me, const hearth_pressure *pressure)
{
    struct server *server = data;
    (void)me;
    if (pressure->stage != HEARTH_PRESSURE_HARD || pressure->limit >= server->most)
        return false;
    size_t wanted = pressure->heap_bytes + pressure->wanted_bytes;
    return hearth_set_heap_limit(server->heap, within(wanted + wanted / 2, LEAST, server->most)) ==
           HEARTH_OK;
}

/* An object that is larger than the whole limit is refused without a word to on_pressure. */
static void make_room(struct server *server, size_t bytes)
{
    hearth_stats stats = {.struct_size = sizeof stats};
    if (hearth_get_stats(server->heap, &stats) != HEARTH_OK || stats.limit_bytes >= server->most)
        return;
    size_t wanted = stats.heap_bytes + bytes + bytes / 2;
    if (wanted > stats.limit_bytes)
        hearth_set_heap_limit(server->heap, within(wanted, LEAST, server->most));
}

void *array_new(struct worker *w, hearth_type type, size_t count, size_t element)
{
    size_t bytes = count * element;
    if (bytes < LARGE)
        return hearth_alloc_array(w->me, type, count);
    __atomic_fetch_add(&w->server->pending, bytes, __ATOMIC_RELAXED);
    make_room(w->server, bytes);
    void *array = hearth_alloc_array(w->me, type, count);
    __atomic_fetch_sub(&w->server->pending, bytes, __ATOMIC_RELAXED);
    return array;
}

/* Once, before there are other threads. */
bool pace_start(struct server *server)
{
    hearth_stats stats = {.struct_size = sizeof stats};
    if (hearth_get_stats(server->heap, &stats) != HEARTH_OK)
        return false;
    server->most = stats.limit_bytes;
    if (server->most > LEAST && hearth_set_heap_limit(server->heap, LEAST) != HEARTH_OK)
        return false;
    return hearth_gc_callback_add(server->heap, on_collection, server) == HEARTH_OK &&
           hearth_on_pressure(server->heap, on_pressure, server) == HEARTH_OK;
}
