/* tests/numa/test_access.c - is what the access-counting plugin counts true? Runs in the guest, with
 * the plugin: `make check-guest`.
 *
 * Threads are pinned to the processors, read or write memory of known nodes a known number of times,
 * and the plugin's answers are compared with that. ACCESS_CACHE_KIB in the environment is the size of
 * the cache model that the plugin was given; without it, tests of the model do not run.
 *
 * Compiled without vectorisation: one 64-bit load or store each word. */
#define _GNU_SOURCE
#include <check.h>
#include <inttypes.h>
#include <numa.h>
#include <numaif.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/numa/access.h"

enum { MAX_THREADS = 64, MAX_NODES = 16, LINE = 64, PAGE = 4096, BYTES = 2 << 20, PASSES = 2 };

enum placement { OWN, NEXT, FARTHEST, INTERLEAVED, PLACEMENTS };

static const char *const placement_names[] = {"own node", "next node", "farthest node",
                                              "interleaved"};

/* The machine: nodes with memory, and a processor for each thread, on a node with memory. */
static int memory_nodes[MAX_NODES], memory_node_count;
static int cpus[MAX_THREADS], cpu_count;

static volatile uint64_t sink;

static void look_at_machine(void)
{
    memory_node_count = cpu_count = 0;
    for (int node = 0; node <= numa_max_node() && node < MAX_NODES; node++)
        if (numa_bitmask_isbitset(numa_all_nodes_ptr, (unsigned)node) &&
            numa_node_size64(node, NULL) > 0)
            memory_nodes[memory_node_count++] = node;
    for (int cpu = 0; cpu < numa_num_configured_cpus() && cpu_count < MAX_THREADS; cpu++) {
        int node = numa_node_of_cpu(cpu);
        if (node >= 0 && numa_node_size64(node, NULL) > 0)
            cpus[cpu_count++] = cpu;
    }
}

static void setup(void)
{
    look_at_machine();
    na_reset();
}

/* The counts are those of a program that was not disturbed. */
static void teardown(void)
{
    char reason[NA_NAME];
    ck_assert_msg(na_trusted(reason), "not to be trusted: %s", reason);
}

static void pin(int cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    ck_assert_int_eq(sched_setaffinity(0, sizeof set, &set), 0);
}

/* ------------------------------------------------------------------------------------ memory */

/* The node that memory of this placement lies on, for a thread on node `home`. */
static int target(enum placement placement, int home)
{
    int at = 0, best = home;
    for (int i = 0; i < memory_node_count; i++) {
        if (memory_nodes[i] == home)
            at = i;
        if (numa_distance(home, memory_nodes[i]) > numa_distance(home, best))
            best = memory_nodes[i];
    }
    if (placement == NEXT)
        return memory_nodes[(at + 1) % memory_node_count];
    return placement == FARTHEST ? best : home;
}

/* Touched memory in small pages, so that interleaving is by 4 KiB. */
static uint64_t *memory_at(enum placement placement, int home)
{
    void *memory = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    unsigned long nodes = 0;

    ck_assert(memory != MAP_FAILED);
    madvise(memory, BYTES, MADV_NOHUGEPAGE);
    if (placement == INTERLEAVED)
        for (int i = 0; i < memory_node_count; i++)
            nodes |= 1UL << memory_nodes[i];
    else
        nodes = 1UL << target(placement, home);
    ck_assert_int_eq(mbind(memory, BYTES, placement == INTERLEAVED ? MPOL_INTERLEAVE : MPOL_BIND,
                           &nodes, 8 * sizeof nodes, 0),
                     0);
    memset(memory, 1, BYTES);
    return memory;
}

/* Where the kernel says the pages are: how many on node `home`. */
static int pages_on(const uint64_t *memory, int home)
{
    int here = 0;
    for (size_t at = 0; at < BYTES; at += PAGE) {
        void *page = (char *)(uintptr_t)memory + at;
        int node = -1;
        ck_assert_int_eq(move_pages(0, 1, &page, NULL, &node, 0), 0);
        here += node == home;
    }
    return here;
}

static void load_words(const uint64_t *memory, size_t count)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += memory[i];
    sink += sum;
}

static void store_words(uint64_t *memory, size_t count)
{
    for (size_t i = 0; i < count; i++)
        memory[i] = i;
}

/* ------------------------------------------------------------------------------------ threads */

struct crew;

struct worker {
    pthread_t thread;
    struct crew *crew;
    int number, cpu, home; /* its processor and that one's node, -1: anywhere */
    uint64_t *memory;
};

/* Threads that do one thing at once, between two barriers. */
struct crew {
    int count;
    const char *(*tag)(int number);
    void (*work)(struct worker *worker);
    pthread_barrier_t barrier;
    struct worker workers[MAX_THREADS];
};

static void *run_worker(void *data)
{
    struct worker *worker = data;
    if (worker->cpu >= 0)
        pin(worker->cpu);
    if (worker->crew->tag != NULL)
        na_tag(worker->crew->tag(worker->number));
    pthread_barrier_wait(&worker->crew->barrier);
    pthread_barrier_wait(&worker->crew->barrier);
    worker->crew->work(worker);
    pthread_barrier_wait(&worker->crew->barrier);
    return NULL;
}

/* One pinned thread for each processor on a node with memory, or `count` unpinned ones. */
static void crew_start(struct crew *crew, int count, enum placement placement)
{
    crew->count = count > 0 ? count : cpu_count;
    pthread_barrier_init(&crew->barrier, NULL, (unsigned)crew->count + 1);
    for (int i = 0; i < crew->count; i++) {
        struct worker *worker = &crew->workers[i];
        worker->crew = crew;
        worker->number = i;
        worker->cpu = count > 0 ? -1 : cpus[i];
        worker->home = count > 0 ? memory_nodes[0] : numa_node_of_cpu(cpus[i]);
        worker->memory = placement < PLACEMENTS ? memory_at(placement, worker->home) : NULL;
        ck_assert_int_eq(pthread_create(&worker->thread, NULL, run_worker, worker), 0);
    }
    pthread_barrier_wait(&crew->barrier);
}

/* Lets the threads do their work inside the region. */
static void crew_work(struct crew *crew, const char *region)
{
    na_cold();
    na_begin(region);
    pthread_barrier_wait(&crew->barrier);
    pthread_barrier_wait(&crew->barrier);
    na_end();
    for (int i = 0; i < crew->count; i++)
        pthread_join(crew->workers[i].thread, NULL);
}

/* ------------------------------------------------------------------------------------ assertions */

/* Counted: what was asked for, and a little for barriers and the loop itself. */
static void expect_count(const char *what, uint64_t counted, uint64_t expected)
{
    ck_assert_msg(counted >= expected && counted <= expected + expected / 50 + 20000,
                  "%s: %" PRIu64 " counted, %" PRIu64 " expected", what, counted, expected);
}

static void expect_percent(const char *what, double counted, double expected)
{
    ck_assert_msg(counted >= expected - 0.5 && counted <= expected + 0.5,
                  "%s: %.2f %% counted, %.2f %% expected", what, counted, expected);
}

static void load_all(struct worker *worker)
{
    for (int pass = 0; pass < PASSES; pass++)
        load_words(worker->memory, BYTES / 8);
}

static void store_all(struct worker *worker)
{
    for (int pass = 0; pass < PASSES; pass++)
        store_words(worker->memory, BYTES / 8);
}

/* What each placement must give, from the machine's description alone. */
static void expected_of(const struct crew *crew, enum placement placement, double *percent,
                        double *distance)
{
    *percent = *distance = 0;
    for (int i = 0; i < crew->count; i++) {
        int home = crew->workers[i].home, there = target(placement, home);
        if (placement != INTERLEAVED) {
            *percent += there == home ? 100.0 : 0;
            *distance += numa_distance(home, there);
            continue;
        }
        *percent += 100.0 / memory_node_count;
        for (int k = 0; k < memory_node_count; k++)
            *distance += (double)numa_distance(home, memory_nodes[k]) / memory_node_count;
    }
    *percent /= crew->count;
    *distance /= crew->count;
}

/* The sums between all pairs of nodes are the sums over all, and local is the diagonal. */
static void expect_pairs(const char *region, const struct na_sums *sums)
{
    uint64_t all = 0, local = 0;
    for (int cpu = 0; cpu <= numa_max_node(); cpu++)
        for (int node = 0; node <= numa_max_node(); node++) {
            struct na_sums pair = na_query_nodes(region, "", "", cpu, node);
            all += na_accesses(&pair);
            local += cpu == node ? na_accesses(&pair) : 0;
            ck_assert_uint_eq(pair.distance,
                              na_accesses(&pair) * (uint64_t)numa_distance(cpu, node));
        }
    ck_assert_uint_eq(all, na_accesses(sums));
    ck_assert_uint_eq(local, sums->loads_local + sums->stores_local);
}

/* ------------------------------------------------------------------------------------ placement */

START_TEST(placement_is_seen)
{
    enum placement placement = (enum placement)(_i / 2);
    bool stores = _i % 2;
    const char *name = placement_names[placement];
    static struct crew crew;
    double percent, distance, kernel = 0;

    if (placement != OWN && memory_node_count < 2)
        return;
    crew.work = stores ? store_all : load_all;
    crew_start(&crew, 0, placement);
    for (int i = 0; i < crew.count; i++)
        kernel += 100.0 * pages_on(crew.workers[i].memory, crew.workers[i].home);
    kernel /= (double)crew.count * BYTES / PAGE;
    crew_work(&crew, name);

    struct na_sums sums = na_query(name, "", "");
    uint64_t words = (uint64_t)crew.count * PASSES * (BYTES / 8);
    uint64_t loads = sums.loads_local + sums.loads_remote;
    uint64_t wrote = sums.stores_local + sums.stores_remote;
    expected_of(&crew, placement, &percent, &distance);
    printf("  %-13s %-6s %6.2f %% local, distance %5.2f, counted/expected %.4f\n", name,
           stores ? "stores" : "loads", na_local_percent(&sums),
           (double)sums.distance / (double)na_accesses(&sums),
           (double)(stores ? wrote : loads) / (double)words);
    expect_percent("the kernel", kernel, percent);
    expect_percent(name, na_local_percent(&sums), percent);
    expect_percent("distance", (double)sums.distance / (double)na_accesses(&sums), distance);
    expect_count(name, stores ? wrote : loads, words);
    ck_assert_uint_lt(stores ? loads : wrote, words / 50 + 20000);
    ck_assert_uint_eq(sums.elsewhere, 0);
    expect_pairs(name, &sums);
}
END_TEST

/* ------------------------------------------------------------------------------------ who */

enum { TAGGED = 24, NOISE = 8, ROUNDS = 10000, ROUND_WORDS = 64 };

static const char *tag_of(int number)
{
    static const char *const tags[] = {"", "mark", "mutator", "sweep"};
    return tags[number % 4];
}

static void rounds(struct worker *worker)
{
    static volatile uint64_t words[TAGGED][ROUND_WORDS];
    uint64_t sum = 0;
    for (int round = 0; round < ROUNDS * (1 + worker->number % 4); round++)
        for (int i = 0; i < ROUND_WORDS; i++)
            sum += words[worker->number][i];
    sink += sum;
    na_tag("");
}

static pid_t make_noise(void)
{
    pid_t child = fork();
    if (child == 0) {
        volatile uint64_t *words = calloc(512, sizeof *words);
        for (uint64_t i = 0;; i++)
            words[i % 512]++;
    }
    ck_assert_int_gt(child, 0);
    return child;
}

/* More threads than processors, unpinned, with and without tags, beside busy processes. */
START_TEST(tags_follow_threads)
{
    static struct crew crew = {.tag = tag_of, .work = rounds};
    pid_t noise[NOISE];

    for (int i = 0; i < NOISE; i++)
        noise[i] = make_noise();
    crew_start(&crew, TAGGED, PLACEMENTS);
    crew_work(&crew, "work");
    for (int i = 0; i < NOISE; i++) {
        kill(noise[i], SIGKILL);
        waitpid(noise[i], NULL, 0);
    }
    for (int kind = 0; kind < 4; kind++) {
        const char *tag = kind == 0 ? "-" : tag_of(kind);
        struct na_sums sums = na_query("work", tag, "");
        uint64_t loads = sums.loads_local + sums.loads_remote;
        uint64_t expected = (uint64_t)TAGGED / 4 * ROUNDS * (uint64_t)(1 + kind) * ROUND_WORDS;
        printf("  tag %-8s counted/expected %.5f\n", tag, (double)loads / (double)expected);
        expect_count(tag, loads, expected);
    }
}
END_TEST

static void tagged_loads(struct worker *worker)
{
    load_all(worker);
}

START_TEST(another_thread_gets_a_tag)
{
    static struct crew crew = {.work = tagged_loads};

    crew_start(&crew, 0, OWN);
    na_tag_thread((uint64_t)crew.workers[0].thread, "chosen");
    crew_work(&crew, "work");
    struct na_sums sums = na_query("work", "chosen", "");
    expect_count("chosen", na_accesses(&sums), PASSES * (BYTES / 8));
    sums = na_query("work", "-", "");
    expect_count("-", na_accesses(&sums), (uint64_t)(crew.count - 1) * PASSES * (BYTES / 8));
}
END_TEST

START_TEST(another_process_is_not_counted)
{
    static uint64_t words[PAGE];

    na_begin("parent");
    pid_t child = fork();
    if (child == 0) {
        load_words(words, PAGE);
        na_begin("child");
        store_words(words, PAGE);
        na_end();
        load_words(words, PAGE);
        _exit(0);
    }
    waitpid(child, NULL, 0);
    load_words(words, PAGE);
    na_end();

    struct na_sums parent = na_query("parent", "", ""), inside = na_query("child", "", "");
    expect_count("parent", parent.loads_local + parent.loads_remote, PAGE);
    ck_assert_uint_lt(na_accesses(&parent), 2 * PAGE);
    expect_count("child", inside.stores_local + inside.stores_remote, PAGE);
    ck_assert_uint_lt(na_accesses(&inside), 2 * PAGE);
}
END_TEST

/* ------------------------------------------------------------------------------------ what */

enum { WORDS = 1 << 16 };

static uint64_t *two_areas(void)
{
    uint64_t *words = calloc(2 * WORDS, sizeof *words);
    ck_assert_ptr_nonnull(words);
    memset(words, 1, 2 * WORDS * sizeof *words);
    return words;
}

static uint64_t counted(const char *region, const char *class_)
{
    struct na_sums sums = na_query(region, "", class_);
    return na_accesses(&sums);
}

START_TEST(classes_are_told_apart)
{
    uint64_t *words = two_areas();

    na_class(words, words + WORDS, "first");
    na_class(words + WORDS, words + 2 * WORDS, "second");
    na_begin("areas");
    load_words(words, WORDS);
    store_words(words + WORDS, WORDS);
    store_words(words + WORDS, WORDS);
    na_end();
    ck_assert_uint_eq(counted("areas", "first"), WORDS);
    ck_assert_uint_eq(counted("areas", "second"), 2 * WORDS);
    ck_assert_uint_lt(counted("areas", "-"), 20000);
    ck_assert_uint_eq(counted("areas", "third"), 0);

    /* The class named last counts. */
    na_class(words + WORDS / 2, words + WORDS, "second");
    na_begin("again");
    load_words(words, WORDS);
    na_end();
    ck_assert_uint_eq(counted("again", "first"), WORDS / 2);
    ck_assert_uint_eq(counted("again", "second"), WORDS / 2);
}
END_TEST

START_TEST(regions_nest)
{
    uint64_t *words = two_areas();

    na_class(words, words + 2 * WORDS, "words");
    load_words(words, WORDS);
    na_begin("outer");
    load_words(words, WORDS);
    na_begin("inner");
    load_words(words, 2 * WORDS);
    na_end();
    store_words(words, WORDS);
    na_begin("inner");
    load_words(words, WORDS);
    na_end();
    na_end();
    load_words(words, WORDS);
    ck_assert_uint_eq(counted("outer", "words"), 2 * WORDS);
    ck_assert_uint_eq(counted("inner", "words"), 3 * WORDS);
    ck_assert_uint_eq(counted("", "words"), 5 * WORDS);
}
END_TEST

START_TEST(reset_forgets_everything)
{
    uint64_t *words = two_areas();

    na_tag("mine");
    na_class(words, words + WORDS, "words");
    na_begin("before");
    load_words(words, WORDS);
    na_reset();
    load_words(words, WORDS);
    ck_assert_uint_eq(counted("before", ""), 0);
    na_begin("after");
    load_words(words, WORDS);
    na_end();
    ck_assert_uint_eq(counted("after", "words"), 0);
    ck_assert_uint_ge(counted("after", "-"), WORDS);
    struct na_sums sums = na_query("after", "mine", "");
    ck_assert_uint_eq(na_accesses(&sums), 0);
}
END_TEST

/* What the instructions that are not plain loads and stores count as. */
START_TEST(unusual_instructions)
{
    enum { TIMES = 1000 };
    static _Alignas(64) uint64_t words[8];

    na_class(words, words + 8, "words");
    na_begin("locked add");
    for (int i = 0; i < TIMES; i++)
        __asm__ volatile("lock addq $1,%0" : "+m"(words[0]));
    na_end();
    na_begin("prefetch");
    for (int i = 0; i < TIMES; i++)
        __asm__ volatile("prefetcht0 %0" ::"m"(words[0]));
    na_end();
    na_begin("non-temporal");
    for (uint64_t i = 0; i < TIMES; i++)
        __asm__ volatile("movnti %1,%0" : "=m"(words[0]) : "r"(i));
    na_end();
    struct na_sums sums = na_query("locked add", "", "words");
    ck_assert_uint_eq(sums.stores_local + sums.stores_remote, TIMES);
    ck_assert_uint_eq(na_accesses(&sums), TIMES);
    ck_assert_uint_eq(counted("prefetch", "words"), 0);
    ck_assert_uint_eq(counted("non-temporal", "words"), TIMES);
}
END_TEST

/* glibc must not copy with rep movsb, which would count every byte: `guest` turns ERMS off. */
START_TEST(copies_count_by_vector)
{
    uint64_t *words = two_areas();

    na_class(words, words + 2 * WORDS, "words");
    na_begin("copy");
    memcpy(words, words + WORDS, WORDS * sizeof *words);
    __asm__ volatile("" ::"r"(words) : "memory");
    na_end();
    struct na_sums sums = na_query("copy", "", "words");
    ck_assert_uint_ge(sums.loads_local + sums.loads_remote, WORDS / 8);
    ck_assert_uint_le(sums.loads_local + sums.loads_remote, WORDS + 64);
}
END_TEST

START_TEST(clock_measures_work)
{
    pin(cpus[0]);
    uint64_t start = na_clock();
    for (volatile int i = 0; i < 3000000; i++)
        ;
    uint64_t busy = na_clock();
    usleep(300000);
    uint64_t slept = na_clock();
    ck_assert_uint_gt(busy - start, 3000000);
    ck_assert_uint_lt(slept - busy, 150000000);
}
END_TEST

/* ------------------------------------------------------------------------------------ cache model */

static size_t cache_bytes(void)
{
    const char *text = getenv("ACCESS_CACHE_KIB");
    return text != NULL ? strtoul(text, NULL, 10) * 1024 : 0;
}

static uint64_t misses(const struct na_sums *sums)
{
    return sums->fills_local + sums->fills_remote + sums->transfers_local + sums->transfers_remote;
}

static void expect_about(const char *what, uint64_t counted_, uint64_t expected, uint64_t slack)
{
    ck_assert_msg(counted_ + slack >= expected && counted_ <= expected + slack,
                  "%s: %" PRIu64 " counted, %" PRIu64 " expected", what, counted_, expected);
}

/* What does not fit misses once for each line and pass, what fits once; stores come back. */
START_TEST(misses_are_lines)
{
    size_t large = 4 * cache_bytes() / 8, small = cache_bytes() / 8 / 4;
    uint64_t *words = numa_alloc_onnode(large * 8, numa_node_of_cpu(cpus[0]));
    enum { AGAIN = 3 };

    pin(cpus[0]);
    memset(words, 1, large * 8);
    na_class(words, words + large, "words");
    na_cold();
    na_begin("large");
    for (int pass = 0; pass < AGAIN; pass++)
        load_words(words, large);
    na_end();
    na_cold();
    na_begin("small");
    for (int pass = 0; pass < AGAIN; pass++)
        load_words(words, small);
    na_end();
    na_cold();
    na_begin("stores");
    for (int pass = 0; pass < AGAIN; pass++)
        store_words(words, large);
    na_end();

    struct na_sums sums = na_query("large", "", "words");
    expect_about("large", misses(&sums), AGAIN * large * 8 / LINE, large * 8 / LINE / 50);
    ck_assert_uint_eq(sums.fills_remote + sums.transfers_local + sums.transfers_remote, 0);
    ck_assert_uint_lt(sums.writebacks_local, 16); /* lines of the stack that these push out */
    ck_assert_uint_eq(sums.miss_distance, misses(&sums) * 10);
    sums = na_query("small", "", "words");
    expect_about("small", misses(&sums), small * 8 / LINE, small * 8 / LINE / 50);
    sums = na_query("stores", "", "words");
    expect_about("stores", misses(&sums), AGAIN * large * 8 / LINE, large * 8 / LINE / 50);
    expect_about("write-backs", sums.writebacks_local,
                 AGAIN * large * 8 / LINE - cache_bytes() / LINE, large * 8 / LINE / 50);
    numa_free(words, large * 8);
}
END_TEST

/* Lines written by one processor and read by another come from its cache, and go back and forth. */
START_TEST(written_lines_are_transferred)
{
    enum { LINES = 256, TURNS = 4 };
    int other = cpus[cpu_count - 1];
    bool remote = numa_node_of_cpu(other) != numa_node_of_cpu(cpus[0]);
    uint64_t *words = numa_alloc_onnode(LINES * LINE, numa_node_of_cpu(cpus[0]));

    memset(words, 1, LINES * LINE);
    na_class(words, words + LINES * LINE / 8, "words");
    na_cold();
    na_begin("turns");
    for (int turn = 0; turn < TURNS; turn++) {
        pin(cpus[0]);
        store_words(words, LINES * LINE / 8);
        pin(other);
        load_words(words, LINES * LINE / 8);
    }
    na_end();

    /* The writer: a fill, then each turn an upgrade of lines that both have. The reader: each turn a
     * transfer from the writer's node. */
    int here = numa_node_of_cpu(cpus[0]), there = numa_node_of_cpu(other);
    struct na_sums sums = na_query("turns", "", "words");
    struct na_sums reader = na_query_nodes("turns", "", "words", there, here);
    ck_assert_uint_eq(sums.fills_local + sums.fills_remote, LINES);
    ck_assert_uint_eq(sums.transfers_local + sums.transfers_remote, LINES * (2 * TURNS - 1));
    if (remote) {
        ck_assert_uint_eq(reader.transfers_remote, LINES * TURNS);
        ck_assert_uint_eq(sums.transfers_local, LINES * (TURNS - 1));
    }
    numa_free(words, LINES * LINE);
}
END_TEST

/* Two processors that read the same lines both fill them from memory; a store then takes the other's
 * copy away, so that it misses again. */
START_TEST(shared_lines_become_invalid)
{
    enum { LINES = 256 };
    int other = cpus[cpu_count - 1];
    uint64_t *words = numa_alloc_onnode(LINES * LINE, numa_node_of_cpu(cpus[0]));
    size_t count = LINES * LINE / 8;

    memset(words, 1, LINES * LINE);
    na_class(words, words + count, "words");
    na_cold();
    pin(cpus[0]);
    na_begin("first");
    load_words(words, count);
    na_end();
    pin(other);
    na_begin("second");
    load_words(words, count);
    store_words(words, count);
    na_end();
    pin(cpus[0]);
    na_begin("third");
    load_words(words, count);
    na_end();

    struct na_sums sums = na_query("first", "", "words");
    ck_assert_uint_eq(misses(&sums), LINES);
    sums = na_query("second", "", "words");
    ck_assert_uint_eq(sums.fills_local + sums.fills_remote, LINES);
    ck_assert_uint_eq(sums.transfers_local + sums.transfers_remote, LINES);
    sums = na_query("third", "", "words");
    ck_assert_uint_eq(sums.transfers_local + sums.transfers_remote, LINES);
    ck_assert_uint_eq(sums.fills_local + sums.fills_remote, 0);
    numa_free(words, LINES * LINE);
}
END_TEST

static TCase *add_case(Suite *suite, const char *name)
{
    TCase *tests = tcase_create(name);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_set_timeout(tests, 120);
    suite_add_tcase(suite, tests);
    return tests;
}

static Suite *access_suite(void)
{
    Suite *suite = suite_create("access");

    tcase_add_loop_test(add_case(suite, "placement"), placement_is_seen, 0, 2 * PLACEMENTS);

    TCase *who = add_case(suite, "who");
    tcase_add_test(who, tags_follow_threads);
    tcase_add_test(who, another_thread_gets_a_tag);
    tcase_add_test(who, another_process_is_not_counted);

    TCase *what = add_case(suite, "what");
    tcase_add_test(what, classes_are_told_apart);
    tcase_add_test(what, regions_nest);
    tcase_add_test(what, reset_forgets_everything);
    tcase_add_test(what, unusual_instructions);
    tcase_add_test(what, copies_count_by_vector);
    tcase_add_test(what, clock_measures_work);

    if (cache_bytes() > 0) {
        TCase *cache = add_case(suite, "cache");
        tcase_add_test(cache, misses_are_lines);
        tcase_add_test(cache, written_lines_are_transferred);
        tcase_add_test(cache, shared_lines_become_invalid);
    }
    return suite;
}

int main(void)
{
    if (!na_present() || numa_available() < 0) {
        fprintf(stderr, "test_access: runs in the guest with the plugin: make check-guest\n");
        return 1;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    SRunner *runner = srunner_create(access_suite());
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    int run = srunner_ntests_run(runner);
    srunner_free(runner);
    return run == 0 || failed > 0;
}
