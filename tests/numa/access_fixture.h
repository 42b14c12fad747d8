/* tests/numa/access_fixture.h - what the tests of the access-counting plugin share: the machine, memory of known nodes,
 * threads on its processors, what they must be counted as. Each test file has its own copy.
 *
 * Threads are pinned to the processors, read or write memory of known nodes a known number of times,
 * and the plugin's answers are compared with that. Compiled without vectorisation: one 64-bit load or store each
 * word. */
#ifndef HEARTH_TESTS_NUMA_ACCESS_FIXTURE_H
#define HEARTH_TESTS_NUMA_ACCESS_FIXTURE_H

#include <check.h>
#include <inttypes.h>
#include <numa.h>
#include <numaif.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/numa/access.h"

enum { MAX_THREADS = 64, MAX_NODES = 16, LINE = 64, PAGE = 4096, BYTES = 2 << 20, PASSES = 2 };

enum placement { OWN, NEXT, FARTHEST, INTERLEAVED, PLACEMENTS };

static const char *const placement_names[] = {"own node", "next node", "farthest node",
                                              "interleaved"};

/* The machine: nodes with memory, and a processor for each thread, on a node with memory. */
static int memory_nodes[MAX_NODES], memory_node_count;
static int cpus[MAX_THREADS], cpu_count;

static volatile uint64_t sink;

static inline void look_at_machine(void)
{
    memory_node_count = cpu_count = 0;
    for (int node = 0; node <= numa_max_node() && node < MAX_NODES; node++)
        if (numa_bitmask_isbitset(numa_all_nodes_ptr, (unsigned)node) &&
            numa_node_size64(node, NULL) > 0)
            memory_nodes[memory_node_count++] = node;
    for (int cpu = 0; cpu < numa_num_configured_cpus() && cpu_count < MAX_THREADS; cpu++) {
        int node = numa_node_of_cpu(cpu);
        if (node >= 0 && numa_node_size64(node, NULL) > 0)
            cpus[cpu_count++] = cpu;
    }
}

static inline void setup(void)
{
    look_at_machine();
    na_reset();
}

/* The counts are those of a program that was not disturbed. */
static inline void teardown(void)
{
    char reason[NA_NAME];
    ck_assert_msg(na_trusted(reason), "not to be trusted: %s", reason);
}

static inline void pin(int cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    ck_assert_int_eq(sched_setaffinity(0, sizeof set, &set), 0);
}

/* ------------------------------------------------------------------------------------ memory */

/* The node that memory of this placement lies on, for a thread on node `home`. */
static inline int target(enum placement placement, int home)
{
    int at = 0, best = home;
    for (int i = 0; i < memory_node_count; i++) {
        if (memory_nodes[i] == home)
            at = i;
        if (numa_distance(home, memory_nodes[i]) > numa_distance(home, best))
            best = memory_nodes[i];
    }
    if (placement == NEXT)
        return memory_nodes[(at + 1) % memory_node_count];
    return placement == FARTHEST ? best : home;
}

/* Touched memory in small pages, so that interleaving is by 4 KiB. */
static inline uint64_t *memory_at(enum placement placement, int home)
{
    void *memory = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    unsigned long nodes = 0;

    ck_assert(memory != MAP_FAILED);
    madvise(memory, BYTES, MADV_NOHUGEPAGE);
    if (placement == INTERLEAVED)
        for (int i = 0; i < memory_node_count; i++)
            nodes |= 1UL << memory_nodes[i];
    else
        nodes = 1UL << target(placement, home);
    ck_assert_int_eq(mbind(memory, BYTES, placement == INTERLEAVED ? MPOL_INTERLEAVE : MPOL_BIND,
                           &nodes, 8 * sizeof nodes, 0),
                     0);
    memset(memory, 1, BYTES);
    return memory;
}

/* Where the kernel says the pages are: how many on node `home`. */
static inline int pages_on(const uint64_t *memory, int home)
{
    int here = 0;
    for (size_t at = 0; at < BYTES; at += PAGE) {
        void *page = (char *)(uintptr_t)memory + at;
        int node = -1;
        ck_assert_int_eq(move_pages(0, 1, &page, NULL, &node, 0), 0);
        here += node == home;
    }
    return here;
}

static inline void load_words(const uint64_t *memory, size_t count)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += memory[i];
    sink += sum;
}

static inline void store_words(uint64_t *memory, size_t count)
{
    for (size_t i = 0; i < count; i++)
        memory[i] = i;
}

/* ------------------------------------------------------------------------------------ threads */

struct crew;

struct worker {
    pthread_t thread;
    struct crew *crew;
    int number, cpu, home; /* its processor and that one's node, -1: anywhere */
    uint64_t *memory;
};

/* Threads that do one thing at once, between two barriers. */
struct crew {
    int count;
    const char *(*tag)(int number);
    void (*work)(struct worker *worker);
    pthread_barrier_t barrier;
    struct worker workers[MAX_THREADS];
};

static inline void *run_worker(void *data)
{
    struct worker *worker = data;
    if (worker->cpu >= 0)
        pin(worker->cpu);
    if (worker->crew->tag != NULL)
        na_tag(worker->crew->tag(worker->number));
    pthread_barrier_wait(&worker->crew->barrier);
    pthread_barrier_wait(&worker->crew->barrier);
    worker->crew->work(worker);
    pthread_barrier_wait(&worker->crew->barrier);
    return NULL;
}

/* One pinned thread for each processor on a node with memory, or `count` unpinned ones. */
static inline void crew_start(struct crew *crew, int count, enum placement placement)
{
    crew->count = count > 0 ? count : cpu_count;
    pthread_barrier_init(&crew->barrier, NULL, (unsigned)crew->count + 1);
    for (int i = 0; i < crew->count; i++) {
        struct worker *worker = &crew->workers[i];
        worker->crew = crew;
        worker->number = i;
        worker->cpu = count > 0 ? -1 : cpus[i];
        worker->home = count > 0 ? memory_nodes[0] : numa_node_of_cpu(cpus[i]);
        worker->memory = placement < PLACEMENTS ? memory_at(placement, worker->home) : NULL;
        ck_assert_int_eq(pthread_create(&worker->thread, NULL, run_worker, worker), 0);
    }
    pthread_barrier_wait(&crew->barrier);
}

/* Lets the threads do their work inside the region. */
static inline void crew_work(struct crew *crew, const char *region)
{
    na_cold();
    na_begin(region);
    pthread_barrier_wait(&crew->barrier);
    pthread_barrier_wait(&crew->barrier);
    na_end();
    for (int i = 0; i < crew->count; i++)
        pthread_join(crew->workers[i].thread, NULL);
}

/* ------------------------------------------------------------------------------------ assertions */

/* Counted: what was asked for, and a little for barriers and the loop itself. */
static inline void expect_count(const char *what, uint64_t counted, uint64_t expected)
{
    ck_assert_msg(counted >= expected && counted <= expected + expected / 50 + 20000,
                  "%s: %" PRIu64 " counted, %" PRIu64 " expected", what, counted, expected);
}

static inline void expect_percent(const char *what, double counted, double expected)
{
    ck_assert_msg(counted >= expected - 0.5 && counted <= expected + 0.5,
                  "%s: %.2f %% counted, %.2f %% expected", what, counted, expected);
}

static inline void load_all(struct worker *worker)
{
    for (int pass = 0; pass < PASSES; pass++)
        load_words(worker->memory, BYTES / 8);
}

static inline void store_all(struct worker *worker)
{
    for (int pass = 0; pass < PASSES; pass++)
        store_words(worker->memory, BYTES / 8);
}

/* What each placement must give, from the machine's description alone. */
static inline void expected_of(const struct crew *crew, enum placement placement, double *percent,
                               double *distance)
{
    *percent = *distance = 0;
    for (int i = 0; i < crew->count; i++) {
        int home = crew->workers[i].home, there = target(placement, home);
        if (placement != INTERLEAVED) {
            *percent += there == home ? 100.0 : 0;
            *distance += numa_distance(home, there);
            continue;
        }
        *percent += 100.0 / memory_node_count;
        for (int k = 0; k < memory_node_count; k++)
            *distance += (double)numa_distance(home, memory_nodes[k]) / memory_node_count;
    }
    *percent /= crew->count;
    *distance /= crew->count;
}

/* The sums between all pairs of nodes are the sums over all, and local is the diagonal. */
static inline void expect_pairs(const char *region, const struct na_sums *sums)
{
    uint64_t all = 0, local = 0;
    for (int cpu = 0; cpu <= numa_max_node(); cpu++)
        for (int node = 0; node <= numa_max_node(); node++) {
            struct na_sums pair = na_query_nodes(region, "", "", cpu, node);
            all += na_accesses(&pair);
            local += cpu == node ? na_accesses(&pair) : 0;
            ck_assert_uint_eq(pair.distance,
                              na_accesses(&pair) * (uint64_t)numa_distance(cpu, node));
        }
    ck_assert_uint_eq(all, na_accesses(sums));
    ck_assert_uint_eq(local, sums->loads_local + sums->stores_local);
}

static inline TCase *add_case(Suite *suite, const char *name)
{
    TCase *tests = tcase_create(name);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_set_timeout(tests, 120);
    suite_add_tcase(suite, tests);
    return tests;
}

/* Tests of the cache model; NULL if the plugin was given none. */
TCase *access_cache_case(Suite *suite);

#endif
