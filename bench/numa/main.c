/* bench/numa/main.c - one NUMA workload in one mode: builds it, collects it, prints where the accesses went.
 *
 * `numa WORKLOAD [--objects N] [--threads N] [--collections N]`; the mode and everything else of the heap comes
 * from HEARTH_OPTIONS. Prints one line of JSON. Access counts are those of the guest's plugin
 * (tests/numa); without it they are 0 and "counted" is false: the times are then all there is.
 * cpu_s is the processor time of all threads in the counted full collections. */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/numa/run.h"
#include "tests/numa/access.h"

enum { OBJECTS = 32 * 1023, COLLECTIONS = 3 };

static const char usage[] =
    "usage: numa trees|shared|onebuilder|cache|alternate|oneroot [--objects N] [--threads N] "
    "[--collections N]\n"
    "  --objects N       of each thread, 1023 to 10000000 (default 32736)\n"
    "  --threads N       1 to 64 (default: as many as CPUs may be used)\n"
    "  --collections N   full collections that are counted, 1 to 1000 (default 3)\n";

static _Noreturn void bad(const char *what, const char *value)
{
    fprintf(stderr, "numa: %s '%s'\n%s", what, value, usage);
    exit(2);
}

static long number(const char *option, const char *text, long low, long high)
{
    char *end = NULL;
    errno = 0;
    long value = text != NULL ? strtol(text, &end, 10) : 0;
    if (text == NULL || end == text || *end != '\0' || errno != 0 || value < low || value > high)
        bad(option, text != NULL ? text : "(nothing)");
    return value;
}

static const struct workload *workload_of(const char *name)
{
    for (const struct workload *w = run_workloads; w->name != NULL; w++)
        if (strcmp(w->name, name) == 0)
            return w;
    bad("no such workload:", name);
}

static void arguments(struct run *run, int *collections, int argc, char **argv)
{
    if (argc < 2)
        bad("no workload", "");
    run->workload = workload_of(argv[1]);
    for (int i = 2; i < argc; i += 2) {
        if (strcmp(argv[i], "--objects") == 0)
            run->objects = (size_t)number(argv[i], argv[i + 1], 1023, 10000000);
        else if (strcmp(argv[i], "--threads") == 0)
            run->threads = (int)number(argv[i], argv[i + 1], 1, RUN_THREADS);
        else if (strcmp(argv[i], "--collections") == 0)
            *collections = (int)number(argv[i], argv[i + 1], 1, 1000);
        else
            bad("no such option:", argv[i]);
    }
}

/* --- results ------------------------------------------------------------------------------------------------ */

static void print_sums(const char *name, const char *region, const char *tag, const char *class)
{
    struct na_sums s = na_query(region, tag, class);
    uint64_t all = na_accesses(&s);
    uint64_t fills = s.fills_local + s.fills_remote + s.transfers_local + s.transfers_remote;
    printf(", \"%s\": {\"accesses\": %" PRIu64 ", \"local_percent\": %.2f, \"distance\": %.2f"
           ", \"misses\": %" PRIu64 ", \"miss_local_percent\": %.2f, \"miss_distance\": %.2f}",
           name, all, na_local_percent(&s), all ? (double)s.distance / (double)all : 0, fills,
           fills ? 100.0 * (double)(s.fills_local + s.transfers_local) / (double)fills : 0,
           fills ? (double)s.miss_distance / (double)fills : 0);
}

/* Objects of each node that its own and that other nodes' workers traced. */
static void print_nodes(const struct run *run, int nodes)
{
    printf(", \"nodes\": [");
    for (int n = 0; n < nodes; n++) {
        hearth_node_stats s = {.struct_size = sizeof s};
        if (hearth_get_node_stats(run->heap, n, &s) != HEARTH_OK)
            run_fail("statistics");
        printf("%s{\"live_bytes\": %" PRIu64 ", \"traced_local\": %" PRIu64
               ", \"traced_remote\": %" PRIu64 ", \"received\": %" PRIu64 ", \"spilled\": %" PRIu64
               "}",
               n == 0 ? "" : ", ", s.live_bytes, s.traced_local, s.traced_remote, s.received,
               s.spilled_in);
    }
    printf("]");
}

static void print_result(const struct run *run, int collections)
{
    hearth_stats stats = {.struct_size = sizeof stats};
    hearth_collection last = {.struct_size = sizeof last};
    const char *options = getenv("HEARTH_OPTIONS");
    if (hearth_get_stats(run->heap, &stats) != HEARTH_OK ||
        hearth_last_collection(run->heap, &last) != HEARTH_OK)
        run_fail("statistics");
    printf("{\"workload\": \"%s\", \"options\": \"%s\", \"threads\": %d, \"collections\": %d"
           ", \"counted\": %s",
           run->workload->name, options != NULL ? options : "", run->threads, collections,
           na_present() ? "true" : "false");
    printf(", \"live_bytes\": %" PRIu64 ", \"traced\": %" PRIu64 ", \"local\": %" PRIu64
           ", \"sent\": %" PRIu64 ", \"stolen\": %" PRIu64 ", \"workers\": %" PRIu32
           ", \"pause_ms\": %.3f, \"cpu_ms\": %.3f",
           last.live_bytes, last.objects_traced, last.local, last.sent, last.stolen, last.workers,
           (double)last.pause_ns * 1e-6, run->cpu_ms);
    print_sums("heap", "full", "gc-worker", "heap");
    print_sums("window", "full", "gc-worker", "window");
    print_sums("all", "full", "gc-worker", "");
    print_sums("allocate", "allocate", "mutator", "window");
    print_nodes(run, stats.nodes);
    printf("}\n");
}

int main(int argc, char **argv)
{
    static struct run run = {.objects = OBJECTS};
    int collections = COLLECTIONS;
    arguments(&run, &collections, argc, argv);
    if (hearth_heap_create(&run.heap, NULL) != HEARTH_OK)
        run_fail("heap");
    if (run.threads == 0)
        run.threads = hearth_topology_cpus(hearth_heap_topology(run.heap));
    if (run.threads > RUN_THREADS)
        run.threads = RUN_THREADS;
    run_all(&run, collections);
    print_result(&run, collections);
    if (hearth_heap_destroy(run.heap) != HEARTH_OK)
        run_fail("heap");
    return 0;
}
