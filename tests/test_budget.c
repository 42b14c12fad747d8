/* tests/test_budget.c - the budget of a space: what is charged and refused, by many threads at once. */
#define _GNU_SOURCE 1

#include <pthread.h>

#include "tests/space_fixture.h"

START_TEST(charge)
{
    struct ha_space space = {.limit = 100, .budget = 50};

    ck_assert(ha_space_charge(&space, 50));
    ck_assert(!ha_space_charge(&space, 1));
    ck_assert_uint_eq(space.used, 50);
    ha_space_refund(&space, 10);
    ck_assert(!ha_space_charge(&space, 11));
    ck_assert(ha_space_charge(&space, 10));
    ha_space_refund(&space, 50);
    ck_assert_uint_eq(space.used, 0);
    ck_assert_uint_eq(space.peak, 50);
    ck_assert_uint_eq(ha_space_used_bytes(&space), 0);
    ck_assert(!ha_space_charge(&space, SIZE_MAX));
    ck_assert(!ha_space_charge(&space, SIZE_MAX - 10));
    ck_assert(ha_space_charge(&space, 7));
    ck_assert(!ha_space_charge(&space, SIZE_MAX));
    ck_assert(!ha_space_charge(&space, SIZE_MAX - 6));
    ck_assert_uint_eq(ha_space_used_bytes(&space), 7 * 65536);
    space.budget = 5; /* less than is used */
    ck_assert(!ha_space_charge(&space, 1));
    ck_assert(!ha_space_charge(&space, SIZE_MAX));
    ck_assert_uint_eq(space.used, 7);
    ck_assert_uint_eq(space.peak, 50);
}
END_TEST

struct charger {
    pthread_t thread;
    struct ha_space *space;
    uint64_t random;
    size_t most; /* at a time                           */
    size_t held; /* at the end                          */
    bool sure;   /* must be granted at any time         */
    bool *stop;  /* charge_too_much: until this is set  */
};

static void *charge_too_much(void *data)
{
    struct charger *c = data;

    while (!__atomic_load_n(c->stop, __ATOMIC_ACQUIRE))
        EXPECT(!ha_space_charge(c->space, c->most));
    return NULL;
}

static void *charge_some(void *data)
{
    struct charger *c = data;

    for (uint64_t i = 0; i < harness_scaled(200000); i++) {
        size_t want = 1 + harness_random_below(&c->random, c->most);

        if (c->held > 0 && harness_random_below(&c->random, 2) == 0) {
            want = 1 + harness_random_below(&c->random, c->held);
            c->held -= want;
            ha_space_refund(c->space, want);
        } else if (ha_space_charge(c->space, want)) {
            c->held += want;
            EXPECT(__atomic_load_n(&c->space->used, __ATOMIC_RELAXED) <= c->space->budget);
        } else {
            EXPECT(!c->sure);
        }
        if (c->sure) {
            ha_space_refund(c->space, c->held);
            c->held = 0;
        }
    }
    return NULL;
}

static void run_chargers(struct charger *charger, int count)
{
    for (int i = 0; i < count; i++) {
        charger[i].random = harness_seed() + (uint64_t)i;
        ck_assert_int_eq(pthread_create(&charger[i].thread, NULL, charge_some, &charger[i]), 0);
    }
    for (int i = 0; i < count; i++)
        pthread_join(charger[i].thread, NULL);
}

START_TEST(charge_threads)
{
    struct ha_space space = {.limit = 1000, .budget = 1000};
    struct charger charger[4];
    size_t held = 0;

    memset(charger, 0, sizeof charger);
    for (int i = 0; i < 4; i++)
        charger[i] = (struct charger){.space = &space, .most = 400};
    run_chargers(charger, 4);
    for (int i = 0; i < 4; i++)
        held += charger[i].held;
    ck_assert_uint_eq(space.used, held);
    ck_assert_uint_le(space.peak, 1000);
    ck_assert_uint_ge(space.peak, 400);
}
END_TEST

/* A thread that is refused takes nothing from another that is within the budget, not even for a
 * moment. */
START_TEST(refused_takes_nothing)
{
    struct ha_space space = {.limit = 100, .budget = 100};
    bool stop = false;
    struct charger sure = {.space = &space, .most = 100, .sure = true},
                   refused = {.space = &space, .most = 101, .stop = &stop};

    ck_assert_int_eq(pthread_create(&refused.thread, NULL, charge_too_much, &refused), 0);
    for (int round = 0; round < 20; round++)
        run_chargers(&sure, 1);
    __atomic_store_n(&stop, true, __ATOMIC_RELEASE);
    pthread_join(refused.thread, NULL);
    ck_assert_uint_eq(space.used, 0);
}
END_TEST

/* Lowering the budget: either who lowers it sees that more is in use, or no charge goes beyond it. */
struct lowering {
    struct ha_space space;
    uint32_t round; /* how often the two threads have come to a meeting */
};

static void meet(struct lowering *l, uint32_t until)
{
    __atomic_add_fetch(&l->round, 1, __ATOMIC_SEQ_CST);
    for (int spins = 0; __atomic_load_n(&l->round, __ATOMIC_SEQ_CST) < until; spins++)
        if (spins > 2000)
            sched_yield();
}

static void *charge_at_once(void *data)
{
    struct lowering *l = data;

    for (uint32_t i = 0; i < (uint32_t)harness_scaled(30000); i++) {
        meet(l, 4 * i + 2);
        ha_space_charge(&l->space, 2);
        meet(l, 4 * i + 4);
    }
    return NULL;
}

START_TEST(lowered_budget)
{
    struct lowering l = {.space = {.limit = 100}};
    uint64_t random = harness_seed();
    pthread_t thread;

    ck_assert_int_eq(pthread_create(&thread, NULL, charge_at_once, &l), 0);
    for (uint32_t i = 0; i < (uint32_t)harness_scaled(30000); i++) {
        l.space.used = 49;
        l.space.budget = 100;
        meet(&l, 4 * i + 2);
        for (volatile uint64_t wait = harness_random_below(&random, 30); wait > 0;)
            wait--;
        __atomic_store_n(&l.space.budget, 50, __ATOMIC_SEQ_CST);
        bool fits = __atomic_load_n(&l.space.used, __ATOMIC_SEQ_CST) <= 50;
        meet(&l, 4 * i + 4);
        EXPECT(!fits || l.space.used <= 50);
    }
    pthread_join(thread, NULL);
}
END_TEST

HARNESS_SUITE(budget)
{
    Suite *suite = suite_create("budget");
    TCase *budget = tcase_create("budget");

    tcase_add_test(budget, charge);
    tcase_add_test(budget, charge_threads);
    tcase_add_test(budget, refused_takes_nothing);
    tcase_add_test(budget, lowered_budget);
    suite_add_tcase(suite, budget);
    return suite;
}
