/* tests/test_prometheus.c - the text for Prometheus, read by a strict reader of its format 0.0.4.
 *
 * The reader accepts HELP, then TYPE, then all samples of a family, each family once, and for histograms what
 * Prometheus demands of buckets; it keeps every sample. */
#include <ctype.h>
#include <math.h>

#include "tests/trace_fixture.h"
#include "tests/text.h"

enum { SAMPLES = 4096, FAMILIES = 64 };

struct sample {
    char series[256]; /* name and labels as written */
    char name[96];
    double value;
};

struct reading {
    struct text text;
    struct sample sample[SAMPLES];
    size_t samples;
    char family[FAMILIES][96], type[FAMILIES][16];
    size_t families;
};

/* --- the reader --------------------------------------------------------------------------------------- */

static const char *read_name(const char *at, char *name, size_t size)
{
    size_t length = 0;
    ck_assert_msg(isalpha((unsigned char)*at) || *at == '_', "no name: %.60s", at);
    while (isalnum((unsigned char)at[length]) || at[length] == '_')
        length++;
    ck_assert_uint_lt(length, size);
    memcpy(name, at, length);
    name[length] = '\0';
    return at + length;
}

/* Behind {label="value",...}. */
static const char *read_labels(const char *at)
{
    char label[64];
    if (*at != '{')
        return at;
    do {
        at = read_name(at + 1, label, sizeof label);
        ck_assert_msg(at[0] == '=' && at[1] == '"', "label %s has no value: %.60s", label, at);
        for (at += 2; *at != '"'; at++) {
            ck_assert_msg(*at != '\n' && *at != '\0', "the value of label %s does not end", label);
            if (*at == '\\')
                at++, ck_assert_msg(strchr("\\\"n", *at) != NULL, "escape \\%c", *at);
        }
        at++;
    } while (*at == ',');
    ck_assert_msg(*at == '}', "labels do not end: %.60s", at);
    return at + 1;
}

static const char *read_comment(struct reading *r, const char *at)
{
    char name[96];
    ck_assert_msg(strncmp(at, "# HELP ", 7) == 0, "HELP expected: %.60s", at);
    at = read_name(at + 7, name, sizeof name);
    for (size_t i = 0; i < r->families; i++)
        ck_assert_str_ne(r->family[i], name);
    ck_assert(r->families < FAMILIES && *at == ' ');
    strcpy(r->family[r->families], name);
    at = strchr(at, '\n') + 1;
    ck_assert_msg(strncmp(at, "# TYPE ", 7) == 0, "TYPE expected: %.60s", at);
    at = read_name(at + 7, name, sizeof name);
    ck_assert_str_eq(r->family[r->families], name);
    at = read_name(at + 1, r->type[r->families], sizeof r->type[0]);
    ck_assert_int_eq(*at, '\n');
    const char *type = r->type[r->families++];
    bool total = strlen(name) > 6 && strcmp(name + strlen(name) - 6, "_total") == 0;
    ck_assert_msg(total == (strcmp(type, "counter") == 0), "%s is a %s", name, type);
    return at + 1;
}

static const char *read_sample(struct reading *r, const char *at)
{
    ck_assert_uint_lt(r->samples, SAMPLES);
    ck_assert_uint_gt(r->families, 0);
    struct sample *sample = &r->sample[r->samples++];
    const char *family = r->family[r->families - 1], *begin = at;
    char *end;
    at = read_name(at, sample->name, sizeof sample->name);
    ck_assert_msg(strncmp(sample->name, family, strlen(family)) == 0, "%s in the family %s",
                  sample->name, family);
    const char *suffix = sample->name + strlen(family);
    if (strcmp(r->type[r->families - 1], "histogram") == 0)
        ck_assert(strcmp(suffix, "_bucket") == 0 || strcmp(suffix, "_sum") == 0 ||
                  strcmp(suffix, "_count") == 0);
    else
        ck_assert_str_eq(suffix, "");
    at = read_labels(at);
    ck_assert_uint_lt((size_t)(at - begin), sizeof sample->series);
    memcpy(sample->series, begin, (size_t)(at - begin));
    ck_assert_int_eq(*at, ' ');
    sample->value = strtod(at + 1, &end);
    ck_assert_msg(end > at + 1 && *end == '\n' && isfinite(sample->value), "value: %.60s", at);
    for (size_t i = 0; i + 1 < r->samples; i++)
        ck_assert_str_ne(r->sample[i].series, sample->series);
    return end + 1;
}

static void read_all(struct reading *r)
{
    for (const char *at = r->text.at; *at != '\0';)
        at = *at == '#' ? read_comment(r, at) : read_sample(r, at);
}

static double value_of(const struct reading *r, const char *series)
{
    for (size_t i = 0; i < r->samples; i++)
        if (strcmp(r->sample[i].series, series) == 0)
            return r->sample[i].value;
    ck_abort_msg("no sample %s in\n%s", series, r->text.at);
    return 0;
}

static struct reading *expose(hearth_heap *const *heaps, const char *const *names, size_t count)
{
    struct reading *r = calloc(1, sizeof *r);
    HARNESS_OK(hearth_prometheus(heaps, names, count, text_add, &r->text));
    read_all(r);
    return r;
}

static void free_reading(struct reading *r)
{
    free(r->text.at);
    free(r);
}

/* --- what is in it ------------------------------------------------------------------------------------ */

START_TEST(says_what_statistics_say)
{
    struct fixture f;
    char series[128];

    fixture_open(&f, "fake-nodes=2");
    HEARTH_FRAME(f.m, frame, 1);
    for (uint64_t i = 0; i < 20000; i++) {
        struct item *item = fixture_item_on(&f, (int)(i & 1));
        hearth_store_init(&item->next, frame.ref[0]);
        frame.ref[0] = item;
    }
    HARNESS_OK(hearth_gc_collect(f.m, 0));
    HARNESS_OK(hearth_gc_collect(f.m, 2));
    const char *name = "main";
    struct reading *r = expose(&f.heap, &name, 1);
    hearth_stats stats = fixture_stats(&f);
    ck_assert(value_of(r, "hearth_heap_live_bytes{heap=\"main\"}") == (double)stats.live_bytes);
    ck_assert(value_of(r, "hearth_heap_used_bytes{heap=\"main\"}") == (double)stats.heap_bytes);
    ck_assert(value_of(r, "hearth_heap_limit_bytes{heap=\"main\"}") == (double)stats.limit_bytes);
    ck_assert(value_of(r, "hearth_heap_allocated_objects_total{heap=\"main\"}") ==
              (double)stats.allocated_objects);
    ck_assert(value_of(r, "hearth_mutators{heap=\"main\"}") == 1);
    double live = 0;
    for (int n = 0; n < nodes_of(&f); n++) {
        hearth_node_stats node = {.struct_size = sizeof node};
        HARNESS_OK(hearth_get_node_stats(f.heap, n, &node));
        snprintf(series, sizeof series,
                 "hearth_node_used_bytes{heap=\"main\",node=\"%d\",system=\"%d\"}", n,
                 node.os_node);
        ck_assert(value_of(r, series) == (double)(node.blocks * HA_BLOCK));
        snprintf(series, sizeof series,
                 "hearth_node_live_bytes{heap=\"main\",node=\"%d\",system=\"%d\"}", n,
                 node.os_node);
        live += value_of(r, series);
    }
    ck_assert(live == (double)stats.live_bytes);
    free_reading(r);
    HEARTH_FRAME_END(f.m, frame);
    fixture_close(&f);
}
END_TEST

/* Buckets only grow, and agree with what was put in. */
START_TEST(pauses)
{
    static const uint64_t pause[] = {100,     16383,   16384,      16385,         1000000,
                                     2000000, 4194303, 4194304000, UINT64_MAX / 4};
    struct fixture f;
    const char *name = "h";
    uint64_t total = 0, bound = 1 << 14;
    double before = 0;

    fixture_open(&f, "");
    for (size_t i = 0; i < sizeof pause / sizeof *pause; i++) {
        hg_histogram_add(&f.heap->stats.pauses[HEARTH_GC_FULL], pause[i]);
        total += pause[i];
    }
    struct reading *r = expose(&f.heap, &name, 1);
    size_t buckets = 0;
    for (size_t i = 0; i < r->samples; i++) {
        const struct sample *s = &r->sample[i];
        const char *le = strstr(s->series, "kind=\"full\",le=\"");
        if (le == NULL)
            continue;
        buckets++;
        ck_assert(s->value >= before);
        before = s->value;
        if (strstr(le, "+Inf") != NULL) {
            ck_assert(s->value == 9);
            continue;
        }
        ck_assert(fabs(strtod(le + 16, NULL) - (double)bound / 1e9) < 1e-12);
        double expected = 0;
        for (size_t p = 0; p < sizeof pause / sizeof *pause; p++)
            expected += pause[p] < bound;
        ck_assert_msg(s->value == expected, "%s is %f, not %f", s->series, s->value, expected);
        bound *= 2;
    }
    ck_assert_uint_eq(buckets, 34 - 14 + 2);
    ck_assert(value_of(r, "hearth_gc_pause_seconds_count{heap=\"h\",kind=\"full\"}") == 9);
    ck_assert(value_of(r, "hearth_gc_pause_seconds_count{heap=\"h\",kind=\"minor\"}") == 0);
    double sum = value_of(r, "hearth_gc_pause_seconds_sum{heap=\"h\",kind=\"full\"}");
    ck_assert(fabs(sum - (double)total / 1e9) < 1);
    free_reading(r);
    fixture_close(&f);
}
END_TEST

START_TEST(several_heaps_and_odd_names)
{
    struct fixture f, g;

    fixture_open(&f, "");
    fixture_open(&g, "");
    HARNESS_OK(hearth_gc_collect(g.m, 2));
    hearth_heap *const heaps[] = {f.heap, g.heap};
    const char *const names[] = {"a\"b\\c\nd", "\xc3\xa9"};
    struct reading *r = expose(heaps, names, 2);
    ck_assert(value_of(r, "hearth_mutators{heap=\"a\\\"b\\\\c\\nd\"}") == 1);
    ck_assert(value_of(r, "hearth_gc_pause_seconds_count{heap=\"\xc3\xa9\",kind=\"full\"}") == 1);
    free_reading(r);
    r = calloc(1, sizeof *r);
    HARNESS_OK(
        hearth_prometheus(heaps, names, 0, text_add, &r->text)); /* families without samples */
    read_all(r);
    ck_assert_uint_eq(r->samples, 0);
    free_reading(r);
    fixture_close(&f);
    fixture_close(&g);
}
END_TEST

START_TEST(bad_arguments)
{
    struct fixture f;
    struct reading *r = calloc(1, sizeof *r);

    fixture_open(&f, "");
    hearth_heap *const heaps[] = {f.heap, f.heap}, *const none[] = {f.heap, NULL};
    const char *const names[] = {"x", "x"}, *const unnamed[] = {"x", NULL};
    HARNESS_STATUS_NAMES(hearth_prometheus(NULL, names, 1, text_add, &r->text), HEARTH_EINVAL,
                         "heaps");
    HARNESS_STATUS_NAMES(hearth_prometheus(heaps, NULL, 1, text_add, &r->text), HEARTH_EINVAL,
                         "names");
    HARNESS_STATUS_NAMES(hearth_prometheus(heaps, names, 1, NULL, &r->text), HEARTH_EINVAL, "fn");
    HARNESS_STATUS_NAMES(hearth_prometheus(none, names, 2, text_add, &r->text), HEARTH_EINVAL,
                         "heap 1");
    HARNESS_STATUS_NAMES(hearth_prometheus(heaps, unnamed, 2, text_add, &r->text), HEARTH_EINVAL,
                         "name 1");
    HARNESS_STATUS_NAMES(hearth_prometheus(heaps, names, 2, text_add, &r->text), HEARTH_EINVAL,
                         "0 and 1 are both \"x\"");
    r->text.most = 1;
    HARNESS_STATUS_NAMES(hearth_prometheus(heaps, names, 1, text_add, &r->text), HEARTH_ESYSTEM,
                         "gave up");
    ht_fault_arm(HT_FAULT_ALLOC, 1, false);
    HARNESS_STATUS(hearth_prometheus(heaps, names, 1, text_add, &r->text), HEARTH_ENOMEM);
    free_reading(r);
    fixture_close(&f);
}
END_TEST

HARNESS_SUITE(prometheus)
{
    Suite *suite = suite_create("prometheus");
    TCase *tests = tcase_create("prometheus");

    tcase_add_test(tests, says_what_statistics_say);
    tcase_add_test(tests, pauses);
    tcase_add_test(tests, several_heaps_and_odd_names);
    tcase_add_test(tests, bad_arguments);
    suite_add_tcase(suite, tests);
    return suite;
}
