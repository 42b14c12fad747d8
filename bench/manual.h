/* bench/manual.h - the adapter of an allocator whose memory the program frees by hand.
 *
 * The including header defines manual_alloc(size) and manual_free(pointer). Objects are zeroed
 * after they are allocated, inline; buffers are not.
 *
 * Invariant: the program frees each object once. Locks and nodes are the allocator's own affair. */
#ifndef HEARTH_BENCH_MANUAL_H
#define HEARTH_BENCH_MANUAL_H

#include <string.h>

#include "bench/plain.h"

#define SYS_MANUAL   1
#define SYS_LIMITED  0
#define SYS_COLLECTS 0

SYS_PLAIN_THREADS
SYS_NO_TYPES
SYS_PLAIN_STORES
SYS_NO_SAFEPOINTS
SYS_NO_REGIONS
SYS_NO_NODES

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
    return "the allocator returned NULL";
}

BENCH_INLINE void *sys_new(sys_thread m, sys_type type, size_t size)
{
    (void)m, (void)type;
    void *object = manual_alloc(size);
    BENCH_OPAQUE(object);
    if (BENCH_UNLIKELY(object == NULL))
        return NULL;
    return memset(object, 0, size);
}

BENCH_INLINE struct sys_buffer *sys_new_buffer(sys_thread m, sys_type type, size_t count)
{
    (void)m, (void)type;
    struct sys_buffer *buffer = manual_alloc(sizeof *buffer + count * sizeof buffer->value[0]);
    BENCH_OPAQUE(buffer);
    return buffer;
}

BENCH_INLINE void **sys_new_refs(sys_thread m, sys_type type, size_t count)
{
    return sys_new(m, type, count * sizeof(void *));
}

BENCH_INLINE void sys_free(sys_thread m, void *object)
{
    (void)m;
    manual_free(object);
}

#endif
