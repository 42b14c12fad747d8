/* tests/test_group.c - a heap in a control group: recorded trees (tests/data), from the files to what is refused. */
#include "gc/crew.h"
#include "tests/mutator_fixture.h"

enum { GROUP_MIB = 1 << 20 };

static const char *const trees[] = {"tests/data/cgroup-v1", "tests/data/cgroup-v2"};

/* Heaps made from now on are in this group. */
static void enter(const char *tree)
{
    static char self[256];

    snprintf(self, sizeof self, "%s/self", tree);
    ht_groups = (struct ht_groups){tree, self};
}

/* Bytes in nodes of the heap's list until one is refused. */
static size_t fill_up(struct fixture *f, void **root)
{
    size_t bytes = 0;

    for (;; bytes += 4096) {
        void **array = hearth_new_array(f->mutator, f->refs, 511);
        if (array == NULL)
            return bytes;
        HARNESS_OK(hearth_store(f->mutator, array, array, *root));
        *root = array;
    }
}

struct told {
    size_t count[HEARTH_PRESSURE_NODE + 1]; /* calls by stage         */
    hearth_pressure first;                  /* of the first SOFT one  */
};

static bool tell(void *data, hearth_mutator *mutator, const hearth_pressure *pressure)
{
    struct told *told = data;

    (void)mutator;
    if (pressure->stage == HEARTH_PRESSURE_SOFT && told->count[HEARTH_PRESSURE_SOFT] == 0)
        told->first = *pressure;
    told->count[pressure->stage]++;
    return false;
}

/* Three quarters of the group's memory are the hard limit, three quarters of its high mark the soft one: the
 * embedder is told above that, and beyond the hard one an allocation fails, before the kernel kills. */
START_TEST(a_heap_stays_within_its_group)
{
    struct told told = {{0}, {0}};

    fixture_alone();
    enter(trees[_i]);
    ck_assert_uint_eq(ht_os_physical_memory(), 64 * GROUP_MIB);
    struct fixture f = fixture_open("heap-limit=0");
    hearth_stats stats = fixture_stats(f.heap);
    ck_assert_uint_eq(stats.limit_bytes, 48 * GROUP_MIB);
    ck_assert_uint_eq(f.heap->pacing.soft_limit, 24 * GROUP_MIB);
    ck_assert_int_eq(f.heap->topology->cpus, 1); /* so no helpers */
    ck_assert_int_eq(f.heap->crew->size, 0);
    HARNESS_OK(hearth_on_pressure(f.heap, tell, &told));
    HEARTH_FRAME(f.mutator, frame, 1);
    size_t bytes = fill_up(&f, &frame.ref[0]);
    harness_expect_error("hearth_new_array", HEARTH_ELIMIT, "limit");
    ck_assert_uint_ge(bytes, 44 * GROUP_MIB);
    ck_assert_uint_le(bytes, 48 * GROUP_MIB);
    ck_assert_uint_le(fixture_stats(f.heap).heap_bytes, 48 * GROUP_MIB);
    ck_assert_uint_ge(told.count[HEARTH_PRESSURE_SOFT], 1);
    ck_assert_uint_ge(told.count[HEARTH_PRESSURE_HARD], 1);
    ck_assert_uint_eq(told.first.soft_limit, 24 * GROUP_MIB);
    ck_assert_uint_eq(told.first.limit, 48 * GROUP_MIB);
    ck_assert_uint_gt(told.first.heap_bytes, 24 * GROUP_MIB);
    ck_assert_uint_lt(told.first.heap_bytes, 34 * GROUP_MIB); /* not long after */
    frame.ref[0] = NULL;
    ck_assert_uint_ge(fill_up(&f, &frame.ref[0]), 44 * GROUP_MIB);
    HEARTH_FRAME_END(f.mutator, frame);
    fixture_close(&f);
}
END_TEST

/* Options count more than the group. */
START_TEST(options_override_the_group)
{
    fixture_alone();
    enter(trees[_i]);
    struct fixture f = fixture_open("heap-limit=80m,soft-limit=70m,workers=2");
    ck_assert_uint_eq(fixture_stats(f.heap).limit_bytes, 80 * GROUP_MIB);
    ck_assert_uint_eq(f.heap->pacing.soft_limit, 70 * GROUP_MIB);
    ck_assert_int_eq(f.heap->crew->size, 1);
    fixture_close(&f);
}
END_TEST

/* Without limits, or with no such tree, the machine's memory counts. */
START_TEST(no_group_no_limit)
{
    uint64_t installed = (uint64_t)sysconf(_SC_PHYS_PAGES) * ht_os_page_size();

    fixture_alone();
    enter(_i == 0 ? "tests/data/cgroup-none" : "tests/data/nowhere");
    ck_assert_uint_eq(ht_os_physical_memory(), installed);
    struct fixture f = fixture_open("heap-limit=0");
    ck_assert_uint_eq(f.heap->pacing.soft_limit, 0);
    ck_assert_uint_le(fixture_stats(f.heap).limit_bytes, installed / 4 * 3 + 65536);
    ck_assert_uint_gt(fixture_stats(f.heap).limit_bytes, 48 * GROUP_MIB);
    fixture_close(&f);
}
END_TEST

HARNESS_SUITE(group)
{
    Suite *suite = suite_create("group");
    TCase *tests = tcase_create("group");

    tcase_add_loop_test(tests, a_heap_stays_within_its_group, 0, 2);
    tcase_add_loop_test(tests, options_override_the_group, 0, 2);
    tcase_add_loop_test(tests, no_group_no_limit, 0, 2);
    suite_add_tcase(suite, tests);
    return suite;
}
