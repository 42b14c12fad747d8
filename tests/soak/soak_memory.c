/* tests/soak/soak_memory.c - resident memory: samples, intervals, and whether they grow.
 *
 * Invariant: as in soak_memory.h. Called by the main thread only; no locks. */
#define _GNU_SOURCE
#include "tests/soak/soak_memory.h"

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

static double mean_of(const struct soak_memory *memory, int from, int to)
{
    double sum = 0;

    for (int i = from; i < to; i++)
        sum += memory->mean[i];
    return sum / (to - from);
}

bool soak_memory_growth(const struct soak_memory *memory, double *growth, double *peak)
{
    int warm = memory->warm, count = memory->intervals - warm, half = count / 2;

    *growth = *peak = 0;
    for (int i = warm; i < memory->intervals; i++)
        if (memory->peak[i] > *peak)
            *peak = memory->peak[i];
    if (half < 2)
        return false;
    *growth = mean_of(memory, memory->intervals - half, memory->intervals) /
                  mean_of(memory, warm, warm + half) -
              1;
    return true;
}
