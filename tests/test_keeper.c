/* tests/test_keeper.c - the arena keeper: requests, periodic callbacks, sleeping, failures. */
#define _GNU_SOURCE 1

#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>

#include "tests/window_fixture.h"

static void sleep_ms(long ms)
{
    struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

    nanosleep(&time, NULL);
}

/* What a callback does and sees. */
struct watcher {
    struct ha_windows *windows;
    pthread_t thread;     /* where it ran                                    */
    uint64_t first, last; /* when                                            */
    int calls;            /* how often                                       */
    int ended;            /* how often it came to its end                    */
    int hold_ms;          /* how long it takes                               */
    int blocked;          /* it waits while this is 1                        */
    char *chunk[3];       /* what it took                                    */
};

static int load(const int *value)
{
    return __atomic_load_n(value, __ATOMIC_ACQUIRE);
}

static void add(int *value, int amount)
{
    __atomic_add_fetch(value, amount, __ATOMIC_RELEASE);
}

static void tick(void *data)
{
    struct watcher *watcher = data;

    watcher->thread = pthread_self();
    watcher->last = ht_os_now();
    if (watcher->first == 0)
        watcher->first = watcher->last;
    add(&watcher->calls, 1);
    if (watcher->hold_ms != 0)
        sleep_ms(watcher->hold_ms);
    while (load(&watcher->blocked))
        sleep_ms(1);
    add(&watcher->ended, 1);
}

/* Wait until it has been called `calls` times; false after ten seconds. */
static bool called(const struct watcher *watcher, int calls)
{
    for (int i = 0; i < 10000 && load(&watcher->calls) < calls; i++)
        sleep_ms(1);
    return load(&watcher->calls) >= calls;
}

/* --- watches --------------------------------------------------------------------------------------- */

START_TEST(watches_run_periodically)
{
    struct ha_windows *windows = fixture_windows(1, 0);
    struct watcher often = {0}, seldom = {0};
    uint64_t start = ht_os_now();

    HARNESS_OK(ha_keeper_watch(windows, tick, &seldom, 60));
    HARNESS_OK(ha_keeper_watch(windows, tick, &often, 10));
    ck_assert(called(&seldom, 3));
    ha_keeper_unwatch(windows, tick, &often);
    ha_keeper_unwatch(windows, tick, &seldom);
    ck_assert_uint_ge(seldom.first - start, 60 * 1000000u);
    ck_assert_uint_ge(seldom.last - seldom.first, 2 * 60 * 1000000u);
    ck_assert_uint_ge(often.last - often.first, (uint64_t)(often.calls - 1) * 10 * 1000000u);
    ck_assert_int_gt(often.calls, seldom.calls);
    ck_assert(!pthread_equal(often.thread, pthread_self()));
    ck_assert(pthread_equal(often.thread, seldom.thread));
    often.calls = seldom.calls = 0;
    sleep_ms(100);
    ck_assert_int_eq(often.calls + seldom.calls, 0);
}
END_TEST

/* A watch that comes later but is due earlier shortens a sleep that has begun. */
START_TEST(short_after_long)
{
    struct ha_windows *windows = fixture_windows(1, 0);
    struct watcher slow = {0}, fast = {0};

    HARNESS_OK(ha_keeper_watch(windows, tick, &slow, 3600 * 1000));
    sleep_ms(20);
    HARNESS_OK(ha_keeper_watch(windows, tick, &fast, 1));
    ck_assert(called(&fast, 5));
    ha_keeper_unwatch(windows, tick, &fast);
    ha_keeper_unwatch(windows, tick, &slow);
    ck_assert_int_eq(slow.calls, 0);
}
END_TEST

START_TEST(keeper_sleeps)
{
    struct ha_windows *windows = fixture_windows(2, 0);
    struct ha_keeper *keeper = windows->state->keeper;
    struct watcher watcher = {0};
    uint64_t wakeups;

    ck_assert_ptr_nonnull(ha_chunk_take(windows, 0, 1, &watcher));
    sleep_ms(20);
    wakeups = ha_keeper_wakeups(keeper);
    for (int i = 0; i < 12; i++) /* chunks that are there need no keeper */
        ck_assert_ptr_nonnull(ha_chunk_take(windows, 0, 1, &watcher));
    sleep_ms(200);
    ck_assert_uint_eq(ha_keeper_wakeups(keeper), wakeups);

    HARNESS_OK(ha_keeper_watch(windows, tick, &watcher, 50));
    ck_assert(called(&watcher, 4));
    ha_keeper_unwatch(windows, tick, &watcher);
    ck_assert_uint_le(ha_keeper_wakeups(keeper), wakeups + 2 * (uint64_t)watcher.calls + 3);
    sleep_ms(100); /* may wake once for the time it was waiting for */
    wakeups = ha_keeper_wakeups(keeper);
    sleep_ms(200);
    ck_assert_uint_eq(ha_keeper_wakeups(keeper), wakeups);
}
END_TEST

START_TEST(unwatch_waits)
{
    struct ha_windows *windows = fixture_windows(1, 0);

    for (int i = 0; i < 5; i++) {
        struct watcher watcher = {.hold_ms = 30};

        HARNESS_OK(ha_keeper_watch(windows, tick, &watcher, 1));
        ck_assert(called(&watcher, 1));
        ha_keeper_unwatch(windows, tick, &watcher);
        ck_assert_int_eq(load(&watcher.calls), load(&watcher.ended));
    }
}
END_TEST

static void tick_once(void *data)
{
    struct watcher *watcher = data;

    ha_keeper_unwatch(watcher->windows, tick_once, watcher);
    tick(watcher);
}

START_TEST(unwatch_inside)
{
    struct watcher watcher = {.windows = fixture_windows(1, 0)};

    HARNESS_OK(ha_keeper_watch(watcher.windows, tick_once, &watcher, 1));
    ck_assert(called(&watcher, 1));
    sleep_ms(50);
    ck_assert_int_eq(load(&watcher.calls), 1);
    ha_keeper_unwatch(watcher.windows, tick_once, &watcher); /* nothing to remove */
    HARNESS_OK(ha_keeper_watch(watcher.windows, tick_once, &watcher, 1));
    ck_assert(called(&watcher, 2));
}
END_TEST

START_TEST(bad_watches)
{
    struct ha_windows *windows = fixture_windows(1, 0);
    struct watcher watcher = {0}, other = {0};

    HARNESS_STATUS(ha_keeper_watch(windows, NULL, &watcher, 5), HEARTH_EINVAL);
    HARNESS_STATUS_NAMES(ha_keeper_watch(windows, tick, &watcher, 0), HEARTH_EINVAL, "0 ms");
    ht_fault_arm(HT_FAULT_ALLOC, 1, false);
    HARNESS_STATUS(ha_keeper_watch(windows, tick, &watcher, 5), HEARTH_ENOMEM);
    HARNESS_OK(ha_keeper_watch(windows, tick, &watcher, 5));
    HARNESS_STATUS(ha_keeper_watch(windows, tick, &watcher, 50), HEARTH_ESTATE);
    HARNESS_OK(ha_keeper_watch(windows, tick, &other, 5));
    HARNESS_OK(ha_keeper_watch(windows, tick_once, &other, 3600 * 1000));
    ha_keeper_unwatch(windows, tick_once, &watcher);
    ck_assert(called(&watcher, 2));
    ha_keeper_unwatch(windows, tick, &watcher);
    ha_keeper_unwatch(windows, tick, &other);
    ha_keeper_unwatch(windows, tick_once, &other);
}
END_TEST

/* Ageing: a callback takes and gives memory itself, from the thread that others wait for. */
static void tick_memory(void *data)
{
    struct watcher *watcher = data;
    struct ha_windows *windows = watcher->windows;

    for (int i = 0; i < 3; i++) {
        if (watcher->chunk[i] != NULL)
            ha_chunk_give(windows, watcher->chunk[i]);
        watcher->chunk[i] = ha_chunk_take(windows, 1, (size_t)i + 1, watcher);
        if (watcher->chunk[i] != NULL)
            memset(watcher->chunk[i], 1, HA_PAGE);
    }
    ha_meta_give(windows, 0, ha_meta_take(windows, 0, 5000), 5000);
    tick(watcher);
}

static void *take_many(void *data)
{
    struct watcher *watcher = data;
    int misses = 0;

    for (int i = 0; i < 200; i++) {
        char *chunk = ha_chunk_take(watcher->windows, 1, 1 + (size_t)(i % 7 == 0), watcher);

        if (chunk == NULL)
            misses++;
        else if (i % 8 != 0)
            ha_chunk_give(watcher->windows, chunk);
    }
    add(&watcher->calls, misses);
    return NULL;
}

START_TEST(callbacks_use_memory)
{
    struct ha_windows *windows = fixture_windows(2, 0);
    struct watcher watcher = {.windows = windows}, other = {.windows = windows};
    pthread_t thread[4];

    HARNESS_OK(ha_keeper_watch(windows, tick_memory, &watcher, 1));
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&thread[i], NULL, take_many, &other), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(thread[i], NULL);
    ck_assert(called(&watcher, 5));
    ha_keeper_unwatch(windows, tick_memory, &watcher);
    ck_assert_int_eq(other.calls, 0);
    for (int i = 0; i < 3; i++) {
        ck_assert_ptr_nonnull(watcher.chunk[i]);
        ha_chunk_give(windows, watcher.chunk[i]);
    }
    HARNESS_OK(ha_windows_check(windows));
}
END_TEST

/* Waits until a thread refills node 1, which waits for this very callback, and takes a chunk there. */
static void tick_during_refill(void *data)
{
    struct watcher *watcher = data;
    struct ha_window_state *state = watcher->windows->state;
    bool refilling = false;

    if (watcher->calls > 0)
        return;
    add(&watcher->calls, 1);
    while (!refilling) {
        sleep_ms(1);
        pthread_mutex_lock(&state->lock);
        refilling = state->node[1].refilling;
        pthread_mutex_unlock(&state->lock);
    }
    watcher->chunk[0] = ha_chunk_take(watcher->windows, 1, 1, watcher);
}

static void *take_one(void *data)
{
    struct watcher *watcher = data;

    watcher->chunk[0] = ha_chunk_take(watcher->windows, 1, 1, watcher);
    add(&watcher->ended, 1);
    return NULL;
}

START_TEST(callback_meets_refill)
{
    struct ha_windows *windows = fixture_windows(2, 0);
    struct watcher inside = {.windows = windows}, outside = {.windows = windows};
    pthread_t thread;

    HARNESS_OK(ha_keeper_watch(windows, tick_during_refill, &inside, 1));
    ck_assert(called(&inside, 1));
    ck_assert_int_eq(pthread_create(&thread, NULL, take_one, &outside), 0);
    pthread_join(thread, NULL);
    ha_keeper_unwatch(windows, tick_during_refill, &inside);
    ck_assert_ptr_nonnull(inside.chunk[0]);
    ck_assert_ptr_nonnull(outside.chunk[0]);
    ck_assert_ptr_ne(inside.chunk[0], outside.chunk[0]);
    HARNESS_OK(ha_windows_check(windows));
}
END_TEST

/* --- requests -------------------------------------------------------------------------------------- */

/* While one thread waits for the keeper, the set's lock is free: chunks, metadata and statistics of the
 * set can be had, giving back never waits. */
START_TEST(no_lock_while_waiting)
{
    struct ha_windows *windows = fixture_windows(2, 0);
    struct watcher busy = {.blocked = 1}, waiting = {.windows = windows};
    char *span = ha_chunk_take(windows, 0, 4, windows);
    char *chunk = ha_chunk_take(windows, 0, 1, windows);
    struct ha_window_stats stats;
    pthread_t thread;

    HARNESS_OK(ha_keeper_watch(windows, tick, &busy, 1));
    ck_assert(called(&busy, 1));
    ck_assert_int_eq(pthread_create(&thread, NULL, take_one, &waiting), 0);
    sleep_ms(20);
    ha_chunk_give(windows, chunk);
    ha_chunk_give(windows, span);
    for (int i = 0; i < 12; i++)
        ck_assert_ptr_nonnull(ha_chunk_take(windows, 0, 1, windows));
    ck_assert_ptr_nonnull(ha_meta_take(windows, 0, 4096));
    ha_window_stats(windows, 1, &stats);
    ck_assert_uint_eq(stats.chunks, 0);
    HARNESS_OK(ha_windows_check(windows));
    ck_assert_int_eq(load(&waiting.ended), 0);
    __atomic_store_n(&busy.blocked, 0, __ATOMIC_RELEASE);
    pthread_join(thread, NULL);
    ck_assert_ptr_nonnull(waiting.chunk[0]);
    ha_keeper_unwatch(windows, tick, &busy);
    HARNESS_OK(ha_windows_check(windows));
}
END_TEST

/* Give a span, take one of the same size: it is the same memory, so it was freed in between. */
START_TEST(freed_before_reserved)
{
    struct ha_windows *windows = fixture_windows(1, 128 * MIB);

    for (uint64_t i = 0; i < harness_scaled(200); i++) {
        char *span = ha_chunk_take(windows, 0, 30, windows);

        ck_assert_msg(span != NULL, "round %d", (int)i);
        ha_chunk_give(windows, span);
    }
}
END_TEST

/* Directly: what does not fit is refused, what is released comes back. */
START_TEST(reservations)
{
    struct ha_windows *windows = fixture_windows(1, 64 * MIB);
    struct ha_keeper *keeper = windows->state->keeper;
    struct ha_reservation *reservation;
    void *block = ha_keeper_reserve(keeper, 0, 31 * MIB);

    ck_assert(!ha_keeper_here(keeper));
    ck_assert_uint_eq(((uintptr_t)block - windows->base) % (32 * MIB), 64 * 1024);
    ck_assert_ptr_null(ha_keeper_reserve(keeper, 0, 60 * MIB));
    ck_assert_ptr_null(ha_keeper_reserve(keeper, 0, 64 * MIB));
    ck_assert_int_eq(errno, ENOMEM);
    ck_assert_ptr_null(ha_keeper_reserve(keeper, 0, SIZE_MAX));
    reservation = block;
    *reservation = (struct ha_reservation){.block = block, .bytes = 31 * MIB};
    ha_keeper_release(keeper, reservation);
    block = ha_keeper_reserve(keeper, 0, 60 * MIB);
    ck_assert_uint_eq((uintptr_t)block - windows->base, 64 * 1024);
}
END_TEST

START_TEST(no_thread)
{
    struct ha_windows *windows = NULL;

    ht_fault_arm(HT_FAULT_THREAD, 1, false);
    HARNESS_STATUS_NAMES(fixture_open(&windows, 2, 0, NULL), HEARTH_ESYSTEM, "keeper thread");
    ck_assert_ptr_null(windows);
    ck_assert_ptr_nonnull(ha_chunk_take(fixture_windows(2, 0), 1, 1, &windows));
}
END_TEST

/* Its heaps are refused: the same thread opens them later. */
START_TEST(no_heap)
{
    struct ha_windows *windows = NULL;

    ht_fault_arm(HT_FAULT_ARENA, 4, false); /* two arenas, two heaps */
    HARNESS_STATUS_NAMES(fixture_open(&windows, 2, 0, NULL), HEARTH_ESYSTEM, "node 1");
    ck_assert_ptr_nonnull(ha_chunk_take(fixture_windows(2, 0), 1, 1, &windows));
}
END_TEST

/* The thread has a name and takes no signals of the program's. */
START_TEST(thread_is_unobtrusive)
{
    struct dirent *entry;
    DIR *tasks;
    int found = 0;

    fixture_windows(1, 0);
    tasks = opendir("/proc/self/task");
    ck_assert_ptr_nonnull(tasks);
    while ((entry = readdir(tasks)) != NULL) {
        unsigned long long blocked = 0;
        char path[300], line[256], name[64] = "";
        FILE *file;

        snprintf(path, sizeof(path), "/proc/self/task/%s/status", entry->d_name);
        file = fopen(path, "r");
        if (file == NULL)
            continue;
        while (fgets(line, sizeof(line), file) != NULL) {
            sscanf(line, "Name: %63s", name);
            sscanf(line, "SigBlk: %llx", &blocked);
        }
        fclose(file);
        if (strcmp(name, "hearth-arena") == 0) {
            found++;
            ck_assert(blocked >> (SIGTERM - 1) & 1);
            ck_assert(blocked >> (SIGALRM - 1) & 1);
        }
    }
    closedir(tasks);
    ck_assert_int_eq(found, 1);
}
END_TEST

HARNESS_SUITE(keeper)
{
    Suite *suite = suite_create("keeper");
    TCase *watch = tcase_create("watches");
    TCase *request = tcase_create("requests");

    tcase_add_test(watch, watches_run_periodically);
    tcase_add_test(watch, short_after_long);
    tcase_add_test(watch, keeper_sleeps);
    tcase_add_test(watch, unwatch_waits);
    tcase_add_test(watch, unwatch_inside);
    tcase_add_test(watch, bad_watches);
    tcase_add_test(watch, callbacks_use_memory);
    tcase_add_test(watch, callback_meets_refill);
    suite_add_tcase(suite, watch);
    tcase_add_test(request, no_lock_while_waiting);
    tcase_add_test(request, freed_before_reserved);
    if (!ha_on_valgrind()) /* there reservations are kept by size */
        tcase_add_test(request, reservations);
    tcase_add_test(request, no_thread);
    tcase_add_test(request, no_heap);
    tcase_add_test(request, thread_is_unobtrusive);
    suite_add_tcase(suite, request);
    return suite;
}
