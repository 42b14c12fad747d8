/* tests/numa/tsc_khz.c - prints the frequency of this machine's time stamp counter in kHz.
 *
 * The guest's processors of software have the host's counter. A guest that boots on a busy host measures its
 * frequency wrongly now and then, by a factor, and its clock, and with it every time limit in there,
 * is wrong from then on: so the rig tells it. The median of several short measurements, each against the
 * raw monotonic clock. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <x86intrin.h>

enum { TIMES = 9, PAUSE_NS = 10000000 };

struct moment {
    unsigned long long ticks;
    double ns;
};

/* Both clocks at once: of several tries the one that took the fewest ticks. */
static struct moment now(void)
{
    struct moment best = {0, 0};
    unsigned long long least = ~0ull;
    for (int i = 0; i < 20; i++) {
        struct timespec time;
        unsigned long long before = __rdtsc();
        clock_gettime(CLOCK_MONOTONIC_RAW, &time);
        unsigned long long after = __rdtsc();
        if (after - before < least) {
            least = after - before;
            best.ticks = before + least / 2;
            best.ns = (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
        }
    }
    return best;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(void)
{
    double khz[TIMES];
    for (int i = 0; i < TIMES; i++) {
        struct moment begin = now();
        nanosleep(&(struct timespec){0, PAUSE_NS}, NULL);
        struct moment end = now();
        khz[i] = (double)(end.ticks - begin.ticks) / (end.ns - begin.ns) * 1e6;
    }
    qsort(khz, TIMES, sizeof *khz, compare);
    printf("%.0f\n", khz[TIMES / 2]);
    return 0;
}
