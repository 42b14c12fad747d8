/* bench/cell.h - the small object that the workloads on tables make and replace.
 *
 * 24 bytes: a reference and two numbers. As the nodes of bench/tree.h it takes 32 bytes in hearth,
 * bdwgc, glibc and mimalloc alike, and in Java.
 *
 * Invariant: as the workload says. A cell belongs to the thread that made it. */
#ifndef HEARTH_BENCH_CELL_H
#define HEARTH_BENCH_CELL_H

#include "bench/driver.h"
#include "bench/random.h"

enum { CELL_BYTES = 32 }; /* that a cell takes from the heap */

struct cell {
    void *link;   /* another object, or NULL                                   */
    uint64_t key; /* numbers of the workload, below 2^32                       */
    uint64_t value;
};

static sys_type cell_type;
static sys_type refs_type;

static inline bool cell_register(void)
{
    return sys_type_object("cell", sizeof(struct cell), 1, &cell_type) &&
           sys_type_refs("references", &refs_type);
}

BENCH_INLINE struct cell *cell_new(sys_thread m)
{
    struct cell *cell = sys_new(m, cell_type, sizeof *cell);
    if (BENCH_UNLIKELY(cell == NULL))
        worker_no_memory();
    return cell;
}

static inline __attribute__((unused)) void **refs_new(sys_thread m, size_t count)
{
    void **refs = sys_new_refs(m, refs_type, count);
    if (refs == NULL)
        worker_no_memory();
    return refs;
}

/* So many of something that is `usual` at size 1; one at least. */
static inline size_t sized(double usual)
{
    double count = usual * driver_size;
    return count < 1 ? 1 : (size_t)(count + 0.5);
}

/* So many operations: `usual` at scale 1. */
static inline uint64_t scaled(const struct worker *worker, double usual)
{
    double count = usual * worker->scale;
    return count < 1 ? 1 : (uint64_t)(count + 0.5);
}

#endif
