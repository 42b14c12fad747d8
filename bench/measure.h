/* bench/measure.h - clocks, memory and pauses of the running program, and how it gives up.
 *
 * Invariant: the figures are of the whole process: CPU seconds count every thread, also a system's
 * own workers, from the start of the program. Lock order: none; measure_pause is called by one
 * thread at a time. No node owns anything here. */
#ifndef HEARTH_BENCH_MEASURE_H
#define HEARTH_BENCH_MEASURE_H

#include <stdint.h>

/* Monotonic time in nanoseconds. */
uint64_t measure_now(void);

/* User and system time of the whole process so far, in seconds. */
double measure_cpu_seconds(void);

/* Most memory the process ever had resident, in MB (10^6 bytes). */
double measure_peak_rss_mb(void);

/* CPUs the process may run on. */
unsigned measure_cpus(void);

/* Records a pause, for systems that only give events. One thread at a time. */
void measure_pause(uint64_t nanoseconds);

/* How many pauses were recorded, and the one of a percentile in 0..100, in milliseconds. */
uint64_t measure_pauses(void);
double measure_pause_ms(double percent);

/* The name the program was started by, for messages. */
extern const char *bench_program;

/* Prints "program: message" on standard error and ends the process with `code`: 1, the run failed;
 * 2, its arguments are wrong. */
_Noreturn void bench_fail(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
