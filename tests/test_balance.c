/* tests/test_balance.c - MemBalancer against the formula of its paper, and heaps that are paced by it. */
#include "tests/trace_fixture.h"

#include <math.h>

enum { MIB = 1 << 20 };

static bool near(double a, double b)
{
    return fabs(a - b) <= 1e-6 * (fabs(a) + fabs(b)) + 1e-12;
}

#define NEAR(a, b)                                                                                 \
    do {                                                                                           \
        double near_a_ = (a), near_b_ = (b);                                                       \
        ck_assert_msg(near(near_a_, near_b_), "%s is %.12g, not %.12g", #a, near_a_, near_b_);     \
    } while (0)

/* --- the formula ------------------------------------------------------------------------------------ */

/* E = sqrt(L g / (s c)) with rates that have not changed, whatever they are. */
START_TEST(constant_rates)
{
    uint64_t state = harness_seed();

    for (int i = 0; i < 1000; i++) {
        struct hg_balance balance = {0};
        double g = 1 + (double)harness_random_below(&state, 4000000000u);
        double s = 1 + (double)harness_random_below(&state, 4000000000u);
        double live = 1 + (double)harness_random_below(&state, 1u << 31);
        double c = (1 + (double)harness_random_below(&state, 1000000)) * 1e-13;

        for (int n = 0; n < 20; n++) {
            double seconds = (1 + (double)harness_random_below(&state, 3000)) / 1000;
            hg_balance_grown(&balance, g * seconds, seconds);
            hg_balance_traced(&balance, s * seconds, seconds);
        }
        NEAR(hg_balance_extra(&balance, live, c), sqrt(live * g / (s * c)));
        ck_assert(hg_balance_check(&balance));
    }
}
END_TEST

/* Measured once a second, the averages are the paper's: 0.95 of the past and 0.05 of what is new; and a half
 * of each at collections. */
START_TEST(smoothing_of_the_paper)
{
    struct hg_balance balance = {0};
    double g_m = 0, g_t = 0, s_m = 0, s_t = 0;
    uint64_t state = harness_seed();

    for (int n = 0; n < 200; n++) {
        double bytes = (double)harness_random_below(&state, 1u << 30);
        double seconds = (1 + (double)harness_random_below(&state, 1000)) / 1000;

        hg_balance_grown(&balance, bytes, 1);
        g_m = 0.95 * g_m + 0.05 * bytes;
        g_t = 0.95 * g_t + 0.05 * 1;
        hg_balance_traced(&balance, bytes, seconds);
        s_m = 0.5 * s_m + 0.5 * bytes;
        s_t = 0.5 * s_t + 0.5 * seconds;
        if (bytes > 0)
            NEAR(hg_balance_extra(&balance, 1e8, 5e-10),
                 sqrt(1e8 * (g_m / g_t) / ((s_m / s_t) * 5e-10)));
    }
}
END_TEST

/* A stretch of t seconds counts as t heartbeats of the same growth, however it is cut. */
START_TEST(stretches_of_any_length)
{
    static const double lengths[] = {0.0001, 0.01, 0.3, 1, 2.5, 40, 700};

    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        struct hg_balance whole = {0}, cut = {0};

        hg_balance_grown(&whole, 1e9, 3); /* some past */
        hg_balance_grown(&cut, 1e9, 3);
        hg_balance_grown(&whole, 5e6 * lengths[i], lengths[i]);
        for (int n = 0; n < 100; n++)
            hg_balance_grown(&cut, 5e6 * lengths[i] / 100, lengths[i] / 100);
        NEAR(whole.grown_bytes, cut.grown_bytes);
        NEAR(whole.grown_s, cut.grown_s);
        double fade = pow(0.95, lengths[i] < 600 ? lengths[i] : 600);

        NEAR(1 - whole.grown_s, pow(0.95, 3) * fade);
    }
}
END_TEST

START_TEST(nothing_measured)
{
    struct hg_balance balance = {0};

    ck_assert(hg_balance_extra(&balance, 1e8, 1e-9) < 0);
    hg_balance_grown(&balance, 1e8, 0); /* no time has passed: nothing can be said */
    hg_balance_grown(&balance, 1e8, -1);
    hg_balance_traced(&balance, 1e8, 0);
    ck_assert(hg_balance_extra(&balance, 1e8, 1e-9) < 0);
    hg_balance_grown(&balance, 1e8, 1);
    ck_assert(hg_balance_extra(&balance, 1e8, 1e-9) < 0); /* no collection yet */
    hg_balance_traced(&balance, 1e8, 0.1);
    ck_assert(hg_balance_extra(&balance, 1e8, 0) < 0);
    ck_assert(hg_balance_extra(&balance, 1e8, 1e-9) > 0);
    NEAR(hg_balance_extra(&balance, 0, 1e-9), 0);
    balance.grown_s = NAN;
    ck_assert(!hg_balance_check(&balance));
}
END_TEST

/* At the optimum a byte more saves the same time in every heap: dT/dE = -L g / (s E^2) = -c. */
START_TEST(a_byte_is_worth_the_same_everywhere)
{
    uint64_t state = harness_seed();

    for (int i = 0; i < 100; i++) {
        struct hg_balance balance = {0};
        double live = 1e6 + (double)harness_random_below(&state, 1u << 30);

        hg_balance_grown(&balance, (double)harness_random_below(&state, 1u << 30) + 1e3, 1);
        hg_balance_traced(&balance, live, 1e-3 * (1 + (double)harness_random_below(&state, 500)));
        double extra = hg_balance_extra(&balance, live, 3e-10);
        double g = balance.grown_bytes / balance.grown_s;
        double s = balance.traced_bytes / balance.traced_s;
        NEAR(live * g / (s * extra * extra), 3e-10);
    }
}
END_TEST

/* --- heaps ------------------------------------------------------------------------------------------ */

static void grow(struct fixture *f, size_t bytes, void **list)
{
    for (size_t i = 0; i < bytes / 32; i++)
        fixture_push(f, list, i);
}

static void waste(struct fixture *f, size_t bytes)
{
    for (size_t i = 0; i < bytes / 32; i++) {
        void *none = NULL;

        fixture_push(f, &none, i);
    }
}

/* The budget after a full collection is what the formula gives for the rates the heap has measured. */
START_TEST(the_budget_is_the_formula)
{
    struct fixture f;
    void *list = NULL;

    fixture_open(&f, _i ? "pacing=membalancer,balance=0.4,nursery=1m,generational=off,heap-min=1m"
                        : "pacing=membalancer,balance=0.4,nursery=1m,heap-min=1m");
    HARNESS_OK(hearth_root_add(f.heap, &list));
    grow(&f, 8 * MIB, &list);
    for (int i = 0; i < 5; i++) {
        waste(&f, 4 * MIB);
        HARNESS_OK(hearth_gc_collect(f.m, 2));
        hearth_stats stats = fixture_stats(&f);
        double extra =
            hg_balance_extra(&f.heap->pacing.balance, (double)stats.live_bytes, 0.4 / 100 / MIB);
        ck_assert(extra > 0);
        double wanted = (double)stats.live_bytes + extra + MIB;
        if (wanted > (double)stats.limit_bytes)
            wanted = (double)stats.limit_bytes;
        ck_assert_msg(fabs(wanted - (double)stats.budget_bytes) <= 65536, "%.0f, not %.0f",
                      (double)stats.budget_bytes, wanted);
    }
    list = NULL;
    fixture_close(&f);
}
END_TEST

/* Of two heaps with the same live data the one that allocates gets the room, the idle one gives it up. */
START_TEST(heaps_balance)
{
    struct fixture busy, idle;
    void *kept[2] = {NULL, NULL};
    const char *options = "pacing=membalancer,balance=2,nursery=1m,heap-min=1m,generational=off";

    fixture_open(&busy, options);
    fixture_open(&idle, options);
    HARNESS_OK(hearth_root_add(busy.heap, &kept[0]));
    HARNESS_OK(hearth_root_add(idle.heap, &kept[1]));
    grow(&busy, 6 * MIB, &kept[0]);
    grow(&idle, 6 * MIB, &kept[1]);
    HARNESS_OK(hearth_gc_collect(busy.m, 2));
    HARNESS_OK(hearth_gc_collect(idle.m, 2));
    double extra_busy = 0, extra_idle = 0;
    /* Rates are by the clock: who shares its processor may need longer than once. */
    for (int round = 0; round < 10 && !(extra_busy > 1.2 * extra_idle); round++) {
        uint64_t until = ht_os_now() + 300000000;
        while (ht_os_now() < until)
            waste(&busy, MIB);
        HARNESS_OK(hearth_gc_collect(idle.m, 2));
        HARNESS_OK(hearth_gc_collect(busy.m, 2));
        hearth_stats b = fixture_stats(&busy), i = fixture_stats(&idle);
        extra_busy = (double)(b.budget_bytes - b.heap_bytes) - MIB;
        extra_idle = (double)(i.budget_bytes - i.heap_bytes) - MIB;
    }
    ck_assert_msg(extra_busy > 1.2 * extra_idle, "%.0f and %.0f", extra_busy, extra_idle);
    kept[0] = kept[1] = NULL;
    fixture_close(&busy);
    fixture_close(&idle);
}
END_TEST

/* Minor collections too change the budget, once the rates are known; it stays within limit and heap-min. */
START_TEST(within_its_bounds)
{
    struct fixture f;
    void *list = NULL;

    fixture_open(&f, "pacing=membalancer,balance=10000,nursery=1m,heap-min=20m,heap-limit=40m");
    HARNESS_OK(hearth_root_add(f.heap, &list));
    grow(&f, 8 * MIB, &list);
    HARNESS_OK(hearth_gc_collect(f.m, 2));
    waste(&f, 20 * MIB);
    HARNESS_OK(hearth_gc_collect(f.m, 2));
    ck_assert_uint_eq(fixture_stats(&f).budget_bytes, 20 * MIB); /* time is worth nothing */
    list = NULL;
    fixture_close(&f);
    fixture_open(&f, "pacing=membalancer,balance=0.0001,nursery=1m,heap-limit=40m");
    HARNESS_OK(hearth_root_add(f.heap, &list));
    grow(&f, 8 * MIB, &list);
    HARNESS_OK(hearth_gc_collect(f.m, 2));
    waste(&f, 8 * MIB);
    HARNESS_OK(hearth_gc_collect(f.m, 2));
    ck_assert_uint_eq(fixture_stats(&f).budget_bytes, 35 * MIB); /* memory is; pacing.uneven */
    waste(&f, 100 * MIB);
    HARNESS_OK(hearth_gc_collect(f.m, 0));
    ck_assert_uint_le(fixture_stats(&f).budget_bytes, 40 * MIB);
    list = NULL;
    fixture_close(&f);
}
END_TEST

HARNESS_SUITE(balance)
{
    Suite *suite = suite_create("balance");
    TCase *tests = tcase_create("balance");

    tcase_add_test(tests, constant_rates);
    tcase_add_test(tests, smoothing_of_the_paper);
    tcase_add_test(tests, stretches_of_any_length);
    tcase_add_test(tests, nothing_measured);
    tcase_add_test(tests, a_byte_is_worth_the_same_everywhere);
    tcase_add_loop_test(tests, the_budget_is_the_formula, 0, 2);
    tcase_add_test(tests, heaps_balance);
    tcase_add_test(tests, within_its_bounds);
    suite_add_tcase(suite, tests);
    return suite;
}
