/* bench/latency.h - how long each of many operations took: a histogram, and its percentiles.
 *
 * Counts are kept for 32 steps of each doubling (an error below 3 %), so that recording costs a few
 * instructions and no memory grows: the idea is Tene's HdrHistogram.
 *
 * Invariant: the counts sum to the number of operations recorded. One thread records in a histogram;
 * latency_merge is called by one thread at a time. No node owns anything here. */
#ifndef HEARTH_BENCH_LATENCY_H
#define HEARTH_BENCH_LATENCY_H

#include <stdint.h>

enum { LATENCY_STEPS = 32, LATENCY_COUNTS = 60 * LATENCY_STEPS };

struct latency {
    uint64_t count[LATENCY_COUNTS]; /* operations, by bucket                               */
    uint64_t longest;               /* nanoseconds, exact                                  */
};

static inline unsigned latency_bucket(uint64_t ns)
{
    if (ns < LATENCY_STEPS)
        return (unsigned)ns;
    unsigned shift = 58u - (unsigned)__builtin_clzll(ns); /* leaves 32 .. 63 */
    return (shift + 1) * LATENCY_STEPS + (unsigned)((ns >> shift) - LATENCY_STEPS);
}

static inline void latency_add(struct latency *latency, uint64_t ns)
{
    latency->count[latency_bucket(ns)]++;
    if (ns > latency->longest)
        latency->longest = ns;
}

/* Adds the counts of `from`. */
void latency_merge(struct latency *into, const struct latency *from);

/* In microseconds: the upper bound of the bucket that holds the operation of a percentile in
 * 0..100, at most the longest; 100 gives the longest. 0 if nothing was recorded. */
double latency_us(const struct latency *latency, double percent);

#endif
