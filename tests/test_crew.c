/* tests/test_crew.c - GC worker threads: joining late or not at all, closing, failing to start. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>

#include "gc/crew.h"
#include "tests/harness.h"
#include "topology/os.h"

static struct hearth_topology *topology_of(const char *text)
{
    struct hearth_topology *topology = NULL;
    struct hearth_options options;

    unsetenv("HEARTH_OPTIONS");
    HARNESS_OK(ht_options_defaults(&options, false));
    HARNESS_OK(harness_parse(&options, text));
    HARNESS_OK(ht_topology_create(&topology, &options));
    return topology;
}

static struct hg_crew *crew_of(struct hearth_topology *topology, int workers)
{
    struct hg_crew *crew = NULL;

    HARNESS_OK(hg_crew_create(&crew, topology, workers));
    ck_assert_int_eq(crew->size, workers - 1);
    return crew;
}

/* What a phase saw. */
struct phase {
    struct hg_crew *crew;
    uint64_t number;
    int entered[HG_CREW_MAX]; /* by worker (atomic)                     */
    int inside;               /* now (atomic)                           */
    int total;                /* ever (atomic)                          */
    bool hold;                /* stay until it is false (atomic)        */
};

static void phase_fn(void *data, int worker)
{
    struct phase *phase = data;

    EXPECT(worker > 0 && worker <= hg_crew_last(phase->crew));
    __atomic_fetch_add(&phase->inside, 1, __ATOMIC_SEQ_CST);
    EXPECT(__atomic_fetch_add(&phase->entered[worker], 1, __ATOMIC_SEQ_CST) == 0);
    while (__atomic_load_n(&phase->hold, __ATOMIC_SEQ_CST))
        sched_yield();
    __atomic_fetch_add(&phase->total, 1, __ATOMIC_SEQ_CST);
    __atomic_fetch_sub(&phase->inside, 1, __ATOMIC_SEQ_CST);
}

static void wait_for(const int *value, int wanted)
{
    const struct timespec pause = {0, 100000};

    while (__atomic_load_n(value, __ATOMIC_SEQ_CST) != wanted)
        nanosleep(&pause, NULL);
}

/* Open a phase, call helpers and wait until so many are inside, where they stay if the phase says so. */
static void gather(struct hg_crew *crew, struct phase *phase, int called, int come)
{
    hg_crew_open(crew, phase_fn, phase);
    hg_crew_call(crew, called);
    wait_for(&phase->inside, come);
}

/* Let them go; how many had joined. */
static int release(struct hg_crew *crew, bool *hold)
{
    __atomic_store_n(hold, false, __ATOMIC_SEQ_CST);
    return hg_crew_close(crew);
}

static void destroy(struct hg_crew *crew, struct hearth_topology *topology)
{
    hg_crew_destroy(crew);
    ht_topology_destroy(topology);
}

START_TEST(no_thread_exists_before_it_is_needed)
{
    struct hearth_topology *topology = topology_of("");
    struct hg_crew *crew = crew_of(topology, 4);
    struct phase phase = {.crew = crew};

    hg_crew_open(crew, phase_fn, &phase);
    ck_assert_int_eq(hg_crew_close(crew), 0);
    ck_assert_int_eq(crew->started, 0);
    hg_crew_destroy(crew);
    hg_crew_destroy(NULL);
    ht_topology_destroy(topology);
}
END_TEST

START_TEST(as_many_as_are_called_may_come)
{
    struct hearth_topology *topology = topology_of("");
    struct hg_crew *crew = crew_of(topology, 5);

    for (int wanted = 1; wanted <= 6; wanted++) {
        int come = wanted < 4 ? wanted : 4;
        struct phase phase = {.crew = crew, .hold = true};
        gather(crew, &phase, wanted, come);
        ck_assert_int_ge(crew->started, come);
        hg_crew_call(crew, wanted); /* as many more, where there is room */
        ck_assert_int_le(crew->started, 4);
        int joined = release(crew, &phase.hold);
        ck_assert_int_eq(phase.inside, 0);
        ck_assert_int_eq(joined, phase.total);
        ck_assert_int_ge(joined, come);
        ck_assert_int_le(joined, 4);
    }
    destroy(crew, topology);
}
END_TEST

/* Closing waits for those inside, not for those that were called and have not come. */
START_TEST(closing_does_not_wait_for_late_ones)
{
    struct hearth_topology *topology = topology_of("");
    struct hg_crew *crew = crew_of(topology, 4);
    uint64_t joined = 0;

    for (uint64_t i = 0; i < harness_scaled(2000); i++) {
        struct phase *phase = calloc(1, sizeof(*phase));
        phase->crew = crew;
        hg_crew_open(crew, phase_fn, phase);
        hg_crew_call(crew, 3);
        int came = hg_crew_close(crew);
        EXPECT(phase->inside == 0 && phase->total == came && came <= 3);
        joined += (uint64_t)came;
        free(phase); /* nobody may look at it any more */
    }
    (void)joined; /* any number is right */
    destroy(crew, topology);
}
END_TEST

START_TEST(a_closed_phase_is_not_entered)
{
    struct hearth_topology *topology = topology_of("");
    struct hg_crew *crew = crew_of(topology, 3);
    struct phase phase = {.crew = crew};
    const struct timespec pause = {0, 20000000};

    hg_crew_open(crew, phase_fn, &phase);
    hg_crew_close(crew);
    hg_crew_call(crew, 2);
    nanosleep(&pause, NULL);
    ck_assert_int_eq(phase.total, 0);
    ck_assert_int_eq(crew->started, 0);
    destroy(crew, topology);
}
END_TEST

START_TEST(threads_that_do_not_start_are_done_without)
{
    struct hearth_topology *topology = topology_of("");
    struct hg_crew *crew = crew_of(topology, 4);
    struct phase phase = {.crew = crew, .hold = true};

    ht_fault_arm(HT_FAULT_THREAD, 1, true);
    gather(crew, &phase, 3, 0);
    ck_assert_int_eq(crew->started, 0);
    ck_assert_int_eq(hg_crew_close(crew), 0);
    ht_fault_arm(HT_FAULT_THREAD, 2, true); /* one starts */
    gather(crew, &phase, 3, 1);
    ck_assert_int_eq(crew->started, 1);
    ht_fault_arm(HT_FAULT_THREAD, 0, false);
    ck_assert_int_eq(release(crew, &phase.hold), 1);
    struct phase again = {.crew = crew, .hold = true}; /* those that failed are tried again */
    gather(crew, &again, 3, 3);
    ck_assert_int_eq(release(crew, &again.hold), 3);
    destroy(crew, topology);
}
END_TEST

START_TEST(creation_fails_without_memory)
{
    struct hearth_topology *topology = topology_of("");
    struct hg_crew *crew = NULL;

    ht_fault_arm(HT_FAULT_ALLOC, 1, false);
    HARNESS_STATUS(hg_crew_create(&crew, topology, 2), HEARTH_ENOMEM);
    ck_assert_ptr_null(crew);
    ht_topology_destroy(topology);
}
END_TEST

START_TEST(the_number_of_workers_is_bounded)
{
    struct hearth_topology *topology = topology_of("");
    struct hg_crew *crew = NULL;

    HARNESS_OK(hg_crew_create(&crew, topology, 100000));
    ck_assert_int_eq(crew->size, HG_CREW_MAX - 1);
    hg_crew_destroy(crew);
    HARNESS_OK(hg_crew_create(&crew, topology, 1));
    ck_assert_int_eq(crew->size, 0);
    hg_crew_open(crew, phase_fn, NULL);
    hg_crew_call(crew, 5); /* nobody */
    ck_assert_int_eq(hg_crew_close(crew), 0);
    destroy(crew, topology);
}
END_TEST

/* Workers are spread over the nodes and run on the CPUs of theirs only. */
struct binding {
    struct hg_crew *crew;
    struct hearth_topology *topology;
    int inside;
    bool hold;
};

static void binding_fn(void *data, int worker)
{
    struct binding *binding = data;
    cpu_set_t *set = CPU_ALLOC(HT_MAX_CPUS);
    const cpu_set_t *wanted = binding->topology->node[hg_crew_node(binding->crew, worker)].cpu_set;

    CPU_ZERO_S(HT_CPU_SET_BYTES, set);
    EXPECT(pthread_getaffinity_np(pthread_self(), HT_CPU_SET_BYTES, set) == 0);
    for (int cpu = 0; cpu < HT_MAX_CPUS; cpu++)
        EXPECT(!CPU_ISSET_S(cpu, HT_CPU_SET_BYTES, set) ||
               CPU_ISSET_S(cpu, HT_CPU_SET_BYTES, wanted));
    CPU_FREE(set);
    __atomic_fetch_add(&binding->inside, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&binding->hold, __ATOMIC_SEQ_CST))
        sched_yield();
}

START_TEST(workers_are_bound_to_their_nodes)
{
    struct hearth_topology *topology = topology_of("fake-nodes=2");
    struct hg_crew *crew = crew_of(topology, 5);
    struct binding binding = {crew, topology, 0, true};

    for (int i = 1; i < 5; i++)
        ck_assert_int_eq(hg_crew_node(crew, i), i % topology->nodes);
    hg_crew_open(crew, binding_fn, &binding);
    hg_crew_call(crew, 4);
    wait_for(&binding.inside, 4);
    ck_assert_int_eq(release(crew, &binding.hold), 4);
    destroy(crew, topology);
}
END_TEST

/* With a worker for each node, all nodes but the opener's have a helper, wherever it opens. */
START_TEST(every_node_but_the_opener_s_has_a_helper)
{
    enum { NODES = 4 };
    struct hearth_topology *topology = topology_of("fake-nodes=4");

    for (int workers = NODES; workers <= 2 * NODES; workers += NODES) {
        struct hg_crew *crew = crew_of(topology, workers);
        for (int round = 0; round < 3 * NODES; round++) {
            struct phase phase = {.crew = crew, .hold = true};
            int node = round * 3 % NODES, here[NODES] = {0};
            here[node] = 1;
            hg_crew_spare(crew, node);
            gather(crew, &phase, HG_CREW_MAX, workers - 1);
            ck_assert_int_eq(release(crew, &phase.hold), workers - 1);
            for (int i = 1; i < HG_CREW_MAX; i++) {
                here[hg_crew_node(crew, i)] += phase.entered[i];
                ck_assert(phase.entered[i] == 0 || hg_crew_comes(crew, i));
            }
            for (int n = 0; n < NODES; n++)
                ck_assert_int_eq(here[n], workers / NODES);
            ck_assert_int_le(crew->started, workers);
        }
        hg_crew_destroy(crew);
    }
    ht_topology_destroy(topology);
}
END_TEST

HARNESS_SUITE(crew)
{
    Suite *suite = suite_create("crew");
    TCase *tcase = tcase_create("crew");

    tcase_add_test(tcase, no_thread_exists_before_it_is_needed);
    tcase_add_test(tcase, every_node_but_the_opener_s_has_a_helper);
    tcase_add_test(tcase, as_many_as_are_called_may_come);
    tcase_add_test(tcase, closing_does_not_wait_for_late_ones);
    tcase_add_test(tcase, a_closed_phase_is_not_entered);
    tcase_add_test(tcase, threads_that_do_not_start_are_done_without);
    tcase_add_test(tcase, creation_fails_without_memory);
    tcase_add_test(tcase, the_number_of_workers_is_bounded);
    tcase_add_test(tcase, workers_are_bound_to_their_nodes);
    suite_add_tcase(suite, tcase);
    return suite;
}
