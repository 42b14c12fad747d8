/* bench/report.h - what a run found, and printing it.
 *
 * Invariant: every key of the JSON line is always there, in the same order, and the line is the
 * first of standard output. MB are 10^6 bytes. */
#ifndef HEARTH_BENCH_REPORT_H
#define HEARTH_BENCH_REPORT_H

#include <stdbool.h>
#include <stdint.h>

struct report {
    const char *workload;
    const char *system;
    unsigned threads;
    double heap_x;
    uint64_t allocations; /* objects                                                     */
    double cpu_s;         /* user and system time of the process                         */
    double wall_s;        /* from the start of main to the end of the work               */
    double peak_rss_mb;   /* most resident memory                                        */
    uint64_t collections;
    double pause_p50_ms;
    double pause_p99_ms;
    double pause_max_ms;
    uint64_t checksum;   /* of the work: the same for all systems                       */
    double live_mb;      /* most that can be live at once, by calculation               */
    double heap_mb;      /* what the heap was fixed to; 0: the system has no limit      */
    const char *variant; /* of the workload; "" if it has none                         */
    double size;         /* what is live, as a multiple of the usual                   */
    uint64_t ops;        /* operations: updates, requests ...; else the allocations    */
    double work_cpu_s;   /* of the operations alone, without preparations; else cpu_s  */
    double work_wall_s;
    double latency_us[4]; /* an operation's p50, p99, p99.9 and longest; 0: not taken   */
};

void report_print(const struct report *report, bool json);

/* A line on standard error that says how much is done, only if that is a terminal. `finish` clears
 * it. One thread. */
void report_progress(const struct report *report, double share);
void report_progress_finish(void);

#endif
