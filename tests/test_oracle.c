/* tests/test_oracle.c - random programs against the shadow model, under every mode of the collector.
 *
 * Single-threaded programs repeat exactly with SEED=n; a failure names the options and the step. For long
 * runs ORACLE_ROUNDS=n adds n random configurations with one thread and n with several. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/oracle.h"

enum { OPTIONS_MAX = 512 };

/* One program: steps, checks after collections, and at the end nothing is left. */
static void run_program(const char *options, uint64_t seed, unsigned steps, bool big)
{
    struct oracle_heap heap;
    struct oracle oracle, *all[] = {&oracle};

    oracle_heap_create(&heap, options);
    heap.big = big;
    bool generational = strstr(options, "generational=off") == NULL;
    uint64_t random = seed;
    int node = harness_random_below(&random, 2)
                   ? (int)harness_random_below(&random, (uint64_t)heap.nodes)
                   : HEARTH_NODE_AUTO;
    oracle_begin(&oracle, &heap, seed, node);
    for (unsigned i = 0; i < steps; i++) {
        int generation = oracle_step(&oracle);
        if (generation >= 0)
            oracle_check(&oracle);
        if (generation == 2 || (generation >= 0 && !generational))
            oracle_check_exact(all, 1);
    }
    for (int generation = 0; generation < 3; generation++) {
        HARNESS_OK(hearth_gc_collect(oracle.mutator, generation));
        oracle_check(&oracle);
    }
    oracle_check_exact(all, 1);
    hearth_mutator *mutator = oracle.mutator;
    oracle_end(&oracle, true);
    HARNESS_OK(hearth_gc_collect(mutator, 2));
    oracle_check_exact(all, 1);
    ck_assert_uint_eq(oracle.count, 0);
    HARNESS_OK(hearth_verify(mutator));
    HARNESS_OK(hearth_detach(mutator));
    oracle_heap_destroy(&heap);
}

/* Together these name every mode, and every other option at both ends of what makes sense. */
static const char *const configurations[] = {
    "verify=on",
    "verify=on,generational=off",
    "verify=on,stress=1,nursery=64k",
    "verify=on,stress=3,poison=on",
    "stress=17,poison=on,workers=1",
    "nursery=16k,heap-min=1m,nursery-adaptive=off",
    "nursery=64k,heap-min=1m,poison=on,prefetch=1",
    "heap-limit=6m,nursery=128k",
    "heap-limit=3m,nursery=64k,poison=on,generational=off",
    "fake-nodes=2,verify=on,mode=local,workers=2,help-after=0",
    "fake-nodes=2,verify=on,mode=local,workers=2,help-after=0,stress=1,poison=on",
    "fake-nodes=2,mode=place,workers=3,help-after=0,nursery=64k",
    "fake-nodes=2,mode=off,workers=2,help-after=0,stress=3",
    "fake-nodes=2,mode=interleave,workers=2,help-after=0,stress=17",
    "fake-nodes=4,verify=on,mode=local,workers=4,help-after=0,stress=3,prefetch=64",
    "fake-nodes=4,mode=place,workers=4,help-after=0,generational=off,stress=17",
    "fake-nodes=4,mode=local,workers=1,stress=17,poison=on",
    "fake-nodes=8,verify=on,mode=local,workers=4,help-after=0,nursery=64k",
    "fake-nodes=8,mode=local,workers=4,help-after=0,stress=1,heap-limit=24m,poison=on",
    "fake-nodes=8,mode=local,generational=off,workers=4,help-after=0,stress=3,prefetch=3",
    "workers=4,help-after=0,stress=3,verify=on",
    "workers=2,help-after=0,stress=1,generational=off,prefetch=64",
    "workers=3,help-after=0,nursery=64k,policy=strict,fake-nodes=4,heap-limit=16m",
    "growth=1.1,heap-min=512k,nursery=32k,workers=2,help-after=0",
    "guard=on,verify=on,stress=17",
    "guard=on,poison=on,fake-nodes=4,mode=local,workers=3,help-after=0,stress=3",
};
enum { CONFIGURATIONS = sizeof(configurations) / sizeof(configurations[0]) };

START_TEST(programs)
{
    uint64_t seed = harness_seed() + (uint64_t)_i * 1000003;

    run_program(configurations[_i], seed, (unsigned)harness_scaled(3000), false);
}
END_TEST

/* The same with objects above 4 MiB: spans of chunks, slices, cards behind the payload. */
START_TEST(large_programs)
{
    static const char *const options[] = {
        "verify=on,nursery=16m",
        "fake-nodes=2,workers=2,help-after=0,nursery=8m,poison=on",
        "fake-nodes=4,workers=4,help-after=0,heap-limit=160m,stress=17",
        "guard=on,poison=on,nursery=16m",
    };

    run_program(options[_i], harness_seed() + (uint64_t)_i, (unsigned)harness_scaled(1500), true);
}
END_TEST

/* A random choice of everything. */
static void random_options(uint64_t *random, char *options)
{
    static const char *const modes[] = {"auto", "local", "place", "off", "interleave"};
    static const unsigned nodes[] = {0, 1, 2, 4, 8}, stress[] = {0, 0, 1, 3, 17, 100};
    static const char *const limits[] = {"", "", ",heap-limit=24m", ",heap-limit=64m,growth=1.2",
                                         ",heap-limit=12m,growth=1.05"};
    static const char *const nurseries[] = {"0", "4k", "64k", "1m", "8m"};
    static const unsigned help[] = {0, 0, 100, 16384};

#define PICK(table) table[harness_random_below(random, sizeof(table) / sizeof((table)[0]))]
    snprintf(options, OPTIONS_MAX,
             "fake-nodes=%u,mode=%s,workers=%d,help-after=%u,stress=%u,nursery=%s,"
             "nursery-adaptive=%s,generational=%s,poison=%s,verify=%s,prefetch=%d%s",
             PICK(nodes), PICK(modes), 1 + (int)harness_random_below(random, 4), PICK(help),
             PICK(stress), PICK(nurseries), harness_random_below(random, 2) ? "on" : "off",
             harness_random_below(random, 4) ? "on" : "off",
             harness_random_below(random, 2) ? "on" : "off",
             harness_random_below(random, 3) ? "off" : "on", (int)harness_random_below(random, 65),
             PICK(limits));
#undef PICK
}

START_TEST(random_programs)
{
    uint64_t seed = harness_seed() + ((uint64_t)_i + 1) * UINT64_C(0x51ed2701), random = seed;
    char options[OPTIONS_MAX];

    random_options(&random, options);
    run_program(options, seed, (unsigned)harness_scaled(2000), _i % 8 == 7);
}
END_TEST

/* The same seed does the same: the number of objects and the checksum of all that live. */
static uint64_t fingerprint(uint64_t seed)
{
    struct oracle_heap heap;
    struct oracle oracle;
    uint64_t sum = 0;

    oracle_heap_create(&heap, "fake-nodes=4,workers=3,help-after=0,stress=17");
    oracle_begin(&oracle, &heap, seed, 1);
    for (unsigned i = 0; i < 2000; i++)
        if (oracle_step(&oracle) >= 0)
            oracle_check(&oracle);
    oracle_prune(&oracle);
    for (struct oracle_object *o = oracle.objects; o != NULL; o = o->next)
        sum = (sum ^ o->id ^ o->size << 32) * UINT64_C(0x100000001b3) + o->slots;
    oracle_end(&oracle, false);
    oracle_heap_destroy(&heap);
    return sum;
}

START_TEST(a_seed_repeats_a_program)
{
    uint64_t seed = harness_seed();

    ck_assert_uint_eq(fingerprint(seed), fingerprint(seed));
    ck_assert_uint_ne(fingerprint(seed), fingerprint(seed + 1));
}
END_TEST

/* --- threads ------------------------------------------------------------------------------------- */

enum { EXCHANGE = 600, THREADS_MAX = 4 };

/* What the threads share: an array of references in the heap and the shadows of what it holds. The lock
 * is taken inside a native section only, so that a collection never waits for its holder. */
struct exchange {
    struct oracle_heap heap;
    pthread_mutex_t lock;
    pthread_barrier_t meeting;
    struct oracle owner;                    /* the model that holds the array               */
    struct oracle_object *array;            /* of EXCHANGE references                       */
    struct oracle_object *parcel[EXCHANGE]; /* exported lists                               */
    struct oracle *model[THREADS_MAX + 1];  /* of each thread, and the owner's              */
    int threads;
    unsigned steps;
    uint64_t seed;
    uint64_t taken; /* parcels that changed hands (atomic) */
};

struct exchange_thread {
    struct exchange *exchange;
    struct oracle oracle;
    int number;
    pthread_t thread;
};

static void exchange_lock(struct exchange *exchange, hearth_mutator *mutator)
{
    HARNESS_OK(hearth_native_begin(mutator));
    pthread_mutex_lock(&exchange->lock);
    HARNESS_OK(hearth_native_end(mutator));
}

/* A tree of a few new objects of its own, rooted in the given frame until it is posted. */
static struct oracle_object *parcel_make(struct oracle *oracle)
{
    static const uint8_t kinds[] = {ORACLE_PAIR, ORACLE_NODE, ORACLE_REFS, ORACLE_STRUCTS,
                                    ORACLE_CARDS};
    struct oracle_object *root = NULL;
    HEARTH_FRAME(oracle->mutator, frame, 1);

    for (uint64_t n = 1 + harness_random_below(&oracle->random, 20); n > 0; n--) {
        enum oracle_kind kind = (enum oracle_kind)kinds[harness_random_below(&oracle->random, 5)];
        struct oracle_object *object = oracle_new(oracle, kind, kind == ORACLE_REFS ? 60 : 3);
        if (object == NULL)
            break;
        if (root != NULL)
            oracle_store(oracle, object, harness_random_below(&oracle->random, object->slots),
                         root);
        root = object;
        frame.ref[0] = root->address;
    }
    HEARTH_FRAME_END(oracle->mutator, frame);
    return root; /* no safepoint until it is stored */
}

/* Put a new parcel into the array, or take one out. The lock is held. */
static void exchange_step(struct exchange *exchange, struct oracle *oracle)
{
    size_t i = harness_random_below(&oracle->random, EXCHANGE);
    void **slots = exchange->array->address;

    if (exchange->parcel[i] == NULL) {
        struct oracle_object *object = parcel_make(oracle);
        if (object == NULL)
            return;
        HARNESS_OK(hearth_store(oracle->mutator, slots, &slots[i], object->address));
        exchange->parcel[i] = oracle_export(oracle, object);
        return;
    }
    struct oracle_object *object = exchange->parcel[i];
    if (slots[i] != object->address)
        ORACLE_FAIL(oracle, "slot %zu of the shared array holds %p, expected %p", i, slots[i],
                    object->address);
    oracle_import(oracle, object);
    oracle_hold(oracle, object); /* or it is garbage now */
    HARNESS_OK(hearth_store(oracle->mutator, slots, &slots[i], NULL));
    exchange->parcel[i] = NULL;
    __atomic_fetch_add(&exchange->taken, 1, __ATOMIC_RELAXED);
}

/* All threads meet in native sections; the first one then collects everything and counts. */
static void exchange_meet(struct exchange_thread *self)
{
    struct exchange *exchange = self->exchange;
    hearth_mutator *mutator = self->oracle.mutator;

    HARNESS_OK(hearth_native_begin(mutator));
    pthread_barrier_wait(&exchange->meeting);
    if (self->number == 0) {
        HARNESS_OK(hearth_native_end(mutator));
        HARNESS_OK(hearth_gc_collect(mutator, 2));
        for (size_t i = 0; i < EXCHANGE; i++)
            if (exchange->parcel[i] != NULL)
                oracle_import(&exchange->owner, exchange->parcel[i]);
        for (size_t i = 0; i < EXCHANGE; i++)
            exchange->array->ref[i] = (uintptr_t)exchange->parcel[i];
        oracle_check(&exchange->owner);
        oracle_check_exact(exchange->model, (size_t)exchange->threads + 1);
        for (size_t i = 0; i < EXCHANGE; i++) {
            exchange->array->ref[i] = 0;
            if (exchange->parcel[i] != NULL)
                exchange->parcel[i] = oracle_export(&exchange->owner, exchange->parcel[i]);
        }
        HARNESS_OK(hearth_native_begin(mutator));
    }
    pthread_barrier_wait(&exchange->meeting);
    HARNESS_OK(hearth_native_end(mutator));
}

static void exchange_sleep(struct oracle *oracle)
{
    const struct timespec pause = {0, (long)harness_random_below(&oracle->random, 300000)};

    HARNESS_OK(hearth_native_begin(oracle->mutator));
    nanosleep(&pause, NULL);
    HARNESS_OK(hearth_native_end(oracle->mutator));
}

static void *exchange_main(void *argument)
{
    struct exchange_thread *self = argument;
    struct exchange *exchange = self->exchange;
    struct oracle *oracle = &self->oracle;

    for (int life = 0; life < 3; life++) {
        oracle_begin(oracle, &exchange->heap, exchange->seed + (uint64_t)(self->number * 3 + life),
                     self->number % 2 ? HEARTH_NODE_AUTO : self->number % exchange->heap.nodes);
        for (unsigned i = 0; i < exchange->steps; i++) {
            uint64_t dice = harness_random_below(&oracle->random, 100);
            if (dice < 10) {
                exchange_lock(exchange, oracle->mutator);
                exchange_step(exchange, oracle);
                pthread_mutex_unlock(&exchange->lock);
            } else if (dice < 12) {
                exchange_sleep(oracle);
            } else if (oracle_step(oracle) >= 0) {
                oracle_check(oracle);
            }
            if (oracle->disabled) { /* it is the heap's: others would never collect */
                HARNESS_OK(hearth_gc_enable(exchange->heap.heap));
                oracle->disabled = false;
            }
        }
        oracle_check(oracle);
        exchange_meet(self);
        oracle_end(oracle, life == 2 && self->number % 2 == 0);
    }
    return NULL; /* some threads exit attached */
}

static void run_threads(const char *options, uint64_t seed, int threads, unsigned steps)
{
    static struct exchange exchange;
    static struct exchange_thread thread[THREADS_MAX];

    memset(&exchange, 0, sizeof(exchange));
    memset(thread, 0, sizeof(thread));
    oracle_heap_create(&exchange.heap, options);
    exchange.threads = threads;
    exchange.steps = steps;
    exchange.seed = seed;
    pthread_mutex_init(&exchange.lock, NULL);
    pthread_barrier_init(&exchange.meeting, NULL, (unsigned)threads);
    oracle_begin(&exchange.owner, &exchange.heap, seed, HEARTH_NODE_AUTO);
    exchange.array = oracle_new(&exchange.owner, ORACLE_REFS, EXCHANGE);
    ck_assert(exchange.array != NULL && oracle_hold(&exchange.owner, exchange.array));
    HARNESS_OK(hearth_native_begin(exchange.owner.mutator));
    for (int i = 0; i < threads; i++) {
        thread[i].exchange = &exchange;
        thread[i].number = i;
        exchange.model[i + 1] = &thread[i].oracle;
    }
    exchange.model[0] = &exchange.owner;
    for (int i = 0; i < threads; i++)
        ck_assert_int_eq(pthread_create(&thread[i].thread, NULL, exchange_main, &thread[i]), 0);
    for (int i = 0; i < threads; i++)
        pthread_join(thread[i].thread, NULL);
    HARNESS_OK(hearth_native_end(exchange.owner.mutator));
    if (steps >= 100) /* a thread may do fewer in one slice of time */
        ck_assert_uint_gt(exchange.taken, 0);
    for (size_t i = 0; i < EXCHANGE; i++)
        if (exchange.parcel[i] != NULL)
            oracle_import(&exchange.owner, exchange.parcel[i]);
    oracle_end(&exchange.owner, true);
    HARNESS_OK(hearth_gc_collect(exchange.owner.mutator, 2));
    oracle_check_exact(exchange.model, 1);
    ck_assert_uint_eq(exchange.owner.count, 0);
    HARNESS_OK(hearth_detach(exchange.owner.mutator));
    oracle_heap_destroy(&exchange.heap);
    pthread_barrier_destroy(&exchange.meeting);
    pthread_mutex_destroy(&exchange.lock);
}

static const char *const thread_configurations[] = {
    "workers=2,nursery=256k,verify=on",
    "fake-nodes=2,mode=local,workers=2,help-after=0,nursery=64k",
    "fake-nodes=4,mode=local,workers=3,help-after=0,stress=17,poison=on,verify=on",
    "fake-nodes=8,mode=local,workers=4,help-after=0,stress=3",
    "fake-nodes=4,mode=place,workers=2,help-after=0,nursery=64k,poison=on",
    "generational=off,workers=2,help-after=0,stress=17",
    "heap-limit=24m,nursery=256k,workers=2,help-after=100",
};
enum { THREAD_CONFIGURATIONS = sizeof(thread_configurations) / sizeof(thread_configurations[0]) };

START_TEST(threads)
{
    run_threads(thread_configurations[_i], harness_seed() + (uint64_t)_i, 2 + _i % 3,
                (unsigned)harness_scaled(600));
}
END_TEST

START_TEST(random_threads)
{
    uint64_t seed = harness_seed() + ((uint64_t)_i + 1) * UINT64_C(0x2545f491), random = seed;
    char options[OPTIONS_MAX];

    random_options(&random, options);
    run_threads(options, seed, 2 + (int)harness_random_below(&random, THREADS_MAX - 1),
                (unsigned)harness_scaled(400));
}
END_TEST

static int rounds_wanted(int least)
{
    const char *text = getenv("ORACLE_ROUNDS");
    int rounds = text != NULL ? atoi(text) : 0;

    return rounds > 0 ? least + rounds : least;
}

HARNESS_SUITE(oracle)
{
    Suite *suite = suite_create("oracle");
    TCase *one = tcase_create("programs");
    TCase *many = tcase_create("threads");

    tcase_add_loop_test(one, programs, 0, CONFIGURATIONS);
    tcase_add_loop_test(one, large_programs, 0, 4);
    tcase_add_loop_test(one, random_programs, 0, rounds_wanted(16));
    tcase_add_test(one, a_seed_repeats_a_program);
    suite_add_tcase(suite, one);
    tcase_add_loop_test(many, threads, 0, THREAD_CONFIGURATIONS);
    tcase_add_loop_test(many, random_threads, 0, rounds_wanted(4));
    suite_add_tcase(suite, many);
    return suite;
}
