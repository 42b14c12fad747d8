/* bench/systems/hearth.h - hearth, as a C program would embed it: precise roots in frames, inline
 * allocation and barrier, a fixed heap.
 *
 * The heap's limit and its least budget are both the size asked for, as -Xms and -Xmx are set
 * equal for a Java program; everything else is hearth's default, or HEARTH_OPTIONS from the
 * environment.
 *
 * Invariant: a thread's mutator is used by that thread only. Where threads and objects are placed
 * is hearth's default: memory of the node a thread runs on. */
#ifndef HEARTH_BENCH_SYSTEMS_HEARTH_H
#define HEARTH_BENCH_SYSTEMS_HEARTH_H

#include <inttypes.h>

#include <hearth.h> /* not "hearth.h": this file has that name too */

#define SYS_MANUAL   0
#define SYS_LIMITED  1
#define SYS_COLLECTS 1

typedef hearth_mutator *sys_thread;
typedef hearth_type sys_type;
typedef int sys_region;

static hearth_heap *system_heap; /* the only heap of the process */

#define SYS_FRAME(m, name, n)  HEARTH_FRAME(m, name, n)
#define SYS_FRAME_END(m, name) HEARTH_FRAME_END(m, name)

static inline bool sys_start(const struct sys_config *config)
{
    char bytes[32];
    snprintf(bytes, sizeof bytes, "%zu", config->heap_bytes);
    hearth_options *options;
    if (hearth_options_create(&options) != HEARTH_OK)
        return false;
    bool ok = hearth_options_set(options, "heap-limit", bytes) == HEARTH_OK &&
              hearth_options_set(options, "heap-min", bytes) == HEARTH_OK &&
              hearth_heap_create(&system_heap, options) == HEARTH_OK;
    hearth_options_destroy(options);
    return ok;
}

static inline void sys_stop(struct sys_report *report)
{
    hearth_stats stats = {.struct_size = sizeof stats};
    if (hearth_get_stats(system_heap, &stats) != HEARTH_OK)
        bench_fail(1, "no statistics: %s", hearth_last_error());
    report->collections = stats.minor_count + stats.full_count;
    report->pause_p50_ms = (double)hearth_pause_percentile(system_heap, -1, 50) * 1e-6;
    report->pause_p99_ms = (double)hearth_pause_percentile(system_heap, -1, 99) * 1e-6;
    report->pause_max_ms = (double)stats.pause_max_ns * 1e-6;
    if (hearth_heap_destroy(system_heap) != HEARTH_OK)
        bench_fail(1, "the heap cannot be destroyed: %s", hearth_last_error());
}

static inline const char *sys_error(void)
{
    return hearth_last_error();
}

static inline unsigned sys_cpus(void)
{
    hearth_topology *topology;
    if (hearth_topology_create(&topology, NULL) != HEARTH_OK)
        bench_fail(1, "no topology: %s", hearth_last_error());
    int cpus = hearth_topology_cpus(topology);
    hearth_topology_destroy(topology);
    return cpus > 0 ? (unsigned)cpus : 1;
}

static inline void sys_print_nodes(FILE *out)
{
    hearth_stats stats = {.struct_size = sizeof stats};
    if (hearth_get_stats(system_heap, &stats) != HEARTH_OK)
        bench_fail(1, "no statistics: %s", hearth_last_error());
    fprintf(out, "%4s %4s %11s %8s %7s %7s %8s %12s %12s %10s\n", "node", "os", "allocated", "live",
            "blocks", "chunks", "spilled", "traced here", "by others", "received");
    fprintf(out, "%4s %4s %11s %8s %7s %7s %8s %12s %12s %10s\n", "", "", "MB", "MB", "", "", "in",
            "objects", "objects", "refs");
    for (int node = 0; node < stats.nodes; node++) {
        hearth_node_stats s = {.struct_size = sizeof s};
        if (hearth_get_node_stats(system_heap, node, &s) != HEARTH_OK)
            bench_fail(1, "no statistics of node %d: %s", node, hearth_last_error());
        fprintf(out,
                "%4d %4d %11.1f %8.1f %7" PRIu64 " %7" PRIu64 " %8" PRIu64 " %12" PRIu64
                " %12" PRIu64 " %10" PRIu64 "\n",
                s.node, s.os_node, (double)s.allocated_bytes / 1e6, (double)s.live_bytes / 1e6,
                s.blocks, s.chunks, s.spilled_in, s.traced_local, s.traced_remote, s.received);
    }
}

static inline bool sys_attach(sys_thread *m)
{
    return hearth_attach(system_heap, NULL, m) == HEARTH_OK;
}

static inline void sys_detach(sys_thread m)
{
    if (hearth_detach(m) != HEARTH_OK)
        bench_fail(1, "a thread cannot detach: %s", hearth_last_error());
}

BENCH_INLINE void sys_safepoint(sys_thread m)
{
    hearth_safepoint(m);
}

static inline void sys_wait_begin(sys_thread m)
{
    if (hearth_native_begin(m) != HEARTH_OK)
        bench_fail(1, "a thread cannot wait: %s", hearth_last_error());
}

static inline void sys_wait_end(sys_thread m)
{
    if (hearth_native_end(m) != HEARTH_OK)
        bench_fail(1, "a thread cannot go on: %s", hearth_last_error());
}

static inline bool sys_collect(sys_thread m, bool full)
{
    return hearth_gc_collect(m, full ? 2 : 0) == HEARTH_OK;
}

static inline uint64_t sys_stopped_ns(void)
{
    hearth_collection last = {.struct_size = sizeof last};
    if (hearth_last_collection(system_heap, &last) != HEARTH_OK)
        bench_fail(1, "no collection: %s", hearth_last_error());
    return last.stop_ns;
}

static inline bool sys_type_object(const char *name, size_t size, uint64_t refs, sys_type *type)
{
    return hearth_type_fixed(system_heap, name, size, refs, type) == HEARTH_OK;
}

static inline bool sys_type_buffer(const char *name, sys_type *type)
{
    hearth_type_info info = {.struct_size = sizeof info,
                             .name = name,
                             .size = sizeof(struct sys_buffer),
                             .flags = HEARTH_TYPE_LEAF,
                             .element_size = sizeof(double)};
    return hearth_type_register(system_heap, &info, type) == HEARTH_OK;
}

static inline bool sys_type_refs(const char *name, sys_type *type)
{
    return hearth_type_refs(system_heap, name, type) == HEARTH_OK;
}

BENCH_INLINE void *sys_new(sys_thread m, sys_type type, size_t size)
{
    return hearth_alloc(m, type, size);
}

BENCH_INLINE struct sys_buffer *sys_new_buffer(sys_thread m, sys_type type, size_t count)
{
    return hearth_alloc_array(m, type, count);
}

BENCH_INLINE void **sys_new_refs(sys_thread m, sys_type type, size_t count)
{
    return hearth_alloc_array(m, type, count);
}

BENCH_INLINE void sys_free(sys_thread m, void *object)
{
    (void)m, (void)object;
}

BENCH_INLINE void sys_store(sys_thread m, void *object, void **slot, void *value)
{
    (void)hearth_store(m, object, slot, value);
}

BENCH_INLINE void sys_store_init(void **slot, void *value)
{
    hearth_store_init(slot, value);
}

BENCH_INLINE void sys_store_range(sys_thread m, void *object, void **slot, void **values,
                                  size_t count)
{
    if (hearth_store_range(m, object, slot, values, count) != HEARTH_OK)
        bench_fail(1, "a range cannot be stored: %s", hearth_last_error());
}

BENCH_INLINE sys_region sys_region_begin(sys_thread m)
{
    (void)m;
    return 0;
}

BENCH_INLINE void sys_region_end(sys_thread m, sys_region region)
{
    (void)m, (void)region;
}

#endif
