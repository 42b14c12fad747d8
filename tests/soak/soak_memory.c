/* tests/soak/soak_memory.c - resident memory: samples, intervals, and how far they differ.
 *
 * Invariant: as in soak_memory.h. Called by the main thread only; no locks. */
#define _GNU_SOURCE
#include "tests/soak/soak_memory.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static double resident_mb(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    unsigned long total = 0, resident = 0;

    if (file == NULL || fscanf(file, "%lu %lu", &total, &resident) != 2)
        resident = 0;
    if (file != NULL)
        fclose(file);
    return (double)resident * (double)sysconf(_SC_PAGESIZE) * 1e-6;
}

void soak_memory_sample(struct soak_memory *memory)
{
    double mb = resident_mb();

    memory->sum += mb;
    memory->samples++;
    if (mb > memory->highest)
        memory->highest = mb;
}

void soak_memory_interval(struct soak_memory *memory)
{
    int i = memory->intervals;

    if (i == SOAK_INTERVALS || memory->samples == 0)
        return;
    memory->mean[i] = memory->sum / memory->samples;
    memory->peak[i] = memory->highest;
    memory->intervals++;
    memory->sum = memory->highest = 0;
    memory->samples = 0;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

bool soak_memory_spread(const struct soak_memory *memory, double *least, double *most)
{
    int count = memory->intervals - memory->warm;

    if (count < 3)
        return false;
    double *sorted = malloc((size_t)count * sizeof(*sorted));
    if (sorted == NULL)
        return false;
    memcpy(sorted, memory->mean + memory->warm, (size_t)count * sizeof(*sorted));
    qsort(sorted, (size_t)count, sizeof(*sorted), compare);
    *least = sorted[0] / sorted[count / 2];
    *most = sorted[count - 1] / sorted[count / 2];
    free(sorted);
    return true;
}
