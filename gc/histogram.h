/* gc/histogram.h - pause times in buckets whose bounds are within 1/16 of each other (as HdrHistogram).
 * Fixed size, no allocation. Lock: the owner's. */
#ifndef HEARTH_GC_HISTOGRAM_H
#define HEARTH_GC_HISTOGRAM_H

#include <stdint.h>

enum { HG_BUCKETS = 16 * 45 };

struct hg_histogram {
    uint64_t count, total, max;
    uint32_t bucket[HG_BUCKETS];
};

void hg_histogram_add(struct hg_histogram *histogram, uint64_t value);
/* Upper bound of the bucket that holds the given percentile (0..100), at most the maximum; 0 if empty. */
uint64_t hg_histogram_percentile(const struct hg_histogram *histogram, double percent);
/* How many values are below `bound`, a power of two from 16 on. */
uint64_t hg_histogram_below(const struct hg_histogram *histogram, uint64_t bound);

#endif
