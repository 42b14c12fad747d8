/* bench/latency.c - percentiles of a latency histogram.
 *
 * Invariant: as in latency.h. No locks, no threads, no nodes. */
#include "bench/latency.h"

void latency_merge(struct latency *into, const struct latency *from)
{
    for (int i = 0; i < LATENCY_COUNTS; i++)
        into->count[i] += from->count[i];
    if (from->longest > into->longest)
        into->longest = from->longest;
}

/* One above the largest value that falls into a bucket. */
static uint64_t bucket_end(unsigned bucket)
{
    if (bucket < LATENCY_STEPS)
        return bucket + 1;
    unsigned shift = bucket / LATENCY_STEPS - 1;
    return (uint64_t)(bucket % LATENCY_STEPS + LATENCY_STEPS + 1) << shift;
}

double latency_us(const struct latency *latency, double percent)
{
    uint64_t all = 0, seen = 0;
    for (int i = 0; i < LATENCY_COUNTS; i++)
        all += latency->count[i];
    double rank = percent / 100 * (double)all;
    for (unsigned i = 0; i < LATENCY_COUNTS && percent < 100; i++) {
        seen += latency->count[i];
        if (latency->count[i] > 0 && (double)seen > rank) {
            uint64_t end = bucket_end(i);
            return (double)(end < latency->longest ? end : latency->longest) * 1e-3;
        }
    }
    return (double)latency->longest * 1e-3;
}
