/* bench/measure.c - clocks, memory and pauses of the running program, and how it gives up.
 *
 * Invariant: pauses[0, pause_count) are recorded and, after measure_pause_ms, sorted; the ones
 * beyond the table's length only count and raise the maximum. Lock order: none; measure_pause is
 * called by one thread at a time, the readers when no other thread is left. */
#define _GNU_SOURCE 1

#include "bench/measure.h"

#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { PAUSES = 1 << 20 };

const char *bench_program = "bench";

static uint64_t pauses[PAUSES]; /* nanoseconds; pages are touched as it fills  */
static uint64_t pause_count;    /* ever recorded                               */
static uint64_t pause_max;      /* longest                                     */

uint64_t measure_now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static double seconds(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec * 1e-6;
}

double measure_cpu_seconds(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

/* VmHWM and not ru_maxrss, which an exec inherits from the process that forked. */
double measure_peak_rss_mb(void)
{
    FILE *status = fopen("/proc/self/status", "r");
    unsigned long kib = 0;
    if (status != NULL) {
        char line[256];
        while (fgets(line, sizeof line, status) != NULL)
            if (sscanf(line, "VmHWM: %lu kB", &kib) == 1)
                break;
        fclose(status);
    }
    if (kib == 0) {
        struct rusage usage;
        getrusage(RUSAGE_SELF, &usage);
        kib = (unsigned long)usage.ru_maxrss;
    }
    return (double)kib * 1024 / 1e6;
}

unsigned measure_cpus(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        return (unsigned)CPU_COUNT(&set);
    long online = sysconf(_SC_NPROCESSORS_ONLN); /* more CPUs than a cpu_set_t has */
    return online > 0 ? (unsigned)online : 1;
}

void measure_pause(uint64_t nanoseconds)
{
    if (pause_count < PAUSES)
        pauses[pause_count] = nanoseconds;
    pause_count++;
    if (nanoseconds > pause_max)
        pause_max = nanoseconds;
}

uint64_t measure_pauses(void)
{
    return pause_count;
}

static int compare_pauses(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

/* Nearest rank. */
double measure_pause_ms(double percent)
{
    size_t count = pause_count < PAUSES ? (size_t)pause_count : PAUSES;
    if (count == 0)
        return 0;
    if (percent >= 100)
        return (double)pause_max * 1e-6;
    qsort(pauses, count, sizeof pauses[0], compare_pauses);
    size_t rank = (size_t)(percent / 100 * (double)count);
    return (double)pauses[rank < count ? rank : count - 1] * 1e-6;
}

/* _exit: other threads may be at work, and the system under test may hold locks that its exit
 * handlers want. */
void bench_fail(int code, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    fprintf(stderr, "%s: %s\n", bench_program, text);
    fflush(stdout);
    _exit(code);
}
