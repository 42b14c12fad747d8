/* tests/numa/test_access.c - is what the access-counting plugin counts true: where memory lies, who accesses it, what is
 * an access? Runs in the guest, with the plugin: `make check-guest`. See access_fixture.h. */
#define _GNU_SOURCE
#include "tests/numa/access_fixture.h"

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

    access_cache_case(suite);
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
