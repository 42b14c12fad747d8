/* tests/test_os.c - the seam to the system: each call does its work, and can be made to fail. */
#define _GNU_SOURCE 1

#include <errno.h>
#include <numaif.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/harness.h"
#include "topology/os.h"
#include "topology/topology.h"

enum { SPAN = 1 << 20 };

START_TEST(map_gives_zero_memory_that_is_not_there_yet)
{
    unsigned char *memory = ht_os_map(SPAN, true);
    unsigned char resident[SPAN / 4096];

    ck_assert_ptr_nonnull(memory);
    ck_assert_int_eq(mincore(memory, SPAN, resident), 0);
    for (size_t i = 0; i < sizeof(resident); i++)
        ck_assert_int_eq(resident[i] & 1, 0);
    for (size_t i = 0; i < SPAN; i += 4096)
        ck_assert_int_eq(memory[i], 0);
    memory[SPAN - 1] = 1;
    ht_os_unmap(memory, SPAN);
    ck_assert_int_eq(mincore(memory, SPAN, resident), -1);
    ht_os_unmap(NULL, SPAN);
}
END_TEST

START_TEST(map_reserves_large_spans)
{
    size_t bytes = (size_t)1 << 33;
    char *memory = ht_os_map(bytes, true);

    ck_assert_msg(memory != NULL, "8 GiB of address space: %s", strerror(errno));
    memory[bytes - 1] = 1;
    ht_os_unmap(memory, bytes);
}
END_TEST

/* What the kernel lets the process do with an address: "rw-p", "---p", or "" for nothing. */
static const char *permissions(const void *address)
{
    static char found[8];
    char line[512];
    FILE *maps = fopen("/proc/self/maps", "r");

    ck_assert_ptr_nonnull(maps);
    found[0] = '\0';
    while (found[0] == '\0' && fgets(line, sizeof(line), maps) != NULL) {
        unsigned long first, end;
        char mode[8];

        if (sscanf(line, "%lx-%lx %7s", &first, &end, mode) == 3 && (uintptr_t)address >= first &&
            (uintptr_t)address < end)
            strcpy(found, mode);
    }
    fclose(maps);
    return found;
}

START_TEST(uncommitted_memory_is_out_of_reach_until_commit)
{
    char *memory = ht_os_map(SPAN, false);

    ck_assert_ptr_nonnull(memory);
    ck_assert_str_eq(permissions(memory), "---p");
    ck_assert(ht_os_commit(memory + 4096, 4096));
    ck_assert_str_eq(permissions(memory), "---p");
    ck_assert_str_eq(permissions(memory + 4096), "rw-p");
    ck_assert_str_eq(permissions(memory + 8192), "---p");
    ck_assert_int_eq(memory[4096], 0);
    memory[4096] = 1;
    ht_os_unmap(memory, SPAN);
}
END_TEST

START_TEST(map_of_nothing_fails_with_errno)
{
    errno = 0;
    ck_assert_ptr_null(ht_os_map(0, true));
    ck_assert_int_eq(errno, EINVAL);
}
END_TEST

/* Node 0 is where every machine with a node has one; a kernel without NUMA refuses all. */
static int policy_of(void *memory)
{
    int mode = -1;

    ck_assert_int_eq(get_mempolicy(&mode, NULL, 0, memory, MPOL_F_ADDR), 0);
    return mode;
}

static int first_allowed_node(void)
{
    unsigned long mask[16] = {0};

    if (get_mempolicy(NULL, mask, 1025, NULL, MPOL_F_MEMS_ALLOWED) != 0)
        return -1;
    for (int node = 0; node < 1024; node++) {
        if (mask[node / 64] >> (node % 64) & 1)
            return node;
    }
    return -1;
}

START_TEST(bind_sets_the_policy_of_the_range)
{
    char *memory = ht_os_map(SPAN, true);
    int node = first_allowed_node();

    ck_assert_ptr_nonnull(memory);
    if (node < 0) {
        ck_assert(!ht_os_bind(memory, SPAN, 'p', &(int){0}, 1));
        return;
    }
    ck_assert_int_eq(policy_of(memory), MPOL_DEFAULT);
    ck_assert(ht_os_bind(memory, SPAN / 2, 'p', &node, 1));
    ck_assert_int_eq(policy_of(memory), MPOL_PREFERRED);
    ck_assert_int_eq(policy_of(memory + SPAN / 2), MPOL_DEFAULT);
    ck_assert(ht_os_bind(memory, SPAN, 'b', &node, 1));
    ck_assert_int_eq(policy_of(memory), MPOL_BIND);
    ck_assert(ht_os_bind(memory, SPAN, 'i', &node, 1));
    ck_assert_int_eq(policy_of(memory), MPOL_INTERLEAVE);
    ht_os_unmap(memory, SPAN);
}
END_TEST

START_TEST(bind_refuses_nonsense)
{
    char *memory = ht_os_map(SPAN, true);
    static const int nodes[] = {-1, 1024, 1 << 30, 1023};

    ck_assert_ptr_nonnull(memory);
    for (int i = 0; i < 3; i++) {
        errno = 0;
        ck_assert(!ht_os_bind(memory, SPAN, 'p', &nodes[i], 1));
        ck_assert_int_eq(errno, EINVAL);
    }
    ck_assert(!ht_os_bind(memory, SPAN, 'b', &nodes[3], 1)); /* no such node: the kernel says so */
    ck_assert(!ht_os_bind(memory, SPAN, 'x', &(int){0}, 1));
    ck_assert(!ht_os_bind(memory, SPAN, 'p', &(int){0}, 0));
    ht_os_unmap(memory, SPAN);
}
END_TEST

START_TEST(residency_tells_touched_from_untouched)
{
    char *memory = ht_os_map(SPAN, true);
    void *pages[2];
    int status[2] = {77, 77};

    ck_assert_ptr_nonnull(memory);
    madvise(memory, SPAN, MADV_NOHUGEPAGE);
    memory[0] = 1;
    pages[0] = memory;
    pages[1] = memory + SPAN / 2;
    ck_assert(ht_os_residency(pages, status, 0));
    ck_assert_int_eq(status[0], 77);
    if (first_allowed_node() >= 0) {
        ck_assert(ht_os_residency(pages, status, 2));
        ck_assert_int_ge(status[0], 0);
        ck_assert_int_lt(status[1], 0);
    }
    ht_os_unmap(memory, SPAN);
}
END_TEST

START_TEST(advise_gives_memory_back)
{
    char *memory = ht_os_map(SPAN, true);

    ck_assert_ptr_nonnull(memory);
    memory[4096] = 1;
    ck_assert(ht_os_advise(memory, SPAN, MADV_DONTNEED));
    ck_assert_int_eq(memory[4096], 0);
    ck_assert(!ht_os_advise(memory, SPAN, 12345));
    ht_os_unmap(memory, SPAN);
}
END_TEST

START_TEST(alloc_is_zero_and_grows)
{
    unsigned char *block = ht_os_alloc(1000);
    void *nothing = ht_os_alloc(0);

    ck_assert_ptr_nonnull(block);
    ck_assert_ptr_nonnull(nothing);
    for (int i = 0; i < 1000; i++)
        ck_assert_int_eq(block[i], 0);
    memset(block, 0xab, 1000);
    block = ht_os_realloc(block, 100000);
    ck_assert_ptr_nonnull(block);
    for (int i = 0; i < 1000; i++)
        ck_assert_int_eq(block[i], 0xab);
    ht_os_free(block);
    ht_os_free(nothing);
    ht_os_free(NULL);
}
END_TEST

/* --- faults ---------------------------------------------------------------------------------- */

START_TEST(fault_hits_the_nth_call_once)
{
    uint64_t before = ht_fault_count(HT_FAULT_ALLOC);

    ht_fault_arm(HT_FAULT_ALLOC, 3, false);
    for (int call = 1; call <= 6; call++) {
        void *block;

        errno = 0;
        block = ht_os_alloc(8);
        ck_assert_int_eq(block == NULL, call == 3);
        ck_assert_int_eq(errno, call == 3 ? ENOMEM : 0);
        ht_os_free(block);
    }
    ck_assert_uint_eq(ht_fault_count(HT_FAULT_ALLOC), before + 6);
}
END_TEST

START_TEST(sticky_fault_stays_until_disarmed)
{
    ht_fault_arm(HT_FAULT_MAP, 2, true);
    ck_assert(!ht_fault_hit(HT_FAULT_MAP, ENOMEM));
    for (int call = 0; call < 5; call++)
        ck_assert_ptr_null(ht_os_map(SPAN, true));
    ht_fault_arm(HT_FAULT_MAP, 0, false);
    for (int call = 0; call < 5; call++)
        ck_assert(!ht_fault_hit(HT_FAULT_MAP, ENOMEM));
}
END_TEST

static void *no_thread(void *data)
{
    return data;
}

static bool call_of_kind(enum ht_fault kind)
{
    static char *memory;
    cpu_set_t cpus;
    pthread_t thread;
    void *block;

    if (memory == NULL)
        memory = mmap(NULL, SPAN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    switch (kind) {
    case HT_FAULT_MAP:
        block = ht_os_map(4096, true);
        ht_os_unmap(block, 4096);
        return block != NULL;
    case HT_FAULT_COMMIT:
        return ht_os_commit(memory, 4096);
    case HT_FAULT_BIND:
        return ht_os_bind(memory, 4096, 'p', &(int){0}, 1);
    case HT_FAULT_ADVISE:
        return ht_os_advise(memory, 4096, MADV_NORMAL);
    case HT_FAULT_ALLOC:
        block = ht_os_realloc(NULL, 8);
        ht_os_free(block);
        return block != NULL;
    case HT_FAULT_THREAD:
        if (ht_os_thread(&thread, "none", no_thread, NULL, NULL, 0) != 0)
            return false;
        pthread_join(thread, NULL);
        return true;
    case HT_FAULT_AFFINITY:
        ck_assert_int_eq(sched_getaffinity(0, sizeof(cpus), &cpus), 0);
        return ht_os_affinity(&cpus, sizeof(cpus));
    default:
        return !ht_fault_hit(kind, EIO);
    }
}

START_TEST(every_kind_can_be_made_to_fail)
{
    enum ht_fault kind = (enum ht_fault)_i;
    bool works = call_of_kind(kind);
    uint64_t before = ht_fault_count(kind);

    ck_assert(works || kind == HT_FAULT_BIND);
    ht_fault_arm(kind, 1, false);
    ck_assert(!call_of_kind(kind));
    ck_assert_int_eq(call_of_kind(kind), works);
    ck_assert_uint_eq(ht_fault_count(kind), before + 2);
}
END_TEST

enum { COUNTERS = 4, COUNTS = 5000 };

static void *count_calls(void *data)
{
    uint64_t *failed = data;

    for (int i = 0; i < COUNTS; i++)
        *failed += ht_fault_hit(HT_FAULT_HWLOC, EIO);
    return NULL;
}

START_TEST(counting_is_exact_with_threads)
{
    uint64_t before = ht_fault_count(HT_FAULT_HWLOC), failed[COUNTERS] = {0}, all = 0;
    pthread_t threads[COUNTERS];

    ht_fault_arm(HT_FAULT_HWLOC, COUNTS, false);
    for (int i = 0; i < COUNTERS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, count_calls, &failed[i]), 0);
    for (int i = 0; i < COUNTERS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < COUNTERS; i++)
        all += failed[i];
    ck_assert_uint_eq(all, 1);
    ck_assert_uint_eq(ht_fault_count(HT_FAULT_HWLOC), before + COUNTERS * COUNTS);
}
END_TEST

/* --- threads --------------------------------------------------------------------------------- */

struct seen {
    cpu_set_t cpus;
    sigset_t blocked;
    char name[16];
    uint32_t named; /* futex: the creator has returned */
};

static void *look_around(void *data)
{
    struct seen *seen = data;

    while (__atomic_load_n(&seen->named, __ATOMIC_ACQUIRE) == 0)
        ht_os_sleep(&seen->named, 0, 0);
    sched_getaffinity(0, sizeof(seen->cpus), &seen->cpus);
    pthread_sigmask(SIG_SETMASK, NULL, &seen->blocked);
    pthread_getname_np(pthread_self(), seen->name, sizeof(seen->name));
    return data;
}

START_TEST(thread_is_bound_named_and_deaf_to_signals)
{
    struct seen seen = {.named = 0};
    cpu_set_t allowed, one;
    sigset_t before, after;
    pthread_t thread;
    void *result;
    int cpu = 0;

    ck_assert_int_eq(sched_getaffinity(0, sizeof(allowed), &allowed), 0);
    while (!CPU_ISSET(cpu, &allowed))
        cpu++;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    ck_assert_int_eq(
        ht_os_thread(&thread, "a-name-that-is-far-too-long", look_around, &seen, &one, sizeof(one)),
        0);
    __atomic_store_n(&seen.named, 1, __ATOMIC_RELEASE);
    ht_os_wake(&seen.named, 1);
    ck_assert_int_eq(pthread_join(thread, &result), 0);
    ck_assert_ptr_eq(result, &seen);
    ck_assert(CPU_EQUAL(&seen.cpus, &one));
    ck_assert_str_eq(seen.name, "a-name-that-is-");
    for (int signal = 1; signal < 32; signal++) {
        bool own = signal == SIGSEGV || signal == SIGBUS || signal == SIGFPE || signal == SIGILL ||
                   signal == SIGTRAP || signal == SIGABRT || signal == SIGSYS;

        if (signal != SIGKILL && signal != SIGSTOP)
            ck_assert_msg(sigismember(&seen.blocked, signal) == !own, "signal %d", signal);
    }
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    for (int signal = 1; signal < 32; signal++)
        ck_assert_int_eq(sigismember(&before, signal), sigismember(&after, signal));
}
END_TEST

START_TEST(thread_that_cannot_be_bound_is_not_created)
{
    cpu_set_t none;
    pthread_t thread;
    struct seen seen = {.named = 1};

    CPU_ZERO(&none);
    ck_assert_int_ne(ht_os_thread(&thread, "x", look_around, &seen, &none, sizeof(none)), 0);
    ck_assert(!ht_os_affinity(&none, sizeof(none)));
    ht_fault_arm(HT_FAULT_THREAD, 1, false);
    ck_assert_int_eq(ht_os_thread(&thread, "x", look_around, &seen, NULL, 0), EAGAIN);
}
END_TEST

struct gate {
    uint32_t word;
    uint32_t woken;
};

static void *wait_at_gate(void *data)
{
    struct gate *gate = data;

    while (__atomic_load_n(&gate->word, __ATOMIC_ACQUIRE) == 0)
        ht_os_sleep(&gate->word, 0, 0);
    __atomic_add_fetch(&gate->woken, 1, __ATOMIC_RELAXED);
    return NULL;
}

START_TEST(sleepers_wake)
{
    struct gate gate = {0, 0};
    pthread_t threads[3];

    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(ht_os_thread(&threads[i], "gate", wait_at_gate, &gate, NULL, 0), 0);
    usleep(2000);
    ck_assert_uint_eq(__atomic_load_n(&gate.woken, __ATOMIC_RELAXED), 0);
    __atomic_store_n(&gate.word, 1, __ATOMIC_RELEASE);
    ht_os_wake(&gate.word, 3);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    ck_assert_uint_eq(gate.woken, 3);
}
END_TEST

START_TEST(sleep_ends_by_value_and_by_time)
{
    uint32_t word = 5;
    uint64_t start = ht_os_now(), waited;

    errno = 0;
    ht_os_sleep(&word, 6, 0); /* the value differs: returns at once */
    ht_os_sleep(&word, 5, 20 * 1000000u);
    waited = ht_os_now() - start;
    ck_assert_uint_ge(waited, 19 * 1000000u);
    ck_assert_int_eq(errno, 0);
    start = ht_os_now();
    ht_os_sleep(&word, 5, 1000000000u + 5); /* seconds and nanoseconds are both used */
    ck_assert_uint_ge(ht_os_now() - start, 990 * UINT64_C(1000000));
}
END_TEST

START_TEST(facts_make_sense)
{
    uint64_t installed = (uint64_t)sysconf(_SC_PHYS_PAGES) * ht_os_page_size();
    uint64_t limit = ht_quota_memory("/sys/fs/cgroup", "/proc/self/cgroup");
    uint64_t earlier = ht_os_now();

    ck_assert_uint_eq(ht_os_page_size(), 4096);
    ck_assert_uint_ge(ht_os_now(), earlier);
    ck_assert_uint_eq(ht_os_physical_memory(), limit != 0 && limit < installed ? limit : installed);
}
END_TEST

HARNESS_SUITE(os)
{
    Suite *suite = suite_create("os");
    TCase *memory = tcase_create("memory");
    TCase *faults = tcase_create("faults");
    TCase *threads = tcase_create("threads");

    tcase_add_test(memory, map_gives_zero_memory_that_is_not_there_yet);
    tcase_add_test(memory, map_reserves_large_spans);
    tcase_add_test(memory, uncommitted_memory_is_out_of_reach_until_commit);
    tcase_add_test(memory, map_of_nothing_fails_with_errno);
    tcase_add_test(memory, bind_sets_the_policy_of_the_range);
    tcase_add_test(memory, bind_refuses_nonsense);
    tcase_add_test(memory, residency_tells_touched_from_untouched);
    tcase_add_test(memory, advise_gives_memory_back);
    tcase_add_test(memory, alloc_is_zero_and_grows);
    suite_add_tcase(suite, memory);
    tcase_add_test(faults, fault_hits_the_nth_call_once);
    tcase_add_test(faults, sticky_fault_stays_until_disarmed);
    tcase_add_loop_test(faults, every_kind_can_be_made_to_fail, 0, HT_FAULT_KINDS);
    tcase_add_test(faults, counting_is_exact_with_threads);
    suite_add_tcase(suite, faults);
    tcase_add_test(threads, thread_is_bound_named_and_deaf_to_signals);
    tcase_add_test(threads, thread_that_cannot_be_bound_is_not_created);
    tcase_add_test(threads, sleepers_wake);
    tcase_add_test(threads, sleep_ends_by_value_and_by_time);
    tcase_add_test(threads, facts_make_sense);
    suite_add_tcase(suite, threads);
    return suite;
}
