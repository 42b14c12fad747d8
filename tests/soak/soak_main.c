/* tests/soak/soak_main.c - starts the soak, prints a line per interval, and judges.
 *
 *     soak SECONDS
 *
 * Twelve or more intervals of at most ten seconds. Judged are: that nothing was lost (every thread checks
 * its own), that the verifier finds nothing, that memory is flat after the first minute (or third, if the
 * run is shorter): its mean in the second half of what follows is at most 5 % above that in the first half
 * (100 % in runs below three minutes), that an empty heap is empty, and what the features counted. Exit status 0 only
 * if all is right; 2 for wrong arguments. HEARTH_OPTIONS sets the heap's options.
 *
 * The main thread attaches only to verify. Lock order: none. */
#define _GNU_SOURCE
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/soak/soak.h"
#include "tests/soak/soak_memory.h"

/* How much more memory the second half of the run may have, after warming up. Short runs are too short to even
 * out where in its cycle a collector was. */
static const double GROWTH = 0.05, GROWTH_SHORT = 1;
enum { SAMPLE_MS = 50, VERIFY_SAMPLES = 60, WARM_SECONDS = 60, INTERVAL_SECONDS = 10, SHORT = 180 };

_Noreturn void soak_fail(const char *format, ...)
{
    va_list arguments;

    fflush(stdout);
    fputs("soak: FAILED: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    fflush(stderr);
    abort();
}

static double now(void)
{
    struct timespec at;

    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec + (double)at.tv_nsec * 1e-9;
}

/* --- lines --------------------------------------------------------------------------------------- */

static uint64_t operations(const struct soak *soak)
{
    uint64_t sum = 0;

    for (int i = 0; i < SOAK_THREADS; i++)
        sum += __atomic_load_n(&soak->thread[i].operations, __ATOMIC_RELAXED);
    return sum;
}

static void print_line(struct soak *soak, const struct soak_memory *memory, double seconds)
{
    hearth_stats stats = {.struct_size = sizeof(stats)};
    int last = memory->intervals - 1;

    SOAK_OK(hearth_get_stats(soak->heap, &stats));
    printf("%6.0f s  %9" PRIu64 " operations  %6" PRIu64 " minor  %5" PRIu64
           " full  pause max %5.1f ms  heap %5.1f MB  resident %6.1f MB, peak %6.1f MB  %" PRIu64
           " forks",
           seconds, operations(soak), stats.minor_count, stats.full_count,
           (double)stats.pause_max_ns * 1e-6, (double)stats.heap_bytes * 1e-6, memory->mean[last],
           memory->peak[last], __atomic_load_n(&soak->forks, __ATOMIC_RELAXED));
    for (int i = 0; i < soak_features; i++)
        if (soak_feature[i]->line != NULL)
            soak_feature[i]->line(stdout);
    putchar('\n');
    fflush(stdout);
}

static void verify(struct soak *soak)
{
    hearth_mutator *m;

    SOAK_OK(hearth_attach(soak->heap, NULL, &m));
    SOAK_OK(hearth_verify(m));
    SOAK_OK(hearth_detach(m));
}

/* Sample, verify and print until the time is over. */
static void watch(struct soak *soak, struct soak_memory *memory, double seconds)
{
    const struct timespec pause = {0, SAMPLE_MS * 1000000L};
    double begin = now(), fork_at = begin + 1, interval = seconds / 12;

    if (interval > INTERVAL_SECONDS)
        interval = INTERVAL_SECONDS;
    double warm = seconds / 3 < WARM_SECONDS ? seconds / 3 : WARM_SECONDS, next = begin + interval;
    for (unsigned sample = 1; now() - begin < seconds; sample++) {
        nanosleep(&pause, NULL);
        soak_memory_sample(memory);
        if (sample % VERIFY_SAMPLES == 0)
            verify(soak);
        if (now() >= fork_at) {
            __atomic_store_n(&soak->fork_turn, (int)(fork_at - begin) % SOAK_THREADS,
                             __ATOMIC_RELAXED);
            fork_at += 1;
        }
        if (now() < next)
            continue;
        soak_memory_interval(memory);
        if (next - begin <= warm + interval / 2)
            memory->warm = memory->intervals;
        print_line(soak, memory, now() - begin);
        next += interval;
    }
}

/* --- beginning and ending ------------------------------------------------------------------------ */

static void create_types(struct soak *soak)
{
    SOAK_OK(hearth_heap_create(&soak->heap, NULL));
    SOAK_OK(hearth_type_fixed(soak->heap, "soak node", sizeof(struct soak_node), 3, &soak->node));
    SOAK_OK(hearth_type_refs(soak->heap, "soak references", &soak->refs));
    SOAK_OK(hearth_type_bytes(soak->heap, "soak bytes", &soak->bytes));
}

/* The dealer has the market's places, and stands in for threads that have ended. */
static void create_market(struct soak *soak, struct soak_thread *dealer)
{
    dealer->soak = soak;
    dealer->number = SOAK_THREADS;
    SOAK_OK(hearth_attach(soak->heap, NULL, &dealer->mutator));
    soak_places_create(dealer, &soak->market);
    soak_begin_features(dealer);
    SOAK_OK(hearth_detach(dealer->mutator));
}

/* All pieces are dropped, what features keep is accounted for, and nothing may be left. */
static void finish(struct soak *soak, struct soak_thread *dealer)
{
    hearth_stats stats = {.struct_size = sizeof(stats)};
    hearth_mutator *m;

    SOAK_OK(hearth_attach(soak->heap, NULL, &m));
    dealer->mutator = m;
    dealer->places = soak->market;
    soak_check_all(dealer);
    soak_drop_all(dealer);
    soak_finish_features(dealer);
    for (int i = 0; i < SOAK_THREADS; i++) {
        soak->thread[i].mutator = m;
        soak_finish_features(&soak->thread[i]);
    }
    for (int i = 0; i < SOAK_THREADS; i++)
        SOAK_OK(hearth_root_remove(soak->heap, (void **)&soak->thread[i].places.column));
    SOAK_OK(hearth_root_remove(soak->heap, (void **)&soak->market.column));
    for (int i = 0; i < 2; i++)
        SOAK_OK(hearth_gc_collect(m, 2));
    SOAK_OK(hearth_verify(m));
    SOAK_OK(hearth_get_stats(soak->heap, &stats));
    if (stats.live_objects != 0)
        soak_fail("%" PRIu64 " objects of %" PRIu64 " bytes are left in an empty heap",
                  stats.live_objects, stats.live_bytes);
    SOAK_OK(hearth_detach(m));
    SOAK_OK(hearth_heap_destroy(soak->heap));
}

static void run(struct soak *soak, struct soak_memory *memory, double seconds)
{
    static struct soak_thread dealer;

    soak->fork_turn = -1;
    create_types(soak);
    create_market(soak, &dealer);
    pthread_mutex_init(&soak->lock, NULL);
    for (int i = 0; i < SOAK_THREADS; i++) {
        struct soak_thread *thread = &soak->thread[i];
        thread->soak = soak;
        thread->number = i;
        thread->random = (uint64_t)time(NULL) + (uint64_t)i;
        if (pthread_create(&thread->thread, NULL, soak_thread_main, thread) != 0)
            soak_fail("thread %d does not start", i);
    }
    watch(soak, memory, seconds);
    __atomic_store_n(&soak->stop, true, __ATOMIC_RELAXED);
    for (int i = 0; i < SOAK_THREADS; i++)
        pthread_join(soak->thread[i].thread, NULL);
    finish(soak, &dealer);
    pthread_mutex_destroy(&soak->lock);
}

int main(int argc, char **argv)
{
    static struct soak soak;
    static struct soak_memory memory;
    char *end = NULL;
    double seconds = argc == 2 ? strtod(argv[1], &end) : 0, growth = 0, peak = 0;

    if (end == NULL || *end != '\0' || !(seconds >= 1 && seconds <= 1e6)) {
        fprintf(stderr, "usage: soak SECONDS (1 to 1000000)%s%s\n", argc > 1 ? ", not " : "",
                argc > 1 ? argv[1] : "");
        return 2;
    }
    run(&soak, &memory, seconds);
    double bar = seconds < SHORT ? GROWTH_SHORT : GROWTH;
    bool flat = !soak_memory_growth(&memory, &growth, &peak) || growth <= bar;
    printf("soak: %s: nothing lost in %" PRIu64 " operations on %" PRIu64 " pieces, %" PRIu64
           " forks; the verifier is content; resident memory grew by %+.1f %% (at most %.0f), peak "
           "%.1f MB\n",
           flat ? "OK" : "FAILED", operations(&soak), soak.pieces, soak.forks, growth * 100,
           bar * 100, peak);
    return flat ? 0 : 1;
}
