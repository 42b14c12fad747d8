/* tests/numa/test_access_cache.c - the plugin's cache model: which accesses miss, and what is transferred.
 *
 * Part of test_access. ACCESS_CACHE_KIB in the environment is the size of the model that the plugin was given; without
 * it these tests do not run. See access_fixture.h. */
#define _GNU_SOURCE
#include "tests/numa/access_fixture.h"

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

TCase *access_cache_case(Suite *suite)
{
    if (cache_bytes() == 0)
        return NULL;
    TCase *cache = add_case(suite, "cache");
    tcase_add_test(cache, misses_are_lines);
    tcase_add_test(cache, written_lines_are_transferred);
    tcase_add_test(cache, shared_lines_become_invalid);
    return cache;
}
