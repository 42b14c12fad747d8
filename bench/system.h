/* bench/system.h - what a workload needs of a memory system, and what an adapter must define.
 *
 * A workload (bench/<workload>.c) is written once against the names below; an adapter
 * (bench/systems/<name>.h, or one outside the tree) gives them meaning for one memory system. The
 * build chooses the adapter with -DSYSTEM_HEADER='"path"' and names it with -DSYSTEM_NAME='"name"'.
 * Adapter functions are static inline, so that the compiler sees the system's own inline fast paths
 * with constant sizes, as it would in a program written for that system.
 *
 * The contract is the same for all systems: sys_new gives zeroed memory, because the workloads
 * read fields they never wrote; sys_new_buffer gives memory of any contents, because they do not
 * (a system that can only give zeroed memory pays for it). References are held in frames across
 * every call that allocates and are stored through sys_store; memory that is freed by hand is
 * freed by sys_free. Whatever a system has no use for is a no-op there and costs nothing.
 *
 * An adapter defines:
 *
 *   types       sys_thread   one thread's state, passed to every call; a pointer or a small value
 *               sys_type     a registered type
 *               sys_region   a mark to go back to (systems that free by region)
 *   constants   SYS_MANUAL   1 if memory is freed by hand: workloads then walk dead trees
 *               SYS_LIMITED  1 if the heap is held to sys_config.heap_bytes
 *               SYS_COLLECTS 1 if there is a collector, and so sys_collect and sys_stopped_ns
 *   process     bool sys_start(const struct sys_config *)    before any other call
 *               void sys_stop(struct sys_report *)           all threads detached; fills the report
 *               const char *sys_error(void)                  why the last call failed
 *               unsigned sys_cpus(void)                      CPUs this process may use
 *               void sys_print_nodes(FILE *)                 table of memory nodes, before sys_stop
 *   threads     bool sys_attach(sys_thread *), void sys_detach(sys_thread)
 *               void sys_safepoint(sys_thread)             in loops that do not allocate
 *               void sys_wait_begin(sys_thread), void sys_wait_end(sys_thread)
 *                    in between the thread may block, and touches no object
 *   types       bool sys_type_object(const char *name, size_t size, uint64_t refs, sys_type *)
 *                    bit i of refs: word i is a reference
 *               bool sys_type_buffer(const char *name, sys_type *)       a struct sys_buffer
 *               bool sys_type_refs(const char *name, sys_type *)         an array of references
 *   allocation  void *sys_new(sys_thread, sys_type, size_t size)         zeroed; NULL: no memory
 *               struct sys_buffer *sys_new_buffer(sys_thread, sys_type, size_t count)
 *               void **sys_new_refs(sys_thread, sys_type, size_t count)  zeroed; NULL: no memory
 *               void sys_free(sys_thread, void *)
 *   stores      void sys_store(sys_thread, void *object, void **slot, void *value)
 *               void sys_store_init(void **slot, void *value)   into the object just allocated
 *               void sys_store_range(sys_thread, void *object, void **slot, void **values, size_t)
 *                    so many values, which lie in plain memory, into consecutive slots
 *   regions     sys_region sys_region_begin(sys_thread)
 *               void sys_region_end(sys_thread, sys_region)     all allocated since is dead
 *   collections (where SYS_COLLECTS is 1)
 *               bool sys_collect(sys_thread, bool full)  now; false: see sys_error
 *               uint64_t sys_stopped_ns(void)   from the request until all threads stood, last time
 *   roots       SYS_FRAME(thread, name, n)     declares name.ref[n], references that stay alive
 *               SYS_FRAME_END(thread, name)    on every way out of the block, innermost first
 *
 * Invariant: a workload never allocates between sys_new and its sys_store_init calls. Locks and
 * placement on nodes are the system's own affair. */
#ifndef HEARTH_BENCH_SYSTEM_H
#define HEARTH_BENCH_SYSTEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "bench/measure.h"

#if !defined(SYSTEM_HEADER) || !defined(SYSTEM_NAME)
#error "compile with -DSYSTEM_HEADER and -DSYSTEM_NAME: see bench/README.md"
#endif

/* What a run asks of the system. */
struct sys_config {
    size_t heap_bytes; /* size of the whole heap, if the system can fix it    */
    unsigned threads;  /* that will attach                                    */
};

/* What the system says about the run. All zero where it has nothing to say. */
struct sys_report {
    uint64_t collections; /* of any kind                                         */
    double pause_p50_ms;  /* time the program stood still for one of them ...    */
    double pause_p99_ms;
    double pause_max_ms;
};

/* Pointer-free data of any length. */
struct sys_buffer {
    size_t count;   /* elements; the workload writes it                          */
    double value[]; /* the elements                                              */
};

#define BENCH_INLINE      static inline __attribute__((always_inline, unused))
#define BENCH_UNLIKELY(x) __builtin_expect(!!(x), 0)

/* Hides from the compiler where a pointer comes from: without it, gcc turns malloc and memset into
 * calloc (another, slower path in glibc and mimalloc) and removes pairs of malloc and free. */
#define BENCH_OPAQUE(pointer) __asm__ volatile("" : "+r"(pointer))

#include SYSTEM_HEADER

#endif
