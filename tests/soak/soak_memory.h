/* tests/soak/soak_memory.h - how much memory the process has, and whether that stays the same.
 *
 * Invariant: the run is cut into intervals; each has the mean and the peak of its samples. One thread. */
#ifndef HEARTH_TESTS_SOAK_MEMORY_H
#define HEARTH_TESTS_SOAK_MEMORY_H

#include <stdbool.h>
#include <stdio.h>

enum { SOAK_INTERVALS = 100000 };

struct soak_memory {
    double mean[SOAK_INTERVALS]; /* resident MB                      */
    double peak[SOAK_INTERVALS];
    int intervals;  /* finished                         */
    int warm;       /* first one that counts            */
    double sum;     /* of the present one               */
    double highest; /* in it                            */
    int samples;    /* in it                            */
};

/* Take a sample; end the interval. */
void soak_memory_sample(struct soak_memory *memory);
void soak_memory_interval(struct soak_memory *memory);

/* How much more the second half of the intervals that count had, as a share of the first half: by their means;
 * and the highest peak of all. False if fewer than four count. */
bool soak_memory_growth(const struct soak_memory *memory, double *growth, double *peak);

#endif
