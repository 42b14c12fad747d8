/* bench/numa/run.h - a run of a NUMA workload: one heap, one thread per CPU, phases with a barrier in between.
 *
 * A workload is a table of phases. In each, every thread runs the phase's function on its own worker, at the
 * same time as the others; a barrier ends it. Threads stand in a native section at the barrier, so that
 * a collection never waits for a thread that waits.
 *
 * Invariant: worker i runs on CPU i of the CPUs allowed, from before it attaches; its objects are its node's
 * unless the workload or the mode says otherwise. What `nodes` holds is kept alive by `roots`. */
#ifndef HEARTH_BENCH_NUMA_RUN_H
#define HEARTH_BENCH_NUMA_RUN_H

#include <hearth.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

enum { RUN_THREADS = 64, RUN_DEGREE = 4 };

/* An object of the graphs: 48 bytes, of which four are references. */
struct node {
    struct node *ref[RUN_DEGREE];
    uint64_t number;
    uint64_t unused;
};

/* An entry of the hash table. */
struct entry {
    struct entry *next;
    void *value; /* bytes */
    uint64_t key;
};

struct run;

struct worker {
    struct run *run;
    int index;
    hearth_mutator *mutator;
    uint64_t random;     /* xorshift64 state                                          */
    struct node **nodes; /* every node this worker built, C memory, kept alive by roots */
    size_t count;
    void *roots; /* a global root: array of references                        */
    uint64_t checksum;
};

struct phase {
    const char *name; /* of the region its accesses are counted in                 */
    void (*work)(struct worker *);
};

struct workload {
    const char *name;
    const struct phase *phases;  /* ends with work == NULL                               */
    bool (*check)(struct run *); /* after the collections; false: damaged                */
};

struct run {
    const struct workload *workload;
    hearth_heap *heap;
    hearth_type node, entry, refs, bytes;
    int threads;
    size_t objects; /* of each worker                                             */
    void *table;    /* of the cache: a global root                                */
    size_t buckets;
    double cpu_ms; /* processor time of the counted collections, all threads       */
    struct worker worker[RUN_THREADS];
    pthread_barrier_t barrier;
};

extern const struct workload run_workloads[]; /* ends with name == NULL */

static inline uint64_t run_random(struct worker *w, uint64_t below)
{
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    w->random ^= w->random << 17;
    return (uint64_t)(((unsigned __int128)w->random * below) >> 64);
}

/* Ends the process with a message if something that must not fail does. */
_Noreturn void run_fail(const char *what);

/* Runs the phases, then `collections` full collections, each counted in region "full". */
void run_all(struct run *run, int collections);

#endif
