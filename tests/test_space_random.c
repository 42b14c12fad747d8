/* tests/test_space_random.c - long random sequences of allocation, sweeping, ageing and refusals; everything
 * is checked after each step, and every object still holds what was written to it. */
#define _GNU_SOURCE 1

#include "tests/space_fixture.h"

enum { OBJECTS = 3000, MUTATORS = 3 };

/* What the test knows about an object. */
struct known {
    uintptr_t object;
    size_t size;   /* payload                   */
    uint64_t seed; /* of what it holds          */
    bool old;      /* has survived a sweep      */
};

struct world {
    struct fixture_heap *heap;
    struct ha_space *space;
    struct fixture_mutator *mutator[MUTATORS];
    struct known known[OBJECTS];
    uint64_t random;
    uint32_t now;
};

/* Words at both ends and at some places between them. */
static void each_word(const struct known *k, bool write)
{
    uint64_t seed = k->seed;
    size_t words = k->size / 8, step = words / 64 + 1;

    for (size_t i = 0; i < words; i += i + step < words || i + 1 == words ? step : words - 1 - i) {
        uint64_t *word = (uint64_t *)k->object + i, value = harness_random(&seed);

        if (write)
            *word = value;
        else
            EXPECT(*word == value);
    }
}

static void check_zero_payload(uintptr_t object, size_t size)
{
    const char *at = (const char *)object;

    EXPECT(*hearth_header_of((void *)object) == 0);
    EXPECT(at[0] == 0 && (size == 1 || memcmp(at, at + 1, size - 1) == 0));
}

static size_t random_size(struct world *w)
{
    switch (harness_random_below(&w->random, 40)) {
    case 0:
        return HA_SMALL_MAX + 1 + harness_random_below(&w->random, 200000);
    case 1:
        return 1 + harness_random_below(&w->random, HA_SMALL_MAX);
    case 2:
        return 1 + harness_random_below(&w->random, 2000);
    default:
        return 1 + harness_random_below(&w->random, 200);
    }
}

static void allocate(struct world *w, struct known *k)
{
    size_t size = harness_random_below(&w->random, 2000) == 0
                      ? HA_ADJACENT_MAX - 1000 + harness_random_below(&w->random, 2000)
                      : random_size(w);
    unsigned kind = (unsigned)harness_random_below(&w->random, 2);
    int node = (int)harness_random_below(&w->random, (uint64_t)w->space->nodes);
    enum ha_refusal why = HA_GRANTED;

    if (size > HA_SMALL_MAX) {
        k->object = ha_large_take(w->space, node, size, kind, &why);
        if (k->object == 0)
            return;
    } else {
        struct fixture_mutator *m = w->mutator[harness_random_below(&w->random, MUTATORS)];
        char *cell = fixture_cell(m, ha_class_of(size) * 2 + kind);

        if (cell == NULL)
            return;
        k->object = (uintptr_t)cell + HEARTH_HEADER;
        size = ha_class_cell(ha_class_of(size)) - HEARTH_HEADER;
    }
    check_zero_payload(k->object, size);
    *hearth_header_of((void *)k->object) = ~(uint64_t)0;
    k->size = size;
    k->seed = harness_random(&w->random);
    k->old = false;
    each_word(k, true);
}

/* Mark those that live, sweep, and look at each. Young ones of which the first age goes by stay. */
static void collect(struct world *w, unsigned percent)
{
    for (int i = 0; i < MUTATORS; i++)
        ha_allocator_flush(&w->mutator[i]->allocator);
    fixture_check(w->space);
    for (struct known *k = w->known; k < w->known + OBJECTS; k++) {
        if (k->object == 0)
            continue;
        uint8_t *mark = ha_meta_of(k->object);

        EXPECT(ha_space_find(w->space, k->object + k->size - 1) == k->object);
        EXPECT(*mark == (k->old ? MARK_OLD : 0));
        each_word(k, false);
        if (harness_random_below(&w->random, 100) < percent) {
            *mark = MARK_OLD;
            k->old = true;
        } else {
            if (k->old)
                *mark = MARK_OLD_BEFORE;
            k->object = 0;
        }
    }
    fixture_sweep(w->space, w->now);
    for (struct known *k = w->known; k < w->known + OBJECTS; k++)
        if (k->object != 0) {
            EXPECT(ha_space_find(w->space, k->object) == k->object);
            each_word(k, false);
        }
}

static void step(struct world *w)
{
    uint64_t what = harness_random_below(&w->random, 100);
    uint32_t keep = 1 + (uint32_t)harness_random_below(&w->random, 50);

    if (what < 60) {
        for (int i = 0; i < 400; i++) {
            struct known *k = &w->known[harness_random_below(&w->random, OBJECTS)];

            if (k->object == 0)
                allocate(w, k);
        }
    } else if (what < 85) {
        collect(w, (unsigned)harness_random_below(&w->random, 101));
    } else if (what < 95) {
        w->now += (uint32_t)harness_random_below(&w->random, 40);
        if (what < 87)
            ht_fault_arm(HT_FAULT_ADVISE, 1 + harness_random_below(&w->random, 20), what == 85);
        for (int n = 0; n < w->space->nodes; n++)
            ha_pool_age(w->space->pool[n], w->now, keep);
        ht_fault_arm(HT_FAULT_ADVISE, 0, false);
    } else {
        collect(w, 50);
        w->space->budget = 100 + harness_random_below(&w->random, 2000);
        if (w->space->budget < w->space->used)
            w->space->budget = w->space->used;
    }
    fixture_check(w->space);
    for (int i = 0; i < MUTATORS; i++)
        HARNESS_OK(ha_allocator_check(&w->mutator[i]->allocator));
}

static void play(int nodes, size_t window, bool poison, bool strict)
{
    static struct world w;
    struct ha_window_stats stats;
    struct ha_windows *windows;

    memset(&w, 0, sizeof w);
    w.random = harness_seed();
    w.now = (uint32_t)-100; /* the clock turns over on the way */
    w.heap = fixture_plan(nodes);
    w.heap->options.window = window;
    w.heap->options.poison = poison;
    w.heap->options.policy = strict ? HT_POLICY_STRICT : HT_POLICY_LOCAL;
    HARNESS_OK(fixture_space_try(w.heap, 3000));
    w.space = &w.heap->space;
    for (int i = 0; i < MUTATORS; i++)
        w.mutator[i] = fixture_mutator(w.space, i % nodes);
    for (uint64_t i = 0; i < harness_scaled(250); i++)
        step(&w);
    collect(&w, 0);
    ck_assert_uint_eq(w.space->used, 0);
    for (int n = 0; n < nodes; n++)
        ha_pool_age(w.space->pool[n], w.now + 1000, 1);
    fixture_check(w.space);
    windows = w.space->windows;
    for (int n = 0; n < nodes; n++) {
        ck_assert_uint_eq(w.space->pool[n]->chunk_count, 0);
        ha_window_stats(windows, n, &stats);
        ck_assert_uint_eq(stats.chunks, stats.free_chunks);
        ck_assert_uint_eq(stats.spans, 0);
    }
    fixture_space_close(w.heap);
}

START_TEST(one_node)
{
    play(1, 0, false, false);
}
END_TEST

START_TEST(poison)
{
    play(2, 0, true, false);
}
END_TEST

START_TEST(small_windows)
{
    play(3, (size_t)64 * MIB, false, false);
}
END_TEST

START_TEST(strict)
{
    play(2, (size_t)64 * MIB, true, true);
}
END_TEST

HARNESS_SUITE(space_random)
{
    Suite *suite = suite_create("space_random");
    TCase *all = tcase_create("all");

    tcase_add_test(all, one_node);
    tcase_add_test(all, poison);
    tcase_add_test(all, small_windows);
    tcase_add_test(all, strict);
    suite_add_tcase(suite, all);
    return suite;
}
