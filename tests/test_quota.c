/* tests/test_quota.c - limits of control groups, read from made-up trees. */
#define _GNU_SOURCE 1

#include "tests/topology_fixture.h"

/* One made-up system: files below the cgroup mount, and what they come to. */
struct tree {
    const char *what;
    const char *self;        /* /proc/self/cgroup        */
    const char *files[6][2]; /* name below root, content */
    int cpus;
    uint64_t memory;
};

static const struct tree trees[] = {
    {"no limits at all",
     "0::/user/app\n",
     {{"user/app/cpu.max", "max 100000\n"}, {"user/app/memory.max", "max\n"}},
     0,
     0},
    {"version 2, own group",
     "0::/user/app\n",
     {{"user/app/cpu.max", "200000 100000\n"}, {"user/app/memory.max", "1073741824\n"}},
     2,
     1073741824},
    {"fractions round up", "0::/app\n", {{"app/cpu.max", "150001 100000\n"}}, 2, 0},
    {"less than one CPU is one", "0::/app\n", {{"app/cpu.max", "1000 100000\n"}}, 1, 0},
    {"the smallest on the way up counts",
     "0::/a/b/c\n",
     {{"a/cpu.max", "300000 100000\n"},
      {"a/b/cpu.max", "max 100000\n"},
      {"a/b/c/cpu.max", "800000 100000\n"},
      {"a/b/memory.max", "4096000\n"},
      {"a/b/c/memory.max", "8192000\n"},
      {"a/memory.max", "max\n"}},
     3,
     4096000},
    {"a container's group is its root",
     "0::/\n",
     {{"cpu.max", "400000 100000\n"}, {"memory.max", "123456789\n"}},
     4,
     123456789},
    {"the host's names do not exist here",
     "0::/docker/0123456789abcdef\n",
     {{"cpu.max", "100000 50000\n"}, {"memory.max", "5000000\n"}},
     2,
     5000000},
    {"outside of the mount: only the root counts",
     "0::/../outside\n",
     {{"cpu.max", "500000 100000\n"}, {"../outside/cpu.max", "100000 100000\n"}},
     5,
     0},
    {"version 1, combined controllers",
     "5:memory:/app\n3:cpu,cpuacct:/app\n1:name=systemd:/app\n",
     {{"cpu,cpuacct/app/cpu.cfs_quota_us", "250000\n"},
      {"cpu,cpuacct/app/cpu.cfs_period_us", "100000\n"},
      {"memory/app/memory.limit_in_bytes", "2147483648\n"}},
     3,
     2147483648},
    {"version 1, mounted under one name",
     "3:cpu,cpuacct:/app\n",
     {{"cpu/app/cpu.cfs_quota_us", "100000\n"}, {"cpu/app/cpu.cfs_period_us", "100000\n"}},
     1,
     0},
    {"version 1 without limits",
     "5:memory:/\n3:cpu:/\n",
     {{"cpu/cpu.cfs_quota_us", "-1\n"},
      {"cpu/cpu.cfs_period_us", "100000\n"},
      {"memory/memory.limit_in_bytes", "9223372036854771712\n"}},
     0,
     0},
    {"version 1, walking up",
     "5:memory:/x/y\n",
     {{"memory/memory.limit_in_bytes", "9223372036854771712\n"},
      {"memory/x/memory.limit_in_bytes", "700000\n"},
      {"memory/x/y/memory.limit_in_bytes", "900000\n"}},
     0,
     700000},
    {"both versions: the smaller",
     "3:cpu:/app\n0::/app\n",
     {{"cpu/app/cpu.cfs_quota_us", "600000\n"},
      {"cpu/app/cpu.cfs_period_us", "100000\n"},
      {"unified/app/cpu.max", "500000 100000\n"}},
     5,
     0},
    {"controllers that only look alike",
     "3:cpuset,cpuacct:/app\n4:xcpu:/app\n",
     {{"cpuset,cpuacct/app/cpu.cfs_quota_us", "100000\n"},
      {"cpuset,cpuacct/app/cpu.cfs_period_us", "100000\n"},
      {"cpu/app/cpu.cfs_quota_us", "100000\n"},
      {"cpu/app/cpu.cfs_period_us", "100000\n"}},
     0,
     0},
    {"files that do not parse are no limit",
     "0::/app\n",
     {{"app/cpu.max", "lots\n"}, {"app/memory.max", ""}, {"cpu.max", "100000\n"}},
     0,
     0},
    {"zero period, zero quota",
     "0::/a/b\n",
     {{"a/cpu.max", "100000 0\n"}, {"a/b/cpu.max", "0 100000\n"}},
     0,
     0},
    {"numbers beyond 64 bits are no limit",
     "0::/app\n",
     {{"app/cpu.max", "99999999999999999999999 100000\n"},
      {"app/memory.max", "99999999999999999999999\n"}},
     0,
     0},
    {"a limit of nothing is a limit", "0::/app\n", {{"app/memory.max", "0\n"}}, 0, 1},
    {"more CPUs than an int holds",
     "0::/app\n",
     {{"app/cpu.max", "9000000000000000000 1\n"}},
     INT_MAX,
     0},
    {"broken lines are skipped",
     "garbage\n\n7:\n:::\n0::/app",
     {{"app/cpu.max", "700000 100000"}},
     7,
     0},
    {"double and trailing slashes",
     "0::/a//b/\n",
     {{"a/b/cpu.max", "300000 100000\n"}, {"a/cpu.max", "200000 100000\n"}},
     2,
     0},
};

START_TEST(tree_comes_to)
{
    const struct tree *tree = &trees[_i];
    char *directory = fixture_directory();
    char root[PATH_MAX], self[PATH_MAX];

    snprintf(root, sizeof(root), "%s/cgroup", directory);
    snprintf(self, sizeof(self), "%s/self", directory);
    fixture_write(directory, "self", tree->self);
    fixture_write(directory, "cgroup/.mounted", "");
    for (int i = 0; i < 6 && tree->files[i][0] != NULL; i++) {
        char name[PATH_MAX];

        snprintf(name, sizeof(name), "cgroup/%s", tree->files[i][0]);
        fixture_write(directory, name, tree->files[i][1]);
    }
    ck_assert_msg(ht_quota_cpus(root, self) == tree->cpus, "%s: %d CPUs", tree->what,
                  ht_quota_cpus(root, self));
    ck_assert_msg(ht_quota_memory(root, self) == tree->memory, "%s: %llu bytes", tree->what,
                  (unsigned long long)ht_quota_memory(root, self));
    fixture_remove(directory);
}
END_TEST

/* Where the kernel begins to slow down or reclaim: the smallest on the way up, of either version. */
START_TEST(memory_high)
{
    static const struct tree high[] = {
        {"version 2",
         "0::/a/b\n",
         {{"a/b/memory.high", "8192000\n"}, {"a/memory.high", "4096000\n"}, {"memory.max", "1\n"}},
         0,
         4096000},
        {"none", "0::/a\n", {{"a/memory.high", "max\n"}, {"a/memory.max", "4096\n"}}, 0, 0},
        {"version 1",
         "4:memory:/a\n",
         {{"memory/memory.soft_limit_in_bytes", "9223372036854771712\n"},
          {"memory/a/memory.soft_limit_in_bytes", "700000\n"}},
         0,
         700000},
        {"no number", "0::/a\n", {{"a/memory.high", "high\n"}}, 0, 0},
    };
    const struct tree *tree = &high[_i];
    char *directory = fixture_directory();
    char root[PATH_MAX], self[PATH_MAX];

    snprintf(root, sizeof(root), "%s/cgroup", directory);
    snprintf(self, sizeof(self), "%s/self", directory);
    fixture_write(directory, "self", tree->self);
    for (int i = 0; i < 6 && tree->files[i][0] != NULL; i++) {
        char name[PATH_MAX];

        snprintf(name, sizeof(name), "cgroup/%s", tree->files[i][0]);
        fixture_write(directory, name, tree->files[i][1]);
    }
    ck_assert_msg(ht_quota_memory_high(root, self) == tree->memory, "%s: %llu bytes", tree->what,
                  (unsigned long long)ht_quota_memory_high(root, self));
    fixture_remove(directory);
}
END_TEST

START_TEST(nothing_there_is_no_limit)
{
    ck_assert_uint_eq(ht_quota_memory_high("/nowhere", "/proc/self/cgroup"), 0);
    ck_assert_int_eq(ht_quota_cpus("/nowhere", "/proc/self/cgroup"), 0);
    ck_assert_int_eq(ht_quota_cpus("/sys/fs/cgroup", "/nowhere"), 0);
    ck_assert_uint_eq(ht_quota_memory("/nowhere", "/nowhere/either"), 0);
    ck_assert_uint_eq(ht_quota_memory("/", "/"), 0);
}
END_TEST

START_TEST(long_names_are_survived)
{
    char *directory = fixture_directory();
    char root[PATH_MAX], self[PATH_MAX], text[3 * PATH_MAX];

    snprintf(root, sizeof(root), "%s/cgroup", directory);
    snprintf(self, sizeof(self), "%s/self", directory);
    fixture_write(directory, "cgroup/cpu.max", "200000 100000\n");
    for (size_t length = PATH_MAX - 64; length < 2 * PATH_MAX; length += 37) {
        memset(text, 'x', length);
        memcpy(text, "0::/", 4);
        text[length] = '\0';
        fixture_write(directory, "self", text);
        ck_assert_int_eq(ht_quota_cpus(root, self), 2);
    }
    fixture_remove(directory);
}
END_TEST

/* Random bytes in every file: some answer, no crash, never negative. */
START_TEST(random_files_are_survived)
{
    static const char letters[] = "0123456789 /:,.-\nmaxcpuemory";
    uint64_t random = harness_seed();
    char *directory = fixture_directory();
    char root[PATH_MAX], self[PATH_MAX];

    snprintf(root, sizeof(root), "%s/cgroup", directory);
    snprintf(self, sizeof(self), "%s/self", directory);
    for (uint64_t round = harness_scaled(300); round > 0; round--) {
        static const char *const names[] = {"self", "cgroup/cpu.max", "cgroup/memory.max",
                                            "cgroup/cpu/cpu.cfs_quota_us"};
        char text[200];

        for (int i = 0; i < 4; i++) {
            size_t length = harness_random_below(&random, sizeof(text));

            for (size_t j = 0; j < length; j++)
                text[j] = letters[harness_random_below(&random, sizeof(letters) - 1)];
            text[length] = '\0';
            if (i == 0 && harness_random_below(&random, 2))
                memcpy(text, "0::/", length < 4 ? length : 4);
            fixture_write(directory, names[i], text);
        }
        ck_assert_int_ge(ht_quota_cpus(root, self), 0);
        ck_assert_uint_lt(ht_quota_memory(root, self), UINT64_C(1) << 62);
    }
    fixture_remove(directory);
}
END_TEST

HARNESS_SUITE(quota)
{
    Suite *suite = suite_create("quota");
    TCase *tcase = tcase_create("quota");

    tcase_add_loop_test(tcase, tree_comes_to, 0, sizeof(trees) / sizeof(trees[0]));
    tcase_add_loop_test(tcase, memory_high, 0, 4);
    tcase_add_test(tcase, nothing_there_is_no_limit);
    tcase_add_test(tcase, long_names_are_survived);
    tcase_add_test(tcase, random_files_are_survived);
    suite_add_tcase(suite, tcase);
    return suite;
}
