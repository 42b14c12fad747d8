/* tests/test_window.c - window sets: sizes, sharing, policies, limits of the system, failures. */
#define _GNU_SOURCE 1

#include <numaif.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "tests/window_fixture.h"

/* --- arithmetic ---------------------------------------------------------------------------------- */

START_TEST(sizes)
{
    const size_t gib = (size_t)1 << 30;

    ck_assert_uint_eq(ha_window_size(0, 0), 64 * gib);
    ck_assert_uint_eq(ha_window_size(0, 4 * gib), 64 * gib);
    ck_assert_uint_eq(ha_window_size(0, 4 * gib + 1), 128 * gib);
    ck_assert_uint_eq(ha_window_size(0, 24 * gib), 512 * gib);
    ck_assert_uint_eq(ha_window_size(0, UINT64_MAX), (size_t)1 << 46);
    ck_assert_uint_eq(ha_window_size(1, 24 * gib), 64 * MIB);
    ck_assert_uint_eq(ha_window_size(64 * MIB, 24 * gib), 64 * MIB);
    ck_assert_uint_eq(ha_window_size(64 * MIB + 1, 24 * gib), 128 * MIB);
    ck_assert_uint_eq(ha_window_size(SIZE_MAX, gib), (size_t)1 << 46);
}
END_TEST

START_TEST(versions)
{
    ck_assert(ha_mimalloc_known(200));
    ck_assert(ha_mimalloc_known(209));
    ck_assert(!ha_mimalloc_known(199));
    ck_assert(!ha_mimalloc_known(210));
    ck_assert(!ha_mimalloc_known(315));
}
END_TEST

START_TEST(overcommit_files)
{
    static const struct {
        const char *text;
        bool never;
    } row[] = {{"0\n", false}, {"1\n", false}, {"2\n", true}, {"2", true}, {"", false}};

    for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
        char *path = fixture_file(row[i].text);

        ck_assert_msg(ha_overcommit_never(path) == row[i].never, "row %zu", i);
        unlink(path);
        ck_assert(!ha_overcommit_never(path));
        free(path);
    }
    ck_assert(!ha_overcommit_never("/"));
}
END_TEST

/* Several layouts in one process; every address knows its node. */
START_TEST(nodes_of_addresses)
{
    struct ha_windows *set[4];

    for (int i = 0; i < 4; i++) {
        struct ha_windows *w = set[i] = fixture_windows(1 << i, 0);
        uintptr_t size = (uintptr_t)1 << w->shift;

        ck_assert_int_eq(w->nodes, 1 << i);
        ck_assert_uint_eq(w->bytes, (size_t)w->nodes << w->shift);
        ck_assert_uint_eq(w->base % (size < (1u << 30) ? size : 1u << 30), 0);
        ck_assert(!ha_windows_contain(w, w->base - 1));
        ck_assert(!ha_windows_contain(w, w->base + w->bytes));
        ck_assert(!ha_windows_contain(w, 0));
        for (int node = 0; node < w->nodes; node++) {
            uintptr_t start = w->base + (uintptr_t)node * size;

            ck_assert_int_eq(ha_node_of(w, start), node);
            ck_assert_int_eq(ha_node_of(w, start + size - 1), node);
            ck_assert(ha_windows_contain(w, start) && ha_windows_contain(w, start + size - 1));
            ck_assert_int_eq(ha_node_of(w, (uintptr_t)ha_chunk_take(w, node, 1, &set)), node);
        }
        HARNESS_OK(ha_windows_check(w));
    }
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++)
            ck_assert(i == j || !ha_windows_contain(set[i], set[j]->base));
}
END_TEST

/* --- sharing --------------------------------------------------------------------------------------- */

START_TEST(equal_layouts_share)
{
    struct hearth_topology *topology = fixture_topology(2);
    struct hearth_options options = {.window = 64 * MIB};
    struct ha_windows *first, *other;

    HARNESS_OK(ha_windows_get(&first, topology, &options));
    options.nursery = 123456;
    options.workers = 7;
    topology->cpus = 99;
    HARNESS_OK(ha_windows_get(&other, topology, &options));
    ck_assert_ptr_eq(first, other);

    options.hugepages = HT_HUGE_OFF;
    HARNESS_OK(ha_windows_get(&other, topology, &options));
    ck_assert_ptr_ne(first, other);
    options.hugepages = HT_HUGE_INHERIT;
    options.policy = HT_POLICY_STRICT;
    HARNESS_OK(ha_windows_get(&other, topology, &options));
    ck_assert_ptr_ne(first, other);
    options.policy = HT_POLICY_LOCAL;
    options.window = 128 * MIB;
    HARNESS_OK(ha_windows_get(&other, topology, &options));
    ck_assert_ptr_ne(first, other);
    options.window = 64 * MIB;
    topology->synthetic = true;
    topology->node[1].os_node = 5;
    HARNESS_OK(ha_windows_get(&other, topology, &options));
    ck_assert_ptr_ne(first, other);
    free(topology);
}
END_TEST

static void *get_windows(void *out)
{
    ck_assert_int_eq(fixture_open(out, 3, 0, NULL), HEARTH_OK);
    return NULL;
}

START_TEST(threads_get_one_set)
{
    struct ha_windows *set[8];
    pthread_t thread[8];

    for (int i = 0; i < 8; i++)
        ck_assert_int_eq(pthread_create(&thread[i], NULL, get_windows, &set[i]), 0);
    for (int i = 0; i < 8; i++) {
        pthread_join(thread[i], NULL);
        ck_assert_ptr_eq(set[i], set[0]);
    }
}
END_TEST

/* mimalloc has 64 arenas; the sets there are go on working. */
START_TEST(arenas_run_out)
{
    struct ha_windows *set[9];
    hearth_status status = HEARTH_OK;
    int count = 0;

    while (count < 9 && status == HEARTH_OK)
        status = fixture_open(&set[count], 8, (size_t)64 * MIB << count, NULL), count++;
    ck_assert_int_eq(count, 9);
    ck_assert_int_eq(status, HEARTH_ESYSTEM);
    harness_expect_error("ninth set", HEARTH_ESYSTEM, "64");
    HARNESS_STATUS(fixture_open(&set[8], 8, (size_t)64 * MIB << 8, NULL), HEARTH_ESYSTEM);
    for (int i = 0; i < 8; i++) {
        char *chunk = ha_chunk_take(set[i], 7, 1, set);

        ck_assert_ptr_nonnull(chunk);
        chunk[HA_CHUNK - 1] = 1;
        ck_assert_ptr_eq(fixture_windows(8, (size_t)64 * MIB << i), set[i]);
    }
}
END_TEST

START_TEST(bad_topologies)
{
    struct hearth_topology *topology = fixture_topology(1);
    struct hearth_options options = {0};
    struct ha_windows *windows = NULL;

    topology->nodes = 0;
    HARNESS_STATUS_NAMES(ha_windows_get(&windows, topology, &options), HEARTH_EINVAL, "0 nodes");
    topology->nodes = 65;
    HARNESS_STATUS_NAMES(ha_windows_get(&windows, topology, &options), HEARTH_EINVAL, "65 nodes");
    ck_assert_ptr_null(windows);
    free(topology);
}
END_TEST

/* --- policy ---------------------------------------------------------------------------------------- */

/* The policy of a page: its mode, and its only node, -1 if there are none or several. */
static int policy_at(void *address, int *node)
{
    unsigned long mask[16] = {0};
    int mode = -1;

    if (get_mempolicy(&mode, mask, 1024, address, MPOL_F_ADDR) != 0)
        return -errno;
    *node = -1;
    for (int i = 0; i < 1024; i++)
        if (mask[i / 64] >> (i % 64) & 1)
            *node = *node == -1 ? i : -2;
    return mode;
}

static void expect_policy(struct ha_windows *windows, int mode)
{
    int kernel_node, unbound;
    bool numa = policy_at(&numa, &unbound) >= 0;

    ck_assert_int_eq(windows->bound, numa && mode != MPOL_DEFAULT);
    for (int node = 0; node < windows->nodes && numa; node++) {
        char *chunk = ha_chunk_take(windows, node, 1, windows);

        ck_assert_int_eq(policy_at(chunk, &kernel_node), mode);
        ck_assert_int_eq(kernel_node, mode == MPOL_DEFAULT ? unbound : 0);
        chunk[0] = 1;
        ha_chunk_give(windows, chunk);
        ck_assert_int_eq(policy_at(chunk, &kernel_node), mode);
        ck_assert_int_eq(
            policy_at((void *)(windows->base + ((size_t)(node + 1) << windows->shift) - HA_PAGE),
                      &kernel_node),
            mode);
    }
}

/* _i: option policy, then what the topology says. */
START_TEST(policies)
{
    static const struct {
        int policy;
        bool synthetic, user;
        int mode;
    } row[] = {
        {HT_POLICY_LOCAL, false, false, MPOL_PREFERRED},
        {HT_POLICY_STRICT, false, false, MPOL_BIND},
        {HT_POLICY_OFF, false, false, MPOL_DEFAULT},
        {HT_POLICY_LOCAL, true, false, MPOL_DEFAULT},
        {HT_POLICY_STRICT, false, true, MPOL_DEFAULT},
    };
    struct hearth_topology *topology = fixture_topology(2);
    struct hearth_options options = {.policy = row[_i].policy};
    struct ha_windows *windows;

    topology->synthetic = row[_i].synthetic;
    topology->user_policy = row[_i].user;
    HARNESS_OK(ha_windows_get(&windows, topology, &options));
    expect_policy(windows, row[_i].mode);
    free(topology);
}
END_TEST

/* Containers may forbid mbind; _i: which call is the first refused. */
START_TEST(mbind_refused)
{
    struct ha_windows *windows;
    char *chunk;

    ht_fault_arm(HT_FAULT_BIND, (uint64_t)_i, true);
    windows = fixture_windows(4, 0);
    ht_fault_arm(HT_FAULT_BIND, 0, false);
    ck_assert(!windows->bound);
    for (int node = 0; node < 4; node++) {
        chunk = ha_chunk_take(windows, node, 1, windows);
        ck_assert_ptr_nonnull(chunk);
        memset(chunk, 1, HA_CHUNK);
    }
    HARNESS_OK(ha_windows_check(windows));
}
END_TEST

/* VmFlags of the mapping around an address, as smaps has them. */
static void flags_at(uintptr_t address, char *flags, size_t size)
{
    char line[512];
    bool inside = false;
    FILE *file = fopen("/proc/self/smaps", "r");

    flags[0] = '\0';
    ck_assert_ptr_nonnull(file);
    while (fgets(line, sizeof(line), file) != NULL) {
        unsigned long low, high;

        if (sscanf(line, "%lx-%lx ", &low, &high) == 2)
            inside = low <= address && address < high;
        else if (inside && strncmp(line, "VmFlags:", 8) == 0)
            snprintf(flags, size, "%s", line + 8);
    }
    fclose(file);
}

START_TEST(advice)
{
    static const int huge[] = {HT_HUGE_INHERIT, HT_HUGE_ON, HT_HUGE_OFF};
    static const char *const flag[] = {NULL, " hg", " nh"};
    struct hearth_topology *topology = fixture_topology(1);
    char flags[512];
    bool thp = access("/sys/kernel/mm/transparent_hugepage", F_OK) == 0;

    for (int i = 0; i < 3; i++) {
        struct hearth_options options = {.hugepages = huge[i]};
        struct ha_windows *windows;

        HARNESS_OK(ha_windows_get(&windows, topology, &options));
        flags_at(windows->base, flags, sizeof(flags));
        ck_assert_msg(strstr(flags, " dd") != NULL, "core dumps contain the window: %s", flags);
        for (int j = 1; j < 3 && thp; j++)
            ck_assert_msg((strstr(flags, flag[j]) != NULL) == (i == j), "hugepages %d: %s", i,
                          flags);
    }
    free(topology);
}
END_TEST

START_TEST(advice_refused)
{
    struct hearth_topology *topology = fixture_topology(2);
    struct hearth_options options = {.hugepages = HT_HUGE_ON};
    struct ha_windows *windows;

    ht_fault_arm(HT_FAULT_ADVISE, 1, true);
    HARNESS_OK(ha_windows_get(&windows, topology, &options));
    ck_assert_ptr_nonnull(ha_chunk_take(windows, 1, 1, windows));
    free(topology);
}
END_TEST

/* --- failures -------------------------------------------------------------------------------------- */

/* Make the n-th call of each kind fail while a set is created, once and for good; then it is created
 * after all. _i: committed or not. */
START_TEST(creation_faults)
{
    static const enum ht_fault kind[] = {HT_FAULT_MAP, HT_FAULT_ALLOC, HT_FAULT_THREAD,
                                         HT_FAULT_ARENA};
    char *mode = fixture_file(_i == 0 ? "0\n" : "2\n");
    size_t window = (size_t)1 << 27;
    struct ha_windows *windows;

    for (int k = 0; k < 4; k++)
        for (int sticky = 0; sticky < 2; sticky++) {
            hearth_status status = HEARTH_ENOMEM;
            int failed = 0;

            for (uint64_t n = 1; status != HEARTH_OK; n++) {
                ck_assert_uint_lt(n, 100);
                ht_fault_arm(kind[k], n, sticky);
                status = fixture_open(&windows, 3, window, mode);
                ht_fault_arm(kind[k], 0, false);
                failed += status != HEARTH_OK;
                if (status != HEARTH_OK)
                    ck_assert_int_eq(status, k < 2 ? HEARTH_ENOMEM : HEARTH_ESYSTEM);
            }
            ck_assert_msg(failed > 0 || (kind[k] == HT_FAULT_MAP && !sticky),
                          "kind %d never failed", k);
            HARNESS_OK(fixture_open(&windows, 3, window, mode));
            if (_i == 1 || !fixture_lazy())
                ck_assert_int_eq(windows->committed, _i == 0);
            ck_assert_ptr_nonnull(ha_chunk_take(windows, 2, 1, mode));
            HARNESS_OK(ha_windows_check(windows));
            window *= 2;
        }
    unlink(mode);
    free(mode);
}
END_TEST

/* What fails before mimalloc has a window leaves no address space behind. */
START_TEST(failures_leave_nothing)
{
    static const enum ht_fault kind[] = {HT_FAULT_MAP, HT_FAULT_ALLOC, HT_FAULT_ARENA};
    struct ha_windows *windows;
    long before;

    fixture_windows(1, 64 * MIB);
    before = fixture_status("VmSize");
    for (int k = 0; k < 3; k++) {
        ht_fault_arm(kind[k], 1, true);
        ck_assert_int_ne(fixture_open(&windows, 2, 64 * MIB, NULL), HEARTH_OK);
        ht_fault_arm(kind[k], 0, false);
    }
    ht_fault_arm(HT_FAULT_MAP, 2, false); /* the slot table */
    HARNESS_STATUS_NAMES(fixture_open(&windows, 2, 64 * MIB, NULL), HEARTH_ENOMEM, "slot table");
    ck_assert_int_le(fixture_status("VmSize"), before + 1024);
    fixture_windows(2, 64 * MIB);
    ck_assert_int_gt(fixture_status("VmSize"), before + 1024);
}
END_TEST

/* --- limits ---------------------------------------------------------------------------------------- */

static void limit(int resource, size_t bytes)
{
    struct rlimit rlimit = {.rlim_cur = bytes, .rlim_max = bytes};

    ck_assert_int_eq(setrlimit(resource, &rlimit), 0);
}

/* _i: MiB of address space. */
START_TEST(address_space_limit)
{
    struct ha_windows *windows;
    char *chunk, *span;
    void *other;

    limit(RLIMIT_AS, (size_t)_i * MIB);
    for (int nodes = 1; nodes <= 2; nodes++) {
        windows = fixture_windows(nodes, 0);
        ck_assert_uint_le(windows->bytes, (size_t)_i * MIB / 2);
        other = malloc((size_t)_i * MIB / 16); /* the rest of the program has some left */
        ck_assert_ptr_nonnull(other);
        free(other);
        for (int node = 0; node < nodes; node++) {
            chunk = ha_chunk_take(windows, node, 1, windows);
            span = ha_chunk_take(windows, node, 2, windows);
            ck_assert_ptr_nonnull(chunk);
            ck_assert_ptr_nonnull(span);
            memset(chunk, 1, HA_CHUNK);
            memset(span, 1, 2 * HA_CHUNK);
        }
        HARNESS_OK(ha_windows_check(windows));
    }
}
END_TEST

/* Seven windows of 2 GiB would fit, and leave the program nothing. */
START_TEST(address_space_is_shared)
{
    struct ha_windows *windows;

    limit(RLIMIT_AS, (size_t)16384 * MIB);
    windows = fixture_windows(7, 0);
    ck_assert_uint_le(windows->bytes, (size_t)16384 * MIB / 2);
    ck_assert_uint_ge(windows->bytes, (size_t)16384 * MIB / 4);
}
END_TEST

START_TEST(address_space_too_small)
{
    struct ha_windows *windows;

    limit(RLIMIT_AS, (size_t)512 * MIB);
    HARNESS_STATUS_NAMES(fixture_open(&windows, 8, 0, NULL), HEARTH_ENOMEM, "8 nodes");
    ck_assert_ptr_nonnull(ha_chunk_take(fixture_windows(1, 0), 0, 1, &windows));
}
END_TEST

/* A limit on writable memory refuses the window and, later, its pieces: both by the kernel. */
START_TEST(writable_memory_limit)
{
    struct ha_windows *windows;
    int taken = 0;
    char *chunk;

    limit(RLIMIT_DATA, (size_t)fixture_status("VmData") * 1024 + 60 * MIB);
    windows = fixture_windows(1, 0);
    ck_assert(!windows->committed);
    while ((chunk = ha_chunk_take(windows, 0, 1, windows)) != NULL) {
        memset(chunk, 1, HA_CHUNK);
        ck_assert_int_lt(++taken, 15);
    }
    ck_assert_int_eq(errno, ENOMEM);
    ck_assert_int_ge(taken, 6);
    ck_assert_ptr_null(ha_chunk_take(windows, 0, 8, windows));
    HARNESS_OK(ha_windows_check(windows));
}
END_TEST

HARNESS_SUITE(window)
{
    Suite *suite = suite_create("window");
    TCase *layout = tcase_create("layout");
    TCase *policy = tcase_create("policy");
    TCase *failure = tcase_create("failure");

    tcase_add_test(layout, sizes);
    tcase_add_test(layout, versions);
    tcase_add_test(layout, overcommit_files);
    tcase_add_test(layout, nodes_of_addresses);
    tcase_add_test(layout, equal_layouts_share);
    tcase_add_test(layout, threads_get_one_set);
    tcase_add_test(layout, arenas_run_out);
    tcase_add_test(layout, bad_topologies);
    suite_add_tcase(suite, layout);
    tcase_add_loop_test(policy, policies, 0, 5);
    tcase_add_loop_test(policy, mbind_refused, 1, 5);
    tcase_add_test(policy, advice);
    tcase_add_test(policy, advice_refused);
    suite_add_tcase(suite, policy);
    tcase_add_loop_test(failure, creation_faults, 0, 2);
    tcase_add_test(failure, failures_leave_nothing);
    if (!FIXTURE_SANITIZED && !ha_on_valgrind()) {
        tcase_add_loop_test(failure, address_space_limit, 512, 513);
        tcase_add_loop_test(failure, address_space_limit, 2048, 2049);
        tcase_add_test(failure, address_space_is_shared);
        tcase_add_test(failure, address_space_too_small);
        tcase_add_test(failure, writable_memory_limit);
    }
    suite_add_tcase(suite, failure);
    return suite;
}
