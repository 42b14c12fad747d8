/* tests/test_safepoint.c - stopping the world: polls, native sections, several collectors at once.
 *
 * What must hold: a collection waits for running mutators only; a section that a thread sleeps in
 * delays none; nobody touches the heap while it is collected; states survive misuse. */
#include <sched.h>

#include "tests/mutator_fixture.h"

/* --- polls ------------------------------------------------------------------------------------------- */

struct computer {
    hearth_heap *heap;
    bool stop;       /* atomic                        */
    bool running;    /* atomic: it computes           */
    uint64_t polls;  /* made                          */
    uint64_t result; /* so that the work is not moved */
    pthread_t thread;
};

/* Allocates nothing: only polls let others collect. */
static void *compute(void *argument)
{
    struct computer *computer = argument;
    hearth_mutator *mutator = fixture_attach(computer->heap);

    while (!__atomic_load_n(&computer->stop, __ATOMIC_RELAXED)) {
        computer->result = computer->result * 6364136223846793005u + 1;
        hearth_safepoint(mutator);
        computer->polls++;
        __atomic_store_n(&computer->running, true, __ATOMIC_RELAXED);
    }
    EXPECT(hearth_detach(mutator) == HEARTH_OK);
    return NULL;
}

START_TEST(polls_in_loops)
{
    enum { COMPUTERS = 3 };
    struct fixture f = fixture_open(NULL);
    struct computer computers[COMPUTERS];

    for (int i = 0; i < COMPUTERS; i++) {
        computers[i] = (struct computer){.heap = f.heap};
        EXPECT(pthread_create(&computers[i].thread, NULL, compute, &computers[i]) == 0);
    }
    for (int i = 0; i < COMPUTERS; i++)
        while (!__atomic_load_n(&computers[i].running, __ATOMIC_RELAXED)) {
            hearth_safepoint(f.mutator);
            sched_yield();
        }
    for (uint64_t i = 0; i < harness_scaled(100); i++)
        fixture_collect(f.mutator, (int)(i % 3));
    for (int i = 0; i < COMPUTERS; i++) {
        __atomic_store_n(&computers[i].stop, true, __ATOMIC_RELAXED);
        EXPECT(pthread_join(computers[i].thread, NULL) == 0);
    }
    fixture_close(&f);
}
END_TEST

/* The world does not go on while one that runs has not polled: the collection waits for it. */
static void *collect_once(void *argument)
{
    struct computer *computer = argument;
    hearth_mutator *mutator = fixture_attach(computer->heap);

    __atomic_store_n(&computer->running, true, __ATOMIC_RELEASE);
    fixture_collect(mutator, 2);
    __atomic_store_n(&computer->stop, true, __ATOMIC_RELEASE);
    EXPECT(hearth_detach(mutator) == HEARTH_OK);
    return NULL;
}

START_TEST(collector_waits)
{
    struct fixture f = fixture_open(NULL);
    struct computer other = {.heap = f.heap};
    struct fixture_node *node = fixture_new(f.mutator, f.node, 99); /* in no root */

    EXPECT(pthread_create(&other.thread, NULL, collect_once, &other) == 0);
    while (!__atomic_load_n(&other.running, __ATOMIC_ACQUIRE))
        sched_yield(); /* attaching needs no safepoint of ours */
    for (int i = 0; i < 50; i++) {
        fixture_sleep_ms(1);
        ck_assert_uint_eq(node->value, 99);
        ck_assert(!__atomic_load_n(&other.stop, __ATOMIC_ACQUIRE));
    }
    while (!__atomic_load_n(&other.stop, __ATOMIC_ACQUIRE))
        hearth_safepoint(f.mutator);
    EXPECT(pthread_join(other.thread, NULL) == 0);
    ck_assert(!hearth_is_object(f.heap, node));
    fixture_close(&f);
}
END_TEST

/* --- native sections ------------------------------------------------------------------------------------ */

struct sleeper {
    struct fixture *f;
    uint32_t state; /* 1: asleep, 2: may wake (atomic) */
    int frames;
    pthread_t thread;
};

static void sleep_in_section(struct sleeper *sleeper, hearth_mutator *mutator, int frames)
{
    HEARTH_FRAME(mutator, frame, 2);
    frame.ref[1] = fixture_new(mutator, sleeper->f->node, (uint64_t)frames);
    if (frames > 0) {
        sleep_in_section(sleeper, mutator, frames - 1);
    } else {
        EXPECT(hearth_native_begin(mutator) == HEARTH_OK);
        __atomic_store_n(&sleeper->state, 1, __ATOMIC_RELEASE);
        while (__atomic_load_n(&sleeper->state, __ATOMIC_ACQUIRE) != 2)
            fixture_sleep_ms(1);
        EXPECT(hearth_native_end(mutator) == HEARTH_OK);
    }
    EXPECT(((struct fixture_node *)frame.ref[1])->value == (uint64_t)frames);
    EXPECT(hearth_is_object(sleeper->f->heap, frame.ref[1]));
    HEARTH_FRAME_END(mutator, frame);
}

static void *sleep_long(void *argument)
{
    struct sleeper *sleeper = argument;
    hearth_mutator *mutator = fixture_attach(sleeper->f->heap);

    sleep_in_section(sleeper, mutator, 10);
    EXPECT(hearth_detach(mutator) == HEARTH_OK);
    return NULL;
}

/* Threads asleep in sections delay nobody, and their frames keep what they hold. */
START_TEST(sleepers_delay_nobody)
{
    enum { SLEEPERS = 10 };
    struct fixture f = fixture_open("fake-nodes=2,nursery=256k");
    struct sleeper sleepers[SLEEPERS];

    for (int i = 0; i < SLEEPERS; i++) {
        sleepers[i] = (struct sleeper){.f = &f};
        EXPECT(pthread_create(&sleepers[i].thread, NULL, sleep_long, &sleepers[i]) == 0);
        while (__atomic_load_n(&sleepers[i].state, __ATOMIC_ACQUIRE) != 1)
            hearth_safepoint(f.mutator);
    }
    for (int i = 0; i < 30; i++) {
        fixture_garbage(f.mutator, f.node, 2000);
        fixture_collect(f.mutator, i % 3);
    }
    fixture_collect(f.mutator, 2);
    ck_assert_uint_eq(fixture_stats(f.heap).live_objects, SLEEPERS * 11);
    for (int i = 0; i < SLEEPERS; i++)
        __atomic_store_n(&sleepers[i].state, 2, __ATOMIC_RELEASE);
    HARNESS_OK(hearth_native_begin(f.mutator));
    for (int i = 0; i < SLEEPERS; i++)
        EXPECT(pthread_join(sleepers[i].thread, NULL) == 0);
    HARNESS_OK(hearth_native_end(f.mutator));
    fixture_close(&f);
}
END_TEST

struct commuter {
    struct fixture *f;
    uint64_t rounds;
    int *inside; /* threads outside of sections; the provider sees none (atomic) */
    bool done;   /* atomic                                                        */
    pthread_t thread;
};

/* In and out of sections as fast as can be. Out of them it counts itself. */
static void *commute(void *argument)
{
    struct commuter *c = argument;
    hearth_mutator *mutator = fixture_attach(c->f->heap);

    for (uint64_t i = 0; i < c->rounds; i++) {
        EXPECT(hearth_native_begin(mutator) == HEARTH_OK);
        if (i % 64 == 0)
            sched_yield();
        EXPECT(hearth_native_end(mutator) == HEARTH_OK);
        __atomic_fetch_add(c->inside, 1, __ATOMIC_SEQ_CST);
        if (i % 16 == 0)
            (void)fixture_new(mutator, c->f->node, i);
        __atomic_fetch_sub(c->inside, 1, __ATOMIC_SEQ_CST);
    }
    EXPECT(hearth_detach(mutator) == HEARTH_OK);
    __atomic_store_n(&c->done, true, __ATOMIC_RELEASE);
    return NULL;
}

/* World stopped: those that have counted themselves stand inside an allocation, at a safepoint. */
static int *watched, watch_calls;

static void watch(void *data, hearth_visitor *visitor)
{
    int before = __atomic_load_n(watched, __ATOMIC_SEQ_CST);

    (void)data, (void)visitor;
    watch_calls++;
    for (int i = 0; i < 50; i++) {
        sched_yield();
        EXPECT(__atomic_load_n(watched, __ATOMIC_SEQ_CST) == before);
    }
}

/* Entering and leaving sections races with stopping the world: nobody gets out while it stands. */
START_TEST(nobody_leaves_while_it_stands)
{
    enum { COMMUTERS = 4 };
    struct fixture f = fixture_open(NULL);
    struct commuter commuters[COMMUTERS];
    int inside = 0, collections = 0;

    watched = &inside;
    HARNESS_OK(hearth_root_provider_add(f.heap, watch, NULL));
    for (int i = 0; i < COMMUTERS; i++) {
        commuters[i] =
            (struct commuter){.f = &f, .rounds = harness_scaled(40000), .inside = &inside};
        EXPECT(pthread_create(&commuters[i].thread, NULL, commute, &commuters[i]) == 0);
    }
    for (int i = 0; i < COMMUTERS; i++)
        while (!__atomic_load_n(&commuters[i].done, __ATOMIC_ACQUIRE))
            fixture_collect(f.mutator, collections++ % 3);
    for (int i = 0; i < COMMUTERS; i++)
        EXPECT(pthread_join(commuters[i].thread, NULL) == 0);
    ck_assert_int_ge(watch_calls, collections);
    HARNESS_OK(hearth_root_provider_remove(f.heap, watch, NULL));
    fixture_close(&f);
}
END_TEST

/* --- several collectors ----------------------------------------------------------------------------------- */

struct collector {
    struct fixture *f;
    int number;
    uint64_t rounds;
    pthread_t thread;
};

/* Everything that stops the world, from each thread, in another order. */
static void *collect_often(void *argument)
{
    struct collector *c = argument;
    hearth_mutator *mutator = fixture_attach(c->f->heap);
    uint64_t state = harness_seed() + (uint64_t)c->number;

    HEARTH_FRAME(mutator, frame, 1);
    for (uint64_t i = 0; i < c->rounds; i++) {
        frame.ref[0] = NULL;
        fixture_list(mutator, c->f->node, 50, &frame.ref[0]);
        switch (harness_random_below(&state, 6)) {
        case 0:
            EXPECT(hearth_verify(mutator) == HEARTH_OK);
            break;
        case 1:
            hearth_safepoint_slow(mutator);
            break;
        case 2:
            EXPECT(hearth_native_begin(mutator) == HEARTH_OK);
            sched_yield();
            EXPECT(hearth_native_end(mutator) == HEARTH_OK);
            break;
        default:
            fixture_collect(mutator, (int)harness_random_below(&state, 3));
        }
        fixture_check_list(frame.ref[0], 50);
    }
    HEARTH_FRAME_END(mutator, frame);
    EXPECT(hearth_detach(mutator) == HEARTH_OK);
    return NULL;
}

START_TEST(many_collectors)
{
    static const char *const options[] = {"fake-nodes=1", "fake-nodes=3,nursery=256k"};
    struct collector collectors[8];
    struct fixture f = fixture_open(options[_i % 2]);
    int threads = _i < 2 ? 2 : 8;
    uint64_t rounds = harness_scaled(_i < 2 ? 400 : 100);

    for (int i = 0; i < threads; i++) {
        collectors[i] = (struct collector){.f = &f, .number = i, .rounds = rounds};
        EXPECT(pthread_create(&collectors[i].thread, NULL, collect_often, &collectors[i]) == 0);
    }
    HARNESS_OK(hearth_native_begin(f.mutator));
    for (int i = 0; i < threads; i++)
        EXPECT(pthread_join(collectors[i].thread, NULL) == 0);
    HARNESS_OK(hearth_native_end(f.mutator));
    fixture_collect(f.mutator, 2);
    ck_assert_uint_eq(fixture_stats(f.heap).live_objects, 0);
    fixture_close(&f);
}
END_TEST

/* Each explicit request is served by a collection that began after it. */
static void *collect_and_count(void *argument)
{
    struct collector *c = argument;
    hearth_mutator *mutator = fixture_attach(c->f->heap);

    for (uint64_t i = 0; i < c->rounds; i++) {
        fixture_garbage(mutator, c->f->node, 10);
        fixture_collect(mutator, (int)(i % 3));
    }
    EXPECT(hearth_detach(mutator) == HEARTH_OK);
    return NULL;
}

START_TEST(requests_are_all_served)
{
    struct fixture f;
    struct collector collectors[4];
    uint64_t rounds = harness_scaled(100);

    fixture_alone();
    f = fixture_open(NULL);
    for (int i = 0; i < 4; i++) {
        collectors[i] = (struct collector){.f = &f, .number = i, .rounds = rounds};
        EXPECT(pthread_create(&collectors[i].thread, NULL, collect_and_count, &collectors[i]) == 0);
    }
    HARNESS_OK(hearth_native_begin(f.mutator));
    for (int i = 0; i < 4; i++)
        EXPECT(pthread_join(collectors[i].thread, NULL) == 0);
    HARNESS_OK(hearth_native_end(f.mutator));
    ck_assert_uint_eq(fixture_stats(f.heap).minor_count + fixture_stats(f.heap).full_count,
                      4 * rounds);
    fixture_close(&f);
}
END_TEST

/* --- misuse ------------------------------------------------------------------------------------------------ */

/* In a section, everything that touches the heap is refused, and the section goes on. */
START_TEST(refused_in_a_section)
{
    struct fixture f = fixture_open(NULL);
    struct computer other = {.heap = f.heap};
    void *object = fixture_new(f.mutator, f.node, 1);

    HARNESS_STATUS_NAMES(hearth_native_end(f.mutator), HEARTH_ESTATE, "native");
    HARNESS_OK(hearth_native_begin(f.mutator));
    HARNESS_STATUS_NAMES(hearth_native_begin(f.mutator), HEARTH_ESTATE, "native");
    HARNESS_STATUS(hearth_gc_collect(f.mutator, 0), HEARTH_ESTATE);
    HARNESS_STATUS(hearth_verify(f.mutator), HEARTH_ESTATE);
    HARNESS_STATUS(hearth_detach(f.mutator), HEARTH_ESTATE);
    HARNESS_NULL(hearth_new(f.mutator, f.node), HEARTH_ESTATE);
    HARNESS_NULL(hearth_new_array(f.mutator, f.refs, 2), HEARTH_ESTATE);
    HARNESS_NULL(hearth_new_on(f.mutator, f.refs, 2, 0), HEARTH_ESTATE);
    HARNESS_NULL(hearth_alloc_slow(f.mutator, f.node, sizeof(struct fixture_node)), HEARTH_ESTATE);
    HARNESS_NULL(hearth_alloc_next(f.mutator, f.node, sizeof(struct fixture_node)), HEARTH_ESTATE);
    HARNESS_NULL(hearth_array_next(f.mutator, f.refs, 2), HEARTH_ESTATE);
    HARNESS_STATUS(hearth_store_checked(f.mutator, object, object, NULL), HEARTH_ESTATE);
    HARNESS_STATUS(hearth_store_range(f.mutator, object, object, NULL, 0), HEARTH_ESTATE);
    HARNESS_STATUS(hearth_barrier_range(f.mutator, object, object, 1), HEARTH_ESTATE);
    HARNESS_STATUS(hearth_copy(f.mutator, object, object, object, object, 1), HEARTH_ESTATE);
    hearth_safepoint_slow(f.mutator);
    harness_expect_error("hearth_safepoint", HEARTH_ESTATE, "native");
    EXPECT(pthread_create(&other.thread, NULL, collect_once, &other) == 0);
    EXPECT(pthread_join(other.thread, NULL) == 0); /* it did not wait for us */
    hearth_safepoint(f.mutator);
    HARNESS_OK(hearth_native_end(f.mutator));
    HARNESS_STATUS(hearth_native_end(f.mutator), HEARTH_ESTATE);
    ck_assert_ptr_nonnull(hearth_new(f.mutator, f.node));
    fixture_close(&f);
}
END_TEST

/* A poll in a section, at the very moment that another thread stops the world, must not end it. */
static void *stop_world_often(void *argument)
{
    struct computer *computer = argument;
    hearth_mutator *mutator = fixture_attach(computer->heap);

    for (uint64_t i = 0; i < harness_scaled(300); i++)
        fixture_collect(mutator, 0);
    __atomic_store_n(&computer->stop, true, __ATOMIC_RELEASE);
    EXPECT(hearth_detach(mutator) == HEARTH_OK);
    return NULL;
}

START_TEST(polls_in_a_section)
{
    struct fixture f = fixture_open(NULL);
    struct computer other = {.heap = f.heap};

    HARNESS_OK(hearth_native_begin(f.mutator));
    EXPECT(pthread_create(&other.thread, NULL, stop_world_often, &other) == 0);
    while (!__atomic_load_n(&other.stop, __ATOMIC_ACQUIRE)) {
        hearth_safepoint(f.mutator);
        hearth_safepoint_slow(f.mutator);
        EXPECT(hearth_native_begin(f.mutator) == HEARTH_ESTATE);
    }
    EXPECT(pthread_join(other.thread, NULL) == 0);
    HARNESS_OK(hearth_native_end(f.mutator));
    fixture_close(&f);
}
END_TEST

/* --- threads of several heaps ------------------------------------------------------------------------------ */

enum { HEAPS = 3, TRAVELLERS = 4 };

struct traveller {
    struct fixture *f; /* HEAPS of them */
    int number;
    uint64_t rounds;
    pthread_t thread;
};

/* Whatever may wait in one heap, while others wait for this thread in another. */
static void travel(hearth_mutator **mutator, const struct fixture *f, unsigned action,
                   uint64_t *state)
{
    switch (action) {
    case 0:
        EXPECT(hearth_verify(*mutator) == HEARTH_OK);
        break;
    case 1:
        hearth_safepoint_slow(*mutator);
        break;
    case 2:
        EXPECT(hearth_native_begin(*mutator) == HEARTH_OK);
        sched_yield();
        EXPECT(hearth_native_end(*mutator) == HEARTH_OK);
        break;
    case 3:
        fixture_garbage(*mutator, f->node, 2000);
        break;
    default:
        fixture_collect(*mutator, (int)harness_random_below(state, 3));
    }
}

/* Half of the threads leave their heaps to the exit of the thread. */
static void *travel_often(void *argument)
{
    struct traveller *t = argument;
    uint64_t state = harness_seed() + (uint64_t)t->number;
    hearth_mutator *mutator[HEAPS];

    for (int h = 0; h < HEAPS; h++)
        mutator[h] = fixture_attach(t->f[h].heap);
    for (uint64_t i = 0; i < t->rounds; i++) {
        HEARTH_FRAME(mutator[0], first, 1);
        HEARTH_FRAME(mutator[1], second, 1);
        HEARTH_FRAME(mutator[2], third, 1);
        void **ref[HEAPS] = {&first.ref[0], &second.ref[0], &third.ref[0]};
        for (int h = 0; h < HEAPS; h++)
            fixture_list(mutator[h], t->f[h].node, 20, ref[h]);
        int h = (int)harness_random_below(&state, HEAPS);
        travel(&mutator[h], &t->f[h], (unsigned)harness_random_below(&state, 7), &state);
        for (h = 0; h < HEAPS; h++)
            fixture_check_list(*ref[h], 20);
        HEARTH_FRAME_END(mutator[2], third);
        HEARTH_FRAME_END(mutator[1], second);
        HEARTH_FRAME_END(mutator[0], first);
        if (i % 16 == 15) { /* come and go while the others collect */
            EXPECT(hearth_detach(mutator[h = (int)(i / 16 % HEAPS)]) == HEARTH_OK);
            mutator[h] = fixture_attach(t->f[h].heap);
        }
    }
    for (int h = 0; h < HEAPS && t->number % 2 == 0; h++)
        EXPECT(hearth_detach(mutator[h]) == HEARTH_OK);
    return NULL;
}

START_TEST(threads_of_several_heaps)
{
    static const char *const options[] = {"", "fake-nodes=2,conservative=1,nursery=256k"};
    struct fixture f[HEAPS];
    struct traveller travellers[TRAVELLERS];

    for (int h = 0; h < HEAPS; h++)
        f[h] = fixture_open(options[_i]);
    for (int i = 0; i < TRAVELLERS; i++) {
        travellers[i] = (struct traveller){.f = f, .number = i, .rounds = harness_scaled(200)};
        EXPECT(pthread_create(&travellers[i].thread, NULL, travel_often, &travellers[i]) == 0);
    }
    for (int h = 0; h < HEAPS; h++)
        HARNESS_OK(hearth_native_begin(f[h].mutator));
    for (int i = 0; i < TRAVELLERS; i++)
        EXPECT(pthread_join(travellers[i].thread, NULL) == 0);
    for (int h = 0; h < HEAPS; h++) {
        HARNESS_OK(hearth_native_end(f[h].mutator));
        fixture_collect(f[h].mutator, 2);
        if (_i == 0) /* conservative: stale words of this stack may keep some */
            ck_assert_uint_eq(fixture_stats(f[h].heap).live_objects, 0);
        fixture_close(&f[h]);
    }
}
END_TEST

HARNESS_SUITE(safepoint)
{
    Suite *suite = suite_create("safepoint");
    TCase *polls = tcase_create("polls"), *native = tcase_create("native");
    TCase *collectors = tcase_create("collectors"), *misuse = tcase_create("misuse");

    tcase_add_test(polls, polls_in_loops);
    tcase_add_test(polls, collector_waits);
    suite_add_tcase(suite, polls);
    tcase_add_test(native, sleepers_delay_nobody);
    tcase_add_test(native, nobody_leaves_while_it_stands);
    suite_add_tcase(suite, native);
    tcase_add_loop_test(collectors, many_collectors, 0, 4);
    tcase_add_test(collectors, requests_are_all_served);
    tcase_add_loop_test(collectors, threads_of_several_heaps, 0, 2);
    suite_add_tcase(suite, collectors);
    tcase_add_test(misuse, refused_in_a_section);
    tcase_add_test(misuse, polls_in_a_section);
    suite_add_tcase(suite, misuse);
    return suite;
}
