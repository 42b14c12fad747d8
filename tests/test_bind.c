/* tests/test_bind.c - what the kernel allows the process, numactl, and binding threads. */
#define _GNU_SOURCE 1

#include <numaif.h>
#include <pthread.h>
#include <sched.h>
#include <sys/wait.h>

#include "tests/topology_fixture.h"
#include "topology/machine.h"
#include "topology/os.h"

/* --- threads ---------------------------------------------------------------------------------- */

static void expect_bound(const cpu_set_t *expected)
{
    cpu_set_t *cpus = CPU_ALLOC(HT_MAX_CPUS);

    CPU_ZERO_S(HT_CPU_SET_BYTES, cpus);
    ck_assert_int_eq(sched_getaffinity(0, HT_CPU_SET_BYTES, cpus), 0);
    ck_assert(CPU_EQUAL_S(HT_CPU_SET_BYTES, cpus, expected));
    CPU_FREE(cpus);
}

START_TEST(thread_runs_where_it_is_bound)
{
    struct hearth_topology *topology;

    fixture_real();
    topology = fixture_topology(fixture_fake(4));
    for (int node = 0; node < topology->nodes; node++) {
        HARNESS_OK(hearth_topology_bind_thread(topology, node));
        expect_bound(topology->node[node].cpu_set);
        ck_assert(CPU_ISSET_S(sched_getcpu(), HT_CPU_SET_BYTES, topology->node[node].cpu_set));
    }
    ht_topology_destroy(topology);
}
END_TEST

/* Bound within the sets found at creation, also when that was narrowed by the user. */
START_TEST(thread_never_leaves_the_allowed_cpus)
{
    struct hearth_topology *topology;
    cpu_set_t all, one;
    int cpu = 0;

    fixture_real();
    ck_assert_int_eq(sched_getaffinity(0, sizeof(all), &all), 0);
    while (!CPU_ISSET(cpu, &all))
        cpu++;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    ck_assert_int_eq(sched_setaffinity(0, sizeof(one), &one), 0);
    topology = fixture_topology(fixture_fake(8));
    for (int node = 0; node < topology->nodes; node++) {
        HARNESS_OK(hearth_topology_bind_thread(topology, node));
        ck_assert_int_eq(sched_getcpu(), cpu);
    }
    ht_topology_destroy(topology);
}
END_TEST

START_TEST(wrong_nodes_are_named)
{
    struct hearth_topology *topology;

    fixture_real();
    topology = fixture_topology(fixture_fake(2));
    HARNESS_STATUS_NAMES(hearth_topology_bind_thread(topology, 64), HEARTH_ENODE, "node 64");
    HARNESS_STATUS(hearth_topology_bind_thread(topology, topology->nodes), HEARTH_ENODE);
    HARNESS_STATUS_NAMES(hearth_topology_bind_thread(topology, -1), HEARTH_ENODE, "node -1");
    HARNESS_STATUS_NAMES(hearth_topology_bind_thread(NULL, 0), HEARTH_EINVAL, "topology");
    ht_fault_arm(HT_FAULT_AFFINITY, 1, false);
    HARNESS_STATUS_NAMES(hearth_topology_bind_thread(topology, 1), HEARTH_ESYSTEM, "node 1");
    HARNESS_OK(hearth_topology_bind_thread(topology, 1));
    ht_topology_destroy(topology);
}
END_TEST

START_TEST(described_machines_bind_nothing)
{
    struct hearth_topology *topology;
    cpu_set_t *before = CPU_ALLOC(HT_MAX_CPUS);

    CPU_ZERO_S(HT_CPU_SET_BYTES, before);
    ck_assert_int_eq(sched_getaffinity(0, HT_CPU_SET_BYTES, before), 0);
    fixture_synthetic("pack:4 [numa] core:8 pu:1");
    topology = fixture_topology("");
    HARNESS_OK(hearth_topology_bind_thread(topology, 3));
    expect_bound(before);
    HARNESS_STATUS(hearth_topology_bind_thread(topology, 4), HEARTH_ENODE);
    ht_topology_destroy(topology);
    CPU_FREE(before);
}
END_TEST

static void *read_cpus(void *data)
{
    cpu_set_t *one = data, *cpus = CPU_ALLOC(HT_MAX_CPUS);
    int found = -1;

    if (sched_setaffinity(0, sizeof(*one), one) == 0 && ht_bind_cpus(cpus))
        found = CPU_COUNT_S(HT_CPU_SET_BYTES, cpus);
    CPU_FREE(cpus);
    return (void *)(intptr_t)found;
}

/* A program's own binding of the calling thread does not narrow what the process may use. */
START_TEST(a_bound_thread_still_sees_the_process)
{
    pthread_t thread;
    cpu_set_t all, one;
    void *found;
    int cpu = 0;

    ck_assert_int_eq(sched_getaffinity(0, sizeof(all), &all), 0);
    while (!CPU_ISSET(cpu, &all))
        cpu++;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    ck_assert_int_eq(pthread_create(&thread, NULL, read_cpus, &one), 0);
    pthread_join(thread, &found);
    ck_assert_int_eq((intptr_t)found, CPU_COUNT(&all));
}
END_TEST

/* --- memory policies -------------------------------------------------------------------------- */

static struct ht_node_mask allowed_nodes(void)
{
    struct ht_node_mask mask;

    if (!ht_bind_nodes(&mask))
        memset(&mask, 0, sizeof(mask));
    return mask;
}

static int first_node(const struct ht_node_mask *mask)
{
    for (int node = 0; node < HT_OS_NODES; node++) {
        if (ht_mask_has(mask, node))
            return node;
    }
    return -1;
}

static bool user_policy(void)
{
    struct hearth_topology *topology;
    bool user;

    fixture_real();
    topology = fixture_topology("");
    user = topology->user_policy;
    ht_topology_destroy(topology);
    return user;
}

static const struct {
    int mode;
    bool nodes, user;
} policies[] = {
    {MPOL_DEFAULT, false, false},      {MPOL_LOCAL, false, false},
    {MPOL_PREFERRED, false, false},    {MPOL_PREFERRED, true, true},
    {MPOL_INTERLEAVE, true, true},     {MPOL_BIND, true, true},
    {MPOL_BIND | 1 << 15, true, true}, /* numbers stay when the cpuset changes */
};

/* The calls numactl makes before it starts a program. */
START_TEST(policy_of_the_user_is_seen)
{
    struct ht_node_mask mask = allowed_nodes(), before;
    int node = first_node(&mask);
    struct ht_node_mask one = {{0}};

    if (node < 0) {
        ck_assert(!ht_bind_policy(&mask)); /* no NUMA in this kernel: nothing to see */
        return;
    }
    one.word[node / HT_WORD_BITS] = 1ul << (node % HT_WORD_BITS);
    ck_assert_int_eq(set_mempolicy(policies[_i].mode, policies[_i].nodes ? one.word : NULL,
                                   policies[_i].nodes ? HT_OS_NODES + 1 : 0),
                     0);
    memset(&mask, 0xff, sizeof(mask));
    before = mask;
    ck_assert_int_eq(ht_bind_policy(&mask), policies[_i].user);
    if (policies[_i].user)
        ck_assert_int_eq(ht_bind_policy_spreads(), (policies[_i].mode & 0xff) != MPOL_BIND);
    if ((policies[_i].mode & 0xff) == MPOL_BIND)
        ck_assert_mem_eq(&mask, &one, sizeof(one));
    else
        ck_assert_mem_eq(&mask, &before, sizeof(mask));
    ck_assert_int_eq(user_policy(), policies[_i].user);
}
END_TEST

START_TEST(masks_answer_for_any_number)
{
    struct ht_node_mask mask;

    memset(&mask, 0xff, sizeof(mask));
    ck_assert(ht_mask_has(&mask, 0) && ht_mask_has(&mask, HT_OS_NODES - 1));
    ck_assert(!ht_mask_has(&mask, -1) && !ht_mask_has(&mask, HT_OS_NODES));
    memset(&mask, 0, sizeof(mask));
    mask.word[1] = 2;
    ck_assert(ht_mask_has(&mask, 65) && !ht_mask_has(&mask, 64));
    ck_assert_int_eq(first_node(&mask), 65);
}
END_TEST

/* --- numactl itself --------------------------------------------------------------------------- */

/* numactl starts a program: this one again, which answers here instead of running tests. */
static const char child_variable[] = "HEARTH_TEST_BIND_CHILD";

__attribute__((constructor)) static void answer_as_child(void)
{
    struct hearth_options options;
    struct hearth_topology *topology;

    if (getenv(child_variable) == NULL)
        return;
    if (ht_options_defaults(&options, false) != HEARTH_OK ||
        ht_topology_create(&topology, &options) != HEARTH_OK)
        _exit(1);
    printf("nodes=%d os_node=%d cpus=%d user=%d\n", topology->nodes, topology->node[0].os_node,
           topology->cpus_allowed, topology->user_policy);
    fflush(stdout);
    _exit(0);
}

/* What the child answers when numactl starts it with these arguments ("" if it fails). */
static void run_numactl(const char *first, const char *second, char *answer, size_t size)
{
    int ends[2], status;
    ssize_t got;
    size_t used = 0;
    pid_t child;

    fixture_real();
    ck_assert_int_eq(pipe(ends), 0);
    child = fork();
    if (child == 0) {
        char self[PATH_MAX];
        ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);

        self[length > 0 ? length : 0] = '\0';
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        close(ends[1]);
        setenv(child_variable, "1", 1);
        execlp("numactl", "numactl", first, second, self, (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    while ((got = read(ends[0], answer + used, size - 1 - used)) > 0)
        used += (size_t)got;
    answer[used] = '\0';
    close(ends[0]);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0,
                  "numactl %s %s: wait status %d (127 << 8: not installed)", first, second, status);
}

START_TEST(numactl_is_obeyed)
{
    struct ht_node_mask mask = allowed_nodes();
    int node = first_node(&mask);
    char cpus[32], memory[32], answer[128];
    int nodes, os_node, count, user;

    if (node < 0)
        return; /* numactl refuses to work without NUMA */
    snprintf(cpus, sizeof(cpus), "--cpunodebind=%d", node);
    snprintf(memory, sizeof(memory), "--membind=%d", node);
    run_numactl(cpus, memory, answer, sizeof(answer));
    ck_assert_int_eq(
        sscanf(answer, "nodes=%d os_node=%d cpus=%d user=%d", &nodes, &os_node, &count, &user), 4);
    ck_assert_int_eq(nodes, 1);
    ck_assert_int_eq(os_node, node);
    ck_assert_int_ge(count, 1);
    ck_assert_int_eq(user, 1);
    run_numactl("--interleave=all", "--", answer, sizeof(answer));
    ck_assert_ptr_nonnull(strstr(answer, "user=1"));
    run_numactl("--localalloc", "--", answer, sizeof(answer));
    ck_assert_ptr_nonnull(strstr(answer, "user=0"));
}
END_TEST

HARNESS_SUITE(bind)
{
    Suite *suite = suite_create("bind");
    TCase *threads = tcase_create("threads");
    TCase *policy = tcase_create("policy");

    tcase_add_test(threads, thread_runs_where_it_is_bound);
    tcase_add_test(threads, thread_never_leaves_the_allowed_cpus);
    tcase_add_test(threads, wrong_nodes_are_named);
    tcase_add_test(threads, described_machines_bind_nothing);
    tcase_add_test(threads, a_bound_thread_still_sees_the_process);
    suite_add_tcase(suite, threads);
    tcase_add_loop_test(policy, policy_of_the_user_is_seen, 0,
                        sizeof(policies) / sizeof(policies[0]));
    tcase_add_test(policy, masks_answer_for_any_number);
    tcase_add_test(policy, numactl_is_obeyed);
    suite_add_tcase(suite, policy);
    return suite;
}
