/* bench/numa/run.c - threads, phases and counted collections. See run.h for the rules. */
#define _GNU_SOURCE
#include "bench/numa/run.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "gc/heap.h"
#include "tests/numa/access.h"

void run_fail(const char *what)
{
    fprintf(stderr, "numa: %s: %s\n", what, hearth_last_error());
    exit(1);
}

static void must(hearth_status status, const char *what)
{
    if (status != HEARTH_OK)
        run_fail(what);
}

/* --- counting: full collections of the end only -------------------------------------------------------- */

static bool counting; /* changes while no collection runs */

static void count_begin(void *data, hearth_heap *heap, hearth_gc_kind kind)
{
    (void)data, (void)heap;
    if (counting && kind == HEARTH_GC_FULL)
        na_begin("full");
}

static void count_end(void *data, hearth_heap *heap, const hearth_collection *collection)
{
    (void)data, (void)heap;
    if (counting && collection->kind == HEARTH_GC_FULL)
        na_end();
}

static void count_worker(void *data, hearth_heap *heap, int worker, int node)
{
    (void)data, (void)heap, (void)worker, (void)node;
    na_tag("gc-worker");
}

static void count_worker_end(void *data, hearth_heap *heap, int worker, int node)
{
    (void)data, (void)heap, (void)node;
    na_tag(worker == 0 ? "mutator" : "");
}

/* Object memory and the metadata in its chunks are class "heap"; what else lies in the windows (mark stacks,
 * batches, other metadata of the collector) stays class "window". */
static void count_heap(hearth_heap *heap)
{
    const struct ha_windows *windows = heap->space.windows;
    size_t slots = windows->bytes >> HA_CHUNK_SHIFT;
    for (size_t first = 0, end; first < slots; first = end) {
        for (end = first + 1;
             windows->slot[first].owner == heap && end < slots && windows->slot[end].owner == heap;)
            end++;
        if (windows->slot[first].owner == heap)
            na_class((const void *)(windows->base + (first << HA_CHUNK_SHIFT)),
                     (const void *)(windows->base + (end << HA_CHUNK_SHIFT)), "heap");
    }
}

static void count_all(struct run *run)
{
    const hearth_observer observer = {.struct_size = sizeof observer,
                                      .collection_begin = count_begin,
                                      .collection_end = count_end,
                                      .worker_begin = count_worker,
                                      .worker_end = count_worker_end};
    const void *low, *high;
    must(hearth_heap_range(run->heap, &low, &high), "range");
    na_reset();
    na_class(low, high, "window");
    must(hearth_observe(run->heap, &observer), "observer");
}

/* --- threads ---------------------------------------------------------------------------------------------- */

/* The i-th CPU this process may use. */
static void bind_to_cpu(int index)
{
    cpu_set_t allowed, one;
    CPU_ZERO(&one);
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0)
        run_fail("affinity");
    int left = index % CPU_COUNT(&allowed);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &allowed) && left-- == 0)
            CPU_SET(cpu, &one);
    if (sched_setaffinity(0, sizeof one, &one) != 0)
        run_fail("affinity");
}

/* All threads wait for each other; the world may be stopped meanwhile. */
static void meet(struct worker *w)
{
    must(hearth_native_begin(w->mutator), "native section");
    pthread_barrier_wait(&w->run->barrier);
    must(hearth_native_end(w->mutator), "native section");
}

static double cpu_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
}

static void collect(struct run *run, struct worker *w, int collections)
{
    must(hearth_gc_collect(w->mutator, 2), "collection"); /* everything is old from here on */
    count_heap(run->heap);
    counting = true;
    double begin = cpu_ms();
    for (int i = 0; i < collections; i++) {
        na_cold();
        must(hearth_gc_collect(w->mutator, 2), "collection");
    }
    counting = false;
    run->cpu_ms = cpu_ms() - begin;
    if (!run->workload->check(run))
        run_fail("the objects are damaged");
}

struct start {
    struct worker *worker;
    int collections;
};

static void *worker_main(void *argument)
{
    const struct start *start = argument;
    struct worker *w = start->worker;
    struct run *run = w->run;
    bind_to_cpu(w->index);
    must(hearth_attach(run->heap, NULL, &w->mutator), "attach");
    must(hearth_root_add(run->heap, &w->roots), "root");
    na_tag("mutator");
    for (const struct phase *phase = run->workload->phases; phase->work != NULL; phase++) {
        meet(w);
        if (w->index == 0)
            na_begin(phase->name);
        meet(w);
        phase->work(w);
        meet(w);
        if (w->index == 0)
            na_end();
    }
    meet(w);
    if (w->index == 0)
        collect(run, w, start->collections);
    meet(w);
    must(hearth_root_remove(run->heap, &w->roots), "root");
    must(hearth_detach(w->mutator), "detach");
    na_tag("");
    free(w->nodes);
    return NULL;
}

void run_all(struct run *run, int collections)
{
    struct start start[RUN_THREADS];
    pthread_t thread[RUN_THREADS];
    must(hearth_type_fixed(run->heap, "node", sizeof(struct node), 0xf, &run->node), "type");
    must(hearth_type_fixed(run->heap, "entry", sizeof(struct entry), 0x3, &run->entry), "type");
    must(hearth_type_refs(run->heap, "refs", &run->refs), "type");
    must(hearth_type_bytes(run->heap, "bytes", &run->bytes), "type");
    must(hearth_root_add(run->heap, &run->table), "root");
    pthread_barrier_init(&run->barrier, NULL, (unsigned)run->threads);
    count_all(run);
    for (int i = 0; i < run->threads; i++) {
        run->worker[i] = (struct worker){.run = run, .index = i};
        run->worker[i].random = UINT64_C(0x9e3779b97f4a7c15) * (uint64_t)(i + 1);
        start[i] = (struct start){&run->worker[i], collections};
        if (pthread_create(&thread[i], NULL, worker_main, &start[i]) != 0)
            run_fail("pthread_create");
    }
    for (int i = 0; i < run->threads; i++)
        pthread_join(thread[i], NULL);
    must(hearth_root_remove(run->heap, &run->table), "root");
    must(hearth_observe(run->heap, NULL), "observer");
    pthread_barrier_destroy(&run->barrier);
}
