/* bench/driver.h - main() of every benchmark program: threads, timing, and the result.
 *
 * Included once, by the workload, which names itself by WORKLOAD and defines the three functions
 * declared here. Each thread does its own copy of the work; thread 0 is the main thread, so that a
 * program of one thread stays one for its C library. The heap is heap_x times the live size of one
 * copy, times the threads.
 *
 * Invariant: no thread is attached when the system is stopped and the result is taken. Lock order:
 * none. Nothing here is placed on nodes: threads run where the operating system puts them, and the
 * memory system decides about memory. */
#ifndef HEARTH_BENCH_DRIVER_H
#define HEARTH_BENCH_DRIVER_H

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "bench/arguments.h"
#include "bench/measure.h"
#include "bench/report.h"
#include "bench/system.h"

/* One thread's share of the run. */
struct worker {
    unsigned index;              /* 0 .. threads - 1                                     */
    double scale;                /* how much work                                        */
    uint64_t allocations;        /* out: objects allocated                               */
    uint64_t checksum;           /* out: of the work                                     */
    const struct report *report; /* for the progress line                                */
    pthread_t thread;            /* of index > 0                                         */
};

#ifndef WORKLOAD
#error "a workload defines WORKLOAD, its name, before it includes this"
#endif

/* Defined by the workload. */
static size_t workload_live_bytes(void); /* most that one copy has live at once            */
static bool workload_start(void);        /* registers types; false: see sys_error          */
static void workload_run(sys_thread m, struct worker *worker);

/* For the workload: `share` of the work is done. */
static inline void worker_progress(const struct worker *worker, double share)
{
    if (worker->index == 0)
        report_progress(worker->report, share);
}

/* For the workload: an allocation gave NULL. */
static _Noreturn __attribute__((cold, noinline, unused)) void worker_no_memory(void)
{
    report_progress_finish();
    bench_fail(1, "no memory: %s", sys_error());
}

static void *worker_main(void *argument)
{
    struct worker *worker = argument;
    sys_thread m;
    if (!sys_attach(&m))
        bench_fail(1, "thread %u cannot attach: %s", worker->index, sys_error());
    workload_run(m, worker);
    sys_detach(m);
    return NULL;
}

static void driver_run(struct worker *workers, unsigned threads)
{
    for (unsigned i = 1; i < threads; i++) {
        int error = pthread_create(&workers[i].thread, NULL, worker_main, &workers[i]);
        if (error != 0)
            bench_fail(1, "thread %u cannot start: %s", i, strerror(error));
    }
    worker_main(&workers[0]);
    for (unsigned i = 1; i < threads; i++)
        pthread_join(workers[i].thread, NULL);
}

/* Runs the threads, and sums what they did. */
static void driver_work(struct report *report, double scale)
{
    struct worker *workers = calloc(report->threads, sizeof *workers);
    if (workers == NULL)
        bench_fail(1, "no memory for %u threads", report->threads);
    for (unsigned i = 0; i < report->threads; i++) {
        workers[i].index = i;
        workers[i].scale = scale;
        workers[i].report = report;
    }
    driver_run(workers, report->threads);
    for (unsigned i = 0; i < report->threads; i++) {
        report->allocations += workers[i].allocations;
        report->checksum += workers[i].checksum;
    }
    free(workers);
}

int main(int argc, char **argv)
{
    uint64_t begin = measure_now();
    struct arguments arguments = arguments_parse(argc, argv);
    unsigned threads = arguments.threads != 0 ? arguments.threads : sys_cpus();
    double live = (double)workload_live_bytes() * threads;
    double heap = live * arguments.heap_x;
    struct sys_config config = {.heap_bytes = (size_t)heap, .threads = threads};
    struct report report = {.workload = WORKLOAD,
                            .system = SYSTEM_NAME,
                            .threads = threads,
                            .heap_x = arguments.heap_x,
                            .live_mb = live / 1e6,
                            .heap_mb = SYS_LIMITED ? heap / 1e6 : 0};
    if (!sys_start(&config) || !workload_start())
        bench_fail(1, "%s", sys_error());
    driver_work(&report, arguments.scale);

    char *nodes = NULL;
    size_t nodes_length = 0;
    FILE *stream = arguments.nodes ? open_memstream(&nodes, &nodes_length) : NULL;
    if (stream != NULL) {
        sys_print_nodes(stream);
        fclose(stream);
    }
    struct sys_report system = {0};
    sys_stop(&system);
    report.collections = system.collections;
    report.pause_p50_ms = system.pause_p50_ms;
    report.pause_p99_ms = system.pause_p99_ms;
    report.pause_max_ms = system.pause_max_ms;
    report.wall_s = (double)(measure_now() - begin) * 1e-9;
    report.cpu_s = measure_cpu_seconds();
    report.peak_rss_mb = measure_peak_rss_mb();
    report_progress_finish();
    report_print(&report, arguments.json);
    if (nodes != NULL)
        fputs(nodes, stdout);
    free(nodes);
    return 0;
}

#endif
