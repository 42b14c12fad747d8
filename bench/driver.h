/* bench/driver.h - main() of every benchmark program: threads, timing, and the result.
 *
 * Included once, by the workload, which names itself by WORKLOAD and defines the three functions
 * declared here. If it has variants it defines WORKLOAD_VARIANTS as their names in quotes, separated
 * by commas, and reads driver_variant; if its live size can be scaled it defines WORKLOAD_SIZED, and
 * reads driver_size. Each thread does its own copy of the work; thread 0 is the main thread, so that a
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
#include "bench/latency.h"
#include "bench/measure.h"
#include "bench/report.h"
#include "bench/system.h"

/* One thread's share of the run. */
struct worker {
    unsigned index;              /* 0 .. threads - 1                                     */
    double scale;                /* how much work                                        */
    uint64_t allocations;        /* out: objects allocated                               */
    uint64_t checksum;           /* out: of the work                                     */
    uint64_t ops;                /* out: operations, if they are not the allocations     */
    struct latency *latency;     /* out: how long each took, if it was taken             */
    const struct report *report; /* for the progress line                                */
    pthread_t thread;            /* of index > 0                                         */
};

#ifndef WORKLOAD
#error "a workload defines WORKLOAD, its name, before it includes this"
#endif

static double driver_size = 1;           /* --size                               */
static unsigned driver_variant;          /* --variant                            */
static pthread_barrier_t driver_barrier; /* of all workers                       */
static double driver_cpu[2];             /* at work_begin and work_end           */
static uint64_t driver_wall[2];          /* the same; 0: not called              */
static double driver_rss;                /* at work_end                          */
static const double driver_percent[] = {50, 99, 99.9, 100};

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

/* All threads meet; thread 0 looks at the clocks meanwhile. */
static inline void driver_mark(sys_thread m, const struct worker *worker, int which)
{
    sys_wait_begin(m);
    pthread_barrier_wait(&driver_barrier);
    if (worker->index == 0) {
        driver_cpu[which] = measure_cpu_seconds();
        driver_wall[which] = measure_now();
        driver_rss = measure_peak_rss_mb();
    }
    pthread_barrier_wait(&driver_barrier);
    sys_wait_end(m);
}

/* For the workload: the preparations are done, or the operations. Either both are called, once by
 * every thread, or neither; then the whole process is measured. */
static inline __attribute__((unused)) void work_begin(sys_thread m, const struct worker *worker)
{
    driver_mark(m, worker, 0);
}

static inline __attribute__((unused)) void work_end(sys_thread m, const struct worker *worker)
{
    driver_mark(m, worker, 1);
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
    if (pthread_barrier_init(&driver_barrier, NULL, report->threads) != 0)
        bench_fail(1, "no barrier for %u threads", report->threads);
    driver_run(workers, report->threads);
    struct latency *latency = NULL;
    for (unsigned i = 0; i < report->threads; i++) {
        report->allocations += workers[i].allocations;
        report->checksum += workers[i].checksum;
        report->ops += workers[i].ops;
        if (latency == NULL)
            latency = workers[i].latency;
        else if (workers[i].latency != NULL)
            latency_merge(latency, workers[i].latency);
    }
    for (int i = 0; i < 4 && latency != NULL; i++)
        report->latency_us[i] = latency_us(latency, driver_percent[i]);
    for (unsigned i = 0; i < report->threads; i++)
        free(workers[i].latency);
    free(workers);
}

/* What was measured between work_begin and work_end, or else of the whole process. */
static void driver_fill_work(struct report *report)
{
    bool marked = driver_wall[1] != 0;
    if (report->ops == 0)
        report->ops = report->allocations;
    report->work_cpu_s = marked ? driver_cpu[1] - driver_cpu[0] : report->cpu_s;
    report->work_wall_s =
        marked ? (double)(driver_wall[1] - driver_wall[0]) * 1e-9 : report->wall_s;
}

#ifdef WORKLOAD_VARIANTS
static const char *const driver_variants[] = {WORKLOAD_VARIANTS};
#else
static const char *const driver_variants[] = {""};
#endif

static struct arguments driver_arguments(int argc, char **argv)
{
    struct choices choices = {.variants = driver_variants};
#ifdef WORKLOAD_VARIANTS
    choices.count = sizeof driver_variants / sizeof driver_variants[0];
#endif
#ifdef WORKLOAD_SIZED
    choices.sized = true;
#endif
    struct arguments arguments = arguments_parse(argc, argv, &choices);
    driver_size = arguments.size;
    driver_variant = arguments.variant;
    return arguments;
}

int main(int argc, char **argv)
{
    uint64_t begin = measure_now();
    struct arguments arguments = driver_arguments(argc, argv);
    unsigned threads = arguments.threads != 0 ? arguments.threads : sys_cpus();
    double live = (double)workload_live_bytes() * threads;
    double heap = live * arguments.heap_x;
    if (arguments.live) {
        printf("%.0f\n", live);
        return 0;
    }
    struct sys_config config = {.heap_bytes = (size_t)heap, .threads = threads};
    struct report report = {.workload = WORKLOAD,
                            .system = SYSTEM_NAME,
                            .threads = threads,
                            .heap_x = arguments.heap_x,
                            .live_mb = live / 1e6,
                            .variant = driver_variants[arguments.variant],
                            .size = arguments.size,
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
    report.peak_rss_mb = driver_rss > 0 ? driver_rss : measure_peak_rss_mb();
    driver_fill_work(&report);
    report_progress_finish();
    report_print(&report, arguments.json);
    if (nodes != NULL)
        fputs(nodes, stdout);
    free(nodes);
    return 0;
}

#endif
