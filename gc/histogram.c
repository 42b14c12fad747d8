/* gc/histogram.c - logarithmic buckets with 16 linear steps per power of two. */
#include "gc/histogram.h"

static unsigned hg_bucket_of(uint64_t value)
{
    if (value < 16)
        return (unsigned)value;
    unsigned log = 63u - (unsigned)__builtin_clzll(value);
    unsigned bucket = (log - 3) * 16 + (unsigned)((value >> (log - 4)) & 15);
    return bucket < HG_BUCKETS ? bucket : HG_BUCKETS - 1;
}

static uint64_t hg_bucket_top(unsigned bucket)
{
    if (bucket < 16)
        return bucket;
    unsigned log = bucket / 16 + 3;
    return (((uint64_t)16 + bucket % 16 + 1) << (log - 4)) - 1;
}

void hg_histogram_add(struct hg_histogram *histogram, uint64_t value)
{
    histogram->bucket[hg_bucket_of(value)]++;
    histogram->count++;
    histogram->total += value;
    if (value > histogram->max)
        histogram->max = value;
}

uint64_t hg_histogram_below(const struct hg_histogram *histogram, uint64_t bound)
{
    uint64_t count = 0;
    for (unsigned b = 0; b < HG_BUCKETS && hg_bucket_top(b) < bound; b++)
        count += histogram->bucket[b];
    return count;
}

uint64_t hg_histogram_percentile(const struct hg_histogram *histogram, double percent)
{
    if (histogram->count == 0)
        return 0;
    double wanted = percent / 100.0 * (double)histogram->count;
    uint64_t seen = 0;
    for (unsigned b = 0; b < HG_BUCKETS; b++) {
        seen += histogram->bucket[b];
        if (histogram->bucket[b] != 0 && (double)seen >= wanted) {
            uint64_t top = hg_bucket_top(b); /* the last bucket has none */
            return top < histogram->max && b < HG_BUCKETS - 1 ? top : histogram->max;
        }
    }
    return histogram->max;
}
