/* tests/fuzz/report.c - counters of a run, and how a failed assertion ends it.
 *
 * The shadow model reports by libcheck's macros. The programs here are linked without that library and
 * define the two functions that the macros call: a difference prints a line and aborts, which a fuzzer
 * takes for a crash. Invariant: counters only grow; any thread adds to them. */
#define _GNU_SOURCE
#include "tests/fuzz/fuzz.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static struct fuzz_counts own_counts;
struct fuzz_counts *fuzz_counts = &own_counts;

void _mark_point(const char *file, int line)
{
    (void)file;
    (void)line;
}

void _ck_assert_failed(const char *file, int line, const char *expression, const char *message, ...)
{
    va_list arguments;

    fflush(stdout);
    fprintf(stderr, "%s:%d: %s", file, line, expression);
    if (message != NULL) {
        fputs(": ", stderr);
        va_start(arguments, message);
        vfprintf(stderr, message, arguments);
        va_end(arguments);
    }
    fputc('\n', stderr);
    fflush(stderr);
    abort();
}

void fuzz_print_counts(double seconds)
{
    const struct fuzz_counts *counts = fuzz_counts;

    printf("fuzz: %" PRIu64 " operations in %" PRIu64 " strings, %" PRIu64
           " collections checked, %" PRIu64 " wrong calls refused, %" PRIu64
           " allocations without memory, %.0f s: 0 differences\n",
           counts->operations, counts->strings, counts->collections, counts->refused,
           counts->no_memory, seconds);
    fflush(stdout);
}
