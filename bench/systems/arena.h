/* bench/systems/arena.h - bump allocation, freed a tree at a time: the floor for any allocator.
 *
 * A thread's arena is a list of chunks. Allocation bumps a cursor in the present chunk; a region
 * is a mark (chunk, cursor) to go back to. Chunks stay for reuse until the thread detaches.
 * Objects are 16-byte aligned, as in the other systems, so that a node takes the same cache lines;
 * they are zeroed inline, because a reused chunk is not zero.
 *
 * Invariant: chunks after the present one are unused. An arena belongs to one thread: no locks; its
 * pages lie on the node of the thread that touched them first. */
#ifndef HEARTH_BENCH_SYSTEMS_ARENA_H
#define HEARTH_BENCH_SYSTEMS_ARENA_H

#include <stdlib.h>
#include <string.h>

#include "bench/plain.h"

#define SYS_MANUAL   0
#define SYS_LIMITED  0
#define SYS_COLLECTS 0

enum { ARENA_CHUNK = 1 << 20, ARENA_ALIGN = 16 };

struct arena_chunk {
    struct arena_chunk *next; /* later in the list: unused or used after this one     */
    char *limit;              /* end of the chunk                                     */
    _Alignas(ARENA_ALIGN) char memory[];
};

struct arena {
    char *cursor;              /* next free byte of the present chunk                  */
    char *limit;               /* its end                                              */
    struct arena_chunk *chunk; /* the present chunk                                    */
    struct arena_chunk *first; /* of the list                                          */
};

typedef struct arena *sys_thread;

SYS_NO_TYPES
SYS_PLAIN_STORES
SYS_NO_SAFEPOINTS
SYS_NO_NODES

typedef struct sys_region {
    struct arena_chunk *chunk; /* the present chunk then   */
    char *cursor;              /* and its cursor           */
} sys_region;

static inline bool sys_start(const struct sys_config *config)
{
    (void)config;
    return true;
}

static inline void sys_stop(struct sys_report *report)
{
    (void)report;
}

static inline const char *sys_error(void)
{
    return "the system has no memory for another chunk";
}

static inline void arena_enter(struct arena *arena, struct arena_chunk *chunk, char *cursor)
{
    arena->chunk = chunk;
    arena->cursor = cursor;
    arena->limit = chunk->limit;
}

static inline struct arena_chunk *arena_chunk_create(size_t size)
{
    size_t bytes = sizeof(struct arena_chunk) + (size > ARENA_CHUNK ? size : ARENA_CHUNK);
    struct arena_chunk *chunk = aligned_alloc(ARENA_ALIGN, (bytes + 15) & ~(size_t)15);
    if (chunk != NULL) {
        chunk->next = NULL;
        chunk->limit = (char *)chunk + bytes;
    }
    return chunk;
}

static inline bool sys_attach(sys_thread *m)
{
    struct arena *arena = malloc(sizeof *arena);
    if (arena == NULL)
        return false;
    arena->first = arena_chunk_create(ARENA_CHUNK);
    if (arena->first == NULL) {
        free(arena);
        return false;
    }
    arena_enter(arena, arena->first, arena->first->memory);
    *m = arena;
    return true;
}

static inline void sys_detach(sys_thread m)
{
    for (struct arena_chunk *chunk = m->first, *next; chunk != NULL; chunk = next) {
        next = chunk->next;
        free(chunk);
    }
    free(m);
}

/* Goes on to the next chunk, or to a new one put before it if that is too small. */
static __attribute__((noinline, unused)) void *arena_alloc_slow(struct arena *arena, size_t size)
{
    struct arena_chunk *chunk = arena->chunk->next;
    if (chunk == NULL || (size_t)(chunk->limit - chunk->memory) < size) {
        struct arena_chunk *fresh = arena_chunk_create(size);
        if (fresh == NULL)
            return NULL;
        fresh->next = chunk;
        arena->chunk->next = fresh;
        chunk = fresh;
    }
    arena_enter(arena, chunk, chunk->memory + size);
    return chunk->memory;
}

BENCH_INLINE void *arena_alloc(struct arena *arena, size_t size)
{
    char *at = arena->cursor;
    size = (size + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
    if (BENCH_UNLIKELY((size_t)(arena->limit - at) < size))
        return arena_alloc_slow(arena, size);
    arena->cursor = at + size;
    return at;
}

BENCH_INLINE void *sys_new(sys_thread m, sys_type type, size_t size)
{
    (void)type;
    void *object = arena_alloc(m, size);
    if (BENCH_UNLIKELY(object == NULL))
        return NULL;
    return memset(object, 0, size);
}

BENCH_INLINE struct sys_buffer *sys_new_buffer(sys_thread m, sys_type type, size_t count)
{
    (void)type;
    return arena_alloc(m, sizeof(struct sys_buffer) + count * sizeof(double));
}

BENCH_INLINE void **sys_new_refs(sys_thread m, sys_type type, size_t count)
{
    return sys_new(m, type, count * sizeof(void *));
}

BENCH_INLINE void sys_free(sys_thread m, void *object)
{
    (void)m, (void)object;
}

BENCH_INLINE sys_region sys_region_begin(sys_thread m)
{
    return (sys_region){m->chunk, m->cursor};
}

BENCH_INLINE void sys_region_end(sys_thread m, sys_region region)
{
    arena_enter(m, region.chunk, region.cursor);
}

#endif
