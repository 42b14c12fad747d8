/* bench/runner/probe.c - how long a load from memory takes now, in nanoseconds.
 *
 * On a virtual machine the neighbours' use of caches and memory is in no statistics: the same program
 * takes two or three times as long for some minutes. The runner asks before and after each run, and takes a run for
 * disturbed when a load took much longer than it can (measure.py). 64 MB are read at random, each address depending
 * on the load before: nothing can be fetched ahead. Prints the median of 5 parts of 40,000 loads. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { WORDS = 8 << 20, PARTS = 5, LOADS = 40000 };

static double now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(void)
{
    uint64_t *word = malloc(WORDS * sizeof *word), at = 1;
    double each[PARTS];
    if (word == NULL) {
        fprintf(stderr, "probe: no memory for %zu bytes\n", WORDS * sizeof *word);
        return 1;
    }
    memset(word, 1, WORDS * sizeof *word); /* a page of zeros would be one page */
    for (int part = 0; part < PARTS; part++) {
        double begin = now_ns();
        for (int i = 0; i < LOADS; i++)
            at = at * 6364136223846793005u + (word[(at >> 32) % WORDS] | 1);
        each[part] = (now_ns() - begin) / LOADS;
    }
    qsort(each, PARTS, sizeof each[0], compare);
    printf("%.1f %d\n", each[PARTS / 2], at == 0);
    free(word);
    return 0;
}
