/* tests/test_options.c - the table of options: defaults, grammar, bounds, all or nothing. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/harness.h"
#include "topology/options.h"
#include "topology/os.h"
#include "topology/topology.h"

enum { TEXT = 128 };

static hearth_options *create(void)
{
    hearth_options *options = NULL;

    unsetenv("HEARTH_OPTIONS");
    HARNESS_OK(hearth_options_create(&options));
    return options;
}

static const char *get(const hearth_options *options, const char *name)
{
    static char text[TEXT];

    HARNESS_OK(hearth_options_get(options, name, text, sizeof(text)));
    return text;
}

START_TEST(table_is_complete)
{
    hearth_options *options = create();

    ck_assert_uint_eq(hearth_option_count(), 28);
    ck_assert_ptr_null(hearth_option_at(hearth_option_count()));
    ck_assert_ptr_null(hearth_option_at(SIZE_MAX));
    for (size_t i = 0; i < hearth_option_count(); i++) {
        const hearth_option_info *info = hearth_option_at(i);

        ck_assert_str_eq(get(options, info->name), info->fallback);
        ck_assert_uint_gt(strlen(info->help), 10);
        ck_assert_int_eq(info->help[strlen(info->help) - 1], '.');
        ck_assert_int_eq(info->choices != NULL, info->kind == HEARTH_OPTION_CHOICE);
        ck_assert(info->kind == HEARTH_OPTION_CHOICE || info->kind == HEARTH_OPTION_TEXT ||
                  info->min < info->max);
        for (size_t j = 0; j < i; j++)
            ck_assert_str_ne(info->name, hearth_option_at(j)->name);
    }
    hearth_options_destroy(options);
    hearth_options_destroy(NULL);
}
END_TEST

START_TEST(defaults_are_those_of_the_contract)
{
    struct hearth_options options;

    memset(&options, 0xee, sizeof(options));
    HARNESS_OK(ht_options_defaults(&options, false));
    ck_assert_int_eq(options.fake_nodes, 0);
    ck_assert_int_eq(options.preferred, -1);
    ck_assert_int_eq(options.policy, HT_POLICY_LOCAL);
    ck_assert_int_eq(options.mode, HT_MODE_AUTO);
    ck_assert_int_eq(options.workers, 0);
    ck_assert_uint_eq(options.window, 0);
    ck_assert_int_eq(options.hugepages, HT_HUGE_INHERIT);
    ck_assert_uint_eq(options.heap_limit, 0);
    ck_assert_uint_eq(options.heap_min, 0);
    ck_assert(options.growth == 2.0);
    ck_assert_uint_eq(options.nursery, 0);
    ck_assert(options.nursery_adaptive && options.generational);
    ck_assert_uint_eq(options.release_after, 1000);
    ck_assert(!options.conservative && !options.verify && !options.poison);
    ck_assert_int_eq(options.prefetch, 16);
    ck_assert_uint_eq(options.help_after, 16384);
    ck_assert_int_eq(options.stress, 0);
    ck_assert_int_eq(options.log, HT_LOG_NONE);
    ck_assert_int_eq(options.finalize, HT_FINALIZE_SAFEPOINT);
    ck_assert(!options.guard);
    ck_assert_str_eq(options.trace, "off");
    ck_assert_str_eq(options.stats_page, "off");
}
END_TEST

START_TEST(every_kind_reads_into_its_field)
{
    hearth_options *options = create();

    HARNESS_OK(hearth_options_parse(
        options, "fake-nodes=64,policy=off,mode=local,workers=256,window=1T,hugepages=on,"
                 "heap-limit=12345,heap-min=3K,growth=1.5,nursery=8m,nursery-adaptive=no,"
                 "generational=FALSE,release-after=0,conservative=yes,prefetch=0,verify=1,"
                 "stress=1000000000,poison=true,log=gc,finalize=queue,guard=1,"
                 "trace=/tmp/a b=c.json,stats-page=on"));
    ck_assert_int_eq(options->fake_nodes, 64);
    ck_assert_int_eq(options->policy, HT_POLICY_OFF);
    ck_assert_int_eq(options->mode, HT_MODE_LOCAL);
    ck_assert_int_eq(options->workers, 256);
    ck_assert_uint_eq(options->window, (size_t)1 << 40);
    ck_assert_int_eq(options->hugepages, HT_HUGE_ON);
    ck_assert_uint_eq(options->heap_limit, 12345);
    ck_assert_uint_eq(options->heap_min, 3072);
    ck_assert(options->growth == 1.5);
    ck_assert_uint_eq(options->nursery, 8 << 20);
    ck_assert(!options->nursery_adaptive && !options->generational);
    ck_assert_uint_eq(options->release_after, 0);
    ck_assert(options->conservative && options->verify && options->poison);
    ck_assert_int_eq(options->prefetch, 0);
    ck_assert_int_eq(options->stress, 1000000000);
    ck_assert_int_eq(options->log, HT_LOG_GC);
    ck_assert_int_eq(options->finalize, HT_FINALIZE_QUEUE);
    ck_assert(options->guard);
    ck_assert_str_eq(options->trace, "/tmp/a b=c.json");
    ck_assert_str_eq(get(options, "trace"), "/tmp/a b=c.json");
    ck_assert_str_eq(options->stats_page, "on");
    hearth_options_destroy(options);
}
END_TEST

static const struct {
    const char *text;  /* for hearth_options_parse         */
    const char *names; /* what the message must mention    */
} wrong[] = {
    {"nursery", "\"nursery\" has no '='"},
    {"nursery=", "nursery: the value is empty"},
    {"=5", "unknown option \"\""},
    {"nurserY=5", "unknown option \"nurserY\""},
    {"nursery =5", "unknown option \"nursery \""},
    {"nursery= 5", "\" 5\""},
    {"nursery=5 ", "\"5 \""},
    {"nursery=-5", "\"-5\""},
    {"nursery=+5", "\"+5\""},
    {"nursery=5mm", "\"5mm\""},
    {"nursery=m", "\"m\""},
    {"nursery=0x10", "\"0x10\""},
    {"nursery=5p", "\"5p\""},
    {"nursery=18446744073709551616", "\"18446744073709551616\""},
    {"nursery=18446744073709551615k", "k\""},
    {"nursery=16777216t", "\"16777216t\""},
    {"nursery=2t", "nursery: value \"2t\" is outside 0 .. 1099511627776"},
    {"workers=-1", "workers: value \"-1\" is outside 0 .. 256"},
    {"workers=257", "outside 0 .. 256"},
    {"workers=9223372036854775808", "\"9223372036854775808\""},
    {"workers=1.5", "\"1.5\""},
    {"workers=4k", "\"4k\""},
    {"workers=+5", "\"+5\""},
    {"workers= 5", "\" 5\""},
    {"workers=--1", "\"--1\""},
    {"workers=-", "\"-\""},
    {"growth=1", "growth: value \"1\" is outside 1.05 .. 100"},
    {"growth=100.1", "\"100.1\""},
    {"growth=nan", "\"nan\""},
    {"growth=inf", "\"inf\""},
    {"growth=1e1", "\"1e1\""},
    {"growth=2.0.0", "\"2.0.0\""},
    {"growth=.", "\".\""},
    {"growth=-2", "\"-2\""},
    {"growth=2,5", "\"5\" has no '='"},
    {"verify=2", "verify: value \"2\" is not on or off"},
    {"verify=onn", "\"onn\""},
    {"policy=loca", "policy: value \"loca\" is none of local|strict|off"},
    {"policy=local|strict", "\"local|strict\""},
    {"log=gc gc", "\"gc gc\""},
    {"fake-nodes=65", "outside 0 .. 64"},
    {",", "empty option"},
    {"log=gc,", "behind the last ','"},
    {"log=gc,,verify=on", "empty option"},
    {",log=gc", "empty option"},
};

START_TEST(wrong_text_changes_nothing_and_is_named)
{
    hearth_options *options = create();
    struct hearth_options before;
    char text[TEXT];

    HARNESS_OK(hearth_options_parse(options, "workers=3,growth=3.5"));
    before = *options;
    HARNESS_STATUS_NAMES(hearth_options_parse(options, wrong[_i].text), HEARTH_EOPTION,
                         wrong[_i].names);
    ck_assert_mem_eq(options, &before, sizeof(before));
    snprintf(text, sizeof(text), "workers=7,%s", wrong[_i].text);
    HARNESS_STATUS_NAMES(hearth_options_parse(options, text), HEARTH_EOPTION, wrong[_i].names);
    ck_assert_mem_eq(options, &before, sizeof(before));
    hearth_options_destroy(options);
}
END_TEST

START_TEST(long_values_are_refused)
{
    hearth_options *options = create();
    char text[5000] = "workers=";

    memset(text + 8, '1', sizeof(text) - 9);
    text[sizeof(text) - 1] = '\0';
    HARNESS_STATUS_NAMES(hearth_options_parse(options, text), HEARTH_EOPTION, "workers");
    HARNESS_STATUS_NAMES(hearth_options_set(options, "workers", text + 8), HEARTH_EOPTION,
                         "workers");
    HARNESS_STATUS_NAMES(hearth_options_set(options, "trace", text + 8), HEARTH_EOPTION,
                         "at most 255 bytes");
    text[8 + 255] = '\0';
    HARNESS_OK(hearth_options_set(options, "trace", text + 8));
    ck_assert_uint_eq(strlen(options->trace), 255);
    text[8 + 255] = '1';
    memset(text, 'a', 8);
    HARNESS_STATUS_NAMES(hearth_options_parse(options, text), HEARTH_EOPTION, "aaaaaaaa111");
    HARNESS_STATUS_NAMES(hearth_options_set(options, text, "1"), HEARTH_EOPTION, "aaaaaaaa111");
    ck_assert_str_eq(get(options, "workers"), "0");
    hearth_options_destroy(options);
}
END_TEST

START_TEST(set_is_parse_of_one)
{
    hearth_options *options = create();

    HARNESS_OK(hearth_options_set(options, "mode", "PLACE"));
    ck_assert_str_eq(get(options, "mode"), "place");
    HARNESS_STATUS_NAMES(hearth_options_set(options, "mode", "placed"), HEARTH_EOPTION, "placed");
    HARNESS_STATUS_NAMES(hearth_options_set(options, "mode", ""), HEARTH_EOPTION, "mode");
    HARNESS_STATUS_NAMES(hearth_options_set(options, "", "1"), HEARTH_EOPTION, "\"\"");
    HARNESS_STATUS_NAMES(hearth_options_set(options, "mod", "off"), HEARTH_EOPTION, "\"mod\"");
    ck_assert_str_eq(get(options, "mode"), "place");
    hearth_options_destroy(options);
}
END_TEST

START_TEST(null_arguments_are_einval)
{
    hearth_options *options = create();
    char text[TEXT];

    HARNESS_STATUS_NAMES(hearth_options_create(NULL), HEARTH_EINVAL, "out");
    HARNESS_STATUS_NAMES(hearth_options_parse(NULL, "a=b"), HEARTH_EINVAL, "options");
    HARNESS_STATUS_NAMES(hearth_options_parse(options, NULL), HEARTH_EINVAL, "text");
    HARNESS_STATUS_NAMES(hearth_options_set(NULL, "a", "b"), HEARTH_EINVAL, "options");
    HARNESS_STATUS_NAMES(hearth_options_set(options, NULL, "b"), HEARTH_EINVAL, "name");
    HARNESS_STATUS_NAMES(hearth_options_set(options, "a", NULL), HEARTH_EINVAL, "value");
    HARNESS_STATUS_NAMES(hearth_options_get(NULL, "a", text, 9), HEARTH_EINVAL, "options");
    HARNESS_STATUS_NAMES(hearth_options_get(options, NULL, text, 9), HEARTH_EINVAL, "name");
    HARNESS_STATUS_NAMES(hearth_options_get(options, "log", NULL, 9), HEARTH_EINVAL, "buffer");
    hearth_options_destroy(options);
}
END_TEST

START_TEST(get_needs_room)
{
    hearth_options *options = create();
    char text[TEXT] = "zzzzzzzzzz";

    HARNESS_STATUS_NAMES(hearth_options_get(options, "policy", text, 5), HEARTH_ESIZE, "policy");
    ck_assert_str_eq(text, "");
    ck_assert_int_eq(text[5], 'z');
    HARNESS_STATUS(hearth_options_get(options, "policy", text, 0), HEARTH_ESIZE);
    HARNESS_OK(hearth_options_get(options, "policy", text, 6));
    ck_assert_str_eq(text, "local");
    HARNESS_STATUS_NAMES(hearth_options_get(options, "polic", text, 6), HEARTH_EOPTION, "polic");
    hearth_options_destroy(options);
}
END_TEST

START_TEST(sizes_and_fractions_print_as_short_as_they_can)
{
    static const char *const pairs[][3] = {
        {"nursery", "1048576", "1m"},
        {"nursery", "1025", "1025"},
        {"nursery", "1048577", "1048577"},
        {"window", "1024g", "1t"},
        {"nursery", "0k", "0"},
        {"growth", "2.500", "2.5"},
        {"growth", "100", "100"},
        {"growth", "1.0500", "1.05"},
        {"growth", "3.14159265", "3.14159265"},
        {"heap-limit", "1536m", "1536m"},
        {"release-after", "1024", "1024"},
    };
    hearth_options *options = create();

    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        HARNESS_OK(hearth_options_set(options, pairs[i][0], pairs[i][1]));
        ck_assert_str_eq(get(options, pairs[i][0]), pairs[i][2]);
    }
    hearth_options_destroy(options);
}
END_TEST

/* --- the environment -------------------------------------------------------------------------- */

START_TEST(environment_is_applied_where_asked)
{
    struct hearth_options options;
    hearth_options *created;

    setenv("HEARTH_OPTIONS", "workers=5", 1);
    HARNESS_OK(hearth_options_create(&created));
    ck_assert_int_eq(created->workers, 0);
    hearth_options_destroy(created);
    HARNESS_OK(ht_options_defaults(&options, false));
    ck_assert_int_eq(options.workers, 0);
    options.workers = 9;
    options.prefetch = 9;
    HARNESS_OK(ht_options_environment(&options));
    ck_assert_int_eq(options.workers, 5);
    ck_assert_int_eq(options.prefetch, 9);
    setenv("HEARTH_OPTIONS", "", 1);
    HARNESS_OK(ht_options_defaults(&options, true));
    unsetenv("HEARTH_OPTIONS");
    HARNESS_OK(ht_options_defaults(&options, true));
    ck_assert_int_eq(options.workers, 0);
}
END_TEST

START_TEST(bad_environment_is_named)
{
    struct hearth_options options, before;

    HARNESS_OK(ht_options_defaults(&options, false));
    before = options;
    setenv("HEARTH_OPTIONS", "workers=5,log=loud", 1);
    HARNESS_STATUS_NAMES(ht_options_environment(&options), HEARTH_EOPTION, "HEARTH_OPTIONS");
    HARNESS_STATUS_NAMES(ht_options_environment(&options), HEARTH_EOPTION, "\"loud\"");
    ck_assert_mem_eq(&options, &before, sizeof(before));
    HARNESS_STATUS(ht_options_defaults(&options, true), HEARTH_EOPTION);
}
END_TEST

START_TEST(no_memory_is_enomem)
{
    hearth_options *options = (hearth_options *)&options;

    ht_fault_arm(HT_FAULT_ALLOC, 1, false);
    HARNESS_STATUS(hearth_options_create(&options), HEARTH_ENOMEM);
    ck_assert_ptr_null(options);
    HARNESS_OK(hearth_options_create(&options));
    hearth_options_destroy(options);
}
END_TEST

/* --- random text ------------------------------------------------------------------------------ */

/* Every value reads back, and lies within its bounds. */
static void check_set(const hearth_options *options)
{
    hearth_options *again = create();

    for (size_t i = 0; i < hearth_option_count(); i++) {
        const hearth_option_info *info = hearth_option_at(i);

        HARNESS_OK(hearth_options_set(again, info->name, get(options, info->name)));
    }
    ck_assert_mem_eq(again, options, sizeof(*again));
    hearth_options_destroy(again);
}

/* Pieces that are nearly right more often than random bytes are. */
static void random_text(uint64_t *random, char *text, size_t size)
{
    static const char *const values[] = {"on",
                                         "0",
                                         "1",
                                         "17",
                                         "2.5",
                                         "8m",
                                         "off",
                                         "local",
                                         "gc",
                                         "64",
                                         "t",
                                         "-1",
                                         "99999999999999999999",
                                         "1t",
                                         "strict",
                                         "auto"};
    size_t used = 0;

    text[0] = '\0';
    for (uint64_t parts = harness_random_below(random, 4) + 1; parts > 0; parts--) {
        const char *name =
            hearth_option_at(harness_random_below(random, hearth_option_count()))->name;
        const char *value = values[harness_random_below(random, 16)];

        used +=
            (size_t)snprintf(text + used, size - used, "%s%s=%s", used > 0 ? "," : "", name, value);
    }
    for (uint64_t edits = harness_random_below(random, 8) / 5; edits > 0; edits--)
        text[harness_random_below(random, used)] = (char)harness_random(random);
}

START_TEST(random_text_never_breaks_a_set)
{
    uint64_t random = harness_seed();
    hearth_options *options = create();
    int good = 0, bad = 0;

    for (uint64_t round = harness_scaled(4000); round > 0; round--) {
        struct hearth_options before = *options;
        char text[512];
        hearth_status status;

        random_text(&random, text, sizeof(text));
        status = hearth_options_parse(options, text);
        if (status == HEARTH_OK) {
            good++;
            check_set(options);
        } else {
            bad++;
            ck_assert_int_eq(status, HEARTH_EOPTION);
            ck_assert_mem_eq(options, &before, sizeof(before));
        }
    }
    ck_assert_int_ge(good, (int)harness_scaled(10));
    ck_assert_int_gt(bad, 10);
    hearth_options_destroy(options);
}
END_TEST

START_TEST(random_numbers_read_back)
{
    uint64_t random = harness_seed();
    hearth_options *options = create();

    for (uint64_t round = harness_scaled(2000); round > 0; round--) {
        uint64_t number = harness_random(&random) >> (17 + harness_random_below(&random, 47));
        double growth = 1.05 + (double)(harness_random(&random) >> 40) / (1 << 18);
        char text[TEXT];

        snprintf(text, sizeof(text), "heap-limit=%llu,growth=%.9f", (unsigned long long)number,
                 growth);
        HARNESS_OK(hearth_options_parse(options, text));
        ck_assert_uint_eq(options->heap_limit, number);
        ck_assert_msg(options->growth == strtod(strrchr(text, '=') + 1, NULL), "%s", text);
        check_set(options);
    }
    hearth_options_destroy(options);
}
END_TEST

HARNESS_SUITE(options)
{
    Suite *suite = suite_create("options");
    TCase *table = tcase_create("table");
    TCase *text = tcase_create("text");

    tcase_add_test(table, table_is_complete);
    tcase_add_test(table, defaults_are_those_of_the_contract);
    tcase_add_test(table, every_kind_reads_into_its_field);
    tcase_add_test(table, set_is_parse_of_one);
    tcase_add_test(table, null_arguments_are_einval);
    tcase_add_test(table, get_needs_room);
    tcase_add_test(table, sizes_and_fractions_print_as_short_as_they_can);
    tcase_add_test(table, environment_is_applied_where_asked);
    tcase_add_test(table, bad_environment_is_named);
    tcase_add_test(table, no_memory_is_enomem);
    suite_add_tcase(suite, table);
    tcase_add_loop_test(text, wrong_text_changes_nothing_and_is_named, 0,
                        sizeof(wrong) / sizeof(wrong[0]));
    tcase_add_test(text, long_values_are_refused);
    tcase_add_test(text, random_text_never_breaks_a_set);
    tcase_add_test(text, random_numbers_read_back);
    suite_add_tcase(suite, text);
    return suite;
}
