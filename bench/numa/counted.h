/* bench/numa/counted.h - what the counted adapters share: a line of JSON with the counts, on standard error. */
#ifndef HEARTH_BENCH_NUMA_COUNTED_H
#define HEARTH_BENCH_NUMA_COUNTED_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/numa/access.h"

static void counted_print(const char *system, uint64_t collections)
{
    struct na_sums s = na_query("collect", "", "");
    uint64_t all = na_accesses(&s);
    const char *options = getenv("HEARTH_OPTIONS");
    fprintf(stderr,
            "{\"workload\": \"" WORKLOAD "\", \"system\": \"%s\", \"options\": \"%s\""
            ", \"collections\": %" PRIu64 ", \"accesses\": %" PRIu64
            ", \"local_percent\": %.2f, \"distance\": %.2f}\n",
            system, options != NULL ? options : "", collections, all, na_local_percent(&s),
            all != 0 ? (double)s.distance / (double)all : 0);
}

#endif
