/* tests/numa/test_placement.c - every page lies where its policy says, on a machine with real nodes.
 *
 * Runs in the NUMA guest (make check-placement). Threads on all processors build graphs that cross
 * nodes, collect them with helpers from the first object on, move to another node's processor, go on
 * there, and end; at each of these points the kernel is asked for the node of every page. */
#define _GNU_SOURCE 1

#include <hwloc.h>

#include "tests/numa/placement_fixture.h"

enum { LIST = 3000, REFS = 2000, GARBAGE = 8000, LARGE = 300 << 10, SPAN = 4200 << 10 };

/* What all threads of a test share. */
struct party {
    struct fixture *fixture;
    pthread_barrier_t barrier;
    int count;
    bool nodes_matter; /* memory comes from a thread's own node */
    void *shared[PLACE_CPUS];
};

struct guest {
    struct party *party;
    pthread_t thread;
    int number, cpu, next; /* where it runs, and later */
};

static void expect_node(struct guest *guest, const void *object, int node, const char *what)
{
    hearth_heap *heap = guest->party->fixture->heap;
    ck_assert_msg(object != NULL, "%s of thread %d: %s", what, guest->number, hearth_last_error());
    ck_assert_msg(!guest->party->nodes_matter || hearth_node_of(heap, object) == node,
                  "%s of thread %d lies on node %d, not %d", what, guest->number,
                  hearth_node_of(heap, object), node);
}

/* A list, an array of references, a large object and a span, written from end to end. */
static void build(struct guest *guest, hearth_mutator *m, int cpu)
{
    const struct fixture *f = guest->party->fixture;
    int node = place_home(f->heap, cpu);

    HEARTH_FRAME(m, frame, 3);
    fixture_list(m, f->node, LIST, &frame.ref[0]);
    expect_node(guest, frame.ref[0], node, "a list");
    frame.ref[1] = hearth_new_array(m, f->refs, REFS);
    expect_node(guest, frame.ref[1], node, "an array");
    EXPECT(hearth_store(m, frame.ref[1], (void **)frame.ref[1], frame.ref[0]) == HEARTH_OK);
    frame.ref[2] = hearth_new_array(m, f->bytes, guest->number % 4 == 0 ? SPAN : LARGE);
    expect_node(guest, frame.ref[2], node, "a large object");
    memset(frame.ref[2], 1, hearth_length(f->heap, frame.ref[2]));
    EXPECT(hearth_store(m, frame.ref[1], (void **)frame.ref[1] + 1, frame.ref[2]) == HEARTH_OK);
    guest->party->shared[guest->number] = frame.ref[1];
    HEARTH_FRAME_END(m, frame);
}

/* References to everybody's objects from everybody's, and some garbage. */
static void link_all(struct guest *guest, hearth_mutator *m)
{
    const struct fixture *f = guest->party->fixture;
    void *mine = guest->party->shared[guest->number];

    for (int i = 2; i < REFS; i++) {
        void **other = guest->party->shared[(guest->number + i) % guest->party->count];
        struct fixture_node *node = fixture_new(m, f->node, (uint64_t)i);
        hearth_store_init(&node->left, i % 2 ? other : other[0]);
        EXPECT(hearth_store(m, mine, (void **)mine + i, node) == HEARTH_OK);
    }
    fixture_garbage(m, f->node, GARBAGE);
}

static void meet_and_collect(struct guest *guest, hearth_mutator *m)
{
    static const int generations[] = {0, 2, 1, 2};

    place_meet(m, &guest->party->barrier);
    for (int i = 0; i < 4; i++) {
        if (i % guest->party->count == guest->number)
            fixture_collect(m, generations[i]);
        fixture_garbage(m, guest->party->fixture->node, 1000);
        place_meet(m, &guest->party->barrier);
    }
}

/* From its next block on a thread that was moved allocates where it is now. */
static void move(struct guest *guest, hearth_mutator *m)
{
    const struct fixture *f = guest->party->fixture;
    int node = place_home(f->heap, guest->next);

    place_pin(guest->next);
    HEARTH_FRAME(m, frame, 1);
    for (size_t bytes = 0; bytes < 2 * HA_BLOCK; bytes += sizeof(struct fixture_node))
        frame.ref[0] = fixture_new(m, f->node, bytes);
    expect_node(guest, frame.ref[0], node, "an object after moving");
    frame.ref[0] = hearth_new_array(m, f->bytes, LARGE);
    expect_node(guest, frame.ref[0], node, "a large object after moving");
    HEARTH_FRAME_END(m, frame);
    build(guest, m, guest->next);
}

static void *run_guest(void *data)
{
    struct guest *guest = data;
    struct party *party = guest->party;
    hearth_mutator *m;

    place_pin(guest->cpu);
    m = fixture_attach(party->fixture->heap);
    build(guest, m, guest->cpu);
    place_meet(m, &party->barrier);
    link_all(guest, m);
    meet_and_collect(guest, m);
    place_meet(m, &party->barrier); /* the first survey begins */
    place_meet(m, &party->barrier); /* and has ended            */
    move(guest, m);
    place_meet(m, &party->barrier);
    link_all(guest, m);
    meet_and_collect(guest, m);
    place_meet(m, &party->barrier);
    place_meet(m, &party->barrier);
    if (guest->number % 2)
        EXPECT(hearth_detach(m) == HEARTH_OK);
    return NULL; /* the others are detached by their end */
}

/* One thread on every processor; each goes on with a processor of another node. */
static void party_start(struct party *party, struct guest *guests, struct fixture *f)
{
    int cpus[PLACE_CPUS];
    hearth_heap *heap = f->heap;

    memset(party, 0, sizeof *party);
    party->fixture = f;
    party->count = place_cpus(heap, -1, cpus);
    party->nodes_matter = place_nodes(heap) > 1;
    ck_assert_int_gt(party->count, 1);
    pthread_barrier_init(&party->barrier, NULL, (unsigned)party->count + 1);
    for (int i = 0; i < party->count; i++)
        HARNESS_OK(hearth_root_add(heap, &party->shared[i]));
    for (int i = 0; i < party->count; i++) {
        guests[i] = (struct guest){.party = party,
                                   .number = i,
                                   .cpu = cpus[i],
                                   .next = cpus[(i + party->count / 2) % party->count]};
        ck_assert_int_eq(pthread_create(&guests[i].thread, NULL, run_guest, &guests[i]), 0);
    }
}

/* Lets the threads come to their next survey: `times` meetings before it. */
static void party_wait(struct party *party, hearth_mutator *m, int times)
{
    for (int i = 0; i < times; i++)
        place_meet(m, &party->barrier);
}

enum { MEETINGS = 1 + 5 + 1 }; /* of run_guest before a survey */

/* Processors on which the collector's threads ran, by node. */
struct watch {
    uint64_t wrong, helpers[HT_MAX_NODES];
};

static void watch_worker(void *data, hearth_heap *heap, int worker, int node)
{
    struct watch *watch = data;
    const cpu_set_t *cpus = heap->topology->node[node].cpu_set;

    if (worker == 0) /* the thread that collects, and nobody's */
        return;
    bool right = CPU_ISSET_S(sched_getcpu(), HT_CPU_SET_BYTES, cpus);
    __atomic_fetch_add(&watch->wrong, !right, __ATOMIC_RELAXED);
    __atomic_fetch_add(&watch->helpers[node], 1, __ATOMIC_RELAXED);
}

static void watch_heap(hearth_heap *heap, struct watch *watch)
{
    hearth_observer observer = {.struct_size = sizeof observer,
                                .data = watch,
                                .worker_begin = watch_worker,
                                .worker_end = watch_worker};
    HARNESS_OK(hearth_observe(heap, &observer));
}

/* Helpers came, at every node that has processors, and ran on these only. */
static void expect_watched(hearth_heap *heap, const struct watch *watch)
{
    ck_assert_uint_eq(watch->wrong, 0);
    for (int node = 0; node < place_nodes(heap); node++)
        ck_assert_msg(heap->topology->node[node].cpuless || watch->helpers[node] > 0,
                      "node %d had no helper", node);
}

/* The whole life of some threads; `m` is the main thread's mutator, which only waits. */
static void live(struct fixture *f, void (*look)(struct fixture *f, const char *when))
{
    static struct party party;
    static struct guest guests[PLACE_CPUS];

    party_start(&party, guests, f);
    party_wait(&party, f->mutator, MEETINGS);
    look(f, "after collections");
    party_wait(&party, f->mutator, 1 + MEETINGS);
    look(f, "after moving");
    party_wait(&party, f->mutator, 1);
    HARNESS_OK(hearth_native_begin(f->mutator));
    for (int i = 0; i < party.count; i++)
        pthread_join(guests[i].thread, NULL);
    HARNESS_OK(hearth_native_end(f->mutator));
    for (int i = 0; i < 3; i++)
        fixture_collect(f->mutator, i);
    look(f, "after the threads' end");
    for (int i = 0; i < party.count; i++)
        HARNESS_OK(hearth_root_remove(f->heap, &party.shared[i]));
}

static void look_home(struct fixture *f, const char *when)
{
    struct place_survey survey = place_expect_home(f->heap, when);

    for (int kind = 0; kind < PLACE_KINDS; kind++)
        ck_assert_msg(survey.kind[kind] > 0, "%s: no page of %s", when,
                      place_kind_name((enum place_kind)kind));
    if (f->heap->options.preferred < 0)
        for (int node = 0; node < place_nodes(f->heap); node++)
            ck_assert_msg(f->heap->topology->node[node].cpuless ||
                              f->heap->space.pool[node]->used > 0,
                          "%s: nothing of node %d is in use", when, node);
}

static const char *const policies[] = {"help-after=0",
                                       "help-after=0,hugepages=off,release-after=20",
                                       "help-after=0,policy=strict",
                                       "help-after=0,mode=place",
                                       "help-after=0,mode=place,policy=strict,hugepages=off",
                                       "generational=off,mode=local"};
enum { POLICIES = sizeof policies / sizeof policies[0] };

START_TEST(by_policy)
{
    struct watch watch = {0};
    struct fixture f;

    fixture_alone();
    f = fixture_open(policies[_i]);
    watch_heap(f.heap, &watch);
    live(&f, look_home);
    if (strstr(policies[_i], "help-after=0") != NULL)
        expect_watched(f.heap, &watch);
    ck_assert_uint_eq(fixture_stats(f.heap).spilled_blocks, 0);
    HARNESS_OK(hearth_observe(f.heap, NULL));
    fixture_close(&f);
}
END_TEST

/* One node for all threads' objects, whichever it is. */
START_TEST(preferred)
{
    char text[64];
    struct fixture f;

    fixture_alone();
    snprintf(text, sizeof text, "preferred=%d,help-after=0", _i);
    hearth_heap *probe = fixture_heap(NULL);
    int nodes = place_nodes(probe);
    HARNESS_OK(hearth_heap_destroy(probe));
    if (_i >= nodes)
        return;
    f = fixture_open(text);
    live(&f, look_home);
    for (int node = 0; node < nodes; node++)
        ck_assert_msg((f.heap->space.pool[node]->used > 0) == (node == _i),
                      "preferred=%d, and %zu blocks of node %d are in use", _i,
                      f.heap->space.pool[node]->used, node);
    fixture_close(&f);
}
END_TEST

/* Pages in equal shares over all nodes. */
START_TEST(interleaved)
{
    struct fixture f;
    uint64_t pages;

    fixture_alone();
    f = fixture_open("mode=interleave,hugepages=off");
    const struct hearth_topology *topology = f.heap->topology;
    ck_assert_int_eq(topology->nodes, 1);
    HEARTH_FRAME(f.mutator, frame, 2);
    fixture_list(f.mutator, f.node, 100000, &frame.ref[0]);
    frame.ref[1] = hearth_new_array(f.mutator, f.bytes, 20 << 20);
    memset(frame.ref[1], 1, 20 << 20);
    fixture_collect(f.mutator, 2);
    struct place_survey survey = place_survey(f.heap);
    HEARTH_FRAME_END(f.mutator, frame);
    pages = place_pages(&survey);
    ck_assert_uint_gt(pages, (24 << 20) / HA_PAGE);
    for (int i = 0; i < topology->spread; i++) {
        int os_node = topology->spread_node[i];
        double share = (double)survey.on[0][os_node] * topology->spread / (double)pages;
        ck_assert_msg(share > 0.85 && share < 1.15, "node %d has %.2f of its share", os_node,
                      share);
    }
    fixture_close(&f);
}
END_TEST

struct toucher {
    struct fixture *fixture;
    int cpu, os_node; /* its node, or the nearest with memory */
    uint64_t here, all;
};

/* A span and a large object in blocks, written, and where their pages are then. */
static void *touch(void *data)
{
    struct toucher *toucher = data;
    struct fixture *f = toucher->fixture;
    uint64_t on[PLACE_OS_NODES];

    place_pin(toucher->cpu);
    hearth_mutator *m = fixture_attach(f->heap);
    HEARTH_FRAME(m, frame, 2);
    frame.ref[0] = hearth_new_array(m, f->bytes, 5 << 20);
    frame.ref[1] = hearth_new_array(m, f->bytes, 2 << 20);
    EXPECT(frame.ref[0] != NULL && frame.ref[1] != NULL);
    for (int i = 0; i < 2; i++) {
        size_t bytes = hearth_length(f->heap, frame.ref[i]);
        memset(frame.ref[i], 1, bytes);
        toucher->all += place_count(frame.ref[i], bytes, on);
        toucher->here += on[toucher->os_node];
    }
    HEARTH_FRAME_END(m, frame);
    EXPECT(hearth_detach(m) == HEARTH_OK);
    return NULL;
}

/* The system's nodes that threads on these processors allocate on. */
static int place_os_nodes(int *cpus, int *os_nodes)
{
    hearth_heap *heap = fixture_heap(NULL);
    int count = place_cpus(heap, -1, cpus);

    for (int i = 0; i < count; i++)
        os_nodes[i] = heap->topology->node[heap->topology->node_of_cpu[cpus[i]]].os_node;
    HARNESS_OK(hearth_heap_destroy(heap));
    return count;
}

/* mode=off and policy=off leave it to the system: pages lie where they are touched first. */
START_TEST(first_touch)
{
    static const char *const options[] = {"mode=off,hugepages=off", "policy=off,hugepages=off"};
    int cpus[PLACE_CPUS], os_nodes[PLACE_CPUS];
    struct fixture f;

    fixture_alone();
    int count = place_os_nodes(cpus, os_nodes);
    f = fixture_open(options[_i]);
    ck_assert(!f.heap->space.windows->bound);
    HARNESS_OK(hearth_gc_disable(f.heap)); /* memory that is used again is not touched first */
    for (int i = 0; i < count; i++) {
        struct toucher toucher = {.fixture = &f, .cpu = cpus[i], .os_node = os_nodes[i]};
        pthread_t thread;
        ck_assert_int_eq(pthread_create(&thread, NULL, touch, &toucher), 0);
        pthread_join(thread, NULL);
        ck_assert_uint_ge(toucher.all, (7 << 20) / HA_PAGE);
        ck_assert_msg(toucher.here * 100 >= toucher.all * 98, "CPU %d: %lu of %lu pages on node %d",
                      cpus[i], (unsigned long)toucher.here, (unsigned long)toucher.all,
                      os_nodes[i]);
    }
    fixture_close(&f);
}
END_TEST

/* hearth_new_on: any thread, any node, small and large; it stays there. */
START_TEST(on_a_named_node)
{
    static const size_t sizes[] = {40, 5000, LARGE, SPAN};
    struct fixture f;
    int cpus[PLACE_CPUS];

    fixture_alone();
    f = fixture_open("help-after=0");
    int count = place_cpus(f.heap, -1, cpus);
    place_pin(cpus[count - 1]);
    HEARTH_FRAME(f.mutator, frame, 4 * HT_MAX_NODES);
    for (int node = 0; node < place_nodes(f.heap); node++)
        for (int i = 0; i < 4; i++) {
            int repeat = sizes[i] < LARGE ? 500 : 1;
            for (int k = 0; k < repeat; k++) {
                void *object = hearth_new_on(f.mutator, f.bytes, sizes[i], node);
                ck_assert_msg(object != NULL, "%s", hearth_last_error());
                memset(object, 1, sizes[i]);
                EXPECT(hearth_node_of(f.heap, object) == node);
                frame.ref[node * 4 + i] = object;
            }
        }
    place_expect_home(f.heap, "hearth_new_on");
    fixture_collect(f.mutator, 2);
    for (int node = 0; node < place_nodes(f.heap); node++)
        for (int i = 0; i < 4; i++)
            ck_assert_int_eq(hearth_node_of(f.heap, frame.ref[node * 4 + i]), node);
    place_expect_home(f.heap, "hearth_new_on and a collection");
    HEARTH_FRAME_END(f.mutator, frame);
    fixture_close(&f);
}
END_TEST

/* What ran on a node before it ended, found by its number in `party.shared`, is promoted there. */
static void *leave_a_list(void *data)
{
    struct guest *guest = data;

    place_pin(guest->cpu);
    build(guest, fixture_attach(guest->party->fixture->heap), guest->cpu);
    return NULL;
}

START_TEST(of_threads_that_are_gone)
{
    static struct party party;
    struct fixture f;
    int cpus[PLACE_CPUS];

    fixture_alone();
    f = fixture_open("help-after=0");
    party.fixture = &f;
    party.nodes_matter = place_nodes(f.heap) > 1;
    party.count = place_cpus(f.heap, -1, cpus);
    place_pin(cpus[0]);
    for (int i = 0; i < party.count; i++) {
        struct guest guest = {.party = &party, .number = i, .cpu = cpus[i]};
        HARNESS_OK(hearth_root_add(f.heap, &party.shared[i]));
        ck_assert_int_eq(pthread_create(&guest.thread, NULL, leave_a_list, &guest), 0);
        HARNESS_OK(hearth_native_begin(f.mutator));
        pthread_join(guest.thread, NULL);
        HARNESS_OK(hearth_native_end(f.mutator));
        fixture_collect(f.mutator, i % 3);
    }
    for (int i = 0; i < 3; i++)
        fixture_collect(f.mutator, i);
    for (int i = 0; i < party.count; i++) {
        void **array = party.shared[i];
        int node = place_home(f.heap, cpus[i]);
        for (struct fixture_node *at = array[0]; at != NULL; at = at->left)
            EXPECT(hearth_node_of(f.heap, at) == node);
        ck_assert_int_eq(hearth_node_of(f.heap, array), node);
        ck_assert_int_eq(hearth_node_of(f.heap, array[1]), node);
    }
    place_expect_home(f.heap, "after the threads' end");
    for (int i = 0; i < party.count; i++)
        HARNESS_OK(hearth_root_remove(f.heap, &party.shared[i]));
    fixture_close(&f);
}
END_TEST

/* Latencies that the firmware tells (hwloc's memory attributes) count before the distance table. */
START_TEST(latencies_count)
{
    hearth_heap *heap = fixture_heap(NULL);
    const struct hearth_topology *topology = heap->topology;
    hwloc_topology_t machine;
    int known = 0;

    ck_assert_int_eq(hwloc_topology_init(&machine), 0);
    ck_assert_int_eq(hwloc_topology_load(machine), 0);
    for (int from = 0; from < topology->nodes; from++)
        for (int to = 0; to < topology->nodes && !topology->node[from].cpuless; to++) {
            hwloc_uint64_t own, value;
            hwloc_bitmap_t set = hwloc_bitmap_alloc();
            hwloc_bitmap_only(set, (unsigned)place_cpu_of(heap, from));
            struct hwloc_location here = {.type = HWLOC_LOCATION_TYPE_CPUSET,
                                          .location.cpuset = set};
            hwloc_obj_t near =
                hwloc_get_numanode_obj_by_os_index(machine, (unsigned)topology->node[from].os_node);
            hwloc_obj_t far =
                hwloc_get_numanode_obj_by_os_index(machine, (unsigned)topology->node[to].os_node);
            if (from != to &&
                hwloc_memattr_get_value(machine, HWLOC_MEMATTR_ID_LATENCY, near, &here, 0, &own) ==
                    0 &&
                hwloc_memattr_get_value(machine, HWLOC_MEMATTR_ID_LATENCY, far, &here, 0, &value) ==
                    0) {
                known++;
                ck_assert_int_eq(topology->distance[from][to], (int)((value * 10 + own / 2) / own));
            }
            hwloc_bitmap_free(set);
        }
    hwloc_topology_destroy(machine);
    if (access("/sys/firmware/acpi/tables/HMAT", F_OK) == 0)
        ck_assert_int_ge(known, 1);
    HARNESS_OK(hearth_heap_destroy(heap));
}
END_TEST

HARNESS_SUITE(placement)
{
    Suite *suite = suite_create("placement");
    TCase *policies_case = tcase_create("policies");
    TCase *tests = tcase_create("placement");

    tcase_set_timeout(policies_case, 60);
    tcase_add_loop_test(policies_case, by_policy, 0, POLICIES);
    tcase_add_loop_test(policies_case, preferred, 0, 8);
    suite_add_tcase(suite, policies_case);
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, interleaved);
    tcase_add_loop_test(tests, first_touch, 0, 2);
    tcase_add_test(tests, on_a_named_node);
    tcase_add_test(tests, of_threads_that_are_gone);
    tcase_add_test(tests, latencies_count);
    suite_add_tcase(suite, tests);
    return suite;
}
