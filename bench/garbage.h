/* bench/garbage.h - sizes of short-lived buffers: 0 to 36 words, small ones most often.
 *
 * The sizes are those of Whippet's variant of GCBench: a geometric distribution. A table of 256 sizes
 * is walked in turns, so that the sequence is the same everywhere.
 *
 * Invariant: after garbage_start the table holds exactly the shares of the distribution; it is
 * written before the threads start, and read by all. */
#ifndef HEARTH_BENCH_GARBAGE_H
#define HEARTH_BENCH_GARBAGE_H

#include <stdint.h>

enum { GARBAGE_SIZES = 256, GARBAGE_MAX_WORDS = 36 };

static uint8_t garbage_size[GARBAGE_SIZES]; /* words; the same sequence for every thread   */

/* A geometric distribution cut at 36: the share q^n of all sizes is n words or more, q = 0.86; mean
 * 6, 14 % are 0 (nothing is allocated), 4 % above 20. Exactly that share of the table, then
 * shuffled (Fisher and Yates) by xorshift64 from a fixed seed. */
static inline void garbage_start(void)
{
    const double q = 0.86;
    for (int rank = 0; rank < GARBAGE_SIZES; rank++) {
        double share = (rank + 0.5) / GARBAGE_SIZES;
        int words = 0;
        for (double more = q; words < GARBAGE_MAX_WORDS && share < more; more *= q)
            words++;
        garbage_size[rank] = (uint8_t)words;
    }
    uint64_t random = 88172645463325252u;
    for (int last = GARBAGE_SIZES - 1; last > 0; last--) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        int other = (int)(random % (uint64_t)(last + 1));
        uint8_t swap = garbage_size[last];
        garbage_size[last] = garbage_size[other];
        garbage_size[other] = swap;
    }
}

#endif
